// SPDX-License-Identifier: Apache-2.0
// Domains of device addresses: who is in which, what they map, and when that holds.
#include "drivers/iommu/iommu_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "core/arch.h"
#include "core/log.h"

/* More than this of the firmware's in one piece is not believed. */
#define MOST_RESERVED (4ull << 30)

struct iommu iommu;

static void unit_failed(const struct iommu_unit *unit) {
    panic("IOMMU %s does not answer: devices might reach memory that is not theirs any more", unit->name);
}

bool iommu_present(void) {
    return iommu.driver != NULL;
}

bool iommu_add_aliases(const struct iommu_device *device, struct iommu_device *all) {
    *all = *device;
    for (unsigned i = 0; iommu.driver->alias && i < device->count; i++) {
        uint16_t alias = iommu.driver->alias(device->segment, device->id[i]);
        unsigned j = 0;
        while (j < all->count && all->id[j] != alias)
            j++;
        if (j < all->count)
            continue;
        if (all->count == IOMMU_MAX_IDS)
            return false;
        all->id[all->count++] = alias;
    }
    return true;
}

bool iommu_covers(const struct iommu_device *device) {
    if (!iommu.driver)
        return false;
    for (unsigned i = 0; i < device->count; i++)
        if (!iommu.driver->find(device->segment, device->id[i]))
            return false;
    return true;
}

bool iommu_wants_memory(const struct iommu_device *device) {
    struct iommu_device all;
    uint64_t base, size;
    uint16_t segment, requester;

    if (!iommu_add_aliases(device, &all))
        return true; /* it cannot be attached */
    for (unsigned i = 0; iommu.driver->reserved(i, &segment, &requester, &base, &size); i++)
        for (unsigned j = 0; segment == all.segment && j < all.count; j++)
            if (requester == all.id[j])
                return true;
    return false;
}

unsigned iommu_address_bits(void) {
    return 64u - (unsigned)__builtin_clzll(iommu.driver->limit - 1);
}

/* ---- domains */

/* The paging engine's hook: entries lost rights. */
static void note(struct iommu_domain *domain, uint64_t address, uint64_t size) {
    uint64_t last = address + (size - 1);

    if (!domain->noted || address < domain->low)
        domain->low = address;
    if (!domain->noted || last > domain->high)
        domain->high = last;
    domain->noted = true;
}

static void note_lost(struct paging *paging, uint64_t address, uint64_t size) {
    note(container_of(paging, struct iommu_domain, paging), address, size);
}

/* The first eight bytes become the address of the next table, which is aligned to 4 KiB: no format takes that
 * for a present entry. */
static void retire(struct paging *paging, void *table) {
    struct iommu_domain *domain = container_of(paging, struct iommu_domain, paging);

    *(uint64_t *)table = (uintptr_t)domain->retired;
    domain->retired = table;
}

static void free_retired(struct iommu_domain *domain) {
    while (domain->retired) {
        void *table = domain->retired;
        domain->retired = (void *)(uintptr_t) * (uint64_t *)table;
        heap_pages_free(table, 0, domain->paging.account);
    }
}

/* With the lock. */
static int create(struct iommu_domain **out, const char *name, struct memory_account *account) {
    const struct iommu_driver *driver = iommu.driver;
    unsigned number = 1;

    while (number < IOMMU_DOMAINS && number < driver->domains && iommu.domain[number])
        number++;
    if (number == IOMMU_DOMAINS || number >= driver->domains)
        return -ENOSPC;
    struct iommu_domain *domain = heap_allocate(sizeof(*domain), account);
    if (!domain)
        return -ENOMEM;
    int error = paging_init(&domain->paging, driver->format, account, driver->largest);
    if (error) {
        heap_free(domain, sizeof(*domain), account);
        return error;
    }
    domain->paging.flush = note_lost;
    domain->paging.retire = retire;
    domain->paging.written = driver->written;
    if (driver->written)
        driver->written(domain->paging.root, PAGE_SIZE);
    snprintf(domain->name, sizeof(domain->name), "%s", name);
    domain->number = number;
    iommu.domain[number] = domain;
    *out = domain;
    return 0;
}

