/* duckdb: the part of DuckDB's C interface that we call, and its loader. Written from the facts of the binary
 * interface (symbol names, argument order, struct sizes), so that no header of DuckDB's is needed to build.
 *
 * Rules: the library is optional at build and looked up at run time, in this order: the path in
 * PERIGEE_DUCKDB when it is set, and then nothing else (who names a library wants that one); libduckdb.so
 * beside the executable;
 * ../duckdb/libduckdb.so relative to the executable; the system's loader. A library of another release than
 * DUCKDB_VERSION is refused: the checker of select_check.h is written against that release's parse tree.
 * Threads: duckdb_load may be called from any thread; the table it gives is constant and lives as long as the
 * process. Errors: ERR_UNAVAILABLE, and the reason in words. */
#ifndef PERIGEE_NODE_DUCKDB_H
#define PERIGEE_NODE_DUCKDB_H

#include "proto/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DUCKDB_VERSION "v1.5.6"

/* Handles are pointers to things of DuckDB's; one type each, so that they cannot be mixed up. */
typedef struct duckdb_database_handle *duckdb_database;
typedef struct duckdb_connection_handle *duckdb_connection;
typedef struct duckdb_config_handle *duckdb_config;
typedef struct duckdb_statement_handle *duckdb_statement;
typedef struct duckdb_pending_handle *duckdb_pending;
typedef struct duckdb_chunk_handle *duckdb_chunk;
typedef struct duckdb_vector_handle *duckdb_vector;
typedef struct duckdb_type_handle *duckdb_logical_type;
typedef struct duckdb_function_handle *duckdb_scalar_function;
typedef struct duckdb_call_handle *duckdb_function_info; /* one call of a function of ours */
typedef void duckdb_scalar_call(duckdb_function_info, duckdb_chunk, duckdb_vector);

struct duckdb_result {
    uint64_t deprecated_counts[3];
    void *deprecated_columns;
    char *deprecated_error;
    void *internal;
};

/* A VARCHAR cell: up to 12 bytes inside, longer ones behind a pointer. */
union duckdb_string {
    struct {
        uint32_t length;
        char inlined[12];
    } inside;
    struct {
        uint32_t length;
        char prefix[4];
        const char *data;
    } outside;
};

struct duckdb_hugeint {
    uint64_t lower;
    int64_t upper;
};

enum duckdb_state { DUCKDB_SUCCESS = 0, DUCKDB_ERROR = 1 };

/* Numbers of the column types we may meet; any other is refused by number. */
enum duckdb_type {
    DUCKDB_BOOLEAN = 1,
    DUCKDB_TINYINT = 2,
    DUCKDB_SMALLINT = 3,
    DUCKDB_INTEGER = 4,
    DUCKDB_BIGINT = 5,
    DUCKDB_FLOAT = 10,
    DUCKDB_DOUBLE = 11,
    DUCKDB_DATE = 13,
    DUCKDB_HUGEINT = 16,
    DUCKDB_VARCHAR = 17,
    DUCKDB_DECIMAL = 19,
    DUCKDB_ANY = 34, /* of a function's argument */
};

enum { DUCKDB_CHUNK_ROWS = 2048 }; /* rows of a chunk, at most */

