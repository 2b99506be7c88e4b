#include "proto/charter.h"

#include "crypto/hash.h"
#include "proto/base/panic.h"
#include "proto/field.h"
#include "proto/wire/table.h"

#include <string.h>

#define ROLE_NAME(symbol, bit, name) [bit] = name,
const char *const role_names[ROLE_COUNT] = {ROLE_TABLE(ROLE_NAME)};

enum {
    EVIDENCE_AGE_MIN_MS = 1000,
    EVIDENCE_AGE_MAX_MS = 7 * 24 * 3600 * 1000,
    DRIFT_MAX_PPM = 100000,
};

/* --- Roles
 * ----------------------------------------------------------------------------------------------------------
 */

static uint32_t role_bit(struct span name)
{
    for (uint32_t bit = 0; bit < ROLE_COUNT; bit++) {
        if (span_equal_text(name, role_names[bit])) return 1u << bit;
    }
    return 0;
}

static bool is_role(struct span name, void *out)
{
    uint32_t bit = role_bit(name);
    *(uint32_t *)out = bit;
    return bit != 0;
}

void charter_read_role_set(struct json_reader *r, const char *key, uint32_t *roles)
{
    uint32_t bits[ROLE_COUNT] = {0}, count = 0;
    field_list(r, key, 1, ROLE_COUNT, is_role, "a role", bits, sizeof bits[0], &count);
    *roles = 0;
    for (uint32_t i = 0; i < count; i++) {
        *roles |= bits[i];
    }
}

void charter_read_roles(struct json_reader *r, const char *key, uint32_t *roles)
{
    charter_read_role_set(r, key, roles);
    const struct json *array = r->err == OK ? json_read_array(r, key, 1, ROLE_COUNT) : NULL;
    for (uint32_t i = 1; array != NULL && i < array->count; i++) {
        if (span_compare(array->items[i - 1].string, array->items[i].string) >= 0) {
            json_refuse(r, key, ERR_NOT_CANONICAL, "roles in the order of their names");
        }
    }
}

void charter_put_roles(struct json_writer *w, const char *key, uint32_t roles)
{
    static const uint32_t by_name[ROLE_COUNT] = {ROLE_ALGORITHM, ROLE_AUDITOR,   ROLE_COMPUTE,
                                                 ROLE_CUSTODIAN, ROLE_DEVICE,    ROLE_MAKER,
                                                 ROLE_OWNER,     ROLE_REQUESTER, ROLE_STEWARD};
    ASSERT((roles & ~(uint32_t)ROLE_ALL) == 0);
    json_key(w, key);
    json_begin_array(w);
    for (uint32_t i = 0; i < ROLE_COUNT; i++) {
        if ((roles & by_name[i]) != 0) {
            json_put_text(w, span_text(role_names[__builtin_ctz(by_name[i])]));
        }
    }
    json_end_array(w);
}

void charter_read_platforms(struct json_reader *r, struct arena *arena, struct span *out)
{
    struct hash32 list[CAP_PLATFORMS];
    uint32_t count = 0;
    *out = SPAN_NONE;
    if (!json_has(r, "platforms")) return;
    field_list(r, "platforms", 1, CAP_PLATFORMS, field_is_hash, "64 lower-case hex digits", list,
               sizeof list[0], &count);
    if (r->err == OK && arena_copy(arena, out, span_make(list, (size_t)count * 32)) != OK)
        json_refuse(r, "platforms", ERR_NO_MEMORY, "memory");
}

void charter_put_platforms(struct json_writer *w, struct span platforms)
{
    if (platforms.len == 0) return;
    json_key(w, "platforms");
    json_begin_array(w);
    for (size_t at = 0; at + 32 <= platforms.len; at += 32)
        json_put_hex(w, span_make(platforms.data + at, 32));
    json_end_array(w);
}

/* --- Reading ------------------------------------------------------------------------------------------- */

