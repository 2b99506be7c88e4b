/* Records of many authors in every order, with gaps, replays, duplicates, equivocations, revocations before their turn and
 * removals, devices that a maker admits and takes back: what is in force in a core is what a naive twin computes from the bare set, each time from scratch, and so does
 * not depend on the order of arrival.
 * The twin shares no code with chain.c and registry.c. It keeps everything ever said, and asks of the set: which authors
 * have a gap, which signed two things in one place, whose votes count, which records obeyed their author's own chain.
 * Seeds are fixed; PERIGEE_TWIN_SEED and PERIGEE_TWIN_ROUNDS choose others. */
#include "proto/chain.h"
#include "proto/core.h"
#include "tests/effort.h"
#include "tests/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    SAID_MAX = 160,
    LATE = WORLD_NODES, /* whom stewards may admit, also as a maker */
    DEVICE = LATE + 1,  /* the first of its devices */
    DEVICE_COUNT = 3,
    PLACES = 2, /* that a maker has for them */
    AUTHORS_MAX = DEVICE + DEVICE_COUNT,
    CASE_COUNT = EFFORT(75),
    ORDER_COUNT = 6,
    REPORT_BYTES = 1 << 16
};
static const uint64_t times[2] = {WORLD_START_MS + 3600000, WORLD_START_MS + UINT64_C(10) * 86400000};

static uint64_t random_state;

