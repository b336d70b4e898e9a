// SPDX-License-Identifier: Apache-2.0
// The table of the config's nodes and properties, and lookup in it.
#include "lib/config_schema.h"

#include <assert.h>
#include <string.h>

#define X86          .only = CONFIG_FOR(CONFIG_ARCH_X86)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Choices stand in the order of their enum. */
static const char *const compatibles[] = {"saguaro,host", NULL};
static const char *const when_idles[] = {"stay", "poweroff", "reboot", NULL};
static const char *const log_levels[] = {"error", "warning", "info", "debug", NULL};
static const char *const consoles[] = {"com1", "none", NULL};
static const char *const on_off[] = {"off", "on", NULL};
static const char *const yes_no[] = {"no", "yes", NULL};
static const char *const restarts[] = {"never", "on-crash", "always", NULL};
static const char *const cpu_models[] = {"x86-64-v1", "x86-64-v2", "x86-64-v3", "host", NULL};
static const char *const net_types[] = {"virtio-net", "e1000", NULL};
static const char *const transports[] = {"pci", "mmio", NULL};
static const char *const iommus[] = {"none", "virtio", NULL};
static const char *const disk_types[] = {"virtio-blk", "ahci", NULL};
static const char *const unprotected[] = {"dma-unprotected", NULL};

