// SPDX-License-Identifier: Apache-2.0
// The service VM's event loop over a board that the test plays: doorbells, requests, VMs, timers, work, when
// it sleeps and until when, what is looked at after a restart.
// unit-sources: service/loop.c service/clock.c service/log.c
#include <errno.h>
#include "tests/unit/service_fixture.h"
#include "service/clock.h"
#include "service/loop.h"

static struct service_board *board;

/* What happened, in order: one word each. */
static char story[4096];

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...) {
    size_t length = strlen(story);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(story + length, sizeof(story) - length, format, arguments);
    va_end(arguments);
}

static void assert_story(const char *expected) {
    assert_string_equal(story, expected);
    story[0] = 0;
}

static void hook_vm(unsigned vm) {
    tell("vm%u ", vm);
}
static void hook_end(void) {
    tell("end ");
}
static void hook_console(unsigned vm) {
    tell("console%u ", vm);
}
static void hook_keys(void) {
    tell("keys ");
}
static const struct loop_hooks hooks = {hook_vm, hook_end, hook_console, hook_keys};

static void on_call(uint32_t number) {
    if (number == SERVICE_CALL_WAIT)
        tell(board->wake_at == UINT64_MAX ? "wait " : "wait(%u) ", (unsigned)board->wake_at);
    else if (number == SERVICE_CALL_ANSWER)
        tell("answer(%x) ", (unsigned)board->request[calls[call_count - 1].a].value);
}

static void bell(struct loop_device *device, uint32_t bits) {
    tell("bell%u(%x) ", (unsigned)device->token, (unsigned)bits);
}
static uint64_t device_read(struct loop_device *device, unsigned bar, uint32_t offset, unsigned size) {
    tell("read%u(%u,%x,%u) ", (unsigned)device->token, bar, (unsigned)offset, size);
    return 0x42;
}
static void device_write(struct loop_device *device, unsigned bar, uint32_t offset, unsigned size,
                         uint64_t value) {
    tell("write%u(%u,%x,%u,%x) ", (unsigned)device->token, bar, (unsigned)offset, size, (unsigned)value);
}

static void refused(struct loop_device *device) {
    tell("refused%u ", (unsigned)device->token);
}
static void take_messages(uint32_t number) {
    (void)number;
    board->interrupt_count = 0;
}

static struct loop_device device[2] = {
    {.token = 100, .doorbell = bell, .read = device_read, .write = device_write, .refused = refused},
    {.token = 200, .doorbell = bell, .read = device_read, .write = device_write},
};

/* Devices 5 and 255 are ours; 6 is in the board alone. */
static int setup(void **state) {
    (void)state;
    calls_reset();
    call_hook = on_call;
    story[0] = 0;
    counter = 0;
    board = calloc(1, sizeof(*board));
    board->clock_multiplier = 1ull << 32;
    board->device_token[5] = 100;
    board->device_token[6] = 300;
    board->device_token[255] = 200;
    clock_init(board);
    loop_init(board, &hooks);
    loop_attach(5, &device[0]);
    loop_attach(255, &device[1]);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    free(board);
    return 0;
}

static void ring(unsigned number, uint32_t bits) {
    board->doorbell[number] |= bits;
    board->doorbell_devices[number / 32] |= 1u << number % 32;
    board->events |= SERVICE_EVENT_DOORBELL;
}

static void request(unsigned slot, struct service_request what) {
    what.state = SERVICE_REQUEST_OPEN;
    board->request[slot] = what;
    board->request_slots[slot / 32] |= 1u << slot % 32;
    board->events |= SERVICE_EVENT_REQUEST;
}

static void test_idle(void **state) {
    (void)state;
    loop_turn();
    assert_story("end wait ");
}

static void test_doorbells(void **state) {
    (void)state;
    ring(5, 1);
    ring(255, 0x80000004);
    ring(6, 1); /* nobody's */
    ring(7, 1); /* not even in the board */
    loop_turn();
    assert_story("bell100(1) bell200(80000004) end wait ");
    assert_int_equal(board->events | board->doorbell[5] | board->doorbell[6] | board->doorbell[255], 0);
    loop_turn();
    assert_story("end wait ");
    /* The hypervisor speaks of another device. */
    board->device_token[5] = 101;
    ring(5, 1);
    loop_turn();
    assert_story("end wait ");
    loop_attach(255, NULL);
    ring(255, 1);
    loop_turn();
    assert_story("end wait ");
}

