/* Gossip beside a naive twin that keeps, for each record and each link, what the one has shown of the other, and counts anew whatever it
 * wants to know: links come and go, records are announced, wanted, brought, found good or useless, forgotten, in tables that fill and
 * under bounds that are reached. After each step all that was sent, told, asked and refused is what the twin says, and so is when it
 * next wants to be called. Who gets a record whole is drawn: the twin checks how many, and that they lack it.
 * PERIGEE_SEED=7: other steps. */
#include "proto/gossip.h"
#include "tests/effort.h"
#include "tests/seed.h"
#include "tests/storage_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS    INT64_C(1000000)
#define NAMES UINT64_C(0x5000000000) /* the holder's name for record 0 */
enum {
    ROUNDS = EFFORT(240),
    STEPS = 900,
    LINKS_MAX = GOSSIP_LINKS_MAX,
    IDS = 1600,
    PLACES_MAX = 700,
    NOBODY = -1,
    /* What gossip.h leaves to the machine. */
    FIRST_TRIP_MS = 80,
    BEST = 16,
    WORST = -64,
    BROKEN = 4,
    ASKED_A_TURN = 256,
};

/* --- What the machine does -------------------------------------------------------------------------------------------------- */

enum what { SENT, LOST, TOLD, ASKED, ABSENT, WHATS };

static struct gossip *gossip;
static void *memory;
static uint64_t seed;
static int64_t now;
static uint32_t total[WHATS];
static uint8_t did[WHATS][LINKS_MAX][IDS]; /* in this step, and not yet expected by the twin */
static uint32_t did_count, messages[WHATS][LINKS_MAX], round_number, step_number;
static bool up[LINKS_MAX], kept[IDS]; /* the holder has it, whatever is spreading */
static uint32_t links, full_of_ten;   /* how many of ten that are sent find no room */

static uint32_t pick(uint32_t below)
{
    return storage_random(&seed, below);
}

static struct record_id id_of(uint32_t number)
{
    struct record_id id = {{0}};
    store_u32(id.bytes, number);
    store_u32(id.bytes + 28, ~number);
    return id;
}

static uint32_t number_of(const uint8_t *bytes)
{
    const uint32_t number = load_u32(bytes);
    assert_true(number < IDS && load_u32(bytes + 28) == ~number);
    return number;
}

static void note(enum what what, uint32_t link, uint32_t id)
{
    assert_true(link < links && up[link] && id < IDS);
    did[what][link][id]++;
    total[what]++;
    did_count++;
}

static void note_ids(enum what what, uint32_t link, struct span ids, size_t most)
{
    assert_true(ids.len > 0 && ids.len % 32 == 0 && ids.len <= most * 32);
    for (size_t at = 0; at < ids.len; at += 32) note(what, link, number_of(ids.data + at));
    messages[what][link]++;
}

static bool on_holds(void *context, struct record_id id)
{
    (void)context;
    return kept[number_of(id.bytes)];
}

static bool on_send(void *context, uint32_t link, uint64_t record)
{
    const bool room = pick(10) >= full_of_ten;
    (void)context;
    note(room ? SENT : LOST, link, (uint32_t)(record - NAMES));
    return room;
}

static void on_announce(void *context, uint32_t link, struct span ids)
{
    (void)context;
    note_ids(TOLD, link, ids, GOSSIP_ANNOUNCE_MAX);
}

static void on_want(void *context, uint32_t link, struct span ids)
{
    (void)context;
    note_ids(ASKED, link, ids, GOSSIP_WANT_MAX);
}

static void on_absent(void *context, uint32_t link, struct span ids)
{
    (void)context;
    note_ids(ABSENT, link, ids, GOSSIP_WANT_MAX);
}

/* --- The naive one ----------------------------------------------------------------------------------------------------------- */

enum known { UNKNOWN, WANTED, LOOKED_AT, HELD, USELESS };

/* What is known of a record. */
struct item {
    enum known known;
    bool placed, in_batch;
    bool has[LINKS_MAX], said[LINKS_MAX], tell[LINKS_MAX];
    bool asked[LINKS_MAX]; /* since all were */
    bool open[LINKS_MAX];  /* its answer is awaited */
    bool late[LINKS_MAX];  /* its answer was awaited in vain */
    int first;             /* on whose word it is wanted */
    int from;              /* who brought what is looked at */
    int64_t asked_ns, due_ns;
    int64_t late_ns; /* when the first of those was asked */
    uint32_t turns;
};

