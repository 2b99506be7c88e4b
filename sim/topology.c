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

/* How many of its kind are there, from this one on. */
static uint32_t alike(const struct scenario *s, uint32_t number)
{
    uint32_t count = 0;
    for (uint32_t i = number; i < s->party_count && s->party[i].kind == s->party[number].kind; i++)
        count += s->party[i].region == s->party[number].region;
    return count;
}

/* Of many alike that stand in one region, all as one. */
static void put_label(FILE *out, const struct scenario *s, uint32_t number)
{
    char text[CAP_NAME + 32];
    const struct scenario_party *p = &s->party[number];
    if (p->kind == NULL) {
        put_quoted(out, p->name);
        return;
    }
    (void)snprintf(text, sizeof text, "%.*s, %u of them", (int)p->kind->name.len,
                   (const char *)p->kind->name.data, alike(s, number));
    put_quoted(out, span_text(text));
}

static void put_party(FILE *out, const struct scenario *s, uint32_t number)
{
    const struct scenario_party *p = &s->party[number];
    const bool seat = (p->roles & (ROLE_CUSTODIAN | ROLE_STEWARD)) != 0,
               compute = (p->roles & ROLE_COMPUTE) != 0;
    (void)fprintf(out, "    party%u [shape=%s, label=", number, compute ? "box3d" : seat ? "box" : "ellipse");
    put_label(out, s, number);
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
    const struct scenario_kind *said = NULL;
    for (uint32_t i = 0; i < s->party_count; i++) {
        const struct scenario_kind *kind = s->party[i].kind;
        if (s->party[i].region != region || (kind != NULL && kind == said)) continue;
        said = kind;
        put_party(out, s, i);
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
