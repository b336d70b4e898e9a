// SPDX-License-Identifier: Apache-2.0
// What the machine says of itself and does for who manages it: figures of each kind, numbers and kinds that
// there are not, states and ends of VMs, actions and how the machine is left.
// unit-sources: core/control.c core/log.c
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
#include "core/memory.h"
#include "core/sched.h"
#include "core/service.h"

struct cpu *test_cpu;
uint64_t test_time;

/* ---- surroundings: two guests, the second with two vCPUs; two CPUs */

static struct vm vms[2], service_machine;
static struct vcpu vcpus[3], service_vcpu;
static struct cpu cpus[2];
static bool with_service;
static char did[200];

unsigned vm_count(void) {
    return 2;
}
struct vm *vm_get(unsigned index) {
    assert_true(index < 2);
    return &vms[index];
}
struct vm *service_vm(void) {
    return with_service ? &service_machine : NULL;
}
unsigned service_starts(void) {
    return 4;
}
unsigned cpu_count(void) {
    return 2;
}
struct cpu *cpu_get(unsigned number) {
    assert_true(number < 2);
    return &cpus[number];
}
unsigned control_device_count(void) {
    return 3;
}
void control_device(unsigned number, struct control_device *out) {
    assert_true(number < 3);
    out->vendor = (uint16_t)(0x100 + number);
}
bool control_iommu(unsigned number, char *line, size_t size) {
    snprintf(line, size, "line %u", number);
    return number < 2;
}
void memory_statistics(struct memory_statistics *out) {
    *out = (struct memory_statistics){.total = 1, .free = 2, .largest = 3, .heap = 4, .heap_used = 5};
}
uint64_t sched_run_time(struct vcpu *vcpu) {
    return vcpu->run_time;
}
void arch_vm_exits(const struct vm *vm, struct control_exits *out) {
    out->count = vm->vcpu_count;
}

static void note(const char *what, const struct vm *vm) {
    snprintf(did + strlen(did), sizeof(did) - strlen(did), "%s%s;", what, vm ? vm->name : "");
}

int vm_start(struct vm *vm) {
    note("start ", vm);
    return 0;
}
int vm_stop(struct vm *vm) {
    note("stop ", vm);
    return -EALREADY;
}
int vm_reset(struct vm *vm) {
    note("reset ", vm);
    return -EBUSY;
}
int vm_pause(struct vm *vm) {
    note("pause ", vm);
    return -EINVAL;
}
int vm_resume(struct vm *vm) {
    note("resume ", vm);
    return 0;
}
int vm_shut_down(struct vm *vm) {
    note("shutdown ", vm);
    return -ENOTSUP;
}
int control_writes(struct vm *vm) {
    note("writes ", vm);
    return 0;
}
int console_attach(struct vm *vm) {
    note("console ", vm);
    return -ENODEV;
}
int service_restart(void) {
    note("restart", NULL);
    return -EBUSY;
}

static jmp_buf left;

void vm_print_summary(void) {
    note("summary", NULL);
}
void service_leave(void) {
    note("leave", NULL);
}
void console_flush(void) {
    note("flush", NULL);
}
void arch_reboot(void) {
    longjmp(left, 1);
}
void arch_power_off(void) {
    longjmp(left, 2);
}
bool console_in_panic(void) {
    return false;
}
bool console_begin(bool wait) {
    return wait;
}
void console_put_line(const char *text, size_t length) {
    (void)text;
    (void)length;
}
void console_end(void) {}

static union control_answer answer;

static int look(uint32_t kind, uint32_t number, size_t expected_size) {
    size_t size = 0;

    memset(&answer, 0xff, sizeof(answer));
    int error = control_look(kind, number, &answer, &size);
    if (!error)
        assert_int_equal(size, expected_size);
    return error;
}

static int setup(void **state) {
    (void)state;
    memset(vms, 0, sizeof(vms));
    memset(vcpus, 0, sizeof(vcpus));
    memset(cpus, 0, sizeof(cpus));
    memset(&service_machine, 0, sizeof(service_machine));
    snprintf(vms[0].name, sizeof(vms[0].name), "web");
    snprintf(vms[1].name, sizeof(vms[1].name), "db");
    snprintf(service_machine.name, sizeof(service_machine.name), "(service)");
    vms[1].id = 1;
    vms[0].vcpu_count = 1;
    vms[0].vcpu[0] = &vcpus[0];
    vms[1].vcpu_count = 2;
    vms[1].vcpu[0] = &vcpus[1];
    vms[1].vcpu[1] = &vcpus[2];
    vcpus[0].vm = &vms[0];
    vcpus[1].vm = vcpus[2].vm = &vms[1];
    vcpus[2].index = 1;
    service_machine.service = true;
    service_vcpu.vm = &service_machine;
    with_service = true;
    did[0] = 0;
    test_time = 1000;
    return 0;
}

