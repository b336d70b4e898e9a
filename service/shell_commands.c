// SPDX-License-Identifier: Apache-2.0
// The shell's commands but for those of shell_figures.c.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "lib/pci.h"
#include "service/call.h"
#include "service/figures.h"
#include "service/shell_internal.h"

#define MIB         (1024u * 1024u)
#define LOG_DEFAULT 20u

/* --- formats --- */

const char *shell_format_size(uint64_t bytes, char text[32]) {
    if (bytes >= MIB)
        snprintf(text, 32, "%llu MiB", (unsigned long long)((bytes + MIB / 2) / MIB));
    else
        snprintf(text, 32, "%llu KiB", (unsigned long long)((bytes + 1023) / 1024));
    return text;
}

static const char *format_time(uint64_t nanoseconds, char text[32]) {
    uint64_t tenths = nanoseconds / 100000000u, seconds = tenths / 10;
    if (seconds < 3600)
        snprintf(text, 32, "%llu.%llu s", (unsigned long long)seconds, (unsigned long long)(tenths % 10));
    else
        snprintf(text, 32, "%llu:%02llu:%02llu", (unsigned long long)(seconds / 3600),
                 (unsigned long long)(seconds / 60 % 60), (unsigned long long)(seconds % 60));
    return text;
}

static const char *state_name(const struct control_vm *vm) {
    static const char *const names[CONTROL_STATES] = {"off",     "restarting", "crashed",
                                                      "running", "stopping",   "paused"};
    return vm->state < CONTROL_STATES ? names[vm->state] : "?";
}

/* --- vms --- */

static void print_end(const struct control_vm *vm) {
    switch (vm->end) {
    case CONTROL_END_NONE:
        break;
    case CONTROL_END_POWER_OFF:
        shell_print("    ended: powered off\n");
        break;
    case CONTROL_END_RESET:
        shell_print("    ended: reset itself\n");
        break;
    case CONTROL_END_EXIT:
        shell_print("    ended: exit code %u\n", (unsigned)vm->end_code);
        break;
    case CONTROL_END_CRASH:
        shell_print("    ended: crashed: %s\n", vm->end_text);
        break;
    default:
        shell_print("    ended: %s\n", vm->end_text);
    }
}

/* Causes with their counts, put side by side. */
static void print_exits(uint32_t number) {
    static struct control_exits exits;
    char text[80];
    size_t used = 0;

    if (service_call_look(CONTROL_EXITS, number, &exits) != 0)
        return;
    for (unsigned i = 0; i < exits.count && i < CONTROL_MAX_EXITS; i++) {
        char item[48];
        size_t length = (size_t)snprintf(item, sizeof(item), "%s %llu", exits.exit[i].name,
                                         (unsigned long long)exits.exit[i].count);
        if (used + length + 2 > 66) {
            shell_print("    exits: %s\n", text);
            used = 0;
        }
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", used != 0 ? ", " : "", item);
    }
    if (used != 0)
        shell_print("    exits: %s\n", text);
}

static void print_vm(unsigned number) {
    struct control_vm vm;
    char memory[32], time[32];
    if (!shell_look_vm(number, &vm))
        return;
    shell_print("%-16s %-10s %5u %10s %10s %8u\n", vm.name, state_name(&vm), (unsigned)vm.vcpus,
                shell_format_size(vm.memory, memory), format_time(vm.cpu_time, time), (unsigned)vm.restarts);
    print_end(&vm);
    print_exits(number);
}

static void run_vms(const char *text, int value) {
    unsigned count = shell_vm_count();
    (void)text;
    if (count == 0) {
        shell_print("there are no guests\n");
        return;
    }
    const struct service_figures *figures = figures_gather();
    shell_print("%-16s %-10s %5s %10s %10s %8s\n", "NAME", "STATE", "VCPUS", "MEMORY", "CPU TIME",
                "RESTARTS");
    for (unsigned i = 0; i < count; i++) {
        if (value >= 0 && value != (int)i)
            continue;
        print_vm(i);
        shell_print_rates(figures, i);
    }
}

static void run_service(const char *text, int value) {
    struct control_machine machine;
    struct control_vm vm;
    char memory[32], time[32];

    (void)value;
    if (text != NULL && strcmp(text, "restart") != 0) {
        shell_print("usage: service [restart]\n");
    } else if (text != NULL) {
        shell_print("the service VM starts again\n");
        shell_flush(); /* it ends while it waits for the answer */
        int error = shell_control(CONTROL_RESTART, 0);
        shell_print("it does not: error %d\n", error);
    } else if (shell_look_vm(CONTROL_SERVICE, &vm)) {
        shell_look_machine(&machine);
        shell_print("%s, %s, CPU time %s, started %u times\n", state_name(&vm),
                    shell_format_size(vm.memory, memory), format_time(vm.cpu_time, time),
                    (unsigned)machine.starts);
        print_end(&vm);
        print_exits(CONTROL_SERVICE);
    }
}

