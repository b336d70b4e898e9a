// SPDX-License-Identifier: Apache-2.0
// The guest's keyboard controller and port 0x92: the controller's own commands, resets, A20, interrupts,
// saved state.
// unit-sources: arch/x86/guest/keyboard.c core/bus.c lib/state.c
#include "pc_fixture.h"
#include "arch/x86/guest/keyboard.h"

static int start(void **state) {
    (void)state;
    part_start(&keyboard_part);
    return 0;
}

static int stop(void **state) {
    (void)state;
    part_stop(&keyboard_part);
    return 0;
}

static uint8_t command(uint8_t value) {
    outb(0x64, value);
    assert_int_equal(inb(0x64) & 1, 1);
    uint8_t answer = inb(0x60);
    assert_int_equal(inb(0x64) & 1, 0);
    return answer;
}

static void test_commands(void **state) {
    (void)state;
    assert_int_equal(inb(0x64), 0x14);
    assert_int_equal(command(0xaa), 0x55);
    assert_int_equal(command(0xab), 0x00);
    assert_int_equal(command(0xa9), 0x00);
    assert_int_equal(command(0x20), 0x34);
    assert_int_equal(inb(0x64), 0x1c); /* the last write was a command */
    outb(0x64, 0xae);
    outb(0x64, 0xa8);
    assert_int_equal(command(0x20), 0x04);
    outb(0x64, 0xad);
    outb(0x64, 0xa7);
    assert_int_equal(command(0x20), 0x34);
    outb(0x64, 0x60);
    outb(0x60, 0xff);
    assert_int_equal(command(0x20), 0x7f);
    outb(0x64, 0x60);
    outb(0x60, 0x00);
    assert_int_equal(inb(0x64) & 4, 0); /* the system flag follows */
    assert_int_equal(command(0xc0), 0x80);
    /* Bytes for keyboard and mouse find nobody. */
    outb(0x60, 0xf2);
    assert_int_equal(inb(0x64) & 1, 0);
    outb(0x64, 0xd4);
    outb(0x60, 0xff);
    assert_int_equal(inb(0x64) & 1, 0);
    assert_int_equal(in(0x60, 2), 0xffff);
    assert_int_equal(fixture.end, VM_END_NONE);
}

static void test_interrupts(void **state) {
    (void)state;
    outb(0x64, 0x60);
    outb(0x60, 0x47);
    outb(0x64, 0xd2);
    outb(0x60, 0x12);
    assert_true(fixture.level[1]);
    assert_false(fixture.level[12]);
    assert_int_equal(inb(0x64) & 0x21, 0x01);
    outb(0x64, 0xd3); /* replaces it: from the mouse */
    outb(0x60, 0x34);
    assert_false(fixture.level[1]);
    assert_true(fixture.level[12]);
    assert_int_equal(inb(0x64) & 0x21, 0x21);
    assert_int_equal(inb(0x60), 0x34);
    assert_false(fixture.level[12]);
    assert_int_equal(inb(0x64) & 0x21, 0);
}

static void test_resets(void **state) {
    (void)state;
    for (unsigned value = 0xf0; value <= 0xff; value++) {
        fixture.end = VM_END_NONE;
        outb(0x64, (uint8_t)value);
        assert_int_equal(fixture.end, value & 1 ? VM_END_NONE : VM_END_RESET);
    }
    fixture.end = VM_END_NONE;
    outb(0x64, 0xd1);
    outb(0x60, 0x03);
    assert_int_equal(fixture.end, VM_END_NONE);
    outb(0x64, 0xd1);
    outb(0x60, 0x02);
    assert_int_equal(fixture.end, VM_END_RESET);
    fixture.end = VM_END_NONE;
    outb(0x92, 0x02);
    assert_int_equal(fixture.end, VM_END_NONE);
    outb(0x92, 0x03);
    assert_int_equal(fixture.end, VM_END_RESET);
    assert_int_equal(inb(0x92), 0x02); /* the reset bit is no storage */
}

static void test_a20(void **state) {
    (void)state;
    assert_int_equal(inb(0x92), 0x02);
    assert_int_equal(command(0xd0) & 3, 3);
    outb(0x92, 0x00);
    assert_int_equal(command(0xd0) & 3, 1); /* one gate, however it is set */
    outb(0x64, 0xdf);
    assert_int_equal(inb(0x92), 0x02);
    outb(0x64, 0xdd);
    assert_int_equal(inb(0x92), 0x00);
    outb(0x64, 0xd1);
    outb(0x60, 0xdf);
    assert_int_equal(inb(0x92), 0x02);
    outb(0x92, 0xfe);
    assert_int_equal(inb(0x92), 0xca);
}

static void test_state(void **state) {
    (void)state;
    outb(0x64, 0x60);
    outb(0x60, 0x45);
    outb(0x64, 0xd2);
    outb(0x60, 0x99);
    outb(0x92, 0x80);
    outb(0x64, 0xd1);
    part_round_trip(&keyboard_part);
    assert_true(fixture.level[1]);
    assert_int_equal(inb(0x60), 0x99);
    outb(0x60, 0x03); /* the pending command's data */
    assert_int_equal(inb(0x92), 0x82);

    part_truncation(&keyboard_part);
    assert_int_equal(part_load_changed(&keyboard_part, 0, 0x40), -EINVAL);
    assert_int_equal(part_load_changed(&keyboard_part, 0, 0x20), -EINVAL);
    assert_int_equal(part_load_changed(&keyboard_part, 2, 0x80), -EINVAL);
    assert_int_equal(part_load_changed(&keyboard_part, 3, 0x20), -EINVAL);
    assert_int_equal(part_load_changed(&keyboard_part, 4, 0x01), -EINVAL);
    assert_int_equal(part_load_changed(&keyboard_part, 5, 0x02), -EINVAL);
    assert_int_equal(inb(0x64), 0x14);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_commands, start, stop),
        cmocka_unit_test_setup_teardown(test_interrupts, start, stop),
        cmocka_unit_test_setup_teardown(test_resets, start, stop),
        cmocka_unit_test_setup_teardown(test_a20, start, stop),
        cmocka_unit_test_setup_teardown(test_state, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
