// SPDX-License-Identifier: Apache-2.0
// virtio memory balloon (virtio 1.2, 5.5): inflate, deflate, statistics, free page reporting. What is given
// back stays the guest's, so that it may use it again without a word: VIRTIO_BALLOON_F_MUST_TELL_HOST is not
// offered, and nothing is done about deflation.
#include "virtio/balloon.h"

#include <string.h>
#include "virtio/bytes.h"

#define F_STATS          (1ull << 1)
#define F_DEFLATE_ON_OOM (1ull << 2)
#define F_POISON         (1ull << 4)
#define F_REPORTING      (1ull << 5)

/* The configuration (5.5.4), which lies in record->own. The target stays when the driver resets the device.
 */
#define CONFIG_SIZE      16u
#define CONFIG_TARGET    0u /* num_pages */
#define CONFIG_ACTUAL    4u
#define CONFIG_POISON    12u

/* Reports come in queue 4 (5.5.2). Drivers that number the queues that they use without gaps (Linux before
 * 6.11 does) send them in queue 3, or in 2 if they want no statistics: there is no hinting here whose queues
 * these could be. */
enum { INFLATE, DEFLATE, STATS, HINTS, REPORTS, QUEUES };

#define QUEUE_SIZE   128u
#define BUDGET       256u /* pages in one run; a buffer, and a segment of a report, counts EACH more */
#define EACH         4u
#define NUMBERS      64u /* page numbers that are fetched at once */
#define STAT_SIZE    10u /* bytes: tag, value */
#define STAT_ENTRIES 64u /* of a buffer; more are not looked at */

static struct virtio_balloon *balloon_of(struct virtio_device *device) {
    return (struct virtio_balloon *)((char *)device - offsetof(struct virtio_balloon, device));
}

static bool usable(const struct virtio_device *device, unsigned index) {
    return virtio_running(device) && device->queue[index].size != 0;
}

/* Takes the next buffer, or asks to be notified of one. */
static bool take_buffer(struct virtio_device *device, unsigned index, struct virtq_buffer *buffer) {
    if (!usable(device, index))
        return false;
    return virtio_device_take(device, index, buffer) ||
           (usable(device, index) && virtq_listen(&device->queue[index], true) &&
            virtio_device_take(device, index, buffer));
}

static bool is_reports(const struct virtio_device *device, unsigned index) {
    return virtio_has(device, F_REPORTING) &&
           (index == REPORTS || index == HINTS || (index == STATS && !virtio_has(device, F_STATS)));
}

/* ---- inflate */

/* Goes through page numbers until the buffer ends or the budget; those where there is no RAM are ignored.
 * True: the buffer is done. */
static bool work_on_pages(struct virtio_balloon *balloon, uint32_t *spent) {
    uint8_t bytes[NUMBERS * 4];
    while (balloon->work_at + 4 <= balloon->work.read_size) {
        if (*spent >= BUDGET)
            return false;
        const size_t size = virtq_read(&balloon->device.queue[INFLATE], &balloon->work,
                                       (size_t)balloon->work_at, bytes, sizeof(bytes));
        for (size_t i = 0; i + 4 <= size; i += 4) {
            const uint64_t gpa = (uint64_t)bytes_get32(bytes + i) * VIRTIO_BALLOON_PAGE;
            if (virtio_map(balloon->device.memory, gpa, VIRTIO_BALLOON_PAGE, 1))
                balloon->pages->give_back(balloon->context, gpa, VIRTIO_BALLOON_PAGE);
        }
        balloon->work_at += size & ~(size_t)3;
        *spent += (uint32_t)size / 4;
    }
    return true;
}

/* ---- reports: the pages are the buffer's segments */

static bool work_on_report(struct virtio_balloon *balloon, uint32_t *spent) {
    const struct virtio_device *device = &balloon->device;
    /* Pages that the guest expects to keep a value are left alone (5.5.6.6): ours would come back as zeroes.
     */
    const bool keep = virtio_has(device, F_POISON) && bytes_get32(device->record->own + CONFIG_POISON) != 0;

    while (!keep && balloon->work_at < balloon->work.writable) {
        const struct virtq_segment *segment =
            &balloon->work.segment[balloon->work.readable + balloon->work_at];
        const uint64_t page = VIRTIO_BALLOON_PAGE;
        const uint64_t first = (segment->gpa + page - 1) & ~(page - 1);
        const uint64_t end = (segment->gpa + segment->size) & ~(page - 1);
        const uint64_t at = first + balloon->work_within;
        if (*spent >= BUDGET)
            return false;
        if (at < end) {
            const uint64_t room = (BUDGET - *spent) * page;
            const uint64_t size = end - at < room ? end - at : room;
            balloon->pages->give_back(balloon->context, at, size);
            balloon->work_within += size;
            *spent += (uint32_t)(size / page);
            if (at + size < end)
                return false;
        }
        balloon->work_at++;
        balloon->work_within = 0;
        *spent += EACH;
    }
    return true;
}

/* ---- statistics */

static void read_stats(struct virtio_balloon *balloon) {
    const struct virtq_buffer *buffer = &balloon->held;
    balloon->stat_known = 0;
    for (unsigned i = 0; i < STAT_ENTRIES; i++) {
        uint8_t bytes[STAT_SIZE];
        if (virtq_read(&balloon->device.queue[STATS], buffer, i * STAT_SIZE, bytes, STAT_SIZE) < STAT_SIZE)
            break;
        const uint16_t tag = bytes_get16(bytes);
        if (tag < VIRTIO_BALLOON_STATS) {
            balloon->stat[tag] = bytes_get64(bytes + 2);
            balloon->stat_known |= (uint16_t)(1u << tag);
        }
    }
}

