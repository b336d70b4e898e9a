// SPDX-License-Identifier: Apache-2.0
// For unit tests of the shell: the hypervisor as its calls show it, over a real console; keys, and what a
// command says. Included by one file of a test program.
#ifndef SAGUARO_TESTS_UNIT_SHELL_FIXTURE_H
#define SAGUARO_TESTS_UNIT_SHELL_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "service/arch.h"
#include "service/balloon_device.h"
#include "service/clock.h"
#include "service/figures.h"
#include "service/loop.h"
#include "service/shell.h"
#include "service/shell_internal.h"
#include "tests/unit/host/capture.h"

struct cpu *test_cpu;
uint64_t test_time;

/* --- the machine --- */

static struct service_board board;
static struct control_vm vms[3];
static unsigned vm_number;
static int action_result, control_error;
static char actions[100];
static struct control_cpu cpus[2];
static struct control_vm service_info;
static struct control_device device;
static unsigned devices, iommu_lines;
static uint32_t log_end_number = 1000;
static jmp_buf left;
static struct service_figures figures;

static inline void note(const char *what, unsigned number) {
    snprintf(actions + strlen(actions), sizeof(actions) - strlen(actions), "%s %u;", what, number);
}

const struct service_figures *figures_gather(void) {
    return &figures;
}

uint64_t clock_now(void) {
    return test_time;
}

/* The balloon of the first guest; the others have none. */
static struct balloon_figures balloon;
static void (*balloon_answer)(unsigned vm, const uint64_t *stat, uint16_t known);

bool balloon_device_look(unsigned vm, struct balloon_figures *out) {
    *out = balloon;
    return vm == 0;
}
void balloon_device_want(unsigned vm, uint64_t bytes) {
    assert_int_equal(vm, 0);
    balloon.wanted = bytes;
    note("want", (unsigned)(bytes >> 10));
}
void balloon_device_ask(unsigned vm, void (*answer)(unsigned vm, const uint64_t *stat, uint16_t known)) {
    assert_int_equal(vm, 0);
    assert_true(balloon.driver);
    balloon_answer = answer;
}

/* Pointers that calls were given, by a number. */
static const void *pointers[16];
static unsigned pointer_count;

uint32_t arch_physical(const void *address) {
    unsigned number = pointer_count++ % 16;
    pointers[number] = address;
    return number;
}

static inline int look_exits(uint32_t number, struct control_exits *exits) {
    static const struct control_exits of_web = {
        .count = 4,
        .exit = {
            {"port", 123}, {"interrupt window", 4}, {"cause with a long name", 123456789012}, {"HLT", 99}}};
    static const struct control_exits of_service = {.count = 2,
                                                    .exit = {{"hypercall", 77}, {"nested fault", 5}}};
    if (number == 0)
        *exits = of_web;
    else if (number == CONTROL_SERVICE)
        *exits = of_service;
    else
        memset(exits, 0, sizeof(*exits));
    return 0;
}

static inline int look(uint32_t kind, uint32_t number, void *out) {
    bool there = true;
    switch (kind) {
    case CONTROL_MACHINE:
        assert_int_equal(number, 0);
        *(struct control_machine *)out = (struct control_machine){.vm_count = vm_number,
                                                                  .cpu_count = 2,
                                                                  .device_count = devices,
                                                                  .log_end = log_end_number,
                                                                  .log_lines = 512,
                                                                  .starts = 3,
                                                                  .memory = 1ull << 30,
                                                                  .free = 600ull << 20,
                                                                  .heap = 2u << 20,
                                                                  .heap_used = 300000,
                                                                  .largest = 512ull << 20};
        break;
    case CONTROL_VM:
        there = number < vm_number || number == CONTROL_SERVICE;
        if (there)
            *(struct control_vm *)out = number == CONTROL_SERVICE ? service_info : vms[number];
        break;
    case CONTROL_EXITS:
        return look_exits(number, out);
    case CONTROL_CPU:
        assert_true(number < 2);
        *(struct control_cpu *)out = cpus[number];
        break;
    case CONTROL_DEVICE:
        assert_true(number < devices);
        *(struct control_device *)out = device;
        break;
    case CONTROL_LOG:
        there = number != log_end_number - 2; /* it is being written */
        if (there)
            *(struct control_log *)out =
                (struct control_log){.level = number % 5, .time = 12345678901ull, .text = "a line"};
        break;
    case CONTROL_IOMMU:
        there = number < iommu_lines;
        snprintf(((struct control_iommu *)out)->text, sizeof(((struct control_iommu *)out)->text),
                 "domain %u: the service VM", (unsigned)number);
        break;
    default:
        fail_msg("kind %u", (unsigned)kind);
    }
    return there ? 0 : -ENOENT;
}

