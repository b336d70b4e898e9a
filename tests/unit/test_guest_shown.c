// SPDX-License-Identifier: Apache-2.0
// What a VM is shown besides its own memory: other VMs' memory, registers of the machine's devices, ROMs.
// unit-sources: core/guest_memory.c core/guest_regions.c core/memory.c core/heap.c
#include "guest_memory_fixture.h"

static struct guest_region shown_region;
static unsigned shown_calls;
static bool shown_expected = true;
static int shown_error;

static int shown_hook(struct vm *of, const struct guest_region *region, bool present) {
    assert_ptr_equal(of, &vm);
    assert_int_equal(present, shown_expected);
    if (shown_error)
        shown_expected = false;                                        /* it is taken back */
    assert_int_equal(of->memory.lock.next - of->memory.lock.owner, 1); /* with the lock */
    shown_region = *region;
    shown_calls++;
    return shown_error;
}

static int show(uint64_t base, uint64_t size, const struct guest_memory *of, uint64_t physical,
                bool writable) {
    const struct guest_foreign foreign = {
        .base = base, .size = size, .of = of, .physical = physical, .writable = writable};
    return guest_memory_show(&vm, &foreign);
}

static void is_shown(uint64_t gpa, uint64_t physical, uint64_t contiguous, enum guest_region_kind kind) {
    uint64_t p, c;
    enum guest_region_kind k;
    assert_int_equal(guest_memory_translate(&vm, gpa, &p, &c, &k), 0);
    assert_int_equal(p, physical);
    assert_int_equal(c, contiguous);
    assert_int_equal(k, kind);
}

#define WINDOW (4096 * MIB)

