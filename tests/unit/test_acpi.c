// SPDX-License-Identifier: Apache-2.0
// The guest's ACPI tables: signatures, checksums, pointers, the fields that kernels live by; AML by itself,
// and through the ASL compiler's disassembler where it is installed (acpica-tools).
// unit-sources: arch/x86/guest/acpi.c arch/x86/guest/aml.c core/bus.c lib/state.c lib/config_iommu.c
#include <unistd.h>
#include "pc_fixture.h"
#include "arch/x86/guest/acpi.h"
#include "arch/x86/guest/aml.h"
#include "arch/x86/guest/pci.h"
#include "arch/x86/guest/pm.h"

static uint8_t ram[0x100000]; /* the guest's first MiB */

int guest_write(struct vm *which, uint64_t gpa, const void *buffer, size_t size) {
    assert_ptr_equal(which, vm());
    if (gpa > sizeof(ram) || size > sizeof(ram) - gpa)
        return -EFAULT;
    memcpy(ram + gpa, buffer, size);
    return 0;
}

static int start(void **state) {
    (void)state;
    fixture_init();
    memset(ram, 0xee, sizeof(ram));
    return 0;
}

static int stop(void **state) {
    (void)state;
    fixture_done();
    return 0;
}

static uint64_t get(uint64_t at, unsigned size) {
    uint64_t value = 0;
    memcpy(&value, ram + at, size);
    return value;
}

static uint8_t sum(uint64_t at, uint64_t size) {
    uint8_t result = 0;
    while (size--)
        result += ram[at++];
    return result;
}

/* A table by signature, through RSDT and XSDT, which must agree; its checksum is looked at. */
static uint64_t find(const char *signature) {
    uint64_t rsdt = get(PC_RSDP + 16, 4), xsdt = get(PC_RSDP + 24, 8);
    uint64_t count = (get(rsdt + 4, 4) - 36) / 4;
    assert_int_equal((get(xsdt + 4, 4) - 36) / 8, count);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t table = get(rsdt + 36 + 4 * i, 4);
        assert_int_equal(get(xsdt + 36 + 8 * i, 8), table);
        assert_in_range(table, PC_ACPI_BASE, PC_ACPI_BASE + PC_ACPI_SIZE - 36);
        assert_int_equal(sum(table, get(table + 4, 4)), 0);
        if (memcmp(ram + table, signature, 4) == 0)
            return table;
    }
    fail_msg("no %s", signature);
    return 0;
}

static void test_roots(void **state) {
    (void)state;
    assert_int_equal(pc_acpi_write(vm()), 0);
    assert_memory_equal(ram + PC_RSDP, "RSD PTR ", 8);
    assert_int_equal(sum(PC_RSDP, 20), 0);
    assert_int_equal(sum(PC_RSDP, 36), 0);
    assert_int_equal(get(PC_RSDP + 15, 1), 2);
    assert_int_equal(get(PC_RSDP + 20, 4), 36);
    uint64_t rsdt = get(PC_RSDP + 16, 4), xsdt = get(PC_RSDP + 24, 8);
    assert_memory_equal(ram + rsdt, "RSDT", 4);
    assert_memory_equal(ram + xsdt, "XSDT", 4);
    assert_int_equal(sum(rsdt, get(rsdt + 4, 4)), 0);
    assert_int_equal(sum(xsdt, get(xsdt + 4, 4)), 0);
    assert_int_equal(get(PC_ACPI_BASE - 1, 1), 0xee); /* nothing around them was touched */
    assert_int_equal(get(PC_RSDP - 1, 1), 0xee);
    assert_int_equal(get(PC_RSDP + 36, 1), 0xee);
}

static void test_with_firmware(void **state) {
    (void)state;
    fixture.vm.pc.firmware_size = 1 << 20;
    assert_int_equal(pc_acpi_write(vm()), 0);
    assert_int_equal(get(PC_RSDP, 1), 0xee);
}

