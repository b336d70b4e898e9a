// SPDX-License-Identifier: Apache-2.0
// Networks to the outside (see service/uplinks.h). A card is claimed if a network names its address, or while
// a network is without the card whose MAC it names; one that no network wants is left without mastering.
#include "service/uplinks.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "service/arch.h"
#include "service/clock.h"
#include "service/devices.h"
#include "service/drivers.h"
#include "service/figures.h"
#include "service/heap.h"
#include "service/host_pci.h"
#include "service/log.h"
#include "virtio/switch.h"

#define FIRST_PAUSE CLOCK_SECOND /* from a failure to the next start, doubled each time */
#define LAST_PAUSE  (60 * CLOCK_SECOND)
#define STEADY      (60 * CLOCK_SECOND) /* a card that ran so long has the first pause again */
#define WHY_SIZE    80u
#define MAC_TEXT    18u

/* A card of the machine's that was looked at. */
struct card {
    struct host_function function;
    const struct nic_class *class; /* NULL: there is no driver */
    struct nic *nic;               /* NULL: not wanted, or it cannot be used */
    uint8_t mac[6];
    char why[WHY_SIZE]; /* it cannot be used; "" if it can */
    /* As an uplink. */
    const struct config_network *network; /* NULL: it is none */
    struct switch_port port;
    bool running, link, told; /* told: what was said of the link last is `link` */
    bool again;               /* it has failed since it ran well */
    uint64_t started, pause;
    struct loop_timer restart;
    struct loop_work stop;
};

static struct card *cards[SERVICE_MAX_PCI]; /* by function; NULL: not looked at */

/* ---- what the switch calls */

static struct card *of_port(struct switch_port *port) {
    return (struct card *)((char *)port - offsetof(struct card, port));
}

static int receive(struct switch_port *port, const struct frame *frame) {
    struct card *card = of_port(port);

    if (!card->running)
        return -ENXIO;
    int error = card->class->send(card->nic, frame);
    return error == -ENETDOWN ? -ENXIO : error;
}

static void flush(struct switch_port *port) {
    struct card *card = of_port(port);

    if (!card->running)
        return;
    card->class->flush(card->nic);
    host_pci_busy(&card->function);
}

static const struct switch_port_class port_class = {.receive = receive, .flush = flush};

/* ---- what the driver and host_pci call */

static void follow_link(struct card *card) {
    bool up = card->running && !card->nic->failed && card->nic->link;

    switch_set_link(&card->port, up);
    if (!card->running || card->nic->failed || (card->told && up == card->link))
        return;
    card->told = true;
    card->link = up;
    service_log(up ? LOG_INFO : LOG_WARNING, "uplink %s of network %s has %s link", card->network->uplink,
                card->network->name, up ? "a" : "no");
}

/* Perhaps from within the driver's send() or poll(): the card is stopped later. */
static void changed(struct nic *nic) {
    struct card *card = nic->owner;

    follow_link(card);
    if (card->running && nic->failed)
        loop_queue(&card->stop);
}

static void received(struct nic *nic, struct frame *frame) {
    struct card *card = nic->owner;

    host_pci_busy(&card->function);
    switch_send(&card->port, frame);
}

static bool card_poll(struct host_function *function, uint32_t vectors) {
    struct card *card = function->owner;

    switch_tick(card->port.network, clock_now() >> 20); /* ms, near enough */
    bool more = card->class->poll(card->nic, vectors);
    switch_flush(card->port.network);
    return more;
}

static void card_tick(struct host_function *function) {
    struct card *card = function->owner;
    card->class->tick(card->nic);
}

/* ---- start, failure, and start again */

static const char *why_of(const struct nic *nic) {
    return nic->why ? nic->why : "it does not say why";
}

static void halt(struct card *card) {
    uint64_t now = clock_now();

    host_pci_rest(&card->function);
    if (card->running && now - card->started >= STEADY)
        card->pause = 0;
    card->running = false;
    card->again = true;
    follow_link(card);
    card->class->stop(card->nic);
    card->pause = card->pause ? card->pause * 2 : FIRST_PAUSE;
    if (card->pause > LAST_PAUSE)
        card->pause = LAST_PAUSE;
    loop_set_timer(&card->restart, now + card->pause);
}

static void stop(struct loop_work *work) {
    struct card *card = (struct card *)((char *)work - offsetof(struct card, stop));

    if (!card->running || !card->nic->failed)
        return;
    halt(card);
    service_log(LOG_ERROR, "uplink %s of network %s has failed: %s; it is started again in %u s",
                card->network->uplink, card->network->name, why_of(card->nic),
                (unsigned)(card->pause / CLOCK_SECOND));
}

static void start(struct card *card) {
    int error = card->class->start(card->nic);

    if (error || card->nic->failed) {
        halt(card);
        service_log(LOG_ERROR, "uplink %s of network %s cannot be started: %s, error %d; again in %u s",
                    card->network->uplink, card->network->name, why_of(card->nic), -error,
                    (unsigned)(card->pause / CLOCK_SECOND));
        return;
    }
    card->running = true;
    card->started = clock_now();
    if (card->again)
        service_log(LOG_INFO, "uplink %s of network %s works again", card->network->uplink,
                    card->network->name);
    card->again = false;
    host_pci_run(&card->function);
    follow_link(card);
}

static void restart(struct loop_timer *timer) {
    start((struct card *)((char *)timer - offsetof(struct card, restart)));
}

/* ---- finding them */

static const struct nic_class *class_of(const struct pci_device *pci) {
    for (unsigned i = 0; nic_classes[i]; i++)
        if (nic_classes[i]->matches(pci))
            return nic_classes[i];
    return NULL;
}

