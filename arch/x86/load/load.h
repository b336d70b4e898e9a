// SPDX-License-Identifier: Apache-2.0
// Guest loaders: put a kernel, its companions and its boot information into a VM's memory, and its first vCPU
// at the entry.
#ifndef SAGUARO_ARCH_X86_LOAD_LOAD_H
#define SAGUARO_ARCH_X86_LOAD_LOAD_H

#include "arch/x86/vm.h"

/* Loads what vm->config names. 0; a negative errno with the reason in vm->end_text. Parts, RAM and vCPUs are
 * in their reset state. */
int load_image(struct vm *vm);
/* Where an image that is bound to its addresses, a multiboot one, ends in memory. 0: it is none, or cannot be
 * loaded anyway. */
uint64_t load_image_end(const struct vm *vm);

#endif
