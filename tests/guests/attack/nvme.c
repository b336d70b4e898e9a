// SPDX-License-Identifier: Apache-2.0
// Attacks by an NVMe disk (NVM Express Base Specification 1.4): its queues, the memory of its commands and
// their lists of pages lie at addresses that may be anything. No interrupts: completions are polled.
#include "tests/guests/attack/attack.h"

#define CAPABILITIES 0x00
#define CONTROL      0x14
#define STATUS       0x1c
#define ADMIN_SIZES  0x24
#define ADMIN_SQ     0x28
#define ADMIN_CQ     0x30
#define DOORBELLS    0x1000
#define ENABLE       (1u | 6u << 16 | 4u << 20) /* entries of 64 and of 16 bytes */
#define READY        1u
#define FATAL        2u

#define CREATE_SQ    0x01u
#define CREATE_CQ    0x05u
#define IDENTIFY     0x06u
#define WRITE        0x01u
#define READ         0x02u

#define ENTRIES      16u
#define BLOCKS       (PAGE / 512u) /* of one page */
#define SHOWN        8u            /* 32-bit words */
#define PATIENCE     20000000ul    /* us */
#define NO_ANSWER    0xffffu

/* Of a command: doublewords as the controller reads them. */
struct command {
    uint32_t word[16];
};

/* Both lie in the guest's memory, whatever addresses the controller was told. */
struct queue {
    volatile struct command *sq;
    volatile uint32_t *cq; /* four words each */
    unsigned number, tail, head;
    uint32_t phase;
};

static uint64_t registers;
static unsigned stride; /* bytes between doorbells */
static struct queue admin = {.number = 0}, io = {.number = 1};
static volatile uint32_t *own; /* a page for data */

static volatile uint32_t *reg(unsigned offset) {
    return mmio32(registers + offset);
}

/* Whether the status register came to have these bits as `value`; it does not once the controller has
 * failed. */
static bool wait_status(uint32_t mask, uint32_t value) {
    for (uint64_t start = now_us(); now_us() - start < PATIENCE; pause_cpu()) {
        if ((*reg(STATUS) & mask) == value)
            return true;
        if (value && *reg(STATUS) & FATAL)
            return false;
    }
    return false;
}

/* ---- queues */

static void empty(struct queue *queue) {
    for (unsigned i = 0; i < ENTRIES * 4; i++)
        queue->cq[i] = 0;
    queue->tail = queue->head = 0;
    queue->phase = 1;
}

static volatile uint32_t *doorbell(const struct queue *queue, bool completion) {
    return mmio32(registers + DOORBELLS + (2 * queue->number + completion) * stride);
}

static void send(struct queue *queue, const struct command *command) {
    for (unsigned i = 0; i < array_count(command->word); i++)
        queue->sq[queue->tail].word[i] = command->word[i];
    queue->tail = (queue->tail + 1) % ENTRIES;
    *doorbell(queue, false) = queue->tail;
}

/* The status of the command that was sent, without the phase; NO_ANSWER: there was none, or the controller
 * has failed. */
static unsigned await(struct queue *queue) {
    volatile uint32_t *entry = queue->cq + 4 * queue->head;

    for (uint64_t start = now_us(); now_us() - start < PATIENCE; pause_cpu()) {
        uint32_t last = entry[3];
        if ((last >> 16 & 1) == queue->phase) {
            queue->head = (queue->head + 1) % ENTRIES;
            queue->phase ^= queue->head == 0;
            *doorbell(queue, true) = queue->head;
            return last >> 17;
        }
        if (*reg(STATUS) & FATAL)
            return NO_ANSWER;
    }
    return NO_ANSWER;
}

static unsigned admin_command(uint32_t opcode, uint32_t namespace, uint64_t memory, uint32_t word10,
                              uint32_t word11) {
    struct command command = {
        .word = {opcode, namespace, [6] = (uint32_t)memory, (uint32_t)(memory >> 32), [10] = word10, word11}};
    send(&admin, &command);
    return await(&admin);
}

/* `list`: the second page, or where the controller finds the addresses of further ones; unused if there is
 * none. */
static unsigned io_command(uint32_t opcode, uint64_t memory, uint64_t list, uint64_t block, uint32_t pages) {
    struct command command = {.word = {opcode, 1, [6] = (uint32_t)memory, (uint32_t)(memory >> 32),
                                       (uint32_t)list, (uint32_t)(list >> 32), (uint32_t)block,
                                       (uint32_t)(block >> 32), pages * BLOCKS - 1}};
    send(&io, &command);
    return await(&io);
}