static enum err member_read(struct charter_member *m, struct arena *arena, struct json_reader *r)
{
    struct hash32 kem = {{0}}, dkg = {{0}};
    field_node(r, "node", &m->node);
    field_name(r, "organisation", &m->organisation);
    field_jurisdiction(r, "jurisdiction", &m->jurisdiction);
    charter_read_roles(r, "roles", &m->roles);
    field_hash(r, "kem", &kem);
    if ((m->roles & ROLE_CUSTODIAN) != 0) field_hash(r, "dkg", &dkg);
    m->approval = m->node;
    if (json_has(r, "approval")) {
        field_node(r, "approval", &m->approval);
        if (ID_EQUAL(m->approval, m->node)) {
            json_refuse(r, "approval", ERR_NOT_CANONICAL, "another key than the node's, or nothing");
        }
    }
    charter_read_platforms(r, arena, &m->platforms);
    memcpy(m->kem.bytes, kem.bytes, sizeof kem.bytes);
    memcpy(m->dkg.bytes, dkg.bytes, sizeof dkg.bytes);
    return json_reader_done(r);
}

/* Keys have one holder: whoever signs under a key is one member. */
static void check_keys(const struct charter *c, uint32_t index, struct json_reader *r)
{
    const struct charter_member *m = &c->member[index];
    for (uint32_t i = 0; i < index; i++) {
        const struct charter_member *other = &c->member[i];
        if (i + 1 == index && memcmp(other->node.bytes, m->node.bytes, sizeof m->node.bytes) >= 0) {
            json_refuse(r, "node", ERR_NOT_CANONICAL, "members in the order of their node ids, each once");
        }
        if (ID_EQUAL(other->approval, m->approval) || ID_EQUAL(other->approval, m->node) ||
            ID_EQUAL(other->node, m->approval)) {
            json_refuse(r, "approval", ERR_DUPLICATE, "an approval key that nobody else uses");
        }
        if (memcmp(other->kem.bytes, m->kem.bytes, sizeof m->kem.bytes) == 0) {
            json_refuse(r, "kem", ERR_DUPLICATE, "a key that nobody else uses");
        }
        if ((m->roles & other->roles & ROLE_CUSTODIAN) != 0 &&
            memcmp(other->dkg.bytes, m->dkg.bytes, sizeof m->dkg.bytes) == 0) {
            json_refuse(r, "dkg", ERR_DUPLICATE, "a key that nobody else uses");
        }
    }
}

/* Index a custodian or steward; at most one per organisation, or one organisation could outvote the others.
 */
static void seat(const struct charter *c, uint32_t index, enum role role, uint32_t *seats, uint32_t *count,
                 uint32_t max, struct json_reader *r)
{
    const struct charter_member *m = &c->member[index];
    if ((m->roles & (uint32_t)role) == 0 || r->err != OK) return;
    for (uint32_t i = 0; i < *count; i++) {
        if (span_equal(c->member[seats[i]].organisation, m->organisation)) {
            json_refuse(r, "organisation", ERR_DUPLICATE,
                        "at most one custodian and one steward per organisation");
        }
    }
    if (*count == max)
        json_refuse(r, "roles", ERR_TOO_LARGE, "at most 32 custodians and 32 stewards");
    else
        seats[(*count)++] = index;
}

static enum err members_read(struct charter *c, struct arena *arena, struct json_reader *r)
{
    const struct json *array = json_read_array(r, "members", 1, CAP_MEMBERS);
    if (array == NULL) return r->err;
    c->member = ARENA_ARRAY(arena, struct charter_member, array->count);
    if (c->member == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < array->count; i++) {
        struct json_reader item;
        field_item(&item, r, "members", i, &array->items[i]);
        TRY(member_read(&c->member[i], arena, &item));
        check_keys(c, i, &item);
        seat(c, i, ROLE_CUSTODIAN, c->custodian, &c->custodian_count, CAP_CUSTODIANS, &item);
        seat(c, i, ROLE_STEWARD, c->steward, &c->steward_count, CAP_STEWARDS, &item);
        if (item.err != OK) return item.err;
        c->member_count = i + 1;
    }
    return OK;
}

/* DESIGN's conditions, in the order of its text; n and the number of stewards are those of the member list.
 */
