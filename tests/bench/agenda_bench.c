/* P12, the queue alone, in the hold model: the next entry is taken and comes back an exponential gap later, while as many as said stay
 * pending. Our agenda against a plain binary heap of the same 16 bytes, on the same gaps, in turn in one process and in
 * processor time, as neither waits for anything. The heap does not keep the order of equal times, which would cost it eight bytes an
 * entry more.
 * Beside it ns-3's schedulers, where ns-3 was there when this was built (ns3_hold.h): every one that copes, and the best of them.
 * A program of its own, not a part of `perigee bench`: the heap has no place in the product, and node/ may not include sim/.
 * `./dev bench agenda` runs it. --json: as `perigee bench --json`. */
#include "node/bench.h"
#include "proto/base/panic.h"
#include "sim/agenda.h"
#include "sim/chance.h"
#include "tests/bench/ns3_hold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GAPS = 1 << 14, EVENTS = 1000000, NS3_PENDING = 100000, NS3_EVENTS = 400000 };

#define MEAN_NS UINT64_C(1000000000)

struct heap {
    struct agenda_entry *entry; /* from 1 */
    uint64_t count;
};

struct hold {
    struct agenda *agenda;
    struct heap heap;
    uint64_t gap_ns[GAPS];
    uint64_t agenda_turn, heap_turn; /* the next gap */
    uint64_t agenda_sum, heap_sum;   /* over the times of all that was given */
};

/* --- The heap --------------------------------------------------------------------------------------------------------- */

static void heap_add(struct heap *h, struct agenda_entry e)
{
    uint64_t at = ++h->count;
    for (; at > 1 && h->entry[at / 2].at_ns > e.at_ns; at /= 2) h->entry[at] = h->entry[at / 2];
    h->entry[at] = e;
}

static struct agenda_entry heap_take(struct heap *h)
{
    const struct agenda_entry first = h->entry[1], last = h->entry[h->count--];
    uint64_t at = 1;
    for (uint64_t child = 2; child <= h->count; child = 2 * at) {
        if (child < h->count && h->entry[child + 1].at_ns < h->entry[child].at_ns) child++;
        if (h->entry[child].at_ns >= last.at_ns) break;
        h->entry[at] = h->entry[child];
        at = child;
    }
    h->entry[at] = last;
    return first;
}

/* --- The hold model --------------------------------------------------------------------------------------------------- */

static double processor_seconds(void)
{
    struct timespec t;
    ASSERT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void sum_add(uint64_t *sum, uint64_t at_ns)
{
    *sum = (*sum ^ at_ns) * UINT64_C(0x100000001b3);
}

static enum err hold_agenda(struct hold *h, uint32_t events, double *seconds)
{
    struct agenda_entry e;
    const double began = processor_seconds();
    for (uint32_t i = 0; i < events; i++) {
        ASSERT(agenda_next(h->agenda, &e));
        sum_add(&h->agenda_sum, e.at_ns);
        e.at_ns += h->gap_ns[h->agenda_turn++ % GAPS];
        TRY(agenda_add(h->agenda, e));
    }
    *seconds = processor_seconds() - began;
    return OK;
}

static double hold_heap(struct hold *h)
{
    const double began = processor_seconds();
    for (uint32_t i = 0; i < EVENTS; i++) {
        struct agenda_entry e = heap_take(&h->heap);
        sum_add(&h->heap_sum, e.at_ns);
        e.at_ns += h->gap_ns[h->heap_turn++ % GAPS];
        heap_add(&h->heap, e);
    }
    return processor_seconds() - began;
}

/* Gaps are multiples of `grain_ns`, and up to 255 more: 1 leaves them as they are drawn, more makes crowds. */
static enum err hold_fill(struct hold *h, uint32_t pending, uint64_t grain_ns)
{
    struct chance c = chance_stream(1, "hold", grain_ns);
    for (uint32_t i = 0; i < GAPS; i++) {
        const uint64_t gap_ns = chance_exponential(&c, MEAN_NS);
        h->gap_ns[i] = gap_ns / grain_ns * grain_ns + (grain_ns > 1 ? chance_below(&c, 256) : 0);
    }
    for (uint32_t i = 0; i < pending; i++) {
        const uint64_t at_ns = chance_exponential(&c, MEAN_NS) / grain_ns * grain_ns;
        const struct agenda_entry e = {at_ns, i, 0};
        TRY(agenda_add(h->agenda, e));
        heap_add(&h->heap, e);
    }
    return OK;
}

static enum err hold_rounds(struct hold *h, double *agenda, double *ratio)
{
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        TRY(hold_agenda(h, EVENTS, &agenda[i]));
        ratio[i] = hold_heap(h) / agenda[i];
        if (h->agenda_sum != h->heap_sum) return ERR_CORRUPT;
    }
    return OK;
}

static enum err hold(const struct bench *b, const char *name, uint32_t pending, uint64_t grain_ns)
{
    static struct hold h;
    double agenda[BENCH_ROUNDS], ratio[BENCH_ROUNDS];
    memset(&h, 0, sizeof h);
    TRY(agenda_new(&h.agenda, pending));
    h.heap.entry = calloc((size_t)pending + 1, sizeof h.heap.entry[0]);
    enum err err = h.heap.entry != NULL ? hold_fill(&h, pending, grain_ns) : ERR_NO_MEMORY;
    if (err == OK) err = hold_rounds(&h, agenda, ratio);
    agenda_free(h.agenda);
    free(h.heap.entry);
    if (err != OK) return err;
    bench_print(b, name, EVENTS / bench_median(agenda, BENCH_ROUNDS) * 1e-6, "Mevents/s",
                bench_median(ratio, BENCH_ROUNDS), "binary_heap");
    return OK;
}

