// SPDX-License-Identifier: Apache-2.0
// Virtual machines: creation from the config, start and stop, and what follows when a guest's run ends.
#include "core/vm.h"
#include "core/log.h"
#include "core/sched.h"
#include "core/service.h"
#include "core/console.h"
#include "lib/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECOND           1000000000ull
#define RESTART_WAIT_MAX (60 * SECOND)
#define RESTART_SETTLED  (60 * SECOND) /* a guest that ran this long starts again without a wait */

static struct vm *vms[VM_MAX];
static unsigned created;
static struct { const char *name, *why; } missing[VM_MAX];
static unsigned missing_count;
static uint32_t idle_action = CONFIG_IDLE_STAY;

static void ended(struct work *work);
static void restart(struct timer *timer);
static void restart_work(struct work *work);

/* Whether a CPU of `cpus` runs vCPUs: on others they would wait for ever. */
static bool any_present(uint64_t cpus) {
    for (unsigned i = 0; i < cpu_count(); i++)
        if ((cpus >> i & 1) && !cpu_get(i)->absent)
            return true;
    return false;
}

static struct vm *build(const struct config_guest *config, bool service, int *error) {
    if (!any_present(config->cpus)) {
        *error = -ENXIO;
        return NULL;
    }
    *error = -ENOMEM;
    struct vm *vm = arch_vm_allocate();
    if (!vm)
        return NULL;
    snprintf(vm->name, sizeof(vm->name), "%s", config->name);
    vm->id = created;
    vm->service = service;
    vm->config = config;
    vm->vcpu_count = config->vcpus;
    vm->ended.function = ended;
    vm->restart_work.function = restart_work;
    timer_init(&vm->restart_timer, restart);

    *error = console_guest_create(vm);
    if (*error)
        goto free_vm;
    *error = arch_vm_create(vm);
    if (*error)
        goto free_console;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *vcpu = arch_vcpu_create(vm, i);
        if (!vcpu) {
            *error = -ENOMEM;
            goto free_vcpus;
        }
        vcpu->vm = vm;
        vcpu->index = i;
        list_init(&vcpu->ready);
        vcpu->state = VCPU_PARKED;
        vcpu->priority = (uint8_t)config->priority;
        vcpu->affinity = config->cpus;
        vcpu->budget = config->budget * 1000ull;
        vcpu->period = config->period * 1000ull;
        vcpu->budget_left = vcpu->budget;
        vm->vcpu[i] = vcpu;
    }
    *error = platform_create(vm);
    if (*error)
        goto free_vcpus;
    return vm;

free_vcpus:
    for (unsigned i = vm->vcpu_count; i-- > 0;)
        if (vm->vcpu[i])
            arch_vcpu_destroy(vm->vcpu[i]);
    arch_vm_destroy(vm);
free_console:
    console_guest_destroy(vm);
free_vm:
    arch_vm_free(vm);
    return NULL;
}

struct vm *vm_create(const struct config_guest *config, int *error) {
    if (created == VM_MAX) {
        *error = -ENOSPC;
        return NULL;
    }
    struct vm *vm = build(config, false, error);
    if (vm)
        vms[created++] = vm;
    return vm;
}

struct vm *vm_create_service(const struct config_guest *config, int *error) {
    return build(config, true, error);
}

unsigned vm_count(void) {
    return created;
}

struct vm *vm_get(unsigned index) {
    bug_if(index >= created);
    return vms[index];
}

struct vm *vm_find(const char *name) {
    for (unsigned i = 0; i < created; i++)
        if (!strcmp(vms[i]->name, name))
            return vms[i];
    return NULL;
}

const char *vm_state_name(const struct vm *vm) {
    switch (vm->state) {
    case VM_OFF:
        return vm->restarting ? "restarting" : vm->end == VM_END_CRASH ? "crashed" : "off";
    case VM_RUNNING:
        return "running";
    case VM_STOPPING:
        return "stopping";
    case VM_PAUSED:
        return "paused";
    }
    return "?";
}

/* With vm->lock held: the vCPUs from `first` on may run. They are handed to the scheduler by let_run(), after
 * the lock. */
static void clear_park(struct vm *vm, unsigned first, unsigned end) {
    for (unsigned i = first; i < end; i++)
        __atomic_and_fetch(&vm->vcpu[i]->requests, ~VCPU_REQUEST_PARK, __ATOMIC_RELEASE);
}

static void let_run(struct vm *vm, unsigned first, unsigned end) {
    for (unsigned i = first; i < end; i++)
        sched_unpark(vm->vcpu[i]);
}

