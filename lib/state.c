// SPDX-License-Identifier: Apache-2.0
// Saved-state records: written and read byte by byte in little-endian order, so that the same code serves
// every architecture. The reader trusts nothing in the buffer.
#include "lib/state.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define NO_RECORD SIZE_MAX

static_assert(sizeof(struct state_record) == 40, "the head of a record is part of the format");

static void put_le(uint8_t *at, uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_le(const uint8_t *at, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static void writer_fail(struct state_writer *writer, int error) {
    if (writer->error == 0)
        writer->error = error;
}

/* Room for `size` more bytes; NULL after an error. */
static uint8_t *writer_take(struct state_writer *writer, size_t size) {
    if (writer->error != 0)
        return NULL;
    if (size > writer->size - writer->used) {
        writer_fail(writer, -ENOSPC);
        return NULL;
    }
    uint8_t *at = writer->buffer + writer->used;
    writer->used += size;
    return at;
}

void state_writer_init(struct state_writer *writer, void *buffer, size_t size) {
    *writer = (struct state_writer){.buffer = buffer, .size = size, .record = NO_RECORD};
}

void state_begin(struct state_writer *writer, const char *name, uint32_t instance, uint16_t version) {
    size_t length = strlen(name);
    if (writer->record != NO_RECORD || length == 0 || length >= STATE_NAME) {
        writer_fail(writer, -EINVAL);
        return;
    }
    size_t record = writer->used;
    uint8_t *head = writer_take(writer, sizeof(struct state_record));
    if (head == NULL)
        return;
    memset(head, 0, sizeof(struct state_record));
    memcpy(head, name, length);
    put_le(head + offsetof(struct state_record, instance), instance, 4);
    put_le(head + offsetof(struct state_record, version), version, 2);
    writer->record = record;
}

void state_put(struct state_writer *writer, const void *data, size_t size) {
    if (writer->record == NO_RECORD) {
        writer_fail(writer, -EINVAL);
        return;
    }
    uint8_t *at = writer_take(writer, size);
    if (at != NULL && size != 0)
        memcpy(at, data, size);
}

static void put_integer(struct state_writer *writer, uint64_t value, unsigned size) {
    uint8_t bytes[8];
    put_le(bytes, value, size);
    state_put(writer, bytes, size);
}

void state_put_u8(struct state_writer *writer, uint8_t value) {
    put_integer(writer, value, 1);
}

void state_put_u16(struct state_writer *writer, uint16_t value) {
    put_integer(writer, value, 2);
}

void state_put_u32(struct state_writer *writer, uint32_t value) {
    put_integer(writer, value, 4);
}

void state_put_u64(struct state_writer *writer, uint64_t value) {
    put_integer(writer, value, 8);
}

void state_end(struct state_writer *writer) {
    if (writer->record == NO_RECORD) {
        writer_fail(writer, -EINVAL);
        return;
    }
    if (writer->error != 0)
        return;
    uint8_t *head = writer->buffer + writer->record;
    uint64_t length = writer->used - writer->record - sizeof(struct state_record);
    size_t padding = (size_t)(-length & 7);
    uint8_t *pad = writer_take(writer, padding);
    if (pad == NULL)
        return;
    memset(pad, 0, padding);
    put_le(head + offsetof(struct state_record, length), length, 8);
    writer->record = NO_RECORD;
}

int64_t state_finish(struct state_writer *writer) {
    if (writer->record != NO_RECORD)
        writer_fail(writer, -EINVAL);
    return writer->error != 0 ? writer->error : (int64_t)writer->used;
}

/* Decodes the head at `position`; false unless a whole record is there. *end: where the next one starts. */
static bool record_decode(const uint8_t *buffer, size_t size, size_t position, struct state_record *head,
                          size_t *end) {
    if (size - position < sizeof(struct state_record))
        return false;
    const uint8_t *at = buffer + position;
    memcpy(head->name, at, STATE_NAME);
    head->instance = (uint32_t)get_le(at + offsetof(struct state_record, instance), 4);
    head->version = (uint16_t)get_le(at + offsetof(struct state_record, version), 2);
    head->reserved = (uint16_t)get_le(at + offsetof(struct state_record, reserved), 2);
    head->length = get_le(at + offsetof(struct state_record, length), 8);
    size_t room = size - position - sizeof(struct state_record);
    if (head->name[0] == '\0' || memchr(head->name, '\0', STATE_NAME) == NULL || head->reserved != 0)
        return false;
    if (head->length > room || (-head->length & 7) > room - head->length)
        return false;
    *end = position + sizeof(struct state_record) + (size_t)head->length + (size_t)(-head->length & 7);
    return true;
}

int state_reader_init(struct state_reader *reader, const void *buffer, size_t size) {
    *reader = (struct state_reader){.buffer = buffer};
    for (size_t position = 0; position < size;) {
        struct state_record head;
        if (!record_decode(buffer, size, position, &head, &position)) {
            reader->error = -EINVAL;
            return -EINVAL;
        }
    }
    reader->size = size;
    return 0;
}

bool state_next(struct state_reader *reader) {
    reader->record = NULL;
    reader->position = reader->record_next;
    reader->record_end = reader->position;
    if (reader->position >= reader->size)
        return false;
    if (!record_decode(reader->buffer, reader->size, reader->position, &reader->head, &reader->record_next)) {
        reader->error = -EINVAL; /* changed since state_reader_init() looked */
        reader->size = reader->position;
        return false;
    }
    reader->position += sizeof(struct state_record);
    reader->record_end = reader->position + (size_t)reader->head.length;
    reader->record = &reader->head;
    return true;
}

void state_get(struct state_reader *reader, void *data, size_t size) {
    if (size == 0)
        return;
    if (size > reader->record_end - reader->position) {
        reader->error = -EINVAL;
        reader->position = reader->record_end;
        memset(data, 0, size);
        return;
    }
    memcpy(data, reader->buffer + reader->position, size);
    reader->position += size;
}

static uint64_t get_integer(struct state_reader *reader, unsigned size) {
    uint8_t bytes[8];
    state_get(reader, bytes, size);
    return get_le(bytes, size);
}

uint8_t state_get_u8(struct state_reader *reader) {
    return (uint8_t)get_integer(reader, 1);
}

uint16_t state_get_u16(struct state_reader *reader) {
    return (uint16_t)get_integer(reader, 2);
}

uint32_t state_get_u32(struct state_reader *reader) {
    return (uint32_t)get_integer(reader, 4);
}

uint64_t state_get_u64(struct state_reader *reader) {
    return get_integer(reader, 8);
}
