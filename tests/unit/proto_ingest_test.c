/* What a core does with records and requests from outside that are out of the ordinary: far ahead, in pairs without end,
 * from peers nobody knows. Every signature check is answered with yes. */
#include "crypto/hash.h"
#include "proto/chain.h"
#include "proto/core_state.h"
#include "proto/gossip.h"
#include "tests/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WALL_MS_LATER = 3600000 };
static struct world *world;
static uint8_t engine[] = "none";

/* What the store was asked for, and answers before the next message. */
static uint64_t asked[512];
static uint32_t asked_count;

static void note_asked(struct core *core)
{
    uint32_t count;
    const struct effect *e = core_effects(core, &count);
    for (uint32_t i = 0; i < count; i++)
        if (e[i].type == EFFECT_STORE && e[i].token != 0) asked[asked_count++] = e[i].token;
}

static void store_answers(struct core *core, enum err err)
{
    const uint32_t count = asked_count;
    asked_count = 0;
    for (uint32_t i = 0; i < count; i++)
        core_step(core, &(struct event){.type = EVENT_STORED,
                                        .wall_ms = WORLD_START_MS + WALL_MS_LATER,
                                        .token = asked[i],
                                        .err = err});
}

static const struct caps *profile = &caps_full; /* of cores that begin */

static struct core *core_begin(void)
{
    struct core *core;
    struct core_options options = {.self = {{0xee}},
                                   .caps = profile,
                                   .consortium = world->consortium,
                                   .charter = world->charter,
                                   .engine = SPAN_OF(engine)};
    asked_count = 0;
    assert_int_equal(core_new(&core, world_arena(world), &options), OK);
    core_step(core, &(struct event){.type = EVENT_READY, .wall_ms = WORLD_START_MS + WALL_MS_LATER});
    return core;
}

static int64_t heard_ns; /* when messages and answers come; 0: at the start */

/* One message in; the tokens of the checks it asks for out. */
static uint32_t offer(struct core *core, struct node_id from, const struct record *record, uint64_t token[8])
{
    static uint8_t bytes[CAP_BODY_BYTES + 1024];
    struct buffer b = BUFFER_OF(bytes);
    uint32_t count, tokens = 0;
    store_answers(core, OK);
    record_encode(&b, record);
    core_step(core, &(struct event){.type = EVENT_MESSAGE,
                                    .now = {heard_ns},
                                    .wall_ms = WORLD_START_MS + WALL_MS_LATER,
                                    .peer = from,
                                    .bytes = buffer_span(&b)});
    const struct effect *e = core_effects(core, &count);
    for (uint32_t i = 0; i < count; i++)
        if (e[i].type == EFFECT_CRYPTO) token[tokens++] = e[i].token;
    return tokens;
}

static uint32_t answer(struct core *core, uint64_t token)
{
    uint32_t count, notices = 0;
    core_step(core, &(struct event){.type = EVENT_CRYPTO,
                                    .now = {heard_ns},
                                    .wall_ms = WORLD_START_MS + WALL_MS_LATER,
                                    .token = token});
    const struct effect *e = core_effects(core, &count);
    for (uint32_t i = 0; i < count; i++) notices += e[i].type == EFFECT_NOTICE;
    note_asked(core);
    core_check(core);
    return notices;
}

static uint32_t deliver(struct core *core, struct node_id from, const struct record *record)
{
    uint64_t token[8];
    uint32_t tokens = offer(core, from, record, token), notices = 0;
    for (uint32_t i = 0; i < tokens; i++) notices += answer(core, token[i]);
    return notices;
}

static struct record make_of(struct header *h, const void *body)
{
    static uint8_t memory[5120][4096]; /* records live until the end */
    static uint32_t made;
    assert_true(made < sizeof memory / sizeof memory[0]);
    struct buffer b = BUFFER_OF(memory[made]);
    struct signature none = {{0}};
    size_t header_len;
    struct record r;
    made++;
    assert_int_equal(record_build(&b, &header_len, h, body), OK);
    struct span all = buffer_span(&b);
    assert_int_equal(record_open(&r, span_make(all.data, header_len), &none,
                                 span_make(all.data + header_len, all.len - header_len)),
                     OK);
    return r;
}

static struct record make_after(struct node_id author, enum kind kind, uint64_t seq, struct record_id prev,
                                const void *body)
{
    struct header h = {.kind = kind,
                       .consortium = world->consortium,
                       .author = author,
                       .seq = seq,
                       .prev = prev,
                       .time_ms = WORLD_START_MS,
                       .residency = SPAN_LITERAL("")};
    return make_of(&h, body);
}

static struct record make(struct node_id author, enum kind kind, uint64_t seq, const void *body)
{
    struct record_id prev = {{seq > 1}};
    return make_after(author, kind, seq, prev, body);
}

static struct record revocation(uint64_t seq, uint8_t of)
{
    struct body_REVOCATION b = {.target = 1, .subject = {{of}}, .approval_signature = SPAN_NONE};
    return make(world->node[0].id, KIND_REVOCATION, seq, &b);
}

static const struct node_id nobody = {{0}};

static void deliver_world(struct core *core)
{
    for (uint32_t i = 0; i < world->record_count; i++) deliver(core, nobody, world->record[i]);
}

/* What was held once and is lost makes its author wait until its place is reached. */
static void test_gap_closes_in_its_turn(void **state)
{
    (void)state;
    struct chain c;
    struct record first = *world->record[0];
    assert_int_equal(chain_init(&c, world_arena(world), CAP_CHAIN_PARTS, (struct node_id){{0}}, 1), OK);
    assert_int_equal(first.header.seq, 1);
    assert_true(chain_miss(&c, first.header.author, 1));
    assert_false(chain_whole(&c, first.header.author));
    assert_non_null(chain_insert(&c, &first));
    assert_non_null(chain_next(&c, first.header.author));
    assert_true(chain_whole(&c, first.header.author));
}

/* Two custodians come up and say that they hold this author's chain up to `seq`. Is the core in touch with them? */
static bool in_touch(struct core *core, uint32_t author, uint64_t seq)
{
    uint8_t items[72] = {0}, bytes[160];
    struct buffer item = BUFFER_OF(items), b = BUFFER_OF(bytes);
    buffer_put(&item, ID_SPAN(world->node[author].id));
    buffer_put_u64(&item, seq);
    buffer_put(&item, ID_SPAN(world->node[author].head));
    struct message_HEADS m = {WORLD_START_MS + WALL_MS_LATER, 0, 0, {{0}}, SPAN_OF(items)};
    message_encode(&b, MESSAGE_HEADS_CODE, &m);
    for (uint32_t i = 0; i < 2; i++) {
        struct event event = {.type = EVENT_PEER_DOWN, .wall_ms = m.time, .peer = world->node[i].id};
        core_step(core, &event);
        event.type = EVENT_PEER_UP;
        core_step(core, &event);
        event.type = EVENT_MESSAGE;
        event.bytes = buffer_span(&b);
        core_step(core, &event);
    }
    return !core_isolated(core);
}

/* Who hears of a chain further than its own is behind: but not on one that is suspended, and known to be. A steward's voices
 * are not suspended. */
static void test_a_gap_isolates_its_author_only(void **state)
{
    (void)state;
    static const struct body_JOB job = {.task = {(const uint8_t *)"t", 1}};
    struct core *core = core_begin();
    deliver_world(core);
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t who = i == 0 ? WORLD_COMPUTE : 0;
        uint64_t held = world->node[who].seq;
        struct record later = make(world->node[who].id, KIND_JOB, held + 2, &job);
        assert_true(in_touch(core, who, held));
        assert_false(in_touch(core, who, held + 3));
        deliver(core, nobody, &later);
        assert_int_equal(registry_check_author(core_registry(core), world->node[who].id).refusal,
                         REFUSAL_GAP);
        assert_int_equal(in_touch(core, who, held + 3), who == WORLD_COMPUTE);
    }
}

/* --- Records dated ahead ------------------------------------------------------------------------------------------------ */

static void at_time(struct core *core, uint64_t wall_ms)
{
    static int64_t due_ns;
    due_ns += INT64_C(1000000000);
    core_step(core, &(struct event){.type = EVENT_TICK, .now = {due_ns}, .wall_ms = wall_ms});
    core_check(core);
}

static struct record dated(struct node_id author, enum kind kind, uint64_t seq, struct record_id prev,
                           uint64_t time_ms, const void *body)
{
    struct header h = {.kind = kind,
                       .consortium = world->consortium,
                       .author = author,
                       .seq = seq,
                       .prev = prev,
                       .time_ms = time_ms,
                       .residency = SPAN_LITERAL("")};
    return make_of(&h, body);
}

/* A record dated ahead is held and waits for its time, and so does what follows; it has the same effect whichever came first. A
 * revocation does not wait. One dated far ahead is not held, until it is no more. */
static void test_a_record_waits_for_its_time(void **state)
{
    (void)state;
    enum { MINUTE_MS = 60000 };
    static const struct body_JOB job = {.task = {(const uint8_t *)"t", 1}};
    struct body_REVOCATION none = {.target = REVOKE_COMPOSE, .approval_signature = SPAN_NONE};
    const uint64_t now = WORLD_START_MS + WALL_MS_LATER, seq = world->node[0].seq;
    struct node_id author = world->node[0].id;
    struct record r[4];
    memcpy(none.subject.bytes, world->compose.bytes, sizeof none.subject.bytes);
    r[0] = dated(author, KIND_JOB, seq + 1, world->node[0].head, now + 10 * MINUTE_MS, &job);
    r[1] = dated(author, KIND_JOB, seq + 2, r[0].id, now, &job);
    r[2] = dated(author, KIND_REVOCATION, seq + 3, r[1].id, now + 5 * MINUTE_MS, &none);
    r[3] = dated(author, KIND_JOB, seq + 4, r[2].id, now + 20 * MINUTE_MS, &job);
    for (uint32_t order = 0; order < 2; order++) {
        struct core *core = core_begin();
        uint64_t token[8];
        deliver_world(core);
        const struct author *a = chain_author(core_chain(core), author);
        for (uint32_t i = 0; i < 3; i++) deliver(core, nobody, &r[order == 0 ? i : 2 - i]);
        assert_int_equal(offer(core, nobody, &r[3], token), 0);
        const struct approval *first = registry_approval_at(core_registry(core), 0);
        assert_true(ID_EQUAL(first->record->id, world->approval[0]->id));
        assert_true(registry_revoked(core_registry(core), first));
        at_time(core, now + 8 * MINUTE_MS);
        assert_int_equal(a->applied, seq);
        assert_int_equal(registry_check_author(core_registry(core), author).refusal, REFUSAL_GAP);
        assert_true(in_touch(core, 0, seq + 3)); /* whose clock is ahead has applied them */
        at_time(core, now + 9 * MINUTE_MS);      /* clocks may differ by a minute */
        assert_int_equal(a->applied, seq + 3);
        assert_int_equal(registry_check_author(core_registry(core), author).refusal, REFUSAL_NONE);
    }
}

