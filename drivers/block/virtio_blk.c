// SPDX-License-Identifier: Apache-2.0
// Driver for virtio disks (virtio 1.2, 5.2): what the disk is, its start, and what is done when it fails.
#include <errno.h>
#include <string.h>
#include "drivers/block/virtio_blk_internal.h"
#include "virtio/device.h"

#define VECTORS            2u /* one for changes of configuration, one for the queue */
#define QUEUE_SIZE         128u
#define ID_TIME            (1500 * 1000000ull) /* ns that the disk has to say its serial number */
#define MAX_EXPONENT       12u                 /* of physical blocks in a logical one: more makes no sense */
#define CONTROL_BYTES      (BLK_SLOTS * BLK_CONTROL_SIZE)

/* Offsets in the configuration (5.2.4). */
#define CONFIG_CAPACITY    0u
#define CONFIG_SIZE_MAX    8u
#define CONFIG_BLK_SIZE    20u
#define CONFIG_EXPONENT    24u
#define CONFIG_OPTIMAL     28u
#define CONFIG_MAX_DISCARD 36u
#define CONFIG_MAX_ZEROES  48u
#define CONFIG_MAY_UNMAP   56u

#define WANTED                                                                                               \
    (VIRTIO_VERSION_1 | VIRTIO_RING_EVENT | VPCI_F_ACCESS_PLATFORM | VPCI_F_ORDER_PLATFORM |                 \
     BLK_F_SIZE_MAX | BLK_F_RO | BLK_F_BLK_SIZE | BLK_F_FLUSH | BLK_F_TOPOLOGY | BLK_F_DISCARD |             \
     BLK_F_ZEROES)

_Static_assert(BLK_SLOTS *BLK_DESCRIPTORS <= QUEUE_SIZE, "a slot has its descriptors");

static struct blk_driver *driver_of(struct block *block) {
    return (struct blk_driver *)block;
}

static bool matches(const struct pci_device *pci) {
    return vpci_matches(pci, VIRTIO_ID_BLOCK);
}

static int fail(struct blk_driver *driver, int error, const char *why) {
    driver->block.why = why;
    return error;
}

/* ---- what the disk is */

static uint32_t config32(struct blk_driver *driver, uint64_t feature, unsigned offset) {
    return driver->device.features & feature ? (uint32_t)vpci_config(&driver->device, offset, 4) : 0;
}

/* Physical blocks and the size that is best moved at once are hints: what makes no sense is left out. */
static void read_topology(struct blk_driver *driver, struct blk_limits *limits) {
    uint64_t exponent = vpci_config(&driver->device, CONFIG_EXPONENT, 1);
    uint64_t optimal = (uint64_t)config32(driver, BLK_F_TOPOLOGY, CONFIG_OPTIMAL) * limits->block;

    if (!(driver->device.features & BLK_F_TOPOLOGY) || exponent > MAX_EXPONENT)
        exponent = 0;
    limits->physical = limits->block << exponent;
    limits->optimal = optimal <= INT32_MAX ? (uint32_t)optimal : 0;
}

/* Reads the configuration; 0, -ENOTSUP. */
static int read_limits(struct blk_driver *driver, struct blk_limits *limits) {
    struct vpci *device = &driver->device;
    uint64_t features = device->features;

    limits->block =
        features & BLK_F_BLK_SIZE ? config32(driver, BLK_F_BLK_SIZE, CONFIG_BLK_SIZE) : DISK_SECTOR;
    if (limits->block < DISK_SECTOR || limits->block > DISK_MAX_BLOCK ||
        (limits->block & (limits->block - 1)))
        return fail(driver, -ENOTSUP, "its blocks have a size that we do not know");
    uint32_t whole = ~(limits->block / DISK_SECTOR - 1);
    uint64_t sectors = vpci_config(device, CONFIG_CAPACITY, 8);
    if (sectors > UINT64_MAX / DISK_SECTOR || sectors < limits->block / DISK_SECTOR)
        return fail(driver, -ENOTSUP, "its size makes no sense");
    limits->sectors = sectors & ~(limits->block / DISK_SECTOR - 1ull);
    uint32_t piece =
        features & BLK_F_SIZE_MAX ? config32(driver, BLK_F_SIZE_MAX, CONFIG_SIZE_MAX) : UINT32_MAX;
    piece = piece < BLK_SLOT_SIZE ? piece : BLK_SLOT_SIZE;
    limits->piece = piece / DISK_SECTOR & whole;
    if (limits->piece == 0)
        return fail(driver, -ENOTSUP, "it does not take a whole block at once");
    limits->most_discard = config32(driver, BLK_F_DISCARD, CONFIG_MAX_DISCARD) & whole;
    limits->most_zeroes = config32(driver, BLK_F_ZEROES, CONFIG_MAX_ZEROES) & whole;
    limits->unmaps = (features & BLK_F_ZEROES) && vpci_config(device, CONFIG_MAY_UNMAP, 1);
    read_topology(driver, limits);
    return 0;
}

