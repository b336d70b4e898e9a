// SPDX-License-Identifier: Apache-2.0
// The shell's calls in the hypervisor with right and wrong arguments; actions, which the boot CPU does; and
// what a key does while the service VM is not there, or is not running.
// unit-sources: core/service_shell.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/console.h"
#include "core/control.h"
#include "core/log.h"
#include "core/sched.h"
#include "core/service_internal.h"

struct cpu *test_cpu;
uint64_t test_time;

/* ---- surroundings: 64 KiB of the service VM's memory at 0x10000 */

#define MEMORY 0x10000u
#define SIZE   0x10000u

struct service service;
static struct service_board board;
static struct vm machine;
static struct vcpu vcpu;
static uint8_t memory[SIZE];
static char line[512];
static uint32_t events;
static unsigned woken;
static struct work *queued;

int guest_read(struct vm *vm, uint64_t gpa, void *buffer, size_t size) {
    assert_ptr_equal(vm, &machine);
    if (gpa < MEMORY || gpa - MEMORY > SIZE || size > SIZE - (gpa - MEMORY))
        return -EFAULT;
    memcpy(buffer, memory + (gpa - MEMORY), size);
    return 0;
}
int guest_write(struct vm *vm, uint64_t gpa, const void *buffer, size_t size) {
    assert_ptr_equal(vm, &machine);
    if (gpa < MEMORY || gpa - MEMORY > SIZE || size > SIZE - (gpa - MEMORY))
        return -EFAULT;
    memcpy(memory + (gpa - MEMORY), buffer, size);
    return 0;
}
void log_line(enum log_level level, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t used = strlen(line);
    used += (size_t)snprintf(line + used, sizeof(line) - used, "%d ", (int)level);
    vsnprintf(line + used, sizeof(line) - used, format, arguments);
    va_end(arguments);
}
const char *vm_state_name(const struct vm *vm) {
    assert_ptr_equal(vm, &machine);
    return "crashed";
}
void service_event(uint32_t bits) {
    events |= bits;
}
struct cpu *cpu_get(unsigned number) {
    static struct cpu boot;
    assert_int_equal(number, 0);
    return &boot;
}
void work_queue(struct cpu *cpu, struct work *work) {
    assert_ptr_equal(cpu, cpu_get(0));
    assert_null(queued);
    queued = work;
}
void sched_wake(struct vcpu *which) {
    assert_ptr_equal(which, &vcpu);
    assert_false(service_shell_busy());
    woken++;
}

static const char *keys = "";

int console_key(void) {
    return *keys ? (uint8_t)*keys++ : -EAGAIN;
}

static char written[SERVICE_MAX_SHOW + 1];
static unsigned writes;

void console_write(const char *text, size_t length) {
    memcpy(written, text, length);
    written[length] = 0;
    writes++;
}

static size_t prompt_cursor;

void console_prompt(const char *text, size_t length, size_t cursor) {
    console_write(text, length);
    prompt_cursor = cursor;
}

static uint32_t asked[2];

int control_look(uint32_t kind, uint32_t number, union control_answer *answer, size_t *size) {
    asked[0] = kind;
    asked[1] = number;
    answer->cpu = (struct control_cpu){.id = 77};
    *size = sizeof(answer->cpu);
    return number == 3 ? -ENOENT : kind >= CONTROL_KINDS ? -EINVAL : 0;
}

static unsigned acts;

int control_act(uint32_t action, uint32_t vm) {
    assert_true(service_shell_busy());
    asked[0] = action;
    asked[1] = vm;
    acts++;
    return -EALREADY;
}

static int setup(void **state) {
    (void)state;
    memset(&service, 0, sizeof(service));
    memset(&board, 0, sizeof(board));
    memset(&machine, 0, sizeof(machine));
    memset(&vcpu, 0, sizeof(vcpu));
    service.vm = &machine;
    service.board = &board;
    service.starts = 1;
    machine.state = VM_RUNNING;
    machine.vcpu[0] = &vcpu;
    vcpu.vm = &machine;
    memset(memory, 'm', sizeof(memory));
    line[0] = written[0] = 0;
    writes = woken = acts = 0;
    events = 0;
    queued = NULL;
    keys = "";
    return 0;
}

/* ---- the screen */

static void test_show(void **state) {
    (void)state;
    static const char text[] = "one\ntwo\x1b[2J\r\x7f\xff\n";
    memcpy(memory, text, sizeof(text) - 1);
    assert_int_equal(service_shell_show(MEMORY, sizeof(text) - 1), 0);
    assert_string_equal(written, "one\ntwo?[2J???\n");
    assert_int_equal(service_shell_show(MEMORY + SIZE - SERVICE_MAX_SHOW, SERVICE_MAX_SHOW), 0);
    assert_int_equal(strlen(written), SERVICE_MAX_SHOW);
    writes = 0;
    assert_int_equal(service_shell_show(MEMORY, 0), -EINVAL);
    assert_int_equal(service_shell_show(MEMORY, SERVICE_MAX_SHOW + 1), -EINVAL);
    assert_int_equal(service_shell_show(MEMORY, UINT32_MAX), -EINVAL);
    assert_int_equal(service_shell_show(MEMORY - 1, 2), -EFAULT);
    assert_int_equal(service_shell_show(MEMORY + SIZE - 1, 2), -EFAULT);
    assert_int_equal(writes, 0);
}

