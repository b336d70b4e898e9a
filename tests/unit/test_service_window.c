// SPDX-License-Identifier: Apache-2.0
// Windows onto guests' RAM: translation by the board, changes under the sequence counter, what the board says
// that cannot be, windows that come, move and go, and the report of written pages.
// unit-sources: service/window.c service/log.c
#include "tests/unit/service_fixture.h"
#include "service/window.h"

#define MIB     (1ull << 20)
#define WINDOW  0x180000000ull
#define PAGE(n) ((uint64_t)(n) << 12)

static struct service_board *board;
static uint8_t *ram; /* what the next arch_map() maps; NULL: it fails */
static unsigned mapped, unmapped;
static uint64_t mapped_physical, mapped_size;

void *arch_map(uint64_t physical, uint64_t size, bool writable) {
    assert_true(writable);
    mapped++;
    mapped_physical = physical;
    mapped_size = size;
    return ram;
}

void arch_unmap(void *address, uint64_t size) {
    assert_ptr_equal(address, ram);
    assert_true(size == mapped_size);
    unmapped++;
}

/* VM 3: 3 MiB at 0, 1 MiB at 4 GiB. */
static int setup(void **state) {
    (void)state;
    calls_reset();
    board = calloc(1, sizeof(*board));
    ram = calloc(1, 4 * MIB);
    struct service_vm *vm = &board->vm[3];
    strcpy(vm->name, "web");
    vm->served = 1;
    vm->window = WINDOW;
    vm->window_size = 4 * MIB;
    vm->ram_count = 2;
    vm->logged = 1;
    vm->ram[0] = (struct service_ram){0, 3 * MIB, 0};
    vm->ram[1] = (struct service_ram){4096 * MIB, 1 * MIB, 3 * MIB};
    mapped = unmapped = 0;
    window_init(board);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    /* Nothing is mapped for the next test. */
    for (unsigned i = 0; i < SERVICE_MAX_VMS; i++) {
        board->vm[i].served = 0;
        window_update(i);
    }
    free(board);
    free(ram);
    return 0;
}

static void *map(uint64_t gpa, uint64_t *contiguous) {
    struct virtio_memory *memory = window_memory(3);
    return memory->map(memory, gpa, contiguous);
}

static void dirty(uint64_t gpa, uint64_t size) {
    struct virtio_memory *memory = window_memory(3);
    memory->dirty(memory, gpa, size);
}

static void change(void (*what)(struct service_vm *vm)) {
    board->vm[3].sequence++;
    what(&board->vm[3]);
    board->vm[3].sequence++;
}

static void assert_no_ram(uint64_t gpa) {
    uint64_t contiguous = 77;
    assert_null(map(gpa, &contiguous));
}

static void assert_ram(uint64_t gpa, uint64_t offset, uint64_t rest) {
    uint64_t contiguous = 0;
    assert_ptr_equal(map(gpa, &contiguous), ram + offset);
    assert_true(contiguous == rest);
}

static void test_translate(void **state) {
    struct virtio_memory *other = window_memory(4);
    uint64_t contiguous;

    (void)state;
    assert_int_equal(mapped, 1); /* the one VM that is served */
    assert_true(mapped_physical == WINDOW && mapped_size == 4 * MIB);
    assert_ram(0, 0, 3 * MIB);
    assert_ram(0x1234, 0x1234, 3 * MIB - 0x1234);
    assert_ram(3 * MIB - 1, 3 * MIB - 1, 1);
    assert_no_ram(3 * MIB);
    assert_no_ram(4096 * MIB - 1);
    assert_ram(4096 * MIB, 3 * MIB, 1 * MIB);
    assert_ram(4097 * MIB - 1, 4 * MIB - 1, 1);
    assert_no_ram(4097 * MIB);
    assert_no_ram(UINT64_MAX);
    assert_null(other->map(other, 0, &contiguous));
}

static void move_up(struct service_vm *vm) {
    vm->ram[0].base = 16 * MIB;
    vm->ram_count = 1;
}

static void test_change(void **state) {
    (void)state;
    assert_ram(4096 * MIB, 3 * MIB, 1 * MIB);
    change(move_up);
    assert_no_ram(4096 * MIB);
    assert_no_ram(0);
    assert_ram(16 * MIB, 0, 3 * MIB);
    assert_int_equal(mapped, 1);
    /* A change that does not end: no RAM, and no endless loop; then it ends. */
    board->vm[3].sequence++;
    assert_no_ram(16 * MIB);
    assert_no_ram(16 * MIB);
    board->vm[3].sequence++;
    assert_ram(16 * MIB, 0, 3 * MIB);
}

