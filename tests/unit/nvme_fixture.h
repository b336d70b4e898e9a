// SPDX-License-Identifier: Apache-2.0
// A model of an NVM Express controller with one name space, for tests of its driver: registers, queues, PRPs,
// and many ways to be slow, broken or hostile. It stands where drivers/pci would. It insists on the rules
// that the driver has to keep: a breach of them fails the test.
#ifndef SAGUARO_TESTS_UNIT_NVME_FIXTURE_H
#define SAGUARO_TESTS_UNIT_NVME_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "drivers/block/nvme.h"
#include "virtio/bytes.h"

#define IMAGE_SIZE (8u << 20)
#define DMA_BASE   0x7fff00000ull /* no address of ours is one of the device's */
#define MAX_BLOCKS 64u
#define SECOND     1000000000ull
#define INTERRUPTS 150u /* enough for any request of the tests */

struct model_queue {
    uint64_t submission, completion; /* 0: there is none */
    unsigned entries, completions;
    unsigned head, tail, completion_head, completion_tail;
    bool phase, interrupts;
};

struct model_command {
    uint8_t bytes[64];
    bool here;
};

static struct model {
    /* How it is. */
    uint64_t cap;
    uint8_t controller[4096], space[4096]; /* Identify */
    uint64_t ready_delay, reset_delay;     /* ns */
    bool ready_never, reset_never, shutdown_never, fatal_at_start, gone;
    unsigned fail_admin; /* opcode of the admin command that fails */
    unsigned deaf_admin; /* that which is never answered */
    bool deaf, hold;     /* I/O commands are not answered; are kept until model_release() */
    unsigned fail_io;    /* how many I/O commands fail next */
    bool no_master, no_bar, no_vectors, messages;
    unsigned dma_left;             /* allocations that succeed */
    void (*spoil)(uint8_t *entry); /* changes a completion of the I/O queue */
    uint64_t gone_until;           /* it comes back then, as after power-on */
    /* What it does. */
    uint32_t cc, csts, aqa;
    uint64_t asq, acq, changes_at;
    struct model_queue queue[2];
    struct model_command held[64];
    bool master, claimed_vectors;
    unsigned commands[256]; /* I/O commands by opcode */
    unsigned most_open, enables, unmasks, mine, shutdowns;
    uint32_t last_size; /* bytes of the last data */
    uint32_t last_words[6];
    uint64_t clock;
    uint8_t *image;
} model;

static uint8_t window[0x1000 + 0x100]; /* stands for the registers: only its addresses count */

static struct {
    uint8_t *data;
    size_t size;
    uint64_t dma;
} blocks[MAX_BLOCKS];
static unsigned block_count;

/* ---- the machine */

static uint64_t model_now(void) {
    return model.clock += 1000;
}

static void *model_dma(size_t size, uint64_t *dma) {
    if (!model.dma_left)
        return NULL;
    model.dma_left--;
    assert_true(block_count < MAX_BLOCKS);
    const uint64_t last = block_count ? blocks[block_count - 1].dma + blocks[block_count - 1].size : DMA_BASE;
    const size_t whole = (size + 4095) & ~(size_t)4095;
    blocks[block_count].data = aligned_alloc(4096, whole);
    assert_non_null(blocks[block_count].data);
    memset(blocks[block_count].data, 0, whole);
    blocks[block_count].size = size;
    /* With gaps, so that what runs over an end is seen. */
    *dma = blocks[block_count].dma = ((last + 4095) & ~4095ull) + 4096;
    return blocks[block_count++].data;
}

static const struct pci_host model_host = {.dma = model_dma, .now = model_now};
static struct pci_device pci = {.host = &model_host};

/* [dma, dma + size) as the device sees it. */
static uint8_t *model_memory(uint64_t dma, size_t size) {
    assert_true(model.master);
    for (unsigned i = 0; i < block_count; i++)
        if (dma >= blocks[i].dma && dma - blocks[i].dma < blocks[i].size &&
            size <= blocks[i].size - (dma - blocks[i].dma))
            return blocks[i].data + (dma - blocks[i].dma);
    fail_msg("DMA to memory that the device does not have: %llx", (unsigned long long)dma);
    return NULL;
}