static void give_stats_buffer(struct virtio_balloon *balloon) {
    balloon->holding = false;
    virtio_device_finish(&balloon->device, STATS, &balloon->held, 0);
    virtio_device_flush(&balloon->device, STATS);
}

/* The driver has one buffer, which is given back to ask for new statistics (5.5.6.3). We look for the next
 * one at once, so that it is either here or its driver notifies. */
static void fetch_stats(struct virtio_balloon *balloon) {
    struct virtio_device *device = &balloon->device;
    while (virtio_has(device, F_STATS) && !balloon->holding && take_buffer(device, STATS, &balloon->held)) {
        balloon->holding = true;
        if (balloon->asking_later) { /* what it says is older than the question */
            balloon->asking_later = false;
            give_stats_buffer(balloon);
            continue;
        }
        read_stats(balloon);
        if (balloon->stat_known)
            balloon->pages->stats(balloon->context);
    }
}

void virtio_balloon_ask(struct virtio_balloon *balloon) {
    if (balloon->holding && usable(&balloon->device, STATS)) {
        give_stats_buffer(balloon);
        fetch_stats(balloon);
    } else {
        balloon->asking_later = true;
    }
}

/* ---- all queues */

/* Takes a buffer to work on. */
static bool take_work(struct virtio_balloon *balloon) {
    struct virtio_device *device = &balloon->device;
    for (unsigned i = 0; i < QUEUES; i++) {
        if (i > DEFLATE && !is_reports(device, i))
            continue;
        if (take_buffer(device, i, &balloon->work)) {
            balloon->work_queue = (uint8_t)i;
            balloon->work_at = balloon->work_within = 0;
            balloon->working = true;
            return true;
        }
    }
    return false;
}

void virtio_balloon_run(struct virtio_balloon *balloon) {
    struct virtio_device *device = &balloon->device;
    uint32_t spent = 0, used = 0;

    fetch_stats(balloon);
    while (virtio_running(device) && spent < BUDGET && (balloon->working || take_work(balloon))) {
        const unsigned queue = balloon->work_queue;
        if (balloon->work.read_size > UINT32_MAX) {
            virtio_device_break(device, "a buffer has more than 4 GiB");
            break;
        }
        if ((queue == INFLATE && !work_on_pages(balloon, &spent)) ||
            (queue > DEFLATE && !work_on_report(balloon, &spent)))
            break;
        virtio_device_finish(device, queue, &balloon->work, 0);
        balloon->working = false;
        used |= 1u << queue;
        spent += EACH;
    }
    for (; used; used &= used - 1)
        virtio_device_flush(device, (unsigned)__builtin_ctz(used));
    if (spent >= BUDGET)
        balloon->again(balloon);
}

/* ---- configuration */

static uint32_t config_read(struct virtio_device *device, unsigned offset, unsigned size) {
    return bytes_get(device->record->own + offset, size);
}

/* Of the configuration the driver may write `actual` and `poison_val`. */
static void config_write(struct virtio_device *device, unsigned offset, unsigned size, uint32_t value) {
    const unsigned field = offset & ~3u;
    if ((field == CONFIG_ACTUAL || field == CONFIG_POISON) && offset + size <= field + 4)
        bytes_put(device->record->own + offset, size, value);
}

uint32_t virtio_balloon_target(const struct virtio_balloon *balloon) {
    return bytes_get32(balloon->device.record->own + CONFIG_TARGET);
}

void virtio_balloon_power_on(struct virtio_balloon *balloon) {
    bytes_put32(balloon->device.record->own + CONFIG_TARGET, 0);
}

void virtio_balloon_set_target(struct virtio_balloon *balloon, uint32_t pages) {
    if (virtio_balloon_target(balloon) == pages)
        return;
    /* First that the driver is to be told: a run that ends in between does that in the next. */
    balloon->device.record->config_untold = 1;
    bytes_store32(balloon->device.record->own + CONFIG_TARGET, pages);
    if (virtio_running(&balloon->device))
        virtio_device_config_changed(&balloon->device);
}

uint32_t virtio_balloon_actual(const struct virtio_balloon *balloon) {
    return bytes_get32(balloon->device.record->own + CONFIG_ACTUAL);
}

/* ---- the class */

static void reset(struct virtio_device *device) {
    struct virtio_balloon *balloon = balloon_of(device);
    balloon->working = balloon->holding = balloon->asking_later = false;
    balloon->stat_known = 0;
    bytes_put32(device->record->own + CONFIG_ACTUAL, 0);
    bytes_put32(device->record->own + CONFIG_POISON, 0);
}

static void start(struct virtio_device *device) {
    virtio_balloon_run(balloon_of(device));
}

static void notify(struct virtio_device *device, unsigned index) {
    (void)index;
    virtio_balloon_run(balloon_of(device));
}

static const struct virtio_class class = {.id = VIRTIO_ID_BALLOON,
                                          .name = "memory balloon",
                                          .reset = reset,
                                          .start = start,
                                          .notify = notify,
                                          .config_read = config_read,
                                          .config_write = config_write};

void virtio_balloon_init(struct virtio_balloon *balloon, const struct virtio_balloon_pages *pages,
                         void *context, void (*again)(struct virtio_balloon *balloon)) {
    struct virtio_device *device = &balloon->device;
    memset(balloon, 0, sizeof(*balloon));
    balloon->pages = pages;
    balloon->context = context;
    balloon->again = again;
    device->class = &class;
    device->features_offered = VIRTIO_VERSION_1 | F_STATS | F_DEFLATE_ON_OOM | F_POISON | F_REPORTING;
    device->queue_count = QUEUES;
    for (unsigned i = 0; i < QUEUES; i++)
        device->queue_size[i] = QUEUE_SIZE;
    device->config_size = CONFIG_SIZE;
}
