/* A key whose store was lost or put back signs nothing again (DESIGN §4; PROTOCOL.md "Lost and restored disks"). Its node reads
 * and serves on. Who sees it first says so: the daemon by the store's mark, or this core when peers show what it does not know.
 * A local value. Key "silent"; value: the reason's code, one byte. */
#include "proto/core_state.h"

#include "proto/wire/pack.h"

static const uint8_t key_bytes[6] = {'s', 'i', 'l', 'e', 'n', 't'};

#define SILENCE_NAME(symbol, code, name, text) name,
#define SILENCE_TEXT(symbol, code, name, text) text,
static const char *const names[SILENCE_COUNT] = {SILENCE_TABLE(SILENCE_NAME)};
static const char *const texts[SILENCE_COUNT] = {SILENCE_TABLE(SILENCE_TEXT)};

const char *silence_name(enum silence s)
{
    return (unsigned)s < SILENCE_COUNT ? names[s] : "unknown";
}

const char *silence_text(enum silence s)
{
    return (unsigned)s < SILENCE_COUNT ? texts[s] : "unknown";
}

static void on_kept(struct core *c, struct pending *p, const struct event *event)
{
    pending_end(c, p);
    c->silence_disk = event->err == OK ? DISK_HAS : DISK_LACKS;
    if (event->err == OK) return;
    notice(c, "that this key is silent could not be stored, which is tried each second", SPAN_NONE,
           err_text(event->err));
}

struct keep silence_item(struct core *c)
{
    const uint8_t code = (uint8_t)c->silence;
    return (struct keep){KEEP_LOCAL, SPAN_OF(key_bytes), scratch_copy(c, span_make(&code, 1))};
}

void silence_keep(struct core *c)
{
    struct pending *p = !silence_kept(c) && c->silence_disk == DISK_LACKS ? pending_new(c, on_kept) : NULL;
    const struct keep item = silence_item(c);
    if (p == NULL) return;
    c->silence_disk = DISK_ASKED;
    ask_store(c, p, on_kept, &item, 1);
}

bool silence_kept(const struct core *c)
{
    return c->silence == SILENCE_NONE || c->silence_disk == DISK_HAS;
}

static void tell(struct core *c)
{
    notice(c, "this key signs nothing any more; `perigee recover` makes its successor", SPAN_NONE,
           silence_text(c->silence));
}

void silence_begin(struct core *c, enum silence why)
{
    if (c->silence != SILENCE_NONE) return;
    c->silence = why;
    if (!c->ready) return; /* silence_ready keeps it */
    silence_keep(c);
    tell(c);
}

/* What reads as no reason was one all the same. */
void silence_restore(struct core *c, struct span key, struct span value)
{
    ASSERT(!c->ready);
    if (!span_equal(key, SPAN_OF(key_bytes))) return;
    bool known = value.len == 1 && value.data[0] > SILENCE_NONE && value.data[0] < SILENCE_COUNT;
    c->silence = known ? (enum silence)value.data[0] : SILENCE_UNKNOWN;
    c->silence_disk = DISK_HAS;
}

void silence_ready(struct core *c)
{
    const struct author *own = chain_author(&c->chain, c->options.self);
    c->unshown = own != NULL && own->seen > 0;
    if (c->silence == SILENCE_NONE) return;
    silence_keep(c);
    tell(c);
}

/* Whoever starts with records of its own may be put back from an earlier time and not know it: once is enough. */
void silence_shown(struct core *c)
{
    if (c->unshown && sync_compared_with_quorum(c)) c->unshown = false;
}

/* A record with this key's own signature came from outside. */
void silence_own_record(struct core *c, const struct record *r)
{
    const struct author *own = chain_author(&c->chain, c->options.self);
    const struct record *held = chain_get(&c->chain, c->options.self, r->header.seq);
    bool missed = held == NULL && own != NULL && r->header.seq <= own->missing;
    if (!missed && (held == NULL || !ID_EQUAL(held->id, r->id))) silence_begin(c, SILENCE_ELSEWHERE);
}

/* A vote by this key that it has not promised? Of a run it knows only the latest term. */
void silence_own_vote(struct core *c, const struct certificate *certificate)
{
    uint8_t key[PROMISE_KEY_BYTES];
    const int own = own_custodian(c);
    bool voted = false;
    for (uint32_t i = 0; i < certificate->vote_count; i++) voted |= (int)certificate->custodian[i] == own;
    promise_key(key, PROMISE_VOTE, certificate->run.bytes, certificate->term);
    if (!voted || c->promise_lost || promise_superseded(&c->promises, key)) return;
    const uint8_t *promised =
        promise_get(&c->promises, PROMISE_VOTE, certificate->run.bytes, certificate->term);
    bool kept = promised != NULL && ids_equal(promised, certificate->node.bytes);
    if (!kept) silence_begin(c, SILENCE_ELSEWHERE);
}

/* The commits in a receipt hold. One by this key that it has not promised? */
void silence_own_commit(struct core *c, const struct body_RECEIPT *b)
{
    struct core_receipt core;
    const uint8_t *promised = promise_get(&c->promises, PROMISE_COMMIT, b->run.bytes, 0);
    struct span statement;
    bool own = false;
    struct cursor at = cursor_make(b->commits);
    uint32_t count = 0;
    if (own_custodian(c) < 0 || core_receipt_decode(&core, b->core) != OK) return;
    if (unpack_array(&at, CAP_CUSTODIANS, &count) != OK) return;
    for (uint32_t i = 0; i < count && !own && unpack_bin(&at, 4096, &statement) == OK; i++) {
        struct record r;
        own = record_unpack(&r, statement) == OK && ID_EQUAL(r.header.author, c->options.self);
    }
    bool kept = promised != NULL && ids_equal(promised, core.commitment.bytes);
    if (own && !kept && !c->promise_lost) silence_begin(c, SILENCE_ELSEWHERE);
}

enum silence core_silence(const struct core *c)
{
    return c->silence;
}