uint32_t pci_class(const struct pci_device *device) {
    assert_ptr_equal(device, &pci);
    return 0x010802;
}

volatile void *pci_map(struct pci_device *device, unsigned bar, uint64_t offset, uint64_t size) {
    assert_ptr_equal(device, &pci);
    assert_int_equal(bar, 0);
    if (model.no_bar || offset + size > sizeof(window))
        return NULL;
    return window + offset;
}

int pci_set_vectors(struct pci_device *device, unsigned wanted) {
    assert_int_equal(wanted, 2);
    device->vectors = model.no_vectors ? 0 : model.messages ? 2 : 1;
    return 0;
}

int pci_set_master(struct pci_device *device, bool on) {
    (void)device;
    if (model.no_master && on)
        return -ENOENT;
    model.master = on;
    return 0;
}

void pci_unmask(struct pci_device *device) {
    model.unmasks++;
    model.mine += device->mine;
    device->mine = false;
}

/* ---- commands */

/* Moves `size` bytes between the PRPs' memory and `data`. */
static void model_transfer(const uint8_t *command, uint8_t *data, size_t size, bool to_memory) {
    uint64_t prp1 = bytes_get64(command + 24), prp2 = bytes_get64(command + 32);
    const uint64_t list = prp2;
    const size_t all = size;
    model.last_size = (uint32_t)size;
    assert_int_equal(prp1 & 4095, 0); /* the driver has whole pages only */
    for (unsigned page = 0; size; page++) {
        const size_t piece = size < 4096 ? size : 4096;
        uint64_t at = page == 0 ? prp1 : prp2;
        if (page && all > 8192) {
            assert_int_equal(list >> 12, (list + (page - 1) * 8 + 7) >> 12);
            at = bytes_get64(model_memory(list + (page - 1) * 8, 8));
        }
        assert_int_equal(at & 4095, 0);
        if (to_memory)
            memcpy(model_memory(at, piece), data, piece);
        else
            memcpy(data, model_memory(at, piece), piece);
        data += piece;
        size -= piece;
    }
}

static unsigned model_shift(void) {
    return model.space[128 + (model.space[26] & 15) * 4 + 2];
}

/* Where the blocks lie; checks that they are there. */
static uint8_t *model_blocks(uint64_t first, uint64_t count) {
    const uint64_t all = bytes_get64(model.space);
    assert_true(first < all && count <= all - first);
    return model.image + (first << model_shift());
}

static uint16_t model_io(const uint8_t *command) {
    const uint64_t first = bytes_get64(command + 40);
    const uint64_t count = (bytes_get32(command + 48) & 0xffff) + 1u;
    const size_t size = (size_t)count << model_shift();
    uint8_t range[16];

    assert_int_equal(bytes_get32(command + 4), 1);
    for (unsigned i = 0; i < 6; i++)
        model.last_words[i] = bytes_get32(command + 40 + i * 4);
    if (model.fail_io) {
        model.fail_io--;
        return 0x281; /* a medium error: unrecovered read error */
    }
    switch (command[0]) {
    case NVME_FLUSH:
        return 0;
    case NVME_READ:
    case NVME_WRITE:
        if (model.controller[77])
            assert_true(size <= 4096u << model.controller[77]);
        model_transfer(command, model_blocks(first, count), size, command[0] == NVME_READ);
        return 0;
    case NVME_WRITE_ZEROES:
        memset(model_blocks(first, count), 0, size);
        return 0;
    case NVME_DATASET:
        assert_int_equal(bytes_get32(command + 40), 0);
        assert_int_equal(bytes_get32(command + 44), 4);
        model_transfer(command, range, 16, false);
        memset(model_blocks(bytes_get64(range + 8), bytes_get32(range + 4)), 0xdd,
               (size_t)bytes_get32(range + 4) << model_shift());
        return 0;
    }
    return 1; /* invalid opcode */
}