/* Pairs that walk down take no memory; those without a place are no pairs. */
static void test_pairs_are_bounded(void **state)
{
    (void)state;
    struct chain c;
    struct arena *arena = world_arena(world);
    struct node_id author = world->node[0].id;
    struct record a[3], b[3];
    assert_int_equal(chain_init(&c, arena, CAP_CHAIN_PARTS, (struct node_id){{0}}, 1), OK);
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t seq = i == 0 ? CAP_AUTHOR_RECORDS + 1 : 10 - i;
        a[i] = revocation(seq, 1);
        b[i] = revocation(seq, 2);
    }
    size_t before = arena_mark(arena);
    assert_false(chain_freeze(&c, &a[0], &b[0]));
    assert_null(chain_author(&c, author));
    for (uint32_t i = 1; i < 3; i++) {
        assert_true(chain_freeze(&c, &a[i], &b[i]));
        assert_false(chain_freeze(&c, &a[i], &b[i]));
        const struct author *kept = chain_author(&c, author);
        assert_int_equal(kept->frozen, a[i].header.seq);
        assert_true(span_equal(kept->pair->half[0].header_bytes, a[i].header_bytes));
        assert_true(span_equal(kept->pair->half[1].header_bytes, b[i].header_bytes));
        assert_true(ID_EQUAL(kept->pair->half[1].header.body_hash, b[i].header.body_hash));
    }
    assert_int_equal(arena_mark(arena), before);
}

/* Bytes lie there once, and count in each chain as if they were its own. */
static void test_two_chains_on_one_shelf(void **state)
{
    (void)state;
    struct chain own, one, two;
    struct chain *const all[] = {&own, &one, &two};
    struct arena *memory[3], room;
    struct shelf shelf;
    void *bytes = calloc(1, shelf_bytes(CAP_AUTHOR_RECORDS, 1 << 20));
    room = arena_make(bytes, shelf_bytes(CAP_AUTHOR_RECORDS, 1 << 20));
    assert_int_equal(shelf_init(&shelf, &room, CAP_AUTHOR_RECORDS, 1 << 20), OK);
    for (uint32_t i = 0; i < 3; i++) {
        memory[i] = world_arena(world);
        assert_int_equal(chain_init(all[i], memory[i], CAP_CHAIN_PARTS, world->node[0].id, 1), OK);
    }
    one.shelf = two.shelf = &shelf;
    for (uint32_t i = 0; i < world->record_count; i++) {
        const struct record *a = chain_insert(&own, world->record[i]),
                            *b = chain_insert(&one, world->record[i]),
                            *c = chain_insert(&two, world->record[i]);
        assert_true(span_equal(a->header_bytes, b->header_bytes) && span_equal(a->body, b->body));
        assert_true(a->body.data != b->body.data && b->body.data == c->body.data);
        assert_ptr_equal(b->header_bytes.data, c->header_bytes.data);
    }
    assert_int_equal(shelf.count, world->record_count);
    assert_true(own.others.used > 0 && own.others.used == two.others.used && own.own.used == two.own.used);
    for (uint32_t i = 0; i < 3; i++) world_arena_free(memory[i]);
    free(bytes);
}

/* A run is watched once its recipe is known, whichever came first. */
static void test_a_recipe_comes_after_its_run(void **state)
{
    (void)state;
    struct core *core = core_begin();
    struct run_view view;
    for (uint32_t i = 0; i < world->record_count; i++)
        if (!ID_EQUAL(world->record[i]->header.author, world->node[WORLD_ALGORITHM].id))
            deliver(core, nobody, world->record[i]);
    assert_non_null(registry_run(core_registry(core), world->run));
    assert_false(core_run(core, world->run, &view));
    deliver_world(core);
    core_step(core, &(struct event){.type = EVENT_TICK, .wall_ms = WORLD_START_MS + WALL_MS_LATER});
    assert_true(core_run(core, world->run, &view));
    assert_string_equal(run_state_name(view.state), "requested");
}

static struct record join_of(uint8_t byte)
{
    struct node_id author = {{0xc0, byte}};
    struct body_MEMBER b = {.node = author,
                            .organisation = SPAN_LITERAL("late"),
                            .jurisdiction = SPAN_LITERAL("EU"),
                            .roles = ROLE_COMPUTE,
                            .approval = author,
                            .platforms = SPAN_LITERAL("")};
    return make(author, KIND_JOIN, 0, &b);
}

/* --- Peers that break the protocol ----------------------------------------------------------------------------------------- */

static uint32_t effects_of(struct core *core, enum effect_type type)
{
    uint32_t count, found = 0;
    const struct effect *e = core_effects(core, &count);
    for (uint32_t i = 0; i < count; i++) found += e[i].type == type;
    return found;
}

static void hear(struct core *core, struct node_id from, struct span message)
{
    core_step(core, &(struct event){.type = EVENT_MESSAGE,
                                    .now = {heard_ns},
                                    .wall_ms = WORLD_START_MS + WALL_MS_LATER,
                                    .peer = from,
                                    .bytes = message});
}

/* Whatever does not follow the protocol costs its sender the link, and the log a line a second. */
static void test_malformed_messages_are_offences(void **state)
{
    (void)state;
    static uint8_t bytes[1024];
    struct core *core = core_begin();
    struct node_id stranger = {{0xc0}};
    struct buffer b = BUFFER_OF(bytes);
    struct message_HEADS heads = {WORLD_START_MS, 0, 0, {{0}}, SPAN_LITERAL("not a head")};
    struct record join = join_of(1);
    uint32_t notices = 0;
    message_encode(&b, MESSAGE_HEADS_CODE, &heads);
    struct span cut = span_make(bytes, b.len - 1);
    for (uint32_t i = 0; i < 10; i++) {
        hear(core, stranger, cut);
        assert_int_equal(effects_of(core, EFFECT_OFFENCE), 1);
        notices += effects_of(core, EFFECT_NOTICE);
    }
    assert_int_equal(notices, 1);
    hear(core, stranger, buffer_span(&b));
    assert_int_equal(effects_of(core, EFFECT_OFFENCE), 1);
    struct message_RECORD m = {join.header_bytes, join.signature,
                               span_make(join.body.data, join.body.len - 1)};
    b.len = 0;
    message_encode(&b, MESSAGE_RECORD_CODE, &m); /* its body is not what its header says */
    hear(core, stranger, buffer_span(&b));
    assert_int_equal(effects_of(core, EFFECT_OFFENCE), 1);
    b.len = 0;
    record_encode(&b, &join);
    hear(core, stranger, buffer_span(&b));
    assert_int_equal(effects_of(core, EFFECT_OFFENCE), 0);
}

/* Who passes a record on has checked it: a signature that does not hold is its sender's lie. */
static void test_forged_records_are_offences(void **state)
{
    (void)state;
    struct core *core = core_begin();
    struct node_id stranger = {{0xc0}};
    struct record join = join_of(1);
    uint64_t token[8];
    assert_int_equal(offer(core, stranger, &join, token), 1);
    core_step(core, &(struct event){.type = EVENT_CRYPTO,
                                    .wall_ms = WORLD_START_MS + WALL_MS_LATER,
                                    .token = token[0],
                                    .err = ERR_SIGNATURE});
    assert_int_equal(effects_of(core, EFFECT_OFFENCE), 1);
}

/* A record whose body does not decode, though it has the hash its header says. */
static void test_bodies_that_do_not_read_are_not_kept(void **state)
{
    (void)state;
    struct core *core = core_begin();
    uint64_t token[8];
    struct body_JOB body = {.app = world->app, .compose = world->compose, .task = SPAN_LITERAL("x")};
    struct record good = make(world->node[0].id, KIND_JOB, 1, &body), bad = good;
    static uint8_t header[CAP_HEADER_BYTES];
    struct buffer b = BUFFER_OF(header);
    bad.header.body_hash = sha256(SPAN_LITERAL("no body"));
    bad.header.body_len = 7;
    header_encode(&b, &bad.header);
    assert_int_equal(record_open(&bad, buffer_span(&b), &good.signature, SPAN_LITERAL("no body")), OK);
    assert_int_equal(offer(core, nobody, &bad, token), 0);
    assert_int_equal(offer(core, nobody, &good, token), 1);
}

