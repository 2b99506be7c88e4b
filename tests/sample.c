#include "tests/sample.h"

#include "crypto/types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The formatter breaks string concatenation beyond reading. */
/* clang-format off */
#define MEMBER(digits, organisation, jurisdiction)                                                           \
    "{\"dkg\":\"" SAMPLE_ID("d" digits) "\",\"jurisdiction\":\"" jurisdiction                                \
    "\",\"kem\":\"" SAMPLE_ID("c" digits) "\",\"node\":\"" SAMPLE_ID("a" digits)                             \
    "\",\"organisation\":\"" organisation "\",\"roles\":[\"custodian\",\"owner\",\"steward\"]}"

const char sample_charter[] =
    "{\"accept_simulated\":true,\"drift_ppm\":200,\"evidence_age_max_ms\":600000,\"extra\":{\"motto\":\"ad fontes\"},"
    "\"lease_ms\":1000,\"members\":["
    MEMBER("1", "budapest", "EU") ","
    MEMBER("2", "cleveland", "US-OH") ","
    MEMBER("3", "long-beach", "US-CA") ","
    MEMBER("4", "zurich", "CH") ","
    "{\"approval\":\"" SAMPLE_ID("b5") "\",\"jurisdiction\":\"CH\",\"kem\":\"" SAMPLE_ID("c5") "\",\"node\":\""
    SAMPLE_ID("a5") "\",\"organisation\":\"gpu-hall\",\"roles\":[\"compute\",\"requester\"]}],"
    "\"name\":\"heart\",\"perigee\":\"charter/1\",\"rank_delay_ms\":50,\"skew_max_ms\":60000,"
    "\"thresholds\":{\"f\":1,\"k\":2,\"q\":3,\"s\":3,\"t\":3},\"version\":1}";

const char sample_ddo[] =
    "{\"dataset\":{\"budget\":\"8.5\",\"currency\":\"epsilon\",\"row_count\":303,\"row_count_exact\":true,\"schema\":["
    "{\"name\":\"patient_id\",\"type\":\"integer\"},{\"name\":\"age\",\"type\":\"integer\"},"
    "{\"name\":\"trestbps\",\"type\":\"decimal\"},{\"name\":\"y\",\"type\":\"boolean\"}],"
    "\"unit_column\":\"patient_id\"},\"description\":\"Heart disease, Z\xc3\xbcrich\",\"dt\":\"dt:perigee:"
    SAMPLE_ID("e1") "\",\"extra\":{\"price\":\"0\"},\"jurisdiction\":\"CH\",\"name\":\"heart-zurich\","
    "\"perigee\":\"ddo/1\",\"services\":[{\"child_dts\":[],\"endpoint\":\"tcp://10.0.0.4:7000\","
    "\"supported_ops\":[\"" SAMPLE_ID("0a") "\"],\"type\":\"aggregate\"}],\"type\":\"dataset\"}";

const char sample_algorithm[] =
    "{\"description\":\"\",\"dt\":\"dt:perigee:" SAMPLE_ID("f0") "\",\"jurisdiction\":\"EU\",\"name\":\"study\","
    "\"perigee\":\"ddo/1\",\"services\":[{\"child_dts\":[\"dt:perigee:" SAMPLE_ID("e1") "\",\"dt:perigee:"
    SAMPLE_ID("e2") "\"],\"endpoint\":\"\",\"supported_ops\":[],\"type\":\"study\"}],\"type\":\"algorithm\"}";

const char sample_composite[] =
    "{\"description\":\"\",\"dt\":\"dt:perigee:" SAMPLE_ID("c0") "\",\"jurisdiction\":\"EU\",\"name\":\"two-banks\","
    "\"perigee\":\"ddo/1\",\"services\":[{\"child_dts\":[\"dt:perigee:" SAMPLE_ID("e2") "\",\"dt:perigee:"
    SAMPLE_ID("e1") "\"],\"endpoint\":\"tcp://bank:1\",\"supported_ops\":[\"" SAMPLE_ID("0a") "\"],\"type\":\"joint\","
    "\"workflows\":[{\"configs\":{\"allow_raw\":false,\"eps\":0,\"note\":\"\"},\"set_ops\":{\"dt:perigee:"
    SAMPLE_ID("e1") "\":\"" SAMPLE_ID("0b") "\",\"dt:perigee:" SAMPLE_ID("e2") "\":\"" SAMPLE_ID("0c")
    "\",\"self\":\"" SAMPLE_ID("0a") "\"}}]}],\"type\":\"composite\"}";

