# SPDX-License-Identifier: Apache-2.0
# `make bench`, and its bare guests: build/guests/bench/NAME.elf, multiboot kernels of tests/bench/guests/NAME.c on the runtime of
# the boot tests' guests, or of NAME.S alone.

BENCH_GUESTS      := $(GUESTS)/bench
BENCH_GUESTS_C    := exits ipi jitter apic virtio
BENCH_GUESTS_BARE := first spin noisy

BENCH_OBJECTS := $(patsubst tests/bench/guests/%,$(BENCH_GUESTS)/obj/%.o,$(wildcard tests/bench/guests/*.c tests/bench/guests/*.S))
# Of several files.
$(BENCH_GUESTS)/virtio.elf: $(BENCH_GUESTS)/obj/driver.c.o

BENCH_SHARED  := $(BENCH_GUESTS)/obj/lib.c.o $(BENCH_GUESTS)/obj/stubs.S.o $(patsubst tests/guests/%,$(TEST_GUESTS)/64/%.o,$(call guest-runtime,64))

$(BENCH_GUESTS)/obj/%.o: tests/bench/guests/% mk/bench.mk mk/test-guests.mk | setup-build
	@echo "  GUESTCC $<"
	@mkdir -p $(@D)
	$(Q)$(CC) $(if $(filter $(BENCH_GUESTS_BARE:%=%.S),$*),-m32,-m64 -mcmodel=small) $(GUEST_CFLAGS) -c -o $@ $<

# A multiboot kernel is an ELF32 file, whatever code is in it.
$(BENCH_GUESTS_C:%=$(BENCH_GUESTS)/%.elf): $(BENCH_GUESTS)/%.elf: $(BENCH_GUESTS)/obj/%.c.o $(BENCH_SHARED) tests/guests/runtime/guest.lds
	@echo "  GUESTLD $@"
	$(Q)$(LD) $(GUEST_LDFLAGS) -o $@.64 $(filter %.o,$^)
	$(Q)objcopy -O elf32-i386 $@.64 $@
$(BENCH_GUESTS_BARE:%=$(BENCH_GUESTS)/%.elf): $(BENCH_GUESTS)/%.elf: $(BENCH_GUESTS)/obj/%.S.o tests/guests/runtime/guest.lds
	@echo "  GUESTLD $@"
	$(Q)$(LD) -m elf_i386 $(GUEST_LDFLAGS) -o $@ $<

.PHONY: bench bench-guests
bench-guests: $(BENCH_GUESTS_C:%=$(BENCH_GUESTS)/%.elf) $(BENCH_GUESTS_BARE:%=$(BENCH_GUESTS)/%.elf)

# BENCH="exits boot" picks some of the measurements. For ARCH=ppc: mk/bench-ppc.mk.
ifneq ($(ARCH),ppc)
bench: $(X86)/saguaro.efi $(X86)/saguaro.elf guests bench-guests | setup-image setup-run setup-test
	$(Q)$(PYTHON) tests/bench/bench.py --out $(BUILD)/bench.json $(BENCH)
endif

-include $(BENCH_OBJECTS:.o=.d)
