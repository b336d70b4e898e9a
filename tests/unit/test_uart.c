// SPDX-License-Identifier: Apache-2.0
// The guest's 16550A: transmission, FIFO, interrupts and their priorities, modem signals, loopback, saved
// state.
// unit-sources: arch/x86/guest/uart.c devices/uart16550.c core/bus.c lib/state.c
#include "pc_fixture.h"
#include "arch/x86/guest/uart.h"

#define BASE 0x3f8
#define IRQ  4

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

static int start(void **state) {
    (void)state;
    part_start(&uart_part);
    return 0;
}

static int stop(void **state) {
    (void)state;
    part_stop(&uart_part);
    return 0;
}

static uint8_t get(unsigned reg) {
    return inb((uint16_t)(BASE + reg));
}

static void set(unsigned reg, uint8_t value) {
    outb((uint16_t)(BASE + reg), value);
}

static size_t type(const char *text, size_t count) {
    return fixture.receiver.input(fixture.receiver.device, (const uint8_t *)text, count);
}

static void test_reset_values(void **state) {
    (void)state;
    assert_int_equal(get(IER), 0);
    assert_int_equal(get(IIR), 0x01);
    assert_int_equal(get(LCR), 0);
    assert_int_equal(get(MCR), 0);
    assert_int_equal(get(LSR), 0x60);
    assert_int_equal(get(MSR), 0xb0);
    assert_false(fixture.level[IRQ]);
}

static void test_transmit(void **state) {
    (void)state;
    for (const char *c = "hello\n"; *c; c++)
        set(DATA, (uint8_t)*c);
    assert_int_equal(fixture.output_length, 6);
    assert_memory_equal(fixture.output, "hello\n", 6);
    assert_int_equal(get(LSR), 0x60);
}

static void test_divisor_latch(void **state) {
    (void)state;
    set(LCR, 0x83);
    set(DATA, 0x34);
    set(IER, 0x12);
    assert_int_equal(get(DATA), 0x34);
    assert_int_equal(get(IER), 0x12);
    set(LCR, 0x03);
    assert_int_equal(get(LCR), 0x03);
    assert_int_equal(get(IER), 0); /* not the divisor */
    assert_int_equal(fixture.output_length, 0);
    set(IER, 0xff);
    assert_int_equal(get(IER), 0x0f);
    set(SCR, 0xa5);
    assert_int_equal(get(SCR), 0xa5);
}

static void test_thre_interrupt(void **state) {
    (void)state;
    set(MCR, 0x08);
    set(IER, 0x02); /* enabling raises it: the transmitter is empty */
    assert_true(fixture.level[IRQ]);
    assert_int_equal(get(IIR), 0x02); /* reading clears it */
    assert_false(fixture.level[IRQ]);
    assert_int_equal(get(IIR), 0x01);
    set(DATA, 'x');
    assert_true(fixture.level[IRQ]);
    unsigned rises = fixture.rises[IRQ];
    set(DATA, 'y'); /* down and up again: an edge for each byte */
    assert_true(fixture.level[IRQ]);
    assert_int_equal(fixture.rises[IRQ], rises + 1);
    set(IER, 0);
    assert_false(fixture.level[IRQ]);
    set(IER, 2);
    assert_true(fixture.level[IRQ]);
}

static void test_out2_gates(void **state) {
    (void)state;
    set(IER, 0x02);
    assert_false(fixture.level[IRQ]);
    assert_int_equal(get(IIR), 0x02);
    set(DATA, 'x');
    set(MCR, 0x08);
    assert_true(fixture.level[IRQ]);
    set(MCR, 0x18); /* loopback holds the pin inactive */
    assert_false(fixture.level[IRQ]);
}

static void test_receive_without_fifo(void **state) {
    (void)state;
    set(MCR, 0x08);
    set(IER, 0x01);
    assert_int_equal(type("ab", 2), 1);
    assert_true(fixture.level[IRQ]);
    assert_int_equal(get(IIR), 0x04);
    assert_int_equal(get(LSR), 0x61);
    unsigned ready = fixture.ready;
    assert_int_equal(get(DATA), 'a');
    assert_int_equal(fixture.ready, ready + 1);
    assert_false(fixture.level[IRQ]);
    assert_int_equal(get(LSR), 0x60);
    assert_int_equal(type("b", 1), 1);
    assert_int_equal(get(DATA), 'b');
    assert_int_equal(get(DATA), 0);
}

