/* Own records and statements: build, sign, make durable, then let them act and leave. */
#include "proto/core_state.h"

#include "proto/approval.h"
#include "proto/bundle.h"

#include <string.h>

enum { PACKED_EXTRA = CAP_HEADER_BYTES + 160 };

static struct header header_for(const struct core *c, enum kind kind, uint64_t expires_ms)
{
    return (struct header){.kind = kind,
                           .consortium = c->options.consortium,
                           .author = c->options.self,
                           .time_ms = c->wall_ms,
                           .expires_ms = expires_ms};
}

/* p->block = header | body; the signature arrives in event->bytes. */
static struct record record_of(const struct pending *p, const struct signature *signature)
{
    struct record r;
    enum err err = record_open(&r, span_make(p->block, p->header_len), signature,
                               span_make(p->block + p->header_len, p->len - p->header_len));
    ASSERT(err == OK);
    return r;
}

/* Header and body into p->block. The scratch they are built in is given back: many may be built in one step. */
static bool keep_built(struct core *c, struct pending *p, struct header *h, const void *body)
{
    size_t mark = arena_mark(&c->room->scratch);
    struct buffer built = scratch_buffer(c, CAP_BODY_BYTES + 2 * CAP_HEADER_BYTES);
    const bool good = record_build(&built, &p->header_len, h, body) == OK;
    if (good)
        scratch_trim(c, &built,
                     built.len + CAP_HEADER_BYTES); /* as it was built, with room before the body */
    const bool kept = good && pending_keep(c, p, buffer_span(&built));
    arena_release(&c->room->scratch, mark);
    return kept;
}

/* --- Chained records: one at a time, each knows its predecessor ---------------------------------------------------------------- */

static void own_start(struct core *c, struct pending *p);

static void own_finish(struct core *c, struct pending *p, struct verdict verdict, const uint8_t id32[32])
{
    reply(c, p->reply, verdict, id32);
    ASSERT(c->own_head == p);
    c->own_head = NULL;
    pending_end(c, p);
    if (c->own_queue_count == 0) return;
    struct pending *next = c->own_queue[0];
    memmove(c->own_queue, c->own_queue + 1, --c->own_queue_count * sizeof next);
    own_start(c, next);
}

static void own_stored(struct core *c, struct pending *p, const struct event *event)
{
    if (c->silence !=
        SILENCE_NONE) { /* it began meanwhile: this place may be taken elsewhere, and nobody hears of it from here */
        own_finish(c, p, verdict_refuse(REFUSAL_SILENT, c->options.self.bytes), NULL);
        return;
    }
    if (event->err != OK) {
        /* A full disk keeps nothing. After any other error it may be there after all: another record in this place
         * could be a second one. */
        c->own_stuck |= event->err != ERR_FULL;
        notice(c, "own record could not be stored", SPAN_NONE, err_text(event->err));
        own_finish(c, p, verdict_refuse(event->err == ERR_FULL ? REFUSAL_FULL : REFUSAL_STORE, NULL), NULL);
        return;
    }
    struct record r = record_of(p, &p->signature);
    const struct record *kept = ingest_accept(c, &r, NULL);
    if (kept != NULL && p->kind == KIND_APPROVAL) ingest_key_seen(c, kept, p->value);
    if (kept == NULL) {
        /* Its place was taken meanwhile, by a record of this node's key that came back from a peer. */
        c->own_stuck = true;
        notice(c,
               "another record of this node's key came for a place that it has just signed; it signs no more",
               ID_SPAN(r.id), NULL);
    }
    own_finish(c, p, kept != NULL ? VERDICT_OK : verdict_refuse(REFUSAL_STORE, NULL),
               kept != NULL ? kept->id.bytes : NULL);
}

