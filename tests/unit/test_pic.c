// SPDX-License-Identifier: Apache-2.0
// Unit tests of the guest's pair of 8259As.
// unit-sources: arch/x86/guest/lapic.c arch/x86/guest/lapic_registers.c arch/x86/guest/lapic_message.c arch/x86/guest/lapic_timer.c arch/x86/guest/lapic_page.c arch/x86/guest/lapic_state.c arch/x86/guest/ioapic.c arch/x86/guest/pic.c arch/x86/guest/pv.c arch/x86/guest/pv_clock.c core/bus.c lib/state.c
#include "tests/unit/irq_fixture.h"

static struct bus *ports(void) {
    return &machine.vm.core.bus[BUS_PORT];
}
static struct pic *pic(void) {
    return machine.vm.pc.pic;
}

static void out(unsigned port, uint8_t value) {
    assert_int_equal(bus_write(ports(), NULL, port, 1, value), 0);
}

static uint8_t in(unsigned port) {
    uint64_t value = 0;
    assert_int_equal(bus_read(ports(), NULL, port, 1, &value), 0);
    return (uint8_t)value;
}

static void line(unsigned number, bool level) {
    pic_set_line(pic(), number, level);
}

static void pulse(unsigned number) {
    line(number, true);
    line(number, false);
}

/* As a PC's firmware or system does. */
static void initialise(uint8_t icw4_first, uint8_t icw4_second) {
    out(0x20, 0x11);
    out(0x21, 0x20);
    out(0x21, 0x04);
    out(0x21, icw4_first);
    out(0xa0, 0x11);
    out(0xa1, 0x28);
    out(0xa1, 0x02);
    out(0xa1, icw4_second);
    lapic_virtual_wire(apic(0));
    take_requests(0);
}

/* The vector that the processor gets, or -1. */
static int take(void) {
    return pic_pending(pic()) ? pic_acknowledge(pic()) : -1;
}

static void test_before_initialisation(void **state) {
    (void)state;
    pulse(0);
    assert_false(pic_pending(pic()));
    out(0x20, 0x11);
    pulse(0);
    assert_false(pic_pending(pic()));
    out(0x21, 0x23); /* the vector's low bits do not count */
    out(0x21, 0x04);
    assert_false(pic_pending(pic()));
    out(0x21, 0x01);
    assert_true(pic_pending(pic())); /* an edge since ICW1 */
    assert_int_equal(take(), 0x20);
    /* ICW1 alone without ICW3 and ICW4. */
    out(0x20, 0x12);
    out(0x21, 0x40);
    out(0x21, 0xfe); /* OCW1 already */
    assert_int_equal(in(0x21), 0xfe);
    pulse(1);
    pulse(0);
    assert_int_equal(take(), 0x40);
}

static void test_priorities(void **state) {
    (void)state;
    initialise(1, 1);
    pulse(4);
    assert_true(pic_pending(pic()));
    assert_int_equal(take_requests(0), X86_REQUEST_EVENT);
    assert_int_equal(take_requests(1), 0); /* its LINT0 is masked */
    pulse(1);
    pulse(6);
    assert_int_equal(in(0x20), 0x52);
    assert_int_equal(take(), 0x21);
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0x02);
    out(0x20, 0x0a);
    assert_int_equal(in(0x20), 0x50);
    assert_int_equal(take(), -1); /* all that ask are below line 1 */
    pulse(0);
    assert_int_equal(take(), 0x20);
    out(0x20, 0x20);
    assert_int_equal(take(), -1);
    take_requests(0);
    out(0x20, 0x20);
    assert_int_equal(take_requests(0), X86_REQUEST_EVENT);
    assert_int_equal(take(), 0x24);
    out(0x20, 0x64); /* specific */
    assert_int_equal(take(), 0x26);
    out(0x20, 0x20);
    assert_int_equal(take(), -1);
    out(0x20, 0x20); /* nothing in service */
    assert_int_equal(take(), -1);
}

static void test_mask(void **state) {
    (void)state;
    initialise(1, 1);
    out(0x21, 0x10);
    assert_int_equal(in(0x21), 0x10);
    pulse(4);
    assert_int_equal(take(), -1);
    assert_int_equal(in(0x20), 0x10); /* latched all the same */
    out(0x21, 0);
    assert_int_equal(take(), 0x24);
}

