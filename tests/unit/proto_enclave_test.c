/* The enclave's protocol side: a whole run with real keys, and everything that may go wrong on its way. */
#include "crypto/identity.h"
#include "crypto/kem.h"
#include "proto/wire/pack.h"
#include "tests/world_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct world *world;
static struct world_run *run;

static int setup(void **state)
{
    (void)state;
    world = world_new();
    run = world_run_new(world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_run_free(run);
    world_free(world);
    return 0;
}

/* Drive to the end; what must hold of every end. */
static void finish(void)
{
    world_run_start(run);
    assert_true(world_run_drive(run, 200));
    assert_true(run->wiped && run->gone);
    assert_int_equal(run->effects_after_wipe, 0);
    assert_true((run->result.len > 0) == (run->failed == REFUSAL_NONE));
}

static void fails_with(enum refusal why)
{
    finish();
    if (run->failed != why) fail_msg("%s, not %s", refusal_name(run->failed), refusal_name(why));
    assert_int_equal(run->result.len, 0);
}

static struct body_RECEIPT settled(void)
{
    union body body;
    finish();
    if (run->failed != REFUSAL_NONE) fail_msg("%s", refusal_name(run->failed));
    assert_int_equal(body_decode(&body, KIND_RECEIPT, run->result), OK);
    return body.RECEIPT;
}

static uint32_t statements(struct span packed, struct record *out)
{
    struct cursor c = cursor_make(packed);
    struct span one;
    uint32_t count;
    assert_int_equal(unpack_array(&c, CAP_CUSTODIANS, &count), OK);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(unpack_bin(&c, 4096, &one), OK);
        assert_int_equal(record_unpack(&out[i], one), OK);
        assert_int_equal(identity_verify(out[i].header.author,
                                         record_sign_hash(out[i].header.kind, out[i].header_bytes),
                                         &out[i].signature),
                         OK);
    }
    assert_int_equal(cursor_end(&c), OK);
    return count;
}

/* The requester and the other reader of the recipe open the same, each its own box, and nobody else has one. */
static void check_output(struct span packed, struct node_id signer)
{
    static const uint32_t readers[] = {WORLD_REQUESTER, WORLD_ALGORITHM};
    struct hash32 hash = response_hash(world->run, run->output);
    uint8_t head[READING_HEAD_BYTES] = {0};
    struct reading reading;
    struct cursor c = cursor_make(packed);
    assert_int_equal(unpack_array_of(&c, 2 * 2), OK);
    for (uint32_t i = 0; i < 2; i++) {
        reading = world_run_reading(run, readers[i]);
        assert_memory_equal(reading.salt.bytes, run->unlocked.salt.bytes, 32);
        assert_true(span_equal(reading.output, run->output));
        assert_int_equal(identity_verify(signer, hash, &reading.signature), OK);
    }
    assert_int_equal(reading_open(&reading, SPAN_OF(head)), ERR_TRUNCATED);
}

/* "sha256(request):sha256(response)": the request is the run record's header, whose hash is the run's id. */
static void test_response_text(void **state)
{
    (void)state;
    char text[RESPONSE_TEXT_CHARS + 1], hex[65];
    struct hash32 response = sha256(SPAN_LITERAL("abc"));
    union body body;
    struct hash32 header = sha256(world_first(world, KIND_RUN, WORLD_REQUESTER, &body)->header_bytes);
    response_text(text, world->run, SPAN_LITERAL("abc"));
    assert_int_equal(strlen(text), RESPONSE_TEXT_CHARS);
    hex_encode(hex, header.bytes, 32);
    assert_memory_equal(text, hex, 64);
    assert_int_equal(text[64], ':');
    hex_encode(hex, response.bytes, 32);
    assert_memory_equal(text + 65, hex, 64);
}

