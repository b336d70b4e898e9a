// SPDX-License-Identifier: Apache-2.0
// The PM block: timer, its overflow's interrupt, sleep; resets by every way that a PC has. The command line
// says which: "timer", "s5", "reset-cf9", "reset-keyboard", "reset-92", "reset-acpi", "triple-fault" (which
// is a crash).
#include "tests/guests/runtime/guest.h"

#define PMBASE 0x600

static uint8_t cmos(uint8_t reg) {
    out8(0x70, reg);
    return in8(0x71);
}
static void cmos_set(uint8_t reg, uint8_t value) {
    out8(0x70, reg);
    out8(0x71, value);
}

static void check_timer(void) {
    uint64_t before = now_us();
    uint32_t first = in32(PMBASE + 8);
    uint64_t after = now_us();
    delay_us(100000);
    uint64_t shortest = now_us() - after;
    uint32_t second = in32(PMBASE + 8);
    uint64_t longest = now_us() - before;
    uint64_t time = (uint64_t)(uint32_t)(second - first) * 1000000 / 3579545;
    check_range(time, shortest - shortest / 500, longest + longest / 500,
                "PM timer runs at 3.579545 MHz by the TSC");
    bool up = true;
    for (unsigned i = 0; i < 1000; i++) {
        uint32_t next = in32(PMBASE + 8);
        up = up && ((next - second) & 0xffffffff) < 0x80000000;
        second = next;
    }
    check(up, "PM timer goes up");
    out32(PMBASE + 8, 0);
    check(((in32(PMBASE + 8) - second) & 0xffffffff) < 0x80000000, "PM timer cannot be written");
}

static void check_events(void) {
    check_equal(in16(PMBASE + 4) & 1, 1, "SCI_EN");
    out16(PMBASE, 0xffff);
    check_equal(in16(PMBASE), 0, "status bits are cleared by writing 1");
    out16(PMBASE + 2, 0x0121);
    check_equal(in16(PMBASE + 2), 0x0121, "enable bits");
    out16(PMBASE + 2, 0);
    check_equal(in8(0xcf9) & 0x0e, 0, "reset control");
}

static void null_idt(void) {
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) none = {0, 0};
    __asm__ volatile("lidt %0; int3" ::"m"(none));
}

void guest_main(void) {
    if (guest_option("timer")) {
        check_timer();
        check_events();
        return;
    }
    if (guest_option("s5")) {
        check(true, "about to sleep");
        out16(PMBASE + 4,
              0x3c01); /* SLP_TYP from the DSDT's _S5 is 0 or 5, 7: each without SLP_EN does nothing */
        check(true, "SLP_TYP without SLP_EN");
        for (unsigned type = 0; type < 8; type++)
            out16(PMBASE + 4, (uint16_t)(0x2001 | type << 10));
        check(false, "S5");
        return;
    }
    /* The CMOS byte counts boots. */
    uint8_t boots = cmos(0x70);
    if (boots == 0xa5) {
        check(true, "second boot");
        check_equal(*(volatile uint32_t *)0x900000, 0, "RAM is zero after a reset");
        return;
    }
    check_equal(boots, 0, "CMOS is zero at first");
    cmos_set(0x70, 0xa5);
    *(volatile uint32_t *)0x900000 = 0x12345678;
    check(true, "about to reset");
    if (guest_option("reset-cf9")) {
        out8(0xcf9, 0x02);
        out8(0xcf9, 0x06);
    } else if (guest_option("reset-keyboard")) {
        out8(0x64, 0xfe);
    } else if (guest_option("reset-92")) {
        out8(0x92, in8(0x92) | 1);
    } else if (guest_option("triple-fault")) {
        null_idt();
    }
    delay_us(1000000);
    check(false, "a reset");
}
