/* Key generation among all custodians (PROTOCOL.md "Key generation"): COCKTAIL-DKG for key A and key B side by side.
 * Messages are repeated until everyone has them. A silent party is named as missing, and whose part does not hold as
 * wrong: it may send another. Certified is what a committee record shows: its own, when all signed, or another custodian's,
 * since one of them may show its signature to some only. Every custodian checks it and then authors the same. */
#include "proto/core_state.h"
#include "proto/keygen_session.h"

#include <string.h>

enum { EPOCH_FIRST = 1, TRANSCRIPT_BYTES = 64 };

static const struct charter *charter_of(const struct core *c)
{
    return registry_charter_bytes(c->registry);
}

/* ephemeral 32 | t x 32 | pop 64, and n encrypted shares of 48 behind it (event.h). */
static size_t public_bytes(const struct core *c)
{
    return 96 + 32 * (size_t)charter_of(c)->t;
}

static size_t round1_bytes(const struct core *c)
{
    return public_bytes(c) + 48 * (size_t)charter_of(c)->custodian_count;
}

static void session_make(struct core *c, struct keygen_session *s, uint32_t purpose)
{
    keygen_session_make(s, c->options.consortium, charter_of(c), EPOCH_FIRST, purpose,
                        (uint32_t)own_custodian(c) + 1);
}

static struct node_id custodian_at(const struct core *c, uint32_t i)
{
    return charter_of(c)->member[charter_of(c)->custodian[i]].node;
}

static void broadcast_to_custodians(struct core *c, enum kind kind, const void *body)
{
    for (uint32_t i = 0; i < charter_of(c)->custodian_count; i++) {
        struct node_id to = custodian_at(c, i);
        if (!ID_EQUAL(to, c->options.self)) author_statement(c, to, kind, body, NULL, NULL);
    }
}

static void send_round1(struct core *c, uint32_t i)
{
    const uint8_t *own = c->keygen.round1[i][own_custodian(c)];
    struct body_KEYGEN_ROUND1 body = {EPOCH_FIRST, i + 1, span_make(own, round1_bytes(c))};
    broadcast_to_custodians(c, KIND_KEYGEN_ROUND1, &body);
}

static const uint8_t *own_transcript(const struct core *c, uint32_t i)
{
    return c->keygen.result[i] + 32 + 32 * (size_t)charter_of(c)->custodian_count;
}

static void send_signature(struct core *c, uint32_t i)
{
    struct body_KEYGEN_SIGN body = {EPOCH_FIRST, i + 1, span_make(own_transcript(c, i), TRANSCRIPT_BYTES),
                                    c->keygen.signature[i][own_custodian(c)]};
    broadcast_to_custodians(c, KIND_KEYGEN_SIGN, &body);
}

/* Its part does not hold: shown by status, and it may send another. */
static void name_wrong(struct core *c, uint32_t custodian, const char *what)
{
    bool known = (c->keygen.wrong >> custodian & 1) != 0;
    c->keygen.wrong |= UINT32_C(1) << custodian;
    struct node_id node = custodian_at(c, custodian);
    if (!known) notice(c, what, ID_SPAN(node), NULL);
}

/* The byte 1..n that keyed work names whose part it is with; -1: nobody is named. */
static int culprit_of(const struct core *c, struct span named)
{
    bool one = named.len == 1 && named.data[0] >= 1 && named.data[0] <= charter_of(c)->custodian_count;
    return one ? named.data[0] - 1 : -1;
}

static void fail_keygen(struct core *c, const char *what, enum err err)
{
    c->keygen.phase = KEYGEN_FAILED;
    notice(c, what, SPAN_NONE, err_text(err));
}

