// SPDX-License-Identifier: Apache-2.0
// The DMAR table of machines with Intel VT-d: remapping units and which functions are behind them, memory
// that the firmware lets functions reach, root ports with address translation services (Intel VT-d
// specification 4.1, ch. 8). The table comes from the firmware: nothing of it is believed. One that
// contradicts itself, or has more than fits here, is refused as a whole, with the reason.
#ifndef SAGUARO_LIB_ACPI_DMAR_H
#define SAGUARO_LIB_ACPI_DMAR_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/acpi.h"
#include "lib/pci.h"

#define ACPI_DMAR_MAX_UNITS    64u
#define ACPI_DMAR_MAX_RESERVED 32u
#define ACPI_DMAR_MAX_ROOTS    32u
#define ACPI_DMAR_MAX_SCOPES   512u

enum acpi_dmar_scope_type {
    ACPI_DMAR_ENDPOINT = 1,
    ACPI_DMAR_BRIDGE = 2, /* with all that is behind it */
    ACPI_DMAR_IOAPIC = 3,
    ACPI_DMAR_HPET = 4,      /* one that sends messages */
    ACPI_DMAR_NAMESPACE = 5, /* a device that only AML declares */
};

/* A device scope (8.3.1), its path resolved. Its segment is that of the structure which has it. */
struct acpi_dmar_scope {
    uint8_t type; /* enum acpi_dmar_scope_type */
    uint8_t id;   /* I/O APIC: its ID; HPET: its number; name space: as in the ANDD; else without meaning */
    uint8_t bus, devfn;
    uint8_t first_bus, last_bus; /* BRIDGE: behind it; 0, 0: nothing (there is no bridge now) */
};

/* Some of `scope` in struct acpi_dmar. */
struct acpi_dmar_scopes {
    uint16_t first, count;
};

/* A remapping unit (DRHD, 8.3). */
struct acpi_dmar_unit {
    uint64_t base;    /* of its registers; not 0, a multiple of 4 KiB */
    uint32_t size;    /* of its registers, bytes: 4 KiB or a larger power of two */
    uint16_t segment; /* PCI segment */
    bool all;         /* INCLUDE_PCI_ALL: every function of the segment that no other unit has */
    struct acpi_dmar_scopes scopes;
};

/* Memory that some functions go on to reach (RMRR, 8.4): to be mapped 1:1, readable and writable. Whether it
 * is memory that nobody else uses has to be seen from the memory map. Several may overlap. */
struct acpi_dmar_reserved {
    uint64_t base;  /* a multiple of 4 KiB */
    uint64_t limit; /* its last byte, above base; limit + 1 is a multiple of 4 KiB and does not wrap */
    uint16_t segment;
    struct acpi_dmar_scopes scopes;
};

/* Root ports below which address translation services may be used (ATSR, 8.5). */
struct acpi_dmar_root {
    uint16_t segment;
    bool all; /* ALL_PORTS: each root port of the segment */
    struct acpi_dmar_scopes scopes;
};

enum acpi_dmar_fault {
    ACPI_DMAR_NO_FAULT,
    ACPI_DMAR_UNREADABLE,    /* the table could not be read */
    ACPI_DMAR_SHORT,         /* it ends before its own fields */
    ACPI_DMAR_BAD_WIDTH,     /* host address width */
    ACPI_DMAR_BAD_LENGTH,    /* of a structure: less than its fields, or past the table's end */
    ACPI_DMAR_BAD_SCOPE,     /* length of a device scope, or a path that is none */
    ACPI_DMAR_BAD_BRIDGE,    /* a bridge on a path whose buses do not lie behind its own, or is unreadable */
    ACPI_DMAR_BAD_BASE,      /* registers at 0, misaligned, or above the host address width */
    ACPI_DMAR_UNITS_OVERLAP, /* registers of two units in the same place */
    ACPI_DMAR_ALL_TWICE,     /* two units have INCLUDE_PCI_ALL in one segment */
    ACPI_DMAR_SHARED,        /* a function, I/O APIC or HPET under two units, or an I/O APIC with two IDs */
    ACPI_DMAR_BAD_RESERVED,  /* reserved memory misaligned, upside down, wrapping or above the width */
    ACPI_DMAR_RESERVED_UNIT, /* reserved memory over a unit's registers */
    ACPI_DMAR_MANY_UNITS,    /* more than ACPI_DMAR_MAX_UNITS; the next three alike */
    ACPI_DMAR_MANY_RESERVED,
    ACPI_DMAR_MANY_ROOTS,
    ACPI_DMAR_MANY_SCOPES,
};

