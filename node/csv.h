/* csv: a strict, streaming reader of CSV (RFC 4180) that checks a file against a schema and counts its rows.
 * It judges every CSV file that is sealed (seal_check.h); DuckDB, where it is present, reads the file too.
 *
 * Rules ("Rows to integers" of docs/PROTOCOL.md), each so that whatever passes here DuckDB reads the same way:
 * - Lines end in LF, or all in CRLF; the last may have no end. Blank lines are refused. Every line has the schema's columns.
 * - Quotes only around a whole field, doubled inside. No NUL; valid UTF-8, without a byte-order mark.
 * - Empty or the missing mark is "no value" for any type. integer: 64 bits, [-]digits. decimal: [-]digits[.digits], digits
 *   on at least one side, with an optional exponent; finite. boolean: true, false, t, f, 1, 0. date: YYYY-MM-DD that exists.
 * - A header's names are the schema's, in its order and spelling: anything else would be read as what it is not.
 * Memory is one field, at most CSV_FIELD_BYTES_MAX. Threads: one. After an error only csv_fault is meaningful. */
#ifndef PERIGEE_NODE_CSV_H
#define PERIGEE_NODE_CSV_H

#include "node/meta.h"
#include "proto/ddo.h"

enum { CSV_FIELD_BYTES_MAX = 4096 }; /* as tables.h has it for texts */

enum csv_state { CSV_FIELD_START, CSV_PLAIN, CSV_QUOTED, CSV_QUOTE_SEEN, CSV_RETURN_SEEN };

struct csv {
    const struct schema *schema;
    const struct meta *meta;
    enum csv_state state;
    uint64_t line;   /* of the record being read, from 1; a quoted line feed counts */
    uint64_t record; /* records finished, the header included */
    uint32_t column; /* of the field being read */
    size_t len;
    bool returns;                           /* lines end in CRLF, as the first did */
    bool quoted;                            /* the field being read had quotes */
    const char *wrong;                      /* what was wrong, NULL while nothing is */
    uint8_t field[CSV_FIELD_BYTES_MAX + 1]; /* and a zero */
};

void csv_begin(struct csv *c, const struct schema *schema, const struct meta *meta);
MUST_USE enum err csv_add(struct csv *c, struct span bytes); /* ERR_SYNTAX, ERR_TOO_LARGE */
/* End of input: the number of rows, the header not among them. ERR_SYNTAX. */
MUST_USE enum err csv_end(struct csv *c, uint64_t *row_count);
/* "line 3, column 2 (age): expected a whole number of 64 bits, got "x7"". */
void csv_fault(const struct csv *c, char *fault, size_t cap);

#endif
