// SPDX-License-Identifier: Apache-2.0
// For unit tests of memory: a machine's physical memory as one arena of the host's, and a panic() that a test
// can expect. Included by one file of a test program.
#ifndef SAGUARO_TESTS_ARENA_H
#define SAGUARO_TESTS_ARENA_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "core/atomic.h"
#include "core/log.h"
#include "core/memory.h"

struct cpu *test_cpu;
uint64_t test_time;

#define ARENA_BLOCKS 4096u /* of 2 MiB: physical memory below 8 GiB */

static struct {
    char *memory;
    uint64_t size;                /* bytes that are backed; windows above it show a scratch block */
    uint8_t mapped[ARENA_BLOCKS]; /* the heap's blocks */
    unsigned map_left;            /* calls of arch_heap_map() until it fails */
    unsigned scrubs;              /* calls of arch_window_map_large() */
} arena;

/* Physical memory of `size` bytes, full of `rubbish`. */
static inline void arena_open(uint64_t size, int rubbish) {
    arena.memory = mmap(NULL, size + LARGE_PAGE_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena.memory == MAP_FAILED)
        abort();
    arena.size = size;
    memset(arena.mapped, 0, sizeof(arena.mapped));
    arena.map_left = UINT32_MAX;
    arena.scrubs = 0;
    if (rubbish != 0)
        memset(arena.memory, rubbish, size);
}

static inline void arena_close(void) {
    munmap(arena.memory, arena.size + LARGE_PAGE_SIZE);
    arena.memory = NULL;
}

int arch_heap_map(uint64_t physical) {
    if (physical % LARGE_PAGE_SIZE != 0 || physical >= arena.size)
        abort();
    if (arena.map_left == 0)
        return -ENOMEM;
    arena.map_left--;
    arena.mapped[physical / LARGE_PAGE_SIZE] = 1;
    return 0;
}

void *arch_heap_virtual(uint64_t physical) {
    if (physical >= arena.size || !arena.mapped[physical / LARGE_PAGE_SIZE])
        abort();
    return arena.memory + physical;
}

uint64_t arch_heap_physical(const void *at) {
    return (uint64_t)((const char *)at - arena.memory);
}

void *arch_window_map(uint64_t physical) {
    return arena.memory + (physical < arena.size ? physical : arena.size + physical % PAGE_SIZE);
}

void *arch_window_map_large(uint64_t physical) {
    if (physical % LARGE_PAGE_SIZE != 0)
        abort();
    arena.scrubs++;
    return arena.memory + (physical < arena.size ? physical : arena.size);
}

/* panic() comes back here when a test waits for it. */
static jmp_buf panic_return;
static int panic_expected;
static char panic_text[256];

void panic(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(panic_text, sizeof(panic_text), format, arguments);
    va_end(arguments);
    if (!panic_expected) {
        fprintf(stderr, "panic: %s\n", panic_text);
        abort();
    }
    longjmp(panic_return, 1);
}

/* Runs a statement that must end in panic(). */
#define assert_panic(statement)                                                                              \
    do {                                                                                                     \
        panic_expected = 1;                                                                                  \
        if (setjmp(panic_return) == 0) {                                                                     \
            statement;                                                                                       \
            fail_msg("no panic: %s", #statement);                                                            \
        }                                                                                                    \
        panic_expected = 0;                                                                                  \
    } while (0)

/* A small generator, the same numbers on each run. */
static uint64_t random_state = 88172645463325252ull;
static inline uint64_t test_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

#endif