static void test_requests(void **state) {
    (void)state;
    request(0, (struct service_request){.device = 5, .bar = 2, .offset = 0x14, .size = 4, .value = 9});
    request(511, (struct service_request){
                     .device = 255, .sequence = 77, .offset = 8, .size = 1, .write = 1, .value = 0xab});
    loop_turn();
    assert_story("read100(2,14,4) answer(42) write200(0,8,1,ab) answer(0) end wait ");
    assert_int_equal(calls[0].a, 0);
    assert_int_equal(calls[0].b, 0);
    assert_int_equal(calls[1].a, 511);
    assert_int_equal(calls[1].b, 77);
    assert_true(board->request[0].value == 0x42);
}

/* Whatever a request says, the vCPU gets an answer. */
static void test_requests_refused(void **state) {
    (void)state;
    request(1, (struct service_request){.device = 6, .size = 4});
    request(2, (struct service_request){.device = 256, .size = 4});
    request(3, (struct service_request){.device = 0xffff, .size = 4, .write = 1});
    request(4, (struct service_request){.device = 5, .bar = 6, .size = 4});
    request(5, (struct service_request){.device = 5, .size = 3});
    request(6, (struct service_request){.device = 5, .size = 0});
    request(7, (struct service_request){.device = 5, .size = 16});
    loop_turn();
    assert_int_equal(calls_of(SERVICE_CALL_ANSWER), 7);
    assert_null(strstr(story, "read"));
    assert_null(strstr(story, "write"));
    for (unsigned i = 1; i < 8; i++)
        assert_true(board->request[i].value == UINT64_MAX);
    /* A bit without an open request is nothing. */
    story[0] = 0;
    board->request_slots[0] = 0x300;
    board->request[9].state = SERVICE_REQUEST_ANSWERED;
    board->events = SERVICE_EVENT_REQUEST;
    loop_turn();
    assert_story("end wait ");
    /* An answer that is not taken: a line in the log, unless the guest was reset meanwhile. */
    request(1, (struct service_request){.device = 5, .size = 4});
    call_result = -ESTALE;
    loop_turn();
    assert_int_equal(calls_of(SERVICE_CALL_LOG), 0);
    request(1, (struct service_request){.device = 5, .size = 4});
    call_result = -EINVAL;
    loop_turn();
    assert_int_equal(calls_of(SERVICE_CALL_LOG), 1);
}

static void test_keys(void **state) {
    (void)state;
    board->events = SERVICE_EVENT_KEY;
    loop_turn();
    assert_story("keys end wait ");
    loop_turn();
    assert_story("end wait ");
}

static void test_consoles(void **state) {
    (void)state;
    board->consoles = 1u << 31 | 2;
    loop_turn();
    assert_story("end wait "); /* without the event nobody looks */
    board->events = SERVICE_EVENT_CONSOLE;
    loop_turn();
    assert_story("console1 console31 end wait ");
    assert_int_equal(board->consoles, 0);
    board->events = SERVICE_EVENT_CONSOLE;
    loop_turn();
    assert_story("end wait ");
}

/* ---- interrupts of the machine's functions */

static void interrupt_0(struct loop_pci *pci, uint32_t vectors) {
    (void)pci;
    tell("pci0(%x) ", (unsigned)vectors);
}
static void interrupt_63(struct loop_pci *pci, uint32_t vectors) {
    (void)pci;
    tell("pci63(%x) ", (unsigned)vectors);
    /* Another one comes meanwhile: it is not lost. */
    if (vectors == 8) {
        board->pci_vectors[63] |= 2;
        board->pci_interrupts[1] |= 1u << 31;
        board->events |= SERVICE_EVENT_PCI;
    }
}

