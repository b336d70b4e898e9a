// SPDX-License-Identifier: Apache-2.0
// A virtio device between the loop, its transport and the hypervisor: how it is made, found again after a
// restart, its doorbells, registers and interrupts, its record, and a VM that starts anew.
// unit-sources: service/device.c service/plain_device.c service/loop.c service/clock.c service/log.c
#include <errno.h>
#include "tests/unit/service_fixture.h"
#include "service/device.h"
#include "service/window.h"

static struct service_board *board;
static struct virtio_device virtio;
static struct device device;
static struct virtio_memory memory;
static unsigned described, started, resets, notified, before, runs;
static bool more, mapped;
static unsigned refusals;

/* ---- the transport, and the rest of what device.c calls */

void virtio_pci_describe(const struct virtio_device *of, unsigned vm, unsigned devfn, uint32_t token,
                         struct service_device *out) {
    assert_ptr_equal(of, &virtio);
    described++;
    memset(out, 0, sizeof(*out));
    out->vm = (uint16_t)vm;
    out->devfn = (uint8_t)devfn;
    out->token = token;
}

int virtio_pci_init(struct virtio_pci *pci, struct virtio_device *of) {
    of->owner = pci;
    started++;
    pci->line(pci, false);
    return 0;
}

uint64_t virtio_pci_read(struct virtio_device *of, unsigned bar, unsigned offset, unsigned size) {
    assert_ptr_equal(of, &virtio);
    return 1000 * bar + 10 * offset + size;
}

void virtio_pci_write(struct virtio_device *of, unsigned bar, unsigned offset, unsigned size,
                      uint64_t value) {
    of->config_size = (unsigned)(1000 * bar + 10 * offset + size + value);
}

void virtio_pci_reset(struct virtio_device *of) {
    assert_ptr_equal(of, &virtio);
    resets++;
}

void virtio_pci_refused(struct virtio_device *of) {
    assert_ptr_equal(of, &virtio);
    refusals++;
}

/* Over MMIO. */

void virtio_mmio_describe(const struct virtio_device *of, unsigned vm, unsigned place, uint32_t token,
                          struct service_device *out) {
    assert_ptr_equal(of, &virtio);
    described++;
    memset(out, 0, sizeof(*out));
    out->vm = (uint16_t)vm;
    out->bus = SERVICE_BUS_MMIO;
    out->place = (uint8_t)place;
    out->token = token;
}

int virtio_mmio_init(struct virtio_mmio *mmio, struct virtio_device *of) {
    of->owner = mmio;
    started++;
    mmio->status(mmio, UINT32_MAX, 0);
    return 0;
}

uint64_t virtio_mmio_read(struct virtio_device *of, unsigned offset, unsigned size) {
    assert_ptr_equal(of, &virtio);
    return 7000 + 10 * offset + size;
}

void virtio_mmio_write(struct virtio_device *of, unsigned offset, unsigned size, uint64_t value) {
    of->config_size = (unsigned)(7000 + 10 * offset + size + value);
}

void virtio_mmio_reset(struct virtio_device *of) {
    assert_ptr_equal(of, &virtio);
    resets += 10;
}

void virtio_device_notify(struct virtio_device *of, unsigned index) {
    assert_ptr_equal(of, &virtio);
    notified |= 1u << index;
}

struct virtio_memory *window_memory(unsigned vm) {
    assert_int_equal(vm, 3);
    return &memory;
}

static struct virtio_memory translated;
struct virtio_memory *virtio_iommu_add(struct virtio_iommu *iommu, unsigned slot, struct virtio_device *of,
                                       struct virtio_memory *below) {
    assert_ptr_equal(iommu, &translated); /* a name for it */
    assert_int_equal(slot, 5);
    assert_ptr_equal(of, &virtio);
    assert_ptr_equal(below, &memory);
    return &translated;
}

bool window_mapped(unsigned vm) {
    assert_int_equal(vm, 3);
    return mapped;
}

static void hook_vm(unsigned vm) {
    plain_device_vm_changed(vm);
}
static void hook(void) {}
static const struct loop_hooks hooks = {hook_vm, hook, hook_vm, hook};