static struct item item[IDS];
static int place[PLACES_MAX]; /* whose; places are used again in turn */
static uint32_t places, next_place;
static int32_t score[LINKS_MAX];
static int64_t trip_ns[LINKS_MAX], batch_ns, wake_ns, walked_ns;

/* What has been met. */
static struct {
    uint32_t forgotten, no_place, given_up, two, links_full, word_full, turn_full, told_in_two, again;
} met;

static bool took(enum what what, uint32_t link, uint32_t id)
{
    if (did[what][link][id] == 0) return false;
    did[what][link][id]--;
    did_count--;
    return true;
}

static void expect(enum what what, uint32_t link, uint32_t id)
{
    static const char *const name[] = {"sent", "lost", "told", "asked", "absent"};
    if (!took(what, link, id))
        fail_msg("round %u, step %u: link %u was not %s %u", round_number, step_number, link, name[what], id);
}

static uint32_t open_at(uint32_t link)
{
    uint32_t count = 0;
    for (uint32_t p = 0; p < places; p++) count += place[p] != NOBODY && item[place[p]].open[link];
    return count;
}

static uint32_t wanted_on_word_of(uint32_t link)
{
    uint32_t count = 0;
    for (uint32_t p = 0; p < places; p++) count += place[p] != NOBODY && item[place[p]].first == (int)link;
    return count;
}

/* Linked peers that have it; also: that were not asked since all were. */
static uint32_t who_has(const struct item *i, bool not_asked)
{
    uint32_t count = 0;
    for (uint32_t link = 0; link < links; link++)
        count += up[link] && i->has[link] && !(not_asked && i->asked[link]);
    return count;
}

/* Nothing is awaited for it any more. */
static void settle(struct item *i, enum known known)
{
    memset(i->open, 0, sizeof i->open);
    i->first = NOBODY;
    i->due_ns = INT64_MAX;
    i->known = known;
}

static void forget(struct item *i)
{
    for (uint32_t p = 0; p < places; p++)
        if (place[p] == (int)(i - item)) place[p] = NOBODY;
    *i = (struct item){.first = NOBODY, .from = NOBODY, .due_ns = INT64_MAX};
}

/* In the place that is next and can be had. False: all are in use. */
static bool give_place(struct item *i)
{
    for (uint32_t tried = 0; tried < places; tried++) {
        const uint32_t p = next_place++ % places;
        struct item *old = place[p] != NOBODY ? &item[place[p]] : NULL;
        if (old != NULL && (old->in_batch || old->known == WANTED || old->known == LOOKED_AT)) continue;
        if (old != NULL) met.forgotten++;
        if (old != NULL) forget(old);
        place[p] = (int)(i - item);
        i->placed = true;
        return true;
    }
    met.no_place++;
    return false;
}

static void await(struct item *i, int64_t ms_or_trips_ns)
{
    i->due_ns = now + ms_or_trips_ns;
    if (i->due_ns < wake_ns) wake_ns = i->due_ns;
}

static void blame(const struct item *i, uint32_t link)
{
    if (i->said[link]) score[link] = score[link] - BROKEN < WORST ? WORST : score[link] - BROKEN;
}

static void ask(struct item *i, uint32_t link)
{
    int64_t wait_ns = 3 * trip_ns[link];
    if (wait_ns < GOSSIP_ASK_MS * MS) wait_ns = GOSSIP_ASK_MS * MS;
    if (wait_ns > GOSSIP_ASK_MOST_MS * MS) wait_ns = GOSSIP_ASK_MOST_MS * MS;
    expect(ASKED, link, (uint32_t)(i - item));
    assert_true(up[link] && i->has[link] && !i->asked[link] && !i->open[link]);
    i->asked[link] = i->open[link] = true;
    i->asked_ns = now;
    await(i, wait_ns);
}

static bool can_be_asked(const struct item *i, uint32_t link)
{
    if (!up[link] || !i->has[link] || i->asked[link]) return false;
    if (open_at(link) < GOSSIP_WANT_MAX) return true;
    met.links_full++;
    return false;
}

