// SPDX-License-Identifier: Apache-2.0
// The 8254: modes, latches, read-back, channel 2 and port 0x61.
#include "tests/guests/runtime/guest.h"

#define HZ 1193182ull

static uint16_t latch(unsigned channel) {
    out8(0x43, (uint8_t)(channel << 6));
    uint8_t low = in8((uint16_t)(0x40 + channel));
    return (uint16_t)(low | in8((uint16_t)(0x40 + channel)) << 8);
}

static uint8_t status(unsigned channel) {
    out8(0x43, (uint8_t)(0xe0 | 2u << channel));
    return in8((uint16_t)(0x40 + channel));
}

static uint64_t us_of(uint64_t ticks) {
    return ticks * 1000000 / HZ;
}

static void check_channel0(void) {
    uint32_t before = irq_count[0x50];
    uint64_t start = now_us();
    ioapic_set(2, 0x50);
    pit_program(0, 0, 23864); /* 20 ms */
    check(wait_count(&irq_count[0x50], before + 1, 3000), "mode 0: terminal count");
    check(now_us() - start >= us_of(23864) - 20, "mode 0: not too early");
    delay_us(60000);
    wait_count(&irq_count[0x50], before + 2, 1);
    check_equal(irq_count[0x50], before + 1, "mode 0: once only");

    for (unsigned mode = 2; mode <= 3; mode++) {
        pit_program(0, mode, 5966); /* 5 ms */
        before = irq_count[0x50];
        start = now_us();
        bool came = wait_count(&irq_count[0x50], before + 20, 6000);
        uint64_t time = now_us() - start;
        check(came && time >= us_of(5966 * 19) - 500,
              mode == 2 ? "mode 2: rate generator" : "mode 3: square wave");
    }
    pit_program(0, 4, 11932);
    before = irq_count[0x50];
    check(wait_count(&irq_count[0x50], before + 1, 3000), "mode 4: strobe");
    ioapic_set(2, IOAPIC_MASKED);
}

static void check_counts(void) {
    /* The count comes round in 55 ms: an attempt that took longer, because others had the CPU, does not
     * count. */
    uint64_t shortest, longest, start, after;
    uint16_t first, second, held, now;
    pit_program(0, 2, 0); /* 65536 */
    do {
        start = now_us();
        first = latch(0);
        after = now_us();
        delay_us(1000);
        shortest = now_us() - after;
        second = latch(0);
        longest = now_us() - start;
    } while (longest > 40000);
    check_range((uint16_t)(first - second), shortest * HZ / 1000000 - 2, longest * HZ / 1000000 + 2,
                "mode 2 counts down at 1.193182 MHz");
    /* A latch holds until it is read, whatever time passes. */
    do {
        start = now_us();
        out8(0x43, 0);
        delay_us(2000);
        uint8_t byte = in8(0x40);
        held = (uint16_t)(byte | in8(0x40) << 8);
        now = latch(0);
    } while (now_us() - start > 40000);
    check((uint16_t)(held - now) > 2300, "a latched count is held");
    check_equal(status(0) & 0x7f, 0x34, "read-back: status is access 3, mode 2");
    /* LSB only. */
    out8(0x43, 0x14);
    out8(0x40, 100);
    delay_us(100);
    uint8_t count = in8(0x40);
    check(count >= 1 && count <= 100, "access to the low byte alone");
    check_equal(status(0) & 0x3f, 0x14, "read-back: access 1, mode 2");
    /* BCD. */
    out8(0x43, 0x35);
    out8(0x40, 0x00);
    out8(0x40, 0x10); /* 1000 */
    bool decimal = true;
    for (unsigned i = 0; i < 50; i++) {
        uint16_t value = latch(0);
        for (unsigned digit = 0; digit < 4; digit++)
            decimal = decimal && (value >> 4 * digit & 0xf) <= 9;
        decimal = decimal && value <= 0x1000;
    }
    check(decimal, "a BCD counter has decimal digits");
    pit_program(0, 2, 0);
}

static void check_channel2(void) {
    out8(0x61, 0x00);
    check_equal(in8(0x61) & 0x03, 0, "port 0x61: gate and speaker off");
    out8(0x61, 0x01);
    uint64_t start = now_us();
    pit_program(2, 0, 11932);
    bool low = !(in8(0x61) & 0x20) || now_us() - start > 9000;
    while (!(in8(0x61) & 0x20) && now_us() - start < 3000000)
        pause_cpu();
    uint64_t time = now_us() - start;
    check(low, "channel 2's output is low while it counts");
    check_range(time, us_of(11932) - 100, 2900000, "channel 2's output rises after 10 ms");
    /* A closed gate stops the count. */
    pit_program(2, 0, 60000);
    out8(0x61, 0x00);
    delay_us(100);
    uint16_t first = latch(2);
    delay_us(3000);
    check_equal(latch(2), first, "a closed gate stops channel 2");
    out8(0x61, 0x01);
    delay_us(1000);
    check(latch(2) != first, "an open one lets it go on");
    out8(0x61, 0x00);
    /* The refresh bit toggles. */
    uint8_t bit = in8(0x61) & 0x10;
    start = now_us();
    bool toggled = false;
    while (!toggled && now_us() - start < 1000000)
        toggled = (in8(0x61) & 0x10) != bit;
    check(toggled, "port 0x61: the refresh bit toggles");
}

void guest_main(void) {
    lapic_enable();
    check_channel0();
    check_counts();
    check_channel2();
}
