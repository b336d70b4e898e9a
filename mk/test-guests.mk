# SPDX-License-Identifier: Apache-2.0
# The bare guests of the boot tests: build/guests/tests/NAME.elf, multiboot kernels of tests/guests/NAME/*.[cS] and the runtime,
# and .bin, ROM images of a single file.

TEST_GUESTS     := $(GUESTS)/tests
TEST_GUESTS_32  := paging32
TEST_GUESTS_ROM := realmode
TEST_GUESTS_64  := $(filter-out $(TEST_GUESTS_32) $(TEST_GUESTS_ROM) runtime,$(patsubst tests/guests/%/main.c,%,$(wildcard tests/guests/*/main.c)))

GUEST_CFLAGS = -std=gnu11 -O1 -g -ffreestanding -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only -fno-stack-protector \
    -fno-asynchronous-unwind-tables -fcf-protection=none -fno-strict-aliasing -fno-common \
    -fno-tree-loop-distribute-patterns $(WARNINGS) -I. -MMD -MP
GUEST_LDFLAGS = -static -nostdlib -z noexecstack -z max-page-size=4096 --build-id=none --no-warn-rwx-segments \
    -T tests/guests/runtime/guest.lds

$(TEST_GUESTS)/64/%.o: tests/guests/% mk/test-guests.mk | setup-build
	@echo "  GUESTCC $<"
	@mkdir -p $(@D)
	$(Q)$(CC) -m64 -mcmodel=small $(GUEST_CFLAGS) -c -o $@ $<
$(TEST_GUESTS)/32/%.o: tests/guests/% mk/test-guests.mk | setup-build
	@echo "  GUESTCC $<"
	@mkdir -p $(@D)
	$(Q)$(CC) -m32 -march=i686 $(GUEST_CFLAGS) -c -o $@ $<

# Other CPUs are for 64-bit guests.
guest-runtime = $(filter-out tests/guests/runtime/start%.S $(if $(filter 32,$(1)),%/smp.c),$(wildcard tests/guests/runtime/*.[cS])) \
    tests/guests/runtime/start$(1).S
guest-objects = $(patsubst tests/guests/%,$(TEST_GUESTS)/$(2)/%.o,$(sort $(wildcard tests/guests/$(1)/*.[cS])) $(call guest-runtime,$(2)))

# A multiboot kernel is an ELF32 file, whatever code is in it.
define guest-64-rules
TEST_GUEST_OBJECTS += $(call guest-objects,$(1),64)
$(TEST_GUESTS)/$(1).elf: $(call guest-objects,$(1),64) tests/guests/runtime/guest.lds
	@echo "  GUESTLD $$@"
	$$(Q)$$(LD) $$(GUEST_LDFLAGS) -o $$@.64 $$(filter %.o,$$^)
	$$(Q)objcopy -O elf32-i386 $$@.64 $$@
endef
define guest-32-rules
TEST_GUEST_OBJECTS += $(call guest-objects,$(1),32)
$(TEST_GUESTS)/$(1).elf: $(call guest-objects,$(1),32) tests/guests/runtime/guest.lds
	@echo "  GUESTLD $$@"
	$$(Q)$$(LD) -m elf_i386 $$(GUEST_LDFLAGS) -o $$@ $$(filter %.o,$$^)
endef
define guest-rom-rules
$(TEST_GUESTS)/$(1).bin: tests/guests/$(1)/rom.S tests/guests/$(1)/rom.lds mk/test-guests.mk | setup-build
	@echo "  GUESTLD $$@"
	@mkdir -p $$(@D)
	$$(Q)$$(CC) -m32 -c -o $$@.o $$<
	$$(Q)$$(LD) -m elf_i386 --build-id=none --oformat binary -T tests/guests/$(1)/rom.lds -o $$@ $$@.o
endef
$(foreach name,$(TEST_GUESTS_64),$(eval $(call guest-64-rules,$(name))))
$(foreach name,$(wildcard $(TEST_GUESTS_32:%=tests/guests/%/main.c)),$(eval $(call guest-32-rules,$(notdir $(patsubst %/main.c,%,$(name))))))
$(foreach name,$(TEST_GUESTS_ROM),$(eval $(call guest-rom-rules,$(name))))

.PHONY: test-guests
test-guests: $(TEST_GUESTS_64:%=$(TEST_GUESTS)/%.elf) \
    $(patsubst tests/guests/%/main.c,$(TEST_GUESTS)/%.elf,$(wildcard $(TEST_GUESTS_32:%=tests/guests/%/main.c))) \
    $(patsubst tests/guests/%/rom.S,$(TEST_GUESTS)/%.bin,$(wildcard $(TEST_GUESTS_ROM:%=tests/guests/%/rom.S)))

-include $(sort $(TEST_GUEST_OBJECTS:.o=.d))
