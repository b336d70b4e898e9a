// SPDX-License-Identifier: Apache-2.0
// The monitor's prompt: input goes through the line editor to the commands; Tab completes.
#include "core/monitor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "core/console.h"
#include "core/control.h"
#include "core/monitor_edit.h"
#include "core/monitor_internal.h"

#define PROMPT       "saguaro> "
#define PROMPT_WIDTH (sizeof(PROMPT) - 1)
#define COLUMNS      79u /* the last one of a terminal is left free: some wrap there */

_Static_assert(COLUMNS <= CONSOLE_PROMPT, "the console keeps the whole line");

static struct edit edit;
static char output[4096];
static size_t output_used;
static bool waiting; /* a command goes on */

void monitor_print(const char *format, ...) {
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
        monitor_flush();
    memcpy(output + output_used, text, (size_t)length);
    output_used += (size_t)length;
}

void monitor_flush(void) {
    console_write(output, output_used);
    output_used = 0;
}

static void show(void) {
    char text[COLUMNS];
    unsigned first, count = edit_view(&edit, COLUMNS - PROMPT_WIDTH, &first);
    memcpy(text, PROMPT, PROMPT_WIDTH);
    memcpy(text + PROMPT_WIDTH, edit.line + first, count);
    console_prompt(text, PROMPT_WIDTH + count, PROMPT_WIDTH + edit.cursor - first);
}

void monitor_wait(void) {
    waiting = true;
    console_hold_input(true);
}

void monitor_done(void) {
    waiting = false;
    monitor_flush();
    show();
    console_hold_input(false);
}

/* --- completion --- */

struct candidates {
    unsigned count; /* of the names there are */
    const char *(*name)(unsigned number);
};

/* What the word at the cursor may be; *start: where it begins. */
static struct candidates candidates_at_cursor(unsigned *start) {
    unsigned at = edit.cursor;
    while (at != 0 && edit.line[at - 1] != ' ')
        at--;
    *start = at;
    unsigned first = monitor_spaces(edit.line);
    if (first >= at)
        return (struct candidates){monitor_command_count, monitor_command_name};
    unsigned end = first + monitor_word(edit.line + first);
    if (end + monitor_spaces(edit.line + end) < at)
        return (struct candidates){0, NULL}; /* a second argument: there is none */
    for (unsigned i = 0; i < monitor_command_count; i++) {
        const struct monitor_command *command = &monitor_commands[i];
        if (strlen(command->name) != end - first ||
            strncmp(command->name, edit.line + first, end - first) != 0)
            continue;
        if (command->argument == ARGUMENT_VM)
            return (struct candidates){control_vm_count(), monitor_vm_name};
        if (command->argument == ARGUMENT_COMMAND)
            return (struct candidates){monitor_command_count, monitor_command_name};
    }
    return (struct candidates){0, NULL};
}

static void complete(void) {
    unsigned start, matches = 0;
    struct candidates candidates = candidates_at_cursor(&start);
    unsigned typed = edit.cursor - start;
    char common[64] = ""; /* what all matches begin with */
    for (unsigned i = 0; i < candidates.count; i++) {
        const char *name = candidates.name(i);
        if (strncmp(name, edit.line + start, typed) != 0)
            continue;
        if (matches++ == 0) {
            snprintf(common, sizeof(common), "%s", name);
        } else {
            size_t same = 0;
            while (common[same] != '\0' && common[same] == name[same])
                same++;
            common[same] = '\0';
        }
    }
    if (matches == 0)
        return;
    if (strlen(common) > typed || matches == 1) {
        edit_insert(&edit, common + typed);
        if (matches == 1 && edit.line[edit.cursor] == '\0')
            edit_insert(&edit, " ");
        return;
    }
    char text[250] = "";
    size_t used = 0;
    for (unsigned i = 0; i < candidates.count; i++) {
        const char *name = candidates.name(i);
        if (strncmp(name, edit.line + start, typed) == 0 && used < sizeof(text))
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", used != 0 ? "  " : "", name);
    }
    monitor_print("%s\n", text);
    monitor_flush();
}

/* --- input --- */

static void input(uint8_t byte) {
    switch (edit_key(&edit, byte)) {
    case EDIT_NONE:
        break;
    case EDIT_LINE: {
        char line[EDIT_MAX + 1];
        memcpy(line, edit.line, sizeof(line));
        console_prompt_close();
        edit_clear(&edit, true);
        monitor_execute(line);
        monitor_flush();
        break;
    }
    case EDIT_CANCEL:
        console_prompt_close();
        edit_clear(&edit, false);
        break;
    case EDIT_REDRAW:
        console_clear();
        break;
    case EDIT_COMPLETE:
        complete();
        break;
    }
    if (!waiting)
        show();
}

void monitor_init(void) {
    console_set_monitor(input);
    show();
}
