#include "sim/scenario.h"

#include "proto/base/panic.h"
#include "proto/charter.h"
#include "proto/core.h"
#include "proto/field.h"
#include "proto/wire/table.h"
#include "sim/regions.h"

#include <string.h>

enum {
    FOR_MS_MAX = 24 * 3600 * 1000,
    FOUNDED_EVERY_MS_MAX = 3600 * 1000,
    FOR_MS = 600000,
    BY_MS_MAX = 3600 * 1000,
    DRIFT_PPM_MAX = 10000,
    LATENCY_MS_MAX = 10000,
    LOSS_PPM_MAX = 500000,
    KBPS_MAX = 100000000,
    SPEED_PERCENT_MAX = 10000,
    PER_SECOND_MAX = 1000,
};
#define EPSILON_NANO INT64_C(1000000000)

static const char *const fault_names[FAULT_KIND_COUNT] = {
#define FAULT_NAME(symbol, name, whom, lasts) [symbol] = name,
    SCENARIO_FAULT_TABLE(FAULT_NAME)
#undef FAULT_NAME
};

const char *const scenario_crypto_names[SCENARIO_CRYPTO_COUNT] = {"real", "modelled"};

const char scenario_one_expected[] = "1, where the study is run at one machine, too";
const char *const scenario_trust_names[TRUST_COUNT] = {"federated", "central"};

static const char *const target_names[TARGET_COUNT] = {"approval", "recipe", "dataset", "all"};

/* What an enclave says of its run while it works, as its host and so its owners hear it. */
static const char *const phase_names[] = {"attested", "keyed", "computing", "committed"};
static const enum run_state phases[] = {RUN_ATTESTED, RUN_KEYED, RUN_COMPUTING, RUN_COMMITTED};
enum { PHASE_COUNT = sizeof phases / sizeof phases[0] };

enum scenario_fault_whom scenario_fault_whom(enum scenario_fault_kind kind)
{
    static const enum scenario_fault_whom whom_of[FAULT_KIND_COUNT] = {
#define FAULT_WHOM(symbol, name, whom, lasts) [symbol] = whom,
        SCENARIO_FAULT_TABLE(FAULT_WHOM)
#undef FAULT_WHOM
    };
    return whom_of[kind];
}

bool scenario_fault_lasts(enum scenario_fault_kind kind)
{
    static const bool lasts_of[FAULT_KIND_COUNT] = {
#define FAULT_LASTS(symbol, name, whom, lasts) [symbol] = lasts,
        SCENARIO_FAULT_TABLE(FAULT_LASTS)
#undef FAULT_LASTS
    };
    return lasts_of[kind];
}

/* --- Parties ---------------------------------------------------------------------------------------------------------- */

static void read_optional(struct json_reader *r, const char *key, uint32_t min, uint32_t max, uint32_t *out)
{
    if (json_has(r, key)) field_u32(r, key, min, max, out);
}

static void read_signed(struct json_reader *r, const char *key, int32_t most, int32_t *out)
{
    int64_t value = *out;
    json_read_int(r, key, -(int64_t)most, most, &value);
    *out = (int32_t)value;
}

static const char region_expected[] = "a region of the table: `perigee sim --regions` lists them";

static bool is_region(struct span name, void *index)
{
    return regions_find(index, name) == OK;
}

static void read_region(struct json_reader *r, struct scenario_party *p)
{
    struct span name;
    field_name(r, "region", &name);
    if (r->err == OK && !is_region(name, &p->region)) json_refuse(r, "region", ERR_RANGE, region_expected);
}

/* One for all of the kind, or several. */
static void read_regions(struct json_reader *r, struct scenario_kind *k, struct scenario_party *p)
{
    const struct json *value = json_read_any(r, "region");
    if (value == NULL || value->type != JSON_TYPE_ARRAY) {
        read_region(r, p);
        return;
    }
    if (k->count == 0) json_refuse(r, "region", ERR_CONFLICT, "one region, where there is no `count`");
    field_list(r, "region", 1, REGIONS_COUNT, is_region, region_expected, k->region, sizeof k->region[0],
               &k->region_count);
}

static void check_roles(const struct scenario_party *p, struct json_reader *r)
{
    const bool device = (p->roles & ROLE_DEVICE) != 0;
    if (p->rows > 0 && (p->roles & ROLE_OWNER) == 0)
        json_refuse(r, "rows", ERR_CONFLICT, "rows of an owner only");
    if ((p->refuses || p->veto) && p->rows == 0)
        json_refuse(r, p->refuses ? "refuses" : "veto", ERR_CONFLICT, "an owner with rows");
    if (device && p->roles != ROLE_DEVICE)
        json_refuse(r, "roles", ERR_CONFLICT, "device alone, beside no other role");
    if (json_has(r, "maker") != device) json_refuse(r, "maker", ERR_CONFLICT, "the maker of a device");
    if ((p->enclaves | p->speed_percent) != 0 && (p->roles & ROLE_COMPUTE) == 0)
        json_refuse(r, p->enclaves != 0 ? "enclaves" : "speed_percent", ERR_CONFLICT,
                    "a party with the role compute");
}

