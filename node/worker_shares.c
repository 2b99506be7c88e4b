/* The custodians' shares: checked one by one, kept, and put together into data keys and the noise seed. */
#include "node/worker_state.h"

#include "crypto/kdf.h"
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

static enum err read_and_check(struct dec_share *share, const struct enclave_effect *effect,
                               const struct enclave_keys *keys)
{
    struct group_key a, b;
    struct cursor c = cursor_make(effect->bytes);
    TRY(keys_from(&a, &b, keys));
    if (effect->custodian >= a.n || effect->bytes.len != (size_t)SHARE_BYTES * (keys->input_count + 1))
        return ERR_RANGE;
    for (uint32_t i = 0; i <= keys->input_count; i++) TRY(read_share(&share[i], &c, effect->custodian + 1));
    for (uint32_t i = 0; i < keys->input_count; i++) {
        struct envelope e = envelope_of(keys, i);
        struct label label = label_of(keys, &a, i);
        if (envelope_share_check(&share[i], &e, &a, &label) != OK) return ERR_PROOF;
    }
    return prf_share_check(&share[keys->input_count], &b, keys->prf_input) == OK ? OK : ERR_PROOF;
}

enum err worker_shares_check(struct worker *w, const struct enclave_effect *effect,
                             const struct enclave_keys *keys)
{
    if (keys == NULL) return ERR_NOT_READY;
    if (effect->custodian >= CAP_CUSTODIANS || keys->input_count > CAP_INPUTS) return ERR_RANGE;
    struct dec_share *share = secret_alloc(sizeof *share * (keys->input_count + 1));
    if (share == NULL) return ERR_NO_MEMORY;
    enum err err = read_and_check(share, effect, keys);
    if (err != OK) {
        secret_free(share);
        return err;
    }
    secret_free(w->share[effect->custodian]);
    w->share[effect->custodian] = share;
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

static enum err unlock_with(struct worker *w, struct unlock_room *room, const struct enclave_keys *keys)
{
    struct group_key a, b;
    TRY(keys_from(&a, &b, keys));
    for (uint32_t i = 0; i < keys->input_count; i++) {
        struct envelope e = envelope_of(keys, i);
        struct label label = label_of(keys, &a, i);
        uint32_t count = gather(room->share, w, i);
        TRY(envelope_open(w->secret->data_key[i], &e, &a, &label, room->share, count));
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
        if (w->share[i] != NULL) secret_free(w->share[i]);
        w->share[i] = NULL;
    }
}