static inline int control(uint32_t action, uint32_t vm) {
    static const char *const names[CONTROL_ACTIONS] = {"start",   "stop",     "reset",   "pause",
                                                       "resume",  "shutdown", "writes",  "console",
                                                       "service", "reboot",   "poweroff"};
    assert_true(action < CONTROL_ACTIONS);
    note(names[action], vm);
    if (action == CONTROL_REBOOT || action == CONTROL_POWER_OFF)
        longjmp(left, action == CONTROL_REBOOT ? 1 : 2);
    board.control_result = action_result;
    return control_error;
}

static char typed[1000]; /* that nobody took yet */
static size_t typed_count, typed_taken;

int service_call(enum service_call number, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    (void)d;
    switch (number) {
    case SERVICE_CALL_KEY:
        return typed_taken < typed_count ? (uint8_t)typed[typed_taken++] : -EAGAIN;
    case SERVICE_CALL_SHOW:
        assert_in_range(b, 1, SERVICE_MAX_SHOW);
        console_write(pointers[a], b);
        return 0;
    case SERVICE_CALL_PROMPT:
        assert_in_range(b, 1, SERVICE_MAX_PROMPT);
        assert_true(c <= b);
        console_prompt(pointers[a], b, c);
        return 0;
    case SERVICE_CALL_PROMPT_CLOSE:
        console_prompt_close();
        return 0;
    case SERVICE_CALL_CLEAR:
        console_clear();
        return 0;
    case SERVICE_CALL_CONTROL:
        return control(a, b);
    case SERVICE_CALL_LOOK:
        return look(a, b, (void *)pointers[c]);
    default:
        fail_msg("call 0x%x", (unsigned)number);
        return 0;
    }
}

/* --- the loop --- */

static struct loop_work *queued;

void loop_queue(struct loop_work *work) {
    queued = work;
}

static inline void keys(void) {
    shell_keys();
    while (queued) {
        struct loop_work *work = queued;
        queued = NULL;
        work->run(work);
    }
    assert_int_equal(typed_taken, typed_count);
    typed_taken = typed_count = 0;
}

static inline void key(uint8_t byte) {
    typed[0] = (char)byte;
    typed_taken = 0;
    typed_count = 1;
    keys();
}

/* All at once. */
static inline void type(const char *text) {
    assert_int_equal(typed_count, typed_taken);
    assert_true(strlen(text) <= sizeof(typed));
    memcpy(typed, text, strlen(text));
    typed_taken = 0;
    typed_count = strlen(text);
    keys();
}

static inline void machine(void) {
    memset(&figures, 0, sizeof(figures));
    memset(&balloon, 0, sizeof(balloon));
    balloon_answer = NULL;
    typed_count = typed_taken = 0;
    queued = NULL;
    vm_number = 3;
    memset(vms, 0, sizeof(vms));
    vms[0] = (struct control_vm){.name = "web",
                                 .state = CONTROL_RUNNING,
                                 .vcpus = 2,
                                 .memory = 256u << 20,
                                 .overhead = 70000,
                                 .cpu_time = 12345678901ull};
    vms[1] = (struct control_vm){.name = "database",
                                 .state = CONTROL_OFF,
                                 .vcpus = 16,
                                 .memory = 64ull << 30,
                                 .overhead = 5u << 20,
                                 .cpu_time = 7384500000000ull,
                                 .restarts = 3};
    vms[1].end = CONTROL_END_EXIT;
    vms[1].end_code = 3;
    vms[2] = (struct control_vm){.name = "data-2", .state = CONTROL_PAUSED, .vcpus = 1, .memory = 512u << 10};
    action_result = control_error = 0;
    log_end_number = 1000;
    actions[0] = '\0';
}

/* Types a line; what comes back between it and the next prompt. */
static inline const char *command(const char *line) {
    static char out[16384];
    type("\x15\x0b"); /* an empty line to start with */
    capture_clear();
    type(line);
    type("\r");
    const char *screen = capture_screen(NULL);
    const char *text = strchr(screen, '\n');
    size_t length = strlen(text + 1);
    assert_true(length >= 9 && strcmp(text + 1 + length - 9, "saguaro> ") == 0);
    snprintf(out, sizeof(out), "%.*s", (int)(length - 9), text + 1);
    return out;
}

/* An empty line, and what is captured starts with its prompt. */
static inline void fresh_line(void) {
    static const char clear[] = "\x1b[2J";
    type("\x03");
    capture_clear();
    type("\x0c");
    const char *cleared = strstr(captured, clear);
    assert_non_null(cleared);
    captured_length -= (size_t)(cleared + sizeof(clear) - 1 - captured);
    memmove(captured, cleared + sizeof(clear) - 1, captured_length + 1);
    assert_string_equal(captured, "saguaro> ");
}

static inline void expect_line(const char *line, unsigned cursor) {
    char expected[400];
    unsigned column;
    snprintf(expected, sizeof(expected), "saguaro> %s", line);
    const char *screen = capture_screen(&column);
    const char *last = strrchr(screen, '\n');
    assert_string_equal(last != NULL ? last + 1 : screen, expected);
    assert_int_equal(column, 9 + cursor);
}

#endif