/* One of its kind. Its maker is read when all parties are there. */
static enum err party_read(struct scenario_party *p, struct scenario_kind *k, struct json_reader *r)
{
    struct span maker;
    field_name(r, "name", &p->name);
    read_optional(r, "count", 1, SCENARIO_PARTIES_MAX, &k->count);
    k->name = p->name;
    read_regions(r, k, p);
    field_jurisdiction(r, "jurisdiction", &p->jurisdiction);
    charter_read_role_set(r, "roles", &p->roles);
    read_optional(r, "rows", 1, SCENARIO_ROWS_MAX, &p->rows);
    if (json_has(r, "drift_ppm")) read_signed(r, "drift_ppm", DRIFT_PPM_MAX, &p->drift_ppm);
    read_optional(r, "latency_ms", 1, LATENCY_MS_MAX, &p->latency_ms);
    read_optional(r, "loss_ppm", 0, LOSS_PPM_MAX, &p->loss_ppm);
    read_optional(r, "bandwidth_kbps", 8, KBPS_MAX, &p->bandwidth_kbps);
    read_optional(r, "enclaves", 1, CAP_ENCLAVES, &p->enclaves);
    read_optional(r, "speed_percent", 1, SPEED_PERCENT_MAX, &p->speed_percent);
    if (json_has(r, "refuses")) json_read_bool(r, "refuses", &p->refuses);
    if (json_has(r, "veto")) json_read_bool(r, "veto", &p->veto);
    if (json_has(r, "maker")) field_name(r, "maker", &maker);
    if (r->err == OK) check_roles(p, r);
    return json_reader_done(r);
}

static uint32_t party_find(const struct scenario *s, struct span name)
{
    uint32_t i = 0;
    while (i < s->party_count && !span_equal(s->party[i].name, name)) i++;
    return i;
}

/* The first of a kind of that name. */
static uint32_t kind_find(const struct scenario *s, struct span name)
{
    uint32_t i = 0;
    while (i < s->party_count && (s->party[i].kind == NULL || !span_equal(s->party[i].kind->name, name))) i++;
    return i;
}

enum { NUMBER_CHARS = 6 }; /* of one of a kind, with what stands before it */

static struct span numbered(struct buffer *out, struct span name, uint32_t number)
{
    out->len = 0;
    buffer_put(out, name);
    buffer_put_u8(out, '-');
    buffer_put_decimal(out, number);
    ASSERT(!out->overflow);
    return buffer_span(out);
}

/* Is that the name of one of this kind? */
static bool is_of(const struct scenario_kind *k, struct span name)
{
    uint32_t number = 0;
    size_t at = k->name.len;
    if (name.len <= at + 1 || name.len > at + NUMBER_CHARS || name.data[at++] != '-') return false;
    if (memcmp(name.data, k->name.data, k->name.len) != 0 || name.data[at] == '0') return false;
    for (; at < name.len && name.data[at] >= '0' && name.data[at] <= '9'; at++)
        number = number * 10 + name.data[at] - '0';
    return at == name.len && number <= k->count;
}

/* Names tell parties and kinds apart. */
static void check_name(const struct scenario *s, const struct scenario_kind *k, struct json_reader *r)
{
    bool taken = party_find(s, k->name) < s->party_count || kind_find(s, k->name) < s->party_count;
    for (uint32_t i = 0; !taken && i < s->party_count; i++) taken = is_of(k, s->party[i].name);
    if (taken) json_refuse(r, "name", ERR_DUPLICATE, "a name that no other party has");
    if (k->count > 0 && k->name.len + NUMBER_CHARS > CAP_NAME)
        json_refuse(r, "name", ERR_RANGE, "at most 58 characters, numbers being put behind it");
}
_Static_assert(CAP_NAME - NUMBER_CHARS == 58 && SCENARIO_PARTIES_MAX < 100000, "the text above");

static enum err add_kind(struct scenario *s, struct arena *arena, const struct scenario_party *one,
                         const struct scenario_kind *k)
{
    uint8_t bytes[CAP_NAME];
    struct buffer b = BUFFER_OF(bytes);
    struct scenario_kind *kept = ARENA_NEW(arena, struct scenario_kind);
    if (kept == NULL) return ERR_NO_MEMORY;
    *kept = *k;
    for (uint32_t i = 0; i < k->count; i++) {
        struct scenario_party *p = &s->party[s->party_count++];
        *p = *one;
        p->kind = kept;
        if (k->region_count > 0) p->region = k->region[i % k->region_count];
        TRY(arena_copy(arena, &p->name, numbered(&b, k->name, i + 1)));
    }
    return OK;
}

