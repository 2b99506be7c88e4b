/* The outer wall: bubblewrap's command line. */
#include "node/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static enum err unavailable(char *why, size_t why_len, const char *what, const char *path)
{
    if (why_len > 0) (void)snprintf(why, why_len, "%s%s%s", what, path[0] != 0 ? ": " : "", path);
    return ERR_UNAVAILABLE;
}

/* --- Finding bubblewrap --------------------------------------------------------------------------------------------- */

static bool is_program(const char *path)
{
    struct stat is;
    return stat(path, &is) == 0 && S_ISREG(is.st_mode) && access(path, X_OK) == 0;
}

static bool find_in(char out[PATH_BYTES], const char *folders)
{
    while (*folders != 0) {
        size_t len = strcspn(folders, ":");
        int made = snprintf(out, PATH_BYTES, "%.*s/bwrap", (int)len, folders);
        if (len > 0 && made > 0 && made < PATH_BYTES && out[0] == '/' && is_program(out)) return true;
        folders += len + (folders[len] == ':');
    }
    return false;
}

static enum err find_bubblewrap(char out[PATH_BYTES], char *why, size_t why_len)
{
    const char *named = getenv("PERIGEE_BWRAP"), *folders = getenv("PATH");
    if (named != NULL && named[0] != 0) {
        int made = snprintf(out, PATH_BYTES, "%s", named);
        if (made > 0 && made < PATH_BYTES && is_program(out)) return OK;
        return unavailable(why, why_len, "PERIGEE_BWRAP names no program", named);
    }
    if (folders != NULL && find_in(out, folders)) return OK;
    return unavailable(why, why_len,
                       "bubblewrap (bwrap) is not on PATH; enclaves never run without it: install bubblewrap",
                       "");
}

/* --- Building ------------------------------------------------------------------------------------------------------- */

static void put(struct sandbox_command *c, const char *argument)
{
    size_t len = strlen(argument) + 1;
    c->overflow = c->overflow || c->count == SANDBOX_ARGUMENTS_MAX || len > sizeof c->text - c->used;
    if (c->overflow) return;
    memcpy(c->text + c->used, argument, len);
    c->argv[c->count++] = c->text + c->used;
    c->argv[c->count] = NULL;
    c->used += len;
}

static void put_two(struct sandbox_command *c, const char *first, const char *second)
{
    put(c, first);
    put(c, second);
}

static void put_three(struct sandbox_command *c, const char *first, const char *second, const char *third)
{
    put_two(c, first, second);
    put(c, third);
}

/* A folder of shared libraries as it is on this system: one, a link to one, or absent. */
static void put_folder(struct sandbox_command *c, const char *path)
{
    char target[PATH_BYTES];
    struct stat is;
    if (lstat(path, &is) != 0) return;
    if (S_ISLNK(is.st_mode)) {
        ssize_t len = readlink(path, target, sizeof target - 1);
        if (len <= 0) return;
        target[len] = 0;
        put_three(c, "--symlink", target, path);
    } else if (S_ISDIR(is.st_mode)) {
        put_three(c, "--ro-bind", path, path);
    }
}

static void put_walls(struct sandbox_command *c)
{
    static const char *const walls[] = {"--unshare-user",    "--unshare-ipc", "--unshare-pid",
                                        "--unshare-net",     "--unshare-uts", "--unshare-cgroup",
                                        "--die-with-parent", "--as-pid-1",    "--clearenv"};
    for (size_t i = 0; i < sizeof walls / sizeof *walls; i++) put(c, walls[i]);
    put_two(c, "--cap-drop", "ALL");
    put_two(c, "--uid", "65534");
    put_two(c, "--gid", "65534");
    put_two(c, "--hostname", "enclave");
}

static void put_files(struct sandbox_command *c, const struct sandbox_spec *spec)
{
    static const char *const folders[] = {"/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) put_folder(c, folders[i]);
    put_three(c, "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache");
    put_three(c, "--ro-bind", spec->executable, SANDBOX_EXECUTABLE);
    if (spec->library != NULL) {
        put_three(c, "--ro-bind", spec->library, SANDBOX_LIBRARY);
        put_three(c, "--setenv", "PERIGEE_DUCKDB", SANDBOX_LIBRARY);
    }
    put_two(c, "--proc", "/proc");
    put_two(c, "--remount-ro", "/");
    put_two(c, "--chdir", "/");
}

enum err sandbox_command_make(struct sandbox_command *out, const struct sandbox_spec *spec, char *why,
                              size_t why_len)
{
    char bubblewrap[PATH_BYTES];
    out->count = 0;
    out->used = 0;
    out->overflow = false;
    TRY(find_bubblewrap(bubblewrap, why, why_len));
    if (!is_program(spec->executable)) return unavailable(why, why_len, "not a program", spec->executable);
    if (spec->library != NULL && access(spec->library, R_OK) != 0)
        return unavailable(why, why_len, "DuckDB's library cannot be read", spec->library);
    put(out, bubblewrap);
    put_walls(out);
    put_files(out, spec);
    put_two(out, "--", SANDBOX_EXECUTABLE);
    for (uint32_t i = 0; i < spec->argument_count; i++) put(out, spec->argument[i]);
    return out->overflow ? ERR_TOO_LARGE : OK;
}
