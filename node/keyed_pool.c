#include "node/keyed_pool.h"

#include "proto/base/panic.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct task {
    struct task *next;
    struct keyed *keyed;
    keyed_done done;
    void *context;
    uint64_t token;
    bool ran;
};

struct tasks {
    struct task *head, **tail;
};

struct keyed_pool {
    const struct home *home;
    uv_async_t wake;      /* something is ready to be delivered */
    uv_prepare_t turn;    /* active while jobs of this turn wait for a thread to be woken */
    uint32_t in_flight;   /* loop thread */
    pthread_mutex_t lock; /* all below */
    pthread_cond_t work;
    struct tasks checks;   /* signature checks in the order they came, until they are delivered */
    struct task *check_at; /* the first of them that no thread has taken */
    uint32_t checks_waiting;
    struct tasks rest;     /* other jobs that wait */
    struct tasks rest_ran; /* and those to deliver */
    uint32_t rest_waiting, rest_running, idle;
    bool closing;
    uint32_t thread_count;
    pthread_t thread[KEYED_THREADS_MAX];
};

static void tasks_init(struct tasks *t)
{
    t->head = NULL;
    t->tail = &t->head;
}

static void tasks_append(struct tasks *t, struct task *task)
{
    task->next = NULL;
    *t->tail = task;
    t->tail = &task->next;
}

static struct task *tasks_pop(struct tasks *t)
{
    struct task *task = t->head;
    t->head = task->next;
    if (t->head == NULL) t->tail = &t->head;
    return task;
}

/* --- Worker threads ------------------------------------------------------------------------------------------------- */

struct batch {
    struct task *first; /* a check: one of `count` in a row */
    uint32_t count;
    bool checks;
};

static bool rest_may_run(const struct keyed_pool *p)
{
    return p->rest.head != NULL && p->rest_running + 1 < p->thread_count;
}

static struct batch take_checks(struct keyed_pool *p)
{
    struct batch b = {p->check_at, (p->checks_waiting + p->thread_count - 1) / p->thread_count, true};
    if (b.count > KEYED_BATCH_MAX) b.count = KEYED_BATCH_MAX;
    for (uint32_t i = 0; i < b.count; i++) p->check_at = p->check_at->next;
    p->checks_waiting -= b.count;
    return b;
}

/* Nothing (count 0) only when the pool closes. */
static struct batch take(struct keyed_pool *p)
{
    while (!rest_may_run(p) && p->checks_waiting == 0) {
        if (p->closing) return (struct batch){NULL, 0, false};
        p->idle++;
        (void)pthread_cond_wait(&p->work, &p->lock);
        p->idle--;
    }
    if (!rest_may_run(p)) return take_checks(p);
    p->rest_waiting--;
    p->rest_running++;
    return (struct batch){tasks_pop(&p->rest), 1, false};
}

/* What comes next of a batch may be read without the lock: only the last task of the queue gets another `next`. */
static void run(const struct batch *b, struct identity_keys *keys)
{
    struct task *t = b->first;
    for (uint32_t i = 0; i < b->count; i++) {
        keyed_run(t->keyed, keys);
        if (i + 1 < b->count) t = t->next;
    }
}

/* True when there is something to deliver. */
static bool settle(struct keyed_pool *p, const struct batch *b)
{
    struct task *t = b->first;
    if (!b->checks) {
        p->rest_running--;
        tasks_append(&p->rest_ran, t);
        return true;
    }
    for (uint32_t i = 0; i < b->count; i++, t = t->next) t->ran = true;
    return p->checks.head->ran;
}