/* One of the best that can be: of equals, whom the machine has asked. NOBODY: there is none. */
static int whom_to_ask(const struct item *i)
{
    bool can[LINKS_MAX];
    int32_t best = WORST - 1;
    for (uint32_t link = 0; link < links; link++) {
        can[link] = can_be_asked(i, link);
        if (can[link] && score[link] > best) best = score[link];
    }
    for (uint32_t link = 0; link < links; link++)
        if (can[link] && score[link] == best && did[ASKED][link][i - item] > 0) return (int)link;
    if (best >= WORST)
        fail_msg("round %u, step %u: nobody is asked for %d", round_number, step_number, (int)(i - item));
    return NOBODY;
}

/* The next turn: another, then two at once, eight times in all. */
static void ask_others(struct item *i)
{
    bool any_late = false;
    for (uint32_t link = 0; link < links; link++) any_late |= i->late[link];
    if (!any_late) i->late_ns = i->asked_ns;
    for (uint32_t link = 0; link < links; link++) {
        if (i->open[link]) blame(i, link);
        i->late[link] |= i->open[link];
        i->open[link] = false;
    }
    i->turns++;
    if (who_has(i, false) == 0 || i->turns > GOSSIP_ASK_TURNS) {
        met.given_up += i->turns > GOSSIP_ASK_TURNS;
        forget(i);
        return;
    }
    if (who_has(i, true) == 0) memset(i->asked, 0, sizeof i->asked);
    await(i, GOSSIP_ASK_MS * MS);
    for (uint32_t n = 0; n < (i->turns > 1 ? 2 : 1); n++) {
        const int link = whom_to_ask(i);
        if (link == NOBODY) return;
        ask(i, (uint32_t)link);
        met.two += n;
    }
}

static void twin_link_up(uint32_t link)
{
    up[link] = true;
    score[link] = 0;
    trip_ns[link] = FIRST_TRIP_MS * MS;
}

/* On the word of another that has it, if there is one on whose word not too much is. */
static bool another_vouches(struct item *i)
{
    for (uint32_t link = 0; link < links; link++)
        if (up[link] && i->has[link] && wanted_on_word_of(link) < GOSSIP_WANT_MAX) {
            i->first = (int)link;
            return true;
        }
    return false;
}

static void twin_link_down(uint32_t link)
{
    up[link] = false;
    for (uint32_t p = 0; p < places; p++) {
        struct item *i = place[p] != NOBODY ? &item[place[p]] : NULL;
        if (i == NULL) continue;
        const bool awaited = i->open[link];
        bool others = false;
        i->has[link] = i->said[link] = i->asked[link] = i->open[link] = i->late[link] = false;
        if (i->from == (int)link) i->from = NOBODY;
        if (i->first == (int)link && !another_vouches(i)) {
            forget(i);
            continue;
        }
        for (uint32_t other = 0; other < links; other++) others |= i->open[other];
        if (awaited && !others) i->due_ns = wake_ns = 0;
    }
}

static void note_answer(struct item *i, uint32_t link)
{
    int64_t took_ns = now - (i->late[link] ? i->late_ns : i->asked_ns);
    if (took_ns > GOSSIP_ASK_MOST_MS * MS) took_ns = GOSSIP_ASK_MOST_MS * MS;
    if (i->open[link] || i->late[link]) trip_ns[link] += (took_ns - trip_ns[link]) / 8;
    i->has[link] = true;
    i->open[link] = i->late[link] = false;
}

static bool twin_arrived(uint32_t link, struct item *i)
{
    if (!up[link]) return true;
    if (!i->placed && !give_place(i)) return true;
    note_answer(i, link);
    if (i->known == LOOKED_AT || i->known == HELD) return false;
    settle(i, LOOKED_AT);
    i->from = (int)link;
    return true;
}

static void twin_seen(uint32_t link, struct item *i)
{
    if (!i->placed || !up[link]) return;
    note_answer(i, link);
    if (i->known == WANTED) settle(i, USELESS);
}

static void twin_dropped(struct item *i, bool again)
{
    if (i->known != LOOKED_AT) return;
    if (again && i->from != NOBODY) i->asked[i->from] = true;
    if (!again) {
        settle(i, USELESS);
    } else if (who_has(i, true) == 0 || !another_vouches(i)) {
        forget(i);
    } else {
        i->known = WANTED;
        await(i, GOSSIP_ASK_MS * MS);
        met.again++;
    }
}