/* The first message of a custodian stands: what was finished with is what everybody signs. False: it is another one. */
static bool keep_round1(struct core *c, uint32_t i, uint32_t custodian, struct span message)
{
    struct keygen *k = &c->keygen;
    uint8_t *kept = k->round1[i][custodian];
    ASSERT(message.len == round1_bytes(c) && message.len <= KEYGEN_MESSAGE_BYTES);
    if (k->round1_known[i][custodian]) return memcmp(kept, message.data, message.len) == 0;
    memcpy(kept, message.data, message.len);
    k->round1_known[i][custodian] = true;
    return true;
}

/* --- Certified: a committee record ------------------------------------------------------------------------------------------------ */

static bool all_signed(const struct core *c)
{
    const struct keygen *k = &c->keygen;
    bool all = k->finished[0] && k->finished[1];
    for (uint32_t j = 0; j < charter_of(c)->custodian_count && all; j++)
        all = k->signature_known[0][j] && k->signature_known[1][j];
    return all;
}

/* The own committee record's body, when all signatures are there; empty before. */
static struct span own_body(struct core *c)
{
    const struct keygen *k = &c->keygen;
    uint32_t n = charter_of(c)->custodian_count;
    struct body_COMMITTEE body = {.epoch = EPOCH_FIRST, .charter = charter_of(c)->hash};
    struct buffer signatures[2], round1[2], b;
    if (!all_signed(c)) return SPAN_NONE;
    for (uint32_t i = 0; i < 2; i++) {
        signatures[i] = scratch_buffer(c, 64 * CAP_CUSTODIANS);
        round1[i] = scratch_buffer(c, ROUND1_BYTES_MAX);
        for (uint32_t j = 0; j < n; j++) {
            buffer_put(&signatures[i], SPAN_OF(k->signature[i][j].bytes));
            buffer_put(&round1[i], span_make(k->round1[i][j], public_bytes(c)));
        }
    }
    memcpy(body.key_a.bytes, k->result[0], 32);
    memcpy(body.key_b.bytes, k->result[1], 32);
    body.shares_a = span_make(k->result[0] + 32, 32 * n);
    body.shares_b = span_make(k->result[1] + 32, 32 * n);
    body.round1_a = buffer_span(&round1[0]);
    body.round1_b = buffer_span(&round1[1]);
    body.signatures_a = buffer_span(&signatures[0]);
    body.signatures_b = buffer_span(&signatures[1]);
    b = scratch_buffer(c, CAP_BODY_BYTES);
    body_encode(&b, KIND_COMMITTEE, &body);
    return buffer_span(&b);
}

static bool voted_for(const struct core *c, const struct tally *t)
{
    for (uint32_t i = 0; t != NULL && i < t->author_count; i++)
        if (ID_EQUAL(t->vote[i]->header.author, c->options.self)) return true;
    return false;
}

/* Has this node authored it? It may have been refused, by a full disk or queue, and is authored again then. */
static bool has_authored(const struct core *c, struct span body)
{
    return voted_for(c, registry_tally(c->registry, KIND_COMMITTEE, sha256(body))) ||
           author_in_making(c, KIND_COMMITTEE, body);
}

static void certified(struct core *c)
{
    struct keygen *k = &c->keygen;
    struct span body = k->examined != NULL ? k->examined->body : own_body(c);
    if (k->phase != KEYGEN_DONE)
        notice(c, "key generation complete, nobody holds either key", SPAN_NONE, NULL);
    k->phase = KEYGEN_DONE;
    if (body.len > 0 && !has_authored(c, body)) author_record(c, KIND_COMMITTEE, body, 0, 0);
}

/* A signature of the own certificate that does not hold is asked for again; another's record is worth nothing then. */
static void on_examined(struct core *c, struct pending *p, const struct event *event)
{
    struct keygen *k = &c->keygen;
    int culprit = culprit_of(c, event->bytes);
    if (event->err != OK) k->examined_bad = true;
    if (event->err != OK && k->examined == NULL && culprit >= 0) {
        k->signature_known[p->number][culprit] = false;
        name_wrong(c, (uint32_t)culprit, "key generation: a signature that does not hold, by");
    } else if (event->err != OK && k->examined == NULL) {
        fail_keygen(c, "key generation: the certificate does not hold", event->err);
    }
    pending_end(c, p);
    if (++k->examined_count < 2) return;
    k->examining = false;
    if (!k->examined_bad) certified(c);
}

