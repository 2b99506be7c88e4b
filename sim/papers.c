#include "sim/papers.h"

#include "crypto/body.h"
#include "crypto/hash.h"
#include "crypto/kem.h"
#include "proto/approval.h"
#include "proto/base/panic.h"

#include <stdio.h>
#include <string.h>

enum { ROW_BYTES = 11, DOCUMENT_BYTES_MAX = 16384 };
static const char header_line[] = PAPERS_HEADER;
static const char meta[] =
    "{\"delimiter\":\",\",\"format\":\"csv\",\"header\":true,\"missing\":\"\",\"perigee\":\"meta/1\"}";
_Static_assert(SCENARIO_ROWS_MAX *ROW_BYTES / BODY_CHUNK_BYTES < PAPERS_CHUNKS_MAX,
               "chunks of the largest data");

static struct span keep(struct papers *p, const struct buffer *b)
{
    struct span out = SPAN_NONE;
    enum err err = buffer_done(b);
    if (err == OK) err = arena_copy(p->arena, &out, buffer_span(b));
    ASSERT(err == OK); /* the arena was made for the largest scenario */
    return out;
}

static struct dt token(const struct player *p, struct hash32 salt)
{
    const struct hash32 h = HASH_FRAMED("perigee/dt/v1", ID_SPAN(p->id), ID_SPAN(salt));
    struct dt dt;
    memcpy(dt.bytes, h.bytes, 32);
    return dt;
}

/* --- The op ------------------------------------------------------------------------------------------------------------- */

static void make_op(struct papers *p)
{
    uint8_t bytes[1024], code_bytes[1024];
    struct buffer b = BUFFER_OF(bytes), code = BUFFER_OF(code_bytes);
    enum err err = template_shipped_write(&code, template_shipped_find(SPAN_LITERAL("count")));
    struct op op = {.name = SPAN_LITERAL("table"),
                    .description = SPAN_LITERAL("counts"),
                    .runtime = RUNTIME_SELECT,
                    .code = sha256(buffer_span(&code)),
                    .output = span_text(output_type_names[OUTPUT_AGGREGATE])};
    if (err == OK) err = op_write(&b, &op);
    ASSERT(err == OK);
    p->op_document = keep(p, &b);
    p->op_code = keep(p, &code);
    p->op = sha256(p->op_document);
}

/* --- Datasets ------------------------------------------------------------------------------------------------------------- */

static enum err make_ddo(struct papers *p, struct dataset *d)
{
    uint8_t bytes[4096];
    struct buffer b = BUFFER_OF(bytes);
    struct service service = {
        .type = SPAN_LITERAL("aggregate"), .endpoint = SPAN_LITERAL(""), .op_count = 1, .op = {p->op}};
    struct ddo ddo = {.dt = d->dt,
                      .type = ASSET_DATASET,
                      .name = d->owner->party->name,
                      .description = SPAN_LITERAL("made up for a simulation"),
                      .jurisdiction = d->owner->party->jurisdiction,
                      .service_count = 1,
                      .service = &service,
                      .unit_column = SPAN_LITERAL("id"),
                      .currency = CURRENCY_EPSILON,
                      .budget = d->budget,
                      .row_count = d->owner->party->rows,
                      .row_count_exact = true};
    ddo.schema.column_count = 2;
    ddo.schema.column[0] = (struct column){SPAN_LITERAL("id"), COLUMN_INTEGER};
    ddo.schema.column[1] = (struct column){SPAN_LITERAL("age"), COLUMN_INTEGER};
    schema_hash(&ddo.schema);
    d->schema = ddo.schema.hash;
    TRY(ddo_write(&b, &ddo));
    d->ddo = keep(p, &b);
    return OK;
}

static enum err make_rows(struct papers *p, struct dataset *d)
{
    const uint32_t rows = d->owner->party->rows;
    const size_t len = sizeof header_line - 1 + (size_t)rows * ROW_BYTES;
    char *plain = arena_take(p->arena, len + 1, 1);
    if (plain == NULL) return ERR_NO_MEMORY;
    memcpy(plain, header_line, sizeof header_line - 1);
    char *at = plain + sizeof header_line - 1;
    for (uint32_t row = 0; row < rows; row++, at += ROW_BYTES) {
        const struct hash32 h = cast_derive(p->cast->seed, "row", d->number, row);
        (void)snprintf(at, ROW_BYTES + 1, "%07u,%02u\n", d->number * SCENARIO_ROWS_MAX + row,
                       20 + h.bytes[0] % 70u);
    }
    d->plain = span_make(plain, len);
    return OK;
}

