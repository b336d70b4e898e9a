# SPDX-License-Identifier: Apache-2.0
# The hypervisor: build/x86/saguaro.elf, linked to run at a fixed address and embedded in the EFI application.

X86 := $(BUILD)/x86
CC  := gcc
LD  := ld

# Files of lib/ that the loader and the host tools use and the hypervisor does not: text parser and checker of the config.
LIB_NOT_HYPERVISOR := $(wildcard lib/dts*.c lib/config_check*.c)

HYPERVISOR_SOURCES := \
    $(wildcard core/*.c) \
    $(filter-out $(LIB_NOT_HYPERVISOR),$(wildcard lib/*.c)) \
    $(wildcard lib/freestanding/*.c) \
    $(wildcard devices/*.c) \
    $(wildcard drivers/serial/*.c) \
    $(wildcard drivers/iommu/*.c) \
    $(sort $(wildcard arch/x86/*.[cS] arch/x86/*/*.[cS] arch/x86/*/*/*.[cS]))
HYPERVISOR_LDS     := arch/x86/hypervisor.lds
HYPERVISOR_OBJECTS := $(HYPERVISOR_SOURCES:%=$(X86)/%.o)

WARNINGS := -Wall -Wextra -Werror -Wno-format-truncation -Wvla -Wstrict-prototypes -Wmissing-prototypes
# The compiler's own headers (stdint.h and the like) and lib/freestanding, nothing of the host's.
FREESTANDING_INCLUDES = -nostdinc -isystem lib/freestanding -isystem $(shell $(CC) -print-file-name=include) \
    -isystem $(LIBFDT_DIR) -I. -Iarch/x86/inline

HYPERVISOR_CODEGEN = -std=gnu11 $(OPTIMISE) -g -ffreestanding -fbuiltin -fno-builtin-snprintf -fpie -fvisibility=hidden -mcmodel=small -mno-red-zone \
    -mgeneral-regs-only -fno-stack-protector -fno-omit-frame-pointer -fno-asynchronous-unwind-tables \
    -fcf-protection=none -fno-strict-aliasing -fno-common -ffunction-sections -fdata-sections -include lib/freestanding/visibility.h
# Small, because all of it is trusted; fast, where a guest's exits and the scheduler go through it.
OPTIMISE    = -Os
HOT_SOURCES := $(wildcard arch/x86/engine/*.c arch/x86/engine/*/*.c arch/x86/emulate/*.c arch/x86/guest/lapic*.c arch/x86/guest/pv*.c \
    arch/x86/guest/pic.c arch/x86/guest/ioapic.c arch/x86/guest/lines.c arch/x86/guest/pm.c arch/x86/guest/msr.c devices/uart16550.c \
    devices/service_pci.c devices/service_mmio.c) \
    arch/x86/window.c arch/x86/fpu.c core/bus.c core/guest_memory.c core/sched.c core/timer.c core/cpu.c
$(HOT_SOURCES:%=$(X86)/%.o): OPTIMISE = -O2

HYPERVISOR_CFLAGS  = $(HYPERVISOR_CODEGEN) $(WARNINGS) $(FREESTANDING_INCLUDES) -MMD -MP
HYPERVISOR_LDFLAGS = -static -no-pie -nostdlib -z noexecstack -z max-page-size=4096 \
    --build-id=none --gc-sections --fatal-warnings -T $(HYPERVISOR_LDS)

# A loop in memset() must not become a call of memset().
$(X86)/lib/freestanding/%.o: EXTRA_CFLAGS := -fno-builtin -fno-tree-loop-distribute-patterns

$(X86)/%.c.o: %.c mk/hypervisor.mk | $(LIBFDT_HEADER) setup-build
	@echo "  CC      $<"
	@mkdir -p $(@D)
	$(Q)$(CC) $(HYPERVISOR_CFLAGS) $(EXTRA_CFLAGS) -c -o $@ $<

$(X86)/%.S.o: %.S mk/hypervisor.mk | $(LIBFDT_HEADER) setup-build
	@echo "  AS      $<"
	@mkdir -p $(@D)
	$(Q)$(CC) $(HYPERVISOR_CFLAGS) -D__ASSEMBLY__ -c -o $@ $<

$(X86)/libfdt.a: $(LIBFDT_HEADER) mk/setup.mk | setup-build
	$(call build-libfdt,$(CC) $(HYPERVISOR_CODEGEN) $(FREESTANDING_INCLUDES))

# Linked with an empty symbol table, then with the real one, which lies behind the code and so moves no function. Checked.
LINK_HYPERVISOR = $(LD) $(HYPERVISOR_LDFLAGS) -o
LINK_INPUTS      = $(HYPERVISOR_OBJECTS) $(X86)/libfdt.a

$(X86)/saguaro.elf: $(HYPERVISOR_OBJECTS) $(X86)/libfdt.a $(HYPERVISOR_LDS) tools/symbols.py mk/hypervisor.mk
	@echo "  LD      $@"
	$(Q)$(PYTHON) tools/symbols.py </dev/null >$(X86)/symbols0.S
	$(Q)$(CC) -c -o $(X86)/symbols0.o $(X86)/symbols0.S
	$(Q)$(LINK_HYPERVISOR) $(X86)/pass1.elf $(LINK_INPUTS) $(X86)/symbols0.o
	$(Q)nm -n -S --defined-only $(X86)/pass1.elf | $(PYTHON) tools/symbols.py >$(X86)/symbols1.S
	$(Q)$(CC) -c -o $(X86)/symbols1.o $(X86)/symbols1.S
	$(Q)$(LINK_HYPERVISOR) $@ -Map=$(X86)/saguaro.map $(LINK_INPUTS) $(X86)/symbols1.o
	$(Q)nm -n -S --defined-only $@ | $(PYTHON) tools/symbols.py | cmp - $(X86)/symbols1.S || \
	    { echo "the symbol table moved code: in $(HYPERVISOR_LDS) .text must come before .rodata" >&2; rm -f $@; exit 1; }

.PHONY: hypervisor objects
hypervisor: $(X86)/saguaro.elf
objects: $(HYPERVISOR_OBJECTS)

-include $(HYPERVISOR_OBJECTS:.o=.d)