static void poll_disk(struct disk *disk) {
    blk_run((struct blk_driver *)(void *)disk);
}

static void describe(struct blk_driver *driver) {
    static const struct disk_operations operations = {.submit = blk_submit, .poll = poll_disk};
    const struct blk_limits *limits = &driver->limits;

    driver->block.disk = (struct disk){.operations = &operations,
                                       .sectors = limits->sectors,
                                       .block = limits->block,
                                       .physical = limits->physical,
                                       .optimal = limits->optimal,
                                       .read_only = driver->device.features & BLK_F_RO,
                                       .cached = driver->device.features & BLK_F_FLUSH,
                                       .discards = limits->most_discard != 0};
}

/* ---- its start */

/* Memory stays over later starts. */
static int allocate(struct blk_driver *driver) {
    const struct pci_host *host = driver->block.pci->host;
    bool enough = vring_init(&driver->ring, host) == 0;

    if (!driver->control)
        driver->control = host->dma(CONTROL_BYTES, &driver->control_dma);
    enough = enough && driver->control;
    for (unsigned i = 0; i < BLK_SLOTS && enough; i++) {
        struct blk_slot *slot = &driver->slot[i];
        if (!slot->data)
            slot->data = host->dma(BLK_SLOT_SIZE, &slot->dma);
        enough = slot->data;
    }
    return enough ? 0 : fail(driver, -ENOMEM, "there is no memory for its buffers");
}

/* From a reset to DRIVER_OK, with an empty ring. */
static int bring_up(struct blk_driver *driver, struct blk_limits *limits) {
    struct vpci *device = &driver->device;
    int error = vpci_reset(device);

    if (!error)
        error = vpci_negotiate(device, driver->wanted, driver->wanted | VIRTIO_VERSION_1);
    if (error)
        return fail(driver, error, device->why);
    error = read_limits(driver, limits);
    if (error)
        return error;
    error = vpci_set_vectors(device, VECTORS);
    if (!error)
        error = vpci_enable_queue(device, BLK_QUEUE, &driver->ring, QUEUE_SIZE);
    if (error)
        return fail(driver, error, device->why);
    error = pci_set_master(driver->block.pci, true);
    if (error)
        return fail(driver, error, "it may not do DMA");
    vpci_start(device);
    return 0;
}

/* The number without spaces at its ends; what cannot be printed becomes '?'. */
static void set_serial(struct block *block, const uint8_t *id) {
    unsigned first = 0, end = 0;

    while (end < BLK_ID_SIZE && id[end])
        end++;
    while (end > 0 && id[end - 1] == ' ')
        end--;
    while (first < end && id[first] == ' ')
        first++;
    memset(block->serial, 0, sizeof(block->serial));
    for (unsigned i = first; i < end; i++)
        block->serial[i - first] = id[i] > ' ' && id[i] < 0x7f ? (char)id[i] : id[i] == ' ' ? ' ' : '?';
}

/* Asks for the serial number, through the first slot, and waits. A disk that has none is none the worse. */
static int read_serial(struct blk_driver *driver) {
    const struct pci_host *host = driver->block.pci->host;
    struct blk_slot *slot = &driver->slot[0];
    uint64_t start = host->now();
    unsigned head;
    uint32_t written;
    int result;

    memset(slot->data, 0, BLK_ID_SIZE);
    slot->type = BLK_T_GET_ID;
    slot->size = BLK_ID_SIZE;
    blk_offer(driver, 0, 0, 0, false);
    vpci_kick(BLK_QUEUE, &driver->ring);
    while ((result = vring_take(&driver->ring, &head, &written)) == 0) {
        if (host->now() - start > ID_TIME)
            return fail(driver, -ETIMEDOUT, "it does not answer");
    }
    if (result < 0)
        return fail(driver, -EIO, driver->ring.broken);
    uint8_t id[BLK_ID_SIZE] = {0};
    if (blk_status(driver, 0) == 0)
        memcpy(id, slot->data, sizeof(id));
    set_serial(&driver->block, id);
    return 0;
}

