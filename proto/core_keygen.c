/* Key generation among all custodians (PROTOCOL.md "Key generation"): COCKTAIL-DKG for key A and key B side by side.
 * Messages are repeated until everyone has them; a silent party is named as missing, a bad part as its sender's. */
#include "proto/core_state.h"
#include "proto/keygen_session.h"

#include <string.h>

enum { EPOCH_FIRST = 1, FINISH_FIXED_BYTES = 32 + 64 + 64 };

static const struct charter *charter_of(const struct core *c)
{
    return registry_charter_bytes(c->registry);
}

static void session_make(struct core *c, struct keygen_session *s, uint32_t purpose)
{
    keygen_session_make(s, c->options.consortium, charter_of(c), EPOCH_FIRST, purpose,
                        (uint32_t)own_custodian(c) + 1);
}

static void broadcast_to_custodians(struct core *c, enum kind kind, const void *body)
{
    const struct charter *charter = charter_of(c);
    for (uint32_t i = 0; i < charter->custodian_count; i++) {
        struct node_id to = charter->member[charter->custodian[i]].node;
        if (!ID_EQUAL(to, c->options.self)) author_statement(c, to, kind, body, NULL, NULL);
    }
}

static void send_round1(struct core *c, uint32_t i)
{
    uint32_t own = (uint32_t)own_custodian(c);
    struct body_KEYGEN_ROUND1 body = {EPOCH_FIRST, i + 1,
                                      span_make(c->keygen.round1[i][own], c->keygen.round1_len[i][own])};
    broadcast_to_custodians(c, KIND_KEYGEN_ROUND1, &body);
}

static void send_signature(struct core *c, uint32_t i)
{
    uint32_t n = charter_of(c)->custodian_count, own = (uint32_t)own_custodian(c);
    struct body_KEYGEN_SIGN body = {EPOCH_FIRST, i + 1, span_make(c->keygen.result[i] + 32 + 32 * n, 64),
                                    c->keygen.signature[i][own]};
    broadcast_to_custodians(c, KIND_KEYGEN_SIGN, &body);
}

static bool keep_round1(struct core *c, uint32_t i, uint32_t custodian, struct span message)
{
    struct keygen *k = &c->keygen;
    if (k->round1[i][custodian] != NULL)
        return span_equal(message, span_make(k->round1[i][custodian], k->round1_len[i][custodian]));
    k->round1[i][custodian] = arena_take(c->arena, message.len > 0 ? message.len : 1, 1);
    if (k->round1[i][custodian] == NULL) return false;
    if (message.len > 0) memcpy(k->round1[i][custodian], message.data, message.len);
    k->round1_len[i][custodian] = message.len;
    return true;
}

/* --- Certificate complete: author the committee record -------------------------------------------------------------------------- */

