#include "tests/puppet.h"

#include "proto/base/panic.h"
#include "proto/pump.h"
#include "tests/storage_place.h"

#include <stdlib.h>
#include <string.h>

enum { MEMORY_BYTES = 4 << 20 };

static void must(enum err err)
{
    ASSERT(err == OK);
}

static struct span copy(struct puppet *p, struct span bytes)
{
    struct span out;
    must(arena_copy(&p->memory, &out, bytes));
    return out;
}

static void push(struct puppet *p, struct event event)
{
    ASSERT(p->tail - p->head < PUPPET_QUEUE_MAX);
    p->queue[p->tail++ % PUPPET_QUEUE_MAX] = event;
}

/* --- Executors ---------------------------------------------------------------------------------------------------------- */

static struct span worked(struct puppet *p, const struct crypto_job *job)
{
    static uint8_t zeros[SHARE_BYTES * (CAP_INPUTS + 1)];
    static struct evidence_out evidence;
    uint8_t signature[64];
    switch (job->op) {
    case CRYPTO_SIGN:
        memcpy(signature, job->hash.bytes, 32);
        memcpy(signature + 32, job->hash.bytes, 32);
        return copy(p, SPAN_OF(signature));
    case CRYPTO_OPEN:
    case CRYPTO_SEAL: return copy(p, job->box);
    case CRYPTO_EVIDENCE:
        evidence = (struct evidence_out){.measurement = p->world->measurement,
                                         .platform = p->world->platform,
                                         .time_ms = puppet_wall_ms(p),
                                         .simulated = true};
        return span_make(&evidence, sizeof evidence);
    case CRYPTO_SHARES: return span_make(zeros, (size_t)SHARE_BYTES * (job->part_count + 1));
    case CRYPTO_HALF: return span_make(zeros, 32);
    case CRYPTO_VERIFY: return SPAN_NONE;
    case CRYPTO_KEYGEN_BEGIN:
    case CRYPTO_KEYGEN_FINISH:
    case CRYPTO_KEYGEN_CHECK: break;
    }
    UNREACHABLE();
}

static void x_crypto(void *context, uint64_t token, const struct crypto_job *job)
{
    struct puppet *p = context;
    struct event done = {.type = EVENT_CRYPTO, .token = token, .bytes = worked(p, job)};
    if (token != 0) push(p, done);
}

static void x_send(void *context, struct node_id peer, struct span bytes)
{
    struct puppet *p = context;
    ASSERT(p->sent_count < PUPPET_SENT_MAX);
    struct puppet_sent *s = &p->sent[p->sent_count++];
    *s = (struct puppet_sent){.to = peer};
    must(message_decode(&s->code, &s->message, copy(p, bytes)));
    if (s->code != MESSAGE_RECORD_CODE) return;
    const struct message_RECORD *m = &s->message.RECORD;
    must(record_open(&s->record, m->header, &m->signature, m->body));
    must(body_decode(&s->body, s->record.header.kind, s->record.body));
}

static void put_row(struct puppet *p, const struct puppet_row *row)
{
    for (uint32_t i = 0; i < p->row_count; i++) {
        struct puppet_row *old = &p->row[i];
        bool same = old->space == row->space && old->key_len == row->key_len &&
                    memcmp(old->key, row->key, row->key_len) == 0;
        if (!same) continue;
        *old = *row;
        return;
    }
    ASSERT(p->row_count < PUPPET_ROWS_MAX);
    p->row[p->row_count++] = *row;
}

static void keep_batch(struct puppet *p, const struct puppet_batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) put_row(p, &b->row[i]);
}

static void acknowledge(struct puppet *p, uint64_t token)
{
    if (token != 0) push(p, (struct event){.type = EVENT_STORED, .token = token});
}

static void x_store(void *context, uint64_t token, const struct keep *items, uint32_t count)
{
    struct puppet *p = context;
    struct puppet_batch b = {.token = token, .count = count};
    for (uint32_t i = 0; i < count; i++) {
        struct puppet_row *row = &b.row[i];
        const struct span key = items[i].key, value = items[i].value;
        if (items[i].space == KEEP_RECORD) {
            acknowledge(p, token);
            return;
        }
        ASSERT(key.len <= sizeof row->key && value.len <= sizeof row->value);
        row->space = items[i].space;
        row->key_len = key.len;
        row->value_len = value.len;
        memcpy(row->key, key.data, key.len);
        memcpy(row->value, value.data, value.len);
    }
    if (token == 0) { /* nobody waits for it */
        keep_batch(p, &b);
        return;
    }
    ASSERT(p->batch_count < PUPPET_BATCHES_MAX);
    p->batch[p->batch_count++] = b;
}

