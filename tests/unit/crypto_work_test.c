/* crypto/work: what it promises beside the answers: nothing secret is left by an error, what key generation leaves is saved
 * before a message depends on it and is never replaced, and given entropy repeats. */
#include "crypto/cocktail.h"
#include "crypto/kem.h"
#include "crypto/secret.h"
#include "crypto/work_memory.h"
#include "tests/dealer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { PARTIES = 2, ROUND1_BYTES = 32 + PARTIES * 32 + 64 + PARTIES * COCKTAIL_SHARE_BYTES };

struct party {
    struct identity_secret identity;
    struct kem_secret kem;
    struct kem_public kem_public;
    struct scalar_secret dkg;
    struct point dkg_public;
    struct work_memory kept;
    uint64_t seed, drawn;          /* of its entropy */
    enum err save_err;             /* unless OK, nothing can be saved */
    struct keygen_session session; /* as it sees it */
};

static struct party party[PARTIES];
static uint8_t bytes[WORK_OUTPUT_MAX];

static void draw(void *context, const char *what, void *out, size_t len)
{
    struct party *p = context;
    uint8_t block[64];
    for (size_t at = 0; at < len; at += sizeof block) {
        dealer_bytes(block, p->seed ^ (uint64_t)what[0], p->drawn++);
        memcpy((uint8_t *)out + at, block, len - at < sizeof block ? len - at : sizeof block);
    }
}

static enum err load(void *context, struct work_place place, void *out, size_t len)
{
    struct party *p = context;
    const struct work_keep keep = work_memory_keep(&p->kept);
    return keep.load(keep.context, place, out, len);
}

static enum err save(void *context, struct work_place place, struct span secret)
{
    struct party *p = context;
    const struct work_keep keep = work_memory_keep(&p->kept);
    return p->save_err != OK ? p->save_err : keep.save(keep.context, place, secret);
}

static struct work_keys keys_of(struct party *p)
{
    return (struct work_keys){.identity = &p->identity,
                              .kem = &p->kem,
                              .dkg = &p->dkg,
                              .keep = {p, load, save},
                              .entropy = {p, draw}};
}

/* Two parties of key A, nothing said yet. */
static int set_up(void **state)
{
    (void)state;
    if (crypto_init() != OK) return 1;
    memset(party, 0, sizeof party);
    for (uint32_t i = 0; i < PARTIES; i++) {
        struct party *p = &party[i];
        struct node_id id;
        identity_generate(&p->identity, &id);
        kem_generate(&p->kem, &p->kem_public);
        cocktail_keypair(&p->dkg, &p->dkg_public);
        p->seed = i + 1;
    }
    for (uint32_t i = 0; i < PARTIES; i++) {
        struct keygen_session *s = &party[i].session;
        *s = (struct keygen_session){1, KEYGEN_PURPOSE_ENVELOPES, PARTIES, PARTIES, i + 1, .tag = {{7}}};
        for (uint32_t j = 0; j < PARTIES; j++) s->party[j] = party[j].dkg_public;
    }
    return 0;
}

/* The output is bytes[0 .. len). */
static enum err work(struct party *p, size_t *len, const struct crypto_job *job)
{
    const struct work_keys keys = keys_of(p);
    struct buffer out = BUFFER_OF(bytes);
    enum err err = work_do(&keys, &out, job);
    *len = out.len;
    return err;
}

static enum err begin(struct party *p, uint8_t message[ROUND1_BYTES])
{
    const struct crypto_job job = {.op = CRYPTO_KEYGEN_BEGIN, .session = &p->session};
    size_t len;
    enum err err = work(p, &len, &job);
    assert_int_equal(len, err == OK ? ROUND1_BYTES : 0);
    memcpy(message, bytes, len);
    return err;
}

static void begin_all(uint8_t all[PARTIES * ROUND1_BYTES])
{
    for (uint32_t i = 0; i < PARTIES; i++)
        assert_int_equal(begin(&party[i], all + (size_t)i * ROUND1_BYTES), OK);
}

static enum err finish(struct party *p, size_t *len, const uint8_t all[PARTIES * ROUND1_BYTES])
{
    const struct crypto_job job = {.op = CRYPTO_KEYGEN_FINISH,
                                   .session = &p->session,
                                   .parts = span_make(all, (size_t)PARTIES * ROUND1_BYTES)};
    return work(p, len, &job);
}

/* --- After an error ------------------------------------------------------------------------------------------------------ */

static void deal(struct party *p, const struct dealer_key *a, const struct dealer_key *b)
{
    const struct work_keep keep = work_memory_keep(&p->kept);
    for (uint32_t i = 0; i < KEYGEN_PURPOSES; i++) {
        const struct dealer_key *key = i == 0 ? a : b;
        const struct key_share share = {key->share[0], key->key.y};
        const struct work_place place = {WORK_SHARE, 1, i + 1};
        assert_int_equal(keep.save(keep.context, place, span_make(&share, sizeof share)), OK);
    }
}

