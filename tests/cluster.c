#include "tests/cluster.h"

#include "crypto/identity.h"
#include "crypto/kem.h"
#include "proto/approval.h"
#include "proto/base/panic.h"
#include "proto/promise.h"
#include "proto/pump.h"
#include "proto/wire/pack.h"
#include "tests/world_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    QUEUE_MAX = 1 << 16,
    KEPT_MAX = 4096,
    BATCHES_MAX = 512,
    SENT_MAX = 4096,
    COMMAND_WAIT_MS = 20000,
};

/* What waits for its time: an event for a node. */
struct waiting {
    uint64_t at_us, order;
    uint32_t node, incarnation;
    struct event event; /* bytes are owned; `command` too */
};

struct kept {
    enum keep_space space;
    struct span key, value;
};
struct batch {
    uint64_t token;
    uint32_t count;
    struct kept item[KEEP_MAX];
};
struct sent_header {
    uint64_t seq;
    struct record_id id;
};

struct cluster_node {
    struct world_node keys;
    struct core *core;
    struct arena arena;
    size_t taken; /* of it, by core_new */
    struct pump_executors executors;
    struct cluster *cluster;
    uint32_t number, incarnation, votes_sent;
    uint64_t tick_at_us;
    int64_t ahead_ms; /* of its wall clock */
    bool hold, paused;
    enum err store_err;

    struct kept kept[KEPT_MAX]; /* durable */
    uint32_t kept_count;
    struct batch batch[BATCHES_MAX]; /* not yet */
    uint32_t batch_count;

    struct work_memory left; /* by key generation */

    struct sent_header sent[SENT_MAX];
    uint32_t sent_count;
};

/* One enclave; events for it wait as those of node CLUSTER_NODES + the number of its start. */
struct enclave_place {
    struct cluster *cluster;
    struct world_run *run; /* NULL: its process is gone */
    uint32_t number, node;
    bool paused;
    uint64_t tick_at_us;
};

struct cluster {
    struct world *world;
    bool enclaves;
    uint32_t compute_ms;
    struct enclave_place place[CLUSTER_STARTS_MAX];
    struct hash32 commitment; /* of the first result; of one run */
    struct run_id committed;
    bool has_commitment;
    uint64_t random, now_us, order;
    uint32_t loss_percent, repeat_percent;
    struct cluster_node node[CLUSTER_NODES];
    bool linked[CLUSTER_NODES][CLUSTER_NODES];
    struct waiting *queue; /* a heap by (at_us, order) */
    uint32_t queue_count;
    uint64_t token_next, reply_token;
    bool replied;
    struct verdict reply;
    struct hash32 reply_id;
    struct cluster_start start[CLUSTER_STARTS_MAX];
    uint32_t start_count;
    struct record_id job;
};

static void must(enum err err)
{
    ASSERT(err == OK);
}

