/* Key generation: honest runs of every size, and every way to cheat names the cheat. */
#include "crypto/ceremony.h"
#include "crypto/schnorr.h"
#include "crypto/secret.h"
#include "tests/dealer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PARTIES_MAX = 7 };

/* One run as everybody sees it; `session` is party 1's and differs from the others' only in `own`. */
struct run {
    struct cocktail_session session;
    struct scalar_secret secret[PARTIES_MAX];
    uint8_t entropy[PARTIES_MAX][64 * (PARTIES_MAX + 1)];
    struct cocktail_secret state[PARTIES_MAX];
    struct cocktail_round1 round1[PARTIES_MAX];
};

struct outcome {
    enum err err;
    uint32_t culprit;
    struct scalar_secret share;
    struct group_key key;
    uint8_t transcript[64], sig[64];
};

static struct cocktail_session session_of(const struct run *r, uint32_t own)
{
    struct cocktail_session s = r->session;
    s.own = own;
    return s;
}

static struct span entropy_of(struct run *r, uint32_t own)
{
    return span_make(r->entropy[own - 1], (size_t)64 * (r->session.t + 1));
}

static void run_deal(struct run *r, uint32_t own)
{
    struct cocktail_session s = session_of(r, own);
    assert_int_equal(cocktail_begin_from(&r->state[own - 1], &r->round1[own - 1], &s, &r->secret[own - 1],
                                         entropy_of(r, own)),
                     OK);
}

static void run_make(struct run *r, uint32_t n, uint32_t t, uint64_t seed)
{
    uint8_t wide[64];
    memset(r, 0, sizeof *r);
    r->session.n = n;
    r->session.t = t;
    r->session.own = 1;
    r->session.tag.bytes[0] = 7;
    r->session.extension = SPAN_LITERAL("charter and purpose");
    for (uint32_t i = 0; i < n; i++) {
        dealer_bytes(wide, seed, 1000 + i);
        group_reduce(r->secret[i].bytes, wide);
        assert_int_equal(group_base(&r->session.party[i], r->secret[i].bytes), OK);
        for (uint32_t k = 0; k <= t; k++) dealer_bytes(r->entropy[i] + 64 * k, seed, 100 * i + k);
    }
    for (uint32_t own = 1; own <= n; own++) run_deal(r, own);
}

static struct outcome finish(const struct run *r, uint32_t own)
{
    struct outcome o = {.culprit = 99};
    struct cocktail_session s = session_of(r, own);
    o.err = cocktail_finish(&o.share, &o.key, o.transcript, o.sig, &o.culprit, &r->state[own - 1], &s,
                            &r->secret[own - 1], r->round1);
    return o;
}

static void expect(const struct run *r, uint32_t own, enum err err, uint32_t culprit)
{
    static const struct scalar_secret zero;
    struct outcome o = finish(r, own);
    assert_int_equal(o.err, err);
    assert_int_equal(o.culprit, culprit);
    if (err != OK) assert_memory_equal(o.share.bytes, zero.bytes, 32);
}

/* Everybody but the cheat sees it: public parts of a message are the same for all. */
static void expect_everybody(const struct run *r, enum err err, uint32_t culprit)
{
    for (uint32_t own = 1; own <= r->session.n; own++)
        if (own != culprit) expect(r, own, err, culprit);
    struct group_key key;
    uint8_t transcript[64];
    struct cocktail_session s = session_of(r, 0);
    assert_int_equal(cocktail_public(&key, transcript, &s, r->round1), err);
}

/* --- Honest runs --------------------------------------------------------------------------------------- */

/* An envelope for the new key opens with the first t and with the last t of the new shares. */
static void check_key_works(const struct run *r, const struct outcome *o)
{
    static const struct label label = {{1}};
    static const uint8_t data_key[32] = {42};
    struct envelope envelope;
    struct dec_share share[PARTIES_MAX];
    uint8_t opened[32];
    const struct group_key *key = &o[0].key;
    assert_int_equal(envelope_seal(&envelope, &key->y, &label, data_key), OK);
    for (uint32_t i = 1; i <= r->session.n; i++) {
        assert_int_equal(envelope_share(&share[i - 1], &envelope, &key->y, &label, i, &o[i - 1].share), OK);
        assert_int_equal(envelope_share_check(&share[i - 1], &envelope, key, &label), OK);
    }
    for (uint32_t first = 0; first <= r->session.n - r->session.t; first++) {
        assert_int_equal(envelope_open(opened, &envelope, key, &label, share + first, r->session.t), OK);
        assert_memory_equal(opened, data_key, 32);
    }
}

