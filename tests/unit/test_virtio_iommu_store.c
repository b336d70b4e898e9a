// SPDX-License-Identifier: Apache-2.0
// What a guest's IOMMU keeps: mappings against a plain model, its limit, endpoints and their domains, and
// what is found again after our program ended at any moment.
// unit-sources: virtio/iommu_store.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "virtio/iommu_store.h"

static struct iommu_kept *kept;
static struct iommu_store *store;

static int setup(void **state) {
    (void)state;
    kept = calloc(1, sizeof(*kept));
    store = calloc(1, sizeof(*store));
    iommu_store_init(store, kept);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    free(kept);
    free(store);
    return 0;
}

/* Our program starts anew. */
static void restart(void) {
    free(store);
    store = malloc(sizeof(*store));
    memset(store, 0xee, sizeof(*store));
    iommu_store_init(store, kept);
}

static uint32_t in(uint32_t domain) {
    return IOMMU_ENDPOINT_ATTACHED | domain;
}

/* Pages [first, last] of `domain` to pages from `target` on. */
static int map(uint32_t domain, uint64_t first, uint64_t last, uint64_t target, uint32_t flags) {
    const struct iommu_mapping mapping = {.start = first << 12,
                                          .end = (last << 12) + 0xfff,
                                          .physical = target << 12,
                                          .domain = domain,
                                          .flags = flags};
    assert_true(iommu_store_sound(&mapping));
    return iommu_store_map(store, &mapping);
}

static int unmap(uint32_t domain, uint64_t first, uint64_t last) {
    return iommu_store_unmap(store, domain, first << 12, (last << 12) + 0xfff);
}

static uint64_t target(uint32_t domain, uint64_t address) {
    const struct iommu_mapping *mapping = iommu_store_find(store, domain, address);
    return mapping ? mapping->physical + (address - mapping->start) : UINT64_MAX;
}

static void test_sound(void **state) {
    static const struct iommu_mapping good = {.start = 0x1000, .end = 0x2fff, .physical = 0x5000, .flags = 3};
    struct iommu_mapping m;

    (void)state;
    assert_true(iommu_store_sound(&good));
#define WRONG(field, value) (m = good, m.field = (value), assert_false(iommu_store_sound(&m)))
    WRONG(start, 0x1001);
    WRONG(start, 0x3000);
    WRONG(end, 0x2000);
    WRONG(end, 0x2ffe);
    WRONG(end, UINT64_MAX);
    WRONG(end, 0x1000000000fff);
    WRONG(physical, 0x5800);
    WRONG(physical, 0xfffffffffffff000);
    WRONG(domain, 0x10000);
    WRONG(flags, 8);
    m = good;
    m.start = 0;
    m.end = IOMMU_INPUT_END;
    m.flags = 0;
    assert_true(iommu_store_sound(&m));
}

/* The examples of 5.13.6.6. */
static void test_examples(void **state) {
    (void)state;
    iommu_store_attach(store, 1, in(1));
    assert_int_equal(unmap(1, 0, 4), 0); /* (1) */
    assert_int_equal(map(1, 0, 9, 100, 1), 0);
    assert_int_equal(unmap(1, 0, 9), 1); /* (2) */
    assert_int_equal(map(1, 0, 4, 100, 1), 0);
    assert_int_equal(map(1, 5, 9, 100, 1), 0);
    assert_int_equal(unmap(1, 0, 9), 2); /* (3) */
    assert_int_equal(map(1, 0, 9, 100, 1), 0);
    assert_int_equal(unmap(1, 0, 4), -ERANGE); /* (4) */
    assert_int_equal(unmap(1, 5, 9), -ERANGE);
    assert_int_equal(unmap(1, 3, 3), -ERANGE);
    assert_true(target(1, 0x9fff) == (109 << 12) + 0xfff);
    assert_int_equal(unmap(1, 0, 20), 1); /* (6) */
    assert_int_equal(map(1, 0, 4, 100, 1), 0);
    assert_int_equal(map(1, 10, 14, 200, 1), 0);
    assert_int_equal(unmap(1, 0, 12), -ERANGE);
    assert_true(target(1, 0) == 100 << 12); /* nothing was removed */
    assert_int_equal(unmap(1, 0, 14), 2);   /* (7) */
    assert_int_equal(store->count, 0);
}

