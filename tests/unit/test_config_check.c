// SPDX-License-Identifier: Apache-2.0
// The config's checker: every error it has, word by word, at its place; then memory, CPUs and files.
// unit-sources: lib/config*.c lib/dts*.c
#include "tests/unit/config_fixture.h"

#include "lib/config_check_words.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct row {
    const char *text;
    const char *error; /* from the line number on; NULL: the config is right */
};

/* The first line of the only error, if `error` is one line. */
static void expect(const char *text, const char *error) {
    char expected[512];
    int result = fixture_check(text);

    if (error == NULL) {
        if (result != 0) {
            fail_msg("%s: %s", text, fixture.errors);
        }
        return;
    }
    snprintf(expected, sizeof(expected), "t.dts:%s\n", error);
    if (result != -EINVAL || fixture.report.count != 1 ||
        strncmp(fixture.errors, expected, strlen(expected)) != 0) {
        fail_msg("%s\nexpected: %sfound %u: %s", text, expected, fixture.report.count, fixture.errors);
    }
}

#define UNPROTECTED                                                                                          \
    "\"identity-memory\" must be \"dma-unprotected\": without an IOMMU the DMA of the guest's "              \
    "\"passthrough\" can read and write all of the machine's memory, and to write this accepts it; else "    \
    "leave it away"

