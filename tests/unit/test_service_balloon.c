// SPDX-License-Identifier: Apache-2.0
// Guests' balloons in the service VM: what becomes of pages that are given back, how much the operator wants,
// the guest's answers, a new start of the guest and of the service VM.
// unit-sources: service/balloon_device.c virtio/balloon.c
#include <errno.h>
#include "tests/unit/virtio_class_mock.h"
#include "service/balloon_device.h"
#include "service/heap.h"
#include "virtio/bytes.h"

#define VM 5u
enum { INFLATE, DEFLATE, STATS, HINTS, REPORTS, QUEUES };

/* ---- surroundings */

static struct device *added;
static struct virtio_balloon *balloon;
static bool queued, no_memory;
static int add_error;
static void *object;
static const struct device_place place = {.at = 7 << 3, .token = VM << 8 | 7};

void *heap_allocate(size_t size) {
    free(object);
    object = no_memory ? NULL : calloc(1, size);
    return object;
}
int device_add(struct device *device, struct virtio_device *virtio, unsigned vm,
               const struct device_place *at) {
    assert_int_equal(vm, VM);
    assert_ptr_equal(at, &place);
    assert_string_equal(device->name, "balloon");
    device->plain.vm = vm;
    device->virtio = virtio;
    added = device;
    balloon = (struct virtio_balloon *)virtio;
    mock_attach(virtio);
    if (mock_record.status) /* it goes on where it was */
        mock_start(virtio, mock_record.features, QUEUES);
    return add_error;
}
void device_again(struct device *device) {
    assert_ptr_equal(device, added);
    queued = true;
}
struct device *device_of(const struct virtio_device *virtio) {
    assert_ptr_equal(virtio, added->virtio);
    return added;
}

static void turns(void) {
    for (unsigned i = 0; queued; i++) {
        assert_true(i < 100);
        queued = false;
        queued = added->run(added) || queued;
    }
}

static int set_up(void **state) {
    (void)state;
    mock_power_on();
    memset(mock_dirty, 0, sizeof(mock_dirty));
    queued = no_memory = false;
    add_error = 0;
    balloon_device_init();
    assert_int_equal(balloon_device_make(VM, &place), 0);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    free(object);
    object = NULL;
    return 0;
}

static struct balloon_figures look(void) {
    struct balloon_figures figures;
    assert_true(balloon_device_look(VM, &figures));
    return figures;
}

static unsigned dirty_pages(void) {
    unsigned count = 0;
    for (unsigned page = 0; page < MOCK_RAM / 4096; page++)
        count += mock_dirty[page * 4096] && mock_dirty[page * 4096 + 4095];
    return count;
}

/* ---- pages */

static void test_cleared(void **state) {
    (void)state;
    mock_start(&balloon->device, balloon->device.features_offered, QUEUES);
    /* Of 512 pages three are not zero, at their beginning, in the middle and at their end. */
    memset(mock_ram + 0x200000, 0, 0x200000);
    mock_ram[0x200000] = 1;
    mock_ram[0x205801] = 1;
    mock_ram[0x3fffff] = 1;
    struct mock_buffer *of = mock_buffer(REPORTS);
    mock_segment(of, true, 0x200000, 0x200000);
    mock_post(REPORTS);
    memset(mock_dirty, 0, sizeof(mock_dirty));
    mock_notify(&balloon->device, REPORTS);
    assert_true(queued); /* bounded work in one go */
    turns();
    assert_true(of->used);
    for (unsigned i = 0x200000; i < 0x400000; i++)
        assert_int_equal(mock_ram[i], 0);
    assert_int_equal(dirty_pages(), 3);
    assert_int_equal(look().cleared, 3 * 4096);

    /* Pages by number; those around them, and where there is no RAM, are left alone. */
    memset(mock_ram + 0x10000, 0xaa, 0x4000);
    bytes_put32(mock_ram + 0x1000, 0x111);
    bytes_put32(mock_ram + 0x1004, 0x112);
    bytes_put32(mock_ram + 0x1008, 0xfffff);
    of = mock_buffer(INFLATE);
    mock_segment(of, false, 0x1000, 12);
    mock_post(INFLATE);
    memset(mock_dirty, 0, sizeof(mock_dirty));
    mock_notify(&balloon->device, INFLATE);
    turns();
    assert_true(of->used);
    for (unsigned i = 0x10000; i < 0x14000; i++)
        assert_int_equal(mock_ram[i], i >= 0x11000 && i < 0x13000 ? 0 : 0xaa);
    assert_int_equal(dirty_pages(), 2);
    assert_int_equal(look().cleared, 5 * 4096);
}

