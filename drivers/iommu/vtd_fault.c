// SPDX-License-Identifier: Apache-2.0
// What a VT-d unit has blocked: its fault records, by an interrupt, so many in a second at most (VT-d
// specification 4.1, 7.3, 11.4.7 and 11.4.14).
#include "core/arch.h"
#include "core/log.h"
#include "drivers/iommu/vtd.h"

#define SECOND         1000000000ull
#define MOST           256u /* records in a second; the interrupt pauses until it is over then */

#define RECORD         16u /* bytes: information, then requester, reason and flags */
#define RECORD_FLAGS   12u /* offset of the word that has the bit below, which is cleared by a 1 */
#define RECORD_VALID   (1u << 31)
#define IS_READ(high)  ((high) >> 62 & 1)
#define REASON(high)   ((unsigned)((high) >> 32 & 0xff))
#define IS_INTERRUPT   0x20u /* reasons from here on are of interrupts */
#define ENTRY(low)     ((low) >> 48)
#define ADDRESS(low)   ((low) & ~0xfffull)
#define REQUESTER(low) ((uint16_t)(low))

/* Reasons (7.1.3, 7.2.1) that a table as this driver makes it can lead to; others are a damaged one. */
static const char *reason_text(unsigned reason) {
    switch (reason) {
    case 0x01:
    case 0x02:
        return "it is in no domain";
    case 0x04:
        return "no address that it can have";
    case 0x05:
        return "it may not write there";
    case 0x06:
        return "it may not read there";
    case 0x0d:
        return "a kind of request that is not allowed";
    case 0x20:
        return "no sound message";
    case 0x21:
        return "the table ends before that entry";
    case 0x22:
        return "nobody has that entry";
    case 0x25:
        return "a message of the plain format";
    case 0x26:
        return "the entry is somebody else's";
    default:
        return "a table that the unit does not accept";
    }
}

static void report(struct vtd_unit *unit, uint64_t low, uint64_t high) {
    unsigned reason = REASON(high);
    bool interrupt = reason >= IS_INTERRUPT;
    struct iommu_fault fault = {.segment = unit->dmar->segment,
                                .requester = REQUESTER(high),
                                .address = interrupt ? ENTRY(low) : ADDRESS(low),
                                .write = !IS_READ(high),
                                .interrupt = interrupt,
                                .reason = reason_text(reason)};

    iommu_report(&unit->unit, &fault);
}

/* True: one more may be read in this second. */
static bool may_read(struct vtd_unit *unit) {
    uint64_t now = time_now();

    if (now - unit->second >= SECOND) {
        unit->second = now;
        unit->in_second = 0;
    }
    return unit->in_second++ < MOST;
}

/* The unit tells nothing more until the second is over. */
static void pause(struct vtd_unit *unit) {
    vtd_write32(unit, VTD_FECTL, VTD_FECTL_MASK);
    timer_arm(&unit->timer, unit->second + SECOND);
}

/* Reads the first valid record from *index on, round the end; *index is the one behind it then. False: none
 * is valid. */
static bool read_record(struct vtd_unit *unit, unsigned *index) {
    unsigned records = VTD_CAP_RECORDS(unit->cap);

    for (unsigned i = 0; i < records; i++) {
        unsigned at = VTD_CAP_FAULTS(unit->cap) + *index % records * RECORD;
        *index = (*index + 1) % records;
        uint64_t high = vtd_read64(unit, at + 8);
        if (!(high >> 63))
            continue;
        uint64_t low = vtd_read64(unit, at);
        vtd_write32(unit, at + RECORD_FLAGS, RECORD_VALID);
        report(unit, low, high);
        return true;
    }
    return false;
}

/* No interrupt comes for a record that is written while another one is still valid: all of them are read. The
 * index in the status is that of the first one, from when there was none: it stays until all are read
 * (11.4.7).
 */
static void read_records(struct vtd_unit *unit) {
    uint32_t status = vtd_read32(unit, VTD_FSTS);
    unsigned index = VTD_FSTS_INDEX(status);

    for (; status & (VTD_FSTS_PENDING | VTD_FSTS_OVERFLOW); status = vtd_read32(unit, VTD_FSTS)) {
        if (!may_read(unit)) {
            pause(unit);
            return;
        }
        if (status & VTD_FSTS_PENDING) {
            (void)read_record(unit, &index);
        } else {
            unit->unit.lost++;
            vtd_write32(unit, VTD_FSTS, VTD_FSTS_OVERFLOW);
        }
    }
}

static void came(void *context) {
    read_records(context);
}

static void paused(struct timer *timer) {
    struct vtd_unit *unit = container_of(timer, struct vtd_unit, timer);

    read_records(unit);
    if (!timer_armed(timer))
        vtd_write32(unit, VTD_FECTL, 0);
}

void vtd_faults_clear(const struct vtd_unit *unit) {
    vtd_write32(unit, VTD_FECTL, VTD_FECTL_MASK);
    for (unsigned i = 0; i < VTD_CAP_RECORDS(unit->cap); i++)
        vtd_write32(unit, VTD_CAP_FAULTS(unit->cap) + i * RECORD + RECORD_FLAGS, RECORD_VALID);
    vtd_write32(unit, VTD_FSTS, VTD_FSTS_ALL);
}

void vtd_faults_start(struct vtd_unit *unit) {
    uint64_t address;
    uint32_t data;

    timer_init(&unit->timer, paused);
    if (arch_host_message(came, unit, &address, &data)) {
        log_warning("IOMMU %s: there is no interrupt for what it blocks: nothing of it is reported",
                    unit->unit.name);
        return;
    }
    vtd_write32(unit, VTD_FEDATA, data);
    vtd_write32(unit, VTD_FEADDR, (uint32_t)address);
    vtd_write32(unit, VTD_FEUADDR, (uint32_t)(address >> 32));
    read_records(unit);
    if (!timer_armed(&unit->timer))
        vtd_write32(unit, VTD_FECTL, 0);
}
