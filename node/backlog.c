#include "node/backlog.h"

#include "node/kept.h"
#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

struct backlog_entry {
    struct backlog_entry *next;
    size_t bytes;
    uint32_t count;
    struct keep item[KEEP_MAX];
    uint8_t copied[];
};

void backlog_init(struct backlog *b)
{
    *b = (struct backlog){.head = NULL};
    b->tail = &b->head;
}

bool backlog_empty(const struct backlog *b)
{
    return b->head == NULL;
}

static struct span copy(uint8_t **at, struct span bytes)
{
    uint8_t *to = *at;
    if (bytes.len > 0) memcpy(to, bytes.data, bytes.len);
    *at += bytes.len;
    return span_make(to, bytes.len);
}

enum err backlog_add(struct backlog *b, const struct keep *items, uint32_t count)
{
    size_t bytes = sizeof(struct backlog_entry);
    ASSERT(count <= KEEP_MAX);
    for (uint32_t i = 0; i < count; i++) bytes += items[i].key.len + items[i].value.len;
    if (bytes > BACKLOG_BYTES_MAX - b->bytes) return ERR_FULL;
    struct backlog_entry *e = malloc(bytes);
    if (e == NULL) return ERR_NO_MEMORY;
    *e = (struct backlog_entry){.bytes = bytes, .count = count};
    uint8_t *at = e->copied;
    for (uint32_t i = 0; i < count; i++) {
        e->item[i].space = items[i].space;
        e->item[i].key = copy(&at, items[i].key);
        e->item[i].value = copy(&at, items[i].value);
    }
    b->bytes += bytes;
    *b->tail = e;
    b->tail = &e->next;
    return OK;
}

static void drop_first(struct backlog *b)
{
    struct backlog_entry *e = b->head;
    b->head = e->next;
    if (b->head == NULL) b->tail = &b->head;
    b->bytes -= e->bytes;
    free(e);
}

void backlog_give(struct backlog *b, struct store *store, store_done done, void *context)
{
    while (b->head != NULL) {
        const enum err err = kept_submit(store, b->head->item, b->head->count, true, done, context);
        if (err == ERR_FULL) return;
        if (err != OK) done(context, err);
        drop_first(b);
    }
}

void backlog_flush(struct backlog *b, struct store *store, store_done done, void *context)
{
    for (;;) {
        backlog_give(b, store, done, context);
        if (b->head == NULL) return;
        enum err err = store_write_now(store, NULL, 0); /* a barrier: the queue is empty behind it */
        if (err != OK) return;
    }
}

void backlog_free(struct backlog *b)
{
    while (b->head != NULL) drop_first(b);
}
