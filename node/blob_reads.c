#include "node/blob_reads.h"

#include "node/blob_scope.h"
#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

struct blob_work {
    uv_work_t work;
    struct blob_reads *reads;
    struct blob_work *next, **link;
    struct blob_read read;
    size_t manifests_len;
    uint8_t manifests[32 * CAP_INPUTS]; /* to a peer: what may be served from */
};

struct blob_reads {
    struct blob_reads_options options;
    struct blob_work *works;
    uint32_t in_flight;
};

enum err blob_reads_open(struct blob_reads **out, const struct blob_reads_options *options)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return ERR_NO_MEMORY;
    (*out)->options = *options;
    return OK;
}

static void on_pool(uv_work_t *work)
{
    struct blob_work *w = work->data;
    struct blob_read *r = &w->read;
    struct store *store = w->reads->options.store;
    r->bytes.len = BLOB_READ_HEADROOM;
    if (!ID_IS_ZERO(r->peer))
        r->err = blob_scope_check(store, span_make(w->manifests, w->manifests_len), r->cid);
    if (r->err == OK) r->err = store_read(store, STORE_BLOB, SPAN_OF(r->cid), &r->bytes);
}

static void work_free(struct blob_work *w)
{
    free(w->read.bytes.data);
    free(w);
}

static void on_read(uv_work_t *work, int status)
{
    struct blob_work *w = work->data;
    struct blob_reads *b = w->reads;
    *w->link = w->next;
    if (w->next != NULL) w->next->link = w->link;
    b->in_flight--;
    if (status != 0) w->read.err = ERR_CANCELLED;
    b->options.done(b->options.context, &w->read);
    work_free(w);
}

static bool has_place(const struct blob_reads *b, struct node_id peer)
{
    uint32_t count = 0;
    if (ID_IS_ZERO(peer)) return true;
    for (const struct blob_work *w = b->works; w != NULL; w = w->next) count += ID_EQUAL(w->read.peer, peer);
    return count < BLOB_READS_PER_PEER;
}

enum err blob_reads_ask(struct blob_reads *b, struct node_id peer, struct run_id run, const uint8_t cid[36],
                        struct span manifests)
{
    if (!has_place(b, peer)) return ERR_FULL;
    struct blob_work *w = calloc(1, sizeof *w);
    const size_t cap = BLOB_READ_HEADROOM + BLOB_BYTES_MAX;
    uint8_t *memory = malloc(cap);
    if (w == NULL || memory == NULL) {
        free(memory);
        free(w);
        return ERR_NO_MEMORY;
    }
    ASSERT(manifests.len <= sizeof w->manifests);
    w->reads = b;
    w->read = (struct blob_read){.peer = peer, .run = run, .bytes = buffer_make(memory, cap)};
    memcpy(w->read.cid, cid, sizeof w->read.cid);
    if (manifests.len > 0) memcpy(w->manifests, manifests.data, manifests.len);
    w->manifests_len = manifests.len;
    w->work.data = w;
    w->next = b->works;
    w->link = &b->works;
    if (w->next != NULL) w->next->link = &w->next;
    b->works = w;
    b->in_flight++;
    int rc = uv_queue_work(b->options.loop, &w->work, on_pool, on_read);
    ASSERT(rc == 0);
    return OK;
}

uint32_t blob_reads_in_flight(const struct blob_reads *b)
{
    return b->in_flight;
}

void blob_reads_close(struct blob_reads *b)
{
    if (b == NULL) return;
    ASSERT(b->in_flight == 0);
    free(b);
}
