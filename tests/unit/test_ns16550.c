// SPDX-License-Identifier: Apache-2.0
// The driver of the host's serial port, on a 16550 that the test plays: whether it is found, what goes out
// when and in which order, a ring that is full, a port that is stuck, input, and the last words.
// unit-sources: drivers/serial/ns16550.c core/timer.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "core/console.h"
#include "core/timer.h"
#include "drivers/serial/ns16550.h"

struct cpu *test_cpu;
uint64_t test_time;

void arch_timer_program(uint64_t deadline) {
    (void)deadline;
}

/* ---- the port. Its transmitter holds what was written until the test lets it go, or empties at each look.
 */

static struct {
    bool absent, stuck, prompt;
    uint8_t ier, lcr, fcr, mcr, scratch;
    uint16_t divisor;
    char sent[16384];
    size_t sent_count;
    unsigned in_fifo;
    char input[256];
    size_t input_count, input_at;
    unsigned looks;
} uart;

static uint8_t uart_read(unsigned reg) {
    if (uart.absent)
        return 0xff;
    switch (reg) {
    case 0:
        return uart.input_at < uart.input_count ? (uint8_t)uart.input[uart.input_at++ % sizeof(uart.input)]
                                                : 0;
    case 2:
        if ((uart.ier & 1) && uart.input_at < uart.input_count)
            return 0xc4;
        return (uart.ier & 2) && !uart.in_fifo ? 0xc2 : 0xc1;
    case 5:
        uart.looks++;
        if (uart.prompt)
            uart.in_fifo = 0;
        return (uint8_t)((uart.input_at < uart.input_count) |
                         (uart.in_fifo || uart.stuck ? 0 : 0x60)); /* empty and idle */
    case 7:
        return uart.scratch;
    default:
        fail();
        return 0;
    }
}

static void uart_write(unsigned reg, uint8_t value) {
    switch (reg) {
    case 0:
        if (uart.lcr & 0x80) {
            uart.divisor = (uint16_t)((uart.divisor & 0xff00) | value);
            return;
        }
        assert_true(uart.sent_count < sizeof(uart.sent));
        assert_true(uart.in_fifo < 16); /* never more than it holds */
        uart.in_fifo++;
        uart.sent[uart.sent_count++] = (char)value;
        return;
    case 1:
        if (uart.lcr & 0x80)
            uart.divisor = (uint16_t)((uart.divisor & 0xff) | value << 8);
        else
            uart.ier = value;
        return;
    case 2:
        uart.fcr = value;
        return;
    case 3:
        uart.lcr = value;
        return;
    case 4:
        uart.mcr = value;
        return;
    case 7:
        uart.scratch = value;
        return;
    default:
        fail();
    }
}

static const struct ns16550 hardware = {.read = uart_read, .write = uart_write, .divisor = 0x123};

/* ---- surroundings */

static struct console_device *device;
static char heard[2048];
static size_t heard_count;
static bool panic_on;

void console_add_device(struct console_device *added) {
    device = added;
}
bool console_in_panic(void) {
    return panic_on;
}
void console_host_input(uint8_t byte) {
    assert_true(heard_count < sizeof(heard));
    heard[heard_count++] = (char)byte;
    device->write(device, "echo", 4); /* input leads to output: no lock is held */
}

static void sent(const char *text) {
    assert_int_equal(uart.sent_count, strlen(text));
    assert_memory_equal(uart.sent, text, uart.sent_count);
}

static void fifo_empty(void) {
    uart.in_fifo = 0;
    if (uart.ier & 2)
        ns16550_interrupt();
}

/* ---- in this order: the driver is for one port, and keeps what it found */

static void test_absent(void **state) {
    (void)state;
    uart.absent = true;
    assert_false(ns16550_init(&hardware, "COM1"));
    assert_false(ns16550_present());
    ns16550_emergency("x", 1);
    ns16550_start(true); /* nothing happens */
    assert_null(device);
    uart.absent = false;
}

static void test_found(void **state) {
    (void)state;
    uart.prompt = true;
    assert_true(ns16550_init(&hardware, "COM1"));
    assert_true(ns16550_present());
    assert_string_equal(device->name, "COM1");
    assert_int_equal(uart.divisor, 0x123);
    assert_int_equal(uart.lcr, 3);
    assert_int_equal(uart.ier, 0);
    assert_int_equal(uart.fcr & 1, 1);
    assert_int_equal(uart.mcr & 3, 3);
    /* Until it is started each write waits for the port. */
    device->write(device, "directly, and more than a FIFO holds", 36);
    sent("directly, and more than a FIFO holds");
}

