// SPDX-License-Identifier: Apache-2.0
// A VM's nested tables (NPT or EPT), which its vCPUs may walk on other CPUs while they are changed.
#ifndef SAGUARO_ARCH_X86_NESTED_H
#define SAGUARO_ARCH_X86_NESTED_H

#include "arch/x86/vm.h"

/* Makes empty tables in the engine's format. 0 or -ENOMEM. */
int nested_create(struct x86_vm *vm);
/* Frees all tables: no vCPU runs any more. */
void nested_destroy(struct x86_vm *vm);

#endif
