/* What must hold (DESIGN §13), watched where it could be seen to break. */
#include "sim/simulation_state.h"

#include "proto/base/panic.h"
#include "proto/heads.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMED(n) (int)(n)->player->party->name.len, (const char *)(n)->player->party->name.data

void watch_violation(struct consortium *s, const char *property, const char *format, ...)
{
    char what[VIOLATION_MAX - 64];
    va_list arguments;
    struct simulation *w = s->simulation;
    if (w->violation[0] != 0) return; /* the first is what led to the others */
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    if (w->count == 1)
        (void)snprintf(w->violation, sizeof w->violation, "%s: %s", property, what);
    else
        (void)snprintf(w->violation, sizeof w->violation, "%s: in consortium %u %s", property, s->number + 1,
                       what);
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
    struct consortium *s = n->consortium;
    const bool elsewhere = bypass_made(n, r->id); /* what was made there it passes on at once */
    if (!elsewhere && !disk_has_record(n->disk, r))
        watch_violation(s, "no-fork", "%.*s shows record %llu, which is not on its disk", NAMED(n),
                        (unsigned long long)r->header.seq);
    own_grow(n, r->header.seq + 1);
    struct record_id *shown = &n->own[r->header.seq];
    if (!ID_IS_ZERO(*shown) && !ID_EQUAL(*shown, r->id))
        watch_violation(s, "no-fork", "%.*s shows two records with seq %llu", NAMED(n),
                        (unsigned long long)r->header.seq);
    *shown = r->id;
}

/* An owner's node signs only what stays within the dataset's budget. */
static void watch_allotment(struct station *n, const struct record *r)
{
    const struct papers *p = n->consortium->papers;
    for (uint32_t i = 0; i < p->dataset_count; i++) {
        const struct dataset *d = &p->dataset[i];
        if (d->owner == n->player && ledger_allotted(&n->consortium->ledger, d->dt) > d->budget)
            watch_violation(n->consortium, "budget", "%.*s allots more than its dataset has, by record %llu",
                            NAMED(n), (unsigned long long)r->header.seq);
    }
}

void watch_asked(struct station *n, struct run_id run)
{
    struct consortium *s = n->consortium;
    if (s->run_count == s->run_cap) {
        s->run_cap = s->run_cap == 0 ? 16 : 2 * s->run_cap;
        s->run = realloc(s->run, s->run_cap * sizeof *s->run);
        ASSERT(s->run != NULL);
    }
    struct run_watch *w = &s->run[s->run_count++];
    *w = (struct run_watch){.run = run, .asker = n->number, .asked_ms = now_of(s) / 1000000};
    if (s->counts.runs_requested++ == 0) s->counts.formed_ms = w->asked_ms;
    ledger_bar(&s->ledger, now_of(s));
}

void watch_record(struct station *n, const struct record *r)
{
    struct run_id run;
    if (!ledger_take(&n->consortium->ledger, r)) return;
    if (r->header.kind == KIND_APPROVAL) watch_allotment(n, r);
    if (r->header.kind != KIND_RUN) return;
    memcpy(run.bytes, r->id.bytes, sizeof run.bytes);
    watch_asked(n, run);
}

/* However many a maker has signed for, a node takes no more of them for members than the charter lets it have. */
void watch_devices(struct station *n)
{
    const struct consortium *s = n->consortium;
    const uint32_t most = s->cast->founding->maker_devices;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct station *maker = &s->station[i];
        const uint32_t count =
            maker->sybilled ? registry_device_count(core_registry(n->core), maker->player->id) : 0;
        if (count > most)
            watch_violation(n->consortium, "device-cap",
                            "%.*s takes %u devices of %.*s for members, of %u at most", NAMED(n), count,
                            NAMED(maker), most);
    }
}

/* A custodian knows for good what is on its disk. */
void watch_kept(struct station *n)
{
    struct ledger *l = &n->consortium->ledger;
    const int custodian = charter_custodian(l->charter, n->player->id);
    bool learnt = false;
    for (uint32_t i = 0; custodian >= 0 && i < l->revocations; i++) {
        struct ledger_revocation *v = &l->revocation[i];
        if ((v->known >> custodian & 1) != 0) continue;
        if (!disk_has_place(n->disk, v->at.author, v->at.seq, v->at.id)) continue;
        v->known |= UINT32_C(1) << custodian;
        learnt = true;
    }
    if (learnt) ledger_bar(l, now_of(n->consortium));
}

