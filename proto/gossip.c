#include "proto/gossip.h"

#include "proto/base/index.h"
#include "proto/base/panic.h"

#include <string.h>

enum {
    SCORE_MAX = 16,
    SCORE_MIN = -64,
    SCORE_BROKEN = 4, /* a promise not kept weighs as much as so many that were */
    SRTT_FIRST_MS = 80,
    ASKED_A_TURN = 256, /* items; the others in the next */
    NS_A_MS = 1000000,
};

/* A useless one is kept to be known again. */
enum item_state { ITEM_FREE, ITEM_WANTED, ITEM_LOOKED_AT, ITEM_HELD, ITEM_USELESS };

/* One bit a link. */
struct item {
    struct record_id id;
    uint64_t record;
    uint64_t has;   /* it has it, or has been sent it, or has said so */
    uint64_t said;  /* it has said so: a promise */
    uint64_t tell;  /* it is told with the next batch */
    uint64_t asked; /* it was asked in vain so far */
    uint64_t open;  /* of these: whose answer is awaited */
    uint64_t late;  /* whose answer was awaited in vain, and may come */
    int64_t asked_ns, due_ns;
    int64_t late_ns;        /* when the first of those that are late was asked */
    uint32_t next_plus_one; /* in its bucket */
    uint32_t tell_plus_one; /* in the batch */
    uint32_t first;         /* link that it was first heard of from, GOSSIP_NOBODY: none counts it */
    uint32_t from;          /* link that brought what is looked at */
    uint8_t state, turns;
};

struct link {
    bool up;
    int32_t score;
    uint32_t wanted; /* items wanted on its word */
    uint32_t open;   /* questions that it has not answered */
    int64_t srtt_ns;
};

struct gossip {
    struct gossip_holder holder;
    struct item *item;
    uint32_t *bucket; /* a row plus one */
    uint32_t items, mask, next, wanted;
    uint32_t telling_plus_one; /* the batch, newest first */
    int64_t batch_ns, ask_ns;  /* INT64_MAX: nothing waits */
    uint64_t up, salt, random;
    struct link link[GOSSIP_LINKS_MAX];
};

static uint64_t bit(uint32_t link)
{
    ASSERT(link < GOSSIP_LINKS_MAX);
    return UINT64_C(1) << link;
}

/* xorshift64*, Vigna 2016. */
static uint64_t draw(struct gossip *g)
{
    g->random ^= g->random >> 12;
    g->random ^= g->random << 25;
    g->random ^= g->random >> 27;
    return g->random * UINT64_C(0x2545f4914f6cdd1d);
}

static uint32_t bits_in(uint64_t links)
{
    return (uint32_t)__builtin_popcountll(links);
}

static uint32_t lowest(uint64_t links)
{
    return (uint32_t)__builtin_ctzll(links);
}

/* One of these, each as likely. */
static uint32_t any_of(struct gossip *g, uint64_t links)
{
    uint64_t skip = draw(g) % bits_in(links);
    while (skip-- > 0) links &= links - 1;
    return lowest(links);
}

/* --- Items: a table with chains, whose places are used again in turn --------------------------------------------------- */

static uint32_t buckets_for(uint32_t items)
{
    uint32_t buckets = 16;
    while (buckets < items * 2) buckets *= 2;
    return buckets;
}

size_t gossip_bytes(uint32_t items)
{
    return ARENA_BYTES(1, sizeof(struct gossip)) + ARENA_BYTES(items, sizeof(struct item)) +
           ARENA_BYTES(buckets_for(items), sizeof(uint32_t));
}

