// SPDX-License-Identifier: Apache-2.0
// What virtio costs a guest that has two network cards on one network, and a disk of 8 MiB at least. The
// command line says what to do:
//   (nothing)    figures for one CPU under an instruction-counting clock; then one block request and one
//   frame between calls of
//                bench_steps(), for a debugger
//   awake        doorbells while the service VM is busy on another CPU, under such a clock
//   count-blk    as many single block requests as COUNTED, whose exits the host counts; count-frame: single
//   frames; count-frames frames in batches
#include "tests/bench/guests/bench.h"
#include "tests/bench/guests/driver.h"

#define COUNTED        10000u
#define ROUNDS         200u
#define BLOCKS         32u /* requests of a batch */
#define FRAMES         64u /* frames of a batch */
#define LARGE          0x100000u
#define LARGE_REQUESTS 84u      /* three descriptors each */
#define LARGE_WAIT     5000000u /* ticks, in which a part of them is done */
#define AWAKE_ROUNDS   16u
#define RINGS          100u
#define STEPS          3u
#define SMALL_FRAME    64u
#define LARGE_FRAME    1514u
#define HEADER         12u /* before each frame */
#define RECEIVE_SIZE   2048u

#define F_NET_MAC      (1ull << 5)
#define F_NET_MERGE    (1ull << 15)

#define BLK_READ       0u
#define BLK_WRITE      1u
#define BLK_FLUSH      4u
#define BLK_GET_ID     8u

static struct device card[2], disk;
static struct queue receive[2], send[2], blk;
static uint8_t buffer[LARGE] __attribute__((aligned(4096)));
static uint8_t frames[2][HEADER + LARGE_FRAME] __attribute__((aligned(64)));

/* What a block request has besides its data; the table is what an indirect descriptor refers to. */
static struct {
    struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header;
    uint8_t status;
    struct descriptor table[3] __attribute__((aligned(16)));
} request[BLOCKS];

static void fail(const char *what) {
    print("BENCH failed: %s\n", what);
    guest_exit(1);
}

static void setup(void) {
    if (!device_find(&disk, ID_BLK, 0, F_RING_INDIRECT | F_RING_EVENT))
        fail("no disk");
    device_queue(&disk, &blk, 0, true);
    device_start(&disk);
    for (unsigned i = 0; i < 2; i++) {
        if (!device_find(&card[i], ID_NET, i, F_RING_INDIRECT | F_RING_EVENT | F_NET_MAC | F_NET_MERGE))
            fail("no second card");
        device_queue(&card[i], &receive[i], 0, true);
        device_queue(&card[i], &send[i], 1, false);
        device_start(&card[i]);
    }
    /* From each card to the other one, of the type for local experiments. */
    for (unsigned i = 0; i < 2; i++)
        for (unsigned byte = 0; byte < 6; byte++) {
            frames[i][HEADER + byte] = card[!i].registers[card[!i].specific + byte];
            frames[i][HEADER + 6 + byte] = card[i].registers[card[i].specific + byte];
        }
    for (unsigned i = 0; i < 2; i++) {
        frames[i][HEADER + 12] = 0x88;
        frames[i][HEADER + 13] = 0xb5;
    }
}

/* Until the device has come that far; it mostly has before. */
static void wait_used(const struct queue *queue, uint16_t index) {
    for (unsigned i = 0; queue->used.index != index; i++) {
        if (i == 100000)
            fail("a device does not answer");
        pause_cpu();
    }
}

/* ---- the disk */

/* Requests of `size` bytes each, one behind the other on the disk, all into or from the same memory, rung for
 * once. Ticks from before the doorbell to the handler's first instruction. */
static uint64_t block(unsigned type, uint32_t size, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        unsigned parts = 0;
        request[i].header.type = type;
        request[i].header.sector = (uint64_t)i * size / 512;
        request[i].table[parts++] = (struct descriptor){(uint64_t)&request[i].header, 16, DESC_NEXT, 1};
        if (size)
            request[i].table[parts++] = (struct descriptor){
                (uint64_t)buffer, size, DESC_NEXT | (type == BLK_WRITE ? 0 : DESC_WRITE), 2};
        request[i].table[parts++] = (struct descriptor){(uint64_t)&request[i].status, 1, DESC_WRITE, 0};
        request[i].status = 0xff;
        queue_describe(&blk, i, request[i].table, parts * sizeof(struct descriptor), DESC_INDIRECT, 0);
        queue_offer(&blk, (uint16_t)i);
    }
    blk.available.used_event = (uint16_t)(blk.offered - 1);
    queue_publish(&blk);
    uint64_t before = bench_ring(blk.bell, 0);
    wait_used(&blk, blk.offered);
    for (unsigned i = 0; i < count; i++)
        if (request[i].status)
            fail("a block request");
    return bench_time - before;
}

static void measure_block(const char *name, unsigned type, uint32_t size, unsigned count) {
    block(type, size, count);
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        uint64_t total = 0;
        for (unsigned i = 0; i < ROUNDS / count; i++)
            total += block(type, size, count);
        bench_figure(name, total, (ROUNDS / count) * count);
    }
}

/* ---- the network */

/* Frames from one card to the other; ticks as for block(). Both send in turn, so that neither table nor
 * filter favours one. */