/* --- actions --- */

static void act(int number, enum control_action action, const char *verb, const char *done) {
    struct control_vm vm;
    int error = shell_control(action, (uint32_t)number);
    if (!shell_look_vm((uint32_t)number, &vm))
        return;
    if (error == 0)
        shell_print("%s: %s\n", vm.name, done);
    else if (error == -EALREADY)
        shell_print("%s is %s already\n", vm.name, state_name(&vm));
    else if (error == -EBUSY || error == -EINVAL)
        shell_print("cannot %s %s: it is %s\n", verb, vm.name, state_name(&vm));
    else if (error == -EAGAIN)
        shell_print("cannot %s %s: it is being started; try again\n", verb, vm.name);
    else if (error == -ENOTSUP)
        shell_print("cannot %s %s: its machine has no power button; use its console, or \"stop\"\n", verb,
                    vm.name);
    else
        shell_print("cannot %s %s: error %d\n", verb, vm.name, error);
}

static void run_start(const char *text, int value) {
    (void)text;
    act(value, CONTROL_START, "start", "starting");
}

static void run_stop(const char *text, int value) {
    (void)text;
    act(value, CONTROL_STOP, "stop", "stopping");
}

static void run_reset(const char *text, int value) {
    (void)text;
    act(value, CONTROL_RESET, "reset", "resetting");
}

static void run_pause(const char *text, int value) {
    (void)text;
    act(value, CONTROL_PAUSE, "pause", "pausing");
}

static void run_resume(const char *text, int value) {
    (void)text;
    act(value, CONTROL_RESUME, "resume", "running");
}

/* One, or all that run. */
static void run_shutdown(const char *text, int value) {
    struct control_vm vm;
    unsigned asked = 0;
    (void)text;
    if (value >= 0) {
        act(value, CONTROL_SHUT_DOWN, "shut down", "asked to shut down");
        return;
    }
    for (unsigned i = 0; i < shell_vm_count(); i++) {
        if (shell_look_vm(i, &vm) && vm.state == CONTROL_RUNNING) {
            act((int)i, CONTROL_SHUT_DOWN, "shut down", "asked to shut down");
            asked++;
        }
    }
    if (asked == 0)
        shell_print("no guest is running\n");
}

static void run_console(const char *text, int value) {
    if (shell_control(CONTROL_CONSOLE, (uint32_t)value) != 0)
        shell_print("%s has no console\n", text);
}

static void run_writes(const char *text, int value) {
    int error = shell_control(CONTROL_WRITES, (uint32_t)value);
    if (error == -EBUSY)
        shell_print("the writes of a guest are being counted; try again in a second\n");
    else if (error != 0)
        shell_print("%s does not run\n", text);
    else
        shell_print("%s: counting for a second\n", text);
}

/* --- the host --- */

static void print_log_line(const struct control_log *line) {
    static const char *const tags[] = {"error: ", "warning: ", "", "debug: "};
    uint64_t microseconds = line->time / 1000;
    shell_print("[%5lu.%06lu] %s%s\n", (unsigned long)(microseconds / 1000000),
                (unsigned long)(microseconds % 1000000),
                line->level < array_count(tags) ? tags[line->level] : "", line->text);
}

static void run_log(const char *text, int value) {
    struct control_machine machine;
    struct control_log line = {0};
    (void)text;
    shell_look_machine(&machine);
    uint32_t count = value < 0 ? LOG_DEFAULT : (uint32_t)value;
    if (count > machine.log_lines)
        count = machine.log_lines;
    if (count > machine.log_end)
        count = machine.log_end;
    for (uint32_t number = machine.log_end - count; number != machine.log_end; number++) {
        if (service_call_look(CONTROL_LOG, number, &line) == 0)
            print_log_line(&line);
    }
}

static void run_mem(const char *text, int value) {
    (void)text;
    (void)value;
    struct control_machine machine;
    char a[32], b[32], c[32];
    shell_look_machine(&machine);
    shell_print("memory: %s, %s free, largest free block %s\n", shell_format_size(machine.memory, a),
                shell_format_size(machine.free, b), shell_format_size(machine.largest, c));
    shell_print("heap:   %s, %s used\n", shell_format_size(machine.heap, a),
                shell_format_size(machine.heap_used, b));
    if (machine.vm_count != 0)
        shell_print("%-16s %10s %10s\n", "GUEST", "RAM", "OVERHEAD");
    for (unsigned i = 0; i < machine.vm_count; i++) {
        struct control_vm vm;
        if (shell_look_vm(i, &vm))
            shell_print("%-16s %10s %10s\n", vm.name, shell_format_size(vm.memory, a),
                        shell_format_size(vm.overhead, b));
    }
}

