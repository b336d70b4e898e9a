// SPDX-License-Identifier: Apache-2.0
// virtio-iommu (virtio 1.2, 5.13): configuration, requests, translation, faults.
//
// A request that takes a mapping away is answered once nothing of ours touches the memory any more. Queues of
// the devices concerned are found anew at once. Only a disk keeps addresses for longer: a driver that unmaps
// what a disk is at work on waits until the disk has let go.
#include "virtio/iommu.h"

#include <errno.h>
#include <string.h>
#include "virtio/bytes.h"
#include "virtio/iommu_passed.h"

#define F_INPUT_RANGE   (1ull << 0)
#define F_DOMAIN_RANGE  (1ull << 1)
#define F_MAP_UNMAP     (1ull << 2)
#define F_PROBE         (1ull << 4)
#define F_MMIO          (1ull << 5)
#define F_BYPASS_CONFIG (1ull << 6)

#define REQUESTS        0u /* queues */
#define EVENTS          1u
#define REQUEST_ROOM    256u /* entries of the queues */
#define EVENT_ROOM      64u

/* The configuration (5.13.4). */
#define CONFIG_BYPASS   36u
#define CONFIG_SIZE     40u

#define T_ATTACH        1u
#define T_DETACH        2u
#define T_MAP           3u
#define T_UNMAP         4u
#define T_PROBE         5u

#define S_OK            0u
#define S_UNSUPP        2u
#define S_INVAL         4u
#define S_RANGE         5u
#define S_NOENT         6u
#define S_FAULT         7u
#define S_NOMEM         8u
#define S_MORE          0xffu /* none that a driver sees: the request goes on in the next run */

#define TAIL            4u /* bytes: the status and three zeroes */
#define ATTACH_BYPASS   1u

#define PROPERTY_MEMORY 1u /* RESV_MEM */
#define PROPERTY_SIZE   20u
#define MEMORY_MSI      1u

/* Where messages go on a PC: no address of memory to a device. */
#define MESSAGES        0xfee00000ull
#define MESSAGES_END    0xfeefffffull

#define FAULT_SIZE      24u
#define FAULT_DOMAIN    1u /* reasons */
#define FAULT_MAPPING   2u
#define FAULT_READ      (1u << 0)
#define FAULT_WRITE     (1u << 1)
#define FAULT_ADDRESS   (1u << 8)

/* What lies in record->own: 1: `bypass` is 0; 1: what was mapped before a reset is being taken away. */
enum { OWN_BLOCKED, OWN_RESETTING };

static struct virtio_iommu *iommu_of(struct virtio_device *device) {
    return (struct virtio_iommu *)((char *)device - offsetof(struct virtio_iommu, device));
}

bool virtio_iommu_idle(const struct virtio_iommu *iommu) {
    return iommu->device.record->own[OWN_RESETTING] == 0;
}

bool virtio_iommu_blocked(const struct virtio_iommu *iommu) {
    return iommu->device.record->own[OWN_BLOCKED] != 0;
}

/* ---- configuration */

static uint32_t config_read(struct virtio_device *device, unsigned offset, unsigned size) {
    uint8_t config[CONFIG_SIZE] = {0};

    bytes_put64(config, ~(uint64_t)(IOMMU_PAGE - 1));
    bytes_put64(config + 16, iommu_of(device)->input_end);
    bytes_put32(config + 28, IOMMU_STORE_DOMAINS - 1);
    bytes_put32(config + 32, VIRTIO_IOMMU_PROBE_SIZE);
    config[CONFIG_BYPASS] = !virtio_iommu_blocked(iommu_of(device));
    return bytes_get(config + offset, size);
}

/* ---- translation, and faults */

/* A driver that gives no buffers is not told (5.13.6.8). */
static void report(struct virtio_iommu *iommu, const struct virtio_iommu_endpoint *endpoint, uint8_t reason,
                   uint64_t address, unsigned access) {
    static struct virtq_buffer buffer; /* in use within this function alone */
    struct virtio_device *device = &iommu->device;
    uint8_t event[FAULT_SIZE] = {reason};

    if (!virtio_device_take(device, EVENTS, &buffer))
        return;
    if (buffer.readable || buffer.write_size < FAULT_SIZE) {
        virtio_device_break(device, "a buffer for events has no room for one");
        return;
    }
    bytes_put32(event + 4, (access & VIRTIO_ACCESS_READ ? FAULT_READ : 0) |
                               (access & VIRTIO_ACCESS_WRITE ? FAULT_WRITE : 0) | FAULT_ADDRESS);
    bytes_put32(event + 8, endpoint->slot << 3);
    bytes_put64(event + 16, address);
    virtq_write(&device->queue[EVENTS], &buffer, 0, event, sizeof(event));
    virtio_device_finish(device, EVENTS, &buffer, sizeof(event));
    virtio_device_flush(device, EVENTS);
}

