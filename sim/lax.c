/* A custodian that gives to whoever asks: shares, leases and commits to every enclave, whatever was revoked, promised or shown. It
 * opens the ask that a host brings and answers in its core's place, as one would that has its keys: with what its own store of
 * shares, its registry and the ask itself make. Of its heads and of the time it says what comes to its mind. */
#include "sim/simulation_state.h"

#include "crypto/hash.h"
#include "crypto/kem.h"
#include "proto/base/panic.h"

#include <string.h>

enum {
    LAX_BOX_MAX = CAP_BODY_BYTES + 1024,
    LAX_ANSWER_MAX = ANSWER_BYTES_MAX,
    LAX_STATEMENT_MAX = 4096,
    DAY_MS = 24 * 60 * 60 * 1000
};

/* What it is asked, and to whom the answer goes. */
struct lax_ask {
    struct station *station;
    struct node_id host;
    const struct message_RELAY *relay;
    struct record record;
    const struct run_entry *run;
};

static bool open_ask(struct lax_ask *a, uint8_t *plain)
{
    const struct message_RELAY *m = a->relay;
    const struct hash32 context = relay_context(m->run, m->term, (uint32_t)m->party, 0);
    return m->box.len >= KEM_OVERHEAD_BYTES && m->box.len <= LAX_BOX_MAX &&
           kem_open(plain, &a->station->player->kem_secret, m->box, ID_SPAN(context)) == OK &&
           record_unpack(&a->record, span_make(plain, m->box.len - KEM_OVERHEAD_BYTES)) == OK;
}

/* One for each input: that it has seen all, or nothing. */
static struct span claimed_heads(const struct lax_ask *a)
{
    static uint8_t heads[HEAD_BYTES * CAP_INPUTS];
    memset(heads, chance_ppm(&a->station->rogue_chance, 500000) ? 0xff : 0, sizeof heads);
    return span_make(heads, (size_t)HEAD_BYTES * run_input_count(&a->run->body));
}

static void put_statement(struct buffer *out, const struct lax_ask *a, enum kind kind, const void *body)
{
    struct record r;
    struct station *n = a->station;
    struct header h = fault_header(n, n->player->id, kind);
    const uint64_t lie =
        chance_below(&n->rogue_chance, 4); /* of its clock: a day ahead, one behind, or none */
    h.time_ms += lie == 0 ? DAY_MS : 0;
    h.time_ms -= lie == 1 ? DAY_MS : 0;
    (void)fault_record(&r, n, &n->player->secret, h, body);
    record_pack(out, &r);
}

static void answer(const struct lax_ask *a, struct kem_public to, struct span plain)
{
    static uint8_t box[LAX_BOX_MAX], message[LAX_BOX_MAX + 256];
    struct buffer sealed = BUFFER_OF(box), b = BUFFER_OF(message);
    struct station *n = a->station;
    const struct message_RELAY *m = a->relay;
    const struct hash32 context = relay_context(m->run, m->term, (uint32_t)m->party, 1);
    const struct crypto_job job = {.op = CRYPTO_SEAL, .kem = to, .box = plain, .context = ID_SPAN(context)};
    const enum err err = labour_do(&n->labour, &sealed, &job);
    ASSERT(err == OK);
    const struct message_RELAY back = {m->run, m->term, 1, m->party, buffer_span(&sealed)};
    message_encode(&b, MESSAGE_RELAY_CODE, &back);
    station_send(n, a->host, buffer_span(&b));
    station_forget_said(n);
}

static const struct dataset *dataset_of(const struct papers *p, struct dt dt)
{
    uint32_t i = 0;
    while (i < p->dataset_count && !ID_EQUAL(p->dataset[i].dt, dt)) i++;
    return i < p->dataset_count ? &p->dataset[i] : NULL;
}

