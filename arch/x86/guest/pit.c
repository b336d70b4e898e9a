// SPDX-License-Identifier: Apache-2.0
// The 8254 of a guest (Intel 8254 data sheet): three channels, six modes, latch and read-back, and port 0x61.
#include "arch/x86/guest/pit.h"

#include <errno.h>

#include "arch/x86/guest/rate.h"
#include "arch/x86/vm.h"
#include "lib/state.h"

#define PIT_BASE     0x40
#define PIT_PORTS    4
#define SYSTEM_PORT  0x61
#define PIT_CHANNELS 3
#define PIT_GSI      0

#define ACCESS_LOW   1u
#define ACCESS_HIGH  2u
#define ACCESS_BOTH  3u

/* What the counting element of a channel does. */
enum run {
    RUN_NONE,     /* a control word was written, no count yet */
    RUN_WAITING,  /* modes 1, 5: a count, no trigger yet */
    RUN_HELD,     /* the gate is low: stopped at `held` */
    RUN_COUNTING, /* since `start` */
    RUN_LAST = RUN_COUNTING
};

struct channel {
    uint8_t mode;   /* 0..5 */
    uint8_t access; /* ACCESS_* */
    bool bcd;
    bool gate;
    uint8_t run;   /* enum run */
    bool have_low; /* ACCESS_BOTH: the low byte of a count was written, the high one comes next */
    uint8_t low;
    bool read_high;  /* ACCESS_BOTH: the next read gives the high byte */
    uint8_t latched; /* bytes of `latch` still to be read: bit 0 low, bit 1 high */
    uint16_t latch;
    bool status_latched;
    uint8_t status;
    bool pending;     /* modes 2, 3: `written` takes over at tick `change` */
    uint32_t count;   /* of the run: 1..65536, 1..16665 in BCD */
    uint32_t written; /* the last count written */
    uint64_t start;   /* tick at which the counting element was loaded; may lie one tick ahead */
    uint64_t change;
    uint64_t held; /* ticks that had passed when the gate went low */
};

struct pit {
    struct spinlock lock;
    struct vm *vm;
    struct timer timer; /* channel 0's next rising edge */
    uint64_t edge;      /* its tick; UINT64_MAX: none */
    uint64_t delivered; /* ns: the last one */
    bool line;
    uint8_t control; /* port 0x61, bits 3:0 */
    struct channel channel[PIT_CHANNELS];
};

/* Ticks start far above 0, so that a channel may have been started before this machine's clock was. */
#define TICK_BIAS (1ull << 60)

static uint64_t tick_now(void) {
    return rate_ticks(time_now(), PIT_HZ) + TICK_BIAS;
}

/* The length of mode 3's high half; odd counts give it the extra tick. */
static uint32_t high_half(uint32_t count) {
    return (count + 1) / 2;
}

static uint64_t elapsed(const struct channel *c, uint64_t now) {
    if (c->run == RUN_HELD)
        return c->held;
    return c->run == RUN_COUNTING && now > c->start ? now - c->start : 0;
}

/* Lets a new count of modes 2 and 3 take over if its time has come. */
static void advance(struct channel *c, uint64_t now) {
    if (!c->pending || now < c->change)
        return;
    bool to_low = c->mode == 3 && (c->change - c->start) % c->count == high_half(c->count);
    c->pending = false;
    c->count = c->written;
    c->start = to_low ? c->change - high_half(c->count) : c->change;
}

static bool output(const struct channel *c, uint64_t now) {
    uint64_t t = elapsed(c, now);
    switch (c->mode) {
    case 0:
        return c->run >= RUN_HELD && t >= c->count;
    case 1:
        return c->run != RUN_COUNTING || now < c->start || t >= c->count;
    case 2:
        return c->run != RUN_COUNTING || c->count == 1 || t % c->count != c->count - 1;
    case 3:
        return c->run != RUN_COUNTING || t % c->count < high_half(c->count);
    default: /* 4 and 5: low for the one tick after the count ran out */
        return c->run < RUN_HELD || t != c->count;
    }
}

/* What the counting element holds, in the guest's coding. */
static uint16_t value(const struct channel *c, uint64_t now) {
    uint64_t t = elapsed(c, now);
    uint32_t modulus = c->bcd ? 10000 : 65536;
    uint32_t n;
    if (c->mode == 2) {
        n = c->count - (uint32_t)(t % c->count);
    } else if (c->mode == 3) {
        uint32_t phase = (uint32_t)(t % c->count);
        if (phase >= high_half(c->count))
            phase -= high_half(c->count);
        n = (c->count & ~1u) - 2 * phase;
    } else {
        n = c->count % modulus + modulus - (uint32_t)(t % modulus);
    }
    n %= modulus;
    if (c->bcd)
        n = n / 1000 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10;
    return (uint16_t)n;
}

