#include "sim/cast.h"

#include "crypto/group.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/kem.h"

#include <stdlib.h>
#include <string.h>

enum { CHARTER_BYTES_MAX = 128 * 1024, EVIDENCE_AGE_MAX_MS = 600000 };

struct hash32 cast_derive(uint64_t seed, const char *what, uint64_t a, uint64_t b)
{
    uint8_t numbers[24];
    store_u64(numbers, seed);
    store_u64(numbers + 8, a);
    store_u64(numbers + 16, b);
    return HASH_FRAMED("perigee/simulation/v1", span_text(what), SPAN_OF(numbers));
}

bool player_is(const struct player *p, uint32_t roles)
{
    return (p->party->roles & roles) != 0;
}

struct player *cast_find(const struct cast *c, struct node_id id)
{
    const uint32_t row = index_find(&c->ids, id.bytes);
    return row != INDEX_NONE ? &c->player[row] : NULL;
}

struct span player_organisation(const struct cast *c, const struct player *p)
{
    return player_is(p, ROLE_DEVICE) ? c->player[p->party->maker].party->name : p->party->name;
}

/* --- Keys --------------------------------------------------------------------------------------------------------------- */

static void key_bytes(uint8_t out[32], const struct cast *c, const char *what, uint32_t number)
{
    const struct hash32 h = cast_derive(c->seed, what, number, 0);
    memcpy(out, h.bytes, 32);
}

static enum err player_make(struct player *p, const struct cast *c, uint32_t number)
{
    uint8_t wide[64];
    *p = (struct player){.party = &c->scenario->party[number], .number = number};
    key_bytes(p->secret.bytes, c, "identity", number);
    key_bytes(p->approval_secret.bytes, c, "approval", number);
    key_bytes(p->kem_secret.bytes, c, "kem", number);
    key_bytes(wide, c, "dkg", number);
    key_bytes(wide + 32, c, "dkg-high", number);
    p->platform = cast_derive(c->seed, "platform", number, 0);
    TRY(identity_public(&p->id, &p->secret));
    TRY(identity_public(&p->approval, &p->approval_secret));
    kem_public_of(&p->kem, &p->kem_secret);
    group_reduce(p->dkg_secret.bytes, wide);
    return group_base(&p->dkg, p->dkg_secret.bytes);
}

/* --- The charter ---------------------------------------------------------------------------------------------------------- */

static int by_node(const void *a, const void *b)
{
    return memcmp(((const struct charter_member *)a)->node.bytes,
                  ((const struct charter_member *)b)->node.bytes, 32);
}

static struct charter_member founder(const struct player *p)
{
    const bool owner = player_is(p, ROLE_OWNER);
    return (struct charter_member){.node = p->id,
                                   .organisation = p->party->name,
                                   .jurisdiction = p->party->jurisdiction,
                                   .roles = p->party->roles,
                                   .kem = p->kem,
                                   .dkg = player_is(p, ROLE_CUSTODIAN) ? p->dkg : (struct point){{0}},
                                   .approval = owner ? p->approval : p->id,
                                   .platforms = SPAN_NONE};
}

static struct charter constitution(const struct scenario *s)
{
    return (struct charter){.name = s->name,
                            .version = 1,
                            .f = s->f,
                            .k = s->k,
                            .q = s->q,
                            .s = s->s,
                            .t = s->t,
                            .accept_simulated = true,
                            .maker_devices = s->maker_devices,
                            .evidence_age_max_ms = EVIDENCE_AGE_MAX_MS,
                            .lease_ms = s->lease_ms,
                            .rank_delay_ms = s->rank_delay_ms,
                            .skew_max_ms = s->skew_max_ms,
                            .drift_ppm = SCENARIO_DRIFT_PPM};
}

static enum err charter_make(struct cast *c, struct arena *arena, struct json_fault *fault)
{
    struct charter_member *member = ARENA_ARRAY(arena, struct charter_member, c->count);
    void *bytes = arena_take(arena, CHARTER_BYTES_MAX, 1);
    struct charter charter = constitution(c->scenario), *checked;
    struct buffer b = buffer_make(bytes, CHARTER_BYTES_MAX);
    if (member == NULL || bytes == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < c->count; i++)
        if (player_is(&c->player[i], ROLE_CUSTODIAN | ROLE_STEWARD))
            member[charter.member_count++] = founder(&c->player[i]);
    qsort(member, charter.member_count, sizeof *member, by_node);
    charter.member = member;
    TRY(charter_write(&b, &charter));
    c->charter = buffer_span(&b);
    TRY(charter_parse(&checked, arena, c->charter, fault));
    c->founding = checked;
    memcpy(c->consortium.bytes, checked->hash.bytes, 32);
    return OK;
}

enum err cast_make(struct cast **out, struct arena *arena, const struct scenario *scenario, uint64_t seed,
                   struct json_fault *fault)
{
    struct cast *c = ARENA_NEW(arena, struct cast);
    if (c == NULL) return ERR_NO_MEMORY;
    *c = (struct cast){.scenario = scenario, .seed = seed, .count = scenario->party_count};
    c->player = ARENA_ARRAY(arena, struct player, c->count);
    if (c->player == NULL) return ERR_NO_MEMORY;
    TRY(notary_new(&c->notary, arena, scenario->crypto, seed, c->count));
    TRY(index_init(&c->ids, arena, c->count, seed));
    for (uint32_t i = 0; i < c->count; i++) {
        TRY(player_make(&c->player[i], c, i));
        TRY(index_add(&c->ids, c->player[i].id.bytes, i));
    }
    c->measurement = cast_derive(seed, "measurement", 0, 0);
    *out = c;
    return charter_make(c, arena, fault);
}
