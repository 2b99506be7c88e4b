/* Every table full, with tables so small that they are: what does not fit is refused, what was there stays as it was, and a
 * revocation finds a place or voids what it would have revoked. */
#include "proto/core_state.h"
#include "proto/enclave.h"
#include "proto/registry_state.h"
#include "proto/wire/pack.h"
#include "tests/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct world *world;
static struct arena *memory;

static int begin(void **state)
{
    (void)state;
    memory = world_arena(world);
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_arena_free(memory);
    return 0;
}

static struct span keep(struct span bytes)
{
    struct span out;
    assert_int_equal(arena_copy(memory, &out, bytes), OK);
    return out;
}

static struct record *record_at(struct node_id author, uint64_t seq, struct record_id prev, enum kind kind,
                                const void *body)
{
    static uint8_t bytes[CAP_HEADER_BYTES + CAP_BODY_BYTES];
    struct buffer b = BUFFER_OF(bytes);
    struct header h = {.kind = kind,
                       .consortium = world->consortium,
                       .author = author,
                       .seq = seq,
                       .prev = prev,
                       .time_ms = world->now_ms,
                       .residency = SPAN_LITERAL("")};
    struct signature none = {{0}};
    struct record *record = ARENA_NEW(memory, struct record);
    size_t header_len;
    assert_non_null(record);
    assert_int_equal(record_build(&b, &header_len, &h, body), OK);
    struct span all = keep(buffer_span(&b));
    assert_int_equal(record_open(record, span_make(all.data, header_len), &none,
                                 span_make(all.data + header_len, all.len - header_len)),
                     OK);
    return record;
}

static struct node_id author_number(uint32_t i)
{
    struct node_id id = {{(uint8_t)(i + 1), (uint8_t)(i >> 8), 0xaa}};
    return id;
}

/* --- The chain ------------------------------------------------------------------------------------------------------------- */

static const struct body_JOB job = {{{1}}, {{2}}, {(const uint8_t *)"j", 1}};
static const struct body_REVOCATION revocation = {REVOKE_ALL, {{0}}, {(const uint8_t *)"", 0}};

/* The author's next record, inserted; the offer it was answered with. */
static enum chain_offer grow(struct chain *c, struct node_id author, enum kind kind)
{
    const struct author *a = chain_author(c, author);
    struct record_id none = {{0}};
    const void *body = kind == KIND_REVOCATION ? (const void *)&revocation : (const void *)&job;
    const struct record *r =
        record_at(author, a != NULL ? a->applied + 1 : 1, a != NULL ? a->head : none, kind, body);
    enum chain_offer offer = chain_offer(c, r);
    const struct record *kept = chain_insert(c, r);
    assert_int_equal(kept != NULL, offer == CHAIN_NEW);
    if (kept == NULL) return offer;
    assert_true(chain_next(c, author) == kept);
    assert_null(chain_next(c, author));
    return offer;
}

/* All that one author may have. */
enum { POSITIVE = CAP_AUTHOR_RECORDS - CAP_AUTHOR_RECORDS / 16 };

/* As many as have their turn. */
static uint32_t grow_all(struct chain *c, struct node_id author, enum kind kind)
{
    uint32_t count = 0;
    while (chain_room(c, author, kind, CAP_HEADER_BYTES, 100) && grow(c, author, kind) == CHAIN_NEW) count++;
    return count;
}

static void test_chain_records(void **state)
{
    (void)state;
    struct chain c;
    uint32_t seen = 0;
    assert_int_equal(chain_init(&c, memory, CAP_CHAIN_PARTS, author_number(0), 7), OK);
    for (uint32_t i = 0; i < CAP_AUTHORS; i++) {
        assert_int_equal(grow_all(&c, author_number(i), KIND_JOB), POSITIVE);
        assert_int_equal(grow_all(&c, author_number(i), KIND_REVOCATION), CAP_AUTHOR_RECORDS - POSITIVE);
        assert_int_equal(grow(&c, author_number(i), KIND_REVOCATION), CHAIN_FULL);
    }
    for (uint32_t i = 0; i < CAP_AUTHORS; i++) {
        struct node_id author = author_number(i);
        const struct author *a = chain_author(&c, author);
        for (uint64_t seq = 1; seq <= a->applied; seq++) {
            const struct record *r = chain_get(&c, author, seq);
            assert_true(r != NULL && r->header.seq == seq && ID_EQUAL(r->header.author, author));
            assert_true(chain_find(&c, author, r->id) == r);
            assert_int_equal(chain_offer(&c, r), CHAIN_HELD);
            seen++;
        }
        assert_true(chain_whole(&c, author));
    }
    assert_int_equal(seen, CAP_CHAIN_PARTS * CAP_AUTHOR_RECORDS);
}

static void test_chain_authors(void **state)
{
    (void)state;
    struct chain c;
    assert_int_equal(chain_init(&c, memory, CAP_CHAIN_PARTS, author_number(0), 7), OK);
    for (uint32_t i = 0; i < CAP_AUTHORS; i++)
        assert_int_equal(grow(&c, author_number(i), KIND_JOB), CHAIN_NEW);
    assert_int_equal(grow(&c, author_number(CAP_AUTHORS), KIND_JOB), CHAIN_FULL);
    assert_null(chain_author(&c, author_number(CAP_AUTHORS)));
    for (uint32_t i = 0; i < CAP_AUTHORS; i++)
        assert_int_equal(grow(&c, author_number(i), KIND_JOB), CHAIN_NEW);
    struct record_id none = {{0}};
    struct node_id late = author_number(CAP_AUTHORS);
    const struct record *a = record_at(late, 1, none, KIND_JOB, &job);
    const struct record *b = record_at(late, 1, none, KIND_REVOCATION, &revocation);
    assert_false(chain_freeze(&c, a, b)); /* no place for whom it is about */
    struct node_id first = author_number(0);
    struct record_id head = chain_author(&c, first)->head;
    a = record_at(first, 3, head, KIND_JOB, &job);
    b = record_at(first, 3, head, KIND_REVOCATION, &revocation);
    assert_true(chain_freeze(&c, a, b));
    assert_int_equal(chain_author(&c, first)->frozen, 3);
}

/* Whatever others send, this node finds a place for itself. */
static void test_chain_keeps_an_own_place(void **state)
{
    (void)state;
    struct chain c;
    assert_int_equal(chain_init(&c, memory, CAP_CHAIN_PARTS, author_number(0), 7), OK);
    for (uint32_t i = 1; i < CAP_AUTHORS; i++)
        assert_int_equal(grow(&c, author_number(i), KIND_JOB), CHAIN_NEW);
    assert_int_equal(grow(&c, author_number(CAP_AUTHORS), KIND_JOB), CHAIN_FULL);
    assert_int_equal(grow_all(&c, author_number(0), KIND_JOB), POSITIVE);
}

/* A record of this author with a body of about `len` bytes. */
static const struct record *large(struct chain *c, struct node_id author, size_t len)
{
    static const uint8_t zero[40960];
    const struct author *a = chain_author(c, author);
    struct record_id none = {{0}};
    struct body_RECEIPT body = {.output = span_make(zero, len)};
    return record_at(author, a != NULL ? a->applied + 1 : 1, a != NULL ? a->head : none, KIND_RECEIPT, &body);
}

/* As many of this length as have their turn. */
static uint32_t grow_large(struct chain *c, struct node_id author, size_t len)
{
    uint32_t count = 0;
    for (const struct record *r = large(c, author, len);
         chain_room(c, author, KIND_RECEIPT, CAP_HEADER_BYTES, r->body.len); count++) {
        assert_non_null(chain_insert(c, r));
        assert_non_null(chain_next(c, author));
        r = large(c, author, len);
    }
    return count;
}

