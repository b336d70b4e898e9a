// SPDX-License-Identifier: Apache-2.0
// Which engine this machine's CPUs can run, and switching it on.
#include "arch/x86/engine/engine.h"
#include "arch/x86/barrier.h"
#include "arch/x86/errata.h"
#include "arch/x86/fpu.h"
#include "core/log.h"

#include <errno.h>

const struct engine *engine;

static const struct engine *const engines[] = {&svm_engine, &vmx_engine};

int arch_engine_select(void) {
    char why[160] = "";

    for (unsigned i = 0; i < array_count(engines); i++) {
        int error = engines[i]->probe(why, sizeof(why));
        if (!error) {
            engine = engines[i];
            log_info("engine: %s", engine->name);
            return 0;
        }
        if (error == -ENOTSUP) {
            log_error("guests cannot run: %s", why);
            return error;
        }
    }
    log_error(
        "guests cannot run: this CPU has neither AMD SVM nor Intel VT-x. Saguaro needs one of them, with "
        "nested paging (in QEMU: -cpu EPYC,+svm,+npt)");
    return -ENOTSUP;
}

int arch_engine_cpu_init(void) {
    if (!engine)
        return -ENOTSUP;
    errata_cpu_init();
    barrier_cpu_init();
    fpu_cpu_init();
    int error = engine->cpu_enable();
    if (error)
        log_error("CPU %u: %s cannot be switched on (%d)", cpu_this()->number, engine->name, error);
    return error;
}
