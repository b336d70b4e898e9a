// SPDX-License-Identifier: Apache-2.0
// The real-time clock and CMOS (MC146818): time, update, periodic and alarm interrupts, memory.
#include "tests/guests/runtime/guest.h"

static uint8_t get(uint8_t reg) {
    out8(0x70, reg);
    return in8(0x71);
}
static void set(uint8_t reg, uint8_t value) {
    out8(0x70, reg);
    out8(0x71, value);
}

static bool bcd(uint8_t value, uint8_t low, uint8_t high) {
    return (value & 0xf) <= 9 && value >= low && value <= high;
}

static void wait_second(void) {
    uint8_t second = get(0);
    uint64_t start = now_us();
    while (get(0) == second && now_us() - start < 3000000)
        pause_cpu();
}

/* Of the hour. A read beside an update may be torn: only one that comes twice counts. */
static unsigned seconds(void) {
    for (;;) {
        uint8_t minute = get(2), second = get(0);
        if (get(2) == minute && get(0) == second)
            return (minute >> 4) * 600u + (minute & 0xf) * 60u + (second >> 4) * 10u + (second & 0xf);
    }
}

static void check_time(void) {
    check_equal(get(0x0d), 0x80, "register D: the time is valid");
    check_equal(get(0x0a) & 0x7f, 0x26, "register A: 32 kHz, 1024 Hz");
    check_equal(get(0x0b) & 0x86, 0x02, "register B: running, 24 hours, BCD");
    wait_second();
    check(bcd(get(0), 0, 0x59) && bcd(get(2), 0, 0x59) && bcd(get(4), 0, 0x23),
          "seconds, minutes and hours are BCD");
    check(bcd(get(6), 1, 7) && bcd(get(7), 1, 0x31) && bcd(get(8), 1, 0x12) && bcd(get(9), 0, 0x99),
          "the date is BCD");
    check(bcd(get(0x32), 0x20, 0x21), "century");
    uint64_t before = now_us();
    unsigned first = seconds();
    uint64_t after = now_us();
    delay_us(2500000);
    uint64_t shortest = now_us() - after;
    unsigned second = seconds();
    uint64_t longest = now_us() - before;
    check_range((second + 3600 - first) % 3600 * 1000000ull, shortest - 1000000, longest + 1000000,
                "time passes");
    /* Set by hand across midnight of a leap day. */
    set(0x0b, 0x82);
    static const uint8_t date[][2] = {{0, 0x59}, {2, 0x59}, {4, 0x23}, {6, 4},
                                      {7, 0x28}, {8, 0x02}, {9, 0x24}, {0x32, 0x20}};
    for (unsigned i = 0; i < array_count(date); i++)
        set(date[i][0], date[i][1]);
    set(0x0b, 0x02);
    wait_second();
    check(get(0) < 0x10 && get(2) == 0 && get(4) == 0 && get(7) == 0x29 && get(8) == 2 && get(9) == 0x24 &&
              get(6) == 5,
          "midnight before a leap day");
    set(0x0b, 0x06);
    check_equal(get(7), 29, "binary mode");
    set(0x0b, 0x02);
}

static bool irq_within(unsigned vector, unsigned ms) {
    return wait_count(&irq_count[vector], irq_count[vector] + 1, ms);
}

static void check_interrupts(void) {
    ioapic_set(8, 0x58);
    get(0x0c);
    set(0x0b, 0x12);
    check(irq_within(0x58, 2500), "update-ended interrupt");
    uint8_t cause = get(0x0c);
    check_equal(cause & 0x90, 0x90, "register C names it");
    check_equal(get(0x0c) & 0xb0, 0, "and is clear once read");
    set(0x0b, 0x02);

    /* On a slow machine another update may have ended meanwhile: its interrupt is taken now and not counted
     * below. */
    get(0x0c);
    wait_count(&irq_count[0x58], irq_count[0x58] + 1, 2);
    set(0x0a, 0x2b); /* 32 Hz */
    get(0x0c);
    set(0x0b, 0x42);
    /* On a machine that others use as well interrupts come late, and several as one, but never early. */
    uint32_t before = irq_count[0x58];
    uint64_t start = now_us();
    interrupts_on();
    while (irq_count[0x58] < before + 10 && now_us() - start < 60000000)
        get(0x0c);
    interrupts_off();
    uint64_t elapsed = now_us() - start;
    check_range(irq_count[0x58] - before, 10, 1000, "ten periodic interrupts");
    /* The first may have been due already. */
    check_range(elapsed, 249000, 60000000, "periodic interrupt at 32 Hz");
    set(0x0b, 0x02);
    get(0x0c);
    set(0x0a, 0x26);

    /* Alarm in every minute at the second after the next, "do not care" else. */
    wait_count(&irq_count[0x58], UINT32_MAX, 1);
    wait_second();
    unsigned target = (seconds() + 2) % 60;
    set(1, (uint8_t)(target / 10 << 4 | target % 10));
    set(3, 0xff);
    set(5, 0xff);
    get(0x0c);
    set(0x0b, 0x22);
    check(irq_within(0x58, 70000), "alarm interrupt");
    check_equal(get(0x0c) & 0x20, 0x20, "register C names the alarm");
    check_range((seconds() + 60 - target) % 60, 0, 10, "in its second");
    set(0x0b, 0x02);
    ioapic_set(8, IOAPIC_MASKED);
}

static void check_memory(void) {
    bool keeps = true;
    for (unsigned reg = 0x40; reg < 0x80; reg++)
        set((uint8_t)reg, (uint8_t)(reg * 5));
    for (unsigned reg = 0x40; reg < 0x80; reg++)
        keeps = keeps && get((uint8_t)reg) == (uint8_t)(reg * 5);
    check(keeps, "CMOS keeps what is written");
    /* Bit 7 of the index masks NMIs and is no part of the address. */
    check_equal(get(0x80 | 0x41), (uint8_t)(0x41 * 5), "bit 7 of the index");
    out8(0x70, 0x0d);
}

void guest_main(void) {
    lapic_enable();
    check_time();
    check_interrupts();
    check_memory();
}