/* In a guest "g" that has a kernel and memory, on line 2. */
static const struct row guest_rows[] = {
    {"", NULL},
    {"initrd = \"i\"; cmdline = \"c\"; vcpus = <16>; cpus = <0 63>; priority = <0>;", NULL},
    {"budget = <1000>; period = <1000>;", NULL},
    {"memroy = \"1M\";", "2:1: error: unknown property \"memroy\" in guest \"g\"; did you mean \"memory\"?"},
    {"intird = \"1M\";", "2:1: error: unknown property \"intird\" in guest \"g\"; did you mean \"initrd\"?"},
    {"VCPUS = <1>;", "2:1: error: unknown property \"VCPUS\" in guest \"g\"; did you mean \"vcpus\"?"},
    {"cpu = <1>;", "2:1: error: unknown property \"cpu\" in guest \"g\"; did you mean \"cpus\"?"},
    {"cpu-modle = \"host\";",
     "2:1: error: unknown property \"cpu-modle\" in guest \"g\"; did you mean \"cpu-model\"?"},
    {"colour = \"red\";", "2:1: error: unknown property \"colour\" in guest \"g\""},
    {"when-idle = \"stay\";",
     "2:1: error: unknown property \"when-idle\" in guest \"g\"; it belongs in /host"},
    {"passthrough = \"0000:03:00.0\";", NULL},
    {"passthrough = \"03:00.0\", \"03:00.1\", \"0000:04:1f.7\", \"0001:03:00.0\";", NULL},
    {"passthrough = \"03:00.0\", \"0000:03:00.0\";", "2:26: error: \"0000:03:00.0\" is named twice"},
    {"passthrough = \"03:00.0\", \"eth0\";",
     "2:26: error: \"passthrough\" must be up to 4 PCI addresses as \"0000:00:03.0\"; found \"eth0\""},
    {"passthrough = \"03:00.8\";",
     "2:15: error: \"passthrough\" must be up to 4 PCI addresses as \"0000:00:03.0\"; found \"03:00.8\""},
    {"passthrough = \"\";",
     "2:15: error: \"passthrough\" must be up to 4 PCI addresses as \"0000:00:03.0\"; found \"\""},
    {"passthrough = <3>;",
     "2:16: error: \"passthrough\" must be up to 4 PCI addresses as \"0000:00:03.0\"; found a number"},
    {"passthrough = \"1:0.0\", \"02:00.0\";",
     "2:15: error: \"passthrough\" must be up to 4 PCI addresses as \"0000:00:03.0\"; found \"1:0.0\""},
    {"passthrough = \"01:00.0\", \"02:00.0\", \"03:00.0\", \"04:00.0\", \"05:00.0\";",
     "2:59: error: \"passthrough\" must be up to 4 PCI addresses as \"0000:00:03.0\"; found more"},
    {"pass;", "2:1: error: unknown property \"pass\" in guest \"g\""},
    {"passthrugh;",
     "2:1: error: unknown property \"passthrugh\" in guest \"g\"; did you mean \"passthrough\"?"},
    {"identity-memory = \"dma-unprotected\";", NULL},
    {"identity-memory = \"dma-unprotected\"; passthrough = \"03:00.0\";", NULL},
    {"identity-memory = \"yes\";", "2:19: error: " UNPROTECTED},
    {"identity-memory = \"DMA-unprotected\";", "2:19: error: " UNPROTECTED},
    {"identity-memory = \"\";", "2:19: error: " UNPROTECTED},
    {"identity-memory = \"dma-unprotected\", \"dma-unprotected\";", "2:38: error: " UNPROTECTED},
    {"identity-memory = <1>;", "2:20: error: " UNPROTECTED},
    {"identity-memory;", "2:1: error: " UNPROTECTED},
    {"net0 { };", "2:1: error: net0 of guest \"g\" has no \"network\": give the name of a network"},
    {"disk7 { };", "2:1: error: disk7 of guest \"g\" has no \"disk\": give the name of a disk"},
    {"disk8 { };", "2:1: error: \"disk8\" cannot name a disk: disk0 to disk7 can"},
    {"net10 { };", "2:1: error: \"net10\" cannot name a network card: net0 to net7 can"},
    {"net01 { };", "2:1: error: \"net01\" cannot name a network card: net0 to net7 can"},
    {"net0 = \"lan\";", "2:1: error: net0 { ... } is a node, not a property"},
    {"entropy = \"maybe\";", "2:11: error: \"entropy\" must be one of \"no\", \"yes\"; found \"maybe\""},
    {"entropy = \"no\";", NULL},
    {"virtio-console = \"no\";", NULL},
    {"virtio-console = \"hvc0\";",
     "2:18: error: \"virtio-console\" must be one of \"no\", \"yes\"; found \"hvc0\""},
    {"balloon = \"yes\";", NULL},
    {"balloon = \"64M\";", "2:11: error: \"balloon\" must be one of \"no\", \"yes\"; found \"64M\""},
    {"net { };", "2:1: error: unknown node \"net\" in guest \"g\""},
    {"netx { };", "2:1: error: unknown node \"netx\" in guest \"g\""},
    {"host { };", "2:1: error: unknown node \"host\" in guest \"g\"; it belongs in /"},
    {"vcpus { };", "2:1: error: \"vcpus\" is a property of guest \"g\", not a node"},
    {"vcpus = <0>;", "2:10: error: \"vcpus\" must be a number from 1 to 16; found 0"},
    {"vcpus = <17>;", "2:10: error: \"vcpus\" must be a number from 1 to 16; found 17"},
    {"vcpus = \"2\";", "2:9: error: \"vcpus\" must be a number from 1 to 16; found a string"},
    {"vcpus = \"two\";", "2:9: error: \"vcpus\" must be a number from 1 to 16; found a string"},
    {"vcpus = <1 2>;", "2:12: error: \"vcpus\" must be one value, a number from 1 to 16; found 2 numbers"},
    {"vcpus;", "2:1: error: \"vcpus\" must be a number from 1 to 16; found no value"},
    {"cpus = <0 1 64>;", "2:13: error: \"cpus\" must be numbers from 0 to 63; found 64"},
    {"cpus = <0 1>, <3 1>;", "2:18: error: CPU 1 is named twice"},
    {"cpus = \"all\";", "2:8: error: \"cpus\" must be numbers from 0 to 63; found a string"},
    {"priority = <100>;", "2:13: error: \"priority\" must be a number from 0 to 99; found 100"},
    {"restart = \"oncrash\";",
     "2:11: error: \"restart\" must be one of \"never\", \"on-crash\", \"always\"; found \"oncrash\""},
    {"restart = \"never\", \"always\";", "2:20: error: \"restart\" must be one value, one of \"never\", "
                                         "\"on-crash\", \"always\"; found 2 strings"},
    {"restart = <1>;",
     "2:12: error: \"restart\" must be one of \"never\", \"on-crash\", \"always\"; found a number"},
    {"restart;",
     "2:1: error: \"restart\" must be one of \"never\", \"on-crash\", \"always\"; found no value"},
    {"autostart = \"\";", "2:13: error: \"autostart\" must be one of \"no\", \"yes\"; found \"\""},
    {"exit-port = \"YES\";", "2:13: error: \"exit-port\" must be one of \"no\", \"yes\"; found \"YES\""},
    {"console = \"com2\";", "2:11: error: \"console\" must be one of \"com1\", \"none\"; found \"com2\""},
    {"cpu-model = \"x86-64-v4\";", "2:13: error: \"cpu-model\" must be one of \"x86-64-v1\", \"x86-64-v2\", "
                                   "\"x86-64-v3\", \"host\"; found \"x86-64-v4\""},
    {"initrd = \"/i\";",
     "2:10: error: \"initrd\" cannot name the file \"/i\": it begins with \"/\"; names are relative "
     "to the config's folder"},
    {"initrd = \"a\\\\b\";",
     "2:10: error: \"initrd\" cannot name the file \"a\\b\": it has a \"\\\"; parts are separated by \"/\""},
    {"initrd = \"\";", "2:10: error: \"initrd\" cannot name the file \"\": it is empty"},
    {"initrd = \"a\", \"b\";", "2:15: error: \"initrd\" must be one value, a file name; found 2 strings"},
    {"initrd = <5>;", "2:11: error: \"initrd\" must be a file name; found a number"},
    {"initrd = <0x61626300>;",
     "2:11: error: \"initrd\" must be a file name; found a number"}, /* the bytes of "abc" */
    {"cmdline = \"a\\tb\";",
     "2:11: error: \"cmdline\" must be a string of at most 2047 bytes, printable ASCII; found \"a.b\""},
    {"budget = <1000>;", "2:1: error: \"budget\" needs a \"period\" beside it"},
    {"period = <1000>;", "2:1: error: \"period\" needs a \"budget\" beside it"},
    {"period = <1000>; budget = <1001>;",
     "2:28: error: \"budget\" (1001) must not be larger than \"period\" (1000)"},
    {"period = <999>; budget = <500>;",
     "2:11: error: \"period\" must be a number from 1000 to 1000000; found 999"},
    {"period = <1000001>; budget = <500>;",
     "2:11: error: \"period\" must be a number from 1000 to 1000000; found 1000001"},
    {"period = <1000>; budget = <99>;",
     "2:28: error: \"budget\" must be a number from 100 to 1000000; found 99"},
    {"pvh = \"p\";", "2:1: error: guest \"g\" has two images: \"kernel\" and \"pvh\""},
    {"modules = \"m\";", "2:1: error: \"modules\" goes with \"multiboot\", not with \"kernel\""},
};

