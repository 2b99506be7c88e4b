/* cocktail: see cocktail.h. The computations are in ceremony.c; this file binds them to a session and a kept
 * state. Bytes: PROTOCOL.md "Key generation". */
#include "crypto/cocktail.h"

#include "crypto/ceremony.h"
#include "crypto/group.h"
#include "crypto/hash.h"
#include "crypto/schnorr.h"
#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <string.h>

struct cocktail_session cocktail_session_make(uint32_t n, uint32_t t, uint32_t own, const struct point *party,
                                              struct hash32 tag, struct span extension)
{
    struct cocktail_session s = {.n = n, .t = t, .own = own, .tag = tag, .extension = extension};
    ASSERT(n <= COMMITTEE_MAX);
    memcpy(s.party, party, n * sizeof *party);
    return s;
}

void cocktail_keypair(struct scalar_secret *secret, struct point *out)
{
    group_scalar_random(secret->bytes);
    enum err err = group_base(out, secret->bytes);
    ASSERT(err == OK);
}

enum err cocktail_public_of(struct point *out, const struct scalar_secret *secret)
{
    return group_base(out, secret->bytes);
}

static enum err ceremony_of(struct ceremony *c, const struct cocktail_session *s)
{
    return ceremony_init(c, s->n, s->t, s->own, s->party, ID_SPAN(s->tag), s->extension);
}

/* --- Messages as they travel --------------------------------------------------------------------------- */

void cocktail_round1_write(struct buffer *out, const struct cocktail_round1 *message,
                           const struct cocktail_session *s, enum cocktail_part part)
{
    ASSERT(s->n <= COMMITTEE_MAX && s->t <= THRESHOLD_MAX);
    buffer_put(out, SPAN_OF(message->ephemeral.bytes));
    for (uint32_t i = 0; i < s->t; i++) buffer_put(out, SPAN_OF(message->commitment[i].bytes));
    buffer_put(out, SPAN_OF(message->pop));
    for (uint32_t i = 0; part == COCKTAIL_WHOLE && i < s->n; i++) buffer_put(out, SPAN_OF(message->share[i]));
}

static enum err read_one(struct cocktail_round1 *out, struct cursor *c, const struct cocktail_session *s,
                         enum cocktail_part part)
{
    memset(out, 0, sizeof *out);
    TRY(cursor_copy(c, out->ephemeral.bytes, sizeof out->ephemeral.bytes));
    for (uint32_t i = 0; i < s->t; i++) TRY(cursor_copy(c, out->commitment[i].bytes, 32));
    TRY(cursor_copy(c, out->pop, sizeof out->pop));
    for (uint32_t i = 0; part == COCKTAIL_WHOLE && i < s->n; i++)
        TRY(cursor_copy(c, out->share[i], COCKTAIL_SHARE_BYTES));
    return OK;
}

enum err cocktail_round1_read(struct cocktail_round1 *out, struct span all, const struct cocktail_session *s,
                              enum cocktail_part part)
{
    struct cursor c = cursor_make(all);
    if (s->n > COMMITTEE_MAX || s->t > THRESHOLD_MAX) return ERR_RANGE;
    for (uint32_t i = 0; i < s->n; i++) TRY(read_one(&out[i], &c, s, part));
    return cursor_end(&c);
}

void cocktail_result_write(struct buffer *out, const struct group_key *key, const uint8_t transcript[64],
                           const uint8_t sig[COCKTAIL_SIGNATURE_BYTES])
{
    buffer_put(out, SPAN_OF(key->y.bytes));
    for (uint32_t i = 0; i < key->n; i++) buffer_put(out, SPAN_OF(key->share[i].bytes));
    buffer_put(out, span_make(transcript, 64));
    buffer_put(out, span_make(sig, COCKTAIL_SIGNATURE_BYTES));
}

/* --- The state: what binds it to the session, then the own message. ------------------------------------ */

static const char state_magic[16] = "cocktail-state/1";
enum { STATE_HEAD_BYTES = sizeof state_magic + 64 + 4 + 4 };
_Static_assert(STATE_HEAD_BYTES + sizeof(struct cocktail_round1) <= COCKTAIL_STATE_BYTES,
               "the state fits its blob");

