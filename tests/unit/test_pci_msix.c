// SPDX-License-Identifier: Apache-2.0
// The MSI-X table and pending bits of a PCI function: accesses, masks, what is sent when, saved state.
// unit-sources: devices/pci_msix.c lib/state.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "devices/pci_msix.h"
#include "lib/state.h"

static struct pci_msix msix;

static int start(void **state) {
    (void)state;
    memset(&msix, 0xa5, sizeof(msix)); /* reset sets all but the number of vectors */
    msix.count = 5;
    pci_msix_reset(&msix);
    return 0;
}

static void set(uint64_t offset, uint32_t value) {
    pci_msix_table_write(&msix, offset, 4, value);
}

static uint64_t get(uint64_t offset, unsigned size) {
    return pci_msix_table_read(&msix, offset, size);
}

static void none(void) {
    struct pci_msix_message message;
    assert_false(pci_msix_take(&msix, &message));
}

static void sent(uint32_t data) {
    struct pci_msix_message message = {0};
    assert_true(pci_msix_take(&msix, &message));
    assert_int_equal(message.data, data);
}

static void test_table(void **state) {
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(get(16 * i, 8), 0);
        assert_true(get(16 * i + 8, 8) == 1ull << 32); /* masked */
    }
    set(16, 0xfee01007);
    set(20, 0x12345678);
    set(24, 0xabcd);
    set(28, 0xfffffffe);
    assert_int_equal(get(16, 4), 0xfee01004); /* of whole words */
    assert_int_equal(get(20, 4), 0x12345678);
    assert_int_equal(get(24, 4), 0xabcd);
    assert_int_equal(get(28, 4), 0); /* reserved bits read 0 */
    assert_true(get(16, 8) == 0x12345678fee01004);
    assert_true(msix.message[1].address == 0x12345678fee01004);
    set(16, 0);
    assert_true(msix.message[1].address == 0x1234567800000000);
    pci_msix_table_write(&msix, 64, 8, 0x1122334455667788);
    pci_msix_table_write(&msix, 72, 8, 0x99);
    assert_true(get(64, 8) == 0x1122334455667788);
    assert_int_equal(get(72, 8), 0x99);
    assert_int_equal(msix.masked, 0xd); /* all but 1 and 4 */
    /* Neighbours are untouched. */
    assert_int_equal(get(0, 8), 0);
    assert_int_equal(get(48, 8), 0);
}

/* What no driver may do does nothing, whatever the offset. */
static void test_odd_accesses(void **state) {
    (void)state;
    struct pci_msix before;
    memset(&before, 0, sizeof(before));
    set(0, 0x11223344);
    before = msix;
    static const struct {
        uint64_t offset;
        unsigned size;
    } odd[] = {{0, 1}, {0, 2}, {2, 4}, {4, 8}, {1, 8}, {80, 4}, {80, 8}, {1024, 8}, {UINT64_MAX - 7, 8}};
    for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        assert_int_equal(get(odd[i].offset, odd[i].size), 0);
        pci_msix_table_write(&msix, odd[i].offset, odd[i].size, UINT64_MAX);
        assert_memory_equal(&msix, &before, sizeof(msix));
    }
}

static void test_sending(void **state) {
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        set(16 * i + 8, 0x40 + i);
        set(16 * i + 12, 0);
    }
    pci_msix_set(&msix, true, false);
    none();
    pci_msix_raise(&msix, 3);
    pci_msix_raise(&msix, 1);
    pci_msix_raise(&msix, 1); /* one message for both */
    sent(0x41);
    sent(0x43);
    none();
    /* Its own mask. */
    set(16 * 2 + 12, 1);
    pci_msix_raise(&msix, 2);
    pci_msix_raise(&msix, 4);
    sent(0x44);
    none();
    assert_int_equal(pci_msix_pending_read(&msix, 0, 4), 4);
    set(16 * 2 + 8, 0x77); /* changed while it waits: 6.8.3.5 */
    set(16 * 2 + 12, 0);
    sent(0x77);
    none();
    assert_int_equal(pci_msix_pending_read(&msix, 0, 4), 0);
    /* The function's. */
    pci_msix_set(&msix, true, true);
    pci_msix_raise(&msix, 0);
    none();
    pci_msix_set(&msix, true, false);
    sent(0x40);
    none();
    /* Off: what waited is not sent later on. */
    pci_msix_set(&msix, true, true);
    pci_msix_raise(&msix, 0);
    pci_msix_set(&msix, false, true);
    none();
    pci_msix_set(&msix, true, false);
    none();
    pci_msix_raise(&msix, 0);
    pci_msix_reset(&msix);
    pci_msix_set(&msix, true, false);
    set(12, 0);
    none();
}

static void test_pending(void **state) {
    (void)state;
    msix.count = 64;
    pci_msix_reset(&msix);
    assert_true(msix.masked == UINT64_MAX);
    pci_msix_set(&msix, true, false);
    pci_msix_raise(&msix, 0);
    pci_msix_raise(&msix, 33);
    pci_msix_raise(&msix, 63);
    assert_true(pci_msix_pending_read(&msix, 0, 8) == 0x8000000200000001);
    assert_int_equal(pci_msix_pending_read(&msix, 0, 4), 1);
    assert_int_equal(pci_msix_pending_read(&msix, 4, 4), 0x80000002);
    assert_int_equal(pci_msix_pending_read(&msix, 8, 8), 0);
    assert_int_equal(pci_msix_pending_read(&msix, 12, 4), 0);
    assert_int_equal(pci_msix_pending_read(&msix, 0, 2), 0);
    assert_int_equal(pci_msix_pending_read(&msix, 2, 4), 0);
    set(63 * 16 + 8, 9);
    set(63 * 16 + 12, 0);
    sent(9);
    none();
}

static uint8_t buffer[2048] __attribute__((aligned(8)));
static size_t used;

static void save(void) {
    struct state_writer writer;
    state_writer_init(&writer, buffer, sizeof(buffer));
    state_begin(&writer, "test", 0, 1);
    pci_msix_save(&msix, &writer);
    state_end(&writer);
    int64_t size = state_finish(&writer);
    assert_true(size > 0);
    used = (size_t)size;
}

static bool load(void) {
    struct state_reader reader;
    assert_int_equal(state_reader_init(&reader, buffer, used), 0);
    assert_true(state_next(&reader));
    return pci_msix_load(&msix, &reader) && !reader.error;
}

static void test_state(void **state) {
    (void)state;
    set(0, 0xfee00000);
    set(4, 1);
    set(8, 0x55);
    set(12, 0);
    pci_msix_set(&msix, true, false);
    pci_msix_raise(&msix, 2);
    struct pci_msix before = msix;
    save();
    pci_msix_reset(&msix);
    assert_true(load());
    pci_msix_set(&msix, true, false);
    assert_memory_equal(&msix, &before, sizeof(msix));
    uint8_t *body = buffer + sizeof(struct state_record);
    static const struct {
        unsigned offset;
        uint8_t value;
    } wrong[] = {{0, 6}, {2, 0x20}, {9, 1}, {10, 0x20}, {18, 1}};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint8_t was = body[wrong[i].offset];
        assert_int_not_equal(was, wrong[i].value);
        body[wrong[i].offset] = wrong[i].value;
        assert_false(load());
        body[wrong[i].offset] = was;
    }
    assert_true(load());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_table, start),   cmocka_unit_test_setup(test_odd_accesses, start),
        cmocka_unit_test_setup(test_sending, start), cmocka_unit_test_setup(test_pending, start),
        cmocka_unit_test_setup(test_state, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
