// SPDX-License-Identifier: Apache-2.0
// check-config: the config's checker as a host tool. Says what the loader would say, without a boot; writes a
// compiled tree if asked to, and the reference tables of docs/config.md.
#include "lib/config_check.h"
#include "lib/config_check_words.h"
#include "lib/image.h"

#include <errno.h>
#include <getopt.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { EXIT_OK = 0, EXIT_CONFIG = 1, EXIT_USAGE = 2 };

struct options {
    const char *config;
    const char *dtb;
    bool files; /* list them */
    uint64_t memory;
    uint32_t cpus;
    enum config_arch arch;
};

/* What the callbacks share. */
struct program {
    const char *folder; /* of the config, with its "/" or empty */
    struct config_source source;
    struct config config;
    struct dts_report report;
    bool list;
    unsigned files;
    uint64_t bytes;
};

static void usage(FILE *to) {
    fputs("usage: check-config [OPTIONS] CONFIG\n"
          "Checks a config (saguaro.dts, or a compiled saguaro.dtb) and the files that it names.\n"
          "  --arch ARCH    the machine that the config is for: x86 (if not given) or ppc\n"
          "  --files        list the files that the config names\n"
          "  --dtb OUT      write the config as a compiled device tree\n"
          "  --memory SIZE  check that the guests fit a machine of that memory, as \"8G\"\n"
          "  --cpus N       check that a machine of N CPUs has the CPUs that are named\n"
          "  --reference    print the reference of nodes and properties, as docs/config.md has it\n"
          "Exit code: 0 the config is right, 1 it is not, 2 the command line is not.\n",
          to);
}

static void print_error(void *context, const struct dts_error *error) {
    char text[DTS_ERROR_TEXT];

    (void)context;
    dts_error_format(text, sizeof(text), error);
    fputs(text, stderr);
}

/* Reads a whole file of at most `limit` bytes and one more, which shows that it is longer. NULL: see errno.
 */
static char *read_file(const char *path, size_t limit, size_t *size) {
    FILE *file = fopen(path, "rb");
    char *text;

    if (file == NULL) {
        return NULL;
    }
    text = aligned_alloc(8, (limit + 8) & ~(size_t)7);
    if (text == NULL) {
        fclose(file);
        errno = ENOMEM;
        return NULL;
    }
    *size = fread(text, 1, limit + 1, file);
    if (ferror(file) != 0) {
        int error = errno;

        free(text);
        text = NULL;
        fclose(file);
        errno = error;
        return NULL;
    }
    fclose(file);
    return text;
}

static char *join(const char *folder, const char *name) {
    size_t size = strlen(folder) + strlen(name) + 1;
    char *path = malloc(size);

    if (path == NULL) {
        perror("check-config");
        exit(EXIT_USAGE);
    }
    snprintf(path, size, "%s%s", folder, name);
    return path;
}

static int include_file(void *context, const char *name, struct dts_file *file) {
    const struct program *program = context;
    char *path = join(program->folder, name);

    file->text = read_file(path, DTS_MAX_SOURCE, &file->size);
    file->name = path;
    return file->text != NULL ? 0 : -errno;
}

static int read_piece(void *context, uint64_t offset, void *buffer, size_t size) {
    FILE *file = context;

    return fseeko(file, (off_t)offset, SEEK_SET) == 0 && fread(buffer, 1, size, file) == size ? 0 : -EIO;
}

