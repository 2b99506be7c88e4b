/* events: places of readers in the ring, ids that go on and ids that cannot, one run's only, and who is too slow. */
#include "crypto/secret.h"
#include "node/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct events *ring;
static char text[1 << 20];

static int begin(void **state)
{
    (void)state;
    if (crypto_init() != OK) return 1;
    ring = events_new();
    return ring == NULL;
}

static int end(void **state)
{
    (void)state;
    events_free(ring);
    return 0;
}

/* What a reader hears now, as text. */
static const char *heard(struct events_reader *r)
{
    size_t len = 0, got;
    while ((got = events_read(ring, r, (uint8_t *)text + len, EVENTS_ROOM)) > 0) len += got;
    text[len] = 0;
    return text;
}

static void first_id(char id[EVENTS_ID_MAX], struct events_reader *r)
{
    const char *said = heard(r);
    assert_memory_equal(said, "id: ", 4);
    (void)snprintf(id, EVENTS_ID_MAX, "%.*s", (int)strcspn(said + 4, "\n"), said + 4);
}

static void a_reader_hears_what_follows(void **state)
{
    struct events_reader r;
    (void)state;
    events_put(ring, "record", NULL, "{\"n\":0}");
    events_begin(ring, &r, SPAN_NONE, NULL);
    assert_null(strstr(heard(&r), "event:")); /* only an id */
    assert_string_equal(heard(&r), "");
    events_put(ring, "record", NULL, "{\"n\":1}");
    events_put(ring, "run", NULL, "{\"n\":2}");
    const char *said = heard(&r);
    const char *one = strstr(said, "-2\nevent: record\ndata: {\"n\":1}\n\n");
    assert_non_null(one);
    assert_non_null(strstr(one, "-3\nevent: run\ndata: {\"n\":2}\n\n"));
    assert_string_equal(heard(&r), "");
    r.ping = true;
    assert_string_equal(heard(&r), ":\n\n");
}

static void an_id_goes_on_behind_it(void **state)
{
    struct events_reader r, again;
    char id[EVENTS_ID_MAX];
    (void)state;
    events_begin(ring, &r, SPAN_NONE, NULL);
    first_id(id, &r); /* before any event */
    events_put(ring, "run", NULL, "{\"n\":1}");
    events_put(ring, "run", NULL, "{\"n\":2}");
    events_begin(ring, &again, span_text(id), NULL);
    assert_non_null(strstr(heard(&again), "{\"n\":1}"));
    assert_null(strstr(text, "reset"));
    id[strlen(id) - 1]++; /* behind the first */
    events_begin(ring, &again, span_text(id), NULL);
    assert_null(strstr(heard(&again), "{\"n\":1}"));
    assert_non_null(strstr(text, "{\"n\":2}"));
}

static void other_ids_are_told_to_begin_anew(void **state)
{
    struct events_reader r;
    char id[EVENTS_ID_MAX], far[EVENTS_ID_MAX];
    (void)state;
    events_begin(ring, &r, SPAN_NONE, NULL);
    first_id(id, &r);
    (void)snprintf(far, sizeof far, "%.8s-99", id);
    const char *const bad[] = {"x", "00000000-0", "-", far, "zzzzzzzz-18446744073709551616"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        events_begin(ring, &r, span_text(bad[i]), NULL);
        assert_non_null(strstr(heard(&r), "event: reset\ndata: {"));
    }
    for (int i = 0; i < EVENTS_KEPT; i++) events_put(ring, "run", NULL, "{}");
    events_begin(ring, &r, span_text(id), NULL);
    assert_null(strstr(heard(&r), "reset")); /* the whole ring is behind it */
    events_put(ring, "run", NULL, "{}");
    events_begin(ring, &r, span_text(id), NULL);
    assert_non_null(strstr(heard(&r), "event: reset")); /* one is gone */
    assert_null(strstr(text, "event: run"));            /* and it goes on from now */
}

static void who_does_not_read_is_lost(void **state)
{
    struct events_reader slow, other;
    (void)state;
    events_begin(ring, &slow, SPAN_NONE, NULL);
    events_begin(ring, &other, SPAN_NONE, NULL);
    (void)heard(&slow);
    for (int i = 0; i < EVENTS_KEPT; i++) events_put(ring, "run", NULL, "{}");
    (void)heard(&other);
    assert_false(other.lost);
    events_put(ring, "run", NULL, "{}");
    assert_string_equal(heard(&slow), "");
    assert_true(slow.lost);
    assert_non_null(strstr(heard(&other), "event: run"));
    assert_false(other.lost);
}

static void one_run_only(void **state)
{
    struct events_reader r;
    const struct run_id one = {{1}}, two = {{2}};
    (void)state;
    events_begin(ring, &r, SPAN_NONE, &one);
    events_put(ring, "run", &one, "{\"n\":1}");
    events_put(ring, "run", &two, "{\"n\":2}");
    events_put(ring, "alert", NULL, "{\"n\":3}");
    assert_non_null(strstr(heard(&r), "{\"n\":1}"));
    assert_null(strstr(text, "{\"n\":2}"));
    assert_null(strstr(text, "{\"n\":3}"));
    assert_int_equal(events_count(ring), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_reader_hears_what_follows, begin, end),
        cmocka_unit_test_setup_teardown(an_id_goes_on_behind_it, begin, end),
        cmocka_unit_test_setup_teardown(other_ids_are_told_to_begin_anew, begin, end),
        cmocka_unit_test_setup_teardown(who_does_not_read_is_lost, begin, end),
        cmocka_unit_test_setup_teardown(one_run_only, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
