// SPDX-License-Identifier: Apache-2.0
// Figures of networks and disks for the shell: its networks with their ports, its disks with who has them,
// and what went through each since this run began. Who makes one says where its counters are; they are looked
// at when the operator asks, and never else.
#ifndef SAGUARO_SERVICE_FIGURES_H
#define SAGUARO_SERVICE_FIGURES_H

#include "abi/service.h"
#include "drivers/block/block.h"
#include "lib/config.h"
#include "virtio/switch.h"

#define SERVICE_MAX_NETWORKS 16u
#define SERVICE_MAX_DISKS    32u
#define SERVICE_MAX_PORTS    (SERVICE_MAX_DEVICES + SERVICE_MAX_NETWORKS) /* guests' cards and uplinks */
#define SERVICE_MAX_USERS    256u                                         /* disks of all guests together */
#define SERVICE_NO_VM        0xffffu

enum service_uplink {
    SERVICE_UPLINK_NONE,    /* the network has none */
    SERVICE_UPLINK_MISSING, /* it was not found, or cannot be used */
    SERVICE_UPLINK_FAILED,  /* it is stopped, and is started again some time */
    SERVICE_UPLINK_DOWN,    /* it works and has no link */
    SERVICE_UPLINK_UP,
    SERVICE_UPLINKS
};

/* Texts end with a NUL. A network of the config. */
struct service_network_figures {
    char name[SERVICE_NAME_SIZE];
    char uplink[32];  /* as the config names it */
    char driver[16];  /* "virtio-net", "" if it is missing */
    char address[16]; /* "0000:00:03.0" */
    uint32_t state;   /* enum service_uplink */
};

/* Why frames were dropped: at the sender's port, but for a receiver's LINK, SIZE, LIMIT and BUFFER. */
enum service_drop {
    SERVICE_DROP_LINK,     /* no link, or nobody listens */
    SERVICE_DROP_SIZE,     /* too long or too short */
    SERVICE_DROP_OFFLOAD,  /* checksum or segmentation values that are not true */
    SERVICE_DROP_SOURCE,   /* not the sender's own address */
    SERVICE_DROP_RESERVED, /* to an address that no switch forwards */
    SERVICE_DROP_LIMIT,    /* too many to all */
    SERVICE_DROP_BUFFER,   /* no buffer for it */
    SERVICE_DROPS
};

/* A port of a network. */
struct service_port_figures {
    uint16_t network; /* place in `network` */
    uint16_t vm;      /* whose card; SERVICE_NO_VM: the uplink */
    char device[8];   /* "net0"; not for an uplink */
    uint8_t mac[6];
    uint8_t link; /* 1: up */
    uint8_t unused;
    uint64_t sent_frames, sent_bytes;         /* into the network by the port's owner */
    uint64_t received_frames, received_bytes; /* by the owner */
    uint64_t drops[SERVICE_DROPS];
};

enum service_disk_kind { SERVICE_DISK_MEMORY, SERVICE_DISK_FILE, SERVICE_DISK_DEVICE, SERVICE_DISK_KINDS };

/* A disk of the config. */
struct service_disk_figures {
    char name[SERVICE_NAME_SIZE];
    char place[204];  /* the file's name, or the device as the config names it; "" for memory */
    char driver[16];  /* the device's; "" if it is missing */
    char address[16]; /* "0000:00:04.0" */
    char serial[68];
    uint32_t kind; /* enum service_disk_kind */
    uint8_t there; /* 0: it cannot be used */
    uint8_t read_only;
    uint8_t failed; /* 1: all requests are errors */
    uint8_t unused;
    uint32_t block; /* bytes of a logical block */
    uint32_t unused2;
    uint64_t sectors;        /* of 512 bytes */
    uint64_t resets, errors; /* that the device's driver has seen */
};

/* A guest's disk. Counted are requests that are done and were no errors. */
struct service_user_figures {
    uint16_t disk; /* place in `disk` */
    uint16_t vm;
    char device[8]; /* "disk0" */
    uint8_t ahci;   /* 1: not virtio */
    uint8_t overlay;
    uint8_t read_only;
    uint8_t partition; /* 0: the whole disk */
    uint64_t reads, read_bytes;
    uint64_t writes, written_bytes;
    uint64_t others; /* flush, discard, zeroes */
    uint64_t errors; /* that the guest was told */
};

/* All of them, at one moment. */
struct service_figures {
    uint32_t network_count, port_count, disk_count, user_count;
    struct service_network_figures network[SERVICE_MAX_NETWORKS];
    struct service_port_figures port[SERVICE_MAX_PORTS];
    struct service_disk_figures disk[SERVICE_MAX_DISKS];
    struct service_user_figures user[SERVICE_MAX_USERS];
};

/* The config, before networks and disks are made. Nothing is known after this. What is added is
 * kept by address, and stays. */
void figures_init(const struct config *config);

/* The switch of network `index` of the config. */
void figures_add_network(unsigned index, const struct ether_switch *network);
/* A port of VM `vm`; its name is the device's. */
void figures_add_port(unsigned vm, const struct switch_port *port);
/* A card of the machine's, an uplink. *running: it was started and has not failed. */
void figures_add_uplink(const struct switch_port *port, const char *driver, const char *address,
                        const bool *running);

/* Disk `index` of the config; NULL: it cannot be used. */
void figures_add_disk(unsigned index, const struct disk *disk);
/* The device of the machine's that it is. */
void figures_add_device(unsigned index, const struct block *block, const char *address);
/* A guest's disk as the config has it, and what went through it. */
void figures_add_user(unsigned vm, const struct config_guest_disk *disk,
                      const struct disk_counters *counters);

/* What they say now; valid until the next call. */
const struct service_figures *figures_gather(void);

#endif