/* How many they are, all told; 0: too many, or not well said. */
static uint32_t count_parties(const struct json *array, struct json_reader *r)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < array->count; i++) {
        uint32_t count = 1;
        struct json_reader item;
        field_item(&item, r, "parties", i, &array->items[i]);
        read_optional(&item, "count", 1, SCENARIO_PARTIES_MAX, &count);
        sum += count;
        if (item.err == OK && sum > SCENARIO_PARTIES_MAX)
            json_refuse(&item, "count", ERR_RANGE, "at most 16384 parties in all");
        if (item.err != OK) r->err = item.err;
        if (item.err != OK) return 0;
    }
    return sum;
}
_Static_assert(SCENARIO_PARTIES_MAX == 16384, "the text above");

/* All parties are there by now. */
static void maker_read(struct scenario *s, uint32_t first, uint32_t count, struct json_reader *r)
{
    struct span name;
    field_name(r, "maker", &name);
    const uint32_t maker = party_find(s, name);
    if (maker == s->party_count || (s->party[maker].roles & ROLE_MAKER) == 0) {
        json_refuse(r, "maker", ERR_NOT_FOUND, "the name of a party with the role maker");
        return;
    }
    s->party[maker].devices += count;
    for (uint32_t i = 0; i < count; i++) s->party[first + i].maker = maker;
}

static enum err makers_read(struct scenario *s, const struct json *array, struct json_reader *r)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < array->count; i++) {
        struct json_reader item;
        const struct scenario_party *p = &s->party[first];
        const uint32_t count = p->kind != NULL ? p->kind->count : 1;
        field_item(&item, r, "parties", i, &array->items[i]);
        if (p->roles == ROLE_DEVICE) maker_read(s, first, count, &item);
        if (item.err != OK) return item.err;
        first += count;
    }
    return OK;
}

static enum err parties_read(struct scenario *s, struct arena *arena, struct json_reader *r)
{
    const struct json *array = json_read_array(r, "parties", 1, SCENARIO_PARTIES_MAX);
    const uint32_t count = array != NULL ? count_parties(array, r) : 0;
    if (count == 0) return r->err;
    s->party = ARENA_ARRAY(arena, struct scenario_party, count);
    if (s->party == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < array->count; i++) {
        struct json_reader item;
        struct scenario_kind kind = {.count = 0};
        struct scenario_party *p = &s->party[s->party_count];
        field_item(&item, r, "parties", i, &array->items[i]);
        TRY(party_read(p, &kind, &item));
        check_name(s, &kind, &item);
        if (item.err != OK) return item.err;
        const struct scenario_party one = *p;
        if (kind.count > 0)
            TRY(add_kind(s, arena, &one, &kind));
        else
            s->party_count++;
    }
    return makers_read(s, array, r);
}

uint32_t scenario_count(const struct scenario *s, uint32_t roles)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->party_count; i++) count += (s->party[i].roles & roles) != 0;
    return count;
}

uint32_t scenario_enclaves(const struct scenario_party *p)
{
    return p->enclaves > 0 ? p->enclaves : SCENARIO_ENCLAVES;
}

uint64_t scenario_compute_ns(const struct scenario *s, const struct scenario_party *p)
{
    return (uint64_t)s->compute_ms * 1000000 * 100 / (p->speed_percent > 0 ? p->speed_percent : 100);
}

static uint32_t inputs_of(const struct scenario *s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->party_count; i++) count += s->party[i].rows > 0;
    return count;
}

uint32_t scenario_willing(const struct scenario *s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->party_count; i++) count += s->party[i].rows > 0 && !s->party[i].refuses;
    return count;
}

static void refuse_range(struct json_reader *r, const char *key, uint32_t least, uint32_t most,
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

/* As many as the protocol lets one maker have, and all together: of their table an author has a quarter at most. */
static void check_devices(struct scenario *s, struct json_reader *r)
{
    const uint32_t all = scenario_count(s, ROLE_DEVICE), quarter = CAP_DEVICES / 4;
    const uint32_t most = CAP_MAKER_DEVICES < quarter ? CAP_MAKER_DEVICES : quarter;
    for (uint32_t i = 0; i < s->party_count; i++)
        if (s->party[i].devices > s->maker_devices) s->maker_devices = s->party[i].devices;
    if (s->maker_devices > most)
        refuse_range(r, "parties", 0, most, " devices of one maker", s->maker_devices);
    if (all > CAP_DEVICES) refuse_range(r, "parties", 0, CAP_DEVICES, " devices", all);
    if (s->party_count - all > CAP_MEMBERS)
        refuse_range(r, "parties", 0, CAP_MEMBERS, " that are no devices", s->party_count - all);
}

_Static_assert(CAP_CUSTODIANS == 32 && CAP_STEWARDS == 32, "a text below names the caps");

static void check_parties(struct scenario *s, struct json_reader *r)
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
    else if (scenario_willing(s) == 0)
        json_refuse(r, "parties", ERR_RANGE, "an owner with rows that approves");
    if (scenario_count(s, ROLE_REQUESTER) > CAP_REQUESTERS)
        refuse_range(r, "parties", 1, CAP_REQUESTERS, " requesters", scenario_count(s, ROLE_REQUESTER));
    check_devices(s, r);
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
    const uint32_t n = scenario_count(s, ROLE_CUSTODIAN), willing = scenario_willing(s);
    s->f = n > 0 ? (n - 1) / 3 : 0;
    follow_f(s);
    s->s = scenario_count(s, ROLE_STEWARD) / 2 + 1;
    s->k = willing < 2 ? willing : 2;
    s->lease_ms = 10000;
    s->rank_delay_ms = 800;
    s->skew_max_ms = 60000;
}

