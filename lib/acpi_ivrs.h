// SPDX-License-Identifier: Apache-2.0
// The IVRS table of machines with an AMD IOMMU: units, which requester IDs are behind them and how their
// device table entries are to be set, memory that the firmware lets functions reach (AMD I/O Virtualization
// Technology specification 3.08, ch. 5). The table comes from the firmware: nothing of it is believed. One
// that contradicts itself, or has more than fits here, is refused as a whole, with the reason.
// A requester ID is bus << 8 | device << 3 | function.
#ifndef SAGUARO_LIB_ACPI_IVRS_H
#define SAGUARO_LIB_ACPI_IVRS_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/acpi.h"

#define ACPI_IVRS_MAX_UNITS    32u
#define ACPI_IVRS_MAX_DEVICES  1024u
#define ACPI_IVRS_MAX_SPECIALS 64u
#define ACPI_IVRS_MAX_NAMED    32u
#define ACPI_IVRS_MAX_MEMORY   64u
#define ACPI_IVRS_MAX_UID      47u /* characters */

/* IVHD blocks. A unit may have one of each; the highest is used, as the specification asks for. */
#define ACPI_IVRS_IVHD_10      0x10u
#define ACPI_IVRS_IVHD_11      0x11u
#define ACPI_IVRS_IVHD_40      0x40u

/* Bits of `flags`. */
#define ACPI_IVRS_HT_TUNNEL    0x01u
#define ACPI_IVRS_PASS_PW      0x02u
#define ACPI_IVRS_RES_PW       0x04u
#define ACPI_IVRS_ISOC         0x08u
#define ACPI_IVRS_IOTLB        0x10u
#define ACPI_IVRS_COHERENT     0x20u
#define ACPI_IVRS_PREFETCH     0x40u /* IVHD_10 alone */
#define ACPI_IVRS_PPR          0x80u /* IVHD_10 alone */

struct acpi_ivrs_unit {
    uint64_t base; /* of its registers; not 0, a multiple of 16 KiB */
    uint16_t segment;
    uint16_t id;         /* requester ID of its own PCI function */
    uint16_t capability; /* offset of its capability in that function's configuration space, 0x40..0xfc */
    uint8_t type;        /* ACPI_IVRS_IVHD_... of the block that was used */
    uint8_t flags;
    uint16_t info;       /* IOMMU info: 4..0 message number, 12..8 unit ID */
    uint32_t attributes; /* IVHD_10: IOMMU feature reporting; else IOMMU attributes */
    uint64_t features;   /* image of the extended feature register; 0 for IVHD_10 */
    uint64_t features2;  /* image of the second one; 0 for IVHD_10 and older tables */
};

/* Bits of device table entry settings. */
#define ACPI_IVRS_INIT_PASS  0x01u
#define ACPI_IVRS_EINT_PASS  0x02u
#define ACPI_IVRS_NMI_PASS   0x04u
#define ACPI_IVRS_SYSMGT     0x30u /* two bits, as the entry's SysMgt */
#define ACPI_IVRS_LINT0_PASS 0x40u
#define ACPI_IVRS_LINT1_PASS 0x80u

/* A device entry: requester IDs first..last of a unit. */
struct acpi_ivrs_device {
    uint16_t first, last;
    uint16_t alias;   /* if `aliased`: under this ID their requests arrive */
    uint8_t unit;     /* index */
    uint8_t settings; /* ACPI_IVRS_INIT_PASS and so on */
    bool all;         /* holds for what no other entry names */
    bool aliased;
    bool ats_disabled; /* address translation services are not to be used */
};

enum acpi_ivrs_variety { ACPI_IVRS_IOAPIC = 1, ACPI_IVRS_HPET = 2 };

/* A special device. */
struct acpi_ivrs_special {
    uint8_t variety; /* enum acpi_ivrs_variety */
    uint8_t handle;  /* I/O APIC: its ID; HPET: its number */
    uint8_t unit;    /* index */
    uint8_t settings;
    uint16_t requester; /* ID that its interrupts carry */
};

/* A device that only AML declares, but that does DMA. */
struct acpi_ivrs_named {
    uint16_t requester;
    uint8_t unit; /* index */
    uint8_t settings;
    char hid[9];                     /* hardware ID; characters that do not print became '?' */
    char uid[ACPI_IVRS_MAX_UID + 1]; /* alike; "" unless it is text */
    bool numbered;                   /* the unique ID is a number: */
    uint64_t number;
};

/* Memory that requester IDs first..last go on to reach (IVMD): to be mapped 1:1. Several may
 * overlap. Whether it is memory that nobody else uses has to be seen from the memory map. */
struct acpi_ivrs_memory {
    uint64_t base;  /* a multiple of 4 KiB */
    uint64_t limit; /* its last byte; limit + 1 is a multiple of 4 KiB (rounded up) and does not wrap */
    uint16_t segment;
    uint16_t first, last;
    bool read, write;
    bool exclusion; /* it is an exclusion range; a mapping 1:1, readable and writable, does the same */
};

