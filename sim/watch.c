/* What must hold (DESIGN §13), watched where it could be seen to break. */
#include "sim/simulation_state.h"

#include "proto/base/panic.h"
#include "proto/chain.h"
#include "proto/promise.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMED(n) (int)(n)->player->party->name.len, (const char *)(n)->player->party->name.data

void watch_violation(struct simulation *s, const char *property, const char *format, ...)
{
    char what[VIOLATION_MAX - 64];
    va_list arguments;
    if (s->violation[0] != 0) return; /* the first is what led to the others */
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    (void)snprintf(s->violation, sizeof s->violation, "%s: %s", property, what);
}

/* --- no-fork, and nothing leaves before it is durable ----------------------------------------------------------------------- */

static void own_grow(struct station *n, uint64_t count)
{
    if (count <= n->own_count) return;
    const uint64_t grown = 2 * count;
    n->own = realloc(n->own, grown * sizeof *n->own);
    ASSERT(n->own != NULL);
    memset(n->own + n->own_count, 0, (grown - n->own_count) * sizeof *n->own);
    n->own_count = grown;
}

/* One seq, one header, for ever: over restarts, too. */
static void watch_own_record(struct station *n, const struct record *r)
{
    struct simulation *s = n->simulation;
    if (!disk_has_record(n->disk, r))
        watch_violation(s, "no-fork", "%.*s shows record %llu, which is not on its disk", NAMED(n),
                        (unsigned long long)r->header.seq);
    own_grow(n, r->header.seq + 1);
    struct record_id *shown = &n->own[r->header.seq];
    if (!ID_IS_ZERO(*shown) && !ID_EQUAL(*shown, r->id))
        watch_violation(s, "no-fork", "%.*s shows two records with seq %llu", NAMED(n),
                        (unsigned long long)r->header.seq);
    *shown = r->id;
}

static void watch_vote(struct station *n, uint32_t to, const struct body_VOTE *vote)
{
    struct simulation *s = n->simulation;
    const struct run_entry *run = registry_run(core_registry(n->core), vote->run);
    uint8_t key[PROMISE_KEY_BYTES];
    if (vote->refusal != REFUSAL_NONE || run == NULL) return;
    promise_key(key, PROMISE_VOTE, vote->run.bytes, vote->term);
    if (!disk_promised(n->disk, SPAN_OF(key), ID_SPAN(s->station[to].player->id)))
        watch_violation(s, "one-certificate", "%.*s votes in term %llu before that is on its disk", NAMED(n),
                        (unsigned long long)vote->term);
    promise_key(key, PROMISE_SLOT, run->body.compose.bytes, run->body.slot);
    if (!disk_promised(n->disk, SPAN_OF(key), ID_SPAN(vote->run)))
        watch_violation(s, "budget", "%.*s votes for slot %llu before that is on its disk", NAMED(n),
                        (unsigned long long)run->body.slot);
}

void watch_message(struct station *n, uint32_t to, struct span message)
{
    static union message_body m;
    static union body body;
    enum message code;
    struct record r;
    if (message_decode(&code, &m, message) != OK) {
        watch_violation(n->simulation, "live", "%.*s sends what does not decode", NAMED(n));
        return;
    }
    if (code == MESSAGE_EQUIVOCATION_CODE) /* nobody here signs two records in one place */
        watch_violation(n->simulation, "no-fork", "%.*s has proof of an equivocation", NAMED(n));
    if (code != MESSAGE_RECORD_CODE) return;
    if (record_open(&r, m.RECORD.header, &m.RECORD.signature, m.RECORD.body) != OK) return;
    if (!ID_EQUAL(r.header.author, n->player->id)) return;
    if (r.header.seq > 0) watch_own_record(n, &r);
    if (r.header.kind == KIND_VOTE && body_decode(&body, KIND_VOTE, r.body) == OK)
        watch_vote(n, to, &body.VOTE);
}

/* --- one-output, one-certificate ---------------------------------------------------------------------------------------------- */

static struct run_watch *find_run(struct simulation *s, struct run_id run)
{
    for (uint32_t i = 0; i < s->run_count; i++)
        if (ID_EQUAL(s->run[i].run, run)) return &s->run[i];
    return NULL;
}

/* Whatever left enclaves of one run has one commitment. */
void watch_result(struct station *n, struct run_id run, struct span receipt)
{
    static union body b;
    struct core_receipt core;
    struct simulation *s = n->simulation;
    struct run_watch *w = find_run(s, run);
    if (w == NULL || body_decode(&b, KIND_RECEIPT, receipt) != OK ||
        core_receipt_decode(&core, b.RECEIPT.core) != OK)
        return;
    if (w->committed && !ID_EQUAL(w->commitment, core.commitment))
        watch_violation(s, "one-output", "a second output of one run leaves an enclave of %.*s", NAMED(n));
    w->committed = true;
    w->commitment = core.commitment;
}

void watch_leases(struct simulation *s, struct run_id run)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < s->guest_count; i++)
        if (s->guest[i].guest != NULL && ID_EQUAL(s->guest[i].run, run))
            held += guest_leased(s->guest[i].guest, s->now_ns);
    if (held > 1) watch_violation(s, "one-certificate", "%u enclaves of one run hold leases at once", held);
}

/* --- Runs, at who asked for them ------------------------------------------------------------------------------------------------ */

/* A view that says failed after silence is none that lasts: a receipt may still come. */
static bool is_final(const struct run_view *v)
{
    const bool computed = v->state == RUN_FAILED && v->verdict.refusal == REFUSAL_COMPUTATION;
    return v->state == RUN_SETTLED || v->state == RUN_REFUSED || v->state == RUN_REVOKED ||
           v->state == RUN_EXPIRED || computed;
}

/* Nobody here revokes, contests a slot or lets a run expire: every run settles. */
void watch_runs(struct station *n)
{
    struct simulation *s = n->simulation;
    struct run_view view;
    for (uint32_t i = 0; i < s->run_count; i++) {
        struct run_watch *w = &s->run[i];
        if (w->ended || !core_run(n->core, w->run, &view)) continue;
        w->ended = is_final(&view);
        if (!w->ended) continue;
        s->counts.runs_ended += view.state != RUN_SETTLED;
        s->counts.runs_settled += view.state == RUN_SETTLED;
        if (view.state == RUN_SETTLED)
            w->settled_ms = s->now_ns / 1000000;
        else
            watch_violation(s, "live", "run %u ended as %s, for %s", i + 1, run_state_name(view.state),
                            refusal_name(view.verdict.refusal));
    }
}

/* --- converge ---------------------------------------------------------------------------------------------------------------------- */

static bool same_chains(struct station *a, struct station *b, const struct cast *cast)
{
    for (uint32_t i = 0; i < cast->count; i++) {
        const struct author *x = chain_author(core_chain(a->core), cast->player[i].id);
        const struct author *y = chain_author(core_chain(b->core), cast->player[i].id);
        const uint64_t applied_x = x != NULL ? x->applied : 0, applied_y = y != NULL ? y->applied : 0;
        if (applied_x != applied_y || (applied_x > 0 && !ID_EQUAL(x->head, y->head))) return false;
    }
    return true;
}

bool watch_converged(struct simulation *s)
{
    struct station *first = NULL;
    for (uint32_t i = 0; i < s->count; i++) {
        struct station *n = &s->station[i];
        if (n->core == NULL || n->cut != 0) continue;
        if (first == NULL) first = n;
        if (!same_chains(first, n, s->cast)) return false;
    }
    return true;
}
