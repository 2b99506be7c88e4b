/* The lease: q custodians' word that none of them votes for a later term of this run before it has ended (DESIGN §9 "Lease").
 * The releases are the first; from then on a third of a lease later the next is asked for. An answer counts from the moment
 * its round was begun, so the custodians hold still for longer than the enclave works. Nothing is unlocked without a lease,
 * and when one ends before the next is there, everything is wiped: another enclave may be at work. */
#include "proto/enclave_state.h"

#include <string.h>

enum {
    ROUND_SHIFT = 8, /* of a work's index: below it the custodian, above it the round or the refusal */
    ROUND_MASK = 0xffff,
    REPEATS_A_LEASE = 6,
};

static int64_t lease_ns(const struct enclave *e)
{
    return (int64_t)e->keys.charter->lease_ms * 1000000;
}

static uint32_t count(uint32_t mask)
{
    return (uint32_t)__builtin_popcount(mask);
}

/* --- Asking ---------------------------------------------------------------------------------------------------------- */

static void send(struct enclave *e, uint32_t i)
{
    const struct lease *l = &e->lease;
    struct buffer b = enclave_buffer(e, sizeof l->box[i] + 2);
    buffer_put_u8(&b, FRAME_ASK);
    buffer_put_u8(&b, (uint8_t)i);
    buffer_put(&b, span_make(l->box[i], l->box_len[i]));
    enclave_emit(e, ENCLAVE_FRAME)->bytes = buffer_span(&b);
}

static void on_sealed(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    struct lease *l = &e->lease;
    uint32_t i = work->index & ((1 << ROUND_SHIFT) - 1);
    bool now = work->index >> ROUND_SHIFT == (l->round & ROUND_MASK) && enclave_works(e);
    if (!now || event->err != OK || event->bytes.len > sizeof l->box[i])
        return; /* the next round tries again */
    memcpy(l->box[i], event->bytes.data, event->bytes.len);
    l->box_len[i] = event->bytes.len;
    send(e, i);
}

static void on_signed(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    struct lease *l = &e->lease;
    struct signature signature;
    struct record record;
    (void)work;
    if (!enclave_works(e) || event->err != OK || event->bytes.len != sizeof signature.bytes) return;
    memcpy(signature.bytes, event->bytes.data, sizeof signature.bytes);
    enum err err = record_open(&record, span_make(l->statement, l->header_len), &signature,
                               span_make(l->statement + l->header_len, l->statement_len - l->header_len));
    ASSERT(err == OK); /* it was built here */
    struct buffer packed = enclave_buffer(e, LEASE_BOX_BYTES);
    record_pack(&packed, &record);
    ASSERT(!packed.overflow);
    for (uint32_t i = 0; i < e->custodian_count; i++) {
        struct hash32 context = relay_context(e->run, e->term, i, 0);
        uint32_t index = i | (uint32_t)(l->round & ROUND_MASK) << ROUND_SHIFT;
        struct enclave_effect *effect = enclave_ask_always(e, ENCLAVE_SEAL, on_sealed, index);
        effect->kem = e->party[i].kem;
        effect->bytes = buffer_span(&packed);
        effect->context = enclave_copy(e, ID_SPAN(context));
    }
}

static void begin_round(struct enclave *e)
{
    struct lease *l = &e->lease;
    struct body_LEASE_ASK body = {e->run, e->term, ++l->round, e->kem};
    struct header h = {.kind = KIND_LEASE_ASK,
                       .consortium = e->consortium,
                       .author = e->signing,
                       .time_ms = e->wall_ms,
                       .residency = SPAN_LITERAL("")};
    struct buffer b = BUFFER_OF(l->statement);
    enum err err = record_build(&b, &l->header_len, &h, &body);
    ASSERT(err == OK); /* it is small */
    l->statement_len = b.len;
    l->asked_ns = e->now.ns;
    l->repeat_ns = e->now.ns + lease_ns(e) / REPEATS_A_LEASE;
    l->open = true;
    l->answered = 0;
    memset(l->box_len, 0, sizeof l->box_len);
    enclave_ask_always(e, ENCLAVE_SIGN, on_signed, 0)->hash =
        record_sign_hash(KIND_LEASE_ASK, span_make(l->statement, l->header_len));
}

/* --- Holding --------------------------------------------------------------------------------------------------------- */

/* Until `asked_ns` and a lease later nobody else is certified. */
static void hold(struct enclave *e, int64_t asked_ns)
{
    struct lease *l = &e->lease;
    l->open = false;
    l->until_ns = asked_ns + lease_ns(e);
    if (e->now.ns < l->until_ns && e->phase == PHASE_UNLOCKING && !l->held) {
        l->held = true;
        enclave_unlock(e);
    }
}