static enum err make_policy(struct papers *p, struct dataset *d)
{
    uint8_t bytes[1024];
    struct buffer b = BUFFER_OF(bytes);
    const struct policy policy = {.export_to = EXPORT_TO_ENCLAVE, .owner_veto = d->owner->party->veto};
    TRY(policy_write(&b, &policy));
    d->policy = keep(p, &b);
    d->policy_hash = sha256(d->policy);
    return OK;
}

static enum err make_dataset(struct papers *p, const struct player *owner)
{
    struct dataset *d = &p->dataset[p->dataset_count];
    *d = (struct dataset){.owner = owner,
                          .number = p->dataset_count++,
                          .budget = p->cast->scenario->epsilon_nano * p->cast->scenario->runs};
    d->salt = cast_derive(p->cast->seed, "salt", owner->number, 0);
    d->dt = token(owner, d->salt);
    const struct hash32 key = cast_derive(p->cast->seed, "data-key", owner->number, 0);
    memcpy(d->data_key, key.bytes, 32);
    TRY(make_ddo(p, d));
    TRY(make_policy(p, d));
    return make_rows(p, d);
}

struct dataset *papers_of(struct papers *p, const struct player *owner)
{
    for (uint32_t i = 0; i < p->dataset_count; i++)
        if (p->dataset[i].owner == owner) return &p->dataset[i];
    return NULL;
}

/* --- The recipe ------------------------------------------------------------------------------------------------------------- */

static void add_jurisdiction(struct workflow *f, struct span jurisdiction)
{
    for (uint32_t i = 0; i < f->jurisdiction_count; i++)
        if (span_equal(f->jurisdiction[i], jurisdiction)) return;
    if (f->jurisdiction_count < CAP_JURISDICTIONS) f->jurisdiction[f->jurisdiction_count++] = jurisdiction;
}

/* Who asks and reads, and where it may run: wherever a compute node is. */
static void add_people(struct workflow *f, const struct cast *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        const struct player *p = &c->player[i];
        if (player_is(p, ROLE_REQUESTER) && f->requester_count < CAP_REQUESTERS) {
            f->requester[f->requester_count++] = p->id;
            f->reader[f->reader_count++] = p->id;
        }
        if (player_is(p, ROLE_COMPUTE)) add_jurisdiction(f, p->party->jurisdiction);
    }
}

static void add_inputs(struct workflow *f, const struct papers *p)
{
    f->input_count = p->dataset_count;
    for (uint32_t i = 0; i < p->dataset_count; i++) {
        const struct dataset *d = &p->dataset[i];
        f->input[i] = (struct workflow_input){d->owner->party->name, d->owner->id, d->dt, d->schema};
    }
}

static struct step step_of(const struct papers *p)
{
    struct step step = {.op = p->op,
                        .runtime = RUNTIME_SELECT,
                        .select = SPAN_LITERAL("SELECT id, age FROM input WHERE age >= $min_age"),
                        .statistic_count = 1,
                        .rows_per_unit = 1};
    step.statistic[0] = (struct statistic){.name = SPAN_LITERAL("n"),
                                           .kind = STATISTIC_COUNT,
                                           .column = SPAN_LITERAL(""),
                                           .epsilon_nano = p->cast->scenario->epsilon_nano};
    return step;
}

static enum err write_workflow(struct papers *p, const struct workflow *f, struct span *out,
                               struct compose_hash *compose)
{
    uint8_t bytes[DOCUMENT_BYTES_MAX];
    struct buffer b = BUFFER_OF(bytes);
    TRY(workflow_write(&b, f));
    *out = keep(p, &b);
    const struct hash32 hash = sha256(*out);
    memcpy(compose->bytes, hash.bytes, 32);
    return OK;
}