/* The tick of the next rising edge of OUT after `now`; UINT64_MAX: there will be none by itself. */
static uint64_t next_edge(const struct channel *c, uint64_t now) {
    if (c->run != RUN_COUNTING)
        return UINT64_MAX;
    uint64_t t = elapsed(c, now);
    switch (c->mode) {
    case 0:
    case 1:
        return t < c->count ? c->start + c->count : UINT64_MAX;
    case 2:
    case 3:
        if (c->pending) {
            /* The change is such an edge itself, but for mode 3 going low: then the new low half follows. */
            bool to_low = c->mode == 3 && (c->change - c->start) % c->count == high_half(c->count);
            return to_low ? c->change + c->written / 2 : c->change;
        }
        return c->start + (t / c->count + 1) * c->count;
    default:
        return t <= c->count ? c->start + c->count + 1 : UINT64_MAX;
    }
}

/* Sets line 0 to channel 0's OUT; `edge`: it has risen, so the line shows one even if nobody saw it low. The
 * timer is armed for the next edge. */
static void update(struct pit *pit, bool edge) {
    struct channel *c = &pit->channel[0];
    uint64_t now = tick_now();
    advance(c, now);
    /* In the periodic modes the low time is not shown: the 8259 wants the line to stay high until it is
     * acknowledged. */
    bool level = c->mode == 2 || c->mode == 3 || output(c, now);
    if (pit->line && (edge || !level))
        pc_line_set(pit->vm, PIT_GSI, false);
    if (level && (edge || !pit->line))
        pc_line_set(pit->vm, PIT_GSI, true);
    pit->line = level;

    pit->edge = next_edge(c, now);
    if (pit->edge == UINT64_MAX) {
        timer_cancel(&pit->timer);
        return;
    }
    uint64_t deadline = rate_ns(pit->edge - TICK_BIAS, PIT_HZ);
    if (deadline < pit->delivered + PIT_MIN_PERIOD)
        deadline = pit->delivered + PIT_MIN_PERIOD;
    timer_arm(&pit->timer, deadline);
}

static void timer_fired(struct timer *timer) {
    struct pit *pit = container_of(timer, struct pit, timer);
    spin_lock(&pit->lock);
    /* The channel may have been programmed anew since the timer left its queue. */
    bool due = tick_now() >= pit->edge && time_now() >= pit->delivered + PIT_MIN_PERIOD;
    if (due)
        pit->delivered = time_now();
    update(pit, due);
    spin_unlock(&pit->lock);
}

/* A new count is complete. */
static void load_count(struct channel *c, uint16_t raw, uint64_t now) {
    uint32_t count = raw;
    if (c->bcd)
        count = (raw >> 12) * 1000u + (raw >> 8 & 15) * 100u + (raw >> 4 & 15) * 10u + (raw & 15);
    if (count == 0)
        count = c->bcd ? 10000 : 65536;
    c->written = count;
    switch (c->mode) {
    case 1:
    case 5: /* the next trigger loads it */
        if (c->run == RUN_NONE) {
            c->run = RUN_WAITING;
            c->count = count;
        }
        return;
    case 2:
    case 3:
        if (c->run == RUN_COUNTING && now >= c->start) {
            /* At the end of the period; in mode 3 of the half period. */
            uint64_t phase = (now - c->start) % c->count;
            uint64_t length = c->mode == 3 && phase < high_half(c->count) ? high_half(c->count) : c->count;
            c->change = now - phase + length;
            c->pending = true;
            return;
        }
        break;
    default:
        break;
    }
    /* The next clock pulse loads it. */
    c->count = count;
    c->start = now + 1;
    c->held = 0;
    c->run = c->gate ? RUN_COUNTING : RUN_HELD;
}

static void write_count(struct channel *c, uint8_t byte, uint64_t now) {
    switch (c->access) {
    case ACCESS_LOW:
        load_count(c, byte, now);
        break;
    case ACCESS_HIGH:
        load_count(c, (uint16_t)(byte << 8), now);
        break;
    default:
        if (c->have_low) {
            c->have_low = false;
            load_count(c, (uint16_t)(byte << 8 | c->low), now);
            break;
        }
        c->have_low = true;
        c->low = byte;
        if (c->mode == 0 && c->run != RUN_NONE) {
            /* Writing the first byte stops the count, OUT goes low at once. What is read until the second
             * byte comes is the count that was loaded. */
            c->run = RUN_NONE;
        }
        break;
    }
}

