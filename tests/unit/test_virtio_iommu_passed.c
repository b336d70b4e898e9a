// SPDX-License-Identifier: Apache-2.0
// Functions of the machine behind a virtio-iommu: what the hypervisor is told, in which order, and that it is
// always what the guest was granted; refusals, and ends of our program in the middle of all.
// unit-sources: virtio/iommu.c virtio/iommu_passed.c virtio/iommu_store.c virtio/device.c virtio/memory.c virtio/queue*.c
#define FIXTURE_PASSED 2u
#include "virtio_iommu_fixture.h"
#include <errno.h>
#include "virtio/iommu_passed.h"

#define ONE       0xc0u /* endpoints: 00:18.0, 00:19.0 */
#define TWO       0xc8u
#define PAGES     64u
#define RAM_PAGES 32u /* guest-physical pages that are RAM */

/* The hypervisor: what each function reaches. */
static struct {
    bool confined;
    uint64_t page[PAGES]; /* where it leads + 1; 0: nowhere */
    bool writable[PAGES];
    unsigned confines, maps, unmaps;
} function[FIXTURE_PASSED];
static int confine_error; /* what confine(true) says */
static unsigned room;     /* pages that can be mapped still */
static unsigned stop_at;  /* the call after which our program ends, from 1 on; 0: never */
static unsigned weight;   /* what a call takes of a run's budget beside */
static bool lively;       /* other things happen between the runs of a request */
static unsigned betweens;
static jmp_buf ended;

static void step(void) {
    iommu->spent += weight;
    if (stop_at && --stop_at == 0)
        longjmp(ended, 1);
}

static int machine_confine(struct virtio_iommu *of, unsigned number, bool on) {
    assert_ptr_equal(of, iommu);
    assert_true(number < FIXTURE_PASSED);
    function[number].confines++;
    if (on && confine_error)
        return confine_error;
    function[number].confined = on;
    step();
    return 0;
}

static int machine_map(struct virtio_iommu *of, unsigned number, const struct iommu_mapping *mapping) {
    uint64_t first = mapping->start >> 12, last = mapping->end >> 12, to = mapping->physical >> 12;
    assert_ptr_equal(of, iommu);
    assert_true(number < FIXTURE_PASSED && last < PAGES);
    function[number].maps++;
    assert_true(iommu->spent < IOMMU_PASSED_BUDGET + 64 + weight);
    if (to + (last - first) >= RAM_PAGES)
        return -EFAULT;
    if (room < last - first + 1)
        return -ENOMEM;
    room -= (unsigned)(last - first + 1);
    for (uint64_t i = first; i <= last; i++) {
        function[number].page[i] = to + (i - first) + 1;
        function[number].writable[i] = mapping->flags & IOMMU_MAP_WRITE;
    }
    step();
    return 0;
}

static void machine_unmap(struct virtio_iommu *of, unsigned number, const struct iommu_mapping *mapping) {
    assert_ptr_equal(of, iommu);
    assert_true(number < FIXTURE_PASSED && mapping->end >> 12 < PAGES);
    function[number].unmaps++;
    for (uint64_t i = mapping->start >> 12; i <= mapping->end >> 12; i++) {
        room += function[number].page[i] != 0;
        function[number].page[i] = 0;
    }
    step();
}

static const struct virtio_iommu_machine *the_machine;
static const struct virtio_iommu_machine paged_machine = {
    .confine = machine_confine, .map = machine_map, .unmap = machine_unmap};

static void fixture_machine(struct virtio_iommu *of) {
    virtio_iommu_machine(of, the_machine, 39);
}

static void fixture_between(void) {
    betweens++;
    assert_true(iommu->stage == VIRTIO_IOMMU_ASKED); /* or nothing would go on */
    if (!lively)
        return;
    if (rand() % 8 == 0)
        virtio_device_config_write(&iommu->device, 36, 1, (unsigned)rand() & 1);
    if (rand() % 32 == 0)
        program_start();
}

