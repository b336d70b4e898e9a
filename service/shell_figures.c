// SPDX-License-Identifier: Apache-2.0
// The shell's commands that show the service VM's own figures: networks, disks, and what each guest's devices
// do.
#include <stdio.h>
#include "service/clock.h"
#include "service/figures.h"
#include "service/shell_internal.h"

/* ---- formats */

/* Three or four digits, and a unit. */
static const char *format_bytes(uint64_t bytes, char text[16]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    uint64_t rest = 0;
    for (; bytes >= 10000 || (unit != 0 && bytes >= 1024); unit++) {
        rest = bytes % 1024;
        bytes /= 1024;
    }
    if (unit == 0 || bytes >= 10)
        snprintf(text, 16, "%u %s", (unsigned)bytes, units[unit]);
    else
        snprintf(text, 16, "%u.%u %s", (unsigned)bytes, (unsigned)(rest * 10 / 1024), units[unit]);
    return text;
}

/* ---- net */

static void print_network(const struct service_network_figures *network) {
    static const char *const states[SERVICE_UPLINKS] = {"", "not there", "has failed, will be started again",
                                                        "no link", "link"};
    if (network->state == SERVICE_UPLINK_NONE)
        shell_print("%s: no uplink\n", network->name);
    else if (network->driver[0] == '\0')
        shell_print("%s: uplink %s, %s\n", network->name, network->uplink, states[network->state]);
    else
        shell_print("%s: uplink %s, %s at %s, %s\n", network->name, network->uplink, network->driver,
                    network->address, states[network->state]);
}

static void print_port(const struct service_port_figures *port) {
    static const char *const reasons[SERVICE_DROPS] = {"no link",     "size",     "offload",  "source",
                                                       "destination", "too many", "no buffer"};
    char name[SERVICE_NAME_SIZE + 10], mac[18], sent[16], received[16], drops[200] = "";
    size_t used = 0;
    if (port->vm == SERVICE_NO_VM)
        snprintf(name, sizeof(name), "(uplink)");
    else
        snprintf(name, sizeof(name), "%s %s", shell_vm_name(port->vm), port->device);
    snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", port->mac[0], port->mac[1], port->mac[2],
             port->mac[3], port->mac[4], port->mac[5]);
    shell_print("  %-14s %s %-4s %9llu %8s %9llu %8s\n", name, mac, port->link != 0 ? "up" : "down",
                (unsigned long long)port->sent_frames, format_bytes(port->sent_bytes, sent),
                (unsigned long long)port->received_frames, format_bytes(port->received_bytes, received));
    for (unsigned i = 0; i < SERVICE_DROPS; i++) {
        if (port->drops[i] != 0 && used < sizeof(drops))
            used += (size_t)snprintf(drops + used, sizeof(drops) - used, "%s%s %llu", used != 0 ? ", " : "",
                                     reasons[i], (unsigned long long)port->drops[i]);
    }
    if (used != 0)
        shell_print("      dropped: %s\n", drops);
}

void shell_run_net(const char *text, int value) {
    const struct service_figures *figures = figures_gather();
    (void)text;
    (void)value;
    if (figures->network_count == 0)
        shell_print("there are no networks\n");
    for (unsigned i = 0; i < figures->network_count; i++) {
        bool any = false;
        print_network(&figures->network[i]);
        for (unsigned j = 0; j < figures->port_count; j++) {
            if (figures->port[j].network != i)
                continue;
            if (!any)
                shell_print("  %-14s %-17s %-4s %9s %8s %9s %8s\n", "PORT", "MAC", "LINK", "SENT", "",
                            "RECEIVED", "");
            any = true;
            print_port(&figures->port[j]);
        }
    }
}

/* ---- disks */

