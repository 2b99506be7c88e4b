/* crypto/evidence: the bytes of simulated evidence, and a refusal with its field for everything that can be wrong. */
#include "crypto/evidence.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/secret.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SIGNED_BYTES = 190, EVIDENCE_BYTES = 254 };
enum {
    AT_KIND = 2,
    AT_MEASUREMENT = 4,
    AT_REPORT = 68,
    AT_TIME = 100,
    AT_GPU = 108,
    AT_MODE = 109,
    AT_MODEL = 110,
    AT_NONCE = 158,
    AT_SIGNATURE = 190
};

#define NOW 1700000001000u
static struct hash32 binding;
static struct evidence_facts facts;
static struct evidence_policy policy;

static int set_up(void **state)
{
    (void)state;
    if (crypto_init() != OK) return 1;
    memset(binding.bytes, 0x33, 32);
    memset(facts.measurement.bytes, 0x44, 32);
    memset(facts.platform_id.bytes, 0x55, 32);
    facts.has_gpu = facts.gpu_confidential = true;
    memcpy(facts.gpu_model, "NVIDIA H200", 11);
    facts.time_ms = 1700000000000u;
    policy = (struct evidence_policy){
        .allow_simulated = true, .measurement_count = 2, .max_age_ms = 60000, .max_ahead_ms = 5000};
    policy.measurement[1] = facts.measurement;
    return 0;
}

static struct evidence_facts without_gpu(void)
{
    struct evidence_facts f = facts;
    f.has_gpu = f.gpu_confidential = false;
    memset(f.gpu_model, 0, sizeof f.gpu_model);
    return f;
}

static void make(uint8_t out[EVIDENCE_BYTES], const struct evidence_facts *f)
{
    struct buffer b = buffer_make(out, EVIDENCE_BYTES);
    assert_int_equal(evidence_simulate(&b, f, binding), OK);
    assert_int_equal(b.len, EVIDENCE_BYTES);
}

/* Sign changed bytes again: anybody can, the root's secret is public. So the other checks must hold by themselves. */
static void sign_again(uint8_t bytes[EVIDENCE_BYTES])
{
    struct identity_secret root;
    struct signature sig;
    memcpy(root.bytes, "SIMULATED-TEST-ROOT-NOT-A-SECRET", 32);
    assert_int_equal(
        identity_sign(&sig, &root,
                      HASH_FRAMED("perigee/simulated-evidence/v1", span_make(bytes, SIGNED_BYTES))),
        OK);
    memcpy(bytes + AT_SIGNATURE, sig.bytes, 64);
}

static void assert_refused_at(struct span bytes, struct hash32 bound, uint64_t now_ms,
                              const struct evidence_policy *p, const char *expected)
{
    struct evidence_result out;
    static const struct evidence_result nothing;
    const char *field = NULL;
    memset(&out, 0xee, sizeof out);
    assert_int_equal(evidence_check(&out, &field, bytes, bound, now_ms, p), ERR_EVIDENCE);
    assert_non_null(field);
    assert_string_equal(field, expected);
    assert_memory_equal(&out, &nothing, sizeof out);
}

static void assert_refused(const uint8_t bytes[EVIDENCE_BYTES], const char *expected)
{
    assert_refused_at(span_make(bytes, EVIDENCE_BYTES), binding, NOW, &policy, expected);
}

static void assert_accepted(const uint8_t bytes[EVIDENCE_BYTES], struct evidence_result *out)
{
    const char *field = "";
    assert_int_equal(evidence_check(out, &field, span_make(bytes, EVIDENCE_BYTES), binding, NOW, &policy),
                     OK);
    assert_null(field);
}

/* From PROTOCOL.md with Python's hashlib. */
static void bytes_known(void **state)
{
    static const char with_gpu[] = "0001000144444444444444444444444444444444444444444444444444444444444444445"
                                   "555555555555555555555555555555555555555"
                                   "555555555555555555555555854d524f975f400282f391e5365658d396f30ea953dc156eb"
                                   "a70c32e3a377e630000018bcfe5680001014e56"
                                   "4944494120483230300000000000000000000000000000000000000000000000000000000"
                                   "0000000000000000000b9de77da51a5abd29a60"
                                   "acbc3698610f3a02157270293dae9b9c8bd96e1aed1b";
    static const char report_without[] = "7efa7a3a48f7667d5591de55ce2ee3802337872ad37a5ec067b289ac5a1bf645";
    uint8_t bytes[EVIDENCE_BYTES], expected[SIGNED_BYTES];
    struct evidence_facts none = without_gpu();
    (void)state;
    make(bytes, &facts);
    assert_int_equal(hex_decode(expected, SIGNED_BYTES, span_text(with_gpu)), OK);
    assert_memory_equal(bytes, expected, SIGNED_BYTES);
    make(bytes, &none);
    assert_int_equal(hex_decode(expected, 32, span_text(report_without)), OK);
    assert_memory_equal(bytes + AT_REPORT, expected, 32);
    memset(expected, 0, sizeof expected);
    assert_memory_equal(bytes + AT_GPU, expected, AT_SIGNATURE - AT_GPU);
}

