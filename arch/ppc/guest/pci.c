// SPDX-License-Identifier: Apache-2.0
// The PCI host of a guest's board: CONFIG_ADDR and CONFIG_DATA, the address windows as registers alone (the
// board's map says what they have to be: devices are where the device tree's `ranges` show them, and reach
// guest memory elsewhere), the bridge's own function, pins and messages.
#include "arch/ppc/guest/pci.h"

#include <errno.h>
#include <string.h>

#include "arch/ppc/guest/mpic.h"
#include "arch/ppc/vm.h"
#include "lib/state.h"

#define CONFIG_ADDRESS 0x0u
#define CONFIG_DATA    0x4u
#define CONFIG_ENABLE  0x80000000u
#define CONFIG_BITS    0x80fffffcu /* of CONFIG_ADDR; the others read 0 */

/* Five outbound windows, then three inbound ones, of 32 bytes each. */
#define OUTBOUND       0xc00u
#define OUTBOUND_END   0xca0u
#define INBOUND        0xda0u
#define INBOUND_END    0xe00u
#define WINDOW_WORDS   ((INBOUND_END - OUTBOUND) / 4)

/* The bridge's function. */
#define VENDOR         0x00
#define DEVICE         0x02
#define COMMAND        0x04
#define STATUS         0x06
#define CLASS          0x0a
#define CACHE_LINE     0x0c
#define LATENCY        0x0d
#define PCSRBAR        0x10
#define INTERRUPT_LINE 0x3c
#define FREESCALE      0x1957
#define MPC8533E       0x0030
#define POWERPC        0x0b20 /* class: a processor; programming interface 0: the host */
#define MEMORY         0x0002
#define MASTER         0x0004
#define COMMAND_BITS   0x0147 /* I/O, memory, master, parity, SERR */
#define STATUS_VALUE   0x00a0 /* 66 MHz, fast back-to-back */
#define PCSRBAR_BITS   0xfff00000u

#define CLOSED         1u /* no address that the window onto CCSR can have */

struct pci_bridge {
    struct spinlock lock; /* registers and configuration */
    struct vm *vm;
    uint32_t address;
    uint32_t window[WINDOW_WORDS]; /* from OUTBOUND on */
    struct pci_function *function[256];
    struct pci_function self; /* 00:00.0 */
    uint32_t ccsr; /* where devices find CCSR, or CLOSED; atomic: messages come with the lock held */

    struct spinlock line_lock;   /* pins; inside `lock`, or alone */
    unsigned asserted[PCI_PINS]; /* functions that hold the line up */
};

static struct pci_bridge *bridge_of(struct vm *vm) {
    return ppc_vm(vm)->board->pci;
}

/* ---- configuration ---- */

/* The function that CONFIG_ADDR names, or NULL. */
static struct pci_function *selected(const struct pci_bridge *bridge) {
    unsigned bus = bridge->address >> 16 & 0xff;
    return bridge->address & CONFIG_ENABLE && bus == 0 ? bridge->function[bridge->address >> 8 & 0xff] : NULL;
}

/* The lowest `size` bytes the other way round. */
static uint32_t turned(uint32_t value, unsigned size) {
    return __builtin_bswap32(value) >> 8 * (4 - size);
}

/* CONFIG_DATA shows four bytes in PCI's order: the guest sees the first one at the lowest address. */
static uint32_t data_read(struct pci_bridge *bridge, unsigned byte, unsigned size) {
    struct pci_function *function = selected(bridge);
    unsigned offset = (bridge->address & 0xfc) + byte;
    if (!function)
        return UINT32_MAX;
    return turned(function->ops && function->ops->read
                      ? function->ops->read(bridge->vm, function, offset, size)
                      : pci_config_read(function, offset, size),
                  size);
}

static void data_write(struct pci_bridge *bridge, unsigned byte, unsigned size, uint32_t value) {
    struct pci_function *function = selected(bridge);
    unsigned offset = (bridge->address & 0xfc) + byte;
    if (!function)
        return;
    if (function->ops && function->ops->write)
        function->ops->write(bridge->vm, function, offset, size, turned(value, size));
    else
        pci_config_write(function, offset, size, turned(value, size));
}

/* After PCSRBAR or the command register may have changed. */
static void note_window(struct pci_bridge *bridge) {
    const struct pci_function *self = &bridge->self;
    bool open = pci_config_read(self, COMMAND, 2) & MEMORY;
    uint32_t base = pci_config_read(self, PCSRBAR, 4);
    __atomic_store_n(&bridge->ccsr, open ? base : CLOSED, __ATOMIC_RELAXED);
}

