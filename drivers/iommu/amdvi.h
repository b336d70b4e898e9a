// SPDX-License-Identifier: Apache-2.0
// AMD-Vi: a unit's registers and tables (AMD I/O Virtualization Technology specification 3.08, ch. 2 and 3),
// and what the files of the driver share. A requester ID is what the specification calls DeviceID.
#ifndef SAGUARO_DRIVERS_IOMMU_AMDVI_H
#define SAGUARO_DRIVERS_IOMMU_AMDVI_H

#include "core/timer.h"
#include "drivers/iommu/driver.h"
#include "lib/acpi_ivrs.h"

/* Registers; all of them have 64 bits. */
#define AMDVI_DEVICE_TABLE        0x0000u
#define AMDVI_COMMAND_BASE        0x0008u
#define AMDVI_EVENT_BASE          0x0010u
#define AMDVI_CONTROL             0x0018u
#define AMDVI_EXCLUSION_BASE      0x0020u
#define AMDVI_EXCLUSION_LIMIT     0x0028u
#define AMDVI_FEATURES            0x0030u /* where the capability says that it is there */
#define AMDVI_COMMAND_HEAD        0x2000u
#define AMDVI_COMMAND_TAIL        0x2008u
#define AMDVI_EVENT_HEAD          0x2010u
#define AMDVI_EVENT_TAIL          0x2018u
#define AMDVI_STATUS              0x2020u
#define AMDVI_REGISTERS           0x4000u /* bytes */

#define AMDVI_CONTROL_ON          (1ull << 0)
#define AMDVI_CONTROL_TUNNEL      (1ull << 1) /* this and the next four: as the table's flags say */
#define AMDVI_CONTROL_PASS_PW     (1ull << 8)
#define AMDVI_CONTROL_RES_PW      (1ull << 9)
#define AMDVI_CONTROL_COHERENT    (1ull << 10)
#define AMDVI_CONTROL_ISOC        (1ull << 11)
#define AMDVI_CONTROL_EVENTS      (1ull << 2)
#define AMDVI_CONTROL_EVENT_INT   (1ull << 3)
#define AMDVI_CONTROL_COMMANDS    (1ull << 12)

#define AMDVI_STATUS_OVERFLOW     (1ull << 0) /* this and the next two are cleared by a 1 */
#define AMDVI_STATUS_EVENT_INT    (1ull << 1)
#define AMDVI_STATUS_WAIT_INT     (1ull << 2)
#define AMDVI_STATUS_EVENT_RUN    (1ull << 3)
#define AMDVI_STATUS_COMMAND_RUN  (1ull << 4)

/* The capability's first word, in the configuration space of the unit's function. */
#define AMDVI_CAPABILITY_ABSENT   (1u << 26) /* NpCache: what is not present is remembered, too */
#define AMDVI_CAPABILITY_FEATURES (1u << 27)

#define AMDVI_FEATURES_ALL        (1ull << 6) /* everything can be invalidated by one command */

/* A device table entry is four words (2.2.2.1). */
#define AMDVI_DEVICES             65536u
#define AMDVI_DEVICE_ORDER        9u          /* of the table's pages: 2 MiB */
#define AMDVI_DEVICE_VALID        (3ull << 0) /* V and TV: all of it means something */
#define AMDVI_DEVICE_LEVELS(n)    ((uint64_t)(n) << 9)
#define AMDVI_DEVICE_READ         (1ull << 61)
#define AMDVI_DEVICE_WRITE        (1ull << 62)
#define AMDVI_DEVICE_QUIET        (1ull << 34) /* in word 1, SA: what is blocked is not reported */
#define AMDVI_DEVICE_SYSMGT(n)    ((uint64_t)(n) << 40)
#define AMDVI_DEVICE_INTERRUPTS   (1ull << 0) /* in word 2, IV: the rest of it means something */
#define AMDVI_DEVICE_TABLE_SIZE   (9ull << 1) /* of interrupts: AMDVI_SLOTS */
#define AMDVI_DEVICE_INIT         (1ull << 56)
#define AMDVI_DEVICE_EINT         (1ull << 57)
#define AMDVI_DEVICE_NMI          (1ull << 58)
#define AMDVI_DEVICE_REMAP        (2ull << 60) /* IntCtl; 0: blocked */
#define AMDVI_DEVICE_LINT0        (1ull << 62)
#define AMDVI_DEVICE_LINT1        (1ull << 63)
#define AMDVI_TABLE               0x000ffffffffff000ull /* a table's address, in any entry */

#define AMDVI_SLOTS               512u /* entries of a requester's interrupt table, of 4 bytes */
#define AMDVI_COMMANDS            256u /* entries of that buffer and of the log, of 16 bytes: a page each */
#define AMDVI_EVENTS              256u

/* A unit's answer may take so long, ns. */
#define AMDVI_PATIENCE            1000000000ull