static void accepted_with_facts(void **state)
{
    uint8_t bytes[EVIDENCE_BYTES];
    struct evidence_result out;
    struct evidence_facts none = without_gpu();
    (void)state;
    make(bytes, &facts);
    assert_accepted(bytes, &out);
    assert_int_equal(out.kind, EVIDENCE_SIMULATED);
    assert_true(ID_EQUAL(out.measurement, facts.measurement));
    assert_true(ID_EQUAL(out.platform_id, facts.platform_id));
    assert_true(out.has_gpu && out.gpu_confidential);
    assert_string_equal(out.gpu_model, "NVIDIA H200");
    assert_true(out.time_ms == facts.time_ms);
    make(bytes, &none);
    assert_accepted(bytes, &out);
    assert_false(out.has_gpu || out.gpu_confidential);
    assert_string_equal(out.gpu_model, "");
}

static void every_byte_counts(void **state)
{
    uint8_t bytes[EVIDENCE_BYTES + 1];
    (void)state;
    make(bytes, &facts);
    for (size_t at = 0; at < EVIDENCE_BYTES; at++) {
        struct evidence_result out;
        const char *field = NULL;
        bytes[at] ^= 1;
        assert_int_equal(
            evidence_check(&out, &field, span_make(bytes, EVIDENCE_BYTES), binding, NOW, &policy),
            ERR_EVIDENCE);
        assert_non_null(field);
        bytes[at] ^= 1;
    }
    bytes[EVIDENCE_BYTES] = 0;
    for (size_t len = 0; len <= EVIDENCE_BYTES + 1; len++)
        if (len != EVIDENCE_BYTES)
            assert_refused_at(span_make(bytes, len), binding, NOW, &policy, "canonical");
}

static void signature_refused(void **state)
{
    uint8_t bytes[EVIDENCE_BYTES];
    (void)state;
    make(bytes, &facts);
    bytes[AT_SIGNATURE + 40] ^= 1;
    assert_refused(bytes, "signature");
    make(bytes, &facts);
    bytes[AT_MEASUREMENT + 40] ^= 1; /* the platform id: only the signature covers it */
    assert_refused(bytes, "signature");
}

static void binding_refused(void **state)
{
    uint8_t bytes[EVIDENCE_BYTES], other_bytes[EVIDENCE_BYTES];
    struct hash32 other = binding;
    struct evidence_facts none = without_gpu(), model = facts;
    (void)state;
    other.bytes[0] ^= 1;
    make(bytes, &facts);
    assert_refused_at(SPAN_OF(bytes), other, NOW, &policy, "gpu-nonce");
    bytes[AT_NONCE] ^= 1;
    sign_again(bytes);
    assert_refused(bytes, "gpu-nonce");
    make(bytes, &none);
    assert_refused_at(SPAN_OF(bytes), other, NOW, &policy, "report-data");
    make(bytes, &facts);
    bytes[AT_REPORT] ^= 1;
    sign_again(bytes);
    assert_refused(bytes, "report-data");
    /* Another GPU's evidence, itself fresh for this run, under this processor's report. */
    model.gpu_model[0] = 'X';
    make(bytes, &facts);
    make(other_bytes, &model);
    memcpy(bytes + AT_GPU, other_bytes + AT_GPU, AT_SIGNATURE - AT_GPU);
    sign_again(bytes);
    assert_refused(bytes, "report-data");
    /* And no GPU where the report names one. */
    make(bytes, &facts);
    memset(bytes + AT_GPU, 0, AT_SIGNATURE - AT_GPU);
    sign_again(bytes);
    assert_refused(bytes, "report-data");
}

static void measurement_refused(void **state)
{
    uint8_t bytes[EVIDENCE_BYTES];
    struct evidence_facts other = facts;
    struct evidence_policy none = policy, first = policy;
    (void)state;
    other.measurement.bytes[31] ^= 1;
    make(bytes, &other);
    assert_refused(bytes, "measurement");
    make(bytes, &facts);
    none.measurement_count = 0;
    assert_refused_at(SPAN_OF(bytes), binding, NOW, &none, "measurement");
    first.measurement_count = 1; /* the second entry, which matches, is not part of the list */
    assert_refused_at(SPAN_OF(bytes), binding, NOW, &first, "measurement");
    none.measurement_count = EVIDENCE_MEASUREMENTS_MAX + 1;
    expect_assert_failure(assert_refused_at(SPAN_OF(bytes), binding, NOW, &none, "measurement"));
}

