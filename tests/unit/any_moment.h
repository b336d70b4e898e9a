// SPDX-License-Identifier: Apache-2.0
// A program that may end at any instruction: runs a function one instruction after the other, and keeps what
// a record held whenever it had changed. On x86-64, by the trap flag; elsewhere there is nothing to see.
#ifndef SAGUARO_TESTS_UNIT_ANY_MOMENT_H
#define SAGUARO_TESTS_UNIT_ANY_MOMENT_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MOMENTS 4096u

static struct {
    const void *record;
    size_t size;
    uint8_t *kept; /* MOMENTS times `size` bytes */
    unsigned count;
} moments;

static void moment_trap(int signal) {
    (void)signal;
    if (memcmp(moments.kept + (moments.count - 1) * moments.size, moments.record, moments.size) == 0)
        return;
    if (moments.count == MOMENTS)
        abort();
    memcpy(moments.kept + moments.count++ * moments.size, moments.record, moments.size);
}

/* Calls what(); afterwards moment(0) to moment(count - 1) are what was at `record` before, and after each
 * change. */
static inline unsigned moments_of(void (*what)(void), const void *record, size_t size) {
    const struct sigaction action = {.sa_handler = moment_trap};
    struct sigaction before;

    free(moments.kept);
    moments.kept = malloc(MOMENTS * size);
    if (!moments.kept || sigaction(SIGTRAP, &action, &before) != 0)
        abort();
    memcpy(moments.kept, record, size);
    moments.record = record;
    moments.size = size;
    moments.count = 1;
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

static inline const void *moment(unsigned index) {
    return moments.kept + index * moments.size;
}

#endif
