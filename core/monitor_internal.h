// SPDX-License-Identifier: Apache-2.0
// What monitor.c (prompt, editing, completion) and monitor_commands.c (the commands) share.
#ifndef SAGUARO_CORE_MONITOR_INTERNAL_H
#define SAGUARO_CORE_MONITOR_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

/* What a command's argument names: for checking and for completion. */
enum monitor_argument { ARGUMENT_NONE, ARGUMENT_VM, ARGUMENT_COMMAND, ARGUMENT_NUMBER, ARGUMENT_WORD };

struct monitor_command {
    const char *name;
    enum monitor_argument argument; /* of the first and only argument */
    bool optional;                  /* it may be left out */
    const char *usage;              /* with arguments */
    const char *help;               /* one line */
    const char *more;               /* what help NAME says besides, lines that end with '\n'; may be "" */
    /* `text` is the argument, or NULL. `value` is its number: of the guest or what was typed; -1: none. */
    void (*run)(const char *text, int value);
};

extern const struct monitor_command monitor_commands[];
extern const unsigned monitor_command_count;

/* How many spaces, or bytes up to the next space, `text` begins with. */
static inline unsigned monitor_spaces(const char *text) {
    unsigned count = 0;
    while (text[count] == ' ')
        count++;
    return count;
}
static inline unsigned monitor_word(const char *text) {
    unsigned count = 0;
    while (text[count] != ' ' && text[count] != '\0')
        count++;
    return count;
}

/* Runs one line. */
void monitor_execute(const char *line);

/* The name among `count` that `word` is nearest to, if it may be a slip of the finger; NULL else. */
const char *monitor_nearest(const char *word, unsigned count, const char *(*name)(unsigned number));
const char *monitor_command_name(unsigned number);
/* Valid until the next call. */
const char *monitor_vm_name(unsigned number);

/* Adds to what a command says; lines longer than 250 bytes are cut. */
void monitor_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Shows it, in one piece, so that no other line comes between. */
void monitor_flush(void);

#endif
