#include "node/arguments.h"
#include "node/card.h"
#include "node/command.h"
#include "node/file.h"
#include "node/problem.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NEW_CARD_COUNT_MAX = 256,
    NEW_ARENA_BYTES = 16 << 20,
    NEW_LEASE_MS = 3 * 1000,
    NEW_RANK_DELAY_MS = 400,
    NEW_SKEW_MAX_MS = 60 * 1000,
    NEW_EVIDENCE_AGE_MAX_MS = 10 * 60 * 1000,
    NEW_DRIFT_PPM = 200,
};

struct new_options {
    const char *name, *out;
    const char *k, *f, *lease_ms, *rank_delay_ms, *skew_max_ms, *maker_devices;
    bool json;
    uint32_t card_count;
    const char *card[NEW_CARD_COUNT_MAX];
};

static enum err parse(struct new_options *o, int argc, char **argv)
{
    const struct argument option[] = {
        {"--name", &o->name, NULL},
        {"--out", &o->out, NULL},
        {"--k", &o->k, NULL},
        {"--f", &o->f, NULL},
        {"--lease-ms", &o->lease_ms, NULL},
        {"--rank-delay-ms", &o->rank_delay_ms, NULL},
        {"--json", NULL, &o->json},
        {"--maker-devices", &o->maker_devices, NULL},
        {"--skew-max-ms", &o->skew_max_ms, NULL},
    };
    struct arguments a = {option, sizeof option / sizeof option[0], 1, NEW_CARD_COUNT_MAX, 0, o->card};
    TRY(arguments_parse(&a, argc, argv));
    o->card_count = a.word_count;
    if (o->name != NULL && o->out != NULL) return OK;
    (void)problem_say(EXIT_USAGE, "expected --name NAME --out FILE CARD...");
    return ERR_USAGE;
}

static enum err refuse(enum err err, const char *where, const char *what)
{
    (void)problem_say(err == ERR_USAGE ? EXIT_USAGE : EXIT_REFUSED, "%s: %s", where, what);
    return err;
}

/* --- Members ------------------------------------------------------------------------------------------------------ */

static enum err read_card(struct charter_member *out, struct arena *arena, const char *path)
{
    struct json_fault why = {{0}, {0}, OK};
    char *text = NULL, line[512];
    size_t len = 0;
    struct span bytes;
    enum err err = file_read(&text, &len, path, CARD_BYTES_MAX);
    if (err == OK && len > 0 && text[len - 1] == '\n') len--; /* as an editor leaves it */
    if (err == OK) err = arena_copy(arena, &bytes, span_make(text, len));
    free(text);
    if (err != OK) return refuse(err, path, file_why(err));
    err = card_parse(out, arena, bytes, &why);
    if (err == OK) return OK;
    (void)snprintf(line, sizeof line, "not a member card: %s: expected %s", why.path, why.expected);
    return refuse(err, path, line);
}

static int by_node(const void *a, const void *b)
{
    return memcmp(((const struct charter_member *)a)->node.bytes,
                  ((const struct charter_member *)b)->node.bytes, 32);
}

static enum err check_once(const struct charter *c, const struct new_options *o, uint32_t last)
{
    char line[PATH_MAX + 64];
    for (uint32_t i = 0; i < last; i++) {
        if (!ID_EQUAL(c->member[i].node, c->member[last].node)) continue;
        (void)snprintf(line, sizeof line, "the same node as in %s: give each member's card once", o->card[i]);
        return refuse(ERR_DUPLICATE, o->card[last], line);
    }
    return OK;
}

static enum err read_cards(struct charter *c, struct arena *arena, const struct new_options *o)
{
    c->member = ARENA_ARRAY(arena, struct charter_member, o->card_count);
    if (c->member == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < o->card_count; i++) {
        struct charter_member *m = &c->member[i];
        TRY(read_card(m, arena, o->card[i]));
        TRY(check_once(c, o, i));
        c->custodian_count += (m->roles & ROLE_CUSTODIAN) != 0;
        c->steward_count += (m->roles & ROLE_STEWARD) != 0;
        if ((m->roles & ROLE_CUSTODIAN) == 0) memset(m->dkg.bytes, 0, sizeof m->dkg.bytes);
    }
    c->member_count = o->card_count;
    qsort(c->member, c->member_count, sizeof c->member[0], by_node);
    return OK;
}

/* --- Numbers ------------------------------------------------------------------------------------------------------ */

static enum err number(uint32_t *out, const char *name, const char *text, uint64_t min, uint64_t max)
{
    uint64_t value = 0;
    if (text == NULL) return OK;
    TRY(arguments_number(&value, name, text, min, max));
    *out = (uint32_t)value;
    return OK;
}

