// SPDX-License-Identifier: Apache-2.0
// A CPU's windows onto memory that the hypervisor does not keep mapped (see arch_window_map() in
// core/arch.h).
#ifndef SAGUARO_ARCH_PPC_WINDOW_H
#define SAGUARO_ARCH_PPC_WINDOW_H

#include "arch/ppc/ppc_cpu.h"

/* Nothing is shown yet. */
void window_init(struct ppc_cpu *cpu);

/* Unmaps what this CPU's windows show: called when core.window_vm changes, so that one VM's pages are out of
 * reach while another's vCPU runs. */
void window_forget(void);

#endif
