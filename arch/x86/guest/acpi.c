// SPDX-License-Identifier: Apache-2.0
// The ACPI tables of a guest's PC (ACPI 6.5, chapter 5.2): FACS, DSDT, FADT, MADT, MCFG, VIOT, RSDT,
// XSDT, RSDP.
#include "arch/x86/guest/acpi.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86/guest/aml.h"
#include "arch/x86/guest/pci.h"
#include "arch/x86/guest/pm.h"
#include "arch/x86/vm.h"
#include "devices/service_mmio.h"
#include "lib/config.h"

#define HEADER_SIZE     36u
#define HEADER_LENGTH   4u /* offsets in the header */
#define HEADER_CHECKSUM 9u

#define FADT_SIZE       276u
#define FACS_SIZE       64u

#define RTC_CENTURY     0x32

static void put(uint8_t *at, uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *at, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

/* The tables as a writer at their end. */
static struct aml writer(struct acpi_tables *t) {
    return (struct aml){.data = t->data, .size = ACPI_TABLES_SIZE, .used = t->used};
}

static int add_pointer(struct acpi_tables *t, uint32_t offset, uint8_t size, uint32_t target, bool in_rsdp) {
    if (t->pointer_count == ACPI_MAX_POINTERS)
        return -ENOSPC;
    put((in_rsdp ? t->rsdp : t->data) + offset, target, size);
    t->pointer[t->pointer_count++] = (struct acpi_pointer){offset, size, in_rsdp};
    return 0;
}

static int add_checksum(struct acpi_tables *t, uint32_t offset, uint32_t start, uint32_t length,
                        bool in_rsdp) {
    if (t->checksum_count == ACPI_MAX_CHECKSUMS)
        return -ENOSPC;
    t->checksum[t->checksum_count++] = (struct acpi_checksum){offset, start, length, in_rsdp};
    return 0;
}

/* Begins a table at the next multiple of 16. */
static uint32_t begin(struct aml *w, const char *signature, uint8_t revision) {
    while (w->used % 16 && !w->overflow)
        aml_byte(w, 0);
    uint32_t start = w->used;
    for (unsigned i = 0; i < 4; i++)
        aml_byte(w, (uint8_t)signature[i]);
    aml_dword(w, 0); /* length */
    aml_byte(w, revision);
    aml_byte(w, 0); /* checksum */
    for (const char *id = "SAGUARSAGUARPC"; *id; id++)
        aml_byte(w, (uint8_t)*id); /* OEM ID, OEM table ID */
    aml_dword(w, 1);
    for (const char *id = "SAGU"; *id; id++)
        aml_byte(w, (uint8_t)*id); /* creator */
    aml_dword(w, 1);
    return start;
}

static int end(struct acpi_tables *t, struct aml *w, uint32_t start) {
    if (w->overflow)
        return -ENOSPC;
    uint32_t length = w->used - start;
    put(w->data + start + HEADER_LENGTH, length, 4);
    t->used = w->used;
    return add_checksum(t, start + HEADER_CHECKSUM, start, length, false);
}

static int build_facs(struct acpi_tables *t, uint32_t *at) {
    struct aml w = writer(t);
    *at = w.used;
    for (const char *id = "FACS"; *id; id++)
        aml_byte(&w, (uint8_t)*id);
    aml_dword(&w, FACS_SIZE);
    while (w.used < *at + FACS_SIZE && !w.overflow)
        aml_byte(&w, w.used == *at + 32 ? 2 : 0); /* version */
    if (w.overflow)
        return -ENOSPC;
    t->used = w.used;
    return 0;
}

static void name_eisa(struct aml *w, const char *name, const char *id) {
    aml_name(w, name);
    aml_eisa_id(w, id);
}

static void name_integer(struct aml *w, const char *name, uint32_t value) {
    aml_name(w, name);
    aml_integer(w, value);
}

/* _PRT: for each slot and pin the GSI, which no link device can change. */
static void write_prt(struct aml *w) {
    aml_name(w, "_PRT");
    uint32_t table = aml_package(w, 128);
    for (unsigned slot = 0; slot < 32; slot++)
        for (unsigned pin = 0; pin < 4; pin++) {
            uint32_t entry = aml_package(w, 4);
            aml_integer(w, slot << 16 | 0xffff);
            aml_integer(w, pin);
            aml_integer(w, 0);
            aml_integer(w, pci_pin_gsi(slot, pin));
            aml_close(w, entry);
        }
    aml_close(w, table);
}

/* A device of the ISA bus with ports and one interrupt. */
static void write_isa_device(struct aml *w, const char *name, const char *id, uint16_t port, uint8_t ports,
                             unsigned line) {
    uint32_t device = aml_device(w, name);
    name_eisa(w, "_HID", id);
    name_integer(w, "_UID", 1);
    aml_name(w, "_CRS");
    uint32_t resources = aml_resources(w);
    aml_io(w, port, ports);
    aml_irq(w, line);
    aml_resources_close(w, resources);
    aml_close(w, device);
}

static void write_pci0(struct aml *w, const struct vm *vm) {
    uint32_t pci0 = aml_device(w, "PCI0");
    name_eisa(w, "_HID", "PNP0A08");
    name_eisa(w, "_CID", "PNP0A03");
    name_integer(w, "_UID", 0);
    name_integer(w, "_SEG", 0);
    name_integer(w, "_BBN", 0);
    aml_name(w, "_CRS");
    uint32_t resources = aml_resources(w);
    /* The only bus: an operating system looks at every device of each bus that it is told of, two exits each.
     */
    aml_word_bus(w, 0, 0);
    aml_io(w, 0xcf8, 8);
    aml_word_io(w, 0x0000, 0x0cf7);
    aml_word_io(w, 0x0d00, 0xffff);
    aml_dword_memory(w, (uint32_t)PC_PCI_HOLE_BASE, (uint32_t)(PC_PCI_HOLE_END - 1));
    aml_resources_close(w, resources);
    write_prt(w);

    uint32_t isa = aml_device(w, "ISA");
    name_integer(w, "_ADR", 31 << 16);
    if (vm->config->console != CONFIG_CONSOLE_NONE)
        write_isa_device(w, "COM1", "PNP0501", 0x3f8, 8, 4);
    write_isa_device(w, "RTC", "PNP0B00", 0x70, 2, 8);
    aml_close(w, isa);
    aml_close(w, pci0);
}

/* What no other device claims: ECAM, and the power-management ports. */
static void write_motherboard(struct aml *w) {
    uint32_t device = aml_device(w, "MBRD");
    name_eisa(w, "_HID", "PNP0C02");
    name_integer(w, "_UID", 0);
    aml_name(w, "_CRS");
    uint32_t resources = aml_resources(w);
    aml_memory32_fixed(w, (uint32_t)PC_ECAM_BASE, (uint32_t)PC_ECAM_SIZE);
    aml_io(w, PC_PMBASE, PM_PORTS);
    aml_resources_close(w, resources);
    aml_close(w, device);
}

/* Virtio devices over MMIO: Linux's name for them, which others that know them use, too. */
static void write_mmio_devices(struct aml *w, uint32_t places) {
    for (; places; places &= places - 1) {
        unsigned place = (unsigned)__builtin_ctz(places);
        char name[5];
        snprintf(name, sizeof(name), "V%03X", place & 0xfff);
        uint32_t device = aml_device(w, name);
        aml_name(w, "_HID");
        aml_string(w, "LNRO0005");
        name_integer(w, "_UID", place);
        aml_name(w, "_CRS");
        uint32_t resources = aml_resources(w);
        aml_memory32_fixed(w, (uint32_t)pc_mmio_place(place), SERVICE_MMIO_SIZE);
        aml_interrupt(w, pc_mmio_gsi(place));
        aml_resources_close(w, resources);
        aml_close(w, device);
    }
}

static int build_dsdt(struct acpi_tables *t, const struct vm *vm, uint32_t *at) {
    struct aml w = writer(t);
    *at = begin(&w, "DSDT", 2);
    aml_name(&w, "\\_S5");
    uint32_t s5 = aml_package(&w, 4);
    aml_integer(&w, PM_SLEEP_S5);
    aml_integer(&w, PM_SLEEP_S5);
    aml_integer(&w, 0);
    aml_integer(&w, 0);
    aml_close(&w, s5);

    uint32_t sb = aml_scope(&w, "\\_SB");
    write_pci0(&w, vm);
    write_motherboard(&w);
    write_mmio_devices(&w, service_mmio_places(vm));
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        char name[5];
        snprintf(name, sizeof(name), "C%03X", i & 0xfff);
        uint32_t cpu = aml_device(&w, name);
        aml_name(&w, "_HID");
        aml_string(&w, "ACPI0007");
        name_integer(&w, "_UID", i);
        aml_close(&w, cpu);
    }
    aml_close(&w, sb);
    return end(t, &w, *at);
}