/* Large records use up the bytes long before the places: each author its own, and revocations still find room. */
static void test_chain_bytes(void **state)
{
    (void)state;
    struct chain c;
    assert_int_equal(chain_init(&c, memory, CAP_CHAIN_PARTS, author_number(0), 7), OK);
    for (uint32_t i = 0; i < CAP_AUTHORS; i++) {
        struct node_id author = author_number(i);
        assert_in_range(grow_large(&c, author, 40000), 2, CAP_AUTHOR_BYTES / 40000);
        assert_int_equal(grow_large(&c, author, 40000), 0);
        uint64_t held = chain_author(&c, author)->applied;
        assert_int_equal(grow_all(&c, author, KIND_REVOCATION), CAP_AUTHOR_RECORDS - held);
        assert_true(chain_whole(&c, author));
    }
}

/* All that this node holds of others is used up: it takes no more of them, and its own chain goes on. */
static void test_chain_of_all_others(void **state)
{
    (void)state;
    struct chain c;
    struct node_id self = author_number(0), other = author_number(1), late = author_number(2);
    assert_int_equal(chain_init(&c, memory, CAP_CHAIN_PARTS, self, 7), OK);
    c.places_left = 3;
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(grow(&c, other, KIND_JOB), CHAIN_NEW);
    assert_int_equal(grow(&c, other, KIND_JOB), CHAIN_FULL);
    assert_int_equal(grow(&c, late, KIND_REVOCATION), CHAIN_FULL);
    assert_false(chain_room(&c, other, KIND_JOB, 0, 0));
    assert_true(chain_whole(&c, other)); /* it is this node that has no room, nothing of theirs is missing */
    assert_int_equal(grow(&c, self, KIND_JOB), CHAIN_NEW);
    assert_int_equal(chain_init(&c, memory, CAP_CHAIN_PARTS, self, 7), OK);
    c.others.used = c.others.cap - CHAIN_RECORD_BYTES;
    assert_int_equal(grow(&c, other, KIND_JOB), CHAIN_FULL);
    assert_int_equal(grow(&c, self, KIND_JOB), CHAIN_NEW);
}

/* What is behind a hole is held as far as there is room for that, and what fills the hole always. */
static void test_chain_ahead(void **state)
{
    (void)state;
    static const uint8_t zero[40000];
    struct chain c;
    struct record_id head = {{0}};
    const struct body_RECEIPT body = {.output = SPAN_OF(zero)};
    const struct record *chain[CAP_AHEAD_BYTES / sizeof zero + 2];
    enum { COUNT = sizeof chain / sizeof chain[0] };
    struct node_id author = author_number(0);
    assert_int_equal(chain_init(&c, memory, CAP_CHAIN_PARTS, author, 7), OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        chain[i] = record_at(author, i + 1, head, KIND_RECEIPT, &body);
        head = chain[i]->id;
    }
    for (uint32_t i = 1; i < COUNT - 1; i++) assert_non_null(chain_insert(&c, chain[i]));
    assert_int_equal(chain_offer(&c, chain[COUNT - 1]), CHAIN_TOO_FAR);
    assert_null(chain_next(&c, author));
    assert_false(chain_whole(&c, author));
    assert_non_null(chain_insert(&c, chain[0]));
    for (uint32_t i = 0; i < COUNT - 1; i++) assert_non_null(chain_next(&c, author));
    assert_int_equal(chain_offer(&c, chain[COUNT - 1]), CHAIN_NEW);
    assert_int_equal(chain_offer(&c, record_at(author, CAP_AUTHOR_RECORDS + 1, head, KIND_JOB, &job)),
                     CHAIN_FULL);
}

/* --- Whoever says more than it has room for ------------------------------------------------------------------------------- */

enum { TOO_MUCH_MAX = CAP_AUTHOR_RECORDS + 4 };
static const struct record *too_much[TOO_MUCH_MAX];
static uint32_t too_much_count;

/* A chain that exceeds the author's places or bytes, `over` records beyond, with revocations here and there and at the end. */
static void say_too_much(struct node_id author, size_t len, uint32_t over)
{
    static const uint8_t zero[40960];
    const struct body_RECEIPT body = {.output = span_make(zero, len)};
    struct record_id prev = {{0}};
    size_t bytes = 0;
    uint32_t places = 0, beyond = 0;
    too_much_count = 0;
    while (beyond < over || places < over + 1) {
        uint32_t i = too_much_count++;
        bool negative = beyond >= over || i % 5 == 3;
        assert_true(i < TOO_MUCH_MAX);
        too_much[i] = negative ? record_at(author, i + 1, prev, KIND_REVOCATION, &revocation)
                               : record_at(author, i + 1, prev, KIND_RECEIPT, &body);
        prev = too_much[i]->id;
        if (!negative) bytes += too_much[i]->header_bytes.len + too_much[i]->body.len;
        if (!negative && (i >= POSITIVE || bytes > CAP_AUTHOR_BYTES)) beyond++;
        places += beyond >= over;
    }
}

/* All of it, again and again as peers do, until nothing more is taken; beginning somewhere. */
static void take_from(struct chain *c, uint32_t first)
{
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = 0; i < too_much_count; i++)
            more |= chain_insert(c, too_much[(first + i * 7) % too_much_count]) != NULL;
        while (chain_next(c, too_much[0]->header.author) != NULL) more = true;
    }
}

/* What has had its turn, what is told of it, and whether something is missing, is the same in whatever order it came. */
static void check_too_much(size_t len, uint32_t over)
{
    struct node_id author = author_number(3);
    struct record_id head, other;
    uint64_t applied = 0, tip = 0;
    say_too_much(author, len, over);
    if (too_much_count % 7 == 0) too_much_count--;
    for (uint32_t order = 0; order < too_much_count; order++) {
        struct chain c;
        size_t mark = arena_mark(memory);
        assert_int_equal(chain_init(&c, memory, CAP_CHAIN_PARTS, author_number(0), 7), OK);
        take_from(&c, order);
        const struct author *a = chain_author(&c, author);
        if (order == 0) {
            applied = a->applied;
            tip = chain_tip(&c, a, &head);
        }
        assert_true(applied < too_much_count);
        assert_int_equal(a->applied, applied);
        assert_int_equal(chain_tip(&c, a, &other), tip);
        assert_true(ID_EQUAL(head, other));
        assert_int_equal(tip, applied + 1);
        assert_false(chain_whole(&c, author));
        for (uint32_t i = 0; i < too_much_count && i < CAP_AUTHOR_RECORDS; i++)
            if (too_much[i]->header.kind == KIND_REVOCATION)
                assert_true(chain_offer(&c, too_much[i]) == CHAIN_HELD);
        arena_release(memory, mark);
    }
}

static void test_too_much_in_any_order(void **state)
{
    (void)state;
    check_too_much(0, 1);
    check_too_much(0, 2);
    check_too_much(20000, 1);
    check_too_much(40000, 3);
}

/* --- The registry ------------------------------------------------------------------------------------------------------------ */

static struct registry *registry;
static uint64_t next_seq;

/* The world as it is, small as the tables are. */
static void registry_begin(void)
{
    assert_int_equal(registry_new(&registry, memory, world->consortium, world->charter), OK);
    for (uint32_t i = 0; i < world->record_count; i++)
        assert_int_equal(registry_apply(registry, world->record[i]).refusal, REFUSAL_NONE);
    next_seq = 1000;
}

static struct verdict run_allowed(void)
{
    const struct run_entry *run = registry_run(registry, world->run);
    assert_non_null(run);
    return registry_check_run(registry, &run->body, run->record->header.author, world->now_ms);
}

static enum refusal apply(uint32_t node, enum kind kind, const void *body)
{
    struct record_id prev = {{1}};
    return registry_apply(registry, record_at(world->node[node].id, next_seq++, prev, kind, body)).refusal;
}

