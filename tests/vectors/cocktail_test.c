/* The official COCKTAIL-DKG vectors for (ristretto255, SHA-512), from C2SP/CCTV: every byte both ways. All
 * secrets of a vector follow from its seed, so messages are made as well as read. The first vector is
 * embedded; the other three come from the vectors folder, and without it the program reports itself skipped
 * after the embedded one has passed. */
#include "crypto/ceremony.h"
#include "crypto/group.h"
#include "crypto/hash.h"
#include "crypto/schnorr.h"
#include "crypto/secret.h"
#include "tests/vector_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PARTIES_MAX = 14, PLAIN_MAX = 32 + 64, FILE_MAX = 1 << 18, EXIT_SKIPPED = 77 };

static const char seed_hex[] = "b171b6992cc6db1f40b18dd8b1361d642f013e4b1208a735259a516af60dcb68";
static const char suite[] = "COCKTAIL(Ristretto255, SHA-512)";

struct vector {
    uint32_t n, t;
    uint8_t tag[64], context[64], extension[64];
    size_t tag_len, extension_len, sealed_len;
    struct scalar static_secret[PARTIES_MAX];
    struct point party[PARTIES_MAX];
    uint8_t payload[PARTIES_MAX][64];
    size_t payload_len;
    struct point ephemeral[PARTIES_MAX], commitment[PARTIES_MAX][PARTIES_MAX];
    uint8_t pop[PARTIES_MAX][64], sealed[PARTIES_MAX][PARTIES_MAX][PLAIN_MAX + 16];
    struct scalar share[PARTIES_MAX];
    struct point y_i[PARTIES_MAX], y;
    uint8_t transcript[64], signature[PARTIES_MAX][64];
};

/* --- Reading -------------------------------------------------------------------------------------- */

static const char *read_number(const char *at, const char *key, uint32_t *out)
{
    at = strchr(text_seek(at, key), ':');
    assert_non_null(at);
    *out = (uint32_t)strtoul(at + 1, NULL, 10);
    return at;
}

static const char *read_round1(struct vector *v, const char *at, uint32_t i)
{
    at = text_exact(text_seek(at, "ephemeral_public_key"), v->ephemeral[i].bytes, 32);
    at = text_seek(at, "vss_commitment");
    for (uint32_t k = 0; k < v->t; k++) at = text_exact(at, v->commitment[i][k].bytes, 32);
    at = text_exact(text_seek(at, "pop"), v->pop[i], 64);
    at = text_seek(at, "encrypted_shares");
    for (uint32_t j = 0; j < v->n; j++)
        at = text_next(at, v->sealed[i][j], sizeof v->sealed[i][j], &v->sealed_len);
    return at;
}

static const char *read_config(struct vector *v, const char *at)
{
    at = read_number(at, "n", &v->n);
    at = read_number(at, "t", &v->t);
    assert_in_range(v->n, 1, PARTIES_MAX);
    assert_in_range(v->t, 1, v->n);
    at = text_next(text_seek(at, "session_tag"), v->tag, sizeof v->tag, &v->tag_len);
    at = text_exact(text_seek(at, "context"), v->context, 64);
    at = text_next(strchr(text_seek(at, "extension"), ':'), v->extension, sizeof v->extension,
                   &v->extension_len);
    at = text_seek(at, "static_secret_keys");
    for (uint32_t i = 0; i < v->n; i++) at = text_exact(at, v->static_secret[i].bytes, 32);
    at = text_seek(at, "static_public_keys");
    for (uint32_t i = 0; i < v->n; i++) at = text_exact(at, v->party[i].bytes, 32);
    const char *payloads = strstr(at, "\"payloads\""), *round1 = strstr(at, "\"round1\"");
    if (payloads == NULL || payloads > round1) return at;
    at = text_seek(at, "payloads");
    for (uint32_t i = 0; i < v->n; i++)
        at = text_next(at, v->payload[i], sizeof v->payload[i], &v->payload_len);
    return at;
}

