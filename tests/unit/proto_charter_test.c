/* charter/1: the sample parses to what it says, everything contradictory is refused with its place, the writer gives
 * the same bytes, and the thresholds accepted are exactly those under which quorums intersect. */
#include "crypto/hash.h"
#include "proto/charter.h"
#include "tests/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static enum err parse(struct arena *arena, struct span bytes, struct json_fault *fault)
{
    struct charter *c = NULL;
    return charter_parse(&c, arena, bytes, fault);
}

static struct charter *parse_sample(struct span bytes)
{
    struct charter *c = NULL;
    struct json_fault fault;
    enum err err = charter_parse(&c, sample_arena(), bytes, &fault);
    if (err != OK) fail_msg("%s: %s: %s", err_name(err), fault.path, fault.expected);
    return c;
}

static void test_fields(void **state)
{
    (void)state;
    struct charter *c = parse_sample(span_text(sample_charter));
    struct hash32 hash = sha256(span_text(sample_charter));
    assert_memory_equal(c->hash.bytes, hash.bytes, 32);
    assert_true(span_equal_text(c->bytes, sample_charter));
    assert_true(span_equal_text(c->name, "heart"));
    assert_int_equal(c->version, 1);
    assert_true(ID_IS_ZERO(c->previous));
    assert_int_equal(c->f, 1);
    assert_int_equal(c->k, 2);
    assert_int_equal(c->q, 3);
    assert_int_equal(c->s, 3);
    assert_int_equal(c->t, 3);
    assert_true(c->accept_simulated);
    assert_int_equal(c->lease_ms, 1000);
    assert_int_equal(c->drift_ppm, 200);
    assert_int_equal(c->rank_delay_ms, 50);
    assert_int_equal(c->skew_max_ms, 60000);
    assert_int_equal(c->evidence_age_max_ms, 600000);
    assert_non_null(c->extra);
    assert_int_equal(c->member_count, 5);
    assert_int_equal(c->custodian_count, 4);
    assert_int_equal(c->steward_count, 4);
}

static void test_members(void **state)
{
    (void)state;
    struct charter *c = parse_sample(span_text(sample_charter));
    const struct charter_member *first = &c->member[0], *last = &c->member[4];
    assert_int_equal(first->roles, ROLE_CUSTODIAN | ROLE_OWNER | ROLE_STEWARD);
    assert_true(span_equal_text(first->organisation, "budapest"));
    assert_true(span_equal_text(c->member[1].jurisdiction, "US-OH"));
    assert_true(ID_EQUAL(first->approval, first->node));
    assert_int_equal(first->node.bytes[0], 0xa1);
    assert_int_equal(first->kem.bytes[0], 0xc1);
    assert_int_equal(first->dkg.bytes[0], 0xd1);
    assert_int_equal(last->roles, ROLE_COMPUTE | ROLE_REQUESTER);
    assert_int_equal(last->approval.bytes[0], 0xb5);
    assert_int_equal(last->dkg.bytes[0], 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(charter_custodian(c, c->member[i].node), i);
        assert_int_equal(charter_steward(c, c->member[i].node), i);
    }
    assert_int_equal(charter_custodian(c, last->node), -1);
    assert_int_equal(charter_steward(c, last->node), -1);
}

static void test_second_version(void **state)
{
    (void)state;
    struct span bytes = sample_with(sample_charter, "\"version\":1}", "\"version\":2}");
    assert_int_equal(parse(sample_arena(), bytes, NULL), ERR_MISSING_FIELD);
    bytes = sample_with(sample_charter, "\"rank_delay_ms\":50",
                        "\"previous\":\"" SAMPLE_ID("77") "\",\"rank_delay_ms\":50");
    assert_int_equal(parse(sample_arena(), bytes, NULL), ERR_REFUSED);
    bytes = sample_with(sample_charter,
                        "\"rank_delay_ms\":50,\"skew_max_ms\":60000,"
                        "\"thresholds\":{\"f\":1,\"k\":2,\"q\":3,\"s\":3,\"t\":3},\"version\":1}",
                        "\"previous\":\"" SAMPLE_ID(
                            "77") "\",\"rank_delay_ms\":50,\"skew_max_ms\":60000,"
                                  "\"thresholds\":{\"f\":1,\"k\":2,\"q\":3,\"s\":3,\"t\":3},\"version\":2}");
    struct charter *c = parse_sample(bytes);
    assert_int_equal(c->version, 2);
    assert_int_equal(c->previous.bytes[0], 0x77);
}

