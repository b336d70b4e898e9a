// SPDX-License-Identifier: Apache-2.0
// The real-time clock and CMOS memory of a guest's PC (Motorola MC146818A data sheet).
#include "arch/x86/guest/rtc.h"

#include <errno.h>
#include <string.h>

#include "arch/x86/clock.h"
#include "arch/x86/guest/rate.h"
#include "arch/x86/guest/rtc_calendar.h"
#include "arch/x86/vm.h"
#include "lib/config.h"
#include "lib/state.h"

#define RTC_BASE  0x70
#define RTC_PORTS 4
#define RTC_GSI   8
#define CRYSTAL   32768u

enum {
    REG_SECOND = 0x00,
    REG_SECOND_ALARM = 0x01,
    REG_MINUTE = 0x02,
    REG_MINUTE_ALARM = 0x03,
    REG_HOUR = 0x04,
    REG_HOUR_ALARM = 0x05,
    REG_WEEKDAY = 0x06, /* 1 Sunday .. 7 Saturday */
    REG_DAY = 0x07,
    REG_MONTH = 0x08,
    REG_YEAR = 0x09,
    REG_A = 0x0a,
    REG_B = 0x0b,
    REG_C = 0x0c,
    REG_D = 0x0d,
    REG_CENTURY = 0x32,
};

#define A_UPDATING   0x80u /* UIP */
#define A_RESET      0x60u /* both upper divider bits: the divider chain is held in reset */
#define A_DEFAULT    0x26u /* 32.768 kHz crystal, 1024 Hz */
#define B_SET        0x80u
#define B_UPDATE     0x10u /* UIE */
#define B_DEFAULT    RTC_24_HOUR
#define C_REQUEST    0x80u /* IRQF */
#define C_PERIODIC   0x40u /* PF; register B has the enable bits in the same places */
#define C_ALARM      0x20u
#define C_UPDATE     0x10u
#define C_FLAGS      (C_PERIODIC | C_ALARM | C_UPDATE)
#define D_VALID      0x80u
#define ALARM_ANY    0xc0u
#define UPDATE_CYCLE 2228000u /* ns: UIP rises 244 us before an update, which takes 1984 us */
#define HALF_SECOND  500000000u
#define OFFSET_BOUND 400000000000ll /* s: more than the calendar is long */

struct rtc_state {
    uint8_t cmos[256]; /* the time registers only while the clock is stopped */
    uint8_t index[2];  /* of each bank */
    uint8_t flags;     /* C_FLAGS */
    uint8_t weekday_shift;
    int64_t offset;    /* s: clock = wall clock + offset + fraction */
    uint32_t fraction; /* ns, below a second */
    uint64_t checked;  /* the clock's second up to which UF and AF are known */
};

struct rtc {
    struct spinlock lock;
    struct vm *vm;
    struct timer timer;
    uint64_t period_seen; /* periodic ticks that PF has seen */
    bool line;
    struct rtc_state s;
};

static bool stopped(const struct rtc_state *s) {
    return s->cmos[REG_B] & B_SET || (s->cmos[REG_A] & A_RESET) == A_RESET;
}

/* The clock: seconds since year 0, and nanoseconds into the second. */
static uint64_t clock_now(const struct rtc_state *s, uint32_t *fraction) {
    uint64_t wall = wallclock_now();
    uint64_t ns = wall % RATE_SECOND + s->fraction;
    int64_t seconds = (int64_t)(wall / RATE_SECOND + ns / RATE_SECOND + CALENDAR_EPOCH) + s->offset;
    *fraction = (uint32_t)(ns % RATE_SECOND);
    if (seconds < 0)
        return 0;
    return (uint64_t)seconds < CALENDAR_END ? (uint64_t)seconds : CALENDAR_END - 1;
}

/* Where in its second the divider chain is: `ns`. */
static void set_phase(struct rtc_state *s, uint32_t ns) {
    uint64_t wall = wallclock_now() % RATE_SECOND;
    s->fraction = (uint32_t)((ns + RATE_SECOND - wall) % RATE_SECOND);
}

