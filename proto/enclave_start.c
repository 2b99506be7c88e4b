/* From START to evidence: the enclave believes nothing of what its host gives it but what follows from the consortium id,
 * which its evidence binds (DESIGN §9 "Enclave worker"). */
#include "proto/enclave_state.h"

#include "proto/receipt_room.h"
#include "proto/wire/pack.h"

#include <string.h>

static enum err read_start(struct enclave *e, struct span body, struct span *bundle)
{
    struct cursor c = cursor_make(body);
    TRY(unpack_array_of(&c, 5));
    TRY(unpack_fixed(&c, e->consortium.bytes, 32));
    TRY(unpack_fixed(&c, e->run.bytes, 32));
    TRY(unpack_uint(&c, UINT32_MAX, &e->term));
    TRY(unpack_bin(&c, CERTIFICATE_BYTES_MAX, &e->certificate_bytes));
    TRY(unpack_bin(&c, BUNDLE_BYTES_MAX, bundle));
    return cursor_end(&c);
}

/* Does the certificate elect somebody who may compute this run in this term? */
static struct verdict check_certificate(struct enclave *e)
{
    const struct body_RUN *run = &e->bundle->run->body;
    struct certificate *c = &e->certificate;
    if (certificate_decode(c, e->certificate_bytes) != OK ||
        certificate_check(c, registry_charter(e->bundle->registry)) != OK)
        return verdict_refuse(REFUSAL_CERTIFICATE, NULL);
    bool same = ID_EQUAL(c->run, e->run) && c->term == e->term && c->epoch == run->epoch &&
                ID_EQUAL(c->compose, run->compose) && c->slot == run->slot;
    if (!same) return verdict_refuse(REFUSAL_CERTIFICATE, c->run.bytes);
    return registry_check_node(e->bundle->registry, run, c->node);
}

/* The output goes to the requester of this run and to the readers its workflow names, each once. */
static void list_readers(struct enclave *e)
{
    struct node_id requester = e->bundle->run->record->header.author;
    e->reader[e->reader_count++] = requester;
    for (uint32_t i = 0; i < e->workflow->reader_count; i++)
        if (!ID_EQUAL(e->workflow->reader[i], requester))
            e->reader[e->reader_count++] = e->workflow->reader[i];
}

static struct verdict check_readers(const struct enclave *e)
{
    for (uint32_t i = 0; i < e->reader_count; i++)
        if (registry_member(e->bundle->registry, e->reader[i]) == NULL)
            return verdict_refuse(REFUSAL_NOT_MEMBER, e->reader[i].bytes);
    return VERDICT_OK;
}

static struct verdict judge(struct enclave *e, struct span bundle)
{
    struct verdict v;
    enum err err = bundle_open(&e->bundle, &v, e->arena, bundle, e->consortium, e->wall_ms);
    if (err == ERR_REFUSED) return v;
    if (err != OK) return verdict_refuse(err == ERR_NO_MEMORY ? REFUSAL_FULL : REFUSAL_MALFORMED, NULL);
    if (!ids_equal(e->bundle->run->record->id.bytes, e->run.bytes))
        return verdict_refuse(REFUSAL_UNKNOWN_RUN, e->run.bytes);
    e->workflow = e->bundle->workflow->workflow;
    v = check_certificate(e);
    list_readers(e);
    if (v.refusal == REFUSAL_NONE) v = check_readers(e);
    const struct receipt_parts_count parts = {run_input_count(&e->bundle->run->body), e->reader_count,
                                              registry_veto_count(e->bundle->registry, &e->bundle->run->body),
                                              e->bundle->record_count, e->certificate_bytes.len};
    bool fits = receipt_room_fits(registry_charter(e->bundle->registry), e->workflow, &parts);
    if (v.refusal == REFUSAL_NONE && !fits) v = verdict_refuse(REFUSAL_RECEIPT_ROOM, NULL);
    return v;
}

static bool add_party(struct enclave *e, uint8_t number, struct node_id node, const struct kem_public *kem)
{
    struct party *c = &e->party[e->party_count++];
    *c = (struct party){.number = number, .node = node, .kem = *kem};
    c->answer = arena_take(e->arena, ANSWER_BYTES_MAX, 1);
    return c->answer != NULL;
}

/* Of an input under a veto: a party to its key. */
static bool add_owner(struct enclave *e, uint32_t input)
{
    struct dt dt = run_input_at(&e->bundle->run->body, input).dt;
    const struct asset *a = registry_asset(e->bundle->registry, dt);
    const struct member *owner = NULL;
    if (a != NULL)
        owner = registry_member(e->bundle->registry, registry_holder(e->bundle->registry, a->owner));
    ASSERT(owner != NULL); /* registry_check_run looked */
    return add_party(e, (uint8_t)(VETO_PARTY + input), owner->node, &owner->kem);
}

