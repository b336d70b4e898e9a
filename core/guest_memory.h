// SPDX-License-Identifier: Apache-2.0
// A VM's guest-physical map: RAM and ROM and how the hypervisor reads and writes them. (Devices answer on the
// bus, core/bus.h.)
#ifndef SAGUARO_CORE_GUEST_MEMORY_H
#define SAGUARO_CORE_GUEST_MEMORY_H

#include <stdbool.h>
#include "core/atomic.h"
#include "core/memory.h"

enum guest_region_kind {
    GUEST_RAM,   /* read, write, execute */
    GUEST_ROM,   /* read and execute; a guest's writes trap and are dropped or go to the bus */
    GUEST_SHOWN, /* not the VM's own (struct guest_foreign): read and write, by its CPUs alone */
    GUEST_SHOWN_READ,
    GUEST_SHOWN_DEVICE, /* the same for a device's registers: uncached, and never touched by the hypervisor */
};

struct guest_region {
    uint64_t base; /* guest-physical, 4 KiB aligned */
    uint64_t size;
    uint64_t offset; /* into the VM's RAM (the backing), 4 KiB aligned; of GUEST_SHOWN_READ and
                        GUEST_SHOWN_DEVICE: the physical address */
    enum guest_region_kind kind;
};

#define GUEST_MAX_REGIONS 32

/* A range of guest-physical space that shows what is not this VM's own: the service VM's windows. */
struct guest_foreign {
    uint64_t base; /* guest-physical, 4 KiB aligned, as are the others */
    uint64_t size;
    const struct guest_memory *of; /* whose RAM, from its offset 0 on; NULL: physical memory */
    uint64_t physical;
    bool writable;
    bool device; /* a device's registers, not memory: uncached. Implies `writable` */
};

static inline enum guest_region_kind guest_foreign_kind(const struct guest_foreign *foreign) {
    return foreign->device ? GUEST_SHOWN_DEVICE : foreign->writable ? GUEST_SHOWN : GUEST_SHOWN_READ;
}

/*
 * The backing is `size` bytes of host frames: 1 GiB and 2 MiB blocks where they can be had, recorded for each
 * 2 MiB, so that any offset is found in constant time. Regions place parts of it in guest-physical space and
 * may change at run time (PAM, ROM).
 */
struct guest_memory {
    struct memory_account account;
    uint64_t size;        /* bytes of backing */
    uint64_t *block;      /* host-physical address of each 2 MiB of backing */
    uint8_t *block_shift; /* 30 for the blocks of a 1 GiB frame, else 21 */
    uint64_t block_count;
    bool bound;           /* to this machine: what the guest sees of it depends on where it lies */
    struct spinlock lock; /* held by who changes regions; readers take none and look at `sequence` twice */
    uint32_t sequence;    /* odd while the regions change */
    uint32_t region_count;
    struct guest_region region[GUEST_MAX_REGIONS]; /* sorted by base, without overlaps */
    bool logging;                                  /* writes are noted in `dirty`; see core/dirty_log.h */
    uint64_t *dirty;               /* a bit for each 4 KiB of backing; NULL as long as there was no log */
    uint64_t *taken;               /* of the same size: what a collection is giving out */
    struct guest_foreign *foreign; /* NULL: none. Changes while no vCPU of the VM is in its guest */
    uint32_t foreign_count;
    uint32_t foreign_room;
    /* Set by the architecture, may be NULL: `present` says whether the region is there now (what it covers is
     * replaced) or not. Called after the regions were changed, with `lock` held. 0, -EINVAL or -ENOMEM. */
    int (*changed)(struct vm *vm, const struct guest_region *region, bool present);
};

/* Allocates the backing, not yet scrubbed (vm_prepare() does that, in the VM's own time): `size` is rounded
 * up to 2 MiB. 0 or -ENOMEM (all is given back). */
int guest_memory_create(struct vm *vm, uint64_t size);
/* The same in one piece, of 2^shift bytes (21..30), below the physical address `limit`. *physical: where. */
int guest_memory_create_below(struct vm *vm, unsigned shift, uint64_t limit, uint64_t *physical);
/* Its first `apart` bytes anywhere, all the rest in one piece of physical memory, the lowest in
 * [from, limit): both parts are multiples of 2 MiB and not empty. Not yet scrubbed. *physical: where the
 * piece is. 0, -EINVAL or -ENOMEM (nothing is taken). */
