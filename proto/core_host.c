/* The elected node as untrusted host of its enclave: starts it, carries its boxes and blobs, publishes what comes out.
 * Also everybody's view of a run's progress, and who may fetch which blob. */
#include "proto/core_state.h"

#include "proto/bundle.h"
#include "proto/enclave.h"
#include "proto/wire/pack.h"

#include <string.h>

enum { PROGRESS_LIFE_MS = 60000, RESULT_RETRY_MS = 1000 };

static const uint8_t cid_sha256[4] = {0x01, 0x55, 0x12, 0x20}, cid_blake3[4] = {0x01, 0x55, 0x1e, 0x20};

/* --- Progress --------------------------------------------------------------------------------------------------------------------------- */

static void tell_progress(struct core *c, const struct run_track *t)
{
    struct body_PROGRESS body = {t->view.run,        t->view.term,
                                 t->view.state,      t->view.verdict.refusal,
                                 t->view.bad_shares, t->certificate_bytes};
    author_ephemeral(c, KIND_PROGRESS, &body, c->wall_ms + PROGRESS_LIFE_MS);
}

/* May another enclave, here or elsewhere, do better? Then the run is as if it were asked for again. What comes of the data
 * or of a rule would come again. */
static bool passes(enum refusal r)
{
    return r == REFUSAL_ENCLAVE || r == REFUSAL_TIMEOUT || r == REFUSAL_FULL || r == REFUSAL_STORE ||
           r == REFUSAL_LEASE_LOST || r == REFUSAL_LEASE_HELD || r == REFUSAL_TERM ||
           r == REFUSAL_OTHER_KEY || r == REFUSAL_INPUT_MISSING || r == REFUSAL_INPUT_CORRUPT ||
           r == REFUSAL_TROUBLE || r == REFUSAL_ISOLATED || r == REFUSAL_CLOCK || r == REFUSAL_PROMISE_LOST ||
           r == REFUSAL_NOT_RELEASED || r == REFUSAL_OWNER_VETO;
}

static enum run_state end_state(enum refusal r)
{
    if (r == REFUSAL_RUN_EXPIRED) return RUN_EXPIRED;
    return r == REFUSAL_COMPUTATION ? RUN_FAILED : r == REFUSAL_REVOKED ? RUN_REVOKED : RUN_REFUSED;
}

static bool ended(const struct core *c, const struct run_track *t, uint64_t more_ms)
{
    const struct run_entry *run = registry_run(c->registry, t->view.run);
    return run != NULL && c->wall_ms >= record_run_end_ms(&run->record->header) + more_ms;
}

struct failure {
    enum run_state state; /* RUN_REQUESTED: it is tried again */
    struct verdict why;
};

/* Of what was taken back that is why, whatever the enclave missed of it and whoever told it so; of what fails after the run's end, its end:
 * nobody serves or signs for it any more. What no more than f custodians gave as the reason may be untrue, and what its receipt would be
 * judged by may be other by then: then it is tried again. */
static struct failure failure_of(struct core *c, struct run_track *t, enum refusal said, uint32_t custodians)
{
    const struct charter *charter = registry_charter(c->registry);
    const struct verdict taken = track_taken_back(c, t);
    if (taken.refusal != REFUSAL_NONE) return (struct failure){RUN_REVOKED, taken};
    if (ended(c, t, 0)) return (struct failure){RUN_EXPIRED, verdict_refuse(REFUSAL_RUN_EXPIRED, NULL)};
    const bool judged = custodians == FAILED_JUDGED;
    const bool doubtful = custodians > 0 && (charter == NULL || custodians <= charter->f);
    const bool again = judged || (said != REFUSAL_RUN_EXPIRED && (doubtful || passes(said)));
    return (struct failure){again ? RUN_REQUESTED : end_state(said), verdict_refuse(said, NULL)};
}

static void fail_told(struct core *c, struct run_track *t, enum refusal said, uint32_t custodians)
{
    if (t->phase != CANDIDATE_HOLDER) return;
    const struct failure f = failure_of(c, t, said, custodians);
    track_reason(t, f.why);
    if (c->enclaves_running > 0) c->enclaves_running--;
    track_state(c, t, f.state);
    notice(c, "an enclave ended without an output, run", ID_SPAN(t->view.run), refusal_name(said));
    tell_progress(c, t);
    elect_again(c, t, f.state == RUN_REQUESTED);
}

static void fail(struct core *c, struct run_track *t, enum refusal why)
{
    fail_told(c, t, why, 0);
}

/* Has it a share of this run's keys, or the half of one? */
static bool is_party(const struct core *c, struct node_id node, struct run_id run)
{
    const struct charter *charter = registry_charter(c->registry);
    const struct run_entry *entry = registry_run(c->registry, run);
    bool custodian = charter != NULL && charter_custodian(charter, node) >= 0, owner = false;
    for (uint32_t i = 0; entry != NULL && i < run_input_count(&entry->body); i++) {
        const struct asset *a = registry_asset(c->registry, run_input_at(&entry->body, i).dt);
        owner |= registry_holds(c->registry, a, node) && registry_vetoed(c->registry, &entry->body, i);
    }
    return custodian || owner;
}

