// SPDX-License-Identifier: Apache-2.0
// What an AMD-Vi unit has blocked: its event log, by an interrupt, so many in a second at most (specification
// 3.08, 2.5).
//
// What is new in the log is seen by its entries, which are cleared when they were read, and not by the tail's
// register: QEMU 7.2 does not move that. It also writes a sixteenth of the log alone, then says that it has
// overflown, and goes on only if the tail was written; it sends the unit's interrupt whether that was
// switched on or not, with the wrong bit of the status; and it notes no DMA that an empty entry of a page
// table, or a device table entry without levels, has blocked, nor any interrupt.
#include <assert.h>
#include <errno.h>
#include "core/arch.h"
#include "core/log.h"
#include "drivers/iommu/amdvi.h"
#include "lib/pci.h"

#define SECOND            1000000000ull
#define MOST              256u /* events in a second; the log pauses until it is over then */

#define LOG_SIZE          (8ull << 56) /* of the base register: 2^8 entries */
#define LOG_STATUS        (AMDVI_STATUS_OVERFLOW | AMDVI_STATUS_EVENT_INT | AMDVI_STATUS_WAIT_INT)

/* The first word of an entry; the second one is an address. */
#define CODE(low)         ((unsigned)((low) >> 60))
#define REQUESTER(low)    ((uint16_t)(low))
#define DOMAIN(low)       ((unsigned)((low) >> 32 & 0xffff))
#define IS_INTERRUPT(low) ((low) >> 51 & 1)
#define IS_WRITE(low)     ((low) >> 53 & 1)
#define IS_RESERVED(low)  ((low) >> 55 & 1) /* a bit that has to be 0 was not */
#define IS_REQUEST(low)   ((low) >> 56 & 1) /* for a translation, which nobody may ask for */

enum {
    ILLEGAL_DEVICE_ENTRY = 1,
    PAGE_FAULT = 2,
    DEVICE_TABLE_ERROR = 3,
    PAGE_TABLE_ERROR = 4,
    ILLEGAL_COMMAND = 5,
    COMMAND_ERROR = 6,
    DEVICE_TIMEOUT = 7,
    INVALID_REQUEST = 8,
};

static_assert(AMDVI_EVENTS * sizeof(uint64_t[2]) == PAGE_SIZE && AMDVI_EVENTS == 1u << 8, "a page of events");

/* ---- what an entry says */

static const char *page_fault_text(uint64_t low) {
    if (IS_RESERVED(low))
        return "a table that the unit does not accept";
    if (IS_INTERRUPT(low))
        return "no entry lets that message through";
    if (IS_REQUEST(low))
        return "a kind of request that is not allowed";
    if (!DOMAIN(low))
        return "it is in no domain";
    return IS_WRITE(low) ? "it may not write there" : "it may not read there";
}

static const char *reason_text(uint64_t low) {
    switch (CODE(low)) {
    case PAGE_FAULT:
        return page_fault_text(low);
    case ILLEGAL_DEVICE_ENTRY:
        return "a table that the unit does not accept";
    case DEVICE_TABLE_ERROR:
    case PAGE_TABLE_ERROR:
        return "a table that the unit could not read";
    case INVALID_REQUEST:
        return "a kind of request that is not allowed";
    default:
        return NULL;
    }
}

/* What is no function's try. */
static void say(const struct amdvi_unit *unit, uint64_t low, uint64_t high) {
    static struct log_limit limit = {.burst = 10};

    if (!log_allowed(&limit))
        return;
    if (CODE(low) == ILLEGAL_COMMAND || CODE(low) == COMMAND_ERROR)
        log_error("IOMMU %s: the command at 0x%llx %s", unit->unit.name, (unsigned long long)high,
                  CODE(low) == ILLEGAL_COMMAND ? "is one that it does not accept" : "could not be read");
    else if (CODE(low) == DEVICE_TIMEOUT)
        log_warning("IOMMU %s: PCI %04x:%02x:%02x.%x does not answer when it is to forget addresses",
                    unit->unit.name, unit->ivrs->segment, REQUESTER(low) >> 8, REQUESTER(low) >> 3 & 31,
                    REQUESTER(low) & 7);
    else
        log_warning("IOMMU %s: an event of kind %u: 0x%llx 0x%llx", unit->unit.name, CODE(low),
                    (unsigned long long)low, (unsigned long long)high);
}

static void report(struct amdvi_unit *unit, uint64_t low, uint64_t high) {
    struct iommu_fault fault = {.segment = unit->ivrs->segment,
                                .requester = REQUESTER(low),
                                .address = high,
                                .write = IS_WRITE(low),
                                .interrupt = CODE(low) != INVALID_REQUEST && IS_INTERRUPT(low),
                                .reason = reason_text(low)};

    if (fault.reason)
        iommu_report(&unit->unit, &fault);
    else
        say(unit, low, high);
}

/* ---- the log */

/* Empties it and lets the unit write to it (again). 0 or -EIO. */
static int restart(struct amdvi_unit *unit) {
    amdvi_control(unit, AMDVI_CONTROL_EVENTS, false);
    int error = amdvi_wait(unit, AMDVI_STATUS_EVENT_RUN, 0);
    if (error)
        return error;
    for (unsigned i = 0; i < AMDVI_EVENTS; i++)
        unit->event[i][0] = unit->event[i][1] = 0;
    amdvi_written(unit->event, PAGE_SIZE);
    unit->head = 0;
    amdvi_write(unit, AMDVI_EVENT_HEAD, 0);
    amdvi_write(unit, AMDVI_EVENT_TAIL, 0);
    amdvi_write(unit, AMDVI_STATUS, LOG_STATUS);
    amdvi_control(unit, AMDVI_CONTROL_EVENTS, true);
    return 0;
}