static bool translate(struct virtio_memory *memory, uint64_t address, unsigned access, uint64_t *gpa,
                      uint64_t *room) {
    struct virtio_iommu_endpoint *endpoint = (struct virtio_iommu_endpoint *)memory;
    struct virtio_iommu *iommu = endpoint->iommu;
    uint32_t state = iommu_store_endpoint(&iommu->store, endpoint->slot);

    if (state ? (state & IOMMU_ENDPOINT_BYPASS) : !virtio_iommu_blocked(iommu)) {
        *gpa = address;
        *room = UINT64_MAX;
        return true;
    }
    const struct iommu_mapping *mapping =
        state ? iommu_store_find(&iommu->store, state & IOMMU_ENDPOINT_DOMAIN, address) : NULL;
    if (!mapping || (access & ~mapping->flags)) {
        report(iommu, endpoint, state ? FAULT_MAPPING : FAULT_DOMAIN, address, access);
        return false;
    }
    *gpa = mapping->physical + (address - mapping->start);
    *room = mapping->end - address + 1;
    return true;
}
_Static_assert(VIRTIO_ACCESS_READ == IOMMU_MAP_READ && VIRTIO_ACCESS_WRITE == IOMMU_MAP_WRITE,
               "accesses are compared with a mapping's flags");

static void *map(struct virtio_memory *memory, uint64_t gpa, uint64_t *contiguous) {
    struct virtio_memory *below = ((struct virtio_iommu_endpoint *)memory)->below;

    return below->map(below, gpa, contiguous);
}

static void dirty(struct virtio_memory *memory, uint64_t gpa, uint64_t size) {
    struct virtio_memory *below = ((struct virtio_iommu_endpoint *)memory)->below;

    below->dirty(below, gpa, size);
}

/* ---- taking away */

/* Where a device is at work on these of its addresses, the request waits for it. */
static void drain(struct virtio_iommu_endpoint *endpoint, uint64_t first, uint64_t last) {
    const struct virtio_device *device = endpoint->device;

    if (!device || !device->class->holds || !device->class->holds(device, first, last))
        return;
    endpoint->iommu->drain_first = first;
    endpoint->iommu->drain_last = last;
    endpoint->iommu->draining |= 1u << endpoint->slot;
}

/* What was unmapped meanwhile is in no new request, so that this ends. */
static bool drained(struct virtio_iommu *iommu) {
    for (uint32_t left = iommu->draining; left; left &= left - 1) {
        unsigned slot = (unsigned)__builtin_ctz(left);
        const struct virtio_device *device = iommu->endpoint[slot].device;
        if (!device->class->holds(device, iommu->drain_first, iommu->drain_last))
            iommu->draining &= ~(1u << slot);
    }
    return iommu->draining == 0;
}

static void remap(struct virtio_iommu_endpoint *endpoint) {
    if (endpoint->device)
        virtio_device_remap(endpoint->device);
}

static bool is_in(const struct virtio_iommu *iommu, unsigned slot, uint32_t domain) {
    uint32_t state = iommu_store_endpoint(&iommu->store, slot);

    return (state & IOMMU_ENDPOINT_ATTACHED) && (state & IOMMU_ENDPOINT_DOMAIN) == domain;
}

/* The endpoint goes from one domain to another; if it cannot, it is in none. A device that has requests under
 * way would go on with others by other addresses: it breaks. -EINPROGRESS: to be called again. */
