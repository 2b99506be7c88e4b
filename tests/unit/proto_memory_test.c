/* What a core's memory holds: all of it is taken at the start, and what members write leaves room for what others do. */
#include "crypto/hash.h"
#include "proto/field.h"
#include "proto/registry_state.h"
#include "tests/lone.h"
#include "tests/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WRITER = WORLD_REQUESTER, VERSIONS = 80, NUMBERS_BYTES = 47000 };
static struct world *world;

static int set_up(void **state)
{
    (void)state;
    world = world_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

/* --- A core --------------------------------------------------------------------------------------------------------------- */

static struct dt token_of(uint32_t node, struct hash32 salt)
{
    struct dt dt;
    struct hash32 hash = HASH_FRAMED("perigee/dt/v1", ID_SPAN(world->node[node].id), ID_SPAN(salt));
    memcpy(dt.bytes, hash.bytes, sizeof dt.bytes);
    return dt;
}

/* A ddo/1 whose `extra` is a list of about `len` bytes of numbers: parsed it is 28 times as large. */
static struct span numbers(struct dt dt, size_t len)
{
    static uint8_t bytes[CAP_DOCUMENT_BYTES];
    struct buffer b = BUFFER_OF(bytes);
    buffer_put_text(&b, "{\"description\":\"\",\"dt\":\"");
    field_dt_text(&b, dt);
    buffer_put_text(&b, "\",\"extra\":{\"a\":[0");
    for (size_t i = 0; i + 2 < len; i += 2) buffer_put_text(&b, ",0");
    buffer_put_text(&b, "]},\"jurisdiction\":\"EU\",\"name\":\"x\",\"perigee\":\"ddo/1\",\"services\":[],"
                        "\"type\":\"compute\"}");
    assert_int_equal(buffer_done(&b), OK);
    return buffer_span(&b);
}

/* This version of the node's asset, sent to the core; the version in force. */
static uint64_t send_version(struct lone *l, uint32_t node, struct hash32 salt, uint64_t version, size_t len)
{
    struct dt dt = token_of(node, salt);
    struct body_ASSET body = {.dt = dt,
                              .version = version,
                              .salt = salt,
                              .ddo = numbers(dt, len),
                              .workflow = SPAN_LITERAL(""),
                              .policy = SPAN_LITERAL("")};
    size_t mark = arena_mark(&world->arena);
    lone_record(l, world->node[node].id, world_record(world, node, KIND_ASSET, &body, 0));
    world->record_count--;
    l->sent_count = 0;
    arena_release(&world->arena, mark);
    const struct asset *a = registry_asset(core_registry(l->core), dt);
    return a != NULL ? a->version : 0;
}

/* A member that writes 4 MB of numbers takes from nobody else: what is kept of a document is what the registry reads. */
static void test_numbers_leave_room(void **state)
{
    (void)state;
    struct lone *l = lone_new(world, 0);
    struct registry *r = core_registry(l->core);
    size_t taken = arena_mark(l->arena), kept = arena_mark(r->kept);
    for (uint64_t i = 1; i <= VERSIONS; i++)
        assert_int_equal(send_version(l, WRITER, sha256(SPAN_LITERAL("salt")), i, NUMBERS_BYTES), i);
    assert_true(arena_mark(r->kept) - kept <= VERSIONS * ARENA_BYTES(1, sizeof(struct ddo)));
    assert_int_equal(send_version(l, 1, sha256(SPAN_LITERAL("other")), 1, 4000), 1);
    const struct run_entry *run = registry_run(r, world->run);
    assert_int_equal(registry_check_run(r, &run->body, run->record->header.author, world->now_ms).refusal,
                     REFUSAL_NONE);
    assert_int_equal(arena_mark(l->arena), taken);
    assert_int_equal(arena_mark(r->scratch), 0);
    lone_free(l);
}

/* core_arena_bytes is the sum of all that a core takes. */
static void sum_of(const struct caps *caps)
{
    struct core *c;
    struct arena *memory = world_arena(world);
    uint8_t longest[CAP_TEXT + 1] = {0};
    struct core_options options = {.self = world->node[0].id,
                                   .consortium = world->consortium,
                                   .charter = world->charter,
                                   .engine = span_make(longest, CAP_TEXT),
                                   .gpu = span_make(longest, CAP_TEXT),
                                   .announce = span_make(longest, CONTACT_ADDRESS_MAX),
                                   .caps = caps};
    memory->cap = core_arena_bytes(caps) - 1;
    assert_int_equal(core_new(&c, memory, &options), ERR_NO_MEMORY);
    assert_int_equal(arena_mark(memory), 0);
    memory->cap = core_arena_bytes(caps);
    assert_int_equal(core_new(&c, memory, &options), OK);
    assert_ptr_equal(core_caps(c), caps != NULL ? caps : &caps_full);
    size_t spare = CAP_DOCUMENT_BYTES - world->charter.len;
    assert_in_range(memory->cap - arena_mark(memory), spare / 16 * 16, spare);
    world_arena_free(memory);
    options.gpu.len++;
    memory = world_arena(world);
    assert_int_equal(core_new(&c, memory, &options), ERR_TOO_LARGE);
    world_arena_free(memory);
}

static void test_sum(void **state)
{
    (void)state;
    sum_of(NULL);
    sum_of(&caps_full);
    sum_of(&caps_light);
    sum_of(&caps_sim);
    assert_true(core_arena_bytes(&caps_light) < core_arena_bytes(&caps_full));
    assert_int_equal(core_arena_bytes(NULL), core_arena_bytes(&caps_full));
}

/* --- Documents that are kept ------------------------------------------------------------------------------------------------ */

/* Memory that nothing kept may point into: overwritten when the document is kept. */
static uint8_t scratch_bytes[40 * CAP_DOCUMENT_BYTES] __attribute__((aligned(16)));
static uint8_t kept_bytes[4 * CAP_DOCUMENT_BYTES] __attribute__((aligned(16)));
static uint8_t rendered[2][WORKFLOW_RENDER_BYTES_MAX];

static struct json_room room_begin(struct arena *kept, struct arena *scratch)
{
    memset(kept_bytes, 0, sizeof kept_bytes);
    memset(scratch_bytes, 0, sizeof scratch_bytes);
    *kept = arena_make(kept_bytes, sizeof kept_bytes);
    *scratch = arena_make(scratch_bytes, sizeof scratch_bytes);
    return (struct json_room){kept, scratch};
}

static void room_end(const struct json_room *room)
{
    assert_int_equal(arena_mark(room->scratch), 0);
    memset(scratch_bytes, 0xee, sizeof scratch_bytes);
}

static void keep_workflow(struct span bytes)
{
    struct arena kept, scratch;
    struct json_room room = room_begin(&kept, &scratch);
    const struct workflow *w;
    struct workflow *parsed;
    struct buffer text[2] = {BUFFER_OF(rendered[0]), BUFFER_OF(rendered[1])};
    struct dt none = {{0}};
    assert_int_equal(workflow_keep(&w, room, bytes), OK);
    room_end(&room);
    assert_ptr_equal(w->bytes.data, bytes.data);
    assert_null(w->extra);
    assert_int_equal(workflow_parse(&parsed, sample_arena(), bytes, NULL), OK);
    workflow_render(&text[0], w, none);
    workflow_render(&text[1], parsed, none);
    assert_int_equal(buffer_done(&text[0]), OK);
    assert_true(span_equal(buffer_span(&text[0]), buffer_span(&text[1])));
    kept.cap = arena_mark(&kept) - 16;
    arena_release(&kept, 0);
    memset(scratch_bytes, 0, sizeof scratch_bytes);
    assert_int_equal(workflow_keep(&w, room, bytes), ERR_NO_MEMORY);
    assert_int_equal(arena_mark(&kept) + arena_mark(&scratch), 0);
}

static void test_workflow_is_kept(void **state)
{
    (void)state;
    keep_workflow(span_text(sample_workflow));
    keep_workflow(span_text(sample_workflow_rows));
    keep_workflow(sample_with(sample_workflow, "\"select\":\"", "\"select\":\"/* \\\"\\\\ */"));
}

/* A description with an escape is kept unescaped, one without where it stands. */
static void test_ddo_is_kept(void **state)
{
    (void)state;
    struct arena kept, scratch;
    struct json_room room = room_begin(&kept, &scratch);
    const struct ddo *d;
    struct span plain = span_text(sample_composite);
    assert_int_equal(ddo_keep(&d, room, plain), OK);
    room_end(&room);
    assert_ptr_equal(d->bytes.data, plain.data);
    assert_true(d->name.data > plain.data && d->name.data < plain.data + plain.len);
    assert_true(d->service_count > 0 && d->service[0].child_count > 0);
    assert_null(d->service[0].workflow);
    assert_int_equal(d->service[0].workflow_count, 0);
    struct span escaped = sample_with(sample_ddo, "\"description\":\"", "\"description\":\"\\\"so\\\" ");
    room = room_begin(&kept, &scratch);
    assert_int_equal(ddo_keep(&d, room, escaped), OK);
    room_end(&room);
    assert_ptr_equal(d->bytes.data, escaped.data);
    assert_memory_equal(d->description.data, "\"so\" ", 5);
    struct hash32 hash = sha256(escaped);
    assert_memory_equal(d->hash.bytes, hash.bytes, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_leave_room),
        cmocka_unit_test(test_sum),
        cmocka_unit_test(test_workflow_is_kept),
        cmocka_unit_test(test_ddo_is_kept),
    };
    return cmocka_run_group_tests_name("proto_memory", tests, set_up, tear_down);
}
