// SPDX-License-Identifier: Apache-2.0
// A function of the machine that a guest has to itself, from the guest's side (PCI Local Bus 3.0, chapter 6;
// PCI Power Management 1.2, 3.2; PCI Express Base 3.0, 7.8). What is not made here is not there.
#include "devices/passed_function.h"

#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "core/timer.h"
#include "core/vm.h"
#include "devices/passed_host.h"
#include "devices/pci_bar.h"
#include "devices/pci_function.h"
#include "devices/pci_msix.h"

#define VENDOR           0x00u /* and device */
#define COMMAND          0x04u
#define COMMAND_MEMORY   0x0002u
#define COMMAND_MASTER   0x0004u
#define COMMAND_NO_INTX  0x0400u
#define COMMAND_BITS     (COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX)
#define STATUS           0x06u
#define STATUS_LIST      0x0010u /* there are capabilities */
#define REVISION         0x08u   /* and class */
#define CACHE_LINE       0x0cu
#define BAR0             0x10u
#define SUBSYSTEM        0x2cu
#define EXPANSION_ROM    0x30u
#define LIST             0x34u
#define INTERRUPT_LINE   0x3cu
#define HEADER_END       0x40u

#define ROM_ENABLE       0x1u
#define ROM_ADDRESS      0xfffff800u

#define BAR_WIDE         0x4u
#define BAR_PREFETCHABLE 0x8u

#define CAPABILITIES     48u /* as many fit, each with four bytes */
#define ID_POWER         0x01u
#define ID_MSI           0x05u
#define ID_EXPRESS       0x10u

#define POWER_SIZE       8u
#define POWER_VERSION    0x0007u /* of its capabilities: no other state than D0 and D3, no events */
#define POWER_CONTROL    4u
#define POWER_NO_RESET   0x0008u /* D0, and going there resets nothing */

#define MSI_CONTROL      2u
#define MSI_ENABLE       0x0001u
#define MSI_WIDE         0x0080u
#define MSI_ADDRESS      4u

#define EXPRESS_SIZE     12u
#define EXPRESS_FLAGS    2u
#define EXPRESS_ROOT     0x0091u /* version 1, integrated into the root complex: there is no link */
#define EXPRESS_CAN      4u
#define EXPRESS_CAN_BITS 0x00008fc7u /* payload, latencies, error reporting by role */
#define EXPRESS_CONTROL  8u
#define EXPRESS_KEPT     0x7ff0u /* sizes and ways of requests, as the machine has set them */

#define LOWEST           0x100000ull  /* BARs lie above what a PC has below 1 MiB ... */
#define HIGHEST          (1ull << 39) /* ... and below this */
#define FOUR_GIB         0x100000000ull
#define MIB              0x100000ull

#define ROM_PLACE        PASSED_BARS /* behind those of the BARs */

/* A message takes time from whatever guest the CPU that it comes to runs. More than so many in a period wait
 * for the next one. */
#define LIMIT            128u
#define LIMIT_PERIOD     1000000ull /* ns */

/* A BAR of the guest's, or its expansion ROM's: all of it is on the bus, which nothing else is there then;
 * but for what is trapped, the guest's CPUs find the registers themselves there. */
struct place {
    struct passed_function *function;
    unsigned index;
    uint64_t base; /* guest-physical; PCI_BAR_NOWHERE */
};

/* `lock` guards all of it. As in devices/service_pci.c, it is inside the lock of the PCI host, and the locks
 * of bus and memory map, and what arch_msi() needs, are inside it. */
