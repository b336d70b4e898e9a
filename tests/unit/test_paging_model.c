// SPDX-License-Identifier: Apache-2.0
// The paging engine in long sequences: against a flat model, with memory that runs out at every allocation,
// and beside a walker that sets accessed and dirty bits as hardware does.
// unit-sources: core/paging.c arch/x86/paging_formats.c
#include <pthread.h>
#include "tests/unit/paging_fixture.h"

/* --- against a flat model --- */

#define MODEL_PAGES (1u << 20) /* 4 GiB */

static struct model_page {
    uint64_t physical;
    uint8_t rights; /* 0: not mapped */
    uint8_t dirty;  /* hardware wrote since the last harvest */
} model[MODEL_PAGES];

static void check_page(struct paging *paging, uint64_t page) {
    uint64_t physical;
    unsigned rights;
    int error = paging_lookup(paging, page * K4 + 0x123, &physical, &rights, NULL);
    if (model[page].rights == 0) {
        assert_int_equal(error, -ENOENT);
        return;
    }
    assert_int_equal(error, 0);
    assert_int_equal(physical, model[page].physical + 0x123);
    assert_int_equal(rights, model[page].rights);
}

static void model_found(void *context, uint64_t address, uint64_t size) {
    (void)context;
    for (uint64_t page = address / K4; page < (address + size) / K4; page++)
        model[page].dirty = 0;
}

static void hardware_write(struct paging *paging, uint64_t page) {
    unsigned shift;
    uint64_t *entry = walk(paging, page * K4, &shift);
    if (entry == NULL)
        return;
    *entry |= paging->format->dirty;
    model[page].dirty = 1;
}

static void random_range(uint64_t *page, uint64_t *count) {
    static const unsigned units[] = {1, 1, 512, 512, 512, 262144};
    unsigned unit = units[test_time++ % 6];
    uint64_t r = test_time * 6364136223846793005ull + 1442695040888963407ull;
    r ^= r >> 29;
    r *= 0xbf58476d1ce4e5b9ull;
    r ^= r >> 32;
    *page = r % (MODEL_PAGES / unit) * unit;
    *count =
        (r >> 24) % (unit == 262144 ? 2 : 700) * (unit == 1 ? 1 : unit) + ((r >> 40) % 3 == 0 ? unit / 3 : 0);
    if (*count == 0)
        *count = 1;
    if (*count > MODEL_PAGES - *page)
        *count = MODEL_PAGES - *page;
}

static void random_life(const struct paging_format *format, unsigned largest, unsigned steps) {
    static const uint8_t rights_of[] = {RWX, RX, RW, PAGING_READ, RW | PAGING_UNCACHED};
    struct paging paging;
    memset(model, 0, sizeof(model));
    start(&paging, format, largest);
    for (unsigned step = 0; step < steps; step++) {
        uint64_t page, count;
        random_range(&page, &count);
        uint64_t r = page * 0x9e3779b97f4a7c15ull ^ step * 0xd1342543de82ef95ull;
        uint8_t rights = rights_of[(r >> 20) % 5];
        switch ((r >> 50) % 6) {
        case 0:
        case 1: {
            /* The same physical address again and again, so that merging finds something. */
            uint64_t physical = (r >> 30) % 4 != 0 ? (page + 3 * 262144) * K4 : (r >> 34) % 1000 * K4;
            assert_int_equal(paging_map(&paging, page * K4, physical, count * K4, rights), 0);
            for (uint64_t i = 0; i < count; i++)
                model[page + i] = (struct model_page){.physical = physical + i * K4, .rights = rights};
            break;
        }
        case 2:
            assert_int_equal(paging_unmap(&paging, page * K4, count * K4), 0);
            memset(&model[page], 0, count * sizeof(model[0]));
            break;
        case 3:
            assert_int_equal(paging_protect(&paging, page * K4, count * K4, rights), 0);
            for (uint64_t i = 0; i < count; i++)
                model[page + i].rights = model[page + i].rights != 0 ? rights : 0;
            break;
        case 4:
            paging_merge(&paging, page * K4, count * K4);
            break;
        default:
            for (unsigned i = 0; i < 20; i++)
                hardware_write(&paging, (page + i * 977) % MODEL_PAGES);
            if (step % 3 == 0) {
                assert_int_equal(paging_harvest(&paging, page * K4, count * K4, model_found, NULL), 0);
                for (uint64_t i = 0; i < count; i++)
                    assert_int_equal(model[page + i].dirty, 0);
            }
        }
        check_page(&paging, page);
        check_page(&paging, page + count - 1);
        check_page(&paging, page == 0 ? 0 : page - 1);
        check_page(&paging, (page + count) % MODEL_PAGES);
        for (unsigned i = 0; i < 30; i++)
            check_page(&paging, (page + i * 7919) % MODEL_PAGES);
    }
    for (uint64_t page = 0; page < MODEL_PAGES; page += 3)
        check_page(&paging, page);
    /* Nothing that was written is forgotten, and the second harvest is empty. */
    assert_int_equal(paging_harvest(&paging, 0, MODEL_PAGES * K4, model_found, NULL), 0);
    for (uint64_t page = 0; page < MODEL_PAGES; page++)
        assert_int_equal(model[page].dirty, 0);
    found_count = 0;
    assert_int_equal(paging_harvest(&paging, 0, MODEL_PAGES * K4, found, &found_count), 0);
    assert_int_equal(found_count, 0);
    assert_int_equal(paging_unmap(&paging, 0, 1ull << 48), 0);
    assert_int_equal(tables, 1);
    finish(&paging);
}