static void print_disk(const struct service_disk_figures *disk) {
    char size[16];
    if (disk->kind == SERVICE_DISK_MEMORY)
        shell_print("%s: memory", disk->name);
    else if (disk->kind == SERVICE_DISK_FILE)
        shell_print("%s: file %s", disk->name, disk->place);
    else if (disk->driver[0] != '\0')
        shell_print("%s: %s at %s, serial number \"%s\"", disk->name, disk->driver, disk->address,
                    disk->serial);
    else
        shell_print("%s: device %s", disk->name, disk->place);
    if (disk->there == 0) {
        shell_print(", cannot be used\n");
        return;
    }
    /* Sectors that are more than there are bytes to count them are shown as that many. */
    uint64_t bytes = disk->sectors > UINT64_MAX / 512 ? UINT64_MAX : disk->sectors * 512;
    shell_print(", %s, blocks of %u bytes%s%s\n", format_bytes(bytes, size), (unsigned)disk->block,
                disk->read_only != 0 ? ", read-only" : "", disk->failed != 0 ? ", has failed" : "");
    if (disk->resets != 0 || disk->errors != 0)
        shell_print("  its driver: %llu resets, %llu errors\n", (unsigned long long)disk->resets,
                    (unsigned long long)disk->errors);
}

static void print_user(const struct service_user_figures *user) {
    char partition[24] = "", read[16], written[16];
    if (user->partition != 0)
        snprintf(partition, sizeof(partition), ", partition %u", (unsigned)user->partition);
    shell_print("  %s %s: %s%s%s%s\n", shell_vm_name(user->vm), user->device,
                user->ahci != 0 ? "AHCI" : "virtio", partition, user->overlay != 0 ? ", overlay" : "",
                user->read_only != 0 ? ", read-only" : "");
    shell_print("      reads %llu (%s), writes %llu (%s), others %llu, errors %llu\n",
                (unsigned long long)user->reads, format_bytes(user->read_bytes, read),
                (unsigned long long)user->writes, format_bytes(user->written_bytes, written),
                (unsigned long long)user->others, (unsigned long long)user->errors);
}

void shell_run_disks(const char *text, int value) {
    const struct service_figures *figures = figures_gather();
    (void)text;
    (void)value;
    if (figures->disk_count == 0)
        shell_print("there are no disks\n");
    for (unsigned i = 0; i < figures->disk_count; i++) {
        print_disk(&figures->disk[i]);
        for (unsigned j = 0; j < figures->user_count; j++) {
            if (figures->user[j].disk == i)
                print_user(&figures->user[j]);
        }
    }
}

/* ---- vms: rates since the last time that the guest was shown, or since the machine's start */

/* Tenths in a second, for `count` in `time` ns. Counts begin at 0 again when the service VM does. */
static uint64_t rate(uint64_t count, uint64_t before, uint64_t time) {
    uint64_t more = count >= before ? count - before : count;
    uint64_t milliseconds = time / CLOCK_MILLISECOND + 1;
    return more > UINT64_MAX / 10000 ? UINT64_MAX / milliseconds : more * 10000 / milliseconds;
}

void shell_print_rates(const struct service_figures *figures, unsigned number) {
    uint64_t packets = 0, requests = 0, now = clock_now();
    bool any = false;
    if (number >= SERVICE_MAX_VMS)
        return;
    for (unsigned i = 0; i < figures->port_count; i++) {
        const struct service_port_figures *port = &figures->port[i];
        if (port->vm == number) {
            packets += port->sent_frames + port->received_frames;
            any = true;
        }
    }
    for (unsigned i = 0; i < figures->user_count; i++) {
        const struct service_user_figures *user = &figures->user[i];
        if (user->vm == number) {
            requests += user->reads + user->writes + user->others + user->errors;
            any = true;
        }
    }
    if (!any)
        return;
    uint64_t time = now - shell_kept->rates[number].time;
    uint64_t net = rate(packets, shell_kept->rates[number].packets, time);
    uint64_t disk = rate(requests, shell_kept->rates[number].requests, time);
    shell_print("    devices: %llu.%u packets/s, %llu.%u disk requests/s\n", (unsigned long long)(net / 10),
                (unsigned)(net % 10), (unsigned long long)(disk / 10), (unsigned)(disk % 10));
    shell_kept->rates[number].packets = packets;
    shell_kept->rates[number].requests = requests;
    shell_kept->rates[number].time = now;
}
