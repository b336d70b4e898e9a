// SPDX-License-Identifier: Apache-2.0
// The operator's shell: the prompt on the machine's consoles, its line editor and its commands. The
// hypervisor has the consoles; it shows what it is given, and keeps the line that is edited below all other
// output.
#ifndef SAGUARO_SERVICE_SHELL_H
#define SAGUARO_SERVICE_SHELL_H

#include "abi/service.h"

/* Shows the prompt, with the line that a run before was given. After figures_init(). The board stays. */
void shell_init(struct service_board *board);
/* SERVICE_EVENT_KEY: takes the keys. */
void shell_keys(void);

#endif
