// SPDX-License-Identifier: Apache-2.0
// snprintf() for code without a C library; which conversions it knows stands in lib/freestanding/stdio.h.
#include "lib/freestanding/stdio.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct output {
    char *buffer;
    size_t size;
    size_t length; /* of the whole text, also of what did not fit */
};

struct conversion {
    bool left;
    bool zero;
    bool plus;
    bool space;
    bool alternate;
    int width;
    int precision; /* -1: none given */
    int length;    /* LENGTH_* */
};

enum {
    LENGTH_CHAR,
    LENGTH_SHORT,
    LENGTH_INT,
    LENGTH_LONG,
    LENGTH_LONG_LONG,
    LENGTH_SIZE,
    LENGTH_MAX,
    LENGTH_PTRDIFF
};

static void put(struct output *out, char character) {
    if (out->length + 1 < out->size) {
        out->buffer[out->length] = character;
    }
    out->length++;
}

static void put_repeated(struct output *out, char character, int count) {
    for (int i = 0; i < count; i++) {
        put(out, character);
    }
}

static void put_field(struct output *out, const struct conversion *spec, const char *text, int length) {
    int padding = spec->width > length ? spec->width - length : 0;
    put_repeated(out, ' ', spec->left ? 0 : padding);
    for (int i = 0; i < length; i++) {
        put(out, text[i]);
    }
    put_repeated(out, ' ', spec->left ? padding : 0);
}

/* `prefix` is the sign, 0x or nothing; it stands before padding zeros and after padding blanks. */
static void put_number(struct output *out, const struct conversion *spec, uint64_t value, unsigned base,
                       bool upper, const char *prefix) {
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[24]; /* 64 bits in octal: 22 digits */
    int count = 0;
    int prefix_length = 0;

    while (value != 0) {
        text[count++] = digits[value % base];
        value /= base;
    }
    if (count == 0 && spec->precision != 0) {
        text[count++] = '0';
    }
    while (prefix[prefix_length] != '\0') {
        prefix_length++;
    }

    int zeros = spec->precision > count ? spec->precision - count : 0;
    if (base == 8 && spec->alternate && zeros == 0 && (count == 0 || text[count - 1] != '0')) {
        zeros = 1;
    }
    int body = prefix_length + count;
    int padding = 0;
    if (zeros < spec->width - body) {
        padding = spec->width - body - zeros;
    }
    if (spec->zero && !spec->left && spec->precision < 0) {
        zeros += padding;
        padding = 0;
    }

    put_repeated(out, ' ', spec->left ? 0 : padding);
    for (int i = 0; i < prefix_length; i++) {
        put(out, prefix[i]);
    }
    put_repeated(out, '0', zeros);
    while (count > 0) {
        put(out, text[--count]);
    }
    put_repeated(out, ' ', spec->left ? padding : 0);
}

/* A va_list is an array on some targets; in a structure it can be handed on by address everywhere. */
struct arguments {
    va_list list;
};

static int64_t signed_argument(struct arguments *arguments, int length) {
    switch (length) {
    case LENGTH_CHAR:
        return (signed char)va_arg(arguments->list, int);
    case LENGTH_SHORT:
        return (short)va_arg(arguments->list, int);
    case LENGTH_LONG:
        return va_arg(arguments->list, long);
    case LENGTH_LONG_LONG:
        return va_arg(arguments->list, long long);
    case LENGTH_SIZE:
    case LENGTH_PTRDIFF:
        return va_arg(arguments->list, ptrdiff_t);
    case LENGTH_MAX:
        return va_arg(arguments->list, intmax_t);
    default:
        return va_arg(arguments->list, int);
    }
}

static uint64_t unsigned_argument(struct arguments *arguments, int length) {
    switch (length) {
    case LENGTH_CHAR:
        return (unsigned char)va_arg(arguments->list, unsigned);
    case LENGTH_SHORT:
        return (unsigned short)va_arg(arguments->list, unsigned);
    case LENGTH_LONG:
        return va_arg(arguments->list, unsigned long);
    case LENGTH_LONG_LONG:
        return va_arg(arguments->list, unsigned long long);
    case LENGTH_SIZE:
    case LENGTH_PTRDIFF:
        return va_arg(arguments->list, size_t);
    case LENGTH_MAX:
        return va_arg(arguments->list, uintmax_t);
    default:
        return va_arg(arguments->list, unsigned);
    }
}