static void test_overlap(void **state) {
    (void)state;
    iommu_store_attach(store, 1, in(1));
    iommu_store_attach(store, 2, in(2));
    assert_int_equal(map(1, 10, 19, 100, 1), 0);
    for (unsigned first = 5; first < 25; first++)
        for (unsigned last = first; last < 25; last++) {
            bool free = last < 10 || first > 19;
            assert_int_equal(map(1, first, last, 0, 3), free ? 0 : -EEXIST);
            if (free)
                assert_int_equal(unmap(1, first, last), 1);
            assert_int_equal(map(2, first, last, 0, 3), 0); /* another domain is another world */
            assert_int_equal(unmap(2, first, last), 1);
        }
    assert_true(target(1, 10 << 12) == 100 << 12);
    assert_true(target(1, (10 << 12) - 1) == UINT64_MAX);
    assert_true(target(1, 20 << 12) == UINT64_MAX);
    assert_true(target(2, 10 << 12) == UINT64_MAX);
    assert_true(target(0, 10 << 12) == UINT64_MAX);
}

/* As many as there may be, in a wild order, and not one more. */
static void test_limit(void **state) {
    (void)state;
    iommu_store_attach(store, 1, in(1));
    for (unsigned i = 0; i < IOMMU_STORE_MAPPINGS; i++) {
        unsigned page = i * 2654435761u % 0x100000; /* odd: all are different */
        assert_int_equal(map(1, 2 * page, 2 * page, page, 3), 0);
    }
    assert_int_equal(map(1, 1, 1, 1, 3), -ENOSPC);
    assert_int_equal(map(1, 2 * (2654435761u % 0x100000), 1ull << 30, 0, 3), -EEXIST);
    restart();
    assert_int_equal(store->count, IOMMU_STORE_MAPPINGS);
    for (unsigned i = 0; i < IOMMU_STORE_MAPPINGS; i++) {
        uint64_t page = i * 2654435761u % 0x100000;
        assert_true(target(1, page << 13) == page << 12);
    }
    assert_int_equal(map(1, 1, 1, 1, 3), -ENOSPC);
    assert_int_equal(unmap(1, 0, 1ull << 30), IOMMU_STORE_MAPPINGS);
    assert_int_equal(map(1, 1, 1, 1, 3), 0);
}

static void test_domains(void **state) {
    (void)state;
    assert_int_equal(iommu_store_domain(store, 7), 0);
    iommu_store_attach(store, 3, in(7));
    iommu_store_attach(store, 4, in(7));
    assert_int_equal(iommu_store_domain(store, 7), in(7));
    assert_int_equal(map(7, 0, 0, 5, 3), 0);
    iommu_store_attach(store, 3, 0);
    assert_true(target(7, 0) == 5 << 12);
    iommu_store_attach(store, 4, in(8)); /* the last one leaves */
    assert_true(target(7, 0) == UINT64_MAX);
    assert_int_equal(iommu_store_domain(store, 7), 0);
    assert_int_equal(iommu_store_domain(store, 8), in(8));
    assert_int_equal(map(8, 0, 0, 6, 3), 0);
    iommu_store_clear(store);
    assert_int_equal(iommu_store_domain(store, 8), 0);
    assert_int_equal(store->count, 0);
}

/* Against an array: which page leads where, with a restart now and then. */
#define MODEL_PAGES 64u
static void test_random(void **state) {
    static uint16_t model[2][MODEL_PAGES], tag[2][MODEL_PAGES]; /* 0: not mapped */
    uint16_t next = 1;

    (void)state;
    srand(1);
    memset(tag, 0, sizeof(tag));
    iommu_store_attach(store, 1, in(0));
    iommu_store_attach(store, 2, in(1));
    for (unsigned step = 0; step < 20000; step++) {
        unsigned domain = (unsigned)rand() & 1, first = (unsigned)rand() % MODEL_PAGES;
        unsigned last = first + (unsigned)rand() % (MODEL_PAGES - first), count = 0;
        bool used = false, split;
        for (unsigned i = first; i <= last; i++) {
            used |= tag[domain][i] != 0;
            count += tag[domain][i] && (i == first || tag[domain][i] != tag[domain][i - 1]);
        }
        split = (first && tag[domain][first] && tag[domain][first] == tag[domain][first - 1]) ||
                (last + 1 < MODEL_PAGES && tag[domain][last] && tag[domain][last] == tag[domain][last + 1]);
        if (rand() & 1) {
            assert_int_equal(map(domain, first, last, first + 1000u + next, 3), used ? -EEXIST : 0);
            for (unsigned i = first; !used && i <= last; i++) {
                tag[domain][i] = next;
                model[domain][i] = (uint16_t)(i + 1000 + next);
            }
            next = next == 20000 ? 1 : next + 1;
        } else {
            assert_int_equal(unmap(domain, first, last), split ? -ERANGE : (int)count);
            for (unsigned i = first; !split && i <= last; i++)
                tag[domain][i] = 0;
        }
        if (step % 500 == 0)
            restart();
        for (unsigned i = 0; step % 16 == 0 && i < MODEL_PAGES; i++)
            for (unsigned d = 0; d < 2; d++)
                assert_true(target(d, (uint64_t)i << 12) ==
                            (tag[d][i] ? (uint64_t)model[d][i] << 12 : UINT64_MAX));
    }
}