static uint64_t next_random(void)
{
    uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t below(uint32_t limit)
{
    return (uint32_t)(next_random() % limit);
}

static bool one_in(uint32_t n)
{
    return below(n) == 0;
}

/* --- Everything said in a case -------------------------------------------------------------------------------------------- */

/* What a record says, as its maker knows it. */
struct said {
    struct record record;
    uint32_t author;
    union body body;
    bool
        valid_ddo; /* asset: follows its own last version's type, schema, unit and budget, and the token is the author's */
    uint32_t dataset; /* asset, grant, approval: index, or UINT32_MAX */
    char tag[24];     /* asset: its description */
    bool withheld;    /* never delivered */
};

struct place {
    uint64_t seq;
    struct record_id head;
};

static struct world *world;
static uint8_t *base; /* what the case's own memory is taken from */
static struct arena memory;
static struct said said[SAID_MAX];
static uint32_t said_count, base_count;
static struct node_id author[AUTHORS_MAX];
static struct place place[AUTHORS_MAX];
static struct record_id last_approval[2];
static uint32_t unloved; /* whom stewards speak of removing */
static uint32_t agenda[4], workers_version[2];
static struct body_APPROVAL approval_form[2];

static uint32_t author_index(struct node_id node)
{
    for (uint32_t i = 0; i < AUTHORS_MAX; i++)
        if (ID_EQUAL(author[i], node)) return i;
    fail_msg("unknown author");
    return 0;
}

static uint32_t dataset_index(struct dt dt)
{
    for (uint32_t i = 0; i < WORLD_DATASETS; i++)
        if (ID_EQUAL(world->dataset[i].dt, dt)) return i;
    return UINT32_MAX;
}

static struct said *add(struct record record)
{
    assert_true(said_count < SAID_MAX);
    struct said *s = &said[said_count++];
    *s = (struct said){.record = record, .author = author_index(record.header.author), .dataset = UINT32_MAX};
    assert_int_equal(body_decode(&s->body, record.header.kind, record.body), OK);
    if (record.header.kind == KIND_ASSET) {
        s->dataset = dataset_index(s->body.ASSET.dt);
        s->valid_ddo = true;
        snprintf(s->tag, sizeof s->tag, "%s", s->dataset != UINT32_MAX ? "Heart disease" : "");
    }
    if (record.header.kind == KIND_GRANT) s->dataset = dataset_index(s->body.GRANT.lower);
    if (record.header.kind == KIND_APPROVAL) s->dataset = dataset_index(s->body.APPROVAL.dataset);
    return s;
}

/* Signatures are of no account here: the keyed work of these cores says yes. */
static struct said *say_at(uint32_t who, struct place at, enum kind kind, const void *body,
                           uint64_t expires_ms)
{
    static uint8_t bytes[CAP_HEADER_BYTES + CAP_BODY_BYTES];
    struct buffer b = BUFFER_OF(bytes);
    struct header h = {.kind = kind,
                       .consortium = world->consortium,
                       .author = author[who],
                       .seq = at.seq + 1,
                       .prev = at.head,
                       .time_ms = times[0] - 1000 + said_count,
                       .expires_ms = expires_ms,
                       .residency = SPAN_LITERAL("")};
    struct signature none = {{0}};
    struct span all;
    struct record record;
    size_t header_len;
    assert_int_equal(record_build(&b, &header_len, &h, body), OK);
    assert_int_equal(arena_copy(&memory, &all, buffer_span(&b)), OK);
    assert_int_equal(record_open(&record, span_make(all.data, header_len), &none,
                                 span_make(all.data + header_len, all.len - header_len)),
                     OK);
    return add(record);
}

static struct said *say(uint32_t who, enum kind kind, const void *body, uint64_t expires_ms)
{
    struct said *s = say_at(who, place[who], kind, body, expires_ms);
    place[who] = (struct place){s->record.header.seq, s->record.id};
    return s;
}

/* --- A random statement ---------------------------------------------------------------------------------------------------- */

static uint64_t random_expiry(void)
{
    return one_in(3) ? times[0] + 86400000 : one_in(4) ? times[0] - 1 : 0;
}

static void say_approval(uint32_t owner)
{
    uint64_t first = 1 + below(12), expires = random_expiry();
    struct body_APPROVAL b = approval_form[owner];
    b.slot_first = first;
    b.slot_last = first + below(3);
    if (one_in(8)) b.cost = UINT64_C(5000000000);
    if (one_in(10)) b.cost = 1;
    if (one_in(10)) b.slot_last = b.slot_first - 1;
    if (one_in(10)) b.delta = 1;
    if (one_in(10)) b.dataset = world->dataset[1 - owner].dt;
    struct said *s = say(owner, KIND_APPROVAL, &b, expires);
    last_approval[owner] = s->record.id;
}

static void say_revocation(uint32_t owner)
{
    struct body_REVOCATION b = {.target = below(4), .approval_signature = SPAN_NONE};
    if (b.target == REVOKE_APPROVAL) memcpy(b.subject.bytes, last_approval[owner].bytes, 32);
    if (b.target == REVOKE_COMPOSE) memcpy(b.subject.bytes, world->compose.bytes, 32);
    if (b.target == REVOKE_DATASET) memcpy(b.subject.bytes, world->dataset[owner].dt.bytes, 32);
    if (one_in(3)) b.subject.bytes[0] ^= 1; /* of something else, or of nothing */
    say(owner, KIND_REVOCATION, &b, one_in(5) ? times[0] - 5 : 0);
}

static void say_grant(uint32_t owner)
{
    struct body_GRANT b = {world->dataset[owner].dt, world->app, 0,
                           ID_SPAN(world->op),       10,         UINT64_C(1000000000)};
    if (one_in(6)) b.ops = SPAN_NONE;
    if (one_in(6)) b.slots_max = 0;
    if (one_in(6)) b.service = 1;
    if (one_in(6)) b.lower = world->dataset[1 - owner].dt;
    if (one_in(6)) b.higher = b.lower;
    say(owner, KIND_GRANT, &b, random_expiry());
}

static uint64_t version_said(uint32_t owner)
{
    uint64_t version = 0;
    for (uint32_t i = 0; i < said_count; i++)
        if (said[i].author == owner && said[i].dataset == owner && said[i].record.header.kind == KIND_ASSET)
            version = said[i].body.ASSET.version > version ? said[i].body.ASSET.version : version;
    return version;
}

/* The owner's first description again, with another text, and sometimes what may not change. */
static void say_asset(uint32_t owner)
{
    static uint8_t bytes[8192];
    struct buffer b = BUFFER_OF(bytes);
    struct ddo *d;
    char tag[24];
    const struct said *first = NULL;
    for (uint32_t i = 0; first == NULL; i++)
        if (said[i].author == owner && said[i].record.header.kind == KIND_ASSET) first = &said[i];
    assert_int_equal(ddo_parse(&d, &memory, first->body.ASSET.ddo, NULL), OK);
    bool valid = !one_in(4), bind = one_in(2);
    snprintf(tag, sizeof tag, "version %u", said_count);
    d->description = span_text(tag);
    if (!valid) d->budget += 1000;
    assert_int_equal(ddo_write(&b, d), OK);
    struct body_ASSET body = {.dt = world->dataset[owner].dt,
                              .version = version_said(owner) + (one_in(6) ? 2 : 1),
                              .ddo = buffer_span(&b),
                              .workflow = SPAN_LITERAL(""),
                              .policy = SPAN_LITERAL("")};
    if (bind) {
        memset(body.content.bytes, (int)said_count, 32);
        body.compose = world->compose;
        body.policy = SPAN_LITERAL(
            "{\"export\":\"to-enclave\",\"jurisdictions\":[],\"need_gpu\":false,\"owner_veto\":false,"
            "\"perigee\":\"policy/1\"}");
    }
    struct said *s = say(owner, KIND_ASSET, &body, 0);
    s->valid_ddo = valid;
    memcpy(s->tag, tag, sizeof tag);
}

/* What the stewards of a case speak of: two bodies for one new member, two worker sets of one name, two removals of one
 * member, an op that is none, a seat for someone. Few enough that some are decided. */
enum { AGENDA_COUNT = 8 };

static void say_member(uint32_t steward, uint32_t item)
{
    struct body_MEMBER b = {.node = author[LATE],
                            .organisation = item == 0 ? SPAN_LITERAL("late") : SPAN_LITERAL("later"),
                            .jurisdiction = SPAN_LITERAL("EU"),
                            .roles = item == 0 ? ROLE_COMPUTE | ROLE_MAKER : ROLE_REQUESTER,
                            .approval = author[LATE],
                            .platforms = SPAN_LITERAL("")};
    if (item == 2) b.roles |= ROLE_STEWARD;
    say(steward, KIND_MEMBER, &b, one_in(20) ? times[1] : 0);
}

static void say_workers(uint32_t steward, uint32_t item)
{
    uint8_t two[64] = {1};
    struct body_WORKERS b = {SPAN_LITERAL("spare"), workers_version[item - 3], {two, item == 3 ? 32 : 64}};
    say(steward, KIND_WORKERS, &b, 0);
}

static void say_removal(uint32_t steward, uint32_t item)
{
    struct body_REMOVAL b = {author[item == 7 ? 0 : unloved], item == 5 ? 1 : 2};
    say(steward, KIND_REMOVAL, &b, 0);
}

static void say_steward(uint32_t steward)
{
    uint32_t item = agenda[below(4)];
    if (item < 3)
        say_member(steward, item);
    else if (item < 5)
        say_workers(steward, item);
    else
        say_removal(steward, item);
}

static void say_run(uint32_t who)
{
    const struct said *run = NULL;
    for (uint32_t i = 0; i < base_count; i++)
        if (said[i].record.header.kind == KIND_RUN) run = &said[i];
    struct body_RUN b = run->body.RUN;
    b.slot = below(4);
    say(who, KIND_RUN, &b, 0);
}

static void say_something(void)
{
    uint32_t choice = below(16), owner = below(2);
    if (choice < 4)
        say_approval(owner);
    else if (choice < 6)
        say_revocation(owner);
    else if (choice < 8)
        say_grant(owner);
    else if (choice < 10)
        say_asset(owner);
    else if (choice < 14)
        say_steward(below(WORLD_CUSTODIANS));
    else
        say_run(choice == 14 ? WORLD_REQUESTER : LATE);
}

/* The late member names a device: sometimes with an expiry, with a role beside, or of another organisation. */
static void say_device(uint32_t device)
{
    struct body_MEMBER b = {.node = author[device],
                            .organisation = one_in(8) ? SPAN_LITERAL("later") : SPAN_LITERAL("late"),
                            .jurisdiction = SPAN_LITERAL("EU"),
                            .roles = ROLE_DEVICE | (one_in(12) ? ROLE_COMPUTE : 0),
                            .approval = author[device],
                            .platforms = SPAN_LITERAL("")};
    say(LATE, KIND_MEMBER, &b, one_in(12) ? times[1] : 0);
}

static void say_no_device(uint32_t device)
{
    struct body_REVOCATION b = {.target = one_in(6) ? REVOKE_ALL : REVOKE_DEVICE,
                                .approval_signature = SPAN_NONE};
    memcpy(b.subject.bytes, author[device].bytes, 32);
    say(LATE, KIND_REVOCATION, &b, 0);
}

/* A case of a maker: most often the stewards admit it, and some say this or that besides. */
static void say_workshop(void)
{
    uint32_t stewards = one_in(6) ? 2 : WORLD_CUSTODIANS;
    for (uint32_t i = 0; i < stewards; i++) say_member(i, 0);
    for (uint32_t i = 2 + below(14); i > 0; i--) {
        uint32_t choice = below(10), device = DEVICE + below(DEVICE_COUNT);
        if (choice < 5)
            say_device(device);
        else if (choice < 7)
            say_no_device(device);
        else if (choice < 9 && place[device].seq < 2)
            say_run(device);
        else
            say_steward(below(WORLD_CUSTODIANS));
    }
}

/* One author says another thing in the place of an earlier record, and perhaps goes on from there. */
static void equivocate(void)
{
    uint32_t victim = below(said_count), who = said[victim].author;
    struct place before = {said[victim].record.header.seq - 1, said[victim].record.header.prev};
    struct place head = place[who];
    struct body_REVOCATION nothing = {.target = REVOKE_DATASET, .approval_signature = SPAN_NONE};
    struct said *s = say_at(who, before, KIND_REVOCATION, &nothing, 0);
    if (one_in(2)) return;
    place[who] = (struct place){s->record.header.seq, s->record.id};
    nothing.subject.bytes[0] = 1;
    say(who, KIND_REVOCATION, &nothing, 0);
    place[who] = head;
}

static void make_case(uint64_t seed)
{
    random_state = seed;
    memory = arena_make(base, 8 << 20);
    memset(base, 0, 8 << 20);
    said_count = 0;
    unloved = WORLD_COMPUTE + below(4);
    for (uint32_t i = 0; i < 4; i++) agenda[i] = below(AGENDA_COUNT);
    for (uint32_t i = 0; i < 2; i++) workers_version[i] = 1 + below(2);
    memset(last_approval, 0, sizeof last_approval);
    for (uint32_t i = 0; i < WORLD_NODES; i++)
        place[i] = (struct place){world->node[i].seq, world->node[i].head};
    for (uint32_t i = WORLD_NODES; i < AUTHORS_MAX; i++) place[i] = (struct place){0, {{0}}};
    for (uint32_t i = 0; i < world->record_count; i++) add(*world->record[i]);
    base_count = said_count;
    bool assembly = one_in(3); /* a case of stewards, or of owners */
    bool workshop = seed > 0 && one_in(5);
    if (workshop) say_workshop();
    for (uint32_t i = workshop ? 0 : below(60); i > 0; i--)
        if (assembly && one_in(8))
            say_run(LATE);
        else if (assembly)
            say_steward(below(WORLD_CUSTODIANS));
        else
            say_something();
    for (uint32_t i = one_in(2) ? 1 + below(2) : 0; i > 0; i--) equivocate();
    for (uint32_t i = one_in(2) ? 1 + below(2) : 0; i > 0; i--) said[below(said_count)].withheld = true;
}

/* --- The twin: asks the whole set, every time -------------------------------------------------------------------------------- */

static bool same32(const void *a, const void *b)
{
    return memcmp(a, b, 32) == 0;
}

static uint32_t needed_votes(enum kind kind)
{
    return kind == KIND_COMMITTEE ? 4 - 1 : 3; /* n-f, s */
}

/* The lowest seq in which two different records were delivered; 0 for none. */
static uint64_t twin_frozen(uint32_t who)
{
    uint64_t lowest = 0;
    for (uint32_t i = 0; i < said_count; i++)
        for (uint32_t j = i + 1; j < said_count; j++) {
            const struct header *a = &said[i].record.header, *b = &said[j].record.header;
            bool pair = said[i].author == who && said[j].author == who && a->seq == b->seq &&
                        !said[i].withheld && !said[j].withheld;
            if (pair && (lowest == 0 || a->seq < lowest)) lowest = a->seq;
        }
    return lowest;
}

/* How far the author's records follow one another without a hole or a fork. */
static uint64_t twin_unbroken(uint32_t who)
{
    uint64_t frozen = twin_frozen(who), seq = 0;
    const uint8_t *head = NULL;
    for (bool found = true; found;) {
        found = false;
        for (uint32_t i = 0; i < said_count && !found; i++) {
            const struct record *r = &said[i].record;
            if (said[i].withheld || said[i].author != who || r->header.seq != seq + 1) continue;
            if (frozen != 0 && r->header.seq >= frozen) continue;
            if (head != NULL && !same32(r->header.prev.bytes, head)) continue;
            found = true;
            seq++;
            head = r->id.bytes;
        }
    }
    return seq;
}

static bool twin_gap(uint32_t who)
{
    uint64_t frozen = twin_frozen(who), unbroken = twin_unbroken(who);
    if (frozen != 0) return unbroken + 1 < frozen;
    for (uint32_t i = 0; i < said_count; i++)
        if (!said[i].withheld && said[i].author == who && said[i].record.header.seq > unbroken) return true;
    return false;
}

static bool twin_admitted(uint32_t who);
static uint64_t twin_last_seq(uint32_t who);

/* In its author's unbroken chain, below any fork, by somebody who is a member and was not removed before. */
static bool twin_counts(const struct said *s)
{
    uint64_t seq = s->record.header.seq;
    return !s->withheld && seq <= twin_unbroken(s->author) && seq <= twin_last_seq(s->author) &&
           twin_admitted(s->author) && (twin_frozen(s->author) == 0 || seq < twin_frozen(s->author));
}

static bool twin_vote(const struct said *s, enum kind kind, struct span body)
{
    uint64_t frozen = twin_frozen(s->author);
    if (s->withheld || s->author >= WORLD_CUSTODIANS || s->record.header.kind != kind) return false;
    if (!span_equal(s->record.body, body)) return false;
    if (kind == KIND_REMOVAL)
        return frozen == 0 || s->record.header.seq < frozen; /* acts whatever is missing */
    return s->record.header.expires_ms == 0 && twin_counts(s);
}

static bool twin_decided(enum kind kind, struct span body)
{
    bool voted[WORLD_CUSTODIANS] = {false};
    uint32_t count = 0;
    for (uint32_t i = 0; i < said_count; i++)
        if (twin_vote(&said[i], kind, body) && !voted[said[i].author]) {
            voted[said[i].author] = true;
            count++;
        }
    return count >= needed_votes(kind);
}

static uint64_t twin_last_seq(uint32_t who)
{
    uint64_t last = UINT64_MAX;
    if (who < WORLD_CUSTODIANS) return last; /* seated by the charter */
    for (uint32_t i = 0; i < said_count; i++) {
        const struct body_REMOVAL *b = &said[i].body.REMOVAL;
        if (said[i].withheld || said[i].record.header.kind != KIND_REMOVAL) continue;
        if (!ID_EQUAL(b->node, author[who]) || b->last_seq >= last) continue;
        if (twin_decided(KIND_REMOVAL, said[i].record.body)) last = b->last_seq;
    }
    return last;
}

/* The decided member body with the smallest hash. */
static const struct said *twin_member(uint32_t who)
{
    const struct said *best = NULL;
    for (uint32_t i = 0; i < said_count; i++) {
        const struct said *s = &said[i];
        if (s->withheld || s->record.header.kind != KIND_MEMBER ||
            !ID_EQUAL(s->body.MEMBER.node, author[who]))
            continue;
        if ((s->body.MEMBER.roles & (ROLE_STEWARD | ROLE_CUSTODIAN | ROLE_DEVICE)) != 0) continue;
        if (!twin_decided(KIND_MEMBER, s->record.body)) continue;
        if (best == NULL ||
            memcmp(s->record.header.body_hash.bytes, best->record.header.body_hash.bytes, 32) < 0)
            best = s;
    }
    return best;
}

/* Taken back by its author later, before this place, whoever else is missing? */
static bool twin_word_revoked(const struct said *s, uint64_t before)
{
    for (uint32_t i = 0; i < said_count; i++) {
        const struct said *v = &said[i];
        if (v->withheld || v->author != s->author || v->record.header.kind != KIND_REVOCATION) continue;
        const struct body_REVOCATION *b = &v->body.REVOCATION;
        bool covers = b->target == REVOKE_ALL ||
                      (b->target == REVOKE_DEVICE && same32(b->subject.bytes, s->body.MEMBER.node.bytes));
        if (covers && v->record.header.seq > s->record.header.seq && v->record.header.seq < before)
            return true;
    }
    return false;
}

static bool twin_names(const struct said *s)
{
    return !s->withheld && s->record.header.kind == KIND_MEMBER && s->body.MEMBER.roles == ROLE_DEVICE &&
           s->record.header.expires_ms == 0;
}

/* Had its author named this node before, and not taken that back since? */
static bool twin_repeats(const struct said *s)
{
    for (uint32_t i = 0; i < said_count; i++) {
        const struct said *o = &said[i];
        if (o->author == s->author && twin_names(o) && o->record.header.seq < s->record.header.seq &&
            ID_EQUAL(o->body.MEMBER.node, s->body.MEMBER.node) && !twin_word_revoked(o, s->record.header.seq))
            return true;
    }
    return false;
}

static bool twin_is_word(const struct said *s)
{
    return twin_names(s) && !twin_word_revoked(s, UINT64_MAX) && !twin_repeats(s);
}

static bool twin_is_named(uint32_t who)
{
    for (uint32_t i = 0; i < said_count; i++)
        if (twin_is_word(&said[i]) && ID_EQUAL(said[i].body.MEMBER.node, author[who])) return true;
    return false;
}

/* How many nodes its author names before it, and has not taken back. */
static uint32_t twin_places_before(const struct said *s)
{
    bool named[DEVICE_COUNT] = {false};
    uint32_t count = 0;
    for (uint32_t i = 0; i < said_count; i++) {
        const struct said *o = &said[i];
        if (o->author != s->author || !twin_is_word(o) || o->record.header.seq >= s->record.header.seq)
            continue;
        named[author_index(o->body.MEMBER.node) - DEVICE] = true;
    }
    for (uint32_t i = 0; i < DEVICE_COUNT; i++)
        count += named[i] && !ID_EQUAL(author[DEVICE + i], s->body.MEMBER.node);
    return count;
}

/* The standing word for this node with the smallest id. */
static const struct said *twin_device(uint32_t who)
{
    const struct said *best = NULL;
    for (uint32_t i = 0; i < said_count; i++) {
        const struct said *s = &said[i];
        if (!twin_is_word(s) || !ID_EQUAL(s->body.MEMBER.node, author[who])) continue;
        const struct said *maker = twin_member(s->author);
        bool may = maker != NULL && (maker->body.MEMBER.roles & ROLE_MAKER) != 0 &&
                   twin_last_seq(s->author) == UINT64_MAX && twin_frozen(s->author) == 0 &&
                   !twin_gap(s->author);
        may = may && span_equal(maker->body.MEMBER.organisation, s->body.MEMBER.organisation);
        if (!may || twin_places_before(s) >= PLACES) continue;
        if (best == NULL || memcmp(s->record.id.bytes, best->record.id.bytes, 32) < 0) best = s;
    }
    return best;
}

static bool twin_admitted(uint32_t who)
{
    return who < WORLD_CUSTODIANS || twin_member(who) != NULL || twin_device(who) != NULL;
}

/* All approvals and grants of it are void. */
static bool twin_void(uint32_t who)
{
    return twin_frozen(who) != 0 || twin_last_seq(who) != UINT64_MAX;
}

/* Delivered records of this author that stand in its unbroken chain, in order. */
static uint32_t twin_chain(uint32_t who, const struct said *out[SAID_MAX])
{
    uint32_t count = 0;
    for (uint64_t seq = 1; seq <= twin_unbroken(who); seq++)
        for (uint32_t i = 0; i < said_count; i++)
            if (!said[i].withheld && said[i].author == who && said[i].record.header.seq == seq)
                out[count++] = &said[i];
    return count;
}

/* The newest version of a token that obeyed the rules at its time, up to a record of its owner's chain. */
static const struct said *twin_asset(uint32_t who, uint32_t dataset, const struct said *upto)
{
    const struct said *chain[SAID_MAX], *newest = NULL;
    uint32_t count = twin_chain(who, chain);
    for (uint32_t i = 0; i < count && chain[i] != upto; i++) {
        const struct said *s = chain[i];
        if (s->record.header.kind != KIND_ASSET || s->dataset != dataset || !s->valid_ddo) continue;
        if (s->record.header.expires_ms != 0) continue;
        uint64_t version = s->body.ASSET.version;
        if (newest != NULL ? version > newest->body.ASSET.version : version == 1) newest = s;
    }
    return newest;
}

static bool twin_fits(const struct body_APPROVAL *b, uint64_t *allotted, const struct said *const *earlier,
                      const bool *accepted, uint32_t count)
{
    if (b->slot_first == 0 || b->slot_last < b->slot_first || b->delta != 0) return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct body_APPROVAL *o = &earlier[i]->body.APPROVAL;
        if (!accepted[i] || !same32(o->dataset.bytes, b->dataset.bytes)) continue;
        if (!same32(o->compose.bytes, b->compose.bytes)) continue;
        for (uint64_t slot = b->slot_first; slot <= b->slot_last; slot++)
            if (slot >= o->slot_first && slot <= o->slot_last) return false;
    }
    uint64_t cost = (b->slot_last - b->slot_first + 1) * b->cost;
    if (*allotted + cost > UINT64_C(8000000000)) return false;
    *allotted += cost;
    return true;
}

