// SPDX-License-Identifier: Apache-2.0
// What the files of the service VM's side in the hypervisor share.
#ifndef SAGUARO_CORE_SERVICE_INTERNAL_H
#define SAGUARO_CORE_SERVICE_INTERNAL_H

#include "core/service.h"
#include "core/timer.h"

struct service_function;
struct service_mmio;

struct service {
    struct vm *vm;               /* NULL: there is none */
    struct service_board *board; /* the service VM may write to all of it: nothing there is believed */
    uint64_t board_physical;
    uint64_t memory; /* its own, guest-physical = host-physical */
    unsigned starts;
    uint64_t begun; /* time_now() of the first start: guests do not wait longer for one that dies again and
                       again */
    struct work ready_work;
    uint32_t ready_said;              /* guests may start */
    struct timer wake;                /* the end of SERVICE_CALL_WAIT */
    struct timer watch;               /* looks whether it still comes back */
    uint32_t watched;                 /* 1: `watch` is armed, or runs; atomic */
    uint32_t calls;                   /* of SERVICE_CALL_WAIT */
    uint32_t calls_seen;              /* by the last look */
    uint64_t time_seen;               /* CPU time at that look, ns */
    uint64_t wake_at;                 /* what the last SERVICE_CALL_WAIT asked for */
    uint32_t resets[SERVICE_MAX_VMS]; /* as in the board */
    uint64_t reset_at[SERVICE_MAX_VMS];
    unsigned reset_in[SERVICE_MAX_VMS];       /* `starts` then */
    uint32_t unsettled;                       /* VMs whose start waits; atomic */
    uint32_t unsettled_said[SERVICE_MAX_VMS]; /* for which of `resets` there was a line about that */
    struct spinlock lock;                     /* guards what follows, and the board's VMs */
    struct service_function *function[SERVICE_MAX_DEVICES]; /* each device is in one of these two */
    struct service_mmio *mmio[SERVICE_MAX_DEVICES];
    uint16_t owner[SERVICE_MAX_DEVICES]; /* VM */
    uint32_t token[SERVICE_MAX_DEVICES]; /* 0: free */
};
extern struct service service;

/* Whether anything of the guest's config is the service VM's to serve: then it sees its RAM. */
bool service_serves(const struct vm *vm);
/* Sets SERVICE_EVENT_* bits and wakes the service VM. */
void service_event(uint32_t events);
/* Wakes VMs whose start waited for the service VM to let go of their memory, and need not any more. */
void service_settle(void);
/* Guests may start, or have waited long enough. Any CPU. */
void service_say_ready(void);
/* Each device of the guest, or all of the service VM's, as after its machine's reset. */
void service_devices_reset(const struct vm *vm);
/* What a guest with a virtio console has of it here (core/service_console.c): bytes on the way between the
 * service VM and the operator's console. 0 or -ENOMEM. */
int service_console_create(struct vm *vm);
/* The guest's machine is reset: what the user types is not for that console, until it is opened. Nothing
 * happens if the guest has none. */
void service_console_close(const struct vm *vm);
/* SERVICE_CALL_CONSOLE_*, each argument checked. */
int32_t service_console_open(uint32_t vm, uint32_t open);
int32_t service_console_write(uint32_t vm, uint32_t address, uint32_t length);
int32_t service_console_read(uint32_t vm, uint32_t address, uint32_t room, uint32_t from);
/* The calls of the operator's shell (core/service_shell.c), as abi/service.h says. */
int32_t service_shell_show(uint32_t address, uint32_t length);
int32_t service_shell_prompt(uint32_t address, uint32_t length, uint32_t cursor);
int32_t service_shell_control(struct vcpu *vcpu, uint32_t action, uint32_t vm);
int32_t service_shell_look(uint32_t kind, uint32_t number, uint32_t address);
/* The service VM was started again: rings all doorbells, asks again what waits for an answer. */
void service_ask_again(void);

/* ---- the machine's PCI functions (devices/service_host_pci.c) */
/* Offers it network cards and mass storage that no guest has to itself, once, before anything is shown at an
 * address of our choice. */
struct config;
void service_host_offer(const struct config *config);
/* Whether a BAR of what was offered lies in [base, base + size); *end is where its last page ends. */
bool service_host_overlap(uint64_t base, uint64_t size, uint64_t *end);
/* Writes them into the board, at each of its starts. */
void service_host_show(void);
/* It has ended: all that it claimed is stopped, DMA first, and is nobody's. `last`: the machine ends, too; it
 * may still run, but gets nothing more. On the boot CPU. */
void service_host_release(bool last);
/* ns until those that were reset may be used again. */
uint64_t service_host_rest(void);
/* The calls; results as abi/service.h says. */
int32_t service_host_claim(uint32_t number);
int32_t service_host_master(uint32_t number, uint32_t on);
int32_t service_host_vectors(uint32_t number, uint32_t wanted);
int32_t service_host_unmask(uint32_t number, uint32_t mine);

#endif
