#include "crypto/unlock.h"

#include "crypto/kdf.h"
#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <string.h>

/* PROTOCOL.md "Envelope": what the data key was sealed for. Another recipe, owner or content makes another label. */
static struct label label_at(const struct unlock_terms *terms, uint32_t input)
{
    return label_of_ids(group_key_id(&terms->key[0].y), terms->part[input]);
}

static struct envelope envelope_at(const struct unlock_terms *terms, uint32_t input)
{
    struct envelope e;
    memcpy(e.bytes, terms->part[input] + LABEL_IDS_BYTES, sizeof e.bytes);
    return e;
}

/* --- What parties give ------------------------------------------------------------------------------------------------- */

static void forget(uint8_t **bytes)
{
    secret_free(*bytes);
    *bytes = NULL;
}

/* Where what this party gives is put; NULL: there is no such party. */
static uint8_t **place_of(struct unlock *u, uint32_t party)
{
    if (party < COMMITTEE_MAX) return &u->taken[party];
    return unlock_is_party(party) ? &u->taken_half[party - VETO_PARTY] : NULL;
}

bool unlock_is_party(uint32_t party)
{
    return party < COMMITTEE_MAX || (party >= VETO_PARTY && party - VETO_PARTY < CAP_INPUTS);
}

static size_t shares_bytes(uint32_t input_count)
{
    return (size_t)SHARE_BYTES * (input_count + 1);
}

/* All that may ever be given has room: what is read never depends on what came. */
enum { TAKEN_BYTES = SHARE_BYTES * (CAP_INPUTS + 1) };

enum err unlock_take(struct unlock *u, uint32_t party, struct span given, uint32_t input_count)
{
    uint8_t **place = place_of(u, party);
    if (place == NULL || input_count > CAP_INPUTS) return ERR_RANGE;
    if (given.len != (party < VETO_PARTY ? shares_bytes(input_count) : (size_t)UNLOCK_HALF_BYTES))
        return ERR_RANGE;
    if (u->done) return OK; /* who comes late has given all the same, and is to be known for it */
    uint8_t *taken = secret_alloc(TAKEN_BYTES);
    if (taken == NULL) return ERR_NO_MEMORY;
    memcpy(taken, given.data, given.len);
    forget(place);
    *place = taken;
    return OK;
}

/* --- Checking ------------------------------------------------------------------------------------------------------------ */

static enum err read_share(struct dec_share *out, struct cursor *c, uint32_t index)
{
    out->index = index;
    TRY(cursor_copy(c, out->d.bytes, 32));
    TRY(cursor_copy(c, out->e.bytes, 32));
    return cursor_copy(c, out->f.bytes, 32);
}

static enum err read_and_check(struct dec_share *share, const uint8_t *taken, uint32_t custodian,
                               const struct unlock_terms *terms)
{
    const struct group_key *a = &terms->key[0], *b = &terms->key[1];
    struct cursor c = cursor_make(span_make(taken, TAKEN_BYTES));
    if (custodian >= a->n || terms->input_count > CAP_INPUTS) return ERR_RANGE;
    for (uint32_t i = 0; i <= terms->input_count; i++) TRY(read_share(&share[i], &c, custodian + 1));
    for (uint32_t i = 0; i < terms->input_count; i++) {
        const struct envelope e = envelope_at(terms, i);
        const struct label label = label_at(terms, i);
        if (envelope_share_check(&share[i], &e, a, &label) != OK) return ERR_PROOF;
    }
    return prf_share_check(&share[terms->input_count], b, terms->prf_input) == OK ? OK : ERR_PROOF;
}

static enum err keep_shares(struct unlock *u, uint32_t custodian, const struct unlock_terms *terms)
{
    struct dec_share *share = secret_alloc(sizeof *share * (CAP_INPUTS + 1));
    enum err err =
        share == NULL ? ERR_NO_MEMORY : read_and_check(share, u->taken[custodian], custodian, terms);
    forget(&u->taken[custodian]);
    if (err != OK) {
        secret_free(share);
        return err;
    }
    secret_free(u->share[custodian]);
    u->share[custodian] = share;
    return OK;
}

