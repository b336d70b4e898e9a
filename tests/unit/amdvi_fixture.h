// SPDX-License-Identifier: Apache-2.0
// An AMD-Vi unit for unit tests, after the specification: its registers, command buffer and event log, and a
// translation that remembers what it is allowed to remember, and sees memory as CPUs' caches have written it
// back. Included by one file of a test program.
#ifndef SAGUARO_TESTS_UNIT_AMDVI_FIXTURE_H
#define SAGUARO_TESTS_UNIT_AMDVI_FIXTURE_H

#include "tests/unit/iommu_fixture.h"
#include "core/arch.h"
#include "drivers/iommu/amdvi.h"
#include "lib/pci.h"

#define MODELS     2u
#define BASE       0xfeb80000ull
#define REMEMBERED 64u
/* Flags of an event of a page fault; 0: a read of what is not mapped. */
#define EV_WRITE   (1ull << 53)
#define EV_INT     (1ull << 51)

/* Why something is blocked. */
enum { OK, NOT_PRESENT, NO_RIGHT, TOO_FAR, NO_INTERRUPTS, NO_ENTRY, NOT_LIVE, QUIET = 0x100 };

struct entry {
    bool valid;
    bool present, write;
    uint16_t requester;
    unsigned domain;
    uint64_t page, physical; /* of a translation; `page` of an interrupt: its number, `physical`: the entry */
    uint64_t word[4];        /* of a device */
};

static struct model {
    bool present;
    bool coherent;
    bool still; /* as QEMU 7.2: the tail of the log does not show, and its sixteenth part is used alone */
    uint64_t never, always; /* bits of the status that do not become set, or clear */
    uint32_t capability;
    uint64_t features;
    uint64_t devices, commands, events, control, exclusion, status, head, tail, event_head, event_tail;
    uint64_t written; /* where the next event goes */
    bool halted;      /* no command is run any more */
    uint16_t trying;  /* this function does DMA each time that somebody waits; 0: none */
    unsigned waits, all, each;
    unsigned invalidations[3]; /* of pages: all of a domain, several, one */
    struct entry device[REMEMBERED], page[REMEMBERED], interrupt[REMEMBERED];
    uint8_t space[PCI_SPACE];
} models[MODELS];
static uint8_t spaces[MODELS][AMDVI_REGISTERS];

static void (*message_handler[8])(void *context);
static void *message_context[8];
static unsigned messages_made;
static int message_error;

int arch_host_message(void (*handler)(void *context), void *context, uint64_t *address, uint32_t *data) {
    if (message_error)
        return message_error;
    message_handler[messages_made] = handler;
    message_context[messages_made] = context;
    *address = 0xfee03000;
    *data = 0x50 + messages_made++;
    return 0;
}

void *arch_device_map(uint64_t physical, uint64_t size) {
    assert_int_equal(size, AMDVI_REGISTERS);
    unsigned number = (unsigned)((physical - BASE) / AMDVI_REGISTERS);
    assert_true(number < MODELS);
    return spaces[number];
}

/* ---- configuration space: a unit is function 1 or 2 of the first device; 00:02.0 and 00:03.0 are others */

static inline uint8_t *space_of(uint16_t segment, uint8_t bus, uint8_t devfn) {
    bool is_unit = !segment && !bus && devfn >= 1 && devfn <= MODELS && models[devfn - 1].present;
    return is_unit ? models[devfn - 1].space : NULL;
}

uint32_t arch_host_pci_read(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned offset, unsigned size) {
    const uint8_t *space = space_of(segment, bus, devfn);
    uint32_t value = UINT32_MAX >> (32 - 8 * size);
    assert_true(offset % size == 0 && offset + size <= PCI_SPACE);
    if (!segment && !bus && (devfn == 0x10 || devfn == 0x18) && offset == 0)
        return 0x8086;
    if (space)
        memcpy(&value, space + offset, size);
    return value;
}

void arch_host_pci_write(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned offset, unsigned size,
                         uint32_t value) {
    uint8_t *space = space_of(segment, bus, devfn);
    assert_non_null(space);
    assert_true(offset % size == 0 && offset >= 0x64 && offset + size <= 0x74);
    memcpy(space + offset, &value, size);
}

/* The capability of the unit's own, then MSI with 64 bits. */
static inline void fill_space(struct model *m) {
    const uint32_t words[] = {m->capability | 0x6400, 0x00800005};
    memset(m->space, 0, sizeof(m->space));
    m->space[0] = 0x22;
    m->space[1] = 0x10;
    m->space[PCI_STATUS] = 0x10;
    m->space[PCI_CAPABILITIES] = 0x40;
    memcpy(m->space + 0x40, &words[0], 4);
    memcpy(m->space + 0x64, &words[1], 4);
}

