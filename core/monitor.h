// SPDX-License-Identifier: Apache-2.0
// The monitor: the host's prompt on its consoles. It knows of guests and CPUs only what the control calls
// say.
#ifndef SAGUARO_CORE_MONITOR_H
#define SAGUARO_CORE_MONITOR_H

#include <stdint.h>

/* Takes the consoles' input and shows the prompt. */
void monitor_init(void);

#endif