/* Puts the clock's time into the registers. */
static void read_clock(const struct rtc_state *s, uint8_t cmos[256]) {
    uint32_t fraction;
    uint8_t b = s->cmos[REG_B];
    struct calendar date = calendar_date(clock_now(s, &fraction));
    cmos[REG_SECOND] = rtc_encode(b, date.second);
    cmos[REG_MINUTE] = rtc_encode(b, date.minute);
    cmos[REG_HOUR] = rtc_encode_hour(b, date.hour);
    cmos[REG_WEEKDAY] = rtc_encode(b, (date.weekday + s->weekday_shift) % 7 + 1);
    cmos[REG_DAY] = rtc_encode(b, date.day);
    cmos[REG_MONTH] = rtc_encode(b, date.month);
    cmos[REG_YEAR] = rtc_encode(b, date.year % 100);
    cmos[REG_CENTURY] = rtc_encode(b, date.year / 100);
}

static unsigned field(const struct rtc_state *s, unsigned reg, unsigned fallback) {
    int value = rtc_decode(s->cmos[REG_B], s->cmos[reg]);
    return value < 0 ? fallback : (unsigned)value;
}

/* Sets the clock by the registers; the divider chain goes on. What is no number counts as the lowest. */
static void write_clock(struct rtc_state *s) {
    int hour = rtc_decode_hour(s->cmos[REG_B], s->cmos[REG_HOUR]);
    struct calendar date = {
        .year = field(s, REG_CENTURY, 20) * 100 + field(s, REG_YEAR, 0),
        .month = field(s, REG_MONTH, 1),
        .day = field(s, REG_DAY, 1),
        .hour = hour < 0 ? 0 : (unsigned)hour,
        .minute = field(s, REG_MINUTE, 0),
        .second = field(s, REG_SECOND, 0),
    };
    uint64_t seconds = calendar_seconds(&date);
    unsigned weekday = field(s, REG_WEEKDAY, 1);
    if (weekday >= 1 && weekday <= 7)
        s->weekday_shift = (uint8_t)((weekday - 1 + 7 - calendar_date(seconds).weekday) % 7);
    uint64_t wall = wallclock_now();
    uint64_t base = wall / RATE_SECOND + (wall % RATE_SECOND + s->fraction) / RATE_SECOND + CALENDAR_EPOCH;
    s->offset = (int64_t)seconds - (int64_t)base;
    s->checked = seconds;
}

/* The alarm registers decoded, -1: any. False: they name no time. */
static bool alarm_time(const struct rtc_state *s, int time[3]) {
    static const uint8_t reg[3] = {REG_HOUR_ALARM, REG_MINUTE_ALARM, REG_SECOND_ALARM};
    for (unsigned i = 0; i < 3; i++) {
        uint8_t byte = s->cmos[reg[i]];
        time[i] = -1;
        if (byte >= ALARM_ANY)
            continue;
        time[i] = i == 0 ? rtc_decode_hour(s->cmos[REG_B], byte) : rtc_decode(s->cmos[REG_B], byte);
        if (time[i] < 0 || time[i] > 59)
            return false;
    }
    return true;
}

/* The clock's second of the next alarm after `after`, or UINT64_MAX. */
static uint64_t next_alarm(const struct rtc_state *s, uint64_t after) {
    int time[3];
    return alarm_time(s, time) ? rtc_next_alarm(after, time[0], time[1], time[2]) : UINT64_MAX;
}

/* log2 of the crystal's cycles per periodic interrupt; 0: none. */
static unsigned period_shift(const struct rtc_state *s) {
    unsigned rate = s->cmos[REG_A] & 15;
    if (rate == 0 || (s->cmos[REG_A] & A_RESET) == A_RESET)
        return 0;
    return rate <= 2 ? rate + 6 : rate - 1;
}

static uint64_t period_now(const struct rtc_state *s) {
    unsigned shift = period_shift(s);
    return shift ? rate_ticks(time_now(), CRYSTAL) >> shift : 0;
}

