// SPDX-License-Identifier: Apache-2.0
// virtio console: output with flow control and over a restart, input that waits, emergency write, size, wrong
// buffers.
// unit-sources: virtio/console.c
#include "tests/unit/virtio_class_mock.h"
#include "virtio/bytes.h"
#include "virtio/console.h"

enum { RX, TX };

static struct virtio_console console;
static uint8_t printed[0x100000];
static size_t printed_count, room;
static unsigned again_count;

static size_t output(void *context, const uint8_t *bytes, size_t size) {
    assert_ptr_equal(context, printed);
    assert_true(size > 0);
    if (size > room)
        size = room;
    assert_true(printed_count + size <= sizeof(printed));
    memcpy(printed + printed_count, bytes, size);
    printed_count += size;
    room -= size;
    return size;
}

/* Who has what was typed. */
static struct {
    uint32_t first; /* number of the first byte */
    size_t count;
    uint8_t byte[8192];
} source;
static unsigned asked;

static size_t input(void *context, uint32_t from, uint8_t *bytes, size_t size) {
    const uint32_t had = from - source.first;
    assert_ptr_equal(context, printed);
    assert_true(size <= VIRTIO_CONSOLE_PIECE);
    assert_true(had <= source.count);
    asked++;
    source.first = from;
    source.count -= had;
    memmove(source.byte, source.byte + had, source.count);
    if (size > source.count)
        size = source.count;
    memcpy(bytes, source.byte, size);
    return size;
}

static void again(struct virtio_console *of) {
    assert_ptr_equal(of, &console);
    again_count++;
}

static void make(void) {
    virtio_console_init(&console, output, input, printed, again);
}

static int set_up(void **state) {
    (void)state;
    mock_power_on();
    printed_count = 0;
    room = SIZE_MAX;
    again_count = asked = 0;
    source.first = 0;
    source.count = 0;
    make();
    mock_start(&console.device, console.device.features_offered, 2);
    return 0;
}

static void put(uint32_t offset, const char *text) {
    memcpy(mock_ram + offset, text, strlen(text));
}

static void saw(const char *text) {
    assert_int_equal(printed_count, strlen(text));
    assert_memory_equal(printed, text, printed_count);
}

static void test_output(void **state) {
    (void)state;
    put(0, "hello, ");
    put(100, "world\n");
    struct mock_buffer *of = mock_buffer(TX);
    mock_segment(of, false, 0, 7);
    mock_segment(of, false, 100, 6);
    mock_post(TX);
    mock_notify(&console.device, TX);
    saw("hello, world\n");
    assert_true(of->used);
    assert_int_equal(of->written, 0);
    assert_int_equal(mock_queue[TX].interrupts, 1);
}

static void post_tx(uint32_t offset, uint32_t size) {
    struct mock_buffer *of = mock_buffer(TX);
    mock_segment(of, false, offset, size);
    mock_post(TX);
}

static void test_flow(void **state) {
    (void)state;
    put(0, "abcdefghij");
    post_tx(0, 6);
    post_tx(6, 4);
    room = 3;
    mock_notify(&console.device, TX);
    saw("abc");
    assert_int_equal(mock_queue[TX].finished, 0);
    assert_int_equal(mock_queue[TX].next, 1); /* the other one stays in the queue */
    room = 0;
    virtio_console_run(&console);
    saw("abc");
    room = 4;
    virtio_console_run(&console);
    saw("abcdefg");
    assert_int_equal(mock_queue[TX].finished, 1);
    room = SIZE_MAX;
    virtio_console_run(&console);
    saw("abcdefghij");
    assert_int_equal(mock_queue[TX].finished, 2);
    assert_int_equal(again_count, 0);
}

