#include "proto/pump.h"

#include "proto/base/panic.h"

static void execute(const struct pump_executors *x, const struct effect *e)
{
    switch (e->type) {
    case EFFECT_SEND: x->send(x->context, e->peer, e->bytes); break;
    case EFFECT_OFFENCE: x->offence(x->context, e->peer); break;
    case EFFECT_SEND_BLOB: x->send_blob(x->context, e->peer, e->bytes, e->manifests); break;
    case EFFECT_STORE: x->store(x->context, e->token, e->keep, e->keep_count); break;
    case EFFECT_CRYPTO: x->crypto(x->context, e->token, &e->crypto); break;
    case EFFECT_ENCLAVE_START: x->enclave_start(x->context, e->run, e->bytes); break;
    case EFFECT_ENCLAVE_SEND: x->enclave_send(x->context, e->run, e->bytes); break;
    case EFFECT_ENCLAVE_BLOB: x->enclave_blob(x->context, e->run, e->bytes); break;
    case EFFECT_ENCLAVE_STOP: x->enclave_stop(x->context, e->run); break;
    case EFFECT_REPLY: x->reply(x->context, e->token, e->verdict, e->id); break;
    case EFFECT_DIAL: x->dial(x->context, e->peer, e->bytes); break;
    case EFFECT_HANG_UP: x->hang_up(x->context, e->peer); break;
    case EFFECT_NOTICE: x->notice(x->context, e->bytes); break;
    case EFFECT_HAPPENED:
        if (x->happened != NULL) x->happened(x->context, &e->happened);
        break;
    }
}

void pump_event(struct core *core, const struct pump_executors *executors, const struct event *event)
{
    uint32_t count;
    core_step(core, event);
    const struct effect *effects = core_effects(core, &count);
    for (uint32_t i = 0; i < count; i++) execute(executors, &effects[i]);
}
