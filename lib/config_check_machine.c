// SPDX-License-Identifier: Apache-2.0
// Holds a checked config against a machine (its memory, its CPUs) and against the files that are really
// there.
#include "lib/config_check.h"

#include "lib/config_check_place.h"
#include "lib/config_check_words.h"

#include <errno.h>
#include <libfdt.h>
#include <string.h>

static struct config_place at_value(int node, int property, unsigned element) {
    return (struct config_place){.node = node, .property = property, .element = element};
}

static void memory_does_not_fit(const struct config_source *source, const struct config *config,
                                const struct config_machine *machine, uint64_t wanted, uint64_t room,
                                struct dts_report *report) {
    char asked[CONFIG_WORDS], free_text[CONFIG_WORDS], whole[CONFIG_WORDS], reserved[CONFIG_WORDS];

    config_complain(
        source, report, at_value(config_guests_offset(source->fdt), -1, 0),
        "memory does not fit: the guests ask for %s; the machine has %s, of which %s are kept for Saguaro "
        "and files: %s are there for guests",
        config_size_text(wanted, asked), config_size_text(machine->memory, whole),
        config_size_text(machine->memory - room, reserved), config_size_text(room, free_text));
    for (uint32_t i = 0; i < config->guest_count; i++) {
        int node = config_guest_offset(source->fdt, i);

        config_complain(source, report,
                        at_value(node, config_property_offset(source->fdt, node, "memory"), 1),
                        "guest \"%s\" asks for %s", config->guests[i].name,
                        config_size_text(config->guests[i].memory, asked));
    }
}

static unsigned missing_cpus(const struct config_source *source, const struct config *config, uint32_t guest,
                             uint32_t cpu_count, struct dts_report *report) {
    int node = config_guest_offset(source->fdt, guest), size = 0;
    int property = config_property_offset(source->fdt, node, "cpus");
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
                            ? "guest \"%s\" is to run on CPU %u, but this machine has %u CPU, which is CPU %u"
                            : "guest \"%s\" is to run on CPU %u, but this machine has %u CPUs, 0 to %u",
                        config->guests[guest].name, (unsigned)fdt32_to_cpu(cell), (unsigned)cpu_count,
                        (unsigned)cpu_count - 1);
    }
    return missing;
}

int config_check_machine(const struct config_source *source, const struct config *config,
                         const struct config_machine *machine, struct dts_report *report) {
    uint64_t room = machine->memory > machine->reserve ? machine->memory - machine->reserve : 0;
    uint64_t wanted = 0; /* at most CONFIG_MAX_GUESTS * CONFIG_MAX_MEMORY: cannot overflow */
    unsigned errors = 0;

    for (uint32_t i = 0; i < config->guest_count; i++) {
        wanted += config->guests[i].memory;
    }
    if (wanted > room) {
        memory_does_not_fit(source, config, machine, wanted, room, report);
        errors++;
    }
    for (uint32_t i = 0; i < config->guest_count && machine->cpu_count != 0; i++) {
        errors += missing_cpus(source, config, i, machine->cpu_count, report);
    }
    return errors == 0 ? 0 : -EINVAL;
}

void config_report_file(const struct config_source *source, const struct config *config,
                        const struct config_file *file, struct dts_report *report, const char *format, ...) {
    int node = file->guest < config->guest_count ? config_guest_offset(source->fdt, file->guest) : 0;
    va_list arguments;

    va_start(arguments, format);
    config_complain_v(
        source, report,
        at_value(node, config_property_offset(source->fdt, node, file->property), file->index + 1), format,
        arguments);
    va_end(arguments);
}