/* --- Messages ------------------------------------------------------------------------------------------------------------------ */

static void watch_statement(struct station *n, uint32_t to, const struct record *r)
{
    static union body body;
    const enum kind kind = r->header.kind;
    if ((kind != KIND_VOTE && kind != KIND_PROGRESS) || body_decode(&body, kind, r->body) != OK) return;
    if (kind == KIND_VOTE) watch_vote(n, to, &body.VOTE);
    if (kind == KIND_PROGRESS && body.PROGRESS.certificate.len > 0)
        watch_certificate(n, body.PROGRESS.certificate);
}

/* Others' records are theirs to show; a chained one is the same to everybody. */
static void watch_shown(struct station *n, uint32_t to, const struct message_RECORD *m, bool again)
{
    struct record r;
    struct header h;
    if (header_decode(&h, m->header) != OK || !ID_EQUAL(h.author, n->player->id)) return;
    if ((again && h.seq > 0) || record_open(&r, m->header, &m->signature, m->body) != OK) return;
    if (r.header.seq == 0) {
        watch_statement(n, to, &r);
        return;
    }
    watch_own_record(n, &r);
    watch_record(n, &r);
}

/* What it says that it holds others rely on: that a revocation has come to enough custodians, above all. */
static void watch_heads(struct station *n, struct span heads)
{
    for (size_t at = 0; at + HEADS_ITEM_BYTES <= heads.len; at += HEADS_ITEM_BYTES) {
        struct node_id author;
        struct record_id id;
        const uint64_t seq = load_u64(heads.data + at + 32);
        memcpy(author.bytes, heads.data + at, sizeof author.bytes);
        memcpy(id.bytes, heads.data + at + 40, sizeof id.bytes);
        if (seq > 0 && !disk_has_place(n->disk, author, seq, id))
            watch_violation(n->consortium, "revoke-final",
                            "%.*s says that it holds record %llu of another, which is not on its disk",
                            NAMED(n), (unsigned long long)seq);
    }
}

/* Nobody signs two records in one place but who is to; from the first proof on nothing is expected of it. */
static void watch_proof(struct station *n, const struct message_EQUIVOCATION *m)
{
    struct header h;
    const struct player *author =
        header_decode(&h, m->header_a) == OK ? cast_find(n->consortium->cast, h.author) : NULL;
    struct station *liar = author != NULL ? &n->consortium->station[author->number] : NULL;
    if (liar == NULL || !liar->equivocates) {
        watch_violation(n->consortium, "no-fork", "%.*s has proof of an equivocation", NAMED(n));
        return;
    }
    liar->forked_seq = h.seq;
    n->consortium->revoked |=
        papers_of(n->consortium->papers, liar->player) != NULL; /* its approvals are void */
}

/* What is looked at with an eye to whom it goes; the rest is the same for all. */
static bool is_for_one(struct span message)
{
    return message.len == 0 || message.data[0] == MESSAGE_RECORD_CODE || message.data[0] == MESSAGE_BLOB_CODE;
}

void watch_message(struct station *n, uint32_t to, struct span message, bool again)
{
    static union message_body m;
    enum message code;
    if (again && !is_for_one(message)) return;
    if (!again) watch_plaintext(n->consortium, message, "a message", n->number);
    if (message_decode(&code, &m, message) != OK) {
        watch_violation(n->consortium, "live", "%.*s sends what does not decode", NAMED(n));
        return;
    }
    if (code == MESSAGE_EQUIVOCATION_CODE) watch_proof(n, &m.EQUIVOCATION);
    if (code == MESSAGE_RECORD_CODE) watch_shown(n, to, &m.RECORD, again);
    if (code == MESSAGE_HEADS_CODE) watch_heads(n, m.HEADS.heads);
    if (code == MESSAGE_BLOB_GET_CODE) watch_certificate(n, m.BLOB_GET.certificate);
    if (code == MESSAGE_BLOB_CODE && m.BLOB.bytes.len > 0) watch_blob(n, to, &m.BLOB);
}

/* --- Runs, at who asked for them ------------------------------------------------------------------------------------------------ */

static bool was_voted_for(const struct ledger_run *run)
{
    bool voted = false;
    for (uint32_t i = 0; i < run->term_count; i++)
        for (uint32_t seat = 0; seat < CAP_CUSTODIANS; seat++) voted |= run->term[i].seat[seat].voted;
    return voted;
}

