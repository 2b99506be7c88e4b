/* P7: what a custodian does for one enclave (envelope checked, share and its proof), and what the enclave does with five
 * shares, against the bare group products both need. */
#include "node/bench.h"

#include "crypto/group.h"
#include "crypto/secret.h"
#include "crypto/tdh2.h"
#include "proto/base/panic.h"

#include <string.h>

enum { SHARES_T = 5, SHARES_N = 7, SHARES_REPEAT = 200 };
/* Products of a share: the envelope's proof is checked with four (f B, e A, f G, e D), the share is one, its proof has two
 * commitments and one map to the group is as good as one. Of combining: one for each share. Checking a share: four. */
enum { SHARE_PRODUCTS = 7, COMBINE_PRODUCTS = SHARES_T, CHECK_PRODUCTS = 4 };

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

/* Half of the products have the base point, as in the proofs. */
static double time_product(const struct shares *s)
{
    struct point out = s->key.y;
    const double began = bench_now();
    for (int i = 0; i < SHARES_REPEAT; i++)
        ASSERT((i % 2 == 0 ? group_base(&out, s->secret[0].bytes)
                           : group_mul(&out, s->secret[1].bytes, &s->key.y)) == OK);
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

enum err bench_shares(const struct bench *b)
{
    struct shares s;
    double product[BENCH_ROUNDS], share[BENCH_ROUNDS], check[BENCH_ROUNDS], combine[BENCH_ROUNDS];
    memset(&s, 0, sizeof s);
    TRY(make(&s));
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        product[i] = time_product(&s);
        share[i] = time_share(&s);
        check[i] = time_check(&s);
        combine[i] = time_combine(&s);
    }
    const double bare = bench_median(product, BENCH_ROUNDS), one = bench_median(share, BENCH_ROUNDS);
    const double checked = bench_median(check, BENCH_ROUNDS), five = bench_median(combine, BENCH_ROUNDS);
    bench_print(b, "share_release", one * 1e6, "us", bare * SHARE_PRODUCTS / one, "7_group_products");
    bench_print(b, "share_check", checked * 1e6, "us", bare * CHECK_PRODUCTS / checked, "4_group_products");
    bench_print(b, "combine_5", five * 1e6, "us", bare * COMBINE_PRODUCTS / five, "5_group_products");
    return OK;
}
