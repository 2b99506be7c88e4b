#include "node/share_watch.h"

#include "node/log.h"
#include "proto/charter.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void share_watch_begin(struct share_watch *w, uv_loop_t *loop, const struct home *home)
{
    *w = (struct share_watch){.loop = loop, .home = home};
    w->work.data = w;
}

static bool expected_of(struct key_shares *out, const struct share_watch *w, const struct registry *r)
{
    const struct committee *committee = registry_committee(r);
    const struct charter *charter = registry_charter_bytes(r);
    const int seat = charter != NULL ? charter_custodian(charter, w->home->node) : -1;
    return committee != NULL && seat >= 0 && key_shares_of(out, &committee->body, (uint32_t)seat);
}

static struct share_stamp stamp_of(const struct share_watch *w, uint32_t epoch, uint32_t purpose)
{
    char path[PATH_MAX];
    struct stat s;
    key_shares_path(path, w->home, (struct work_place){WORK_SHARE, epoch, purpose});
    if (stat(path, &s) != 0) return (struct share_stamp){0};
    return (struct share_stamp){s.st_dev, s.st_ino, (uint64_t)s.st_size, s.st_mode, s.st_mtim, s.st_ctim};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_stamp(const struct share_stamp *a, const struct share_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->mode == b->mode &&
           same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

/* Notes what is to be looked at. False: nothing is new. */
static bool is_due(struct share_watch *w, const struct registry *r)
{
    struct key_shares expected;
    if (!expected_of(&expected, w, r)) {
        w->expecting = false;
        w->err = OK;
        return false;
    }
    bool due = !w->expecting || memcmp(&expected, &w->expected, sizeof expected) != 0;
    for (uint32_t i = 0; i < KEYGEN_PURPOSES; i++) {
        const struct share_stamp now = stamp_of(w, expected.epoch, i + 1);
        due |= !same_stamp(&now, &w->stamp[i]);
        w->stamp[i] = now;
    }
    w->expecting = true;
    w->expected = expected;
    return due;
}

static void settle(struct share_watch *w)
{
    const bool was_bad = w->err != OK, is_bad = w->work_err != OK;
    w->err = w->work_err;
    memcpy(w->fault, w->work_fault, sizeof w->fault);
    if (is_bad)
        log_say(LOG_KEYS_SHARE_BAD, "%s", w->fault);
    else if (was_bad)
        log_say(LOG_KEYS_SHARES_GOOD, "this seat's shares of both keys are there again");
}

static void on_work(uv_work_t *work)
{
    struct share_watch *w = work->data;
    w->work_fault[0] = 0;
    w->work_err = key_shares_check(w->home, &w->expected, w->work_fault, sizeof w->work_fault);
}

static void on_done(uv_work_t *work, int status)
{
    struct share_watch *w = work->data;
    w->busy = false;
    if (status == 0 && w->expecting) settle(w);
}

void share_watch_settle(struct share_watch *w, const struct registry *r)
{
    if (!is_due(w, r)) return;
    on_work(&w->work);
    settle(w);
}

void share_watch_look(struct share_watch *w, const struct registry *r)
{
    if (w->busy || !is_due(w, r)) return;
    w->busy = uv_queue_work(w->loop, &w->work, on_work, on_done) == 0;
}