static void set_gate(struct channel *c, bool gate, uint64_t now) {
    if (gate == c->gate)
        return;
    c->gate = gate;
    switch (c->mode) {
    case 0:
    case 4: /* the gate only stops the count */
        if (!gate && c->run == RUN_COUNTING) {
            c->held = elapsed(c, now);
            c->run = RUN_HELD;
        } else if (gate && c->run == RUN_HELD) {
            c->start = now - c->held;
            c->run = RUN_COUNTING;
        }
        break;
    case 2:
    case 3: /* low: OUT high, stopped; rising: loaded anew */
        if (!gate && c->run == RUN_COUNTING) {
            c->held = elapsed(c, now) % c->count;
            c->run = RUN_HELD;
            c->pending = false;
        } else if (gate && c->run == RUN_HELD) {
            c->count = c->written;
            c->start = now + 1;
            c->run = RUN_COUNTING;
        }
        break;
    default: /* 1, 5: a rising edge triggers */
        if (gate && c->run != RUN_NONE) {
            c->count = c->written;
            c->start = now + 1;
            c->run = RUN_COUNTING;
        }
        break;
    }
}

static void latch_count(struct channel *c, uint64_t now) {
    if (c->latched)
        return; /* the first one stays until it is read */
    c->latch = value(c, now);
    c->latched = c->access;
}

static void latch_status(struct channel *c, uint64_t now) {
    if (c->status_latched)
        return;
    /* Null count: the count written last is not in the counting element yet. */
    bool null = c->run == RUN_NONE || c->run == RUN_WAITING || c->have_low || c->pending ||
                (c->run == RUN_COUNTING && now < c->start) || c->count != c->written;
    c->status = (uint8_t)(output(c, now) << 7 | null << 6 | c->access << 4 | c->mode << 1 | c->bcd);
    c->status_latched = true;
}

static void write_control(struct pit *pit, uint8_t byte, uint64_t now) {
    if (byte >> 6 == 3) { /* read-back command */
        for (unsigned i = 0; i < PIT_CHANNELS; i++) {
            if (!(byte & 2u << i))
                continue;
            if (!(byte & 0x20))
                latch_count(&pit->channel[i], now);
            if (!(byte & 0x10))
                latch_status(&pit->channel[i], now);
        }
        return;
    }
    struct channel *c = &pit->channel[byte >> 6];
    unsigned access = byte >> 4 & 3;
    if (access == 0) {
        latch_count(c, now);
        return;
    }
    c->mode = byte >> 1 & 7;
    if (c->mode >= 6)
        c->mode -= 4; /* the top bit does not count for modes 2 and 3 */
    c->access = (uint8_t)access;
    c->bcd = byte & 1;
    c->run = RUN_NONE;
    c->have_low = false;
    c->read_high = false;
    c->latched = 0;
    c->status_latched = false;
    c->pending = false;
    /* A count of binary coding may be out of BCD's range: what is read before a new one comes is not defined.
     */
    c->count = c->written = 1;
}

static uint8_t read_count(struct channel *c, uint64_t now) {
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    if (c->latched) {
        bool high = !(c->latched & 1);
        c->latched &= high ? 0 : 2;
        return (uint8_t)(high ? c->latch >> 8 : c->latch);
    }
    uint16_t v = value(c, now);
    bool high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->read_high);
    if (c->access == ACCESS_BOTH)
        c->read_high = !c->read_high;
    return (uint8_t)(high ? v >> 8 : v);
}

static int pit_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *out) {
    (void)vcpu;
    struct pit *pit = device;
    if (size != 1 || offset == 3)
        return -ENXIO; /* the control word cannot be read */
    spin_lock(&pit->lock);
    uint64_t now = tick_now();
    advance(&pit->channel[offset], now);
    *out = read_count(&pit->channel[offset], now);
    spin_unlock(&pit->lock);
    return 0;
}

