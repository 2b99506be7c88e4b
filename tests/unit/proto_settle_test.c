/* What settles a run: a receipt whose core the enclave signed and q custodians committed to; and what of its output counts. */
#include "crypto/kem.h"
#include "node/opening.h"
#include "proto/base/panic.h"
#include "proto/wire/pack.h"
#include "tests/lone.h"
#include "tests/world_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct world *world;
static struct world_run *run;

static int setup(void **state)
{
    (void)state;
    world = world_new();
    run = world_run_new(world);
    world_run_start(run);
    assert_true(world_run_drive(run, 200));
    assert_int_equal(run->failed, REFUSAL_NONE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_run_free(run);
    world_free(world);
    return 0;
}

static struct body_RECEIPT receipt(void)
{
    union body body;
    assert_int_equal(body_decode(&body, KIND_RECEIPT, run->result), OK);
    return body.RECEIPT;
}

/* As its enclave would have ended with these parts. */
static void end_with(struct body_RECEIPT *body)
{
    const struct body_ENDING ending = {world->run, 1, core_receipt_hash(body->core),
                                       enclave_statements_hash(body->releases, body->commits),
                                       enclave_outputs_hash(body->output)};
    struct node_id enclave;
    assert_int_equal(identity_public(&enclave, &run->signing), OK);
    body->ending = world_statement(world, &run->signing, enclave, KIND_ENDING, &ending);
}

static enum run_state state_after(const struct body_RECEIPT *body)
{
    struct run_view view;
    struct lone *l = lone_new(world, WORLD_REQUESTER);
    lone_record(l, world->node[WORLD_COMPUTE].id, world_record(world, WORLD_COMPUTE, KIND_RECEIPT, body, 0));
    assert_true(core_run(l->core, world->run, &view));
    bool held = registry_run(core_registry(l->core), world->run)->receipt != NULL;
    assert_int_equal(held, view.state == RUN_SETTLED);
    lone_free(l);
    world->record_count--; /* the next one takes its place */
    world->node[WORLD_COMPUTE].seq--;
    world->node[WORLD_COMPUTE].head = (struct record_id){{0}};
    return view.state;
}

static void test_a_whole_receipt_settles(void **state)
{
    (void)state;
    struct body_RECEIPT body = receipt();
    assert_int_equal(state_after(&body), RUN_SETTLED);
}

/* A record of the compute member's, the next after `steps` that nobody is shown, and which leaves no trace. */
static const struct record *aside(uint32_t steps, enum kind kind, const void *body)
{
    const struct body_WORKERS unshown = {SPAN_LITERAL("spare"), 1, SPAN_NONE};
    struct world_node *author = &world->node[WORLD_COMPUTE];
    const uint64_t seq = author->seq;
    const struct record_id head = author->head;
    const struct record *r = NULL;
    for (uint32_t i = 0; i < steps; i++) (void)world_record(world, WORLD_COMPUTE, KIND_WORKERS, &unshown, 0);
    r = world_record(world, WORLD_COMPUTE, kind, body, 0);
    author->seq = seq;
    author->head = head;
    world->record_count -= steps + 1;
    return r;
}

/* It proves itself: proof that the author of the record signed two in its place, or in one before it, may come first, and what was before
 * it may be missing for good. */
static void test_a_receipt_outlives_its_author(void **state)
{
    (void)state;
    enum { SAME_PLACE, BEFORE, GAP, WAYS };
    struct body_RECEIPT body = receipt();
    const struct body_WORKERS other = {SPAN_LITERAL("other"), 2, SPAN_NONE};
    for (int way = 0; way < WAYS; way++) {
        uint8_t bytes[2048];
        struct buffer b = BUFFER_OF(bytes);
        struct run_view view;
        struct lone *l = lone_new(world, WORLD_REQUESTER);
        const struct record *whole = aside(way == SAME_PLACE ? 0 : 1, KIND_RECEIPT, &body),
                            *one = way == SAME_PLACE ? whole : aside(0, KIND_RECEIPT, &body),
                            *two = aside(0, KIND_WORKERS, &other);
        const struct message_EQUIVOCATION pair = {one->header_bytes, one->signature, two->header_bytes,
                                                  two->signature};
        message_encode(&b, MESSAGE_EQUIVOCATION_CODE, &pair);
        if (way != GAP) lone_message(l, world->node[0].id, buffer_span(&b));
        const struct author *author = chain_author(core_chain(l->core), world->node[WORLD_COMPUTE].id);
        assert_true(way == GAP || author->frozen == two->header.seq);
        lone_record(l, world->node[0].id, whole);
        assert_true(core_run(l->core, world->run, &view));
        assert_int_equal(view.state, RUN_SETTLED);
        lone_free(l);
    }
}

/* Everything q custodians signed is there and holds: without the enclave, or beside another certificate, it is nothing. */
static void test_what_does_not_settle(void **state)
{
    (void)state;
    struct body_RECEIPT body = receipt();
    body.core_signature.bytes[5] ^= 1;
    assert_int_equal(state_after(&body), RUN_REQUESTED);
    body = receipt();
    body.certificate = world_certificate_bytes(world, 2);
    assert_int_equal(state_after(&body), RUN_REQUESTED);
    body = receipt();
    body.core = SPAN_LITERAL("x");
    assert_int_equal(state_after(&body), RUN_REQUESTED);
}

/* Whoever publishes it can withhold what the enclave put out, and change none of it: it would settle the run, and prove nothing. */
static void test_a_spoiled_receipt_settles_nothing(void **state)
{
    (void)state;
    struct body_RECEIPT body = receipt(), good = body;
    struct span *const parts[] = {&body.records, &body.evidence, &body.releases,
                                  &body.commits, &body.ending,   &body.output};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        static uint8_t bytes[CAP_BODY_BYTES];
        const size_t len = parts[i]->len;
        for (size_t at = 0; at < len; at += len / 7 + 1) {
            memcpy(bytes, parts[i]->data, len);
            bytes[at] ^= 1;
            *parts[i] = span_make(bytes, len);
            assert_int_equal(state_after(&body), RUN_REQUESTED);
            body = good;
        }
        *parts[i] = SPAN_LITERAL("");
        assert_int_equal(state_after(&body), RUN_REQUESTED);
        body = good;
    }
    struct body_ENDING ending = {world->run, 2, core_receipt_hash(body.core),
                                 enclave_statements_hash(body.releases, body.commits),
                                 enclave_outputs_hash(body.output)};
    struct node_id enclave;
    assert_int_equal(identity_public(&enclave, &run->signing), OK);
    body.ending = world_statement(world, &run->signing, enclave, KIND_ENDING, &ending); /* another term's */
    assert_int_equal(state_after(&body), RUN_REQUESTED);
    ending.term = 1;
    body.ending = world_statement(world, &world->node[0].secret, world->node[0].id, KIND_ENDING, &ending);
    assert_int_equal(state_after(&body), RUN_REQUESTED);
    end_with(&body);
    assert_int_equal(state_after(&body), RUN_SETTLED);
}