static int setup(void **state) {
    memset(function, 0, sizeof(function));
    confine_error = 0;
    room = 1000;
    stop_at = weight = betweens = 0;
    lively = false;
    the_machine = &paged_machine;
    return fixture_setup(state);
}

/* What each function reaches is what the store says. */
static void check(void) {
    for (unsigned n = 0; n < FIXTURE_PASSED; n++) {
        uint32_t state = kept->endpoint[24 + n];
        bool confined = state ? !(state & IOMMU_ENDPOINT_BYPASS) : virtio_iommu_blocked(iommu);
        assert_int_equal(function[n].confined, confined);
        for (uint64_t i = 0; i < PAGES; i++) {
            const struct iommu_mapping *mapping =
                state && confined ? iommu_store_find(&iommu->store, state & IOMMU_ENDPOINT_DOMAIN, i << 12)
                                  : NULL;
            uint64_t wanted = mapping ? (mapping->physical >> 12) + (i - (mapping->start >> 12)) + 1 : 0;
            assert_true(function[n].page[i] == wanted);
            assert_true(!wanted || function[n].writable[i] == ((mapping->flags & IOMMU_MAP_WRITE) != 0));
        }
    }
}

static uint8_t map_pages(uint32_t domain, uint64_t first, uint64_t last, uint64_t to, uint32_t flags) {
    return map(domain, first << 12, (last << 12) + 0xfff, to << 12, flags);
}

static void test_domains(void **state) {
    (void)state;
    assert_int_equal(virtio_device_config_read(&iommu->device, 16, 8) >> 39, 0);
    assert_int_equal(virtio_device_config_read(&iommu->device, 20, 4), 0x7f);
    check();
    assert_int_equal(attach(1, ONE, 0), S_OK);
    check();
    assert_int_equal(map_pages(1, 0, 3, 10, 3), S_OK);
    assert_int_equal(map_pages(1, 8, 8, 0, 1), S_OK);
    check();
    assert_int_equal(function[1].maps, 0);
    assert_int_equal(attach(1, TWO, 0), S_OK); /* gets all that is there */
    check();
    assert_int_equal(function[1].maps, 2);
    assert_int_equal(map_pages(1, 20, 21, 4, 3), S_OK);
    assert_int_equal(unmap(1, 0, 0x3fff), S_OK);
    check();
    assert_int_equal(attach(2, ONE, 0), S_OK);
    check();
    assert_int_equal(map_pages(2, 8, 8, 7, 3), S_OK);
    assert_int_equal(attach(3, TWO, 1), S_OK); /* bypass */
    check();
    assert_int_equal(detach(2, ONE), S_OK);
    check();
    /* A virtio device in the same domain is no affair of the hypervisor's. */
    unsigned maps = function[0].maps + function[1].maps;
    assert_int_equal(attach(5, 8, 0), S_OK);
    assert_int_equal(map_pages(5, 0, 100, 0, 3), S_OK);
    assert_int_equal(unmap(5, 0, UINT64_MAX), S_OK);
    assert_int_equal(function[0].maps + function[1].maps, maps);
    check();
    assert_int_equal(map(5, 0x8000000000, 0x8000000fff, 0, 3), S_RANGE); /* 39 bits */
}

static void test_bypass(void **state) {
    (void)state;
    assert_int_equal(attach(1, ONE, 0), S_OK);
    virtio_device_config_write(&iommu->device, 36, 1, 0);
    check();
    assert_true(function[1].confined);
    assert_int_equal(detach(1, ONE), S_OK);
    check();
    virtio_device_config_write(&iommu->device, 36, 1, 1);
    check();
    /* One that cannot be kept apart: all stays as it was. */
    confine_error = -EBUSY;
    virtio_device_config_write(&iommu->device, 36, 1, 0);
    assert_int_equal(virtio_device_config_read(&iommu->device, 36, 1), 1);
    check();
    assert_int_equal(attach(1, ONE, 0), S_UNSUPP);
    check();
    assert_int_equal(attach(1, ONE, 1), S_OK);
    assert_int_equal(attach(2, ONE, 0), S_UNSUPP); /* and is in none then */
    assert_int_equal(kept->endpoint[24], 0);
    check();
}