struct passed_function {
    struct pci_function function;
    struct vm *vm;
    struct passed_host *host;
    const struct passed_info *info;
    struct spinlock lock;
    struct place place[PASSED_BARS + 1];
    uint8_t msi, msix; /* offsets of the capabilities; 0: none */
    uint8_t msi_data;  /* offset of MSI's data */
    bool msi_on;       /* as the machine's side has it, as is the rest */
    uint32_t unmasked; /* vectors of MSI-X */
    struct pci_msix vectors;
    uint32_t held;  /* bit n: message n (MSI has 0) is off until the period ends; 0: the timer is not armed */
    uint64_t since; /* when the period began */
    unsigned count; /* messages in it */
    struct timer limit;
    uint8_t initial[PCI_CONFIG_SIZE];
};

static uint32_t config(const struct passed_function *f, unsigned offset, unsigned size) {
    return pci_config_read(&f->function, offset, size);
}

/* What is in a place: of the ROM a copy in memory, which nobody writes. */
static const struct passed_bar *bar_at(const struct passed_function *f, unsigned index) {
    return index == ROM_PLACE ? &f->info->rom : &f->info->bar[index];
}

/* ---- messages */

/* The machine's side has each vector masked as the guest has it, and those that are held; with the lock. */
static void update_vectors(struct passed_function *f) {
    for (unsigned i = 0; i < f->vectors.count; i++) {
        bool open = f->vectors.enabled && !((f->vectors.masked | f->held) >> i & 1);
        if (open == (f->unmasked >> i & 1))
            continue;
        bool done = passed_host_vector(f->host, i, !open);
        f->unmasked = open && done ? f->unmasked | 1u << i : f->unmasked & ~(1u << i);
    }
}

static void send_msi(struct passed_function *f) {
    uint64_t address = config(f, f->msi + MSI_ADDRESS, 4);

    if (f->info->msi_wide)
        address |= (uint64_t)config(f, f->msi + MSI_ADDRESS + 4, 4) << 32;
    (void)arch_msi(f->vm, address, config(f, f->msi_data, 2));
}

/* Counts a message, which is delivered still; one that is beyond the limit is the last of its kind in this
 * period. A vector that is masked keeps what comes meanwhile (PCI Local Bus 3.0, 6.8.3.5). */
static void limit(struct passed_function *f, unsigned vector) {
    uint64_t now = time_now();

    if (now - f->since >= LIMIT_PERIOD) {
        f->since = now;
        f->count = 0;
    }
    if (f->count++ < LIMIT)
        return;
    if (!f->held)
        timer_arm(&f->limit, f->since + LIMIT_PERIOD);
    f->held |= 1u << vector;
    if (f->msi_on)
        (void)passed_host_msi(f->host, false);
    else
        update_vectors(f);
}

/* One message without a mask may have got lost: it is made up for. */
static void limit_over(struct timer *timer) {
    struct passed_function *f = container_of(timer, struct passed_function, limit);

    spin_lock(&f->lock);
    uint32_t held = f->held;
    f->held = 0;
    if (held)
        update_vectors(f);
    if (held && f->msi_on) {
        f->msi_on = passed_host_msi(f->host, true);
        send_msi(f);
    }
    spin_unlock(&f->lock);
}

/* With the lock. */
static void limit_none(struct passed_function *f) {
    if (f->held)
        (void)timer_cancel(&f->limit); /* or it finds nothing to do */
    f->held = 0;
}

static void message_came(void *context, unsigned vector) {
    struct passed_function *f = context;

    spin_lock(&f->lock);
    /* Also one that the guest has masked since: it was sent before. One to where nobody listens is lost, as
     * any write. */
    if (f->vectors.enabled && vector < f->vectors.count) {
        (void)arch_msi(f->vm, f->vectors.message[vector].address, f->vectors.message[vector].data);
        limit(f, vector);
    } else if (f->msi_on && vector == 0) {
        send_msi(f);
        limit(f, vector);
    }
    spin_unlock(&f->lock);
}

/* ---- behind the BARs */

static bool is_trapped(const struct passed_bar *bar, uint64_t offset, unsigned size) {
    return offset % size == 0 && offset >= bar->trap_begin && offset + size <= bar->trap_end;
}

