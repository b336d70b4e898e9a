// SPDX-License-Identifier: Apache-2.0
// The guest's pair of 8259A interrupt controllers (Intel 8259A data sheet) and their ELCR (ICH9, 13.4.11).
#include "arch/x86/guest/pic.h"
#include <errno.h>
#include "arch/x86/guest/lapic.h"
#include "arch/x86/vm.h"
#include "lib/state.h"

#define CASCADE     2

#define ICW1        0x10u
#define ICW1_IC4    0x01u /* ICW4 follows */
#define ICW1_SNGL   0x02u /* no cascade: ICW3 does not follow */
#define ICW1_LTIM   0x08u /* all lines are level-triggered */
#define ICW4_AEOI   0x02u
#define ICW4_SFNM   0x10u
#define OCW3        0x08u

#define PORT_FIRST  0x20
#define PORT_SECOND 0xa0
#define PORT_ELCR   0x4d0

struct chip {
    uint8_t lines; /* inputs that are active */
    uint8_t latch; /* edges that were not acknowledged yet */
    uint8_t imr;
    uint8_t isr;
    uint8_t elcr; /* level-triggered lines */
    uint8_t icw1;
    uint8_t icw4;
    uint8_t base;     /* vector of line 0 */
    uint8_t lowest;   /* the line with the lowest priority */
    uint8_t step;     /* which ICW comes next, 2 to 4; 0: initialised */
    uint8_t started;  /* ICW1 was seen: before, the chip gives no interrupts */
    uint8_t rotate;   /* rotate in automatic EOI mode */
    uint8_t special;  /* special mask mode */
    uint8_t poll;     /* the next read is a poll */
    uint8_t read_isr; /* what port 0 reads: ISR or IRR */
};

struct pic {
    struct spinlock lock;
    struct vm *vm;
    uint32_t output; /* INTR; read without the lock */
    struct chip chip[2];
};

static const uint8_t elcr_mask[2] = {0xf8, 0xde}; /* lines 0-2, 8 and 13 are edges */

static uint8_t level_lines(const struct chip *chip) {
    return chip->icw1 & ICW1_LTIM ? 0xff : chip->elcr;
}

/* IRR. */
static uint8_t requests(const struct chip *chip) {
    uint8_t level = level_lines(chip);
    return (uint8_t)((chip->lines & level) | (chip->latch & ~level));
}

/* Place of the most important of some lines in the present order of priorities, 0 to 7; 8: none. */
static unsigned place(const struct chip *chip, uint8_t lines) {
    for (unsigned n = 0; n < 8; n++)
        if (lines >> ((chip->lowest + 1 + n) & 7) & 1)
            return n;
    return 8;
}

static unsigned line_at(const struct chip *chip, unsigned n) {
    return (chip->lowest + 1 + n) & 7;
}

/* The line that a chip asks for, or -1. `first`: it is the one with the cascade. */
static int requested(const struct chip *chip, bool first) {
    if (!chip->started || chip->step)
        return -1;
    unsigned asking = place(chip, requests(chip) & (uint8_t)~chip->imr);
    if (asking == 8)
        return -1;
    uint8_t in_service = chip->isr;
    if (chip->special)
        in_service &= (uint8_t)~chip->imr;
    unsigned serving = place(chip, in_service);
    unsigned line = line_at(chip, asking);
    /* Special fully nested mode: the second chip may interrupt its own handler. */
    bool nested = first && chip->icw4 & ICW4_SFNM && line == CASCADE && asking == serving;
    return asking < serving || nested ? (int)line : -1;
}

/* Works out the cascade and INTR. True: INTR went up. */
static bool update(struct pic *pic) {
    struct chip *first = &pic->chip[0];
    uint8_t bit = 1u << CASCADE;

    /* The cascade follows the second chip's output without a latch, so that a request that is taken back
     * there leaves nothing behind here. */
    if (requested(&pic->chip[1], false) >= 0) {
        first->lines |= bit;
        first->latch |= bit;
    } else {
        first->lines &= (uint8_t)~bit;
        first->latch &= (uint8_t)~bit;
    }
    uint32_t output = requested(first, true) >= 0;
    bool rose = output && !pic->output;
    __atomic_store_n(&pic->output, output, __ATOMIC_RELEASE);
    return rose;
}

