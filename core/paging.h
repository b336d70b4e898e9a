// SPDX-License-Identifier: Apache-2.0
// The paging engine: one walker for every radix table (host, NPT, EPT, shadow, IOMMU second level), driven by
// a format.
#ifndef SAGUARO_CORE_PAGING_H
#define SAGUARO_CORE_PAGING_H

#include "core/atomic.h"
#include "core/memory.h"

#define PAGING_READ       0x01u
#define PAGING_WRITE      0x02u
#define PAGING_EXECUTE    0x04u
#define PAGING_USER       0x08u
#define PAGING_UNCACHED   0x10u /* device memory */
#define PAGING_GLOBAL     0x20u

#define PAGING_MAX_LEVELS 5

/* One level of a table; level 0 has the smallest pages. */
struct paging_level {
    uint8_t shift; /* of the region that one entry covers */
    uint8_t bits;  /* log2 of the entries of a table */
    bool leaf;     /* large pages allowed */
};

/* How entries are encoded. Entries are 64 bits, little-endian on x86. */
struct paging_format {
    const char *name;
    unsigned levels;
    struct paging_level level[PAGING_MAX_LEVELS];
    uint64_t address_mask;
    uint64_t present_mask; /* entry is present if any of these bits is set */
    uint64_t table_bits;   /* what an entry that points at a table carries */
    uint64_t leaf_bits;    /* what every leaf carries */
    uint64_t large_bit;    /* marks a leaf above level 0 (0 where the encoding needs none) */
    uint64_t next_field; /* bits of a field in which an entry that points at a table has its own level, 1 and
                          * on, and a leaf has 0; 0: the format has none, and large_bit tells them apart */
    uint64_t accessed;   /* 0: the format has none */
    uint64_t dirty;      /* 0: the format has none */
    bool physical;       /* addresses are physical: they start at 0 and are not sign-extended */
    uint64_t (*rights_encode)(unsigned rights); /* PAGING_* to entry bits */
    unsigned (*rights_decode)(uint64_t entry);
};

struct paging {
    const struct paging_format *format;
    uint64_t *root;                 /* heap page */
    struct memory_account *account; /* who pays for the tables */
    unsigned largest;               /* largest leaf's shift that may be used: 12, 21 or 30 */
    bool small_code;                /* no large leaf is executable: it is mapped without PAGING_EXECUTE, and
                                     * paging_execute() splits it when code is to run there */
    /* Called after entries lost rights, before what they led to is used otherwise: no CPU may use an old
     * translation of the range when it returns, or there is a `retire`. The lock is held: it must not wait
     * for a CPU that may wait for the lock (one in its guest never does). NULL: no CPU uses the table yet, or
     * the caller flushes by itself. */
    void (*flush)(struct paging *paging, uint64_t address, uint64_t size);
    /* Called after entries, or a whole table before it is linked, were written: for hardware that walks the
     * table in memory and does not look into the caches of CPUs. NULL: there is none. */
    void (*written)(const void *entries, size_t size);
    /* Where `flush` only notes what is to be flushed later: takes a table that is no longer linked and that
     * hardware may still walk until then. It may write to the first eight bytes of it what is no present
     * entry, and frees it with heap_pages_free() and the account. NULL: tables are freed after `flush`. */
    void (*retire)(struct paging *paging, void *table);
    struct spinlock lock;
};

/* Makes an empty table. 0 or -ENOMEM. */
int paging_init(struct paging *paging, const struct paging_format *format, struct memory_account *account,
                unsigned largest);
/* Frees all tables (not what they map), at once: nobody walks them any more. */
void paging_destroy(struct paging *paging);

/*
 * CPUs and devices may walk the table while it is changed, and set accessed and dirty bits. `rights` contains
 * PAGING_READ (-EINVAL else). An empty range is no error.
 */

/* Maps [address, address + size) to physical with the largest pages that fit, replacing what was there. 4 KiB
 * aligned. 0; -EINVAL: misaligned, wraps or outside the format; -ENOMEM: nothing was lost, a part may be
 * mapped. */
int paging_map(struct paging *paging, uint64_t address, uint64_t physical, uint64_t size, unsigned rights);
/* Unmaps; large pages that are cut are split. Holes are no error. 0, -EINVAL, or -ENOMEM (for a
 * split; nothing was changed). */
int paging_unmap(struct paging *paging, uint64_t address, uint64_t size);
/* Changes the rights of what is mapped. 0, -EINVAL, or -ENOMEM (nothing was changed). */
int paging_protect(struct paging *paging, uint64_t address, uint64_t size, unsigned rights);
/* Splits the large pages of a range. 0; -EINVAL; -ENOMEM: some are split. What hardware remembers of a large
 * page may set the dirty bit nowhere: the flush hook is called. */
int paging_split(struct paging *paging, uint64_t address, uint64_t size);
/* With small_code: code is to run at `address`, where the owner allows it. A large page there is split, and
 * all of the last level's pages that it becomes are executable; a small one is made so. The flush hook is
 * called after a split. 0; -ENOENT: nothing is mapped; -EINVAL; -ENOMEM: it is as it was, or split in part.
 */
int paging_execute(struct paging *paging, uint64_t address);
/* Puts back large pages where a whole table maps one contiguous, equally entitled region. Returns how many
 * tables were freed. */
unsigned paging_merge(struct paging *paging, uint64_t address, uint64_t size);
/* Looks an address up. 0, with physical address, rights and the leaf's shift (any may be NULL); -ENOENT. */
int paging_lookup(const struct paging *paging, uint64_t address, uint64_t *physical, unsigned *rights,
                  unsigned *shift);
/* Collects and clears dirty bits: `found` (NULL: nobody wants to know) is called, with the lock held, for
 * each dirty leaf, whole even when only a part of it lies in the range. The flush hook is called once at the
 * end if any was cleared. A format without dirty bits returns -ENOTSUP. */
int paging_harvest(struct paging *paging, uint64_t address, uint64_t size,
                   void (*found)(void *context, uint64_t address, uint64_t size), void *context);
/* Clears the dirty bits of several ranges, with one flush. -ENOTSUP, -EINVAL (nothing was changed). */
int paging_clean(struct paging *paging, const struct memory_range *ranges, unsigned count);

#endif