/* Started anew with half a buffer printed: the rest comes once. */
static void test_restart(void **state) {
    (void)state;
    put(0, "abcdefghij");
    post_tx(0, 10);
    room = 4;
    mock_notify(&console.device, TX);
    mock_queue[TX].next = 0;
    mock_queue[TX].buffer[0].taken = false;
    room = SIZE_MAX;
    make();
    mock_start(&console.device, console.device.features_offered, 2);
    saw("abcdefghij");
    put(20, "next");
    post_tx(20, 4);
    mock_notify(&console.device, TX);
    saw("abcdefghijnext");
    /* A reset forgets where it was. */
    post_tx(0, 10);
    room = 4;
    mock_notify(&console.device, TX);
    mock_reset(&console.device);
    mock_start(&console.device, VIRTIO_VERSION_1, 2);
    printed_count = 0;
    room = SIZE_MAX;
    post_tx(0, 10);
    mock_notify(&console.device, TX);
    saw("abcdefghij");
}

static void test_bounded(void **state) {
    (void)state;
    for (unsigned i = 0; i < 0x80000; i++)
        mock_ram[i] = (uint8_t)(i * 7 + i / 256);
    post_tx(0, 0x80000);
    mock_notify(&console.device, TX);
    assert_true(printed_count > 0 && printed_count < 0x10000);
    for (unsigned i = 0; i < 1000 && again_count; i++) {
        again_count = 0;
        virtio_console_run(&console);
    }
    assert_int_equal(printed_count, 0x80000);
    assert_memory_equal(printed, mock_ram, 0x80000);
    assert_int_equal(mock_queue[TX].finished, 1);
}

static struct mock_buffer *post_rx(uint32_t offset, uint32_t size) {
    struct mock_buffer *of = mock_buffer(RX);
    mock_segment(of, true, offset, size);
    mock_post(RX);
    return of;
}

static void type(const char *text) {
    assert_true(source.count + strlen(text) <= sizeof(source.byte));
    memcpy(source.byte + source.count, text, strlen(text));
    source.count += strlen(text);
    virtio_console_typed(&console);
    virtio_console_run(&console);
}

static void test_input(void **state) {
    (void)state;
    struct mock_buffer *of = post_rx(0, 100);
    type("typed");
    assert_true(of->used);
    assert_int_equal(of->written, 5);
    assert_memory_equal(mock_ram, "typed\0", 6);
    assert_int_equal(mock_queue[RX].interrupts, 1);
    assert_int_equal(source.count, 0); /* the source knows that the guest has it */
    /* Without a buffer it waits, and then fills as many as it needs. */
    type("abc");
    type("def");
    assert_int_equal(mock_queue[RX].interrupts, 1);
    assert_int_equal(source.count, 6);
    of = mock_buffer(RX);
    mock_segment(of, true, 0, 1);
    mock_segment(of, true, 50, 3);
    mock_post(RX);
    post_rx(100, 10);
    mock_notify(&console.device, RX);
    assert_int_equal(mock_queue[RX].buffer[1].written, 4);
    assert_int_equal(mock_queue[RX].buffer[2].written, 2);
    assert_int_equal(mock_ram[0], 'a');
    assert_memory_equal(mock_ram + 50, "bcd", 3);
    assert_memory_equal(mock_ram + 100, "ef\0", 3);
    assert_int_equal(mock_dirty[52], 1);
    assert_int_equal(mock_queue[RX].interrupts, 2);
    assert_int_equal(source.count, 0);
    /* A buffer that found nothing is there for what comes next, and nobody asks again until then. */
    of = post_rx(200, 10);
    mock_notify(&console.device, RX);
    asked = 0;
    virtio_console_run(&console);
    assert_int_equal(asked, 0);
    assert_false(of->used);
    type("g");
    assert_true(of->used);
    assert_int_equal(mock_ram[200], 'g');
    /* A reset forgets what the source had, too. */
    type("old");
    mock_reset(&console.device);
    source.first = source.count = 0;
    mock_start(&console.device, VIRTIO_VERSION_1, 2);
    of = post_rx(0, 100);
    mock_notify(&console.device, RX);
    assert_false(of->used);
    type("new");
    assert_memory_equal(mock_ram, "new", 3);
}

