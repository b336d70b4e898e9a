// SPDX-License-Identifier: Apache-2.0
// The machine's IOMMU, and what its driver asks of the architecture: the firmware's memory, cache lines.
#include "arch/x86/host_iommu.h"

#include <errno.h>
#include <string.h>
#include "arch/x86/host_acpi.h"
#include "arch/x86/host_apic.h"
#include "arch/x86/platform.h"
#include "arch/x86/registers.h"
#include "core/arch.h"
#include "core/log.h"
#include "drivers/iommu/amdvi_start.h"
#include "drivers/iommu/vtd_start.h"
#include "lib/acpi_dmar.h"
#include "lib/acpi_ivrs.h"

#define HEADER  64u  /* bytes of configuration space that say what a bridge leads to */
#define LAST_ID 254u /* of a CPU in xAPIC mode */

static struct acpi_dmar dmar;
static bool have_dmar;
static struct acpi_ivrs ivrs;
static bool have_ivrs;

static int read_bridge(void *context, uint16_t segment, uint8_t bus, uint8_t devfn,
                       struct pci_bridge *bridge) {
    uint8_t space[PCI_SPACE] = {0};
    (void)context;

    for (unsigned i = 0; i < HEADER; i += 4) {
        uint32_t value = arch_host_pci_read(segment, bus, devfn, i, 4);
        memcpy(space + i, &value, 4);
    }
    return pci_bridge_read(space, bus, bridge) ? 0 : -ENODEV;
}

static void init_vtd(void) {
    static const struct acpi_dmar_bridges bridges = {.read = read_bridge};
    int error = acpi_read_dmar(host_acpi_root(), &bridges, &dmar);
    if (error && error != -ENOENT)
        log_error("the DMAR among the ACPI tables cannot be used: at offset %u: %s", dmar.fault_offset,
                  acpi_dmar_fault_text(dmar.fault));
    have_dmar = !error;
    if (have_dmar)
        vtd_start(&dmar);
}

static void init_amdvi(void) {
    int error = acpi_read_ivrs(host_acpi_root(), &ivrs);

    if (error && error != -ENOENT)
        log_error("the IVRS among the ACPI tables cannot be used: at offset %u: %s", ivrs.fault_offset,
                  acpi_ivrs_fault_text(ivrs.fault));
    have_ivrs = !error;
    if (have_ivrs)
        amdvi_start(&ivrs);
}

void host_iommu_init(void) {
    char how[8] = "";

    platform_option("iommu", how, sizeof(how));
    if (!host_acpi_root() || strcmp(how, "off") == 0)
        return;
    init_vtd();
    if (!have_dmar)
        init_amdvi();
}

static bool can_remap(void) {
    return (have_dmar && vtd_can_remap()) || (have_ivrs && amdvi_can_remap());
}

/* Of CPUs that are on: those that are off may come with the table alone, and stay off. */
static bool ids_fit(void) {
    const struct platform_info *info = platform_info();
    const struct acpi_madt *madt = host_acpi_madt();

    if (host_apic_id() > LAST_ID)
        return false;
    for (unsigned i = 0; i < info->cpu_count; i++)
        if ((info->cpus[i].flags & HANDOVER_CPU_ENABLED) && info->cpus[i].id > LAST_ID)
            return false;
    for (unsigned i = 0; !info->cpu_count && madt && i < madt->cpu_count; i++)
        if (madt->cpu[i].enabled && madt->cpu[i].apic_id > LAST_ID)
            return false;
    return true;
}

bool host_iommu_wants_xapic(void) {
    return can_remap() && ids_fit();
}

void host_iommu_start(void) {
    if (host_apic_x2() && can_remap())
        log_warning("IOMMU: interrupts are not remapped, since the CPUs are in x2APIC mode: %s",
                    ids_fit() ? "switch that off in the machine's firmware" : "their APIC IDs need it");
    if (have_dmar)
        vtd_start_interrupts(!host_apic_x2());
    if (have_ivrs)
        amdvi_start_interrupts(!host_apic_x2());
}

bool arch_firmware_memory(uint64_t physical, uint64_t size) {
    const struct platform_info *info = platform_info();
    uint64_t end = physical + size;

    if (!size || end < physical)
        return false;
    for (unsigned i = 0; i < info->memory_count; i++) {
        const struct handover_memory *range = &info->memory[i];
        if (range->base >= end || physical >= range->base + range->size)
            continue;
        switch (range->type) {
        case HANDOVER_MEMORY_RESERVED:
        case HANDOVER_MEMORY_ACPI:
        case HANDOVER_MEMORY_ACPI_NVS:
        case HANDOVER_MEMORY_MMIO:
            break;
        default:
            return false;
        }
    }
    return true;
}

void arch_cache_flush(const void *at, size_t size) {
    /* CPUID.1:EBX[15:8], in units of 8 bytes (SDM vol. 2, CPUID). */
    static uintptr_t line;

    if (!line)
        line = (cpuid_read(1, 0).ebx >> 8 & 0xff) * 8;
    uintptr_t end = (uintptr_t)at + size, step = line ? line : 16;
    for (uintptr_t from = (uintptr_t)at & ~(step - 1); from < end; from += step)
        __asm__ volatile("clflush %0" : "+m"(*(volatile char *)from));
    __asm__ volatile("mfence" ::: "memory");
}