/* Applied until it is full, by everybody who may: then full for good, and what was in force before still is. */
static uint32_t fill(enum refusal (*one)(uint32_t round), uint32_t rounds_max)
{
    uint32_t accepted = 0, full = 0;
    for (uint32_t i = 0; i < rounds_max; i++) {
        enum refusal r = one(i);
        if (r != REFUSAL_NONE && r != REFUSAL_FULL) fail_msg("refused with \"%s\"", refusal_name(r));
        if (r == REFUSAL_NONE) accepted++;
        if (r == REFUSAL_FULL) full++;
    }
    assert_true(full > 0);
    assert_int_equal(one(rounds_max), REFUSAL_FULL);
    assert_int_equal(run_allowed().refusal, REFUSAL_NONE);
    return accepted;
}

/* What stewards may still say when the world is as it is: each has its part, whatever the others say. */
enum {
    STEWARDS = WORLD_CUSTODIANS,
    VOICES = CAP_DECISIONS / STEWARDS,
    REMOVAL_VOICES = CAP_REMOVALS / STEWARDS
};

static struct body_MEMBER late_member(uint32_t number)
{
    return (struct body_MEMBER){.node = author_number(number),
                                .organisation = SPAN_LITERAL("late"),
                                .jurisdiction = SPAN_LITERAL("EU"),
                                .roles = ROLE_COMPUTE,
                                .platforms = SPAN_LITERAL("")};
}

static enum refusal add_member(uint32_t round)
{
    struct body_MEMBER b = late_member(round);
    enum refusal worst = REFUSAL_NONE;
    for (uint32_t i = 0; i < 3; i++) { /* the proposal opened by another steward each time */
        enum refusal r = apply((round + i) % STEWARDS, KIND_MEMBER, &b);
        if (r != REFUSAL_NONE) worst = r;
    }
    return worst;
}

static void test_members(void **state)
{
    (void)state;
    registry_begin();
    uint32_t admitted = fill(add_member, 4 * CAP_DECISIONS);
    assert_true(admitted > 0);
    for (uint32_t i = 0; i < admitted; i++) assert_non_null(registry_member(registry, author_number(i)));
    assert_null(registry_member(registry, author_number(4 * CAP_DECISIONS)));
    for (uint32_t i = WORLD_COMPUTE; i < WORLD_NODES; i++)
        assert_non_null(registry_member(registry, world->node[i].id));
}

static struct body_OP late_op(uint32_t number)
{
    static uint8_t bytes[1024], code_bytes[1024];
    char name[16];
    struct buffer out = BUFFER_OF(bytes), code = BUFFER_OF(code_bytes);
    snprintf(name, sizeof name, "op-%u", number);
    assert_int_equal(template_shipped_write(&code, template_shipped_at(0)), OK);
    struct op op = {.name = span_text(name),
                    .description = SPAN_LITERAL(""),
                    .runtime = RUNTIME_SELECT,
                    .code = sha256(buffer_span(&code)),
                    .output = SPAN_LITERAL("aggregate")};
    assert_int_equal(op_write(&out, &op), OK);
    return (struct body_OP){buffer_span(&out), buffer_span(&code)};
}

/* What steward 0 says alone, without end, of every kind. */
static enum refusal babble(uint32_t round)
{
    union body b;
    enum kind kind = round % 4 == 0   ? KIND_OP
                     : round % 4 == 1 ? KIND_WORKERS
                     : round % 4 == 2 ? KIND_MEMBER
                                      : KIND_ENDORSEMENT;
    uint8_t measurement[32] = {(uint8_t)round};
    if (kind == KIND_OP) b.OP = late_op(round);
    if (kind == KIND_WORKERS)
        b.WORKERS = (struct body_WORKERS){SPAN_LITERAL("default"), 1, SPAN_OF(measurement)};
    if (kind == KIND_MEMBER) b.MEMBER = late_member(200 + round);
    if (kind == KIND_ENDORSEMENT) memset(b.ENDORSEMENT.job.bytes, (int)round, 32);
    return apply(0, kind, &b);
}

/* The others decide whatever they like: what one says alone takes none of their places. */
static void test_a_steward_alone(void **state)
{
    (void)state;
    uint8_t measurement[32] = {0xbb};
    struct body_WORKERS workers = {SPAN_LITERAL("spare"), 1, SPAN_OF(measurement)};
    registry_begin();
    uint32_t said = fill(babble, 2 * CAP_DECISIONS);
    assert_true(said > 0 && said < VOICES);
    struct body_MEMBER member = late_member(1);
    struct body_OP op = late_op(1000);
    struct hash32 hash = sha256(op.document);
    for (uint32_t i = 1; i < 4; i++) {
        assert_null(registry_member(registry, member.node));
        assert_null(registry_op(registry, hash));
        assert_int_equal(apply(i, KIND_MEMBER, &member), REFUSAL_NONE);
        assert_int_equal(apply(i, KIND_OP, &op), REFUSAL_NONE);
        assert_int_equal(apply(i, KIND_WORKERS, &workers), REFUSAL_NONE);
    }
    assert_non_null(registry_member(registry, member.node));
    assert_non_null(registry_op(registry, hash));
    assert_int_equal(registry_workers(registry, workers.name).len, 32);
    union body again = {.MEMBER = member};
    assert_int_equal(apply(0, KIND_MEMBER, &member), REFUSAL_FULL); /* nor may it join in any more */
    assert_int_equal(registry_preview(registry, world->node[0].id, KIND_MEMBER, &again).refusal,
                     REFUSAL_FULL);
}

/* What is in force when one steward has said too much is the same whoever was heard first. */
static void test_full_in_any_order(void **state)
{
    (void)state;
    for (uint32_t order = 0; order < 2; order++) {
        registry_begin();
        struct body_MEMBER member = late_member(1);
        for (uint32_t i = 1; i < 3 && order == 0; i++) (void)apply(i, KIND_MEMBER, &member);
        (void)fill(babble, 2 * CAP_DECISIONS);
        assert_int_equal(apply(0, KIND_MEMBER, &member), REFUSAL_FULL);
        for (uint32_t i = 1; i < 3 && order == 1; i++) (void)apply(i, KIND_MEMBER, &member);
        assert_null(registry_member(registry, member.node));
    }
}

/* --- Devices: of a maker that the stewards admit besides ---------------------------------------------------------- */

enum { MAKER = 400, FIRST_DEVICE = 500 };

static struct body_MEMBER device_number(uint32_t number)
{
    struct body_MEMBER b = late_member(FIRST_DEVICE + number);
    b.roles = ROLE_DEVICE;
    return b;
}

static enum refusal maker_says(enum kind kind, const void *body)
{
    struct record_id prev = {{1}};
    return registry_apply(registry, record_at(author_number(MAKER), next_seq++, prev, kind, body)).refusal;
}

static enum refusal name_device(uint32_t number)
{
    struct body_MEMBER b = device_number(number);
    return maker_says(KIND_MEMBER, &b);
}

static void maker_begin(void)
{
    struct body_MEMBER b = late_member(MAKER);
    b.roles = ROLE_MAKER;
    registry_begin();
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(apply(i, KIND_MEMBER, &b), REFUSAL_NONE);
}

/* One author has a quarter of the table, maker or not, and a maker as many devices in force as the charter says. */
static void test_devices(void **state)
{
    (void)state;
    uint32_t named = 0, all = 0;
    maker_begin();
    while (name_device(named) == REFUSAL_NONE) named++;
    assert_int_equal(named, CAP_DEVICES / 4);
    for (uint32_t node = WORLD_COMPUTE; node < WORLD_NODES; node++)
        for (struct body_MEMBER b = device_number(named + all); apply(node, KIND_MEMBER, &b) == REFUSAL_NONE;)
            b = device_number(named + ++all);
    assert_int_equal(named + all, CAP_DEVICES);
    for (uint32_t i = 0; i < CAP_DEVICES; i++)
        assert_int_equal(registry_member(registry, author_number(FIRST_DEVICE + i)) != NULL,
                         i < world_maker_devices);
    assert_int_equal(run_allowed().refusal, REFUSAL_NONE);
    assert_int_equal(maker_says(KIND_REVOCATION, &revocation), REFUSAL_NONE); /* that needs no place here */
    for (uint32_t i = 0; i < CAP_DEVICES; i++)
        assert_null(registry_member(registry, author_number(FIRST_DEVICE + i)));
}