/* An enclave's own key signs a core of another output: the commits are to the first one. */
static void test_another_core(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    struct buffer b = BUFFER_OF(bytes);
    struct core_receipt core;
    struct body_RECEIPT body = receipt();
    assert_int_equal(core_receipt_decode(&core, body.core), OK);
    core.commitment.bytes[0] ^= 1;
    core_receipt_encode(&b, &core);
    body.core = buffer_span(&b);
    assert_int_equal(identity_sign(&body.core_signature, &run->signing, core_receipt_hash(body.core)), OK);
    end_with(&body);
    assert_int_equal(state_after(&body), RUN_REQUESTED);
}

/* Commits to a core that names another commitment than they do: whoever settles on them cannot tell which output it was. */
static void test_commits_to_another_output(void **state)
{
    (void)state;
    uint8_t bytes[8192];
    struct buffer b = BUFFER_OF(bytes);
    struct body_RECEIPT body = receipt();
    struct body_COMMIT commit = {.run = world->run, .term = 1, .core = core_receipt_hash(body.core)};
    struct core_receipt core;
    assert_int_equal(core_receipt_decode(&core, body.core), OK);
    for (int other = 0; other < 2; other++) {
        b.len = 0;
        commit.commitment = core.commitment;
        commit.commitment.bytes[0] ^= (uint8_t)other;
        pack_array(&b, 3);
        for (uint32_t i = 0; i < 3; i++)
            pack_bin(&b,
                     world_statement(world, &world->node[i].secret, world->node[i].id, KIND_COMMIT, &commit));
        body.commits = buffer_span(&b);
        end_with(&body);
        assert_int_equal(state_after(&body), other == 0 ? RUN_SETTLED : RUN_REQUESTED);
    }
}

/* --- Opening --------------------------------------------------------------------------------------------------------------- */

struct opened {
    uint32_t calls;
    enum err err;
    struct span output;
};

static void on_opened(void *context, enum err err, const struct reading *reading)
{
    struct opened *o = context;
    o->calls++;
    o->err = err;
    assert_true((reading != NULL) == (err == OK));
    if (reading != NULL) assert_int_equal(arena_copy(&world->arena, &o->output, reading->output), OK);
}

