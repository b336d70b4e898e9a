// SPDX-License-Identifier: Apache-2.0
// Where the architecture hands over to core/: the config and the files that the loader left in memory.
#ifndef SAGUARO_CORE_MAIN_H
#define SAGUARO_CORE_MAIN_H

#include "lib/config.h"

#include <stddef.h>
#include <stdint.h>

struct boot_file {
    const char *name; /* as the config spells it */
    uint64_t address; /* physical */
    uint64_t size;
};

/* The expansion ROM of one of the machine's PCI functions, in pages of its own. */
struct boot_rom {
    uint16_t segment;
    uint8_t bus, devfn;
    uint64_t address; /* physical, 4 KiB aligned */
    uint64_t size;    /* bytes, a power of two from 4096 on: behind the image all are 0xff */
};

struct boot_info {
    const void *config; /* flattened device tree in the hypervisor's own memory, kept for ever */
    size_t config_size;
    enum config_arch arch; /* of this machine: what the config is held to */
    const struct boot_file *file;
    unsigned file_count;
    const struct boot_rom *rom;
    unsigned rom_count;
};

/* Reads the config, creates the VMs and starts those that want it. The caller then enters sched_loop(). */
void core_start(const struct boot_info *info);

/* The file of that name; NULL: the loader brought none. */
const struct boot_file *boot_file_find(const char *name);

/* The expansion ROM of a PCI function; NULL: the loader brought none. */
const struct boot_rom *boot_rom_find(uint16_t segment, uint8_t bus, uint8_t devfn);

/* The functions of the machine that the config gives to guests, all together. */
unsigned boot_passed_count(void);

/* Copies `size` bytes at `offset` of a file. 0 or -EINVAL: beyond its end. */
int boot_file_read(const struct boot_file *file, uint64_t offset, void *buffer, uint64_t size);

/* Copies a piece of a file into a VM's memory. 0; -EINVAL: beyond the file's end; -EFAULT: no RAM there. */
struct vm;
int boot_file_load(const struct boot_file *file, uint64_t offset, struct vm *vm, uint64_t gpa, uint64_t size);

#endif