static int move(struct virtio_iommu_endpoint *endpoint, uint32_t state) {
    struct virtio_iommu *iommu = endpoint->iommu;
    uint32_t bit = 1u << endpoint->slot;

    if (iommu_store_endpoint(&iommu->store, endpoint->slot) == state)
        return 0;
    int error = iommu_passed_move(iommu, endpoint->slot, state);
    if (error == -EINPROGRESS)
        return error;
    iommu_store_attach(&iommu->store, endpoint->slot, error ? 0 : state);
    remap(endpoint);
    drain(endpoint, 0, UINT64_MAX);
    if ((iommu->draining & bit) && virtio_running(endpoint->device))
        virtio_device_break(endpoint->device, "its addresses have changed while requests are under way");
    return error;
}

/* What a request is answered that the hypervisor has refused, or that there is no room for. */
static uint8_t status_of(int error) {
    switch (error) {
    case 0:
        return S_OK;
    case -ENOMEM:
    case -ENOSPC:
        return S_NOMEM;
    case -EINPROGRESS:
        return S_MORE;
    case -EFAULT:
        return S_FAULT;
    case -EINVAL:
        return S_RANGE;
    default:
        return S_UNSUPP;
    }
}

/* What unattached devices have found may be theirs no longer. */
static void config_write(struct virtio_device *device, unsigned offset, unsigned size, uint32_t value) {
    struct virtio_iommu *iommu = iommu_of(device);

    if (offset != CONFIG_BYPASS || size != 1 || value > 1 || !virtio_has(device, F_BYPASS_CONFIG))
        return;
    if (!iommu_passed_bypass(iommu, value == 1))
        return; /* it reads as 1 still */
    device->record->own[OWN_BLOCKED] = value == 0;
    for (unsigned i = 0; i < IOMMU_STORE_ENDPOINTS; i++)
        if (!iommu_store_endpoint(&iommu->store, i))
            remap(&iommu->endpoint[i]);
}

/* ---- requests. One that returns S_MORE is asked for again, and nothing else meanwhile. */

/* A reset, which may come meanwhile, has the device forget what the driver has chosen. */
static bool asks_with(const struct virtio_iommu *iommu, uint64_t feature) {
    return (iommu->store.kept->features & feature) != 0;
}

/* The endpoint of that number; NULL: there is none. */
static struct virtio_iommu_endpoint *endpoint_of(struct virtio_iommu *iommu, uint32_t number) {
    if (number & 7 || number >> 3 >= IOMMU_STORE_ENDPOINTS)
        return NULL;
    return iommu->slots & 1u << (number >> 3) ? &iommu->endpoint[number >> 3] : NULL;
}

static uint8_t attach(struct virtio_iommu *iommu, const uint8_t *request) {
    uint32_t domain = bytes_get32(request + 4), flags = bytes_get32(request + 12);
    struct virtio_iommu_endpoint *endpoint = endpoint_of(iommu, bytes_get32(request + 8));
    uint32_t known = asks_with(iommu, F_BYPASS_CONFIG) ? ATTACH_BYPASS : 0;

    if (bytes_get32(request + 16) || (flags & ~known))
        return S_INVAL;
    if (!endpoint)
        return S_NOENT;
    if (domain >= IOMMU_STORE_DOMAINS)
        return S_RANGE;
    uint32_t state = IOMMU_ENDPOINT_ATTACHED | domain | (flags & ATTACH_BYPASS ? IOMMU_ENDPOINT_BYPASS : 0);
    uint32_t before = iommu_store_domain(&iommu->store, domain);
    if (before && before != state)
        return S_INVAL;
    return status_of(move(endpoint, state));
}

static uint8_t detach(struct virtio_iommu *iommu, const uint8_t *request) {
    uint32_t domain = bytes_get32(request + 4);
    struct virtio_iommu_endpoint *endpoint = endpoint_of(iommu, bytes_get32(request + 8));

    if (!endpoint)
        return S_NOENT;
    if (!is_in(iommu, endpoint->slot, domain))
        return iommu->resumed ? S_OK : S_INVAL; /* it may have been done already */
    return status_of(move(endpoint, 0));
}

/* What the domain of a MAP or UNMAP request makes of it; S_OK: it goes on. */
static uint8_t check_domain(const struct virtio_iommu *iommu, uint32_t domain) {
    uint32_t state = domain < IOMMU_STORE_DOMAINS ? iommu_store_domain(&iommu->store, domain) : 0;

    if (!asks_with(iommu, F_MAP_UNMAP))
        return S_UNSUPP;
    if (domain >= IOMMU_STORE_DOMAINS)
        return S_RANGE;
    return !state ? S_NOENT : state & IOMMU_ENDPOINT_BYPASS ? S_INVAL : S_OK;
}