static void restart_or_end(struct amdvi_unit *unit) {
    if (!restart(unit))
        return;
    log_error("IOMMU %s: its event log does not start again: nothing more is reported", unit->unit.name);
    unit->reports = false;
}

/* True: one more may be read in this second. */
static bool may_read(struct amdvi_unit *unit) {
    uint64_t now = time_now();

    if (now - unit->second >= SECOND) {
        unit->second = now;
        unit->in_second = 0;
    }
    return unit->in_second++ < MOST;
}

/* The unit notes nothing more until the second is over. */
static void pause(struct amdvi_unit *unit) {
    unit->unit.lost++;
    amdvi_control(unit, AMDVI_CONTROL_EVENTS, false);
    timer_arm(&unit->timer, unit->second + SECOND);
}

/* False: it is paused. */
static bool read_events(struct amdvi_unit *unit) {
    for (;;) {
        uint64_t *event = unit->event[unit->head];
        amdvi_written(event, sizeof(*unit->event));
        uint64_t low = __atomic_load_n(&event[0], __ATOMIC_ACQUIRE);
        if (!CODE(low))
            return true;
        if (!may_read(unit)) {
            pause(unit);
            return false;
        }
        uint64_t high = __atomic_load_n(&event[1], __ATOMIC_RELAXED);
        event[0] = event[1] = 0;
        amdvi_written(event, sizeof(*unit->event));
        unit->head = (unit->head + 1) % AMDVI_EVENTS;
        report(unit, low, high);
    }
}

static void came(void *context) {
    struct amdvi_unit *unit = context;

    if (!unit->reports || timer_armed(&unit->timer))
        return;
    bool overflow = amdvi_read(unit, AMDVI_STATUS) & AMDVI_STATUS_OVERFLOW;
    amdvi_write(unit, AMDVI_STATUS, AMDVI_STATUS_EVENT_INT | AMDVI_STATUS_WAIT_INT);
    /* All before the tail is in the log, and is read now: the room is the unit's again. */
    uint64_t tail = amdvi_read(unit, AMDVI_EVENT_TAIL);
    if (!read_events(unit))
        return;
    if (overflow) {
        unit->unit.lost++;
        restart_or_end(unit);
    } else {
        amdvi_write(unit, AMDVI_EVENT_HEAD, tail);
    }
}

static void paused(struct timer *timer) {
    restart_or_end(container_of(timer, struct amdvi_unit, timer));
}

/* ---- the start */

int amdvi_events_make(struct amdvi_unit *unit) {
    unit->event = heap_pages(0, NULL);
    if (!unit->event)
        return -ENOMEM;
    amdvi_written(unit->event, PAGE_SIZE);
    amdvi_write(unit, AMDVI_EVENT_BASE, arch_heap_physical(unit->event) | LOG_SIZE);
    amdvi_write(unit, AMDVI_EVENT_HEAD, 0);
    amdvi_write(unit, AMDVI_EVENT_TAIL, 0);
    amdvi_write(unit, AMDVI_STATUS, LOG_STATUS);
    return 0;
}

/* The message that the unit's function sends, which no unit remaps. 0 or -ENODEV: it cannot send one. */
static int set_message(const struct amdvi_unit *unit, uint64_t address, uint32_t data) {
    uint16_t segment = unit->ivrs->segment;
    uint8_t bus = (uint8_t)(unit->ivrs->id >> 8), devfn = (uint8_t)unit->ivrs->id;
    uint8_t space[PCI_SPACE];
    struct pci_msi msi;

    for (unsigned i = 0; i < PCI_SPACE; i += 4) {
        uint32_t value = arch_host_pci_read(segment, bus, devfn, i, 4);
        for (unsigned j = 0; j < 4; j++)
            space[i + j] = (uint8_t)(value >> 8 * j);
    }
    if (pci_space16(space, PCI_VENDOR) == UINT16_MAX || !pci_msi_read(space, &msi) ||
        (!msi.wide && address >> 32))
        return -ENODEV;
    arch_host_pci_write(segment, bus, devfn, msi.offset + PCI_MSI_ADDRESS, 4, (uint32_t)address);
    if (msi.wide)
        arch_host_pci_write(segment, bus, devfn, msi.offset + PCI_MSI_ADDRESS + 4, 4,
                            (uint32_t)(address >> 32));
    arch_host_pci_write(segment, bus, devfn, msi.data, 2, data);
    if (msi.masking)
        arch_host_pci_write(segment, bus, devfn, msi.masking, 4, 0);
    /* One message: that of all logs. */
    arch_host_pci_write(segment, bus, devfn, msi.offset + PCI_MSI_CONTROL, 2, PCI_MSI_ENABLE);
    return 0;
}

void amdvi_events_start(struct amdvi_unit *unit) {
    uint64_t address;
    uint32_t data;

    timer_init(&unit->timer, paused);
    if (arch_host_message(came, unit, &address, &data) || set_message(unit, address, data)) {
        log_warning("IOMMU %s: there is no interrupt for what it blocks: nothing of it is reported",
                    unit->unit.name);
        return;
    }
    unit->reports = true;
    amdvi_control(unit, AMDVI_CONTROL_EVENT_INT, true);
    came(unit);
}