/* A maker whose revocation finds no place has no devices at all. */
static void test_lost_revocation_of_a_device(void **state)
{
    (void)state;
    struct body_REVOCATION none = {.target = REVOKE_DEVICE, .approval_signature = SPAN_NONE};
    enum refusal last = REFUSAL_NONE;
    maker_begin();
    assert_int_equal(name_device(0), REFUSAL_NONE);
    for (uint32_t i = 0; i < CAP_REVOCATIONS && last == REFUSAL_NONE; i++) {
        assert_non_null(registry_member(registry, author_number(FIRST_DEVICE)));
        last = maker_says(KIND_REVOCATION, &none);
    }
    assert_int_equal(last, REFUSAL_FULL);
    assert_null(registry_member(registry, author_number(FIRST_DEVICE)));
}

/* However little there is, an author with small places has one of each. */
static void test_small_places(void **state)
{
    (void)state;
    struct record_id prev = {{1}};
    maker_begin();
    assert_int_equal(name_device(0), REFUSAL_NONE);
    struct node_id device = author_number(FIRST_DEVICE);
    assert_false(registry_waits(registry, device));
    assert_int_equal(registry_apply(registry, record_at(device, next_seq++, prev, KIND_JOB, &job)).refusal,
                     REFUSAL_NONE);
    assert_true(registry_waits(registry, device));
    struct chain c;
    assert_int_equal(chain_init(&c, memory, CAP_CHAIN_PARTS, author_number(0), 7), OK);
    assert_true(chain_room_small(&c, author_number(1), 200, 100));
    assert_false(chain_room_small(&c, author_number(1), CAP_HEADER_BYTES, CAP_SMALL_BYTES));
    assert_int_equal(grow(&c, author_number(1), KIND_JOB), CHAIN_NEW);
    assert_false(chain_room_small(&c, author_number(1), 200, 100));
    assert_true(chain_room_small(&c, author_number(2), 200, 100));
}

static enum refusal remove_number(uint32_t steward, uint32_t number)
{
    struct body_REMOVAL b = {author_number(number), 1};
    return apply(steward, KIND_REMOVAL, &b);
}

/* A removal is never lost: a steward that said more of them than find a place is taken to have said every one. */
static void test_removals(void **state)
{
    (void)state;
    struct body_REMOVAL b = {world->node[WORLD_REQUESTER].id, 0};
    registry_begin();
    for (uint32_t i = 0; i < REMOVAL_VOICES; i++) assert_int_equal(remove_number(0, i), REFUSAL_NONE);
    assert_int_equal(apply(1, KIND_REMOVAL, &b), REFUSAL_NONE);
    assert_int_equal(apply(2, KIND_REMOVAL, &b), REFUSAL_NONE);
    assert_int_equal(run_allowed().refusal, REFUSAL_NONE);
    union body preview = {.REMOVAL = b};
    struct node_id self = world->node[0].id;
    assert_int_equal(registry_preview(registry, self, KIND_REMOVAL, &preview).refusal, REFUSAL_FULL);
    assert_int_equal(apply(0, KIND_REMOVAL, &b), REFUSAL_FULL); /* and yet */
    assert_int_equal(run_allowed().refusal, REFUSAL_NOT_MEMBER);
    assert_non_null(registry_member(registry, world->node[WORLD_COMPUTE].id));
    assert_int_equal(add_member(1), REFUSAL_NONE); /* removals have places of their own */
}

/* With s of them lost, any removal may have been decided: nobody is a member but whom no removal can touch. */
static void test_lost_removals(void **state)
{
    (void)state;
    registry_begin();
    for (uint32_t steward = 0; steward < 3; steward++) {
        assert_non_null(registry_member(registry, world->node[WORLD_COMPUTE].id));
        for (uint32_t i = 0; i <= REMOVAL_VOICES; i++) (void)remove_number(steward, 10 * steward + i);
    }
    for (uint32_t i = 0; i < WORLD_NODES; i++)
        assert_int_equal(registry_member(registry, world->node[i].id) != NULL, i < WORLD_CUSTODIANS);
}

/* A custodian alone has no part in the others' committee, however many records it signs. */
static void test_committees(void **state)
{
    (void)state;
    union body b;
    assert_non_null(world_first(world, KIND_COMMITTEE, 0, &b));
    assert_int_equal(registry_new(&registry, memory, world->consortium, world->charter), OK);
    next_seq = 1000;
    for (uint32_t i = 0; i < world->record_count && world->record[i]->header.kind != KIND_COMMITTEE; i++)
        assert_int_equal(registry_apply(registry, world->record[i]).refusal, REFUSAL_NONE);
    struct body_COMMITTEE junk = b.COMMITTEE;
    uint32_t taken = 0;
    for (uint32_t i = 0; i < 64; i++) {
        junk.key_a.bytes[0] = (uint8_t)i;
        taken += apply(3, KIND_COMMITTEE, &junk) == REFUSAL_NONE;
    }
    assert_true(taken > 0 && taken < 16);
    for (uint32_t i = 0; i < 3; i++) {
        assert_null(registry_committee(registry));
        assert_int_equal(apply(i, KIND_COMMITTEE, &b.COMMITTEE), REFUSAL_NONE);
    }
    assert_non_null(registry_committee(registry));
}

static enum refusal add_grant(uint32_t round)
{
    struct body_GRANT b = {world->dataset[round % 2].dt, world->app, 0,
                           ID_SPAN(world->op),           10,         UINT64_C(1000000000)};
    return apply(round % 2, KIND_GRANT, &b);
}

static void test_grants(void **state)
{
    (void)state;
    registry_begin();
    assert_true(fill(add_grant, 2 * CAP_GRANTS) <= CAP_GRANTS);
}

static enum refusal add_job(uint32_t round)
{
    struct body_JOB b = {world->app, world->compose, SPAN_LITERAL("again")};
    return apply(round % WORLD_NODES, KIND_JOB, &b);
}

static void test_jobs(void **state)
{
    (void)state;
    registry_begin();
    assert_true(fill(add_job, 3 * CAP_JOBS) <= CAP_JOBS);
}

static enum refusal add_approval(uint32_t round)
{
    static struct body_APPROVAL form[2];
    if (form[round % 2].slot_last == 0) form[round % 2] = world_approval(world, round % 2, 1, 1, 0);
    struct body_APPROVAL b = form[round % 2];
    b.slot_first = b.slot_last = 10 + round;
    b.cost = 0;
    return apply(round % 2, KIND_APPROVAL, &b);
}

static void test_approvals(void **state)
{
    (void)state;
    registry_begin();
    assert_true(fill(add_approval, 2 * CAP_APPROVALS) <= CAP_APPROVALS);
}

static enum refusal add_run(uint32_t round)
{
    struct body_RUN b = registry_run(registry, world->run)->body;
    b.slot = 100 + round;
    return apply(round % WORLD_NODES, KIND_RUN, &b);
}

static void test_runs(void **state)
{
    (void)state;
    registry_begin();
    assert_true(fill(add_run, 4 * CAP_RUNS) <= CAP_RUNS);
}

static enum refusal add_version(uint32_t round)
{
    const uint32_t node = round % 2;
    const struct asset *a = registry_asset(registry, world->dataset[node].dt);
    struct body_ASSET b = {.dt = a->dt,
                           .version = a->version + 1,
                           .ddo = a->ddo->bytes,
                           .workflow = SPAN_LITERAL(""),
                           .policy = SPAN_LITERAL("")};
    return apply(node, KIND_ASSET, &b);
}

