// SPDX-License-Identifier: Apache-2.0
// A PCI function that the service VM answers for: MSI-X, INTx, saved state.
// unit-sources: devices/service_pci.c devices/pci_bar.c devices/pci_msix.c devices/pci_function.c
// unit-sources: core/bus.c lib/state.c
#include "service_pci_fixture.h"

/* MSI-X on, vector n's message is 0x40 + n to 0xfee00000, none is masked. */
static int start_msix(void **state) {
    start_placed(state);
    set(MSIX + 2, 2, 0x8000);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(poke(TABLE + 16 * i, 8, 0xfee00000), 0);
        assert_int_equal(poke(TABLE + 16 * i + 8, 8, 0x40 + i), 0);
    }
    return 0;
}

static void sent(uint32_t data) {
    assert_int_equal(world.messages, 1);
    assert_int_equal(world.message[0].address, 0xfee00000);
    assert_int_equal(world.message[0].data, data);
    world.messages = 0;
}

/* ---- interrupts ---- */

static void test_msix(void **state) {
    (void)state;
    assert_int_equal(peek(TABLE + 16, 8), 0xfee00000);
    assert_int_equal(peek(TABLE + 24, 8), 0x41);
    assert_int_equal(peek(TABLE + 24, 2), 0);
    assert_int_equal(service_pci_interrupt(f, 1), 0);
    sent(0x41);
    assert_int_equal(service_pci_interrupt(f, 4), -EINVAL);
    assert_int_equal(service_pci_interrupt(f, UINT32_MAX), -EINVAL);
    /* One vector masked. */
    poke(TABLE + 16 * 3 + 12, 4, 1);
    assert_int_equal(service_pci_interrupt(f, 3), 0);
    assert_int_equal(service_pci_interrupt(f, 3), 0);
    assert_int_equal(world.messages, 0);
    assert_int_equal(peek(PBA, 8), 8);
    assert_int_equal(poke(PBA, 8, 0), 0); /* cannot be written */
    assert_int_equal(peek(PBA, 4), 8);
    assert_int_equal(peek(PBA + 8, 8), 0);
    poke(TABLE + 16 * 3 + 12, 4, 0);
    sent(0x43);
    assert_int_equal(peek(PBA, 8), 0);
    /* All of it. */
    set(MSIX + 2, 2, 0xc000);
    assert_int_equal(service_pci_interrupt(f, 0), 0);
    assert_int_equal(world.messages, 0);
    set(MSIX + 3, 1, 0x80);
    sent(0x40);
    /* No bus master. */
    set(4, 2, 2);
    assert_int_equal(service_pci_interrupt(f, 2), 0);
    assert_int_equal(world.messages, 0);
    set(4, 2, 6);
    sent(0x42);
    /* Several wait. */
    set(MSIX + 2, 2, 0xc000);
    for (unsigned i = 0; i < 4; i++)
        service_pci_interrupt(f, i);
    set(MSIX + 2, 2, 0x8000);
    assert_int_equal(world.messages, 4);
    world.messages = 0;
    /* Off. */
    poke(TABLE + 12, 4, 1);
    service_pci_interrupt(f, 0);
    set(MSIX + 2, 2, 0);
    assert_int_equal(service_pci_interrupt(f, 0), -ENXIO);
    /* Whatever the vector: a driver without MSI-X has given none. */
    assert_int_equal(service_pci_interrupt(f, 4), -ENXIO);
    assert_int_equal(service_pci_interrupt(f, 0xffff), -ENXIO);
    set(MSIX + 2, 2, 0x8000);
    poke(TABLE + 12, 4, 0);
    assert_int_equal(world.messages, 0);
    assert_int_equal(service_pci_interrupt(f, 0), 0);
    sent(0x40);
    service_pci_reset(f);
    assert_int_equal(service_pci_interrupt(f, 0), -ENXIO);
    set(0x14, 4, 0x20000000);
    set(4, 2, 6);
    assert_true(peek(TABLE + 8, 8) == 1ull << 32);
}

static void test_line(void **state) {
    (void)state;
    assert_int_equal(service_pci_line(f, true), 0);
    assert_true(world.pin);
    assert_int_equal(get(6, 2), 0xb8);
    assert_int_equal(service_pci_line(f, true), 0);
    assert_int_equal(world.pins, 1);
    set(4, 2, 0x406); /* the pin, not what the status says */
    assert_false(world.pin);
    assert_int_equal(get(6, 2), 0xb8);
    set(4, 2, 6);
    assert_true(world.pin);
    set(MSIX + 2, 2, 0x8000); /* either one way or the other (6.8.2) */
    assert_false(world.pin);
    set(MSIX + 2, 2, 0);
    assert_true(world.pin);
    assert_int_equal(service_pci_line(f, false), 0);
    assert_false(world.pin);
    assert_int_equal(get(6, 2), 0xb0);
    set(4, 2, 0x406);
    assert_int_equal(service_pci_line(f, true), 0);
    assert_false(world.pin);
    set(4, 2, 6);
    assert_true(world.pin);
    service_pci_reset(f);
    assert_false(world.pin);
    assert_int_equal(get(6, 2), 0xb0);
    service_pci_line(f, true);
}