static void wrong(struct service_vm *vm) {
    vm->ram_count = 100;
    vm->ram[0] = (struct service_ram){0, 1 * MIB, 4 * MIB};                  /* behind the window */
    vm->ram[1] = (struct service_ram){16 * MIB, 2 * MIB, 3 * MIB};           /* over its end */
    vm->ram[2] = (struct service_ram){32 * MIB, 0, 0};                       /* nothing */
    vm->ram[3] = (struct service_ram){48 * MIB, UINT64_MAX, 1};              /* wraps */
    vm->ram[4] = (struct service_ram){UINT64_MAX - 4095, 1 * MIB, 0};        /* wraps */
    vm->ram[5] = (struct service_ram){64 * MIB, 1 * MIB, UINT64_MAX - 4095}; /* wraps */
    vm->ram[15] = (struct service_ram){80 * MIB, 4 * MIB, 0};                /* right */
}

static void test_wrong(void **state) {
    static const uint64_t nowhere[] = {
        0, 16 * MIB, 18 * MIB - 1, 32 * MIB, 48 * MIB, UINT64_MAX - 4095, UINT64_MAX, 64 * MIB,
    };
    (void)state;
    change(wrong);
    for (unsigned i = 0; i < array_count(nowhere); i++)
        assert_no_ram(nowhere[i]);
    assert_ram(84 * MIB - 1, 4 * MIB - 1, 1);
}

static void take_away(struct service_vm *vm) {
    vm->served = 0;
}
static void give_back(struct service_vm *vm) {
    vm->served = 1;
}
static void elsewhere(struct service_vm *vm) {
    vm->window += 16 * MIB;
}

static void test_come_and_go(void **state) {
    (void)state;
    change(take_away);
    assert_no_ram(0); /* at once */
    assert_int_equal(unmapped, 0);
    window_update(3);
    assert_int_equal(unmapped, 1);
    window_update(3);
    assert_int_equal(unmapped, 1);
    change(give_back);
    assert_no_ram(0);
    window_update(3);
    assert_int_equal(mapped, 2);
    assert_ram(0, 0, 3 * MIB);
    /* What is mapped is not what the board speaks of any more. */
    change(elsewhere);
    assert_no_ram(0);
    window_update(3);
    assert_int_equal(unmapped, 2);
    assert_true(mapped_physical == WINDOW + 16 * MIB);
    assert_ram(0, 0, 3 * MIB);
}

static void test_no_room(void **state) {
    uint8_t *kept = ram;

    (void)state;
    change(take_away);
    window_update(3);
    change(give_back);
    ram = NULL;
    window_update(3);
    assert_no_ram(0);
    assert_false(window_mapped(3));
    assert_int_equal(calls_of(SERVICE_CALL_LOG), 1);
    assert_string_equal(calls[0].text, "web: there is no room for its RAM (4 MiB)");
    ram = kept;
    window_update(3);
    assert_ram(0, 0, 3 * MIB);
    assert_true(window_mapped(3));
}

static void assert_dirty(unsigned index, uint32_t first, uint32_t count) {
    assert_true(index < call_count);
    assert_int_equal(calls[index].number, SERVICE_CALL_DIRTY);
    assert_int_equal(calls[index].a, 3);
    assert_int_equal(calls[index].b, first);
    assert_int_equal(calls[index].c, count);
}

static void test_dirty(void **state) {
    (void)state;
    assert_ram(0, 0, 3 * MIB);
    window_flush();
    assert_int_equal(call_count, 0);
    dirty(PAGE(7) + 100, 8);
    dirty(PAGE(7) + 4095, 1);
    assert_int_equal(call_count, 0); /* not before the end of the turn */
    window_flush();
    assert_int_equal(call_count, 1);
    assert_dirty(0, 7, 1);
    window_flush();
    assert_int_equal(call_count, 1);
    /* Joined in both directions, and across a page's end. */
    call_count = 0;
    dirty(PAGE(10), 4096);
    dirty(PAGE(11) + 4095, 2);
    dirty(PAGE(9), 1);
    dirty(PAGE(20), 1);
    dirty(PAGE(11), 1);
    window_flush();
    assert_int_equal(call_count, 2);
    assert_dirty(0, 9, 4);
    assert_dirty(1, 20, 1);
    /* The page of the window, not the guest's; over the end of a piece of RAM; nothing where there is none.
     */
    call_count = 0;
    dirty(4096 * MIB + PAGE(2), 4096);
    dirty(PAGE(767), 1 * MIB);
    dirty(100 * MIB, 8);
    dirty(0, 0);
    window_flush();
    assert_int_equal(call_count, 2);
    assert_dirty(0, 770, 1);
    assert_dirty(1, 767, 1);
    call_count = 0;
    dirty(0, UINT64_MAX);
    window_flush();
    assert_int_equal(call_count, 1);
    assert_dirty(0, 0, 768);
}

