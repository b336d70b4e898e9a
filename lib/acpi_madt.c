// SPDX-License-Identifier: Apache-2.0
// The MADT: CPUs, I/O APICs, how ISA interrupts are wired, NMI pins (ACPI specification 6.4, 5.2.12).
#include "lib/acpi.h"

#include <errno.h>
#include <string.h>
#include "lib/acpi_internal.h"

#define FIRST_ENTRY    44u
#define MAX_ENTRY      16u /* bytes that are looked at of one */
#define FLAG_PIC       1u
#define CPU_ENABLED    1u
#define CPU_CAN_ENABLE 2u

enum {
    ENTRY_LAPIC = 0,
    ENTRY_IOAPIC = 1,
    ENTRY_OVERRIDE = 2,
    ENTRY_NMI = 4,
    ENTRY_APIC_ADDRESS = 5,
    ENTRY_X2APIC = 9,
    ENTRY_X2APIC_NMI = 10,
};

/* Bytes that an entry has at least; 0: not read here. */
static const uint8_t entry_size[11] = {
    [ENTRY_LAPIC] = 8,         [ENTRY_IOAPIC] = 12, [ENTRY_OVERRIDE] = 10,   [ENTRY_NMI] = 6,
    [ENTRY_APIC_ADDRESS] = 12, [ENTRY_X2APIC] = 16, [ENTRY_X2APIC_NMI] = 12,
};

/* The two-bit fields of MPS INTI flags; 0 means as the bus does, which is high and edge for ISA and for NMI.
 */
static bool is_low(uint16_t flags) {
    return (flags & 3) == 3;
}
static bool is_level(uint16_t flags) {
    return (flags >> 2 & 3) == 3;
}

static void add_cpu(struct acpi_madt *madt, uint32_t apic_id, uint32_t uid, uint32_t flags) {
    if (!(flags & (CPU_ENABLED | CPU_CAN_ENABLE)) || madt->cpu_count == ACPI_MAX_CPUS)
        return;
    /* A CPU may be listed in both forms. */
    for (unsigned i = 0; i < madt->cpu_count; i++)
        if (madt->cpu[i].apic_id == apic_id)
            return;
    madt->cpu[madt->cpu_count++] = (struct acpi_cpu){apic_id, uid, flags & CPU_ENABLED};
}

static void add_nmi(struct acpi_madt *madt, uint32_t uid, uint8_t pin, uint16_t flags) {
    if (pin > 1 || madt->nmi_count == ACPI_MAX_NMIS)
        return;
    madt->nmi[madt->nmi_count++] = (struct acpi_nmi){uid, pin, is_low(flags), is_level(flags)};
}

static void add_entry(struct acpi_madt *madt, const uint8_t *e) {
    switch (e[0]) {
    case ENTRY_LAPIC:
        if (e[3] != 0xff)
            add_cpu(madt, e[3], e[2], acpi_get32(e + 4));
        break;
    case ENTRY_X2APIC:
        if (acpi_get32(e + 4) != UINT32_MAX)
            add_cpu(madt, acpi_get32(e + 4), acpi_get32(e + 12), acpi_get32(e + 8));
        break;
    case ENTRY_IOAPIC:
        if (madt->ioapic_count < ACPI_MAX_IOAPICS)
            madt->ioapic[madt->ioapic_count++] =
                (struct acpi_ioapic){.address = acpi_get32(e + 4), .gsi_base = acpi_get32(e + 8), .id = e[2]};
        break;
    case ENTRY_OVERRIDE: {
        uint16_t flags = acpi_get16(e + 8);
        if (e[2] == 0 && madt->override_count < ACPI_MAX_OVERRIDES)
            madt->override[madt->override_count++] = (struct acpi_override){
                .gsi = acpi_get32(e + 4), .irq = e[3], .active_low = is_low(flags), .level = is_level(flags)};
        break;
    }
    case ENTRY_NMI:
        add_nmi(madt, e[2] == 0xff ? ACPI_ALL_CPUS : e[2], e[5], acpi_get16(e + 3));
        break;
    case ENTRY_X2APIC_NMI:
        add_nmi(madt, acpi_get32(e + 4), e[8], acpi_get16(e + 2));
        break;
    case ENTRY_APIC_ADDRESS:
        madt->apic_address = acpi_get64(e + 4);
        break;
    default:
        break;
    }
}

int acpi_read_madt(const struct acpi_root *root, struct acpi_madt *madt) {
    struct acpi_table table;
    uint8_t head[8];

    memset(madt, 0, sizeof(*madt));
    int error = acpi_find(root, "APIC", 0, &table);
    if (error)
        return error;
    error = acpi_table_read(root, &table, ACPI_HEADER_SIZE, head, sizeof(head));
    if (error)
        return error;
    madt->apic_address = acpi_get32(head);
    madt->pic = acpi_get32(head + 4) & FLAG_PIC;

    for (uint32_t at = FIRST_ENTRY; at + 2 <= table.length;) {
        uint8_t entry[MAX_ENTRY] = {0};
        error = acpi_table_read(root, &table, at, entry, 2);
        if (error)
            return error;
        uint8_t type = entry[0], length = entry[1];
        if (length < 2 || length > table.length - at)
            return -EINVAL;
        uint8_t wanted = type < sizeof(entry_size) ? entry_size[type] : 0;
        if (wanted) {
            if (length < wanted)
                return -EINVAL;
            error = acpi_table_read(root, &table, at, entry, wanted);
            if (error)
                return error;
            add_entry(madt, entry);
        }
        at += length;
    }
    return 0;
}