/* Sixty bytes ask for megabytes, as often as anybody likes: what one peer is sent in a second is bounded. */
static void test_answers_are_bounded(void **state)
{
    (void)state;
    struct core *core = core_begin();
    struct node_id asker = world->node[1].id;
    uint8_t bytes[128];
    struct buffer b = BUFFER_OF(bytes);
    size_t sent = 0;
    deliver_world(core);
    struct message_GET get = {world->node[0].id, 1, 256};
    message_encode(&b, MESSAGE_GET_CODE, &get);
    core_step(core, &(struct event){
                        .type = EVENT_PEER_UP, .wall_ms = WORLD_START_MS + WALL_MS_LATER, .peer = asker});
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t count;
        hear(core, asker, buffer_span(&b));
        const struct effect *e = core_effects(core, &count);
        for (uint32_t j = 0; j < count; j++) sent += e[j].type == EFFECT_SEND ? e[j].bytes.len : 0;
    }
    assert_in_range(sent, 1 << 20, 8 << 20);
    core_step(core, &(struct event){.type = EVENT_MESSAGE,
                                    .now = {INT64_C(3000000000)},
                                    .wall_ms = WORLD_START_MS + WALL_MS_LATER,
                                    .peer = asker,
                                    .bytes = buffer_span(&b)});
    assert_true(effects_of(core, EFFECT_SEND) > 1); /* and goes on with time */
}

/* A record of this node of the world, made now: such are spread. */
static struct record fresh_of(const struct world_node *author, enum kind kind, const void *body)
{
    struct header h = {.kind = kind,
                       .consortium = world->consortium,
                       .author = author->id,
                       .seq = author->seq + 1,
                       .prev = author->head,
                       .time_ms = WORLD_START_MS + WALL_MS_LATER,
                       .residency = SPAN_LITERAL("")};
    return make_of(&h, body);
}

static uint32_t sent_to(struct core *core, struct node_id peer, enum message code)
{
    uint32_t count, sent = 0;
    const struct effect *e = core_effects(core, &count);
    for (uint32_t i = 0; i < count; i++)
        sent += e[i].type == EFFECT_SEND && ID_EQUAL(e[i].peer, peer) && e[i].bytes.data[0] == code;
    return sent;
}

/* What is wanted is an answer as well, and has its part of the same. */
static void test_wanted_records_are_bounded(void **state)
{
    (void)state;
    struct core *core = core_begin();
    const struct node_id asker = world->node[1].id;
    static uint8_t long_ddo[3500]; /* longer than what another answer leaves */
    struct body_ASSET body = {
        .version = 1, .ddo = SPAN_OF(long_ddo), .workflow = SPAN_NONE, .policy = SPAN_NONE};
    struct record fresh = fresh_of(&world->node[0], KIND_ASSET, &body);
    const struct message_GET get = {world->node[0].id, 1, 256};
    const struct message_WANT want = {ID_SPAN(fresh.id)};
    uint8_t bytes[128], wanted[128];
    struct buffer b = BUFFER_OF(bytes), w = BUFFER_OF(wanted);
    message_encode(&b, MESSAGE_GET_CODE, &get);
    message_encode(&w, MESSAGE_WANT_CODE, &want);
    deliver_world(core);
    core_step(core, &(struct event){
                        .type = EVENT_PEER_UP, .wall_ms = WORLD_START_MS + WALL_MS_LATER, .peer = asker});
    deliver(core, nobody, &fresh);
    for (uint32_t i = 0; i < 5000; i++) hear(core, asker, buffer_span(&b));
    hear(core, asker, buffer_span(&w));
    assert_int_equal(sent_to(core, asker, MESSAGE_RECORD_CODE), 0);
    core_step(core, &(struct event){.type = EVENT_MESSAGE,
                                    .now = {INT64_C(3000000000)},
                                    .wall_ms = WORLD_START_MS + WALL_MS_LATER,
                                    .peer = asker,
                                    .bytes = buffer_span(&w)});
    assert_int_equal(sent_to(core, asker, MESSAGE_RECORD_CODE), 1);
}

/* Who asks each 0.9 ms has as much again as who asks each millisecond. */
static void test_answers_go_on(void **state)
{
    (void)state;
    const int64_t step_ns = 900000;
    struct core *core = core_begin();
    struct node_id asker = world->node[1].id;
    uint8_t bytes[128];
    struct buffer b = BUFFER_OF(bytes);
    const struct message_GET get = {world->node[0].id, 1, 256};
    uint32_t late = 0;
    message_encode(&b, MESSAGE_GET_CODE, &get);
    deliver_world(core);
    core_step(core, &(struct event){
                        .type = EVENT_PEER_UP, .wall_ms = WORLD_START_MS + WALL_MS_LATER, .peer = asker});
    for (uint32_t i = 0; i < 5000; i++) hear(core, asker, buffer_span(&b));
    for (int64_t i = 1; i <= 5000; i++) {
        core_step(core, &(struct event){.type = EVENT_MESSAGE,
                                        .now = {i * step_ns},
                                        .wall_ms = WORLD_START_MS + WALL_MS_LATER,
                                        .peer = asker,
                                        .bytes = buffer_span(&b)});
        late += sent_to(core, asker, MESSAGE_RECORD_CODE);
    }
    assert_true(late > 1000);
}

/* --- Strangers -------------------------------------------------------------------------------------------------------------- */

static void test_stranger_has_few_checks(void **state)
{
    (void)state;
    struct core *core = core_begin();
    struct node_id stranger = {{0xc0}}, other = {{0xc1}};
    uint64_t token[5][8];
    core_step(core, &(struct event){.type = EVENT_PEER_UP, .peer = stranger});
    core_step(core, &(struct event){.type = EVENT_PEER_UP, .peer = other});
    for (uint8_t i = 0; i < 5; i++) {
        struct record r = join_of(i);
        assert_int_equal(offer(core, stranger, &r, token[i]), i < 4 ? 1 : 0);
    }
    struct record r = join_of(9);
    assert_int_equal(offer(core, other, &r, token[4]), 1);
    answer(core, token[0][0]);
    assert_int_equal(offer(core, stranger, &r, token[0]), 1);
}

static void link_up(struct core *core, struct node_id peer, bool up)
{
    core_step(core, &(struct event){.type = up ? EVENT_PEER_UP : EVENT_PEER_DOWN, .peer = peer});
}

static bool has_joined(struct core *core, uint8_t number)
{
    const struct join_request *j;
    for (uint32_t i = 0; (j = core_join_at(core, i)) != NULL; i++)
        if (j->author.bytes[0] == 0xc0 && j->author.bytes[1] == number) return true;
    return false;
}

/* One peer with a hundred keys has its share of the inbox, for its newest. */
static void test_one_peer_has_few_joins(void **state)
{
    (void)state;
    struct core *core = core_begin();
    struct node_id honest = {{0xc1}}, stranger = {{0xc2}};
    struct record first = join_of(200);
    uint32_t notices = 0, count = 0;
    link_up(core, honest, true);
    link_up(core, stranger, true);
    notices += deliver(core, honest, &first);
    for (uint8_t i = 0; i < 100; i++) {
        struct record r = join_of(i);
        notices += deliver(core, stranger, &r);
    }
    while (core_join_at(core, count) != NULL) count++;
    assert_int_equal(count, 1 + 4);
    assert_true(has_joined(core, 200));
    for (uint8_t i = 96; i < 100; i++) assert_true(has_joined(core, i));
    assert_true(span_equal(core_join_at(core, 4)->body.organisation, SPAN_LITERAL("late")));
    assert_true(notices <= 1); /* all within one second */
}

/* Peers with fresh keys that come and go push out each other, not who stays. */
static void test_joins_of_the_gone_give_way(void **state)
{
    (void)state;
    struct core *core = core_begin();
    struct node_id honest = {{0xc1}};
    struct record first = join_of(200);
    uint32_t count = 0;
    link_up(core, honest, true);
    deliver(core, honest, &first);
    for (uint8_t i = 0; i < 100; i++) {
        struct node_id passing = {{0xc3, i}};
        struct record r = join_of(i);
        link_up(core, passing, true);
        deliver(core, passing, &r);
        link_up(core, passing, false);
    }
    while (core_join_at(core, count) != NULL) count++;
    assert_int_equal(count, 64);
    assert_true(has_joined(core, 200) && has_joined(core, 99) && !has_joined(core, 0));
}

/* --- Devices ---------------------------------------------------------------------------------------------------------------- */

enum { MAKER = 0xe1 };
struct speaker {
    struct node_id node;
    uint64_t seq;
    struct record_id head;
};
static struct speaker maker, device;

static struct speaker speaker_of(uint8_t number)
{
    struct speaker s = {.seq = 0};
    memset(s.node.bytes, number, sizeof s.node.bytes);
    return s;
}

static struct record next_of(struct speaker *s, enum kind kind, const void *body)
{
    struct record r = make_after(s->node, kind, s->seq + 1, s->head, body);
    s->seq++;
    s->head = r.id;
    return r;
}

static struct body_MEMBER member_of(struct node_id node, uint32_t roles)
{
    return (struct body_MEMBER){.node = node,
                                .organisation = SPAN_LITERAL("makers"),
                                .jurisdiction = SPAN_LITERAL("EU"),
                                .roles = roles,
                                .approval = node,
                                .platforms = SPAN_LITERAL("")};
}

/* The stewards' next records: this body in force. */
static void by_stewards(struct core *core, struct node_id node, uint32_t roles)
{
    struct body_MEMBER b = member_of(node, roles);
    for (uint32_t i = 0; i < 3; i++) deliver(core, nobody, world_record(world, i, KIND_MEMBER, &b, 0));
}

/* All of the world, a maker, and its device, another in each test: what the stewards say stays in the world. */
static struct core *with_device(uint8_t number)
{
    struct core *core = core_begin();
    maker = speaker_of(MAKER);
    device = speaker_of(number);
    struct body_MEMBER b = member_of(device.node, ROLE_DEVICE);
    struct record word = next_of(&maker, KIND_MEMBER, &b);
    deliver_world(core);
    by_stewards(core, maker.node, ROLE_MAKER);
    deliver(core, nobody, &word);
    assert_true(registry_member(core_registry(core), device.node) != NULL);
    return core;
}