static uint64_t next_random(struct cluster *c)
{
    uint64_t z = (c->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t below(struct cluster *c, uint64_t limit)
{
    return next_random(c) % limit;
}

static void *take(size_t len)
{
    void *memory = calloc(1, len > 0 ? len : 1);
    ASSERT(memory != NULL);
    return memory;
}

static struct span copy(struct span bytes)
{
    uint8_t *memory = take(bytes.len);
    if (bytes.len > 0) memcpy(memory, bytes.data, bytes.len);
    return span_make(memory, bytes.len);
}

static void drop(struct span bytes)
{
    free((void *)(uintptr_t)bytes.data);
}

static void drop_event(const struct event *event)
{
    const struct command *command = event->command;
    drop(event->bytes);
    if (command == NULL) return;
    drop(command->body);
    drop(command->parameters);
    free((void *)(uintptr_t)command);
}

/* --- The queue ------------------------------------------------------------------------------------------------------------ */

static bool earlier(const struct waiting *a, const struct waiting *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void swap(struct waiting *a, struct waiting *b)
{
    struct waiting kept = *a;
    *a = *b;
    *b = kept;
}

static void push(struct cluster *c, uint32_t node, uint64_t delay_us, struct event event)
{
    ASSERT(c->queue_count < QUEUE_MAX);
    uint32_t at = c->queue_count++;
    uint32_t incarnation = node < CLUSTER_NODES ? c->node[node].incarnation : 0;
    c->queue[at] = (struct waiting){c->now_us + delay_us, c->order++, node, incarnation, event};
    while (at > 0 && earlier(&c->queue[at], &c->queue[(at - 1) / 2])) {
        swap(&c->queue[at], &c->queue[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static struct waiting pop(struct cluster *c)
{
    struct waiting first = c->queue[0];
    c->queue[0] = c->queue[--c->queue_count];
    for (uint32_t at = 0;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < c->queue_count && earlier(&c->queue[child], &c->queue[least])) least = child;
        if (least == at) return first;
        swap(&c->queue[at], &c->queue[least]);
        at = least;
    }
}

/* --- Keyed work ----------------------------------------------------------------------------------------------------------------- */

static void x_crypto(void *context, uint64_t token, const struct crypto_job *job)
{
    static uint8_t bytes[WORK_OUTPUT_MAX];
    struct cluster_node *n = context;
    struct buffer out = BUFFER_OF(bytes);
    const struct work_keys keys = world_node_keys(&n->keys, &n->left);
    struct event event = {.type = EVENT_CRYPTO, .token = token, .err = work_do(&keys, &out, job)};
    event.bytes = copy(buffer_span(&out));
    push(n->cluster, n->number, 50 + below(n->cluster, 2000), event);
}

/* --- The store ---------------------------------------------------------------------------------------------------------------- */

static const struct kept *find_kept(const struct cluster_node *n, enum keep_space space, struct span key)
{
    for (uint32_t i = 0; i < n->kept_count; i++)
        if (n->kept[i].space == space && span_equal(n->kept[i].key, key)) return &n->kept[i];
    return NULL;
}

/* A promise is never written over by another one: the daemon's store refuses that batch. */
static enum err land_item(struct cluster_node *n, const struct kept *item)
{
    const struct kept *old = find_kept(n, item->space, item->key);
    if (old != NULL && item->space == KEEP_PROMISE)
        return span_equal(old->value, item->value) ? OK : ERR_CONFLICT;
    if (old != NULL) {
        drop(old->value);
        n->kept[old - n->kept].value = copy(item->value);
        return OK;
    }
    ASSERT(n->kept_count < KEPT_MAX);
    n->kept[n->kept_count++] = (struct kept){item->space, copy(item->key), copy(item->value)};
    return OK;
}

static enum err land(struct cluster_node *n, const struct batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        const struct kept *old = find_kept(n, b->item[i].space, b->item[i].key);
        bool other =
            old != NULL && b->item[i].space == KEEP_PROMISE && !span_equal(old->value, b->item[i].value);
        if (other) return ERR_CONFLICT;
    }
    for (uint32_t i = 0; i < b->count; i++) must(land_item(n, &b->item[i]));
    return OK;
}

static void forget(struct batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        drop(b->item[i].key);
        drop(b->item[i].value);
    }
}

static void land_first(struct cluster_node *n, bool tell)
{
    struct batch b = n->batch[0];
    memmove(n->batch, n->batch + 1, --n->batch_count * sizeof b);
    enum err err = n->store_err != OK ? n->store_err : land(n, &b);
    struct event event = {.type = EVENT_STORED, .token = b.token, .err = err};
    if (tell && b.token != 0) push(n->cluster, n->number, 100 + below(n->cluster, 3000), event);
    forget(&b);
}

/* Batches land in order, one with every few steps of its node. */
static void store_step(struct cluster_node *n)
{
    if (!n->hold && n->batch_count > 0 && below(n->cluster, 3) != 0) land_first(n, true);
}

static void x_store(void *context, uint64_t token, const struct keep *items, uint32_t count)
{
    struct cluster_node *n = context;
    ASSERT(n->batch_count < BATCHES_MAX && count <= KEEP_MAX);
    struct batch *b = &n->batch[n->batch_count++];
    *b = (struct batch){token, count, {{KEEP_LOCAL, SPAN_NONE, SPAN_NONE}}};
    for (uint32_t i = 0; i < count; i++)
        b->item[i] = (struct kept){items[i].space, copy(items[i].key), copy(items[i].value)};
}

/* --- The network, and what is watched on it -------------------------------------------------------------------------------------- */

static uint32_t number_of(const struct cluster *c, struct node_id id)
{
    uint32_t i = 0;
    while (i < CLUSTER_NODES && !ID_EQUAL(c->node[i].keys.id, id)) i++;
    return i;
}

/* One seq, one header, for ever. */
static void watch_header(struct cluster_node *n, const struct record *r)
{
    for (uint32_t i = 0; i < n->sent_count; i++)
        if (n->sent[i].seq == r->header.seq) {
            ASSERT(ID_EQUAL(n->sent[i].id, r->id));
            return;
        }
    ASSERT(n->sent_count < SENT_MAX);
    n->sent[n->sent_count++] = (struct sent_header){r->header.seq, r->id};
    const bool returned =
        core_silence(n->core) != SILENCE_NONE; /* a peer brought it: it was not signed here */
    ASSERT(returned || find_kept(n, KEEP_RECORD, ID_SPAN(r->id)) != NULL); /* durable before it leaves */
}

/* A vote leaves after slot and term are durable, for this run and this node. */
static void watch_vote(struct cluster_node *n, struct node_id to, const struct body_VOTE *vote)
{
    const struct run_entry *run = registry_run(core_registry(n->core), vote->run);
    uint8_t key[PROMISE_KEY_BYTES];
    if (vote->refusal != REFUSAL_NONE) return;
    ASSERT(run != NULL);
    promise_key(key, PROMISE_VOTE, vote->run.bytes, vote->term);
    ASSERT(cluster_promised(n->cluster, n->number, key, to.bytes));
    promise_key(key, PROMISE_SLOT, run->body.compose.bytes, run->body.slot);
    ASSERT(cluster_promised(n->cluster, n->number, key, vote->run.bytes));
    n->votes_sent++;
}

static void watch(struct cluster_node *n, struct node_id to, struct span message)
{
    static union message_body m;
    static union body body;
    enum message code;
    struct record r;
    must(message_decode(&code, &m, message)); /* what we say is well formed */
    if (code != MESSAGE_RECORD_CODE) return;
    must(record_open(&r, m.RECORD.header, &m.RECORD.signature, m.RECORD.body));
    if (!ID_EQUAL(r.header.author, n->keys.id)) return;
    if (r.header.seq > 0) watch_header(n, &r);
    if (r.header.kind != KIND_VOTE) return;
    must(body_decode(&body, KIND_VOTE, r.body));
    watch_vote(n, to, &body.VOTE);
}

static void deliver(struct cluster *c, uint32_t from, uint32_t to, struct span message)
{
    struct event event = {.type = EVENT_MESSAGE, .peer = c->node[from].keys.id, .bytes = copy(message)};
    push(c, to, 500 + below(c, 20000), event);
}

static void x_send(void *context, struct node_id peer, struct span message)
{
    struct cluster_node *n = context;
    struct cluster *c = n->cluster;
    uint32_t to = number_of(c, peer);
    watch(n, peer, message);
    if (to == n->number) {
        push(c, to, 1, (struct event){.type = EVENT_MESSAGE, .peer = peer, .bytes = copy(message)});
        return;
    }
    if (to == CLUSTER_NODES || !c->linked[n->number][to] || c->node[to].core == NULL) return;
    if (below(c, 100) < c->loss_percent) return;
    deliver(c, n->number, to, message);
    if (below(c, 100) < c->repeat_percent) deliver(c, n->number, to, message);
}

static void x_offence(void *context, struct node_id peer)
{
    (void)context, (void)peer; /* links are the daemon's: nobody is cut off here */
}

void cluster_inject(struct cluster *c, uint32_t from, uint32_t to, struct span message)
{
    if (c->node[to].core != NULL) deliver(c, from, to, message);
}

static void x_send_blob(void *context, struct node_id peer, struct span cid, struct span manifests)
{
    (void)context, (void)peer, (void)cid, (void)manifests;
    UNREACHABLE(); /* nobody asks: every node has them */
}

static struct hash32 platform_of(const struct cluster *c, uint32_t node)
{
    struct hash32 platform = c->world->platform;
    platform.bytes[0] ^= (uint8_t)node;
    return platform;
}

/* --- Enclaves, replies, notices -------------------------------------------------------------------------------------------------- */

static bool certified(struct cluster *c, const struct certificate *cert, const struct cluster_node *n)
{
    struct hash32 message = certificate_vote_hash(cert);
    bool good = cert->vote_count >= 3 && ID_EQUAL(cert->node, n->keys.id) &&
                ID_EQUAL(cert->consortium, c->world->consortium);
    for (uint32_t i = 0; i < cert->vote_count; i++) {
        good &= i == 0 || cert->custodian[i] > cert->custodian[i - 1];
        good &= identity_verify(c->node[cert->custodian[i]].keys.id, message, &cert->vote[i]) == OK;
    }
    return good;
}

static struct enclave_place *place_of(struct cluster_node *n, struct run_id run)
{
    struct cluster *c = n->cluster;
    for (uint32_t i = c->start_count; i-- > 0;)
        if (c->start[i].node == n->number && ID_EQUAL(c->start[i].run, run) && c->place[i].run != NULL)
            return &c->place[i];
    return NULL;
}

/* Whatever left an enclave of one run: one commitment. */
static void watch_result(struct cluster *c, struct run_id run, struct span body)
{
    static union body b;
    struct core_receipt core;
    must(body_decode(&b, KIND_RECEIPT, body));
    must(core_receipt_decode(&core, b.RECEIPT.core));
    bool same_run = c->has_commitment && ID_EQUAL(c->committed, run);
    ASSERT(!same_run || ID_EQUAL(c->commitment, core.commitment));
    c->has_commitment = true;
    c->committed = run;
    c->commitment = core.commitment;
}

static void from_enclave(void *context, struct span frame)
{
    struct enclave_place *p = context;
    struct cluster *c = p->cluster;
    struct cluster_start *s = &c->start[p->number];
    struct event event = {.type = EVENT_ENCLAVE, .run = s->run, .bytes = copy(frame)};
    if (frame.data[0] == FRAME_STATE) s->state = (enum run_state)frame.data[1];
    if (frame.data[0] == FRAME_RESULT) {
        s->state = RUN_RELEASED;
        watch_result(c, s->run, span_make(frame.data + 1, frame.len - 1));
    }
    push(c, p->node, 50 + below(c, 500), event);
}

static void place_enclave(struct cluster *c, uint32_t number, struct span frame)
{
    struct enclave_place *p = &c->place[number];
    uint32_t node = c->start[number].node;
    *p = (struct enclave_place){c, world_run_new(c->world), number, node, false, UINT64_MAX};
    p->run->to_host = from_enclave;
    p->run->host = p;
    p->run->term = c->start[number].term;
    p->run->work_ms = 2;
    p->run->compute_ms = c->compute_ms;
    p->run->platform = platform_of(c, node);
    push(c, CLUSTER_NODES + number, 1000 + below(c, 20000),
         (struct event){.type = EVENT_ENCLAVE, .bytes = copy(frame)});
}

static void end_enclave(struct cluster *c, struct enclave_place *p)
{
    if (p->run == NULL) return;
    world_run_free(p->run);
    p->run = NULL;
    c->start[p->number].gone = true;
}

/* Its node hears that the worker is gone. */
void cluster_kill_enclave(struct cluster *c, uint32_t start)
{
    struct enclave_place *p = &c->place[start];
    if (p->run == NULL) return;
    end_enclave(c, p);
    push(c, p->node, 1000,
         (struct event){.type = EVENT_ENCLAVE, .run = c->start[start].run, .bytes = copy(SPAN_NONE)});
}

void cluster_pause_enclave(struct cluster *c, uint32_t start, bool pause)
{
    c->place[start].paused = pause;
}

static void check_leases(const struct cluster *c, struct run_id run)
{
    uint32_t held = 0;
    const struct instant now = {(int64_t)(c->now_us + 1) * 1000};
    for (uint32_t i = 0; i < c->start_count; i++)
        if (ID_EQUAL(c->start[i].run, run) && c->place[i].run != NULL && c->place[i].run->enclave != NULL)
            held += enclave_leased(c->place[i].run->enclave, now);
    ASSERT(held <= 1);
}

static void enclave_turn(struct cluster *c, struct waiting *w)
{
    struct enclave_place *p = &c->place[w->node - CLUSTER_NODES];
    if (p->run == NULL) return;
    if (p->paused) { /* later; in the order they came */
        if (w->event.type == EVENT_TICK && p->tick_at_us == w->at_us) p->tick_at_us = c->now_us + 20000;
        push(c, w->node, 20000, w->event);
        w->event = (struct event){.type = EVENT_TICK};
        return;
    }
    if (w->event.type == EVENT_TICK && p->tick_at_us == w->at_us) p->tick_at_us = UINT64_MAX;
    if (w->event.type == EVENT_ENCLAVE) world_run_frame(p->run, w->event.bytes);
    p->run->world->now_ms = cluster_wall_ms(c);
    world_run_turn(p->run, (struct instant){(int64_t)(c->now_us + 1) * 1000});
    check_leases(c, c->start[p->number].run);
    if (p->run->gone) {
        cluster_kill_enclave(c, p->number);
        return;
    }
    int64_t due = world_run_due(p->run);
    uint64_t due_us = due == INT64_MAX ? UINT64_MAX : (uint64_t)due / 1000 + 1;
    if (due_us >= p->tick_at_us) return;
    p->tick_at_us = due_us > c->now_us ? due_us : c->now_us + 1;
    push(c, w->node, p->tick_at_us - c->now_us, (struct event){.type = EVENT_TICK});
}

static void x_enclave_start(void *context, struct run_id run, struct span frame)
{
    struct cluster_node *n = context;
    struct cluster *c = n->cluster;
    struct cursor at = cursor_make(frame);
    struct certificate cert;
    uint8_t type, id[32];
    uint64_t term;
    struct span bytes;
    must(cursor_u8(&at, &type));
    must(unpack_array_of(&at, 5));
    must(unpack_fixed(&at, id, 32));
    must(unpack_fixed(&at, id, 32));
    must(unpack_uint(&at, UINT32_MAX, &term));
    must(unpack_bin(&at, CERTIFICATE_BYTES_MAX, &bytes));
    must(certificate_decode(&cert, bytes));
    ASSERT(type == FRAME_START && ids_equal(id, run.bytes) && c->start_count < CLUSTER_STARTS_MAX);
    bool good = certified(c, &cert, n) && ID_EQUAL(cert.run, run) && cert.term == term;
    c->start[c->start_count++] = (struct cluster_start){
        .node = n->number, .run = run, .term = term, .certified = good, .at_ms = cluster_now_ms(c)};
    if (c->enclaves) place_enclave(c, c->start_count - 1, frame);
}

static void x_enclave_send(void *context, struct run_id run, struct span frame)
{
    struct cluster_node *n = context;
    struct enclave_place *p = place_of(n, run);
    if (p == NULL) return;
    struct event event = {.type = EVENT_ENCLAVE, .bytes = copy(frame)};
    push(n->cluster, CLUSTER_NODES + p->number, 50 + below(n->cluster, 500), event);
}

static void x_enclave_blob(void *context, struct run_id run, struct span cid)
{
    static uint8_t bytes[38 + (1 << 20) + 64];
    struct cluster_node *n = context;
    if (!n->cluster->enclaves) return;
    const struct world_blob *blob = world_blob(n->cluster->world, cid.data);
    struct buffer b = BUFFER_OF(bytes);
    ASSERT(blob != NULL);
    buffer_put_u8(&b, FRAME_BLOB);
    buffer_put(&b, cid);
    buffer_put_u8(&b, 1);
    buffer_put(&b, blob->bytes);
    must(buffer_done(&b));
    x_enclave_send(n, run, buffer_span(&b));
}

static void x_enclave_stop(void *context, struct run_id run)
{
    struct cluster_node *n = context;
    struct cluster *c = n->cluster;
    for (uint32_t i = 0; i < c->start_count; i++) {
        if (c->start[i].node != n->number || !ID_EQUAL(c->start[i].run, run)) continue;
        c->start[i].stopped = true;
        if (c->enclaves) cluster_kill_enclave(c, i);
    }
}

void cluster_frame(struct cluster *c, uint32_t node, struct run_id run, struct span frame)
{
    push(c, node, 1, (struct event){.type = EVENT_ENCLAVE, .run = run, .bytes = copy(frame)});
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
    struct cluster *c = ((struct cluster_node *)context)->cluster;
    if (token != c->reply_token) return;
    c->replied = true;
    c->reply = verdict;
    c->reply_id = id;
}

static void x_notice(void *context, struct span line)
{
    const struct cluster_node *n = context;
    if (getenv("PERIGEE_CLUSTER_LOG") == NULL) return;
    (void)printf("%8.3f %u %.*s\n", (double)n->cluster->now_us / 1e6, n->number, (int)line.len,
                 (const char *)line.data);
}

/* --- Stepping ------------------------------------------------------------------------------------------------------------------------ */

static void step(struct cluster_node *n, struct event event)
{
    struct cluster *c = n->cluster;
    event.now.ns = (int64_t)(c->now_us + 1) * 1000;
    event.wall_ms = cluster_wall_ms(c) + (uint64_t)n->ahead_ms;
    pump_event(n->core, &n->executors, &event);
    core_check(n->core);
    store_step(n);
}

static void finish(struct cluster *c, struct waiting *w)
{
    if (w->node >= CLUSTER_NODES) {
        enclave_turn(c, w);
        drop_event(&w->event);
        return;
    }
    if (c->node[w->node].paused) {
        push(c, w->node, 20000, w->event);
        return;
    }
    struct cluster_node *n = &c->node[w->node];
    bool alive = n->core != NULL && w->incarnation == n->incarnation;
    if (w->event.type == EVENT_TICK) {
        if (alive) push(c, w->node, 50000 + below(c, 200000), (struct event){.type = EVENT_TICK});
    }
    if (alive) step(n, w->event);
    drop_event(&w->event);
}

static bool cluster_step(struct cluster *c, uint64_t until_us)
{
    if (c->queue_count == 0 || c->queue[0].at_us > until_us) return false;
    struct waiting w = pop(c);
    c->now_us = w.at_us;
    finish(c, &w);
    return true;
}

void cluster_run(struct cluster *c, uint64_t ms)
{
    uint64_t until = c->now_us + ms * 1000;
    while (cluster_step(c, until)) {
    }
    c->now_us = until;
}

bool cluster_until(struct cluster *c, cluster_condition *condition, uint64_t ms)
{
    uint64_t until = c->now_us + ms * 1000;
    while (!condition(c))
        if (!cluster_step(c, until)) return false;
    return true;
}

/* --- Starting, crashing ---------------------------------------------------------------------------------------------------------------- */

static void *sparse(size_t len)
{
    void *memory =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT(memory != MAP_FAILED);
    return memory;
}

static bool is_compute(uint32_t node)
{
    return node == WORLD_COMPUTE || node == CLUSTER_SECOND || (world_computes >> node & 1) != 0;
}

/* Records in the order of (author, seq, id), as the daemon reads them. */
static int by_place(const void *a, const void *b)
{
    struct record x, y;
    must(record_unpack(&x, ((const struct kept *)a)->value));
    must(record_unpack(&y, ((const struct kept *)b)->value));
    int author = memcmp(x.header.author.bytes, y.header.author.bytes, 32);
    if (author != 0) return author;
    if (x.header.seq != y.header.seq) return x.header.seq < y.header.seq ? -1 : 1;
    return memcmp(x.id.bytes, y.id.bytes, 32);
}

static void restore(struct cluster_node *n)
{
    static struct kept record[KEPT_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < n->kept_count; i++) {
        const struct kept *k = &n->kept[i];
        if (k->space == KEEP_RECORD) record[count++] = *k;
        if (k->space == KEEP_LOCAL && k->value.len > 0)
            step(n, (struct event){.type = EVENT_RESTORE_LOCAL, .key = k->key, .bytes = k->value});
        if (k->space == KEEP_PROMISE)
            step(n, (struct event){.type = EVENT_RESTORE_PROMISE, .key = k->key, .bytes = k->value});
    }
    qsort(record, count, sizeof record[0], by_place);
    for (uint32_t i = 0; i < count; i++)
        step(n, (struct event){.type = EVENT_RESTORE_RECORD, .bytes = record[i].value});
    step(n, (struct event){.type = EVENT_READY});
}

static void tell_link(struct cluster *c, uint32_t at, uint32_t peer, bool up)
{
    if (c->node[at].core == NULL) return;
    struct event event = {.type = up ? EVENT_PEER_UP : EVENT_PEER_DOWN, .peer = c->node[peer].keys.id};
    push(c, at, 1, event);
}

void cluster_restart(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = &c->node[node];
    struct core_options options = {.self = n->keys.id,
                                   .consortium = c->world->consortium,
                                   .charter = c->world->charter,
                                   .compute = is_compute(node),
                                   .platform = platform_of(c, node),
                                   .engine = SPAN_LITERAL("int-gate/1"),
                                   .gpu = SPAN_LITERAL(""),
                                   .enclaves_max = 2,
                                   .caps = &caps_full};
    ASSERT(n->core == NULL);
    n->arena = arena_make(sparse(core_arena_bytes(&caps_full)), core_arena_bytes(&caps_full));
    n->incarnation++;
    must(core_new(&n->core, &n->arena, &options));
    n->taken = arena_mark(&n->arena);
    restore(n);
    push(c, node, below(c, 100000), (struct event){.type = EVENT_TICK});
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        if (i == node || !c->linked[node][i] || c->node[i].core == NULL) continue;
        tell_link(c, node, i, true);
        tell_link(c, i, node, true);
    }
}

void cluster_crash(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = &c->node[node];
    ASSERT(n->core != NULL);
    uint64_t landed = below(c, n->batch_count + 1); /* a torn moment: on disk, and nobody was told */
    for (uint64_t i = 0; i < landed && n->store_err == OK && !n->hold; i++) land_first(n, false);
    while (n->batch_count > 0) forget(&n->batch[--n->batch_count]);
    for (uint32_t i = 0; i < c->start_count; i++)
        if (c->place[i].node == node) end_enclave(c, &c->place[i]);
    ASSERT(arena_mark(&n->arena) == n->taken); /* nothing is taken but at the start */
    (void)munmap(n->arena.data, n->arena.cap);
    n->core = NULL;
    n->paused = false;
    n->incarnation++;
    n->hold = false;
    n->store_err = OK;
    for (uint32_t i = 0; i < CLUSTER_NODES; i++)
        if (i != node && c->linked[node][i]) tell_link(c, i, node, false);
}

/* --- Knobs -------------------------------------------------------------------------------------------------------------------------------- */

void cluster_link(struct cluster *c, uint32_t a, uint32_t b, bool up)
{
    if (a == b || c->linked[a][b] == up) return;
    c->linked[a][b] = c->linked[b][a] = up;
    if (c->node[a].core == NULL || c->node[b].core == NULL) return;
    tell_link(c, a, b, up);
    tell_link(c, b, a, up);
}

void cluster_part(struct cluster *c, uint32_t nodes, bool apart)
{
    for (uint32_t a = 0; a < CLUSTER_NODES; a++)
        for (uint32_t b = 0; b < a; b++)
            if ((nodes >> a & 1) != (nodes >> b & 1)) cluster_link(c, a, b, !apart);
}

void cluster_pause(struct cluster *c, uint32_t node, bool pause)
{
    c->node[node].paused = pause;
}

void cluster_hold_store(struct cluster *c, uint32_t node, bool hold)
{
    c->node[node].hold = hold;
}

void cluster_fail_store(struct cluster *c, uint32_t node, enum err err)
{
    c->node[node].store_err = err;
}

void cluster_set_clock(struct cluster *c, uint32_t node, int64_t ahead_ms)
{
    c->node[node].ahead_ms = ahead_ms;
}

void cluster_noise(struct cluster *c, uint32_t loss_percent, uint32_t repeat_percent)
{
    c->loss_percent = loss_percent;
    c->repeat_percent = repeat_percent;
}

/* --- Commands ------------------------------------------------------------------------------------------------------------------------------ */

static uint64_t command_push(struct cluster *c, uint32_t node, const struct command *command)
{
    struct command *kept = take(sizeof *kept);
    *kept = *command;
    kept->body = copy(command->body);
    kept->parameters = copy(command->parameters);
    uint64_t token = ++c->token_next;
    push(c, node, 1, (struct event){.type = EVENT_COMMAND, .token = token, .command = kept});
    return token;
}

void cluster_send_command(struct cluster *c, uint32_t node, const struct command *command)
{
    (void)command_push(c, node, command);
}

static bool has_replied(struct cluster *c)
{
    return c->replied;
}

struct verdict cluster_command(struct cluster *c, uint32_t node, const struct command *command,
                               struct hash32 *id)
{
    c->replied = false;
    c->reply_token = command_push(c, node, command);
    bool replied = cluster_until(c, has_replied, COMMAND_WAIT_MS);
    ASSERT(replied);
    if (id != NULL) *id = c->reply_id;
    return c->reply;
}

struct verdict cluster_author(struct cluster *c, uint32_t node, enum kind kind, const void *body,
                              uint64_t expires_ms, struct hash32 *id)
{
    static uint8_t bytes[CAP_BODY_BYTES];
    struct buffer b = BUFFER_OF(bytes);
    body_encode(&b, kind, body);
    must(buffer_done(&b));
    struct command command = {
        .type = COMMAND_AUTHOR, .kind = kind, .body = buffer_span(&b), .expires_ms = expires_ms};
    return cluster_command(c, node, &command, id);
}

static struct hash32 author(struct cluster *c, uint32_t node, enum kind kind, const void *body,
                            uint64_t expires_ms)
{
    struct hash32 id;
    struct verdict v = cluster_author(c, node, kind, body, expires_ms, &id);
    if (v.refusal != REFUSAL_NONE)
        (void)fprintf(stderr, "node %u, %s: %s\n", node, kind_name(kind), refusal_name(v.refusal));
    ASSERT(v.refusal == REFUSAL_NONE);
    return id;
}

struct verdict cluster_request(struct cluster *c, uint64_t slot, struct run_id *run)
{
    struct hash32 id;
    struct command command = {
        .type = COMMAND_RUN, .compose = c->world->compose, .slot = slot, .parameters = c->world->parameters};
    struct verdict v = cluster_command(c, WORLD_REQUESTER, &command, &id);
    if (run != NULL) memcpy(run->bytes, id.bytes, 32);
    return v;
}

struct span cluster_forge(struct cluster *c, uint32_t node, uint64_t seq, struct record_id prev,
                          enum kind kind, const void *body)
{
    return cluster_forge_of(c, node, seq, prev, kind, body, cluster_wall_ms(c));
}

struct span cluster_forge_of(struct cluster *c, uint32_t node, uint64_t seq, struct record_id prev,
                             enum kind kind, const void *body, uint64_t time_ms)
{
    static uint8_t built[CAP_HEADER_BYTES + CAP_BODY_BYTES], message[CAP_HEADER_BYTES + CAP_BODY_BYTES + 128];
    struct buffer b = BUFFER_OF(built), out = BUFFER_OF(message);
    struct header h = {.kind = kind,
                       .consortium = c->world->consortium,
                       .author = c->node[node].keys.id,
                       .seq = seq,
                       .prev = prev,
                       .time_ms = time_ms,
                       .residency = SPAN_LITERAL("")};
    struct record r;
    struct signature signature;
    size_t header_len;
    must(record_build(&b, &header_len, &h, body));
    struct span header = span_make(built, header_len);
    must(identity_sign(&signature, &c->node[node].keys.secret, record_sign_hash(kind, header)));
    must(record_open(&r, header, &signature, span_make(built + header_len, b.len - header_len)));
    record_encode(&out, &r);
    must(buffer_done(&out));
    return buffer_span(&out);
}

/* --- Stages --------------------------------------------------------------------------------------------------------------------------------- */

static bool charter_known(struct cluster *c)
{
    for (uint32_t i = 0; i < CLUSTER_NODES; i++)
        if (c->node[i].core != NULL && registry_charter(core_registry(c->node[i].core)) == NULL) return false;
    return true;
}

void cluster_sign_charter(struct cluster *c)
{
    struct body_CHARTER body = {c->world->charter};
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) {
        struct verdict v = cluster_author(c, i, KIND_CHARTER, &body, 0, NULL);
        ASSERT(v.refusal == REFUSAL_NONE || v.refusal == REFUSAL_EXISTS); /* signed before */
    }
    bool known = cluster_until(c, charter_known, 60000);
    ASSERT(known);
}

static struct body_MEMBER request_of(const struct cluster *c, uint32_t node)
{
    const struct world_node *n = &c->node[node].keys;
    static const uint32_t roles[] = {ROLE_COMPUTE, ROLE_ALGORITHM, ROLE_REQUESTER, ROLE_COMPUTE};
    static const char *const names[] = {"gpu-hall", "methods", "study-office", "gpu-yard"};
    return (struct body_MEMBER){.node = n->id,
                                .organisation = span_text(names[node - WORLD_CUSTODIANS]),
                                .jurisdiction = SPAN_LITERAL("EU"),
                                .roles = roles[node - WORLD_CUSTODIANS],
                                .kem = n->kem,
                                .approval = n->id,
                                .platforms = SPAN_LITERAL("")};
}

static bool all_admitted(struct cluster *c)
{
    for (uint32_t i = 0; i < CLUSTER_NODES; i++)
        for (uint32_t j = WORLD_CUSTODIANS; j < CLUSTER_NODES; j++)
            if (c->node[i].core != NULL &&
                registry_member(core_registry(c->node[i].core), c->node[j].keys.id) == NULL)
                return false;
    return true;
}

static bool all_requests_known(struct cluster *c)
{
    for (uint32_t i = 0; i < 3; i++)
        if (core_join_at(c->node[i].core, CLUSTER_NODES - WORLD_CUSTODIANS - 1) == NULL) return false;
    return true;
}

struct verdict cluster_ask_to_join(struct cluster *c, uint32_t node)
{
    static uint8_t bytes[1024];
    struct body_MEMBER body = request_of(c, node);
    struct buffer b = BUFFER_OF(bytes);
    body_encode(&b, KIND_JOIN, &body);
    struct command command = {.type = COMMAND_JOIN, .kind = KIND_JOIN, .body = buffer_span(&b)};
    return cluster_command(c, node, &command, NULL);
}

/* The stewards admit what stands in their inbox, as it stands there. */
void cluster_admit(struct cluster *c)
{
    for (uint32_t i = WORLD_CUSTODIANS; i < CLUSTER_NODES; i++) {
        struct verdict v = cluster_ask_to_join(c, i);
        ASSERT(v.refusal == REFUSAL_NONE);
    }
    bool known = cluster_until(c, all_requests_known, 60000);
    ASSERT(known);
    for (uint32_t i = 0; i < 3; i++)
        for (uint32_t j = 0; j < CLUSTER_NODES - WORLD_CUSTODIANS; j++) {
            struct body_MEMBER body = core_join_at(c->node[i].core, j)->body;
            (void)author(c, i, KIND_MEMBER, &body, 0);
        }
    bool admitted = cluster_until(c, all_admitted, 60000);
    ASSERT(admitted);
}

static bool committee_known(struct cluster *c)
{
    for (uint32_t i = 0; i < CLUSTER_NODES; i++)
        if (c->node[i].core != NULL && registry_committee(core_registry(c->node[i].core)) == NULL)
            return false;
    return true;
}

void cluster_generate_keys(struct cluster *c)
{
    struct command command = {.type = COMMAND_KEYGEN, .body = SPAN_NONE};
    struct verdict v = cluster_command(c, 0, &command, NULL); /* one begins, the others follow */
    ASSERT(v.refusal == REFUSAL_NONE);
    bool known = cluster_until(c, committee_known, 120000);
    ASSERT(known);
}

/* The world's records of these kinds, again, each by its author. */
static void say_again(struct cluster *c, enum kind kind)
{
    static union body body;
    for (uint32_t i = 0; i < c->world->record_count; i++) {
        const struct record *r = c->world->record[i];
        if (r->header.kind != kind) continue;
        must(body_decode(&body, kind, r->body));
        if (kind == KIND_ENDORSEMENT) body.ENDORSEMENT.job = c->job;
        struct hash32 id = author(c, number_of(c, r->header.author), kind, &body, r->header.expires_ms);
        if (kind == KIND_JOB) memcpy(c->job.bytes, id.bytes, 32);
    }
}

static bool workflow_known(struct cluster *c)
{
    for (uint32_t i = 0; i < CLUSTER_NODES; i++)
        if (c->node[i].core != NULL &&
            registry_workflow(core_registry(c->node[i].core), c->world->compose) == NULL)
            return false;
    return true;
}

static bool job_endorsed(struct cluster *c)
{
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        if (c->node[i].core == NULL) continue;
        struct registry *r = core_registry(c->node[i].core);
        const struct job *job = registry_job(r, c->world->compose);
        if (job == NULL || registry_endorsements(r, job) < 3) return false;
    }
    return true;
}

void cluster_publish(struct cluster *c)
{
    say_again(c, KIND_WORKERS);
    say_again(c, KIND_OP);
    say_again(c, KIND_ASSET);
    bool known = cluster_until(c, workflow_known, 60000) && cluster_until(c, cluster_converged, 60000);
    ASSERT(known);
    say_again(c, KIND_GRANT);
    say_again(c, KIND_JOB);
    say_again(c, KIND_ENDORSEMENT);
    bool endorsed = cluster_until(c, job_endorsed, 60000);
    ASSERT(endorsed);
}

void cluster_approve(struct cluster *c, uint32_t owner)
{
    union body body;
    must(body_decode(&body, KIND_APPROVAL, c->world->approval[owner]->body));
    (void)author(c, owner, KIND_APPROVAL, &body, c->world->approval[owner]->header.expires_ms);
}

void cluster_form(struct cluster *c)
{
    cluster_sign_charter(c);
    cluster_admit(c);
    cluster_generate_keys(c);
    cluster_publish(c);
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) cluster_approve(c, i);
    bool same = cluster_until(c, cluster_converged, 60000);
    ASSERT(same);
}