/* Sets the flags for what has happened since the last look. */
static void sync(struct rtc *rtc) {
    struct rtc_state *s = &rtc->s;
    uint64_t period = period_now(s);
    if (period != rtc->period_seen) {
        rtc->period_seen = period;
        s->flags |= C_PERIODIC;
    }
    if (stopped(s))
        return;
    uint32_t fraction;
    uint64_t now = clock_now(s, &fraction);
    if (now > s->checked) {
        s->flags |= C_UPDATE;
        if (next_alarm(s, s->checked) <= now)
            s->flags |= C_ALARM;
    }
    s->checked = now; /* it may also have gone back with the host's */
}

static void drive(struct rtc *rtc, bool level) {
    if (level == rtc->line)
        return;
    rtc->line = level;
    pc_line_set(rtc->vm, RTC_GSI, level);
}

/* Drives the line, and arms the timer for the first flag that is enabled and not set yet. */
static void update(struct rtc *rtc) {
    struct rtc_state *s = &rtc->s;
    sync(rtc);
    uint8_t enabled = s->cmos[REG_B] & C_FLAGS;
    bool level = s->flags & enabled;
    drive(rtc, level);
    uint8_t wanted = level ? 0 : enabled; /* while the line is up nobody can see more of it */
    uint64_t deadline = UINT64_MAX;
    unsigned shift = period_shift(s);
    if (wanted & C_PERIODIC && shift)
        deadline = rate_ns((rtc->period_seen + 1) << shift, CRYSTAL);
    if (wanted & (C_UPDATE | C_ALARM) && !stopped(s)) {
        uint32_t fraction;
        uint64_t second = clock_now(s, &fraction);
        uint64_t next = wanted & C_UPDATE ? second + 1 : next_alarm(s, second);
        if (next != UINT64_MAX) {
            uint64_t at = time_now() + (next - second) * RATE_SECOND - fraction;
            deadline = at < deadline ? at : deadline;
        }
    }
    if (deadline == UINT64_MAX)
        timer_cancel(&rtc->timer);
    else
        timer_arm(&rtc->timer, deadline);
}

static void timer_fired(struct timer *timer) {
    struct rtc *rtc = container_of(timer, struct rtc, timer);
    spin_lock(&rtc->lock);
    update(rtc);
    spin_unlock(&rtc->lock);
}

static bool is_time(unsigned reg) {
    return reg == REG_SECOND || reg == REG_MINUTE || reg == REG_HOUR ||
           (reg >= REG_WEEKDAY && reg <= REG_YEAR) || reg == REG_CENTURY;
}

static uint8_t read_register(struct rtc *rtc, unsigned reg) {
    struct rtc_state *s = &rtc->s;
    uint8_t value = s->cmos[reg];
    uint32_t fraction;
    if (is_time(reg) && !stopped(s)) {
        uint8_t cmos[256];
        read_clock(s, cmos);
        return cmos[reg];
    }
    switch (reg) {
    case REG_A:
        clock_now(s, &fraction);
        if (!stopped(s) && fraction >= RATE_SECOND - UPDATE_CYCLE)
            value |= A_UPDATING;
        return value;
    case REG_C:
        sync(rtc);
        value = s->flags | (s->flags & s->cmos[REG_B] ? C_REQUEST : 0);
        s->flags = 0;
        /* The line falls, also where the next flag is set before anybody looks: the I/O APIC's input is an
         * edge. */
        drive(rtc, false);
        update(rtc);
        return value;
    case REG_D:
        return D_VALID;
    default:
        return value;
    }
}

