// SPDX-License-Identifier: Apache-2.0
// The machine's device tree (ePAPR 1.1, ch. 3; Linux bindings of the Freescale SoCs). Everything that is used
// is checked for its form here.
#include "arch/ppc/machine.h"

#include <string.h>
#include <libfdt.h>
#include "arch/ppc/machine_internal.h"

#define CCSR_PART 0x1000u /* what is asked for of each device's registers, at the most */

/* A property of 1 or 2 cells. False: there is none of that form. */
static bool number_read(const void *tree, int node, const char *name, uint64_t *value) {
    int length;
    const fdt32_t *at = fdt_getprop(tree, node, name, &length);
    if (at == NULL || (length != 4 && length != 8))
        return false;
    *value = machine_cells(at, length / 4);
    return true;
}

static bool is_type(const void *tree, int node, const char *type) {
    int length;
    const char *at = fdt_getprop(tree, node, "device_type", &length);
    return at != NULL && length == (int)strlen(type) + 1 && memcmp(at, type, (size_t)length) == 0;
}

static const char *memory_read(const void *tree, struct machine *machine) {
    int address_cells = fdt_address_cells(tree, 0), size_cells = fdt_size_cells(tree, 0), node;

    if (address_cells < 1 || address_cells > 2 || size_cells < 1 || size_cells > 2)
        return "has addresses of a size that is not 1 or 2 cells";
    fdt_for_each_subnode(node, tree, 0) {
        int length, each = 4 * (address_cells + size_cells);
        if (!is_type(tree, node, "memory"))
            continue;
        const fdt32_t *at = fdt_getprop(tree, node, "reg", &length);
        for (; at != NULL && length >= each; length -= each, at += address_cells + size_cells) {
            struct memory_range range = {.base = machine_cells(at, address_cells),
                                         .size = machine_cells(at + address_cells, size_cells)};
            if (range.size == 0)
                continue;
            if (range.base + range.size < range.base || range.base + range.size > 1ull << 36)
                return "has memory beyond 36 bits of address";
            if (machine->memory_count == MACHINE_RANGES)
                return "has too many ranges of memory";
            machine->memory[machine->memory_count++] = range;
        }
    }
    if (machine->memory_count == 0)
        return "has no memory";
    for (int i = 0; i < fdt_num_mem_rsv(tree); i++) {
        struct memory_range range;
        if (fdt_get_mem_rsv(tree, i, &range.base, &range.size) != 0 || range.base + range.size < range.base)
            return "has a memory reservation that is none";
        if (machine->reserved_count == MACHINE_RANGES)
            return "has too many memory reservations";
        machine->reserved[machine->reserved_count++] = range;
    }
    return NULL;
}

static const char *cpus_read(const void *tree, struct machine *machine) {
    int cpus = fdt_path_offset(tree, "/cpus"), node;
    uint64_t value;

    if (cpus < 0)
        return "has no /cpus";
    fdt_for_each_subnode(node, tree, cpus) {
        if (!is_type(tree, node, "cpu"))
            continue;
        if (!number_read(tree, node, "reg", &value) || value >= MACHINE_CPUS)
            return "has a CPU without a number that an MPIC knows";
        if (machine->cpu_count == MACHINE_CPUS)
            return "has too many CPUs";
        struct machine_cpu *cpu = &machine->cpu[machine->cpu_count++];
        cpu->id = (uint32_t)value;
        cpu->release = 0;
        if (number_read(tree, node, "cpu-release-addr", &value)) {
            if (value == 0 || value % 32 != 0 || value >= 1ull << 36)
                return "has a cpu-release-addr that cannot be";
            cpu->release = value;
        }
        if (machine->timebase == 0 && number_read(tree, node, "timebase-frequency", &value) &&
            value <= UINT32_MAX)
            machine->timebase = (uint32_t)value;
    }
    if (machine->cpu_count == 0)
        return "has no CPUs";
    return machine->timebase == 0 ? "does not tell the time base's frequency" : NULL;
}

/* Offset in CCSR of a child of the SoC's node; 0: it has none. */
static uint32_t offset_read(const void *tree, int soc, int node, uint32_t size) {
    int length;
    if (node < 0 || fdt_parent_offset(tree, node) != soc)
        return 0;
    const fdt32_t *reg = fdt_getprop(tree, node, "reg", &length);
    if (reg == NULL || length < 8)
        return 0;
    uint32_t offset = fdt32_to_cpu(reg[0]);
    return offset <= MACHINE_CCSR_SIZE - size ? offset : 0;
}

