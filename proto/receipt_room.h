/* receipt_room: does what proves a run fit the record that carries its receipt?
 * Custodians, inputs, readers and the output's cap alone decide, so it can be known before anything is published, approved or
 * spent: a recipe whose receipt never fits cannot be run. The sizes are upper bounds of what enclave and custodians write,
 * under the caps of `receipt` in wire/table.h. Pure. */
#ifndef PERIGEE_PROTO_RECEIPT_ROOM_H
#define PERIGEE_PROTO_RECEIPT_ROOM_H

#include "proto/charter.h"
#include "proto/workflow.h"

#include <stddef.h>

struct receipt_parts_count {
    uint32_t inputs, readers, vetoes;
    uint32_t records;       /* of its bundle; 0: not known yet */
    size_t certificate_len; /* 0: not known yet */
};
bool receipt_room_fits(const struct charter *c, const struct workflow *w,
                       const struct receipt_parts_count *p);
/* Does that of the smallest run it allows? */
bool receipt_room_ever(const struct charter *c, const struct workflow *w);
/* To whom the output of a run by this requester goes, each once. */
uint32_t receipt_room_readers(const struct workflow *w, struct node_id requester);

#endif
