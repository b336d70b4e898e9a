// SPDX-License-Identifier: Apache-2.0
// The event loop. A turn answers guests' accesses, hands doorbells to their devices, runs timers that have
// expired and work that is due; then it sleeps, unless there is more to do. All runs one after another: what
// is called from here returns soon.
#ifndef SAGUARO_SERVICE_LOOP_H
#define SAGUARO_SERVICE_LOOP_H

#include <stdbool.h>
#include "abi/service.h"

/* A device of a guest's, as the hypervisor's events name it. */
struct loop_device {
    uint32_t token; /* struct service_device's */
    /* Bit n: the n-th doorbell was written since the last call. After a restart all bits are set once. */
    void (*doorbell)(struct loop_device *device, uint32_t bits);
    /* The guest's accesses to REQUEST regions; `size` is 1, 2, 4 or 8, bar at most 5, the rest is the
     * guest's will. */
    uint64_t (*read)(struct loop_device *device, unsigned bar, uint32_t offset, unsigned size);
    void (*write)(struct loop_device *device, unsigned bar, uint32_t offset, unsigned size, uint64_t value);
    /* Of a device that uses loop_interrupt(): a message was not sent, since MSI-X is off. */
    void (*refused)(struct loop_device *device);
};

struct loop_timer {
    void (*expired)(struct loop_timer *timer); /* it is not set any more, and may be set again */
    uint64_t at;                               /* clock_now() */
    bool set;
    struct loop_timer *next;
};

/* A function of the machine's, as the hypervisor's events name it. */
struct loop_pci {
    /* Bit n: interrupt n has come since the last call; not 0. */
    void (*interrupt)(struct loop_pci *pci, uint32_t vectors);
};

/* Something that has more to do. */
struct loop_work {
    void (*run)(struct loop_work *work); /* it is not queued any more, and may be queued again */
    bool queued;
    struct loop_work *next;
};

/* What the loop tells the program. */
struct loop_hooks {
    void (*vm_changed)(unsigned vm); /* the board says other things of this VM */
    void (*turn_end)(void);          /* before each sleep, and at the end of each turn without one */
    void (*console)(unsigned vm);    /* for its virtio console there is input, or room for output */
    void (*keys)(void);              /* the operator has typed */
};

/* Neither devices nor functions nor timers nor work are known after this. The board is mapped, and stays. */
void loop_init(struct service_board *board, const struct loop_hooks *hooks);

/* Device `number` (SERVICE_CALL_DEVICE's result, or where its token is in the board) is this one from now
 * on; NULL: none. */
void loop_attach(unsigned number, struct loop_device *device);
/* The number of the device that has this token in the board; -ENOENT: there is none. */
int loop_find(uint32_t token);

/* Sends a message of MSI-X vector `vector`, up to 0xffff, of a device, once for all of this turn: together
 * with the others of the turn, so that they cost no call of their own. If MSI-X is off, refused() comes
 * later. */
void loop_interrupt(unsigned number, unsigned vector);

/* Function `number`, below SERVICE_MAX_PCI, of the board is this one from now on; NULL: none. */
void loop_attach_pci(unsigned number, struct loop_pci *pci);

/* A timer that is set already is moved. */
void loop_set_timer(struct loop_timer *timer, uint64_t at);
void loop_cancel_timer(struct loop_timer *timer);

/* Has the work run in the next turn, after other events, once. Nothing if it is queued. The loop does not
 * sleep as long as there is work; it only shows the hypervisor now and then that it turns. */
void loop_queue(struct loop_work *work);

/* One turn; it sleeps at its end if there is nothing more to do. */
void loop_turn(void);
void loop_run(void) __attribute__((noreturn));

#endif