/* Both certificates of a body are checked. */
static void examine(struct core *c, struct span bytes, const struct record *of)
{
    struct keygen *k = &c->keygen;
    union body *b = arena_take(&c->room->scratch, 1, sizeof *b);
    ASSERT(b != NULL);
    if (body_decode(b, KIND_COMMITTEE, bytes) != OK || b->COMMITTEE.epoch != EPOCH_FIRST ||
        !ID_EQUAL(b->COMMITTEE.charter, charter_of(c)->hash))
        return;
    struct pending *both[2] = {pending_new(c, on_examined), pending_new(c, on_examined)};
    k->examining = both[0] != NULL && both[1] != NULL;
    for (uint32_t i = 0; i < 2 && !k->examining; i++)
        if (both[i] != NULL) pending_end(c, both[i]); /* full: the next tick tries again */
    if (!k->examining) return;
    k->examined = of;
    k->examined_count = 0;
    k->examined_bad = false;
    for (uint32_t i = 0; i < 2; i++) {
        struct buffer key = scratch_buffer(c, 32 + 32 * CAP_CUSTODIANS);
        buffer_put(&key, i == 0 ? ID_SPAN(b->COMMITTEE.key_a) : ID_SPAN(b->COMMITTEE.key_b));
        buffer_put(&key, i == 0 ? b->COMMITTEE.shares_a : b->COMMITTEE.shares_b);
        both[i]->number = i;
        session_make(c, &k->session[i], i + 1);
        struct crypto_job *job = ask_crypto(c, both[i], CRYPTO_KEYGEN_CHECK, on_examined);
        job->session = &k->session[i];
        job->box = i == 0 ? b->COMMITTEE.round1_a : b->COMMITTEE.round1_b;
        job->parts = i == 0 ? b->COMMITTEE.signatures_a : b->COMMITTEE.signatures_b;
        job->part_count = (uint32_t)(job->parts.len / 64);
        job->context = buffer_span(&key);
    }
}

static bool examine_own(struct core *c)
{
    struct span body = c->keygen.examining ? SPAN_NONE : own_body(c);
    if (body.len == 0 || has_authored(c, body)) return false;
    examine(c, body, NULL);
    return true;
}

/* The next committee record of others that this node has not authored, in turn. */
static void examine_other(struct core *c)
{
    struct keygen *k = &c->keygen;
    const struct tally *t;
    while ((t = registry_tally_at(c->registry, k->tally_next)) != NULL) {
        k->tally_next++;
        if (t->kind != KIND_COMMITTEE || t->author_count == 0 || has_authored(c, t->vote[0]->body)) continue;
        examine(c, t->vote[0]->body, t->vote[0]);
        return;
    }
    k->tally_next = 0;
}

/* --- Round 1 complete: own share, transcript and signature ----------------------------------------------------------------------- */

/* Signatures that came before the own transcript was known: those of another one are asked for again. */
static void compare_transcripts(struct core *c, uint32_t i)
{
    struct keygen *k = &c->keygen;
    for (uint32_t j = 0; j < charter_of(c)->custodian_count; j++)
        if (memcmp(k->transcript[i][j], own_transcript(c, i), TRANSCRIPT_BYTES) != 0)
            k->signature_known[i][j] = false;
}

