#include "tests/world.h"

#include "crypto/body.h"
#include "crypto/cocktail.h"
#include "crypto/group.h"
#include "crypto/identity.h"
#include "crypto/kem.h"
#include "crypto/secret.h"
#include "proto/approval.h"
#include "proto/base/panic.h"
#include "proto/bundle.h"
#include "proto/enclave.h"
#include "proto/wire/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { WORLD_ARENA_BYTES = 16 << 20, WORLD_ARENAS_MAX = 64, WORLD_T = 3, WORLD_STEWARDS = 3 };

/* What world_arena hands out, with the world it belongs to. */
static struct {
    struct world *owner;
    struct arena arena;
} arenas[WORLD_ARENAS_MAX];

uint64_t world_start_ms = WORLD_START_MS;
const uint32_t world_rows[WORLD_DATASETS] = {96000, 8};
uint32_t world_rows_extra, world_maker_devices, world_vetoes, world_computes, world_others;
uint32_t world_lease_ms = 1000, world_others_role = ROLE_AUDITOR;
enum world_platforms world_platforms;
bool world_output_rows;
struct hash32 world_measurement;
static const char world_meta[] =
    "{\"delimiter\":\",\",\"format\":\"csv\",\"header\":true,\"missing\":\"\",\"perigee\":\"meta/1\"}";

static void must(enum err err)
{
    ASSERT(err == OK);
}

/* 32 bytes told apart by what they are for. */
static struct hash32 seed(const char *what, uint32_t a, uint32_t b)
{
    uint8_t numbers[8];
    store_u32(numbers, a);
    store_u32(numbers + 4, b);
    return HASH_FRAMED("perigee/test-world/v1", span_text(what), SPAN_OF(numbers));
}

static struct span keep(struct world *w, const struct buffer *b)
{
    struct span out;
    must(buffer_done(b));
    must(arena_copy(&w->arena, &out, buffer_span(b)));
    return out;
}

/* --- Records --------------------------------------------------------------------------------------------------------- */

static const struct record *sign_record(struct world *w, const struct identity_secret *secret,
                                        struct header *h, const void *body)
{
    static uint8_t bytes[CAP_HEADER_BYTES + CAP_BODY_BYTES];
    struct buffer b = BUFFER_OF(bytes);
    struct signature signature;
    size_t header_len;
    must(record_build(&b, &header_len, h, body));
    struct span all = keep(w, &b);
    struct span header = span_make(all.data, header_len);
    struct record *record = ARENA_NEW(&w->arena, struct record);
    ASSERT(record != NULL);
    must(identity_sign(&signature, secret, record_sign_hash(h->kind, header)));
    must(record_open(record, header, &signature, span_make(all.data + header_len, all.len - header_len)));
    return record;
}

const struct record *world_record(struct world *w, uint32_t node, enum kind kind, const void *body,
                                  uint64_t expires_ms)
{
    struct world_node *n = &w->node[node];
    struct header h = {.kind = kind,
                       .consortium = w->consortium,
                       .author = n->id,
                       .seq = n->seq + 1,
                       .prev = n->head,
                       .time_ms = w->now_ms++,
                       .expires_ms = expires_ms,
                       .residency = SPAN_LITERAL("")};
    ASSERT(w->record_count < WORLD_RECORDS_MAX);
    const struct record *record = sign_record(w, &n->secret, &h, body);
    n->seq++;
    n->head = record->id;
    return w->record[w->record_count++] = record;
}

struct span world_statement(struct world *w, const struct identity_secret *secret, struct node_id author,
                            enum kind kind, const void *body)
{
    static uint8_t bytes[CAP_HEADER_BYTES + CAP_BODY_BYTES + 128];
    struct buffer b = BUFFER_OF(bytes);
    struct header h = {.kind = kind,
                       .consortium = w->consortium,
                       .author = author,
                       .time_ms = w->now_ms,
                       .residency = SPAN_LITERAL("")};
    record_pack(&b, sign_record(w, secret, &h, body));
    return keep(w, &b);
}

static void joint(struct world *w, enum kind kind, const void *body)
{
    uint32_t count = kind == KIND_COMMITTEE ? WORLD_CUSTODIANS : WORLD_STEWARDS;
    for (uint32_t i = 0; i < count; i++) (void)world_record(w, i, kind, body, 0);
}

/* --- Members --------------------------------------------------------------------------------------------------------- */