static void test_whole_run(void **state)
{
    (void)state;
    static const enum run_state states[] = {RUN_ATTESTED, RUN_KEYED, RUN_COMPUTING, RUN_COMMITTED};
    struct record release[CAP_CUSTODIANS], commit[CAP_CUSTODIANS], ending;
    struct core_receipt core;
    struct body_RECEIPT r = settled();
    assert_int_equal(run->state_count, 4);
    for (uint32_t i = 0; i < 4; i++) assert_int_equal(run->state[i], states[i]);
    assert_int_equal(core_receipt_decode(&core, r.core), OK);
    assert_memory_equal(core.run.bytes, world->run.bytes, 32);
    struct hash32 bundle = HASH_FRAMED("perigee/bundle/v1", r.records), hash = core_receipt_hash(r.core);
    assert_memory_equal(core.bundle.bytes, bundle.bytes, 32);
    struct hash32 commitment = enclave_commitment(run->unlocked.salt, run->output);
    assert_memory_equal(core.commitment.bytes, commitment.bytes, 32);
    assert_int_equal(identity_verify(core.enclave, hash, &r.core_signature), OK);
    assert_int_equal(statements(r.releases, release), 3);
    assert_int_equal(core.release_count, 3);
    /* What enclave_start.c reckons a statement to take, so that a receipt too large for a record is found out at the start. */
    assert_true(r.releases.len <= 3 * (480 + 2 * HEAD_BYTES) && r.commits.len <= 3 * (380 + 2 * HEAD_BYTES));
    assert_true(r.output.len <= 2 * (192 + run->output.len) &&
                r.core.len + r.ending.len + r.evidence.len <= 4096);
    for (uint32_t i = 0; i < 3; i++) assert_memory_equal(core.release[i].bytes, release[i].id.bytes, 32);
    assert_int_equal(statements(r.commits, commit), 3);
    assert_int_equal(record_unpack(&ending, r.ending), OK);
    assert_int_equal(ending.header.kind, KIND_ENDING);
    check_output(r.output, core.enclave);
    assert_int_equal(run->wants, 2 + 2 + 3); /* manifests, leaf lists, chunks */
}

/* A second term repeats the commitment: the salt comes from the run, not from the enclave. */
static void test_failover_repeats_the_commitment(void **state)
{
    (void)state;
    struct core_receipt first, second;
    struct body_RECEIPT r = settled();
    assert_int_equal(core_receipt_decode(&first, r.core), OK);
    struct world_run *before = run;
    run = world_run_new(world);
    run->term = 2;
    r = settled();
    assert_int_equal(core_receipt_decode(&second, r.core), OK);
    assert_memory_equal(first.commitment.bytes, second.commitment.bytes, 32);
    assert_memory_not_equal(first.enclave.bytes, second.enclave.bytes, 32);
    world_run_free(before);
}

static void test_repeats_until_answered(void **state)
{
    (void)state;
    run->slow = 0xf;
    (void)settled();
    for (uint32_t i = 0; i < 3; i++) assert_true(run->asks[i] >= 2);
}

static void test_one_silent(void **state)
{
    (void)state;
    run->silent = 1;
    (void)settled();
}

static void test_too_many_silent(void **state)
{
    (void)state;
    run->silent = 3;
    fails_with(REFUSAL_TIMEOUT);
    assert_true(run->asks[0] >= 59);
    assert_int_equal(run->asks[2], 1); /* who has answered is left alone */
}