int iommu_domain_create(struct iommu_domain **domain, const char *name, struct memory_account *account,
                        void (*fault)(struct iommu_domain *domain, const struct iommu_fault *fault,
                                      bool suspended)) {
    if (!iommu.driver)
        return -ENODEV;
    spin_lock(&iommu.lock);
    int error = create(domain, name, account);
    if (!error)
        (*domain)->fault = fault;
    spin_unlock(&iommu.lock);
    return error;
}

void iommu_domain_seal(struct iommu_domain *domain) {
    domain->sealed = true;
}

void iommu_domain_destroy(struct iommu_domain *domain) {
    struct memory_account *account = domain->paging.account;

    spin_lock(&iommu.lock);
    bug_if(domain->sources);
    iommu.domain[domain->number] = NULL;
    free_retired(domain);
    spin_unlock(&iommu.lock);
    paging_destroy(&domain->paging);
    heap_free(domain, sizeof(*domain), account);
}

/* ---- what they map */

int iommu_map(struct iommu_domain *domain, uint64_t address, uint64_t physical, uint64_t size,
              bool writable) {
    const struct iommu_driver *driver = iommu.driver;

    if (!size)
        return 0;
    if (address >= driver->limit || size > driver->limit - address ||
        (address < driver->messages_end && driver->messages < address + size))
        return -EINVAL;
    spin_lock(&iommu.lock);
    int error =
        paging_map(&domain->paging, address, physical, size, PAGING_READ | (writable ? PAGING_WRITE : 0));
    if (driver->notes_absent && error != -EINVAL)
        note(domain, address, size);
    spin_unlock(&iommu.lock);
    return error;
}

int iommu_unmap(struct iommu_domain *domain, uint64_t address, uint64_t size) {
    if (!size)
        return 0;
    if (address >= iommu.driver->limit || size > iommu.driver->limit - address)
        return -EINVAL;
    spin_lock(&iommu.lock);
    int error = paging_unmap(&domain->paging, address, size);
    spin_unlock(&iommu.lock);
    return error;
}

/* Each unit that has somebody of the domain, once. A unit that has nobody remembers nothing of it. */
static void flush(struct iommu_domain *domain) {
    if (!domain->noted)
        return;
    for (unsigned i = 0; i < iommu.unit_count; i++) {
        struct iommu_unit *unit = iommu.unit[i];
        bool has = false;
        for (unsigned j = 0; j < IOMMU_SOURCES && !has; j++)
            has = iommu.source[j].used && iommu.source[j].in == domain && iommu.source[j].unit == unit;
        if (has && iommu.driver->flush(unit, domain, domain->low, domain->high - domain->low + 1))
            unit_failed(unit);
    }
    domain->noted = false;
    free_retired(domain);
}

void iommu_flush(struct iommu_domain *domain) {
    spin_lock(&iommu.lock);
    flush(domain);
    spin_unlock(&iommu.lock);
}

int iommu_lookup(const struct iommu_domain *domain, uint64_t address, uint64_t *physical, bool *writable) {
    unsigned rights;
    int error = paging_lookup(&domain->paging, address, physical, &rights, NULL);

    if (!error)
        *writable = (rights & PAGING_WRITE) != 0;
    return error;
}

/* ---- who is in them */

struct iommu_source *iommu_source(uint16_t segment, uint16_t requester, bool make) {
    struct iommu_source *free = NULL, *nobodys = NULL;