static bool is_over(const struct run_view *v)
{
    bool computed = v->state == RUN_FAILED && v->verdict.refusal == REFUSAL_COMPUTATION;
    return v->state == RUN_SETTLED || v->state == RUN_REVOKED || v->state == RUN_EXPIRED || computed;
}

/* A party to its keys tells the requester why it refused the enclave: shown until the run ends otherwise. That a computation
 * failed is the enclave's to say, and an end. */
void host_refusal(struct core *c, struct node_id party, const struct body_REFUSAL *b)
{
    struct run_track *t = track_find(c, b->run);
    enum refusal why = refusal_from(b->refusal);
    if (why == REFUSAL_COMPUTATION || !is_party(c, party, b->run)) return;
    peer_notice(c, party, "a party to its keys refuses run", ID_SPAN(b->run), refusal_name(why));
    if (t == NULL || is_over(&t->view) || t->phase == CANDIDATE_HOLDER) return;
    if (t->view.verdict.refusal != why) history_moved(c, t);
    track_reason(t, verdict_refuse(why, party.bytes));
}

/* The votes of a certificate as signature parts. certificate_check has said yes. */
static void ask_votes(struct core *c, struct pending *p, pending_step then, const struct certificate *cert)
{
    const struct charter *charter = registry_charter(c->registry);
    struct buffer parts = scratch_buffer(c, VERIFY_PART_BYTES * CAP_CUSTODIANS);
    struct hash32 message = certificate_vote_hash(cert);
    for (uint32_t i = 0; i < cert->vote_count; i++) {
        buffer_put(&parts, ID_SPAN(charter->member[charter->custodian[cert->custodian[i]]].node));
        buffer_put(&parts, ID_SPAN(message));
        buffer_put(&parts, SPAN_OF(cert->vote[i].bytes));
    }
    struct crypto_job *job = ask_crypto(c, p, CRYPTO_VERIFY, then);
    job->parts = buffer_span(&parts);
    job->part_count = cert->vote_count;
}

/* What a progress says, in one number: it waits for a check of votes with its sender. */
struct said {
    uint32_t bad_shares;
    uint8_t state, reason;
};

static uint64_t said_number(const struct body_PROGRESS *b)
{
    return b->bad_shares << 16 | b->state << 8 | b->reason;
}

