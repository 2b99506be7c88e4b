/* Any bytes as a document. What json_parse accepts is written again byte for byte; what it refuses leaves a complete
 * fault and no trace in the arena; the schema reader survives every member read as everything. */
#include "proto/base/json.h"
#include "proto/base/panic.h"
#include "proto/base/text.h"

#include <string.h>

enum { INPUT_MAX = 1 << 16, KEY_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static _Alignas(16) uint8_t memory[33 * INPUT_MAX + 4096];
static uint8_t written[INPUT_MAX];

static void assert_fault(const struct json_fault *fault, enum err err)
{
    ASSERT(fault->err == err);
    ASSERT(memchr(fault->path, 0, sizeof fault->path) != NULL && fault->path[0] != 0);
    ASSERT(memchr(fault->expected, 0, sizeof fault->expected) != NULL && fault->expected[0] != 0);
    ASSERT(text_valid(span_text(fault->path)) && text_valid(span_text(fault->expected)));
}

static void assert_round_trip(const struct json *value, struct span bytes)
{
    struct buffer b = BUFFER_OF(written);
    struct json_writer w;
    json_writer_init(&w, &b);
    json_put_value(&w, value);
    ASSERT(buffer_done(&b) == OK);
    ASSERT(span_equal(buffer_span(&b), bytes));
}

enum { READ_COUNT = 10 };

static void read_as(struct json_reader *r, const char *key, int how)
{
    static const char *const names[] = {"a", "b"};
    int64_t number;
    uint32_t choice;
    bool flag;
    struct span text;
    uint8_t hash[32];
    switch (how) {
    case 0: json_read_int(r, key, -100, 100, &number); break;
    case 1: json_read_bool(r, key, &flag); break;
    case 2: json_read_text(r, key, 16, &text); break;
    case 3: json_read_name(r, key, 16, &text); break;
    case 4: json_read_hex(r, key, hash, sizeof hash); break;
    case 5: json_read_enum(r, key, names, 2, &choice); break;
    case 6: json_read_decimal(r, key, 9, INT64_MIN, INT64_MAX, &number); break;
    case 7: (void)json_read_array(r, key, 0, 2); break;
    case 8: (void)json_read_object(r, key); break;
    case 9: json_read_version(r, "op/1"); break;
    }
}

static void read_member(const struct json *object, uint32_t index)
{
    char key[KEY_MAX];
    if (object->keys[index].len >= sizeof key) return;
    memcpy(key, object->keys[index].data, object->keys[index].len);
    key[object->keys[index].len] = 0;
    for (int how = 0; how < READ_COUNT; how++) {
        struct json_fault fault = {{0}, {0}, OK};
        struct json_reader r;
        json_reader_init(&r, object, "x", &fault);
        ASSERT(json_has(&r, key));
        read_as(&r, key, how);
        read_as(&r, key, (how + 1) % READ_COUNT);
        enum err err = json_reader_done(&r);
        if (err != OK) assert_fault(&fault, err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len > INPUT_MAX) return 0;
    struct arena arena = arena_make(memory, sizeof memory);
    struct json_fault fault;
    const struct json *value = NULL;
    enum err err = json_parse(&value, &arena, span_make(bytes, len), &fault);
    if (err != OK) {
        ASSERT(value == NULL && arena_mark(&arena) == 0);
        assert_fault(&fault, err);
        return 0;
    }
    ASSERT(fault.err == OK);
    assert_round_trip(value, span_make(bytes, len));
    for (uint32_t i = 0; value->type == JSON_TYPE_OBJECT && i < value->count; i++) read_member(value, i);
    arena_release(&arena, 0);
    return 0;
}
