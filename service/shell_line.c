// SPDX-License-Identifier: Apache-2.0
// A line of the shell's: its words, what was meant by one that is nothing, and what one may be that is not
// complete.
#include <stdio.h>
#include <string.h>
#include "service/shell_internal.h"

#define NUMBER_MAX 100000

/* How many spaces, or bytes up to the next space, `text` begins with. */
static unsigned spaces(const char *text) {
    unsigned count = 0;
    while (text[count] == ' ')
        count++;
    return count;
}

static unsigned word_length(const char *text) {
    unsigned count = 0;
    while (text[count] != ' ' && text[count] != '\0')
        count++;
    return count;
}

/* --- completion --- */

struct candidates {
    unsigned count; /* of the names there are */
    const char *(*name)(unsigned number);
};

/* What the word at the cursor may be; *start: where it begins. */
static struct candidates candidates_at_cursor(const struct edit *edit, unsigned *start) {
    unsigned at = edit->cursor;
    while (at != 0 && edit->line[at - 1] != ' ')
        at--;
    *start = at;
    unsigned first = spaces(edit->line);
    if (first >= at)
        return (struct candidates){shell_command_count, shell_command_name};
    unsigned end = first + word_length(edit->line + first);
    if (end + spaces(edit->line + end) < at)
        return (struct candidates){0, NULL}; /* a second argument: there is none */
    for (unsigned i = 0; i < shell_command_count; i++) {
        const struct shell_command *command = &shell_commands[i];
        if (strlen(command->name) != end - first ||
            strncmp(command->name, edit->line + first, end - first) != 0)
            continue;
        if (command->argument == ARGUMENT_VM || command->argument == ARGUMENT_VM_WORD)
            return (struct candidates){shell_vm_count(), shell_vm_name};
        if (command->argument == ARGUMENT_COMMAND)
            return (struct candidates){shell_command_count, shell_command_name};
    }
    return (struct candidates){0, NULL};
}

void shell_complete(struct edit *edit) {
    unsigned start, matches = 0;
    struct candidates candidates = candidates_at_cursor(edit, &start);
    unsigned typed = edit->cursor - start;
    char common[64] = ""; /* what all matches begin with */
    for (unsigned i = 0; i < candidates.count; i++) {
        const char *name = candidates.name(i);
        if (strncmp(name, edit->line + start, typed) != 0)
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
        edit_insert(edit, common + typed);
        if (matches == 1 && edit->line[edit->cursor] == '\0')
            edit_insert(edit, " ");
        return;
    }
    char text[250] = "";
    size_t used = 0;
    for (unsigned i = 0; i < candidates.count; i++) {
        const char *name = candidates.name(i);
        if (strncmp(name, edit->line + start, typed) == 0 && used < sizeof(text))
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", used != 0 ? "  " : "", name);
    }
    shell_print("%s\n", text);
}

/* --- finding what was meant --- */

#define WORD_MAX 32u

/* Insertions, deletions and replacements, and neighbours exchanged, that make one word the other. */
static unsigned distance(const char *a, const char *b) {
    unsigned rows[3][WORD_MAX + 1]; /* the last two rows and this one */
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > WORD_MAX || b_length > WORD_MAX)
        return WORD_MAX;
    for (unsigned j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a_length; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b_length; j++) {
            unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[a_length % 3][b_length];
}

/* The name among `count` that `word` is nearest to, if it may be a slip of the finger; NULL else. */
static const char *nearest_of(const char *word, unsigned count, const char *(*name)(unsigned number)) {
    static char best_name[WORD_MAX + 1];
    unsigned best = strlen(word) <= 3 ? 2 : 3; /* fewer slips than this */
    bool found = false;
    for (unsigned i = 0; i < count; i++) {
        unsigned d = distance(word, name(i));
        if (d < best && d < strlen(word)) {
            best = d;
            found = true;
            snprintf(best_name, sizeof(best_name), "%s", name(i));
        }
    }
    return found ? best_name : NULL;
}

/* --- one line --- */

static void print_unknown(const char *what, const char *word, unsigned count,
                          const char *(*name)(unsigned number)) {
    const char *nearest = nearest_of(word, count, name);
    if (nearest != NULL)
        shell_print("no %s \"%s\"; did you mean \"%s\"?\n", what, word, nearest);
    else if (name == shell_command_name)
        shell_print("no command \"%s\"; \"help\" lists them\n", word);
    else
        shell_print("no %s \"%s\"; \"vms\" lists them\n", what, word);
}

static const struct shell_command *command_find(const char *word) {
    for (unsigned i = 0; i < shell_command_count; i++) {
        if (strcmp(shell_commands[i].name, word) == 0)
            return &shell_commands[i];
    }
    print_unknown("command", word, shell_command_count, shell_command_name);
    return NULL;
}

static int find_vm(const char *name) {
    unsigned count = shell_vm_count();
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(shell_vm_name(i), name) == 0)
            return (int)i;
    }
    return -1;
}

/* What an argument stands for; -1 after an error was printed. */
static int argument_value(const struct shell_command *command, const char *text) {
    int value = 0;
    switch (command->argument) {
    case ARGUMENT_VM:
    case ARGUMENT_VM_WORD:
        value = find_vm(text);
        if (value < 0)
            print_unknown("guest", text, shell_vm_count(), shell_vm_name);
        return value;
    case ARGUMENT_COMMAND:
        return command_find(text) != NULL ? 0 : -1;
    case ARGUMENT_NUMBER:
        for (const char *at = text; *at != '\0'; at++) {
            if (*at < '0' || *at > '9' || value > NUMBER_MAX) {
                shell_print("\"%s\" is no number from 0 to %u\n", text, NUMBER_MAX);
                return -1;
            }
            value = value * 10 + (*at - '0');
        }
        return value;
    case ARGUMENT_WORD:
        return 0;
    case ARGUMENT_NONE:
        break;
    }
    return -1;
}

void shell_execute(const char *line) {
    char text[256];
    char *words[4]; /* one more than any command takes */
    unsigned count = 0;
    snprintf(text, sizeof(text), "%s", line);
    for (char *at = text; *at != '\0' && count < array_count(words);) {
        at += spaces(at);
        if (*at == '\0')
            break;
        words[count++] = at;
        at += word_length(at);
        if (*at != '\0')
            *at++ = '\0';
    }
    if (count == 0)
        return;
    const struct shell_command *command = command_find(words[0]);
    if (command == NULL)
        return;
    unsigned first = command->argument == ARGUMENT_NONE ? 0 : 1,
             allowed = first + (command->argument == ARGUMENT_VM_WORD);
    if (count - 1 > allowed || (count - 1 < first && !command->optional)) {
        shell_print("usage: %s\n", command->usage);
        return;
    }
    int value = -1;
    if (count > 1) {
        value = argument_value(command, words[1]);
        if (value < 0)
            return;
    }
    command->run(count > allowed ? words[allowed] : NULL, value);
}