struct amdvi_unit {
    struct iommu_unit unit;
    const struct acpi_ivrs_unit *ivrs;
    volatile uint8_t *registers;
    uint32_t capability; /* its first word; all bits set where it cannot be read */
    uint64_t features;   /* 0: it does not say */
    uint64_t control;    /* what is written to the register */
    bool on;             /* it is at work: what is forgotten has to be told to it */
    uint64_t (*device)[4];
    uint64_t (*command)[2];
    unsigned tail;     /* the next free entry of it */
    uint64_t answered; /* the unit writes `asked` here once it has done what is in the buffer */
    uint64_t asked;
    uint64_t (*event)[2];
    unsigned head; /* the next entry of it that is looked at */
    uint16_t
        slot[IOMMU_MAX_INTERRUPTS]; /* where a live entry is in the tables of its requesters; 0: nowhere */
    bool pass;                      /* interrupts pass as they are */
    bool reports;                   /* the log is in use */
    uint64_t second;                /* when the present count began ... */
    uint32_t in_second;             /* ... of events that were read */
    struct timer timer;             /* the end of a pause after too many */
};

/* Registers. A unit test answers for a unit's. */
#ifdef TEST_REGISTERS
uint64_t amdvi_test_read(const volatile uint8_t *at);
void amdvi_test_write(volatile uint8_t *at, uint64_t value);
#endif

static inline uint64_t amdvi_read(const struct amdvi_unit *unit, unsigned offset) {
#ifdef TEST_REGISTERS
    return amdvi_test_read(unit->registers + offset);
#else
    return *(volatile uint64_t *)(unit->registers + offset);
#endif
}

static inline void amdvi_write(const struct amdvi_unit *unit, unsigned offset, uint64_t value) {
#ifdef TEST_REGISTERS
    amdvi_test_write(unit->registers + offset, value);
#else
    *(volatile uint64_t *)(unit->registers + offset) = value;
#endif
}

static inline struct amdvi_unit *amdvi_unit_of(struct iommu_unit *unit) {
    return container_of(unit, struct amdvi_unit, unit);
}

/* Makes units look at what was written for them, or this CPU at what they have written: nothing to do if all
 * of them look into caches. */
void amdvi_written(const void *at, size_t size);
/* Waits until the bits of the status register that `mask` has are `value`. 0, or -EIO: they are not, after
 * AMDVI_PATIENCE. */
int amdvi_wait(const struct amdvi_unit *unit, uint64_t mask, uint64_t value);
/* Switches bits of the control register. */
void amdvi_control(struct amdvi_unit *unit, uint64_t bits, bool on);

/* ---- amdvi_table.c: the device table */
/* Makes the table, with everything blocked. 0 or -ENOMEM. */
int amdvi_table_make(struct amdvi_unit *unit);
/* What struct iommu_driver says of set(); what firmware wants a function that is nobody's to send beside
 * plain interrupts is let through, as the table's settings say. */
int amdvi_table_set(struct iommu_unit *unit, uint16_t requester, const struct iommu_domain *from,
                    const struct iommu_domain *to, bool quiet);
/* The requester's interrupts go by that table, of AMDVI_SLOTS entries; the unit is told. 0 or -EIO. */
int amdvi_table_interrupts(struct amdvi_unit *unit, uint16_t requester, const void *interrupts);
/* Interrupts of all pass as they are. 0 or -EIO. */
int amdvi_table_pass(struct amdvi_unit *unit);
/* Settings of a requester, ACPI_IVRS_INIT_PASS and so on (amdvi.c). */
uint8_t amdvi_settings(const struct amdvi_unit *unit, uint16_t requester);

/* ---- amdvi_command.c: what a unit is to forget. Each waits until it has; 0 or -EIO. Nothing is to be done
 * while the unit is not on. */
/* Makes the buffer. 0 or -ENOMEM. */
int amdvi_commands_make(struct amdvi_unit *unit);
/* Everything. */
int amdvi_forget_all(struct amdvi_unit *unit);
/* A requester's device table entry, and all of a domain (0: of none). */
int amdvi_forget_device(struct amdvi_unit *unit, uint16_t requester, unsigned domain);
/* Addresses of a domain. */
int amdvi_forget_pages(struct amdvi_unit *unit, unsigned domain, uint64_t address, uint64_t size);
/* A requester's interrupt table. */
int amdvi_forget_interrupts(struct amdvi_unit *unit, uint16_t requester);

/* ---- amdvi_event.c */
/* Makes the log, which nothing is written to yet. 0 or -ENOMEM. */
int amdvi_events_make(struct amdvi_unit *unit);
/* Reports by an interrupt to this CPU, the boot CPU. Where it cannot have one nothing is reported. */
void amdvi_events_start(struct amdvi_unit *unit);

/* ---- amdvi_interrupt.c */
/* Interrupt remapping: from now on entries can be had. 0 or -ENOMEM. */
int amdvi_interrupts_start(struct amdvi_unit *unit);
int amdvi_interrupt_write(struct iommu_unit *unit, unsigned index, const struct iommu_interrupt *entry);
void amdvi_interrupt_message(const struct iommu_unit *unit, unsigned index, uint64_t *address,
                             uint32_t *data);
uint64_t amdvi_interrupt_line(const struct iommu_unit *unit, unsigned index, uint64_t entry);

#endif
