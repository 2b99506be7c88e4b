/* crypto/identity: BIP-340's vectors with and without secrets, determinism, refusals, threads. */
#include "crypto/identity.h"
#include "crypto/secret.h"

#include <pthread.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int set_up(void **state)
{
    (void)state;
    return crypto_init() == OK ? 0 : 1;
}

static void from_hex(void *out, size_t len, const char *hex)
{
    assert_int_equal(hex_decode(out, len, span_text(hex)), OK);
}

/* Vector 0: secret 3, zero auxiliary randomness, zero message. */
static void bip340_signs(void **state)
{
    const struct identity_secret secret = {{[31] = 3}};
    const struct hash32 message = {{0}};
    struct node_id id, expected_id;
    struct signature sig, expected;
    (void)state;
    from_hex(expected_id.bytes, 32, "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9");
    from_hex(expected.bytes, 64,
             "e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca8215"
             "25f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d310536c0");
    assert_int_equal(identity_public(&id, &secret), OK);
    assert_memory_equal(id.bytes, expected_id.bytes, 32);
    assert_int_equal(identity_sign(&sig, &secret, message), OK);
    assert_memory_equal(sig.bytes, expected.bytes, 64);
}

/* Vectors 4 (valid, random-looking), 6 (R with odd y), 5 and 14 (bad keys), 17 (17-byte message). */
static void bip340_verifies(void **state)
{
    struct node_id id;
    struct hash32 message;
    struct signature sig;
    uint8_t message17[17];
    (void)state;
    from_hex(id.bytes, 32, "d69c3509bb99e412e68b0fe8544e72837dfa30746d8be2aa65975f29d22dc7b9");
    from_hex(message.bytes, 32, "4df3c3f68fcc83b27e9d42c90431a72499f17875c81a599b566c9889b9696703");
    from_hex(sig.bytes, 64,
             "00000000000000000000003b78ce563f89a0ed9414f5aa28ad0d96d6795f9c63"
             "76afb1548af603b3eb45c9f8207dee1060cb71c04e80f593060b07d28308d7f4");
    assert_int_equal(identity_verify(id, message, &sig), OK);
    from_hex(id.bytes, 32, "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659");
    from_hex(message.bytes, 32, "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89");
    from_hex(sig.bytes, 64,
             "fff97bd5755eeea420453a14355235d382f6472f8568a18b2f057a1460297556"
             "3cc27944640ac607cd107ae10923d9ef7a73c643e166be5ebeafa34b1ac553e2");
    assert_int_equal(identity_verify(id, message, &sig), ERR_SIGNATURE);
    from_hex(id.bytes, 32, "eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34");
    assert_int_equal(identity_verify(id, message, &sig), ERR_KEY);
    from_hex(id.bytes, 32, "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc30");
    assert_int_equal(identity_verify(id, message, &sig), ERR_KEY);
    from_hex(message17, 17, "0102030405060708090a0b0c0d0e0f1011");
    from_hex(id.bytes, 32, "778caa53b4393ac467774d09497a87224bf9fab6f6e68b23086497324d6fd117");
    from_hex(sig.bytes, 64,
             "5130f39a4059b43bc7cac09a19ece52b5d8699d1a71e3c52da9afdb6b50ac370"
             "c4a482b77bf960f8681540e25b6771ece1e5a37fd80e5a51897c5566a97ea5a5");
    assert_int_equal(identity_verify_bytes(id, SPAN_OF(message17), &sig), OK);
    assert_int_equal(identity_verify_bytes(id, span_make(message17, 16), &sig), ERR_SIGNATURE);
}

static void bad_secrets_refused(void **state)
{
    struct identity_secret secret = {{0}};
    struct node_id id;
    struct signature sig;
    (void)state;
    assert_int_equal(identity_public(&id, &secret), ERR_KEY);
    assert_int_equal(identity_sign(&sig, &secret, (struct hash32){{0}}), ERR_KEY);
    from_hex(secret.bytes, 32,
             "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"); /* the order */
    assert_int_equal(identity_public(&id, &secret), ERR_KEY);
    secret.bytes[31]--;
    assert_int_equal(identity_public(&id, &secret), OK);
}