enum err gossip_new(struct gossip **out, struct arena *arena, uint32_t items, uint64_t salt,
                    const struct gossip_holder *holder)
{
    ASSERT(items > 0 && items < UINT32_MAX / 4);
    struct gossip *g = ARENA_NEW(arena, struct gossip);
    struct item *item = ARENA_ARRAY(arena, struct item, items);
    uint32_t *bucket = ARENA_ARRAY(arena, uint32_t, buckets_for(items));
    if (g == NULL || item == NULL || bucket == NULL) return ERR_NO_MEMORY;
    g->holder = *holder;
    g->item = item;
    g->bucket = bucket;
    g->items = items;
    g->mask = buckets_for(items) - 1;
    g->batch_ns = g->ask_ns = INT64_MAX;
    g->salt = salt;
    g->random = salt != 0 ? salt : 1;
    *out = g;
    return OK;
}

/* Ids are chosen by whoever announces them. */
static uint32_t *bucket_of(const struct gossip *g, struct record_id id)
{
    return &g->bucket[(uint32_t)index_hash(g->salt, id.bytes) & g->mask];
}

static struct item *find(const struct gossip *g, struct record_id id)
{
    for (uint32_t at = *bucket_of(g, id); at != 0; at = g->item[at - 1].next_plus_one)
        if (ID_EQUAL(g->item[at - 1].id, id)) return &g->item[at - 1];
    return NULL;
}

/* Nothing is awaited for it any more. */
static void settle(struct gossip *g, struct item *i)
{
    for (uint64_t open = i->open; open != 0; open &= open - 1) g->link[lowest(open)].open--;
    if (i->first != GOSSIP_NOBODY) g->link[i->first].wanted--;
    if (i->state == ITEM_WANTED) g->wanted--;
    i->open = 0;
    i->first = GOSSIP_NOBODY;
    i->due_ns = INT64_MAX;
}

static void forget(struct gossip *g, struct item *i)
{
    const uint32_t plus_one = (uint32_t)(i - g->item) + 1;
    uint32_t *at = bucket_of(g, i->id);
    ASSERT(i->tell_plus_one == 0 && g->telling_plus_one != plus_one);
    settle(g, i);
    while (*at != plus_one) at = &g->item[*at - 1].next_plus_one;
    *at = i->next_plus_one;
    memset(i, 0, sizeof *i);
}

static bool in_batch(const struct item *i)
{
    return i->tell != 0;
}

static bool is_done(const struct item *i)
{
    return i->state == ITEM_HELD || i->state == ITEM_USELESS;
}

/* A free place, or that of what was done first and is not waiting to be told; NULL: all is in use. */
static struct item *add(struct gossip *g, struct record_id id)
{
    for (uint32_t tried = 0; tried < g->items; tried++) {
        struct item *i = &g->item[g->next++ % g->items];
        if (i->state != ITEM_FREE && (!is_done(i) || in_batch(i))) continue;
        if (i->state != ITEM_FREE) forget(g, i);
        uint32_t *bucket = bucket_of(g, id);
        *i = (struct item){.id = id, .next_plus_one = *bucket, .first = GOSSIP_NOBODY, .due_ns = INT64_MAX};
        *bucket = (uint32_t)(i - g->item) + 1;
        return i;
    }
    return NULL;
}

/* --- Links --------------------------------------------------------------------------------------------------------------- */

void gossip_link_up(struct gossip *g, uint32_t link)
{
    ASSERT((g->up & bit(link)) == 0);
    g->up |= bit(link);
    g->link[link] = (struct link){.up = true, .srtt_ns = (int64_t)SRTT_FIRST_MS * NS_A_MS};
}

/* On the word of another that has it: links that come and go do not make more wanted than those that stay. */
static bool count_on_another(struct gossip *g, struct item *i)
{
    for (uint64_t others = i->has & g->up; others != 0; others &= others - 1) {
        if (g->link[lowest(others)].wanted >= GOSSIP_WANT_MAX) continue;
        i->first = lowest(others);
        g->link[i->first].wanted++;
        return true;
    }
    return false;
}