static void print_cpu(unsigned number, const struct control_cpu *cpu) {
    /* Idle time is shown for the time since the command was last given. */
    uint64_t time = cpu->time - shell_kept->cpus[number].time;
    uint64_t before = shell_kept->cpus[number].idle;
    uint64_t idle = cpu->idle > before ? cpu->idle - before : 0;
    unsigned percent = time == 0 ? 0 : idle >= time ? 100 : (unsigned)(idle / (time / 100 + 1));
    char runs[SERVICE_NAME_SIZE + 16];

    shell_kept->cpus[number].idle = cpu->idle;
    shell_kept->cpus[number].time = cpu->time;
    if (cpu->vm == CONTROL_SERVICE)
        snprintf(runs, sizeof(runs), "(monitor)"); /* which answers this */
    else if (cpu->vm == CONTROL_NO_VM)
        snprintf(runs, sizeof(runs), "-");
    else
        snprintf(runs, sizeof(runs), "%s/%u", shell_vm_name(cpu->vm), (unsigned)cpu->vcpu);
    shell_print("%4u %6u %-8s %4u %%  %s\n", number, (unsigned)cpu->id, cpu->online ? "online" : "offline",
                percent, runs);
}

static void run_cpus(const char *text, int value) {
    (void)text;
    (void)value;
    struct control_machine machine;
    struct control_cpu cpu = {0};
    shell_look_machine(&machine);
    shell_print("%4s %6s %-8s %6s  %s\n", "CPU", "ID", "STATE", "IDLE", "RUNS");
    for (unsigned i = 0; i < machine.cpu_count && i < SHELL_CPUS; i++) {
        if (service_call_look(CONTROL_CPU, i, &cpu) == 0)
            print_cpu(i, &cpu);
    }
}

static void print_device(const struct control_device *device) {
    static const char *const owners[CONTROL_OWNERS] = {"-", "hypervisor", "service VM", ""};
    char line[128], name[24];

    snprintf(name, sizeof(name), "%04x:%02x:%02x.%u", (unsigned)device->segment, (unsigned)device->bus,
             (unsigned)device->devfn >> 3, (unsigned)device->devfn & 7);
    int used = snprintf(line, sizeof(line), "%s %04x:%04x %-15s %-11s", name, (unsigned)device->vendor,
                        (unsigned)device->device, pci_class_name(device->class),
                        device->owner == CONTROL_OWNER_GUEST ? device->guest
                        : device->owner < CONTROL_OWNERS     ? owners[device->owner]
                                                             : "?");
    if (device->msix != 0)
        used += snprintf(line + used, sizeof(line) - (size_t)used, " MSI-X %u", (unsigned)device->msix);
    if (device->msi != 0)
        used += snprintf(line + used, sizeof(line) - (size_t)used, " MSI %u", (unsigned)device->msi);
    if (device->pin >= 1 && device->pin <= 4)
        used += snprintf(line + used, sizeof(line) - (size_t)used, " line %c", (char)('A' + device->pin - 1));
    if (device->grouped)
        snprintf(line + used, sizeof(line) - (size_t)used, " group %02x:%02x", (unsigned)device->group >> 8,
                 (unsigned)device->group >> 3 & 31);
    shell_print("%s\n", line);
}

static void run_devices(const char *text, int value) {
    (void)text;
    (void)value;
    struct control_machine machine;
    struct control_device device = {0};
    shell_look_machine(&machine);
    if (machine.device_count == 0)
        shell_print("this machine has no PCI functions that are known\n");
    else
        shell_print("%-12s %-9s %-15s %-11s %s\n", "ADDRESS", "ID", "CLASS", "OWNER", "INTERRUPTS");
    for (unsigned i = 0; i < machine.device_count; i++) {
        if (service_call_look(CONTROL_DEVICE, i, &device) == 0)
            print_device(&device);
    }
}

static void run_iommu(const char *text, int value) {
    struct control_iommu line;
    uint32_t count = 0;
    (void)text;
    (void)value;
    for (; service_call_look(CONTROL_IOMMU, count, &line) == 0; count++)
        shell_print("%s\n", line.text);
    if (count == 0)
        shell_print("no IOMMU is in use: DMA is unprotected\n");
}

static void run_reboot(const char *text, int value) {
    (void)text;
    (void)value;
    (void)shell_control(CONTROL_REBOOT, 0);
}

static void run_poweroff(const char *text, int value) {
    (void)text;
    (void)value;
    (void)shell_control(CONTROL_POWER_OFF, 0);
}

