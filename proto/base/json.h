/* json: RFC 8785 canonical JSON, the only form documents travel in. A bounded parser into an arena, and a writer.
 * Rules (DESIGN §4 "Documents"): the bytes must already be canonical; duplicate or unsorted keys, white space, floats,
 * exponents, -0, integers beyond +-2^53, control characters, lone surrogates, invalid UTF-8 and depth over
 * JSON_DEPTH_MAX are refused. Because keys are sorted (by UTF-16 code units, as RFC 8785 says), lookup is a binary search.
 * Decimals are strings. Ownership: nodes and strings live in the caller's arena. Pure. */
#ifndef PERIGEE_PROTO_BASE_JSON_H
#define PERIGEE_PROTO_BASE_JSON_H

#include "proto/base/arena.h"

enum json_form {
    JSON_TYPE_NULL,
    JSON_TYPE_BOOL,
    JSON_TYPE_INT,
    JSON_TYPE_STRING,
    JSON_TYPE_ARRAY,
    JSON_TYPE_OBJECT
};
enum { JSON_DEPTH_MAX = 16, JSON_MEMBERS_MAX = 256 };
#define JSON_INT_MAX ((int64_t)1 << 53)

struct json {
    enum json_form type;
    bool boolean;
    int64_t integer;
    struct span string; /* unescaped UTF-8 */
    uint32_t count;     /* elements of an array, members of an object */
    struct json *items; /* array elements or member values, in order */
    struct span *keys;  /* object: unescaped keys, in canonical order */
};

/* Where and why a document is refused: `path` like "inputs[2].dt" (or "byte 123" where the text itself is wrong),
 * `expected` a phrase. Fixed-size, always terminated. json_parse clears it; the first refusal after that fills it and
 * later ones change nothing, so one fault serves all readers of a document. */
struct json_fault {
    char path[192];
    char expected[192];
    enum err err;
};

/* ERR_SYNTAX, ERR_NOT_CANONICAL, ERR_DUPLICATE, ERR_RANGE, ERR_TOO_LARGE (depth, members or arena). fault may be NULL.
 * On error the arena is as it was. 33 bytes of arena a byte of input are always enough for what is accepted. */
MUST_USE enum err json_parse(const struct json **out, struct arena *arena, struct span bytes,
                             struct json_fault *fault);
/* Where the parts of a document go: what stays, and what is needed while it is read. One arena may be both. */
struct json_room {
    struct arena *kept, *scratch;
};
#define JSON_ROOM_ONE(arena) ((struct json_room){(arena), (arena)})
/* As json_parse, with the nodes in `scratch` and strings that point into `bytes`, which must stay; or, where any string has
 * an escape, into one copy of `bytes` in `kept`: ERR_NO_MEMORY when that finds no place. On error the caller gives both
 * arenas back. 33 bytes of scratch a byte of input are always enough for what is accepted. */
size_t json_borrow_bytes(struct span bytes); /* that this copy takes; 0: none is needed */
MUST_USE enum err json_parse_borrow(const struct json **out, struct json_room room, struct span bytes,
                                    struct json_fault *fault);

/* --- Reading a schema: one reader per object; finish refuses members nobody asked for. ----------------------------- */
struct json_reader {
    const struct json *object;
    uint64_t seen[4]; /* members asked for, by index (an object has at most 256) */
    enum err err;     /* the first error sticks; later calls do nothing */
    struct json_fault *fault;
    char path[192];
};
/* `path` names the object in messages ("" at the top). Works on any json; a non-object sets ERR_TYPE. NULL (what a reader
 * returns on error) takes over the error in `fault`. On error the outputs of all functions below are left as they were. */
void json_reader_init(struct json_reader *r, const struct json *object, const char *path,
                      struct json_fault *fault);
bool json_has(struct json_reader *r, const char *key); /* optional members: test, then read */
void json_read_int(struct json_reader *r, const char *key, int64_t min, int64_t max, int64_t *out);
void json_read_bool(struct json_reader *r, const char *key, bool *out);
void json_read_text(struct json_reader *r, const char *key, size_t max, struct span *out);
void json_read_name(struct json_reader *r, const char *key, size_t max, struct span *out); /* [a-z0-9._-]+ */
/* Lower-case hex of exactly len bytes. */
void json_read_hex(struct json_reader *r, const char *key, void *out, size_t len);
void json_read_enum(struct json_reader *r, const char *key, const char *const *names, uint32_t count,
                    uint32_t *out);
/* A decimal string like "1.5" or "-0.25" scaled by 10^places, exact; more places or digits than fit is ERR_RANGE.
 * No plus, exponent, needless leading zero or -0: ERR_SYNTAX. */
void json_read_decimal(struct json_reader *r, const char *key, uint32_t places, int64_t min, int64_t max,
                       int64_t *out);
/* NULL on error. json_read_any is for "extra". */
const struct json *json_read_array(struct json_reader *r, const char *key, uint32_t min, uint32_t max);
const struct json *json_read_object(struct json_reader *r, const char *key);
const struct json *json_read_any(struct json_reader *r, const char *key);
/* There must be a member "perigee": version, e.g. "workflow/1"; another value is ERR_VERSION. */
void json_read_version(struct json_reader *r, const char *version);
MUST_USE enum err json_reader_done(struct json_reader *r); /* ERR_UNKNOWN_FIELD names the member */
/* Record a refusal of the caller's own ("k must be at least 1"); keeps the first. */
void json_refuse(struct json_reader *r, const char *key, enum err err, const char *expected);

/* --- Writing. Keys of one object must be given in canonical order; asserted. ----------------------------------------
 * A key must stay in place until the next key of its object. What has no canonical form (text that text_valid refuses, an
 * integer beyond +-2^53, a parsed value too deep here) puts the buffer into its overflow state: nothing that json_parse
 * would refuse is ever delivered by buffer_done() == OK, and no value from outside reaches an assertion. */
struct json_writer {
    struct buffer *out;
    uint32_t depth;
    bool after_key;
    bool first[JSON_DEPTH_MAX + 1];
    struct span last_key[JSON_DEPTH_MAX + 1]; /* data is NULL in an array */
};
void json_writer_init(struct json_writer *w, struct buffer *out);
void json_begin_object(struct json_writer *w);
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w);
void json_end_array(struct json_writer *w);
void json_key(struct json_writer *w, const char *key);
void json_key_span(struct json_writer *w, struct span key);
void json_put_int(struct json_writer *w, int64_t value);
void json_put_bool(struct json_writer *w, bool value);
void json_put_null(struct json_writer *w);
void json_put_text(struct json_writer *w, struct span utf8);
void json_put_hex(struct json_writer *w, struct span bytes);
/* A parsed value again, canonically (round trip and "extra"). */
void json_put_value(struct json_writer *w, const struct json *value);

#endif
