/* Asking every custodian, twice: for shares, and to commit; and with the first, owners who keep a veto for their halves. An ask is one signed message, sealed to each custodian and sent
 * again until answered. An answer is believed for its signature; what comes without one proves nothing against anybody,
 * since the host can seal to the enclave too, and leaves its custodian open. */
#include "proto/enclave_state.h"

#include "proto/release.h"
#include "proto/wire/pack.h"

#include <string.h>

/* --- Sending --------------------------------------------------------------------------------------------------------- */

/* Who is asked in this phase: owners have nothing to commit to. */
static uint32_t asked_count(const struct enclave *e, enum phase phase)
{
    return phase == PHASE_SHARES ? e->party_count : e->custodian_count;
}

static bool is_custodian(const struct party *c)
{
    return c->number < VETO_PARTY;
}

static void send_ask(struct enclave *e, uint32_t i, struct span box)
{
    struct buffer b = enclave_buffer(e, box.len + 2);
    buffer_put_u8(&b, FRAME_ASK);
    buffer_put_u8(&b, e->party[i].number);
    buffer_put(&b, box);
    enclave_emit(e, ENCLAVE_FRAME)->bytes = buffer_span(&b);
}

static void on_sealed(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    if (event->err != OK || event->bytes.len == 0 || event->bytes.len > CAP_BODY_BYTES) {
        enclave_fail(e, REFUSAL_ENCLAVE);
        return;
    }
    struct party *c = &e->party[work->index];
    if (!enclave_keep(e, &c->box, event->bytes)) return;
    if (e->phase == PHASE_SHARES) c->share_box = c->box;
    send_ask(e, work->index, c->box);
}

void enclave_ask_all(struct enclave *e, enum phase phase, struct span packed)
{
    e->phase = phase;
    e->ask_since_ns = e->now.ns;
    e->ask_next_ns = e->late_next_ns = e->now.ns + (int64_t)ASK_REPEAT_MS * 1000000;
    for (uint32_t i = 0; i < asked_count(e, phase); i++) {
        struct party *c = &e->party[i];
        c->standing = STANDING_OPEN;
        c->why = REFUSAL_NONE;
        c->busy = false;
        c->box = SPAN_NONE;
        struct hash32 context = relay_context(e->run, e->term, c->number, 0);
        struct enclave_effect *effect = enclave_ask(e, ENCLAVE_SEAL, on_sealed, i);
        effect->kem = c->kem;
        effect->bytes = packed;
        effect->context = enclave_copy(e, ID_SPAN(context));
    }
}

static void on_ask_signed(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    struct span packed;
    (void)work;
    if (enclave_signed(e, &packed, event)) enclave_ask_all(e, PHASE_SHARES, packed);
}

void enclave_shares(struct enclave *e)
{
    struct buffer envelopes = enclave_buffer(e, (size_t)ENVELOPE_BYTES * CAP_INPUTS);
    struct buffer halves = enclave_buffer(e, (size_t)VETO_BOX_BYTES * CAP_INPUTS);
    for (uint32_t i = 0; i < e->input_count; i++) {
        const struct manifest *m = e->input[i].manifest;
        buffer_put(&envelopes, SPAN_OF(m->envelope));
        if (m->veto) buffer_put(&halves, SPAN_OF(m->half));
    }
    struct body_SHARE_ASK body = {.run = e->run,
                                  .term = e->term,
                                  .certificate = e->certificate_bytes,
                                  .evidence = e->evidence,
                                  .kem = e->kem,
                                  .challenge = e->challenge,
                                  .envelopes = buffer_span(&envelopes),
                                  .halves = buffer_span(&halves)};
    enclave_sign(e, KIND_SHARE_ASK, &body, on_ask_signed);
}

/* --- Where things stand -------------------------------------------------------------------------------------------------- */

static uint32_t count_standing(const struct enclave *e, enum standing standing)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < e->custodian_count; i++)
        if (e->party[i].standing == standing) count++;
    return count;
}

