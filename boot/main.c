// SPDX-License-Identifier: Apache-2.0
// The EFI application: finds the config, reads and checks everything, and leaves for the hypervisor.
// Whatever goes wrong is said before any guest runs, and the firmware gets control back.
#include <efi.h>
#include <stdbool.h>
#include <string.h>

#include "boot/config_load.h"
#include "boot/console.h"
#include "boot/leave.h"
#include "boot/machine.h"
#include "boot/memory.h"
#include "boot/roms.h"
#include "boot/source.h"

#define WAIT_SECONDS      60u
/* What the hypervisor needs beside its image and the guests' memory: page tables, vCPUs, stacks, its log. */
#define RESERVE_BASE      (16ull << 20)
#define RESERVE_PER_CPU   (256ull << 10)
#define RESERVE_PER_GUEST (1ull << 20)

static uint64_t read_tsc(void) {
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static uint32_t enabled_cpus(const struct handover *handover) {
    const struct handover_cpu *cpus = (const struct handover_cpu *)(uintptr_t)handover->cpus;
    uint32_t enabled = 0;

    for (uint32_t i = 0; i < handover->cpu_count; i++) {
        enabled += (cpus[i].flags & HANDOVER_CPU_ENABLED) != 0;
    }
    return enabled;
}

/* And of expansion ROMs. */
static uint64_t bytes_of_files(const struct handover *handover) {
    const struct handover_file *files = (const struct handover_file *)(uintptr_t)handover->files;
    const struct handover_rom *roms = (const struct handover_rom *)(uintptr_t)handover->roms;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < handover->file_count; i++) {
        bytes += (files[i].size + MEMORY_PAGE - 1) & ~(MEMORY_PAGE - 1);
    }
    for (uint32_t i = 0; i < handover->rom_count; i++) {
        bytes += roms[i].size;
    }
    return bytes;
}

/* Config, machine and files, in the order in which errors are soonest seen. False: something is wrong, and
 * was said. */
static bool load(EFI_BOOT_SERVICES *boot, struct config_load *config, struct source *sources,
                 unsigned int source_count, struct handover *handover) {
    uint64_t memory = leave_usable_memory();
    uint64_t reserve = leave_hypervisor_size();
    uint32_t cpus = enabled_cpus(handover);

    if (reserve == 0) {
        return false;
    }
    if (memory == 0) {
        console_print("error: the firmware gives no memory map\n");
        return false;
    }
    if (config_load_find(sources, source_count, config) != 0) {
        return false;
    }
    reserve += RESERVE_BASE + cpus * RESERVE_PER_CPU + config->config->guest_count * RESERVE_PER_GUEST;
    console_print("%s: %u guest%s; %llu MiB of memory", config->name, config->config->guest_count,
                  config->config->guest_count == 1 ? "" : "s", (unsigned long long)(memory >> 20));
    if (cpus != 0) {
        console_print(", %u CPU%s\n", cpus, cpus == 1 ? "" : "s");
    } else {
        console_print(", CPUs not listed by the firmware\n");
    }
    if (config_load_check_machine(config, memory, reserve, cpus) != 0 ||
        config_load_files(config, handover) != 0) {
        return false;
    }
    if (roms_keep(boot, config->config, handover) != EFI_SUCCESS) {
        console_print("error: no memory for the hand-over block\n");
        return false;
    }
    return config_load_check_machine(config, memory, reserve + bytes_of_files(handover), cpus) == 0;
}

static void fill_config(const struct config_load *config, struct handover *handover) {
    const uint8_t *size = (const uint8_t *)config->tree.fdt + 4; /* fdt_header.totalsize, big-endian */

    handover->config = (uint64_t)(uintptr_t)config->tree.fdt;
    handover->config_size =
        (uint64_t)size[0] << 24 | (uint64_t)size[1] << 16 | (uint64_t)size[2] << 8 | size[3];
    handover->config_name = (uint64_t)(uintptr_t)memory_keep(sizeof("saguaro.dts"));
    if (handover->config_name != 0) {
        memcpy((char *)(uintptr_t)handover->config_name, config->name, strlen(config->name) + 1);
    }
}

/* Returns only if something is wrong; it was said then. */
static void run(EFI_HANDLE image, EFI_SYSTEM_TABLE *system, struct source *sources, unsigned int source_count,
                uint64_t tsc) {
    struct handover *handover = memory_keep(sizeof(*handover));
    static struct config_load config;
    static struct leave leave;
    const char *fault;
    bool large_1g;
    EFI_STATUS status;

    fault = machine_cpu_fault(&large_1g);
    if (fault != NULL) {
        console_print("error: %s\n", fault);
        return;
    }
    if (handover == NULL || machine_list_cpus(system->BootServices, handover) != EFI_SUCCESS ||
        machine_command_line(system->BootServices, image, handover) != EFI_SUCCESS) {
        console_print("error: no memory for the hand-over block\n");
        return;
    }
    handover->magic = HANDOVER_MAGIC;
    handover->version = HANDOVER_VERSION;
    handover->size = sizeof(*handover);
    handover->tsc_loader = tsc;
    handover->efi_system_table = (uint64_t)(uintptr_t)system;
    machine_find_tables(system, handover);
    if (!load(system->BootServices, &config, sources, source_count, handover)) {
        return;
    }
    fill_config(&config, handover);
    if (handover->config_name == 0) {
        console_print("error: no memory for the hand-over block\n");
        return;
    }
    machine_find_framebuffer(system, &handover->framebuffer); /* late: a mode switch would move it */
    if (!leave_prepare(&leave, handover, large_1g)) {
        return;
    }
    console_print("Starting the hypervisor.\n");
    status = leave_jump(image, system, &leave, handover);
    console_print("error: the firmware does not let go of the machine: %s\n", source_status_text(status));
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

/* GNU-EFI's start-up code calls this as an ordinary C function, not as EFIAPI. */
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system) {
    uint64_t tsc = read_tsc();
    struct source sources[2];
    unsigned int source_count;

    /* The firmware's watchdog resets the machine 5 minutes after the start of an application that loads
     * slowly. */
    system->BootServices->SetWatchdogTimer(0, 0, 0, NULL);
    console_open(system);
    memory_open(system->BootServices);
    console_print("\nSaguaro loader\n");
    source_count = source_open(system->BootServices, image, sources);
    run(image, system, sources, source_count, tsc);
    console_print(
        "Nothing was started. Press a key to return to the firmware (in %u seconds it happens by itself).\n",
        WAIT_SECONDS);
    console_wait_key(WAIT_SECONDS);
    source_close(system->BootServices, sources, source_count);
    return EFI_LOAD_ERROR; /* the firmware goes on with its next boot option */
}
