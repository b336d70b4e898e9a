// SPDX-License-Identifier: Apache-2.0
// Waiting, for a moment, until requests have reached the vCPUs that were in their guests. One that is out of
// its guest takes its requests before it goes back.
#include <errno.h>
#include "core/vm.h"

#define PATIENCE 2000000ull /* ns that a vCPU may take to leave its guest */

int vm_settle(const struct vm *vm, uint32_t request) {
    uint64_t end = time_now() + PATIENCE;

    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        const struct vcpu *vcpu = vm->vcpu[i];
        while (__atomic_load_n(&vcpu->in_guest, __ATOMIC_SEQ_CST) &&
               (__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) & request)) {
            if (time_now() > end)
                return -EAGAIN;
            cpu_relax();
        }
    }
    return 0;
}