static void self_write(struct vm *vm, struct pci_function *self, unsigned offset, unsigned size,
                       uint32_t value) {
    pci_config_write(self, offset, size, value);
    note_window(bridge_of(vm));
}

static const struct pci_ops self_ops = {.write = self_write};

int pci_add(struct vm *vm, struct pci_function *function) {
    struct pci_bridge *bridge = bridge_of(vm);
    int result = 0;
    spin_lock(&bridge->lock);
    if (bridge->function[function->devfn])
        result = -EEXIST;
    else
        bridge->function[function->devfn] = function;
    spin_unlock(&bridge->lock);
    return result;
}

void pci_remove(struct vm *vm, struct pci_function *function) {
    struct pci_bridge *bridge = bridge_of(vm);
    pci_line_set(vm, function, false);
    spin_lock(&bridge->lock);
    if (bridge->function[function->devfn] == function)
        bridge->function[function->devfn] = NULL;
    spin_unlock(&bridge->lock);
}

/* ---- interrupts ---- */

void pci_line_set(struct vm *vm, struct pci_function *function, bool level) {
    struct pci_bridge *bridge = bridge_of(vm);
    unsigned pin = function->config[PCI_INTERRUPT_PIN];
    if (pin < 1 || pin > PCI_PINS)
        return;
    unsigned source = pci_pin_source(function->devfn >> 3, pin - 1);
    unsigned *asserted = &bridge->asserted[source - BOARD_PCI_PINS];
    spin_lock(&bridge->line_lock);
    if (level != function->intx) {
        function->intx = level;
        *asserted += level ? 1u : -1u;
        mpic_set_line(vm, source, *asserted != 0);
    }
    spin_unlock(&bridge->line_lock);
}

int pci_msi(struct vm *vm, uint64_t address, uint32_t data) {
    uint32_t ccsr = __atomic_load_n(&bridge_of(vm)->ccsr, __ATOMIC_RELAXED);
    if (ccsr == CLOSED || address != (uint64_t)ccsr + BOARD_MPIC + MPIC_MSIIR)
        return -EINVAL;
    /* The four bytes arrive in PCI's order, the register is big-endian. */
    mpic_message(vm, turned(data, 4));
    return 0;
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

uint64_t arch_pci_memory(struct vm *vm, uint32_t address) {
    (void)vm;
    uint32_t offset = address - BOARD_PCI_MEMORY_BUS;
    return offset < BOARD_PCI_MEMORY_SIZE ? BOARD_PCI_MEMORY + offset : UINT64_MAX;
}

/* The bus carries what the CPU's register holds; its first byte is the most significant one. */
uint64_t arch_pci_value(uint64_t value, unsigned size) {
    return __builtin_bswap64(value) >> 8 * (8 - size);
}

int arch_msi(struct vm *vm, uint64_t address, uint32_t data) {
    return pci_msi(vm, address, data);
}

/* ---- registers ---- */

/* The register of an address window, or NULL. */
static uint32_t *window_at(struct pci_bridge *bridge, unsigned offset) {
    bool outbound = offset >= OUTBOUND && offset < OUTBOUND_END;
    bool inbound = offset >= INBOUND && offset < INBOUND_END;
    return outbound || inbound ? &bridge->window[(offset - OUTBOUND) / 4] : NULL;
}

static int pci_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)vcpu;
    struct pci_bridge *bridge = device;
    unsigned byte = (unsigned)offset & 3;
    bool data = (offset & ~3ull) == CONFIG_DATA;
    if (byte + size > 4 || (!data && size != 4))
        return -ENXIO;
    spin_lock(&bridge->lock);
    const uint32_t *window = window_at(bridge, (unsigned)offset);
    if (data)
        *value = data_read(bridge, byte, size);
    else if (offset == CONFIG_ADDRESS)
        *value = bridge->address;
    else
        *value = window ? *window : 0;
    spin_unlock(&bridge->lock);
    return 0;
}

static int pci_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    struct pci_bridge *bridge = device;
    unsigned byte = (unsigned)offset & 3;
    bool data = (offset & ~3ull) == CONFIG_DATA;
    if (byte + size > 4 || (!data && size != 4))
        return -ENXIO;
    spin_lock(&bridge->lock);
    uint32_t *window = window_at(bridge, (unsigned)offset);
    if (data)
        data_write(bridge, byte, size, (uint32_t)value);
    else if (offset == CONFIG_ADDRESS)
        bridge->address = (uint32_t)value & CONFIG_BITS;
    else if (window)
        *window = (uint32_t)value;
    spin_unlock(&bridge->lock);
    return 0;
}

