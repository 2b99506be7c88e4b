/* The custodians' shares, and owners' halves: opened, checked one by one, kept, and put together into data keys and the noise seed. They are in
 * locked memory from the moment their box is opened, and nowhere once they have given what they hold. */
#include "node/worker_state.h"

#include "crypto/kdf.h"
#include "crypto/kem.h"
#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <string.h>

/* A consortium key from the committee record. */
static enum err key_from(struct group_key *out, const struct charter *charter, const struct point *y,
                         struct span shares)
{
    memset(out, 0, sizeof *out);
    out->y = *y;
    out->n = charter->custodian_count;
    out->t = charter->t;
    if (out->n == 0 || out->n > COMMITTEE_MAX || shares.len != (size_t)out->n * 32) return ERR_RANGE;
    for (uint32_t i = 0; i < out->n; i++) memcpy(out->share[i].bytes, shares.data + (size_t)i * 32, 32);
    return OK;
}

static enum err keys_from(struct group_key *a, struct group_key *b, const struct enclave_keys *keys)
{
    if (keys == NULL || keys->committee == NULL || keys->charter == NULL) return ERR_NOT_READY;
    if (keys->input_count > CAP_INPUTS) return ERR_RANGE;
    for (uint32_t i = 0; i < keys->input_count; i++)
        if (keys->manifest[i] == NULL) return ERR_NOT_READY;
    const struct body_COMMITTEE *body = &keys->committee->body;
    TRY(key_from(a, keys->charter, &body->key_a, body->shares_a));
    return key_from(b, keys->charter, &body->key_b, body->shares_b);
}

/* PROTOCOL.md "Envelope": what the data key was sealed for. Another recipe, owner or content makes another label. */
static struct label label_of(const struct enclave_keys *keys, const struct group_key *a, uint32_t input)
{
    const struct manifest *m = keys->manifest[input];
    return label_make(group_key_id(&a->y), keys->app, keys->compose, m->owner, m->content, m->policy);
}

static struct envelope envelope_of(const struct enclave_keys *keys, uint32_t input)
{
    struct envelope e;
    memcpy(e.bytes, keys->manifest[input]->envelope, sizeof e.bytes);
    return e;
}

static enum err read_share(struct dec_share *out, struct cursor *c, uint32_t index)
{
    out->index = index;
    TRY(cursor_copy(c, out->d.bytes, 32));
    TRY(cursor_copy(c, out->e.bytes, 32));
    return cursor_copy(c, out->f.bytes, 32);
}

static enum err read_and_check(struct dec_share *share, struct span opened, uint32_t custodian,
                               const struct enclave_keys *keys)
{
    struct group_key a, b;
    struct cursor c = cursor_make(opened);
    TRY(keys_from(&a, &b, keys));
    if (custodian >= a.n) return ERR_RANGE;
    for (uint32_t i = 0; i <= keys->input_count; i++) TRY(read_share(&share[i], &c, custodian + 1));
    for (uint32_t i = 0; i < keys->input_count; i++) {
        struct envelope e = envelope_of(keys, i);
        struct label label = label_of(keys, &a, i);
        if (envelope_share_check(&share[i], &e, &a, &label) != OK) return ERR_PROOF;
    }
    return prf_share_check(&share[keys->input_count], &b, keys->prf_input) == OK ? OK : ERR_PROOF;
}

static void forget(uint8_t **opened)
{
    secret_free(*opened);
    *opened = NULL;
}

static size_t opened_bytes(const struct enclave_keys *keys)
{
    return (size_t)SHARE_BYTES * (keys->input_count + 1);
}

enum { HALF_BYTES = 32 };

/* Where what this party gives is put when its box is opened; NULL: there is no such party. */
static uint8_t **opened_of(struct worker *w, uint32_t party)
{
    if (party < CAP_CUSTODIANS) return &w->opened[party];
    bool owner = party >= VETO_PARTY && party - VETO_PARTY < CAP_INPUTS;
    return owner ? &w->opened_half[party - VETO_PARTY] : NULL;
}

static enum err keep_opened(struct worker *w, uint32_t party, struct span given,
                            const struct enclave_keys *keys)
{
    if (given.len != (party < VETO_PARTY ? opened_bytes(keys) : (size_t)HALF_BYTES)) return ERR_RANGE;
    if (w->unlocked) return ERR_CONFLICT; /* there is no use for them any more */
    uint8_t *opened = secret_alloc(given.len), **place = opened_of(w, party);
    if (opened == NULL) return ERR_NO_MEMORY;
    memcpy(opened, given.data, given.len);
    forget(place);
    *place = opened;
    return OK;
}

static enum err open_into(struct worker *w, uint8_t *plain, struct worker_reply *reply,
                          const struct enclave_effect *effect, const struct enclave_keys *keys)
{
    size_t len = effect->bytes.len - KEM_OVERHEAD_BYTES;
    struct span shares = SPAN_NONE;
    TRY(kem_open(plain, &w->secret->kem, effect->bytes, effect->context));
    uint8_t *room =
        worker_reply_room(reply, len + 32); /* a hash takes the place of shares: never more than this */
    if (room == NULL) return ERR_NO_MEMORY;
    struct buffer view = buffer_make(room, reply->len);
    TRY(enclave_answer_view(&view, &shares, span_make(plain, len)));
    reply->len = view.len;
    return shares.len > 0 ? keep_opened(w, effect->party, shares, keys) : OK;
}

