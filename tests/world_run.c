#include "tests/world_run.h"

#include "crypto/body.h"
#include "crypto/evidence.h"
#include "crypto/identity.h"
#include "crypto/kem.h"
#include "crypto/work.h"
#include "proto/base/panic.h"
#include "proto/bundle.h"
#include "proto/wire/pack.h"

#include <stdlib.h>
#include <string.h>

enum { PLAIN_MAX = 2 << 20, ANSWER_MAX = 8192 };

static void must(enum err err)
{
    ASSERT(err == OK);
}

static struct span keep(struct world_run *r, struct span bytes)
{
    struct span out;
    must(arena_copy(r->arena, &out, bytes));
    return out;
}

static void push(struct world_run *r, enum enclave_effect_type type, uint64_t token, enum err err,
                 struct span bytes)
{
    ASSERT(r->tail - r->head < WORLD_EFFECTS_MAX);
    uint32_t takes_ms = type == ENCLAVE_FRAME ? 0 : type == ENCLAVE_COMPUTE ? r->compute_ms : r->work_ms;
    int64_t ready_ns = r->now.ns + (int64_t)takes_ms * 1000000;
    r->queue[r->tail++ % WORLD_EFFECTS_MAX] = (struct world_queued){type, token, err, bytes, ready_ns};
}

void world_run_frame(struct world_run *r, struct span frame)
{
    push(r, ENCLAVE_FRAME, 0, OK, keep(r, frame));
}

/* --- Custodians ------------------------------------------------------------------------------------------------------ */

static struct span heads_of(struct world_run *r, uint32_t custodian)
{
    uint8_t bytes[HEAD_BYTES * WORLD_DATASETS];
    struct buffer b = BUFFER_OF(bytes);
    const bool blind = (r->blind & 1u << custodian) != 0;
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) {
        buffer_put_u64(&b, blind ? r->world->approval[i]->header.seq - 1 : r->world->node[i].seq);
        buffer_put(&b, ID_SPAN(r->world->node[i].head));
    }
    return keep(r, buffer_span(&b));
}

static void send_answer(struct world_run *r, uint32_t i, uint8_t tag, struct kem_public to,
                        struct span content)
{
    static uint8_t plain[ANSWER_MAX], frame[2 + ANSWER_MAX + KEM_OVERHEAD_BYTES];
    struct buffer b = BUFFER_OF(plain);
    struct hash32 context = relay_context(r->world->run, r->term, i, 1);
    buffer_put_u8(&b, tag);
    buffer_put(&b, content);
    must(buffer_done(&b));
    frame[0] = FRAME_ANSWER;
    frame[1] = (uint8_t)i;
    must(kem_seal(frame + 2, &to, buffer_span(&b), ID_SPAN(context)));
    if (i < WORLD_CUSTODIANS && (r->garbage & 1u << i) != 0) frame[40] ^= 1;
    world_run_frame(r, span_make(frame, 2 + b.len + KEM_OVERHEAD_BYTES));
}

static void refuse(struct world_run *r, uint32_t i, uint64_t stage, enum refusal why, struct kem_public to,
                   struct node_id enclave)
{
    const struct world_node *n = &r->world->node[i < VETO_PARTY ? i : i - VETO_PARTY];
    struct body_REFUSAL body = {r->world->run, r->term, enclave, stage, why, SPAN_LITERAL("")};
    if (i < VETO_PARTY && (r->other_enclave & 1u << i) != 0) body.enclave = n->id;
    send_answer(r, i, 3, to, world_statement(r->world, &n->secret, n->id, KIND_REFUSAL, &body));
}

static struct label label_of(const struct world *w, uint32_t input, const struct manifest *m)
{
    return label_make(group_key_id(&w->key[0].y), w->app, w->compose, w->node[input].id, m->content,
                      w->dataset[input].policy);
}

static void put_share(struct buffer *b, const struct dec_share *s)
{
    buffer_put(b, SPAN_OF(s->d.bytes));
    buffer_put(b, SPAN_OF(s->e.bytes));
    buffer_put(b, SPAN_OF(s->f.bytes));
}

