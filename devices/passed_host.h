// SPDX-License-Identifier: Apache-2.0
// A function of the machine that a guest has to itself, from the machine's side: whether it may have it, DMA,
// messages, reset. What the guest sees of it is devices/passed_function.h's. One caller at a time for each.
#ifndef SAGUARO_DEVICES_PASSED_HOST_H
#define SAGUARO_DEVICES_PASSED_HOST_H

#include <stdbool.h>
#include <stdint.h>

struct vm;
struct iommu_domain;
struct passed_host;

#define PASSED_VECTORS 32u /* of MSI-X that the guest has at most ... */
#define PASSED_SHARED                                                                                        \
    96u /* ... and all functions of guests together, but for one of each: the machine has 160 */
#define PASSED_BARS 6u

struct passed_bar {
    uint64_t physical;
    uint64_t
        size;  /* bytes, a power of two; 0: there is none, or one of I/O ports, or the upper half of one */
    bool wide; /* 64 bits: the next one is its upper half */
    /* The part that the guest does not reach without us: the pages of the MSI-X table, or all of a BAR that
     * is smaller than a page. Offsets in the BAR; the same: there is none. */
    uint64_t trap_begin, trap_end;
};

struct passed_info {
    const uint8_t *config; /* its configuration space as it was found, 256 bytes */
    struct passed_bar bar[PASSED_BARS];
    struct passed_bar
        rom;          /* a copy of its expansion ROM, in memory, nothing trapped; size 0: there is none */
    unsigned msix;    /* offset of the capability; 0: none */
    unsigned vectors; /* of MSI-X, that the guest has */
    unsigned table_bar;
    uint64_t table_begin, table_end; /* offsets of the table in that BAR, all entries of the function */
    unsigned msi;                    /* offset of the capability; 0: none */
    bool msi_wide;
};

/*
 * Finds the function at a PCI address and makes it the VM's, for good; it is reset, and is there after
 * passed_host_rest(). `came` is called for message `vector` of it, with interrupts off and no lock held, on
 * the CPU that first asked for that message. 0; -ENOMEM; -ENODEV after a line in the log that says why the
 * guest cannot have it.
 */
int passed_host_create(struct vm *vm, const char *address, void (*came)(void *context, unsigned vector),
                       void *context, struct passed_host **out);
const struct passed_info *passed_host_info(const struct passed_host *host);
/* Power-on: as the firmware has set it up, in the domain, no bus master, all messages off. `domain` is NULL
 * on a machine without an IOMMU. NULL, or why not. */
const char *passed_host_start(struct passed_host *host, struct iommu_domain *domain);
/* While it runs it goes from its domain to another one. 0; -ESTALE: it does not run; -EBUSY: it cannot be
 * there, and is where it was; -EIO: nor there: no DMA from it until the next start. */
int passed_host_move(struct passed_host *host, struct iommu_domain *domain);
/* No DMA from it any more when this returns, and none until the next start; with `last`, ever. */
void passed_host_stop(struct passed_host *host, bool last);
/* After passed_host_stop(): no messages, and it leaves the domain; it is reset, but with `last`: the machine
 * does that then. */
void passed_host_end(struct passed_host *host, bool last);
/* ns until it may be started, or until that should be asked again: after its reset a function has a second to
 * answer; when that is over 0, whether it does or not. */
uint64_t passed_host_rest(const struct passed_host *host);
/* Nobody's again. It has never run: what messages it had would stay. */
void passed_host_destroy(struct passed_host *host);

/* ---- while it runs; nothing happens while it does not */
/* Whether it may do DMA, and write messages. */
void passed_host_master(struct passed_host *host, bool on);
/* MSI on or off, with one message, number 0. False: there is none left; it is off. */
bool passed_host_msi(struct passed_host *host, bool on);
/* MSI-X on or off, and its mask of all vectors; one vector's mask, vector < info.vectors. False: there is no
 * message left; it is masked. */
void passed_host_msix(struct passed_host *host, bool on, bool masked);
bool passed_host_vector(struct passed_host *host, unsigned vector, bool masked);
/* An access of 1, 2, 4 or 8 bytes, aligned, to what is trapped in a BAR, all of it inside. */
uint64_t passed_host_read(const struct passed_host *host, unsigned bar, uint64_t offset, unsigned size);
void passed_host_write(const struct passed_host *host, unsigned bar, uint64_t offset, unsigned size,
                       uint64_t value);

#endif
