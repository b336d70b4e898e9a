// SPDX-License-Identifier: Apache-2.0
// The MSI-X table and pending bits of a guest's PCI function (PCI Local Bus 3.0, 6.8.2), apart from where
// they are and how a message travels.
#ifndef SAGUARO_DEVICES_PCI_MSIX_H
#define SAGUARO_DEVICES_PCI_MSIX_H

#include <stdbool.h>
#include <stdint.h>

#define PCI_MSIX_CAPABILITY      0x11
#define PCI_MSIX_CAPABILITY_SIZE 12u /* bytes */
#define PCI_MSIX_CONTROL         2u  /* offsets in the capability */
#define PCI_MSIX_TABLE           4u
#define PCI_MSIX_PBA             8u
#define PCI_MSIX_CONTROL_ENABLE  0x8000u
#define PCI_MSIX_CONTROL_MASK    0x4000u /* of the whole function */
#define PCI_MSIX_ENTRY_SIZE      16u     /* bytes of the table */
#define PCI_MSIX_MAX             64u     /* vectors */

struct state_writer;
struct state_reader;

struct pci_msix_message {
    uint64_t address;
    uint32_t data;
};

/* No lock of its own: the owner holds one around each call. */
struct pci_msix {
    unsigned count; /* vectors, up to PCI_MSIX_MAX; set once */
    bool enabled;
    bool held;        /* nothing may be sent now: the function is masked, or is no bus master */
    uint64_t masked;  /* bit n: vector n's own mask */
    uint64_t pending; /* bit n: a message of vector n waits */
    struct pci_msix_message message[PCI_MSIX_MAX];
};

/* Power-on: off, all masked, nothing pending. */
void pci_msix_reset(struct pci_msix *msix);
/* Message control, or the right to send, changed. What waited is forgotten once MSI-X is off. */
void pci_msix_set(struct pci_msix *msix, bool enabled, bool held);

/* Accesses to the table and the pending bits, from their starts: 4 or 8 bytes, aligned (6.8.2.5 has no
 * others); others read 0 and write nothing, as does what lies behind the last entry. */
uint64_t pci_msix_table_read(const struct pci_msix *msix, uint64_t offset, unsigned size);
void pci_msix_table_write(struct pci_msix *msix, uint64_t offset, unsigned size, uint64_t value);
uint64_t pci_msix_pending_read(const struct pci_msix *msix, uint64_t offset, unsigned size);

/* Vector `vector`, below `count`, is to be sent: it is pending from now on, until pci_msix_take(). */
void pci_msix_raise(struct pci_msix *msix, unsigned vector);
/* A pending message that may be sent, which is then pending no more: lowest vector first. False: there is
 * none. To be called until then after anything that may let one go. */
bool pci_msix_take(struct pci_msix *msix, struct pci_msix_message *message);

/* The table and pending bits; enabled and held follow from the configuration space. */
void pci_msix_save(const struct pci_msix *msix, struct state_writer *writer);
/* False: not the same number of vectors, or values that cannot be; the state is undefined until a reset. */
bool pci_msix_load(struct pci_msix *msix, struct state_reader *reader);

#endif
