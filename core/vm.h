// SPDX-License-Identifier: Apache-2.0
// Virtual machines and their vCPUs: identity, life and death, requests to a running vCPU.
#ifndef SAGUARO_CORE_VM_H
#define SAGUARO_CORE_VM_H

#include "core/bus.h"
#include "core/cpu.h"
#include "core/guest_memory.h"
#include "core/paging.h"
#include "core/part.h"
#include "core/timer.h"

#define VM_MAX       32
#define VM_MAX_VCPUS 16
#define VM_NAME_SIZE 33

enum vm_state {
    VM_OFF, /* not started, or ended */
    VM_RUNNING,
    VM_STOPPING, /* some vCPUs still have to park */
    VM_PAUSED,
};

/* How a guest's run ended. */
enum vm_end {
    VM_END_NONE,
    VM_END_POWER_OFF, /* the guest switched its machine off */
    VM_END_RESET,     /* the guest asked for a reset: starts again at once */
    VM_END_EXIT,      /* exit port; `end_code` is the value written */
    VM_END_CRASH,     /* triple fault or something we cannot go on from; `end_text` says what */
    VM_END_STOPPED,   /* by command */
    VM_END_REFUSED,   /* could not be started: `end_text` says why */
    VM_END_RESTART,   /* by command: reset */
};

/* Requests to a vCPU, looked at before every guest entry. Bits from 16 on belong to the architecture. */
#define VCPU_REQUEST_PARK 0x1u
#define VCPU_REQUEST_LOAD                                                                                    \
    0x2u /* vCPU 0 of a VM that starts: prepare the machine (vm_prepare()) before the first guest entry */
#define VCPU_REQUEST_RESUMED 0x4u /* the VM goes on after a pause */
#define VCPU_REQUEST_ARCH    0x10000u

enum vcpu_state {
    VCPU_PARKED,  /* outside the scheduler */
    VCPU_BLOCKED, /* waits for an event */
    VCPU_READY,   /* on a run queue */
    VCPU_RUNNING,
};

/* Why a vCPU may not run, whatever else is pending for it. */
enum vcpu_hold {
    VCPU_HOLD_NONE,
    VCPU_HOLD_ANSWER,  /* the service VM owes it an answer */
    VCPU_HOLD_EVENT,   /* the service VM's own: until there is an event for it */
    VCPU_HOLD_SETTLE,  /* its VM's start waits for the service VM to let go of the VM's memory */
    VCPU_HOLD_CONTROL, /* the service VM's own: until the boot CPU has done what it asked for */
};

/* An access of a vCPU's that the service VM answers; see core/service.h. */
enum vcpu_io_state { VCPU_IO_NONE, VCPU_IO_WAITING, VCPU_IO_ANSWERED };
struct vcpu_io {
    uint32_t state; /* enum vcpu_io_state, atomic */
    uint16_t device;
    uint8_t bar;
    uint8_t size;
    bool write;
    uint32_t offset;
    uint32_t sequence;
    uint64_t value;
    uint64_t asked; /* a write: what was to be written */
};

/* The first member of the architecture's vCPU. */
struct vcpu {
    struct vm *vm;
    unsigned index;    /* within the VM */
    uint32_t requests; /* VCPU_REQUEST_*, atomic; looked at before each entry */
    uint32_t in_guest; /* 1 from before the last look at `requests` until the exit */
    struct cpu *cpu;   /* where it runs, or ran last */
    uint32_t hold;     /* enum vcpu_hold; set and taken back by the vCPU itself */
    struct vcpu_io io;

    /* scheduler */
    struct list ready;     /* link in the run queue */
    enum vcpu_state state; /* guarded by the scheduler's lock */
    uint8_t priority;      /* 0..99, higher runs first */
    uint64_t affinity;     /* bit n: may run on CPU n */
    uint64_t budget;       /* ns in each period; 0: no budget */
    uint64_t period;       /* ns */
    uint64_t budget_left;
    uint64_t budget_debt; /* used beyond the budget, at most one budget: comes off the next */
    bool preempted;       /* throttled while it still wanted to run */
    bool throttled;       /* out of budget until the replenishment */
    struct timer replenish;
    uint64_t slice_left;  /* ns before an equal has its turn */
    uint64_t slice_start; /* when it was put on its CPU */
    uint64_t run_time;    /* ns on a CPU, ever */
};

struct vm_console;
struct service_dma;

/* Of a VM that has functions of the machine to itself (devices/guest_passthrough.h): their state is nobody's
 * to save, so that the VM stays on this machine. */
struct vm_passed {
    /* Its run is over and all vCPUs are parked, or the machine is about to end (`last`; it may still run): no
     * DMA and no interrupts any more, and the functions are reset. On the boot CPU. */
    void (*release)(struct vm *vm, bool last);
    /* ns until it may start: the functions are being reset. */
    uint64_t (*rest)(const struct vm *vm);
    /* For the guest's own IOMMU, as SERVICE_CALL_DMA_* (abi/service.h): of addresses that map() takes; 0: it
     * has none, and the three are not there. One caller at a time. */
    unsigned address_bits;
    int (*confine)(struct vm *vm, unsigned number, bool on);
    int (*map)(struct vm *vm, unsigned number, const struct service_dma *dma);
    int (*unmap)(struct vm *vm, unsigned number, const struct service_dma *dma);
};

struct boot_file;

/* A piece of a file that is still to be copied, while the VM starts. */
struct vm_load {
    const struct boot_file *file;
    uint64_t offset, gpa, size;
};
#define VM_LOADS 40u /* of a start; what is beyond them is copied in one go */