/* ---- memory as the unit sees it */

static inline uint8_t *memory_at(const struct model *m, uint64_t physical) {
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t offset = physical - (uintptr_t)pages[i].page;
        if (pages[i].page && offset < pages[i].size)
            return (m->coherent ? pages[i].page : pages[i].seen) + offset;
    }
    fail_msg("the unit reaches 0x%llx, which is no table", (unsigned long long)physical);
    return NULL;
}

static inline uint64_t seen(const struct model *m, uint64_t physical) {
    uint64_t value;
    memcpy(&value, memory_at(m, physical), 8);
    return value;
}

/* ---- forgetting */

static inline void forget_pages(struct model *m, uint64_t low, uint64_t high) {
    unsigned domain = low >> 32 & 0xffff;
    uint64_t first = high & ~0xfffull, size = K4;
    assert_int_equal(low & 0x0fff0000ffffffffull, 0);
    assert_int_equal(high & 0xffe, 2); /* with what is remembered of tables, and of no guest */
    if (high & 1) {
        while (size < 1ull << 62 && first & size)
            size <<= 1;
        first &= ~(size - 1);
        size <<= 1;
        first &= ~(size - 1);
    }
    m->invalidations[!(high & 1) ? 2 : size >= 1ull << 52 ? 0 : 1]++;
    for (unsigned i = 0; i < REMEMBERED; i++) {
        struct entry *e = &m->page[i];
        if (e->domain == domain && e->page - first < size)
            e->valid = false;
    }
}

static inline void forget_requester(struct entry *list, uint64_t low, uint64_t high) {
    assert_int_equal((low & 0x0fffffffffff0000ull) | high, 0);
    for (unsigned i = 0; i < REMEMBERED; i++)
        if (list[i].requester == (uint16_t)low)
            list[i].valid = false;
}

static inline void event_write(struct model *m, uint64_t low, uint64_t high);
static inline struct entry find_device(struct model *m, uint16_t requester);

static inline void run_commands(struct model *m) {
    while (!m->halted && m->control & AMDVI_CONTROL_ON && m->control & AMDVI_CONTROL_COMMANDS &&
           m->head != m->tail) {
        uint64_t at = (m->commands & AMDVI_TABLE) + m->head, low = seen(m, at), high = seen(m, at + 8);
        assert_int_equal(m->commands >> 56, 8);
        switch (low >> 60) {
        case 1:
            assert_int_equal(low & 0x0ff0000000000007ull, 1);
            *(uint64_t *)(uintptr_t)(low & 0xffffffffffff8ull) = high;
            m->waits++;
            if (m->trying)
                find_device(m, m->trying);
            break;
        case 2:
            forget_requester(m->device, low, high);
            m->each++;
            break;
        case 3:
            forget_pages(m, low, high);
            break;
        case 5:
            forget_requester(m->interrupt, low, high);
            break;
        case 8:
            assert_true(m->features & AMDVI_FEATURES_ALL);
            assert_int_equal((low & ~(15ull << 60)) | high, 0);
            memset(m->device, 0, sizeof(m->device));
            memset(m->page, 0, sizeof(m->page));
            memset(m->interrupt, 0, sizeof(m->interrupt));
            m->all++;
            break;
        default:
            m->halted = true;
            event_write(m, 5ull << 60, at);
            return;
        }
        m->head = (m->head + 16) % K4;
    }
}

/* ---- registers */

static inline uint64_t status_of(const struct model *m) {
    bool on = m->control & AMDVI_CONTROL_ON;
    uint64_t run = (on && m->control & AMDVI_CONTROL_COMMANDS && !m->halted ? AMDVI_STATUS_COMMAND_RUN : 0) |
                   (on && m->control & AMDVI_CONTROL_EVENTS && !(m->status & AMDVI_STATUS_OVERFLOW)
                        ? AMDVI_STATUS_EVENT_RUN
                        : 0);
    return m->status | (run & ~m->never) | m->always;
}

static inline unsigned place(const volatile uint8_t *at, struct model **m) {
    for (unsigned i = 0; i < MODELS; i++)
        if (at >= spaces[i] && at < spaces[i] + sizeof(spaces[i])) {
            *m = &models[i];
            return (unsigned)(at - spaces[i]);
        }
    fail();
    return 0;
}

