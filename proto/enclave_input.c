/* Manifests, leaf lists and chunks, by content id through the untrusted host. A few are in flight at a time; what does not
 * have its hash is asked for again, a bounded number of times. */
#include "proto/enclave_state.h"

#include <string.h>

static const uint8_t cid_sha256[4] = {0x01, 0x55, 0x12, 0x20}, cid_blake3[4] = {0x01, 0x55, 0x1e, 0x20};

/* --- Wants ----------------------------------------------------------------------------------------------------------- */

static void send_want(struct enclave *e, struct want *w)
{
    struct buffer b = enclave_buffer(e, 37);
    buffer_put_u8(&b, FRAME_WANT);
    buffer_put(&b, SPAN_OF(w->cid));
    enclave_emit(e, ENCLAVE_FRAME)->bytes = buffer_span(&b);
    w->asked = true;
    w->tries++;
    w->since_ns = e->now.ns;
}

static struct want *free_want(struct enclave *e)
{
    for (uint32_t i = 0; i < WANTS_MAX; i++)
        if (!e->want[i].active) return &e->want[i];
    return NULL;
}

static void want(struct enclave *e, struct want *w, enum want_kind kind, uint32_t input, uint32_t chunk,
                 struct hash32 digest)
{
    *w = (struct want){.active = true, .kind = kind, .input = input, .chunk = chunk};
    memcpy(w->cid, kind == WANT_CHUNK ? cid_blake3 : cid_sha256, 4);
    memcpy(w->cid + 4, digest.bytes, 32);
    send_want(e, w);
}

static void want_again(struct enclave *e, struct want *w, enum refusal otherwise)
{
    if (w->tries >= WANT_TRIES)
        enclave_fail(e, otherwise);
    else
        send_want(e, w);
}

static void fill_manifests(struct enclave *e)
{
    struct want *w;
    while (e->manifest_asked < e->input_count && (w = free_want(e)) != NULL) {
        uint32_t i = e->manifest_asked++;
        want(e, w, WANT_MANIFEST, i, 0, e->input[i].named.manifest);
    }
}

/* One input after the other: its leaf list, then its chunks. */
static void fill_inputs(struct enclave *e)
{
    struct want *w;
    if (e->input_now == e->input_count) {
        enclave_compute(e);
        return;
    }
    struct input *input = &e->input[e->input_now];
    if (!input->leaves_asked) {
        w = free_want(e);
        ASSERT(w != NULL); /* the input before is complete */
        input->leaves_asked = true;
        want(e, w, WANT_LEAVES, e->input_now, 0, input->manifest->leaves);
    }
    while (input->begun && input->chunk_asked < input->manifest->chunk_count && (w = free_want(e)) != NULL) {
        uint32_t i = input->chunk_asked++;
        struct hash32 leaf;
        memcpy(leaf.bytes, input->leaves.data + (size_t)i * 32, 32);
        want(e, w, WANT_CHUNK, e->input_now, i, leaf);
    }
}

void enclave_manifests(struct enclave *e)
{
    e->phase = PHASE_MANIFESTS;
    fill_manifests(e);
}

void enclave_inputs(struct enclave *e)
{
    e->phase = PHASE_INPUTS;
    fill_inputs(e);
}

/* --- Manifests --------------------------------------------------------------------------------------------------------- */

static void on_content_id(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    struct want *w = &e->want[work->index];
    const struct input *input = &e->input[w->input];
    if (event->err != OK || event->bytes.len != 32 ||
        !ids_equal(event->bytes.data, input->named.content.bytes)) {
        enclave_fail(e, REFUSAL_INPUT_CORRUPT);
        return;
    }
    w->active = false;
    if (++e->manifest_done == e->input_count)
        enclave_shares(e);
    else
        fill_manifests(e);
}

/* An exact number of rows is what owners and requester went by: a manifest with another is not of that dataset. */
static bool has_rows(const struct manifest *m, const struct ddo *ddo)
{
    return !ddo->row_count_exact || m->row_count == ddo->row_count;
}

