// SPDX-License-Identifier: Apache-2.0
// Figures of the machine and actions on it, over the VMs, the scheduler, the allocator and the log.
#include "core/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "core/console.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/sched.h"
#include "core/service.h"

/* ---- figures */

/* NULL: there is none of this number. */
static struct vm *vm_of(uint32_t number) {
    if (number == CONTROL_SERVICE)
        return service_vm();
    return number < vm_count() ? vm_get(number) : NULL;
}

static void look_machine(struct control_machine *out) {
    struct memory_statistics memory;

    memory_statistics(&memory);
    out->vm_count = vm_count();
    out->cpu_count = cpu_count();
    out->device_count = control_device_count();
    out->log_end = log_end(&out->log_lines);
    out->starts = service_starts();
    out->memory = memory.total;
    out->free = memory.free;
    out->largest = memory.largest;
    out->heap = memory.heap;
    out->heap_used = memory.heap_used;
}

/* With vm->lock held. */
static uint32_t state_of(const struct vm *vm) {
    switch (vm->state) {
    case VM_OFF:
        return vm->restarting ? CONTROL_RESTARTING : vm->end == VM_END_CRASH ? CONTROL_CRASHED : CONTROL_OFF;
    case VM_RUNNING:
        return CONTROL_RUNNING;
    case VM_STOPPING:
        return CONTROL_STOPPING;
    case VM_PAUSED:
        return CONTROL_PAUSED;
    }
    return CONTROL_OFF;
}

static uint32_t end_of(const struct vm *vm) {
    switch (vm->end) {
    case VM_END_NONE:
        return CONTROL_END_NONE;
    case VM_END_POWER_OFF:
        return CONTROL_END_POWER_OFF;
    case VM_END_RESET:
        return CONTROL_END_RESET;
    case VM_END_EXIT:
        return CONTROL_END_EXIT;
    case VM_END_CRASH:
        return CONTROL_END_CRASH;
    default:
        return CONTROL_END_OTHER;
    }
}

static void look_vm(struct vm *vm, struct control_vm *out) {
    snprintf(out->name, sizeof(out->name), "%s", vm->name);
    out->vcpus = vm->vcpu_count;
    out->memory = vm->memory.size;
    out->overhead = vm->memory.account.overhead;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        out->cpu_time += sched_run_time(vm->vcpu[i]);
    spin_lock(&vm->lock);
    out->state = state_of(vm);
    out->end = end_of(vm);
    out->end_code = vm->end_code;
    out->restarts = vm->restarts;
    snprintf(out->end_text, sizeof(out->end_text), "%s", vm->end_text);
    spin_unlock(&vm->lock);
}

static void look_cpu(struct cpu *cpu, struct control_cpu *out) {
    out->id = cpu->id;
    out->online = cpu->online;
    /* Another CPU may go to sleep or wake up between these looks: whoever asks has to bear a slip of one
     * sleep. */
    uint64_t idle = __atomic_load_n(&cpu->idle_time, __ATOMIC_RELAXED);
    uint64_t since = __atomic_load_n(&cpu->idle_since, __ATOMIC_RELAXED);
    out->time = time_now();
    out->idle = idle + (since != 0 && out->time > since ? out->time - since : 0);
    const struct vcpu *vcpu = __atomic_load_n(&cpu->current, __ATOMIC_RELAXED);
    out->vm = vcpu == NULL ? CONTROL_NO_VM : vcpu->vm->service ? CONTROL_SERVICE : vcpu->vm->id;
    out->vcpu = vcpu != NULL ? vcpu->index : 0;
}

int control_look(uint32_t kind, uint32_t number, union control_answer *answer, size_t *size) {
    struct vm *vm = kind == CONTROL_VM || kind == CONTROL_EXITS ? vm_of(number) : NULL;
    bool there = vm != NULL;

    memset(answer, 0, sizeof(*answer));
    switch (kind) {
    case CONTROL_MACHINE:
        *size = sizeof(answer->machine);
        there = number == 0;
        if (there)
            look_machine(&answer->machine);
        break;
    case CONTROL_VM:
        *size = sizeof(answer->vm);
        if (there)
            look_vm(vm, &answer->vm);
        break;
    case CONTROL_EXITS:
        *size = sizeof(answer->exits);
        if (there)
            arch_vm_exits(vm, &answer->exits);
        break;
    case CONTROL_CPU:
        *size = sizeof(answer->cpu);
        there = number < cpu_count();
        if (there)
            look_cpu(cpu_get(number), &answer->cpu);
        break;
    case CONTROL_DEVICE:
        *size = sizeof(answer->device);
        there = number < control_device_count();
        if (there)
            control_device(number, &answer->device);
        break;
    case CONTROL_LOG:
        *size = sizeof(answer->log);
        there = log_read(number, &answer->log);
        break;
    case CONTROL_IOMMU:
        *size = sizeof(answer->iommu);
        there = control_iommu(number, answer->iommu.text, sizeof(answer->iommu.text));
        break;
    default:
        return -EINVAL;
    }
    return there ? 0 : -ENOENT;
}

/* ---- actions */

__attribute__((noreturn)) static void leave(bool reboot) {
    vm_print_summary();
    log_info("%s by command", reboot ? "reboot" : "power-off");
    service_leave();
    console_flush();
    if (reboot)
        arch_reboot();
    arch_power_off();
}

int control_act(uint32_t action, uint32_t number) {
    if (action >= CONTROL_ACTIONS)
        return -EINVAL;
    if (action == CONTROL_RESTART)
        return service_restart();
    if (action == CONTROL_REBOOT || action == CONTROL_POWER_OFF)
        leave(action == CONTROL_REBOOT);
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
    case CONTROL_SHUT_DOWN:
        return vm_shut_down(vm);
    case CONTROL_WRITES:
        return control_writes(vm);
    default:
        return console_attach(vm);
    }
}