/* The first envelope is right, the second under another label: the first one's share was there already. */
static void an_error_wipes(void **state)
{
    static const uint8_t data_key[32];
    static uint8_t part[2][SHARE_PART_BYTES], clean[PARTIES * 3 * 32];
    const struct dealer_key a = dealer_make(PARTIES, PARTIES, 1), b = dealer_make(PARTIES, PARTIES, 2);
    struct crypto_job job = {
        .op = CRYPTO_SHARES, .parts = SPAN_OF(part), .part_count = 2, .epoch = 1, .index = 1};
    struct envelope envelope;
    size_t len;
    (void)state;
    deal(&party[0], &a, &b);
    for (uint32_t i = 0; i < 2; i++) {
        const struct label label = label_of_ids(group_key_id(&a.key.y), part[i]);
        assert_int_equal(envelope_seal(&envelope, &a.key.y, &label, data_key), OK);
        memcpy(part[i] + LABEL_IDS_BYTES, envelope.bytes, ENVELOPE_BYTES);
    }
    assert_int_equal(work(&party[0], &len, &job), OK);
    assert_int_equal(len, 3 * 96);
    part[1][0] ^= 1;
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(work(&party[0], &len, &job), ERR_PROOF);
    assert_int_equal(len, 0);
    assert_memory_equal(bytes, clean, sizeof clean);
    job.epoch = 2; /* no share of it */
    assert_int_equal(work(&party[0], &len, &job), ERR_NOT_FOUND);
    assert_int_equal(len, 0);
}

static void a_refusal_says_why(void **state)
{
    uint8_t all[PARTIES * ROUND1_BYTES];
    const struct crypto_job evidence = {.op = CRYPTO_EVIDENCE, .box = SPAN_LITERAL("no evidence")};
    size_t len;
    (void)state;
    assert_int_equal(work(&party[0], &len, &evidence), ERR_EVIDENCE);
    assert_true(span_equal_text(span_make(bytes, len), "canonical"));
    begin_all(all);
    all[2 * ROUND1_BYTES - 2 * COCKTAIL_SHARE_BYTES] ^= 1; /* what the second sent to the first */
    assert_int_equal(finish(&party[0], &len, all), ERR_DECRYPT);
    assert_int_equal(len, 1);
    assert_int_equal(bytes[0], 2);
    assert_int_equal(party[0].kept.share[0].len, 0);
}

/* --- What key generation leaves -------------------------------------------------------------------------------------------- */

static void a_second_begin_resumes(void **state)
{
    uint8_t first[ROUND1_BYTES], again[ROUND1_BYTES];
    (void)state;
    assert_int_equal(begin(&party[0], first), OK);
    const uint64_t drawn = party[0].drawn;
    assert_true(drawn > 0);
    assert_int_equal(begin(&party[0], again), OK);
    assert_memory_equal(first, again, sizeof first);
    assert_int_equal(party[0].drawn, drawn);
    party[0].session.tag.bytes[0] ^= 1; /* another session in its place */
    assert_int_equal(begin(&party[0], again), ERR_CONFLICT);
}

static void a_share_is_never_replaced(void **state)
{
    static uint8_t all[PARTIES * ROUND1_BYTES], first[sizeof bytes];
    const struct work_keep keep = work_memory_keep(&party[1].kept);
    const struct work_place place = {WORK_SHARE, 1, KEYGEN_PURPOSE_ENVELOPES};
    const struct key_share other = {{{1}}, {{2}}};
    size_t len, again;
    (void)state;
    begin_all(all);
    assert_int_equal(finish(&party[0], &len, all), OK);
    memcpy(first, bytes, len);
    assert_int_equal(finish(&party[0], &again, all), OK); /* the same */
    assert_int_equal(again, len);
    assert_memory_equal(first, bytes, len);
    assert_int_equal(keep.save(keep.context, place, span_make(&other, sizeof other)), OK);
    assert_int_equal(finish(&party[1], &len, all), ERR_CONFLICT);
    assert_int_equal(len, 0);
    assert_memory_equal(party[1].kept.share[0].bytes, &other, sizeof other);
}

static void nothing_leaves_before_it_is_saved(void **state)
{
    uint8_t all[PARTIES * ROUND1_BYTES];
    size_t len;
    (void)state;
    party[0].save_err = ERR_FULL;
    assert_int_equal(begin(&party[0], all), ERR_FULL);
    party[0].save_err = OK;
    begin_all(all);
    party[0].save_err = ERR_FULL;
    assert_int_equal(finish(&party[0], &len, all), ERR_FULL);
    assert_int_equal(len, 0);
}