static bool contested(const struct ledger *l, const struct ledger_run *run)
{
    for (uint32_t i = 0; i < l->runs; i++) {
        const struct ledger_run *other = &l->run[i];
        const bool meets = !other->bypassed || was_voted_for(other);
        if (other != run && meets && ID_EQUAL(other->compose, run->compose) && other->slot == run->slot)
            return true;
    }
    return false;
}

/* Does this record still count, as far as its author has equivocated? */
static bool outlives_fork(const struct station *author, const struct ledger_place *at)
{
    return author->forked_seq == 0 || at->seq < author->forked_seq;
}

/* Was the recipe's job posted in a place that counts? */
static bool posted_before_fork(const struct consortium *s, const struct ledger_run *run)
{
    for (uint32_t i = 0; i < s->ledger.jobs; i++) {
        const struct ledger_job *job = &s->ledger.job[i];
        const struct player *author = cast_find(s->cast, job->at.author);
        if (ID_EQUAL(job->compose, run->compose) && author != NULL &&
            outlives_fork(&s->station[author->number], &job->at))
            return true;
    }
    return false;
}

bool watch_is_gone(const struct station *n)
{
    const bool silenced = n->bypassed_count > 0 && n->core != NULL && core_silence(n->core) != SILENCE_NONE;
    return n->gone || silenced;
}

/* Does it hang on somebody who has equivocated, or is gone? On who asked for it, or posted its job, in a place that counts no more, on whose data it
 * reads, or on who computes; or on half of a key from who signs nothing any more, since it has seen that its key is not its alone: it has
 * voted twice. */
static bool hangs_on_a_liar(const struct consortium *s, const struct run_watch *w,
                            const struct ledger_run *run)
{
    bool computes = false;
    if (watch_is_gone(&s->station[w->asker]) || !outlives_fork(&s->station[w->asker], &run->at) ||
        !posted_before_fork(s, run))
        return true;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct station *n = &s->station[i];
        const struct dataset *d = papers_of(s->papers, n->player);
        const bool forked = n->forked_seq != 0;
        const bool lied =
            forked || n->gone ||
            (n->player->party->veto && n->core != NULL && core_silence(n->core) != SILENCE_NONE);
        const bool signs = n->core == NULL || core_silence(n->core) == SILENCE_NONE;
        computes |= !forked && !n->forged && signs && player_is(n->player, ROLE_COMPUTE);
        for (uint32_t k = 0; lied && d != NULL && k < run->input_count; k++)
            if (ID_EQUAL(run->input[k], d->dt)) return true;
    }
    return !computes;
}

/* Whoever meets another in its slot may find it spent, or shared by half of the votes each; what was taken back may settle or
 * not; and a run may come to its end before anybody can compute it. */
bool watch_excused(struct consortium *s, const struct run_watch *w)
{
    const struct ledger_run *run = ledger_run_find(&s->ledger, w->run);
    const uint64_t true_ms = consortium_wall_ms(s), its_ms = station_wall_ms(&s->station[w->asker]);
    const uint64_t latest_ms = (true_ms > its_ms ? true_ms : its_ms) + s->scenario->skew_max_ms;
    const bool over = run != NULL && run->ends_ms <= latest_ms;
    return run != NULL && (over || contested(&s->ledger, run) || ledger_taken_back(&s->ledger, run) ||
                           hangs_on_a_liar(s, w, run));
}

static bool holds_receipt(const struct station *n, struct run_id id)
{
    const struct run_entry *run = registry_run(core_registry(n->core), id);
    return run != NULL && run->receipt != NULL;
}

static void note_end(struct station *n, struct run_watch *w, const struct run_view *view)
{
    struct consortium *s = n->consortium;
    w->ended = true;
    s->counts.runs_ended += view->state != RUN_SETTLED;
    s->counts.runs_settled += view->state == RUN_SETTLED;
    s->simulation->runs_over++;
    if (view->state != RUN_SETTLED) return;
    w->settled_ms = now_of(s) / 1000000;
    watch_receipt(n, w->run);
}

/* A view that says refused or failed says what a host said, or that nothing was heard: a receipt may still come. That a run was
 * revoked, when nobody took it back, or is over, when its time is not, is never so. */
