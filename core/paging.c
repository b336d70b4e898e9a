// SPDX-License-Identifier: Apache-2.0
// The paging engine. Every entry is written by one atomic access; a table is complete before it is linked,
// and freed only after no CPU can walk it any more. Accessed and dirty bits that hardware sets meanwhile are
// kept.
#include "core/paging.h"

#include <errno.h>
#include <string.h>
#include "core/log.h"

#define RIGHTS_ACCESS (PAGING_READ | PAGING_WRITE | PAGING_EXECUTE | PAGING_USER)

/* What one operation has to do once its flush is done: tables to free, whose late accessed and dirty bits go
 * to `heir`, the large page that replaced them (NULL: to nobody). */
#define PENDING_MAX   32u
struct pending {
    struct paging *paging;
    unsigned count;
    unsigned freed;
    bool lost; /* some entry in [low, high] lost rights */
    uint64_t low;
    uint64_t high; /* inclusive */
    struct {
        uint64_t *table;
        uint64_t *heir;
        unsigned level;
    } table[PENDING_MAX];
};

static uint64_t entry_read(const uint64_t *entry) {
    return __atomic_load_n(entry, __ATOMIC_RELAXED);
}

/* Entries were written, and hardware that does not look into the caches of CPUs is to see them. */
static void entries_written(struct paging *paging, const uint64_t *entries, size_t size) {
    if (paging->written != NULL)
        paging->written(entries, size);
}

static void entry_write(struct paging *paging, uint64_t *entry, uint64_t value) {
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
    entries_written(paging, entry, sizeof(*entry));
}

