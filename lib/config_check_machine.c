// SPDX-License-Identifier: Apache-2.0
// Holds a checked config against a machine (its memory, its CPUs) and against the files that are really
// there.
#include "lib/config_check.h"

#include "lib/config_check_place.h"
#include "lib/config_check_words.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

static struct config_place at_value(int node, int property, unsigned element) {
    return (struct config_place){.node = node, .property = property, .element = element};
}

static struct config_place memory_place(const struct config_source *source, int node) {
    return at_value(node, config_property_offset(source->fdt, node, "memory"), 1);
}

static void memory_does_not_fit(const struct config_source *source, const struct config *config,
                                const struct config_machine *machine, uint64_t room,
                                struct dts_report *report) {
    char asked[CONFIG_WORDS], free_text[CONFIG_WORDS], whole[CONFIG_WORDS], reserved[CONFIG_WORDS];
    int service = config_child_offset(source->fdt, 0, "service");

    config_complain(
        source, report, at_value(config_child_offset(source->fdt, 0, "guests"), -1, 0),
        "memory does not fit: the guests ask for %s%s; the machine has %s, of which %s are kept for Saguaro "
        "and files: %s are there for guests",
        config_size_text(config_memory(config), asked),
        config->service.overlay_memory != 0 ? ", service VM, disks and overlays included"
        : config->disk_count != 0           ? ", service VM and disks included"
                                            : ", service VM included",
        config_size_text(machine->memory, whole), config_size_text(machine->memory - room, reserved),
        config_size_text(room, free_text));
    for (uint32_t i = 0; i < config->guest_count; i++) {
        config_complain(source, report, memory_place(source, config_record_offset(source->fdt, "guests", i)),
                        "guest \"%s\" asks for %s", config->guests[i].name,
                        config_size_text(config->guests[i].memory, asked));
    }
    for (uint32_t i = 0; i < config->disk_count; i++) {
        if (config->disks[i].memory != 0) {
            config_complain(source, report,
                            memory_place(source, config_record_offset(source->fdt, "disks", i)),
                            "disk \"%s\" asks for %s", config->disks[i].name,
                            config_size_text(config->disks[i].memory, asked));
        }
    }
    config_complain(source, report, memory_place(source, service >= 0 ? service : 0),
                    "the service VM asks for %s", config_size_text(config->service.memory, asked));
    if (config->service.overlay_memory != 0) {
        config_complain(source, report,
                        at_value(service, config_property_offset(source->fdt, service, "overlay-memory"), 1),
                        "overlays ask for %s", config_size_text(config->service.overlay_memory, asked));
    }
}

/* `who` names whose node that is. */
static unsigned missing_cpus(const struct config_source *source, int node, const char *who,
                             uint32_t cpu_count, struct dts_report *report) {
    int size = 0, property = node >= 0 ? config_property_offset(source->fdt, node, "cpus") : -1;
    const char *cells = property >= 0 ? fdt_getprop_by_offset(source->fdt, property, NULL, &size) : NULL;
    unsigned missing = 0;

    for (unsigned i = 0; cells != NULL && i < (unsigned)size / 4; i++) {
        fdt32_t cell;

        memcpy(&cell, cells + i * 4, sizeof(cell));
        if (fdt32_to_cpu(cell) < cpu_count) {
            continue;
        }
        missing++;
        config_complain(source, report, at_value(node, property, i + 1),
                        cpu_count == 1
                            ? "%s is to run on CPU %u, but this machine has %u CPU, which is CPU %u"
                            : "%s is to run on CPU %u, but this machine has %u CPUs, 0 to %u",
                        who, (unsigned)fdt32_to_cpu(cell), (unsigned)cpu_count, (unsigned)cpu_count - 1);
    }
    return missing;
}

int config_check_machine(const struct config_source *source, const struct config *config,
                         const struct config_machine *machine, struct dts_report *report) {
    uint64_t room = machine->memory > machine->reserve ? machine->memory - machine->reserve : 0;
    unsigned errors = 0;

    if (config_memory(config) > room) {
        memory_does_not_fit(source, config, machine, room, report);
        errors++;
    }
    for (uint32_t i = 0; i < config->guest_count && machine->cpu_count != 0; i++) {
        char who[CONFIG_MAX_NAME + 16];

        snprintf(who, sizeof(who), "guest \"%.32s\"", config->guests[i].name);
        errors += missing_cpus(source, config_record_offset(source->fdt, "guests", i), who,
                               machine->cpu_count, report);
    }
    if (machine->cpu_count != 0) {
        errors += missing_cpus(source, config_child_offset(source->fdt, 0, "service"), "the service VM",
                               machine->cpu_count, report);
    }
    return errors == 0 ? 0 : -EINVAL;
}

void config_report_file(const struct config_source *source, const struct config *config,
                        const struct config_file *file, struct dts_report *report, const char *format, ...) {
    int node = file->guest < config->guest_count ? config_record_offset(source->fdt, "guests", file->guest)
               : file->guest == CONFIG_NO_GUEST  ? config_record_offset(source->fdt, "disks", file->disk)
                                                 : 0;
    va_list arguments;

    va_start(arguments, format);
    config_complain_v(
        source, report,
        at_value(node, config_property_offset(source->fdt, node, file->property), file->index + 1), format,
        arguments);
    va_end(arguments);
}