#define THRESHOLDS "\"f\":1,\"k\":2,\"q\":3,\"s\":3,\"t\":3"
#define LAST_NODE  "\"node\":\"" SAMPLE_ID("a5") "\""

static void test_refusals(void **state)
{
    (void)state;
    static const struct sample_refusal refusals[] = {
        {"charter/1", "charter/2", ERR_VERSION, "perigee", "charter/1"},
        {"\"perigee\":\"charter/1\",", "", ERR_MISSING_FIELD, "perigee", ""},
        {"\"version\":1}", "\"version\":1,\"x\":1}", ERR_UNKNOWN_FIELD, "x", ""},
        {"\"version\":1}", "\"version\":0}", ERR_RANGE, "version", "integer from 1"},
        {"\"version\":1}", "\"version\":1} ", ERR_NOT_CANONICAL, "byte", ""},
        {"\"heart\"", "\"Heart\"", ERR_SYNTAX, "name", "1 to 64"},
        {"\"accept_simulated\":true", "\"accept_simulated\":1", ERR_TYPE, "accept_simulated",
         "true or false"},
        {"\"lease_ms\":1000", "\"lease_ms\":0", ERR_RANGE, "lease_ms", ""},
        {"\"members\":[", "\"maker_devices\":0,\"members\":[", ERR_RANGE, "maker_devices", "integer from 1"},
        {"\"members\":[", "\"maker_devices\":1025,\"members\":[", ERR_RANGE, "maker_devices", ""},
        {"\"extra\":{", "\"extra\":[{", ERR_SYNTAX, "byte", ""},
        {"{\"motto\":\"ad fontes\"}", "3", ERR_TYPE, "extra", "an object"},
        /* members */
        {"\"jurisdiction\":\"EU\"", "\"jurisdiction\":\"Europe\"", ERR_SYNTAX, "members[0].jurisdiction", ""},
        {"\"kem\":\"" SAMPLE_ID("c2") "\"", "\"kem\":\"" SAMPLE_ID("c1") "\"", ERR_DUPLICATE,
         "members[1].kem", ""},
        {"\"dkg\":\"" SAMPLE_ID("d2") "\"", "\"dkg\":\"" SAMPLE_ID("d1") "\"", ERR_DUPLICATE,
         "members[1].dkg", ""},
        {SAMPLE_ID("c1"), "", ERR_SYNTAX, "members[0].kem", "64 lower-case"},
        {SAMPLE_ID("c1"), "0000000000000000000000000000000000000000000000000000000000000000", ERR_SYNTAX,
         "members[0].kem", "64 lower-case"},
        {LAST_NODE, "\"node\":\"" SAMPLE_ID("a4") "\"", ERR_NOT_CANONICAL, "members[4].node",
         "members in the order"},
        {LAST_NODE, "\"node\":\"" SAMPLE_ID("b5") "\"", ERR_NOT_CANONICAL, "members[4].approval",
         "another key"},
        {SAMPLE_ID("b5"), SAMPLE_ID("a1"), ERR_DUPLICATE, "members[4].approval",
         "an approval key that nobody"},
        {"\"roles\":[\"compute\",\"requester\"]", "\"platforms\":[],\"roles\":[\"compute\",\"requester\"]",
         ERR_RANGE, "members[4].platforms", ""},
        {"\"organisation\":\"zurich\"", "\"organisation\":\"budapest\"", ERR_DUPLICATE,
         "members[3].organisation", "at most one custodian and one steward"},
        {"\"organisation\":\"zurich\"", "\"organisation\":\"Zurich\"", ERR_SYNTAX, "members[3].organisation",
         ""},
        {"[\"compute\",\"requester\"]", "[\"requester\",\"compute\"]", ERR_NOT_CANONICAL, "members[4].roles",
         ""},
        {"[\"compute\",\"requester\"]", "[\"compute\",\"compute\"]", ERR_DUPLICATE, "members[4].roles[1]",
         ""},
        {"[\"compute\",\"requester\"]", "[\"king\"]", ERR_SYNTAX, "members[4].roles[0]", "a role"},
        {"[\"compute\",\"requester\"]", "[7]", ERR_TYPE, "members[4].roles[0]", "a string"},
        {"[\"compute\",\"requester\"]", "[]", ERR_RANGE, "members[4].roles", "array of 1"},
        {"[\"compute\",\"requester\"]", "[\"custodian\"]", ERR_MISSING_FIELD, "members[4].dkg", ""},
        {"[\"custodian\",\"owner\",\"steward\"]", "[\"owner\",\"steward\"]", ERR_UNKNOWN_FIELD,
         "members[0].dkg", ""},
        /* thresholds, n = 4, 4 stewards */
        {THRESHOLDS, "\"f\":1,\"k\":2,\"q\":2,\"s\":3,\"t\":3", ERR_RANGE, "thresholds.q", "2q > n + f"},
        {THRESHOLDS, "\"f\":1,\"k\":2,\"q\":4,\"s\":3,\"t\":3", ERR_RANGE, "thresholds.q", "q <= n - f"},
        {THRESHOLDS, "\"f\":0,\"k\":2,\"q\":5,\"s\":3,\"t\":3", ERR_RANGE, "thresholds.q", "q <= n - f"},
        {THRESHOLDS, "\"f\":1,\"k\":2,\"q\":3,\"s\":3,\"t\":1", ERR_RANGE, "thresholds.t", "t > f"},
        {THRESHOLDS, "\"f\":1,\"k\":2,\"q\":3,\"s\":3,\"t\":4", ERR_RANGE, "thresholds.t", "t <= n - f"},
        {THRESHOLDS, "\"f\":1,\"k\":2,\"q\":3,\"s\":3,\"t\":2", ERR_RANGE, "thresholds.t", "t + q > n + f"},
        {THRESHOLDS, "\"f\":1,\"k\":2,\"q\":3,\"s\":2,\"t\":3", ERR_RANGE, "thresholds.s", "2s > number"},
        {THRESHOLDS, "\"f\":1,\"k\":2,\"q\":3,\"s\":5,\"t\":3", ERR_RANGE, "thresholds.s", "s <= number"},
        {THRESHOLDS, "\"f\":1,\"k\":0,\"q\":3,\"s\":3,\"t\":3", ERR_RANGE, "thresholds.k", "integer from 1"},
        {THRESHOLDS, "\"f\":1,\"k\":2,\"q\":3,\"s\":3", ERR_MISSING_FIELD, "thresholds.t", ""},
    };
    sample_refused(sample_charter, parse, refusals, sizeof refusals / sizeof refusals[0]);
}