/* Which records of an owner's chain had an effect when their turn came: approvals by the fold, grants by their tokens. */
static uint32_t twin_accepted(uint32_t who, const struct said *chain[SAID_MAX], bool accepted[SAID_MAX])
{
    uint32_t count = twin_chain(who, chain);
    uint64_t allotted = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct said *s = chain[i];
        bool own = s->dataset == who && twin_asset(who, who, s) != NULL;
        accepted[i] = false;
        if (s->record.header.kind == KIND_APPROVAL)
            accepted[i] = own && twin_fits(&s->body.APPROVAL, &allotted, chain, accepted, i);
        if (s->record.header.kind == KIND_GRANT)
            accepted[i] = own && !same32(s->body.GRANT.lower.bytes, s->body.GRANT.higher.bytes);
    }
    return count;
}

static bool twin_revoked(const struct said *s, bool of_compose)
{
    for (uint32_t i = 0; i < said_count; i++) {
        const struct said *v = &said[i];
        if (v->withheld || v->author != s->author || v->record.header.kind != KIND_REVOCATION) continue;
        if (v->record.header.seq < s->record.header.seq) continue;
        const uint8_t *subject = v->body.REVOCATION.subject.bytes;
        uint64_t target = v->body.REVOCATION.target;
        if (target == REVOKE_ALL) return true;
        if (target == REVOKE_APPROVAL && same32(subject, s->record.id.bytes)) return true;
        if (target == REVOKE_COMPOSE && of_compose && same32(subject, world->compose.bytes)) return true;
        if (target == REVOKE_DATASET && same32(subject, world->dataset[s->dataset].dt.bytes)) return true;
    }
    return twin_void(s->author);
}