static const char *read_vector(struct vector *v, const char *at)
{
    memset(v, 0, sizeof *v);
    at = text_seek(read_config(v, at), "round1");
    for (uint32_t i = 0; i < v->n; i++) at = read_round1(v, at, i);
    at = text_seek(at, "round2");
    for (uint32_t i = 0; i < v->n; i++) {
        at = text_exact(text_seek(at, "secret_share"), v->share[i].bytes, 32);
        at = text_exact(text_seek(at, "verification_share"), v->y_i[i].bytes, 32);
    }
    at = text_exact(text_seek(at, "transcript_hash"), v->transcript, 64);
    for (uint32_t i = 0; i < v->n; i++) at = text_exact(text_seek(at, "signature"), v->signature[i], 64);
    return text_exact(text_seek(at, "group_public_key"), v->y.bytes, 32);
}

/* --- The vectors' own randomness: SHA-512(seed | suite | le32 t | le32 n | label [| le64 counter]). ---- */

static void derive(uint8_t out[64], const struct vector *v, const char *label, uint32_t party,
                   const uint64_t *counter)
{
    uint8_t bytes[256], seed[32], le[8];
    char text[64];
    struct buffer in = BUFFER_OF(bytes);
    assert_int_equal(hex_decode(seed, 32, span_text(seed_hex)), OK);
    buffer_put(&in, SPAN_OF(seed));
    buffer_put_text(&in, suite);
    store_u64_le(le, v->t | (uint64_t)v->n << 32);
    buffer_put(&in, SPAN_OF(le));
    (void)snprintf(text, sizeof text, "%s%u", label, party);
    buffer_put_text(&in, text);
    if (counter != NULL) {
        store_u64_le(le, *counter);
        buffer_put(&in, SPAN_OF(le));
    }
    assert_int_equal(buffer_done(&in), OK);
    sha512(out, buffer_span(&in));
}

static struct span entropy_of(uint8_t out[64 * (PARTIES_MAX + 1)], const struct vector *v, uint32_t party)
{
    for (uint64_t block = 0; block <= v->t; block++)
        derive(out + 64 * block, v, "round1_participant_", party, &block);
    return span_make(out, (size_t)64 * (v->t + 1));
}

/* --- Checks -------------------------------------------------------------------------------------------- */

static struct ceremony ceremony_for(const struct vector *v, uint32_t own)
{
    struct ceremony c;
    assert_int_equal(ceremony_init(&c, v->n, v->t, own, v->party, span_make(v->tag, v->tag_len),
                                   span_make(v->extension, v->extension_len)),
                     OK);
    assert_memory_equal(c.context, v->context, 64);
    return c;
}

/* A vector with payloads has longer ciphertexts than our messages: seal share | payload over the same
 * channel. */
static void check_sealed(const struct vector *v, const struct ceremony *c,
                         const struct cocktail_round1 *message, const uint8_t ephemeral32[32])
{
    const uint32_t i = c->own - 1;
    for (uint32_t j = 0; j < v->n; j++) {
        struct ceremony_channel channel;
        struct ceremony receiver = ceremony_for(v, j + 1);
        uint8_t plain[PLAIN_MAX], sealed[PLAIN_MAX + 16];
        assert_int_equal(ceremony_receive(plain, &receiver, c->own, message, v->static_secret[j].bytes), OK);
        memcpy(plain + 32, v->payload[i], v->payload_len);
        assert_int_equal(ceremony_channel_send(&channel, c, j + 1, ephemeral32, &message->ephemeral,
                                               v->static_secret[i].bytes),
                         OK);
        ceremony_seal(sealed, &channel, span_make(plain, 32 + v->payload_len));
        assert_int_equal(32 + v->payload_len + 16, v->sealed_len);
        assert_memory_equal(sealed, v->sealed[i][j], v->sealed_len);
        if (v->payload_len == 0)
            assert_memory_equal(message->share[j], v->sealed[i][j], COCKTAIL_SHARE_BYTES);
    }
}

