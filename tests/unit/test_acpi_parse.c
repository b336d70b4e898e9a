// SPDX-License-Identifier: Apache-2.0
// ACPI tables as firmware makes them, and as it should not: RSDP, XSDT, RSDT, MADT, FADT, FACS, _S5.
// unit-sources: lib/acpi.c lib/acpi_madt.c lib/acpi_sleep.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/acpi.h"

#define BASE 0x7f000000ull
#define SIZE 0x10000u

static uint8_t memory_bytes[SIZE];

static int read_bytes(void *context, uint64_t physical, void *buffer, size_t size) {
    (void)context;
    if (physical < BASE || physical - BASE > SIZE || size > SIZE - (physical - BASE))
        return -EFAULT;
    memcpy(buffer, memory_bytes + (physical - BASE), size);
    return 0;
}

static const struct acpi_memory memory = {.read = read_bytes};

static uint8_t *at(uint64_t physical) {
    return memory_bytes + (physical - BASE);
}

static void put(uint64_t physical, uint64_t value, unsigned bytes) {
    memcpy(at(physical), &value, bytes);
}

static void fix(uint64_t physical, uint32_t length, uint32_t sum_at) {
    uint8_t sum = 0;
    at(physical)[sum_at] = 0;
    for (uint32_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + at(physical)[i]);
    at(physical)[sum_at] = (uint8_t)-sum;
}

/* A table whose body is at physical + 36 already. */
static void finish(uint64_t physical, const char *signature, uint32_t length, uint8_t revision) {
    memcpy(at(physical), signature, 4);
    put(physical + 4, length, 4);
    at(physical)[8] = revision;
    fix(physical, length, 9);
}

#define RSDP      (BASE + 0x100)
#define XSDT      (BASE + 0x200)
#define RSDT      (BASE + 0x300)
#define MADT      (BASE + 0x400)
#define FADT      (BASE + 0x800)
#define FACS      (BASE + 0xa00)
#define DSDT      (BASE + 0x1000)
#define SSDT      (BASE + 0x4000)
#define DSDT_SIZE 0x1200u

static void make_rsdp(uint8_t revision) {
    memcpy(at(RSDP), "RSD PTR ", 8);
    at(RSDP)[15] = revision;
    put(RSDP + 16, RSDT, 4);
    put(RSDP + 20, 36, 4);
    put(RSDP + 24, XSDT, 8);
    fix(RSDP, 20, 8);
    fix(RSDP, 36, 32);
}

static uint64_t add_entry(uint64_t physical, const uint8_t *entry, unsigned length) {
    memcpy(at(physical), entry, length);
    return physical + length;
}

static void make_madt(void) {
    static const uint8_t lapic0[] = {0, 8, 0, 0, 1, 0, 0, 0};
    static const uint8_t lapic1[] = {0, 8, 1, 2, 1, 0, 0, 0};
    static const uint8_t dead[] = {0, 8, 2, 4, 0, 0, 0, 0};
    static const uint8_t spare[] = {0, 8, 3, 6, 2, 0, 0, 0};
    static const uint8_t x2[] = {9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0};
    static const uint8_t ioapic[] = {1, 12, 5, 0, 0, 0, 0xc0, 0xfe, 24, 0, 0, 0};
    static const uint8_t irq9[] = {2, 10, 0, 9, 20, 0, 0, 0, 0x0f, 0};
    static const uint8_t irq0[] = {2, 10, 0, 0, 2, 0, 0, 0, 0, 0};
    static const uint8_t nmi[] = {4, 6, 0xff, 0x05, 0, 1};
    static const uint8_t address[] = {5, 12, 0, 0, 0, 0, 0xe0, 0xfe, 1, 0, 0, 0};
    static const uint8_t unknown[] = {0x7f, 5, 1, 2, 3};
    put(MADT + 36, 0xfee00000, 4);
    put(MADT + 40, 1, 4);
    uint64_t end = MADT + 44;
    end = add_entry(end, lapic0, sizeof(lapic0));
    end = add_entry(end, unknown, sizeof(unknown));
    end = add_entry(end, lapic1, sizeof(lapic1));
    end = add_entry(end, dead, sizeof(dead));
    end = add_entry(end, spare, sizeof(spare));
    end = add_entry(end, x2, sizeof(x2));
    end = add_entry(end, lapic1, sizeof(lapic1));
    end = add_entry(end, ioapic, sizeof(ioapic));
    end = add_entry(end, irq9, sizeof(irq9));
    end = add_entry(end, irq0, sizeof(irq0));
    end = add_entry(end, nmi, sizeof(nmi));
    end = add_entry(end, address, sizeof(address));
    finish(MADT, "APIC", (uint32_t)(end - MADT), 4);
}

