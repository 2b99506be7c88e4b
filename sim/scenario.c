#include "sim/scenario.h"

#include "proto/charter.h"
#include "proto/field.h"
#include "proto/wire/table.h"
#include "sim/regions.h"

enum { FOR_MS_MAX = 24 * 3600 * 1000, FOR_MS = 600000 };
#define EPSILON_NANO INT64_C(1000000000)

static const char *const fault_names[FAULT_KIND_COUNT] = {
#define FAULT_NAME(symbol, name) [symbol] = name,
    SCENARIO_FAULT_TABLE(FAULT_NAME)
#undef FAULT_NAME
};

/* --- Parties ---------------------------------------------------------------------------------------------------------- */

static void read_optional(struct json_reader *r, const char *key, uint32_t min, uint32_t max, uint32_t *out)
{
    if (json_has(r, key)) field_u32(r, key, min, max, out);
}

static void read_region(struct json_reader *r, struct scenario_party *p)
{
    struct span name;
    field_name(r, "region", &name);
    if (r->err == OK && regions_find(&p->region, name) != OK)
        json_refuse(r, "region", ERR_RANGE, "a region of the table: `perigee sim --regions` lists them");
}

static enum err party_read(struct scenario_party *p, struct json_reader *r)
{
    field_name(r, "name", &p->name);
    read_region(r, p);
    field_jurisdiction(r, "jurisdiction", &p->jurisdiction);
    charter_read_role_set(r, "roles", &p->roles);
    read_optional(r, "rows", 1, SCENARIO_ROWS_MAX, &p->rows);
    if (p->rows > 0 && (p->roles & ROLE_OWNER) == 0)
        json_refuse(r, "rows", ERR_CONFLICT, "rows of an owner only");
    if ((p->roles & (ROLE_DEVICE | ROLE_MAKER)) != 0)
        json_refuse(r, "roles", ERR_RANGE, "no makers and devices yet");
    return json_reader_done(r);
}

static uint32_t party_find(const struct scenario *s, struct span name)
{
    uint32_t i = 0;
    while (i < s->party_count && !span_equal(s->party[i].name, name)) i++;
    return i;
}

static enum err parties_read(struct scenario *s, struct arena *arena, struct json_reader *r)
{
    const struct json *array = json_read_array(r, "parties", 1, SCENARIO_PARTIES_MAX);
    if (array == NULL) return r->err;
    s->party = ARENA_ARRAY(arena, struct scenario_party, array->count);
    if (s->party == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < array->count; i++) {
        struct json_reader item;
        field_item(&item, r, "parties", i, &array->items[i]);
        TRY(party_read(&s->party[i], &item));
        if (party_find(s, s->party[i].name) < s->party_count)
            json_refuse(&item, "name", ERR_DUPLICATE, "a name that no other party has");
        if (item.err != OK) return item.err;
        s->party_count = i + 1;
    }
    return OK;
}

uint32_t scenario_count(const struct scenario *s, uint32_t roles)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->party_count; i++) count += (s->party[i].roles & roles) != 0;
    return count;
}

static uint32_t inputs_of(const struct scenario *s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->party_count; i++) count += s->party[i].rows > 0;
    return count;
}

_Static_assert(CAP_CUSTODIANS == 32 && CAP_STEWARDS == 32, "a text below names the caps");

static void check_parties(const struct scenario *s, struct json_reader *r)
{
    if (scenario_count(s, ROLE_CUSTODIAN) == 0 || scenario_count(s, ROLE_STEWARD) == 0)
        json_refuse(r, "parties", ERR_RANGE, "a custodian and a steward among them");
    if (scenario_count(s, ROLE_CUSTODIAN) > CAP_CUSTODIANS || scenario_count(s, ROLE_STEWARD) > CAP_STEWARDS)
        json_refuse(r, "parties", ERR_RANGE, "at most 32 custodians and 32 stewards among them");
    if (scenario_count(s, ROLE_ALGORITHM) == 0)
        json_refuse(r, "parties", ERR_RANGE, "one with the role algorithm");
    if (scenario_count(s, ROLE_REQUESTER) == 0)
        json_refuse(r, "parties", ERR_RANGE, "one with the role requester");
    if (scenario_count(s, ROLE_COMPUTE) == 0)
        json_refuse(r, "parties", ERR_RANGE, "one with the role compute");
    if (inputs_of(s) == 0 || inputs_of(s) > CAP_INPUTS)
        json_refuse(r, "parties", ERR_RANGE, "1 to 16 owners with rows");
}