static void test_refusals(void **state) {
    (void)state;
    assert_int_equal(attach(1, ONE, 0), S_OK);
    assert_int_equal(attach(1, TWO, 0), S_OK);
    assert_int_equal(map_pages(1, 0, 0, RAM_PAGES, 3), S_FAULT);
    assert_int_equal(map_pages(1, 0, 3, RAM_PAGES - 2, 3), S_FAULT);
    check();
    assert_int_equal(iommu->store.count, 0);
    room = 5; /* enough for the first one alone */
    assert_int_equal(map_pages(1, 0, 3, 0, 3), S_NOMEM);
    check();
    assert_int_equal(room, 5);
    assert_int_equal(map_pages(1, 0, 1, 0, 3), S_OK);
    check();
    assert_int_equal(map_pages(1, 1, 1, 0, 3), S_INVAL); /* not asked for */
    assert_int_equal(attach(2, TWO, 0), S_OK);
    assert_int_equal(map_pages(2, 0, 2, 0, 3), S_OK);
    /* No room for what the domain has: it is in none. */
    room = 0;
    assert_int_equal(attach(2, ONE, 0), S_NOMEM);
    assert_int_equal(kept->endpoint[24], 0);
    check();
    assert_int_equal(map_pages(1, 5, 5, 0, 3), S_NOENT);
}

/* A reset of the device, and of the guest: nothing is left. */
static void test_resets(void **state) {
    (void)state;
    for (unsigned restart = 0; restart < 2; restart++) {
        iommu_begin(ALL_FEATURES);
        assert_int_equal(attach(1, ONE, 0), S_OK);
        assert_int_equal(map_pages(1, 0, 3, 10, 3), S_OK);
        virtio_device_config_write(&iommu->device, 36, 1, 0);
        if (restart)
            virtio_iommu_restart(iommu);
        virtio_device_reset(&iommu->device);
        assert_int_equal(function[0].confined, !restart);
        for (unsigned i = 0; i < PAGES; i++)
            assert_true(function[0].page[i] == 0);
        virtio_iommu_restart(iommu);
        (void)machine_confine(iommu, 0, false);
        (void)machine_confine(iommu, 1, false);
    }
}

/* Our program ends after each step of a request; the next one does it again. */
static void test_ends(void **state) {
    static const struct {
        uint8_t type;
        uint32_t domain, last; /* endpoint, or page */
    } rows[] = {{T_ATTACH, 1, TWO}, {T_ATTACH, 2, ONE}, {T_DETACH, 1, ONE}, {T_MAP, 1, 40}, {T_UNMAP, 1, 0}};
    uint32_t written;

    (void)state;
    for (volatile unsigned row = 0; row < sizeof(rows) / sizeof(rows[0]); row++)
        for (volatile unsigned after = 1; after < 12; after++) {
            uint8_t bytes[36] = {0};
            volatile unsigned size = 20;
            iommu_begin(ALL_FEATURES);
            assert_int_equal(attach(1, ONE, 0), S_OK);
            assert_int_equal(map_pages(1, 0, 3, 10, 3), S_OK);
            assert_int_equal(map_pages(1, 8, 8, 2, 1), S_OK);
            assert_int_equal(attach(2, TWO, 0), S_OK);
            assert_int_equal(map_pages(2, 8, 8, 3, 3), S_OK);
            if (rows[row].type == T_MAP || rows[row].type == T_UNMAP)
                assert_int_equal(attach(1, TWO, 0), S_OK);
            if (rows[row].type == T_MAP) {
                map_bytes(bytes, 1, 0x28000, 0x29fff, 0x3000, 3);
                size = 36;
            } else if (rows[row].type == T_UNMAP) {
                unmap_bytes(bytes, 1, 0, UINT64_MAX);
                size = 28;
            } else {
                bytes[0] = rows[row].type;
                fill(bytes + 4, 4, rows[row].domain);
                fill(bytes + 8, 4, rows[row].last);
            }
            stop_at = after;
            if (setjmp(ended)) {
                program_start();
                stop_at = 0;
            } else {
                ask(bytes, size, 4);
            }
            stop_at = 0;
            assert_true(answered(&written));
            assert_int_equal(status_at(0, written), S_OK);
            check();
            virtio_device_reset(&iommu->device);
            check();
        }
}

