/* share_watch: are this custodian's key shares where a release will look for them? Known before one is asked for.
 * Rules: what should be there follows from the committee in force and this node's seat. Looked at when that changes, and when the
 * files' stamps do: at each beat two calls of stat, and a file is opened only when there is something new to see. So what a disk
 * changes without a word is seen at the next start. One line of the log for each change of the answer.
 * Threads: the loop's; a file is opened on one of libuv's, but for the first look. Ownership: the home is borrowed. */
#ifndef PERIGEE_NODE_SHARE_WATCH_H
#define PERIGEE_NODE_SHARE_WATCH_H

#include "node/key_shares.h"

#include <time.h>
#include <uv.h>

enum { SHARE_WATCH_FAULT_BYTES = 300 };

struct share_stamp { /* all zero: it cannot be seen */
    uint64_t device, inode, size, mode;
    struct timespec modified, changed;
};
struct share_watch {
    uv_loop_t *loop;
    const struct home *home;
    bool expecting; /* a seat in a committee in force */
    struct key_shares expected;
    struct share_stamp stamp[KEYGEN_PURPOSES]; /* of what was looked at last, or is now */
    enum err err;                              /* of the last look; OK before */
    char fault[SHARE_WATCH_FAULT_BYTES];       /* what is wrong, when err says so */
    bool busy;                                 /* a look on another thread goes on */
    uv_work_t work;
    enum err work_err;
    char work_fault[SHARE_WATCH_FAULT_BYTES];
};

void share_watch_begin(struct share_watch *w, uv_loop_t *loop, const struct home *home);
/* The first look, here and now: nothing is served yet. */
void share_watch_settle(struct share_watch *w, const struct registry *r);
/* At each beat. While `busy` the loop must go on and `w` stay. */
void share_watch_look(struct share_watch *w, const struct registry *r);

#endif
