// SPDX-License-Identifier: Apache-2.0
// What a VT-d unit is told to forget: by the invalidation queue, or by registers where it has none (VT-d
// specification 4.1, 6.5). Each call waits for the unit.
#include <errno.h>
#include "core/arch.h"
#include "core/log.h"
#include "drivers/iommu/vtd.h"

/* Descriptors of the queue (6.5.2). */
#define DESCRIPTOR_CONTEXT   1u
#define DESCRIPTOR_IOTLB     2u
#define DESCRIPTOR_INTERRUPT 4u
#define DESCRIPTOR_WAIT      5u
#define WAIT_STATUS          (1u << 5) /* it writes a word to memory */
#define GRANULARITY(g)       ((uint64_t)(g) << 4)
#define DRAIN_WRITE          (1ull << 6)
#define DRAIN_READ           (1ull << 7)

/* Granularities of the IOTLB and, but for the last, of context entries. */
#define ALL                  1u
#define DOMAIN               2u
#define ONE                  3u /* a requester, or pages */

/* The registers (11.4.5, 11.4.6). */
#define CCMD_GO              (1ull << 63)
#define CCMD_GRANULARITY(g)  ((uint64_t)(g) << 61)
#define IOTLB_GO             (1ull << 63)
#define IOTLB_GRANULARITY(g) ((uint64_t)(g) << 60)
#define IOTLB_DRAIN_READ     (1ull << 49)
#define IOTLB_DRAIN_WRITE    (1ull << 48)

int vtd_flush_writes(const struct vtd_unit *unit) {
    return unit->cap & VTD_CAP_RWBF ? vtd_command(unit, VTD_WBF, true) : 0;
}

int vtd_queue_start(struct vtd_unit *unit) {
    if (!(unit->ecap & VTD_ECAP_QI))
        return 0;
    unit->queue = heap_pages(0, NULL);
    if (!unit->queue)
        return -ENOMEM;
    unit->tail = 0;
    vtd_write64(unit, VTD_IQT, 0);
    vtd_write64(unit, VTD_IQA, arch_heap_physical(unit->queue)); /* one page of 16-byte descriptors */
    return vtd_command(unit, VTD_QIE, true);
}

/* ---- the queue */

static void put(struct vtd_unit *unit, uint64_t low, uint64_t high) {
    unit->queue[unit->tail][0] = low;
    unit->queue[unit->tail][1] = high;
    unit->tail = (unit->tail + 1) % VTD_ENTRIES;
}

/* Hands over what was put there, and waits. The unit is always done with all that came before. */
static int queue_wait(struct vtd_unit *unit) {
    uint64_t begin = time_now();

    unit->asked++;
    put(unit, DESCRIPTOR_WAIT | WAIT_STATUS | (uint64_t)unit->asked << 32,
        arch_heap_physical(&unit->answered));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    vtd_write64(unit, VTD_IQT, unit->tail * sizeof(*unit->queue));
    while (__atomic_load_n(&unit->answered, __ATOMIC_ACQUIRE) != unit->asked) {
        if (time_now() - begin > VTD_PATIENCE || (vtd_read32(unit, VTD_FSTS) & VTD_FSTS_QUEUE)) {
            log_error("IOMMU %s: its invalidation queue has stopped (head 0x%llx, tail 0x%x, status 0x%x)",
                      unit->unit.name, (unsigned long long)vtd_read64(unit, VTD_IQH),
                      (unsigned)(unit->tail * sizeof(*unit->queue)), vtd_read32(unit, VTD_FSTS));
            return -EIO;
        }
        cpu_relax();
    }
    return 0;
}

/* ---- registers */

static int wait64(const struct vtd_unit *unit, unsigned offset, uint64_t busy) {
    uint64_t begin = time_now();

    while (vtd_read64(unit, offset) & busy) {
        if (time_now() - begin > VTD_PATIENCE) {
            log_error("IOMMU %s: its register 0x%x stays busy", unit->unit.name, offset);
            return -EIO;
        }
        cpu_relax();
    }
    return 0;
}

/* ---- what is forgotten; the caller has flushed writes */

static int context(struct vtd_unit *unit, unsigned granularity, uint16_t requester, unsigned domain) {
    if (unit->queue) {
        put(unit,
            DESCRIPTOR_CONTEXT | GRANULARITY(granularity) | (uint64_t)domain << 16 |
                (uint64_t)requester << 32,
            0);
        return 0; /* with what follows */
    }
    vtd_write64(unit, VTD_CCMD, CCMD_GO | CCMD_GRANULARITY(granularity) | (uint64_t)requester << 16 | domain);
    return wait64(unit, VTD_CCMD, CCMD_GO);
}

/* Pages: 2^order of them at `address`. */
static int iotlb(struct vtd_unit *unit, unsigned granularity, unsigned domain, uint64_t address,
                 unsigned order) {
    uint64_t where = granularity == ONE ? address | order : 0;
    bool reads = unit->cap & VTD_CAP_DRAIN_READ, writes = unit->cap & VTD_CAP_DRAIN_WRITE;

    if (unit->queue) {
        put(unit,
            DESCRIPTOR_IOTLB | GRANULARITY(granularity) | (reads ? DRAIN_READ : 0) |
                (writes ? DRAIN_WRITE : 0) | (uint64_t)domain << 16,
            where);
        return queue_wait(unit);
    }
    unsigned base = VTD_ECAP_IOTLB(unit->ecap);
    if (granularity == ONE)
        vtd_write64(unit, base + VTD_IVA, where);
    vtd_write64(unit, base + VTD_IOTLB,
                IOTLB_GO | IOTLB_GRANULARITY(granularity) | (reads ? IOTLB_DRAIN_READ : 0) |
                    (writes ? IOTLB_DRAIN_WRITE : 0) | (uint64_t)domain << 32);
    return wait64(unit, base + VTD_IOTLB, IOTLB_GO);
}

int vtd_forget_all(struct vtd_unit *unit) {
    int error = vtd_flush_writes(unit);

    if (!error)
        error = context(unit, ALL, 0, 0);
    return error ? error : iotlb(unit, ALL, 0, 0, 0);
}

int vtd_forget_context(struct vtd_unit *unit, uint16_t requester, unsigned domain) {
    int error = vtd_flush_writes(unit);

    if (!error)
        error = context(unit, ONE, requester, domain);
    return error ? error : iotlb(unit, DOMAIN, domain, 0, 0);
}

int vtd_forget_pages(struct vtd_unit *unit, unsigned domain, uint64_t address, uint64_t size) {
    uint64_t first = address >> PAGE_SHIFT, last = (address + (size - 1)) >> PAGE_SHIFT;
    unsigned order = 0;
    int error = vtd_flush_writes(unit);

    if (error)
        return error;
    while (order < 52 && first >> order != last >> order)
        order++;
    if (!(unit->cap & VTD_CAP_PSI) || order > VTD_CAP_MAMV(unit->cap))
        return iotlb(unit, DOMAIN, domain, 0, 0);
    return iotlb(unit, ONE, domain, first >> order << order << PAGE_SHIFT, order);
}

int vtd_forget_interrupt(struct vtd_unit *unit, unsigned index) {
    put(unit, DESCRIPTOR_INTERRUPT | GRANULARITY(1) | (uint64_t)index << 32, 0);
    return queue_wait(unit);
}

int vtd_forget_interrupts(struct vtd_unit *unit) {
    put(unit, DESCRIPTOR_INTERRUPT, 0);
    return queue_wait(unit);
}
