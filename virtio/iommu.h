// SPDX-License-Identifier: Apache-2.0
// virtio-iommu (virtio 1.2, 5.13): a guest says, in domains of its own, which of its memory its devices
// reach. Devices of ours that are behind it translate every address (struct virtio_memory).
#ifndef SAGUARO_VIRTIO_IOMMU_H
#define SAGUARO_VIRTIO_IOMMU_H

#include "virtio/device.h"
#include "virtio/iommu_store.h"

#define VIRTIO_IOMMU_PROBE_SIZE 64u /* bytes of properties */

struct virtio_iommu;

/* Functions of the machine that the guest has to itself are in the slots from here on, in their order. */
#define VIRTIO_IOMMU_PASSED_SLOT 24u

/* What the hypervisor does for these: it checks each value. `number` counts from 0. */
struct virtio_iommu_machine {
    /* What it reaches from now on: what was mapped for it by the calls below; or all of the guest's RAM, by
     * guest-physical addresses. 0, or a negative errno: it stays as it was, or reaches nothing. */
    int (*confine)(struct virtio_iommu *iommu, unsigned number, bool on);
    /* A mapping, or a part of one, of SERVICE_MAX_DMA bytes at most. map: 0; -EFAULT: that is not RAM;
     * -EINVAL: it has no such addresses; -ENOMEM: in these cases nothing of it is mapped. */
    int (*map)(struct virtio_iommu *iommu, unsigned number, const struct iommu_mapping *mapping);
    void (*unmap)(struct virtio_iommu *iommu, unsigned number, const struct iommu_mapping *mapping);
};

/* One that is behind it. Functions of the machine use no more than the slot. */
struct virtio_iommu_endpoint {
    struct virtio_memory memory; /* first: as the device reaches it */
    struct virtio_memory *below; /* by guest-physical addresses */
    struct virtio_iommu *iommu;
    struct virtio_device *device; /* NULL: there is none, or not yet */
    unsigned slot;
};

/* How far it has come with telling the hypervisor what a request asks for (virtio/iommu_passed.h). */
struct iommu_walk {
    unsigned phase;  /* 0: nothing is under way */
    uint64_t at;     /* the next address, in */
    unsigned slot;   /* this endpoint */
    unsigned last;   /* the last one that is to be undone */
    uint32_t moving; /* bit n: slot n goes from one domain to another */
    int error;
};

struct virtio_iommu {
    struct virtio_device device;
    /* Has more to do than it may do at once: call virtio_iommu_run() soon, not from here. */
    void (*again)(struct virtio_iommu *iommu);
    /* The same, in a millisecond or so: a disk is still at work on memory that was unmapped. */
    void (*later)(struct virtio_iommu *iommu);
    struct iommu_store store;
    uint32_t slots; /* bit n: an endpoint in slot n */
    const struct virtio_iommu_machine *machine;
    uint64_t input_end; /* the highest address that can be mapped */
    unsigned spent;     /* in this run, of IOMMU_PASSED_BUDGET */
    struct iommu_walk walk;
    struct virtio_iommu_endpoint endpoint[IOMMU_STORE_ENDPOINTS];
    bool resumed;                     /* nothing was done since our program started: the next request may
                                         have been done before */
    uint32_t draining;                /* bit n: slot n's device may still touch what lies at */
    uint64_t drain_first, drain_last; /* these of its addresses */
    enum { VIRTIO_IOMMU_IDLE, VIRTIO_IOMMU_ASKED, VIRTIO_IOMMU_ANSWERED } stage; /* of */
    struct virtq_buffer pending;
    uint32_t written; /* bytes of its answer */
};

/*
 * Sets the device's class, features without the ring's, queues and configuration, and takes up what `kept`
 * holds (iommu_store_init()). Bit n of `slots`: function 0 of slot n on bus 0 is an endpoint, whose number is
 * its requester ID, n << 3. The caller sets the other fields of `device`, adds the ring's features, and
 * calls virtio_device_init(), before any device behind it works.
 */
void virtio_iommu_init(struct virtio_iommu *iommu, struct iommu_kept *kept, uint32_t slots,
                       void (*again)(struct virtio_iommu *iommu), void (*later)(struct virtio_iommu *iommu));
/* The device in `slot`, one of `slots`, before it starts. Returns the memory that it reaches; `below` is the
 * guest's. */
struct virtio_memory *virtio_iommu_add(struct virtio_iommu *iommu, unsigned slot,
                                       struct virtio_device *device, struct virtio_memory *below);
/* Does what the driver asks for, and what a reset leaves to be done, up to a limit (then again() is called).
 */
void virtio_iommu_run(struct virtio_iommu *iommu);
/* The guest was started anew; a reset of the device follows. */
void virtio_iommu_restart(struct virtio_iommu *iommu);
/* Among `slots` are functions of the machine, which know addresses of so many bits, 32 to 64. After
 * virtio_iommu_init(), before virtio_device_init(). */
void virtio_iommu_machine(struct virtio_iommu *iommu, const struct virtio_iommu_machine *machine,
                          unsigned bits);
/* Whether a reset is over: nothing is mapped any more. */
bool virtio_iommu_idle(const struct virtio_iommu *iommu);
/* Whether endpoints that are in no domain reach nothing. */
bool virtio_iommu_blocked(const struct virtio_iommu *iommu);

#endif