/* Whether a mapping is there exactly as it is asked for. */
static bool is_there(const struct iommu_store *store, const struct iommu_mapping *wanted) {
    const struct iommu_mapping *mapping = iommu_store_find(store, wanted->domain, wanted->start);

    return mapping && mapping->start == wanted->start && mapping->end == wanted->end &&
           mapping->physical == wanted->physical && mapping->flags == (wanted->flags | IOMMU_MAPPING_USED);
}

static uint8_t add_mapping(struct virtio_iommu *iommu, const uint8_t *request) {
    const struct iommu_mapping mapping = {.domain = bytes_get32(request + 4),
                                          .start = bytes_get64(request + 8),
                                          .end = bytes_get64(request + 16),
                                          .physical = bytes_get64(request + 24),
                                          .flags = bytes_get32(request + 32)};
    uint32_t known = IOMMU_MAP_READ | IOMMU_MAP_WRITE | (asks_with(iommu, F_MMIO) ? IOMMU_MAP_MMIO : 0);
    uint8_t status = check_domain(iommu, mapping.domain);

    if (status != S_OK)
        return status;
    if (mapping.flags & ~known)
        return S_INVAL;
    if (!iommu_store_sound(&mapping))
        return S_RANGE;
    if (mapping.start <= MESSAGES_END && mapping.end >= MESSAGES)
        return S_INVAL;
    if (mapping.end > iommu->input_end)
        return S_RANGE;
    int error = iommu_store_check(&iommu->store, &mapping);
    if (error == -EEXIST)
        return iommu->resumed && is_there(&iommu->store, &mapping) ? S_OK : S_INVAL;
    if (!error)
        error = iommu_passed_map(iommu, &mapping);
    if (!error)
        error = iommu_store_map(&iommu->store, &mapping);
    return status_of(error);
}

static uint8_t remove_mappings(struct virtio_iommu *iommu, const uint8_t *request) {
    uint32_t domain = bytes_get32(request + 4);
    uint64_t start = bytes_get64(request + 8), end = bytes_get64(request + 16);
    uint8_t status = check_domain(iommu, domain);

    if (status != S_OK)
        return status;
    if (end < start)
        return S_RANGE;
    int count = iommu_store_covered(&iommu->store, domain, start, end);
    if (count < 0)
        return S_RANGE;
    if (iommu_passed_unmap(iommu, domain, start, end))
        return S_MORE;
    (void)iommu_store_unmap(&iommu->store, domain, start, end);
    for (unsigned i = 0; count > 0 && i < IOMMU_STORE_ENDPOINTS; i++) {
        if (!is_in(iommu, i, domain))
            continue;
        remap(&iommu->endpoint[i]);
        drain(&iommu->endpoint[i], start, end);
    }
    return S_OK;
}

/* Fills in the properties of an endpoint. */
static uint8_t probe(struct virtio_iommu *iommu, const uint8_t *request,
                     uint8_t properties[VIRTIO_IOMMU_PROBE_SIZE]) {
    if (!endpoint_of(iommu, bytes_get32(request + 4)))
        return S_NOENT;
    bytes_put16(properties, PROPERTY_MEMORY);
    bytes_put16(properties + 2, PROPERTY_SIZE);
    properties[4] = MEMORY_MSI;
    bytes_put64(properties + 8, MESSAGES);
    bytes_put64(properties + 16, MESSAGES_END);
    return S_OK;
}

/* Bytes that the driver writes of a request of that type; 0: there is none. */
static unsigned request_size(uint8_t type) {
    static const uint8_t sizes[] = {
        [T_ATTACH] = 20, [T_DETACH] = 20, [T_MAP] = IOMMU_STORE_REQUEST, [T_UNMAP] = 28, [T_PROBE] = 72};

    return type < sizeof(sizes) ? sizes[type] : 0;
}

/* Writes the answer of a PROBE request: behind the properties there is the status. Bytes that were written.
 */
