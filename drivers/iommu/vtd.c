// SPDX-License-Identifier: Apache-2.0
// Intel VT-d in its legacy mode (specification 4.1): the units' start, root and context tables, second-level
// tables of three or four levels.
#include "drivers/iommu/vtd.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include "core/arch.h"
#include "core/log.h"
#include "drivers/iommu/vtd_start.h"

#define TABLE             0x000ffffffffff000ull

/* A second-level entry (9.8). */
#define PAGE_READ         (1ull << 0)
#define PAGE_WRITE        (1ull << 1)
#define PAGE_LARGE        (1ull << 7)
#define PAGE_SNOOP        (1ull << 11)

/* The second half of a context entry (9.3). */
#define CONTEXT_LEVELS(n) ((uint64_t)(n)-2)
#define CONTEXT_DOMAIN(d) ((uint64_t)(d) << 8)

static const struct acpi_dmar *table;
static struct vtd_unit *unit_of_dmar[ACPI_DMAR_MAX_UNITS]; /* NULL: it is not used */
static struct iommu_unit *units[IOMMU_MAX_UNITS];
static unsigned unit_count;
static bool coherent; /* all units look into the caches of CPUs */
static struct iommu_driver driver;

static_assert(IOMMU_MAX_UNITS >= ACPI_DMAR_MAX_UNITS, "each unit of a table has its place");

/* ---- second-level tables */

static uint64_t rights_encode(unsigned rights) {
    return PAGE_READ | (rights & PAGING_WRITE ? PAGE_WRITE : 0);
}

static unsigned rights_decode(uint64_t entry) {
    return PAGING_READ | (entry & PAGE_WRITE ? PAGING_WRITE : 0);
}

/* What differs between machines is set when the units are known. */
static struct paging_format format = {
    .name = "VT-d",
    .level = {{.shift = 12, .bits = 9, .leaf = true},
              {.shift = 21, .bits = 9, .leaf = true},
              {.shift = 30, .bits = 9, .leaf = true},
              {.shift = 39, .bits = 9, .leaf = false}},
    .address_mask = TABLE,
    .present_mask = PAGE_READ | PAGE_WRITE,
    .table_bits = PAGE_READ | PAGE_WRITE,
    .large_bit = PAGE_LARGE,
    .physical = true,
    .rights_encode = rights_encode,
    .rights_decode = rights_decode,
};

void vtd_written(const void *entries, size_t size) {
    if (!coherent)
        arch_cache_flush(entries, size);
}

/* ---- commands */

int vtd_wait32(const struct vtd_unit *unit, unsigned offset, uint32_t mask, uint32_t value) {
    uint64_t begin = time_now();

    while ((vtd_read32(unit, offset) & mask) != value) {
        if (time_now() - begin > VTD_PATIENCE) {
            log_error("IOMMU %s at 0x%llx: its register 0x%x stays 0x%x", unit->unit.name,
                      (unsigned long long)unit->dmar->base, offset, vtd_read32(unit, offset));
            return -EIO;
        }
        cpu_relax();
    }
    return 0;
}

int vtd_command(const struct vtd_unit *unit, uint32_t bit, bool on) {
    uint32_t now = vtd_read32(unit, VTD_GSTS) & ~VTD_ONE_SHOT;

    vtd_write32(unit, VTD_GCMD, on ? now | bit : now & ~bit);
    /* All bits say that it is done by becoming set, but for the flush, whose bit is set until then. */
    return vtd_wait32(unit, VTD_GSTS, bit, on && bit != VTD_WBF ? bit : 0);
}

/* ---- root and context tables */

/* A requester's context entry; NULL: there is no table for its bus, and none is made or can be had. */
static uint64_t *context_of(const struct vtd_unit *unit, uint16_t requester, bool make) {
    uint64_t *root = unit->root[requester >> 8];

    if (!(root[0] & VTD_PRESENT)) {
        void *page = make ? heap_pages(0, NULL) : NULL;
        if (!page)
            return NULL;
        vtd_written(page, PAGE_SIZE);
        __atomic_store_n(&root[0], arch_heap_physical(page) | VTD_PRESENT, __ATOMIC_RELEASE);
        vtd_written(root, sizeof(*unit->root));
    }
    uint64_t(*contexts)[2] = arch_heap_virtual(root[0] & TABLE);
    return contexts[requester & 0xff];
}