/* OK, or ERR_PROOF when an envelope is under another label: the custodian refuses. */
static enum err make_shares(struct world_run *r, uint32_t i, struct span envelopes, struct buffer *out)
{
    struct world *w = r->world;
    struct dec_share share;
    struct hash32 input = HASH_FRAMED("perigee/noise/v1", ID_SPAN(w->run));
    for (uint32_t j = 0; j < WORLD_DATASETS; j++) {
        struct manifest *m;
        struct envelope envelope;
        must(manifest_parse(&m, &w->arena, w->dataset[j].manifest, NULL));
        memcpy(envelope.bytes, envelopes.data + (size_t)j * ENVELOPE_BYTES, ENVELOPE_BYTES);
        struct label label = label_of(w, j, m);
        TRY(envelope_share(&share, &envelope, &w->key[0].y, &label, i + 1, &w->node[i].share[0]));
        put_share(out, &share);
    }
    must(prf_share(&share, &w->key[1].y, input, i + 1, &w->node[i].share[1]));
    put_share(out, &share);
    if ((r->bad_share & 1u << i) != 0) out->data[SHARE_BYTES + 40] ^= 1;
    return OK;
}

static void answer_shares(struct world_run *r, uint32_t i, const struct record *ask)
{
    static uint8_t shares[SHARE_BYTES * (WORLD_DATASETS + 1)], encoded[ANSWER_MAX];
    struct world *w = r->world;
    const struct world_node *n = &w->node[i];
    struct body_SHARE_ASK a;
    must(body_decode(&a, KIND_SHARE_ASK, ask->body));
    struct buffer s = BUFFER_OF(shares), b = BUFFER_OF(encoded);
    if (make_shares(r, i, a.envelopes, &s) != OK) {
        refuse(r, i, 1, REFUSAL_ENVELOPE, a.kem, ask->header.author);
        return;
    }
    struct body_RELEASE body = {.run = a.run,
                                .term = a.term,
                                .certificate = certificate_hash(a.certificate),
                                .enclave = ask->header.author,
                                .kem = a.kem,
                                .challenge = a.challenge,
                                .lease_ms = world_lease_ms,
                                .heads = heads_of(r, i),
                                .shares = sha256(buffer_span(&s))};
    if ((r->bad_hash & 1u << i) != 0) body.shares.bytes[0] ^= 1;
    const struct identity_secret *secret =
        (r->bad_signature & 1u << i) != 0 ? &n->approval_secret : &n->secret;
    w->now_ms += 10 * (i + 1); /* clocks differ */
    struct body_SHARE_ANSWER answer = {world_statement(w, secret, n->id, KIND_RELEASE, &body),
                                       buffer_span(&s)};
    body_encode(&b, KIND_SHARE_ANSWER, &answer);
    r->released |= 1u << i;
    send_answer(r, i, 1, a.kem, buffer_span(&b));
}

static void answer_commit(struct world_run *r, uint32_t i, const struct record *ask)
{
    const struct world_node *n = &r->world->node[i];
    struct body_COMMIT_ASK a;
    must(body_decode(&a, KIND_COMMIT_ASK, ask->body));
    struct body_COMMIT body = {a.run, a.term, a.index, a.commitment, a.core, heads_of(r, i)};
    send_answer(r, i, 2, a.kem, world_statement(r->world, &n->secret, n->id, KIND_COMMIT, &body));
}

static void answer_lease(struct world_run *r, uint32_t i, const struct record *ask)
{
    const struct world_node *n = &r->world->node[i];
    struct body_LEASE_ASK a;
    must(body_decode(&a, KIND_LEASE_ASK, ask->body));
    ASSERT(a.round >= r->rounds[i]);
    r->rounds[i] = (uint32_t)a.round;
    struct body_LEASE body = {a.run, a.term, ask->header.author, a.round, world_lease_ms};
    if ((r->bad_lease & 1u << i) != 0) body.round++;
    send_answer(r, i, ANSWER_LEASE, a.kem, world_statement(r->world, &n->secret, n->id, KIND_LEASE, &body));
}