/* Whether an access that is trapped reaches the table; of an aligned one all of it does, or nothing. */
static bool is_table(const struct passed_function *f, unsigned bar, uint64_t offset) {
    return f->msix && bar == f->info->table_bar && offset >= f->info->table_begin &&
           offset < f->info->table_end;
}

static int place_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    const struct place *place = device;
    struct passed_function *f = place->function;

    (void)vcpu;
    if (!is_trapped(bar_at(f, place->index), offset, size))
        return -ENXIO;
    if (!is_table(f, place->index, offset)) {
        *value = passed_host_read(f->host, place->index, offset, size);
        return 0;
    }
    spin_lock(&f->lock);
    *value = pci_msix_table_read(&f->vectors, offset - f->info->table_begin, size);
    spin_unlock(&f->lock);
    return 0;
}

static int place_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    const struct place *place = device;
    struct passed_function *f = place->function;

    (void)vcpu;
    if (!is_trapped(bar_at(f, place->index), offset, size))
        return -ENXIO;
    if (!is_table(f, place->index, offset)) {
        passed_host_write(f->host, place->index, offset, size, value);
        return 0;
    }
    spin_lock(&f->lock);
    pci_msix_table_write(&f->vectors, offset - f->info->table_begin, size, value);
    update_vectors(f);
    spin_unlock(&f->lock);
    return 0;
}

static const struct bus_ops place_ops = {.read = place_read, .write = place_write};

/* ---- where the BARs are; with the lock */

/* Where the CPUs find a BAR at PCI address `address`, which is the same: this is for machines where it is. */
static uint64_t cpu_address(struct passed_function *f, uint64_t address, uint64_t size) {
    if (size > HIGHEST || address & (size - 1) || address < LOWEST || address > HIGHEST - size)
        return PCI_BAR_NOWHERE;
    for (uint64_t at = address; at < address + size && at < FOUR_GIB; at += MIB)
        if (arch_pci_memory(f->vm, (uint32_t)at) != at)
            return PCI_BAR_NOWHERE;
    return pci_bar_over_memory(f->vm, address, size) ? PCI_BAR_NOWHERE : address;
}

/* The pages that the guest reaches itself, in up to two pieces. */
static int show(struct passed_function *f, const struct place *place, bool on) {
    const struct passed_bar *bar = bar_at(f, place->index);
    const uint64_t edge[] = {0, bar->trap_begin, bar->trap_end, bar->size};
    int error = 0;

    for (unsigned i = 0; i < 4; i += 2) {
        uint64_t size = edge[i + 1] - edge[i];
        if (!size)
            continue;
        if (on && !error && place->index == ROM_PLACE)
            error = guest_memory_place_shown(f->vm, place->base + edge[i], size, bar->physical + edge[i]);
        else if (on && !error)
            error = guest_memory_place_device(f->vm, place->base + edge[i], size, bar->physical + edge[i]);
        else if (!on)
            (void)guest_memory_remove(f->vm, place->base + edge[i], size);
    }
    return error;
}

static void move(struct passed_function *f, struct place *place, uint64_t address) {
    struct bus *bus = &f->vm->bus[BUS_MEMORY];
    uint64_t size = bar_at(f, place->index)->size;

    if (place->base != PCI_BAR_NOWHERE && place->base == address)
        return;
    if (place->base != PCI_BAR_NOWHERE) {
        show(f, place, false);
        bus_remove(bus, place->base);
        place->base = PCI_BAR_NOWHERE;
    }
    uint64_t base = address == PCI_BAR_NOWHERE ? address : cpu_address(f, address, size);
    if (base == PCI_BAR_NOWHERE || bus_add(bus, base, size, &place_ops, place, "PCI BAR of the machine"))
        return;
    place->base = base;
    int error = show(f, place, true);
    if (!error)
        return;
    static struct log_limit limit = {.burst = 4};
    if (log_allowed(&limit))
        log_warning("guest %s: registers of a PCI function cannot be shown at 0x%llx (%d)", f->vm->name,
                    (unsigned long long)base, error);
    show(f, place, false);
    bus_remove(bus, base);
    place->base = PCI_BAR_NOWHERE;
}