/* Who is sent it whole: all that lack it, or as many as there should be, and nobody else. */
static void twin_sent(struct item *i, const bool *lacks, uint32_t least, bool shows)
{
    const uint32_t id = (uint32_t)(i - item);
    uint32_t count = 0;
    for (uint32_t link = 0; link < links; link++) {
        if (!lacks[link]) continue;
        const bool sent = took(SENT, link, id);
        count += sent || took(LOST, link, id);
        if (sent && shows) i->has[link] = true;
    }
    if (count != least)
        fail_msg("round %u, step %u: %u are sent %u, not %u", round_number, step_number, count, id, least);
}

static void twin_accepted(struct item *i, size_t bytes, enum gossip_class how)
{
    const bool all = how == GOSSIP_URGENT || how == GOSSIP_OWN;
    bool lacks[LINKS_MAX];
    uint32_t lack = 0, whole = 0;
    if (i->known == HELD) return;
    const bool placed = i->placed || give_place(i);
    const uint32_t known = who_has(i, false);
    if (placed && i->known == LOOKED_AT && i->from != NOBODY && score[i->from] < BEST) score[i->from]++;
    for (uint32_t link = 0; link < links; link++) lack += lacks[link] = up[link] && !i->has[link];
    if (how == GOSSIP_NORMAL && bytes <= GOSSIP_WHOLE_BYTES) whole = known <= 1 ? 4 : known == 2 ? 3 : 2;
    if (all || whole > lack) whole = lack;
    if (!placed && !all) return; /* the heads bring it */
    twin_sent(i, lacks, whole, placed && how != GOSSIP_URGENT);
    if (!placed) return;
    settle(i, HELD);
    for (uint32_t link = 0; link < links; link++) i->in_batch |= i->tell[link] = lacks[link] && !i->has[link];
    if (i->in_batch && batch_ns == INT64_MAX) batch_ns = now + GOSSIP_BATCH_MS * MS;
}

static void twin_heard_of(uint32_t link, struct item *i)
{
    if (!i->placed) {
        const bool enough = wanted_on_word_of(link) >= GOSSIP_WANT_MAX;
        met.word_full += enough;
        if (enough || kept[i - item] || !give_place(i)) return;
        i->known = WANTED;
        i->first = (int)link;
        await(i, GOSSIP_ASK_MS * MS);
    }
    i->has[link] = i->said[link] = true;
    for (uint32_t other = 0; other < links; other++)
        if (i->open[other]) return;
    if (i->known == WANTED && score[link] >= 0 && can_be_asked(i, link)) ask(i, link);
}

static void twin_wanted(uint32_t link, struct item *i)
{
    if (!up[link]) return;
    if (i->known != HELD)
        expect(ABSENT, link, (uint32_t)(i - item));
    else if (took(SENT, link, (uint32_t)(i - item)))
        i->has[link] = true;
    else
        expect(LOST, link, (uint32_t)(i - item));
}

static void twin_absent(uint32_t link, struct item *i)
{
    bool others = false;
    if (!i->open[link]) return;
    blame(i, link);
    i->open[link] = i->has[link] = false;
    for (uint32_t other = 0; other < links; other++) others |= i->open[other];
    if (!others) ask_others(i);
}

static void twin_batch(void)
{
    for (uint32_t link = 0; link < links; link++) {
        uint32_t told = 0;
        for (uint32_t p = 0; p < places; p++) {
            const struct item *i = place[p] != NOBODY ? &item[place[p]] : NULL;
            if (i == NULL || !up[link] || !i->tell[link] || i->has[link]) continue;
            expect(TOLD, link, (uint32_t)place[p]);
            told++;
        }
        assert_int_equal(messages[TOLD][link], (told + GOSSIP_ANNOUNCE_MAX - 1) / GOSSIP_ANNOUNCE_MAX);
        met.told_in_two += told > GOSSIP_ANNOUNCE_MAX;
    }
    for (uint32_t p = 0; p < places; p++) {
        if (place[p] == NOBODY) continue;
        memset(item[place[p]].tell, 0, sizeof item[place[p]].tell);
        item[place[p]].in_batch = false;
    }
    batch_ns = INT64_MAX;
}

