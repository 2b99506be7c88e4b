/* An enclave among custodians each of whom may be silent, slow, refuse, answer garbage, sign wrongly or give wrong shares, all at
 * once, behind a host that loses, repeats and swaps what it carries, invents frames, and spoils or withholds ciphertext; against a
 * naive count: with t whose shares hold and q of those who commit there is the output, else there is none and a reason that
 * somebody gave. Whatever happens: keys are put together once, after t good parts; the computation runs once, over whole
 * inputs; nothing follows the wiping; who is named gave wrong shares; states come in their order.
 * PERIGEE_SEED=7: other cases. */
#include "tests/seed.h"
#include "tests/storage_place.h"
#include "tests/world_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 36, T = 3, Q = 3, N = WORLD_CUSTODIANS, TICKS = 400 };

/* What is wrong with a custodian. The first three are nothing in the end. */
enum fault {
    WELL,
    SLOW,
    NOT_YET, /* it refuses once, for a reason that passes */
    SILENT,
    GARBAGE,
    OTHER_KEY,    /* its release is signed by another key */
    OTHER_HASH,   /* its release names other shares */
    WRONG_SHARES, /* signed, and their proof does not hold */
    REVOKED,      /* it refuses, for good */
    NO_COMMIT,    /* it releases, and refuses the commit for good */
    FAULTS
};
struct fate {
    enum fault of[N];
    uint32_t corrupt, missing; /* deliveries of a manifest; it is wanted three times in all */
};

static struct world *world;
static struct world_run *run;
static struct fate fate;
static uint64_t seed;
static uint32_t tricks, seen[FAULTS], outputs, none;

static uint32_t pick(uint32_t below)
{
    return storage_random(&seed, below);
}

/* --- The naive count --------------------------------------------------------------------------------------------------------- */

static bool gives_shares(enum fault f)
{
    return f == WELL || f == SLOW || f == NOT_YET || f == NO_COMMIT;
}

/* Whose commit counts: it has released, whatever of that was good, and its commit is signed as it should be. */
static bool gives_commit(enum fault f)
{
    return f != SILENT && f != GARBAGE && f != REVOKED && f != NO_COMMIT;
}

static uint32_t count(bool gives(enum fault f))
{
    uint32_t c = 0;
    for (uint32_t i = 0; i < N; i++) c += gives(fate.of[i]);
    return c;
}

static bool has_output(void)
{
    return fate.missing + fate.corrupt < 3 && count(gives_shares) >= T && count(gives_commit) >= Q;
}

/* --- What everybody does -------------------------------------------------------------------------------------------------------- */

static void befall(uint32_t i)
{
    const uint32_t bit = 1u << i;
    switch (fate.of[i]) {
    case WELL: break;
    case SLOW: run->slow |= bit; break;
    case NOT_YET:
        run->refuse[i] = REFUSAL_ISOLATED;
        run->passing |= bit;
        break;
    case SILENT: run->silent |= bit; break;
    case GARBAGE: run->garbage |= bit; break;
    case OTHER_KEY: run->bad_signature |= bit; break;
    case OTHER_HASH: run->bad_hash |= bit; break;
    case WRONG_SHARES: run->bad_share |= bit; break;
    case REVOKED: run->refuse[i] = REFUSAL_REVOKED; break;
    case NO_COMMIT: run->refuse_commit[i] = REFUSAL_REVOKED; break;
    case FAULTS: break;
    }
    seen[fate.of[i]]++;
}

static struct world_queued *queued(uint32_t at)
{
    return &run->queue[at % WORLD_EFFECTS_MAX];
}

static void invent(void)
{
    uint8_t frame[80] = {FRAME_ANSWER, (uint8_t)pick(6)};
    const uint8_t types[] = {FRAME_ANSWER, FRAME_BLOB, FRAME_WANT, 99};
    frame[0] = types[pick(4)];
    for (size_t i = 2; i < sizeof frame; i++) frame[i] = (uint8_t)pick(256);
    world_run_frame(run, span_make(frame, 1 + pick(sizeof frame)));
}

/* Not a start; nor ciphertext that was spoilt, which counts each time. */
static bool may_come_again(const struct world_queued *q)
{
    if (q->type != ENCLAVE_FRAME || q->bytes.len == 0 || q->bytes.data[0] == FRAME_START) return false;
    return q->bytes.data[0] != FRAME_BLOB || fate.corrupt + fate.missing == 0;
}