static struct kem_public ask_kem(const struct record *ask)
{
    union body body;
    must(body_decode(&body, ask->header.kind, ask->body));
    if (ask->header.kind == KIND_LEASE_ASK) return body.LEASE_ASK.kem;
    return ask->header.kind == KIND_SHARE_ASK ? body.SHARE_ASK.kem : body.COMMIT_ASK.kem;
}

static enum refusal *reason(struct world_run *r, uint32_t i, enum kind kind)
{
    if (kind == KIND_LEASE_ASK) return &r->refuse_lease[i];
    return kind == KIND_SHARE_ASK ? &r->refuse[i] : &r->refuse_commit[i];
}

static uint64_t stage_of(enum kind kind)
{
    if (kind == KIND_LEASE_ASK) return ANSWER_LEASE;
    return kind == KIND_SHARE_ASK ? ANSWER_SHARES : ANSWER_COMMIT;
}

static void custodian(struct world_run *r, uint32_t i, struct span box)
{
    static uint8_t plain[65536];
    struct record ask;
    struct hash32 context = relay_context(r->world->run, r->term, i, 0);
    ASSERT(i < WORLD_CUSTODIANS && box.len < sizeof plain);
    r->asks[i]++;
    if (r->asked != NULL && r->asked_party == i) {
        r->asked(r, box);
        return;
    }
    if ((r->silent & 1u << i) != 0 || ((r->slow & 1u << i) != 0 && r->asks[i] == 1)) return;
    must(kem_open(plain, &r->world->node[i].kem_secret, box, ID_SPAN(context)));
    must(record_unpack(&ask, span_make(plain, box.len - KEM_OVERHEAD_BYTES)));
    must(identity_verify(ask.header.author, record_sign_hash(ask.header.kind, ask.header_bytes),
                         &ask.signature));
    enum kind kind = ask.header.kind;
    enum refusal *why = reason(r, i, kind);
    if (*why != REFUSAL_NONE) {
        refuse(r, i, stage_of(kind), *why, ask_kem(&ask), ask.header.author);
        if ((r->passing & 1u << i) != 0) *why = REFUSAL_NONE;
    } else if (kind != KIND_SHARE_ASK && (r->released & 1u << i) == 0) {
        refuse(r, i, stage_of(kind), REFUSAL_NOT_RELEASED, ask_kem(&ask), ask.header.author);
    } else if (kind == KIND_LEASE_ASK) {
        answer_lease(r, i, &ask);
    } else if (kind == KIND_SHARE_ASK) {
        answer_shares(r, i, &ask);
    } else {
        answer_commit(r, i, &ask);
    }
}

/* --- Owners who keep a veto ------------------------------------------------------------------------------------------ */

static void answer_half(struct world_run *r, uint32_t party, const struct record *ask)
{
    static uint8_t encoded[ANSWER_MAX];
    struct world *w = r->world;
    const uint32_t input = party - VETO_PARTY;
    const struct world_node *n = &w->node[input];
    struct body_SHARE_ASK a;
    struct manifest *m;
    uint8_t half[32];
    must(body_decode(&a, KIND_SHARE_ASK, ask->body));
    must(manifest_parse(&m, &w->arena, w->dataset[input].manifest, NULL));
    const uint32_t place = input == 1 && (world_vetoes & 1) != 0 ? 1 : 0;
    struct label label = label_of(w, input, m);
    must(kem_open(half, &n->kem_secret,
                  span_make(a.halves.data + (size_t)place * VETO_BOX_BYTES, VETO_BOX_BYTES),
                  SPAN_OF(label.bytes)));
    if ((r->wrong_half & 1u << input) != 0) half[0] ^= 1;
    struct body_OWNER_RELEASE body = {.run = a.run,
                                      .term = a.term,
                                      .certificate = certificate_hash(a.certificate),
                                      .enclave = ask->header.author,
                                      .kem = a.kem,
                                      .challenge = a.challenge,
                                      .heads = heads_of(r, WORLD_CUSTODIANS),
                                      .dt = w->dataset[input].dt,
                                      .half = sha256(SPAN_OF(half))};
    struct body_SHARE_ANSWER answer = {world_statement(w, &n->secret, n->id, KIND_OWNER_RELEASE, &body),
                                       SPAN_OF(half)};
    struct buffer b = BUFFER_OF(encoded);
    body_encode(&b, KIND_SHARE_ANSWER, &answer);
    send_answer(r, party, ANSWER_HALF, a.kem, buffer_span(&b));
}

