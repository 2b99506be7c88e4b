/* crypto/body: chunks against a second implementation, every kind of wrong chunk, the tree against a naive twin. */
#include "crypto/body.h"
#include "crypto/cid.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

#include <pthread.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const uint16_t suites[] = {BODY_SUITE_AES256GCM, BODY_SUITE_CHACHA20POLY1305};
static uint8_t data_key[32];
static struct hash32 salt;
static uint8_t plain[BODY_CHUNK_BYTES + 1], sealed[BODY_SEALED_MAX + 1], opened[BODY_CHUNK_BYTES + 1];

static int set_up(void **state)
{
    (void)state;
    if (crypto_init() != OK) return 1;
    for (uint8_t i = 0; i < 32; i++) data_key[i] = i;
    memset(salt.bytes, 0x5a, sizeof salt.bytes);
    random_fill(plain, sizeof plain);
    return 0;
}

static struct body_key *key_for(uint16_t suite)
{
    struct body_key *key = NULL;
    assert_int_equal(body_key_derive(&key, data_key, suite, salt), OK);
    return key;
}

static void assert_hex(const uint8_t *actual, size_t len, const char *hex)
{
    uint8_t expected[64];
    assert_true(len <= sizeof expected);
    assert_int_equal(hex_decode(expected, len, span_text(hex)), OK);
    assert_memory_equal(actual, expected, len);
}

/* From PROTOCOL.md with Python's cryptography: chunk 0x01020304 of each suite. */
static void chunks_known(void **state)
{
    static const struct {
        const char *commitment, *sealed;
    } known[] = {
        {"58d2f62dd506c0578e8d7cae213a5bacbf7e6de359923717c4a61175434d9e09",
         "f59b57ad8caf0e640ecc1ee76adae0309aadf147fb6b5a36651f5a92191b"},
        {"3fccb0008d76749c7f58e5d2b749b26ed154c70aea4b92860130582c4a5361d3",
         "7374f7f14f35f6d99293cd781010cb4cfe1b1c11c8cc7bf6a3e850e58818"},
    };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct body_key *key = key_for(suites[i]);
        struct hash32 commitment = body_key_commitment(key);
        assert_hex(commitment.bytes, 32, known[i].commitment);
        assert_int_equal(body_seal_chunk(sealed, key, 0x01020304, SPAN_LITERAL("rows of a silo")), OK);
        assert_hex(sealed, 14 + BODY_TAG_BYTES, known[i].sealed);
        body_key_free(key);
    }
}

static void chunks_round_trip(void **state)
{
    static const size_t lens[] = {0, 1, 15, 16, 17, 4096, BODY_CHUNK_BYTES - 1, BODY_CHUNK_BYTES};
    (void)state;
    for (size_t s = 0; s < 2; s++) {
        struct body_key *key = key_for(suites[s]);
        for (uint32_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
            size_t len = lens[i];
            opened[len] = 0xee;
            assert_int_equal(body_seal_chunk(sealed, key, i, span_make(plain, len)), OK);
            assert_int_equal(body_open_chunk(opened, key, i, span_make(sealed, len + BODY_TAG_BYTES)), OK);
            assert_memory_equal(opened, plain, len);
            assert_int_equal(opened[len], 0xee);
        }
        assert_int_equal(body_seal_chunk(sealed, key, 0, span_make(plain, BODY_CHUNK_BYTES + 1)),
                         ERR_TOO_LARGE);
        body_key_free(key);
    }
}

static void assert_refused(const struct body_key *key, uint32_t index, size_t len)
{
    memset(opened, 0xee, 64);
    assert_int_equal(body_open_chunk(opened, key, index, span_make(sealed, len)), ERR_DECRYPT);
    for (size_t i = 0; i < 64 && i + BODY_TAG_BYTES < len; i++) assert_int_equal(opened[i], 0); /* wiped */
}

