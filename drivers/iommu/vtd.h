// SPDX-License-Identifier: Apache-2.0
// Intel VT-d: a unit's registers and tables (VT-d specification 4.1, ch. 9 and 11), and what the files of the
// driver share. A requester ID is what the specification calls source-id.
#ifndef SAGUARO_DRIVERS_IOMMU_VTD_H
#define SAGUARO_DRIVERS_IOMMU_VTD_H

#include "core/timer.h"
#include "drivers/iommu/driver.h"
#include "lib/acpi_dmar.h"

#define VTD_VER              0x000u
#define VTD_CAP              0x008u /* 64 bits */
#define VTD_ECAP             0x010u /* 64 bits */
#define VTD_GCMD             0x018u
#define VTD_GSTS             0x01cu
#define VTD_RTADDR           0x020u /* 64 bits */
#define VTD_CCMD             0x028u /* 64 bits */
#define VTD_FSTS             0x034u
#define VTD_FECTL            0x038u
#define VTD_FEDATA           0x03cu
#define VTD_FEADDR           0x040u
#define VTD_FEUADDR          0x044u
#define VTD_PMEN             0x064u
#define VTD_IQH              0x080u /* 64 bits */
#define VTD_IQT              0x088u /* 64 bits */
#define VTD_IQA              0x090u /* 64 bits */
#define VTD_IRTA             0x0b8u /* 64 bits */
#define VTD_IVA              0x000u /* from ECAP.IRO; 64 bits */
#define VTD_IOTLB            0x008u /* from ECAP.IRO; 64 bits */

#define VTD_CAP_DOMAINS(cap) (1u << (4 + 2 * ((cap)&7)))
#define VTD_CAP_RWBF         (1ull << 4) /* writes to tables wait in a buffer */
#define VTD_CAP_PLMR         (1ull << 5)
#define VTD_CAP_PHMR         (1ull << 6)
#define VTD_CAP_CM           (1ull << 7) /* caching mode: what is not present is remembered, too */
#define VTD_CAP_3_LEVELS     (1ull << 9)
#define VTD_CAP_4_LEVELS     (1ull << 10)
#define VTD_CAP_WIDTH(cap)   ((unsigned)((cap) >> 16 & 0x3f) + 1)
#define VTD_CAP_FAULTS(cap)  ((unsigned)((cap) >> 24 & 0x3ff) * 16) /* offset of the records */
#define VTD_CAP_2M           (1ull << 34)
#define VTD_CAP_1G           (1ull << 35)
#define VTD_CAP_PSI          (1ull << 39) /* single pages can be invalidated ... */
#define VTD_CAP_RECORDS(cap) ((unsigned)((cap) >> 40 & 0xff) + 1)
#define VTD_CAP_MAMV(cap)    ((unsigned)((cap) >> 48 & 0x3f)) /* ... and 2^n of them */
#define VTD_CAP_DRAIN_WRITE  (1ull << 54)
#define VTD_CAP_DRAIN_READ   (1ull << 55)

#define VTD_ECAP_C           (1ull << 0) /* it looks into the caches of CPUs for its tables */
#define VTD_ECAP_QI          (1ull << 1) /* queued invalidation */
#define VTD_ECAP_IR          (1ull << 3) /* interrupt remapping */
#define VTD_ECAP_SC          (1ull << 7) /* it can make all DMA look into the caches of CPUs */
#define VTD_ECAP_IOTLB(ecap) ((unsigned)((ecap) >> 8 & 0x3ff) * 16)

/* Bits of GCMD, and of what GSTS says then. */
#define VTD_TE               (1u << 31)
#define VTD_SRTP             (1u << 30)
#define VTD_WBF              (1u << 27)
#define VTD_QIE              (1u << 26)
#define VTD_IRE              (1u << 25)
#define VTD_SIRTP            (1u << 24)
#define VTD_CFI              (1u << 23)
#define VTD_ONE_SHOT         0x69000000u /* those of GSTS that must not be written back (11.4.4.1) */

#define VTD_FSTS_OVERFLOW    (1u << 0)
#define VTD_FSTS_PENDING     (1u << 1)
#define VTD_FSTS_QUEUE       (1u << 4) /* a descriptor was wrong, or could not be read */
#define VTD_FSTS_ALL         0x7du     /* that are cleared by a 1 */
#define VTD_FSTS_INDEX(fsts) ((fsts) >> 8 & 0xff)
#define VTD_FECTL_MASK       (1u << 31)
#define VTD_PMEN_ENABLE      (1u << 31)
#define VTD_PMEN_STATUS      (1u << 0)

#define VTD_PRESENT          (1ull << 0) /* in root and context entries, and in those of interrupts */
#define VTD_QUIET            (1ull << 1) /* FPD, in context entries */

#define VTD_ENTRIES          256u /* of a root or context table, and of the queue: a page of 16-byte entries */

/* A unit's answer may take so long, ns. */
#define VTD_PATIENCE         1000000000ull