static void owner(struct world_run *r, uint32_t party, struct span box)
{
    static uint8_t plain[65536];
    struct record ask;
    const uint32_t input = party - VETO_PARTY;
    struct hash32 context = relay_context(r->world->run, r->term, party, 0);
    ASSERT(input < WORLD_DATASETS && box.len < sizeof plain);
    r->owner_asks[input]++;
    if (r->asked != NULL && r->asked_party == party) {
        r->asked(r, box);
        return;
    }
    if ((r->owner_silent & 1u << input) != 0) return;
    must(kem_open(plain, &r->world->node[input].kem_secret, box, ID_SPAN(context)));
    must(record_unpack(&ask, span_make(plain, box.len - KEM_OVERHEAD_BYTES)));
    must(identity_verify(ask.header.author, record_sign_hash(ask.header.kind, ask.header_bytes),
                         &ask.signature));
    ASSERT(ask.header.kind == KIND_SHARE_ASK);
    if (r->refuse_half[input] != REFUSAL_NONE)
        refuse(r, party, ANSWER_SHARES, r->refuse_half[input], ask_kem(&ask), ask.header.author);
    else
        answer_half(r, party, &ask);
}

static void party(struct world_run *r, uint32_t number, struct span box)
{
    if (number < VETO_PARTY)
        custodian(r, number, box);
    else
        owner(r, number, box);
}

void world_run_answer(struct world_run *r, uint32_t from, struct span box)
{
    static uint8_t frame[2 + 65536];
    struct buffer b = BUFFER_OF(frame);
    buffer_put_u8(&b, FRAME_ANSWER);
    buffer_put_u8(&b, (uint8_t)from);
    buffer_put(&b, box);
    must(buffer_done(&b));
    world_run_frame(r, buffer_span(&b));
}

/* --- Host ------------------------------------------------------------------------------------------------------------ */

static void give_blob(struct world_run *r, const uint8_t cid[36])
{
    static const uint8_t any[36];
    static uint8_t frame[38 + (1 << 20) + 64];
    const struct world_blob *blob = world_blob(r->world, cid);
    struct buffer b = BUFFER_OF(frame);
    bool chosen = memcmp(r->blob_cid, any, 36) == 0 || memcmp(r->blob_cid, cid, 36) == 0;
    bool missing = blob == NULL || (chosen && r->blob_missing > 0);
    r->wants++;
    if (chosen && r->blob_missing > 0) r->blob_missing--;
    buffer_put_u8(&b, FRAME_BLOB);
    buffer_put(&b, span_make(cid, 36));
    buffer_put_u8(&b, missing ? 0 : 1);
    if (!missing) buffer_put(&b, blob->bytes);
    if (!missing && chosen && r->blob_corrupt > 0) {
        r->blob_corrupt--;
        b.data[b.len - 1] ^= 1;
    }
    must(buffer_done(&b));
    world_run_frame(r, buffer_span(&b));
}

static void host(struct world_run *r, struct span frame)
{
    struct span body = span_make(frame.data + 1, frame.len - 1);
    switch ((enum enclave_frame)frame.data[0]) {
    case FRAME_WANT: give_blob(r, body.data); break;
    case FRAME_ASK: party(r, body.data[0], span_make(body.data + 1, body.len - 1)); break;
    case FRAME_STATE:
        ASSERT(r->state_count < 16);
        r->state[r->state_count++] = (enum run_state)body.data[0];
        break;
    case FRAME_BAD_SHARES:
        r->named |= 1u << body.data[0];
        r->named_by[body.data[0]] = keep(r, span_make(body.data + 1, body.len - 1));
        break;
    case FRAME_RESULT: r->result = keep(r, body); break;
    case FRAME_FAILED:
        r->failed = (enum refusal)body.data[0];
        r->told = body.data[1];
        break;
    case FRAME_START:
    case FRAME_BLOB:
    case FRAME_ANSWER: UNREACHABLE();
    }
}

