// SPDX-License-Identifier: Apache-2.0
// Guests' memory balloons (see service/balloon_device.h).
#include "service/balloon_device.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "service/heap.h"

#define PAGE VIRTIO_BALLOON_PAGE

struct balloon_device {
    struct device device;
    struct virtio_balloon balloon;
    uint64_t cleared; /* pages */
    void (*answer)(unsigned vm, const uint64_t *stat, uint16_t known);
};

static struct balloon_device *balloons[SERVICE_MAX_VMS];

/* Most pages that a guest reports were never used, or were reported before: they are zero already, and need
 * no mark either. The guest may write there meanwhile; then it has the page again. */
static bool is_zero(const uint64_t *words) {
    for (unsigned i = 0; i < PAGE / sizeof(*words); i += 4)
        if (words[i] | words[i + 1] | words[i + 2] | words[i + 3])
            return false;
    return true;
}

/* Whatever is copied of the guest's memory later finds nothing there to copy. */
static void give_back(void *context, uint64_t gpa, uint64_t size) {
    struct balloon_device *made = context;
    struct virtio_memory *memory = made->balloon.device.memory;

    for (uint64_t end = gpa + size; gpa < end; gpa += PAGE) {
        void *page = virtio_map(memory, gpa, PAGE, sizeof(uint64_t));
        if (!page || is_zero(page))
            continue;
        memset(page, 0, PAGE);
        memory->dirty(memory, gpa, PAGE);
        made->cleared++;
    }
}

static void stats(void *context) {
    struct balloon_device *made = context;
    void (*answer)(unsigned vm, const uint64_t *stat, uint16_t known) = made->answer;

    made->answer = NULL;
    if (answer)
        answer(made->device.plain.vm, made->balloon.stat, made->balloon.stat_known);
}

static const struct virtio_balloon_pages pages = {.give_back = give_back, .stats = stats};

static bool work(struct device *device) {
    virtio_balloon_run(&((struct balloon_device *)device)->balloon);
    return false; /* it asks for itself */
}

static void again(struct virtio_balloon *balloon) {
    device_again(device_of(&balloon->device));
}

/* A guest that starts anew has all of its memory. */
static void restarted(struct device *device) {
    struct balloon_device *made = (struct balloon_device *)device;

    made->answer = NULL;
    virtio_balloon_power_on(&made->balloon);
}

void balloon_device_init(void) {
    memset(balloons, 0, sizeof(balloons));
}

int balloon_device_make(unsigned vm, const struct device_place *place) {
    struct balloon_device *made = heap_allocate(sizeof(*made));

    if (!made)
        return -ENOMEM;
    snprintf(made->device.name, sizeof(made->device.name), "balloon");
    made->device.run = work;
    made->device.restarted = restarted;
    virtio_balloon_init(&made->balloon, &pages, made, again);
    int error = device_add(&made->device, &made->balloon.device, vm, place);
    if (!error)
        balloons[vm] = made;
    return error;
}

bool balloon_device_look(unsigned vm, struct balloon_figures *figures) {
    const struct balloon_device *made = vm < SERVICE_MAX_VMS ? balloons[vm] : NULL;

    if (!made)
        return false;
    *figures = (struct balloon_figures){
        .driver = virtio_running(&made->balloon.device),
        .wanted = (uint64_t)virtio_balloon_target(&made->balloon) * PAGE,
        .given = (uint64_t)virtio_balloon_actual(&made->balloon) * PAGE,
        .cleared = made->cleared * PAGE,
    };
    return true;
}

void balloon_device_want(unsigned vm, uint64_t bytes) {
    virtio_balloon_set_target(&balloons[vm]->balloon, (uint32_t)(bytes / PAGE));
}

void balloon_device_ask(unsigned vm, void (*answer)(unsigned vm, const uint64_t *stat, uint16_t known)) {
    balloons[vm]->answer = answer;
    virtio_balloon_ask(&balloons[vm]->balloon);
}
