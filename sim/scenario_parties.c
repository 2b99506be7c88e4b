#include "sim/scenario_parts.h"

#include "proto/base/panic.h"
#include "proto/charter.h"
#include "proto/field.h"
#include "proto/wire/table.h"

#include <string.h>

enum {
    DRIFT_PPM_MAX = 10000,
    LATENCY_MS_MAX = 10000,
    KBPS_MAX = 100000000,
    SPEED_PERCENT_MAX = 10000,
};

void scenario_read_optional(struct json_reader *r, const char *key, uint32_t min, uint32_t max, uint32_t *out)
{
    if (json_has(r, key)) field_u32(r, key, min, max, out);
}

void scenario_read_signed(struct json_reader *r, const char *key, int32_t most, int32_t *out)
{
    int64_t value = *out;
    json_read_int(r, key, -(int64_t)most, most, &value);
    *out = (int32_t)value;
}

const char scenario_region_expected[] = "a region of the table: `perigee sim --regions` lists them";

static bool is_region(struct span name, void *index)
{
    return regions_find(index, name) == OK;
}

static void read_region(struct json_reader *r, struct scenario_party *p)
{
    struct span name;
    field_name(r, "region", &name);
    if (r->err == OK && !is_region(name, &p->region))
        json_refuse(r, "region", ERR_RANGE, scenario_region_expected);
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
    field_list(r, "region", 1, REGIONS_COUNT, is_region, scenario_region_expected, k->region,
               sizeof k->region[0], &k->region_count);
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
    scenario_read_optional(r, "count", 1, SCENARIO_PARTIES_MAX, &k->count);
    k->name = p->name;
    read_regions(r, k, p);
    field_jurisdiction(r, "jurisdiction", &p->jurisdiction);
    charter_read_role_set(r, "roles", &p->roles);
    scenario_read_optional(r, "rows", 1, SCENARIO_ROWS_MAX, &p->rows);
    if (json_has(r, "drift_ppm")) scenario_read_signed(r, "drift_ppm", DRIFT_PPM_MAX, &p->drift_ppm);
    scenario_read_optional(r, "latency_ms", 1, LATENCY_MS_MAX, &p->latency_ms);
    scenario_read_optional(r, "loss_ppm", 0, SCENARIO_LOSS_PPM_MAX, &p->loss_ppm);
    scenario_read_optional(r, "bandwidth_kbps", 8, KBPS_MAX, &p->bandwidth_kbps);
    scenario_read_optional(r, "enclaves", 1, CAP_ENCLAVES, &p->enclaves);
    scenario_read_optional(r, "speed_percent", 1, SPEED_PERCENT_MAX, &p->speed_percent);
    if (json_has(r, "refuses")) json_read_bool(r, "refuses", &p->refuses);
    if (json_has(r, "veto")) json_read_bool(r, "veto", &p->veto);
    if (json_has(r, "maker")) field_name(r, "maker", &maker);
    if (r->err == OK) check_roles(p, r);
    return json_reader_done(r);
}

uint32_t scenario_find_party(const struct scenario *s, struct span name)
{
    uint32_t i = 0;
    while (i < s->party_count && !span_equal(s->party[i].name, name)) i++;
    return i;
}

/* The first of a kind of that name. */
uint32_t scenario_find_kind(const struct scenario *s, struct span name)
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
    bool taken =
        scenario_find_party(s, k->name) < s->party_count || scenario_find_kind(s, k->name) < s->party_count;
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
        scenario_read_optional(&item, "count", 1, SCENARIO_PARTIES_MAX, &count);
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
    const uint32_t maker = scenario_find_party(s, name);
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

enum err scenario_read_parties(struct scenario *s, struct arena *arena, struct json_reader *r)
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

void scenario_refuse_range(struct json_reader *r, const char *key, uint32_t least, uint32_t most,
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
        scenario_refuse_range(r, "parties", 0, most, " devices of one maker", s->maker_devices);
    if (all > CAP_DEVICES) scenario_refuse_range(r, "parties", 0, CAP_DEVICES, " devices", all);
    if (s->party_count - all > CAP_MEMBERS)
        scenario_refuse_range(r, "parties", 0, CAP_MEMBERS, " that are no devices", s->party_count - all);
}

_Static_assert(CAP_CUSTODIANS == 32 && CAP_STEWARDS == 32, "a text below names the caps");

void scenario_check_parties(struct scenario *s, struct json_reader *r)
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
        scenario_refuse_range(r, "parties", 1, CAP_REQUESTERS, " requesters",
                              scenario_count(s, ROLE_REQUESTER));
    check_devices(s, r);
}
void scenario_put_if(struct json_writer *w, const char *key, uint32_t value)
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
    scenario_put_if(w, "bandwidth_kbps", p->bandwidth_kbps);
    if (kind != NULL) field_put_int(w, "count", kind->count);
    if (p->drift_ppm != 0) field_put_int(w, "drift_ppm", p->drift_ppm);
    scenario_put_if(w, "enclaves", p->enclaves);
    field_put_text(w, "jurisdiction", p->jurisdiction);
    scenario_put_if(w, "latency_ms", p->latency_ms);
    scenario_put_if(w, "loss_ppm", p->loss_ppm);
    if (p->roles == ROLE_DEVICE) field_put_text(w, "maker", s->party[p->maker].name);
    field_put_text(w, "name", kind != NULL ? kind->name : p->name);
    if (p->refuses) field_put_bool(w, "refuses", true);
    if (kind != NULL && kind->region_count > 0)
        put_regions(w, kind);
    else
        field_put_word(w, "region", regions_at(p->region)->name);
    charter_put_roles(w, "roles", p->roles);
    scenario_put_if(w, "rows", p->rows);
    scenario_put_if(w, "speed_percent", p->speed_percent);
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

void scenario_put_parties(struct json_writer *w, const struct scenario *s)
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