static void test_receive_fifo(void **state) {
    (void)state;
    set(MCR, 0x08);
    set(IIR, 0x81); /* FIFO, trigger level 8 */
    set(IER, 0x01);
    assert_int_equal(type("0123456", 7), 7);
    assert_true(fixture.level[IRQ]);
    assert_int_equal(get(IIR), 0xcc); /* below the level: character timeout */
    assert_int_equal(type("789abcdefgh", 11), 9);
    assert_int_equal(get(IIR), 0xc4);
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(get(DATA), "0123456789abcdef"[i]);
        assert_int_equal(get(IIR), i < 8 ? 0xc4 : i < 15 ? 0xcc : 0xc1);
    }
    assert_false(fixture.level[IRQ]);
    assert_int_equal(type("xyz", 3), 3);
    unsigned ready = fixture.ready;
    set(IIR, 0x83); /* clear the receiver */
    assert_int_equal(fixture.ready, ready + 1);
    assert_int_equal(get(LSR), 0x60);
    /* Trigger levels 1, 4, 14. */
    static const uint8_t fcr[3] = {0x01, 0x41, 0xc1}, level[3] = {1, 4, 14};
    for (unsigned i = 0; i < 3; i++) {
        set(IIR, fcr[i] | 2);
        for (unsigned n = 1; n <= level[i]; n++) {
            assert_int_equal(type("x", 1), 1);
            assert_int_equal(get(IIR), n < level[i] ? 0xcc : 0xc4);
        }
    }
    set(IIR, 0); /* off: emptied */
    assert_int_equal(get(IIR), 0x01);
    assert_int_equal(get(LSR), 0x60);
}

static void test_priorities(void **state) {
    (void)state;
    /* All four sources at once, in loopback where errors and modem changes can be made. */
    set(IIR, 0x01);
    set(MCR, 0x10);
    get(MSR);
    set(IER, 0x0f);
    set(MCR, 0x12);                          /* RTS -> CTS changes */
    set(DATA, 'a');                          /* received, and THRE */
    set(LCR, 0x40);                          /* break */
    assert_int_equal(get(LSR), 0x61 | 0x80); /* the error is not at the top of the FIFO yet */
    assert_int_equal(get(IIR), 0xc4);
    assert_int_equal(get(DATA), 'a');
    assert_int_equal(get(IIR), 0xc6); /* line status first */
    assert_int_equal(get(LSR), 0x61 | 0x90);
    assert_int_equal(get(IIR), 0xc4);
    assert_int_equal(get(LSR), 0x61); /* reading has cleared it */
    assert_int_equal(get(DATA), 0);
    assert_int_equal(get(IIR), 0xc2);
    assert_int_equal(get(IIR), 0xc0); /* reading IIR cleared THRE; the modem is left */
    assert_int_equal(get(MSR), 0x11);
    assert_int_equal(get(IIR), 0xc1);
}

static void test_overrun(void **state) {
    (void)state;
    set(MCR, 0x10);
    set(DATA, 'a');
    assert_int_equal(get(LSR), 0x61);
    set(DATA, 'b'); /* without FIFO the new byte replaces the old one */
    assert_int_equal(get(LSR), 0x63);
    assert_int_equal(get(LSR), 0x61);
    assert_int_equal(get(DATA), 'b');
    set(IIR, 0x01);
    for (unsigned i = 0; i < 17; i++)
        set(DATA, (uint8_t)('a' + i)); /* with it the new one is lost */
    assert_int_equal(get(LSR), 0x63);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(get(DATA), 'a' + i);
    assert_int_equal(get(LSR), 0x60);
    assert_int_equal(fixture.output_length, 0); /* nothing left the machine */
}