static void author_committee(struct core *c)
{
    struct keygen *k = &c->keygen;
    uint32_t n = charter_of(c)->custodian_count;
    struct body_COMMITTEE body = {.epoch = EPOCH_FIRST, .charter = charter_of(c)->hash};
    struct buffer signatures[2], round1[2];
    size_t public_bytes = 96 + 32 * (size_t)charter_of(c)->t; /* without the encrypted shares */
    for (uint32_t i = 0; i < 2; i++) {
        signatures[i] = scratch_buffer(c, 64 * CAP_CUSTODIANS);
        round1[i] = scratch_buffer(c, ROUND1_BYTES_MAX);
        for (uint32_t j = 0; j < n; j++) {
            buffer_put(&signatures[i], SPAN_OF(k->signature[i][j].bytes));
            buffer_put(&round1[i], span_make(k->round1[i][j], public_bytes));
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
    struct buffer b = scratch_buffer(c, CAP_BODY_BYTES);
    body_encode(&b, KIND_COMMITTEE, &body);
    k->authored = true;
    author_record(c, KIND_COMMITTEE, buffer_span(&b), 0, 0);
    notice(c, "key generation complete, nobody holds either key", SPAN_NONE, NULL);
}

static void on_checked(struct core *c, struct pending *p, const struct event *event)
{
    struct keygen *k = &c->keygen;
    if (event->err != OK) {
        k->phase = KEYGEN_FAILED;
        notice(c, "key generation: a certificate signature does not hold", SPAN_NONE, err_text(event->err));
    } else if (++k->checked == 2) {
        k->phase = KEYGEN_DONE;
        author_committee(c);
    }
    pending_end(c, p);
}

static bool signatures_complete(const struct core *c)
{
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t j = 0; j < charter_of(c)->custodian_count; j++)
            if (!c->keygen.signature_known[i][j]) return false;
    return c->keygen.result[0] != NULL && c->keygen.result[1] != NULL;
}

static void check_certificates(struct core *c)
{
    struct keygen *k = &c->keygen;
    uint32_t n = charter_of(c)->custodian_count;
    if (k->checking || !signatures_complete(c)) return;
    struct pending *both[2] = {pending_new(c, on_checked), pending_new(c, on_checked)};
    k->checking = both[0] != NULL && both[1] != NULL;
    for (uint32_t i = 0; i < 2 && !k->checking; i++)
        if (both[i] != NULL) pending_end(c, both[i]); /* full: the next tick tries again */
    for (uint32_t i = 0; i < 2 && k->checking; i++) {
        struct pending *p = both[i];
        struct buffer parts = scratch_buffer(c, 64 * CAP_CUSTODIANS),
                      round1 = scratch_buffer(c, 8192 * CAP_CUSTODIANS);
        for (uint32_t j = 0; j < n; j++) {
            buffer_put(&parts, SPAN_OF(k->signature[i][j].bytes));
            buffer_put(&round1, span_make(k->round1[i][j], k->round1_len[i][j]));
        }
        struct crypto_job *job = ask_crypto(c, p, CRYPTO_KEYGEN_CHECK, on_checked);
        job->session = &k->session[i];
        job->box = buffer_span(&round1);
        job->parts = buffer_span(&parts);
        job->part_count = n;
    }
}

/* --- Round 1 complete: own share, transcript and signature ----------------------------------------------------------------------- */

static void on_finished(struct core *c, struct pending *p, const struct event *event)
{
    struct keygen *k = &c->keygen;
    uint32_t n = charter_of(c)->custodian_count, i = (uint32_t)p->number, own = (uint32_t)own_custodian(c);
    pending_end(c, p);
    if (event->err != OK || event->bytes.len != FINISH_FIXED_BYTES + 32 * (size_t)n) {
        k->phase = KEYGEN_FAILED;
        notice(c, "key generation failed; bad part from", event->bytes, err_text(event->err));
        return;
    }
    struct span kept;
    if (arena_copy(c->arena, &kept, event->bytes) != OK) return;
    k->result[i] = (uint8_t *)kept.data;
    memcpy(k->signature[i][own].bytes, kept.data + 32 + 32 * n + 64, 64);
    k->signature_known[i][own] = true;
    if (k->result[0] != NULL && k->result[1] != NULL && k->phase == KEYGEN_ROUND1_SENT)
        k->phase = KEYGEN_SIGNED;
    send_signature(c, i);
    check_certificates(c);
}

static void finish_if_complete(struct core *c, uint32_t i)
{
    struct keygen *k = &c->keygen;
    uint32_t n = charter_of(c)->custodian_count;
    struct buffer parts = scratch_buffer(c, 8192 * (size_t)CAP_CUSTODIANS);
    if (k->finishing[i]) return;
    for (uint32_t j = 0; j < n; j++) {
        if (k->round1[i][j] == NULL || k->round1_len[i][j] != k->round1_len[i][own_custodian(c)]) return;
        buffer_put(&parts, span_make(k->round1[i][j], k->round1_len[i][j]));
    }
    struct pending *p = pending_new(c, on_finished);
    if (p == NULL) return;
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
    if (event->err != OK || !keep_round1(c, i, (uint32_t)own_custodian(c), event->bytes)) {
        c->keygen.phase = KEYGEN_FAILED;
        notice(c, "key generation could not start", SPAN_NONE, err_text(event->err));
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
        bool wanted = c->keygen.phase == KEYGEN_IDLE && registry_committee(c->registry) == NULL;
        if (wanted) begin(c); /* the others may have finished without being asked here: that is success */
        reply(c, token, VERDICT_OK, NULL);
    }
}

void keygen_round1(struct core *c, struct node_id from, const struct body_KEYGEN_ROUND1 *b)
{
    int custodian = charter_custodian(charter_of(c), from);
    if (!may_begin(c) || custodian < 0 || b->epoch != EPOCH_FIRST || b->purpose == 0) return;
    if (!keep_round1(c, (uint32_t)b->purpose - 1, (uint32_t)custodian, b->message)) {
        notice(c, "key generation: two different round-1 messages from", ID_SPAN(from), NULL);
        return;
    }
    if (c->keygen.phase == KEYGEN_IDLE) begin(c);
    if (c->keygen.round1[b->purpose - 1][own_custodian(c)] != NULL)
        finish_if_complete(c, (uint32_t)b->purpose - 1);
}

void keygen_sign(struct core *c, struct node_id from, const struct body_KEYGEN_SIGN *b)
{
    struct keygen *k = &c->keygen;
    int custodian = charter_custodian(charter_of(c), from);
    if (own_custodian(c) < 0 || custodian < 0 || b->epoch != EPOCH_FIRST || b->purpose == 0 || b->purpose > 2)
        return;
    if (k->phase == KEYGEN_IDLE || k->phase == KEYGEN_DONE) return;
    /* The first stands: what is being checked is what goes into the committee record. */
    if (k->checking || k->signature_known[b->purpose - 1][custodian]) return;
    k->signature[b->purpose - 1][custodian] = b->signature;
    k->signature_known[b->purpose - 1][custodian] = true;
    check_certificates(c);
}

void keygen_tick(struct core *c)
{
    struct keygen *k = &c->keygen;
    bool open = k->phase == KEYGEN_ROUND1_SENT || k->phase == KEYGEN_SIGNED || k->phase == KEYGEN_DONE;
    if (!open || c->now.ns < k->resend_ns || registry_committee(c->registry) != NULL) return;
    k->resend_ns = c->now.ns + (int64_t)RESEND_MS * 1000000;
    check_certificates(c);
    for (uint32_t i = 0; i < 2; i++) {
        if (k->round1[i][own_custodian(c)] != NULL) send_round1(c, i);
        if (k->result[i] != NULL) send_signature(c, i);
    }
}

enum keygen_phase core_keygen(const struct core *c, uint32_t *missing)
{
    const struct charter *charter = charter_of(c);
    *missing = 0;
    if (registry_committee(c->registry) != NULL) return KEYGEN_DONE;
    for (uint32_t j = 0; charter != NULL && j < charter->custodian_count; j++) {
        bool answered = c->keygen.round1[0][j] != NULL && c->keygen.round1[1][j] != NULL;
        if (c->keygen.phase == KEYGEN_SIGNED)
            answered = c->keygen.signature_known[0][j] && c->keygen.signature_known[1][j];
        if (!answered) *missing |= UINT32_C(1) << j;
    }
    return c->keygen.phase;
}