static void make_node(struct world_node *n, uint32_t number)
{
    struct hash32 s = seed("identity", number, 0), a = seed("approval", number, 0),
                  k = seed("kem", number, 0);
    memcpy(n->secret.bytes, s.bytes, 32);
    memcpy(n->approval_secret.bytes, a.bytes, 32);
    memcpy(n->kem_secret.bytes, k.bytes, 32);
    must(identity_public(&n->id, &n->secret));
    must(identity_public(&n->approval, &n->approval_secret));
    kem_public_of(&n->kem, &n->kem_secret);
    uint8_t wide[64];
    memcpy(wide, s.bytes, 32);
    memcpy(wide + 32, k.bytes, 32);
    group_reduce(n->dkg_secret.bytes, wide);
    must(group_base(&n->dkg, n->dkg_secret.bytes));
}

static int by_id(const void *a, const void *b)
{
    return memcmp(((const struct world_node *)a)->id.bytes, ((const struct world_node *)b)->id.bytes, 32);
}

static int by_member(const void *a, const void *b)
{
    return memcmp(((const struct charter_member *)a)->node.bytes,
                  ((const struct charter_member *)b)->node.bytes, 32);
}

static void add_others(struct charter *c)
{
    for (uint32_t i = 0; i < world_others; i++) {
        struct world_node n;
        make_node(&n, WORLD_NODES + i);
        c->member[c->member_count++] = (struct charter_member){
            n.id,     SPAN_LITERAL("other"), SPAN_LITERAL("EU"), world_others_role, n.kem, n.dkg, n.id,
            SPAN_NONE};
    }
    qsort(c->member, c->member_count, sizeof c->member[0], by_member);
}

static void make_charter(struct world *w)
{
    static const char *const names[] = {"budapest", "cleveland", "long-beach", "zurich"};
    static uint8_t bytes[CAP_DOCUMENT_BYTES];
    struct charter_member member[WORLD_CUSTODIANS + WORLD_OTHERS_MAX];
    struct charter charter = {.name = SPAN_LITERAL("heart"),
                              .version = 1,
                              .f = 1,
                              .k = 2,
                              .q = 3,
                              .s = 3,
                              .t = WORLD_T,
                              .member_count = WORLD_CUSTODIANS,
                              .member = member,
                              .accept_simulated = true,
                              .evidence_age_max_ms = 600000,
                              .lease_ms = world_lease_ms,
                              .rank_delay_ms = 50,
                              .skew_max_ms = 60000,
                              .drift_ppm = 200,
                              .maker_devices = world_maker_devices};
    struct buffer b = BUFFER_OF(bytes);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) {
        const struct world_node *n = &w->node[i];
        const uint32_t computes = (world_computes >> i & 1) != 0 ? ROLE_COMPUTE : 0;
        member[i] = (struct charter_member){n->id,
                                            span_text(names[i]),
                                            SPAN_LITERAL("EU"),
                                            ROLE_OWNER | ROLE_CUSTODIAN | ROLE_STEWARD | computes,
                                            n->kem,
                                            n->dkg,
                                            n->approval,
                                            SPAN_NONE};
    }
    add_others(&charter);
    must(charter_write(&b, &charter));
    w->charter = keep(w, &b);
    struct hash32 hash = sha256(w->charter);
    memcpy(w->consortium.bytes, hash.bytes, 32);
    struct body_CHARTER body = {w->charter};
    joint(w, KIND_CHARTER, &body);
}

static void admit(struct world *w)
{
    static const uint32_t roles[] = {ROLE_COMPUTE, ROLE_ALGORITHM, ROLE_REQUESTER};
    static const char *const names[] = {"gpu-hall", "methods", "study-office"};
    const struct hash32 named = world_platforms == WORLD_PLATFORMS_OWN ? w->platform : seed("platform", 1, 0);
    w->admitted = named;
    for (uint32_t i = 0; i < 3; i++) {
        const struct world_node *n = &w->node[WORLD_CUSTODIANS + i];
        bool machines = roles[i] == ROLE_COMPUTE && world_platforms != WORLD_PLATFORMS_NONE;
        struct body_MEMBER body = {.node = n->id,
                                   .organisation = span_text(names[i]),
                                   .jurisdiction = SPAN_LITERAL("EU"),
                                   .roles = roles[i],
                                   .kem = n->kem,
                                   .approval = n->id,
                                   .platforms = machines ? ID_SPAN(named) : SPAN_LITERAL("")};
        joint(w, KIND_MEMBER, &body);
    }
}

