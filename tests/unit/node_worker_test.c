/* worker: each effect of the enclave machine executed on real keys, shares and sealed tables; what is refused; that a
 * failover repeats the output byte for byte; and that nothing is left after the wipe. */
#include "node/worker.h"

#include "crypto/body.h"
#include "crypto/evidence.h"
#include "crypto/identity.h"
#include "crypto/kdf.h"
#include "crypto/kem.h"
#include "crypto/secret.h"
#include "node/duckdb.h"
#include "node/worker_state.h"
#include "tests/world.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { SHARES_BYTES = SHARE_BYTES * (WORLD_DATASETS + 1) };

static struct world *world;
static struct registry *registry;
static struct enclave_keys keys;
static struct manifest manifest[WORLD_DATASETS];
static const struct workflow *workflow;

/* --- Helpers ------------------------------------------------------------------------------------------------------------ */

static struct worker *worker_open(void)
{
    struct worker *w;
    struct worker_options options = {.platform = world->platform,
                                     .measurement = world->measurement,
                                     .threads = 2,
                                     .memory_bytes = UINT64_C(1024) << 20,
                                     .spool = -1};
    assert_int_equal(worker_new(&w, &options), OK);
    return w;
}

static enum err execute(struct worker *w, struct worker_reply *reply, const struct enclave_effect *effect)
{
    worker_execute(w, reply, effect, &keys);
    return reply->err;
}

/* An effect whose answer carries no bytes that matter here. */
static enum err done(struct worker *w, const struct enclave_effect *effect)
{
    struct worker_reply reply;
    enum err err = execute(w, &reply, effect);
    worker_reply_free(&reply);
    return err;
}

static void put_share(struct buffer *b, const struct dec_share *s)
{
    buffer_put(b, SPAN_OF(s->d.bytes));
    buffer_put(b, SPAN_OF(s->e.bytes));
    buffer_put(b, SPAN_OF(s->f.bytes));
}

/* What custodian i would send. */
static void make_shares(uint8_t out[SHARES_BYTES], uint32_t i)
{
    struct buffer b = buffer_make(out, SHARES_BYTES);
    struct dec_share share;
    for (uint32_t j = 0; j < WORLD_DATASETS; j++) {
        struct envelope e;
        memcpy(e.bytes, manifest[j].envelope, ENVELOPE_BYTES);
        struct label label = label_make(group_key_id(&world->key[0].y), world->app, world->compose,
                                        world->node[j].id, manifest[j].content, world->dataset[j].policy);
        assert_int_equal(
            envelope_share(&share, &e, &world->key[0].y, &label, i + 1, &world->node[i].share[0]), OK);
        put_share(&b, &share);
    }
    assert_int_equal(prf_share(&share, &world->key[1].y, keys.prf_input, i + 1, &world->node[i].share[1]),
                     OK);
    put_share(&b, &share);
    assert_int_equal(buffer_done(&b), OK);
}

static struct kem_public kem_of(struct worker *w)
{
    struct kem_public kem;
    if (!w->has_keys) assert_int_equal(done(w, &(struct enclave_effect){.type = ENCLAVE_KEYS}), OK);
    kem_public_of(&kem, &w->secret->kem);
    return kem;
}

/* An answer sealed to the worker's key, and opened by it. */
static enum err open_answer(struct worker *w, struct worker_reply *reply, uint32_t custodian,
                            struct span answer)
{
    static uint8_t box[2 * ANSWER_BYTES_MAX];
    struct kem_public kem = kem_of(w);
    assert_int_equal(kem_seal(box, &kem, answer, SPAN_LITERAL("c")), OK);
    return execute(w, reply,
                   &(struct enclave_effect){.type = ENCLAVE_OPEN,
                                            .party = custodian,
                                            .bytes = span_make(box, answer.len + KEM_OVERHEAD_BYTES),
                                            .context = SPAN_LITERAL("c")});
}

static struct span answer_with(struct span shares)
{
    static uint8_t bytes[ANSWER_BYTES_MAX];
    struct buffer b = BUFFER_OF(bytes);
    struct body_SHARE_ANSWER answer = {SPAN_LITERAL("release"), shares};
    buffer_put_u8(&b, ANSWER_SHARES);
    body_encode(&b, KIND_SHARE_ANSWER, &answer);
    assert_int_equal(buffer_done(&b), OK);
    return buffer_span(&b);
}

static enum err open_shares(struct worker *w, uint32_t custodian, struct span shares)
{
    struct worker_reply reply;
    enum err err = open_answer(w, &reply, custodian, answer_with(shares));
    worker_reply_free(&reply);
    return err;
}

static enum err check_shares(struct worker *w, uint32_t custodian, struct span shares)
{
    enum err err = open_shares(w, custodian, shares);
    if (err != OK) return err;
    return done(w, &(struct enclave_effect){.type = ENCLAVE_CHECK_SHARES, .party = custodian});
}

