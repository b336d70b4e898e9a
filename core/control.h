// SPDX-License-Identifier: Apache-2.0
// The control calls: what may be asked of and done to the host and its guests. The monitor uses them; whoever
// manages the machine from outside the hypervisor gets the same ones. Boot CPU only. Guests and CPUs are
// numbered from 0.
#ifndef SAGUARO_CORE_CONTROL_H
#define SAGUARO_CORE_CONTROL_H

#include "abi/figures.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/vm.h"

struct control_vm {
    char name[VM_NAME_SIZE];
    const char *state; /* for people: "running", "off", ... */
    bool active;       /* running, stopping or paused: it has something to lose */
    char ended[160];   /* how its last run ended, for people; "" while it runs or was never started */
    unsigned vcpus;
    unsigned restarts;
    uint64_t memory;   /* bytes of RAM */
    uint64_t overhead; /* bytes of the hypervisor's heap */
    uint64_t cpu_time; /* ns, of all vCPUs */
};

unsigned control_vm_count(void);
/* The guest's number, or -ENOENT. */
int control_vm_find(const char *name);
/* 0 or -ENOENT. */
int control_vm_info(unsigned number, struct control_vm *info);
/* Calls `print` for each cause of exits that there was. 0 or -ENOENT. */
int control_vm_exits(unsigned number, void (*print)(const char *line));

/* The service VM; how often it was started. 0 or -ENODEV: there is none. */
int control_service_info(struct control_vm *info, unsigned *starts);
void control_service_exits(void (*print)(const char *line));
/* Starts it again; guests wait for its answers meanwhile. 0, -ENODEV, -EBUSY: it is being started already. */
int control_service_restart(void);

/* Asks the service VM for its figures: `done` is called later, with them or, if it does not answer, with
 * NULL; they are checked, and valid until it returns. 0, -ENODEV, -EBUSY: it was asked already; -ENOMEM. */
int control_figures(void (*done)(const struct service_figures *figures));
/* ns since the machine's start. */
uint64_t control_time(void);

enum control_action { CONTROL_START, CONTROL_STOP, CONTROL_RESET, CONTROL_PAUSE, CONTROL_RESUME };

/* Begins an action. 0; -EALREADY: it is so already; -EBUSY: it is between two states; -EINVAL: not in its
 * state; -ENOENT. */
int control_vm_action(unsigned number, enum control_action action);
/* Counts the pages that the guest writes in a second: the answer comes as a line of the log. 0; -EBUSY: a
 * guest's are being counted; -EINVAL: it does not run; -ENOENT. */
int control_vm_writes(unsigned number);
/* Gives the guest the host's console. 0, -ENODEV, -ENOENT. */
int control_vm_console(unsigned number);

struct control_cpu {
    uint32_t id; /* the hardware's number */
    bool online;
    bool self;     /* it runs the caller of this */
    uint64_t idle; /* ns since it was started */
    uint64_t time; /* when that was taken, time_now() */
    char runs[VM_NAME_SIZE];
    unsigned runs_vcpu; /* of guest `runs`; "": none */
};

unsigned control_cpu_count(void);
/* 0 or -ENOENT. */
int control_cpu_info(unsigned number, struct control_cpu *info);

/* A line for each PCI function of the machine. */
void control_devices(void (*print)(const char *line));

void control_memory(struct memory_statistics *out);
/* The newest `count` lines of the log. */
void control_log(unsigned count, void (*print)(const char *line));

/* At once: what runs is cut off. */
__attribute__((noreturn)) void control_reboot(void);
__attribute__((noreturn)) void control_power_off(void);

#endif