static int start_device(struct blk_driver *driver) {
    int error = vpci_reset(&driver->device);

    if (error)
        return fail(driver, error, driver->device.why);
    driver->wanted = WANTED & vpci_offered(&driver->device);
    error = allocate(driver);
    if (!error)
        error = bring_up(driver, &driver->limits);
    if (error)
        return error;
    driver->slots = driver->ring.size / BLK_DESCRIPTORS;
    driver->slots = driver->slots < BLK_SLOTS ? driver->slots : BLK_SLOTS;
    if (driver->slots == 0)
        return fail(driver, -ENOTSUP, "its queue is too small");
    return read_serial(driver);
}

static int start(struct block *block) {
    struct blk_driver *driver = driver_of(block);
    int error = vpci_init(&driver->device, block->pci);

    driver->running = driver->tried = block->failed = false;
    driver->trouble = NULL;
    if (error)
        return fail(driver, error, driver->device.why);
    error = start_device(driver);
    if (error) {
        vpci_stop(&driver->device);
        return error;
    }
    describe(driver);
    driver->running = true;
    if (block->pci->vectors)
        vring_listen(&driver->ring, true);
    return 0;
}

static void stop(struct block *block) {
    struct blk_driver *driver = driver_of(block);

    driver->running = false;
    vpci_stop(&driver->device);
    blk_abandon(driver);
}

/* ---- at work, and when it fails */

static void look(struct blk_driver *driver) {
    switch (vpci_state(&driver->device)) {
    case VPCI_GONE:
        driver->trouble = "it is gone";
        break;
    case VPCI_NEEDS_RESET:
        driver->trouble = "it says that it needs a reset";
        break;
    case VPCI_SOUND:
        break;
    }
}

static void poll(struct block *block, uint32_t vectors) {
    struct blk_driver *driver = driver_of(block);

    if (vectors)
        block->counters.interrupts++;
    if (!driver->running || block->failed)
        return;
    if (vpci_acknowledge(&driver->device, vectors))
        look(driver);
    blk_run(driver);
}

static void give_up(struct blk_driver *driver) {
    struct block *block = &driver->block;

    block->failed = true;
    vpci_stop(&driver->device);
    blk_abandon(driver);
    if (block->changed)
        block->changed(block);
}

/* Resets the disk and repeats what it had. It must be the same one as before. */
static int restart(struct blk_driver *driver) {
    struct blk_limits limits;
    int error = bring_up(driver, &limits);

    if (error)
        return error;
    const struct blk_limits *before = &driver->limits;
    if (limits.sectors < before->sectors || limits.block != before->block || limits.piece < before->piece ||
        limits.most_discard < before->most_discard || limits.most_zeroes < before->most_zeroes ||
        driver->ring.size < driver->slots * BLK_DESCRIPTORS)
        return fail(driver, -EIO, "it is another one after a reset");
    driver->trouble = NULL;
    if (driver->block.pci->vectors)
        vring_listen(&driver->ring, true);
    blk_repeat(driver);
    return 0;
}

static void tick(struct block *block) {
    struct blk_driver *driver = driver_of(block);

    if (!driver->running || block->failed)
        return;
    if (!driver->trouble)
        look(driver);
    blk_run(driver);
    if (!driver->running || block->failed)
        return;
    if (!driver->trouble && blk_late(driver))
        driver->trouble = "it does not answer to a request";
    if (!driver->trouble)
        return;
    block->why = driver->trouble;
    if (driver->tried) {
        give_up(driver);
        return;
    }
    driver->tried = true;
    block->counters.resets++;
    if (restart(driver))
        give_up(driver);
}

const struct block_class virtio_blk_block = {
    .name = "virtio-blk",
    .matches = matches,
    .size = sizeof(struct blk_driver),
    .start = start,
    .stop = stop,
    .poll = poll,
    .tick = tick,
};
