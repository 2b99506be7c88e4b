/* keyfile: any bytes as a key file without passphrase. What is read back is what writing it again gives, byte for
 * byte: a plain file has one spelling. (The passphrase itself is not tried here: it costs 64 MiB and a tenth of a second.) */
#include "crypto/keyfile.h"
#include "crypto/secret.h"
#include "proto/base/panic.h"
#include "tests/memory_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 8192 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static enum err read_bytes(struct span input, void *out, size_t *len)
{
    char path[MEMORY_FILE_PATH];
    int file = memory_file_open(path, input);
    enum err err = keyfile_read(path, "identity", out, len, SPAN_NONE);
    memory_file_close(file);
    return err;
}

static void write_again(struct span input, struct span secret)
{
    char folder[] = "/tmp/perigee-fuzz-XXXXXX", path[64];
    uint8_t again[FILE_BYTES_MAX];
    ASSERT(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/key", folder);
    ASSERT(keyfile_write(path, "identity", secret, SPAN_NONE) == OK);
    FILE *file = fopen(path, "rb");
    ASSERT(file != NULL);
    size_t len = fread(again, 1, sizeof again, file);
    ASSERT(fclose(file) == 0 && unlink(path) == 0 && rmdir(folder) == 0);
    ASSERT(span_equal(input, span_make(again, len)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static uint8_t *secret;
    size_t secret_len = 1;
    if (secret == NULL) {
        ASSERT(crypto_init() == OK);
        secret = secret_alloc(KEYFILE_SECRET_MAX);
        ASSERT(secret != NULL);
    }
    enum err err = read_bytes(span_make(bytes, len), secret, &secret_len);
    ASSERT(err != ERR_NO_MEMORY && err != ERR_IO && err != ERR_REFUSED);
    if (err == OK)
        write_again(span_make(bytes, len), span_make(secret, secret_len));
    else
        ASSERT(secret_len == 0);
    return 0;
}
