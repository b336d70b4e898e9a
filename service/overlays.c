// SPDX-License-Identifier: Apache-2.0
// The memory of overlays (see service/overlays.h): a header, the owner of each block, and the blocks. A run
// may end between any two writes: a block has its owner before it is in a table and until it is in none, so
// what a table names is there; what no table names is found by owner at the next start.
#include "service/overlays.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "service/log.h"

#define BLOCK      DISK_OVERLAY_BLOCK
#define MAGIC      0x53674f76u
#define OWNERS     4096u      /* where the owners begin */
#define MAX_BLOCKS (1u << 20) /* 64 GiB, more than a config can ask for */
#define UNSEEN     0x8000u    /* in an owner: no table was found yet in this run that names the block */

struct header {
    uint32_t magic;
    uint32_t blocks;              /* the header's own, too */
    uint64_t address;             /* of the memory: tables hold addresses */
    uint32_t table[OVERLAYS_MAX]; /* block of the overlay's table; 0: there is none */
};
_Static_assert(sizeof(struct header) <= OWNERS, "the owners lie behind the header");
_Static_assert(OVERLAYS_MAX < UNSEEN, "an owner is 1 more than an overlay's number");
_Static_assert(CONFIG_MAX_MEMORY / BLOCK <= MAX_BLOCKS, "the memory of a config has so many blocks");

static struct header *header; /* NULL: no overlay can be used */
static uint16_t *owners;      /* 0: the block is free */
static uint32_t blocks;
static uint32_t first;     /* block behind the owners */
static uint32_t next;      /* where the next free block is looked for */
static uint32_t available; /* free blocks */
static bool opened[OVERLAYS_MAX];

static void set_owner(uint32_t block, unsigned owner) {
    __atomic_store_n(&owners[block], (uint16_t)owner, __ATOMIC_SEQ_CST);
}

static void set_free(uint32_t block) {
    set_owner(block, 0);
    available++;
}

static uint8_t *address_of(uint32_t block) {
    return (uint8_t *)header + (size_t)block * BLOCK;
}

/* 0: no block lies there. */
static uint32_t block_of(const void *address) {
    size_t within = (uintptr_t)address - (uintptr_t)header;
    size_t block = within / BLOCK;

    return within % BLOCK || block < first || block >= blocks ? 0 : (uint32_t)block;
}

/* ---- what an overlay asks for */

static void *overlay_take(void *context) {
    const struct overlay *overlay = context;

    for (uint32_t i = first; available && i < blocks; i++) {
        uint32_t block = next;
        next = next + 1 < blocks ? next + 1 : first;
        if (owners[block])
            continue;
        set_owner(block, overlay->number + 1);
        available--;
        return address_of(block);
    }
    return NULL;
}

static void overlay_give(void *context, void *address) {
    const struct overlay *overlay = context;
    uint32_t block = block_of(address);

    if (!block || owners[block] != overlay->number + 1)
        service_fatal("%s: a block at %p is given back that is not its own", overlay->name, address);
    set_free(block);
}

static bool overlay_claim(void *context, void *address) {
    const struct overlay *overlay = context;
    uint32_t block = block_of(address);

    if (!block || owners[block] != (UNSEEN | (overlay->number + 1)))
        return false;
    set_owner(block, overlay->number + 1);
    return true;
}

static void overlay_log(void *context, const char *text) {
    const struct overlay *overlay = context;
    service_note(overlay->vm, "%s: %s", overlay->name, text);
}

/* ---- one that cannot be used */

static void broken_submit(struct disk *disk, struct disk_request *request) {
    (void)disk;
    request->done(request, -EIO);
}

static const struct disk_operations broken_operations = {.submit = broken_submit};

/* Its blocks are free from now on. Its table is refused in each later run, since it has not got that block.
 */
static void give_up(const struct overlay *overlay) {
    for (uint32_t block = first; block < blocks; block++)
        if ((owners[block] & ~UNSEEN) == overlay->number + 1)
            set_free(block);
}

/* ---- all of them */