/* On PowerPC: in a guest "g" that has memory, on line 2. */
static const struct row ppc_rows[] = {
    {"kernel = \"k\"; initrd = \"i\"; vcpus = <2>;", NULL},
    {"kernel = \"k\"; vcpus = <3>;", "2:24: error: \"vcpus\" must be a number from 1 to 2; found 3"},
    {"kernel = \"k\"; exit-port = \"no\";",
     "2:15: error: \"exit-port\" is for x86; this config is for PowerPC"},
    {"kernel = \"k\"; apic-virtualization = \"on\";",
     "2:15: error: \"apic-virtualization\" is for x86; this config is for PowerPC"},
    {"kernel = \"k\"; cpu-model = \"nonsense\";",
     "2:15: error: \"cpu-model\" is for x86; this config is for PowerPC"},
    {"kernel = \"k\"; identity-memory = \"dma-unprotected\";",
     "2:15: error: \"identity-memory\" is for x86; this config is for PowerPC"},
    {"kernel = \"k\"; modules = \"m\";", "2:15: error: \"modules\" is for x86; this config is for PowerPC"},
    {"kernel = \"k\"; pvh = \"p\";", "2:15: error: \"pvh\" is for x86; this config is for PowerPC"},
    {"multiboot = \"k\"; initrd = \"i\";",
     "2:1: error: \"multiboot\" is for x86; this config is for PowerPC"},
    {"firmware = \"k\"; cmdline = \"c\";", "2:1: error: \"firmware\" is for x86; this config is for PowerPC"},
    {"initrd = \"i\";", "1:53: error: guest \"g\" has no image: give a \"kernel\""},
    {"kernel = \"k\"; budget = <1000>;", "2:15: error: \"budget\" needs a \"period\" beside it"},
};