static void test_asset_versions(void **state)
{
    (void)state;
    registry_begin();
    uint64_t before = registry_asset(registry, world->dataset[0].dt)->version;
    assert_true(fill(add_version, 2 * CAP_ASSETS) <= CAP_ASSETS);
    const struct asset *a = registry_asset(registry, world->dataset[0].dt);
    uint64_t version = a->version;
    assert_true(version >= before);
    assert_int_equal(add_version(0), REFUSAL_FULL);
    assert_true(a->version == version); /* refused is not done */
}

/* A version of this author's own asset whose description takes `len` bytes more because something in `extra` is escaped. */
static enum refusal describe(uint32_t node, uint64_t version, size_t len)
{
    static uint8_t text[CAP_DOCUMENT_BYTES], bytes[CAP_DOCUMENT_BYTES];
    struct buffer out = BUFFER_OF(bytes);
    struct span key = SPAN_LITERAL("a");
    struct json value = {.type = JSON_TYPE_STRING, .string = span_make(text, len)};
    struct json extra = {.type = JSON_TYPE_OBJECT, .count = 1, .items = &value, .keys = &key};
    struct hash32 salt = {{0x5a}};
    struct hash32 hash = HASH_FRAMED("perigee/dt/v1", ID_SPAN(world->node[node].id), ID_SPAN(salt));
    struct ddo ddo = {.type = ASSET_COMPUTE, .name = SPAN_LITERAL("x"), .jurisdiction = SPAN_LITERAL("EU")};
    union body b = {.ASSET = {.version = version, .salt = salt, .workflow = SPAN_NONE, .policy = SPAN_NONE}};
    memset(text, '"', sizeof text);
    memcpy(ddo.dt.bytes, hash.bytes, 32);
    if (len > 0) ddo.extra = &extra;
    assert_int_equal(ddo_write(&out, &ddo), OK);
    b.ASSET.dt = ddo.dt;
    b.ASSET.ddo = buffer_span(&out);
    enum refusal previewed = registry_preview(registry, world->node[node].id, KIND_ASSET, &b).refusal;
    enum refusal applied = apply(node, KIND_ASSET, &b.ASSET);
    assert_int_equal(previewed == REFUSAL_FULL, applied == REFUSAL_FULL);
    return applied;
}

/* What an author's documents may keep is a fact of its own chain: full, never malformed, whoever was heard first. */
static void test_documents(void **state)
{
    (void)state;
    enum { QUOTES = 4000, AUTHORS = 4 }; /* two bytes each in the document */
    for (uint32_t order = 0; order < AUTHORS; order++) {
        assert_int_equal(registry_new(&registry, memory, world->consortium, world->charter), OK);
        for (uint32_t i = 0; i < AUTHORS; i++) {
            uint32_t node = (order + i) % AUTHORS;
            assert_int_equal(describe(node, 1, QUOTES), REFUSAL_NONE);
            assert_int_equal(describe(node, 2, QUOTES), REFUSAL_NONE);
            assert_int_equal(describe(node, 3, QUOTES), REFUSAL_FULL);
            assert_int_equal(describe(node, 3, 0), REFUSAL_NONE);
        }
        assert_true(arena_mark(registry->kept) <= CAP_KEPT_BYTES);
        assert_int_equal(arena_mark(registry->scratch), 0);
    }
    registry_begin();
    assert_int_equal(describe(0, 1, CAP_DOCUMENT_BYTES / 2 - 200), REFUSAL_FULL);
    assert_int_equal(run_allowed().refusal, REFUSAL_NONE);
    assert_int_equal(describe(0, 1, 0), REFUSAL_NONE);
}

/* A revocation with no place voids everything of its author, and nothing of anybody else. */
static void test_revocations(void **state)
{
    (void)state;
    struct body_REVOCATION none = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE};
    enum refusal last = REFUSAL_NONE;
    registry_begin();
    for (uint32_t i = 0; i < 2 * CAP_REVOCATIONS && last == REFUSAL_NONE; i++) {
        memset(none.subject.bytes, (int)i + 1, 32);
        last = apply(3, KIND_REVOCATION, &none); /* somebody who owns nothing fills what it may */
    }
    assert_int_equal(last, REFUSAL_FULL);
    assert_int_equal(run_allowed().refusal, REFUSAL_NONE);
    last = REFUSAL_NONE;
    for (uint32_t i = 0; i < 2 * CAP_REVOCATIONS && last == REFUSAL_NONE; i++) {
        memset(none.subject.bytes, (int)i + 1, 32);
        assert_int_equal(run_allowed().refusal, REFUSAL_NONE);
        last = apply(0, KIND_REVOCATION, &none); /* of nothing, each of them */
    }
    assert_int_equal(last, REFUSAL_FULL);
    struct verdict v = run_allowed();
    assert_int_equal(v.refusal, REFUSAL_REVOKED);
    assert_memory_equal(v.subject.bytes, world->node[0].id.bytes, 32);
}

/* --- The core ---------------------------------------------------------------------------------------------------------------- */

static struct core *core_begin(uint32_t node)
{
    struct core *c;
    struct core_options options = {
        .self = world->node[node].id, .consortium = world->consortium, .charter = world->charter};
    assert_int_equal(core_new(&c, memory, &options), OK);
    core_step(c, &(struct event){.type = EVENT_READY, .wall_ms = world->now_ms});
    return c;
}

static uint32_t deliver_from(struct core *c, struct node_id peer, const struct record *r, uint64_t *token)
{
    static uint8_t bytes[CAP_BODY_BYTES + 1024];
    struct buffer b = BUFFER_OF(bytes);
    uint32_t count, asked = 0;
    record_encode(&b, r);
    core_step(c,
              &(struct event){
                  .type = EVENT_MESSAGE, .peer = peer, .wall_ms = world->now_ms, .bytes = buffer_span(&b)});
    const struct effect *e = core_effects(c, &count);
    for (uint32_t i = 0; i < count; i++)
        if (e[i].type == EFFECT_CRYPTO) {
            *token = e[i].token;
            asked++;
        }
    core_check(c);
    return asked;
}

static uint32_t deliver(struct core *c, const struct record *r, uint64_t *token)
{
    return deliver_from(c, world->node[1].id, r, token);
}

/* Its signature holds, and the disk takes what it is asked for. */
static void finish(struct core *c, uint64_t token)
{
    uint64_t asked[CAP_PENDING];
    uint32_t count, n = 0;
    core_step(c, &(struct event){.type = EVENT_CRYPTO, .wall_ms = world->now_ms, .token = token});
    const struct effect *e = core_effects(c, &count);
    for (uint32_t i = 0; i < count; i++)
        if (e[i].type == EFFECT_STORE && e[i].token != 0) asked[n++] = e[i].token;
    for (uint32_t i = 0; i < n; i++)
        core_step(c, &(struct event){.type = EVENT_STORED, .wall_ms = world->now_ms, .token = asked[i]});
}

/* As many checks as are begun for this peer, of the world's records one after the other, from this one. */
static uint32_t begin_for(struct core *c, struct node_id peer, uint32_t first, uint64_t token[CAP_PENDING])
{
    uint32_t begun = 0;
    while (deliver_from(c, peer, world->record[first + begun], &token[begun]) == 1) begun++;
    return begun;
}

static void peer_up(struct core *c, struct node_id peer)
{
    core_step(c, &(struct event){.type = EVENT_PEER_UP, .wall_ms = world->now_ms, .peer = peer});
}

/* More work than may be in flight is not begun: one peer has its share of it, all that are no custodians theirs, and some is
 * left for custodians, and for this node's own. When some is done, more is begun. */
