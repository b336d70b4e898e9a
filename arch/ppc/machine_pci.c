// SPDX-License-Identifier: Apache-2.0
// The PCI host bridge of the machine's device tree (IEEE 1275 PCI binding; Linux bindings of the MPC85xx):
// registers, the bus's memory, where interrupt pins lead to.
#include <string.h>
#include "arch/ppc/machine_internal.h"

#define BRIDGE_SIZE    0x1000u
#define CHILD_CELLS    3 /* of an address on the bus: kind and place, then 64 bits */
#define PIN_CELLS      1
#define SIZE_CELLS     2
#define SPACE_MASK     0x03000000u
#define SPACE_MEMORY32 0x02000000u
#define LEAST          0x200000ull /* bytes of memory: half a window would be the bridge's own */
#define SENSE_LOW      1u          /* level-sensitive, active low */
#define SENSE_HIGH     2u
#define SOURCE_MOST    1024u

static uint32_t cell_of(const void *tree, int node, const char *name, uint32_t otherwise) {
    int length;
    const fdt32_t *at = fdt_getprop(tree, node, name, &length);
    return at != NULL && length == 4 ? fdt32_to_cpu(at[0]) : otherwise;
}

static bool registers_read(const void *tree, int node, int address_cells, struct machine *machine) {
    int length;
    const fdt32_t *reg = fdt_getprop(tree, node, "reg", &length);
    if (reg == NULL || length < 4 * address_cells)
        return false;
    uint64_t offset = machine_cells(reg, address_cells) - machine->ccsr;
    if (offset == 0 || offset > MACHINE_CCSR_SIZE - BRIDGE_SIZE || offset % BRIDGE_SIZE != 0)
        return false;
    machine->pci.offset = (uint32_t)offset;
    return true;
}

static bool overlaps(uint64_t base, uint64_t size, uint64_t other, uint64_t other_size) {
    return base < other + other_size && other < base + size;
}

/* Whether a range can be had, in the form that a window of the bridge has: a power of two, to which both
 * addresses are aligned. What is beyond that is left. */
static bool memory_take(const fdt32_t *at, int address_cells, struct machine *machine) {
    uint64_t bus = machine_cells(at + 1, 2), cpu = machine_cells(at + CHILD_CELLS, address_cells);
    uint64_t given = machine_cells(at + CHILD_CELLS + address_cells, SIZE_CELLS), size = 1ull << 31;

    if ((fdt32_to_cpu(at[0]) & SPACE_MASK) != SPACE_MEMORY32 || bus >= 1ull << 32 || cpu >= 1ull << 36)
        return false;
    while (size >= LEAST && (size > given || ((bus | cpu) & (size - 1)) != 0))
        size /= 2;
    if (size < LEAST || bus == 0 || overlaps(cpu, size, machine->ccsr, MACHINE_CCSR_SIZE))
        return false;
    for (unsigned i = 0; i < machine->memory_count; i++)
        if (overlaps(cpu, size, machine->memory[i].base, machine->memory[i].size))
            return false;
    machine->pci.bus_address = (uint32_t)bus;
    machine->pci.address = cpu;
    machine->pci.size = size;
    return true;
}

static bool memory_find(const void *tree, int node, int address_cells, struct machine *machine) {
    const int each = CHILD_CELLS + address_cells + SIZE_CELLS;
    int length;
    const fdt32_t *at = fdt_getprop(tree, node, "ranges", &length);

    for (; at != NULL && length >= 4 * each; length -= 4 * each, at += each)
        if (memory_take(at, address_cells, machine))
            return true;
    return false;
}

/* An entry of the map: for which slots and pins it stands is what the mask leaves of it. */
static void pins_note(const fdt32_t *entry, const fdt32_t *mask, uint32_t source, uint32_t sense,
                      struct machine *machine) {
    uint32_t slots = fdt32_to_cpu(mask[0]), pins = fdt32_to_cpu(mask[CHILD_CELLS]);

    if (source >= SOURCE_MOST || source == machine->uart_source ||
        (sense != SENSE_LOW && sense != SENSE_HIGH))
        return;
    for (uint32_t slot = 0; slot < MACHINE_PCI_SLOTS; slot++)
        for (uint32_t pin = 1; pin <= MACHINE_PCI_PINS; pin++) {
            struct machine_pin *to = &machine->pci.pin[slot][pin - 1];
            if (to->known || ((slot << 11 ^ fdt32_to_cpu(entry[0])) & slots) != 0 ||
                ((pin ^ fdt32_to_cpu(entry[CHILD_CELLS])) & pins) != 0)
                continue;
            *to = (struct machine_pin){.source = (uint16_t)source, .low = sense == SENSE_LOW, .known = true};
        }
}

static void pins_read(const void *tree, int node, int mpic, struct machine *machine) {
    const int before = CHILD_CELLS + PIN_CELLS + 1;
    int length, mask_length;
    const fdt32_t *at = fdt_getprop(tree, node, "interrupt-map", &length);
    const fdt32_t *mask = fdt_getprop(tree, node, "interrupt-map-mask", &mask_length);
    uint32_t address = cell_of(tree, mpic, "#address-cells", 0);
    uint32_t cells = cell_of(tree, mpic, "#interrupt-cells", 0), phandle = fdt_get_phandle(tree, mpic);

    if (at == NULL || mask == NULL || mask_length != 4 * (CHILD_CELLS + PIN_CELLS) || phandle == 0 ||
        address > 2 || cells < 2 || cells > 4)
        return;
    const int each = before + (int)address + (int)cells;
    /* Another controller's entries may have another length: there is no way past them. */
    for (; length >= 4 * each && fdt32_to_cpu(at[before - 1]) == phandle; length -= 4 * each, at += each)
        pins_note(at, mask, fdt32_to_cpu(at[before + (int)address]),
                  fdt32_to_cpu(at[before + (int)address + 1]), machine);
}

void machine_pci_read(const void *tree, int mpic, struct machine *machine) {
    int node = fdt_node_offset_by_compatible(tree, -1, "fsl,mpc8540-pci"), length;
    int address_cells = fdt_address_cells(tree, 0);

    if (node < 0)
        return;
    const fdt32_t *buses = fdt_getprop(tree, node, "bus-range", &length);
    if (buses != NULL && length == 8 && fdt32_to_cpu(buses[0]) <= UINT8_MAX)
        machine->pci.bus = (uint8_t)fdt32_to_cpu(buses[0]);
    if (fdt_parent_offset(tree, node) != 0 || fdt_address_cells(tree, node) != CHILD_CELLS ||
        fdt_size_cells(tree, node) != SIZE_CELLS || cell_of(tree, node, "#interrupt-cells", 0) != PIN_CELLS)
        machine->pci.wrong = "is not of the form of one";
    else if (!memory_find(tree, node, address_cells, machine))
        machine->pci.wrong = "has no memory for devices where it can be used";
    else if (!registers_read(tree, node, address_cells, machine))
        machine->pci.wrong = "has registers where they cannot be";
    else
        pins_read(tree, node, mpic, machine);
}
