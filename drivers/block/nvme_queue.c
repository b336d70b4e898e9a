// SPDX-License-Identifier: Apache-2.0
// A pair of NVM Express queues in memory (NVM Express 1.4, 4.1, 4.2, 4.6): little-endian whatever the CPU is.
#include "drivers/block/nvme.h"

#include <string.h>
#include "virtio/bytes.h"

#define COMMAND    64u /* bytes */
#define COMPLETION 16u

void nvme_queue_reset(struct nvme_queue *queue) {
    memset(queue->submission, 0, (size_t)queue->entries * COMMAND);
    memset(queue->completion, 0, (size_t)queue->entries * COMPLETION);
    queue->tail = queue->head = queue->told = 0;
    queue->phase = true;
}

void nvme_queue_send(struct nvme_queue *queue, const struct nvme_command *command, uint16_t id) {
    uint8_t *entry = queue->submission + (size_t)queue->tail * COMMAND;

    memset(entry, 0, COMMAND);
    bytes_put32(entry, command->opcode | (uint32_t)id << 16);
    bytes_put32(entry + 4, command->namespace);
    bytes_put64(entry + 24, command->prp1);
    bytes_put64(entry + 32, command->prp2);
    for (unsigned i = 0; i < 6; i++)
        bytes_put32(entry + 40 + i * 4, command->word[i]);
    queue->tail = (uint16_t)(queue->tail + 1 == queue->entries ? 0 : queue->tail + 1);
    /* The entry, and the data that it names, before the doorbell. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    pci_write32(queue->tail_doorbell, queue->tail);
}

bool nvme_queue_take(struct nvme_queue *queue, struct nvme_completion *completion) {
    const uint8_t *entry = queue->completion + (size_t)queue->head * COMPLETION;
    /* The last doubleword holds the phase: the others, and the data, are there when it is. */
    const uint32_t raw = __atomic_load_n((const uint32_t *)(entry + 12), __ATOMIC_ACQUIRE);
    const uint32_t last = bytes_get32((const uint8_t *)&raw);

    if ((last >> 16 & 1) != queue->phase)
        return false;
    completion->submission_head = bytes_get16(entry + 8);
    completion->submission_queue = bytes_get16(entry + 10);
    completion->id = (uint16_t)last;
    completion->status = (uint16_t)(last >> 17);
    if (++queue->head == queue->entries) {
        queue->head = 0;
        queue->phase = !queue->phase;
    }
    return true;
}

unsigned nvme_queue_untold(const struct nvme_queue *queue) {
    const int untold = queue->head - queue->told;
    return (unsigned)(untold < 0 ? untold + queue->entries : untold);
}

void nvme_queue_tell(struct nvme_queue *queue) {
    /* A doorbell must not be given the value that it has (5.2.1, Invalid Doorbell Write Value). */
    if (queue->told != queue->head)
        pci_write32(queue->head_doorbell, queue->head);
    queue->told = queue->head;
}
