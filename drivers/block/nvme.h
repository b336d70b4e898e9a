// SPDX-License-Identifier: Apache-2.0
// The NVM Express driver's own parts (NVM Express Base Specification 1.4): its structure, and what its files
// offer each other. Seen from outside it is nvme_block (drivers/block/block.h).
#ifndef SAGUARO_DRIVERS_BLOCK_NVME_H
#define SAGUARO_DRIVERS_BLOCK_NVME_H

#include "drivers/block/block.h"

#define NVME_PAGE          4096u /* bytes: CC.MPS = 0 */
#define NVME_NAMESPACE     1u
#define NVME_SLOTS         32u /* commands of the I/O queue that are open at a time, at most */
#define NVME_ENTRIES       64u /* of the I/O queues, at most; fewer if CAP.MQES says so */
#define NVME_ADMIN_ENTRIES 16u
#define NVME_MAX_TRANSFER  (128u * 1024) /* bytes of one command: a slot's memory */

/* Commands (5, 6). */
enum nvme_admin { NVME_CREATE_SQ = 1, NVME_CREATE_CQ = 5, NVME_IDENTIFY = 6, NVME_SET_FEATURES = 9 };
enum nvme_io { NVME_FLUSH, NVME_WRITE, NVME_READ, NVME_WRITE_ZEROES = 8, NVME_DATASET = 9 };

/* A submission queue entry, but for the command's identifier (4.2). */
struct nvme_command {
    uint8_t opcode;
    uint32_t namespace;
    uint64_t prp1, prp2; /* 0: there are no data */
    uint32_t word[6];    /* command doublewords 10 to 15 */
};

/* A pair of queues of `entries` each in a page each. */
struct nvme_queue {
    uint8_t *submission, *completion;
    uint64_t submission_dma, completion_dma;
    volatile uint8_t *tail_doorbell, *head_doorbell;
    uint16_t number; /* 0: the admin queues */
    uint16_t entries;
    uint16_t tail, head;
    uint16_t told; /* the head that the controller knows of */
    bool phase;    /* that of entries which are new */
};

/* A completion queue entry (4.6). */
struct nvme_completion {
    uint16_t submission_head, submission_queue;
    uint16_t id;
    uint16_t status; /* without the phase: code, type << 8, do not retry << 14; 0: success */
};

/* What a disk is: must be the same one when the controller was started again. */
struct nvme_identity {
    uint64_t blocks;
    uint32_t shift;     /* log2 of a block's bytes: 9 or 12 */
    uint32_t transfer;  /* bytes of one command, at most; a multiple of NVME_PAGE */
    uint32_t zeroes;    /* bytes of one Write Zeroes, at most, whole blocks; 0: it has no such command */
    uint32_t physical;  /* bytes, as in struct disk */
    uint32_t optimal;   /* the same */
    bool discards;      /* Dataset Management */
    bool zeroes_unmaps; /* Write Zeroes may give the space back and zeroes are read all the same */
    bool cached, read_only;
    char serial[20 + 1];
};

/* A command of the I/O queue and the memory for its data. */
struct nvme_slot {
    uint8_t *data; /* identity.transfer bytes */
    uint64_t data_dma;
    uint64_t list_dma;        /* its PRP list: the pages of `data` from the second on */
    struct nvme_open *open;   /* NULL: free */
    uint64_t offset, sectors; /* the piece of that request */
    uint64_t sent_at;
    uint16_t id;
    bool copies; /* a read: the data are to be copied when it is done */
};

/* A request that was begun: cut into pieces, a command each. */
struct nvme_open {
    struct disk_request *request;
    uint64_t sent;   /* sectors for which there was a command */
    unsigned pieces; /* commands that are open */
    int error;
    bool all_sent;
    bool repeated; /* in the second time */
    struct nvme_open *next;
};

enum nvme_state {
    NVME_OFF,       /* not started, or stopped */
    NVME_SETTLING,  /* it was found half enabled: it must come up before it may be reset (3.1.5) */
    NVME_RESETTING, /* CC.EN is 0: waits for CSTS.RDY = 0 */
    NVME_ENABLING,  /* CC.EN is 1: waits for CSTS.RDY = 1 */
    NVME_ASKING,    /* the admin commands of `step` */
    NVME_RUNNING,
    NVME_DEAD, /* block.failed */
};