static void make_fadt(uint32_t length) {
    put(FADT + 36, FACS, 4);
    put(FADT + 40, DSDT, 4);
    put(FADT + 48, 0xb2, 4);
    at(FADT)[52] = 0xf1;
    put(FADT + 64, 0x604, 4);
    put(FADT + 76, 0x608, 4);
    at(FADT)[89] = 2;
    at(FADT)[91] = 4;
    at(FADT)[108] = 0x32;
    put(FADT + 109, 0x3, 2);
    put(FADT + 112, 1u << 8 | 1u << 10, 4);
    at(FADT)[116] = 1; /* reset: port 0xcf9 */
    at(FADT)[117] = 8;
    put(FADT + 120, 0xcf9, 8);
    at(FADT)[128] = 0x0f;
    finish(FADT, "FACP", length, 3);
}

static const uint8_t s5_package[] = {0x08, '_',  'S',  '5',  '_',  0x12, 0x0a,
                                     0x04, 0x0a, 0x05, 0x0a, 0x03, 0x00, 0x00};

static void make_dsdt(uint32_t s5_at) {
    memset(at(DSDT + 36), 0x5b, DSDT_SIZE - 36);
    if (s5_at)
        memcpy(at(DSDT + s5_at), s5_package, sizeof(s5_package));
    finish(DSDT, "DSDT", DSDT_SIZE, 2);
}

static int setup(void **state) {
    (void)state;
    memset(memory_bytes, 0, sizeof(memory_bytes));
    make_madt();
    make_fadt(244);
    make_dsdt(0x800);
    memcpy(at(FACS), "FACS", 4);
    put(FACS + 4, 64, 4);
    put(FACS + 8, 0x1234, 4);
    at(FACS)[32] = 2;
    static const uint64_t tables[] = {FADT, MADT, SSDT};
    memset(at(SSDT + 36), 0, 64);
    finish(SSDT, "SSDT", 100, 2);
    for (unsigned i = 0; i < 3; i++) {
        put(XSDT + 36 + 8 * i, tables[i], 8);
        put(RSDT + 36 + 4 * i, tables[i], 4);
    }
    finish(XSDT, "XSDT", 36 + 24, 1);
    finish(RSDT, "RSDT", 36 + 12, 1);
    make_rsdp(2);
    return 0;
}

static void open_ok(struct acpi_root *root) {
    assert_int_equal(acpi_open(root, &memory, RSDP), 0);
}

static void opens_xsdt_and_rsdt(void **state) {
    struct acpi_root root;
    (void)state;
    open_ok(&root);
    assert_int_equal(root.entry_size, 8);
    assert_int_equal(root.count, 3);
    make_rsdp(0);
    open_ok(&root);
    assert_int_equal(root.entry_size, 4);
    assert_int_equal(root.count, 3);
    /* A damaged XSDT leaves the RSDT. */
    make_rsdp(2);
    at(XSDT)[20]++;
    open_ok(&root);
    assert_int_equal(root.entry_size, 4);
}

static void refuses_bad_rsdp(void **state) {
    struct acpi_root root;
    (void)state;
    assert_int_equal(acpi_open(&root, &memory, 0), -EINVAL);
    assert_int_equal(acpi_open(&root, &memory, 0x1000), -EFAULT);
    assert_int_equal(acpi_open(&root, &memory, UINT64_MAX - 4), -EFAULT);
    at(RSDP)[0] = 'X';
    assert_int_equal(acpi_open(&root, &memory, RSDP), -EINVAL);
    make_rsdp(2);
    at(RSDP)[9]++;
    assert_int_equal(acpi_open(&root, &memory, RSDP), -EINVAL);
    make_rsdp(0);
    put(RSDP + 16, 0, 4);
    fix(RSDP, 20, 8);
    assert_int_equal(acpi_open(&root, &memory, RSDP), -EINVAL);
}