static uint16_t model_admin(const uint8_t *command) {
    const uint32_t word10 = bytes_get32(command + 40), word11 = bytes_get32(command + 44);
    struct model_queue *io = &model.queue[1];

    if (model.fail_admin == command[0])
        return 6; /* internal error */
    switch (command[0]) {
    case NVME_IDENTIFY:
        if (word10 == 1) {
            model_transfer(command, model.controller, 4096, true);
        } else {
            assert_int_equal(word10, 0);
            assert_int_equal(bytes_get32(command + 4), 1);
            model_transfer(command, model.space, 4096, true);
        }
        return 0;
    case NVME_SET_FEATURES:
        assert_int_equal(word10, 7);
        assert_int_equal(word11, 0);
        return 0;
    case NVME_CREATE_CQ:
        assert_int_equal(word10 & 0xffff, 1);
        assert_true(word10 >> 16 <= (model.cap & 0xffff));
        io->completion = bytes_get64(command + 24);
        io->completions = (word10 >> 16) + 1;
        io->interrupts = word11 & 2;
        assert_int_equal(word11 & ~2u, 1);
        assert_int_equal(io->interrupts, !model.no_vectors);
        io->phase = true;
        return 0;
    case NVME_CREATE_SQ:
        assert_true(io->completion != 0);
        assert_int_equal(word10 & 0xffff, 1);
        assert_int_equal(word11, 1 << 16 | 1);
        io->submission = bytes_get64(command + 24);
        io->entries = (word10 >> 16) + 1;
        return 0;
    }
    fail_msg("admin command %u", command[0]);
    return 1;
}

static void model_complete(unsigned number, const uint8_t *command, uint16_t status) {
    struct model_queue *queue = &model.queue[number];
    uint8_t *entry = model_memory(queue->completion + queue->completion_tail * 16, 16);
    assert_true((queue->completion_tail + 1) % queue->completions != queue->completion_head);
    bytes_put32(entry, 0);
    bytes_put16(entry + 8, (uint16_t)queue->head);
    bytes_put16(entry + 10, (uint16_t)number);
    bytes_put16(entry + 12, bytes_get16(command + 2));
    bytes_put16(entry + 14, (uint16_t)(status << 1 | queue->phase));
    if (number == 1 && model.spoil)
        model.spoil(entry);
    if (++queue->completion_tail == queue->completions) {
        queue->completion_tail = 0;
        queue->phase = !queue->phase;
    }
}

static unsigned model_open(void) {
    unsigned open = 0;
    for (unsigned i = 0; i < 64; i++)
        open += model.held[i].here;
    return open;
}

static void model_take(unsigned number, const uint8_t *command) {
    if (number == 0) {
        if (model.deaf_admin != command[0])
            model_complete(0, command, model_admin(command));
        return;
    }
    model.commands[command[0]]++;
    if (model.deaf || model.hold) {
        for (unsigned i = 0; i < 64; i++)
            if (!model.held[i].here) {
                memcpy(model.held[i].bytes, command, 64);
                model.held[i].here = true;
                break;
            }
        if (model_open() > model.most_open)
            model.most_open = model_open();
        return;
    }
    model_complete(1, command, model_io(command));
}

/* Does and completes what is held, the last one first if `reverse`. */
static void __attribute__((unused)) model_release(bool reverse) {
    for (unsigned i = 0; i < 64; i++) {
        struct model_command *command = &model.held[reverse ? 63 - i : i];
        if (command->here) {
            command->here = false;
            model_complete(1, command->bytes, model_io(command->bytes));
        }
    }
}

/* ---- registers */

static void model_reset(void) {
    memset(model.queue, 0, sizeof(model.queue));
    memset(model.held, 0, sizeof(model.held));
}

