/* attack: what the kinds of tests/integration/attack.c share: sockets, links spoken by hand, and what was counted. */
#ifndef PERIGEE_TESTS_INTEGRATION_ATTACK_H
#define PERIGEE_TESTS_INTEGRATION_ATTACK_H

#include "crypto/noise.h"
#include "node/home.h"
#include "node/link_frame.h"
#include "proto/record.h"

#include <signal.h>

enum { HELD_MAX = 64 };

struct attack {
    struct home home;
    uint16_t port;
    uint8_t from;
    const char *argument;
    char **more;
    struct node_id victim; /* who answered the handshake */
    uint64_t sent, links, dropped, refused;
    uint64_t seq; /* of the last record of its own chain */
    struct record_id head;
    uint8_t held[32 * HELD_MAX]; /* ids of records that the victim holds */
    size_t held_len;
};

struct wire {
    int fd;
    struct noise *noise;
    uint8_t in[2 * (LINK_LENGTH_BYTES + LINK_FRAME_MAX)], plain[LINK_FRAME_MAX];
    size_t in_len, used; /* `used`: of the frame the last message was in */
    struct link_pieces pieces;
    uint8_t *record; /* a copy of what is sent goes here, if anywhere: up to REPLAY_BYTES */
    size_t record_len;
};
enum { REPLAY_BYTES = 4096 };

extern volatile sig_atomic_t stopped;

uint64_t wall_ms(void);
void pause_ms(long ms);
int die(const char *what);

/* From its address to the victim; -1: not now. */
int dial(const struct attack *a);
/* False when the other side has ended it. What it says meanwhile is thrown away, unless `deaf`. */
bool put(struct wire *w, const void *bytes, size_t len, bool deaf);

/* Hello, answer, finish. `replay` receives what was sent. */
bool wire_open(struct wire *w, struct attack *a, struct consortium_id consortium, uint8_t *replay);
/* Others may have used up what the victim lets in for now: whoever is honest comes again, and so does this. */
void wire_open_patiently(struct wire *w, struct attack *a, uint8_t *replay);
void wire_close(struct wire *w);
bool wire_piece(struct wire *w, uint8_t flags, struct span bytes, bool deaf);
bool wire_send(struct wire *w, struct span message, bool deaf);
/* The next message; it lives until the next call. Empty: the link has ended, or nothing came in time. */
struct span wire_receive(struct wire *w);
/* Has it said something that was not received yet? */
bool wire_waits(const struct wire *w, int ms);

/* Says what `next` makes until the link ends, and comes again. */
void flood(struct attack *a, bool deaf, bool (*next)(struct attack *a, struct wire *w, bool deaf));
/* A request to join of a fresh key; a forged one is not signed. */
bool send_join(struct attack *a, struct wire *w, bool forged, bool deaf);

/* Kinds of attack_spread.c. */
void attack_promises(struct attack *a);
void attack_wants(struct attack *a);
void attack_roots(struct attack *a);
void attack_branches(struct attack *a);
void attack_unasked(struct attack *a);
void attack_pairs(struct attack *a);

#endif
