// SPDX-License-Identifier: Apache-2.0
// From the config to running guests; and the files that the loader left for them.
#include "core/main.h"
#include "core/console.h"
#include "core/log.h"
#include "core/service.h"
#include "core/vm.h"
#include "lib/config.h"

#include <errno.h>
#include <string.h>

static const struct boot_info *boot;
static struct config config;

const struct boot_file *boot_file_find(const char *name) {
    for (unsigned i = 0; i < boot->file_count; i++)
        if (!strcmp(boot->file[i].name, name))
            return &boot->file[i];
    return NULL;
}

const struct boot_rom *boot_rom_find(uint16_t segment, uint8_t bus, uint8_t devfn) {
    for (unsigned i = 0; i < boot->rom_count; i++)
        if (boot->rom[i].segment == segment && boot->rom[i].bus == bus && boot->rom[i].devfn == devfn)
            return &boot->rom[i];
    return NULL;
}

unsigned boot_passed_count(void) {
    unsigned count = 0;

    for (unsigned i = 0; i < config.guest_count; i++)
        count += config.guests[i].passthrough_count;
    return count;
}

int boot_file_read(const struct boot_file *file, uint64_t offset, void *buffer, uint64_t size) {
    uint8_t *out = buffer;

    if (offset > file->size || size > file->size - offset)
        return -EINVAL;
    while (size) {
        uint64_t at = file->address + offset;
        uint64_t part = PAGE_SIZE - (at & (PAGE_SIZE - 1));
        if (part > size)
            part = size;
        memcpy(out, (const uint8_t *)arch_window_map(at & ~(PAGE_SIZE - 1)) + (at & (PAGE_SIZE - 1)), part);
        out += part;
        offset += part;
        size -= part;
    }
    return 0;
}

int boot_file_load(const struct boot_file *file, uint64_t offset, struct vm *vm, uint64_t gpa,
                   uint64_t size) {
    if (offset > file->size || size > file->size - offset)
        return -EINVAL;
    while (size) {
        uint64_t at = file->address + offset;
        uint64_t part = PAGE_SIZE - (at & (PAGE_SIZE - 1));
        if (part > size)
            part = size;
        int error = guest_load(
            vm, gpa, (const uint8_t *)arch_window_map(at & ~(PAGE_SIZE - 1)) + (at & (PAGE_SIZE - 1)), part);
        if (error)
            return error;
        gpa += part;
        offset += part;
        size -= part;
    }
    return 0;
}

static void start_guests(void) {
    for (unsigned i = 0; i < vm_count(); i++)
        if (vm_get(i)->config->autostart)
            vm_start(vm_get(i));
    if (!vm_count())
        vm_check_idle(); /* no guest's end will ask */
}

static const char *reason(int error) {
    switch (error) {
    case -ENOMEM:
        return "not enough memory";
    case -ENOSPC:
        return "too many guests";
    case -ENXIO:
        return "none of its CPUs has started";
    case -ENODEV:
        return "it cannot have a function of the machine";
    case -ENOTSUP:
        return "this CPU cannot run it";
    default:
        return "internal error";
    }
}

void core_start(const struct boot_info *info) {
    boot = info;
    if (config_read(info->config, info->config_size, info->arch, &config))
        panic(
            "the config that the loader handed over is not valid: loader and hypervisor do not fit together");
    log_set_level((enum log_level)config.log_level);
    vm_set_when_idle(config.when_idle);
    log_info("host %s: %u CPUs, %u guests", config.host_name, cpu_count(), config.guest_count);
    console_set_typed(service_shell_typed);
    /* Without it, guests do without its devices, and the operator without a prompt. */
    service_create(&config, info->config, info->config_size);

    for (unsigned i = 0; i < config.guest_count; i++) {
        const struct config_guest *guest = &config.guests[i];
        int error;
        struct vm *vm = vm_create(guest, &error);
        if (!vm) {
            log_error("guest %s: %s (%d)", guest->name, reason(error), error);
            vm_note_missing(guest->name, reason(error));
            continue;
        }
        log_info("guest %s: %u MiB, %u vCPU%s, priority %u", guest->name, (unsigned)(guest->memory >> 20),
                 guest->vcpus, guest->vcpus == 1 ? "" : "s", guest->priority);
    }
    service_show_guests();
    service_start(start_guests);
}