static void model_settle(void) {
    if (model.gone_until && model.clock >= model.gone_until) {
        model.gone_until = 0;
        model.gone = false;
        model.cc = model.csts = 0;
        model_reset();
    }
    if (model.clock < model.changes_at)
        return;
    if (model.cc & 1 && !(model.csts & 1) && !model.ready_never) {
        if (model.fatal_at_start)
            model.csts |= 2;
        else
            model.csts |= 1;
    }
    if (!(model.cc & 1) && !model.reset_never)
        model.csts = 0;
}

static unsigned offset_of(const volatile void *at) {
    const size_t offset = (size_t)((const volatile uint8_t *)at - window);
    assert_true(offset < sizeof(window));
    return (unsigned)offset;
}

uint32_t pci_read32(const volatile void *at) {
    model_settle();
    if (model.gone)
        return 0xffffffff;
    switch (offset_of(at)) {
    case 0x14:
        return model.cc;
    case 0x1c:
        return model.csts;
    }
    fail_msg("read of register %x", offset_of(at));
    return 0;
}

uint64_t pci_read64(const volatile void *at) {
    assert_int_equal(offset_of(at), 0);
    return model.gone ? UINT64_MAX : model.cap;
}

void pci_write64(volatile void *at, uint64_t value) {
    assert_int_equal(value & 4095, 0);
    assert_false(model.csts & 1);
    if (offset_of(at) == 0x28)
        model.asq = value;
    else if (offset_of(at) == 0x30)
        model.acq = value;
    else
        fail_msg("write of register %x", offset_of(at));
}

static void write_cc(uint32_t value) {
    const uint32_t old = model.cc;
    model.cc = value;
    if (value & ~old & 1) {
        assert_int_equal(value, 1 | 6 << 16 | 4 << 20);
        assert_false(model.csts & 1);
        assert_true(model.master);
        model.enables++;
        model_reset();
        model.queue[0] = (struct model_queue){.submission = model.asq,
                                              .completion = model.acq,
                                              .entries = (model.aqa & 0xfff) + 1,
                                              .completions = (model.aqa >> 16) + 1,
                                              .phase = true};
        model.changes_at = model.clock + model.ready_delay;
    } else if (old & ~value & 1) {
        model_reset();
        model.changes_at = model.clock + model.reset_delay;
    } else if (value >> 14 & 3) {
        model.shutdowns++;
        if (!model.shutdown_never)
            model.csts |= 2 << 2;
    }
}

static void ring(unsigned number, uint32_t tail) {
    struct model_queue *queue = &model.queue[number];
    assert_true(queue->submission != 0);
    assert_true(tail < queue->entries && tail != queue->tail);
    queue->tail = tail;
    while (queue->head != queue->tail) {
        uint8_t command[64];
        memcpy(command, model_memory(queue->submission + queue->head * 64, 64), 64);
        queue->head = (queue->head + 1) % queue->entries;
        model_take(number, command);
    }
}

void pci_write32(volatile void *at, uint32_t value) {
    const unsigned offset = offset_of(at);
    const unsigned stride = 4u << (model.cap >> 32 & 15);

    model_settle();
    if (model.gone)
        return;
    if (offset == 0x14) {
        write_cc(value);
    } else if (offset == 0x24) {
        model.aqa = value;
    } else if (offset >= 0x1000 && (offset - 0x1000) % stride == 0 && (offset - 0x1000) / stride < 4) {
        const unsigned number = (offset - 0x1000) / stride / 2;
        assert_true(model.csts & 1);
        if ((offset - 0x1000) / stride % 2 == 0) {
            ring(number, value);
        } else {
            assert_true(value < model.queue[number].completions);
            assert_true(value != model.queue[number].completion_head);
            model.queue[number].completion_head = value;
        }
    } else {
        fail_msg("write of register %x", offset);
    }
}

/* ---- set-up */

/* A disk of IMAGE_SIZE bytes in blocks of 1 << shift. */
static void model_format(unsigned shift) {
    memset(model.space, 0, 4096);
    bytes_put64(model.space, IMAGE_SIZE >> shift);
    model.space[25] = 1; /* two formats, the second one in use */
    model.space[26] = 1;
    bytes_put32(model.space + 128 + 4, shift << 16);
}

