// SPDX-License-Identifier: Apache-2.0
// The typed reader of the config: every field, defaults, files, sizes, and damaged trees.
// unit-sources: lib/config*.c lib/dts*.c
#include "tests/unit/config_fixture.h"

#define HEAD "/dts-v1/; / { compatible = \"saguaro,host\"; "

static void reads(const char *text) {
    if (fixture_check(text) != 0) {
        fail_msg("%s", fixture.errors);
    }
    memset(&fixture.config, 0xa5, sizeof(fixture.config));
    assert_int_equal(config_read(fixture.blob, sizeof(fixture.blob), CONFIG_ARCH_X86, &fixture.config), 0);
}

static void test_defaults(void **state) {
    const struct config *config = &fixture.config;
    const struct config_guest *guest = &config->guests[0];

    (void)state;
    reads(HEAD "guests { a { kernel = \"k\"; memory = \"1M\"; }; }; };");
    assert_string_equal(config->host_name, "saguaro");
    assert_int_equal(config->when_idle, CONFIG_IDLE_STAY);
    assert_int_equal(config->log_level, CONFIG_LOG_INFO);
    assert_int_equal(config->console, CONFIG_CONSOLE_COM1);
    assert_int_equal(config->frame_buffer, 1);
    assert_int_equal(config->guest_count, 1);
    assert_string_equal(guest->name, "a");
    assert_int_equal(guest->image_kind, CONFIG_IMAGE_KERNEL);
    assert_string_equal(guest->image, "k");
    assert_null(guest->initrd);
    assert_string_equal(guest->cmdline, "");
    assert_int_equal(guest->module_count, 0);
    assert_int_equal(guest->memory, 1 << 20);
    assert_int_equal(guest->vcpus, 1);
    assert_true(guest->cpus == UINT64_MAX);
    assert_int_equal(guest->priority, CONFIG_DEFAULT_PRIORITY);
    assert_int_equal(guest->budget, 0);
    assert_int_equal(guest->period, 0);
    assert_int_equal(guest->restart, CONFIG_RESTART_NEVER);
    assert_int_equal(guest->cpu_model, CONFIG_CPU_X86_64_V2);
    assert_int_equal(guest->console, CONFIG_CONSOLE_COM1);
    assert_int_equal(guest->autostart, 1);
    assert_int_equal(guest->exit_port, 1);
    assert_int_equal(guest->apic_virtualization, 1);
    assert_int_equal(guest->identity_memory, 0);
    assert_int_equal(config_devices(guest), 0);
    assert_int_equal(config->service.memory, 4 << 20);
    assert_int_equal(config_memory(config), 5 << 20);
}

