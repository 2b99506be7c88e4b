#include "proto/core_state.h"

#include <string.h>

#define STATE_NAME(symbol, name) name,
static const char *const state_names[RUN_STATE_COUNT] = {RUN_STATE_TABLE(STATE_NAME)};

const char *run_state_name(enum run_state s)
{
    return (unsigned)s < RUN_STATE_COUNT ? state_names[s] : "unknown";
}

/* X(array, rows). Those of which little is used share their pages; of the others most cores use next to nothing. */
#define NEAR_ARRAYS(X)                                                                                       \
    X(result_taken, caps->enclaves)                                                                          \
    X(own_queue, caps->own_queue)                                                                            \
    X(join_block, caps->joins)                                                                               \
    X(join_from, caps->joins)                                                                                \
    X(pending_of, caps->pending)                                                                             \
    X(peer, caps->peers)                                                                                     \
    X(want, caps->wants)                                                                                     \
    X(advert, caps->adverts)                                                                                 \
    X(join, caps->joins)                                                                                     \
    X(answer, caps->answers)                                                                                 \
    X(pending, caps->pending)
#define FAR_ARRAYS(X)                                                                                        \
    X(result, caps->enclaves)                                                                                \
    X(track, CAP_RUNS)                                                                                       \
    X(certificate, CAP_RUNS)

/* A block of the largest body for each: what is full is done later. */
static size_t pool_bytes(const struct caps *caps)
{
    return (size_t)(caps->pending + caps->own_queue + caps->joins) * POOL_BODY_BYTES;
}

static size_t answers_bytes(const struct caps *caps)
{
    return (size_t)caps->answers * ANSWER_BOX_BYTES;
}

/* Without what a registry has by itself. */
static size_t own_room_bytes(const struct caps *caps)
{
    return ARENA_BYTES(1, SCRATCH_BYTES) + ARENA_BYTES(caps->effects, sizeof(struct effect));
}

size_t step_room_bytes(const struct caps *caps)
{
    return own_room_bytes(caps != NULL ? caps : &caps_full) + ARENA_BYTES(1, registry_scratch_bytes());
}

static enum err own_room_init(struct step_room *room, struct arena *arena, const struct caps *caps)
{
    *room = (struct step_room){.effect = ARENA_ARRAY(arena, struct effect, caps->effects),
                               .effects = caps->effects};
    const bool taken = arena_part(arena, &room->scratch, SCRATCH_BYTES) != NULL;
    return taken && room->effect != NULL ? OK : ERR_NO_MEMORY;
}

enum err step_room_init(struct step_room *room, struct arena *arena, const struct caps *caps)
{
    TRY(own_room_init(room, arena, caps != NULL ? caps : &caps_full));
    return arena_part(arena, &room->documents, registry_scratch_bytes()) != NULL ? OK : ERR_NO_MEMORY;
}

#define ADD_ARRAY(array, rows) bytes += ARENA_BYTES(rows, sizeof *((struct core *)NULL)->array);
static size_t far_bytes(const struct caps *caps)
{
    size_t bytes = ARENA_BYTES(1, pool_bytes(caps)) + ARENA_BYTES(1, answers_bytes(caps));
    FAR_ARRAYS(ADD_ARRAY)
    return bytes;
}

/* What most cores use little of lies together, and tables fill what follows. */
static size_t heap_bytes(const struct caps *caps)
{
    size_t bytes = registry_heap_bytes() + ARENA_BYTES(1, promises_bytes(PROMISES_MAX)) + heads_bytes() +
                   mesh_bytes(caps) + contacts_bytes(caps) + ARENA_BYTES(1, index_bytes(CAP_RUNS)) +
                   ARENA_BYTES(1, chain_heap_bytes(caps->chain_parts));
    NEAR_ARRAYS(ADD_ARRAY)
    return bytes;
}
#undef ADD_ARRAY

/* Virtual, not resident: tables are touched only as far as they are used. */
size_t core_arena_bytes(const struct caps *caps)
{
    if (caps == NULL) caps = &caps_full;
    return ARENA_BYTES(1, sizeof(struct core)) + 2 * ARENA_BYTES(1, CAP_TEXT) +
           ARENA_BYTES(1, CAP_DOCUMENT_BYTES) + ARENA_BYTES(1, CONTACT_ADDRESS_MAX) + registry_bytes() +
           chain_bytes(caps->chain_parts) + heap_bytes(caps) + far_bytes(caps) + own_room_bytes(caps) -
           registry_heap_bytes() - ARENA_BYTES(1, chain_heap_bytes(caps->chain_parts));
}

