/* core, at start: what a damaged store does to a node: it signs in no place that may be taken, forgets no
 * promise, and shows of a run what it saw or begins anew. */
#include "proto/core_state.h"
#include "tests/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SELF = 0 };

static struct world *world;
static struct arena *memory;
static enum silence silence; /* what the next core is told of its store */
static bool computes;        /* whether it does */
static struct instant now;

static struct core *core_begin(void)
{
    struct core *c;
    struct core_options options = {.self = world->node[SELF].id,
                                   .consortium = world->consortium,
                                   .charter = world->charter,
                                   .compute = computes,
                                   .enclaves_max = computes,
                                   .platform = world->platform,
                                   .silence = silence};
    memory = world_arena(world);
    now = (struct instant){0};
    assert_int_equal(core_new(&c, memory, &options), OK);
    return c;
}

static void step(struct core *c, struct event event)
{
    event.wall_ms = world->now_ms;
    event.now.ns += now.ns;
    core_step(c, &event);
}

static bool is_last_own(const struct record *r)
{
    return ID_EQUAL(r->header.author, world->node[SELF].id) && r->header.seq == world->node[SELF].seq;
}

/* Every record comes back from the store; the newest own one does not read back, or was never there. */
enum last_own { LAST_KEPT, LAST_DAMAGED, LAST_NEVER };
static const struct record *restore_with(struct core *c, enum last_own own)
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
        if (own == LAST_NEVER && last == r) continue;
        if (own == LAST_DAMAGED && last == r)
            step(c, (struct event){.type = EVENT_RESTORE_LOST, .key = buffer_span(&key)});
        else
            step(c, (struct event){.type = EVENT_RESTORE_RECORD, .bytes = buffer_span(&b)});
    }
    step(c, (struct event){.type = EVENT_READY});
    assert_non_null(last);
    return last;
}

