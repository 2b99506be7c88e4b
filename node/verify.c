#include "node/verify.h"

#include "crypto/cocktail.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/work.h"
#include "proto/base/panic.h"
#include "proto/keygen_session.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* Parsing takes up to 33 times the receipt's bytes, replaying what a core takes. Virtual: only what is touched counts. */
#define VERIFY_ARENA_BYTES (core_registry_bytes() + (size_t)40 * RECEIPT_BYTES_MAX)
enum { VERIFY_KEPT_BYTES = 4 << 20 }; /* between verifications; whole pages */

struct verifier {
    const struct verify_options *options;
    struct verify_result *out;
    const struct receipt_parts *parts;
    const struct receipt_replay *replay;
    struct arena *arena;
    char why[VERIFY_TEXT_MAX]; /* of the link at hand, when a keyed check refused it */
};

/* --- Memory --------------------------------------------------------------------------------------------------------- */

enum err verify_memory_open(struct arena *out)
{
    void *memory = mmap(NULL, VERIFY_ARENA_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return ERR_NO_MEMORY;
    *out = arena_make(memory, VERIFY_ARENA_BYTES);
    return OK;
}

/* An arena wants zeros: whole pages given back read as zero, and the first few are cleared in place, for faulting them in again
 * costs more than most verifications. */
void verify_memory_reset(struct arena *arena)
{
    const size_t kept = arena->used < VERIFY_KEPT_BYTES ? arena->used : VERIFY_KEPT_BYTES;
    memset(arena->data, 0, kept);
    if (arena->used > kept) ASSERT(madvise(arena->data + kept, arena->cap - kept, MADV_DONTNEED) == 0);
    arena->used = 0;
}

void verify_memory_close(struct arena *arena)
{
    if (arena->data != NULL) (void)munmap(arena->data, arena->cap);
    memset(arena, 0, sizeof *arena);
}

/* --- What was found valid before ------------------------------------------------------------------------------------ */

static struct hash32 *cache_slot(struct verify_cache *c, struct hash32 key)
{
    uint32_t at = load_u32(key.bytes) % VERIFY_CACHE_SLOTS;
    while (!ID_IS_ZERO(c->held[at]) && !ID_EQUAL(c->held[at], key)) at = (at + 1) % VERIFY_CACHE_SLOTS;
    return &c->held[at];
}

static bool cache_has(struct verify_cache *c, struct hash32 key)
{
    return c != NULL && !ID_IS_ZERO(*cache_slot(c, key));
}

static void cache_keep(struct verify_cache *c, struct hash32 key)
{
    if (c == NULL || c->count >= VERIFY_CACHE_SLOTS / 2) return;
    struct hash32 *slot = cache_slot(c, key);
    c->count += ID_IS_ZERO(*slot);
    *slot = key;
}

/* --- Keyed work ----------------------------------------------------------------------------------------------------- */

static enum err refuse(struct verifier *v, enum err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static enum err refuse(struct verifier *v, enum err err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(v->why, sizeof v->why, format, arguments);
    va_end(arguments);
    return err;
}

static enum err check_signature(struct verifier *v, const struct signature_check *c)
{
    char author[65];
    const struct hash32 key = HASH_FRAMED("perigee/verify-signature/v1", ID_SPAN(c->author),
                                          ID_SPAN(c->message), SPAN_OF(c->signature.bytes));
    if (cache_has(v->options->cache, key)) return OK;
    enum err err = identity_verify(c->author, c->message, &c->signature);
    hex_encode(author, c->author.bytes, 32);
    if (err != OK) return refuse(v, err, "the signature of %.16s does not verify", author);
    cache_keep(v->options->cache, key);
    return OK;
}

static enum err check_signatures(struct verifier *v, enum receipt_link link)
{
    for (uint32_t i = 0; i < v->replay->check_count; i++)
        if (v->replay->check[i].link == link) TRY(check_signature(v, &v->replay->check[i]));
    return OK;
}

/* --- Both keys, from the public messages of their generation ---------------------------------------------------------- */

struct certified_key {
    uint32_t purpose;
    const struct point *y;
    struct span shares, round1, signatures;
};

static enum err compare_key(const struct certified_key *k, const struct group_key *key)
{
    if (!ID_EQUAL(key->y, *k->y) || k->shares.len != (size_t)32 * key->n) return ERR_CONFLICT;
    for (uint32_t i = 0; i < key->n; i++)
        if (memcmp(k->shares.data + (size_t)32 * i, key->share[i].bytes, 32) != 0) return ERR_CONFLICT;
    return OK;
}

static enum err check_key(struct verifier *v, const struct charter *charter, uint64_t epoch,
                          const struct certified_key *k)
{
    struct keygen_session session;
    struct cocktail_round1 *round1 = ARENA_ARRAY(v->arena, struct cocktail_round1, COMMITTEE_MAX);
    struct group_key key;
    uint8_t transcript[64];
    uint32_t culprit;
    if (round1 == NULL) return ERR_NO_MEMORY;
    keygen_session_make(&session, v->parts->consortium, charter, (uint32_t)epoch, k->purpose, 0);
    struct cocktail_session s = cocktail_session_make(session.n, session.t, 0, session.party, session.tag,
                                                      SPAN_OF(session.extension));
    if (cocktail_round1_read(round1, k->round1, &s, COCKTAIL_PUBLIC) != OK ||
        k->signatures.len != (size_t)COCKTAIL_SIGNATURE_BYTES * s.n)
        return refuse(v, ERR_RANGE, "key %c: not one message and one signature of each custodian",
                      "?AB"[k->purpose]);
    enum err err = cocktail_public(&key, transcript, &s, round1);
    if (err == OK) err = compare_key(k, &key);
    if (err != OK)
        return refuse(v, err, "key %c does not follow from the custodians' messages", "?AB"[k->purpose]);
    err = cocktail_check_all(&culprit, &s, round1, k->signatures);
    return err == OK ? OK
                     : refuse(v, err, "key %c: custodian %u did not certify it", "?AB"[k->purpose], culprit);
}

static enum err check_committee(struct verifier *v)
{
    const struct registry *r = v->replay->bundle->registry;
    const struct charter *charter = registry_charter(r);
    const struct committee *committee = registry_committee(r);
    ASSERT(charter != NULL && committee != NULL); /* the rule of this link holds */
    const struct body_COMMITTEE *b = &committee->body;
    const struct hash32 key = HASH_FRAMED("perigee/verify-committee/v1", ID_SPAN(v->parts->consortium),
                                          ID_SPAN(charter->hash), committee->tally->vote[0]->body);
    if (cache_has(v->options->cache, key)) return OK;
    const struct certified_key a = {KEYGEN_PURPOSE_ENVELOPES, &b->key_a, b->shares_a, b->round1_a,
                                    b->signatures_a};
    const struct certified_key p = {KEYGEN_PURPOSE_PRF, &b->key_b, b->shares_b, b->round1_b, b->signatures_b};
    if (!ID_EQUAL(b->charter, charter->hash))
        return refuse(v, ERR_CONFLICT, "the committee is of another charter");
    TRY(check_key(v, charter, b->epoch, &a));
    TRY(check_key(v, charter, b->epoch, &p));
    cache_keep(v->options->cache, key);
    return OK;
}

/* --- Evidence ------------------------------------------------------------------------------------------------------- */

static enum err check_evidence(struct verifier *v)
{
    const struct receipt_replay *p = v->replay;
    const struct work_keys none = {0};
    uint8_t bytes[sizeof(struct evidence_out)];
    struct buffer out = BUFFER_OF(bytes);
    struct evidence_out facts;
    const enum err err = work_do(&none, &out, &p->evidence_job);
    if (err != OK)
        return refuse(v, err, "the evidence is refused at its %.*s", out.len > 0 ? (int)out.len : 4,
                      out.len > 0 ? (const char *)bytes : "form");
    memcpy(&facts, bytes, sizeof facts);
    if (!registry_platform_admitted(p->bundle->registry, p->certificate.node, facts.platform))
        return refuse(v, ERR_EVIDENCE,
                      "the evidence is of a platform that was not admitted for the elected node");
    return OK;
}

/* --- Links ---------------------------------------------------------------------------------------------------------- */

/* Statements of too few custodians, or OK. */
static enum err check_count(struct verifier *v, enum receipt_link link)
{
    const struct receipt_replay *p = v->replay;
    const struct charter *charter = registry_charter(p->bundle->registry);
    const bool commits = link == LINK_COMMITS;
    const uint32_t came = commits ? p->commit_count : p->release_count;
    ASSERT(charter != NULL); /* the links before hold */
    const uint32_t needed = commits ? charter->q : charter->t;
    if (came >= needed) return OK;
    return refuse(v, ERR_NOT_READY, "%u of %u %s", came, needed, commits ? "commits" : "releases");
}

/* What came, in words: what the error alone would leave open. */
static enum err explain(struct verifier *v, enum receipt_link link, enum err err)
{
    char of[65], trusted[65];
    const struct consortium_id *ours = &v->options->anchor, *its = &v->parts->consortium;
    if (err == ERR_REFUSED)
        return refuse(v, err, "%s: %s", refusal_name(v->replay->verdict[link].refusal),
                      refusal_text(v->replay->verdict[link].refusal));
    if (link == LINK_CONSORTIUM && ID_IS_ZERO(*ours))
        return refuse(v, err, "no consortium was given that is to be trusted: all zeros are none");
    if (link == LINK_CONSORTIUM && err == ERR_CONSORTIUM && !ids_equal(ours->bytes, its->bytes)) {
        hex_encode(of, its->bytes, 32);
        hex_encode(trusted, ours->bytes, 32);
        return refuse(v, err, "a receipt of consortium %s, and not of %s, which was given", of, trusted);
    }
    if (err == ERR_MISSING_FIELD && link == LINK_RELEASES)
        return refuse(v, err, "the release of an owner who keeps a veto is missing");
    if (err == ERR_NOT_READY && (link == LINK_COMMITS || link == LINK_RELEASES)) TRY(check_count(v, link));
    return refuse(v, err, "%s", err_text(err));
}

static enum err judge(struct verifier *v, enum receipt_link link)
{
    enum err err = v->replay->err[link];
    v->why[0] = 0;
    if (link == LINK_OUTPUT && !v->replay->output_known)
        err = OK; /* proven by its commitment, and not shown */
    if (err != OK) return explain(v, link, err);
    TRY(check_signatures(v, link));
    if (link == LINK_COMMITTEE) return check_committee(v);
    return link == LINK_EVIDENCE ? check_evidence(v) : OK;
}

static bool privacy_none(const struct receipt_replay *p)
{
    return p->bundle != NULL && p->bundle->workflow != NULL && p->bundle->workflow->workflow->privacy_none;
}

static void say(struct verifier *v, enum receipt_link link, bool ok)
{
    struct verify_line line = {.link = link, .ok = ok};
    const struct receipt_replay *p = v->replay;
    const char *text = receipt_link_text(link);
    if (v->options->line == NULL) return;
    if (!ok)
        (void)snprintf(line.text, sizeof line.text, "expected: %s; came: %s", text, v->why);
    else if (link == LINK_EVIDENCE && p->simulated)
        (void)snprintf(line.text, sizeof line.text, "%s. SIMULATED: it proves nothing about hardware", text);
    else if (link == LINK_RECIPE && privacy_none(p))
        (void)snprintf(line.text, sizeof line.text,
                       "%s. PRIVACY: NONE: nothing hides single people in its output", text);
    else if (link == LINK_OUTPUT && !p->output_known)
        (void)snprintf(line.text, sizeof line.text, "the output is committed to, and not in this receipt");
    else if (link == LINK_RECORDS)
        (void)snprintf(line.text, sizeof line.text, "%s (%u records)", text, p->bundle->record_count);
    else if (link == LINK_RELEASES && p->half_count > 0)
        (void)snprintf(line.text, sizeof line.text, "%s (%u signed, and %u by owners)", text,
                       p->release_count, p->half_count);
    else if (link == LINK_RELEASES || link == LINK_COMMITS)
        (void)snprintf(line.text, sizeof line.text, "%s (%u signed)", text,
                       link == LINK_RELEASES ? p->release_count : p->commit_count);
    else
        (void)snprintf(line.text, sizeof line.text, "%s", text);
    v->options->line(v->options->context, &line);
}

static enum err broken(struct verifier *v, enum receipt_link link, enum err err)
{
    v->out->broken = link;
    (void)snprintf(v->out->why, sizeof v->out->why, "%s", v->why);
    say(v, link, false);
    return err;
}

static void take_facts(struct verify_result *out, const struct receipt_replay *p)
{
    out->simulated = p->simulated;
    out->output_known = p->output_known;
    out->privacy_none = privacy_none(p);
    out->run = p->core.run;
    out->term = p->core.term;
    out->slot = p->certificate.slot;
    out->median_ms = p->median_ms;
    out->release_count = p->release_count;
    out->commit_count = p->commit_count;
    out->record_count = p->bundle != NULL ? p->bundle->record_count : 0;
}

enum err verify_bytes(struct verify_result *out, struct arena *arena, struct span receipt,
                      const struct verify_options *options)
{
    struct json_fault fault = {{0}, {0}, OK};
    struct receipt_parts parts;
    struct receipt_replay *replay = ARENA_NEW(arena, struct receipt_replay);
    struct verifier v = {.options = options, .out = out, .parts = &parts, .replay = replay, .arena = arena};
    memset(out, 0, sizeof *out);
    if (replay == NULL) return ERR_NO_MEMORY;
    enum err err = receipt_parse(&parts, arena, receipt, &fault);
    if (err == ERR_NO_MEMORY) return err;
    if (err != OK) {
        (void)refuse(&v, err, "%s: expected %s (%s)", fault.path, fault.expected, err_name(err));
        return broken(&v, LINK_DOCUMENT, err);
    }
    if (receipt_replay(replay, arena, &parts, options->anchor) != OK) return ERR_NO_MEMORY;
    take_facts(out, replay);
    for (uint32_t i = 0; i < RECEIPT_LINK_COUNT; i++) {
        err = judge(&v, (enum receipt_link)i);
        if (err != OK) return broken(&v, (enum receipt_link)i, err);
        say(&v, (enum receipt_link)i, true);
    }
    out->verified = true;
    return OK;
}
