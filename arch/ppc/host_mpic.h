// SPDX-License-Identifier: Apache-2.0
// The host's interrupt controller: a Freescale MPIC (MPC8544E reference manual, ch. 10; OpenPIC).
#ifndef SAGUARO_ARCH_PPC_HOST_MPIC_H
#define SAGUARO_ARCH_PPC_HOST_MPIC_H

#include <stdbool.h>
#include <stdint.h>

/* Resets the controller at `offset` in CCSR: all sources masked, kicks and the spurious vector set up. Boot
 * CPU, once. 0, or -ENODEV: it does not answer. */
int host_mpic_init(uint32_t offset);
/* Lets interrupts through to the CPU that runs this. */
void host_mpic_enable(void);

/* Routes an interrupt source (numbered as in the device tree) to the boot CPU: level-sensitive, active high.
 * False: there is no such source. */
#define MPIC_ACTIVE_LOW 1u /* flags: it is active low */
#define MPIC_MASKED     2u /* it stays masked until host_mpic_mask() */
bool host_mpic_route(uint32_t source, unsigned vector, unsigned flags);
/* Masks a source that was routed, or lets it through again. On any CPU. */
void host_mpic_mask(uint32_t source, bool masked);

/* Interrupts CPU number `mpic_id` at VECTOR_KICK. */
void host_mpic_send_kick(uint32_t mpic_id);
/* Interrupts every other CPU at VECTOR_STOP, above all else. */
void host_mpic_send_stop_others(void);

/* The vector of the interrupt that this CPU now serves, or VECTOR_SPURIOUS; and the end of its service. */
uint32_t host_mpic_acknowledge(void);
void host_mpic_end(void);

#endif
