#include "node/daemon_state.h"
#include "node/fault.h"
#include "node/log.h"
#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

/* --- Links --------------------------------------------------------------------------------------------------- */

/* A peer that does not read can cause as many of these as there is to say: one line a second tells how many. */
static void log_full_queue(struct daemon *d)
{
    uint64_t now = uv_now(&d->loop);
    d->unsent++;
    d->unsent_total++;
    if (now < d->unsent_said_ms + 1000) return;
    log_say(LOG_PEER_FULL, "a peer's queue is full; %u messages are repeated later", d->unsent);
    d->unsent = 0;
    d->unsent_said_ms = now;
}

static void x_send(void *context, struct node_id peer, struct span message)
{
    struct daemon *d = context;
    if (ID_EQUAL(peer, d->home.node)) {
        core_loop_feed(d->core, &(struct event){.type = EVENT_MESSAGE, .peer = peer, .bytes = message});
        return;
    }
    if (d->links == NULL || message.len == 0) return;
    enum err err = links_send(d->links, peer, message, message_bulk((enum message)message.data[0]));
    if (err == ERR_FULL) log_full_queue(d);
}

static void x_offence(void *context, struct node_id peer)
{
    struct daemon *d = context;
    if (d->links != NULL) links_offend(d->links, peer, "it sent what no honest node sends");
}

static void x_dial(void *context, struct node_id peer, struct span address)
{
    struct daemon *d = context;
    char text[CONTACT_ADDRESS_MAX + 1];
    ASSERT(address.len < sizeof text);
    memcpy(text, address.data, address.len);
    text[address.len] = 0;
    if (d->links == NULL) return;
    (void)(links_dial_for_now(d->links, text, peer) == OK); /* it has said so, and is asked for again */
}

static void x_hang_up(void *context, struct node_id peer)
{
    struct daemon *d = context;
    if (d->links != NULL) links_hang_up(d->links, peer);
}

/* --- Store and keyed work ------------------------------------------------------------------------------------------ */

static void x_store(void *context, uint64_t token, const struct keep *items, uint32_t count)
{
    core_loop_store(((struct daemon *)context)->core, token, items, count);
}

static void x_crypto(void *context, uint64_t token, const struct crypto_job *job)
{
    core_loop_crypto(((struct daemon *)context)->core, token, job);
}

void daemon_keyed(struct daemon *d, const struct crypto_job *job, keyed_done done, void *context)
{
    core_loop_keyed(d->core, job, done, context);
}

/* --- Blobs ------------------------------------------------------------------------------------------------------- */

static void blob_to_peer(struct daemon *d, struct node_id peer, struct span cid, enum refusal why,
                         struct span bytes)
{
    struct message_BLOB m = {cid, why, bytes};
    size_t cap = bytes.len + 128;
    uint8_t *memory = malloc(cap);
    if (memory == NULL) panic(__FILE__, __LINE__, "out of memory");
    struct buffer message = buffer_make(memory, cap);
    message_encode(&message, MESSAGE_BLOB_CODE, &m);
    x_send(d, peer, buffer_span(&message));
    free(memory);
}

static void blob_missing(struct daemon *d, struct run_id run, struct span cid)
{
    core_loop_feed(d->core, &(struct event){.type = EVENT_BLOB_MISSING, .run = run, .bytes = cid});
}

static void on_blob_for_peer(struct daemon *d, const struct blob_read *read)
{
    struct span bytes = SPAN_NONE;
    enum refusal why = read->err == OK            ? REFUSAL_NONE
                       : read->err == ERR_CORRUPT ? REFUSAL_INPUT_CORRUPT
                                                  : REFUSAL_INPUT_MISSING;
    if (read->err == ERR_CORRUPT)
        log_say(LOG_STORE_QUARANTINED,
                "a stored blob fails its hash and is quarantined: seal that dataset again");
    if (read->err == OK)
        bytes = span_make(read->bytes.data + BLOB_READ_HEADROOM, read->bytes.len - BLOB_READ_HEADROOM);
    blob_to_peer(d, read->peer, SPAN_OF(read->cid), why, bytes);
}

static void on_blob_for_enclave(struct daemon *d, const struct blob_read *read)
{
    if (read->err != OK) {
        blob_missing(d, read->run, SPAN_OF(read->cid));
        return;
    }
    read->bytes.data[0] = FRAME_BLOB;
    memcpy(read->bytes.data + 1, read->cid, sizeof read->cid);
    read->bytes.data[37] = 1;
    enclave_host_send(d->enclaves, read->run, buffer_span(&read->bytes));
}

void daemon_on_blob(void *context, struct blob_read *read)
{
    struct daemon *d = context;
    if (d->stopping) return;
    if (ID_IS_ZERO(read->peer))
        on_blob_for_enclave(d, read);
    else
        on_blob_for_peer(d, read);
}