static uint32_t owner_count(const struct charter *c)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->member_count; i++) count += (c->member[i].roles & ROLE_OWNER) != 0;
    return count;
}

/* The smallest quorum whose intersections outnumber the faulty, which is also what reconstructs a key; stewards decide
 * by majority. */
static enum err choose_thresholds(struct charter *c, const struct new_options *o)
{
    const uint32_t n = c->custodian_count;
    if (n == 0) return refuse(ERR_ROLE, "cards", "none has the role custodian");
    if (c->steward_count == 0) return refuse(ERR_ROLE, "cards", "none has the role steward");
    c->f = (n - 1) / 3;
    c->k = owner_count(c) == 0 ? 1 : owner_count(c);
    TRY(number(&c->f, "--f", o->f, 0, (n - 1) / 3));
    TRY(number(&c->k, "--k", o->k, 1, CAP_INPUTS));
    c->q = (n + c->f) / 2 + 1;
    c->t = c->q;
    c->s = c->steward_count / 2 + 1;
    return OK;
}

static enum err choose_clocks(struct charter *c, const struct new_options *o)
{
    c->evidence_age_max_ms = NEW_EVIDENCE_AGE_MAX_MS;
    c->lease_ms = NEW_LEASE_MS;
    c->rank_delay_ms = NEW_RANK_DELAY_MS;
    c->skew_max_ms = NEW_SKEW_MAX_MS;
    c->drift_ppm = NEW_DRIFT_PPM;
    TRY(number(&c->lease_ms, "--lease-ms", o->lease_ms, CHARTER_LEASE_MIN_MS, CHARTER_LEASE_MAX_MS));
    TRY(number(&c->rank_delay_ms, "--rank-delay-ms", o->rank_delay_ms, 1, CHARTER_RANK_DELAY_MAX_MS));
    return number(&c->skew_max_ms, "--skew-max-ms", o->skew_max_ms, 1, CHARTER_SKEW_MAX_MS);
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

/* What is written is parsed first: the parser holds the rules. */
static enum err write_charter(struct hash32 *hash, const struct charter *c, struct arena *arena,
                              const char *path)
{
    static uint8_t bytes[CAP_DOCUMENT_BYTES];
    struct json_fault why = {{0}, {0}, OK};
    struct buffer out = BUFFER_OF(bytes);
    struct charter *parsed = NULL;
    char line[512];
    enum err err = charter_write(&out, c);
    if (err != OK) return refuse(err, path, "too many members for one document");
    err = charter_parse(&parsed, arena, buffer_span(&out), &why);
    if (err != OK) {
        (void)snprintf(line, sizeof line, "%s: expected %s", why.path, why.expected);
        return refuse(err, "charter", line);
    }
    *hash = parsed->hash;
    err = file_write(path, buffer_span(&out), 0644, false);
    return err == OK ? OK : refuse(err, path, file_why(err));
}

static enum err make(struct charter *c, struct hash32 *hash, struct arena *arena, const struct new_options *o)
{
    c->name = span_text(o->name);
    c->version = 1;
    c->accept_simulated = true;
    TRY(read_cards(c, arena, o));
    TRY(number(&c->maker_devices, "--maker-devices", o->maker_devices, 0, CAP_MAKER_DEVICES));
    TRY(choose_thresholds(c, o));
    TRY(choose_clocks(c, o));
    return write_charter(hash, c, arena, o->out);
}

static void say(const struct charter *c, struct hash32 hash, bool json)
{
    char text[65];
    hex_encode(text, hash.bytes, sizeof hash.bytes);
    if (json) {
        (void)printf("{\"consortium\":\"%s\"}\n", text);
        return;
    }
    (void)printf("consortium  %s\n", text);
    (void)printf("members %u, custodians %u, stewards %u; f %u, q %u, t %u, s %u, k %u\n", c->member_count,
                 c->custodian_count, c->steward_count, c->f, c->q, c->t, c->s, c->k);
    (void)puts("evidence accepted: simulated only. It proves nothing about hardware.");
}

int command_consortium_new(int argc, char **argv)
{
    static struct new_options o;
    static struct charter charter;
    struct hash32 hash = {{0}};
    memset(&o, 0, sizeof o);
    memset(&charter, 0, sizeof charter);
    if (parse(&o, argc, argv) != OK) return EXIT_USAGE;
    void *memory = calloc(1, NEW_ARENA_BYTES);
    if (memory == NULL) return problem_say(EXIT_REFUSED, "%s", err_text(ERR_NO_MEMORY));
    struct arena arena = arena_make(memory, NEW_ARENA_BYTES);
    enum err err = make(&charter, &hash, &arena, &o);
    if (err == OK) say(&charter, hash, o.json);
    free(memory);
    return err == OK ? EXIT_OK : err == ERR_USAGE ? EXIT_USAGE : EXIT_REFUSED;
}