static const struct record *restore(struct core *c, bool damaged)
{
    return restore_with(c, damaged ? LAST_DAMAGED : LAST_KEPT);
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

static void say(struct core *c, struct node_id custodian, enum message code, const void *message)
{
    uint8_t bytes[1024];
    struct buffer b = BUFFER_OF(bytes);
    message_encode(&b, code, message);
    step(c, (struct event){.type = EVENT_MESSAGE, .peer = custodian, .bytes = buffer_span(&b)});
}

/* A custodian shows its heads, of this depth. */
static void show(struct core *c, struct node_id custodian, uint64_t depth, struct span items)
{
    const struct peer *p = peer_find(c, custodian);
    const struct message_HEADS heads = {world->now_ms, depth > 0 ? p->turn : 0, depth, {{0}}, items};
    say(c, custodian, MESSAGE_HEADS_CODE, &heads);
}

/* A custodian comes up and holds what is held here. */
static void greet(struct core *c, struct node_id custodian)
{
    const struct message_ROOT root = {world->now_ms, core_root(c)};
    step(c, (struct event){.type = EVENT_PEER_UP, .peer = custodian});
    say(c, custodian, MESSAGE_ROOT_CODE, &root);
}

static void greet_all(struct core *c)
{
    for (uint32_t i = 1; i < WORLD_CUSTODIANS; i++) greet(c, world->node[i].id);
    step(c, (struct event){.type = EVENT_TICK});
}

/* What it signed after a copy of its disk was made could be with the others: it hears q of them first. */
static void test_whole_store(void **state)
{
    (void)state;
    struct core *c = core_begin();
    (void)restore(c, false);
    assert_int_equal(author_one(c), REFUSAL_ISOLATED);
    greet_all(c);
    assert_int_equal(author_one(c), REFUSAL_NONE);
    world_arena_free(memory);
}

static void test_lost_own_record(void **state)
{
    (void)state;
    struct core *c = core_begin();
    const struct record *lost = restore(c, true);
    greet_all(c);
    assert_int_equal(author_one(c), REFUSAL_GAP);
    deliver(c, lost);
    assert_int_equal(author_one(c), REFUSAL_NONE);
    assert_int_equal(core_silence(c), SILENCE_NONE); /* it knew that it had held that */
    world_arena_free(memory);
}

/* --- Silence -------------------------------------------------------------------------------------------------------------- */

/* Whether the last step stored the reason, one byte. */
static bool keeps(const struct core *c, enum silence why)
{
    uint32_t count;
    const struct effect *e = core_effects(c, &count);
    for (uint32_t i = 0; i < count; i++)
        if (e[i].type == EFFECT_STORE && e[i].keep[0].space == KEEP_LOCAL &&
            span_equal(e[i].keep[0].key, SPAN_LITERAL("silent")))
            return e[i].keep[0].value.len == 1 && e[i].keep[0].value.data[0] == why;
    return false;
}

static void expect_silence(struct core *c, enum silence why)
{
    greet_all(c);
    assert_int_equal(core_silence(c), why);
    assert_int_equal(core_standing(c), REFUSAL_SILENT);
    assert_int_equal(author_one(c), REFUSAL_SILENT);
}

/* The disk was put back as it was before the last own record, and a peer shows that one. */
static void test_a_peer_shows_an_own_record(void **state)
{
    (void)state;
    struct core *c = core_begin();
    const struct record *later = restore_with(c, LAST_NEVER);
    deliver(c, later);
    assert_true(keeps(c, SILENCE_ELSEWHERE));
    assert_non_null(
        chain_get(core_chain(c), world->node[SELF].id, later->header.seq)); /* it is kept as any */
    expect_silence(c, SILENCE_ELSEWHERE);
    world_arena_free(memory);
}

/* Of what the last step asks the disk to keep: the token of the record, or of the silence alone; and is the silence among it? */
static uint64_t stores(const struct core *c, bool record, bool *silent)
{
    uint32_t count;
    const struct effect *e = core_effects(c, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (e[i].type != EFFECT_STORE || (e[i].keep[0].space == KEEP_RECORD) != record) continue;
        *silent = false;
        for (uint32_t k = 0; k < e[i].keep_count; k++)
            *silent |= span_equal(e[i].keep[k].key, SPAN_LITERAL("silent"));
        return e[i].token;
    }
    return 0;
}

/* A disk that is full then has neither the record nor the silence; once there is room, never the one without the other. */
static void test_a_full_disk_forgets_no_silence(void **state)
{
    (void)state;
    struct core *c = core_begin();
    const struct record *later = restore_with(c, LAST_NEVER);
    bool silent = false;
    deliver(c, later);
    const uint64_t alone = stores(c, false, &silent), with = stores(c, true, &silent);
    assert_true(silent && alone != 0 && with != 0);
    step(c, (struct event){.type = EVENT_STORED, .token = alone, .err = ERR_FULL});
    step(c, (struct event){.type = EVENT_STORED, .token = with, .err = ERR_FULL});
    for (int64_t second = 1; second <= 2; second++) {
        step(c, (struct event){.type = EVENT_TICK, .now = {second * INT64_C(1000000000)}});
        assert_true(keeps(c, SILENCE_ELSEWHERE));
        const uint64_t again = stores(c, false, &silent), record = stores(c, true, &silent);
        const enum err err = second == 1 ? ERR_FULL : OK;
        assert_true(silent && again != 0 && record != 0);
        step(c, (struct event){.type = EVENT_STORED, .token = again, .err = err});
        step(c, (struct event){.type = EVENT_STORED, .token = record, .err = err});
    }
    step(c, (struct event){.type = EVENT_TICK, .now = {INT64_C(3000000000)}});
    assert_false(keeps(c, SILENCE_ELSEWHERE));
    assert_int_equal(stores(c, true, &silent), 0);
    world_arena_free(memory);
}

/* A receipt whose signatures hold. */
static void deliver_receipt(struct core *c, const struct record *receipt)
{
    uint32_t count, checks = 0;
    deliver(c, receipt);
    const struct effect *e = core_effects(c, &count);
    uint64_t token = 0;
    for (uint32_t i = 0; i < count; i++)
        if (e[i].type == EFFECT_CRYPTO) {
            token = e[i].token;
            checks++;
        }
    assert_int_equal(checks, 1);
    step(c, (struct event){.type = EVENT_CRYPTO, .token = token});
}

/* It committed to an output, as a receipt shows, and has promised nothing of the kind, or something else. */
static void test_a_receipt_shows_an_own_commit(void **state)
{
    (void)state;
    struct body_RECEIPT body = world_receipt(world, world->run);
    struct core_receipt core;
    uint8_t key[PROMISE_KEY_BYTES];
    assert_int_equal(core_receipt_decode(&core, body.core), OK);
    promise_key(key, PROMISE_COMMIT, world->run.bytes, 0);
    const struct record *receipt = world_record(world, WORLD_REQUESTER, KIND_RECEIPT, &body, 0);
    world->record_count--; /* it comes later */
    for (uint32_t i = 0; i < 3; i++) {
        struct hash32 promised = core.commitment;
        struct core *c = core_begin();
        promised.bytes[0] ^= i == 1;
        if (i > 0)
            step(c, (struct event){
                        .type = EVENT_RESTORE_PROMISE, .key = SPAN_OF(key), .bytes = ID_SPAN(promised)});
        (void)restore(c, false);
        deliver_receipt(c, receipt);
        if (i < 2)
            expect_silence(c, SILENCE_ELSEWHERE);
        else
            assert_int_equal(core_silence(c), SILENCE_NONE);
        world_arena_free(memory);
    }
}

static void test_the_mark_says_so(void **state)
{
    (void)state;
    silence = SILENCE_LOST;
    struct core *c = core_begin();
    silence = SILENCE_NONE;
    (void)restore(c, false);
    assert_true(keeps(c, SILENCE_LOST));
    expect_silence(c, SILENCE_LOST);
    world_arena_free(memory);
}

/* What is kept of the reason lasts, also when it does not read. */
static void test_silence_lasts(void **state)
{
    (void)state;
    static const struct {
        uint8_t byte, len;
        enum silence why;
    } kept[] = {{SILENCE_ELSEWHERE, 1, SILENCE_ELSEWHERE},
                {SILENCE_LOST, 1, SILENCE_LOST},
                {SILENCE_NONE, 1, SILENCE_UNKNOWN},
                {SILENCE_COUNT, 1, SILENCE_UNKNOWN},
                {SILENCE_LOST, 0, SILENCE_UNKNOWN}};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        struct core *c = core_begin();
        step(c, (struct event){.type = EVENT_RESTORE_LOCAL,
                               .key = SPAN_LITERAL("silent"),
                               .bytes = span_make(&kept[i].byte, kept[i].len)});
        (void)restore(c, false);
        expect_silence(c, kept[i].why);
        world_arena_free(memory);
    }
}

