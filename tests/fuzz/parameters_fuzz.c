/* A run's parameters: any bytes. What is accepted names every parameter with a value that is allowed, and is the only
 * spelling of that choice. */
#include "proto/base/panic.h"
#include "proto/parameters.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static _Alignas(16) uint8_t memory[PARAMETERS_SCRATCH_BYTES];

static struct parameter declared[] = {
    {.name = SPAN_STATIC("min_age"), .type = PARAMETER_INTEGER, .lower = -5, .upper = 90},
    {.name = SPAN_STATIC("site"),
     .type = PARAMETER_TEXT,
     .domain_count = 3,
     .domain = {SPAN_STATIC("north"), SPAN_STATIC("\"quoted\""), SPAN_STATIC("Z\xc3\xbcrich")}},
};

static void check_spelling(const struct parameter_choice *c, struct span bytes)
{
    uint8_t again[256];
    struct buffer out = BUFFER_OF(again);
    struct json_writer writer;
    ASSERT(c->value[0].integer >= -5 && c->value[0].integer <= 90);
    json_writer_init(&writer, &out);
    json_begin_object(&writer);
    json_key(&writer, "min_age");
    json_put_int(&writer, c->value[0].integer);
    json_key(&writer, "site");
    json_put_text(&writer, c->value[1].text);
    json_end_object(&writer);
    ASSERT(buffer_done(&out) == OK && span_equal(buffer_span(&out), bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const struct parameters parameters = {2, declared};
    struct arena scratch = arena_make(memory, sizeof memory);
    struct parameter_choice choice;
    struct json_fault fault;
    enum err err = parameters_choose(&choice, &parameters, &scratch, span_make(bytes, len), &fault);
    ASSERT(err != ERR_NO_MEMORY && scratch.used == 0);
    if (err == OK)
        check_spelling(&choice, span_make(bytes, len));
    else
        ASSERT(fault.err != OK && fault.expected[0] != 0);
    return 0;
}
