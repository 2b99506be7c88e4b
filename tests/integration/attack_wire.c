#include "crypto/identity.h"
#include "crypto/kem.h"
#include "tests/integration/attack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000, TRIES = 400 };

volatile sig_atomic_t stopped;

void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

int die(const char *what)
{
    (void)fprintf(stderr, "attack: %s\n", what);
    exit(1);
}

/* --- Sockets -------------------------------------------------------------------------------------------------------------- */

int dial(const struct attack *a)
{
    struct sockaddr_in own = {.sin_family = AF_INET},
                       to = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    own.sin_addr.s_addr = htonl(0x7f000000U | a->from);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&own, sizeof own) == 0 &&
        connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    if (fd >= 0) (void)close(fd);
    return -1;
}

bool put(struct wire *w, const void *bytes, size_t len, bool deaf)
{
    static uint8_t away[1 << 16];
    for (size_t done = 0; done < len && !stopped;) {
        struct pollfd p = {w->fd, (short)(POLLOUT | (deaf ? 0 : POLLIN)), 0};
        if (poll(&p, 1, 100) <= 0) continue;
        if ((p.revents & (POLLERR | POLLHUP)) != 0) return false;
        if ((p.revents & POLLIN) != 0 && recv(w->fd, away, sizeof away, MSG_DONTWAIT) == 0) return false;
        if ((p.revents & POLLOUT) == 0) continue;
        ssize_t step = send(w->fd, (const uint8_t *)bytes + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (step < 0 && errno != EAGAIN) return false;
        if (step > 0) done += (size_t)step;
    }
    return !stopped;
}

static bool get(int fd, void *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, PATIENCE_MS) <= 0) return false;
        ssize_t step = recv(fd, (uint8_t *)bytes + done, len - done, 0);
        if (step <= 0) return false;
        done += (size_t)step;
    }
    return true;
}

/* --- A link ---------------------------------------------------------------------------------------------------------------- */

void wire_close(struct wire *w)
{
    if (w->fd >= 0) (void)close(w->fd);
    noise_free(w->noise);
    link_pieces_free(&w->pieces);
    *w = (struct wire){.fd = -1};
}

static bool wire_put(struct wire *w, struct span content, bool deaf)
{
    static uint8_t frame[LINK_LENGTH_BYTES + LINK_FRAME_MAX];
    store_u32(frame, (uint32_t)content.len);
    memcpy(frame + LINK_LENGTH_BYTES, content.data, content.len);
    size_t len = LINK_LENGTH_BYTES + content.len;
    if (w->record != NULL && w->record_len + len <= REPLAY_BYTES) {
        memcpy(w->record + w->record_len, frame, len);
        w->record_len += len;
    }
    return put(w, frame, len, deaf);
}

bool wire_open(struct wire *w, struct attack *a, struct consortium_id consortium, uint8_t *replay)
{
    uint8_t prologue[LINK_PROLOGUE_MAX], proof[LINK_PROOF_BYTES], room[512],
        answer[LINK_LENGTH_BYTES + LINK_ANSWER_BYTES];
    struct buffer out = BUFFER_OF(room);
    struct kem_public key;
    struct link_public own;
    *w = (struct wire){.fd = dial(a), .record = replay};
    if (w->fd < 0) return false;
    kem_public_of(&key, a->home.link);
    memcpy(own.bytes, key.bytes, sizeof own.bytes);
    if (link_proof_make(proof, a->home.identity, a->home.node, consortium, own) != OK ||
        noise_new(&w->noise, true, a->home.link, link_prologue(prologue, consortium)) != OK ||
        noise_write(w->noise, &out, SPAN_NONE) != OK)
        die("no handshake could be made");
    bool good = wire_put(w, buffer_span(&out), true) && get(w->fd, answer, sizeof answer);
    out.len = 0;
    good = good &&
           noise_read(w->noise, &out, span_make(answer + LINK_LENGTH_BYTES, LINK_ANSWER_BYTES)) == OK &&
           link_proof_check(&a->victim, buffer_span(&out), consortium, noise_remote(w->noise)) == OK;
    out.len = 0;
    good = good && noise_write(w->noise, &out, SPAN_OF(proof)) == OK && wire_put(w, buffer_span(&out), true);
    if (!good) wire_close(w);
    return good;
}

void wire_open_patiently(struct wire *w, struct attack *a, uint8_t *replay)
{
    for (int tries = 0; tries < TRIES && !stopped; tries++, pause_ms(50)) {
        if (wire_open(w, a, a->home.consortium, replay)) return;
        a->refused++;
    }
    die("no link");
}

bool wire_piece(struct wire *w, uint8_t flags, struct span bytes, bool deaf)
{
    static uint8_t plain[LINK_FRAME_MAX], sealed[LINK_FRAME_MAX];
    plain[0] = flags;
    memcpy(plain + 1, bytes.data, bytes.len);
    if (noise_encrypt(w->noise, sealed, span_make(plain, 1 + bytes.len)) != OK) die("a frame does not close");
    return wire_put(w, span_make(sealed, 1 + bytes.len + NOISE_TAG_BYTES), deaf);
}

bool wire_send(struct wire *w, struct span message, bool deaf)
{
    const uint8_t lane = message_bulk((enum message)message.data[0]) ? LINK_BULK : 0;
    for (size_t at = 0; at < message.len;) {
        size_t len = message.len - at < LINK_PIECE_MAX ? message.len - at : LINK_PIECE_MAX;
        uint8_t last = at + len == message.len ? LINK_LAST : 0;
        if (!wire_piece(w, lane | last, span_make(message.data + at, len), deaf)) return false;
        at += len;
    }
    return true;
}

struct span wire_receive(struct wire *w)
{
    struct span message = SPAN_NONE, frame;
    memmove(w->in, w->in + w->used, w->in_len - w->used);
    w->in_len -= w->used;
    w->used = 0;
    while (message.data == NULL && !stopped) {
        struct cursor c = cursor_make(span_make(w->in + w->used, w->in_len - w->used));
        enum err err = link_frame_next(&c, &frame, LINK_FRAME_MIN, LINK_FRAME_MAX);
        if (err == ERR_NOT_READY) {
            memmove(w->in, w->in + w->used, w->in_len - w->used);
            w->in_len -= w->used;
            w->used = 0;
            struct pollfd p = {w->fd, POLLIN, 0};
            ssize_t step = poll(&p, 1, PATIENCE_MS) == 1
                               ? recv(w->fd, w->in + w->in_len, sizeof w->in - w->in_len, 0)
                               : 0;
            if (step <= 0) return SPAN_NONE;
            w->in_len += (size_t)step;
            continue;
        }
        if (err != OK || noise_decrypt(w->noise, w->plain, frame) != OK ||
            link_pieces_add(&w->pieces, &message, span_make(w->plain, frame.len - NOISE_TAG_BYTES)) != OK)
            return SPAN_NONE;
        w->used += LINK_LENGTH_BYTES + frame.len;
    }
    return message;
}

bool wire_waits(const struct wire *w, int ms)
{
    struct pollfd p = {w->fd, POLLIN, 0};
    return w->in_len > w->used || poll(&p, 1, ms) == 1;
}