struct vtd_unit {
    struct iommu_unit unit;
    const struct acpi_dmar_unit *dmar;
    volatile uint8_t *registers; /* NULL: it is not used, and blocks nothing */
    uint64_t cap, ecap;
    uint64_t (*root)[2];  /* a page of heap, as the others */
    uint64_t (*queue)[2]; /* NULL: it is invalidated by registers */
    unsigned tail;        /* the next free entry of the queue */
    uint32_t answered;    /* the unit writes `asked` here once it has done what is in the queue */
    uint32_t asked;
    uint64_t (*remap)[2]; /* NULL: it does not remap interrupts */
    uint64_t second;      /* when the present count began ... */
    uint32_t in_second;   /* ... of faults that were read */
    struct timer timer;   /* the end of a pause after too many */
};

/* Registers. A unit test answers for a unit's. */
#ifdef TEST_REGISTERS
uint64_t vtd_test_read(const volatile uint8_t *at, unsigned size);
void vtd_test_write(volatile uint8_t *at, unsigned size, uint64_t value);
#endif

static inline uint32_t vtd_read32(const struct vtd_unit *unit, unsigned offset) {
#ifdef TEST_REGISTERS
    return (uint32_t)vtd_test_read(unit->registers + offset, 4);
#else
    return *(volatile uint32_t *)(unit->registers + offset);
#endif
}

static inline uint64_t vtd_read64(const struct vtd_unit *unit, unsigned offset) {
#ifdef TEST_REGISTERS
    return vtd_test_read(unit->registers + offset, 8);
#else
    return *(volatile uint64_t *)(unit->registers + offset);
#endif
}

static inline void vtd_write32(const struct vtd_unit *unit, unsigned offset, uint32_t value) {
#ifdef TEST_REGISTERS
    vtd_test_write(unit->registers + offset, 4, value);
#else
    *(volatile uint32_t *)(unit->registers + offset) = value;
#endif
}

static inline void vtd_write64(const struct vtd_unit *unit, unsigned offset, uint64_t value) {
#ifdef TEST_REGISTERS
    vtd_test_write(unit->registers + offset, 8, value);
#else
    *(volatile uint64_t *)(unit->registers + offset) = value;
#endif
}

static inline struct vtd_unit *vtd_unit_of(struct iommu_unit *unit) {
    return container_of(unit, struct vtd_unit, unit);
}

/* Makes units look at what was written to their tables: nothing to do if all of them look into caches. */
void vtd_written(const void *entries, size_t size);

/* Waits until the bits of a 32-bit register that `mask` has are `value`. 0, or -EIO: they are not, after
 * VTD_PATIENCE. */
int vtd_wait32(const struct vtd_unit *unit, unsigned offset, uint32_t mask, uint32_t value);
/* Does what one bit of GCMD is for (11.4.4): switches something on or off, or does something once. 0 or -EIO.
 */
int vtd_command(const struct vtd_unit *unit, uint32_t bit, bool on);

/* ---- vtd_queue.c: what a unit is to forget. Each waits until it has; 0 or -EIO. */
/* Makes the queue and switches it on, if the unit has one. 0, -ENOMEM, -EIO. */
int vtd_queue_start(struct vtd_unit *unit);
/* Writes that the unit has not seen yet go to memory, where it has a buffer for them. */
int vtd_flush_writes(const struct vtd_unit *unit);
/* Everything. */
int vtd_forget_all(struct vtd_unit *unit);
/* A requester's context entry that was of `domain` (0: it was not present), and all of that domain. */
int vtd_forget_context(struct vtd_unit *unit, uint16_t requester, unsigned domain);
/* Addresses of a domain. */
int vtd_forget_pages(struct vtd_unit *unit, unsigned domain, uint64_t address, uint64_t size);
/* An entry of the interrupt table; of a unit that has a queue. */
int vtd_forget_interrupt(struct vtd_unit *unit, unsigned index);
int vtd_forget_interrupts(struct vtd_unit *unit);

/* ---- vtd_fault.c */
/* Clears what was noted so far; nothing is reported yet. */
void vtd_faults_clear(const struct vtd_unit *unit);
/* Reports by an interrupt to this CPU, the boot CPU. Where it cannot have one nothing is reported. */
void vtd_faults_start(struct vtd_unit *unit);

/* ---- vtd_interrupt.c */
/* Switches interrupt remapping on: from then on no interrupt comes that has no entry. 0; -ENOTSUP: it has
 * none; -ENOMEM; -EIO. */
int vtd_interrupts_start(struct vtd_unit *unit);
int vtd_interrupt_write(struct iommu_unit *unit, unsigned index, const struct iommu_interrupt *entry);
void vtd_interrupt_message(const struct iommu_unit *unit, unsigned index, uint64_t *address, uint32_t *data);
uint64_t vtd_interrupt_line(const struct iommu_unit *unit, unsigned index, uint64_t entry);

#endif