static enum err give_shares(struct worker *w, uint32_t custodian)
{
    uint8_t shares[SHARES_BYTES];
    make_shares(shares, custodian);
    return check_shares(w, custodian, SPAN_OF(shares));
}

static void unlock(struct worker *w, uint32_t without)
{
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        if (i != without) assert_int_equal(give_shares(w, i), OK);
    assert_int_equal(done(w, &(struct enclave_effect){.type = ENCLAVE_UNLOCK}), OK);
}

static struct span blob(uint8_t code, struct hash32 digest)
{
    uint8_t cid[36] = {0x01, 0x55, code, 0x20};
    memcpy(cid + 4, digest.bytes, 32);
    const struct world_blob *b = world_blob(world, cid);
    assert_non_null(b);
    return b->bytes;
}

static enum err begin(struct worker *w, uint32_t input)
{
    return done(w, &(struct enclave_effect){.type = ENCLAVE_INPUT_BEGIN,
                                            .input = input,
                                            .bytes = blob(0x12, manifest[input].leaves)});
}

static struct span chunk_of(uint32_t input, uint32_t chunk)
{
    struct hash32 leaf;
    memcpy(leaf.bytes, blob(0x12, manifest[input].leaves).data + (size_t)chunk * 32, 32);
    return blob(0x1e, leaf);
}

static enum err give_chunk(struct worker *w, uint32_t input, uint32_t chunk, struct span bytes)
{
    return done(w, &(struct enclave_effect){
                       .type = ENCLAVE_INPUT_CHUNK, .input = input, .chunk = chunk, .bytes = bytes});
}

static void fill(struct worker *w)
{
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) {
        assert_int_equal(begin(w, i), OK);
        for (uint32_t j = manifest[i].chunk_count; j-- > 0;) /* any order will do */
            assert_int_equal(give_chunk(w, i, j, chunk_of(i, j)), OK);
    }
}

static enum err compute(struct worker *w, struct worker_reply *reply, const struct workflow *recipe)
{
    return execute(w, reply, &(struct enclave_effect){.type = ENCLAVE_COMPUTE, .workflow = recipe});
}

static uint32_t open_descriptors(void)
{
    uint32_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL) count++;
    (void)closedir(folder);
    return count;
}

/* The memfds of inputs that this process has. */
static uint32_t open_inputs(void)
{
    uint32_t count = 0;
    char path[64], target[64];
    for (int fd = 0; fd < 1024; fd++) {
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, target, sizeof target - 1);
        if (len <= 0) continue;
        target[len] = 0;
        count += strncmp(target, "/memfd:input", 12) == 0;
    }
    return count;
}

/* --- Keys and boxes --------------------------------------------------------------------------------------------------------- */

static void keys_are_made_once(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct worker_reply reply, again;
    struct hash32 message = {{1, 2, 3}};
    struct signature signature;
    struct node_id id;
    struct enclave_effect sign = {.type = ENCLAVE_SIGN, .hash = message};
    assert_int_equal(done(w, &sign), ERR_NOT_READY);
    assert_int_equal(execute(w, &reply, &(struct enclave_effect){.type = ENCLAVE_KEYS}), OK);
    assert_int_equal(reply.len, 96);
    memcpy(id.bytes, reply.bytes, 32);
    assert_int_equal(execute(w, &again, &(struct enclave_effect){.type = ENCLAVE_KEYS}), ERR_CONFLICT);
    assert_int_equal(again.len, 0);
    worker_reply_free(&reply);
    assert_int_equal(execute(w, &reply, &sign), OK);
    assert_int_equal(reply.len, 64);
    memcpy(signature.bytes, reply.bytes, 64);
    assert_int_equal(identity_verify(id, message, &signature), OK);
    worker_reply_free(&reply);
    worker_free(w);
}

static void boxes_go_both_ways(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct worker_reply reply;
    struct enclave_effect effect = {
        .type = ENCLAVE_OPEN, .bytes = SPAN_LITERAL("short"), .context = SPAN_LITERAL("c")};
    assert_int_equal(done(w, &effect), ERR_NOT_READY);
    assert_int_equal(execute(w, &reply, &(struct enclave_effect){.type = ENCLAVE_KEYS}), OK);
    assert_int_equal(done(w, &effect), ERR_TRUNCATED);
    effect = (struct enclave_effect){
        .type = ENCLAVE_SEAL, .bytes = SPAN_LITERAL("ask"), .context = SPAN_LITERAL("c")};
    memcpy(effect.kem.bytes, reply.bytes + 32, 32);
    worker_reply_free(&reply);
    assert_int_equal(execute(w, &reply, &effect), OK);
    struct enclave_effect open = {
        .type = ENCLAVE_OPEN, .bytes = span_make(reply.bytes, reply.len), .context = SPAN_LITERAL("c")};
    struct worker_reply plain;
    assert_int_equal(execute(w, &plain, &open), OK);
    assert_int_equal(plain.len, 3); /* an answer that is none: for the machine to judge */
    assert_memory_equal(plain.bytes, "ask", 3);
    worker_reply_free(&plain);
    open.party = CAP_CUSTODIANS;
    assert_int_equal(done(w, &open), ERR_RANGE);
    open.party = 0;
    open.context = SPAN_LITERAL("d");
    assert_int_equal(execute(w, &plain, &open), ERR_DECRYPT);
    assert_null(plain.bytes);
    worker_reply_free(&reply);
    worker_free(w);
}

