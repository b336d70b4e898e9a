// SPDX-License-Identifier: Apache-2.0
// The shell's prompt: keys go through the line editor to the commands; what it knows lies on the board, so
// that a restart of the service VM changes nothing that the operator sees.
#include "service/shell.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "service/call.h"
#include "service/clock.h"
#include "service/loop.h"
#include "service/shell_internal.h"

#define PROMPT       "saguaro> "
#define PROMPT_WIDTH (sizeof(PROMPT) - 1)
#define COLUMNS      79u /* the last one of a terminal is left free: some wrap there */
#define KEYS         64u /* in one turn of the loop */
#define MAGIC        0x6c6c656873677361ull

_Static_assert(COLUMNS <= SERVICE_MAX_PROMPT, "the hypervisor keeps the whole line");
_Static_assert(sizeof(struct shell_kept) <= sizeof(((struct service_board *)0)->shell), "it fits");

struct shell_kept *shell_kept;

static struct service_board *board;
static char output[SERVICE_MAX_SHOW];
static size_t output_used;

/* ---- the screen */

void shell_print(const char *format, ...) {
    char text[252];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    if ((size_t)length >= sizeof(text)) {
        length = sizeof(text) - 1;
        text[length - 1] = '\n';
    }
    if ((size_t)length > sizeof(output) - output_used)
        shell_flush();
    memcpy(output + output_used, text, (size_t)length);
    output_used += (size_t)length;
}

void shell_flush(void) {
    if (output_used != 0)
        (void)service_call_show(output, (uint32_t)output_used);
    output_used = 0;
}

static void show(void) {
    const struct edit *edit = &shell_kept->edit;
    char text[COLUMNS];
    unsigned first, count = edit_view(edit, COLUMNS - PROMPT_WIDTH, &first);
    memcpy(text, PROMPT, PROMPT_WIDTH);
    memcpy(text + PROMPT_WIDTH, edit->line + first, count);
    (void)service_call_prompt(text, (uint32_t)(PROMPT_WIDTH + count),
                              (uint32_t)(PROMPT_WIDTH + edit->cursor - first));
}

/* ---- the hypervisor */

void shell_look_machine(struct control_machine *machine) {
    memset(machine, 0, sizeof(*machine));
    (void)service_call_look(CONTROL_MACHINE, 0, machine);
}

bool shell_look_vm(uint32_t number, struct control_vm *vm) {
    memset(vm, 0, sizeof(*vm));
    return service_call_look(CONTROL_VM, number, vm) == 0;
}

unsigned shell_vm_count(void) {
    struct control_machine machine;
    shell_look_machine(&machine);
    return machine.vm_count;
}

const char *shell_vm_name(unsigned number) {
    static struct control_vm vm;
    return shell_look_vm(number, &vm) ? vm.name : "";
}

int shell_control(enum control_action action, uint32_t vm) {
    int error = service_call_control(action, vm);
    return error != 0 ? error : __atomic_load_n(&board->control_result, __ATOMIC_ACQUIRE);
}

/* ---- keys */

static void input(uint8_t byte) {
    struct edit *edit = &shell_kept->edit;
    char line[EDIT_MAX + 1];

    switch (edit_key(edit, byte)) {
    case EDIT_NONE:
        break;
    case EDIT_LINE:
        /* Before it is run: a line that ends this run of the service VM is not run again. */
        memcpy(line, edit->line, sizeof(line));
        service_call_prompt_close();
        edit_clear(edit, true);
        shell_execute(line);
        shell_flush();
        break;
    case EDIT_CANCEL:
        service_call_prompt_close();
        edit_clear(edit, false);
        break;
    case EDIT_REDRAW:
        service_call_clear();
        break;
    case EDIT_COMPLETE:
        shell_complete(edit);
        shell_flush();
        break;
    }
    show();
}

static void take_keys(struct loop_work *work) {
    for (unsigned i = 0; i < KEYS; i++) {
        int key = service_call_key();
        if (key < 0)
            return;
        input((uint8_t)key);
    }
    loop_queue(work);
}

static struct loop_work keys = {.run = take_keys};

void shell_keys(void) {
    loop_queue(&keys);
}

void shell_init(struct service_board *service_board) {
    board = service_board;
    shell_kept = (struct shell_kept *)board->shell;
    output_used = 0;
    keys = (struct loop_work){.run = take_keys};
    if (shell_kept->magic != MAGIC || !edit_valid(&shell_kept->edit)) {
        memset(shell_kept, 0, sizeof(*shell_kept));
        shell_kept->magic = MAGIC;
    }
    show();
}