static void unlock(struct pic *pic, bool notify) {
    spin_unlock(&pic->lock);
    if (notify)
        lapic_pic_output(pic->vm);
}

/* The processor took a line's request. */
static void acknowledge(struct chip *chip, unsigned line) {
    uint8_t bit = (uint8_t)(1u << line);

    chip->latch &= (uint8_t)~bit;
    if (!(chip->icw4 & ICW4_AEOI))
        chip->isr |= bit;
    else if (chip->rotate)
        chip->lowest = (uint8_t)line;
}

void pic_set_line(struct pic *pic, unsigned line, bool level) {
    if (line >= 16 || line == CASCADE)
        return;
    struct chip *chip = &pic->chip[line >> 3];
    uint8_t bit = (uint8_t)(1u << (line & 7));

    spin_lock(&pic->lock);
    bool notify = false;
    if (((chip->lines & bit) != 0) != level) {
        chip->lines ^= bit;
        /* An edge stays until it is acknowledged, also when the line falls before that: pulses count. */
        if (level)
            chip->latch |= bit;
        notify = update(pic);
    }
    unlock(pic, notify);
}

bool pic_pending(const struct pic *pic) {
    return __atomic_load_n(&pic->output, __ATOMIC_ACQUIRE) != 0;
}

uint8_t pic_acknowledge(struct pic *pic) {
    struct chip *first = &pic->chip[0];
    struct chip *second = &pic->chip[1];
    unsigned vector;

    spin_lock(&pic->lock);
    int line = requested(first, true);
    if (line < 0) {
        vector = first->base + 7u;
    } else {
        acknowledge(first, (unsigned)line);
        vector = first->base + (unsigned)line;
    }
    if (line == CASCADE) {
        line = requested(second, false);
        if (line >= 0)
            acknowledge(second, (unsigned)line);
        vector = second->base + (line < 0 ? 7u : (unsigned)line);
    }
    /* INTR falls with each acknowledge: what is still asked for is a new edge. */
    pic->output = 0;
    bool notify = update(pic);
    unlock(pic, notify);
    return (uint8_t)vector;
}

static void write_icw1(struct chip *chip, uint8_t value) {
    chip->icw1 = value;
    chip->icw4 = 0;
    chip->latch = 0;
    chip->imr = 0;
    chip->isr = 0;
    chip->lowest = 7;
    chip->rotate = 0;
    chip->special = 0;
    chip->poll = 0;
    chip->read_isr = 0;
    chip->started = 1;
    chip->step = 2;
}

static void write_ocw2(struct chip *chip, uint8_t value) {
    unsigned line = value & 7;
    uint8_t in_service = chip->isr;

    switch (value >> 5) {
    case 0: /* rotate in automatic EOI mode: off, on */
    case 4:
        chip->rotate = value >> 7;
        break;
    case 1: /* non-specific EOI, without or with rotation */
    case 5:
        /* In special mask mode it passes over lines that are masked. */
        if (chip->special)
            in_service &= (uint8_t)~chip->imr;
        if (place(chip, in_service) == 8)
            break;
        line = line_at(chip, place(chip, in_service));
        chip->isr &= (uint8_t) ~(1u << line);
        if (value >> 5 == 5)
            chip->lowest = (uint8_t)line;
        break;
    case 3: /* specific EOI, without or with rotation */
    case 7:
        chip->isr &= (uint8_t) ~(1u << line);
        if (value >> 5 == 7)
            chip->lowest = (uint8_t)line;
        break;
    case 6: /* set priority */
        chip->lowest = (uint8_t)line;
        break;
    default:
        break;
    }
}

static void write_ocw3(struct chip *chip, uint8_t value) {
    if (value & 0x40)
        chip->special = value >> 5 & 1;
    if (value & 0x04)
        chip->poll = 1;
    else if (value & 0x02)
        chip->read_isr = value & 1;
}