/* What a guest is to start from has to be such an image; initrds and modules may be anything. */
static void check_image(struct program *program, const struct config_file *file, const char *path,
                        uint64_t size) {
    static const enum image_kind x86_kinds[CONFIG_IMAGES] = {
        [CONFIG_IMAGE_KERNEL] = IMAGE_LINUX,
        [CONFIG_IMAGE_MULTIBOOT] = IMAGE_MULTIBOOT,
        [CONFIG_IMAGE_PVH] = IMAGE_PVH,
        [CONFIG_IMAGE_FIRMWARE] = IMAGE_FIRMWARE,
    };
    struct image_source source = {.read = read_piece, .size = size};
    char why[128] = "cannot be read";
    enum image_kind kind;

    if (config_file_size_wrong(file, size, why, sizeof(why))) {
        config_report_file(&program->source, &program->config, file, &program->report, "file \"%.80s\" %s",
                           file->name, why);
        return;
    }
    if (file->guest == CONFIG_NO_GUEST || strcmp(file->property, "initrd") == 0 ||
        strcmp(file->property, "modules") == 0) {
        return;
    }
    kind = program->source.arch == CONFIG_ARCH_PPC
               ? IMAGE_PPC
               : x86_kinds[program->config.guests[file->guest].image_kind];
    source.context = fopen(path, "rb");
    if (source.context == NULL || image_check(kind, &source, why, sizeof(why)) != 0) {
        config_report_file(&program->source, &program->config, file, &program->report, "file \"%.80s\" %s",
                           file->name, why);
    }
    if (source.context != NULL) {
        fclose(source.context);
    }
}

