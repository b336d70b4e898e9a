// SPDX-License-Identifier: Apache-2.0
// Output through COM1, checks, the command line, and the order in which a test guest starts.
#include "tests/guests/runtime/internal.h"

#include <stdarg.h>

#define COM1       0x3f8
#define EXIT_PORT  0xf4
#define UNEXPECTED 254

static unsigned checks, first_failed;
static uint32_t print_lock;

void *memset(void *to, int value, size_t size) {
    uint8_t *at = to;
    while (size--)
        *at++ = (uint8_t)value;
    return to;
}

void *memcpy(void *to, const void *from, size_t size) {
    uint8_t *at = to;
    const uint8_t *source = from;
    while (size--)
        *at++ = *source++;
    return to;
}

int memcmp(const void *one, const void *other, size_t size) {
    const uint8_t *a = one, *b = other;
    for (; size--; a++, b++)
        if (*a != *b)
            return *a < *b ? -1 : 1;
    return 0;
}

static void put(char c) {
    while (!(in8(COM1 + 5) & 0x20))
        pause_cpu();
    out8(COM1, (uint8_t)c);
}

static void put_number(uint64_t value, unsigned base) {
    char digits[24];
    unsigned count = 0;
    do {
        /* A 64-bit division would need a library in 32-bit guests. */
        uint64_t rest = 0, quotient = 0;
        for (int bit = 63; bit >= 0; bit--) {
            rest = rest << 1 | (value >> bit & 1);
            quotient <<= 1;
            if (rest >= base) {
                rest -= base;
                quotient |= 1;
            }
        }
        digits[count++] = "0123456789abcdef"[rest];
        value = quotient;
    } while (value);
    while (count)
        put(digits[--count]);
}

static void print_list(const char *format, va_list arguments) {
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
            put_number(va_arg(arguments, uint64_t), 10);
            break;
        case 'x':
            put_number(va_arg(arguments, uint64_t), 16);
            break;
        default:
            put(*format);
        }
    }
}

void print(const char *format, ...) {
    va_list arguments;
    while (__atomic_exchange_n(&print_lock, 1, __ATOMIC_ACQUIRE))
        pause_cpu();
    va_start(arguments, format);
    print_list(format, arguments);
    va_end(arguments);
    __atomic_store_n(&print_lock, 0, __ATOMIC_RELEASE);
}

bool check(bool ok, const char *name) {
    checks++;
    print(ok ? "ok %s\n" : "FAIL %s: expected true, got false\n", name);
    if (!ok && !first_failed)
        first_failed = checks;
    return ok;
}

bool check_equal(uint64_t got, uint64_t expected, const char *name) {
    if (got == expected)
        return check(true, name);
    checks++;
    print("FAIL %s: expected 0x%x, got 0x%x\n", name, expected, got);
    if (!first_failed)
        first_failed = checks;
    return false;
}

bool check_range(uint64_t got, uint64_t low, uint64_t high, const char *name) {
    if (got >= low && got <= high)
        return check(true, name);
    checks++;
    print("FAIL %s: expected %u to %u, got %u\n", name, low, high, got);
    if (!first_failed)
        first_failed = checks;
    return false;
}

void guest_exit(uint32_t code) {
    out32(EXIT_PORT, code);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void guest_finish(void) {
    print("%u checks, first failed %u\n", (uint64_t)checks, (uint64_t)first_failed);
    guest_exit(first_failed);
}

void runtime_unexpected(const struct frame *frame) {
    print_lock = 0;
    print("FAIL exception %u, error 0x%x, at 0x%x, CR2 0x%x\n", (uint64_t)frame->vector,
          (uint64_t)frame->error, (uint64_t)frame->rip, (uint64_t)READ_CR(2));
    guest_exit(UNEXPECTED);
}

const char *guest_cmdline(void) {
    const uint32_t *info = (const uint32_t *)(word)boot_info;
    if (boot_pvh)
        return (const char *)(word)info[6];
    return info[0] & 4 ? (const char *)(word)info[4] : "";
}

bool guest_option(const char *option) {
    for (const char *at = guest_cmdline(); *at;) {
        const char *wanted = option;
        for (; *at && *at != ' ' && *at == *wanted; at++, wanted++)
            ;
        if (!*wanted && (!*at || *at == ' '))
            return true;
        while (*at && *at != ' ')
            at++;
        while (*at == ' ')
            at++;
    }
    return false;
}

uint64_t random_next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void runtime_main(void) {
    interrupts_init();
    guest_main();
    guest_finish();
}