static void run_help(const char *text, int value) {
    (void)value;
    for (unsigned i = 0; i < shell_command_count; i++) {
        const struct shell_command *command = &shell_commands[i];
        if (text == NULL)
            shell_print("  %-16s %s\n", command->usage, command->help);
        else if (strcmp(command->name, text) == 0)
            shell_print("%s - %s\n%s", command->usage, command->help, command->more);
    }
    if (text == NULL)
        shell_print("Tab completes names, the arrow keys find earlier commands. A guest's output appears as\n"
                    "[NAME] text; Ctrl-] leaves its console.\n");
}

const struct shell_command shell_commands[] = {
    {"vms", ARGUMENT_VM, true, "vms [NAME]", "lists the guests, with their exits by cause",
     "RESTARTS counts since the guest was last started by hand or had run for a minute. What its cards\n"
     "and disks do is for the time since that was last shown.\n",
     run_vms},
    {"console", ARGUMENT_VM, false, "console NAME", "connects to a guest's console; Ctrl-] leaves",
     "The guest's last lines are shown again first.\n", run_console},
    {"start", ARGUMENT_VM, false, "start NAME", "starts a guest that is off", "", run_start},
    {"stop", ARGUMENT_VM, false, "stop NAME", "ends a guest at once, as if its power was cut",
     "It is not started again, whatever the config says about restarts.\n", run_stop},
    {"shutdown", ARGUMENT_VM, true, "shutdown [NAME]",
     "asks a guest, or all, to shut down, by the power button",
     "A guest may take its time, or do nothing. One that switches itself off is not started again, whatever\n"
     "the config says about restarts.\n",
     run_shutdown},
    {"reset", ARGUMENT_VM, false, "reset NAME", "ends a guest at once and starts it again", "", run_reset},
    {"pause", ARGUMENT_VM, false, "pause NAME", "stops a guest's vCPUs; nothing is lost", "", run_pause},
    {"resume", ARGUMENT_VM, false, "resume NAME", "lets a paused guest go on", "", run_resume},
    {"writes", ARGUMENT_VM, false, "writes NAME", "counts the pages that a guest writes in a second",
     "Meanwhile its memory is mapped by small pages, which slows it down a little.\n", run_writes},
    {"balloon", ARGUMENT_VM_WORD, false, "balloon NAME [SIZE]",
     "shows a guest's memory, or asks for some of it",
     "With a SIZE, \"64M\", the guest is asked to give back that much of its memory, as far as it can; "
     "\"0\"\n"
     "gives it all again, and so does a new start. It stays the guest's own: nobody else gets it, but it "
     "holds\n"
     "zeroes then, and is not copied where the guest's memory is.\n",
     shell_run_balloon},
    {"service", ARGUMENT_WORD, true, "service [restart]", "shows the service VM, or starts it again",
     "Guests go on meanwhile; what they ask of their network cards and disks waits.\n", run_service},
    {"net", ARGUMENT_NONE, false, "net", "shows the networks, their uplinks, and what each port does",
     "SENT is what a guest, or the world behind an uplink, has sent into the network; frames and bytes. All\n"
     "counts begin when the service VM starts.\n",
     shell_run_net},
    {"disks", ARGUMENT_NONE, false, "disks", "shows the disks, who has them, and what each guest does",
     "Counts begin when the service VM starts; others are flushes, discards and zeroes. Errors are those\n"
     "that a guest was told.\n",
     shell_run_disks},
    {"log", ARGUMENT_NUMBER, true, "log [LINES]", "shows the newest log lines (20)",
     "All levels are shown, also those that the config keeps off the console. 512 lines are kept.\n",
     run_log},
    {"mem", ARGUMENT_NONE, false, "mem", "shows the use of memory", "", run_mem},
    {"cpus", ARGUMENT_NONE, false, "cpus", "shows the host's CPUs and what they run",
     "IDLE is for the time since the command was last given.\n", run_cpus},
    {"devices", ARGUMENT_NONE, false, "devices", "lists the machine's PCI functions and who has them",
     "INTERRUPTS are those that a function can have. Those of one group cannot be kept apart by an IOMMU.\n",
     run_devices},
    {"iommu", ARGUMENT_NONE, false, "iommu", "shows the IOMMU's units and domains, and what was blocked",
     "A domain is what the functions in it reach; one that is in none reaches nothing.\n", run_iommu},
    {"reboot", ARGUMENT_NONE, false, "reboot", "restarts the machine; running guests are cut off", "",
     run_reboot},
    {"poweroff", ARGUMENT_NONE, false, "poweroff", "switches the machine off; running guests are cut off",
     "\"shutdown\" first lets them end by themselves.\n", run_poweroff},
    {"help", ARGUMENT_COMMAND, true, "help [COMMAND]", "says what the commands do", "", run_help},
};
const unsigned shell_command_count = array_count(shell_commands);

const char *shell_command_name(unsigned number) {
    return shell_commands[number].name;
}
