// SPDX-License-Identifier: Apache-2.0
// Addresses of network cards and serial numbers of disks: as the config gives them, and as they are made.
// unit-sources: lib/config*.c lib/dts*.c
#include "tests/unit/config_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_addresses(void **state) {
    static const char *const wrong[] = {
        "",
        "52:54:00:12:34",
        "52:54:00:12:34:5",
        "52:54:00:12:34:56:78",
        "52:54:00:12:34:567",
        "52-54-00-12-34-56",
        "525400123456",
        "5g:54:00:12:34:56",
        " 52:54:00:12:34:56",
        "00:00:00:00:00:00",
        "01:00:5e:00:00:01", /* a group */
        "ff:ff:ff:ff:ff:ff",
    };
    /* FNV-1a of 64 bits over "h", NUL, "g", NUL and the number, its upper 16 bits added to the lowest, from
     * the lowest byte on. */
    static const uint8_t made[2][6] = {{0x86, 0x07, 0xdc, 0x0d, 0x7c, 0xfd},
                                       {0xfa, 0x09, 0xdc, 0x0d, 0x7c, 0xfe}};
    uint8_t mac[6], again[6], untouched[6] = {1, 2, 3, 4, 5, 6};

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        memcpy(mac, untouched, sizeof(mac));
        assert_int_equal(config_parse_mac(wrong[i], mac), -EINVAL);
        assert_memory_equal(mac, untouched, sizeof(mac));
    }
    assert_int_equal(config_parse_mac("fE:00:09:0a:F0:01", mac), 0);
    assert_memory_equal(mac, "\xfe\x00\x09\x0a\xf0\x01", 6);
    for (uint32_t i = 0; i < 2; i++) {
        config_make_mac("h", "g", i, mac);
        assert_memory_equal(mac, made[i], sizeof(mac));
    }
    for (uint32_t i = 0; i < 8; i++) {
        config_make_mac("host", "guest", i, mac);
        assert_int_equal(mac[0] & 3, 2); /* a single card's, locally administered */
        config_make_mac("host", "guest", i, again);
        assert_memory_equal(mac, again, sizeof(mac));
        for (uint32_t other = 0; other < i; other++) {
            config_make_mac("host", "guest", other, again);
            assert_memory_not_equal(mac, again, sizeof(mac));
        }
        config_make_mac("hostg", "uest", i, again);
        assert_memory_not_equal(mac, again, sizeof(mac));
    }
    if (fixture_check("/dts-v1/; / { compatible = \"saguaro,host\"; host { name = \"here\"; };"
                      "networks { l { }; }; guests { web { kernel = \"k\"; memory = \"1M\";"
                      "net2 { network = \"l\"; }; }; }; };") != 0) {
        fail_msg("%s", fixture.errors);
    }
    config_make_mac("here", "web", 2, mac);
    assert_memory_equal(fixture.config.guests[0].nets[0].mac, mac, sizeof(mac));
}

static void test_serials(void **state) {
    struct config_guest guest = {.name = "web"};
    struct config_guest_disk disk = {.number = 3};
    char serial[CONFIG_MAX_SERIAL + 1];

    (void)state;
    config_serial(&guest, &disk, serial);
    assert_string_equal(serial, "web-disk3");
    guest.name = "a1234567890123456789012345678901";
    config_serial(&guest, &disk, serial); /* cut so that the number is left */
    assert_string_equal(serial, "a1234567890123-disk3");
    disk.serial = "12345678901234567890";
    config_serial(&guest, &disk, serial);
    assert_string_equal(serial, "12345678901234567890");
    disk.serial = "";
    config_serial(&guest, &disk, serial);
    assert_string_equal(serial, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_serials),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
