// SPDX-License-Identifier: Apache-2.0
// Guests' IOMMUs in the service VM: their memory and place, the time that they wait for a disk, and how
// mappings of functions of the machine go to the hypervisor.
// unit-sources: service/iommu_device.c service/log.c service/clock.c service/heap.c lib/config_iommu.c
#include "tests/unit/service_fixture.h"
#include <errno.h>
#include "service/clock.h"
#include "service/device.h"
#include "service/heap.h"
#include "service/iommu_device.h"

#define HEAP (1u << 20)

static struct iommu_kept *kept;
static struct config_guest guest;
static struct virtio_iommu *iommu;
static void *heap;
static struct service_board board;

/* What was done to the IOMMU. */
static uint32_t slots;
static const struct virtio_iommu_machine *machine;
static unsigned bits, runs, restarts, agains;
static void (*again)(struct virtio_iommu *iommu), (*later)(struct virtio_iommu *iommu);
static struct device *added;
static struct loop_timer *timer;
static bool is_idle;

void virtio_iommu_init(struct virtio_iommu *of, struct iommu_kept *memory, uint32_t which,
                       void (*call_again)(struct virtio_iommu *iommu),
                       void (*call_later)(struct virtio_iommu *iommu)) {
    assert_ptr_equal(memory, &kept[1]);
    memset(of, 0, sizeof(*of));
    slots = which;
    again = call_again;
    later = call_later;
}
void virtio_iommu_machine(struct virtio_iommu *of, const struct virtio_iommu_machine *with,
                          unsigned address_bits) {
    (void)of;
    machine = with;
    bits = address_bits;
}
void virtio_iommu_run(struct virtio_iommu *of) {
    assert_ptr_equal(of, iommu);
    runs++;
}
bool virtio_iommu_idle(const struct virtio_iommu *of) {
    assert_ptr_equal(of, iommu ? iommu : of);
    return is_idle;
}
void virtio_iommu_restart(struct virtio_iommu *of) {
    assert_ptr_equal(of, iommu);
    restarts++;
}
int device_add(struct device *device, struct virtio_device *virtio, unsigned vm,
               const struct device_place *place) {
    assert_int_equal(vm, 3);
    assert_false(place->mmio);
    assert_int_equal(place->at, 23 << 3);
    assert_int_equal(place->token, 0x317);
    assert_null(place->iommu);
    assert_ptr_equal(virtio, &iommu->device);
    added = device;
    return 0;
}
void device_again(struct device *device) {
    assert_ptr_equal(device, added);
    agains++;
}
void loop_set_timer(struct loop_timer *which, uint64_t at) {
    timer = which;
    assert_true(at == clock_now() + CLOCK_MILLISECOND);
}

static int setup(void **state) {
    (void)state;
    heap = aligned_alloc(4096, HEAP);
    heap_init(heap, HEAP);
    board.clock_multiplier = 1ull << 32;
    clock_init(&board);
    kept = calloc(2, sizeof(*kept));
    iommu_device_init(kept, 2 * sizeof(*kept) + 4096);
    memset(&guest, 0, sizeof(guest));
    guest.iommu = CONFIG_IOMMU_VIRTIO;
    guest.net_count = 1;
    guest.passthrough_count = 2;
    machine = NULL;
    is_idle = true;
    iommu = NULL;
    added = NULL;
    timer = NULL;
    bits = runs = restarts = agains = 0;
    calls_reset();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    iommu_device_init(NULL, 0);
    free(kept);
    free(heap);
    return 0;
}

static void test_made(void **state) {
    (void)state;
    assert_int_equal(iommu_device_make(3, 2, &guest, 0x317, 0, &iommu),
                     -ENOMEM); /* there is memory for two */
    assert_null(added);
    assert_int_equal(iommu_device_make(3, 1, &guest, 0x317, 0, &iommu), 0);
    assert_int_equal(slots, 1u << 1); /* without the hypervisor's word no function of the machine */
    assert_null(machine);
    assert_string_equal(added->name, "iommu");
    added->restarted(added);
    assert_int_equal(restarts, 1);
    assert_false(added->run(added));
    assert_int_equal(runs, 1);
    again(iommu);
    assert_int_equal(agains, 1);
    later(iommu);
    timer->expired(timer);
    assert_int_equal(runs, 2);
    assert_true(added->plain.idle(&added->plain));
    /* A reset that is not over is gone on with, and the guest does not begin before. */
    is_idle = false;
    assert_false(added->plain.idle(&added->plain));
    assert_int_equal(iommu_device_make(3, 1, &guest, 0x317, 0, &iommu), 0);
    assert_int_equal(agains, 2);
}

static struct service_dma sent[64];
static unsigned sent_count, fail_at;
static int fail_with;

static void note(uint32_t number) {
    if (number != SERVICE_CALL_DMA_MAP && number != SERVICE_CALL_DMA_UNMAP)
        return;
    assert_true(sent_count < array_count(sent));
    memcpy(&sent[sent_count++], call_pointer, sizeof(sent[0]));
    call_result = sent_count == fail_at ? fail_with : 0;
}

static void expect(unsigned index, uint64_t address, uint64_t size, uint64_t gpa, uint32_t writable) {
    assert_true(sent[index].address == address);
    assert_true(sent[index].size == size);
    assert_true(sent[index].gpa == gpa);
    assert_int_equal(sent[index].writable, writable);
}

static void test_machine(void **state) {
    struct iommu_mapping mapping = {
        .start = 0x1000, .end = 0x2fff, .physical = 0x7000, .flags = IOMMU_MAP_READ | IOMMU_MAP_WRITE};
    (void)state;
    call_hook = note;
    sent_count = fail_at = 0;
    assert_int_equal(iommu_device_make(3, 1, &guest, 0x317, 39, &iommu), 0);
    assert_int_equal(slots, 1u << 1 | 3u << 24);
    assert_int_equal(bits, 39);
    call_result = -EBUSY;
    assert_int_equal(machine->confine(iommu, 1, true), -EBUSY);
    assert_int_equal(calls[0].number, SERVICE_CALL_DMA_CONFINE);
    assert_true(calls[0].a == 3 && calls[0].b == 1 && calls[0].c == 1);
    assert_int_equal(machine->map(iommu, 1, &mapping), 0);
    assert_true(calls[1].number == SERVICE_CALL_DMA_MAP && calls[1].a == 3 && calls[1].b == 1);
    expect(0, 0x1000, 0x2000, 0x7000, 1);
    mapping.flags = IOMMU_MAP_READ;
    assert_int_equal(machine->map(iommu, 0, &mapping), 0);
    expect(1, 0x1000, 0x2000, 0x7000, 0);
    mapping.flags = 0;
    assert_int_equal(machine->map(iommu, 0, &mapping), 0); /* nothing is to be reached */
    assert_int_equal(sent_count, 2);
    machine->unmap(iommu, 0, &mapping);
    assert_true(calls[3].number == SERVICE_CALL_DMA_UNMAP && calls[3].b == 0);
    expect(2, 0x1000, 0x2000, 0x7000, 0);
    mapping.flags = IOMMU_MAP_WRITE;
    sent_count = 0;
    fail_at = 1;
    fail_with = -EFAULT;
    assert_int_equal(machine->map(iommu, 0, &mapping), -EFAULT);
    sent_count = 0;
    assert_crash(machine->unmap(iommu, 1, &mapping),
                 "VM 3: DMA of its function 1 cannot be stopped: error 14");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made, setup, teardown),
        cmocka_unit_test_setup_teardown(test_machine, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
