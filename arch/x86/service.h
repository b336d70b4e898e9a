// SPDX-License-Identifier: Apache-2.0
// The service VM's machine on x86 (abi/service.h): a CPU and memory.
#ifndef SAGUARO_ARCH_X86_SERVICE_H
#define SAGUARO_ARCH_X86_SERVICE_H

#include "core/vm.h"

/* What a vCPU cannot be without; no device. */
extern const struct platform service_platform;

/* Its memory, at guest-physical = host-physical, below 4 GiB. 0 or -ENOMEM. */
int service_memory_create(struct vm *vm);
/* Its image is loaded, its vCPU stands at the entry. 0, or what service_load() says. */
int service_enter(struct vm *vm);

#endif
