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

# The drivers that the guests' virtio devices need are modules of that kernel. In the order of loading.
GUEST_MODULES := virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_mmio failover net_failover virtio_net \
    virtio_blk virtio-rng virtio_console virtio_balloon

$(GUESTS)/initrd.gz: $(GUEST_CACHE)/busybox-amd64 $(GUEST_CACHE)/vmlinuz-cloud tools/make-initramfs.sh tools/guest-modules.sh \
    $(INITRAMFS_FILES) mk/guests.mk | setup-image
	@echo "  INITRD  $@"
	@mkdir -p $(@D)
	$(Q)rm -rf $(GUESTS)/initramfs && mkdir $(GUESTS)/initramfs && cp -R tests/guests/initramfs/. $(GUESTS)/initramfs/
	$(Q)tools/guest-modules.sh $(GUEST_CACHE)/vmlinuz-cloud.deb $(GUESTS)/initramfs $(GUEST_MODULES)
	$(Q)tools/make-initramfs.sh $(GUEST_CACHE)/busybox-amd64 $(GUEST_CACHE)/busybox-amd64 $(GUESTS)/initramfs $@

# The same for the generic kernel, with drivers of devices that are not virtio's: e1000, e1000e, AHCI, NVMe, and what a file system is read with.
GUEST_MODULES_GENERIC := e1000 e1000e scsi_common scsi_mod libata libahci ahci crct10dif_common crct10dif_generic crc-t10dif \
    crc64 crc64_rocksoft_generic crc64-rocksoft t10-pi nvme-core nvme sd_mod button crc32c_generic crc16 mbcache jbd2 ext4

$(GUESTS)/initrd-generic.gz: $(GUEST_CACHE)/busybox-amd64 $(GUEST_CACHE)/vmlinuz-generic tools/make-initramfs.sh tools/guest-modules.sh \
    $(INITRAMFS_FILES) mk/guests.mk | setup-image
	@echo "  INITRD  $@"
	@mkdir -p $(@D)
	$(Q)rm -rf $(GUESTS)/initramfs-generic && mkdir $(GUESTS)/initramfs-generic
	$(Q)cp -R tests/guests/initramfs/. $(GUESTS)/initramfs-generic/
	$(Q)tools/guest-modules.sh $(GUEST_CACHE)/vmlinuz-generic.deb $(GUESTS)/initramfs-generic $(GUEST_MODULES_GENERIC)
	$(Q)tools/make-initramfs.sh $(GUEST_CACHE)/busybox-amd64 $(GUEST_CACHE)/busybox-amd64 $(GUESTS)/initramfs-generic $@

# For 32-bit kernels. The list of commands comes from the 64-bit busybox, which runs here.
$(GUESTS)/initrd-686.gz: $(GUEST_CACHE)/busybox-i386 $(GUEST_CACHE)/busybox-amd64 tools/make-initramfs.sh \
    $(INITRAMFS_FILES) | setup-image
	@echo "  INITRD  $@"
	@mkdir -p $(@D)
	$(Q)tools/make-initramfs.sh $(GUEST_CACHE)/busybox-i386 $(GUEST_CACHE)/busybox-amd64 tests/guests/initramfs $@

.PHONY: guests guests-all
guests: $(GUESTS)/vmlinuz $(GUESTS)/vmlinuz-cloud $(GUESTS)/initrd.gz
guests-all: guests $(GUESTS)/vmlinuz-generic $(GUESTS)/initrd-generic.gz $(GUESTS)/vmlinuz-686-pae $(GUESTS)/initrd-686.gz
