#include "node/measure.h"

#include "crypto/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static enum err measure_open(struct hash32 *out, int file)
{
    uint8_t block[65536];
    struct sha256_stream stream;
    ssize_t len;
    sha256_begin(&stream);
    do {
        len = read(file, block, sizeof block);
        if (len > 0) sha256_add(&stream, span_make(block, (size_t)len));
    } while (len > 0 || (len < 0 && errno == EINTR));
    if (len < 0) return ERR_IO;
    *out = sha256_end(&stream);
    return OK;
}

enum err measure_file(struct hash32 *out, const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    enum err err = measure_open(out, file);
    (void)close(file);
    return err;
}

enum err measure_self(struct hash32 *out)
{
    return measure_file(out, "/proc/self/exe");
}