size_t core_registry_bytes(void)
{
    return core_arena_bytes(&caps_full) - chain_bytes(caps_full.chain_parts);
}

/* Everything that a core ever needs: nothing is taken from the arena afterwards. */
static enum err take_near(struct core *c, struct arena *arena, uint64_t salt)
{
    const struct caps *caps = c->options.caps;
    if (arena_part(arena, &c->heap, heap_bytes(caps)) == NULL) return ERR_NO_MEMORY;
#define TAKE_ARRAY(array, rows) c->array = arena_take(&c->heap, rows, sizeof *c->array);
    NEAR_ARRAYS(TAKE_ARRAY)
#undef TAKE_ARRAY
    TRY(heads_init(&c->heads, &c->heap, &c->chain));
    TRY(mesh_begin(c, &c->heap, salt));
    TRY(contacts_begin(c, &c->heap));
    promises_init_in(&c->promises, &c->heap, PROMISES_MAX, salt);
    index_init_in(&c->tracks, &c->heap, CAP_RUNS, salt);
    return OK;
}

static enum err take_far(struct core *c, struct arena *arena)
{
    const struct caps *caps = c->options.caps;
#define TAKE_ARRAY(array, rows) c->array = arena_take(arena, rows, sizeof *c->array);
    FAR_ARRAYS(TAKE_ARRAY)
#undef TAKE_ARRAY
    c->room = c->options.room != NULL ? c->options.room : &c->own_room;
    if (c->options.room == NULL) TRY(own_room_init(&c->own_room, arena, caps));
    ASSERT(c->room->effects >= caps->effects);
    const bool room = arena_part(arena, &c->blocks, pool_bytes(caps)) != NULL &&
                      arena_part(arena, &c->answers, answers_bytes(caps)) != NULL;
    ASSERT(room); /* core_new has seen that there is */
    pool_init(&c->pool, &c->blocks);
    return OK;
}

enum err core_new(struct core **out, struct arena *arena, const struct core_options *options)
{
    uint64_t salt = load_u64(options->self.bytes) ^ options->salt;
    size_t before = arena_mark(arena);
    if (options->charter.len == 0) return ERR_NOT_READY;
    if (options->charter.len > CAP_DOCUMENT_BYTES || options->engine.len > CAP_TEXT ||
        options->gpu.len > CAP_TEXT || options->announce.len > CONTACT_ADDRESS_MAX)
        return ERR_TOO_LARGE;
    if (arena->cap - before < core_arena_bytes(options->caps)) return ERR_NO_MEMORY;
    struct core *c = ARENA_NEW(arena, struct core);
    c->options = *options;
    if (options->caps == NULL) c->options.caps = &caps_full;
    const struct caps *caps = c->options.caps;
    if (c->options.enclaves_max > caps->enclaves) c->options.enclaves_max = caps->enclaves;
    c->token_next = 1;
    c->silence = options->silence;
    TRY(arena_copy(arena, &c->options.engine, options->engine));
    TRY(arena_copy(arena, &c->options.gpu, options->gpu));
    TRY(arena_copy(arena, &c->options.charter, options->charter));
    TRY(arena_copy(arena, &c->options.announce, options->announce));
    TRY(take_near(c, arena, salt));
    const struct registry_room room = {options->room != NULL ? &options->room->documents : NULL, &c->heap};
    TRY(registry_new_in(&c->registry, arena, room, options->consortium, c->options.charter));
    registry_await_keys(c->registry);
    TRY(chain_init_in(&c->chain, arena, &c->heap, caps->chain_parts, options->self, salt));
    c->chain.shelf = options->shelf;
    registry_share(c->registry, options->shelf);
    chain_restore(&c->chain, true); /* until EVENT_READY */
    TRY(take_far(c, arena));
    ASSERT(arena_mark(arena) - before <= core_arena_bytes(caps));
    *out = c;
    return OK;
}

/* --- Effects and work in flight ------------------------------------------------------------------------------------------ */

