// SPDX-License-Identifier: Apache-2.0
// What iommu.c (domains), iommu_fault.c (what was blocked) and iommu_interrupt.c share.
#ifndef SAGUARO_DRIVERS_IOMMU_INTERNAL_H
#define SAGUARO_DRIVERS_IOMMU_INTERNAL_H

#include "core/atomic.h"
#include "drivers/iommu/driver.h"

#define IOMMU_DOMAINS 64u
#define IOMMU_SOURCES 256u

/* A requester ID that is in a domain, or of which something was blocked. */
struct iommu_source {
    bool used;
    bool kept;  /* it stays in the firmware's domain while it is in no other */
    bool quiet; /* what it tries is not reported any more */
    uint16_t segment, requester;
    uint16_t group;
    unsigned users; /* iommu_attach() of functions that have this ID */
    struct iommu_unit *unit;
    struct iommu_domain *domain; /* NULL: none */
    struct iommu_domain *in;     /* what its unit has it in now: that one, or NULL: it is blocked */
    uint64_t faults;
    uint64_t second;    /* when the present count began, time_now() */
    uint32_t in_second; /* faults since */
    struct iommu_fault last;
};

struct iommu {
    struct spinlock lock;              /* guards all of it, and is held while the driver is called */
    const struct iommu_driver *driver; /* NULL: there is no unit */
    struct iommu_unit *const *unit;
    unsigned unit_count;
    struct iommu_domain *domain[IOMMU_DOMAINS]; /* by number; 0 stays free */
    /* Of functions that nobody has, but that the firmware's memory is to stay within the reach of. It is
     * nobody's domain. NULL: there are none. */
    struct iommu_domain *firmware;
    struct iommu_source source[IOMMU_SOURCES];
};
extern struct iommu iommu;

/* The device with the IDs that the firmware's tables add to its own. False: they are more than fit. */
bool iommu_add_aliases(const struct iommu_device *device, struct iommu_device *all);
/* With the lock. The source of that ID; `make`: a new one if need be. NULL: there is none, or no room. */
struct iommu_source *iommu_source(uint16_t segment, uint16_t requester, bool make);
/* With the lock. The source reaches nothing any more. A unit that does not answer ends in panic(). */
void iommu_source_block(struct iommu_source *source, bool quiet);

#endif
