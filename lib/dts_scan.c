// SPDX-License-Identifier: Apache-2.0
// Characters, comments, names, numbers and strings of a DTS source file.
#include "lib/dts_scan.h"
#include "lib/hex.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int dts_fail(const struct dts_scan *scan, uint32_t at, const char *format, ...) {
    struct dts_mark mark = {.text = at, .file = scan->file};
    va_list arguments;

    va_start(arguments, format);
    dts_report_at_v(scan->report, scan->positions, &mark, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool dts_is_name(char c) {
    return is_digit(c) || is_letter(c) || (c != '\0' && strchr(",._+?#@-", c) != NULL);
}

int dts_scan_begin(struct dts_scan *scan, unsigned index) {
    const struct dts_file *file = &scan->positions->files[index];

    scan->file = (uint8_t)index;
    scan->text = file->text;
    scan->size = (uint32_t)(file->size > DTS_MAX_SOURCE ? DTS_MAX_SOURCE : file->size);
    scan->at = 0;
    scan->end = 0;
    if (file->size == 0) {
        dts_report_at(scan->report, scan->positions, NULL, "%s is empty",
                      index == 0 ? "the config" : file->name);
        return -EINVAL;
    }
    if (scan->size >= 4 && memcmp(scan->text, "\xd0\x0d\xfe\xed", 4) == 0) {
        return dts_fail(scan, 0, "this is a compiled device tree; its name must end in \".dtb\"");
    }
    if (scan->size >= 2 &&
        (memcmp(scan->text, "\xff\xfe", 2) == 0 || memcmp(scan->text, "\xfe\xff", 2) == 0)) {
        return dts_fail(scan, 0, "this is UTF-16 text; save it as plain ASCII or UTF-8");
    }
    if (scan->size >= 3 && memcmp(scan->text, "\xef\xbb\xbf", 3) == 0) {
        scan->at = 3;
    }
    for (uint32_t i = 0; i < scan->size; i++) {
        unsigned char c = (unsigned char)scan->text[i];

        if ((c < ' ' && (c < '\t' || c > '\r')) || c == 0x7f) {
            return dts_fail(scan, i, "byte 0x%02x does not belong in a text file; is this a config?", c);
        }
    }
    if (file->size > DTS_MAX_SOURCE) {
        dts_report_at(scan->report, scan->positions, NULL, "%s is too long: %u bytes are the most",
                      index == 0 ? "the config" : file->name, DTS_MAX_SOURCE);
        return -EINVAL;
    }
    return 0;
}

char dts_peek(const struct dts_scan *scan) {
    return scan->at < scan->size ? scan->text[scan->at] : '\0';
}

bool dts_looking_at(const struct dts_scan *scan, const char *word) {
    size_t length = strlen(word);

    return length <= scan->size - scan->at && memcmp(scan->text + scan->at, word, length) == 0;
}

bool dts_accept(struct dts_scan *scan, const char *word) {
    if (!dts_looking_at(scan, word)) {
        return false;
    }
    scan->at += (uint32_t)strlen(word);
    scan->end = scan->at;
    return true;
}

const char *dts_called(const struct dts_scan *scan, char buffer[DTS_CALLED]) {
    char c = dts_peek(scan);

    if (c == '\0') {
        snprintf(buffer, DTS_CALLED, "the end of the file");
    } else if (c >= ' ' && c <= '~') {
        snprintf(buffer, DTS_CALLED, "\"%c\"", c);
    } else {
        snprintf(buffer, DTS_CALLED, "byte 0x%02x", (unsigned)(unsigned char)c);
    }
    return buffer;
}

int dts_skip(struct dts_scan *scan) {
    while (scan->at < scan->size) {
        char c = scan->text[scan->at];

        if (c == ' ' || (c >= '\t' && c <= '\r')) {
            scan->at++;
        } else if (dts_looking_at(scan, "//")) {
            while (scan->at < scan->size && scan->text[scan->at] != '\n') {
                scan->at++;
            }
        } else if (dts_looking_at(scan, "/*")) {
            uint32_t start = scan->at;

            scan->at += 2;
            while (!dts_looking_at(scan, "*/")) {
                if (scan->at == scan->size) {
                    return dts_fail(scan, start, "this comment has no end (\"*/\")");
                }
                scan->at++;
            }
            scan->at += 2;
        } else {
            break;
        }
    }
    return 0;
}

/* One escape; stands behind the backslash. */
static int scan_escape(struct dts_scan *scan, uint8_t *byte) {
    static const char names[] = "abfnrtv\\\"'";
    static const char values[] = "\a\b\f\n\r\t\v\\\"'";
    uint32_t start = scan->at - 1;
    char c = dts_peek(scan);
    unsigned value = 0, digits = 0;

    if (c != '\0' && strchr(names, c) != NULL) {
        *byte = (uint8_t)values[strchr(names, c) - names];
        scan->at++;
        return 0;
    }
    if (c == 'x') {
        scan->at++;
        for (; digits < 2 && (unsigned)hex_digit(dts_peek(scan)) < 16; digits++) {
            value = value * 16 + (unsigned)hex_digit(scan->text[scan->at++]);
        }
    } else {
        for (; digits < 3 && (unsigned)hex_digit(dts_peek(scan)) < 8; digits++) {
            value = value * 8 + (unsigned)hex_digit(scan->text[scan->at++]);
        }
    }
    if (digits == 0) {
        return dts_fail(scan, start, "unknown escape; write \"\\\\\" for a backslash");
    }
    if (value == 0) {
        return dts_fail(scan, start, "a string cannot hold a NUL byte");
    }
    if (value > 255) {
        return dts_fail(scan, start, "this escape is larger than a byte (\\377)");
    }
    *byte = (uint8_t)value;
    return 0;
}

int dts_scan_string(struct dts_scan *scan, uint8_t *value, size_t room, size_t *used) {
    uint32_t start = scan->at++; /* the quote */
    size_t length = 0;
    int error;

    for (;;) {
        char c = dts_peek(scan);
        uint8_t byte = (uint8_t)c;

        if (length == room) {
            return dts_fail(scan, start, "this value is longer than %u bytes", DTS_MAX_VALUE);
        }
        if (c == '\0' || c == '\n' || c == '\r') {
            return dts_fail(scan, start, "this string has no end on its line (\")");
        }
        if (byte >= 0x80) {
            return dts_fail(scan, scan->at, "byte 0x%02x in a string; strings are plain ASCII", byte);
        }
        scan->at++;
        if (c == '"') {
            value[length++] = '\0';
            break;
        }
        if (c == '\\') {
            error = scan_escape(scan, &byte);
            if (error != 0) {
                return error;
            }
        }
        value[length++] = byte;
    }
    scan->end = scan->at;
    *used = length;
    return 0;
}

/* Digits alone. `start` is where messages point. */
static int scan_digits(struct dts_scan *scan, uint32_t *number) {
    uint32_t start = scan->at, i = start, end;
    unsigned base = 10;
    uint64_t value = 0;
    char called[DTS_CALLED];
    bool too_large = false;

    if (dts_peek(scan) == '-') {
        return dts_fail(scan, start, "numbers cannot be negative");
    }
    if (!is_digit(dts_peek(scan))) {
        return dts_fail(scan, start, "expected a number, found %s", dts_called(scan, called));
    }
    for (end = i; end < scan->size && (dts_is_name(scan->text[end]) && scan->text[end] != ','); end++) {
    }
    if (scan->text[i] == '0' && end - i > 1) {
        base = 8;
        i++;
        if (scan->text[i] == 'x' || scan->text[i] == 'X') {
            base = 16;
            i++;
        }
    }
    if (i == end) {
        return dts_fail(scan, start, "\"0x\" without digits");
    }
    for (; i < end; i++) {
        unsigned digit = (unsigned)hex_digit(scan->text[i]);

        if (digit >= base) {
            return dts_fail(scan, i, "not a digit of %s number",
                            base == 16 ? "a hexadecimal" : (base == 8 ? "an octal (0...)" : "a decimal"));
        }
        value = value * base + digit;
        if (value > UINT32_MAX) {
            too_large = true;
            value = UINT32_MAX;
        }
    }
    if (too_large) {
        return dts_fail(scan, start, "this number does not fit in 32 bits (4294967295 is the largest)");
    }
    scan->at = end;
    scan->end = end;
    *number = (uint32_t)value;
    return 0;
}

int dts_scan_number(struct dts_scan *scan, uint32_t *number) {
    unsigned open = 0;
    int error;

    while (dts_accept(scan, "(")) {
        open++;
        error = dts_skip(scan);
        if (error != 0) {
            return error;
        }
    }
    error = scan_digits(scan, number);
    for (; error == 0 && open > 0; open--) {
        error = dts_skip(scan);
        if (error == 0 && !dts_accept(scan, ")")) {
            char c = dts_peek(scan);

            if (c != '\0' && strchr("+-*/%&|^~!<>=?:", c) != NULL) {
                return dts_fail(scan, scan->at, "expressions are not in this subset; write the number");
            }
            return dts_fail(scan, scan->end, "expected \")\"");
        }
    }
    return error;
}