/* Evidence is SIMULATED, about this measurement and platform, shows no GPU, and is bound to what it is asked for. */
static void evidence_is_bound(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct worker_reply reply;
    struct evidence_result result;
    struct evidence_policy policy = {.allow_simulated = true,
                                     .measurement_count = 1,
                                     .measurement = {world->measurement},
                                     .max_age_ms = 60000,
                                     .max_ahead_ms = 5000};
    const char *field;
    struct hash32 binding = {{7}}, other = {{8}};
    uint64_t now_ms = (uint64_t)time(NULL) * 1000 + 1000;
    assert_int_equal(execute(w, &reply, &(struct enclave_effect){.type = ENCLAVE_EVIDENCE, .hash = binding}),
                     OK);
    struct span bytes = span_make(reply.bytes, reply.len);
    assert_int_equal(evidence_check(&result, &field, bytes, binding, now_ms, &policy), OK);
    assert_memory_equal(result.platform_id.bytes, world->platform.bytes, 32);
    assert_int_equal(result.kind, EVIDENCE_SIMULATED);
    assert_false(result.has_gpu);
    assert_int_equal(evidence_check(&result, &field, bytes, other, now_ms, &policy), ERR_EVIDENCE);
    policy.need_gpu = true;
    assert_int_equal(evidence_check(&result, &field, bytes, binding, now_ms, &policy), ERR_EVIDENCE);
    assert_string_equal(field, "gpu");
    worker_reply_free(&reply);
    worker_free(w);
}

static void the_first_bad_signature_is_named(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct worker_reply reply;
    struct signature_check check[3];
    for (uint32_t i = 0; i < 3; i++) {
        check[i] = (struct signature_check){.author = world->node[i].id, .message = {{(uint8_t)i}}};
        assert_int_equal(identity_sign(&check[i].signature, &world->node[i].secret, check[i].message), OK);
    }
    struct enclave_effect effect = {.type = ENCLAVE_VERIFY, .check = check, .check_count = 3};
    assert_int_equal(done(w, &effect), OK);
    check[1].message.bytes[5] ^= 1;
    check[2].message.bytes[5] ^= 1;
    assert_int_equal(execute(w, &reply, &effect), ERR_SIGNATURE);
    assert_int_equal(reply.len, 4);
    assert_int_equal(load_u32(reply.bytes), 1);
    worker_reply_free(&reply);
    worker_free(w);
}

static void content_ids_follow_from_the_body(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct worker_reply reply;
    struct manifest m = manifest[0];
    struct enclave_effect effect = {.type = ENCLAVE_CONTENT_ID, .manifest = &m};
    assert_int_equal(execute(w, &reply, &effect), OK);
    assert_memory_equal(reply.bytes, m.content.bytes, 32);
    worker_reply_free(&reply);
    m.plain_len += 1;
    assert_int_equal(execute(w, &reply, &effect), OK);
    assert_memory_not_equal(reply.bytes, m.content.bytes, 32);
    worker_reply_free(&reply);
    m.plain_len += BODY_CHUNK_BYTES;
    assert_int_equal(done(w, &effect), ERR_RANGE);
    m.suite = 9;
    assert_int_equal(done(w, &effect), ERR_VERSION);
    worker_free(w);
}

/* --- Shares ------------------------------------------------------------------------------------------------------------------ */

static void only_proven_shares_are_kept(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    uint8_t shares[SHARES_BYTES];
    struct enclave_effect effect = {.type = ENCLAVE_CHECK_SHARES, .party = 0};
    static const size_t bytes[] = {0, 40, 80, SHARE_BYTES + 3, 2 * SHARE_BYTES + 1, 3 * SHARE_BYTES - 1};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        make_shares(shares, 0);
        shares[bytes[i]] ^= 1;
        assert_int_equal(check_shares(w, 0, SPAN_OF(shares)), ERR_PROOF);
        assert_int_equal(done(w, &effect), ERR_NOT_READY); /* judged once, then gone */
    }
    make_shares(shares, 0);
    assert_int_equal(check_shares(w, 1, SPAN_OF(shares)), ERR_PROOF); /* another's share under this name */
    assert_int_equal(check_shares(w, WORLD_CUSTODIANS, SPAN_OF(shares)), ERR_RANGE);
    effect.party = UINT32_MAX;
    assert_int_equal(done(w, &effect), ERR_RANGE);
    effect.party = 0;
    assert_int_equal(open_shares(w, 0, span_make(shares, SHARES_BYTES - 1)), ERR_RANGE);
    struct worker_reply reply;
    worker_execute(w, &reply, &effect, NULL); /* before the bundle was replayed */
    assert_int_equal(reply.err, ERR_NOT_READY);
    assert_int_equal(give_shares(w, 0), OK);
    assert_int_equal(give_shares(w, 0), OK); /* the same custodian twice is one share */
    assert_int_equal(give_shares(w, 1), OK);
    assert_int_equal(done(w, &(struct enclave_effect){.type = ENCLAVE_UNLOCK}), ERR_NOT_READY);
    assert_int_equal(begin(w, 0), ERR_NOT_READY); /* nothing is decrypted without t shares */
    assert_int_equal(give_shares(w, 3), OK);
    assert_int_equal(done(w, &(struct enclave_effect){.type = ENCLAVE_UNLOCK}), OK);
    assert_int_equal(done(w, &(struct enclave_effect){.type = ENCLAVE_UNLOCK}), ERR_CONFLICT);
    worker_free(w);
}

