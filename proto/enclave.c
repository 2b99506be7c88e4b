#include "proto/enclave_state.h"

#include <string.h>

enum err enclave_new(struct enclave **out, struct arena *arena)
{
    struct enclave *e = ARENA_NEW(arena, struct enclave);
    void *scratch = arena_take(arena, SCRATCH_BYTES, 1);
    if (e == NULL || scratch == NULL) return ERR_NO_MEMORY;
    e->arena = arena;
    e->scratch = arena_make(scratch, SCRATCH_BYTES);
    e->token_next = 1;
    *out = e;
    return OK;
}

/* --- Effects --------------------------------------------------------------------------------------------------------- */

struct enclave_effect *enclave_emit(struct enclave *e, enum enclave_effect_type type)
{
    ASSERT(e->effect_count < EFFECTS_MAX);
    struct enclave_effect *effect = &e->effect[e->effect_count++];
    *effect = (struct enclave_effect){.type = type};
    return effect;
}

static struct enclave_effect *ask(struct enclave *e, enum enclave_effect_type type, work_step then,
                                  uint32_t index, enum phase phase)
{
    uint32_t i = 0;
    while (i < WORKS_MAX && e->work[i].token != 0) i++;
    ASSERT(i < WORKS_MAX);
    e->work[i] = (struct work){e->token_next++, phase, then, index};
    struct enclave_effect *effect = enclave_emit(e, type);
    effect->token = e->work[i].token;
    return effect;
}

struct enclave_effect *enclave_ask(struct enclave *e, enum enclave_effect_type type, work_step then,
                                   uint32_t index)
{
    return ask(e, type, then, index, e->phase);
}

struct enclave_effect *enclave_ask_always(struct enclave *e, enum enclave_effect_type type, work_step then,
                                          uint32_t index)
{
    return ask(e, type, then, index, PHASE_ANY);
}

struct buffer enclave_buffer(struct enclave *e, size_t cap)
{
    void *bytes = arena_take(&e->scratch, cap, 1);
    ASSERT(bytes != NULL);
    return buffer_make(bytes, cap);
}

struct span enclave_copy(struct enclave *e, struct span bytes)
{
    struct buffer b = enclave_buffer(e, bytes.len);
    buffer_put(&b, bytes);
    return buffer_span(&b);
}

bool enclave_keep(struct enclave *e, struct span *out, struct span bytes)
{
    if (arena_copy(e->arena, out, bytes) == OK) return true;
    enclave_fail(e, REFUSAL_FULL);
    return false;
}

void enclave_state_frame(struct enclave *e, enum run_state state)
{
    uint8_t bytes[2] = {FRAME_STATE, (uint8_t)state};
    enclave_emit(e, ENCLAVE_FRAME)->bytes = enclave_copy(e, SPAN_OF(bytes));
}

/* The machine's own copies of salt and output go first; keys and plaintext are the executor's to wipe. */
void enclave_end(struct enclave *e)
{
    memset(e->salt.bytes, 0, sizeof e->salt.bytes);
    if (e->output.len > 0) memset((uint8_t *)(uintptr_t)e->output.data, 0, e->output.len);
    e->output = SPAN_NONE;
    e->phase = PHASE_OVER;
    (void)enclave_emit(e, ENCLAVE_WIPE);
    (void)enclave_emit(e, ENCLAVE_EXIT);
}

/* What the step had asked for before it failed is forgotten: nothing of it may happen after the wipe. */
void enclave_fail(struct enclave *e, enum refusal why)
{
    enclave_fail_told(e, why, 0);
}

void enclave_fail_judged(struct enclave *e, enum refusal why)
{
    enclave_fail_told(e, why, FAILED_JUDGED);
}

void enclave_fail_told(struct enclave *e, enum refusal why, uint32_t custodians)
{
    uint8_t bytes[3] = {FRAME_FAILED, (uint8_t)why, (uint8_t)custodians};
    if (e->phase == PHASE_OVER) return;
    e->effect_count = 0;
    enclave_name_bad(e);
    enclave_emit(e, ENCLAVE_FRAME)->bytes = enclave_copy(e, SPAN_OF(bytes));
    enclave_end(e);
}

