// SPDX-License-Identifier: Apache-2.0
// What a guest's IOMMU keeps: which domain each endpoint is in, and what each domain maps. It lies in memory
// that outlives our program; what finds it quickly is made anew at each start.
#ifndef SAGUARO_VIRTIO_IOMMU_STORE_H
#define SAGUARO_VIRTIO_IOMMU_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include "abi/service.h"

#define IOMMU_STORE_MAPPINGS  8192u /* of all domains of a guest */
#define IOMMU_STORE_ENDPOINTS 32u   /* by their slot on bus 0 */
#define IOMMU_STORE_DOMAINS   0x10000u
#define IOMMU_STORE_REQUEST   36u                /* bytes that count of the longest request, MAP */
#define IOMMU_PAGE            4096u              /* the granularity of mappings */
#define IOMMU_INPUT_END       ((1ull << 48) - 1) /* the highest address that can be mapped */

/* Flags of a mapping: those of a MAP request. */
#define IOMMU_MAP_READ        1u
#define IOMMU_MAP_WRITE       2u
#define IOMMU_MAP_MMIO        4u

/* A mapping as it is kept: one MAP request's. */
struct iommu_mapping {
    uint64_t start, end; /* the last address that belongs to it */
    uint64_t physical;   /* where `start` leads: guest-physical */
    uint32_t domain;
    uint32_t flags; /* IOMMU_MAP_*, and IOMMU_MAPPING_USED; 0: no mapping */
};
#define IOMMU_MAPPING_USED      0x80000000u

/* An endpoint's state: one word, so that it is never half written. */
#define IOMMU_ENDPOINT_ATTACHED 0x80000000u
#define IOMMU_ENDPOINT_BYPASS   0x40000000u /* in a bypass domain */
#define IOMMU_ENDPOINT_DOMAIN   0x0000ffffu

/* The memory that is kept. In no particular order; a mapping counts from the moment on that its flags are
 * written. */
struct iommu_kept {
    uint32_t endpoint[IOMMU_STORE_ENDPOINTS];
    /* A request that is under way: the store has nothing to do with it. */
    uint64_t features; /* of the driver that asks */
    uint32_t asked;    /* 1: there is one */
    uint8_t request[IOMMU_STORE_REQUEST];
    uint8_t unused[IOMMU_PAGE - 4 * IOMMU_STORE_ENDPOINTS - 12 - IOMMU_STORE_REQUEST];
    struct iommu_mapping mapping[IOMMU_STORE_MAPPINGS];
};
_Static_assert(sizeof(struct iommu_kept) == SERVICE_IOMMU_SIZE, "what the hypervisor provides");

struct iommu_store {
    struct iommu_kept *kept;
    unsigned count; /* of mappings */
    /* Numbers of all mappings in `kept`: first those that are used, by domain and address, then the others.
     */
    uint16_t order[IOMMU_STORE_MAPPINGS];
    uint16_t moved[IOMMU_STORE_MAPPINGS]; /* scratch */
};

/* Takes up what `kept` holds: all zero, or what a store left there, even in the middle of a call. What is not
 * sound is dropped, and so are mappings of domains without endpoints. */
void iommu_store_init(struct iommu_store *store, struct iommu_kept *kept);
/* No endpoint is attached, nothing is mapped. */
void iommu_store_clear(struct iommu_store *store);

/* The state of the endpoint in that slot, below IOMMU_STORE_ENDPOINTS. */
static inline uint32_t iommu_store_endpoint(const struct iommu_store *store, unsigned slot) {
    return store->kept->endpoint[slot];
}
/* Sets it. Mappings of a domain that has no endpoint any more are dropped. */
void iommu_store_attach(struct iommu_store *store, unsigned slot, uint32_t state);
/* What an endpoint that is in the domain has as its state; 0: there is no such domain. */
uint32_t iommu_store_domain(const struct iommu_store *store, uint32_t domain);

/* What iommu_store_map() would say. */
int iommu_store_check(const struct iommu_store *store, const struct iommu_mapping *mapping);
/* Adds a mapping, whose values are sound (see iommu_store_sound()). -EEXIST: something in its range is
 * mapped; -ENOSPC. */
int iommu_store_map(struct iommu_store *store, const struct iommu_mapping *mapping);
/* Removes all mappings of a domain that lie in [start, end]. How many; -ERANGE: one lies there in part,
 * nothing was removed. */
int iommu_store_unmap(struct iommu_store *store, uint32_t domain, uint64_t start, uint64_t end);
/* What that would say: how many there are. */
int iommu_store_covered(const struct iommu_store *store, uint32_t domain, uint64_t start, uint64_t end);
/* The first mapping that ends at `address` or later; NULL: there is none. As long as iommu_store_find()'s. */
const struct iommu_mapping *iommu_store_next(const struct iommu_store *store, uint32_t domain,
                                             uint64_t address);
/* The mapping that an address lies in; NULL: none. Valid until the next call that changes something. */
const struct iommu_mapping *iommu_store_find(const struct iommu_store *store, uint32_t domain,
                                             uint64_t address);
/* Whether these are values of a mapping that can be: aligned, in order, within what addresses there are. */
bool iommu_store_sound(const struct iommu_mapping *mapping);

#endif
