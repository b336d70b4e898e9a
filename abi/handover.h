// SPDX-License-Identifier: Apache-2.0
// The hand-over block: what the loader leaves in memory for the hypervisor when it jumps to it.
// Every address is physical. Arrays and strings lie in ranges that the memory map marks
// HANDOVER_MEMORY_LOADER.
#ifndef SAGUARO_ABI_HANDOVER_H
#define SAGUARO_ABI_HANDOVER_H

#include <stdint.h>

#define HANDOVER_MAGIC   0x004f524155474153ull /* "SAGUARO\0", little-endian */
#define HANDOVER_VERSION 2u

enum handover_memory_type {
    HANDOVER_MEMORY_USABLE = 1,     /* free RAM */
    HANDOVER_MEMORY_RESERVED = 2,   /* firmware's, or unknown: never touched */
    HANDOVER_MEMORY_ACPI = 3,       /* ACPI tables: read, kept */
    HANDOVER_MEMORY_ACPI_NVS = 4,   /* kept */
    HANDOVER_MEMORY_RUNTIME = 5,    /* EFI runtime services code and data: kept for the EFI reset call */
    HANDOVER_MEMORY_MMIO = 6,       /* device memory that the firmware listed */
    HANDOVER_MEMORY_HYPERVISOR = 7, /* the hypervisor's loaded image */
    HANDOVER_MEMORY_LOADER = 8,     /* this block, the config, arrays, initial page tables: kept */
    HANDOVER_MEMORY_FILE = 9,       /* files for guests, expansion ROMs: kept, read-only */
};

/* One range of physical memory. Sorted by base, without overlaps, 4 KiB granular. */
struct handover_memory {
    uint64_t base;
    uint64_t size; /* bytes */
    uint32_t type; /* enum handover_memory_type */
    uint32_t reserved;
    uint64_t efi_attributes; /* EFI_MEMORY_* of the range (first descriptor of a merged one) */
};

/* A file that the config names, read into memory. */
struct handover_file {
    uint64_t name;    /* NUL-terminated, exactly as the config spells it */
    uint64_t address; /* 4 KiB aligned */
    uint64_t size;    /* bytes */
};

#define HANDOVER_MAX_ROMS 128u /* functions that a config can name: 32 guests with four each */
#define HANDOVER_ROM_MIN  4096u
#define HANDOVER_ROM_MAX  0x1000000u

/* The expansion ROM of a PCI function that the config passes through, as the firmware has read it. Each
 * function is in the list once at most. */
struct handover_rom {
    uint64_t address; /* 4 KiB aligned, in FILE memory; the image begins with 55 AA */
    uint64_t size;    /* bytes, a power of two from HANDOVER_ROM_MIN to _MAX: behind the image all are 0xff */
    uint16_t segment;
    uint8_t bus;
    uint8_t devfn; /* device << 3 | function */
    uint32_t reserved;
};

#define HANDOVER_CPU_ENABLED 1u
#define HANDOVER_CPU_BOOT    2u /* the CPU that runs the loader */

/* A logical CPU as EFI MP Services lists it; `id` is the x86 local APIC ID. */
struct handover_cpu {
    uint32_t id;
    uint32_t flags; /* HANDOVER_CPU_* */
};

/* Linear frame buffer; width 0: none. Masks are of a 32-bit pixel. */
struct handover_framebuffer {
    uint64_t address;
    uint64_t size; /* bytes */
    uint32_t width;
    uint32_t height;
    uint32_t stride; /* bytes a line */
    uint32_t red_mask;
    uint32_t green_mask;
    uint32_t blue_mask;
};

struct handover {
    uint64_t magic;
    uint32_t version;
    uint32_t size;            /* sizeof(struct handover) as the loader knows it */
    uint64_t hypervisor_base; /* where the image's first page lies */
    uint64_t hypervisor_size; /* bytes, page-rounded; contiguous in physical memory */
    uint64_t config;          /* flattened device tree, already checked */
    uint64_t config_size;     /* bytes */
    uint64_t config_name;     /* string: "saguaro.dts" or "saguaro.dtb" */
    uint64_t memory_map;      /* struct handover_memory[] */
    uint64_t files;           /* struct handover_file[] */
    uint64_t cpus;            /* struct handover_cpu[]; count 0: MP Services absent */
    uint64_t roms;            /* struct handover_rom[] */
    uint32_t memory_map_count;
    uint32_t file_count;
    uint32_t cpu_count;
    uint32_t rom_count;        /* up to HANDOVER_MAX_ROMS */
    uint64_t acpi_rsdp;        /* 0: none */
    uint64_t smbios;           /* SMBIOS entry point, 0: none */
    uint64_t command_line;     /* string: the loader's own load options, "" if none */
    uint64_t low_page;         /* one free 4 KiB page under 1 MiB, for starting other CPUs; 0: none */
    uint64_t efi_system_table; /* for the runtime services' reset; 0: none */
    uint64_t tsc_loader;       /* TSC when the loader began */
    uint64_t tsc_jump;         /* TSC right before the jump */
    struct handover_framebuffer framebuffer;
};

/*
 * State at the jump on x86-64: long mode, interrupts off, boot services left, stack of at least 16 KiB in
 * LOADER memory, RDI = physical address of struct handover. Page tables of the loader (in LOADER memory) map
 *   - physical memory identity, read-write-execute, as far as the memory map goes and at least 4 GiB,
 *   - the hypervisor's image at its linked addresses with each segment's own rights.
 */

#endif