static void test_round_trip(void **state)
{
    (void)state;
    static uint8_t bytes[4096];
    struct charter *c = parse_sample(span_text(sample_charter));
    struct buffer out = BUFFER_OF(bytes);
    assert_int_equal(charter_write(&out, c), OK);
    assert_true(span_equal_text(buffer_span(&out), sample_charter));
    out = buffer_make(bytes, 100);
    assert_int_equal(charter_write(&out, c), ERR_TOO_LARGE);
}

/* Two quorums of votes share an honest custodian, and so do votes and shares; both can be reached without the faulty;
 * the faulty alone cannot open anything. Stated on sets, not by the formulas. */
static bool thresholds_are_sound(int n, int f, int q, int t)
{
    int votes_in_common = 2 * q - n, votes_and_shares = q + t - n;
    return votes_in_common > f && votes_and_shares > f && n - f >= q && n - f >= t && t > f;
}

static void test_thresholds(void **state)
{
    (void)state;
    char text[64];
    const int n = 4;
    int accepted = 0;
    for (int f = 0; f <= n; f++) {
        for (int q = 1; q <= n + 1; q++) {
            for (int t = 1; t <= n + 1; t++) {
                struct buffer out = {(uint8_t *)text, 0, sizeof text, false};
                buffer_put_text(&out, "\"f\":");
                buffer_put_decimal(&out, f);
                buffer_put_text(&out, ",\"k\":2,\"q\":");
                buffer_put_decimal(&out, q);
                buffer_put_text(&out, ",\"s\":3,\"t\":");
                buffer_put_decimal(&out, t);
                buffer_put_zero(&out);
                bool accepts =
                    parse(sample_arena(), sample_with(sample_charter, THRESHOLDS, text), NULL) == OK;
                assert_int_equal(accepts, thresholds_are_sound(n, f, q, t));
                accepted += accepts;
            }
        }
    }
    assert_true(accepted > 0);
}