const char sample_policy[] =
    "{\"export\":\"to-enclave\",\"jurisdictions\":[\"EU\",\"CH\"],\"need_gpu\":false,\"owner_veto\":true,\"perigee\":\"policy/1\"}";

const char sample_op[] =
    "{\"code\":\"" SAMPLE_ID("0c") "\",\"description\":\"counts and sums\",\"name\":\"table\","
    "\"output\":\"aggregate\",\"perigee\":\"op/1\",\"runtime\":\"select\"}";

const char sample_template[] =
    "{\"counts\":{\"least\":1,\"most\":16},\"derived\":{\"least\":0,\"most\":16},"
    "\"groups\":{\"least\":1,\"most\":4},\"name\":\"table\",\"perigee\":\"template/1\","
    "\"sums\":{\"least\":0,\"most\":16}}";

#define INPUT(digits, owner, name)                                                                           \
    "{\"dt\":\"dt:perigee:" SAMPLE_ID("e" digits) "\",\"name\":\"" name "\",\"owner\":\""                    \
    SAMPLE_ID("a" owner) "\",\"schema\":\"" SAMPLE_ID("5c") "\"}"
#define WORKFLOW_BEGIN                                                                                       \
    "{\"app_id\":\"dt:perigee:" SAMPLE_ID("f0") "\",\"attestation\":{\"evidence\":[\"simulated\",\"tdx\"],"  \
    "\"gpu\":\"none\",\"workers\":\"default\"},\"description\":\"Blood pressure by age\","                   \
    "\"engine\":\"int-gate/1\",\"extra\":{\"ticket\":17},\"inputs\":["                                       \
    INPUT("1", "1", "budapest") "," INPUT("2", "2", "cleveland") "," INPUT("3", "2", "cleveland-2")          \
    "],\"mode\":\"enclave\",\"name\":\"heart-pressure\",\"output\":{\"max_bytes\":16384,\"readers\":[\""     \
    SAMPLE_ID("a4") "\"],\"type\":"
#define WORKFLOW_MIDDLE                                                                                      \
    "\"quorum\":{\"owners\":2},\"requesters\":[\"" SAMPLE_ID("a5") "\"],\"residency\":{\"allow\":[\"EU\","   \
    "\"CH\"]},\"steps\":["

const char sample_workflow[] =
    WORKFLOW_BEGIN "\"aggregate\"},"
    "\"parameters\":[{\"lower\":18,\"name\":\"min_age\",\"type\":\"integer\",\"upper\":90},"
    "{\"domain\":[\"north\",\"south\"],\"name\":\"site\",\"type\":\"text\"}],"
    "\"perigee\":\"workflow/1\",\"privacy\":{\"currency\":\"epsilon\",\"delta\":\"0\","
    "\"epsilon\":\"1.5\",\"mechanism\":\"discrete-laplace\",\"scope\":\"per-owner\",\"unit\":\"patient_id\"},"
    WORKFLOW_MIDDLE
    "{\"derived\":[{\"denominator\":\"n\",\"name\":\"prevalence\",\"numerator\":\"positive\"},"
    "{\"denominator\":\"n\",\"name\":\"bp_mean\",\"numerator\":\"bp_sum\"}],"
    "\"groups\":[{\"domain\":[\"<50\",\"50-59\",\"60+\"],\"name\":\"age_band\"},"
    "{\"domain\":[\"f\",\"m\"],\"name\":\"sex\"}],"
    "\"op\":\"" SAMPLE_ID("0a") "\",\"rows_per_unit\":2,\"runtime\":\"select\","
    "\"select\":\"SELECT patient_id, age_band, sex, y AS positive, trestbps AS resting_bp FROM input "
    "WHERE age >= $min_age AND ward = $site\","
    "\"statistics\":[{\"column\":\"\",\"epsilon\":\"0.5\",\"kind\":\"count\",\"name\":\"n\"},"
    "{\"column\":\"positive\",\"epsilon\":\"0.25\",\"kind\":\"count\",\"name\":\"positive\"},"
    "{\"column\":\"resting_bp\",\"epsilon\":\"0.75\",\"kind\":\"sum\",\"lower\":\"80\",\"name\":\"bp_sum\","
    "\"places\":1,\"upper\":\"200.5\"}]}]}";