static void check_deal(struct cocktail_round1 *out, const struct vector *v, uint32_t own)
{
    uint8_t entropy[64 * (PARTIES_MAX + 1)], expected[64], secret[32], ephemeral[32];
    struct ceremony c = ceremony_for(v, own);
    struct span fresh = entropy_of(entropy, v, own);
    derive(expected, v, "static_secret_key_", own, NULL);
    group_reduce(secret, expected);
    assert_memory_equal(secret, v->static_secret[own - 1].bytes, 32);
    assert_int_equal(ceremony_deal(out, &c, secret, fresh), OK);
    assert_memory_equal(out->ephemeral.bytes, v->ephemeral[own - 1].bytes, 32);
    assert_memory_equal(out->commitment, v->commitment[own - 1], (size_t)32 * v->t);
    assert_memory_equal(out->pop, v->pop[own - 1], 64);
    assert_int_equal(ceremony_check(&c, out), OK);
    group_reduce(ephemeral, entropy + (size_t)64 * v->t);
    check_sealed(v, &c, out, ephemeral);
}

/* Open the published ciphertexts themselves and add the shares up. */
static void check_receive(const struct vector *v, uint32_t own)
{
    struct ceremony c = ceremony_for(v, own);
    uint8_t sum[32] = {0};
    for (uint32_t j = 0; j < v->n; j++) {
        struct ceremony_channel channel;
        uint8_t plain[PLAIN_MAX];
        assert_int_equal(
            ceremony_channel_receive(&channel, &c, j + 1, &v->ephemeral[j], v->static_secret[own - 1].bytes),
            OK);
        assert_int_equal(ceremony_open(plain, &channel, span_make(v->sealed[j][own - 1], v->sealed_len)), OK);
        assert_memory_equal(plain + 32, v->payload[j], v->payload_len);
        group_scalar_add(sum, sum, plain);
    }
    assert_memory_equal(sum, v->share[own - 1].bytes, 32);
}

static void check_certificate(const struct vector *v, const struct cocktail_round1 *round1)
{
    static struct ceremony_transcript t;
    struct group_key key;
    uint8_t hash[64], sig[64];
    struct ceremony c = ceremony_for(v, 0);
    assert_int_equal(ceremony_key(&key, &c, round1), OK);
    assert_memory_equal(key.y.bytes, v->y.bytes, 32);
    assert_memory_equal(key.share, v->y_i, (size_t)32 * v->n);
    ceremony_transcribe(&t, &c, round1);
    const struct span message = span_make(t.bytes, t.len);
    sha512(hash, message);
    assert_memory_equal(hash, v->transcript, 64);
    for (uint32_t i = 0; i < v->n; i++) {
        assert_int_equal(schnorr_sign(sig, v->static_secret[i].bytes, &v->party[i], &message, 1), OK);
        assert_memory_equal(sig, v->signature[i], 64);
        assert_int_equal(schnorr_check(v->signature[i], &v->party[i], &message, 1), OK);
        assert_int_equal(schnorr_check(v->signature[i], &v->party[(i + 1) % v->n], &message, 1),
                         ERR_SIGNATURE);
    }
}

/* The payload vector's extension is what the specification recommends to make from payloads. */
static void check_extension(const struct vector *v)
{
    uint8_t bytes[8 + PARTIES_MAX * (8 + 64)], le[8], hash[64];
    struct buffer in = BUFFER_OF(bytes);
    if (v->payload_len == 0) return;
    store_u64_le(le, v->n);
    buffer_put(&in, SPAN_OF(le));
    for (uint32_t i = 0; i < v->n; i++) {
        store_u64_le(le, v->payload_len);
        buffer_put(&in, SPAN_OF(le));
        buffer_put(&in, span_make(v->payload[i], v->payload_len));
    }
    sha512(hash, buffer_span(&in));
    assert_int_equal(v->extension_len, 64);
    assert_memory_equal(hash, v->extension, 64);
}

