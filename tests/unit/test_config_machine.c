// SPDX-License-Identifier: Apache-2.0
// Network cards and disks of the machine in the config: how they are named, and that no two networks or disks
// have the same.
// unit-sources: lib/config*.c lib/dts*.c
#include "tests/unit/config_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HEAD         "/dts-v1/; / { compatible = \"saguaro,host\"; "

static void reads(const char *text) {
    if (fixture_check(text) != 0) {
        fail_msg("%s", fixture.errors);
    }
    memset(&fixture.config, 0xa5, sizeof(fixture.config));
    assert_int_equal(config_read(fixture.blob, sizeof(fixture.blob), CONFIG_ARCH_X86, &fixture.config), 0);
}

/* What is the machine's own. */
static void test_machine_devices(void **state) {
    static const struct {
        const char *text;
        unsigned segment, bus, devfn;
    } addresses[] = {
        {"00:03.0", 0, 0, 0x18},
        {"0000:00:03.0", 0, 0, 0x18},
        {"aF01:fE:1f.7", 0xaf01, 0xfe, 0xff},
    };
    static const char *const wrong[] = {"",         "0:03.0",   "00:3.0",   "00:03",       "00:03.",
                                        "00:03.00", "00:03.8",  "00:20.0",  "000:00:03.0", "00000:00:03.0",
                                        "00:03:0",  "00:03.0 ", " 00:03.0", "0g:03.0",     "0000:00:03.0.0"};
    const struct config *config = &fixture.config;
    struct config_pci address;

    (void)state;
    reads(HEAD "networks { lan { uplink = \"52:54:00:12:34:56\"; }; dmz { }; };"
               "disks { d { device = \"QM00001\"; read-only = \"yes\"; }; e { memory = \"1M\"; }; };"
               "guests { g { kernel = \"k\"; memory = \"1M\"; disk0 { disk = \"d\"; }; }; }; };");
    assert_string_equal(config->networks[0].uplink, "52:54:00:12:34:56");
    assert_null(config->networks[1].uplink);
    assert_string_equal(config->disks[0].device, "QM00001");
    assert_null(config->disks[0].file);
    assert_int_equal(config->disks[0].memory, 0);
    assert_null(config->disks[1].device);
    assert_int_equal(config->guests[0].disks[0].read_only, 1);
    for (size_t i = 0; i < COUNT(addresses); i++) {
        assert_int_equal(config_parse_pci(addresses[i].text, &address), 0);
        assert_int_equal(address.segment, addresses[i].segment);
        assert_int_equal(address.bus, addresses[i].bus);
        assert_int_equal(address.devfn, addresses[i].devfn);
    }
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(config_parse_pci(wrong[i], &address), -EINVAL);
}

struct row {
    const char *text;
    const char *error; /* from the line number on; NULL: the config is right */
};

