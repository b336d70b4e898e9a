// SPDX-License-Identifier: Apache-2.0
// A program that may end at any instruction: runs a function one instruction after the other, and keeps what
// memory held whenever it had changed. On x86-64, by the trap flag; elsewhere there is nothing to see.
#ifndef SAGUARO_TESTS_UNIT_ANY_MOMENT_H
#define SAGUARO_TESTS_UNIT_ANY_MOMENT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MOMENTS 4096u

static struct {
    void *at[2];    /* what is kept: a record, and what else may have changed; or NULL */
    size_t size[2]; /* their bytes */
    uint8_t *kept;  /* MOMENTS times both */
    unsigned count;
} moments;

static uint8_t *moment_place(unsigned index, unsigned part) {
    return moments.kept + index * (moments.size[0] + moments.size[1]) + (part ? moments.size[0] : 0);
}

static bool moment_differs(unsigned index) {
    for (unsigned part = 0; part < 2; part++)
        if (moments.size[part] &&
            memcmp(moment_place(index, part), moments.at[part], moments.size[part]) != 0)
            return true;
    return false;
}

static void moment_keep(void) {
    if (moments.count == MOMENTS)
        abort();
    for (unsigned part = 0; part < 2; part++)
        if (moments.size[part])
            memcpy(moment_place(moments.count, part), moments.at[part], moments.size[part]);
    moments.count++;
}

static void moment_trap(int signal) {
    (void)signal;
    if (moment_differs(moments.count - 1))
        moment_keep();
}

/* Calls what(). How many moments there are: 0 is how everything was before, the last one how it is
 * afterwards. */
static inline unsigned moments_of(void (*what)(void), void *record, size_t size, void *other,
                                  size_t other_size) {
    const struct sigaction action = {.sa_handler = moment_trap};
    struct sigaction before;

    free(moments.kept);
    moments.kept = malloc(MOMENTS * (size + other_size));
    if (!moments.kept || sigaction(SIGTRAP, &action, &before) != 0)
        abort();
    moments.at[0] = record;
    moments.at[1] = other;
    moments.size[0] = size;
    moments.size[1] = other_size;
    moments.count = 0;
    moment_keep();
#ifdef __x86_64__
    /* Below the red zone. */
    __asm__ volatile("subq $128, %%rsp; pushfq; orl $0x100, (%%rsp); popfq; addq $128, %%rsp" ::
                         : "memory", "cc");
#endif
    what();
#ifdef __x86_64__
    __asm__ volatile("subq $128, %%rsp; pushfq; andl $~0x100, (%%rsp); popfq; addq $128, %%rsp" ::
                         : "memory", "cc");
#endif
    (void)sigaction(SIGTRAP, &before, NULL);
    return moments.count;
}

/* Everything is as it was then. */
static inline void moment_restore(unsigned index) {
    for (unsigned part = 0; part < 2; part++)
        if (moments.size[part])
            memcpy(moments.at[part], moment_place(index, part), moments.size[part]);
}

#endif