/* Registers A and B together say whether the clock runs. */
static void write_control(struct rtc *rtc, unsigned reg, uint8_t value) {
    struct rtc_state *s = &rtc->s;
    bool was_stopped = stopped(s);
    bool was_reset = (s->cmos[REG_A] & A_RESET) == A_RESET;
    uint8_t before[256];
    read_clock(s, before);
    unsigned shift = period_shift(s);
    if (reg == REG_A)
        s->cmos[REG_A] = value & (uint8_t)~A_UPDATING;
    else
        s->cmos[REG_B] = value & B_SET ? value & (uint8_t)~B_UPDATE : value;
    if (period_shift(s) != shift)
        rtc->period_seen = period_now(s);
    /* The first update comes half a second after the divider chain starts. */
    if (was_reset && (s->cmos[REG_A] & A_RESET) != A_RESET)
        set_phase(s, HALF_SECOND);
    if (!was_stopped && stopped(s)) {
        for (unsigned i = 0; i <= REG_CENTURY; i++)
            if (is_time(i))
                s->cmos[i] = before[i];
    } else if (was_stopped && !stopped(s)) {
        write_clock(s);
    }
}

static void write_register(struct rtc *rtc, unsigned reg, uint8_t value) {
    struct rtc_state *s = &rtc->s;
    if (reg == REG_C || reg == REG_D)
        return;
    sync(rtc);
    if (reg == REG_A || reg == REG_B) {
        write_control(rtc, reg, value);
    } else if (is_time(reg) && !stopped(s)) {
        read_clock(s, s->cmos);
        s->cmos[reg] = value;
        write_clock(s);
    } else {
        s->cmos[reg] = value;
    }
    update(rtc);
}

/* Ports 0x70 and 0x72 hold the index (bit 7 of 0x70 masks NMI, of which there are none) and cannot be read.
 */
static int rtc_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)vcpu;
    struct rtc *rtc = device;
    if (size != 1 || !(offset & 1))
        return -ENXIO;
    spin_lock(&rtc->lock);
    *value = offset == 1 ? read_register(rtc, rtc->s.index[0]) : rtc->s.cmos[0x80 | rtc->s.index[1]];
    spin_unlock(&rtc->lock);
    return 0;
}

static int rtc_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    struct rtc *rtc = device;
    if (size != 1)
        return -ENXIO;
    spin_lock(&rtc->lock);
    if (!(offset & 1))
        rtc->s.index[offset >> 1] = value & 0x7f;
    else if (offset == 1)
        write_register(rtc, rtc->s.index[0], (uint8_t)value);
    else
        rtc->s.cmos[0x80 | rtc->s.index[1]] = (uint8_t)value;
    spin_unlock(&rtc->lock);
    return 0;
}

static const struct bus_ops rtc_ops = {.read = rtc_read, .write = rtc_write};

static void put16(uint8_t *cmos, unsigned reg, uint64_t value) {
    value = value < 0xffff ? value : 0xffff;
    cmos[reg] = (uint8_t)value;
    cmos[reg + 1] = (uint8_t)(value >> 8);
}

/* Registers and the bytes that a BIOS fills in; the time goes on. */
static void set_defaults(struct rtc *rtc) {
    struct rtc_state *s = &rtc->s;
    if (stopped(s))
        write_clock(s);
    s->flags = 0;
    s->index[0] = s->index[1] = 0;
    s->cmos[REG_A] = A_DEFAULT;
    s->cmos[REG_B] = B_DEFAULT;
    s->cmos[REG_C] = 0;
    s->cmos[REG_D] = 0;
    uint64_t low = pc_ram_low(rtc->vm), high = pc_ram_high(rtc->vm);
    s->cmos[0x0f] = 0;    /* shutdown status: an ordinary start */
    s->cmos[0x14] = 0x02; /* equipment: FPU */
    put16(s->cmos, 0x15, 640);
    put16(s->cmos, 0x17, (low >> 10) - 1024); /* KiB above 1 MiB */
    put16(s->cmos, 0x30, (low >> 10) - 1024);
    put16(s->cmos, 0x34, low > 16u << 20 ? (low >> 16) - 256 : 0); /* 64 KiB above 16 MiB */
    s->cmos[0x5b] = (uint8_t)(high >> 16);                         /* 64 KiB above 4 GiB */
    s->cmos[0x5c] = (uint8_t)(high >> 24);
    s->cmos[0x5d] = (uint8_t)(high >> 32);
    s->cmos[0x5f] = (uint8_t)(rtc->vm->vcpu_count - 1);
    uint32_t fraction;
    s->checked = clock_now(s, &fraction);
    rtc->period_seen = period_now(s);
    update(rtc);
}