const char sample_workflow_rows[] =
    WORKFLOW_BEGIN "\"rows\"},\"perigee\":\"workflow/1\",\"privacy\":\"none\"," WORKFLOW_MIDDLE
    "{\"op\":\"" SAMPLE_ID("0b") "\",\"runtime\":\"sql\","
    "\"select\":\"SELECT age, avg(trestbps) AS bp FROM cleveland GROUP BY age\"}]}";

#define HEX_16 "0123456789abcdef0123456789abcdef"
#define HEX_176 HEX_16 HEX_16 HEX_16 HEX_16 HEX_16 HEX_16 HEX_16 HEX_16 HEX_16 HEX_16 HEX_16
#define HEX_80  HEX_16 HEX_16 HEX_16 HEX_16 HEX_16
_Static_assert(sizeof(HEX_80) - 1 == 2 * VETO_BOX_BYTES, "and its half that of one");
_Static_assert(sizeof(HEX_176) - 1 == 2 * ENVELOPE_BYTES, "the sample's envelope has the length of one");

const char sample_manifest[] =
    "{\"app_id\":\"dt:perigee:" SAMPLE_ID("f0") "\",\"chunk_count\":3,\"commitment\":\"" SAMPLE_ID("01")
    "\",\"compose\":\"" SAMPLE_ID("02") "\",\"content\":\"" SAMPLE_ID("03") "\",\"dt\":\"dt:perigee:" SAMPLE_ID("e1")
    "\",\"envelope\":\"" HEX_176 "\",\"half\":\"" HEX_80 "\",\"leaves\":\"" SAMPLE_ID("04") "\",\"metadata\":\"00ff10\",\"owner\":\""
    SAMPLE_ID("a1") "\",\"perigee\":\"manifest/1\",\"plain_len\":2097152,\"policy\":\"" SAMPLE_ID("05")
    "\",\"root\":\"" SAMPLE_ID("06") "\",\"root_key_id\":\"" SAMPLE_ID("07") "\",\"row_count\":303,\"salt\":\""
    SAMPLE_ID("08") "\",\"suite\":1}";
/* clang-format on */

static _Alignas(16) uint8_t memory[1 << 20];
static struct arena arena;
static char text[65536];

struct arena *sample_arena(void)
{
    memset(memory, 0, sizeof memory);
    arena = arena_make(memory, sizeof memory);
    return &arena;
}

struct span sample_with(const char *sample, const char *find, const char *replace)
{
    const char *at = strstr(sample, find);
    if (at == NULL) fail_msg("the sample does not contain %s", find);
    int len = snprintf(text, sizeof text, "%.*s%s%s", (int)(at - sample), sample, replace, at + strlen(find));
    assert_true(len > 0 && (size_t)len < sizeof text);
    return span_make(text, (size_t)len);
}

/* Faults of the syntax name a byte; which one is the business of the JSON tests. */
static bool path_matches(const char *path, const char *expected)
{
    return strcmp(path, expected) == 0 || (strcmp(expected, "byte") == 0 && strncmp(path, "byte ", 5) == 0);
}

void sample_refused(const char *sample, sample_parse *parse, const struct sample_refusal *refusals,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct sample_refusal *refusal = &refusals[i];
        struct json_fault fault;
        struct span bytes = sample_with(sample, refusal->find, refusal->replace);
        enum err err = parse(sample_arena(), bytes, &fault);
        bool as_expected = err == refusal->err && path_matches(fault.path, refusal->path) &&
                           strncmp(fault.expected, refusal->expected, strlen(refusal->expected)) == 0;
        if (!as_expected) {
            fail_msg("%s -> %s: %s, %s: %s", refusal->find, refusal->replace, err_name(err), fault.path,
                     fault.expected);
        }
        assert_int_equal(arena.used, 0); /* a refused document leaves nothing behind */
        assert_int_equal(parse(sample_arena(), bytes, NULL), refusal->err);
    }
}

void sample_starved(const char *sample, sample_parse *parse)
{
    struct json_fault fault;
    enum err err = ERR_NO_MEMORY;
    for (size_t cap = 0; err != OK; cap += 112) {
        struct arena *small = sample_arena();
        assert_true(cap <= small->cap);
        small->cap = cap;
        err = parse(small, span_text(sample), &fault);
        assert_true(err == OK || err == ERR_NO_MEMORY || err == ERR_TOO_LARGE);
        assert_true(err == OK || small->used == 0);
    }
}
