#include "sim/scenario_parts.h"

#include "proto/charter.h"
#include "proto/field.h"
#include "proto/wire/table.h"

enum { FOUNDED_EVERY_MS_MAX = 3600 * 1000, FOR_MS = 600000 };
#define EPSILON_NANO INT64_C(1000000000)

const char *const scenario_crypto_names[SCENARIO_CRYPTO_COUNT] = {"real", "modelled"};

const char scenario_one_expected[] = "1, where the study is run at one machine, too";
const char *const scenario_trust_names[TRUST_COUNT] = {"federated", "central"};

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
        scenario_refuse_range(r, "charter.f", 0, f_most, " custodians (3 f < n)", n);
        return;
    }
    const uint32_t q_least = (n + s->f) / 2 + 1, q_most = n - s->f;
    if (s->q < q_least || s->q > q_most)
        scenario_refuse_range(r, "charter.q", q_least, q_most, " custodians of which f may fail", n);
    const uint32_t t_least = n + s->f + 1 > s->q + s->f ? n + s->f + 1 - s->q : s->f + 1;
    if (s->t < t_least || s->t > t_most(n, s->f))
        scenario_refuse_range(r, "charter.t", t_least, t_most(n, s->f), " custodians of which f may fail", n);
    if (s->s <= stewards / 2 || s->s > stewards)
        scenario_refuse_range(r, "charter.s", stewards / 2 + 1, stewards, " stewards", stewards);
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
    scenario_read_optional(&r, "q", 1, CAP_CUSTODIANS, &s->q);
    scenario_read_optional(&r, "t", 1, CAP_CUSTODIANS, &s->t);
    scenario_read_optional(&r, "s", 1, CAP_STEWARDS, &s->s);
    scenario_read_optional(&r, "k", 1, CAP_INPUTS, &s->k);
    if (s->k > scenario_willing(s)) json_refuse(&r, "k", ERR_RANGE, "at most as many as owners approve");
    scenario_read_optional(&r, "lease_ms", 1000, 600000, &s->lease_ms);
    scenario_read_optional(&r, "rank_delay_ms", 10, 60000, &s->rank_delay_ms);
    scenario_read_optional(&r, "skew_max_ms", 1000, 3600000, &s->skew_max_ms);
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
    scenario_read_optional(&r, "runs", 1, SCENARIO_RUNS_MAX, &s->runs);
    scenario_read_optional(&r, "every_ms", 1, 3600000, &s->every_ms);
    scenario_read_optional(&r, "compute_ms", 1, 3600000, &s->compute_ms);
    scenario_read_optional(&r, "expires_ms", 1000, SCENARIO_FOR_MS_MAX, &s->expires_ms);
    if (json_has(&r, "go_on")) json_read_bool(&r, "go_on", &s->go_on);
    if (json_has(&r, "race")) json_read_bool(&r, "race", &s->race);
    parent->err = json_reader_done(&r);
}

static void network_read(struct scenario *s, struct json_reader *parent)
{
    struct json_reader r;
    if (!json_has(parent, "network")) return;
    field_object(&r, parent, "network");
    scenario_read_optional(&r, "loss_ppm", 0, SCENARIO_LOSS_PPM_MAX, &s->loss_ppm);
    parent->err = json_reader_done(&r);
}

/* --- The whole ---------------------------------------------------------------------------------------------------------- */

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
    scenario_read_optional(r, "consortia", 1, SCENARIO_NODES_MAX, &s->consortia);
    if (r->err == OK && s->consortia > SCENARIO_NODES_MAX / s->party_count)
        json_refuse(r, "consortia", ERR_RANGE, "at most 131072 nodes in all");
    if (r->err == OK && s->consortia > 1 && s->trust == TRUST_CENTRAL)
        json_refuse(r, "consortia", ERR_CONFLICT, scenario_one_expected);
    scenario_read_optional(r, "founded_every_ms", 0, FOUNDED_EVERY_MS_MAX, &s->founded_every_ms);
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
    scenario_read_optional(&r, "for_ms", 1, SCENARIO_FOR_MS_MAX, &s->for_ms);
    TRY(scenario_read_parties(s, arena, &r));
    scenario_check_parties(s, &r);
    consortia_read(s, &r);
    crypto_read(s, &r);
    charter_read(s, &r);
    if (r.err == OK) check_thresholds(s, &r);
    study_read(s, &r);
    network_read(s, &r);
    if (r.err == OK) TRY(scenario_read_faults(s, arena, &r));
    TRY(json_reader_done(&r));
    *out = s;
    return OK;
}

/* --- Writing ----------------------------------------------------------------------------------------------------------------- */
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
    scenario_put_if(w, "expires_ms", s->expires_ms);
    if (s->go_on) field_put_bool(w, "go_on", true);
    if (s->race) field_put_bool(w, "race", true);
    field_put_int(w, "runs", s->runs);
    json_end_object(w);
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
    scenario_put_faults(&w, s);
    field_put_int(&w, "for_ms", s->for_ms);
    if (s->founded_every_ms > 0) field_put_int(&w, "founded_every_ms", s->founded_every_ms);
    field_put_text(&w, "name", s->name);
    json_key(&w, "network");
    json_begin_object(&w);
    field_put_int(&w, "loss_ppm", s->loss_ppm);
    json_end_object(&w);
    scenario_put_parties(&w, s);
    field_put_word(&w, "perigee", "scenario/1");
    put_study(&w, s);
    if (s->trust != TRUST_FEDERATED) field_put_word(&w, "trust", scenario_trust_names[s->trust]);
    json_end_object(&w);
    return buffer_done(out);
}