void gossip_link_down(struct gossip *g, uint32_t link)
{
    const uint64_t gone = bit(link);
    if ((g->up & gone) == 0) return;
    g->up &= ~gone;
    for (uint32_t at = 0; at < g->items; at++) {
        struct item *i = &g->item[at];
        if (i->state == ITEM_FREE) continue;
        const bool awaited = (i->open & gone) != 0;
        i->has &= ~gone;
        i->said &= ~gone;
        i->asked &= ~gone;
        i->open &= ~gone;
        i->late &= ~gone;
        if (i->first == link && !count_on_another(g, i)) {
            forget(g, i);
            continue;
        }
        if (i->from == link) i->from = GOSSIP_NOBODY;
        if (awaited && i->open == 0) i->due_ns = g->ask_ns = 0; /* others at once */
    }
    g->link[link] = (struct link){.up = false};
}

static void praise(struct gossip *g, uint32_t link)
{
    if (g->link[link].score < SCORE_MAX) g->link[link].score++;
}

static void blame(struct gossip *g, const struct item *i, uint32_t link)
{
    int32_t *score = &g->link[link].score;
    if ((i->said & bit(link)) == 0) return; /* it has promised nothing */
    *score = *score - SCORE_BROKEN < SCORE_MIN ? SCORE_MIN : *score - SCORE_BROKEN;
}

/* --- Questions ----------------------------------------------------------------------------------------------------------- */

static void await(struct gossip *g, struct item *i, int64_t due_ns)
{
    i->due_ns = due_ns;
    if (due_ns < g->ask_ns) g->ask_ns = due_ns;
}

/* Notes that this link is asked; the message is the caller's to send. */
static void ask(struct gossip *g, struct item *i, uint32_t link, int64_t now_ns)
{
    const int64_t least = (int64_t)GOSSIP_ASK_MS * NS_A_MS, most = (int64_t)GOSSIP_ASK_MOST_MS * NS_A_MS;
    const int64_t three = 3 * g->link[link].srtt_ns;
    i->asked |= bit(link);
    i->open |= bit(link);
    i->asked_ns = now_ns;
    g->link[link].open++;
    await(g, i, now_ns + (three < least ? least : three > most ? most : three));
}

static uint32_t best_of(const struct gossip *g, uint64_t links)
{
    uint32_t best = lowest(links);
    for (; links != 0; links &= links - 1)
        if (g->link[lowest(links)].score > g->link[best].score) best = lowest(links);
    return best;
}

static uint64_t may_be_asked(const struct gossip *g, const struct item *i)
{
    uint64_t able = i->has & g->up & ~i->asked;
    for (uint64_t links = able; links != 0; links &= links - 1)
        if (g->link[lowest(links)].open >= GOSSIP_WANT_MAX) able &= ~bit(lowest(links));
    return able;
}

/* Whoever has not answered is not waited for, and asked again after all others. */
static void ask_others(struct gossip *g, struct item *i, int64_t now_ns)
{
    if (i->late == 0) i->late_ns = i->asked_ns;
    i->late |= i->open;
    for (uint64_t open = i->open; open != 0; open &= open - 1) {
        blame(g, i, lowest(open));
        g->link[lowest(open)].open--;
    }
    i->open = 0;
    if ((i->has & g->up) == 0 || ++i->turns > GOSSIP_ASK_TURNS) {
        forget(g, i);
        return;
    }
    if ((i->has & g->up & ~i->asked) == 0) i->asked = 0;
    await(g, i, now_ns + (int64_t)GOSSIP_ASK_MS * NS_A_MS); /* all may have too many questions */
    const uint32_t at_once = i->turns > 1 ? 2 : 1;
    for (uint32_t n = 0; n < at_once; n++) {
        const uint64_t able = may_be_asked(g, i);
        if (able == 0) return;
        const uint32_t link = best_of(g, able);
        ask(g, i, link, now_ns);
        g->holder.want(g->holder.context, link, ID_SPAN(i->id));
    }
}

