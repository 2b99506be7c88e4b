/* The disk of a simulated node: what was not synced is lost with the power, all of a batch or nothing, in order; a promise is never
 * written over by another. */
#include "sim/disk.h"
#include "tests/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TOLD_MAX = 16 };

static struct disk *disk;
static uint64_t told[TOLD_MAX];
static enum err told_err[TOLD_MAX];
static uint32_t told_count;

static void on_told(void *context, uint64_t token, enum err err)
{
    (void)context;
    assert_true(told_count < TOLD_MAX);
    told[told_count] = token;
    told_err[told_count++] = err;
}

static int setup(void **state)
{
    (void)state;
    told_count = 0;
    return disk_new(&disk, NULL, 1 << 20, on_told, NULL) == OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    disk_free(disk);
    return 0;
}

static void keep(uint64_t token, enum keep_space space, const char *key, const char *value)
{
    const struct keep item = {space, span_text(key), span_text(value)};
    assert_true(disk_keep(disk, token, &item, 1));
}

struct seen {
    char all[256];
};

static void see(void *context, const struct event *event)
{
    struct seen *s = context;
    const size_t len = strlen(s->all);
    const char kind = event->type == EVENT_RESTORE_LOCAL     ? 'l'
                      : event->type == EVENT_RESTORE_PROMISE ? 'p'
                                                             : 'r';
    if (kind == 'r') {
        struct record r;
        assert_int_equal(record_unpack(&r, event->bytes), OK);
        (void)snprintf(s->all + len, sizeof s->all - len, "r%llu ", (unsigned long long)r.header.seq);
    } else {
        (void)snprintf(s->all + len, sizeof s->all - len, "%c%.*s=%.*s ", kind, (int)event->key.len,
                       (const char *)event->key.data, (int)event->bytes.len, (const char *)event->bytes.data);
    }
}

static void expect_restored(const char *want)
{
    struct seen s = {{0}};
    assert_int_equal(disk_restore(disk, see, &s), OK);
    assert_string_equal(s.all, want);
}

static void what_is_synced_stays(void **state)
{
    (void)state;
    keep(1, KEEP_LOCAL, "a", "1");
    keep(2, KEEP_PROMISE, "vote", "x");
    assert_int_equal(told_count, 0);
    assert_int_equal(disk_waiting(disk), 2);
    disk_sync(disk);
    assert_int_equal(told_count, 2);
    assert_true(told[0] == 1 && told[1] == 2 && told_err[1] == OK);
    keep(3, KEEP_LOCAL, "a", "");
    disk_crash(disk, 0);
    assert_int_equal(told_count, 2); /* whoever waited is dead */
    expect_restored("la=1 pvote=x ");
    assert_true(disk_promised(disk, span_text("vote"), span_text("x")));
    assert_false(disk_promised(disk, span_text("vote"), span_text("y")));
}

static void a_torn_moment(void **state)
{
    (void)state;
    keep(1, KEEP_LOCAL, "a", "1");
    keep(2, KEEP_LOCAL, "b", "2");
    keep(3, KEEP_LOCAL, "c", "3");
    disk_crash(disk, 2);
    assert_int_equal(disk_waiting(disk), 0);
    expect_restored("la=1 lb=2 ");
}

static void a_promise_is_kept(void **state)
{
    (void)state;
    keep(1, KEEP_PROMISE, "vote", "x");
    keep(2, KEEP_PROMISE, "vote", "y");
    keep(3, KEEP_PROMISE, "vote", "x");
    disk_sync(disk);
    assert_int_equal(told_err[0], OK);
    assert_int_equal(told_err[1], ERR_CONFLICT);
    assert_int_equal(told_err[2], OK);
    expect_restored("pvote=x ");
}

static void records_in_the_order_of_their_chain(void **state)
{
    static uint8_t bytes[3][CAP_HEADER_BYTES + CAP_BODY_BYTES + 256];
    (void)state;
    struct world *w = world_new();
    const struct record *mine[3];
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->record_count && count < 3; i++)
        if (ID_EQUAL(w->record[i]->header.author, w->node[0].id)) mine[count++] = w->record[i];
    assert_int_equal(count, 3);
    for (uint32_t i = 3; i-- > 0;) {
        struct buffer b = BUFFER_OF(bytes[i]);
        record_pack(&b, mine[i]);
        const struct keep item = {KEEP_RECORD, ID_SPAN(mine[i]->id), buffer_span(&b)};
        assert_true(disk_keep(disk, 0, &item, 1));
    }
    assert_false(disk_has_record(disk, mine[1]));
    disk_sync(disk);
    assert_int_equal(told_count, 0); /* nobody asked */
    assert_true(disk_has_record(disk, mine[1]));
    expect_restored("r1 r2 r3 ");
    world_free(w);
}

static uint32_t keep_all(struct disk *d, struct world *w)
{
    static uint8_t bytes[CAP_HEADER_BYTES + CAP_BODY_BYTES + 256];
    for (uint32_t i = 0; i < w->record_count; i++) {
        struct buffer b = BUFFER_OF(bytes);
        record_pack(&b, w->record[i]);
        const struct keep item = {KEEP_RECORD, ID_SPAN(w->record[i]->id), buffer_span(&b)};
        assert_true(disk_keep(d, 0, &item, 1));
    }
    return w->record_count;
}

static void count_records(void *context, const struct event *event)
{
    struct record r;
    assert_int_equal(record_unpack(&r, event->bytes), OK);
    ++*(uint32_t *)context;
}

static void one_shelf_for_all(void **state)
{
    (void)state;
    struct world *w = world_new();
    const uint32_t most = w->record_count - 1; /* the last finds no place */
    const size_t bytes = shelf_bytes(most, 1 << 20);
    void *memory = calloc(1, bytes);
    struct arena arena = arena_make(memory, bytes);
    struct shelf shelf;
    assert_int_equal(shelf_init(&shelf, &arena, most, 1 << 20), OK);
    for (uint32_t i = 0; i < 2; i++) {
        struct disk *d;
        uint32_t seen = 0;
        assert_int_equal(disk_new(&d, &shelf, 1 << 20, on_told, NULL), OK);
        const uint32_t count = keep_all(d, w);
        disk_sync(d);
        disk_crash(d, 0);
        assert_int_equal(disk_restore(d, count_records, &seen), OK);
        assert_int_equal(seen, count);
        assert_int_equal(shelf.count, most);
        disk_free(d);
    }
    free(memory);
    world_free(w);
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {ONE(what_is_synced_stays), ONE(a_torn_moment), ONE(a_promise_is_kept),
                                       ONE(records_in_the_order_of_their_chain), ONE(one_shelf_for_all)};
    return cmocka_run_group_tests_name("sim_disk", tests, NULL, NULL);
}
