/* field: the field types that documents share, over the JSON reader and writer (PROTOCOL.md "Documents").
 * Rules: ids are never zero (a zero id means "none" in our structures, so no document may name it); lists
 * hold no value twice; text shown to people carries no invisible or direction-changing characters, because an
 * owner signs what the approval screen shows; a decimal has one spelling, so equal documents have equal
 * bytes. Errors: as the JSON reader, the first one sticks in the reader and later calls do nothing. Pure. */
#ifndef PERIGEE_PROTO_FIELD_H
#define PERIGEE_PROTO_FIELD_H

#include "proto/base/arena.h"
#include "proto/base/ids.h"
#include "proto/base/json.h"

enum { FIELD_DT_CHARS = 11 + 64 }; /* "dt:perigee:" and 64 hex digits */

/* Reads the string of one value into *out; false when it is not one. */
typedef bool field_element(struct span text, void *out);
bool field_is_node(struct span text, void *node_id);
bool field_is_hash(struct span text, void *hash32);
bool field_is_dt(struct span text, void *dt);
bool field_is_name(struct span text, void *span); /* [a-z0-9._-]{1,64} */
bool field_is_column(struct span text,
                     void *span); /* [A-Za-z0-9._-]{1,64}: columns keep their source's spelling */
bool field_is_jurisdiction(struct span text, void *span); /* two capitals, then nothing or -[A-Z0-9]{1,3} */
bool field_is_label(struct span text, void *span);        /* visible text of 1 to CAP_NAME bytes */
/* UTF-8 in which nothing is invisible or changes direction: no controls, format characters or separators. */
bool field_is_visible(struct span utf8);

void field_node(struct json_reader *r, const char *key, struct node_id *out);
void field_hash(struct json_reader *r, const char *key, struct hash32 *out);
void field_dt(struct json_reader *r, const char *key, struct dt *out);
void field_name(struct json_reader *r, const char *key, struct span *out);
void field_column(struct json_reader *r, const char *key, struct span *out); /* or "" */
void field_jurisdiction(struct json_reader *r, const char *key, struct span *out);
void field_text(struct json_reader *r, const char *key, size_t min, size_t max, struct span *out);
void field_u32(struct json_reader *r, const char *key, uint32_t min, uint32_t max, uint32_t *out);
/* As json_read_decimal, and the text must be the only spelling of its value ("1.5", never "1.50"). */
void field_decimal(struct json_reader *r, const char *key, uint32_t places, int64_t min, int64_t max,
                   int64_t *out);
/* The optional object "extra": free data, kept as it is; NULL when absent. */
void field_extra(struct json_reader *r, const struct json **out);
/* Refuses names that later versions will give a meaning to, with that reason. */
void field_reserved(struct json_reader *r, const char *const *keys, uint32_t count);

/* An array of min to max distinct strings, each read by `element` into out[i] (`size` bytes apart). */
void field_list(struct json_reader *r, const char *key, uint32_t min, uint32_t max, field_element *element,
                const char *expected, void *out, size_t size, uint32_t *count);

/* The reader of object `item`, the index-th of array `key` of `parent`. */
void field_item(struct json_reader *r, const struct json_reader *parent, const char *key, uint32_t index,
                const struct json *item);
/* The reader of object `key` of `parent`. */
void field_object(struct json_reader *r, struct json_reader *parent, const char *key);

/* Begin a document: parse the bytes, require an object whose "perigee" is `version`. `stay` is what spans borrow from: the
 * bytes themselves, or a copy where one arena is all the room there is. */
MUST_USE enum err field_document(struct json_reader *r, struct span *stay, struct json_room room,
                                 struct span bytes, const char *version, struct json_fault *fault);

/* --- Writing: a key and its value. --------------------------------------------------------------------- */
void field_put_text(struct json_writer *w, const char *key, struct span utf8);
void field_put_word(struct json_writer *w, const char *key, const char *word);
void field_put_hex(struct json_writer *w, const char *key, struct span bytes);
void field_put_dt(struct json_writer *w, const char *key, struct dt dt);
void field_put_int(struct json_writer *w, const char *key, int64_t value);
void field_put_bool(struct json_writer *w, const char *key, bool value);
void field_put_decimal(struct json_writer *w, const char *key, int64_t value, uint32_t places);
void field_put_extra(struct json_writer *w, const struct json *extra); /* nothing when NULL */
void field_put_texts(struct json_writer *w, const char *key, const struct span *texts, uint32_t count);
void field_put_nodes(struct json_writer *w, const char *key, const struct node_id *nodes, uint32_t count);
void field_put_hashes(struct json_writer *w, const char *key, const struct hash32 *hashes, uint32_t count);
void field_put_dts(struct json_writer *w, const char *key, const struct dt *dts, uint32_t count);

/* value / 10^places as text with no needless zeros. */
void field_decimal_text(struct buffer *out, int64_t value, uint32_t places);
void field_dt_text(struct buffer *out, struct dt dt);

#endif
