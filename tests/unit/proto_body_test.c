/* Bodies and link messages, every row of the table: the bytes are those of a second, naive encoder written here; every
 * truncation, extra byte, wrong type and value over its cap is refused. */
#include "proto/wire/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum cell_kind { CELL_ID, CELL_UINT, CELL_BYTES, CELL_TEXT, CELL_LIST32, CELL_SIG };
struct cell {
    enum cell_kind kind;
    uint64_t max; /* of the number, in bytes, or in items */
    size_t offset;
};
struct row {
    bool message;
    uint32_t code, cell_count;
    const char *name;
    struct cell cell[16];
};

/* --- The table, read a second time ------------------------------------------------------------------------------------ */

#define MAX_ID(arg)     32
#define MAX_UINT(arg)   (arg)
#define MAX_BYTES(arg)  (arg)
#define MAX_TEXT(arg)   (arg)
#define MAX_LIST32(arg) (arg)
#define MAX_SIG(arg)    64
#define CELL(kind, name, arg)                                                                                \
    row->cell[row->cell_count++] =                                                                           \
        (struct cell){CELL_##kind, MAX_##kind(arg), (size_t)((uint8_t *)&b->name - (uint8_t *)b)};

#define DESCRIBE_BODY(symbol, number, text, class, who, refers)                                              \
    static void describe_body_##symbol(struct row *row)                                                      \
    {                                                                                                        \
        static struct body_##symbol storage;                                                                 \
        struct body_##symbol *b = &storage;                                                                  \
        *row = (struct row){.code = (number), .name = (text)};                                               \
        BODY_##symbol(CELL)                                                                                  \
    }
KIND_TABLE(DESCRIBE_BODY)
#define DESCRIBE_MESSAGE(symbol, number, text, bulk, what)                                                   \
    static void describe_message_##symbol(struct row *row)                                                   \
    {                                                                                                        \
        static struct message_##symbol storage;                                                              \
        struct message_##symbol *b = &storage;                                                               \
        *row = (struct row){.message = true, .code = (number), .name = (text)};                              \
        MESSAGE_##symbol(CELL)                                                                               \
    }
MESSAGE_TABLE(DESCRIBE_MESSAGE)

#define BODY_DESCRIBER(symbol, number, text, class, who, refers) describe_body_##symbol,
#define MESSAGE_DESCRIBER(symbol, number, text, bulk, what)      describe_message_##symbol,
static void (*const describe[])(struct row *) = {KIND_TABLE(BODY_DESCRIBER) MESSAGE_TABLE(MESSAGE_DESCRIBER)};
enum { ROW_COUNT = sizeof describe / sizeof describe[0] };

/* --- A second encoder: shortest forms by the specification's table, nothing shared with pack.c -------------------------- */

enum { BYTES_MAX = 3 << 20 };
static uint8_t naive[BYTES_MAX], coded[BYTES_MAX], material[BYTES_MAX];
static size_t naive_len;

static void byte(unsigned value)
{
    naive[naive_len++] = (uint8_t)value;
}

static void big_endian(uint64_t value, unsigned count)
{
    while (count-- > 0) byte((unsigned)(value >> (8 * count)) & 0xff);
}

static void naive_uint(uint64_t v)
{
    if (v < 128) {
        byte((unsigned)v);
    } else if (v <= 0xff) {
        byte(0xcc);
        big_endian(v, 1);
    } else if (v <= 0xffff) {
        byte(0xcd);
        big_endian(v, 2);
    } else if (v <= 0xffffffff) {
        byte(0xce);
        big_endian(v, 4);
    } else {
        byte(0xcf);
        big_endian(v, 8);
    }
}

static void naive_bin(const uint8_t *bytes, size_t len)
{
    unsigned width = len <= 0xff ? 1 : len <= 0xffff ? 2 : 4;
    byte(width == 1 ? 0xc4 : width == 2 ? 0xc5 : 0xc6);
    big_endian(len, width);
    memcpy(naive + naive_len, bytes, len);
    naive_len += len;
}

static void naive_str(const uint8_t *bytes, size_t len)
{
    if (len < 32) {
        byte(0xa0 + (unsigned)len);
    } else {
        unsigned width = len <= 0xff ? 1 : 2;
        byte(width == 1 ? 0xd9 : 0xda);
        big_endian(len, width);
    }
    memcpy(naive + naive_len, bytes, len);
    naive_len += len;
}

static void naive_array(uint32_t count)
{
    if (count < 16) {
        byte(0x90 + count);
    } else {
        byte(0xdc);
        big_endian(count, 2);
    }
}

/* --- Values: all zero, something, as much as fits ----------------------------------------------------------------------- */

enum size { SIZE_NONE, SIZE_SOME, SIZE_MOST };

struct value {
    uint64_t number;
    struct span bytes;
};

static struct value value_of(const struct cell *c, uint32_t place, enum size size)
{
    struct value v = {0, {material, 0}};
    uint64_t fits = c->kind == CELL_LIST32 ? c->max * 32 : c->max;
    bool fixed = c->kind == CELL_ID || c->kind == CELL_SIG;
    v.bytes.data = material + place;
    if (fixed)
        v.bytes.len = (size_t)c->max;
    else if (c->kind != CELL_UINT)
        v.bytes.len = size == SIZE_NONE   ? 0
                      : size == SIZE_MOST ? (size_t)fits
                                          : (size_t)(fits < 64 ? fits / 32 * 32 : 32);
    if (c->kind == CELL_UINT) v.number = size == SIZE_NONE ? 0 : size == SIZE_MOST ? c->max : c->max / 3;
    return v;
}

static void naive_cell(const struct cell *c, struct value v)
{
    if (c->kind == CELL_UINT)
        naive_uint(v.number);
    else if (c->kind == CELL_TEXT)
        naive_str(v.bytes.data, v.bytes.len);
    else
        naive_bin(v.bytes.data, v.bytes.len);
}

static void begin(const struct row *row)
{
    naive_len = 0;
    if (row->message) byte(row->code);
    naive_array(row->cell_count);
}

static union {
    union body body;
    union message_body message;
    uint8_t bytes[1024];
} structure, decoded;

static void set_cell(const struct cell *c, struct value v)
{
    uint8_t *at = structure.bytes + c->offset;
    if (c->kind == CELL_UINT)
        memcpy(at, &v.number, sizeof v.number);
    else if (c->kind == CELL_ID || c->kind == CELL_SIG)
        memcpy(at, v.bytes.data, v.bytes.len);
    else
        memcpy(at, &v.bytes, sizeof v.bytes);
}

static void assert_cell(const struct cell *c, struct value v)
{
    const uint8_t *at = decoded.bytes + c->offset;
    struct span bytes;
    if (c->kind == CELL_UINT) {
        assert_memory_equal(at, &v.number, sizeof v.number);
    } else if (c->kind == CELL_ID || c->kind == CELL_SIG) {
        assert_memory_equal(at, v.bytes.data, v.bytes.len);
    } else {
        memcpy(&bytes, at, sizeof bytes);
        assert_true(span_equal(bytes, v.bytes));
    }
}

/* What the machine makes of `structure`. */
static struct span encode(const struct row *row)
{
    struct buffer b = BUFFER_OF(coded);
    if (row->message)
        message_encode(&b, (enum message)row->code, structure.bytes);
    else
        body_encode(&b, (enum kind)row->code, structure.bytes);
    assert_int_equal(buffer_done(&b), OK);
    return buffer_span(&b);
}

/* From an exact-size copy, so that a sanitizer sees a read beyond the end. */
static enum err decode(const struct row *row, const uint8_t *bytes, size_t len)
{
    static uint8_t *copy;
    enum message code;
    free(copy);
    copy = malloc(len + (len == 0));
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    memset(&decoded, 0xa5, sizeof decoded);
    if (!row->message) return body_decode(decoded.bytes, (enum kind)row->code, span_make(copy, len));
    enum err err = message_decode(&code, &decoded.message, span_make(copy, len));
    if (err == OK) assert_int_equal(code, row->code);
    return err;
}

static void build(const struct row *row, enum size size)
{
    memset(&structure, 0, sizeof structure);
    begin(row);
    for (uint32_t i = 0; i < row->cell_count; i++) {
        struct value v = value_of(&row->cell[i], i, size);
        set_cell(&row->cell[i], v);
        naive_cell(&row->cell[i], v);
    }
}

static void each_row(void (*check)(const struct row *))
{
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        struct row row;
        describe[i](&row);
        assert_true(row.cell_count > 0 && row.cell_count <= 16);
        check(&row);
    }
}