static const struct config_property guest_properties[] = {
    [CONFIG_GUEST_KERNEL] = {"kernel", .type = CONFIG_TYPE_FILE, .otherwise = "one of the four images",
                             .field = offsetof(struct config_guest, images[CONFIG_IMAGE_KERNEL]),
                             .meaning =
                                 "image: a Linux kernel (bzImage, 64-bit boot protocol; on PowerPC an ELF "
                                 "vmlinux or an uncompressed uImage)"},
    [CONFIG_GUEST_MULTIBOOT] = {"multiboot", X86, .type = CONFIG_TYPE_FILE,
                                .otherwise = "one of the four images",
                                .field = offsetof(struct config_guest, images[CONFIG_IMAGE_MULTIBOOT]),
                                .meaning = "image: a multiboot 1 kernel"},
    [CONFIG_GUEST_PVH] = {"pvh", X86, .type = CONFIG_TYPE_FILE, .otherwise = "one of the four images",
                          .field = offsetof(struct config_guest, images[CONFIG_IMAGE_PVH]),
                          .meaning = "image: an ELF file with a PVH entry (a Linux vmlinux has one)"},
    [CONFIG_GUEST_FIRMWARE] =
        {"firmware", X86, .type = CONFIG_TYPE_FILE, .otherwise = "one of the four images",
         .field = offsetof(struct config_guest, images[CONFIG_IMAGE_FIRMWARE]),
         .meaning = "image: raw ROM of at most 16 MiB that ends at 4 GiB; the guest starts at the "
                    "reset vector in real mode"},
    [CONFIG_GUEST_INITRD] = {"initrd", .type = CONFIG_TYPE_FILE, .otherwise = "none",
                             .field = offsetof(struct config_guest, initrd),
                             .meaning = "initial RAM disk; with `kernel` and `pvh` only"},
    [CONFIG_GUEST_CMDLINE] = {"cmdline", .type = CONFIG_TYPE_TEXT, .max = CONFIG_MAX_CMDLINE,
                              .preset_text = "", .field = offsetof(struct config_guest, cmdline),
                              .meaning = "the kernel's command line; not with `firmware`"},
    [CONFIG_GUEST_MODULES] = {"modules", X86, .type = CONFIG_TYPE_MODULES, .min = 1,
                              .max = CONFIG_MAX_MODULES, .otherwise = "none",
                              .field = offsetof(struct config_guest, modules),
                              .meaning =
                                  "multiboot modules in order, a file name and after a space its arguments; "
                                  "with `multiboot` only"},
    [CONFIG_GUEST_MEMORY] = {"memory", .type = CONFIG_TYPE_SIZE, .flags = CONFIG_REQUIRED,
                             .min = CONFIG_MIN_MEMORY, .max = CONFIG_MAX_MEMORY,
                             .ppc_max = CONFIG_PPC_MAX_MEMORY, .field = offsetof(struct config_guest, memory),
                             .meaning =
                                 "RAM of the guest, a multiple of 4K; taken in full when the guest starts"},
    [CONFIG_GUEST_VCPUS] = {"vcpus", .type = CONFIG_TYPE_NUMBER, .min = 1, .max = CONFIG_MAX_VCPUS,
                            .ppc_max = CONFIG_PPC_MAX_VCPUS, .preset = 1,
                            .field = offsetof(struct config_guest, vcpus),
                            .meaning = "virtual CPUs; there may be more of them than CPUs in the machine"},
    [CONFIG_GUEST_CPUS] = {"cpus", .type = CONFIG_TYPE_CPUS, .max = CONFIG_MAX_CPUS - 1, .preset = UINT64_MAX,
                           .otherwise = "all CPUs", .field = offsetof(struct config_guest, cpus),
                           .meaning = "CPUs of the machine that the guest may run on, each named once"},
    [CONFIG_GUEST_PRIORITY] = {"priority", .type = CONFIG_TYPE_NUMBER, .max = CONFIG_MAX_PRIORITY,
                               .preset = CONFIG_DEFAULT_PRIORITY,
                               .field = offsetof(struct config_guest, priority),
                               .meaning = "the higher one runs first; equals take turns"},
    [CONFIG_GUEST_BUDGET] = {"budget", .type = CONFIG_TYPE_NUMBER, .min = CONFIG_MIN_BUDGET,
                             .max = CONFIG_MAX_PERIOD, .otherwise = "no limit",
                             .field = offsetof(struct config_guest, budget),
                             .meaning =
                                 "microseconds of CPU time that each virtual CPU gets in every `period`"},
    [CONFIG_GUEST_PERIOD] = {"period", .type = CONFIG_TYPE_NUMBER, .min = CONFIG_MIN_PERIOD,
                             .max = CONFIG_MAX_PERIOD, .otherwise = "no limit",
                             .field = offsetof(struct config_guest, period),
                             .meaning = "microseconds after which a new `budget` is given; both or neither"},
    [CONFIG_GUEST_RESTART] = {"restart", .type = CONFIG_TYPE_CHOICE, .choices = restarts,
                              .preset = CONFIG_RESTART_NEVER, .field = offsetof(struct config_guest, restart),
                              .meaning =
                                  "whether the guest is started again after a crash, or after any end"},
    [CONFIG_GUEST_CPU_MODEL] =
        {"cpu-model", X86, .type = CONFIG_TYPE_CHOICE, .choices = cpu_models, .preset = CONFIG_CPU_X86_64_V2,
         .field = offsetof(struct config_guest, cpu_model),
         .meaning = "CPU features that the guest sees; with `host` it cannot move to another CPU"},
    [CONFIG_GUEST_CONSOLE] = {"console", .type = CONFIG_TYPE_CHOICE, .choices = consoles,
                              .preset = CONFIG_CONSOLE_COM1, .field = offsetof(struct config_guest, console),
                              .meaning = "the guest's serial port that the monitor shows"},
    [CONFIG_GUEST_AUTOSTART] = {"autostart", .type = CONFIG_TYPE_CHOICE, .choices = yes_no, .preset = 1,
                                .field = offsetof(struct config_guest, autostart),
                                .meaning = "whether the guest starts with the machine"},
    [CONFIG_GUEST_EXIT_PORT] = {"exit-port", X86, .type = CONFIG_TYPE_CHOICE, .choices = yes_no, .preset = 1,
                                .field = offsetof(struct config_guest, exit_port),
                                .meaning =
                                    "whether a write to I/O port 0xF4 ends the guest with that exit code"},
    [CONFIG_GUEST_APIC] = {"apic-virtualization", X86, .type = CONFIG_TYPE_CHOICE, .choices = on_off,
                           .preset = 1, .field = offsetof(struct config_guest, apic_virtualization),
                           .meaning =
                               "whether the CPU may deliver the guest's interrupts by itself, if it can"},
    [CONFIG_GUEST_TSC] = {"tsc-khz", X86, .type = CONFIG_TYPE_NUMBER, .min = CONFIG_MIN_TSC,
                          .max = CONFIG_MAX_TSC, .otherwise = "the machine's",
                          .field = offsetof(struct config_guest, tsc_khz),
                          .meaning = "frequency of the guest's TSC; another than the machine's needs a CPU "
                                     "that scales it"},
    [CONFIG_GUEST_ENTROPY] = {"entropy", .type = CONFIG_TYPE_CHOICE, .choices = yes_no,
                              .preset = CONFIG_UNSET,
                              .otherwise = "\"yes\" if the guest has another virtio device",
                              .field = offsetof(struct config_guest, entropy),
                              .meaning = "whether the guest has a source of random numbers (virtio-rng)"},
    [CONFIG_GUEST_VIRTIO_CONSOLE] = {"virtio-console", .type = CONFIG_TYPE_CHOICE, .choices = yes_no,
                                     .field = offsetof(struct config_guest, virtio_console),
                                     .meaning = "whether the guest has a virtio console (hvc0), which the "
                                                "monitor shows as well"},
    [CONFIG_GUEST_TRANSPORT] = {"transport", .type = CONFIG_TYPE_CHOICE, .choices = transports,
                                .field = offsetof(struct config_guest, transport),
                                .meaning =
                                    "how the guest reaches its virtio devices, if a card or a disk does "
                                    "not say otherwise: PCI functions, or registers at fixed addresses"},
    [CONFIG_GUEST_BALLOON] = {"balloon", .type = CONFIG_TYPE_CHOICE, .choices = yes_no,
                              .field = offsetof(struct config_guest, balloon),
                              .meaning =
                                  "whether the guest has a balloon (virtio-balloon), by which it reports its "
                                  "free memory, and the monitor's `balloon` asks it to give some back"},
    [CONFIG_GUEST_PASSTHROUGH] = {"passthrough", X86, .type = CONFIG_TYPE_PASSED, .min = 1,
                                  .max = CONFIG_MAX_PASSTHROUGH, .otherwise = "none",
                                  .field = offsetof(struct config_guest, passthrough),
                                  .meaning = "PCI functions of the machine that the guest has to itself; "
                                             "needs an IOMMU, or `identity-memory`"},
    [CONFIG_GUEST_IOMMU] =
        {"iommu", X86, .type = CONFIG_TYPE_CHOICE, .choices = iommus,
         .field = offsetof(struct config_guest, iommu),
         .meaning = "whether the guest has an IOMMU (virtio-iommu), with which it says what its devices "
                    "reach of its memory: those of virtio over PCI, and `passthrough`"},
    [CONFIG_GUEST_IDENTITY_MEMORY] =
        {"identity-memory", X86, .type = CONFIG_TYPE_CONSENT, .choices = unprotected, .otherwise = "none",
         .field = offsetof(struct config_guest, identity_memory),
         .meaning = "RAM at the same addresses in guest and machine, so that `passthrough` works without an "
                    "IOMMU: its functions can then reach all of the machine's memory; with `kernel` and "
                    "`multiboot` only"},
};

