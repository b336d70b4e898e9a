// SPDX-License-Identifier: Apache-2.0
// The operator's shell runs in the service VM. Here are its calls, each argument checked: keys, text, the
// line that is edited, figures, actions; and what a key does while there is no service VM to take it.
#include <errno.h>
#include "core/console.h"
#include "core/control.h"
#include "core/log.h"
#include "core/sched.h"
#include "core/service_internal.h"

_Static_assert(CONSOLE_PROMPT == SERVICE_MAX_PROMPT, "the console keeps the whole line");

/* One action at a time, done by the boot CPU while the service VM's vCPU sleeps. */
static struct {
    uint32_t runs; /* atomic */
    uint32_t action, vm;
    struct work work;
} control;

/* ---- keys */

/* Takes all keys, and says once why nobody else does if Enter is among them. */
static void drop_keys(const char *why) {
    bool enter = false;

    for (int key = console_key(); key >= 0; key = console_key())
        enter = enter || key == '\r' || key == '\n';
    if (enter)
        log_error("there is no prompt: the service VM is %s", why);
}

void service_shell_typed(void) {
    static unsigned said; /* for which run of the service VM its end was shown */
    struct vm *vm = service.vm;

    if (!vm) {
        drop_keys("not there");
    } else if (vm->state == VM_OFF && !vm->restarting) {
        drop_keys(vm_state_name(vm));
    } else {
        if (vm->state == VM_OFF && vm->restarts > 1 && said != service.starts) {
            said = service.starts;
            log_warning("the prompt comes back when the service VM starts again");
        }
        service_event(SERVICE_EVENT_KEY); /* they stay where they are until it takes them */
    }
}

/* ---- the screen */

/* `size` bytes of the service VM's, of which only printable ones and, if `lines`, '\n' are left as they are.
 */
static int read_text(uint32_t address, char *text, uint32_t size, bool lines) {
    int error = guest_read(service.vm, address, text, size);

    for (uint32_t i = 0; !error && i < size; i++)
        if ((text[i] < ' ' || text[i] > '~') && !(lines && text[i] == '\n'))
            text[i] = '?';
    return error;
}

int32_t service_shell_show(uint32_t address, uint32_t length) {
    static char text[SERVICE_MAX_SHOW]; /* the service VM has one vCPU */

    if (!length || length > sizeof(text))
        return -EINVAL;
    int error = read_text(address, text, length, true);
    if (!error)
        console_write(text, length);
    return error;
}

int32_t service_shell_prompt(uint32_t address, uint32_t length, uint32_t cursor) {
    char text[SERVICE_MAX_PROMPT];

    if (!length || length > sizeof(text) || cursor > length)
        return -EINVAL;
    int error = read_text(address, text, length, false);
    if (!error)
        console_prompt(text, length, cursor);
    return error;
}

/* ---- figures and actions */

int32_t service_shell_look(uint32_t kind, uint32_t number, uint32_t address) {
    union control_answer answer;
    size_t size;
    int error = control_look(kind, number, &answer, &size);

    return error ? error : guest_write(service.vm, address, &answer, size);
}

/* On the boot CPU. */
static void act(struct work *work) {
    (void)work;
    service.board->control_result = control_act(control.action, control.vm);
    __atomic_store_n(&control.runs, 0, __ATOMIC_SEQ_CST);
    sched_wake(service.vm->vcpu[0]);
}

int32_t service_shell_control(struct vcpu *vcpu, uint32_t action, uint32_t vm) {
    if (__atomic_load_n(&control.runs, __ATOMIC_SEQ_CST))
        return -EBUSY;
    control.action = action;
    control.vm = vm;
    control.work.function = act;
    __atomic_store_n(&control.runs, 1, __ATOMIC_SEQ_CST);
    vcpu->hold = VCPU_HOLD_CONTROL;
    work_queue(cpu_get(0), &control.work);
    return 0;
}

bool service_shell_busy(void) {
    return __atomic_load_n(&control.runs, __ATOMIC_SEQ_CST) != 0;
}
