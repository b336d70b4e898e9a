// SPDX-License-Identifier: Apache-2.0
// Between the PCI host (pci.c) and its two bridges (pci_bridges.c).
#ifndef SAGUARO_ARCH_X86_GUEST_PCI_INTERNAL_H
#define SAGUARO_ARCH_X86_GUEST_PCI_INTERNAL_H

#include "arch/x86/guest/pci.h"
#include "core/vm.h"

#define PCI_PIRQS       4
#define PCI_PIRQ_UNUSED 0x80u /* PIRQx_ROUT bit 7: not routed to an ISA line */
#define PCI_PAM_COUNT   13    /* 0xC0000-0xEFFFF in 16 KiB steps, and 0xF0000-0xFFFFF */

struct pci_host {
    struct spinlock lock; /* configuration */
    struct vm *vm;
    uint32_t address; /* CONFIG_ADDRESS */
    uint64_t ecam;    /* where ECAM is on the bus; size 0: nowhere */
    uint64_t ecam_size;
    uint8_t pam[PCI_PAM_COUNT]; /* what the memory map shows now: bit 0 reads, bit 1 writes go to RAM */
    bool smram_open;            /* 0xA0000-0xBFFFF is RAM now */
    struct pci_function *function[256];
    struct pci_function bridge; /* 00:00.0 */
    struct pci_function lpc;    /* 00:1f.0 */

    struct spinlock line_lock;    /* pins; inside `lock`, or alone */
    unsigned asserted[PCI_PIRQS]; /* functions that hold the line up */
    uint8_t route[PCI_PIRQS];     /* PIRQA-D_ROUT */
    uint16_t isa;                 /* levels of the ISA lines as PIRQs drive them */
};

/* Puts ECAM on the memory bus; `size` 0: takes it away. Where another range is in the way it is nowhere. */
void pci_place_ecam(struct pci_host *host, uint64_t base, uint64_t size);
/* PIRQA-D_ROUT changed. */
void pci_set_routes(struct pci_host *host, const uint8_t route[PCI_PIRQS]);

/* The bridges' functions: reset values, and the effect of their registers on the rest of the PC. */
void pci_bridges_init(struct pci_host *host);
void pci_bridges_reset(struct pci_host *host);
void pci_bridges_apply(struct pci_host *host);
/* Checks saved configuration spaces against what these bridges can hold, and takes them over. */
bool pci_bridges_load(struct pci_host *host, const uint8_t bridge[PCI_CONFIG_SIZE],
                      const uint8_t lpc[PCI_CONFIG_SIZE]);

#endif