/* Much of it: in pieces, as buffers come, and not all in one run. */
static void test_input_much(void **state) {
    (void)state;
    char all[4001];
    for (unsigned i = 0; i < 4000; i++)
        all[i] = (char)('!' + i % 89);
    all[4000] = '\0';
    post_rx(0, 4000);
    type(all);
    assert_int_equal(mock_queue[RX].buffer[0].written, VIRTIO_CONSOLE_PIECE);
    assert_int_equal(source.count, 4000 - VIRTIO_CONSOLE_PIECE);
    for (unsigned i = 1; i < 40; i++)
        post_rx(VIRTIO_CONSOLE_PIECE + 100 * (i - 1), 100);
    mock_notify(&console.device, RX);
    assert_int_equal(mock_queue[RX].finished, 9);
    for (unsigned i = 0; i < 10 && again_count; i++) {
        again_count = 0;
        virtio_console_run(&console);
    }
    assert_int_equal(source.count, 0);
    assert_memory_equal(mock_ram, all, 4000);
}

static void test_emergency(void **state) {
    (void)state;
    make();
    mock_reset(&console.device); /* no driver has set anything up */
    console.device.class->config_write(&console.device, 8, 4, 'A' | 0x1200);
    console.device.class->config_write(&console.device, 8, 1, 'B');
    console.device.class->config_write(&console.device, 9, 1, 'C');
    console.device.class->config_write(&console.device, 0, 4, 'D');
    saw("AB");
}

static void test_size(void **state) {
    struct virtio_device *device = &console.device;
    (void)state;
    assert_int_equal(device->config_size, 12);
    assert_int_equal(device->class->id, 3);
    virtio_console_resize(&console, 132, 43);
    assert_int_equal(mock_config_changes, 1);
    virtio_console_resize(&console, 132, 43);
    assert_int_equal(mock_config_changes, 1);
    assert_int_equal(device->class->config_read(device, 0, 2), 132);
    assert_int_equal(device->class->config_read(device, 2, 2), 43);
    assert_int_equal(device->class->config_read(device, 0, 4), 43 << 16 | 132);
    assert_int_equal(device->class->config_read(device, 8, 4), 0);
    mock_reset(device);
    mock_start(device, VIRTIO_VERSION_1, 2);
    virtio_console_resize(&console, 80, 25);
    assert_int_equal(mock_config_changes, 1); /* it has not asked for it */
    assert_int_equal(device->features_offered, VIRTIO_VERSION_1 | 5);
}

static char openings[16];
static void opened(void *context, bool open) {
    assert_ptr_equal(context, printed);
    strcat(openings, open ? "o" : "c");
}

static void test_opened(void **state) {
    (void)state;
    openings[0] = 0;
    make();
    console.opened = opened;
    mock_start(&console.device, VIRTIO_VERSION_1, 2);
    assert_string_equal(openings, "o");
    post_tx(0, 4);
    mock_notify(&console.device, TX);
    mock_reset(&console.device);
    assert_string_equal(openings, "oc");
}

static void test_wrong(void **state) {
    (void)state;
    struct mock_buffer *of = mock_buffer(TX);
    mock_segment(of, false, 0, 4);
    mock_segment(of, true, 10, 4);
    mock_post(TX);
    mock_notify(&console.device, TX);
    assert_string_equal(mock_broken, "a buffer of output is writable");
    assert_int_equal(printed_count, 0);
    mock_reset(&console.device);
    mock_start(&console.device, VIRTIO_VERSION_1, 2);
    of = mock_buffer(RX);
    mock_segment(of, false, 0, 4);
    mock_post(RX);
    type("x");
    assert_string_equal(mock_broken, "a buffer for input is not writable");
    assert_false(of->used);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_output, set_up),    cmocka_unit_test_setup(test_flow, set_up),
        cmocka_unit_test_setup(test_restart, set_up),   cmocka_unit_test_setup(test_bounded, set_up),
        cmocka_unit_test_setup(test_input, set_up),     cmocka_unit_test_setup(test_input_much, set_up),
        cmocka_unit_test_setup(test_emergency, set_up), cmocka_unit_test_setup(test_size, set_up),
        cmocka_unit_test_setup(test_wrong, set_up),     cmocka_unit_test_setup(test_opened, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
