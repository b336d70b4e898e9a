// SPDX-License-Identifier: Apache-2.0
// What a function of the machine that a guest has to itself must not reach or take: memory of the firmware's,
// more vectors than its share; and how long its reset may take.
// unit-sources: devices/passed_function.c devices/passed_host.c devices/host_pci.c devices/host_pci_control.c
// unit-sources: devices/host_pci_dma.c devices/pci_bar.c devices/pci_function.c devices/pci_msix.c core/bus.c
// unit-sources: lib/pci.c lib/config_pci.c lib/config_mac.c lib/state.c
#include "passed_fixture.h"

static void set_class(struct function *of, uint8_t class, uint8_t subclass) {
    host_of(of)->config[PCI_CLASS + 3] = class;
    host_of(of)->config[PCI_CLASS + 2] = subclass;
}

/* A function that the firmware goes on to use is refused, but for USB controllers: it does no more of these.
 */
static void test_firmware_memory(void **state) {
    (void)state;
    world.wants_memory = true;
    assert_int_equal(passed_function_create(&world.vm, NVME, DEVFN, &f), -ENODEV);
    assert_true(logged("the firmware goes on to use it, with memory of its own"));
    assert_int_equal(machine.writes, 0);
    set_class(nvme, 0x0c, 0x03);
    create(NVME);
    set_class(nvme, 0x01, 0x08);
}

/* Where guests have many functions each has fewer vectors: they come out of the same few of the machine's. */
static void test_shares(void **state) {
    static const struct {
        unsigned functions, vectors;
    } of[] = {{1, 32}, {3, 32}, {4, 24}, {96, 1}, {128, 1}};
    (void)state;
    for (unsigned i = 0; i < array_count(of); i++) {
        world.passed_count = of[i].functions;
        start(NVME);
        assert_int_equal(get(MSIX + 2, 2), of[i].vectors - 1);
        assert_true(of[i].functions * of[i].vectors <= 128);
        passed_function_end(f, false);
        passed_function_destroy(f);
        f = NULL;
        test_time += 1000000000;
    }
}

/* After its reset it takes its time: first nothing answers, then it asks for patience. */
static void test_patience(void **state) {
    (void)state;
    start(NVME);
    passed_function_stop(f, false);
    passed_function_end(f, false);
    put(nvme, PCI_VENDOR, 4, UINT32_MAX);
    test_time += TENTH;
    assert_true(passed_function_rest(f) > 0 && passed_function_rest(f) < TENTH);
    assert_string_equal(passed_function_start(f, domain),
                        "it does not answer as it did when the machine started");
    put(nvme, PCI_VENDOR, 4, 0xffff0001);
    test_time += 8 * TENTH;
    assert_true(passed_function_rest(f) > 0);
    put(nvme, PCI_VENDOR, 4, 0x00101b36);
    assert_int_equal(passed_function_rest(f), 0);
    /* There is an end to it. */
    put(nvme, PCI_VENDOR, 4, UINT32_MAX);
    test_time += TENTH;
    assert_int_equal(passed_function_rest(f), 0);
    assert_string_equal(passed_function_start(f, domain),
                        "it does not answer as it did when the machine started");
    assert_null(world.domain);
    put(nvme, PCI_VENDOR, 4, 0x00101b36);
}

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_firmware_memory), TEST(test_shares), TEST(test_patience)};
    return cmocka_run_group_tests(tests, find_machine, NULL);
}