static enum err make_workflow(struct papers *p)
{
    const struct scenario *s = p->cast->scenario;
    struct parameter min_age = {.name = SPAN_LITERAL("min_age"), .lower = 18, .upper = 99};
    struct step step = step_of(p);
    struct workflow *f = ARENA_NEW(p->arena, struct workflow);
    if (f == NULL) return ERR_NO_MEMORY;
    *f = (struct workflow){.name = s->name,
                           .description = SPAN_LITERAL("how many"),
                           .engine = SPAN_LITERAL("int-gate/1"),
                           .workers = SPAN_LITERAL("default"),
                           .app_id = p->app,
                           .step_count = 1,
                           .step = &step,
                           .parameters = {1, &min_age},
                           .output = OUTPUT_AGGREGATE,
                           .output_bytes_max = PAPERS_OUTPUT_BYTES,
                           .unit_column = SPAN_LITERAL("id"),
                           .epsilon_nano = s->epsilon_nano,
                           .owners_min = s->k,
                           .accept_simulated = true};
    add_inputs(f, p);
    add_people(f, p->cast);
    p->parameters = SPAN_LITERAL("{\"min_age\":20}");
    TRY(write_workflow(p, f, &p->workflow, &p->compose));
    f->output = OUTPUT_ROWS;
    f->privacy_none = true;
    return write_workflow(p, f, &p->retyped, &p->retyped_compose);
}

static enum err make_app(struct papers *p)
{
    uint8_t bytes[4096];
    struct buffer b = BUFFER_OF(bytes);
    p->app_salt = cast_derive(p->cast->seed, "app-salt", 0, 0);
    p->app = token(p->provider, p->app_salt);
    const struct ddo ddo = {.dt = p->app,
                            .type = ASSET_ALGORITHM,
                            .name = p->cast->scenario->name,
                            .description = SPAN_LITERAL(""),
                            .jurisdiction = p->provider->party->jurisdiction};
    TRY(ddo_write(&b, &ddo));
    p->app_ddo = keep(p, &b);
    return OK;
}

enum err papers_make(struct papers **out, struct arena *arena, const struct cast *cast)
{
    struct papers *p = ARENA_NEW(arena, struct papers);
    if (p == NULL) return ERR_NO_MEMORY;
    *p = (struct papers){.cast = cast, .arena = arena};
    make_op(p);
    for (uint32_t i = 0; i < cast->count; i++) {
        const struct player *player = &cast->player[i];
        if (player->party->rows > 0) TRY(make_dataset(p, player));
        if (p->provider == NULL && player_is(player, ROLE_ALGORITHM)) p->provider = player;
    }
    TRY(make_app(p));
    *out = p;
    return make_workflow(p);
}

/* --- Sealing ------------------------------------------------------------------------------------------------------------------ */

static void put_blob(struct dataset *d, uint8_t code, struct hash32 digest, struct span bytes)
{
    ASSERT(d->blob_count < PAPERS_CHUNKS_MAX + 2);
    struct paper_blob *blob = &d->blob[d->blob_count++];
    const uint8_t head[4] = {0x01, 0x55, code, 0x20};
    memcpy(blob->cid, head, 4);
    memcpy(blob->cid + 4, digest.bytes, 32);
    blob->bytes = bytes;
}

static enum err seal_chunks(struct papers *p, struct dataset *d, struct manifest *m,
                            const struct body_key *key)
{
    struct hash32 leaf[PAPERS_CHUNKS_MAX];
    m->chunk_count = (uint32_t)(d->plain.len / BODY_CHUNK_BYTES) + 1;
    for (uint32_t i = 0; i < m->chunk_count; i++) {
        const size_t at = (size_t)i * BODY_CHUNK_BYTES, left = d->plain.len - at;
        const size_t len = left < BODY_CHUNK_BYTES ? left : BODY_CHUNK_BYTES;
        uint8_t *sealed = arena_take(p->arena, len + BODY_TAG_BYTES, 1);
        if (sealed == NULL) return ERR_NO_MEMORY;
        TRY(body_seal_chunk(sealed, key, i, span_make(d->plain.data + at, len)));
        leaf[i] = blake3(span_make(sealed, len + BODY_TAG_BYTES));
        put_blob(d, 0x1e, leaf[i], span_make(sealed, len + BODY_TAG_BYTES));
    }
    struct span list;
    TRY(arena_copy(p->arena, &list, span_make(leaf, (size_t)m->chunk_count * 32)));
    m->root = body_root(leaf, m->chunk_count);
    m->leaves = sha256(list);
    put_blob(d, 0x12, m->leaves, list);
    return OK;
}

static enum err seal_body(struct papers *p, struct dataset *d, struct manifest *m)
{
    struct body_key *key;
    m->suite = BODY_SUITE_CHACHA20POLY1305;
    m->plain_len = d->plain.len;
    TRY(body_key_derive(&key, d->data_key, m->suite, m->salt));
    m->commitment = body_key_commitment(key);
    enum err err = seal_chunks(p, d, m, key);
    body_key_free(key);
    TRY(err);
    const struct body_summary summary = {m->suite,      m->plain_len, m->salt,
                                         m->commitment, m->root,      m->chunk_count};
    m->content = body_content_id(&summary);
    return OK;
}