/* --- Keys: a real key generation among the four --------------------------------------------------------------------------- */

struct generated {
    uint8_t round1[WORLD_CUSTODIANS * (96 + 32 * WORLD_T)], shares[32 * WORLD_CUSTODIANS],
        signatures[64 * WORLD_CUSTODIANS];
};

static struct cocktail_session session_of(struct world *w, uint8_t purpose, uint8_t extension[64])
{
    static const uint8_t epoch[4] = {0, 0, 0, 1};
    struct cocktail_session s = {.n = WORLD_CUSTODIANS, .t = WORLD_T, .extension = span_make(extension, 64)};
    struct hash32 name = HASH_FRAMED("perigee/purpose/v1", span_make(&purpose, 1));
    s.tag = HASH_FRAMED("perigee/keygen/v1", ID_SPAN(w->consortium), SPAN_OF(epoch), span_make(&purpose, 1));
    memcpy(extension, w->consortium.bytes, 32);
    memcpy(extension + 32, name.bytes, 32);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) s.party[i] = w->node[i].dkg;
    return s;
}

static void generate(struct world *w, struct generated *out, uint32_t which)
{
    static struct cocktail_secret state[WORLD_CUSTODIANS];
    static struct cocktail_round1 round1[WORLD_CUSTODIANS];
    uint8_t extension[64] = {0}, transcript[64], entropy[64 * (WORLD_T + 1)];
    uint32_t culprit;
    struct cocktail_session s = session_of(w, (uint8_t)(which + 1), extension);
    struct buffer b = BUFFER_OF(out->round1);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) {
        s.own = i + 1;
        for (uint32_t j = 0; j < sizeof entropy / 32; j++) {
            struct hash32 part = seed("round1", 100 * which + i, j);
            memcpy(entropy + (size_t)32 * j, part.bytes, 32);
        }
        must(cocktail_begin_from(&state[i], &round1[i], &s, &w->node[i].dkg_secret, SPAN_OF(entropy)));
        cocktail_round1_write(&b, &round1[i], &s, COCKTAIL_PUBLIC);
    }
    must(buffer_done(&b));
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) {
        s.own = i + 1;
        must(cocktail_finish(&w->node[i].share[which], &w->key[which], transcript,
                             out->signatures + (size_t)64 * i, &culprit, &state[i], &s,
                             &w->node[i].dkg_secret, round1));
        memcpy(out->shares + (size_t)32 * i, w->key[which].share[i].bytes, 32);
    }
}

static void make_committee(struct world *w)
{
    static struct generated a, b;
    generate(w, &a, 0);
    generate(w, &b, 1);
    struct body_COMMITTEE body = {.epoch = 1,
                                  .key_a = w->key[0].y,
                                  .shares_a = SPAN_OF(a.shares),
                                  .round1_a = SPAN_OF(a.round1),
                                  .signatures_a = SPAN_OF(a.signatures),
                                  .key_b = w->key[1].y,
                                  .shares_b = SPAN_OF(b.shares),
                                  .round1_b = SPAN_OF(b.round1),
                                  .signatures_b = SPAN_OF(b.signatures)};
    memcpy(body.charter.bytes, w->consortium.bytes, 32);
    joint(w, KIND_COMMITTEE, &body);
}

/* --- Documents ------------------------------------------------------------------------------------------------------- */

static void make_op(struct world *w)
{
    static uint8_t bytes[1024], code_bytes[1024];
    struct buffer b = BUFFER_OF(bytes), code = BUFFER_OF(code_bytes);
    must(template_shipped_write(&code, template_shipped_find(SPAN_LITERAL("count"))));
    struct op op = {.name = SPAN_LITERAL("table"),
                    .description = SPAN_LITERAL("counts"),
                    .runtime = world_output_rows ? RUNTIME_SQL : RUNTIME_SELECT,
                    .code = sha256(buffer_span(&code)),
                    .output =
                        span_text(output_type_names[world_output_rows ? OUTPUT_ROWS : OUTPUT_AGGREGATE])};
    struct body_WORKERS workers = {SPAN_LITERAL("default"), 1, ID_SPAN(w->measurement)};
    joint(w, KIND_WORKERS, &workers);
    must(op_write(&b, &op));
    struct body_OP body = {keep(w, &b), keep(w, &code)};
    w->op = sha256(body.document);
    joint(w, KIND_OP, &body);
}