static_assert(COUNT(guest_properties) == CONFIG_GUEST_PROPERTIES, "the guest's table has every property");
static_assert(COUNT(guest_properties) <= 32, "a set of properties fits in 32 bits");

static const struct config_property net_properties[] = {
    {"type", .type = CONFIG_TYPE_CHOICE, .choices = net_types, .field = offsetof(struct config_net, type),
     .meaning = "what kind of card the guest sees; `e1000`, an Intel 82540EM, is for systems that know no "
                "virtio"},
    {"network", .type = CONFIG_TYPE_LINK, .max = CONFIG_MAX_NAME, .flags = CONFIG_REQUIRED,
     .field = offsetof(struct config_net, network_name), .meaning = "the network that it is in"},
    {"mac", .type = CONFIG_TYPE_MAC, .otherwise = "made from host, guest and N",
     .field = offsetof(struct config_net, mac), .meaning = "the card's address"},
    {"mac-lock", .type = CONFIG_TYPE_CHOICE, .choices = yes_no, .preset = 1,
     .field = offsetof(struct config_net, mac_lock),
     .meaning = "whether frames that the guest sends from another address are dropped"},
    {"mtu", .type = CONFIG_TYPE_NUMBER, .min = CONFIG_MIN_MTU, .max = CONFIG_MAX_MTU, .preset = 1500,
     .field = offsetof(struct config_net, mtu), .meaning = "bytes of the largest packet"},
    {"queues", .type = CONFIG_TYPE_NUMBER, .min = 1, .max = CONFIG_MAX_QUEUES, .preset = 1,
     .field = offsetof(struct config_net, queues),
     .meaning = "pairs of queues, at most as many as the guest has virtual CPUs; not with `e1000`"},
    {"transport", .type = CONFIG_TYPE_CHOICE, .choices = transports, .preset = CONFIG_UNSET,
     .otherwise = "the guest's", .field = offsetof(struct config_net, transport),
     .meaning = "how the guest reaches the card; not with `e1000`, which is a PCI function"},
};

