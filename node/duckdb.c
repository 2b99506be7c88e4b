#include "node/duckdb.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, WHY_BYTES = 1024 };

_Static_assert(sizeof(struct duckdb_result) == 48, "passed by value to DuckDB");
_Static_assert(sizeof(union duckdb_string) == 16, "an element of a VARCHAR vector");

static pthread_once_t duckdb_once = PTHREAD_ONCE_INIT;
static struct duckdb duckdb_functions;
static bool duckdb_loaded;
static char duckdb_why[WHY_BYTES];

/* Directory of the running executable, without the last slash. */
static bool duckdb_directory(char directory[PATH_BYTES])
{
    ssize_t len = readlink("/proc/self/exe", directory, PATH_BYTES - 1);
    if (len <= 0) return false;
    directory[len] = 0;
    char *slash = strrchr(directory, '/');
    if (slash == NULL) return false;
    *slash = 0;
    return true;
}

/* POSIX gives function pointers back as void *; the copy keeps ISO C content. */
static bool duckdb_symbol(void *library, const char *name, void *function)
{
    void *address = dlsym(library, name);
    if (address == NULL) return false;
    memcpy(function, &address, sizeof address);
    return true;
}

static bool duckdb_bind(void *library, const char *path)
{
#define DUCKDB_BIND(result, name, arguments)                                                                 \
    if (!duckdb_symbol(library, "duckdb_" #name, &duckdb_functions.name)) {                                  \
        (void)snprintf(duckdb_why, sizeof duckdb_why, "%s has no function duckdb_%s", path, #name);          \
        return false;                                                                                        \
    }
    DUCKDB_TABLE(DUCKDB_BIND)
#undef DUCKDB_BIND
    const char *version = duckdb_functions.library_version();
    if (version != NULL && strcmp(version, DUCKDB_VERSION) == 0) return true;
    (void)snprintf(duckdb_why, sizeof duckdb_why, "%s is DuckDB %s; %s is needed", path,
                   version == NULL ? "of no version" : version, DUCKDB_VERSION);
    return false;
}

/* False also when the file is there but unfit; duckdb_why then says so and the search goes on. */
static bool duckdb_try(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        const char *error = dlerror();
        (void)snprintf(duckdb_why, sizeof duckdb_why, "DuckDB cannot be loaded: %s",
                       error == NULL ? path : error);
        return false;
    }
    if (duckdb_bind(library, path)) return true;
    (void)dlclose(library);
    return false;
}

static void duckdb_search(void)
{
    const char *named = getenv("PERIGEE_DUCKDB");
    if (named != NULL && named[0] != 0) {
        duckdb_loaded = duckdb_try(named);
        return;
    }
    static const char *const beside[] = {"libduckdb.so", "../duckdb/libduckdb.so"};
    char directory[PATH_BYTES], path[PATH_BYTES + 32];
    if (duckdb_directory(directory)) {
        for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
            (void)snprintf(path, sizeof path, "%s/%s", directory, beside[i]);
            if (access(path, R_OK) == 0 && duckdb_try(path)) {
                duckdb_loaded = true;
                return;
            }
        }
    }
    if (duckdb_why[0] == 0) duckdb_loaded = duckdb_try("libduckdb.so"); /* an unfit one found is the answer */
}

enum err duckdb_load(const struct duckdb **out, char *why, size_t why_len)
{
    (void)pthread_once(&duckdb_once, duckdb_search);
    *out = duckdb_loaded ? &duckdb_functions : NULL;
    if (why_len > 0) (void)snprintf(why, why_len, "%s", duckdb_loaded ? "" : duckdb_why);
    return duckdb_loaded ? OK : ERR_UNAVAILABLE;
}

struct span duckdb_string_span(const union duckdb_string *cell)
{
    bool inside = cell->inside.length <= sizeof cell->inside.inlined;
    return span_make(inside ? cell->inside.inlined : cell->outside.data, cell->inside.length);
}

bool duckdb_valid(const uint64_t *validity, uint64_t row)
{
    return validity == NULL || (validity[row / 64] >> (row % 64) & 1) != 0;
}

static void duckdb_say(char *why, size_t why_len, const char *text)
{
    if (why_len > 0) (void)snprintf(why, why_len, "%s", text == NULL ? "DuckDB gave no reason" : text);
}

enum err duckdb_session_run(struct duckdb_session *s, const char *sql, char *why, size_t why_len)
{
    struct duckdb_result result;
    int state = s->api->query(s->connection, sql, &result);
    if (state != DUCKDB_SUCCESS) duckdb_say(why, why_len, s->api->result_error(&result));
    s->api->destroy_result(&result);
    return state == DUCKDB_SUCCESS ? OK : ERR_SQL;
}

/* Every step of the optimiser but the one that skips unread columns, whatever steps this release has. */
static enum err duckdb_optimiser_off(struct duckdb_session *s, char *why, size_t why_len)
{
    char sql[4096] = "";
    struct duckdb_result result;
    int state = s->api->query(s->connection,
                              "SELECT 'SET disabled_optimizers=''' || string_agg(name, ',') || '''' "
                              "FROM duckdb_optimizers() WHERE name <> 'unused_columns'",
                              &result);
    duckdb_chunk chunk = state == DUCKDB_SUCCESS ? s->api->fetch_chunk(result) : NULL;
    if (chunk != NULL && s->api->data_chunk_get_size(chunk) == 1) {
        const union duckdb_string *cell = s->api->vector_get_data(s->api->data_chunk_get_vector(chunk, 0));
        struct span text = duckdb_string_span(cell);
        if (text.len < sizeof sql) memcpy(sql, text.data, text.len);
    }
    if (chunk != NULL) s->api->destroy_data_chunk(&chunk);
    s->api->destroy_result(&result);
    if (sql[0] == 0) return ERR_SQL;
    return duckdb_session_run(s, sql, why, why_len);
}

