// SPDX-License-Identifier: Apache-2.0
// Writes and reads saved-state records (abi/state.h) in a caller's buffer, with every length checked.
#ifndef SAGUARO_LIB_STATE_H
#define SAGUARO_LIB_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "abi/state.h"

struct state_writer {
    uint8_t *buffer;
    size_t size;
    size_t used;
    size_t record; /* offset of the open record's head, or SIZE_MAX */
    int error;     /* first error: -ENOSPC, -EINVAL; later calls do nothing */
};

struct state_reader {
    const uint8_t *buffer;
    size_t size;
    size_t position;
    const struct state_record *record; /* the current record's head, in the host's byte order */
    size_t record_end;                 /* of its contents */
    size_t record_next;                /* where the next record starts */
    struct state_record head;
    int error; /* -EINVAL once more was asked for than there was; the caller may clear it */
};

void state_writer_init(struct state_writer *writer, void *buffer, size_t size);
void state_begin(struct state_writer *writer, const char *name, uint32_t instance, uint16_t version);
void state_put(struct state_writer *writer, const void *data, size_t size);
void state_put_u8(struct state_writer *writer, uint8_t value);
void state_put_u16(struct state_writer *writer, uint16_t value);
void state_put_u32(struct state_writer *writer, uint32_t value);
void state_put_u64(struct state_writer *writer, uint64_t value);
void state_end(struct state_writer *writer);
/* Bytes used, or the first error. */
int64_t state_finish(struct state_writer *writer);

/* 0, or -EINVAL when the buffer is no sequence of whole records. */
int state_reader_init(struct state_reader *reader, const void *buffer, size_t size);
/* Steps to the next record. True: reader->record is it. False: the end. */
bool state_next(struct state_reader *reader);
/* Reads from the current record; past its end zeroes are given and reader->error becomes -EINVAL. */
void state_get(struct state_reader *reader, void *data, size_t size);
uint8_t state_get_u8(struct state_reader *reader);
uint16_t state_get_u16(struct state_reader *reader);
uint32_t state_get_u32(struct state_reader *reader);
uint64_t state_get_u64(struct state_reader *reader);

#endif