void world_run_take(struct world_run *r, struct span frame)
{
    ASSERT(frame.len > 0);
    host(r, frame);
}

bool world_run_next(struct world_run *r, struct span *frame)
{
    if (r->head == r->tail) return false;
    const struct world_queued *next = &r->queue[r->head++ % WORLD_EFFECTS_MAX];
    ASSERT(next->type == ENCLAVE_FRAME);
    *frame = next->bytes;
    return true;
}

/* --- Executor -------------------------------------------------------------------------------------------------------- */

static void do_keys(struct world_run *r, uint64_t token)
{
    uint8_t out[96];
    uint8_t number[8];
    struct node_id id;
    store_u64(number, r->term);
    struct hash32 s = HASH_FRAMED("perigee/test-enclave/v1", SPAN_OF(number), SPAN_LITERAL("signing"));
    struct hash32 k = HASH_FRAMED("perigee/test-enclave/v1", SPAN_OF(number), SPAN_LITERAL("kem"));
    memcpy(r->signing.bytes, s.bytes, 32);
    memcpy(r->kem_secret.bytes, k.bytes, 32);
    must(identity_public(&id, &r->signing));
    kem_public_of(&r->kem, &r->kem_secret);
    memcpy(out, id.bytes, 32);
    memcpy(out + 32, r->kem.bytes, 32);
    memset(out + 64, 0x5a, 32);
    push(r, ENCLAVE_KEYS, token, OK, keep(r, SPAN_OF(out)));
}

static void do_evidence(struct world_run *r, const struct enclave_effect *f)
{
    uint8_t bytes[EVIDENCE_MAX];
    struct buffer b = BUFFER_OF(bytes);
    struct evidence_facts facts = {
        .measurement = r->world->measurement, .platform_id = r->platform, .time_ms = r->world->now_ms};
    must(evidence_simulate(&b, &facts, f->hash));
    push(r, f->type, f->token, OK, keep(r, buffer_span(&b)));
}

static void do_check_evidence(struct world_run *r, const struct enclave_effect *f)
{
    uint8_t bytes[sizeof(struct evidence_out)];
    struct buffer out = BUFFER_OF(bytes);
    const struct work_keys none = {0};
    const enum err err = work_do(&none, &out, f->job);
    struct hash32 *platform = (void *)(bytes + offsetof(struct evidence_out, platform));
    if (r->unjudged) *platform = r->world->admitted;
    push(r, f->type, f->token, err, err == OK ? keep(r, buffer_span(&out)) : SPAN_NONE);
}

static void do_verify(struct world_run *r, const struct enclave_effect *f)
{
    for (uint32_t i = 0; i < f->check_count; i++) {
        if (identity_verify(f->check[i].author, f->check[i].message, &f->check[i].signature) == OK) continue;
        uint8_t index[4];
        store_u32(index, i);
        push(r, f->type, f->token, ERR_SIGNATURE, keep(r, SPAN_OF(index)));
        return;
    }
    push(r, f->type, f->token, OK, SPAN_NONE);
}

static void do_seal(struct world_run *r, const struct enclave_effect *f)
{
    static uint8_t box[1 << 17];
    ASSERT(f->bytes.len + KEM_OVERHEAD_BYTES <= sizeof box);
    must(kem_seal(box, &f->kem, f->bytes, f->context));
    push(r, f->type, f->token, OK, keep(r, span_make(box, f->bytes.len + KEM_OVERHEAD_BYTES)));
}

