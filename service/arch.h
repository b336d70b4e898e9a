// SPDX-License-Identifier: Apache-2.0
// What each architecture supplies to the service VM's program: service/x86/ and service/ppc/ define these.
#ifndef SAGUARO_SERVICE_ARCH_H
#define SAGUARO_SERVICE_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "abi/service.h"

/* Calls the hypervisor. service/call.h has a function for each call. */
int service_call(enum service_call number, uint32_t a, uint32_t b, uint32_t c, uint32_t d);

/* The time-stamp counter or time base that the board's clock counts in. */
uint64_t arch_counter(void);

/* Guest-physical address of something in the service VM's own memory: image, stack or heap. */
uint32_t arch_physical(const void *address);

/* Maps guest-physical memory outside our own, [physical, physical + size), for reading, or writing as well;
 * never for execution. Our address of its first byte; it lies together. NULL: no room, or no memory for
 * tables. What shares a page with it may be mapped with it. */
void *arch_map(uint64_t physical, uint64_t size, bool writable);
/* The same for registers of a device: uncached, in order, writable. Stays. */
void *arch_map_device(uint64_t physical, uint64_t size);
/* Takes away what arch_map() returned for that size. For what shares no page with another mapping. */
void arch_unmap(void *address, uint64_t size);

/* For a config that is this architecture's (enum config_arch). */
unsigned arch_config(void);

/* The end, when not even SERVICE_CALL_CRASH ends this run: makes the hypervisor see a dead CPU. */
void arch_die(void) __attribute__((noreturn));

/* service/main.c: all of the program, entered once the architecture's start is done. `board`: its
 * guest-physical address; [heap, heap + size): our own memory that nothing is in yet, mapped and zeroed. */
void service_main(uint64_t board, void *heap, size_t size) __attribute__((noreturn));

#endif
