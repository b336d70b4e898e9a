// SPDX-License-Identifier: Apache-2.0
// The machine's PCI functions between their drivers and the event loop: finding and claiming them, registers
// and memory for DMA, and when a driver looks at its device: on interrupts, else by a timer.
#ifndef SAGUARO_SERVICE_HOST_PCI_H
#define SAGUARO_SERVICE_HOST_PCI_H

#include "drivers/pci/pci.h"
#include "lib/config.h"
#include "service/loop.h"

#define HOST_PCI_STORAGE 0x01u /* class codes (PCI Code and ID Assignment) */
#define HOST_PCI_NETWORK 0x02u

#define HOST_PCI_NAME    13u /* bytes of "0000:00:03.0" */

struct host_function {
    struct pci_device pci;
    char name[HOST_PCI_NAME];
    void *owner;
    /* Set by the owner before host_pci_run(). Bits of `vectors`: interrupts that came; 0: it is time to look.
     * True: there is more to do at once. */
    bool (*poll)(struct host_function *function, uint32_t vectors);
    void (*tick)(struct host_function *function); /* once a second */
    /* host_pci's own */
    bool running;
    bool told;           /* that it has no interrupts */
    uint64_t busy_until; /* a polled one is looked at often until then */
    struct loop_pci events;
    struct loop_timer look, second;
    struct loop_work again;
};

/* The board, after loop_init(). */
void host_pci_init(struct service_board *board);

/* How many functions the machine has that can be claimed; numbers below are this. */
unsigned host_pci_count(void);
/* HOST_PCI_*, the upper byte of its class. */
unsigned host_pci_kind(unsigned number);
/* The number of the function of that kind at the address; -ENOENT: there is none. */
int host_pci_find(const struct config_pci *address, unsigned kind);

/* Makes *function, which is zeroed, stand for function `number`, for drivers' matches(). Nothing is touched.
 */
void host_pci_identify(struct host_function *function, unsigned number);
/* Makes it ours and allocates `size` zeroed bytes for the driver that matches it, 0: none does. NULL: it
 * cannot be used, `why` (of `why_size` bytes) says for what reason. */
void *host_pci_claim(struct host_function *function, size_t size, char *why, size_t why_size);
/* Its device was started: poll() and tick() are called from now on, until host_pci_rest(). */
void host_pci_run(struct host_function *function);
void host_pci_rest(struct host_function *function);
/* The device has been given something to do, or has done something: one without interrupts is looked at
 * soon. */
void host_pci_busy(struct host_function *function);

/* Sleeps up to `time` ns, or until there is an event for the loop. For those who wait for a device outside
 * the loop; the hypervisor sees that the program goes on. */
void host_pci_pause(uint64_t time);

#endif
