// SPDX-License-Identifier: Apache-2.0
// DMA remapping: which memory a function of the machine reaches, and which interrupts it raises. A domain is
// an address space of devices; a function that is in none reaches nothing. docs/iommu.md explains it; what a
// driver of such units has to bring is in drivers/iommu/driver.h.
#ifndef SAGUARO_DRIVERS_IOMMU_IOMMU_H
#define SAGUARO_DRIVERS_IOMMU_IOMMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct iommu_domain;
struct memory_account;

#define IOMMU_MAX_IDS 4u  /* requester IDs of one function */
#define IOMMU_NAME    32u /* bytes of a domain's name, with its NUL */

/* A PCI function as a unit sees it. A requester ID is bus << 8 | device << 3 | function. */
struct iommu_device {
    uint16_t segment;
    uint16_t group;             /* those of one group in a segment reach each other behind the unit's back */
    uint8_t count;              /* of IDs, 1..IOMMU_MAX_IDS */
    uint16_t id[IOMMU_MAX_IDS]; /* its own, then those under which bridges may pass on what it sends */
};

/* What a unit has blocked. */
struct iommu_fault {
    uint16_t segment;
    uint16_t requester;
    uint64_t address;   /* that was to be reached; of an interrupt: the entry that it named */
    bool write;         /* no meaning for an interrupt */
    bool interrupt;     /* it was a message, not DMA */
    const char *reason; /* in words */
};

/*
 * Whether some unit is at work; whether one translates the DMA of this function, under all of its IDs. Where
 * none does, the function reaches all memory as soon as it is a bus master: the caller decides whether it may
 * be one.
 */
bool iommu_present(void);
bool iommu_covers(const struct iommu_device *device);
/* Whether the firmware wants the function to reach memory of its own, under one of its IDs; there is a unit.
 */
bool iommu_wants_memory(const struct iommu_device *device);
/* Bits of the addresses that all units translate; there is one. */
unsigned iommu_address_bits(void);

/*
 * Domains. All calls may be made on any CPU, with interrupts off, but for iommu_domain_destroy(): on the boot
 * CPU, which is the one that faults are reported on.
 */

/* Makes an empty one, which `account` pays for. `name` is for people: whose it is. `fault` (NULL: nobody
 * asks) is called on the boot CPU, with interrupts off and no lock held, when a function in it was blocked:
 * for ten faults a second at most, and once, with `suspended` set, when there were so many that the domain is
 * suspended: its functions reach nothing any more and are not reported, until all of them have been detached.
 * 0; -ENODEV: there is no unit; -ENOSPC: as many as units tell apart; -ENOMEM. */
int iommu_domain_create(struct iommu_domain **domain, const char *name, struct memory_account *account,
                        void (*fault)(struct iommu_domain *domain, const struct iommu_fault *fault,
                                      bool suspended));
/* What enters it from now on reaches no memory of the firmware's there: it is for somebody who chooses the
 * addresses of DMA and is not trusted. */
void iommu_domain_seal(struct iommu_domain *domain);
/* Nothing may be attached to it. */
void iommu_domain_destroy(struct iommu_domain *domain);

/* The function reaches what the domain maps, and nothing else, from now on. Memory that the firmware wants to
 * stay within its reach is mapped at its own address in the domain, for as long as that is there, unless the
 * domain is sealed. NULL, or
 * why not, in words (nothing was changed then, but that such memory may be mapped):
 *  - no unit translates its DMA, or it comes under more IDs than IOMMU_MAX_IDS;
 *  - a function of its group is in another domain, or under one of its IDs another device is;
 *  - what the firmware wants to be reached is no memory of its own, or other memory is mapped there;
 *  - the domain is suspended; or there is no memory. */
const char *iommu_attach(struct iommu_domain *domain, const struct iommu_device *device);
/* The opposite: when this returns the function reaches nothing (of a domain's) any more. It should have been
 * kept from DMA before, or each try is a fault. Once for each iommu_attach(). */
void iommu_detach(struct iommu_domain *domain, const struct iommu_device *device);

/* Maps device addresses [address, address + size) to physical memory, replacing what was mapped, with the
 * largest pages that fit; readable, and writable if asked. All 4 KiB aligned. DMA to them is sure to work
 * after the next iommu_flush(). 0; -EINVAL: misaligned, wraps, beyond the unit's addresses, or where messages
 * are; -ENOMEM: a part may be mapped. */
int iommu_map(struct iommu_domain *domain, uint64_t address, uint64_t physical, uint64_t size, bool writable);
/* Unmaps; holes are no error. Functions may reach the memory until the next iommu_flush(), so that it must
 * not be used otherwise before that. 0; -EINVAL; -ENOMEM: nothing was changed. */
int iommu_unmap(struct iommu_domain *domain, uint64_t address, uint64_t size);
/* Makes all that was mapped and unmapped so far hold: one invalidation for all of it, and it is waited for.
 * A unit that does not answer stops the machine: there is no other way to keep what was promised. */
void iommu_flush(struct iommu_domain *domain);
/* Where an address leads. 0, or -ENOENT. */
int iommu_lookup(const struct iommu_domain *domain, uint64_t address, uint64_t *physical, bool *writable);

/*
 * Interrupts. Where a unit remaps them, a message says no more than a number: the unit's table says, by that
 * number, who may send it, and which vector of which CPU it is.
 */

/* Takes an entry that this function alone may use; one for the lines of the I/O APIC with this ID. Nothing
 * comes through it until iommu_interrupt_set(). A number for the calls below, 0 or greater; -ENODEV: its
 * interrupts are not remapped: plain ones are to be used; -ENOSPC; -ENOENT: the I/O APIC is known to no unit,
 * and plain ones may be blocked. */
int iommu_interrupt_allocate(const struct iommu_device *device);
int iommu_interrupt_allocate_ioapic(uint8_t ioapic);
/* Where it leads: a CPU by its APIC ID and the vector there; `level`: it is level-triggered. It may be
 * changed at any time: no interrupt is lost meanwhile. 0; -EINVAL: no such CPU or vector can be had; -ENOMEM:
 * nothing comes through it. */
int iommu_interrupt_set(int interrupt, uint32_t cpu, unsigned vector, bool level);
/* Allocates and sets one that stands for a message as a CPU's local APIC takes it (Intel SDM vol. 3, 11.11):
 * *address and *data become what the function has to write. A number; -ENODEV: they stay as they are;
 * -ENOSPC; -EINVAL; -ENOMEM. */
int iommu_interrupt_remap(const struct iommu_device *device, uint64_t *address, uint32_t *data);
/* The message that a function has to write for it (MSI and MSI-X). */
void iommu_interrupt_message(int interrupt, uint64_t *address, uint32_t *data);
/* An I/O APIC's redirection entry for it: polarity, trigger mode and mask are those of `entry`. */
uint64_t iommu_interrupt_line(int interrupt, uint64_t entry);
/* Nothing comes through it any more, and it may be somebody else's. */
void iommu_interrupt_free(int interrupt);

#endif
