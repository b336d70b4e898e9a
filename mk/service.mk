# SPDX-License-Identifier: Apache-2.0
# The service VM's image, for both machines: build/x86/service.elf and build/ppc/service.elf, and stripped copies, which the
# hypervisor is given.

SERVICE_SOURCES := \
    $(wildcard service/*.c virtio/*.c drivers/pci/*.c drivers/net/*.c drivers/block/*.c) \
    $(filter-out $(LIB_NOT_HYPERVISOR) lib/acpi%.c lib/image%.c lib/bundle.c lib/symbols.c,$(wildcard lib/*.c)) \
    $(wildcard lib/freestanding/*.c)

SERVICE_CODEGEN = -std=gnu11 -O2 -g -ffreestanding -fbuiltin -fno-builtin-snprintf -fvisibility=hidden -fno-stack-protector \
    -fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-common -ffunction-sections -fdata-sections \
    -include lib/freestanding/visibility.h
SERVICE_LDFLAGS = -static -no-pie -nostdlib -z noexecstack -z max-page-size=4096 --build-id=none --gc-sections \
    --fatal-warnings

# $(call service-rules,DIRECTORY,LABEL,COMPILER,MACHINE'S FLAGS,LINKER,SOURCES,SCRIPT,LIBRARIES,STRIP)
define service-rules
$(1)/service/obj/lib/freestanding/%.o: EXTRA_CFLAGS := -fno-builtin -fno-tree-loop-distribute-patterns

$(1)/service/obj/%.c.o: %.c mk/service.mk | $(LIBFDT_HEADER)
	@echo "  $(2) CC  $$<"
	@mkdir -p $$(@D)
	$$(Q)$(3) $$(SERVICE_CODEGEN) $(4) $$(WARNINGS) -MMD -MP $$(EXTRA_CFLAGS) -c -o $$@ $$<

$(1)/service/obj/%.S.o: %.S mk/service.mk
	@echo "  $(2) AS  $$<"
	@mkdir -p $$(@D)
	$$(Q)$(3) $(4) -D__ASSEMBLY__ -MMD -MP -c -o $$@ $$<

$(1)/service/libfdt.a: $(LIBFDT_HEADER) mk/setup.mk mk/service.mk
	$$(call build-libfdt,$(3) $$(SERVICE_CODEGEN) $(4))

$(1)/service.elf: $(6:%=$(1)/service/obj/%.o) $(1)/service/libfdt.a $(7) mk/service.mk
	@echo "  $(2) LD  $$@"
	$$(Q)$(5) $$(SERVICE_LDFLAGS) -T $(7) -Map=$(1)/service.map -o $$@ $(6:%=$(1)/service/obj/%.o) $(1)/service/libfdt.a $(8)

$(1)/service-stripped.elf: $(1)/service.elf
	$$(Q)$(9) --strip-all $$< $$@

-include $(6:%=$(1)/service/obj/%.d)
endef

SERVICE_X86_SOURCES := $(SERVICE_SOURCES) $(wildcard service/x86/*.[cS])
SERVICE_PPC_SOURCES := $(SERVICE_SOURCES) $(wildcard service/ppc/*.[cS])

# No SSE: nothing here saves its registers. Frame pointers are for the report of an exception.
SERVICE_X86_FLAGS = -fpie -mcmodel=small -mno-red-zone -mgeneral-regs-only -fno-omit-frame-pointer -fcf-protection=none \
    $(FREESTANDING_INCLUDES)
# No floating point and no SPE.
SERVICE_PPC_FLAGS = -mcpu=8548 -msoft-float -mno-relocatable -msdata=none -G 0 -fno-pic -fno-pie $(PPC_INCLUDES)

$(eval $(call service-rules,$(X86),SVC,$$(CC),$$(SERVICE_X86_FLAGS),$$(LD),$(SERVICE_X86_SOURCES),service/x86/service.lds,,objcopy))
$(eval $(call service-rules,$(PPC),PPC SVC,$$(PPC_CC),$$(SERVICE_PPC_FLAGS),$$(PPC_LD),$(SERVICE_PPC_SOURCES),service/ppc/service.lds,$$$$($$(PPC_CC) -print-libgcc-file-name),$$(PPC_CROSS)objcopy))

$(SERVICE_X86_SOURCES:%=$(X86)/service/obj/%.o) $(X86)/service/libfdt.a: | setup-build
$(SERVICE_PPC_SOURCES:%=$(PPC)/service/obj/%.o) $(PPC)/service/libfdt.a: | setup-ppc

# The image as the hypervisor carries it: service_image_start[] to service_image_end[] (core/service.c).
define service-image
	@echo "  IMAGE   $@"
	$(Q)printf '%s\n' '.section .rodata.service, "a", @progbits' '.globl service_image_start, service_image_end' \
	    '.hidden service_image_start, service_image_end' '.balign 16' 'service_image_start:' '.incbin "$<"' 'service_image_end:' \
	    '.section .note.GNU-stack, "", @progbits' >$(@:.o=.S)
	$(Q)$(1) -c -o $@ $(@:.o=.S)
endef
$(X86)/service-image.o: $(X86)/service-stripped.elf mk/service.mk
	$(call service-image,$(CC))
$(PPC)/service-image.o: $(PPC)/service-stripped.elf mk/service.mk
	$(call service-image,$(PPC_CC))
HYPERVISOR_OBJECTS += $(X86)/service-image.o
PPC_OBJECTS        += $(PPC)/service-image.o
$(X86)/saguaro.elf: $(X86)/service-image.o
$(PPC)/saguaro.elf: $(PPC)/service-image.o

.PHONY: service service-ppc
service: $(X86)/service-stripped.elf
service-ppc: $(PPC)/service-stripped.elf
hypervisor-ppc: service-ppc