static void move_all(struct passed_function *f, bool enabled) {
    for (unsigned i = 0; i < PASSED_BARS; i++) {
        const struct passed_bar *bar = &f->info->bar[i];
        if (!bar->size)
            continue;
        uint64_t address = config(f, BAR0 + 4 * i, 4) & ~15u;
        if (bar->wide)
            address |= (uint64_t)config(f, BAR0 + 4 * i + 4, 4) << 32;
        move(f, &f->place[i], enabled ? address : PCI_BAR_NOWHERE);
    }
    /* PCI Local Bus 3.0, 6.2.5.2. */
    uint32_t rom = config(f, EXPANSION_ROM, 4);
    if (f->info->rom.size)
        move(f, &f->place[ROM_PLACE], enabled && rom & ROM_ENABLE ? rom & ROM_ADDRESS : PCI_BAR_NOWHERE);
}

/* ---- configuration */

/* What the configuration space says takes effect; with the lock. */
static void apply(struct passed_function *f) {
    uint32_t command = config(f, COMMAND, 2);

    if (!(command & COMMAND_MASTER))
        passed_host_master(f->host, false);
    /* Once more for a BAR whose place another one, behind it here, has only then left. */
    move_all(f, command & COMMAND_MEMORY);
    move_all(f, command & COMMAND_MEMORY);
    if (f->msix) {
        uint32_t control = config(f, f->msix + PCI_MSIX_CONTROL, 2);
        bool on = control & PCI_MSIX_CONTROL_ENABLE;
        pci_msix_set(&f->vectors, on, control & PCI_MSIX_CONTROL_MASK);
        update_vectors(f);
        passed_host_msix(f->host, on, f->vectors.held);
    }
    /* A function has one kind at a time: of both, MSI-X is taken. */
    bool msi = f->msi && config(f, f->msi + MSI_CONTROL, 2) & MSI_ENABLE && !f->vectors.enabled;
    if (msi != f->msi_on)
        f->msi_on = passed_host_msi(f->host, msi) && msi;
    if (command & COMMAND_MASTER)
        passed_host_master(f->host, true);
}

/* Whether a write there has an effect. */
static bool matters(const struct passed_function *f, unsigned offset, unsigned size) {
    unsigned end = offset + size;

    return offset < LIST || (f->msix && offset < f->msix + 4u && end > f->msix) ||
           (f->msi && offset < f->msi + 4u && end > f->msi);
}

static uint32_t config_read(struct vm *vm, struct pci_function *function, unsigned offset, unsigned size) {
    struct passed_function *f = function->device;

    (void)vm;
    spin_lock(&f->lock);
    uint32_t value = config(f, offset, size);
    spin_unlock(&f->lock);
    return value;
}

static void config_write(struct vm *vm, struct pci_function *function, unsigned offset, unsigned size,
                         uint32_t value) {
    struct passed_function *f = function->device;

    (void)vm;
    spin_lock(&f->lock);
    pci_config_write(function, offset, size, value);
    if (matters(f, offset, size))
        apply(f);
    spin_unlock(&f->lock);
}

static const struct pci_ops config_ops = {.read = config_read, .write = config_write};

/* ---- the configuration space at power-on */

static uint16_t found16(const struct passed_function *f, unsigned offset) {
    return (uint16_t)(f->info->config[offset] | f->info->config[offset + 1] << 8);
}

static void put(struct passed_function *f, unsigned offset, uint16_t value) {
    pci_config_set16(&f->function, offset, value);
}

static void writable(struct passed_function *f, unsigned offset, unsigned size, uint64_t bits) {
    for (unsigned i = 0; i < size; i++)
        f->function.writable[offset + i] = (uint8_t)(bits >> 8 * i);
}