/* By the reason most custodians gave; the lower code on a tie. */
static void fail_for_them(struct enclave *e, enum refusal otherwise)
{
    uint8_t count[REFUSAL_COUNT] = {0};
    enum refusal best = REFUSAL_NONE;
    for (uint32_t i = 0; i < e->custodian_count; i++) count[e->party[i].why]++;
    count[REFUSAL_NONE] = 0;
    for (uint32_t r = 1; r < REFUSAL_COUNT; r++)
        if (count[r] > count[best]) best = (enum refusal)r;
    if (best != REFUSAL_NONE)
        enclave_fail_told(e, best, count[best]);
    else
        enclave_fail(e, otherwise);
}

static void on_unlocked(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    (void)work;
    if (event->err != OK || event->bytes.len != 32) {
        enclave_fail(e, REFUSAL_ENVELOPE);
        return;
    }
    memcpy(e->salt.bytes, event->bytes.data, 32);
    enclave_state_frame(e, RUN_KEYED);
    enclave_inputs(e);
}

void enclave_unlock(struct enclave *e)
{
    (void)enclave_ask(e, ENCLAVE_UNLOCK, on_unlocked, 0);
}

/* Each owner who keeps a veto must have given its half; what one of them refuses is refused. */
static bool owners_settled(struct enclave *e)
{
    for (uint32_t i = e->custodian_count; i < e->party_count; i++) {
        const struct party *owner = &e->party[i];
        if (owner->standing == STANDING_REFUSED) enclave_fail(e, owner->why);
        if (owner->standing != STANDING_GOOD) return false;
    }
    return true;
}

/* The first that are needed, and the owners asked in this stage: a receipt has room for no more. */
static void choose(struct enclave *e, uint32_t needed)
{
    uint32_t chosen = 0;
    for (uint32_t i = 0; i < e->party_count; i++) {
        struct party *c = &e->party[i];
        c->counted = i < asked_count(e, e->phase) && c->standing == STANDING_GOOD &&
                     (!is_custodian(c) || chosen < needed);
        chosen += c->counted;
    }
}

static uint64_t median_ms(const struct enclave *e)
{
    uint64_t time_ms[CAP_CUSTODIANS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < e->custodian_count; i++)
        if (e->party[i].counted) time_ms[count++] = e->party[i].time_ms;
    return enclave_median_ms(time_ms, count);
}

static void on_evidence_judged(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    struct evidence_out facts;
    (void)work;
    if (event->err != OK || event->bytes.len != sizeof facts) {
        enclave_fail_judged(e, event->err == ERR_EVIDENCE ? REFUSAL_EVIDENCE : REFUSAL_ENCLAVE);
        return;
    }
    memcpy(&facts, event->bytes.data, sizeof facts);
    if (!registry_platform_admitted(e->bundle->registry, e->certificate.node, facts.platform)) {
        enclave_fail_judged(e, REFUSAL_PLATFORM);
        return;
    }
    e->phase = PHASE_UNLOCKING;
    enclave_lease_begin(e);
}

/* As the receipt will be judged: by the records of the bundle, when custodians released. They may hold newer ones, and it may
 * have taken until then; another term begins with what there is by now. */
static void judge(struct enclave *e)
{
    const uint64_t now_ms = median_ms(e);
    const struct verdict v = bundle_check_at(e->bundle, now_ms);
    if (v.refusal != REFUSAL_NONE) {
        enclave_fail_judged(e, v.refusal);
        return;
    }
    struct crypto_job *job = arena_take(&e->scratch, 1, sizeof *job);
    ASSERT(job != NULL);
    release_evidence_job(job, e->bundle->registry, &e->bundle->run->body, now_ms);
    job->box = e->evidence;
    job->hash = e->binding;
    enclave_ask(e, ENCLAVE_CHECK_EVIDENCE, on_evidence_judged, 0)->job = job;
}

