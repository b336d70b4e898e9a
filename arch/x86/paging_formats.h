// SPDX-License-Identifier: Apache-2.0
// The second-level page-table formats of x86: AMD's nested page tables and Intel's extended page tables. (The
// hypervisor's own is in paging_host.h.)
#ifndef SAGUARO_ARCH_X86_PAGING_FORMATS_H
#define SAGUARO_ARCH_X86_PAGING_FORMATS_H

#include "core/paging.h"

/* Four levels, AMD APM vol. 2, 15.25. Needs EFER.NXE and the host's PAT as PAT_VALUE in paging_host.h has it.
 */
extern const struct paging_format paging_npt_format;

/* Four levels with accessed and dirty flags, Intel SDM vol. 3, 28.3 (EPTP bit 6 is to be set). */
extern const struct paging_format paging_ept_format;
/* The same for CPUs whose IA32_VMX_EPT_VPID_CAP says that they have no such flags. */
extern const struct paging_format paging_ept_plain_format;

#endif
