// SPDX-License-Identifier: Apache-2.0
// An AHCI controller (Serial ATA AHCI 1.3.1) with an ATA disk at each of its ports, for guests that know no
// virtio. Ports have no command queueing (CAP.SNCQ), port multipliers or staggered spin-up; interrupts are
// the function's INTx.
#ifndef SAGUARO_VIRTIO_AHCI_H
#define SAGUARO_VIRTIO_AHCI_H

#include "abi/service.h"
#include "virtio/ata.h"
#include "virtio/memory.h"

#define AHCI_MAX_PORTS 8u
#define AHCI_BAR       5u
#define AHCI_SEGMENTS  264u /* of guest memory, that one request to a disk has */

/* A port's registers and what else is kept of it; see virtio/ahci.c for what they mean. */
struct ahci_port_record {
    uint64_t list;     /* PxCLB, PxCLBU */
    uint64_t received; /* PxFB, PxFBU */
    uint32_t is;       /* without the bits that mirror PxSERR */
    uint32_t ie;
    uint32_t cmd; /* the bits that are the guest's */
    uint32_t tfd;
    uint32_t sig;
    uint32_t sctl;
    uint32_t serr;
    uint32_t ci;
    uint8_t slot;    /* the command that was begun last */
    uint8_t next;    /* the slot that is looked at first for another one */
    uint8_t active;  /* 1: it is not done yet */
    uint8_t stopped; /* 1: an error; nothing is begun until the guest clears PxCMD.ST */
    uint8_t
        greeting; /* 1: the FIS after a reset waits until the guest takes FISes, and the disk has let go */
    uint8_t soft_reset; /* 1: between the two FISes of a soft reset */
    struct ata_record ata;
};

/* All of the controller that is kept over a restart of our program: fits SERVICE_RECORD_SIZE. */
struct ahci_record {
    uint32_t magic; /* AHCI_RECORD_MAGIC once it is valid */
    uint32_t version;
    uint32_t ports; /* how many; another program that has others resets the controller */
    uint32_t ghc;
    uint32_t is;
    struct ahci_port_record port[AHCI_MAX_PORTS];
};
#define AHCI_RECORD_MAGIC   0x61686369u
#define AHCI_RECORD_VERSION 1u

struct ahci;

/* The one command that a port works on. */
struct ahci_command {
    bool busy;  /* it was begun and is not done; or the disk still has a request of it */
    bool ready; /* the disk is done with that request, or there was none */
    bool stale; /* the guest wants no answer any more */
    int error;  /* of the disk's last request */
    uint8_t fis[ATA_FIS_SIZE];
    uint64_t table;   /* guest-physical, of the command table */
    uint32_t entries; /* of its PRDT */
    uint32_t entry;   /* where in the PRDT the data go on */
    uint32_t at;      /* bytes of that entry that were passed */
    uint32_t moved;   /* bytes of data that were moved; PRDBC */
    uint32_t faults;  /* PxIS bits: why the PRDT cannot be followed */
    uint32_t events;  /* PxIS bits that its data have earned */
    unsigned range;   /* the next TRIM range */
    uint32_t piece;   /* sectors of the task that the disk is at work on */
    struct ata_task task;
    struct disk_request request;
    unsigned segments;
    struct virtq_segment segment[AHCI_SEGMENTS];
    uint8_t buffer[ATA_TRIM_BLOCKS * ATA_BLOCK];
};

struct ahci_port {
    struct ahci *ahci;
    struct ahci_port_record *record;
    struct ata_disk ata; /* ata.disk is NULL: there is none at this port */
    const char *name;    /* "disk0", for messages */
    struct disk_counters counters;
    struct ahci_command command;
};

struct ahci {
    /* Set by the owner before ahci_init(). */
    struct virtio_memory *memory;
    void (*line)(struct ahci *ahci, bool level); /* INTx */
    void (*again)(struct ahci *ahci);            /* has more to do: call ahci_run() soon, not from here */
    void (*log)(struct ahci *ahci, const char *text);
    unsigned ports;
    struct ahci_port port[AHCI_MAX_PORTS];
    /* its own */
    struct ahci_record *record;
    bool raised;
    bool running;       /* in ahci_run() */
    unsigned next_port; /* that is looked at first */
    uint64_t errors;    /* that guests were told */
};

/* Adds a port with `disk`, or an empty one (NULL), while there are less than AHCI_MAX_PORTS. `name` stays. */
void ahci_add_port(struct ahci *ahci, struct disk *disk, const char *name, const char *serial,
                   bool read_only);
/* All ports are there, `record` is zeroed or from before: what it says is taken up, and commands that were
 * not done are done again. 0; -EINVAL: the record was not sound, the controller is as after power-on. */
int ahci_init(struct ahci *ahci, struct ahci_record *record);
/* As after power-on. */
void ahci_reset(struct ahci *ahci);
/* The function as the hypervisor is to show it; the caller sets VM, place and token. */
void ahci_describe(const struct ahci *ahci, struct service_device *out);
/* The guest's accesses to its registers: `size` is 1, 2, 4 or 8. */
uint64_t ahci_read(const struct ahci *ahci, unsigned bar, uint32_t offset, unsigned size);
void ahci_write(struct ahci *ahci, unsigned bar, uint32_t offset, unsigned size, uint64_t value);
/* Works on commands, up to a limit (then again() is called). */
void ahci_run(struct ahci *ahci);
/* Whether no disk has a request of this controller, so that the guest's memory is not touched by it. */
bool ahci_idle(const struct ahci *ahci);

#endif
