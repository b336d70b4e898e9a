// SPDX-License-Identifier: Apache-2.0
// The line editor: keys, words, history.
#include "service/shell_edit.h"

#include <string.h>

#define CONTROL(letter) ((letter)-0x40)

/* Where inside an escape sequence (ECMA-48, 5.4). */
enum { NO_ESCAPE, AFTER_ESCAPE, AFTER_BRACKET, AFTER_O };

static void line_set(struct edit *edit, const char *text) {
    memcpy(edit->line, text, strlen(text) + 1);
    edit->length = edit->cursor = (unsigned)strlen(text);
}

static void remove_range(struct edit *edit, unsigned from, unsigned to) {
    memmove(edit->line + from, edit->line + to, edit->length - to + 1);
    edit->length -= to - from;
    edit->cursor = from;
}

void edit_insert(struct edit *edit, const char *text) {
    size_t count = strlen(text);
    if (count > EDIT_MAX - edit->length)
        count = EDIT_MAX - edit->length;
    memmove(edit->line + edit->cursor + count, edit->line + edit->cursor, edit->length - edit->cursor + 1);
    memcpy(edit->line + edit->cursor, text, count);
    edit->length += (unsigned)count;
    edit->cursor += (unsigned)count;
}

void edit_clear(struct edit *edit, bool keep) {
    const char *last = edit->history[(edit->history_count - 1) % EDIT_HISTORY];
    if (keep && edit->length != 0 && (edit->history_count == 0 || strcmp(last, edit->line) != 0))
        memcpy(edit->history[edit->history_count++ % EDIT_HISTORY], edit->line, edit->length + 1);
    edit->history_back = 0;
    line_set(edit, "");
}

/* Shows the line that is `back` lines old; 0 is the one that was being typed. */
static void history_show(struct edit *edit, unsigned back) {
    unsigned held = edit->history_count < EDIT_HISTORY ? edit->history_count : EDIT_HISTORY;
    if (back > held)
        return;
    if (edit->history_back == 0)
        memcpy(edit->kept, edit->line, edit->length + 1);
    edit->history_back = back;
    line_set(edit, back == 0 ? edit->kept : edit->history[(edit->history_count - back) % EDIT_HISTORY]);
}

static void history_older(struct edit *edit) {
    history_show(edit, edit->history_back + 1);
}

static void history_newer(struct edit *edit) {
    if (edit->history_back != 0)
        history_show(edit, edit->history_back - 1);
}

static bool is_line(const char line[EDIT_MAX + 1]) {
    return memchr(line, '\0', EDIT_MAX + 1) != NULL;
}

bool edit_valid(const struct edit *edit) {
    bool valid = is_line(edit->line) && is_line(edit->kept) && edit->length == strlen(edit->line) &&
                 edit->cursor <= edit->length && edit->history_back <= EDIT_HISTORY &&
                 edit->history_back <= edit->history_count && edit->escape <= AFTER_O;
    for (unsigned i = 0; valid && i < EDIT_HISTORY; i++)
        valid = is_line(edit->history[i]);
    return valid;
}

static void left(struct edit *edit) {
    edit->cursor -= edit->cursor != 0;
}

static void right(struct edit *edit) {
    edit->cursor += edit->cursor != edit->length;
}

static void delete_here(struct edit *edit) {
    if (edit->cursor != edit->length)
        remove_range(edit, edit->cursor, edit->cursor + 1);
}

static void delete_word(struct edit *edit) {
    unsigned from = edit->cursor;
    while (from != 0 && edit->line[from - 1] == ' ')
        from--;
    while (from != 0 && edit->line[from - 1] != ' ')
        from--;
    remove_range(edit, from, edit->cursor);
}

/* The last byte of a sequence: ESC [ or ESC O, then a letter. */
static void sequence_letter(struct edit *edit, uint8_t byte) {
    switch (byte) {
    case 'A':
        history_older(edit);
        break;
    case 'B':
        history_newer(edit);
        break;
    case 'C':
        right(edit);
        break;
    case 'D':
        left(edit);
        break;
    case 'H':
        edit->cursor = 0;
        break;
    case 'F':
        edit->cursor = edit->length;
        break;
    case '~': /* ESC [ number ~ */
        if (edit->parameter == 1 || edit->parameter == 7)
            edit->cursor = 0;
        else if (edit->parameter == 4 || edit->parameter == 8)
            edit->cursor = edit->length;
        else if (edit->parameter == 3)
            delete_here(edit);
        break;
    }
}

/* True: the byte belongs to an escape sequence. */
static bool escape_key(struct edit *edit, uint8_t byte) {
    if (byte == 0x1b) {
        edit->escape = AFTER_ESCAPE;
        edit->parameter = 0;
        return true;
    }
    if (edit->escape == NO_ESCAPE)
        return false;
    if (byte < 0x20) { /* the sequence was cut off; the key counts */
        edit->escape = NO_ESCAPE;
        return false;
    }
    if (edit->escape == AFTER_ESCAPE && (byte == '[' || byte == 'O')) {
        edit->escape = byte == '[' ? AFTER_BRACKET : AFTER_O;
        return true;
    }
    if (edit->escape == AFTER_BRACKET && byte < 0x40) {
        if (byte >= '0' && byte <= '9' && edit->parameter < 20)
            edit->parameter = (uint8_t)(edit->parameter * 10 + (byte - '0'));
        else if (byte < '0' || byte > '9')
            edit->parameter = 255; /* modifiers: no key of ours */
        return true;
    }
    if (edit->escape != AFTER_ESCAPE)
        sequence_letter(edit, byte);
    edit->escape = NO_ESCAPE;
    return true;
}

enum edit_result edit_key(struct edit *edit, uint8_t byte) {
    bool after_return = edit->after_return;
    edit->after_return = byte == '\r';
    if (escape_key(edit, byte))
        return EDIT_NONE;
    switch (byte) {
    case '\n':
        return after_return ? EDIT_NONE : EDIT_LINE;
    case '\r':
        return EDIT_LINE;
    case '\t':
        return EDIT_COMPLETE;
    case CONTROL('C'):
        return EDIT_CANCEL;
    case CONTROL('L'):
        return EDIT_REDRAW;
    case CONTROL('A'):
        edit->cursor = 0;
        break;
    case CONTROL('E'):
        edit->cursor = edit->length;
        break;
    case CONTROL('B'):
        left(edit);
        break;
    case CONTROL('F'):
        right(edit);
        break;
    case CONTROL('P'):
        history_older(edit);
        break;
    case CONTROL('N'):
        history_newer(edit);
        break;
    case CONTROL('D'):
        delete_here(edit);
        break;
    case CONTROL('H'):
    case 0x7f:
        if (edit->cursor != 0)
            remove_range(edit, edit->cursor - 1, edit->cursor);
        break;
    case CONTROL('U'):
        remove_range(edit, 0, edit->cursor);
        break;
    case CONTROL('K'):
        remove_range(edit, edit->cursor, edit->length);
        break;
    case CONTROL('W'):
        delete_word(edit);
        break;
    default:
        if (byte >= 0x20 && byte < 0x7f)
            edit_insert(edit, (const char[]){(char)byte, '\0'});
    }
    return EDIT_NONE;
}

unsigned edit_view(const struct edit *edit, unsigned width, unsigned *first) {
    /* One column is left for the cursor behind the last byte. */
    unsigned room = width - 1, from = 0;
    if (edit->length > room && edit->cursor > room)
        from = edit->cursor - room;
    *first = from;
    return edit->length - from < room ? edit->length - from : room;
}