static void copy(struct passed_function *f, unsigned offset, unsigned size) {
    memcpy(&f->function.config[offset], &f->info->config[offset], size);
}

static void make_power(struct passed_function *f, unsigned at) {
    put(f, at + 2, found16(f, at + 2) & POWER_VERSION);
    put(f, at + POWER_CONTROL, POWER_NO_RESET);
}

/* One message, without a mask. */
static void make_msi(struct passed_function *f, unsigned at) {
    bool wide = f->info->msi_wide;

    f->msi = (uint8_t)at;
    f->msi_data = (uint8_t)(at + MSI_ADDRESS + (wide ? 8 : 4));
    put(f, at + MSI_CONTROL, wide ? MSI_WIDE : 0);
    writable(f, at + MSI_CONTROL, 2, MSI_ENABLE);
    writable(f, at + MSI_ADDRESS, wide ? 8 : 4, ~3ull);
    writable(f, f->msi_data, 2, UINT16_MAX);
}

static void make_msix(struct passed_function *f, unsigned at) {
    f->msix = (uint8_t)at;
    f->vectors.count = f->info->vectors;
    put(f, at + PCI_MSIX_CONTROL, (uint16_t)(f->vectors.count - 1));
    writable(f, at + PCI_MSIX_CONTROL, 2, PCI_MSIX_CONTROL_ENABLE | PCI_MSIX_CONTROL_MASK);
    copy(f, at + PCI_MSIX_TABLE, 8);
}

static void make_express(struct passed_function *f, unsigned at) {
    put(f, at + EXPRESS_FLAGS, EXPRESS_ROOT);
    put(f, at + EXPRESS_CAN, found16(f, at + EXPRESS_CAN) & EXPRESS_CAN_BITS);
    put(f, at + EXPRESS_CONTROL, found16(f, at + EXPRESS_CONTROL) & EXPRESS_KEPT);
}

/* Makes the capability at `at` if it is one of those that a guest sees; whether it is. */
static bool make_capability(struct passed_function *f, unsigned at) {
    uint8_t id = f->info->config[at];

    if (id == ID_POWER && at + POWER_SIZE <= PCI_CONFIG_SIZE)
        make_power(f, at);
    else if (id == ID_MSI && at == f->info->msi)
        make_msi(f, at);
    else if (id == PCI_MSIX_CAPABILITY && at == f->info->msix)
        make_msix(f, at);
    else if (id == ID_EXPRESS && at + EXPRESS_SIZE <= PCI_CONFIG_SIZE)
        make_express(f, at);
    else
        return false;
    f->function.config[at] = id;
    return true;
}

/* A list of the machine's function that loops, or leaves the space, ends there. One that lies in another is
 * the firmware's or the device's fault: what is made last is seen, and that is all the harm. */
static void make_capabilities(struct passed_function *f) {
    unsigned link = LIST, at = f->info->config[LIST] & ~3u;

    if (!(f->info->config[STATUS] & STATUS_LIST))
        return;
    for (unsigned i = 0; i < CAPABILITIES && at >= HEADER_END && at <= PCI_CONFIG_SIZE - 4; i++) {
        if (f->function.config[at]) /* it is there already */
            break;
        if (make_capability(f, at)) {
            f->function.config[link] = (uint8_t)at;
            link = at + 1;
        }
        at = f->info->config[at + 1] & ~3u;
    }
    put(f, STATUS, link == LIST ? 0 : STATUS_LIST);
}

