/* The seeds of those fuzz targets that read what a run is made of (approval, bundle, certificate, core, enclave, receipt, record,
 * recording, store, worker) come from the test world. When a format changes they must follow, or fuzzing ends at the first check: this test asks
 * that each is still read to its end. `PERIGEE_SEEDS=write` puts new ones in their place. */
#include "crypto/kem.h"
#include "node/approval_file.h"
#include "node/kept.h"
#include "node/recording.h"
#include "node/store_check.h"
#include "proto/promise.h"
#include "proto/receipt.h"
#include "proto/wire/pack.h"
#include "tests/memory_file.h"
#include "tests/store_rows.h"
#include "tests/world_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEED_MAX = 1 << 17, SESSION_MAX = 96 * 1024 };

static struct world *world;
static struct world_run *run;
static uint8_t bundle_bytes[1 << 20], seed_bytes[SEED_MAX];

static int setup(void **state)
{
    (void)state;
    world = world_new();
    run = world_run_new(world);
    world_run_start(run);
    return world_run_drive(run, 100) ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    world_run_free(run);
    world_free(world);
    return 0;
}

/* --- Files ---------------------------------------------------------------------------------------------------------------- */

/* Read to its end? Spans of what is read live in the world's arenas. */
typedef bool accepts(struct span seed);

static void seed(const char *target, const char *name, struct span bytes, accepts *good)
{
    static uint8_t held[SEED_MAX];
    char path[512];
    const char *how = getenv("PERIGEE_SEEDS");
    (void)snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s/%s", PERIGEE_SOURCE_DIR, target, name);
    if (!good(bytes)) fail_msg("a new seed %s is not accepted", path);
    bool write = how != NULL && strcmp(how, "write") == 0;
    FILE *file = fopen(path, write ? "wb" : "rb");
    if (file == NULL) fail_msg("%s cannot be opened", path);
    size_t len = write ? fwrite(bytes.data, 1, bytes.len, file) : fread(held, 1, sizeof held, file);
    assert_int_equal(fclose(file), 0);
    if (write ? len != bytes.len : !good(span_make(held, len)))
        fail_msg("%s is of another format: PERIGEE_SEEDS=write unit_fuzz_seeds_test makes it anew", path);
}

static struct span world_bundle(void)
{
    struct buffer b = BUFFER_OF(bundle_bytes);
    struct registry *r = world_registry(world, 0);
    assert_int_equal(bundle_collect(&b, r, world->run), OK);
    world_arena_free(registry_arena(r));
    return buffer_span(&b);
}

/* --- Records ---------------------------------------------------------------------------------------------------------------- */

static bool header_reads(struct span seed)
{
    struct header h;
    return header_decode(&h, seed) == OK;
}

static bool record_reads(struct span seed)
{
    struct record r;
    union body body;
    return record_unpack(&r, seed) == OK && body_decode(&body, r.header.kind, r.body) == OK;
}

static bool message_reads(struct span seed)
{
    union message_body body;
    enum message code;
    return message_decode(&code, &body, seed) == OK && code == MESSAGE_RECORD_CODE;
}

static void prevote_seed(void)
{
    const struct world_node *n = &world->node[0];
    struct body_PREVOTE body = {.run = world->run, .term = 1, .node = world->node[WORLD_COMPUTE].id};
    seed("record", "prevote.packed", world_statement(world, &n->secret, n->id, KIND_PREVOTE, &body),
         record_reads);
}

static void test_records(void **state)
{
    (void)state;
    prevote_seed();
    static const enum kind kinds[] = {KIND_CHARTER,     KIND_MEMBER, KIND_COMMITTEE, KIND_ASSET,
                                      KIND_OP,          KIND_GRANT,  KIND_APPROVAL,  KIND_JOB,
                                      KIND_ENDORSEMENT, KIND_RUN,    KIND_WORKERS};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char name[64];
        uint32_t at = 0;
        while (world->record[at]->header.kind != kinds[i]) at++;
        const struct record *r = world->record[at];
        struct buffer b = BUFFER_OF(seed_bytes);
        (void)snprintf(name, sizeof name, "%s.header", kind_name(kinds[i]));
        seed("record", name, r->header_bytes, header_reads);
        record_pack(&b, r);
        (void)snprintf(name, sizeof name, "%s.packed", kind_name(kinds[i]));
        seed("record", name, buffer_span(&b), record_reads);
        if (kinds[i] != KIND_RUN) continue;
        b.len = 0;
        record_encode(&b, r);
        seed("message", "record.run", buffer_span(&b), message_reads);
    }
}