/* A whole guest on line 2. */
static const struct row image_rows[] = {
    {"g { memory = \"1M\"; };",
     "2:1: error: guest \"g\" has no image: give one of \"kernel\", \"multiboot\", \"pvh\", \"firmware\""},
    {"g { kernel = \"k\"; };",
     "2:1: error: guest \"g\" has no \"memory\": give a size from \"1M\" to \"64G\""},
    {"g { kernel = \"../k\"; memory = \"1M\"; };",
     "2:14: error: \"kernel\" cannot name the file \"../k\": it leaves the config's folder (\"..\")"},
    {"g { multiboot = \"k\"; memory = \"1M\"; initrd = \"i\"; };",
     "2:37: error: \"initrd\" goes with \"kernel\" or \"pvh\", not with \"multiboot\""},
    {"g { firmware = \"k\"; memory = \"1M\"; initrd = \"i\"; };",
     "2:36: error: \"initrd\" goes with \"kernel\" or \"pvh\", not with \"firmware\""},
    {"g { firmware = \"k\"; memory = \"1M\"; cmdline = \"i\"; };",
     "2:36: error: \"cmdline\" does not go with \"firmware\""},
    {"g { multiboot = \"k\"; memory = \"8M\"; identity-memory = \"dma-unprotected\"; };", NULL},
    {"g { pvh = \"k\"; memory = \"8M\"; identity-memory = \"dma-unprotected\"; };",
     "2:31: error: \"identity-memory\" goes with \"kernel\" or \"multiboot\", not with \"pvh\""},
    {"g { firmware = \"k\"; memory = \"8M\"; identity-memory = \"dma-unprotected\"; };",
     "2:36: error: \"identity-memory\" goes with \"kernel\" or \"multiboot\", not with \"firmware\""},
    {"g { multiboot = \"k\"; memory = \"1M\"; modules = \"a b\", \"../c d\"; };",
     "2:54: error: \"modules\" cannot name the file \"../c\": it leaves the config's folder (\"..\")"},
    {"g { multiboot = \"k\"; memory = \"1M\"; modules = \" a\"; };",
     "2:47: error: \"modules\" cannot name the file \"\": it is empty"},
    {"g { multiboot = \"k\"; memory = \"1M\"; modules = \"a b\\n\"; };",
     "2:47: error: \"modules\" must be up to 16 strings \"FILE ARGUMENTS\", printable ASCII; found \"a b.\""},
    {"g { multiboot = \"k\"; memory = \"1M\"; modules = <1>; };",
     "2:48: error: \"modules\" must be up to 16 strings \"FILE ARGUMENTS\"; found a number"},
    {"g { multiboot = \"k\"; memory = \"1M\"; modules = "
     "\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\","
     "\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"; };",
     NULL},
    {"g { multiboot = \"k\"; memory = \"1M\"; modules = "
     "\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\","
     "\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"; };",
     "2:111: error: \"modules\" must be up to 16 strings \"FILE ARGUMENTS\"; found more"},
    {"g { kernel = \"k\"; memory = <256>; };",
     "2:29: error: \"memory\" must be a size from \"1M\" to \"64G\"; found a number"},
    {"g { kernel = \"k\"; memory = \"256MB\"; };",
     "2:28: error: \"memory\" must be a size from \"1M\" to \"64G\": digits and K, M or G; found \"256MB\""},
    {"g { kernel = \"k\"; memory = \"1023K\"; };",
     "2:28: error: \"memory\" must be a size from \"1M\" to \"64G\"; found \"1023K\""},
    {"g { kernel = \"k\"; memory = \"65G\"; };",
     "2:28: error: \"memory\" must be a size from \"1M\" to \"64G\"; found \"65G\""},
    {"g { kernel = \"k\"; memory = \"99999999999999G\"; };",
     "2:28: error: \"memory\" must be a size from \"1M\" to \"64G\"; found \"99999999999999G\""},
    {"g { kernel = \"k\"; memory = \"1025K\"; };",
     "2:28: error: \"memory\" must be a multiple of 4K; found \"1025K\""},
    {"Web { kernel = \"k\"; memory = \"1M\"; };",
     "2:1: error: \"Web\" cannot name a guest: 1 to 32 of a-z, 0-9 and \"-\" (not first)"},
    {"-a { kernel = \"k\"; memory = \"1M\"; };",
     "2:1: error: \"-a\" cannot name a guest: 1 to 32 of a-z, 0-9 and \"-\" (not first)"},
    {"a@1 { kernel = \"k\"; memory = \"1M\"; };",
     "2:1: error: \"a@1\" cannot name a guest: 1 to 32 of a-z, 0-9 and \"-\" (not first)"},
    {"a12345678901234567890123456789012 { kernel = \"k\"; memory = \"1M\"; };",
     "2:1: error: \"a12345678901234567890123456789012\" cannot name a guest: 1 to 32 of a-z, 0-9 and \"-\" "
     "(not first)"},
    {"a1234567890123456789012345678901 { kernel = \"k\"; memory = \"1M\"; };", NULL},
};

#define GUESTS "guests { g { kernel = \"k\"; memory = \"1M\"; }; };"

