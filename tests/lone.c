#include "tests/lone.h"

#include "proto/base/panic.h"
#include "proto/pump.h"

#include "proto/promise.h"

#include <stdlib.h>
#include <string.h>

enum { QUEUE_MAX = 4096 };

/* Completions that wait for the step going on to end. */
struct lone_queue {
    struct event event[QUEUE_MAX]; /* bytes are owned */
    enum crypto_op op[QUEUE_MAX];
    uint32_t head, tail;
};

static void must(enum err err)
{
    ASSERT(err == OK);
}

static struct span copy(struct lone *l, struct span bytes)
{
    struct span out;
    must(arena_copy(&l->world->arena, &out, bytes));
    return out;
}

static void push(struct lone *l, struct event event, enum crypto_op op)
{
    struct lone_queue *q = l->queue;
    ASSERT(q->tail - q->head < QUEUE_MAX);
    q->event[q->tail % QUEUE_MAX] = event;
    q->op[q->tail++ % QUEUE_MAX] = op;
}

/* --- Executors -------------------------------------------------------------------------------------------------------- */

static void x_crypto(void *context, uint64_t token, const struct crypto_job *job)
{
    static uint8_t bytes[WORK_OUTPUT_MAX];
    struct lone *l = context;
    struct buffer out = BUFFER_OF(bytes);
    struct event event = {.type = EVENT_CRYPTO, .token = token};
    const bool fails = job->op == CRYPTO_SHARES && l->shares_err != OK;
    if (job->op == CRYPTO_EVIDENCE) l->evidence_checked++;
    event.err = fails ? l->shares_err : work_do(&l->keys, &out, job);
    event.bytes = copy(l, buffer_span(&out));
    if (token != 0) push(l, event, job->op);
}

static void x_send(void *context, struct node_id peer, struct span message)
{
    struct lone *l = context;
    ASSERT(l->sent_count < LONE_SENT_MAX);
    l->sent[l->sent_count++] = (struct lone_sent){peer, copy(l, message)};
}

static void x_send_blob(void *context, struct node_id peer, struct span cid, struct span manifests)
{
    (void)peer, (void)cid, (void)manifests;
    ((struct lone *)context)->blobs_sent++;
}

static void x_store(void *context, uint64_t token, const struct keep *items, uint32_t count)
{
    struct lone *l = context;
    for (uint32_t i = 0; i < count; i++)
        if (items[i].space == KEEP_LOCAL && span_equal_text(items[i].key, "contacts"))
            l->contacts = copy(l, items[i].value);
    if (token != 0) push(context, (struct event){.type = EVENT_STORED, .token = token}, CRYPTO_SIGN);
}

static void x_offence(void *context, struct node_id peer)
{
    (void)context, (void)peer;
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
    struct lone *l = context;
    ASSERT(l->dial_count < LONE_DIALS_MAX && address.len > 0);
    l->dial[l->dial_count].node = peer;
    l->dial[l->dial_count++].address = copy(l, address);
}

static void x_hang_up(void *context, struct node_id peer)
{
    struct lone *l = context;
    ASSERT(l->dial_count < LONE_DIALS_MAX);
    l->dial[l->dial_count].node = peer;
    l->dial[l->dial_count++].address = SPAN_NONE;
}

static void x_reply(void *context, uint64_t token, struct verdict verdict, struct hash32 id)
{
    (void)context, (void)token, (void)verdict, (void)id;
}

static void x_notice(void *context, struct span line)
{
    struct lone *l = context;
    ASSERT(line.len < sizeof l->notice);
    memcpy(l->notice, line.data, line.len);
    l->notice[line.len] = 0;
}

void (*lone_watch)(struct core *core, const struct event *event, bool before);

/* --- Driving ------------------------------------------------------------------------------------------------------------ */

static void step(struct lone *l, struct event event)
{
    const struct pump_executors executors = {.context = l,
                                             .send = x_send,
                                             .offence = x_offence,
                                             .send_blob = x_send_blob,
                                             .store = x_store,
                                             .crypto = x_crypto,
                                             .enclave_start = x_enclave,
                                             .enclave_send = x_enclave,
                                             .enclave_blob = x_enclave,
                                             .enclave_stop = x_stop,
                                             .dial = x_dial,
                                             .hang_up = x_hang_up,
                                             .reply = x_reply,
                                             .notice = x_notice};
    l->now.ns += 1000000;
    event.now = l->now;
    event.wall_ms = l->world->now_ms - l->late_ms;
    if (lone_watch != NULL) lone_watch(l->core, &event, true);
    pump_event(l->core, &executors, &event);
    if (lone_watch != NULL) lone_watch(l->core, &event, false);
    core_check(l->core);
}

