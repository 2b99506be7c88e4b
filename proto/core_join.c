/* The own request to be admitted: repeated until it is, over restarts too, since who asked was told so. What the stewards' and
 * makers' inboxes forget in a restart comes back with the next repetition.
 * A local value. Key "join"; value: the statement's body. */
#include "proto/core_state.h"

static const uint8_t key_bytes[4] = {'j', 'o', 'i', 'n'};

/* Of this node, by this node? */
static bool reads(struct core *c, struct span bytes)
{
    union body *body = arena_take(&c->room->scratch, 1, sizeof *body);
    ASSERT(body != NULL);
    return bytes.len <= CAP_BODY_BYTES && body_decode(body, KIND_JOIN, bytes) == OK &&
           ID_EQUAL(body->JOIN.node, c->options.self);
}

static void take_over(struct core *c, struct span bytes)
{
    struct buffer b = BUFFER_OF(c->join_bytes);
    buffer_put(&b, bytes);
    ASSERT(buffer_done(&b) == OK); /* what reads is no longer */
    c->join_body = buffer_span(&b);
    c->join_next_ns = c->now.ns;
}

static void on_stored(struct core *c, struct pending *p, const struct event *event)
{
    if (event->err == OK) take_over(c, span_make(p->block, p->len));
    reply(c, p->reply, event->err == OK ? VERDICT_OK : verdict_refuse(REFUSAL_FULL, NULL), NULL);
    pending_end(c, p);
}

void join_command(struct core *c, uint64_t token, struct span bytes)
{
    struct pending *p = NULL;
    enum refusal why = REFUSAL_NONE;
    if (c->silence != SILENCE_NONE)
        why = REFUSAL_SILENT;
    else if (!reads(c, bytes))
        why = REFUSAL_MALFORMED;
    else if (core_member(c, c->options.self, 0))
        why = REFUSAL_EXISTS;
    else if ((p = pending_new(c, on_stored)) == NULL || !pending_keep(c, p, bytes))
        why = REFUSAL_FULL;
    if (why != REFUSAL_NONE) {
        reply(c, token,
              verdict_refuse(why,
                             why != REFUSAL_MALFORMED && why != REFUSAL_FULL ? c->options.self.bytes : NULL),
              NULL);
        if (p != NULL) pending_end(c, p);
        return;
    }
    p->reply = token;
    struct keep item = {KEEP_LOCAL, SPAN_OF(key_bytes), scratch_copy(c, bytes)};
    ask_store(c, p, on_stored, &item, 1);
}

void join_restore(struct core *c, struct span key, struct span value)
{
    ASSERT(!c->ready);
    if (!span_equal(key, SPAN_OF(key_bytes))) return; /* somebody else's local value */
    if (reads(c, value))
        take_over(c, value);
    else
        notice(c, "the stored request to be admitted is damaged: ask again", SPAN_NONE, NULL);
}

/* Admitted in the place of another key: it says so itself, once all that counts of that key is held. */
static void claim(struct core *c)
{
    const struct record *due = registry_claim_due(c->registry, c->options.self);
    struct body_MEMBER body;
    if (due == NULL || c->silence != SILENCE_NONE) return;
    enum err err = body_decode(&body, KIND_MEMBER, due->body);
    ASSERT(err == OK); /* it was decided */
    bool held = chain_reached(&c->chain, body.replaces, body.last_seq);
    if (held && !author_in_making(c, KIND_MEMBER, due->body)) author_record(c, KIND_MEMBER, due->body, 0, 0);
}

void join_tick(struct core *c)
{
    struct node_id everyone = {{0}};
    claim(c);
    if (c->join_body.len == 0 || c->now.ns < c->join_next_ns) return;
    if (core_member(c, c->options.self, 0)) {
        c->join_body = SPAN_NONE;
        struct effect *e = emit(c, EFFECT_STORE);
        e->keep[0] = (struct keep){KEEP_LOCAL, SPAN_OF(key_bytes), SPAN_NONE};
        e->keep_count = 1;
        return;
    }
    union body *body = arena_take(&c->room->scratch, 1, sizeof *body);
    ASSERT(body != NULL);
    enum err err = body_decode(body, KIND_JOIN, c->join_body);
    ASSERT(err == OK);
    author_statement(c, everyone, KIND_JOIN, &body->JOIN, NULL, NULL);
    c->join_next_ns = c->now.ns + (int64_t)RESEND_MS * 1000000;
}

bool core_asks_to_join(const struct core *c)
{
    return c->join_body.len > 0;
}