/* --- Bundles, certificates, receipts ------------------------------------------------------------------------------------ */

static bool bundle_opens(struct span bundle, struct consortium_id consortium)
{
    struct bundle *opened = NULL;
    struct verdict v;
    struct arena *arena = world_arena(world);
    enum err err = bundle_open(&opened, &v, arena, bundle, consortium, world->now_ms);
    world_arena_free(arena);
    return err == OK;
}

static bool bundle_reads(struct span seed)
{
    struct consortium_id consortium;
    if (seed.len < 32) return false;
    memcpy(consortium.bytes, seed.data, 32);
    return bundle_opens(span_make(seed.data + 32, seed.len - 32), consortium);
}

static void test_bundle(void **state)
{
    (void)state;
    struct span bundle = world_bundle();
    struct buffer b = BUFFER_OF(seed_bytes);
    buffer_put(&b, ID_SPAN(world->consortium));
    buffer_put(&b, bundle);
    seed("bundle", "whole", buffer_span(&b), bundle_reads);
}

static bool certificate_reads(struct span seed)
{
    struct certificate c;
    return certificate_decode(&c, seed) == OK && c.vote_count == 3;
}

static void test_certificate(void **state)
{
    (void)state;
    seed("certificate", "three-votes", world_certificate_bytes(world, 1), certificate_reads);
}

static bool replays(const struct receipt_parts *parts, struct arena *arena)
{
    static struct receipt_replay r;
    if (receipt_replay(&r, arena, parts, parts->consortium) != OK) return false;
    for (uint32_t l = 0; l < RECEIPT_LINK_COUNT; l++)
        if (r.err[l] != OK) return false;
    return true;
}

static bool receipt_reads(struct span seed)
{
    struct receipt_parts parts;
    struct arena *arena = world_arena(world);
    bool good = seed.len > 1 && seed.data[0] == 't' &&
                receipt_parse(&parts, arena, span_make(seed.data + 1, seed.len - 1), NULL) == OK &&
                replays(&parts, arena);
    world_arena_free(arena);
    return good;
}

static bool parts_read(struct span seed)
{
    struct receipt_parts parts = {.output = SPAN_NONE};
    struct span body;
    struct cursor c = cursor_make(seed);
    uint8_t kind;
    struct arena *arena = world_arena(world);
    bool good = cursor_u8(&c, &kind) == OK && kind == 'p' && unpack_array_of(&c, 5) == OK &&
                unpack_fixed(&c, parts.consortium.bytes, 32) == OK &&
                unpack_bin(&c, SEED_MAX, &parts.bundle) == OK && unpack_bin(&c, SEED_MAX, &body) == OK &&
                unpack_bin(&c, SEED_MAX, &parts.output) == OK &&
                unpack_fixed(&c, parts.salt.bytes, 32) == OK &&
                body_decode(&parts.body, KIND_RECEIPT, body) == OK && replays(&parts, arena);
    world_arena_free(arena);
    return good;
}

static void test_receipt(void **state)
{
    (void)state;
    static uint8_t text[SEED_MAX];
    union body body;
    struct reading reading = world_run_reading(run, WORLD_REQUESTER);
    struct span bundle = world_bundle();
    struct buffer t = BUFFER_OF(text), b = BUFFER_OF(seed_bytes);
    assert_int_equal(body_decode(&body, KIND_RECEIPT, run->result), OK);
    struct receipt_parts parts = {world->consortium, bundle,       body.RECEIPT,
                                  reading.output,    reading.salt, reading.signature};
    buffer_put_u8(&t, 't');
    assert_int_equal(receipt_write(&t, &parts), OK);
    seed("receipt", "text", buffer_span(&t), receipt_reads);
    buffer_put_u8(&b, 'p');
    pack_array(&b, 5);
    pack_bin(&b, ID_SPAN(world->consortium));
    pack_bin(&b, bundle);
    pack_bin(&b, run->result);
    pack_bin(&b, reading.output);
    pack_bin(&b, ID_SPAN(reading.salt));
    assert_int_equal(buffer_done(&b), OK);
    seed("receipt", "parts", buffer_span(&b), parts_read);
}