/* All that are due, but not too many; and not again for the time of a batch. */
static void twin_walk(void)
{
    uint32_t asked = 0;
    wake_ns = INT64_MAX;
    for (uint32_t p = 0; p < places; p++) {
        struct item *i = place[p] != NOBODY ? &item[place[p]] : NULL;
        if (i == NULL || i->known != WANTED) continue;
        const bool due = i->due_ns <= now;
        met.turn_full += due && asked == ASKED_A_TURN;
        if (due && asked < ASKED_A_TURN) {
            ask_others(i);
            asked++;
        } else if (i->due_ns < wake_ns) {
            wake_ns = i->due_ns;
        }
    }
    if (wake_ns < now + GOSSIP_BATCH_MS * MS) wake_ns = now + GOSSIP_BATCH_MS * MS;
    walked_ns = now;
}

/* --- What always holds --------------------------------------------------------------------------------------------------------- */

static void check_item(const struct item *i, int64_t *first_due_ns)
{
    uint32_t open = 0;
    for (uint32_t link = 0; link < links; link++) {
        open += i->open[link];
        if (!up[link]) assert_false(i->has[link] || i->open[link] || i->asked[link]);
        if (i->open[link]) assert_true(i->has[link] && i->asked[link]);
    }
    assert_true(open <= 2 && i->turns <= GOSSIP_ASK_TURNS);
    if (i->known != WANTED) assert_true(open == 0 && i->first == NOBODY);
    if (i->known != WANTED) return;
    assert_true(i->first != NOBODY);
    assert_true(i->due_ns <= now + GOSSIP_ASK_MOST_MS * MS);
    if (i->due_ns < *first_due_ns) *first_due_ns = i->due_ns;
}

/* Nothing is done but what the twin expected; the machine wants to be called in time. */
static void check(void)
{
    int64_t first_due_ns = INT64_MAX;
    const int64_t due_ns = batch_ns < wake_ns ? batch_ns : wake_ns;
    if (did_count > 0)
        fail_msg("round %u, step %u: %u things too many", round_number, step_number, did_count);
    if (gossip_due(gossip) != due_ns)
        fail_msg("round %u, step %u: due %lld, not %lld", round_number, step_number,
                 (long long)gossip_due(gossip), (long long)due_ns);
    for (uint32_t p = 0; p < places; p++)
        if (place[p] != NOBODY) check_item(&item[place[p]], &first_due_ns);
    if (first_due_ns < walked_ns + GOSSIP_BATCH_MS * MS) first_due_ns = walked_ns + GOSSIP_BATCH_MS * MS;
    if (first_due_ns < INT64_MAX) assert_true(wake_ns <= first_due_ns);
    for (uint32_t link = 0; link < links; link++) {
        assert_true(open_at(link) <= GOSSIP_WANT_MAX && wanted_on_word_of(link) <= GOSSIP_WANT_MAX);
        if (!up[link]) assert_true(open_at(link) == 0 && wanted_on_word_of(link) == 0);
    }
    memset(messages, 0, sizeof messages);
}

/* --- What happens -------------------------------------------------------------------------------------------------------------- */

static uint32_t low, window; /* ids in play */
static uint32_t hurry,
    faithful; /* how many of ten are judged as they come; are brought when asked for, and not refused */
static uint32_t list[GOSSIP_ANNOUNCE_MAX + 1];
static uint8_t list_bytes[(GOSSIP_ANNOUNCE_MAX + 1) * 32];

static uint32_t any_link(void)
{
    return pick(links);
}

static uint32_t any_id(void)
{
    return low + pick(window);
}

/* In `list` and in a message: so many in a row, or, when they are few, any, one of them twice now and then. */
static struct span ids_from(uint32_t first, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        list[n] = count > 4 ? low + (first - low + n) % window : any_id();
        memcpy(list_bytes + (size_t)n * 32, id_of(list[n]).bytes, 32);
    }
    return span_make(list_bytes, (size_t)count * 32);
}

static struct span some_ids(uint32_t most)
{
    return ids_from(any_id(), 1 + (pick(3) == 0 ? pick(most) : pick(4)));
}

static void tick(void)
{
    gossip_tick(gossip, now);
    if (now >= batch_ns) twin_batch();
    if (now >= wake_ns) twin_walk();
    check();
    assert_true(gossip_due(gossip) > now); /* or the loop would spin */
}

static void pass_until(int64_t until)
{
    while (gossip_due(gossip) <= until) {
        if (gossip_due(gossip) > now) now = gossip_due(gossip);
        tick();
    }
    now = until;
}

static void some_time_passes(void)
{
    const uint32_t quarters_ms = pick(4) == 0 ? pick(1500) : pick(40);
    const int64_t until = now + quarters_ms * MS / 4 + (int64_t)pick(1000000);
    if (pick(4) != 0) pass_until(until);
    now = until; /* or the loop was elsewhere */
    tick();
}

