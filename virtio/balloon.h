// SPDX-License-Identifier: Apache-2.0
// virtio memory balloon (virtio 1.2, 5.5): a guest gives pages back and takes them again, reports free ones,
// and tells how it uses its memory.
#ifndef SAGUARO_VIRTIO_BALLOON_H
#define SAGUARO_VIRTIO_BALLOON_H

#include "virtio/device.h"

#define VIRTIO_BALLOON_PAGE 4096u /* bytes, whatever the guest's own pages are (5.5.6) */

/* Statistics (5.5.6.4): bytes or counts, as the guest says. */
enum virtio_balloon_stat {
    VIRTIO_BALLOON_SWAP_IN,
    VIRTIO_BALLOON_SWAP_OUT,
    VIRTIO_BALLOON_MAJOR_FAULTS,
    VIRTIO_BALLOON_MINOR_FAULTS,
    VIRTIO_BALLOON_FREE,
    VIRTIO_BALLOON_TOTAL,
    VIRTIO_BALLOON_AVAILABLE,
    VIRTIO_BALLOON_CACHES,
    VIRTIO_BALLOON_HUGE_TAKEN,
    VIRTIO_BALLOON_HUGE_FAILED,
    VIRTIO_BALLOON_STATS,
};

/* What is done about pages. Ranges consist of whole pages that are RAM of the guest. */
struct virtio_balloon_pages {
    /* The guest does not need their contents. `any_time`: it may use them again without a word, and has to
     * find some memory there; else take() comes first. May come twice for a page. */
    void (*give_back)(void *context, uint64_t gpa, uint64_t size, bool any_time);
    /* The guest wants to use them again; perhaps they were never given back. */
    void (*take)(void *context, uint64_t gpa, uint64_t size);
    /* The driver is gone: the guest may use all its pages. */
    void (*take_all)(void *context);
    /* New statistics have come. NULL: nobody asks for them, the device has no queue for them. */
    void (*stats)(void *context);
};

struct virtio_balloon {
    struct virtio_device device;
    const struct virtio_balloon_pages *pages;
    void *context;
    /* Has more to do than it may do at once: call virtio_balloon_run() soon, not from here. */
    void (*again)(struct virtio_balloon *balloon);
    bool working; /* `work` is a buffer of queue work_queue of which not all is done */
    uint8_t work_queue;
    uint64_t work_at;           /* inflate, deflate: byte; reports: segment */
    uint64_t run_gpa, run_size; /* pages that lie together, not yet handed on */
    bool asking_later;          /* virtio_balloon_ask() came while no buffer was held */
    bool holding;               /* `held` is the buffer of the last statistics: giving it back asks anew */
    uint16_t stat_known;        /* bit n: stat[n] was given */
    uint64_t stat[VIRTIO_BALLOON_STATS];
    struct virtq_buffer held;
    struct virtq_buffer work;
};

/* Sets the device's class, features without the ring's, queues and configuration; the caller sets the other
 * fields of `device`, adds the ring's features, and calls virtio_device_init(). */
void virtio_balloon_init(struct virtio_balloon *balloon, const struct virtio_balloon_pages *pages,
                         void *context, void (*again)(struct virtio_balloon *balloon));
/* Works on what there is to do, up to a limit (then again() is called). */
void virtio_balloon_run(struct virtio_balloon *balloon);
/* How many pages the balloon should hold; kept over resets. The guest follows as it can. */
void virtio_balloon_set_target(struct virtio_balloon *balloon, uint32_t pages);
/* How many it holds, as the driver says. */
uint32_t virtio_balloon_actual(const struct virtio_balloon *balloon);
/* Asks for statistics: stats() is called when they have come, if ever. */
void virtio_balloon_ask(struct virtio_balloon *balloon);

#endif