static struct dt token(const struct world *w, uint32_t node, struct hash32 salt)
{
    struct hash32 h = HASH_FRAMED("perigee/dt/v1", ID_SPAN(w->node[node].id), ID_SPAN(salt));
    struct dt dt;
    memcpy(dt.bytes, h.bytes, 32);
    return dt;
}

static struct span dataset_ddo(struct world *w, uint32_t i)
{
    static uint8_t bytes[4096];
    static const char *const names[] = {"heart-budapest", "heart-cleveland"};
    struct buffer b = BUFFER_OF(bytes);
    struct service service = {
        .type = SPAN_LITERAL("aggregate"), .endpoint = SPAN_LITERAL(""), .op_count = 1, .op = {w->op}};
    struct ddo d = {.dt = w->dataset[i].dt,
                    .type = ASSET_DATASET,
                    .name = span_text(names[i]),
                    .description = SPAN_LITERAL("Heart disease"),
                    .jurisdiction = SPAN_LITERAL("EU"),
                    .service_count = 1,
                    .service = &service,
                    .unit_column = SPAN_LITERAL("id"),
                    .currency = CURRENCY_EPSILON,
                    .budget = UINT64_C(8000000000),
                    .row_count = world_rows[i],
                    .row_count_exact = true};
    d.schema.column_count = 2;
    d.schema.column[0] = (struct column){SPAN_LITERAL("id"), COLUMN_INTEGER};
    d.schema.column[1] = (struct column){SPAN_LITERAL("age"), COLUMN_INTEGER};
    schema_hash(&d.schema);
    w->dataset[i].schema = d.schema.hash;
    must(ddo_write(&b, &d));
    return keep(w, &b);
}

static struct body_ASSET asset_body(struct dt dt, uint64_t version, struct span ddo)
{
    return (struct body_ASSET){
        .dt = dt, .version = version, .ddo = ddo, .workflow = SPAN_LITERAL(""), .policy = SPAN_LITERAL("")};
}

static void register_datasets(struct world *w, struct span ddo[WORLD_DATASETS])
{
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) {
        struct hash32 salt = seed("salt", i, 0);
        w->dataset[i].dt = token(w, i, salt);
        ddo[i] = dataset_ddo(w, i);
        struct body_ASSET body = asset_body(w->dataset[i].dt, 1, ddo[i]);
        body.salt = salt;
        (void)world_record(w, i, KIND_ASSET, &body, 0);
    }
}

/* The people in both datasets, with their ages there: the second has the first eight. */
static void let_rows_out(struct workflow *f, struct step *step)
{
    *step = (struct step){
        .op = step->op,
        .runtime = RUNTIME_SQL,
        .select = SPAN_LITERAL("SELECT b.id, b.age, c.age AS other FROM budapest b JOIN cleveland c "
                               "USING (id) ORDER BY b.id DESC")};
    f->output = OUTPUT_ROWS;
    f->privacy_none = true;
    f->unit_column = SPAN_NONE;
    f->epsilon_nano = 0;
}

static struct span workflow_bytes(struct world *w)
{
    static uint8_t bytes[16384];
    static struct step step;
    static struct parameter min_age = {.name = SPAN_STATIC("min_age"), .lower = 18, .upper = 99};
    static struct workflow f;
    struct buffer b = BUFFER_OF(bytes);
    step = (struct step){.op = w->op,
                         .runtime = RUNTIME_SELECT,
                         .select = SPAN_LITERAL("SELECT id, age FROM input WHERE age >= $min_age"),
                         .statistic_count = 1,
                         .rows_per_unit = 1};
    step.statistic[0] = (struct statistic){.name = SPAN_LITERAL("n"),
                                           .kind = STATISTIC_COUNT,
                                           .column = SPAN_LITERAL(""),
                                           .epsilon_nano = 1000000000};
    f = (struct workflow){.name = SPAN_LITERAL("heart-count"),
                          .description = SPAN_LITERAL("How many"),
                          .engine = SPAN_LITERAL("int-gate/1"),
                          .workers = SPAN_LITERAL("default"),
                          .app_id = w->app,
                          .input_count = WORLD_DATASETS,
                          .step_count = 1,
                          .step = &step,
                          .parameters = {1, &min_age},
                          .output = OUTPUT_AGGREGATE,
                          .output_bytes_max = 1024,
                          .unit_column = SPAN_LITERAL("id"),
                          .epsilon_nano = 1000000000,
                          .owners_min = 2,
                          .accept_simulated = true,
                          .requester_count = 1,
                          .reader_count = 2, /* one of them asks for the run itself, and reads it once */
                          .jurisdiction_count = 1,
                          .requester = {w->node[WORLD_REQUESTER].id},
                          .reader = {w->node[WORLD_REQUESTER].id, w->node[WORLD_ALGORITHM].id},
                          .jurisdiction = {SPAN_LITERAL("EU")}};
    for (uint32_t i = 0; i < WORLD_DATASETS; i++)
        f.input[i] = (struct workflow_input){i == 0 ? SPAN_LITERAL("budapest") : SPAN_LITERAL("cleveland"),
                                             w->node[i].id, w->dataset[i].dt, w->dataset[i].schema};
    if (world_output_rows) let_rows_out(&f, &step);
    must(workflow_write(&b, &f));
    return keep(w, &b);
}