static void check_honest(const struct run *r)
{
    static struct outcome o[PARTIES_MAX];
    struct group_key key;
    uint8_t transcript[64];
    struct cocktail_session verifier = session_of(r, 0);
    assert_int_equal(cocktail_public(&key, transcript, &verifier, r->round1), OK);
    for (uint32_t own = 1; own <= r->session.n; own++) {
        o[own - 1] = finish(r, own);
        assert_int_equal(o[own - 1].err, OK);
        assert_int_equal(o[own - 1].culprit, 0);
        assert_memory_equal(&o[own - 1].key, &key, sizeof key);
        assert_memory_equal(o[own - 1].transcript, transcript, 64);
        assert_int_equal(cocktail_check(&verifier, r->round1, own, o[own - 1].sig), OK);
        if (own > 1)
            assert_int_equal(cocktail_check(&verifier, r->round1, own - 1, o[own - 1].sig), ERR_SIGNATURE);
    }
    check_key_works(r, o);
}

static void test_every_size(void **state)
{
    (void)state;
    static struct run r;
    for (uint32_t n = 1; n <= PARTIES_MAX; n++) {
        for (uint32_t t = 1; t <= n; t += n > 4 ? 2 : 1) {
            run_make(&r, n, t, 10 * n + t);
            check_honest(&r);
        }
    }
}

/* The library's own randomness, and t-1 shares say nothing: interpolating them gives another key. */
static void test_fresh_randomness(void **state)
{
    (void)state;
    static struct run r;
    run_make(&r, 3, 2, 1);
    struct cocktail_round1 before = r.round1[0];
    for (uint32_t own = 1; own <= 3; own++) {
        struct cocktail_session s = session_of(&r, own);
        assert_int_equal(cocktail_begin(&r.state[own - 1], &r.round1[own - 1], &s, &r.secret[own - 1]), OK);
    }
    assert_memory_not_equal(before.commitment[0].bytes, r.round1[0].commitment[0].bytes, 32);
    check_honest(&r);
    struct outcome o = finish(&r, 1);
    struct point y;
    assert_int_equal(group_base(&y, o.share.bytes), OK);
    assert_memory_not_equal(y.bytes, o.key.y.bytes, 32);
}

static void test_resume(void **state)
{
    (void)state;
    static struct run r;
    struct cocktail_round1 again;
    run_make(&r, 3, 2, 2);
    struct cocktail_session s = session_of(&r, 2);
    assert_int_equal(cocktail_resume(&again, &r.state[1], &s), OK);
    assert_memory_equal(&again, &r.round1[1], sizeof again);
    assert_int_equal(cocktail_resume(&again, &r.state[0], &s), ERR_CONFLICT);
    s.tag.bytes[31] ^= 1;
    assert_int_equal(cocktail_resume(&again, &r.state[1], &s), ERR_CONFLICT);
    s.own = 0;
    assert_int_equal(cocktail_resume(&again, &r.state[1], &s), ERR_RANGE);
}

/* Keys A and B of one consortium: same parties, other tags. Nothing of one run serves in the other. */
static void test_sessions_are_apart(void **state)
{
    (void)state;
    static struct run a, b;
    run_make(&a, 3, 2, 3);
    run_make(&b, 3, 2, 3);
    b.session.tag.bytes[0] = 8;
    for (uint32_t own = 1; own <= 3; own++) run_deal(&b, own);
    struct outcome in_a = finish(&a, 1), in_b = finish(&b, 1);
    assert_int_equal(in_a.err, OK);
    assert_int_equal(in_b.err, OK);
    assert_memory_not_equal(in_a.transcript, in_b.transcript, 64);
    /* The same randomness here: commitments agree, proofs and sealed shares don't. */
    assert_memory_equal(a.round1[1].commitment, b.round1[1].commitment, sizeof a.round1[1].commitment);
    assert_memory_not_equal(a.round1[1].pop, b.round1[1].pop, 64);
    assert_memory_not_equal(a.round1[1].share[0], b.round1[1].share[0], COCKTAIL_SHARE_BYTES);
    assert_int_equal(cocktail_check(&b.session, b.round1, 1, in_a.sig), ERR_SIGNATURE);
    b.round1[1] = a.round1[1];
    expect(&b, 1, ERR_PROOF, 2);
    b.state[0] = a.state[0];
    expect(&b, 1, ERR_CONFLICT, 0);
}