static struct rtc *rtc_of(struct vm *vm) {
    return x86_vm(vm)->pc.rtc;
}

static void rtc_destroy(struct vm *vm, unsigned index) {
    (void)index;
    struct rtc *rtc = rtc_of(vm);
    timer_cancel(&rtc->timer);
    bus_remove(&vm->bus[BUS_PORT], RTC_BASE);
    x86_vm(vm)->pc.rtc = NULL;
    heap_free(rtc, sizeof(*rtc), &vm->memory.account);
}

static int rtc_create(struct vm *vm, unsigned index) {
    struct rtc *rtc = heap_allocate(sizeof(*rtc), &vm->memory.account);
    if (!rtc)
        return -ENOMEM;
    rtc->vm = vm;
    timer_init(&rtc->timer, timer_fired);
    x86_vm(vm)->pc.rtc = rtc;
    int error = bus_add(&vm->bus[BUS_PORT], RTC_BASE, RTC_PORTS, &rtc_ops, rtc, "RTC");
    if (error)
        rtc_destroy(vm, index);
    return error;
}

static void rtc_reset(struct vm *vm, unsigned index) {
    (void)index;
    struct rtc *rtc = rtc_of(vm);
    spin_lock(&rtc->lock);
    set_defaults(rtc);
    spin_unlock(&rtc->lock);
}

static void rtc_save(struct vm *vm, unsigned index, struct state_writer *writer) {
    (void)index;
    struct rtc *rtc = rtc_of(vm);
    spin_lock(&rtc->lock);
    sync(rtc);
    const struct rtc_state *s = &rtc->s;
    state_put(writer, s->cmos, sizeof(s->cmos));
    state_put_u8(writer, s->index[0]);
    state_put_u8(writer, s->index[1]);
    state_put_u8(writer, s->flags);
    state_put_u8(writer, s->weekday_shift);
    state_put_u64(writer, (uint64_t)s->offset);
    state_put_u32(writer, s->fraction);
    state_put_u64(writer, s->checked);
    spin_unlock(&rtc->lock);
}

static bool valid(const struct rtc_state *s) {
    if (s->cmos[REG_A] & A_UPDATING || s->cmos[REG_C] || s->cmos[REG_D])
        return false;
    if (s->cmos[REG_B] & B_SET && s->cmos[REG_B] & B_UPDATE)
        return false;
    return s->index[0] <= 0x7f && s->index[1] <= 0x7f && !(s->flags & ~C_FLAGS) && s->weekday_shift < 7 &&
           s->offset > -OFFSET_BOUND && s->offset < OFFSET_BOUND && s->fraction < RATE_SECOND &&
           s->checked < CALENDAR_END;
}

static int rtc_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    (void)index;
    (void)version;
    struct rtc *rtc = rtc_of(vm);
    struct rtc_state in = {0};
    state_get(reader, in.cmos, sizeof(in.cmos));
    in.index[0] = state_get_u8(reader);
    in.index[1] = state_get_u8(reader);
    in.flags = state_get_u8(reader);
    in.weekday_shift = state_get_u8(reader);
    in.offset = (int64_t)state_get_u64(reader);
    in.fraction = state_get_u32(reader);
    in.checked = state_get_u64(reader);
    bool good = !reader->error && valid(&in);
    spin_lock(&rtc->lock);
    if (good) {
        rtc->s = in;
        rtc->period_seen = period_now(&in);
        update(rtc);
    } else {
        set_defaults(rtc);
    }
    spin_unlock(&rtc->lock);
    return good ? 0 : -EINVAL;
}

const struct part rtc_part = {
    .name = "x86.rtc",
    .version = 1,
    .create = rtc_create,
    .destroy = rtc_destroy,
    .reset = rtc_reset,
    .save = rtc_save,
    .load = rtc_load,
};
