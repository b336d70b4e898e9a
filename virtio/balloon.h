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

struct virtio_balloon_pages {
    /* The guest does not need the contents of [gpa, gpa + size), whole pages, any more; it may use them again
     * at any time and has to find some memory there. `size`: a MiB at most. Of a report's pages not all need
     * be RAM. May come again and again for a page. */
    void (*give_back)(void *context, uint64_t gpa, uint64_t size);
    /* New statistics have come. */
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
    uint64_t work_at;     /* inflate: byte; reports: segment */
    uint64_t work_within; /* reports: bytes of the segment's whole pages that are done */
    bool asking_later;    /* virtio_balloon_ask() came while no buffer was held */
    bool holding;         /* `held` is the buffer of the last statistics: giving it back asks anew */
    uint16_t stat_known;  /* bit n: stat[n] was given */
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
uint32_t virtio_balloon_target(const struct virtio_balloon *balloon);
/* The guest starts anew: the target is 0 when its driver comes. Before the device's reset. */
void virtio_balloon_power_on(struct virtio_balloon *balloon);
/* How many it holds, as the driver says. */
uint32_t virtio_balloon_actual(const struct virtio_balloon *balloon);
/* Asks for statistics: stats() is called when they have come, if ever. It is called for those that the driver
 * gives unasked, too. */
void virtio_balloon_ask(struct virtio_balloon *balloon);

#endif