/* --- Reading ---------------------------------------------------------------------------------------------------------------------------------- */

struct core *cluster_core(struct cluster *c, uint32_t node)
{
    return c->node[node].core;
}

uint64_t cluster_now_ms(const struct cluster *c)
{
    return c->now_us / 1000;
}

uint64_t cluster_wall_ms(const struct cluster *c)
{
    return WORLD_START_MS + 1000 + c->now_us / 1000;
}

const struct cluster_start *cluster_starts(const struct cluster *c, uint32_t *count)
{
    *count = c->start_count;
    return c->start;
}

uint32_t cluster_votes_sent(const struct cluster *c, uint32_t node)
{
    return c->node[node].votes_sent;
}

struct node_id cluster_id(const struct cluster *c, uint32_t node)
{
    return c->node[node].keys.id;
}

bool cluster_promised(const struct cluster *c, uint32_t node, const uint8_t *key, const uint8_t value[32])
{
    const struct kept *k = find_kept(&c->node[node], KEEP_PROMISE, span_make(key, PROMISE_KEY_BYTES));
    return k != NULL && span_equal(k->value, span_make(value, 32));
}

static bool same_head(const struct chain *a, const struct chain *b, struct node_id id)
{
    const struct author *x = chain_author(a, id), *y = chain_author(b, id);
    uint64_t applied_x = x != NULL ? x->applied : 0, applied_y = y != NULL ? y->applied : 0;
    if (applied_x != applied_y) return false;
    return applied_x == 0 || ID_EQUAL(x->head, y->head);
}

