// SPDX-License-Identifier: Apache-2.0
// The machine's PCI functions as the service VM finds them, what drivers may call, and when they are called:
// on interrupts, when there is more to do, by a timer where there are none, once a second. Lists in the log.
// unit-sources: service/host_pci.c service/heap.c service/log.c service/loop.c service/clock.c
#include "tests/unit/service_machine_fixture.h"

static struct host_function function;
static unsigned polls, ticks, more; /* more: how often poll() wants another turn */
static uint32_t last;               /* vectors of the last poll() */
static bool rests;                  /* poll() ends the looking */
static uint64_t mapped[2];

void *arch_map_device(uint64_t physical, uint64_t size) {
    mapped[0] = physical;
    mapped[1] = size;
    return heap;
}

static bool poll(struct host_function *of, uint32_t vectors) {
    assert_ptr_equal(of, &function);
    polls++;
    last = vectors;
    if (rests)
        host_pci_rest(of);
    if (!more)
        return false;
    more--;
    return true;
}
static void tick(struct host_function *of) {
    assert_ptr_equal(of, &function);
    ticks++;
}

static int setup(void **state) {
    (void)state;
    host_setup();
    add_function(1, HOST_PCI_NETWORK, 0x1af4, 0x1041);
    add_function(2, HOST_PCI_STORAGE, 0x1af4, 0x1042);
    host_pci_init(board);
    memset(&function, 0, sizeof(function));
    function.poll = poll;
    function.tick = tick;
    polls = ticks = more = 0;
    rests = false;
    host_pci_identify(&function, 1);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    host_teardown();
    return 0;
}

static void test_find(void **state) {
    struct config_pci address = {.devfn = 2 << 3};

    (void)state;
    assert_int_equal(host_pci_count(), 2);
    assert_int_equal(host_pci_kind(0), HOST_PCI_NETWORK);
    assert_int_equal(host_pci_kind(1), HOST_PCI_STORAGE);
    assert_int_equal(host_pci_find(&address, HOST_PCI_STORAGE), 1);
    assert_int_equal(host_pci_find(&address, HOST_PCI_NETWORK), -ENOENT);
    address.bus = 1;
    assert_int_equal(host_pci_find(&address, HOST_PCI_STORAGE), -ENOENT);
    address = (struct config_pci){.segment = 1, .devfn = 2 << 3};
    assert_int_equal(host_pci_find(&address, HOST_PCI_STORAGE), -ENOENT);
    address = (struct config_pci){.devfn = 2 << 3 | 1};
    assert_int_equal(host_pci_find(&address, HOST_PCI_STORAGE), -ENOENT);
    assert_string_equal(function.name, "0000:00:02.0");
    board->pci[1] = (struct service_pci){.segment = 0xfedc, .bus = 0xba, .devfn = 0xff};
    host_pci_identify(&function, 1);
    assert_string_equal(function.name, "fedc:ba:1f.7");
    assert_int_equal(call_count, 0);
    /* More than the board has room for cannot be. */
    board->pci_count = 1000;
    host_pci_init(board);
    assert_int_equal(host_pci_count(), SERVICE_MAX_PCI);
}

#define DRIVER 100u /* bytes of a driver's structure */

static void *claim(char why[80]) {
    return host_pci_claim(&function, DRIVER, why, why ? 80 : 0);
}

static void test_host(void **state) {
    uint64_t dma = 0;

    (void)state;
    char why[80] = "";
    uint8_t *made = claim(why);
    assert_non_null(made);
    assert_string_equal(why, "");
    for (unsigned i = 0; i < DRIVER; i++)
        assert_int_equal(made[i], 0);
    assert_true(claimed[1] && !claimed[0]);
    claim_result[1] = -EBUSY;
    assert_null(claim(why));
    assert_string_equal(why, "it is not free");
    claim_result[1] = -EINVAL;
    assert_null(claim(why));
    assert_string_equal(why, "it cannot be claimed: the log says why");
    claim_result[1] = 0;
    assert_null(host_pci_claim(&function, HEAP, why, sizeof(why)));
    assert_string_equal(why, "there is no memory");
    call_count = 0;
    assert_null(host_pci_claim(&function, 0, why, sizeof(why)));
    assert_non_null(strstr(why, "there is no driver for it"));
    assert_int_equal(call_count, 0);
    assert_non_null(claim(why));
    const struct pci_host *host = function.pci.host;
    assert_int_equal(host->master(1, true), 0);
    assert_true(mastering[1]);
    vectors_result[1] = 3;
    assert_int_equal(host->vectors(1, 5), 3);
    assert_int_equal(calls[call_count - 1].b, 5);
    assert_int_equal(host->unmask(1, true), 0);
    assert_int_equal(calls[call_count - 1].number, SERVICE_CALL_PCI_UNMASK);
    assert_int_equal(calls[call_count - 1].b, 1);
    assert_ptr_equal(host->map(0xfe000000, 0x4000), heap);
    assert_true(mapped[0] == 0xfe000000 && mapped[1] == 0x4000);
    uint8_t *memory = host->dma(4097, &dma);
    assert_non_null(memory);
    assert_true((uintptr_t)memory % 4096 == 0 && dma == (uint32_t)(uintptr_t)memory);
    for (unsigned i = 0; i < 8192; i++)
        assert_int_equal(memory[i], 0);
    assert_null(host->dma(0, &dma));
    assert_null(host->dma(HEAP, &dma));
    assert_null(host->dma(SIZE_MAX, &dma));
    /* A driver that waits: the hypervisor hears of us. */
    call_count = 0;
    for (unsigned i = 0; i < 5000; i++) {
        assert_true(host->now() == counter);
        counter += MS;
    }
    assert_in_range(calls_of(SERVICE_CALL_WAIT), 9, 10);
    assert_true(board->wake_at <= counter);
    host_pci_pause(70);
    assert_true(board->wake_at == counter + 70);
}

