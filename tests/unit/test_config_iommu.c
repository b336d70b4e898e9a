// SPDX-License-Identifier: Apache-2.0
// A guest's IOMMU in the config: which of its devices are behind it, what it takes, and where it cannot be.
// unit-sources: lib/config*.c lib/dts*.c
#include "tests/unit/config_fixture.h"
#include "abi/service.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HEAD         "/dts-v1/; / { compatible = \"saguaro,host\"; "

/* A guest's IOMMU: what is behind it, and what it takes. */
static void test_slots(void **state) {
    static const struct {
        const char *guest;
        uint32_t slots, devices;
    } rows[] = {
        {"net0 { network = \"lan\"; }; disk0 { disk = \"d\"; };", 0, 3},
        {"iommu = \"none\"; net0 { network = \"lan\"; };", 0, 2},
        {"iommu = \"virtio\";", 0, 1},
        {"iommu = \"virtio\"; entropy = \"yes\"; passthrough = \"00:03.0\", \"00:04.0\";", 1u << 1 | 3u << 24,
         2},
        {"iommu = \"virtio\"; entropy = \"yes\"; virtio-console = \"yes\";", 1u << 1 | 1u << 2, 3},
        {"iommu = \"virtio\"; entropy = \"no\"; virtio-console = \"yes\";", 1u << 1, 2},
        {"iommu = \"virtio\"; virtio-console = \"yes\"; balloon = \"yes\";", 1u << 1 | 1u << 2, 4},
        {"iommu = \"virtio\"; net3 { network = \"lan\"; type = \"e1000\"; }; net1 { network = \"lan\"; };"
         "disk0 { disk = \"d\"; type = \"ahci\"; }; disk5 { disk = \"d\"; transport = \"mmio\"; };"
         "disk1 { disk = \"d\"; type = \"ahci\"; }; disk2 { disk = \"d\"; };",
         1u << 2 | 1u << 5 | 1u << 6, 7},
        {"iommu = \"virtio\"; transport = \"mmio\"; net0 { network = \"lan\"; };"
         "net1 { network = \"lan\"; transport = \"pci\"; };",
         1u << 2, 4},
    };
    char text[1024];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct config *config = &fixture.config;

        snprintf(text, sizeof(text),
                 HEAD "guests { g { kernel = \"k\"; memory = \"1M\"; %s }; h { kernel = \"k\"; memory = "
                      "\"1M\"; iommu = \"virtio\"; }; }; networks { lan { }; };"
                      "disks { d { memory = \"1M\"; shared = \"yes\"; }; }; };",
                 rows[i].guest);
        if (fixture_check_for(CONFIG_ARCH_X86, text) != 0)
            fail_msg("%s", fixture.errors);
        assert_int_equal(config_iommu_slots(&config->guests[0]), rows[i].slots);
        assert_int_equal(config_devices(&config->guests[0]), rows[i].devices);
        assert_int_equal(config_devices(&config->guests[1]), 1);
        uint32_t iommus = 1 + (config->guests[0].iommu == CONFIG_IOMMU_VIRTIO);
        assert_int_equal(config_iommus(config), iommus);
        assert_int_equal(config_memory(config), (67 << 20) + iommus * SERVICE_IOMMU_SIZE);
        assert_int_not_equal(fixture_check_for(CONFIG_ARCH_PPC, text), 0);
    }
    /* As many devices as there can be leave the slot that is its own. */
    assert_true(CONFIG_FIRST_SLOT + CONFIG_MAX_NETS + CONFIG_MAX_GUEST_DISKS + 2 <= CONFIG_IOMMU_SLOT);
}

static void test_value(void **state) {
    (void)state;
    assert_int_not_equal(
        fixture_check_for(CONFIG_ARCH_X86,
                          HEAD "guests { g { kernel = \"k\"; memory = \"1M\"; iommu = \"amd\"; }; }; };"),
        0);
    if (!strstr(fixture.errors, "\"iommu\" must be one of \"none\", \"virtio\"; found \"amd\""))
        fail_msg("%s", fixture.errors);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