static bool twin_expired(const struct said *s, uint64_t now)
{
    return s->record.header.expires_ms != 0 && s->record.header.expires_ms <= now;
}

struct choice {
    const struct said *said;
    bool revoked, expired;
};

/* The newest live approval that covers the slot; else the newest, with what is wrong with it. */
static struct choice twin_approval(uint32_t owner, uint64_t slot, uint64_t now)
{
    const struct said *chain[SAID_MAX];
    bool accepted[SAID_MAX];
    struct choice none = {NULL, false, false};
    if (twin_gap(owner)) return none; /* what is missing may be a revocation */
    for (uint32_t i = twin_accepted(owner, chain, accepted); i > 0; i--) {
        const struct said *s = chain[i - 1];
        if (!accepted[i - 1] || s->record.header.kind != KIND_APPROVAL || !twin_counts(s)) continue;
        if (slot < s->body.APPROVAL.slot_first || slot > s->body.APPROVAL.slot_last) continue;
        struct choice c = {s, twin_revoked(s, true), twin_expired(s, now)};
        if (!c.revoked && !c.expired) return c;
        if (none.said == NULL) none = c;
    }
    return none;
}

static const struct said *twin_grant(uint32_t owner, uint64_t now)
{
    const struct said *chain[SAID_MAX], *expired = NULL;
    bool accepted[SAID_MAX];
    if (twin_gap(owner)) return NULL;
    for (uint32_t i = twin_accepted(owner, chain, accepted); i > 0; i--) {
        const struct said *s = chain[i - 1];
        if (!accepted[i - 1] || s->record.header.kind != KIND_GRANT || !twin_counts(s)) continue;
        if (!ID_EQUAL(s->body.GRANT.higher, world->app) || twin_revoked(s, false)) continue;
        if (!twin_expired(s, now)) return s;
        if (expired == NULL) expired = s;
    }
    return expired;
}