static const struct config_property guest_disk_properties[] = {
    {"type", .type = CONFIG_TYPE_CHOICE, .choices = disk_types,
     .field = offsetof(struct config_guest_disk, type),
     .meaning = "what kind of disk the guest sees; `ahci`: a port of one AHCI controller, for guests that "
                "know no virtio"},
    {"disk", .type = CONFIG_TYPE_LINK, .max = CONFIG_MAX_NAME, .flags = CONFIG_REQUIRED,
     .field = offsetof(struct config_guest_disk, disk_name), .meaning = "the disk that it shows"},
    {"partition", .type = CONFIG_TYPE_NUMBER, .min = 1, .max = CONFIG_MAX_PARTITION,
     .otherwise = "the whole disk", .field = offsetof(struct config_guest_disk, partition),
     .meaning = "the partition of the disk that is shown, by its number in the partition table"},
    {"read-only", .type = CONFIG_TYPE_CHOICE, .choices = yes_no, .preset = CONFIG_UNSET,
     .otherwise = "as the disk, if without overlay", .field = offsetof(struct config_guest_disk, read_only),
     .meaning = "whether the guest cannot write"},
    {"overlay", .type = CONFIG_TYPE_CHOICE, .choices = yes_no,
     .field = offsetof(struct config_guest_disk, overlay),
     .meaning = "whether what the guest writes is kept in memory, over the disk, which stays as it is; "
                "needs the service VM's `overlay-memory`"},
    {"serial", .type = CONFIG_TYPE_TEXT, .max = CONFIG_MAX_SERIAL, .otherwise = "\"GUEST-diskN\"",
     .field = offsetof(struct config_guest_disk, serial),
     .meaning = "serial number that the guest reads; in the default the guest's name is cut to 14 bytes"},
    {"transport", .type = CONFIG_TYPE_CHOICE, .choices = transports, .preset = CONFIG_UNSET,
     .otherwise = "the guest's", .field = offsetof(struct config_guest_disk, transport),
     .meaning = "how the guest reaches the disk; not with `ahci`, which is a PCI function"},
};

static const struct config_node guest_nodes[] = {
    {.name = "netN",
     .flags = CONFIG_NUMBERED,
     .kind = CONFIG_KIND_NET,
     .properties = net_properties,
     .property_count = COUNT(net_properties),
     .meaning = "a network card of the guest, net0 to net7"},
    {.name = "diskN",
     .flags = CONFIG_NUMBERED,
     .kind = CONFIG_KIND_GUEST_DISK,
     .properties = guest_disk_properties,
     .property_count = COUNT(guest_disk_properties),
     .meaning = "a disk of the guest, disk0 to disk7"},
};

static const struct config_node guests_nodes[] = {
    {.name = "NAME",
     .flags = CONFIG_ANY_NAME,
     .kind = CONFIG_KIND_GUEST,
     .properties = guest_properties,
     .property_count = COUNT(guest_properties),
     .nodes = guest_nodes,
     .node_count = COUNT(guest_nodes),
     .meaning = "one guest"},
};

static const struct config_property service_properties[] = {
    {"memory", .type = CONFIG_TYPE_SIZE, .min = CONFIG_MIN_SERVICE, .max = CONFIG_MAX_SERVICE,
     .ppc_max = CONFIG_PPC_MAX_SERVICE, .power = 2, .ppc_power = 4,
     .otherwise = "\"64M\"; on PowerPC \"16M\"; \"4M\" if there are no devices, networks and disks",
     .field = offsetof(struct config, service.memory), .meaning = "RAM of the service VM"},
    {"overlay-memory", .type = CONFIG_TYPE_SIZE, .min = CONFIG_MIN_OVERLAY, .max = CONFIG_MAX_MEMORY,
     .ppc_max = CONFIG_PPC_MAX_MEMORY, .otherwise = "none; required if a guest's disk has an overlay",
     .field = offsetof(struct config, service.overlay_memory),
     .meaning = "memory beside it that all overlays share: at least 1M for each"},
    {"cpus", .type = CONFIG_TYPE_CPUS, .max = CONFIG_MAX_CPUS - 1, .preset = UINT64_MAX,
     .otherwise = "all CPUs", .field = offsetof(struct config, service.cpus),
     .meaning = "CPUs of the machine that it may run on, each named once"},
    {"budget", .type = CONFIG_TYPE_NUMBER, .min = CONFIG_MIN_BUDGET, .max = CONFIG_MAX_PERIOD, .preset = 8000,
     .field = offsetof(struct config, service.budget),
     .meaning = "microseconds of CPU time that it gets in every `period`"},
    {"period", .type = CONFIG_TYPE_NUMBER, .min = CONFIG_MIN_PERIOD, .max = CONFIG_MAX_PERIOD,
     .preset = 10000, .field = offsetof(struct config, service.period),
     .meaning = "microseconds after which a new `budget` is given; both or neither"},
};

