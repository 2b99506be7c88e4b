/* What the command line does with what a node answers, or whoever has the socket that it was told is one: any bytes, cut into any
 * reads. The first byte chooses: one answer, or an event stream to follow; the second into what pieces they are written. What is
 * taken for an answer has a status, what is no answer is an error; nothing but a whole event is told, and no outcome depends on
 * the pieces. */
#include "node/http.h"
#include "proto/base/panic.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { INPUT_MAX = 1 << 16, REQUEST_MAX = 4096, TOLD_MAX = 1 << 15 };

static char folder[64], path[96];
static int listener = -1;
static struct span served; /* by the next connection, which says when it is done with it */
static sem_t done;
static size_t piece;

/* --- The other end ------------------------------------------------------------------------------------------------------------ */

static void read_request(int fd)
{
    char request[REQUEST_MAX + 1];
    size_t len = 0;
    for (ssize_t got = 1; got > 0 && len < REQUEST_MAX;) {
        got = read(fd, request + len, REQUEST_MAX - len);
        len += got > 0 ? (size_t)got : 0;
        request[len] = 0;
        if (strstr(request, "\r\n\r\n") != NULL) return;
    }
}

static void *serve(void *nothing)
{
    for (;;) {
        const int fd = accept(listener, NULL, NULL);
        if (fd < 0) return nothing;
        read_request(fd);
        for (struct span left = served; left.len > 0;) {
            const size_t len = left.len < piece ? left.len : piece;
            const ssize_t sent = send(fd, left.data, len, MSG_NOSIGNAL);
            if (sent <= 0) break; /* it has had enough */
            left = span_make(left.data + sent, left.len - (size_t)sent);
        }
        (void)close(fd);
        ASSERT(sem_post(&done) == 0);
    }
}

static void remove_socket(void)
{
    (void)unlink(path);
    (void)rmdir(folder);
}

static void open_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    (void)snprintf(folder, sizeof folder, "/dev/shm/perigee-fuzz-XXXXXX");
    ASSERT(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/socket", folder);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    (void)atexit(remove_socket);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    ASSERT(sem_init(&done, 0, 0) == 0 && listen(listener, 4) == 0 &&
           pthread_create(&thread, NULL, serve, NULL) == 0);
}

/* --- One outcome -------------------------------------------------------------------------------------------------------------- */

struct outcome {
    enum err err;
    int status;
    json_t *body;
    uint8_t told[TOLD_MAX]; /* events: id, type, data, each with its end */
    size_t told_len;
};

static void note(struct outcome *o, const char *text)
{
    const size_t len = strlen(text) + 1;
    if (o->told_len + len > TOLD_MAX) return;
    memcpy(o->told + o->told_len, text, len);
    o->told_len += len;
}

static bool event(void *context, const char *id, const char *type, const char *data)
{
    ASSERT(strlen(id) < 64 && strchr(data, '\n') == NULL && strchr(type, '\n') == NULL);
    note(context, id);
    note(context, type);
    note(context, data);
    return strcmp(data, "enough") != 0;
}

static void call(struct outcome *o, bool follow)
{
    memset(o, 0, sizeof *o);
    struct http_target target = {.socket_path = path};
    const struct http_follower follower = {event, o};
    if (follow)
        o->err = http_follow(&target, "/v1/events", NULL, &follower, &o->status, &o->body);
    else
        o->err = http_call_to(&target, "GET", "/v1/status", NULL, &o->status, &o->body);
    while (sem_wait(&done) != 0) continue; /* only a signal is in the way */
    if (o->err == OK) ASSERT(o->status >= 100 && o->status < 600);
    ASSERT(o->body == NULL || o->err == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct outcome whole, cut;
    if (len < 2 || len > INPUT_MAX) return 0;
    if (listener < 0) open_socket();
    const bool follow = (bytes[0] & 1) != 0;
    served = span_make(bytes + 2, len - 2);
    piece = served.len + 1;
    call(&whole, follow);
    piece = (size_t)1 + bytes[1] * (size_t)bytes[1];
    if (served.len / piece > 512) piece = served.len / 512; /* a read costs more than a byte */
    call(&cut, follow);
    ASSERT(whole.err == cut.err && whole.status == cut.status && (whole.body == NULL) == (cut.body == NULL));
    ASSERT(whole.told_len == cut.told_len && memcmp(whole.told, cut.told, whole.told_len) == 0);
    if (whole.body != NULL) ASSERT(json_equal(whole.body, cut.body));
    json_decref(whole.body);
    json_decref(cut.body);
    return 0;
}