/* What the node calls takes 32-byte tags; one vector has such a tag. */
static void check_public_face(const struct vector *v, const struct cocktail_round1 *round1)
{
    struct cocktail_session s = {
        .n = v->n, .t = v->t, .extension = span_make(v->extension, v->extension_len)};
    memcpy(s.tag.bytes, v->tag, 32);
    memcpy(s.party, v->party, (size_t)32 * v->n);
    for (s.own = 1; s.own <= v->n; s.own++) {
        struct cocktail_secret state;
        struct cocktail_round1 own;
        struct scalar_secret secret, share;
        struct group_key key;
        uint8_t entropy[64 * (PARTIES_MAX + 1)], transcript[64], sig[64];
        uint32_t culprit = 99;
        memcpy(secret.bytes, v->static_secret[s.own - 1].bytes, 32);
        assert_int_equal(cocktail_begin_from(&state, &own, &s, &secret, entropy_of(entropy, v, s.own)), OK);
        assert_int_equal(
            cocktail_finish(&share, &key, transcript, sig, &culprit, &state, &s, &secret, round1), OK);
        assert_int_equal(culprit, 0);
        assert_memory_equal(share.bytes, v->share[s.own - 1].bytes, 32);
        assert_memory_equal(key.y.bytes, v->y.bytes, 32);
        assert_memory_equal(transcript, v->transcript, 64);
        assert_memory_equal(sig, v->signature[s.own - 1], 64);
        assert_int_equal(cocktail_check(&s, round1, s.own, sig), OK);
    }
}

/* Returns whether the public functions were exercised too. */
static bool check_vector(const struct vector *v)
{
    static struct cocktail_round1 round1[PARTIES_MAX];
    for (uint32_t own = 1; own <= v->n; own++) check_deal(&round1[own - 1], v, own);
    for (uint32_t own = 1; own <= v->n; own++) check_receive(v, own);
    check_certificate(v, round1);
    check_extension(v);
    if (v->tag_len != 32) return false;
    check_public_face(v, round1);
    return true;
}

