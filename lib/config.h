// SPDX-License-Identifier: Apache-2.0
// The config as the hypervisor and the loader see it: a typed view of the flattened tree, defaults applied.
// Reading checks every type and range again; it says only yes or no. lib/config_check.h says what is wrong.
#ifndef SAGUARO_LIB_CONFIG_H
#define SAGUARO_LIB_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_MAX_BLOB         (1024u * 1024) /* bytes of a flattened tree */
#define CONFIG_MAX_GUESTS       32u
#define CONFIG_MAX_CPUS         64u /* CPUs of the host that a config can name: 0..63 */
#define CONFIG_MAX_VCPUS        16u /* of one guest */
#define CONFIG_MAX_MODULES      16u /* multiboot modules of one guest */
#define CONFIG_MAX_NAME         32u /* bytes of the name of a guest, network, disk or host */
#define CONFIG_MAX_NETS         8u  /* network cards of one guest, and disks of one guest: numbered 0..7 */
#define CONFIG_MAX_GUEST_DISKS  8u
#define CONFIG_MAX_NETWORKS     16u
#define CONFIG_MAX_DISKS        32u
#define CONFIG_MAX_DEVICES      256u /* virtio devices of all guests together */
#define CONFIG_MAX_PASSTHROUGH  4u   /* functions of the machine that one guest has */
#define CONFIG_MAX_QUEUES       8u   /* pairs of queues of one network card */
#define CONFIG_MAX_PARTITION    128u
#define CONFIG_MAX_SERIAL       20u      /* bytes of a disk's serial number that a guest sees */
#define CONFIG_MAX_DEVICE       64u      /* bytes of the serial number of a disk of the machine */
#define CONFIG_MAX_BROADCASTS   1000000u /* a second */
#define CONFIG_MIN_MTU          68u      /* bytes */
#define CONFIG_MAX_MTU          9000u    /* bytes */
#define CONFIG_SECTOR           512u     /* bytes: the file of a disk is a multiple of this */
#define CONFIG_MAX_PATH         200u     /* bytes of a file name */
#define CONFIG_MAX_CMDLINE      2047u
#define CONFIG_MAX_PRIORITY     99u
#define CONFIG_MIN_PERIOD       1000u     /* microseconds */
#define CONFIG_MAX_PERIOD       1000000u  /* microseconds */
#define CONFIG_MIN_BUDGET       100u      /* microseconds */
#define CONFIG_MIN_TSC          100000u   /* kHz */
#define CONFIG_MAX_TSC          10000000u /* kHz */
#define CONFIG_MIN_MEMORY       (1ull << 20)
#define CONFIG_MAX_MEMORY       (64ull << 30)
#define CONFIG_MAX_FIRMWARE     (16ull << 20) /* bytes of a firmware image */
#define CONFIG_DEFAULT_PRIORITY 10u
#define CONFIG_MIN_SERVICE      (16ull << 20) /* bytes of the service VM's memory */
#define CONFIG_SMALL_SERVICE    (4ull << 20)  /* what it has by itself, for the prompt alone */
#define CONFIG_SERVICE          (64ull << 20) /* and for devices */
#define CONFIG_PPC_SERVICE      (16ull << 20) /* the same on PowerPC */
#define CONFIG_MAX_SERVICE      (1ull << 30)
#define CONFIG_MIN_DISK         (64ull << 10) /* bytes of a disk in memory */
#define CONFIG_MIN_OVERLAY      (1ull << 20)  /* bytes of memory for overlays, for each of them */
/* On PowerPC: CPUs of the board that a guest sees; and what a machine of 2 GiB, the largest that the
 * hypervisor's heap is laid out for, leaves for guests. */
#define CONFIG_PPC_MAX_VCPUS    2u
#define CONFIG_PPC_MAX_MEMORY   (1536ull << 20)
#define CONFIG_PPC_MAX_SERVICE  (256ull << 20)

/* The machine that a config is for: some properties are one architecture's own, some limits differ. */
enum config_arch {
    CONFIG_ARCH_X86 = 0,
    CONFIG_ARCH_PPC,
};

enum config_when_idle { /* what the host does once every guest has stopped */
                        CONFIG_IDLE_STAY = 0,
                        CONFIG_IDLE_POWEROFF,
                        CONFIG_IDLE_REBOOT,
};

enum config_log_level {
    CONFIG_LOG_ERROR = 0,
    CONFIG_LOG_WARNING,
    CONFIG_LOG_INFO, /* the default */
    CONFIG_LOG_DEBUG,
};

