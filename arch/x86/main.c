// SPDX-License-Identifier: Apache-2.0
// The step from the x86 start-up to core/: guests are made and started, and the boot CPU joins the scheduler.
#include "arch/x86/platform.h"
#include "arch/x86/start.h"
#include "core/main.h"
#include "core/sched.h"

void hypervisor_main(void) {
    core_start(&platform_info()->boot);
    sched_loop();
}