    for (unsigned i = 0; i < IOMMU_SOURCES; i++) {
        struct iommu_source *source = &iommu.source[i];
        if (source->used && source->segment == segment && source->requester == requester)
            return source;
        if (!source->used && !free)
            free = source;
        if (source->used && !source->domain && !source->kept && !nobodys)
            nobodys = source;
    }
    /* A function may send under any number of IDs: what is known of those that are nobody's makes room. */
    if (!free)
        free = nobodys;
    struct iommu_unit *unit = make && free ? iommu.driver->find(segment, requester) : NULL;
    if (!unit)
        return NULL;
    *free = (struct iommu_source){
        .used = true, .segment = segment, .requester = requester, .unit = unit, .group = requester};
    return free;
}

/* Tells the unit where it is from now on. 0 or -ENOMEM: it is in no domain then. */
static int source_set(struct iommu_source *source, struct iommu_domain *in, bool quiet) {
    int error = iommu.driver->set(source->unit, source->requester, source->in, in, quiet);

    if (error == -EIO)
        unit_failed(source->unit);
    source->in = error ? NULL : in;
    source->quiet = quiet && !error;
    return error;
}

void iommu_source_block(struct iommu_source *source, bool quiet) {
    /* Without memory for the table that would make it quiet it is blocked all the same. */
    source_set(source, NULL, quiet);
}

static void source_leave(struct iommu_source *source) {
    if (source->domain && --source->domain->sources == 0)
        source->domain->suspended = false;
    source->domain = NULL;
}

/* 0 or -ENOMEM: it is in none then. */
static int source_enter(struct iommu_source *source, struct iommu_domain *domain) {
    source_leave(source);
    int error = source_set(source, domain, false);
    if (!error) {
        source->domain = domain;
        domain->sources++;
    }
    return error;
}

static bool is_somebodys(const struct iommu_domain *domain) {
    return domain && domain != iommu.firmware;
}

/* Whether a function may be put into the domain; NULL, or why not. */
static const char *refuses(const struct iommu_domain *domain, const struct iommu_device *device) {
    if (domain->suspended)
        return "its domain is suspended for what its devices did";
    if (!iommu_covers(device))
        return "no IOMMU translates its DMA";
    for (unsigned i = 0; i < IOMMU_SOURCES; i++) {
        const struct iommu_source *source = &iommu.source[i];
        if (!source->used || source->segment != device->segment || !is_somebodys(source->domain) ||
            source->domain == domain)
            continue;
        if (source->group == device->group)
            return "a function that it cannot be kept apart from is somebody else's";
        for (unsigned j = 0; j < device->count; j++)
            if (source->requester == device->id[j])
                return "somebody else's function sends under the same requester ID";
    }
    return NULL;
}

/* Maps one range 1:1 unless it is; nothing else may be there. NULL, or why not. */
static const char *map_same(struct iommu_domain *domain, uint64_t base, uint64_t size) {
    const struct iommu_driver *driver = iommu.driver;
    uint64_t mapped = 0;

    if (size > MOST_RESERVED || !arch_firmware_memory(base, size))
        return "the firmware wants it to reach memory that is not the firmware's";
    if (base >= driver->limit || size > driver->limit - base ||
        (base < driver->messages_end && driver->messages < base + size))
        return "the firmware wants it to reach memory that the IOMMU does not";
    for (uint64_t at = base; at < base + size; at += PAGE_SIZE) {
        uint64_t physical;
        if (paging_lookup(&domain->paging, at, &physical, NULL, NULL))
            continue;
        if (physical != at)
            return "other memory is where the firmware wants it to reach its own";
        mapped += PAGE_SIZE;
    }
    if (mapped == size)
        return NULL;
    if (paging_map(&domain->paging, base, base, size, PAGING_READ | PAGING_WRITE))
        return "there is no memory for its tables";
    if (driver->notes_absent)
        note(domain, base, size);
    return NULL;
}

/* The firmware's memory for one requester ID. */
static const char *map_reserved(struct iommu_domain *domain, uint16_t segment, uint16_t requester) {
    uint64_t base, size;
    uint16_t in, of;
    const char *why = NULL;

    for (unsigned i = 0; !why && iommu.driver->reserved(i, &in, &of, &base, &size); i++)
        if (in == segment && of == requester)
            why = map_same(domain, base, size);
    flush(domain);
    return why;
}

