// SPDX-License-Identifier: Apache-2.0
// The event loop (see service/loop.h). An event is taken from the board before what it stands for is looked
// at; SERVICE_CALL_WAIT returns at once if one came meanwhile: so none is missed.
#include "service/loop.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include "service/call.h"
#include "service/clock.h"
#include "service/log.h"

#define NEVER     UINT64_MAX
/* Without a call of the hypervisor, which takes a program that never waits for a dead one. */
#define MAX_TURNS 256u

static struct service_board *board;
static const struct loop_hooks *hooks;
static struct loop_device *devices[SERVICE_MAX_DEVICES];
static struct loop_pci *functions[SERVICE_MAX_PCI];
static struct loop_timer *timers; /* the first is due first */
static uint64_t now;              /* when timers were looked at last */
static struct loop_work *work_first, **work_last = &work_first;
static unsigned turns; /* since the last SERVICE_CALL_WAIT */

void loop_init(struct service_board *service_board, const struct loop_hooks *loop_hooks) {
    board = service_board;
    hooks = loop_hooks;
    memset(devices, 0, sizeof(devices));
    memset(functions, 0, sizeof(functions));
    timers = NULL;
    now = 0;
    work_first = NULL;
    work_last = &work_first;
    turns = 0;
    board->interrupt_count = 0; /* of a run before: all queues are looked at anew */
}

/* ---- devices */

void loop_attach(unsigned number, struct loop_device *device) {
    devices[number] = device;
}

int loop_find(uint32_t token) {
    for (unsigned i = 0; i < SERVICE_MAX_DEVICES; i++)
        if (board->device_token[i] == token)
            return (int)i;
    return -ENOENT;
}

/* The device of that number, if it is the one that the hypervisor means. */
static struct loop_device *attached(unsigned number) {
    if (number >= SERVICE_MAX_DEVICES || !devices[number] ||
        devices[number]->token != board->device_token[number])
        return NULL;
    return devices[number];
}

/* Takes one word of bits. */
static uint32_t take(uint32_t *word) {
    return __atomic_load_n(word, __ATOMIC_RELAXED) ? __atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST) : 0;
}

static void ring(unsigned number) {
    uint32_t bits = __atomic_exchange_n(&board->doorbell[number], 0, __ATOMIC_SEQ_CST);
    struct loop_device *device = attached(number);

    if (device && bits)
        device->doorbell(device, bits);
}

static void ring_all(void) {
    for (unsigned i = 0; i < SERVICE_MAX_DEVICES / 32; i++)
        for (uint32_t bits = take(&board->doorbell_devices[i]); bits; bits &= bits - 1)
            ring(32 * i + (unsigned)__builtin_ctz(bits));
}

/* A list that is full goes by itself. */
void loop_interrupt(unsigned number, unsigned vector) {
    uint32_t entry = number << 16 | vector;

    for (unsigned i = 0; i < board->interrupt_count; i++)
        if (board->interrupts[i] == entry)
            return;
    if (board->interrupt_count == SERVICE_MAX_INTERRUPTS) {
        board->wake_at = 0;
        service_call_wait();
    }
    board->interrupts[board->interrupt_count++] = entry;
}

static void refused_all(void) {
    for (unsigned i = 0; i < SERVICE_MAX_DEVICES / 32; i++)
        for (uint32_t bits = take(&board->refused[i]); bits; bits &= bits - 1) {
            struct loop_device *device = attached(32 * i + (unsigned)__builtin_ctz(bits));
            if (device && device->refused)
                device->refused(device);
        }
}

/* ---- functions of the machine's */

void loop_attach_pci(unsigned number, struct loop_pci *pci) {
    functions[number] = pci;
}

static void interrupt(unsigned number) {
    uint32_t vectors = __atomic_exchange_n(&board->pci_vectors[number], 0, __ATOMIC_SEQ_CST);

    if (functions[number] && vectors)
        functions[number]->interrupt(functions[number], vectors);
}

static void interrupt_all(void) {
    for (unsigned i = 0; i < SERVICE_MAX_PCI / 32; i++)
        for (uint32_t bits = take(&board->pci_interrupts[i]); bits; bits &= bits - 1)
            interrupt(32 * i + (unsigned)__builtin_ctz(bits));
}

/* ---- requests */