static void test_pending(void **state)
{
    (void)state;
    struct core *c = core_begin(2);
    uint64_t token[CAP_PENDING + 1], others[CAP_PENDING + 1];
    struct node_id nobody = {{0}};
    uint32_t begun = 0, of_strangers = 0;
    peer_up(c, world->node[0].id);
    peer_up(c, world->node[1].id);
    for (uint32_t i = 0; i < CAP_PEERS / 4; i++) peer_up(c, author_number(i));
    for (uint32_t i = 0; i < CAP_PEERS / 4; i++) {
        uint32_t few = begin_for(c, author_number(i), 0, others);
        assert_in_range(few, 1, STRANGER_PENDING_MAX);
        of_strangers += few;
    }
    assert_int_equal(of_strangers, pending_part(c, MEMBERS_PENDING_16THS));
    begun = begin_for(c, world->node[1].id, 0, token);
    assert_int_equal(begun, pending_part(c, MEMBER_PENDING_16THS));
    assert_int_equal(begin_for(c, world->node[0].id, 0, others), 0); /* these are being looked at */
    uint32_t more = begin_for(c, world->node[0].id, begun, others);
    assert_int_equal(more, pending_part(c, FOREIGN_PENDING_16THS) - begun - of_strangers);
    assert_int_equal(begin_for(c, nobody, 0, others), CAP_PENDING - pending_part(c, FOREIGN_PENDING_16THS));
    for (uint32_t i = 0; i < begun; i++) finish(c, token[i]);
    assert_int_equal(deliver(c, world->record[begun + more], &token[0]), 1);
    core_step(c,
              &(struct event){.type = EVENT_PEER_DOWN, .wall_ms = world->now_ms, .peer = world->node[1].id});
    finish(c, token[0]);
    assert_int_equal(c->foreign_in_flight,
                     pending_part(c, FOREIGN_PENDING_16THS) - pending_part(c, MEMBER_PENDING_16THS));
}

/* The table of peers is full of members: a stranger finds no place, and every one that has one is told of heads. */
static void test_peers(void **state)
{
    (void)state;
    struct core *c = core_begin(0);
    uint64_t token;
    uint32_t up = 0, count;
    for (uint32_t i = 0; i < 12; i++)
        if (deliver(c, world->record[i], &token) == 1) finish(c, token);
    for (uint32_t i = 0; i < 3 * CAP_PEERS; i++)
        core_step(c,
                  &(struct event){.type = EVENT_PEER_UP, .wall_ms = world->now_ms, .peer = author_number(i)});
    for (uint32_t i = 1; i < WORLD_NODES; i++)
        core_step(
            c, &(struct event){.type = EVENT_PEER_UP, .wall_ms = world->now_ms, .peer = world->node[i].id});
    core_check(c);
    for (uint32_t i = 1; i < WORLD_NODES; i++) {
        const struct peer *p = peer_find(c, world->node[i].id);
        up += p != NULL && p->view.up;
    }
    assert_int_equal(up, WORLD_NODES - 1); /* strangers do not keep members out */
    core_step(c, &(struct event){.type = EVENT_TICK, .wall_ms = world->now_ms, .now = {INT64_C(5000000000)}});
    (void)core_effects(c, &count);
    assert_true(count >= WORLD_NODES - 1);
}

/* Bit per author of author_number that a message of heads names; 0: the message is another one. */
static uint32_t authors_told(const struct effect *e)
{
    union message_body m;
    enum message code;
    uint32_t told = 0;
    if (e->type != EFFECT_SEND) return 0;
    assert_int_equal(message_decode(&code, &m, e->bytes), OK);
    if (code != MESSAGE_HEADS_CODE) return 0;
    for (size_t at = 0; at < m.HEADS.heads.len; at += HEADS_ITEM_BYTES)
        for (uint32_t i = 0; i < CAP_AUTHORS; i++)
            if (memcmp(m.HEADS.heads.data + at, author_number(i).bytes, 32) == 0) told |= UINT32_C(1) << i;
    return told;
}

/* As many authors as there are places: a member that asks is told of all, who is none of nobody but founders. */
static void test_heads_of_many(void **state)
{
    (void)state;
    enum { ALL = (1u << CAP_AUTHORS) - 1 };
    struct core *c = core_begin(2);
    uint8_t bytes[64];
    uint32_t count;
    const struct message_BRANCH_GET get = {1, 0, {{0}}};
    for (uint32_t i = 0; i < CAP_AUTHORS - 1; i++) /* one place is this node's own */
        assert_int_equal(grow(&c->chain, author_number(i), KIND_JOB), CHAIN_NEW);
    for (uint32_t member = 0; member < 2; member++) {
        struct buffer b = BUFFER_OF(bytes);
        uint32_t told = 0;
        const struct node_id peer = member ? world->node[1].id : author_number(3);
        peer_up(c, peer);
        message_encode(&b, MESSAGE_BRANCH_GET_CODE, &get);
        core_step(
            c, &(struct event){
                   .type = EVENT_MESSAGE, .peer = peer, .wall_ms = world->now_ms, .bytes = buffer_span(&b)});
        const struct effect *e = core_effects(c, &count);
        for (uint32_t i = 0; i < count; i++) told |= authors_told(&e[i]);
        assert_int_equal(told, member ? ALL >> 1 : 0);
    }
}

/* A long chain that comes backwards takes its turn in steps none of which is too large. */
static void test_backlog(void **state)
{
    (void)state;
    enum { COUNT = POSITIVE };
    struct core *c = core_begin(2);
    const struct record *chain[COUNT];
    struct record_id prev = {{0}};
    uint64_t token;
    for (uint32_t i = 0; i < COUNT; i++) {
        chain[i] = record_at(world->node[0].id, i + 1, prev, KIND_JOB, &job);
        prev = chain[i]->id;
    }
    for (uint32_t i = COUNT; i > 0; i--) {
        assert_int_equal(deliver(c, chain[i - 1], &token), 1);
        finish(c, token);
    }
    for (uint32_t i = 0; i < 10; i++)
        core_step(c, &(struct event){
                         .type = EVENT_TICK, .wall_ms = world->now_ms, .now = {(int64_t)i * 300000000}});
    assert_int_equal(chain_author(core_chain(c), world->node[0].id)->applied, COUNT);
}

/* A revocation that finds no place in the chain voids what it might have revoked, if it was really said. */
static void test_revocation_without_a_place(void **state)
{
    (void)state;
    enum { COUNT = CAP_AUTHOR_RECORDS };
    struct core *c = core_begin(2);
    struct node_id owner = world->node[0].id;
    struct record_id prev = {{0}};
    struct event done = {.type = EVENT_CRYPTO, .wall_ms = world->now_ms};
    for (uint64_t seq = 1; seq <= COUNT; seq++) {
        const struct record *r = seq <= POSITIVE ? record_at(owner, seq, prev, KIND_JOB, &job)
                                                 : record_at(owner, seq, prev, KIND_REVOCATION, &revocation);
        prev = r->id;
        assert_int_equal(deliver(c, r, &done.token), 1);
        finish(c, done.token);
    }
    const struct record *last = record_at(owner, COUNT + 1, prev, KIND_REVOCATION, &revocation);
    assert_int_equal(chain_offer(core_chain(c), last), CHAIN_FULL);
    assert_int_equal(registry_check_author(core_registry(c), owner).refusal, REFUSAL_NONE);
    assert_int_equal(deliver(c, last, &done.token), 1); /* looked at all the same */
    done.err = ERR_SIGNATURE;
    core_step(c, &done);
    assert_int_equal(registry_check_author(core_registry(c), owner).refusal, REFUSAL_NONE);
    assert_int_equal(deliver(c, last, &done.token), 1);
    done.err = OK;
    core_step(c, &done);
    assert_int_equal(registry_check_author(core_registry(c), owner).refusal, REFUSAL_REVOKED);
    assert_int_equal(registry_check_author(core_registry(c), world->node[1].id).refusal, REFUSAL_NONE);
}

/* What this core tells a peer that comes up, delivered to another one as from `from`. */
static void tell_heads_of(struct core *c, struct core *other, struct node_id from)
{
    uint32_t count;
    peer_up(c, core_self(other));
    peer_up(other, from);
    (void)core_effects(c, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct effect *e = &core_effects(c, &count)[i];
        struct event told = {
            .type = EVENT_MESSAGE, .peer = from, .wall_ms = world->now_ms, .bytes = e->bytes};
        if (e->type == EFFECT_SEND) core_step(other, &told);
    }
}