static void settle(struct enclave *e)
{
    const struct charter *charter = e->keys.charter;
    uint32_t shares = charter->t > charter->q ? charter->t : charter->q; /* as many make a lease */
    uint32_t needed = e->phase == PHASE_SHARES ? shares : charter->q;
    uint32_t lost = count_standing(e, STANDING_REFUSED) + count_standing(e, STANDING_BAD);
    if (lost > e->custodian_count - needed) {
        fail_for_them(e, REFUSAL_ENVELOPE);
        return;
    }
    if (count_standing(e, STANDING_GOOD) < needed) return;
    choose(e, needed);
    if (e->phase == PHASE_COMMITS) {
        enclave_committed(e);
        return;
    }
    if (!owners_settled(e) || !enclave_statements(e, &e->releases)) return;
    e->phase = PHASE_JUDGING;
    judge(e);
}

bool enclave_statements(struct enclave *e, struct span *out)
{
    uint32_t count = 0;
    struct buffer b = enclave_buffer(e, (size_t)RELEASES_MAX * 2048);
    for (uint32_t i = 0; i < e->party_count; i++) count += e->party[i].counted;
    pack_array(&b, count);
    for (uint32_t i = 0; i < e->party_count; i++)
        if (e->party[i].counted) pack_bin(&b, e->party[i].statement);
    ASSERT(!b.overflow); /* statements were bounded when they were read */
    return enclave_keep(e, out, buffer_span(&b));
}

/* --- Reading answers ----------------------------------------------------------------------------------------------------- */

/* Something under this custodian's name was wrong. It may not have been its own: it is asked again. */
static void ask_again(struct party *c)
{
    c->busy = false;
}

enum err enclave_read_statement(const struct enclave *e, const struct party *c, struct record *out,
                                union body *body, enum kind kind, struct span packed)
{
    if (packed.len > 2000) return ERR_TOO_LARGE;
    TRY(record_unpack(out, packed));
    if (out->header.kind != kind || !out->body_known) return ERR_KIND;
    if (!ids_equal(out->header.consortium.bytes, e->consortium.bytes)) return ERR_CONSORTIUM;
    if (!ID_EQUAL(out->header.author, c->node)) return ERR_CONFLICT;
    if (out->header.residency.len > 0) return ERR_RANGE; /* a receipt has no room for it */
    return body_decode(body, kind, out->body);
}

static void fill_check(struct enclave *e, struct enclave_effect *effect, const struct record *r)
{
    struct signature_check *check = arena_take(&e->scratch, 1, sizeof *check);
    ASSERT(check != NULL);
    *check = (struct signature_check){r->header.author, record_sign_hash(r->header.kind, r->header_bytes),
                                      r->signature, 0};
    effect->check = check;
    effect->check_count = 1;
}

static void verify(struct enclave *e, const struct record *r, uint32_t custodian, work_step then)
{
    fill_check(e, enclave_ask(e, ENCLAVE_VERIFY, then, custodian), r);
}

void enclave_verify_always(struct enclave *e, const struct record *r, uint32_t index, work_step then)
{
    fill_check(e, enclave_ask_always(e, ENCLAVE_VERIFY, then, index), r);
}

static bool keep_good(struct enclave *e, struct party *c, struct span packed)
{
    struct record r;
    enum err err = record_unpack(&r, packed);
    ASSERT(err == OK); /* it was read before it was verified */
    if (!enclave_keep(e, &c->statement, packed)) return false;
    c->id = r.id;
    c->time_ms = r.header.time_ms;
    c->released = true;
    c->standing = STANDING_GOOD;
    c->busy = false;
    return true;
}

static struct span content_of(const struct party *c)
{
    return span_make(c->answer + 1, c->answer_len - 1);
}

/* The packed release in the view of an answer with shares. */
static struct span release_of(const struct party *c)
{
    const size_t head = 1 + 32;
    return c->answer_len > head ? span_make(c->answer + head, c->answer_len - head) : SPAN_NONE;
}