static int pit_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t data) {
    (void)vcpu;
    struct pit *pit = device;
    uint8_t byte = (uint8_t)data;
    if (size != 1)
        return -ENXIO;
    spin_lock(&pit->lock);
    uint64_t now = tick_now();
    for (unsigned i = 0; i < PIT_CHANNELS; i++)
        advance(&pit->channel[i], now);
    if (offset == 3)
        write_control(pit, byte, now);
    else
        write_count(&pit->channel[offset], byte, now);
    if (offset == 0 || (offset == 3 && byte >> 6 == 0 && byte & 0x30))
        update(pit, false);
    spin_unlock(&pit->lock);
    return 0;
}

/* Port 0x61: gate 2 and speaker data (bits 0, 1) and the masks of NMI sources that never come (2, 3) are
 * stored; bit 4 follows memory refresh, which a PC does every 15.085 us, and bit 5 is OUT of channel 2. */
static int system_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *out) {
    (void)vcpu;
    (void)offset;
    struct pit *pit = device;
    if (size != 1)
        return -ENXIO;
    spin_lock(&pit->lock);
    uint64_t now = tick_now();
    struct channel *c = &pit->channel[2];
    advance(c, now);
    uint64_t refresh = time_now() / 15085 & 1;
    *out = pit->control | refresh << 4 | (uint64_t)output(c, now) << 5;
    spin_unlock(&pit->lock);
    return 0;
}

static int system_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t data) {
    (void)vcpu;
    (void)offset;
    struct pit *pit = device;
    if (size != 1)
        return -ENXIO;
    spin_lock(&pit->lock);
    uint64_t now = tick_now();
    advance(&pit->channel[2], now);
    pit->control = data & 0x0f;
    set_gate(&pit->channel[2], data & 1, now);
    spin_unlock(&pit->lock);
    return 0;
}

static const struct bus_ops pit_ops = {.read = pit_read, .write = pit_write};
static const struct bus_ops system_ops = {.read = system_read, .write = system_write};

/* The 8254 has no reset state; here every channel waits for its control word in mode 3, as a BIOS would leave
 * them, and the outputs are high. */
static void set_defaults(struct pit *pit) {
    pit->control = 0;
    pit->delivered = 0;
    for (unsigned i = 0; i < PIT_CHANNELS; i++)
        pit->channel[i] =
            (struct channel){.mode = 3, .access = ACCESS_BOTH, .gate = i != 2, .count = 1, .written = 1};
    update(pit, false);
}

static struct pit *pit_of(struct vm *vm) {
    return x86_vm(vm)->pc.pit;
}

static void pit_destroy(struct vm *vm, unsigned index) {
    (void)index;
    struct pit *pit = pit_of(vm);
    timer_cancel(&pit->timer);
    bus_remove(&vm->bus[BUS_PORT], PIT_BASE);
    bus_remove(&vm->bus[BUS_PORT], SYSTEM_PORT);
    x86_vm(vm)->pc.pit = NULL;
    heap_free(pit, sizeof(*pit), &vm->memory.account);
}

static int pit_create(struct vm *vm, unsigned index) {
    struct pit *pit = heap_allocate(sizeof(*pit), &vm->memory.account);
    if (!pit)
        return -ENOMEM;
    pit->vm = vm;
    pit->edge = UINT64_MAX;
    timer_init(&pit->timer, timer_fired);
    x86_vm(vm)->pc.pit = pit;
    int error = bus_add(&vm->bus[BUS_PORT], PIT_BASE, PIT_PORTS, &pit_ops, pit, "PIT");
    if (!error)
        error = bus_add(&vm->bus[BUS_PORT], SYSTEM_PORT, 1, &system_ops, pit, "port 0x61");
    if (error)
        pit_destroy(vm, index);
    return error;
}

static void pit_reset(struct vm *vm, unsigned index) {
    (void)index;
    struct pit *pit = pit_of(vm);
    spin_lock(&pit->lock);
    set_defaults(pit);
    spin_unlock(&pit->lock);
}

/* Times are saved relative to now. A start one tick ahead is saved as a flag. */
static void save_channel(struct channel *c, uint64_t now, struct state_writer *writer) {
    advance(c, now);
    state_put_u8(writer, c->mode);
    state_put_u8(writer, c->access);
    state_put_u8(writer, c->bcd);
    state_put_u8(writer, c->gate);
    state_put_u8(writer, c->run);
    state_put_u8(writer, c->have_low);
    state_put_u8(writer, c->low);
    state_put_u8(writer, c->read_high);
    state_put_u8(writer, c->latched);
    state_put_u16(writer, c->latch);
    state_put_u8(writer, c->status_latched);
    state_put_u8(writer, c->status);
    state_put_u8(writer, c->pending);
    state_put_u32(writer, c->count);
    state_put_u32(writer, c->written);
    state_put_u8(writer, c->run == RUN_COUNTING && now < c->start);
    state_put_u64(writer, elapsed(c, now));
    state_put_u64(writer, c->pending ? c->change - now : 0);
}

