/* pump: hands a core's effects, in order, to a table of executors. The daemon and the simulator differ only in the table.
 * Executors never call back into the core: what they finish later comes in as an event. Pure. */
#ifndef PERIGEE_PROTO_PUMP_H
#define PERIGEE_PROTO_PUMP_H

#include "proto/core.h"

struct pump_executors {
    void *context;
    void (*send)(void *context, struct node_id peer, struct span message);
    void (*offence)(void *context, struct node_id peer);
    void (*send_blob)(void *context, struct node_id peer, struct span cid, struct span manifests);
    void (*store)(void *context, uint64_t token, const struct keep *items, uint32_t count);
    void (*crypto)(void *context, uint64_t token, const struct crypto_job *job);
    void (*enclave_start)(void *context, struct run_id run, struct span frame);
    void (*enclave_send)(void *context, struct run_id run, struct span frame);
    void (*enclave_blob)(void *context, struct run_id run, struct span cid);
    void (*enclave_stop)(void *context, struct run_id run);
    void (*dial)(void *context, struct node_id peer, struct span address);
    void (*hang_up)(void *context, struct node_id peer);
    void (*reply)(void *context, uint64_t token, struct verdict verdict, struct hash32 id);
    void (*notice)(void *context, struct span line);
    void (*happened)(void *context, const struct happened *what); /* NULL where nobody watches */
};

/* Step the core with one event and execute what it asks for. */
void pump_event(struct core *core, const struct pump_executors *executors, const struct event *event);

#endif