struct effect *emit(struct core *c, enum effect_type type)
{
    ASSERT(c->effect_count < c->options.caps->effects);
    struct effect *e = &c->room->effect[c->effect_count++];
    memset(e, 0, sizeof *e);
    e->type = type;
    return e;
}

const struct effect *core_effects(const struct core *c, uint32_t *count)
{
    *count = c->effect_count;
    return c->room->effect;
}

struct span core_spare(struct core *c)
{
    return pool_spare(&c->pool);
}

bool step_has_room(const struct core *c)
{
    return !c->step_full && c->effect_count < c->options.caps->effects / 2 &&
           c->room->scratch.used < SCRATCH_BYTES / 2;
}

struct buffer scratch_buffer(struct core *c, size_t cap)
{
    uint8_t *data = arena_take(&c->room->scratch, cap, 1);
    ASSERT(data != NULL);
    return buffer_make(data, cap);
}

void scratch_trim(struct core *c, const struct buffer *b, size_t touched)
{
    const size_t begin = (size_t)(b->data - c->room->scratch.data);
    ASSERT(begin + ARENA_BYTES(1, b->cap) == c->room->scratch.used && touched <= b->cap);
    c->room->scratch.used = begin + ARENA_BYTES(1, touched);
}

struct span scratch_copy(struct core *c, struct span bytes)
{
    struct buffer b = scratch_buffer(c, bytes.len > 0 ? bytes.len : 1);
    buffer_put(&b, bytes);
    return buffer_span(&b);
}

uint32_t pending_part(const struct core *c, uint32_t sixteenths)
{
    return c->options.caps->pending * sixteenths / 16;
}

static struct pending *take_row(struct core *c)
{
    if (c->pending_free_plus_one == 0) return &c->pending[c->pending_used++];
    struct pending *p = &c->pending[c->pending_free_plus_one - 1];
    c->pending_free_plus_one = p->next_free_plus_one;
    return p;
}

struct pending *pending_new(struct core *c, pending_step then)
{
    const uint32_t slots = c->options.caps->pending;
    for (uint32_t i = 0; i < slots; i++) {
        const uint32_t at = (c->slot_next + i) % slots;
        if (c->pending_of[at] != 0) continue;
        struct pending *p = take_row(c);
        *p = (struct pending){.token = c->token_next++ * CAP_PENDING + at, .then = then};
        c->pending_of[at] = (uint16_t)(p - c->pending + 1);
        c->slot_next = at + 1;
        return p;
    }
    return NULL;
}

static void give_row(struct core *c, struct pending *p)
{
    c->pending_of[p->token % CAP_PENDING] = 0;
    *p = (struct pending){.next_free_plus_one = c->pending_free_plus_one};
    c->pending_free_plus_one = (uint32_t)(p - c->pending) + 1;
}

bool pending_keep(struct core *c, struct pending *p, struct span bytes)
{
    ASSERT(p->block == NULL);
    p->block = pool_take(&c->pool, bytes.len > 0 ? bytes.len : 1);
    if (p->block == NULL) return false;
    if (bytes.len > 0) memcpy(p->block, bytes.data, bytes.len);
    p->len = bytes.len;
    return true;
}

/* --- Whose work it is ---------------------------------------------------------------------------------------------------- */

static bool is_custodian(const struct core *c, struct node_id node)
{
    return charter_custodian(registry_charter_bytes(c->registry), node) >= 0;
}

static void charge(struct core *c, struct pending *p, struct node_id peer)
{
    struct peer *row = peer_find(c, peer);
    ASSERT(!p->foreign);
    p->foreign = true;
    p->of_member = !p->urgent && !is_custodian(c, peer);
    p->row = row != NULL ? (uint32_t)(row - c->peer) : (uint32_t)NO_ROW;
    p->serial = row != NULL ? row->serial : 0;
    c->foreign_in_flight++;
    if (p->of_member) c->members_in_flight++;
    if (row == NULL)
        c->rowless_in_flight++;
    else if (p->urgent)
        row->urgent++;
    else
        row->in_flight++;
}

void pending_charge(struct core *c, struct pending *p, struct node_id peer)
{
    if (!ID_IS_ZERO(peer) && !ID_EQUAL(peer, c->options.self)) charge(c, p, peer);
}