static bool holds_shares(const struct worker *w)
{
    bool any = false;
    for (uint32_t i = 0; i < CAP_CUSTODIANS; i++)
        any |= w->unlock.taken[i] != NULL || w->unlock.share[i] != NULL;
    return any;
}

/* Of what the machine sees, nothing is of a share; and after UNLOCK there is none here either, whatever still comes. Who comes
 * late has released all the same, and the machine has to see it: it would ask for ever. */
static void shares_stay_here_and_go_at_unlock(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct worker_reply reply;
    uint8_t shares[SHARES_BYTES];
    make_shares(shares, 3);
    struct hash32 hash = sha256(SPAN_OF(shares));
    assert_int_equal(open_answer(w, &reply, 3, answer_with(SPAN_OF(shares))), OK);
    assert_int_equal(reply.len, 1 + 32 + 7);
    assert_int_equal(reply.bytes[0], ANSWER_SHARES);
    assert_memory_equal(reply.bytes + 1, hash.bytes, 32);
    assert_memory_equal(reply.bytes + 33, "release", 7);
    worker_reply_free(&reply);
    assert_true(holds_shares(w)); /* opened, and never to be checked */
    unlock(w, 3);
    assert_false(holds_shares(w));
    assert_int_equal(open_answer(w, &reply, 3, answer_with(SPAN_OF(shares))), OK);
    assert_int_equal(reply.len, 1 + 32 + 7);
    worker_reply_free(&reply);
    assert_false(holds_shares(w));
    worker_free(w);
}

static enum err check_under(struct worker *w, struct span shares, const struct enclave_keys *under)
{
    struct worker_reply reply;
    assert_int_equal(open_shares(w, 0, shares), OK);
    worker_execute(w, &reply, &(struct enclave_effect){.type = ENCLAVE_CHECK_SHARES}, under);
    return reply.err;
}

/* recipe-lock: shares for this recipe prove nothing under another one's label. */
static void another_recipe_opens_nothing(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct enclave_keys right = keys;
    keys.compose.bytes[0] ^= 1;
    uint8_t shares[SHARES_BYTES];
    struct enclave_keys wrong = keys;
    keys = right;
    make_shares(shares, 0);
    assert_int_equal(check_under(w, SPAN_OF(shares), &wrong), ERR_PROOF);
    wrong = right;
    wrong.app.bytes[3] ^= 1;
    assert_int_equal(check_under(w, SPAN_OF(shares), &wrong), ERR_PROOF);
    wrong = right;
    wrong.prf_input.bytes[3] ^= 1; /* another run's noise */
    assert_int_equal(check_under(w, SPAN_OF(shares), &wrong), ERR_PROOF);
    assert_int_equal(check_under(w, SPAN_OF(shares), &right), OK);
    worker_free(w);
}

/* --- Inputs -------------------------------------------------------------------------------------------------------------------- */

static void inputs_are_checked(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct worker_reply reply;
    uint8_t leaves[64], chunk[BODY_SEALED_MAX];
    unlock(w, 0);
    struct span list = blob(0x12, manifest[0].leaves);
    assert_int_equal(list.len, sizeof leaves);
    memcpy(leaves, list.data, sizeof leaves);
    leaves[40] ^= 1;
    struct enclave_effect effect = {.type = ENCLAVE_INPUT_BEGIN, .bytes = SPAN_OF(leaves)};
    assert_int_equal(done(w, &effect), ERR_HASH);
    effect.bytes.len = 32;
    assert_int_equal(done(w, &effect), ERR_RANGE);
    effect = (struct enclave_effect){.type = ENCLAVE_INPUT_BEGIN, .input = WORLD_DATASETS, .bytes = list};
    assert_int_equal(done(w, &effect), ERR_RANGE);
    assert_int_equal(give_chunk(w, 0, 0, chunk_of(0, 0)), ERR_NOT_READY);
    assert_int_equal(begin(w, 0), OK);
    assert_int_equal(begin(w, 0), ERR_CONFLICT);
    assert_int_equal(open_inputs(), 1);
    struct span good = chunk_of(0, 0);
    assert_int_equal(good.len, sizeof chunk);
    memcpy(chunk, good.data, good.len);
    chunk[77] ^= 1;
    assert_int_equal(give_chunk(w, 0, 0, SPAN_OF(chunk)), ERR_HASH);
    assert_int_equal(give_chunk(w, 0, 1, good), ERR_RANGE); /* the final chunk is shorter */
    assert_int_equal(give_chunk(w, 0, 2, good), ERR_RANGE);
    assert_int_equal(give_chunk(w, 0, 0, span_make(good.data, good.len - 1)), ERR_RANGE);
    assert_int_equal(give_chunk(w, CAP_INPUTS, 0, good), ERR_NOT_READY);
    assert_int_equal(give_chunk(w, 0, 0, good), OK);
    assert_int_equal(give_chunk(w, 0, 0, good), OK);
    assert_int_equal(compute(w, &reply, workflow), ERR_NOT_READY); /* one chunk and one input are missing */
    assert_int_equal(give_chunk(w, 0, 1, chunk_of(0, 1)), OK);
    assert_int_equal(compute(w, &reply, workflow), ERR_NOT_READY);
    worker_free(w);
    assert_int_equal(open_inputs(), 0);
}

