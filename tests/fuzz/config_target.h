// SPDX-License-Identifier: Apache-2.0
// What both fuzzers of the config do with a tree: check it, read it, and hold the two to each other.
#ifndef SAGUARO_TESTS_FUZZ_CONFIG_TARGET_H
#define SAGUARO_TESTS_FUZZ_CONFIG_TARGET_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem() */
#endif
#include <errno.h>
#include <libfdt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config_check.h"
#include "lib/dts.h"

struct target {
    struct dts_report report;
    const struct config_source *source;
    struct config *config;
};

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

static void target_error(void *context, const struct dts_error *error) {
    char text[DTS_ERROR_TEXT];
    size_t size = dts_error_format(text, sizeof(text), error);
    unsigned lines = 0;

    (void)context;
    require(size < sizeof(text) - 1 && text[size] == '\0' && text[size - 1] == '\n');
    for (size_t i = 0; i < size; i++) {
        require((text[i] >= ' ' && text[i] <= '~') || text[i] == '\n' || text[i] == '\t');
        lines += text[i] == '\n';
    }
    require(lines == (error->source != NULL ? 3 : 1));
    /* Said where checker and reader are not of one mind. */
    require(strcmp(error->message, "the config cannot be read") != 0);
    require(strcmp(error->message, "/: the config cannot be read") != 0);
}

static void target_begin(struct target *target) {
    target->report = (struct dts_report){.error = target_error};
}

static int target_file(void *context, const struct config_file *file) {
    struct target *target = context;

    require(config_path_problem(file->name) == NULL);
    require(file->guest == CONFIG_NO_GUEST
                ? file->disk < target->config->disk_count && strcmp(file->property, "file") == 0
                : file->guest < target->config->guest_count);
    config_report_file(target->source, target->config, file, &target->report, "file \"%s\" is missing",
                       file->name);
    return 0;
}

/* What may be relied on of a guest's devices. */
static void target_devices(const struct config *config, const struct config_guest *guest) {
    require(guest->net_count <= CONFIG_MAX_NETS && guest->disk_count <= CONFIG_MAX_GUEST_DISKS);
    for (uint32_t i = 0; i < guest->net_count; i++) {
        const struct config_net *net = &guest->nets[i];

        require(net->network < config->network_count && net->number < CONFIG_MAX_NETS);
        require(strcmp(net->network_name, config->networks[net->network].name) == 0);
        require((net->mac[0] & 1) == 0 && net->queues >= 1 && net->queues <= guest->vcpus &&
                net->queues <= CONFIG_MAX_QUEUES);
        require(net->mtu >= CONFIG_MIN_MTU && net->mtu <= CONFIG_MAX_MTU && net->mac_lock <= 1);
    }
    for (uint32_t i = 0; i < guest->disk_count; i++) {
        const struct config_guest_disk *disk = &guest->disks[i];
        char serial[CONFIG_MAX_SERIAL + 1];

        require(disk->disk < config->disk_count && disk->number < CONFIG_MAX_GUEST_DISKS);
        require(strcmp(disk->disk_name, config->disks[disk->disk].name) == 0);
        require(disk->partition <= CONFIG_MAX_PARTITION && disk->read_only + disk->overlay <= 1);
        require(disk->read_only != 0 || disk->overlay != 0 || config->disks[disk->disk].read_only == 0);
        config_serial(guest, disk, serial);
        require(strlen(serial) <= CONFIG_MAX_SERIAL);
    }
    require(guest->entropy <= 1);
    require(config_devices(guest) == 0 || config->service.memory >= CONFIG_MIN_SERVICE);
}