static const struct bus_ops bridge_ops = {.read = pci_read, .write = pci_write};

/* ---- the bridge's function and the part ---- */

static void self_init(struct pci_function *self) {
    self->ops = &self_ops;
    self->writable[COMMAND] = COMMAND_BITS & 0xff;
    self->writable[COMMAND + 1] = COMMAND_BITS >> 8;
    self->writable[CACHE_LINE] = 0xff;
    self->writable[LATENCY] = 0xf8;
    for (unsigned i = 0; i < 4; i++)
        self->writable[PCSRBAR + i] = (uint8_t)(PCSRBAR_BITS >> 8 * i);
    self->writable[INTERRUPT_LINE] = 0xff;
}

static void set_defaults(struct pci_bridge *bridge) {
    struct pci_function *self = &bridge->self;
    bridge->address = 0;
    memset(bridge->window, 0, sizeof(bridge->window));
    memset(self->config, 0, sizeof(self->config));
    pci_config_set16(self, VENDOR, FREESCALE);
    pci_config_set16(self, DEVICE, MPC8533E);
    pci_config_set16(self, COMMAND, MASTER);
    pci_config_set16(self, STATUS, STATUS_VALUE);
    pci_config_set16(self, CLASS, POWERPC);
    note_window(bridge);
}

static void pci_destroy(struct vm *vm, unsigned index) {
    (void)index;
    struct pci_bridge *bridge = bridge_of(vm);
    bus_remove(&vm->bus[BUS_MEMORY], BOARD_CCSR + BOARD_PCI);
    ppc_vm(vm)->board->pci = NULL;
    heap_free(bridge, sizeof(*bridge), &vm->memory.account);
}

static int pci_create(struct vm *vm, unsigned index) {
    struct pci_bridge *bridge = heap_allocate(sizeof(*bridge), &vm->memory.account);
    if (!bridge)
        return -ENOMEM;
    bridge->vm = vm;
    self_init(&bridge->self);
    set_defaults(bridge);
    ppc_vm(vm)->board->pci = bridge;
    int error = pci_add(vm, &bridge->self);
    if (!error)
        error = bus_add(&vm->bus[BUS_MEMORY], BOARD_CCSR + BOARD_PCI, BOARD_PCI_SIZE, &bridge_ops, bridge,
                        "PCI bridge");
    if (error)
        pci_destroy(vm, index);
    return error;
}

static void pci_reset(struct vm *vm, unsigned index) {
    (void)index;
    struct pci_bridge *bridge = bridge_of(vm);
    spin_lock(&bridge->lock);
    set_defaults(bridge);
    spin_unlock(&bridge->lock);
}

/* Pins are not saved: a function's owner drives its own anew when it is loaded. */
static void pci_save(struct vm *vm, unsigned index, struct state_writer *writer) {
    (void)index;
    struct pci_bridge *bridge = bridge_of(vm);
    spin_lock(&bridge->lock);
    state_put_u32(writer, bridge->address);
    for (unsigned i = 0; i < WINDOW_WORDS; i++)
        state_put_u32(writer, bridge->window[i]);
    state_put(writer, bridge->self.config, PCI_CONFIG_SIZE);
    spin_unlock(&bridge->lock);
}

static int pci_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    (void)index;
    (void)version;
    struct pci_bridge *bridge = bridge_of(vm);
    struct pci_function *self = &bridge->self;
    uint8_t config[PCI_CONFIG_SIZE];
    bool good = true;

    spin_lock(&bridge->lock);
    set_defaults(bridge);
    bridge->address = state_get_u32(reader);
    good &= !(bridge->address & ~CONFIG_BITS);
    for (unsigned i = 0; i < WINDOW_WORDS; i++) {
        bridge->window[i] = state_get_u32(reader);
        good &= !bridge->window[i] || window_at(bridge, OUTBOUND + 4 * i);
    }
    state_get(reader, config, sizeof(config));
    /* What cannot be written has to be as it is here. */
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
        good &= !((config[i] ^ self->config[i]) & ~self->writable[i]);
    good &= !reader->error;
    if (good) {
        memcpy(self->config, config, sizeof(config));
        note_window(bridge);
    } else {
        set_defaults(bridge);
    }
    spin_unlock(&bridge->lock);
    return good ? 0 : -EINVAL;
}

const struct part pci_part = {
    .name = "ppc.pci",
    .version = 1,
    .create = pci_create,
    .destroy = pci_destroy,
    .reset = pci_reset,
    .save = pci_save,
    .load = pci_load,
};