static void interrupt(unsigned number, uint32_t vectors) {
    board->pci_vectors[number] |= vectors;
    board->pci_interrupts[number / 32] |= 1u << number % 32;
    board->events |= SERVICE_EVENT_PCI;
}

static void test_interrupts(void **state) {
    struct loop_pci first = {interrupt_0}, last = {interrupt_63};

    (void)state;
    loop_attach_pci(0, &first);
    loop_attach_pci(63, &last);
    interrupt(0, 0x80000001);
    interrupt(63, 8);
    interrupt(5, 1); /* nobody's */
    loop_turn();
    assert_story("pci0(80000001) pci63(8) end wait ");
    assert_int_equal(board->pci_vectors[0] | board->pci_vectors[5] | board->pci_interrupts[0], 0);
    loop_turn();
    assert_story("pci63(2) end wait ");
    /* A bit without a vector: it was taken with the one before. */
    interrupt(0, 0);
    loop_turn();
    assert_story("end wait ");
    /* Without the event they are not looked at. */
    board->pci_vectors[0] = 1;
    board->pci_interrupts[0] = 1;
    loop_turn();
    assert_story("end wait ");
    loop_attach_pci(0, NULL);
    interrupt(0, 1);
    loop_turn();
    assert_story("end wait ");
    assert_int_equal(board->pci_vectors[0], 0);
}

static void test_order(void **state) {
    (void)state;
    ring(5, 1);
    request(0, (struct service_request){.device = 5, .size = 2});
    board->vms_changed = 0x80000001;
    board->events |= SERVICE_EVENT_VM;
    struct loop_pci first = {interrupt_0};
    loop_attach_pci(0, &first);
    interrupt(0, 4);
    loop_turn();
    assert_story("vm0 vm31 read100(0,0,2) answer(42) bell100(1) pci0(4) end wait ");
    assert_int_equal(board->vms_changed, 0);
}

/* ---- timers */

struct test_timer {
    struct loop_timer timer;
    unsigned number;
    uint64_t again; /* sets itself anew for this moment, unless 0 */
    struct test_timer *cancels;
};

static void expired(struct loop_timer *timer) {
    struct test_timer *self = (struct test_timer *)timer;

    tell("timer%u ", self->number);
    assert_false(timer->set);
    if (self->again)
        loop_set_timer(timer, self->again);
    if (self->cancels)
        loop_cancel_timer(&self->cancels->timer);
}

static struct test_timer timer_of(unsigned number) {
    return (struct test_timer){.timer.expired = expired, .number = number};
}

static void test_timers(void **state) {
    struct test_timer a = timer_of(1), b = timer_of(2), c = timer_of(3), d = timer_of(4);

    (void)state;
    loop_set_timer(&b.timer, 200);
    loop_set_timer(&d.timer, 300);
    loop_set_timer(&a.timer, 100);
    loop_set_timer(&c.timer, 200); /* after b, which was first */
    loop_turn();
    assert_story("end wait(100) ");
    counter = 99;
    loop_turn();
    assert_story("end wait(100) ");
    counter = 200;
    loop_turn();
    assert_story("timer1 timer2 timer3 end wait(300) ");
    loop_set_timer(&d.timer, 500); /* moved */
    loop_turn();
    assert_story("end wait(500) ");
    loop_cancel_timer(&d.timer);
    loop_cancel_timer(&d.timer);
    counter = 1000;
    loop_turn();
    assert_story("end wait ");
}

static void test_timers_set_timers(void **state) {
    struct test_timer a = timer_of(1), b = timer_of(2), c = timer_of(3);

    (void)state;
    a.again = 50; /* always late */
    b.cancels = &c;
    loop_set_timer(&a.timer, 100);
    loop_set_timer(&b.timer, 110);
    loop_set_timer(&c.timer, 120);
    counter = 150;
    loop_turn(); /* it ends, and the late one does not keep others from theirs */
    assert_story("timer1 timer2 timer1 end wait(150) ");
    assert_false(c.timer.set);
    a.again = 0;
    loop_turn();
    assert_story("timer1 end wait ");
}

/* ---- work */