static void own_signed(struct core *c, struct pending *p, const struct event *event)
{
    if (event->err != OK || event->bytes.len != sizeof p->signature.bytes) {
        own_finish(c, p, verdict_refuse(REFUSAL_FULL, NULL), NULL);
        return;
    }
    memcpy(p->signature.bytes, event->bytes.data, sizeof p->signature.bytes);
    struct record r = record_of(p, &p->signature);
    struct buffer packed = scratch_buffer(c, p->len + PACKED_EXTRA);
    record_pack(&packed, &r);
    struct keep item = {KEEP_RECORD, scratch_copy(c, ID_SPAN(r.id)), buffer_span(&packed)};
    ask_store(c, p, own_stored, &item, 1);
}

/* By the custodians' clocks when the own one is off: peers drop what is dated far ahead, and would not hear a revocation. */
static uint64_t dated(const struct core *c)
{
    int64_t offset_ms = 0;
    if (!sync_clock_off(c) || !core_clock_offset(c, &offset_ms)) return c->wall_ms;
    return offset_ms > 0 && (uint64_t)offset_ms > c->wall_ms ? 0 : c->wall_ms - (uint64_t)offset_ms;
}

static void own_sign(struct core *c, struct pending *p)
{
    const struct author *a = chain_author(&c->chain, c->options.self);
    struct header h = header_for(c, p->kind, p->number);
    h.time_ms = dated(c);
    union body *body = arena_take(&c->room->scratch, 1, sizeof *body);
    ASSERT(body != NULL);
    enum err err = body_decode(body, p->kind, span_make(p->side, p->side_len));
    ASSERT(err == OK); /* own_start saw it */
    h.seq = (a != NULL ? a->applied : 0) + 1;
    if (a != NULL) h.prev = a->head;
    if (!keep_built(c, p, &h, body)) {
        own_finish(c, p, verdict_refuse(REFUSAL_FULL, NULL), NULL);
        return;
    }
    ask_crypto(c, p, CRYPTO_SIGN, own_signed)->hash =
        record_sign_hash(h.kind, span_make(p->block, p->header_len));
}

static void own_approval_checked(struct core *c, struct pending *p, const struct event *event)
{
    if (event->err != OK)
        own_finish(c, p, verdict_refuse(REFUSAL_NO_APPROVAL, c->options.self.bytes), NULL);
    else
        own_sign(c, p);
}

uint64_t core_dated_ahead(const struct core *c)
{
    uint64_t skew_max_ms = registry_charter_bytes(c->registry)->skew_max_ms;
    return c->own_latest_ms > c->wall_ms + skew_max_ms ? c->own_latest_ms : 0;
}

/* A record dated ahead, and all that follow it, would be acknowledged here and taken by nobody. */
bool core_clock_stops(const struct core *c)
{
    return sync_clock_off(c) || core_dated_ahead(c) != 0;
}

/* Never into a place that may be taken: with a gap in its own chain, or after a store that failed without saying what it kept. */
static enum refusal chain_stops(const struct core *c)
{
    const struct author *a = chain_author(&c->chain, c->options.self);
    if (c->silence != SILENCE_NONE) return REFUSAL_SILENT;
    if (a != NULL && a->frozen != 0) return REFUSAL_FROZEN;
    if (registry_removed(c->registry, c->options.self)) return REFUSAL_REMOVED;
    if (c->own_stuck) return REFUSAL_STORE;
    if (!chain_whole(&c->chain, c->options.self)) return REFUSAL_GAP;
    return c->unshown ? REFUSAL_ISOLATED : REFUSAL_NONE;
}

enum refusal core_authoring(const struct core *c)
{
    const enum refusal why = chain_stops(c);
    return why == REFUSAL_NONE && core_clock_stops(c) ? REFUSAL_CLOCK : why;
}