static void test_extension_is_certified(void **state)
{
    (void)state;
    static struct run r;
    uint8_t long_extension[COCKTAIL_EXTENSION_MAX + 1] = {0};
    run_make(&r, 3, 2, 4);
    struct outcome honest = finish(&r, 1);
    r.session.extension = SPAN_LITERAL("charter and purpos3");
    struct outcome other = finish(&r, 1);
    assert_int_equal(other.err, OK);
    assert_memory_not_equal(other.transcript, honest.transcript, 64);
    assert_int_equal(cocktail_check(&r.session, r.round1, 1, honest.sig), ERR_SIGNATURE);
    r.session.extension = span_make(long_extension, COCKTAIL_EXTENSION_MAX);
    expect(&r, 1, OK, 0);
    r.session.extension = span_make(long_extension, sizeof long_extension);
    expect(&r, 1, ERR_TOO_LARGE, 0);
}

/* --- Cheats -------------------------------------------------------------------------------------------- */

/* Seal `share` from `from` to `to`, with the channel an honest dealer would use. */
static void reseal(struct run *r, uint32_t from, uint32_t to, const uint8_t share[32])
{
    struct ceremony c;
    struct ceremony_channel channel;
    uint8_t ephemeral[32];
    const struct cocktail_session *s = &r->session;
    struct cocktail_round1 *message = &r->round1[from - 1];
    group_reduce(ephemeral, r->entropy[from - 1] + 64 * s->t);
    assert_int_equal(ceremony_init(&c, s->n, s->t, from, s->party, SPAN_OF(s->tag.bytes), s->extension), OK);
    assert_int_equal(
        ceremony_channel_send(&channel, &c, to, ephemeral, &message->ephemeral, r->secret[from - 1].bytes),
        OK);
    ceremony_seal(message->share[to - 1], &channel, span_make(share, 32));
}

static void honest_share(const struct run *r, uint32_t from, uint32_t to, uint8_t share[32])
{
    struct ceremony c;
    const struct cocktail_session *s = &r->session;
    assert_int_equal(ceremony_init(&c, s->n, s->t, to, s->party, SPAN_OF(s->tag.bytes), s->extension), OK);
    assert_int_equal(ceremony_receive(share, &c, from, &r->round1[from - 1], r->secret[to - 1].bytes), OK);
}

static void test_wrong_share(void **state)
{
    (void)state;
    static struct run r;
    uint8_t share[32];
    run_make(&r, 4, 3, 5);
    honest_share(&r, 2, 3, share);
    reseal(&r, 2, 3, share);
    expect(&r, 3, OK, 0);
    share[0] ^= 1;
    reseal(&r, 2, 3, share);
    expect(&r, 3, ERR_PROOF, 2);
    expect(&r, 1, OK, 0); /* not addressed to 1 */
    share[0] ^= 1;
    dealer_add_order(share); /* right modulo q, but a second encoding */
    reseal(&r, 2, 3, share);
    expect(&r, 3, ERR_PROOF, 2);
    memset(share, 0, 32);
    reseal(&r, 2, 3, share);
    expect(&r, 3, ERR_PROOF, 2);
}