/* --- A session ------------------------------------------------------------------------------------------------------------ */

/* The first frame is a START whose bundle opens: the session gets past it. */
static bool session_reads(struct span seed)
{
    struct span given, frame, certificate, bundle;
    struct consortium_id consortium;
    struct run_id id;
    uint64_t term;
    uint32_t count = 0;
    struct cursor c = cursor_make(seed), start;
    if (unpack_array(&c, 512, &count) != OK || count < 9) return false;
    for (uint32_t i = 0; i < 4; i++)
        if (unpack_bin(&c, SEED_MAX, &given) != OK) return false;
    if (unpack_bin(&c, SEED_MAX, &frame) != OK || frame.len < 1 || frame.data[0] != FRAME_START) return false;
    start = cursor_make(span_make(frame.data + 1, frame.len - 1));
    return unpack_array_of(&start, 5) == OK && unpack_fixed(&start, consortium.bytes, 32) == OK &&
           unpack_fixed(&start, id.bytes, 32) == OK && unpack_uint(&start, UINT32_MAX, &term) == OK &&
           unpack_bin(&start, SEED_MAX, &certificate) == OK && unpack_bin(&start, SEED_MAX, &bundle) == OK &&
           bundle_opens(bundle, consortium);
}

/* What the fuzz target takes for a box: the plaintext behind so many zeros. */
static struct span open_box(struct span frame)
{
    static uint8_t opened[65536];
    if (frame.data[0] != FRAME_ANSWER) return frame;
    struct hash32 context = relay_context(world->run, run->term, frame.data[1], 1);
    struct span box = span_make(frame.data + 2, frame.len - 2);
    assert_true(frame.len <= sizeof opened);
    memset(opened, 0, sizeof opened);
    memcpy(opened, frame.data, 2);
    assert_int_equal(kem_open(opened + 2 + KEM_OVERHEAD_BYTES, &run->kem_secret, box, ID_SPAN(context)), OK);
    return span_make(opened, frame.len);
}

/* What the executor gave, then the host's frames in their order, as far as they fit. */
static void test_session(void **state)
{
    (void)state;
    static uint8_t frames[SEED_MAX];
    struct span given[4] = {SPAN_NONE, ID_SPAN(run->unlocked.salt), SPAN_NONE, run->output};
    struct buffer f = BUFFER_OF(frames), b = BUFFER_OF(seed_bytes);
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->tail && f.len < SESSION_MAX; i++) {
        const struct world_queued *q = &run->queue[i];
        if (q->type == ENCLAVE_KEYS) given[0] = q->bytes;
        if (q->type == ENCLAVE_EVIDENCE) given[2] = q->bytes;
        if (q->type != ENCLAVE_FRAME || q->bytes.len > SESSION_MAX - f.len) continue;
        pack_bin(&f, open_box(q->bytes));
        count++;
    }
    assert_true(count > 4);
    pack_array(&b, 4 + count);
    for (uint32_t i = 0; i < 4; i++) pack_bin(&b, given[i]);
    buffer_put(&b, buffer_span(&f));
    assert_int_equal(buffer_done(&b), OK);
    seed("enclave", "session", buffer_span(&b), session_reads);
}

/* --- What a core hears ------------------------------------------------------------------------------------------------------ */

/* Each a message that decodes, or a tick. */
static bool conversation_reads(struct span seed)
{
    struct cursor c = cursor_make(seed);
    union message_body body;
    enum message code;
    struct span message;
    uint8_t who;
    uint16_t len;
    uint32_t count = 0;
    while (cursor_u8(&c, &who) == OK && cursor_u16(&c, &len) == OK && cursor_take(&c, &message, len) == OK) {
        if (message.len > 0 && message_decode(&code, &body, message) != OK) return false;
        count++;
    }
    return cursor_left(&c) == 0 && count > 3;
}

