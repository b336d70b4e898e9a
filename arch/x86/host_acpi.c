// SPDX-License-Identifier: Apache-2.0
// The host's ACPI tables, read through this CPU's windows.
#include "arch/x86/host_acpi.h"

#include <errno.h>
#include <string.h>
#include "arch/x86/platform.h"
#include "core/arch.h"
#include "core/log.h"

#define BIOS_START 0xe0000ull
#define BIOS_END   0x100000ull

static struct acpi_root root;
static struct acpi_madt madt;
static struct acpi_fadt fadt;
static bool have_root, have_madt, have_fadt;

const struct acpi_root *host_acpi_root(void) {
    return have_root ? &root : NULL;
}
const struct acpi_madt *host_acpi_madt(void) {
    return have_madt ? &madt : NULL;
}
const struct acpi_fadt *host_acpi_fadt(void) {
    return have_fadt ? &fadt : NULL;
}

/* Tables lie in what the firmware calls RAM of some kind, or in the BIOS area; reading elsewhere could upset
 * a device. */
static bool readable(uint64_t physical, uint64_t size) {
    switch (platform_memory_type(physical, size)) {
    case HANDOVER_MEMORY_RESERVED:
    case HANDOVER_MEMORY_ACPI:
    case HANDOVER_MEMORY_ACPI_NVS:
    case HANDOVER_MEMORY_RUNTIME:
        return true;
    default:
        return physical >= BIOS_START && physical < BIOS_END && size <= BIOS_END - physical;
    }
}

static int read_physical(void *context, uint64_t physical, void *buffer, size_t size) {
    uint8_t *out = buffer;
    (void)context;

    while (size) {
        size_t part = PAGE_SIZE - physical % PAGE_SIZE;
        if (part > size)
            part = size;
        if (!readable(physical, part))
            return -EFAULT;
        memcpy(out, arch_window_map(physical), part);
        physical += part;
        out += part;
        size -= part;
    }
    return 0;
}

static void say(int error, const char *table) {
    if (error == -ENOENT)
        log_warning("no %s in the ACPI tables", table);
    else if (error)
        log_warning("the %s among the ACPI tables is damaged (%d)", table, error);
}

void host_acpi_init(void) {
    static const struct acpi_memory memory = {.read = read_physical};
    uint64_t rsdp = platform_info()->handover.acpi_rsdp;

    if (!rsdp) {
        log_warning("the firmware has no ACPI tables");
        return;
    }
    int error = acpi_open(&root, &memory, rsdp);
    if (error) {
        log_warning("ACPI tables at 0x%lx are damaged (%d)", (unsigned long)rsdp, error);
        return;
    }
    have_root = true;
    error = acpi_read_madt(&root, &madt);
    have_madt = !error;
    say(error, "MADT");
    error = acpi_read_fadt(&root, &fadt);
    have_fadt = !error;
    say(error, "FADT");
    log_debug("ACPI: %u tables, %u CPUs, %u I/O APICs", root.count, madt.cpu_count, madt.ioapic_count);
}