enum config_console { /* the host's serial port, or the guest's that the monitor shows */
                      CONFIG_CONSOLE_COM1 = 0,
                      CONFIG_CONSOLE_NONE,
};

enum config_image {                          /* how a guest starts */
                    CONFIG_IMAGE_KERNEL = 0, /* a Linux bzImage; on PowerPC an ELF file */
                    CONFIG_IMAGE_MULTIBOOT,  /* multiboot 1, ELF32 or with addresses in the header */
                    CONFIG_IMAGE_PVH,        /* ELF with a PVH entry note */
                    CONFIG_IMAGE_FIRMWARE,   /* a raw ROM image that ends at 4 GiB; the guest starts at the
                                                reset vector */
                    CONFIG_IMAGES,
};

enum config_restart { /* what follows when a guest ends by itself */
                      CONFIG_RESTART_NEVER = 0,
                      CONFIG_RESTART_ON_CRASH,
                      CONFIG_RESTART_ALWAYS,
};

enum config_cpu_model {
    CONFIG_CPU_X86_64_V1 = 0,
    CONFIG_CPU_X86_64_V2, /* the default */
    CONFIG_CPU_X86_64_V3,
    CONFIG_CPU_HOST,
};

/* How a guest reaches a virtio device. */
enum config_transport { CONFIG_TRANSPORT_PCI = 0, CONFIG_TRANSPORT_MMIO };

/* What a guest has between its devices and its memory. */
enum config_iommu { CONFIG_IOMMU_NONE = 0, CONFIG_IOMMU_VIRTIO };

enum config_net_type { CONFIG_NET_VIRTIO = 0, CONFIG_NET_E1000 };

/* A network card of a guest, netN. Strings of these structures lie in the tree. */
struct config_net {
    const char *network_name;
    uint32_t type;      /* enum config_net_type */
    uint32_t transport; /* enum config_transport; E1000: PCI */
    uint32_t network;   /* index in config.networks */
    uint32_t number;    /* N */
    uint32_t mac_lock;  /* 1: frames from another address than its own are dropped */
    uint32_t mtu;       /* bytes; CONFIG_MIN_MTU..CONFIG_MAX_MTU */
    uint32_t queues;    /* pairs of queues, 1..CONFIG_MAX_QUEUES and at most the guest's vcpus; E1000: 1 */
    uint8_t mac[6]; /* the config's, else made by config_make_mac(); unlike every other's in its network */
};

/* What a guest sees of a disk; those of AHCI are ports of one controller. */
enum config_disk_type { CONFIG_DISK_VIRTIO, CONFIG_DISK_AHCI };

/* A disk of a guest, diskN. */
struct config_guest_disk {
    const char *disk_name;
    const char *serial; /* at most CONFIG_MAX_SERIAL bytes; NULL: not given; see config_serial() */
    uint32_t disk;      /* index in config.disks */
    uint32_t number;    /* N */
    uint32_t partition; /* 1..CONFIG_MAX_PARTITION; 0: the whole disk */
    uint32_t
        read_only; /* 1: the guest cannot write; also where the disk is read-only and there is no overlay */
    uint32_t overlay;   /* 1: what the guest writes is kept in memory, over the disk, which stays as it is */
    uint32_t type;      /* enum config_disk_type */
    uint32_t transport; /* enum config_transport; AHCI: PCI */
};

