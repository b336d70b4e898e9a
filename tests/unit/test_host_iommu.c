// SPDX-License-Identifier: Apache-2.0
// Which mode the CPUs' APICs are to be in so that interrupts are remapped, what the log says where they are
// not, and what memory is the firmware's.
// unit-sources: arch/x86/host_iommu.c lib/pci.c
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "arch/x86/host_acpi.h"
#include "arch/x86/host_apic.h"
#include "arch/x86/host_iommu.h"
#include "arch/x86/platform.h"
#include "arch/x86/registers.h"
#include "core/arch.h"
#include "core/log.h"
#include "drivers/iommu/amdvi_start.h"
#include "drivers/iommu/vtd_start.h"
#include "lib/acpi_dmar.h"
#include "lib/acpi_ivrs.h"

/* ---- the machine */

static bool dmar_there, ivrs_there, units_can, x2;
static int remapped; /* what the driver was told; -1: nothing */
static uint32_t own_id;
static struct acpi_madt madt;
static struct handover_cpu cpus[3];
static struct handover_memory memory[4];
static struct platform_info info = {.cpus = cpus, .memory = memory};
static char text[512];

void log_line(enum log_level level, const char *format, ...) {
    va_list arguments;
    (void)level;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
}

const struct acpi_root *host_acpi_root(void) {
    static struct acpi_root root;
    return &root;
}
const struct acpi_madt *host_acpi_madt(void) {
    return &madt;
}
const struct platform_info *platform_info(void) {
    return &info;
}
bool platform_option(const char *name, char *value, size_t size) {
    (void)name, (void)value, (void)size;
    return false;
}
bool host_apic_x2(void) {
    return x2;
}
uint32_t host_apic_id(void) {
    return own_id;
}
struct cpuid_registers test_cpuid(uint32_t leaf, uint32_t subleaf) {
    (void)leaf, (void)subleaf;
    return (struct cpuid_registers){0};
}
uint32_t arch_host_pci_read(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned offset, unsigned size) {
    (void)segment, (void)bus, (void)devfn, (void)offset, (void)size;
    return UINT32_MAX;
}

int acpi_read_dmar(const struct acpi_root *root, const struct acpi_dmar_bridges *bridges,
                   struct acpi_dmar *dmar) {
    (void)root, (void)bridges, (void)dmar;
    return dmar_there ? 0 : -ENOENT;
}
const char *acpi_dmar_fault_text(enum acpi_dmar_fault fault) {
    (void)fault;
    return "";
}
int acpi_read_ivrs(const struct acpi_root *root, struct acpi_ivrs *ivrs) {
    (void)root, (void)ivrs;
    return ivrs_there ? 0 : -ENOENT;
}
const char *acpi_ivrs_fault_text(enum acpi_ivrs_fault fault) {
    (void)fault;
    return "";
}
void vtd_start(const struct acpi_dmar *dmar) {
    (void)dmar;
}
bool vtd_can_remap(void) {
    assert_true(dmar_there);
    return units_can;
}
void vtd_start_interrupts(bool remap) {
    remapped = remap;
}
void amdvi_start(const struct acpi_ivrs *ivrs) {
    (void)ivrs;
}
bool amdvi_can_remap(void) {
    assert_true(ivrs_there);
    return units_can;
}
void amdvi_start_interrupts(bool remap) {
    remapped = remap;
}

static void start(bool intel, bool amd, bool can) {
    dmar_there = intel;
    ivrs_there = amd;
    units_can = can;
    x2 = false;
    remapped = -1;
    text[0] = 0;
    host_iommu_init();
}

static int set_up(void **state) {
    (void)state;
    own_id = 0;
    info.cpu_count = 3;
    for (unsigned i = 0; i < 3; i++)
        cpus[i] = (struct handover_cpu){.id = 2 * i, .flags = HANDOVER_CPU_ENABLED};
    madt = (struct acpi_madt){0};
    return 0;
}

/* ---- tests */

/* CPUs that have x2APIC mode stay out of it for units that remap interrupts. */
static void test_mode(void **state) {
    (void)state;
    start(false, false, true);
    assert_false(host_iommu_wants_xapic());
    start(true, false, false);
    assert_false(host_iommu_wants_xapic());
    for (unsigned amd = 0; amd < 2; amd++) {
        start(!amd, amd, true);
        assert_true(host_iommu_wants_xapic());
        host_iommu_start();
        assert_int_equal(remapped, 1);
        assert_string_equal(text, "");
    }
}

/* But for those whose IDs it has no room for. */
static void test_ids(void **state) {
    (void)state;
    start(true, false, true);
    cpus[2].id = 254;
    assert_true(host_iommu_wants_xapic());
    cpus[2].id = 255;
    assert_false(host_iommu_wants_xapic());
    cpus[2].flags = 0; /* it is off */
    assert_true(host_iommu_wants_xapic());
    own_id = 256;
    assert_false(host_iommu_wants_xapic());
    own_id = 0;
    info.cpu_count = 0; /* the table's word then */
    madt.cpu_count = 2;
    madt.cpu[1] = (struct acpi_cpu){.apic_id = 300};
    assert_true(host_iommu_wants_xapic());
    madt.cpu[1].enabled = true;
    assert_false(host_iommu_wants_xapic());
}

/* The firmware's choice stands, and people are told what it costs. */
static void test_left_on(void **state) {
    (void)state;
    start(true, false, true);
    x2 = true;
    host_iommu_start();
    assert_int_equal(remapped, 0);
    assert_non_null(strstr(text, "x2APIC mode: switch that off in the machine's firmware"));
    cpus[1].id = 0x100;
    host_iommu_start();
    assert_non_null(strstr(text, "their APIC IDs need it"));
    start(false, false, true);
    x2 = true;
    host_iommu_start();
    assert_string_equal(text, "");
    assert_int_equal(remapped, -1);
}

static void test_firmware_memory(void **state) {
    (void)state;
    info.memory_count = 2;
    memory[0] = (struct handover_memory){.base = 0x1000, .size = 0x1000, .type = HANDOVER_MEMORY_USABLE};
    memory[1] = (struct handover_memory){.base = 0x2000, .size = 0x1000, .type = HANDOVER_MEMORY_RESERVED};
    assert_true(arch_firmware_memory(0x2000, 0x2000));
    assert_false(arch_firmware_memory(0x1fff, 2));
    assert_false(arch_firmware_memory(0x2000, 0));
    assert_false(arch_firmware_memory(0x2000, UINT64_MAX - 0x1000));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_mode, set_up),
        cmocka_unit_test_setup(test_ids, set_up),
        cmocka_unit_test_setup(test_left_on, set_up),
        cmocka_unit_test_setup(test_firmware_memory, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