static void test_unreadable_share(void **state)
{
    (void)state;
    static struct run r;
    run_make(&r, 3, 2, 6);
    for (uint32_t bit = 0; bit < 8 * COCKTAIL_SHARE_BYTES; bit += 5) {
        r.round1[2].share[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
        expect(&r, 1, ERR_DECRYPT, 3);
        r.round1[2].share[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    memcpy(r.round1[2].share[0], r.round1[2].share[1], COCKTAIL_SHARE_BYTES);
    expect(&r, 1, ERR_DECRYPT, 3);
    expect(&r, 2, OK, 0);
}

static void test_proof_of_possession(void **state)
{
    (void)state;
    static struct run r;
    run_make(&r, 3, 2, 7);
    for (uint32_t byte = 0; byte < 64; byte += 9) {
        r.round1[1].pop[byte] ^= 4;
        expect_everybody(&r, ERR_PROOF, 2);
        r.round1[1].pop[byte] ^= 4;
    }
    dealer_add_order(r.round1[1].pop + 32);
    expect_everybody(&r, ERR_PROOF, 2);
    memset(r.round1[1].pop, 0, 64);
    expect_everybody(&r, ERR_PROOF, 2);
}

static void test_commitments(void **state)
{
    (void)state;
    static struct run r;
    run_make(&r, 4, 3, 8);
    struct cocktail_round1 honest = r.round1[3], *cheat = &r.round1[3];
    cheat->commitment[1] = honest.commitment[2];
    cheat->commitment[2] = honest.commitment[1];
    expect_everybody(&r, ERR_PROOF, 4);
    *cheat = honest;
    cheat->commitment[0] = r.round1[0].commitment[0];
    expect_everybody(&r, ERR_PROOF, 4);
    *cheat = honest;
    memset(&cheat->commitment[2], 0, 32); /* too few */
    expect_everybody(&r, ERR_PROOF, 4);
    *cheat = honest;
    cheat->commitment[3] = honest.commitment[0]; /* too many: the threshold would rise */
    expect_everybody(&r, ERR_PROOF, 4);
    *cheat = honest;
    cheat->share[COMMITTEE_MAX - 1][COCKTAIL_SHARE_BYTES - 1] = 1;
    expect_everybody(&r, ERR_PROOF, 4);
}

/* Not only the check of slots: a longer polynomial with a valid proof under the wrong t is refused too. */
static void test_other_threshold(void **state)
{
    (void)state;
    static struct run r, higher;
    run_make(&r, 4, 2, 9);
    run_make(&higher, 4, 3, 9);
    r.round1[1] = higher.round1[1];
    expect_everybody(&r, ERR_PROOF, 2);
    memset(&r.round1[1].commitment[2], 0, 32);
    expect_everybody(&r, ERR_PROOF, 2);
}

/* The last to speak cancels the others: it would know the whole key, if it could prove possession. */
static void test_rogue_key(void **state)
{
    (void)state;
    static struct run r;
    run_make(&r, 3, 2, 10);
    struct point *rogue = &r.round1[2].commitment[0];
    assert_int_equal(group_sub(rogue, rogue, &r.round1[0].commitment[0]), OK);
    assert_int_equal(group_sub(rogue, rogue, &r.round1[1].commitment[0]), OK);
    expect_everybody(&r, ERR_PROOF, 3);
}

/* A proof of possession names no party: somebody else's message passes it, and fails at the sealed share. */
static void test_copied_message(void **state)
{
    (void)state;
    static struct run r;
    run_make(&r, 3, 2, 11);
    r.round1[1] = r.round1[2];
    expect(&r, 1, ERR_DECRYPT, 2);
    expect(&r, 3, ERR_DECRYPT, 2);
}

static void test_bad_points(void **state)
{
    (void)state;
    static struct run r;
    static const struct point bad[2] = {{{0}}, {{1}}};
    run_make(&r, 3, 2, 12);
    struct cocktail_round1 honest = r.round1[1];
    for (uint32_t i = 0; i < 2; i++) {
        r.round1[1].ephemeral = bad[i];
        expect_everybody(&r, ERR_PROOF, 2);
        r.round1[1] = honest;
        r.round1[1].commitment[0] = bad[i];
        expect_everybody(&r, ERR_PROOF, 2);
        r.round1[1] = honest;
        r.round1[1].commitment[1] = bad[i];
        expect_everybody(&r, ERR_PROOF, 2);
        r.round1[1] = honest;
        memcpy(r.round1[1].pop, bad[i].bytes, 32);
        expect_everybody(&r, ERR_PROOF, 2);
        r.round1[1] = honest;
    }
}

/* One bit of every byte that travels. Sealed shares for others are theirs to check; the rest is everybody's.
 */
static void test_bits(void **state)
{
    (void)state;
    static struct run r;
    run_make(&r, 2, 2, 13);
    struct cocktail_round1 *m = &r.round1[1];
    uint8_t *const part[] = {m->ephemeral.bytes, m->commitment[0].bytes, m->commitment[1].bytes, m->pop,
                             m->share[0]};
    static const uint32_t len[] = {32, 32, 32, 64, COCKTAIL_SHARE_BYTES};
    for (size_t p = 0; p < 5; p++) {
        for (uint32_t i = 0; i < len[p]; i++) {
            part[p][i] ^= (uint8_t)(1u << i % 8);
            expect(&r, 1, p == 4 ? ERR_DECRYPT : ERR_PROOF, 2);
            part[p][i] ^= (uint8_t)(1u << i % 8);
        }
    }
    expect(&r, 1, OK, 0);
}

static void test_own_message_must_be_there(void **state)
{
    (void)state;
    static struct run r;
    run_make(&r, 3, 2, 14);
    r.round1[0].share[2][0] ^= 1;
    expect(&r, 1, ERR_CONFLICT, 0);
    r.round1[0].share[2][0] ^= 1;
    r.state[0] = r.state[1];
    expect(&r, 1, ERR_CONFLICT, 0);
}

/* --- Setup --------------------------------------------------------------------------------------------- */

static enum err begin_with(struct run *r)
{
    struct cocktail_secret state;
    struct cocktail_round1 out;
    return cocktail_begin_from(&state, &out, &r->session, &r->secret[0], entropy_of(r, 1));
}

static void test_setup(void **state)
{
    (void)state;
    static struct run r;
    run_make(&r, 3, 2, 15);
    const struct cocktail_session honest = r.session;
    assert_int_equal(begin_with(&r), OK);
    r.session.t = 0;
    assert_int_equal(begin_with(&r), ERR_RANGE);
    r.session.t = 4;
    assert_int_equal(begin_with(&r), ERR_RANGE);
    r.session = honest;
    r.session.n = COMMITTEE_MAX + 1;
    assert_int_equal(begin_with(&r), ERR_RANGE);
    r.session = honest;
    r.session.own = 4;
    assert_int_equal(begin_with(&r), ERR_RANGE);
    r.session.own = 0;
    assert_int_equal(begin_with(&r), ERR_RANGE);
    r.session = honest;
    r.session.party[2] = honest.party[1];
    assert_int_equal(begin_with(&r), ERR_DUPLICATE);
    memset(&r.session.party[2], 0, 32);
    assert_int_equal(begin_with(&r), ERR_KEY);
    r.session = honest;
    r.session.own = 2;
    assert_int_equal(begin_with(&r), ERR_KEY); /* the secret is party 1's */
    r.session = honest;
    memset(&r.secret[0], 0, 32);
    assert_int_equal(begin_with(&r), ERR_KEY);
    expect(&r, 1, ERR_KEY, 0);
}

static void test_zero_coefficient(void **state)
{
    (void)state;
    static struct run r;
    run_make(&r, 3, 2, 16);
    for (uint32_t block = 0; block < 3; block++) {
        uint8_t kept[64];
        memcpy(kept, r.entropy[0] + 64 * block, 64);
        memset(r.entropy[0] + 64 * block, 0, 64);
        assert_int_equal(begin_with(&r), ERR_KEY);
        memcpy(r.entropy[0] + 64 * block, kept, 64);
    }
    struct span short_entropy = span_make(r.entropy[0], 64 * 2);
    assert_int_equal(cocktail_begin_from(&r.state[0], &r.round1[0], &r.session, &r.secret[0], short_entropy),
                     ERR_RANGE);
}

/* A dealer can choose a_1 = -i a_2, so that Horner's first sum vanishes at i: still a polynomial, still
 * right. */
static void test_vanishing_sum(void **state)
{
    (void)state;
    struct point c[3], direct, sum;
    uint8_t a[3][32], factor[32], minus[32] = {0}, one[32] = {0}, value[32];
    dealer_add_order(minus);
    minus[0]--; /* -1 */
    for (uint32_t k = 0; k < 3; k++) group_scalar_from_u32(a[k], 5 + k);
    group_scalar_from_u32(factor, 3);
    group_scalar_mul_add(a[1], a[2], factor, one);
    group_scalar_mul_add(a[1], a[1], minus, one);
    for (uint32_t k = 0; k < 3; k++) assert_int_equal(group_base(&c[k], a[k]), OK);
    assert_int_equal(group_evaluate(&sum, c, 3, 3), OK);
    memcpy(value, a[0], 32); /* f(3) = a_0 */
    assert_int_equal(group_base(&direct, value), OK);
    assert_memory_equal(sum.bytes, direct.bytes, 32);
}

static void test_certificate_bits(void **state)
{
    (void)state;
    static struct run r;
    run_make(&r, 3, 2, 17);
    struct outcome o = finish(&r, 2);
    assert_int_equal(cocktail_check(&r.session, r.round1, 2, o.sig), OK);
    assert_int_equal(cocktail_check(&r.session, r.round1, 0, o.sig), ERR_RANGE);
    assert_int_equal(cocktail_check(&r.session, r.round1, 4, o.sig), ERR_RANGE);
    for (uint32_t bit = 0; bit < 512; bit++) {
        o.sig[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(cocktail_check(&r.session, r.round1, 2, o.sig), ERR_SIGNATURE);
        o.sig[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    dealer_add_order(o.sig + 32);
    assert_int_equal(cocktail_check(&r.session, r.round1, 2, o.sig), ERR_SIGNATURE);
}

static void test_certificate_of_all(void **state)
{
    (void)state;
    static struct run r;
    uint8_t all[3 * COCKTAIL_SIGNATURE_BYTES];
    uint32_t culprit = 99;
    run_make(&r, 3, 2, 18);
    for (uint32_t own = 1; own <= 3; own++) {
        struct outcome o = finish(&r, own);
        memcpy(all + (size_t)COCKTAIL_SIGNATURE_BYTES * (own - 1), o.sig, sizeof o.sig);
    }
    assert_int_equal(cocktail_check_all(&culprit, &r.session, r.round1, SPAN_OF(all)), OK);
    assert_int_equal(culprit, 0);
    assert_int_equal(cocktail_check_all(&culprit, &r.session, r.round1, span_make(all, sizeof all - 1)),
                     ERR_RANGE);
    assert_int_equal(culprit, 0);
    all[sizeof all - 1] ^= 1;
    assert_int_equal(cocktail_check_all(&culprit, &r.session, r.round1, SPAN_OF(all)), ERR_SIGNATURE);
    assert_int_equal(culprit, 3);
    all[0] ^= 1;
    assert_int_equal(cocktail_check_all(&culprit, &r.session, r.round1, SPAN_OF(all)), ERR_SIGNATURE);
    assert_int_equal(culprit, 1);
}

/* --- Messages as they travel ---------------------------------------------------------------------------- */

static struct span pack(struct buffer *out, const struct run *r, enum cocktail_part part)
{
    out->len = 0;
    for (uint32_t i = 0; i < r->session.n; i++) cocktail_round1_write(out, &r->round1[i], &r->session, part);
    assert_int_equal(buffer_done(out), OK);
    return buffer_span(out);
}

static void test_messages_travel(void **state)
{
    (void)state;
    static struct run r;
    static struct cocktail_round1 back[PARTIES_MAX];
    static uint8_t bytes[8192];
    struct buffer out = BUFFER_OF(bytes);
    run_make(&r, 3, 2, 19);
    struct span all = pack(&out, &r, COCKTAIL_WHOLE);
    assert_int_equal(all.len, 3 * (32 + 2 * 32 + 64 + 3 * 48));
    assert_memory_equal(all.data + 32, r.round1[0].commitment[0].bytes, 32);
    memset(back, 0xaa, sizeof back);
    assert_int_equal(cocktail_round1_read(back, all, &r.session, COCKTAIL_WHOLE), OK);
    assert_memory_equal(back, r.round1, 3 * sizeof *back); /* zero behind t and n */
    for (size_t len = 0; len < all.len; len++)
        assert_int_equal(cocktail_round1_read(back, span_make(all.data, len), &r.session, COCKTAIL_WHOLE),
                         ERR_TRUNCATED);
    assert_int_equal(cocktail_round1_read(back, span_make(all.data, all.len + 1), &r.session, COCKTAIL_WHOLE),
                     ERR_NOT_CANONICAL);
}

/* The public parts are enough for whoever verifies. */
static void test_public_parts_travel(void **state)
{
    (void)state;
    static struct run r;
    static struct cocktail_round1 back[PARTIES_MAX];
    static uint8_t bytes[8192];
    struct buffer out = BUFFER_OF(bytes);
    struct group_key key;
    uint8_t transcript[64];
    run_make(&r, 3, 2, 20);
    struct outcome o = finish(&r, 1);
    struct span all = pack(&out, &r, COCKTAIL_PUBLIC);
    assert_int_equal(all.len, 3 * (32 + 2 * 32 + 64));
    assert_int_equal(cocktail_round1_read(back, all, &r.session, COCKTAIL_PUBLIC), OK);
    assert_int_equal(cocktail_public(&key, transcript, &r.session, back), OK);
    assert_memory_equal(transcript, o.transcript, 64);
    assert_memory_equal(&key, &o.key, sizeof key);
    out.len = 0;
    cocktail_result_write(&out, &o.key, o.transcript, o.sig);
    assert_int_equal(out.len, 32 + 3 * 32 + 64 + 64);
    assert_memory_equal(bytes, o.key.y.bytes, 32);
    assert_memory_equal(bytes + 96, o.key.share[2].bytes, 32);
    assert_memory_equal(bytes + 192, o.sig, 64);
}

static void test_messages_of_too_many(void **state)
{
    (void)state;
    struct cocktail_session s = {.n = COMMITTEE_MAX + 1, .t = 2};
    struct cocktail_round1 none;
    assert_int_equal(cocktail_round1_read(&none, SPAN_NONE, &s, COCKTAIL_WHOLE), ERR_RANGE);
    s = (struct cocktail_session){.n = 3, .t = THRESHOLD_MAX + 1};
    assert_int_equal(cocktail_round1_read(&none, SPAN_NONE, &s, COCKTAIL_WHOLE), ERR_RANGE);
}

static void test_keypair(void **state)
{
    (void)state;
    struct scalar_secret a, b;
    struct point pa, pb, again;
    cocktail_keypair(&a, &pa);
    cocktail_keypair(&b, &pb);
    assert_memory_not_equal(a.bytes, b.bytes, 32);
    assert_int_equal(group_base(&again, a.bytes), OK);
    assert_memory_equal(again.bytes, pa.bytes, 32);
    assert_true(group_scalar_ok(a.bytes) && group_point_ok(&pa));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_size),
        cmocka_unit_test(test_fresh_randomness),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_sessions_are_apart),
        cmocka_unit_test(test_extension_is_certified),
        cmocka_unit_test(test_wrong_share),
        cmocka_unit_test(test_unreadable_share),
        cmocka_unit_test(test_proof_of_possession),
        cmocka_unit_test(test_commitments),
        cmocka_unit_test(test_other_threshold),
        cmocka_unit_test(test_rogue_key),
        cmocka_unit_test(test_copied_message),
        cmocka_unit_test(test_bad_points),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_own_message_must_be_there),
        cmocka_unit_test(test_setup),
        cmocka_unit_test(test_zero_coefficient),
        cmocka_unit_test(test_vanishing_sum),
        cmocka_unit_test(test_certificate_bits),
        cmocka_unit_test(test_certificate_of_all),
        cmocka_unit_test(test_messages_travel),
        cmocka_unit_test(test_public_parts_travel),
        cmocka_unit_test(test_messages_of_too_many),
        cmocka_unit_test(test_keypair),
    };
    if (crypto_init() != OK) return EXIT_FAILURE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
