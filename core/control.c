// SPDX-License-Identifier: Apache-2.0
// The control calls, over the VMs, the scheduler and the allocator.
#include "core/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "core/console.h"
#include "core/sched.h"
#include "core/service.h"

unsigned control_vm_count(void) {
    return vm_count();
}

int control_vm_find(const char *name) {
    for (unsigned i = 0; i < vm_count(); i++) {
        if (strcmp(vm_get(i)->name, name) == 0)
            return (int)i;
    }
    return -ENOENT;
}

/* With vm->lock held. */
static void describe_end(const struct vm *vm, char *text, size_t size) {
    switch (vm->end) {
    case VM_END_NONE:
        text[0] = '\0';
        break;
    case VM_END_POWER_OFF:
        snprintf(text, size, "powered off");
        break;
    case VM_END_RESET:
        snprintf(text, size, "reset itself");
        break;
    case VM_END_EXIT:
        snprintf(text, size, "exit code %u", (unsigned)vm->end_code);
        break;
    case VM_END_CRASH:
        snprintf(text, size, "crashed: %s", vm->end_text);
        break;
    default:
        snprintf(text, size, "%s", vm->end_text);
    }
}

static void fill(struct vm *vm, struct control_vm *info) {
    memset(info, 0, sizeof(*info));
    snprintf(info->name, sizeof(info->name), "%s", vm->name);
    info->vcpus = vm->vcpu_count;
    info->memory = vm->memory.size;
    info->overhead = vm->memory.account.overhead;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        info->cpu_time += sched_run_time(vm->vcpu[i]);
    spin_lock(&vm->lock);
    info->state = vm_state_name(vm);
    info->active = vm->state != VM_OFF;
    info->restarts = vm->restarts;
    describe_end(vm, info->ended, sizeof(info->ended));
    spin_unlock(&vm->lock);
}

int control_vm_info(unsigned number, struct control_vm *info) {
    if (number >= vm_count())
        return -ENOENT;
    fill(vm_get(number), info);
    return 0;
}

int control_service_info(struct control_vm *info, unsigned *starts) {
    if (!service_vm())
        return -ENODEV;
    fill(service_vm(), info);
    *starts = service_starts();
    return 0;
}

void control_service_exits(void (*print)(const char *line)) {
    if (service_vm())
        arch_vm_print_exits(service_vm(), print);
}

int control_service_restart(void) {
    return service_restart();
}

int control_figures(void (*done)(const struct service_figures *figures)) {
    return service_figures(done);
}

uint64_t control_time(void) {
    return time_now();
}

int control_vm_exits(unsigned number, void (*print)(const char *line)) {
    if (number >= vm_count())
        return -ENOENT;
    arch_vm_print_exits(vm_get(number), print);
    return 0;
}

int control_vm_action(unsigned number, enum control_action action) {
    if (number >= vm_count())
        return -ENOENT;
    struct vm *vm = vm_get(number);
    switch (action) {
    case CONTROL_START:
        return vm_start(vm);
    case CONTROL_STOP:
        return vm_stop(vm);
    case CONTROL_RESET:
        return vm_reset(vm);
    case CONTROL_PAUSE:
        return vm_pause(vm);
    case CONTROL_RESUME:
        return vm_resume(vm);
    }
    return -EINVAL;
}

int control_vm_console(unsigned number) {
    return number < vm_count() ? console_attach(vm_get(number)) : -ENOENT;
}

unsigned control_cpu_count(void) {
    return cpu_count();
}

int control_cpu_info(unsigned number, struct control_cpu *info) {
    if (number >= cpu_count())
        return -ENOENT;
    struct cpu *cpu = cpu_get(number);
    memset(info, 0, sizeof(*info));
    info->id = cpu->id;
    info->online = cpu->online;
    info->self = cpu == cpu_this();
    /* Another CPU may go to sleep or wake up between these looks: the caller has to bear a slip of one sleep.
     */
    uint64_t idle = __atomic_load_n(&cpu->idle_time, __ATOMIC_RELAXED);
    uint64_t since = __atomic_load_n(&cpu->idle_since, __ATOMIC_RELAXED);
    info->time = time_now();
    info->idle = idle + (since != 0 && info->time > since ? info->time - since : 0);
    const struct vcpu *vcpu = __atomic_load_n(&cpu->current, __ATOMIC_RELAXED);
    if (vcpu != NULL) {
        snprintf(info->runs, sizeof(info->runs), "%s", vcpu->vm->name);
        info->runs_vcpu = vcpu->index;
    }
    return 0;
}

void control_memory(struct memory_statistics *out) {
    memory_statistics(out);
}

void control_log(unsigned count, void (*print)(const char *line)) {
    log_replay(count, print);
}

static void leave(const char *what) {
    vm_print_summary();
    log_info("%s by command", what);
    service_leave();
    console_flush();
}

void control_reboot(void) {
    leave("reboot");
    arch_reboot();
}

void control_power_off(void) {
    leave("power-off");
    arch_power_off();
}
