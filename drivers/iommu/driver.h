// SPDX-License-Identifier: Apache-2.0
// What a driver of remapping units brings, and what it is given. There is one driver in a machine, with one
// or more units. docs/iommu.md has a page for whoever writes another one.
#ifndef SAGUARO_DRIVERS_IOMMU_DRIVER_H
#define SAGUARO_DRIVERS_IOMMU_DRIVER_H

#include "core/paging.h"
#include "drivers/iommu/iommu.h"

#define IOMMU_MAX_UNITS      64u
#define IOMMU_MAX_INTERRUPTS 256u /* entries of one unit's table that are used */

struct iommu_unit;

/* An address space of devices. */
struct iommu_domain {
    struct paging paging; /* device addresses to physical ones */
    char name[IOMMU_NAME];
    unsigned number;  /* 1 and on, by which units tell domains apart */
    unsigned sources; /* requester IDs that are in it */
    bool suspended;
    bool sealed; /* nothing of the firmware's memory is mapped */
    uint64_t faults;
    void (*fault)(struct iommu_domain *domain, const struct iommu_fault *fault, bool suspended);
    uint64_t call_time; /* the second in which `fault` was called ... */
    uint32_t calls;     /* ... so often */
    bool noted;         /* something in [low, high] is to be flushed */
    uint64_t low, high; /* inclusive */
    void *retired;      /* tables that a unit may still walk until then, each with the next one's address */
};

/* Who may send an interrupt, and where it goes. */
struct iommu_interrupt {
    bool used;
    bool live; /* the fields below it are set */
    bool level;
    uint8_t vector;
    uint32_t cpu;         /* APIC ID */
    bool line;            /* it is an I/O APIC's */
    bool buses;           /* any function of the buses of first to last may send it; else: `first` alone */
    uint16_t first, last; /* requester IDs */
    uint8_t count;        /* of all IDs under which it may come, 1..IOMMU_MAX_IDS: */
    uint16_t id[IOMMU_MAX_IDS];
};

/* A unit's common part; a driver's own structure has it as a member. */
struct iommu_unit {
    unsigned number; /* set by iommu_start() */
    char name[24];   /* for people: "VT-d 0" */
    uint64_t faults;
    uint64_t lost;                     /* faults, or rounds of them, that the unit had no room to note */
    struct iommu_interrupt *interrupt; /* IOMMU_MAX_INTERRUPTS of them; NULL: it does not remap interrupts */
};

/* Calls are made with the lock of drivers/iommu/iommu.c held, so that one is made at a time; none of them may
 * sleep or wait without a bound. -EIO means that a unit did not answer in time. */
struct iommu_driver {
    /* Of all units: a domain is in several of them. */
    const struct paging_format *format;
    unsigned largest;  /* shift of the largest page: 12, 21 or 30 */
    unsigned domains;  /* that units tell apart: numbers are below */
    uint64_t limit;    /* device addresses are below */
    bool notes_absent; /* units remember what was not mapped, or may write late: flush after mapping, too */
    void (*written)(const void *entries, size_t size); /* as in struct paging; NULL: units look into caches */
    uint64_t messages, messages_end;                   /* addresses that are interrupts; never mapped */

    /* The unit that a requester ID is behind; NULL: none that is at work. */
    struct iommu_unit *(*find)(uint16_t segment, uint16_t requester);
    /* Another ID under which requests of this one arrive, as the firmware's tables say; itself: none does.
     * NULL: they say no such thing. */
    uint16_t (*alias)(uint16_t segment, uint16_t requester);
    /* The `index`th range [base, base + size) of memory, whole pages, that the firmware wants a function to
     * reach. False: there are no more. */
    bool (*reserved)(unsigned index, uint16_t *segment, uint16_t *requester, uint64_t *base, uint64_t *size);
    /* Puts the requester into domain `to`, or into none (NULL), where it reaches nothing; `quiet`: and is not
     * reported. It was in `from` (NULL: in none). Waits until that holds. 0, -EIO, or -ENOMEM: it is in no
     * domain, but not quiet. */
    int (*set)(struct iommu_unit *unit, uint16_t requester, const struct iommu_domain *from,
               const struct iommu_domain *to, bool quiet);
    /* Forgets what was remembered of these addresses in the domain, and waits until no request that was
     * translated before is under way. 0 or -EIO. */
    int (*flush)(struct iommu_unit *unit, const struct iommu_domain *domain, uint64_t address, uint64_t size);

    /* The unit of an I/O APIC, and the requester ID of its interrupts. NULL: none. */
    struct iommu_unit *(*find_ioapic)(uint8_t ioapic, uint16_t *requester);
    /* Writes an entry that has changed; one that is not live lets nothing through. From not live to live and
     * back, or with another CPU and vector. 0; -EIO; -ENOMEM: it has not become live. */
    int (*interrupt_write)(struct iommu_unit *unit, unsigned index, const struct iommu_interrupt *entry);
    /* As iommu_interrupt_message() and iommu_interrupt_line(). */
    void (*interrupt_message)(const struct iommu_unit *unit, unsigned index, uint64_t *address,
                              uint32_t *data);
    uint64_t (*interrupt_line)(const struct iommu_unit *unit, unsigned index, uint64_t entry);
    /* What the unit is and can, for people, in one line. */
    void (*describe)(const struct iommu_unit *unit, char *text, size_t size);
};

/* The driver's units hold back all DMA from now on, or will once the driver switches them on: `units` of
 * them, in the order of their numbers. What the firmware wants to be reached is made reachable. Once, before
 * any other call. */
void iommu_start(const struct iommu_driver *driver, struct iommu_unit *const *units, unsigned count);
/* Something was blocked. On the boot CPU, with interrupts off and without the lock. */
void iommu_report(struct iommu_unit *unit, const struct iommu_fault *fault);

#endif