/* Who is admitted and stays linked keeps no place that another one waits for. */
static void test_joins_of_the_admitted_give_way(void **state)
{
    enum { PLACES = 64, A_PEER = 4 };
    (void)state;
    struct core *core = core_begin();
    deliver_world(core);
    for (uint8_t i = 0; i < PLACES + A_PEER; i++) {
        struct node_id peer = {{0xc4, (uint8_t)(i / A_PEER)}};
        struct record r = join_of(i);
        if (i % A_PEER == 0) link_up(core, peer, true);
        deliver(core, peer, &r);
    }
    assert_true(has_joined(core, 7) && has_joined(core, PLACES - 1) && !has_joined(core, PLACES));
    by_stewards(core, (struct node_id){{0xc0, 7}}, ROLE_COMPUTE);
    const struct record late = join_of(PLACES + 1);
    deliver(core, (struct node_id){{0xc4, PLACES / A_PEER}}, &late);
    assert_true(has_joined(core, PLACES + 1) && !has_joined(core, 7));
}

static void tick(struct core *core)
{
    at_time(core, WORLD_START_MS + WALL_MS_LATER);
}

static uint32_t jobs(struct core *core)
{
    uint32_t count = 0;
    while (registry_job_at(core_registry(core), count) != NULL) count++;
    return count;
}

/* A table's small places used up, its next record waits; what the stewards admit has its turn then. */
static void test_device_waits_for_its_turn(void **state)
{
    (void)state;
    enum { SMALL = CAP_JOBS / SMALL_PART };
    struct core *core = with_device(0xa1);
    struct body_JOB body = {.app = world->app, .compose = world->compose, .task = SPAN_LITERAL("x")};
    uint32_t before = jobs(core);
    struct record r[SMALL + 3];
    for (uint32_t i = 0; i < SMALL + 3; i++) {
        r[i] = next_of(&device, KIND_JOB, &body);
        deliver(core, nobody, &r[i]);
        tick(core);
    }
    const struct author *a = chain_author(core_chain(core), device.node);
    assert_int_equal(jobs(core), before + SMALL);
    assert_int_equal(a->applied, SMALL);
    assert_int_equal(a->seen, SMALL + 1); /* the one whose turn is next is kept */
    by_stewards(core, device.node, ROLE_REQUESTER);
    tick(core);
    assert_int_equal(jobs(core), before + SMALL + 1);
    assert_true(chain_whole(core_chain(core), device.node));
    for (uint32_t i = SMALL + 1; i < SMALL + 3; i++)
        deliver(core, nobody, &r[i]); /* what was not kept comes again */
    assert_int_equal(a->applied, SMALL + 3);
}

/* What is held of a device is the beginning of its chain; a revocation that is not makes it wait. */
static void test_device_is_kept_in_order(void **state)
{
    (void)state;
    struct core *core = with_device(0xa2);
    struct body_RECEIPT large = {.output = SPAN_LITERAL("")};
    struct body_REVOCATION none = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE};
    struct record first = next_of(&device, KIND_RECEIPT, &large),
                  second = next_of(&device, KIND_REVOCATION, &none);
    uint64_t token[8];
    deliver(core, nobody, &second);
    assert_null(chain_get(core_chain(core), device.node, 2));
    assert_false(chain_whole(core_chain(core), device.node)); /* but known to be missing */
    assert_int_equal(offer(core, nobody, &second, token), 1);
    deliver(core, nobody, &first);
    deliver(core, nobody, &second);
    assert_int_equal(chain_author(core_chain(core), device.node)->applied, 2);
    assert_true(chain_whole(core_chain(core), device.node));
}

/* Who is revoked is told of it, and then of nothing else. */
static void test_revoked_device_is_told(void **state)
{
    (void)state;
    struct core *core = with_device(0xa3);
    struct body_REVOCATION other = {.target = REVOKE_DEVICE,
                                    .subject = {{1}},
                                    .approval_signature = SPAN_NONE},
                           own = other;
    memcpy(own.subject.bytes, device.node.bytes, 32);
    core_step(core, &(struct event){.type = EVENT_PEER_UP,
                                    .wall_ms = WORLD_START_MS + WALL_MS_LATER,
                                    .peer = device.node});
    struct record r = next_of(&maker, KIND_REVOCATION, &own);
    uint64_t token[8];
    assert_int_equal(offer(core, nobody, &r, token), 1);
    answer(core, token[0]);
    assert_int_equal(effects_of(core, EFFECT_SEND), 1);
    assert_null(registry_member(core_registry(core), device.node));
    r = next_of(&maker, KIND_REVOCATION, &other);
    assert_int_equal(offer(core, nobody, &r, token), 1);
    answer(core, token[0]);
    assert_int_equal(effects_of(core, EFFECT_SEND), 0);
}

/* A device has no more work in flight than a stranger. */
static void test_device_has_few_checks(void **state)
{
    (void)state;
    struct core *core = with_device(0xa4);
    uint64_t token[8];
    core_step(core, &(struct event){.type = EVENT_PEER_UP, .peer = device.node});
    for (uint8_t i = 0; i < 5; i++) {
        struct record r = join_of(i);
        assert_int_equal(offer(core, device.node, &r, token), i < 4 ? 1 : 0);
    }
}

/* --- Their turns to answer --------------------------------------------------------------------------------------------------- */

enum { AUTHOR = WORLD_REQUESTER, RECORDS = 64, FEW = 4 };
static struct record row[RECORDS]; /* the author's next */
static uint32_t row_next;

static void hear_at(struct core *core, struct node_id from, struct span bytes)
{
    core_step(core, &(struct event){.type = EVENT_MESSAGE,
                                    .now = {heard_ns},
                                    .wall_ms = WORLD_START_MS + WALL_MS_LATER,
                                    .peer = from,
                                    .bytes = bytes});
}

/* It says that it holds the author's chain up to this one, and is asked for what is missing. */
static void shows_up_to(struct core *core, struct node_id from, uint32_t last)
{
    uint8_t items[72], bytes[160];
    struct buffer item = BUFFER_OF(items), b = BUFFER_OF(bytes);
    buffer_put(&item, ID_SPAN(world->node[AUTHOR].id));
    buffer_put_u64(&item, row[last].header.seq);
    buffer_put(&item, ID_SPAN(row[last].id));
    const struct message_HEADS m = {WORLD_START_MS + WALL_MS_LATER, 0, 0, {{0}}, SPAN_OF(items)};
    message_encode(&b, MESSAGE_HEADS_CODE, &m);
    hear_at(core, from, buffer_span(&b));
    assert_int_equal(sent_to(core, from, MESSAGE_GET_CODE), 1);
}

static void shows(struct core *core, struct node_id from)
{
    shows_up_to(core, from, RECORDS - 1);
}

/* It sends the next ones: how many are looked at, at once? The checks of them end after that. */
static uint32_t brings(struct core *core, struct node_id from, uint32_t count)
{
    uint64_t token[RECORDS][8];
    uint32_t taken = 0;
    for (uint32_t i = 0; i < count && row_next < RECORDS; i++) {
        if (offer(core, from, &row[row_next], token[taken]) == 0) continue;
        row_next++;
        taken++;
    }
    for (uint32_t i = 0; i < taken; i++) answer(core, token[i][0]);
    return taken;
}

static bool has_turn(struct core *core, struct node_id who)
{
    return brings(core, who, FEW + 1) > FEW;
}

/* Again, what is held: no news. */
static void repeats(struct core *core, struct node_id from, uint32_t count)
{
    uint64_t token[8];
    for (uint32_t i = 0; i < count; i++) assert_int_equal(offer(core, from, &row[0], token), 0);
}

/* All of the world, and 70 devices of a maker that are linked. */
static struct core *with_devices(uint8_t first, struct node_id *out, uint32_t count)
{
    struct core *core = with_device(first);
    static const struct body_JOB job = {.task = {(const uint8_t *)"t", 1}};
    struct world_node author = world->node[AUTHOR];
    for (uint32_t i = 0; i < count; i++) {
        out[i] = (struct node_id){{0xd7, first, (uint8_t)i, 1}};
        struct body_MEMBER b = member_of(out[i], ROLE_DEVICE);
        struct record word = next_of(&maker, KIND_MEMBER, &b);
        deliver(core, nobody, &word);
        link_up(core, out[i], true);
    }
    for (uint32_t i = 0; i < RECORDS; i++) {
        row[i] = fresh_of(&author, KIND_JOB, &job);
        author.seq++;
        author.head = row[i].id;
    }
    heard_ns = INT64_C(1000000000);
    row_next = 0;
    return core;
}

static void later_s(int64_t seconds)
{
    heard_ns += seconds * INT64_C(1000000000);
}

/* Which one: it is who brings what it was asked for, at a member's pace. */
static void test_one_device_at_a_time_answers(void **state)
{
    struct node_id d[2];
    (void)state;
    struct core *core = with_devices(0xa6, d, 2);
    shows(core, d[0]);
    shows(core, d[1]);
    assert_false(has_turn(core, d[1]));
    assert_true(has_turn(core, d[0]));
    for (uint32_t i = 0; i < 5; i++) { /* for as long as it goes on */
        later_s(3);
        assert_true(has_turn(core, d[0]));
    }
    later_s(6);
    assert_false(has_turn(core, d[0])); /* and no longer */
    heard_ns = 0;
}

/* Others may have brought it first: what comes is an answer all the same, and its turn is over when all has come. */
static void test_what_is_held_is_an_answer(void **state)
{
    struct node_id d[2];
    (void)state;
    struct core *core = with_devices(0xa7, d, 2);
    shows(core, d[0]);
    shows(core, d[1]);
    deliver(core, nobody, &row[0]);
    row_next = 1;
    repeats(core, d[0], RECORDS);
    shows(core, d[0]);
    assert_false(has_turn(core, d[0])); /* nothing was new, and another wants it */
    shows(core, d[1]);
    assert_true(has_turn(core, d[1]));
    heard_ns = 0;
}

/* Nobody else wants it: who is slow has it again. */
static void test_a_turn_that_nobody_wants_is_not_lost(void **state)
{
    struct node_id d[2];
    (void)state;
    struct core *core = with_devices(0xa8, d, 2);
    for (uint32_t i = 0; i < 3; i++) {
        shows(core, d[0]);
        later_s(6);
    }
    shows(core, d[0]);
    assert_true(has_turn(core, d[0]));
    heard_ns = 0;
}