static void make_config(struct passed_function *f) {
    copy(f, VENDOR, 4);
    copy(f, REVISION, 4);
    copy(f, SUBSYSTEM, 4);
    writable(f, COMMAND, 2, COMMAND_BITS);
    writable(f, CACHE_LINE, 2, UINT16_MAX);
    writable(f, INTERRUPT_LINE, 1, UINT8_MAX);
    for (unsigned i = 0; i < PASSED_BARS; i++) {
        const struct passed_bar *bar = &f->info->bar[i];
        f->place[i] = (struct place){.function = f, .index = i, .base = PCI_BAR_NOWHERE};
        if (!bar->size)
            continue;
        f->function.config[BAR0 + 4 * i] =
            (bar->wide ? BAR_WIDE : 0) | (f->info->config[BAR0 + 4 * i] & BAR_PREFETCHABLE);
        writable(f, BAR0 + 4 * i, bar->wide ? 8 : 4, ~(bar->size - 1) & ~15ull);
    }
    f->place[ROM_PLACE] = (struct place){.function = f, .index = ROM_PLACE, .base = PCI_BAR_NOWHERE};
    if (f->info->rom.size)
        writable(f, EXPANSION_ROM, 4, (~(f->info->rom.size - 1) & ROM_ADDRESS) | ROM_ENABLE);
    make_capabilities(f);
    memcpy(f->initial, f->function.config, PCI_CONFIG_SIZE);
}

/* ---- its life */

int passed_function_create(struct vm *vm, const char *address, uint8_t devfn, struct passed_function **out) {
    struct passed_function *f = heap_allocate(sizeof(*f), &vm->memory.account);

    if (!f)
        return -ENOMEM;
    f->vm = vm;
    f->function.devfn = devfn;
    f->function.ops = &config_ops;
    f->function.device = f;
    int error = passed_host_create(vm, address, message_came, f, &f->host);
    if (error)
        goto free_function;
    f->info = passed_host_info(f->host);
    timer_init(&f->limit, limit_over);
    make_config(f);
    pci_msix_reset(&f->vectors);
    error = arch_pci_add(vm, &f->function);
    if (error)
        goto free_host;
    *out = f;
    return 0;

free_host:
    passed_host_destroy(f->host);
free_function:
    heap_free(f, sizeof(*f), &vm->memory.account);
    return error;
}

void passed_function_destroy(struct passed_function *f) {
    struct vm *vm = f->vm;

    arch_pci_remove(vm, &f->function);
    move_all(f, false);
    passed_host_destroy(f->host);
    heap_free(f, sizeof(*f), &vm->memory.account);
}

/* With the lock. */
static void clear(struct passed_function *f) {
    move_all(f, false);
    memcpy(f->function.config, f->initial, PCI_CONFIG_SIZE);
    pci_msix_reset(&f->vectors);
    limit_none(f);
    f->unmasked = 0;
    f->msi_on = false;
}

const char *passed_function_start(struct passed_function *f, struct iommu_domain *domain) {
    spin_lock(&f->lock);
    clear(f);
    const char *why = passed_host_start(f->host, domain);
    spin_unlock(&f->lock);
    return why;
}

int passed_function_move(struct passed_function *f, struct iommu_domain *domain) {
    spin_lock(&f->lock);
    int error = passed_host_move(f->host, domain);
    spin_unlock(&f->lock);
    return error;
}

void passed_function_stop(struct passed_function *f, bool last) {
    spin_lock(&f->lock);
    passed_host_stop(f->host, last);
    spin_unlock(&f->lock);
}

void passed_function_end(struct passed_function *f, bool last) {
    spin_lock(&f->lock);
    /* Before the machine is reset: what it puts in its places then may lie where the guest had the BARs. */
    if (!last)
        move_all(f, false);
    pci_msix_set(&f->vectors, false, false);
    limit_none(f);
    f->unmasked = 0;
    f->msi_on = false;
    passed_host_end(f->host, last);
    spin_unlock(&f->lock);
}

uint64_t passed_function_rest(struct passed_function *f) {
    spin_lock(&f->lock);
    uint64_t rest = passed_host_rest(f->host);
    spin_unlock(&f->lock);
    return rest;
}