/* A guest's vCPU waits for the answer, so that there is one whatever the request says. */
static uint64_t serve(const struct service_request *request) {
    struct loop_device *device = attached(request->device);
    unsigned size = request->size;

    if (!device || request->bar > 5 || (size != 1 && size != 2 && size != 4 && size != 8))
        return UINT64_MAX;
    if (!request->write)
        return device->read(device, request->bar, request->offset, size);
    device->write(device, request->bar, request->offset, size, request->value);
    return 0;
}

static void answer(unsigned slot) {
    struct service_request *request = &board->request[slot];

    if (__atomic_load_n(&request->state, __ATOMIC_ACQUIRE) != SERVICE_REQUEST_OPEN)
        return;
    struct service_request copy = *request;
    request->value = serve(&copy);
    int error = service_call_answer(slot, copy.sequence);
    /* The guest may have been reset meanwhile. */
    if (error < 0 && error != -ESTALE)
        service_log(LOG_WARNING, "request %u: the answer is not taken: error %d", slot, -error);
}

static void answer_all(void) {
    for (unsigned i = 0; i < SERVICE_SLOTS / 32; i++)
        for (uint32_t bits = take(&board->request_slots[i]); bits; bits &= bits - 1)
            answer(32 * i + (unsigned)__builtin_ctz(bits));
}

/* ---- timers and work */

void loop_set_timer(struct loop_timer *timer, uint64_t at) {
    struct loop_timer **link = &timers;

    loop_cancel_timer(timer);
    /* One that is late from the start goes behind those that are due already. */
    if (at < now)
        at = now;
    while (*link && (*link)->at <= at)
        link = &(*link)->next;
    timer->at = at;
    timer->set = true;
    timer->next = *link;
    *link = timer;
}

void loop_cancel_timer(struct loop_timer *timer) {
    if (!timer->set)
        return;
    for (struct loop_timer **link = &timers; *link; link = &(*link)->next)
        if (*link == timer) {
            *link = timer->next;
            break;
        }
    timer->set = false;
}

/* As many as are due now: events come before one that is set again for a moment that has passed. */
static void run_timers(void) {
    if (!timers)
        return;
    unsigned due = 0;

    now = clock_now();
    for (const struct loop_timer *timer = timers; timer && timer->at <= now; timer = timer->next)
        due++;
    for (; due && timers && timers->at <= now; due--) {
        struct loop_timer *timer = timers;
        timers = timer->next;
        timer->set = false;
        timer->expired(timer);
    }
}

void loop_queue(struct loop_work *work) {
    if (work->queued)
        return;
    work->queued = true;
    work->next = NULL;
    *work_last = work;
    work_last = &work->next;
}

/* What is queued now: what is queued meanwhile has its turn in the next one. */
static void run_work(void) {
    struct loop_work *work = work_first;

    work_first = NULL;
    work_last = &work_first;
    while (work) {
        struct loop_work *next = work->next;
        work->queued = false;
        work->run(work);
        work = next;
    }
}

/* ---- the turn */

static void consoles(void) {
    for (uint32_t bits = take(&board->consoles); bits; bits &= bits - 1)
        hooks->console((unsigned)__builtin_ctz(bits));
}

static void vms_changed(void) {
    for (uint32_t bits = take(&board->vms_changed); bits; bits &= bits - 1)
        hooks->vm_changed((unsigned)__builtin_ctz(bits));
}

void loop_turn(void) {
    uint32_t events = take(&board->events);

    /* VMs first: a device of a VM that has been reset is to be reset before it is looked at. */
    if (events & SERVICE_EVENT_VM)
        vms_changed();
    if (events & SERVICE_EVENT_REQUEST)
        answer_all();
    if (events & SERVICE_EVENT_REFUSED)
        refused_all();
    if (events & SERVICE_EVENT_DOORBELL)
        ring_all();
    if (events & SERVICE_EVENT_PCI)
        interrupt_all();
    if (events & SERVICE_EVENT_CONSOLE)
        consoles();
    if (events & SERVICE_EVENT_KEY)
        hooks->keys();
    run_timers();
    run_work();
    hooks->turn_end();
    if (work_first && ++turns < MAX_TURNS && board->interrupt_count == 0)
        return;
    turns = 0;
    board->wake_at = work_first ? clock_now() : timers ? timers->at : NEVER;
    service_call_wait();
}

void loop_run(void) {
    for (;;)
        loop_turn();
}
