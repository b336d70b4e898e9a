// SPDX-License-Identifier: Apache-2.0
// The text of a screen: what its cells hold after a stream of bytes (ECMA-48 for the escape sequences).
#include "arch/x86/screen_text.h"

#include <string.h>

#define ESC           0x1b
#define TAB_STOP      8u
#define MAX_PARAMETER 9999u

void screen_text_init(struct screen_text *text, unsigned columns, unsigned rows) {
    memset(text, 0, sizeof(*text));
    text->columns = columns;
    text->rows = rows;
    memset(text->cell, ' ', sizeof(text->cell));
}

static void new_line(struct screen_text *text) {
    if (text->row + 1 < text->rows) {
        text->row++;
        return;
    }
    memmove(text->cell[0], text->cell[1], (text->rows - 1) * sizeof(text->cell[0]));
    memset(text->cell[text->rows - 1], ' ', sizeof(text->cell[0]));
}

static void put(struct screen_text *text, uint8_t character) {
    if (text->column == text->columns) {
        text->column = 0;
        new_line(text);
    }
    text->cell[text->row][text->column++] = character;
}

static void clear(struct screen_text *text, unsigned row, unsigned from, unsigned to) {
    for (unsigned i = from; i < to && i < text->columns; i++)
        text->cell[row][i] = ' ';
}

static void erase_line(struct screen_text *text, unsigned how) {
    clear(text, text->row, how == 0 ? text->column : 0, how == 1 ? text->column + 1 : text->columns);
}

static void erase_screen(struct screen_text *text, unsigned how) {
    erase_line(text, how);
    for (unsigned row = 0; row < text->rows; row++)
        if ((row < text->row && how != 0) || (row > text->row && how != 1))
            clear(text, row, 0, text->columns);
}

static void finish(struct screen_text *text, char final) {
    unsigned n = text->parameter;
    unsigned step = n ? n : 1;

    switch (final) {
    case 'C':
        text->column = step < text->columns - text->column ? text->column + step : text->columns - 1;
        break;
    case 'D':
        text->column -= step < text->column ? step : text->column;
        break;
    case 'G':
        text->column = step - 1 < text->columns ? step - 1 : text->columns - 1;
        break;
    case 'H':
        text->row = text->column = 0;
        break;
    case 'J':
        erase_screen(text, n);
        break;
    case 'K':
        erase_line(text, n);
        break;
    case 'P':
        for (unsigned i = text->column; i < text->columns; i++)
            text->cell[text->row][i] = step < text->columns - i ? text->cell[text->row][i + step] : ' ';
        break;
    default:
        break;
    }
}

/* True: the byte belongs to an escape sequence. */
static bool escape(struct screen_text *text, uint8_t byte) {
    switch (text->escape) {
    case ESCAPE_STARTED:
        text->escape = byte == '[' ? ESCAPE_CSI : ESCAPE_NONE;
        text->parameter = 0;
        return true;
    case ESCAPE_CSI:
        if (byte >= '0' && byte <= '9') {
            if (text->parameter <= MAX_PARAMETER)
                text->parameter = text->parameter * 10 + (byte - '0');
        } else if (byte == ';') {
            text->parameter = 0;
        } else if (byte >= 0x40 && byte <= 0x7e) {
            finish(text, (char)byte);
            text->escape = ESCAPE_NONE;
        } else if (byte < 0x20) {
            text->escape = ESCAPE_NONE;
            return false;
        }
        return true;
    default:
        return false;
    }
}

static void write_byte(struct screen_text *text, uint8_t byte) {
    if (escape(text, byte))
        return;
    switch (byte) {
    case ESC:
        text->escape = ESCAPE_STARTED;
        break;
    case '\n':
        new_line(text);
        break;
    case '\r':
        text->column = 0;
        break;
    case '\b':
        if (text->column)
            text->column--;
        break;
    case '\t':
        do
            put(text, ' ');
        while (text->column % TAB_STOP && text->column < text->columns);
        break;
    default:
        if (byte >= 0x20 && byte < 0x7f)
            put(text, byte);
        else if (byte >= 0xc0)
            put(text, '?'); /* the first byte of a UTF-8 character; the others show nothing */
        break;
    }
}

void screen_text_write(struct screen_text *text, const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++)
        write_byte(text, (uint8_t)bytes[i]);
}