/* What the last step asks for of branches. */
static uint32_t branches_asked(const struct core *c)
{
    uint32_t count, asked = 0;
    const struct effect *e = core_effects(c, &count);
    for (uint32_t i = 0; i < count; i++) {
        union message_body body;
        enum message code;
        if (e[i].type != EFFECT_SEND || message_decode(&code, &body, e[i].bytes) != OK) continue;
        asked += code == MESSAGE_BRANCH_GET_CODE;
    }
    return asked;
}

/* Another root: two of its branches differ, and are asked for. */
static void show_branches(struct core *c, struct node_id custodian)
{
    uint8_t hashes[512] = {0};
    const struct message_ROOT root = {world->now_ms, {{0x11}}};
    hashes[3 * 32] = hashes[7 * 32] = 0x22;
    say(c, custodian, MESSAGE_ROOT_CODE, &root);
    assert_int_equal(branches_asked(c), 1);
    const struct message_BRANCH branch = {peer_find(c, custodian)->turn, 0, {{0}}, SPAN_OF(hashes)};
    say(c, custodian, MESSAGE_BRANCH_CODE, &branch);
    assert_int_equal(branches_asked(c), 2);
    say(c, custodian, MESSAGE_BRANCH_CODE, &branch); /* of the two that are open, one has branches itself */
    assert_int_equal(branches_asked(c), 2);
}