static uint64_t frame(unsigned from, uint32_t size, unsigned count) {
    struct queue *out = &send[from], *in = &receive[!from];

    for (unsigned i = 0; i < count; i++) {
        queue_describe(in, i, buffer + i * RECEIVE_SIZE, RECEIVE_SIZE, DESC_WRITE, 0);
        queue_offer(in, (uint16_t)i);
        queue_describe(out, i, frames[from], HEADER + size, 0, 0);
        queue_offer(out, (uint16_t)i);
    }
    in->available.used_event = (uint16_t)(in->offered - 1);
    out->available.used_event = (uint16_t)(out->offered - count - 1); /* never */
    queue_publish(in);
    queue_publish(out);
    uint64_t before = bench_ring(out->bell, 1);
    wait_used(out, out->offered);
    wait_used(in, in->offered);
    return bench_time - before;
}

static void measure_frame(const char *name, uint32_t size, unsigned count) {
    frame(0, size, count);
    frame(1, size, count);
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        uint64_t total = 0;
        unsigned rounds = 2 * (ROUNDS / count);
        for (unsigned i = 0; i < rounds; i++)
            total += frame(i % 2, size, count);
        bench_figure(name, total, rounds * count);
    }
}

/* ---- doorbells */

/* On one CPU the service VM, which comes first, has its turn before the guest's next instruction. It has
 * nothing to do: receive buffers are looked at when a frame is there. */
static void measure_doorbell(void) {
    MEASURE("doorbell", (uint64_t)receive[0].bell, "xor %%eax, %%eax", "mov %%ax, (%%rdi)");
}

static uint64_t ring_once(volatile uint16_t *bell) {
    uint64_t ticks = LOOP(1, (uint64_t)bell, "xor %%eax, %%eax\n mov %%ax, (%%rdi)");
    return ticks - LOOP(1, (uint64_t)bell, "xor %%eax, %%eax");
}

/* For two CPUs: the service VM's has megabytes to copy, and does not sleep when the end of this CPU's sleep
 * ends its turn on the emulator. */
static void measure_awake(void) {
    static uint64_t asleep[AWAKE_ROUNDS], awake[2 * AWAKE_ROUNDS];
    uint64_t again = 0;

    for (unsigned round = 0; round < AWAKE_ROUNDS; round++) {
        request[0].header.type = BLK_READ;
        request[0].header.sector = 0;
        for (unsigned i = 0; i < LARGE_REQUESTS; i++) {
            queue_describe(&blk, 3 * i, &request[0].header, 16, DESC_NEXT, (uint16_t)(3 * i + 1));
            queue_describe(&blk, 3 * i + 1, buffer, LARGE, DESC_NEXT | DESC_WRITE, (uint16_t)(3 * i + 2));
            queue_describe(&blk, 3 * i + 2, &request[0].status, 1, DESC_WRITE, 0);
            queue_offer(&blk, (uint16_t)(3 * i));
        }
        uint16_t begin = blk.used.index;
        queue_publish(&blk);
        asleep[round] = ring_once(blk.bell);
        bench_deadline(rdtsc() + LARGE_WAIT);
        bench_halt();
        if (blk.used.index == begin)
            fail("the service VM does not begin");
        for (unsigned i = 0; i < 2; i++)
            awake[2 * round + i] = ring_once(receive[i].bell);
        again += LOOP(RINGS, (uint64_t)receive[0].bell, "xor %%eax, %%eax\n mov %%ax, (%%rdi)") -
                 LOOP(RINGS, (uint64_t)receive[0].bell, "xor %%eax, %%eax");
        if (blk.used.index == blk.offered)
            fail("the service VM was done too early");
        wait_used(&blk, blk.offered);
        bench_settle();
    }
    bench_distribution("doorbell-asleep", asleep, array_count(asleep));
    bench_distribution("doorbell-awake", awake, array_count(awake));
    bench_figure("doorbell-again", again, AWAKE_ROUNDS * RINGS);
}

/* ---- all of it */

static void measure_all(void) {
    measure_doorbell();
    measure_block("blk-id", BLK_GET_ID, 20, 1);
    measure_block("blk-flush", BLK_FLUSH, 0, 1);
    measure_block("blk-read-4k", BLK_READ, 4096, 1);
    measure_block("blk-write-4k", BLK_WRITE, 4096, 1);
    measure_block("blk-read-128k", BLK_READ, 131072, 1);
    measure_block("blk-write-128k", BLK_WRITE, 131072, 1);
    measure_block("blk-read-4k-batch", BLK_READ, 4096, BLOCKS);
    measure_block("blk-write-4k-batch", BLK_WRITE, 4096, BLOCKS);
    measure_frame("frame-64", SMALL_FRAME, 1);
    measure_frame("frame-1514", LARGE_FRAME, 1);
    measure_frame("frame-64-batch", SMALL_FRAME, FRAMES);
    measure_frame("frame-1514-batch", LARGE_FRAME, FRAMES);
    bench_figure("steps", STEPS, 1);
    for (unsigned i = 0; i < STEPS; i++) {
        bench_steps();
        block(BLK_GET_ID, 20, 1);
    }
}

void guest_main(void) {
    bench_x2apic();
    setup();
    if (guest_option("count-blk")) {
        for (unsigned i = 0; i < COUNTED; i++)
            block(BLK_READ, 4096, 1);
        bench_figure("operations", COUNTED, 1);
    } else if (guest_option("count-frame")) {
        for (unsigned i = 0; i < COUNTED; i++)
            frame(i % 2, LARGE_FRAME, 1);
        bench_figure("operations", COUNTED, 1);
    } else if (guest_option("count-frames")) {
        for (unsigned i = 0; i < COUNTED / FRAMES; i++)
            frame(i % 2, LARGE_FRAME, FRAMES);
        bench_figure("operations", COUNTED / FRAMES * FRAMES, 1);
    } else if (guest_option("awake")) {
        measure_awake();
    } else {
        measure_all();
    }
    print("BENCH done 1 1\n");
    for (;;)
        __asm__ volatile("cli; hlt");
}