/* On failure *old is what the entry holds now: hardware has set a bit. */
static bool entry_exchange(struct paging *paging, uint64_t *entry, uint64_t *old, uint64_t value) {
    bool done = __atomic_compare_exchange_n(entry, old, value, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    if (done)
        entries_written(paging, entry, sizeof(*entry));
    return done;
}

static bool is_present(const struct paging_format *format, uint64_t entry) {
    return (entry & format->present_mask) != 0;
}

/* Of a present entry. */
static bool is_leaf(const struct paging_format *format, unsigned level, uint64_t entry) {
    if (level == 0)
        return true;
    return format->next_field != 0 ? (entry & format->next_field) == 0 : (entry & format->large_bit) != 0;
}

/* An entry of `level` that points at a table. */
static uint64_t link_make(const struct paging_format *format, unsigned level, const uint64_t *table) {
    uint64_t one = format->next_field & -format->next_field;
    return arch_heap_physical(table) | format->table_bits | level * one;
}

static uint64_t entry_size(const struct paging_format *format, unsigned level) {
    return 1ull << format->level[level].shift;
}

static unsigned table_entries(const struct paging_format *format, unsigned level) {
    return 1u << format->level[level].bits;
}

static unsigned entry_index(const struct paging_format *format, unsigned level, uint64_t address) {
    return (unsigned)(address >> format->level[level].shift) & (table_entries(format, level) - 1);
}

static uint64_t leaf_make(const struct paging *paging, unsigned level, uint64_t physical, unsigned rights) {
    const struct paging_format *format = paging->format;
    rights &= paging->small_code && level != 0 ? ~PAGING_EXECUTE : ~0u;
    return physical | format->leaf_bits | format->rights_encode(rights) |
           (level != 0 ? format->large_bit : 0);
}

static uint64_t *entry_table(const struct paging_format *format, uint64_t entry) {
    return arch_heap_virtual(entry & format->address_mask);
}

static bool leaf_allowed(const struct paging *paging, unsigned level) {
    const struct paging_level *l = &paging->format->level[level];
    return l->leaf && (level == 0 || l->shift <= paging->largest);
}

/* --- what waits for the flush --- */

static void pending_lost(struct pending *pending, uint64_t address, uint64_t size) {
    uint64_t last = address + (size - 1);
    if (!pending->lost || address < pending->low)
        pending->low = address;
    if (!pending->lost || last > pending->high)
        pending->high = last;
    pending->lost = true;
}

static void pending_finish(struct pending *pending) {
    struct paging *paging = pending->paging;
    const struct paging_format *format = paging->format;
    if (pending->lost && paging->flush != NULL)
        paging->flush(paging, pending->low, pending->high - pending->low + 1);
    pending->lost = false;
    for (unsigned i = 0; i < pending->count; i++) {
        uint64_t *table = pending->table[i].table, used = 0;
        for (unsigned j = 0; j < table_entries(format, pending->table[i].level); j++)
            used |= entry_read(&table[j]);
        used &= format->accessed | format->dirty;
        if (pending->table[i].heir != NULL && used != 0)
            __atomic_fetch_or(pending->table[i].heir, used, __ATOMIC_RELAXED);
        if (paging->retire != NULL)
            paging->retire(paging, table);
        else
            heap_pages_free(table, 0, paging->account);
    }
    pending->freed += pending->count;
    pending->count = 0;
}

static void pending_table(struct pending *pending, uint64_t *table, unsigned level, uint64_t *heir) {
    if (pending->count == PENDING_MAX)
        pending_finish(pending);
    pending->table[pending->count].table = table;
    pending->table[pending->count].level = level;
    pending->table[pending->count++].heir = heir;
}

/* A table that is no longer linked, and all below it. */
static void pending_tree(struct pending *pending, uint64_t *table, unsigned level) {
    const struct paging_format *format = pending->paging->format;
    for (unsigned i = 0; level != 0 && i < table_entries(format, level); i++) {
        uint64_t entry = entry_read(&table[i]);
        if (is_present(format, entry) && !is_leaf(format, level, entry))
            pending_tree(pending, entry_table(format, entry), level - 1);
    }
    pending_table(pending, table, level, NULL);
}

/* --- tables --- */

static int table_link(struct paging *paging, uint64_t *entry, unsigned level) {
    uint64_t *table = heap_pages(0, paging->account);
    if (table == NULL)
        return -ENOMEM;
    entries_written(paging, table, PAGE_SIZE);
    entry_write(paging, entry, link_make(paging->format, level, table));
    return 0;
}

/* Replaces a large page by a table of the same rights, accessed and dirty bits. */
static int leaf_split(struct paging *paging, uint64_t *entry, unsigned level) {
    const struct paging_format *format = paging->format;
    uint64_t *table = heap_pages(0, paging->account);
    if (table == NULL)
        return -ENOMEM;
    uint64_t old = entry_read(entry);
    do {
        uint64_t child = level == 1 ? old & ~format->large_bit : old;
        for (unsigned i = 0; i < table_entries(format, level - 1); i++)
            table[i] = child + i * entry_size(format, level - 1);
        entries_written(paging, table, PAGE_SIZE);
    } while (!entry_exchange(paging, entry, &old, link_make(format, level, table)));
    return 0;
}

/* Splits large pages until a leaf starts at `address`, if anything is mapped there. */
static int split_at(struct paging *paging, uint64_t address) {
    const struct paging_format *format = paging->format;
    uint64_t *table = paging->root;
    for (unsigned level = format->levels - 1; level != 0; level--) {
        uint64_t *entry = &table[entry_index(format, level, address)];
        if ((address & (entry_size(format, level) - 1)) == 0 || !is_present(format, entry_read(entry)))
            return 0;
        if (is_leaf(format, level, entry_read(entry))) {
            int error = leaf_split(paging, entry, level);
            if (error != 0)
                return error;
        }
        table = entry_table(format, entry_read(entry));
    }
    return 0;
}

/* --- operations; each works on one table and goes down --- */

/* The part of [address, address + size) that lies in the first entry. */
static uint64_t first_part(const struct paging_format *format, unsigned level, uint64_t address,
                           uint64_t size) {
    uint64_t room = entry_size(format, level) - (address & (entry_size(format, level) - 1));
    return size < room ? size : room;
}

static int map_table(struct pending *pending, uint64_t *table, unsigned level, uint64_t address,
                     uint64_t physical, uint64_t size, unsigned rights) {
    struct paging *paging = pending->paging;
    const struct paging_format *format = paging->format;
    uint64_t whole = entry_size(format, level);
    while (size != 0) {
        uint64_t part = first_part(format, level, address, size);
        uint64_t *entry = &table[entry_index(format, level, address)];
        uint64_t old = entry_read(entry);
        if (part == whole && leaf_allowed(paging, level) && (physical & (whole - 1)) == 0) {
            old = __atomic_exchange_n(entry, leaf_make(paging, level, physical, rights), __ATOMIC_ACQ_REL);
            entries_written(paging, entry, sizeof(*entry));
            if (is_present(format, old)) {
                pending_lost(pending, address, part);
                if (!is_leaf(format, level, old))
                    pending_tree(pending, entry_table(format, old), level - 1);
            }
        } else {
            int error = 0;
            if (!is_present(format, old))
                error = table_link(paging, entry, level);
            else if (is_leaf(format, level, old))
                error = leaf_split(paging, entry, level);
            if (error == 0)
                error = map_table(pending, entry_table(format, entry_read(entry)), level - 1, address,
                                  physical, part, rights);
            if (error != 0)
                return error;
        }
        address += part;
        physical += part;
        size -= part;
    }
    return 0;
}

static bool table_empty(const struct paging_format *format, const uint64_t *table, unsigned level) {
    for (unsigned i = 0; i < table_entries(format, level); i++) {
        if (is_present(format, entry_read(&table[i])))
            return false;
    }
    return true;
}

/* The ends of the range are split already, so that no leaf is cut. */
static void unmap_table(struct pending *pending, uint64_t *table, unsigned level, uint64_t address,
                        uint64_t size) {
    const struct paging_format *format = pending->paging->format;
    while (size != 0) {
        uint64_t part = first_part(format, level, address, size);
        uint64_t *entry = &table[entry_index(format, level, address)];
        uint64_t old = entry_read(entry);
        if (is_present(format, old)) {
            uint64_t *below = is_leaf(format, level, old) ? NULL : entry_table(format, old);
            if (part == entry_size(format, level)) {
                entry_write(pending->paging, entry, 0);
                pending_lost(pending, address, part);
                if (below != NULL)
                    pending_tree(pending, below, level - 1);
            } else {
                bug_if(below == NULL);
                unmap_table(pending, below, level - 1, address, part);
                if (table_empty(format, below, level - 1)) {
                    entry_write(pending->paging, entry, 0);
                    pending_lost(pending, address, part);
                    pending_table(pending, below, level - 1, NULL);
                }
            }
        }
        address += part;
        size -= part;
    }
}

/* Other rights for a leaf, whose accessed and dirty bits stay. */
static void leaf_change(struct paging *paging, unsigned level, uint64_t *entry, unsigned rights) {
    const struct paging_format *format = paging->format;
    uint64_t old = entry_read(entry), kept = format->accessed | format->dirty;
    uint64_t value = leaf_make(paging, level, old & format->address_mask, rights);
    while (!entry_exchange(paging, entry, &old, value | (old & kept))) {
    }
}

static void protect_table(struct pending *pending, uint64_t *table, unsigned level, uint64_t address,
                          uint64_t size, unsigned rights) {
    const struct paging_format *format = pending->paging->format;
    while (size != 0) {
        uint64_t part = first_part(format, level, address, size);
        uint64_t *entry = &table[entry_index(format, level, address)];
        uint64_t old = entry_read(entry);
        if (is_present(format, old) && !is_leaf(format, level, old)) {
            protect_table(pending, entry_table(format, old), level - 1, address, part, rights);
        } else if (is_present(format, old)) {
            bug_if(part != entry_size(format, level));
            leaf_change(pending->paging, level, entry, rights);
            unsigned before = format->rights_decode(old);
            if ((before & ~rights & RIGHTS_ACCESS) != 0 || ((before ^ rights) & ~RIGHTS_ACCESS) != 0)
                pending_lost(pending, address, part);
        }
        address += part;
        size -= part;
    }
}

/* The large page that could stand for a whole table; 0: none. */
static uint64_t table_as_leaf(const struct paging *paging, const uint64_t *table, unsigned level) {
    const struct paging_format *format = paging->format;
    uint64_t used = format->accessed | format->dirty, all = 0;
    uint64_t first = entry_read(&table[0]);
    if (!is_present(format, first) || !is_leaf(format, level, first) ||
        (first & format->address_mask & (entry_size(format, level + 1) - 1)) != 0 ||
        (paging->small_code && (format->rights_decode(first) & PAGING_EXECUTE) != 0))
        return 0;
    for (unsigned i = 0; i < table_entries(format, level); i++) {
        uint64_t entry = entry_read(&table[i]);
        if (((entry ^ (first + i * entry_size(format, level))) & ~used) != 0)
            return 0;
        all |= entry & used;
    }
    return first | all | format->large_bit;
}

static void merge_table(struct pending *pending, uint64_t *table, unsigned level, uint64_t address,
                        uint64_t size) {
    struct paging *paging = pending->paging;
    const struct paging_format *format = paging->format;
    while (size != 0) {
        uint64_t part = first_part(format, level, address, size);
        uint64_t *entry = &table[entry_index(format, level, address)];
        uint64_t old = entry_read(entry);
        if (is_present(format, old) && !is_leaf(format, level, old)) {
            uint64_t *below = entry_table(format, old);
            if (level > 1)
                merge_table(pending, below, level - 1, address, part);
            uint64_t leaf = leaf_allowed(paging, level) ? table_as_leaf(paging, below, level - 1) : 0;
            if (leaf != 0) {
                entry_write(paging, entry, leaf);
                pending_lost(pending, address & ~(entry_size(format, level) - 1), entry_size(format, level));
                pending_table(pending, below, level - 1, entry);
            }
        }
        address += part;
        size -= part;
    }
}

static int split_table(struct pending *pending, uint64_t *table, unsigned level, uint64_t address,
                       uint64_t size) {
    const struct paging_format *format = pending->paging->format;
    int error = 0;
    while (level != 0 && size != 0 && error == 0) {
        uint64_t part = first_part(format, level, address, size), whole = entry_size(format, level);
        uint64_t *entry = &table[entry_index(format, level, address)], old = entry_read(entry);
        if (is_present(format, old) && is_leaf(format, level, old)) {
            error = leaf_split(pending->paging, entry, level);
            if (error == 0)
                pending_lost(pending, address & ~(whole - 1), whole);
        }
        if (is_present(format, old) && error == 0)
            error = split_table(pending, entry_table(format, entry_read(entry)), level - 1, address, part);
        address += part;
        size -= part;
    }
    return error;
}

struct harvest {
    void (*found)(void *context, uint64_t address, uint64_t size);
    void *context;
};

static void harvest_table(struct pending *pending, uint64_t *table, unsigned level, uint64_t address,
                          uint64_t size, const struct harvest *harvest) {
    const struct paging_format *format = pending->paging->format;
    uint64_t whole = entry_size(format, level);
    while (size != 0) {
        uint64_t part = first_part(format, level, address, size);
        uint64_t *entry = &table[entry_index(format, level, address)];
        uint64_t old = entry_read(entry);
        if (is_present(format, old) && !is_leaf(format, level, old)) {
            harvest_table(pending, entry_table(format, old), level - 1, address, part, harvest);
        } else if (is_present(format, old) && (old & format->dirty) != 0) {
            __atomic_fetch_and(entry, ~format->dirty, __ATOMIC_ACQ_REL);
            entries_written(pending->paging, entry, sizeof(*entry));
            pending_lost(pending, address & ~(whole - 1), whole);
            if (harvest->found != NULL)
                harvest->found(harvest->context, address & ~(whole - 1), whole);
        }
        address += part;
        size -= part;
    }
}

/* --- the interface --- */

static bool range_valid(const struct paging *paging, uint64_t address, uint64_t size) {
    const struct paging_format *format = paging->format;
    unsigned top = format->levels - 1u;
    unsigned bits = (unsigned)format->level[top].shift + format->level[top].bits;
    uint64_t last = address + size - 1;
    if (((address | size) & (PAGE_SIZE - 1)) != 0 || last < address)
        return false;
    if (format->physical)
        return last >> bits == 0;
    uint64_t sign = address >> (bits - 1);
    return sign == last >> (bits - 1) && (sign == 0 || sign == UINT64_MAX >> (bits - 1));
}

int paging_init(struct paging *paging, const struct paging_format *format, struct memory_account *account,
                unsigned largest) {
    memset(paging, 0, sizeof(*paging));
    paging->format = format;
    paging->account = account;
    paging->largest = largest;
    paging->root = heap_pages(0, account);
    return paging->root != NULL ? 0 : -ENOMEM;
}

void paging_destroy(struct paging *paging) {
    if (paging->root == NULL)
        return;
    struct pending pending = {.paging = paging};
    paging->flush = NULL;
    paging->retire = NULL;
    pending_tree(&pending, paging->root, paging->format->levels - 1u);
    pending_finish(&pending);
    paging->root = NULL;
}

/* Makes leaves start at both ends of a range. */
static int split_ends(struct paging *paging, uint64_t address, uint64_t size) {
    int error = split_at(paging, address);
    return error != 0 ? error : split_at(paging, address + size);
}

int paging_map(struct paging *paging, uint64_t address, uint64_t physical, uint64_t size, unsigned rights) {
    if (size == 0)
        return 0;
    if (!range_valid(paging, address, size) || (rights & PAGING_READ) == 0 ||
        (physical & (PAGE_SIZE - 1)) != 0 || physical + (size - 1) < physical ||
        ((physical + (size - 1)) & ~(PAGE_SIZE - 1) & ~paging->format->address_mask) != 0)
        return -EINVAL;
    struct pending pending = {.paging = paging};
    spin_lock(&paging->lock);
    int error =
        map_table(&pending, paging->root, paging->format->levels - 1u, address, physical, size, rights);
    pending_finish(&pending);
    spin_unlock(&paging->lock);
    return error;
}

int paging_unmap(struct paging *paging, uint64_t address, uint64_t size) {
    if (size == 0)
        return 0;
    if (!range_valid(paging, address, size))
        return -EINVAL;
    struct pending pending = {.paging = paging};
    spin_lock(&paging->lock);
    int error = split_ends(paging, address, size);
    if (error == 0)
        unmap_table(&pending, paging->root, paging->format->levels - 1u, address, size);
    pending_finish(&pending);
    spin_unlock(&paging->lock);
    return error;
}

int paging_protect(struct paging *paging, uint64_t address, uint64_t size, unsigned rights) {
    if (size == 0)
        return 0;
    if (!range_valid(paging, address, size) || (rights & PAGING_READ) == 0)
        return -EINVAL;
    struct pending pending = {.paging = paging};
    spin_lock(&paging->lock);
    int error = split_ends(paging, address, size);
    if (error == 0)
        protect_table(&pending, paging->root, paging->format->levels - 1u, address, size, rights);
    pending_finish(&pending);
    spin_unlock(&paging->lock);
    return error;
}

unsigned paging_merge(struct paging *paging, uint64_t address, uint64_t size) {
    if (size == 0 || !range_valid(paging, address, size))
        return 0;
    struct pending pending = {.paging = paging};
    spin_lock(&paging->lock);
    merge_table(&pending, paging->root, paging->format->levels - 1u, address, size);
    pending_finish(&pending);
    spin_unlock(&paging->lock);
    return pending.freed;
}

int paging_lookup(const struct paging *paging, uint64_t address, uint64_t *physical, unsigned *rights,
                  unsigned *shift) {
    const struct paging_format *format = paging->format;
    if (!range_valid(paging, address & ~(PAGE_SIZE - 1), PAGE_SIZE))
        return -ENOENT;
    struct spinlock *lock = (struct spinlock *)&paging->lock; /* which is no part of what the table says */
    int result = -ENOENT;
    spin_lock(lock);
    const uint64_t *table = paging->root;
    for (unsigned level = format->levels - 1u;; level--) {
        uint64_t entry = entry_read(&table[entry_index(format, level, address)]);
        if (!is_present(format, entry))
            break;
        if (is_leaf(format, level, entry)) {
            if (physical != NULL)
                *physical = (entry & format->address_mask) | (address & (entry_size(format, level) - 1));
            if (rights != NULL)
                *rights = format->rights_decode(entry);
            if (shift != NULL)
                *shift = format->level[level].shift;
            result = 0;
            break;
        }
        table = entry_table(format, entry);
    }
    spin_unlock(lock);
    return result;
}

int paging_harvest(struct paging *paging, uint64_t address, uint64_t size,
                   void (*found)(void *context, uint64_t address, uint64_t size), void *context) {
    if (paging->format->dirty == 0)
        return -ENOTSUP;
    if (size == 0)
        return 0;
    if (!range_valid(paging, address, size))
        return -EINVAL;
    struct pending pending = {.paging = paging};
    struct harvest harvest = {.found = found, .context = context};
    spin_lock(&paging->lock);
    harvest_table(&pending, paging->root, paging->format->levels - 1u, address, size, &harvest);
    pending_finish(&pending);
    spin_unlock(&paging->lock);
    return 0;
}

int paging_clean(struct paging *paging, const struct memory_range *ranges, unsigned count) {
    static const struct harvest nobody;
    if (paging->format->dirty == 0)
        return -ENOTSUP;
    for (unsigned i = 0; i < count; i++) {
        if (!range_valid(paging, ranges[i].base, ranges[i].size))
            return -EINVAL;
    }
    struct pending pending = {.paging = paging};
    spin_lock(&paging->lock);
    for (unsigned i = 0; i < count; i++)
        harvest_table(&pending, paging->root, paging->format->levels - 1u, ranges[i].base, ranges[i].size,
                      &nobody);
    pending_finish(&pending);
    spin_unlock(&paging->lock);
    return 0;
}

int paging_split(struct paging *paging, uint64_t address, uint64_t size) {
    if (size == 0)
        return 0;
    if (!range_valid(paging, address, size))
        return -EINVAL;
    struct pending pending = {.paging = paging};
    spin_lock(&paging->lock);
    int error = split_table(&pending, paging->root, paging->format->levels - 1u, address, size);
    pending_finish(&pending);
    spin_unlock(&paging->lock);
    return error;
}

int paging_execute(struct paging *paging, uint64_t address) {
    const struct paging_format *format = paging->format;
    if (!range_valid(paging, address & ~(PAGE_SIZE - 1), PAGE_SIZE))
        return -EINVAL;
    struct pending pending = {.paging = paging};
    uint64_t *table = paging->root;
    bool whole = false; /* the table comes from a split, and is one region */
    int error = 0;
    spin_lock(&paging->lock);
    for (unsigned level = format->levels - 1u; level != 0 && error == 0; level--) {
        uint64_t *entry = &table[entry_index(format, level, address)], old = entry_read(entry);
        whole = is_present(format, old) && is_leaf(format, level, old);
        error = whole ? leaf_split(paging, entry, level) : is_present(format, old) ? 0 : -ENOENT;
        if (whole && error == 0)
            pending_lost(&pending, address & ~(entry_size(format, level) - 1), entry_size(format, level));
        if (error == 0)
            table = entry_table(format, entry_read(entry));
    }
    uint64_t *page = &table[entry_index(format, 0, address)];
    if (error == 0 && !is_present(format, entry_read(page)))
        error = -ENOENT;
    for (uint64_t *at = table; error == 0 && at < table + table_entries(format, 0); at++)
        if (whole || at == page)
            leaf_change(paging, 0, at, format->rights_decode(entry_read(at)) | PAGING_EXECUTE);
    pending_finish(&pending);
    spin_unlock(&paging->lock);
    return error;
}