/* Makes two domains, and asks for something that takes several calls of the hypervisor's. */
static void begin_long(unsigned row) {
    uint8_t bytes[36] = {0};

    iommu_begin(ALL_FEATURES);
    assert_int_equal(attach(1, ONE, 0), S_OK);
    assert_int_equal(map_pages(1, 0, 3, 10, 3), S_OK);
    assert_int_equal(map_pages(1, 8, 8, 2, 1), S_OK);
    assert_int_equal(map_pages(1, 10, 11, 2, 1), S_OK);
    if (row < 2)
        assert_int_equal(attach(1, TWO, 0), S_OK);
    weight = 1000; /* a call in each run */
    if (row == 0) {
        map_bytes(bytes, 1, 0x28000, 0x29fff, 0x3000, 3);
        ask(bytes, 36, 4);
    } else if (row == 1) {
        unmap_bytes(bytes, 1, 0, UINT64_MAX);
        ask(bytes, 28, 4);
    } else {
        bytes[0] = row == 2 ? T_ATTACH : T_DETACH;
        fill(bytes + 4, 4, 1);
        fill(bytes + 8, 4, row == 2 ? TWO : ONE);
        ask(bytes, 20, 4);
    }
}

/* A request that takes several runs: not answered before, and nothing is asked of it twice. */
static void test_runs(void **state) {
    static const unsigned wanted[] = {2, 6, 4, 3};
    uint32_t written;

    (void)state;
    for (unsigned row = 0; row < 4; row++) {
        begin_long(row);
        unsigned runs = 1, before = agains;
        while (!answered(&written)) {
            assert_true(runs++ < 20);
            virtio_iommu_run(iommu);
        }
        assert_int_equal(agains - before,
                         runs - 1); /* it asked for each of them; the one before, at its end */
        assert_int_equal(runs, wanted[row]);
        assert_int_equal(status_at(0, written), S_OK);
        check();
        virtio_device_reset(&iommu->device);
        for (unsigned i = 0; !virtio_iommu_idle(iommu); i++) {
            assert_true(i < 50);
            virtio_iommu_run(iommu);
        }
        check();
        weight = 0;
    }
}

/* The driver resets the device in the midst of one, or the VM starts anew; our program may end after any of
 * the calls that follow. The driver sees the reset end when nothing is mapped, and asks for nothing before.
 */
static void test_long_resets(void **state) {
    (void)state;
    for (volatile unsigned row = 0; row < 4; row++)
        for (volatile unsigned runs = 0; runs < 8; runs++)
            for (volatile unsigned end = 0; end < 12; end++) {
                begin_long(row);
                for (unsigned i = 0; i < runs; i++)
                    virtio_iommu_run(iommu);
                stop_at = end;
                if (setjmp(ended)) {
                    stop_at = 0;
                    program_start();
                    assert_int_equal(iommu->walk.phase, 0);
                } else {
                    virtio_device_set_status(&iommu->device, 0);
                    for (unsigned i = 0; i < 50 && !virtio_iommu_idle(iommu); i++) {
                        assert_int_equal(virtio_device_status(&iommu->device), VIRTIO_STATUS_NEEDS_RESET);
                        virtio_iommu_run(iommu);
                    }
                }
                stop_at = 0;
                for (unsigned i = 0; i < 50 && !virtio_iommu_idle(iommu); i++)
                    virtio_iommu_run(iommu);
                assert_true(virtio_iommu_idle(iommu));
                assert_int_equal(virtio_device_status(&iommu->device), 0);
                check();
                for (unsigned i = 0; i < 2 * PAGES; i++)
                    assert_true(function[i % 2].page[i / 2] == 0);
                weight = 0;
            }
}

