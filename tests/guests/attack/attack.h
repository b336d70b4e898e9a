// SPDX-License-Identifier: Apache-2.0
// What the files of the attack guest share: memory for its devices, its PCI functions, and the commands of
// each device. All commands come as lines on COM1; numbers in them are hexadecimal.
#ifndef SAGUARO_TESTS_GUESTS_ATTACK_ATTACK_H
#define SAGUARO_TESTS_GUESTS_ATTACK_ATTACK_H

#include "tests/guests/runtime/guest.h"

#define PAGE 4096u

/* --- memory.c: whole pages at the end of the last piece of RAM below 4 GiB, which is where a guest with
 * `identity-memory` has RAM that devices find at the same address --- */

void memory_start(void);
/* Zeroes. Ends the guest when there are none left. */
void *memory_take(uint64_t bytes);
/* 32-bit words as text, with a space before each. */
void print_words(const volatile uint32_t *word, unsigned count);

/* --- pci.c --- */

/* BAR 0 of the first function on bus 0 whose configuration word at `offset`, masked, is `value`; it decodes
 * memory and is a bus master then. 0: there is none. */
uint64_t pci_claim(unsigned offset, uint32_t mask, uint32_t value);

/* --- a line from the console: words and hexadecimal numbers --- */

struct line {
    const char *at; /* what is left of it */
};

/* Whether the next word is this one, which is taken then. */
bool line_word(struct line *line, const char *word);
/* 0 if there is none. */
uint64_t line_number(struct line *line);

/* --- devices: start() looks for one, do_() answers the line behind its name --- */

void edu_start(void);
void edu_do(struct line *line);
void nvme_start(void);
void nvme_do(struct line *line);

/* --- victim.c: a guest that has nothing but a pattern in its memory --- */

void victim_fill(uint64_t key);
/* Words that are not what was filled in. */
uint64_t victim_wrong(void);

#endif
