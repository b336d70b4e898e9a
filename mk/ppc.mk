# SPDX-License-Identifier: Apache-2.0
# The hypervisor for Book E PowerPC (e500v2): build/ppc/saguaro.elf, which the firmware loads at its linked, physical
# addresses, with a bundle (abi/bundle.h) as its initial RAM disk.

PPC       := $(BUILD)/ppc
PPC_CROSS ?= powerpc-linux-gnu-
PPC_CC    := $(PPC_CROSS)gcc
PPC_LD    := $(PPC_CROSS)ld
PPC_NM    := $(PPC_CROSS)nm

# No guest of this machine has functions of the machine to itself.
PPC_WITHOUT := devices/guest_passthrough.c $(wildcard devices/passed_*.c)
PPC_SOURCES := \
    $(wildcard core/*.c) \
    $(filter-out $(LIB_NOT_HYPERVISOR),$(wildcard lib/*.c)) \
    $(wildcard lib/freestanding/*.c) \
    $(filter-out $(PPC_WITHOUT),$(wildcard devices/*.c)) \
    $(wildcard drivers/serial/*.c) \
    $(wildcard drivers/iommu/iommu*.c) \
    $(filter-out arch/ppc/offsets.c,$(sort $(wildcard arch/ppc/*.[cS] arch/ppc/*/*.[cS])))
PPC_LDS     := arch/ppc/hypervisor.lds
PPC_OBJECTS := $(PPC_SOURCES:%=$(PPC)/%.o)

PPC_INCLUDES = -nostdinc -isystem lib/freestanding -isystem $(shell $(PPC_CC) -print-file-name=include) \
    -isystem $(LIBFDT_DIR) -I. -Iarch/ppc/inline -I$(PPC)/include

# r2 holds the CPU's structure, r13 the lowest address that the stack may reach: each function checks it. No floating
# point and no SPE: what the guest has in those registers stays there.
PPC_CODEGEN = -std=gnu11 $(OPTIMISE) -g -mcpu=8548 -msoft-float -mno-relocatable -msdata=none -G 0 \
    -ffixed-r2 -ffixed-r13 -fstack-limit-register=r13 -ffreestanding -fbuiltin -fno-builtin-snprintf -fno-pic -fno-pie \
    -fvisibility=hidden -fno-stack-protector -fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-common \
    -ffunction-sections -fdata-sections -include lib/freestanding/visibility.h
PPC_HOT_SOURCES := $(wildcard arch/ppc/guest/*.c devices/*.c) arch/ppc/window.c core/bus.c core/guest_memory.c core/sched.c core/timer.c \
    core/cpu.c
$(PPC_HOT_SOURCES:%=$(PPC)/%.o): OPTIMISE = -O2

PPC_CFLAGS  = $(PPC_CODEGEN) $(WARNINGS) $(PPC_INCLUDES) -MMD -MP
PPC_LDFLAGS = -static -no-pie -nostdlib -z noexecstack -z max-page-size=4096 \
    --build-id=none --gc-sections --fatal-warnings -T $(PPC_LDS)

$(PPC)/lib/freestanding/%.o: EXTRA_CFLAGS := -fno-builtin -fno-tree-loop-distribute-patterns

$(PPC)/%.c.o: %.c mk/ppc.mk | $(LIBFDT_HEADER) setup-ppc
	@echo "  PPC CC  $<"
	@mkdir -p $(@D)
	$(Q)$(PPC_CC) $(PPC_CFLAGS) $(EXTRA_CFLAGS) -c -o $@ $<

# Where assembly finds the members of structures: the compiler tells.
PPC_OFFSETS := $(PPC)/include/ppc_offsets.h
$(PPC_OFFSETS): arch/ppc/offsets.c mk/ppc.mk | $(LIBFDT_HEADER) setup-ppc
	@echo "  PPC GEN $@"
	@mkdir -p $(@D)
	$(Q)$(PPC_CC) $(PPC_CFLAGS) -MF $(PPC)/offsets.d -MT $@ -S -o $(PPC)/offsets.s $<
	$(Q)sed -n 's/^@define \([A-Z0-9_]*\) \(-\{0,1\}[0-9]*\)$$/#define \1 \2/p' $(PPC)/offsets.s >$@.$$$$ && mv $@.$$$$ $@

$(PPC)/%.S.o: %.S mk/ppc.mk $(PPC_OFFSETS) | setup-ppc
	@echo "  PPC AS  $<"
	@mkdir -p $(@D)
	$(Q)$(PPC_CC) $(PPC_CFLAGS) -D__ASSEMBLY__ -c -o $@ $<

$(PPC)/libfdt.a: $(LIBFDT_HEADER) mk/setup.mk mk/ppc.mk | setup-ppc
	$(call build-libfdt,$(PPC_CC) $(PPC_CODEGEN) $(PPC_INCLUDES))

# The symbol table: see mk/hypervisor.mk.
LINK_PPC        = $(PPC_LD) $(PPC_LDFLAGS) -o
PPC_LINK_INPUTS = $(PPC_OBJECTS) $(PPC)/libfdt.a
PPC_LIBGCC      = $(shell $(PPC_CC) $(PPC_CODEGEN) -print-libgcc-file-name)

$(PPC)/saguaro.elf: $(PPC_OBJECTS) $(PPC)/libfdt.a $(PPC_LDS) tools/symbols.py mk/ppc.mk
	@echo "  PPC LD  $@"
	$(Q)$(PYTHON) tools/symbols.py </dev/null >$(PPC)/symbols0.S
	$(Q)$(PPC_CC) -c -o $(PPC)/symbols0.o $(PPC)/symbols0.S
	$(Q)$(LINK_PPC) $(PPC)/pass1.elf $(PPC_LINK_INPUTS) $(PPC)/symbols0.o $(PPC_LIBGCC)
	$(Q)$(PPC_NM) -n -S --defined-only $(PPC)/pass1.elf | $(PYTHON) tools/symbols.py >$(PPC)/symbols1.S
	$(Q)$(PPC_CC) -c -o $(PPC)/symbols1.o $(PPC)/symbols1.S
	$(Q)$(LINK_PPC) $@ -Map=$(PPC)/saguaro.map $(PPC_LINK_INPUTS) $(PPC)/symbols1.o $(PPC_LIBGCC)
	$(Q)$(PPC_NM) -n -S --defined-only $@ | $(PYTHON) tools/symbols.py | cmp - $(PPC)/symbols1.S || \
	    { echo "the symbol table moved code: in $(PPC_LDS) .text must come before .rodata" >&2; rm -f $@; exit 1; }

.PHONY: hypervisor-ppc
hypervisor-ppc: $(PPC)/saguaro.elf

-include $(PPC_OBJECTS:.o=.d) $(PPC)/offsets.d
