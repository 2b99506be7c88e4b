/* A backup: any bytes, with the hash that belongs to them at their end unless the first byte is 'r' (raw). Restored is a whole
 * data directory or nothing: whatever is refused leaves nothing behind, not even its draft. */
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "node/backup.h"
#include "proto/base/panic.h"
#include "tests/memory_file.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { INPUT_MAX = 1 << 17, FILES_OPEN = 8 };

static int remove_one(const char *path, const struct stat *is, int what, struct FTW *where)
{
    (void)is, (void)what, (void)where;
    return remove(path);
}

static void restore(struct span input)
{
    char path[MEMORY_FILE_PATH], folder[] = "/dev/shm/perigee-fuzz-XXXXXX", home[64], fault[512] = "";
    struct backup_told told;
    struct stat is;
    ASSERT(mkdtemp(folder) != NULL);
    (void)snprintf(home, sizeof home, "%s/home", folder);
    int file = memory_file_open(path, input);
    const enum err err = backup_restore(&told, path, home, fault, sizeof fault);
    memory_file_close(file);
    ASSERT((err == OK) == (stat(home, &is) == 0));
    if (err == OK) {
        ASSERT(told.entries >= 5 && told.bytes == input.len && (is.st_mode & 077) == 0);
        ASSERT(nftw(home, remove_one, FILES_OPEN, FTW_DEPTH | FTW_PHYS) == 0);
    } else {
        ASSERT(fault[0] != 0);
    }
    ASSERT(rmdir(folder) == 0); /* nothing else is in it */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static uint8_t given[INPUT_MAX + 32];
    if (len < 1 || len > INPUT_MAX) return 0;
    ASSERT(crypto_init() == OK);
    memcpy(given, bytes + 1, len - 1);
    const struct hash32 hash = sha256(span_make(given, len - 1));
    memcpy(given + len - 1, hash.bytes, sizeof hash.bytes);
    restore(span_make(given, len - 1 + (bytes[0] == 'r' ? 0 : sizeof hash.bytes)));
    return 0;
}