struct nvme {
    struct block block;
    volatile uint8_t *registers, *doorbells;
    unsigned stride;      /* bytes from a doorbell to the next one */
    uint64_t reset_limit; /* ns, from CAP.TO */
    struct nvme_queue admin, io;
    uint16_t admin_id;
    unsigned step;     /* of the set-up, see nvme_start.c */
    uint64_t deadline; /* of what the state waits for */
    uint8_t *page;     /* what Identify writes */
    uint64_t page_dma;
    struct nvme_identity found; /* what it says of itself this time */
    struct nvme_identity identity;
    bool known; /* identity is valid, the slots have memory, block.disk is the disk */

    enum nvme_state state;
    const char *broken; /* what the controller did against the rules: it is to be reset; NULL: nothing */
    bool restarted;     /* and since then nothing has shown that this helped */
    uint16_t generation;
    unsigned slots; /* in use: as many as the queue has room for */
    struct nvme_slot slot[NVME_SLOTS];
    /* Requests in order: those that were begun, then those that were not. */
    struct nvme_open opens[NVME_SLOTS];
    struct nvme_open *open_first, *open_last, *open_free;
    struct disk_request *first, *last;
};

/* ---- nvme_queue.c */

/* Empties the queues and makes them ready for a controller that was reset. */
void nvme_queue_reset(struct nvme_queue *queue);
/* Puts a command into the queue, which has room, and tells the controller. */
void nvme_queue_send(struct nvme_queue *queue, const struct nvme_command *command, uint16_t id);
/* Takes the next completion; false: there is none. */
bool nvme_queue_take(struct nvme_queue *queue, struct nvme_completion *completion);
/* Tells the controller which ones were taken, so that it can use their entries anew. */
void nvme_queue_tell(struct nvme_queue *queue);
/* How many were taken of which it was not told: fewer than there are entries. */
unsigned nvme_queue_untold(const struct nvme_queue *queue);

/* ---- nvme_identify.c: 0, or -ENOTSUP, -EIO or -ENODEV and `why` */

/* The 4096 bytes of Identify Controller: `transfer`, `zeroes`, `discards`, `cached`, `serial`. */
int nvme_identify_controller(struct nvme_identity *identity, const uint8_t *page, const char **why);
/* Those of Identify Namespace; the controller's come first. The rest. */
int nvme_identify_namespace(struct nvme_identity *identity, const uint8_t *page, const char **why);

/* ---- nvme_start.c */

/* Maps the registers and makes what does not depend on the disk. 0 or an errno, and `why`. */
int nvme_set_up(struct nvme *nvme);
/* Begins to reset and start the controller: any state but NVME_DEAD. */
void nvme_begin(struct nvme *nvme);
/* Looks whether it has come further. 0, or an errno and `why`: it cannot be started. */
int nvme_advance(struct nvme *nvme);
/* Ends DMA: a shutdown, if the controller is alive, and a reset. Waits for a second at most. */
void nvme_shut_down(struct nvme *nvme);
/* CSTS; all ones: the controller is gone. */
uint32_t nvme_status(const struct nvme *nvme);
#define NVME_STATUS_READY (1u << 0)
#define NVME_STATUS_FATAL (1u << 1)
#define NVME_STATUS_GONE  0xffffffffu

/* ---- nvme_request.c */

extern const struct disk_operations nvme_disk_operations;
void nvme_request_init(struct nvme *nvme);
/* Sends what there is room for, if the controller runs. */
void nvme_request_send(struct nvme *nvme);
/* Takes completions, fewer than the queue has entries; sends what there is room for then. Sets `broken`. */
void nvme_request_poll(struct nvme *nvme);
/* Whether a command is open for longer than BLOCK_TIMEOUT. */
bool nvme_request_is_late(const struct nvme *nvme);
/* The controller is reset: all that was begun is to be sent anew, from its start, before all else. */
void nvme_request_repeat(struct nvme *nvme);
/* Ends all requests, in order. */
void nvme_request_end_all(struct nvme *nvme, int error);

static inline struct nvme *nvme_of(struct block *block) {
    return (struct nvme *)((char *)block - offsetof(struct nvme, block));
}

#endif