/* Generic address structure (5.2.3.2) of an I/O port; access size: 1 byte, 2 word, 3 dword. */
static void put_port(uint8_t *at, uint16_t port, unsigned bytes, uint8_t access) {
    at[0] = 1; /* system I/O */
    at[1] = (uint8_t)(8 * bytes);
    at[3] = access;
    put(at + 4, port, 8);
}

static int build_fadt(struct acpi_tables *t, uint32_t facs, uint32_t dsdt, uint32_t *at) {
    struct aml w = writer(t);
    *at = begin(&w, "FACP", 6);
    while (w.used < *at + FADT_SIZE && !w.overflow)
        aml_byte(&w, 0);
    int error = end(t, &w, *at);
    if (error)
        return error;
    uint8_t *f = t->data + *at;
    f[45] = 4; /* enterprise server: no battery, no lid */
    put(f + 46, PM_SCI, 2);
    put(f + 56, PC_PMBASE + PM_EVENT, 4);
    put(f + 64, PC_PMBASE + PM_CONTROL, 4);
    put(f + 76, PC_PMBASE + PM_TIMER, 4);
    put(f + 80, PC_PMBASE + PM_GPE0, 4);
    f[88] = 4;
    f[89] = 2;
    f[91] = 4;
    f[92] = PM_GPE0_LENGTH;
    put(f + 96, 0xffff, 2); /* no C2 */
    put(f + 98, 0xffff, 2); /* no C3 */
    f[108] = RTC_CENTURY;
    /* Boot architecture: legacy devices, no VGA, no ASPM. No 8042: nothing is attached to the one there is.
     */
    put(f + 109, 0x0001 | 0x0004 | 0x0010, 2);
    /* WBINVD works, C1 on all processors, no sleep button (a power button there is), no RTC wake, 32-bit PM
     * timer, reset register. */
    put(f + 112, 0x1 | 0x4 | 0x20 | 0x40 | 0x100 | 0x400, 4);
    put_port(f + 116, PM_RESET_PORT, 1, 1);
    f[128] = PM_RESET_VALUE;
    f[131] = 5; /* minor revision */
    put_port(f + 148, PC_PMBASE + PM_EVENT, 4, 2);
    put_port(f + 172, PC_PMBASE + PM_CONTROL, 2, 2);
    put_port(f + 208, PC_PMBASE + PM_TIMER, 4, 3);
    put_port(f + 220, PC_PMBASE + PM_GPE0, PM_GPE0_LENGTH, 1);
    memcpy(f + 268, "Saguaro", 7); /* hypervisor vendor */
    error = add_pointer(t, *at + 36, 4, facs, false);
    if (!error)
        error = add_pointer(t, *at + 40, 4, dsdt, false);
    if (!error)
        error = add_pointer(t, *at + 140, 8, dsdt, false);
    return error;
}

