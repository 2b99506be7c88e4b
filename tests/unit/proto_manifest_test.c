/* manifest/1: what the sample says, what is refused, and the same bytes from the writer. */
#include "crypto/body.h"
#include "crypto/hash.h"
#include "proto/manifest.h"
#include "tests/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static enum err parse(struct arena *arena, struct span bytes, struct json_fault *fault)
{
    struct manifest *m = NULL;
    return manifest_parse(&m, arena, bytes, fault);
}

static void test_fields(void **state)
{
    (void)state;
    static const uint8_t metadata[] = {0x00, 0xff, 0x10};
    struct manifest *m = NULL;
    struct hash32 hash = sha256(span_text(sample_manifest));
    assert_int_equal(manifest_parse(&m, sample_arena(), span_text(sample_manifest), NULL), OK);
    assert_memory_equal(m->hash.bytes, hash.bytes, 32);
    assert_int_equal(m->owner.bytes[0], 0xa1);
    assert_int_equal(m->dt.bytes[0], 0xe1);
    assert_int_equal(m->app_id.bytes[0], 0xf0);
    assert_int_equal(m->commitment.bytes[0], 1);
    assert_int_equal(m->compose.bytes[0], 2);
    assert_int_equal(m->content.bytes[0], 3);
    assert_int_equal(m->leaves.bytes[0], 4);
    assert_int_equal(m->policy.bytes[0], 5);
    assert_int_equal(m->root.bytes[0], 6);
    assert_int_equal(m->root_key_id.bytes[0], 7);
    assert_int_equal(m->salt.bytes[0], 8);
    assert_int_equal(m->compose.bytes[31], 0xcd);
    assert_int_equal(m->suite, BODY_SUITE_AES256GCM);
    assert_int_equal(m->plain_len, 2097152);
    assert_int_equal(m->row_count, 303);
    assert_int_equal(m->chunk_count, 3);
    assert_int_equal(m->envelope[1], 0x23);
    assert_int_equal(m->envelope[ENVELOPE_BYTES - 1], 0xef);
    assert_true(m->veto);
    assert_int_equal(m->half[1], 0x23);
    assert_int_equal(m->half[VETO_BOX_BYTES - 1], 0xef);
    assert_int_equal(m->metadata.len, 3);
    assert_memory_equal(m->metadata.data, metadata, 3);
}

static void test_same_chunks_as_the_body(void **state)
{
    (void)state;
    assert_int_equal(MANIFEST_CHUNK_BYTES, BODY_CHUNK_BYTES);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct sample_refusal refusals[] = {
        {"manifest/1", "manifest/2", ERR_VERSION, "perigee", "manifest/1"},
        {"\"chunk_count\":3", "\"chunk_count\":2", ERR_CONFLICT, "chunk_count", "plain_len / 1048576"},
        {"\"plain_len\":2097152", "\"plain_len\":2097151", ERR_CONFLICT, "chunk_count",
         "plain_len / 1048576"},
        {"\"plain_len\":2097152", "\"plain_len\":\"2097152\"", ERR_TYPE, "plain_len", ""},
        {"\"suite\":1", "\"suite\":3", ERR_RANGE, "suite", "integer from 1 to 2"},
        {"\"00ff10\"", "\"00ff1\"", ERR_SYNTAX, "metadata", "lower-case hex"},
        {"\"00ff10\"", "\"00FF10\"", ERR_SYNTAX, "metadata", "lower-case hex"},
        {"\"01234567", "\"1234567", ERR_SYNTAX, "envelope", "352 lower-case hex digits"},
        {"\"half\":\"01", "\"half\":\"", ERR_SYNTAX, "half", "nothing, or lower-case hex of 80 bytes"},
        {"\"half\":\"0123", "\"half\":\"XY23", ERR_SYNTAX, "half", ""},
        {"\"salt\":\"" SAMPLE_ID("08") "\",", "", ERR_MISSING_FIELD, "salt", ""},
        {"\"suite\":1}", "\"suite\":1,\"tags\":[]}", ERR_UNKNOWN_FIELD, "tags", ""},
    };
    sample_refused(sample_manifest, parse, refusals, sizeof refusals / sizeof refusals[0]);
}

static void test_round_trip(void **state)
{
    (void)state;
    static uint8_t bytes[4096];
    struct manifest *m = NULL;
    struct buffer out = BUFFER_OF(bytes);
    assert_int_equal(manifest_parse(&m, sample_arena(), span_text(sample_manifest), NULL), OK);
    assert_int_equal(manifest_write(&out, m), OK);
    assert_true(span_equal_text(buffer_span(&out), sample_manifest));
}

static void test_empty_metadata(void **state)
{
    (void)state;
    struct manifest *m = NULL;
    struct span bytes = sample_with(sample_manifest, "\"00ff10\"", "\"\"");
    assert_int_equal(manifest_parse(&m, sample_arena(), bytes, NULL), OK);
    assert_int_equal(m->metadata.len, 0);
}

static void test_starved(void **state)
{
    (void)state;
    sample_starved(sample_manifest, parse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),         cmocka_unit_test(test_same_chunks_as_the_body),
        cmocka_unit_test(test_refusals),       cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_empty_metadata), cmocka_unit_test(test_starved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