/* Digits or '*'. A number that does not fit an int is held at a limit far above any sensible field. */
static const char *parse_number(const char *format, struct arguments *arguments, int *number) {
    const int limit = 1 << 20;
    if (*format == '*') {
        *number = va_arg(arguments->list, int);
        if (*number > limit) {
            *number = limit;
        } else if (*number < -limit) {
            *number = -limit;
        }
        return format + 1;
    }
    *number = 0;
    while (*format >= '0' && *format <= '9') {
        if (*number < limit) {
            *number = *number * 10 + (*format - '0');
        }
        format++;
    }
    if (*number > limit) {
        *number = limit;
    }
    return format;
}

static const char *parse_conversion(const char *format, struct arguments *arguments,
                                    struct conversion *spec) {
    for (;; format++) {
        if (*format == '-') {
            spec->left = true;
        } else if (*format == '0') {
            spec->zero = true;
        } else if (*format == '+') {
            spec->plus = true;
        } else if (*format == ' ') {
            spec->space = true;
        } else if (*format == '#') {
            spec->alternate = true;
        } else {
            break;
        }
    }
    format = parse_number(format, arguments, &spec->width);
    if (spec->width < 0) {
        spec->left = true;
        spec->width = -spec->width;
    }
    spec->precision = -1;
    if (*format == '.') {
        format = parse_number(format + 1, arguments, &spec->precision);
        if (spec->precision < 0) {
            spec->precision = -1;
        }
    }
    spec->length = LENGTH_INT;
    switch (*format) {
    case 'h':
        spec->length = format[1] == 'h' ? LENGTH_CHAR : LENGTH_SHORT;
        return format + (format[1] == 'h' ? 2 : 1);
    case 'l':
        spec->length = format[1] == 'l' ? LENGTH_LONG_LONG : LENGTH_LONG;
        return format + (format[1] == 'l' ? 2 : 1);
    case 'z':
        spec->length = LENGTH_SIZE;
        return format + 1;
    case 't':
        spec->length = LENGTH_PTRDIFF;
        return format + 1;
    case 'j':
        spec->length = LENGTH_MAX;
        return format + 1;
    default:
        return format;
    }
}

static void put_string(struct output *out, const struct conversion *spec, const char *text) {
    int length = 0;
    if (text == NULL) {
        text = "(null)";
    }
    while ((spec->precision < 0 || length < spec->precision) && length < INT_MAX && text[length] != '\0') {
        length++;
    }
    put_field(out, spec, text, length);
}

/* Returns false for a conversion that is not known. */
static bool put_conversion(struct output *out, const struct conversion *spec, char type,
                           struct arguments *arguments) {
    switch (type) {
    case 'd':
    case 'i': {
        int64_t value = signed_argument(arguments, spec->length);
        uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
        put_number(out, spec, magnitude, 10, false,
                   value < 0     ? "-"
                   : spec->plus  ? "+"
                   : spec->space ? " "
                                 : "");
        return true;
    }
    case 'u':
        put_number(out, spec, unsigned_argument(arguments, spec->length), 10, false, "");
        return true;
    case 'o':
        put_number(out, spec, unsigned_argument(arguments, spec->length), 8, false, "");
        return true;
    case 'x':
    case 'X': {
        uint64_t value = unsigned_argument(arguments, spec->length);
        const char *prefix = type == 'x' ? "0x" : "0X";
        put_number(out, spec, value, 16, type == 'X', spec->alternate && value != 0 ? prefix : "");
        return true;
    }
    case 'p':
        put_number(out, spec, (uintptr_t)va_arg(arguments->list, void *), 16, false, "0x");
        return true;
    case 's':
        put_string(out, spec, va_arg(arguments->list, const char *));
        return true;
    case 'c': {
        char character = (char)va_arg(arguments->list, int);
        put_field(out, spec, &character, 1);
        return true;
    }
    case '%':
        put(out, '%');
        return true;
    default:
        return false;
    }
}

int vsnprintf(char *buffer, size_t size, const char *format, va_list list) {
    struct output out = {.buffer = buffer, .size = size};
    struct arguments arguments;
    bool known = true;

    va_copy(arguments.list, list);
    while (*format != '\0') {
        if (*format != '%' || !known) {
            put(&out, *format++);
            continue;
        }
        struct conversion spec = {0};
        const char *type = parse_conversion(format + 1, &arguments, &spec);
        known = put_conversion(&out, &spec, *type, &arguments);
        if (known) {
            format = type + 1;
        }
    }
    va_end(arguments.list);
    if (size > 0) {
        buffer[out.length < size ? out.length : size - 1] = '\0';
    }
    return out.length > INT_MAX ? INT_MAX : (int)out.length;
}

int snprintf(char *buffer, size_t size, const char *format, ...) {
    va_list list;
    va_start(list, format);
    int length = vsnprintf(buffer, size, format, list);
    va_end(list);
    return length;
}