static void on_finished(struct core *c, struct pending *p, const struct event *event)
{
    struct keygen *k = &c->keygen;
    uint32_t n = charter_of(c)->custodian_count, i = (uint32_t)p->number, own = (uint32_t)own_custodian(c);
    int culprit = culprit_of(c, event->bytes);
    pending_end(c, p);
    if (event->err != OK || event->bytes.len != KEYGEN_RESULT_FIXED_BYTES + 32 * (size_t)n) {
        if (culprit >= 0) name_wrong(c, (uint32_t)culprit, "key generation: a part that does not hold, by");
        fail_keygen(c, "key generation failed: begin it again when who is wrong was seen to", event->err);
        return;
    }
    memcpy(k->result[i], event->bytes.data, event->bytes.len);
    k->finished[i] = true;
    memcpy(k->transcript[i][own], own_transcript(c, i), TRANSCRIPT_BYTES);
    memcpy(k->signature[i][own].bytes, own_transcript(c, i) + TRANSCRIPT_BYTES, 64);
    k->signature_known[i][own] = true;
    compare_transcripts(c, i);
    if (k->finished[0] && k->finished[1] && k->phase == KEYGEN_ROUND1_SENT) k->phase = KEYGEN_SIGNED;
    send_signature(c, i);
    (void)examine_own(c);
}

static void finish_if_complete(struct core *c, uint32_t i)
{
    struct keygen *k = &c->keygen;
    uint32_t n = charter_of(c)->custodian_count;
    if (k->finishing[i]) return;
    for (uint32_t j = 0; j < n; j++)
        if (!k->round1_known[i][j]) return;
    struct pending *p = pending_new(c, on_finished);
    if (p == NULL) return; /* the next message tries again */
    struct buffer parts = scratch_buffer(c, 8192 * (size_t)CAP_CUSTODIANS);
    for (uint32_t j = 0; j < n; j++) buffer_put(&parts, span_make(k->round1[i][j], round1_bytes(c)));
    k->finishing[i] = true;
    p->number = i;
    struct crypto_job *job = ask_crypto(c, p, CRYPTO_KEYGEN_FINISH, on_finished);
    job->session = &k->session[i];
    job->parts = buffer_span(&parts);
    job->part_count = n;
}

/* --- Start ------------------------------------------------------------------------------------------------------------------------- */

static void on_begun(struct core *c, struct pending *p, const struct event *event)
{
    uint32_t i = (uint32_t)p->number;
    pending_end(c, p);
    bool sized = event->err == OK && event->bytes.len == round1_bytes(c);
    if (!sized || !keep_round1(c, i, (uint32_t)own_custodian(c), event->bytes)) {
        fail_keygen(c, "key generation could not start", event->err);
        return;
    }
    send_round1(c, i);
    finish_if_complete(c, i);
}

static void begin(struct core *c)
{
    struct keygen *k = &c->keygen;
    k->phase = KEYGEN_ROUND1_SENT;
    for (uint32_t i = 0; i < 2; i++) {
        struct pending *p = k->begun[i] ? NULL : pending_new(c, on_begun);
        if (p == NULL) continue;
        k->begun[i] = true;
        session_make(c, &k->session[i], i + 1);
        p->number = i;
        ask_crypto(c, p, CRYPTO_KEYGEN_BEGIN, on_begun)->session = &k->session[i];
    }
}

/* What failed is begun again with whatever the others say now. What this node has signed stands: it signs no other. */
static void begin_again(struct core *c)
{
    struct keygen *k = &c->keygen;
    k->wrong = 0;
    for (uint32_t i = 0; i < 2; i++) {
        if (k->finished[i]) continue;
        k->begun[i] = k->finishing[i] = false;
        memset(k->round1_known[i], 0, sizeof k->round1_known[i]);
    }
    begin(c);
}

static bool may_begin(struct core *c)
{
    return registry_charter(c->registry) != NULL && own_custodian(c) >= 0 &&
           registry_committee(c->registry) == NULL;
}

