# SPDX-License-Identifier: Apache-2.0
# What runs on the build machine: unit tests, fuzzers, the config checker.

HOST        := $(BUILD)/host
HOST_CC     ?= gcc
FUZZ_CC     ?= clang
HOST_FLAGS   = -std=gnu11 -g -Wall -Wextra -Werror -I. -Itests/unit/host -isystem $(LIBFDT_DIR) -MMD -MP
UNIT_FLAGS   = $(HOST_FLAGS) -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_FLAGS   = $(HOST_FLAGS) -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
    -fno-sanitize-recover=all

# $(call head-line,FILE,WORD): what follows "// WORD:" in the head of FILE.
# A pattern in it stands for the files that match it.
head-line = $(foreach word,$(shell awk -v word=$(2) -f tools/head-line.awk $(1)),$(if $(findstring *,$(word)),$(wildcard $(word)),$(word)))

# ---- unit tests: tests/unit/test_*.c, with "// unit-sources:" and perhaps "// unit-libs:" in their heads

UNIT       := $(HOST)/unit
UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))

$(UNIT)/obj/%.o: %.c mk/host.mk | $(LIBFDT_HEADER) setup-test setup-build
	@echo "  HOSTCC  $<"
	@mkdir -p $(@D)
	$(Q)$(HOST_CC) $(UNIT_FLAGS) -c -o $@ $<

$(UNIT)/libfdt.a: $(LIBFDT_HEADER) mk/setup.mk | setup-build
	$(call build-libfdt,$(HOST_CC) $(UNIT_FLAGS) -Wno-error)

define unit-rules
UNIT_LIBS_$(1) := $(call head-line,tests/unit/$(1).c,unit-libs)
UNIT_OBJECTS_$(1) := $$(addprefix $(UNIT)/obj/,$$(addsuffix .o,$$(basename tests/unit/$(1).c $(call head-line,tests/unit/$(1).c,unit-sources))))
UNIT_DEPENDENCIES += $$(UNIT_OBJECTS_$(1):.o=.d)
$(UNIT)/$(1): $$(UNIT_OBJECTS_$(1)) $(UNIT)/libfdt.a
	@echo "  HOSTLD  $$@"
	$$(Q)$$(HOST_CC) $$(UNIT_FLAGS) -o $$@ $$(UNIT_OBJECTS_$(1)) $(UNIT)/libfdt.a -lcmocka $$(UNIT_LIBS_$(1))
endef
$(foreach name,$(UNIT_TESTS),$(eval $(call unit-rules,$(name))))

.PHONY: test-unit build-unit
build-unit: $(addprefix $(UNIT)/,$(UNIT_TESTS))
test-unit: build-unit
	$(Q)tools/run-unit-tests.sh $(addprefix $(UNIT)/,$(UNIT_TESTS))

-include $(sort $(UNIT_DEPENDENCIES))

# ---- fuzzers: tests/fuzz/fuzz_*.c, with "// fuzz-sources:" and perhaps "// fuzz-seeds: DIR" and "// fuzz-libs:"

FUZZ      := $(HOST)/fuzz
FUZZERS   := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_RUNS ?= 20000
FUZZ_TIME ?= 10
FUZZ_LONG_TIME ?= 600

$(FUZZ)/obj/%.o: %.c mk/host.mk | $(LIBFDT_HEADER) setup-test setup-build
	@echo "  FUZZCC  $<"
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -c -o $@ $<

$(FUZZ)/libfdt.a: $(LIBFDT_HEADER) mk/setup.mk | setup-test setup-build
	$(call build-libfdt,$(FUZZ_CC) $(FUZZ_FLAGS))

define fuzz-rules
FUZZ_LIBS_$(1) := $(call head-line,tests/fuzz/$(1).c,fuzz-libs)
FUZZ_SEEDS_$(1) := $(call head-line,tests/fuzz/$(1).c,fuzz-seeds)
FUZZ_OBJECTS_$(1) := $$(addprefix $(FUZZ)/obj/,$$(addsuffix .o,$$(basename tests/fuzz/$(1).c $(call head-line,tests/fuzz/$(1).c,fuzz-sources))))
FUZZ_DEPENDENCIES += $$(FUZZ_OBJECTS_$(1):.o=.d)
$(FUZZ)/$(1): $$(FUZZ_OBJECTS_$(1)) $(FUZZ)/libfdt.a
	@echo "  FUZZLD  $$@"
	$$(Q)$$(FUZZ_CC) $$(FUZZ_FLAGS) -fsanitize=fuzzer -o $$@ $$(FUZZ_OBJECTS_$(1)) $(FUZZ)/libfdt.a $$(FUZZ_LIBS_$(1))
# Bounded, and the same inputs each time.
.PHONY: test-$(1) long-$(1)
test-$(1): $(FUZZ)/$(1)
	$$(Q)tools/run-fuzzer.sh $(FUZZ)/$(1) fresh "$$(FUZZ_SEEDS_$(1))" -seed=1 -runs=$(FUZZ_RUNS) -max_total_time=$(FUZZ_TIME)
# Goes on from the corpus of earlier runs.
long-$(1): $(FUZZ)/$(1)
	$$(Q)tools/run-fuzzer.sh $(FUZZ)/$(1) keep "$$(FUZZ_SEEDS_$(1))" -max_total_time=$(FUZZ_LONG_TIME)
endef
$(foreach name,$(FUZZERS),$(eval $(call fuzz-rules,$(name))))



.PHONY: build-fuzz test-fuzz fuzz
build-fuzz: $(addprefix $(FUZZ)/,$(FUZZERS))
test-fuzz: $(addprefix test-,$(FUZZERS))
fuzz: $(addprefix long-,$(FUZZERS))

-include $(sort $(FUZZ_DEPENDENCIES))
