// SPDX-License-Identifier: Apache-2.0
// For unit tests: a host console that keeps what is written to it, as bytes and as the screen they make.
#ifndef SAGUARO_TESTS_CAPTURE_H
#define SAGUARO_TESTS_CAPTURE_H

#include <string.h>
#include "core/console.h"

static char captured[1 << 20];
static size_t captured_length;

static inline void capture_write(struct console_device *device, const char *text, size_t length) {
    (void)device;
    if (length > sizeof(captured) - 1 - captured_length)
        length = sizeof(captured) - 1 - captured_length;
    memcpy(captured + captured_length, text, length);
    captured_length += length;
    captured[captured_length] = '\0';
}

static struct console_device capture_device = {.name = "capture", .write = capture_write};

static inline void capture_clear(void) {
    captured_length = 0;
    captured[0] = '\0';
}

/* What a terminal shows: CR, LF, BS and ESC [ K are obeyed; lines end with '\n'. The cursor's column in the
 * last line is stored too. Other escape sequences are kept as they are. */
static inline const char *capture_screen(unsigned *column) {
    static char screen[1 << 20];
    size_t line = 0, end = 0, at = 0; /* start of the line, its end, the cursor */
    for (size_t i = 0; i < captured_length; i++) {
        char c = captured[i];
        if (c == '\r') {
            at = line;
        } else if (c == '\n') {
            size_t in_line = at - line;
            screen[end++] = '\n';
            line = end;
            at = end + in_line;
            while (end < at)
                screen[end++] = ' ';
        } else if (c == '\b') {
            at -= at > line;
        } else if (c == '\x1b' && i + 2 < captured_length + 1 && strncmp(captured + i, "\x1b[K", 3) == 0) {
            end = at;
            i += 2;
        } else {
            screen[at++] = c;
            if (at > end)
                end = at;
        }
    }
    screen[end] = '\0';
    if (column != NULL)
        *column = (unsigned)(at - line);
    return screen;
}

#endif