/* The first member of the architecture's VM. */
struct vm {
    char name[VM_NAME_SIZE];
    unsigned id;
    const struct config_guest *config;
    struct guest_memory memory;
    struct bus bus[BUS_SPACE_COUNT];
    const struct platform *platform;
    bool service; /* this is the service VM, which is not among the guests */
    unsigned vcpu_count;
    struct vcpu *vcpu[VM_MAX_VCPUS];

    struct spinlock lock; /* guards state, end*, unparked */
    enum vm_state state;
    unsigned unparked; /* vCPUs that the scheduler still has */
    enum vm_end end;   /* why it stops; VM_END_NONE while it runs */
    uint32_t end_code;
    char end_text[160];
    struct vcpu *crashed; /* whose report the log gets; NULL: all of them */
    uint64_t scrubbed;    /* 2 MiB blocks of RAM that are zero already, while the VM starts */
    bool made;            /* while it starts: the machine is reset, `load` is known */
    bool pausing;         /* VM_STOPPING on the way to VM_PAUSED */
    bool unserved;        /* while it starts: the service VM was told to let go of it */
    bool prepared;        /* the machine is reset and loaded */
    bool restarting;      /* off, and waits for restart_timer */
    bool stay_off;        /* stopped by command: no restart, however the run ends */
    bool shut_down;       /* asked to by command: no restart, if it switches itself off in this run */
    struct work restart_work;
    struct work ended;          /* on the boot CPU: all vCPUs are parked */
    struct timer restart_timer; /* back-off before a restart */
    unsigned restarts;          /* since it was last started by hand, or had run for a minute */
    uint64_t started;           /* time_now() of the last start */
    struct vm_console *console;
    struct vm_passed *passed;      /* NULL: it has none; set by a part when it is created */
    struct vm_load load[VM_LOADS]; /* while it starts: in this order, those before load_next are done */
    unsigned load_count, load_next;
};

/* Makes a VM from its config: memory, platform, vCPUs; does not start it. NULL with *error a negative errno;
 * -ENXIO: none of its CPUs has started. */
struct vm *vm_create(const struct config_guest *config, int *error);
/* The same for the service VM, which vm_get() and vm_find() do not find. */
struct vm *vm_create_service(const struct config_guest *config, int *error);
unsigned vm_count(void);
struct vm *vm_get(unsigned index);    /* index < vm_count() */
struct vm *vm_find(const char *name); /* NULL: none */
const char *vm_state_name(const struct vm *vm);

/* Commands (boot CPU only; core/control.h). 0 or -EBUSY/-EALREADY/-EINVAL when the
 * state does not allow it. */
int vm_start(struct vm *vm);
int vm_stop(struct vm *vm);
int vm_reset(struct vm *vm);
int vm_pause(struct vm *vm);
int vm_resume(struct vm *vm);
/* Presses the power button of a guest that runs. What the guest makes of it is its own affair; if it switches
 * itself off in this run, it is not started again. Also -ENOTSUP: it has none; -EAGAIN: its machine is being
 * made. */
int vm_shut_down(struct vm *vm);

/* Ends the guest's run from anywhere: its vCPUs park at their next exit, then its restart policy applies. The
 * first caller counts. */
void vm_end(struct vm *vm, enum vm_end end, uint32_t code, const char *text);
/* vm_end(VM_END_CRASH) with a formatted reason. The vCPU's report goes to the log once it is parked. */
void vm_crash(struct vcpu *vcpu, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One step of a VM's start, in the context of its vCPU 0: scrubs a block of RAM, or resets, or loads a piece
 * of its files. True: more steps follow. */
bool vm_prepare(struct vm *vm);
/* For arch_vm_reset(): a piece of a file belongs at `gpa`. Nothing else is written there. It is copied in
 * later steps of the start, and is there when the guest begins. 0, or as boot_file_load(). */
int vm_load_later(struct vm *vm, const struct boot_file *file, uint64_t offset, uint64_t gpa, uint64_t size);
/* One step of that. 1: there is more; 0: all is there; as boot_file_load(). */
int vm_load_step(struct vm *vm);
/* A vCPU left the scheduler for good. Called with no lock held. */
void vm_parked(struct vm *vm);
/* What the host does when nothing runs any more; config_when_idle. Set once. */
void vm_set_when_idle(uint32_t when_idle);
/* Does it, if nothing runs, nor will by itself. On the boot CPU. */
void vm_check_idle(void);
/* Prints a line per guest: how it ended. */
void vm_print_summary(void);
/* A guest of the config that there is no VM for, for that summary. Both texts have to stay. */
void vm_note_missing(const char *name, const char *why);

/* Sets request bits (with release order) and makes the vCPU notice: it leaves the guest, or wakes up. Any
 * CPU, any context. */
void vcpu_request(struct vcpu *vcpu, uint32_t requests);
/* Waits until no vCPU of the VM is in its guest with `request` (which each was asked for) not taken yet. 0;
 * -EAGAIN: one did not come out within 2 ms. Not from a vCPU of the VM. */
int vm_settle(const struct vm *vm, uint32_t request);
/* Whether the vCPU is held, and what it waits for is not there yet. */
bool vcpu_held(const struct vcpu *vcpu);
/* Makes a vCPU look at what has become pending for it: out of the guest, out of its sleep. */
void vcpu_kick(struct vcpu *vcpu);

#endif