/* --- Charter, study, network ---------------------------------------------------------------------------------------------- */

/* What n - f allow, and what the committee record carries for each key. */
static uint32_t t_most(uint32_t n, uint32_t f)
{
    const uint32_t carried = n > 0 ? (ROUND1_BYTES_MAX / n - 96) / 32 : 0, honest = n > f ? n - f : 0;
    return honest < carried ? honest : carried;
}

/* q and t as far as f goes. */
static void follow_f(struct scenario *s)
{
    const uint32_t n = scenario_count(s, ROLE_CUSTODIAN);
    s->q = n > s->f ? n - s->f : 0; /* 0: of an f that is refused */
    s->t = t_most(n, s->f);
}

static void charter_defaults(struct scenario *s)
{
    const uint32_t n = scenario_count(s, ROLE_CUSTODIAN), inputs = inputs_of(s);
    s->f = n > 0 ? (n - 1) / 3 : 0;
    follow_f(s);
    s->s = scenario_count(s, ROLE_STEWARD) / 2 + 1;
    s->k = inputs < 2 ? inputs : 2;
    s->lease_ms = 10000;
    s->rank_delay_ms = 800;
    s->skew_max_ms = 60000;
}

/* What the charter will ask for when it is written, in the words of who wrote the scenario. */
static void refuse_threshold(struct json_reader *r, const char *key, uint32_t least, uint32_t most,
                             const char *of, uint32_t count)
{
    char expected[96];
    struct buffer b = buffer_make(expected, sizeof expected - 1);
    buffer_put_decimal(&b, least);
    buffer_put_text(&b, " to ");
    buffer_put_decimal(&b, most);
    buffer_put_text(&b, ", there being ");
    buffer_put_decimal(&b, count);
    buffer_put_text(&b, of);
    buffer_put_zero(&b);
    json_refuse(r, key, ERR_RANGE, expected);
}

/* proto/charter.c check_thresholds: quorums of q intersect in one honest custodian, and n - f are always enough. */
static void check_thresholds(const struct scenario *s, struct json_reader *r)
{
    const uint32_t n = scenario_count(s, ROLE_CUSTODIAN), stewards = scenario_count(s, ROLE_STEWARD);
    const uint32_t f_most = (n - 1) / 3;
    if (s->f > f_most) {
        refuse_threshold(r, "charter.f", 0, f_most, " custodians (3 f < n)", n);
        return;
    }
    const uint32_t q_least = (n + s->f) / 2 + 1, q_most = n - s->f;
    if (s->q < q_least || s->q > q_most)
        refuse_threshold(r, "charter.q", q_least, q_most, " custodians of which f may fail", n);
    const uint32_t t_least = n + s->f + 1 > s->q + s->f ? n + s->f + 1 - s->q : s->f + 1;
    if (s->t < t_least || s->t > t_most(n, s->f))
        refuse_threshold(r, "charter.t", t_least, t_most(n, s->f), " custodians of which f may fail", n);
    if (s->s <= stewards / 2 || s->s > stewards)
        refuse_threshold(r, "charter.s", stewards / 2 + 1, stewards, " stewards", stewards);
}

static void charter_read(struct scenario *s, struct json_reader *parent)
{
    struct json_reader r;
    charter_defaults(s);
    if (!json_has(parent, "charter")) return;
    field_object(&r, parent, "charter");
    if (json_has(&r, "f")) {
        field_u32(&r, "f", 0, CAP_CUSTODIANS, &s->f);
        follow_f(s);
    }
    read_optional(&r, "q", 1, CAP_CUSTODIANS, &s->q);
    read_optional(&r, "t", 1, CAP_CUSTODIANS, &s->t);
    read_optional(&r, "s", 1, CAP_STEWARDS, &s->s);
    read_optional(&r, "k", 1, CAP_INPUTS, &s->k);
    if (s->k > inputs_of(s)) json_refuse(&r, "k", ERR_RANGE, "at most as many as owners bring rows");
    read_optional(&r, "lease_ms", 1000, 600000, &s->lease_ms);
    read_optional(&r, "rank_delay_ms", 10, 60000, &s->rank_delay_ms);
    read_optional(&r, "skew_max_ms", 1000, 3600000, &s->skew_max_ms);
    parent->err = json_reader_done(&r);
}