static void *work(void *context)
{
    struct keyed_pool *p = context;
    struct identity_keys keys = {0};
    (void)pthread_mutex_lock(&p->lock);
    for (struct batch b; (b = take(p)).count > 0;) {
        (void)pthread_mutex_unlock(&p->lock);
        run(&b, &keys);
        (void)pthread_mutex_lock(&p->lock);
        if (settle(p, &b)) (void)uv_async_send(&p->wake);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* --- The loop's side ------------------------------------------------------------------------------------------------ */

/* Signature checks up to the first that has not run, and whatever else has. */
static struct task *take_ready(struct keyed_pool *p)
{
    struct task *ready = NULL, **end = &ready;
    (void)pthread_mutex_lock(&p->lock);
    while (p->checks.head != NULL && p->checks.head->ran) {
        *end = tasks_pop(&p->checks);
        end = &(*end)->next;
    }
    *end = p->rest_ran.head;
    tasks_init(&p->rest_ran);
    (void)pthread_mutex_unlock(&p->lock);
    return ready;
}

static void on_wake(uv_async_t *wake)
{
    struct keyed_pool *p = wake->data;
    struct task *t = take_ready(p);
    while (t != NULL) {
        struct task *next = t->next;
        p->in_flight--;
        t->done(t->context, t->token, t->keyed->err, buffer_span(&t->keyed->output));
        keyed_free(t->keyed);
        free(t);
        t = next;
    }
}

static void wake_threads(struct keyed_pool *p)
{
    const uint32_t waiting = p->checks_waiting + p->rest_waiting;
    for (uint32_t i = 0; i < waiting && i < p->idle; i++) (void)pthread_cond_signal(&p->work);
}

static void on_turn_end(uv_prepare_t *turn)
{
    struct keyed_pool *p = turn->data;
    (void)uv_prepare_stop(turn);
    (void)pthread_mutex_lock(&p->lock);
    wake_threads(p);
    (void)pthread_mutex_unlock(&p->lock);
}

void keyed_pool_submit(struct keyed_pool *p, const struct crypto_job *job, keyed_done done, void *context,
                       uint64_t token)
{
    struct task *t = malloc(sizeof *t);
    struct keyed *keyed = keyed_copy(job, p->home);
    if (t == NULL || keyed == NULL) panic(__FILE__, __LINE__, "out of memory");
    *t = (struct task){NULL, keyed, done, context, token, false};
    p->in_flight++;
    (void)pthread_mutex_lock(&p->lock);
    if (job->op == CRYPTO_VERIFY) {
        tasks_append(&p->checks, t);
        if (p->check_at == NULL) p->check_at = t;
        p->checks_waiting++;
    } else {
        tasks_append(&p->rest, t);
        p->rest_waiting++;
    }
    const bool asleep = p->idle > 0; /* who is awake looks here before it sleeps */
    const bool full = p->checks_waiting > 0 && p->checks_waiting % KEYED_BATCH_MAX == 0;
    if (asleep && full) (void)pthread_cond_signal(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    if (asleep) (void)uv_prepare_start(&p->turn, on_turn_end);
}

uint32_t keyed_pool_in_flight(const struct keyed_pool *p)
{
    return p->in_flight;
}

/* --- Start and end -------------------------------------------------------------------------------------------------- */

uint32_t keyed_pool_threads(void)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 2 : cores >= KEYED_THREADS_MAX ? KEYED_THREADS_MAX : (uint32_t)cores + 1;
}

/* Signals are the program's business, not these threads'. */
static enum err start_threads(struct keyed_pool *p, uint32_t threads)
{
    sigset_t all, before;
    int rc = 0;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (rc == 0 && p->thread_count < threads) {
        rc = pthread_create(&p->thread[p->thread_count], NULL, work, p);
        if (rc == 0) {
            (void)pthread_mutex_lock(&p->lock);
            p->thread_count++;
            (void)pthread_mutex_unlock(&p->lock);
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? OK : ERR_NO_MEMORY;
}

static void join_threads(struct keyed_pool *p)
{
    (void)pthread_mutex_lock(&p->lock);
    p->closing = true;
    (void)pthread_cond_broadcast(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->thread_count; i++) (void)pthread_join(p->thread[i], NULL);
}

static void on_wake_closed(uv_handle_t *wake)
{
    struct keyed_pool *p = wake->data;
    (void)pthread_cond_destroy(&p->work);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

static void on_turn_closed(uv_handle_t *turn)
{
    struct keyed_pool *p = turn->data;
    uv_close((uv_handle_t *)&p->wake, on_wake_closed);
}

void keyed_pool_close(struct keyed_pool *p)
{
    ASSERT(p->in_flight == 0);
    join_threads(p);
    uv_close((uv_handle_t *)&p->turn, on_turn_closed);
}

enum err keyed_pool_open(struct keyed_pool **out, uv_loop_t *loop, const struct home *home, uint32_t threads)
{
    ASSERT(threads >= 2 && threads <= KEYED_THREADS_MAX);
    struct keyed_pool *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL) return ERR_NO_MEMORY;
    if (uv_async_init(loop, &p->wake, on_wake) != 0) {
        free(p);
        return ERR_NO_MEMORY;
    }
    (void)uv_prepare_init(loop, &p->turn);
    p->wake.data = p->turn.data = p;
    p->home = home;
    tasks_init(&p->checks);
    tasks_init(&p->rest);
    tasks_init(&p->rest_ran);
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->work, NULL);
    enum err err = start_threads(p, threads);
    if (err == OK)
        *out = p;
    else
        keyed_pool_close(p);
    return err;
}
