// SPDX-License-Identifier: Apache-2.0
// The service VM's figures in the hypervisor: the question, answers in time, late, wrong and from nowhere;
// and figures that are not true, as they come to the monitor.
// unit-sources: core/service_figures.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "core/service_internal.h"

struct cpu *test_cpu;
uint64_t test_time;

/* ---- surroundings: two guests; the service VM's memory is what it hands over, at MEMORY */

#define MEMORY 0x10000u

struct service service;
static struct service_board board;
static struct vm service_machine;
static struct service_figures sent;
static struct timer *armed;
static struct work *queued;
static bool no_memory;
static unsigned answers; /* that came, with or without figures */
static const struct service_figures *got;

unsigned vm_count(void) {
    return 2;
}
int guest_read(struct vm *vm, uint64_t gpa, void *buffer, size_t size) {
    assert_ptr_equal(vm, &service_machine);
    assert_int_equal(size, sizeof(sent));
    if (gpa != MEMORY)
        return -EFAULT;
    memcpy(buffer, &sent, size);
    return 0;
}
void *heap_allocate(size_t size, struct memory_account *account) {
    static void *kept;
    assert_null(account);
    if (no_memory)
        return NULL;
    return kept = calloc(1, size);
}
void timer_init(struct timer *timer, void (*function)(struct timer *timer)) {
    timer->function = function;
}
void timer_arm(struct timer *timer, uint64_t deadline) {
    assert_null(armed);
    timer->deadline = deadline;
    armed = timer;
}
bool timer_cancel(struct timer *timer) {
    bool was = armed == timer;
    armed = NULL;
    return was;
}
struct cpu *cpu_get(unsigned number) {
    static struct cpu boot;
    assert_int_equal(number, 0);
    return &boot;
}
void work_queue(struct cpu *cpu, struct work *work) {
    assert_ptr_equal(cpu, cpu_get(0));
    assert_null(queued);
    queued = work;
}
void service_event(uint32_t events) {
    board.events |= events;
}

static void run(void) {
    struct work *work = queued;
    assert_non_null(work);
    queued = NULL;
    work->function(work);
}

static void done(const struct service_figures *figures) {
    answers++;
    got = figures;
}

static int setup(void **state) {
    (void)state;
    memset(&sent, 0, sizeof(sent));
    memset(&board, 0, sizeof(board));
    service.vm = &service_machine;
    service.board = &board;
    test_time = 5000;
    answers = 0;
    got = NULL;
    no_memory = false;
    return 0;
}

static void ask(void) {
    assert_int_equal(service_figures(done), 0);
    assert_true(board.events & SERVICE_EVENT_FIGURES);
    assert_int_equal(board.figures, service.figures);
    assert_true(service_figures_asked());
}

static void answered(void) {
    assert_int_equal(service_figures_take(board.figures, MEMORY), 0);
    assert_false(service_figures_asked());
    run();
    assert_non_null(got);
}

/* ---- tests */

/* Before anything else: the memory is taken once. */
static void test_no_memory(void **state) {
    (void)state;
    no_memory = true;
    assert_int_equal(service_figures(done), -ENOMEM);
    assert_int_equal(board.events, 0);
    service.vm = NULL;
    assert_int_equal(service_figures(done), -ENODEV);
    /* Nobody has asked. */
    assert_int_equal(service_figures_take(0, MEMORY), -ESTALE);
    assert_null(queued);
}

static void test_answer(void **state) {
    (void)state;
    ask();
    assert_int_equal(armed->deadline, test_time + 2000000000u);
    assert_int_equal(service_figures(done), -EBUSY);
    assert_int_equal(service_figures_take(board.figures + 1, MEMORY), -ESTALE);
    assert_int_equal(service_figures_take(board.figures - 1, MEMORY), -ESTALE);
    assert_true(service_figures_asked());
    sent.network_count = 1;
    strcpy(sent.network[0].name, "lan");
    assert_int_equal(service_figures_take(board.figures, MEMORY), 0);
    /* It comes on the boot CPU; what comes meanwhile changes nothing. */
    assert_int_equal(answers, 0);
    assert_int_equal(service_figures_take(board.figures, MEMORY), -ESTALE);
    assert_int_equal(service_figures(done), -EBUSY);
    struct timer *limit = armed;
    limit->function(limit);
    run();
    assert_int_equal(answers, 1);
    assert_string_equal(got->network[0].name, "lan");
    assert_null(armed);
    /* The next one has another number. */
    uint32_t before = board.figures;
    ask();
    assert_int_not_equal(board.figures, before);
    assert_int_equal(service_figures_take(before, MEMORY), -ESTALE);
    answered();
    assert_int_equal(answers, 2);
}