/* Large mappings go in pieces, within a run's budget. */
static struct iommu_mapping sent[64];
static unsigned sent_count, fail_at;

static int record_confine(struct virtio_iommu *of, unsigned number, bool on) {
    (void)of, (void)number, (void)on;
    return 0;
}
static int record_map(struct virtio_iommu *of, unsigned number, const struct iommu_mapping *piece) {
    (void)of, (void)number;
    assert_true(sent_count < 64);
    sent[sent_count++] = *piece;
    return sent_count == fail_at ? -EFAULT : 0;
}
static void record_unmap(struct virtio_iommu *of, unsigned number, const struct iommu_mapping *piece) {
    (void)record_map(of, number, piece);
}
static const struct virtio_iommu_machine recording_machine = {
    .confine = record_confine, .map = record_map, .unmap = record_unmap};

static void expect_piece(unsigned index, uint64_t start, uint64_t size, uint64_t physical) {
    assert_true(sent[index].start == start && sent[index].end == start + size - 1);
    assert_true(sent[index].physical == physical);
}

static void test_pieces(void **state) {
    const uint64_t chunk = SERVICE_MAX_DMA;

    (void)state;
    the_machine = &recording_machine;
    program_start();
    sent_count = fail_at = 0;
    assert_int_equal(attach(1, ONE, 0), S_OK);
    assert_int_equal(map(1, 0x1000, 0x1000 + 5 * chunk + 0x2fff, 0x7000, 3), S_OK);
    assert_int_equal(sent_count, 6);
    assert_int_equal(betweens, 2); /* two pieces fill a run */
    assert_int_equal(unmap(1, 0, UINT64_MAX), S_OK);
    assert_int_equal(sent_count, 12);
    for (unsigned i = 0; i < 12; i++)
        expect_piece(i, 0x1000 + i % 6 * chunk, i % 6 < 5 ? chunk : 0x3000, 0x7000 + i % 6 * chunk);
    /* One of which is refused: they are taken back. */
    sent_count = 0;
    fail_at = 3;
    assert_int_equal(map(1, 0x1000, 0x1000 + 5 * chunk + 0x2fff, 0x7000, 3), S_FAULT);
    assert_int_equal(sent_count, 9);
    expect_piece(2, 0x1000 + 2 * chunk, chunk, 0x7000 + 2 * chunk);
    expect_piece(3, 0x1000, chunk, 0x7000);
    assert_int_equal(iommu->store.count, 0);
}

static void test_random(void **state) {
    (void)state;
    srand(2);
    for (unsigned i = 0; i < 5000; i++) {
        unsigned first = (unsigned)rand() % 60, last = first + (unsigned)rand() % (PAGES - first);
        switch (rand() % 8) {
        case 0:
            attach(1 + (unsigned)rand() % 3, rand() & 1 ? ONE : TWO, (unsigned)rand() % 8 == 0);
            break;
        case 1:
            detach(1 + (unsigned)rand() % 3, rand() & 1 ? ONE : TWO);
            break;
        case 2:
            virtio_device_config_write(&iommu->device, 36, 1, (unsigned)rand() & 1);
            break;
        case 3:
            room = (unsigned)rand() % 60;
            weight = (unsigned)rand() % 300;
            lively = rand() & 1;
            break;
        case 4:
            unmap(1 + (unsigned)rand() % 3, (uint64_t)first << 12, (((uint64_t)last + 1) << 12) - 1);
            break;
        case 5:
            program_start();
            break;
        default:
            map_pages(1 + (unsigned)rand() % 3, first, last, (unsigned)rand() % RAM_PAGES,
                      (unsigned)rand() % 4);
        }
        check();
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_domains), TEST(test_bypass),      TEST(test_refusals), TEST(test_resets), TEST(test_ends),
        TEST(test_runs),    TEST(test_long_resets), TEST(test_pieces),   TEST(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
