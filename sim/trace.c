#include "sim/trace.h"

#include "proto/base/panic.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    LANES = 4, /* enclaves of a node at one time that have a track */
    TRACKS = 1 + LANES,
};

/* Of one node, while its slices are written. */
struct track {
    uint32_t moment;              /* the first that its keyed work has not passed */
    uint64_t lane_free_ns[LANES]; /* from then on */
    bool lane_used[LANES];
};
struct writer {
    FILE *out;
    const struct results *r;
    struct track *track;
    bool begun; /* a comma comes first */
};

static void put_text(FILE *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        const unsigned byte = text.data[i];
        if (byte == '"' || byte == '\\')
            (void)fprintf(out, "\\%c", (int)byte);
        else if (byte < ' ')
            (void)fprintf(out, "\\u%04x", byte);
        else
            (void)fputc((int)byte, out);
    }
}

static void put_us(FILE *out, const char *key, uint64_t ns)
{
    (void)fprintf(out, ",\"%s\":%" PRIu64 ".%03u", key, ns / 1000, (unsigned)(ns % 1000));
}

/* An event up to its name; what it has beside that, and the brace, are the caller's. */
static void begin(struct writer *w, char phase, uint32_t track, struct span name)
{
    (void)fprintf(w->out, "%s{\"ph\":\"%c\",\"pid\":1,\"tid\":%u,\"name\":\"", w->begun ? ",\n" : "", phase,
                  track);
    put_text(w->out, name);
    (void)fputc('"', w->out);
    w->begun = true;
}

static uint32_t track_of(uint32_t node, uint32_t lane_plus_one)
{
    return node * TRACKS + lane_plus_one + 1;
}

static void slice(struct writer *w, uint32_t track, const char *category, struct span name, uint64_t from_ns,
                  uint64_t to_ns)
{
    begin(w, 'X', track, name);
    (void)fprintf(w->out, ",\"cat\":\"%s\"", category);
    put_us(w->out, "ts", from_ns);
    put_us(w->out, "dur", to_ns - from_ns);
}

static void instant(struct writer *w, uint32_t track, const char *category, struct span name, uint64_t at_ns)
{
    begin(w, 'i', track, name);
    (void)fprintf(w->out, ",\"cat\":\"%s\",\"s\":\"t\"", category);
    put_us(w->out, "ts", at_ns);
    (void)fputc('}', w->out);
}

/* --- Keyed work -------------------------------------------------------------------------------------------------------------- */

static const char *op_name(enum crypto_op op)
{
    switch (op) {
    case CRYPTO_SIGN: return "sign";
    case CRYPTO_VERIFY: return "verify";
    case CRYPTO_OPEN: return "open box";
    case CRYPTO_SEAL: return "seal box";
    case CRYPTO_EVIDENCE: return "check evidence";
    case CRYPTO_KEYGEN_BEGIN: return "begin key generation";
    case CRYPTO_KEYGEN_FINISH: return "finish key generation";
    case CRYPTO_KEYGEN_CHECK: return "check key generation";
    case CRYPTO_HALF: return "open half";
    case CRYPTO_SHARES: return "make shares";
    }
    UNREACHABLE();
}

/* When the node crashed before this work was done; UINT64_MAX: it did not. Work comes in the order in which it was asked for. */
static uint64_t crash_after(const struct writer *w, const struct census_work *work)
{
    uint32_t count;
    const struct census_moment *m = census_moments(w->r->census, &count);
    uint32_t *at = &w->track[work->node].moment;
    while (*at < count &&
           (m[*at].node != work->node || m[*at].kind != MOMENT_CRASHED || m[*at].at_ns < work->asked_ns))
        ++*at;
    return *at < count ? m[*at].at_ns : UINT64_MAX;
}

static void put_work(struct writer *w)
{
    uint32_t count;
    const struct census_work *work = census_work(w->r->census, &count);
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t crash_ns = crash_after(w, &work[i]);
        const uint64_t to_ns = work[i].to_ns < crash_ns ? work[i].to_ns : crash_ns;
        if (work[i].from_ns >= to_ns) continue;
        slice(w, track_of(work[i].node, 0), "keyed work", span_text(op_name(work[i].op)), work[i].from_ns,
              to_ns);
        (void)fputc('}', w->out);
    }
}

/* --- Enclaves ------------------------------------------------------------------------------------------------------------------ */

