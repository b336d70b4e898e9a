// SPDX-License-Identifier: Apache-2.0
// identity-memory: RAM of a guest in one piece at the machine's own addresses, so that functions of the
// machine find it where the guest says, without an IOMMU.
#include <errno.h>

#include "arch/x86/guest/pc.h"
#include "arch/x86/vm.h"
#include "core/log.h"
#include "lib/config.h"

#define LEGACY_END 0x100000ull
#define FOUR_GIB   0x100000000ull
/* Above 4 GiB a kernel is entered with one table of 512 GiB, which maps its GiB and the next one. */
#define HIGH_END   (511ull << 30)

int pc_identity_create(struct vm *vm, uint64_t image_end) {
    struct pc *pc = &x86_vm(vm)->pc;
    uint64_t apart = image_end > LEGACY_END ? image_end : LEGACY_END, at;
    uint64_t size = pc_backing_size(vm->config, 0);
    unsigned mib = (unsigned)(vm->config->memory >> 20);

    /* The image has to be somewhere in [0, memory) all the same. */
    apart = apart < size ? (apart + LARGE_PAGE_SIZE - 1) & ~(LARGE_PAGE_SIZE - 1) : size;
    if (vm->config->memory <= apart) {
        log_error(
            "guest %s: identity-memory: of its %u MiB nothing is left beside the first 2 MiB and what a "
            "multiboot image takes, which ends at 0x%llx",
            vm->name, mib, (unsigned long long)image_end);
        return -ENOMEM;
    }
    int error = guest_memory_create_row(vm, apart, size, apart, PC_RAM_LOW_MAX, &at);
    if (error == -ENOMEM)
        error = guest_memory_create_row(vm, apart, size, FOUR_GIB, HIGH_END, &at);
    if (error) {
        log_error("guest %s: identity-memory: there are no %u MiB in one piece where a guest can have them: "
                  "name it before the other guests, or ask for less",
                  vm->name, mib);
        return error;
    }
    pc->apart = apart;
    pc->identity = (struct memory_range){.base = at, .size = vm->config->memory - apart};
    log_info("guest %s: its RAM is at the machine's own addresses, 0x%llx to 0x%llx", vm->name,
             (unsigned long long)at, (unsigned long long)(at + pc->identity.size - 1));
    return 0;
}