void enclave_lease_begin(struct enclave *e)
{
    e->lease.asked_ns = e->ask_since_ns;
    hold(e, e->ask_since_ns);
}

bool enclave_leased(const struct enclave *e, struct instant now)
{
    return e->lease.held && enclave_works(e) && now.ns < e->lease.until_ns;
}

bool enclave_lease_lost(const struct enclave *e)
{
    return e->lease.held && enclave_works(e) && e->now.ns >= e->lease.until_ns;
}

/* A round that has its answers is followed by the next a third of a lease after it began, one that has not after two. */
static int64_t next_round_ns(const struct enclave *e)
{
    return e->lease.asked_ns + lease_ns(e) / 3 * (e->lease.open ? 2 : 1);
}

int64_t enclave_lease_deadline(const struct enclave *e)
{
    const struct lease *l = &e->lease;
    if (!enclave_works(e)) return INSTANT_NEVER.ns;
    int64_t next = next_round_ns(e);
    if (l->held && l->until_ns < next) next = l->until_ns;
    return l->open && l->repeat_ns < next ? l->repeat_ns : next;
}

void enclave_lease_tick(struct enclave *e)
{
    struct lease *l = &e->lease;
    if (!enclave_works(e)) return;
    if (!l->held && (e->now.ns - e->ask_since_ns) / 1000000 >= ASK_TIMEOUT_MS) {
        enclave_fail(e, REFUSAL_TIMEOUT);
        return;
    }
    if (e->now.ns >= next_round_ns(e)) {
        begin_round(e);
        return;
    }
    if (!l->open || e->now.ns < l->repeat_ns) return;
    l->repeat_ns = e->now.ns + lease_ns(e) / REPEATS_A_LEASE;
    for (uint32_t i = 0; i < e->custodian_count; i++)
        if (((l->answered | l->refused) >> i & 1) == 0 && l->box_len[i] > 0) send(e, i);
}

/* --- Answers --------------------------------------------------------------------------------------------------------- */

bool enclave_lease_awaits(const struct enclave *e, uint32_t custodian)
{
    const struct lease *l = &e->lease;
    return enclave_works(e) && l->open && ((l->answered | l->refused) >> custodian & 1) == 0;
}

static enum err read_lease(const struct enclave *e, const struct party *c, struct record *r,
                           struct span packed)
{
    union body body;
    TRY(enclave_read_statement(e, c, r, &body, KIND_LEASE, packed));
    const struct body_LEASE *b = &body.LEASE;
    bool same = ID_EQUAL(b->run, e->run) && b->term == e->term && ID_EQUAL(b->enclave, e->signing) &&
                b->round == e->lease.round && b->lease_ms == e->keys.charter->lease_ms;
    return same ? OK : ERR_CONFLICT;
}

static void on_lease_verified(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    struct lease *l = &e->lease;
    uint32_t i = work->index & ((1 << ROUND_SHIFT) - 1);
    bool now = work->index >> ROUND_SHIFT == (l->round & ROUND_MASK) && l->open && enclave_works(e);
    if (event->err != OK || !now) return;
    l->answered |= UINT32_C(1) << i;
    if (count(l->answered) >= e->keys.charter->q) hold(e, l->asked_ns);
}

void enclave_lease_answer(struct enclave *e, uint32_t custodian, struct span packed)
{
    struct record r;
    bool good = enclave_lease_awaits(e, custodian) && read_lease(e, &e->party[custodian], &r, packed) == OK;
    uint32_t index = custodian | (uint32_t)(e->lease.round & ROUND_MASK) << ROUND_SHIFT;
    if (good) enclave_verify_always(e, &r, index, on_lease_verified);
}

static void on_refusal_verified(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    uint32_t i = work->index & ((1 << ROUND_SHIFT) - 1);
    enum refusal why = (enum refusal)(work->index >> ROUND_SHIFT);
    if (event->err != OK || !enclave_works(e) || enclave_refusal_passes(why)) return;
    e->lease.refused |= UINT32_C(1) << i;
    e->lease.why[i] = why;
    if (e->custodian_count - count(e->lease.refused) >= e->keys.charter->q) return;
    uint32_t same = 0;
    for (uint32_t j = 0; j < e->custodian_count; j++) same += e->lease.why[j] == why;
    enclave_fail_told(e, why, same);
}

void enclave_lease_refused(struct enclave *e, uint32_t custodian, const struct record *r, enum refusal why)
{
    enclave_verify_always(e, r, custodian | (uint32_t)why << ROUND_SHIFT, on_refusal_verified);
}