static void a_body_of_another_key_is_refused(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct manifest m = manifest[0];
    unlock(w, 1);
    m.commitment.bytes[0] ^= 1;
    keys.manifest[0] = &m;
    assert_int_equal(begin(w, 0), ERR_KEY);
    m = manifest[0];
    m.salt.bytes[0] ^= 1;
    assert_int_equal(begin(w, 0), ERR_KEY);
    m = manifest[0];
    m.chunk_count++;
    assert_int_equal(begin(w, 0), ERR_RANGE);
    m = manifest[0];
    m.plain_len =
        UINT64_C(3) << 30; /* does not fit this run's memory, which is known before any byte comes */
    m.chunk_count = 3073;
    assert_int_equal(begin(w, 0), ERR_NO_MEMORY);
    keys.manifest[0] = &manifest[0];
    assert_int_equal(open_inputs(), 0);
    worker_free(w);
}

/* --- The output ------------------------------------------------------------------------------------------------------------------ */

static void whole_run(struct worker_reply *out, struct hash32 *commitment, uint32_t without)
{
    struct worker *w = worker_open();
    struct worker_reply reply;
    unlock(w, without);
    fill(w);
    enum err err = compute(w, out, workflow);
    if (err != OK) fail_msg("compute: %s", err_name(err));
    struct enclave_effect commit = {.type = ENCLAVE_COMMITMENT, .bytes = span_make(out->bytes, out->len)};
    assert_int_equal(execute(w, &reply, &commit), OK);
    assert_int_equal(reply.len, 32);
    memcpy(commitment->bytes, reply.bytes, 32);
    worker_reply_free(&reply);
    worker_free(w);
}

/* one-output: another enclave, with other keys and shares of other custodians, gives the same bytes and commits to them. */
static void failover_repeats_the_output(void **state)
{
    (void)state;
    struct worker_reply first, second;
    struct hash32 commitment[2];
    whole_run(&first, &commitment[0], 0);
    whole_run(&second, &commitment[1], 2);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.bytes, second.bytes, first.len);
    assert_memory_equal(commitment[0].bytes, commitment[1].bytes, 32);
    assert_true(first.len <= workflow->output_bytes_max);
    worker_reply_free(&first);
    worker_reply_free(&second);
}

/* Seed and salt are what PROTOCOL.md says of the PRF's value, which here is combined from the shares by hand. */
static void salt_is_the_protocols(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct worker_reply reply;
    struct dec_share share[3];
    uint8_t value[32], salt[32], info[22 + 32];
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(
            prf_share(&share[i], &world->key[1].y, keys.prf_input, i + 1, &world->node[i].share[1]), OK);
        assert_int_equal(give_shares(w, i + 1), OK);
    }
    assert_int_equal(prf_combine(value, &world->key[1], keys.prf_input, share, 3), OK);
    memcpy(info, "perigee/commit-salt/v1", 22);
    memcpy(info + 22, world->run.bytes, 32);
    hkdf_sha256(salt, 32, SPAN_NONE, SPAN_OF(value), SPAN_OF(info));
    assert_int_equal(execute(w, &reply, &(struct enclave_effect){.type = ENCLAVE_UNLOCK}), OK);
    assert_int_equal(reply.len, 32);
    assert_memory_equal(reply.bytes, salt, 32);
    worker_reply_free(&reply);
    assert_int_equal(
        execute(w, &reply, &(struct enclave_effect){.type = ENCLAVE_COMMITMENT, .bytes = SPAN_LITERAL("o")}),
        OK);
    struct hash32 expected = HASH_FRAMED("perigee/output/v1", SPAN_OF(salt), SPAN_LITERAL("o"));
    assert_memory_equal(reply.bytes, expected.bytes, 32);
    worker_reply_free(&reply);
    worker_free(w);
}