static void test_loopback(void **state) {
    (void)state;
    set(MCR, 0x1f);
    assert_int_equal(get(MSR) & 0xf0, 0xf0);
    set(MCR, 0x11); /* DTR -> DSR */
    assert_int_equal(get(MSR), 0x20 | 0x01 | 0x04 | 0x08);
    assert_int_equal(get(MSR), 0x20);
    set(MCR, 0x15);
    assert_int_equal(get(MSR), 0x60);  /* RI rising is no event */
    assert_int_equal(type("x", 1), 0); /* cut off */
    unsigned before = fixture.ready;
    uart_part.reset(vm(), 0); /* a reset of the guest ends it, and input that waited can come */
    assert_int_equal(fixture.ready, before + 1);
    assert_int_equal(type("x", 1), 1);
    set(IIR, 0x03);
    set(MCR, 0x15);
    assert_int_equal(type("x", 1), 0);
    unsigned ready = fixture.ready;
    set(MCR, 0x00);
    assert_int_equal(fixture.ready, ready + 1);
    assert_int_equal(get(MSR) & 0xf0, 0xb0);
    assert_int_equal(type("x", 1), 1);
}

static void test_odd_accesses(void **state) {
    (void)state;
    assert_int_equal(in(BASE, 2), 0xffff);
    out(BASE, 2, 0x4141);
    out(BASE, 4, 0x41414141);
    assert_int_equal(fixture.output_length, 0);
    set(LSR, 0xff);
    set(MSR, 0xff);
    assert_int_equal(get(LSR), 0x60);
    assert_int_equal(get(MSR), 0xb0);
}

static void test_no_console(void **state) {
    (void)state;
    fixture_init();
    fixture.config.console = CONFIG_CONSOLE_NONE;
    assert_int_equal(uart_part.create(vm(), 0), 0);
    uart_part.reset(vm(), 0);
    assert_int_equal(get(LSR), 0xff);
    assert_null(fixture.receiver.input);
    part_stop(&uart_part);
}

static void test_state(void **state) {
    (void)state;
    set(LCR, 0x83);
    set(DATA, 1);
    set(IER, 0);
    set(LCR, 0x03);
    set(IIR, 0xc1);
    set(MCR, 0x0b);
    set(IER, 0x07);
    set(SCR, 0x77);
    type("abcdefghij", 10);
    get(DATA);
    get(DATA);
    type("klm", 3);
    part_round_trip(&uart_part);
    assert_true(fixture.level[IRQ]);
    for (const char *c = "cdefghijklm"; *c; c++)
        assert_int_equal(get(DATA), *c);
    assert_int_equal(get(SCR), 0x77);
    assert_int_equal(get(IER), 0x07);
    assert_int_equal(get(IIR), 0xc2);

    part_truncation(&uart_part);
    assert_int_equal(part_load_changed(&uart_part, 2, 0x10), -EINVAL); /* IER */
    assert_int_equal(part_load_changed(&uart_part, 3, 0x80), -EINVAL); /* FCR without FIFO */
    assert_int_equal(part_load_changed(&uart_part, 5, 0x20), -EINVAL); /* MCR */
    assert_int_equal(part_load_changed(&uart_part, 8, 0x10), -EINVAL); /* overrun */
    assert_int_equal(part_load_changed(&uart_part, 9, 2), -EINVAL);    /* THRE pending */
    assert_int_equal(part_load_changed(&uart_part, 10, 17), -EINVAL);  /* bytes in the FIFO */
    assert_int_equal(part_load_changed(&uart_part, 10, 255), -EINVAL);
    /* A refused record leaves the reset state. */
    assert_int_equal(get(SCR), 0);
    assert_int_equal(get(IER), 0);
    assert_false(fixture.level[IRQ]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reset_values, start, stop),
        cmocka_unit_test_setup_teardown(test_transmit, start, stop),
        cmocka_unit_test_setup_teardown(test_divisor_latch, start, stop),
        cmocka_unit_test_setup_teardown(test_thre_interrupt, start, stop),
        cmocka_unit_test_setup_teardown(test_out2_gates, start, stop),
        cmocka_unit_test_setup_teardown(test_receive_without_fifo, start, stop),
        cmocka_unit_test_setup_teardown(test_receive_fifo, start, stop),
        cmocka_unit_test_setup_teardown(test_priorities, start, stop),
        cmocka_unit_test_setup_teardown(test_overrun, start, stop),
        cmocka_unit_test_setup_teardown(test_loopback, start, stop),
        cmocka_unit_test_setup_teardown(test_odd_accesses, start, stop),
        cmocka_unit_test_setup_teardown(test_state, start, stop),
        cmocka_unit_test(test_no_console),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