/* The inside of the root from line 2 on. */
static const struct row root_rows[] = {
    {"compatible = \"saguaro,host\";\n" GUESTS, NULL},
    {"compatible = \"saguaro,host\"; host { }; " GUESTS, NULL},
    {GUESTS, "1:11: error: the root node has no \"compatible\": give the string \"saguaro,host\""},
    {"compatible = \"qemu\";\n" GUESTS,
     "2:14: error: \"compatible\" must be the string \"saguaro,host\"; found \"qemu\""},
    {"compatible = \"saguaro,host\";", "1:11: error: the root node has no node \"guests\""},
    {"compatible = \"saguaro,host\"; guests { };", "2:30: error: there is no guest in node \"guests\""},
    {"compatible = \"saguaro,host\"; hots { }; " GUESTS,
     "2:30: error: unknown node \"hots\" in the root node; did you mean \"host\"?"},
    {"compatible = \"saguaro,host\"; vm { memory = \"1M\"; }; " GUESTS,
     "2:30: error: unknown node \"vm\" in the root node; a guest stands inside guests { ... }"},
    {"compatible = \"saguaro,host\"; net0 { }; " GUESTS,
     "2:30: error: unknown node \"net0\" in the root node; it belongs in /guests/NAME"},
    {"compatible = \"saguaro,host\"; networks { }; disks { }; " GUESTS, NULL},
    {"compatible = \"saguaro,host\"; policy { x; }; " GUESTS,
     "2:30: error: \"policy\" is not in this version"},
    {"compatible = \"saguaro,host\"; host = \"x\"; " GUESTS,
     "2:30: error: host { ... } is a node, not a property"},
    {"compatible = \"saguaro,host\"; disks = \"x\"; " GUESTS,
     "2:30: error: disks { ... } is a node, not a property"},
    {"compatible = \"saguaro,host\"; host { name = \"a_b\"; }; " GUESTS,
     "2:44: error: \"name\" must be a name of 1 to 32 letters, digits, \"-\" and \".\"; found \"a_b\""},
    {"compatible = \"saguaro,host\"; host { name = \"\"; }; " GUESTS,
     "2:44: error: \"name\" must be a name of 1 to 32 letters, digits, \"-\" and \".\"; found an empty "
     "string"},
    {"compatible = \"saguaro,host\"; host { name = \"a12345678901234567890123456789012\"; }; " GUESTS,
     "2:44: error: \"name\" must be a name of 1 to 32 letters, digits, \"-\" and \".\"; found a longer one"},
    {"compatible = \"saguaro,host\"; host { when-idle = \"sleep\"; }; " GUESTS,
     "2:49: error: \"when-idle\" must be one of \"stay\", \"poweroff\", \"reboot\"; found \"sleep\""},
    {"compatible = \"saguaro,host\"; host { frame-buffer = <1>; }; " GUESTS,
     "2:53: error: \"frame-buffer\" must be one of \"off\", \"on\"; found a number"},
    {"compatible = \"saguaro,host\"; host { log-level = \"all\"; }; " GUESTS,
     "2:49: error: \"log-level\" must be one of \"error\", \"warning\", \"info\", \"debug\"; found \"all\""},
    {"compatible = \"saguaro,host\"; host { vcpus = <1>; }; " GUESTS,
     "2:37: error: unknown property \"vcpus\" in node \"host\"; it belongs in /guests/NAME"},
    {"compatible = \"saguaro,host\"; host { a { }; }; " GUESTS,
     "2:37: error: unknown node \"a\" in node \"host\""},
};

static void test_rows(void **state) {
    char text[1024];

    (void)state;
    for (size_t i = 0; i < COUNT(guest_rows); i++) {
        snprintf(text, sizeof(text),
                 "/dts-v1/; / { compatible = \"saguaro,host\"; guests { g { kernel = \"k\"; memory = "
                 "\"1M\";\n%s\n}; }; };",
                 guest_rows[i].text);
        expect(text, guest_rows[i].error);
    }
    for (size_t i = 0; i < COUNT(image_rows); i++) {
        snprintf(text, sizeof(text), "/dts-v1/; / { compatible = \"saguaro,host\"; guests {\n%s\n}; };",
                 image_rows[i].text);
        expect(text, image_rows[i].error);
    }
    for (size_t i = 0; i < COUNT(root_rows); i++) {
        snprintf(text, sizeof(text), "/dts-v1/; / {\n%s\n};", root_rows[i].text);
        expect(text, root_rows[i].error);
    }
}

static void test_long_values(void **state) {
    char text[4096], line[CONFIG_MAX_CMDLINE + 2];

    (void)state;
    memset(line, 'x', sizeof(line));
    line[CONFIG_MAX_CMDLINE] = '\0';
    snprintf(text, sizeof(text),
             "/dts-v1/; / { compatible = \"saguaro,host\"; guests { g { kernel = \"k\"; memory = "
             "\"1M\";\ncmdline = \"%s\";}; "
             "}; };",
             line);
    expect(text, NULL);
    assert_int_equal(strlen(fixture.config.guests[0].cmdline), CONFIG_MAX_CMDLINE);
    line[CONFIG_MAX_CMDLINE] = 'x';
    line[CONFIG_MAX_CMDLINE + 1] = '\0';
    snprintf(text, sizeof(text),
             "/dts-v1/; / { compatible = \"saguaro,host\"; guests { g { kernel = \"k\"; memory = "
             "\"1M\";\ncmdline = \"%s\";}; "
             "}; };",
             line);
    expect(text, "2:11: error: \"cmdline\" must be a string of at most 2047 bytes; found a longer one");
    snprintf(text, sizeof(text),
             "/dts-v1/; / { compatible = \"saguaro,host\"; guests { g { multiboot = \"k\"; memory = "
             "\"1M\";\nmodules = \"a "
             "%s\";}; }; };",
             line);
    expect(text, "2:11: error: this module is longer than 2047 bytes");
    line[CONFIG_MAX_PATH + 1] = '\0';
    snprintf(text, sizeof(text),
             "/dts-v1/; / { compatible = \"saguaro,host\"; guests { g { multiboot = \"k\"; memory = "
             "\"1M\";\nmodules = \"%s "
             "b\";}; }; };",
             line);
    expect(text, "2:11: error: \"modules\" cannot name the file "
                 "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                 "\": it is longer than 200 bytes");
}