static void device_before(struct device *of) {
    assert_ptr_equal(of, &device);
    assert_int_equal(notified, 0);
    before++;
}

static bool device_run(struct device *of) {
    assert_ptr_equal(of, &device);
    runs++;
    return more;
}

/* This program starts: what was in its memory is gone, the board is as before. */
static void restart(void) {
    memset(&virtio, 0, sizeof(virtio));
    memset(&device, 0, sizeof(device));
    described = started = resets = notified = before = runs = 0;
    more = false;
    mapped = true;
    calls_reset();
    call_result = 17; /* the number of the next device */
    loop_init(board, &hooks);
    plain_device_init(board);
    virtio.queue_count = 3;
    device.before = device_before;
    device.run = device_run;
    strcpy(device.name, "net0");
}

static int add(void) {
    static const struct device_place place = {.at = 5 << 3, .token = 0x301};
    return device_add(&device, &virtio, 3, &place);
}

static struct virtio_record *record_at(unsigned number) {
    return (struct virtio_record *)((char *)board + board->record_offset + number * SERVICE_RECORD_SIZE);
}

static int setup(void **state) {
    uint32_t offset = (sizeof(*board) + 4095) & ~4095u;

    (void)state;
    board = calloc(1, offset + SERVICE_MAX_DEVICES * SERVICE_RECORD_SIZE);
    board->record_offset = offset;
    board->vm[3].resets = 7;
    restart();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    free(board);
    return 0;
}

static void test_made(void **state) {
    (void)state;
    memset(record_at(17), 0xee, SERVICE_RECORD_SIZE); /* of another device, long ago */
    board->vm[3].resets = 0xeeeeeeee;
    assert_int_equal(add(), 0);
    assert_int_equal(described, 1);
    assert_int_equal(started, 1);
    assert_int_equal(calls[0].number, SERVICE_CALL_DEVICE);
    assert_int_equal(((const struct service_device *)call_pointer)->devfn, 5 << 3);
    assert_int_equal(((const struct service_device *)call_pointer)->token, 0x301);
    assert_int_equal(calls[1].number, SERVICE_CALL_LINE); /* with the number that it has */
    assert_int_equal(calls[1].a, 17);
    assert_ptr_equal(virtio.record, record_at(17));
    assert_int_equal(virtio.record->magic, 0);
    assert_ptr_equal(virtio.memory, &memory);
    assert_string_equal(virtio.name, "net0");
    assert_true(virtio.features_offered & VIRTIO_VERSION_1);
    assert_false(virtio.features_offered & VIRTIO_PLATFORM);
    assert_ptr_equal(device_of(&virtio), &device);
}

static void device_restarted(struct device *of) {
    assert_ptr_equal(of, &device);
    assert_int_equal(resets, 0); /* it comes first */
    runs++;
}

/* Behind the guest's IOMMU; and the VM is started anew. */
static void test_iommu(void **state) {
    const struct device_place place = {
        .at = 5 << 3, .token = 0x301, .iommu = (struct virtio_iommu *)(void *)&translated};

    (void)state;
    device.restarted = device_restarted;
    assert_int_equal(device_add(&device, &virtio, 3, &place), 0);
    assert_ptr_equal(virtio.memory, &translated);
    assert_true(virtio.features_offered & VIRTIO_PLATFORM);
    board->vm[3].resets++;
    plain_device_vm_changed(3);
    assert_int_equal(runs, 1);
    assert_int_equal(resets, 1);
}

/* As after a start of the service VM: all of the device's doorbells ring. */
static void ring_all(void) {
    board->doorbell[17] = UINT32_MAX;
    board->doorbell_devices[0] |= 1u << 17;
    board->events |= SERVICE_EVENT_DOORBELL;
    loop_turn();
}

static void test_refused(void **state) {
    (void)state;
    call_result = -EEXIST;
    assert_int_equal(add(), -EEXIST);
    assert_int_equal(started, 0);
    ring_all(); /* the loop does not know it */
    assert_int_equal(notified, 0);
    /* Nor is one shown to a VM whose RAM has no room here. */
    restart();
    mapped = false;
    assert_int_equal(add(), -ENOMEM);
    assert_int_equal(call_count + described + started, 0);
}