static void test_random(void **state) {
    (void)state;
    test_time = 1;
    for (unsigned f = 0; f < FORMATS; f++) {
        random_life(formats[f], 30, 500);
        random_life(formats[f], 21, 400);
        random_life(formats[f], 12, 60);
    }
}

/* --- memory that runs out --- */

/* Runs one operation with ever more memory, until it succeeds. */
static void out_of_memory(const struct paging_format *format, unsigned kind) {
    for (unsigned allowed = 0;; allowed++) {
        struct paging paging;
        start(&paging, format, 30);
        assert_int_equal(paging_map(&paging, 0, 8 * G1, 2 * G1, RWX), 0);
        assert_int_equal(paging_map(&paging, 2 * G1, 4 * G1, 2 * M2, RW), 0);
        uint64_t base = M2 + K4, size = 2 * G1 + M2 - 3 * K4; /* cuts two large pages */
        left = allowed;
        int error = kind == 0   ? paging_unmap(&paging, base, size)
                    : kind == 1 ? paging_protect(&paging, base, size, PAGING_READ)
                                : paging_map(&paging, base, 16 * G1 + K4, size, PAGING_READ);
        left = UINT32_MAX;
        for (uint64_t at = 0; at < 2 * G1 + 2 * M2; at += 61 * K4) {
            uint64_t old = at < 2 * G1 ? 8 * G1 + at : 2 * G1 + at, physical = 0;
            unsigned old_rights = at < 2 * G1 ? RWX : RW, rights = 0;
            int looked = paging_lookup(&paging, at, &physical, &rights, NULL);
            bool is_old = looked == 0 && physical == old && rights == old_rights;
            bool inside = at >= base && at < base + size;
            bool is_new = kind == 0   ? looked == -ENOENT
                          : kind == 1 ? looked == 0 && physical == old && rights == PAGING_READ
                                      : physical == 16 * G1 + K4 + (at - base) && rights == PAGING_READ;
            if (!inside || (error != 0 && kind != 2))
                assert_true(is_old);
            else
                assert_true(is_new || (error != 0 && is_old));
        }
        finish(&paging);
        if (error == 0) {
            assert_true(allowed >= 3);
            return;
        }
        assert_int_equal(error, -ENOMEM);
        assert_true(allowed < 600);
    }
}

