// SPDX-License-Identifier: Apache-2.0
// Guests' virtio consoles in the service VM: what passes between the device and the hypervisor's calls, flow
// control in both directions, when the port is open, a restart.
// unit-sources: service/console.c virtio/console.c
#include <errno.h>
#include "tests/unit/service_fixture.h"
#include "tests/unit/virtio_class_mock.h"
#include "service/console.h"
#include "service/device.h"
#include "virtio/console.h"

#define VM 5u
enum { RX, TX };

/* ---- surroundings */

static struct device *added;
static struct virtio_console *console;
static bool queued;
static int add_error;
static void *object;
static bool no_memory;
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
    assert_string_equal(device->name, "console");
    device->plain.vm = vm;
    device->virtio = virtio;
    added = device;
    console = (struct virtio_console *)virtio;
    mock_attach(virtio);
    if (mock_record.status) /* it goes on where it was */
        mock_start(virtio, mock_record.features, 2);
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

/* The hypervisor: has room for so many bytes, and such input, whose first byte has that number. */
static size_t room;
static char printed[4096], typed[4096];
static uint32_t typed_first;
static size_t printed_count;
static int error, read_error;

static void hypervisor(uint32_t number) {
    const struct call *call = &calls[call_count - 1];

    call_result = 0;
    assert_int_equal(call->a, VM);
    if (number == SERVICE_CALL_CONSOLE_WRITE && error) {
        call_result = error;
    } else if (number == SERVICE_CALL_CONSOLE_WRITE) {
        assert_true(call->c > 0 && call->c <= SERVICE_MAX_CONSOLE);
        size_t taken = call->c < room ? call->c : room;
        memcpy(printed + printed_count, call_pointer, taken);
        printed_count += taken;
        room -= taken;
        call_result = (int)taken;
    } else if (number == SERVICE_CALL_CONSOLE_READ) {
        const uint32_t had = call->d - typed_first;
        assert_true(call->c <= SERVICE_MAX_CONSOLE);
        assert_true(had <= strlen(typed));
        memmove(typed, typed + had, strlen(typed + had) + 1);
        typed_first = call->d;
        size_t count = strlen(typed) < call->c ? strlen(typed) : call->c;
        memcpy((void *)(uintptr_t)call_pointer, typed, count);
        call_result = read_error ? read_error : (int)count;
    } else {
        assert_int_equal(number, SERVICE_CALL_CONSOLE_OPEN);
        if (!call->b)
            typed_first = 0;
    }
}

/* The loop's turns, until there is nothing more to do. */
static void turns(void) {
    for (unsigned i = 0; queued; i++) {
        assert_true(i < 100);
        queued = false;
        queued = added->run(added) || queued;
    }
}

static void event(void) {
    console_event(VM);
    turns();
}

static void ring(unsigned queue) {
    added->before(added);
    mock_notify(added->virtio, queue);
    turns();
}

static void start(void) {
    calls_reset();
    call_hook = hypervisor;
    console_init();
    assert_int_equal(console_make(VM, &place), 0);
    turns();
}

static int setup(void **state) {
    (void)state;
    mock_power_on();
    room = SIZE_MAX;
    printed_count = 0;
    typed[0] = 0;
    typed_first = 0;
    error = read_error = add_error = 0;
    no_memory = queued = false;
    start();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    free(object);
    object = NULL;
    return 0;
}

static void open_port(void) {
    mock_start(added->virtio, added->virtio->features_offered, 2);
    turns();
    call_count = 0;
}

static void post(unsigned queue, uint32_t offset, uint32_t size) {
    mock_segment(mock_buffer(queue), queue == RX, offset, size);
    mock_post(queue);
}

/* ---- tests */

static void test_made(void **state) {
    (void)state;
    assert_int_equal(calls_of(SERVICE_CALL_CONSOLE_OPEN), 1);
    assert_int_equal(calls[0].b, 0);
    assert_int_equal(added->virtio->class->config_read(added->virtio, 0, 4), 24 << 16 | 80);
    /* Closed: what was typed stays where it is. */
    strcpy(typed, "later");
    event();
    assert_int_equal(calls_of(SERVICE_CALL_CONSOLE_READ), 0);
    console_event(VM + 1); /* has none */
    console_event(SERVICE_MAX_VMS);
    assert_false(queued);
    add_error = -ENOSPC;
    console_init();
    assert_int_equal(console_make(VM, &place), -ENOSPC);
    console_event(VM);
    assert_false(queued);
    no_memory = true;
    assert_int_equal(console_make(VM, &place), -ENOMEM);
}

