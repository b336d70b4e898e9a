// SPDX-License-Identifier: Apache-2.0
// The config in the loader: finding it, reading and checking it, and reading the files that it names.
#include "boot/config_load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "boot/console.h"
#include "boot/memory.h"
#include "lib/image.h"

static const char *const names[2] = {"saguaro.dts", "saguaro.dtb"};

/* A handful of images, initrds and modules per guest, and disks. */
#define FILES_MAX (CONFIG_MAX_GUESTS * (CONFIG_MAX_MODULES + 2u) + CONFIG_MAX_DISKS)

static void print_error(void *context, const struct dts_error *error) {
    char text[DTS_ERROR_TEXT];

    (void)context;
    dts_error_format(text, sizeof(text), error);
    console_write(text);
}

/* Look in the loader's own directory, then in the root; in each for the source, then for the compiled tree.
 */
static int find(struct source *sources, unsigned int source_count, struct config_load *load,
                struct source_file *file) {
    char why[2 * 2 * 2][SOURCE_WHY]; /* sources, directories, names */
    unsigned int tried = 0;

    for (unsigned int i = 0; i < source_count; i++) {
        for (unsigned int place = 0; place < 2; place++) {
            if (place == 1) {
                if (source_in_root(&sources[i])) {
                    continue; /* the loader itself lies there */
                }
                source_go_to_root(&sources[i]);
            }
            for (unsigned int n = 0; n < 2; n++) {
                EFI_STATUS status =
                    source_read(&sources[i], names[n], n == 0 ? DTS_MAX_SOURCE : CONFIG_MAX_BLOB,
                                n == 0 ? MEMORY_SCRATCH : HANDOVER_MEMORY_LOADER, file, why[tried]);

                if (status == EFI_SUCCESS) {
                    load->source = &sources[i];
                    load->name = names[n];
                    return 0;
                }
                if (status == EFI_END_OF_FILE || status == EFI_BAD_BUFFER_SIZE) {
                    console_print("error: %s %s\n", names[n],
                                  why[tried]); /* it is there, and it is no config */
                    return -EINVAL;
                }
                tried++;
            }
        }
    }
    console_print(
        "error: no config. Put saguaro.dts (or saguaro.dtb) beside the loader, or in the root of the "
        "volume or server that it boots from. Tried:\n");
    for (unsigned int i = 0; i < tried; i++) {
        console_print("  %s\n", why[i]);
    }
    if (source_count == 0) {
        console_print("  nowhere: the firmware does not say which volume or server the loader came from\n");
    }
    return -ENOENT;
}

static int include(void *context, const char *name, struct dts_file *out) {
    struct config_load *load = context;
    struct source_file file;
    char why[SOURCE_WHY];
    EFI_STATUS status = source_read(load->source, name, DTS_MAX_SOURCE, MEMORY_SCRATCH, &file, why);

    if (status == EFI_SUCCESS) {
        out->text = (const char *)file.data;
        out->size = file.size;
        return 0;
    }
    console_print("%s: %s\n", name, why);
    switch (status) {
    case EFI_NOT_FOUND:
        return -ENOENT;
    case EFI_OUT_OF_RESOURCES:
        return -ENOMEM;
    case EFI_BAD_BUFFER_SIZE:
        return -EFBIG;
    case EFI_END_OF_FILE:
        return -ENODATA;
    default:
        return -EIO;
    }
}

/* The source becomes a tree in LOADER memory; where everything was written stays in scratch memory. */
static int parse(struct config_load *load, const struct source_file *file) {
    const struct dts_file source = {.name = load->name, .text = (const char *)file->data, .size = file->size};
    struct dts_positions *positions =
        memory_take(sizeof(*positions) + DTS_MARKS * sizeof(struct dts_mark), MEMORY_SCRATCH, MEMORY_PAGE, 0);
    void *blob = memory_keep(DTS_BLOB_SIZE);
    int error;

    if (positions == NULL || blob == NULL) {
        console_print("error: no memory to read the config\n");
        return -ENOMEM;
    }
    memset(positions, 0, sizeof(*positions));
    positions->marks = (struct dts_mark *)(positions + 1);
    positions->capacity = DTS_MARKS;
    error = dts_parse(&source, include, load, blob, DTS_BLOB_SIZE, positions, &load->report);
    if (error == 0) {
        load->tree.fdt = blob;
        load->tree.size = DTS_BLOB_SIZE;
        load->tree.positions = positions;
    } else if (load->report.count == 0) {
        console_print("error: %s cannot be read as a config (error %d)\n", load->name, -error);
    }
    return error;
}