/* As many as a maker has links, which bring nothing and show what they hold whenever they may: how long is the turn another's? */
static void test_idle_devices_do_not_hold_the_turn(void **state)
{
    enum { IDLE = 63, STEPS = 2000 };
    struct node_id d[IDLE + 1];
    uint32_t got = 0;
    (void)state;
    struct core *core = with_devices(0xa9, d, IDLE + 1);
    for (uint32_t step = 0; step < STEPS; step++) {
        for (uint32_t i = 0; i < IDLE; i++) shows(core, d[i]);
        shows(core, d[IDLE]);
        const struct peer *honest = peer_find(core, d[IDLE]);
        got += sync_has_turn(core, honest);
        while (sync_has_turn(core, honest)) sync_answered(core, d[IDLE], true);
        later_s(6);
    }
    if (got < STEPS / 2) fail_msg("%u of %u", got, STEPS);
    heard_ns = 0;
}

/* Nor do those that bring one record each few seconds, which buys little time and no forgiveness. */
static void test_dripping_devices_do_not_hold_the_turn(void **state)
{
    enum { DRIPPING = 63, STEPS = 3000 };
    struct node_id d[DRIPPING + 1];
    uint32_t got = 0;
    (void)state;
    struct core *core = with_devices(0xaa, d, DRIPPING + 1);
    for (uint32_t step = 0; step < STEPS; step++) {
        for (uint32_t i = 0; i <= DRIPPING; i++) {
            const uint32_t who = (step * 37 + i) % (DRIPPING + 1); /* each comes first in its turn */
            shows(core, d[who]);
            if (who < DRIPPING && sync_has_turn(core, peer_find(core, d[who])))
                sync_answered(core, d[who], true);
        }
        got += sync_has_turn(core, peer_find(core, d[DRIPPING]));
        while (sync_has_turn(core, peer_find(core, d[DRIPPING]))) sync_answered(core, d[DRIPPING], true);
        later_s(4);
    }
    if (got < STEPS / 3) fail_msg("%u of %u", got, STEPS);
    heard_ns = 0;
}

/* Nor those that claim little: four in flight bring that as soon. */
static void test_who_has_little_needs_no_turn(void **state)
{
    enum { CLAIMING = 63, LITTLE = 15, STEPS = 500 };
    struct node_id d[CLAIMING + 1];
    uint32_t got = 0;
    (void)state;
    struct core *core = with_devices(0xac, d, CLAIMING + 1);
    for (uint32_t step = 0; step < STEPS; step++) {
        for (uint32_t i = 0; i <= CLAIMING; i++) {
            const uint32_t who = (step * 37 + i) % (CLAIMING + 1);
            shows_up_to(core, d[who], who < CLAIMING ? LITTLE - 1 : RECORDS - 1);
            assert_true(who == CLAIMING || !sync_has_turn(core, peer_find(core, d[who])));
        }
        got += sync_has_turn(core, peer_find(core, d[CLAIMING]));
        while (sync_has_turn(core, peer_find(core, d[CLAIMING]))) sync_answered(core, d[CLAIMING], true);
        later_s(4);
    }
    assert_int_equal(got, STEPS);
    heard_ns = 0;
}

/* What it has brought it is not asked for any more: one record more is no turn. */
static void test_what_was_brought_is_not_owed(void **state)
{
    enum { MANY = 20 };
    struct node_id d[2];
    (void)state;
    struct core *core = with_devices(0xae, d, 2);
    const struct peer *p = peer_find(core, d[0]);
    shows_up_to(core, d[0], MANY - 1);
    assert_true(sync_has_turn(core, p));
    for (uint32_t i = 0; i < MANY; i++) sync_answered(core, d[0], true);
    assert_false(sync_has_turn(core, p));
    deliver(core, nobody, &row[0]);
    shows_up_to(core, d[0], 1);
    assert_false(sync_has_turn(core, p));
    shows(core, d[1]);
    assert_true(sync_has_turn(core, peer_find(core, d[1])));
    heard_ns = 0;
}

/* Nor those that bring at once what is held. */
static void test_who_brings_nothing_new_waits_longer(void **state)
{
    enum { EMPTY = 63, STEPS = 3000 };
    struct node_id d[EMPTY + 1];
    uint32_t got = 0;
    (void)state;
    struct core *core = with_devices(0xad, d, EMPTY + 1);
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t first = EMPTY + 1;
        for (uint32_t i = 0; i <= EMPTY; i++) {
            const uint32_t who = (step * 37 + i) % (EMPTY + 1);
            shows(core, d[who]);
            if (sync_has_turn(core, peer_find(core, d[who]))) first = who;
        }
        got += first == EMPTY;
        if (first <= EMPTY)
            while (sync_has_turn(core, peer_find(core, d[first])))
                sync_answered(core, d[first], first == EMPTY);
        later_s(1);
    }
    if (got < STEPS / 2) fail_msg("%u of %u", got, STEPS);
    heard_ns = 0;
}

/* It has answered all at once, and others were first each time: it waits for some minutes, and no longer each time. */
static void test_who_lost_the_race_is_not_out_of_it(void **state)
{
    struct node_id d[2];
    (void)state;
    struct core *core = with_devices(0xab, d, 2);
    deliver(core, nobody, &row[0]);
    row_next = 1;
    for (uint32_t i = 0; i < 8; i++) {
        shows(core, d[0]);
        shows(core, d[1]);
        repeats(core, d[0], RECORDS);
        later_s(8 * 60 + 1);
    }
    shows(core, d[0]);
    assert_true(has_turn(core, d[0]));
    heard_ns = 0;
}

static uint32_t up_of(struct core *core, uint8_t first)
{
    const struct peer_view *p;
    uint32_t count = 0;
    for (uint32_t i = 0; (p = core_peer_at(core, i)) != NULL; i++)
        count += p->up && p->node.bytes[0] == first;
    return count;
}

/* Devices have a quarter of the places for links, strangers another; members need not wait for either. */
static void test_devices_have_some_links(void **state)
{
    (void)state;
    struct core *core = with_device(0xa5);
    for (uint32_t i = 0; i < CAP_PEERS; i++) {
        struct node_id named = {{0xd2, (uint8_t)i, 1}}, stranger = {{0xc5, (uint8_t)i, 1}};
        struct body_MEMBER b = member_of(named, ROLE_DEVICE);
        struct record word = next_of(&maker, KIND_MEMBER, &b);
        deliver(core, nobody, &word);
        link_up(core, named, true);
        link_up(core, stranger, true);
    }
    assert_int_equal(registry_device_count(core_registry(core), maker.node), CAP_PEERS + 1);
    assert_int_equal(up_of(core, 0xd2), CAP_PEERS / 4);
    assert_int_equal(up_of(core, 0xc5), CAP_PEERS / 4);
    for (uint32_t i = 0; i < WORLD_NODES; i++) {
        link_up(core, world->node[i].id, true);
        assert_int_equal(up_of(core, world->node[i].id.bytes[0]) > 0, 1);
    }
}

/* Sixty that take nothing back: the first of them go whole to all, then they spread as others do. */
static void test_hurry_is_bounded(void **state)
{
    (void)state;
    enum { MANY = 60, HURRY = 16, LINKS = WORLD_NODES - 1, FROM = 1 };
    struct core *core = core_begin();
    struct body_REVOCATION none = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE};
    struct world_node author = world->node[0];
    uint32_t whole = 0;
    deliver_world(core);
    for (uint32_t i = 1; i <= LINKS; i++) link_up(core, world->node[i].id, true);
    for (uint32_t n = 0; n < MANY; n++) {
        uint64_t token[8];
        store_u32(none.subject.bytes, n);
        struct record r = fresh_of(&author, KIND_REVOCATION, &none);
        author.seq++, author.head = r.id;
        assert_int_equal(offer(core, world->node[FROM].id, &r, token), 1);
        answer(core, token[0]);
        for (uint32_t i = 1; i <= LINKS; i++) whole += sent_to(core, world->node[i].id, MESSAGE_RECORD_CODE);
    }
    assert_int_equal(whole, HURRY * (LINKS - 1) + (MANY - HURRY) * GOSSIP_EAGER);
}

/* Whoever catches up tells nobody what it has: heads show it. */
static void test_what_is_old_is_not_spread(void **state)
{
    (void)state;
    struct core *core = core_begin();
    const struct world_node *author = &world->node[0];
    const struct node_id other = world->node[2].id;
    struct body_JOB job = {.app = world->app, .compose = world->compose, .task = SPAN_LITERAL("old")};
    struct record old = make_after(author->id, KIND_JOB, author->seq + 1, author->head, &job);
    deliver_world(core);
    link_up(core, author->id, true);
    link_up(core, other, true);
    deliver(core, author->id, &old);
    assert_int_equal(chain_author(core_chain(core), author->id)->applied, author->seq + 1);
    tick(core);
    assert_int_equal(sent_to(core, other, MESSAGE_ANNOUNCE_CODE), 0);
}

static uint64_t shown(struct core *core, struct node_id author)
{
    struct heads_prefix all = {HEADS_DEPTH_MAX, {{0}}};
    uint8_t items[HEADS_ITEM_BYTES];
    struct buffer b = BUFFER_OF(items);
    memcpy(all.bits.bytes, author.bytes, sizeof author.bytes);
    (void)core_root(core);
    heads_put(&core->heads, &b, &all);
    return load_u64(items + 32);
}

