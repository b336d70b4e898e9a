// SPDX-License-Identifier: Apache-2.0
// The NVM Express driver with a controller that does not answer, fails, goes away, or completes what it was
// not given: it is reset once, open requests are repeated in order, and otherwise the disk is given up.
// unit-sources: drivers/block/nvme.c drivers/block/nvme_start.c drivers/block/nvme_identify.c
// unit-sources: drivers/block/nvme_queue.c drivers/block/nvme_request.c virtio/disk.c
#include "tests/unit/nvme_fixture.h"

static int start(void **state) {
    set_up(state);
    assert_int_equal(block->class->start(block), 0);
    return 0;
}

static void expect_failed(const char *why) {
    assert_true(block->failed);
    assert_int_equal(changes, 1);
    assert_false(model.master);
    assert_string_equal(block->why, why);
    assert_int_equal(submit(70, DISK_READ, 0, 8, 0)->result, -EIO);
    const unsigned enables = model.enables;
    ticks(40);
    assert_int_equal(model.enables, enables);
    assert_int_equal(changes, 1);
}

static void expect_works(void) {
    struct test_request *test = submit(71, DISK_READ, 40, 300, 0xee);
    interrupt();
    assert_int_equal(test->result, 0);
    assert_memory_equal(test->data + 5, model.image + 40 * 512, test->size);
    assert_false(block->failed);
}

static void submit_some(unsigned count) {
    for (unsigned i = 0; i < count; i++)
        submit(i, i & 1 ? DISK_WRITE : DISK_READ, i * 64, 1 + i % 9, (uint8_t)i);
}

/* All are done, in order, with this result. */
static void expect_in_order(unsigned count, int result) {
    assert_int_equal(finished_count, count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(finished[i], i);
        assert_int_equal(requests[i].result, result);
        if (result == 0)
            assert_memory_equal(requests[i].data + 5, model.image + i * 64 * 512, requests[i].size);
    }
}

/* ---- silence */

static void test_silent_once(void **state) {
    (void)state;
    model.deaf = true;
    submit_some(60);
    ticks(29);
    assert_int_equal(model.enables, 1);
    assert_int_equal(finished_count, 0);
    model.deaf = false;
    ticks(3);
    interrupt();
    assert_int_equal(model.enables, 2);
    assert_int_equal(block->counters.resets, 1);
    assert_int_equal(block->counters.errors, 0);
    expect_in_order(60, 0);
    expect_works();
}

static void test_silent(void **state) {
    (void)state;
    model.deaf = true;
    submit_some(60);
    ticks(70);
    assert_int_equal(model.enables, 2);
    expect_in_order(60, -EIO);
    assert_int_equal(block->counters.errors, 60);
    expect_failed("the controller does not answer");
}

/* Each time that a restart has helped, there may be another one. */
static void test_silent_often(void **state) {
    (void)state;
    for (unsigned i = 1; i < 6; i++) {
        model.deaf = true;
        struct test_request *test = submit(0, DISK_READ, 8, 2000, 0xee);
        ticks(29);
        model.deaf = false;
        ticks(3);
        assert_int_equal(model.enables, i + 1);
        assert_int_equal(test->result, 0);
    }
}

/* A restart has not helped before what was repeated is done, whatever else is. */
static void test_silent_for_one(void **state) {
    (void)state;
    model.hold = true;
    submit(0, DISK_READ, 8, 8, 0xee);
    model.csts |= 2;
    ticks(1);
    assert_int_equal(model.enables, 2);
    model.hold = false;
    expect_works();
    ticks(32);
    assert_int_equal(model.enables, 2);
    assert_int_equal(requests[0].result, -EIO);
    expect_failed("the controller does not answer");
}

/* An answer that comes after all, without an interrupt. */
static void test_lost_interrupt(void **state) {
    (void)state;
    submit_some(10);
    assert_int_equal(finished_count, 0);
    ticks(1);
    expect_in_order(10, 0);
    assert_int_equal(model.enables, 1);
}

/* An answer to a command from before the reset is one to a command that was not given. */
static void test_late_answer(void **state) {
    (void)state;
    model.deaf = true;
    submit(0, DISK_READ, 8, 8, 0xee);
    uint8_t old[64];
    memcpy(old, model.held[0].bytes, 64);
    ticks(31);
    assert_int_equal(model.enables, 2);
    model_complete(1, old, 0);
    interrupt();
    assert_int_equal(requests[0].result, -EIO);
    expect_failed("the controller completes what it was not given");
}