static void watch_view(struct station *n, struct run_watch *w, const struct run_view *view)
{
    const bool excused = watch_excused(n->consortium, w);
    const bool over = view->state == RUN_REVOKED || view->state == RUN_EXPIRED;
    const bool given_up = view->state == RUN_REFUSED || view->state == RUN_FAILED;
    if (view->state == RUN_SETTLED && !holds_receipt(n, w->run))
        return; /* by its history; the receipt is examined anew */
    if (view->state == RUN_SETTLED || (excused && (over || given_up)))
        note_end(n, w, view);
    else if (over)
        watch_violation(n->consortium, "live", "a run ended as %s, for %s", run_state_name(view->state),
                        refusal_name(view->verdict.refusal));
}

void watch_runs(struct station *n)
{
    struct consortium *s = n->consortium;
    struct run_view view;
    for (uint32_t i = 0; i < s->run_count; i++) {
        struct run_watch *w = &s->run[i];
        if (!w->ended && w->asker == n->number && core_run(n->core, w->run, &view)) watch_view(n, w, &view);
    }
}

const char *watch_open_run(struct consortium *s, char *text, size_t cap)
{
    struct run_view view;
    for (uint32_t i = 0; i < s->run_count; i++) {
        const struct run_watch *w = &s->run[i];
        const struct station *n = &s->station[w->asker];
        if (w->ended || watch_excused(s, w) || n->core == NULL || !core_run(n->core, w->run, &view)) continue;
        (void)snprintf(text, cap, "; run %u is %s in term %llu, for %s", run_number(s, i),
                       run_state_name(view.state), (unsigned long long)view.term,
                       refusal_name(view.verdict.refusal));
        return text;
    }
    return "";
}

/* --- converge ---------------------------------------------------------------------------------------------------------------------- */

/* Of each author as much, by what had its turn; of who is frozen all before that place, which is the same. */
static bool as_far(const struct author *x, const struct author *y)
{
    if (x->frozen == 0 && y->frozen == 0) return x->applied == y->applied && ID_EQUAL(x->head, y->head);
    return x->frozen == y->frozen && x->applied + 1 >= x->frozen && y->applied + 1 >= y->frozen;
}

static bool holds_as(const struct chain *a, const struct chain *b)
{
    for (uint32_t i = 0; i < a->author_count; i++) {
        const struct author *x = &ROW(a->author, i);
        if (x->applied == 0 && x->frozen == 0) continue;
        const struct author *y = chain_author(b, x->node);
        if (y == NULL || !as_far(x, y)) return false;
    }
    return true;
}

static bool same_receipt(const struct station *a, const struct station *b, struct run_id id)
{
    const struct run_entry *x = registry_run(core_registry(a->core), id),
                           *y = registry_run(core_registry(b->core), id);
    const struct record *one = x != NULL ? x->receipt : NULL, *other = y != NULL ? y->receipt : NULL;
    return (one == NULL) == (other == NULL) && (one == NULL || ID_EQUAL(one->id, other->id));
}

/* The same records, and the same runs are settled by them: a receipt counts behind a fork, too. */
static bool same_state(const struct station *a, const struct station *b)
{
    const struct consortium *s = a->consortium;
    const struct chain *x = core_chain(a->core), *y = core_chain(b->core);
    for (uint32_t i = 0; i < s->run_count; i++)
        if (!same_receipt(a, b, s->run[i].run)) return false;
    return holds_as(x, y) && holds_as(y, x);
}

/* A maker that uses its places up itself has none for its own devices, which are strangers then. */
static bool has_no_place(const struct station *n)
{
    return player_is(n->player, ROLE_DEVICE) && n->consortium->station[n->player->party->maker].sybilled;
}

static bool is_expected(const struct station *n)
{
    return !has_no_place(n) && n->core != NULL && !n->cut && n->forked_seq == 0 && !adversary_at_work(n);
}

bool watch_converged(struct consortium *s)
{
    uint32_t first = 0;
    while (first < s->count && !is_expected(&s->station[first])) first++;
    if (first == s->count) return true;
    const struct station *other = &s->station[s->unlike]; /* who differed last is asked first */
    if (is_expected(other) && !same_state(&s->station[first], other)) return false;
    for (uint32_t i = first + 1; i < s->count; i++) {
        if (!is_expected(&s->station[i]) || same_state(&s->station[first], &s->station[i])) continue;
        s->unlike = i;
        return false;
    }
    return true;
}
