// SPDX-License-Identifier: Apache-2.0
// An NVM Express controller's reset and start (NVM Express 1.4, 3.1 and 7.6.1), as steps that never wait by
// themselves: a controller may take seconds, and may have to be reset while guests are served.
#include "drivers/block/nvme.h"

#include <errno.h>
#include <string.h>
#include "virtio/bytes.h"

#define CAP                0x00
#define CC                 0x14
#define CSTS               0x1c
#define AQA                0x24
#define ASQ                0x28
#define ACQ                0x30
#define DOORBELLS          0x1000u

#define CAP_ENTRIES(cap)   ((uint32_t)(cap)&0xffff)       /* MQES, from 0 on */
#define CAP_TIMEOUT(cap)   ((uint32_t)(cap) >> 24)        /* TO, in 500 ms */
#define CAP_STRIDE(cap)    ((uint32_t)((cap) >> 32) & 15) /* DSTRD */
#define CAP_NVM            (1ull << 37)                   /* CSS: the NVM command set */
#define CAP_PAGE_MIN(cap)  ((uint32_t)((cap) >> 48) & 15) /* MPSMIN: log2 of 4096 bytes */

#define CC_ENABLE          (1u << 0)
#define CC_SHUTDOWN        (1u << 14) /* normal */
#define CC_SHUTDOWN_MASK   (3u << 14)
#define CC_ENTRY_SIZES     (6u << 16 | 4u << 20) /* 64 and 16 bytes */
#define CSTS_SHUTDOWN_MASK (3u << 2)
#define CSTS_SHUTDOWN_DONE (2u << 2)

#define HALF_SECOND        500000000ull      /* ns */
#define ADMIN_LIMIT        (HALF_SECOND * 4) /* for one admin command */
#define LIST_SIZE          256u              /* bytes of a slot's PRP list */

_Static_assert((NVME_MAX_TRANSFER / NVME_PAGE - 1) * 8 <= LIST_SIZE, "a slot's pages are in its list");

enum step { STEP_CONTROLLER, STEP_NAMESPACE, STEP_COUNT, STEP_COMPLETION, STEP_SUBMISSION, STEPS };

static uint64_t now(const struct nvme *nvme) {
    return nvme->block.pci->host->now();
}

static uint32_t read(const struct nvme *nvme, unsigned offset) {
    return pci_read32(nvme->registers + offset);
}

static void write(const struct nvme *nvme, unsigned offset, uint32_t value) {
    pci_write32(nvme->registers + offset, value);
}

static int refuse(struct nvme *nvme, int error, const char *why) {
    nvme->block.why = why;
    return error;
}

uint32_t nvme_status(const struct nvme *nvme) {
    return read(nvme, CSTS);
}

/* ---- registers and memory */

/* 0, or -ENOMEM. */
static int make_queue(struct nvme *nvme, struct nvme_queue *queue, uint16_t number, uint16_t entries) {
    const struct pci_host *host = nvme->block.pci->host;

    *queue = (struct nvme_queue){.number = number, .entries = entries};
    queue->tail_doorbell = nvme->doorbells + number * 2u * nvme->stride;
    queue->head_doorbell = nvme->doorbells + (number * 2u + 1) * nvme->stride;
    queue->submission = host->dma(NVME_PAGE, &queue->submission_dma);
    queue->completion = host->dma(NVME_PAGE, &queue->completion_dma);
    return queue->submission && queue->completion ? 0 : -ENOMEM;
}

int nvme_set_up(struct nvme *nvme) {
    struct pci_device *pci = nvme->block.pci;

    nvme->registers = pci_map(pci, 0, 0, DOORBELLS);
    if (!nvme->registers)
        return refuse(nvme, -EIO, "the controller's registers cannot be mapped");
    const uint64_t cap = pci_read64(nvme->registers + CAP);
    if (cap == UINT64_MAX)
        return refuse(nvme, -EIO, "the controller does not answer");
    if (!(cap & CAP_NVM))
        return refuse(nvme, -ENOTSUP, "the controller does not have the NVM command set");
    if (CAP_PAGE_MIN(cap) != 0)
        return refuse(nvme, -ENOTSUP, "the controller does not have pages of 4 KiB");
    if (CAP_ENTRIES(cap) == 0)
        return refuse(nvme, -EIO, "the controller has no room in its queues");
    nvme->stride = 4u << CAP_STRIDE(cap);
    nvme->reset_limit = (CAP_TIMEOUT(cap) + 1) * HALF_SECOND;
    nvme->doorbells = pci_map(pci, 0, DOORBELLS, 4u * nvme->stride);
    if (!nvme->doorbells)
        return refuse(nvme, -EIO, "the controller's doorbells cannot be mapped");

    const uint32_t entries = CAP_ENTRIES(cap) + 1;
    nvme->page = pci->host->dma(NVME_PAGE, &nvme->page_dma);
    if (!nvme->page || make_queue(nvme, &nvme->admin, 0, NVME_ADMIN_ENTRIES) ||
        make_queue(nvme, &nvme->io, 1, (uint16_t)(entries < NVME_ENTRIES ? entries : NVME_ENTRIES)))
        return refuse(nvme, -ENOMEM, "there is no memory for the controller's queues");
    nvme->slots = nvme->io.entries <= NVME_SLOTS ? nvme->io.entries - 1u : NVME_SLOTS;
    /* The first is the I/O queue's. A second one says that they are messages, of which no line has to be
     * unmasked. If there is none the controller is polled. */
    (void)pci_set_vectors(pci, 2);
    return 0;
}