/* A lane of the node that is free then, taken until the enclave is gone; LANES: none. */
static uint32_t take_lane(struct track *track, const struct census_election *e, uint64_t now_ns)
{
    uint32_t lane = 0;
    while (lane < LANES && track->lane_free_ns[lane] > e->at_ns[PHASE_ELECTED]) lane++;
    if (lane == LANES) return lane;
    track->lane_free_ns[lane] = e->at_ns[PHASE_GONE] != 0 ? e->at_ns[PHASE_GONE] : now_ns;
    track->lane_used[lane] = true;
    return lane;
}

static void put_phases(struct writer *w, uint32_t track, const struct census_election *e, uint32_t number)
{
    for (uint32_t phase = 0; phase < PHASE_GONE; phase++) {
        uint32_t next = phase + 1;
        if (e->at_ns[phase] == 0) continue;
        while (next < PHASE_COUNT && e->at_ns[next] == 0) next++;
        const uint64_t to_ns = next < PHASE_COUNT ? e->at_ns[next] : w->r->counts.now_ns;
        slice(w, track, "enclave", span_text(census_phase_then((enum census_phase)phase)), e->at_ns[phase],
              to_ns);
        (void)fprintf(w->out, ",\"args\":{\"run\":%u,\"term\":%" PRIu64 "}}", number, e->term);
    }
}

static void put_elections(struct writer *w)
{
    char name[64];
    uint32_t count;
    const struct census_election *e = census_elections(w->r->census, &count);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t number = results_number(w->r, &e[i]),
                       lane = take_lane(&w->track[e[i].node], &e[i], w->r->counts.now_ns);
        (void)snprintf(name, sizeof name, "elected: run %u, term %" PRIu64, number, e[i].term);
        instant(w, track_of(e[i].node, 0), "election", span_text(name), e[i].at_ns[PHASE_ELECTED]);
        if (lane < LANES) put_phases(w, track_of(e[i].node, lane + 1), &e[i], number);
    }
}

static void put_moments(struct writer *w)
{
    uint32_t count;
    const struct census_moment *m = census_moments(w->r->census, &count);
    for (uint32_t i = 0; i < count; i++)
        instant(w, track_of(m[i].node, 0), "fault", span_text(census_moment_name(m[i].kind)), m[i].at_ns);
}

/* --- Names of tracks, once it is known which there are ---------------------------------------------------------------------------- */

static void name_track(struct writer *w, uint32_t track, struct span name, uint32_t lane_plus_one)
{
    begin(w, 'M', track, SPAN_LITERAL("thread_name"));
    (void)fputs(",\"args\":{\"name\":\"", w->out);
    put_text(w->out, name);
    if (lane_plus_one > 0) (void)fprintf(w->out, ": enclave %u", lane_plus_one);
    (void)fputs("\"}}", w->out);
    begin(w, 'M', track, SPAN_LITERAL("thread_sort_index"));
    (void)fprintf(w->out, ",\"args\":{\"sort_index\":%u}}", track);
}

static void name_tracks(struct writer *w)
{
    struct results_name room;
    begin(w, 'M', 0, SPAN_LITERAL("process_name"));
    (void)fputs(",\"args\":{\"name\":\"", w->out);
    put_text(w->out, w->r->scenario->name);
    (void)fputs("\"}}", w->out);
    for (uint32_t i = 0; i < scenario_nodes(w->r->scenario); i++) {
        name_track(w, track_of(i, 0), results_party(w->r, i, &room), 0);
        for (uint32_t lane = 0; lane < LANES; lane++)
            if (w->track[i].lane_used[lane])
                name_track(w, track_of(i, lane + 1), results_party(w->r, i, &room), lane + 1);
    }
}

bool trace_write(FILE *out, const struct results *r)
{
    ASSERT(r->census != NULL);
    struct writer w = {.out = out, .r = r, .track = calloc(scenario_nodes(r->scenario), sizeof *w.track)};
    if (w.track == NULL) return false;
    (void)fprintf(out,
                  "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"format\":\"simulation/1\",\"seed\":%" PRIu64
                  ",\"left_out\":%" PRIu64 "},\"traceEvents\":[\n",
                  r->seed, census_missed(r->census).work);
    put_work(&w);
    put_elections(&w);
    put_moments(&w);
    name_tracks(&w);
    (void)fputs("\n]}\n", out);
    free(w.track);
    return true;
}
