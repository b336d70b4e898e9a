// SPDX-License-Identifier: Apache-2.0
// The driver's side of a virtio device over PCI: status, features, configuration, and whether the device
// keeps the rules of its start (virtio 1.2, 2.1, 2.2, 3.1 and 4.1.4.3).
#include "tests/guests/virtio/virtio.h"

static volatile uint8_t *at(const struct virtio *v, const struct place *place, unsigned offset) {
    return (volatile uint8_t *)(uint64_t)(v->bar[place->bar] + place->offset + offset);
}

static uint32_t get(const volatile uint8_t *from, unsigned size) {
    return size == 1   ? *from
           : size == 2 ? *(const volatile uint16_t *)from
                       : *(const volatile uint32_t *)from;
}

static void put(volatile uint8_t *to, unsigned size, uint32_t value) {
    if (size == 1)
        *to = (uint8_t)value;
    else if (size == 2)
        *(volatile uint16_t *)to = (uint16_t)value;
    else
        *(volatile uint32_t *)to = value;
}

uint32_t common_read(const struct virtio *v, unsigned offset, unsigned size) {
    return get(at(v, &v->common, offset), size);
}
void common_write(const struct virtio *v, unsigned offset, unsigned size, uint32_t value) {
    put(at(v, &v->common, offset), size, value);
}
uint32_t config_read(const struct virtio *v, unsigned offset, unsigned size) {
    return get(at(v, &v->config, offset), size);
}
void config_write(const struct virtio *v, unsigned offset, unsigned size, uint32_t value) {
    put(at(v, &v->config, offset), size, value);
}
uint8_t isr_read(const struct virtio *v) {
    return *at(v, &v->isr, 0);
}
uint8_t status_read(const struct virtio *v) {
    return (uint8_t)common_read(v, C_STATUS, 1);
}
void status_write(const struct virtio *v, uint8_t status) {
    common_write(v, C_STATUS, 1, status);
}

uint64_t features_read(const struct virtio *v) {
    uint64_t features = 0;
    for (unsigned word = 0; word < 2; word++) {
        common_write(v, C_DEVICE_FEATURE_SELECT, 4, word);
        features |= (uint64_t)common_read(v, C_DEVICE_FEATURE, 4) << 32 * word;
    }
    return features;
}

void features_write(const struct virtio *v, uint64_t features) {
    for (unsigned word = 0; word < 2; word++) {
        common_write(v, C_DRIVER_FEATURE_SELECT, 4, word);
        common_write(v, C_DRIVER_FEATURE, 4, (uint32_t)(features >> 32 * word));
    }
}

bool virtio_reset(const struct virtio *v) {
    status_write(v, 0);
    return status_read(v) == 0;
}

bool virtio_negotiate(struct virtio *v, uint64_t features) {
    v->features = features | F_VERSION_1;
    virtio_reset(v);
    status_write(v, S_ACKNOWLEDGE);
    status_write(v, S_ACKNOWLEDGE | S_DRIVER);
    features_write(v, v->features);
    status_write(v, S_ALL);
    return status_read(v) == S_ALL;
}

bool virtio_wait_status(const struct virtio *v, uint8_t bits) {
    uint64_t end = now_us() + WAIT_MS * 1000ull;
    while (!(status_read(v) & bits))
        if (now_us() > end)
            return false;
    return true;
}

void virtio_notify(const struct virtio *v, uint32_t offset, unsigned queue) {
    *(volatile uint16_t *)at(v, &v->notify, offset) = (uint16_t)queue;
}

/* ---- checks */

static void check_status(struct virtio *v) {
    check(virtio_reset(v), "after a reset the status is 0");
    status_write(v, S_ACKNOWLEDGE);
    status_write(v, S_DRIVER);
    check_equal(status_read(v), S_ACKNOWLEDGE | S_DRIVER, "a driver clears no bit of the status but by 0");
    status_write(v, S_ACKNOWLEDGE | S_DRIVER | S_NEEDS_RESET);
    check_equal(status_read(v), S_ACKNOWLEDGE | S_DRIVER, "NEEDS_RESET is the device's alone");
    check(virtio_reset(v), "0 clears them");
}

static void check_features(struct virtio *v) {
    uint64_t offered = features_read(v);
    check((offered & (F_VERSION_1 | F_INDIRECT | F_EVENT | F_PACKED)) ==
              (F_VERSION_1 | F_INDIRECT | F_EVENT | F_PACKED),
          "VERSION_1 and the rings' features are offered");
    common_write(v, C_DEVICE_FEATURE_SELECT, 4, 2);
    check_equal(common_read(v, C_DEVICE_FEATURE, 4), 0, "no features beyond 64 bits");
    status_write(v, S_ACKNOWLEDGE | S_DRIVER);
    features_write(v, offered & ~F_VERSION_1);
    status_write(v, S_ALL);
    check(!(status_read(v) & S_FEATURES_OK), "FEATURES_OK is refused without VERSION_1");
    features_write(v, F_VERSION_1 | ~offered);
    status_write(v, S_ALL);
    check(!(status_read(v) & S_FEATURES_OK), "and with features that are not offered");
    features_write(v, F_VERSION_1);
    status_write(v, S_ALL);
    check_equal(status_read(v), S_ALL, "VERSION_1 alone is accepted");
    common_write(v, C_DRIVER_FEATURE_SELECT, 4, 0);
    common_write(v, C_DRIVER_FEATURE, 4, UINT32_MAX);
    check_equal(common_read(v, C_DRIVER_FEATURE, 4), 0, "features stand still after FEATURES_OK");
    check(virtio_negotiate(v, offered), "all that is offered is accepted");
    virtio_reset(v);
    check_equal(common_read(v, C_DRIVER_FEATURE, 4), 0, "a reset forgets features");
    status_write(v, S_ACKNOWLEDGE | S_DRIVER | S_DRIVER_OK);
    check(status_read(v) & S_NEEDS_RESET, "DRIVER_OK without FEATURES_OK");
}