static void test_fadt(void **state) {
    (void)state;
    assert_int_equal(pc_acpi_write(vm()), 0);
    uint64_t f = find("FACP");
    assert_int_equal(get(f + 4, 4), 276);
    assert_int_equal(get(f + 8, 1), 6);
    uint64_t facs = get(f + 36, 4), dsdt = get(f + 40, 4);
    assert_int_equal(facs % 64, 0);
    assert_memory_equal(ram + facs, "FACS", 4);
    assert_int_equal(get(facs + 4, 4), 64);
    assert_memory_equal(ram + dsdt, "DSDT", 4);
    assert_int_equal(sum(dsdt, get(dsdt + 4, 4)), 0);
    assert_int_equal(get(f + 140, 8), dsdt);
    assert_int_equal(get(f + 132, 8), 0); /* FACS is below 4 GiB: the other field says so */
    assert_int_equal(get(f + 46, 2), 9);  /* SCI */
    assert_int_equal(get(f + 48, 4), 0);  /* no SMI command: ACPI mode is on */
    assert_int_equal(get(f + 56, 4), PC_PMBASE);
    assert_int_equal(get(f + 64, 4), PC_PMBASE + 4);
    assert_int_equal(get(f + 76, 4), PC_PMBASE + 8);
    assert_int_equal(get(f + 88, 2), 0x0204);
    assert_int_equal(get(f + 91, 1), 4);
    assert_int_equal(get(f + 108, 1), 0x32);
    assert_int_equal(get(f + 109, 2) & 0x0002, 0); /* no 8042 */
    assert_int_equal(get(f + 112, 4) & 0x500, 0x500);
    assert_int_equal(get(f + 116, 1), 1); /* reset register: I/O 0xcf9, 8 bits, 6 */
    assert_int_equal(get(f + 117, 1), 8);
    assert_int_equal(get(f + 120, 8), 0xcf9);
    assert_int_equal(get(f + 128, 1), 6);
    /* The extended addresses say the same as the others. */
    assert_int_equal(get(f + 148 + 4, 8), get(f + 56, 4));
    assert_int_equal(get(f + 172 + 4, 8), get(f + 64, 4));
    assert_int_equal(get(f + 208 + 4, 8), get(f + 76, 4));
    assert_int_equal(get(f + 220 + 4, 8), get(f + 80, 4));
    assert_int_equal(get(f + 148 + 1, 1), 8 * get(f + 88, 1));
    assert_int_equal(get(f + 172 + 1, 1), 8 * get(f + 89, 1));
    assert_int_equal(get(f + 208 + 1, 1), 8 * get(f + 91, 1));
    assert_int_equal(get(f + 220 + 1, 1), 8 * get(f + 92, 1));
}

static void test_madt(void **state) {
    (void)state;
    for (unsigned vcpus = 1; vcpus <= VM_MAX_VCPUS; vcpus++) {
        vm()->vcpu_count = vcpus;
        assert_int_equal(pc_acpi_write(vm()), 0);
        uint64_t m = find("APIC"), end = m + get(m + 4, 4);
        assert_int_equal(get(m + 36, 4), 0xfee00000);
        assert_int_equal(get(m + 40, 4), 1);
        unsigned lapics = 0, ioapics = 0, nmis = 0, overrides = 0;
        uint64_t at = m + 44;
        while (at < end) {
            switch (get(at, 1)) {
            case 0:
                assert_int_equal(get(at + 2, 1), lapics);
                assert_int_equal(get(at + 3, 1), lapics);
                assert_int_equal(get(at + 4, 4), 1);
                lapics++;
                break;
            case 1:
                assert_int_equal(get(at + 4, 4), 0xfec00000);
                assert_int_equal(get(at + 8, 4), 0);
                ioapics++;
                break;
            case 2:
                if (get(at + 3, 1) == 0) {
                    assert_int_equal(get(at + 4, 4), 2);
                    assert_int_equal(get(at + 8, 2), 0);
                } else {
                    assert_int_equal(get(at + 3, 1), 9);
                    assert_int_equal(get(at + 4, 4), 9);
                    assert_int_equal(get(at + 8, 2), 0x0d);
                }
                overrides++;
                break;
            case 4:
                assert_int_equal(get(at + 2, 1), 0xff);
                assert_int_equal(get(at + 5, 1), 1);
                nmis++;
                break;
            default:
                fail_msg("entry of type %u", (unsigned)get(at, 1));
            }
            assert_true(get(at + 1, 1) >= 2);
            at += get(at + 1, 1);
        }
        assert_int_equal(at, end);
        assert_int_equal(lapics, vcpus);
        assert_int_equal(ioapics, 1);
        assert_int_equal(overrides, 2);
        assert_int_equal(nmis, 1);
    }
}