static void say(struct buffer *out, uint32_t who, enum message code, const void *message)
{
    static uint8_t bytes[SEED_MAX];
    struct buffer b = BUFFER_OF(bytes);
    message_encode(&b, code, message);
    buffer_put_u8(out, (uint8_t)who);
    buffer_put_u16(out, (uint16_t)b.len);
    buffer_put(out, buffer_span(&b));
}

static void say_statement(struct buffer *out, uint32_t who, enum kind kind, const void *body)
{
    struct record r;
    struct message_RECORD m;
    const struct world_node *n = &world->node[who];
    assert_int_equal(record_unpack(&r, world_statement(world, &n->secret, n->id, kind, body)), OK);
    m = (struct message_RECORD){r.header_bytes, r.signature, r.body};
    say(out, who, MESSAGE_RECORD_CODE, &m);
}

/* A compute node asks for a prevote and a vote, its enclave for shares, in a box as the target opens them. */
static void test_core(void **state)
{
    (void)state;
    static uint8_t box[8192];
    static const uint8_t tick[3] = {WORLD_COMPUTE, 0, 0};
    struct buffer b = BUFFER_OF(seed_bytes), inner = BUFFER_OF(box);
    const struct world_node *n = &world->node[WORLD_COMPUTE];
    struct span certificate = world_certificate_bytes(world, 1);
    struct body_ADVERT advert = {world->platform, SPAN_LITERAL("engine"), SPAN_LITERAL(""), 1, SPAN_NONE};
    struct body_PREVOTE_ASK prevote = {.run = world->run, .term = 1};
    struct body_VOTE_ASK vote = {.run = world->run, .term = 1};
    struct body_SHARE_ASK ask = {.run = world->run, .term = 1, .certificate = certificate};
    static const uint8_t sealed[KEM_OVERHEAD_BYTES];
    say_statement(&b, WORLD_COMPUTE, KIND_ADVERT, &advert);
    say_statement(&b, WORLD_COMPUTE, KIND_PREVOTE_ASK, &prevote);
    say_statement(&b, WORLD_COMPUTE, KIND_VOTE_ASK, &vote);
    buffer_put(&inner, SPAN_OF(sealed));
    buffer_put(&inner, world_statement(world, &n->secret, n->id, KIND_SHARE_ASK, &ask));
    struct message_RELAY relay = {world->run, 1, 0, 0, buffer_span(&inner)};
    say(&b, WORLD_COMPUTE, MESSAGE_RELAY_CODE, &relay);
    buffer_put(&b, SPAN_OF(tick));
    assert_int_equal(buffer_done(&b), OK);
    seed("core", "asks", buffer_span(&b), conversation_reads);
}

/* --- What a host hears from its worker -------------------------------------------------------------------------------------- */

/* Rows to the end, the last of them a result of the run whose id is left out. */
static bool frames_read(struct span seed)
{
    struct cursor c = cursor_make(seed);
    struct span frame = SPAN_NONE;
    struct run_id run_left_out;
    union body body;
    uint8_t who;
    uint16_t len;
    memset(run_left_out.bytes, 0x5e, 32);
    while (cursor_u8(&c, &who) == OK && cursor_u16(&c, &len) == OK && cursor_take(&c, &frame, len) == OK)
        continue;
    return cursor_left(&c) == 0 && frame.len > 1 && frame.data[0] == FRAME_RESULT &&
           body_decode(&body, KIND_RECEIPT, span_make(frame.data + 1, frame.len - 1)) == OK &&
           ID_EQUAL(body.RECEIPT.run, run_left_out);
}

static void put_frame(struct buffer *out, enum enclave_frame type, struct span body)
{
    buffer_put_u8(out, 0);
    buffer_put_u16(out, (uint16_t)(1 + body.len));
    buffer_put_u8(out, (uint8_t)type);
    buffer_put(out, body);
}

