/* duckdb SQL: one statement in DuckDB as it comes, for scripts that need a file of its formats. */
#include "node/duckdb.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct duckdb_session s = {0};
    char why[256] = "it did not start";
    if (argc != 2) return 3;
    enum err err = duckdb_load(&s.api, why, sizeof why);
    if (err == OK && s.api->open_ext(NULL, &s.database, NULL, NULL) == DUCKDB_SUCCESS &&
        s.api->connect(s.database, &s.connection) == DUCKDB_SUCCESS)
        err = duckdb_session_run(&s, argv[1], why, sizeof why);
    else
        err = ERR_UNAVAILABLE;
    duckdb_session_close(&s);
    if (err != OK) (void)fprintf(stderr, "duckdb: %s\n", why);
    return err == OK ? 0 : 1;
}