static int begin(struct vm *vm) {
    vm->end_code = 0;
    vm->end_text[0] = 0;
    vm->crashed = NULL;
    vm->scrubbed = 0;
    vm->load_count = vm->load_next = 0;
    vm->made = false;
    vm->unserved = false;
    vm->restarting = false;
    vm->stay_off = false;
    vm->shut_down = false;
    vm->started = time_now();
    /* vCPU 0 prepares the machine in its own time and lets the others run when that is done. */
    spin_lock(&vm->lock);
    vm->end = VM_END_NONE;
    vm->state = VM_RUNNING;
    vm->unparked = 1;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vm->vcpu[i]->hold = VCPU_HOLD_NONE;
        __atomic_store_n(&vm->vcpu[i]->io.state, VCPU_IO_NONE, __ATOMIC_RELEASE);
        __atomic_store_n(&vm->vcpu[i]->requests, i == 0 ? VCPU_REQUEST_LOAD : 0, __ATOMIC_RELEASE);
    }
    spin_unlock(&vm->lock);
    let_run(vm, 0, 1);
    return 0;
}

/* 1: there is more to do; 0: the guest can begin; a negative errno. */
static int make_ready(struct vm *vm) {
    int error = vm->made ? 0 : arch_vm_reset(vm);

    vm->made = !error;
    return error ? error : vm_load_step(vm);
}

bool vm_prepare(struct vm *vm) {
    /* Before its memory is cleared the service VM has to be out of it. */
    if (!vm->scrubbed && !vm->unserved) {
        service_guest_reset(vm);
        vm->unserved = true;
    }
    vm->vcpu[0]->hold = VCPU_HOLD_NONE;
    if (!service_guest_settled(vm)) {
        vm->vcpu[0]->hold = VCPU_HOLD_SETTLE;
        service_guest_waits(vm);
        return true;
    }
    if (vm->scrubbed < vm->memory.size >> LARGE_PAGE_SHIFT) {
        memset(arch_window_map_large(vm->memory.block[vm->scrubbed]), 0, LARGE_PAGE_SIZE);
        (void)guest_mark_backing(vm, vm->scrubbed << LARGE_PAGE_SHIFT, LARGE_PAGE_SIZE);
        vm->scrubbed++;
        return true;
    }
    int error = make_ready(vm);
    if (error > 0)
        return true;
    if (error) {
        char text[sizeof(vm->end_text)];
        snprintf(text, sizeof(text), "cannot be started: %.140s",
                 vm->end_text[0]    ? vm->end_text
                 : error == -ENOMEM ? "not enough memory"
                                    : "bad image");
        vm_end(vm, VM_END_REFUSED, 0, text);
        return false;
    }
    spin_lock(&vm->lock);
    bool go = vm->end == VM_END_NONE && !vm->pausing;
    if (go) {
        vm->unparked = vm->vcpu_count;
        clear_park(vm, 1, vm->vcpu_count);
    }
    vm->prepared = true;
    spin_unlock(&vm->lock);
    if (go)
        let_run(vm, 1, vm->vcpu_count);
    service_guest_changed(vm);
    return false;
}

/* ns before it may start: functions of the machine that it has to itself are being reset. */
static uint64_t rest_of(const struct vm *vm) {
    return vm->passed ? vm->passed->rest(vm) : 0;
}

int vm_start(struct vm *vm) {
    if (vm->state != VM_OFF)
        return vm->state == VM_RUNNING ? -EALREADY : -EBUSY;
    timer_cancel(&vm->restart_timer);
    vm->restarts = 0;
    uint64_t wait = rest_of(vm);
    if (!wait)
        return begin(vm);
    vm->stay_off = false;
    vm->restarting = true;
    timer_arm(&vm->restart_timer, time_now() + wait);
    return 0;
}

/* Asks every vCPU to leave the scheduler. With vm->lock held, so that no later run of the VM sees a belated
 * request. */
static void park_all(struct vm *vm) {
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        __atomic_fetch_or(&vm->vcpu[i]->requests, VCPU_REQUEST_PARK, __ATOMIC_SEQ_CST);
        if (sched_park(vm->vcpu[i]))
            vm->unparked--;
        else
            vcpu_kick(vm->vcpu[i]);
    }
    if (!vm->unparked)
        work_queue(cpu_get(0), &vm->ended);
}

static void end_run(struct vm *vm, enum vm_end end, uint32_t code, const char *text, struct vcpu *crashed) {
    spin_lock(&vm->lock);
    if (vm->end == VM_END_NONE && vm->state != VM_OFF) {
        vm->end = end;
        vm->end_code = code;
        vm->crashed = crashed;
        snprintf(vm->end_text, sizeof(vm->end_text), "%s", text ? text : "");
        vm->state = VM_STOPPING;
        park_all(vm);
    }
    spin_unlock(&vm->lock);
}

void vm_end(struct vm *vm, enum vm_end end, uint32_t code, const char *text) {
    end_run(vm, end, code, text, NULL);
}

