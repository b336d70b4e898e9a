// SPDX-License-Identifier: Apache-2.0
// The service VM, networks, disks and the guests' devices in the config: every field, what is made up for
// them, what has to fit together, and their files and memory.
// unit-sources: lib/config*.c lib/dts*.c
#include "tests/unit/config_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HEAD         "/dts-v1/; / { compatible = \"saguaro,host\"; "

static void reads_for(enum config_arch arch, const char *text) {
    if (fixture_check_for(arch, text) != 0) {
        fail_msg("%s", fixture.errors);
    }
    memset(&fixture.config, 0xa5, sizeof(fixture.config));
    assert_int_equal(config_read(fixture.blob, sizeof(fixture.blob), arch, &fixture.config), 0);
}

static void reads(const char *text) {
    reads_for(CONFIG_ARCH_X86, text);
}

static void test_everything(void **state) {
    static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0xab, 0xCD, 0xef};
    const struct config *config = &fixture.config;
    const struct config_guest *guest = &config->guests[0];
    const struct config_net *net = &guest->nets[0];
    const struct config_guest_disk *disk = &guest->disks[0];

    (void)state;
    /* Guests may stand before what they name. */
    reads(HEAD
          "guests { web { kernel = \"k\"; memory = \"1M\"; vcpus = <4>; entropy = \"no\";"
          "  net3 { type = \"virtio-net\"; network = \"dmz\"; mac = \"52:54:00:aB:Cd:ef\"; mac-lock = \"no\";"
          "         mtu = <9000>; queues = <4>; };"
          "  disk7 { type = \"virtio-blk\"; disk = \"base\"; partition = <128>; overlay = \"yes\";"
          "          serial = \"12345678901234567890\"; };"
          "  net0 { network = \"lan\"; };"
          "  disk0 { disk = \"scratch\"; read-only = \"yes\"; };"
          "  disk1 { disk = \"base\"; type = \"ahci\"; };"
          "  disk2 { disk = \"scratch\"; }; }; };"
          "disks { scratch { memory = \"64K\"; shared = \"yes\"; };"
          "        base { file = \"base.img\"; read-only = \"yes\"; }; };"
          "networks { lan { }; dmz { broadcast-limit = <0>; }; };"
          "service { memory = \"1G\"; cpus = <1 63>; budget = <900>; period = <1000>; overlay-memory = "
          "\"5000K\"; }; };");
    assert_int_equal(config->service.overlay_memory, 5000 << 10);
    assert_int_equal(config_overlays(config), 1);
    assert_int_equal(config->service.memory, 1 << 30);
    assert_true(config->service.cpus == (1ull << 63 | 2));
    assert_int_equal(config->service.budget, 900);
    assert_int_equal(config->service.period, 1000);
    assert_int_equal(config->network_count, 2);
    assert_string_equal(config->networks[0].name, "lan");
    assert_int_equal(config->networks[0].broadcast_limit, 1000);
    assert_int_equal(config->networks[1].broadcast_limit, 0);
    assert_int_equal(config->disk_count, 2);
    assert_string_equal(config->disks[0].name, "scratch");
    assert_null(config->disks[0].file);
    assert_int_equal(config->disks[0].memory, 65536);
    assert_int_equal(config->disks[0].read_only, 0);
    assert_int_equal(config->disks[0].shared, 1);
    assert_string_equal(config->disks[1].file, "base.img");
    assert_int_equal(config->disks[1].memory, 0);
    assert_int_equal(config->disks[1].read_only, 1);
    assert_int_equal(config->disks[1].shared, 0);
    assert_int_equal(guest->entropy, 0);
    assert_int_equal(guest->net_count, 2);
    assert_int_equal(guest->disk_count, 4);
    assert_int_equal(config_devices(guest), 6);
    assert_int_equal(config_memory(config), (1 << 30) + (1 << 20) + 65536 + (5000 << 10));
    assert_int_equal(net->number, 3);
    assert_int_equal(net->network, 1);
    assert_memory_equal(net->mac, mac, sizeof(mac));
    assert_int_equal(net->mac_lock, 0);
    assert_int_equal(net->mtu, 9000);
    assert_int_equal(net->queues, 4);
    assert_int_equal(net->type, CONFIG_NET_VIRTIO);
    net++;
    assert_int_equal(net->number, 0);
    assert_int_equal(net->network, 0);
    assert_string_equal(net->network_name, "lan");
    assert_int_equal(net->mac_lock, 1);
    assert_int_equal(net->mtu, 1500);
    assert_int_equal(net->queues, 1);
    assert_int_equal(disk->number, 7);
    assert_int_equal(disk->disk, 1);
    assert_int_equal(disk->partition, 128);
    assert_int_equal(disk->read_only, 0); /* its overlay takes the writes */
    assert_int_equal(disk->overlay, 1);
    assert_int_equal(disk->type, CONFIG_DISK_VIRTIO);
    assert_string_equal(disk->serial, "12345678901234567890");
    disk++;
    assert_int_equal(disk->number, 0);
    assert_int_equal(disk->disk, 0);
    assert_int_equal(disk->partition, 0);
    assert_int_equal(disk->read_only, 1);
    assert_int_equal(disk->overlay, 0);
    assert_null(disk->serial);
    assert_int_equal(disk[1].read_only, 1); /* as the disk */
    assert_int_equal(disk[1].type, CONFIG_DISK_AHCI);
    assert_int_equal(disk[2].type, CONFIG_DISK_VIRTIO);
    assert_int_equal(disk[2].read_only, 0);
}