static void check_common(struct virtio *v) {
    unsigned queues = common_read(v, C_NUM_QUEUES, 2);
    check(virtio_negotiate(v, 0), "negotiated");
    common_write(v, C_QUEUE_SELECT, 2, queues);
    check(common_read(v, C_QUEUE_SIZE, 2) == 0 && common_read(v, C_QUEUE_ENABLE, 2) == 0,
          "a queue that is not there has size 0");
    common_write(v, C_QUEUE_SIZE, 2, 16);
    common_write(v, C_QUEUE_ENABLE, 2, 1);
    check(common_read(v, C_QUEUE_ENABLE, 2) == 0 && status_read(v) == S_ALL, "and cannot be enabled");
    common_write(v, C_QUEUE_SELECT, 2, 0);
    unsigned most = common_read(v, C_QUEUE_SIZE, 2);
    check_range(most, 2, 32768, "the largest size of queue 0");
    common_write(v, C_QUEUE_DESC, 4, 0x89abcdef);
    common_write(v, C_QUEUE_DESC + 4, 4, 0x01234567);
    check(common_read(v, C_QUEUE_DESC, 4) == 0x89abcdef && common_read(v, C_QUEUE_DESC + 4, 4) == 0x01234567,
          "64 bits in two halves");
    common_write(v, C_QUEUE_DESC + 1, 1, 0x55);
    check_equal(common_read(v, C_QUEUE_DESC, 4), 0x89ab55ef, "a byte of a register");
    check_equal(common_read(v, C_QUEUE_VECTOR, 2), 0xffff, "no vector at first");
    common_write(v, C_QUEUE_VECTOR, 2, v->vectors - 1);
    check_equal(common_read(v, C_QUEUE_VECTOR, 2), v->vectors - 1, "a vector");
    common_write(v, C_QUEUE_VECTOR, 2, v->vectors);
    check_equal(common_read(v, C_QUEUE_VECTOR, 2), 0xffff, "a vector that is not there");
    common_write(v, C_CONFIG_VECTOR, 2, v->vectors);
    check_equal(common_read(v, C_CONFIG_VECTOR, 2), 0xffff, "nor for the configuration");
    common_write(v, C_QUEUE_SIZE, 2, 3);
    check(status_read(v) & S_NEEDS_RESET, "a split queue's size is a power of two");
    check(virtio_reset(v), "reset");
    common_write(v, C_QUEUE_SELECT, 2, 0);
    check(common_read(v, C_QUEUE_SIZE, 2) == most && common_read(v, C_QUEUE_DESC, 4) == 0,
          "a reset forgets queues");
    common_write(v, C_QUEUE_ENABLE, 2, 1);
    check(common_read(v, C_QUEUE_ENABLE, 2) == 0 && (status_read(v) & S_NEEDS_RESET),
          "no queue before FEATURES_OK");
    common_write(v, C_SIZE, 4, UINT32_MAX);
    check_equal(common_read(v, C_SIZE, 4), 0, "nothing lies behind the structure");
}

static void check_enable(struct virtio *v, struct ring *r) {
    virtio_negotiate(v, 0);
    check(ring_enable(r, v, 0, 16, 0xffff), "a queue is enabled");
    common_write(v, C_QUEUE_SELECT, 2, 0);
    common_write(v, C_QUEUE_SIZE, 2, 8);
    common_write(v, C_QUEUE_DESC, 4, 0x1000);
    common_write(v, C_QUEUE_ENABLE, 2, 0);
    check(common_read(v, C_QUEUE_SIZE, 2) == 16 && common_read(v, C_QUEUE_DESC, 4) == (uint64_t)r->table &&
              common_read(v, C_QUEUE_ENABLE, 2) == 1,
          "and stands still then");
    check_equal(status_read(v), S_ALL, "all is well");
    uint32_t generation = common_read(v, C_GENERATION, 1);
    bool same = true;
    for (unsigned i = 0; i + 4 <= v->config.size; i += 4) {
        uint32_t bytes = 0;
        for (unsigned byte = 0; byte < 4; byte++)
            bytes |= config_read(v, i + byte, 1) << 8 * byte;
        same = same && bytes == config_read(v, i, 4) &&
               bytes == (config_read(v, i, 2) | config_read(v, i + 2, 2) << 16);
    }
    check(same, "the configuration by bytes, words and double words");
    check_equal(common_read(v, C_GENERATION, 1), generation, "its generation stands still");
    virtio_reset(v);
}

void check_device(struct virtio *v, struct ring *r) {
    check_status(v);
    check_features(v);
    check_common(v);
    check_enable(v, r);
}
