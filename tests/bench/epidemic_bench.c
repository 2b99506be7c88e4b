/* P5: 1 KiB records through meshes of 1,000 to 100,000 nodes of twelve links each, the production gossip of each node, with 1 % loss; then
 * with a fifth of the nodes withholding; then records above 2 KiB. Against flooding on the same graph. Virtual time: the figures are the same
 * on every machine.
 * A program of its own, not a part of `perigee bench`: node/ may not include sim/. `./dev bench epidemic` runs it. --json: as
 * `perigee bench --json`. */
#include "node/bench.h"
#include "sim/epidemic.h"

#include <stdio.h>
#include <string.h>

static const struct epidemic_options base = {
    .seed = 1, .degree = 12, .record_bytes = 1024, .loss_ppm = 10000};

static enum err run(struct epidemic_result *out, uint32_t nodes, uint32_t bytes, uint32_t withhold_ppm,
                    bool flood)
{
    struct epidemic_options o = base;
    o.nodes = nodes;
    o.records = nodes > 10000 ? 6 : 20;
    o.record_bytes = bytes;
    o.withhold_ppm = withhold_ppm;
    o.flood = flood;
    return epidemic_run(out, &o);
}

static double ratio(uint64_t a, uint64_t b)
{
    return (double)a / (double)b;
}

static void print(const struct bench *b, const char *what, uint32_t nodes, double value, const char *unit,
                  double of, const char *peer)
{
    char name[64];
    (void)snprintf(name, sizeof name, "epidemic_%s_%u", what, nodes);
    bench_print(b, name, value, unit, of, peer);
}

static enum err one_size(const struct bench *b, uint32_t nodes)
{
    struct epidemic_result flooding, ours, attacked, large;
    TRY(run(&flooding, nodes, 1024, 0, true));
    TRY(run(&ours, nodes, 1024, 0, false));
    TRY(run(&attacked, nodes, 1024, 200000, false));
    TRY(run(&large, nodes, 4096, 0, false));
    const double ms = 1e-6;
    print(b, "p99", nodes, (double)ours.p99_ns * ms, "ms", ratio(ours.p99_ns, flooding.p99_ns), "flooding");
    print(b, "p99_withheld", nodes, (double)attacked.p99_ns * ms, "ms",
          ratio(attacked.p99_ns, flooding.p99_ns), "flooding");
    print(b, "copies", nodes, ratio(ours.copies, ours.delivered), "a_delivery",
          ratio(ours.copies, flooding.copies), "flooding");
    print(b, "copies_withheld", nodes, ratio(attacked.copies, attacked.delivered), "a_delivery",
          ratio(attacked.copies, flooding.copies), "flooding");
    print(b, "copies_of_4KiB", nodes, ratio(large.copies, large.delivered), "a_delivery",
          ratio(large.copies, flooding.copies), "flooding");
    print(b, "missed", nodes, (double)(ours.missed + attacked.missed + large.missed), "deliveries",
          ratio(ours.missed + attacked.missed + large.missed, ours.delivered), "all");
    return OK;
}

static enum err all(const struct bench *b)
{
    TRY(one_size(b, 1000));
    TRY(one_size(b, 10000));
    return one_size(b, 100000);
}

int main(int argc, char **argv)
{
    const struct bench b = {.json = argc > 1 && strcmp(argv[1], "--json") == 0};
    return all(&b) == OK ? 0 : 1;
}