static void discharge(struct core *c, const struct pending *p)
{
    if (!p->foreign) return;
    ASSERT(c->foreign_in_flight > 0);
    c->foreign_in_flight--;
    if (p->of_member) c->members_in_flight--;
    if (p->row == NO_ROW)
        c->rowless_in_flight--;
    else if (c->peer[p->row].serial == p->serial && p->urgent)
        c->peer[p->row].urgent--;
    else if (c->peer[p->row].serial == p->serial)
        c->peer[p->row].in_flight--;
}

static bool has_share_left(struct core *c, struct node_id peer)
{
    const struct peer *row = peer_find(c, peer);
    uint32_t in_flight = row != NULL ? row->in_flight : c->rowless_in_flight;
    bool known = row != NULL && (core_tier(c, peer) == TIER_MEMBER || sync_has_turn(c, row));
    if (in_flight >= (known ? pending_part(c, MEMBER_PENDING_16THS) : STRANGER_PENDING_MAX)) return false;
    if (c->foreign_in_flight >= pending_part(c, FOREIGN_PENDING_16THS)) return false;
    return is_custodian(c, peer) || c->members_in_flight < pending_part(c, MEMBERS_PENDING_16THS);
}

struct pending *pending_for(struct core *c, struct node_id peer, pending_step then)
{
    bool own = ID_IS_ZERO(peer) || ID_EQUAL(peer, c->options.self);
    struct pending *p = own || has_share_left(c, peer) ? pending_new(c, then) : NULL;
    if (p == NULL) return NULL;
    p->peer = peer;
    pending_charge(c, p, peer);
    return p;
}

struct pending *pending_urgent(struct core *c, struct node_id peer, pending_step then)
{
    struct pending *p = pending_for(c, peer, then);
    const struct peer *row = peer_find(c, peer);
    if (p != NULL || row == NULL || core_tier(c, peer) != TIER_MEMBER) return p;
    if (row->urgent >= URGENT_PENDING_MAX || c->foreign_in_flight >= pending_part(c, FOREIGN_PENDING_16THS))
        return NULL;
    p = pending_new(c, then);
    if (p == NULL) return NULL;
    p->peer = peer;
    p->urgent = true;
    charge(c, p, peer);
    return p;
}

void pending_end(struct core *c, struct pending *p)
{
    ASSERT(p->token != 0);
    discharge(c, p);
    pool_give(&c->pool, p->block);
    pool_give(&c->pool, p->side);
    give_row(c, p);
}

struct crypto_job *ask_crypto(struct core *c, struct pending *p, enum crypto_op op, pending_step then)
{
    struct effect *e = emit(c, EFFECT_CRYPTO);
    p->then = then;
    e->token = p->token;
    e->crypto.op = op;
    return &e->crypto;
}

void ask_store(struct core *c, struct pending *p, pending_step then, const struct keep *items, uint32_t count)
{
    struct effect *e = emit(c, EFFECT_STORE);
    ASSERT(count <= KEEP_MAX);
    p->then = then;
    e->token = p->token;
    memcpy(e->keep, items, count * sizeof *items);
    e->keep_count = count;
}

void ask_verify(struct core *c, struct pending *p, pending_step then, struct node_id author,
                struct hash32 message, const struct signature *signature)
{
    struct buffer b = scratch_buffer(c, VERIFY_PART_BYTES);
    buffer_put(&b, ID_SPAN(author));
    buffer_put(&b, ID_SPAN(message));
    buffer_put(&b, SPAN_OF(signature->bytes));
    struct crypto_job *job = ask_crypto(c, p, CRYPTO_VERIFY, then);
    job->parts = buffer_span(&b);
    job->part_count = 1;
}

void reply(struct core *c, uint64_t token, struct verdict verdict, const uint8_t id32[32])
{
    if (token == 0) return;
    struct effect *e = emit(c, EFFECT_REPLY);
    e->token = token;
    e->verdict = verdict;
    if (id32 != NULL) memcpy(e->id.bytes, id32, 32);
}