/* Whoever holds otherwise has compared when all branches that differ were seen, and nothing among them that is not held here. */
static void test_compared_by_branches(void **state)
{
    (void)state;
    uint8_t item[72] = {0};
    struct core *c = core_begin();
    (void)restore(c, false);
    memcpy(item, world->node[0].id.bytes, 32);
    store_u64(item + 32, 4000);
    for (uint32_t i = 1; i < WORLD_CUSTODIANS; i++) {
        const struct node_id custodian = world->node[i].id;
        step(c, (struct event){.type = EVENT_PEER_UP, .peer = custodian});
        show_branches(c, custodian);
        show(c, custodian, 1, SPAN_NONE);
        show(c, custodian, 1, SPAN_OF(item));
        show(c, custodian, 2, SPAN_NONE);
    }
    assert_true(core_isolated(c));
    for (uint32_t i = 1; i < WORLD_CUSTODIANS; i++) {
        show_branches(c, world->node[i].id);
        show(c, world->node[i].id, 1, SPAN_NONE);
        show(c, world->node[i].id, 2, SPAN_NONE);
    }
    assert_true(core_isolated(c)); /* one is open yet */
    for (uint32_t i = 1; i < WORLD_CUSTODIANS; i++) show(c, world->node[i].id, 2, SPAN_NONE);
    assert_false(core_isolated(c));
    world_arena_free(memory);
}

/* An answer that comes when it is compared anew says nothing of that: the other answers to the first may name what is missing here. */
static void test_late_answers(void **state)
{
    (void)state;
    uint8_t bytes[128], item[72] = {0};
    struct core *c = core_begin();
    (void)restore(c, false);
    memcpy(item, world->node[0].id.bytes, 32);
    store_u64(item + 32, 4000);
    for (uint32_t i = 1; i < WORLD_CUSTODIANS; i++) {
        const struct node_id custodian = world->node[i].id;
        struct buffer b = BUFFER_OF(bytes);
        step(c, (struct event){.type = EVENT_PEER_UP, .peer = custodian});
        show_branches(c, custodian);
        const uint32_t before = peer_find(c, custodian)->turn;
        const struct message_ROOT root = {world->now_ms, {{0x12}}};
        const struct message_HEADS none = {world->now_ms, before, 1, {{0}}, SPAN_NONE},
                                   more = {world->now_ms, before, 2, {{0}}, SPAN_OF(item)};
        message_encode(&b, MESSAGE_ROOT_CODE, &root);
        step(c, (struct event){.type = EVENT_MESSAGE,
                               .peer = custodian,
                               .now = {INT64_C(1100000000)},
                               .bytes = buffer_span(&b)});
        assert_int_equal(branches_asked(c), 1);
        say(c, custodian, MESSAGE_HEADS_CODE, &none);
        say(c, custodian, MESSAGE_HEADS_CODE, &more);
        assert_false(peer_find(c, custodian)->compared);
    }
    assert_true(core_isolated(c));
    world_arena_free(memory);
}

/* A custodian that takes this node for a stranger is told the founders' heads, too, until it says its root. */
static void test_taken_for_a_stranger(void **state)
{
    (void)state;
    struct core *c = core_begin();
    (void)restore(c, false);
    const struct node_id custodian = world->node[1].id;
    const struct message_ROOT root = {world->now_ms, {{0x13}}};
    for (uint32_t round = 0; round < 2; round++) {
        uint32_t count, heads = 0, roots = 0;
        step(c, (struct event){.type = EVENT_PEER_UP, .peer = custodian});
        if (round == 0) show(c, custodian, 0, SPAN_NONE);
        if (round == 1) say(c, custodian, MESSAGE_ROOT_CODE, &root);
        step(c, (struct event){.type = EVENT_TICK, .now = {(round + 1) * INT64_C(3000000000)}});
        const struct effect *e = core_effects(c, &count);
        for (uint32_t i = 0; i < count; i++) {
            if (e[i].type != EFFECT_SEND || !ID_EQUAL(e[i].peer, custodian)) continue;
            heads += e[i].bytes.data[0] == MESSAGE_HEADS_CODE;
            roots += e[i].bytes.data[0] == MESSAGE_ROOT_CODE;
        }
        assert_int_equal(heads, round == 0);
        assert_int_equal(roots, 1);
    }
    world_arena_free(memory);
}