/* A member that says more than it has room for, to each custodian in another order, is held up alone: both hold the same,
 * and neither is behind the other. */
static void test_too_much_isolates_nobody(void **state)
{
    (void)state;
    struct core *one = core_begin(1), *two = core_begin(2);
    struct node_id author = world->node[3].id;
    say_too_much(author, 0, 1);
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t i = 0; i < too_much_count; i++) {
            uint32_t back = too_much_count - 1 - i;
            uint64_t token;
            if (deliver(one, too_much[i], &token) == 1) finish(one, token);
            if (deliver(two, too_much[back], &token) == 1) finish(two, token);
        }
    assert_true(chain_author(core_chain(one), author)->applied < too_much_count);
    assert_int_equal(chain_author(core_chain(one), author)->applied,
                     chain_author(core_chain(two), author)->applied);
    assert_true(core_isolated(two));
    tell_heads_of(one, two, world->node[0].id);
    tell_heads_of(one, two, world->node[1].id);
    assert_false(core_isolated(two));
    tell_heads_of(two, one, world->node[0].id);
    tell_heads_of(two, one, world->node[2].id);
    assert_false(core_isolated(one));
}

/* --- Receipts read back at start ------------------------------------------------------------------------------------------ */

static void read_back(struct core *c, const struct record *r)
{
    static uint8_t bytes[CAP_BODY_BYTES + 1024];
    struct buffer b = BUFFER_OF(bytes);
    record_pack(&b, r);
    core_step(
        c, &(struct event){.type = EVENT_RESTORE_RECORD, .wall_ms = world->now_ms, .bytes = buffer_span(&b)});
}

enum { RECEIPT_PARTS = 2 + 3 };

/* A receipt of the world's run. Who signs it is found out by the keyed work: the enclave, twice, and three custodians. */
static const struct record *receipt_of_run(uint32_t node)
{
    struct body_RECEIPT receipt = world_receipt(world, world->run);
    return record_at(world->node[node].id, world->node[node].seq + 1, world->node[node].head, KIND_RECEIPT,
                     &receipt);
}

/* However many receipts name runs that nobody knows, the one that settles a run is examined: also when it came before the
 * run. */
static void test_junk_receipts_unsettle_nothing(void **state)
{
    (void)state;
    struct core *c;
    struct core_options options = {
        .self = world->node[0].id, .consortium = world->consortium, .charter = world->charter};
    struct record_id prev = world->node[WORLD_ALGORITHM].head;
    const struct record *run = NULL;
    uint32_t count, asked = 0;
    assert_int_equal(core_new(&c, memory, &options), OK);
    for (uint32_t i = 0; i < world->record_count; i++)
        if (world->record[i]->header.kind == KIND_RUN)
            run = world->record[i];
        else
            read_back(c, world->record[i]);
    for (uint32_t i = 0; i < 3 * CAP_RUNS; i++) {
        struct body_RECEIPT junk = {.run = {{0xbb, (uint8_t)i}}};
        const struct record *r =
            record_at(world->node[WORLD_ALGORITHM].id, world->node[WORLD_ALGORITHM].seq + 1 + i, prev,
                      KIND_RECEIPT, &junk);
        read_back(c, r);
        prev = r->id;
    }
    read_back(c, receipt_of_run(WORLD_COMPUTE));
    read_back(c, run);
    core_step(c, &(struct event){.type = EVENT_READY, .wall_ms = world->now_ms});
    core_step(c, &(struct event){.type = EVENT_TICK, .wall_ms = world->now_ms});
    const struct effect *e = core_effects(c, &count);
    struct event done = {.type = EVENT_CRYPTO, .wall_ms = world->now_ms};
    for (uint32_t i = 0; i < count; i++)
        if (e[i].type == EFFECT_CRYPTO && e[i].crypto.part_count == RECEIPT_PARTS) {
            done.token = e[i].token;
            asked++;
        }
    assert_int_equal(asked, 1);
    core_step(c, &done);
    assert_non_null(registry_run(core_registry(c), world->run)->receipt);
    core_step(c, &(struct event){.type = EVENT_TICK, .wall_ms = world->now_ms});
    (void)core_effects(c, &count);
    for (uint32_t i = 0; i < count; i++)
        assert_true(core_effects(c, &count)[i].crypto.part_count != RECEIPT_PARTS); /* once */
}

static struct instant now;

/* How many it asks to be checked, in a tick; the tokens are kept in `token`. */
static uint32_t receipts_asked(struct core *c, uint64_t token[CAP_PENDING])
{
    uint32_t count, asked = 0;
    now.ns += 1000000000;
    core_step(c, &(struct event){.type = EVENT_TICK, .now = now, .wall_ms = world->now_ms});
    const struct effect *e = core_effects(c, &count);
    for (uint32_t i = 0; i < count; i++)
        if (e[i].type == EFFECT_CRYPTO && e[i].crypto.part_count == RECEIPT_PARTS)
            token[asked++] = e[i].token;
    return asked;
}

static void none_holds(struct core *c, const uint64_t *token, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        core_step(c, &(struct event){.type = EVENT_CRYPTO,
                                     .token = token[i],
                                     .err = ERR_SIGNATURE,
                                     .now = now,
                                     .wall_ms = world->now_ms});
}

/* The keyed work is slow: they wait for each other, and leave room for the work of others. */
static void test_receipts_take_a_part_of_the_work(void **state)
{
    (void)state;
    struct core *c;
    struct core_options options = {
        .self = world->node[0].id, .consortium = world->consortium, .charter = world->charter};
    const uint32_t most = CAP_PENDING * RECEIPTS_ASKED_16THS / 16;
    uint64_t token[CAP_PENDING];
    assert_int_equal(core_new(&c, memory, &options), OK);
    for (uint32_t i = 0; i < world->record_count; i++) read_back(c, world->record[i]);
    struct record_id prev = world->node[WORLD_COMPUTE].head;
    for (uint32_t i = 1; i <= most + 1; i++) {
        const struct body_RECEIPT receipt = world_receipt(world, world->run);
        const struct record *r = record_at(world->node[WORLD_COMPUTE].id, world->node[WORLD_COMPUTE].seq + i,
                                           prev, KIND_RECEIPT, &receipt);
        read_back(c, r);
        prev = r->id;
    }
    core_step(c, &(struct event){.type = EVENT_READY, .wall_ms = world->now_ms});
    assert_int_equal(receipts_asked(c, token), most);
    assert_int_equal(track_find(c, world->run)->receipts_awaited, most + 1);
    none_holds(c, token, most);
    assert_int_equal(receipts_asked(c, token), 1);
    assert_int_equal(track_find(c, world->run)->receipts_awaited, 1);
    none_holds(c, token, 1);
    assert_int_equal(receipts_asked(c, token), 0);
    assert_int_equal(track_find(c, world->run)->receipts_awaited, 0);
}

/* --- Chains read back at start -------------------------------------------------------------------------------------------- */

/* A store is read in the order of its authors' keys: a member may come before those who admitted it, with far more than may wait
 * for its turn on a link. All of it is there before anything is done, and what acts on receipt has acted, behind a hole too. */