static void test_show(void **state) {
    (void)state;
    static struct vm other;
    uint8_t bytes[64], expected[64];
    start(4 * MIB);
    struct memory_statistics whole = statistics();
    memset(&other, 0, sizeof(other));
    /* Two blocks that do not lie beside each other. */
    uint64_t apart = frame_allocate(21, NULL);
    assert_int_equal(guest_memory_create(&other, 2 * MIB), 0);
    uint64_t between = frame_allocate(21, NULL);
    static uint64_t block[2];
    struct guest_memory two = {.size = 4 * MIB, .block = block, .block_count = 2};
    block[0] = between;
    block[1] = apart;
    assert_int_equal(guest_memory_place(&vm, 0, 4 * MIB, 0, GUEST_RAM), 0);
    dirty_log();

    /* What is not free, or makes no sense. */
    assert_int_equal(show(4 * MIB - K4, 2 * K4, NULL, apart, true), -EINVAL);
    assert_int_equal(show(0, 4 * MIB, &two, 0, true), -EINVAL);
    assert_int_equal(show(8 * MIB + 1, K4, NULL, apart, true), -EINVAL);
    assert_int_equal(show(8 * MIB, K4 + 1, NULL, apart, true), -EINVAL);
    assert_int_equal(show(8 * MIB, K4, NULL, apart + 8, true), -EINVAL);
    assert_int_equal(show(8 * MIB, 0, NULL, apart, true), -EINVAL);
    assert_int_equal(show(8 * MIB, 4 * MIB + K4, &two, 0, true), -EINVAL);
    assert_int_equal(show(0 - K4, 2 * K4, NULL, apart, true), -EINVAL);
    assert_int_equal(vm.memory.foreign_count, 0);

    vm.memory.changed = shown_hook;
    shown_calls = 0;
    assert_int_equal(show(4 * MIB, 2 * K4, NULL, apart + 16 * K4, false), 0); /* behind its own */
    assert_int_equal(shown_calls, 1);
    assert_int_equal(shown_region.base, 4 * MIB);
    assert_int_equal(shown_region.size, 2 * K4);
    assert_int_equal(shown_region.kind, GUEST_SHOWN_READ);
    assert_int_equal(show(WINDOW, 4 * MIB, &two, 0, true), 0);
    assert_int_equal(shown_region.kind, GUEST_SHOWN);
    assert_int_equal(vm.memory.lock.next, vm.memory.lock.owner);
    for (uint64_t at = WINDOW - K4; at < WINDOW + 4 * MIB; at += K4)
        assert_int_equal(show(at, 2 * K4, NULL, apart, true), -EINVAL);
    assert_int_equal(show(WINDOW - K4, K4, NULL, apart, true), 0);
    assert_int_equal(show(WINDOW + 4 * MIB, K4, NULL, apart, true), 0);
    assert_int_equal(vm.memory.foreign_count, 4);

    is_shown(4 * MIB + 8, apart + 16 * K4 + 8, 2 * K4 - 8, GUEST_SHOWN_READ);
    is_shown(WINDOW + 5, between + 5, 2 * MIB - 5, GUEST_SHOWN);
    is_shown(WINDOW + 4 * MIB - 1, apart + 2 * MIB - 1, 1, GUEST_SHOWN);
    is_shown(WINDOW - 1, apart + K4 - 1, 1, GUEST_SHOWN);
    assert_int_equal(guest_memory_translate(&vm, 4 * MIB + 2 * K4, NULL, NULL, NULL), -EFAULT);
    translated(1, 1, 2 * MIB - 1, GUEST_RAM); /* its own is as it was */

    /* It is read, across what lies apart; the hypervisor writes nothing there, not even a loader's. */
    for (unsigned i = 0; i < sizeof(expected); i++)
        expected[i] = (uint8_t)(i + 1);
    memcpy(arena.memory + between + 2 * MIB - 32, expected, 32);
    memcpy(arena.memory + apart, expected + 32, 32);
    assert_int_equal(guest_read(&vm, WINDOW + 2 * MIB - 32, bytes, 64), 0);
    assert_memory_equal(bytes, expected, 64);
    assert_ptr_equal(guest_page(&vm, WINDOW + 2 * MIB), arena.memory + apart);
    memset(bytes, 0xee, sizeof(bytes));
    const uint64_t places[] = {4 * MIB, WINDOW + 2 * MIB - 32, WINDOW + 2 * MIB, 4 * MIB - 32};
    for (unsigned i = 0; i < array_count(places); i++) {
        dirty_take();
        assert_int_equal(guest_write(&vm, places[i], bytes, 64), -EFAULT);
        assert_int_equal(guest_compare_exchange(&vm, places[i] + 32, 4, bytes, expected), -EFAULT);
        assert_int_equal(dirty_take(), 0);
    }
    assert_memory_equal(arena.memory + apart, expected + 32, 32);
    assert_memory_equal(arena.memory + between + 2 * MIB - 32, expected, 32);
    dirty_take();
    for (unsigned i = 0; i < array_count(places); i++)
        assert_int_equal(guest_load(&vm, places[i], bytes, 64), -EFAULT);
    guest_mark_dirty(&vm, WINDOW, 4 * MIB);
    assert_int_equal(dirty_take(), 0);

    /* More than fit into the first list; and what the architecture says of one. */
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(show(8 * MIB + i * K4, K4, NULL, apart + i * K4, i & 1), 0);
    for (unsigned i = 0; i < 100; i++)
        is_shown(8 * MIB + i * K4, apart + i * K4, K4, i & 1 ? GUEST_SHOWN : GUEST_SHOWN_READ);
    is_shown(WINDOW, between, 2 * MIB, GUEST_SHOWN);
    shown_error = -ENOMEM;
    assert_int_equal(show(16 * MIB, K4, NULL, apart, true), -ENOMEM);
    shown_error = 0;
    assert_int_equal(guest_memory_translate(&vm, 16 * MIB, NULL, NULL, NULL), -EFAULT);

    /* Registers: for its CPUs alone. It can all be taken away again. */
    shown_expected = true;
    const struct guest_foreign registers = {
        .base = 16 * MIB, .size = K4, .physical = apart, .writable = true, .device = true};
    assert_int_equal(guest_memory_show(&vm, &registers), 0);
    assert_int_equal(shown_region.kind, GUEST_SHOWN_DEVICE);
    is_shown(16 * MIB, apart, K4, GUEST_SHOWN_DEVICE);
    assert_int_equal(guest_read(&vm, 16 * MIB, bytes, 4), -EFAULT);
    assert_int_equal(guest_read(&vm, 16 * MIB - 2, bytes, 4), -EFAULT);
    assert_int_equal(guest_write(&vm, 16 * MIB, bytes, 4), -EFAULT);
    assert_null(guest_page(&vm, 16 * MIB));
    shown_expected = false;
    assert_int_equal(guest_memory_hide(&vm, 16 * MIB + K4), -ENOENT);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(guest_memory_hide(&vm, 8 * MIB + i * K4), 0);
    assert_int_equal(guest_memory_hide(&vm, 16 * MIB), 0);
    assert_int_equal(shown_region.base, 16 * MIB);
    assert_int_equal(guest_memory_hide(&vm, 16 * MIB), -ENOENT);
    assert_int_equal(guest_memory_translate(&vm, 8 * MIB, NULL, NULL, NULL), -EFAULT);
    for (unsigned i = 50; i < 100; i++)
        is_shown(8 * MIB + i * K4, apart + i * K4, K4, i & 1 ? GUEST_SHOWN : GUEST_SHOWN_READ);
    assert_int_equal(vm.memory.lock.next, vm.memory.lock.owner);

    /* What it is shown is not its own: it is there still when the VM is gone. */
    vm.memory.changed = NULL;
    frame_free(apart, 21, NULL);
    frame_free(between, 21, NULL);
    guest_memory_destroy(&other);
    assert_int_equal(statistics().free + statistics().heap, whole.free + whole.heap);
    finish();
    assert_int_equal(vm.memory.foreign_count, 0);
}

