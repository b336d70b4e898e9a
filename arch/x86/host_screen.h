// SPDX-License-Identifier: Apache-2.0
// The host's screen: a text console on the frame buffer that the firmware set up.
#ifndef SAGUARO_ARCH_X86_HOST_SCREEN_H
#define SAGUARO_ARCH_X86_HOST_SCREEN_H

#include <stdbool.h>
#include "abi/handover.h"

/* Adds the frame buffer to the consoles, reached at its physical address (loader's tables). False: none
 * usable. */
bool host_screen_init(const struct handover_framebuffer *framebuffer);
/* Our own tables are loaded: maps the frame buffer there. */
void host_screen_remap(void);
/* Timers run: from now on output only marks what has changed, and a timer of this CPU draws it, some rows at
 * a time. */
void host_screen_start(void);
/* Switches the screen off: the config asks for it. */
void host_screen_disable(void);

#endif
