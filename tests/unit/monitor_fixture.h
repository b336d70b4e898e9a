// SPDX-License-Identifier: Apache-2.0
// For unit tests of the monitor: the machine as the control calls show it, keys, and what a command says.
// Included by one file of a test program.
#ifndef SAGUARO_TESTS_UNIT_MONITOR_FIXTURE_H
#define SAGUARO_TESTS_UNIT_MONITOR_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "core/control.h"
#include "core/monitor.h"
#include "core/monitor_edit.h"
#include "core/monitor_internal.h"
#include "tests/unit/host/capture.h"

struct cpu *test_cpu;
uint64_t test_time;

/* --- the machine --- */

static struct control_vm vms[3];
static unsigned vm_number;
static int action_result;
static char actions[100];
static struct control_cpu cpus[2];

static inline void note(const char *what, unsigned number) {
    snprintf(actions + strlen(actions), sizeof(actions) - strlen(actions), "%s %u;", what, number);
}

unsigned control_vm_count(void) {
    return vm_number;
}
int control_vm_find(const char *name) {
    for (unsigned i = 0; i < vm_number; i++) {
        if (strcmp(vms[i].name, name) == 0)
            return (int)i;
    }
    return -ENOENT;
}
int control_vm_info(unsigned number, struct control_vm *info) {
    if (number >= vm_number)
        return -ENOENT;
    *info = vms[number];
    return 0;
}
int control_vm_exits(unsigned number, void (*print)(const char *line)) {
    if (number == 0) {
        print("port               123");
        print("interrupt window   4");
        print("a cause with a long name that is 1234567890");
        print("HLT                99");
    }
    return 0;
}
static int service_result;
static struct control_vm service_info;
int control_service_info(struct control_vm *info, unsigned *starts) {
    *info = service_info;
    *starts = 3;
    return service_result;
}
void control_service_exits(void (*print)(const char *line)) {
    print("hypercall          77");
    print("nested fault       5");
}
int control_service_restart(void) {
    note("service", 0);
    return action_result;
}
int control_vm_action(unsigned number, enum control_action action) {
    static const char *const names[] = {"start", "stop", "reset", "pause", "resume"};
    note(names[action], number);
    return action_result;
}
int control_vm_writes(unsigned number) {
    note("writes", number);
    return action_result;
}
int control_vm_console(unsigned number) {
    note("console", number);
    return action_result;
}
unsigned control_cpu_count(void) {
    return 2;
}
int control_cpu_info(unsigned number, struct control_cpu *info) {
    *info = cpus[number];
    return 0;
}
/* The service VM's figures: NULL in `asked` when nobody waits for them. */
static int figures_result = -ENODEV;
static void (*asked)(const struct service_figures *figures);
int control_figures(void (*done)(const struct service_figures *figures)) {
    if (figures_result == 0)
        asked = done;
    return figures_result;
}
uint64_t control_time(void) {
    return test_time;
}
static bool held;
void console_hold_input(bool hold) {
    assert_true(held != hold);
    held = hold;
}
static unsigned devices;
void control_devices(void (*print)(const char *line)) {
    for (unsigned i = 0; i < devices; i++)
        print("0000:00:02.0 1af4:1041 Ethernet card   service VM  MSI-X 3");
}
void control_memory(struct memory_statistics *out) {
    *out = (struct memory_statistics){.total = 1ull << 30,
                                      .free = 600ull << 20,
                                      .heap = 2u << 20,
                                      .heap_used = 300000,
                                      .largest = 512ull << 20};
}
void control_log(unsigned count, void (*print)(const char *line)) {
    note("log", count);
    for (unsigned i = 0; i < (count == 500 ? count : 1); i++)
        print("[    0.000000] a line");
}
static jmp_buf left;
void control_reboot(void) {
    longjmp(left, 1);
}
void control_power_off(void) {
    longjmp(left, 2);
}

/* The monitor's end of the console's input. */
static void (*keys)(uint8_t byte);

void console_set_monitor(void (*input)(uint8_t byte)) {
    keys = input;
}

static inline void type(const char *text) {
    for (; *text != '\0'; text++)
        keys((uint8_t)*text);
}

static inline void machine(void) {
    vm_number = 3;
    memset(vms, 0, sizeof(vms));
    vms[0] = (struct control_vm){.name = "web",
                                 .state = "running",
                                 .vcpus = 2,
                                 .memory = 256u << 20,
                                 .overhead = 70000,
                                 .cpu_time = 12345678901ull};
    vms[1] = (struct control_vm){.name = "database",
                                 .state = "off",
                                 .vcpus = 16,
                                 .memory = 64ull << 30,
                                 .overhead = 5u << 20,
                                 .cpu_time = 7384500000000ull,
                                 .restarts = 3};
    snprintf(vms[1].ended, sizeof(vms[1].ended), "exit code 3");
    vms[2] = (struct control_vm){.name = "data-2", .state = "paused", .vcpus = 1, .memory = 512u << 10};
    action_result = 0;
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
