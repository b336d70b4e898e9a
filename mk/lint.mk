# SPDX-License-Identifier: Apache-2.0
# Checks of the source itself, and the order in which `make test` does things.

# Asked for only where a rule needs it, since Python may still have to be installed.
C_FILES = $(shell $(PYTHON) tools/source_files.py .c .h)
LINT    := $(BUILD)/lint

.PHONY: format lint lint-format lint-cppcheck lint-layers lint-headers lint-each-header lint-files
format: | setup-test
	$(Q)clang-format -i $(C_FILES)

lint: lint-format lint-files lint-layers lint-headers lint-cppcheck
	@echo "lint: clean"

lint-format: | setup-test
	@echo "  LINT    format"
	$(Q)clang-format --dry-run -Werror $(C_FILES)

# Length, SPDX lines, white space, traces of one machine.
lint-files: | setup-build
	@echo "  LINT    files"
	$(Q)$(PYTHON) tools/lint-files.py

lint-layers: | setup-build
	@echo "  LINT    layers"
	$(Q)$(PYTHON) tools/lint-layers.py

# Each header compiles by itself, as the part that it belongs to is compiled.
FREESTANDING_HEADERS := $(filter abi/% lib/% core/% devices/% arch/x86/% drivers/% virtio/% service/%,$(filter-out lib/freestanding/% arch/x86/inline/% service/ppc/%,$(HEADERS)))
EFI_HEADERS := $(filter boot/%,$(HEADERS))
PPC_HEADERS := $(filter arch/ppc/% service/ppc/%,$(filter-out arch/ppc/inline/%,$(HEADERS)))

$(LINT)/%.h.ok: %.h | $(LIBFDT_HEADER) setup-build
	@mkdir -p $(@D)
	$(Q)printf '#include "%s"\n#include "%s"\n' $< $< >$(@:.ok=.c)
	$(Q)$(CC) $(if $(filter boot/%,$<),$(BOOT_CFLAGS),$(HYPERVISOR_CFLAGS)) -MT $@ -MF $(@:.ok=.d) -fsyntax-only $(@:.ok=.c)
	$(Q)touch $@

$(patsubst %,$(LINT)/%.ok,$(PPC_HEADERS)): $(LINT)/%.ok: % $(PPC_OFFSETS) | $(LIBFDT_HEADER) setup-ppc
	@mkdir -p $(@D)
	$(Q)printf '#include "%s"\n#include "%s"\n' $< $< >$(@:.ok=.c)
	$(Q)$(PPC_CC) $(PPC_CFLAGS) -MT $@ -MF $(@:.ok=.d) -fsyntax-only $(@:.ok=.c)
	$(Q)touch $@

lint-headers: | setup-build
	@echo "  LINT    headers"
	+$(Q)$(MAKE) --no-print-directory lint-each-header HEADERS="$$($(PYTHON) tools/source_files.py .h)"

lint-each-header: $(patsubst %,$(LINT)/%.ok,$(FREESTANDING_HEADERS) $(EFI_HEADERS) $(PPC_HEADERS))
	@:

-include $(patsubst %,$(LINT)/%.d,$(FREESTANDING_HEADERS) $(EFI_HEADERS) $(PPC_HEADERS))

# Files that did not change are not looked at again.
CPPCHECK_SOURCES = $(filter-out service/ppc/%,$(filter core/%.c devices/%.c lib/%.c arch/x86/%.c boot/%.c drivers/%.c tools/%.c virtio/%.c service/%.c,$(C_FILES)))
CPPCHECK_SOURCES_PPC = $(filter arch/ppc/%.c service/ppc/%.c,$(C_FILES))
CPPCHECK = cppcheck --quiet --std=c11 --enable=warning,portability,performance --inline-suppr --error-exitcode=1 \
    --suppressions-list=tools/cppcheck-suppressions.txt -j $(or $(JOBS),2) -D__GNUC__=12 -I. --template=gcc
lint-cppcheck: $(PPC_OFFSETS) | $(LIBFDT_HEADER) setup-test
	@echo "  LINT    cppcheck"
	@mkdir -p $(LINT)/cppcheck $(LINT)/cppcheck-ppc
	$(Q)$(CPPCHECK) --platform=unix64 --cppcheck-build-dir=$(LINT)/cppcheck -D__x86_64__ -DGNU_EFI_USE_MS_ABI \
	    -Iarch/x86/inline $(CPPCHECK_SOURCES)
	$(Q)$(CPPCHECK) --platform=unix32 --cppcheck-build-dir=$(LINT)/cppcheck-ppc -D__powerpc__ \
	    -Iarch/ppc/inline -I$(PPC)/include $(CPPCHECK_SOURCES_PPC)

# ---- everything

BOOT_TESTS ?=
PYTEST = $(PYTHON) -m pytest -p no:cacheprovider -c tests/boot/pytest.ini --rootdir=. tests/boot

.PHONY: test test-boot test-long
test:
	+$(Q)$(MAKE) --no-print-directory lint
	+$(Q)$(MAKE) --no-print-directory test-unit
	+$(Q)$(MAKE) --no-print-directory test-fuzz
	+$(Q)$(MAKE) --no-print-directory test-boot

# The tests make their images by themselves, from what is built here.
BOOT_PRODUCTS := $(X86)/saguaro.efi $(X86)/saguaro.elf $(PPC)/saguaro.elf $(CHECK_CONFIG) guests-all test-guests \
    guests-ppc-all test-guests-ppc
test-boot: $(BOOT_PRODUCTS) | setup-test setup-image setup-run setup-ppc
	$(Q)tools/run-boot-tests.sh $(BUILD)/boot/tests-beside.log $(PYTEST) -v $(BOOT_TESTS)

test-long: $(BOOT_PRODUCTS) fuzz | setup-test setup-image setup-run setup-ppc
	$(Q)$(PYTEST) -v -m long $(BOOT_TESTS)
