// SPDX-License-Identifier: Apache-2.0
// The text of a screen: cells, cursor, the few control characters that consoles send. Pure; host_screen.c
// draws it.
#ifndef SAGUARO_ARCH_X86_SCREEN_TEXT_H
#define SAGUARO_ARCH_X86_SCREEN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCREEN_MAX_COLUMNS 240u
#define SCREEN_MAX_ROWS    72u

enum screen_escape { ESCAPE_NONE, ESCAPE_STARTED, ESCAPE_CSI };

struct screen_text {
    unsigned columns, rows; /* 1..SCREEN_MAX_* */
    unsigned column, row;   /* cursor; column == columns: the next character begins a new row */
    enum screen_escape escape;
    unsigned parameter; /* the last number of an escape sequence */
    uint8_t cell[SCREEN_MAX_ROWS][SCREEN_MAX_COLUMNS];
};

void screen_text_init(struct screen_text *text, unsigned columns, unsigned rows);

/* Writes bytes: printable ASCII, LF, CR, BS, TAB, ESC [ K, J, C, D, G, H and P; other sequences are passed
 * over, other bytes are shown as '?'. */
void screen_text_write(struct screen_text *text, const char *bytes, size_t length);

#endif