static void keyed_now(void *keys, const struct crypto_job *job, keyed_done done, void *context)
{
    static uint8_t bytes[WORK_OUTPUT_MAX];
    struct buffer out = BUFFER_OF(bytes);
    enum err err = work_do(keys, &out, job);
    done(context, 0, err, buffer_span(&out));
}

static struct opened open_as(uint32_t reader, const struct body_RECEIPT *body)
{
    struct opened o = {0};
    struct work_memory kept = {0};
    struct work_keys keys = world_node_keys(&world->node[reader], &kept);
    struct opening_options options = {world->node[reader].id, keyed_now, &keys, on_opened, &o};
    opening_start(&options, body);
    assert_int_equal(o.calls, 1);
    return o;
}

/* The receipt with another box for the requester, as anyone can seal one. */
static struct body_RECEIPT with_box(const struct reading *reading)
{
    static uint8_t plain[4096], box[4096 + KEM_OVERHEAD_BYTES], output[8192];
    struct body_RECEIPT body = receipt();
    const struct world_node *n = &world->node[WORLD_REQUESTER];
    struct buffer p = BUFFER_OF(plain), b = BUFFER_OF(output);
    struct hash32 context = output_box_context(world->run, n->id);
    buffer_put(&p, ID_SPAN(reading->salt));
    buffer_put(&p, SPAN_OF(reading->signature.bytes));
    buffer_put(&p, reading->output);
    assert_int_equal(kem_seal(box, &n->kem, buffer_span(&p), ID_SPAN(context)), OK);
    pack_array(&b, 2);
    pack_bin(&b, ID_SPAN(n->id));
    pack_bin(&b, span_make(box, p.len + KEM_OVERHEAD_BYTES));
    body.output = buffer_span(&b);
    return body;
}

static void test_readers_open_it(void **state)
{
    (void)state;
    struct body_RECEIPT body = receipt();
    struct opened o = open_as(WORLD_REQUESTER, &body);
    assert_int_equal(o.err, OK);
    assert_true(span_equal(o.output, run->output));
    o = open_as(WORLD_ALGORITHM, &body);
    assert_int_equal(o.err, OK);
    o = open_as(WORLD_COMPUTE, &body);
    assert_int_equal(o.err, ERR_NOT_FOUND);
    struct reading own = world_run_reading(run, WORLD_REQUESTER);
    body = with_box(&own); /* resealed by somebody, the very reading is the very reading */
    o = open_as(WORLD_REQUESTER, &body);
    assert_int_equal(o.err, OK);
}

static void test_a_false_output_is_not_shown(void **state)
{
    (void)state;
    struct reading reading = world_run_reading(run, WORLD_REQUESTER), good = reading;
    reading.output = SPAN_LITERAL("{\"everybody\":\"is well\"}");
    struct body_RECEIPT body = with_box(&reading);
    assert_int_equal(open_as(WORLD_REQUESTER, &body).err, ERR_HASH);
    reading = good;
    reading.salt.bytes[31] ^= 1;
    body = with_box(&reading);
    assert_int_equal(open_as(WORLD_REQUESTER, &body).err, ERR_HASH);
    reading = good; /* the output itself, and a response by no enclave */
    struct hash32 response = response_hash(world->run, good.output);
    assert_int_equal(identity_sign(&reading.signature, &world->node[WORLD_COMPUTE].secret, response), OK);
    body = with_box(&reading);
    assert_int_equal(open_as(WORLD_REQUESTER, &body).err, ERR_SIGNATURE);
    body.output = receipt().output;
    struct hash32 other = world->op;
    memcpy(body.run.bytes, other.bytes, 32);
    assert_int_equal(open_as(WORLD_REQUESTER, &body).err, ERR_CONFLICT);
}

static void test_a_box_of_noise(void **state)
{
    (void)state;
    uint8_t bytes[256] = {0}, noise[100] = {0};
    struct buffer b = BUFFER_OF(bytes);
    struct body_RECEIPT body = receipt();
    pack_array(&b, 2);
    pack_bin(&b, ID_SPAN(world->node[WORLD_REQUESTER].id));
    pack_bin(&b, SPAN_OF(noise));
    body.output = buffer_span(&b);
    assert_int_equal(open_as(WORLD_REQUESTER, &body).err, ERR_KEY); /* zero is no point */
    body.output = SPAN_LITERAL("noise");
    assert_int_not_equal(open_as(WORLD_REQUESTER, &body).err, OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_whole_receipt_settles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_receipt_outlives_its_author, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_does_not_settle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_spoiled_receipt_settles_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_core, setup, teardown),
        cmocka_unit_test_setup_teardown(test_commits_to_another_output, setup, teardown),
        cmocka_unit_test_setup_teardown(test_readers_open_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_false_output_is_not_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_box_of_noise, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