static void test_silence(void **state) {
    (void)state;
    ask();
    armed->function(armed);
    armed->function(armed);
    assert_false(service_figures_asked());
    assert_int_equal(service_figures_take(board.figures, MEMORY), -ESTALE);
    run();
    assert_int_equal(answers, 1);
    assert_null(got);
    /* An address that is not its own ends the wait, too. */
    ask();
    assert_int_equal(service_figures_take(board.figures, 0), -EFAULT);
    run();
    assert_int_equal(answers, 2);
    assert_null(got);
    ask();
    answered();
}

static void assert_text(const char *text, size_t size) {
    size_t length = strnlen(text, size);
    assert_true(length < size);
    for (size_t i = 0; i < length; i++)
        assert_in_range(text[i], ' ', '~');
}

static void assert_clean(void) {
    assert_true(got->network_count <= SERVICE_MAX_NETWORKS && got->port_count <= SERVICE_MAX_PORTS &&
                got->disk_count <= SERVICE_MAX_DISKS && got->user_count <= SERVICE_MAX_USERS);
    for (unsigned i = 0; i < got->network_count; i++) {
        const struct service_network_figures *network = &got->network[i];
        assert_text(network->name, sizeof(network->name));
        assert_text(network->uplink, sizeof(network->uplink));
        assert_text(network->driver, sizeof(network->driver));
        assert_text(network->address, sizeof(network->address));
        assert_true(network->state < SERVICE_UPLINKS);
    }
    for (unsigned i = 0; i < got->port_count; i++) {
        assert_text(got->port[i].device, sizeof(got->port[i].device));
        assert_true(got->port[i].network < got->network_count);
        assert_true(got->port[i].vm < 2 || got->port[i].vm == SERVICE_NO_VM);
    }
    for (unsigned i = 0; i < got->disk_count; i++) {
        const struct service_disk_figures *disk = &got->disk[i];
        assert_text(disk->name, sizeof(disk->name));
        assert_text(disk->place, sizeof(disk->place));
        assert_text(disk->driver, sizeof(disk->driver));
        assert_text(disk->address, sizeof(disk->address));
        assert_text(disk->serial, sizeof(disk->serial));
        assert_true(disk->kind < SERVICE_DISK_KINDS);
    }
    for (unsigned i = 0; i < got->user_count; i++) {
        assert_text(got->user[i].device, sizeof(got->user[i].device));
        assert_true(got->user[i].disk < got->disk_count && got->user[i].vm < 2);
    }
}

static void test_untrue(void **state) {
    (void)state;
    ask();
    memset(&sent, 0xff, sizeof(sent));
    answered();
    assert_int_equal(got->port_count, 0);
    assert_int_equal(got->user_count, 0);
    assert_clean();
    /* What is sound stays, in its order. */
    ask();
    memset(&sent, 0, sizeof(sent));
    sent.network_count = 2;
    sent.port_count = 4;
    sent.port[0].network = 2;
    sent.port[1].network = 1;
    sent.port[1].vm = 1;
    strcpy(sent.port[1].device, "net\x1b");
    sent.port[2].vm = 2;
    sent.port[3].vm = SERVICE_NO_VM;
    sent.disk_count = 1;
    sent.user_count = 3;
    sent.user[0].disk = 1;
    sent.user[1].vm = SERVICE_NO_VM;
    sent.user[2].vm = 1;
    answered();
    assert_int_equal(got->port_count, 2);
    assert_string_equal(got->port[0].device, "net?");
    assert_int_equal(got->port[1].vm, SERVICE_NO_VM);
    assert_int_equal(got->user_count, 1);
    assert_int_equal(got->user[0].vm, 1);
    assert_clean();
}

static void test_random(void **state) {
    (void)state;
    srand(1);
    for (unsigned n = 0; n < 300; n++) {
        uint8_t *bytes = (uint8_t *)&sent;
        uint8_t mask = (uint8_t)(n % 3 == 0 ? 0xff : n % 3 == 1 ? 0x03 : 0x01);
        for (size_t i = 0; i < sizeof(sent); i++)
            bytes[i] = (uint8_t)(rand() >> 7) & mask;
        ask();
        answered();
        assert_clean();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_no_memory, setup), cmocka_unit_test_setup(test_answer, setup),
        cmocka_unit_test_setup(test_silence, setup),   cmocka_unit_test_setup(test_untrue, setup),
        cmocka_unit_test_setup(test_random, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
