/* Headers and records: exact bytes, positions by class, what is signed, and every way to be refused. */
#include "proto/record.h"
#include "proto/wire/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t bytes[CAP_HEADER_BYTES + CAP_BODY_BYTES + 256];

static struct header sample(enum kind kind)
{
    struct header h = {.kind = kind,
                       .time_ms = UINT64_C(1767225600000),
                       .expires_ms = UINT64_C(1767312000000),
                       .residency = SPAN_LITERAL("eu"),
                       .body_len = 7};
    memset(h.consortium.bytes, 0xc0, 32);
    memset(h.author.bytes, 0xa1, 32);
    memset(h.body_hash.bytes, 0xb2, 32);
    if (kind_class(kind) == CLASS_CHAINED) {
        h.seq = 7;
        memset(h.prev.bytes, 0x9e, 32);
    }
    return h;
}

static struct span encode(const struct header *h)
{
    static uint8_t out[CAP_HEADER_BYTES * 2];
    struct buffer b = BUFFER_OF(out);
    header_encode(&b, h);
    assert_int_equal(buffer_done(&b), OK);
    return buffer_span(&b);
}

static enum err decode(struct span s)
{
    struct header h;
    uint8_t *copy = malloc(s.len + (s.len == 0));
    assert_non_null(copy);
    memcpy(copy, s.data, s.len);
    enum err err = header_decode(&h, span_make(copy, s.len));
    free(copy);
    return err;
}

/* --- Headers -------------------------------------------------------------------------------------------------------------- */

static void test_header_of_every_kind(void **state)
{
    (void)state;
    uint32_t seen = 0;
    for (unsigned code = 0; code < 256; code++) {
        struct header out, h;
        if (!kind_known(code)) continue;
        seen++;
        h = sample((enum kind)code);
        struct span s = encode(&h);
        assert_int_equal(header_decode(&out, s), OK);
        assert_true(out.kind == h.kind && out.seq == h.seq && out.time_ms == h.time_ms &&
                    out.expires_ms == h.expires_ms && out.body_len == h.body_len);
        assert_true(ID_EQUAL(out.author, h.author) && ID_EQUAL(out.prev, h.prev) &&
                    ID_EQUAL(out.consortium, h.consortium) && ID_EQUAL(out.body_hash, h.body_hash));
        assert_true(span_equal(out.residency, h.residency));
        struct record_id id = record_id_of(s);
        struct hash32 hash = sha256(s);
        assert_memory_equal(id.bytes, hash.bytes, 32);
    }
    assert_int_equal(seen, 35);
}

/* PROTOCOL.md "Records": the very bytes of one header. */
static void test_header_bytes(void **state)
{
    (void)state;
    struct header h = sample(KIND_GRANT);
    uint8_t expected[300], *at = expected;
    *at++ = 0x9b;
    *at++ = 1;
    *at++ = 6;
    *at++ = 0xc4, *at++ = 32, memset(at, 0xc0, 32), at += 32;
    *at++ = 0xc4, *at++ = 32, memset(at, 0xa1, 32), at += 32;
    *at++ = 7;
    *at++ = 0xc4, *at++ = 32, memset(at, 0x9e, 32), at += 32;
    *at++ = 0xcf, store_u64(at, h.time_ms), at += 8;
    *at++ = 0xcf, store_u64(at, h.expires_ms), at += 8;
    *at++ = 0xa2, *at++ = 'e', *at++ = 'u';
    *at++ = 7;
    *at++ = 0xc4, *at++ = 32, memset(at, 0xb2, 32), at += 32;
    struct span s = encode(&h);
    assert_int_equal(s.len, (size_t)(at - expected));
    assert_memory_equal(s.data, expected, s.len);
}

static void test_header_truncated(void **state)
{
    (void)state;
    struct header h = sample(KIND_RUN);
    struct span s = encode(&h);
    uint8_t longer[CAP_HEADER_BYTES + 1] = {0};
    for (size_t len = 0; len < s.len; len++) assert_int_not_equal(decode(span_make(s.data, len)), OK);
    memcpy(longer, s.data, s.len);
    assert_int_equal(decode(span_make(longer, s.len + 1)), ERR_NOT_CANONICAL);
    assert_int_equal(decode(SPAN_OF(longer)), ERR_TOO_LARGE);
}

static struct header changed(enum kind kind, uint64_t seq, uint8_t prev)
{
    struct header h = sample(kind);
    h.seq = seq;
    memset(h.prev.bytes, prev, 32);
    return h;
}

