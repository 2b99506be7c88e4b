/* token: made once, known by its hash, refused when it is another, past its expiry or gone; rows that are no tokens'. */
#include "crypto/secret.h"
#include "node/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct tokens *all;

static int begin(void **state)
{
    (void)state;
    all = tokens_new();
    return all == NULL || crypto_init() != OK;
}

static int end(void **state)
{
    (void)state;
    tokens_free(all);
    return 0;
}

static struct token make(char text[TOKEN_TEXT_CHARS + 1], uint32_t scopes, uint64_t expires_ms)
{
    struct token t;
    assert_int_equal(token_make(&t, text, all, SPAN_LITERAL("mine"), scopes, 1, expires_ms), OK);
    assert_int_equal(tokens_add(all, &t), OK);
    return t;
}

static enum err check(const char *text, uint64_t now_ms, uint32_t *scopes)
{
    return tokens_check(all, span_text(text), now_ms, scopes);
}

static void any_other_text_is_refused(void **state)
{
    char text[TOKEN_TEXT_CHARS + 1];
    uint32_t scopes = 0;
    (void)state;
    make(text, SCOPE_READ | SCOPE_ADMIN, 100);
    assert_int_equal(check(text, 5, &scopes), OK);
    assert_int_equal(scopes, SCOPE_READ | SCOPE_ADMIN);
    for (size_t i = 0; i < TOKEN_TEXT_CHARS; i++) { /* every digit counts */
        const char was = text[i];
        text[i] = was == '0' ? '1' : '0';
        assert_int_equal(check(text, 5, &scopes), ERR_REFUSED);
        assert_int_equal(scopes, 0);
        text[i] = was;
    }
    for (size_t len = 0; len < TOKEN_TEXT_CHARS; len++)
        assert_int_equal(tokens_check(all, span_make(text, len), 5, &scopes), ERR_REFUSED);
    assert_int_equal(check(text, 5, &scopes), OK);
    assert_int_equal(tokens_at(all, 0)->used_ms, 5);
}

static void expiry_and_removal_end_it(void **state)
{
    char one[TOKEN_TEXT_CHARS + 1], two[TOKEN_TEXT_CHARS + 1];
    uint32_t scopes = 0;
    (void)state;
    const struct token first = make(one, SCOPE_READ, 100);
    make(two, SCOPE_MONITOR, 200);
    assert_int_equal(check(one, 99, &scopes), OK);
    assert_int_equal(check(one, 100, &scopes), ERR_EXPIRED);
    assert_int_equal(scopes, 0);
    assert_true(tokens_remove(all, first.id));
    assert_false(tokens_remove(all, first.id));
    assert_int_equal(check(one, 5, &scopes), ERR_REFUSED);
    assert_int_equal(check(two, 5, &scopes), OK);
    assert_int_equal(scopes, SCOPE_MONITOR);
    assert_null(tokens_at(all, 1));
}

static void names_and_room_have_bounds(void **state)
{
    char text[TOKEN_TEXT_CHARS + 1], name[TOKEN_NAME_MAX + 2];
    struct token t;
    (void)state;
    memset(name, 'x', sizeof name);
    assert_int_equal(token_make(&t, text, all, span_make(name, TOKEN_NAME_MAX), SCOPE_READ, 1, 2), OK);
    assert_int_equal(token_make(&t, text, all, span_make(name, TOKEN_NAME_MAX + 1), SCOPE_READ, 1, 2),
                     ERR_SYNTAX);
    assert_int_equal(token_make(&t, text, all, SPAN_NONE, SCOPE_READ, 1, 2), ERR_SYNTAX);
    assert_int_equal(token_make(&t, text, all, SPAN_LITERAL("a\nb"), SCOPE_READ, 1, 2), ERR_SYNTAX);
    for (int i = 0; i < TOKEN_COUNT_MAX; i++) make(text, SCOPE_READ, 2);
    assert_int_equal(token_make(&t, text, all, SPAN_LITERAL("x"), SCOPE_READ, 1, 2), ERR_FULL);
    assert_int_equal(tokens_add(all, &t), ERR_FULL);
}

static void rows_read_back(void **state)
{
    char text[TOKEN_TEXT_CHARS + 1];
    uint8_t key[TOKEN_KEY_BYTES], bytes[TOKEN_VALUE_BYTES];
    struct buffer value = BUFFER_OF(bytes);
    uint32_t scopes = 0;
    (void)state;
    const struct token t = make(text, SCOPE_APPROVE, 100);
    token_key(key, t.id);
    token_pack(&value, &t);
    assert_int_equal(buffer_done(&value), OK);
    tokens_free(all);
    all = tokens_new();
    for (size_t len = 0; len < value.len - strlen(t.name); len++) /* cut short: no token */
        tokens_restore(all, SPAN_OF(key), span_make(bytes, len));
    bytes[0]++;
    tokens_restore(all, SPAN_OF(key), buffer_span(&value)); /* of another version */
    bytes[0]--;
    tokens_restore(all, SPAN_LITERAL("consortium"), buffer_span(&value));
    tokens_restore(all, span_make(key, sizeof key - 1), buffer_span(&value));
    assert_null(tokens_at(all, 0));
    tokens_restore(all, SPAN_OF(key), buffer_span(&value));
    assert_int_equal(check(text, 5, &scopes), OK);
    assert_int_equal(scopes, SCOPE_APPROVE);
    assert_string_equal(tokens_at(all, 0)->name, "mine");
}

static void scopes_are_read_from_words(void **state)
{
    static const char *const bad[] = {"", ",", "read,", ",read", "read,read", "Read", "read, admin", "root"};
    uint32_t scopes;
    (void)state;
    assert_int_equal(scope_parse(&scopes, SPAN_LITERAL("read")), OK);
    assert_int_equal(scopes, SCOPE_READ);
    assert_int_equal(scope_parse(&scopes, SPAN_LITERAL("monitor,admin,approve,request,read")), OK);
    assert_int_equal(scopes, SCOPE_ALL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(scope_parse(&scopes, span_text(bad[i])), ERR_SYNTAX);
    assert_string_equal(scope_name(SCOPE_APPROVE), "approve");
    assert_string_equal(scope_name(SCOPE_ALL), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_other_text_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(expiry_and_removal_end_it, begin, end),
        cmocka_unit_test_setup_teardown(names_and_room_have_bounds, begin, end),
        cmocka_unit_test_setup_teardown(rows_read_back, begin, end),
        cmocka_unit_test(scopes_are_read_from_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