/* --- Round trips --------------------------------------------------------------------------------------------------------- */

static void round_trip(const struct row *row)
{
    for (enum size size = SIZE_NONE; size <= SIZE_MOST; size++) {
        build(row, size);
        struct span bytes = encode(row);
        assert_int_equal(bytes.len, naive_len);
        assert_memory_equal(bytes.data, naive, naive_len);
        assert_int_equal(decode(row, naive, naive_len), OK);
        for (uint32_t i = 0; i < row->cell_count; i++)
            assert_cell(&row->cell[i], value_of(&row->cell[i], i, size));
    }
}

static void test_round_trips(void **state)
{
    (void)state;
    each_row(round_trip);
}

/* --- Refusals ------------------------------------------------------------------------------------------------------------ */

static void truncations(const struct row *row)
{
    build(row, SIZE_SOME);
    for (size_t len = 0; len < naive_len; len++) assert_int_not_equal(decode(row, naive, len), OK);
    assert_int_equal(decode(row, naive, naive_len), OK);
    naive[naive_len] = 0xc0;
    assert_int_equal(decode(row, naive, naive_len + 1), ERR_NOT_CANONICAL);
}

static void test_truncations_and_extra_bytes(void **state)
{
    (void)state;
    each_row(truncations);
}

static void field_counts(const struct row *row)
{
    size_t at = row->message ? 1 : 0;
    build(row, SIZE_SOME);
    naive[at] = (uint8_t)(0x90 + row->cell_count - 1);
    assert_int_equal(decode(row, naive, naive_len), ERR_TYPE);
    naive[at] = (uint8_t)(0x90 + row->cell_count + 1);
    naive[naive_len] = 0xc0;
    if (row->cell_count < 15) assert_int_equal(decode(row, naive, naive_len + 1), ERR_TYPE);
    naive[at] = 0x80; /* a map */
    assert_int_equal(decode(row, naive, naive_len), ERR_TYPE);
}

