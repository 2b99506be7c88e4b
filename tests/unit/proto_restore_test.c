/* core, at start: what a damaged store does to a node: it signs in no place that may be taken, and forgets no promise. */
#include "proto/core_state.h"
#include "tests/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SELF = 0 };

static struct world *world;
static struct arena *memory;

static struct core *core_begin(void)
{
    struct core *c;
    struct core_options options = {
        .self = world->node[SELF].id, .consortium = world->consortium, .charter = world->charter};
    memory = world_arena(world);
    assert_int_equal(core_new(&c, memory, &options), OK);
    return c;
}

static void step(struct core *c, struct event event)
{
    event.wall_ms = world->now_ms;
    core_step(c, &event);
}

static bool is_last_own(const struct record *r)
{
    return ID_EQUAL(r->header.author, world->node[SELF].id) && r->header.seq == world->node[SELF].seq;
}

/* Every record comes back from the store; the newest own one does not read back when `damaged`. */
static const struct record *restore(struct core *c, bool damaged)
{
    const struct record *last = NULL;
    static uint8_t packed[CAP_BODY_BYTES + 1024];
    for (uint32_t i = 0; i < world->record_count; i++) {
        const struct record *r = world->record[i];
        uint8_t bytes[72];
        struct buffer b = BUFFER_OF(packed), key = BUFFER_OF(bytes);
        if (is_last_own(r)) last = r;
        record_pack(&b, r);
        buffer_put(&key, ID_SPAN(r->header.author));
        buffer_put_u64(&key, r->header.seq);
        buffer_put(&key, ID_SPAN(r->id));
        if (damaged && last == r)
            step(c, (struct event){.type = EVENT_RESTORE_LOST, .key = buffer_span(&key)});
        else
            step(c, (struct event){.type = EVENT_RESTORE_RECORD, .bytes = buffer_span(&b)});
    }
    step(c, (struct event){.type = EVENT_READY});
    assert_non_null(last);
    return last;
}

/* Asks for an own record. REFUSAL_NONE: it is about to be signed. */
static enum refusal author_one(struct core *c)
{
    uint8_t bytes[128];
    struct buffer b = BUFFER_OF(bytes);
    struct body_REVOCATION body = {.target = REVOKE_APPROVAL};
    uint32_t count;
    body_encode(&b, KIND_REVOCATION, &body);
    struct command command = {.type = COMMAND_AUTHOR, .kind = KIND_REVOCATION, .body = buffer_span(&b)};
    step(c, (struct event){.type = EVENT_COMMAND, .token = 9, .command = &command});
    const struct effect *e = core_effects(c, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (e[i].type == EFFECT_REPLY) return e[i].verdict.refusal;
        if (e[i].type == EFFECT_CRYPTO && e[i].crypto.op == CRYPTO_SIGN) return REFUSAL_NONE;
    }
    fail_msg("neither an answer nor a signature");
    return REFUSAL_FULL;
}

/* From a peer, its signature checked. */
static void deliver(struct core *c, const struct record *r)
{
    static uint8_t bytes[CAP_BODY_BYTES + 1024];
    struct buffer b = BUFFER_OF(bytes);
    uint32_t count;
    record_encode(&b, r);
    step(c, (struct event){.type = EVENT_MESSAGE, .peer = world->node[1].id, .bytes = buffer_span(&b)});
    const struct effect *e = core_effects(c, &count);
    assert_int_equal(count, 1);
    assert_int_equal(e->type, EFFECT_CRYPTO);
    step(c, (struct event){.type = EVENT_CRYPTO, .token = e->token});
}

static void test_whole_store(void **state)
{
    (void)state;
    struct core *c = core_begin();
    (void)restore(c, false);
    assert_int_equal(author_one(c), REFUSAL_NONE);
    world_arena_free(memory);
}

static void test_lost_own_record(void **state)
{
    (void)state;
    struct core *c = core_begin();
    const struct record *lost = restore(c, true);
    assert_int_equal(author_one(c), REFUSAL_GAP);
    deliver(c, lost);
    assert_int_equal(author_one(c), REFUSAL_NONE);
    world_arena_free(memory);
}

/* A custodian comes up and shows heads: none that are not held here. */
static void greet(struct core *c, struct node_id custodian)
{
    uint8_t bytes[32];
    struct buffer b = BUFFER_OF(bytes);
    struct message_HEADS heads = {world->now_ms, SPAN_NONE};
    message_encode(&b, MESSAGE_HEADS_CODE, &heads);
    step(c, (struct event){.type = EVENT_PEER_UP, .peer = custodian});
    step(c, (struct event){.type = EVENT_MESSAGE, .peer = custodian, .bytes = buffer_span(&b)});
}

static void test_lost_promise(void **state)
{
    (void)state;
    for (size_t value = 0; value <= PROMISE_VALUE_BYTES; value += PROMISE_VALUE_BYTES / 2) {
        uint8_t key[PROMISE_KEY_BYTES] = {PROMISE_VOTE}, bytes[PROMISE_VALUE_BYTES] = {1};
        struct core *c = core_begin();
        step(c, (struct event){
                    .type = EVENT_RESTORE_PROMISE, .key = SPAN_OF(key), .bytes = span_make(bytes, value)});
        (void)restore(c, false);
        assert_true(core_isolated(c));
        for (uint32_t i = 1; i < WORLD_CUSTODIANS; i++) greet(c, world->node[i].id);
        assert_int_equal(core_isolated(c), value != PROMISE_VALUE_BYTES);
        world_arena_free(memory);
    }
}

static int begin(void **state)
{
    (void)state;
    world = world_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_store),
        cmocka_unit_test(test_lost_own_record),
        cmocka_unit_test(test_lost_promise),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
