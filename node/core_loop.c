#include "node/core_loop.h"

#include "node/backlog.h"
#include "node/kept.h"
#include "proto/base/panic.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* Something to tell the core later: an event in the middle of a step, a completion from the store's thread. */
struct queued {
    struct queued *next;
    struct event event;
    uint8_t bytes[];
};

struct core_loop {
    struct core *core;
    void *arena_memory;
    struct arena arena;
    struct store *store;
    struct keyed_pool *pool;
    struct pump_executors executors;
    struct recorder *recorder; /* or NULL */
    void (*log)(void *context, const char *line);
    bool stepping;
    uint32_t storing;       /* batches that answer */
    atomic_int stored_err;  /* enum err of the last one, any thread */
    struct backlog backlog; /* stored quietly, later */
    struct queued *queue_head, **queue_tail;
    uv_async_t wake;
    uv_timer_t tick;
    bool ticking;
    pthread_mutex_t lock; /* guards `stored` */
    struct queued *stored, **stored_tail;
};

struct instant core_loop_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (struct instant){(int64_t)t.tv_sec * 1000000000 + t.tv_nsec};
}

uint64_t core_loop_wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- Feeding the core ----------------------------------------------------------------------------------------------- */

static struct queued *queued_new(const struct event *event)
{
    struct queued *q = malloc(sizeof *q + event->bytes.len);
    if (q == NULL) panic(__FILE__, __LINE__, "out of memory");
    q->next = NULL;
    q->event = *event;
    if (event->bytes.len > 0) memcpy(q->bytes, event->bytes.data, event->bytes.len);
    q->event.bytes = (struct span){q->bytes, event->bytes.len};
    return q;
}

static void on_stored_quietly(void *context, enum err err);

static void feed_one(struct core_loop *l, const struct event *event)
{
    struct event now = *event;
    now.now = core_loop_now();
    now.wall_ms = core_loop_wall_ms();
    l->stepping = true;
    if (l->recorder != NULL) recorder_event(l->recorder, l->core, &now);
    pump_event(l->core, &l->executors, &now);
    if (l->recorder != NULL) recorder_step(l->recorder, l->core);
    l->stepping = false;
    backlog_give(&l->backlog, l->store, on_stored_quietly, l);
}

static void on_tick(uv_timer_t *timer)
{
    core_loop_feed(timer->data, &(struct event){.type = EVENT_TICK});
}

/* Not earlier than the core asks: it would find nothing to do. */
static void arm(struct core_loop *l)
{
    const int64_t wait_ns = core_deadline(l->core).ns - core_loop_now().ns;
    const uint64_t wait_ms = wait_ns > 0 ? ((uint64_t)wait_ns + 999999) / 1000000 : 1;
    if (!l->ticking) return;
    uv_update_time(l->tick.loop); /* a timer counts from there */
    if (!uv_is_active((const uv_handle_t *)&l->tick) || wait_ms < uv_timer_get_due_in(&l->tick))
        (void)uv_timer_start(&l->tick, on_tick, wait_ms, 0);
}

void core_loop_begin_ticks(struct core_loop *l)
{
    l->ticking = true;
    (void)uv_timer_start(&l->tick, on_tick, 1, 0);
}

void core_loop_end_ticks(struct core_loop *l)
{
    l->ticking = false;
    (void)uv_timer_stop(&l->tick);
}

void core_loop_feed(struct core_loop *l, const struct event *event)
{
    if (l->stepping) {
        *l->queue_tail = queued_new(event);
        l->queue_tail = &(*l->queue_tail)->next;
        return;
    }
    feed_one(l, event);
    while (l->queue_head != NULL) {
        struct queued *q = l->queue_head;
        l->queue_head = q->next;
        if (l->queue_head == NULL) l->queue_tail = &l->queue_head;
        feed_one(l, &q->event);
        free(q);
    }
    arm(l);
}

/* --- Store ---------------------------------------------------------------------------------------------------------- */

struct store_wait {
    struct core_loop *loop;
    uint64_t token;
};

/* Two writes that contradict each other say nothing of the disk. */
static void note_stored(struct core_loop *l, enum err err)
{
    atomic_store(&l->stored_err, (int)(err == ERR_CONFLICT ? OK : err));
}

/* On the store's thread. */
static void on_stored(void *context, enum err err)
{
    struct store_wait *w = context;
    struct core_loop *l = w->loop;
    note_stored(l, err);
    struct queued *q = queued_new(&(struct event){.type = EVENT_STORED, .token = w->token, .err = err});
    free(w);
    (void)pthread_mutex_lock(&l->lock);
    *l->stored_tail = q;
    l->stored_tail = &q->next;
    (void)uv_async_send(&l->wake);
    (void)pthread_mutex_unlock(&l->lock);
}

/* Histories of runs, the end of a request to join: the core asks for no answer. */
static void on_stored_quietly(void *context, enum err err)
{
    struct core_loop *l = context;
    char line[160];
    note_stored(l, err);
    if (err == OK) return;
    (void)snprintf(line, sizeof line, "what this node keeps for itself could not be stored: %s",
                   err_text(err));
    l->log(l->executors.context, line);
}

static void on_wake(uv_async_t *wake)
{
    struct core_loop *l = wake->data;
    (void)pthread_mutex_lock(&l->lock);
    struct queued *q = l->stored;
    l->stored = NULL;
    l->stored_tail = &l->stored;
    (void)pthread_mutex_unlock(&l->lock);
    while (q != NULL) {
        struct queued *next = q->next;
        l->storing--;
        core_loop_feed(l, &q->event);
        free(q);
        q = next;
    }
}