static bool take_parties(struct enclave *e)
{
    const struct charter *charter = registry_charter(e->bundle->registry);
    const struct body_RUN *run = &e->bundle->run->body;
    e->custodian_count = charter->custodian_count;
    for (uint32_t i = 0; i < e->custodian_count; i++) {
        const struct charter_member *m = &charter->member[charter->custodian[i]];
        if (!add_party(e, (uint8_t)i, m->node, &m->kem)) return false;
    }
    for (uint32_t i = 0; i < run_input_count(run); i++)
        if (registry_vetoed(e->bundle->registry, run, i) && !add_owner(e, i)) return false;
    e->input_count = run_input_count(run);
    e->keys = (struct enclave_keys){.committee = registry_committee(e->bundle->registry),
                                    .charter = charter,
                                    .input_count = e->input_count,
                                    .parameters = run->parameters,
                                    .app = run->app,
                                    .compose = run->compose,
                                    .prf_input = HASH_FRAMED("perigee/noise/v1", ID_SPAN(e->run)),
                                    .run = e->run};
    for (uint32_t i = 0; i < e->input_count; i++) {
        e->input[i].named = run_input_at(run, i);
        e->input[i].asset = registry_asset(e->bundle->registry, e->input[i].named.dt);
        ASSERT(e->input[i].asset != NULL); /* registry_check_run looked */
        e->keys.ddo[i] = e->input[i].asset->ddo;
    }
    return true;
}

/* --- Evidence -------------------------------------------------------------------------------------------------------- */

static void on_evidence(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    (void)work;
    if (event->err != OK || event->bytes.len == 0 || event->bytes.len > 16384) {
        enclave_fail(e, REFUSAL_ENCLAVE);
        return;
    }
    if (!enclave_keep(e, &e->evidence, event->bytes)) return;
    enclave_state_frame(e, RUN_ATTESTED);
    enclave_manifests(e);
}

static void on_keys(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    (void)work;
    if (event->err != OK || event->bytes.len != 96) {
        enclave_fail(e, REFUSAL_ENCLAVE);
        return;
    }
    memcpy(e->signing.bytes, event->bytes.data, 32);
    memcpy(e->kem.bytes, event->bytes.data + 32, 32);
    memcpy(e->challenge.bytes, event->bytes.data + 64, 32);
    e->binding = enclave_binding(e->consortium, e->run, e->term, e->workflow->hash,
                                 certificate_hash(e->certificate_bytes), e->signing, e->kem);
    enclave_ask(e, ENCLAVE_EVIDENCE, on_evidence, 0)->hash = e->binding;
}

/* --- Signatures ------------------------------------------------------------------------------------------------------ */

static void on_verified(struct enclave *e, const struct work *work, const struct enclave_event *event)
{
    (void)work;
    if (event->err == OK) {
        (void)enclave_ask(e, ENCLAVE_KEYS, on_keys, 0);
        return;
    }
    bool vote = event->bytes.len == 4 && load_u32(event->bytes.data) >= e->bundle->check_count;
    enclave_fail(e, vote ? REFUSAL_CERTIFICATE : REFUSAL_MALFORMED);
}

/* The bundle's, then the votes. */
static void verify_all(struct enclave *e)
{
    uint32_t records = e->bundle->check_count, votes = e->certificate.vote_count;
    struct signature_check *check = ARENA_ARRAY(e->arena, struct signature_check, records + votes);
    if (check == NULL) {
        enclave_fail(e, REFUSAL_FULL);
        return;
    }
    struct hash32 message = certificate_vote_hash(&e->certificate);
    memcpy(check, e->bundle->check, records * sizeof *check);
    for (uint32_t i = 0; i < votes; i++)
        check[records + i] = (struct signature_check){e->party[e->certificate.custodian[i]].node, message,
                                                      e->certificate.vote[i], e->bundle->check[0].link};
    struct enclave_effect *effect = enclave_ask(e, ENCLAVE_VERIFY, on_verified, 0);
    effect->check = check;
    effect->check_count = records + votes;
}

void enclave_start(struct enclave *e, struct span body)
{
    struct span kept, bundle;
    if (e->phase != PHASE_NEW) return;
    if (body.len > BUNDLE_BYTES_MAX + 8192 || !enclave_keep(e, &kept, body)) {
        enclave_fail(e, REFUSAL_FULL);
        return;
    }
    struct verdict v =
        read_start(e, kept, &bundle) == OK ? judge(e, bundle) : verdict_refuse(REFUSAL_MALFORMED, NULL);
    if (v.refusal == REFUSAL_NONE && !take_parties(e)) v = verdict_refuse(REFUSAL_FULL, NULL);
    if (v.refusal != REFUSAL_NONE) {
        enclave_fail(e, v.refusal);
        return;
    }
    e->phase = PHASE_STARTING;
    verify_all(e);
}
