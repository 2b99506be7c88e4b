/* domain: places of texts of every length, NULLs, garbage behind a short text's end; against a search by comparison. */
#include "node/domain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 2048, TEXT_MAX = 24 };

static uint64_t seed = 0x9e3779b97f4a7c15u;
static char texts[COUNT][TEXT_MAX];
static union duckdb_string cells[COUNT];
static uint64_t validity[COUNT / 64];

static uint32_t pick(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* Few letters, so that texts share what they begin with; lengths around the inlined ones. */
static size_t make_text(char out[TEXT_MAX])
{
    const size_t len = pick(20);
    for (size_t i = 0; i < len; i++) out[i] = i < 3 || pick(4) > 0 ? 'a' : (char)pick(3);
    return len;
}

static union duckdb_string cell_of(const char *text, size_t len)
{
    union duckdb_string cell;
    memset(&cell, (int)pick(256), sizeof cell); /* what lies behind the end means nothing */
    cell.inside.length = (uint32_t)len;
    if (len <= sizeof cell.inside.inlined) {
        memcpy(cell.inside.inlined, text, len);
    } else {
        memcpy(cell.outside.prefix, text, sizeof cell.outside.prefix);
        cell.outside.data = text;
    }
    return cell;
}

static void make_group(struct group_column *group, char room[CAP_DOMAIN][TEXT_MAX], uint32_t count)
{
    *group = (struct group_column){.domain_count = 0};
    while (group->domain_count < count) {
        const size_t len = make_text(room[group->domain_count]);
        const struct span text = span_make(room[group->domain_count], len);
        bool known = false;
        for (uint32_t i = 0; i < group->domain_count; i++)
            known = known || span_equal(group->domain[i], text);
        if (!known) group->domain[group->domain_count++] = text;
    }
}

static int8_t expected(const struct group_column *group, uint32_t row)
{
    if (!duckdb_valid(validity, row)) return DOMAIN_NONE;
    for (uint32_t i = 0; i < group->domain_count; i++)
        if (span_equal(group->domain[i], duckdb_string_span(&cells[row]))) return (int8_t)i;
    return DOMAIN_NONE;
}

static void finds_what_comparing_finds(void **state)
{
    (void)state;
    static char room[CAP_DOMAIN][TEXT_MAX];
    static struct domain domain;
    static int8_t place[COUNT], want[COUNT];
    uint32_t found = 0, missed = 0;
    for (uint32_t round = 0; round < 60; round++) {
        struct group_column group;
        make_group(&group, room, 1 + round % CAP_DOMAIN);
        domain_init(&domain, &group);
        for (uint32_t i = 0; i < COUNT; i++) {
            const struct span known = group.domain[pick(group.domain_count)];
            size_t len = known.len;
            if (pick(2) == 0)
                len = make_text(texts[i]);
            else if (len > 0)
                memcpy(texts[i], known.data, len);
            cells[i] = cell_of(texts[i], len);
            if (i % 64 == 0) validity[i / 64] = 0;
            if (pick(8) > 0) validity[i / 64] |= UINT64_C(1) << (i % 64);
            want[i] = expected(&group, i);
            found += want[i] != DOMAIN_NONE;
            missed += want[i] == DOMAIN_NONE;
        }
        domain_places(&domain, place, cells, validity, COUNT);
        assert_memory_equal(place, want, sizeof place);
    }
    assert_true(found > COUNT && missed > COUNT);
}

static void no_validity_is_all_valid(void **state)
{
    (void)state;
    struct group_column group = {.domain_count = 1, .domain = {SPAN_LITERAL("")}};
    static struct domain domain;
    int8_t place[2] = {3, 3};
    const union duckdb_string text[2] = {cell_of("", 0), cell_of("x", 1)};
    domain_init(&domain, &group);
    domain_places(&domain, place, text, NULL, 2);
    assert_int_equal(place[0], 0);
    assert_int_equal(place[1], DOMAIN_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_comparing_finds),
        cmocka_unit_test(no_validity_is_all_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
