// SPDX-License-Identifier: Apache-2.0
// A VT-d unit for unit tests, after the specification: its registers, the invalidation queue, and a
// translation that remembers what it is allowed to remember, and sees memory as CPUs' caches have written it
// back. Included by one file of a test program.
#ifndef SAGUARO_TESTS_UNIT_VTD_FIXTURE_H
#define SAGUARO_TESTS_UNIT_VTD_FIXTURE_H

#include "tests/unit/iommu_fixture.h"
#include "core/arch.h"
#include "drivers/iommu/vtd.h"

#define MODELS      2u
#define RECORDS     4u
#define FRO         0x200u
#define IRO         0x100u
#define REMEMBERED  64u
#define FAULT_QUIET 0x100 /* beside a reason: it is not reported */
#define CAP_USUAL                                                                                            \
    (2 | VTD_CAP_4_LEVELS | 47ull << 16 | FRO / 16ull << 24 | VTD_CAP_2M | VTD_CAP_1G | VTD_CAP_PSI |        \
     (RECORDS - 1ull) << 40 | 18ull << 48 | VTD_CAP_DRAIN_READ | VTD_CAP_DRAIN_WRITE)
#define ECAP_USUAL (VTD_ECAP_C | VTD_ECAP_QI | VTD_ECAP_IR | VTD_ECAP_SC | IRO / 16ull << 8)

struct entry {
    bool valid;
    bool present;
    uint16_t requester;
    unsigned domain;
    uint64_t page, physical; /* of a translation */
    bool write;
    uint64_t low, high; /* of a context */
};

static struct model {
    bool present;
    uint64_t cap, ecap;
    uint32_t gsts, stuck; /* stuck: bits that stay as they are */
    uint32_t asked;       /* of GCMD, not done yet ... */
    bool busy;            /* ... until GSTS was read once */
    uint64_t rtaddr, root, iqa, iqh, iqt, irta, table;
    bool queue_stuck;
    uint32_t fsts, fectl, fedata, feaddr, feuaddr, pmen;
    uint64_t record[RECORDS][2];
    unsigned next;  /* record to be written */
    unsigned first; /* that was written when none was valid */
    uint64_t iva;
    unsigned waits, commands, drained;
    unsigned invalidations[3]; /* of the IOTLB: all, a domain, pages */
    bool unflushed;            /* writes wait in a buffer */
    struct entry context[REMEMBERED], page[REMEMBERED];
} models[MODELS];
static uint8_t spaces[MODELS][0x4000];

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
    assert_true(size <= sizeof(spaces[0]));
    unsigned number = (unsigned)(physical - 0xfed90000) >> 12;
    assert_true(number < MODELS);
    return spaces[number];
}

/* ---- memory as the unit sees it */

static inline uint64_t seen(const struct model *m, uint64_t physical) {
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t offset = physical - (uintptr_t)pages[i].page;
        if (pages[i].page && offset < PAGE_SIZE) {
            uint64_t value;
            memcpy(&value, (m->ecap & VTD_ECAP_C ? pages[i].page : pages[i].seen) + offset, 8);
            return value;
        }
    }
    fail_msg("the unit reads 0x%llx, which is no table", (unsigned long long)physical);
    return 0;
}

/* ---- forgetting */

static inline void forget_contexts(struct model *m, unsigned granularity, uint16_t requester,
                                   unsigned domain) {
    assert_false(m->unflushed);
    for (unsigned i = 0; i < REMEMBERED; i++) {
        struct entry *e = &m->context[i];
        if (granularity == 1 || (e->domain == domain && (granularity == 2 || e->requester == requester)))
            e->valid = false;
    }
}

static inline void forget_pages(struct model *m, unsigned granularity, unsigned domain, uint64_t address,
                                unsigned order, unsigned drain) {
    assert_false(m->unflushed);
    assert_true(granularity >= 1 && granularity <= 3);
    m->invalidations[granularity - 1]++;
    m->drained += drain == 3;
    if (granularity == 3) {
        assert_true((m->cap & VTD_CAP_PSI) && order <= VTD_CAP_MAMV(m->cap));
        assert_int_equal(address & ((K4 << order) - 1), 0);
    }
    for (unsigned i = 0; i < REMEMBERED; i++) {
        struct entry *e = &m->page[i];
        if (granularity == 1 ||
            (e->domain == domain && (granularity == 2 || e->page - address < K4 << order)))
            e->valid = false;
    }
}

