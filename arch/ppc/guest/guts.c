// SPDX-License-Identifier: Apache-2.0
// The global utilities of a guest's board: which CPU this is, and how to reset the machine.
#include "arch/ppc/guest/guts.h"

#include <errno.h>

#include "abi/ppc/vcpu.h"
#include "arch/ppc/guest/board.h"

#define PVR         0xa0u
#define SVR         0xa4u
#define RSTCR       0xb0u
#define RSTCR_RESET 0x2u /* HRESET_REQ */

static int guts_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)device;
    (void)vcpu;
    if (size != 4 || offset % 4)
        return -ENXIO;
    *value = offset == PVR ? PPC_GUEST_PVR : offset == SVR ? PPC_GUEST_SVR : 0;
    return 0;
}

static int guts_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    if (size != 4 || offset % 4)
        return -ENXIO;
    if (offset == RSTCR && value & RSTCR_RESET)
        vm_end(device, VM_END_RESET, 0, "the guest asked for a reset");
    return 0;
}

static const struct bus_ops guts_ops = {.read = guts_read, .write = guts_write};

static int guts_create(struct vm *vm, unsigned index) {
    (void)index;
    return bus_add(&vm->bus[BUS_MEMORY], BOARD_CCSR + BOARD_GUTS, BOARD_GUTS_SIZE, &guts_ops, vm,
                   "global utilities");
}

static void guts_destroy(struct vm *vm, unsigned index) {
    (void)index;
    bus_remove(&vm->bus[BUS_MEMORY], BOARD_CCSR + BOARD_GUTS);
}

const struct part guts_part = {
    .name = "ppc.guts",
    .version = 1,
    .create = guts_create,
    .destroy = guts_destroy,
};