void vm_crash(struct vcpu *vcpu, const char *format, ...) {
    char text[sizeof(vcpu->vm->end_text)];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    end_run(vcpu->vm, VM_END_CRASH, 0, text, vcpu);
}

int vm_stop(struct vm *vm) {
    if (vm->state == VM_OFF) {
        /* A stop also ends the wait for a restart. */
        if (!vm->restarting)
            return -EALREADY;
        vm->restarting = false;
        timer_cancel(&vm->restart_timer);
        vm_check_idle();
        return 0;
    }
    vm->stay_off = true; /* also where the guest ends by itself just now */
    vm_end(vm, VM_END_STOPPED, 0, "stopped by command");
    return 0;
}

int vm_reset(struct vm *vm) {
    if (vm->state == VM_OFF)
        return vm_start(vm);
    if (vm->end != VM_END_NONE)
        return -EBUSY; /* it ends already, for another reason */
    vm_end(vm, VM_END_RESTART, 0, "reset by command");
    return 0;
}

int vm_pause(struct vm *vm) {
    spin_lock(&vm->lock);
    if (vm->state != VM_RUNNING) {
        int error = vm->state == VM_PAUSED ? -EALREADY : vm->state == VM_OFF ? -EINVAL : -EBUSY;
        spin_unlock(&vm->lock);
        return error;
    }
    vm->state = VM_STOPPING;
    vm->pausing = true;
    park_all(vm);
    spin_unlock(&vm->lock);
    return 0;
}

int vm_resume(struct vm *vm) {
    spin_lock(&vm->lock);
    if (vm->state != VM_PAUSED) {
        int error = vm->state == VM_RUNNING ? -EALREADY : vm->state == VM_OFF ? -EINVAL : -EBUSY;
        spin_unlock(&vm->lock);
        return error;
    }
    /* Paused while vCPU 0 still prepared the machine: it goes on with that, alone. */
    unsigned count = vm->prepared ? vm->vcpu_count : 1;
    vm->state = VM_RUNNING;
    vm->unparked = count;
    clear_park(vm, 0, count);
    if (vm->prepared)
        for (unsigned i = 0; i < count; i++)
            __atomic_or_fetch(&vm->vcpu[i]->requests, VCPU_REQUEST_RESUMED, __ATOMIC_RELEASE);
    spin_unlock(&vm->lock);
    let_run(vm, 0, count);
    service_guest_changed(vm);
    return 0;
}

void vm_parked(struct vm *vm) {
    spin_lock(&vm->lock);
    bug_if(!vm->unparked);
    if (--vm->unparked == 0)
        work_queue(cpu_get(0), &vm->ended);
    spin_unlock(&vm->lock);
}

static void describe(const struct vm *vm, char *text, size_t size) {
    switch (vm->end) {
    case VM_END_POWER_OFF:
        snprintf(text, size, "powered off");
        break;
    case VM_END_RESET:
        snprintf(text, size, "reset itself");
        break;
    case VM_END_EXIT:
        snprintf(text, size, "exit code %u", vm->end_code);
        break;
    case VM_END_CRASH:
        snprintf(text, size, "crashed: %s", vm->end_text);
        break;
    case VM_END_REFUSED:
    case VM_END_STOPPED:
    case VM_END_RESTART:
        snprintf(text, size, "%s", vm->end_text);
        break;
    case VM_END_NONE:
        snprintf(text, size, vm->state == VM_OFF ? "not started" : "%s", vm_state_name(vm));
        break;
    }
}

void vm_set_when_idle(uint32_t when_idle) {
    idle_action = when_idle;
}

void vm_print_summary(void) {
    for (unsigned i = 0; i < created; i++) {
        char text[192];
        describe(vms[i], text, sizeof(text));
        log_info("guest %s: %s", vms[i]->name, text);
    }
    for (unsigned i = 0; i < missing_count; i++)
        log_info("guest %s: could not be created: %s", missing[i].name, missing[i].why);
}

void vm_note_missing(const char *name, const char *why) {
    if (missing_count == array_count(missing))
        return;
    missing[missing_count].name = name;
    missing[missing_count++].why = why;
}

int vm_shut_down(struct vm *vm) {
    spin_lock(&vm->lock);
    enum vm_state state = vm->state;
    bool prepared = vm->prepared;
    spin_unlock(&vm->lock);
    if (state != VM_RUNNING)
        return state == VM_STOPPING ? -EBUSY : -EINVAL;
    if (!prepared)
        return -EAGAIN;
    int error = arch_vm_power_button(vm);
    if (!error)
        vm->shut_down = true;
    return error;
}

void vm_check_idle(void) {
    if (idle_action == CONFIG_IDLE_STAY)
        return;
    for (unsigned i = 0; i < created; i++)
        if (vms[i]->state != VM_OFF || vms[i]->restarting)
            return;
    log_info("every guest has stopped: %s",
             idle_action == CONFIG_IDLE_POWEROFF ? "powering off" : "rebooting");
    vm_print_summary();
    service_leave();
    if (idle_action == CONFIG_IDLE_POWEROFF)
        arch_power_off();
    arch_reboot();
}