/* Is it known of every approval which key signed it? */
static bool keys_read(struct registry *r)
{
    struct node_id key;
    for (uint32_t i = 0; i < registry_approval_count(r); i++)
        if (registry_approval_at(r, i)->key_state == KEY_ASKED || registry_approval_unread(r, i, &key))
            return false;
    return true;
}

bool cluster_converged(struct cluster *c)
{
    const struct cluster_node *first = NULL;
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        const struct cluster_node *n = &c->node[i];
        if (n->core == NULL) continue;
        if (first == NULL) first = n;
        if (registry_member(core_registry(first->core), n->keys.id) == NULL) continue; /* reads little */
        if (!keys_read(core_registry(n->core))) return false;
        for (uint32_t j = 0; j < CLUSTER_NODES; j++)
            if (!same_head(core_chain(first->core), core_chain(n->core), c->node[j].keys.id)) return false;
    }
    return true;
}

/* --- The whole -------------------------------------------------------------------------------------------------------------------------------- */

static void make_second(struct world_node *n)
{
    memset(n->secret.bytes, 0x5e, 32);
    memset(n->kem_secret.bytes, 0x6e, 32);
    must(identity_public(&n->id, &n->secret));
    kem_public_of(&n->kem, &n->kem_secret);
}

static void keep_record(struct cluster_node *n, const struct record *r)
{
    static uint8_t bytes[CAP_BODY_BYTES + 1024];
    struct buffer b = BUFFER_OF(bytes);
    record_pack(&b, r);
    must(buffer_done(&b));
    must(land_item(n, &(struct kept){KEEP_RECORD, ID_SPAN(r->id), buffer_span(&b)}));
    if (ID_EQUAL(r->header.author, n->keys.id))
        n->sent[n->sent_count++] = (struct sent_header){r->header.seq, r->id};
}