static void ask_what_is_due(struct gossip *g, int64_t now_ns)
{
    const int64_t soon_ns = now_ns + (int64_t)GOSSIP_BATCH_MS * NS_A_MS; /* many at once, not one at a time */
    uint32_t asked = 0;
    g->ask_ns = INT64_MAX;
    for (uint32_t at = 0; at < g->items && g->wanted > 0; at++) {
        struct item *i = &g->item[at];
        if (i->state != ITEM_WANTED) continue;
        if (i->due_ns <= now_ns && asked++ < ASKED_A_TURN)
            ask_others(g, i, now_ns);
        else if (i->due_ns < g->ask_ns)
            g->ask_ns = i->due_ns;
    }
    if (g->ask_ns < soon_ns) g->ask_ns = soon_ns;
}

static struct item *want(struct gossip *g, struct record_id id, uint32_t first, int64_t now_ns)
{
    struct item *i = add(g, id);
    if (i == NULL) return NULL;
    i->state = ITEM_WANTED;
    i->first = first;
    if (first != GOSSIP_NOBODY) g->link[first].wanted++;
    g->wanted++;
    await(g, i, now_ns + (int64_t)GOSSIP_ASK_MS * NS_A_MS);
    return i;
}

/* Somebody has it. Shall it be asked now? Not while another is, nor who did not keep what it promised, while there may be others. */
static bool heard_of(struct gossip *g, uint32_t link, struct record_id id, int64_t now_ns)
{
    struct item *i = find(g, id);
    if (i == NULL && (g->link[link].wanted >= GOSSIP_WANT_MAX || g->holder.holds(g->holder.context, id)))
        return false;
    if (i == NULL) i = want(g, id, link, now_ns);
    if (i == NULL) return false;
    i->has |= bit(link);
    i->said |= bit(link);
    const bool free = i->state == ITEM_WANTED && i->open == 0 && (i->asked & bit(link)) == 0;
    if (!free || g->link[link].score < 0 || g->link[link].open >= GOSSIP_WANT_MAX) return false;
    ask(g, i, link, now_ns);
    return true;
}

bool gossip_on_announce(struct gossip *g, uint32_t link, struct span ids, int64_t now_ns)
{
    uint8_t wanted[GOSSIP_WANT_MAX * 32];
    size_t len = 0;
    struct record_id id;
    if (ids.len == 0 || ids.len % 32 != 0 || ids.len > (size_t)GOSSIP_ANNOUNCE_MAX * 32) return false;
    if ((g->up & bit(link)) == 0) return true;
    for (size_t at = 0; at < ids.len; at += 32) {
        memcpy(id.bytes, ids.data + at, 32);
        if (!heard_of(g, link, id, now_ns)) continue;
        ASSERT(len < sizeof wanted); /* a link has no more questions open */
        memcpy(wanted + len, id.bytes, 32);
        len += 32;
    }
    if (len > 0) g->holder.want(g->holder.context, link, span_make(wanted, len));
    return true;
}

bool gossip_on_absent(struct gossip *g, uint32_t link, struct span ids, int64_t now_ns)
{
    struct record_id id;
    if (ids.len == 0 || ids.len % 32 != 0 || ids.len > (size_t)GOSSIP_WANT_MAX * 32) return false;
    for (size_t at = 0; at < ids.len; at += 32) {
        memcpy(id.bytes, ids.data + at, 32);
        struct item *i = find(g, id);
        if (i == NULL || (i->open & bit(link)) == 0) continue;
        blame(g, i, link);
        g->link[link].open--;
        i->open &= ~bit(link);
        i->has &= ~bit(link);
        if (i->state == ITEM_WANTED && i->open == 0) ask_others(g, i, now_ns);
    }
    return true;
}

/* --- Records ------------------------------------------------------------------------------------------------------------- */

/* One that is late says how long it takes, from the first question on: whoever is far would be asked too early, and blamed, for ever. What it
 * was blamed for stays: a copy that nobody waits for any more is no promise kept. */