static struct said said_of(uint64_t number)
{
    return (struct said){(uint32_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};
}

/* Progress is never proof of what it says: it moves the view, never to what a receipt alone shows, and never past one. */
static void move_view(struct core *c, struct run_track *t, struct said said)
{
    const struct run_entry *run = registry_run(c->registry, t->view.run);
    uint8_t state = said.state, reason = said.reason;
    bool shown = t->view.state == RUN_SETTLED || (run != NULL && run->receipt != NULL);
    bool again = state == RUN_REQUESTED && reason != REFUSAL_NONE; /* an enclave ended, another may follow */
    bool late = t->view.state < RUN_SETTLED && state < t->view.state && !again; /* overtaken on its way */
    if ((said.bad_shares & ~t->view.bad_shares) != 0) history_moved(c, t);
    t->view.bad_shares |= said.bad_shares;
    bool over =
        t->view.state == RUN_REVOKED && state != RUN_COMMITTED && track_revoked(c, t).refusal != REFUSAL_NONE;
    if (shown || late || over || t->phase == CANDIDATE_HOLDER) return;
    const struct verdict back = state == RUN_REVOKED ? track_taken_back(c, t) : VERDICT_OK;
    track_reason(t, back.refusal != REFUSAL_NONE ? back : verdict_refuse(refusal_from(reason), NULL));
    track_state(c, t, (enum run_state)state);
}

/* The votes hold: from now on this node is the one that says how far the run is, until a later term elects another. */
static void on_progress_checked(struct core *c, struct pending *p, const struct event *event)
{
    struct run_track *t = track_find(c, p->run);
    bool later = t != NULL && (ID_IS_ZERO(t->view.node) || p->term > t->view.term);
    if (event->err == OK && later) track_elected(c, t, p->peer, p->term);
    bool speaks = t != NULL && ID_EQUAL(t->view.node, p->peer) && t->view.term == p->term;
    if (event->err == OK && speaks) move_view(c, t, said_of(p->number));
    pending_end(c, p);
}

static bool certificate_of(const struct core *c, struct certificate *out, struct node_id node,
                           const struct body_PROGRESS *b)
{
    const struct run_entry *run = registry_run(c->registry, b->run);
    const struct charter *charter = registry_charter(c->registry);
    if (run == NULL || charter == NULL) return false;
    if (certificate_decode(out, b->certificate) != OK || certificate_check(out, charter) != OK) return false;
    return ID_EQUAL(out->run, b->run) && out->term == b->term && ID_EQUAL(out->node, node) &&
           ID_EQUAL(out->compose, run->body.compose) && out->slot == run->body.slot &&
           out->epoch == run->body.epoch;
}

/* Only the elected node is listened to: its certificate is checked once, then its word on this term is taken. */
void host_progress(struct core *c, const struct record *r, const struct body_PROGRESS *b)
{
    struct run_track *t = track_find(c, b->run);
    struct certificate cert;
    bool possible = b->state < RUN_STATE_COUNT && b->state != RUN_RELEASED && b->state != RUN_SETTLED;
    if (t == NULL || !possible || t->phase == CANDIDATE_HOLDER) return;
    if (ID_EQUAL(t->view.node, r->header.author) && t->view.term == b->term) {
        move_view(c, t, said_of(said_number(b)));
        return;
    }
    if (!ID_IS_ZERO(t->view.node) && b->term <= t->view.term) return;
    struct pending *p = certificate_of(c, &cert, r->header.author, b)
                            ? pending_for(c, r->header.author, on_progress_checked)
                            : NULL;
    if (p == NULL) return;
    p->run = b->run;
    p->term = b->term;
    p->number = said_number(b);
    ask_votes(c, p, on_progress_checked, &cert);
}

/* --- Receipts: every one held that may settle a run is examined once, whenever its run comes ------------------------------ */

/* Asked to be checked; nothing to check, or not yet; no room to ask. */
enum receipt_check { RECEIPT_ASKED, RECEIPT_PASSED, RECEIPT_BUSY };
enum { ENTRIES_A_TICK = 4096, RECEIPTS_A_TICK = 256, RECEIPT_BYTES_A_TICK = 8 << 20 };
enum { ENCLAVE_PARTS = 2 }; /* signatures of the enclave that a receipt's check is of */

/* One less that a vote for its run waits for. */
static void receipt_seen(struct core *c, const struct record *r, struct run_id run)
{
    struct chain_entry *e = &ROW(c->chain.entry, chain_row(&c->chain, r->id));
    struct run_track *t = e->awaited ? track_find(c, run) : NULL;
    e->awaited = false;
    if (t != NULL) t->receipts_awaited--;
}

static void settle_by(struct core *c, const struct record *r, struct run_id run)
{
    union body body;
    struct run_track *t = track_find(c, run);
    enum err err = body_decode(&body, KIND_RECEIPT, r->body);
    ASSERT(err == OK); /* it was kept because it reads */
    registry_settle(c->registry, run, r);
    silence_own_commit(c, &body.RECEIPT);
    if (t != NULL) track_settled(c, t);
}

static void on_receipt_checked(struct core *c, struct pending *p, const struct event *event)
{
    const struct record *r = chain_get(&c->chain, p->peer, p->number);
    const bool judged = event->err == OK || event->err == ERR_SIGNATURE || event->err == ERR_KEY;
    ASSERT(r != NULL); /* it was held when it was asked about */
    c->receipts_asked--;
    if (!judged) {
        chain_examined(&c->chain, r, false);
        host_look_for_receipts(c);
    } else {
        receipt_seen(c, r, p->run);
    }
    if (event->err == OK)
        settle_by(c, r, p->run);
    else if (judged)
        peer_notice(c, p->peer, "a receipt's signatures do not hold; it settles nothing", ID_SPAN(p->run),
                    NULL);
    pending_end(c, p);
}

static void put_part(struct buffer *parts, struct node_id author, struct hash32 message,
                     const struct signature *signature)
{
    buffer_put(parts, ID_SPAN(author));
    buffer_put(parts, ID_SPAN(message));
    buffer_put(parts, SPAN_OF(signature->bytes));
}

/* The core receipt's signature, as the first part: it is of this run, and of all that is beside it but what the ending names. */
static bool core_part(struct core *c, struct core_receipt *core, struct buffer *parts,
                      const struct body_RECEIPT *b)
{
    if (core_receipt_decode(core, b->core) != OK) return false;
    if (!ID_EQUAL(core->consortium, c->options.consortium) || !ID_EQUAL(core->run, b->run)) return false;
    const struct hash32 certificate = certificate_hash(b->certificate), records = bundle_hash(b->records),
                        evidence = enclave_evidence_hash(b->evidence);
    put_part(parts, core->enclave, core_receipt_hash(b->core), &b->core_signature);
    return ID_EQUAL(core->certificate, certificate) && ID_EQUAL(core->bundle, records) &&
           ID_EQUAL(core->evidence, evidence);
}

/* The enclave's ending, as another: it names the rest. So what settles a run is what its enclave put out, to the byte: who publishes
 * it may withhold it, and spoil nothing. */
static bool ending_part(struct buffer *parts, const struct body_RECEIPT *b, const struct core_receipt *core)
{
    struct record r;
    struct body_ENDING ending;
    if (record_unpack(&r, b->ending) != OK || r.header.kind != KIND_ENDING ||
        body_decode(&ending, KIND_ENDING, r.body) != OK)
        return false;
    const struct hash32 hash = core_receipt_hash(b->core),
                        statements = enclave_statements_hash(b->releases, b->commits),
                        outputs = enclave_outputs_hash(b->output);
    put_part(parts, r.header.author, record_sign_hash(KIND_ENDING, r.header_bytes), &r.signature);
    return ID_EQUAL(r.header.author, core->enclave) && ID_EQUAL(r.header.consortium, core->consortium) &&
           ID_EQUAL(ending.run, core->run) && ending.term == core->term && ID_EQUAL(ending.core, hash) &&
           ID_EQUAL(ending.statements, statements) && ID_EQUAL(ending.outputs, outputs);
}

/* The commit statements as parts: q distinct custodians, this output, this core receipt. How many; 0: it is no receipt. */
static uint32_t commit_parts(struct core *c, struct buffer *parts, const struct body_RECEIPT *b,
                             const struct core_receipt *core)
{
    const struct charter *charter = registry_charter(c->registry);
    struct cursor at = cursor_make(b->commits);
    struct hash32 core_hash = core_receipt_hash(b->core);
    uint32_t count = 0, seen = 0;
    if (charter == NULL || unpack_array(&at, CAP_CUSTODIANS, &count) != OK) return 0;
    for (uint32_t i = 0; i < count; i++) {
        struct span packed;
        struct record r;
        struct body_COMMIT body;
        if (unpack_bin(&at, 4096, &packed) != OK || record_unpack(&r, packed) != OK) return 0;
        if (r.header.kind != KIND_COMMIT || body_decode(&body, KIND_COMMIT, r.body) != OK) return 0;
        int custodian = charter_custodian(charter, r.header.author);
        bool same = ID_EQUAL(body.run, core->run) && body.term == core->term && body.index == 0 &&
                    ID_EQUAL(body.core, core_hash) && ID_EQUAL(body.commitment, core->commitment);
        if (custodian < 0 || (seen >> custodian & 1) != 0 || !same) return 0;
        seen |= UINT32_C(1) << custodian;
        put_part(parts, r.header.author, record_sign_hash(KIND_COMMIT, r.header_bytes), &r.signature);
    }
    return count >= charter->q ? count : 0;
}

static enum receipt_check check_body(struct core *c, const struct record *r, const struct body_RECEIPT *b)
{
    struct core_receipt core;
    if (registry_charter(c->registry) == NULL || registry_run(c->registry, b->run) == NULL)
        return RECEIPT_PASSED; /* their coming begins a round */
    struct buffer parts = scratch_buffer(c, VERIFY_PART_BYTES * (CAP_CUSTODIANS + ENCLAVE_PARTS));
    bool ours = core_part(c, &core, &parts, b) && ending_part(&parts, b, &core);
    uint32_t count = ours ? commit_parts(c, &parts, b, &core) : 0;
    const bool room = c->receipts_asked < pending_part(c, RECEIPTS_ASKED_16THS);
    struct pending *p = count > 0 && room ? pending_new(c, on_receipt_checked) : NULL;
    if (p == NULL && count > 0) return RECEIPT_BUSY;
    chain_examined(&c->chain, r, true);
    if (p == NULL) {
        receipt_seen(c, r, b->run);
        return RECEIPT_PASSED;
    }
    c->receipts_asked++;
    p->run = b->run;
    p->peer = r->header.author;
    p->number = r->header.seq;
    struct crypto_job *job = ask_crypto(c, p, CRYPTO_VERIFY, on_receipt_checked);
    job->parts = buffer_span(&parts);
    job->part_count = count + ENCLAVE_PARTS;
    return RECEIPT_ASKED;
}

/* Anyone may publish a receipt; what settles a run are the enclave's signature and those of q custodians under one core
 * receipt, and they are checked here. */
static enum receipt_check check_receipt(struct core *c, const struct record *r)
{
    union body *b = arena_take(&c->room->scratch, 1, sizeof *b);
    ASSERT(b != NULL);
    if (body_decode(b, KIND_RECEIPT, r->body) == OK) return check_body(c, r, &b->RECEIPT);
    chain_examined(&c->chain, r, true);
    return RECEIPT_PASSED;
}

/* As many places as runs that busy() counts: whose enclave was started finds one. */
static void keep_result(struct core *c, struct run_track *t, struct span body)
{
    uint32_t i = 0;
    while (i < c->options.caps->enclaves && c->result_taken[i]) i++;
    ASSERT(i < c->options.caps->enclaves && body.len <= CAP_BODY_BYTES && t->result.len == 0);
    memcpy(c->result[i], body.data, body.len);
    c->result_taken[i] = true;
    t->result = span_make(c->result[i], body.len);
}

static void give_result(struct core *c, struct run_track *t)
{
    if (t->result.len == 0) return;
    size_t i = (size_t)(t->result.data - c->result[0]) / CAP_BODY_BYTES;
    memset(c->result[i], 0, CAP_BODY_BYTES);
    c->result_taken[i] = false;
    t->result = SPAN_NONE;
}

/* An own record carries the result: it need not be kept for another try. */
static void forget_result(struct core *c, const struct record *r)
{
    size_t mark = arena_mark(&c->room->scratch);
    union body *b = arena_take(&c->room->scratch, 1, sizeof *b);
    ASSERT(b != NULL);
    bool known = ID_EQUAL(r->header.author, c->options.self) && body_decode(b, KIND_RECEIPT, r->body) == OK;
    struct run_track *t = known ? track_find(c, b->RECEIPT.run) : NULL;
    if (t != NULL) give_result(c, t);
    arena_release(&c->room->scratch, mark);
}

void host_look_for_receipts(struct core *c)
{
    c->receipts_left = c->chain.entry_count;
}

void host_receipt(struct core *c, const struct record *r)
{
    forget_result(c, r);
    if (!c->ready) return; /* host_ready looks for it */
    if (!step_has_room(c) || check_receipt(c, r) == RECEIPT_BUSY) host_look_for_receipts(c);
}

/* One round through the chain's entries, some with each tick. */
static void look_for_receipts(struct core *c)
{
    uint32_t asked = 0;
    size_t read = 0; /* bytes, of those that come to nothing, too */
    for (uint32_t i = 0; i < ENTRIES_A_TICK && c->receipts_left > 0; i++) {
        const struct chain_entry *e = &ROW(c->chain.entry, c->receipt_next % c->chain.entry_count);
        bool open = e->record.header.kind == KIND_RECEIPT && e->applied && !e->examined;
        if (open) {
            size_t mark = arena_mark(&c->room->scratch);
            if (!step_has_room(c) || asked == RECEIPTS_A_TICK || read >= RECEIPT_BYTES_A_TICK) return;
            read += e->record.body.len;
            enum receipt_check found = check_receipt(c, &e->record);
            if (found == RECEIPT_BUSY) return;
            if (found == RECEIPT_ASKED) asked++;
            if (found == RECEIPT_PASSED) arena_release(&c->room->scratch, mark);
        }
        c->receipt_next = (c->receipt_next + 1) % c->chain.entry_count;
        c->receipts_left--;
    }
}

/* --- Start ---------------------------------------------------------------------------------------------------------------------------------- */

void host_start(struct core *c, struct run_track *t)
{
    struct buffer bundle = scratch_buffer(c, BUNDLE_BYTES_MAX);
    c->step_full = true;
    c->enclaves_running++;
    const enum err err = bundle_collect(&bundle, c->registry, t->view.run);
    scratch_trim(c, &bundle, bundle.len);
    if (err != OK) {
        fail(c, t, REFUSAL_FULL);
        return;
    }
    struct buffer frame = scratch_buffer(c, bundle.len + 8192);
    enclave_start_frame(&frame, c->options.consortium, t->view.run, t->term, t->certificate_bytes,
                        buffer_span(&bundle));
    struct effect *e = emit(c, EFFECT_ENCLAVE_START);
    e->run = t->view.run;
    e->bytes = buffer_span(&frame);
    tell_progress(c, t);
}

/* --- Frames from the worker ------------------------------------------------------------------------------------------------------------------ */

/* Which node is this party to the run's keys: a custodian, or an input's owner? */
static bool party_node(const struct core *c, struct node_id *out, struct run_id run, uint64_t party)
{
    const struct charter *charter = registry_charter(c->registry);
    const struct run_entry *entry = registry_run(c->registry, run);
    if (charter == NULL || entry == NULL) return false;
    if (party < charter->custodian_count) {
        *out = charter->member[charter->custodian[party]].node;
        return true;
    }
    if (party < VETO_PARTY || party - VETO_PARTY >= run_input_count(&entry->body)) return false;
    const struct asset *a =
        registry_asset(c->registry, run_input_at(&entry->body, (uint32_t)party - VETO_PARTY).dt);
    if (a != NULL) *out = registry_holder(c->registry, a->owner);
    return a != NULL && !ID_IS_ZERO(*out); /* nobody may hold it any more */
}

static void on_ask(struct core *c, struct run_track *t, struct span body)
{
    struct node_id to;
    if (body.len < 2 || !party_node(c, &to, t->view.run, body.data[0])) return;
    struct message_RELAY m = {t->view.run, t->term, 0, body.data[0], span_make(body.data + 1, body.len - 1)};
    struct buffer b = scratch_buffer(c, body.len + 128);
    message_encode(&b, MESSAGE_RELAY_CODE, &m);
    send_message(c, to, buffer_span(&b));
}

/* A queue, a pool or a disk may be full just then: the result is kept and tried again until a record carries it. */
static void result_tick(struct core *c, struct run_track *t)
{
    const struct run_entry *run = registry_run(c->registry, t->view.run);
    if (t->result.len == 0 || c->now.ns < t->result_ns || !step_has_room(c)) return;
    if (run != NULL && run->receipt != NULL) {
        give_result(c, t); /* somebody else's record carries it */
        return;
    }
    t->result_ns = c->now.ns + (int64_t)RESULT_RETRY_MS * 1000000;
    if (!author_in_making(c, KIND_RECEIPT, t->result)) author_record(c, KIND_RECEIPT, t->result, 0, 0);
}

static bool result_fits(struct core *c, const struct run_track *t, struct span body)
{
    size_t mark = arena_mark(&c->room->scratch);
    union body *b = arena_take(&c->room->scratch, 1, sizeof *b);
    ASSERT(b != NULL);
    bool fits = body.len <= CAP_BODY_BYTES && body_decode(b, KIND_RECEIPT, body) == OK &&
                ID_EQUAL(b->RECEIPT.run, t->view.run);
    arena_release(&c->room->scratch, mark);
    return fits;
}

static void stop_worker(struct core *c, struct run_id run)
{
    struct effect *e = emit(c, EFFECT_ENCLAVE_STOP);
    e->run = run;
}

static void on_result(struct core *c, struct run_track *t, struct span body)
{
    if (!result_fits(c, t, body)) {
        fail(c, t, REFUSAL_ENCLAVE);
        return;
    }
    keep_result(c, t, body);
    stop_worker(c, t->view.run);
    t->phase = CANDIDATE_DONE;
    if (c->enclaves_running > 0) c->enclaves_running--;
    track_state(c, t, RUN_RELEASED);
    t->result_ns = c->now.ns;
    result_tick(c, t);
}

/* The enclave names a custodian whose signed shares do not hold. The run goes on while t others' do; who looks at it learns
 * whose they were, and this node's log the statement that signed them. */
static void on_bad_shares(struct core *c, struct run_track *t, struct span body)
{
    const struct charter *charter = registry_charter(c->registry);
    struct record r;
    if (body.len < 2 || charter == NULL || body.data[0] >= charter->custodian_count) return;
    struct node_id custodian = charter->member[charter->custodian[body.data[0]]].node;
    bool its_own = record_unpack(&r, span_make(body.data + 1, body.len - 1)) == OK &&
                   r.header.kind == KIND_RELEASE && ID_EQUAL(r.header.author, custodian);
    uint32_t bit = UINT32_C(1) << body.data[0];
    if (!its_own || (t->view.bad_shares & bit) != 0) return;
    char id[2 * 32 + 1];
    hex_encode(id, r.id.bytes, 32);
    t->view.bad_shares |= bit;
    history_moved(c, t);
    notice(c, "shares that do not hold came from custodian", ID_SPAN(custodian), id);
    tell_progress(c, t);
}

void host_frame(struct core *c, struct run_id run, struct span frame)
{
    struct run_track *t = track_find(c, run);
    if (t == NULL || t->phase != CANDIDATE_HOLDER) return;
    if (frame.len == 0) {
        fail(c, t, REFUSAL_ENCLAVE);
        return;
    }
    struct span body = span_make(frame.data + 1, frame.len - 1);
    switch (frame.data[0]) {
    case FRAME_WANT: {
        if (body.len != 36) break;
        struct effect *e = emit(c, EFFECT_ENCLAVE_BLOB);
        e->run = run;
        e->bytes = scratch_copy(c, body);
        break;
    }
    case FRAME_ASK: on_ask(c, t, body); break;
    case FRAME_STATE:
        if (body.len == 1 && body.data[0] < RUN_RELEASED) {
            track_state(c, t, (enum run_state)body.data[0]);
            tell_progress(c, t);
        }
        break;
    case FRAME_BAD_SHARES: on_bad_shares(c, t, body); break;
    case FRAME_RESULT: on_result(c, t, body); break;
    case FRAME_FAILED:
        if (body.len == 2)
            fail_told(c, t, refusal_from(body.data[0]), body.data[1]);
        else
            fail(c, t, REFUSAL_ENCLAVE);
        break;
    default: break; /* a byte from another process, not an enum: unknown frames are ignored */
    }
}

void host_answer(struct core *c, struct node_id peer, const struct message_RELAY *m)
{
    struct node_id from;
    struct run_track *t = track_find(c, m->run);
    if (t == NULL || t->phase != CANDIDATE_HOLDER || m->term != t->term) return;
    if (!party_node(c, &from, m->run, m->party) || !ID_EQUAL(from, peer)) return;
    struct buffer b = scratch_buffer(c, m->box.len + 2);
    buffer_put_u8(&b, FRAME_ANSWER);
    buffer_put_u8(&b, (uint8_t)m->party);
    buffer_put(&b, m->box);
    struct effect *e = emit(c, EFFECT_ENCLAVE_SEND);
    e->run = m->run;
    e->bytes = buffer_span(&b);
}

/* --- Blobs: from the owners of the run's inputs --------------------------------------------------------------------------------------------- */

static void give_blob(struct core *c, struct run_id run, const uint8_t cid[36], bool found, struct span bytes)
{
    struct buffer b = scratch_buffer(c, bytes.len + 64);
    buffer_put_u8(&b, FRAME_BLOB);
    buffer_put(&b, span_make(cid, 36));
    buffer_put_u8(&b, found ? 1 : 0);
    buffer_put(&b, bytes);
    struct effect *e = emit(c, EFFECT_ENCLAVE_SEND);
    e->run = run;
    e->bytes = buffer_span(&b);
}

/* Ask the owners in turn; w->asked counts how many have been asked. False when none is left. */
static bool ask_owner(struct core *c, struct want *w)
{
    const struct run_entry *run = registry_run(c->registry, w->run);
    const struct run_track *t = track_find(c, w->run);
    while (run != NULL && t != NULL && w->asked < run_input_count(&run->body)) {
        const struct asset *a = registry_asset(c->registry, run_input_at(&run->body, w->asked++).dt);
        const struct node_id holder = a != NULL ? registry_holder(c->registry, a->owner) : c->options.self;
        if (ID_EQUAL(holder, c->options.self) || ID_IS_ZERO(holder)) continue;
        struct message_BLOB_GET m = {SPAN_OF(w->cid), w->run, t->certificate_bytes};
        struct buffer b = scratch_buffer(c, t->certificate_bytes.len + 128);
        message_encode(&b, MESSAGE_BLOB_GET_CODE, &m);
        send_message(c, holder, buffer_span(&b));
        w->from = holder;
        w->since_ns = c->now.ns;
        return true;
    }
    return false;
}

static void want_next(struct core *c, struct want *w)
{
    if (ask_owner(c, w)) return;
    give_blob(c, w->run, w->cid, false, SPAN_NONE);
    w->active = false;
}

void host_blob_missing(struct core *c, struct run_id run, struct span cid)
{
    if (cid.len != 36) return;
    uint32_t i = 0;
    while (i < c->want_count && c->want[i].active) i++;
    if (i == c->options.caps->wants) {
        give_blob(c, run, cid.data, false, SPAN_NONE);
        return;
    }
    if (i == c->want_count) c->want_count++;
    struct want *w = &c->want[i];
    *w = (struct want){.run = run, .active = true};
    memcpy(w->cid, cid.data, 36);
    want_next(c, w);
}

static bool blob_named(const uint8_t cid[36], struct span bytes)
{
    struct hash32 hash = cid[2] == cid_sha256[2] ? sha256(bytes) : blake3(bytes);
    return memcmp(cid + 4, hash.bytes, 32) == 0;
}

/* Only what was asked for, from whom it was asked of. Who has not the right one says so: a wrong one is as good as none, the
 * next owner is asked, and whoever sent it has lied. */
void host_blob(struct core *c, struct node_id from, const struct message_BLOB *m)
{
    for (uint32_t i = 0; i < c->want_count; i++) {
        struct want *w = &c->want[i];
        if (!w->active || !span_equal(SPAN_OF(w->cid), m->cid) || !ID_EQUAL(w->from, from)) continue;
        const bool lies = m->refusal == REFUSAL_NONE && !blob_named(w->cid, m->bytes);
        if (lies) offence(c, from, "wrong bytes for a chunk from");
        if (lies || m->refusal != REFUSAL_NONE) {
            want_next(c, w);
        } else {
            give_blob(c, w->run, w->cid, true, m->bytes); /* the enclave checks it again */
            w->active = false;
        }
        return;
    }
}

/* The manifests this run pins of this node's own datasets: nothing else here is any business of the node elected for it. */
static struct span own_manifests(struct core *c, const struct body_RUN *run)
{
    struct buffer b = scratch_buffer(c, 32 * CAP_INPUTS);
    for (uint32_t i = 0; i < run_input_count(run); i++) {
        struct run_input input = run_input_at(run, i);
        const struct asset *a = registry_asset(c->registry, input.dt);
        if (registry_holds(c->registry, a, c->options.self)) buffer_put(&b, ID_SPAN(input.manifest));
    }
    return buffer_span(&b);
}

/* An owner serves ciphertext to the elected node of a run over its data, and to no one else (export `to-enclave`). */
static enum refusal may_serve(struct core *c, struct node_id to, struct run_id id)
{
    const struct run_entry *run = registry_run(c->registry, id);
    if (run == NULL) return REFUSAL_UNKNOWN_RUN;
    if (own_manifests(c, &run->body).len == 0) return REFUSAL_NOT_OWNER;
    if (record_run_end_ms(&run->record->header) <= c->wall_ms) return REFUSAL_RUN_EXPIRED;
    struct verdict v = registry_check_record(c->registry, run->record);
    if (v.refusal == REFUSAL_NONE)
        v = registry_check_run(c->registry, &run->body, run->record->header.author, c->wall_ms);
    if (v.refusal == REFUSAL_NONE) v = registry_check_node(c->registry, &run->body, to);
    return v.refusal;
}

/* Elects it that node for that run? Its votes are checked later. */
static bool elects(struct core *c, const struct certificate *cert, struct node_id to, struct run_id run)
{
    const struct charter *charter = registry_charter(c->registry);
    return charter != NULL && certificate_check(cert, charter) == OK && ID_EQUAL(cert->run, run) &&
           ID_EQUAL(cert->node, to);
}

static void refuse_blob(struct core *c, struct node_id to, struct span cid, enum refusal why)
{
    struct message_BLOB m = {cid, why, SPAN_NONE};
    struct buffer b = scratch_buffer(c, 128);
    message_encode(&b, MESSAGE_BLOB_CODE, &m);
    send_message(c, to, buffer_span(&b));
}

/* Records have arrived while the votes were checked, and a revocation among them counts. */
static void on_getter_checked(struct core *c, struct pending *p, const struct event *event)
{
    enum refusal why = event->err == OK ? may_serve(c, p->peer, p->run) : REFUSAL_CERTIFICATE;
    struct span cid = span_make(p->block, p->len);
    if (why == REFUSAL_NONE) {
        struct effect *e = emit(c, EFFECT_SEND_BLOB);
        e->peer = p->peer;
        e->manifests = own_manifests(c, &registry_run(c->registry, p->run)->body);
        e->bytes = scratch_copy(c, cid);
    } else {
        refuse_blob(c, p->peer, cid, why);
    }
    pending_end(c, p);
}

void host_blob_get(struct core *c, struct node_id from, const struct message_BLOB_GET *m)
{
    struct certificate cert;
    bool named = m->cid.len == 36 &&
                 (memcmp(m->cid.data, cid_sha256, 4) == 0 || memcmp(m->cid.data, cid_blake3, 4) == 0);
    enum refusal why = !named ? REFUSAL_MALFORMED
                       : certificate_decode(&cert, m->certificate) != OK || !elects(c, &cert, from, m->run)
                           ? REFUSAL_CERTIFICATE
                           : may_serve(c, from, m->run);
    struct pending *p = why == REFUSAL_NONE ? pending_for(c, from, on_getter_checked) : NULL;
    if (p == NULL || !pending_keep(c, p, m->cid)) {
        if (p != NULL) pending_end(c, p);
        refuse_blob(c, from, m->cid, why != REFUSAL_NONE ? why : REFUSAL_FULL);
        return;
    }
    p->run = m->run;
    ask_votes(c, p, on_getter_checked, &cert);
}

/* A long computation is not silence; it ends with its run. */
static void repeat_progress(struct core *c)
{
    for (uint32_t i = 0; i < c->track_count; i++) {
        struct run_track *t = &c->track[i];
        if (t->phase != CANDIDATE_HOLDER || c->wall_ms < t->heard_ms + RUN_SILENCE_MS / 4) continue;
        t->heard_ms = c->wall_ms;
        tell_progress(c, t);
    }
}

/* A run that has ended takes its worker with it, which may compute for ever: no custodian commits to its output any more.
 * One whose output is committed has only to hand it over, and is given the time. */
static void end_runs(struct core *c)
{
    for (uint32_t i = 0; i < c->track_count; i++) {
        struct run_track *t = &c->track[i];
        uint64_t more_ms = t->view.state == RUN_COMMITTED ? RUN_SILENCE_MS : 0;
        if (t->phase != CANDIDATE_HOLDER || !ended(c, t, more_ms)) continue;
        stop_worker(c, t->view.run);
        fail(c, t, REFUSAL_RUN_EXPIRED);
    }
}

/* What is settled looks open until its receipt has been examined: no vote for a run goes before those held of it were. */
static void await_receipts(struct core *c)
{
    const size_t mark = arena_mark(&c->room->scratch);
    union body *b = arena_take(&c->room->scratch, 1, sizeof *b);
    ASSERT(b != NULL);
    for (uint32_t i = 0; i < c->chain.entry_count; i++) {
        struct chain_entry *e = &ROW(c->chain.entry, i);
        const bool open = e->record.header.kind == KIND_RECEIPT && e->applied && !e->examined;
        const bool reads = open && body_decode(b, KIND_RECEIPT, e->record.body) == OK;
        const struct run_entry *run = reads ? registry_run(c->registry, b->RECEIPT.run) : NULL;
        const bool named = run != NULL && registry_run_named(c->registry, run);
        struct run_track *t = reads ? track_find(c, b->RECEIPT.run) : NULL;
        if (t == NULL && named) t = track_add(c, b->RECEIPT.run); /* the store has no history of it */
        if (t == NULL) continue;
        e->awaited = true;
        t->receipts_awaited++;
    }
    arena_release(&c->room->scratch, mark);
}

/* A worker does not outlive its node: its run is tried again, here or elsewhere. */
void host_ready(struct core *c)
{
    host_look_for_receipts(c);
    await_receipts(c);
    for (uint32_t i = 0; i < c->track_count; i++) {
        struct run_track *t = &c->track[i];
        bool had_worker = t->view.state >= RUN_ELECTED && t->view.state < RUN_RELEASED;
        if (!had_worker || !ID_EQUAL(t->view.node, c->options.self)) continue;
        t->cut_off = true;
        track_reason(t, verdict_refuse(REFUSAL_ENCLAVE, NULL));
        track_state(c, t, RUN_REQUESTED);
    }
}

void host_peer_up(struct core *c)
{
    for (uint32_t i = 0; i < c->track_count && step_has_room(c); i++)
        if (c->track[i].cut_off && c->track[i].phase != CANDIDATE_HOLDER) tell_progress(c, &c->track[i]);
}

void host_tick(struct core *c)
{
    end_runs(c);
    repeat_progress(c);
    look_for_receipts(c);
    for (uint32_t i = 0; i < c->track_count; i++) result_tick(c, &c->track[i]);
    for (uint32_t i = 0; i < c->want_count; i++) {
        struct want *w = &c->want[i];
        if (w->active && (c->now.ns - w->since_ns) / 1000000 >= BLOB_WAIT_MS) want_next(c, w);
    }
}