/* Others rely on what a node says that it holds: what the disk has refused has its effect, and is in no head until it is there. */
static void test_held_is_on_the_disk(void **state)
{
    (void)state;
    struct core *core = core_begin();
    struct world_node author = world->node[0];
    struct body_JOB job = {.app = world->app, .compose = world->compose, .task = SPAN_LITERAL("kept")};
    deliver_world(core);
    store_answers(core, OK);
    const uint64_t before = shown(core, author.id);
    assert_int_equal(before, author.seq);
    struct record first = fresh_of(&author, KIND_JOB, &job);
    author.seq++, author.head = first.id;
    struct record second = fresh_of(&author, KIND_JOB, &job);
    deliver(core, nobody, &first);
    assert_int_equal(shown(core, author.id), before); /* not yet */
    store_answers(core, ERR_FULL);
    deliver(core, nobody, &second);
    store_answers(core, OK);
    assert_int_equal(chain_author(core_chain(core), author.id)->applied, before + 2);
    note_asked(core);                                 /* the disk takes something: it is asked again */
    assert_int_equal(shown(core, author.id), before); /* the first is missing */
    assert_int_equal(asked_count, 1);
    store_answers(core, ERR_IO);
    tick(core);
    note_asked(core);
    assert_int_equal(asked_count, 1);
    store_answers(core, OK);
    assert_int_equal(shown(core, author.id), before + 2);
    tick(core);
    note_asked(core);
    assert_int_equal(asked_count, 0);
}

/* Members that have all the work done that theirs may be, and one among them brings a revocation. */
static void test_what_is_taken_back_is_looked_at(void **state)
{
    (void)state;
    struct core *core = core_begin();
    const struct node_id by = world->node[WORLD_REQUESTER].id;
    struct body_REVOCATION none = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE};
    struct body_JOB job = {.app = world->app, .compose = world->compose, .task = SPAN_LITERAL("busy")};
    struct world_node author = world->node[0];
    uint64_t token[8];
    uint32_t busy = 0, looked_at = 0;
    deliver_world(core);
    for (uint32_t n = WORLD_CUSTODIANS; n < WORLD_NODES; n++) {
        link_up(core, world->node[n].id, true);
        for (uint32_t i = 0; i <= pending_part(core, MEMBER_PENDING_16THS); i++) {
            struct record r = make(world->node[n].id, KIND_JOB, 1000 + i, &job);
            busy += offer(core, world->node[n].id, &r, token);
        }
    }
    assert_int_equal(busy, pending_part(core, MEMBERS_PENDING_16THS));
    for (uint32_t n = 0; n < URGENT_PENDING_MAX + 2; n++) {
        store_u32(none.subject.bytes, n);
        struct record r = fresh_of(&author, KIND_REVOCATION, &none);
        author.seq++, author.head = r.id;
        looked_at += offer(core, by, &r, token);
    }
    assert_int_equal(looked_at, URGENT_PENDING_MAX);
}

/* Its root never is the one held here, and each of its answers takes longer than two roots of its come apart; it holds nothing new. */
static void test_who_is_slow_compares(void **state)
{
    (void)state;
    enum { STEP_MS = 100, ROOT_MS = 500, ANSWER_MS = 2600, LASTS_MS = 60000 };
    struct core *core = core_begin();
    const struct node_id peer = world->node[0].id;
    uint32_t asked_turn[LASTS_MS / STEP_MS] = {0}, last = 0;
    const struct peer *p;
    deliver_world(core);
    link_up(core, peer, true);
    p = peer_find(core, peer);
    for (uint32_t t = 0; t < LASTS_MS / STEP_MS && !p->compared; t++) {
        uint8_t bytes[128];
        struct buffer b = BUFFER_OF(bytes);
        struct event event = {.type = EVENT_MESSAGE,
                              .now = {(int64_t)t * STEP_MS * 1000000},
                              .wall_ms = WORLD_START_MS + WALL_MS_LATER,
                              .peer = peer};
        uint32_t none = 0, *turn = t < ANSWER_MS / STEP_MS ? &none : &asked_turn[t - ANSWER_MS / STEP_MS];
        const struct message_ROOT root = {event.wall_ms, {{0x11}}};
        const struct message_HEADS heads = {event.wall_ms, *turn, 0, {{0}}, SPAN_NONE};
        if (*turn != 0)
            message_encode(&b, MESSAGE_HEADS_CODE, &heads);
        else if (t % (ROOT_MS / STEP_MS) == 0)
            message_encode(&b, MESSAGE_ROOT_CODE, &root);
        event.bytes = buffer_span(&b);
        *turn = 0;
        if (b.len > 0) core_step(core, &event);
        if (p->turn != last) asked_turn[t] = last = p->turn;
    }
    assert_true(p->compared);
}

/* Of the first author here it is told that it has many more. */
static uint64_t records_asked(struct core *core, struct node_id by)
{
    uint8_t item[HEADS_ITEM_BYTES] = {0}, bytes[HEADS_ITEM_BYTES + 128];
    struct buffer b = BUFFER_OF(bytes);
    uint32_t count;
    memcpy(item, world->node[0].id.bytes, 32);
    store_u64(item + 32, 10000);
    const struct message_HEADS heads = {WORLD_START_MS + WALL_MS_LATER, 0, 0, {{0}}, SPAN_OF(item)};
    message_encode(&b, MESSAGE_HEADS_CODE, &heads);
    hear(core, by, buffer_span(&b));
    const struct effect *e = core_effects(core, &count);
    for (uint32_t i = 0; i < count; i++) {
        union message_body m;
        enum message code;
        if (e[i].type == EFFECT_SEND && message_decode(&code, &m, e[i].bytes) == OK &&
            code == MESSAGE_GET_CODE)
            return m.GET.to - m.GET.from + 1;
    }
    return 0;
}

/* What a node has at once is its profile's, and it asks for no more than it may look at. */
static void has_at_once(const struct caps *caps, uint32_t get_most)
{
    profile = caps;
    struct core *core = core_begin();
    profile = &caps_full;
    deliver_world(core);
    store_answers(core, OK);
    link_up(core, world->node[1].id, true);
    assert_int_equal(records_asked(core, world->node[1].id), get_most);
    for (uint32_t i = 0; i < caps_full.peers; i++)
        link_up(core, (struct node_id){{0xc5, (uint8_t)i, 1}}, true);
    assert_int_equal(up_of(core, 0xc5), caps->peers / 4);
    while (pending_new(core, NULL) != NULL)
        ;
    assert_int_equal(core->pending_used, caps->pending);
    core_check(core);
}

static void test_profiles(void **state)
{
    (void)state;
    has_at_once(&caps_full, 256);
    has_at_once(&caps_light, caps_light.pending * 3 / 16);
    has_at_once(&caps_sim, caps_sim.pending * 3 / 16);
}

static struct core *core_of(uint32_t node)
{
    struct core *core;
    const struct core_options options = {.self = world->node[node].id,
                                         .consortium = world->consortium,
                                         .charter = world->charter,
                                         .engine = SPAN_OF(engine)};
    asked_count = 0;
    assert_int_equal(core_new(&core, world_arena(world), &options), OK);
    core_step(core, &(struct event){.type = EVENT_READY, .wall_ms = WORLD_START_MS + WALL_MS_LATER});
    return core;
}

static struct core *owner_with_links(void)
{
    struct core *core = core_of(0);
    deliver_world(core);
    store_answers(core, OK);
    for (uint32_t i = 1; i < WORLD_NODES; i++) link_up(core, world->node[i].id, true);
    return core;
}

static uint64_t token_of(struct core *core, enum effect_type type)
{
    uint32_t count;
    const struct effect *e = core_effects(core, &count);
    for (uint32_t i = 0; i < count; i++)
        if (e[i].type == type && e[i].token != 0) return e[i].token;
    return 0;
}

/* A node whose clock is off dates its revocation by the clocks of others: it goes to all, however old that looks. */
static void test_own_revocation_by_a_wrong_clock(void **state)
{
    (void)state;
    uint8_t bytes[128], signature[64] = {0};
    struct buffer b = BUFFER_OF(bytes);
    const struct body_REVOCATION body = {.target = REVOKE_ALL, .approval_signature = SPAN_NONE};
    const uint64_t then_ms = WORLD_START_MS + WALL_MS_LATER;
    struct core *core = owner_with_links();
    uint32_t whole = 0;
    body_encode(&b, KIND_REVOCATION, &body);
    const struct command command = {.type = COMMAND_AUTHOR, .kind = KIND_REVOCATION, .body = buffer_span(&b)};
    core_step(core,
              &(struct event){.type = EVENT_COMMAND, .wall_ms = then_ms, .token = 9, .command = &command});
    core_step(core, &(struct event){.type = EVENT_CRYPTO,
                                    .wall_ms = then_ms,
                                    .token = token_of(core, EFFECT_CRYPTO),
                                    .bytes = SPAN_OF(signature)});
    core_step(core, &(struct event){.type = EVENT_STORED,
                                    .wall_ms = then_ms + 660000,
                                    .token = token_of(core, EFFECT_STORE)});
    for (uint32_t i = 1; i < WORLD_NODES; i++) whole += sent_to(core, world->node[i].id, MESSAGE_RECORD_CODE);
    assert_int_equal(whole, WORLD_NODES - 1);
}

/* What a node that lost its disk gets back of its own is nothing new to anybody. */
static void test_own_old_ones_come_back(void **state)
{
    (void)state;
    const struct body_REVOCATION none = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE};
    const struct world_node *self = &world->node[0];
    struct core *core = owner_with_links();
    const struct record r = make_after(self->id, KIND_REVOCATION, self->seq + 1, self->head, &none);
    uint64_t token[8];
    assert_int_equal(offer(core, world->node[1].id, &r, token), 1);
    answer(core, token[0]);
    for (uint32_t i = 2; i < WORLD_NODES; i++)
        assert_int_equal(sent_to(core, world->node[i].id, MESSAGE_RECORD_CODE), 0);
}