static void x_start(void *context, struct run_id run, struct span bytes)
{
    struct puppet *p = context;
    (void)bytes;
    p->started++;
    p->started_run = run;
}

static void x_offence(void *context, struct node_id peer)
{
    (void)context, (void)peer;
    UNREACHABLE(); /* nobody here says what no honest node says */
}

static void x_send_blob(void *context, struct node_id peer, struct span cid, struct span manifests)
{
    (void)context, (void)peer, (void)cid, (void)manifests;
}

static void x_enclave(void *context, struct run_id run, struct span bytes)
{
    (void)context, (void)run, (void)bytes;
}

static void x_stop(void *context, struct run_id run)
{
    (void)context, (void)run;
}

static void x_dial(void *context, struct node_id peer, struct span address)
{
    (void)context, (void)peer, (void)address;
}

static void x_hang_up(void *context, struct node_id peer)
{
    (void)context, (void)peer;
}

static void x_reply(void *context, uint64_t token, struct verdict verdict, struct hash32 id)
{
    (void)context, (void)token, (void)verdict, (void)id;
}

static void x_notice(void *context, struct span line)
{
    (void)context, (void)line;
}

/* --- Driving -------------------------------------------------------------------------------------------------------------- */

uint64_t puppet_wall_ms(const struct puppet *p)
{
    return p->world->now_ms + (uint64_t)p->now.ns / 1000000;
}

static void step(struct puppet *p, struct event event)
{
    const struct pump_executors executors = {.context = p,
                                             .send = x_send,
                                             .offence = x_offence,
                                             .send_blob = x_send_blob,
                                             .store = x_store,
                                             .crypto = x_crypto,
                                             .enclave_start = x_start,
                                             .enclave_send = x_enclave,
                                             .enclave_blob = x_enclave,
                                             .enclave_stop = x_stop,
                                             .dial = x_dial,
                                             .hang_up = x_hang_up,
                                             .reply = x_reply,
                                             .notice = x_notice};
    event.now = p->now;
    event.wall_ms = puppet_wall_ms(p);
    pump_event(p->core, &executors, &event);
    core_check(p->core);
}

void puppet_event(struct puppet *p, struct event event)
{
    step(p, event);
    while (p->head != p->tail) step(p, p->queue[p->head++ % PUPPET_QUEUE_MAX]);
}

void puppet_message(struct puppet *p, struct node_id from, enum message code, const void *message)
{
    static uint8_t bytes[CAP_BODY_BYTES + 4096];
    struct buffer b = BUFFER_OF(bytes);
    message_encode(&b, code, message);
    puppet_event(p, (struct event){.type = EVENT_MESSAGE, .peer = from, .bytes = copy(p, buffer_span(&b))});
}

static struct record make(struct puppet *p, struct node_id from, enum kind kind, const void *body)
{
    static uint8_t bytes[CAP_HEADER_BYTES + CAP_BODY_BYTES];
    struct buffer b = BUFFER_OF(bytes);
    struct signature none = {{0}};
    struct header h = {.kind = kind,
                       .consortium = p->world->consortium,
                       .author = from,
                       .time_ms = puppet_wall_ms(p),
                       .expires_ms = kind == KIND_ADVERT ? puppet_wall_ms(p) + 90000 : 0,
                       .residency = SPAN_LITERAL("")};
    struct record r;
    size_t header_len;
    must(record_build(&b, &header_len, &h, body));
    struct span all = copy(p, buffer_span(&b));
    must(record_open(&r, span_make(all.data, header_len), &none,
                     span_make(all.data + header_len, all.len - header_len)));
    return r;
}

struct span puppet_pack(struct puppet *p, struct node_id from, enum kind kind, const void *body)
{
    static uint8_t bytes[CAP_BODY_BYTES + 1024];
    struct buffer b = BUFFER_OF(bytes);
    struct record r = make(p, from, kind, body);
    record_pack(&b, &r);
    return copy(p, buffer_span(&b));
}

void puppet_said(struct puppet *p, struct node_id from, enum kind kind, const void *body)
{
    struct record r = make(p, from, kind, body);
    struct message_RECORD m = {r.header_bytes, r.signature, r.body};
    puppet_message(p, from, MESSAGE_RECORD_CODE, &m);
}

void puppet_greet(struct puppet *p)
{
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) {
        struct node_id from = p->world->node[i].id;
        const struct message_ROOT root = {puppet_wall_ms(p), core_root(p->core)};
        if (ID_EQUAL(from, p->options.self)) continue;
        puppet_event(p, (struct event){.type = EVENT_PEER_UP, .peer = from});
        puppet_message(p, from, MESSAGE_ROOT_CODE, &root);
    }
}