static const struct json *member(const struct json *object, const char *key)
{
    for (uint32_t i = 0; object->type == JSON_TYPE_OBJECT && i < object->count; i++)
        if (span_equal_text(object->keys[i], key)) return &object->items[i];
    fail_msg("no member %s", key);
    return NULL;
}

/* The count of all rows, without and with noise, of both inputs or of one. */
static int64_t counted(struct worker *w, const struct workflow *recipe)
{
    static _Alignas(16) uint8_t memory[1 << 17];
    struct worker_reply reply;
    const struct json *root;
    enum err err = compute(w, &reply, recipe);
    if (err != OK) fail_msg("compute: %s", err_name(err));
    memset(memory, 0, sizeof memory);
    struct arena arena = arena_make(memory, sizeof memory);
    assert_int_equal(json_parse(&root, &arena, span_make(reply.bytes, reply.len), NULL), OK);
    const struct json *step = &member(root, "steps")->items[0];
    const struct json *cell = &member(step, "cells")->items[0];
    int64_t value = member(cell, "values")->items[0].integer;
    worker_reply_free(&reply);
    return value;
}

static void the_output_counts_the_rows(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct workflow plain = *workflow;
    struct step step = *workflow->step;
    int64_t rows = (int64_t)world_rows[0] + world_rows[1];
    plain.privacy_none = true;
    plain.step = &step;
    step.statistic[0].epsilon_nano = 0;
    unlock(w, 3);
    fill(w);
    assert_int_equal(counted(w, &plain), rows);
    int64_t noisy = counted(w, workflow);
    assert_true(noisy > rows - 200 && noisy < rows + 200); /* scale 2: farther off is out of the question */
    worker_free(w);
}

/* Ages are 20 to 89, a year apart and over again. */
static int64_t rows_from(uint32_t age)
{
    int64_t rows = 0;
    for (uint32_t i = 0; i < WORLD_DATASETS; i++)
        for (uint32_t row = 0; row < world_rows[i]; row++) rows += 20 + row % 70 >= age;
    return rows;
}

/* The requester's value stands in the query: other rows are counted. A value that was not approved computes nothing. */
static void a_parameter_changes_the_outcome(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct worker_reply reply;
    struct workflow plain = *workflow;
    struct step step = *workflow->step;
    plain.privacy_none = true;
    plain.step = &step;
    step.statistic[0].epsilon_nano = 0;
    unlock(w, 1);
    fill(w);
    keys.parameters = SPAN_LITERAL("{\"min_age\":50}");
    assert_true(rows_from(50) > 0 && rows_from(50) < rows_from(20));
    assert_int_equal(counted(w, &plain), rows_from(50));
    keys.parameters = SPAN_LITERAL("{\"min_age\":90}");
    assert_int_equal(counted(w, &plain), 0);
    keys.parameters = SPAN_LITERAL("{\"min_age\":100}");
    assert_int_equal(compute(w, &reply, &plain), ERR_RANGE);
    keys.parameters = SPAN_NONE;
    assert_int_equal(compute(w, &reply, &plain), ERR_MISSING_FIELD);
    keys.parameters = world->parameters;
    worker_free(w);
}

/* A run names the inputs it reads; the recipe may allow more. */
static void a_run_may_use_fewer_inputs(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct workflow plain = *workflow;
    struct step step = *workflow->step;
    struct enclave_keys both = keys;
    uint8_t shares[SHARES_BYTES], fewer[2 * SHARE_BYTES];
    plain.privacy_none = true;
    plain.step = &step;
    step.statistic[0].epsilon_nano = 0;
    keys.input_count = 1;
    keys.manifest[0] = &manifest[1];
    keys.ddo[0] = both.ddo[1];
    for (uint32_t i = 0; i < 3; i++) {
        make_shares(shares, i);
        memcpy(fewer, shares + SHARE_BYTES, sizeof fewer);
        assert_int_equal(check_shares(w, i, SPAN_OF(fewer)), OK);
    }
    assert_int_equal(done(w, &(struct enclave_effect){.type = ENCLAVE_UNLOCK}), OK);
    assert_int_equal(done(w, &(struct enclave_effect){.type = ENCLAVE_INPUT_BEGIN,
                                                      .bytes = blob(0x12, manifest[1].leaves)}),
                     OK);
    assert_int_equal(give_chunk(w, 0, 0, chunk_of(1, 0)), OK);
    assert_int_equal(counted(w, &plain), world_rows[1]);
    keys = both;
    worker_free(w);
}

static bool said(const struct worker_reply *reply, const char *text)
{
    return memmem(reply->bytes, reply->len, text, strlen(text)) != NULL;
}

/* Output rows through the same door: as many bytes whatever the rows, too many of them say nothing, and a statement that needs
 * an input which the run has not is refused in public. */
