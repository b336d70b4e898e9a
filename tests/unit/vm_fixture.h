// SPDX-License-Identifier: Apache-2.0
// Two VMs over the real scheduler and timers, with an architecture and a service VM of the test's own.
// Included by one file of a test program.
#ifndef SAGUARO_TESTS_VM_FIXTURE_H
#define SAGUARO_TESTS_VM_FIXTURE_H

#include "sched_fixture.h"
#include "core/console.h"
#include "core/main.h"
#include "core/service.h"
#include "lib/config.h"

#define SECOND 1000000000ull
#define BLOCKS 3u

/* ---- the VM's architecture and surroundings */

static struct guest {
    struct vm vm;
    struct vcpu vcpu[VM_MAX_VCPUS];
    uint64_t block[BLOCKS];
    unsigned resets;
    unsigned reports;
    int reset_result;
    const char *reset_text; /* what arch_vm_reset() says is wrong */
    unsigned flushes;
    unsigned told;      /* that it is reset */
    unsigned waits;     /* for the service VM to let go of its memory */
    unsigned changes;   /* of its state, as the service VM is told */
    enum vm_state seen; /* the last one */
} guests[VM_MAX + 1];
static unsigned allocated;
static unsigned freed, destroyed, vcpus_destroyed, consoles;
static int fail_console, fail_create, fail_platform;
static unsigned fail_vcpu; /* number from 1 */
static char text[8192];    /* the log */
static jmp_buf powered;
static bool expect_power;

static struct guest *guest_of(struct vm *vm) {
    return container_of(vm, struct guest, vm);
}

struct vm *arch_vm_allocate(void) {
    if (allocated == array_count(guests))
        return NULL;
    struct guest *guest = &guests[allocated++];
    memset(guest, 0, sizeof(*guest));
    return &guest->vm;
}

void arch_vm_free(struct vm *vm) {
    (void)vm;
    freed++;
    allocated--;
}

int arch_vm_create(struct vm *vm) {
    assert_non_null(vm->config);
    if (fail_create)
        return fail_create;
    vm->memory.size = BLOCKS * LARGE_PAGE_SIZE;
    vm->memory.block = guest_of(vm)->block;
    for (unsigned i = 0; i < BLOCKS; i++)
        vm->memory.block[i] = i * LARGE_PAGE_SIZE;
    return 0;
}

static int button_result;
static unsigned buttons;
int arch_vm_power_button(struct vm *vm) {
    (void)vm;
    buttons++;
    return button_result;
}

void arch_vm_destroy(struct vm *vm) {
    (void)vm;
    destroyed++;
}

struct vcpu *arch_vcpu_create(struct vm *vm, unsigned index) {
    if (index + 1 == fail_vcpu)
        return NULL;
    return &guest_of(vm)->vcpu[index];
}

void arch_vcpu_destroy(struct vcpu *vcpu) {
    (void)vcpu;
    vcpus_destroyed++;
}

static uint8_t window[LARGE_PAGE_SIZE];
static unsigned scrubs;

void *arch_window_map_large(uint64_t physical) {
    assert_true(physical < BLOCKS * LARGE_PAGE_SIZE);
    window[0] = window[LARGE_PAGE_SIZE - 1] = 0xaa;
    scrubs++;
    return window;
}

static unsigned marked; /* blocks */

/* What is cleared is in the log of written pages, behind the write. */
int guest_mark_backing(struct vm *vm, uint64_t offset, uint64_t size) {
    assert_int_equal(window[0] | window[LARGE_PAGE_SIZE - 1], 0);
    assert_int_equal(offset, vm->scrubbed * LARGE_PAGE_SIZE);
    assert_int_equal(size, LARGE_PAGE_SIZE);
    marked++;
    return 0;
}

static unsigned pieces; /* steps that loading takes beyond the first */
static unsigned loads;  /* that were made since the last reset */
static int load_result; /* of the last one */

int vm_load_step(struct vm *vm) {
    assert_true(guest_of(vm)->resets > 0);
    return loads++ < pieces ? 1 : load_result;
}

static void (*in_reset)(struct vm *vm); /* what happens elsewhere meanwhile */

int arch_vm_reset(struct vm *vm) {
    struct guest *guest = guest_of(vm);
    /* Nothing of the run before is left, and nobody else runs. */
    assert_int_equal(window[0] | window[LARGE_PAGE_SIZE - 1], 0);
    for (unsigned i = 1; i < vm->vcpu_count; i++)
        assert_int_equal(vm->vcpu[i]->state, VCPU_PARKED);
    guest->resets++;
    loads = 0;
    if (guest->reset_text)
        snprintf(vm->end_text, sizeof(vm->end_text), "%s", guest->reset_text);
    if (in_reset)
        in_reset(vm);
    return guest->reset_result;
}

void arch_vcpu_report(struct vcpu *vcpu) {
    assert_int_equal(vcpu->state, VCPU_PARKED);
    guest_of(vcpu->vm)->reports |= 1u << vcpu->index;
}

enum vcpu_run_result arch_vcpu_run(struct vcpu *vcpu) {
    (void)vcpu;
    fail();
    return VCPU_RUN_PARK;
}

static bool guest_pending(struct vcpu *vcpu) {
    (void)vcpu;
    return false;
}

/* ---- the service VM, as far as guests have to do with it */

static bool unsettled, event;
static uint64_t service_wait; /* until it may start again */
static unsigned leaves;       /* the machine is about to end */

uint64_t service_rest(void) {
    return service_wait;
}

void service_leave(void) {
    leaves++;
}

