// SPDX-License-Identifier: Apache-2.0
// The parts of the hostile guest: what words, values and TLB entries are made of.
#ifndef SAGUARO_TESTS_GUESTS_PPC_HOSTILE_HOSTILE_H
#define SAGUARO_TESTS_GUESTS_PPC_HOSTILE_HOSTILE_H

#include "tests/guests/ppc/runtime/guest.h"

#define RUNS  5000u
#define WORDS 8u
#define PAGE  0x1000u
#define PHYS  0x01000000u /* memory that is not the guest's own code and data begins here: 16 MiB */
#define USER  0x10000000u /* four pages of it in address space 1 */

extern uint32_t ticks; /* after which a run ends with a decrementer interrupt */

uint32_t next(void);
/* Random registers in run_context, and everything in place that an interrupt needs. */
void prepare(void);
void user_pages(void);

/* A word that begins like an instruction: random fields in known ones. */
uint32_t random_word(void);
/* A privileged one that leaves this guest what it stands on: its vectors, TLB entries, MSR[ME]. Its operand
 * is put into run_context, into a register from 4 to 23 that no other word of the run is given. */
uint32_t privileged_word(unsigned reg);
bool register_spared(unsigned number);
uint32_t register_value(unsigned number);

void random_tlb(void);
void random_memory(void);

#endif
