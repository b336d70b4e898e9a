// SPDX-License-Identifier: Apache-2.0
// The machine's PCI functions as found at its start. Configuration space is the hypervisor's alone: nobody
// else gets at it but through devices/service_host_pci.c.
#ifndef SAGUARO_DEVICES_HOST_PCI_H
#define SAGUARO_DEVICES_HOST_PCI_H

#include "lib/pci.h"

#define HOST_PCI_MAX  256u /* functions; more are left out */
#define HOST_PCI_NAME 16u  /* bytes of "0000:00:1f.2" */

struct host_pci {
    uint16_t segment;
    uint8_t bus, devfn;
    const struct host_pci *bridge;    /* that its bus is behind; NULL: a root bus */
    uint8_t config[PCI_SPACE];        /* as it was found; its BARs where they are now */
    struct pci_range range[PCI_BARS]; /* of an ordinary function; of bridges and system devices none are
                                         known. Addresses of memory are a CPU's */
    struct pci_msix msix;             /* count 0: none */
    struct pci_msi msi;               /* count 0: none */
    unsigned express;                 /* offset of its PCI Express capability; 0: none */
    bool reset;                       /* it can be reset by itself */
    bool claimed;                     /* by the service VM; kept by devices/service_host_pci.c */
    const char *guest;                /* name of the guest that has it to itself; NULL: none. Kept by
                                         devices/passed_host.c */
};

/* Finds the functions, once, before any guest runs. */
void host_pci_init(void);
unsigned host_pci_count(void);
struct host_pci *host_pci_get(unsigned index); /* index < host_pci_count() */

uint32_t host_pci_class(const struct host_pci *pci); /* class << 16 | subclass << 8 | interface */
void host_pci_name(const struct host_pci *pci, char name[HOST_PCI_NAME]);
/* Its pin as it arrives at the root bus, where the function *root is that it comes in by: 1..4; 0: it has
 * none. (PCI-to-PCI Bridge Architecture 1.2, 9.1) */
unsigned host_pci_pin(const struct host_pci *pci, const struct host_pci **root);
/* Another function that has a memory BAR in [base, end); NULL: none. */
const struct host_pci *host_pci_sharer(const struct host_pci *pci, uint64_t base, uint64_t end);

/* The function as an IOMMU sees it: devices/host_pci_dma.c. False: it has more requester IDs than fit. */
struct iommu_device;
bool host_pci_dma(const struct host_pci *pci, struct iommu_device *device);

/* Whether the machine needs it: bridges, interrupt controllers and the like. */
bool host_pci_is_ours(const struct host_pci *pci);

/* For who has the function, devices/host_pci_control.c. Messages of both kinds: off. */
void host_pci_interrupts_off(const struct host_pci *pci);
/* MSI on, with one message: a write of `data` to `address`. False: it has no room for that address. */
bool host_pci_msi_on(const struct host_pci *pci, uint64_t address, uint32_t data);
/* As the firmware has set it up, in case that it was reset since; it decodes nothing and is no bus master.
 * False: it does not answer as it did. */
bool host_pci_restore(const struct host_pci *pci);
/* Whether it can be reset without another one being reset: by itself, or by its bus, on which it is alone. */
bool host_pci_can_reset(const struct host_pci *pci);
/* Resets one that can be. It is no bus master. It is there again after HOST_PCI_RESET_TIME. */
#define HOST_PCI_RESET_TIME 100000000ull /* ns */
void host_pci_reset(const struct host_pci *pci);

/* Configuration space, at an offset that is aligned to `size`, 1, 2 or 4 bytes. */
uint32_t host_pci_read(const struct host_pci *pci, unsigned offset, unsigned size);
void host_pci_write(const struct host_pci *pci, unsigned offset, unsigned size, uint32_t value);

#endif
