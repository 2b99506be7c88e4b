/* Receipts: a real one holds, link by link; bent in any byte, it breaks; each link breaks for its own reasons. */
#include "crypto/evidence.h"
#include "crypto/identity.h"
#include "node/verify.h"
#include "proto/receipt.h"
#include "proto/wire/pack.h"
#include "tests/world_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_MAX = 1 << 20 };

static struct world *world;
static struct world_run *run;
static uint8_t bundle[1 << 20], text[TEXT_MAX];
static struct receipt_parts parts;
static struct span receipt;
static struct receipt_replay good;
static struct arena *arena; /* of each replay, emptied before it */

static int setup(void **state)
{
    (void)state;
    union body body;
    world = world_new();
    run = world_run_new(world);
    arena = world_arena(world);
    world_run_start(run);
    assert_true(world_run_drive(run, 100));
    assert_int_equal(body_decode(&body, KIND_RECEIPT, run->result), OK);
    struct buffer b = BUFFER_OF(bundle), t = BUFFER_OF(text);
    assert_int_equal(bundle_collect(&b, world_registry(world, 0), world->run), OK);
    struct reading reading = world_run_reading(run, WORLD_REQUESTER);
    parts = (struct receipt_parts){world->consortium, buffer_span(&b), body.RECEIPT,
                                   reading.output,    reading.salt,    reading.signature};
    assert_int_equal(receipt_write(&t, &parts), OK);
    receipt = buffer_span(&t);
    assert_int_equal(receipt_replay(&good, world_arena(world), &parts, world->consortium), OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_run_free(run);
    world_free(world);
    return 0;
}

/* --- The keyed half, as node/verify.c does it ---------------------------------------------------------------------------- */

static bool same_check(const struct signature_check *a, const struct signature_check *b)
{
    return ID_EQUAL(a->author, b->author) && ID_EQUAL(a->message, b->message) && a->link == b->link &&
           memcmp(a->signature.bytes, b->signature.bytes, 64) == 0;
}

/* A check that the good receipt has as well need not be computed again: it held. */
static bool check_holds(const struct signature_check *c)
{
    for (uint32_t i = 0; i < good.check_count; i++)
        if (same_check(c, &good.check[i])) return true;
    return identity_verify(c->author, c->message, &c->signature) == OK;
}

static enum err check_evidence(const struct receipt_replay *r)
{
    struct evidence_policy policy = {.allow_simulated = true,
                                     .max_age_ms = 600000,
                                     .max_ahead_ms = 5000,
                                     .need_gpu = r->evidence_job.need_gpu};
    struct evidence_result result;
    const char *field;
    const struct crypto_job *job = &r->evidence_job;
    const struct charter *charter = registry_charter(r->bundle->registry);
    assert_true(job->accept_simulated && job->now_ms == r->median_ms);
    assert_int_equal(job->age_max_ms, policy.max_age_ms);
    assert_int_equal(job->ahead_max_ms, charter_ahead_max_ms(charter));
    policy.measurement_count = (uint32_t)(r->evidence_job.measurements.len / 32);
    memcpy(policy.measurement, r->evidence_job.measurements.data, r->evidence_job.measurements.len);
    return evidence_check(&result, &field, r->evidence_job.box, r->evidence_job.hash, r->median_ms, &policy);
}

/* The first broken link, or RECEIPT_LINK_COUNT. */
static uint32_t first_broken(const struct receipt_replay *r)
{
    for (uint32_t l = 0; l < RECEIPT_LINK_COUNT; l++) {
        if (r->err[l] != OK) return l;
        for (uint32_t i = 0; i < r->check_count; i++)
            if (r->check[i].link == l && !check_holds(&r->check[i])) return l;
        if (l == LINK_EVIDENCE && check_evidence(r) != OK) return l;
    }
    return RECEIPT_LINK_COUNT;
}

static uint32_t verify_parts(const struct receipt_parts *p, struct consortium_id anchor)
{
    static struct receipt_replay r;
    verify_memory_reset(arena);
    assert_int_equal(receipt_replay(&r, arena, p, anchor), OK);
    return first_broken(&r);
}

static uint32_t verify_text(struct span bytes)
{
    static struct receipt_replay r;
    struct receipt_parts p;
    verify_memory_reset(arena);
    if (receipt_parse(&p, arena, bytes, NULL) != OK) return LINK_DOCUMENT;
    assert_int_equal(receipt_replay(&r, arena, &p, world->consortium), OK);
    return first_broken(&r);
}

/* --- A good one ------------------------------------------------------------------------------------------------------ */

static void test_holds(void **state)
{
    (void)state;
    for (uint32_t l = 0; l < RECEIPT_LINK_COUNT; l++)
        if (good.err[l] != OK)
            fail_msg("%s: %s, %s", receipt_link_name(l), err_name(good.err[l]),
                     refusal_name(good.verdict[l].refusal));
    for (uint32_t i = 0; i < good.check_count; i++)
        assert_int_equal(
            identity_verify(good.check[i].author, good.check[i].message, &good.check[i].signature), OK);
    assert_int_equal(check_evidence(&good), OK);
    assert_true(good.simulated && good.output_known);
    assert_int_equal(good.release_count, 3);
    assert_int_equal(good.commit_count, 3);
    /* Clocks were 10, 20 and 30 ms apart. */
    struct record first, last;
    struct cursor c = cursor_make(parts.body.releases);
    struct span one;
    uint32_t count;
    assert_int_equal(unpack_array(&c, 3, &count), OK);
    assert_int_equal(unpack_bin(&c, 4096, &one), OK);
    assert_int_equal(record_unpack(&first, one), OK);
    assert_int_equal(unpack_bin(&c, 4096, &one), OK);
    assert_int_equal(unpack_bin(&c, 4096, &one), OK);
    assert_int_equal(record_unpack(&last, one), OK);
    assert_true(first.header.time_ms < good.median_ms && good.median_ms < last.header.time_ms);
}

static void test_text_round_trip(void **state)
{
    (void)state;
    static uint8_t again[TEXT_MAX];
    struct receipt_parts p;
    struct json_fault fault;
    struct buffer b = BUFFER_OF(again);
    verify_memory_reset(arena);
    if (receipt_parse(&p, arena, receipt, &fault) != OK) fail_msg("%s: %s", fault.path, fault.expected);
    assert_true(span_equal(p.bundle, parts.bundle));
    assert_true(span_equal(p.output, parts.output));
    assert_true(span_equal(p.body.releases, parts.body.releases));
    assert_int_equal(receipt_write(&b, &p), OK);
    assert_true(span_equal(buffer_span(&b), receipt));
    assert_int_equal(verify_text(receipt), RECEIPT_LINK_COUNT);
    for (size_t cap = 0; cap < receipt.len; cap += 4001) {
        struct buffer small = buffer_make(again, cap);
        assert_int_equal(receipt_write(&small, &p), ERR_TOO_LARGE);
    }
}

static void test_every_link_has_checks_or_rules(void **state)
{
    (void)state;
    static const enum receipt_link keyed[] = {LINK_RECORDS, LINK_APPROVALS, LINK_CERTIFICATE, LINK_RELEASES,
                                              LINK_CORE,    LINK_COMMITS,   LINK_ENDING};
    for (size_t i = 0; i < sizeof keyed / sizeof keyed[0]; i++) {
        bool found = false;
        for (uint32_t j = 0; j < good.check_count; j++) found |= good.check[j].link == keyed[i];
        assert_true(found);
    }
}

/* --- Any byte ---------------------------------------------------------------------------------------------------------- */

/* Another digit for a digit, so that the document still parses and the links themselves must notice. */
static uint8_t bend(uint8_t c)
{
    if ((c >= '0' && c <= '8') || (c >= 'a' && c <= 'e')) return (uint8_t)(c + 1);
    if (c == '9' || c == 'f') return (uint8_t)(c - 1);
    return (uint8_t)(c ^ 1);
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* In the middle of a hex string, where a digit is half a byte of a part and nothing else. */
static bool inside_hex(size_t at)
{
    if (at < 8 || at + 8 >= receipt.len) return false;
    for (size_t i = at - 8; i <= at + 8; i++)
        if (!is_hex(receipt.data[i])) return false;
    return true;
}

/* Every byte of the text that is not inside of hex, and each 251st that is; the rest of them below, where it is cheap. */
static void test_any_byte_of_the_text(void **state)
{
    (void)state;
    static uint8_t bent[TEXT_MAX];
    memcpy(bent, receipt.data, receipt.len);
    for (size_t at = 0; at < receipt.len; at++) {
        if (inside_hex(at) && at % 251 != 0) continue;
        bent[at] = bend(bent[at]);
        if (verify_text(span_make(bent, receipt.len)) == RECEIPT_LINK_COUNT)
            fail_msg("byte %zu may be changed", at);
        bent[at] = receipt.data[at];
    }
}

/* The text is nothing but its parts (test_text_round_trip), so: every byte of every part. */
static void bend_part(struct receipt_parts *p, struct span *part, const char *name)
{
    static uint8_t bent[TEXT_MAX];
    struct span whole = *part;
    memcpy(bent, whole.data, whole.len);
    *part = span_make(bent, whole.len);
    for (size_t at = 0; at < whole.len; at++) {
        bent[at] ^= (uint8_t)(at % 2 != 0 ? 1 : 0x10);
        if (verify_parts(p, world->consortium) == RECEIPT_LINK_COUNT)
            fail_msg("byte %zu of %s may be changed", at, name);
        bent[at] = whole.data[at];
    }
    *part = whole;
}

static void test_any_byte_of_the_parts(void **state)
{
    (void)state;
    struct receipt_parts p = parts;
    bend_part(&p, &p.bundle, "bundle");
    bend_part(&p, &p.body.core, "core");
    bend_part(&p, &p.body.certificate, "certificate");
    bend_part(&p, &p.body.evidence, "evidence");
    bend_part(&p, &p.body.releases, "releases");
    bend_part(&p, &p.body.commits, "commits");
    bend_part(&p, &p.body.ending, "ending");
    bend_part(&p, &p.output, "output");
    uint8_t *const fixed[] = {p.consortium.bytes, p.salt.bytes, p.body.run.bytes, p.body.core_signature.bytes,
                              p.response.bytes};
    static const size_t len[] = {32, 32, 32, 64, 64};
    for (size_t i = 0; i < 5; i++) {
        for (size_t at = 0; at < len[i]; at++) {
            fixed[i][at] ^= 1;
            assert_int_not_equal(verify_parts(&p, world->consortium), RECEIPT_LINK_COUNT);
            fixed[i][at] ^= 1;
        }
    }
    assert_int_equal(verify_parts(&p, world->consortium), RECEIPT_LINK_COUNT);
}

/* --- Each link for its own reason ------------------------------------------------------------------------------------------ */

static void breaks(struct receipt_parts bent, enum receipt_link expected)
{
    uint32_t link = verify_parts(&bent, world->consortium);
    if (link != expected)
        fail_msg("%s, not %s", link < RECEIPT_LINK_COUNT ? receipt_link_name(link) : "nothing",
                 receipt_link_name(expected));
}

static void test_anchor(void **state)
{
    (void)state;
    struct consortium_id none = {{0}}, other = {{7}};
    assert_int_equal(verify_parts(&parts, none), LINK_CONSORTIUM);
    assert_int_equal(verify_parts(&parts, other), LINK_CONSORTIUM);
    struct receipt_parts p = parts;
    p.consortium = other;
    breaks(p, LINK_CONSORTIUM);
}

/* Copies of the statements, with some left out or in another order. */
static struct span pick(struct span packed, const uint32_t *index, uint32_t count)
{
    struct span one[CAP_CUSTODIANS];
    uint32_t all;
    uint8_t *bytes = arena_take(&world->arena, 8192, 1);
    struct buffer b = buffer_make(bytes, 8192);
    struct cursor c = cursor_make(packed);
    assert_int_equal(unpack_array(&c, CAP_CUSTODIANS, &all), OK);
    for (uint32_t i = 0; i < all; i++) assert_int_equal(unpack_bin(&c, 4096, &one[i]), OK);
    pack_array(&b, count);
    for (uint32_t i = 0; i < count; i++) pack_bin(&b, one[index[i]]);
    assert_int_equal(buffer_done(&b), OK);
    return buffer_span(&b);
}

static void test_too_few_or_twice(void **state)
{
    (void)state;
    static const uint32_t two[] = {0, 1}, twice[] = {0, 1, 1}, order[] = {1, 0, 2};
    struct receipt_parts p = parts;
    p.body.releases = pick(parts.body.releases, two, 2);
    breaks(p, LINK_RELEASES);
    p.body.releases = pick(parts.body.releases, twice, 3);
    breaks(p, LINK_RELEASES);
    p.body.releases = pick(parts.body.releases, order, 3);
    breaks(p, LINK_RELEASES);
    p = parts;
    p.body.commits = pick(parts.body.commits, two, 2);
    breaks(p, LINK_COMMITS);
    p.body.commits = pick(parts.body.commits, twice, 3);
    breaks(p, LINK_COMMITS);
    p.body.commits = pick(parts.body.commits, order, 3);
    breaks(p, LINK_COMMITS);
    p.body.commits = parts.body.releases;
    breaks(p, LINK_DOCUMENT);
}

/* A commit signed properly by custodian 0, but for something else. */
static struct span commits_with(void (*bend_body)(struct body_COMMIT *), uint32_t signer)
{
    struct record r;
    union body body;
    struct span one;
    uint32_t count;
    uint8_t *bytes = arena_take(&world->arena, 8192, 1);
    struct buffer b = buffer_make(bytes, 8192);
    struct cursor c = cursor_make(parts.body.commits);
    assert_int_equal(unpack_array(&c, CAP_CUSTODIANS, &count), OK);
    pack_array(&b, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(unpack_bin(&c, 4096, &one), OK);
        if (i == 0) {
            assert_int_equal(record_unpack(&r, one), OK);
            assert_int_equal(body_decode(&body, KIND_COMMIT, r.body), OK);
            bend_body(&body.COMMIT);
            const struct world_node *n = &world->node[signer];
            one = world_statement(world, &n->secret, n->id, KIND_COMMIT, &body.COMMIT);
        }
        pack_bin(&b, one);
    }
    assert_int_equal(buffer_done(&b), OK);
    return buffer_span(&b);
}

static uint8_t heads[HEAD_BYTES * WORLD_DATASETS];
static void same(struct body_COMMIT *b)
{
    (void)b;
}
static void other_term(struct body_COMMIT *b)
{
    b->term++;
}
static void other_index(struct body_COMMIT *b)
{
    b->index = 1;
}
static void other_commitment(struct body_COMMIT *b)
{
    b->commitment.bytes[0] ^= 1;
}
static void other_core(struct body_COMMIT *b)
{
    b->core.bytes[0] ^= 1;
}
static void no_heads(struct body_COMMIT *b)
{
    b->heads = SPAN_LITERAL("");
}
static void old_head(struct body_COMMIT *b)
{
    memcpy(heads, b->heads.data, sizeof heads);
    store_u64(heads + HEAD_BYTES, world->approval[1]->header.seq - 1); /* before it approved */
    b->heads = SPAN_OF(heads);
}
static void fork_head(struct body_COMMIT *b)
{
    memcpy(heads, b->heads.data, sizeof heads);
    store_u64(heads, world->approval[0]->header.seq);
    memset(heads + 8, 9, 32); /* another record in the approval's place */
    b->heads = SPAN_OF(heads);
}

static void test_commits(void **state)
{
    (void)state;
    void (*const bends[])(struct body_COMMIT *) = {other_term, other_index, other_commitment, other_core,
                                                   no_heads,   old_head,    fork_head};
    struct receipt_parts p = parts;
    p.body.commits = commits_with(same, 0);
    assert_int_equal(verify_parts(&p, world->consortium), RECEIPT_LINK_COUNT);
    for (size_t i = 0; i < sizeof bends / sizeof bends[0]; i++) {
        p.body.commits = commits_with(bends[i], 0);
        breaks(p, LINK_COMMITS);
    }
    p.body.commits = commits_with(same, WORLD_COMPUTE); /* no custodian */
    breaks(p, LINK_COMMITS);
}

static void test_certificate(void **state)
{
    (void)state;
    struct receipt_parts p = parts;
    p.body.certificate = world_certificate_bytes(world, 2);
    breaks(p, LINK_CERTIFICATE);
}

static void test_output(void **state)
{
    (void)state;
    static uint8_t bytes[1024];
    struct receipt_parts p = parts;
    memcpy(bytes, parts.output.data, parts.output.len);
    bytes[parts.output.len - 3] ^= 1;
    p.output = span_make(bytes, parts.output.len);
    breaks(p, LINK_OUTPUT);
    p = parts;
    p.salt.bytes[31] ^= 1;
    breaks(p, LINK_OUTPUT);
    p = parts;
    p.response.bytes[0] ^= 1;
    breaks(p, LINK_OUTPUT);
    p = parts;
    p.response = parts.body.core_signature; /* the same key, for another purpose */
    breaks(p, LINK_OUTPUT);
    p = parts;
    p.output = SPAN_NONE; /* who may not read it can verify all the rest */
    static struct receipt_replay r;
    verify_memory_reset(arena);
    assert_int_equal(receipt_replay(&r, arena, &p, world->consortium), OK);
    for (uint32_t l = 0; l < RECEIPT_LINK_COUNT; l++)
        assert_int_equal(r.err[l], l == LINK_OUTPUT ? ERR_NOT_FOUND : OK);
    assert_false(r.output_known);
}

/* The enclave signs something else than it should: everything is consistent, and one link is not. */
static struct receipt_parts with_core(void (*bend_core)(struct core_receipt *))
{
    struct receipt_parts p = parts;
    struct core_receipt core = good.core;
    uint8_t *bytes = arena_take(&world->arena, 4096, 1);
    struct buffer b = buffer_make(bytes, 4096);
    bend_core(&core);
    core_receipt_encode(&b, &core);
    p.body.core = buffer_span(&b);
    assert_int_equal(identity_sign(&p.body.core_signature, &run->signing, core_receipt_hash(p.body.core)),
                     OK);
    return p;
}

static void bend_bundle(struct core_receipt *c)
{
    c->bundle.bytes[0] ^= 1;
}
static void bend_engine(struct core_receipt *c)
{
    c->engine = SPAN_LITERAL("other/1");
}
static void bend_consortium(struct core_receipt *c)
{
    c->consortium.bytes[0] ^= 1;
}
static void bend_compose(struct core_receipt *c)
{
    c->compose.bytes[0] ^= 1;
}
static void bend_run(struct core_receipt *c)
{
    c->run.bytes[0] ^= 1;
}
static void bend_term(struct core_receipt *c)
{
    c->term = 2;
}
static void bend_evidence(struct core_receipt *c)
{
    c->evidence.bytes[0] ^= 1;
}
static void bend_kem(struct core_receipt *c)
{
    c->kem.bytes[0] ^= 1;
}
static void bend_challenge(struct core_receipt *c)
{
    c->challenge.bytes[0] ^= 1;
}
static void bend_release(struct core_receipt *c)
{
    c->release_count--;
}
static void bend_commitment(struct core_receipt *c)
{
    c->commitment.bytes[0] ^= 1;
}

static void test_core(void **state)
{
    (void)state;
    static const struct {
        void (*bend)(struct core_receipt *);
        enum receipt_link link;
    } cases[] = {
        {bend_run, LINK_RUN},
        {bend_term, LINK_CERTIFICATE},
        {bend_evidence, LINK_EVIDENCE},
        {bend_kem, LINK_EVIDENCE},
        {bend_compose, LINK_EVIDENCE},
        {bend_consortium, LINK_EVIDENCE},
        {bend_challenge, LINK_RELEASES},
        {bend_release, LINK_RELEASES},
        {bend_bundle, LINK_CORE},
        {bend_engine, LINK_CORE},
        {bend_commitment, LINK_COMMITS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        breaks(with_core(cases[i].bend), cases[i].link);
    struct receipt_parts p = parts;
    p.body.core_signature.bytes[40] ^= 1;
    breaks(p, LINK_CORE);
}

static void test_ending(void **state)
{
    (void)state;
    struct receipt_parts p = parts;
    struct body_ENDING body = {.run = world->run,
                               .term = 2,
                               .core = core_receipt_hash(parts.body.core),
                               .statements =
                                   enclave_statements_hash(parts.body.releases, parts.body.commits)};
    p.body.ending = world_statement(world, &run->signing, good.core.enclave, KIND_ENDING, &body);
    breaks(p, LINK_ENDING);
    body.term = 1;
    p.body.ending = world_statement(world, &world->node[0].secret, world->node[0].id, KIND_ENDING, &body);
    breaks(p, LINK_ENDING);
    p.body.ending = world_statement(world, &world->node[0].secret, good.core.enclave, KIND_ENDING, &body);
    breaks(p, LINK_ENDING);
    struct body_ENDING other = body;
    other.statements.bytes[0] ^= 1;
    p.body.ending = world_statement(world, &run->signing, good.core.enclave, KIND_ENDING, &other);
    breaks(p, LINK_ENDING);
    p.body.ending = world_statement(world, &run->signing, good.core.enclave, KIND_ENDING, &body);
    assert_int_equal(verify_parts(&p, world->consortium), RECEIPT_LINK_COUNT);
}

/* The bundle without one kind of record. */
static void test_records(void **state)
{
    (void)state;
    static const struct {
        enum kind kind;
        enum receipt_link link;
    } cases[] = {
        {KIND_CHARTER, LINK_CONSORTIUM}, {KIND_MEMBER, LINK_RECORDS},  {KIND_COMMITTEE, LINK_COMMITTEE},
        {KIND_OP, LINK_RECIPE},          {KIND_JOB, LINK_RECIPE},      {KIND_ENDORSEMENT, LINK_RECIPE},
        {KIND_ASSET, LINK_RECIPE},       {KIND_GRANT, LINK_APPROVALS}, {KIND_APPROVAL, LINK_APPROVALS},
        {KIND_WORKERS, LINK_EVIDENCE},   {KIND_RUN, LINK_DOCUMENT},
    };
    static uint8_t bytes[1 << 20];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct receipt_parts p = parts;
        struct cursor c = cursor_make(parts.bundle);
        struct span one[BUNDLE_RECORDS_MAX];
        struct record r;
        uint32_t count, left = 0;
        assert_int_equal(unpack_array(&c, BUNDLE_RECORDS_MAX, &count), OK);
        for (uint32_t j = 0; j < count; j++) {
            assert_int_equal(unpack_bin(&c, CAP_BODY_BYTES + 1024, &one[left]), OK);
            assert_int_equal(record_unpack(&r, one[left]), OK);
            if (r.header.kind != cases[i].kind) left++;
        }
        struct buffer b = BUFFER_OF(bytes);
        pack_array(&b, left);
        for (uint32_t j = 0; j < left; j++) pack_bin(&b, one[j]);
        p.bundle = buffer_span(&b);
        breaks(p, cases[i].link);
    }
}

/* --- The document ---------------------------------------------------------------------------------------------------------- */

static void refused_text(const char *find, const char *replace)
{
    static char bent[TEXT_MAX + 1], copy[TEXT_MAX + 1];
    struct receipt_parts p;
    memcpy(copy, receipt.data, receipt.len);
    copy[receipt.len] = 0;
    const char *at = strstr(copy, find);
    assert_non_null(at);
    int len = snprintf(bent, sizeof bent, "%.*s%s%s", (int)(at - copy), copy, replace, at + strlen(find));
    verify_memory_reset(arena);
    assert_int_not_equal(receipt_parse(&p, arena, span_make(bent, (size_t)len), NULL), OK);
}

static void test_documents_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"\"simulated\":true", "\"simulated\":false"},
        {"\"perigee\":\"receipt/1\"", "\"perigee\":\"receipt/2\""},
        {",\"simulated\":true", ""},
        {"\"simulated\":true", "\"simulated\":true,\"x\":1"},
        {"\"evidence\":\"0001", "\"evidence\":\"001"},
        {"\"evidence\":\"0001", "\"evidence\":\"000G"},
        {"\"salt\":", "\"sal\":"},
        {"\"response\":", "\"respons\":"},
        {"\"response\":\"", "\"response\":\"00"},
        {"\"bundle\":[\"", "\"bundle\":[1,\""},
        {"\"bundle\":[\"", "\"bundle\":[\"0"},
        {"\"core\":", "\"core\": "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) refused_text(cases[i][0], cases[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holds),
        cmocka_unit_test(test_text_round_trip),
        cmocka_unit_test(test_every_link_has_checks_or_rules),
        cmocka_unit_test(test_anchor),
        cmocka_unit_test(test_too_few_or_twice),
        cmocka_unit_test(test_commits),
        cmocka_unit_test(test_certificate),
        cmocka_unit_test(test_output),
        cmocka_unit_test(test_core),
        cmocka_unit_test(test_ending),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_documents_refused),
        cmocka_unit_test(test_any_byte_of_the_text),
        cmocka_unit_test(test_any_byte_of_the_parts),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
