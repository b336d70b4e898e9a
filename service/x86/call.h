// SPDX-License-Identifier: Apache-2.0
// Which instruction service_call() uses on this CPU.
#ifndef SAGUARO_SERVICE_X86_CALL_H
#define SAGUARO_SERVICE_X86_CALL_H

#include <stdbool.h>

/* Before the first call. */
void call_init(void);

#endif