/* The guest's transport is that of all that says nothing else; what is no virtio device is on PCI. */
static void test_transport(void **state) {
    static const char rest[] =
        "networks { lan { }; }; disks { d { memory = \"1M\"; shared = \"yes\"; }; }; };";
    static const struct {
        const char *guest;
        uint32_t places;
    } rows[] = {
        {"net0 { network = \"lan\"; }; disk0 { disk = \"d\"; };", 0},
        {"transport = \"pci\"; virtio-console = \"yes\"; net0 { network = \"lan\"; };", 0},
        {"net3 { network = \"lan\"; transport = \"mmio\"; }; net1 { network = \"lan\"; };", 1u << 3},
        {"disk7 { disk = \"d\"; transport = \"mmio\"; };", 1u << 15},
        {"transport = \"mmio\";", 0},
        {"transport = \"mmio\"; entropy = \"yes\";", 1u << 16},
        {"transport = \"mmio\"; entropy = \"no\"; balloon = \"yes\";", 1u << 18},
        {"balloon = \"yes\";", 0},
        {"transport = \"mmio\"; virtio-console = \"yes\"; net0 { network = \"lan\"; };"
         "disk1 { disk = \"d\"; transport = \"pci\"; }; disk2 { disk = \"d\"; };",
         1u << 17 | 1u << 16 | 1u << 10 | 1u},
        {"transport = \"mmio\"; entropy = \"no\"; net0 { network = \"lan\"; type = \"e1000\"; };"
         "disk0 { disk = \"d\"; type = \"ahci\"; };",
         0},
    };
    static const struct {
        const char *guest, *error;
    } wrong[] = {
        {"transport = \"isa\";", "transport"},
        {"net0 { network = \"lan\"; type = \"e1000\"; transport = \"mmio\"; };",
         "net0 of guest \"g\" is a PCI function: \"transport\" is for virtio devices"},
        {"net0 { network = \"lan\"; transport = \"pci\"; type = \"e1000\"; };",
         "net0 of guest \"g\" is a PCI function: \"transport\" is for virtio devices"},
        {"disk3 { disk = \"d\"; type = \"ahci\"; transport = \"mmio\"; };",
         "disk3 of guest \"g\" is a PCI function: \"transport\" is for virtio devices"},
    };
    char text[1024];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(text, sizeof(text), HEAD "guests { g { kernel = \"k\"; memory = \"1M\"; %s }; }; %s",
                 rows[i].guest, rest);
        reads(text);
        assert_int_equal(config_mmio_places(&fixture.config.guests[0]), rows[i].places);
    }
    for (size_t i = 0; i < COUNT(wrong); i++) {
        snprintf(text, sizeof(text), HEAD "guests { g { kernel = \"k\"; memory = \"1M\"; %s }; }; %s",
                 wrong[i].guest, rest);
        assert_int_not_equal(fixture_check_for(CONFIG_ARCH_X86, text), 0);
        if (!strstr(fixture.errors, wrong[i].error))
            fail_msg("%s", fixture.errors);
    }
}