static void test_positions(void **state)
{
    (void)state;
    static const struct {
        enum kind kind;
        uint64_t seq;
        uint8_t prev;
        enum err err;
    } cases[] = {
        {KIND_GRANT, 1, 0, OK},
        {KIND_GRANT, 2, 1, OK},
        {KIND_GRANT, UINT_TIME, 1, OK},
        {KIND_GRANT, 0, 0, ERR_RANGE}, /* a decision outside the chain */
        {KIND_GRANT, 0, 1, ERR_RANGE},
        {KIND_GRANT, 1, 1, ERR_RANGE}, /* the first has no predecessor */
        {KIND_GRANT, 2, 0, ERR_RANGE}, /* the second has one */
        {KIND_GRANT, UINT_TIME + 1, 1, ERR_TOO_LARGE},
        {KIND_VOTE, 0, 0, OK},
        {KIND_VOTE, 1, 0, ERR_RANGE}, /* a statement never stands in a chain */
        {KIND_VOTE, 0, 1, ERR_RANGE},
        {KIND_VOTE, 2, 1, ERR_RANGE},
        {KIND_ADVERT, 0, 0, OK},
        {KIND_ADVERT, 1, 0, ERR_RANGE},
        {KIND_ADVERT, 0, 1, ERR_RANGE},
        {KIND_SHARE_ASK, 0, 0, OK},
        {KIND_SHARE_ASK, 1, 0, ERR_RANGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct header h = changed(cases[i].kind, cases[i].seq, cases[i].prev);
        assert_int_equal(decode(encode(&h)), cases[i].err);
    }
}

static void test_header_values(void **state)
{
    (void)state;
    struct header h = sample(KIND_GRANT);
    uint8_t copy[CAP_HEADER_BYTES], label[CAP_NAME + 1];
    struct span s = encode(&h);
    memcpy(copy, s.data, s.len);
    copy[1] = 2;
    assert_int_equal(decode(span_make(copy, s.len)), ERR_VERSION);
    copy[1] = 0;
    assert_int_equal(decode(span_make(copy, s.len)), ERR_VERSION);
    copy[1] = 1;
    copy[2] = 0;
    assert_int_equal(decode(span_make(copy, s.len)), ERR_KIND);
    copy[2] = 16;
    assert_int_equal(decode(span_make(copy, s.len)), ERR_KIND);
    memset(label, 'l', sizeof label);
    h.residency = SPAN_OF(label);
    assert_int_equal(decode(encode(&h)), ERR_TOO_LARGE);
    h.residency.len--;
    assert_int_equal(decode(encode(&h)), OK);
    h.body_len = CAP_BODY_BYTES;
    assert_int_equal(decode(encode(&h)), OK);
    h.body_len = CAP_BODY_BYTES + 1;
    assert_int_equal(decode(encode(&h)), ERR_TOO_LARGE);
    h = sample(KIND_GRANT);
    h.time_ms = UINT_TIME + 1;
    assert_int_equal(decode(encode(&h)), ERR_TOO_LARGE);
    h = sample(KIND_GRANT);
    h.expires_ms = UINT_TIME + 1;
    assert_int_equal(decode(encode(&h)), ERR_TOO_LARGE);
}

/* --- What is signed ------------------------------------------------------------------------------------------------------- */

/* H written out (DESIGN §4 "Hash framing"): a second framing, so that the first is not its own witness. */
static struct hash32 framed(const char *label, struct span x)
{
    uint8_t message[64 + 4 + 512];
    struct hash32 tag = sha256(span_text(label));
    assert_true(x.len <= 512);
    memcpy(message, tag.bytes, 32);
    memcpy(message + 32, tag.bytes, 32);
    store_u32(message + 64, (uint32_t)x.len);
    memcpy(message + 68, x.data, x.len);
    return sha256(span_make(message, 68 + x.len));
}

static void test_signed_under_its_class(void **state)
{
    (void)state;
    static const struct {
        enum kind kind;
        const char *label;
    } cases[] = {{KIND_GRANT, "perigee/record/v1"},
                 {KIND_PROGRESS, "perigee/ephemeral/v1"},
                 {KIND_VOTE, "perigee/statement/v1"},
                 {KIND_COMMIT_ASK, "perigee/enclave-statement/v1"}};
    for (size_t i = 0; i < 4; i++) {
        struct header h = sample(cases[i].kind);
        struct span s = encode(&h);
        struct hash32 expected = framed(cases[i].label, s);
        struct hash32 got = record_sign_hash(cases[i].kind, s);
        assert_memory_equal(got.bytes, expected.bytes, 32);
        for (size_t j = 0; j < 4; j++) {
            struct hash32 other = record_sign_hash(cases[j].kind, s);
            assert_int_equal(ID_EQUAL(other, got), i == j);
        }
    }
}

/* --- Records --------------------------------------------------------------------------------------------------------------- */

static struct span header_part, body_part;
static struct signature signature;

static void build(enum kind kind, const void *body)
{
    struct buffer b = BUFFER_OF(bytes);
    struct header h = sample(kind);
    size_t header_len;
    assert_int_equal(record_build(&b, &header_len, &h, body), OK);
    header_part = span_make(bytes, header_len);
    body_part = span_make(bytes + header_len, b.len - header_len);
    assert_int_equal(h.body_len, body_part.len);
    struct hash32 hash = sha256(body_part);
    assert_memory_equal(h.body_hash.bytes, hash.bytes, 32);
    memset(signature.bytes, 0x5a, 64);
}

static void build_job(void)
{
    static const struct body_JOB job = {{{1}}, {{2}}, {(const uint8_t *)"count", 5}};
    build(KIND_JOB, &job);
}

static void test_record_built_opens(void **state)
{
    (void)state;
    struct record r;
    union body body;
    build_job();
    assert_int_equal(record_open(&r, header_part, &signature, body_part), OK);
    assert_true(r.body_known);
    assert_int_equal(r.header.kind, KIND_JOB);
    struct record_id id = record_id_of(header_part);
    assert_memory_equal(r.id.bytes, id.bytes, 32);
    assert_memory_equal(r.signature.bytes, signature.bytes, 64);
    assert_int_equal(body_decode(&body, KIND_JOB, r.body), OK);
    assert_true(span_equal_text(body.JOB.task, "count"));
}

static void test_record_body_mismatch(void **state)
{
    (void)state;
    struct record r;
    uint8_t copy[256];
    build_job();
    assert_int_equal(record_open(&r, header_part, &signature, SPAN_NONE), OK);
    assert_false(r.body_known); /* absent, not empty */
    memcpy(copy, body_part.data, body_part.len);
    copy[body_part.len] = 0;
    assert_int_equal(record_open(&r, header_part, &signature, span_make(copy, body_part.len + 1)), ERR_HASH);
    assert_int_equal(record_open(&r, header_part, &signature, span_make(copy, body_part.len - 1)), ERR_HASH);
    for (size_t i = 0; i < body_part.len; i++) {
        copy[i] ^= 0x10;
        assert_int_equal(record_open(&r, header_part, &signature, span_make(copy, body_part.len)), ERR_HASH);
        copy[i] ^= 0x10;
    }
    assert_int_equal(record_open(&r, header_part, &signature, span_make(copy, body_part.len)), OK);
}

static void test_record_packed(void **state)
{
    (void)state;
    static uint8_t out[1024], again[1024];
    struct buffer packed = BUFFER_OF(out);
    struct record r, back;
    build_job();
    assert_int_equal(record_open(&r, header_part, &signature, body_part), OK);
    record_pack(&packed, &r);
    assert_int_equal(record_unpack(&back, buffer_span(&packed)), OK);
    assert_memory_equal(back.id.bytes, r.id.bytes, 32);
    assert_true(span_equal(back.body, r.body));
    for (size_t len = 0; len < packed.len; len++)
        assert_int_not_equal(record_unpack(&back, span_make(out, len)), OK);
    assert_int_equal(record_unpack(&back, span_make(out, packed.len + 1)), ERR_NOT_CANONICAL);
    memcpy(again, out, packed.len);
    again[0] = 0x92;
    assert_int_equal(record_unpack(&back, span_make(again, packed.len)), ERR_TYPE);
    r.body = SPAN_NONE;
    packed.len = 0;
    record_pack(&packed, &r);
    assert_int_equal(record_unpack(&back, buffer_span(&packed)), OK);
    assert_false(back.body_known);
}

/* Without hashing it is the same record, whatever was hashed; the encoding is still read to its last byte. */
static void test_record_known(void **state)
{
    (void)state;
    static uint8_t out[1024];
    struct buffer packed = BUFFER_OF(out);
    struct record r, back;
    build_job();
    assert_int_equal(record_open(&r, header_part, &signature, body_part), OK);
    record_pack(&packed, &r);
    assert_true(packed.len <= record_bytes_max(&r));
    assert_int_equal(record_unpack_known(&back, buffer_span(&packed), r.id), OK);
    assert_true(ID_EQUAL(back.id, r.id) && ID_EQUAL(back.header.author, r.header.author));
    assert_true(back.header.kind == r.header.kind && back.header.seq == r.header.seq && back.body_known);
    assert_true(span_equal(back.header_bytes, r.header_bytes) && span_equal(back.body, r.body));
    assert_memory_equal(back.signature.bytes, r.signature.bytes, 64);
    for (size_t len = 0; len < packed.len; len++)
        assert_int_not_equal(record_unpack_known(&back, span_make(out, len), r.id), OK);
    r.body = SPAN_NONE;
    packed.len = 0;
    record_pack(&packed, &r);
    assert_int_equal(record_unpack_known(&back, buffer_span(&packed), r.id), OK);
    assert_false(back.body_known);
    packed.len = 0;
    record_encode(&packed, &r);
    assert_true(packed.len <= record_bytes_max(&r));
}

static void test_record_on_the_wire(void **state)
{
    (void)state;
    static uint8_t out[1024];
    struct buffer b = BUFFER_OF(out);
    union message_body m;
    enum message code;
    struct record r;
    build_job();
    assert_int_equal(record_open(&r, header_part, &signature, body_part), OK);
    record_encode(&b, &r);
    assert_int_equal(message_decode(&code, &m, buffer_span(&b)), OK);
    assert_int_equal(code, MESSAGE_RECORD_CODE);
    assert_true(span_equal(m.RECORD.header, header_part) && span_equal(m.RECORD.body, body_part));
}

/* The largest body fits its record exactly; one byte more is refused, and so is an output too small for it. */
static void test_record_size(void **state)
{
    (void)state;
    static uint8_t envelope[24576], big[20480];
    static uint8_t room[CAP_HEADER_BYTES + 2 * CAP_BODY_BYTES];
    struct header h = sample(KIND_RECEIPT);
    size_t header_len;
    struct buffer b = BUFFER_OF(room);
    struct body_RECEIPT body = {.records = SPAN_NONE,
                                .core = SPAN_NONE,
                                .evidence = {big, 16384},
                                .releases = SPAN_OF(envelope),
                                .commits = SPAN_OF(big)};
    assert_int_equal(record_build(&b, &header_len, &h, &body), OK);
    size_t spare = CAP_BODY_BYTES - h.body_len - 2; /* the output's length will take two bytes more */
    body.output = span_make(big, spare);
    b.len = 0;
    assert_int_equal(record_build(&b, &header_len, &h, &body), OK);
    assert_int_equal(h.body_len, CAP_BODY_BYTES - 1);
    body.output.len += 2;
    b.len = 0;
    assert_int_equal(record_build(&b, &header_len, &h, &body), ERR_TOO_LARGE);
    b = buffer_make(room, CAP_HEADER_BYTES + 1000);
    assert_int_equal(record_build(&b, &header_len, &h, &body), ERR_TOO_LARGE);
}

/* Its expiry, or a day: whichever comes first, a day where there is none. */
static void test_run_end(void **state)
{
    (void)state;
    struct header h = sample(KIND_RUN);
    const uint64_t day = h.time_ms + 86400000;
    h.expires_ms = 0;
    assert_true(record_run_end_ms(&h) == day);
    h.expires_ms = day - 1;
    assert_true(record_run_end_ms(&h) == day - 1);
    h.expires_ms = day + 1;
    assert_true(record_run_end_ms(&h) == day);
    h.expires_ms = 1; /* before its time */
    assert_true(record_run_end_ms(&h) == 1);
    h.time_ms = h.expires_ms = UINT_TIME;
    assert_true(record_run_end_ms(&h) == UINT_TIME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_end),
        cmocka_unit_test(test_header_of_every_kind),
        cmocka_unit_test(test_header_bytes),
        cmocka_unit_test(test_header_truncated),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_header_values),
        cmocka_unit_test(test_signed_under_its_class),
        cmocka_unit_test(test_record_built_opens),
        cmocka_unit_test(test_record_body_mismatch),
        cmocka_unit_test(test_record_packed),
        cmocka_unit_test(test_record_known),
        cmocka_unit_test(test_record_on_the_wire),
        cmocka_unit_test(test_record_size),
    };
    return cmocka_run_group_tests_name("proto_record", tests, NULL, NULL);
}
