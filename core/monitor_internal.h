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

/* Those of core/monitor_figures.c. */
void monitor_run_net(const char *text, int value);
void monitor_run_disks(const char *text, int value);
/* Calls `with` with the service VM's figures; with NULL if there is no service VM, or it does not answer,
 * which is said. At once or later: the prompt waits. */
struct service_figures;
void monitor_with_figures(void (*with)(const struct service_figures *figures));
/* What the devices of a guest do, if it has any: a line for `vms`. */
void monitor_print_rates(const struct service_figures *figures, unsigned number);

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

/* A command that goes on when it has returned says so: no prompt is shown and no input is taken until
 * monitor_done(), which shows what was said meanwhile. Boot CPU only. */
void monitor_wait(void);
void monitor_done(void);

#endif