static void check_thresholds(const struct charter *c, struct json_reader *r)
{
    const uint32_t n = c->custodian_count, f = c->f, q = c->q, t = c->t, s = c->s;
    if (n == 0) json_refuse(r, "f", ERR_RANGE, "at least one custodian among the members");
    if (c->steward_count == 0) json_refuse(r, "s", ERR_RANGE, "at least one steward among the members");
    if (2 * q <= n + f) json_refuse(r, "q", ERR_RANGE, "2q > n + f, n being the number of custodians");
    if (q + f > n) json_refuse(r, "q", ERR_RANGE, "q <= n - f, n being the number of custodians");
    if (t <= f) json_refuse(r, "t", ERR_RANGE, "t > f");
    if (t + f > n) json_refuse(r, "t", ERR_RANGE, "t <= n - f, n being the number of custodians");
    if (t + q <= n + f) json_refuse(r, "t", ERR_RANGE, "t + q > n + f, n being the number of custodians");
    if (n * (96 + 32 * t) >
        ROUND1_BYTES_MAX) /* what the committee record carries for each key (core_keygen.c) */
        json_refuse(r, "t", ERR_RANGE, "n (96 + 32 t) <= 25600, n being the number of custodians");
    if (2 * s <= c->steward_count) json_refuse(r, "s", ERR_RANGE, "2s > number of stewards");
    if (s > c->steward_count) json_refuse(r, "s", ERR_RANGE, "s <= number of stewards");
}

static enum err thresholds_read(struct charter *c, struct json_reader *parent)
{
    struct json_reader r;
    field_object(&r, parent, "thresholds");
    field_u32(&r, "f", 0, CAP_CUSTODIANS, &c->f);
    field_u32(&r, "k", 1, CAP_INPUTS, &c->k);
    field_u32(&r, "q", 1, CAP_CUSTODIANS, &c->q);
    field_u32(&r, "s", 1, CAP_STEWARDS, &c->s);
    field_u32(&r, "t", 1, CAP_CUSTODIANS, &c->t);
    check_thresholds(c, &r);
    return json_reader_done(&r);
}

static void clocks_read(struct charter *c, struct json_reader *r)
{
    field_u32(r, "evidence_age_max_ms", EVIDENCE_AGE_MIN_MS, EVIDENCE_AGE_MAX_MS, &c->evidence_age_max_ms);
    field_u32(r, "lease_ms", CHARTER_LEASE_MIN_MS, CHARTER_LEASE_MAX_MS, &c->lease_ms);
    field_u32(r, "rank_delay_ms", 1, CHARTER_RANK_DELAY_MAX_MS, &c->rank_delay_ms);
    field_u32(r, "skew_max_ms", 1, CHARTER_SKEW_MAX_MS, &c->skew_max_ms);
    field_u32(r, "drift_ppm", 0, DRIFT_MAX_PPM, &c->drift_ppm);
}

static enum err charter_read(struct charter *c, struct arena *arena, struct json_reader *r)
{
    field_name(r, "name", &c->name);
    field_u32(r, "version", 1, INT32_MAX, &c->version);
    if (c->version > 1)
        field_hash(r, "previous", &c->previous);
    else if (json_has(r, "previous"))
        json_refuse(r, "previous", ERR_REFUSED, "nothing: version 1 has no previous version");
    json_read_bool(r, "accept_simulated", &c->accept_simulated);
    clocks_read(c, r);
    if (json_has(r, "maker_devices")) field_u32(r, "maker_devices", 1, CAP_MAKER_DEVICES, &c->maker_devices);
    field_extra(r, &c->extra);
    TRY(members_read(c, arena, r));
    TRY(thresholds_read(c, r));
    return json_reader_done(r);
}

static enum err parse(struct charter **out, struct json_room room, struct span bytes,
                      struct json_fault *fault)
{
    struct json_reader r;
    struct charter *c = ARENA_NEW(room.kept, struct charter);
    if (c == NULL) return ERR_NO_MEMORY;
    TRY(field_document(&r, &c->bytes, room, bytes, "charter/1", fault));
    TRY(charter_read(c, room.kept, &r));
    c->hash = sha256(c->bytes);
    *out = c;
    return OK;
}