static void state_head(uint8_t head[STATE_HEAD_BYTES], const struct ceremony *c)
{
    struct buffer out = buffer_make(head, STATE_HEAD_BYTES);
    buffer_put(&out, SPAN_OF(state_magic));
    buffer_put(&out, SPAN_OF(c->context));
    buffer_put_u32(&out, c->t);
    buffer_put_u32(&out, c->own);
    ASSERT(!out.overflow && out.len == STATE_HEAD_BYTES);
}

static void state_write(struct cocktail_secret *state, const struct ceremony *c,
                        const struct cocktail_round1 *own)
{
    memset(state, 0, sizeof *state);
    state_head(state->bytes, c);
    memcpy(state->bytes + STATE_HEAD_BYTES, own, sizeof *own);
}

static enum err state_read(struct cocktail_round1 *own, const struct cocktail_secret *state,
                           const struct ceremony *c)
{
    uint8_t head[STATE_HEAD_BYTES];
    if (c->own == 0) return ERR_RANGE;
    state_head(head, c);
    if (memcmp(state->bytes, head, sizeof head) != 0) return ERR_CONFLICT;
    memcpy(own, state->bytes + STATE_HEAD_BYTES, sizeof *own);
    return OK;
}

/* --- Round 1 ------------------------------------------------------------------------------------------- */

enum err cocktail_begin_from(struct cocktail_secret *state, struct cocktail_round1 *out,
                             const struct cocktail_session *s, const struct scalar_secret *own_static,
                             struct span entropy)
{
    struct ceremony c;
    TRY(ceremony_of(&c, s));
    TRY(ceremony_deal(out, &c, own_static->bytes, entropy));
    state_write(state, &c, out);
    return OK;
}

enum err cocktail_begin(struct cocktail_secret *state, struct cocktail_round1 *out,
                        const struct cocktail_session *s, const struct scalar_secret *own_static)
{
    if (s->t == 0 || s->t > THRESHOLD_MAX) return ERR_RANGE;
    size_t len = (size_t)64 * (s->t + 1);
    uint8_t *entropy = secret_alloc(len);
    if (entropy == NULL) return ERR_NO_MEMORY;
    random_fill(entropy, len);
    enum err err = cocktail_begin_from(state, out, s, own_static, span_make(entropy, len));
    secret_free(entropy);
    return err;
}

enum err cocktail_resume(struct cocktail_round1 *out, const struct cocktail_secret *state,
                         const struct cocktail_session *s)
{
    struct ceremony c;
    TRY(ceremony_of(&c, s));
    return state_read(out, state, &c);
}

/* --- Rounds 2 and 3 ------------------------------------------------------------------------------------ */

static enum err check_all(uint32_t *culprit, const struct ceremony *c, const struct cocktail_round1 *round1)
{
    for (uint32_t from = 1; from <= c->n; from++) {
        *culprit = from;
        TRY(ceremony_check(c, &round1[from - 1]));
    }
    *culprit = 0;
    return OK;
}

static enum err receive_all(struct scalar_secret *sum, uint32_t *culprit, const struct ceremony *c,
                            const struct cocktail_round1 *round1, const uint8_t static32[32])
{
    uint8_t share[32];
    memset(sum, 0, sizeof *sum);
    for (uint32_t from = 1; from <= c->n; from++) {
        *culprit = from;
        TRY(ceremony_receive(share, c, from, &round1[from - 1], static32));
        group_scalar_add(sum->bytes, sum->bytes, share);
    }
    *culprit = 0;
    secret_wipe(share, sizeof share);
    return OK;
}

/* The sum of checked shares matches the sum of their commitments; a difference here is a defect, not a cheat.
 */
static enum err own_share_check(const struct scalar_secret *share, const struct group_key *key, uint32_t own)
{
    struct point y_own;
    if (group_base(&y_own, share->bytes) != OK) return ERR_PROOF;
    return memcmp(y_own.bytes, key->share[own - 1].bytes, 32) == 0 ? OK : ERR_PROOF;
}

static enum err certify(uint8_t transcript[64], uint8_t sig[COCKTAIL_SIGNATURE_BYTES],
                        const struct ceremony *c, const struct scalar_secret *own_static,
                        const struct cocktail_round1 *round1)
{
    struct ceremony_transcript t;
    ceremony_transcribe(&t, c, round1);
    const struct span message = span_make(t.bytes, t.len);
    sha512(transcript, message);
    return schnorr_sign(sig, own_static->bytes, &c->party[c->own - 1], &message, 1);
}