static void test_field_counts(void **state)
{
    (void)state;
    each_row(field_counts);
}

/* The row with one cell written by `write` instead of its value. */
static enum err with_cell(const struct row *row, uint32_t odd, void (*write)(const struct cell *))
{
    begin(row);
    for (uint32_t i = 0; i < row->cell_count; i++) {
        if (i == odd)
            write(&row->cell[i]);
        else
            naive_cell(&row->cell[i], value_of(&row->cell[i], i, SIZE_SOME));
    }
    return decode(row, naive, naive_len);
}

static void write_nil(const struct cell *c)
{
    (void)c;
    byte(0xc0);
}

static void write_float(const struct cell *c)
{
    (void)c;
    byte(0xca);
    big_endian(0, 4);
}

/* Bytes for a number, text for bytes, bytes for text: the commonest confusions. */
static void write_other(const struct cell *c)
{
    if (c->kind == CELL_UINT || c->kind == CELL_TEXT)
        naive_bin(material, 4);
    else
        naive_str(material, 32);
}

static void write_negative(const struct cell *c)
{
    (void)c;
    byte(0xff);
}

static void wrong_types(const struct row *row)
{
    for (uint32_t i = 0; i < row->cell_count; i++) {
        assert_int_equal(with_cell(row, i, write_nil), ERR_TYPE);
        assert_int_equal(with_cell(row, i, write_float), ERR_TYPE);
        assert_int_equal(with_cell(row, i, write_other), ERR_TYPE);
        assert_int_equal(with_cell(row, i, write_negative), ERR_TYPE);
    }
}

static void test_wrong_types(void **state)
{
    (void)state;
    each_row(wrong_types);
}

