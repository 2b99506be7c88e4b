#include "proto/receipt_room.h"

#include "proto/base/caps.h"
#include "proto/wire/table.h"

/* What a receipt's statements take, rounded up: header, signature, frames; each head is HEAD_BYTES more. */
enum { RELEASE_BYTES = 480, COMMIT_BYTES = 380, OUTPUT_BYTES = 192, RECEIPT_FIXED_BYTES = 4096 };
enum {
    RELEASES_BYTES_MAX = 24576,
    COMMITS_BYTES_MAX = 20480,
    OUTPUTS_BYTES_MAX = 40960
}; /* caps of the receipt's fields */

bool receipt_room_fits(const struct charter *c, const struct workflow *w, const struct receipt_parts_count *p)
{
    size_t heads = (size_t)HEAD_BYTES * p->inputs;
    size_t releases = ((c->t > c->q ? c->t : c->q) + p->vetoes) * (RELEASE_BYTES + heads),
           commits = c->q * (COMMIT_BYTES + heads);
    size_t outputs = p->readers * ((size_t)OUTPUT_BYTES + w->output_bytes_max);
    size_t all =
        releases + commits + outputs + (size_t)p->records * 32 + p->certificate_len + RECEIPT_FIXED_BYTES;
    return releases <= RELEASES_BYTES_MAX && commits <= COMMITS_BYTES_MAX && outputs <= OUTPUTS_BYTES_MAX &&
           all <= CAP_BODY_BYTES;
}

uint32_t receipt_room_readers(const struct workflow *w, struct node_id requester)
{
    uint32_t readers = w->reader_count + 1;
    for (uint32_t i = 0; i < w->reader_count; i++) readers -= ID_EQUAL(w->reader[i], requester);
    return readers;
}

bool receipt_room_ever(const struct charter *c, const struct workflow *w)
{
    struct receipt_parts_count least = {.inputs = w->owners_min > c->k ? w->owners_min : c->k,
                                        .readers = w->reader_count + 1};
    for (uint32_t i = 0; i < w->requester_count; i++) {
        uint32_t readers = receipt_room_readers(w, w->requester[i]);
        if (readers < least.readers) least.readers = readers;
    }
    return receipt_room_fits(c, w, &least);
}