static void publish(struct world *w)
{
    static uint8_t bytes[4096];
    struct buffer b = BUFFER_OF(bytes);
    struct hash32 salt = seed("app-salt", 0, 0);
    w->app = token(w, WORLD_ALGORITHM, salt);
    struct ddo d = {.dt = w->app,
                    .type = ASSET_ALGORITHM,
                    .name = SPAN_LITERAL("study"),
                    .description = SPAN_LITERAL(""),
                    .jurisdiction = SPAN_LITERAL("EU")};
    must(ddo_write(&b, &d));
    struct body_ASSET body = asset_body(w->app, 1, keep(w, &b));
    body.salt = salt;
    (void)world_record(w, WORLD_ALGORITHM, KIND_ASSET, &body, 0);
    w->workflow = workflow_bytes(w);
    w->parameters = SPAN_LITERAL("{\"min_age\":20}");
    struct hash32 hash = sha256(w->workflow);
    memcpy(w->compose.bytes, hash.bytes, 32);
    body = asset_body(w->app, 2, body.ddo);
    body.workflow = w->workflow;
    (void)world_record(w, WORLD_ALGORITHM, KIND_ASSET, &body, 0);
}

static void grant_and_post(struct world *w)
{
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) {
        struct body_GRANT grant = {w->dataset[i].dt, w->app, 0, ID_SPAN(w->op), 10, UINT64_C(1000000000)};
        (void)world_record(w, i, KIND_GRANT, &grant, 0);
    }
    struct body_JOB job = {w->app, w->compose, SPAN_LITERAL("count")};
    struct body_ENDORSEMENT endorsement = {world_record(w, WORLD_ALGORITHM, KIND_JOB, &job, 0)->id};
    joint(w, KIND_ENDORSEMENT, &endorsement);
}

/* --- Sealing --------------------------------------------------------------------------------------------------------- */

static void put_blob(struct world *w, uint8_t code, struct hash32 digest, struct span bytes)
{
    static const uint8_t cid[4] = {0x01, 0x55, 0x12, 0x20};
    ASSERT(w->blob_count < WORLD_BLOBS_MAX);
    struct world_blob *blob = &w->blob[w->blob_count++];
    memcpy(blob->cid, cid, 4);
    blob->cid[2] = code;
    memcpy(blob->cid + 4, digest.bytes, 32);
    blob->bytes = bytes;
}

/* The chunks as blobs, their list as one more, and what a manifest says of them. */
static void seal_body(struct world *w, struct manifest *m, const uint8_t data_key[32], struct span plain)
{
    struct hash32 leaf[4];
    struct body_key *key;
    struct span list;
    uint32_t count = (uint32_t)(plain.len / BODY_CHUNK_BYTES) + 1;
    ASSERT(count <= 4);
    must(body_key_derive(&key, data_key, BODY_SUITE_CHACHA20POLY1305, m->salt));
    for (uint32_t i = 0; i < count; i++) {
        size_t at = (size_t)i * BODY_CHUNK_BYTES,
               len = plain.len - at < BODY_CHUNK_BYTES ? plain.len - at : BODY_CHUNK_BYTES;
        uint8_t *sealed = arena_take(&w->arena, len + BODY_TAG_BYTES, 1);
        ASSERT(sealed != NULL);
        must(body_seal_chunk(sealed, key, i, span_make(plain.data + at, len)));
        leaf[i] = blake3(span_make(sealed, len + BODY_TAG_BYTES));
        put_blob(w, 0x1e, leaf[i], span_make(sealed, len + BODY_TAG_BYTES));
    }
    m->commitment = body_key_commitment(key);
    body_key_free(key);
    m->suite = BODY_SUITE_CHACHA20POLY1305;
    m->plain_len = plain.len;
    m->root = body_root(leaf, count);
    m->chunk_count = count;
    must(arena_copy(&w->arena, &list, span_make(leaf, (size_t)count * 32)));
    m->leaves = sha256(list);
    put_blob(w, 0x12, m->leaves, list);
    struct body_summary summary = {m->suite, m->plain_len, m->salt, m->commitment, m->root, m->chunk_count};
    m->content = body_content_id(&summary);
}