static void x_send_blob(void *context, struct node_id peer, struct span cid, struct span manifests)
{
    struct daemon *d = context;
    struct run_id none = {{0}};
    ASSERT(cid.len == 36);
    if (blob_reads_ask(d->blobs, peer, none, cid.data, manifests) != OK)
        blob_to_peer(d, peer, cid, REFUSAL_FULL, SPAN_NONE);
}

static void x_enclave_blob(void *context, struct run_id run, struct span cid)
{
    struct daemon *d = context;
    struct node_id local = {{0}};
    if (cid.len != 36) return; /* the worker is not trusted to frame well */
    if (blob_reads_ask(d->blobs, local, run, cid.data, SPAN_NONE) != OK) blob_missing(d, run, cid);
}

/* --- Enclave, replies, notices -------------------------------------------------------------------------------------- */

static void x_enclave_start(void *context, struct run_id run, struct span frame)
{
    struct daemon *d = context;
    enum err err = d->enclaves != NULL ? enclave_host_start(d->enclaves, run, frame) : ERR_UNAVAILABLE;
    if (err == OK) return;
    log_say(LOG_ENCLAVE_NOT_STARTED,
            "an enclave could not be started (%s); `perigee status` shows how many run", err_text(err));
    core_loop_feed(d->core, &(struct event){.type = EVENT_ENCLAVE, .run = run, .bytes = SPAN_NONE});
}

static void x_enclave_send(void *context, struct run_id run, struct span frame)
{
    struct daemon *d = context;
    if (d->enclaves != NULL) enclave_host_send(d->enclaves, run, frame);
}

static void x_enclave_stop(void *context, struct run_id run)
{
    struct daemon *d = context;
    if (d->enclaves != NULL) enclave_host_stop(d->enclaves, run);
}

static void x_reply(void *context, uint64_t token, struct verdict verdict, struct hash32 id)
{
    struct daemon *d = context;
    struct waiting *w = &d->waiting[token % REPLIES_MAX];
    d->commands[verdict.refusal]++;
    if (w->token != token || w->done == NULL) return;
    daemon_done done = w->done;
    void *asker = w->context;
    *w = (struct waiting){0, NULL, NULL};
    done(asker, verdict, id);
}

static void x_notice(void *context, struct span line)
{
    (void)context;
    log_pass_on(LOG_OTHER, line);
}

void daemon_put_event(struct daemon *d, const char *type, const struct run_id *run, json_t *data)
{
    char text[EVENTS_DATA_MAX];
    const size_t len = json_dumpb(data, text, sizeof text - 1, JSON_COMPACT);
    json_decref(data);
    if (len == 0 || len >= sizeof text) return;
    text[len] = 0;
    events_put(d->events, type, run, text);
    api_events_wake(&d->followers, false);
}

static void put_record_event(struct daemon *d, const struct happened *what)
{
    struct run_id run;
    memcpy(run.bytes, what->id.bytes, sizeof run.bytes);
    daemon_put_event(
        d, "record", what->kind == KIND_RUN ? &run : NULL,
        json_pack("{s:o, s:s}", "record", api_hex32(what->id.bytes), "kind", kind_name(what->kind)));
}

static void put_run_event(struct daemon *d, const struct happened *what)
{
    daemon_put_event(d, "run", &what->run,
                     json_pack("{s:o, s:s, s:I}", "run", api_hex32(what->run.bytes), "state",
                               run_state_name((enum run_state)what->state), "term", (json_int_t)what->term));
}

static void x_happened(void *context, const struct happened *what)
{
    struct daemon *d = context;
    switch (what->type) {
    case HAPPENED_ANSWER: d->answers[what->ask][what->verdict.refusal]++; break;
    case HAPPENED_RECORD: put_record_event(d, what); break;
    case HAPPENED_RUN: put_run_event(d, what); break;
    }
}

void daemon_command(struct daemon *d, const struct command *command, daemon_done done, void *context)
{
    for (uint32_t tries = 0; tries < REPLIES_MAX; tries++) {
        uint64_t token = ++d->token_next;
        struct waiting *w = &d->waiting[token % REPLIES_MAX];
        if (w->done != NULL) continue;
        *w = (struct waiting){token, done, context};
        core_loop_feed(d->core, &(struct event){.type = EVENT_COMMAND, .token = token, .command = command});
        return;
    }
    done(context, verdict_refuse(REFUSAL_FULL, NULL), (struct hash32){{0}});
}

void daemon_executors_begin(struct daemon *d)
{
    d->executors =
        (struct pump_executors){d,        x_send,          x_offence,      x_send_blob,    x_store,
                                x_crypto, x_enclave_start, x_enclave_send, x_enclave_blob, x_enclave_stop,
                                x_dial,   x_hang_up,       x_reply,        x_notice,       x_happened};
}