void notice(struct core *c, const char *text, struct span subject, const char *more)
{
    struct buffer b = scratch_buffer(c, 512);
    buffer_put_text(&b, text);
    if (subject.len > 0) {
        buffer_put_u8(&b, ' ');
        buffer_put_hex(&b, span_make(subject.data, subject.len < 8 ? subject.len : 8));
    }
    if (more != NULL) {
        buffer_put_text(&b, ": ");
        buffer_put_text(&b, more);
    }
    emit(c, EFFECT_NOTICE)->bytes = buffer_span(&b);
}

void happened(struct core *c, struct happened what)
{
    if (c->ready) emit(c, EFFECT_HAPPENED)->happened = what;
}

void answered(struct core *c, enum custodian_ask ask, struct run_id run, struct verdict v)
{
    happened(c, (struct happened){.type = HAPPENED_ANSWER, .ask = ask, .run = run, .verdict = v});
}

static void notice_in_turn(struct core *c, int64_t *next_ns, const char *text, struct span subject,
                           const char *more)
{
    if (c->now.ns < *next_ns) return;
    *next_ns = c->now.ns + (int64_t)STRANGER_NOTICE_MS * 1000000;
    notice(c, text, subject, more);
}

void stranger_notice(struct core *c, const char *text, struct node_id subject)
{
    notice_in_turn(c, &c->stranger_notice_ns, text, ID_SPAN(subject), NULL);
}

void unkept_notice(struct core *c, const char *why)
{
    notice_in_turn(
        c, &c->unkept_notice_ns,
        "a peer's record could not be stored; it is told of as held once it is, and tried each second",
        SPAN_NONE, why);
}

void peer_notice(struct core *c, struct node_id peer, const char *text, struct span subject, const char *more)
{
    struct peer *p = peer_find(c, peer);
    notice_in_turn(c, p != NULL ? &p->notice_ns : &c->stranger_notice_ns, text, subject, more);
}

struct verdict trouble(struct core *c, struct node_id asker, struct run_id run, const char *why)
{
    peer_notice(c, asker, "custodian-trouble, nothing given for run", ID_SPAN(run), why);
    return verdict_refuse(REFUSAL_TROUBLE, NULL);
}

void offence(struct core *c, struct node_id peer, const char *what)
{
    c->refused_messages++;
    if (ID_IS_ZERO(peer) || ID_EQUAL(peer, c->options.self)) return; /* a command's, or an own one */
    stranger_notice(c, what, peer);
    emit(c, EFFECT_OFFENCE)->peer = peer;
}

void send_message(struct core *c, struct node_id to, struct span message)
{
    struct effect *e = emit(c, EFFECT_SEND);
    e->peer = to;
    e->bytes = message;
}

struct peer *peer_find(struct core *c, struct node_id node)
{
    for (uint32_t i = 0; i < c->peer_count; i++)
        if (ID_EQUAL(c->peer[i].view.node, node)) return &c->peer[i];
    return NULL;
}

int own_custodian(const struct core *c)
{
    const struct charter *charter = registry_charter_bytes(c->registry);
    return charter != NULL ? charter_custodian(charter, c->options.self) : -1;
}

bool core_member(struct core *c, struct node_id node, uint32_t role)
{
    const struct member *m = registry_member(c->registry, node);
    return m != NULL && (role == 0 || (m->roles & role) != 0);
}

const struct member *core_lasting(struct core *c, struct node_id node)
{
    const struct member *m = registry_member(c->registry, node);
    if (m != NULL || registry_removed(c->registry, node)) return m;
    return registry_device_word(c->registry, node);
}

enum tier core_tier(struct core *c, struct node_id node)
{
    const struct member *m = registry_member(c->registry, node);
    if (m == NULL) return TIER_STRANGER;
    return m->admission != NULL ? TIER_DEVICE : TIER_MEMBER;
}

/* --- Events --------------------------------------------------------------------------------------------------------------- */

