// SPDX-License-Identifier: Apache-2.0
// Configuration space of PCI functions: identity, base addresses, capabilities, bridges.
#include "lib/pci.h"

#define FIRST_CAPABILITY 0x40u
#define STATUS_LIST      0x10u

#define BAR_IO           1u
#define BAR_TYPE         6u
#define BAR_WIDE         4u

unsigned pci_space_layout(const uint8_t space[PCI_SPACE]) {
    return space[PCI_HEADER_TYPE] & 0x7fu;
}

bool pci_space_multi(const uint8_t space[PCI_SPACE]) {
    return (space[PCI_HEADER_TYPE] & 0x80) != 0;
}

unsigned pci_range_decode(const uint32_t *value, const uint32_t *mask, unsigned count, unsigned index,
                          struct pci_range *range) {
    *range = (struct pci_range){.kind = PCI_RANGE_NONE};
    if (index >= count || !mask[index])
        return 1;
    bool io = value[index] & BAR_IO;
    bool wide = !io && (value[index] & BAR_TYPE) == BAR_WIDE;
    if (wide && index + 1 >= count)
        return 1;
    uint32_t flags = io ? 3u : 15u;
    uint64_t bits = mask[index] & ~flags, address = value[index] & ~flags;
    if (io && bits < 0x10000u)
        bits |= bits ? 0xffff0000u : 0u; /* 16 bits are enough for I/O */
    if (wide) {
        bits |= (uint64_t)mask[index + 1] << 32;
        address |= (uint64_t)value[index + 1] << 32;
    } else {
        bits |= bits ? 0xffffffffull << 32 : 0;
    }
    uint64_t size = bits & (0 - bits);
    /* All bits from the size on up, and no more, can be written; the address is aligned to the size. */
    if (bits && bits + size == 0 && !(address & (size - 1))) {
        range->kind = io ? PCI_RANGE_IO : PCI_RANGE_MEMORY;
        range->address = address;
        range->size = size;
        range->wide = wide;
    }
    return wide ? 2 : 1;
}

unsigned pci_space_capability(const uint8_t space[PCI_SPACE], uint8_t id, unsigned after) {
    uint64_t seen = 0; /* bit n: the capability at 4 * n was passed: a caller's walk ends, too */
    bool found = after == 0;

    if (!(pci_space16(space, PCI_STATUS) & STATUS_LIST))
        return 0;
    unsigned at = space[PCI_CAPABILITIES] & ~3u;
    while (at >= FIRST_CAPABILITY && !(seen & 1ull << at / 4)) {
        seen |= 1ull << at / 4;
        if (found && space[at] == id)
            return at;
        found = found || at == after;
        at = space[at + 1] & ~3u;
    }
    return 0;
}

bool pci_msi_read(const uint8_t space[PCI_SPACE], struct pci_msi *msi) {
    unsigned offset = pci_space_capability(space, PCI_CAPABILITY_MSI, 0);
    if (!offset)
        return false;
    uint16_t control = pci_space16(space, offset + PCI_MSI_CONTROL);
    unsigned log = control >> 1 & 7;
    bool wide = control & 0x80, masking = control & 0x100;
    unsigned data = offset + (wide ? 12 : 8);
    if (log > 5 || data + (masking ? 12 : 2) > PCI_SPACE)
        return false;
    *msi = (struct pci_msi){
        .offset = offset, .count = 1u << log, .data = data, .masking = masking ? data + 4 : 0, .wide = wide};
    return true;
}

/* Whether [offset, offset + size) lies in a memory BAR. */
static bool inside(const struct pci_range range[PCI_BARS], unsigned bar, uint32_t offset, uint32_t size) {
    return bar < PCI_BARS && range[bar].kind == PCI_RANGE_MEMORY && offset <= range[bar].size &&
           size <= range[bar].size - offset;
}

bool pci_msix_read(const uint8_t space[PCI_SPACE], const struct pci_range range[PCI_BARS],
                   struct pci_msix *msix) {
    unsigned offset = pci_space_capability(space, PCI_CAPABILITY_MSIX, 0);
    if (!offset || offset + 12 > PCI_SPACE)
        return false;
    unsigned count = (pci_space16(space, offset + PCI_MSIX_CONTROL) & 0x7ffu) + 1;
    uint32_t table = pci_space32(space, offset + 4), pending = pci_space32(space, offset + 8);
    if (!inside(range, table & 7, table & ~7u, count * PCI_MSIX_ENTRY) ||
        !inside(range, pending & 7, pending & ~7u, (count + 63) / 64 * 8))
        return false;
    *msix = (struct pci_msix){.offset = offset, .count = count, .bar = table & 7, .table = table & ~7u};
    return true;
}

unsigned pci_express_read(const uint8_t space[PCI_SPACE], bool *reset) {
    unsigned offset = pci_space_capability(space, PCI_CAPABILITY_EXPRESS, 0);
    *reset = false;
    if (!offset || offset + PCI_EXPRESS_CONTROL + 4 > PCI_SPACE)
        return 0;
    *reset = pci_space32(space, offset + 4) >> 28 & 1;
    return offset;
}

bool pci_bridge_read(const uint8_t space[PCI_SPACE], uint8_t bus, struct pci_bridge *bridge) {
    if (pci_space_layout(space) != 1)
        return false;
    *bridge =
        (struct pci_bridge){.primary = space[0x18], .secondary = space[0x19], .subordinate = space[0x1a]};
    return bridge->secondary > bus && bridge->subordinate >= bridge->secondary;
}

const char *pci_class_name(uint32_t code) {
    static const struct {
        uint32_t code, mask;
        const char *name;
    } names[] = {
        {0x010000, 0xffff00, "SCSI disks"},    {0x010100, 0xffff00, "IDE disks"},
        {0x010400, 0xffff00, "RAID disks"},    {0x010600, 0xffff00, "SATA disks"},
        {0x010700, 0xffff00, "SAS disks"},     {0x010800, 0xffff00, "NVMe disk"},
        {0x010000, 0xff0000, "mass storage"},  {0x020000, 0xffff00, "Ethernet card"},
        {0x028000, 0xffff00, "network card"},  {0x020000, 0xff0000, "network card"},
        {0x030000, 0xff0000, "display"},       {0x040000, 0xff0000, "multimedia"},
        {0x050000, 0xff0000, "memory"},        {0x060000, 0xffff00, "host bridge"},
        {0x060100, 0xffff00, "ISA bridge"},    {0x060400, 0xffff00, "PCI bridge"},
        {0x060000, 0xff0000, "bridge"},        {0x070000, 0xffff00, "serial port"},
        {0x070000, 0xff0000, "communication"}, {0x080000, 0xff0000, "system device"},
        {0x090000, 0xff0000, "input device"},  {0x0c0300, 0xffff00, "USB controller"},
        {0x0c0500, 0xffff00, "SMBus"},         {0x0c0000, 0xff0000, "serial bus"},
        {0x0d0000, 0xff0000, "wireless"},      {0x100000, 0xff0000, "encryption"},
        {0x120000, 0xff0000, "accelerator"},
    };
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if ((code & names[i].mask) == names[i].code)
            return names[i].name;
    return "other";
}
