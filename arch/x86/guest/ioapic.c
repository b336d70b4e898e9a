// SPDX-License-Identifier: Apache-2.0
// The guest's I/O APIC (Intel 82093AA data sheet; the EOI register of its successors in the ICH).
#include "arch/x86/guest/ioapic.h"
#include <errno.h>
#include <string.h>
#include "arch/x86/guest/lapic.h"
#include "arch/x86/vm.h"
#include "lib/state.h"

#define WINDOW_SIZE       0x1000
#define REGISTER_SELECT   0x00
#define REGISTER_WINDOW   0x10
#define REGISTER_EOI      0x40

#define INDEX_ID          0x00
#define INDEX_VERSION     0x01
#define INDEX_ARBITRATION 0x02
#define INDEX_ENTRIES     0x10

/* Redirection entry. */
#define ENTRY_LOGICAL     0x800ull
#define ENTRY_REMOTE_IRR  0x4000ull
#define ENTRY_LEVEL       0x8000ull
#define ENTRY_MASK        0x10000ull
#define ENTRY_READ_ONLY   0x5000ull /* delivery status (always idle here) and remote IRR */
#define ENTRY_VALID       0xff0000000001ffffull

struct ioapic {
    struct spinlock lock;
    struct vm *vm;
    uint32_t lines; /* pins that are asserted */
    uint32_t
        remote_irr; /* pins whose level interrupt was taken and has not ended; copies of the entries' bit */
    uint8_t id;
    uint8_t select;
    uint64_t entry[IOAPIC_PINS];
};

static unsigned delivery_of(uint64_t entry) {
    return entry >> 8 & 7;
}

/* SMI, NMI, INIT and ExtINT are edges whatever the entry says. */
static bool is_level(uint64_t entry) {
    return entry & ENTRY_LEVEL && delivery_of(entry) <= LAPIC_LOWEST;
}

/* Sends a pin's message. Locked. */
static void deliver(struct ioapic *ioapic, unsigned pin) {
    uint64_t entry = ioapic->entry[pin];
    struct lapic_message message = {
        .destination = (uint32_t)(entry >> 56),
        .logical = (entry & ENTRY_LOGICAL) != 0,
        .level = is_level(entry),
        .assert = true,
        .delivery = (uint8_t)delivery_of(entry),
        .vector = (uint8_t)entry,
    };

    /* A start-up message does not exist here (reserved, 3.2.4). */
    if (message.delivery == LAPIC_SIPI)
        return;
    /* Before the message: its end may come at once on another CPU. (It waits for the lock, which is held.) */
    if (lapic_deliver(ioapic->vm, NULL, 0, &message) && message.level) {
        ioapic->entry[pin] |= ENTRY_REMOTE_IRR;
        ioapic->remote_irr |= 1u << pin;
    }
}

/* Delivers a level pin that is asserted, open and not in service already. Locked. */
static void evaluate(struct ioapic *ioapic, unsigned pin) {
    uint64_t entry = ioapic->entry[pin];
    if (ioapic->lines >> pin & 1 && is_level(entry) && !(entry & (ENTRY_MASK | ENTRY_REMOTE_IRR)))
        deliver(ioapic, pin);
}

void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool level) {
    if (pin >= IOAPIC_PINS)
        return;
    spin_lock(&ioapic->lock);
    bool before = ioapic->lines >> pin & 1;
    if (level != before) {
        ioapic->lines ^= 1u << pin;
        if (is_level(ioapic->entry[pin]))
            evaluate(ioapic, pin);
        else if (level && !(ioapic->entry[pin] & ENTRY_MASK))
            deliver(ioapic, pin); /* an edge on a masked pin is lost (3.2.4, interrupt mask) */
    }
    spin_unlock(&ioapic->lock);
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector) {
    spin_lock(&ioapic->lock);
    uint32_t waiting = ioapic->remote_irr;
    while (waiting) {
        unsigned pin = (unsigned)__builtin_ctz(waiting);
        waiting &= waiting - 1;
        if ((uint8_t)ioapic->entry[pin] != vector)
            continue;
        ioapic->entry[pin] &= ~ENTRY_REMOTE_IRR;
        ioapic->remote_irr &= ~(1u << pin);
        evaluate(ioapic, pin);
    }
    spin_unlock(&ioapic->lock);
}

void ioapic_retry(struct ioapic *ioapic) {
    spin_lock(&ioapic->lock);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        evaluate(ioapic, pin);
    spin_unlock(&ioapic->lock);
}

/* The pin whose entry a register index names; IOAPIC_PINS: none. */
static unsigned pin_of(uint8_t index) {
    if (index < INDEX_ENTRIES || index >= INDEX_ENTRIES + 2 * IOAPIC_PINS)
        return IOAPIC_PINS;
    return (index - (unsigned)INDEX_ENTRIES) / 2;
}

static uint32_t read_window(const struct ioapic *ioapic) {
    unsigned pin = pin_of(ioapic->select);

    switch (ioapic->select) {
    case INDEX_ID:
    case INDEX_ARBITRATION: /* a copy of the ID since there is no APIC bus any more */
        return (uint32_t)ioapic->id << 24;
    case INDEX_VERSION:
        return (IOAPIC_PINS - 1) << 16 | 0x20;
    default:
        if (pin >= IOAPIC_PINS)
            return 0;
        return (uint32_t)(ioapic->entry[pin] >> (ioapic->select & 1) * 32);
    }
}