static void test_worker(void **state)
{
    (void)state;
    static uint8_t result[SEED_MAX];
    static const uint8_t states[] = {RUN_ATTESTED, RUN_KEYED, RUN_COMPUTING, RUN_COMMITTED},
                         tick[] = {4, 0, 0};
    const uint8_t ask[] = {2, 'b', 'o', 'x'}, bad[] = {1, 'n', 'o'};
    union body body;
    struct buffer b = BUFFER_OF(seed_bytes), r = BUFFER_OF(result);
    assert_int_equal(body_decode(&body, KIND_RECEIPT, run->result), OK);
    memset(body.RECEIPT.run.bytes, 0x5e, 32);
    body_encode(&r, KIND_RECEIPT, &body.RECEIPT);
    put_frame(&b, FRAME_WANT, SPAN_OF(world->blob[0].cid));
    put_frame(&b, FRAME_ASK, SPAN_OF(ask));
    put_frame(&b, FRAME_BAD_SHARES, SPAN_OF(bad));
    for (uint32_t i = 0; i < sizeof states; i++) put_frame(&b, FRAME_STATE, span_make(&states[i], 1));
    buffer_put(&b, SPAN_OF(tick));
    put_frame(&b, FRAME_RESULT, buffer_span(&r));
    assert_int_equal(buffer_done(&b), OK);
    seed("worker", "a-run", buffer_span(&b), frames_read);
}

/* --- Files of a node ------------------------------------------------------------------------------------------------------ */

static bool approval_reads(struct span seed)
{
    char path[MEMORY_FILE_PATH], fault[256];
    struct approval_file f;
    int file = memory_file_open(path, seed);
    const enum err err = approval_file_open(&f, path, fault, sizeof fault);
    memory_file_close(file);
    if (err == OK) approval_file_close(&f);
    return err == OK;
}

static void test_approval(void **state)
{
    (void)state;
    static char workflow[CAP_DOCUMENT_BYTES + 1];
    char consortium[65], owner[65], dataset[80] = "dt:perigee:";
    union body body;
    uint32_t at = 0;
    while (world->record[at]->header.kind != KIND_OP) at++;
    assert_int_equal(body_decode(&body, KIND_OP, world->record[at]->body), OK);
    memcpy(workflow, world->workflow.data, world->workflow.len);
    hex_encode(consortium, world->consortium.bytes, 32);
    hex_encode(owner, world->node[0].id.bytes, 32);
    hex_encode(dataset + strlen(dataset), world->dataset[0].dt.bytes, 32);
    json_t *ops = json_pack("[{s:s%, s:s%}]", "document", body.OP.document.data, body.OP.document.len, "code",
                            body.OP.code.data, body.OP.code.len);
    json_t *request = approval_file_make(consortium, owner, dataset, 1, 5, workflow, ops);
    char *text = json_dumps(request, JSON_COMPACT | JSON_SORT_KEYS);
    assert_non_null(text);
    seed("approval", "request", span_text(text), approval_reads);
    free(text);
    json_decref(request);
    json_decref(ops);
}

static bool rows_are_sound(struct span seed)
{
    struct store_health health;
    struct store *s = store_rows_open(seed);
    const enum err err = store_check(&health, s, NULL, NULL);
    store_close(s);
    return err == OK && health.records >= 3 && health.promises >= 2 && store_health_defects(&health) == 0;
}

struct dump {
    struct buffer out;
    enum store_space space;
};

static enum err dump_row(void *context, struct span key, struct span value)
{
    struct dump *d = context;
    store_rows_put(&d->out, d->space, key, value);
    return OK;
}

