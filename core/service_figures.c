// SPDX-License-Identifier: Apache-2.0
// Asks the service VM for its figures (abi/figures.h) and checks what comes: one question at a time, with a
// limit of time. The answer is copied in its call, while the service VM's only vCPU waits.
#include <errno.h>
#include "core/service_internal.h"

#define LIMIT 2000000000ull /* ns until it is taken for silent */

enum state {
    IDLE,
    ASKED,
    COPYING, /* by the call, on any CPU */
    ENDED,   /* the boot CPU's work is queued */
};

static struct {
    uint32_t state; /* enum state */
    bool good;      /* `copy` is the answer */
    bool prepared;
    struct service_figures *copy; /* NULL: nobody has asked yet */
    void (*done)(const struct service_figures *figures);
    struct timer limit;
    struct work work;
} ask;

/* ---- nothing of it is believed */

/* A text of `size` bytes: printable, with an end. */
static void clean_text(char *text, size_t size) {
    text[size - 1] = '\0';
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

static uint32_t at_most(uint32_t value, uint32_t limit) {
    return value < limit ? value : limit;
}

static bool is_vm(uint16_t number) {
    return number < vm_count();
}

static void clean_networks(struct service_figures *figures) {
    figures->network_count = at_most(figures->network_count, SERVICE_MAX_NETWORKS);
    for (uint32_t i = 0; i < figures->network_count; i++) {
        struct service_network_figures *network = &figures->network[i];
        clean_text(network->name, sizeof(network->name));
        clean_text(network->uplink, sizeof(network->uplink));
        clean_text(network->driver, sizeof(network->driver));
        clean_text(network->address, sizeof(network->address));
        network->state = at_most(network->state, SERVICE_UPLINKS - 1);
    }
}

/* Ports of networks and VMs that are not there are left out. */
static void clean_ports(struct service_figures *figures) {
    uint32_t kept = 0, count = at_most(figures->port_count, SERVICE_MAX_PORTS);

    for (uint32_t i = 0; i < count; i++) {
        struct service_port_figures *port = &figures->port[i];
        if (port->network >= figures->network_count || (port->vm != SERVICE_NO_VM && !is_vm(port->vm)))
            continue;
        clean_text(port->device, sizeof(port->device));
        figures->port[kept++] = *port;
    }
    figures->port_count = kept;
}

static void clean_disks(struct service_figures *figures) {
    figures->disk_count = at_most(figures->disk_count, SERVICE_MAX_DISKS);
    for (uint32_t i = 0; i < figures->disk_count; i++) {
        struct service_disk_figures *disk = &figures->disk[i];
        clean_text(disk->name, sizeof(disk->name));
        clean_text(disk->place, sizeof(disk->place));
        clean_text(disk->driver, sizeof(disk->driver));
        clean_text(disk->address, sizeof(disk->address));
        clean_text(disk->serial, sizeof(disk->serial));
        disk->kind = at_most(disk->kind, SERVICE_DISK_KINDS - 1);
    }
}

static void clean_users(struct service_figures *figures) {
    uint32_t kept = 0, count = at_most(figures->user_count, SERVICE_MAX_USERS);

    for (uint32_t i = 0; i < count; i++) {
        struct service_user_figures *user = &figures->user[i];
        if (user->disk >= figures->disk_count || !is_vm(user->vm))
            continue;
        clean_text(user->device, sizeof(user->device));
        figures->user[kept++] = *user;
    }
    figures->user_count = kept;
}

/* ---- the question */

/* On the boot CPU. */
static void end(struct work *work) {
    (void)work;
    void (*done)(const struct service_figures *figures) = ask.done;
    bool good = ask.good;

    (void)timer_cancel(&ask.limit);
    __atomic_store_n(&ask.state, IDLE, __ATOMIC_RELEASE);
    if (good) {
        clean_networks(ask.copy);
        clean_ports(ask.copy);
        clean_disks(ask.copy);
        clean_users(ask.copy);
    }
    done(good ? ask.copy : NULL);
}

/* Whether the state was `from`; it is `to` then. */
static bool change(uint32_t from, uint32_t to) {
    return __atomic_compare_exchange_n(&ask.state, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void late(struct timer *timer) {
    (void)timer;
    if (change(ASKED, ENDED))
        work_queue(cpu_get(0), &ask.work);
}

int service_figures(void (*done)(const struct service_figures *figures)) {
    if (!service.vm)
        return -ENODEV;
    if (__atomic_load_n(&ask.state, __ATOMIC_ACQUIRE) != IDLE)
        return -EBUSY;
    if (!ask.copy)
        ask.copy = heap_allocate(sizeof(*ask.copy), NULL);
    if (!ask.copy)
        return -ENOMEM;
    if (!ask.prepared) {
        timer_init(&ask.limit, late);
        ask.work.function = end;
        ask.prepared = true;
    }
    ask.done = done;
    ask.good = false;
    __atomic_store_n(&service.figures, service.figures + 1, __ATOMIC_RELAXED);
    service.board->figures = service.figures;
    __atomic_store_n(&ask.state, ASKED, __ATOMIC_RELEASE);
    timer_arm(&ask.limit, time_now() + LIMIT);
    service_event(SERVICE_EVENT_FIGURES);
    return 0;
}

bool service_figures_asked(void) {
    return __atomic_load_n(&ask.state, __ATOMIC_ACQUIRE) == ASKED;
}

int32_t service_figures_take(uint32_t number, uint32_t address) {
    if (number != __atomic_load_n(&service.figures, __ATOMIC_RELAXED) || !change(ASKED, COPYING))
        return -ESTALE;
    int error = guest_read(service.vm, address, ask.copy, sizeof(*ask.copy));
    ask.good = error == 0;
    __atomic_store_n(&ask.state, ENDED, __ATOMIC_RELEASE);
    work_queue(cpu_get(0), &ask.work);
    return error;
}