static enum err duckdb_open(struct duckdb_session *s, uint32_t threads, uint64_t memory_bytes, char *why,
                            size_t why_len)
{
    char threads_text[16], memory_text[32];
    (void)snprintf(threads_text, sizeof threads_text, "%u", threads);
    (void)snprintf(memory_text, sizeof memory_text, "%lluB", (unsigned long long)memory_bytes);
    const char *const settings[][2] = {
        {"threads", threads_text},
        {"memory_limit", memory_text},
        {"temp_directory", ""}, /* no spill: rows stay in memory */
        {"max_temp_directory_size", "0KiB"},
        {"autoinstall_known_extensions", "false"},
        {"autoload_known_extensions", "false"},
        {"allow_unsigned_extensions", "false"},
        {"allow_community_extensions", "false"},
        {"allow_persistent_secrets", "false"},
        {"preserve_insertion_order", "false"},
    };
    duckdb_config config = NULL;
    if (s->api->create_config(&config) != DUCKDB_SUCCESS) return ERR_NO_MEMORY;
    enum err err = OK;
    for (size_t i = 0; i < sizeof settings / sizeof *settings && err == OK; i++)
        if (s->api->set_config(config, settings[i][0], settings[i][1]) != DUCKDB_SUCCESS) {
            duckdb_say(why, why_len, settings[i][0]);
            err = ERR_UNAVAILABLE;
        }
    char *error = NULL;
    if (err == OK && s->api->open_ext(NULL, &s->database, config, &error) != DUCKDB_SUCCESS) {
        duckdb_say(why, why_len, error);
        err = ERR_UNAVAILABLE;
    }
    if (error != NULL) s->api->free(error);
    s->api->destroy_config(&config);
    if (err == OK && s->api->connect(s->database, &s->connection) != DUCKDB_SUCCESS) err = ERR_NO_MEMORY;
    return err;
}

enum err duckdb_session_open(struct duckdb_session *s, uint32_t threads, uint64_t memory_bytes, char *why,
                             size_t why_len)
{
    *s = (struct duckdb_session){0};
    TRY(duckdb_load(&s->api, why, why_len));
    enum err err = duckdb_open(s, threads, memory_bytes, why, why_len);
    if (err == OK) err = duckdb_optimiser_off(s, why, why_len);
    if (err != OK) duckdb_session_close(s);
    return err;
}

void duckdb_session_close(struct duckdb_session *s)
{
    if (s->connection != NULL) s->api->disconnect(&s->connection);
    if (s->database != NULL) s->api->close(&s->database);
    *s = (struct duckdb_session){0};
}

enum err duckdb_session_lock(struct duckdb_session *s, const char *paths_sql, char *why, size_t why_len)
{
    char sql[1024];
    int len = snprintf(sql, sizeof sql, "SET allowed_paths=[%s]", paths_sql);
    if (len < 0 || (size_t)len >= sizeof sql) return ERR_TOO_LARGE;
    TRY(duckdb_session_run(s, sql, why, why_len));
    TRY(duckdb_session_run(s, "SET enable_external_access=false", why, why_len));
    return duckdb_session_run(s, "SET lock_configuration=true", why, why_len);
}

static void duckdb_call(duckdb_function_info info, duckdb_chunk rows, duckdb_vector out)
{
    const struct duckdb *api = &duckdb_functions;
    const struct duckdb_function *function = api->scalar_function_get_extra_info(info);
    if (function->call(function->context, rows, out) != OK) api->scalar_function_set_error(info, "refused");
}

static enum err duckdb_register(struct duckdb_session *s, duckdb_scalar_function scalar, bool pure,
                                duckdb_logical_type any, duckdb_logical_type result)
{
    if (any == NULL || result == NULL) return ERR_NO_MEMORY;
    s->api->scalar_function_set_varargs(scalar, any);
    s->api->scalar_function_set_return_type(scalar, result);
    s->api->scalar_function_set_special_handling(scalar);    /* NULLs come as well */
    if (!pure) s->api->scalar_function_set_volatile(scalar); /* constants do not make one call of many */
    return s->api->register_scalar_function(s->connection, scalar) == DUCKDB_SUCCESS ? OK : ERR_NO_MEMORY;
}

enum err duckdb_session_function(struct duckdb_session *s, const struct duckdb_function *function)
{
    duckdb_scalar_function scalar = s->api->create_scalar_function();
    if (scalar == NULL) return ERR_NO_MEMORY;
    void *context;
    memcpy(&context, &function, sizeof context); /* DuckDB does not touch it */
    s->api->scalar_function_set_name(scalar, function->name);
    s->api->scalar_function_set_function(scalar, duckdb_call);
    s->api->scalar_function_set_extra_info(scalar, context, NULL);
    duckdb_logical_type any = s->api->create_logical_type(DUCKDB_ANY);
    duckdb_logical_type result = s->api->create_logical_type((int)function->result);
    enum err err = duckdb_register(s, scalar, function->pure, any, result);
    if (any != NULL) s->api->destroy_logical_type(&any);
    if (result != NULL) s->api->destroy_logical_type(&result);
    s->api->destroy_scalar_function(&scalar);
    return err;
}
