// SPDX-License-Identifier: Apache-2.0
// What the operator's shell, which is a part of the service VM, asks of the hypervisor: figures of the
// machine (SERVICE_CALL_LOOK) and actions (SERVICE_CALL_CONTROL).
#ifndef SAGUARO_ABI_CONTROL_H
#define SAGUARO_ABI_CONTROL_H

#include "abi/service.h"

/* In place of a guest's number. */
#define CONTROL_SERVICE 0xfffffffeu /* the service VM */
#define CONTROL_NO_VM   0xffffffffu /* only in answers: none */

/* What SERVICE_CALL_CONTROL does; those up to CONTROL_CONSOLE to guest `vm`, which is 0 for the others.
 * Results: 0; -EALREADY: it is so already; -EBUSY: it is between two states, or what was asked for goes on
 * already; -EINVAL: not in its state, or there is no such action; -ENOENT: no such guest; -ENODEV: it has no
 * console; -ENOTSUP: it has no power button; -EAGAIN: it is being started. */
enum control_action {
    CONTROL_START,
    CONTROL_STOP,
    CONTROL_RESET,
    CONTROL_PAUSE,
    CONTROL_RESUME,
    CONTROL_SHUT_DOWN, /* presses its power button: it shuts down, if it likes, and is not started again */
    CONTROL_WRITES,    /* counts the pages that it writes in a second: the answer is a line of the log */
    CONTROL_CONSOLE,   /* the operator's keys are the guest's until Ctrl-] */
    CONTROL_RESTART,   /* ends this run of the service VM and starts it again */
    CONTROL_REBOOT,    /* of the machine, at once */
    CONTROL_POWER_OFF, /* the same */
    CONTROL_ACTIONS
};

/* What SERVICE_CALL_LOOK shows, with the structure that it fills in. `number` counts from 0. */
enum control_kind {
    CONTROL_MACHINE, /* struct control_machine; number 0 */
    CONTROL_VM,      /* struct control_vm; a guest, or CONTROL_SERVICE */
    CONTROL_EXITS,   /* struct control_exits; the same */
    CONTROL_CPU,     /* struct control_cpu */
    CONTROL_DEVICE,  /* struct control_device: a PCI function of the machine */
    CONTROL_LOG,     /* struct control_log: a line, counted since the machine's start */
    CONTROL_IOMMU,   /* struct control_iommu: a line */
    CONTROL_KINDS
};

struct control_machine {
    uint32_t vm_count, cpu_count, device_count;
    uint32_t log_end;   /* of the line that comes next; the counter begins at 0 again after 2^32 */
    uint32_t log_lines; /* so many are kept, at most */
    uint32_t starts;    /* of the service VM */
    uint64_t memory;    /* bytes, all of it */
    uint64_t free;      /* bytes that nobody has */
    uint64_t largest;   /* bytes of the largest free block */
    uint64_t heap;      /* bytes of the hypervisor's heap, used or not */
    uint64_t heap_used;
};

enum control_state {
    CONTROL_OFF,
    CONTROL_RESTARTING, /* off, and waits until it is started again */
    CONTROL_CRASHED,    /* off */
    CONTROL_RUNNING,
    CONTROL_STOPPING,
    CONTROL_PAUSED,
    CONTROL_STATES
};

/* How a VM's last run ended. */
enum control_end {
    CONTROL_END_NONE,      /* it runs, or was never started */
    CONTROL_END_POWER_OFF, /* it switched its machine off */
    CONTROL_END_RESET,     /* it reset its machine */
    CONTROL_END_EXIT,      /* by its exit port */
    CONTROL_END_CRASH,     /* `end_text` says why */
    CONTROL_END_OTHER,     /* `end_text` says how */
    CONTROL_ENDS
};

/* Texts end with a NUL. */
struct control_vm {
    char name[SERVICE_NAME_SIZE];
    uint32_t state; /* enum control_state */
    uint32_t end;   /* enum control_end */
    uint32_t end_code;
    char end_text[160];
    uint32_t vcpus;
    uint32_t restarts; /* since it was last started by hand, or had run for a minute */
    uint64_t memory;   /* bytes of RAM */
    uint64_t overhead; /* bytes of the hypervisor's heap */
    uint64_t cpu_time; /* ns, of all vCPUs */
};

#define CONTROL_MAX_EXITS 32u
struct control_exit {
    char name[24]; /* of the cause */
    uint64_t count;
};

/* Causes that there was an exit by. */
struct control_exits {
    uint32_t count;
    uint32_t unused;
    struct control_exit exit[CONTROL_MAX_EXITS];
};

struct control_cpu {
    uint32_t id;     /* the hardware's number */
    uint32_t online; /* 1: it has started */
    uint32_t vm;     /* that it runs: a guest, CONTROL_SERVICE or CONTROL_NO_VM */
    uint32_t vcpu;   /* of that VM */
    uint64_t idle;   /* ns since it was started */
    uint64_t time;   /* when that was taken, ns of the machine's clock */
};

enum control_owner {
    CONTROL_OWNER_NONE,
    CONTROL_OWNER_HYPERVISOR,
    CONTROL_OWNER_SERVICE,
    CONTROL_OWNER_GUEST, /* `guest` is its name */
    CONTROL_OWNERS
};

struct control_device {
    uint16_t segment;
    uint8_t bus;
    uint8_t devfn; /* slot << 3 | function */
    uint16_t vendor, device;
    uint32_t class; /* class << 16 | subclass << 8 | interface */
    uint32_t owner; /* enum control_owner */
    uint16_t msix;  /* messages that it can have; 0: none */
    uint16_t msi;
    uint8_t pin;     /* 1 to 4: its interrupt pin A to D; 0: none */
    uint8_t grouped; /* 1: there is an IOMMU, which ... */
    uint16_t group;  /* ... cannot keep those apart that have the same here: bus << 8 | slot << 3 */
    char guest[SERVICE_NAME_SIZE];
};

struct control_log {
    uint32_t level; /* 0 error .. 3 debug */
    uint32_t unused;
    uint64_t time; /* ns of the machine's clock */
    char text[248];
};

/* On the IOMMU's units and domains, and what was blocked; without an IOMMU there is no line. */
struct control_iommu {
    char text[192];
};

#endif