/* MADT (5.2.12): vCPU n has APIC ID n, which stays below 255, so no x2APIC entries are needed. */
static int build_madt(struct acpi_tables *t, const struct vm *vm, uint32_t *at) {
    struct aml w = writer(t);
    *at = begin(&w, "APIC", 5);
    aml_dword(&w, (uint32_t)PC_LAPIC_BASE);
    aml_dword(&w, 1); /* there is an 8259 pair too */
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        aml_word(&w, 0x0800); /* type 0, 8 bytes: local APIC */
        aml_byte(&w, (uint8_t)i);
        aml_byte(&w, (uint8_t)i);
        aml_dword(&w, 1); /* enabled */
    }
    aml_word(&w, 0x0c01); /* type 1, 12 bytes: I/O APIC 0, GSI from 0 */
    aml_word(&w, 0);
    aml_dword(&w, (uint32_t)PC_IOAPIC_BASE);
    aml_dword(&w, 0);
    aml_word(&w, 0x0a02); /* type 2, 10 bytes: ISA line 0 is GSI 2, as the bus has it */
    aml_word(&w, 0x0000);
    aml_dword(&w, 2);
    aml_word(&w, 0);
    aml_word(&w, 0x0a02); /* ISA line 9, the SCI: level-triggered, active high */
    aml_word(&w, PM_SCI << 8);
    aml_dword(&w, PM_SCI);
    aml_word(&w, 0x000d);
    aml_word(&w, 0x0604); /* type 4, 6 bytes: NMI at LINT1 of all processors */
    aml_byte(&w, 0xff);
    aml_word(&w, 0);
    aml_byte(&w, 1);
    return end(t, &w, *at);
}