/* One owner's records, and what a custodian promises when it votes. */
static void keep_some(struct store *s)
{
    static uint8_t packed[CAP_BODY_BYTES + 1024];
    uint8_t slot[PROMISE_KEY_BYTES], vote[PROMISE_KEY_BYTES];
    static const uint8_t value[32] = {7};
    promise_key(slot, PROMISE_SLOT, world->compose.bytes, 1);
    promise_key(vote, PROMISE_VOTE, world->run.bytes, 1);
    const struct keep promises[] = {{KEEP_PROMISE, SPAN_OF(slot), ID_SPAN(world->run)},
                                    {KEEP_PROMISE, SPAN_OF(vote), SPAN_OF(value)}};
    assert_int_equal(kept_submit(s, promises, 2, false, NULL, NULL), OK);
    for (uint32_t i = 0; i < world->record_count; i++) {
        struct buffer b = BUFFER_OF(packed);
        if (!ID_EQUAL(world->record[i]->header.author, world->node[0].id)) continue;
        record_pack(&b, world->record[i]);
        const struct keep k = {KEEP_RECORD, ID_SPAN(world->record[i]->id), buffer_span(&b)};
        assert_int_equal(kept_submit(s, &k, 1, false, NULL, NULL), OK);
    }
    memory_store_sync(s);
}

static void test_store(void **state)
{
    (void)state;
    struct store *s;
    struct dump d = {.out = BUFFER_OF(seed_bytes)};
    assert_int_equal(memory_store_open(&s, 1 << 24), OK);
    keep_some(s);
    for (d.space = 0; d.space < STORE_SPACE_COUNT; d.space++)
        assert_int_equal(store_scan(s, d.space, SPAN_NONE, dump_row, &d), OK);
    store_close(s);
    assert_int_equal(buffer_done(&d.out), OK);
    seed("store", "records", buffer_span(&d.out), rows_are_sound);
}

/* --- What a core was told ------------------------------------------------------------------------------------------------- */

static bool is_recording(struct span seed)
{
    struct recording_reader r;
    struct recording_frame f;
    if (recording_begin(&r, span_make(seed.data + 1, seed.len - 1)) != OK) return false;
    enum err err = OK;
    while (err == OK) err = recording_next(&r, &f);
    return err == ERR_NOT_FOUND && f.type == RECORDING_END;
}

/* One event of each form, and what stands between them. */
static void test_recording(void **state)
{
    (void)state;
    static uint8_t output[SHARE_BYTES];
    const struct node_id peer = world->node[1].id;
    const struct span cid = span_make(output, 36);
    const struct core_options options = {
        .self = world->node[0].id, .consortium = world->consortium, .charter = world->charter};
    const struct command command = {.type = COMMAND_RUN, .compose = world->compose, .slot = 3};
    const struct event events[] = {
        {.type = EVENT_RESTORE_LOCAL, .key = SPAN_LITERAL("join"), .bytes = SPAN_LITERAL("body")},
        {.type = EVENT_RESTORE_LOST, .key = ID_SPAN(peer)},
        {.type = EVENT_READY, .now = {5}, .wall_ms = world->now_ms},
        {.type = EVENT_MESSAGE, .peer = peer, .bytes = SPAN_LITERAL("message")},
        {.type = EVENT_STORED, .token = 7, .err = ERR_FULL},
        {.type = EVENT_CRYPTO, .token = 8, .bytes = SPAN_OF(output)},
        {.type = EVENT_COMMAND, .token = 9, .command = &command},
        {.type = EVENT_BLOB_MISSING, .run = world->run, .bytes = cid}};
    const uint32_t count = sizeof events / sizeof events[0];
    const struct recording_checkpoint end = {.events = count, .end = RECORDING_FULL};
    struct buffer b = BUFFER_OF(seed_bytes);
    buffer_put_u8(&b, 1);
    recording_put_start(&b, &options);
    for (uint32_t i = 0; i < count; i++)
        recording_put_event(&b, i + 1, &events[i], events[i].type == EVENT_CRYPTO);
    recording_put_checkpoint(&b, count + 1, RECORDING_CHECKPOINT, &end);
    recording_put_checkpoint(&b, count + 2, RECORDING_END, &end);
    assert_int_equal(buffer_done(&b), OK);
    seed("recording", "one-of-each", buffer_span(&b), is_recording);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records), cmocka_unit_test(test_bundle),    cmocka_unit_test(test_certificate),
        cmocka_unit_test(test_receipt), cmocka_unit_test(test_session),   cmocka_unit_test(test_approval),
        cmocka_unit_test(test_store),   cmocka_unit_test(test_recording), cmocka_unit_test(test_core),
        cmocka_unit_test(test_worker),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