static void test_one_bad_share(void **state)
{
    (void)state;
    run->bad_share = 1;
    struct record release[CAP_CUSTODIANS];
    struct body_RECEIPT r = settled();
    assert_int_equal(statements(r.releases, release), 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_memory_equal(release[i].header.author.bytes, world->node[i + 1].id.bytes, 32);
    assert_int_equal(run->asks[0],
                     2); /* for shares, and to commit: its signed bad share is not asked for again */
    struct record named;
    union body body;
    assert_int_equal(run->named, 1); /* by what it signed about these very shares */
    assert_int_equal(record_unpack(&named, run->named_by[0]), OK);
    assert_int_equal(body_decode(&body, KIND_RELEASE, named.body), OK);
    struct hash32 shares = sha256(SPAN_OF(run->opened[0]));
    assert_memory_equal(body.RELEASE.shares.bytes, shares.bytes, 32);
    assert_memory_equal(named.header.author.bytes, world->node[0].id.bytes, 32);
}

/* A receipt with its word would not verify: who has not seen an approval has judged none. */
static void test_one_blind(void **state)
{
    (void)state;
    run->blind = 1;
    struct record release[CAP_CUSTODIANS], commit[CAP_CUSTODIANS];
    struct body_RECEIPT r = settled();
    assert_int_equal(statements(r.releases, release), 3);
    assert_int_equal(statements(r.commits, commit), 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_memory_equal(release[i].header.author.bytes, world->node[i + 1].id.bytes, 32);
        assert_memory_equal(commit[i].header.author.bytes, world->node[i + 1].id.bytes, 32);
    }
}

static void test_too_many_blind(void **state)
{
    (void)state;
    run->blind = 3;
    fails_with(REFUSAL_TIMEOUT);
}

/* Rules hold when it starts, and no more when custodians release: a receipt would be judged by their clocks. */
static uint64_t later_ms;

static void time_passes(struct world_run *r, enum enclave_effect_type type)
{
    if (type != ENCLAVE_SEAL) return; /* of the share ask */
    r->world->now_ms += later_ms;
    r->before = NULL;
}

static void test_judged_when_custodians_release(void **state)
{
    static const struct {
        uint64_t later_ms;
        enum refusal why;
    } cases[] = {{590000, REFUSAL_NONE}, {610000, REFUSAL_EVIDENCE}, {86400000, REFUSAL_APPROVAL_EXPIRED}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)teardown(state);
        (void)setup(state);
        later_ms = cases[i].later_ms;
        run->before = time_passes;
        if (cases[i].why == REFUSAL_NONE)
            (void)settled();
        else
            fails_with(cases[i].why);
        assert_int_equal(run->told, cases[i].why == REFUSAL_NONE ? 0 : FAILED_JUDGED);
    }
}

/* However long that takes, nothing is opened and no lease is asked for meanwhile. */
static uint32_t signed_before;

static void while_judging(struct world_run *r, enum enclave_effect_type type)
{
    if (type == ENCLAVE_CHECK_EVIDENCE) signed_before = r->done[ENCLAVE_SIGN];
    if (type != ENCLAVE_UNLOCK) return;
    assert_int_equal(r->done[ENCLAVE_CHECK_EVIDENCE], 1);
    assert_int_equal(r->done[ENCLAVE_SIGN], signed_before);
}

static void test_no_key_before_it_is_judged(void **state)
{
    (void)state;
    run->before = while_judging;
    run->work_ms = 100;
    world_run_start(run);
    for (uint32_t i = 0; i < 1200 && !run->gone; i++)
        world_run_turn(run, (struct instant){run->now.ns + 50000000});
    if (run->failed != REFUSAL_NONE) fail_msg("%s", refusal_name(run->failed));
    assert_int_equal(run->done[ENCLAVE_UNLOCK], 1);
}

/* Its evidence is its host's, and of a machine that this host was not admitted with. */
static void test_judged_by_the_bundle(void **state)
{
    (void)teardown(state);
    world_platforms = WORLD_PLATFORMS_OTHER;
    (void)setup(state);
    world_platforms = WORLD_PLATFORMS_NONE;
    fails_with(REFUSAL_PLATFORM);
    assert_int_equal(run->told, FAILED_JUDGED);
}

static void all_have_released(struct world_run *r, enum enclave_effect_type type)
{
    if (type == ENCLAVE_CHECK_SHARES && r->done[type] == WORLD_CUSTODIANS - 1) r->owner_silent = 0;
}

/* While an owner is waited for, more custodians release than a receipt has room for. */
static void test_no_more_releases_than_are_needed(void **state)
{
    struct record release[CAP_CUSTODIANS + 1];
    (void)teardown(state);
    world_vetoes = 1;
    (void)setup(state);
    world_vetoes = 0;
    run->owner_silent = 1;
    run->before = all_have_released;
    struct body_RECEIPT r = settled();
    assert_int_equal(statements(r.releases, release), 3 + 1);
    assert_int_equal(release[3].header.kind, KIND_OWNER_RELEASE);
}