static void test_interrupts(void **state) {
    (void)state;
    assert_non_null(claim(NULL));
    interrupt(1, 1); /* before it runs */
    assert_int_equal(polls, 0);
    function.pci.vectors = 2;
    host_pci_run(&function);
    interrupt(1, 3);
    assert_int_equal(polls, 1);
    assert_int_equal(last, 3);
    interrupt(0, 1); /* another's */
    assert_int_equal(polls, 1);
    more = 2;
    interrupt(1, 2);
    assert_int_equal(polls, 3); /* the turn with the interrupt runs work that it has queued */
    assert_int_equal(last, 0);
    loop_turn();
    assert_int_equal(polls, 4);
    loop_turn();
    assert_int_equal(polls, 4);
    /* No timer but the tick's. */
    host_pci_busy(&function);
    pass(3 * SECOND);
    assert_int_equal(polls, 4);
    assert_int_equal(ticks, 3);
    assert_null(said("no interrupts"));
    more = 10;
    interrupt(1, 1);
    host_pci_rest(&function);
    polls = 0;
    pass(3 * SECOND);
    interrupt(1, 1);
    assert_int_equal(polls, 0);
    assert_int_equal(ticks, 3);
}

static void test_polled(void **state) {
    (void)state;
    assert_non_null(claim(NULL));
    host_pci_run(&function);
    assert_non_null(said("0000:00:02.0 has no interrupts"));
    pass(1000 * MS);
    assert_in_range(polls, 95, 105); /* idle */
    assert_int_equal(last, 0);
    assert_int_equal(ticks, 1);
    polls = 0;
    host_pci_busy(&function);
    pass(2 * MS); /* soon, wherever it was in the 10 ms */
    assert_in_range(polls, 1, 2);
    pass(17 * MS);
    assert_in_range(polls, 17, 20);
    pass(81 * MS);
    assert_in_range(polls, 24, 31);
    /* Stopped and started again: nothing is said again; it may have interrupts now. */
    host_pci_rest(&function);
    polls = 0;
    pass(SECOND);
    assert_int_equal(polls, 0);
    call_count = 0;
    host_pci_run(&function);
    assert_null(said("no interrupts"));
    pass(100 * MS);
    assert_in_range(polls, 9, 11);
    rests = true;
    pass(100 * MS);
    polls = 0;
    pass(100 * MS);
    assert_int_equal(polls, 0);
    host_pci_busy(&function);
    pass(100 * MS);
    assert_int_equal(polls, 0);
}

/* One whose interrupts were taken away, as its driver hears when it was looked at, is polled from then on. */
static void test_interrupts_lost(void **state) {
    (void)state;
    assert_non_null(claim(NULL));
    function.pci.vectors = 1;
    host_pci_run(&function);
    pass(100 * MS);
    assert_int_equal(polls, 0);
    function.pci.vectors = 0;
    interrupt(1, 1);
    assert_non_null(said("0000:00:02.0 has no interrupts"));
    pass(100 * MS);
    assert_in_range(polls, 10, 13);
}

static void test_lists(void **state) {
    struct log_list list;
    char item[64];
    unsigned lines;

    (void)state;
    log_list_begin(&list, LOG_INFO, "there are:");
    log_list_end(&list);
    assert_string_equal(calls[0].text, "there are: none");
    call_count = 0;
    log_list_begin(&list, LOG_INFO, "there are:");
    log_list_add(&list, "%u", 1u);
    log_list_add(&list, "%u", 2u);
    log_list_end(&list);
    assert_string_equal(calls[0].text, "there are: 1, 2");
    call_count = 0;
    log_list_begin(&list, LOG_INFO, "there are:");
    for (unsigned i = 0; i < 64; i++)
        log_list_add(&list, "card number %u", i);
    log_list_end(&list);
    lines = call_count;
    assert_in_range(lines, 5, 8);
    for (unsigned i = 0; i < 64; i++) {
        snprintf(item, sizeof(item), i < 63 ? "card number %u," : "card number %u", i);
        assert_non_null(said(item));
    }
    /* One that is too long for any line. */
    call_count = 0;
    log_list_begin(&list, LOG_INFO, "%0190u", 0u);
    log_list_add(&list, "%0500u", 1u);
    log_list_add(&list, "%0500u", 2u);
    log_list_add(&list, "end");
    log_list_end(&list);
    assert_string_equal(calls[call_count - 1].text, "and end");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_find),
        TEST(test_host),
        TEST(test_interrupts),
        TEST(test_polled),
        TEST(test_interrupts_lost),
        TEST(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