static struct nvme *nvme;
static struct block *block;
static unsigned changes;

static void changed(struct block *which) {
    assert_ptr_equal(which, block);
    changes++;
}

static int set_up(void **state) {
    (void)state;
    memset(&model, 0, sizeof(model));
    model.image = malloc(IMAGE_SIZE);
    for (unsigned i = 0; i < IMAGE_SIZE; i++)
        model.image[i] = (uint8_t)(i * 7 + i / 251);
    model.cap = 0x3f | 15ull << 24 | 1ull << 37;
    model.ready_delay = model.reset_delay = 3000000;
    model.dma_left = MAX_BLOCKS;
    model.fail_admin = model.deaf_admin = 0xff;
    memcpy(model.controller + 4, "  SG-12\x01  x          ", 20);
    model.controller[512] = 0x66;
    model.controller[513] = 0x44;
    bytes_put32(model.controller + 516, 1);
    bytes_put16(model.controller + 520, 1 << 2 | 1 << 3);
    model.controller[525] = 1;
    model_format(9);
    pci = (struct pci_device){.host = &model_host};
    nvme = calloc(1, nvme_block.size);
    block = &nvme->block;
    block->class = &nvme_block;
    block->pci = &pci;
    block->changed = changed;
    changes = 0;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (unsigned i = 0; i < block_count; i++)
        free(blocks[i].data);
    block_count = 0;
    free(model.image);
    free(nvme);
    return 0;
}

/* ---- requests */

#define REQUESTS 80u

struct test_request {
    struct disk_request request;
    struct virtq_segment segment[3];
    uint8_t *data;
    size_t size;
    int result; /* 1: not done */
};
static struct test_request requests[REQUESTS];
static unsigned finished[REQUESTS], finished_count; /* in which order */

static void request_done(struct disk_request *request, int error) {
    struct test_request *test = (struct test_request *)request;
    assert_int_equal(test->result, 1);
    test->result = error;
    if (finished_count < REQUESTS)
        finished[finished_count++] = (unsigned)(test - requests);
}

/* Its data lie in three segments, behind 5 bytes to be skipped; they are `fill` at first. */
static struct test_request *submit(unsigned number, enum disk_operation operation, uint64_t sector,
                                   uint64_t count, uint8_t fill) {
    struct test_request *test = &requests[number];
    const bool data = operation == DISK_READ || operation == DISK_WRITE;
    test->size = data ? (size_t)count * DISK_SECTOR : 0;
    free(test->data);
    test->data = malloc(test->size + 5);
    memset(test->data, fill, test->size + 5);
    test->request = (struct disk_request){
        .operation = operation, .sector = sector, .count = count, .skip = 5, .done = request_done};
    if (data) {
        test->segment[0] = (struct virtq_segment){.data = test->data, .size = 8};
        test->segment[1] = (struct virtq_segment){.data = test->data + 8, .size = 301};
        test->segment[2] =
            (struct virtq_segment){.data = test->data + 309, .size = (uint32_t)(test->size + 5 - 309)};
        test->request.segment = test->segment;
        test->request.segments = 3;
    }
    test->result = 1;
    disk_submit(&block->disk, &test->request);
    return test;
}

static void forget_requests(void) {
    for (unsigned i = 0; i < REQUESTS; i++) {
        free(requests[i].data);
        requests[i].data = NULL;
    }
    finished_count = 0;
}

static int tear_down_requests(void **state) {
    forget_requests();
    return tear_down(state);
}

/* Interrupts until nothing more is done. */
static void __attribute__((unused)) interrupt(void) {
    for (unsigned i = 0; i < INTERRUPTS; i++)
        block->class->poll(block, 1);
}

/* About a second, some times. */
static void __attribute__((unused)) ticks(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        model.clock += SECOND;
        block->class->tick(block);
    }
}

#endif
