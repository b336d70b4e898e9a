// SPDX-License-Identifier: Apache-2.0
// A line editor for a terminal of the ANSI kind, with a history. It only changes its own state; who uses it
// shows the line.
#ifndef SAGUARO_SERVICE_SHELL_EDIT_H
#define SAGUARO_SERVICE_SHELL_EDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EDIT_MAX     240u /* bytes of a line */
#define EDIT_HISTORY 16u

struct edit {
    char line[EDIT_MAX + 1]; /* NUL-terminated */
    unsigned length;
    unsigned cursor; /* 0..length */
    char history[EDIT_HISTORY][EDIT_MAX + 1];
    unsigned history_count;  /* lines ever kept */
    unsigned history_back;   /* how far the shown line is from the newest; 0: none of the history's */
    char kept[EDIT_MAX + 1]; /* the new line, while an old one is shown */
    uint8_t escape;          /* inside an escape sequence */
    uint8_t parameter;       /* its first number */
    uint8_t after_return;    /* 1: an LF would be no key of its own */
};

enum edit_result {
    EDIT_NONE,     /* nothing to do but to show the line */
    EDIT_LINE,     /* Enter: the line is complete; call edit_clear() */
    EDIT_CANCEL,   /* Ctrl-C: the same, but it is not meant */
    EDIT_REDRAW,   /* Ctrl-L: clear the screen */
    EDIT_COMPLETE, /* Tab */
};

/* Whether it is one that can be used, whatever it was read from. */
bool edit_valid(const struct edit *edit);
/* Takes one byte from the keyboard. */
enum edit_result edit_key(struct edit *edit, uint8_t byte);
/* Starts an empty line; the old one goes into the history if `keep` and it is neither empty nor the last one.
 */
void edit_clear(struct edit *edit, bool keep);
/* Types a text at the cursor, as far as it fits. */
void edit_insert(struct edit *edit, const char *text);
/* The part of the line that fits into `width` columns (2 at least) with the cursor in view: starts at byte
 * *first, the result is its length. */
unsigned edit_view(const struct edit *edit, unsigned width, unsigned *first);

#endif
