// SPDX-License-Identifier: Apache-2.0
// The EFI runtime's ResetSystem() (UEFI specification 2.10, 8.5.1). The firmware was never told of virtual
// addresses: its code and data have to lie at their physical ones. Only here is memory both writable and
// executable, in a root that is used for nothing else.
#include "arch/x86/efi_reset.h"

#include <stddef.h>
#include "arch/x86/host_map.h"
#include "arch/x86/platform.h"
#include "arch/x86/registers.h"
#include "core/log.h"

#define SYSTEM_SIGNATURE  0x5453595320494249ull
#define RUNTIME_SIGNATURE 0x56524553544e5552ull
#define MEMORY_RUNTIME    (1ull << 63) /* EFI_MEMORY_RUNTIME */
#define RESET_COLD        0u
#define RESET_SHUTDOWN    2u

typedef void(__attribute__((ms_abi)) * efi_reset_system)(uint32_t type, uint64_t status, uint64_t size,
                                                         const void *data);

struct efi_runtime_services {
    uint64_t signature;
    uint64_t header[2];
    uint64_t functions[10];
    efi_reset_system reset_system;
};

struct efi_system_table {
    uint64_t signature;
    uint64_t header[2];
    uint64_t vendor;
    uint64_t revision;
    uint64_t consoles[6];
    const struct efi_runtime_services *runtime;
};

_Static_assert(offsetof(struct efi_runtime_services, reset_system) == 104, "UEFI 2.10, 4.5.1");
_Static_assert(offsetof(struct efi_system_table, runtime) == 88, "UEFI 2.10, 4.3.1");

static bool map_runtime(uint64_t *root) {
    const struct platform_info *info = platform_info();

    for (unsigned i = 0; i < info->memory_count; i++) {
        const struct handover_memory *m = &info->memory[i];
        bool wanted = m->type == HANDOVER_MEMORY_RUNTIME ||
                      (m->type == HANDOVER_MEMORY_MMIO && (m->efi_attributes & MEMORY_RUNTIME));
        if (wanted && host_map_identity(root, m->base, m->size))
            return false;
    }
    return true;
}

static bool in_runtime(uint64_t address, uint64_t size) {
    return platform_memory_type(address, size) == HANDOVER_MEMORY_RUNTIME;
}

static uint64_t efi_root; /* physical address; 0: this machine has no usable EFI runtime */

void efi_reset_prepare(void) {
    uint64_t table = platform_info()->handover.efi_system_table;
    uint64_t physical;

    if (!table || table % 8 || !in_runtime(table, sizeof(struct efi_system_table)))
        return;
    uint64_t *root = host_map_temporary_root(&physical);
    if (root && map_runtime(root))
        efi_root = physical;
}

void efi_reset(bool power_off) {
    if (!efi_root)
        return;
    cr3_write(efi_root);
    const struct efi_system_table *system =
        (const struct efi_system_table *)platform_info()->handover.efi_system_table;
    const struct efi_runtime_services *runtime = system->runtime;
    if (system->signature == SYSTEM_SIGNATURE && in_runtime((uint64_t)runtime, sizeof(*runtime)) &&
        runtime->signature == RUNTIME_SIGNATURE && in_runtime((uint64_t)runtime->reset_system, 1))
        runtime->reset_system(power_off ? RESET_SHUTDOWN : RESET_COLD, 0, 0, NULL);
    host_map_load();
}
