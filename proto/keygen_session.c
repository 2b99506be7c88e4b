#include "proto/keygen_session.h"

_Static_assert(COMMITTEE_MAX == (int)CAP_CUSTODIANS, "a session has room for every custodian of a charter");

void keygen_session_make(struct keygen_session *out, struct consortium_id consortium,
                         const struct charter *charter, uint32_t epoch, uint32_t purpose, uint32_t own)
{
    uint8_t epoch_bytes[4], byte = (uint8_t)purpose;
    store_u32(epoch_bytes, epoch);
    *out = (struct keygen_session){
        .epoch = epoch, .purpose = purpose, .n = charter->custodian_count, .t = charter->t, .own = own};
    for (uint32_t i = 0; i < out->n; i++) out->party[i] = charter->member[charter->custodian[i]].dkg;
    out->tag =
        HASH_FRAMED("perigee/keygen/v1", ID_SPAN(consortium), SPAN_OF(epoch_bytes), span_make(&byte, 1));
    out->extension[0] = charter->hash;
    out->extension[1] = HASH_FRAMED("perigee/purpose/v1", span_make(&byte, 1));
}
