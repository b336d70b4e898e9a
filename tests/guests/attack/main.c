// SPDX-License-Identifier: Apache-2.0
// A hostile guest with functions of the machine to itself, which does with their DMA what its console tells
// it; with `victim=KEY` on its command line, a guest to be attacked. Each line begins with a number, and so
// does its answer.
#include "tests/guests/attack/attack.h"

#define COM1        0x3f8
#define COM1_STATUS 0x3fd
#define RECEIVED    1u
#define LONGEST     120u

static char text[LONGEST + 1];

/* ---- a line */

bool line_word(struct line *line, const char *word) {
    const char *at = line->at;

    while (*at == ' ')
        at++;
    for (; *word; at++, word++)
        if (*at != *word)
            return false;
    if (*at && *at != ' ')
        return false;
    line->at = at;
    return true;
}

uint64_t line_number(struct line *line) {
    uint64_t value = 0;

    while (*line->at == ' ')
        line->at++;
    for (; *line->at && *line->at != ' '; line->at++) {
        char c = *line->at;
        value = value << 4 | (uint64_t)(c >= 'a' ? c - 'a' + 10 : c - '0');
    }
    return value;
}

static char receive(void) {
    while (!(in8(COM1_STATUS) & RECEIVED))
        pause_cpu();
    return (char)in8(COM1);
}

static struct line next_line(void) {
    unsigned length = 0;

    for (char c; (c = receive()) != '\r';)
        if (length < LONGEST)
            text[length++] = c;
    text[length] = 0;
    return (struct line){.at = text};
}

/* ---- the guest */

/* The value of `name` on the command line, which is in hexadecimal; 0: it is not there. */
static uint64_t option(const char *name) {
    for (const char *at = guest_cmdline(); *at; at++) {
        const char *wanted = name, *here = at;
        while (*wanted && *here == *wanted) {
            here++;
            wanted++;
        }
        if (!*wanted) {
            struct line rest = {.at = here};
            return line_number(&rest);
        }
    }
    return 0;
}

static uint64_t interrupts(void) {
    uint64_t count = 0;

    for (unsigned vector = 0; vector < array_count(irq_count); vector++)
        count += irq_count[vector];
    return count;
}

void guest_main(void) {
    uint64_t key = option("victim=");

    lapic_enable();
    interrupts_on();
    memory_start();
    if (key)
        victim_fill(key);
    edu_start();
    nvme_start();
    print("ready for commands\n");
    for (;;) {
        struct line line = next_line();
        print("%x ", line_number(&line));
        if (line_word(&line, "edu"))
            edu_do(&line);
        else if (line_word(&line, "nvme"))
            nvme_do(&line);
        else if (line_word(&line, "look"))
            print("look: wrong %u interrupts %u\n", victim_wrong(), interrupts());
        else if (line_word(&line, "end"))
            return;
        else
            print("unknown command\n");
    }
}