static void context_write(uint64_t *context, unsigned half, uint64_t value) {
    __atomic_store_n(&context[half], value, __ATOMIC_RELEASE);
    vtd_written(&context[half], sizeof(value));
}

static int set(struct iommu_unit *common, uint16_t requester, const struct iommu_domain *from,
               const struct iommu_domain *to, bool quiet) {
    struct vtd_unit *unit = vtd_unit_of(common);
    uint64_t *context = context_of(unit, requester, to || quiet);

    if (!context)
        return to || quiet ? -ENOMEM : 0;
    context_write(context, 0, quiet ? VTD_QUIET : 0);
    int error = vtd_forget_context(unit, requester, from ? from->number : 0);
    if (error || !to)
        return error;
    context_write(context, 1, CONTEXT_LEVELS(format.levels) | CONTEXT_DOMAIN(to->number));
    context_write(context, 0, arch_heap_physical(to->paging.root) | VTD_PRESENT);
    /* What was not present is remembered as domain 0's, in caching mode (6.1). */
    return vtd_forget_context(unit, requester, 0);
}

static int flush(struct iommu_unit *unit, const struct iommu_domain *domain, uint64_t address,
                 uint64_t size) {
    return vtd_forget_pages(vtd_unit_of(unit), domain->number, address, size);
}

/* ---- what the table says */

static struct iommu_unit *common_of(const struct acpi_dmar_unit *of) {
    struct vtd_unit *unit = of ? unit_of_dmar[of - table->unit] : NULL;
    return unit ? &unit->unit : NULL;
}

static struct iommu_unit *find(uint16_t segment, uint16_t requester) {
    return common_of(
        acpi_dmar_find_unit(table, segment, (uint8_t)(requester >> 8), (uint8_t)(requester & 0xff)));
}

static struct iommu_unit *find_ioapic(uint8_t ioapic, uint16_t *requester) {
    return common_of(acpi_dmar_find_ioapic(table, ioapic, requester));
}

/* Each range for each function that the table names with it. */
static bool reserved(unsigned index, uint16_t *segment, uint16_t *requester, uint64_t *base, uint64_t *size) {
    for (unsigned i = 0; i < table->reserved_count; i++) {
        const struct acpi_dmar_reserved *range = &table->reserved[i];
        if (index >= range->scopes.count) {
            index -= range->scopes.count;
            continue;
        }
        const struct acpi_dmar_scope *scope = &table->scope[range->scopes.first + index];
        *segment = range->segment;
        *requester = (uint16_t)(scope->bus << 8 | scope->devfn);
        *base = range->base;
        *size = range->limit - range->base + 1;
        return true;
    }
    return false;
}

static void describe(const struct iommu_unit *common, char *text, size_t size) {
    const struct vtd_unit *unit = container_of(common, const struct vtd_unit, unit);

    snprintf(text, size, "at 0x%llx, %u bits, pages up to %s, %s invalidation%s%s%s",
             (unsigned long long)unit->dmar->base, 12 + 9 * format.levels,
             driver.largest == HUGE_PAGE_SHIFT    ? "1 GiB"
             : driver.largest == LARGE_PAGE_SHIFT ? "2 MiB"
                                                  : "4 KiB",
             unit->queue ? "queued" : "register-based", unit->cap & VTD_CAP_CM ? ", caching mode" : "",
             unit->unit.interrupt ? ", interrupts remapped" : "", coherent ? "" : ", tables not snooped");
}

static struct iommu_driver driver = {
    .format = &format,
    .messages = 0xfee00000,
    .messages_end = 0xfef00000,
    .find = find,
    .reserved = reserved,
    .set = set,
    .flush = flush,
    .find_ioapic = find_ioapic,
    .interrupt_write = vtd_interrupt_write,
    .interrupt_message = vtd_interrupt_message,
    .interrupt_line = vtd_interrupt_line,
    .describe = describe,
};

