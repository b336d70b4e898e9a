// SPDX-License-Identifier: Apache-2.0
// A virtqueue, the device's side (virtio 1.2, 2.6 to 2.8): split and packed rings, indirect descriptors,
// event index. Buffers are used in the order in which they were made available, whatever order a device
// finishes them in: so what is in flight lies between two indices, and a device that starts anew finds it
// there.
#ifndef SAGUARO_VIRTIO_QUEUE_H
#define SAGUARO_VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "virtio/memory.h"

#define VIRTIO_RING_INDIRECT (1ull << 28) /* VIRTIO_F_INDIRECT_DESC */
#define VIRTIO_RING_EVENT    (1ull << 29) /* VIRTIO_F_EVENT_IDX */
#define VIRTIO_VERSION_1     (1ull << 32)
#define VIRTIO_PLATFORM      (1ull << 33) /* VIRTIO_F_ACCESS_PLATFORM: the device is behind an IOMMU */
#define VIRTIO_RING_PACKED   (1ull << 34)
#define VIRTIO_RING_IN_ORDER (1ull << 35)

#define VIRTQ_MAX_SIZE       256u /* entries; a power of two */
#define VIRTQ_MAX_SEGMENTS   264u /* of one buffer, after pieces that do not lie together are split */

/* A piece of a buffer. `data` is our address; what is there may change while we read. */
struct virtq_segment {
    uint8_t *data;
    uint64_t gpa;
    uint64_t address; /* the device's, which an IOMMU may have translated */
    uint32_t size;    /* bytes, at least 1 */
};

/* A buffer that the driver made available: `readable` segments, then `writable` ones (2.7.4.2). */
struct virtq_buffer {
    uint16_t id;        /* the queue's own: index of the head, or the buffer ID */
    uint16_t slot;      /* the queue's own: which of those in flight */
    uint16_t readable;  /* number of segments that the device reads */
    uint16_t writable;  /* number of segments that it writes; they follow in `segment` */
    uint64_t read_size; /* bytes of each kind */
    uint64_t write_size;
    struct virtq_segment segment[VIRTQ_MAX_SEGMENTS];
};

/* Where the queue stands: all that has to be kept to go on after the device's program was started again.
 * Little more than the index up to which buffers were used. */
struct virtq_position {
    uint16_t used; /* split: index in the used ring; packed: offset of the next used descriptor, bit 15: wrap
                      counter */
    uint16_t unused;
};

/* What is being given to the driver at the moment, kept beside the position: the ring alone does not tell how
 * far that went, and in a packed one it cannot be begun anew. Valid for the queue that stands at `place`. */
struct virtq_journal {
    uint32_t place; /* number of the queue << 16 | its position before; written at once, and last */
    uint16_t count; /* of buffers */
    uint16_t unused;
    struct virtq_published {
        uint16_t id, descriptors;
        uint32_t written;
    } buffer[VIRTQ_MAX_SIZE];
};
#define VIRTQ_NO_PLACE UINT32_MAX

struct virtq_flight { /* a buffer in flight */
    uint16_t id;
    uint16_t descriptors; /* packed: how many ring entries it takes */
    uint32_t written;
    bool done;
};

struct virtq {
    struct virtio_memory *memory;
    uint16_t size; /* 0: not enabled */
    bool packed, event, indirect;
    const char *broken; /* what the driver did wrong: nothing more is taken or given; NULL: sound */
    uint64_t descriptors, driver, device;                 /* the device's addresses of the three areas */
    uint64_t descriptor_gpa, device_gpa;                  /* where those lead that we write to */
    uint8_t *descriptor_area, *driver_area, *device_area; /* and ours; the guest may change them any time */
    /* split: position in the available and used rings; packed: offsets with wrap counters in bit 15 */
    uint16_t available, used;
    uint16_t signalled; /* `used` when it was last decided whether to interrupt */
    bool signalled_valid;
    bool notify;                         /* we want to be notified */
    uint16_t asked;                      /* event index: the position that we last asked it for */
    struct virtq_journal *journal;       /* NULL: none is kept */
    uint16_t number;                     /* in the journal */
    uint16_t flight_first, flight_count; /* in `flight`, a ring */
    struct virtq_flight flight[VIRTQ_MAX_SIZE];
};