/* A share that this enclave had no memory to check says nothing of who sent it. */
static void test_trouble_names_nobody(void **state)
{
    (void)state;
    run->fail = ENCLAVE_CHECK_SHARES;
    run->fail_after = 0;
    (void)settled();
    assert_int_equal(run->named, 0);
}

/* How often a part of a share that was released is in the machine's memory: the point D of any custodian and item. */
static uint32_t shares_in_memory(const struct world_run *r)
{
    static const uint8_t none[32];
    uint32_t count = 0;
    struct span memory = span_make(r->enclave_arena->data, r->enclave_arena->used);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        for (uint32_t j = 0; j <= WORLD_DATASETS; j++) {
            const uint8_t *d = r->opened[i] + (size_t)j * SHARE_BYTES;
            bool came = !span_equal(span_make(d, 32), SPAN_OF(none));
            if (came) count += memmem(memory.data, memory.len, d, 32) != NULL;
        }
    return count;
}

static uint32_t shares_seen, shares_looks;

static void look_for_shares(struct world_run *r, enum enclave_effect_type type)
{
    if (type != ENCLAVE_UNLOCK && type != ENCLAVE_COMPUTE && type != ENCLAVE_EXIT) return;
    shares_looks++;
    shares_seen += shares_in_memory(r);
}

/* The machine's memory is ordinary memory: no share is in it when keys are there, while it computes, or at its end. */
static void test_no_share_in_memory(void **state)
{
    (void)state;
    struct span planted;
    shares_seen = shares_looks = 0;
    run->before = look_for_shares;
    (void)settled();
    assert_int_equal(shares_looks, 3);
    assert_int_equal(shares_seen, 0);
    assert_int_equal(arena_copy(run->enclave_arena, &planted, span_make(run->opened[1], SHARE_BYTES)), OK);
    assert_int_equal(shares_in_memory(run), 1); /* it would have been found */
}

static void test_too_many_bad_shares(void **state)
{
    (void)state;
    run->bad_share = 3;
    fails_with(REFUSAL_ENVELOPE);
    assert_int_equal(run->named, 3); /* the one that ended it, too */
}

/* What is not signed proves nothing: it is asked for again, and the others carry the run. */
static void test_unproven_answers(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        uint32_t bad = i % 2 == 0 ? 4 : 6;
        if (i / 2 == 0) run->bad_hash = bad;
        if (i / 2 == 1) run->bad_signature = bad;
        if (i / 2 == 2) run->garbage = bad;
        if (bad == 4) {
            (void)settled();
        } else {
            fails_with(REFUSAL_TIMEOUT);
            assert_true(run->asks[2] > 10);
        }
        world_run_free(run);
        run = world_run_new(world);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    run->refuse[0] = REFUSAL_REVOKED;
    (void)settled();
    world_run_free(run);
    run = world_run_new(world);
    run->refuse[0] = REFUSAL_TERM;
    run->refuse[1] = run->refuse[3] = REFUSAL_REVOKED;
    run->silent = 4; /* two are enough: the third share can never come */
    fails_with(REFUSAL_REVOKED);
    assert_int_equal(run->done[ENCLAVE_UNLOCK], 0);
}

/* A refusal of another enclave's ask, shown to this one, says nothing. */
static void test_refusal_of_another(void **state)
{
    (void)state;
    run->refuse[0] = run->refuse[1] = REFUSAL_REVOKED;
    run->other_enclave = 3;
    run->passing = 3; /* asked again, they answer */
    (void)settled();
    assert_int_equal(run->asks[0] - run->rounds[0], 3);
}

/* --- Leases: a second each here ----------------------------------------------------------------------------------------- */

/* Custodians 0 and 1 sign no commit while they are in trouble: the enclave has to wait, and to keep its lease. */
static void delay_commits(bool once)
{
    run->refuse_commit[0] = run->refuse_commit[1] = REFUSAL_TROUBLE;
    run->passing = once ? 3 : 0;
}

