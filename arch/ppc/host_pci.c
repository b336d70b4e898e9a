// SPDX-License-Identifier: Apache-2.0
// The machine's PCI on PowerPC: the host bridge of an MPC8540 and its like (MPC8540 reference manual, ch.
// 16): configuration space by two registers, windows in both directions, interrupt pins at the MPIC. The
// bridge's registers are big-endian; configuration data are little-endian, as all is on the bus.
#include "arch/ppc/host_pci.h"

#include <errno.h>
#include <stddef.h>
#include "arch/ppc/host_mpic.h"
#include "arch/ppc/instructions.h"
#include "arch/ppc/interrupts.h"
#include "arch/ppc/layout.h"
#include "arch/ppc/pci_windows.h"
#include "core/arch.h"
#include "core/atomic.h"
#include "core/log.h"
#include "lib/pci.h"

#define CFG_ADDR        0x000u
#define CFG_DATA        0x004u
#define POTAR(n)        (0xc00u + 0x20u * (n)) /* outbound: address on the bus, >> 12; windows 1 to 4 */
#define POTEAR(n)       (0xc04u + 0x20u * (n)) /* its upper bits, which are 0 here */
#define POWBAR(n)       (0xc08u + 0x20u * (n)) /* address for CPUs, >> 12 */
#define POWAR(n)        (0xc10u + 0x20u * (n))
#define PITAR(n)        (0xe00u - 0x20u * (n)) /* inbound: address of memory, >> 12; windows 1 to 3 */
#define PIWBAR(n)       (0xe08u - 0x20u * (n)) /* address on the bus, >> 12 */
#define PIWAR(n)        (0xe10u - 0x20u * (n))

#define ADDR_ENABLE     0x80000000u
#define WINDOW_ENABLE   0x80000000u
#define OUTBOUND        4u
#define OUTBOUND_MEMORY 0x00044000u /* reads and writes of memory space */
#define INBOUND_MEMORY  0x00f00000u /* local memory, ... */
#define INBOUND_SNOOP   0x00055000u /* ... in which the CPUs' caches are asked */

/* The bridge's own BAR 0, the SoC's registers for devices. It lies at the end of the bus's memory: at the
 * address that it has after a reset, devices would not reach the RAM. */
#define OWN_REGISTERS   MACHINE_CCSR_SIZE
#define BRIDGE_DEVFN    0u

#define LINES           (VECTOR_PCI_LAST - VECTOR_PCI + 1)
#define BELOW           (1ull << 32)

static const struct machine_pci *pci; /* NULL: there is none */
static uintptr_t base;                /* address of its registers */
static struct spinlock config_lock;   /* address and data belong together */

static void bridge_write(uint32_t at, uint32_t value) {
    *(volatile uint32_t *)(base + at) = value;
    io_sync();
}

/* ---- configuration space */

int arch_host_pci_buses(unsigned index, struct host_pci_buses *buses) {
    if (pci == NULL || index != 0)
        return -ENOENT;
    /* Bridges have no bus numbers yet: no other bus can be reached. */
    *buses = (struct host_pci_buses){.first = pci->bus,
                                     .last = pci->bus,
                                     .unplaced = true,
                                     .free = pci->bus_address,
                                     .free_size = pci->size - OWN_REGISTERS,
                                     .offset = pci->address - pci->bus_address};
    return 0;
}

static uintptr_t select(uint8_t bus, uint8_t devfn, unsigned offset) {
    bridge_write(CFG_ADDR,
                 ADDR_ENABLE | (uint32_t)bus << 16 | (uint32_t)devfn << 8 | (uint32_t)(offset & 0xfc));
    return base + CFG_DATA + (offset & 3);
}

uint32_t arch_host_pci_read(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned offset, unsigned size) {
    uint32_t value;

    if (pci == NULL || segment != 0)
        return UINT32_MAX;
    spin_lock(&config_lock);
    uintptr_t data = select(bus, devfn, offset);
    if (size == 1)
        value = *(volatile uint8_t *)data;
    else if (size == 2)
        value = __builtin_bswap16(*(volatile uint16_t *)data);
    else
        value = __builtin_bswap32(*(volatile uint32_t *)data);
    io_sync();
    spin_unlock(&config_lock);
    return value;
}

void arch_host_pci_write(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned offset, unsigned size,
                         uint32_t value) {
    if (pci == NULL || segment != 0)
        return;
    spin_lock(&config_lock);
    uintptr_t data = select(bus, devfn, offset);
    if (size == 1)
        *(volatile uint8_t *)data = (uint8_t)value;
    else if (size == 2)
        *(volatile uint16_t *)data = __builtin_bswap16((uint16_t)value);
    else
        *(volatile uint32_t *)data = __builtin_bswap32(value);
    io_sync();
    spin_unlock(&config_lock);
}

/* ---- memory */

bool arch_host_pci_memory(uint64_t physical, uint64_t size) {
    uint64_t most = pci != NULL ? pci->size - OWN_REGISTERS : 0;
    return size != 0 && size <= most && physical >= pci->address && physical - pci->address <= most - size;
}