static bool wants_restart(const struct vm *vm) {
    switch (vm->end) {
    case VM_END_RESET:
    case VM_END_RESTART:
        return true;
    case VM_END_CRASH:
        return vm->config->restart != CONFIG_RESTART_NEVER;
    case VM_END_POWER_OFF:
        return vm->config->restart == CONFIG_RESTART_ALWAYS && !vm->shut_down;
    case VM_END_EXIT:
        return vm->config->restart == CONFIG_RESTART_ALWAYS;
    default:
        return false;
    }
}

static void report_crash(struct vm *vm) {
    log_error("guest %s crashed: %s", vm->name, vm->end_text);
    if (vm->crashed) {
        arch_vcpu_report(vm->crashed);
        return;
    }
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        arch_vcpu_report(vm->vcpu[i]);
}

/* On the boot CPU, when the last vCPU has parked. */
static void ended(struct work *work) {
    struct vm *vm = container_of(work, struct vm, ended);

    spin_lock(&vm->lock);
    if (vm->state != VM_STOPPING || vm->unparked) {
        spin_unlock(
            &vm->lock); /* asked for twice: by the last to park, and by an end that found nobody left */
        return;
    }
    bool pause = vm->end == VM_END_NONE;
    vm->pausing = false;
    vm->state = pause ? VM_PAUSED : VM_OFF;
    spin_unlock(&vm->lock);
    if (!pause && vm->passed)
        vm->passed->release(vm, false);
    service_guest_changed(vm);
    if (pause)
        return;

    vm->prepared = false;
    console_guest_flush(vm);
    if (vm->end == VM_END_CRASH) {
        report_crash(vm);
    } else {
        char text[192];
        describe(vm, text, sizeof(text));
        log_line(vm->end == VM_END_REFUSED ? LOG_ERROR : LOG_INFO, "guest %s: %s", vm->name, text);
    }
    if (vm->stay_off || !wants_restart(vm)) {
        vm_check_idle();
        return;
    }
    if (vm->end == VM_END_RESTART || time_now() - vm->started >= RESTART_SETTLED)
        vm->restarts = 0;
    uint64_t wait = vm->service ? service_rest() : rest_of(vm);
    if (vm->restarts++ == 0 && !wait) {
        begin(vm);
        return;
    }
    /* 1, 2, 4 ... seconds: a guest that dies at once does not take the machine's time. */
    if (vm->restarts > 1) {
        wait = vm->restarts - 2 < 6 ? SECOND << (vm->restarts - 2) : RESTART_WAIT_MAX;
        log_info("guest %s: starts again in %u s", vm->name, (unsigned)(wait / SECOND));
    }
    vm->restarting = true;
    timer_arm(&vm->restart_timer, time_now() + wait);
}

static void restart(struct timer *timer) {
    struct vm *vm = container_of(timer, struct vm, restart_timer);
    work_queue(cpu_get(0), &vm->restart_work);
}

static void restart_work(struct work *work) {
    struct vm *vm = container_of(work, struct vm, restart_work);
    if (!vm->restarting || vm->state != VM_OFF) /* somebody has started or stopped it meanwhile */
        return;
    uint64_t wait = rest_of(vm); /* more than was thought: a function may take its time to come back */
    if (wait)
        timer_arm(&vm->restart_timer, time_now() + wait);
    else
        begin(vm);
}

bool vcpu_held(const struct vcpu *vcpu) {
    switch (vcpu->hold) {
    case VCPU_HOLD_ANSWER:
        return __atomic_load_n(&vcpu->io.state, __ATOMIC_ACQUIRE) == VCPU_IO_WAITING;
    case VCPU_HOLD_EVENT:
        return !service_has_event();
    case VCPU_HOLD_SETTLE:
        return !service_guest_settled(vcpu->vm);
    case VCPU_HOLD_CONTROL:
        return service_shell_busy();
    default:
        return false;
    }
}

void vcpu_kick(struct vcpu *vcpu) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&vcpu->in_guest, __ATOMIC_ACQUIRE)) {
        struct cpu *cpu = vcpu->cpu;
        if (cpu != cpu_this())
            arch_cpu_kick(cpu);
    } else if (__atomic_load_n(&vcpu->state, __ATOMIC_ACQUIRE) == VCPU_BLOCKED) {
        sched_wake(vcpu);
    }
}

void vcpu_request(struct vcpu *vcpu, uint32_t requests) {
    uint32_t before = __atomic_fetch_or(&vcpu->requests, requests, __ATOMIC_SEQ_CST);
    if ((before & requests) != requests)
        vcpu_kick(vcpu);
}