static void test_mcfg(void **state) {
    (void)state;
    assert_int_equal(pc_acpi_write(vm()), 0);
    uint64_t m = find("MCFG");
    assert_int_equal(get(m + 4, 4), 60);
    assert_int_equal(get(m + 44, 8), PC_ECAM_BASE);
    assert_int_equal(get(m + 52, 2), 0);
    assert_int_equal(get(m + 54, 2), 0);
}

/* The IOMMU and what is behind it, neighbours in one node: cards 1 and 3 (2 is an e1000), disk 4, the AHCI
 * controller 5, disk 6, random numbers 7; functions of the machine from 24 on. */
static void test_viot(void **state) {
    static struct config_guest config;
    static const uint16_t wanted[][2] = {
        {1 << 3, 1 << 3 | 7}, {3 << 3, 4 << 3 | 7}, {6 << 3, 7 << 3 | 7}, {24 << 3, 25 << 3 | 7}};

    (void)state;
    config = *vm()->config;
    config.iommu = CONFIG_IOMMU_VIRTIO;
    config.net_count = 3;
    config.nets[1].type = CONFIG_NET_E1000;
    config.disk_count = 4;
    config.disks[1].type = config.disks[3].type = CONFIG_DISK_AHCI;
    config.entropy = 1;
    config.passthrough_count = 2;
    vm()->config = &config;
    assert_int_equal(pc_acpi_write(vm()), 0);
    uint64_t at = find("VIOT");
    assert_int_equal(get(at + 4, 4), 48 + 16 + 4 * 24);
    assert_int_equal(get(at + 36, 2), 5); /* nodes */
    assert_int_equal(get(at + 38, 2), 48);
    assert_int_equal(get(at + 48, 1), 3); /* virtio-iommu, a PCI function */
    assert_int_equal(get(at + 50, 2), 16);
    assert_int_equal(get(at + 54, 2), CONFIG_IOMMU_SLOT << 3);
    for (unsigned i = 0; i < array_count(wanted); i++) {
        uint64_t node = at + 64 + 24 * i;
        assert_int_equal(get(node, 1), 1);
        assert_int_equal(get(node + 2, 2), 24);
        assert_int_equal(get(node + 4, 4), wanted[i][0]); /* endpoints by requester ID */
        assert_int_equal(get(node + 8, 4), 0);
        assert_int_equal(get(node + 12, 2), wanted[i][0]);
        assert_int_equal(get(node + 14, 2), wanted[i][1]);
        assert_int_equal(get(node + 16, 2), 48);
    }
    find("FACP");
    find("APIC");
    find("MCFG");
}

/* With as many nodes as there can be, and all else that there can be, tables and checksums have room. */
static void test_viot_size(void **state) {
    static struct config_guest config;

    (void)state;
    config = *vm()->config;
    config.iommu = CONFIG_IOMMU_VIRTIO;
    config.net_count = CONFIG_MAX_NETS;
    for (unsigned i = 1; i < CONFIG_MAX_NETS; i += 2)
        config.nets[i].type = CONFIG_NET_E1000;
    config.disk_count = CONFIG_MAX_GUEST_DISKS;
    for (unsigned i = 1; i < CONFIG_MAX_GUEST_DISKS; i += 2)
        config.disks[i].transport = CONFIG_TRANSPORT_MMIO;
    vm()->config = &config;
    vm()->vcpu_count = VM_MAX_VCPUS;
    fixture.places = (1u << SERVICE_MMIO_PLACES) - 1;
    assert_int_equal(pc_acpi_write(vm()), 0);
    assert_int_equal(get(find("VIOT") + 36, 2), 1 + CONFIG_MAX_NETS / 2 + CONFIG_MAX_GUEST_DISKS / 2);
}