/* ---- figures */

static void test_numbers(void **state) {
    (void)state;
    static const struct {
        uint32_t kind, count;
        size_t size;
    } rows[] = {
        {CONTROL_MACHINE, 1, sizeof(answer.machine)}, {CONTROL_VM, 2, sizeof(answer.vm)},
        {CONTROL_EXITS, 2, sizeof(answer.exits)},     {CONTROL_CPU, 2, sizeof(answer.cpu)},
        {CONTROL_DEVICE, 3, sizeof(answer.device)},   {CONTROL_IOMMU, 2, sizeof(answer.iommu)},
    };
    for (unsigned i = 0; i < array_count(rows); i++) {
        for (uint32_t number = 0; number < rows[i].count; number++)
            assert_int_equal(look(rows[i].kind, number, rows[i].size), 0);
        assert_int_equal(look(rows[i].kind, rows[i].count, 0), -ENOENT);
        assert_int_equal(look(rows[i].kind, CONTROL_NO_VM, 0), -ENOENT);
    }
    assert_int_equal(look(CONTROL_VM, CONTROL_SERVICE, sizeof(answer.vm)), 0);
    assert_string_equal(answer.vm.name, "(service)");
    assert_int_equal(look(CONTROL_EXITS, CONTROL_SERVICE, sizeof(answer.exits)), 0);
    with_service = false;
    assert_int_equal(look(CONTROL_VM, CONTROL_SERVICE, 0), -ENOENT);
    assert_int_equal(look(CONTROL_CPU, CONTROL_SERVICE, 0), -ENOENT);
    assert_int_equal(look(CONTROL_KINDS, 0, 0), -EINVAL);
    assert_int_equal(look(UINT32_MAX, 0, 0), -EINVAL);
}

static void test_machine(void **state) {
    (void)state;
    assert_int_equal(look(CONTROL_MACHINE, 0, sizeof(answer.machine)), 0);
    const struct control_machine *machine = &answer.machine;
    assert_true(machine->vm_count == 2 && machine->cpu_count == 2 && machine->device_count == 3);
    assert_true(machine->memory == 1 && machine->free == 2 && machine->largest == 3);
    assert_true(machine->heap == 4 && machine->heap_used == 5 && machine->starts == 4);
    assert_int_equal(machine->log_lines, 512);
    assert_int_equal(look(CONTROL_DEVICE, 2, sizeof(answer.device)), 0);
    assert_int_equal(answer.device.vendor, 0x102);
    assert_int_equal(look(CONTROL_IOMMU, 1, sizeof(answer.iommu)), 0);
    assert_string_equal(answer.iommu.text, "line 1");
}

static void test_vm(void **state) {
    (void)state;
    static const struct {
        enum vm_state state;
        enum vm_end end;
        bool restarting;
        uint32_t shown, ended;
    } rows[] = {
        {VM_OFF, VM_END_NONE, false, CONTROL_OFF, CONTROL_END_NONE},
        {VM_OFF, VM_END_POWER_OFF, false, CONTROL_OFF, CONTROL_END_POWER_OFF},
        {VM_OFF, VM_END_CRASH, false, CONTROL_CRASHED, CONTROL_END_CRASH},
        {VM_OFF, VM_END_CRASH, true, CONTROL_RESTARTING, CONTROL_END_CRASH},
        {VM_OFF, VM_END_EXIT, false, CONTROL_OFF, CONTROL_END_EXIT},
        {VM_OFF, VM_END_RESET, true, CONTROL_RESTARTING, CONTROL_END_RESET},
        {VM_OFF, VM_END_REFUSED, false, CONTROL_OFF, CONTROL_END_OTHER},
        {VM_STOPPING, VM_END_STOPPED, false, CONTROL_STOPPING, CONTROL_END_OTHER},
        {VM_RUNNING, VM_END_NONE, false, CONTROL_RUNNING, CONTROL_END_NONE},
        {VM_PAUSED, VM_END_NONE, false, CONTROL_PAUSED, CONTROL_END_NONE},
    };
    struct vm *vm = &vms[1];
    vm->memory.size = 1 << 20;
    vm->memory.account.overhead = 4096;
    vm->restarts = 3;
    vm->end_code = 7;
    memset(vm->end_text, 'x', sizeof(vm->end_text) - 1);
    vcpus[1].run_time = 100;
    vcpus[2].run_time = 23;
    for (unsigned i = 0; i < array_count(rows); i++) {
        vm->state = rows[i].state;
        vm->end = rows[i].end;
        vm->restarting = rows[i].restarting;
        assert_int_equal(look(CONTROL_VM, 1, sizeof(answer.vm)), 0);
        assert_int_equal(answer.vm.state, rows[i].shown);
        assert_int_equal(answer.vm.end, rows[i].ended);
    }
    assert_string_equal(answer.vm.name, "db");
    assert_int_equal(strlen(answer.vm.end_text), sizeof(vm->end_text) - 1);
    assert_true(answer.vm.vcpus == 2 && answer.vm.restarts == 3 && answer.vm.end_code == 7);
    assert_true(answer.vm.memory == 1 << 20 && answer.vm.overhead == 4096 && answer.vm.cpu_time == 123);
    assert_int_equal(look(CONTROL_EXITS, 1, sizeof(answer.exits)), 0);
    assert_int_equal(answer.exits.count, 2);
}