/* What the charter will ask for when it is written, in the words of who wrote the scenario. */
/* proto/charter.c check_thresholds: quorums of q intersect in one honest custodian, and n - f are always enough. */
static void check_thresholds(const struct scenario *s, struct json_reader *r)
{
    const uint32_t n = scenario_count(s, ROLE_CUSTODIAN), stewards = scenario_count(s, ROLE_STEWARD);
    const uint32_t f_most = (n - 1) / 3;
    if (s->f > f_most) {
        refuse_range(r, "charter.f", 0, f_most, " custodians (3 f < n)", n);
        return;
    }
    const uint32_t q_least = (n + s->f) / 2 + 1, q_most = n - s->f;
    if (s->q < q_least || s->q > q_most)
        refuse_range(r, "charter.q", q_least, q_most, " custodians of which f may fail", n);
    const uint32_t t_least = n + s->f + 1 > s->q + s->f ? n + s->f + 1 - s->q : s->f + 1;
    if (s->t < t_least || s->t > t_most(n, s->f))
        refuse_range(r, "charter.t", t_least, t_most(n, s->f), " custodians of which f may fail", n);
    if (s->s <= stewards / 2 || s->s > stewards)
        refuse_range(r, "charter.s", stewards / 2 + 1, stewards, " stewards", stewards);
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
    if (s->k > scenario_willing(s)) json_refuse(&r, "k", ERR_RANGE, "at most as many as owners approve");
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
    read_optional(&r, "expires_ms", 1000, FOR_MS_MAX, &s->expires_ms);
    if (json_has(&r, "go_on")) json_read_bool(&r, "go_on", &s->go_on);
    if (json_has(&r, "race")) json_read_bool(&r, "race", &s->race);
    parent->err = json_reader_done(&r);
}

static void network_read(struct scenario *s, struct json_reader *parent)
{
    struct json_reader r;
    if (!json_has(parent, "network")) return;
    field_object(&r, parent, "network");
    read_optional(&r, "loss_ppm", 0, LOSS_PPM_MAX, &s->loss_ppm);
    parent->err = json_reader_done(&r);
}

/* --- Faults ------------------------------------------------------------------------------------------------------------------ */

static void read_party(struct json_reader *r, const struct scenario *s, const char *key,
                       struct scenario_side *out)
{
    struct span name;
    field_name(r, key, &name);
    if (r->err != OK || (out->party = party_find(s, name)) < s->party_count) return;
    out->party = kind_find(s, name);
    if (out->party < s->party_count)
        out->more = s->party[out->party].kind->count - 1;
    else
        json_refuse(r, key, ERR_NOT_FOUND, "the name of a party, or of a kind of them");
}

/* The key by which a side is named; BY_COUNT: by none of them, or by more than one. */
static enum scenario_by named_by(struct json_reader *r, const char *const keys[BY_COUNT])
{
    enum scenario_by by = BY_COUNT;
    uint32_t named = 0;
    for (uint32_t i = 0; i < BY_COUNT; i++) {
        if (!json_has(r, keys[i])) continue;
        by = (enum scenario_by)i;
        named++;
    }
    return named == 1 ? by : BY_COUNT;
}

static void read_side(struct scenario_side *out, const struct scenario *s, struct json_reader *r,
                      const char *const keys[BY_COUNT], const char *expected)
{
    struct span region;
    out->by = named_by(r, keys);
    switch (out->by) {
    case BY_PARTY: read_party(r, s, keys[BY_PARTY], out); break;
    case BY_JURISDICTION: field_jurisdiction(r, keys[BY_JURISDICTION], &out->jurisdiction); break;
    case BY_REGION:
        field_name(r, keys[BY_REGION], &region);
        if (r->err == OK && regions_find(&out->region, region) != OK)
            json_refuse(r, keys[BY_REGION], ERR_RANGE, region_expected);
        break;
    case BY_COUNT: json_refuse(r, keys[BY_PARTY], ERR_NOT_FOUND, expected); break;
    }
}