static void write_window(struct ioapic *ioapic, uint32_t value) {
    unsigned pin = pin_of(ioapic->select);

    if (ioapic->select == INDEX_ID) {
        ioapic->id = value >> 24 & 0xf;
        return;
    }
    if (pin >= IOAPIC_PINS)
        return;
    uint64_t entry = ioapic->entry[pin];
    if (ioapic->select & 1)
        entry = (entry & 0xffffffff) | (uint64_t)value << 32;
    else
        entry = (entry & (0xffffffff00000000ull | ENTRY_READ_ONLY)) | (value & ~ENTRY_READ_ONLY);
    entry &= ENTRY_VALID;
    /* Edge-triggered pins have no remote IRR; older systems end a level interrupt by this switch. */
    if (!is_level(entry)) {
        entry &= ~ENTRY_REMOTE_IRR;
        ioapic->remote_irr &= ~(1u << pin);
    }
    ioapic->entry[pin] = entry;
    evaluate(ioapic, pin);
}

static int read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    struct ioapic *ioapic = device;
    (void)vcpu;
    uint32_t word = 0;

    if ((offset & 3) + size > 4 && (offset & 3))
        return -ENXIO;
    spin_lock(&ioapic->lock);
    switch (offset & ~3ull) {
    case REGISTER_SELECT:
        word = ioapic->select;
        break;
    case REGISTER_WINDOW:
        word = read_window(ioapic);
        break;
    default:
        break;
    }
    spin_unlock(&ioapic->lock);
    *value = word >> (offset & 3) * 8;
    return 0;
}

static int write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    struct ioapic *ioapic = device;
    (void)vcpu;
    (void)size;

    spin_lock(&ioapic->lock);
    if (offset == REGISTER_SELECT)
        ioapic->select = (uint8_t)value;
    else if (offset == REGISTER_WINDOW)
        write_window(ioapic, (uint32_t)value);
    spin_unlock(&ioapic->lock);
    if (offset == REGISTER_EOI)
        ioapic_eoi(ioapic, (uint8_t)value);
    return 0;
}

static const struct bus_ops ops = {read, write};

static int create(struct vm *vm, unsigned index) {
    (void)index;
    struct ioapic *ioapic = heap_allocate(sizeof(*ioapic), &vm->memory.account);
    if (!ioapic)
        return -ENOMEM;
    ioapic->vm = vm;
    int error = bus_add(&vm->bus[BUS_MEMORY], PC_IOAPIC_BASE, WINDOW_SIZE, &ops, ioapic, "ioapic");
    if (error) {
        heap_free(ioapic, sizeof(*ioapic), &vm->memory.account);
        return error;
    }
    x86_vm(vm)->pc.ioapic = ioapic;
    return 0;
}

static void destroy(struct vm *vm, unsigned index) {
    struct pc *pc = &x86_vm(vm)->pc;
    (void)index;
    bus_remove(&vm->bus[BUS_MEMORY], PC_IOAPIC_BASE);
    heap_free(pc->ioapic, sizeof(*pc->ioapic), &vm->memory.account);
    pc->ioapic = NULL;
}

static void reset(struct vm *vm, unsigned index) {
    struct ioapic *ioapic = x86_vm(vm)->pc.ioapic;
    (void)index;
    ioapic->lines = 0;
    ioapic->remote_irr = 0;
    ioapic->id = 0;
    ioapic->select = 0;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        ioapic->entry[pin] = ENTRY_MASK;
}

static void save(struct vm *vm, unsigned index, struct state_writer *writer) {
    const struct ioapic *ioapic = x86_vm(vm)->pc.ioapic;
    (void)index;
    state_put_u32(writer, ioapic->lines);
    state_put_u8(writer, ioapic->id);
    state_put_u8(writer, ioapic->select);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        state_put_u64(writer, ioapic->entry[pin]);
}

static int load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    struct ioapic *ioapic = x86_vm(vm)->pc.ioapic;
    uint64_t entry[IOAPIC_PINS];
    uint32_t remote_irr = 0;
    bool valid = version == 1;

    reset(vm, index);
    uint32_t lines = state_get_u32(reader);
    uint8_t id = state_get_u8(reader);
    uint8_t select = state_get_u8(reader);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        entry[pin] = state_get_u64(reader);
        if (entry[pin] & ~(ENTRY_VALID & ~(ENTRY_READ_ONLY & ~ENTRY_REMOTE_IRR)))
            valid = false;
        if (entry[pin] & ENTRY_REMOTE_IRR) {
            valid = valid && is_level(entry[pin]);
            remote_irr |= 1u << pin;
        }
    }
    if (!valid || reader->error || lines >> IOAPIC_PINS || id > 0xf)
        return -EINVAL;
    ioapic->lines = lines;
    ioapic->remote_irr = remote_irr;
    ioapic->id = id;
    ioapic->select = select;
    memcpy(ioapic->entry, entry, sizeof(entry));
    return 0;
}

const struct part ioapic_part = {
    .name = "x86.ioapic",
    .version = 1,
    .create = create,
    .destroy = destroy,
    .reset = reset,
    .save = save,
    .load = load,
};
