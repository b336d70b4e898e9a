# SPDX-License-Identifier: Apache-2.0
# `make bench ARCH=ppc`, and its guests: a bare one, an initramfs with programs that time system calls and reads from a disk, and a kernel that uses the
# magic page of KVM's interface.

PPC_BENCH          := tests/bench/guests/ppc
PPC_BENCH_PROGRAMS := getpid reads
PPC_BENCH_GUESTS   := $(PPC_GUESTS)/bench
PPC_BENCH_RUNTIME  := $(patsubst tests/guests/ppc/%,$(PPC_TEST_GUESTS)/obj/%.o,$(sort $(wildcard tests/guests/ppc/runtime/*.[cS])))

$(PPC_BENCH_GUESTS)/ops.o: $(PPC_BENCH)/ops.c mk/bench-ppc.mk mk/test-guests-ppc.mk | setup-ppc
	@echo "  GUESTCC $<"
	@mkdir -p $(@D)
	$(Q)$(PPC_CC) $(PPC_GUEST_CFLAGS) -c -o $@ $<
$(PPC_BENCH_GUESTS)/ops.elf: $(PPC_BENCH_GUESTS)/ops.o $(PPC_BENCH_RUNTIME) $(PPC_GUEST_LDS)
	@echo "  GUESTLD $@"
	$(Q)$(PPC_LD) -static -nostdlib -z noexecstack -z max-page-size=4096 --build-id=none --no-warn-rwx-segments -T $(PPC_GUEST_LDS) \
	    -o $@ $(filter %.o,$^) $$($(PPC_CC) -print-libgcc-file-name)

# The test guests' initramfs and, behind it, an archive of its own with the programs: Linux unpacks one after the other.
$(PPC_BENCH_GUESTS)/initrd.gz: $(PPC_GUESTS)/initrd.gz $(PPC_BENCH_PROGRAMS:%=$(PPC_BENCH)/%.c) $(PPC_BENCH)/program.h mk/bench-ppc.mk \
    | setup-ppc
	@echo "  INITRD  $@"
	$(Q)rm -rf $(@D)/root
	$(Q)mkdir -p $(@D)/root/scripts
	$(Q)for program in $(PPC_BENCH_PROGRAMS); do \
	    $(PPC_CC) -std=gnu11 -O2 -mcpu=8548 -msoft-float -static -nostdlib -ffreestanding -fno-pic -no-pie -fno-stack-protector \
	        $(WARNINGS) -Wl,--build-id=none -o $(@D)/root/$$program $(PPC_BENCH)/$$program.c && \
	    echo /$$program >$(@D)/root/scripts/$$program || exit 1; done
	$(Q)(cd $(@D)/root && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) | gzip -9n | cat $< - >$@

# Linux 6.1 does not use the magic page as it is: two lines of its source are changed.
PPC_BENCH_EDIT   := $(PPC_BENCH)/mend-magic-page.sh
PPC_KERNEL_magic := $(PPC_GUEST_CACHE)/vmlinux-magic-$(call ppc-key,$(PPC_FRAGMENTS_up) $(PPC_BENCH_EDIT))
$(PPC_KERNEL_magic): | setup-ppc
	$(Q)tools/build-guest-kernel.sh -e $(PPC_BENCH_EDIT) $(PPC_GUEST_CACHE)/linux-source.tar.xz $@ $(or $(JOBS),$(shell nproc)) \
	    $(PPC_FRAGMENTS_up)
$(PPC_BENCH_GUESTS)/vmlinux-magic: $(PPC_KERNEL_magic)
	@mkdir -p $(@D)
	$(Q)cp $< $@
	$(Q)touch $@

.PHONY: bench-guests-ppc
bench-guests-ppc: $(PPC_BENCH_GUESTS)/ops.elf $(PPC_BENCH_GUESTS)/initrd.gz $(PPC_BENCH_GUESTS)/vmlinux-magic

# BENCH="ops boot" picks some of the measurements.
ifeq ($(ARCH),ppc)
bench: $(PPC)/saguaro.elf $(CHECK_CONFIG) guests-ppc bench-guests-ppc | setup-ppc setup-test
	$(Q)$(PYTHON) tests/bench/bench_ppc.py --out $(BUILD)/bench-ppc.json $(BENCH)
endif

-include $(PPC_BENCH_GUESTS)/ops.d