static void split_key(struct world *w, struct manifest *m, uint8_t part[32], uint32_t i,
                      const struct label *label)
{
    struct hash32 half = seed("half", i, 0);
    memcpy(w->dataset[i].half, half.bytes, 32);
    for (uint32_t j = 0; j < 32; j++) part[j] ^= half.bytes[j];
    must(kem_seal(m->half, &w->node[i].kem, ID_SPAN(half), SPAN_OF(label->bytes)));
}

static struct span make_manifest(struct world *w, uint32_t i, struct content_id *content)
{
    static uint8_t bytes[8192];
    struct world_dataset *d = &w->dataset[i];
    struct buffer b = BUFFER_OF(bytes);
    struct envelope envelope;
    struct hash32 key = seed("data-key", i, 0), e1 = seed("envelope", i, 1), e2 = seed("envelope", i, 2);
    uint8_t entropy[64], metadata[sizeof world_meta - 1 + BODY_META_OVERHEAD_BYTES];
    memcpy(d->data_key, key.bytes, 32);
    memcpy(entropy, e1.bytes, 32);
    memcpy(entropy + 32, e2.bytes, 32);
    struct manifest m = {.owner = w->node[i].id,
                         .dt = d->dt,
                         .app_id = w->app,
                         .compose = w->compose,
                         .row_count = world_rows[i] + world_rows_extra,
                         .salt = seed("body-salt", i, 0),
                         .policy = d->policy,
                         .root_key_id = group_key_id(&w->key[0].y)};
    seal_body(w, &m, d->data_key, d->plain);
    struct label label = label_make(m.root_key_id, w->app, w->compose, m.owner, m.content, d->policy);
    uint8_t part[32];
    memcpy(part, d->data_key, 32);
    m.veto = (world_vetoes >> i & 1) != 0;
    if (m.veto) split_key(w, &m, part, i, &label);
    must(envelope_seal_from(&envelope, &w->key[0].y, &label, part, entropy));
    must(body_seal_meta(metadata, d->data_key, m.salt, SPAN_LITERAL(world_meta)));
    memcpy(m.envelope, envelope.bytes, ENVELOPE_BYTES);
    m.metadata = SPAN_OF(metadata);
    must(manifest_write(&b, &m));
    *content = m.content;
    return keep(w, &b);
}

/* One row of eleven bytes per person: id, age. */
static struct span make_rows(struct world *w, uint32_t i)
{
    size_t len = 7 + (size_t)world_rows[i] * 11;
    char *plain = arena_take(&w->arena, len + 1, 1), *at = plain;
    ASSERT(plain != NULL);
    memcpy(at, "id,age\n", 7);
    at += 7;
    for (uint32_t row = 0; row < world_rows[i]; row++, at += 11)
        (void)snprintf(at, 12, "%07u,%02u\n", row % 10000000, 20 + row % 70);
    return span_make(plain, len);
}

static void seal(struct world *w, const struct span ddo[WORLD_DATASETS])
{
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) {
        static uint8_t bytes[1024];
        struct world_dataset *d = &w->dataset[i];
        struct buffer b = BUFFER_OF(bytes);
        struct policy policy = {.export_to = EXPORT_TO_ENCLAVE, .owner_veto = (world_vetoes >> i & 1) != 0};
        d->plain = make_rows(w, i);
        must(policy_write(&b, &policy));
        struct body_ASSET body = asset_body(d->dt, 2, ddo[i]);
        body.policy = keep(w, &b);
        d->policy = sha256(body.policy);
        d->manifest = make_manifest(w, i, &body.content);
        body.manifest = sha256(d->manifest);
        body.compose = w->compose;
        put_blob(w, 0x12, body.manifest, d->manifest);
        (void)world_record(w, i, KIND_ASSET, &body, 0);
    }
}