/* Registers of the machine's in the map: found by all, touched by nobody, moved like any region. */
static void test_device(void **state) {
    uint64_t physical, contiguous, word = 5;
    enum guest_region_kind kind;
    (void)state;
    start(4 * MIB);
    dirty_log();
    assert_int_equal(guest_memory_place(&vm, 0, 2 * MIB, 0, GUEST_RAM), 0);
    assert_int_equal(guest_memory_place_device(&vm, 0xfe000000, 4 * K4, 0x3800000000), 0);
    assert_int_equal(guest_memory_translate(&vm, 0xfe001008, &physical, &contiguous, &kind), 0);
    assert_true(physical == 0x3800001008 && contiguous == 3 * K4 - 8 && kind == GUEST_SHOWN_DEVICE);
    assert_int_equal(guest_read(&vm, 0xfe000000, &word, 8), -EFAULT);
    assert_int_equal(guest_write(&vm, 0xfe000000, &word, 8), -EFAULT);
    assert_int_equal(guest_load(&vm, 0xfe000000, &word, 8), -EFAULT);
    assert_int_equal(guest_compare_exchange(&vm, 0xfe000000, 8, &word, &word), -EFAULT);
    assert_null(guest_page(&vm, 0xfe000000));
    guest_mark_dirty(&vm, 0xfe000000, 4 * K4);
    assert_int_equal(dirty_take(), 0);
    /* A hole in its middle. */
    assert_int_equal(guest_memory_remove(&vm, 0xfe001000, K4), 0);
    assert_int_equal(guest_memory_translate(&vm, 0xfe001000, NULL, NULL, NULL), -EFAULT);
    assert_int_equal(guest_memory_translate(&vm, 0xfe002000, &physical, &contiguous, NULL), 0);
    assert_true(physical == 0x3800002000 && contiguous == 2 * K4);
    assert_int_equal(guest_memory_place_device(&vm, 0xfe000000, K4, 0x10800), -EINVAL);
    assert_int_equal(guest_memory_place_device(&vm, 0xfe000800, K4, 0x10000), -EINVAL);
    assert_int_equal(guest_memory_place_device(&vm, 0xfe000000, 0, 0x10000), -EINVAL);
    assert_int_equal(guest_memory_place_device(&vm, 0xfe000000, 2 * K4, UINT64_MAX - K4 + 1), -EINVAL);
    assert_int_equal(guest_memory_remove(&vm, 0xfe000000, 4 * K4), 0);
    assert_int_equal(vm.memory.region_count, 1);
    finish();
}

/* Memory of the machine's in the map that is not the VM's: read by all, written by nobody, never in the log.
 */
static void test_shown_memory(void **state) {
    uint64_t physical, contiguous, word = 5, own = 6;
    enum guest_region_kind kind;
    (void)state;
    start(4 * MIB);
    dirty_log();
    uint64_t rom = frame_allocate(21, NULL);
    assert_int_not_equal(rom, 0);
    memset(arena.memory + rom, 0x5a, 2 * K4);
    assert_int_equal(guest_memory_place(&vm, 0, 2 * MIB, 0, GUEST_RAM), 0);
    assert_int_equal(guest_memory_place_shown(&vm, 0xfe000000, 2 * K4, rom), 0);
    assert_int_equal(guest_memory_translate(&vm, 0xfe001008, &physical, &contiguous, &kind), 0);
    assert_true(physical == rom + K4 + 8 && contiguous == K4 - 8 && kind == GUEST_SHOWN_READ);
    assert_int_equal(guest_read(&vm, 0xfe000ffc, &word, 8), 0);
    assert_true(word == 0x5a5a5a5a5a5a5a5aull);
    assert_int_equal(guest_read(&vm, 0xfe001ffc, &word, 8), -EFAULT);
    assert_int_equal(guest_write(&vm, 0xfe000000, &own, 8), -EFAULT);
    assert_int_equal(guest_load(&vm, 0xfe000000, &own, 8), -EFAULT);
    assert_int_equal(guest_compare_exchange(&vm, 0xfe000000, 8, &word, &own), -EFAULT);
    guest_mark_dirty(&vm, 0xfe000000, 2 * K4);
    assert_int_equal(dirty_take(), 0);
    assert_int_equal(guest_memory_place_shown(&vm, 0xfe000000, K4, rom + 8), -EINVAL);
    assert_int_equal(guest_memory_remove(&vm, 0xfe000000, 2 * K4), 0);
    for (unsigned i = 0; i < 2 * K4; i++)
        assert_int_equal(arena.memory[rom + i], 0x5a);
    frame_free(rom, 21, NULL);
    finish();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_show), cmocka_unit_test(test_device),
                                       cmocka_unit_test(test_shown_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