struct acpi_dmar {
    uint8_t width;            /* bits of a host physical address, 1..64 */
    bool interrupt_remapping; /* INTR_REMAP: the platform has it */
    bool x2apic_opt_out;      /* X2APIC_OPT_OUT: the firmware asks to leave x2APIC mode alone */
    bool dma_opt_in;          /* DMA_CTRL_PLATFORM_OPT_IN_FLAG: DMA is closed until the hand-over */
    unsigned unit_count, reserved_count, root_count, scope_count;
    unsigned absent_count; /* scopes whose path leads through, or to, a bridge that is not there */
    enum acpi_dmar_fault fault;
    uint32_t fault_offset; /* in the table, of the structure that is wrong */
    struct acpi_dmar_unit unit[ACPI_DMAR_MAX_UNITS];
    struct acpi_dmar_reserved reserved[ACPI_DMAR_MAX_RESERVED];
    struct acpi_dmar_root root[ACPI_DMAR_MAX_ROOTS];
    struct acpi_dmar_scope scope[ACPI_DMAR_MAX_SCOPES];
};

/* How bridges are looked at: paths in the table go through their secondary buses. */
struct acpi_dmar_bridges {
    /* The buses behind the bridge at segment:bus:devfn, as programmed now (pci_bridge_read()). 0; -ENODEV:
     * there is no bridge, or it has no buses; other negative: cannot be read, which refuses the table. */
    int (*read)(void *context, uint16_t segment, uint8_t bus, uint8_t devfn, struct pci_bridge *bridge);
    void *context;
};

/* Reads the DMAR table. Buses are those of the moment of the call: renumbering bridges makes the result
 * wrong. A scope through a bridge that is not there is left out (one *to* it names the function alone), and
 * counted. 0; -ENOENT: there is no (undamaged) DMAR; -EFAULT, -EINVAL, -ENOSPC (more than fits here): with
 * `fault` and `fault_offset` set and everything else of *dmar to be left alone. */
int acpi_read_dmar(const struct acpi_root *root, const struct acpi_dmar_bridges *bridges,
                   struct acpi_dmar *dmar);

/* A fault in words, for a message such as "DMAR at offset 48: ...". Never NULL. */
const char *acpi_dmar_fault_text(enum acpi_dmar_fault fault);

/* The unit that a function's DMA passes: the one with it in a scope, else the segment's INCLUDE_PCI_ALL.
 * For a virtual function, ask for its physical function. NULL: none covers it, its DMA is not remapped. */
const struct acpi_dmar_unit *acpi_dmar_find_unit(const struct acpi_dmar *dmar, uint16_t segment, uint8_t bus,
                                                 uint8_t devfn);

/* The next reserved memory that names the function, after `after` (NULL: the first). NULL: no more. */
const struct acpi_dmar_reserved *acpi_dmar_next_reserved(const struct acpi_dmar *dmar, uint16_t segment,
                                                         uint8_t bus, uint8_t devfn,
                                                         const struct acpi_dmar_reserved *after);

/* Whether the function is (or is behind) a root port below which address translation services may be used.
 * With ALL_PORTS every function of the segment counts as behind one. */
bool acpi_dmar_allows_ats(const struct acpi_dmar *dmar, uint16_t segment, uint8_t bus, uint8_t devfn);

/* The unit that remaps an I/O APIC's interrupts, by the ID that the MADT gives it, and the requester ID
 * (bus << 8 | devfn) that these carry. NULL: under no unit. */
const struct acpi_dmar_unit *acpi_dmar_find_ioapic(const struct acpi_dmar *dmar, uint8_t id,
                                                   uint16_t *requester);

/* The same for an HPET by its number in the HPET table. It may have several requester IDs, all under one
 * unit: `index` 0 gives the first, and so on. NULL: no (more). */
const struct acpi_dmar_unit *acpi_dmar_find_hpet(const struct acpi_dmar *dmar, uint8_t number, unsigned index,
                                                 uint16_t *requester);

#endif