static void test_out_of_memory(void **state) {
    (void)state;
    struct paging paging;
    left = 0;
    assert_int_equal(paging_init(&paging, &paging_npt_format, &account, 30), -ENOMEM);
    for (unsigned f = 0; f < FORMATS; f++) {
        out_of_memory(formats[f], 0);
        out_of_memory(formats[f], 1);
    }
    /* A map over 2 GiB of 4 KiB pages takes 500 tables: fewer steps. */
    out_of_memory(formats[0], 2);
}

/* --- beside hardware --- */

#define WALK_PAGES 4096u /* 16 MiB */

static pthread_mutex_t in_guest = PTHREAD_MUTEX_INITIALIZER;
static uint32_t walker_stop;
static uint32_t written[WALK_PAGES]; /* 2: dirty was set by the walker, and must be found */
static struct paging *walked;

/* As a CPU does it: walks, and sets accessed and dirty by a locked operation on the entry that it used. The
 * walk starts anew when the entry has changed. A flush waits until the CPU is out of the guest. */
static void *walker(void *argument) {
    uint64_t r = 1;
    (void)argument;
    while (__atomic_load_n(&walker_stop, __ATOMIC_ACQUIRE) == 0) {
        pthread_mutex_lock(&in_guest);
        for (unsigned i = 0; i < 40; i++) {
            r = r * 6364136223846793005ull + 1442695040888963407ull;
            uint64_t page = (r >> 33) % WALK_PAGES;
            for (unsigned attempt = 0; attempt < 100; attempt++) {
                unsigned shift;
                uint64_t *entry = walk(walked, page * K4, &shift);
                if (entry == NULL)
                    break;
                uint64_t old = __atomic_load_n(entry, __ATOMIC_RELAXED);
                if ((old & walked->format->present_mask) == 0 || (shift > 12 && (old & 0x80) == 0) ||
                    (walked->format->rights_decode(old) & PAGING_WRITE) == 0)
                    continue;
                if (__atomic_compare_exchange_n(entry, &old,
                                                old | walked->format->accessed | walked->format->dirty, false,
                                                __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
                    __atomic_store_n(&written[page], 2, __ATOMIC_RELEASE);
                    break;
                }
            }
        }
        pthread_mutex_unlock(&in_guest);
    }
    return NULL;
}

static void wait_flush(struct paging *paging, uint64_t address, uint64_t size) {
    (void)paging;
    (void)address;
    (void)size;
    pthread_mutex_lock(&in_guest);
    pthread_mutex_unlock(&in_guest);
}

static void written_found(void *context, uint64_t address, uint64_t size) {
    (void)context;
    for (uint64_t page = address / K4; page < (address + size) / K4; page++)
        written[page] = 0;
}

static void test_beside_hardware(void **state) {
    (void)state;
    for (unsigned f = 0; f < FORMATS; f++) {
        struct paging paging;
        pthread_t thread;
        start(&paging, formats[f], 21);
        paging.flush = wait_flush;
        walked = &paging;
        assert_int_equal(paging_map(&paging, 0, G1, WALK_PAGES * K4, RWX), 0);
        memset(written, 0, sizeof(written));
        walker_stop = 0;
        assert_int_equal(pthread_create(&thread, NULL, walker, NULL), 0);
        for (unsigned step = 0; step < 3000; step++) {
            uint64_t page = step * 2654435761u % WALK_PAGES;
            assert_int_equal(paging_protect(&paging, page * K4, K4, RX), 0);
            assert_int_equal(paging_protect(&paging, page * K4, K4, RWX), 0);
            paging_merge(&paging, 0, WALK_PAGES * K4);
            if (step % 50 == 0) {
                /* With the guest stopped, every page that it wrote is found. */
                pthread_mutex_lock(&in_guest);
                paging.flush = NULL;
                paging_harvest(&paging, 0, WALK_PAGES * K4, written_found, NULL);
                for (uint64_t i = 0; i < WALK_PAGES; i++)
                    assert_int_equal(written[i], 0);
                paging.flush = wait_flush;
                pthread_mutex_unlock(&in_guest);
            }
        }
        __atomic_store_n(&walker_stop, 1, __ATOMIC_RELEASE);
        pthread_join(thread, NULL);
        finish(&paging);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_beside_hardware),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