enum err worker_shares_open(struct worker *w, struct worker_reply *reply, const struct enclave_effect *effect,
                            const struct enclave_keys *keys)
{
    if (!w->has_keys || keys == NULL) return ERR_NOT_READY;
    if (opened_of(w, effect->party) == NULL || keys->input_count > CAP_INPUTS) return ERR_RANGE;
    if (effect->bytes.len <= KEM_OVERHEAD_BYTES) return ERR_TRUNCATED;
    if (effect->bytes.len > KEM_OVERHEAD_BYTES + ANSWER_BYTES_MAX) return ERR_TOO_LARGE;
    uint8_t *plain = secret_alloc(effect->bytes.len - KEM_OVERHEAD_BYTES);
    if (plain == NULL) return ERR_NO_MEMORY;
    enum err err = open_into(w, plain, reply, effect, keys);
    secret_free(plain);
    return err;
}

/* Its owner signed this half; whether it is the right one, the body's key commitment will show. */
static void keep_half(struct worker *w, uint32_t input)
{
    forget(&w->half[input]);
    w->half[input] = w->opened_half[input];
    w->opened_half[input] = NULL;
}

static enum err keep_shares(struct worker *w, uint32_t custodian, const struct enclave_keys *keys)
{
    struct dec_share *share = secret_alloc(sizeof *share * (keys->input_count + 1));
    enum err err = share == NULL ? ERR_NO_MEMORY
                                 : read_and_check(share, span_make(w->opened[custodian], opened_bytes(keys)),
                                                  custodian, keys);
    forget(&w->opened[custodian]);
    if (err != OK) {
        secret_free(share);
        return err;
    }
    secret_free(w->share[custodian]);
    w->share[custodian] = share;
    return OK;
}

enum err worker_shares_check(struct worker *w, const struct enclave_effect *effect,
                             const struct enclave_keys *keys)
{
    if (keys == NULL) return ERR_NOT_READY;
    uint8_t **opened = opened_of(w, effect->party);
    if (opened == NULL || keys->input_count > CAP_INPUTS) return ERR_RANGE;
    if (*opened == NULL) return ERR_NOT_READY;
    if (effect->party < VETO_PARTY) return keep_shares(w, effect->party, keys);
    keep_half(w, effect->party - VETO_PARTY);
    return OK;
}

/* Shares number `item` of every custodian kept. */
static uint32_t gather(struct dec_share *out, const struct worker *w, uint32_t item)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < CAP_CUSTODIANS; i++)
        if (w->share[i] != NULL) out[count++] = w->share[i][item];
    return count;
}

/* PROTOCOL.md "Threshold PRF": seed of the noise and salt of the commitment, both repeated by a failover. */
static void derive(struct worker_secrets *s, const uint8_t value[32], struct run_id run)
{
    uint8_t info_bytes[22 + 32];
    struct buffer info = BUFFER_OF(info_bytes);
    buffer_put_text(&info, "perigee/commit-salt/v1");
    buffer_put(&info, ID_SPAN(run));
    ASSERT(!info.overflow);
    hkdf_sha256(s->seed, 32, SPAN_NONE, span_make(value, 32), SPAN_LITERAL("perigee/noise-seed/v1"));
    hkdf_sha256(s->salt, 32, SPAN_NONE, span_make(value, 32), buffer_span(&info));
}

struct unlock_room {
    struct dec_share share[CAP_CUSTODIANS];
    uint8_t value[32];
};

/* PROTOCOL.md "Owner's veto": the envelope holds one half, the owner's node gave the other. */
static enum err join_half(uint8_t data_key[32], const struct worker *w, uint32_t input)
{
    if (w->half[input] == NULL) return ERR_NOT_READY;
    for (uint32_t i = 0; i < HALF_BYTES; i++) data_key[i] ^= w->half[input][i];
    return OK;
}

static enum err unlock_with(struct worker *w, struct unlock_room *room, const struct enclave_keys *keys)
{
    struct group_key a, b;
    TRY(keys_from(&a, &b, keys));
    for (uint32_t i = 0; i < keys->input_count; i++) {
        struct envelope e = envelope_of(keys, i);
        struct label label = label_of(keys, &a, i);
        uint32_t count = gather(room->share, w, i);
        TRY(envelope_open(w->secret->data_key[i], &e, &a, &label, room->share, count));
        if (keys->manifest[i]->veto) TRY(join_half(w->secret->data_key[i], w, i));
    }
    uint32_t count = gather(room->share, w, keys->input_count);
    TRY(prf_combine(room->value, &b, keys->prf_input, room->share, count));
    derive(w->secret, room->value, keys->run);
    return OK;
}

enum err worker_shares_unlock(struct worker *w, const struct enclave_keys *keys)
{
    if (w->unlocked) return ERR_CONFLICT;
    struct unlock_room *room = secret_alloc(sizeof *room);
    if (room == NULL) return ERR_NO_MEMORY;
    enum err err = unlock_with(w, room, keys);
    secret_free(room);
    if (err != OK) return err;
    w->unlocked = true;
    worker_shares_wipe(w); /* they have given what they hold */
    return OK;
}

void worker_shares_wipe(struct worker *w)
{
    for (uint32_t i = 0; i < CAP_CUSTODIANS; i++) {
        forget(&w->opened[i]);
        secret_free(w->share[i]);
        w->share[i] = NULL;
    }
    for (uint32_t i = 0; i < CAP_INPUTS; i++) {
        forget(&w->opened_half[i]);
        forget(&w->half[i]);
    }
}