static void test_events(void **state) {
    (void)state;
    assert_int_equal(add(), 0);
    board->device_token[17] = 0x301;
    board->doorbell[17] = 0xf0000005; /* there are three queues */
    board->doorbell_devices[0] = 1u << 17;
    board->request[1] = (struct service_request){
        .device = 17, .bar = 1, .offset = 2, .size = 4, .state = SERVICE_REQUEST_OPEN};
    board->request[2] = (struct service_request){
        .device = 17, .offset = 8, .size = 1, .write = 1, .value = 5, .state = SERVICE_REQUEST_OPEN};
    board->request_slots[0] = 6;
    board->events = SERVICE_EVENT_DOORBELL | SERVICE_EVENT_REQUEST;
    loop_turn();
    assert_int_equal(notified, 5);
    assert_int_equal(before, 1);
    assert_true(board->request[1].value == 1024);
    assert_int_equal(virtio.config_size, 86);
}

static void test_calls(void **state) {
    (void)state;
    assert_int_equal(add(), 0);
    call_count = 0;
    call_result = -ENXIO;
    struct virtio_pci *transport = &device.transport.pci;
    assert_int_equal(transport->interrupt(transport, 2), -ENXIO);
    transport->line(transport, true);
    virtio.log(&virtio, "queue 1: no good");
    assert_int_equal(calls[0].number, SERVICE_CALL_INTERRUPT);
    assert_int_equal(calls[0].a, 17);
    assert_int_equal(calls[0].b, 2);
    assert_int_equal(calls[1].number, SERVICE_CALL_LINE);
    assert_int_equal(calls[1].b, 1);
    assert_int_equal(calls[2].number, SERVICE_CALL_NOTE);
    assert_int_equal(calls[2].a, 3);
    assert_string_equal(calls[2].text, "queue 1: no good");
}

/* Once MSI-X is known to be on, messages wait for the turn's end; until one is refused. */
static void test_messages(void **state) {
    (void)state;
    assert_int_equal(add(), 0);
    board->device_token[17] = 0x301;
    call_count = 0;
    call_result = -EINVAL; /* no such vector, but it is on */
    assert_int_equal(device.transport.pci.interrupt(&device.transport.pci, 0xffff), -EINVAL);
    assert_int_equal(device.transport.pci.interrupt(&device.transport.pci, 2), 0);
    assert_int_equal(device.transport.pci.interrupt(&device.transport.pci, 1), 0);
    assert_int_equal(call_count, 1);
    assert_int_equal(board->interrupt_count, 2);
    assert_int_equal(board->interrupts[0], 17 << 16 | 2);
    refusals = 0;
    board->refused[0] = 1u << 17;
    board->events = SERVICE_EVENT_REFUSED;
    loop_turn();
    assert_int_equal(refusals, 1);
    assert_int_equal(board->refused[0], 0);
    call_count = 0;
    call_result = -ENXIO;
    assert_int_equal(device.transport.pci.interrupt(&device.transport.pci, 2), -ENXIO);
    assert_int_equal(calls_of(SERVICE_CALL_INTERRUPT), 1);
    /* And after a start of the VM it is not known. */
    call_result = 0;
    assert_int_equal(device.transport.pci.interrupt(&device.transport.pci, 2), 0);
    board->vm[3].resets++;
    plain_device_vm_changed(3);
    call_count = 0;
    assert_int_equal(device.transport.pci.interrupt(&device.transport.pci, 2), 0);
    assert_int_equal(calls_of(SERVICE_CALL_INTERRUPT), 1);
}

