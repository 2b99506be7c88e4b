#include "proto/election.h"

#include <string.h>

static struct verdict check_promises(const struct promises *p, const struct election_ask *ask,
                                     const struct body_RUN *run)
{
    const uint8_t *holder = promise_get(p, PROMISE_SLOT, run->compose.bytes, run->slot);
    if (holder != NULL && memcmp(holder, ask->run.bytes, 32) != 0)
        return verdict_refuse(REFUSAL_SLOT_SPENT, holder);
    if (promise_term(p, ask->run) > ask->term) return verdict_refuse(REFUSAL_TERM, NULL);
    const uint8_t *voted = promise_get(p, PROMISE_VOTE, ask->run.bytes, ask->term);
    if (voted != NULL && memcmp(voted, ask->node.bytes, 32) != 0) return verdict_refuse(REFUSAL_VOTED, voted);
    return VERDICT_OK;
}

uint64_t election_term_max(const struct charter *charter, const struct header *run, uint64_t now_ms)
{
    enum { TERMS_FREE = 8, TERMS_A_LEASE = 8 };
    uint64_t elapsed_ms = now_ms > run->time_ms ? now_ms - run->time_ms : 0;
    return TERMS_FREE + elapsed_ms / charter->lease_ms * TERMS_A_LEASE;
}

struct verdict election_decide(struct registry *r, const struct promises *p, struct node_id self,
                               const struct election_ask *ask)
{
    const struct charter *charter = registry_charter(r);
    if (charter == NULL) return verdict_refuse(REFUSAL_CONSORTIUM_FORMING, NULL);
    if (charter_custodian(charter, self) < 0) return verdict_refuse(REFUSAL_NOT_CUSTODIAN, self.bytes);
    if (ask->standing != REFUSAL_NONE) return verdict_refuse(ask->standing, NULL);
    const struct run_entry *run = registry_run(r, ask->run);
    if (run == NULL) return verdict_refuse(REFUSAL_UNKNOWN_RUN, ask->run.bytes);
    if (record_run_end_ms(&run->record->header) <= ask->now_ms)
        return verdict_refuse(REFUSAL_RUN_EXPIRED, NULL);
    struct verdict v = registry_check_record(r, run->record);
    if (v.refusal != REFUSAL_NONE) return v;
    if (run->receipt != NULL) return verdict_refuse(REFUSAL_SLOT_SPENT, ask->run.bytes);
    if (ask->term == 0 || ask->term > election_term_max(charter, &run->record->header, ask->now_ms))
        return verdict_refuse(REFUSAL_TERM, NULL);
    v = check_promises(p, ask, &run->body);
    if (v.refusal != REFUSAL_NONE) return v;
    if (ask->held) return verdict_refuse(REFUSAL_LEASE_HELD, NULL);
    v = registry_check_run(r, &run->body, run->record->header.author, ask->now_ms);
    return v.refusal == REFUSAL_NONE ? registry_check_node(r, &run->body, ask->node) : v;
}

static struct hash32 rank_of(struct run_id run, uint64_t term, struct node_id node)
{
    uint8_t number[8];
    store_u64(number, term);
    return HASH_FRAMED("perigee/rank/v1", ID_SPAN(run), SPAN_OF(number), ID_SPAN(node));
}

uint32_t election_rank(struct registry *r, const struct body_RUN *run, struct run_id id, uint64_t term,
                       struct node_id node)
{
    struct hash32 own = rank_of(id, term, node);
    uint32_t before = 0;
    const struct member *m;
    for (uint32_t at = 0; (m = registry_member_next(r, &at)) != NULL;) {
        if ((m->roles & ROLE_COMPUTE) == 0 || ID_EQUAL(m->node, node)) continue;
        if (registry_check_node(r, run, m->node).refusal != REFUSAL_NONE) continue;
        struct hash32 other = rank_of(id, term, m->node);
        if (memcmp(other.bytes, own.bytes, 32) < 0) before++;
    }
    return before;
}

uint32_t election_first(struct registry *r, const struct body_RUN *run, struct run_id id, uint64_t term,
                        struct node_id *out, uint32_t most)
{
    struct hash32 rank[ELECTION_FIRST_MAX];
    const struct member *m;
    uint32_t count = 0;
    if (most > ELECTION_FIRST_MAX) most = ELECTION_FIRST_MAX;
    for (uint32_t at = 0; (m = registry_member_next(r, &at)) != NULL;) {
        if ((m->roles & ROLE_COMPUTE) == 0) continue;
        const struct hash32 own = rank_of(id, term, m->node);
        uint32_t place = count;
        while (place > 0 && memcmp(own.bytes, rank[place - 1].bytes, 32) < 0) place--;
        if (place >= most || registry_check_node(r, run, m->node).refusal != REFUSAL_NONE) continue;
        count += count < most;
        for (uint32_t i = count - 1; i > place; i--) rank[i] = rank[i - 1], out[i] = out[i - 1];
        rank[place] = own;
        out[place] = m->node;
    }
    return count;
}