static void note_answer(struct gossip *g, struct item *i, uint32_t link, int64_t now_ns)
{
    const bool late = (i->late & bit(link)) != 0, open = (i->open & bit(link)) != 0;
    const int64_t took_ns = now_ns - (late ? i->late_ns : i->asked_ns),
                  most_ns = (int64_t)GOSSIP_ASK_MOST_MS * NS_A_MS;
    struct link *l = &g->link[link];
    if (!late && !open) return;
    l->srtt_ns += ((took_ns < most_ns ? took_ns : most_ns) - l->srtt_ns) / 8;
    l->open -= open;
    i->open &= ~bit(link);
    i->late &= ~bit(link);
}

bool gossip_arrived(struct gossip *g, uint32_t link, struct record_id id, int64_t now_ns)
{
    struct item *i = find(g, id);
    if ((g->up & bit(link)) == 0) return true;
    if (i == NULL) i = add(g, id); /* unasked: nobody counts it */
    if (i == NULL) return true;
    i->has |= bit(link);
    note_answer(g, i, link, now_ns);
    if (i->state == ITEM_LOOKED_AT || i->state == ITEM_HELD) return false;
    settle(g, i);
    i->state = ITEM_LOOKED_AT;
    i->from = link;
    return true;
}

void gossip_seen(struct gossip *g, uint32_t link, struct record_id id, int64_t now_ns)
{
    struct item *i = find(g, id);
    if (i == NULL || (g->up & bit(link)) == 0) return;
    i->has |= bit(link);
    note_answer(g, i, link, now_ns);
    if (i->state != ITEM_WANTED) return;
    settle(g, i);
    i->state = ITEM_USELESS;
}

void gossip_forget(struct gossip *g, struct record_id id)
{
    struct item *i = find(g, id);
    if (i != NULL && !in_batch(i)) forget(g, i);
}

void gossip_dropped(struct gossip *g, struct record_id id, bool again, int64_t now_ns)
{
    struct item *i = find(g, id);
    if (i == NULL || i->state != ITEM_LOOKED_AT) return;
    if (!again) i->state = ITEM_USELESS;
    if (!again) return;
    if (i->from != GOSSIP_NOBODY) i->asked |= bit(i->from);
    if ((i->has & g->up & ~i->asked) == 0 || !count_on_another(g, i)) {
        forget(g, i);
        return;
    }
    i->state = ITEM_WANTED;
    g->wanted++;
    await(g, i, now_ns + (int64_t)GOSSIP_ASK_MS * NS_A_MS);
}

/* To whom it was sent. */
static uint64_t send_all(const struct gossip *g, uint64_t record, uint64_t links)
{
    uint64_t sent = 0;
    for (; links != 0; links &= links - 1)
        if (g->holder.send(g->holder.context, lowest(links), record)) sent |= bit(lowest(links));
    return sent;
}

static void tell_later(struct gossip *g, struct item *i, uint64_t links, int64_t now_ns)
{
    if (links == 0) return;
    i->tell = links;
    i->tell_plus_one = g->telling_plus_one;
    g->telling_plus_one = (uint32_t)(i - g->item) + 1;
    if (g->batch_ns == INT64_MAX) g->batch_ns = now_ns + (int64_t)GOSSIP_BATCH_MS * NS_A_MS;
}

static uint64_t few_of(struct gossip *g, uint64_t links, uint32_t few)
{
    uint64_t drawn = 0;
    for (uint32_t n = 0; n < few && (links & ~drawn) != 0; n++) drawn |= bit(any_of(g, links & ~drawn));
    return drawn;
}

/* Who hears of it early is among few that can spread it; once several links are known to have it, most that it is sent to have it too. */
static uint32_t eager(const struct gossip *g, const struct item *i)
{
    const uint32_t known = bits_in(i->has & g->up);
    return known <= 1 ? GOSSIP_EAGER : known == 2 ? GOSSIP_EAGER - 1 : GOSSIP_EAGER - 2;
}