static inline void run_queue(struct model *m) {
    if (m->queue_stuck || !(m->gsts & VTD_QIE))
        return;
    while (m->iqh != m->iqt) {
        const uint64_t *d = (const uint64_t *)(uintptr_t)(m->iqa + m->iqh);
        unsigned granularity = d[0] >> 4 & 3;
        switch (d[0] & 15) {
        case 1:
            assert_int_equal(d[0] & 0xffff00000000ffc0ull, 0);
            forget_contexts(m, granularity, (uint16_t)(d[0] >> 32), d[0] >> 16 & 0xffff);
            break;
        case 2:
            assert_int_equal(d[0] >> 32, 0);
            assert_int_equal(d[1] & 0xfc0, 0);
            forget_pages(m, granularity, d[0] >> 16 & 0xffff, d[1] & ~0xfffull, d[1] & 63, d[0] >> 6 & 3);
            break;
        case 4:
            assert_true(m->ecap & VTD_ECAP_IR);
            break;
        case 5:
            assert_int_equal(d[0] & 0xffffffff, 0x25);
            *(uint32_t *)(uintptr_t)d[1] = (uint32_t)(d[0] >> 32);
            m->waits++;
            m->unflushed = m->cap & VTD_CAP_RWBF;
            break;
        default:
            m->fsts |= VTD_FSTS_QUEUE;
            return;
        }
        m->iqh = (m->iqh + 16) % K4;
    }
}

/* ---- registers */