static void halves(struct service_vm *vm) {
    vm->ram[0] = (struct service_ram){0, 1 * MIB, 2 * MIB};
    vm->ram[1] = (struct service_ram){1 * MIB, 1 * MIB, 0};
}

/* RAM that lies together for the guest and apart in its window. */
static void test_dirty_parts(void **state) {
    (void)state;
    change(halves);
    assert_ram(0, 2 * MIB, 1 * MIB);
    dirty(1 * MIB - 1, 2);
    window_flush();
    assert_int_equal(call_count, 2);
    assert_dirty(0, 767, 1);
    assert_dirty(1, 0, 1);
}

static void test_dirty_many(void **state) {
    bool seen[768] = {false};

    (void)state;
    assert_ram(0, 0, 3 * MIB);
    for (unsigned i = 0; i < 768; i += 2)
        dirty(PAGE(i), 16);
    window_flush();
    assert_int_equal(calls_of(SERVICE_CALL_DIRTY), call_count);
    for (unsigned i = 0; i < call_count; i++)
        for (unsigned page = calls[i].b; page < calls[i].b + calls[i].c; page++)
            seen[page] = true;
    for (unsigned i = 0; i < 768; i++)
        assert_int_equal(seen[i], i % 2 == 0);
    /* None is lost with the window. */
    call_count = 0;
    dirty(PAGE(5), 1);
    change(take_away);
    window_update(3);
    assert_int_equal(call_count, 1);
    assert_dirty(0, 5, 1);
}

static void test_dirty_refused(void **state) {
    (void)state;
    assert_ram(0, 0, 3 * MIB);
    dirty(PAGE(1), 1);
    call_result = -22;
    window_flush();
    assert_int_equal(calls_of(SERVICE_CALL_LOG), 1);
    call_result = 0;
    window_flush();
    assert_int_equal(calls_of(SERVICE_CALL_DIRTY), 1);
}

/* Nobody wants to know: no calls, and nothing that is told later. */
static void test_dirty_unlogged(void **state) {
    (void)state;
    assert_ram(0, 0, 3 * MIB);
    board->vm[3].logged = 0;
    for (unsigned i = 0; i < 100; i++)
        dirty(PAGE(2 * i), 1);
    window_flush();
    assert_int_equal(call_count, 0);
    board->vm[3].logged = 1;
    window_flush();
    assert_int_equal(call_count, 0);
    dirty(PAGE(3), 1);
    window_flush();
    assert_int_equal(call_count, 1);
    assert_dirty(0, 3, 1);
}

/* Somebody begins or ends to want to know between a write and the turn's end: nothing is lost that was
 * written before; what was written is told to nobody who does not want to know. */
static void test_dirty_log_begins(void **state) {
    (void)state;
    assert_ram(0, 0, 3 * MIB);
    board->vm[3].logged = 0;
    dirty(PAGE(5), 1);
    board->vm[3].logged = 1;
    dirty(PAGE(7), 1);
    window_flush();
    assert_int_equal(call_count, 1);
    assert_dirty(0, 0, 1024); /* all of the window */
    dirty(PAGE(9), 1);
    window_flush();
    assert_int_equal(call_count, 2);
    assert_dirty(1, 9, 1);
    dirty(PAGE(9), 1);
    board->vm[3].logged = 0;
    window_flush();
    board->vm[3].logged = 1;
    window_flush();
    assert_int_equal(call_count, 2);
    /* None is lost with the window, either. */
    board->vm[3].logged = 0;
    dirty(PAGE(5), 1);
    board->vm[3].logged = 1;
    change(take_away);
    window_update(3);
    assert_int_equal(call_count, 3);
    assert_dirty(2, 0, 1024);
}

static void larger(struct service_vm *vm) {
    vm->window_size = 160 * MIB;
    vm->logged = 0;
}

/* All pages of much memory are told a piece at a time. */
static void test_dirty_all_of_much(void **state) {
    (void)state;
    change(larger);
    window_update(3);
    dirty(PAGE(5), 1);
    board->vm[3].logged = 1;
    call_count = 0;
    window_flush();
    assert_int_equal(call_count, 3);
    assert_dirty(0, 0, 16384);
    assert_dirty(1, 16384, 16384);
    assert_dirty(2, 32768, 8192);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_translate),      TEST(test_change),           TEST(test_wrong),
        TEST(test_come_and_go),    TEST(test_no_room),          TEST(test_dirty),
        TEST(test_dirty_parts),    TEST(test_dirty_many),       TEST(test_dirty_refused),
        TEST(test_dirty_unlogged), TEST(test_dirty_log_begins), TEST(test_dirty_all_of_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