/* --- Approvals and the run ----------------------------------------------------------------------------------------------- */

struct body_APPROVAL world_approval(struct world *w, uint32_t dataset, uint64_t first, uint64_t last,
                                    uint64_t expires_ms)
{
    static uint8_t text[WORKFLOW_RENDER_BYTES_MAX];
    struct buffer b = BUFFER_OF(text);
    struct workflow *f;
    must(workflow_parse(&f, &w->arena, w->workflow, NULL));
    workflow_render(&b, f, w->dataset[dataset].dt);
    must(buffer_done(&b));
    struct body_APPROVAL body = {.app = w->app,
                                 .compose = w->compose,
                                 .dataset = w->dataset[dataset].dt,
                                 .slot_first = first,
                                 .slot_last = last,
                                 .cost = UINT64_C(1000000000),
                                 .text = sha256(buffer_span(&b))};
    must(identity_sign(&body.approval_signature, &w->node[dataset].approval_secret,
                       approval_sign_hash(w->consortium, w->node[dataset].id, &body, expires_ms)));
    return body;
}

static void approve(struct world *w)
{
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) {
        uint64_t expires_ms = world_start_ms + 86400000;
        struct body_APPROVAL body = world_approval(w, i, 1, 2, expires_ms);
        w->approval[i] = world_record(w, i, KIND_APPROVAL, &body, expires_ms);
    }
}

static void request(struct world *w)
{
    static uint8_t inputs[RUN_INPUT_BYTES * CAP_INPUTS];
    struct body_RUN body;
    struct registry *r = world_registry(w, 0);
    const struct run_wish wish = {w->compose, 1, SPAN_NONE, w->parameters};
    struct verdict v = registry_plan_run(r, &body, inputs, &wish, w->node[WORLD_REQUESTER].id, w->now_ms);
    ASSERT(v.refusal == REFUSAL_NONE);
    const struct record *record =
        world_record(w, WORLD_REQUESTER, KIND_RUN, &body, world_start_ms + 86400000);
    memcpy(w->run.bytes, record->id.bytes, 32);
}

struct certificate world_certificate(struct world *w, uint64_t term)
{
    struct certificate c = {.consortium = w->consortium,
                            .epoch = 1,
                            .run = w->run,
                            .compose = w->compose,
                            .slot = 1,
                            .term = term,
                            .node = w->node[WORLD_COMPUTE].id,
                            .vote_count = 3};
    struct hash32 message = certificate_vote_hash(&c);
    for (uint32_t i = 0; i < 3; i++) {
        c.custodian[i] = i;
        must(identity_sign(&c.vote[i], &w->node[i].secret, message));
    }
    return c;
}

struct span world_certificate_bytes(struct world *w, uint64_t term)
{
    static uint8_t bytes[CERTIFICATE_BYTES_MAX];
    struct buffer b = BUFFER_OF(bytes);
    struct certificate c = world_certificate(w, term);
    certificate_encode(&b, &c);
    return keep(w, &b);
}

/* --- The whole ------------------------------------------------------------------------------------------------------- */

struct body_RECEIPT world_receipt(struct world *w, struct run_id run)
{
    static uint8_t commits[4096], core_bytes[1024];
    const struct world_node *enclave = &w->node[WORLD_COMPUTE];
    struct buffer c = BUFFER_OF(commits), k = BUFFER_OF(core_bytes);
    struct core_receipt core = {.consortium = w->consortium,
                                .run = run,
                                .term = 1,
                                .bundle = bundle_hash(SPAN_NONE),
                                .certificate = certificate_hash(SPAN_LITERAL("certificate")),
                                .evidence = enclave_evidence_hash(SPAN_NONE),
                                .enclave = enclave->id,
                                .engine = SPAN_LITERAL("int-gate/1")};
    core_receipt_encode(&k, &core);
    struct body_RECEIPT receipt = {
        .run = run, .core = keep(w, &k), .certificate = SPAN_LITERAL("certificate")};
    struct body_COMMIT commit = {.run = run, .term = 1, .core = core_receipt_hash(receipt.core)};
    must(identity_sign(&receipt.core_signature, &enclave->secret, commit.core));
    pack_array(&c, 3);
    for (uint32_t i = 0; i < 3; i++)
        pack_bin(&c, world_statement(w, &w->node[i].secret, w->node[i].id, KIND_COMMIT, &commit));
    receipt.commits = keep(w, &c);
    const struct body_ENDING ending = {run, 1, commit.core,
                                       enclave_statements_hash(receipt.releases, receipt.commits),
                                       enclave_outputs_hash(receipt.output)};
    receipt.ending = world_statement(w, &enclave->secret, enclave->id, KIND_ENDING, &ending);
    return receipt;
}

