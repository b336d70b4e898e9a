// SPDX-License-Identifier: Apache-2.0
// A memory BAR of a guest's PCI function: where it is on the VM's bus.
#include "devices/pci_bar.h"

#include "core/vm.h"

bool pci_bar_over_memory(struct vm *vm, uint64_t base, uint64_t size) {
    struct guest_memory *memory = &vm->memory;
    bool over = false;
    spin_lock(&memory->lock);
    for (uint32_t i = 0; i < memory->region_count && !over; i++) {
        const struct guest_region *region = &memory->region[i];
        over = base < region->base + region->size && region->base < base + size;
    }
    spin_unlock(&memory->lock);
    return over;
}

/* Where the CPUs find the BAR if it is at PCI address `address`. */
static uint64_t cpu_address(struct vm *vm, const struct pci_bar *bar, uint64_t address) {
    uint32_t last = bar->size - 1;
    if (address > UINT32_MAX || address & last)
        return PCI_BAR_NOWHERE;
    uint64_t base = arch_pci_memory(vm, (uint32_t)address);
    /* The bus of PCI may reach further than what the CPUs see of it. */
    if (base == UINT64_MAX || arch_pci_memory(vm, (uint32_t)address + last) != base + last)
        return PCI_BAR_NOWHERE;
    return pci_bar_over_memory(vm, base, bar->size) ? PCI_BAR_NOWHERE : base;
}

void pci_bar_place(struct vm *vm, struct pci_bar *bar, uint64_t address) {
    struct bus *bus = &vm->bus[BUS_MEMORY];
    uint64_t base = cpu_address(vm, bar, address);
    if (base == bar->base)
        return;
    if (bar->base != PCI_BAR_NOWHERE)
        bus_remove(bus, bar->base);
    if (base != PCI_BAR_NOWHERE && bus_add(bus, base, bar->size, bar->ops, bar->device, bar->name))
        base = PCI_BAR_NOWHERE;
    bar->base = base;
}