/* The same of an owner: of this input's dataset, and the half that came with it. */
static enum err read_owner_release(const struct enclave *e, const struct party *c, struct record *r)
{
    union body body;
    TRY(enclave_read_statement(e, c, r, &body, KIND_OWNER_RELEASE, release_of(c)));
    const struct body_OWNER_RELEASE *b = &body.OWNER_RELEASE;
    struct hash32 certificate = certificate_hash(e->certificate_bytes);
    bool same = ID_EQUAL(b->run, e->run) && b->term == e->term && ID_EQUAL(b->certificate, certificate) &&
                ID_EQUAL(b->enclave, e->signing) && ID_EQUAL(b->kem, e->kem) &&
                ID_EQUAL(b->challenge, e->challenge) &&
                ID_EQUAL(b->dt, e->input[c->number - VETO_PARTY].named.dt);
    if (!same) return ERR_CONFLICT;
    TRY(bundle_check_heads(e->bundle, b->heads));
    return ids_equal(c->answer + 1, b->half.bytes) ? OK : ERR_HASH;
}

static enum err read_release(const struct enclave *e, const struct party *c, struct record *r)
{
    union body body;
    if (!is_custodian(c)) return read_owner_release(e, c, r);
    TRY(enclave_read_statement(e, c, r, &body, KIND_RELEASE, release_of(c)));
    const struct body_RELEASE *b = &body.RELEASE;
    struct hash32 certificate = certificate_hash(e->certificate_bytes);
    bool same = ID_EQUAL(b->run, e->run) && b->term == e->term && ID_EQUAL(b->certificate, certificate) &&
                ID_EQUAL(b->enclave, e->signing) && ID_EQUAL(b->kem, e->kem) &&
                ID_EQUAL(b->challenge, e->challenge);
    if (!same) return ERR_CONFLICT;
    TRY(bundle_check_heads(e->bundle, b->heads));
    return ids_equal(c->answer + 1, b->shares.bytes) ? OK : ERR_HASH;
}

/* Every custodian whose signed shares are wrong, to the host, with the statement that signed them. Once is enough for it. */
void enclave_name_bad(struct enclave *e)
{
    for (uint32_t i = 0; i < e->custodian_count; i++) {
        struct party *c = &e->party[i];
        if (e->phase != PHASE_SHARES || c->standing != STANDING_BAD) continue;
        struct span release = release_of(c);
        struct buffer b = enclave_buffer(e, 2 + release.len);
        buffer_put_u8(&b, FRAME_BAD_SHARES);
        buffer_put_u8(&b, (uint8_t)i);
        buffer_put(&b, release);
        enclave_emit(e, ENCLAVE_FRAME)->bytes = buffer_span(&b);
    }
}

/* Its custodian signed these very shares, and they are wrong: that is its own doing, and it is out. */
static void on_shares_checked(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    struct party *c = &e->party[work->index];
    if (event->err != OK) {
        ask_again(c);
        if (event->err != ERR_PROOF) return; /* a trouble of this enclave's own: it is asked again */
        c->released = true;
        c->standing = STANDING_BAD;
        enclave_name_bad(e);
        settle(e);
        return;
    }
    if (keep_good(e, c, release_of(c))) settle(e);
}

static void on_release_verified(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    struct party *c = &e->party[work->index];
    if (event->err != OK) {
        ask_again(c);
        return;
    }
    enclave_ask(e, ENCLAVE_CHECK_SHARES, on_shares_checked, work->index)->party = c->number;
}

static enum err read_commit(const struct enclave *e, const struct party *c, struct record *r)
{
    union body body;
    TRY(enclave_read_statement(e, c, r, &body, KIND_COMMIT, content_of(c)));
    const struct body_COMMIT *b = &body.COMMIT;
    bool same = ID_EQUAL(b->run, e->run) && b->term == e->term && b->index == 0 &&
                ID_EQUAL(b->commitment, e->commitment) && ID_EQUAL(b->core, e->core_hash);
    return same ? bundle_check_heads(e->bundle, b->heads) : ERR_CONFLICT;
}