/* ---- the start */

/* The unit's registers, and what it can. False: it is none that can be used. */
static bool open_unit(struct vtd_unit *unit) {
    uint64_t size = unit->dmar->size;

    unit->registers = arch_device_map(unit->dmar->base, size);
    if (!unit->registers || vtd_read32(unit, VTD_VER) == UINT32_MAX) {
        log_error("IOMMU %s at 0x%llx does not answer", unit->unit.name,
                  (unsigned long long)unit->dmar->base);
        return false;
    }
    unit->cap = vtd_read64(unit, VTD_CAP);
    unit->ecap = vtd_read64(unit, VTD_ECAP);
    /* Tables of before 4.0 do not say that a unit has more than a page. */
    uint64_t faults = VTD_CAP_FAULTS(unit->cap) + 16ull * VTD_CAP_RECORDS(unit->cap);
    uint64_t iotlb = VTD_ECAP_IOTLB(unit->ecap) + 16ull;
    uint64_t end = faults > iotlb ? faults : iotlb;
    if (end > size)
        unit->registers = arch_device_map(unit->dmar->base, end);
    if (!unit->registers || !(unit->cap & (VTD_CAP_3_LEVELS | VTD_CAP_4_LEVELS))) {
        log_error("IOMMU %s at 0x%llx is of a kind that cannot be used (capabilities 0x%llx 0x%llx)",
                  unit->unit.name, (unsigned long long)unit->dmar->base, (unsigned long long)unit->cap,
                  (unsigned long long)unit->ecap);
        return false;
    }
    return true;
}

/* What firmware has left switched on is switched off, in the order that the specification asks for. */
static int switch_off(const struct vtd_unit *unit) {
    static const uint32_t bits[] = {VTD_IRE, VTD_TE, VTD_QIE};
    int error = 0;

    for (unsigned i = 0; i < array_count(bits) && !error; i++) {
        if (!(vtd_read32(unit, VTD_GSTS) & bits[i]))
            continue;
        /* What is in the queue is finished first (6.5.2). */
        uint64_t begin = time_now();
        while (bits[i] == VTD_QIE && vtd_read64(unit, VTD_IQH) != vtd_read64(unit, VTD_IQT) &&
               time_now() - begin < VTD_PATIENCE)
            cpu_relax();
        error = vtd_command(unit, bits[i], false);
    }
    return error;
}

/* Tables, and all that is needed to change them. 0, -ENOMEM, -EIO. */
static int prepare(struct vtd_unit *unit) {
    int error = switch_off(unit);

    if (error)
        return error;
    vtd_faults_clear(unit);
    unit->root = heap_pages(0, NULL);
    if (!unit->root)
        return -ENOMEM;
    vtd_written(unit->root, PAGE_SIZE);
    vtd_write64(unit, VTD_RTADDR, arch_heap_physical(unit->root));
    error = vtd_command(unit, VTD_SRTP, true);
    if (!error)
        error = vtd_queue_start(unit);
    return error ? error : vtd_forget_all(unit);
}

/* Translation is on; and ranges that the firmware has kept from all DMA until now are as others. */
static int switch_on(const struct vtd_unit *unit) {
    int error = vtd_command(unit, VTD_TE, true);

    if (!error && (unit->cap & (VTD_CAP_PLMR | VTD_CAP_PHMR)) &&
        (vtd_read32(unit, VTD_PMEN) & VTD_PMEN_ENABLE)) {
        vtd_write32(unit, VTD_PMEN, 0);
        error = vtd_wait32(unit, VTD_PMEN, VTD_PMEN_STATUS, 0);
    }
    return error;
}

static void give_up(struct vtd_unit *unit, int error) {
    log_error("IOMMU %s at 0x%llx cannot be used (%d): DMA behind it is unprotected", unit->unit.name,
              (unsigned long long)unit->dmar->base, error);
    unit_of_dmar[unit->dmar - table->unit] = NULL;
}