/* Two headers of this author in one place. */
static struct span pair_at(struct buffer *out, struct node_id author, uint64_t seq)
{
    static uint8_t memory[2][1024];
    struct record r[2];
    for (uint32_t i = 0; i < 2; i++) {
        const struct body_REVOCATION body = {
            .target = REVOKE_DATASET, .subject = {{(uint8_t)(i + 1)}}, .approval_signature = SPAN_NONE};
        struct header h = {.kind = KIND_REVOCATION,
                           .consortium = world->consortium,
                           .author = author,
                           .seq = seq,
                           .prev = {{seq > 1}},
                           .time_ms = WORLD_START_MS,
                           .residency = SPAN_LITERAL("")};
        const struct signature none = {{0}};
        struct buffer made = BUFFER_OF(memory[i]);
        size_t header_len;
        assert_int_equal(record_build(&made, &header_len, &h, &body), OK);
        assert_int_equal(record_open(&r[i], span_make(made.data, header_len), &none, SPAN_NONE), OK);
    }
    const struct message_EQUIVOCATION m = {r[0].header_bytes, r[0].signature, r[1].header_bytes,
                                           r[1].signature};
    out->len = 0;
    message_encode(out, MESSAGE_EQUIVOCATION_CODE, &m);
    return buffer_span(out);
}

/* Says a pair in this place. False: nobody looked at its signatures. */
static bool equivocate(struct core *core, uint64_t seq, uint32_t *told)
{
    static uint8_t bytes[2048];
    struct buffer b = BUFFER_OF(bytes);
    hear(core, world->node[WORLD_REQUESTER].id, pair_at(&b, world->node[WORLD_ALGORITHM].id, seq));
    const uint64_t token = token_of(core, EFFECT_CRYPTO);
    if (token == 0) return false;
    answer(core, token);
    for (uint32_t i = 1; i < WORLD_NODES; i++)
        *told += sent_to(core, world->node[i].id, MESSAGE_EQUIVOCATION_CODE);
    return true;
}

/* The disk answers so. Then it is asked for one more thing, and for nothing when it has taken that. */
static void asked_once_more(struct core *core, enum err err)
{
    for (uint32_t more = 2; more > 0; more--) {
        store_answers(core, more == 2 ? err : OK);
        tick(core);
        note_asked(core);
        assert_int_equal(asked_count, more - 1);
    }
}

/* One key signs pairs, each a place lower, while the disk is in one long sync: a few are looked at and told, and one at a time is on its
 * way to the disk. */
static void test_pairs_that_walk_down(void **state)
{
    (void)state;
    enum { PAIRS = 200, AT_ONCE = 1 + 16 };
    struct core *core = owner_with_links();
    uint64_t seq = CAP_AUTHOR_RECORDS;
    uint32_t told = 0, looked_at = 0;
    for (uint32_t i = 0; i < PAIRS; i++) looked_at += equivocate(core, seq--, &told);
    assert_int_equal(looked_at, AT_ONCE);
    assert_in_range(told, 1, AT_ONCE * WORLD_NODES);
    assert_int_equal(asked_count, 1);
    asked_once_more(core, OK); /* it has a higher one */
}

enum { LONG = 300 };

/* One of two chains of this author, which part in its next place. */
static void make_branch(struct record branch[LONG], const struct world_node *author, uint8_t which)
{
    struct record_id prev = author->head;
    for (uint32_t i = 0; i < LONG; i++) {
        const struct body_REVOCATION body = {.target = REVOKE_DATASET,
                                             .subject = {{which, (uint8_t)i, (uint8_t)(i >> 8)}},
                                             .approval_signature = SPAN_NONE};
        branch[i] = make_after(author->id, KIND_REVOCATION, author->seq + 1 + i, prev, &body);
        prev = branch[i].id;
    }
}

/* The peer tells its head of the other branch and gives what it is asked for, as far as it has it; `gets_seen` counts. */
static void tell_branch(struct core *core, struct node_id peer, const struct record branch[LONG],
                        bool compared, uint32_t *gets_seen)
{
    uint8_t items[72], bytes[160];
    struct buffer item = BUFFER_OF(items), b = BUFFER_OF(bytes);
    uint64_t token[8], first[8];
    uint32_t count, gets = 0;
    buffer_put(&item, ID_SPAN(branch[0].header.author));
    buffer_put_u64(&item, branch[LONG - 1].header.seq);
    buffer_put(&item, ID_SPAN(branch[LONG - 1].id));
    struct peer *p = peer_find(core, peer);
    p->open = compared;
    p->turn = 7;
    const struct message_HEADS heads = {WORLD_START_MS + WALL_MS_LATER, 7, 0, {{0}}, SPAN_OF(items)};
    message_encode(&b, MESSAGE_HEADS_CODE, &heads);
    hear(core, peer, buffer_span(&b));
    for (bool more = true; more;) {
        const struct effect *e = core_effects(core, &count);
        more = false;
        gets = 0;
        for (uint32_t i = 0; i < count; i++) {
            union message_body m;
            enum message code;
            if (e[i].type != EFFECT_SEND || message_decode(&code, &m, e[i].bytes) != OK) continue;
            if (code == MESSAGE_GET_CODE && ID_EQUAL(m.GET.author, branch[0].header.author))
                first[gets++] = m.GET.from;
        }
        *gets_seen += gets;
        for (uint32_t g = 0; g < gets;
             g++) { /* the lowest of the other branch that was asked for is looked at first */
            const uint64_t begin = branch[0].header.seq;
            const struct record *r = &branch[first[g] > begin ? first[g] - begin : 0];
            const uint32_t n = offer(core, peer, r, token);
            for (uint32_t i = 0; i < n; i++) answer(core, token[i]);
            more |= n > 0;
        }
    }
}

/* Where the chains of one part is found though it has spent its budget on lower and lower pairs, and once that is found nobody asks. */
static void test_a_walk_down_goes_on(void **state)
{
    (void)state;
    static struct record ours[LONG], theirs[LONG];
    const struct world_node *author = &world->node[WORLD_ALGORITHM];
    const struct node_id peer = world->node[WORLD_REQUESTER].id;
    struct core *core = owner_with_links();
    uint32_t told = 0, asked_for = 0, waited = 0;
    make_branch(ours, author, 1);
    make_branch(theirs, author, 2);
    for (uint32_t i = 0; i < LONG; i++) deliver(core, world->node[1].id, &ours[i]);
    tick(core);
    heard_ns = core->now.ns;
    for (uint32_t i = 0; i < 20; i++) (void)equivocate(core, CAP_AUTHOR_RECORDS - i, &told);
    const struct author *a = chain_author(core_chain(core), author->id);
    for (uint32_t i = 0; i < 90 && a->frozen != author->seq + 1; i++) {
        const uint64_t part_way = author->seq + 1 + LONG - 256;
        const bool waits = i < 30 && a->frozen == part_way; /* for who was not asked, for ever */
        tell_branch(core, peer, theirs, !waits, &asked_for);
        assert_true(!waits || a->frozen == part_way);
        waited += waits;
        tick(core);
        heard_ns = core->now.ns;
    }
    assert_true(waited > 20);
    assert_int_equal(a->frozen, author->seq + 1);
    assert_in_range(asked_for, 2, 20);
    asked_for = 0;
    for (uint32_t i = 0; i < 60; i++) {
        tell_branch(core, peer, theirs, true, &asked_for);
        tick(core);
        heard_ns = core->now.ns;
    }
    assert_int_equal(asked_for, 0);
    heard_ns = 0;
}

/* A half whose predecessor is none leads nowhere, whoever was given it first. */
static void test_nobody_walks_down_from_nothing(void **state)
{
    (void)state;
    static struct record theirs[LONG];
    const struct world_node *author = &world->node[WORLD_ALGORITHM];
    const struct node_id peer = world->node[WORLD_REQUESTER].id;
    const struct body_REVOCATION none = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE};
    const struct record_id nothing = {{0xee}};
    struct core *core = owner_with_links();
    uint32_t asked_for = 0;
    make_branch(theirs, author, 2);
    for (uint32_t i = 0; i + 1 < LONG; i++) deliver(core, peer, &theirs[i]);
    const struct record half = make_after(author->id, KIND_REVOCATION, author->seq + LONG, nothing, &none);
    deliver(core, peer, &half);
    deliver(core, peer, &theirs[LONG - 1]);
    assert_int_equal(chain_author(core_chain(core), author->id)->frozen, author->seq + LONG);
    for (uint32_t i = 0; i < 60; i++) {
        tell_branch(core, peer, theirs, true, &asked_for);
        tick(core);
        heard_ns = core->now.ns;
    }
    assert_int_equal(asked_for, 0);
    heard_ns = 0;
}

static void test_a_refused_pair_is_kept_later(void **state)
{
    (void)state;
    struct core *core = owner_with_links();
    uint32_t told = 0;
    assert_true(equivocate(core, 5000, &told));
    assert_int_equal(asked_count, 1);
    asked_once_more(core, ERR_FULL);
}

/* Revocations behind a hole, and one in the next place that does not follow, are told in turn, whatever their number. */
static void told_in_turn(uint32_t many, bool hole)
{
    struct core *core = core_begin();
    const struct world_node *author = &world->node[0];
    const struct node_id peer = world->node[2].id;
    const struct body_REVOCATION none = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE};
    struct record_id prev = {{1}};
    static bool told[4096];
    uint32_t distinct = 0;
    memset(told, 0, sizeof told);
    deliver_world(core);
    for (uint32_t n = 0; n < many; n++) {
        struct record r = make_after(author->id, KIND_REVOCATION, author->seq + 1 + hole + n, prev, &none);
        prev = r.id;
        deliver(core, nobody, &r);
    }
    store_answers(core, OK);
    link_up(core, peer, true);
    for (uint32_t n = 0; n < 20 * many; n++) {
        uint32_t count;
        tick(core);
        const struct effect *e = core_effects(core, &count);
        for (uint32_t k = 0; k < count; k++) {
            union message_body m;
            enum message code;
            struct header h;
            if (e[k].type != EFFECT_SEND || message_decode(&code, &m, e[k].bytes) != OK) continue;
            if (code != MESSAGE_RECORD_CODE || header_decode(&h, m.RECORD.header) != OK) continue;
            distinct += !told[h.seq];
            told[h.seq] = true;
        }
    }
    assert_int_equal(distinct, many);
}