bool scenario_has(const struct scenario *s, const struct scenario_side *side, uint32_t party)
{
    const struct scenario_party *p = &s->party[party];
    switch (side->by) {
    case BY_PARTY: return party >= side->party && party - side->party <= side->more;
    case BY_JURISDICTION: return span_equal(side->jurisdiction, p->jurisdiction);
    case BY_REGION: return side->region == p->region;
    case BY_COUNT: break;
    }
    UNREACHABLE();
}

bool scenario_befalls(const struct scenario *s, const struct scenario_fault *f, uint32_t party)
{
    const enum scenario_fault_whom whom = scenario_fault_whom(f->kind);
    if (whom == FAULT_OF_NONE || !scenario_has(s, &f->of, party)) return false;
    if (whom == FAULT_OF_OWNER) return s->party[party].rows > 0;
    if (whom == FAULT_OF_CUSTODIAN) return (s->party[party].roles & ROLE_CUSTODIAN) != 0;
    if (whom == FAULT_OF_LESSER)
        return (s->party[party].roles & (ROLE_CUSTODIAN | ROLE_STEWARD | ROLE_MAKER | ROLE_DEVICE)) == 0;
    return whom != FAULT_OF_COMPUTE || (s->party[party].roles & ROLE_COMPUTE) != 0;
}

/* How many parties it befalls; of two sides, how many are on both. */
static uint32_t count_befallen(const struct scenario *s, const struct scenario_fault *f)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->party_count; i++) count += scenario_befalls(s, f, i);
    return count;
}

static uint32_t count_on_both(const struct scenario *s, const struct scenario_fault *f)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->party_count; i++)
        count += scenario_has(s, &f->of, i) && scenario_has(s, &f->other, i);
    return count;
}

static bool is_nobody(const struct scenario *s, const struct scenario_side *side)
{
    uint32_t i = 0;
    while (i < s->party_count && !scenario_has(s, side, i)) i++;
    return i == s->party_count;
}

static const char *const of_keys[BY_COUNT] = {"party", "jurisdiction", "region"};
static const char *const other_keys[BY_COUNT] = {"other", "other_jurisdiction", "other_region"};

/* Whom it befalls must be there, or the fault would be none. */
static void check_whom(const struct scenario_fault *f, const struct scenario *s, struct json_reader *r)
{
    static const char *const expected[] = {[FAULT_OF_PARTY] = "somebody there",
                                           [FAULT_OF_SIDE] = "somebody there",
                                           [FAULT_OF_PAIR] = "somebody there",
                                           [FAULT_OF_OWNER] = "an owner with rows",
                                           [FAULT_OF_COMPUTE] = "a party with the role compute",
                                           [FAULT_OF_CUSTODIAN] = "a custodian",
                                           [FAULT_OF_LESSER] = "no custodian, steward, maker or device"};
    const enum scenario_fault_whom whom = scenario_fault_whom(f->kind);
    const uint32_t befallen = count_befallen(s, f);
    if (befallen == 0) json_refuse(r, of_keys[f->of.by], ERR_CONFLICT, expected[whom]);
    if (whom == FAULT_OF_SIDE && befallen == s->party_count)
        json_refuse(r, of_keys[f->of.by], ERR_CONFLICT, "somebody left on the other side");
    if (whom != FAULT_OF_PAIR) return;
    if (is_nobody(s, &f->other)) json_refuse(r, other_keys[f->other.by], ERR_CONFLICT, "somebody there");
    if (count_on_both(s, f) > 0)
        json_refuse(r, other_keys[f->other.by], ERR_DUPLICATE, "nobody who is on the first side");
}

static void read_whom(struct scenario_fault *f, const struct scenario *s, struct json_reader *r)
{
    const enum scenario_fault_whom whom = scenario_fault_whom(f->kind);
    if (whom == FAULT_OF_NONE) return;
    read_side(&f->of, s, r, of_keys, "one of party, jurisdiction, region");
    if (whom == FAULT_OF_PAIR)
        read_side(&f->other, s, r, other_keys, "one of other, other_jurisdiction, other_region");
    if ((whom == FAULT_OF_SIDE || whom == FAULT_OF_PAIR) && json_has(r, "oneway"))
        json_read_bool(r, "oneway", &f->oneway);
}

/* One time is over before the next begins: of two things at one moment the one that was planned first comes first, which is the
 * beginning. */
static void read_times(struct scenario_fault *f, struct json_reader *r)
{
    uint32_t times = 1;
    if (!json_has(r, "times")) return;
    field_u32(r, "times", 1, SCENARIO_TIMES_MAX, &times);
    field_u32(r, "every_ms", 1, FOR_MS_MAX, &f->every_ms);
    f->again = times - 1;
    if (r->err == OK && f->every_ms <= f->for_ms)
        json_refuse(r, "every_ms", ERR_RANGE, "more than for_ms: one time is over before the next begins");
}

