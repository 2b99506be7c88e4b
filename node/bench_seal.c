/* P1, in memory: a body of 1 GiB sealed and opened on every core, against the bare cipher and then BLAKE3 on the same bytes by
 * as many threads. */
#include "node/bench.h"

#include "crypto/bare.h"
#include "crypto/body.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { SEAL_CHUNKS = 1024, SEAL_MIB = SEAL_CHUNKS };

struct sealing {
    uint8_t *plain, *sealed; /* SEAL_CHUNKS each; a sealed one stands where the next page begins */
    struct body_key *key;
    struct bare_cipher *seals[BENCH_CORES_MAX], *opens[BENCH_CORES_MAX];
    struct hash32 leaf[SEAL_CHUNKS];
};
enum { SEALED_STRIDE = BODY_CHUNK_BYTES + 4096 };

static uint8_t *plain_of(const struct sealing *s, uint32_t chunk)
{
    return s->plain + (size_t)chunk * BODY_CHUNK_BYTES;
}

static uint8_t *sealed_of(const struct sealing *s, uint32_t chunk)
{
    return s->sealed + (size_t)chunk * SEALED_STRIDE;
}

static void seal_part(void *context, uint32_t index, uint32_t count)
{
    struct sealing *s = context;
    for (uint32_t i = index; i < SEAL_CHUNKS; i += count) {
        ASSERT(body_seal_chunk(sealed_of(s, i), s->key, i, span_make(plain_of(s, i), BODY_CHUNK_BYTES)) ==
               OK);
        s->leaf[i] = blake3(span_make(sealed_of(s, i), BODY_SEALED_MAX));
    }
}

static void open_part(void *context, uint32_t index, uint32_t count)
{
    struct sealing *s = context;
    for (uint32_t i = index; i < SEAL_CHUNKS; i += count) {
        const struct span sealed = span_make(sealed_of(s, i), BODY_SEALED_MAX);
        const struct hash32 leaf = blake3(sealed);
        ASSERT(ID_EQUAL(leaf, s->leaf[i]));
        ASSERT(body_open_chunk(plain_of(s, i), s->key, i, sealed) == OK);
    }
}

static void bare_seal_part(void *context, uint32_t index, uint32_t count)
{
    struct sealing *s = context;
    for (uint32_t i = index; i < SEAL_CHUNKS; i += count) {
        bare_cipher_run(s->seals[index], sealed_of(s, i), span_make(plain_of(s, i), BODY_CHUNK_BYTES));
        s->leaf[i] = blake3(span_make(sealed_of(s, i), BODY_CHUNK_BYTES));
    }
}

static void bare_open_part(void *context, uint32_t index, uint32_t count)
{
    struct sealing *s = context;
    for (uint32_t i = index; i < SEAL_CHUNKS; i += count) {
        const struct span sealed = span_make(sealed_of(s, i), BODY_CHUNK_BYTES);
        s->leaf[i] = blake3(sealed);
        bare_cipher_run(s->opens[index], plain_of(s, i), sealed);
    }
}

static void *take(size_t len)
{
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static enum err sealing_init(struct sealing *s)
{
    uint8_t data_key[32];
    struct hash32 salt;
    const uint16_t suite = body_suite_best();
    memset(s, 0, sizeof *s);
    s->plain = take((size_t)SEAL_CHUNKS * BODY_CHUNK_BYTES);
    s->sealed = take((size_t)SEAL_CHUNKS * SEALED_STRIDE);
    if (s->plain == NULL || s->sealed == NULL) return ERR_NO_MEMORY;
    random_fill(data_key, sizeof data_key);
    random_fill(salt.bytes, sizeof salt.bytes);
    for (uint32_t i = 0; i < SEAL_CHUNKS; i++) memset(plain_of(s, i), (int)i, BODY_CHUNK_BYTES);
    TRY(body_key_derive(&s->key, data_key, suite, salt));
    for (uint32_t i = 0; i < bench_cores(); i++) {
        TRY(bare_cipher_new(&s->seals[i], suite, true));
        TRY(bare_cipher_new(&s->opens[i], suite, false));
    }
    return OK;
}

static void sealing_free(struct sealing *s)
{
    body_key_free(s->key);
    for (uint32_t i = 0; i < BENCH_CORES_MAX; i++) {
        bare_cipher_free(s->seals[i]);
        bare_cipher_free(s->opens[i]);
    }
    if (s->plain != NULL) (void)munmap(s->plain, (size_t)SEAL_CHUNKS * BODY_CHUNK_BYTES);
    if (s->sealed != NULL) (void)munmap(s->sealed, (size_t)SEAL_CHUNKS * SEALED_STRIDE);
}

static void print_rates(const struct bench *b, const char *name, double *seconds, double *limit,
                        const char *against)
{
    double ratio[BENCH_ROUNDS];
    for (int i = 0; i < BENCH_ROUNDS; i++) ratio[i] = limit[i] / seconds[i]; /* neighbours in time */
    bench_print(b, name, SEAL_MIB / bench_median(seconds, BENCH_ROUNDS), "MiB/s",
                bench_median(ratio, BENCH_ROUNDS), against);
}

enum err bench_seal(const struct bench *b)
{
    static struct sealing s;
    double seal[BENCH_ROUNDS], open[BENCH_ROUNDS], bare_seal[BENCH_ROUNDS], bare_open[BENCH_ROUNDS];
    char against[64];
    enum err err = sealing_init(&s);
    for (int i = 0; err == OK && i < BENCH_ROUNDS; i++) {
        bare_seal[i] = bench_on_cores(bare_seal_part, &s);
        seal[i] = bench_on_cores(seal_part, &s);
        open[i] = bench_on_cores(open_part, &s);
        bare_open[i] = bench_on_cores(bare_open_part, &s);
    }
    sealing_free(&s);
    if (err != OK) return err;
    (void)snprintf(against, sizeof against, "bare_cipher_then_blake3_on_%u_cores", bench_cores());
    print_rates(b, "seal_memory", seal, bare_seal, against);
    print_rates(b, "unseal_memory", open, bare_open, against);
    return OK;
}