static int check_file(void *context, const struct config_file *file) {
    struct program *program = context;
    char *path = join(program->folder, file->name);
    struct stat status;

    if (file->repeated) { /* it was looked for before, but perhaps not as an image of this kind */
        if (stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
            check_image(program, file, path, (uint64_t)status.st_size);
        }
        free(path);
        return 0;
    }
    if (stat(path, &status) != 0) {
        config_report_file(
            &program->source, &program->config, file, &program->report, "file \"%.80s\" %s%s", file->name,
            errno == ENOENT ? "is missing" : "cannot be read: ", errno == ENOENT ? "" : strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        config_report_file(&program->source, &program->config, file, &program->report,
                           "\"%.80s\" is not a file", file->name);
    } else if (status.st_size == 0) {
        config_report_file(&program->source, &program->config, file, &program->report,
                           "file \"%.80s\" is empty", file->name);
    } else if ((uint64_t)status.st_size > file->max_size) {
        config_report_file(&program->source, &program->config, file, &program->report,
                           "file \"%.80s\" is too large: %llu bytes, of at most %llu", file->name,
                           (unsigned long long)status.st_size, (unsigned long long)file->max_size);
    } else {
        program->files++;
        program->bytes += (uint64_t)status.st_size;
        if (program->list) {
            const char *owner = file->guest == CONFIG_NO_GUEST ? program->config.disks[file->disk].name
                                                               : program->config.guests[file->guest].name;

            printf("%s %s %s %llu\n", owner, file->property, file->name, (unsigned long long)status.st_size);
        }
        check_image(program, file, path, (uint64_t)status.st_size);
    }
    free(path);
    return 0;
}

static bool ends_in(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Fills in program->source: the tree of the config, parsed or as it is. */
static int load(struct program *program, const char *path) {
    static struct dts_mark marks[DTS_MARKS];
    static struct dts_positions positions = {.marks = marks, .capacity = DTS_MARKS};
    static uint64_t blob[DTS_BLOB_SIZE / sizeof(uint64_t)];
    bool compiled = ends_in(path, ".dtb");
    struct dts_file file = {.name = path};

    file.text = read_file(path, compiled ? CONFIG_MAX_BLOB : DTS_MAX_SOURCE, &file.size);
    if (file.text == NULL) {
        fprintf(stderr, "%s: error: %s\n", path, errno == ENOENT ? "there is no such file" : strerror(errno));
        return -1;
    }
    program->source.file = path;
    if (compiled) {
        program->source.fdt = file.text;
        program->source.size = file.size;
        return 0;
    }
    program->source.fdt = blob;
    program->source.size = sizeof(blob);
    program->source.positions = &positions;
    return dts_parse(&file, include_file, program, blob, sizeof(blob), &positions, &program->report);
}

static int write_tree(const struct program *program, const char *path) {
    FILE *file = fopen(path, "wb");
    size_t size = fdt_totalsize(program->source.fdt);

    if (file == NULL || fwrite(program->source.fdt, 1, size, file) != size || fclose(file) != 0) {
        fprintf(stderr, "%s: error: %s\n", path, strerror(errno));
        return -1;
    }
    return 0;
}

static void print_node(void *context, const struct config_node *node, const char *path) {
    char row[CONFIG_ROW];

    (void)context;
    printf("%s\n", config_reference_heading(node, path, row));
    for (unsigned i = 0; i < node->property_count; i++) {
        if (i == 0) {
            printf("\n| property | value | default | on | meaning |\n| --- | --- | --- | --- | --- |\n");
        }
        printf("%s\n", config_reference_row(&node->properties[i], row));
    }
    printf("\n");
}

static int run(const struct options *options) {
    static struct program program = {.report = {.error = print_error}};
    const char *slash = strrchr(options->config, '/');
    char *folder = join(options->config, "");
    char size[CONFIG_WORDS];

    folder[slash != NULL ? slash + 1 - options->config : 0] = '\0';
    program.folder = folder;
    program.list = options->files;
    program.source.arch = options->arch;
    if (load(&program, options->config) != 0 ||
        config_check(&program.source, &program.config, &program.report) != 0) {
        return EXIT_CONFIG;
    }
    config_files(&program.config, check_file, &program);
    if (options->memory != 0 || options->cpus != 0) {
        struct config_machine machine = {
            .memory = options->memory != 0 ? options->memory : UINT64_MAX,
            .reserve = options->memory != 0 ? program.bytes : 0,
            .cpu_count = options->cpus,
        };

        config_check_machine(&program.source, &program.config, &machine, &program.report);
    }
    if (program.report.count != 0) {
        return EXIT_CONFIG;
    }
    if (options->dtb != NULL && write_tree(&program, options->dtb) != 0) {
        return EXIT_USAGE;
    }
    printf("%s: ok: %u guest%s, %s, %u file%s\n", options->config, (unsigned)program.config.guest_count,
           program.config.guest_count == 1 ? "" : "s", config_size_text(config_memory(&program.config), size),
           program.files, program.files == 1 ? "" : "s");
    free(folder);
    return EXIT_OK;
}

int main(int argc, char **argv) {
    static const struct option names[] = {
        {"arch", required_argument, NULL, 'a'}, {"files", no_argument, NULL, 'f'},
        {"dtb", required_argument, NULL, 'd'},  {"memory", required_argument, NULL, 'm'},
        {"cpus", required_argument, NULL, 'c'}, {"reference", no_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
    };
    struct options options = {0};
    char *end;
    unsigned long cpus;
    int option;

    while ((option = getopt_long(argc, argv, "h", names, NULL)) != -1) {
        switch (option) {
        case 'a':
            if (strcmp(optarg, "x86") != 0 && strcmp(optarg, "ppc") != 0) {
                fprintf(stderr, "check-config: \"%s\" is no architecture: x86 and ppc are\n", optarg);
                return EXIT_USAGE;
            }
            options.arch = strcmp(optarg, "ppc") == 0 ? CONFIG_ARCH_PPC : CONFIG_ARCH_X86;
            break;
        case 'f':
            options.files = true;
            break;
        case 'd':
            options.dtb = optarg;
            break;
        case 'm':
            if (config_parse_size(optarg, &options.memory) != 0 || options.memory == 0) {
                fprintf(stderr, "check-config: \"%s\" is no size of memory; write it as 512M or 8G\n",
                        optarg);
                return EXIT_USAGE;
            }
            break;
        case 'c':
            cpus = strtoul(optarg, &end, 10);
            if (*optarg < '0' || *optarg > '9' || *end != '\0' || cpus == 0 || cpus > 4096) {
                fprintf(stderr, "check-config: \"%s\" is no number of CPUs\n", optarg);
                return EXIT_USAGE;
            }
            options.cpus = (uint32_t)cpus;
            break;
        case 'r':
            config_each_node(print_node, NULL);
            return EXIT_OK;
        case 'h':
            usage(stdout);
            return EXIT_OK;
        default:
            usage(stderr);
            return EXIT_USAGE;
        }
    }
    if (optind + 1 != argc) {
        usage(stderr);
        return EXIT_USAGE;
    }
    options.config = argv[optind];
    return run(&options);
}