/* Under the labels of the run's inputs; false: there is no key yet, or an envelope is of something else. */
static bool make_shares(struct buffer *out, const struct lax_ask *a, struct span envelopes)
{
    static uint8_t bytes[SHARE_PART_BYTES * CAP_INPUTS];
    struct buffer parts = BUFFER_OF(bytes);
    const struct body_RUN *run = &a->run->body;
    const uint32_t count = run_input_count(run);
    if (envelopes.len != (size_t)ENVELOPE_BYTES * count) return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct run_input input = run_input_at(run, i);
        const struct dataset *d = dataset_of(a->station->consortium->papers, input.dt);
        if (d == NULL) return false;
        buffer_put(&parts, ID_SPAN(run->app));
        buffer_put(&parts, ID_SPAN(run->compose));
        buffer_put(&parts, ID_SPAN(d->owner->id));
        buffer_put(&parts, ID_SPAN(input.content));
        buffer_put(&parts, ID_SPAN(d->policy_hash));
        buffer_put(&parts, span_make(envelopes.data + (size_t)i * ENVELOPE_BYTES, ENVELOPE_BYTES));
    }
    const struct crypto_job job = {.op = CRYPTO_SHARES,
                                   .hash = HASH_FRAMED("perigee/noise/v1", ID_SPAN(a->relay->run)),
                                   .parts = buffer_span(&parts),
                                   .part_count = count,
                                   .epoch = (uint32_t)run->epoch,
                                   .index = (uint32_t)a->relay->party + 1};
    return labour_do(&a->station->labour, out, &job) == OK;
}

static void give_shares(const struct lax_ask *a, const struct body_SHARE_ASK *ask)
{
    static uint8_t made[SHARE_BYTES * (CAP_INPUTS + 1)], statement[LAX_STATEMENT_MAX], plain[LAX_ANSWER_MAX];
    struct buffer shares = BUFFER_OF(made), release = BUFFER_OF(statement), b = BUFFER_OF(plain);
    if (!make_shares(&shares, a, ask->envelopes)) return;
    const struct body_RELEASE body = {.run = ask->run,
                                      .term = ask->term,
                                      .certificate = certificate_hash(ask->certificate),
                                      .enclave = a->record.header.author,
                                      .kem = ask->kem,
                                      .challenge = ask->challenge,
                                      .lease_ms = a->station->consortium->scenario->lease_ms,
                                      .heads = claimed_heads(a),
                                      .shares = sha256(buffer_span(&shares))};
    put_statement(&release, a, KIND_RELEASE, &body);
    const struct body_SHARE_ANSWER both = {buffer_span(&release), buffer_span(&shares)};
    buffer_put_u8(&b, ANSWER_SHARES);
    body_encode(&b, KIND_SHARE_ANSWER, &both);
    answer(a, ask->kem, buffer_span(&b));
}

static void give_statement(const struct lax_ask *a, struct kem_public to, uint8_t tag, enum kind kind,
                           const void *body)
{
    static uint8_t plain[LAX_STATEMENT_MAX];
    struct buffer b = BUFFER_OF(plain);
    buffer_put_u8(&b, tag);
    put_statement(&b, a, kind, body);
    answer(a, to, buffer_span(&b));
}

static void give(const struct lax_ask *a)
{
    static union body b;
    const struct record *r = &a->record;
    if (body_decode(&b, r->header.kind, r->body) != OK) return;
    if (r->header.kind == KIND_SHARE_ASK) {
        give_shares(a, &b.SHARE_ASK);
    } else if (r->header.kind == KIND_LEASE_ASK) {
        const struct body_LEASE_ASK *ask = &b.LEASE_ASK;
        const struct body_LEASE lease = {ask->run, ask->term, r->header.author, ask->round,
                                         a->station->consortium->scenario->lease_ms};
        give_statement(a, ask->kem, ANSWER_LEASE, KIND_LEASE, &lease);
    } else if (r->header.kind == KIND_COMMIT_ASK) {
        const struct body_COMMIT_ASK *ask = &b.COMMIT_ASK;
        const struct body_COMMIT commit = {ask->run,        ask->term, ask->index,
                                           ask->commitment, ask->core, claimed_heads(a)};
        give_statement(a, ask->kem, ANSWER_COMMIT, KIND_COMMIT, &commit);
    }
}

bool lax_gives(struct station *n, struct node_id host, struct span message)
{
    static union message_body m;
    static uint8_t plain[LAX_BOX_MAX];
    enum message code;
    const int own = charter_custodian(n->consortium->cast->founding, n->player->id);
    if (n->core == NULL || message_decode(&code, &m, message) != OK || code != MESSAGE_RELAY_CODE)
        return false;
    if (m.RELAY.answer != 0 || own < 0 || m.RELAY.party != (uint64_t)own) return false;
    struct lax_ask a = {.station = n, .host = host, .relay = &m.RELAY};
    a.run = registry_run(core_registry(n->core), m.RELAY.run);
    if (a.run != NULL && open_ask(&a, plain)) give(&a);
    return true;
}