static void a_link_turns(uint32_t link)
{
    if (up[link]) {
        gossip_link_down(gossip, link);
        twin_link_down(link);
    } else {
        gossip_link_up(gossip, link);
        twin_link_up(link);
    }
}

/* One that goes may be back at once. */
static void a_link_wavers(uint32_t link)
{
    const bool back = up[link] && pick(2) == 0;
    a_link_turns(link);
    check();
    if (back) a_link_turns(link);
}

static void announced(uint32_t link, struct span ids)
{
    assert_true(gossip_on_announce(gossip, link, ids, now));
    for (uint32_t n = 0; up[link] && n < ids.len / 32; n++) twin_heard_of(link, &item[list[n]]);
    assert_true(messages[ASKED][link] <= 1);
}

static void wanted(uint32_t link)
{
    const struct span ids = some_ids(GOSSIP_WANT_MAX);
    assert_true(gossip_on_want(gossip, link, ids));
    for (uint32_t n = 0; n < ids.len / 32; n++) twin_wanted(link, &item[list[n]]);
    assert_true(messages[ABSENT][link] <= 1);
}

static void absent(uint32_t link)
{
    const struct span ids = some_ids(GOSSIP_WANT_MAX);
    assert_true(gossip_on_absent(gossip, link, ids, now));
    for (uint32_t n = 0; n < ids.len / 32; n++) twin_absent(link, &item[list[n]]);
}

static void accepted(uint32_t id, enum gossip_class how)
{
    const size_t bytes = pick(3) == 0 ? GOSSIP_WHOLE_BYTES + 1 : GOSSIP_WHOLE_BYTES;
    gossip_accepted(gossip, id_of(id), NAMES + id, bytes, how, now);
    kept[id] = true;
    twin_accepted(&item[id], bytes, how);
}

static void judged(uint32_t id)
{
    const bool again = pick(3) != 0;
    if (pick(3) != 0) {
        accepted(id, pick(3) != 0 ? GOSSIP_NORMAL : (enum gossip_class)pick(GOSSIP_BY_AUTHOR + 1));
        return;
    }
    gossip_dropped(gossip, id_of(id), again, now);
    twin_dropped(&item[id], again);
}

/* By the core's order: what is held is seen, else it is looked at. */
static void arrives(uint32_t link, uint32_t id)
{
    if (kept[id] && pick(4) != 0) {
        gossip_seen(gossip, link, id_of(id), now);
        twin_seen(link, &item[id]);
        return;
    }
    const bool look = gossip_arrived(gossip, link, id_of(id), now);
    assert_int_equal(look, twin_arrived(link, &item[id]));
    if (look && pick(10) < hurry) judged(id);
}

/* What this link was asked for: not all of it, nor at once. */
static void are_answered(uint32_t link)
{
    for (uint32_t id = 0; id < low + window; id++) {
        if (!item[id].open[link] || pick(2) == 0) continue;
        if (pick(10) < faithful) {
            arrives(link, id);
            continue;
        }
        assert_true(gossip_on_absent(gossip, link, ID_SPAN(id_of(id)), now));
        twin_absent(link, &item[id]);
    }
}

/* Another copy of what is looked at, if anything is. */
static uint32_t any_copy(void)
{
    const uint32_t first = any_id();
    for (uint32_t n = 0; n < window; n++)
        if (item[low + (first - low + n) % window].known == LOOKED_AT)
            return low + (first - low + n) % window;
    return first;
}

static void are_looked_at(void)
{
    for (uint32_t id = 0; id < low + window; id++)
        if (item[id].known == LOOKED_AT && pick(3) == 0) judged(id);
}

static void is_forgotten(uint32_t id)
{
    gossip_forget(gossip, id_of(id));
    if (item[id].placed && !item[id].in_batch) forget(&item[id]);
}

/* More to tell than a message takes. */
static void a_flood(void)
{
    for (uint32_t n = 0; n < window; n++) {
        const uint32_t id = low + n;
        if (!kept[id]) accepted(id, GOSSIP_BY_AUTHOR);
        check();
    }
}

/* All promise what they can: more falls due at once than is asked for in a turn. */
static void nobody_delivers(void)
{
    for (uint32_t link = 0; link < links; link++) {
        announced(link, ids_from(low + link * GOSSIP_WANT_MAX, GOSSIP_WANT_MAX));
        check();
    }
    pass_until(now + (int64_t)pick(3000) * MS);
}

