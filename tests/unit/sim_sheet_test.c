/* One table in three forms, each with its own escapes. */
#include "sim/sheet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *word = "a,b \"c\"\n<script>&'";

static void fill(struct sheet *s)
{
    sheet_begin(s, "A table", "name,bytes,at_ms");
    sheet_word(s, span_text(word));
    sheet_number(s, 1234567);
    sheet_number_if(s, false, 5);
    sheet_row(s);
    sheet_word(s, SPAN_LITERAL("plain"));
    sheet_number(s, 0);
    sheet_number_if(s, true, 5);
    sheet_row(s);
    sheet_end(s);
}

static char *streamed(enum sheet_form form, void (*write)(struct sheet *))
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    struct sheet s = sheet_to_stream(form, out);
    write(&s);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void csv(void **state)
{
    (void)state;
    char *text = streamed(SHEET_CSV, fill);
    assert_string_equal(text, "name,bytes,at_ms\r\n"
                              "\"a,b \"\"c\"\"\n<script>&'\",1234567,\r\n"
                              "plain,0,5\r\n");
    free(text);
}

static void html(void **state)
{
    (void)state;
    char *text = streamed(SHEET_HTML, fill);
    assert_null(strstr(text, "<script>"));
    assert_non_null(strstr(text, "<th scope=\"row\">a,b &quot;c&quot; &lt;script&gt;&amp;&#39;</th>"));
    assert_non_null(strstr(text, "<td class=\"n\">1,234,567</td><td class=\"n\"></td></tr>"));
    assert_non_null(strstr(text, "<th scope=\"col\">at ms</th>"));
    assert_null(strstr(text, "The first"));
    free(text);
}

static void many(struct sheet *s)
{
    sheet_begin(s, "Many", "row");
    for (uint32_t i = 0; i < 2 * SHEET_ROWS_SHOWN; i++) {
        sheet_number(s, i);
        sheet_row(s);
    }
    sheet_end(s);
}

static void html_of_many_rows(void **state)
{
    (void)state;
    char *text = streamed(SHEET_HTML, many);
    assert_non_null(strstr(text, ">63</th>"));
    assert_null(strstr(text, ">64</th>"));
    assert_non_null(strstr(text, "The first 64 of 128 rows"));
    free(text);
}

static void json(void **state)
{
    uint8_t bytes[512];
    struct buffer out = BUFFER_OF(bytes);
    struct json_writer w;
    (void)state;
    json_writer_init(&w, &out);
    word = "a,b \"c\"<script>&'"; /* a scenario has no text with line ends: JSON refuses it */
    struct sheet s = sheet_to_json(&w);
    fill(&s);
    assert_int_equal(buffer_done(&out), OK);
    assert_true(span_equal_text(buffer_span(&out),
                                "[{\"bytes\":1234567,\"name\":\"a,b \\\"c\\\"<script>&'\"},"
                                "{\"at_ms\":5,\"bytes\":0,\"name\":\"plain\"}]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(csv), cmocka_unit_test(html),
                                       cmocka_unit_test(html_of_many_rows), cmocka_unit_test(json)};
    return cmocka_run_group_tests_name("sim_sheet", tests, NULL, NULL);
}