void keygen_start(struct core *c, uint64_t token)
{
    if (registry_charter(c->registry) == NULL) {
        reply(c, token, verdict_refuse(REFUSAL_CONSORTIUM_FORMING, NULL), NULL);
    } else if (own_custodian(c) < 0) {
        reply(c, token, verdict_refuse(REFUSAL_NOT_CUSTODIAN, c->options.self.bytes), NULL);
    } else {
        /* The others may have finished without being asked here: that is success. */
        if (may_begin(c) && c->keygen.phase == KEYGEN_IDLE) begin(c);
        if (may_begin(c) && c->keygen.phase == KEYGEN_FAILED) begin_again(c);
        reply(c, token, VERDICT_OK, NULL);
    }
}

void keygen_round1(struct core *c, struct node_id from, const struct body_KEYGEN_ROUND1 *b)
{
    int custodian = charter_custodian(charter_of(c), from);
    if (!may_begin(c) || custodian < 0 || b->epoch != EPOCH_FIRST || b->purpose == 0) return;
    uint32_t i = (uint32_t)b->purpose - 1;
    if (b->message.len != round1_bytes(c)) {
        name_wrong(c, (uint32_t)custodian, "key generation: a round-1 message of another length from");
        return;
    }
    if (!keep_round1(c, i, (uint32_t)custodian, b->message)) {
        name_wrong(c, (uint32_t)custodian, "key generation: two different round-1 messages from");
        return;
    }
    if (c->keygen.phase == KEYGEN_IDLE) begin(c);
    finish_if_complete(c, i);
}

void keygen_sign(struct core *c, struct node_id from, const struct body_KEYGEN_SIGN *b)
{
    struct keygen *k = &c->keygen;
    int custodian = charter_custodian(charter_of(c), from);
    if (own_custodian(c) < 0 || custodian < 0 || b->epoch != EPOCH_FIRST || b->purpose == 0) return;
    uint32_t i = (uint32_t)b->purpose - 1;
    if (k->phase == KEYGEN_IDLE || k->phase == KEYGEN_DONE || b->transcript.len != TRANSCRIPT_BYTES) return;
    /* The first stands: what is being checked is what goes into the committee record. */
    if (k->examining || k->signature_known[i][custodian]) return;
    if (k->finished[i] && memcmp(b->transcript.data, own_transcript(c, i), TRANSCRIPT_BYTES) != 0) {
        stranger_notice(c, "key generation: some custodian told its parts apart; another transcript from",
                        from);
        return;
    }
    k->signature[i][custodian] = b->signature;
    memcpy(k->transcript[i][custodian], b->transcript.data, TRANSCRIPT_BYTES);
    k->signature_known[i][custodian] = true;
    (void)examine_own(c);
}

void keygen_tick(struct core *c)
{
    struct keygen *k = &c->keygen;
    if (c->now.ns < k->resend_ns || !may_begin(c)) return;
    k->resend_ns = c->now.ns + (int64_t)RESEND_MS * 1000000;
    for (uint32_t i = 0; i < 2; i++) {
        if (k->round1_known[i][own_custodian(c)]) send_round1(c, i);
        if (k->finished[i]) send_signature(c, i);
    }
    k->others_turn = !k->others_turn;
    if (!k->examining && (k->others_turn || !examine_own(c))) examine_other(c);
}

enum keygen_phase core_keygen(const struct core *c, uint32_t *missing, uint32_t *wrong)
{
    const struct charter *charter = charter_of(c);
    const struct keygen *k = &c->keygen;
    bool done = registry_committee(c->registry) != NULL;
    *missing = 0;
    *wrong = done ? 0 : k->wrong;
    if (done) return KEYGEN_DONE;
    for (uint32_t j = 0; charter != NULL && j < charter->custodian_count; j++) {
        bool answered = k->round1_known[0][j] && k->round1_known[1][j];
        if (k->phase == KEYGEN_SIGNED) answered = k->signature_known[0][j] && k->signature_known[1][j];
        if (!answered) *missing |= UINT32_C(1) << j;
    }
    return k->phase;
}
