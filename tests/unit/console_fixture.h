// SPDX-License-Identifier: Apache-2.0
// For unit tests of consoles: memory that is counted, the boot CPU's work, a guest with a receiver, and what
// is typed. Included by one file of a test program.
#ifndef SAGUARO_TESTS_UNIT_CONSOLE_FIXTURE_H
#define SAGUARO_TESTS_UNIT_CONSOLE_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "core/console.h"
#include "core/log.h"
#include "core/vm.h"
#include "tests/unit/host/capture.h"

struct cpu *test_cpu;
uint64_t test_time;

void panic(const char *format, ...) {
    fprintf(stderr, "panic: %s\n", format);
    abort();
}

static int allocations, allocations_left = 1000;

static inline void *allocate(size_t size) {
    if (allocations_left == 0)
        return NULL;
    allocations_left--;
    allocations++;
    return calloc(1, size);
}
void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    return allocate(size);
}
void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)size;
    (void)account;
    allocations -= object != NULL;
    free(object);
}
void *heap_pages(unsigned order, struct memory_account *account) {
    (void)account;
    return allocate(PAGE_SIZE << order);
}
void heap_pages_free(void *pages, unsigned order, struct memory_account *account) {
    heap_free(pages, PAGE_SIZE << order, account);
}

/* --- the boot CPU's work --- */

static struct cpu cpu;
static struct work *queued[8];
static unsigned queued_count;

struct cpu *cpu_get(unsigned number) {
    assert_int_equal(number, 0);
    return &cpu;
}
void work_queue(struct cpu *on, struct work *work) {
    assert_ptr_equal(on, &cpu);
    if (work->queued)
        return;
    work->queued = 1;
    queued[queued_count++] = work;
}
static inline void run(void) {
    while (queued_count != 0) {
        struct work *work = queued[--queued_count];
        work->queued = 0;
        work->function(work);
    }
}

/* --- two guests, and what they print and the user types --- */

static struct vm web, db;

static inline void setup_vm(struct vm *vm, const char *name) {
    memset(vm, 0, sizeof(*vm));
    snprintf(vm->name, sizeof(vm->name), "%s", name);
    assert_int_equal(console_guest_create(vm), 0);
}

static inline void setup(void) {
    setup_vm(&web, "web");
    setup_vm(&db, "db");
    capture_clear();
}

static inline void teardown(void) {
    console_guest_destroy(&web);
    console_guest_destroy(&db);
    assert_int_equal(allocations, 0);
    console_guest_destroy(&db);
}

static inline void print(struct vm *vm, const char *text) {
    console_guest_output(vm, (const uint8_t *)text, strlen(text));
}

static inline void type(const char *text) {
    for (; *text != '\0'; text++)
        console_host_input((uint8_t)*text);
    run();
}

#endif