static void test_mmio(void **state) {
    static const struct device_place place = {.mmio = true, .at = SERVICE_MMIO_DISK, .token = 0x301};

    (void)state;
    assert_int_equal(device_add(&device, &virtio, 3, &place), 0);
    assert_true(described == 1 && started == 1);
    assert_int_equal(calls[0].number, SERVICE_CALL_DEVICE);
    const struct service_device *shown = call_pointer;
    assert_true(shown->bus == SERVICE_BUS_MMIO && shown->place == SERVICE_MMIO_DISK && shown->token == 0x301);
    assert_int_equal(calls[1].number, SERVICE_CALL_STATUS);
    assert_true(calls[1].a == 17 && calls[1].b == UINT32_MAX && calls[1].c == 0);
    assert_ptr_equal(device_of(&virtio), &device);
    board->device_token[17] = 0x301;
    board->request[1] =
        (struct service_request){.device = 17, .offset = 0x70, .size = 4, .state = SERVICE_REQUEST_OPEN};
    board->request[2] = (struct service_request){
        .device = 17, .offset = 8, .size = 1, .write = 1, .value = 5, .state = SERVICE_REQUEST_OPEN};
    board->request_slots[0] = 6;
    board->events = SERVICE_EVENT_REQUEST;
    loop_turn();
    assert_true(board->request[1].value == 7000 + 1120 + 4);
    assert_int_equal(virtio.config_size, 7086);
    ring_all();
    assert_int_equal(notified, 7);
    board->vm[3].resets++;
    plain_device_vm_changed(3);
    assert_int_equal(resets, 10);
}

static void test_work(void **state) {
    (void)state;
    assert_int_equal(add(), 0);
    device_again(&device);
    device_again(&device);
    assert_int_equal(runs, 0);
    more = true;
    loop_turn();
    assert_int_equal(runs, 1);
    more = false;
    loop_turn();
    loop_turn();
    assert_int_equal(runs, 2);
}

static void test_restart(void **state) {
    (void)state;
    assert_int_equal(add(), 0);
    board->device_token[17] = 0x301;
    virtio.record->magic = VIRTIO_RECORD_MAGIC;
    restart();
    assert_int_equal(add(), 0);
    assert_int_equal(calls_of(SERVICE_CALL_DEVICE), 0); /* it is there */
    assert_int_equal(described, 0);
    assert_int_equal(started, 1);
    assert_int_equal(device.plain.number, 17);
    assert_int_equal(virtio.record->magic, VIRTIO_RECORD_MAGIC);
    ring_all();
    assert_int_equal(notified, 7);
    /* The VM has started anew while nobody was there: what was kept is void. */
    board->vm[3].resets++;
    restart();
    assert_int_equal(add(), 0);
    assert_int_equal(virtio.record->magic, 0);
}

static void test_vm_anew(void **state) {
    (void)state;
    assert_int_equal(add(), 0);
    plain_device_vm_changed(3);
    assert_int_equal(resets, 0);
    board->vm[3].resets++;
    plain_device_vm_changed(2);
    assert_int_equal(resets, 0);
    plain_device_vm_changed(3);
    assert_int_equal(resets, 1);
    plain_device_vm_changed(3);
    assert_int_equal(resets, 1);
    /* Which is known after a restart. */
    board->device_token[17] = 0x301;
    virtio.record->magic = VIRTIO_RECORD_MAGIC;
    restart();
    assert_int_equal(add(), 0);
    assert_int_equal(virtio.record->magic, VIRTIO_RECORD_MAGIC);
    plain_device_vm_changed(3);
    assert_int_equal(resets, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static bool at_rest;
static bool idle(const struct plain_device *of) {
    assert_ptr_equal(of, &device.plain);
    return at_rest;
}

/* A disk may still be at work for the last run: until it is not, the VM's memory is not the VM's. */
static void test_settle(void **state) {
    (void)state;
    device.plain.idle = idle;
    at_rest = true;
    assert_int_equal(add(), 0);
    board->vm[3].resets = 6;
    at_rest = false;
    plain_device_vm_changed(3);
    assert_int_equal(board->vm_settled[3], 0);
    plain_device_settle();
    assert_int_equal(board->vm_settled[3], 0);
    /* Started once more, of which nothing is known here yet. */
    board->vm[3].resets = 7;
    at_rest = true;
    plain_device_settle();
    assert_int_equal(board->vm_settled[3], 6);
    plain_device_vm_changed(3);
    assert_int_equal(board->vm_settled[3], 7);
    board->vm_settled[3] = 0;
    plain_device_settle(); /* it is said once */
    assert_int_equal(board->vm_settled[3], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_made),    TEST(test_iommu),  TEST(test_refused),  TEST(test_events),
        TEST(test_calls),   TEST(test_work),   TEST(test_messages), TEST(test_restart),
        TEST(test_vm_anew), TEST(test_settle), TEST(test_mmio),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
