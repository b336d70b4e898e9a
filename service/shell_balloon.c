// SPDX-License-Identifier: Apache-2.0
// The shell's command that shows what a guest says of its memory, and asks it to give some back.
#include <stdio.h>
#include "lib/config.h"
#include "service/balloon_device.h"
#include "service/shell_internal.h"

/* What the guest's driver answers, below what was said at once. */
static void print_answer(unsigned vm, const uint64_t *stat, uint16_t known) {
    static const struct {
        const char *name;
        enum virtio_balloon_stat stat;
    } shown[] = {{"in all", VIRTIO_BALLOON_TOTAL},
                 {"free", VIRTIO_BALLOON_FREE},
                 {"available", VIRTIO_BALLOON_AVAILABLE},
                 {"caches", VIRTIO_BALLOON_CACHES}};
    char text[160] = "", size[32];
    size_t used = 0;

    for (unsigned i = 0; i < array_count(shown) && used < sizeof(text); i++)
        if (known >> shown[i].stat & 1)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %s", used != 0 ? ", " : "",
                                     shell_format_size(stat[shown[i].stat], size), shown[i].name);
    shell_print("%s says: %s\n", shell_vm_name(vm), used != 0 ? text : "nothing of its memory");
    shell_flush();
}

static void show(unsigned vm, const struct balloon_figures *figures) {
    char wanted[32], given[32], cleared[32];

    shell_print("%s: asked to give back %s, has given back %s; %s were cleared\n", shell_vm_name(vm),
                shell_format_size(figures->wanted, wanted), shell_format_size(figures->given, given),
                shell_format_size(figures->cleared, cleared));
    if (figures->driver)
        balloon_device_ask(vm, print_answer);
    else
        shell_print("its driver is not there\n");
}

void shell_run_balloon(const char *text, int value) {
    const unsigned vm = (unsigned)value;
    struct balloon_figures figures;
    struct control_vm guest;
    uint64_t bytes;
    char size[32];

    if (!balloon_device_look(vm, &figures) || !shell_look_vm(vm, &guest)) {
        shell_print("%s has no balloon; its config wants balloon = \"yes\" for that\n", shell_vm_name(vm));
        return;
    }
    if (text == NULL) {
        show(vm, &figures);
    } else if (config_parse_size(text, &bytes) != 0) {
        shell_print("\"%s\" is no size like 64M\n", text);
    } else if (bytes > guest.memory) {
        shell_print("%s has no more than %s\n", guest.name, shell_format_size(guest.memory, size));
    } else {
        balloon_device_want(vm, bytes);
        if (!figures.driver)
            shell_print("its driver is not there; it is asked when it comes\n");
    }
}