static int build_mcfg(struct acpi_tables *t, uint32_t *at) {
    struct aml w = writer(t);
    *at = begin(&w, "MCFG", 1);
    aml_dword(&w, 0);
    aml_dword(&w, 0);
    aml_dword(&w, (uint32_t)PC_ECAM_BASE);
    aml_dword(&w, 0);
    aml_word(&w, 0); /* segment */
    aml_word(&w, 0); /* bus 0 alone */
    aml_dword(&w, 0);
    return end(t, &w, *at);
}

#define VIOT_NODES 48u /* where they begin in the table */

/* VIOT (5.2.33): the guest's IOMMU, a PCI function, and which functions are behind it: those of neighbouring
 * slots in one node. An endpoint's number is its requester ID. */
static int build_viot(struct acpi_tables *t, uint32_t slots, uint32_t *at) {
    struct aml w = writer(t);
    uint16_t nodes = 1;
    *at = begin(&w, "VIOT", 0);
    aml_word(&w, 0); /* number of nodes, below */
    aml_word(&w, VIOT_NODES);
    aml_dword(&w, 0);
    aml_dword(&w, 0);
    aml_word(&w, 3); /* a virtio-iommu that is a PCI function */
    aml_word(&w, 16);
    aml_word(&w, 0); /* segment */
    aml_word(&w, CONFIG_IOMMU_SLOT << 3);
    aml_dword(&w, 0);
    aml_dword(&w, 0);
    for (unsigned slot = 0, first; slot < 32; slot++) {
        if (!(slots & 1u << slot))
            continue;
        for (first = slot; slot < 31 && slots & 2u << slot; slot++)
            continue;
        aml_word(&w, 1); /* a range of PCI functions */
        aml_word(&w, 24);
        aml_dword(&w, first << 3); /* the first one's number */
        aml_word(&w, 0);           /* segments, from and to */
        aml_word(&w, 0);
        aml_word(&w, (uint16_t)(first << 3));
        aml_word(&w, (uint16_t)(slot << 3 | 7));
        aml_word(&w, VIOT_NODES); /* they are behind the IOMMU's node */
        aml_word(&w, 0);
        aml_dword(&w, 0);
        nodes++;
    }
    int error = end(t, &w, *at);
    if (!error)
        put(t->data + *at + HEADER_SIZE, nodes, 2);
    return error;
}