static void finds_tables(void **state) {
    struct acpi_root root;
    struct acpi_table table;
    uint8_t bytes[8];
    (void)state;
    open_ok(&root);
    assert_int_equal(acpi_find(&root, "APIC", 0, &table), 0);
    assert_int_equal(table.address, MADT);
    assert_int_equal(table.revision, 4);
    assert_int_equal(acpi_find(&root, "APIC", 1, &table), -ENOENT);
    assert_int_equal(acpi_find(&root, "MCFG", 0, &table), -ENOENT);
    /* A damaged table is passed over. */
    at(MADT)[44]++;
    assert_int_equal(acpi_find(&root, "APIC", 0, &table), -ENOENT);
    at(MADT)[44]--;
    assert_int_equal(acpi_find(&root, "SSDT", 0, &table), 0);
    assert_int_equal(acpi_table_read(&root, &table, 96, bytes, 4), 0);
    assert_int_equal(acpi_table_read(&root, &table, 97, bytes, 4), -EINVAL);
    assert_int_equal(acpi_table_read(&root, &table, UINT32_MAX, bytes, 4), -EINVAL);
    put(SSDT + 4, 20, 4); /* shorter than a header */
    assert_int_equal(acpi_find(&root, "SSDT", 0, &table), -ENOENT);
    put(SSDT + 4, 0x7fffffff, 4);
    assert_int_equal(acpi_find(&root, "SSDT", 0, &table), -ENOENT);
}

static void reads_madt(void **state) {
    struct acpi_root root;
    static struct acpi_madt madt;
    (void)state;
    open_ok(&root);
    assert_int_equal(acpi_read_madt(&root, &madt), 0);
    assert_int_equal(madt.apic_address, 0x1fee00000ull);
    assert_true(madt.pic);
    assert_int_equal(madt.cpu_count, 4);
    assert_int_equal(madt.cpu[0].apic_id, 0);
    assert_int_equal(madt.cpu[1].apic_id, 2);
    assert_int_equal(madt.cpu[1].uid, 1);
    assert_true(madt.cpu[1].enabled);
    assert_int_equal(madt.cpu[2].apic_id, 6);
    assert_false(madt.cpu[2].enabled);
    assert_int_equal(madt.cpu[3].apic_id, 0x12c);
    assert_int_equal(madt.cpu[3].uid, 7);
    assert_int_equal(madt.ioapic_count, 1);
    assert_int_equal(madt.ioapic[0].address, 0xfec00000);
    assert_int_equal(madt.ioapic[0].gsi_base, 24);
    assert_int_equal(madt.override_count, 2);
    assert_int_equal(madt.override[0].irq, 9);
    assert_int_equal(madt.override[0].gsi, 20);
    assert_true(madt.override[0].active_low);
    assert_true(madt.override[0].level);
    assert_false(madt.override[1].active_low);
    assert_false(madt.override[1].level);
    assert_int_equal(madt.nmi_count, 1);
    assert_int_equal(madt.nmi[0].uid, ACPI_ALL_CPUS);
    assert_int_equal(madt.nmi[0].pin, 1);
    assert_false(madt.nmi[0].active_low);
}

static void refuses_bad_madt(void **state) {
    struct acpi_root root;
    static struct acpi_madt madt;
    static const uint8_t bad_lengths[] = {0, 1, 7, 255};
    (void)state;
    open_ok(&root);
    uint32_t length;
    memcpy(&length, at(MADT + 4), 4);
    for (unsigned i = 0; i < sizeof(bad_lengths); i++) {
        at(MADT)[45] = bad_lengths[i];
        fix(MADT, length, 9);
        assert_int_equal(acpi_read_madt(&root, &madt), -EINVAL);
    }
    finish(MADT, "APIC", 40, 4); /* no room for its own fields */
    assert_int_equal(acpi_read_madt(&root, &madt), -EINVAL);
}