static void do_open(struct world_run *r, const struct enclave_effect *f)
{
    static uint8_t plain[1 << 17], view[ANSWER_BYTES_MAX];
    struct buffer b = BUFFER_OF(view);
    struct span shares = SPAN_NONE;
    enum err err = kem_open(plain, &r->kem_secret, f->bytes, f->context);
    if (err == OK)
        err = enclave_answer_view(&b, &shares, span_make(plain, f->bytes.len - KEM_OVERHEAD_BYTES));
    if (err == OK && shares.len > 0) {
        if (f->party < VETO_PARTY) memcpy(r->opened[f->party], shares.data, sizeof r->opened[0]);
        err = unlock_take(&r->unlock, f->party, shares, WORLD_DATASETS);
    }
    push(r, f->type, f->token, err, err == OK ? keep(r, buffer_span(&b)) : SPAN_NONE);
}

static void do_content_id(struct world_run *r, const struct enclave_effect *f)
{
    const struct manifest *m = f->manifest;
    struct body_summary s = {m->suite, m->plain_len, m->salt, m->commitment, m->root, m->chunk_count};
    struct content_id id = {{0}};
    enum err err = body_summary_check(&s);
    if (err == OK) id = body_content_id(&s);
    push(r, f->type, f->token, err, keep(r, ID_SPAN(id)));
}

static struct unlock_terms terms_of(struct world_run *r)
{
    struct unlock_terms terms;
    must(enclave_unlock_terms(&terms, enclave_keys(r->enclave)));
    return terms;
}

static void do_check_shares(struct world_run *r, const struct enclave_effect *f)
{
    const struct unlock_terms terms = terms_of(r);
    enum err err = unlock_check(&r->unlock, f->party, &terms);
    if (err == OK && f->party < VETO_PARTY) r->kept[r->kept_count++] = f->party;
    push(r, f->type, f->token, err, SPAN_NONE);
}

static void do_unlock(struct world_run *r, const struct enclave_effect *f)
{
    const struct unlock_terms terms = terms_of(r);
    must(unlock_open(&r->unlock, &r->unlocked, &terms));
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) {
        bool right = memcmp(r->unlocked.data_key[i], r->world->dataset[i].data_key, 32) == 0;
        ASSERT(right != ((r->wrong_half >> i & 1) != 0));
    }
    push(r, f->type, f->token, OK, keep(r, ID_SPAN(r->unlocked.salt)));
}

static void do_begin(struct world_run *r, const struct enclave_effect *f)
{
    const struct manifest *m = f->manifest;
    struct hash32 leaf[4], commitment, root;
    ASSERT(f->input < WORLD_DATASETS && r->body[f->input] == NULL && f->bytes.len <= sizeof leaf);
    must(body_key_derive(&r->body[f->input], r->unlocked.data_key[f->input], m->suite, m->salt));
    memcpy(leaf, f->bytes.data, f->bytes.len);
    commitment = body_key_commitment(r->body[f->input]);
    root = body_root(leaf, m->chunk_count);
    bool good = ID_EQUAL(commitment, m->commitment) && ID_EQUAL(root, m->root);
    r->plain[f->input] = calloc(1, PLAIN_MAX);
    push(r, f->type, f->token, good ? OK : ERR_HASH, SPAN_NONE);
}

static void do_chunk(struct world_run *r, const struct enclave_effect *f)
{
    struct hash32 hash = blake3(f->bytes);
    ASSERT(ID_EQUAL(hash, f->hash));
    uint8_t *at = r->plain[f->input] + (size_t)f->chunk * BODY_CHUNK_BYTES;
    push(r, f->type, f->token, body_open_chunk(at, r->body[f->input], f->chunk, f->bytes), SPAN_NONE);
}

static void do_compute(struct world_run *r, const struct enclave_effect *f)
{
    ASSERT(ids_equal(f->workflow->hash.bytes, r->world->compose.bytes));
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) {
        struct span plain = r->world->dataset[i].plain;
        ASSERT(r->plain[i] != NULL && memcmp(r->plain[i], plain.data, plain.len) == 0);
    }
    push(r, f->type, f->token, OK, r->output);
}