static void test_shown(void **state) {
    (void)state;
    assert_int_equal(fixture_check("/dts-v1/;\n/ {\n\tcompatible = \"saguaro,host\";\n\tguests {\n\t\tweb {\n"
                                   "\t\t\tkernel = \"k\";\n\t\t\tmemroy = \"256M\";\n\t\t\tmemory = \"1M\";\n"
                                   "\t\t\tvcpus = <1>, <2>;\n\t\t};\n\t};\n};\n"),
                     -EINVAL);
    assert_string_equal(
        fixture.errors,
        "t.dts:7:4: error: unknown property \"memroy\" in guest \"web\"; did you mean \"memory\"?\n"
        "\t\t\tmemroy = \"256M\";\n"
        "\t\t\t^\n"
        "t.dts:9:18: error: \"vcpus\" must be one value, a number from 1 to 16; found 2 numbers\n"
        "\t\t\tvcpus = <1>, <2>;\n"
        "\t\t\t              ^\n");
}

static void test_many_errors(void **state) {
    char text[8192] =
        "/dts-v1/; / { compatible = \"saguaro,host\"; guests { g { kernel = \"k\"; memory = \"1M\";\n";
    unsigned lines = 0;

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        snprintf(text + strlen(text), 32, "unknown%u;\n", i);
    }
    strcat(text, "}; }; };");
    assert_int_equal(fixture_check(text), -EINVAL);
    for (const char *at = fixture.errors; (at = strstr(at, "error: ")) != NULL; at++) {
        lines++;
    }
    assert_int_equal(lines, CONFIG_MAX_ERRORS + 1);
    assert_non_null(
        strstr(fixture.errors, "error: there are more errors from here on; mend those above first\n"));
}

static void test_guest_count(void **state) {
    char text[8192] = "/dts-v1/; / { compatible = \"saguaro,host\"; guests {\n";

    (void)state;
    for (unsigned i = 0; i < CONFIG_MAX_GUESTS; i++) {
        snprintf(text + strlen(text), 64, "g%u { kernel = \"k\"; memory = \"64G\"; };\n", i);
    }
    strcat(text, "}; };");
    expect(text, NULL);
    assert_int_equal(fixture.config.guest_count, CONFIG_MAX_GUESTS);
    text[strlen(text) - 5] = '\0';
    strcat(text, "more { };\n}; };");
    expect(text, "34:1: error: guest \"more\" is one too many: 32 are the most");
}

static const char two_guests[] =
    "/dts-v1/;\n/ {\n compatible = \"saguaro,host\";\n guests {\n"
    "  web { kernel = \"k\"; memory = \"3G\"; cpus = <0 4>; };\n"
    "  db { multiboot = \"m\"; modules = \"a\", \"b c\"; memory = \"1536M\"; };\n };\n};\n";

static void test_machine(void **state) {
    struct config_machine machine = {.memory = 6ull << 30, .reserve = 1532 << 20, .cpu_count = 5};

    (void)state;
    expect(two_guests, NULL);
    assert_int_equal(config_check_machine(&fixture.source, &fixture.config, &machine, &fixture.report), 0);
    machine.cpu_count = 0;
    assert_int_equal(config_check_machine(&fixture.source, &fixture.config, &machine, &fixture.report), 0);
    assert_string_equal(fixture.errors, "");
    machine.reserve++;
    assert_int_equal(config_check_machine(&fixture.source, &fixture.config, &machine, &fixture.report),
                     -EINVAL);
    assert_string_equal(fixture.errors,
                        "t.dts:4:2: error: memory does not fit: the guests ask for 4612 MiB, service VM "
                        "included; the machine has 6 GiB, of "
                        "which 1532 MiB are kept for Saguaro and files: 4611.9 MiB are there for guests\n"
                        " guests {\n ^\n"
                        "t.dts:5:32: error: guest \"web\" asks for 3 GiB\n"
                        "  web { kernel = \"k\"; memory = \"3G\"; cpus = <0 4>; };\n"
                        "                               ^\n"
                        "t.dts:6:56: error: guest \"db\" asks for 1536 MiB\n"
                        "  db { multiboot = \"m\"; modules = \"a\", \"b c\"; memory = \"1536M\"; };\n"
                        "                                                       ^\n"
                        "t.dts:2:1: error: the service VM asks for 4 MiB\n"
                        "/ {\n"
                        "^\n");
    fixture_reset(NULL);
    machine = (struct config_machine){.memory = 1 << 20, .reserve = 2 << 20};
    assert_int_equal(config_check_machine(&fixture.source, &fixture.config, &machine, &fixture.report),
                     -EINVAL);
    assert_non_null(strstr(fixture.errors, "0 bytes are there for guests"));
    fixture_reset(NULL);
    machine = (struct config_machine){.memory = UINT64_MAX, .cpu_count = 4};
    assert_int_equal(config_check_machine(&fixture.source, &fixture.config, &machine, &fixture.report),
                     -EINVAL);
    assert_string_equal(
        fixture.errors,
        "t.dts:5:48: error: guest \"web\" is to run on CPU 4, but this machine has 4 CPUs, 0 to 3\n"
        "  web { kernel = \"k\"; memory = \"3G\"; cpus = <0 4>; };\n"
        "                                               ^\n");
    fixture_reset(NULL);
    machine.cpu_count = 1;
    assert_int_equal(config_check_machine(&fixture.source, &fixture.config, &machine, &fixture.report),
                     -EINVAL);
    assert_non_null(strstr(fixture.errors, "but this machine has 1 CPU, which is CPU 0\n"));
}

