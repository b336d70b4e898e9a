// SPDX-License-Identifier: Apache-2.0
// The PCI host of a guest's PC (PCI Local Bus 3.0, 3.2.2.3; PCI Express base specification, 7.2.2).
#include "arch/x86/guest/pci.h"

#include <errno.h>
#include <string.h>

#include "arch/x86/guest/pci_internal.h"
#include "arch/x86/guest/pm.h"
#include "arch/x86/vm.h"
#include "lib/state.h"

#define CONFIG_PORT    0xcf8
#define CONFIG_PORTS   8
#define CONFIG_ENABLE  0x80000000u
#define CONFIG_BITS    0x80fffffcu /* of CONFIG_ADDRESS; the others read 0 */

#define PIRQ_ISA_LINES 0xcce8u /* 3, 5, 6, 7, 10, 11, 14, 15 */

static struct pci_host *host_of(struct vm *vm) {
    return x86_vm(vm)->pc.pci;
}

/* Bit 7 of function 0's header type tells that its slot has more functions: the host knows. */
static bool has_siblings(const struct pci_host *host, uint8_t devfn) {
    if (devfn & 7)
        return false;
    for (unsigned i = 1; i < 8; i++)
        if (host->function[devfn + i])
            return true;
    return false;
}

static bool config_read(struct pci_host *host, unsigned bus, unsigned devfn, unsigned offset, unsigned size,
                        uint64_t *value) {
    struct pci_function *function = bus == 0 ? host->function[devfn] : NULL;
    if (!function)
        return false;
    uint32_t data = function->ops && function->ops->read
                        ? function->ops->read(host->vm, function, offset, size)
                        : pci_config_read(function, offset, size);
    if (offset <= PCI_HEADER_TYPE && offset + size > PCI_HEADER_TYPE && has_siblings(host, function->devfn))
        data |= 0x80u << 8 * (PCI_HEADER_TYPE - offset);
    *value = data;
    return true;
}

static void config_write(struct pci_host *host, unsigned bus, unsigned devfn, unsigned offset, unsigned size,
                         uint32_t value) {
    struct pci_function *function = bus == 0 ? host->function[devfn] : NULL;
    if (!function)
        return;
    if (function->ops && function->ops->write)
        function->ops->write(host->vm, function, offset, size, value);
    else
        pci_config_write(function, offset, size, value);
}

/* CONFIG_ADDRESS takes 32-bit accesses alone; the byte at 0xCF9 is the reset control (ICH9 13.7.5). */
static int port_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)vcpu;
    struct pci_host *host = device;
    int result = -ENXIO;
    if (offset == PM_RESET_PORT - CONFIG_PORT && size == 1) {
        *value = pm_reset_read(host->vm);
        return 0;
    }
    spin_lock(&host->lock);
    uint32_t address = host->address;
    if (offset == 0 && size == 4) {
        *value = address;
        result = 0;
    } else if (offset >= 4 && size <= 4 && address & CONFIG_ENABLE &&
               config_read(host, address >> 16 & 0xff, address >> 8 & 0xff,
                           (address & 0xfc) + ((unsigned)offset & 3), size, value)) {
        result = 0;
    }
    spin_unlock(&host->lock);
    return result;
}

static int port_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    struct pci_host *host = device;
    int result = 0;
    if (offset == PM_RESET_PORT - CONFIG_PORT && size == 1) {
        pm_reset_write(host->vm, (uint8_t)value);
        return 0;
    }
    spin_lock(&host->lock);
    uint32_t address = host->address;
    if (offset == 0 && size == 4)
        host->address = (uint32_t)value & CONFIG_BITS;
    else if (offset >= 4 && size <= 4 && address & CONFIG_ENABLE)
        config_write(host, address >> 16 & 0xff, address >> 8 & 0xff,
                     (address & 0xfc) + ((unsigned)offset & 3), size, (uint32_t)value);
    else
        result = -ENXIO;
    spin_unlock(&host->lock);
    return result;
}

static const struct bus_ops port_ops = {.read = port_read, .write = port_write};

static int ecam_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)vcpu;
    struct pci_host *host = device;
    if ((offset & 3) + size > 4)
        return -ENXIO;
    spin_lock(&host->lock);
    bool found = config_read(host, (unsigned)(offset >> 20) & 0xff, (unsigned)(offset >> 12) & 0xff,
                             (unsigned)offset & 0xfff, size, value);
    spin_unlock(&host->lock);
    return found ? 0 : -ENXIO;
}

static int ecam_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    struct pci_host *host = device;
    if ((offset & 3) + size > 4)
        return -ENXIO;
    spin_lock(&host->lock);
    config_write(host, (unsigned)(offset >> 20) & 0xff, (unsigned)(offset >> 12) & 0xff,
                 (unsigned)offset & 0xfff, size, (uint32_t)value);
    spin_unlock(&host->lock);
    return 0;
}

static const struct bus_ops ecam_ops = {.read = ecam_read, .write = ecam_write};

void pci_place_ecam(struct pci_host *host, uint64_t base, uint64_t size) {
    struct bus *bus = &host->vm->bus[BUS_MEMORY];
    if (base == host->ecam && size == host->ecam_size)
        return;
    if (host->ecam_size)
        bus_remove(bus, host->ecam);
    host->ecam = base;
    host->ecam_size = size;
    if (size && bus_add(bus, base, size, &ecam_ops, host, "PCI ECAM"))
        host->ecam_size = 0;
}

int pci_add(struct vm *vm, struct pci_function *function) {
    struct pci_host *host = host_of(vm);
    int result = 0;
    spin_lock(&host->lock);
    if (host->function[function->devfn])
        result = -EEXIST;
    else
        host->function[function->devfn] = function;
    spin_unlock(&host->lock);
    return result;
}