static void rows_go_out_by_the_gate(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct worker_reply reply;
    struct workflow rows = *workflow;
    struct step step = {
        .runtime = RUNTIME_SQL,
        .select = SPAN_LITERAL("SELECT count(*) AS n, max(c.age) AS age FROM budapest b JOIN cleveland c "
                               "USING (id)")};
    rows.output = OUTPUT_ROWS;
    rows.privacy_none = true;
    rows.unit_column = SPAN_NONE;
    rows.step = &step;
    unlock(w, 2);
    fill(w);
    assert_int_equal(compute(w, &reply, &rows), OK);
    assert_int_equal(reply.len, rows.output_bytes_max);
    assert_true(said(&reply, "\"rows\":[[\"8\",\"27\"]]"));
    worker_reply_free(&reply);
    step.select = SPAN_LITERAL("SELECT id FROM budapest");
    assert_int_equal(compute(w, &reply, &rows), ERR_REFUSED);
    assert_null(reply.bytes);
    step.select = SPAN_LITERAL("SELECT id FROM elsewhere");
    assert_int_equal(compute(w, &reply, &rows), ERR_SQL);
    step =
        (struct step){.runtime = RUNTIME_SELECT, .select = SPAN_LITERAL("SELECT id FROM input WHERE id = 7")};
    assert_int_equal(compute(w, &reply, &rows), OK);
    assert_true(said(&reply, "\"rows\":[[\"7\"],[\"7\"]]")); /* one row of each input */
    worker_reply_free(&reply);
    worker_free(w);
}

/* What rows do to a computation gives one and the same refusal, on the tick, without a word. */
static void failures_say_nothing(void **state)
{
    (void)state;
    struct worker *w = worker_open();
    struct worker_reply reply;
    struct timespec before, after;
    struct ddo ddo = *keys.ddo[1];
    const struct ddo *right = keys.ddo[1];
    unlock(w, 0);
    fill(w);
    ddo.schema.column[0].type = COLUMN_DATE; /* as if the rows were not what the schema says */
    keys.ddo[1] = &ddo;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &before), 0);
    assert_int_equal(compute(w, &reply, workflow), ERR_REFUSED);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &after), 0);
    assert_null(reply.bytes);
    assert_true((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >=
                WORKER_TICK_MS - 1);
    ddo.schema.hash.bytes[0] ^= 1; /* another schema than the recipe's */
    assert_int_equal(compute(w, &reply, workflow), ERR_CONFLICT);
    keys.ddo[1] = right;
    manifest[1].row_count++; /* one more row claimed than is there */
    assert_int_equal(compute(w, &reply, workflow), ERR_REFUSED);
    manifest[1].row_count -= 2;
    assert_int_equal(compute(w, &reply, workflow), ERR_REFUSED);
    manifest[1].row_count++;
    assert_int_equal(compute(w, &reply, workflow), OK);
    worker_reply_free(&reply);
    struct workflow other = *workflow;
    other.output_bytes_max = 256; /* public: said as it is */
    assert_int_equal(compute(w, &reply, &other), ERR_TOO_LARGE);
    worker_free(w);
}

static void nothing_is_left_after_the_wipe(void **state)
{
    (void)state;
    uint32_t before = open_descriptors();
    struct worker *w = worker_open();
    struct worker_reply reply;
    assert_int_equal(done(w, &(struct enclave_effect){.type = ENCLAVE_KEYS}), OK);
    unlock(w, 0);
    fill(w);
    assert_int_equal(open_inputs(), WORLD_DATASETS);
    assert_int_equal(done(w, &(struct enclave_effect){.type = ENCLAVE_WIPE}), OK);
    assert_int_equal(open_inputs(), 0);
    assert_int_equal(open_descriptors(), before);
    for (int type = ENCLAVE_KEYS; type <= ENCLAVE_COMMITMENT; type++) {
        assert_int_equal(execute(w, &reply, &(struct enclave_effect){.type = (enum enclave_effect_type)type}),
                         ERR_CANCELLED);
        assert_null(reply.bytes);
    }
    assert_int_equal(done(w, &(struct enclave_effect){.type = ENCLAVE_WIPE}), OK);
    worker_free(w);
    worker_free(NULL);
}

/* A worker so short of memory that no byte of plaintext fits, with a file to spool in. */
static struct worker *worker_open_tight(int disk)
{
    struct worker *w = worker_open();
    w->options.spool = disk;
    const uint64_t left = worker_memory_left(w, 0);
    assert_true(left > UINT64_C(128) << 20);
    w->options.memory_bytes -= left - (UINT64_C(128) << 20);
    assert_true(worker_memory_left(w, 0) > 0);
    assert_int_equal(worker_memory_left(w, 1), 0);
    return w;
}