int guest_memory_create_row(struct vm *vm, uint64_t apart, uint64_t size, uint64_t from, uint64_t limit,
                            uint64_t *physical);
void guest_memory_destroy(struct vm *vm);
/* Shows other memory at [base, base + size), read-only or writable, never executable: `of`'s RAM, or physical
 * memory if it is NULL. While the VM is off, or by its only vCPU. The range is free so far. 0, -EINVAL,
 * -ENOMEM, or what changed() said. */
int guest_memory_show(struct vm *vm, const struct guest_foreign *foreign);
/* Takes away what was shown at `base`, all of it. While the VM is off, or by its only vCPU. 0, -ENOENT, or
 * what changed() said: it may still be mapped then. */
int guest_memory_hide(struct vm *vm, uint64_t base);
/* Zeroes all RAM, as power-on would. */
void guest_memory_scrub(struct vm *vm);

/*
 * Places backing [offset, offset + size) at guest-physical `base`, replacing what the range held. All 4 KiB
 * aligned. 0, -EINVAL or -ENOSPC: nothing was changed. -ENOMEM, or what changed() said: the regions are as
 * before, but their mapping may not be; the guest is to be ended.
 */
int guest_memory_place(struct vm *vm, uint64_t base, uint64_t size, uint64_t offset,
                       enum guest_region_kind kind);
/* The same for registers of a device of the machine, at `physical`: uncached, at any time. */
int guest_memory_place_device(struct vm *vm, uint64_t base, uint64_t size, uint64_t physical);
/* The same for memory at `physical` that is not the VM's own: read-only, for its CPUs alone. */
int guest_memory_place_shown(struct vm *vm, uint64_t base, uint64_t size, uint64_t physical);
int guest_memory_remove(struct vm *vm, uint64_t base, uint64_t size);

/* Host-physical address of the backing at `offset`, and how many bytes follow contiguously: up to the end of
 * its 2 MiB or 1 GiB frame. `offset` lies inside the backing. */
uint64_t guest_memory_backing(const struct guest_memory *memory, uint64_t offset, uint64_t *contiguous);

/* Host-physical address behind a guest-physical one, and how many bytes follow contiguously (up to the end of
 * its 2 MiB block or region). 0 or -EFAULT: neither RAM nor ROM there. Any but gpa may be NULL. */
int guest_memory_translate(struct vm *vm, uint64_t gpa, uint64_t *physical, uint64_t *contiguous,
                           enum guest_region_kind *kind);

/* Copies out of and into guest memory; may cross pages. 0, or -EFAULT when any byte is neither RAM nor ROM
 * (nothing is written then). */
int guest_read(struct vm *vm, uint64_t gpa, void *buffer, size_t size);
/* The one function through which everything but the guest's own CPU writes guest RAM; marks the pages dirty.
 * ROM: -EFAULT. */
int guest_write(struct vm *vm, uint64_t gpa, const void *buffer, size_t size);
/* As guest_write(), for loaders: ROM is written too, and what is written may be code. */
int guest_load(struct vm *vm, uint64_t gpa, const void *buffer, size_t size);
/* Atomic compare and exchange of 1, 2, 4, 8 or 16 bytes of RAM that do not cross a 4 KiB page; 16 bytes are
 * aligned. 1: done; 0: *expected was updated; -EFAULT. */
int guest_compare_exchange(struct vm *vm, uint64_t gpa, unsigned size, void *expected, const void *desired);
/* A host address for one 4 KiB page of guest RAM through this CPU's window (see arch_window_map()); NULL:
 * neither RAM nor ROM. Reading only; who writes calls guest_mark_dirty(). */
void *guest_page(struct vm *vm, uint64_t gpa);
void guest_mark_dirty(struct vm *vm, uint64_t gpa, uint64_t size);
/* The same for [offset, offset + size) of the backing, whole pages. 0, or -EINVAL: not all of it exists. */
int guest_mark_backing(struct vm *vm, uint64_t offset, uint64_t size);

#endif
