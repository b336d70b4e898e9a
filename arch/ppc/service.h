// SPDX-License-Identifier: Apache-2.0
// The service VM's machine on PowerPC (abi/service.h): a CPU and memory.
#ifndef SAGUARO_ARCH_PPC_SERVICE_H
#define SAGUARO_ARCH_PPC_SERVICE_H

#include "core/vm.h"

/* Its memory, at guest-physical = host-physical, and no board around it. 0 or -ENOMEM. */
int service_board_create(struct vm *vm);
/* Its image is loaded, its vCPU stands at the entry. 0, or what service_load() says. */
int service_enter(struct vm *vm);

#endif