/* A report's pages need not be RAM. */
static void test_no_ram(void **state) {
    (void)state;
    mock_start(&balloon->device, balloon->device.features_offered, QUEUES);
    memset(mock_ram, 0xaa, 0x2000);
    struct mock_buffer *of = mock_buffer(REPORTS);
    mock_segment(of, true, 0, 0x1000);
    /* As a queue would never give it; what the class does about memory is its own to check. */
    of->buffer.segment[0].gpa = MOCK_BASE - 0x1000;
    of->buffer.segment[0].size = 0x3000;
    mock_post(REPORTS);
    mock_notify(&balloon->device, REPORTS);
    turns();
    assert_true(of->used);
    assert_int_equal(mock_ram[0], 0);
    assert_int_equal(mock_ram[0x1fff], 0);
    assert_int_equal(look().cleared, 2 * 4096);
}

/* ---- the operator */

static void test_want(void **state) {
    (void)state;
    struct balloon_figures figures = look();
    assert_false(figures.driver);
    balloon_device_want(VM, 0x5fff); /* before its driver comes */
    mock_start(&balloon->device, balloon->device.features_offered, QUEUES);
    assert_int_equal(balloon->device.class->config_read(&balloon->device, 0, 4), 5);
    const unsigned before = mock_config_changes;
    balloon_device_want(VM, 0x100000);
    assert_int_equal(mock_config_changes, before + 1);
    balloon->device.class->config_write(&balloon->device, 4, 4, 0x80);
    figures = look();
    assert_true(figures.driver);
    assert_int_equal(figures.wanted, 0x100000);
    assert_int_equal(figures.given, 0x80000);

    /* The service VM starts anew: it is known what was wanted, and given. */
    balloon_device_init();
    assert_false(balloon_device_look(VM, &figures));
    assert_int_equal(balloon_device_make(VM, &place), 0);
    figures = look();
    assert_int_equal(figures.wanted, 0x100000);
    assert_int_equal(figures.given, 0x80000);

    /* The guest does: it has all of its memory. */
    added->restarted(added);
    mock_reset(&balloon->device);
    figures = look();
    assert_int_equal(figures.wanted, 0);
    assert_int_equal(figures.given, 0);
    assert_false(balloon_device_look(VM + 1, &figures));
    assert_false(balloon_device_look(SERVICE_MAX_VMS, &figures));
}

static unsigned answers;
static uint64_t answered;

static void answer(unsigned vm, const uint64_t *stat, uint16_t known) {
    assert_int_equal(vm, VM);
    assert_int_equal(known, 1 << VIRTIO_BALLOON_FREE);
    answered = stat[VIRTIO_BALLOON_FREE];
    answers++;
}

static struct mock_buffer *tell(uint64_t free_bytes) {
    struct mock_buffer *of = mock_buffer(STATS);
    bytes_put16(mock_ram + 0x2000, VIRTIO_BALLOON_FREE);
    bytes_put64(mock_ram + 0x2002, free_bytes);
    mock_segment(of, false, 0x2000, 10);
    mock_post(STATS);
    mock_notify(&balloon->device, STATS);
    turns();
    return of;
}

static void test_ask(void **state) {
    (void)state;
    answers = 0;
    mock_start(&balloon->device, balloon->device.features_offered, QUEUES);
    const struct mock_buffer *of = tell(100);
    assert_int_equal(answers, 0); /* nobody has asked */
    balloon_device_ask(VM, answer);
    assert_true(of->used);
    assert_int_equal(answers, 0); /* that was old */
    of = tell(200);
    assert_int_equal(answers, 1);
    assert_int_equal(answered, 200);
    /* Two questions, one answer; one that the guest has not read gets no old one. */
    balloon_device_ask(VM, answer);
    balloon_device_ask(VM, answer);
    of = tell(300);
    assert_true(of->used);
    assert_int_equal(answers, 1);
    tell(400);
    assert_int_equal(answers, 2);
    assert_int_equal(answered, 400);
    /* A guest that starts anew is not asked any more. */
    balloon_device_ask(VM, answer);
    added->restarted(added);
    mock_reset(&balloon->device);
    mock_start(&balloon->device, balloon->device.features_offered, QUEUES);
    tell(500);
    tell(600);
    assert_int_equal(answers, 2);
}

static void test_not_made(void **state) {
    struct balloon_figures figures;
    (void)state;
    balloon_device_init();
    add_error = -EEXIST;
    assert_int_equal(balloon_device_make(VM, &place), -EEXIST);
    assert_false(balloon_device_look(VM, &figures));
    no_memory = true;
    assert_int_equal(balloon_device_make(VM, &place), -ENOMEM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_cleared), TEST(test_no_ram), TEST(test_want), TEST(test_ask), TEST(test_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