/* Sets a queue up: size (split: a power of two; packed: any; both up to VIRTQ_MAX_SIZE), the areas'
 * addresses, the features that were negotiated (VIRTIO_RING_*). `position`: where it stood; NULL: at its
 * beginning. 0; -EINVAL: a size or an address is not allowed or not in RAM. */
int virtq_enable(struct virtq *queue, struct virtio_memory *memory, uint16_t size, uint64_t descriptors,
                 uint64_t driver, uint64_t device, uint64_t features, const struct virtq_position *position);
/* After virtq_enable(): what is given to the driver is noted in *journal first, as queue `number`'s; several
 * queues may share it. If it says that this was under way when the queue stood where it does, it is
 * completed: the driver has all of it then, and virtq_position() is behind it. */
void virtq_keep(struct virtq *queue, struct virtq_journal *journal, uint16_t number);
void virtq_disable(struct virtq *queue);
/* The memory's translations have changed: finds the three areas of an enabled queue anew. -EFAULT: one is not
 * to be reached any more, and the queue is broken. */
int virtq_remap(struct virtq *queue);
struct virtq_position virtq_position(const struct virtq *queue);

/* Takes the next available buffer. 1: *buffer is filled in; 0: there is none; -EPROTO: the driver has broken
 * the rules, `broken` says how, in a few words that follow "queue N: ". */
int virtq_take(struct virtq *queue, struct virtq_buffer *buffer);
/* No segments. */
static inline void virtq_empty(struct virtq_buffer *buffer) {
    buffer->readable = 0;
    buffer->writable = 0;
    buffer->read_size = 0;
    buffer->write_size = 0;
}
/* Takes the next one, too, and adds its segments to those that *buffer has (virtq_empty(): none); id and slot
 * are its own. Results as for virtq_take(), and -ENOSPC: nothing was taken, for the two do not go together,
 * or the driver has broken the rules, which virtq_take() says. After any but 1 the segments are what they
 * were. */
int virtq_take_more(struct virtq *queue, struct virtq_buffer *buffer);
/* Gives the last `count` buffers that were taken back at once without using them: they are the next ones
 * again. None of them is finished, or only by virtq_finish_behind(). */
void virtq_untake(struct virtq *queue, unsigned count);
/* The buffer is finished; `written` bytes of it were written. The driver sees it once all before it are
 * finished too. What was written must have been marked dirty (see virtq_write()). */
void virtq_finish(struct virtq *queue, const struct virtq_buffer *buffer, uint32_t written);
/* The same, for one (its `slot`) that was taken after a buffer that is not finished yet: the driver sees it
 * with that one, at the earliest. */
void virtq_finish_behind(struct virtq *queue, uint16_t slot, uint32_t written);
/* Whether the driver is to be interrupted for what was used since the last call. */
bool virtq_interrupt(struct virtq *queue);
/* What virtq_interrupt() would say, for how many buffers (in a packed ring: entries), UINT32_MAX where that
 * is not known; 0: it would be false. */
uint32_t virtq_owed(const struct virtq *queue);
/* Asks to be notified or not. virtq_listen(true) returns true if buffers have become available meanwhile:
 * look again. */
bool virtq_listen(struct virtq *queue, bool notify);

/* Copies between a buffer and our memory, from byte `offset` of its readable or writable part on. The number
 * of bytes copied: less than `size` where the buffer ends. virtq_write() marks pages dirty. */
size_t virtq_read(struct virtq *queue, const struct virtq_buffer *buffer, size_t offset, void *data,
                  size_t size);
size_t virtq_write(struct virtq *queue, const struct virtq_buffer *buffer, size_t offset, const void *data,
                   size_t size);
/* Copies from the readable part of one buffer to the writable part of another, of another queue perhaps. */
size_t virtq_copy(struct virtq *to_queue, const struct virtq_buffer *to, size_t to_offset,
                  const struct virtq_buffer *from, size_t from_offset, size_t size);

#endif
