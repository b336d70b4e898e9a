# SPDX-License-Identifier: Apache-2.0
# The loader: build/x86/saguaro.efi, an EFI application on GNU-EFI with the hypervisor's image inside.

EFI := $(X86)/efi

# Files of lib/ that the loader links.
BOOT_LIB_SOURCES := $(wildcard lib/dts*.c lib/config*.c lib/image*.c lib/freestanding/*.c)
BOOT_SOURCES     := $(wildcard boot/*.[cS]) $(BOOT_LIB_SOURCES)
BOOT_OBJECTS     := $(addprefix $(EFI)/,$(addsuffix .o,$(basename $(BOOT_SOURCES)))) $(EFI)/hypervisor-image.o

GNU_EFI_LIB     ?= /usr/lib
GNU_EFI_INCLUDE ?= /usr/include/efi

# No -fdata-sections: the linker script of GNU-EFI does not know .bss.NAME.
BOOT_CODEGEN = -std=gnu11 -O2 -g -ffreestanding -fpic -fshort-wchar -mno-red-zone -mgeneral-regs-only \
    -fvisibility=hidden -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -fno-strict-aliasing \
    -fno-common -DGNU_EFI_USE_MS_ABI -maccumulate-outgoing-args
BOOT_CFLAGS  = $(BOOT_CODEGEN) $(WARNINGS) $(FREESTANDING_INCLUDES) \
    -isystem $(GNU_EFI_INCLUDE) -isystem $(GNU_EFI_INCLUDE)/x86_64 -isystem $(GNU_EFI_INCLUDE)/protocol -MMD -MP
BOOT_LDFLAGS = -nostdlib -z noexecstack --build-id=none -znocombreloc -shared -Bsymbolic \
    --no-undefined --fatal-warnings -T $(GNU_EFI_LIB)/elf_x86_64_efi.lds $(GNU_EFI_LIB)/crt0-efi-x86_64.o

$(EFI)/lib/freestanding/%.o: EXTRA_CFLAGS := -fno-tree-loop-distribute-patterns

$(EFI)/%.o: %.c mk/boot.mk mk/hypervisor.mk | $(LIBFDT_HEADER) setup-build
	@echo "  EFICC   $<"
	@mkdir -p $(@D)
	$(Q)$(CC) $(BOOT_CFLAGS) $(EXTRA_CFLAGS) -c -o $@ $<

$(EFI)/%.o: %.S mk/boot.mk mk/hypervisor.mk | setup-build
	@echo "  EFIAS   $<"
	@mkdir -p $(@D)
	$(Q)$(CC) $(BOOT_CFLAGS) -D__ASSEMBLY__ -c -o $@ $<

$(EFI)/libfdt.a: $(LIBFDT_HEADER) mk/setup.mk | setup-build
	$(call build-libfdt,$(CC) $(BOOT_CODEGEN) $(FREESTANDING_INCLUDES))

# The hypervisor as the loader carries it: hypervisor_image_start[] to hypervisor_image_end[], page-aligned.
$(X86)/saguaro-stripped.elf: $(X86)/saguaro.elf
	$(Q)objcopy --strip-all $< $@

$(EFI)/hypervisor-image.o: $(X86)/saguaro-stripped.elf mk/boot.mk
	@mkdir -p $(@D)
	$(Q)printf '%s\n' '.section .rodata.hypervisor, "a", @progbits' \
	    '.globl hypervisor_image_start, hypervisor_image_end' '.hidden hypervisor_image_start, hypervisor_image_end' \
	    '.balign 4096' 'hypervisor_image_start:' '.incbin "$<"' 'hypervisor_image_end:' '.balign 16' \
	    '.section .note.GNU-stack, "", @progbits' >$(@:.o=.S)
	$(Q)$(CC) -c -o $@ $(@:.o=.S)

$(X86)/saguaro-efi.so: $(BOOT_OBJECTS) $(EFI)/libfdt.a mk/boot.mk
	@echo "  EFILD   $@"
	$(Q)$(LD) $(BOOT_LDFLAGS) -o $@ $(BOOT_OBJECTS) $(EFI)/libfdt.a -L$(GNU_EFI_LIB) -lefi -lgnuefi
	@if objdump -h $@ | grep -F ' .bss'; then \
	    echo "$@: GNU-EFI's linker script left these sections out of the image" >&2; rm -f $@; exit 1; fi

$(X86)/saguaro.efi: $(X86)/saguaro-efi.so
	@echo "  EFI     $@"
	$(Q)objcopy -j .text -j .sdata -j .data -j .dynamic -j .dynsym -j '.rel*' -j '.rela*' -j .reloc \
	    --target efi-app-x86_64 --subsystem=10 $< $@

.PHONY: loader loader-objects
loader: $(X86)/saguaro.efi
loader-objects: $(filter-out $(EFI)/hypervisor-image.o,$(BOOT_OBJECTS))

-include $(BOOT_OBJECTS:.o=.d)