static void test_a_lease_is_renewed(void **state)
{
    (void)state;
    delay_commits(true);
    (void)settled();
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        assert_in_range(run->rounds[i], 2, 4); /* each third of it */
}

static void clock_runs_on(struct world_run *r, enum enclave_effect_type type)
{
    if (type == ENCLAVE_COMPUTE) r->now.ns += INT64_C(1000000000);
}

/* It was stopped, or its clock stepped: what comes after the lease's end comes too late, whatever it is. */
static void test_a_lease_ends(void **state)
{
    (void)state;
    run->before = clock_runs_on;
    fails_with(REFUSAL_LEASE_LOST);
    assert_int_equal(run->done[ENCLAVE_COMPUTE], 1);
    assert_int_equal(run->done[ENCLAVE_COMMITMENT], 0);
}

/* Answers of another round, or none, are no lease; two of four are too few. */
static void test_a_lease_needs_q(void **state)
{
    (void)state;
    delay_commits(false);
    run->bad_lease = 3;
    fails_with(REFUSAL_LEASE_LOST);
    assert_int_equal(run->done[ENCLAVE_UNLOCK], 1);
}

/* A revocation ends a computation with the next round, not with its last word. */
static void test_a_lease_is_refused(void **state)
{
    (void)state;
    delay_commits(false);
    run->refuse_lease[0] = run->refuse_lease[2] = REFUSAL_REVOKED;
    fails_with(REFUSAL_REVOKED);
    assert_int_equal(run->rounds[1], 1);
}

/* One refusal leaves q of four. */
static void test_a_lease_without_one(void **state)
{
    (void)state;
    delay_commits(true);
    run->refuse_lease[3] = REFUSAL_REVOKED;
    (void)settled();
    assert_true(run->rounds[0] >= 2 && run->rounds[3] == 0);
}

/* Releases that come after what would be their lease: the data stays locked until there is one. */
static void test_no_key_without_a_lease(void **state)
{
    (void)state;
    run->slow = 3; /* they answer the second ask, a second later */
    (void)settled();
    assert_true(run->rounds[0] >= 1);
    assert_int_equal(run->done[ENCLAVE_UNLOCK], 1);
}

/* Custodian 2 comes too late to be among those that release first, and is needed for the commit. */
static void test_a_late_release(void **state)
{
    (void)state;
    run->refuse[2] = REFUSAL_ISOLATED;
    run->passing = 4;
    run->refuse_commit[3] = REFUSAL_REVOKED;
    (void)settled();
    assert_int_equal(run->released, 15);
}

static void test_passing_refusal(void **state)
{
    (void)state;
    run->refuse[0] = run->refuse[1] = REFUSAL_ISOLATED;
    run->refuse[2] = REFUSAL_CLOCK;
    run->passing = 0xf;
    (void)settled();
    world_run_free(run);
    run = world_run_new(world);
    run->refuse[0] = run->refuse[1] = REFUSAL_UNKNOWN_RUN;
    fails_with(REFUSAL_UNKNOWN_RUN); /* it never came to know it */
}

static void test_commit_refused(void **state)
{
    (void)state;
    run->refuse_commit[0] = REFUSAL_REVOKED;
    (void)settled();
    world_run_free(run);
    run = world_run_new(world);
    run->refuse_commit[0] = run->refuse_commit[1] = REFUSAL_REVOKED;
    fails_with(REFUSAL_REVOKED);
    assert_int_equal(run->done[ENCLAVE_COMPUTE], 1);
    assert_int_equal(run->state[run->state_count - 1], RUN_COMPUTING); /* nothing left it */
}

static void test_blobs(void **state)
{
    (void)state;
    run->blob_corrupt = 2;
    (void)settled();
    world_run_free(run);
    run = world_run_new(world);
    run->blob_missing = 2;
    (void)settled();
    world_run_free(run);
    for (uint32_t i = 0; i < world->blob_count; i++) {
        run = world_run_new(world);
        memcpy(run->blob_cid, world->blob[i].cid, 36);
        run->blob_corrupt = 100;
        fails_with(REFUSAL_INPUT_CORRUPT);
        assert_int_equal(run->blob_corrupt, 97);
        world_run_free(run);
        run = world_run_new(world);
        memcpy(run->blob_cid, world->blob[i].cid, 36);
        run->blob_missing = 100;
        fails_with(REFUSAL_INPUT_MISSING);
        world_run_free(run);
    }
    run = world_run_new(world);
}

