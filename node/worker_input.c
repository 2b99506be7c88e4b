/* Inputs, filled chunk by chunk: a memfd each, or a spool where memory does not do. */
#include "node/worker_state.h"

#include "crypto/hash.h"
#include "crypto/secret.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Code, libraries' private pages, the machine's arena as far as it is touched, thread stacks. */
enum { RESERVE_MB = 160, RESERVE_MB_PER_THREAD = 12, RUNTIME_MB_MIN = 128 };

uint64_t worker_memory_left(const struct worker *w, uint64_t plain_bytes)
{
    uint64_t reserve = ((uint64_t)RESERVE_MB + (uint64_t)RESERVE_MB_PER_THREAD * w->options.threads) << 20;
    uint64_t least = (uint64_t)RUNTIME_MB_MIN << 20, memory = w->options.memory_bytes;
    if (w->options.spool >= 0) reserve += SPOOL_MEMORY_BYTES;
    if (plain_bytes > memory || memory - plain_bytes < reserve + least) return 0;
    return memory - plain_bytes - reserve;
}

/* Sized once and for all: nobody can make it grow, and no reader can meet its end moving. */
static enum err make_memfd(struct worker_input *in, uint64_t len)
{
    in->fd = memfd_create("input", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (in->fd < 0) return ERR_NO_MEMORY;
    if (ftruncate(in->fd, (off_t)len) != 0) return ERR_NO_MEMORY;
    if (fcntl(in->fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) return ERR_IO;
    if (len == 0) return OK;
    void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, in->fd, 0);
    if (map == MAP_FAILED) return ERR_NO_MEMORY;
    in->map = map;
    return OK;
}

static enum err make_spool(struct worker *w, struct worker_input *in)
{
    TRY(spool_new(&in->spool, w->options.spool, w->spooled_bytes, &in->summary, in->key));
    in->fd = spool_file(in->spool);
    w->spooled_bytes += (uint64_t)in->summary.chunk_count * BODY_SEALED_MAX;
    return OK;
}

static enum err keep_leaves(struct worker_input *in, struct span leaves)
{
    uint32_t count = in->summary.chunk_count;
    if (leaves.len != (size_t)count * 32) return ERR_RANGE;
    in->leaf = calloc(count, sizeof *in->leaf);
    in->done = calloc(count, sizeof *in->done);
    if (in->leaf == NULL || in->done == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) memcpy(in->leaf[i].bytes, leaves.data + (size_t)i * 32, 32);
    struct hash32 root = body_root(in->leaf, count);
    in->chunks_left = count;
    return ID_EQUAL(root, in->summary.root) ? OK : ERR_HASH;
}

static enum err open_input(struct worker *w, struct worker_input *in, uint32_t index, struct span leaves)
{
    TRY(body_summary_check(&in->summary));
    const bool fits = worker_memory_left(w, w->plain_bytes + in->summary.plain_len) > 0;
    if (!fits && w->options.spool < 0) return ERR_NO_MEMORY;
    TRY(keep_leaves(in, leaves));
    TRY(body_key_derive(&in->key, w->secret->run.data_key[index], in->summary.suite, in->summary.salt));
    struct hash32 commitment = body_key_commitment(in->key);
    if (!ID_EQUAL(commitment, in->summary.commitment)) return ERR_KEY;
    if (!fits) return make_spool(w, in);
    w->plain_bytes += in->summary.plain_len;
    return make_memfd(in, in->summary.plain_len);
}

static void close_input(struct worker_input *in)
{
    if (in->map != NULL) {
        secret_wipe(in->map, in->summary.plain_len);
        (void)munmap(in->map, in->summary.plain_len);
    }
    if (in->fd >= 0 && in->spool == NULL) (void)close(in->fd);
    spool_free(in->spool);
    if (in->key != NULL) body_key_free(in->key);
    free(in->leaf);
    free(in->done);
    *in = (struct worker_input){.fd = -1};
}

enum err worker_input_begin(struct worker *w, const struct enclave_effect *effect,
                            const struct enclave_keys *keys)
{
    if (!w->unlock.done || keys == NULL) return ERR_NOT_READY;
    if (effect->input >= keys->input_count || keys->input_count > CAP_INPUTS) return ERR_RANGE;
    struct worker_input *in = &w->input[effect->input];
    if (in->open) return ERR_CONFLICT;
    *in = (struct worker_input){.fd = -1, .summary = worker_summary(keys->manifest[effect->input])};
    enum err err = open_input(w, in, effect->input, effect->bytes);
    if (err != OK) {
        close_input(in);
        return err;
    }
    in->open = true;
    return OK;
}

/* The memfd is written through its mapping, so no second copy of the plaintext is ever made. */
static enum err open_chunk(struct worker_input *in, uint32_t chunk, struct span sealed)
{
    uint8_t none[1];
    uint8_t *to = in->map != NULL ? in->map + (size_t)chunk * BODY_CHUNK_BYTES : none;
    return body_open_chunk(to, in->key, chunk, sealed);
}

enum err worker_input_chunk(struct worker *w, const struct enclave_effect *effect)
{
    if (effect->input >= CAP_INPUTS || !w->input[effect->input].open) return ERR_NOT_READY;
    struct worker_input *in = &w->input[effect->input];
    if (effect->chunk >= in->summary.chunk_count) return ERR_RANGE;
    if (in->done[effect->chunk]) return OK; /* a host that repeats itself changes nothing */
    uint32_t plain_len = body_plain_bytes(&in->summary, effect->chunk);
    if (effect->bytes.len != (size_t)plain_len + BODY_TAG_BYTES) return ERR_RANGE;
    struct hash32 leaf = blake3(effect->bytes);
    if (!ID_EQUAL(leaf, in->leaf[effect->chunk])) return ERR_HASH;
    TRY(in->spool != NULL ? spool_put(in->spool, effect->chunk, effect->bytes)
                          : open_chunk(in, effect->chunk, effect->bytes));
    in->done[effect->chunk] = true;
    in->chunks_left--;
    return OK;
}

void worker_input_wipe(struct worker *w)
{
    for (uint32_t i = 0; i < CAP_INPUTS; i++)
        if (w->input[i].open) close_input(&w->input[i]);
    w->plain_bytes = 0;
}