uint64_t amdvi_test_read(const volatile uint8_t *at) {
    struct model *m;
    unsigned offset = place(at, &m);

    if (!m->present)
        return UINT64_MAX;
    switch (offset) {
    case AMDVI_CONTROL:
        return m->control;
    case AMDVI_FEATURES:
        assert_true(m->capability & AMDVI_CAPABILITY_FEATURES);
        return m->features;
    case AMDVI_COMMAND_HEAD:
        return m->head;
    case AMDVI_EVENT_TAIL:
        return m->still ? 0 : m->event_tail;
    case AMDVI_STATUS:
        return status_of(m);
    }
    fail_msg("read of register 0x%x", offset);
    return 0;
}

void amdvi_test_write(volatile uint8_t *at, uint64_t value) {
    struct model *m;
    unsigned offset = place(at, &m);
    bool on = m->control & AMDVI_CONTROL_ON;

    assert_true(m->present);
    switch (offset) {
    case AMDVI_DEVICE_TABLE:
        assert_false(on);
        m->devices = value;
        break;
    case AMDVI_COMMAND_BASE:
        assert_false(on);
        m->commands = value;
        m->head = m->tail = 0;
        break;
    case AMDVI_EVENT_BASE:
        assert_false(on);
        m->events = value;
        break;
    case AMDVI_CONTROL:
        /* What is there is complete when it is switched on. */
        if (value & AMDVI_CONTROL_ON && !on)
            assert_true(m->devices && m->commands && m->events && !m->exclusion);
        m->control = value;
        run_commands(m);
        break;
    case AMDVI_EXCLUSION_BASE:
        m->exclusion = value;
        break;
    case AMDVI_EXCLUSION_LIMIT:
        break;
    case AMDVI_COMMAND_HEAD:
        assert_false(on);
        m->head = value;
        break;
    case AMDVI_COMMAND_TAIL:
        m->tail = value;
        run_commands(m);
        break;
    case AMDVI_EVENT_HEAD:
        m->event_head = value;
        break;
    case AMDVI_EVENT_TAIL:
        assert_false(status_of(m) & AMDVI_STATUS_EVENT_RUN);
        m->event_tail = value;
        break;
    case AMDVI_STATUS:
        m->status &= ~value;
        break;
    default:
        fail_msg("write to register 0x%x", offset);
    }
}

/* ---- translation */

static inline struct entry *remember(struct entry *list, const struct entry *entry) {
    for (unsigned i = 0; i < REMEMBERED; i++)
        if (!list[i].valid) {
            list[i] = *entry;
            list[i].valid = true;
            return &list[i];
        }
    fail_msg("too much to remember");
    return NULL;
}

static inline struct entry find_device(struct model *m, uint16_t requester) {
    for (unsigned i = 0; i < REMEMBERED; i++)
        if (m->device[i].valid && m->device[i].requester == requester)
            return m->device[i];
    struct entry e = {.requester = requester};
    uint64_t at = (m->devices & AMDVI_TABLE) + 32ull * requester;
    assert_int_equal(m->devices & 0x1ff, 0x1ff);
    for (unsigned i = 0; i < 4; i++)
        e.word[i] = seen(m, at + 8 * i);
    assert_int_equal(e.word[0] & 3, 3);
    assert_int_equal(e.word[0] & 0x9ff00000000001fcull, 0);
    assert_int_equal(e.word[1] & 0xfffffcfbffff0000ull, 0);
    assert_int_equal(e.word[2] & 0x08f0000000000020ull, 0);
    assert_int_equal(e.word[3], 0);
    e.domain = e.word[1] & 0xffff;
    /* Only as many as a test asks about are remembered; the others are looked up each time. */
    if (requester % 8 == 0 && requester < 0x200)
        remember(m->device, &e);
    return e;
}

static inline void walk_pages(struct model *m, const struct entry *device, uint64_t address,
                              struct entry *out) {
    unsigned level = device->word[0] >> 9 & 7;
    uint64_t table = device->word[0] & AMDVI_TABLE;

    *out = (struct entry){
        .domain = device->domain, .page = address & ~0xfffull, .write = device->word[0] & AMDVI_DEVICE_WRITE};
    for (;;) {
        unsigned shift = 3 + 9 * level;
        uint64_t e = seen(m, table + 8 * (address >> shift & 511)), mask = (1ull << shift) - 1;
        unsigned next = e >> 9 & 7;
        if (!(e & 1))
            return;
        assert_int_equal(e & 0x8ff00000000001feull & ~(1ull << 60), 0);
        assert_true(e & AMDVI_DEVICE_READ);
        assert_int_equal(e >> 60 & 1, next == 0);
        out->write = out->write && (e & AMDVI_DEVICE_WRITE);
        if (next == 0) {
            assert_true(level <= 3 && !(e & AMDVI_TABLE & mask));
            out->present = true;
            out->physical = (e & AMDVI_TABLE) | (address & mask & ~0xfffull);
            return;
        }
        assert_int_equal(next, level - 1);
        level = next;
        table = e & AMDVI_TABLE;
    }
}