/* Every keyed effect may fail, at any of its calls: the end is always a named reason, a wipe and nothing after it. */
static void test_every_effect_fails_once(void **state)
{
    (void)state;
    for (int type = ENCLAVE_KEYS; type < ENCLAVE_WIPE; type++) {
        bool reached = true;
        for (int after = 0; reached && after < 12; after++) {
            world_run_free(run);
            run = world_run_new(world);
            run->fail = (enum enclave_effect_type)type;
            run->fail_after = after;
            finish();
            reached = (int)run->done[type] > after;
            if (!reached) assert_int_equal(run->failed, REFUSAL_NONE);
        }
    }
}

/* A host without memory or disk is no owner's fault; a body that is not what it should be is nobody else's. */
static void test_who_is_at_fault(void **state)
{
    static const struct {
        enum err err;
        enum refusal why;
    } cases[] = {{ERR_FULL, REFUSAL_ENCLAVE},      {ERR_NO_MEMORY, REFUSAL_ENCLAVE},
                 {ERR_IO, REFUSAL_ENCLAVE},        {ERR_HASH, REFUSAL_INPUT_CORRUPT},
                 {ERR_KEY, REFUSAL_INPUT_CORRUPT}, {ERR_DECRYPT, REFUSAL_INPUT_CORRUPT}};
    (void)state;
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
        world_run_free(run);
        run = world_run_new(world);
        run->fail = i % 2 == 0 ? ENCLAVE_INPUT_BEGIN : ENCLAVE_INPUT_CHUNK;
        run->fail_after = 0;
        run->fail_err = cases[i / 2].err;
        fails_with(cases[i / 2].why);
    }
}

/* Sealed past the node's own check: a manifest of another number of rows than the dataset's exact one. */
static void test_rows_beyond_the_dataset(void **state)
{
    (void)teardown(state);
    world_rows_extra = 1;
    (void)setup(state);
    world_rows_extra = 0;
    fails_with(REFUSAL_INPUT_CORRUPT);
    assert_int_equal(run->done[ENCLAVE_COMPUTE], 0);
}

static void test_output_too_long(void **state)
{
    (void)state;
    static uint8_t big[1025];
    run->output = SPAN_OF(big);
    fails_with(REFUSAL_OUTPUT_TYPE);
}

/* The host may say anything at any time. */
static void test_hostile_frames(void **state)
{
    (void)state;
    static const uint8_t frames[][4] = {
        {FRAME_ANSWER}, {FRAME_ANSWER, 0}, {FRAME_ANSWER, 31, 1}, {FRAME_BLOB, 1}, {99}, {0}};
    uint8_t answer[200] = {FRAME_ANSWER, 1};
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) world_run_frame(run, SPAN_OF(frames[i]));
    world_run_frame(run, SPAN_NONE);
    world_run_frame(run, SPAN_OF(answer));
    world_run_start(run);
    for (int i = 0; i < 50; i++) world_run_frame(run, SPAN_OF(answer));
    world_run_frame(run, run->start); /* a second START changes nothing */
    assert_true(world_run_drive(run, 50));
    assert_int_equal(run->failed, REFUSAL_NONE);
}

static void start_with(struct span certificate, struct consortium_id consortium, struct run_id id,
                       uint64_t term)
{
    static uint8_t bundle[1 << 20], frame[(1 << 20) + 8192];
    struct buffer b = BUFFER_OF(bundle), f = BUFFER_OF(frame);
    struct registry *r = world_registry(world, 0);
    assert_int_equal(bundle_collect(&b, r, world->run), OK);
    world_arena_free(registry_arena(r));
    enclave_start_frame(&f, consortium, id, term, certificate, buffer_span(&b));
    world_run_free(run);
    run = world_run_new(world);
    world_run_frame(run, buffer_span(&f));
    assert_true(world_run_drive(run, 5));
    assert_int_equal(run->done[ENCLAVE_KEYS], 0);
}