/* The slots' memory and their PRP lists (4.3). 0, or -ENOMEM. */
static int make_slots(struct nvme *nvme) {
    const struct pci_host *host = nvme->block.pci->host;
    uint64_t lists_dma;
    uint8_t *lists = host->dma(NVME_SLOTS * LIST_SIZE, &lists_dma);

    if (!lists)
        return -ENOMEM;
    for (unsigned i = 0; i < nvme->slots; i++) {
        struct nvme_slot *slot = &nvme->slot[i];
        slot->data = host->dma(nvme->identity.transfer, &slot->data_dma);
        if (!slot->data)
            return -ENOMEM;
        slot->list_dma = lists_dma + i * LIST_SIZE;
        for (unsigned page = 1; page < nvme->identity.transfer / NVME_PAGE; page++)
            bytes_put64(lists + i * LIST_SIZE + (page - 1) * 8u, slot->data_dma + page * NVME_PAGE);
    }
    return 0;
}

/* ---- what the disk is */

static int show_disk(struct nvme *nvme) {
    const struct nvme_identity *identity = &nvme->identity;

    if (make_slots(nvme))
        return refuse(nvme, -ENOMEM, "there is no memory for the controller's data");
    nvme->block.disk = (struct disk){
        .operations = &nvme_disk_operations,
        .sectors = identity->blocks << (identity->shift - 9),
        .block = 1u << identity->shift,
        .physical = identity->physical,
        .optimal = identity->optimal,
        .read_only = identity->read_only,
        .cached = identity->cached,
        .discards = identity->discards,
    };
    memcpy(nvme->block.serial, identity->serial, sizeof(identity->serial));
    nvme->known = true;
    return 0;
}

static bool is_same(const struct nvme_identity *a, const struct nvme_identity *b) {
    return a->blocks == b->blocks && a->shift == b->shift && a->transfer == b->transfer &&
           a->zeroes == b->zeroes && a->zeroes_unmaps == b->zeroes_unmaps && a->discards == b->discards &&
           a->cached == b->cached && a->read_only == b->read_only && !strcmp(a->serial, b->serial);
}

static int meet_disk(struct nvme *nvme) {
    if (nvme->known)
        return is_same(&nvme->identity, &nvme->found)
                   ? 0
                   : refuse(nvme, -ENODEV, "the disk is another one after a reset");
    nvme->identity = nvme->found;
    return show_disk(nvme);
}

/* ---- admin commands, one after the other */

static void ask(struct nvme *nvme) {
    const uint32_t size = (nvme->io.entries - 1u) << 16;
    const bool interrupts = nvme->block.pci->vectors != 0;
    struct nvme_command command = {.opcode = NVME_IDENTIFY, .prp1 = nvme->page_dma};

    switch (nvme->step) {
    case STEP_CONTROLLER:
        command.word[0] = 1; /* CNS */
        break;
    case STEP_NAMESPACE:
        command.namespace = NVME_NAMESPACE;
        break;
    case STEP_COUNT: /* one pair of queues: zeroes stand for 1 */
        command = (struct nvme_command){.opcode = NVME_SET_FEATURES, .word = {7}};
        break;
    case STEP_COMPLETION: /* in one piece; on vector 0, if there is one */
        command = (struct nvme_command){.opcode = NVME_CREATE_CQ,
                                        .prp1 = nvme->io.completion_dma,
                                        .word = {size | nvme->io.number, 1u | (interrupts ? 2u : 0)}};
        break;
    default: /* STEP_SUBMISSION */
        command = (struct nvme_command){.opcode = NVME_CREATE_SQ,
                                        .prp1 = nvme->io.submission_dma,
                                        .word = {size | nvme->io.number, 1u | nvme->io.number << 16}};
        break;
    }
    memset(nvme->page, 0, NVME_PAGE);
    nvme->state = NVME_ASKING;
    nvme->deadline = now(nvme) + ADMIN_LIMIT;
    nvme_queue_send(&nvme->admin, &command, ++nvme->admin_id & 0x7fff);
}