/* 32 custodians, q = 25 and f = 7: with so high a t the keys' certificate would fit no record, and no committee formed. */
static enum err parse_large(uint32_t t)
{
    static struct charter_member member[CAP_CUSTODIANS];
    static char organisation[CAP_CUSTODIANS][8];
    static uint8_t bytes[CAP_DOCUMENT_BYTES];
    struct buffer out = BUFFER_OF(bytes);
    struct charter c = {
        .name = SPAN_LITERAL("large"), .version = 1, .f = 7, .k = 1, .q = 25, .s = 17, .t = t};
    for (uint32_t i = 0; i < CAP_CUSTODIANS; i++) {
        struct charter_member *m = &member[i];
        memset(m, 0, sizeof *m);
        m->node.bytes[0] = m->kem.bytes[0] = m->dkg.bytes[0] = (uint8_t)(i + 1);
        m->approval = m->node;
        (void)snprintf(organisation[i], sizeof organisation[i], "o%u", i);
        m->organisation = span_text(organisation[i]);
        m->jurisdiction = SPAN_LITERAL("CH");
        m->roles = ROLE_CUSTODIAN | ROLE_STEWARD;
    }
    c.member = member;
    c.member_count = CAP_CUSTODIANS;
    c.evidence_age_max_ms = c.lease_ms = c.rank_delay_ms = c.skew_max_ms = 1000;
    assert_int_equal(charter_write(&out, &c), OK);
    return parse(sample_arena(), buffer_span(&out), NULL);
}

static void test_certificate_fits_its_record(void **state)
{
    (void)state;
    assert_int_equal(parse_large(22), OK);
    assert_int_equal(parse_large(23), ERR_RANGE);
    assert_int_equal(parse_large(25), ERR_RANGE);
}

static void test_platforms(void **state)
{
    (void)state;
    static uint8_t bytes[CAP_DOCUMENT_BYTES];
    struct buffer out = BUFFER_OF(bytes);
    const char roles[] = "\"roles\":[\"compute\",\"requester\"]";
    const char named[] =
        "\"platforms\":[\"" SAMPLE_ID("e1") "\",\"" SAMPLE_ID("e2") "\"],"
                                                                    "\"roles\":[\"compute\",\"requester\"]";
    assert_int_equal(parse_sample(span_text(sample_charter))->member[4].platforms.len, 0);
    struct charter *c = parse_sample(sample_with(sample_charter, roles, named));
    assert_int_equal(c->member[4].platforms.len, 64);
    assert_int_equal(c->member[4].platforms.data[32], 0xe2);
    assert_int_equal(charter_write(&out, c), OK);
    assert_true(span_equal(buffer_span(&out), c->bytes));
}

static void test_maker_devices(void **state)
{
    (void)state;
    static uint8_t bytes[CAP_DOCUMENT_BYTES];
    struct buffer out = BUFFER_OF(bytes);
    assert_int_equal(parse_sample(span_text(sample_charter))->maker_devices, 0);
    struct charter *c =
        parse_sample(sample_with(sample_charter, "\"members\":[", "\"maker_devices\":1024,\"members\":["));
    assert_int_equal(c->maker_devices, 1024);
    assert_int_equal(charter_write(&out, c), OK);
    assert_true(span_equal(buffer_span(&out), c->bytes));
}

static void test_starved(void **state)
{
    (void)state;
    sample_starved(sample_charter, parse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),     cmocka_unit_test(test_members),
        cmocka_unit_test(test_platforms),  cmocka_unit_test(test_second_version),
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_thresholds), cmocka_unit_test(test_certificate_fits_its_record),
        cmocka_unit_test(test_starved),    cmocka_unit_test(test_maker_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