static int open_fresh(struct overlay *overlay, struct disk *base) {
    int error = disk_overlay_init(&overlay->disk, base, &overlay->memory);

    if (!error)
        __atomic_store_n(&header->table[overlay->number], block_of(overlay->disk.table), __ATOMIC_SEQ_CST);
    return error;
}

static int open_again(struct overlay *overlay, struct disk *base, uint32_t table) {
    int error = -EINVAL;

    if (table >= first && table < blocks)
        error = disk_overlay_resume(&overlay->disk, base, &overlay->memory, address_of(table));
    if (error)
        give_up(overlay);
    return error;
}

struct disk *overlays_open(struct overlay *overlay, unsigned number, unsigned vm, const char *name,
                           struct disk *base) {
    int error = -ENOMEM;

    memset(overlay, 0, sizeof(*overlay));
    overlay->memory = (struct disk_overlay_memory){.take = overlay_take,
                                                   .give = overlay_give,
                                                   .claim = overlay_claim,
                                                   .log = overlay_log,
                                                   .context = overlay};
    overlay->number = number;
    overlay->vm = vm;
    snprintf(overlay->name, sizeof(overlay->name), "%s", name);
    if (header) {
        uint32_t table = header->table[number];
        error = table ? open_again(overlay, base, table) : open_fresh(overlay, base);
    }
    if (!error) {
        opened[number] = true;
        return &overlay->disk.disk;
    }
    service_note(vm, "%s: its overlay %s: all requests fail", name,
                 error == -EINVAL ? "was damaged, what was written is lost"
                                  : "has no memory, or cannot be as large");
    overlay->broken = *base;
    overlay->broken.operations = &broken_operations;
    overlay->broken.read_only = false; /* as an overlay is: the guest may know it already */
    overlay->broken.cached = false;
    overlay->broken.discards = true;
    overlay->broken.optimal = DISK_OVERLAY_BLOCK;
    return &overlay->broken;
}

void overlays_settle(void) {
    for (uint32_t block = first; header && block < blocks; block++) {
        unsigned owner = owners[block] & ~UNSEEN;
        /* An overlay that this run could not open is kept for the next one. */
        bool kept = owner && owner <= OVERLAYS_MAX && !opened[owner - 1] && header->table[owner - 1];
        if ((owners[block] & UNSEEN) && !kept)
            set_free(block);
    }
}

/* Nothing is kept in it. */
static bool is_fresh(const struct header *found) {
    unsigned tables = 0;

    for (unsigned i = 0; i < OVERLAYS_MAX; i++)
        tables += found->table[i] != 0;
    return tables == 0;
}

void overlays_init(void *memory, uint64_t size) {
    struct header *found = memory;

    header = NULL;
    memset(opened, 0, sizeof(opened));
    blocks = (uint32_t)(size / BLOCK < MAX_BLOCKS ? size / BLOCK : MAX_BLOCKS);
    first = (uint32_t)((OWNERS + blocks * sizeof(*owners) + BLOCK - 1) / BLOCK);
    next = first;
    available = 0;
    if (!found || blocks <= first) {
        service_log(LOG_ERROR, "overlays: their memory, %u MiB, cannot be used", (unsigned)(size >> 20));
        return;
    }
    if (is_fresh(found)) {
        found->blocks = blocks;
        found->address = (uintptr_t)memory;
        found->magic = MAGIC;
    } else if (found->magic != MAGIC || found->blocks != blocks || found->address != (uintptr_t)memory) {
        service_log(LOG_ERROR,
                    "overlays: their memory was damaged, or is elsewhere: magic 0x%x, %u blocks at 0x%llx",
                    (unsigned)found->magic, (unsigned)found->blocks, (unsigned long long)found->address);
        return;
    }
    header = found;
    owners = (uint16_t *)(void *)((uint8_t *)memory + OWNERS);
    for (uint32_t block = first; block < blocks; block++) {
        if (owners[block])
            set_owner(block, owners[block] | UNSEEN);
        else
            available++;
    }
}