static void test_cascade(void **state) {
    (void)state;
    initialise(1, 1);
    pulse(12);
    assert_int_equal(in(0x20), 0x04);
    assert_int_equal(take(), 0x2c);
    out(0x20, 0x0b);
    out(0xa0, 0x0b);
    assert_int_equal(in(0x20), 0x04);
    assert_int_equal(in(0xa0), 0x10);
    pulse(3); /* below the cascade */
    assert_int_equal(take(), -1);
    pulse(8); /* above on its chip, but the first one waits for line 2's end */
    assert_int_equal(take(), -1);
    out(0x20, 0x20);
    assert_int_equal(take(), 0x28);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    assert_int_equal(take(), 0x23);
    out(0x20, 0x20);
    out(0xa0, 0x20);
    assert_int_equal(take(), -1);
    out(0x21, 0x04); /* the cascade masked */
    pulse(9);
    assert_int_equal(take(), -1);
    out(0x21, 0);
    assert_int_equal(take(), 0x29);
    line(2, true); /* nobody's line */
    out(0xa0, 0x20);
    out(0x20, 0x20);
    assert_int_equal(take(), -1);
}

static void test_special_fully_nested(void **state) {
    (void)state;
    initialise(0x11, 1);
    pulse(12);
    assert_int_equal(take(), 0x2c);
    pulse(14);
    pulse(3);
    assert_int_equal(take(), -1);
    pulse(8);
    assert_int_equal(take(), 0x28); /* above the one in service on the second chip */
}

static void test_spurious(void **state) {
    (void)state;
    initialise(1, 1);
    out(0x4d0, 0x08);
    line(3, true);
    line(3, false); /* a level that went away */
    assert_false(pic_pending(pic()));
    assert_int_equal(pic_acknowledge(pic()), 0x27);
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0); /* nothing is in service */
    /* Masked between the request and its acknowledge. */
    pulse(5);
    out(0x21, 0x20);
    assert_int_equal(pic_acknowledge(pic()), 0x27);
    out(0x21, 0);
    assert_int_equal(take(), 0x25);
    out(0x20, 0x20);
    /* Line 7 itself. */
    pulse(7);
    assert_int_equal(take(), 0x27);
    assert_int_equal(in(0x20), 0x80);
}

static void test_level(void **state) {
    (void)state;
    initialise(1, 1);
    out(0x4d0, 0xff);
    out(0x4d1, 0xff);
    assert_int_equal(in(0x4d0), 0xf8);
    assert_int_equal(in(0x4d1), 0xde);
    uint64_t both;
    assert_int_equal(bus_read(ports(), NULL, 0x4d0, 2, &both), 0);
    assert_int_equal(both, 0xdef8);
    line(11, true);
    assert_int_equal(take(), 0x2b);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    assert_int_equal(take(), 0x2b); /* still asks */
    line(11, false);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    assert_int_equal(take(), -1);
    /* An edge line that stays up asks once. */
    line(1, true);
    assert_int_equal(take(), 0x21);
    out(0x20, 0x20);
    assert_int_equal(take(), -1);
    line(1, true);
    assert_int_equal(take(), -1);
    line(1, false);
    line(1, true);
    assert_int_equal(take(), 0x21);
    /* LTIM makes all lines levels. */
    out(0x20, 0x19);
    out(0x21, 0x20);
    out(0x21, 0x04);
    out(0x21, 0x01);
    assert_int_equal(take(), 0x21);
    out(0x20, 0x20);
    assert_int_equal(take(), 0x21);
}

static void test_rotation(void **state) {
    (void)state;
    initialise(1, 1);
    out(0x20, 0xc3); /* line 3 becomes the lowest */
    pulse(3);
    pulse(4);
    pulse(0);
    assert_int_equal(take(), 0x24);
    out(0x20, 0xa0); /* rotate on non-specific EOI: now 4 is the lowest */
    assert_int_equal(take(), 0x20);
    pulse(5);
    assert_int_equal(take(), 0x25);
    out(0x20, 0xe5); /* rotate on specific EOI: now 5 is the lowest */
    assert_int_equal(take(), -1);
    out(0x20, 0x20);
    assert_int_equal(take(), 0x23);
}

static void test_automatic_eoi(void **state) {
    (void)state;
    initialise(3, 3);
    pulse(1);
    pulse(4);
    assert_int_equal(take(), 0x21);
    take_requests(0);
    assert_true(pic_pending(pic()));
    assert_int_equal(take(), 0x24);
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0);
    /* What is still asked for after an acknowledge is announced again. */
    pulse(1);
    pulse(4);
    take_requests(0);
    pic_acknowledge(pic());
    assert_int_equal(take_requests(0), X86_REQUEST_EVENT);
    take();
    /* Rotating. */
    out(0x20, 0x80);
    pulse(1);
    assert_int_equal(take(), 0x21);
    pulse(0);
    pulse(1);
    pulse(3);
    assert_int_equal(take(), 0x23);
    assert_int_equal(take(), 0x20);
    assert_int_equal(take(), 0x21);
    out(0x20, 0x00);
    pulse(5);
    assert_int_equal(take(), 0x25);
    pulse(0);
    pulse(3);
    assert_int_equal(take(), 0x23); /* the order stays where it was left: 2 first */
}

