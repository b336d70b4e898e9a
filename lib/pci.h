// SPDX-License-Identifier: Apache-2.0
// What a PCI function's configuration space says (PCI Local Bus 3.0, ch. 6; PCI Express Base 3.0, 7.5
// to 7.8): base addresses, capabilities, messages, bridges. Pure: from a copy of the space, of which nothing
// is believed.
#ifndef SAGUARO_LIB_PCI_H
#define SAGUARO_LIB_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCI_SPACE              256u /* bytes of configuration space that are looked at */
#define PCI_BARS               6u

#define PCI_VENDOR             0x00u
#define PCI_COMMAND            0x04u
#define PCI_STATUS             0x06u
#define PCI_CLASS              0x08u /* revision, interface, subclass, class */
#define PCI_CACHE_LINE         0x0cu
#define PCI_HEADER_TYPE        0x0eu
#define PCI_BAR                0x10u
#define PCI_CAPABILITIES       0x34u
#define PCI_INTERRUPT_LINE     0x3cu
#define PCI_INTERRUPT_PIN      0x3du

#define PCI_COMMAND_IO         0x001u
#define PCI_COMMAND_MEMORY     0x002u
#define PCI_COMMAND_MASTER     0x004u
#define PCI_COMMAND_NO_INTX    0x400u
#define PCI_STATUS_INTX        0x008u /* it asserts its pin, or would (PCI Local Bus 3.0, 6.2.3) */

#define PCI_CAPABILITY_MSI     0x05u
#define PCI_CAPABILITY_EXPRESS 0x10u
#define PCI_CAPABILITY_MSIX    0x11u

#define PCI_MSI_CONTROL        2u /* in its capability; 16 bits */
#define PCI_MSI_ENABLE         0x0001u
#define PCI_MSI_ADDRESS        4u
#define PCI_MSIX_CONTROL       2u /* in its capability; 16 bits */
#define PCI_MSIX_ENABLE        0x8000u
#define PCI_MSIX_MASK_ALL      0x4000u
#define PCI_MSIX_ENTRY         16u /* bytes of one in the table: address (8), data (4), control (4) */
#define PCI_MSIX_ENTRY_MASKED  1u
#define PCI_EXPRESS_CONTROL    8u /* device control, in its capability; 16 bits */
#define PCI_EXPRESS_RESET      0x8000u

static inline uint16_t pci_space16(const uint8_t *space, unsigned offset) {
    return (uint16_t)(space[offset] | space[offset + 1] << 8);
}
static inline uint32_t pci_space32(const uint8_t *space, unsigned offset) {
    return pci_space16(space, offset) | (uint32_t)pci_space16(space, offset + 2) << 16;
}

/* Header layout: 0 an ordinary function, 1 a bridge; others are not looked into. */
unsigned pci_space_layout(const uint8_t space[PCI_SPACE]);
/* Whether the slot of this function 0 has more of them. */
bool pci_space_multi(const uint8_t space[PCI_SPACE]);

enum pci_range_kind { PCI_RANGE_NONE, PCI_RANGE_IO, PCI_RANGE_MEMORY };

/* What a base address register asks for. */
struct pci_range {
    uint64_t address; /* as programmed; 0: nowhere */
    uint64_t size;    /* bytes, a power of two */
    uint8_t kind;     /* enum pci_range_kind */
    bool wide;        /* 64 bits, in two registers */
};

/* Decodes register `index` of `count`, from what each held and what it held after all ones were written.
 * Returns how many registers it takes, 1 or 2. One whose size bits make no sense is none. */
unsigned pci_range_decode(const uint32_t *value, const uint32_t *mask, unsigned count, unsigned index,
                          struct pci_range *range);

/* A capability's offset, the next one after `after` (0: the first) with that ID; 0: there is none, or the
 * list loops or leaves the space before. */
unsigned pci_space_capability(const uint8_t space[PCI_SPACE], uint8_t id, unsigned after);

struct pci_msi {
    unsigned offset;  /* of the capability */
    unsigned count;   /* messages that it can send, 1..32 */
    unsigned data;    /* offset of the data in the space */
    unsigned masking; /* offset of the mask bits in the space; 0: it has none */
    bool wide;        /* the address has 64 bits */
};
/* False: it has no MSI, or its capability does not fit. */
bool pci_msi_read(const uint8_t space[PCI_SPACE], struct pci_msi *msi);

struct pci_msix {
    unsigned offset; /* of the capability */
    unsigned count;  /* entries of the table, 1..2048 */
    unsigned bar;    /* that holds the table */
    uint32_t table;  /* offset of the table in it */
};
/* False: it has no MSI-X, or one whose table or pending bits do not lie in a memory BAR. */
bool pci_msix_read(const uint8_t space[PCI_SPACE], const struct pci_range range[PCI_BARS],
                   struct pci_msix *msix);

/* The PCI Express capability, if it reaches to the device control register; 0: none. *reset: the function can
 * reset itself by that register. */
unsigned pci_express_read(const uint8_t space[PCI_SPACE], bool *reset);

struct pci_bridge {
    uint8_t primary, secondary, subordinate; /* bus numbers */
};
/* The buses behind a bridge of layout 1. False: it is none, or they do not lie behind bus `bus`, where it is.
 */
bool pci_bridge_read(const uint8_t space[PCI_SPACE], uint8_t bus, struct pci_bridge *bridge);

/* A class code (class << 16 | subclass << 8 | interface) in words. Never NULL. */
const char *pci_class_name(uint32_t code);

#endif