static inline void do_command(struct model *m) {
    uint32_t changed = (m->asked ^ m->gsts) & ~m->stuck;

    m->busy = false;
    if (m->asked & VTD_SRTP) {
        m->root = m->rtaddr;
        m->gsts |= VTD_SRTP & ~m->stuck;
    }
    if (m->asked & VTD_SIRTP) {
        m->table = m->irta;
        m->gsts |= VTD_SIRTP & ~m->stuck;
    }
    if (m->asked & VTD_WBF)
        m->unflushed = m->stuck & VTD_WBF;
    m->gsts ^= changed & (VTD_TE | VTD_QIE | VTD_IRE | VTD_CFI);
    if (m->asked & m->stuck & VTD_WBF)
        m->gsts |= VTD_WBF;
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

uint64_t vtd_test_read(const volatile uint8_t *at, unsigned size) {
    struct model *m;
    unsigned offset = place(at, &m);

    assert_int_equal(offset % size, 0);
    if (!m->present)
        return size == 4 ? UINT32_MAX : UINT64_MAX;
    if (offset >= FRO && offset < FRO + sizeof(m->record)) {
        assert_int_equal(size, 8);
        return m->record[(offset - FRO) / 16][(offset & 8) != 0];
    }
    switch (offset) {
    case VTD_VER:
        return 0x10;
    case VTD_CAP:
        return m->cap;
    case VTD_ECAP:
        return m->ecap;
    case VTD_GSTS: {
        uint32_t value = m->gsts | (m->busy ? m->asked & VTD_WBF : 0);
        if (m->busy)
            do_command(m);
        return value;
    }
    case VTD_CCMD:
    case IRO + VTD_IOTLB:
        return m->stuck & 1 ? 1ull << 63 : 0;
    case VTD_FSTS: {
        uint32_t value = m->fsts;
        for (unsigned i = 0; i < RECORDS; i++)
            if (m->record[i][1] >> 63)
                value |= VTD_FSTS_PENDING;
        return value & VTD_FSTS_PENDING ? value | m->first << 8 : value;
    }
    case VTD_IQH:
        return m->iqh;
    case VTD_IQT:
        if (!m->queue_stuck && !(m->gsts & VTD_QIE))
            m->iqh = m->iqt;
        return m->iqt;
    case VTD_PMEN:
        return m->pmen;
    }
    fail_msg("read of register 0x%x", offset);
    return 0;
}

void vtd_test_write(volatile uint8_t *at, unsigned size, uint64_t value) {
    struct model *m;
    unsigned offset = place(at, &m);

    assert_int_equal(offset % size, 0);
    assert_true(m->present);
    if (offset >= FRO && offset < FRO + sizeof(m->record)) {
        assert_true(size == 4 && offset % 16 == 12 && value == 1u << 31);
        m->record[(offset - FRO) / 16][1] &= ~(1ull << 63);
        return;
    }
    switch (offset) {
    case VTD_GCMD: {
        /* One thing at a time, and nothing that was on goes off with it. */
        uint32_t kept = m->gsts & 0x96ffffffu, changed = kept ^ (uint32_t)value;
        assert_true(changed && !(changed & (changed - 1)));
        assert_false(m->busy);
        m->asked = (uint32_t)value;
        m->busy = true;
        m->commands++;
        if (value & (VTD_SRTP | VTD_SIRTP))
            m->gsts &= ~((uint32_t)value & (VTD_SRTP | VTD_SIRTP));
        break;
    }
    case VTD_RTADDR:
        m->rtaddr = value;
        break;
    case VTD_IRTA:
        m->irta = value;
        break;
    case VTD_IQA:
        assert_int_equal(m->gsts & VTD_QIE, 0);
        m->iqa = value;
        m->iqh = 0;
        break;
    case VTD_IQT:
        m->iqt = value;
        run_queue(m);
        break;
    case VTD_CCMD:
        assert_false(m->gsts & VTD_QIE);
        assert_true(value >> 63);
        forget_contexts(m, value >> 61 & 3, (uint16_t)(value >> 16), value & 0xffff);
        break;
    case IRO + VTD_IVA:
        m->iva = value;
        break;
    case IRO + VTD_IOTLB:
        assert_false(m->gsts & VTD_QIE);
        assert_true(value >> 63);
        forget_pages(m, value >> 60 & 3, value >> 32 & 0xffff, m->iva & ~0xfffull, m->iva & 63,
                     value >> 48 & 3);
        m->unflushed = m->cap & VTD_CAP_RWBF;
        break;
    case VTD_FSTS:
        m->fsts &= ~(uint32_t)value;
        break;
    case VTD_FECTL:
        m->fectl = (uint32_t)value;
        break;
    case VTD_FEDATA:
        m->fedata = (uint32_t)value;
        break;
    case VTD_FEADDR:
        m->feaddr = (uint32_t)value;
        break;
    case VTD_FEUADDR:
        m->feuaddr = (uint32_t)value;
        break;
    case VTD_PMEN:
        m->pmen = (uint32_t)value & VTD_PMEN_ENABLE ? 0x80000001u : m->stuck & 1;
        break;
    default:
        fail_msg("write to register 0x%x", offset);
    }
}

/* ---- translation: 0 with the physical address, or the reason why not */

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

static inline int find_context(struct model *m, uint16_t requester, struct entry *out) {
    for (unsigned i = 0; i < REMEMBERED; i++)
        if (m->context[i].valid && m->context[i].requester == requester) {
            *out = m->context[i];
            return 0;
        }
    struct entry e = {.requester = requester};
    uint64_t root = seen(m, m->root + 16 * (requester >> 8));
    assert_int_equal(seen(m, m->root + 16 * (requester >> 8) + 8), 0);
    assert_int_equal(root & 0xffe, 0);
    if (root & 1) {
        uint64_t at = (root & ~0xfffull) + 16 * (requester & 0xff);
        e.low = seen(m, at);
        e.high = seen(m, at + 8);
        e.present = e.low & 1;
    }
    if (e.present) {
        e.domain = e.high >> 8 & 0xffff;
        assert_int_equal(e.low & 0xffc, 0);
        assert_int_equal(e.high & 0xff0000f8, 0);
        assert_int_equal(e.high >> 32, 0);
        assert_true(e.domain < VTD_CAP_DOMAINS(m->cap) && (e.domain || !(m->cap & VTD_CAP_CM)));
        assert_true(m->cap >> (8 + (e.high & 7)) & 1);
    }
    if (e.present || (m->cap & VTD_CAP_CM))
        remember(m->context, &e);
    *out = e;
    return root & 1 ? 0 : 1;
}

static inline void walk_pages(struct model *m, const struct entry *context, uint64_t address,
                              struct entry *out) {
    unsigned levels = (unsigned)(context->high & 7) + 2;
    uint64_t table = context->low & ~0xfffull;

    *out = (struct entry){.domain = context->domain, .page = address & ~0xfffull, .write = true};
    for (unsigned shift = 12 + 9 * (levels - 1);; shift -= 9) {
        uint64_t e = seen(m, table + 8 * (address >> shift & 511));
        bool leaf = shift == 12 || (e & 0x80);
        if (!(e & 3))
            return;
        assert_true((shift != 21 && shift != 30) || !(e & 0x80) || (m->cap >> (shift == 21 ? 34 : 35) & 1));
        assert_true(shift < 39 || !(e & 0x80));
        assert_int_equal(e & 0x77c, 0);
        assert_int_equal(!!(e & 0x800), leaf && (m->ecap & VTD_ECAP_SC));
        out->write = out->write && (e & 2);
        if (leaf) {
            uint64_t mask = (1ull << shift) - 1;
            out->present = true;
            out->physical = (e & 0x000ffffffffff000ull & ~mask) | (address & mask & ~0xfffull);
            return;
        }
        table = e & 0x000ffffffffff000ull;
    }
}

static inline int translate(struct model *m, uint16_t requester, uint64_t address, bool write,
                            uint64_t *physical) {
    struct entry context, page;

    if (!(m->gsts & VTD_TE)) {
        *physical = address;
        return 0;
    }
    int reason = find_context(m, requester, &context);
    if (reason)
        return reason;
    if (!context.present)
        return 2 | (context.low & 2 ? FAULT_QUIET : 0);
    if (address >> (12 + 9 * ((context.high & 7) + 2)))
        return 4;
    bool found = false;
    for (unsigned i = 0; i < REMEMBERED && !found; i++)
        if (m->page[i].valid && m->page[i].domain == context.domain &&
            m->page[i].page == (address & ~0xfffull)) {
            page = m->page[i];
            found = true;
        }
    if (!found) {
        walk_pages(m, &context, address, &page);
        if (page.present || (m->cap & VTD_CAP_CM))
            remember(m->page, &page);
    }
    if (!page.present || (write && !page.write))
        return write ? 5 : 6;
    *physical = page.physical | (address & 0xfff);
    return 0;
}

/* A message or an I/O APIC's interrupt. 0 with the vector and CPU, or the reason why not. */
static inline int remap(const struct model *m, uint16_t requester, uint64_t address, uint32_t data,
                        unsigned *vector, unsigned *cpu) {
    if (!(m->gsts & VTD_IRE)) {
        *vector = data & 0xff;
        *cpu = address >> 12 & 0xff;
        return 0;
    }
    if (!(address & 0x10))
        return 0x25;
    unsigned index = (unsigned)((address >> 5 & 0x7fff) | (address >> 2 & 1) << 15);
    assert_int_equal(address & 8, 0);
    if (index >= 2u << (m->table & 15))
        return 0x21;
    uint64_t at = (m->table & ~0xfffull) + 16ull * index, low = seen(m, at), high = seen(m, at + 8);
    if (!(low & 1))
        return 0x22;
    assert_int_equal(low & 0xffff00ffff00ffeeull, 0);
    unsigned kind = high >> 18 & 3;
    assert_true(kind == 1 || kind == 2);
    assert_int_equal(high & ~0xcffffull, 0);
    if (kind == 1 ? requester != (uint16_t)high
                  : requester >> 8 < (high >> 8 & 0xff) || requester >> 8 > (high & 0xff))
        return 0x26;
    *vector = low >> 16 & 0xff;
    *cpu = low >> 40 & 0xff;
    return 0;
}

/* The unit notes a fault, and raises its interrupt if that is due. */
static inline void fault_note(struct model *m, uint16_t requester, uint64_t information, unsigned reason,
                              bool write) {
    bool pending = false;
    for (unsigned i = 0; i < RECORDS; i++)
        pending = pending || m->record[i][1] >> 63;
    if (!pending)
        m->first = m->next;
    if (m->record[m->next][1] >> 63) {
        m->fsts |= VTD_FSTS_OVERFLOW;
    } else {
        m->record[m->next][0] = information;
        m->record[m->next][1] = 1ull << 63 | (uint64_t)!write << 62 | (uint64_t)reason << 32 | requester;
        m->next = (m->next + 1) % RECORDS;
    }
    unsigned vector = (m->fedata & 0xff) - 0x50;
    if (!pending && !(m->fectl & VTD_FECTL_MASK))
        message_handler[vector](message_context[vector]);
}

#endif