static void wrong_chunks_refused(void **state)
{
    enum { LEN = 1000 + BODY_TAG_BYTES };
    (void)state;
    for (size_t s = 0; s < 2; s++) {
        struct body_key *key = key_for(suites[s]), *other = key_for(suites[1 - s]);
        assert_int_equal(body_seal_chunk(sealed, key, 7, span_make(plain, 1000)), OK);
        sealed[LEN] = 0;
        assert_refused(key, 6, LEN);
        assert_refused(key, 7 + (1u << 31), LEN);
        assert_refused(other, 7, LEN);
        assert_refused(key, 7, LEN - 1);
        assert_refused(key, 7, LEN + 1);
        assert_refused(key, 7, BODY_TAG_BYTES);
        for (size_t at = 0; at < LEN; at += 37) {
            sealed[at] ^= 1;
            assert_refused(key, 7, LEN);
            sealed[at] ^= 1;
        }
        assert_int_equal(body_open_chunk(opened, key, 7, span_make(sealed, BODY_TAG_BYTES - 1)),
                         ERR_TRUNCATED);
        assert_int_equal(body_open_chunk(opened, key, 7, span_make(sealed, BODY_SEALED_MAX + 1)),
                         ERR_TOO_LARGE);
        assert_int_equal(body_open_chunk(opened, key, 7, span_make(sealed, LEN)), OK);
        body_key_free(key);
        body_key_free(other);
    }
}

/* Two chunks in each other's place open under neither index. */
static void swapped_chunks_refused(void **state)
{
    uint8_t second[100 + BODY_TAG_BYTES];
    struct body_key *key = key_for(BODY_SUITE_AES256GCM);
    (void)state;
    assert_int_equal(body_seal_chunk(sealed, key, 0, span_make(plain, 100)), OK);
    assert_int_equal(body_seal_chunk(second, key, 1, span_make(plain, 100)), OK);
    assert_memory_not_equal(sealed, second, 100);
    assert_refused(key, 1, 100 + BODY_TAG_BYTES);
    memcpy(sealed, second, sizeof second);
    assert_refused(key, 0, 100 + BODY_TAG_BYTES);
    body_key_free(key);
}

/* Another data key, salt or suite gives another commitment, so a chunk is never tried under a wrong key. */
static void commitment_separates(void **state)
{
    struct body_key *key = key_for(BODY_SUITE_AES256GCM), *other = NULL;
    struct hash32 commitment = body_key_commitment(key), salt_other = salt;
    uint8_t data_key_other[32];
    (void)state;
    memcpy(data_key_other, data_key, 32);
    data_key_other[0] ^= 1;
    salt_other.bytes[31] ^= 1;
    assert_int_equal(body_key_derive(&other, data_key_other, BODY_SUITE_AES256GCM, salt), OK);
    assert_false(ID_EQUAL(body_key_commitment(other), commitment));
    body_key_free(other);
    assert_int_equal(body_key_derive(&other, data_key, BODY_SUITE_AES256GCM, salt_other), OK);
    assert_false(ID_EQUAL(body_key_commitment(other), commitment));
    body_key_free(other);
    assert_int_equal(body_key_derive(&other, data_key, BODY_SUITE_CHACHA20POLY1305, salt), OK);
    assert_false(ID_EQUAL(body_key_commitment(other), commitment));
    body_key_free(other);
    assert_int_equal(body_key_derive(&other, data_key, 3, salt), ERR_VERSION);
    assert_null(other);
    body_key_free(key);
    assert_in_range(body_suite_best(), 1, 2);
}

static void leaf_is_digest_of_sealed_chunk(void **state)
{
    struct body_key *key = key_for(body_suite_best());
    struct hash32 leaf, digest;
    struct cid cid;
    enum cid_hash hash;
    (void)state;
    assert_int_equal(body_seal_chunk(sealed, key, 0, span_make(plain, 5000)), OK);
    leaf = blake3(span_make(sealed, 5000 + BODY_TAG_BYTES));
    cid = cid_make(CID_BLAKE3, leaf);
    assert_int_equal(cid_check(&cid, span_make(sealed, 5000 + BODY_TAG_BYTES)), OK);
    assert_int_equal(cid_parse(&hash, &digest, SPAN_OF(cid.bytes)), OK);
    assert_true(ID_EQUAL(body_root(&digest, 1), leaf)); /* one chunk: the leaf is the root */
    body_key_free(key);
}

