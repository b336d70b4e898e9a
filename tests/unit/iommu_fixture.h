// SPDX-License-Identifier: Apache-2.0
// For unit tests of IOMMU code: a heap whose pages hardware sees as they were when they were last written to
// memory, a log, timers, and a panic() that a test can expect. Included by one file of a test program.
#ifndef SAGUARO_TESTS_UNIT_IOMMU_FIXTURE_H
#define SAGUARO_TESTS_UNIT_IOMMU_FIXTURE_H

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/control.h"
#include "core/log.h"
#include "core/timer.h"
#include "drivers/iommu/iommu_internal.h"

#define K4     0x1000ull
#define M2     0x200000ull
#define SECOND 1000000000ull

struct cpu *test_cpu;
uint64_t test_time;

static char text[16384]; /* the log, and what is shown to people */
static jmp_buf panic_return;
static bool panic_expected;

static inline void text_add(const char *format, va_list arguments) {
    size_t used = strlen(text);
    vsnprintf(text + used, sizeof(text) - used, format, arguments);
    used = strlen(text);
    snprintf(text + used, sizeof(text) - used, "\n");
}

void log_line(enum log_level level, const char *format, ...) {
    va_list arguments;
    (void)level;
    va_start(arguments, format);
    text_add(format, arguments);
    va_end(arguments);
}

bool log_allowed(struct log_limit *limit) {
    (void)limit;
    return true;
}

void panic(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    text_add(format, arguments);
    va_end(arguments);
    if (!panic_expected) {
        fprintf(stderr, "%s", text);
        abort();
    }
    longjmp(panic_return, 1);
}

/* Runs a statement that must end in panic(). */
#define assert_panic(statement)                                                                              \
    do {                                                                                                     \
        panic_expected = true;                                                                               \
        if (setjmp(panic_return) == 0) {                                                                     \
            statement;                                                                                       \
            fail_msg("no panic: %s", #statement);                                                            \
        }                                                                                                    \
        panic_expected = false;                                                                              \
        iommu.lock = (struct spinlock){0};                                                                   \
    } while (0)

/* Adds to it what people are shown. */
static inline void show(void) {
    char line[192];
    for (unsigned i = 0; control_iommu(i, line, sizeof(line)); i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s\n", line);
    }
}

static inline bool said(const char *what) {
    bool found = strstr(text, what) != NULL;
    text[0] = 0;
    return found;
}

/* ---- memory */

#define PAGES   1024u
#define OBJECTS 128u
static void *objects[OBJECTS];
static size_t object_size[OBJECTS];
static struct {
    uint8_t *page; /* NULL: free */
    size_t size;
    uint8_t *seen; /* as memory has it, without the caches of CPUs */
} pages[PAGES];
static unsigned left = UINT32_MAX; /* allocations until memory runs out */

static inline unsigned pages_used(void) {
    unsigned used = 0;
    for (unsigned i = 0; i < PAGES; i++)
        used += pages[i].page != NULL;
    return used;
}

void *heap_pages(unsigned order, struct memory_account *account) {
    size_t size = (size_t)PAGE_SIZE << order;
    (void)account;
    if (!left)
        return NULL;
    left--;
    for (unsigned i = 0; i < PAGES; i++)
        if (!pages[i].page) {
            pages[i].page = aligned_alloc(size, size);
            pages[i].seen = malloc(size);
            pages[i].size = size;
            memset(pages[i].page, 0, size);
            memset(pages[i].seen, 0xff, size);
            return pages[i].page;
        }
    fail_msg("more pages than the test has room for");
    return NULL;
}

void heap_pages_free(void *page, unsigned order, struct memory_account *account) {
    (void)account;
    for (unsigned i = 0; i < PAGES; i++)
        if (pages[i].page == page) {
            assert_int_equal(pages[i].size, (size_t)PAGE_SIZE << order);
            free(pages[i].page);
            free(pages[i].seen);
            pages[i].page = NULL;
            return;
        }
    fail();
}

void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    if (!left)
        return NULL;
    left--;
    for (unsigned i = 0; i < OBJECTS; i++)
        if (!objects[i]) {
            object_size[i] = size;
            return objects[i] = calloc(1, size);
        }
    fail_msg("more objects than the test has room for");
    return NULL;
}

void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)size;
    (void)account;
    for (unsigned i = 0; i < OBJECTS; i++)
        if (objects[i] == object)
            objects[i] = NULL;
    free(object);
}

uint64_t arch_heap_physical(const void *at) {
    return (uint64_t)(uintptr_t)at;
}
void *arch_heap_virtual(uint64_t physical) {
    return (void *)(uintptr_t)physical;
}

/* All that a test's failure or end leaves. */
static inline void heap_clear(void) {
    for (unsigned i = 0; i < OBJECTS; i++) {
        free(objects[i]);
        objects[i] = NULL;
    }
    for (unsigned i = 0; i < PAGES; i++) {
        if (!pages[i].page)
            continue;
        free(pages[i].page);
        free(pages[i].seen);
        pages[i].page = NULL;
    }
}

void arch_cache_flush(const void *at, size_t size) {
    for (unsigned i = 0; i < PAGES; i++) {
        uintptr_t offset = (uintptr_t)at - (uintptr_t)pages[i].page;
        if (pages[i].page && offset < pages[i].size) {
            assert_true(size <= pages[i].size - offset);
            memcpy(pages[i].seen + offset, at, size);
            return;
        }
    }
    /* What a unit writes alone is there at once. */
    for (unsigned i = 0; i < OBJECTS; i++)
        if (objects[i] && (uintptr_t)at - (uintptr_t)objects[i] < object_size[i])
            return;
    fail();
}

/* Memory that the firmware keeps. */
static uint64_t firmware_base = 0x7f000000, firmware_end = 0x7f800000;

bool arch_firmware_memory(uint64_t physical, uint64_t size) {
    return physical >= firmware_base && size <= firmware_end - physical;
}

/* ---- timers */

static struct timer *armed;

void timer_init(struct timer *timer, void (*function)(struct timer *timer)) {
    timer->function = function;
}
void timer_arm(struct timer *timer, uint64_t deadline) {
    timer->deadline = deadline;
    armed = timer;
}
bool timer_armed(const struct timer *timer) {
    return armed == timer;
}

#endif