static void test_special_mask(void **state) {
    (void)state;
    initialise(1, 1);
    pulse(1);
    assert_int_equal(take(), 0x21);
    pulse(4);
    assert_int_equal(take(), -1);
    out(0x20, 0x68); /* special mask mode */
    assert_int_equal(take(), -1);
    out(0x21, 0x02); /* the line in service masked: the others are free */
    assert_int_equal(take(), 0x24);
    out(0x20, 0x20); /* a non-specific EOI passes over the masked line */
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0x02);
    out(0x20, 0x48); /* mode off */
    pulse(6);
    assert_int_equal(take(), -1);
    out(0x20, 0x61);
    assert_int_equal(take(), 0x26);
}

static void test_poll(void **state) {
    (void)state;
    initialise(1, 1);
    out(0x20, 0x0c);
    assert_int_equal(in(0x20), 0);
    assert_int_equal(in(0x20), 0); /* IRR again: one read is a poll */
    pulse(5);
    out(0x20, 0x0c);
    assert_int_equal(in(0x20), 0x85);
    assert_int_equal(take(), -1);
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0x20);
    out(0x20, 0x20);
    pulse(10);
    out(0xa0, 0x0c);
    assert_int_equal(in(0xa1), 0x82);
    assert_int_equal(take(), -1); /* the second chip's output fell */
}

static void test_lint0_nmi(void **state) {
    (void)state;
    initialise(1, 1);
    xwrite(1, 0xf0, 0x1ff);
    xwrite(1, 0x350, 0x400); /* the NMI watchdog's wiring */
    take_requests(1);
    pulse(0);
    assert_int_equal(take_requests(1), X86_REQUEST_NMI);
    pulse(1); /* INTR is up already: no edge */
    assert_int_equal(take_requests(1), 0);
}

static void test_wide_access(void **state) {
    (void)state;
    initialise(1, 1);
    uint64_t value;
    assert_int_equal(bus_write(ports(), NULL, 0x20, 2, 0x550b), 0); /* OCW3, then the mask */
    pulse(1);
    take();
    assert_int_equal(bus_read(ports(), NULL, 0x20, 2, &value), 0);
    assert_int_equal(value, 0x5502);
}

static void test_state(void **state) {
    (void)state;
    uint8_t record[512];
    round_trip(&pic_part, 0, record, sizeof(record));
    initialise(0x13, 1);
    out(0x4d1, 0x08);
    out(0x20, 0x80);
    out(0x20, 0xc3);
    out(0xa0, 0x6b);
    out(0xa1, 0x01);
    line(11, true);
    pulse(9);
    take();
    pulse(4);
    line(6, true);
    out(0xa0, 0x11);
    out(0xa1, 0x70); /* in the middle of an initialisation */
    take_requests(0);
    size_t used = round_trip(&pic_part, 0, record, sizeof(record));
    assert_true(take_requests(0) & X86_REQUEST_EVENT);
    assert_int_equal(take(), 0x24);
    assert_int_equal(take(), 0x26);
    out(0xa1, 0x02);
    out(0xa1, 0x01);
    assert_int_equal(take(), 0x73);

    /* Offsets as save() writes: 15 bytes a chip. */
    enum { ELCR = 4, ICW1 = 5, ICW4 = 6, BASE = 7, LOWEST = 8, STEP = 9, STARTED = 10, ROTATE = 11 };
    refuse_short(&pic_part, 0, record, used);
    for (unsigned chip = 0; chip < 30; chip += 15) {
        refuse_change(&pic_part, 0, record, used, chip + ELCR, 1, 0x01);
        refuse_change(&pic_part, 0, record, used, chip + ICW1, 1, 0x01);
        refuse_change(&pic_part, 0, record, used, chip + ICW4, 1, 0x01);
        refuse_change(&pic_part, 0, record, used, chip + BASE, 1, 0x21);
        refuse_change(&pic_part, 0, record, used, chip + LOWEST, 1, 8);
        refuse_change(&pic_part, 0, record, used, chip + STEP, 1, 1);
        refuse_change(&pic_part, 0, record, used, chip + STEP, 1, 5);
        refuse_change(&pic_part, 0, record, used, chip + STARTED, 1, 0);
        for (unsigned flag = 0; flag < 4; flag++)
            refuse_change(&pic_part, 0, record, used, chip + ROTATE + flag, 1, 2);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_open, machine_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_before_initialisation), TEST(test_priorities),   TEST(test_mask),  TEST(test_cascade),
        TEST(test_special_fully_nested),  TEST(test_spurious),     TEST(test_level), TEST(test_rotation),
        TEST(test_automatic_eoi),         TEST(test_special_mask), TEST(test_poll),  TEST(test_lint0_nmi),
        TEST(test_wide_access),           TEST(test_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
