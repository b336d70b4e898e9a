// SPDX-License-Identifier: Apache-2.0
// A disk whose contents lie in memory. All requests are done at once.
#include "virtio/disk_memory.h"

#include <errno.h>
#include <string.h>

static void submit(struct disk *disk, struct disk_request *request) {
    const struct disk_memory *memory =
        (const struct disk_memory *)((const char *)disk - offsetof(struct disk_memory, disk));
    uint8_t *data = memory->data + (size_t)request->sector * DISK_SECTOR;
    const size_t size = (size_t)request->count * DISK_SECTOR;
    struct disk_cursor cursor;

    switch (request->operation) {
    case DISK_READ:
        disk_cursor_init(&cursor, request);
        disk_cursor_write(&cursor, data, size);
        break;
    case DISK_WRITE:
        disk_cursor_init(&cursor, request);
        disk_cursor_read(&cursor, data, size);
        break;
    case DISK_WRITE_ZEROES:
        memset(data, 0, size);
        break;
    case DISK_FLUSH:
    case DISK_DISCARD: /* there is no space to give back */
        break;
    }
    request->done(request, 0);
}

static const struct disk_operations operations = {.submit = submit};

int disk_memory_init(struct disk_memory *memory, void *data, uint64_t size, bool read_only) {
    if (size < DISK_SECTOR || size > SIZE_MAX)
        return -EINVAL;
    *memory = (struct disk_memory){.data = data};
    memory->disk = (struct disk){.operations = &operations,
                                 .sectors = size / DISK_SECTOR,
                                 .block = DISK_SECTOR,
                                 .physical = DISK_SECTOR,
                                 .read_only = read_only};
    return 0;
}
