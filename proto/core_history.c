/* What this node saw of each run, over a restart: a local value per run, written when the view moves. No promise: what the
 * store had not kept when the node ended is as if it had not been seen. One value per run known, so CAP_RUNS at most.
 * Key "run/" | run 32. Value: format 2 | state 1 | refusal be16 | subject 32 | be64 term | node 32 | bad shares be32 | number of
 * states 1 | a be64 for each: when it was entered. */
#include "proto/core_state.h"

#include <string.h>

enum {
    FORMAT = 2,
    KEY_BYTES = 4 + 32,
    VALUE_BYTES = 1 + 1 + 2 + 32 + 8 + 32 + 4 + 1 + 8 * RUN_STATE_COUNT,
};
static const uint8_t key_prefix[4] = {'r', 'u', 'n', '/'};

static void put_view(struct buffer *b, const struct run_view *v)
{
    buffer_put_u8(b, FORMAT);
    buffer_put_u8(b, (uint8_t)v->state);
    buffer_put_u16(b, (uint16_t)v->verdict.refusal);
    buffer_put(b, ID_SPAN(v->verdict.subject));
    buffer_put_u64(b, v->term);
    buffer_put(b, ID_SPAN(v->node));
    buffer_put_u32(b, v->bad_shares);
    buffer_put_u8(b, RUN_STATE_COUNT);
    for (uint32_t i = 0; i < RUN_STATE_COUNT; i++) buffer_put_u64(b, v->entered_ms[i]);
    ASSERT(!b->overflow);
}

static enum err read_entered(struct run_view *v, struct cursor *at)
{
    for (uint32_t i = 0; i < RUN_STATE_COUNT; i++) {
        TRY(cursor_u64(at, &v->entered_ms[i]));
        if (v->entered_ms[i] > UINT_TIME) return ERR_RANGE;
    }
    TRY(cursor_end(at));
    return v->entered_ms[v->state] != 0 ? OK : ERR_RANGE;
}

static enum err read_view(struct run_view *v, struct span value)
{
    struct cursor at = cursor_make(value);
    uint8_t format, state, states;
    uint16_t refusal;
    TRY(cursor_u8(&at, &format));
    TRY(cursor_u8(&at, &state));
    TRY(cursor_u16(&at, &refusal));
    TRY(cursor_copy(&at, v->verdict.subject.bytes, 32));
    TRY(cursor_u64(&at, &v->term));
    TRY(cursor_copy(&at, v->node.bytes, 32));
    TRY(cursor_u32(&at, &v->bad_shares));
    TRY(cursor_u8(&at, &states));
    if (format != FORMAT || states != RUN_STATE_COUNT) return ERR_VERSION;
    if (state >= RUN_STATE_COUNT || refusal >= REFUSAL_COUNT || v->term > UINT32_MAX) return ERR_RANGE;
    v->state = (enum run_state)state;
    v->verdict.refusal = (enum refusal)refusal;
    return read_entered(v, &at);
}

void history_restore(struct core *c, struct span key, struct span value)
{
    struct run_view v = {.state = RUN_REQUESTED};
    bool own = key.len == KEY_BYTES && memcmp(key.data, key_prefix, sizeof key_prefix) == 0;
    ASSERT(!c->ready);
    if (!own) return; /* somebody else's local value */
    memcpy(v.run.bytes, key.data + sizeof key_prefix, 32);
    if (read_view(&v, value) != OK) {
        notice(c, "the stored history of a run is damaged and begins anew, run", ID_SPAN(v.run), NULL);
        return;
    }
    struct run_track *t = track_add(c, v.run);
    if (t == NULL) return;
    t->view = v;
    t->term = v.term;
    t->heard_ms = c->wall_ms;
}

void history_moved(struct core *c, struct run_track *t)
{
    if (!c->ready) return; /* being read back */
    t->unsaved = c->unsaved = true;
}

static void save(struct core *c, struct run_track *t)
{
    struct buffer key = scratch_buffer(c, KEY_BYTES), value = scratch_buffer(c, VALUE_BYTES);
    buffer_put(&key, SPAN_OF(key_prefix));
    buffer_put(&key, ID_SPAN(t->view.run));
    put_view(&value, &t->view);
    struct effect *e = emit(c, EFFECT_STORE);
    e->keep[0] = (struct keep){KEEP_LOCAL, buffer_span(&key), buffer_span(&value)};
    e->keep_count = 1;
    t->unsaved = false;
}

void history_save(struct core *c)
{
    if (!c->unsaved) return;
    c->unsaved = false;
    for (uint32_t i = 0; i < c->track_count; i++) {
        struct run_track *t = &c->track[i];
        if (t->unsaved && step_has_room(c)) save(c, t);
        c->unsaved |= t->unsaved;
    }
}