/* What a peer sent may wait some milliseconds for company in its sync: only that peer's share of the work in flight does. */
static bool may_wait(const struct core_loop *l, const struct keep *item)
{
    struct record r;
    struct record_id id;
    if (item->space != KEEP_RECORD) return false;
    memcpy(id.bytes, item->key.data, sizeof id.bytes);
    const enum err err = record_unpack_known(&r, item->value, id);
    ASSERT(err == OK);
    const struct node_id self = core_self(l->core);
    return !ID_EQUAL(r.header.author, self);
}

static void store_and_answer(struct core_loop *l, uint64_t token, const struct keep *items, uint32_t count)
{
    struct store_wait *w = malloc(sizeof *w);
    if (w == NULL) panic(__FILE__, __LINE__, "out of memory");
    *w = (struct store_wait){l, token};
    l->storing++;
    enum err err = kept_submit(l->store, items, count, may_wait(l, items), on_stored, w);
    if (err == OK) return;
    l->storing--;
    free(w);
    core_loop_feed(l, &(struct event){.type = EVENT_STORED, .token = token, .err = err});
}

void core_loop_store(struct core_loop *l, uint64_t token, const struct keep *items, uint32_t count)
{
    if (token != 0) {
        store_and_answer(l, token, items, count);
        return;
    }
    backlog_give(&l->backlog, l->store, on_stored_quietly, l);
    enum err err = backlog_empty(&l->backlog)
                       ? kept_submit(l->store, items, count, true, on_stored_quietly, l)
                       : ERR_FULL;
    if (err == ERR_FULL) err = backlog_add(&l->backlog, items, count);
    if (err == OK) return;
    l->log(l->executors.context,
           "what this node keeps for itself could not be queued for the store: too much waits there");
}

/* --- Keyed work ----------------------------------------------------------------------------------------------------- */

static void on_keyed(void *context, uint64_t token, enum err err, struct span output)
{
    core_loop_feed(context,
                   &(struct event){.type = EVENT_CRYPTO, .token = token, .err = err, .bytes = output});
}

void core_loop_crypto(struct core_loop *l, uint64_t token, const struct crypto_job *job)
{
    keyed_pool_submit(l->pool, job, on_keyed, l, token);
}

void core_loop_keyed(struct core_loop *l, const struct crypto_job *job, keyed_done done, void *context)
{
    keyed_pool_submit(l->pool, job, done, context, 0);
}

/* --- Start and end -------------------------------------------------------------------------------------------------- */

static enum err open_core(struct core_loop *l, const struct core_options *options)
{
    const size_t bytes = core_arena_bytes(options->caps);
    l->arena_memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (l->arena_memory == MAP_FAILED) return ERR_NO_MEMORY;
    l->arena = arena_make(l->arena_memory, bytes);
    enum err err = core_new(&l->core, &l->arena, options);
    if (err != OK) (void)munmap(l->arena_memory, bytes);
    return err;
}

enum err core_loop_open(struct core_loop **out, const struct core_loop_options *options)
{
    struct core_loop *l = calloc(1, sizeof *l);
    *out = NULL;
    if (l == NULL) return ERR_NO_MEMORY;
    enum err err = open_core(l, options->core);
    if (err != OK) {
        free(l);
        return err;
    }
    l->store = options->store;
    l->executors = *options->executors;
    l->log = options->log;
    l->queue_tail = &l->queue_head;
    l->stored_tail = &l->stored;
    backlog_init(&l->backlog);
    (void)pthread_mutex_init(&l->lock, NULL);
    err = keyed_pool_open(&l->pool, options->loop, options->home, keyed_pool_threads());
    if (err == OK && uv_async_init(options->loop, &l->wake, on_wake) == 0) {
        (void)uv_timer_init(options->loop, &l->tick); /* cannot fail */
        l->wake.data = l->tick.data = l;
        l->recorder = options->recorder;
        *out = l;
        return OK;
    }
    if (err == OK) keyed_pool_close(l->pool);
    (void)munmap(l->arena_memory, l->arena.cap);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
    return ERR_NO_MEMORY;
}

struct core *core_loop_core(struct core_loop *l)
{
    return l->core;
}

uint32_t core_loop_in_flight(const struct core_loop *l)
{
    return l->storing + keyed_pool_in_flight(l->pool);
}

enum err core_loop_store_error(const struct core_loop *l)
{
    return (enum err)atomic_load(&l->stored_err);
}

uint32_t core_loop_keyed_in_flight(const struct core_loop *l)
{
    return keyed_pool_in_flight(l->pool);
}

static void on_closed(uv_handle_t *tick)
{
    struct core_loop *l = tick->data;
    (void)munmap(l->arena_memory, l->arena.cap);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

static void on_wake_closed(uv_handle_t *wake)
{
    uv_close((uv_handle_t *)&((struct core_loop *)wake->data)->tick, on_closed);
}

void core_loop_flush(struct core_loop *l)
{
    backlog_flush(&l->backlog, l->store, on_stored_quietly, l);
}

void core_loop_close(struct core_loop *l)
{
    backlog_free(&l->backlog);
    ASSERT(core_loop_in_flight(l) == 0);
    recorder_close(l->recorder, l->core);
    l->recorder = NULL;
    keyed_pool_close(l->pool);
    uv_close((uv_handle_t *)&l->wake, on_wake_closed);
}