/* --- Statements of the enclave's own ------------------------------------------------------------------------------------ */

void enclave_sign(struct enclave *e, enum kind kind, const void *body, work_step then)
{
    struct header h = {.kind = kind,
                       .consortium = e->consortium,
                       .author = e->signing,
                       .time_ms = e->wall_ms,
                       .residency = SPAN_LITERAL("")};
    struct buffer b = enclave_buffer(e, CAP_HEADER_BYTES + CAP_BODY_BYTES);
    if (record_build(&b, &e->statement_header_len, &h, body) != OK) {
        enclave_fail(e, REFUSAL_FULL);
        return;
    }
    if (!enclave_keep(e, &e->statement, buffer_span(&b))) return;
    enclave_ask(e, ENCLAVE_SIGN, then, 0)->hash =
        record_sign_hash(kind, span_make(e->statement.data, e->statement_header_len));
}

bool enclave_signed(struct enclave *e, struct span *out, const struct enclave_event *event)
{
    struct signature signature;
    struct record record;
    if (event->err != OK || event->bytes.len != sizeof signature.bytes) {
        enclave_fail(e, REFUSAL_ENCLAVE);
        return false;
    }
    size_t header_len = e->statement_header_len;
    memcpy(signature.bytes, event->bytes.data, sizeof signature.bytes);
    enum err err = record_open(&record, span_make(e->statement.data, header_len), &signature,
                               span_make(e->statement.data + header_len, e->statement.len - header_len));
    ASSERT(err == OK); /* it was built here */
    struct buffer b = enclave_buffer(e, e->statement.len + 128);
    record_pack(&b, &record);
    ASSERT(!b.overflow);
    return enclave_keep(e, out, buffer_span(&b));
}

/* --- Steps ----------------------------------------------------------------------------------------------------------- */

static void on_frame(struct enclave *e, struct span frame)
{
    if (frame.len == 0) return;
    struct span body = span_make(frame.data + 1, frame.len - 1);
    if (frame.data[0] == FRAME_START) enclave_start(e, body);
    if (frame.data[0] == FRAME_BLOB) enclave_blob(e, body);
    if (frame.data[0] == FRAME_ANSWER) enclave_answer(e, body);
}

static void on_done(struct enclave *e, const struct enclave_event *event)
{
    for (uint32_t i = 0; i < WORKS_MAX && event->token != 0; i++) {
        struct work work = e->work[i];
        if (work.token != event->token) continue;
        e->work[i].token = 0;
        if (work.phase == e->phase || work.phase == PHASE_ANY) work.then(e, &work, event);
        return;
    }
}

void enclave_step(struct enclave *e, const struct enclave_event *event)
{
    e->effect_count = 0;
    arena_release(&e->scratch, 0);
    e->now = event->now;
    e->wall_ms = event->wall_ms;
    if (e->phase == PHASE_OVER) return;
    if (enclave_lease_lost(e)) { /* whatever the event is: it came too late */
        enclave_fail(e, REFUSAL_LEASE_LOST);
        return;
    }
    switch (event->type) {
    case ENCLAVE_EVENT_FRAME: on_frame(e, event->bytes); break;
    case ENCLAVE_EVENT_DONE: on_done(e, event); break;
    case ENCLAVE_EVENT_TICK:
        enclave_lease_tick(e);
        enclave_ask_tick(e);
        enclave_input_tick(e);
        break;
    }
}

bool enclave_works(const struct enclave *e)
{
    return e->phase >= PHASE_UNLOCKING && e->phase < PHASE_SEALING;
}

const struct enclave_effect *enclave_effects(const struct enclave *e, uint32_t *count)
{
    *count = e->effect_count;
    return e->effect;
}

struct instant enclave_deadline(const struct enclave *e)
{
    struct instant next = {enclave_lease_deadline(e)};
    int64_t ask_ns = enclave_ask_deadline(e);
    if (ask_ns < next.ns) next.ns = ask_ns;
    for (uint32_t i = 0; i < WANTS_MAX && e->phase != PHASE_OVER; i++) {
        int64_t until = e->want[i].since_ns + (int64_t)WANT_WAIT_MS * 1000000;
        if (e->want[i].active && e->want[i].asked && until < next.ns) next.ns = until;
    }
    return next;
}