static void do_sign(struct world_run *r, const struct enclave_effect *f)
{
    struct signature signature;
    must(identity_sign(&signature, &r->signing, f->hash));
    push(r, f->type, f->token, OK, keep(r, SPAN_OF(signature.bytes)));
}

static void do_commitment(struct world_run *r, const struct enclave_effect *f)
{
    struct hash32 commitment = enclave_commitment(r->unlocked.salt, f->bytes);
    push(r, f->type, f->token, OK, keep(r, ID_SPAN(commitment)));
}

static void execute(struct world_run *r, const struct enclave_effect *f)
{
    if (r->wiped && f->type != ENCLAVE_EXIT) r->effects_after_wipe++;
    if (r->before != NULL) r->before(r, f->type);
    if (r->fail_after >= 0 && f->type == r->fail && f->token != 0 && (int)r->done[f->type] == r->fail_after) {
        r->done[f->type]++;
        push(r, f->type, f->token, r->fail_err, SPAN_NONE);
        return;
    }
    r->done[f->type]++;
    switch (f->type) {
    case ENCLAVE_FRAME:
        if (r->to_host != NULL)
            r->to_host(r->host, f->bytes);
        else
            host(r, f->bytes);
        break;
    case ENCLAVE_KEYS: do_keys(r, f->token); break;
    case ENCLAVE_EVIDENCE: do_evidence(r, f); break;
    case ENCLAVE_VERIFY: do_verify(r, f); break;
    case ENCLAVE_SIGN: do_sign(r, f); break;
    case ENCLAVE_SEAL: do_seal(r, f); break;
    case ENCLAVE_OPEN: do_open(r, f); break;
    case ENCLAVE_CONTENT_ID: do_content_id(r, f); break;
    case ENCLAVE_CHECK_EVIDENCE: do_check_evidence(r, f); break;
    case ENCLAVE_CHECK_SHARES: do_check_shares(r, f); break;
    case ENCLAVE_UNLOCK: do_unlock(r, f); break;
    case ENCLAVE_INPUT_BEGIN: do_begin(r, f); break;
    case ENCLAVE_INPUT_CHUNK: do_chunk(r, f); break;
    case ENCLAVE_COMPUTE: do_compute(r, f); break;
    case ENCLAVE_COMMITMENT: do_commitment(r, f); break;
    case ENCLAVE_WIPE: r->wiped = true; break;
    case ENCLAVE_EXIT: r->gone = true; break;
    }
}

/* --- Driving --------------------------------------------------------------------------------------------------------- */

static void step(struct world_run *r, const struct enclave_event *event)
{
    uint32_t count;
    enclave_step(r->enclave, event);
    enclave_check(r->enclave);
    const struct enclave_effect *effects = enclave_effects(r->enclave, &count);
    for (uint32_t i = 0; i < count; i++) execute(r, &effects[i]);
}

static void take_next(struct world_run *r)
{
    struct world_queued q = r->queue[r->head++ % WORLD_EFFECTS_MAX];
    struct enclave_event event = {.type = q.type == ENCLAVE_FRAME ? ENCLAVE_EVENT_FRAME : ENCLAVE_EVENT_DONE,
                                  .now = r->now,
                                  .wall_ms = r->world->now_ms,
                                  .err = q.err,
                                  .bytes = q.bytes,
                                  .token = q.token};
    step(r, &event);
}

/* What is not ready goes to the end, and ends the round when nothing else is left. */
void world_run_turn(struct world_run *r, struct instant now)
{
    uint32_t passed = 0;
    r->now = now;
    while (!r->gone && passed < r->tail - r->head) {
        struct world_queued q = r->queue[r->head % WORLD_EFFECTS_MAX];
        if (q.ready_ns <= now.ns) {
            take_next(r);
            passed = 0;
        } else {
            r->head++;
            r->queue[r->tail++ % WORLD_EFFECTS_MAX] = q;
            passed++;
        }
    }
    if (!r->gone && enclave_deadline(r->enclave).ns <= now.ns)
        step(r, &(struct enclave_event){.type = ENCLAVE_EVENT_TICK, .now = now, .wall_ms = r->world->now_ms});
}