/* No firmware here keeps memory that a device is to go on with. */
bool arch_firmware_memory(uint64_t physical, uint64_t size) {
    (void)physical;
    (void)size;
    return false;
}

/* The hypervisor's address space has no room for registers of devices (arch/ppc/layout.h): tables of MSI-X
 * are not used. */
void *arch_device_map(uint64_t physical, uint64_t size) {
    (void)physical;
    (void)size;
    return NULL;
}

/* The size field of a window: 2^(n + 1) bytes. */
static uint32_t window_size(uint64_t size) {
    return 62u - (uint32_t)__builtin_clzll(size);
}

static void windows_set(const struct pci_window *window, unsigned count) {
    for (unsigned i = 1; i <= OUTBOUND; i++)
        bridge_write(POWAR(i), 0);
    for (unsigned i = 1; i <= PCI_WINDOWS_INBOUND; i++)
        bridge_write(PIWAR(i), 0);
    bridge_write(POTAR(1), pci->bus_address >> 12);
    bridge_write(POTEAR(1), 0);
    bridge_write(POWBAR(1), (uint32_t)(pci->address >> 12));
    bridge_write(POWAR(1), WINDOW_ENABLE | OUTBOUND_MEMORY | window_size(pci->size));
    for (unsigned i = 0; i < count; i++) {
        bridge_write(PITAR(i + 1), (uint32_t)(window[i].base >> 12));
        bridge_write(PIWBAR(i + 1), (uint32_t)(window[i].base >> 12));
        bridge_write(PIWAR(i + 1),
                     WINDOW_ENABLE | INBOUND_MEMORY | INBOUND_SNOOP | window_size(window[i].size));
    }
}

/* Where the RAM below 4 GiB ends, which is all that devices get to do with. */
static uint64_t memory_end(const struct machine *machine) {
    uint64_t end = 0;

    for (unsigned i = 0; i < machine->memory_count; i++) {
        const struct memory_range *range = &machine->memory[i];
        uint64_t last = range->base + range->size < BELOW ? range->base + range->size : BELOW;
        if (range->base < BELOW && last > end)
            end = last;
    }
    return end;
}

void host_pci_bridge_init(const struct machine *machine) {
    struct pci_window window[PCI_WINDOWS_INBOUND];

    if (machine->pci.wrong != NULL)
        log_warning("PCI: the device tree's host bridge %s: it is not used", machine->pci.wrong);
    if (machine->pci.offset == 0)
        return;
    unsigned count = pci_windows(memory_end(machine), machine->pci.bus_address, window);
    if (count == 0) {
        log_warning("PCI: RAM reaches up to where devices are on the bus, 0x%x: the host bridge is not used",
                    (unsigned)machine->pci.bus_address);
        return;
    }
    pci = &machine->pci;
    base = CCSR_BASE + pci->offset;
    windows_set(window, count);
    arch_host_pci_write(0, pci->bus, BRIDGE_DEVFN, PCI_BAR, 4,
                        (uint32_t)(pci->bus_address + pci->size - OWN_REGISTERS));
    uint32_t command = arch_host_pci_read(0, pci->bus, BRIDGE_DEVFN, PCI_COMMAND, 2);
    arch_host_pci_write(0, pci->bus, BRIDGE_DEVFN, PCI_COMMAND, 2,
                        command | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* ---- interrupts */

int arch_host_message(void (*handler)(void *context), void *context, uint64_t *address, uint32_t *data) {
    (void)handler;
    (void)context;
    (void)address;
    (void)data;
    return -ENOTSUP;
}

static struct line {
    uint16_t source;
    void (*handler)(void *context);
    void *context;
} lines[LINES];
static unsigned line_count;
static struct spinlock line_lock;

static void line_came(void *context) {
    const struct line *line = context;

    host_mpic_mask(line->source, true);
    line->handler(line->context);
}

int arch_host_pin(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned pin, void (*handler)(void *context),
                  void *context) {
    if (pci == NULL || segment != 0 || bus != pci->bus || pin < 1 || pin > MACHINE_PCI_PINS)
        return -ENOTSUP;
    const struct machine_pin *to = &pci->pin[devfn >> 3][pin - 1];
    if (!to->known)
        return -ENOTSUP;
    int number = -ENOTSUP;
    spin_lock(&line_lock);
    for (unsigned i = 0; i < line_count; i++)
        if (lines[i].source == to->source)
            number = (int)i;
    if (number < 0 && line_count < LINES &&
        host_mpic_route(to->source, VECTOR_PCI + line_count, MPIC_MASKED | (to->low ? MPIC_ACTIVE_LOW : 0))) {
        number = (int)line_count++;
        lines[number] = (struct line){.source = to->source, .handler = handler, .context = context};
        interrupt_install(VECTOR_PCI + (unsigned)number, line_came, &lines[number]);
    }
    spin_unlock(&line_lock);
    return number;
}

void arch_host_pin_unmask(int line) {
    host_mpic_mask(lines[line].source, false);
}
