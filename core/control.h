// SPDX-License-Identifier: Apache-2.0
// What may be asked of the machine and its guests, and done to them, by who manages it: the shell in the
// service VM (abi/control.h, core/service_shell.c).
#ifndef SAGUARO_CORE_CONTROL_H
#define SAGUARO_CORE_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include "abi/control.h"

/* An answer of any kind (enum control_kind). */
union control_answer {
    struct control_machine machine;
    struct control_vm vm;
    struct control_exits exits;
    struct control_cpu cpu;
    struct control_device device;
    struct control_log log;
    struct control_iommu iommu;
};

/* Fills in an answer, *size its bytes. Any CPU. 0, -EINVAL, -ENOENT as abi/control.h says. */
int control_look(uint32_t kind, uint32_t number, union control_answer *answer, size_t *size);

/* Does what abi/control.h says; does not come back from CONTROL_REBOOT and CONTROL_POWER_OFF. Boot CPU only.
 */
int control_act(uint32_t action, uint32_t vm);

/* ---- for control_act() */
/* Counts the pages that the guest writes in a second. 0; -EBUSY: a guest's are being counted; -EINVAL: it
 * does not run. */
struct vm;
int control_writes(struct vm *vm);

/* ---- for control_look(), by devices/host_pci.c */
unsigned control_device_count(void);
void control_device(unsigned number, struct control_device *out); /* number < control_device_count() */
/* The same, by drivers/iommu/iommu_fault.c: the `number`th line, of `size` bytes, on what there is of IOMMUs:
 * units, domains, requesters with what was blocked of them. False: there are no more; there is no IOMMU if
 * there is none at all. */
bool control_iommu(unsigned number, char *line, size_t size);

#endif