/* ---- start */

static void write_address(unsigned offset, uint64_t address) {
    *reg(offset) = (uint32_t)address;
    *reg(offset + 4) = (uint32_t)(address >> 32);
}

/* The controller started anew, with its queues where `place` says: admin submission and completion, then
 * those of I/O; 0: in the guest's memory. How far it came: 1: it is ready; 2: it has identified itself; 3,
 * 4: it has taken a completion and a submission queue for I/O; 5: it has read a block. */
static unsigned start(const uint64_t place[4]) {
    *reg(CONTROL) = 0;
    if (!wait_status(READY, 0))
        return 0;
    empty(&admin);
    empty(&io);
    *reg(ADMIN_SIZES) = (ENTRIES - 1) << 16 | (ENTRIES - 1);
    write_address(ADMIN_SQ, place[0] ? place[0] : (uint64_t)admin.sq);
    write_address(ADMIN_CQ, place[1] ? place[1] : (uint64_t)admin.cq);
    *reg(CONTROL) = ENABLE;
    if (!wait_status(READY, READY))
        return 0;
    if (admin_command(IDENTIFY, 0, (uint64_t)own, 1, 0))
        return 1;
    uint32_t size = (ENTRIES - 1) << 16 | io.number;
    if (admin_command(CREATE_CQ, 0, place[3] ? place[3] : (uint64_t)io.cq, size, 1))
        return 2;
    if (admin_command(CREATE_SQ, 0, place[2] ? place[2] : (uint64_t)io.sq, size, io.number << 16 | 1))
        return 3;
    return io_command(READ, (uint64_t)own, 0, 0, 1) ? 4 : 5;
}

/* ---- commands from the console */

/* start [ASQ ACQ SQ CQ] */
static void do_start(struct line *line) {
    uint64_t place[4];

    for (unsigned i = 0; i < array_count(place); i++)
        place[i] = line_number(line);
    uint64_t stage = start(place);
    print("nvme start: stage %u fatal %u\n", stage, (uint64_t) !!(*reg(STATUS) & FATAL));
}

/* show BLOCK */
static void do_show(struct line *line) {
    for (unsigned i = 0; i < SHOWN; i++)
        own[i] = 0;
    uint64_t status = io_command(READ, (uint64_t)own, 0, line_number(line), 1);
    print("nvme show: status %x", status);
    print_words(own, SHOWN);
    print("\n");
}

/* storm ADDRESS: until somebody ends the guest. */
static void do_storm(struct line *line) {
    uint64_t address = line_number(line);

    print("nvme storm: begins\n");
    while (admin_command(IDENTIFY, 0, address, 1, 0) != NO_ANSWER)
        ;
    print("nvme storm: the controller has failed\n");
}

static bool do_data(struct line *line, uint64_t *status) {
    if (line_word(line, "identify")) { /* ADDRESS */
        *status = admin_command(IDENTIFY, 0, line_number(line), 1, 0);
        return true;
    }
    bool read = line_word(line, "read"), write = !read && line_word(line, "write");
    if (!read && !write && !line_word(line, "list"))
        return false;
    uint64_t address = line_number(line), block = line_number(line); /* ADDRESS BLOCK */
    if (read || write)
        *status = io_command(read ? READ : WRITE, address, (uint64_t)own, block, 1); /* the rest of a page */
    else
        *status = io_command(READ, (uint64_t)own, address, block, 3);
    return true;
}

void nvme_start(void) {
    static const uint64_t nowhere[4];

    registers = pci_claim(8, 0xffffff00, 0x01080200);
    if (!registers)
        return;
    stride = 4u << (*reg(CAPABILITIES + 4) & 15);
    for (unsigned i = 0; i < 2; i++) {
        struct queue *queue = i ? &io : &admin;
        queue->sq = memory_take(ENTRIES * sizeof(struct command));
        queue->cq = memory_take(ENTRIES * 16);
    }
    own = memory_take(PAGE);
    check_equal(start(nowhere), 5, "the disk reads into the guest's memory");
}

void nvme_do(struct line *line) {
    uint64_t status;

    if (!registers)
        print("nvme: not here\n");
    else if (line_word(line, "start"))
        do_start(line);
    else if (line_word(line, "show"))
        do_show(line);
    else if (line_word(line, "storm"))
        do_storm(line);
    else if (do_data(line, &status))
        print("nvme: status %x\n", status);
    else
        print("nvme: unknown\n");
}