int config_load_find(struct source *sources, unsigned int source_count, struct config_load *load) {
    struct source_file file;
    int error;

    *load = (struct config_load){.report = {.error = print_error}};
    error = find(sources, source_count, load, &file);
    if (error) {
        return error;
    }
    load->config = memory_keep(sizeof(*load->config));
    if (load->config == NULL) {
        console_print("error: no memory to read the config\n");
        return -ENOMEM;
    }
    load->tree.file = load->name;
    if (load->name == names[0]) {
        error = parse(load, &file);
        if (error) {
            return error;
        }
    } else {
        load->tree.fdt = file.data;
        load->tree.size = file.size;
    }
    return config_check(&load->tree, load->config, &load->report);
}

int config_load_check_machine(struct config_load *load, uint64_t memory, uint64_t reserve,
                              uint32_t cpu_count) {
    const struct config_machine machine = {.memory = memory, .reserve = reserve, .cpu_count = cpu_count};

    return config_check_machine(&load->tree, load->config, &machine, &load->report);
}

struct reading {
    struct config_load *load;
    struct handover *handover;
    struct handover_file *files;
    int error;
};

static int read_piece(void *context, uint64_t offset, void *buffer, size_t size) {
    const struct handover_file *file = context;

    if (offset > file->size || size > file->size - offset) {
        return -EINVAL;
    }
    memcpy(buffer, (const uint8_t *)(uintptr_t)file->address + offset, size);
    return 0;
}

/* What the guest named here is to start from has to be such an image, and a disk has whole sectors; initrds
 * and modules may be anything. */
static void check_image(struct reading *reading, const struct config_file *named,
                        struct handover_file *file) {
    static const enum image_kind kinds[CONFIG_IMAGES] = {
        [CONFIG_IMAGE_KERNEL] = IMAGE_LINUX,
        [CONFIG_IMAGE_MULTIBOOT] = IMAGE_MULTIBOOT,
        [CONFIG_IMAGE_PVH] = IMAGE_PVH,
        [CONFIG_IMAGE_FIRMWARE] = IMAGE_FIRMWARE,
    };
    const struct image_source source = {.read = read_piece, .context = file, .size = file->size};
    struct config_load *load = reading->load;
    char why[SOURCE_WHY] = "";

    if (named->guest == CONFIG_NO_GUEST) {
        if (!config_file_size_wrong(named, file->size, why, sizeof(why))) {
            return;
        }
    } else if (strcmp(named->property, "initrd") == 0 || strcmp(named->property, "modules") == 0) {
        return;
    } else if (file->size > named->max_size) { /* a name that was first given where more is allowed */
        snprintf(why, sizeof(why), "has %llu bytes; at most %llu are possible here",
                 (unsigned long long)file->size, (unsigned long long)named->max_size);
    } else if (image_check(kinds[load->config->guests[named->guest].image_kind], &source, why, sizeof(why)) ==
               0) {
        return;
    }
    config_report_file(&load->tree, load->config, named, &load->report, "file \"%s\" %s", named->name, why);
    reading->error = -EINVAL;
}

/* Reads one file into the hand-over's list; NULL: it was not read, and that was said. */
static struct handover_file *read_new(struct reading *reading, const struct config_file *named, int *error) {
    struct config_load *load = reading->load;
    struct source_file file;
    char why[SOURCE_WHY];
    size_t size = strlen(named->name) + 1;
    char *name = memory_keep(size);
    struct handover_file *entry;

    if (name == NULL || reading->handover->file_count == FILES_MAX) {
        *error = -ENOMEM;
        return NULL;
    }
    memcpy(name, named->name, size);
    if (source_read(load->source, name, named->max_size, HANDOVER_MEMORY_FILE, &file, why) != EFI_SUCCESS) {
        config_report_file(&load->tree, load->config, named, &load->report, "file \"%s\" %s", name, why);
        reading->error = -EIO;
        return NULL; /* the next file's error is worth seeing too */
    }
    entry = &reading->files[reading->handover->file_count++];
    *entry = (struct handover_file){
        .name = (uint64_t)(uintptr_t)name,
        .address = (uint64_t)(uintptr_t)file.data,
        .size = file.size,
    };
    return entry;
}

static int read_one(void *context, const struct config_file *named) {
    struct reading *reading = context;
    struct handover_file *file = NULL;
    int error = 0;

    if (!named->repeated) {
        file = read_new(reading, named, &error);
    }
    for (uint32_t i = 0; named->repeated && i < reading->handover->file_count; i++) {
        if (strcmp((const char *)(uintptr_t)reading->files[i].name, named->name) == 0) {
            file = &reading->files[i];
        }
    }
    if (file != NULL) {
        check_image(reading, named, file);
    }
    return error;
}

int config_load_files(struct config_load *load, struct handover *handover) {
    struct reading reading = {.load = load, .handover = handover};
    int error;

    reading.files = memory_keep(FILES_MAX * sizeof(*reading.files));
    error = reading.files == NULL ? -ENOMEM : config_files(load->config, read_one, &reading);
    if (error) {
        console_print("error: no memory for the list of files\n");
        return error;
    }
    handover->files = (uint64_t)(uintptr_t)reading.files;
    return reading.error;
}