/* The 2-of-3 vector, without its PoP intermediate values. */
static const char *const embedded[] = {
    "{\"n\":3,\"t\":2,\"session_tag\":\"434f434b5441494c2d444b472d544553542d564543544f522d322d4f462d33\"",
    ",\"context\":\"be553a2da73e8832be8e3c72689a21bd69bdefbd512c52adc920e13527318da354e817afb721aaa31d0",
    "79e9579f659343454066480aa9b25a64448a8922d0d65\",\"extension\":\"\",\"config\":{\"static_secret_key",
    "s\":[\"8232337dffa583f214e2ead7f19c37b482f77171194ed6984a715353e086d20e\",\"f7b358f26668f0733363b3",
    "09c435bc16f7670ec5850e4860c5d25e049e7d060d\",\"fc2df6b164cac912a8c2d294b528f5e3261f1724d510f9fd1c2",
    "bae5e76308d0b\"],\"static_public_keys\":[\"e86e416c45160b32c774ebac802906548d94b3327517178c3c74322",
    "6dd594d32\",\"c003305ceb27d887d9391f85138fc34edae9c963951a4e9c950bed8509ba2b5e\",\"e4dad4d96d6e507",
    "ac59aa539a42c8185618b51941f4497af246cfaa9d1912b18\"]},\"round1\":[{\"participant_id\":1,\"ephemera",
    "l_public_key\":\"a6841269b357caa2d0655664961704b06875255a7b6ca1af8004560314384447\",\"vss_commitme",
    "nt\":[\"fa98c4b2508b75d64f2420d2569cb878d9fde3124fa7b3341004f2f2e424c33a\",\"08fcd4093599c2dd7def1",
    "bfe843d8fd6c9041caa33c00a2bad11fd4bc1f16134\"],\"pop\":\"daa5517fe46e89c7b819d17695ac04605638b7da2",
    "5e3e3aec800bfe2d2034a51bcee07a6fd147827a66f32985c6e3f1029ea1c588c7f1bbf7dde540525c38609\",\"encryp",
    "ted_shares\":[\"375c36ca6110e66a7c5b41fb8ad7aa8469d6ca29ca309704571d4960db9d0350c8c487ce985457df58",
    "33e94f6be49459\",\"04f0663c1ee8fbddd47694709ea870080789b7044f75d7a679b656a40ad93fdab3a682c3c868279",
    "15aa39201c006acda\",\"340ff8092ea5da9993a4f974c405ba690a10c92f64707e68c8e210bf64b775496973aa464302",
    "4eaf197ec267a8e2b067\"]},{\"participant_id\":2,\"ephemeral_public_key\":\"a0c9a49c4882ec3259016068",
    "1791b157a39ff7b7401fef9268c8efb5e48be43f\",\"vss_commitment\":[\"bc6af038fb6950d0503bfd9f5dea21671",
    "dc0f2b27b55c5be99229c601239d055\",\"f4e3e84108289d680c8e1ad24cd6a70fab1afe233b6b3ad839ee87742baceb",
    "39\"],\"pop\":\"f6c8246e83d3dd9cfa13834b734593e410bfd61f2ad91de7bedb3f47e0b7327ab78fb6f89e977b813b",
    "38d916fcc221d4e810c91c41cdbb1c97639008a64e940d\",\"encrypted_shares\":[\"84530fce8235de9bced0f7596",
    "f0932a5af252669eb6fdcaf45353dd4399c1abafc0ffe2c8f724b3f3f2ea716ceeaf03f\",\"8ac6fb8f418254b3f4a823",
    "1eba42edbad9b686f473884e577c3687c02c33376306f748c25b3f2045bf8acffa628a3079\",\"ad69f0252fe6d7ec8ec",
    "bc869c4e661014e7c4d5618571e4b7412cd2d6935c6e7f2111f35976d24bb0a5f3adcf63e70de\"]},{\"participant_i",
    "d\":3,\"ephemeral_public_key\":\"2293b1d8ed98f109998a243aa949a55605d0ca0e50897e059b658e0c63dfda25\"",
    ",\"vss_commitment\":[\"a4d8f448d74e78344d5db2324e0e8e09ee1706110f61cd057977b0e220008839\",\"e2244a",
    "3f3ea70ecd697189daff4792d5af5e4eff132c1bb6101b04a5adc6c743\"],\"pop\":\"269c7e4ee3b8773088c3b552b3",
    "07dcc2d5de36ca00d67bba67dfc83db84edc7d61c04b8ea340ad361299699062e5e9a7025848ac991f0900e26604d6205b",
    "8602\",\"encrypted_shares\":[\"a8702db938a0e1e89ea25f0e1a6e343504485ac8e7d57e5389a1ec0d24e2e461ef3",
    "6590c9686b13f526755c8ad4ce621\",\"422bbfb63733f16ffe7d59f9617a75b4da7ea2ed9bdc70af90913f10e8f34bb0",
    "07d8fa676a14401223e4cdf1c835fa54\",\"c354f44a49c76cc5cf0a73b9000a35867c758c3e03977915345de037e40b5",
    "7bb2fea692d7f7c0776f25dac636926193f\"]}],\"round2\":[{\"participant_id\":1,\"secret_share\":\"09b8",
    "de601c1d28161f3b18410245595d791de5e54372f19628760125fa263304\",\"verification_share\":\"5e130c137d",
    "31a445d1b8df391b41db0dbf6a9e13649abb40d68d3fa955eca22d\"},{\"participant_id\":2,\"secret_share\":\"",
    "7db7ccef4df8fb157766082728cd2f072c0ec3af6d352a3d0af49919daf9950b\",\"verification_share\":\"2c9a0c",
    "7d2a8e3c37c7b1ebb5d40bad2e9127151ad160a8b7d0782482fd790007\"},{\"participant_id\":3,\"secret_share",
    "\":\"04e3c4216570bdbdf8f4006a6f5b279cdefea07997f862e3eb71320ebaccf802\",\"verification_share\":\"b",
    "434b345762decb04e5d9937cc5aee03b828808ea8d5500ea7c06c684712e143\"}],\"round3\":{\"transcript_hash\"",
    ":\"fb5790ec7c23f66c25f36d50361e0e448bb3174cec4ee0c9ddc3da4e595428b1215ab66299825529b5f4b1acdb49fec",
    "ad56ca416993e3bbffe504077204b1f19\",\"signatures\":[{\"signer_id\":1,\"signature\":\"acb3f81cb8190",
    "d3acff848b88fe00eb6e3fbbea124b8d193a8ac7f391908cc362e665f2ab38193b65b016ba1face12966c7392ffdcf5446",
    "57e31b9b8415a7e03\"},{\"signer_id\":2,\"signature\":\"14051f96de93f645de44a36756d7b4c03e6f62de7d4e",
    "6055026f48dda593246e191025fcd30a78ea9477ef629616e3fc8a39950102425364d3cd89ec774d2605\"},{\"signer_",
    "id\":3,\"signature\":\"64b369aeefabaea7bc958a2fa542eabe9ad8e0831413128339b4b49190456b5a2ce69fa5da2",
    "4666905b64cb228d88cff243eb91640515bf787904578f6fe330b\"}]},\"group_public_key\":\"0a1592f555f20d3a",
    "3b3c7bc032ebe4b46cb2870da141404873e5fc8d4136120f\",\"recovery\":{\"participant_id\":1,\"ciphertext",
    "s\":[\"375c36ca6110e66a7c5b41fb8ad7aa8469d6ca29ca309704571d4960db9d0350c8c487ce985457df5833e94f6be",
    "49459\",\"84530fce8235de9bced0f7596f0932a5af252669eb6fdcaf45353dd4399c1abafc0ffe2c8f724b3f3f2ea716",
    "ceeaf03f\",\"a8702db938a0e1e89ea25f0e1a6e343504485ac8e7d57e5389a1ec0d24e2e461ef36590c9686b13f52675",
    "5c8ad4ce621\"],\"recovered_secret_share\":\"09b8de601c1d28161f3b18410245595d791de5e54372f196287601",
    "25fa263304\",\"recovered_verification_share\":\"5e130c137d31a445d1b8df391b41db0dbf6a9e13649abb40d6",
    "8d3fa955eca22d\"}}",
};