/* Which recipe a manifest was sealed for is not judged here: every custodian's label check does, and must be what refuses. */
static void take_manifest(struct enclave *e, struct want *w, struct span bytes)
{
    struct manifest *m;
    struct input *input = &e->input[w->input];
    bool good = manifest_parse(&m, e->arena, bytes, NULL) == OK && ID_EQUAL(m->owner, input->asset->owner) &&
                ID_EQUAL(m->dt, input->named.dt) && ID_EQUAL(m->content, input->named.content) &&
                has_rows(m, input->asset->ddo) && m->chunk_count > 0 &&
                m->veto == registry_vetoed(e->bundle->registry, &e->bundle->run->body, w->input) &&
                m->chunk_count <= LEAVES_BYTES_MAX / 32;
    if (!good) {
        enclave_fail(e, REFUSAL_INPUT_CORRUPT);
        return;
    }
    input->manifest = m;
    e->keys.manifest[w->input] = m;
    enclave_ask(e, ENCLAVE_CONTENT_ID, on_content_id, (uint32_t)(w - e->want))->manifest = m;
}

/* What fails for want of memory or disk says nothing of what its owner sealed: another node may have more. */
static enum refusal refusal_of(enum err err)
{
    const bool ours = err == ERR_FULL || err == ERR_NO_MEMORY || err == ERR_IO;
    return ours ? REFUSAL_ENCLAVE : REFUSAL_INPUT_CORRUPT;
}

/* --- Bodies ---------------------------------------------------------------------------------------------------------- */

static void on_begun(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    if (event->err != OK) {
        enclave_fail(e, refusal_of(event->err));
        return;
    }
    struct want *w = &e->want[work->index];
    w->active = false;
    e->input[w->input].begun = true;
    fill_inputs(e);
}

static void take_leaves(struct enclave *e, struct want *w, struct span bytes)
{
    struct input *input = &e->input[w->input];
    if (bytes.len != (size_t)input->manifest->chunk_count * 32) {
        enclave_fail(e, REFUSAL_INPUT_CORRUPT);
        return;
    }
    if (!enclave_keep(e, &input->leaves, bytes)) return;
    struct enclave_effect *effect = enclave_ask(e, ENCLAVE_INPUT_BEGIN, on_begun, (uint32_t)(w - e->want));
    effect->input = w->input;
    effect->manifest = input->manifest;
    effect->bytes = input->leaves;
}

static void on_chunk(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    struct want *w = &e->want[work->index];
    struct input *input = &e->input[w->input];
    if (event->err != OK) {
        enclave_fail(e, refusal_of(event->err));
        return;
    }
    w->active = false;
    if (++input->chunk_done == input->manifest->chunk_count) e->input_now++;
    fill_inputs(e);
}

static void take_chunk(struct enclave *e, struct want *w, struct span bytes)
{
    struct enclave_effect *effect = enclave_ask(e, ENCLAVE_INPUT_CHUNK, on_chunk, (uint32_t)(w - e->want));
    effect->input = w->input;
    effect->chunk = w->chunk;
    effect->manifest = e->input[w->input].manifest;
    memcpy(effect->hash.bytes, w->cid + 4, 32);
    effect->bytes = enclave_copy(e, bytes);
}

/* --- Arrival --------------------------------------------------------------------------------------------------------- */

static bool has_hash(const struct want *w, struct span bytes)
{
    struct hash32 hash = w->kind == WANT_CHUNK ? blake3(bytes) : sha256(bytes);
    return memcmp(hash.bytes, w->cid + 4, 32) == 0;
}

static void take(struct enclave *e, struct want *w, struct span bytes)
{
    w->asked = false;
    switch (w->kind) {
    case WANT_MANIFEST: take_manifest(e, w, bytes); break;
    case WANT_LEAVES: take_leaves(e, w, bytes); break;
    case WANT_CHUNK: take_chunk(e, w, bytes); break;
    }
}

void enclave_blob(struct enclave *e, struct span body)
{
    if (body.len < 37) return;
    bool found = body.data[36] == 1;
    struct span bytes = span_make(body.data + 37, body.len - 37);
    for (uint32_t i = 0; i < WANTS_MAX; i++) {
        struct want *w = &e->want[i];
        if (!w->active || !w->asked || memcmp(w->cid, body.data, 36) != 0) continue;
        if (!found)
            want_again(e, w, REFUSAL_INPUT_MISSING);
        else if (bytes.len > LEAVES_BYTES_MAX + 64 || !has_hash(w, bytes))
            want_again(e, w, REFUSAL_INPUT_CORRUPT);
        else
            take(e, w, bytes);
        return; /* equal chunks are asked for, and answered, one by one */
    }
}

void enclave_input_tick(struct enclave *e)
{
    for (uint32_t i = 0; i < WANTS_MAX && e->phase != PHASE_OVER; i++) {
        struct want *w = &e->want[i];
        if (w->active && w->asked && (e->now.ns - w->since_ns) / 1000000 >= WANT_WAIT_MS)
            want_again(e, w, REFUSAL_INPUT_MISSING);
    }
}
