// SPDX-License-Identifier: Apache-2.0
// A function of the machine that a guest has to itself, as the guest sees it: a configuration space of which
// the guest changes what is its own, base addresses that it may move, and messages of its own.
#ifndef SAGUARO_DEVICES_PASSED_FUNCTION_H
#define SAGUARO_DEVICES_PASSED_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>

struct vm;
struct iommu_domain;
struct passed_function;
struct passed_host;

/* Makes the function at PCI address `address` of the machine the VM's, at `devfn` of its bus 0. 0; -EEXIST:
 * the place is taken; -ENOMEM; -ENODEV: passed_host_create(). */
int passed_function_create(struct vm *vm, const char *address, uint8_t devfn, struct passed_function **out);
/* It has never run. */
void passed_function_destroy(struct passed_function *f);
/* Power-on, in the domain: BARs are nowhere, messages are off. NULL, or why it cannot be started. */
const char *passed_function_start(struct passed_function *f, struct iommu_domain *domain);
/* As passed_host_move(). */
int passed_function_move(struct passed_function *f, struct iommu_domain *domain);
/* As passed_host_stop(), _end() and _rest(). */
void passed_function_stop(struct passed_function *f, bool last);
void passed_function_end(struct passed_function *f, bool last);
uint64_t passed_function_rest(struct passed_function *f);

#endif