/* An equal root is all there is to say, and shows that this node's own chain is held. */
static void test_compared_by_root(void **state)
{
    (void)state;
    struct core *c = core_begin();
    (void)restore(c, false);
    const struct heads_prefix all = {0, {{0}}};
    heads_update(&c->heads);
    const struct message_ROOT root = {world->now_ms, heads_hash(&c->heads, &all)};
    assert_false(ID_IS_ZERO(root.root));
    for (uint32_t i = 1; i < WORLD_CUSTODIANS; i++) {
        step(c, (struct event){.type = EVENT_PEER_UP, .peer = world->node[i].id});
        assert_true(core_isolated(c));
        say(c, world->node[i].id, MESSAGE_ROOT_CODE, &root);
        assert_int_equal(branches_asked(c), 0);
        assert_int_equal(peer_find(c, world->node[i].id)->view.own_seq, world->node[SELF].seq);
        if (!core_isolated(c)) break;
    }
    assert_false(core_isolated(c));
    world_arena_free(memory);
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
        bool lost = value != PROMISE_VALUE_BYTES;
        assert_int_equal(core_standing(c), lost ? REFUSAL_PROMISE_LOST : REFUSAL_ISOLATED);
        for (uint32_t i = 1; i < WORLD_CUSTODIANS; i++) greet(c, world->node[i].id);
        assert_false(core_isolated(c)); /* to wait for others would not help */
        assert_int_equal(core_standing(c), lost ? REFUSAL_PROMISE_LOST : REFUSAL_NONE);
        world_arena_free(memory);
    }
}

/* --- Local values: what was seen of a run -------------------------------------------------------------------------------- */

enum {
    HISTORY_BYTES = 81 + 8 * RUN_STATE_COUNT,
    AT_STATE = 1,
    AT_REFUSAL = 2,
    AT_TERM = 36,
    AT_BAD_SHARES = 76,
    AT_STATES = 80,
    AT_ENTERED = 81
};

static const struct run_id seen_run = {{0x5e}};

/* A run that failed in term 2, whose states were entered at 1000, 1001, ... */
static void history(uint8_t value[HISTORY_BYTES])
{
    memset(value, 0, HISTORY_BYTES);
    value[0] = 2;
    value[AT_STATE] = RUN_FAILED;
    value[AT_REFUSAL + 1] = REFUSAL_COMPUTATION;
    value[AT_TERM + 7] = 2;
    value[AT_TERM + 8] = 0xee; /* the node */
    value[AT_BAD_SHARES + 3] = 5;
    value[AT_STATES] = RUN_STATE_COUNT;
    for (uint32_t i = 0; i < RUN_STATE_COUNT; i++) store_u64(value + AT_ENTERED + (size_t)8 * i, 1000 + i);
}

static bool known_after(struct span key, struct span value)
{
    struct core *c = core_begin();
    struct run_view view;
    step(c, (struct event){.type = EVENT_RESTORE_LOCAL, .key = key, .bytes = value});
    (void)restore(c, false);
    bool known = core_run(c, seen_run, &view);
    if (known) {
        assert_int_equal(view.state, RUN_FAILED);
        assert_int_equal(view.verdict.refusal, REFUSAL_COMPUTATION);
        assert_int_equal(view.term, 2);
        assert_int_equal(view.bad_shares, 5);
        assert_int_equal(view.node.bytes[0], 0xee);
        for (uint32_t i = 0; i < RUN_STATE_COUNT; i++) assert_int_equal(view.entered_ms[i], 1000 + i);
    }
    world_arena_free(memory);
    return known;
}