static int take_answer(struct nvme *nvme) {
    static const char *const failed[STEPS] = {
        [STEP_CONTROLLER] = "the controller does not identify itself",
        [STEP_NAMESPACE] = "the controller does not identify name space 1",
        [STEP_COUNT] = "the controller grants no queues",
        [STEP_COMPLETION] = "the controller makes no completion queue",
        [STEP_SUBMISSION] = "the controller makes no submission queue",
    };
    struct nvme_completion completion;
    int error = 0;

    if (!nvme_queue_take(&nvme->admin, &completion)) {
        if (nvme_status(nvme) & NVME_STATUS_FATAL) /* or it is gone */
            return refuse(nvme, -EIO, "the controller failed while it was started");
        return now(nvme) < nvme->deadline ? 0 : refuse(nvme, -ETIMEDOUT, failed[nvme->step]);
    }
    nvme_queue_tell(&nvme->admin);
    if (completion.id != (nvme->admin_id & 0x7fff) || completion.submission_queue != 0)
        return refuse(nvme, -EIO, "the controller answers what it was not asked");
    if (completion.status)
        return refuse(nvme, -EIO, failed[nvme->step]);
    if (nvme->step == STEP_CONTROLLER)
        error = nvme_identify_controller(&nvme->found, nvme->page, &nvme->block.why);
    else if (nvme->step == STEP_NAMESPACE)
        error = nvme_identify_namespace(&nvme->found, nvme->page, &nvme->block.why);
    if (!error && nvme->step == STEP_NAMESPACE)
        error = meet_disk(nvme);
    if (error)
        return error;
    if (++nvme->step == STEPS)
        nvme->state = NVME_RUNNING;
    else
        ask(nvme);
    return 0;
}

/* ---- the way from any state to NVME_RUNNING */

static void disable(struct nvme *nvme) {
    const uint32_t cc = read(nvme, CC);
    write(nvme, CC, cc == NVME_STATUS_GONE ? 0 : cc & ~(CC_ENABLE | CC_SHUTDOWN_MASK));
    nvme->state = NVME_RESETTING;
    nvme->deadline = now(nvme) + nvme->reset_limit;
}

static int enable(struct nvme *nvme) {
    nvme->broken = NULL;
    nvme->step = STEP_CONTROLLER;
    nvme_queue_reset(&nvme->admin);
    nvme_queue_reset(&nvme->io);
    write(nvme, AQA, (NVME_ADMIN_ENTRIES - 1) << 16 | (NVME_ADMIN_ENTRIES - 1));
    pci_write64(nvme->registers + ASQ, nvme->admin.submission_dma);
    pci_write64(nvme->registers + ACQ, nvme->admin.completion_dma);
    if (pci_set_master(nvme->block.pci, true))
        return refuse(nvme, -EIO, "the controller is not allowed to do DMA");
    write(nvme, CC, CC_ENABLE | CC_ENTRY_SIZES);
    nvme->state = NVME_ENABLING;
    nvme->deadline = now(nvme) + nvme->reset_limit;
    return 0;
}

void nvme_begin(struct nvme *nvme) {
    const uint32_t status = nvme_status(nvme);
    if (status & (NVME_STATUS_READY | NVME_STATUS_FATAL) || !(read(nvme, CC) & CC_ENABLE)) {
        disable(nvme);
    } else {
        nvme->state = NVME_SETTLING;
        nvme->deadline = now(nvme) + nvme->reset_limit;
    }
}

int nvme_advance(struct nvme *nvme) {
    const bool late = now(nvme) >= nvme->deadline;
    uint32_t status;

    switch (nvme->state) {
    case NVME_SETTLING:
        if (nvme_status(nvme) & (NVME_STATUS_READY | NVME_STATUS_FATAL) || late)
            disable(nvme);
        return 0;
    case NVME_RESETTING: /* one that is gone may come back meanwhile */
        if (!(nvme_status(nvme) & NVME_STATUS_READY))
            return enable(nvme);
        return late ? refuse(nvme, -ETIMEDOUT, "the controller does not reset") : 0;
    case NVME_ENABLING:
        status = nvme_status(nvme);
        if (status & NVME_STATUS_FATAL)
            return refuse(nvme, -EIO, "the controller failed while it was started");
        if (status & NVME_STATUS_READY) {
            ask(nvme);
            return 0;
        }
        return late ? refuse(nvme, -ETIMEDOUT, "the controller does not start") : 0;
    case NVME_ASKING:
        return take_answer(nvme);
    case NVME_OFF:
    case NVME_RUNNING:
    case NVME_DEAD:
        break;
    }
    return 0;
}

void nvme_shut_down(struct nvme *nvme) {
    uint64_t end = now(nvme) + HALF_SECOND;
    uint32_t status = nvme->registers ? nvme_status(nvme) : NVME_STATUS_GONE;

    if (nvme->state == NVME_RUNNING && !(status & NVME_STATUS_FATAL)) {
        write(nvme, CC, CC_ENABLE | CC_ENTRY_SIZES | CC_SHUTDOWN);
        while ((nvme_status(nvme) & CSTS_SHUTDOWN_MASK) != CSTS_SHUTDOWN_DONE && now(nvme) < end)
            ;
        end = now(nvme) + HALF_SECOND;
    }
    if (status != NVME_STATUS_GONE) {
        disable(nvme);
        while (nvme_status(nvme) & NVME_STATUS_READY && now(nvme) < end)
            ;
    }
    (void)pci_set_master(nvme->block.pci, false);
    nvme->state = NVME_OFF;
}