/* X(result, name, arguments): DuckDB's function duckdb_<name>. */
#define DUCKDB_TABLE(X)                                                                                      \
    X(const char *, library_version, (void))                                                                 \
    X(int, create_config, (duckdb_config *))                                                                 \
    X(int, set_config, (duckdb_config, const char *, const char *))                                          \
    X(void, destroy_config, (duckdb_config *))                                                               \
    X(int, open_ext, (const char *, duckdb_database *, duckdb_config, char **))                              \
    X(void, close, (duckdb_database *))                                                                      \
    X(int, connect, (duckdb_database, duckdb_connection *))                                                  \
    X(void, disconnect, (duckdb_connection *))                                                               \
    X(int, query, (duckdb_connection, const char *, struct duckdb_result *))                                 \
    X(void, destroy_result, (struct duckdb_result *))                                                        \
    X(const char *, result_error, (struct duckdb_result *))                                                  \
    X(uint64_t, column_count, (struct duckdb_result *))                                                      \
    X(duckdb_logical_type, column_logical_type, (struct duckdb_result *, uint64_t))                          \
    X(void, destroy_logical_type, (duckdb_logical_type *))                                                   \
    X(int, get_type_id, (duckdb_logical_type))                                                               \
    X(uint8_t, decimal_scale, (duckdb_logical_type))                                                         \
    X(int, decimal_internal_type, (duckdb_logical_type))                                                     \
    X(int, prepare, (duckdb_connection, const char *, duckdb_statement *))                                   \
    X(const char *, prepare_error, (duckdb_statement))                                                       \
    X(uint64_t, prepared_statement_column_count, (duckdb_statement))                                         \
    X(const char *, prepared_statement_column_name, (duckdb_statement, uint64_t))                            \
    X(duckdb_logical_type, prepared_statement_column_logical_type, (duckdb_statement, uint64_t))             \
    X(int, bind_varchar_length, (duckdb_statement, uint64_t, const char *, uint64_t))                        \
    X(int, execute_prepared, (duckdb_statement, struct duckdb_result *))                                     \
    X(int, pending_prepared_streaming, (duckdb_statement, duckdb_pending *))                                 \
    X(const char *, pending_error, (duckdb_pending))                                                         \
    X(int, execute_pending, (duckdb_pending, struct duckdb_result *))                                        \
    X(void, destroy_pending, (duckdb_pending *))                                                             \
    X(void, destroy_prepare, (duckdb_statement *))                                                           \
    X(duckdb_chunk, fetch_chunk, (struct duckdb_result))                                                     \
    X(void, destroy_data_chunk, (duckdb_chunk *))                                                            \
    X(uint64_t, data_chunk_get_size, (duckdb_chunk))                                                         \
    X(duckdb_vector, data_chunk_get_vector, (duckdb_chunk, uint64_t))                                        \
    X(void *, vector_get_data, (duckdb_vector))                                                              \
    X(uint64_t *, vector_get_validity, (duckdb_vector))                                                      \
    X(void, vector_ensure_validity_writable, (duckdb_vector))                                                \
    X(duckdb_logical_type, vector_get_column_type, (duckdb_vector))                                          \
    X(duckdb_logical_type, create_logical_type, (int))                                                       \
    X(duckdb_scalar_function, create_scalar_function, (void))                                                \
    X(void, destroy_scalar_function, (duckdb_scalar_function *))                                             \
    X(void, scalar_function_set_name, (duckdb_scalar_function, const char *))                                \
    X(void, scalar_function_set_varargs, (duckdb_scalar_function, duckdb_logical_type))                      \
    X(void, scalar_function_set_return_type, (duckdb_scalar_function, duckdb_logical_type))                  \
    X(void, scalar_function_set_special_handling, (duckdb_scalar_function))                                  \
    X(void, scalar_function_set_volatile, (duckdb_scalar_function))                                          \
    X(void, scalar_function_set_function, (duckdb_scalar_function, duckdb_scalar_call *))                    \
    X(void, scalar_function_set_extra_info, (duckdb_scalar_function, void *, void (*)(void *)))              \
    X(int, register_scalar_function, (duckdb_connection, duckdb_scalar_function))                            \
    X(void *, scalar_function_get_extra_info, (duckdb_function_info))                                        \
    X(void, scalar_function_set_error, (duckdb_function_info, const char *))                                 \
    X(void, free, (void *))

#define DUCKDB_MEMBER(result, name, arguments) result(*name) arguments;
struct duckdb {
    DUCKDB_TABLE(DUCKDB_MEMBER)
};
#undef DUCKDB_MEMBER

/* `why` gets the reason of ERR_UNAVAILABLE, always terminated; it may be NULL with why_len 0. */
MUST_USE enum err duckdb_load(const struct duckdb **out, char *why, size_t why_len);

/* A database in memory with one connection. It writes no file, loads no extension, and after
 * duckdb_session_lock opens no file but the given ones and changes no setting. The optimiser is off, all but
 * the step that skips unread columns: its rewrites move parts of an expression out of TRY(...) (common
 * subexpressions, IN lists), and then one row's failed cast is an error of the query. What an expression
 * gives must depend on its row alone. */
struct duckdb_session {
    const struct duckdb *api;
    duckdb_database database;
    duckdb_connection connection;
};
/* ERR_UNAVAILABLE without a library. On an error the session is closed. */
MUST_USE enum err duckdb_session_open(struct duckdb_session *s, uint32_t threads, uint64_t memory_bytes,
                                      char *why, size_t why_len);
void duckdb_session_close(struct duckdb_session *s); /* a zeroed or closed session is fine */
/* `paths_sql` is a list of SQL string literals, comma separated, or "". */
MUST_USE enum err duckdb_session_lock(struct duckdb_session *s, const char *paths_sql, char *why,
                                      size_t why_len);
/* Run one statement and drop its rows. ERR_SQL, with DuckDB's own words in `why`. */
MUST_USE enum err duckdb_session_run(struct duckdb_session *s, const char *sql, char *why, size_t why_len);
/* A function of ours for queries of this session's database alone, with any number of arguments of any types. `call` gets at
 * most DUCKDB_CHUNK_ROWS rows at a time as flat vectors, NULLs among them, in any of DuckDB's threads, several at once, and
 * writes `result`, of as many rows, which has no NULL yet. An error ends the query.
 * `pure`: it depends on its arguments alone, so a column's dictionary may stand for the column; otherwise it gets each row once,
 * whatever the arguments are. */
struct duckdb_function {
    const char *name;
    enum duckdb_type result;
    bool pure;
    enum err (*call)(void *context, duckdb_chunk rows, duckdb_vector result);
    void *context;
};
/* `function` must outlive the session. ERR_NO_MEMORY. */
MUST_USE enum err duckdb_session_function(struct duckdb_session *s, const struct duckdb_function *function);
/* The text of a VARCHAR cell; it borrows from the chunk. */
struct span duckdb_string_span(const union duckdb_string *cell);
bool duckdb_valid(const uint64_t *validity, uint64_t row); /* validity may be NULL: every row is valid */

#endif