static void memory_holds_one_epoch(void **state)
{
    const struct work_keep keep = work_memory_keep(&party[0].kept);
    struct work_place place = {WORK_STATE, 1, KEYGEN_PURPOSE_PRF};
    uint8_t back[3];
    (void)state;
    assert_int_equal(keep.load(keep.context, place, back, 3), ERR_NOT_FOUND);
    assert_int_equal(keep.save(keep.context, place, SPAN_LITERAL("abc")), OK);
    assert_int_equal(keep.save(keep.context, place, SPAN_LITERAL("abd")), ERR_CONFLICT);
    assert_int_equal(keep.load(keep.context, place, back, 2), ERR_CORRUPT);
    assert_int_equal(keep.load(keep.context, place, back, 3), OK);
    assert_memory_equal(back, "abc", 3);
    place.epoch = 2;
    assert_int_equal(keep.load(keep.context, place, back, 3), ERR_NOT_FOUND);
    assert_int_equal(keep.save(keep.context, place, SPAN_LITERAL("abc")), ERR_CONFLICT);
}

/* --- Entropy --------------------------------------------------------------------------------------------------------------- */

enum { BOX_BYTES = 5 + KEM_OVERHEAD_BYTES };

static void seal(uint8_t box[BOX_BYTES], const struct work_keys *keys)
{
    const struct crypto_job job = {.op = CRYPTO_SEAL,
                                   .kem = party[1].kem_public,
                                   .box = SPAN_LITERAL("plain"),
                                   .context = SPAN_LITERAL("context")};
    struct buffer out = buffer_make(box, BOX_BYTES);
    assert_int_equal(work_do(keys, &out, &job), OK);
    assert_int_equal(out.len, BOX_BYTES);
}

static void entropy_repeats(void **state)
{
    uint8_t box[3][BOX_BYTES], message[3][ROUND1_BYTES];
    static const uint64_t seed[3] = {5, 5, 6};
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        party[0].seed = seed[i];
        party[0].drawn = 0;
        party[0].kept = (struct work_memory){0};
        const struct work_keys keys = keys_of(&party[0]);
        seal(box[i], &keys);
        assert_int_equal(begin(&party[0], message[i]), OK);
    }
    assert_memory_equal(box[0], box[1], BOX_BYTES);
    assert_memory_not_equal(box[0], box[2], BOX_BYTES);
    assert_memory_equal(message[0], message[1], ROUND1_BYTES);
    assert_memory_not_equal(message[0], message[2], ROUND1_BYTES);
}

static void the_system_never_repeats(void **state)
{
    uint8_t box[2][BOX_BYTES], message[2][ROUND1_BYTES];
    const struct crypto_job job = {.op = CRYPTO_KEYGEN_BEGIN, .session = &party[0].session};
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        party[0].kept = (struct work_memory){0};
        struct work_keys keys = keys_of(&party[0]);
        keys.entropy = (struct work_entropy){0};
        seal(box[i], &keys);
        struct buffer out = BUFFER_OF(message[i]);
        assert_int_equal(work_do(&keys, &out, &job), OK);
    }
    assert_memory_not_equal(box[0], box[1], BOX_BYTES);
    assert_memory_not_equal(message[0], message[1], ROUND1_BYTES);
    assert_int_equal(party[0].drawn, 0);
}

/* --- Signatures -------------------------------------------------------------------------------------------------------------- */

static void authors_may_be_remembered(void **state)
{
    static struct identity_keys authors;
    struct work_keys keys = keys_of(&party[0]);
    uint8_t part[VERIFY_PART_BYTES];
    struct node_id id;
    const struct crypto_job sign = {.op = CRYPTO_SIGN, .hash = {{3}}},
                            check = {.op = CRYPTO_VERIFY, .parts = SPAN_OF(part), .part_count = 1};
    struct buffer signature = BUFFER_OF(bytes), none = buffer_make(NULL, 0), p = BUFFER_OF(part);
    (void)state;
    assert_int_equal(identity_public(&id, &party[0].identity), OK);
    assert_int_equal(work_do(&keys, &signature, &sign), OK);
    buffer_put(&p, ID_SPAN(id));
    buffer_put(&p, ID_SPAN(sign.hash));
    buffer_put(&p, buffer_span(&signature));
    for (int round = 0; round < 2; round++) {
        assert_int_equal(work_do(&keys, &none, &check), OK);
        part[40] ^= 1;
        assert_int_equal(work_do(&keys, &none, &check), ERR_SIGNATURE);
        part[40] ^= 1;
        keys.authors = &authors;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_error_wipes, set_up),
        cmocka_unit_test_setup(a_refusal_says_why, set_up),
        cmocka_unit_test_setup(a_second_begin_resumes, set_up),
        cmocka_unit_test_setup(a_share_is_never_replaced, set_up),
        cmocka_unit_test_setup(nothing_leaves_before_it_is_saved, set_up),
        cmocka_unit_test_setup(memory_holds_one_epoch, set_up),
        cmocka_unit_test_setup(entropy_repeats, set_up),
        cmocka_unit_test_setup(the_system_never_repeats, set_up),
        cmocka_unit_test_setup(authors_may_be_remembered, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