static void write_over(const struct cell *c)
{
    switch (c->kind) {
    case CELL_UINT: naive_uint(c->max + 1); break;
    case CELL_TEXT: naive_str(material, (size_t)c->max + 1); break;
    case CELL_BYTES: naive_bin(material, (size_t)c->max + 1); break;
    case CELL_LIST32: naive_bin(material, (size_t)c->max * 32 + 1); break;
    case CELL_ID:
    case CELL_SIG: naive_bin(material, (size_t)c->max + 1); break;
    }
}

static void write_short(const struct cell *c)
{
    naive_bin(material, (size_t)c->max - 1);
}

/* Declares four gigabytes and brings none. */
static void write_declared(const struct cell *c)
{
    (void)c;
    byte(c->kind == CELL_TEXT ? 0xdb : 0xc6);
    big_endian(0xffffffff, 4);
}

static void over_caps(const struct row *row)
{
    for (uint32_t i = 0; i < row->cell_count; i++) {
        const struct cell *c = &row->cell[i];
        bool fixed = c->kind == CELL_ID || c->kind == CELL_SIG;
        if (fixed) assert_int_equal(with_cell(row, i, write_short), ERR_TYPE);
        if (c->kind == CELL_UINT && c->max == UINT64_MAX) continue;
        assert_int_equal(with_cell(row, i, write_over), fixed ? ERR_TYPE : ERR_TOO_LARGE);
        if (c->kind != CELL_UINT) assert_int_not_equal(with_cell(row, i, write_declared), OK);
    }
}

static void test_over_caps(void **state)
{
    (void)state;
    each_row(over_caps);
}

static void write_ragged(const struct cell *c)
{
    (void)c;
    naive_bin(material, 31);
}

static void write_control(const struct cell *c)
{
    (void)c;
    naive_str((const uint8_t *)"a\nb", 3);
}

static void write_not_utf8(const struct cell *c)
{
    (void)c;
    naive_str((const uint8_t *)"a\xff", 2);
}

static void write_long_form(const struct cell *c)
{
    if (c->kind == CELL_UINT) {
        byte(0xcd);
        big_endian(1, 2);
    } else if (c->kind == CELL_TEXT) {
        byte(0xd9);
        big_endian(1, 1);
        byte('a');
    } else {
        size_t len = c->kind == CELL_BYTES || c->kind == CELL_LIST32 ? 0 : (size_t)c->max;
        byte(0xc5);
        big_endian(len, 2);
        for (size_t i = 0; i < len; i++) byte(0);
    }
}

static void contents(const struct row *row)
{
    for (uint32_t i = 0; i < row->cell_count; i++) {
        enum cell_kind kind = row->cell[i].kind;
        if (kind == CELL_LIST32) assert_int_equal(with_cell(row, i, write_ragged), ERR_RANGE);
        if (kind == CELL_TEXT) assert_int_equal(with_cell(row, i, write_control), ERR_SYNTAX);
        if (kind == CELL_TEXT) assert_int_equal(with_cell(row, i, write_not_utf8), ERR_SYNTAX);
        assert_int_equal(with_cell(row, i, write_long_form), ERR_NOT_CANONICAL);
    }
}

static void test_contents(void **state)
{
    (void)state;
    each_row(contents);
}

/* --- Codes and names ----------------------------------------------------------------------------------------------------- */

static void test_codes(void **state)
{
    (void)state;
    bool kinds[256] = {false}, messages[256] = {false};
    uint8_t empty = 0x90;
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        struct row row;
        describe[i](&row);
        bool *known = row.message ? messages : kinds;
        assert_true(row.code < 256 && !known[row.code]);
        known[row.code] = true;
        assert_string_equal(
            row.message ? message_name((enum message)row.code) : kind_name((enum kind)row.code), row.name);
    }
    for (unsigned code = 0; code < 300; code++) {
        assert_int_equal(kind_known(code), code < 256 && kinds[code]);
        assert_int_equal(message_known(code), code < 256 && messages[code]);
        if (kind_known(code) || code > 255) continue;
        assert_int_equal(body_decode(decoded.bytes, (enum kind)code, span_make(&empty, 1)), ERR_KIND);
        assert_string_equal(kind_name((enum kind)code), "unknown");
    }
    for (unsigned code = 0; code < 256; code++) {
        uint8_t bytes[2] = {(uint8_t)code, 0x90};
        enum message out;
        enum err err = message_decode(&out, &decoded.message, SPAN_OF(bytes));
        assert_int_equal(err, messages[code] ? ERR_TYPE : ERR_KIND);
        if (!messages[code]) assert_string_equal(message_name((enum message)code), "unknown");
    }
}

