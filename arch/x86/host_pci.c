// SPDX-License-Identifier: Apache-2.0
// The machine's PCI on x86: configuration space through ports 0xCF8 and 0xCFC (PCI Local Bus 3.0, 3.2.2.3.2),
// which every PC has for segment 0; interrupts as messages to a local APIC (Intel SDM vol. 3, 11.11) or, from
// the pins of an ICH9, through the I/O APIC.
#include <errno.h>
#include <stddef.h>
#include "abi/handover.h"
#include "arch/x86/host_apic.h"
#include "arch/x86/host_ioapic.h"
#include "arch/x86/host_map.h"
#include "arch/x86/interrupts.h"
#include "arch/x86/platform.h"
#include "arch/x86/registers.h"
#include "core/arch.h"
#include "core/atomic.h"

#define PORT_INDEX      0xcf8u
#define PORT_DATA       0xcfcu
#define INDEX_ENABLE    0x80000000u

#define MESSAGE_ADDRESS 0xfee00000u

/* I/O APICs, HPET, TPM, local APICs: what chipsets decode there whatever a BAR says. */
#define FIXED_BEGIN     0xfec00000ull
#define FIXED_END       0xff000000ull
#define LOW_MEMORY      0x100000ull

/* Intel ICH9 data sheet, 10.1 and 13.1. */
#define ICH9_LPC_DEVFN  0xf8u
#define ICH9_VENDOR     0x8086u
#define ICH9_FIRST      0x2910u
#define ICH9_LAST       0x291fu
#define ICH9_RCBA       0xf0u
#define ICH9_ROUTES     0x3140u /* in the root complex's registers: D31IR and on */
#define ICH9_GSI        16u     /* of PIRQA */
#define ICH9_PIRQS      8u
#define QEMU_SUBSYSTEM  0x1af4u

static struct spinlock config_lock; /* index and data belong together */

int arch_host_pci_buses(unsigned index, struct host_pci_buses *buses) {
    if (index)
        return -ENOENT;
    *buses = (struct host_pci_buses){.segment = 0, .first = 0, .last = 255};
    return 0;
}

static uint16_t select(uint8_t bus, uint8_t devfn, unsigned offset) {
    port_write32(PORT_INDEX, INDEX_ENABLE | (uint32_t)bus << 16 | (uint32_t)devfn << 8 | (offset & 0xfc));
    return (uint16_t)(PORT_DATA + (offset & 3));
}

uint32_t arch_host_pci_read(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned offset, unsigned size) {
    if (segment)
        return UINT32_MAX;
    spin_lock(&config_lock);
    uint16_t port = select(bus, devfn, offset);
    uint32_t value = size == 1 ? port_read8(port) : size == 2 ? port_read16(port) : port_read32(port);
    spin_unlock(&config_lock);
    return value;
}

void arch_host_pci_write(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned offset, unsigned size,
                         uint32_t value) {
    if (segment)
        return;
    spin_lock(&config_lock);
    uint16_t port = select(bus, devfn, offset);
    if (size == 1)
        port_write8(port, (uint8_t)value);
    else if (size == 2)
        port_write16(port, (uint16_t)value);
    else
        port_write32(port, value);
    spin_unlock(&config_lock);
}

bool arch_host_pci_memory(uint64_t physical, uint64_t size) {
    const struct platform_info *info = platform_info();
    uint64_t end = physical + size, limit = 1ull << (cpuid_read(0x80000008, 0).eax & 0xff);

    if (!size || end < physical || end > limit || physical < LOW_MEMORY ||
        (physical < FIXED_END && end > FIXED_BEGIN))
        return false;
    for (unsigned i = 0; i < info->memory_count; i++) {
        const struct handover_memory *range = &info->memory[i];
        if (range->type != HANDOVER_MEMORY_MMIO && range->base < end && physical < range->base + range->size)
            return false;
    }
    return true;
}

void *arch_device_map(uint64_t physical, uint64_t size) {
    return map_device(physical, size);
}

int arch_host_message(void (*handler)(void *context), void *context, uint64_t *address, uint32_t *data) {
    uint32_t id = host_apic_id();

    if (id > 254)
        return -ENOTSUP; /* a message has 8 bits for it */
    int vector = interrupt_allocate(handler, context);
    if (vector < 0)
        return vector;
    *address = MESSAGE_ADDRESS | id << 12;
    *data = (uint32_t)vector; /* fixed, edge */
    return 0;
}

/* ---- interrupt pins */

static struct {
    void (*handler)(void *context);
    void *context;
    int vector; /* the line's for good; 0: none yet */
    bool routed;
} lines[ICH9_PIRQS];
static struct spinlock line_lock;

static void line_came(void *context) {
    unsigned line = (unsigned)(uintptr_t)context;

    host_ioapic_mask(ICH9_GSI + line, true);
    lines[line].handler(lines[line].context);
}

static volatile const uint16_t *ich9_routes(void) {
    static volatile const uint16_t *routes;
    uint32_t base = arch_host_pci_read(0, 0, ICH9_LPC_DEVFN, ICH9_RCBA, 4);

    if (!routes && (base & 1))
        routes = map_device((base & ~0x3fffu) + ICH9_ROUTES, 0x20);
    return routes;
}

/* PIRQ (0: A) that a pin (0: A) of a function on bus 0 leads to; -1: not known. */
static int ich9_pirq(unsigned slot, unsigned pin) {
    static const uint8_t at[] = {0x10, 0x0c, 0x08, 0x06, 0x04, 0x02, 0x00}; /* D25IR .. D31IR */
    uint32_t id = arch_host_pci_read(0, 0, ICH9_LPC_DEVFN, 0, 4);
    uint32_t subsystem = arch_host_pci_read(0, 0, ICH9_LPC_DEVFN, 0x2c, 4);

    if ((id & 0xffff) != ICH9_VENDOR || id >> 16 < ICH9_FIRST || id >> 16 > ICH9_LAST)
        return -1;
    /* QEMU 7.2's q35 has these wires where the real chipset has no such slots (hw/isa/lpc_ich9.c). */
    if ((subsystem & 0xffff) == QEMU_SUBSYSTEM && slot < 24)
        return (int)((slot + pin) % 4 + 4);
    if (slot < 25 || slot == 30)
        return -1;
    volatile const uint16_t *routes = ich9_routes();
    return routes ? routes[at[slot - 25] / 2] >> 4 * pin & 7 : -1;
}

int arch_host_pin(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned pin, void (*handler)(void *context),
                  void *context) {
    if (segment || bus || pin < 1 || pin > 4)
        return -ENOTSUP;
    spin_lock(&line_lock);
    int line = ich9_pirq(devfn >> 3, pin - 1);
    if (line >= 0 && !lines[line].routed) {
        lines[line].handler = handler;
        lines[line].context = context;
        if (lines[line].vector <= 0)
            lines[line].vector = interrupt_allocate(line_came, (void *)(uintptr_t)line);
        lines[line].routed = lines[line].vector > 0 && !host_ioapic_route_level(ICH9_GSI + (unsigned)line,
                                                                                (unsigned)lines[line].vector);
    }
    if (line >= 0 && !lines[line].routed)
        line = -1;
    spin_unlock(&line_lock);
    return line < 0 ? -ENOTSUP : line;
}

void arch_host_pin_unmask(int line) {
    host_ioapic_mask(ICH9_GSI + (unsigned)line, false);
}
