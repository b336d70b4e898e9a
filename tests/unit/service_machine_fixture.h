// SPDX-License-Identifier: Apache-2.0
// For unit tests of what the service VM does with the machine's PCI functions: a board with functions, a
// heap, the hypervisor's answers, and what stands for drivers/pci/pci.c. Included by one file of a test
// program.
#ifndef SAGUARO_TESTS_UNIT_SERVICE_MACHINE_FIXTURE_H
#define SAGUARO_TESTS_UNIT_SERVICE_MACHINE_FIXTURE_H

#include <errno.h>
#include "tests/unit/service_fixture.h"
#include "service/clock.h"
#include "service/heap.h"
#include "service/host_pci.h"
#include "service/log.h"
#include "service/loop.h"

#define HEAP     (4u << 20)
#define MS       CLOCK_MILLISECOND
#define SECOND   CLOCK_SECOND
#define FUNCTION SERVICE_MAX_PCI

static struct service_board *board;
static uint8_t *heap;

/* Of each function. */
static int claim_result[FUNCTION], vectors_result[FUNCTION];
static bool claimed[FUNCTION], mastering[FUNCTION];
static unsigned masters_off[FUNCTION]; /* how often it was turned off */

/* ---- drivers/pci/pci.c, as far as it is used here */

uint16_t pci_vendor(const struct pci_device *device) {
    return (uint16_t)(device->info->config[0] | device->info->config[1] << 8);
}
uint16_t pci_id(const struct pci_device *device) {
    return (uint16_t)(device->info->config[2] | device->info->config[3] << 8);
}
int pci_claim(struct pci_device *device, const struct pci_host *host, const struct service_pci *info,
              unsigned number) {
    *device = (struct pci_device){.host = host, .info = info, .number = number};
    return host->claim(number);
}
int pci_set_master(struct pci_device *device, bool on) {
    return device->host->master(device->number, on);
}

/* ---- the hypervisor */

static void on_call(uint32_t number) {
    const struct call *call = &calls[call_count - 1];

    call_result = 0;
    if (number >= SERVICE_CALL_PCI_CLAIM && number <= SERVICE_CALL_PCI_UNMASK)
        assert_true(call->a < board->pci_count);
    if (number == SERVICE_CALL_PCI_CLAIM) {
        call_result = claim_result[call->a];
        claimed[call->a] = !call_result;
    } else if (number == SERVICE_CALL_PCI_MASTER) {
        assert_true(claimed[call->a]);
        mastering[call->a] = call->b != 0;
        masters_off[call->a] += call->b == 0;
    } else if (number == SERVICE_CALL_PCI_VECTORS) {
        assert_true(claimed[call->a] && call->b);
        call_result = vectors_result[call->a];
    }
}

/* ---- the surroundings */

static void nothing_of(unsigned vm) {
    (void)vm;
}
static void nothing(void) {}
static const struct loop_hooks hooks = {nothing_of, nothing, nothing_of, nothing};

/* Adds a function of that class (HOST_PCI_*) in slot `slot`, with IDs; its number. */
static inline unsigned add_function(unsigned slot, unsigned kind, unsigned vendor, unsigned id) {
    struct service_pci *info = &board->pci[board->pci_count];

    info->devfn = (uint8_t)(slot << 3);
    info->config[0] = (uint8_t)vendor;
    info->config[1] = (uint8_t)(vendor >> 8);
    info->config[2] = (uint8_t)id;
    info->config[3] = (uint8_t)(id >> 8);
    info->config[11] = (uint8_t)kind;
    return board->pci_count++;
}

/* The line of the log that has this text; NULL: none. */
static inline const char *said(const char *text) {
    for (unsigned i = 0; i < call_count; i++)
        if (strstr(calls[i].text, text))
            return calls[i].text;
    return NULL;
}

/* Time passes, with a turn each millisecond. */
static inline void pass(uint64_t time) {
    for (uint64_t end = counter + time; counter < end;) {
        counter += end - counter < MS ? end - counter : MS;
        call_count = 0;
        loop_turn();
    }
}

static inline void interrupt(unsigned number, uint32_t vectors) {
    board->pci_vectors[number] |= vectors;
    board->pci_interrupts[number / 32] |= 1u << number % 32;
    board->events |= SERVICE_EVENT_PCI;
    loop_turn();
}

static inline void host_setup(void) {
    board = calloc(1, sizeof(*board));
    heap = aligned_alloc(4096, HEAP);
    board->clock_multiplier = 1ull << 32;
    memset(claim_result, 0, sizeof(claim_result));
    memset(claimed, 0, sizeof(claimed));
    memset(mastering, 0, sizeof(mastering));
    memset(masters_off, 0, sizeof(masters_off));
    for (unsigned i = 0; i < FUNCTION; i++)
        vectors_result[i] = 1;
    counter = 1000 * SECOND;
    calls_reset();
    call_hook = on_call;
    heap_init(heap, HEAP);
    clock_init(board);
    loop_init(board, &hooks);
}

static inline void host_teardown(void) {
    free(board);
    free(heap);
}

#endif
