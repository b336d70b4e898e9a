// SPDX-License-Identifier: Apache-2.0
// Included first in every file of the hypervisor: one image, so that no symbol is looked up through a table.
// (The option -fvisibility=hidden says this of definitions alone.)
#ifndef SAGUARO_ARCH_X86_HIDDEN_H
#define SAGUARO_ARCH_X86_HIDDEN_H

#ifndef __ASSEMBLER__
#pragma GCC visibility push(hidden)
#endif

#endif
