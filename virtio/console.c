// SPDX-License-Identifier: Apache-2.0
// virtio console (virtio 1.2, 5.3): one port, its size, emergency write.
#include "virtio/console.h"

#include <string.h>
#include "virtio/bytes.h"

#define F_SIZE           (1ull << 0)
#define F_EMERGENCY      (1ull << 2)

#define CONFIG_SIZE      12u
#define CONFIG_COLUMNS   0u /* 5.3.4 */
#define CONFIG_ROWS      2u
#define CONFIG_EMERGENCY 8u

#define QUEUE_SIZE       64u
#define PIECE            VIRTIO_CONSOLE_PIECE
#define BUDGET           16384u /* bytes of output in one run; a buffer counts EACH more */
#define EACH             64u
#define ROUNDS           8u /* buffers for input in one run */

enum { RECEIVE, TRANSMIT, QUEUES };

/* What lies in record->own, four bytes each: how much of the oldest output buffer was handed over, so that
 * nothing is printed twice when this program starts anew; and what settle() says. */
#define OWN_SENT  0u
#define OWN_GIVEN 4u
#define OWN_NEXT  8u
#define OWN_AT    12u
#define OWN_SIZE  16u

static struct virtio_console *console_of(struct virtio_device *device) {
    return (struct virtio_console *)((char *)device - offsetof(struct virtio_console, device));
}

static bool usable(const struct virtio_device *device, unsigned index) {
    return virtio_running(device) && device->queue[index].size != 0;
}

/* Takes the next buffer, or asks to be notified of one. */
static bool take(struct virtio_device *device, unsigned index, struct virtq_buffer *buffer) {
    if (!usable(device, index))
        return false;
    return virtio_device_take(device, index, buffer) ||
           (usable(device, index) && virtq_listen(&device->queue[index], true) &&
            virtio_device_take(device, index, buffer));
}

/* ---- input */

/*
 * How many bytes the guest has, so that none is lost and none comes twice when our program ends: before a
 * buffer is given to it, OWN_NEXT says how many it has then and OWN_AT where the queue stands now. If a run
 * finds the queue elsewhere, the guest has the buffer.
 */
static uint32_t settle(struct virtio_console *console) {
    const struct virtio_device *device = &console->device;
    uint8_t *own = device->record->own;

    if (bytes_get32(own + OWN_AT) != device->record->queue[RECEIVE].position.used)
        bytes_store32(own + OWN_GIVEN, bytes_get32(own + OWN_NEXT));
    return bytes_get32(own + OWN_GIVEN);
}

static void give(struct virtio_console *console, const struct virtq_buffer *buffer, const uint8_t *bytes,
                 uint32_t size) {
    struct virtio_device *device = &console->device;
    uint8_t *own = device->record->own;
    const uint32_t given = bytes_get32(own + OWN_GIVEN);

    virtq_write(&device->queue[RECEIVE], buffer, 0, bytes, size);
    bytes_store32(own + OWN_NEXT, given);
    bytes_store32(own + OWN_AT, device->record->queue[RECEIVE].position.used);
    bytes_store32(own + OWN_NEXT, given + size);
    virtio_device_finish(device, RECEIVE, buffer, size);
}

/* Who has the input may forget what the guest has. */
static void forget(struct virtio_console *console) {
    uint8_t none;
    (void)console->input(console->context, settle(console), &none, 0);
}

static void deliver(struct virtio_console *console) {
    struct virtio_device *device = &console->device;
    unsigned rounds = 0;
    struct virtq_buffer buffer;
    uint8_t bytes[PIECE];

    while (console->typed && rounds < ROUNDS && take(device, RECEIVE, &buffer)) {
        if (buffer.readable || !buffer.writable) {
            virtio_device_break(device, "a buffer for input is not writable");
            return;
        }
        const size_t room = buffer.write_size < PIECE ? (size_t)buffer.write_size : PIECE;
        const size_t size = console->input(console->context, settle(console), bytes, room);
        console->typed = size == room; /* else it is told of more */
        if (!size) {
            virtq_untake(&device->queue[RECEIVE], 1);
            break;
        }
        give(console, &buffer, bytes, (uint32_t)size);
        rounds++;
    }
    if (!rounds)
        return;
    forget(console);
    virtio_device_flush(device, RECEIVE);
    if (rounds == ROUNDS)
        console->again(console);
}

/* ---- output */