/* The newest counting asset record of the owner that binds content. */
static const struct said *twin_binding(uint32_t owner, const struct record_id *only)
{
    const struct said *chain[SAID_MAX], *found = NULL;
    uint32_t count = twin_chain(owner, chain);
    for (uint32_t i = 0; i < count; i++) {
        const struct said *s = chain[i];
        if (s->record.header.kind != KIND_ASSET || ID_IS_ZERO(s->body.ASSET.content)) continue;
        const struct said *next = i + 1 < count ? chain[i + 1] : NULL;
        if (twin_asset(owner, owner, next) != s || !twin_counts(s)) continue;
        if (only == NULL || ID_EQUAL(*only, s->record.id)) found = s;
    }
    return found;
}

/* --- What is in force, as lines of text: from the core, and from the twin ---------------------------------------------------- */

struct report {
    char text[REPORT_BYTES];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void line(struct report *r, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int n = vsnprintf(r->text + r->len, sizeof r->text - r->len, format, list);
    va_end(list);
    assert_true(n >= 0 && (size_t)n < sizeof r->text - r->len);
    r->len += (size_t)n;
}

static unsigned short_id(const uint8_t *id)
{
    return load_u32(id);
}

/* The higher version; of equals the smaller hash. */
static bool twin_set_before(const struct said *a, const struct said *b)
{
    uint64_t x = a->body.WORKERS.version, y = b->body.WORKERS.version;
    if (x != y) return x > y;
    return memcmp(a->record.header.body_hash.bytes, b->record.header.body_hash.bytes, 32) < 0;
}

static void report_twin_joint(struct report *r)
{
    for (uint32_t i = 0; i < AUTHORS_MAX; i++) {
        const struct said *s =
            i >= WORLD_CUSTODIANS && twin_last_seq(i) == UINT64_MAX ? twin_member(i) : NULL;
        if (i >= DEVICE && twin_last_seq(i) == UINT64_MAX) s = twin_device(i);
        if (s != NULL) line(r, "member %u roles %u\n", i, (unsigned)s->body.MEMBER.roles);
    }
    static const char *const sets[] = {"default", "spare"};
    for (uint32_t k = 0; k < 2; k++) {
        const struct said *best = NULL;
        for (uint32_t i = 0; i < said_count; i++) {
            const struct said *s = &said[i];
            if (s->withheld || s->record.header.kind != KIND_WORKERS) continue;
            if (!span_equal_text(s->body.WORKERS.name, sets[k]) ||
                !twin_decided(KIND_WORKERS, s->record.body))
                continue;
            if (best == NULL || twin_set_before(s, best)) best = s;
        }
        line(r, "workers %s %zu\n", sets[k], best != NULL ? best->body.WORKERS.measurements.len : 0);
    }
}

static bool twin_kind_decided(enum kind kind)
{
    for (uint32_t i = 0; i < base_count; i++)
        if (said[i].record.header.kind == kind && twin_decided(kind, said[i].record.body)) return true;
    return false;
}

static const struct said *base_record(enum kind kind, uint32_t who)
{
    for (uint32_t i = base_count; i > 0; i--)
        if (said[i - 1].record.header.kind == kind && said[i - 1].author == who) return &said[i - 1];
    fail_msg("no such record in the world");
    return NULL;
}

/* Slots that the owner ever allotted, up to and with this approval of its chain. */
static uint64_t twin_slots(uint32_t owner, const struct said *upto)
{
    const struct said *chain[SAID_MAX];
    bool accepted[SAID_MAX];
    uint64_t slots = 0;
    for (uint32_t i = 0, count = twin_accepted(owner, chain, accepted); i < count; i++) {
        if (!accepted[i] || chain[i]->record.header.kind != KIND_APPROVAL) continue;
        slots += chain[i]->body.APPROVAL.slot_last - chain[i]->body.APPROVAL.slot_first + 1;
        if (chain[i] == upto) return slots;
    }
    return UINT64_MAX;
}

static bool twin_may_use(uint32_t owner, const struct said *run, uint64_t now)
{
    struct run_input input;
    const uint8_t *at = run->body.RUN.inputs.data + (size_t)owner * RUN_INPUT_BYTES;
    memcpy(input.binding.bytes, at + 96, 32);
    if (twin_gap(owner) || twin_void(owner) || twin_binding(owner, &input.binding) == NULL) return false;
    const struct said *grant = twin_grant(owner, now);
    bool granted = grant != NULL && !twin_expired(grant, now) && grant->body.GRANT.ops.len == 32 &&
                   grant->body.GRANT.service == 0;
    struct choice approval = twin_approval(owner, run->body.RUN.slot, now);
    return granted && approval.said != NULL && !approval.revoked && !approval.expired &&
           twin_slots(owner, approval.said) <= grant->body.GRANT.slots_max &&
           approval.said->body.APPROVAL.cost >= UINT64_C(1000000000);
}

/* May the world's run be, now? Everything of DESIGN §5 that records alone decide. */
static bool twin_run(uint64_t now)
{
    const struct said *run = base_record(KIND_RUN, WORLD_REQUESTER);
    bool joint = twin_kind_decided(KIND_CHARTER) && twin_kind_decided(KIND_COMMITTEE) &&
                 twin_kind_decided(KIND_OP) && twin_kind_decided(KIND_ENDORSEMENT);
    bool provider = twin_counts(base_record(KIND_ASSET, WORLD_ALGORITHM)) &&
                    twin_counts(base_record(KIND_JOB, WORLD_ALGORITHM));
    bool requester = twin_admitted(WORLD_REQUESTER) && twin_last_seq(WORLD_REQUESTER) == UINT64_MAX;
    return joint && provider && requester && twin_may_use(0, run, now) && twin_may_use(1, run, now);
}

static void report_twin(struct report *r)
{
    r->len = 0;
    report_twin_joint(r);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++)
        line(r, "author %u frozen %u\n", i, (unsigned)twin_frozen(i));
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) {
        const struct said *a = twin_asset(i, i, NULL), *b = twin_binding(i, NULL);
        bool counts = a != NULL;
        line(r, "asset %u version %u %s\n", i, counts ? (unsigned)a->body.ASSET.version : 0,
             counts ? a->tag : "");
        line(r, "binding %u %08x\n", i, counts && b != NULL ? short_id(b->record.id.bytes) : 0);
        for (uint32_t t = 0; t < 2; t++) {
            const struct said *g = twin_grant(i, times[t]);
            line(r, "grant %u at %u %08x\n", i, t, g != NULL ? short_id(g->record.id.bytes) : 0);
            for (uint64_t slot = 1; slot <= 15; slot++) {
                struct choice c = twin_approval(i, slot, times[t]);
                if (counts && c.said != NULL)
                    line(r, "approval %u slot %u at %u %08x %d %d\n", i, (unsigned)slot, t,
                         short_id(c.said->record.id.bytes), c.revoked, c.expired);
            }
        }
    }
    for (uint32_t i = 0; i < said_count; i++) {
        const struct said *s = &said[i];
        bool run = s->record.header.kind == KIND_RUN && s->body.RUN.slot != 0 && twin_counts(s);
        if (run) line(r, "run %08x\n", short_id(s->record.id.bytes));
    }
    line(r, "workflow %d\n", twin_counts(base_record(KIND_ASSET, WORLD_ALGORITHM)));
    for (uint32_t t = 0; t < 2; t++)
        line(r, "run at %u %s\n", t, twin_run(times[t]) ? "may be" : "may not be");
}