/* RFC 6962 as it is written: split at the largest power of two below the count. */
static struct hash32 naive_root(const struct hash32 *leaves, uint32_t count)
{
    uint8_t pair[64];
    struct hash32 left, right;
    uint32_t split = 1;
    if (count == 1) return leaves[0];
    while (split * 2 < count) split *= 2;
    left = naive_root(leaves, split);
    right = naive_root(leaves + split, count - split);
    memcpy(pair, left.bytes, 32);
    memcpy(pair + 32, right.bytes, 32);
    return blake3_derive("perigee 2026 body node v1", SPAN_OF(pair));
}

static void root_matches_naive(void **state)
{
    enum { LEAVES_MAX = 130 };
    struct hash32 leaves[LEAVES_MAX];
    (void)state;
    random_fill(leaves, sizeof leaves);
    for (uint32_t count = 1; count <= LEAVES_MAX; count++)
        assert_true(ID_EQUAL(body_root(leaves, count), naive_root(leaves, count)));
    for (uint32_t i = 0; i < 13; i++) { /* every leaf and every order matters */
        struct hash32 before = body_root(leaves, 13);
        leaves[i].bytes[0] ^= 1;
        assert_false(ID_EQUAL(body_root(leaves, 13), before));
        leaves[i].bytes[0] ^= 1;
    }
    assert_false(ID_EQUAL(body_root(leaves, 12), body_root(leaves, 13)));
    expect_assert_failure(body_root(leaves, 0));
}

static void content_id_known(void **state)
{
    struct body_summary a = {.suite = 1, .plain_len = 5 << 20, .salt = salt, .chunk_count = 6}, b;
    struct content_id id, other;
    (void)state;
    memset(a.root.bytes, 7, 32);
    memset(a.commitment.bytes, 8, 32);
    id = body_content_id(&a);
    assert_hex(id.bytes, 32, "37199f73f05a905b27eb523be8fad583557ba4ed8d19e141c3e48debc2b1f134");
    for (int field = 0; field < 5; field++) {
        b = a;
        if (field == 0) b.suite = 2;
        if (field == 1) b.plain_len++;
        if (field == 2) b.salt.bytes[0] ^= 1;
        if (field == 3) b.commitment.bytes[0] ^= 1;
        if (field == 4) b.root.bytes[0] ^= 1;
        other = body_content_id(&b);
        assert_false(ID_EQUAL(id, other));
    }
}

static void final_chunk_is_shorter(void **state)
{
    static const uint64_t lens[] = {0,
                                    1,
                                    BODY_CHUNK_BYTES - 1,
                                    BODY_CHUNK_BYTES,
                                    BODY_CHUNK_BYTES + 1,
                                    10ull * BODY_CHUNK_BYTES,
                                    BODY_PLAIN_MAX - 1};
    (void)state;
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct body_summary s = {.suite = 1, .plain_len = lens[i]};
        uint32_t last;
        s.chunk_count = (uint32_t)(lens[i] / BODY_CHUNK_BYTES + 1);
        last = s.chunk_count - 1;
        assert_int_equal(body_summary_check(&s), OK);
        assert_true(body_plain_bytes(&s, last) < BODY_CHUNK_BYTES);
        assert_true((uint64_t)last * BODY_CHUNK_BYTES + body_plain_bytes(&s, last) == lens[i]);
        if (last > 0) assert_int_equal(body_plain_bytes(&s, last - 1), BODY_CHUNK_BYTES);
        s.chunk_count++;
        assert_int_equal(body_summary_check(&s), ERR_RANGE);
        s.chunk_count -= 2;
        assert_int_equal(body_summary_check(&s), ERR_RANGE);
    }
    expect_assert_failure(body_plain_bytes(&(struct body_summary){.suite = 1, .chunk_count = 1}, 1));
    assert_int_equal(body_summary_check(&(struct body_summary){.suite = 0, .chunk_count = 1}), ERR_VERSION);
    assert_int_equal(body_summary_check(&(struct body_summary){.suite = 1, .plain_len = BODY_PLAIN_MAX}),
                     ERR_TOO_LARGE);
}

