# SPDX-License-Identifier: Apache-2.0
# `make bench`, and its bare guests: build/guests/bench/NAME.elf, multiboot kernels of tests/bench/guests/NAME.c on the runtime of
# the boot tests' guests, or of NAME.S alone.

BENCH_GUESTS      := $(GUESTS)/bench
BENCH_GUESTS_C    := exits ipi jitter apic virtio window
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

# For the parts with Linux guests: the generic kernel's initramfs with drivers of all cards and disks that are compared, and a program.
BENCH_MODULES := $(GUEST_MODULES) e1000 e1000e crct10dif_common crct10dif_generic crc-t10dif crc64 crc64_rocksoft_generic crc64-rocksoft t10-pi \
    nvme-core nvme

$(BENCH_GUESTS)/measure: tests/bench/linux/measure.c mk/bench.mk | setup-build
	@echo "  CC      $@"
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -static -s -o $@ $<

$(BENCH_GUESTS)/initrd.gz: $(BENCH_GUESTS)/measure $(GUEST_CACHE)/busybox-amd64 $(GUEST_CACHE)/vmlinuz-generic tools/make-initramfs.sh \
    tools/guest-modules.sh $(INITRAMFS_FILES) mk/bench.mk mk/guests.mk | setup-image
	@echo "  INITRD  $@"
	@mkdir -p $(@D)
	$(Q)rm -rf $(BENCH_GUESTS)/initramfs && mkdir -p $(BENCH_GUESTS)/initramfs
	$(Q)cp -R tests/guests/initramfs/. $(BENCH_GUESTS)/initramfs/
	$(Q)mkdir -p $(BENCH_GUESTS)/initramfs/bin && cp $< $(BENCH_GUESTS)/initramfs/bin/
	$(Q)tools/guest-modules.sh $(GUEST_CACHE)/vmlinuz-generic.deb $(BENCH_GUESTS)/initramfs $(BENCH_MODULES)
	$(Q)tools/make-initramfs.sh $(GUEST_CACHE)/busybox-amd64 $(GUEST_CACHE)/busybox-amd64 $(BENCH_GUESTS)/initramfs $@

.PHONY: bench bench-guests
bench-guests: $(BENCH_GUESTS_C:%=$(BENCH_GUESTS)/%.elf) $(BENCH_GUESTS_BARE:%=$(BENCH_GUESTS)/%.elf) \
    $(GUESTS)/vmlinuz-generic $(BENCH_GUESTS)/initrd.gz

# BENCH="exits boot" picks some of the measurements. For ARCH=ppc: mk/bench-ppc.mk.
ifneq ($(ARCH),ppc)
bench: $(X86)/saguaro.efi $(X86)/saguaro.elf guests bench-guests | setup-image setup-run setup-test
	$(Q)$(PYTHON) tests/bench/bench.py --out $(BUILD)/bench.json $(BENCH)
endif

-include $(BENCH_OBJECTS:.o=.d)