static void test_told_behind_a_hole(void **state)
{
    (void)state;
    told_in_turn(1, false);
    told_in_turn(7, true);
    told_in_turn(96, true);
}

static bool told_now(struct core *core, struct node_id peer)
{
    tick(core);
    return sent_to(core, peer, MESSAGE_RECORD_CODE) > 0;
}

/* One alone, far behind a hole: found in about as many turns as there are windows. */
static void test_told_soon_behind_a_hole(void **state)
{
    (void)state;
    enum { PLACES = 4096 };
    struct core *core = core_begin();
    const struct world_node *author = &world->node[0];
    const struct body_REVOCATION none = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE};
    const struct body_JOB job = {.app = world->app, .compose = world->compose, .task = SPAN_LITERAL("far")};
    uint32_t turns = 1;
    deliver_world(core);
    const struct record taken = make(author->id, KIND_REVOCATION, author->seq + PLACES - 39, &none),
                        last = make(author->id, KIND_JOB, author->seq + PLACES, &job);
    deliver(core, nobody, &last);
    deliver(core, nobody, &taken);
    store_answers(core, OK);
    link_up(core, world->node[2].id, true);
    while (turns < PLACES && !told_now(core, world->node[2].id)) turns++;
    assert_in_range(turns, 1, 3 * PLACES / CHAIN_LOOKED_AT);
}

/* A revocation is in force here though the disk refuses it, and no head shows it: who comes later hears of it all the same. */
static void test_told_though_the_disk_lacks_it(void **state)
{
    (void)state;
    struct core *core = core_begin();
    struct body_REVOCATION none = {.target = REVOKE_COMPOSE, .approval_signature = SPAN_NONE};
    memcpy(none.subject.bytes, world->compose.bytes, 32);
    deliver_world(core);
    store_answers(core, OK);
    const struct record r = fresh_of(&world->node[0], KIND_REVOCATION, &none);
    deliver(core, nobody, &r);
    store_answers(core, ERR_FULL);
    assert_int_equal(core->unkept, 1);
    link_up(core, world->node[2].id, true);
    assert_int_equal(sent_to(core, world->node[2].id, MESSAGE_RECORD_CODE), 1);
    tick(core);
    note_asked(core);
    store_answers(core, OK);
    assert_int_equal(core->unkept, 0);
    tick(core);
    assert_false(told_now(core, world->node[2].id)); /* by heads from now on */
}

/* A disk that comes back is asked for what it had refused a part at a time: the rest of the work goes on. */
static void test_a_disk_that_comes_back(void **state)
{
    (void)state;
    struct core *core = core_begin();
    struct world_node author = world->node[0];
    const struct body_JOB job = {.app = world->app, .compose = world->compose, .task = SPAN_LITERAL("kept")};
    deliver_world(core);
    store_answers(core, OK);
    for (uint32_t n = 0; n < 3 * pending_part(core, AGAIN_16THS); n++) {
        struct record r = fresh_of(&author, KIND_JOB, &job);
        author.seq++, author.head = r.id;
        deliver(core, nobody, &r);
        store_answers(core, ERR_FULL);
    }
    for (uint32_t n = 0; n < 40 && core->unkept + core->again > 0; n++) {
        tick(core);
        note_asked(core);
        for (uint32_t at = 0; at < asked_count; at++) { /* each answer may ask for more */
            core_step(core, &(struct event){.type = EVENT_STORED,
                                            .wall_ms = WORLD_START_MS + WALL_MS_LATER,
                                            .token = asked[at]});
            if (asked_count < 500) note_asked(core);
            assert_true(core->again <= pending_part(core, AGAIN_16THS));
        }
        asked_count = 0;
    }
    assert_int_equal(core->unkept + core->again, 0);
    assert_int_equal(shown(core, author.id), author.seq);
}

/* Devices that hold all links over which records spread give one up for a member. */
static void test_a_member_takes_a_devices_link(void **state)
{
    (void)state;
    struct core *core = with_device(0xa6);
    const struct node_id member = world->node[1].id;
    struct body_REVOCATION none = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE};
    struct record urgent = fresh_of(&world->node[0], KIND_REVOCATION, &none);
    uint64_t token[8];
    for (uint32_t i = 0; i < GOSSIP_LINKS_MAX; i++) {
        struct node_id named = {{0xd3, (uint8_t)i, 1}};
        struct body_MEMBER b = member_of(named, ROLE_DEVICE);
        struct record word = next_of(&maker, KIND_MEMBER, &b);
        deliver(core, nobody, &word);
        link_up(core, named, true);
    }
    assert_int_equal(up_of(core, 0xd3), GOSSIP_LINKS_MAX);
    link_up(core, member, true);
    assert_int_equal(offer(core, nobody, &urgent, token), 1);
    answer(core, token[0]);
    assert_int_equal(sent_to(core, member, MESSAGE_RECORD_CODE), 1); /* whole to all of those links */
    assert_int_equal(effects_of(core, EFFECT_SEND), GOSSIP_LINKS_MAX);
}

/* The store is read in the order of authors: of who comes before the stewards that admitted it nothing waits once that is done. */
static void test_restored_before_its_stewards(void **state)
{
    (void)state;
    static uint8_t bytes[CAP_BODY_BYTES + 1024];
    enum { MANY = CAP_JOBS / SMALL_PART + 3 };
    struct core *core;
    struct node_id author = world->node[WORLD_ALGORITHM].id;
    struct body_JOB body = {.app = world->app, .compose = world->compose, .task = SPAN_LITERAL("again")};
    struct core_options options = {.self = {{0xee}},
                                   .consortium = world->consortium,
                                   .charter = world->charter,
                                   .engine = SPAN_OF(engine)};
    for (uint32_t i = 0; i < MANY; i++) (void)world_record(world, WORLD_ALGORITHM, KIND_JOB, &body, 0);
    assert_int_equal(core_new(&core, world_arena(world), &options), OK);
    for (uint32_t i = 0; i < 2 * world->record_count; i++) {
        const struct record *r = world->record[i % world->record_count];
        struct buffer b = BUFFER_OF(bytes);
        if (ID_EQUAL(r->header.author, author) != (i < world->record_count)) continue;
        record_pack(&b, r);
        core_step(core, &(struct event){.type = EVENT_RESTORE_RECORD,
                                        .wall_ms = WORLD_START_MS + WALL_MS_LATER,
                                        .bytes = buffer_span(&b)});
    }
    assert_false(chain_whole(core_chain(core), author));
    core_step(core, &(struct event){.type = EVENT_READY, .wall_ms = WORLD_START_MS + WALL_MS_LATER});
    assert_true(chain_whole(core_chain(core), author));
    assert_true(jobs(core) >= MANY);
}

static int set_up(void **state)
{
    (void)state;
    world_maker_devices = CAP_MAKER_DEVICES;
    world = world_new();
    return world != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gap_closes_in_its_turn),
        cmocka_unit_test(test_a_recipe_comes_after_its_run),
        cmocka_unit_test(test_pairs_are_bounded),
        cmocka_unit_test(test_stranger_has_few_checks),
        cmocka_unit_test(test_malformed_messages_are_offences),
        cmocka_unit_test(test_forged_records_are_offences),
        cmocka_unit_test(test_bodies_that_do_not_read_are_not_kept),
        cmocka_unit_test(test_a_gap_isolates_its_author_only),
        cmocka_unit_test(test_a_record_waits_for_its_time),
        cmocka_unit_test(test_answers_are_bounded),
        cmocka_unit_test(test_wanted_records_are_bounded),
        cmocka_unit_test(test_answers_go_on),
        cmocka_unit_test(test_one_peer_has_few_joins),
        cmocka_unit_test(test_joins_of_the_gone_give_way),
        cmocka_unit_test(test_joins_of_the_admitted_give_way),
        cmocka_unit_test(test_device_waits_for_its_turn),
        cmocka_unit_test(test_device_is_kept_in_order),
        cmocka_unit_test(test_revoked_device_is_told),
        cmocka_unit_test(test_device_has_few_checks),
        cmocka_unit_test(test_one_device_at_a_time_answers),
        cmocka_unit_test(test_what_is_held_is_an_answer),
        cmocka_unit_test(test_a_turn_that_nobody_wants_is_not_lost),
        cmocka_unit_test(test_dripping_devices_do_not_hold_the_turn),
        cmocka_unit_test(test_who_has_little_needs_no_turn),
        cmocka_unit_test(test_what_was_brought_is_not_owed),
        cmocka_unit_test(test_who_brings_nothing_new_waits_longer),
        cmocka_unit_test(test_who_lost_the_race_is_not_out_of_it),
        cmocka_unit_test(test_idle_devices_do_not_hold_the_turn),
        cmocka_unit_test(test_devices_have_some_links),
        cmocka_unit_test(test_hurry_is_bounded),
        cmocka_unit_test(test_what_is_old_is_not_spread),
        cmocka_unit_test(test_held_is_on_the_disk),
        cmocka_unit_test(test_what_is_taken_back_is_looked_at),
        cmocka_unit_test(test_who_is_slow_compares),
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_own_revocation_by_a_wrong_clock),
        cmocka_unit_test(test_own_old_ones_come_back),
        cmocka_unit_test(test_pairs_that_walk_down),
        cmocka_unit_test(test_a_walk_down_goes_on),
        cmocka_unit_test(test_nobody_walks_down_from_nothing),
        cmocka_unit_test(test_a_refused_pair_is_kept_later),
        cmocka_unit_test(test_told_behind_a_hole),
        cmocka_unit_test(test_told_soon_behind_a_hole),
        cmocka_unit_test(test_told_though_the_disk_lacks_it),
        cmocka_unit_test(test_two_chains_on_one_shelf),
        cmocka_unit_test(test_a_disk_that_comes_back),
        cmocka_unit_test(test_a_member_takes_a_devices_link),
        cmocka_unit_test(test_restored_before_its_stewards),
    };
    return cmocka_run_group_tests_name("ingest", tests, set_up, tear_down);
}