static void test_open(void **state) {
    (void)state;
    strcpy(typed, "early");
    post(RX, 100, 50);
    call_count = 0;
    mock_start(added->virtio, added->virtio->features_offered, 2);
    assert_int_equal(calls[0].number, SERVICE_CALL_CONSOLE_OPEN);
    assert_int_equal(calls[0].b, 1);
    event();
    assert_memory_equal(mock_ram + 100, "early", 6);
    call_count = 0;
    mock_reset(added->virtio);
    assert_int_equal(calls_of(SERVICE_CALL_CONSOLE_OPEN), 1);
    assert_int_equal(calls[0].b, 0);
    /* A driver that breaks the rules has no input any more. */
    open_port();
    post(TX, 0, 4);
    mock_queue[TX].buffer[0].buffer.writable = 1;
    ring(TX);
    assert_string_equal(mock_broken, "a buffer of output is writable");
    assert_int_equal(calls_of(SERVICE_CALL_CONSOLE_OPEN), 1);
    assert_int_equal(calls[call_count - 1].b, 0);
    call_count = 0;
    event();
    assert_int_equal(call_count, 0);
}

static void test_output(void **state) {
    (void)state;
    open_port();
    memset(mock_ram, 'o', 1000);
    post(TX, 0, 600);
    post(TX, 600, 400);
    room = 300;
    ring(TX);
    assert_int_equal(printed_count, 300);
    assert_int_equal(mock_queue[TX].finished, 0);
    assert_false(queued); /* nobody asks before there is room */
    room = 500;
    event();
    assert_int_equal(printed_count, 800);
    assert_int_equal(mock_queue[TX].finished, 1);
    room = 1000;
    event();
    assert_int_equal(printed_count, 1000);
    assert_int_equal(mock_queue[TX].finished, 2);
    /* What is refused for good does not stop the guest. */
    error = -ENOENT;
    post(TX, 0, 600);
    ring(TX);
    assert_int_equal(mock_queue[TX].finished, 3);
    assert_int_equal(printed_count, 1000);
}

static void test_input(void **state) {
    char all[4096];

    (void)state;
    open_port();
    strcpy(typed, "ls\r");
    post(RX, 0, 100);
    event();
    assert_memory_equal(mock_ram, "ls\r\0", 4);
    assert_int_equal(mock_queue[RX].finished, 1);
    assert_int_equal(strlen(typed), 0);
    /* It stays with the hypervisor until the guest has given room. */
    for (unsigned i = 0; i < 3000; i++)
        all[i] = (char)('a' + i % 26);
    all[3000] = 0;
    strcpy(typed, all);
    event();
    assert_int_equal(strlen(typed), 3000);
    for (unsigned i = 0; i < 30; i++) {
        post(RX, 1000 + 100 * i, 100);
        ring(RX);
    }
    assert_int_equal(strlen(typed), 0);
    assert_memory_equal(mock_ram + 1000, all, 3000);
    /* Once there is no more, it is not asked for with each doorbell. */
    post(RX, 0, 1);
    ring(RX);
    call_count = 0;
    post(RX, 0, 1);
    added->virtio->class->notify(added->virtio, RX);
    turns();
    assert_int_equal(calls_of(SERVICE_CALL_CONSOLE_READ), 0);
    /* An answer that cannot be is no input. */
    strcpy(typed, "x");
    read_error = SERVICE_MAX_CONSOLE + 1;
    event();
    read_error = -EFAULT;
    event();
    assert_int_equal(mock_queue[RX].finished, 31);
}

/* Half a buffer was printed, and something was typed meanwhile. */
static void test_restart(void **state) {
    (void)state;
    open_port();
    memcpy(mock_ram, "0123456789", 10);
    post(TX, 0, 10);
    post(RX, 100, 50);
    room = 4;
    ring(TX);
    mock_queue[TX].next = 0;
    mock_queue[TX].buffer[0].taken = false;
    room = SIZE_MAX;
    strcpy(typed, "keys");
    start();
    assert_int_equal(calls[0].number, SERVICE_CALL_CONSOLE_OPEN);
    for (unsigned i = 0; i < call_count; i++)
        assert_true(calls[i].number != SERVICE_CALL_CONSOLE_OPEN || calls[i].b == 1);
    assert_int_equal(printed_count, 10);
    assert_memory_equal(printed, "0123456789", 10);
    assert_memory_equal(mock_ram + 100, "keys", 5);
    /* Typed before, and the guest has no buffer until after it. */
    strcpy(typed, "later");
    event();
    start();
    assert_memory_equal(typed, "later", 6);
    post(RX, 200, 50);
    ring(RX);
    assert_memory_equal(mock_ram + 200, "later", 6);
    assert_int_equal(strlen(typed), 0);
    start();
    assert_int_equal(mock_queue[RX].finished, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_made), TEST(test_open), TEST(test_output), TEST(test_input), TEST(test_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
