/* core_loop: a core on a libuv loop, with its store and its keyed work. The daemon and the ingest benchmark are two users of
 * this one path; what they add is the rest of the pump's table (links, enclaves, answers, log).
 * The table's `store` and `crypto` call core_loop_store and core_loop_crypto; completions come back to the core as events,
 * in the order the store and the pool finish them. What is asked for without a token is done quietly.
 * Ticks come when the core asks for one, and as soon as any event makes it ask sooner.
 * Events that come while the core steps wait their turn. Loop thread only. Out of memory is the end of the program. */
#ifndef PERIGEE_NODE_CORE_LOOP_H
#define PERIGEE_NODE_CORE_LOOP_H

#include "node/keyed_pool.h"
#include "node/recorder.h"
#include "proto/pump.h"
#include "storage/store.h"

struct core_loop;

struct core_loop_options {
    uv_loop_t *loop;
    const struct home *home; /* keys; NULL for a core that signs nothing */
    struct store *store;
    const struct core_options *core;
    const struct pump_executors *executors; /* copied */
    /* A line for people, with the table's context: something failed that nobody waits for. Any thread. */
    void (*log)(void *context, const char *line);
    struct recorder *recorder; /* closed with the loop; NULL: nothing is recorded */
};

MUST_USE enum err core_loop_open(struct core_loop **out, const struct core_loop_options *options);
/* Ticks from now on, until they end: before the loop is closed. */
void core_loop_begin_ticks(struct core_loop *l);
void core_loop_end_ticks(struct core_loop *l);
/* Step the core with this event, now or after the step that is going on; `now` and `wall_ms` are filled in. */
void core_loop_feed(struct core_loop *l, const struct event *event);
void core_loop_store(struct core_loop *l, uint64_t token, const struct keep *items, uint32_t count);
void core_loop_crypto(struct core_loop *l, uint64_t token, const struct crypto_job *job);
/* Keyed work for somebody else than the core. */
void core_loop_keyed(struct core_loop *l, const struct crypto_job *job, keyed_done done, void *context);
struct core *core_loop_core(struct core_loop *l);
uint32_t core_loop_in_flight(const struct core_loop *l); /* keyed work and stores that answer */
/* How the last batch ended that the disk had a say in: OK, ERR_FULL, ERR_IO, ... */
enum err core_loop_store_error(const struct core_loop *l);
uint32_t core_loop_keyed_in_flight(const struct core_loop *l); /* keyed work alone */
/* What is stored quietly and found no room in the store's queue yet goes there: waits. Before the store is closed. */
void core_loop_flush(struct core_loop *l);
/* Nothing may be in flight and the store must be closed (its thread may still speak of what is stored quietly): the caller
 * runs the loop until then, and afterwards until the handles are closed; then all memory is gone. */
void core_loop_close(struct core_loop *l);

struct instant core_loop_now(void); /* runs on while the machine sleeps: leases do, too */
uint64_t core_loop_wall_ms(void);

#endif