static uint32_t answer_probe(struct virtio_iommu *iommu) {
    struct virtq *queue = &iommu->device.queue[REQUESTS];
    const struct virtq_buffer *buffer = &iommu->pending;
    uint8_t reply[VIRTIO_IOMMU_PROBE_SIZE + TAIL] = {0};

    if (buffer->write_size < sizeof(reply)) { /* too little room for all properties */
        uint8_t refused[TAIL] = {S_INVAL};
        uint64_t tail = buffer->write_size - TAIL;
        virtq_write(queue, buffer, (size_t)tail, refused, TAIL);
        return tail ? 0 : TAIL; /* what is reported begins at the buffer's beginning (2.7.8) */
    }
    reply[VIRTIO_IOMMU_PROBE_SIZE] = probe(iommu, iommu->store.kept->request, reply);
    return (uint32_t)virtq_write(queue, buffer, 0, reply, sizeof(reply));
}

/* Looks at the request that was taken. What has no room for an answer, or is none, gets none. */
static void begin(struct virtio_iommu *iommu) {
    const struct virtq_buffer *buffer = &iommu->pending;
    struct iommu_kept *kept = iommu->store.kept;
    unsigned wanted;

    kept->asked = 0;
    kept->features = iommu->device.record->features;
    memset(kept->request, 0, sizeof(kept->request));
    (void)virtq_read(&iommu->device.queue[REQUESTS], buffer, 0, kept->request, sizeof(kept->request));
    wanted = request_size(kept->request[0]);
    iommu->written = 0;
    iommu->stage = VIRTIO_IOMMU_ANSWERED;
    if (!wanted || buffer->read_size < wanted || buffer->write_size < TAIL) {
        iommu->resumed = false;
    } else if (kept->request[0] == T_PROBE) {
        iommu->resumed = false;
        iommu->written = answer_probe(iommu);
    } else {
        iommu->stage = VIRTIO_IOMMU_ASKED;
        __atomic_store_n(&kept->asked, 1, __ATOMIC_RELEASE);
    }
}

static uint8_t perform(struct virtio_iommu *iommu, const uint8_t *request) {
    switch (request[0]) {
    case T_ATTACH:
        return attach(iommu, request);
    case T_DETACH:
        return detach(iommu, request);
    case T_MAP:
        return add_mapping(iommu, request);
    default:
        return remove_mappings(iommu, request);
    }
}

/* Goes on with a request. False: it takes another run. */
static bool go_on(struct virtio_iommu *iommu) {
    uint8_t reply[TAIL] = {perform(iommu, iommu->store.kept->request)};

    if (reply[0] == S_MORE)
        return false;
    __atomic_store_n(&iommu->store.kept->asked, 0, __ATOMIC_RELEASE);
    iommu->resumed = false;
    if (iommu->stage == VIRTIO_IOMMU_ASKED) {
        iommu->stage = VIRTIO_IOMMU_ANSWERED;
        iommu->written =
            (uint32_t)virtq_write(&iommu->device.queue[REQUESTS], &iommu->pending, 0, reply, sizeof(reply));
    }
    return true;
}

/* Goes on with a reset. False: it takes another run. A request that it overtook, also one of a run of our
 * program before this one, is done all the same, so that nobody has to know how far it had come. */
static bool reset_on(struct virtio_iommu *iommu) {
    if (iommu->store.kept->asked && !go_on(iommu))
        return false;
    for (unsigned i = 0; i < IOMMU_STORE_ENDPOINTS; i++)
        if (move(&iommu->endpoint[i], 0) == -EINPROGRESS)
            return false;
    iommu_store_clear(&iommu->store);
    iommu->device.record->own[OWN_RESETTING] = 0;
    return true;
}

/* The next request. False: there is none. */
static bool take(struct virtio_iommu *iommu) {
    struct virtio_device *device = &iommu->device;

    if (!virtio_running(device))
        return false;
    if (virtio_device_take(device, REQUESTS, &iommu->pending))
        return true;
    return virtio_running(device) && device->queue[REQUESTS].size &&
           virtq_listen(&device->queue[REQUESTS], true) &&
           virtio_device_take(device, REQUESTS, &iommu->pending);
}