static void uart_read(const void *tree, int soc, struct machine *machine) {
    static const char *const names[] = {"linux,stdout-path", "stdout-path"};
    int chosen = fdt_path_offset(tree, "/chosen"), node = -1;
    uint64_t value;

    for (unsigned i = 0; i < 2 && node < 0 && chosen >= 0; i++) {
        int length;
        const char *path = fdt_getprop(tree, chosen, names[i], &length);
        if (path != NULL && length > 0 && path[length - 1] == '\0')
            node = fdt_path_offset(tree, path);
    }
    if (node < 0 || fdt_node_check_compatible(tree, node, "ns16550") != 0)
        node = fdt_node_offset_by_compatible(tree, -1, "ns16550");
    machine->uart_source = UINT32_MAX;
    machine->uart = offset_read(tree, soc, node, 8);
    if (machine->uart == 0)
        return;
    if (number_read(tree, node, "clock-frequency", &value) && value <= UINT32_MAX)
        machine->uart_clock = (uint32_t)value;
    int length;
    const fdt32_t *interrupts = fdt_getprop(tree, node, "interrupts", &length);
    if (interrupts != NULL && length >= 8)
        machine->uart_source = fdt32_to_cpu(interrupts[0]);
}

static void power_read(const void *tree, int soc, struct machine *machine) {
    int length;
    int node = fdt_node_offset_by_prop_value(tree, -1, "fsl,has-rstcr", "", 0);
    machine->guts = offset_read(tree, soc, node, CCSR_PART);
    node = fdt_node_offset_by_compatible(tree, -1, "gpio-poweroff");
    if (node < 0)
        return;
    const fdt32_t *gpios = fdt_getprop(tree, node, "gpios", &length);
    if (gpios == NULL || length < 12)
        return;
    node = fdt_node_offset_by_phandle(tree, fdt32_to_cpu(gpios[0]));
    machine->gpio_pin = fdt32_to_cpu(gpios[1]);
    if (node < 0 || machine->gpio_pin > 31 || fdt_node_check_compatible(tree, node, "fsl,qoriq-gpio") != 0)
        return;
    machine->gpio = offset_read(tree, soc, node, CCSR_PART);
}

static const char *soc_read(const void *tree, struct machine *machine) {
    int soc = fdt_node_offset_by_prop_value(tree, -1, "device_type", "soc", sizeof("soc"));
    int length, address_cells = fdt_address_cells(tree, 0);

    if (soc < 0 || fdt_parent_offset(tree, soc) != 0)
        return "has no SoC";
    const fdt32_t *ranges = fdt_getprop(tree, soc, "ranges", &length);
    if (ranges == NULL || length < 4 * (address_cells + 2) || fdt_address_cells(tree, soc) != 1 ||
        fdt_size_cells(tree, soc) != 1)
        return "has a SoC whose registers have no place";
    machine->ccsr = machine_cells(ranges + 1, address_cells);
    if (ranges[0] != 0 || machine->ccsr % MACHINE_CCSR_SIZE != 0 || machine->ccsr >= 1ull << 36 ||
        fdt32_to_cpu(ranges[1 + address_cells]) < MACHINE_CCSR_SIZE)
        return "places the SoC's registers where they cannot be";
    int mpic = fdt_node_offset_by_prop_value(tree, -1, "device_type", "open-pic", sizeof("open-pic"));
    machine->mpic = offset_read(tree, soc, mpic, 0x40000);
    if (machine->mpic == 0)
        return "has no interrupt controller in the SoC";
    uart_read(tree, soc, machine);
    power_read(tree, soc, machine);
    machine_pci_read(tree, mpic, machine);
    return NULL;
}

static const char *chosen_read(const void *tree, struct machine *machine) {
    int chosen = fdt_path_offset(tree, "/chosen"), length;
    uint64_t start, end;

    if (chosen < 0)
        return NULL;
    const char *arguments = fdt_getprop(tree, chosen, "bootargs", &length);
    if (arguments != NULL && length > 0) {
        size_t size = (size_t)length < MACHINE_ARGUMENTS ? (size_t)length : MACHINE_ARGUMENTS - 1;
        memcpy(machine->arguments, arguments, size);
    }
    if (!number_read(tree, chosen, "linux,initrd-start", &start) ||
        !number_read(tree, chosen, "linux,initrd-end", &end))
        return NULL;
    if (end < start || end > 1ull << 36)
        return "places the initial RAM disk where it cannot be";
    machine->bundle = start;
    machine->bundle_size = end - start;
    return NULL;
}

const char *machine_read(const void *tree, size_t size, struct machine *machine) {
    memset(machine, 0, sizeof(*machine));
    if (fdt_check_full(tree, size) != 0)
        return "is damaged";
    const char *error = memory_read(tree, machine);
    if (error == NULL)
        error = cpus_read(tree, machine);
    if (error == NULL)
        error = soc_read(tree, machine);
    if (error == NULL)
        error = chosen_read(tree, machine);
    return error;
}