static void test_a_member_read_before_its_stewards(void **state)
{
    (void)state;
    enum { COUNT = 20, LEN = 8000 };
    static const uint8_t zero[LEN];
    const struct world_node *member = &world->node[WORLD_ALGORITHM];
    const struct core_options options = {
        .self = world->node[0].id, .consortium = world->consortium, .charter = world->charter};
    struct record_id prev = member->head;
    struct core *c;
    assert_true(COUNT * LEN > CAP_AHEAD_BYTES);
    assert_int_equal(core_new(&c, memory, &options), OK);
    for (uint32_t i = 0; i < world->record_count; i++)
        if (ID_EQUAL(world->record[i]->header.author, member->id)) read_back(c, world->record[i]);
    for (uint32_t i = 1; i <= COUNT; i++) {
        const struct body_RECEIPT junk = {.run = {{0xbb, (uint8_t)i}}, .output = SPAN_OF(zero)};
        const struct record *r = record_at(member->id, member->seq + i, prev, KIND_RECEIPT, &junk);
        read_back(c, r);
        prev = r->id;
    }
    const struct body_REVOCATION taken_back = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE};
    const struct record *behind =
        record_at(member->id, member->seq + COUNT + 2, prev, KIND_REVOCATION, &taken_back);
    read_back(c, behind);
    const struct body_RECEIPT receipt = {.run = world->run};
    const struct record *last =
        record_at(member->id, member->seq + COUNT + 3, behind->id, KIND_RECEIPT, &receipt);
    read_back(c, last);
    assert_true(registry_waits(core_registry(c), member->id));
    for (uint32_t i = 0; i < world->record_count; i++)
        if (!ID_EQUAL(world->record[i]->header.author, member->id)) read_back(c, world->record[i]);
    core_step(c, &(struct event){.type = EVENT_READY, .wall_ms = world->now_ms});
    assert_int_equal(chain_author(core_chain(c), member->id)->applied, member->seq + COUNT);
    assert_false(chain_whole(core_chain(c), member->id));
    assert_true(ROW(core_chain(c)->entry, chain_row(core_chain(c), behind->id)).applied);
    assert_true(ROW(core_chain(c)->entry, chain_row(core_chain(c), last->id)).applied);
}

/* --- no-fork: whatever is full, nothing is signed for a place twice ------------------------------------------------------- */

static struct record_id signed_id[CAP_AUTHOR_RECORDS + 1];
static uint64_t signed_seq[CAP_AUTHOR_RECORDS + 1];
static uint32_t signed_count;

static void note_signed(const struct keep *k)
{
    struct record r;
    assert_int_equal(record_unpack(&r, k->value), OK);
    for (uint32_t i = 0; i < signed_count; i++)
        if (signed_seq[i] == r.header.seq) assert_true(ID_EQUAL(signed_id[i], r.id));
    signed_seq[signed_count] = r.header.seq;
    signed_id[signed_count++] = r.id;
}

static const struct effect *first_of(struct core *c, enum effect_type type)
{
    uint32_t count;
    const struct effect *e = core_effects(c, &count);
    for (uint32_t i = 0; i < count; i++)
        if (e[i].type == type && (type == EFFECT_REPLY || e[i].token != 0)) return &e[i];
    return NULL;
}

/* Asks for an own record, and does the signing and storing it leads to. */
static enum refusal author_own(struct core *c, enum kind kind, const void *body)
{
    static uint8_t bytes[CAP_BODY_BYTES];
    struct signature none = {{0}};
    struct buffer b = BUFFER_OF(bytes);
    body_encode(&b, kind, body);
    struct command command = {.type = COMMAND_AUTHOR, .kind = kind, .body = buffer_span(&b)};
    struct event event = {
        .type = EVENT_COMMAND, .token = 77, .command = &command, .wall_ms = world->now_ms++};
    for (;;) {
        core_step(c, &event);
        core_check(c);
        const struct effect *reply = first_of(c, EFFECT_REPLY), *sign = first_of(c, EFFECT_CRYPTO),
                            *store = first_of(c, EFFECT_STORE);
        if (reply != NULL) return reply->verdict.refusal;
        if (sign != NULL)
            event = (struct event){.type = EVENT_CRYPTO, .token = sign->token, .bytes = SPAN_OF(none.bytes)};
        else if (store != NULL)
            event = (struct event){.type = EVENT_STORED, .token = store->token};
        else
            fail_msg("neither an answer nor work");
        if (sign == NULL) note_signed(&store->keep[0]);
        event.wall_ms = world->now_ms;
    }
}

/* A worker set with a new name. */
static enum refusal author_next(struct core *c)
{
    char name[16];
    static uint32_t number;
    snprintf(name, sizeof name, "set-%u", number++);
    struct body_WORKERS body = {span_text(name), 1, SPAN_NONE};
    return author_own(c, KIND_WORKERS, &body);
}

/* Own records until nothing is taken any more. What was accepted is held in its place. */
static uint32_t author_all(struct core *c)
{
    struct node_id self = core_self(c);
    uint32_t accepted = 0;
    for (uint32_t refused = 0; refused < 3;) {
        enum refusal r = refused == 0 ? author_next(c) : author_own(c, KIND_REVOCATION, &revocation);
        if (r == REFUSAL_NONE) assert_non_null(chain_get(core_chain(c), self, ++accepted));
        if (r != REFUSAL_NONE) refused++;
    }
    return accepted;
}

static struct core *no_fork_begin(void)
{
    signed_count = 0;
    return core_begin(0);
}

static void test_no_fork_when_places_are_full(void **state)
{
    (void)state;
    struct core *c = no_fork_begin();
    for (uint32_t i = 0; i < CAP_AUTHORS; i++)
        while (grow(&c->chain, author_number(i), KIND_REVOCATION) == CHAIN_NEW) {
        }
    assert_true(author_all(c) > 0);
}

static void test_no_fork_when_own_bytes_are_full(void **state)
{
    (void)state;
    struct core *c = no_fork_begin();
    for (size_t len = 40000; len > 100; len /= 2) (void)grow_large(&c->chain, core_self(c), len);
    (void)grow_all(&c->chain, core_self(c), KIND_JOB);
    uint64_t held = chain_author(core_chain(c), core_self(c))->applied;
    assert_int_equal(author_next(c), REFUSAL_FULL);
    assert_int_equal(author_own(c, KIND_REVOCATION, &revocation), REFUSAL_NONE);
    assert_non_null(chain_get(core_chain(c), core_self(c), held + 1));
    assert_int_equal(author_next(c), REFUSAL_FULL);
}

/* The pool for work in flight is used up. */
static void test_no_fork_when_memory_is_full(void **state)
{
    (void)state;
    struct core *c = no_fork_begin();
    struct arena *pool = c->pool.arena;
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 40; i++) {
        pool->cap = pool->used + (size_t)i * 64;
        refused += author_next(c) == REFUSAL_FULL;
        refused += author_own(c, KIND_REVOCATION, &revocation) == REFUSAL_FULL;
    }
    assert_true(refused > 0);
}

/* --- All ---------------------------------------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    world_maker_devices = 2;
    world = world_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_chain_records),
        CASE(test_chain_authors),
        CASE(test_chain_keeps_an_own_place),
        CASE(test_chain_bytes),
        CASE(test_chain_of_all_others),
        CASE(test_chain_ahead),
        CASE(test_too_much_in_any_order),
        CASE(test_members),
        CASE(test_a_steward_alone),
        CASE(test_full_in_any_order),
        CASE(test_devices),
        CASE(test_lost_revocation_of_a_device),
        CASE(test_small_places),
        CASE(test_removals),
        CASE(test_lost_removals),
        CASE(test_committees),
        CASE(test_grants),
        CASE(test_jobs),
        CASE(test_approvals),
        CASE(test_runs),
        CASE(test_asset_versions),
        CASE(test_documents),
        CASE(test_revocations),
        CASE(test_pending),
        CASE(test_peers),
        CASE(test_heads_of_many),
        CASE(test_backlog),
        CASE(test_revocation_without_a_place),
        CASE(test_too_much_isolates_nobody),
        CASE(test_junk_receipts_unsettle_nothing),
        CASE(test_receipts_take_a_part_of_the_work),
        CASE(test_a_member_read_before_its_stewards),
        CASE(test_no_fork_when_places_are_full),
        CASE(test_no_fork_when_own_bytes_are_full),
        CASE(test_no_fork_when_memory_is_full),
    };
    return cmocka_run_group_tests_name("chain_caps_tiny", tests, set_up, tear_down);
}