static inline int translate(struct model *m, uint16_t requester, uint64_t address, bool write,
                            uint64_t *physical) {
    if (!(m->control & AMDVI_CONTROL_ON)) {
        *physical = address;
        return OK;
    }
    struct entry device = find_device(m, requester), page;
    unsigned levels = device.word[0] >> 9 & 7;
    int quiet = device.word[1] & AMDVI_DEVICE_QUIET ? QUIET : 0;
    if (!(device.word[0] & AMDVI_DEVICE_READ) || !levels) {
        assert_int_equal(device.word[0] & (AMDVI_DEVICE_READ | AMDVI_DEVICE_WRITE | AMDVI_TABLE), 0);
        return NO_RIGHT | quiet;
    }
    assert_int_equal(levels, 4);
    if (address >> 48)
        return TOO_FAR;
    bool found = false;
    for (unsigned i = 0; i < REMEMBERED && !found; i++)
        if (m->page[i].valid && m->page[i].domain == device.domain &&
            m->page[i].page == (address & ~0xfffull)) {
            page = m->page[i];
            found = true;
        }
    if (!found) {
        walk_pages(m, &device, address, &page);
        if (page.present || (m->capability & AMDVI_CAPABILITY_ABSENT))
            remember(m->page, &page);
    }
    if (!page.present)
        return NOT_PRESENT;
    if (write && !page.write)
        return NO_RIGHT;
    *physical = page.physical | (address & 0xfff);
    return OK;
}

/* A message or an I/O APIC's interrupt. OK with the vector and CPU, or why not. */
static inline int remap(struct model *m, uint16_t requester, uint64_t address, uint32_t data,
                        unsigned *vector, unsigned *cpu) {
    struct entry device = find_device(m, requester);
    uint64_t word = device.word[2];
    unsigned index = data & 0x7ff;

    assert_int_equal(address >> 20, 0xfee);
    if (!(m->control & AMDVI_CONTROL_ON) || !(word & 1)) {
        *vector = data & 0xff;
        *cpu = address >> 12 & 0xff;
        return OK;
    }
    assert_true((word >> 60 & 3) == 0 || (word >> 60 & 3) == 2);
    if (!(word >> 60 & 3))
        return NO_INTERRUPTS;
    if (index >= 1u << (word >> 1 & 15))
        return NO_ENTRY;
    struct entry e = {.requester = requester, .page = index};
    bool found = false;
    for (unsigned i = 0; i < REMEMBERED && !found; i++)
        if (m->interrupt[i].valid && m->interrupt[i].requester == requester &&
            m->interrupt[i].page == index) {
            e = m->interrupt[i];
            found = true;
        }
    if (!found) {
        uint64_t pair = seen(m, (word & 0xfffffffffffc0ull) + (4ull * index & ~7ull));
        e.physical = (uint32_t)(pair >> (index % 2 * 32));
        remember(m->interrupt, &e);
    }
    assert_int_equal(e.physical & 0xff0000deull, 0);
    if (!(e.physical & 1))
        return NOT_LIVE;
    *vector = e.physical >> 16 & 0xff;
    *cpu = e.physical >> 8 & 0xff;
    return OK;
}

/* ---- the event log */

static inline void message_raise(const struct model *m) {
    unsigned vector = m->space[0x70] - 0x50u;
    if (m->space[0x66] & 1 && (m->control & AMDVI_CONTROL_EVENT_INT || m->still))
        message_handler[vector](message_context[vector]);
}

/* The unit notes an event, and raises its interrupt if that is due. */
static inline void event_write(struct model *m, uint64_t low, uint64_t high) {
    uint64_t next = (m->event_tail + 16) % K4;

    if (!(status_of(m) & AMDVI_STATUS_EVENT_RUN))
        return;
    assert_int_equal(m->events >> 56, 8);
    if (m->still ? m->event_tail >= K4 / 16 : next == m->event_head) {
        m->status |= AMDVI_STATUS_OVERFLOW;
    } else {
        uint64_t *at = (uint64_t *)(uintptr_t)((m->events & AMDVI_TABLE) + m->event_tail);
        at[0] = low;
        at[1] = high;
        arch_cache_flush(at, 16);
        m->event_tail = next;
    }
    m->status |= m->still ? AMDVI_STATUS_WAIT_INT : AMDVI_STATUS_EVENT_INT;
    message_raise(m);
}

static inline void fault_note(struct model *m, uint16_t requester, unsigned domain, uint64_t flags,
                              uint64_t address) {
    event_write(m, 2ull << 60 | flags | (uint64_t)domain << 32 | requester, address);
}

#endif