static void study_read(struct scenario *s, struct json_reader *parent)
{
    struct json_reader r;
    int64_t epsilon = EPSILON_NANO;
    s->runs = 1;
    s->every_ms = 1000;
    s->compute_ms = 500;
    s->epsilon_nano = (uint64_t)epsilon;
    if (!json_has(parent, "study")) return;
    field_object(&r, parent, "study");
    if (json_has(&r, "epsilon")) field_decimal(&r, "epsilon", 9, 1, 1000 * EPSILON_NANO, &epsilon);
    s->epsilon_nano = (uint64_t)epsilon;
    read_optional(&r, "runs", 1, SCENARIO_RUNS_MAX, &s->runs);
    read_optional(&r, "every_ms", 1, 3600000, &s->every_ms);
    read_optional(&r, "compute_ms", 1, 3600000, &s->compute_ms);
    parent->err = json_reader_done(&r);
}

static void network_read(struct scenario *s, struct json_reader *parent)
{
    struct json_reader r;
    if (!json_has(parent, "network")) return;
    field_object(&r, parent, "network");
    read_optional(&r, "loss_ppm", 0, 500000, &s->loss_ppm);
    parent->err = json_reader_done(&r);
}

/* --- Faults ------------------------------------------------------------------------------------------------------------------ */

static enum err fault_read(struct scenario_fault *f, const struct scenario *s, struct json_reader *r)
{
    uint32_t kind = 0;
    struct span party;
    json_read_enum(r, "kind", fault_names, FAULT_KIND_COUNT, &kind);
    f->kind = (enum scenario_fault_kind)kind;
    field_u32(r, "at_ms", 0, FOR_MS_MAX, &f->at_ms);
    field_u32(r, "for_ms", 1, FOR_MS_MAX, &f->for_ms);
    if (f->kind != FAULT_ELECTED) {
        field_name(r, "party", &party);
        if (r->err == OK && (f->party = party_find(s, party)) == s->party_count)
            json_refuse(r, "party", ERR_NOT_FOUND, "the name of a party");
    }
    return json_reader_done(r);
}

static enum err faults_read(struct scenario *s, struct arena *arena, struct json_reader *r)
{
    if (!json_has(r, "faults")) return r->err;
    const struct json *array = json_read_array(r, "faults", 1, SCENARIO_FAULTS_MAX);
    if (array == NULL) return r->err;
    s->fault = ARENA_ARRAY(arena, struct scenario_fault, array->count);
    if (s->fault == NULL) return ERR_NO_MEMORY;
    for (; s->fault_count < array->count; s->fault_count++) {
        struct json_reader item;
        field_item(&item, r, "faults", s->fault_count, &array->items[s->fault_count]);
        TRY(fault_read(&s->fault[s->fault_count], s, &item));
    }
    return OK;
}

/* It may be larger than the documents that travel (proto/field.h field_document). */
static enum err document(struct json_reader *r, struct arena *arena, struct span bytes,
                         struct json_fault *fault)
{
    static const struct json_fault too_large = {
        .path = "scenario", .expected = "at most 262144 bytes of canonical JSON", .err = ERR_TOO_LARGE};
    const struct json *root = NULL;
    struct span stay;
    _Static_assert(SCENARIO_BYTES_MAX == 262144, "the text above names the limit");
    if (bytes.len > SCENARIO_BYTES_MAX) {
        *fault = too_large;
        return ERR_TOO_LARGE;
    }
    TRY(arena_copy(arena, &stay, bytes));
    TRY(json_parse_borrow(&root, JSON_ROOM_ONE(arena), stay, fault));
    json_reader_init(r, root, "", fault);
    json_read_version(r, "scenario/1");
    return r->err;
}

enum err scenario_parse(struct scenario **out, struct arena *arena, struct span bytes,
                        struct json_fault *fault)
{
    struct json_reader r;
    struct scenario *s = ARENA_NEW(arena, struct scenario);
    if (s == NULL) return ERR_NO_MEMORY;
    TRY(document(&r, arena, bytes, fault));
    field_name(&r, "name", &s->name);
    if (json_has(&r, "description")) field_text(&r, "description", 0, CAP_TEXT, &s->description);
    s->for_ms = FOR_MS;
    read_optional(&r, "for_ms", 1, FOR_MS_MAX, &s->for_ms);
    TRY(parties_read(s, arena, &r));
    check_parties(s, &r);
    charter_read(s, &r);
    if (r.err == OK) check_thresholds(s, &r);
    study_read(s, &r);
    network_read(s, &r);
    if (r.err == OK) TRY(faults_read(s, arena, &r));
    TRY(json_reader_done(&r));
    *out = s;
    return OK;
}