static void keep_half(struct unlock *u, uint32_t input)
{
    forget(&u->half[input]);
    u->half[input] = u->taken_half[input];
    u->taken_half[input] = NULL;
}

enum err unlock_check(struct unlock *u, uint32_t party, const struct unlock_terms *terms)
{
    uint8_t **taken = place_of(u, party);
    if (taken == NULL) return ERR_RANGE;
    if (*taken == NULL) return ERR_NOT_READY;
    if (party < VETO_PARTY) return keep_shares(u, party, terms);
    keep_half(u, party - VETO_PARTY);
    return OK;
}

/* --- Putting together ------------------------------------------------------------------------------------------------------ */

/* Shares number `item` of every custodian kept. */
static uint32_t gather(struct dec_share *out, const struct unlock *u, uint32_t item)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < COMMITTEE_MAX; i++)
        if (u->share[i] != NULL) out[count++] = u->share[i][item];
    return count;
}

/* PROTOCOL.md "Threshold PRF": seed of the noise and salt of the commitment, both repeated by a failover. */
static void derive(struct unlocked *out, const uint8_t value[32], struct run_id run)
{
    uint8_t info_bytes[22 + 32];
    struct buffer info = BUFFER_OF(info_bytes);
    buffer_put_text(&info, "perigee/commit-salt/v1");
    buffer_put(&info, ID_SPAN(run));
    ASSERT(!info.overflow);
    hkdf_sha256(out->seed, 32, SPAN_NONE, span_make(value, 32), SPAN_LITERAL("perigee/noise-seed/v1"));
    hkdf_sha256(out->salt.bytes, 32, SPAN_NONE, span_make(value, 32), buffer_span(&info));
}

/* PROTOCOL.md "Owner's veto": the envelope holds one half, the owner's node gave the other. */
static enum err join_half(uint8_t data_key[32], const uint8_t *half)
{
    if (half == NULL) return ERR_NOT_READY;
    for (uint32_t i = 0; i < UNLOCK_HALF_BYTES; i++) data_key[i] ^= half[i];
    return OK;
}

struct room {
    struct dec_share share[COMMITTEE_MAX];
    uint8_t value[32];
};

static enum err open_with(struct room *room, const struct unlock *u, struct unlocked *out,
                          const struct unlock_terms *terms)
{
    const struct group_key *a = &terms->key[0], *b = &terms->key[1];
    for (uint32_t i = 0; i < terms->input_count; i++) {
        const struct envelope e = envelope_at(terms, i);
        const struct label label = label_at(terms, i);
        const uint32_t count = gather(room->share, u, i);
        TRY(envelope_open(out->data_key[i], &e, a, &label, room->share, count));
        if (terms->veto[i]) TRY(join_half(out->data_key[i], u->half[i]));
    }
    const uint32_t count = gather(room->share, u, terms->input_count);
    TRY(prf_combine(room->value, b, terms->prf_input, room->share, count));
    derive(out, room->value, terms->run);
    return OK;
}

enum err unlock_open(struct unlock *u, struct unlocked *out, const struct unlock_terms *terms)
{
    if (u->done) return ERR_CONFLICT;
    ASSERT(terms->input_count <= CAP_INPUTS);
    struct room *room = secret_alloc(sizeof *room);
    if (room == NULL) return ERR_NO_MEMORY;
    enum err err = open_with(room, u, out, terms);
    secret_free(room);
    if (err != OK) return err;
    u->done = true;
    unlock_wipe(u); /* shares have given what they hold */
    return OK;
}

void unlock_wipe(struct unlock *u)
{
    for (uint32_t i = 0; i < COMMITTEE_MAX; i++) {
        forget(&u->taken[i]);
        secret_free(u->share[i]);
        u->share[i] = NULL;
    }
    for (uint32_t i = 0; i < CAP_INPUTS; i++) {
        forget(&u->taken_half[i]);
        forget(&u->half[i]);
    }
}
