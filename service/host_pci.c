// SPDX-License-Identifier: Apache-2.0
// The machine's PCI functions between their drivers and the event loop (see service/host_pci.h).
#include "service/host_pci.h"

#include <errno.h>
#include <stdio.h>
#include "service/call.h"
#include "service/clock.h"
#include "service/heap.h"
#include "service/log.h"

#define CONFIG_CLASS 0x0bu /* in configuration space: the upper byte of the class */

#define LOOK_BUSY    (1 * CLOCK_MILLISECOND) /* between two looks at one without interrupts */
#define LOOK_IDLE    (10 * CLOCK_MILLISECOND)
#define BUSY_TIME    (20 * CLOCK_MILLISECOND) /* after something happened */
#define SIGN_OF_LIFE (500 * CLOCK_MILLISECOND)

static struct service_board *board;
static unsigned count;
static uint64_t paused; /* when host_pci_pause() was called last */

void host_pci_init(struct service_board *service_board) {
    board = service_board;
    count = board->pci_count < SERVICE_MAX_PCI ? board->pci_count : SERVICE_MAX_PCI;
    paused = clock_now();
}

void host_pci_pause(uint64_t time) {
    paused = clock_now();
    board->wake_at = paused + time; /* the loop sets its own before it sleeps */
    service_call_wait();
}

/* ---- what drivers call */

static int host_claim(unsigned number) {
    return service_call_pci_claim(number);
}
static int host_master(unsigned number, bool on) {
    return service_call_pci_master(number, on);
}
static int host_vectors(unsigned number, unsigned wanted) {
    return service_call_pci_vectors(number, wanted);
}
static int host_unmask(unsigned number, bool mine) {
    return service_call_pci_unmask(number, mine);
}

static void *host_map(uint64_t physical, uint64_t size) {
    return arch_map_device(physical, size);
}

/* Our memory lies at the same address for CPUs and devices. */
static void *host_dma(size_t size, uint64_t *dma) {
    void *memory = size ? heap_pages((size - 1) / HEAP_PAGE + 1) : NULL;

    if (memory)
        *dma = arch_physical(memory);
    return memory;
}

/* A driver that waits for its device reads the clock meanwhile, for seconds perhaps: the hypervisor, which
 * ends a program that does not come back to it, is called now and then. */
static uint64_t host_now(void) {
    uint64_t now = clock_now();

    if (now - paused > SIGN_OF_LIFE)
        host_pci_pause(0);
    return now;
}

static const struct pci_host host = {
    .claim = host_claim,
    .master = host_master,
    .vectors = host_vectors,
    .unmask = host_unmask,
    .map = host_map,
    .dma = host_dma,
    .now = host_now,
};

/* ---- finding them */

unsigned host_pci_count(void) {
    return count;
}

unsigned host_pci_kind(unsigned number) {
    return board->pci[number].config[CONFIG_CLASS];
}

int host_pci_find(const struct config_pci *address, unsigned kind) {
    for (unsigned i = 0; i < count; i++) {
        const struct service_pci *info = &board->pci[i];
        if (info->segment == address->segment && info->bus == address->bus && info->devfn == address->devfn &&
            host_pci_kind(i) == kind)
            return (int)i;
    }
    return -ENOENT;
}

/* ---- when drivers look at them */

static void watch(struct host_function *function) {
    if (!function->told)
        service_log(LOG_INFO, "%s has no interrupts: it is looked at every millisecond, or ten",
                    function->name);
    function->told = true;
    loop_set_timer(&function->look, clock_now() + LOOK_BUSY);
}

static void attend(struct host_function *function, uint32_t vectors) {
    if (function->running && function->poll(function, vectors))
        loop_queue(&function->again);
    /* The hypervisor may have taken its interrupts away. */
    if (function->running && !function->pci.vectors && !function->look.set)
        watch(function);
}

static void interrupt(struct loop_pci *events, uint32_t vectors) {
    attend((struct host_function *)((char *)events - offsetof(struct host_function, events)), vectors);
}

static void again(struct loop_work *work) {
    attend((struct host_function *)((char *)work - offsetof(struct host_function, again)), 0);
}

static void look(struct loop_timer *timer) {
    struct host_function *function =
        (struct host_function *)((char *)timer - offsetof(struct host_function, look));

    attend(function, 0);
    if (!function->running) /* poll() may end that */
        return;
    uint64_t now = clock_now();
    loop_set_timer(timer, now + (now < function->busy_until ? LOOK_BUSY : LOOK_IDLE));
}

static void second(struct loop_timer *timer) {
    struct host_function *function =
        (struct host_function *)((char *)timer - offsetof(struct host_function, second));

    loop_set_timer(timer, clock_now() + CLOCK_SECOND);
    function->tick(function);
}

void host_pci_identify(struct host_function *function, unsigned number) {
    const struct service_pci *info = &board->pci[number];

    function->pci = (struct pci_device){.host = &host, .info = info, .number = number};
    function->events.interrupt = interrupt;
    function->look.expired = look;
    function->second.expired = second;
    function->again.run = again;
    snprintf(function->name, sizeof(function->name), "%04x:%02x:%02x.%x", (unsigned)info->segment,
             (unsigned)info->bus, (unsigned)info->devfn >> 3, (unsigned)info->devfn & 7);
}

void *host_pci_claim(struct host_function *function, size_t size, char *why, size_t why_size) {
    unsigned number = function->pci.number;

    if (!size) {
        snprintf(why, why_size, "%04x:%04x, there is no driver for it", (unsigned)pci_vendor(&function->pci),
                 (unsigned)pci_id(&function->pci));
        return NULL;
    }
    int error = pci_claim(&function->pci, &host, &board->pci[number], number);
    if (error) {
        snprintf(why, why_size, "%s",
                 error == -EBUSY ? "it is not free" : "it cannot be claimed: the log says why");
        return NULL;
    }
    loop_attach_pci(number, &function->events);
    void *made = heap_allocate(size);
    if (!made)
        snprintf(why, why_size, "there is no memory");
    return made;
}

void host_pci_run(struct host_function *function) {
    uint64_t now = clock_now();

    function->running = true;
    loop_set_timer(&function->second, now + CLOCK_SECOND);
    if (!function->pci.vectors)
        watch(function);
}

void host_pci_rest(struct host_function *function) {
    function->running = false;
    loop_cancel_timer(&function->second);
    loop_cancel_timer(&function->look);
}

void host_pci_busy(struct host_function *function) {
    if (function->pci.vectors || !function->running)
        return;
    uint64_t now = clock_now();
    function->busy_until = now + BUSY_TIME;
    /* It is not set while the device is being looked at: that sets it anew. */
    if (function->look.set && function->look.at > now + LOOK_BUSY)
        loop_set_timer(&function->look, now + LOOK_BUSY);
}