static void what_does_not_fit_is_spooled_and_gives_the_same(void **state)
{
    (void)state;
    if (!SPOOL_READS) skip(); /* the thread sanitizer's own read stands there */
    struct worker_reply here, there;
    struct worker *w = worker_open();
    const int disk = memfd_create("disk", MFD_CLOEXEC);
    unlock(w, 3);
    fill(w);
    assert_int_equal(compute(w, &here, workflow), OK);
    worker_free(w);
    w = worker_open_tight(disk);
    unlock(w, 3);
    fill(w);
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) {
        assert_non_null(w->input[i].spool);
        assert_null(w->input[i].map);
    }
    assert_int_equal(compute(w, &there, workflow), OK);
    assert_int_equal(there.len, here.len);
    assert_memory_equal(there.bytes, here.bytes, here.len);
    worker_reply_free(&here);
    worker_reply_free(&there);
    assert_int_equal(ftruncate(disk, 0), 0); /* the host's hand: nothing is computed on what is not there */
    assert_int_equal(compute(w, &there, workflow), OK); /* from the window, which holds all of it */
    worker_reply_free(&there);
    assert_int_equal(done(w, &(struct enclave_effect){.type = ENCLAVE_WIPE}), OK);
    assert_int_equal(open_inputs(), 0);
    worker_free(w);
    (void)close(disk);
}

static void what_the_host_changed_in_a_spool_is_refused(void **state)
{
    (void)state;
    if (!SPOOL_READS) skip();
    struct worker_reply reply;
    const int disk = memfd_create("disk", MFD_CLOEXEC);
    struct worker *w = worker_open_tight(disk);
    unlock(w, 3);
    fill(w);
    assert_int_equal(pwrite(disk, "changed", 7, 5), 7);
    assert_int_equal(compute(w, &reply, workflow), ERR_REFUSED);
    worker_free(w);
    (void)close(disk);
}

static void without_a_spool_what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct worker *w = worker_open_tight(-1);
    unlock(w, 3);
    assert_int_equal(begin(w, 0), ERR_NO_MEMORY);
    worker_free(w);
}

static void options_are_bounded(void **state)
{
    (void)state;
    struct worker *w;
    struct worker_options options = {.threads = 0, .memory_bytes = UINT64_C(1) << 30};
    assert_int_equal(worker_new(&w, &options), ERR_RANGE);
    options.threads = 1;
    options.memory_bytes = 1 << 20;
    assert_int_equal(worker_new(&w, &options), ERR_RANGE);
    assert_null(w);
}

/* --- The world it happens in ---------------------------------------------------------------------------------------------------- */

static int open_world(void **state)
{
    (void)state;
    world = world_new();
    registry = world_registry(world, 0);
    const struct published *published = registry_workflow(registry, world->compose);
    if (published == NULL) return -1;
    workflow = published->workflow;
    keys = (struct enclave_keys){.committee = registry_committee(registry),
                                 .charter = registry_charter(registry),
                                 .input_count = WORLD_DATASETS,
                                 .parameters = world->parameters,
                                 .app = world->app,
                                 .compose = world->compose,
                                 .prf_input = HASH_FRAMED("perigee/noise/v1", ID_SPAN(world->run)),
                                 .run = world->run};
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) {
        struct manifest *m;
        if (manifest_parse(&m, &world->arena, world->dataset[i].manifest, NULL) != OK) return -1;
        manifest[i] = *m;
        keys.manifest[i] = &manifest[i];
        keys.ddo[i] = registry_asset(registry, world->dataset[i].dt)->ddo;
    }
    return keys.committee != NULL && keys.charter != NULL ? 0 : -1;
}

static int close_world(void **state)
{
    (void)state;
    world_arena_free(registry_arena(registry));
    world_free(world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_made_once),
        cmocka_unit_test(boxes_go_both_ways),
        cmocka_unit_test(evidence_is_bound),
        cmocka_unit_test(the_first_bad_signature_is_named),
        cmocka_unit_test(content_ids_follow_from_the_body),
        cmocka_unit_test(only_proven_shares_are_kept),
        cmocka_unit_test(shares_stay_here_and_go_at_unlock),
        cmocka_unit_test(another_recipe_opens_nothing),
        cmocka_unit_test(inputs_are_checked),
        cmocka_unit_test(a_body_of_another_key_is_refused),
        cmocka_unit_test(salt_is_the_protocols),
        cmocka_unit_test(what_does_not_fit_is_spooled_and_gives_the_same),
        cmocka_unit_test(what_the_host_changed_in_a_spool_is_refused),
        cmocka_unit_test(without_a_spool_what_does_not_fit_is_refused),
        cmocka_unit_test(options_are_bounded),
    };
    const struct CMUnitTest computed[] = {
        cmocka_unit_test(failover_repeats_the_output),     cmocka_unit_test(the_output_counts_the_rows),
        cmocka_unit_test(a_parameter_changes_the_outcome), cmocka_unit_test(a_run_may_use_fewer_inputs),
        cmocka_unit_test(rows_go_out_by_the_gate),         cmocka_unit_test(failures_say_nothing),
        cmocka_unit_test(nothing_is_left_after_the_wipe),
    };
    const struct duckdb *api;
    char why[512];
    if (crypto_init() != OK) return 1;
    int failed = cmocka_run_group_tests_name("effects", tests, open_world, close_world);
    if (duckdb_load(&api, why, sizeof why) != OK) {
        print_message("SKIPPED: %s\n", why);
        return failed != 0 ? 1 : 77;
    }
    failed += cmocka_run_group_tests_name("computation", computed, open_world, close_world);
    return failed;
}