static void test_everything(void **state) {
    const struct config *config = &fixture.config;
    const struct config_guest *guest = &config->guests[0];

    (void)state;
    reads(
        HEAD
        "host { name = \"Desert-1.local\"; when-idle = \"reboot\"; log-level = \"debug\"; console = \"none\";"
        "       frame-buffer = \"off\"; };"
        "guests {"
        "  web-1 { kernel = \"dir/vmlinuz\"; initrd = \"i.gz\"; cmdline = \"console=ttyS0 quiet\"; memory = "
        "\"256M\";"
        "          vcpus = <16>; cpus = <0 63 1>; priority = <99>; budget = <2000>; period = <10000>;"
        "          restart = \"always\"; cpu-model = \"host\"; console = \"none\"; autostart = \"no\";"
        "          exit-port = \"no\"; apic-virtualization = \"off\"; };"
        "  multi { multiboot = \"m.elf\"; modules = \"a\", \"b/c  x y\", \"d \"; memory = \"0x40000000\";"
        "          cmdline = \"\"; restart = \"on-crash\"; cpu-model = \"x86-64-v1\"; };"
        "  pvh { pvh = \"vmlinux\"; initrd = \"i\"; memory = \"64G\"; cpu-model = \"x86-64-v3\"; priority = "
        "<0>; };"
        "  rom { firmware = \"OVMF.fd\"; memory = \"1028K\"; };"
        "}; };");
    assert_string_equal(config->host_name, "Desert-1.local");
    assert_int_equal(config->when_idle, CONFIG_IDLE_REBOOT);
    assert_int_equal(config->log_level, CONFIG_LOG_DEBUG);
    assert_int_equal(config->console, CONFIG_CONSOLE_NONE);
    assert_int_equal(config->frame_buffer, 0);
    assert_int_equal(config->guest_count, 4);
    assert_string_equal(guest->name, "web-1");
    assert_string_equal(guest->image, "dir/vmlinuz");
    assert_ptr_equal(guest->image, guest->images[CONFIG_IMAGE_KERNEL]);
    assert_string_equal(guest->initrd, "i.gz");
    assert_string_equal(guest->cmdline, "console=ttyS0 quiet");
    assert_int_equal(guest->memory, 256 << 20);
    assert_int_equal(guest->vcpus, 16);
    assert_true(guest->cpus == (1ull << 63 | 3));
    assert_int_equal(guest->priority, 99);
    assert_int_equal(guest->budget, 2000);
    assert_int_equal(guest->period, 10000);
    assert_int_equal(guest->restart, CONFIG_RESTART_ALWAYS);
    assert_int_equal(guest->cpu_model, CONFIG_CPU_HOST);
    assert_int_equal(guest->console, CONFIG_CONSOLE_NONE);
    assert_int_equal(guest->autostart, 0);
    assert_int_equal(guest->exit_port, 0);
    assert_int_equal(guest->apic_virtualization, 0);
    guest++;
    assert_int_equal(guest->image_kind, CONFIG_IMAGE_MULTIBOOT);
    assert_int_equal(guest->module_count, 3);
    assert_string_equal(guest->modules[1], "b/c  x y");
    assert_int_equal(guest->memory, 1 << 30);
    assert_int_equal(guest->restart, CONFIG_RESTART_ON_CRASH);
    assert_int_equal(guest->cpu_model, CONFIG_CPU_X86_64_V1);
    guest++;
    assert_int_equal(guest->image_kind, CONFIG_IMAGE_PVH);
    assert_true(guest->memory == 64ull << 30);
    assert_int_equal(guest->cpu_model, CONFIG_CPU_X86_64_V3);
    assert_int_equal(guest->priority, 0);
    guest++;
    assert_int_equal(guest->image_kind, CONFIG_IMAGE_FIRMWARE);
    assert_null(guest->images[CONFIG_IMAGE_PVH]);
    assert_int_equal(guest->memory, 1028 * 1024);
}

struct seen {
    char text[1024];
    unsigned left; /* calls until the walk is ended */
};

static int note_file(void *context, const struct config_file *file) {
    struct seen *seen = context;
    size_t used = strlen(seen->text);

    snprintf(seen->text + used, sizeof(seen->text) - used, "%u %s %u %s%s%s\n", file->guest, file->property,
             file->index, file->name, file->repeated ? " again" : "",
             file->max_size == UINT64_MAX ? "" : " limited");
    return --seen->left == 0 ? -EIO : 0;
}

static void test_files(void **state) {
    struct seen seen = {.left = 100};
    char name[CONFIG_MAX_PATH + 1], long_name[CONFIG_MAX_PATH + 10];

    (void)state;
    reads(HEAD
          "guests { a { kernel = \"k\"; initrd = \"i\"; memory = \"1M\"; };"
          "b { multiboot = \"m\"; modules = \"k one\", \"m\", \"n two\", \"n three\"; memory = \"1M\"; };"
          "c { firmware = \"f\"; memory = \"1M\"; }; d { pvh = \"i\"; memory = \"1M\"; }; }; };");
    assert_int_equal(config_files(&fixture.config, note_file, &seen), 0);
    assert_string_equal(seen.text,
                        "0 kernel 0 k\n0 initrd 0 i\n1 multiboot 0 m\n1 modules 0 k again\n"
                        "1 modules 1 m again\n1 modules 2 n\n1 modules 3 n again\n2 firmware 0 f limited\n"
                        "3 pvh 0 i again\n");
    for (unsigned stop = 1; stop <= 9; stop++) { /* an error ends the walk, wherever it comes */
        seen.text[0] = '\0';
        seen.left = stop;
        assert_int_equal(config_files(&fixture.config, note_file, &seen), -EIO);
        assert_int_equal(seen.left, 0);
    }
    config_module_file("dir/file with arguments", name);
    assert_string_equal(name, "dir/file");
    config_module_file("file", name);
    assert_string_equal(name, "file");
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    config_module_file(long_name, name);
    assert_int_equal(strlen(name), CONFIG_MAX_PATH);
}

