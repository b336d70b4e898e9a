// SPDX-License-Identifier: Apache-2.0
// A memory BAR of a guest's PCI function: where it is on the VM's bus.
#ifndef SAGUARO_DEVICES_PCI_BAR_H
#define SAGUARO_DEVICES_PCI_BAR_H

#include <stdbool.h>
#include <stdint.h>

struct vm;
struct bus_ops;

#define PCI_BARS        6u
#define PCI_BAR_NOWHERE UINT64_MAX

struct pci_bar {
    uint32_t size; /* bytes, a power of two from 4096 on; 0: there is no such BAR */
    uint64_t base; /* guest-physical, where it is now; PCI_BAR_NOWHERE */
    const struct bus_ops *ops;
    void *device;
    const char *name; /* for reports */
};

/*
 * Puts the BAR where PCI memory address `address` (PCI_BAR_NOWHERE: nowhere) is for the CPUs, or takes it
 * away: where the address is not aligned, where no CPU reaches it, over RAM or ROM, or over another range,
 * it is nowhere; the next call tries again. One caller at a time for each BAR. vCPUs may be running: those
 * that access it meanwhile find it in its old place, in its new one or not at all.
 */
void pci_bar_place(struct vm *vm, struct pci_bar *bar, uint64_t address);

/* Whether RAM, ROM, or registers that are shown, have a part of [base, base + size). */
bool pci_bar_over_memory(struct vm *vm, uint64_t base, uint64_t size);

#endif