static struct vector vector;

static void test_embedded(void **state)
{
    (void)state;
    static char text[8192];
    size_t len = 0;
    for (size_t i = 0; i < sizeof embedded / sizeof embedded[0]; i++) {
        size_t piece = strlen(embedded[i]);
        assert_true(len + piece < sizeof text);
        memcpy(text + len, embedded[i], piece + 1);
        len += piece;
    }
    const char *rest = read_vector(&vector, text);
    uint8_t recovered[32];
    (void)text_exact(text_seek(rest, "recovered_secret_share"), recovered, 32);
    assert_memory_equal(recovered, vector.share[0].bytes, 32);
    assert_false(check_vector(&vector));
}

static bool file_missing;

static void test_file(void **state)
{
    (void)state;
    static char text[FILE_MAX];
    if (!text_load(text, sizeof text,
                   PERIGEE_SHARED_DIR "/vectors/dkg/cocktail-dkg-ristretto255-sha512.json")) {
        file_missing = true;
        print_message("SKIPPED: the vectors folder is absent; the embedded vector was checked\n");
        skip();
    }
    const char *at = text_seek(text, "vectors");
    static const uint32_t sizes[4][2] = {{3, 2}, {5, 3}, {14, 7}, {3, 2}};
    uint32_t whole = 0;
    for (uint32_t i = 0; i < 4; i++) {
        at = read_vector(&vector, at);
        assert_int_equal(vector.n, sizes[i][0]);
        assert_int_equal(vector.t, sizes[i][1]);
        assert_int_equal(vector.payload_len, i == 3 ? 64 : 0);
        whole += check_vector(&vector);
    }
    assert_int_equal(whole, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_embedded), cmocka_unit_test(test_file)};
    if (crypto_init() != OK) return EXIT_FAILURE;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed == 0 && file_missing ? EXIT_SKIPPED : failed;
}
