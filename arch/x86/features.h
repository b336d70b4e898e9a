// SPDX-License-Identifier: Apache-2.0
// What the hypervisor asks of a host CPU and switches on in it.
#ifndef SAGUARO_ARCH_X86_FEATURES_H
#define SAGUARO_ARCH_X86_FEATURES_H

#include <stdbool.h>

/* Why this CPU cannot run the hypervisor at all; NULL: it can. */
const char *cpu_features_missing(void);

/* Sets CR0, CR4, EFER, PAT and XCR0 of this CPU: paging with WP and NX; SMEP, SMAP and UMIP where it has
 * them. */
void cpu_features_enable(void);

bool cpu_has_smep(void);
bool cpu_has_smap(void);
bool cpu_has_umip(void);
bool cpu_has_tsc_deadline(void);
bool cpu_has_invariant_tsc(void);
bool cpu_has_tsc_adjust(void);

#endif