void service_guest_reset(struct vm *vm) {
    assert_int_equal(vm->scrubbed, 0); /* it is told before its memory goes */
    guest_of(vm)->told++;
}

void service_guest_waits(struct vm *vm) {
    guest_of(vm)->waits++;
}
bool service_guest_settled(struct vm *vm) {
    assert_true(guest_of(vm)->told);
    return !unsettled;
}

void service_guest_changed(struct vm *vm) {
    assert_int_equal(vm->lock.next, vm->lock.owner);
    guest_of(vm)->changes++;
    guest_of(vm)->seen = vm->state;
}

bool service_has_event(void) {
    return event;
}

static bool controlling; /* the boot CPU has something to do for the service VM */

bool service_shell_busy(void) {
    return controlling;
}

int console_guest_create(struct vm *vm) {
    (void)vm;
    if (fail_console)
        return fail_console;
    consoles++;
    return 0;
}

void console_guest_destroy(struct vm *vm) {
    (void)vm;
    consoles--;
}

void console_guest_flush(struct vm *vm) {
    guest_of(vm)->flushes++;
}

int platform_create(struct vm *vm) {
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        assert_ptr_equal(vm->vcpu[i]->vm, vm);
    return fail_platform;
}

void log_line(enum log_level level, const char *format, ...) {
    size_t used = strlen(text);
    va_list arguments;
    used += (size_t)snprintf(text + used, sizeof(text) - used, "%u ", level);
    va_start(arguments, format);
    used += (size_t)vsnprintf(text + used, sizeof(text) - used, format, arguments);
    va_end(arguments);
    snprintf(text + used, sizeof(text) - used, "\n");
}

void arch_power_off(void) {
    assert_true(expect_power);
    assert_int_equal(leaves, 1);
    longjmp(powered, 1);
}

void arch_reboot(void) {
    assert_true(expect_power);
    assert_int_equal(leaves, 1);
    longjmp(powered, 2);
}

/* ---- guests */

static struct config_guest config_a = {
    .name = "a", .vcpus = 3, .cpus = UINT64_MAX, .priority = 10, .restart = CONFIG_RESTART_ON_CRASH};
static struct config_guest config_b = {.name = "b", .vcpus = 1, .cpus = UINT64_MAX, .priority = 10};
static struct vm *a, *b;

static inline bool logged(const char *what) {
    bool found = strstr(text, what) != NULL;
    text[0] = 0;
    return found;
}

static inline unsigned running(const struct vm *vm) {
    unsigned count = 0;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        count += vm->vcpu[i]->state != VCPU_PARKED;
    return count;
}

/* Everybody of `vm` runs, waits or sleeps; nobody has lost its way. */
static inline void is_up(struct vm *vm) {
    assert_int_equal(vm->state, VM_RUNNING);
    assert_string_equal(vm_state_name(vm), "running");
    assert_int_equal(vm->unparked, vm->vcpu_count);
    assert_int_equal(running(vm), vm->vcpu_count);
    assert_int_equal(vm->lock.next, vm->lock.owner);
}

static inline void is_off(struct vm *vm, const char *name) {
    assert_int_equal(vm->state, VM_OFF);
    assert_string_equal(vm_state_name(vm), name);
    assert_int_equal(vm->unparked, 0);
    assert_int_equal(running(vm), 0);
    assert_int_equal(vm->lock.next, vm->lock.owner);
}

static inline int setup(void **state) {
    (void)state;
    machine_start(2);
    text[0] = 0;
    scrubs = 0;
    marked = 0;
    pieces = loads = 0;
    load_result = 0;
    in_reset = NULL;
    unsettled = event = false;
    service_wait = 0;
    leaves = 0;
    expect_power = false;
    vm_set_when_idle(CONFIG_IDLE_STAY);
    if (!a) {
        int error;
        a = vm_create(&config_a, &error);
        assert_non_null(a);
        b = vm_create(&config_b, &error);
        assert_non_null(b);
    }
    for (unsigned i = 0; i < 2; i++) {
        guests[i].resets = guests[i].reports = guests[i].flushes = 0;
        guests[i].told = guests[i].waits = guests[i].changes = 0;
        guests[i].reset_result = 0;
        guests[i].reset_text = NULL;
    }
    config_a.restart = CONFIG_RESTART_ON_CRASH;
    config_b.restart = CONFIG_RESTART_NEVER;
    settle();
    return 0;
}

static inline int teardown(void **state) {
    (void)state;
    vm_set_when_idle(CONFIG_IDLE_STAY);
    in_reset = NULL;
    on_cpu(0);
    vm_stop(a);
    vm_stop(b);
    settle();
    assert_int_equal(a->state, VM_OFF);
    assert_int_equal(b->state, VM_OFF);
    assert_true(list_empty(&machine.cpu[0].timers));
    return 0;
}

/* The scheduler's steps one by one, so that something can come between two of them. */
static inline void one_step(void) {
    on_cpu(0);
    struct vcpu *vcpu = sched_choose();
    if (vcpu)
        sched_put(vcpu, sched_run(vcpu));
}

static inline int power(void (*act)(void)) {
    int how = setjmp(powered);
    if (!how) {
        expect_power = true;
        act();
        settle();
        run_for(10 * SECOND);
    }
    expect_power = false;
    /* The machine is gone in the middle of its work: the locks of that moment are free by themselves. */
    machine.cpu[0].reschedule = 1;
    return how;
}

static inline void stop_a(void) {
    assert_int_equal(vm_stop(a), 0);
}

#endif