static void report_core_joint(struct report *r, struct registry *g)
{
    for (uint32_t i = 0; i < AUTHORS_MAX; i++) {
        const struct member *m = registry_member(g, author[i]);
        if (m != NULL && i >= WORLD_CUSTODIANS) line(r, "member %u roles %u\n", i, m->roles);
    }
    line(r, "workers default %zu\n", registry_workers(g, SPAN_LITERAL("default")).len);
    line(r, "workers spare %zu\n", registry_workers(g, SPAN_LITERAL("spare")).len);
}

static void report_core_dataset(struct report *r, struct registry *g, uint32_t i)
{
    const struct asset *a = registry_asset(g, world->dataset[i].dt);
    const struct binding *b = a != NULL ? registry_binding(g, a, world->compose) : NULL;
    line(r, "asset %u version %u %.*s\n", i, a != NULL ? (unsigned)a->version : 0,
         a != NULL ? (int)a->ddo->description.len : 0,
         a != NULL ? (const char *)a->ddo->description.data : "");
    line(r, "binding %u %08x\n", i, b != NULL ? short_id(b->record->id.bytes) : 0);
    for (uint32_t t = 0; t < 2; t++) {
        const struct grant *grant = registry_grant(g, world->dataset[i].dt, world->app, times[t]);
        line(r, "grant %u at %u %08x\n", i, t, grant != NULL ? short_id(grant->record->id.bytes) : 0);
        for (uint64_t slot = 1; slot <= 15 && a != NULL; slot++) {
            struct approval_view v = registry_approval(g, a, world->compose, slot, times[t]);
            if (v.approval != NULL)
                line(r, "approval %u slot %u at %u %08x %d %d\n", i, (unsigned)slot, t,
                     short_id(v.approval->record->id.bytes), v.revoked, v.expired);
        }
    }
}