static enum err session_check(const struct ceremony *c, const struct cocktail_secret *state,
                              const struct scalar_secret *own_static, const struct cocktail_round1 *round1)
{
    struct cocktail_round1 own;
    struct point key;
    TRY(state_read(&own, state, c));
    if (memcmp(&own, &round1[c->own - 1], sizeof own) != 0) return ERR_CONFLICT;
    if (!group_scalar_ok(own_static->bytes)) return ERR_KEY;
    TRY(group_base(&key, own_static->bytes));
    return memcmp(key.bytes, c->party[c->own - 1].bytes, 32) == 0 ? OK : ERR_KEY;
}

static enum err settle(struct scalar_secret *share, struct group_key *key, uint32_t *culprit,
                       const struct ceremony *c, const struct scalar_secret *own_static,
                       const struct cocktail_round1 *round1)
{
    TRY(check_all(culprit, c, round1));
    TRY(receive_all(share, culprit, c, round1, own_static->bytes));
    TRY(ceremony_key(key, c, round1));
    return own_share_check(share, key, c->own);
}

enum err cocktail_finish(struct scalar_secret *share, struct group_key *key, uint8_t transcript[64],
                         uint8_t sig[COCKTAIL_SIGNATURE_BYTES], uint32_t *culprit,
                         const struct cocktail_secret *state, const struct cocktail_session *s,
                         const struct scalar_secret *own_static, const struct cocktail_round1 *round1)
{
    struct ceremony c;
    *culprit = 0;
    TRY(ceremony_of(&c, s));
    TRY(session_check(&c, state, own_static, round1));
    enum err err = settle(share, key, culprit, &c, own_static, round1);
    if (err == OK) err = certify(transcript, sig, &c, own_static, round1);
    if (err != OK) secret_wipe(share, sizeof *share);
    return err;
}

enum err cocktail_check(const struct cocktail_session *s, const struct cocktail_round1 *round1,
                        uint32_t party, const uint8_t sig[COCKTAIL_SIGNATURE_BYTES])
{
    struct ceremony c;
    struct ceremony_transcript t;
    TRY(ceremony_of(&c, s));
    if (party == 0 || party > c.n) return ERR_RANGE;
    ceremony_transcribe(&t, &c, round1);
    const struct span message = span_make(t.bytes, t.len);
    return schnorr_check(sig, &c.party[party - 1], &message, 1);
}

enum err cocktail_check_all(uint32_t *culprit, const struct cocktail_session *s,
                            const struct cocktail_round1 *round1, struct span signatures)
{
    *culprit = 0;
    if (signatures.len != (size_t)COCKTAIL_SIGNATURE_BYTES * s->n) return ERR_RANGE;
    for (uint32_t i = 0; i < s->n; i++) {
        *culprit = i + 1;
        TRY(cocktail_check(s, round1, i + 1, signatures.data + (size_t)COCKTAIL_SIGNATURE_BYTES * i));
    }
    *culprit = 0;
    return OK;
}

enum err cocktail_public(struct group_key *key, uint8_t transcript[64], const struct cocktail_session *s,
                         const struct cocktail_round1 *round1)
{
    struct ceremony c;
    struct ceremony_transcript t;
    uint32_t culprit;
    TRY(ceremony_of(&c, s));
    TRY(check_all(&culprit, &c, round1));
    TRY(ceremony_key(key, &c, round1));
    ceremony_transcribe(&t, &c, round1);
    sha512(transcript, span_make(t.bytes, t.len));
    return OK;
}

static bool key_is(const struct group_key *key, struct span key_and_shares)
{
    if (key_and_shares.len != 32 + 32 * (size_t)key->n) return false;
    if (memcmp(key_and_shares.data, key->y.bytes, 32) != 0) return false;
    for (uint32_t i = 0; i < key->n; i++)
        if (memcmp(key_and_shares.data + 32 + 32 * (size_t)i, key->share[i].bytes, 32) != 0) return false;
    return true;
}

enum err cocktail_certified(uint32_t *culprit, struct cocktail_round1 *round1,
                            const struct cocktail_session *s, struct span messages, struct span signatures,
                            struct span key_and_shares)
{
    struct group_key key;
    uint8_t transcript[64];
    *culprit = 0;
    TRY(cocktail_round1_read(round1, messages, s, COCKTAIL_PUBLIC));
    TRY(cocktail_public(&key, transcript, s, round1));
    if (!key_is(&key, key_and_shares)) return ERR_CONFLICT;
    return cocktail_check_all(culprit, s, round1, signatures);
}