static void test_prompt(void **state) {
    (void)state;
    memcpy(memory, "> a\nb", 5);
    assert_int_equal(service_shell_prompt(MEMORY, 5, 5), 0);
    assert_string_equal(written, "> a?b"); /* it is one line */
    assert_int_equal(prompt_cursor, 5);
    assert_int_equal(service_shell_prompt(MEMORY + 8, SERVICE_MAX_PROMPT, 0), 0);
    assert_int_equal(strlen(written), SERVICE_MAX_PROMPT);
    writes = 0;
    assert_int_equal(service_shell_prompt(MEMORY, 0, 0), -EINVAL);
    assert_int_equal(service_shell_prompt(MEMORY, 5, 6), -EINVAL);
    assert_int_equal(service_shell_prompt(MEMORY, SERVICE_MAX_PROMPT + 1, 0), -EINVAL);
    assert_int_equal(service_shell_prompt(0, 5, 0), -EFAULT);
    assert_int_equal(writes, 0);
}

/* ---- figures and actions */

static void test_look(void **state) {
    struct control_cpu cpu;
    (void)state;
    assert_int_equal(service_shell_look(CONTROL_CPU, 2, MEMORY + 16), 0);
    memcpy(&cpu, memory + 16, sizeof(cpu));
    assert_int_equal(cpu.id, 77);
    assert_true(asked[0] == CONTROL_CPU && asked[1] == 2);
    assert_int_equal(memory[15], 'm');
    assert_int_equal(memory[16 + sizeof(cpu)], 'm');
    assert_int_equal(service_shell_look(CONTROL_CPU, 2, MEMORY + SIZE - 8), -EFAULT);
    memset(memory, 'm', sizeof(memory));
    assert_int_equal(service_shell_look(CONTROL_CPU, 3, MEMORY), -ENOENT);
    assert_int_equal(service_shell_look(CONTROL_KINDS, 0, MEMORY), -EINVAL);
    assert_int_equal(memory[0], 'm');
}

static void test_control(void **state) {
    (void)state;
    assert_false(service_shell_busy());
    assert_int_equal(service_shell_control(&vcpu, CONTROL_STOP, 5), 0);
    assert_int_equal(vcpu.hold, VCPU_HOLD_CONTROL);
    assert_true(service_shell_busy());
    assert_int_equal(acts, 0); /* that is the boot CPU's to do */
    /* A run that began meanwhile. */
    vcpu.hold = VCPU_HOLD_NONE;
    assert_int_equal(service_shell_control(&vcpu, CONTROL_START, 6), -EBUSY);
    assert_int_equal(vcpu.hold, VCPU_HOLD_NONE);
    queued->function(queued);
    queued = NULL;
    assert_true(acts == 1 && asked[0] == CONTROL_STOP && asked[1] == 5);
    assert_int_equal(board.control_result, -EALREADY);
    assert_int_equal(woken, 1);
    assert_false(service_shell_busy());
    assert_int_equal(service_shell_control(&vcpu, UINT32_MAX, UINT32_MAX), 0);
    queued->function(queued);
    assert_true(acts == 2 && asked[0] == UINT32_MAX && asked[1] == UINT32_MAX);
}

/* ---- keys */

static void test_typed(void **state) {
    (void)state;
    keys = "ab\r";
    service_shell_typed();
    assert_int_equal(events, SERVICE_EVENT_KEY);
    assert_string_equal(keys, "ab\r"); /* they wait until they are taken */
    /* It starts again, at once. */
    machine.state = VM_OFF;
    machine.restarting = true;
    machine.restarts = 1;
    service_shell_typed();
    assert_string_equal(keys, "ab\r");
    assert_string_equal(line, "");
    /* It dies again and again: that is said once for each of its ends. */
    machine.restarts = 2;
    service_shell_typed();
    service_shell_typed();
    assert_string_equal(line, "1 the prompt comes back when the service VM starts again");
    line[0] = 0;
    service.starts = 2;
    service_shell_typed();
    assert_string_not_equal(line, "");
    assert_string_equal(keys, "ab\r");
}

static void test_gone(void **state) {
    (void)state;
    machine.state = VM_OFF;
    keys = "ab";
    service_shell_typed();
    assert_string_equal(keys, "");
    assert_string_equal(line, "");
    keys = "ab\rc";
    service_shell_typed();
    assert_string_equal(keys, "");
    assert_string_equal(line, "0 there is no prompt: the service VM is crashed");
    line[0] = 0;
    service.vm = NULL;
    keys = "\n\n";
    service_shell_typed();
    assert_string_equal(line, "0 there is no prompt: the service VM is not there");
    assert_int_equal(events, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_show),    TEST(test_prompt), TEST(test_look),
        TEST(test_control), TEST(test_typed),  TEST(test_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