void lone_event(struct lone *l, struct event event)
{
    step(l, event);
    while (l->queue->head != l->queue->tail) {
        uint32_t at = l->queue->head++ % QUEUE_MAX;
        struct event done = l->queue->event[at];
        if (done.type == EVENT_CRYPTO && l->meanwhile != NULL) l->meanwhile(l, l->queue->op[at]);
        step(l, done);
    }
}

void lone_message(struct lone *l, struct node_id from, struct span message)
{
    lone_event(l, (struct event){.type = EVENT_MESSAGE, .peer = from, .bytes = copy(l, message)});
}

void lone_record(struct lone *l, struct node_id from, const struct record *r)
{
    static uint8_t bytes[CAP_BODY_BYTES + 1024];
    struct buffer b = BUFFER_OF(bytes);
    record_encode(&b, r);
    lone_message(l, from, buffer_span(&b));
}

bool lone_next(struct lone *l, uint32_t *at, enum message code, union message_body *out, struct node_id *to)
{
    while (*at < l->sent_count) {
        enum message came;
        const struct lone_sent *s = &l->sent[(*at)++];
        must(message_decode(&came, out, s->message));
        *to = s->to;
        if (came == code) return true;
    }
    return false;
}

bool lone_forgets_its_vote, lone_knows_no_platform, lone_alone, lone_computes;
const char *lone_announce;
struct span lone_contacts;
enum { WORLD_VOTERS = 3 }; /* of world_certificate */

/* --- Starting ------------------------------------------------------------------------------------------------------------ */

static void restore(struct lone *l)
{
    static uint8_t packed[CAP_BODY_BYTES + 1024];
    if (lone_contacts.len > 0)
        lone_event(l, (struct event){.type = EVENT_RESTORE_LOCAL,
                                     .key = SPAN_LITERAL("contacts"),
                                     .bytes = lone_contacts});
    for (uint32_t i = 0; i < l->world->record_count; i++) {
        struct buffer b = BUFFER_OF(packed);
        record_pack(&b, l->world->record[i]);
        lone_event(l, (struct event){.type = EVENT_RESTORE_RECORD, .bytes = buffer_span(&b)});
    }
    uint8_t key[PROMISE_KEY_BYTES];
    promise_key(key, PROMISE_VOTE, l->world->run.bytes, 1);
    if (!lone_forgets_its_vote && l->self < WORLD_VOTERS)
        lone_event(l, (struct event){.type = EVENT_RESTORE_PROMISE,
                                     .key = SPAN_OF(key),
                                     .bytes = ID_SPAN(l->world->node[WORLD_COMPUTE].id)});
    lone_event(l, (struct event){.type = EVENT_READY});
}

void lone_greet(struct lone *l, struct node_id from)
{
    uint8_t bytes[64];
    struct buffer b = BUFFER_OF(bytes);
    const struct message_ROOT root = {l->world->now_ms, core_root(l->core)};
    message_encode(&b, MESSAGE_ROOT_CODE, &root);
    lone_event(l, (struct event){.type = EVENT_PEER_UP, .peer = from});
    lone_message(l, from, buffer_span(&b));
}

void lone_look(struct lone *l)
{
    lone_event(l, (struct event){.type = EVENT_TICK});
}

void lone_advertise(struct lone *l)
{
    struct world *w = l->world;
    struct record r;
    struct body_ADVERT body = {w->platform, SPAN_LITERAL("engine"), SPAN_LITERAL(""), 1, SPAN_NONE};
    const struct world_node *n = &w->node[WORLD_COMPUTE];
    must(record_unpack(&r, world_statement(w, &n->secret, n->id, KIND_ADVERT, &body)));
    lone_record(l, n->id, &r);
}

struct lone *lone_new(struct world *w, uint32_t self)
{
    struct lone *l = calloc(1, sizeof *l);
    struct world_node *n = &w->node[self];
    ASSERT(l != NULL);
    l->world = w;
    l->self = self;
    l->keys = world_node_keys(n, &l->kept);
    if (self < WORLD_CUSTODIANS) world_deal(w, self, &l->kept);
    l->queue = calloc(1, sizeof *l->queue);
    ASSERT(l->queue != NULL);
    struct core_options options = {.self = n->id, .consortium = w->consortium, .charter = w->charter};
    if (lone_computes) {
        options.compute = true;
        options.enclaves_max = 1;
        options.platform = w->platform;
    }
    if (lone_announce != NULL) options.announce = span_text(lone_announce);
    l->arena = world_arena(w);
    must(core_new(&l->core, l->arena, &options));
    restore(l);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS && !lone_alone; i++)
        if (i != self) lone_greet(l, w->node[i].id);
    if (!lone_knows_no_platform) lone_advertise(l);
    l->sent_count = 0;
    return l;
}

void lone_free(struct lone *l)
{
    world_arena_free(l->arena);
    free(l->queue);
    free(l);
}