static void report_core(struct report *r, struct core *core)
{
    struct registry *g = core_registry(core);
    const struct said *run = base_record(KIND_RUN, WORLD_REQUESTER);
    r->len = 0;
    report_core_joint(r, g);
    for (uint32_t i = 0; i < WORLD_CUSTODIANS; i++) {
        const struct author *a = chain_author(core_chain(core), author[i]);
        line(r, "author %u frozen %u\n", i, a != NULL ? (unsigned)a->frozen : 0);
    }
    for (uint32_t i = 0; i < WORLD_DATASETS; i++) report_core_dataset(r, g, i);
    for (uint32_t i = 0; i < said_count; i++) {
        struct run_id id;
        memcpy(id.bytes, said[i].record.id.bytes, 32);
        const struct run_entry *e = registry_run(g, id);
        if (e != NULL && registry_counts(g, e->record)) line(r, "run %08x\n", short_id(id.bytes));
    }
    line(r, "workflow %d\n", registry_workflow(g, world->compose) != NULL);
    for (uint32_t t = 0; t < 2; t++) {
        struct verdict v = registry_check_run(g, &run->body.RUN, world->node[WORLD_REQUESTER].id, times[t]);
        line(r, "run at %u %s\n", t, v.refusal == REFUSAL_NONE ? "may be" : "may not be");
    }
}

/* --- The core under test ------------------------------------------------------------------------------------------------------ */

static uint8_t options_engine[] = "none";

static struct core *core_begin(struct arena *arena)
{
    struct core *core;
    struct core_options options = {.self = {{0xee}},
                                   .consortium = world->consortium,
                                   .charter = world->charter,
                                   .engine = SPAN_OF(options_engine)};
    assert_int_equal(core_new(&core, arena, &options), OK);
    core_step(core, &(struct event){.type = EVENT_READY, .wall_ms = times[0]});
    return core;
}

