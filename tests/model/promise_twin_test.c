/* A custodian's vote, release and commit promises against a naive history that never forgets: random asks, of few runs, slots,
 * terms and nodes so that they meet, and a start anew from the store's rows in any order in between. Whatever is granted, no slot
 * has two runs, no term two nodes, no run two outputs. PERIGEE_SEED=7: other asks. */
#include "proto/promise.h"
#include "tests/seed.h"
#include "tests/storage_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 200, ASKS = 400, SUBJECTS = 3, NUMBERS = 5, VALUES = 3, ROWS = 24, HISTORY_MAX = ASKS };

struct granted {
    enum promise_kind kind;
    uint32_t subject, value;
    uint64_t number;
};
struct history {
    struct granted was[HISTORY_MAX];
    uint32_t count;
};

static uint8_t memory[1 << 16];
static struct arena arena;
static struct promises table;
static uint64_t seed;
static uint32_t seen_conflict, seen_full, seen_new;

/* --- The naive one ------------------------------------------------------------------------------------------------------ */

static bool for_a_term(enum promise_kind kind)
{
    return kind != PROMISE_SLOT && kind != PROMISE_COMMIT;
}

static bool same_name(const struct granted *a, const struct granted *b)
{
    return a->kind == b->kind && a->subject == b->subject && (for_a_term(a->kind) || a->number == b->number);
}

static enum err naive_set(const struct history *h, const struct granted *ask)
{
    bool named_before = false;
    for (uint32_t i = 0; i < h->count; i++) {
        const struct granted *g = &h->was[i];
        if (!same_name(g, ask)) continue;
        named_before = true;
        if (g->number > ask->number) return ERR_CONFLICT;
        if (g->number == ask->number && g->value != ask->value) return ERR_CONFLICT;
    }
    uint32_t names = 0;
    for (uint32_t i = 0; i < h->count; i++) {
        bool first = true;
        for (uint32_t j = 0; j < i; j++) first &= !same_name(&h->was[i], &h->was[j]);
        names += first;
    }
    return named_before || names < ROWS ? OK : ERR_FULL;
}

/* The value + 1 of this very promise, unless a later term is granted; 0: none. */
static uint32_t naive_get(const struct history *h, const struct granted *ask)
{
    uint32_t value_plus_one = 0;
    for (uint32_t i = 0; i < h->count; i++) {
        if (!same_name(&h->was[i], ask)) continue;
        if (h->was[i].number > ask->number) return 0;
        if (h->was[i].number == ask->number) value_plus_one = h->was[i].value + 1;
    }
    return value_plus_one;
}

static uint64_t naive_term(const struct history *h, uint32_t subject)
{
    uint64_t term = 0;
    for (uint32_t i = 0; i < h->count; i++) {
        const struct granted *g = &h->was[i];
        bool counts = g->kind == PROMISE_VOTE || g->kind == PROMISE_RELEASE;
        if (counts && g->subject == subject && g->number > term) term = g->number;
    }
    return term;
}

/* --- The table ---------------------------------------------------------------------------------------------------------- */

static void bytes_of(uint8_t out[32], uint32_t what)
{
    memset(out, (int)what + 1, 32);
}

static void key_of(uint8_t key[PROMISE_KEY_BYTES], const struct granted *g)
{
    uint8_t subject[32];
    bytes_of(subject, g->subject);
    promise_key(key, g->kind, subject, g->number);
}

static enum err set(const struct granted *g)
{
    uint8_t key[PROMISE_KEY_BYTES], value[32];
    key_of(key, g);
    bytes_of(value, g->value);
    return promise_set(&table, key, value);
}

static void start_empty(void)
{
    memset(memory, 0, sizeof memory);
    arena = arena_make(memory, sizeof memory);
    assert_int_equal(promises_init(&table, &arena, ROWS, 7), OK);
}

/* The store has every row ever granted; it gives them by their keys, here in any order. */
static void start_anew(struct history *h)
{
    start_empty();
    for (uint32_t i = h->count; i > 1; i--) {
        const uint32_t j = storage_random(&seed, i);
        const struct granted moved = h->was[i - 1];
        h->was[i - 1] = h->was[j];
        h->was[j] = moved;
    }
    for (uint32_t i = 0; i < h->count; i++) {
        uint8_t key[PROMISE_KEY_BYTES];
        key_of(key, &h->was[i]);
        if (!promise_superseded(&table, key)) assert_int_equal(set(&h->was[i]), OK);
    }
}

static void compare(const struct history *h)
{
    for (enum promise_kind kind = PROMISE_SLOT; kind <= PROMISE_WORKER; kind++)
        for (uint32_t s = 0; s < SUBJECTS; s++)
            for (uint64_t n = 0; n <= NUMBERS; n++) {
                const struct granted ask = {kind, s, 0, n};
                uint8_t subject[32], value[32];
                const uint32_t naive = naive_get(h, &ask);
                bytes_of(subject, s);
                const uint8_t *got = promise_get(&table, kind, subject, n);
                assert_int_equal(got != NULL, naive != 0);
                if (got == NULL) continue;
                bytes_of(value, naive - 1);
                assert_memory_equal(got, value, 32);
            }
    for (uint32_t s = 0; s < SUBJECTS; s++) {
        struct run_id run;
        bytes_of(run.bytes, s);
        assert_int_equal(promise_term(&table, run), naive_term(h, s));
    }
}

/* What all this is for, whatever the two agree on. */
static void nothing_twice(const struct history *h)
{
    for (uint32_t i = 0; i < h->count; i++)
        for (uint32_t j = 0; j < i; j++) {
            const struct granted *a = &h->was[i], *b = &h->was[j];
            if (a->kind == b->kind && a->subject == b->subject && a->number == b->number)
                assert_int_equal(a->value, b->value);
        }
}

static void ask_one(struct history *h)
{
    const struct granted ask = {(enum promise_kind)(PROMISE_SLOT + storage_random(&seed, 6)),
                                storage_random(&seed, SUBJECTS), storage_random(&seed, VALUES),
                                1 + storage_random(&seed, NUMBERS)};
    const enum err naive = naive_set(h, &ask), err = set(&ask);
    assert_int_equal(err, naive);
    seen_conflict += err == ERR_CONFLICT;
    seen_full += err == ERR_FULL;
    if (err == OK) h->was[h->count++] = ask;
}

static void test_against_a_history(void **state)
{
    (void)state;
    static struct history h;
    seed = seed_or(0) + 1;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        h.count = 0;
        start_empty();
        for (uint32_t i = 0; i < ASKS; i++) {
            ask_one(&h);
            if (storage_random(&seed, 40) == 0) {
                start_anew(&h);
                seen_new++;
            }
            if (i % 16 == 0) compare(&h);
        }
        compare(&h);
        nothing_twice(&h);
    }
    assert_true(seen_conflict > ROUNDS && seen_full > ROUNDS && seen_new > ROUNDS);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_a_history)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
