// SPDX-License-Identifier: Apache-2.0
// The monitor's commands. What they print is for people; programs use the control calls.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "core/control.h"
#include "core/monitor_internal.h"

#define MIB         (1024u * 1024u)
#define LOG_DEFAULT 20
#define NUMBER_MAX  100000

/* --- formats --- */

/* Bytes in MiB, rounded to the nearest; KiB below one. */
static const char *format_size(uint64_t bytes, char text[32]) {
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

static void print_line(const char *line) {
    monitor_print("%s\n", line);
}

/* --- vms --- */

/* Lines of "cause   count", put side by side. */
static struct {
    char text[80];
    size_t used;
} exits;

static void exits_flush(void) {
    if (exits.used != 0)
        monitor_print("    exits: %s\n", exits.text);
    exits.used = 0;
}

static void exits_add(const char *line) {
    char item[48];
    size_t used = 0;
    for (; *line != '\0' && used < sizeof(item) - 1; line++) {
        if (*line != ' ' || line[1] != ' ')
            item[used++] = *line;
    }
    item[used] = '\0';
    if (exits.used + used + 2 > 66)
        exits_flush();
    exits.used += (size_t)snprintf(exits.text + exits.used, sizeof(exits.text) - exits.used, "%s%s",
                                   exits.used != 0 ? ", " : "", item);
}

static void print_vm(unsigned number) {
    struct control_vm vm;
    char memory[32], time[32];
    if (control_vm_info(number, &vm) != 0)
        return;
    monitor_print("%-16s %-10s %5u %10s %10s %8u\n", vm.name, vm.state, vm.vcpus,
                  format_size(vm.memory, memory), format_time(vm.cpu_time, time), vm.restarts);
    if (vm.ended[0] != '\0')
        monitor_print("    ended: %s\n", vm.ended);
    control_vm_exits(number, exits_add);
    exits_flush();
}

static int vms_shown; /* the guest's number; -1: all */

/* `figures` may be NULL. */
static void print_vms(const struct service_figures *figures) {
    monitor_print("%-16s %-10s %5s %10s %10s %8s\n", "NAME", "STATE", "VCPUS", "MEMORY", "CPU TIME",
                  "RESTARTS");
    for (unsigned i = 0; i < control_vm_count(); i++) {
        if (vms_shown >= 0 && vms_shown != (int)i)
            continue;
        print_vm(i);
        if (figures != NULL)
            monitor_print_rates(figures, i);
    }
}

static void run_vms(const char *text, int value) {
    (void)text;
    if (control_vm_count() == 0) {
        monitor_print("there are no guests\n");
        return;
    }
    vms_shown = value;
    monitor_with_figures(print_vms);
}

static void run_service(const char *text, int value) {
    struct control_vm vm;
    unsigned starts;
    char memory[32], time[32];

    (void)value;
    if (text != NULL && strcmp(text, "restart") != 0) {
        monitor_print("usage: service [restart]\n");
    } else if (control_service_info(&vm, &starts) != 0) {
        monitor_print("there is no service VM: no guest has a device that it would serve\n");
    } else if (text != NULL) {
        int error = control_service_restart();
        monitor_print(error == 0 ? "the service VM starts again\n" : "the service VM is being started\n");
    } else {
        monitor_print("%s, %s, CPU time %s, started %u times\n", vm.state, format_size(vm.memory, memory),
                      format_time(vm.cpu_time, time), starts);
        if (vm.ended[0] != '\0')
            monitor_print("    ended: %s\n", vm.ended);
        control_service_exits(exits_add);
        exits_flush();
    }
}

/* --- actions --- */

static void act(int number, enum control_action action, const char *verb, const char *done) {
    struct control_vm vm;
    int error = control_vm_action((unsigned)number, action);
    if (control_vm_info((unsigned)number, &vm) != 0)
        return;
    if (error == 0)
        monitor_print("%s: %s\n", vm.name, done);
    else if (error == -EALREADY)
        monitor_print("%s is %s already\n", vm.name, vm.state);
    else if (error == -EBUSY || error == -EINVAL)
        monitor_print("cannot %s %s: it is %s\n", verb, vm.name, vm.state);
    else
        monitor_print("cannot %s %s: error %d\n", verb, vm.name, error);
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

static void run_console(const char *text, int value) {
    if (control_vm_console((unsigned)value) != 0)
        monitor_print("%s has no console\n", text);
}

static void run_writes(const char *text, int value) {
    int error = control_vm_writes((unsigned)value);
    if (error == -EBUSY)
        monitor_print("the writes of a guest are being counted; try again in a second\n");
    else if (error != 0)
        monitor_print("%s does not run\n", text);
    else
        monitor_print("%s: counting for a second\n", text);
}

/* --- the host --- */

static void run_log(const char *text, int value) {
    (void)text;
    control_log(value < 0 ? LOG_DEFAULT : (unsigned)value, print_line);
}

static void run_mem(const char *text, int value) {
    (void)text;
    (void)value;
    struct memory_statistics s;
    char a[32], b[32], c[32];
    control_memory(&s);
    monitor_print("memory: %s, %s free, largest free block %s\n", format_size(s.total, a),
                  format_size(s.free, b), format_size(s.largest, c));
    monitor_print("heap:   %s, %s used\n", format_size(s.heap, a), format_size(s.heap_used, b));
    if (control_vm_count() != 0)
        monitor_print("%-16s %10s %10s\n", "GUEST", "RAM", "OVERHEAD");
    for (unsigned i = 0; i < control_vm_count(); i++) {
        struct control_vm vm;
        if (control_vm_info(i, &vm) == 0)
            monitor_print("%-16s %10s %10s\n", vm.name, format_size(vm.memory, a),
                          format_size(vm.overhead, b));
    }
}

static void run_cpus(const char *text, int value) {
    (void)text;
    (void)value;
    /* Idle time is shown for the time since the command was last given. */
    static struct { uint64_t idle, time; } last[MAX_CPUS];
    monitor_print("%4s %6s %-8s %6s  %s\n", "CPU", "ID", "STATE", "IDLE", "RUNS");
    for (unsigned i = 0; i < control_cpu_count() && i < MAX_CPUS; i++) {
        struct control_cpu cpu;
        if (control_cpu_info(i, &cpu) != 0)
            continue;
        uint64_t time = cpu.time - last[i].time;
        uint64_t idle = cpu.idle > last[i].idle ? cpu.idle - last[i].idle : 0;
        unsigned percent = time == 0 ? 0 : idle >= time ? 100 : (unsigned)(idle / (time / 100 + 1));
        last[i].idle = cpu.idle;
        last[i].time = cpu.time;
        char runs[VM_NAME_SIZE + 16];
        snprintf(runs, sizeof(runs), "%s", cpu.self ? "(monitor)" : "-");
        if (cpu.runs[0] != '\0')
            snprintf(runs, sizeof(runs), "%s/%u", cpu.runs, cpu.runs_vcpu);
        monitor_print("%4u %6u %-8s %4u %%  %s\n", i, (unsigned)cpu.id, cpu.online ? "online" : "offline",
                      percent, runs);
    }
}

static unsigned device_count;

static void print_device(const char *line) {
    if (device_count++ == 0)
        monitor_print("%-12s %-9s %-15s %-11s %s\n", "ADDRESS", "ID", "CLASS", "OWNER", "INTERRUPTS");
    monitor_print("%s\n", line);
}

static void run_devices(const char *text, int value) {
    (void)text;
    (void)value;
    device_count = 0;
    control_devices(print_device);
    if (device_count == 0)
        monitor_print("this machine has no PCI functions that are known\n");
}

static void run_reboot(const char *text, int value) {
    (void)text;
    (void)value;
    control_reboot();
}

static void run_poweroff(const char *text, int value) {
    (void)text;
    (void)value;
    control_power_off();
}

static void run_help(const char *text, int value) {
    (void)value;
    for (unsigned i = 0; i < monitor_command_count; i++) {
        const struct monitor_command *command = &monitor_commands[i];
        if (text == NULL)
            monitor_print("  %-16s %s\n", command->usage, command->help);
        else if (strcmp(command->name, text) == 0)
            monitor_print("%s - %s\n%s", command->usage, command->help, command->more);
    }
    if (text == NULL)
        monitor_print(
            "Tab completes names, the arrow keys find earlier commands. A guest's output appears as\n"
            "[NAME] text; Ctrl-] leaves its console.\n");
}

const struct monitor_command monitor_commands[] = {
    {"vms", ARGUMENT_VM, true, "vms [NAME]", "lists the guests, with their exits by cause",
     "RESTARTS counts since the guest was last started by hand or had run for a minute. What its cards\n"
     "and disks do is for the time since that was last shown.\n",
     run_vms},
    {"console", ARGUMENT_VM, false, "console NAME", "connects to a guest's console; Ctrl-] leaves",
     "The guest's last lines are shown again first.\n", run_console},
    {"start", ARGUMENT_VM, false, "start NAME", "starts a guest that is off", "", run_start},
    {"stop", ARGUMENT_VM, false, "stop NAME", "ends a guest at once, as if its power was cut",
     "It is not started again, whatever the config says about restarts.\n", run_stop},
    {"reset", ARGUMENT_VM, false, "reset NAME", "ends a guest at once and starts it again", "", run_reset},
    {"pause", ARGUMENT_VM, false, "pause NAME", "stops a guest's vCPUs; nothing is lost", "", run_pause},
    {"resume", ARGUMENT_VM, false, "resume NAME", "lets a paused guest go on", "", run_resume},
    {"writes", ARGUMENT_VM, false, "writes NAME", "counts the pages that a guest writes in a second",
     "Meanwhile its memory is mapped by small pages, which slows it down a little.\n", run_writes},
    {"service", ARGUMENT_WORD, true, "service [restart]", "shows the service VM, or starts it again",
     "Guests go on meanwhile; what they ask of their network cards and disks waits.\n", run_service},
    {"net", ARGUMENT_NONE, false, "net", "shows the networks, their uplinks, and what each port does",
     "SENT is what a guest, or the world behind an uplink, has sent into the network; frames and bytes. All\n"
     "counts begin when the service VM starts.\n",
     monitor_run_net},
    {"disks", ARGUMENT_NONE, false, "disks", "shows the disks, who has them, and what each guest does",
     "Counts begin when the service VM starts; others are flushes, discards and zeroes. Errors are those\n"
     "that a guest was told.\n",
     monitor_run_disks},
    {"log", ARGUMENT_NUMBER, true, "log [LINES]", "shows the newest log lines (20)",
     "All levels are shown, also those that the config keeps off the console. 512 lines are kept.\n",
     run_log},
    {"mem", ARGUMENT_NONE, false, "mem", "shows the use of memory", "", run_mem},
    {"cpus", ARGUMENT_NONE, false, "cpus", "shows the host's CPUs and what they run",
     "IDLE is for the time since the command was last given.\n", run_cpus},
    {"devices", ARGUMENT_NONE, false, "devices", "lists the machine's PCI functions and who has them",
     "INTERRUPTS are those that a function can have.\n", run_devices},
    {"reboot", ARGUMENT_NONE, false, "reboot", "restarts the machine; running guests are cut off", "",
     run_reboot},
    {"poweroff", ARGUMENT_NONE, false, "poweroff", "switches the machine off; running guests are cut off", "",
     run_poweroff},
    {"help", ARGUMENT_COMMAND, true, "help [COMMAND]", "says what the commands do", "", run_help},
};
const unsigned monitor_command_count = array_count(monitor_commands);

/* --- finding what was meant --- */

const char *monitor_command_name(unsigned number) {
    return monitor_commands[number].name;
}

const char *monitor_vm_name(unsigned number) {
    static struct control_vm vm;
    return control_vm_info(number, &vm) == 0 ? vm.name : "";
}

#define WORD_MAX 32u

/* Insertions, deletions and replacements, and neighbours exchanged, that make one word the other. */
static unsigned distance(const char *a, const char *b) {
    unsigned rows[3][WORD_MAX + 1]; /* the last two rows and this one */
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > WORD_MAX || b_length > WORD_MAX)
        return WORD_MAX;
    for (unsigned j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a_length; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b_length; j++) {
            unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[a_length % 3][b_length];
}

const char *monitor_nearest(const char *word, unsigned count, const char *(*name)(unsigned number)) {
    static char best_name[WORD_MAX + 1];
    unsigned best = strlen(word) <= 3 ? 2 : 3; /* fewer slips than this */
    bool found = false;
    for (unsigned i = 0; i < count; i++) {
        unsigned d = distance(word, name(i));
        if (d < best && d < strlen(word)) {
            best = d;
            found = true;
            snprintf(best_name, sizeof(best_name), "%s", name(i));
        }
    }
    return found ? best_name : NULL;
}

/* --- one line --- */

static void print_unknown(const char *what, const char *word, unsigned count,
                          const char *(*name)(unsigned number)) {
    const char *nearest = monitor_nearest(word, count, name);
    if (nearest != NULL)
        monitor_print("no %s \"%s\"; did you mean \"%s\"?\n", what, word, nearest);
    else if (name == monitor_command_name)
        monitor_print("no command \"%s\"; \"help\" lists them\n", word);
    else
        monitor_print("no %s \"%s\"; \"vms\" lists them\n", what, word);
}

static const struct monitor_command *command_find(const char *word) {
    for (unsigned i = 0; i < monitor_command_count; i++) {
        if (strcmp(monitor_commands[i].name, word) == 0)
            return &monitor_commands[i];
    }
    print_unknown("command", word, monitor_command_count, monitor_command_name);
    return NULL;
}

/* What an argument stands for; -1 after an error was printed. */
static int argument_value(const struct monitor_command *command, const char *text) {
    int value = 0;
    switch (command->argument) {
    case ARGUMENT_VM:
        value = control_vm_find(text);
        if (value < 0)
            print_unknown("guest", text, control_vm_count(), monitor_vm_name);
        return value < 0 ? -1 : value;
    case ARGUMENT_COMMAND:
        return command_find(text) != NULL ? 0 : -1;
    case ARGUMENT_NUMBER:
        for (const char *at = text; *at != '\0'; at++) {
            if (*at < '0' || *at > '9' || value > NUMBER_MAX) {
                monitor_print("\"%s\" is no number from 0 to %u\n", text, NUMBER_MAX);
                return -1;
            }
            value = value * 10 + (*at - '0');
        }
        return value;
    case ARGUMENT_WORD:
        return 0;
    case ARGUMENT_NONE:
        break;
    }
    return -1;
}

void monitor_execute(const char *line) {
    char text[256];
    char *words[3];
    unsigned count = 0;
    snprintf(text, sizeof(text), "%s", line);
    for (char *at = text; *at != '\0' && count < array_count(words);) {
        at += monitor_spaces(at);
        if (*at == '\0')
            break;
        words[count++] = at;
        at += monitor_word(at);
        if (*at != '\0')
            *at++ = '\0';
    }
    if (count == 0)
        return;
    const struct monitor_command *command = command_find(words[0]);
    if (command == NULL)
        return;
    unsigned allowed = command->argument == ARGUMENT_NONE ? 0 : 1;
    if (count - 1 > allowed || (count - 1 < allowed && !command->optional)) {
        monitor_print("usage: %s\n", command->usage);
        return;
    }
    int value = -1;
    if (count > 1) {
        value = argument_value(command, words[1]);
        if (value < 0)
            return;
    }
    command->run(count > 1 ? words[1] : NULL, value);
}