static void read_revocation(struct scenario_fault *f, struct json_reader *r)
{
    uint32_t target = TARGET_ALL, phase = 0;
    if (json_has(r, "target")) json_read_enum(r, "target", target_names, TARGET_COUNT, &target);
    f->target = (enum scenario_target)target;
    f->phase = RUN_STATE_COUNT;
    if (!json_has(r, "phase")) return;
    json_read_enum(r, "phase", phase_names, PHASE_COUNT, &phase);
    f->phase = phases[phase];
}

static enum err fault_read(struct scenario_fault *f, const struct scenario *s, struct json_reader *r)
{
    uint32_t kind = 0;
    json_read_enum(r, "kind", fault_names, FAULT_KIND_COUNT, &kind);
    f->kind = (enum scenario_fault_kind)kind;
    field_u32(r, "at_ms", 0, FOR_MS_MAX, &f->at_ms);
    if (scenario_fault_lasts(f->kind)) {
        field_u32(r, "for_ms", 1, FOR_MS_MAX, &f->for_ms);
        read_times(f, r);
    }
    read_optional(r, "consortium", 1, s->consortia, &f->consortium);
    read_whom(f, s, r);
    if (f->kind == FAULT_CLOCK) read_signed(r, "by_ms", BY_MS_MAX, &f->by_ms);
    if (f->kind == FAULT_FLOOD) read_optional(r, "per_second", 1, PER_SECOND_MAX, &f->per_second);
    if (f->kind == FAULT_REVOKE) read_revocation(f, r);
    return json_reader_done(r);
}

/* After so many consortia all stand where they stood in the first: the least common multiple of what kinds have regions. */
static uint32_t turns(const struct scenario *s)
{
    uint64_t turns = 1;
    for (uint32_t i = 0; i < s->party_count && turns < s->consortia; i++) {
        const uint64_t regions = s->party[i].kind != NULL ? s->party[i].kind->region_count : 0;
        uint64_t step = turns;
        while (regions > 0 && turns % regions != 0) turns += step;
    }
    return turns < s->consortia ? (uint32_t)turns : s->consortia;
}

