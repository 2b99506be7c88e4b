#include "sim/topology.h"

#include "proto/charter.h"
#include "sim/regions.h"

/* A quoted string of the DOT language. */
static void put_quoted(FILE *out, struct span text)
{
    (void)fputc('"', out);
    for (size_t i = 0; i < text.len; i++) {
        const int byte = text.data[i];
        if (byte == '"' || byte == '\\') (void)fputc('\\', out);
        (void)fputc(byte < ' ' ? ' ' : byte, out);
    }
    (void)fputc('"', out);
}

static void put_party(FILE *out, const struct scenario_party *p, uint32_t number)
{
    const bool seat = (p->roles & (ROLE_CUSTODIAN | ROLE_STEWARD)) != 0,
               compute = (p->roles & ROLE_COMPUTE) != 0;
    (void)fprintf(out, "    party%u [shape=%s, label=", number, compute ? "box3d" : seat ? "box" : "ellipse");
    put_quoted(out, p->name);
    (void)fputs("];\n", out);
}

static bool has_parties(const struct scenario *s, uint32_t region)
{
    for (uint32_t i = 0; i < s->party_count; i++)
        if (s->party[i].region == region) return true;
    return false;
}

static void put_region(FILE *out, const struct scenario *s, uint32_t region)
{
    const struct region *row = regions_at(region);
    (void)fprintf(out, "  subgraph cluster_region%u {\n    label=\"%s (%s)\";\n    region%u [shape=point];\n",
                  region, row->name, row->jurisdiction, region);
    for (uint32_t i = 0; i < s->party_count; i++) {
        if (s->party[i].region != region) continue;
        put_party(out, &s->party[i], i);
        (void)fprintf(out, "    region%u -- party%u;\n", region, i);
    }
    (void)fputs("  }\n", out);
}

void topology_write(FILE *out, const struct scenario *s)
{
    (void)fputs("graph ", out);
    put_quoted(out, s->name);
    (void)fputs(" {\n  layout=dot;\n  node [fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", "
                "fontsize=10];\n",
                out);
    for (uint32_t a = 0; a < REGIONS_COUNT; a++)
        if (has_parties(s, a)) put_region(out, s, a);
    for (uint32_t a = 0; a < REGIONS_COUNT; a++)
        for (uint32_t b = a + 1; b < REGIONS_COUNT; b++) {
            if (!has_parties(s, a) || !has_parties(s, b)) continue;
            const uint32_t us = regions_rtt_us(a, b);
            (void)fprintf(out, "  region%u -- region%u [label=\"%u.%u ms\"];\n", a, b, us / 1000,
                          us % 1000 / 100);
        }
    (void)fputs("}\n", out);
}
