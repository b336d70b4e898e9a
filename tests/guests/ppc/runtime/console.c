// SPDX-License-Identifier: Apache-2.0
// Output of the bare PowerPC guests on the first UART, their checks, and their end by the power-off GPIO
// line.
#include "tests/guests/ppc/runtime/guest.h"

#include <stdarg.h>

#define UART       0xe0004500u
#define UART_LSR   5u
#define LSR_EMPTY  0x20u
#define GPIO       0xe00ff000u
#define GPIO_DIR   0u
#define GPIO_DATA  8u
#define POWER_LINE 0x80000000u /* line 0 */

static unsigned checks, failed;

static void put(char c) {
    volatile uint8_t *uart = (volatile uint8_t *)UART;

    while (!(uart[UART_LSR] & LSR_EMPTY))
        ;
    uart[0] = (uint8_t)c;
}

static void put_number(uint32_t value, unsigned base) {
    char digits[10];
    unsigned count = 0;

    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (count)
        put(digits[--count]);
}

void print(const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    for (; *format; format++) {
        if (*format != '%') {
            if (*format == '\n')
                put('\r');
            put(*format);
            continue;
        }
        switch (*++format) {
        case 's':
            for (const char *text = va_arg(arguments, const char *); *text; text++)
                put(*text);
            break;
        case 'c':
            put((char)va_arg(arguments, int));
            break;
        case 'u':
            put_number(va_arg(arguments, uint32_t), 10);
            break;
        case 'x':
            put_number(va_arg(arguments, uint32_t), 16);
            break;
        default:
            put(*format);
        }
    }
    va_end(arguments);
}

bool check(bool ok, const char *name) {
    checks++;
    failed += !ok;
    print(ok ? "ok %s\n" : "FAIL %s\n", name);
    return ok;
}

bool check_equal(uint32_t got, uint32_t expected, const char *name) {
    if (got == expected)
        return check(true, name);
    checks++;
    failed++;
    print("FAIL %s: expected 0x%x, got 0x%x\n", name, expected, got);
    return false;
}

bool check_range(uint32_t got, uint32_t low, uint32_t high, const char *name) {
    if (got >= low && got <= high)
        return check(true, name);
    checks++;
    failed++;
    print("FAIL %s: expected %u to %u, got %u\n", name, low, high, got);
    return false;
}

bool check_quiet(bool ok, const char *name, uint32_t detail) {
    checks++;
    if (!ok) {
        failed++;
        print("FAIL %s: 0x%x (vector %u, pc 0x%x, esr 0x%x, dear 0x%x, msr 0x%x)\n", name, detail,
              run_context.vector, run_context.pc, run_context.esr, run_context.dear, run_context.msr);
    }
    return ok;
}

void guest_finish(void) {
    volatile uint8_t *gpio = (volatile uint8_t *)GPIO;

    print("%u checks, %u failed\n", checks, failed);
    print(failed ? "DONE fail\n" : "DONE pass\n");
    *(volatile uint32_t *)(gpio + GPIO_DIR) = POWER_LINE;
    *(volatile uint32_t *)(gpio + GPIO_DATA) = POWER_LINE;
    for (;;)
        ;
}
