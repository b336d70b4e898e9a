// SPDX-License-Identifier: Apache-2.0
// Regions of a device that the service VM answers for (abi/service.h), as the hypervisor looks at them.
#ifndef SAGUARO_DEVICES_SERVICE_REGION_H
#define SAGUARO_DEVICES_SERVICE_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include "abi/service.h"

#define SERVICE_DOORBELLS 32u /* bits of service_board.doorbell[] */

/* Which of `count` regions holds all of an access to BAR `bar`; NULL: none does. */
static inline const struct service_region *service_region_find(const struct service_region *regions,
                                                               unsigned count, unsigned bar, uint64_t offset,
                                                               unsigned size) {
    for (unsigned i = 0; i < count; i++) {
        const struct service_region *r = &regions[i];
        if (r->bar == bar && offset - r->offset < r->size && size <= r->size - (offset - r->offset))
            return r;
    }
    return NULL;
}

/* Whether a description's region lies in its BAR, whose size is at most SERVICE_MAX_BAR, so that no sum of
 * two of them wraps. */
static inline bool service_region_fits(const struct service_device *d, const struct service_region *r) {
    return r->bar < sizeof(d->bar_size) / sizeof(d->bar_size[0]) && r->size && !((r->offset | r->size) & 3) &&
           r->size <= d->bar_size[r->bar] && r->offset <= d->bar_size[r->bar] - r->size;
}

/* Of two that fit. */
static inline bool service_region_overlap(const struct service_region *a, const struct service_region *b) {
    return a->bar == b->bar && a->offset < b->offset + b->size && b->offset < a->offset + a->size;
}

/* Whether each of a description's regions fits and is what `sound` wants of its kind, and none overlaps. */
static inline bool service_regions_sound(const struct service_device *d,
                                         bool (*sound)(const struct service_device *d,
                                                       const struct service_region *r)) {
    for (unsigned i = 0; i < SERVICE_DEVICE_REGIONS && d->region[i].kind != SERVICE_REGION_NONE; i++) {
        if (!service_region_fits(d, &d->region[i]) || !sound(d, &d->region[i]))
            return false;
        for (unsigned j = 0; j < i; j++)
            if (service_region_overlap(&d->region[i], &d->region[j]))
                return false;
    }
    return true;
}

/* How many of a kind a description has in BAR `bar`, or in all of them (-1). */
static inline unsigned service_region_count(const struct service_device *d, enum service_region_kind kind,
                                            int bar) {
    unsigned count = 0;

    for (unsigned i = 0; i < SERVICE_DEVICE_REGIONS && d->region[i].kind != SERVICE_REGION_NONE; i++)
        count += d->region[i].kind == kind && (bar < 0 || d->region[i].bar == bar);
    return count;
}

#endif