/* Claims the card and has its driver look at it. Why it cannot be used is in `why`. */
static void probe(struct card *card) {
    card->class = class_of(&card->function.pci);
    card->nic =
        host_pci_claim(&card->function, card->class ? card->class->size : 0, card->why, sizeof(card->why));
    if (!card->nic)
        return;
    card->nic->class = card->class;
    card->nic->pci = &card->function.pci;
    int error = card->class->probe(card->nic);
    if (error)
        snprintf(card->why, sizeof(card->why), "%s, error %d", why_of(card->nic), -error);
    memcpy(card->mac, card->nic->mac, sizeof(card->mac));
}

/* The card of a function, looked at if it was not; NULL: no memory. */
static struct card *card_of(unsigned number) {
    struct card *card = cards[number];

    if (card)
        return card;
    card = heap_allocate(sizeof(*card));
    if (!card)
        return NULL;
    cards[number] = card;
    host_pci_identify(&card->function, number);
    card->function.owner = card;
    probe(card);
    return card;
}

/* Makes a card a port of the network and starts it. */
static void use(struct card *card, unsigned index, const struct config_network *network) {
    struct ether_switch *ether = devices_network(index);

    if (card->network) {
        service_log(LOG_ERROR, "uplink %s of network %s is that of network %s already", network->uplink,
                    network->name, card->network->name);
        return;
    }
    if (card->why[0]) {
        service_log(LOG_ERROR, "uplink %s of network %s cannot be used: %s", network->uplink, network->name,
                    card->why);
        return;
    }
    card->port.class = &port_class;
    card->port.name = network->uplink;
    memcpy(card->port.mac, card->mac, sizeof(card->mac));
    card->port.mtu = card->nic->mtu;
    card->port.offloads = card->nic->offloads;
    card->port.limit = SWITCH_SETS * SWITCH_WAYS;
    int error = ether ? switch_attach(ether, &card->port) : -ENOMEM;
    if (error) {
        service_log(LOG_ERROR, "uplink %s of network %s cannot be joined to it: %s", network->uplink,
                    network->name, error == -ENOSPC ? "it has no more ports" : "there is no memory");
        return;
    }
    card->network = network;
    card->nic->owner = card;
    card->nic->received = received;
    card->nic->changed = changed;
    card->function.poll = card_poll;
    card->function.tick = card_tick;
    card->restart.expired = restart;
    card->stop.run = stop;
    figures_add_uplink(&card->port, card->class->name, card->function.name, &card->running);
    service_log(LOG_INFO, "network %s: uplink %02x:%02x:%02x:%02x:%02x:%02x, %s at %s", network->name,
                card->mac[0], card->mac[1], card->mac[2], card->mac[3], card->mac[4], card->mac[5],
                card->class->name, card->function.name);
    start(card);
}

/* The card with that MAC among those that were looked at; NULL: none. */
static struct card *with_mac(const uint8_t *mac) {
    for (unsigned i = 0; i < host_pci_count(); i++)
        if (cards[i] && !cards[i]->why[0] && !memcmp(cards[i]->mac, mac, sizeof(cards[i]->mac)))
            return cards[i];
    return NULL;
}

/* The card that the network names, as far as cards were looked at; with an address, it is now. */
static struct card *wanted(const struct config_network *network) {
    struct config_pci address;
    uint8_t mac[6];

    if (!config_parse_pci(network->uplink, &address)) {
        int number = host_pci_find(&address, HOST_PCI_NETWORK);
        return number >= 0 ? card_of((unsigned)number) : NULL;
    }
    return config_parse_mac(network->uplink, mac) ? NULL : with_mac(mac);
}

static void not_there(const struct config_network *network) {
    struct log_list list;
    struct config_pci address;
    bool by_address = !config_parse_pci(network->uplink, &address);

    log_list_begin(
        &list, LOG_ERROR,
        by_address ? "uplink %s of network %s is not there: no network card has the address %s, there are:"
                   : "uplink %s of network %s is not there: no network card has the MAC %s, there are:",
        network->uplink, network->name, network->uplink);
    for (unsigned i = 0; i < host_pci_count(); i++) {
        const struct card *card = cards[i];
        if (card && card->why[0])
            log_list_add(&list, "%s (%s)", card->function.name, card->why);
        else if (card)
            log_list_add(&list, "%02x:%02x:%02x:%02x:%02x:%02x (%s at %s)", card->mac[0], card->mac[1],
                         card->mac[2], card->mac[3], card->mac[4], card->mac[5], card->class->name,
                         card->function.name);
    }
    log_list_end(&list);
}

/* How many networks want a card that none of those looked at is. */
static unsigned missing(const struct config *config) {
    unsigned count = 0;

    for (unsigned i = 0; i < config->network_count; i++)
        count += config->networks[i].uplink && !wanted(&config->networks[i]);
    return count;
}

void uplinks_init(const struct config *config) {
    memset(cards, 0, sizeof(cards));
    for (unsigned i = 0; i < host_pci_count() && missing(config); i++)
        if (host_pci_kind(i) == HOST_PCI_NETWORK)
            (void)card_of(i);
    for (unsigned i = 0; i < config->network_count; i++) {
        const struct config_network *network = &config->networks[i];
        struct card *card = network->uplink ? wanted(network) : NULL;
        if (card)
            use(card, i, network);
        else if (network->uplink)
            not_there(network);
    }
    for (unsigned i = 0; i < host_pci_count(); i++) {
        struct card *card = cards[i];
        if (!card || card->network || !card->nic)
            continue;
        (void)pci_set_master(&card->function.pci, false);
        heap_free(card->nic);
        card->nic = NULL;
    }
}