static const struct config_property network_properties[] = {
    {"uplink", .type = CONFIG_TYPE_UPLINK, .otherwise = "none",
     .field = offsetof(struct config_network, uplink),
     .meaning = "the card of the machine that joins the network to the world"},
    {"broadcast-limit", .type = CONFIG_TYPE_NUMBER, .max = CONFIG_MAX_BROADCASTS, .preset = 1000,
     .field = offsetof(struct config_network, broadcast_limit),
     .meaning = "frames to all that each card may send in a second; 0: no limit"},
};

static const struct config_node networks_nodes[] = {
    {.name = "NAME",
     .flags = CONFIG_ANY_NAME,
     .kind = CONFIG_KIND_NETWORK,
     .properties = network_properties,
     .property_count = COUNT(network_properties),
     .meaning = "one network"},
};

static const struct config_property disk_properties[] = {
    {"file", .type = CONFIG_TYPE_FILE, .otherwise = "one of the three stores",
     .field = offsetof(struct config_disk, file),
     .meaning = "store: a file that is read into memory at the start, a multiple of 512 bytes; what is "
                "written is lost with the machine's power"},
    {"memory", .type = CONFIG_TYPE_SIZE, .min = CONFIG_MIN_DISK, .max = CONFIG_MAX_MEMORY,
     .ppc_max = CONFIG_PPC_MAX_MEMORY, .otherwise = "one of the three stores",
     .field = offsetof(struct config_disk, memory),
     .meaning = "store: memory of that size, a multiple of 4K, empty at the start"},
    {"device", .type = CONFIG_TYPE_DEVICE, .max = CONFIG_MAX_DEVICE, .otherwise = "one of the three stores",
     .field = offsetof(struct config_disk, device), .meaning = "store: a disk of the machine"},
    {"read-only", .type = CONFIG_TYPE_CHOICE, .choices = yes_no,
     .field = offsetof(struct config_disk, read_only), .meaning = "whether no guest can write it"},
    {"shared", .type = CONFIG_TYPE_CHOICE, .choices = yes_no, .field = offsetof(struct config_disk, shared),
     .meaning = "whether several guests may write it; they need a file system that is made for it"},
};

static const struct config_node disks_nodes[] = {
    {.name = "NAME",
     .flags = CONFIG_ANY_NAME,
     .kind = CONFIG_KIND_DISK,
     .properties = disk_properties,
     .property_count = COUNT(disk_properties),
     .meaning = "one disk"},
};

static const struct config_property host_properties[] = {
    {"name", .type = CONFIG_TYPE_NAME, .max = CONFIG_MAX_NAME, .preset_text = "saguaro",
     .field = offsetof(struct config, host_name), .meaning = "what this machine is called in messages"},
    {"when-idle", .type = CONFIG_TYPE_CHOICE, .choices = when_idles, .preset = CONFIG_IDLE_STAY,
     .field = offsetof(struct config, when_idle),
     .meaning = "what the machine does once every guest has stopped"},
    {"log-level", .type = CONFIG_TYPE_CHOICE, .choices = log_levels, .preset = CONFIG_LOG_INFO,
     .field = offsetof(struct config, log_level), .meaning = "the least important messages that are shown"},
    {"console", .type = CONFIG_TYPE_CHOICE, .choices = consoles, .preset = CONFIG_CONSOLE_COM1,
     .field = offsetof(struct config, console),
     .meaning = "the machine's serial port for messages and monitor"},
    {"frame-buffer", X86, .type = CONFIG_TYPE_CHOICE, .choices = on_off, .preset = 1,
     .field = offsetof(struct config, frame_buffer),
     .meaning = "whether messages are drawn on the screen too"},
};

static const struct config_property root_properties[] = {
    {"compatible", .type = CONFIG_TYPE_CHOICE, .choices = compatibles, .flags = CONFIG_REQUIRED,
     .field = CONFIG_NO_FIELD, .meaning = "marks the file as a config of Saguaro"},
};