/* May this node sign this body as its next record? Never without room to keep it. */
static struct verdict own_check(struct core *c, const struct pending *p, const union body *body)
{
    struct node_id self = c->options.self;
    const enum refusal why = chain_stops(c);
    if (why != REFUSAL_NONE) return verdict_refuse(why, self.bytes);
    bool room = chain_room(&c->chain, self, p->kind, CAP_HEADER_BYTES, p->side_len) &&
                (registry_admitted(c->registry, self) ||
                 chain_room_small(&c->chain, self, CAP_HEADER_BYTES, p->side_len));
    if (!room) return verdict_refuse(REFUSAL_FULL, self.bytes);
    bool negative =
        p->kind == KIND_REVOCATION || p->kind == KIND_REMOVAL; /* no clock keeps anybody from taking back */
    if (!negative && core_clock_stops(c)) return verdict_refuse(REFUSAL_CLOCK, self.bytes);
    if (p->number != 0 && !registry_may_expire(p->kind)) return verdict_refuse(REFUSAL_MALFORMED, NULL);
    return registry_preview(c->registry, self, p->kind, body);
}

/* An approval that this node's own approval key did not sign would never count. */
static void own_check_approval(struct core *c, struct pending *p, const struct body_APPROVAL *body)
{
    const struct member *m = registry_member(c->registry, c->options.self);
    struct hash32 message = approval_sign_hash(c->options.consortium, c->options.self, body, p->number);
    ASSERT(m != NULL); /* own_check asked for its role */
    memcpy(p->value, m->approval.bytes, sizeof p->value);
    ask_verify(c, p, own_approval_checked, m->approval, message, &body->approval_signature);
}

static bool keep_body(struct core *c, struct pending *p, struct span body)
{
    p->side = pool_take(&c->pool, body.len > 0 ? body.len : 1);
    p->side_len = p->side != NULL ? body.len : 0;
    if (p->side != NULL && body.len > 0) memcpy(p->side, body.data, body.len);
    return p->side != NULL;
}

/* A run is planned in its turn: the slot of the one before it is known to be used then. p->side becomes the run's body. */
static struct verdict own_plan(struct core *c, struct pending *p, union body *body)
{
    uint8_t inputs[RUN_INPUT_BYTES * CAP_INPUTS];
    struct body_RUN run;
    const struct body_RUN *asked = &body->RUN;
    const struct run_wish wish = {asked->compose, asked->slot, asked->inputs, asked->parameters};
    struct verdict v = registry_plan_run(c->registry, &run, inputs, &wish, c->options.self, c->wall_ms);
    if (v.refusal == REFUSAL_NONE) v = bundle_check_room(c->registry, &run, c->options.self);
    if (v.refusal != REFUSAL_NONE) return v;
    size_t mark = arena_mark(&c->room->scratch);
    struct buffer encoded = scratch_buffer(c, CAP_BODY_BYTES);
    body_encode(&encoded, KIND_RUN, &run);
    scratch_trim(c, &encoded, encoded.len);
    pool_give(&c->pool, p->side);
    bool kept = keep_body(c, p, buffer_span(&encoded));
    arena_release(&c->room->scratch, mark);
    if (!kept) return verdict_refuse(REFUSAL_FULL, NULL);
    enum err err = body_decode(body, KIND_RUN, span_make(p->side, p->side_len));
    ASSERT(err == OK); /* it was written just now */
    return VERDICT_OK;
}

/* p->side holds the encoded body, p->number the expiry. */
static void own_start(struct core *c, struct pending *p)
{
    union body *body = arena_take(&c->room->scratch, 1, sizeof *body);
    struct span encoded = span_make(p->side, p->side_len);
    c->own_head = p;
    ASSERT(body != NULL);
    struct verdict v =
        body_decode(body, p->kind, encoded) == OK ? VERDICT_OK : verdict_refuse(REFUSAL_MALFORMED, NULL);
    if (v.refusal == REFUSAL_NONE && p->kind == KIND_RUN) v = own_plan(c, p, body);
    if (v.refusal == REFUSAL_NONE) v = own_check(c, p, body);
    if (v.refusal != REFUSAL_NONE) {
        own_finish(c, p, v, NULL);
        return;
    }
    if (p->kind == KIND_APPROVAL)
        own_check_approval(c, p, &body->APPROVAL);
    else
        own_sign(c, p);
}