/* --- ns-3 --------------------------------------------------------------------------------------------------------------- */

#ifdef PERIGEE_NS3

struct beside {
    struct ns3_hold *ns3[NS3_SCHEDULERS];
    uint64_t turn[NS3_SCHEDULERS], sum[NS3_SCHEDULERS];
    double ours[BENCH_ROUNDS], theirs[NS3_SCHEDULERS][BENCH_ROUNDS], ratio[NS3_SCHEDULERS][BENCH_ROUNDS];
};

/* The same times as hold_fill has with the grain 1. */
static enum err beside_fill(struct beside *b, struct hold *h)
{
    struct chance c = chance_stream(1, "hold", 1);
    for (uint32_t i = 0; i < GAPS; i++) h->gap_ns[i] = chance_exponential(&c, MEAN_NS);
    for (uint32_t i = 0; i < NS3_PENDING; i++) {
        const struct agenda_entry e = {chance_exponential(&c, MEAN_NS), i, 0};
        TRY(agenda_add(h->agenda, e));
        for (uint32_t k = 0; k < NS3_SCHEDULERS; k++) ns3_hold_add(b->ns3[k], e.at_ns);
    }
    return OK;
}

static enum err beside_rounds(struct beside *b, struct hold *h)
{
    for (int i = 0; i < BENCH_ROUNDS; i++) {
        TRY(hold_agenda(h, NS3_EVENTS, &b->ours[i]));
        for (uint32_t k = 0; k < NS3_SCHEDULERS; k++) {
            const double began = processor_seconds();
            ns3_hold_run(b->ns3[k], NS3_EVENTS, h->gap_ns, GAPS, &b->turn[k], &b->sum[k]);
            b->theirs[k][i] = processor_seconds() - began;
            b->ratio[k][i] = b->theirs[k][i] / b->ours[i];
            if (b->sum[k] != h->agenda_sum) return ERR_CORRUPT;
        }
    }
    return OK;
}

/* A line for each: its own events a second, and how many times as many ours has; then ours against the best of them. */
static void beside_print(const struct bench *b, struct beside *s)
{
    uint32_t best = 0;
    double ratio[NS3_SCHEDULERS];
    for (uint32_t k = 0; k < NS3_SCHEDULERS; k++) {
        char name[64];
        (void)snprintf(name, sizeof name, "hold_100000_%s", ns3_hold_name(k));
        ratio[k] = bench_median(s->ratio[k], BENCH_ROUNDS);
        if (ratio[k] < ratio[best]) best = k;
        bench_print(b, name, NS3_EVENTS / bench_median(s->theirs[k], BENCH_ROUNDS) * 1e-6, "Mevents/s",
                    1 / ratio[k], "agenda");
    }
    bench_print(b, "hold_100000_beside_ns3", NS3_EVENTS / bench_median(s->ours, BENCH_ROUNDS) * 1e-6,
                "Mevents/s", ratio[best], ns3_hold_name(best));
}

static enum err beside_ns3(const struct bench *b)
{
    static struct hold h;
    static struct beside s;
    enum err err = agenda_new(&h.agenda, NS3_PENDING);
    for (uint32_t k = 0; err == OK && k < NS3_SCHEDULERS; k++) {
        s.ns3[k] = ns3_hold_new(k);
        if (s.ns3[k] == NULL) err = ERR_NO_MEMORY;
    }
    if (err == OK) err = beside_fill(&s, &h);
    if (err == OK) err = beside_rounds(&s, &h);
    if (err == OK) beside_print(b, &s);
    for (uint32_t k = 0; k < NS3_SCHEDULERS; k++) ns3_hold_free(s.ns3[k]);
    agenda_free(h.agenda);
    return err;
}

#else

static enum err beside_ns3(const struct bench *b)
{
    (void)b;
    (void)fprintf(stderr,
                  "agenda_bench: ns-3 is not installed: apt-get install libns3-dev, and build again\n");
    return OK;
}

#endif

static int tell(const char *name, enum err err)
{
    (void)fprintf(stderr, "agenda_bench: %s: %s\n", name, err_text(err));
    return 1;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        uint32_t pending;
        uint64_t grain_ns;
    } cases[] = {
        {"hold_1000", 1000, 1},
        {"hold_100000", 100000, 1},
        {"hold_1000000", 1000000, 1},
        {"hold_100000_in_crowds", 100000,
         10000000}, /* 200 to 1000 within a microsecond, then nothing for 10 ms */
    };
    const struct bench b = {argc > 1 && strcmp(argv[1], "--json") == 0, 0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const enum err err = hold(&b, cases[i].name, cases[i].pending, cases[i].grain_ns);
        if (err != OK) return tell(cases[i].name, err);
    }
    const enum err err = beside_ns3(&b);
    return err != OK ? tell("hold_100000_beside_ns3", err) : 0;
}