/* One event, and whatever signature checks follow from it answered with yes. */
static void step(struct core *core, struct event event)
{
    uint64_t token[64];
    uint32_t tokens = 0;
    event.wall_ms = times[0];
    for (uint32_t done = 0;; done++) {
        uint32_t count;
        core_step(core, &event);
        const struct effect *e = core_effects(core, &count);
        for (uint32_t i = 0; i < count; i++)
            if (e[i].type == EFFECT_CRYPTO) {
                assert_true(tokens < sizeof token / sizeof token[0]);
                token[tokens++] = e[i].token;
            }
        if (done == tokens) break;
        event = (struct event){.type = EVENT_CRYPTO, .wall_ms = times[0], .token = token[done]};
    }
    core_check(core);
}

static void deliver(struct core *core, const struct record *record)
{
    static uint8_t bytes[CAP_BODY_BYTES + 1024];
    struct buffer b = BUFFER_OF(bytes);
    record_encode(&b, record);
    step(core, (struct event){.type = EVENT_MESSAGE, .bytes = buffer_span(&b)});
}

static void shuffle(uint32_t *order, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t j = below(i), kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

/* All of it in some order, with duplicates; then again, as peers offer again what could not be used when it came. */
static void deliver_all(struct core *core, uint32_t order_number)
{
    uint32_t order[SAID_MAX], count = 0;
    for (uint32_t i = 0; i < said_count; i++)
        if (!said[i].withheld) order[count++] = i;
    for (uint32_t round = 0; round < 5; round++) {
        if (order_number > 0) shuffle(order, count); /* number 0: as it was said */
        for (uint32_t i = 0; i < count; i++) {
            deliver(core, &said[order[i]].record);
            if (one_in(8)) deliver(core, &said[order[below(i + 1)]].record);
        }
    }
    step(core, (struct event){.type = EVENT_TICK});
}

static void first_difference(const char *a, const char *b, uint64_t seed, uint32_t order)
{
    size_t at = 0;
    while (a[at] == b[at] && a[at] != 0) at++;
    while (at > 0 && a[at - 1] != '\n') at--;
    fail_msg("seed %llu order %u: twin says \"%.60s\", core says \"%.60s\"", (unsigned long long)seed, order,
             a + at, b + at);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

/* How often each outcome that matters occurred: a generator that never reaches one proves nothing. */
static uint32_t frozen_seen, gap_seen, revoked_seen, may_seen, may_not_seen, removed_seen, device_seen,
    device_lost_seen;

static void count_outcomes(const struct report *r)
{
    for (uint32_t i = 0; i < AUTHORS_MAX; i++) {
        if (twin_frozen(i) != 0) frozen_seen++;
        if (twin_gap(i)) gap_seen++;
        if (twin_last_seq(i) != UINT64_MAX) removed_seen++;
        if (i >= DEVICE && twin_device(i) != NULL) device_seen++;
        if (i >= DEVICE && twin_device(i) == NULL && twin_is_named(i)) device_lost_seen++;
    }
    if (strstr(r->text, " 1 0\n") != NULL) revoked_seen++;
    if (strstr(r->text, "run at 0 may be") != NULL) may_seen++;
    if (strstr(r->text, "run at 0 may not be") != NULL) may_not_seen++;
}

static void one_case(uint64_t seed)
{
    static struct report twin, core_report;
    make_case(seed);
    report_twin(&twin);
    count_outcomes(&twin);
    for (uint32_t order = 0; order < ORDER_COUNT; order++) {
        struct arena *arena = world_arena(world);
        struct core *core = core_begin(arena);
        deliver_all(core, order);
        report_core(&core_report, core);
        if (strcmp(twin.text, core_report.text) != 0)
            first_difference(twin.text, core_report.text, seed, order);
        world_arena_free(arena);
    }
}

static void test_any_order_agrees_with_the_twin(void **state)
{
    (void)state;
    uint64_t first = from_environment("PERIGEE_TWIN_SEED", 1),
             rounds = from_environment("PERIGEE_TWIN_ROUNDS", CASE_COUNT);
    for (uint64_t seed = first; seed < first + rounds; seed++) one_case(seed);
    print_message("%u forks, %u gaps, %u with revocations, %u removals, %u devices, %u named in vain, run "
                  "allowed in %u, "
                  "not in %u\n",
                  frozen_seen, gap_seen, revoked_seen, removed_seen, device_seen, device_lost_seen, may_seen,
                  may_not_seen);
    if (rounds < CASE_COUNT) return;
    assert_true(frozen_seen > 0 && gap_seen > 0 && revoked_seen > 0 && removed_seen > 0);
    assert_true(may_seen > 0 && may_not_seen > 0);
    assert_true(device_seen > 0 && device_lost_seen > 0);
}

/* Nothing random was added: the world as it is lets its run be. A twin that always says no would not notice. */
static void test_the_world_is_in_force(void **state)
{
    (void)state;
    static struct report twin;
    make_case(0);
    said_count = base_count;
    for (uint32_t i = 0; i < said_count; i++) said[i].withheld = false;
    report_twin(&twin);
    assert_non_null(strstr(twin.text, "run at 0 may be\n"));
    assert_non_null(strstr(twin.text, "run at 1 may not be\n")); /* the approvals have expired by then */
}

static int set_up(void **state)
{
    (void)state;
    world_maker_devices = PLACES;
    world = world_new();
    base = calloc(1, 8 << 20);
    for (uint32_t i = 0; i < 2; i++) approval_form[i] = world_approval(world, i, 1, 1, 0);
    for (uint32_t i = 0; i < WORLD_NODES; i++) author[i] = world->node[i].id;
    for (uint32_t i = WORLD_NODES; i < AUTHORS_MAX; i++) memset(author[i].bytes, (int)(0xd0 + i), 32);
    return base != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(base);
    world_free(world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_world_is_in_force),
        cmocka_unit_test(test_any_order_agrees_with_the_twin),
    };
    return cmocka_run_group_tests_name("chain_twin", tests, set_up, tear_down);
}
