#include "sim/scenario_parts.h"

#include "proto/base/panic.h"
#include "proto/charter.h"
#include "proto/core.h"
#include "proto/field.h"

enum { BY_MS_MAX = 3600 * 1000, PER_SECOND_MAX = 1000 };

static const char *const fault_names[FAULT_KIND_COUNT] = {
#define FAULT_NAME(symbol, name, whom, lasts) [symbol] = name,
    SCENARIO_FAULT_TABLE(FAULT_NAME)
#undef FAULT_NAME
};

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

/* --- Whom, when --------------------------------------------------------------------------------------------------------- */

static void read_party(struct json_reader *r, const struct scenario *s, const char *key,
                       struct scenario_side *out)
{
    struct span name;
    field_name(r, key, &name);
    if (r->err != OK || (out->party = scenario_find_party(s, name)) < s->party_count) return;
    out->party = scenario_find_kind(s, name);
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
            json_refuse(r, keys[BY_REGION], ERR_RANGE, scenario_region_expected);
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
    if (whom == FAULT_OF_COMPUTE) return (s->party[party].roles & ROLE_COMPUTE) != 0;
    const uint32_t needed = whom == FAULT_OF_ASKER ? ROLE_REQUESTER : whom == FAULT_OF_MAKER ? ROLE_MAKER : 0;
    const bool plain = (s->party[party].roles & (ROLE_COMPUTE | ROLE_CUSTODIAN | ROLE_DEVICE)) == 0;
    if (whom == FAULT_OF_PLAIN || needed != 0) return plain && (s->party[party].roles & needed) == needed;
    return true;
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
    static const char *const expected[] = {
        [FAULT_OF_PARTY] = "somebody there",
        [FAULT_OF_SIDE] = "somebody there",
        [FAULT_OF_PAIR] = "somebody there",
        [FAULT_OF_OWNER] = "an owner with rows",
        [FAULT_OF_COMPUTE] = "a party with the role compute",
        [FAULT_OF_CUSTODIAN] = "a custodian",
        [FAULT_OF_LESSER] = "no custodian, steward, maker or device",
        [FAULT_OF_PLAIN] = "a party that neither computes nor is a custodian or device",
        [FAULT_OF_ASKER] = "a requester that neither computes nor is a custodian",
        [FAULT_OF_MAKER] = "a maker that neither computes nor is a custodian"};
    const enum scenario_fault_whom whom = scenario_fault_whom(f->kind);
    const uint32_t befallen = count_befallen(s, f);
    if (befallen == 0) json_refuse(r, of_keys[f->of.by], ERR_CONFLICT, expected[whom]);
    if (f->kind == FAULT_ECLIPSE && s->party_count <= SCENARIO_LINKED_MAX)
        json_refuse(r, "kind", ERR_CONFLICT, "more than 64 parties: fewer are all linked with each other");
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
    if ((f->kind == FAULT_PART || f->kind == FAULT_SPLIT) && json_has(r, "oneway"))
        json_read_bool(r, "oneway", &f->oneway);
}

/* One time is over before the next begins: of two things at one moment the one that was planned first comes first, which is the
 * beginning. */
static void read_times(struct scenario_fault *f, struct json_reader *r)
{
    uint32_t times = 1;
    if (!json_has(r, "times")) return;
    field_u32(r, "times", 1, SCENARIO_TIMES_MAX, &times);
    field_u32(r, "every_ms", 1, SCENARIO_FOR_MS_MAX, &f->every_ms);
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
    field_u32(r, "at_ms", 0, SCENARIO_FOR_MS_MAX, &f->at_ms);
    if (scenario_fault_lasts(f->kind)) {
        field_u32(r, "for_ms", 1, SCENARIO_FOR_MS_MAX, &f->for_ms);
        read_times(f, r);
    }
    scenario_read_optional(r, "consortium", 1, s->consortia, &f->consortium);
    read_whom(f, s, r);
    if (f->kind == FAULT_CLOCK) scenario_read_signed(r, "by_ms", BY_MS_MAX, &f->by_ms);
    if (f->kind == FAULT_FLOOD) scenario_read_optional(r, "per_second", 1, PER_SECOND_MAX, &f->per_second);
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

enum err scenario_read_faults(struct scenario *s, struct arena *arena, struct json_reader *r)
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

/* --- Writing ------------------------------------------------------------------------------------------------------------ */

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
    scenario_put_if(w, "consortium", f->consortium);
    if (f->again > 0) field_put_int(w, "every_ms", f->every_ms);
    if (scenario_fault_lasts(f->kind)) field_put_int(w, "for_ms", f->for_ms);
    if (whom != FAULT_OF_NONE) put_side(w, s, &f->of, of_keys, BY_JURISDICTION);
    field_put_word(w, "kind", fault_names[f->kind]);
    if (f->oneway) field_put_bool(w, "oneway", true);
    for (uint32_t by = 0; whom == FAULT_OF_PAIR && by < BY_COUNT; by++)
        put_side(w, s, &f->other, other_keys, (enum scenario_by)by);
    if (whom != FAULT_OF_NONE) put_side(w, s, &f->of, of_keys, BY_PARTY);
    scenario_put_if(w, "per_second", f->per_second);
    if (f->kind == FAULT_REVOKE && phase_name(f->phase) != NULL)
        field_put_word(w, "phase", phase_name(f->phase));
    if (whom != FAULT_OF_NONE) put_side(w, s, &f->of, of_keys, BY_REGION);
    if (f->kind == FAULT_REVOKE) field_put_word(w, "target", target_names[f->target]);
    if (f->again > 0) field_put_int(w, "times", f->again + 1);
    json_end_object(w);
}

void scenario_put_faults(struct json_writer *w, const struct scenario *s)
{
    if (s->fault_count == 0) return;
    json_key(w, "faults");
    json_begin_array(w);
    for (uint32_t i = 0; i < s->fault_count; i++) put_fault(w, s, &s->fault[i]);
    json_end_array(w);
}