static void test_large_repeated(void **state) {
    (void)state;
    model.hold = true;
    struct test_request *test = submit(0, DISK_WRITE, 0, 256 * 36, 0x77);
    for (unsigned i = 0; i < 8; i++) { /* some pieces are done */
        model.held[i].here = false;
        model_complete(1, model.held[i].bytes, model_io(model.held[i].bytes));
    }
    interrupt();
    assert_int_equal(test->result, 1);
    assert_int_equal(model.commands[NVME_WRITE], 36);
    ticks(31);
    assert_int_equal(model.commands[NVME_WRITE], 36 + 32);
    for (unsigned i = 0; i < 3; i++) {
        model_release(false);
        interrupt();
    }
    assert_int_equal(test->result, 0);
    assert_int_equal(model.commands[NVME_WRITE], 36 + 36);
    assert_memory_equal(test->data + 5, model.image, test->size);
    model.hold = false;
    expect_works();
}

/* ---- a controller that fails, or goes */

static void test_fatal(void **state) {
    (void)state;
    model.hold = true;
    submit_some(5);
    model.csts |= 2;
    model.hold = false;
    ticks(1);
    interrupt();
    expect_in_order(5, 0);
    expect_works();
    model.csts |= 2; /* once more: it had helped */
    ticks(1);
    expect_works();
    assert_int_equal(block->counters.resets, 2);
    model.csts |= 2;
    ticks(1);
    assert_int_equal(block->counters.resets, 3);
    model.csts |= 2; /* and nothing was done since */
    ticks(1);
    expect_failed("the controller says that it failed");
}

static void test_stopped(void **state) {
    (void)state;
    model.cc = model.csts = 0;
    model_reset();
    ticks(1);
    interrupt();
    expect_works();
    assert_int_equal(model.enables, 2);
}

static void test_gone(void **state) {
    (void)state;
    model.hold = true;
    submit_some(40);
    model.gone = true;
    ticks(2);
    assert_false(block->failed); /* it may come back */
    submit(40, DISK_FLUSH, 0, 0, 0);
    ticks(8);
    assert_int_equal(requests[40].result, -EIO);
    assert_int_equal(finished_count, 41);
    finished_count = 40;
    expect_in_order(40, -EIO);
    expect_failed("the controller does not reset");
}

static void test_gone_for_a_while(void **state) {
    (void)state;
    model.hold = true;
    submit_some(40);
    model.hold = false;
    model.gone = true;
    model.gone_until = model.clock + 3 * SECOND;
    ticks(5);
    interrupt();
    expect_in_order(40, 0);
    expect_works();
}

static void test_other_disk(void **state) {
    (void)state;
    model.hold = true;
    submit_some(3);
    bytes_put64(model.space, IMAGE_SIZE / 512 - 1);
    model.csts |= 2;
    ticks(2);
    expect_in_order(3, -EIO);
    expect_failed("the disk is another one after a reset");
}

static void test_no_restart(void **state) {
    (void)state;
    model.hold = true;
    submit_some(40);
    model.csts |= 2;
    model.ready_never = true;
    ticks(20);
    expect_in_order(40, -EIO);
    expect_failed("the controller does not start");
}

/* A restart that takes long keeps no tick for long, and takes requests meanwhile. */
static void test_slow_restart(void **state) {
    (void)state;
    model.csts |= 2;
    model.ready_delay = 5 * SECOND;
    model.clock += SECOND;
    const uint64_t before = model.clock;
    block->class->tick(block);
    assert_true(model.clock - before < SECOND / 10);
    submit_some(40);
    assert_int_equal(finished_count, 0);
    ticks(7);
    interrupt();
    expect_in_order(40, 0);
}

/* The start goes on by interrupts alone, too. */
static void test_restart_by_interrupts(void **state) {
    (void)state;
    model.hold = true;
    submit_some(4);
    model.hold = false;
    model.csts |= 2;
    model.ready_delay = SECOND;
    ticks(1);
    model.clock += 2 * SECOND;
    interrupt();
    expect_in_order(4, 0);
}

static void test_stop(void **state) {
    (void)state;
    model.hold = true;
    submit_some(50);
    block->class->stop(block);
    expect_in_order(50, -EIO);
    assert_false(model.master);
    assert_false(block->failed);
    block->class->poll(block, 1);
    ticks(3);
    assert_int_equal(model.enables, 1);
    assert_int_equal(submit(60, DISK_WRITE, 0, 1, 0)->result, -EIO);
}

static void test_stop_broken(void **state) {
    (void)state;
    model.shutdown_never = model.reset_never = true;
    const uint64_t before = model.clock;
    block->class->stop(block);
    assert_true(model.clock - before < 2 * SECOND);
    assert_false(model.master);
}