static struct span encoded(const struct certificate *c)
{
    static uint8_t bytes[CERTIFICATE_BYTES_MAX];
    struct buffer b = BUFFER_OF(bytes);
    certificate_encode(&b, c);
    return buffer_span(&b);
}

static void test_bad_starts(void **state)
{
    (void)state;
    struct certificate c = world_certificate(world, 1);
    struct run_id other = world->run;
    struct consortium_id no = {{7}};
    other.bytes[0] ^= 1;
    start_with(encoded(&c), world->consortium, other, 1);
    assert_int_equal(run->failed, REFUSAL_UNKNOWN_RUN);
    start_with(encoded(&c), no, world->run, 1);
    assert_int_equal(run->failed, REFUSAL_MALFORMED);
    start_with(encoded(&c), world->consortium, world->run, 2);
    assert_int_equal(run->failed, REFUSAL_CERTIFICATE);
    start_with(SPAN_LITERAL("x"), world->consortium, world->run, 1);
    assert_int_equal(run->failed, REFUSAL_CERTIFICATE);
    c.vote_count = 2;
    start_with(encoded(&c), world->consortium, world->run, 1);
    assert_int_equal(run->failed, REFUSAL_CERTIFICATE);
    c = world_certificate(world, 1);
    c.vote[2].bytes[0] ^= 1;
    start_with(encoded(&c), world->consortium, world->run, 1);
    assert_int_equal(run->failed, REFUSAL_CERTIFICATE);
    c = world_certificate(world, 1);
    c.node = world->node[0].id; /* a custodian is no compute member */
    start_with(encoded(&c), world->consortium, world->run, 1);
    assert_int_equal(run->failed, REFUSAL_NOT_COMPUTE);
}

/* One flipped bit in a bundle: a rule or a signature stops it before there are keys. */
static void test_bent_bundle(void **state)
{
    (void)state;
    world_run_start(run);
    static uint8_t bent[1 << 18], whole[1 << 18];
    assert_true(run->start.len < sizeof whole);
    memcpy(whole, run->start.data, run->start.len);
    struct span frame = span_make(whole, run->start.len);
    for (size_t at = 1; at < frame.len; at += 997) {
        world_run_free(run);
        run = world_run_new(world);
        memcpy(bent, frame.data, frame.len);
        bent[at] ^= 0x10;
        world_run_frame(run, span_make(bent, frame.len));
        assert_true(world_run_drive(run, 5));
        assert_int_equal(run->done[ENCLAVE_KEYS], 0);
        assert_int_not_equal(run->failed, REFUSAL_NONE);
    }
}

static void test_core_receipt_codec(void **state)
{
    (void)state;
    struct body_RECEIPT r = settled();
    struct core_receipt core;
    uint8_t again[4096];
    struct buffer b = BUFFER_OF(again);
    assert_int_equal(core_receipt_decode(&core, r.core), OK);
    core_receipt_encode(&b, &core);
    assert_true(span_equal(buffer_span(&b), r.core));
    for (size_t len = 0; len < r.core.len; len++)
        assert_int_not_equal(core_receipt_decode(&core, span_make(r.core.data, len)), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_response_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failover_repeats_the_commitment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_repeats_until_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_bad_share, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_blind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_blind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_judged_when_custodians_release, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_key_before_it_is_judged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_judged_by_the_bundle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_more_releases_than_are_needed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trouble_names_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_share_in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_bad_shares, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unproven_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusal_of_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lease_is_renewed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lease_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lease_needs_q, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lease_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lease_without_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_key_without_a_lease, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_late_release, setup, teardown),
        cmocka_unit_test_setup_teardown(test_passing_refusal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_commit_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blobs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_effect_fails_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_at_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_beyond_the_dataset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_starts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bent_bundle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_core_receipt_codec, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