static void madt_with_too_many(void **state) {
    struct acpi_root root;
    static struct acpi_madt madt;
    (void)state;
    uint64_t big = BASE + 0x8000, end = big + 44;
    for (unsigned i = 0; i < ACPI_MAX_CPUS + 50; i++) {
        uint8_t x2[16] = {9, 16, 0, 0, (uint8_t)i, (uint8_t)(i >> 8), 0, 0, 1};
        end = add_entry(end, x2, sizeof(x2));
    }
    for (unsigned i = 0; i < 40; i++) {
        uint8_t ioapic[12] = {1, 12, (uint8_t)i};
        uint8_t irq[10] = {2, 10, 0, (uint8_t)i};
        uint8_t nmi[6] = {4, 6, (uint8_t)i, 0, 0, 0};
        end = add_entry(end, ioapic, sizeof(ioapic));
        end = add_entry(end, irq, sizeof(irq));
        end = add_entry(end, nmi, sizeof(nmi));
    }
    finish(big, "APIC", (uint32_t)(end - big), 4);
    put(XSDT + 36 + 8, big, 8);
    finish(XSDT, "XSDT", 36 + 24, 1);
    open_ok(&root);
    assert_int_equal(acpi_read_madt(&root, &madt), 0);
    assert_int_equal(madt.cpu_count, ACPI_MAX_CPUS);
    assert_int_equal(madt.ioapic_count, ACPI_MAX_IOAPICS);
    assert_int_equal(madt.override_count, ACPI_MAX_OVERRIDES);
    assert_int_equal(madt.nmi_count, ACPI_MAX_NMIS);
}

static void reads_fadt(void **state) {
    struct acpi_root root;
    struct acpi_fadt fadt;
    struct acpi_facs facs;
    (void)state;
    open_ok(&root);
    assert_int_equal(acpi_read_fadt(&root, &fadt), 0);
    assert_int_equal(fadt.dsdt, DSDT);
    assert_int_equal(fadt.pm_timer, 0x608);
    assert_true(fadt.pm_timer_wide);
    assert_int_equal(fadt.pm1a_control.address, 0x604);
    assert_int_equal(fadt.pm1a_control.space, ACPI_SPACE_PORT);
    assert_int_equal(fadt.pm1a_control.width, 16);
    assert_int_equal(fadt.pm1b_control.address, 0);
    assert_int_equal(fadt.smi_command, 0xb2);
    assert_int_equal(fadt.acpi_enable, 0xf1);
    assert_true(fadt.reset_supported);
    assert_int_equal(fadt.reset.address, 0xcf9);
    assert_int_equal(fadt.reset_value, 0x0f);
    assert_int_equal(fadt.century, 0x32);
    assert_int_equal(fadt.boot_flags, 3);
    assert_int_equal(acpi_read_facs(&root, &fadt, &facs), 0);
    assert_int_equal(facs.hardware_signature, 0x1234);
    assert_int_equal(facs.version, 2);
    put(FACS + 4, 32, 4);
    assert_int_equal(acpi_read_facs(&root, &fadt, &facs), -EINVAL);
    fadt.facs = 0;
    assert_int_equal(acpi_read_facs(&root, &fadt, &facs), -ENOENT);
}

static void fadt_versions(void **state) {
    struct acpi_root root;
    struct acpi_fadt fadt;
    (void)state;
    open_ok(&root);
    make_fadt(116);
    assert_int_equal(acpi_read_fadt(&root, &fadt), 0);
    assert_false(fadt.reset_supported); /* a table of ACPI 1.0 ends before the register */
    assert_int_equal(fadt.pm1a_control.address, 0x604);
    finish(FADT, "FACP", 100, 1);
    assert_int_equal(acpi_read_fadt(&root, &fadt), -EINVAL);
    /* The extended addresses win. */
    put(FADT + 140, DSDT + 0x10, 8);
    at(FADT)[172] = 0;
    put(FADT + 176, 0x1fed00000ull, 8);
    at(FADT)[208] = 1;
    put(FADT + 212, 0x1808, 8);
    put(FADT + 112, 1u << 20, 4);
    at(FADT)[244] = 0;
    put(FADT + 248, 0xfed40000, 8);
    finish(FADT, "FACP", 268, 5);
    assert_int_equal(acpi_read_fadt(&root, &fadt), 0);
    assert_int_equal(fadt.dsdt, DSDT + 0x10);
    assert_int_equal(fadt.pm1a_control.address, 0x1fed00000ull);
    assert_int_equal(fadt.pm1a_control.space, ACPI_SPACE_MEMORY);
    assert_int_equal(fadt.pm_timer, 0x1808);
    assert_true(fadt.hardware_reduced);
    assert_int_equal(fadt.sleep_control.address, 0xfed40000);
    /* A timer in memory is not one that is used. */
    at(FADT)[208] = 0;
    finish(FADT, "FACP", 268, 5);
    assert_int_equal(acpi_read_fadt(&root, &fadt), 0);
    assert_int_equal(fadt.pm_timer, 0);
}