static void test_history(void **state)
{
    (void)state;
    uint8_t key[36] = "run/", value[HISTORY_BYTES + 1];
    memcpy(key + 4, seen_run.bytes, 32);
    history(value);
    assert_true(known_after(SPAN_OF(key), span_make(value, HISTORY_BYTES)));
    assert_false(known_after(span_make(key, 35), span_make(value, HISTORY_BYTES)));
    assert_false(known_after(SPAN_LITERAL("consortium"), span_make(value, HISTORY_BYTES)));
    assert_false(known_after(SPAN_OF(key), span_make(value, HISTORY_BYTES + 1)));
    for (size_t len = 0; len < HISTORY_BYTES; len += 1 + len / 4)
        assert_false(known_after(SPAN_OF(key), span_make(value, len)));
    static const struct {
        size_t at;
        uint8_t byte;
    } wrong[] = {
        {0, 0},          {0, 1},       {AT_STATE, RUN_STATE_COUNT},      {AT_REFUSAL + 1, REFUSAL_COUNT},
        {AT_REFUSAL, 1}, {AT_TERM, 1}, {AT_STATES, RUN_STATE_COUNT - 1}, {AT_ENTERED, 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        history(value);
        value[wrong[i].at] = wrong[i].byte;
        assert_false(known_after(SPAN_OF(key), span_make(value, HISTORY_BYTES)));
    }
    history(value);
    store_u64(value + AT_ENTERED + (size_t)8 * RUN_FAILED, 0); /* in a state it never entered */
    assert_false(known_after(SPAN_OF(key), span_make(value, HISTORY_BYTES)));
}

/* A run of the world's with this history, at a node that computes: will it still ask to be elected? */
static bool candidate_after(enum run_state state)
{
    uint8_t key[36] = "run/", value[HISTORY_BYTES];
    memcpy(key + 4, world->run.bytes, 32);
    history(value);
    value[AT_STATE] = (uint8_t)state;
    value[AT_REFUSAL + 1] = REFUSAL_NONE;
    computes = true;
    struct core *c = core_begin();
    computes = false;
    step(c, (struct event){.type = EVENT_RESTORE_LOCAL, .key = SPAN_OF(key), .bytes = SPAN_OF(value)});
    (void)restore(c, false);
    for (uint32_t i = 0; i < 3; i++) {
        greet_all(c);
        now.ns += 10 * (int64_t)world_lease_ms * 1000000;
    }
    const bool asks = track_find(c, world->run)->phase != CANDIDATE_DONE;
    world_arena_free(memory);
    return asks;
}

/* Though its receipt may be examined yet, or does not read back: it did settle. */
static void test_a_settled_history_stands_for_no_election(void **state)
{
    (void)state;
    assert_true(candidate_after(RUN_REQUESTED));
    assert_true(candidate_after(RUN_FAILED));
    assert_false(candidate_after(RUN_SETTLED));
}

/* --- Local values: the own request to be admitted ------------------------------------------------------------------------ */

static bool asks_after(struct span key, struct span value)
{
    struct core *c = core_begin();
    step(c, (struct event){.type = EVENT_RESTORE_LOCAL, .key = key, .bytes = value});
    (void)restore(c, false);
    bool asks = core_asks_to_join(c);
    world_arena_free(memory);
    return asks;
}

static struct span request_by(uint32_t node, uint8_t *bytes, size_t cap)
{
    struct buffer b = buffer_make(bytes, cap);
    struct body_MEMBER body = {.node = world->node[node].id,
                               .organisation = SPAN_LITERAL("x"),
                               .jurisdiction = SPAN_LITERAL("EU"),
                               .platforms = SPAN_LITERAL("")};
    body_encode(&b, KIND_JOIN, &body);
    assert_int_equal(buffer_done(&b), OK);
    return buffer_span(&b);
}

static void test_own_request(void **state)
{
    (void)state;
    uint8_t own_bytes[512], other_bytes[512];
    struct span own = request_by(SELF, own_bytes, sizeof own_bytes);
    assert_true(asks_after(SPAN_LITERAL("join"), own));
    assert_false(asks_after(SPAN_LITERAL("joi"), own));
    assert_false(asks_after(SPAN_LITERAL("join"), request_by(SELF + 1, other_bytes, sizeof other_bytes)));
    for (size_t len = 0; len < own.len; len++)
        assert_false(asks_after(SPAN_LITERAL("join"), span_make(own.data, len)));
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
        cmocka_unit_test(test_compared_by_branches),
        cmocka_unit_test(test_compared_by_root),
        cmocka_unit_test(test_late_answers),
        cmocka_unit_test(test_taken_for_a_stranger),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_a_settled_history_stands_for_no_election),
        cmocka_unit_test(test_own_request),
        cmocka_unit_test(test_a_peer_shows_an_own_record),
        cmocka_unit_test(test_a_full_disk_forgets_no_silence),
        cmocka_unit_test(test_a_receipt_shows_an_own_commit),
        cmocka_unit_test(test_the_mark_says_so),
        cmocka_unit_test(test_silence_lasts),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