static void test_sizes(void **state) {
    static const struct {
        const char *text;
        int error;
        uint64_t bytes;
    } rows[] = {
        {"0", 0, 0},
        {"4096", 0, 4096},
        {"1k", 0, 1024},
        {"3K", 0, 3072},
        {"256M", 0, 256 << 20},
        {"2g", 0, 2ull << 30},
        {"0x10", 0, 16},
        {"0XfFM", 0, 255ull << 20},
        {"010", 0, 10},
        {"18446744073709551615", 0, UINT64_MAX},
        {"18446744073709551616", -ERANGE, 0},
        {"17179869183G", 0, 17179869183ull << 30},
        {"17179869184G", -ERANGE, 0},
        {"99999999999999999999999999G", -ERANGE, 0},
        {"0xffffffffffffffffK", -ERANGE, 0},
        {"", -EINVAL, 0},
        {"M", -EINVAL, 0},
        {"0x", -EINVAL, 0},
        {"0xM", -EINVAL, 0},
        {" 1M", -EINVAL, 0},
        {"1 M", -EINVAL, 0},
        {"1MB", -EINVAL, 0},
        {"1T", -EINVAL, 0},
        {"-1M", -EINVAL, 0},
        {"+1M", -EINVAL, 0},
        {"1.5G", -EINVAL, 0},
        {"99999999999999999999999999Q", -EINVAL, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t bytes = 0;

        assert_int_equal(config_parse_size(rows[i].text, &bytes), rows[i].error);
        assert_true(bytes == rows[i].bytes);
    }
}

static const char whole[] = HEAD "host { name = \"h\"; }; guests { a { kernel = \"k\"; memory = \"1M\"; cpus "
                                 "= <0 1>; cmdline = \"x y\"; };"
                                 "b { multiboot = \"m\"; modules = \"a\", \"b c\"; memory = \"2M\"; }; }; };";

/* Reads and checks a changed tree. Either may refuse it; they have to agree, and neither may go out of
 * bounds. */
static void agree(const void *tree, size_t size) {
    static struct config read, checked;
    struct config_source source = {.fdt = tree, .size = size, .file = "t.dtb"};
    int error;

    fixture_reset(NULL);
    error = config_read(tree, size, CONFIG_ARCH_X86, &read);
    assert_int_equal(config_check(&source, &checked, &fixture.report), error);
    assert_int_equal(fixture.report.count != 0, error != 0);
    if (error == 0) {
        assert_memory_equal(&read, &checked, sizeof(read));
        assert_in_range(read.guest_count, 1, CONFIG_MAX_GUESTS);
    }
}

static void test_damaged(void **state) {
    size_t size;
    uint8_t *tree;

    (void)state;
    reads(whole);
    size = fdt_totalsize(fixture.blob);
    tree = aligned_alloc(8, (size + 7) & ~(size_t)7);
    for (size_t i = 0; i < size; i++) { /* each byte changed in some ways */
        static const uint8_t masks[] = {0x01, 0x80, 0xff, 0x20};

        for (unsigned mask = 0; mask < sizeof(masks); mask++) {
            memcpy(tree, fixture.blob, size);
            tree[i] ^= masks[mask];
            agree(tree, size);
        }
        memcpy(tree, fixture.blob, size);
        tree[i] = 0;
        agree(tree, size);
    }
    free(tree);
    for (size_t cut = 0; cut < size; cut++) { /* cut off anywhere */
        static struct config config;

        tree = aligned_alloc(8, (cut + 8) & ~(size_t)7);
        memcpy(tree, fixture.blob, cut);
        assert_int_equal(config_read(tree, cut, CONFIG_ARCH_X86, &config), -EINVAL);
        agree(tree, cut);
        free(tree);
    }
}

static void test_no_tree(void **state) {
    static uint64_t tree[64];
    static struct config config;

    (void)state;
    assert_int_equal(config_read(NULL, 0, CONFIG_ARCH_X86, &config), -EINVAL);
    assert_int_equal(config_read(tree, sizeof(tree), CONFIG_ARCH_X86, &config), -EINVAL);
    reads(whole);
    /* Not aligned as libfdt needs it. */
    memmove((char *)fixture.blob + 4, fixture.blob, fdt_totalsize(fixture.blob));
    assert_int_equal(
        config_read((char *)fixture.blob + 4, sizeof(fixture.blob) - 4, CONFIG_ARCH_X86, &config), -EINVAL);
    /* A tree that holds more than a guest's worth of everything, but nothing of ours. */
    assert_int_equal(fixture_parse("/dts-v1/; / { };"), 0);
    assert_int_equal(config_read(fixture.blob, sizeof(fixture.blob), CONFIG_ARCH_X86, &config), -EINVAL);
}

/* What only a compiled tree can have. */
static void test_only_compiled(void **state) {
    static uint64_t tree[1024];
    static struct config config;
    struct config_source source = {.fdt = tree, .size = sizeof(tree), .file = "t.dtb"};

    (void)state;
    for (unsigned wrong = 0; wrong < 5; wrong++) {
        static const char *const errors[] = {
            NULL,
            "t.dtb: error: /guests/a: two guests are named \"a\"\n",
            "t.dtb: error: /guests/a/memory: property \"memory\" is here a second time\n",
            "t.dtb: error: /host: node \"host\" is here a second time\n",
            "t.dtb: error: /guests/a/kernel: \"kernel\" must be a file name; found 3 bytes\n",
        };

        assert_int_equal(fdt_create(tree, sizeof(tree)), 0);
        assert_int_equal(fdt_finish_reservemap(tree), 0);
        fdt_begin_node(tree, "");
        fdt_property_string(tree, "compatible", "saguaro,host");
        for (unsigned i = 0; i < (wrong == 3 ? 2 : 1); i++) {
            fdt_begin_node(tree, "host");
            fdt_end_node(tree);
        }
        fdt_begin_node(tree, "guests");
        for (unsigned i = 0; i < (wrong == 1 ? 2 : 1); i++) {
            fdt_begin_node(tree, "a");
            fdt_property(tree, "kernel", "abc", wrong == 4 ? 3 : 4);
            fdt_property_string(tree, "memory", "1M");
            if (wrong == 2) {
                fdt_property_string(tree, "memory", "2M");
            }
            fdt_end_node(tree);
        }
        fdt_end_node(tree);
        fdt_end_node(tree);
        assert_int_equal(fdt_finish(tree), 0);
        fixture_reset(NULL);
        assert_int_equal(config_read(tree, sizeof(tree), CONFIG_ARCH_X86, &config), wrong == 0 ? 0 : -EINVAL);
        assert_int_equal(config_check(&source, &config, &fixture.report), wrong == 0 ? 0 : -EINVAL);
        if (wrong != 0) {
            assert_string_equal(fixture.errors, errors[wrong]);
        }
    }
}

/* The same text for the two architectures: limits, and properties that only one has. */
static void test_architectures(void **state) {
    static const struct {
        const char *guest;
        bool x86, ppc;
    } rows[] = {
        {"kernel = \"k\"; memory = \"1536M\"; vcpus = <2>;", true, true},
        {"kernel = \"k\"; memory = \"1537M\";", true, false},
        {"kernel = \"k\"; memory = \"1M\"; vcpus = <3>;", true, false},
        {"kernel = \"k\"; memory = \"1M\"; initrd = \"i\"; cmdline = \"c\"; cpus = <0 1>; priority = <1>; "
         "budget = "
         "<1000>; period = <2000>; restart = \"always\"; console = \"none\"; autostart = \"no\";",
         true, true},
        {"multiboot = \"k\"; memory = \"1M\";", true, false},
        {"pvh = \"k\"; memory = \"1M\";", true, false},
        {"firmware = \"k\"; memory = \"1M\";", true, false},
        {"kernel = \"k\"; memory = \"1M\"; cpu-model = \"host\";", true, false},
        {"kernel = \"k\"; memory = \"1M\"; exit-port = \"yes\";", true, false},
        {"kernel = \"k\"; memory = \"1M\"; apic-virtualization = \"on\";", true, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        static struct config config;
        char text[512];

        snprintf(text, sizeof(text), HEAD "guests { a { %s }; }; };", rows[i].guest);
        assert_int_equal(fixture_check_for(CONFIG_ARCH_X86, text), rows[i].x86 ? 0 : -EINVAL);
        assert_int_equal(config_read(fixture.blob, sizeof(fixture.blob), CONFIG_ARCH_X86, &config),
                         rows[i].x86 ? 0 : -EINVAL);
        assert_int_equal(fixture_check_for(CONFIG_ARCH_PPC, text), rows[i].ppc ? 0 : -EINVAL);
        assert_int_equal(config_read(fixture.blob, sizeof(fixture.blob), CONFIG_ARCH_PPC, &config),
                         rows[i].ppc ? 0 : -EINVAL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),      cmocka_unit_test(test_everything),
        cmocka_unit_test(test_files),         cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_damaged),       cmocka_unit_test(test_no_tree),
        cmocka_unit_test(test_only_compiled), cmocka_unit_test(test_architectures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
