/* A member that breaks what spreading and comparing rest on (PROTOCOL.md "Spreading", "Catch-up"), in well-formed messages. */
#include "crypto/identity.h"
#include "crypto/secret.h"
#include "proto/registry.h"
#include "tests/integration/attack.h"

#include <string.h>

enum { TRIES = 100, ANSWER_MS = 50, DEEP = 6, HEADS_BYTES = 72 };

static bool say(struct wire *w, enum message code, const void *message)
{
    static uint8_t room[1 << 14];
    struct buffer b = BUFFER_OF(room);
    message_encode(&b, code, message);
    return wire_send(w, buffer_span(&b), true);
}

/* Hands what has come to `answer`, which says whether the link is still there. */
static bool answer_all(struct attack *a, struct wire *w,
                       bool (*answer)(struct attack *a, struct wire *w, enum message code,
                                      const union message_body *body))
{
    union message_body body;
    enum message code;
    while (!stopped && wire_waits(w, 0)) {
        const struct span message = wire_receive(w);
        if (message.data == NULL) return false;
        if (message_decode(&code, &body, message) == OK && !answer(a, w, code, &body)) return false;
    }
    return !stopped;
}

/* --- Announced, and not there ------------------------------------------------------------------------------------------------ */

/* Nothing, that it is not there, another record. */
static bool break_promise(struct attack *a, struct wire *w, enum message code, const union message_body *body)
{
    if (code != MESSAGE_WANT_CODE) return true;
    if (a->sent % 3 == 0) return true;
    return a->sent % 3 == 1 ? say(w, MESSAGE_ABSENT_CODE, &body->WANT) : send_join(a, w, false, true);
}

static bool next_promise(struct attack *a, struct wire *w, bool deaf)
{
    static uint8_t ids[32 * 200];
    const struct message_ANNOUNCE m = {SPAN_OF(ids)};
    (void)deaf;
    random_fill(ids, sizeof ids);
    return say(w, MESSAGE_ANNOUNCE_CODE, &m) && answer_all(a, w, break_promise);
}

void attack_promises(struct attack *a)
{
    flood(a, true, next_promise);
}

/* --- Wanted again and again --------------------------------------------------------------------------------------------------- */

static bool note_held(struct attack *a, struct wire *w, enum message code, const union message_body *body)
{
    (void)w;
    if (code != MESSAGE_RECORD_CODE || a->held_len == sizeof a->held) return true;
    const struct record_id id = record_id_of(body->RECORD.header);
    memcpy(a->held + a->held_len, id.bytes, sizeof id.bytes);
    a->held_len += sizeof id.bytes;
    return true;
}

static bool learn(struct attack *a, struct wire *w)
{
    const struct message_GET get = {a->victim, 1, HELD_MAX};
    if (!say(w, MESSAGE_GET_CODE, &get)) return false;
    for (int n = 0; n < TRIES && (wire_waits(w, ANSWER_MS) || a->held_len == 0); n++)
        if (!answer_all(a, w, note_held)) return false;
    return a->held_len > 0;
}

/* On links that come and go, since a link is sent nothing twice. */
void attack_wants(struct attack *a)
{
    static struct wire w;
    while (!stopped) {
        if (!wire_open(&w, a, a->home.consortium, NULL)) {
            a->refused++;
            pause_ms(20);
            continue;
        }
        a->links++;
        bool up = a->held_len > 0 || learn(a, &w);
        const struct message_WANT m = {span_make(a->held, a->held_len)};
        for (int n = 0; n < 1000 && up && !stopped; n++, a->sent++)
            up = say(&w, MESSAGE_WANT_CODE, &m) && answer_all(a, &w, note_held);
        a->dropped += !up && !stopped;
        wire_close(&w);
    }
}

/* --- Holdings that are none --------------------------------------------------------------------------------------------------- */

/* However deep it is asked, all is otherwise; at the bottom is more of the victim's own chain than there is. */
static bool lead_on(struct attack *a, struct wire *w, enum message code, const union message_body *body)
{
    uint8_t hashes[16 * 32], heads[HEADS_BYTES * 8];
    if (code != MESSAGE_BRANCH_GET_CODE) return true;
    const struct message_BRANCH_GET *m = &body->BRANCH_GET;
    a->sent++;
    if (m->depth < DEEP) {
        const struct message_BRANCH branch = {m->turn, m->depth, m->prefix, SPAN_OF(hashes)};
        random_fill(hashes, sizeof hashes);
        return say(w, MESSAGE_BRANCH_CODE, &branch);
    }
    random_fill(heads, sizeof heads);
    memcpy(heads, a->victim.bytes, 32);
    for (size_t at = 0; at < sizeof heads; at += HEADS_BYTES) store_u64(heads + at + 32, 1000 + at);
    const struct message_HEADS m_heads = {0, m->turn, m->depth, m->prefix, SPAN_OF(heads)};
    return say(w, MESSAGE_HEADS_CODE, &m_heads);
}

