# SPDX-License-Identifier: Apache-2.0
# Guests to run and test with: Debian's kernels and busybox, taken out of their packages, and an initramfs around busybox.
# Downloads stay in the cache; what a config can name is in build/guests/.

GUESTS       := $(BUILD)/guests
GUEST_CACHE  := $(SAGUARO_CACHE)/guests
INITRAMFS_FILES := $(shell find tests/guests/initramfs -type f 2>/dev/null)

$(GUEST_CACHE)/vmlinuz-cloud: | setup-build
	$(Q)tools/fetch-guest-file.sh depends amd64 linux-image-cloud-amd64 './boot/vmlinuz-*' $@
$(GUEST_CACHE)/vmlinuz-generic: | setup-build
	$(Q)tools/fetch-guest-file.sh depends amd64 linux-image-amd64 './boot/vmlinuz-*' $@
$(GUEST_CACHE)/vmlinuz-686-pae: | setup-build
	$(Q)tools/fetch-guest-file.sh depends i386 linux-image-686-pae './boot/vmlinuz-*' $@
$(GUEST_CACHE)/busybox-amd64: | setup-build
	$(Q)tools/fetch-guest-file.sh binary amd64 busybox-static './bin/busybox' $@
$(GUEST_CACHE)/busybox-i386: | setup-build
	$(Q)tools/fetch-guest-file.sh binary i386 busybox-static './bin/busybox' $@

$(GUESTS)/vmlinuz-%: $(GUEST_CACHE)/vmlinuz-%
	@mkdir -p $(@D)
	$(Q)cp $< $@

# The kernel that examples name.
$(GUESTS)/vmlinuz: $(GUESTS)/vmlinuz-cloud
	$(Q)ln -sf vmlinuz-cloud $@

$(GUESTS)/initrd.gz: $(GUEST_CACHE)/busybox-amd64 tools/make-initramfs.sh $(INITRAMFS_FILES) | setup-image
	@echo "  INITRD  $@"
	@mkdir -p $(@D)
	$(Q)tools/make-initramfs.sh $(GUEST_CACHE)/busybox-amd64 $(GUEST_CACHE)/busybox-amd64 tests/guests/initramfs $@

# For 32-bit kernels. The list of commands comes from the 64-bit busybox, which runs here.
$(GUESTS)/initrd-686.gz: $(GUEST_CACHE)/busybox-i386 $(GUEST_CACHE)/busybox-amd64 tools/make-initramfs.sh \
    $(INITRAMFS_FILES) | setup-image
	@echo "  INITRD  $@"
	@mkdir -p $(@D)
	$(Q)tools/make-initramfs.sh $(GUEST_CACHE)/busybox-i386 $(GUEST_CACHE)/busybox-amd64 tests/guests/initramfs $@

.PHONY: guests guests-all
guests: $(GUESTS)/vmlinuz $(GUESTS)/vmlinuz-cloud $(GUESTS)/initrd.gz
guests-all: guests $(GUESTS)/vmlinuz-generic $(GUESTS)/vmlinuz-686-pae $(GUESTS)/initrd-686.gz