static void test_stop_gone(void **state) {
    (void)state;
    model.gone = true;
    block->class->stop(block);
    assert_false(model.master);
}

/* ---- hostile completions */

static void spoil_id(uint8_t *entry) {
    bytes_put16(entry + 12, (uint16_t)(bytes_get16(entry + 12) ^ 1));
}

static void spoil_generation(uint8_t *entry) {
    bytes_put16(entry + 12, (uint16_t)(bytes_get16(entry + 12) + 32));
}

static void spoil_high_id(uint8_t *entry) {
    bytes_put16(entry + 12, 0xffff);
}

static void spoil_queue(uint8_t *entry) {
    bytes_put16(entry + 10, 7);
}

static void spoil_head(uint8_t *entry) {
    bytes_put16(entry + 8, 64);
}

static void test_hostile(void **state) {
    static void (*const spoil[])(uint8_t *) = {spoil_id, spoil_generation, spoil_high_id, spoil_queue,
                                               spoil_head};
    (void)state;
    for (unsigned i = 0; i < sizeof(spoil) / sizeof(spoil[0]); i++) {
        model.spoil = spoil[i];
        submit(0, DISK_READ, 8, 8, 0xee);
        block->class->poll(block, 1);
        assert_int_equal(requests[0].result, 1);
        assert_int_equal(block->counters.resets, i + 1);
        model.spoil = NULL;
        ticks(1);
        interrupt();
        assert_int_equal(requests[0].result, 0);
        expect_works();
    }
    model.spoil = spoil_id;
    submit(0, DISK_READ, 8, 8, 0xee);
    interrupt();
    ticks(1);
    interrupt();
    assert_int_equal(requests[0].result, -EIO);
    expect_failed("the controller completes what it was not given");
}

/* Twice the same answer. */
static void test_answered_twice(void **state) {
    (void)state;
    model.hold = true;
    submit(0, DISK_READ, 8, 8, 0xee);
    submit(1, DISK_READ, 16, 8, 0xee);
    uint8_t command[64];
    memcpy(command, model.held[0].bytes, 64);
    model_complete(1, command, 0);
    model_complete(1, command, 0);
    block->class->poll(block, 1);
    assert_int_equal(finished_count, 1);
    assert_int_equal(block->counters.resets, 1);
    model.hold = false;
    ticks(1);
    interrupt();
    assert_int_equal(finished_count, 2);
    expect_works();
}

/* Every entry looks new all the time. */
static void test_phase_storm(void **state) {
    (void)state;
    for (unsigned phase = 0; phase < 2; phase++) {
        memset(nvme->io.completion, phase ? 0xff : 0x01, 4096);
        block->class->poll(block, 1);
        ticks(1);
        interrupt();
        expect_works();
    }
    assert_int_equal(block->counters.resets, 2);
}

/* ---- callers that go on at once */

static unsigned again;

static void resubmit(struct disk_request *request, int error) {
    if (error || !again)
        return;
    again--;
    disk_submit(&block->disk, request);
    block->disk.operations->poll(&block->disk);
}

static void test_resubmit(void **state) {
    static uint8_t data[8192];
    struct virtq_segment segment = {.data = data, .size = sizeof(data)};
    struct disk_request request[4];
    (void)state;
    again = 500;
    for (unsigned i = 0; i < 4; i++) {
        request[i] = (struct disk_request){.operation = DISK_READ,
                                           .sector = i * 16,
                                           .count = 16,
                                           .segment = &segment,
                                           .segments = 1,
                                           .done = resubmit};
        disk_submit(&block->disk, &request[i]);
    }
    interrupt();
    assert_int_equal(again, 0);
    assert_int_equal(model.commands[NVME_READ], 504);
    assert_int_equal(block->counters.resets, 0);
    expect_works();
}

static int tear_down_all(void **state) {
    block->class->stop(block);
    return tear_down_requests(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, tear_down_all)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_silent_once),
        TEST(test_silent),
        TEST(test_silent_often),
        TEST(test_lost_interrupt),
        TEST(test_silent_for_one),
        TEST(test_late_answer),
        TEST(test_large_repeated),
        TEST(test_fatal),
        TEST(test_stopped),
        TEST(test_gone),
        TEST(test_gone_for_a_while),
        TEST(test_other_disk),
        TEST(test_no_restart),
        TEST(test_slow_restart),
        TEST(test_restart_by_interrupts),
        TEST(test_stop),
        TEST(test_stop_broken),
        TEST(test_stop_gone),
        TEST(test_hostile),
        TEST(test_answered_twice),
        TEST(test_phase_storm),
        TEST(test_resubmit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