static void s5(uint32_t where, int expected) {
    struct acpi_root root;
    struct acpi_fadt fadt;
    uint8_t a = 99, b = 99;
    make_dsdt(where);
    open_ok(&root);
    assert_int_equal(acpi_read_fadt(&root, &fadt), 0);
    assert_int_equal(acpi_find_s5(&root, &fadt, &a, &b), expected);
    if (!expected) {
        assert_int_equal(a, 5);
        assert_int_equal(b, 3);
    }
}

static void finds_s5_everywhere(void **state) {
    (void)state;
    /* At every place, so that each border of what is read at once is crossed. */
    for (uint32_t where = 36; where <= DSDT_SIZE - sizeof(s5_package); where++)
        s5(where, 0);
    s5(DSDT_SIZE - sizeof(s5_package) + 4, -ENOENT);
    s5(0, -ENOENT);
}

static void s5_forms(void **state) {
    static const struct {
        uint8_t bytes[20];
        unsigned length;
        int result;
        uint8_t a, b;
    } forms[] = {
        {{0x08, 0x5c, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x00, 0x01, 0x00, 0x00}, 13, 0, 0, 1},
        {{0x08, '_', 'S', '5', '_', 0x12, 0x48, 0x00, 0x02, 0x0b, 0x07, 0x00, 0x0c, 2, 0, 0, 0}, 17, 0, 7, 2},
        {{0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x02, 0xff, 0x0a, 0x0d}, 11, 0, 7, 5},
        {{0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x01, 0x0a, 0x05}, 10, -ENOENT, 0, 0}, /* one element */
        {{0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x02, 0x68, 0x69}, 10, -ENOENT, 0, 0}, /* no constants */
        {{0x08, '_', 'S', '5', '_', 0x11, 0x06, 0x02, 0x00, 0x00}, 10, -ENOENT, 0, 0}, /* a buffer */
        {{0x14, '_', 'S', '5', '_', 0x12, 0x06, 0x02, 0x00, 0x00}, 10, -ENOENT, 0, 0}, /* no Name() */
    };
    (void)state;
    for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct acpi_root root;
        struct acpi_fadt fadt;
        uint8_t a = 0, b = 0;
        make_dsdt(0);
        memcpy(at(DSDT + 0x100), forms[i].bytes, forms[i].length);
        fix(DSDT, DSDT_SIZE, 9);
        open_ok(&root);
        assert_int_equal(acpi_read_fadt(&root, &fadt), 0);
        assert_int_equal(acpi_find_s5(&root, &fadt, &a, &b), forms[i].result);
        assert_int_equal(a, forms[i].a);
        assert_int_equal(b, forms[i].b);
    }
}

static void s5_in_ssdt(void **state) {
    struct acpi_root root;
    struct acpi_fadt fadt;
    uint8_t a, b;
    (void)state;
    make_dsdt(0);
    memcpy(at(SSDT + 50), s5_package, sizeof(s5_package));
    fix(SSDT, 100, 9);
    open_ok(&root);
    assert_int_equal(acpi_read_fadt(&root, &fadt), 0);
    assert_int_equal(acpi_find_s5(&root, &fadt, &a, &b), 0);
    assert_int_equal(a, 5);
    fadt.dsdt = 0x1234; /* unreadable: the SSDT still counts */
    assert_int_equal(acpi_find_s5(&root, &fadt, &a, &b), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(opens_xsdt_and_rsdt, setup), cmocka_unit_test_setup(refuses_bad_rsdp, setup),
        cmocka_unit_test_setup(finds_tables, setup),        cmocka_unit_test_setup(reads_madt, setup),
        cmocka_unit_test_setup(refuses_bad_madt, setup),    cmocka_unit_test_setup(madt_with_too_many, setup),
        cmocka_unit_test_setup(reads_fadt, setup),          cmocka_unit_test_setup(fadt_versions, setup),
        cmocka_unit_test_setup(finds_s5_everywhere, setup), cmocka_unit_test_setup(s5_forms, setup),
        cmocka_unit_test_setup(s5_in_ssdt, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
