/* People who have another program sign with their node's key what the node itself would refuse, and give it to the node, which passes it on
 * as any record of its own: a requester that asks for runs in slots that are spent, or that nobody allotted; a maker that admits keys
 * that it made up, as many as it likes; somebody who publishes receipts of others with a bit changed. Their chains are whole, so what is
 * wrong with a record is for every other node to see.
 * None of them has a node that signs of its own accord (one that computes, or a custodian), or two records might meet in one place. */
#include "sim/simulation_state.h"

#include "crypto/identity.h"
#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

enum { BEYOND_MOST = 8 };

static void note(struct station *n, struct record_id id)
{
    n->bypassed = realloc(n->bypassed, (n->bypassed_count + 1) * sizeof *n->bypassed);
    ASSERT(n->bypassed != NULL);
    n->bypassed[n->bypassed_count++] = id;
}

bool bypass_made(const struct station *n, struct record_id id)
{
    for (uint32_t i = 0; i < n->bypassed_count; i++)
        if (ID_EQUAL(n->bypassed[i], id)) return true;
    return false;
}

/* As the next of its chain. What it asks for it does not wait for: it is no run of the study. */
static void give(struct station *n, enum kind kind, const void *body)
{
    static uint8_t packed[CAP_HEADER_BYTES + CAP_BODY_BYTES + 128];
    struct record r;
    struct buffer b = BUFFER_OF(packed);
    struct header h = fault_header(n, n->player->id, kind);
    const struct author *own = chain_author(core_chain(n->core), n->player->id);
    h.seq = (own != NULL ? own->applied : 0) + 1;
    if (own != NULL) h.prev = own->head;
    (void)fault_record(&r, n, &n->player->secret, h, body);
    (void)ledger_take(&n->consortium->ledger, &r);
    if (kind == KIND_RUN) ledger_bypassed(&n->consortium->ledger, r.id);
    note(n, r.id);
    record_pack(&b, &r);
    ASSERT(!b.overflow);
    n->consortium->counts.bypassed++;
    script_command(n, DEED_BYPASS, &(struct command){.type = COMMAND_RECORD, .body = buffer_span(&b)});
}

/* --- Beyond the budget --------------------------------------------------------------------------------------------------------- */

/* As a run that somebody asked for, in its slot, of fewer inputs, or in one that was never allotted. */
static bool probe(struct station *n)
{
    const struct ledger *l = &n->consortium->ledger;
    struct chance *c = &n->rogue_chance;
    const struct run_entry *like =
        l->runs > 0 ? registry_run(core_registry(n->core), l->run[chance_below(c, l->runs)].run) : NULL;
    if (like == NULL) return false;
    struct body_RUN body = like->body;
    switch (chance_below(c, 4)) {
    case 0: break;
    case 1:
        if (run_input_count(&body) > 1) body.inputs.len -= RUN_INPUT_BYTES;
        break;
    case 2: body.slot = n->consortium->scenario->runs + chance_within(c, 1, BEYOND_MOST); break;
    default: body.slot = UINT32_MAX - chance_below(c, BEYOND_MOST);
    }
    give(n, KIND_RUN, &body);
    return true;
}

/* --- Devices that there are not --------------------------------------------------------------------------------------------------- */

static void sybil(struct station *n)
{
    struct identity_secret secret;
    struct node_id id;
    for (size_t at = 0; at < sizeof secret.bytes; at += 8)
        store_u64(secret.bytes + at, chance_next(&n->rogue_chance));
    if (registry_member(core_registry(n->core), n->player->id) == NULL || identity_public(&id, &secret) != OK)
        return;
    const struct body_MEMBER body = {.node = id,
                                     .organisation = player_organisation(n->consortium->cast, n->player),
                                     .jurisdiction = n->player->party->jurisdiction,
                                     .roles = ROLE_DEVICE,
                                     .kem = n->player->kem,
                                     .approval = id,
                                     .platforms = SPAN_LITERAL(""),
                                     .consent = SPAN_LITERAL("")};
    give(n, KIND_MEMBER, &body);
}

/* --- Receipts that say something else --------------------------------------------------------------------------------------------------- */

/* One that reads as a receipt still; false: none of some tries does. */
static bool flip_a_bit(struct body_RECEIPT *out, uint8_t *bytes, size_t len, struct chance *c)
{
    static union body body;
    for (uint32_t i = 0; i < 16; i++) {
        const size_t at = chance_below(c, len);
        const uint8_t bit = (uint8_t)(1u << chance_below(c, 8));
        bytes[at] ^= bit;
        if (body_decode(&body, KIND_RECEIPT, span_make(bytes, len)) == OK) {
            *out = body.RECEIPT;
            return true;
        }
        bytes[at] ^= bit;
    }
    return false;
}

/* Of each run, once, as soon as its receipt is held here; of the first sixty-four. */
static bool spoil(struct station *n)
{
    static uint8_t bytes[CAP_BODY_BYTES];
    struct consortium *s = n->consortium;
    struct body_RECEIPT body;
    for (uint32_t i = 0; i < s->run_count && i < 64; i++) {
        const uint64_t bit = UINT64_C(1) << i;
        const struct run_entry *run = registry_run(core_registry(n->core), s->run[i].run);
        if ((n->spoilt & bit) != 0 || run == NULL || run->receipt == NULL) continue;
        const struct span said = run->receipt->body;
        n->spoilt |= bit;
        memcpy(bytes, said.data, said.len);
        if (!flip_a_bit(&body, bytes, said.len, &n->rogue_chance)) continue;
        give(n, KIND_RECEIPT, &body);
        return true;
    }
    return false;
}

/* --- Their turns --------------------------------------------------------------------------------------------------------------------- */

void bypass_turn(struct station *n)
{
    const bool over =
        n->consortium->end_ns != UINT64_MAX; /* nobody writes any more, so that all can hold the same */
    if (over || now_of(n->consortium) < n->bypass_ns || (!n->probes && !n->sybils && !n->spoils)) return;
    if (core_authoring(n->core) != REFUSAL_NONE) return; /* it does not know all that its key has signed */
    if (n->spoils && spoil(n)) return;
    if (n->probes && probe(n)) return;
    if (n->sybils) sybil(n);
}
