// SPDX-License-Identifier: Apache-2.0
// The host's ACPI tables: finding them, and what this project reads of MADT, FADT, FACS and the sleep object
// _S5 (ACPI specification 6.4, ch. 5). Tables come from the firmware: every length is checked, nothing is
// trusted.
#ifndef SAGUARO_LIB_ACPI_H
#define SAGUARO_LIB_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How tables are read: copies `size` bytes of physical memory. 0, or negative: not readable there. */
struct acpi_memory {
    int (*read)(void *context, uint64_t physical, void *buffer, size_t size);
    void *context;
};

struct acpi_root {
    struct acpi_memory memory;
    uint64_t entries;    /* where the array of table addresses lies */
    unsigned entry_size; /* 4 (RSDT) or 8 (XSDT) */
    unsigned count;
};

struct acpi_table {
    char signature[4];
    uint8_t revision;
    uint32_t length; /* header included */
    uint64_t address;
};

#define ACPI_HEADER_SIZE 36u
#define ACPI_MAX_TABLE   (16u << 20) /* longer ones are taken for damaged */

/* Opens the tables behind an RSDP: XSDT, else RSDT. 0; -EFAULT: not readable; -EINVAL: signature, checksum or
 * length wrong. */
int acpi_open(struct acpi_root *root, const struct acpi_memory *memory, uint64_t rsdp);

/* The `index`th table of a signature (four characters), its checksum verified; damaged ones are passed over.
 * 0 or -ENOENT. */
int acpi_find(const struct acpi_root *root, const char *signature, unsigned index, struct acpi_table *table);

/* The table at an address, e.g. the DSDT's from the FADT. 0; -EFAULT, -EINVAL. */
int acpi_table_at(const struct acpi_root *root, uint64_t address, const char *signature,
                  struct acpi_table *table);

/* Copies a part of a table. 0; -EINVAL: not all inside; -EFAULT. */
int acpi_table_read(const struct acpi_root *root, const struct acpi_table *table, uint32_t offset,
                    void *buffer, size_t size);

#define ACPI_MAX_CPUS      256u
#define ACPI_MAX_IOAPICS   16u
#define ACPI_MAX_OVERRIDES 32u
#define ACPI_MAX_NMIS      32u
#define ACPI_ALL_CPUS      UINT32_MAX

struct acpi_cpu {
    uint32_t apic_id;
    uint32_t uid;
    bool enabled; /* false: may be switched on at run time only */
};

struct acpi_ioapic {
    uint64_t address;
    uint32_t gsi_base;
    uint8_t id;
};

/* An ISA interrupt that is wired otherwise than as the same-numbered GSI, edge and active high. */
struct acpi_override {
    uint32_t gsi;
    uint8_t irq;
    bool active_low;
    bool level;
};

/* A CPU's LINT pin that carries an NMI. */
struct acpi_nmi {
    uint32_t uid; /* ACPI_ALL_CPUS: of every CPU */
    uint8_t pin;  /* 0 or 1 */
    bool active_low;
    bool level;
};

struct acpi_madt {
    uint64_t apic_address;
    bool pic; /* the machine has 8259s too */
    unsigned cpu_count, ioapic_count, override_count, nmi_count;
    struct acpi_cpu cpu[ACPI_MAX_CPUS];
    struct acpi_ioapic ioapic[ACPI_MAX_IOAPICS];
    struct acpi_override override[ACPI_MAX_OVERRIDES];
    struct acpi_nmi nmi[ACPI_MAX_NMIS];
};

/* Reads the MADT; more entries of a kind than fit are left out. 0; -ENOENT: none; -EINVAL: an entry's length
 * is wrong; -EFAULT. */
int acpi_read_madt(const struct acpi_root *root, struct acpi_madt *madt);

/* Generic address; `address` 0: none. */
#define ACPI_SPACE_MEMORY 0u
#define ACPI_SPACE_PORT   1u
#define ACPI_SPACE_PCI    2u
struct acpi_address {
    uint8_t space;
    uint8_t width;  /* bits */
    uint8_t access; /* 0 undefined, 1 byte, 2 word, 3 dword, 4 qword */
    uint64_t address;
};

struct acpi_fadt {
    uint64_t dsdt;
    uint64_t facs;         /* 0: none */
    bool hardware_reduced; /* no PM1 registers: the sleep registers instead */
    uint16_t smi_command;  /* port; 0: none, ACPI mode is always on */
    uint8_t acpi_enable;   /* value for it */
    struct acpi_address pm1a_control, pm1b_control;
    struct acpi_address sleep_control;
    uint16_t pm_timer;  /* port; 0: none */
    bool pm_timer_wide; /* 32 bits, not 24 */
    bool reset_supported;
    struct acpi_address reset;
    uint8_t reset_value;
    uint8_t century;     /* CMOS index; 0: none */
    uint16_t boot_flags; /* IAPC_BOOT_ARCH */
};

/* 0; -ENOENT, -EINVAL, -EFAULT. */
int acpi_read_fadt(const struct acpi_root *root, struct acpi_fadt *fadt);

struct acpi_facs {
    uint32_t length;
    uint32_t hardware_signature;
    uint32_t flags;
    uint8_t version;
};

/* The FACS that the FADT names (it has no checksum). 0; -ENOENT, -EINVAL, -EFAULT. */
int acpi_read_facs(const struct acpi_root *root, const struct acpi_fadt *fadt, struct acpi_facs *facs);

/* SLP_TYP values of the state S5, found by scanning the DSDT and the SSDTs for the package \_S5 (AML is not
 * interpreted: the values are constants on every known machine). 0, -ENOENT. */
int acpi_find_s5(const struct acpi_root *root, const struct acpi_fadt *fadt, uint8_t *type_a,
                 uint8_t *type_b);

#endif
