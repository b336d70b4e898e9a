// SPDX-License-Identifier: Apache-2.0
// Reports errors at places of the config's tree, and finds such places.
#include "lib/config_check_place.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

/* The path of a place in a tree without source, for people: cut where it is long. */
static void path_text(const void *fdt, struct config_place place, char *buffer, size_t size) {
    const char *name = NULL;
    int length;

    if (fdt_get_path(fdt, place.node, buffer, (int)size) != 0) {
        snprintf(buffer, size, "/...");
    }
    if (place.property >= 0 && fdt_getprop_by_offset(fdt, place.property, &name, &length) != NULL) {
        size_t used = strlen(buffer);

        snprintf(buffer + used, size - used, "%s%s", strcmp(buffer, "/") == 0 ? "" : "/", name);
    }
}

const char *config_place_text(const struct config_source *source, struct config_place place, char *buffer,
                              size_t size) {
    const struct dts_mark *mark = NULL;
    uint32_t line, column;

    if (source->positions != NULL) {
        mark = dts_find(source->positions, place.property >= 0 ? place.property : place.node, place.element);
    }
    if (mark != NULL) {
        const struct dts_file *file = &source->positions->files[mark->file];

        dts_line_column(file, mark->text, &line, &column);
        snprintf(buffer, size, "%.60s:%u:%u", file->name, (unsigned)line, (unsigned)column);
    } else {
        path_text(source->fdt, place, buffer, size);
    }
    return buffer;
}

void config_complain_v(const struct config_source *source, struct dts_report *report,
                       struct config_place place, const char *format, va_list arguments) {
    struct dts_error error = {.file = source->file};
    char message[256], path[120];
    size_t used;

    if (source->positions != NULL) {
        int offset = place.property >= 0 ? place.property : place.node;

        dts_report_at_v(report, source->positions, dts_find(source->positions, offset, place.element), format,
                        arguments);
        return;
    }
    report->count++;
    if (report->error == NULL) {
        return;
    }
    path_text(source->fdt, place, path, sizeof(path));
    snprintf(message, sizeof(message), "%s: ", path);
    used = strlen(message);
    vsnprintf(message + used, sizeof(message) - used, format, arguments);
    error.message = message;
    report->error(report->context, &error);
}

void config_complain(const struct config_source *source, struct dts_report *report, struct config_place place,
                     const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    config_complain_v(source, report, place, format, arguments);
    va_end(arguments);
}

int config_property_offset(const void *fdt, int node, const char *name) {
    int at;

    fdt_for_each_property_offset(at, fdt, node) {
        const char *found = NULL;
        int size;

        if (fdt_getprop_by_offset(fdt, at, &found, &size) != NULL && strcmp(found, name) == 0) {
            return at;
        }
    }
    return -1;
}

int config_child_offset(const void *fdt, int node, const char *name) {
    int at;

    fdt_for_each_subnode(at, fdt, node) {
        const char *found = fdt_get_name(fdt, at, NULL);

        if (found != NULL && strcmp(found, name) == 0) {
            return at;
        }
    }
    return -1;
}

int config_record_offset(const void *fdt, const char *list, unsigned index) {
    int node = config_child_offset(fdt, 0, list), at;

    if (node < 0) {
        return -1;
    }
    fdt_for_each_subnode(at, fdt, node) {
        if (index-- == 0) {
            return at;
        }
    }
    return -1;
}

int config_item_offset(const void *fdt, unsigned guest, const char *stem, unsigned number) {
    int node = config_record_offset(fdt, "guests", guest);
    char name[16];

    snprintf(name, sizeof(name), "%.8s%u", stem, number);
    return node < 0 ? -1 : config_child_offset(fdt, node, name);
}