/* The memory as a program that ended in the middle may leave it, or worse. */
static void test_damage(void **state) {
    (void)state;
    iommu_store_attach(store, 1, in(1));
    iommu_store_attach(store, 2, in(2) | IOMMU_ENDPOINT_BYPASS);
    assert_int_equal(map(1, 0, 0, 5, 3), 0);
    assert_int_equal(map(1, 1, 1, 6, 3), 0);
    /* An endpoint that has left, whose domain's mappings are still there. */
    kept->endpoint[1] = 0;
    restart();
    assert_int_equal(store->count, 0);
    assert_int_equal(kept->mapping[0].flags | kept->mapping[1].flags, 0);

    iommu_store_attach(store, 1, in(1));
    assert_int_equal(map(1, 0, 0, 5, 3), 0);
    struct iommu_mapping *m = kept->mapping;
    m[100] = m[0]; /* twice the same place */
    m[101] = (struct iommu_mapping){.start = 1, .end = 0xfff, .domain = 1, .flags = IOMMU_MAPPING_USED};
    m[102] = (struct iommu_mapping){.start = 0x1000, .end = 0x1fff, .domain = 2, .flags = IOMMU_MAPPING_USED};
    m[103] =
        (struct iommu_mapping){.start = 0x1000, .end = 0x1fff, .domain = 99, .flags = IOMMU_MAPPING_USED};
    m[104] = (struct iommu_mapping){.start = 0x1000, .end = 0x1fff, .domain = 1, .flags = 1};
    m[105] = (struct iommu_mapping){
        .start = 0x1000, .end = 0x1fff, .physical = 0x7000, .domain = 1, .flags = IOMMU_MAPPING_USED | 2};
    kept->endpoint[3] = 5;     /* not attached, and yet in a domain */
    kept->endpoint[4] = in(2); /* no bypass, unlike the other one */
    kept->endpoint[5] = UINT32_MAX;
    restart();
    assert_int_equal(store->count, 2);
    assert_true(target(1, 0) == 5 << 12);
    assert_true(target(1, 0x1000) == 0x7000);
    for (unsigned i = 3; i < 6; i++)
        assert_int_equal(kept->endpoint[i], 0);
    assert_int_equal(kept->endpoint[2], in(2) | IOMMU_ENDPOINT_BYPASS);
    /* All of it at random: whatever is taken up is sound. */
    for (unsigned round = 0; round < 20; round++) {
        for (size_t i = 0; i < sizeof(*kept); i++)
            ((uint8_t *)kept)[i] = (uint8_t)(rand() & rand());
        for (unsigned i = 0; i < IOMMU_STORE_MAPPINGS; i++) {
            m[i].start &= 0xff000, m[i].physical &= 0xff000, m[i].domain &= 3;
            m[i].end = m[i].start + 0xfff;
        }
        kept->endpoint[0] = in(round % 4);
        restart();
        for (unsigned i = 1; i < store->count; i++) {
            const struct iommu_mapping *a = &m[store->order[i - 1]], *b = &m[store->order[i]];
            assert_true(a->domain < b->domain || a->end < b->start);
        }
        iommu_store_clear(store);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sound),   TEST(test_examples), TEST(test_overlap), TEST(test_limit),
        TEST(test_domains), TEST(test_random),   TEST(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