static void on_commit_verified(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    struct party *c = &e->party[work->index];
    if (event->err != OK)
        ask_again(c);
    else if (keep_good(e, c, content_of(c)))
        settle(e);
}

struct no {
    enum refusal why;
    uint64_t stage; /* ANSWER_* of what is refused */
};

static enum err read_refusal(const struct enclave *e, const struct party *c, struct record *r, struct no *no)
{
    union body body;
    TRY(enclave_read_statement(e, c, r, &body, KIND_REFUSAL, content_of(c)));
    const struct body_REFUSAL *b = &body.REFUSAL;
    bool same = ID_EQUAL(b->run, e->run) && b->term == e->term && ID_EQUAL(b->enclave, e->signing);
    if (!same) return ERR_CONFLICT;
    *no = (struct no){refusal_from(b->refusal), b->stage};
    return no->why != REFUSAL_NONE ? OK : ERR_RANGE;
}

/* A custodian that does not know enough yet will, a clock is set right, a disk is cleared and who has not released is asked
 * to; any other reason is its answer. */
bool enclave_refusal_passes(enum refusal why)
{
    return why == REFUSAL_ISOLATED || why == REFUSAL_UNKNOWN_RUN || why == REFUSAL_CONSORTIUM_FORMING ||
           why == REFUSAL_GAP || why == REFUSAL_CLOCK || why == REFUSAL_TROUBLE ||
           why == REFUSAL_NOT_RELEASED;
}

static void on_refusal_verified(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    struct party *c = &e->party[work->index];
    struct record r;
    struct no no;
    if (event->err != OK) {
        ask_again(c);
        return;
    }
    enum err err = read_refusal(e, c, &r, &no);
    ASSERT(err == OK);
    c->why = no.why;
    c->busy = false;
    if (!enclave_refusal_passes(c->why)) c->standing = STANDING_REFUSED;
    settle(e);
}

static void take_refusal(struct enclave *e, uint32_t custodian)
{
    struct party *c = &e->party[custodian];
    struct record r;
    struct no no = {REFUSAL_NONE, 0};
    uint64_t stage = e->phase == PHASE_SHARES ? ANSWER_SHARES : e->phase == PHASE_COMMITS ? ANSWER_COMMIT : 0;
    enum err err = read_refusal(e, c, &r, &no);
    if (err == OK && no.stage == stage && c->standing == STANDING_OPEN) {
        verify(e, &r, custodian, on_refusal_verified);
        return;
    }
    ask_again(c);
    if (err == OK && no.stage == ANSWER_LEASE && enclave_lease_awaits(e, custodian))
        enclave_lease_refused(e, custodian, &r, no.why);
}

static void on_opened(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    struct party *c = &e->party[work->index];
    struct record r;
    if (event->err != OK || event->bytes.len < 2 || event->bytes.len > ANSWER_BYTES_MAX) {
        ask_again(c);
        return;
    }
    memcpy(c->answer, event->bytes.data, event->bytes.len);
    c->answer_len = event->bytes.len;
    uint8_t tag = c->answer[0];
    bool open = c->standing == STANDING_OPEN;
    if (tag == (is_custodian(c) ? ANSWER_SHARES : ANSWER_HALF) && open && e->phase == PHASE_SHARES &&
        read_release(e, c, &r) == OK) {
        verify(e, &r, work->index, on_release_verified);
    } else if (tag == ANSWER_COMMIT && open && e->phase == PHASE_COMMITS && read_commit(e, c, &r) == OK) {
        verify(e, &r, work->index, on_commit_verified);
    } else if (tag == ANSWER_REFUSAL) {
        take_refusal(e, work->index);
    } else {
        ask_again(c);
        if (tag == ANSWER_SHARES && enclave_works(e) && read_release(e, c, &r) == OK) c->released = true;
        if (tag == ANSWER_LEASE) enclave_lease_answer(e, work->index, content_of(c));
    }
}

