#include "node/worker_labour.h"

#include "proto/base/panic.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    LABOUR_JOBS_MAX = 16, /* the machine has a few chunks under way, or the computation */
    LABOUR_END_SECONDS = 2,
};

struct labour_job {
    struct enclave_effect effect;
    const struct enclave_keys *keys;
    uint8_t *bytes; /* a chunk's, our copy */
    enum err err;   /* it could not be taken on */
    struct worker_reply reply;
};

/* A ring: from `first` to `next` done, from there to `end` not yet. */
struct labour {
    struct worker *worker;
    int done; /* an eventfd */
    pthread_mutex_t lock;
    pthread_cond_t given, idle;
    bool busy, ended;
    struct labour_job job[LABOUR_JOBS_MAX];
    uint64_t first, next, end;
};

static struct labour_job *job_at(struct labour *l, uint64_t index)
{
    return &l->job[index % LABOUR_JOBS_MAX];
}

static void do_job(struct worker *w, struct labour_job *job)
{
    job->reply = (struct worker_reply){.err = job->err};
    if (job->err == OK) worker_execute(w, &job->reply, &job->effect, job->keys);
    free(job->bytes); /* ciphertext */
}

static void tell(const struct labour *l)
{
    const uint64_t one = 1;
    const ssize_t written = write(l->done, &one, sizeof one);
    if (written != sizeof one) panic(__FILE__, __LINE__, "an answer could not be told");
}

/* Until the process ends. */
static void *labour(void *context)
{
    struct labour *l = context;
    (void)pthread_mutex_lock(&l->lock);
    for (;;) {
        while (l->next == l->end || l->ended) (void)pthread_cond_wait(&l->given, &l->lock);
        struct labour_job *job = job_at(l, l->next);
        l->busy = true;
        (void)pthread_mutex_unlock(&l->lock);
        do_job(l->worker, job);
        (void)pthread_mutex_lock(&l->lock);
        l->busy = false;
        l->next++;
        tell(l);
        (void)pthread_cond_signal(&l->idle);
    }
    return NULL;
}

enum err labour_new(struct labour **out, struct worker *worker)
{
    struct labour *l = calloc(1, sizeof *l);
    *out = l;
    if (l == NULL) return ERR_NO_MEMORY;
    l->worker = worker;
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_cond_init(&l->given, NULL);
    (void)pthread_cond_init(&l->idle, NULL);
    l->done = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    return l->done >= 0 ? OK : ERR_NO_MEMORY;
}

enum err labour_start(struct labour *l)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, labour, l) == 0 && pthread_detach(thread) == 0 ? OK : ERR_NO_MEMORY;
}

static void keep_bytes(struct labour_job *job)
{
    const struct span bytes = job->effect.bytes;
    if (job->effect.type != ENCLAVE_INPUT_CHUNK || bytes.len == 0) return;
    job->bytes = malloc(bytes.len);
    if (job->bytes == NULL) {
        job->err = ERR_NO_MEMORY;
        return;
    }
    memcpy(job->bytes, bytes.data, bytes.len);
    job->effect.bytes = span_make(job->bytes, bytes.len);
}

void labour_give(struct labour *l, const struct enclave_effect *effect, const struct enclave_keys *keys)
{
    (void)pthread_mutex_lock(&l->lock);
    ASSERT(l->end - l->first < LABOUR_JOBS_MAX);
    struct labour_job *job = job_at(l, l->end++);
    *job = (struct labour_job){.effect = *effect, .keys = keys};
    keep_bytes(job);
    (void)pthread_cond_signal(&l->given);
    (void)pthread_mutex_unlock(&l->lock);
}

static bool computes(struct labour *l)
{
    return l->busy && job_at(l, l->next)->effect.type == ENCLAVE_COMPUTE;
}

bool labour_end(struct labour *l)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LABOUR_END_SECONDS;
    (void)pthread_mutex_lock(&l->lock);
    l->ended = true;
    int waited = 0;
    while (l->busy && !computes(l) && waited == 0)
        waited = pthread_cond_clockwait(&l->idle, &l->lock, CLOCK_MONOTONIC, &until);
    for (; l->first != l->next; l->first++) worker_reply_free(&job_at(l, l->first)->reply); /* wiped, too */
    const bool ended = !l->busy;
    (void)pthread_mutex_unlock(&l->lock);
    return ended;
}

int labour_fd(const struct labour *l)
{
    return l->done;
}

void labour_answer(struct labour *l, uint64_t *token, struct worker_reply *reply)
{
    uint64_t one;
    const ssize_t got = read(l->done, &one, sizeof one);
    if (got != sizeof one) panic(__FILE__, __LINE__, "an answer could not be taken");
    (void)pthread_mutex_lock(&l->lock);
    const struct labour_job *job = job_at(l, l->first++);
    *token = job->effect.token;
    *reply = job->reply;
    (void)pthread_mutex_unlock(&l->lock);
}