/* In each consortium that it comes to. */
static enum err check_there(const struct scenario_fault *f, const struct scenario *s, struct arena *arena,
                            struct json_reader *r)
{
    if (scenario_fault_whom(f->kind) == FAULT_OF_NONE) return r->err;
    const uint32_t first = f->consortium != 0 ? f->consortium - 1 : 0,
                   end = f->consortium != 0 ? f->consortium : turns(s);
    for (uint32_t i = first; i < end && r->err == OK; i++) {
        const struct scenario *there;
        const size_t mark = arena_mark(arena);
        TRY(scenario_turned(&there, arena, s, i));
        check_whom(f, there, r);
        arena_release(arena, mark);
    }
    return r->err;
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
        TRY(check_there(&s->fault[s->fault_count], s, arena, &item));
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

uint32_t scenario_nodes(const struct scenario *s)
{
    return s->consortia * s->party_count;
}

enum err scenario_turned(const struct scenario **out, struct arena *arena, const struct scenario *s,
                         uint32_t consortium)
{
    *out = s;
    if (consortium == 0) return OK;
    struct scenario *turned = ARENA_NEW(arena, struct scenario);
    if (turned == NULL) return ERR_NO_MEMORY;
    *turned = *s;
    turned->party = ARENA_ARRAY(arena, struct scenario_party, s->party_count);
    if (turned->party == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0, nth = 0; i < s->party_count; i++) {
        struct scenario_party *p = &turned->party[i];
        *p = s->party[i];
        nth = i > 0 && p->kind == s->party[i - 1].kind ? nth + 1 : 0;
        if (p->kind != NULL && p->kind->region_count > 0)
            p->region = p->kind->region[(nth + consortium) % p->kind->region_count];
    }
    *out = turned;
    return OK;
}

/* After parties, and how the study is run. */
static void consortia_read(struct scenario *s, struct json_reader *r)
{
    s->consortia = 1;
    read_optional(r, "consortia", 1, SCENARIO_NODES_MAX, &s->consortia);
    if (r->err == OK && s->consortia > SCENARIO_NODES_MAX / s->party_count)
        json_refuse(r, "consortia", ERR_RANGE, "at most 131072 nodes in all");
    if (r->err == OK && s->consortia > 1 && s->trust == TRUST_CENTRAL)
        json_refuse(r, "consortia", ERR_CONFLICT, scenario_one_expected);
    read_optional(r, "founded_every_ms", 0, FOUNDED_EVERY_MS_MAX, &s->founded_every_ms);
    if (r->err == OK && s->founded_every_ms > 0 && s->consortia == 1)
        json_refuse(r, "founded_every_ms", ERR_CONFLICT, "more than one of consortia, which this parts");
}
_Static_assert(SCENARIO_NODES_MAX == 131072, "the text above");

static void crypto_read(struct scenario *s, struct json_reader *r)
{
    uint32_t crypto = SCENARIO_CRYPTO_REAL;
    if (json_has(r, "crypto"))
        json_read_enum(r, "crypto", scenario_crypto_names, SCENARIO_CRYPTO_COUNT, &crypto);
    else if (r->err == OK && scenario_nodes(s) > SCENARIO_UNSAID_MAX)
        json_refuse(r, "crypto", ERR_RANGE, "a choice, real or modelled, with more than 1000 parties");
    s->crypto = (enum scenario_crypto)crypto;
}
_Static_assert(SCENARIO_UNSAID_MAX == 1000, "the text above");

enum err scenario_parse(struct scenario **out, struct arena *arena, struct span bytes,
                        struct json_fault *fault)
{
    struct json_reader r;
    uint32_t trust = TRUST_FEDERATED;
    struct scenario *s = ARENA_NEW(arena, struct scenario);
    if (s == NULL) return ERR_NO_MEMORY;
    TRY(document(&r, arena, bytes, fault));
    field_name(&r, "name", &s->name);
    if (json_has(&r, "description")) field_text(&r, "description", 0, CAP_TEXT, &s->description);
    if (json_has(&r, "trust")) json_read_enum(&r, "trust", scenario_trust_names, TRUST_COUNT, &trust);
    s->trust = (enum scenario_trust)trust;
    s->for_ms = FOR_MS;
    read_optional(&r, "for_ms", 1, FOR_MS_MAX, &s->for_ms);
    TRY(parties_read(s, arena, &r));
    check_parties(s, &r);
    consortia_read(s, &r);
    crypto_read(s, &r);
    charter_read(s, &r);
    if (r.err == OK) check_thresholds(s, &r);
    study_read(s, &r);
    network_read(s, &r);
    if (r.err == OK) TRY(faults_read(s, arena, &r));
    TRY(json_reader_done(&r));
    *out = s;
    return OK;
}

/* --- Writing ----------------------------------------------------------------------------------------------------------------- */

static void put_if(struct json_writer *w, const char *key, uint32_t value)
{
    if (value > 0) field_put_int(w, key, value);
}

static void put_regions(struct json_writer *w, const struct scenario_kind *k)
{
    struct span name[REGIONS_COUNT];
    for (uint32_t i = 0; i < k->region_count; i++) name[i] = span_text(regions_at(k->region[i])->name);
    field_put_texts(w, "region", name, k->region_count);
}

/* `kind`: of all of these; NULL: of one. */
static void put_party(struct json_writer *w, const struct scenario *s, const struct scenario_party *p,
                      const struct scenario_kind *kind)
{
    json_begin_object(w);
    put_if(w, "bandwidth_kbps", p->bandwidth_kbps);
    if (kind != NULL) field_put_int(w, "count", kind->count);
    if (p->drift_ppm != 0) field_put_int(w, "drift_ppm", p->drift_ppm);
    put_if(w, "enclaves", p->enclaves);
    field_put_text(w, "jurisdiction", p->jurisdiction);
    put_if(w, "latency_ms", p->latency_ms);
    put_if(w, "loss_ppm", p->loss_ppm);
    if (p->roles == ROLE_DEVICE) field_put_text(w, "maker", s->party[p->maker].name);
    field_put_text(w, "name", kind != NULL ? kind->name : p->name);
    if (p->refuses) field_put_bool(w, "refuses", true);
    if (kind != NULL && kind->region_count > 0)
        put_regions(w, kind);
    else
        field_put_word(w, "region", regions_at(p->region)->name);
    charter_put_roles(w, "roles", p->roles);
    put_if(w, "rows", p->rows);
    put_if(w, "speed_percent", p->speed_percent);
    if (p->veto) field_put_bool(w, "veto", true);
    json_end_object(w);
}

/* The kind that begins here, if all of it is here still. */
static const struct scenario_kind *whole_kind(const struct scenario *s, uint32_t at)
{
    const struct scenario_kind *kind = s->party[at].kind;
    if (kind == NULL || kind->count > s->party_count - at) return NULL;
    for (uint32_t i = 0; i < kind->count; i++)
        if (s->party[at + i].kind != kind) return NULL;
    return kind;
}

static void put_parties(struct json_writer *w, const struct scenario *s)
{
    json_key(w, "parties");
    json_begin_array(w);
    for (uint32_t i = 0; i < s->party_count;) {
        const struct scenario_kind *kind = whole_kind(s, i);
        put_party(w, s, &s->party[i], kind);
        i += kind != NULL ? kind->count : 1;
    }
    json_end_array(w);
}

static void put_charter(struct json_writer *w, const struct scenario *s)
{
    json_key(w, "charter");
    json_begin_object(w);
    field_put_int(w, "f", s->f);
    field_put_int(w, "k", s->k);
    field_put_int(w, "lease_ms", s->lease_ms);
    field_put_int(w, "q", s->q);
    field_put_int(w, "rank_delay_ms", s->rank_delay_ms);
    field_put_int(w, "s", s->s);
    field_put_int(w, "skew_max_ms", s->skew_max_ms);
    field_put_int(w, "t", s->t);
    json_end_object(w);
}

static void put_study(struct json_writer *w, const struct scenario *s)
{
    json_key(w, "study");
    json_begin_object(w);
    field_put_int(w, "compute_ms", s->compute_ms);
    field_put_decimal(w, "epsilon", (int64_t)s->epsilon_nano, 9);
    field_put_int(w, "every_ms", s->every_ms);
    put_if(w, "expires_ms", s->expires_ms);
    if (s->go_on) field_put_bool(w, "go_on", true);
    if (s->race) field_put_bool(w, "race", true);
    field_put_int(w, "runs", s->runs);
    json_end_object(w);
}

static const char *phase_name(uint32_t phase)
{
    uint32_t i = 0;
    while (i < PHASE_COUNT && (uint32_t)phases[i] != phase) i++;
    return i < PHASE_COUNT ? phase_names[i] : NULL;
}

/* A side under its key, where that is this one: keys stand in the order of their names. */
static void put_side(struct json_writer *w, const struct scenario *s, const struct scenario_side *side,
                     const char *const keys[BY_COUNT], enum scenario_by by)
{
    if (side->by != by) return;
    switch (by) {
    case BY_PARTY: {
        const struct scenario_party *p = &s->party[side->party];
        field_put_text(w, keys[by], side->more > 0 ? p->kind->name : p->name);
        break;
    }
    case BY_JURISDICTION: field_put_text(w, keys[by], side->jurisdiction); break;
    case BY_REGION: field_put_word(w, keys[by], regions_at(side->region)->name); break;
    case BY_COUNT: UNREACHABLE();
    }
}

static void put_fault(struct json_writer *w, const struct scenario *s, const struct scenario_fault *f)
{
    const enum scenario_fault_whom whom = scenario_fault_whom(f->kind);
    json_begin_object(w);
    field_put_int(w, "at_ms", f->at_ms);
    if (f->kind == FAULT_CLOCK) field_put_int(w, "by_ms", f->by_ms);
    put_if(w, "consortium", f->consortium);
    if (f->again > 0) field_put_int(w, "every_ms", f->every_ms);
    if (scenario_fault_lasts(f->kind)) field_put_int(w, "for_ms", f->for_ms);
    if (whom != FAULT_OF_NONE) put_side(w, s, &f->of, of_keys, BY_JURISDICTION);
    field_put_word(w, "kind", fault_names[f->kind]);
    if (f->oneway) field_put_bool(w, "oneway", true);
    for (uint32_t by = 0; whom == FAULT_OF_PAIR && by < BY_COUNT; by++)
        put_side(w, s, &f->other, other_keys, (enum scenario_by)by);
    if (whom != FAULT_OF_NONE) put_side(w, s, &f->of, of_keys, BY_PARTY);
    put_if(w, "per_second", f->per_second);
    if (f->kind == FAULT_REVOKE && phase_name(f->phase) != NULL)
        field_put_word(w, "phase", phase_name(f->phase));
    if (whom != FAULT_OF_NONE) put_side(w, s, &f->of, of_keys, BY_REGION);
    if (f->kind == FAULT_REVOKE) field_put_word(w, "target", target_names[f->target]);
    if (f->again > 0) field_put_int(w, "times", f->again + 1);
    json_end_object(w);
}

static void put_faults(struct json_writer *w, const struct scenario *s)
{
    if (s->fault_count == 0) return;
    json_key(w, "faults");
    json_begin_array(w);
    for (uint32_t i = 0; i < s->fault_count; i++) put_fault(w, s, &s->fault[i]);
    json_end_array(w);
}

enum err scenario_write(struct buffer *out, const struct scenario *s)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_begin_object(&w);
    put_charter(&w, s);
    if (s->consortia > 1) field_put_int(&w, "consortia", s->consortia);
    if (s->crypto != SCENARIO_CRYPTO_REAL || scenario_nodes(s) > SCENARIO_UNSAID_MAX)
        field_put_word(&w, "crypto", scenario_crypto_names[s->crypto]);
    if (s->description.len > 0) field_put_text(&w, "description", s->description);
    put_faults(&w, s);
    field_put_int(&w, "for_ms", s->for_ms);
    if (s->founded_every_ms > 0) field_put_int(&w, "founded_every_ms", s->founded_every_ms);
    field_put_text(&w, "name", s->name);
    json_key(&w, "network");
    json_begin_object(&w);
    field_put_int(&w, "loss_ppm", s->loss_ppm);
    json_end_object(&w);
    put_parties(&w, s);
    field_put_word(&w, "perigee", "scenario/1");
    put_study(&w, s);
    if (s->trust != TRUST_FEDERATED) field_put_word(&w, "trust", scenario_trust_names[s->trust]);
    json_end_object(&w);
    return buffer_done(out);
}