/* Which class a kind has decides where it stands and under which tag it is signed: pinned here, by name. */
static void test_classes(void **state)
{
    (void)state;
    static const enum kind chained[] = {KIND_CHARTER,     KIND_MEMBER,  KIND_COMMITTEE,   KIND_ASSET,
                                        KIND_OP,          KIND_GRANT,   KIND_APPROVAL,    KIND_REVOCATION,
                                        KIND_JOB,         KIND_RUN,     KIND_SLOT_RETURN, KIND_REMOVAL,
                                        KIND_ENDORSEMENT, KIND_WORKERS, KIND_RECEIPT};
    static const enum kind enclave[] = {KIND_SHARE_ASK, KIND_COMMIT_ASK, KIND_ENDING, KIND_LEASE_ASK};
    for (size_t i = 0; i < sizeof chained / sizeof chained[0]; i++)
        assert_int_equal(kind_class(chained[i]), CLASS_CHAINED);
    for (size_t i = 0; i < sizeof enclave / sizeof enclave[0]; i++)
        assert_int_equal(kind_class(enclave[i]), CLASS_ENCLAVE);
    assert_int_equal(kind_class(KIND_ADVERT), CLASS_EPHEMERAL);
    assert_int_equal(kind_class(KIND_PROGRESS), CLASS_EPHEMERAL);
    assert_int_equal(kind_class(KIND_CONTACT), CLASS_EPHEMERAL);
    uint32_t statements = 0;
    for (unsigned code = 0; code < 256; code++)
        if (kind_known(code) && kind_class((enum kind)code) == CLASS_STATEMENT) statements++;
    assert_int_equal(statements, 13);
    assert_true(message_bulk(MESSAGE_BLOB_CODE));
    assert_false(message_bulk(MESSAGE_RECORD_CODE));
}

/* --- Seeds of the fuzz targets ------------------------------------------------------------------------------------------- */

/* A seed of a table that has changed ends at the first check. PERIGEE_SEEDS=write puts new ones in their place. */
static void compare_seed(const struct row *row, const char *size)
{
    static uint8_t held[BYTES_MAX], wanted[BYTES_MAX];
    char path[512];
    const char *how = getenv("PERIGEE_SEEDS");
    const bool write = how != NULL && strcmp(how, "write") == 0;
    size_t len = row->message ? 0 : 1; /* a body's target takes its kind from the first byte */
    wanted[0] = (uint8_t)row->code;
    memcpy(wanted + len, naive, naive_len);
    len += naive_len;
    (void)snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s/%s.%s", PERIGEE_SOURCE_DIR,
                   row->message ? "message" : "body", row->name, size);
    FILE *file = fopen(path, write ? "wb" : "rb");
    if (file == NULL) fail_msg("%s cannot be opened", path);
    const size_t done = write ? fwrite(wanted, 1, len, file) : fread(held, 1, sizeof held, file);
    assert_int_equal(fclose(file), 0);
    if (done != len || (!write && memcmp(held, wanted, len) != 0))
        fail_msg("%s is of another table: PERIGEE_SEEDS=write unit_proto_body_test makes it anew", path);
}

static void seeds_of(const struct row *row)
{
    build(row, SIZE_NONE);
    compare_seed(row, "none");
    build(row, SIZE_SOME);
    compare_seed(row, "some");
}

static void test_seeds(void **state)
{
    (void)state;
    each_row(seeds_of);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),  cmocka_unit_test(test_truncations_and_extra_bytes),
        cmocka_unit_test(test_field_counts), cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_over_caps),    cmocka_unit_test(test_contents),
        cmocka_unit_test(test_codes),        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_seeds),
    };
    memset(material, 'x', sizeof material);
    return cmocka_run_group_tests_name("proto_body", tests, NULL, NULL);
}