void puppet_stored(struct puppet *p, enum err err)
{
    ASSERT(p->batch_count > 0);
    struct puppet_batch b = p->batch[0];
    memmove(p->batch, p->batch + 1, --p->batch_count * sizeof b);
    if (err == OK) keep_batch(p, &b);
    puppet_event(p, (struct event){.type = EVENT_STORED, .token = b.token, .err = err});
}

void puppet_forget(struct puppet *p)
{
    p->sent_count = p->started = 0;
    arena_release(&p->memory, 0);
}

/* --- The world -------------------------------------------------------------------------------------------------------------- */

struct node_id puppet_admit(struct world *w, uint32_t number)
{
    struct hash32 id = HASH_FRAMED("perigee/test-node/v1", span_make(&number, sizeof number));
    struct body_MEMBER member = {.organisation = SPAN_LITERAL("gpu-barn"),
                                 .jurisdiction = SPAN_LITERAL("EU"),
                                 .roles = ROLE_COMPUTE,
                                 .kem = w->node[WORLD_COMPUTE].kem,
                                 .platforms = SPAN_LITERAL("")};
    memcpy(member.node.bytes, id.bytes, 32);
    member.approval = member.node;
    for (uint32_t i = 0; i < 3; i++) (void)world_record(w, i, KIND_MEMBER, &member, 0);
    return member.node;
}

const struct record *puppet_request(struct world *w, uint64_t slot)
{
    union body body;
    const struct record *first = world_first(w, KIND_RUN, WORLD_REQUESTER, &body);
    body.RUN.slot = slot;
    return world_record(w, WORLD_REQUESTER, KIND_RUN, &body.RUN, first->header.expires_ms);
}

/* --- Starting and ending ---------------------------------------------------------------------------------------------------- */

struct puppet *puppet_new(struct world *w, uint32_t self)
{
    struct puppet *p = calloc(1, sizeof *p);
    void *memory = malloc(MEMORY_BYTES);
    ASSERT(p != NULL && memory != NULL);
    p->world = w;
    p->memory = arena_make(memory, MEMORY_BYTES);
    p->options =
        (struct core_options){.self = w->node[self].id, .consortium = w->consortium, .charter = w->charter};
    return p;
}

static void stop(struct puppet *p)
{
    if (p->core != NULL) world_arena_free(p->arena);
    p->core = NULL;
    p->batch_count = p->head = p->tail = 0;
}

void puppet_free(struct puppet *p)
{
    stop(p);
    free(p->memory.data);
    free(p);
}

static void restore_records(struct puppet *p)
{
    static uint8_t packed[CAP_BODY_BYTES + 1024];
    for (uint32_t i = 0; i < p->world->record_count; i++) {
        struct buffer b = BUFFER_OF(packed);
        record_pack(&b, p->world->record[i]);
        puppet_event(p, (struct event){.type = EVENT_RESTORE_RECORD, .bytes = buffer_span(&b)});
    }
}

static void restore_rows(struct puppet *p, enum keep_space space)
{
    for (uint32_t i = 0; i < p->row_count; i++) {
        const struct puppet_row *row = &p->row[i];
        if (row->space != space || row->value_len == 0) continue;
        puppet_event(
            p, (struct event){.type = space == KEEP_PROMISE ? EVENT_RESTORE_PROMISE : EVENT_RESTORE_LOCAL,
                              .key = span_make(row->key, row->key_len),
                              .bytes = span_make(row->value, row->value_len)});
    }
}

void puppet_start(struct puppet *p, uint64_t *seed)
{
    ASSERT(p->core == NULL);
    for (uint32_t i = p->row_count; i > 1; i--) {
        const uint32_t j = storage_random(seed, i);
        const struct puppet_row moved = p->row[i - 1];
        p->row[i - 1] = p->row[j];
        p->row[j] = moved;
    }
    p->arena = world_arena(p->world);
    must(core_new(&p->core, p->arena, &p->options));
    restore_rows(p, KEEP_LOCAL);
    restore_records(p);
    restore_rows(p, KEEP_PROMISE);
    puppet_event(p, (struct event){.type = EVENT_READY});
}

void puppet_crash(struct puppet *p, uint64_t *seed, bool kept[PUPPET_BATCHES_MAX])
{
    for (uint32_t i = 0; i < p->batch_count; i++) {
        kept[i] = storage_random(seed, 2) == 0;
        if (kept[i]) keep_batch(p, &p->batch[i]);
    }
    stop(p);
}