/* Every store holds what the world has said, but for its request; the stewards have admitted the second compute member. */
static void begin_settled(struct cluster *c)
{
    const struct world_node *n = &c->node[CLUSTER_SECOND].keys;
    struct body_MEMBER second = {.node = n->id,
                                 .organisation = SPAN_LITERAL("gpu-barn"),
                                 .jurisdiction = SPAN_LITERAL("EU"),
                                 .roles = ROLE_COMPUTE,
                                 .kem = n->kem,
                                 .approval = n->id,
                                 .platforms = SPAN_LITERAL("")};
    for (uint32_t i = 0; i < 3; i++) (void)world_record(c->world, i, KIND_MEMBER, &second, 0);
    for (uint32_t i = 0; i < c->world->record_count; i++)
        for (uint32_t j = 0; j < CLUSTER_NODES; j++)
            if (c->world->record[i]->header.kind != KIND_RUN) keep_record(&c->node[j], c->world->record[i]);
}

struct cluster *cluster_new(struct world *w, const struct cluster_options *options)
{
    struct cluster *c = sparse(sizeof *c);
    c->world = w;
    c->random = options->seed;
    c->loss_percent = options->loss_percent;
    c->repeat_percent = options->repeat_percent;
    c->queue = take(sizeof *c->queue * QUEUE_MAX);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) {
        struct cluster_node *n = &c->node[i];
        if (i < WORLD_NODES) n->keys = w->node[i];
        if (i < WORLD_CUSTODIANS && options->enclaves) world_deal(w, i, &n->left);
        n->number = i;
        n->cluster = c;
        n->executors =
            (struct pump_executors){n,        x_send,          x_offence,      x_send_blob,    x_store,
                                    x_crypto, x_enclave_start, x_enclave_send, x_enclave_blob, x_enclave_stop,
                                    x_dial,   x_hang_up,       x_reply,        x_notice,       NULL};
        for (uint32_t j = 0; j < CLUSTER_NODES; j++) c->linked[i][j] = i != j;
    }
    c->enclaves = options->enclaves;
    c->compute_ms = options->compute_ms;
    make_second(&c->node[CLUSTER_SECOND].keys);
    if (c->enclaves) begin_settled(c);
    for (uint32_t i = 0; i < CLUSTER_NODES; i++) cluster_restart(c, i);
    return c;
}

void cluster_free(struct cluster *c)
{
    for (uint32_t i = 0; i < CLUSTER_NODES; i++)
        if (c->node[i].core != NULL) cluster_crash(c, i);
    while (c->queue_count > 0) {
        struct waiting w = pop(c);
        drop_event(&w.event);
    }
    for (uint32_t i = 0; i < CLUSTER_NODES; i++)
        for (uint32_t j = 0; j < c->node[i].kept_count; j++) {
            drop(c->node[i].kept[j].key);
            drop(c->node[i].kept[j].value);
        }
    free(c->queue);
    (void)munmap(c, sizeof *c);
}