void gossip_accepted(struct gossip *g, struct record_id id, uint64_t record, size_t bytes,
                     enum gossip_class how, int64_t now_ns)
{
    struct item *i = find(g, id);
    if (i == NULL) i = add(g, id);
    const bool all = how == GOSSIP_URGENT || how == GOSSIP_OWN;
    if (i == NULL && all) (void)send_all(g, record, g->up);
    if (i == NULL || i->state == ITEM_HELD) return; /* no place: the heads bring it */
    if (i->state == ITEM_LOOKED_AT && i->from != GOSSIP_NOBODY) praise(g, i->from);
    settle(g, i);
    i->state = ITEM_HELD;
    i->record = record;
    const uint64_t lack = g->up & ~i->has;
    const bool some = how == GOSSIP_NORMAL && bytes <= GOSSIP_WHOLE_BYTES;
    const uint64_t whole = all ? lack : some ? few_of(g, lack, eager(g, i)) : 0;
    const uint64_t sent = send_all(g, record, whole);
    if (how != GOSSIP_URGENT) i->has |= sent; /* on a full link it may be lost: its id comes after it */
    tell_later(g, i, lack & ~i->has, now_ns);
}

bool gossip_on_want(struct gossip *g, uint32_t link, struct span ids)
{
    uint8_t absent[GOSSIP_WANT_MAX * 32];
    size_t len = 0;
    struct record_id id;
    if (ids.len == 0 || ids.len % 32 != 0 || ids.len > sizeof absent) return false;
    if ((g->up & bit(link)) == 0) return true;
    for (size_t at = 0; at < ids.len; at += 32) {
        memcpy(id.bytes, ids.data + at, 32);
        struct item *i = find(g, id);
        if (i != NULL && i->state == ITEM_HELD) {
            i->has |= send_all(g, i->record, bit(link));
            continue;
        }
        memcpy(absent + len, id.bytes, 32);
        len += 32;
    }
    if (len > 0) g->holder.absent(g->holder.context, link, span_make(absent, len));
    return true;
}

/* --- What is due --------------------------------------------------------------------------------------------------------- */

static void tell_link(struct gossip *g, uint32_t link)
{
    uint8_t ids[GOSSIP_ANNOUNCE_MAX * 32];
    size_t len = 0;
    for (uint32_t at = g->telling_plus_one; at != 0; at = g->item[at - 1].tell_plus_one) {
        const struct item *i = &g->item[at - 1];
        if ((i->tell & ~i->has & bit(link)) == 0) continue;
        memcpy(ids + len, i->id.bytes, 32);
        len += 32;
        if (len < sizeof ids) continue;
        g->holder.announce(g->holder.context, link, span_make(ids, len));
        len = 0;
    }
    if (len > 0) g->holder.announce(g->holder.context, link, span_make(ids, len));
}

static void tell_all(struct gossip *g)
{
    uint64_t links = 0;
    for (uint32_t at = g->telling_plus_one; at != 0; at = g->item[at - 1].tell_plus_one)
        links |= g->item[at - 1].tell & ~g->item[at - 1].has;
    for (links &= g->up; links != 0; links &= links - 1) tell_link(g, lowest(links));
    while (g->telling_plus_one != 0) {
        struct item *i = &g->item[g->telling_plus_one - 1];
        g->telling_plus_one = i->tell_plus_one;
        i->tell_plus_one = 0;
        i->tell = 0;
    }
    g->batch_ns = INT64_MAX;
}

void gossip_tick(struct gossip *g, int64_t now_ns)
{
    if (now_ns >= g->batch_ns) tell_all(g);
    if (now_ns >= g->ask_ns) ask_what_is_due(g, now_ns);
}

int64_t gossip_due(const struct gossip *g)
{
    return g->batch_ns < g->ask_ns ? g->batch_ns : g->ask_ns;
}