/* One guest. */
struct config_guest {
    const char *name;                  /* [a-z0-9-], 1..CONFIG_MAX_NAME bytes, unlike every other guest's */
    uint32_t image_kind;               /* enum config_image */
    const char *image;                 /* file name; the one of `images` that is given */
    const char *images[CONFIG_IMAGES]; /* by enum config_image; NULL but for image_kind */
    const char *initrd;                /* file name or NULL; with KERNEL and PVH only */
    const char *cmdline;               /* "" if none; at most CONFIG_MAX_CMDLINE bytes; "" with FIRMWARE */
    const char *modules[CONFIG_MAX_MODULES]; /* "FILE ARGUMENTS" each; with MULTIBOOT only; see
                                                config_module_file() */
    uint32_t module_count;
    uint64_t memory;   /* bytes; a multiple of 4 KiB; CONFIG_MIN_MEMORY..CONFIG_MAX_MEMORY */
    uint32_t vcpus;    /* 1..CONFIG_MAX_VCPUS */
    uint64_t cpus;     /* bit n: may run on host CPU n; all ones if the config does not say */
    uint32_t priority; /* 0..CONFIG_MAX_PRIORITY; higher runs first */
    uint32_t budget;   /* microseconds of CPU time per period and vCPU; 0: no limit */
    uint32_t
        period; /* microseconds; 0 if budget is 0, else CONFIG_MIN_PERIOD..CONFIG_MAX_PERIOD, >= budget */
    uint32_t restart;             /* enum config_restart */
    uint32_t cpu_model;           /* enum config_cpu_model */
    uint32_t console;             /* enum config_console */
    uint32_t autostart;           /* 1: starts with the host */
    uint32_t exit_port;           /* 1: writing port 0xF4 ends the guest */
    uint32_t apic_virtualization; /* 1: the CPU delivers interrupts by itself, where it can */
    uint32_t tsc_khz;             /* CONFIG_MIN_TSC..CONFIG_MAX_TSC, or 0: the machine's own */
    uint32_t entropy;             /* 1: has a virtio source of entropy */
    uint32_t virtio_console;      /* 1: has a virtio console */
    uint32_t balloon;             /* 1: has a virtio memory balloon */
    uint32_t transport; /* enum config_transport, of these two, and of what does not say otherwise */
    const char *passthrough[CONFIG_MAX_PASSTHROUGH]; /* PCI addresses of the machine's functions that it has,
                                                        each named nowhere else */
    uint32_t passthrough_count;
    uint32_t iommu;           /* enum config_iommu */
    uint32_t identity_memory; /* 1: RAM is at the machine's own addresses; with KERNEL and MULTIBOOT only */
    uint32_t net_count;
    uint32_t disk_count;
    struct config_net nets[CONFIG_MAX_NETS]; /* in the order of the config, each with a number of its own */
    struct config_guest_disk disks[CONFIG_MAX_GUEST_DISKS];
};

/* The service VM. */
struct config_service {
    uint64_t memory; /* bytes: a power of two, on PowerPC of four; CONFIG_MIN_SERVICE..CONFIG_MAX_SERVICE, or
                        CONFIG_SMALL_SERVICE */
    uint64_t cpus;   /* as a guest's */
    uint32_t budget; /* microseconds per period, at most `period`: it always runs above the guests */
    uint32_t period; /* microseconds, CONFIG_MIN_PERIOD..CONFIG_MAX_PERIOD */
    uint64_t overlay_memory; /* bytes that all overlays share; a multiple of 4 KiB, at least
                                CONFIG_MIN_OVERLAY for each of them; 0: there are none */
};

/* A network that cards of guests are in. */
struct config_network {
    const char *name;         /* as a guest's, unlike every other network's */
    const char *uplink;       /* the machine's card that is in it, too: its MAC or PCI address, unlike every
                                 other network's; NULL: none */
    uint32_t broadcast_limit; /* frames to all that a card may send in a second; 0: no limit */
};

/* A disk that guests use; it has a file, lies in memory, or is one of the machine's. */
struct config_disk {
    const char *name;   /* as a guest's, unlike every other disk's */
    const char *file;   /* file name; its content is what the disk holds at first; NULL: it has none */
    uint64_t memory;    /* bytes; a multiple of 4 KiB; CONFIG_MIN_DISK..CONFIG_MAX_MEMORY; empty at first;
                           0: it does not lie in memory alone */
    const char *device; /* the machine's disk: its PCI address or its serial number, unlike every other
                           disk's; NULL: it has a file or memory */
    uint32_t read_only; /* 1: nobody writes it */
    uint32_t shared;    /* 1: several guests may write it at a time */
};

/* The whole config: about 32 KiB on a 64-bit machine, too much for a small stack. */
struct config {
    const char *host_name; /* "saguaro" if the config does not say */
    uint32_t when_idle;    /* enum config_when_idle */
    uint32_t log_level;    /* enum config_log_level */
    uint32_t console;      /* enum config_console: the host's serial port */
    uint32_t frame_buffer; /* 1: messages are drawn on the screen too */
    uint32_t network_count;
    uint32_t disk_count;
    uint32_t guest_count; /* 1..CONFIG_MAX_GUESTS */
    struct config_service service;
    struct config_network networks[CONFIG_MAX_NETWORKS];
    struct config_disk disks[CONFIG_MAX_DISKS];
    struct config_guest guests[CONFIG_MAX_GUESTS];
};

/*
 * Fills in `out` from a flattened tree of `size` bytes (8-byte aligned; totalsize may be smaller). The
 * strings of `out` point into it. Everything is checked: returns -EINVAL if any node, property, type or range
 * is not what docs/config.md says for a machine of that architecture, and then `out` holds nothing of use.
 */
int config_read(const void *fdt, size_t size, enum config_arch arch, struct config *out);