static void target_service(const struct config *config, enum config_arch arch) {
    const struct config_service *service = &config->service;

    require((service->memory == CONFIG_SMALL_SERVICE || service->memory >= CONFIG_MIN_SERVICE) &&
            service->memory <= CONFIG_MAX_SERVICE && (service->memory & (service->memory - 1)) == 0);
    require(arch != CONFIG_ARCH_PPC || (service->memory & 0x55555555u) != 0);
    require(service->cpus != 0 && service->budget <= service->period && service->budget != 0);
    require(service->overlay_memory % 4096 == 0 &&
            service->overlay_memory >= config_overlays(config) * CONFIG_MIN_OVERLAY);
    require(config->network_count <= CONFIG_MAX_NETWORKS && config->disk_count <= CONFIG_MAX_DISKS);
    for (uint32_t i = 0; i < config->disk_count; i++) {
        const struct config_disk *disk = &config->disks[i];

        require((disk->file != NULL) + (disk->memory != 0) + (disk->device != NULL) == 1);
        require(disk->memory % 4096 == 0);
        require(disk->device == NULL ||
                (config_device_valid(disk->device) && strlen(disk->device) <= CONFIG_MAX_DEVICE));
        for (uint32_t other = 0; disk->device != NULL && other < i; other++) {
            require(config->disks[other].device == NULL ||
                    !config_same_device(disk->device, config->disks[other].device));
        }
    }
    for (uint32_t i = 0; i < config->network_count; i++) {
        const char *uplink = config->networks[i].uplink;

        require(uplink == NULL || config_uplink_valid(uplink));
        for (uint32_t other = 0; uplink != NULL && other < i; other++) {
            require(config->networks[other].uplink == NULL ||
                    !config_same_device(uplink, config->networks[other].uplink));
        }
    }
}

static void target_check_for(struct target *target, const struct config_source *source) {
    static struct config checked, read;
    struct config_machine machine = {.memory = 4ull << 30, .reserve = 64 << 20, .cpu_count = 4};
    int error;

    target->source = source;
    target->config = &checked;
    target_begin(target);
    error = config_check(source, &checked, &target->report);
    require(target->report.count == 0 || error != 0);
    require(config_read(source->fdt, source->size, source->arch, &read) == 0 || error != 0);
    if (error != 0) {
        require(target->report.count != 0 && target->report.count <= CONFIG_MAX_ERRORS + 1);
        /* What a value was written as is known only of source: there alone the checker may refuse more. */
        require(source->positions != NULL ||
                config_read(source->fdt, source->size, source->arch, &read) != 0);
        return;
    }
    require(config_read(source->fdt, source->size, source->arch, &read) == 0);
    require(memcmp(&checked, &read, sizeof(read)) == 0);
    require(read.guest_count >= 1 && read.guest_count <= CONFIG_MAX_GUESTS);
    for (uint32_t i = 0; i < read.guest_count; i++) {
        const struct config_guest *guest = &read.guests[i];

        require(guest->image != NULL && guest->image == guest->images[guest->image_kind]);
        require(guest->vcpus >= 1 && guest->vcpus <= CONFIG_MAX_VCPUS && guest->cpus != 0);
        require(guest->memory >= CONFIG_MIN_MEMORY && guest->memory <= CONFIG_MAX_MEMORY &&
                guest->memory % 4096 == 0);
        require(guest->module_count <= CONFIG_MAX_MODULES && strlen(guest->cmdline) <= CONFIG_MAX_CMDLINE);
        require((guest->budget == 0) == (guest->period == 0) && guest->budget <= guest->period);
        target_devices(&read, guest);
    }
    target_service(&read, source->arch);
    config_files(&read, target_file, target);
    if (source->arch == CONFIG_ARCH_PPC) {
        for (uint32_t i = 0; i < read.guest_count; i++) {
            require(read.guests[i].image_kind == CONFIG_IMAGE_KERNEL && read.guests[i].module_count == 0 &&
                    read.guests[i].vcpus <= CONFIG_PPC_MAX_VCPUS &&
                    read.guests[i].memory <= CONFIG_PPC_MAX_MEMORY);
        }
        require(config_read(source->fdt, source->size, CONFIG_ARCH_X86, &read) == 0);
        return;
    }
    config_check_machine(source, &read, &machine, &target->report);
}

/* What is right on PowerPC is right on x86, too. */
static void target_check(struct target *target, const struct config_source *source) {
    struct config_source ppc = *source;

    ppc.arch = CONFIG_ARCH_PPC;
    target_check_for(target, &ppc);
    target_check_for(target, source);
}

#endif