static void test_by_interrupt(void **state) {
    (void)state;
    ns16550_start(true);
    uart.prompt = false;
    uart.in_fifo = 0;
    uart.sent_count = 0;
    assert_int_equal(uart.ier, 1);
    device->write(device, "0123456789abcdefghijklmnopqrstuvwxyz", 36);
    sent("0123456789abcdef");
    assert_int_equal(uart.ier, 3);
    assert_int_equal(device->room(device), 4096 - 20);
    device->write(device, "!", 1); /* behind the rest */
    sent("0123456789abcdef");
    fifo_empty();
    sent("0123456789abcdefghijklmnopqrstuv");
    fifo_empty();
    sent("0123456789abcdefghijklmnopqrstuvwxyz!");
    assert_int_equal(uart.ier, 1); /* all is given away: it needs no interrupt */
    assert_int_equal(device->room(device), 4096);
}

static void test_input(void **state) {
    (void)state;
    uart.in_fifo = 0;
    uart.sent_count = heard_count = 0;
    memset(uart.input, 'i', 200);
    uart.input_count = 200;
    uart.input_at = 0;
    uart.prompt = true;
    ns16550_interrupt();
    assert_int_equal(heard_count, 200);
    device->flush(device);
    assert_int_equal(uart.sent_count, 800);
    uart.prompt = false;
}

/* More than one interrupt takes. The line stays up, so that on a PC none follows. */
static void test_flood(void **state) {
    (void)state;
    uart.in_fifo = 0;
    uart.sent_count = heard_count = 0;
    uart.input_count = 1200;
    uart.input_at = 0;
    uart.prompt = true;
    ns16550_interrupt();
    assert_int_equal(heard_count, 1024);
    test_time += 1000000;
    timer_interrupt();
    assert_int_equal(heard_count, 1200);
    device->flush(device);
    assert_int_equal(uart.sent_count, 4800);
    assert_true(list_empty(&test_cpu->timers));
    uart.prompt = false;
}

static void test_full(void **state) {
    static char much[6000];
    (void)state;
    for (size_t i = 0; i < sizeof(much); i++)
        much[i] = (char)('a' + i % 26);
    uart.sent_count = 0;
    uart.in_fifo = 0;
    uart.prompt = true;
    device->write(device, much, sizeof(much));
    device->flush(device);
    assert_int_equal(uart.sent_count, sizeof(much));
    assert_memory_equal(uart.sent, much, sizeof(much));
}

static void test_stuck(void **state) {
    static char much[5000];
    (void)state;
    memset(much, 's', sizeof(much));
    uart.sent_count = 0;
    uart.prompt = false;
    uart.stuck = true;
    uart.looks = 0;
    device->write(device, much, sizeof(much));
    device->flush(device);
    ns16550_emergency("last", 4);
    assert_true(uart.looks < 2000000); /* gives up */
    assert_int_equal(uart.sent_count, 0);
    uart.stuck = false;
    uart.prompt = true;
    device->write(device, "on", 2);
    device->flush(device);
    sent("on");
}

static void test_panic(void **state) {
    (void)state;
    uart.sent_count = 0;
    panic_on = true;
    device->write(device, "more than a FIFO holds, at once", 31);
    sent("more than a FIFO holds, at once");
    ns16550_emergency(" end", 4);
    sent("more than a FIFO holds, at once end");
    panic_on = false;
}

static void test_polled(void **state) {
    (void)state;
    uart.sent_count = heard_count = 0;
    uart.prompt = false;
    uart.in_fifo = 0;
    ns16550_start(false);
    device->write(device, "0123456789abcdefghij", 20);
    sent("0123456789abcdef");
    uart.in_fifo = 0;
    uart.input_at = uart.input_count - 1;
    for (unsigned i = 0; i < 3; i++) {
        test_time += 10000000;
        timer_interrupt();
    }
    assert_int_equal(heard_count, 1);
    uart.prompt = true;
    device->flush(device);
    sent("0123456789abcdefghijecho");
}

static void test_disabled(void **state) {
    (void)state;
    ns16550_disable();
    assert_true(device->room(device) == SIZE_MAX); /* nothing is waited for */
    uart.sent_count = 0;
    assert_false(ns16550_present());
    device->write(device, "x", 1);
    device->flush(device);
    ns16550_emergency("x", 1);
    assert_int_equal(uart.sent_count, 0);
}

int main(void) {
    static struct cpu cpu;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent),   cmocka_unit_test(test_found), cmocka_unit_test(test_by_interrupt),
        cmocka_unit_test(test_input),    cmocka_unit_test(test_flood), cmocka_unit_test(test_full),
        cmocka_unit_test(test_stuck),    cmocka_unit_test(test_panic), cmocka_unit_test(test_polled),
        cmocka_unit_test(test_disabled),
    };
    test_cpu = &cpu;
    timer_cpu_init(&cpu);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
