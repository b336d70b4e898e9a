# SPDX-License-Identifier: Apache-2.0
# Set-up: Debian packages and fetched sources. Nothing here runs a compiler while make reads its files, so that set-up
# works where no compiler is installed yet. SETUP=no leaves the machine alone.

PACKAGES_BUILD := gcc binutils libc6-dev gnu-efi python3 xz-utils
PACKAGES_IMAGE := mtools dosfstools gdisk cpio
PACKAGES_RUN   := qemu-system-x86 ovmf
PACKAGES_BOCHS := bochs bochsbios vgabios ovmf
PACKAGES_PPC   := gcc-powerpc-linux-gnu libc6-dev-powerpc-cross qemu-system-ppc flex bison bc bzip2 xz-utils cpio
PACKAGES_TEST  := acpica-tools libcmocka-dev libzydis-dev libfdt-dev device-tree-compiler clang libclang-rt-14-dev llvm \
                  clang-format cppcheck python3-pytest python3-pexpect e2fsprogs \
                  $(PACKAGES_BOCHS)

.PHONY: setup-build setup-image setup-run setup-bochs setup-ppc setup-test
setup-build setup-image setup-run setup-bochs setup-ppc setup-test: setup-%:
	$(Q)SETUP=$(SETUP) tools/setup-packages.sh $(PACKAGES_$(shell echo $* | tr a-z A-Z))

# libfdt is built from source for all of hypervisor, loader and host tools; LIBFDT_DIR= names a copy of one's own.
LIBFDT_DIR    ?= $(SAGUARO_CACHE)/libfdt
LIBFDT_HEADER := $(LIBFDT_DIR)/libfdt.h

$(SAGUARO_CACHE)/libfdt/libfdt.h: | setup-build
	$(Q)tools/fetch-libfdt.sh $(@D)

# $(call build-libfdt,COMPILER AND FLAGS): the archive $@ from what the folder holds. Overlays are left out (they need strtoul).
define build-libfdt
	@echo "  LIBFDT  $@"
	$(Q)mkdir -p $(@D)/libfdt
	$(Q)rm -f $@
	$(Q)for source in $$(ls $(LIBFDT_DIR)/fdt*.c | grep -v overlay); do \
	    $(1) -w -c -o $(@D)/libfdt/$$(basename $$source .c).o $$source || exit 1; done
	$(Q)ar rcs $@ $(@D)/libfdt/*.o
endef