/* PROTOCOL.md "Owner's veto": a half for the owner's node; `part` becomes the other. */
static enum err split_key(struct papers *p, struct dataset *d, struct manifest *m, uint8_t part[32])
{
    const struct hash32 half = cast_derive(p->cast->seed, "half", d->number, 0),
                        secret = cast_derive(p->cast->seed, "half-ephemeral", d->number, 0);
    struct kem_secret ephemeral;
    memcpy(ephemeral.bytes, secret.bytes, 32);
    for (uint32_t i = 0; i < 32; i++) part[i] ^= half.bytes[i];
    m->veto = true;
    return kem_seal_from(m->half, &d->owner->kem, ID_SPAN(half), SPAN_OF(d->label.bytes), &ephemeral);
}

static enum err wrap_key(struct papers *p, struct dataset *d, struct manifest *m, const struct point *key_a)
{
    d->label = label_make(m->root_key_id, p->app, p->compose, m->owner, m->content, d->policy_hash);
    uint8_t entropy[64], part[32];
    memcpy(part, d->data_key, 32);
    if (d->owner->party->veto) TRY(split_key(p, d, m, part));
    for (uint32_t i = 0; i < 2; i++) {
        const struct hash32 h = cast_derive(p->cast->seed, "envelope", d->number, i);
        memcpy(entropy + (size_t)32 * i, h.bytes, 32);
    }
    TRY(envelope_seal_from(&d->envelope, key_a, &d->label, part, entropy));
    memcpy(m->envelope, d->envelope.bytes, ENVELOPE_BYTES);
    return OK;
}

enum err papers_seal(struct papers *p, struct dataset *d, const struct point *key_a)
{
    uint8_t bytes[8192], metadata[sizeof meta - 1 + BODY_META_OVERHEAD_BYTES];
    struct buffer b = BUFFER_OF(bytes);
    struct manifest m = {.owner = d->owner->id,
                         .dt = d->dt,
                         .app_id = p->app,
                         .compose = p->compose,
                         .row_count = d->owner->party->rows,
                         .salt = cast_derive(p->cast->seed, "body-salt", d->number, 0),
                         .policy = d->policy_hash,
                         .root_key_id = group_key_id(key_a),
                         .metadata = SPAN_OF(metadata)};
    const struct hash32 nonce = cast_derive(p->cast->seed, "meta-nonce", d->number, 0);
    d->blob_count = 0;
    TRY(seal_body(p, d, &m));
    TRY(wrap_key(p, d, &m, key_a));
    TRY(body_seal_meta_from(metadata, d->data_key, m.salt, SPAN_LITERAL(meta), nonce.bytes));
    TRY(manifest_write(&b, &m));
    d->manifest = keep(p, &b);
    d->content = m.content;
    put_blob(d, 0x12, sha256(d->manifest), d->manifest);
    return OK;
}

/* --- Approvals ---------------------------------------------------------------------------------------------------------------- */

enum err papers_approval(struct papers *p, struct body_APPROVAL *out, const struct dataset *d,
                         uint64_t slot_first, uint64_t slot_last, uint64_t expires_ms)
{
    const size_t mark = arena_mark(p->arena);
    void *text = arena_take(p->arena, WORKFLOW_RENDER_BYTES_MAX, 1);
    struct buffer b = buffer_make(text, WORKFLOW_RENDER_BYTES_MAX);
    struct workflow *f;
    if (text == NULL) return ERR_NO_MEMORY;
    TRY(workflow_parse(&f, p->arena, p->workflow, NULL));
    workflow_render(&b, f, d->dt);
    *out = (struct body_APPROVAL){.app = p->app,
                                  .compose = p->compose,
                                  .dataset = d->dt,
                                  .slot_first = slot_first,
                                  .slot_last = slot_last,
                                  .cost = p->cast->scenario->epsilon_nano,
                                  .text = sha256(buffer_span(&b))};
    arena_release(p->arena, mark);
    return notary_sign(p->cast->notary, &out->approval_signature, &d->owner->approval_secret,
                       approval_sign_hash(p->cast->consortium, d->owner->id, out, expires_ms));
}
