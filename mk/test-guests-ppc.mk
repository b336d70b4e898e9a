# SPDX-License-Identifier: Apache-2.0
# The bare PowerPC guests of the boot tests: build/guests/ppc/tests/NAME.elf, of tests/guests/ppc/NAME/*.c and the runtime.

PPC_TEST_GUESTS      := $(PPC_GUESTS)/tests
PPC_TEST_GUEST_NAMES := $(patsubst tests/guests/ppc/%/main.c,%,$(wildcard tests/guests/ppc/*/main.c))

PPC_GUEST_CFLAGS = -std=gnu11 -O1 -g -mcpu=8548 -msoft-float -mno-relocatable -msdata=none -G 0 -ffreestanding -fno-pic -fno-pie \
    -fno-stack-protector -fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-common -fno-tree-loop-distribute-patterns \
    $(WARNINGS) -I. -MMD -MP
PPC_GUEST_LDS    := tests/guests/ppc/runtime/guest.lds

$(PPC_TEST_GUESTS)/obj/%.o: tests/guests/ppc/% mk/test-guests-ppc.mk | setup-ppc
	@echo "  GUESTCC $<"
	@mkdir -p $(@D)
	$(Q)$(PPC_CC) $(PPC_GUEST_CFLAGS) -c -o $@ $<

ppc-guest-objects = $(patsubst tests/guests/ppc/%,$(PPC_TEST_GUESTS)/obj/%.o,$(sort $(wildcard tests/guests/ppc/$(1)/*.c \
    tests/guests/ppc/runtime/*.[cS])))

define ppc-guest-rules
PPC_TEST_GUEST_OBJECTS += $(call ppc-guest-objects,$(1))
$(PPC_TEST_GUESTS)/$(1).elf: $(call ppc-guest-objects,$(1)) $(PPC_GUEST_LDS)
	@echo "  GUESTLD $$@"
	$$(Q)$$(PPC_LD) -static -nostdlib -z noexecstack -z max-page-size=4096 --build-id=none --no-warn-rwx-segments \
	    -T $(PPC_GUEST_LDS) -o $$@ $$(filter %.o,$$^) $$$$($$(PPC_CC) -print-libgcc-file-name)
endef
$(foreach name,$(PPC_TEST_GUEST_NAMES),$(eval $(call ppc-guest-rules,$(name))))

.PHONY: test-guests-ppc
test-guests-ppc: $(PPC_TEST_GUEST_NAMES:%=$(PPC_TEST_GUESTS)/%.elf)

-include $(sort $(PPC_TEST_GUEST_OBJECTS:.o=.d))