static bool makes(const struct pending *p, enum kind kind, struct span body)
{
    return p != NULL && p->kind == kind && span_equal(span_make(p->side, p->side_len), body);
}

bool author_in_making(const struct core *c, enum kind kind, struct span body)
{
    bool found = makes(c->own_head, kind, body);
    for (uint32_t i = 0; i < c->own_queue_count && !found; i++) found = makes(c->own_queue[i], kind, body);
    return found;
}

void author_record(struct core *c, enum kind kind, struct span body, uint64_t expires_ms, uint64_t token)
{
    struct pending *p = c->own_queue_count < c->options.caps->own_queue ? pending_new(c, own_signed) : NULL;
    if (p == NULL) {
        reply(c, token, verdict_refuse(REFUSAL_FULL, NULL), NULL);
        return;
    }
    p->kind = kind;
    p->reply = token;
    p->number = expires_ms;
    if (!keep_body(c, p, body)) {
        reply(c, token, verdict_refuse(REFUSAL_FULL, NULL), NULL);
        pending_end(c, p);
        return;
    }
    if (c->own_head != NULL)
        c->own_queue[c->own_queue_count++] = p;
    else
        own_start(c, p);
}

/* --- Statements ------------------------------------------------------------------------------------------------------------------ */

static bool statement_build(struct core *c, struct pending *p, enum kind kind, const void *body,
                            uint64_t expires_ms)
{
    struct header h = header_for(c, kind, expires_ms);
    return keep_built(c, p, &h, body);
}

static void statement_leave(struct core *c, struct pending *p)
{
    struct record r = record_of(p, &p->signature);
    struct node_id nobody = {{0}};
    struct buffer b = scratch_buffer(c, p->len + PACKED_EXTRA);
    record_encode(&b, &r);
    if (r.header.kind == KIND_CONTACT) contacts_signed(c, &r);
    if (!ID_EQUAL(p->peer, nobody)) {
        send_message(c, p->peer, buffer_span(&b));
    } else {
        /* Strangers may know that somebody wants to join, not what members do. */
        for (uint32_t i = 0; i < c->peer_count; i++) {
            const struct peer_view *to = &c->peer[i].view;
            bool open = r.header.kind == KIND_JOIN || core_member(c, to->node, 0);
            if (to->up && open) send_message(c, to->node, buffer_span(&b));
        }
    }
    pending_end(c, p);
}

static void statement_stored(struct core *c, struct pending *p, const struct event *event)
{
    if (event->err != OK) {
        notice(c, "a promise could not be stored, nothing is sent", SPAN_NONE, err_text(event->err));
        pending_end(c, p);
        return;
    }
    statement_leave(c, p);
}

static void statement_signed(struct core *c, struct pending *p, const struct event *event)
{
    if (event->err != OK || event->bytes.len != sizeof p->signature.bytes) {
        pending_end(c, p);
        return;
    }
    memcpy(p->signature.bytes, event->bytes.data, sizeof p->signature.bytes);
    if (p->promise[0] == 0) {
        statement_leave(c, p);
        return;
    }
    struct keep item = {KEEP_PROMISE, SPAN_OF(p->promise), SPAN_OF(p->value)};
    ask_store(c, p, statement_stored, &item, 1);
}