static int complain_about(void *context, const struct config_file *file) {
    (void)context;
    config_report_file(&fixture.source, &fixture.config, file, &fixture.report, "file \"%s\" is missing",
                       file->name);
    return 0;
}

static void test_files(void **state) {
    struct config_file nowhere = {.guest = 99, .property = "kernel", .name = "x"};

    (void)state;
    expect(two_guests, NULL);
    config_files(&fixture.config, complain_about, NULL);
    assert_string_equal(fixture.errors,
                        "t.dts:5:18: error: file \"k\" is missing\n"
                        "  web { kernel = \"k\"; memory = \"3G\"; cpus = <0 4>; };\n"
                        "                 ^\n"
                        "t.dts:6:20: error: file \"m\" is missing\n"
                        "  db { multiboot = \"m\"; modules = \"a\", \"b c\"; memory = \"1536M\"; };\n"
                        "                   ^\n"
                        "t.dts:6:35: error: file \"a\" is missing\n"
                        "  db { multiboot = \"m\"; modules = \"a\", \"b c\"; memory = \"1536M\"; };\n"
                        "                                  ^\n"
                        "t.dts:6:40: error: file \"b\" is missing\n"
                        "  db { multiboot = \"m\"; modules = \"a\", \"b c\"; memory = \"1536M\"; };\n"
                        "                                       ^\n");
    complain_about(NULL, &nowhere);
    assert_non_null(strstr(fixture.errors, "t.dts:2:1: error: file \"x\" is missing"));
}

/* The same tree without its source: errors name the node's path. */
static void test_compiled(void **state) {
    struct config_machine machine = {.memory = 1ull << 30, .cpu_count = 2};

    (void)state;
    expect(two_guests, NULL);
    fixture.source.positions = NULL;
    fixture.source.file = "saguaro.dtb";
    config_check_machine(&fixture.source, &fixture.config, &machine, &fixture.report);
    config_files(&fixture.config, complain_about, NULL);
    assert_string_equal(
        fixture.errors,
        "saguaro.dtb: error: /guests: memory does not fit: the guests ask for 4612 MiB, service VM included; "
        "the machine has 1 "
        "GiB, of which 0 bytes are kept for Saguaro and files: 1 GiB are there for guests\n"
        "saguaro.dtb: error: /guests/web/memory: guest \"web\" asks for 3 GiB\n"
        "saguaro.dtb: error: /guests/db/memory: guest \"db\" asks for 1536 MiB\n"
        "saguaro.dtb: error: /: the service VM asks for 4 MiB\n"
        "saguaro.dtb: error: /guests/web/cpus: guest \"web\" is to run on CPU 4, but this machine has 2 "
        "CPUs, 0 to 1\n"
        "saguaro.dtb: error: /guests/web/kernel: file \"k\" is missing\n"
        "saguaro.dtb: error: /guests/db/multiboot: file \"m\" is missing\n"
        "saguaro.dtb: error: /guests/db/modules: file \"a\" is missing\n"
        "saguaro.dtb: error: /guests/db/modules: file \"b\" is missing\n");
    assert_int_equal(
        fixture_parse("/dts-v1/; / { guests { a { vcpus = \"two\"; memory = <4>; cpus; net1 { }; }; }; x { };"
                      "};"),
        0);
    fixture.source.positions = NULL;
    fixture.source.file = "saguaro.dtb";
    assert_int_equal(config_check(&fixture.source, &fixture.config, &fixture.report), -EINVAL);
    assert_string_equal(
        fixture.errors,
        "saguaro.dtb: error: /: the root node has no \"compatible\": give the string \"saguaro,host\"\n"
        "saguaro.dtb: error: /guests/a/vcpus: \"vcpus\" must be a number from 1 to 16; found a string\n"
        "saguaro.dtb: error: /guests/a/memory: \"memory\" must be a size from \"1M\" to \"64G\"; found a "
        "number\n"
        "saguaro.dtb: error: /guests/a/cpus: \"cpus\" must be numbers from 0 to 63; found no value\n"
        "saguaro.dtb: error: /guests/a: guest \"a\" has no image: give one of \"kernel\", \"multiboot\", "
        "\"pvh\", "
        "\"firmware\"\n"
        "saguaro.dtb: error: /guests/a/net1: net1 of guest \"a\" has no \"network\": give the name of a "
        "network\n"
        "saguaro.dtb: error: /x: unknown node \"x\" in the root node\n");
}