static void malformed(uint32_t link)
{
    static const size_t wrong[] = {0, 1, 31, 33, 63, sizeof list_bytes};
    const struct span ids = span_make(list_bytes, wrong[pick(6)]), long_ids = span_make(list_bytes, 65 * 32);
    assert_false(gossip_on_announce(gossip, link, ids, now));
    assert_false(gossip_on_want(gossip, link, ids) || gossip_on_want(gossip, link, long_ids));
    assert_false(gossip_on_absent(gossip, link, ids, now) || gossip_on_absent(gossip, link, long_ids, now));
}

static void one_step(void)
{
    const uint32_t link = any_link(), what = pick(100);
    if (what < 4)
        a_link_wavers(link);
    else if (what < 30)
        announced(link, some_ids(what < 7 ? GOSSIP_ANNOUNCE_MAX : 4));
    else if (what < 38)
        wanted(link);
    else if (what < 41)
        absent(link);
    else if (what < 60)
        are_answered(link);
    else if (what < 65)
        arrives(link, pick(2) == 0 ? any_copy() : any_id());
    else if (what < 75)
        are_looked_at();
    else if (what < 80)
        judged(any_id());
    else if (what < 82)
        is_forgotten(any_id());
    else if (what < 83)
        malformed(link);
    else
        some_time_passes();
    if (pick(20) == 0 && low + window < IDS) low++;
    if (pick(100) == 0) faithful = pick(2) == 0 ? 10 : pick(11);
}

static uint32_t one_of(const uint32_t *of, uint32_t count)
{
    return of[pick(count)];
}

static void begin(uint32_t places_here, uint32_t links_here)
{
    const struct gossip_holder holder = {on_holds, on_send, on_announce, on_want, on_absent, NULL};
    places = places_here;
    links = links_here;
    full_of_ten = low = next_place = step_number = 0;
    now = pick(2000000);
    walked_ns = -1000 * MS;
    batch_ns = wake_ns = INT64_MAX;
    for (uint32_t id = 0; id < IDS; id++) forget(&item[id]);
    for (uint32_t p = 0; p < PLACES_MAX; p++) place[p] = NOBODY;
    memset(did, 0, sizeof did);
    did_count = 0;
    memset(up, 0, sizeof up);
    memset(kept, 0, sizeof kept);
    memory = calloc(1, gossip_bytes(places));
    struct arena arena = arena_make(memory, gossip_bytes(places));
    assert_int_equal(gossip_new(&gossip, &arena, places, pick(UINT32_MAX), &holder), OK);
    for (uint32_t link = 0; link < links; link++) a_link_turns(link);
}

/* When everybody has fallen silent nothing waits, and what can be had of each record is what the twin says. */
static void end(void)
{
    pass_until(now + 60000 * MS);
    assert_true(gossip_due(gossip) == INT64_MAX);
    for (uint32_t p = 0; p < places; p++) assert_true(place[p] == NOBODY || item[place[p]].known != WANTED);
    if (!up[0]) a_link_turns(0);
    for (uint32_t id = 0; id < IDS; id++) {
        assert_true(gossip_on_want(gossip, 0, ID_SPAN(id_of(id))));
        twin_wanted(0, &item[id]);
    }
    check();
    free(memory);
}

/* Large ones have records and links enough for messages in two and turns that are full. */
static void one_round(bool large)
{
    static const uint32_t some_places[] = {1, 8, 16, 60, 100}, some_links[] = {1, 2, 5, 12, LINKS_MAX},
                          some_full[] = {0, 0, 0, 3, 10};
    if (large)
        begin(PLACES_MAX, 12);
    else
        begin(one_of(some_places, 5), one_of(some_links, 5));
    window = large ? PLACES_MAX : places * 2 + 2;
    full_of_ten = one_of(some_full, 5);
    hurry = pick(11);
    faithful = 10;
    if (large) nobody_delivers();
    for (; step_number < STEPS; step_number++) {
        if (large && step_number == STEPS / 2) a_flood();
        one_step();
        check();
    }
    end();
}

