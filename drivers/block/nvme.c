// SPDX-License-Identifier: Apache-2.0
// Disks that are name space 1 of an NVM Express controller (NVM Express 1.4): start, stop, and what is done
// when a controller fails.
#include "drivers/block/nvme.h"

#include <errno.h>

#define CLASS       0x010802u         /* mass storage, NVM, NVM Express I/O controller */
#define START_LIMIT 2500000000ull     /* ns: who waits longer is taken for hanging by the hypervisor */
#define TICK_LIMIT  (50 * 1000000ull) /* ns that a tick waits for a controller that starts again */

static bool matches(const struct pci_device *pci) {
    return pci_class(pci) == CLASS;
}

/* Ends it for good. `why` is set. */
static void fail(struct nvme *nvme) {
    nvme->state = NVME_DEAD;
    (void)pci_set_master(nvme->block.pci, false);
    nvme->block.failed = true;
    nvme_request_end_all(nvme, -EIO);
    if (nvme->block.changed)
        nvme->block.changed(&nvme->block);
}

/* The controller does not do what it should. */
static void recover(struct nvme *nvme, const char *why) {
    nvme->block.why = why;
    if (nvme->restarted) {
        fail(nvme);
        return;
    }
    nvme->restarted = true;
    nvme->block.counters.resets++;
    nvme_request_repeat(nvme);
    nvme_begin(nvme);
}

/* Goes on with a restart, for `limit` ns at most. */
static void come_up(struct nvme *nvme, uint64_t limit) {
    const struct pci_host *host = nvme->block.pci->host;
    const uint64_t begun = host->now();
    int error;

    do {
        error = nvme_advance(nvme);
    } while (!error && nvme->state != NVME_RUNNING && host->now() - begun < limit);
    if (error)
        fail(nvme);
    else
        nvme_request_send(nvme);
}

static bool comes_up(const struct nvme *nvme) {
    return nvme->state > NVME_OFF && nvme->state < NVME_RUNNING;
}

static void poll(struct block *block, uint32_t vectors) {
    struct nvme *nvme = nvme_of(block);

    if (vectors)
        block->counters.interrupts++;
    if (comes_up(nvme)) {
        pci_mine(block->pci); /* its answers to commands of the start */
        come_up(nvme, 0);
    }
    if (nvme->state == NVME_RUNNING)
        nvme_request_poll(nvme);
    if (nvme->state == NVME_RUNNING && nvme->broken)
        recover(nvme, nvme->broken);
    if (vectors && block->pci->vectors == 1 && nvme->state != NVME_OFF && nvme->state != NVME_DEAD)
        pci_unmask(block->pci);
}

static void tick(struct block *block) {
    struct nvme *nvme = nvme_of(block);

    poll(block, 0);
    if (nvme->state == NVME_RUNNING) {
        const uint32_t status = nvme_status(nvme);
        if (status == NVME_STATUS_GONE)
            recover(nvme, "the controller is gone");
        else if (status & NVME_STATUS_FATAL)
            recover(nvme, "the controller says that it failed");
        else if (!(status & NVME_STATUS_READY))
            recover(nvme, "the controller has stopped");
        else if (nvme_request_is_late(nvme))
            recover(nvme, "the controller does not answer");
    }
    if (comes_up(nvme))
        come_up(nvme, TICK_LIMIT);
}

static int start(struct block *block) {
    struct nvme *nvme = nvme_of(block);
    const struct pci_host *host = block->pci->host;
    const uint64_t begun = host->now();
    int error = nvme_set_up(nvme);

    if (error)
        return error;
    nvme_request_init(nvme);
    nvme_begin(nvme);
    while (!error && nvme->state != NVME_RUNNING) {
        error = nvme_advance(nvme);
        if (!error && host->now() - begun > START_LIMIT) {
            block->why = "the controller takes too long to start";
            error = -ETIMEDOUT;
        }
    }
    if (error)
        nvme_shut_down(nvme);
    return error;
}

static void stop(struct block *block) {
    struct nvme *nvme = nvme_of(block);
    nvme_shut_down(nvme);
    nvme_request_end_all(nvme, -EIO);
}

const struct block_class nvme_block = {
    .name = "NVMe",
    .matches = matches,
    .size = sizeof(struct nvme),
    .start = start,
    .stop = stop,
    .poll = poll,
    .tick = tick,
};