struct test_work {
    struct loop_work work;
    unsigned number, turns;
    struct test_work *other;
};

static void work_run(struct loop_work *work) {
    struct test_work *self = (struct test_work *)work;

    tell("work%u ", self->number);
    if (self->turns) {
        self->turns--;
        loop_queue(work);
    }
    if (self->other)
        loop_queue(&self->other->work);
}

static void test_work(void **state) {
    struct test_work a = {.work.run = work_run, .number = 1, .turns = 2},
                     b = {.work.run = work_run, .number = 2};

    (void)state;
    loop_queue(&a.work);
    loop_queue(&b.work);
    loop_queue(&a.work); /* queued already */
    loop_turn();
    assert_story("work1 work2 end "); /* does not sleep */
    ring(5, 1);
    loop_turn();
    assert_story("bell100(1) work1 end ");
    loop_turn();
    assert_story("work1 end wait ");
    /* Work without an end: the hypervisor sees now and then that the loop turns, and it does not sleep. */
    counter = 7000;
    a.turns = 1000;
    loop_queue(&a.work);
    for (unsigned i = 0; i < 600; i++) {
        loop_turn();
        if (strstr(story, "wait"))
            assert_story("work1 end wait(7000) ");
        story[0] = 0;
    }
    assert_in_range(calls_of(SERVICE_CALL_WAIT), 3, 4); /* one of them above */
    a.turns = 0;
    loop_turn();
    story[0] = 0;
    /* What work queues has its turn in the next one. */
    b.other = &a;
    loop_queue(&b.work);
    loop_turn();
    assert_story("work2 end ");
    loop_turn();
    assert_story("work1 end wait ");
}

/* Messages go with the turn's last call, each once; a full list goes by itself, and none waits for work. */
static void test_messages(void **state) {
    struct test_work a = {.work.run = work_run, .number = 1, .turns = 1};

    (void)state;
    loop_interrupt(5, 3);
    loop_interrupt(255, 0xffff);
    loop_interrupt(5, 3);
    assert_int_equal(call_count, 0);
    assert_int_equal(board->interrupt_count, 2);
    assert_int_equal(board->interrupts[0], 5 << 16 | 3);
    assert_int_equal(board->interrupts[1], 255 << 16 | 0xffff);
    loop_queue(&a.work);
    loop_turn();
    assert_story("work1 end wait(0) ");
    board->interrupt_count = 0; /* the call's doing */
    loop_turn();
    assert_story("work1 end wait ");
    call_count = 0;
    for (unsigned i = 0; i < SERVICE_MAX_INTERRUPTS; i++)
        loop_interrupt(6, i);
    assert_int_equal(call_count, 0);
    call_hook = take_messages;
    loop_interrupt(6, SERVICE_MAX_INTERRUPTS);
    assert_int_equal(calls_of(SERVICE_CALL_WAIT), 1);
    assert_int_equal(board->wake_at, 0); /* without a sleep */
    assert_int_equal(board->interrupt_count, 1);
    assert_int_equal(board->interrupts[0], 6 << 16 | SERVICE_MAX_INTERRUPTS);
    /* What a run before left is of no account. */
    loop_init(board, &hooks);
    assert_int_equal(board->interrupt_count, 0);
    /* One that was refused is heard of by its device, if that takes it. */
    loop_attach(5, &device[0]);
    loop_attach(255, &device[1]);
    board->refused[0] = 1u << 5 | 1u << 6;
    board->refused[7] = 1u << 31;
    board->events = SERVICE_EVENT_REFUSED;
    loop_turn();
    assert_story("refused100 end ");
}

static void test_find(void **state) {
    (void)state;
    assert_int_equal(loop_find(100), 5);
    assert_int_equal(loop_find(200), 255);
    assert_int_equal(loop_find(17), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_idle),     TEST(test_doorbells),         TEST(test_requests), TEST(test_requests_refused),
        TEST(test_order),    TEST(test_consoles),          TEST(test_keys),     TEST(test_timers),
        TEST(test_work),     TEST(test_timers_set_timers), TEST(test_find),     TEST(test_interrupts),
        TEST(test_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