static void test_as_the_twin_does(void **state)
{
    (void)state;
    seed = seed_or(5) + 1;
    for (round_number = 0; round_number < ROUNDS; round_number++) one_round(round_number % 40 == 39);
    if (!seed_is_own()) return;
    assert_true(met.forgotten > 1000 && met.no_place > 1000 && met.given_up > 500);
    assert_true(met.two > 1000 && met.links_full > 100 && met.word_full > 1000);
    assert_true(met.turn_full > 100 && met.told_in_two > 4 && met.again > 50);
    for (uint32_t what = 0; what < WHATS; what++) assert_true(total[what] > 1000);
}

/* --- What it is for -------------------------------------------------------------------------------------------------------------- */

enum { MANY = 40, TRIP_MS = 100, PARTS = 12, STEP_MS = 5 };
static int64_t brought_ns[MANY];

/* One of twelve that have said they have it brings it, a tenth of a second after it was asked; the others say nothing, or that they
 * have it no more. */
static void answer_questions(const uint32_t *honest)
{
    for (uint32_t link = 0; link < links; link++)
        for (uint32_t id = 0; id < MANY; id++) {
            if (!took(ASKED, link, id)) continue;
            assert_false(item[id].asked[link]); /* nobody twice while there are others */
            item[id].asked[link] = true;
            if (link == honest[id])
                brought_ns[id] = now + TRIP_MS * MS;
            else if (pick(3) == 0)
                assert_true(gossip_on_absent(gossip, link, ID_SPAN(id_of(id)), now));
        }
}

static void bring(const uint32_t *honest)
{
    for (uint32_t id = 0; id < MANY; id++) {
        if (now < brought_ns[id]) continue;
        assert_true(gossip_arrived(gossip, honest[id], id_of(id), now));
        gossip_accepted(gossip, id_of(id), NAMES + id, GOSSIP_WHOLE_BYTES, GOSSIP_BY_AUTHOR, now);
        brought_ns[id] = INT64_MAX;
        kept[id] = true;
    }
}

/* Whatever the others do, who delivers is asked: the seven turns that twelve peers make take a quarter of a second and a batch each. */
static void test_who_delivers_is_asked(void **state)
{
    (void)state;
    uint32_t honest[MANY];
    seed = seed_or(5) + 1;
    begin(PLACES_MAX, PARTS);
    for (uint32_t id = 0; id < MANY; id++) {
        const uint32_t first = pick(PARTS);
        honest[id] = pick(PARTS);
        brought_ns[id] = INT64_MAX;
        for (uint32_t n = 0; n < PARTS; n++)
            assert_true(gossip_on_announce(gossip, (first + n) % PARTS, ID_SPAN(id_of(id)), now));
    }
    const int64_t most_ns = 7 * (GOSSIP_ASK_MS + GOSSIP_BATCH_MS + STEP_MS) * MS + TRIP_MS * MS;
    for (const int64_t end_ns = now + most_ns; now < end_ns; now += STEP_MS * MS) {
        answer_questions(honest);
        bring(honest);
        gossip_tick(gossip, now);
    }
    bring(honest);
    for (uint32_t id = 0; id < MANY; id++) assert_true(kept[id]);
    free(memory);
}

/* Each link is as likely to get a record whole as any other. */
static void test_draws_are_even(void **state)
{
    (void)state;
    enum { RECORDS = IDS, EACH = RECORDS * GOSSIP_EAGER / (PARTS - 1) };
    uint32_t times[PARTS] = {0};
    seed = 1;
    begin(PLACES_MAX, PARTS);
    for (uint32_t id = 0; id < RECORDS; id++) {
        assert_true(gossip_arrived(gossip, 0, id_of(id), now));
        gossip_accepted(gossip, id_of(id), NAMES + id, GOSSIP_WHOLE_BYTES, GOSSIP_NORMAL, now);
        for (uint32_t link = 0; link < PARTS; link++) times[link] += took(SENT, link, id);
        now += GOSSIP_BATCH_MS * MS;
        gossip_tick(gossip, now);
        for (uint32_t link = 0; link < PARTS; link++) (void)took(TOLD, link, id);
    }
    assert_int_equal(times[0] + did_count, 0);
    for (uint32_t link = 1; link < PARTS; link++) assert_in_range(times[link], EACH * 9 / 10, EACH * 11 / 10);
    free(memory);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_the_twin_does),
        cmocka_unit_test(test_who_delivers_is_asked),
        cmocka_unit_test(test_draws_are_even),
    };
    return cmocka_run_group_tests_name("gossip_twin", tests, NULL, NULL);
}