static void on_message(struct core *c, const struct event *event)
{
    union message_body *m = arena_take(&c->room->scratch, 1, sizeof *m);
    enum message code;
    ASSERT(m != NULL);
    if (message_decode(&code, m, event->bytes) != OK) {
        offence(c, event->peer, "malformed message from");
        return;
    }
    switch (code) {
    case MESSAGE_HEADS_CODE: sync_heads(c, event->peer, &m->HEADS); break;
    case MESSAGE_ROOT_CODE: sync_root(c, event->peer, &m->ROOT); break;
    case MESSAGE_BRANCH_GET_CODE: sync_branch_get(c, event->peer, &m->BRANCH_GET); break;
    case MESSAGE_BRANCH_CODE: sync_branch(c, event->peer, &m->BRANCH); break;
    case MESSAGE_GET_CODE: sync_get(c, event->peer, &m->GET); break;
    case MESSAGE_RECORD_CODE: ingest_record(c, event->peer, &m->RECORD); break;
    case MESSAGE_EQUIVOCATION_CODE: ingest_equivocation(c, event->peer, &m->EQUIVOCATION); break;
    case MESSAGE_ANNOUNCE_CODE: mesh_announce(c, event->peer, &m->ANNOUNCE); break;
    case MESSAGE_WANT_CODE: mesh_want(c, event->peer, &m->WANT); break;
    case MESSAGE_ABSENT_CODE: mesh_absent(c, event->peer, &m->ABSENT); break;
    case MESSAGE_CONTACTS_GET_CODE: contacts_get(c, event->peer, &m->CONTACTS_GET); break;
    case MESSAGE_CONTACTS_WANT_CODE: contacts_wanted(c, event->peer, &m->CONTACTS_WANT); break;
    case MESSAGE_BLOB_GET_CODE: host_blob_get(c, event->peer, &m->BLOB_GET); break;
    case MESSAGE_BLOB_CODE: host_blob(c, event->peer, &m->BLOB); break;
    case MESSAGE_RELAY_CODE:
        if (m->RELAY.answer == 0 && c->silence == SILENCE_NONE)
            release_ask_box(c, event->peer, &m->RELAY);
        else if (m->RELAY.answer != 0)
            host_answer(c, event->peer, &m->RELAY);
        break;
    }
}

static void on_done(struct core *c, const struct event *event)
{
    const uint32_t at = (uint32_t)(event->token % CAP_PENDING);
    ASSERT(at < c->options.caps->pending && c->pending_of[at] != 0);
    struct pending *p = &c->pending[c->pending_of[at] - 1];
    ASSERT(p->token == event->token);
    p->then(c, p, event);
}

/* One that comes for what spreads, or early, leaves the rest to its own time. */
static void on_tick(struct core *c)
{
    if (!c->ready || c->now.ns < c->tick_ns) return;
    c->tick_ns = c->now.ns + (int64_t)TICK_MS * 1000000;
    ingest_tick(c);
    join_tick(c);
    sync_tick(c);
    silence_shown(c); /* a lone custodian has nobody to hear */
    keygen_tick(c);
    elect_tick(c);
    host_tick(c);
    contacts_tick(c);
}

/* Somebody relies on a promise that cannot be read any more: without it this custodian could break it unknowingly. */
static void on_restore_promise(struct core *c, const struct event *event)
{
    bool sized = event->key.len == PROMISE_KEY_BYTES && event->bytes.len == PROMISE_VALUE_BYTES;
    ASSERT(!c->ready);
    if (sized && promise_superseded(&c->promises, event->key.data)) return;
    if (sized && promise_set(&c->promises, event->key.data, event->bytes.data) == OK) return;
    c->promise_lost = true;
    notice(c, "a stored promise is damaged: this node neither votes nor releases", event->key, NULL);
}

/* A record was there, so its author has a gap until a peer brings it back: an own place is never signed twice. */
static void miss(struct core *c, struct node_id author, uint64_t seq)
{
    if (!chain_miss(&c->chain, author, seq)) c->own_stuck |= ID_EQUAL(author, c->options.self);
    registry_gap(c->registry, author, !chain_whole(&c->chain, author));
    notice(c, "a stored record is damaged; it will be asked for from peers, author", ID_SPAN(author), NULL);
}

static void on_restore_lost(struct core *c, const struct event *event)
{
    struct node_id author;
    struct cursor at = cursor_make(event->key);
    uint64_t seq = 0;
    ASSERT(!c->ready);
    if (cursor_copy(&at, author.bytes, 32) == OK && cursor_u64(&at, &seq) == OK) miss(c, author, seq);
}

/* An own record that found no place keeps its place taken. */
static void on_restore_record(struct core *c, const struct event *event)
{
    struct record r;
    ingest_restore(c, event->bytes);
    if (record_unpack(&r, event->bytes) != OK || !ID_EQUAL(r.header.author, c->options.self)) return;
    if (chain_get(&c->chain, r.header.author, r.header.seq) == NULL) miss(c, r.header.author, r.header.seq);
}