/* How many devices of the service VM a guest has. */
uint32_t config_devices(const struct config_guest *guest);

/* Which of a guest's virtio devices it reaches over MMIO, by their places: bit n: place n, SERVICE_MMIO_*
 * (abi/service.h). */
uint32_t config_mmio_places(const struct config_guest *guest);

/* Which of a guest's devices are behind its IOMMU: its virtio devices over PCI, and the functions of the
 * machine that it has, from CONFIG_PASSED_SLOT on. Bit n: the one in slot n of bus 0; CONFIG_IOMMU_SLOT is
 * its own. 0: it has none. */
#define CONFIG_IOMMU_SLOT  23u
#define CONFIG_PASSED_SLOT 24u
#define CONFIG_FIRST_SLOT  1u /* of the service VM's devices, in their order */
uint32_t config_iommu_slots(const struct config_guest *guest);

/* How many guests have an IOMMU. */
uint32_t config_iommus(const struct config *config);

/* How many disks of guests have an overlay. */
uint32_t config_overlays(const struct config *config);

/* Bytes of memory that are taken for guests, the service VM, disks in memory and overlays; files apart. */
uint64_t config_memory(const struct config *config);

#define CONFIG_NO_GUEST UINT32_MAX

/* One file that the config names. */
struct config_file {
    uint32_t guest;       /* index in config.guests; CONFIG_NO_GUEST: a disk's file */
    uint32_t disk;        /* of a disk's file: index in config.disks */
    const char *property; /* "kernel", "initrd", "modules", ...; "file": a disk's */
    uint32_t index;       /* in a list of strings, from 0 */
    bool repeated;        /* the same name was given to the callback before: read it once */
    const char *name;     /* NUL-terminated, relative to the config; valid during the call only if property is
                             "modules" */
    uint64_t max_size;    /* bytes; larger is an error; UINT64_MAX: no limit of its own */
};

/*
 * Calls `each` for every file that the config names: those of guests in order, image first, then disks'.
 * Stops at the first call that returns other than 0 and returns that; else 0.
 */
int config_files(const struct config *config, int (*each)(void *context, const struct config_file *file),
                 void *context);

/* What is wrong with the size of that file, written into `why`: a disk is made of whole sectors. False:
 * nothing.
 */
bool config_file_size_wrong(const struct config_file *file, uint64_t size, char *why, size_t why_size);

/* Writes the file's part of a module ("FILE ARGUMENTS") into `name`; at most CONFIG_MAX_PATH bytes and a NUL.
 */
void config_module_file(const char *module, char name[CONFIG_MAX_PATH + 1]);

/* Why `path` may not name a file of a config (relative, '/' between parts, no "..", printable), or NULL if it
 * may. */
const char *config_path_problem(const char *path);

/* Reads a size: digits (decimal or 0x) and an optional K, M or G (powers of 1024). -EINVAL: not one; -ERANGE:
 * over 2^64 - 1. */
int config_parse_size(const char *text, uint64_t *bytes);

/* Reads a card's address, as "52:54:00:12:34:56". -EINVAL: it is none, or a group's, or all zero. */
int config_parse_mac(const char *text, uint8_t mac[6]);

/* Where a function of the machine is. */
struct config_pci {
    uint16_t segment;
    uint8_t bus;
    uint8_t devfn; /* slot << 3 | function */
};

/* Reads a PCI address, as "00:03.0" or "0000:00:03.0", all digits hexadecimal. -EINVAL: it is none. */
int config_parse_pci(const char *text, struct config_pci *address);

/* The guest that a function of the machine is passed through to; NULL: none. */
const struct config_guest *config_passed_to(const struct config *config, const struct config_pci *address);

/* Whether a network's uplink may be called so: a card's address or a PCI address. */
bool config_uplink_valid(const char *text);
/* Whether a disk's device may be called so: a serial number without spaces at its ends, or a PCI address.
 * What looks like an address has to be one. */
bool config_device_valid(const char *text);
/* Whether two uplinks, or two devices, are called the same, however that is written. */
bool config_same_device(const char *a, const char *b);

/* The address of a card that has none in the config: the same each time, locally administered, unicast. */
void config_make_mac(const char *host_name, const char *guest_name, uint32_t number, uint8_t mac[6]);

/* The serial number of a guest's disk: the config's, or "GUEST-diskN" with the guest's name cut to fit. */
void config_serial(const struct config_guest *guest, const struct config_guest_disk *disk,
                   char serial[CONFIG_MAX_SERIAL + 1]);

#endif