enum acpi_ivrs_fault {
    ACPI_IVRS_NO_FAULT,
    ACPI_IVRS_UNREADABLE, /* the table could not be read */
    ACPI_IVRS_SHORT,      /* it ends before its own fields */
    ACPI_IVRS_BAD_LENGTH, /* of a block: less than its fields, or past the table's end */
    ACPI_IVRS_BAD_ENTRY,  /* a device entry past its block's end, or of an unknown length */
    ACPI_IVRS_BAD_RANGE,  /* start or end of a range of IDs without the other, or upside down */
    ACPI_IVRS_BAD_BASE,   /* registers at 0, misaligned, or wrapping */
    ACPI_IVRS_BAD_CAPABILITY,
    ACPI_IVRS_UNITS_OVERLAP, /* registers of two units in the same place */
    ACPI_IVRS_UNIT_TWICE,    /* two blocks of one type for a unit */
    ACPI_IVRS_SHARED,        /* a requester ID under two units, or a special device twice, differently */
    ACPI_IVRS_BAD_MEMORY,    /* memory misaligned, empty or wrapping */
    ACPI_IVRS_MEMORY_UNIT,   /* memory over a unit's registers */
    ACPI_IVRS_LONG_UID,      /* longer than ACPI_IVRS_MAX_UID */
    ACPI_IVRS_MANY_UNITS,    /* more than ACPI_IVRS_MAX_UNITS; the next four alike */
    ACPI_IVRS_MANY_DEVICES,
    ACPI_IVRS_MANY_SPECIALS,
    ACPI_IVRS_MANY_NAMED,
    ACPI_IVRS_MANY_MEMORY,
};

struct acpi_ivrs {
    uint32_t info;          /* IVinfo as it stands */
    uint8_t physical_bits;  /* of it: size of physical addresses, 0: not said */
    uint8_t virtual_bits;   /* of it: size of virtual addresses, 0: not said */
    bool features_valid;    /* EFRSup: `features` of the units may be believed before the register is read */
    bool preboot_remapping; /* DMA remapping was on before the hand-over */
    bool ats_reserved;      /* HtAtsResv: the address range of ATS responses is reserved */
    unsigned unit_count, device_count, special_count, named_count, memory_count;
    enum acpi_ivrs_fault fault;
    uint32_t fault_offset; /* in the table, of the block or entry that is wrong */
    struct acpi_ivrs_unit unit[ACPI_IVRS_MAX_UNITS];
    struct acpi_ivrs_device device[ACPI_IVRS_MAX_DEVICES];
    struct acpi_ivrs_special special[ACPI_IVRS_MAX_SPECIALS];
    struct acpi_ivrs_named named[ACPI_IVRS_MAX_NAMED];
    struct acpi_ivrs_memory memory[ACPI_IVRS_MAX_MEMORY];
};

/* Reads the IVRS table. 0; -ENOENT: there is no (undamaged) IVRS; -EFAULT, -EINVAL, -ENOSPC (more than fits
 * here): with `fault` and `fault_offset` set and everything else of *ivrs to be left alone. */
int acpi_read_ivrs(const struct acpi_root *root, struct acpi_ivrs *ivrs);

/* A fault in words, for a message such as "IVRS at offset 48: ...". Never NULL. */
const char *acpi_ivrs_fault_text(enum acpi_ivrs_fault fault);

/* What is known of a requester ID. */
struct acpi_ivrs_answer {
    const struct acpi_ivrs_unit *unit;
    uint16_t alias;    /* ID under which its requests arrive; mostly itself */
    uint8_t settings;  /* for its device table entry, and the alias's */
    bool ats_disabled; /* address translation services are not to be used */
};

/* The unit and the settings of a requester ID: the last entry that names it, else one that has it as alias,
 * else one for all. 0; -ENOENT: under no unit, its DMA is not remapped. */
int acpi_ivrs_find(const struct acpi_ivrs *ivrs, uint16_t segment, uint16_t requester,
                   struct acpi_ivrs_answer *answer);

/* The next memory for a requester ID, after `after` (NULL: the first). NULL: no more. Ask for each ID that
 * shares a device table entry. */
const struct acpi_ivrs_memory *acpi_ivrs_next_memory(const struct acpi_ivrs *ivrs, uint16_t segment,
                                                     uint16_t requester,
                                                     const struct acpi_ivrs_memory *after);

/* An I/O APIC by the ID that the MADT gives it, an HPET by its number in the HPET table; its unit is
 * ivrs->unit[special->unit]. NULL: under no unit. */
const struct acpi_ivrs_special *acpi_ivrs_find_special(const struct acpi_ivrs *ivrs,
                                                       enum acpi_ivrs_variety variety, uint8_t handle);

#endif