const struct record *world_first(const struct world *w, enum kind kind, uint32_t node, union body *body)
{
    for (uint32_t i = 0; i < w->record_count; i++) {
        const struct record *r = w->record[i];
        if (r->header.kind != kind || !ID_EQUAL(r->header.author, w->node[node].id)) continue;
        must(body_decode(body, kind, r->body));
        return r;
    }
    UNREACHABLE();
}

struct registry *world_registry(struct world *w, uint32_t count)
{
    struct registry *r;
    must(registry_new(&r, world_arena(w), w->consortium, SPAN_NONE));
    for (uint32_t i = 0; i < (count != 0 ? count : w->record_count); i++) {
        struct verdict v = registry_apply(r, w->record[i]);
        ASSERT(v.refusal == REFUSAL_NONE);
    }
    return r;
}

const struct world_blob *world_blob(const struct world *w, const uint8_t cid[36])
{
    for (uint32_t i = 0; i < w->blob_count; i++)
        if (memcmp(w->blob[i].cid, cid, 36) == 0) return &w->blob[i];
    return NULL;
}

static void *sparse(size_t len)
{
    void *memory =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT(memory != MAP_FAILED);
    return memory;
}

/* A core, and what a test makes beside it. */
static size_t arena_bytes(void)
{
    return core_arena_bytes(&caps_full) + ((size_t)64 << 20);
}

struct arena *world_arena(struct world *w)
{
    for (uint32_t i = 0; i < WORLD_ARENAS_MAX; i++) {
        if (arenas[i].owner != NULL) continue;
        arenas[i].owner = w;
        arenas[i].arena = arena_make(sparse(arena_bytes()), arena_bytes());
        return &arenas[i].arena;
    }
    UNREACHABLE();
}

void world_arena_free(struct arena *arena)
{
    for (uint32_t i = 0; i < WORLD_ARENAS_MAX; i++) {
        if (&arenas[i].arena != arena) continue;
        (void)munmap(arena->data, arena_bytes());
        arenas[i].owner = NULL;
    }
}

struct world *world_new(void)
{
    struct world *w = sparse(sizeof *w);
    must(crypto_init());
    w->arena = arena_make(sparse(WORLD_ARENA_BYTES), WORLD_ARENA_BYTES);
    w->now_ms = world_start_ms;
    w->measurement = ID_IS_ZERO(world_measurement) ? seed("measurement", 0, 0) : world_measurement;
    w->platform = seed("platform", 0, 0);
    for (uint32_t i = 0; i < WORLD_NODES; i++) make_node(&w->node[i], i);
    qsort(w->node, WORLD_CUSTODIANS, sizeof w->node[0], by_id);
    make_charter(w);
    admit(w);
    make_committee(w);
    make_op(w);
    struct span ddo[WORLD_DATASETS];
    register_datasets(w, ddo);
    publish(w);
    grant_and_post(w);
    seal(w, ddo);
    approve(w);
    request(w);
    return w;
}

void world_free(struct world *w)
{
    for (uint32_t i = 0; i < WORLD_ARENAS_MAX; i++) {
        if (arenas[i].owner != w) continue;
        (void)munmap(arenas[i].arena.data, arena_bytes());
        arenas[i].owner = NULL;
    }
    (void)munmap(w->arena.data, WORLD_ARENA_BYTES);
    (void)munmap(w, sizeof *w);
}

/* --- Keyed work ------------------------------------------------------------------------------------------------------- */

struct work_keys world_node_keys(const struct world_node *n, struct work_memory *kept)
{
    return (struct work_keys){
        .identity = &n->secret, .kem = &n->kem_secret, .dkg = &n->dkg_secret, .keep = work_memory_keep(kept)};
}

void world_deal(const struct world *w, uint32_t custodian, struct work_memory *kept)
{
    const struct work_keep keep = work_memory_keep(kept);
    for (uint32_t i = 0; i < KEYGEN_PURPOSES; i++) {
        const struct key_share share = {w->node[custodian].share[i], w->key[i].y};
        const struct work_place place = {WORK_SHARE, 1, i + 1};
        must(keep.save(keep.context, place, span_make(&share, sizeof share)));
    }
}
