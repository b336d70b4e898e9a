// SPDX-License-Identifier: Apache-2.0
// What shell.c (prompt, keys), shell_line.c (words, completion) and the commands share.
#ifndef SAGUARO_SERVICE_SHELL_INTERNAL_H
#define SAGUARO_SERVICE_SHELL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include "abi/control.h"
#include "service/shell_edit.h"

#define array_count(array) (sizeof(array) / sizeof((array)[0]))

/* What a command's argument names: for checking and for completion. */
enum shell_argument {
    ARGUMENT_NONE,
    ARGUMENT_VM,
    ARGUMENT_VM_WORD, /* a guest, and a word that may be left out */
    ARGUMENT_COMMAND,
    ARGUMENT_NUMBER,
    ARGUMENT_WORD
};

struct shell_command {
    const char *name;
    enum shell_argument argument; /* of the first argument */
    bool optional;                /* it may be left out */
    const char *usage;            /* with arguments */
    const char *help;             /* one line */
    const char *more;             /* what help NAME says besides, lines that end with '\n'; may be "" */
    /* `text` is the last argument that there may be, or NULL. `value` is the first one's number: of the guest
     * or what was typed; -1: none. */
    void (*run)(const char *text, int value);
};
extern const struct shell_command shell_commands[];
extern const unsigned shell_command_count;

/* Those of service/shell_figures.c. */
void shell_run_net(const char *text, int value);
void shell_run_disks(const char *text, int value);
/* That of service/shell_balloon.c. */
void shell_run_balloon(const char *text, int value);
/* What the devices of a guest do, if it has any: a line for `vms`. */
struct service_figures;
void shell_print_rates(const struct service_figures *figures, unsigned number);

/* Bytes in MiB, rounded to the nearest; KiB below one. */
const char *shell_format_size(uint64_t bytes, char text[32]);

/* ---- what the hypervisor says */
void shell_look_machine(struct control_machine *machine);
/* False: there is no such VM. */
bool shell_look_vm(uint32_t number, struct control_vm *vm);
unsigned shell_vm_count(void);
const char *shell_command_name(unsigned number);
/* "" if there is none. Valid until the next call. */
const char *shell_vm_name(unsigned number);
/* The result of an action, 0 or a negative errno. */
int shell_control(enum control_action action, uint32_t vm);

/* ---- a line */
/* Runs it. */
void shell_execute(const char *line);
/* Completes the word at the cursor, or prints what it may be. */
void shell_complete(struct edit *edit);

/* Adds to what a command says; lines longer than 250 bytes are cut. */
void shell_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Shows it, in one piece, so that no other line comes between. */
void shell_flush(void);

/* ---- what is kept on the board when the service VM starts again */
#define SHELL_CPUS 64u /* shown with the time that they were idle */
struct shell_kept {
    uint64_t magic;
    struct edit edit;
    struct {
        uint64_t packets, requests, time;
    } rates[SERVICE_MAX_VMS]; /* when a guest was last shown */
    struct {
        uint64_t idle, time;
    } cpus[SHELL_CPUS]; /* when that CPU was */
};
extern struct shell_kept *shell_kept;

#endif