static bool next_root(struct attack *a, struct wire *w, bool deaf)
{
    struct message_ROOT m = {.time = a->sent % 2 == 0 ? 0 : UINT_TIME};
    (void)deaf;
    random_fill(m.root.bytes, sizeof m.root.bytes);
    return say(w, MESSAGE_ROOT_CODE, &m) && answer_all(a, w, lead_on);
}

void attack_roots(struct attack *a)
{
    flood(a, true, next_root);
}

static bool next_branch_get(struct attack *a, struct wire *w, bool deaf)
{
    struct message_BRANCH_GET m = {.turn = (uint32_t)a->sent, .depth = a->sent % 3};
    if (m.depth > 0) random_fill(m.prefix.bytes, 1);
    if (m.depth == 1) m.prefix.bytes[0] &= 0xf0;
    (void)deaf;
    return say(w, MESSAGE_BRANCH_GET_CODE, &m) && answer_all(a, w, note_held);
}

void attack_branches(struct attack *a)
{
    flood(a, true, next_branch_get);
}

/* Answers to nothing. */
static bool next_unasked(struct attack *a, struct wire *w, bool deaf)
{
    static uint8_t ids[32 * 64], hashes[16 * 32], heads[HEADS_BYTES * 200];
    const uint32_t turn = (uint32_t)a->sent % 7;
    const struct message_ABSENT absent = {SPAN_OF(ids)};
    const struct message_BRANCH branch = {.turn = turn, .hashes = SPAN_OF(hashes)};
    const struct message_HEADS m = {.turn = 1 + turn, .heads = SPAN_OF(heads)};
    (void)deaf;
    random_fill(ids, sizeof ids);
    random_fill(hashes, sizeof hashes);
    random_fill(heads, sizeof heads);
    for (size_t at = 0; at < sizeof heads; at += HEADS_BYTES) {
        if (at % (2 * HEADS_BYTES) == 0) memcpy(heads + at, a->home.node.bytes, 32);
        store_u64(heads + at + 32, 1 + at);
    }
    return say(w, MESSAGE_ABSENT_CODE, &absent) && say(w, MESSAGE_BRANCH_CODE, &branch) &&
           say(w, MESSAGE_HEADS_CODE, &m) && answer_all(a, w, note_held);
}

void attack_unasked(struct attack *a)
{
    flood(a, true, next_unasked);
}

/* --- Two records in one place, each time a place lower --------------------------------------------------------------------- */

/* One of two that differ in their subject. */
static void sign_half(struct attack *a, uint8_t subject, uint64_t seq, struct record *half)
{
    static uint8_t room[2][CAP_HEADER_BYTES + 256];
    const struct body_REVOCATION body = {
        .target = REVOKE_DATASET, .subject = {{subject}}, .approval_signature = SPAN_NONE};
    struct header h = {.kind = KIND_REVOCATION,
                       .consortium = a->home.consortium,
                       .author = a->home.node,
                       .seq = seq,
                       .prev = {{1}},
                       .time_ms = wall_ms(),
                       .residency = SPAN_LITERAL("")};
    struct buffer b = BUFFER_OF(room[subject % 2]);
    struct signature signature;
    size_t header_len;
    if (record_build(&b, &header_len, &h, &body) != OK) die("no record");
    const struct span header = span_make(room[subject % 2], header_len);
    if (identity_sign(&signature, a->home.identity, record_sign_hash(h.kind, header)) != OK)
        die("no signature");
    if (record_open(half, header, &signature, SPAN_NONE) != OK) die("no header");
}

static bool next_pair(struct attack *a, struct wire *w, bool deaf)
{
    struct record half[2];
    (void)deaf;
    if (a->seq + 1 == CAP_AUTHOR_RECORDS) return pause_ms(20), true; /* all said */
    for (uint8_t i = 0; i < 2; i++) sign_half(a, i, CAP_AUTHOR_RECORDS - a->seq, &half[i]);
    const struct message_EQUIVOCATION m = {half[0].header_bytes, half[0].signature, half[1].header_bytes,
                                           half[1].signature};
    a->seq++;
    return say(w, MESSAGE_EQUIVOCATION_CODE, &m) && answer_all(a, w, note_held);
}

void attack_pairs(struct attack *a)
{
    flood(a, true, next_pair);
}