static uint32_t party_numbered(const struct enclave *e, uint8_t number)
{
    uint32_t i = 0;
    while (i < e->party_count && e->party[i].number != number) i++;
    return i;
}

/* May it still say something that matters? */
static bool awaited(const struct enclave *e, uint32_t i)
{
    const struct party *c = &e->party[i];
    bool asks = e->phase == PHASE_SHARES || e->phase == PHASE_COMMITS;
    if (asks && i < asked_count(e, e->phase) && c->standing == STANDING_OPEN) return true;
    if (!is_custodian(c)) return false;
    return (enclave_works(e) && !c->released) || enclave_lease_awaits(e, i);
}

void enclave_answer(struct enclave *e, struct span body)
{
    if (body.len < 1 + KEM_OVERHEAD_BYTES || body.len > 1 + KEM_OVERHEAD_BYTES + ANSWER_BYTES_MAX) return;
    uint32_t i = party_numbered(e, body.data[0]);
    if (i == e->party_count || e->party[i].busy || !awaited(e, i)) return;
    struct hash32 context = relay_context(e->run, e->term, e->party[i].number, 1);
    struct enclave_effect *effect = enclave_ask_always(e, ENCLAVE_OPEN, on_opened, i);
    effect->party = e->party[i].number;
    effect->bytes = enclave_copy(e, span_make(body.data + 1, body.len - 1));
    effect->context = enclave_copy(e, ID_SPAN(context));
    e->party[i].busy = true;
}

/* Custodians that were not there when t others released: a commit or a lease may need them yet. */
static void ask_late(struct enclave *e)
{
    if (!enclave_works(e) || e->now.ns < e->late_next_ns) return;
    e->late_next_ns = e->now.ns + (int64_t)ASK_REPEAT_MS * 1000000;
    for (uint32_t i = 0; i < e->custodian_count; i++) {
        const struct party *c = &e->party[i];
        if (!c->released && c->share_box.len > 0) send_ask(e, i, c->share_box);
    }
}

int64_t enclave_ask_deadline(const struct enclave *e)
{
    bool asks = e->phase == PHASE_SHARES || e->phase == PHASE_COMMITS, late = false;
    int64_t next = asks ? e->ask_next_ns : INSTANT_NEVER.ns;
    for (uint32_t i = 0; i < e->custodian_count && enclave_works(e); i++) late |= !e->party[i].released;
    return late && e->late_next_ns < next ? e->late_next_ns : next;
}

/* With custodians enough, it is an owner that was waited for. */
static void timed_out(struct enclave *e)
{
    const struct charter *charter = e->keys.charter;
    uint32_t needed = charter->t > charter->q ? charter->t : charter->q;
    if (e->phase == PHASE_SHARES && count_standing(e, STANDING_GOOD) >= needed)
        enclave_fail(e, REFUSAL_OWNER_VETO);
    else
        fail_for_them(e, REFUSAL_TIMEOUT);
}

void enclave_ask_tick(struct enclave *e)
{
    ask_late(e);
    if (e->phase != PHASE_SHARES && e->phase != PHASE_COMMITS) return;
    if ((e->now.ns - e->ask_since_ns) / 1000000 >= ASK_TIMEOUT_MS) {
        timed_out(e);
        return;
    }
    if (e->now.ns < e->ask_next_ns) return;
    e->ask_next_ns = e->now.ns + (int64_t)ASK_REPEAT_MS * 1000000;
    for (uint32_t i = 0; i < asked_count(e, e->phase); i++) {
        const struct party *c = &e->party[i];
        if (c->standing == STANDING_OPEN && !c->busy && c->box.len > 0) send_ask(e, i, c->box);
    }
}