static const struct config_node root_nodes[] = {
    {.name = "host",
     .properties = host_properties,
     .property_count = COUNT(host_properties),
     .meaning = "the machine itself; may be left out"},
    {.name = "guests",
     .flags = CONFIG_REQUIRED,
     .nodes = guests_nodes,
     .node_count = COUNT(guests_nodes),
     .meaning = "the guests: one node for each, 1 to 32 of them"},
    {.name = "service",
     .kind = CONFIG_KIND_SERVICE,
     .properties = service_properties,
     .property_count = COUNT(service_properties),
     .meaning = "the service VM, which is always there; may be left out"},
    {.name = "networks",
     .nodes = networks_nodes,
     .node_count = COUNT(networks_nodes),
     .meaning = "networks of guests: one node for each, up to 16"},
    {.name = "disks",
     .nodes = disks_nodes,
     .node_count = COUNT(disks_nodes),
     .meaning = "disks for guests: one node for each, up to 32"},
    {.name = "policy", .flags = CONFIG_LATER, .meaning = "what this machine may do with others"},
};

const struct config_node config_schema = {
    .name = "",
    .properties = root_properties,
    .property_count = COUNT(root_properties),
    .nodes = root_nodes,
    .node_count = COUNT(root_nodes),
    .meaning = "the config",
};

const struct config_property *config_find_property(const struct config_node *node, const char *name) {
    for (unsigned i = 0; i < node->property_count; i++) {
        if (strcmp(node->properties[i].name, name) == 0) {
            return &node->properties[i];
        }
    }
    return NULL;
}

bool config_is_for(const struct config_property *property, enum config_arch arch) {
    return property->only == 0 || (property->only & CONFIG_FOR(arch)) != 0;
}

struct config_property config_limited(const struct config_property *property, enum config_arch arch) {
    struct config_property limited = *property;

    if (arch == CONFIG_ARCH_PPC) {
        limited.max = property->ppc_max != 0 ? property->ppc_max : property->max;
        limited.power = property->ppc_power != 0 ? property->ppc_power : property->power;
    }
    return limited;
}

/* Whether `name` is the pattern's name without its "N", and then digits. */
static bool is_numbered(const char *pattern, const char *name) {
    size_t stem = strlen(pattern) - 1;

    if (strncmp(pattern, name, stem) != 0 || name[stem] == '\0') {
        return false;
    }
    for (name += stem; *name != '\0'; name++) {
        if (*name < '0' || *name > '9') {
            return false;
        }
    }
    return true;
}

const struct config_node *config_find_node(const struct config_node *node, const char *name) {
    for (unsigned i = 0; i < node->node_count; i++) {
        const struct config_node *child = &node->nodes[i];

        if ((child->flags & CONFIG_ANY_NAME) != 0 ||
            ((child->flags & CONFIG_NUMBERED) != 0 ? is_numbered(child->name, name)
                                                   : strcmp(child->name, name) == 0)) {
            return child;
        }
    }
    return NULL;
}

void config_set_presets(const struct config_node *node, enum config_arch arch, void *record) {
    for (unsigned i = 0; i < node->property_count; i++) {
        struct config_property property = config_limited(&node->properties[i], arch);
        char *field = (char *)record + property.field;

        if (property.field == CONFIG_NO_FIELD) {
            continue;
        }
        switch ((enum config_type)property.type) {
        case CONFIG_TYPE_CHOICE:
        case CONFIG_TYPE_CONSENT:
        case CONFIG_TYPE_NUMBER:
            *(uint32_t *)field = (uint32_t)property.preset;
            break;
        case CONFIG_TYPE_SIZE:
        case CONFIG_TYPE_CPUS:
            *(uint64_t *)field = property.preset;
            break;
        case CONFIG_TYPE_NAME:
        case CONFIG_TYPE_LINK:
        case CONFIG_TYPE_TEXT:
        case CONFIG_TYPE_FILE:
        case CONFIG_TYPE_UPLINK:
        case CONFIG_TYPE_DEVICE:
            *(const char **)field = property.preset_text;
            break;
        case CONFIG_TYPE_MAC: /* all zero in a fresh record: config_complete() makes one */
            break;
        case CONFIG_TYPE_PASSED:  /* as with MODULES */
        case CONFIG_TYPE_MODULES: /* module_count, which a fresh record has at 0, says how many there are */
            break;
        }
    }
}
