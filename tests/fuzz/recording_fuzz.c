/* A recording: any bytes; where the first is 1, every frame as far as their lengths say gets the check that belongs to it. Whatever
 * comes, reading ends; what is read lies within the file and its limits; an event, a checkpoint that is written again is the same bytes. */
#include "node/recording.h"
#include "proto/base/panic.h"
#include "proto/wire/table.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { INPUT_MAX = 1 << 16, CHECK_BYTES = 8 };

static void seal(uint8_t *file, size_t len)
{
    uint64_t number = 0;
    for (size_t at = RECORDING_MAGIC_BYTES; at + 4 < len; number++) {
        uint8_t place[8];
        const size_t body = load_u32(file + at);
        if (body > len || at + 4 + body + CHECK_BYTES > len) return;
        store_u64(place, number);
        const struct hash32 check =
            HASH_FRAMED("perigee/recording/v1", SPAN_OF(place), span_make(file + at + 4, body));
        memcpy(file + at + 4 + body, check.bytes, CHECK_BYTES);
        at += 4 + body + CHECK_BYTES;
    }
}

static bool within(struct span part, struct span file)
{
    return part.len == 0 || (part.data >= file.data && part.data + part.len <= file.data + file.len);
}

/* Bytes that are withheld are no part of the file. */
static void check_event(const struct event *e, struct span file)
{
    ASSERT((unsigned)e->type < RECORDING_EVENT_TYPES && (unsigned)e->err < ERR_COUNT);
    ASSERT(e->now.ns >= 0 && e->wall_ms <= UINT_TIME && within(e->key, file));
    ASSERT(e->bytes.len <= CAP_MESSAGE_BYTES && (e->type == EVENT_CRYPTO || within(e->bytes, file)));
    ASSERT((e->type == EVENT_COMMAND) == (e->command != NULL));
    if (e->command == NULL) return;
    ASSERT(within(e->command->body, file) && within(e->command->datasets, file));
    ASSERT(e->command->type <= COMMAND_RECORD && within(e->command->parameters, file));
}

static void check_frame(const struct recording_frame *f, struct span bytes, uint64_t number, struct span file)
{
    static uint8_t again[INPUT_MAX];
    struct buffer b = BUFFER_OF(again);
    ASSERT(f->type >= RECORDING_START && f->type <= RECORDING_END);
    if (f->type == RECORDING_START) {
        ASSERT(f->start.options.charter.len <= CAP_DOCUMENT_BYTES && within(f->start.options.charter, file));
        ASSERT(f->start.options.silence < SILENCE_COUNT && within(f->start.version, file));
        return;
    }
    if (f->type == RECORDING_EVENT) {
        check_event(&f->event, file);
        recording_put_event(&b, number, &f->event, !within(f->event.bytes, file));
    } else {
        recording_put_checkpoint(&b, number, f->type, &f->checkpoint);
    }
    const bool empty = f->type == RECORDING_EVENT && f->event.bytes.len == 0; /* withheld or not */
    ASSERT(empty || span_equal(buffer_span(&b), bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static uint8_t given[INPUT_MAX];
    struct recording_reader r;
    struct recording_frame f;
    if (len < 1 || len > INPUT_MAX) return 0;
    memcpy(given, bytes + 1, --len);
    if (bytes[0] == 1 && len > RECORDING_MAGIC_BYTES) seal(given, len);
    const struct span file = span_make(given, len);
    if (len >= RECORDING_END_BYTES) (void)recording_ended(given + len - RECORDING_END_BYTES);
    if (recording_begin(&r, file) != OK) return 0;
    for (;;) {
        const size_t at = r.at;
        const uint64_t number = r.frame;
        if (recording_next(&r, &f) != OK) {
            ASSERT(r.at == at && r.frame == number);
            return 0;
        }
        ASSERT(r.at > at && r.at <= file.len && r.frame == number + 1);
        check_frame(&f, span_make(given + at, r.at - at), number, file);
    }
}