/* Hands over what is left of console->sent, up to `limit` bytes. False: not all of it was taken. */
static bool hand_over(struct virtio_console *console, uint32_t limit, uint32_t *spent) {
    struct virtio_device *device = &console->device;
    uint8_t *own = device->record->own + OWN_SENT;
    uint8_t bytes[PIECE];

    for (uint32_t at = bytes_get32(own); at < console->sent.read_size;) {
        if (*spent >= limit)
            return false;
        const size_t size = virtq_read(&device->queue[TRANSMIT], &console->sent, at, bytes, sizeof(bytes));
        const size_t taken = console->output(console->context, bytes, size);
        at += (uint32_t)taken;
        *spent += (uint32_t)taken;
        bytes_store32(own, at);
        if (taken < size)
            return false;
    }
    return true;
}

static void transmit(struct virtio_console *console) {
    struct virtio_device *device = &console->device;
    uint32_t spent = 0;
    bool any = false;

    while (spent < BUDGET && usable(device, TRANSMIT)) {
        if (!console->sending) {
            if (!take(device, TRANSMIT, &console->sent))
                break;
            if (console->sent.writable || console->sent.read_size > UINT32_MAX) {
                virtio_device_break(device, console->sent.writable ? "a buffer of output is writable"
                                                                   : "a buffer has more than 4 GiB");
                return;
            }
            console->sending = true;
        }
        if (!hand_over(console, BUDGET, &spent))
            break;
        /* First the offset: started anew in between, we print it twice rather than skip the next one's. */
        bytes_store32(device->record->own + OWN_SENT, 0);
        virtio_device_finish(device, TRANSMIT, &console->sent, 0);
        console->sending = false;
        any = true;
        spent += EACH;
    }
    if (any)
        virtio_device_flush(device, TRANSMIT);
    if (spent >= BUDGET)
        console->again(console);
}

void virtio_console_run(struct virtio_console *console) {
    transmit(console);
    deliver(console);
}

/* ---- configuration */

static uint32_t config_read(struct virtio_device *device, unsigned offset, unsigned size) {
    const struct virtio_console *console = console_of(device);
    uint8_t config[CONFIG_SIZE] = {0};
    bytes_put16(config + CONFIG_COLUMNS, console->columns);
    bytes_put16(config + CONFIG_ROWS, console->rows);
    return bytes_get(config + offset, size);
}

/* An emergency write needs no queue, no features, no set-up (5.3.5.1). What is not taken is lost. */
static void config_write(struct virtio_device *device, unsigned offset, unsigned size, uint32_t value) {
    struct virtio_console *console = console_of(device);
    const uint8_t byte = (uint8_t)value;
    (void)size;
    if (offset == CONFIG_EMERGENCY)
        console->output(console->context, &byte, 1);
}

void virtio_console_resize(struct virtio_console *console, uint16_t columns, uint16_t rows) {
    if (console->columns == columns && console->rows == rows)
        return;
    console->columns = columns;
    console->rows = rows;
    if (virtio_running(&console->device) && virtio_has(&console->device, F_SIZE))
        virtio_device_config_changed(&console->device);
}

/* ---- the class */

static void reset(struct virtio_device *device) {
    struct virtio_console *console = console_of(device);
    console->sending = console->typed = false;
    memset(device->record->own, 0, OWN_SIZE);
    if (console->opened)
        console->opened(console->context, false);
}

/* Its one port is open as soon as there is a driver. */
static void start(struct virtio_device *device) {
    struct virtio_console *console = console_of(device);
    if (console->opened)
        console->opened(console->context, true);
    forget(console);
    console->typed = true;
    virtio_console_run(console);
}

static void notify(struct virtio_device *device, unsigned index) {
    if (index == TRANSMIT)
        transmit(console_of(device));
    else
        deliver(console_of(device));
}

static const struct virtio_class class = {.id = VIRTIO_ID_CONSOLE,
                                          .name = "console",
                                          .reset = reset,
                                          .start = start,
                                          .notify = notify,
                                          .config_read = config_read,
                                          .config_write = config_write};

void virtio_console_init(struct virtio_console *console,
                         size_t (*output)(void *context, const uint8_t *bytes, size_t size),
                         size_t (*input)(void *context, uint32_t from, uint8_t *bytes, size_t size),
                         void *context, void (*again)(struct virtio_console *console)) {
    struct virtio_device *device = &console->device;
    memset(console, 0, sizeof(*console));
    console->output = output;
    console->input = input;
    console->context = context;
    console->again = again;
    device->class = &class;
    device->features_offered = VIRTIO_VERSION_1 | F_SIZE | F_EMERGENCY;
    device->queue_count = QUEUES;
    device->queue_size[RECEIVE] = device->queue_size[TRANSMIT] = QUEUE_SIZE;
    device->config_size = CONFIG_SIZE;
}