void enclave_check(const struct enclave *e)
{
    ASSERT(e->effect_count <= EFFECTS_MAX && e->scratch.used <= e->scratch.cap);
    ASSERT(e->input_count <= CAP_INPUTS && e->custodian_count <= CAP_CUSTODIANS &&
           e->party_count <= CAP_CUSTODIANS + CAP_INPUTS);
    ASSERT(e->manifest_done <= e->manifest_asked && e->manifest_asked <= e->input_count);
    ASSERT(e->input_now <= e->input_count);
    if (e->phase == PHASE_NEW || e->phase == PHASE_OVER) return;
    ASSERT(e->bundle != NULL && e->workflow != NULL && e->input_count > 0);
    for (uint32_t i = 0; i < e->input_count; i++) {
        const struct input *input = &e->input[i];
        ASSERT(input->chunk_done <= input->chunk_asked);
        ASSERT(e->phase <= PHASE_MANIFESTS || input->manifest != NULL);
        ASSERT(e->phase <= PHASE_INPUTS || input->chunk_done == input->manifest->chunk_count);
        ASSERT(e->phase >= PHASE_INPUTS ||
               !input->begun); /* nothing is decrypted before the keys are there */
    }
    ASSERT(e->phase >= PHASE_COMPUTING || e->output.len == 0);
    ASSERT(e->phase <= PHASE_UNLOCKING || e->lease.held); /* nor before nobody else can be at it */
}

const struct enclave_keys *enclave_keys(const struct enclave *e)
{
    return &e->keys;
}

/* A consortium key from the committee record. */
static enum err key_from(struct group_key *out, const struct charter *charter, const struct point *y,
                         struct span shares)
{
    out->y = *y;
    out->n = charter->custodian_count;
    out->t = charter->t;
    if (out->n == 0 || out->n > COMMITTEE_MAX || shares.len != (size_t)out->n * 32) return ERR_RANGE;
    for (uint32_t i = 0; i < out->n; i++) memcpy(out->share[i].bytes, shares.data + (size_t)i * 32, 32);
    return OK;
}

/* Of this enclave's own view of the run: another recipe, owner or content makes another label. */
static void put_part(uint8_t part[SHARE_PART_BYTES], const struct enclave_keys *keys,
                     const struct manifest *m)
{
    struct buffer b = buffer_make(part, SHARE_PART_BYTES);
    buffer_put(&b, ID_SPAN(keys->app));
    buffer_put(&b, ID_SPAN(keys->compose));
    buffer_put(&b, ID_SPAN(m->owner));
    buffer_put(&b, ID_SPAN(m->content));
    buffer_put(&b, ID_SPAN(m->policy));
    buffer_put(&b, SPAN_OF(m->envelope));
    ASSERT(!b.overflow && b.len == SHARE_PART_BYTES);
}

enum err enclave_unlock_terms(struct unlock_terms *out, const struct enclave_keys *keys)
{
    memset(out, 0, sizeof *out);
    if (keys == NULL || keys->committee == NULL || keys->charter == NULL) return ERR_NOT_READY;
    if (keys->input_count > CAP_INPUTS) return ERR_RANGE;
    const struct body_COMMITTEE *body = &keys->committee->body;
    TRY(key_from(&out->key[0], keys->charter, &body->key_a, body->shares_a));
    TRY(key_from(&out->key[1], keys->charter, &body->key_b, body->shares_b));
    for (uint32_t i = 0; i < keys->input_count; i++) {
        if (keys->manifest[i] == NULL) return ERR_NOT_READY;
        put_part(out->part[i], keys, keys->manifest[i]);
        out->veto[i] = keys->manifest[i]->veto;
    }
    out->input_count = keys->input_count;
    out->prf_input = keys->prf_input;
    out->run = keys->run;
    return OK;
}