static void meta_round_trip(void **state)
{
    uint8_t first[10 + BODY_META_OVERHEAD_BYTES], second[10 + BODY_META_OVERHEAD_BYTES], back[10];
    static const uint8_t zero[10];
    struct hash32 salt_other = salt;
    (void)state;
    assert_int_equal(body_seal_meta(first, data_key, salt, SPAN_LITERAL("{\"rows\":1}")), OK);
    assert_int_equal(body_seal_meta(second, data_key, salt, SPAN_LITERAL("{\"rows\":1}")), OK);
    assert_memory_not_equal(first, second, 24);
    assert_int_equal(body_open_meta(back, data_key, salt, SPAN_OF(first)), OK);
    assert_memory_equal(back, "{\"rows\":1}", 10);
    for (size_t at = 0; at < sizeof first; at++) {
        first[at] ^= 1;
        assert_int_equal(body_open_meta(back, data_key, salt, SPAN_OF(first)), ERR_DECRYPT);
        assert_memory_equal(back, zero, 10);
        first[at] ^= 1;
    }
    salt_other.bytes[0] ^= 1;
    assert_int_equal(body_open_meta(back, data_key, salt_other, SPAN_OF(first)), ERR_DECRYPT);
    assert_int_equal(body_open_meta(back, data_key, salt, span_make(first, BODY_META_OVERHEAD_BYTES - 1)),
                     ERR_TRUNCATED);
}

/* From PROTOCOL.md with Python's cryptography; nonce 00..17. */
static void meta_known(void **state)
{
    uint8_t bytes[11 + BODY_META_OVERHEAD_BYTES], back[11];
    (void)state;
    assert_int_equal(hex_decode(bytes, sizeof bytes,
                                SPAN_LITERAL("000102030405060708090a0b0c0d0e0f1011121314151617"
                                             "b642806d975c645ec95331354dbe37c4a86f419ccc9963b49bb7c6")),
                     OK);
    assert_int_equal(body_open_meta(back, data_key, salt, SPAN_OF(bytes)), OK);
    assert_memory_equal(back, "{\"rows\":12}", 11);
}

enum { THREADS = 4, ROUNDS = 200, PART = 3000 };
struct worker {
    struct body_key *key;
    uint32_t first;
    bool good;
};

static void *seal_and_open(void *argument)
{
    struct worker *w = argument;
    uint8_t box[PART + BODY_TAG_BYTES], back[PART];
    for (uint32_t i = w->first; i < w->first + ROUNDS; i++) {
        if (body_seal_chunk(box, w->key, i, span_make(plain, PART)) != OK) return NULL;
        if (body_open_chunk(back, w->key, i, SPAN_OF(box)) != OK) return NULL;
        if (memcmp(back, plain, PART) != 0) return NULL;
    }
    w->good = true;
    return NULL;
}

static void threads_share_a_key(void **state)
{
    struct body_key *key = key_for(body_suite_best());
    struct worker worker[THREADS];
    pthread_t thread[THREADS];
    (void)state;
    for (uint32_t i = 0; i < THREADS; i++) {
        worker[i] = (struct worker){key, i * ROUNDS, false};
        assert_int_equal(pthread_create(&thread[i], NULL, seal_and_open, &worker[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_true(worker[i].good);
    }
    body_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_known),
        cmocka_unit_test(chunks_round_trip),
        cmocka_unit_test(wrong_chunks_refused),
        cmocka_unit_test(swapped_chunks_refused),
        cmocka_unit_test(commitment_separates),
        cmocka_unit_test(leaf_is_digest_of_sealed_chunk),
        cmocka_unit_test(root_matches_naive),
        cmocka_unit_test(content_id_known),
        cmocka_unit_test(final_chunk_is_shorter),
        cmocka_unit_test(meta_round_trip),
        cmocka_unit_test(meta_known),
        cmocka_unit_test(threads_share_a_key),
    };
    return cmocka_run_group_tests_name("crypto/body", tests, set_up, NULL);
}
