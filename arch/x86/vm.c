// SPDX-License-Identifier: Apache-2.0
// The x86 side of a VM: memory behind nested tables, CPU model, buses; power-on with the image loaded.
#include "arch/x86/vm.h"
#include "arch/x86/clock.h"
#include "arch/x86/engine/engine.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/guest/pm.h"
#include "arch/x86/guest/pv.h"
#include "arch/x86/guest/tsc.h"
#include "arch/x86/load/load.h"
#include "arch/x86/nested.h"
#include "arch/x86/service.h"
#include "arch/x86/vcpu.h"
#include "abi/control.h"
#include "core/log.h"
#include "core/main.h"
#include "devices/guest_passthrough.h"
#include "lib/config.h"

#include <errno.h>
#include <stdio.h>

struct vm *arch_vm_allocate(void) {
    struct x86_vm *vm = heap_allocate(sizeof(*vm), NULL);
    return vm ? &vm->core : NULL;
}

void arch_vm_free(struct vm *vm) {
    heap_free(x86_vm(vm), sizeof(struct x86_vm), NULL);
}

/* A region of memory or registers appeared in guest-physical space, or went. */
static int cpus_see(struct vm *vm, const struct guest_region *region, bool present) {
    struct paging *nested = &x86_vm(vm)->nested;
    unsigned rights = PAGING_READ | PAGING_USER;
    if (region->kind == GUEST_RAM || region->kind == GUEST_ROM)
        rights |= PAGING_EXECUTE;
    if (region->kind == GUEST_RAM || region->kind == GUEST_SHOWN || region->kind == GUEST_SHOWN_DEVICE)
        rights |= PAGING_WRITE;
    if (region->kind == GUEST_SHOWN_DEVICE)
        rights |= PAGING_UNCACHED;

    if (!present)
        return paging_unmap(nested, region->base, region->size);
    for (uint64_t done = 0; done < region->size;) {
        uint64_t physical, contiguous;
        enum guest_region_kind kind;
        int error = guest_memory_translate(vm, region->base + done, &physical, &contiguous, &kind);
        if (error)
            return error;
        uint64_t part = contiguous & ~(PAGE_SIZE - 1);
        if (part > region->size - done)
            part = region->size - done;
        error = paging_map(nested, region->base + done, physical, part, rights);
        if (error)
            return error;
        done += part;
    }
    return 0;
}

/* Bytes of the guest's firmware image; 0: it has none. */
static uint64_t firmware_size(const struct vm *vm) {
    if (vm->config->image_kind != CONFIG_IMAGE_FIRMWARE)
        return 0;
    const struct boot_file *file = boot_file_find(vm->config->image);
    return file ? file->size : 0;
}

static int memory_create(struct vm *vm) {
    uint64_t firmware = firmware_size(vm);
    int error = vm->service ? service_memory_create(vm)
                : vm->config->identity_memory
                    ? pc_identity_create(vm, load_image_end(vm))
                    : guest_memory_create(vm, pc_backing_size(vm->config, firmware));

    if (error || vm->service)
        return error;
    error = pc_memory_setup(vm, firmware);
    if (error)
        guest_memory_destroy(vm);
    return error;
}

static int memory_changed(struct vm *vm, const struct guest_region *region, bool present) {
    int error = cpus_see(vm, region, present);
    return error ? error : guest_passthrough_memory(vm, region, present);
}