/* As far as the budget goes. Who is to be called for the rest; NULL: there is none. */
static void (*work(struct virtio_iommu *iommu))(struct virtio_iommu *iommu) {
    iommu->spent = 0;
    for (;;) {
        if (iommu->stage == VIRTIO_IOMMU_ASKED && !go_on(iommu))
            return iommu->again;
        if (!virtio_iommu_idle(iommu) && !reset_on(iommu))
            return iommu->again;
        if (!drained(iommu))
            return iommu->later;
        if (iommu->stage == VIRTIO_IOMMU_ANSWERED)
            virtio_device_finish(&iommu->device, REQUESTS, &iommu->pending, iommu->written);
        iommu->stage = VIRTIO_IOMMU_IDLE;
        if (iommu->spent >= IOMMU_PASSED_BUDGET)
            return iommu->again;
        if (!take(iommu))
            return NULL;
        iommu->spent++;
        begin(iommu);
    }
}

void virtio_iommu_run(struct virtio_iommu *iommu) {
    void (*rest)(struct virtio_iommu * iommu) = work(iommu);

    virtio_device_flush(&iommu->device, REQUESTS);
    if (rest)
        rest(iommu);
}

/* ---- the class */

/* Devices that were confined have the guest's whole memory again, or nothing, as `bypass` says, which a reset
 * leaves as it is (5.13.4.2). */
static void reset(struct virtio_device *device) {
    struct virtio_iommu *iommu = iommu_of(device);

    iommu->stage = VIRTIO_IOMMU_IDLE;
    if (!iommu->store.kept->asked)
        iommu->resumed = false;
    device->record->own[OWN_RESETTING] = 1;
    virtio_iommu_run(iommu);
}

/* What a driver reads of the status is not 0 before a reset is over. */
static bool holds(const struct virtio_device *device, uint64_t first, uint64_t last) {
    (void)first;
    (void)last;
    return device->record->own[OWN_RESETTING] != 0;
}

void virtio_iommu_restart(struct virtio_iommu *iommu) {
    iommu->device.record->own[OWN_BLOCKED] = 0;
}

static void start(struct virtio_device *device) {
    virtio_iommu_run(iommu_of(device));
}

static void notify(struct virtio_device *device, unsigned index) {
    if (index == REQUESTS)
        virtio_iommu_run(iommu_of(device));
}

static const struct virtio_class class = {.id = VIRTIO_ID_IOMMU,
                                          .name = "IOMMU",
                                          .reset = reset,
                                          .start = start,
                                          .notify = notify,
                                          .holds = holds,
                                          .config_read = config_read,
                                          .config_write = config_write};

void virtio_iommu_init(struct virtio_iommu *iommu, struct iommu_kept *kept, uint32_t slots,
                       void (*again)(struct virtio_iommu *iommu), void (*later)(struct virtio_iommu *iommu)) {
    struct virtio_device *device = &iommu->device;

    memset(iommu, 0, sizeof(*iommu));
    iommu->again = again;
    iommu->later = later;
    iommu->resumed = true;
    iommu->slots = slots;
    iommu->input_end = IOMMU_INPUT_END;
    for (unsigned i = 0; i < IOMMU_STORE_ENDPOINTS; i++)
        iommu->endpoint[i] = (struct virtio_iommu_endpoint){
            .memory = {.map = map, .dirty = dirty, .translate = translate}, .iommu = iommu, .slot = i};
    iommu_store_init(&iommu->store, kept);
    device->class = &class;
    device->features_offered =
        VIRTIO_VERSION_1 | F_INPUT_RANGE | F_DOMAIN_RANGE | F_MAP_UNMAP | F_PROBE | F_MMIO | F_BYPASS_CONFIG;
    device->queue_count = 2;
    device->queue_size[REQUESTS] = REQUEST_ROOM;
    device->queue_size[EVENTS] = EVENT_ROOM;
    device->config_size = CONFIG_SIZE;
}

void virtio_iommu_machine(struct virtio_iommu *iommu, const struct virtio_iommu_machine *machine,
                          unsigned bits) {
    iommu->machine = machine;
    if (bits < 48)
        iommu->input_end = (1ull << bits) - 1;
}

struct virtio_memory *virtio_iommu_add(struct virtio_iommu *iommu, unsigned slot,
                                       struct virtio_device *device, struct virtio_memory *below) {
    struct virtio_iommu_endpoint *endpoint = &iommu->endpoint[slot];

    endpoint->device = device;
    endpoint->below = below;
    return &endpoint->memory;
}
