// SPDX-License-Identifier: Apache-2.0
// The service VM as the hypervisor sees it: its start and restart, the board that both share, its calls, and
// the devices of guests that it answers for. abi/service.h says what passes between the two.
#ifndef SAGUARO_CORE_SERVICE_H
#define SAGUARO_CORE_SERVICE_H

#include "abi/service.h"
#include "core/vm.h"

struct config;

/* Makes the service VM, before the guests' VMs, which may take the memory that it needs: its memory, the
 * board, what it is shown of config and files. 0; a negative errno after a line in the log. `config_blob` is
 * the flattened tree. */
int service_create(const struct config *config, const void *config_blob, size_t config_size);
/* Its windows, once the guests' VMs are made. 0, or a negative errno after a line in the log. */
int service_show_guests(void);
/* Starts it; `ready` is called on the boot CPU when it says that guests may start, or has failed to say so.
 * At once if there is none, or if it serves no guest. */
void service_start(void (*ready)(void));
/* NULL: it could not be made. */
struct vm *service_vm(void);
/* How often it was started. */
unsigned service_starts(void);
/* Ends its run; it starts again at once. 0, -ENODEV, -EBUSY: it is being started. */
int service_restart(void);
/* There is a key for the operator's shell: console_set_typed(). Says so where nobody will take it. */
void service_shell_typed(void);

/* ---- for the architecture */
/* Loads its image, at each of its starts. *entry: guest-physical; *board: where the board is. 0, or a
 * negative errno with vm->end_text set. */
int service_load(struct vm *vm, uint64_t *entry, uint64_t *board);
/* The clock for the board: as abi/service.h says. Defined by the architecture. */
void arch_service_clock(uint64_t *base, uint64_t *multiplier);
/* lib/image.h's reader for this machine's ELF files; defined by the architecture. */
struct image_source;
struct image_loadable;
int arch_service_parse(const struct image_source *source, struct image_loadable *out, char *why,
                       size_t why_size);
/* A call of the service VM's vCPU; its result. It may have set vcpu->hold. */
int32_t service_call(struct vcpu *vcpu, uint32_t number, const uint32_t arguments[4]);

/* ---- for the scheduler and for VMs' lives */
/* What the service VM's vCPU asked for (VCPU_HOLD_CONTROL) is not done yet. */
bool service_shell_busy(void);
/* Something is there that ends SERVICE_CALL_WAIT. */
bool service_has_event(void);
/* A guest's machine is reset; has changed its state (also the service VM's own); shows other memory. */
void service_guest_reset(struct vm *vm);
/* Whether the service VM has let go of the guest's memory since service_guest_reset(): a disk may still be at
 * work on what the last run asked for. If it does not do so in SETTLE_TIME it is started anew. */
bool service_guest_settled(struct vm *vm);
/* Its vCPU 0 sleeps until then (VCPU_HOLD_SETTLE). */
void service_guest_waits(struct vm *vm);
void service_guest_changed(struct vm *vm);
void service_guest_memory(struct vm *vm);
/* What is written to the guest's RAM is to be told from now on, or no longer. What the service VM wrote
 * before it could know is visible when this returns. */
void service_guest_logged(struct vm *vm, bool logged);

/* ns until it may start again: the machine's functions that it had are being reset. */
uint64_t service_rest(void);
/* The machine is about to be switched off or reset: no function does DMA for the service VM
 * or a guest any more. */
void service_leave(void);

/* ---- for devices (devices/service_pci.h, devices/service_mmio.h) */
/* Bit `bit` of device `number` rings. */
void service_doorbell(unsigned number, unsigned bit);
/*
 * An access to device `number`, in its BAR `bar` at `offset`, of 1, 2, 4 or 8 bytes. 0: *value is the answer,
 * or was written. -EAGAIN: the service VM was asked; the vCPU is held, and repeats the access once it is not.
 */
int service_request(struct vcpu *vcpu, unsigned number, unsigned bar, uint64_t offset, unsigned size,
                    bool write, uint64_t *value);

#endif