static void test_aml_lengths(void **state) {
    (void)state;
    /* A package of n bytes, closed, for sizes on both sides of each form's limit. */
    static const uint32_t sizes[] = {0, 62, 63, 64, 4092, 4093, 4094, 5000};
    for (unsigned i = 0; i < array_count(sizes); i++) {
        static uint8_t data[8192];
        struct aml aml = {.data = data, .size = sizeof(data)};
        aml_byte(&aml, 0xaa);
        uint32_t begin = aml.used;
        for (uint32_t n = 0; n < sizes[i]; n++)
            aml_byte(&aml, (uint8_t)n);
        aml_close(&aml, begin);
        assert_false(aml.overflow);
        uint32_t length = data[1], more = data[1] >> 6;
        if (more) {
            assert_int_equal(data[1] & 0x30, 0);
            length = data[1] & 15;
            for (uint32_t k = 1; k <= more; k++)
                length |= (uint32_t)data[1 + k] << (4 + 8 * (k - 1));
        }
        assert_int_equal(length, sizes[i] + 1 + more);
        assert_int_equal(aml.used, 1 + length);
        assert_int_equal(data[0], 0xaa);
        for (uint32_t n = 0; n < sizes[i]; n++)
            assert_int_equal(data[2 + more + n], (uint8_t)n);
    }
}

static void test_aml_terms(void **state) {
    (void)state;
    uint8_t data[128];
    struct aml aml = {.data = data, .size = sizeof(data)};
    aml_eisa_id(&aml, "PNP0A08");
    assert_memory_equal(data, "\x0c\x41\xd0\x0a\x08", 5);
    aml.used = 0;
    aml_integer(&aml, 0);
    aml_integer(&aml, 1);
    aml_integer(&aml, 2);
    aml_integer(&aml, 0x1234);
    aml_integer(&aml, 0x12345678);
    assert_int_equal(aml.used, 12);
    assert_memory_equal(data, "\x00\x01\x0a\x02\x0b\x34\x12\x0c\x78\x56\x34\x12", 12);
    aml.used = 0;
    aml_name(&aml, "\\_S5");
    assert_int_equal(aml.used, 6);
    assert_memory_equal(data, "\x08\\_S5_", 6);
    aml.used = 0;
    uint32_t resources = aml_resources(&aml);
    aml_io(&aml, 0x3f8, 8);
    aml_irq(&aml, 4);
    aml_resources_close(&aml, resources);
    assert_int_equal(aml.used, 17);
    assert_memory_equal(data, "\x11\x10\x0a\x0d\x47\x01\xf8\x03\xf8\x03\x01\x08\x22\x10\x00\x79\x00", 17);
    /* A full buffer is noticed, and never written past. */
    for (uint32_t size = 0; size < 17; size++) {
        aml = (struct aml){.data = data, .size = size};
        resources = aml_resources(&aml);
        aml_io(&aml, 0x3f8, 8);
        aml_irq(&aml, 4);
        aml_resources_close(&aml, resources);
        assert_true(aml.overflow);
        assert_true(aml.used <= size);
    }
}

/* The worst case fits, with room to spare for one more of everything. */
static void test_sizes(void **state) {
    (void)state;
    vm()->vcpu_count = VM_MAX_VCPUS;
    fixture.places = (1u << SERVICE_MMIO_PLACES) - 1;
    struct acpi_tables *t = calloc(1, sizeof(*t));
    assert_int_equal(acpi_build(vm(), t), 0);
    assert_true(t->used + 1024 < ACPI_TABLES_SIZE);
    for (uint32_t i = 0; i < t->checksum_count; i++) {
        const uint8_t *data = t->checksum[i].in_rsdp ? t->rsdp : t->data;
        assert_int_equal(data[t->checksum[i].offset], 0); /* firmware fills them in */
    }
    free(t);
}