void core_step(struct core *c, const struct event *event)
{
    c->effect_count = 0;
    c->step_full = false;
    arena_release(&c->room->scratch, 0);
    c->said_row = 0;
    c->now = event->now;
    c->wall_ms = event->wall_ms;
    switch (event->type) {
    case EVENT_TICK: on_tick(c); break;
    case EVENT_RESTORE_RECORD: on_restore_record(c, event); break;
    case EVENT_RESTORE_PROMISE: on_restore_promise(c, event); break;
    case EVENT_RESTORE_LOST: on_restore_lost(c, event); break;
    case EVENT_RESTORE_LOCAL:
        history_restore(c, event->key, event->bytes);
        join_restore(c, event->key, event->bytes);
        silence_restore(c, event->key, event->bytes);
        contacts_restore(c, event->key, event->bytes);
        break;
    case EVENT_READY:
        ingest_ready(c);
        elect_ready(c);
        host_ready(c);
        silence_ready(c);
        break;
    case EVENT_PEER_UP:
        sync_peer_up(c, event->peer);
        host_peer_up(c);
        contacts_peer_up(c, event->peer);
        /* Adverts are kept by nobody: who was away has none, and could not release to us. */
        if (core_member(c, event->peer, 0)) c->advert_next_ns = 0;
        break;
    case EVENT_PEER_DOWN: sync_peer_down(c, event->peer); break;
    case EVENT_MESSAGE: on_message(c, event); break;
    case EVENT_STORED:
    case EVENT_CRYPTO: on_done(c, event); break;
    case EVENT_COMMAND: author_command(c, event->token, event->command); break;
    case EVENT_ENCLAVE: host_frame(c, event->run, event->bytes); break;
    case EVENT_BLOB_MISSING: host_blob_missing(c, event->run, event->bytes); break;
    }
    mesh_tick(c);
    history_save(c);
}

struct instant core_deadline(const struct core *c)
{
    const int64_t full_ns = c->now.ns + (int64_t)TICK_MS * 1000000, spread_ns = gossip_due(c->gossip);
    const int64_t tick_ns = c->tick_ns > c->now.ns && c->tick_ns < full_ns ? c->tick_ns : full_ns;
    return (struct instant){spread_ns < tick_ns ? spread_ns : tick_ns};
}

void core_check(const struct core *c)
{
    const struct caps *caps = c->options.caps;
    ASSERT(c->effect_count <= caps->effects && c->peer_count <= caps->peers && c->track_count <= CAP_RUNS);
    for (uint32_t i = 0; i < c->chain.author_count; i++) {
        const struct author *a = &ROW(c->chain.author, i);
        ASSERT(a->applied <= a->seen);
        if (a->applied > 0) ASSERT(chain_get(&c->chain, a->node, a->applied) != NULL);
    }
    uint32_t results = 0;
    for (uint32_t i = 0; i < c->track_count; i++) {
        ASSERT(c->track[i].view.state < RUN_STATE_COUNT);
        results += c->track[i].result.len > 0;
    }
    for (uint32_t i = 0; i < caps->enclaves; i++) results -= c->result_taken[i];
    ASSERT(results == 0);
}

/* --- Reading ---------------------------------------------------------------------------------------------------------------- */

struct registry *core_registry(struct core *c)
{
    return c->registry;
}

const struct chain *core_chain(const struct core *c)
{
    return &c->chain;
}

struct node_id core_self(const struct core *c)
{
    return c->options.self;
}

const struct caps *core_caps(const struct core *c)
{
    return c->options.caps;
}

bool core_run(const struct core *c, struct run_id run, struct run_view *out)
{
    uint32_t row = index_find(&c->tracks, run.bytes);
    if (row == INDEX_NONE) return false;
    *out = c->track[row].view;
    return true;
}

const struct join_request *core_join_at(const struct core *c, uint32_t i)
{
    return i < c->join_count ? &c->join[i] : NULL;
}

const struct peer_view *core_peer_at(const struct core *c, uint32_t i)
{
    return i < c->peer_count ? &c->peer[i].view : NULL;
}