static void write_chip(struct chip *chip, unsigned port, uint8_t value) {
    if (port == 0) {
        if (value & ICW1)
            write_icw1(chip, value);
        else if (value & OCW3)
            write_ocw3(chip, value);
        else
            write_ocw2(chip, value);
        return;
    }
    switch (chip->step) {
    case 0:
        chip->imr = value;
        break;
    case 2:
        chip->base = value & 0xf8;
        chip->step = chip->icw1 & ICW1_SNGL ? (chip->icw1 & ICW1_IC4 ? 4 : 0) : 3;
        break;
    case 3: /* the cascade's wiring, which is fixed */
        chip->step = chip->icw1 & ICW1_IC4 ? 4 : 0;
        break;
    default:
        chip->icw4 = value & (ICW4_AEOI | ICW4_SFNM);
        chip->step = 0;
        break;
    }
}

static uint8_t read_chip(struct chip *chip, unsigned port, bool first) {
    if (chip->poll) {
        int line = requested(chip, first);
        chip->poll = 0;
        if (line < 0)
            return 0;
        acknowledge(chip, (unsigned)line);
        return (uint8_t)(0x80 | line);
    }
    if (port == 1)
        return chip->imr;
    return chip->read_isr ? chip->isr : requests(chip);
}

/* A wider access is several of a byte each, as on the ISA bus. */
static int read(struct pic *pic, unsigned number, uint64_t offset, unsigned size, uint64_t *value) {
    bool notify = false;

    *value = 0;
    spin_lock(&pic->lock);
    for (unsigned i = 0; i < size; i++) {
        uint64_t byte = read_chip(&pic->chip[number], (unsigned)offset + i, number == 0);
        *value |= byte << i * 8;
        notify = update(pic) || notify;
    }
    unlock(pic, notify);
    return 0;
}

static int write(struct pic *pic, unsigned number, uint64_t offset, unsigned size, uint64_t value) {
    bool notify = false;

    spin_lock(&pic->lock);
    for (unsigned i = 0; i < size; i++) {
        write_chip(&pic->chip[number], (unsigned)offset + i, (uint8_t)(value >> i * 8));
        notify = update(pic) || notify;
    }
    unlock(pic, notify);
    return 0;
}

static int read_first(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)vcpu;
    return read(device, 0, offset, size, value);
}

static int write_first(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    return write(device, 0, offset, size, value);
}

static int read_second(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)vcpu;
    return read(device, 1, offset, size, value);
}

static int write_second(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    return write(device, 1, offset, size, value);
}

static int read_elcr(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    struct pic *pic = device;
    (void)vcpu;
    *value = 0;
    for (unsigned i = 0; i < size; i++)
        *value |= (uint64_t)pic->chip[offset + i].elcr << i * 8;
    return 0;
}

static int write_elcr(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    struct pic *pic = device;
    (void)vcpu;
    spin_lock(&pic->lock);
    for (unsigned i = 0; i < size; i++) {
        struct chip *chip = &pic->chip[offset + i];
        chip->elcr = (uint8_t)(value >> i * 8) & elcr_mask[offset + i];
        chip->latch &= (uint8_t)~chip->elcr;
    }
    bool notify = update(pic);
    unlock(pic, notify);
    return 0;
}

static const struct bus_ops first_ops = {read_first, write_first};
static const struct bus_ops second_ops = {read_second, write_second};
static const struct bus_ops elcr_ops = {read_elcr, write_elcr};

static void destroy(struct vm *vm, unsigned index) {
    struct pc *pc = &x86_vm(vm)->pc;
    (void)index;
    bus_remove(&vm->bus[BUS_PORT], PORT_FIRST);
    bus_remove(&vm->bus[BUS_PORT], PORT_SECOND);
    bus_remove(&vm->bus[BUS_PORT], PORT_ELCR);
    heap_free(pc->pic, sizeof(*pc->pic), &vm->memory.account);
    pc->pic = NULL;
}