static bool load_channel(struct channel *c, uint64_t now, bool channel2, struct state_reader *reader) {
    c->mode = state_get_u8(reader);
    c->access = state_get_u8(reader);
    uint8_t bcd = state_get_u8(reader);
    uint8_t gate = state_get_u8(reader);
    c->run = state_get_u8(reader);
    uint8_t have_low = state_get_u8(reader);
    c->low = state_get_u8(reader);
    uint8_t read_high = state_get_u8(reader);
    c->latched = state_get_u8(reader);
    c->latch = state_get_u16(reader);
    uint8_t status_latched = state_get_u8(reader);
    c->status = state_get_u8(reader);
    uint8_t pending = state_get_u8(reader);
    c->count = state_get_u32(reader);
    c->written = state_get_u32(reader);
    uint8_t ahead = state_get_u8(reader);
    uint64_t passed = state_get_u64(reader);
    uint64_t change = state_get_u64(reader);

    uint32_t largest = bcd ? 16665 : 65536;
    bool triggered = c->mode == 1 || c->mode == 5;
    if (c->mode > 5 || c->access < ACCESS_LOW || c->access > ACCESS_BOTH || bcd > 1 || gate > 1 ||
        c->run > RUN_LAST || have_low > 1 || read_high > 1 || (c->latched & ~c->access) ||
        status_latched > 1 || pending > 1 || ahead > 1)
        return false;
    if (c->count < 1 || c->count > largest || c->written < 1 || c->written > largest)
        return false;
    /* The gate of channels 0 and 1 is wired high; a run must be one that the mode can be in. */
    if ((!channel2 && !gate) || (c->run == RUN_WAITING && !triggered) ||
        (c->run == RUN_HELD && (gate || triggered)) || (c->run == RUN_COUNTING && !gate && !triggered))
        return false;
    if (have_low && c->access != ACCESS_BOTH)
        return false;
    if (passed > TICK_BIAS || (ahead && passed))
        return false;
    /* A change happens at the end of the running period, or half period. */
    if (pending) {
        if (c->run != RUN_COUNTING || (c->mode != 2 && c->mode != 3) || ahead || change < 1 ||
            change > c->count)
            return false;
        uint64_t phase = (passed + change) % c->count;
        if (phase != 0 && !(c->mode == 3 && phase == high_half(c->count)))
            return false;
    }
    c->bcd = bcd;
    c->gate = gate;
    c->have_low = have_low;
    c->read_high = read_high;
    c->status_latched = status_latched;
    c->pending = pending;
    c->start = ahead ? now + 1 : now - passed;
    c->held = c->run == RUN_HELD ? passed : 0;
    c->change = now + change;
    return true;
}

static void pit_save(struct vm *vm, unsigned index, struct state_writer *writer) {
    (void)index;
    struct pit *pit = pit_of(vm);
    spin_lock(&pit->lock);
    uint64_t now = tick_now();
    state_put_u8(writer, pit->control);
    for (unsigned i = 0; i < PIT_CHANNELS; i++)
        save_channel(&pit->channel[i], now, writer);
    spin_unlock(&pit->lock);
}

static int pit_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    (void)index;
    (void)version;
    struct pit *pit = pit_of(vm);
    struct channel channel[PIT_CHANNELS] = {0};
    uint64_t now = tick_now();
    uint8_t control = state_get_u8(reader);
    bool good = control <= 0x0f;
    for (unsigned i = 0; good && i < PIT_CHANNELS; i++)
        good = load_channel(&channel[i], now, i == 2, reader);
    good = good && !reader->error && channel[2].gate == (control & 1);
    spin_lock(&pit->lock);
    set_defaults(pit);
    if (good) {
        pit->control = control;
        for (unsigned i = 0; i < PIT_CHANNELS; i++)
            pit->channel[i] = channel[i];
        update(pit, false);
    }
    spin_unlock(&pit->lock);
    return good ? 0 : -EINVAL;
}

const struct part pit_part = {
    .name = "x86.pit",
    .version = 1,
    .create = pit_create,
    .destroy = pit_destroy,
    .reset = pit_reset,
    .save = pit_save,
    .load = pit_load,
};