/* The host's tricks: an old frame again, two in another order, one of its own. */
static void trick(struct world_run *r, enum enclave_effect_type type)
{
    (void)type;
    if (tricks == 0 || pick(3) != 0 || r->tail == 0) return;
    tricks--;
    struct world_queued *old = queued(1 + pick(r->tail)),
                        *one = queued(r->head + pick(r->tail - r->head + 1));
    struct world_queued *other = queued(r->head + pick(r->tail - r->head + 1));
    bool waiting = r->tail - r->head >= 2 && one->type == ENCLAVE_FRAME && other->type == ENCLAVE_FRAME;
    if (pick(3) == 0) {
        invent();
    } else if (pick(2) == 0 && may_come_again(old)) {
        world_run_frame(r, old->bytes);
    } else if (waiting && one < queued(r->tail) && other < queued(r->tail) && one >= queued(r->head) &&
               other >= queued(r->head)) {
        const struct world_queued moved = *one;
        *one = *other;
        *other = moved;
    }
}

/* --- One run -------------------------------------------------------------------------------------------------------------------- */

static void check_states(void)
{
    enum run_state last = RUN_ELECTED;
    for (uint32_t i = 0; i < run->state_count; i++) {
        assert_true(run->state[i] > last && run->state[i] <= RUN_COMMITTED);
        last = run->state[i];
    }
    if (run->done[ENCLAVE_COMPUTE] > 0) assert_true(last >= RUN_COMPUTING);
    assert_int_equal(last == RUN_COMMITTED, run->result.len > 0);
}

static void check_always(void)
{
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < N; i++) wrong |= fate.of[i] == WRONG_SHARES ? 1u << i : 0;
    assert_true(run->wiped && run->gone && run->effects_after_wipe == 0);
    assert_true(run->done[ENCLAVE_UNLOCK] <= 1 && run->done[ENCLAVE_COMPUTE] <= 1);
    if (run->done[ENCLAVE_UNLOCK] == 1) assert_true(run->kept_count >= T);
    for (uint32_t i = 0; i < run->kept_count; i++) assert_true(gives_shares(fate.of[run->kept[i]]));
    assert_int_equal(run->named & ~wrong, 0);
    assert_int_equal(run->result.len > 0, run->failed == REFUSAL_NONE);
    check_states();
}

static void check_reason(void)
{
    bool given = run->failed == REFUSAL_TIMEOUT;
    given |= fate.missing > 0 && run->failed == REFUSAL_INPUT_MISSING;
    given |= fate.corrupt > 0 && run->failed == REFUSAL_INPUT_CORRUPT;
    for (uint32_t i = 0; i < N; i++) {
        given |= (fate.of[i] == REVOKED || fate.of[i] == NO_COMMIT) && run->failed == REFUSAL_REVOKED;
        given |= fate.of[i] == NOT_YET && run->failed == REFUSAL_ISOLATED;
        given |= fate.of[i] == WRONG_SHARES && run->failed == REFUSAL_ENVELOPE;
    }
    if (!given) fail_msg("%s is nobody's reason", refusal_name(run->failed));
    if (count(gives_shares) < T) assert_int_equal(run->done[ENCLAVE_UNLOCK], 0);
}

static void draw(void)
{
    fate = (struct fate){.missing = pick(12) == 0 ? 3 : pick(2), .corrupt = pick(12) == 0 ? 3 : pick(2)};
    for (uint32_t i = 0; i < N; i++)
        fate.of[i] = (enum fault)(pick(3) == 0 ? pick(FAULTS) : pick(NOT_YET + 1));
    tricks = 20;
}

static const uint8_t *manifest_cid(void)
{
    for (uint32_t i = 0; i < world->blob_count; i++)
        if (span_equal(world->blob[i].bytes, world->dataset[0].manifest)) return world->blob[i].cid;
    fail_msg("no manifest");
    return NULL;
}

static void one_run(void)
{
    run = world_run_new(world);
    draw();
    for (uint32_t i = 0; i < N; i++) befall(i);
    run->blob_corrupt = fate.corrupt;
    run->blob_missing = fate.missing;
    memcpy(run->blob_cid, manifest_cid(), sizeof run->blob_cid);
    run->before = trick;
    world_run_start(run);
    assert_true(world_run_drive(run, TICKS));
    check_always();
    if (has_output() != (run->result.len > 0))
        fail_msg("faults %d %d %d %d, corrupt %u, missing %u: expected %s, came %s", fate.of[0], fate.of[1],
                 fate.of[2], fate.of[3], fate.corrupt, fate.missing, has_output() ? "an output" : "no output",
                 run->failed == REFUSAL_NONE ? "one" : refusal_name(run->failed));
    outputs += has_output();
    none += !has_output();
    if (!has_output()) check_reason();
    world_run_free(run);
}

static void test_against_a_count(void **state)
{
    (void)state;
    seed = seed_or(0) + 1;
    for (uint32_t round = 0; round < ROUNDS; round++) one_run();
    if (!seed_is_own()) return;
    for (uint32_t i = 0; i < FAULTS; i++) assert_true(seen[i] > 0);
    assert_true(outputs > 5 && none > 5);
}

static int set_up(void **state)
{
    (void)state;
    world_lease_ms = 600000; /* leases have their own tests */
    world = world_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_a_count)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
