// SPDX-License-Identifier: Apache-2.0
// The machine's PCI functions as drivers see them: identity, capabilities, registers behind BARs, interrupts,
// and memory for DMA. The hypervisor keeps configuration space and the MSI-X table (abi/service.h); a driver
// gets at both only through here.
#ifndef SAGUARO_DRIVERS_PCI_PCI_H
#define SAGUARO_DRIVERS_PCI_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "abi/service.h"

struct pci_device;

/* What is below: the calls of abi/service.h, or a test's own. Errors are negative errno. */
struct pci_host {
    int (*claim)(unsigned number);
    int (*master)(unsigned number, bool on);
    int (*vectors)(unsigned number, unsigned wanted);
    int (*unmask)(unsigned number, bool mine);
    /* Registers, [physical, physical + size), mapped uncached; NULL: no room. Stays for this run. */
    void *(*map)(uint64_t physical, uint64_t size);
    /* `size` bytes that lie together for a device, zeroed, aligned to 4096, cached and coherent; *dma is the
     * device's address of it. NULL: there is no memory. Never given back. */
    void *(*dma)(size_t size, uint64_t *dma);
    /* Nanoseconds of the machine's clock. */
    uint64_t (*now)(void);
};

struct pci_device {
    const struct pci_host *host;
    const struct service_pci
        *info;        /* in the board: the hypervisor's word, whose lengths pci.c still checks */
    unsigned number;  /* in board.pci[] */
    unsigned vectors; /* after pci_set_vectors(): how many there are; 0: the driver is polled */
    void *bar[6];     /* what pci_map() has mapped; NULL: not yet */
    bool mine;        /* pci_mine() was called since pci_unmask() was */
};

/* Identity, from the configuration space as it was found. */
uint16_t pci_vendor(const struct pci_device *device);
uint16_t pci_id(const struct pci_device *device);
uint32_t pci_class(const struct pci_device *device); /* class << 16 | subclass << 8 | interface */
/* A capability's offset, the next one after offset `after` (0: the first) with that ID; 0: there is none.
 * (PCI Local Bus 3.0, 6.7) A list that loops or leaves the space ends. */
unsigned pci_capability(const struct pci_device *device, uint8_t id, unsigned after);
uint32_t pci_config(const struct pci_device *device, unsigned offset, unsigned size); /* 0 beyond the space */

/* Makes it ours: registers can be mapped, DMA and interrupts are off. 0, or the host's error. */
int pci_claim(struct pci_device *device, const struct pci_host *host, const struct service_pci *info,
              unsigned number);
/* Registers [offset, offset + size) of a BAR; NULL: it does not have them, or there is no room. */
volatile void *pci_map(struct pci_device *device, unsigned bar, uint64_t offset, uint64_t size);
/* Asks for `wanted` interrupts; device->vectors says what came of it. */
int pci_set_vectors(struct pci_device *device, unsigned wanted);
int pci_set_master(struct pci_device *device, bool on);
/* The line interrupt was looked at and may come again. If it came for no reason again and again, there are
 * none any more: device->vectors is 0 then. */
void pci_unmask(struct pci_device *device);
/* The device had a reason for an interrupt: it is not somebody else's on the line, or nobody's. */
static inline void pci_mine(struct pci_device *device) {
    device->mine = true;
}

/* Registers are little-endian whatever the CPU is. `at` is aligned to its size. */
uint8_t pci_read8(const volatile void *at);
uint16_t pci_read16(const volatile void *at);
uint32_t pci_read32(const volatile void *at);
uint64_t pci_read64(const volatile void *at); /* the low half first, as two reads of 32 bits */
void pci_write8(volatile void *at, uint8_t value);
void pci_write16(volatile void *at, uint16_t value);
void pci_write32(volatile void *at, uint32_t value);
void pci_write64(volatile void *at, uint64_t value); /* the low half first, as two writes of 32 bits */

#endif
