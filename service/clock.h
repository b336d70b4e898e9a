// SPDX-License-Identifier: Apache-2.0
// The machine's clock: nanoseconds since some moment at its start, the same for hypervisor and service VM.
#ifndef SAGUARO_SERVICE_CLOCK_H
#define SAGUARO_SERVICE_CLOCK_H

#include "abi/service.h"

#define CLOCK_MICROSECOND 1000ull
#define CLOCK_MILLISECOND 1000000ull
#define CLOCK_SECOND      1000000000ull

/* The board says where it counts from and how fast. */
void clock_init(const struct service_board *board);
uint64_t clock_now(void);

#endif
