# SPDX-License-Identifier: Apache-2.0
# Guests for PowerPC: two Linux kernels (one CPU; two) built from Debian's linux-source package, and an initramfs around a
# busybox built from Debian's source. What takes long is done once, in the cache; what a config can name is in build/guests/ppc/.

PPC_GUESTS      := $(GUESTS)/ppc
PPC_GUEST_CACHE := $(GUEST_CACHE)/ppc

# $(call ppc-key,FILES): a name for what is built from these files, so that a changed file is built anew.
ppc-key = $(shell cat $(1) | sha256sum | cut -c1-12)

# $(call ppc-kernel-rules,SUFFIX,VARIANT)
define ppc-kernel-rules
PPC_FRAGMENTS_$(2) := tests/guests/ppc/kernel.fragment tests/guests/ppc/kernel-$(2).fragment
PPC_KERNEL_$(2)    := $(PPC_GUEST_CACHE)/vmlinux-$(2)-$$(call ppc-key,tests/guests/ppc/kernel.fragment tests/guests/ppc/kernel-$(2).fragment)
$$(PPC_KERNEL_$(2)): | setup-ppc
	$$(Q)tools/build-guest-kernel.sh $(PPC_GUEST_CACHE)/linux-source.tar.xz $$@ $$(or $$(JOBS),$$(shell nproc)) $$(PPC_FRAGMENTS_$(2))
$(PPC_GUESTS)/vmlinux$(1): $$(PPC_KERNEL_$(2))
	@mkdir -p $$(@D)
	$$(Q)cp $$< $$@
	$$(Q)touch $$@
endef
$(eval $(call ppc-kernel-rules,,up))
$(eval $(call ppc-kernel-rules,-smp,smp))

PPC_BUSYBOX_SOURCES := tests/guests/ppc/busybox.fragment tests/guests/ppc/softfloat.c
PPC_BUSYBOX         := $(PPC_GUEST_CACHE)/busybox-$(call ppc-key,$(PPC_BUSYBOX_SOURCES) tools/build-guest-busybox.sh)

$(PPC_BUSYBOX): | setup-ppc
	$(Q)tools/build-guest-busybox.sh $@ $(or $(JOBS),$(shell nproc)) $(PPC_BUSYBOX_SOURCES)

$(PPC_GUESTS)/initrd.gz: $(PPC_BUSYBOX) tools/make-initramfs.sh $(INITRAMFS_FILES) | setup-ppc
	@echo "  INITRD  $@"
	@mkdir -p $(@D)
	$(Q)tools/make-initramfs.sh $(PPC_BUSYBOX) $(PPC_BUSYBOX).list tests/guests/initramfs $@

.PHONY: guests-ppc guests-ppc-all
guests-ppc: $(PPC_GUESTS)/vmlinux $(PPC_GUESTS)/initrd.gz
guests-ppc-all: guests-ppc $(PPC_GUESTS)/vmlinux-smp