/* ---- saved state ---- */

static uint8_t saved[4096] __attribute__((aligned(8)));
static size_t saved_size;

static void save(void) {
    struct state_writer writer;
    state_writer_init(&writer, saved, sizeof(saved));
    state_begin(&writer, "service.pci", NUMBER, SERVICE_PCI_STATE_VERSION);
    service_pci_save(f, &writer);
    state_end(&writer);
    int64_t size = state_finish(&writer);
    assert_true(size > 0);
    saved_size = (size_t)size;
}

static int load(void) {
    struct state_reader reader;
    assert_int_equal(state_reader_init(&reader, saved, saved_size), 0);
    assert_true(state_next(&reader));
    int error = service_pci_load(f, &reader);
    if (!error)
        assert_int_equal(reader.position, reader.record_end);
    return error;
}

static void is_reset(void) {
    assert_int_equal(get(4, 4), 0x00b00000);
    assert_int_equal(get(0x14, 4), 0);
    assert_int_equal(get(MSIX + 2, 2), 3);
    assert_null(bus_find(&world.vm.bus[BUS_MEMORY], 0x20000000));
    assert_false(world.pin);
    assert_int_equal(service_pci_interrupt(f, 0), -ENXIO);
}

static void test_state(void **state) {
    static uint8_t first[sizeof(saved)];
    poke(TABLE + 16 * 3 + 12, 4, 1);
    service_pci_interrupt(f, 3);
    service_pci_line(f, true);
    service_pci_config(f, 0x8c, 4, 0xabcdef01);
    set(0x88, 1, 5);
    save();
    size_t size = saved_size;
    memcpy(first, saved, size);
    stop(state);
    world_init();
    assert_int_equal(create(), 0);
    assert_int_equal(load(), 0);
    assert_true(is_at(0x20000000));
    assert_true(is_at(BAR4));
    assert_int_equal(get(0x8c, 4), 0xabcdef01);
    assert_int_equal(get(0x88, 4), 5);
    assert_int_equal(peek(PBA, 8), 8);
    assert_false(world.pin); /* MSI-X is on */
    assert_int_equal(world.messages, 0);
    poke(TABLE + 16 * 3 + 12, 4, 0);
    sent(0x43);
    assert_int_equal(load(), 0);
    save();
    assert_int_equal(saved_size, size);
    assert_memory_equal(saved, first, size);
    set(MSIX + 2, 2, 0);
    assert_true(world.pin);
    save();
    service_pci_line(f, false);
    assert_int_equal(load(), 0);
    assert_true(world.pin);
}

static void test_bad_state(void **state) {
    (void)state;
    static uint8_t whole[sizeof(saved)];
    service_pci_line(f, true);
    save();
    memcpy(whole, saved, saved_size);
    struct state_record *record = (struct state_record *)saved;
    uint8_t *body = saved + sizeof(*record);
    uint64_t length = record->length;
    /* What is the hypervisor's, or nobody's to change. */
    static const struct {
        unsigned offset;
        uint8_t value;
    } wrong[] = {{0, 0},        {4, 0x46},     {5, 0x80}, {6, 0xf0},     {7, 2},        {0x0e, 1},
                 {0x10, 0xff},  {0x11, 0x10},  {0x14, 1}, {0x15, 0x08},  {0x20, 8},     {0x30, 1},
                 {0x34, 0x40},  {0x3d, 2},     {MSIX, 5}, {MSIX + 1, 0}, {MSIX + 2, 4}, {MSIX + 3, 0xa0},
                 {MSIX + 4, 0}, {MSIX + 8, 0}, {256, 5},  {258, 0x10},   {266, 0x10},   {274, 1}};
    for (unsigned i = 0; i < array_count(wrong); i++) {
        memcpy(saved, whole, saved_size);
        assert_int_not_equal(body[wrong[i].offset], wrong[i].value);
        body[wrong[i].offset] = wrong[i].value;
        assert_int_equal(load(), -EINVAL);
        is_reset();
    }
    for (uint64_t cut = 0; cut < length; cut++) {
        size_t padded = (cut + 7) / 8 * 8;
        memcpy(saved, whole, sizeof(*record) + cut);
        memset(body + cut, 0, padded - cut);
        record->length = cut;
        saved_size = sizeof(*record) + padded;
        assert_int_equal(load(), -EINVAL);
        is_reset();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_msix, start_msix, stop),
        cmocka_unit_test_setup_teardown(test_line, start_placed, stop),
        cmocka_unit_test_setup_teardown(test_state, start_msix, stop),
        cmocka_unit_test_setup_teardown(test_bad_state, start_msix, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