/* One function less that is in a domain under this ID. */
static void source_release(struct iommu_source *source) {
    if (--source->users)
        return;
    if (source->kept && !source_enter(source, iommu.firmware))
        return;
    source_leave(source);
    iommu_source_block(source, false);
}

static const char *attach(struct iommu_domain *domain, const struct iommu_device *device) {
    const char *why = refuses(domain, device);

    for (unsigned i = 0; !why && !domain->sealed && i < device->count; i++)
        why = map_reserved(domain, device->segment, device->id[i]);
    for (unsigned i = 0; !why && i < device->count; i++) {
        struct iommu_source *source = iommu_source(device->segment, device->id[i], true);
        if (!source || (source->domain != domain && source_enter(source, domain))) {
            why = "there is no memory for its tables";
            if (source) { /* back to where it was */
                source->users++;
                source_release(source);
            }
            while (i-- > 0)
                source_release(iommu_source(device->segment, device->id[i], false));
            break;
        }
        source->group = device->group;
        source->users++;
        source->second = 0;
        source->in_second = 0;
    }
    return why;
}

const char *iommu_attach(struct iommu_domain *domain, const struct iommu_device *device) {
    bug_if(device->count < 1 || device->count > IOMMU_MAX_IDS);
    struct iommu_device all;
    if (!iommu_add_aliases(device, &all))
        return "what it sends may come under more requester IDs than are supported";
    spin_lock(&iommu.lock);
    const char *why = attach(domain, &all);
    spin_unlock(&iommu.lock);
    return why;
}

void iommu_detach(struct iommu_domain *domain, const struct iommu_device *device) {
    struct iommu_device all;
    bug_if(!iommu_add_aliases(device, &all));
    spin_lock(&iommu.lock);
    for (unsigned i = 0; i < all.count; i++) {
        struct iommu_source *source = iommu_source(all.segment, all.id[i], false);
        bug_if(!source || source->domain != domain);
        source_release(source);
    }
    spin_unlock(&iommu.lock);
}

/* ---- the start */

/* A function that nobody has goes on to reach what the firmware set aside for it: a display, for example.
 * NULL, or why not. */
static const char *keep(uint16_t segment, uint16_t requester, uint64_t base, uint64_t size) {
    if (!iommu.firmware && create(&iommu.firmware, "the firmware", NULL))
        return "there is no memory for its tables";
    const char *why = map_same(iommu.firmware, base, size);
    if (why)
        return why;
    struct iommu_source *source = iommu_source(segment, requester, true);
    if (!source)
        return "no IOMMU translates its DMA";
    if (source->domain != iommu.firmware && source_enter(source, iommu.firmware))
        return "there is no memory for its tables";
    source->kept = true;
    return NULL;
}

static void keep_reserved(void) {
    uint64_t base, size;
    uint16_t segment, requester;

    for (unsigned i = 0; iommu.driver->reserved(i, &segment, &requester, &base, &size); i++) {
        const char *why = keep(segment, requester, base, size);
        if (why)
            log_warning("IOMMU: PCI %04x:%02x:%02x.%x does not reach 0x%llx, as the firmware wants: %s",
                        segment, requester >> 8, requester >> 3 & 31, requester & 7, (unsigned long long)base,
                        why);
    }
    if (iommu.firmware)
        flush(iommu.firmware);
}

void iommu_start(const struct iommu_driver *driver, struct iommu_unit *const *units, unsigned count) {
    bug_if(iommu.driver || !count || count > IOMMU_MAX_UNITS);
    for (unsigned i = 0; i < count; i++)
        units[i]->number = i;
    spin_lock(&iommu.lock);
    iommu.unit = units;
    iommu.unit_count = count;
    iommu.driver = driver;
    keep_reserved();
    spin_unlock(&iommu.lock);
}