int64_t world_run_due(const struct world_run *r)
{
    int64_t due = enclave_deadline(r->enclave).ns;
    for (uint32_t i = r->head; i != r->tail; i++) {
        int64_t ready_ns = r->queue[i % WORLD_EFFECTS_MAX].ready_ns;
        if (ready_ns < due) due = ready_ns;
    }
    return due;
}

bool world_run_drive(struct world_run *r, uint32_t ticks)
{
    while (!r->gone) {
        if (r->head == r->tail) {
            struct instant due = enclave_deadline(r->enclave), second = {r->now.ns + 1000000000};
            if (ticks-- == 0 || due.ns == INT64_MAX) return false;
            r->now = r->now.ns < due.ns && due.ns < second.ns ? due : second;
            step(r, &(struct enclave_event){
                        .type = ENCLAVE_EVENT_TICK, .now = r->now, .wall_ms = r->world->now_ms});
        } else {
            take_next(r);
        }
    }
    return true;
}

void world_run_start(struct world_run *r)
{
    static uint8_t bundle[1 << 20], frame[(1 << 20) + 8192];
    struct buffer b = BUFFER_OF(bundle), f = BUFFER_OF(frame);
    struct registry *registry = world_registry(r->world, 0);
    must(bundle_collect(&b, registry, r->world->run));
    world_arena_free(registry_arena(registry));
    enclave_start_frame(&f, r->world->consortium, r->world->run, r->term,
                        world_certificate_bytes(r->world, r->term), buffer_span(&b));
    must(buffer_done(&f));
    r->start = keep(r, buffer_span(&f));
    world_run_frame(r, r->start);
}

struct world_run *world_run_new(struct world *w)
{
    static uint8_t output[1024];
    struct world_run *r = calloc(1, sizeof *r);
    struct buffer b = BUFFER_OF(output);
    ASSERT(r != NULL);
    r->world = w;
    r->platform = w->platform;
    r->arena = world_arena(w);
    r->term = 1;
    r->fail_after = -1;
    r->fail_err = ERR_IO;
    buffer_put_text(&b, "{\"compose\":\"");
    buffer_put_hex(&b, ID_SPAN(w->compose));
    buffer_put_text(&b, "\",\"pad\":\"\",\"perigee\":\"output/1\",\"value\":\"\xc3\xa9 6\"}");
    r->output = keep(r, buffer_span(&b));
    r->enclave_arena = world_arena(w);
    must(enclave_new(&r->enclave, r->enclave_arena));
    return r;
}

void world_run_free(struct world_run *r)
{
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) {
        if (r->body[i] != NULL) body_key_free(r->body[i]);
        free(r->plain[i]);
    }
    unlock_wipe(&r->unlock);
    world_arena_free(r->enclave_arena);
    world_arena_free(r->arena);
    free(r);
}

struct reading world_run_reading(struct world_run *r, uint32_t reader)
{
    const struct world_node *n = &r->world->node[reader];
    struct hash32 context = output_box_context(r->world->run, n->id);
    struct reading reading;
    union body body;
    uint32_t count;
    must(body_decode(&body, KIND_RECEIPT, r->result));
    struct cursor c = cursor_make(body.RECEIPT.output);
    must(unpack_array(&c, 2 * WORLD_NODES, &count));
    for (uint32_t i = 0; i + 1 < count; i += 2) {
        struct node_id to;
        struct span box;
        must(unpack_fixed(&c, to.bytes, 32));
        must(unpack_bin(&c, 65536, &box));
        if (!ID_EQUAL(to, n->id)) continue;
        ASSERT(box.len > KEM_OVERHEAD_BYTES);
        uint8_t *plain = arena_take(r->arena, box.len, 1);
        ASSERT(plain != NULL);
        must(kem_open(plain, &n->kem_secret, box, ID_SPAN(context)));
        must(reading_open(&reading, span_make(plain, box.len - KEM_OVERHEAD_BYTES)));
        return reading;
    }
    UNREACHABLE();
}