void author_statement(struct core *c, struct node_id to, enum kind kind, const void *body,
                      const uint8_t *promise_key, const uint8_t *promise_value)
{
    struct pending *p = c->silence == SILENCE_NONE ? pending_new(c, statement_signed) : NULL;
    if (p == NULL) return; /* asks are repeated */
    p->peer = to;
    pending_charge(c, p, to);
    if (promise_key != NULL) {
        memcpy(p->promise, promise_key, sizeof p->promise);
        memcpy(p->value, promise_value, sizeof p->value);
    }
    if (!statement_build(c, p, kind, body, 0)) {
        pending_end(c, p);
        return;
    }
    ask_crypto(c, p, CRYPTO_SIGN, statement_signed)->hash =
        record_sign_hash(kind, span_make(p->block, p->header_len));
}

void author_ephemeral(struct core *c, enum kind kind, const void *body, uint64_t expires_ms)
{
    struct pending *p = c->silence == SILENCE_NONE ? pending_new(c, statement_signed) : NULL;
    if (p == NULL) return;
    if (!statement_build(c, p, kind, body, expires_ms)) {
        pending_end(c, p);
        return;
    }
    ask_crypto(c, p, CRYPTO_SIGN, statement_signed)->hash =
        record_sign_hash(kind, span_make(p->block, p->header_len));
}

void author_sign_into(struct core *c, struct pending *p, enum kind kind, const void *body, pending_step then)
{
    pool_give(&c->pool, p->block);
    p->block = NULL;
    bool built = statement_build(c, p, kind, body, 0);
    ASSERT(built);
    ask_crypto(c, p, CRYPTO_SIGN, then)->hash = record_sign_hash(kind, span_make(p->block, p->header_len));
}

/* --- Commands ---------------------------------------------------------------------------------------------------------------------- */

/* What is wished for, in the form of a run that is not planned yet: its slot, or 0 for any, and of its inputs the datasets. */
static void command_run(struct core *c, uint64_t token, const struct command *command)
{
    const struct body_RUN wish = {.compose = command->compose,
                                  .slot = command->slot,
                                  .engine = SPAN_LITERAL(""),
                                  .parameters = command->parameters,
                                  .inputs = command->datasets};
    struct buffer body = scratch_buffer(c, CAP_BODY_BYTES);
    body_encode(&body, KIND_RUN, &wish);
    scratch_trim(c, &body, body.len);
    author_record(c, KIND_RUN, buffer_span(&body), command->expires_ms, token);
}

/* A record made elsewhere with this node's key or another member's: it goes the way of any record from a peer. */
static void command_record(struct core *c, uint64_t token, const struct command *command)
{
    struct record r;
    if (record_unpack(&r, command->body) != OK) {
        reply(c, token, verdict_refuse(REFUSAL_MALFORMED, NULL), NULL);
        return;
    }
    struct message_RECORD m = {r.header_bytes, r.signature, r.body};
    struct node_id nobody = {{0}};
    ingest_record(c, nobody, &m);
    reply(c, token, VERDICT_OK, r.id.bytes);
}

void author_command(struct core *c, uint64_t token, const struct command *command)
{
    bool chained = kind_known(command->kind) && kind_class(command->kind) == CLASS_CHAINED;
    switch (command->type) {
    case COMMAND_AUTHOR:
        if (!chained || command->kind == KIND_RUN || command->kind == KIND_RECEIPT)
            reply(c, token, verdict_refuse(REFUSAL_MALFORMED, NULL), NULL);
        else if (!registry_may_write(c->registry, c->options.self))
            reply(c, token, verdict_refuse(REFUSAL_NOT_MEMBER, c->options.self.bytes), NULL);
        else
            author_record(c, command->kind, command->body, command->expires_ms, token);
        break;
    case COMMAND_RUN: command_run(c, token, command); break;
    case COMMAND_KEYGEN:
        if (c->silence != SILENCE_NONE)
            reply(c, token, verdict_refuse(REFUSAL_SILENT, c->options.self.bytes), NULL);
        else
            keygen_start(c, token);
        break;
    case COMMAND_JOIN: join_command(c, token, command->body); break;
    case COMMAND_RECORD: command_record(c, token, command); break;
    }
}