/* What all units can, who share the tables of domains. False: nothing that would do for all of them. */
static bool find_common(struct vtd_unit *const *found, unsigned count) {
    uint64_t all = UINT64_MAX, coherence = UINT64_MAX;
    unsigned width = 64;

    driver.domains = UINT32_MAX;
    for (unsigned i = 0; i < count; i++) {
        const struct vtd_unit *unit = found[i];
        all &= unit->cap;
        coherence &= unit->ecap;
        if (VTD_CAP_WIDTH(unit->cap) < width)
            width = VTD_CAP_WIDTH(unit->cap);
        if (VTD_CAP_DOMAINS(unit->cap) < driver.domains)
            driver.domains = VTD_CAP_DOMAINS(unit->cap);
        driver.notes_absent = driver.notes_absent || (unit->cap & (VTD_CAP_CM | VTD_CAP_RWBF));
    }
    format.levels = all & VTD_CAP_4_LEVELS ? 4 : 3;
    format.leaf_bits = coherence & VTD_ECAP_SC ? PAGE_SNOOP : 0;
    unsigned reach = PAGE_SHIFT + 9 * format.levels;
    driver.limit = 1ull << (width < reach ? width : reach);
    driver.largest = !(all & VTD_CAP_2M)   ? PAGE_SHIFT
                     : !(all & VTD_CAP_1G) ? LARGE_PAGE_SHIFT
                                           : HUGE_PAGE_SHIFT;
    coherent = coherence & VTD_ECAP_C;
    driver.written = coherent ? NULL : arch_cache_flush;
    return all & (VTD_CAP_3_LEVELS | VTD_CAP_4_LEVELS);
}

/* The units that are left, in the order of the table. */
static unsigned open_all(struct vtd_unit **found) {
    unsigned count = 0;

    for (unsigned i = 0; i < table->unit_count; i++) {
        struct vtd_unit *unit = heap_allocate(sizeof(*unit), NULL);
        if (!unit) {
            log_error("IOMMU: no memory for unit %u: DMA behind it is unprotected", i);
            continue;
        }
        unit->dmar = &table->unit[i];
        snprintf(unit->unit.name, sizeof(unit->unit.name), "VT-d %u", i);
        if (open_unit(unit))
            found[count++] = unit;
        else
            heap_free(unit, sizeof(*unit), NULL);
    }
    return count;
}

void vtd_start(const struct acpi_dmar *dmar) {
    struct vtd_unit *found[ACPI_DMAR_MAX_UNITS];

    table = dmar;
    unsigned count = open_all(found);
    bool common = find_common(found, count);
    for (unsigned i = 0; i < count; i++) {
        unit_of_dmar[found[i]->dmar - table->unit] = found[i];
        int error = common ? prepare(found[i]) : -ENOTSUP;
        if (error)
            give_up(found[i], error);
        else
            units[unit_count++] = &found[i]->unit;
    }
    if (!unit_count)
        return;
    iommu_start(&driver, units, unit_count);
    for (unsigned i = 0; i < unit_count; i++) {
        struct vtd_unit *unit = vtd_unit_of(units[i]);
        int error = switch_on(unit);
        if (error)
            give_up(unit, error);
    }
}

bool vtd_can_remap(void) {
    for (unsigned i = 0; i < unit_count; i++) {
        const struct vtd_unit *unit = vtd_unit_of(units[i]);
        if (table->interrupt_remapping && unit_of_dmar[unit->dmar - table->unit] &&
            (unit->ecap & VTD_ECAP_IR) && unit->queue)
            return true;
    }
    return false;
}

void vtd_start_interrupts(bool remap) {
    char text[128];

    for (unsigned i = 0; i < unit_count; i++) {
        struct vtd_unit *unit = vtd_unit_of(units[i]);
        if (!unit_of_dmar[unit->dmar - table->unit])
            continue;
        int error = remap && table->interrupt_remapping ? vtd_interrupts_start(unit) : -ENOTSUP;
        if (error)
            log_warning("IOMMU %s does not remap interrupts (%d): what is behind it can raise any of them",
                        unit->unit.name, error);
        vtd_faults_start(unit);
        describe(&unit->unit, text, sizeof(text));
        log_info("IOMMU %s: %s", unit->unit.name, text);
    }
}