static int create(struct vm *vm, unsigned index) {
    struct bus *bus = &vm->bus[BUS_PORT];
    struct pic *pic = heap_allocate(sizeof(*pic), &vm->memory.account);
    if (!pic)
        return -ENOMEM;
    pic->vm = vm;
    x86_vm(vm)->pc.pic = pic;
    int error = bus_add(bus, PORT_FIRST, 2, &first_ops, pic, "pic");
    if (!error)
        error = bus_add(bus, PORT_SECOND, 2, &second_ops, pic, "pic");
    if (!error)
        error = bus_add(bus, PORT_ELCR, 2, &elcr_ops, pic, "elcr");
    if (error)
        destroy(vm, index);
    return error;
}

static void reset(struct vm *vm, unsigned index) {
    struct pic *pic = x86_vm(vm)->pc.pic;
    (void)index;
    for (unsigned n = 0; n < 2; n++)
        pic->chip[n] = (struct chip){.lowest = 7};
    update(pic);
}

static void save(struct vm *vm, unsigned index, struct state_writer *writer) {
    const struct pic *pic = x86_vm(vm)->pc.pic;
    (void)index;
    for (unsigned n = 0; n < 2; n++) {
        const struct chip *chip = &pic->chip[n];
        state_put_u8(writer, chip->lines);
        state_put_u8(writer, chip->latch);
        state_put_u8(writer, chip->imr);
        state_put_u8(writer, chip->isr);
        state_put_u8(writer, chip->elcr);
        state_put_u8(writer, chip->icw1);
        state_put_u8(writer, chip->icw4);
        state_put_u8(writer, chip->base);
        state_put_u8(writer, chip->lowest);
        state_put_u8(writer, chip->step);
        state_put_u8(writer, chip->started);
        state_put_u8(writer, chip->rotate);
        state_put_u8(writer, chip->special);
        state_put_u8(writer, chip->poll);
        state_put_u8(writer, chip->read_isr);
    }
}

static bool chip_valid(const struct chip *chip, unsigned n) {
    if (chip->elcr & ~elcr_mask[n] || chip->icw4 & ~(ICW4_AEOI | ICW4_SFNM) || chip->base & 7)
        return false;
    if (chip->lowest > 7 || chip->step == 1 || chip->step > 4)
        return false;
    if (chip->started != (chip->icw1 & ICW1) >> 4 || (chip->step && !chip->started))
        return false;
    return chip->rotate <= 1 && chip->special <= 1 && chip->poll <= 1 && chip->read_isr <= 1;
}

static int load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    struct pic *pic = x86_vm(vm)->pc.pic;
    struct chip chip[2];

    reset(vm, index);
    for (unsigned n = 0; n < 2; n++) {
        chip[n].lines = state_get_u8(reader);
        chip[n].latch = state_get_u8(reader);
        chip[n].imr = state_get_u8(reader);
        chip[n].isr = state_get_u8(reader);
        chip[n].elcr = state_get_u8(reader);
        chip[n].icw1 = state_get_u8(reader);
        chip[n].icw4 = state_get_u8(reader);
        chip[n].base = state_get_u8(reader);
        chip[n].lowest = state_get_u8(reader);
        chip[n].step = state_get_u8(reader);
        chip[n].started = state_get_u8(reader);
        chip[n].rotate = state_get_u8(reader);
        chip[n].special = state_get_u8(reader);
        chip[n].poll = state_get_u8(reader);
        chip[n].read_isr = state_get_u8(reader);
    }
    if (version != 1 || reader->error || !chip_valid(&chip[0], 0) || !chip_valid(&chip[1], 1))
        return -EINVAL;
    pic->chip[0] = chip[0];
    pic->chip[1] = chip[1];
    if (update(pic))
        lapic_pic_output(vm);
    return 0;
}

const struct part pic_part = {
    .name = "x86.pic",
    .version = 1,
    .create = create,
    .destroy = destroy,
    .reset = reset,
    .save = save,
    .load = load,
};