/* Line 2: the inside of the root, beside one guest. */
static const struct row root_rows[] = {
    {"networks { lan { uplink = \"52:54:00:12:34:56\"; }; };", NULL},
    {"networks { lan { uplink = \"00:03.0\"; }; dmz { uplink = \"0001:fe:1F.7\"; }; };", NULL},
    {"networks { lan { uplink = \"00:20.0\"; }; };",
     "2:27: error: \"uplink\" must be a card's address as \"52:54:00:12:34:56\" or a PCI address as "
     "\"0000:00:03.0\"; found \"00:20.0\""},
    {"networks { lan { uplink = \"00:03.8\"; }; };",
     "2:27: error: \"uplink\" must be a card's address as \"52:54:00:12:34:56\" or a PCI address as "
     "\"0000:00:03.0\"; found \"00:03.8\""},
    {"networks { lan { uplink = \"53:54:00:12:34:56\"; }; };",
     "2:27: error: \"uplink\" must be a card's address as \"52:54:00:12:34:56\" or a PCI address as "
     "\"0000:00:03.0\"; found \"53:54:00:12:34:56\""},
    {"networks { lan { uplink = \"52:54:00:12:34\"; }; };",
     "2:27: error: \"uplink\" must be a card's address as \"52:54:00:12:34:56\" or a PCI address as "
     "\"0000:00:03.0\"; found \"52:54:00:12:34\""},
    {"networks { lan { uplink = \"\"; }; };",
     "2:27: error: \"uplink\" must be a card's address as \"52:54:00:12:34:56\" or a PCI address as "
     "\"0000:00:03.0\"; found \"\""},
    {"networks { lan { uplink = <3>; }; };",
     "2:28: error: \"uplink\" must be a card's address as \"52:54:00:12:34:56\" or a PCI address as "
     "\"0000:00:03.0\"; found a number"},
    {"networks { lan { uplink = \"0000:00:03.0\"; }; wan { uplink = \"52:54:00:12:34:56\"; };"
     " dmz { uplink = \"00:03.0\"; }; };",
     "2:100: error: \"00:03.0\" is the uplink of network \"lan\", at t.dts:2:27, too"},
    {"networks { lan { uplink = \"52:54:00:12:34:aB\"; }; dmz { uplink = \"52:54:00:12:34:Ab\"; }; };",
     "2:66: error: \"52:54:00:12:34:Ab\" is the uplink of network \"lan\", at t.dts:2:27, too"},
    {"disks { d { device = \"QM00001\"; }; e { device = \"01:00.0\"; }; f { device = \"S:4. a\"; }; };",
     NULL},
    {"disks { d { device = \"QM00001\"; memory = \"1M\"; }; };",
     "2:13: error: disk \"d\" has two stores: \"memory\" and \"device\""},
    {"disks { d { device = \"QM00001\"; file = \"f\"; }; };",
     "2:13: error: disk \"d\" has two stores: \"file\" and \"device\""},
    {"disks { d { device = \"QM1\"; file = \"f\"; memory = \"1M\"; }; };",
     "2:41: error: disk \"d\" has two stores: \"file\" and \"memory\""},
    {"disks { d { device = \"\"; }; };",
     "2:22: error: \"device\" must be a disk's serial number of 1 to 64 bytes or a PCI address as "
     "\"0000:00:03.0\"; found an empty string"},
    {"disks { d { device = \"00:3.0\"; }; };",
     "2:22: error: \"device\" must be a disk's serial number of 1 to 64 bytes or a PCI address as "
     "\"0000:00:03.0\"; found \"00:3.0\""},
    {"disks { d { device = \"QM1 \"; }; };",
     "2:22: error: \"device\" must be a disk's serial number of 1 to 64 bytes or a PCI address as "
     "\"0000:00:03.0\"; found \"QM1 \""},
    {"disks { d { device = \"QM1\"; }; e { device = \"qm1\"; }; f { device = \"QM1\"; read-only = \"yes\"; "
     "}; };",
     "2:68: error: \"QM1\" is the device of disk \"d\", at t.dts:2:22, too"},
    {"disks { d { device = \"0000:01:00.0\"; }; e { device = \"01:00.0\"; }; };",
     "2:54: error: \"01:00.0\" is the device of disk \"d\", at t.dts:2:22, too"},
};

/* Line 2: a guest, which may write the disk "nvme". */
static const struct row guest_rows[] = {
    {"disk0 { disk = \"nvme\"; partition = <1>; }; disk1 { disk = \"nvme\"; partition = <2>; };", NULL},
    {"disk0 { disk = \"nvme\"; }; disk1 { disk = \"nvme\"; partition = <2>; };",
     "2:42: error: disk \"nvme\" is written by disk0 of guest \"g\", at t.dts:2:16, too: make one "
     "read-only, give both an overlay, or make the disk shared"},
    {"disk0 { disk = \"nvme\"; overlay = \"yes\"; }; disk1 { disk = \"nvme\"; overlay = \"yes\"; };", NULL},
    {"disk0 { disk = \"nvme\"; }; disk1 { disk = \"nvme\"; read-only = \"yes\"; };", NULL},
    {"disk0 { disk = \"both\"; }; disk1 { disk = \"both\"; };", NULL},
};

static void test_rows(void **state) {
    char text[1024];

    (void)state;
    for (size_t i = 0; i < COUNT(root_rows); i++) {
        snprintf(text, sizeof(text), HEAD "guests { g { kernel = \"k\"; memory = \"1M\"; }; };\n%s };",
                 root_rows[i].text);
        fixture_expect(CONFIG_ARCH_X86, text, root_rows[i].error);
        fixture_expect(CONFIG_ARCH_PPC, text, root_rows[i].error);
    }
    for (size_t i = 0; i < COUNT(guest_rows); i++) {
        snprintf(
            text, sizeof(text),
            HEAD
            "guests { g { kernel = \"k\"; memory = \"1M\";\n%s }; }; service { overlay-memory = \"2M\"; };"
            "disks { nvme { device = \"01:00.0\"; }; both { device = \"QM1\"; shared = \"yes\"; }; }; };",
            guest_rows[i].text);
        fixture_expect(CONFIG_ARCH_X86, text, guest_rows[i].error);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machine_devices),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