/* What is there without being asked for. */
static void test_defaults(void **state) {
    static const struct {
        const char *guest, *root;
        uint32_t devices, entropy, large;
    } rows[] = {
        {"", "", 0, 0, 0},
        {"", "service { };", 0, 0, 0},
        {"", "networks { lan { }; };", 0, 0, 1},
        {"", "networks { lan { }; }; disks { d { memory = \"1M\"; }; };", 0, 0, 1},
        {"entropy = \"yes\";", "", 1, 1, 1},
        {"virtio-console = \"yes\";", "", 2, 1, 1},
        {"virtio-console = \"yes\"; entropy = \"no\";", "", 1, 0, 1},
        {"virtio-console = \"no\";", "", 0, 0, 0},
        {"balloon = \"yes\";", "", 2, 1, 1},
        {"balloon = \"yes\"; virtio-console = \"yes\"; entropy = \"no\";", "", 2, 0, 1},
        {"balloon = \"no\";", "", 0, 0, 0},
        {"net0 { network = \"lan\"; };", "networks { lan { }; };", 2, 1, 1},
        {"net0 { type = \"e1000\"; network = \"lan\"; };", "networks { lan { }; };", 1, 0, 1},
        {"disk0 { disk = \"d\"; };", "disks { d { memory = \"1M\"; }; };", 2, 1, 1},
        /* A guest that has no virtio device may not know any. One controller has all disks. */
        {"disk0 { disk = \"d\"; type = \"ahci\"; };", "disks { d { memory = \"1M\"; }; };", 1, 0, 1},
        {"disk0 { disk = \"d\"; type = \"ahci\"; partition = <1>; };"
         "disk1 { disk = \"d\"; type = \"ahci\"; partition = <2>; };"
         "disk2 { disk = \"d\"; partition = <3>; };",
         "disks { d { memory = \"1M\"; }; };", 3, 1, 1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct config *config = &fixture.config;
        char text[512];

        snprintf(text, sizeof(text), HEAD "guests { g { kernel = \"k\"; memory = \"1M\"; %s }; }; %s };",
                 rows[i].guest, rows[i].root);
        reads(text);
        assert_int_equal(config_devices(&config->guests[0]), rows[i].devices);
        assert_int_equal(config->guests[0].entropy, rows[i].entropy);
        assert_int_equal(config->service.memory, (rows[i].large != 0 ? 64 : 4) << 20);
        assert_int_equal(config->service.overlay_memory, 0);
        assert_true(config->service.cpus == UINT64_MAX);
        assert_int_equal(config->service.budget, 8000);
        assert_int_equal(config->service.period, 10000);
        reads_for(CONFIG_ARCH_PPC, text);
        assert_int_equal(config->service.memory, (rows[i].large != 0 ? 16 : 4) << 20);
        assert_int_equal(config_memory(config),
                         (1 << 20) + config->service.memory + (strstr(text, "disks") != NULL ? 1 << 20 : 0));
    }
}

struct row {
    const char *text;
    const char *error; /* from the line number on; NULL: the config is right */
};

/* Line 2: the inside of the root, beside one guest. */
static const struct row root_rows[] = {
    {"service { memory = \"32M\"; };", NULL},
    {"service { memory = \"48M\"; };",
     "2:20: error: \"memory\" must be a size from \"16M\" to \"1G\", a power of two; found \"48M\""},
    {"service { memory = \"8M\"; };",
     "2:20: error: \"memory\" must be a size from \"16M\" to \"1G\", a power of two; found \"8M\""},
    {"service { memory = \"2G\"; };",
     "2:20: error: \"memory\" must be a size from \"16M\" to \"1G\", a power of two; found \"2G\""},
    {"service { memory = <64>; };",
     "2:21: error: \"memory\" must be a size from \"16M\" to \"1G\", a power of two; found a number"},
    {"service { priority = <5>; };",
     "2:11: error: unknown property \"priority\" in node \"service\"; it belongs in /guests/NAME"},
    {"service { budget = <500>; };", "2:11: error: \"budget\" needs a \"period\" beside it"},
    {"service { period = <5000>; };", "2:11: error: \"period\" needs a \"budget\" beside it"},
    {"service { budget = <5001>; period = <5000>; };",
     "2:21: error: \"budget\" (5001) must not be larger than \"period\" (5000)"},
    {"service { budget = <5000>; period = <5000>; };", NULL},
    {"servcie { };", "2:1: error: unknown node \"servcie\" in the root node; did you mean \"service\"?"},
    {"networks { lan { broadcast-limit = <1000001>; }; };",
     "2:37: error: \"broadcast-limit\" must be a number from 0 to 1000000; found 1000001"},
    {"networks { lan { limit = <1>; }; };", "2:18: error: unknown property \"limit\" in network \"lan\""},
    {"networks { LAN { }; };",
     "2:12: error: \"LAN\" cannot name a network: 1 to 32 of a-z, 0-9 and \"-\" (not first)"},
    {"networks { lan { sub { }; }; };", "2:18: error: unknown node \"sub\" in network \"lan\""},
    {"networks { lan = \"x\"; };", "2:12: error: lan { ... } is a node, not a property"},
    {"disks { d { }; };", "2:9: error: disk \"d\" has no store: give one of \"file\", \"memory\", "
                          "\"device\""},
    {"disks { d { file = \"f\"; memory = \"1M\"; }; };",
     "2:25: error: disk \"d\" has two stores: \"file\" and \"memory\""},
    {"disks { d { file = \"../f\"; }; };",
     "2:20: error: \"file\" cannot name the file \"../f\": it leaves the config's folder (\"..\")"},
    {"disks { d { memory = \"60K\"; }; };",
     "2:22: error: \"memory\" must be a size from \"64K\" to \"64G\"; found \"60K\""},
    {"disks { d { memory = \"65K\"; }; };",
     "2:22: error: \"memory\" must be a multiple of 4K; found \"65K\""},
    {"disks { d { file = \"f\"; read-only = \"true\"; }; };",
     "2:37: error: \"read-only\" must be one of \"no\", \"yes\"; found \"true\""},
    {"disks { d_0 { file = \"f\"; }; };",
     "2:9: error: \"d_0\" cannot name a disk: 1 to 32 of a-z, 0-9 and \"-\" (not first)"},
    /* One file, two uses: memory holds it once. */
    {"disks { d { file = \"f\"; }; e { file = \"f\"; }; };",
     "2:39: error: file \"f\" is disk \"d\", too: both need read-only = \"yes\""},
    {"disks { d { file = \"f\"; read-only = \"yes\"; }; e { file = \"f\"; }; };",
     "2:58: error: file \"f\" is disk \"d\", too: both need read-only = \"yes\""},
    {"disks { d { file = \"f\"; read-only = \"yes\"; }; e { file = \"f\"; read-only = \"yes\"; }; };", NULL},
    {"disks { d { file = \"k\"; }; };",
     "2:20: error: file \"k\" is of guest \"g\", too: the disk needs read-only = \"yes\""},
    {"disks { d { file = \"k\"; read-only = \"yes\"; }; };", NULL},
};

/* Memory for overlays. Line 2: the inside of the root, beside one guest with three overlays from line 3 on.
 */
static const struct row overlay_rows[] = {
    {"service { overlay-memory = \"3M\"; };", NULL},
    {"service { overlay-memory = \"3068K\"; };",
     "2:28: error: \"overlay-memory\" must be at least \"3M\": 1M for each of the overlays"},
    {"service { overlay-memory = \"1020K\"; };",
     "2:28: error: \"overlay-memory\" must be a size from \"1M\" to \"64G\"; found \"1020K\""},
    {"service { overlay-memory = <3>; };",
     "2:29: error: \"overlay-memory\" must be a size from \"1M\" to \"64G\"; found a number"},
    {"service { };",
     "4:11: error: there is no memory for overlays: give service { overlay-memory = \"64M\"; }"},
    {"", "4:11: error: there is no memory for overlays: give service { overlay-memory = \"64M\"; }"},
};

/* Line 6: a second guest beside "g", which has a card in "lan" with the address 52:54:00:00:00:01 and the
 * disks "own" (read-only), "main" (written; partition 2) and "both" (written; shared). */
static const struct row guest_rows[] = {
    {"", NULL},
    {"net0 { network = \"lan\"; };", NULL},
    {"net0 { network = \"lna\"; };", "6:18: error: unknown network \"lna\"; did you mean \"lan\"?"},
    {"net0 { network = \"elsewhere\"; };",
     "6:18: error: unknown network \"elsewhere\"; networks { ... } defines them"},
    {"net0 { network = \"\"; };",
     "6:18: error: \"network\" must be the name of a network; found an empty string"},
    {"net0 { network = \"a12345678901234567890123456789012\"; };",
     "6:18: error: \"network\" must be the name of a network; found a longer one"},
    {"net0 { network = <1>; };", "6:19: error: \"network\" must be the name of a network; found a number"},
    {"net0 { network = \"lan\"; type = \"e1000\"; };", NULL},
    {"net0 { network = \"lan\"; type = \"e1000\"; queues = <2>; };",
     "6:51: error: net0 of guest \"h\" has one pair of queues: more go with the type \"virtio-net\""},
    {"net0 { network = \"lan\"; type = \"rtl8139\"; };",
     "6:32: error: \"type\" must be one of \"virtio-net\", \"e1000\"; found \"rtl8139\""},
    {"net0 { network = \"lan\"; queues = <2>; };", NULL},
    {"net0 { network = \"lan\"; queues = <3>; };",
     "6:35: error: \"queues\" (3) must not be more than the guest's \"vcpus\" (2)"},
    {"net0 { network = \"lan\"; queues = <9>; };",
     "6:35: error: \"queues\" must be a number from 1 to 8; found 9"},
    {"net0 { network = \"lan\"; mtu = <67>; };",
     "6:32: error: \"mtu\" must be a number from 68 to 9000; found 67"},
    {"net0 { network = \"lan\"; mac = \"52:54:00:00:00:02\"; };", NULL},
    {"net0 { network = \"lan\"; mac = \"53:54:00:00:00:02\"; };",
     "6:31: error: \"mac\" must be a card's address as \"52:54:00:12:34:56\"; found \"53:54:00:00:00:02\""},
    {"net0 { network = \"lan\"; mac = \"52:54:00:00:00:01\"; };",
     "6:31: error: two cards in network \"lan\" have the address 52:54:00:00:00:01: this one and net0 of "
     "guest "
     "\"g\", at t.dts:2:1"},
    {"net0 { network = \"dmz\"; mac = \"52:54:00:00:00:01\"; };", NULL},
    {"net0 { network = \"dmz\"; mac = \"52:54:00:00:00:05\"; }; net5 { mac = \"52:54:00:00:00:05\"; network "
     "= "
     "\"dmz\"; };",
     "6:68: error: two cards in network \"dmz\" have the address 52:54:00:00:00:05: this one and net0 of "
     "guest "
     "\"h\", at t.dts:6:31"},
    {"disk0 { disk = \"main\"; };",
     "6:16: error: disk \"main\" is written by disk1 of guest \"g\", at t.dts:4:16, too: make one "
     "read-only, give both an overlay, or make the disk shared"},
    {"disk0 { disk = \"main\"; partition = <2>; };",
     "6:16: error: disk \"main\" is written by disk1 of guest \"g\", at t.dts:4:16, too: make one "
     "read-only, give both an overlay, or make the disk shared"},
    {"disk0 { disk = \"main\"; partition = <1>; };", NULL},
    {"disk0 { disk = \"main\"; read-only = \"yes\"; };", NULL},
    {"disk0 { disk = \"both\"; };", NULL},
    {"disk0 { disk = \"spare\"; }; disk1 { disk = \"spare\"; };",
     "6:43: error: disk \"spare\" is written by disk0 of guest \"h\", at t.dts:6:16, too: make one "
     "read-only, give both an overlay, or make the disk shared"},
    {"disk0 { disk = \"spare\"; overlay = \"yes\"; }; disk1 { disk = \"spare\"; overlay = \"yes\"; };", NULL},
    {"disk0 { disk = \"both\"; overlay = \"yes\"; };",
     "6:16: error: disk \"both\" cannot be the base of an overlay: disk2 of guest \"g\" writes it, at "
     "t.dts:5:16"},
    {"disk0 { disk = \"spare\"; overlay = \"yes\"; }; disk1 { disk = \"spare\"; };",
     "6:16: error: disk \"spare\" cannot be the base of an overlay: disk1 of guest \"h\" writes it, at "
     "t.dts:6:60"},
    {"disk0 { disk = \"main\"; partition = <3>; overlay = \"yes\"; };", NULL},
    {"disk0 { disk = \"own\"; };", NULL},
    {"disk0 { disk = \"own\"; overlay = \"yes\"; read-only = \"no\"; };", NULL},
    {"disk0 { disk = \"own\"; read-only = \"no\"; };",
     "6:35: error: disk \"own\" is read-only; with overlay = \"yes\" the guest can write all the same"},
    {"disk0 { disk = \"own\"; overlay = \"yes\"; read-only = \"yes\"; };",
     "6:23: error: \"overlay\" is for what the guest writes, but disk0 of guest \"h\" is read-only"},
    {"disk0 { disk = \"mian\"; };", "6:16: error: unknown disk \"mian\"; did you mean \"main\"?"},
    {"disk0 { disk = \"lan\"; };", "6:16: error: unknown disk \"lan\"; disks { ... } defines them"},
    {"disk0 { disk = \"spare\"; partition = <0>; };",
     "6:38: error: \"partition\" must be a number from 1 to 128; found 0"},
    {"disk0 { disk = \"spare\"; partition = <129>; };",
     "6:38: error: \"partition\" must be a number from 1 to 128; found 129"},
    {"disk0 { disk = \"spare\"; serial = \"123456789012345678901\"; };",
     "6:34: error: \"serial\" must be a string of at most 20 bytes; found a longer one"},
    {"disk0 { disk = \"spare\"; network = \"lan\"; };",
     "6:25: error: unknown property \"network\" in disk0 of guest \"h\"; it belongs in /guests/NAME/netN"},
    {"disk0 { disk = \"spare\"; dsik = \"lan\"; };",
     "6:25: error: unknown property \"dsik\" in disk0 of guest \"h\"; did you mean \"disk\"?"},
};

/* Line 2: the inside of the root, on PowerPC. */
static const struct row ppc_rows[] = {
    {"service { memory = \"256M\"; };", NULL},
    {"service { memory = \"64M\"; };", NULL},
    {"service { memory = \"32M\"; };",
     "2:20: error: \"memory\" must be a size from \"16M\" to \"256M\", a power of four; found \"32M\""},
    {"service { memory = \"1G\"; };",
     "2:20: error: \"memory\" must be a size from \"16M\" to \"256M\", a power of four; found \"1G\""},
    {"disks { d { memory = \"2G\"; }; };",
     "2:22: error: \"memory\" must be a size from \"64K\" to \"1536M\"; found \"2G\""},
};

static const char guest_frame[] =
    HEAD "guests { g { kernel = \"k\"; memory = \"1M\"; net0 { network = \"lan\"; mac =\n"
         "\"52:54:00:00:00:01\"; };\n"
         "disk0 { disk = \"own\"; };\n"
         "disk1 { disk = \"main\"; partition = <2>; };\n"
         "disk2 { disk = \"both\"; }; }; h { kernel = \"k\"; memory = \"1M\"; vcpus = <2>;\n"
         "%s\n}; };"
         "networks { lan { }; dmz { }; };"
         "service { overlay-memory = \"2M\"; };"
         "disks { own { file = \"o\"; read-only = \"yes\"; }; main { file = \"m\"; };"
         "        both { memory = \"1M\"; shared = \"yes\"; }; spare { memory = \"1M\"; }; }; };";

/* Line 2: inside guest "h"; guest "g", a network and a disk have functions of the machine. */
static const struct row passed_rows[] = {
    {"passthrough = \"04:00.0\", \"0001:03:00.0\";", NULL},
    {"passthrough = \"04:00.0\", \"03:00.0\";",
     "2:26: error: \"03:00.0\" is of guest \"g\", at t.dts:1:100, too"},
    {"passthrough = \"00:05.0\";", "2:15: error: \"00:05.0\" is of network \"lan\", at t.dts:3:33, too"},
    {"passthrough = \"0000:00:06.0\";",
     "2:15: error: \"0000:00:06.0\" is of disk \"ssd\", at t.dts:4:25, too"},
};

static void test_passed(void **state) {
    const struct config *config = &fixture.config;
    char text[2048];

    (void)state;
    for (size_t i = 0; i < COUNT(passed_rows); i++) {
        snprintf(
            text, sizeof(text),
            HEAD
            "guests { g { kernel = \"k\"; memory = \"1M\"; passthrough = \"0000:03:00.0\"; };"
            " h { kernel = \"k\"; memory = \"1M\";\n%s\n}; }; networks { lan { uplink = \"0000:00:05.0\"; };"
            " mac { uplink = \"52:54:00:00:00:01\"; }; };\n disks { ssd { device = \"00:06.0\"; }; };"
            " };",
            passed_rows[i].text);
        fixture_expect(CONFIG_ARCH_X86, text, passed_rows[i].error);
    }
    reads(HEAD "guests { g { kernel = \"k\"; memory = \"1M\"; };"
               " h { kernel = \"k\"; memory = \"1M\"; passthrough = \"04:1f.7\", \"00:05.0\"; }; }; };");
    assert_int_equal(config->guests[0].passthrough_count, 0);
    assert_int_equal(config->guests[1].passthrough_count, 2);
    assert_string_equal(config->guests[1].passthrough[1], "00:05.0");
    assert_ptr_equal(config_passed_to(config, &(struct config_pci){0, 4, 0xff}), &config->guests[1]);
    assert_ptr_equal(config_passed_to(config, &(struct config_pci){0, 0, 5 << 3}), &config->guests[1]);
    assert_null(config_passed_to(config, &(struct config_pci){1, 4, 0xff}));
    assert_null(config_passed_to(config, &(struct config_pci){0, 5, 0xff}));
    assert_null(config_passed_to(config, &(struct config_pci){0, 4, 0xfe}));
    fixture_expect(CONFIG_ARCH_PPC,
                   HEAD "guests { g { kernel = \"k\"; memory = \"1M\";\npassthrough = \"04:00.0\"; }; }; };",
                   "2:1: error: \"passthrough\" is for x86; this config is for PowerPC");
}

static void test_rows(void **state) {
    char text[2048];

    (void)state;
    for (size_t i = 0; i < COUNT(root_rows); i++) {
        snprintf(text, sizeof(text), HEAD "guests { g { kernel = \"k\"; memory = \"1M\"; }; };\n%s };",
                 root_rows[i].text);
        fixture_expect(CONFIG_ARCH_X86, text, root_rows[i].error);
    }
    for (size_t i = 0; i < COUNT(ppc_rows); i++) {
        snprintf(text, sizeof(text), HEAD "guests { g { kernel = \"k\"; memory = \"1M\"; }; };\n%s };",
                 ppc_rows[i].text);
        fixture_expect(CONFIG_ARCH_PPC, text, ppc_rows[i].error);
    }
    for (size_t i = 0; i < COUNT(guest_rows); i++) {
        snprintf(text, sizeof(text), guest_frame, guest_rows[i].text);
        fixture_expect(CONFIG_ARCH_X86, text, guest_rows[i].error);
    }
    for (size_t i = 0; i < COUNT(overlay_rows); i++) {
        snprintf(
            text, sizeof(text),
            HEAD
            "\n%s\nguests { g { kernel = \"k\"; memory = \"1M\"; disk3 { disk = \"d\"; }; disk0 { disk = "
            "\"d\";\noverlay = \"yes\"; }; disk1 { disk = \"d\"; overlay = \"yes\"; }; disk2 { disk = "
            "\"d\"; overlay = \"yes\"; }; }; }; disks { d { memory = \"1M\"; read-only = \"yes\"; }; }; };",
            overlay_rows[i].text);
        fixture_expect(CONFIG_ARCH_X86, text, overlay_rows[i].error);
    }
}

/* So many of a kind, and one more. */
static void test_limits(void **state) {
    static char text[32 * 1024];
    char *end;

    (void)state;
    for (unsigned more = 0; more < 2; more++) {
        strcpy(text, HEAD "guests { g { kernel = \"k\"; memory = \"1M\"; }; }; networks {\n");
        for (unsigned i = 0; i < CONFIG_MAX_NETWORKS + more; i++) {
            snprintf(text + strlen(text), 32, "n%u { };\n", i);
        }
        strcat(text, "}; };");
        fixture_expect(CONFIG_ARCH_X86, text,
                       more != 0 ? "18:1: error: network \"n16\" is one too many: 16 are the most" : NULL);
        strcpy(text, HEAD "guests { g { kernel = \"k\"; memory = \"1M\"; }; }; disks {\n");
        for (unsigned i = 0; i < CONFIG_MAX_DISKS + more; i++) {
            snprintf(text + strlen(text), 32, "d%u { file = \"f%u\"; };\n", i, i);
        }
        strcat(text, "}; };");
        fixture_expect(CONFIG_ARCH_X86, text,
                       more != 0 ? "34:1: error: disk \"d32\" is one too many: 32 are the most" : NULL);
        /* 32 guests with 8 devices each are just as many as there may be. */
        strcpy(text, HEAD "networks { n { }; }; guests {\n");
        for (unsigned i = 0; i < CONFIG_MAX_GUESTS; i++) {
            end = text + strlen(text);
            end += snprintf(end, 128, "g%u { kernel = \"k\"; memory = \"1M\"; entropy = \"%s\";", i,
                            i == 30 && more != 0 ? "yes" : "no");
            for (unsigned net = 0; net < CONFIG_MAX_NETS; net++) {
                end += snprintf(end, 64, "net%u { network = \"n\"; };", net);
            }
            strcpy(end, "};\n");
        }
        strcat(text, "}; };");
        fixture_expect(CONFIG_ARCH_X86, text,
                       more != 0 ? "33:1: error: with guest \"g31\" there are more than 256 virtio devices"
                                 : NULL);
        assert_int_equal(fixture.config.guest_count, more != 0 ? fixture.config.guest_count : 32);
    }
}

static int note_file(void *context, const struct config_file *file) {
    char *seen = context, why[64] = "-";
    size_t used = strlen(seen);
    bool wrong = config_file_size_wrong(file, 1000, why, sizeof(why));

    snprintf(seen + used, 1024 - used, "%s %s%s%s\n", file->property, file->name,
             file->repeated ? " again" : "", wrong ? " sectors" : "");
    config_report_file(&fixture.source, &fixture.config, file, &fixture.report, "file \"%s\" %s", file->name,
                       why);
    return 0;
}

static void test_files(void **state) {
    struct config_file disk = {.guest = CONFIG_NO_GUEST, .property = "file"};
    struct config_file kernel = {.guest = 0, .property = "kernel"};
    char seen[1024] = "", why[64];

    (void)state;
    reads(HEAD "disks { empty { memory = \"1M\"; };\n b { file = \"i\"; read-only = \"yes\"; };\n"
               " c { file = \"c\"; }; };\n"
               "guests { a { kernel = \"k\"; initrd = \"i\"; memory = \"1M\"; }; }; };");
    assert_int_equal(config_files(&fixture.config, note_file, seen), 0);
    assert_string_equal(seen, "kernel k\ninitrd i\nfile i again sectors\nfile c sectors\n");
    assert_non_null(strstr(fixture.errors, "t.dts:2:13: error: file \"i\" has 1000 bytes; a disk has a "
                                           "multiple of 512\n"));
    assert_non_null(strstr(fixture.errors, "t.dts:3:13: error: file \"c\" has 1000 bytes; a disk has a "
                                           "multiple of 512\n"));
    assert_true(config_file_size_wrong(&disk, 511, why, sizeof(why)));
    assert_string_equal(why, "has 511 bytes; a disk has at least 512");
    assert_false(config_file_size_wrong(&disk, 512, why, sizeof(why)));
    assert_true(config_file_size_wrong(&disk, (1ull << 40) + 1, why, sizeof(why)));
    assert_string_equal(why, "has 1099511627777 bytes; a disk has a multiple of 512");
    assert_false(config_file_size_wrong(&kernel, 511, why, sizeof(why)));
}

static const char machine_text[] =
    HEAD "\nservice { memory = \"32M\"; cpus = <0 2>; };\ndisks { d { memory = \"8M\"; }; f { file = \"f\"; "
         "}; };\n"
         "guests {\ng { kernel = \"k\"; memory = \"16M\"; disk0 { disk = \"d\"; }; }; }; };";

static void test_machine(void **state) {
    struct config_machine machine = {.memory = 57 << 20, .reserve = 1 << 20, .cpu_count = 3};

    (void)state;
    reads(machine_text);
    assert_int_equal(config_check_machine(&fixture.source, &fixture.config, &machine, &fixture.report), 0);
    machine.cpu_count = 2;
    machine.memory--;
    assert_int_equal(config_check_machine(&fixture.source, &fixture.config, &machine, &fixture.report),
                     -EINVAL);
    assert_string_equal(
        fixture.errors,
        "t.dts:4:1: error: memory does not fit: the guests ask for 56 MiB, service VM and disks included; "
        "the "
        "machine has 56.9 MiB, of which 1 MiB are kept for Saguaro and files: 55.9 MiB are there for guests\n"
        "guests {\n^\n"
        "t.dts:5:28: error: guest \"g\" asks for 16 MiB\n"
        "g { kernel = \"k\"; memory = \"16M\"; disk0 { disk = \"d\"; }; }; }; };\n"
        "                           ^\n"
        "t.dts:3:22: error: disk \"d\" asks for 8 MiB\n"
        "disks { d { memory = \"8M\"; }; f { file = \"f\"; }; };\n"
        "                     ^\n"
        "t.dts:2:20: error: the service VM asks for 32 MiB\n"
        "service { memory = \"32M\"; cpus = <0 2>; };\n"
        "                   ^\n"
        "t.dts:2:37: error: the service VM is to run on CPU 2, but this machine has 2 CPUs, 0 to 1\n"
        "service { memory = \"32M\"; cpus = <0 2>; };\n"
        "                                    ^\n");
    /* Memory for overlays. */
    reads(HEAD
          "service { memory = \"16M\";\noverlay-memory = \"48M\"; };\nguests { g { kernel = \"k\"; memory = "
          "\"1M\"; }; }; };");
    machine = (struct config_machine){.memory = 65 << 20};
    assert_int_equal(config_check_machine(&fixture.source, &fixture.config, &machine, &fixture.report), 0);
    machine.memory--;
    assert_int_equal(config_check_machine(&fixture.source, &fixture.config, &machine, &fixture.report),
                     -EINVAL);
    assert_non_null(
        strstr(fixture.errors, "the guests ask for 65 MiB, service VM, disks and overlays included"));
    assert_non_null(strstr(fixture.errors, "t.dts:2:18: error: overlays ask for 48 MiB\n"));
    /* A service VM that the config does not name is counted, too. */
    reads(HEAD "guests { g { kernel = \"k\"; memory = \"1M\"; entropy = \"yes\"; }; }; };");
    machine = (struct config_machine){.memory = 64 << 20};
    assert_int_equal(config_check_machine(&fixture.source, &fixture.config, &machine, &fixture.report),
                     -EINVAL);
    assert_non_null(strstr(fixture.errors, "the guests ask for 65 MiB, service VM included; the machine"));
    assert_non_null(strstr(fixture.errors, "t.dts:1:11: error: the service VM asks for 64 MiB\n"));
}

/* Without its source: places are paths. */
static void test_compiled(void **state) {
    char text[2048];

    (void)state;
    snprintf(text, sizeof(text), guest_frame,
             "net0 { network = \"lan\"; mac = \"52:54:00:00:00:01\"; }; disk0 { disk = \"main\"; };"
             "disk1 { disk = \"x\"; };");
    assert_int_equal(fixture_parse(text), 0);
    fixture.source.positions = NULL;
    fixture.source.file = "a.dtb";
    assert_int_equal(config_check(&fixture.source, &fixture.config, &fixture.report), -EINVAL);
    assert_string_equal(
        fixture.errors,
        "a.dtb: error: /guests/h/net0/mac: two cards in network \"lan\" have the address 52:54:00:00:00:01: "
        "this "
        "one and net0 of guest \"g\", at /guests/g/net0/mac\n"
        "a.dtb: error: /guests/h/disk1/disk: unknown disk \"x\"; disks { ... } defines them\n"
        "a.dtb: error: /guests/h/disk0/disk: disk \"main\" is written by disk1 of guest \"g\", at "
        "/guests/g/disk1/disk, too: make one read-only, give both an overlay, or make the disk shared\n");
}

/* What only a compiled tree can have: two of one name. */
static void test_only_compiled(void **state) {
    static const char *const lists[] = {"networks", "disks", "g"};
    static const char *const names[] = {"n", "d", "net0", "disk0"};
    static const char *const errors[] = {
        "a.dtb: error: /networks/n: two networks are named \"n\"\n",
        "a.dtb: error: /disks/d: two disks are named \"d\"\n",
        "a.dtb: error: /guests/g/net0: two network cards are named \"net0\"\n",
        "a.dtb: error: /guests/g/disk0: two disks are named \"disk0\"\n",
    };
    static uint64_t tree[1024];
    static struct config config;
    struct config_source source = {.fdt = tree, .size = sizeof(tree), .file = "a.dtb"};

    (void)state;
    for (unsigned twice = 0; twice <= COUNT(names); twice++) { /* the last one is right */
        assert_int_equal(fdt_create(tree, sizeof(tree)), 0);
        assert_int_equal(fdt_finish_reservemap(tree), 0);
        fdt_begin_node(tree, "");
        fdt_property_string(tree, "compatible", "saguaro,host");
        for (unsigned list = 0; list < COUNT(lists); list++) {
            if (list == 2) {
                fdt_begin_node(tree, "guests");
            }
            fdt_begin_node(tree, lists[list]);
            if (list == 2) {
                fdt_property_string(tree, "kernel", "k");
                fdt_property_string(tree, "memory", "1M");
            }
            for (unsigned name = list; name <= list + (list == 2 ? 1 : 0); name++) {
                for (unsigned i = 0; i < (twice == name ? 2 : 1); i++) {
                    fdt_begin_node(tree, names[name]);
                    if (name == 1) {
                        fdt_property_string(tree, "memory", "1M");
                    } else if (name >= 2) {
                        fdt_property_string(tree, name == 2 ? "network" : "disk", names[name - 2]);
                    }
                    fdt_end_node(tree);
                }
            }
            fdt_end_node(tree);
        }
        fdt_end_node(tree);
        fdt_end_node(tree);
        assert_int_equal(fdt_finish(tree), 0);
        fixture_reset(NULL);
        assert_int_equal(config_read(tree, sizeof(tree), CONFIG_ARCH_X86, &config),
                         twice == COUNT(names) ? 0 : -EINVAL);
        assert_int_equal(config_check(&source, &config, &fixture.report),
                         twice == COUNT(names) ? 0 : -EINVAL);
        assert_string_equal(fixture.errors, twice == COUNT(names) ? "" : errors[twice]);
    }
}

/* A tree with devices, each of its bytes changed: reader and checker agree, and stay in bounds. */
static void test_damaged(void **state) {
    static struct config read, checked;
    char text[2048];
    size_t size;
    uint8_t *tree;

    (void)state;
    snprintf(text, sizeof(text), guest_frame,
             "net0 { network = \"lan\"; queues = <2>; }; disk5 { disk = \"own\"; overlay = \"yes\"; };");
    reads(text);
    size = fdt_totalsize(fixture.blob);
    tree = aligned_alloc(8, (size + 7) & ~(size_t)7);
    for (size_t i = 0; i < size; i++) {
        static const uint8_t masks[] = {0x01, 0x02, 0x80, 0xff, 0x20};

        for (unsigned mask = 0; mask < COUNT(masks); mask++) {
            struct config_source source = {.fdt = tree, .size = size, .file = "t.dtb"};
            int error;

            memcpy(tree, fixture.blob, size);
            tree[i] ^= masks[mask];
            fixture_reset(NULL);
            error = config_read(tree, size, CONFIG_ARCH_X86, &read);
            assert_int_equal(config_check(&source, &checked, &fixture.report), error);
            assert_int_equal(fixture.report.count != 0, error != 0);
        }
    }
    free(tree);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_transport),  cmocka_unit_test(test_rows),
        cmocka_unit_test(test_passed),     cmocka_unit_test(test_limits),
        cmocka_unit_test(test_files),      cmocka_unit_test(test_machine),
        cmocka_unit_test(test_compiled),   cmocka_unit_test(test_only_compiled),
        cmocka_unit_test(test_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
