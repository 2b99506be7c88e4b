#include "proto/certificate.h"

#include "proto/wire/pack.h"

void certificate_encode(struct buffer *out, const struct certificate *c)
{
    pack_array(out, 8);
    pack_bin(out, ID_SPAN(c->consortium));
    pack_uint(out, c->epoch);
    pack_bin(out, ID_SPAN(c->run));
    pack_bin(out, ID_SPAN(c->compose));
    pack_uint(out, c->slot);
    pack_uint(out, c->term);
    pack_bin(out, ID_SPAN(c->node));
    pack_array(out, 2 * c->vote_count);
    for (uint32_t i = 0; i < c->vote_count; i++) {
        pack_uint(out, c->custodian[i]);
        pack_bin(out, SPAN_OF(c->vote[i].bytes));
    }
}

enum err certificate_decode(struct certificate *out, struct span bytes)
{
    struct cursor c = cursor_make(bytes);
    uint32_t count;
    TRY(unpack_array_of(&c, 8));
    TRY(unpack_fixed(&c, out->consortium.bytes, 32));
    TRY(unpack_uint(&c, UINT32_MAX, &out->epoch));
    TRY(unpack_fixed(&c, out->run.bytes, 32));
    TRY(unpack_fixed(&c, out->compose.bytes, 32));
    TRY(unpack_uint(&c, UINT32_MAX, &out->slot));
    TRY(unpack_uint(&c, UINT32_MAX, &out->term));
    TRY(unpack_fixed(&c, out->node.bytes, 32));
    TRY(unpack_array(&c, 2 * CAP_CUSTODIANS, &count));
    if (count % 2 != 0) return ERR_RANGE;
    out->vote_count = count / 2;
    for (uint32_t i = 0; i < out->vote_count; i++) {
        uint64_t custodian;
        TRY(unpack_uint(&c, CAP_CUSTODIANS - 1, &custodian));
        if (i > 0 && custodian <= out->custodian[i - 1]) return ERR_NOT_CANONICAL;
        out->custodian[i] = (uint32_t)custodian;
        TRY(unpack_fixed(&c, out->vote[i].bytes, sizeof out->vote[i].bytes));
    }
    return cursor_end(&c);
}

struct hash32 certificate_hash(struct span bytes)
{
    return HASH_FRAMED("perigee/certificate/v1", bytes);
}

struct hash32 certificate_vote_hash(const struct certificate *c)
{
    uint8_t numbers[24];
    store_u64(numbers, c->epoch);
    store_u64(numbers + 8, c->slot);
    store_u64(numbers + 16, c->term);
    return HASH_FRAMED("perigee/vote/v1", ID_SPAN(c->consortium), SPAN_OF(numbers), ID_SPAN(c->run),
                       ID_SPAN(c->compose), ID_SPAN(c->node));
}

enum err certificate_check(const struct certificate *c, const struct charter *charter)
{
    if (!ids_equal(c->consortium.bytes, charter->hash.bytes)) return ERR_CONSORTIUM;
    if (c->term == 0 || c->vote_count < charter->q) return ERR_NOT_READY;
    if (c->vote_count > CAP_CUSTODIANS) return ERR_RANGE;
    for (uint32_t i = 0; i < c->vote_count; i++) {
        if (c->custodian[i] >= charter->custodian_count) return ERR_RANGE;
        if (i > 0 && c->custodian[i] <= c->custodian[i - 1]) return ERR_DUPLICATE; /* each votes once */
    }
    return OK;
}