static void signs_and_refuses_changes(void **state)
{
    struct identity_secret secret;
    struct node_id id;
    struct hash32 message;
    struct signature sig, again;
    (void)state;
    identity_generate(&secret, &id);
    random_fill(message.bytes, 32);
    assert_int_equal(identity_sign(&sig, &secret, message), OK);
    assert_int_equal(identity_sign(&again, &secret, message), OK);
    assert_memory_equal(sig.bytes, again.bytes, 64);
    assert_int_equal(identity_verify(id, message, &sig), OK);
    for (size_t i = 0; i < 64; i++) {
        sig.bytes[i] ^= 4;
        assert_int_equal(identity_verify(id, message, &sig), ERR_SIGNATURE);
        sig.bytes[i] ^= 4;
    }
    for (size_t i = 0; i < 32; i++) {
        message.bytes[i] ^= 4;
        assert_int_equal(identity_verify(id, message, &sig), ERR_SIGNATURE);
        message.bytes[i] ^= 4;
    }
}

enum { THREADS = 4, ROUNDS = 20 };

static void *sign_many(void *argument)
{
    const struct identity_secret *secret = argument;
    struct node_id id;
    struct signature sig;
    struct hash32 message = {{0}};
    if (identity_public(&id, secret) != OK) return NULL;
    for (uint8_t i = 0; i < ROUNDS; i++) {
        message.bytes[0] = i;
        if (identity_sign(&sig, secret, message) != OK) return NULL;
        if (identity_verify(id, message, &sig) != OK) return NULL;
    }
    return argument;
}

static void threads_share(void **state)
{
    struct identity_secret secret[THREADS];
    struct node_id id;
    pthread_t thread[THREADS];
    (void)state;
    for (int i = 0; i < THREADS; i++) {
        identity_generate(&secret[i], &id);
        assert_int_equal(pthread_create(&thread[i], NULL, sign_many, &secret[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(thread[i], &result), 0);
        assert_ptr_equal(result, &secret[i]);
    }
}

/* Remembered keys change no answer, also when authors push each other out of their places. */
static void remembered_keys_agree(void **state)
{
    enum { AUTHORS = 150 };
    static struct identity_keys keys;
    static struct node_id id[AUTHORS];
    static struct signature sig[AUTHORS];
    const struct hash32 message = {{7}}, other = {{8}};
    struct node_id none;
    (void)state;
    memset(none.bytes, 0xff, sizeof none.bytes);
    for (uint32_t i = 0; i < AUTHORS; i++) {
        struct identity_secret secret;
        identity_generate(&secret, &id[i]);
        assert_int_equal(identity_sign(&sig[i], &secret, message), OK);
    }
    for (uint32_t i = 0; i < 4 * AUTHORS; i++) {
        const uint32_t a = i * 37 % AUTHORS, b = (a + 1) % AUTHORS;
        assert_int_equal(identity_keys_verify(&keys, id[a], message, &sig[a]), OK);
        assert_int_equal(identity_keys_verify(&keys, id[a], other, &sig[a]), ERR_SIGNATURE);
        assert_int_equal(identity_keys_verify(&keys, id[b], message, &sig[a]), ERR_SIGNATURE);
        none.bytes[0] = id[a].bytes[0]; /* in the place of a key that is remembered */
        memset(none.bytes + 1, 0xff, 31);
        const enum err want = identity_verify(none, message, &sig[a]);
        assert_int_equal(identity_keys_verify(&keys, none, message, &sig[a]), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bip340_signs),        cmocka_unit_test(bip340_verifies),
        cmocka_unit_test(bad_secrets_refused), cmocka_unit_test(signs_and_refuses_changes),
        cmocka_unit_test(threads_share),       cmocka_unit_test(remembered_keys_agree),
    };
    return cmocka_run_group_tests_name("crypto/identity", tests, set_up, NULL);
}