static void expect_bad_tree(const void *tree, size_t size, const char *message) {
    struct config_source source = {.fdt = tree, .size = size, .file = "a.dtb"};

    fixture_reset(NULL);
    assert_int_equal(config_check(&source, &fixture.config, &fixture.report), -EINVAL);
    assert_int_equal(fixture.report.count, 1);
    assert_string_equal(fixture.errors, message);
}

static void test_bad_trees(void **state) {
    static uint64_t tree[512];
    size_t size;

    (void)state;
    expect(two_guests, NULL);
    size = fdt_totalsize(fixture.blob);
    assert_true(size < sizeof(tree));
    memcpy(tree, fixture.blob, size);
    expect_bad_tree(tree, 0, "a.dtb: error: the config is empty\n");
    expect_bad_tree(tree, 20, "a.dtb: error: this is no compiled device tree\n");
    expect_bad_tree("/dts-v1/; / { }; // which is a text, not a tree", 48,
                    "a.dtb: error: this is no compiled device tree\n");
    fdt_set_totalsize(tree, 500);
    expect_bad_tree(tree, 100, "a.dtb: error: the device tree is cut off: 100 of its 500 bytes are here\n");
    fdt_set_totalsize(tree, (uint32_t)size);
    fdt_set_version(tree, 16);
    expect_bad_tree(tree, size, "a.dtb: error: the device tree is of version 16; version 17 is understood\n");
    fdt_set_version(tree, 17);
    fdt_set_off_dt_struct(tree, 57);
    expect_bad_tree(tree, size, "a.dtb: error: the device tree is damaged\n");
}

static void test_words(void **state) {
    char buffer[CONFIG_WORDS];

    (void)state;
    assert_string_equal(config_size_text(0, buffer), "0 bytes");
    assert_string_equal(config_size_text(1023, buffer), "1023 bytes");
    assert_string_equal(config_size_text(1536, buffer), "1536 bytes");
    assert_string_equal(config_size_text(15 * 1024 + 512, buffer), "15.5 KiB");
    assert_string_equal(config_size_text(512 << 20, buffer), "512 MiB");
    assert_string_equal(config_size_text(1280ull << 20, buffer), "1280 MiB");
    assert_string_equal(config_size_text((15ull << 30) + (512 << 20), buffer), "15.5 GiB");
    assert_string_equal(config_size_text(2048ull << 30, buffer), "2048 GiB");
    assert_string_equal(config_size_text(UINT64_MAX, buffer), "17179869183.9 GiB");
}

static void test_ppc(void **state) {
    char text[512], expected[256];

    (void)state;
    for (size_t i = 0; i < COUNT(ppc_rows); i++) {
        snprintf(text, sizeof(text),
                 "/dts-v1/; / { compatible = \"saguaro,host\"; guests { g {\n%s\nmemory = \"64M\"; }; }; };",
                 ppc_rows[i].text);
        int error = fixture_check_for(CONFIG_ARCH_PPC, text);
        if (ppc_rows[i].error == NULL) {
            assert_int_equal(error, 0);
            continue;
        }
        assert_int_equal(error, -EINVAL);
        snprintf(expected, sizeof(expected), "t.dts:%s\n", ppc_rows[i].error);
        if (fixture.report.count != 1 || strncmp(fixture.errors, expected, strlen(expected)) != 0) {
            fail_msg("expected: %sfound %u: %s", expected, fixture.report.count, fixture.errors);
        }
    }
    assert_int_equal(fixture_check_for(CONFIG_ARCH_PPC,
                                       "/dts-v1/; / { compatible = \"saguaro,host\";\n"
                                       "host { frame-buffer = \"on\"; };\n"
                                       "guests { g { kernel = \"k\"; memory = \"2G\"; }; }; };"),
                     -EINVAL);
    assert_non_null(
        strstr(fixture.errors, "t.dts:2:8: error: \"frame-buffer\" is for x86; this config is for "));
    assert_non_null(strstr(fixture.errors,
                           "t.dts:3:37: error: \"memory\" must be a size from \"1M\" to \"1536M\"; found"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),        cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_shown),       cmocka_unit_test(test_many_errors),
        cmocka_unit_test(test_guest_count), cmocka_unit_test(test_machine),
        cmocka_unit_test(test_files),       cmocka_unit_test(test_compiled),
        cmocka_unit_test(test_bad_trees),   cmocka_unit_test(test_words),
        cmocka_unit_test(test_ppc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