static void age_refused(void **state)
{
    uint8_t bytes[EVIDENCE_BYTES];
    struct evidence_result out;
    struct evidence_facts f = facts;
    static const struct {
        int64_t offset;
        bool good;
    } cases[] = {
        {-60001, false}, {-60000, true}, {0, true}, {5000, true}, {5001, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f.time_ms = (uint64_t)((int64_t)NOW + cases[i].offset);
        make(bytes, &f);
        if (cases[i].good)
            assert_accepted(bytes, &out);
        else
            assert_refused(bytes, cases[i].offset > 0 ? "ahead" : "age");
    }
    f.time_ms = 0;
    make(bytes, &f);
    assert_refused(bytes, "age");
    f.time_ms = UINT64_MAX;
    make(bytes, &f);
    assert_refused(bytes, "ahead");
}

static void policy_refused(void **state)
{
    uint8_t bytes[EVIDENCE_BYTES];
    struct evidence_facts none = without_gpu();
    struct evidence_facts open_mode = facts;
    struct evidence_policy p = policy;
    struct evidence_result out;
    const char *field;
    (void)state;
    make(bytes, &facts);
    p.allow_simulated = false;
    assert_refused_at(SPAN_OF(bytes), binding, NOW, &p, "kind");
    bytes[AT_KIND + 1] = 2;
    sign_again(bytes);
    assert_refused(bytes, "kind");
    p = policy;
    p.need_gpu = true;
    make(bytes, &none);
    assert_refused_at(SPAN_OF(bytes), binding, NOW, &p, "gpu");
    make(bytes, &facts);
    assert_int_equal(evidence_check(&out, &field, SPAN_OF(bytes), binding, NOW, &p), OK);
    open_mode.gpu_confidential = false; /* a GPU whose memory its host reads */
    make(bytes, &open_mode);
    assert_refused_at(SPAN_OF(bytes), binding, NOW, &p, "gpu");
    p.need_gpu = false;
    assert_int_equal(evidence_check(&out, &field, SPAN_OF(bytes), binding, NOW, &p), OK);
    assert_true(out.has_gpu && !out.gpu_confidential);
}

/* A second spelling of the same facts is refused even under a good signature. */
static void spelling_refused(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } cases[] = {
        {0, 1},
        {1, 2},
        {AT_GPU, 2},
        {AT_MODE, 2},
        {AT_MODEL, 0},
        {AT_MODEL + 3, '\n'},
        {AT_MODEL + 3, 0x80},
        {AT_MODEL + 20, 'x'},
        {AT_MODEL + 47, 1},
    };
    uint8_t bytes[EVIDENCE_BYTES];
    struct evidence_facts none = without_gpu();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make(bytes, &facts);
        bytes[cases[i].at] = cases[i].value;
        sign_again(bytes);
        assert_refused(bytes, "canonical");
    }
    for (size_t at = AT_MODE; at < AT_SIGNATURE; at++) {
        make(bytes, &none);
        bytes[at] = 1;
        sign_again(bytes);
        assert_refused(bytes, "canonical");
    }
}

static void bad_facts_not_stated(void **state)
{
    uint8_t bytes[EVIDENCE_BYTES];
    struct buffer b = BUFFER_OF(bytes), small = buffer_make(bytes, EVIDENCE_BYTES - 1);
    struct evidence_facts f = facts;
    (void)state;
    f.has_gpu = false;
    assert_int_equal(evidence_simulate(&b, &f, binding), ERR_RANGE);
    f = facts;
    memset(f.gpu_model, 'x', sizeof f.gpu_model);
    assert_int_equal(evidence_simulate(&b, &f, binding), ERR_RANGE);
    f = without_gpu();
    f.has_gpu = true;
    assert_int_equal(evidence_simulate(&b, &f, binding), ERR_RANGE);
    assert_int_equal(b.len, 0);
    assert_int_equal(evidence_simulate(&small, &facts, binding), ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_known),       cmocka_unit_test(accepted_with_facts),
        cmocka_unit_test(every_byte_counts), cmocka_unit_test(signature_refused),
        cmocka_unit_test(binding_refused),   cmocka_unit_test(measurement_refused),
        cmocka_unit_test(age_refused),       cmocka_unit_test(policy_refused),
        cmocka_unit_test(spelling_refused),  cmocka_unit_test(bad_facts_not_stated),
    };
    return cmocka_run_group_tests_name("crypto/evidence", tests, set_up, NULL);
}