enum err charter_parse(struct charter **out, struct arena *arena, struct span bytes, struct json_fault *fault)
{
    size_t mark = arena_mark(arena);
    enum err err = parse(out, JSON_ROOM_ONE(arena), bytes, fault);
    if (err != OK) arena_release(arena, mark);
    return err;
}

enum err charter_keep(const struct charter **out, struct json_room room, struct span bytes)
{
    size_t mark = arena_mark(room.kept), scratch = arena_mark(room.scratch);
    struct charter *c = NULL;
    enum err err = parse(&c, room, bytes, NULL);
    arena_release(room.scratch, scratch);
    if (err != OK) {
        arena_release(room.kept, mark);
        return err;
    }
    c->extra = NULL;
    *out = c;
    return OK;
}

/* --- Writing ------------------------------------------------------------------------------------------- */

static void member_write(struct json_writer *w, const struct charter_member *m)
{
    json_begin_object(w);
    if (!ID_EQUAL(m->approval, m->node)) field_put_hex(w, "approval", ID_SPAN(m->approval));
    if ((m->roles & ROLE_CUSTODIAN) != 0) field_put_hex(w, "dkg", SPAN_OF(m->dkg.bytes));
    field_put_text(w, "jurisdiction", m->jurisdiction);
    field_put_hex(w, "kem", SPAN_OF(m->kem.bytes));
    field_put_hex(w, "node", ID_SPAN(m->node));
    field_put_text(w, "organisation", m->organisation);
    charter_put_platforms(w, m->platforms);
    charter_put_roles(w, "roles", m->roles);
    json_end_object(w);
}

static void members_write(struct json_writer *w, const struct charter *c)
{
    json_key(w, "members");
    json_begin_array(w);
    for (uint32_t i = 0; i < c->member_count; i++) {
        member_write(w, &c->member[i]);
    }
    json_end_array(w);
}

static void thresholds_write(struct json_writer *w, const struct charter *c)
{
    json_key(w, "thresholds");
    json_begin_object(w);
    field_put_int(w, "f", c->f);
    field_put_int(w, "k", c->k);
    field_put_int(w, "q", c->q);
    field_put_int(w, "s", c->s);
    field_put_int(w, "t", c->t);
    json_end_object(w);
}

enum err charter_write(struct buffer *out, const struct charter *c)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_begin_object(&w);
    field_put_bool(&w, "accept_simulated", c->accept_simulated);
    field_put_int(&w, "drift_ppm", c->drift_ppm);
    field_put_int(&w, "evidence_age_max_ms", c->evidence_age_max_ms);
    field_put_extra(&w, c->extra);
    field_put_int(&w, "lease_ms", c->lease_ms);
    if (c->maker_devices != 0) field_put_int(&w, "maker_devices", c->maker_devices);
    members_write(&w, c);
    field_put_text(&w, "name", c->name);
    field_put_word(&w, "perigee", "charter/1");
    if (c->version > 1) field_put_hex(&w, "previous", ID_SPAN(c->previous));
    field_put_int(&w, "rank_delay_ms", c->rank_delay_ms);
    field_put_int(&w, "skew_max_ms", c->skew_max_ms);
    thresholds_write(&w, c);
    field_put_int(&w, "version", c->version);
    json_end_object(&w);
    return buffer_done(out);
}

/* --- Seats
 * ----------------------------------------------------------------------------------------------------------
 */

static int find_seat(const struct charter *c, const uint32_t *seats, uint32_t count, struct node_id node)
{
    for (uint32_t i = 0; i < count; i++) {
        ASSERT(seats[i] < c->member_count);
        if (ID_EQUAL(c->member[seats[i]].node, node)) return (int)i;
    }
    return -1;
}

int charter_custodian(const struct charter *c, struct node_id node)
{
    return find_seat(c, c->custodian, c->custodian_count, node);
}

int charter_steward(const struct charter *c, struct node_id node)
{
    return find_seat(c, c->steward, c->steward_count, node);
}

uint32_t charter_stops(const struct charter *c, uint32_t needed)
{
    const uint32_t heard = c->custodian_count - needed + 1 + c->f;
    return heard < c->custodian_count ? heard : c->custodian_count;
}
