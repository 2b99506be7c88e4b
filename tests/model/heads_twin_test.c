/* Two nodes that hold different parts of many chains compare root, branches and heads: each finds exactly the authors in which they differ,
 * in few questions; and what is remembered of hashes is what a tree made anew has. */
#include "proto/heads.h"
#include "tests/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { AUTHORS = 1500, STEPS = 4000, NODES = 2 };

static uint64_t random_state = 1;

static uint32_t below(uint32_t limit)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % limit;
}

struct holder {
    struct arena arena;
    struct chain chain;
    struct heads heads;
};

static struct holder *holder_new(void)
{
    const size_t bytes = chain_bytes(CAP_CHAIN_PARTS) + 2 * heads_bytes();
    struct holder *n = calloc(1, sizeof *n);
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(n != NULL && memory != MAP_FAILED);
    n->arena = arena_make(memory, bytes);
    assert_int_equal(chain_init(&n->chain, &n->arena, CAP_CHAIN_PARTS, (struct node_id){{0xff}}, 7), OK);
    assert_int_equal(heads_init(&n->heads, &n->arena, &n->chain), OK);
    return n;
}

static void holder_free(struct holder *n)
{
    (void)munmap(n->arena.data, n->arena.cap);
    free(n);
}

/* Some share long prefixes, as one who grinds keys can have it. */
static struct node_id author_of(uint32_t number)
{
    struct node_id id;
    const struct hash32 h = sha256(span_make(&number, sizeof number));
    memcpy(id.bytes, h.bytes, 32);
    if (number % 5 == 0) memset(id.bytes, 0xab, number % 3 == 0 ? 12 : 2);
    return id;
}

/* The author's next record as this node has it; all nodes would make the same. */
static void grow(struct holder *n, uint32_t number)
{
    static uint8_t bytes[2 * CAP_HEADER_BYTES];
    static const struct body_JOB job = {.task = {(const uint8_t *)"j", 1}};
    const struct signature none = {{0}};
    const struct node_id node = author_of(number);
    const struct author *a = chain_author(&n->chain, node);
    struct header h = {.kind = KIND_JOB,
                       .author = node,
                       .seq = a != NULL ? a->applied + 1 : 1,
                       .prev = a != NULL ? a->head : (struct record_id){{0}},
                       .time_ms = WORLD_START_MS,
                       .residency = SPAN_LITERAL("")};
    struct buffer b = BUFFER_OF(bytes);
    struct record r;
    size_t header_len;
    assert_int_equal(record_build(&b, &header_len, &h, &job), OK);
    assert_int_equal(record_open(&r, span_make(bytes, header_len), &none,
                                 span_make(bytes + header_len, b.len - header_len)),
                     OK);
    assert_non_null(chain_insert(&n->chain, &r));
    chain_disk(&n->chain, chain_row(&n->chain, r.id), DISK_HAS);
    (void)chain_next(&n->chain, node);
}

static uint64_t seq_of(const struct holder *n, struct node_id author)
{
    const struct author *a = chain_author(&n->chain, author);
    return a != NULL ? a->applied : 0;
}

/* As the core does it: what the other answers to each question. How many are asked; `found` is a mark per author. */
static uint32_t compare(struct holder *own, struct holder *other, struct heads_prefix prefix, bool *found)
{
    static uint8_t items[HEADS_ITEMS * HEADS_ITEM_BYTES];
    const struct hash32 mine = heads_hash(&own->heads, &prefix), theirs = heads_hash(&other->heads, &prefix);
    uint32_t asked = 1;
    if (ID_EQUAL(mine, theirs) || ID_IS_ZERO(theirs)) return 0;
    if (heads_count(&other->heads, &prefix) > HEADS_ITEMS) {
        for (uint32_t i = 0; i < HEADS_RADIX; i++)
            asked += compare(own, other, heads_child(&prefix, i), found);
        return asked;
    }
    struct buffer b = BUFFER_OF(items);
    heads_put(&other->heads, &b, &prefix);
    for (size_t at = 0; at < b.len; at += HEADS_ITEM_BYTES) {
        struct node_id author;
        memcpy(author.bytes, items + at, 32);
        for (uint32_t i = 0; i < AUTHORS; i++)
            if (load_u64(items + at + 32) > seq_of(own, author) && ID_EQUAL(author_of(i), author))
                found[i] = true;
    }
    return asked;
}

static void expect_found(struct holder *own, struct holder *other, uint32_t most)
{
    static bool found[AUTHORS];
    const struct heads_prefix all = {0, {{0}}};
    memset(found, 0, sizeof found);
    heads_update(&own->heads);
    heads_update(&other->heads);
    const uint32_t asked = compare(own, other, all, found);
    for (uint32_t i = 0; i < AUTHORS; i++) {
        const struct node_id author = author_of(i);
        assert_int_equal(found[i], seq_of(other, author) > seq_of(own, author));
    }
    assert_in_range(asked, 0, most);
}

/* A tree over the same chains that remembers nothing. */
static void expect_same_anew(struct holder *n)
{
    struct heads anew;
    const struct heads_prefix all = {0, {{0}}};
    const size_t mark = arena_mark(&n->arena);
    assert_int_equal(heads_init(&anew, &n->arena, &n->chain), OK);
    n->chain.moved = true;
    heads_update(&anew);
    const struct hash32 root = heads_hash(&anew, &all);
    arena_release(&n->arena, mark);
    const struct hash32 kept = heads_hash(&n->heads, &all);
    assert_memory_equal(kept.bytes, root.bytes, 32);
}

static void test_differences_are_found(void **state)
{
    (void)state;
    struct holder *n[NODES] = {holder_new(), holder_new()};
    for (uint32_t i = 0; i < STEPS; i++) {
        const uint32_t author = below(AUTHORS);
        for (uint32_t k = 0; k < NODES; k++)
            if (seq_of(n[k], author_of(author)) < 3 && below(100) != 0) grow(n[k], author);
        if (i % 400 != 399) continue;
        expect_found(n[0], n[1], UINT32_MAX);
        expect_found(n[1], n[0], UINT32_MAX);
        expect_same_anew(n[0]);
    }
    for (uint32_t author = 0; author < AUTHORS; author++) /* they catch up */
        for (uint32_t k = 0; k < NODES; k++)
            while (seq_of(n[k], author_of(author)) < 3) grow(n[k], author);
    expect_found(n[0], n[1], 0);
    grow(n[1], 1); /* one record among fifteen hundred authors */
    expect_found(n[0], n[1], 4);
    expect_found(n[1], n[0], 4);
    expect_same_anew(n[1]);
    for (uint32_t k = 0; k < NODES; k++) holder_free(n[k]);
}

static void test_prefixes(void **state)
{
    (void)state;
    struct heads_prefix p = {0, {{0}}};
    assert_true(heads_prefix_valid(&p));
    for (uint32_t i = 0; i < HEADS_DEPTH_MAX; i++) {
        p = heads_child(&p, i % HEADS_RADIX);
        assert_true(heads_prefix_valid(&p));
    }
    assert_int_equal(p.bits.bytes[0], 0x01);
    assert_int_equal(p.bits.bytes[31], 0xef);
    p.depth = 63;
    assert_false(heads_prefix_valid(&p)); /* more bits than it says */
    p.depth = 65;
    assert_false(heads_prefix_valid(&p));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences_are_found),
        cmocka_unit_test(test_prefixes),
    };
    return cmocka_run_group_tests_name("heads_twin", tests, NULL, NULL);
}