int arch_vm_create(struct vm *core) {
    struct x86_vm *vm = x86_vm(core);
    struct memory_account *account = &core->memory.account;
    char why[128];

    if (!engine)
        return -ENOTSUP;
    int error = cpu_model_create(core->config->cpu_model, core->vcpu_count, account,
                                 (struct x86_cpu_model **)&vm->model, why, sizeof(why));
    if (error) {
        if (error == -ENOTSUP)
            log_error("guest %s: %s", core->name, why);
        return error;
    }
    uint64_t frequency = (uint64_t)core->config->tsc_khz * 1000;
    if (frequency && !tsc_frequency_possible(frequency)) {
        log_error(
            "guest %s: tsc-khz = <%u>: the TSC of this machine has %lu kHz, and the CPU cannot scale it "
            "to that; leave tsc-khz away",
            core->name, (unsigned)core->config->tsc_khz, (unsigned long)(clock_tsc_frequency() / 1000));
        error = -ENOTSUP;
        goto free_model;
    }
    if (frequency)
        tsc_set_frequency(vm, frequency);
    core->platform = core->service ? &service_platform : &pc_platform;
    core->memory.changed = memory_changed;
    error = nested_create(vm);
    if (error)
        goto free_model;
    vm->nested.small_code = engine->small_code && engine->small_code();
    error = bus_init(&core->bus[BUS_MEMORY]);
    if (error)
        goto free_nested;
    error = bus_init(&core->bus[BUS_PORT]);
    if (error)
        goto free_bus;
    error = memory_create(core);
    if (error)
        goto free_ports;
    error = engine->vm_create(vm);
    if (error)
        goto free_memory;
    return 0;

free_memory:
    guest_memory_destroy(core);
free_ports:
    bus_destroy(&core->bus[BUS_PORT]);
free_bus:
    bus_destroy(&core->bus[BUS_MEMORY]);
free_nested:
    nested_destroy(vm);
free_model:
    cpu_model_destroy((struct x86_cpu_model *)vm->model, account);
    return error;
}

void arch_vm_destroy(struct vm *core) {
    struct x86_vm *vm = x86_vm(core);

    engine->vm_destroy(vm);
    guest_memory_destroy(core);
    bus_destroy(&core->bus[BUS_PORT]);
    bus_destroy(&core->bus[BUS_MEMORY]);
    nested_destroy(vm);
    cpu_model_destroy((struct x86_cpu_model *)vm->model, &core->memory.account);
}

int arch_vm_reset(struct vm *core) {
    struct x86_vm *vm = x86_vm(core);

    vm->tsc_start = tsc_read();
    platform_reset(core);
    for (unsigned i = 0; i < core->vcpu_count; i++)
        vcpu_power_on(x86_vcpu(core->vcpu[i]));
    if (core->service)
        return service_enter(core);
    int error = pc_acpi_write(core);
    if (!error)
        error = load_image(core);
    for (unsigned i = 0; i < core->vcpu_count; i++)
        pv_refresh(x86_vcpu(core->vcpu[i]), false);
    /* `make bench` reads this line. */
    uint64_t now = tsc_read();
    log_debug("guest %s: ready %llu TSC ticks after the hypervisor's start, %llu after its power-on",
              core->name, (unsigned long long)(now - tsc_from_clock(0)),
              (unsigned long long)(now - vm->tsc_start));
    return error;
}

_Static_assert(EXIT_CAUSE_COUNT <= CONTROL_MAX_EXITS, "all causes can be shown");

void arch_vm_exits(const struct vm *vm, struct control_exits *out) {
    static const char *const names[EXIT_CAUSE_COUNT] = {
        [EXIT_INTERRUPT] = "interrupt",
        [EXIT_INTERRUPT_WINDOW] = "interrupt window",
        [EXIT_NMI] = "NMI",
        [EXIT_HALT] = "HLT",
        [EXIT_CPUID] = "CPUID",
        [EXIT_MSR] = "MSR",
        [EXIT_PORT] = "port",
        [EXIT_MMIO] = "MMIO",
        [EXIT_PAGE_FAULT] = "page fault",
        [EXIT_CR] = "CR",
        [EXIT_DR] = "DR",
        [EXIT_HYPERCALL] = "hypercall",
        [EXIT_PAUSE] = "PAUSE",
        [EXIT_XSETBV] = "XSETBV",
        [EXIT_EXCEPTION] = "exception",
        [EXIT_EOI] = "EOI (of MSR)",
        [EXIT_CACHE] = "cache",
        [EXIT_SHUTDOWN] = "shutdown",
        [EXIT_REFUSED] = "refused",
        [EXIT_PAGE_LOG] = "page log full",
        [EXIT_OTHER] = "other",
    };

    for (unsigned cause = 0; cause < EXIT_CAUSE_COUNT; cause++) {
        uint64_t count = 0;
        for (unsigned i = 0; i < vm->vcpu_count; i++)
            count += x86_vcpu(vm->vcpu[i])->exits[cause];
        if (!count)
            continue;
        struct control_exit *exit = &out->exit[out->count++];
        snprintf(exit->name, sizeof(exit->name), "%s", names[cause]);
        exit->count = count;
    }
}

int arch_vm_power_button(struct vm *vm) {
    pm_power_button(vm);
    return 0;
}