void pci_remove(struct vm *vm, struct pci_function *function) {
    struct pci_host *host = host_of(vm);
    pci_line_set(vm, function, false);
    spin_lock(&host->lock);
    if (host->function[function->devfn] == function)
        host->function[function->devfn] = NULL;
    spin_unlock(&host->lock);
}

/* Drives the ISA lines that PIRQs are routed to. */
static void update_isa(struct pci_host *host) {
    uint16_t level = 0;
    for (unsigned i = 0; i < PCI_PIRQS; i++)
        if (host->asserted[i] && !(host->route[i] & PCI_PIRQ_UNUSED))
            level |= (uint16_t)(1u << (host->route[i] & 15) & PIRQ_ISA_LINES);
    uint16_t changed = level ^ host->isa;
    host->isa = level;
    for (unsigned line = 0; line < PC_ISA_LINES; line++)
        if (changed >> line & 1)
            pc_line_set(host->vm, line, level >> line & 1);
}

void pci_set_routes(struct pci_host *host, const uint8_t route[PCI_PIRQS]) {
    spin_lock(&host->line_lock);
    memcpy(host->route, route, PCI_PIRQS);
    update_isa(host);
    spin_unlock(&host->line_lock);
}

void pci_line_set(struct vm *vm, struct pci_function *function, bool level) {
    struct pci_host *host = host_of(vm);
    unsigned pin = function->config[PCI_INTERRUPT_PIN];
    if (pin < 1 || pin > 4)
        return;
    unsigned gsi = pci_pin_gsi(function->devfn >> 3, pin - 1);
    unsigned pirq = gsi - 16;
    spin_lock(&host->line_lock);
    if (level != function->intx) {
        function->intx = level;
        bool before = host->asserted[pirq];
        host->asserted[pirq] += level ? 1u : -1u;
        bool now = host->asserted[pirq];
        if (now != before) {
            pc_line_set(vm, gsi, now);
            update_isa(host);
        }
    }
    spin_unlock(&host->line_lock);
}

/* ---- what core/arch.h offers to devices ---- */

int arch_pci_add(struct vm *vm, struct pci_function *function) {
    return pci_add(vm, function);
}

void arch_pci_remove(struct vm *vm, struct pci_function *function) {
    pci_remove(vm, function);
}

void arch_pci_line(struct vm *vm, struct pci_function *function, bool level) {
    pci_line_set(vm, function, level);
}

/* The CPU's addresses, but for those that are the local APICs' (and messages'). What else is not PCI's
 * (memory, the I/O APIC, ECAM) is known to the memory map and the bus. */
uint64_t arch_pci_memory(struct vm *vm, uint32_t address) {
    (void)vm;
    return address >> 20 == PC_LAPIC_BASE >> 20 ? UINT64_MAX : address;
}

uint64_t arch_pci_value(uint64_t value, unsigned size) {
    (void)size;
    return value;
}

/* ---- the part ---- */

static void pci_destroy(struct vm *vm, unsigned index) {
    (void)index;
    struct pci_host *host = host_of(vm);
    pci_place_ecam(host, 0, 0);
    bus_remove(&vm->bus[BUS_PORT], CONFIG_PORT);
    x86_vm(vm)->pc.pci = NULL;
    heap_free(host, sizeof(*host), &vm->memory.account);
}

static int pci_create(struct vm *vm, unsigned index) {
    struct pci_host *host = heap_allocate(sizeof(*host), &vm->memory.account);
    if (!host)
        return -ENOMEM;
    host->vm = vm;
    x86_vm(vm)->pc.pci = host;
    pci_bridges_init(host);
    int error = bus_add(&vm->bus[BUS_PORT], CONFIG_PORT, CONFIG_PORTS, &port_ops, host, "PCI configuration");
    if (error)
        pci_destroy(vm, index);
    return error;
}

static void pci_reset(struct vm *vm, unsigned index) {
    (void)index;
    struct pci_host *host = host_of(vm);
    spin_lock(&host->lock);
    host->address = 0;
    pci_bridges_reset(host);
    spin_unlock(&host->lock);
}

/* Pins are not saved: a function's owner drives its own anew when it is loaded. */
static void pci_save(struct vm *vm, unsigned index, struct state_writer *writer) {
    (void)index;
    struct pci_host *host = host_of(vm);
    spin_lock(&host->lock);
    state_put_u32(writer, host->address);
    state_put(writer, host->bridge.config, PCI_CONFIG_SIZE);
    state_put(writer, host->lpc.config, PCI_CONFIG_SIZE);
    spin_unlock(&host->lock);
}

static int pci_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    (void)index;
    (void)version;
    struct pci_host *host = host_of(vm);
    uint8_t bridge[PCI_CONFIG_SIZE], lpc[PCI_CONFIG_SIZE];
    uint32_t address = state_get_u32(reader);
    state_get(reader, bridge, sizeof(bridge));
    state_get(reader, lpc, sizeof(lpc));
    spin_lock(&host->lock);
    host->address = 0;
    pci_bridges_reset(host);
    bool good = !reader->error && !(address & ~CONFIG_BITS) && pci_bridges_load(host, bridge, lpc);
    if (good) {
        host->address = address;
        pci_bridges_apply(host);
    }
    spin_unlock(&host->lock);
    return good ? 0 : -EINVAL;
}

const struct part pci_part = {
    .name = "x86.pci",
    .version = 1,
    .create = pci_create,
    .destroy = pci_destroy,
    .reset = pci_reset,
    .save = pci_save,
    .load = pci_load,
};