/* RSDT or XSDT. */
static int build_root(struct acpi_tables *t, const char *signature, uint8_t size, const uint32_t *target,
                      unsigned count, uint32_t *at) {
    struct aml w = writer(t);
    *at = begin(&w, signature, 1);
    for (unsigned i = 0; i < count * size; i++)
        aml_byte(&w, 0);
    int error = end(t, &w, *at);
    for (unsigned i = 0; i < count && !error; i++)
        error = add_pointer(t, *at + HEADER_SIZE + i * size, size, target[i], false);
    return error;
}

static int build_rsdp(struct acpi_tables *t, uint32_t rsdt, uint32_t xsdt) {
    memcpy(t->rsdp, "RSD PTR ", 8);
    memcpy(t->rsdp + 9, "SAGUAR", 6);
    t->rsdp[15] = 2;
    put(t->rsdp + 20, ACPI_RSDP_SIZE, 4);
    int error = add_pointer(t, 16, 4, rsdt, true);
    if (!error)
        error = add_pointer(t, 24, 8, xsdt, true);
    if (!error)
        error = add_checksum(t, 8, 0, 20, true);
    if (!error)
        error = add_checksum(t, 32, 0, ACPI_RSDP_SIZE, true);
    return error;
}

int acpi_build(const struct vm *vm, struct acpi_tables *t) {
    uint32_t facs, dsdt, listed[4], rsdt, xsdt;
    unsigned count = 3;
    int error = build_facs(t, &facs);
    if (!error)
        error = build_dsdt(t, vm, &dsdt);
    if (!error)
        error = build_fadt(t, facs, dsdt, &listed[0]);
    if (!error)
        error = build_madt(t, vm, &listed[1]);
    if (!error)
        error = build_mcfg(t, &listed[2]);
    if (!error && vm->config->iommu != CONFIG_IOMMU_NONE)
        error = build_viot(t, config_iommu_slots(vm->config), &listed[count++]);
    if (!error)
        error = build_root(t, "RSDT", 4, listed, count, &rsdt);
    if (!error)
        error = build_root(t, "XSDT", 8, listed, count, &xsdt);
    if (!error)
        error = build_rsdp(t, rsdt, xsdt);
    return error;
}

void acpi_relocate(struct acpi_tables *t, uint32_t base) {
    for (uint32_t i = 0; i < t->pointer_count; i++) {
        const struct acpi_pointer *p = &t->pointer[i];
        uint8_t *at = (p->in_rsdp ? t->rsdp : t->data) + p->offset;
        put(at, get(at, p->size) + base, p->size);
    }
    for (uint32_t i = 0; i < t->checksum_count; i++) {
        const struct acpi_checksum *c = &t->checksum[i];
        uint8_t *data = c->in_rsdp ? t->rsdp : t->data;
        uint8_t sum = 0;
        data[c->offset] = 0;
        for (uint32_t j = 0; j < c->length; j++)
            sum += data[c->start + j];
        data[c->offset] = (uint8_t)-sum;
    }
}

int pc_acpi_write(struct vm *vm) {
    if (x86_vm(vm)->pc.firmware_size)
        return 0;
    static_assert(ACPI_TABLES_SIZE <= PC_ACPI_SIZE && PC_ACPI_BASE % ACPI_TABLES_ALIGN == 0,
                  "the tables have their place below the RSDP");
    struct acpi_tables *t = heap_allocate(sizeof(*t), NULL);
    if (!t)
        return -ENOMEM;
    int error = acpi_build(vm, t);
    if (!error) {
        acpi_relocate(t, (uint32_t)PC_ACPI_BASE);
        error = guest_write(vm, PC_ACPI_BASE, t->data, t->used);
    }
    if (!error)
        error = guest_write(vm, PC_RSDP, t->rsdp, sizeof(t->rsdp));
    heap_free(t, sizeof(*t), NULL);
    return error;
}
