/* P7: what a custodian does for one enclave (envelope checked, share and its proof), and what the enclave does with five
 * shares, against the bare group products both need. */
#include "node/bench.h"

#include "crypto/group.h"
#include "crypto/secret.h"
#include "crypto/tdh2.h"
#include "proto/base/panic.h"

#include <string.h>

enum { SHARES_T = 5, SHARES_N = 7, SHARES_REPEAT = 200 };
/* The group operations each needs: products of the base point, of other points, and maps to the group. A share checks the
 * envelope's proof (f B, e A, f G, e D), is one product, states Y_i and proves itself (s B, s R); the second generator is
 * mapped. Checking a share is four products again; combining is one product a share. */
struct needs {
    double base, other, map;
};
static const struct needs share_needs = {3, 5, 1}, check_needs = {1, 3, 0}, combine_needs = {0, SHARES_T, 0};

struct shares {
    struct group_key key;
    struct scalar_secret secret[SHARES_N];
    struct label label;
    struct envelope envelope;
    struct dec_share share[SHARES_T];
    uint8_t data_key[32];
};

/* A dealt key: figures do not depend on who made it. */
static void deal(struct shares *s)
{
    uint8_t coefficient[SHARES_T][32], index[32];
    s->key.n = SHARES_N;
    s->key.t = SHARES_T;
    for (int k = 0; k < SHARES_T; k++) group_scalar_random(coefficient[k]);
    ASSERT(group_base(&s->key.y, coefficient[0]) == OK);
    for (uint32_t i = 1; i <= SHARES_N; i++) {
        uint8_t *x = s->secret[i - 1].bytes;
        group_scalar_from_u32(index, i);
        memcpy(x, coefficient[SHARES_T - 1], 32);
        for (int k = SHARES_T - 2; k >= 0; k--) group_scalar_mul_add(x, x, index, coefficient[k]);
        ASSERT(group_base(&s->key.share[i - 1], x) == OK);
    }
}

static enum err make(struct shares *s)
{
    deal(s);
    random_fill(s->data_key, sizeof s->data_key);
    random_fill(s->label.bytes, sizeof s->label.bytes);
    TRY(envelope_seal(&s->envelope, &s->key.y, &s->label, s->data_key));
    for (uint32_t i = 0; i < SHARES_T; i++)
        TRY(envelope_share(&s->share[i], &s->envelope, &s->key.y, &s->label, i + 1, &s->secret[i]));
    return OK;
}

/* --- One measurement each: seconds per piece -------------------------------------------------------------------------- */

static double time_base(const struct shares *s)
{
    struct point out;
    const double began = bench_now();
    for (int i = 0; i < SHARES_REPEAT; i++) ASSERT(group_base(&out, s->secret[0].bytes) == OK);
    return (bench_now() - began) / SHARES_REPEAT;
}

static double time_other(const struct shares *s)
{
    struct point out;
    const double began = bench_now();
    for (int i = 0; i < SHARES_REPEAT; i++) ASSERT(group_mul(&out, s->secret[1].bytes, &s->key.y) == OK);
    return (bench_now() - began) / SHARES_REPEAT;
}

static double time_map(const struct shares *s)
{
    struct point out;
    const double began = bench_now();
    for (int i = 0; i < SHARES_REPEAT; i++) group_hash_to_point(&out, SPAN_OF(s->label.bytes));
    return (bench_now() - began) / SHARES_REPEAT;
}

static double time_share(const struct shares *s)
{
    struct dec_share out;
    const double began = bench_now();
    for (int i = 0; i < SHARES_REPEAT; i++)
        ASSERT(envelope_share(&out, &s->envelope, &s->key.y, &s->label, 1, &s->secret[0]) == OK);
    return (bench_now() - began) / SHARES_REPEAT;
}

static double time_check(const struct shares *s)
{
    const double began = bench_now();
    for (int i = 0; i < SHARES_REPEAT; i++)
        ASSERT(envelope_share_check(&s->share[i % SHARES_T], &s->envelope, &s->key, &s->label) == OK);
    return (bench_now() - began) / SHARES_REPEAT;
}

static double time_combine(const struct shares *s)
{
    uint8_t data_key[32];
    const double began = bench_now();
    for (int i = 0; i < SHARES_REPEAT; i++)
        ASSERT(envelope_open(data_key, &s->envelope, &s->key, &s->label, s->share, SHARES_T) == OK);
    ASSERT(memcmp(data_key, s->data_key, 32) == 0);
    return (bench_now() - began) / SHARES_REPEAT;
}

struct times {
    double base[BENCH_ROUNDS], other[BENCH_ROUNDS], map[BENCH_ROUNDS], share[BENCH_ROUNDS],
        check[BENCH_ROUNDS], combine[BENCH_ROUNDS];
};

static void print(const struct bench *b, const char *name, double *seconds, struct times *t,
                  const struct needs *needs)
{
    const double bare = needs->base * bench_median(t->base, BENCH_ROUNDS) +
                        needs->other * bench_median(t->other, BENCH_ROUNDS) +
                        needs->map * bench_median(t->map, BENCH_ROUNDS);
    const double value = bench_median(seconds, BENCH_ROUNDS);
    bench_print(b, name, value * 1e6, "us", bare / value, "its_bare_group_operations");
}

enum err bench_shares(const struct bench *b)
{
    struct shares s;
    struct times t;
    memset(&s, 0, sizeof s);
    TRY(make(&s));
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        t.base[i] = time_base(&s);
        t.other[i] = time_other(&s);
        t.map[i] = time_map(&s);
        t.share[i] = time_share(&s);
        t.check[i] = time_check(&s);
        t.combine[i] = time_combine(&s);
    }
    print(b, "share_release", t.share, &t, &share_needs);
    print(b, "share_check", t.check, &t, &check_needs);
    print(b, "combine_5", t.combine, &t, &combine_needs);
    return OK;
}