/* Runs the disassembler over the DSDT, and the compiler over what came out: both must be content. */
static void test_disassembly(void **state) {
    (void)state;
    if (access("/usr/bin/iasl", X_OK) != 0) {
        print_message("iasl is not installed: the disassembly is not checked\n");
        skip();
    }
    vm()->vcpu_count = VM_MAX_VCPUS;
    fixture.places = 1u << SERVICE_MMIO_DISK | 1u << SERVICE_MMIO_CONSOLE;
    assert_int_equal(pc_acpi_write(vm()), 0);
    uint64_t dsdt = get(find("FACP") + 40, 4);
    char directory[] = "/tmp/saguaro-acpi-XXXXXX", name[64], command[320], line[256];
    assert_non_null(mkdtemp(directory));
    snprintf(name, sizeof(name), "%s/dsdt.aml", directory);
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(ram + dsdt, get(dsdt + 4, 4), 1, file), 1);
    fclose(file);
    snprintf(command, sizeof(command),
             "cd %s && iasl -d dsdt.aml >d.log 2>&1 && iasl -we dsdt.dsl >c.log 2>&1", directory);
    int status = system(command);
    /* The source names what it should. */
    static const char *const wanted[] = {
        "_S5",        "PNP0A08",    "PNP0501",    "PNP0B00",
        "PNP0C02",    "ACPI0007",   "_PRT",       "C00F",
        "LNRO0005",   "V008",       "V011",       "ResourceConsumer, Level, ActiveHigh, Shared",
        "0x00000014", "0xFEF08000", "0xFEF11000",
    };
    bool found[array_count(wanted)] = {0};
    snprintf(name, sizeof(name), "%s/dsdt.dsl", directory);
    file = fopen(name, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        for (unsigned i = 0; i < array_count(wanted); i++)
            found[i] |= strstr(line, wanted[i]) != NULL;
    fclose(file);
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
    assert_int_equal(status, 0);
    for (unsigned i = 0; i < array_count(wanted); i++)
        assert_true(found[i]);
}

static bool holds(const struct acpi_tables *t, const char *name) {
    for (uint32_t i = 0; i + 4 <= t->used; i++)
        if (memcmp(t->data + i, name, 4) == 0)
            return true;
    return false;
}

/* Each place that the guest has is there, with its registers and its line, and no other. */
static void test_mmio_devices(void **state) {
    (void)state;
    struct acpi_tables *t = calloc(1, sizeof(*t));
    assert_int_equal(acpi_build(vm(), t), 0);
    assert_false(holds(t, "LNRO"));
    memset(t, 0, sizeof(*t));
    fixture.places = 1u << 9 | 1u << 2;
    assert_int_equal(acpi_build(vm(), t), 0);
    static const uint8_t wanted[][30] = {
        {0x86, 9, 0, 1, 0x00, 0x20, 0xf0, 0xfe, 0x00, 0x10, 0, 0, 0x89, 6, 0, 9, 1, 22, 0, 0, 0, 0x79},
        {0x86, 9, 0, 1, 0x00, 0x90, 0xf0, 0xfe, 0x00, 0x10, 0, 0, 0x89, 6, 0, 9, 1, 21, 0, 0, 0, 0x79},
    };
    unsigned found[2] = {0}, names = 0;
    for (uint32_t i = 0; i + 30 <= t->used; i++) {
        for (unsigned j = 0; j < 2; j++)
            found[j] += memcmp(t->data + i, wanted[j], 22) == 0;
        names += memcmp(t->data + i, "LNRO0005", 9) == 0;
    }
    assert_true(found[0] == 1 && found[1] == 1 && names == 2);
    assert_true(holds(t, "V002") && holds(t, "V009"));
    free(t);
}

static void test_no_console(void **state) {
    (void)state;
    struct acpi_tables *t = calloc(1, sizeof(*t));
    assert_int_equal(acpi_build(vm(), t), 0);
    assert_true(holds(t, "COM1"));
    memset(t, 0, sizeof(*t));
    fixture.config.console = CONFIG_CONSOLE_NONE;
    assert_int_equal(acpi_build(vm(), t), 0);
    assert_false(holds(t, "COM1"));
    free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_roots, start, stop),
        cmocka_unit_test_setup_teardown(test_with_firmware, start, stop),
        cmocka_unit_test_setup_teardown(test_fadt, start, stop),
        cmocka_unit_test_setup_teardown(test_madt, start, stop),
        cmocka_unit_test_setup_teardown(test_mcfg, start, stop),
        cmocka_unit_test_setup_teardown(test_viot, start, stop),
        cmocka_unit_test_setup_teardown(test_viot_size, start, stop),
        cmocka_unit_test(test_aml_lengths),
        cmocka_unit_test(test_aml_terms),
        cmocka_unit_test_setup_teardown(test_sizes, start, stop),
        cmocka_unit_test_setup_teardown(test_disassembly, start, stop),
        cmocka_unit_test_setup_teardown(test_no_console, start, stop),
        cmocka_unit_test_setup_teardown(test_mmio_devices, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