static void test_host_cpu(void **state) {
    (void)state;
    cpus[0] = (struct cpu){.id = 6, .online = true, .idle_time = 50, .idle_since = 900};
    cpus[1] = (struct cpu){.id = 9, .idle_time = 50, .current = &vcpus[2]};
    assert_int_equal(look(CONTROL_CPU, 0, sizeof(answer.cpu)), 0);
    assert_true(answer.cpu.id == 6 && answer.cpu.online && answer.cpu.vm == CONTROL_NO_VM);
    assert_true(answer.cpu.idle == 150 && answer.cpu.time == 1000);
    assert_int_equal(look(CONTROL_CPU, 1, sizeof(answer.cpu)), 0);
    assert_true(answer.cpu.id == 9 && !answer.cpu.online && answer.cpu.vm == 1 && answer.cpu.vcpu == 1);
    assert_int_equal(answer.cpu.idle, 50);
    cpus[1].current = &service_vcpu;
    cpus[1].idle_since = 2000; /* it went to sleep after the time was taken */
    assert_int_equal(look(CONTROL_CPU, 1, sizeof(answer.cpu)), 0);
    assert_true(answer.cpu.vm == CONTROL_SERVICE && answer.cpu.idle == 50);
}

static void test_log(void **state) {
    (void)state;
    uint32_t kept, first = log_end(&kept);
    assert_int_equal(look(CONTROL_LOG, first, 0), -ENOENT);
    assert_int_equal(look(CONTROL_LOG, UINT32_MAX, 0), -ENOENT);
    log_warning("a line");
    assert_int_equal(look(CONTROL_LOG, first, sizeof(answer.log)), 0);
    assert_string_equal(answer.log.text, "a line");
    assert_true(answer.log.level == LOG_WARNING && answer.log.time == 1000);
    for (unsigned i = 0; i < kept; i++)
        log_debug("%300s", "x");
    assert_int_equal(look(CONTROL_LOG, first, 0), -ENOENT); /* not any more */
    assert_int_equal(look(CONTROL_LOG, first + 1, sizeof(answer.log)), 0);
    assert_int_equal(strlen(answer.log.text), 240);
}

/* ---- actions */

static void test_actions(void **state) {
    (void)state;
    assert_int_equal(control_act(CONTROL_START, 0), 0);
    assert_int_equal(control_act(CONTROL_STOP, 1), -EALREADY);
    assert_int_equal(control_act(CONTROL_RESET, 1), -EBUSY);
    assert_int_equal(control_act(CONTROL_PAUSE, 0), -EINVAL);
    assert_int_equal(control_act(CONTROL_RESUME, 0), 0);
    assert_int_equal(control_act(CONTROL_SHUT_DOWN, 0), -ENOTSUP);
    assert_int_equal(control_act(CONTROL_WRITES, 0), 0);
    assert_int_equal(control_act(CONTROL_CONSOLE, 1), -ENODEV);
    assert_int_equal(control_act(CONTROL_RESTART, 99), -EBUSY);
    assert_string_equal(
        did, "start web;stop db;reset db;pause web;resume web;shutdown web;writes web;console db;restart;");
    did[0] = 0;
    for (uint32_t action = CONTROL_START; action <= CONTROL_CONSOLE; action++) {
        assert_int_equal(control_act(action, 2), -ENOENT);
        assert_int_equal(control_act(action, CONTROL_SERVICE), -ENOENT);
    }
    assert_int_equal(control_act(CONTROL_ACTIONS, 0), -EINVAL);
    assert_int_equal(control_act(UINT32_MAX, 0), -EINVAL);
    assert_string_equal(did, "");
}

static void test_leave(void **state) {
    (void)state;
    int how = setjmp(left);
    if (how == 0)
        control_act(CONTROL_REBOOT, 0);
    assert_int_equal(how, 1);
    assert_string_equal(did, "summary;leave;flush;");
    how = setjmp(left);
    if (how == 0)
        control_act(CONTROL_POWER_OFF, 0);
    assert_int_equal(how, 2);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_numbers), TEST(test_machine), TEST(test_vm),    TEST(test_host_cpu),
        TEST(test_log),     TEST(test_actions), TEST(test_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
