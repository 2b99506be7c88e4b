#include "node/recording.h"

#include "crypto/cid.h"
#include "node/command.h"
#include "proto/wire/table.h"

#include <string.h>

enum { CHECK_BYTES = 8, NUMBER_BYTES = 8, WITHHELD_MAX = SHARE_BYTES * (CAP_INPUTS + 1) };
enum {
    KEY_MAX = 4 * CAP_TEXT,                   /* a store's are shorter */
    COMMAND_BODY_MAX = CAP_BODY_BYTES + 1024, /* a record, packed */
    DATASETS_MAX = 32 * CAP_INPUTS,
    PARAMETERS_MAX = CAP_BODY_BYTES / 2,
};
#define CLOCK_MAX_NS (INT64_MAX / 2)
static const char magic[] = "perigee recording/2\n";
static const char magic_any[] = "perigee recording/";
_Static_assert(sizeof magic - 1 == RECORDING_MAGIC_BYTES, "what a recording begins with");

/* In place of what is withheld: nothing that a core decides depends on it. */
static const uint8_t withheld_bytes[WITHHELD_MAX];

/* Which fields an event has beside its clocks; docs/SIMULATION.md has the same table. */
enum { HAS_TOKEN = 1, HAS_PEER = 2, HAS_RUN = 4, HAS_KEY = 8, HAS_BYTES = 16, HAS_COMMAND = 32 };
static const struct {
    const char *name;
    uint8_t has;
} events[RECORDING_EVENT_TYPES] = {
    [EVENT_TICK] = {"tick", 0},
    [EVENT_RESTORE_LOCAL] = {"restore-local", HAS_KEY | HAS_BYTES},
    [EVENT_RESTORE_RECORD] = {"restore-record", HAS_BYTES},
    [EVENT_RESTORE_PROMISE] = {"restore-promise", HAS_KEY | HAS_BYTES},
    [EVENT_RESTORE_LOST] = {"restore-lost", HAS_KEY},
    [EVENT_READY] = {"ready", 0},
    [EVENT_PEER_UP] = {"peer-up", HAS_PEER},
    [EVENT_PEER_DOWN] = {"peer-down", HAS_PEER},
    [EVENT_MESSAGE] = {"message", HAS_PEER | HAS_BYTES},
    [EVENT_STORED] = {"stored", HAS_TOKEN},
    [EVENT_CRYPTO] = {"keyed", HAS_TOKEN | HAS_BYTES},
    [EVENT_COMMAND] = {"command", HAS_TOKEN | HAS_COMMAND},
    [EVENT_ENCLAVE] = {"enclave", HAS_RUN | HAS_BYTES},
    [EVENT_BLOB_MISSING] = {"blob-missing", HAS_RUN | HAS_BYTES},
};

const char *recording_event_name(enum event_type type)
{
    return events[type].name;
}

/* --- Writing ------------------------------------------------------------------------------------------------------------ */

static void put_long(struct buffer *b, struct span bytes)
{
    buffer_put_u32(b, (uint32_t)bytes.len);
    buffer_put(b, bytes);
}

/* Over its place in the file, too: one that is missing or moved is seen. */
static struct hash32 check_of(uint64_t frame, struct span body)
{
    uint8_t number[NUMBER_BYTES];
    store_u64(number, frame);
    return HASH_FRAMED("perigee/recording/v1", SPAN_OF(number), body);
}

/* Length, then type and body, then the check. Returns where it begins. */
static size_t frame_begin(struct buffer *b, enum recording_frame_type type)
{
    const size_t begin = b->len;
    buffer_put_u32(b, 0);
    buffer_put_u8(b, (uint8_t)type);
    return begin;
}

static void frame_end(struct buffer *b, size_t begin, uint64_t frame)
{
    if (b->overflow) return;
    const size_t body = begin + 4;
    store_u32(b->data + begin, (uint32_t)(b->len - body));
    const struct hash32 check = check_of(frame, span_make(b->data + body, b->len - body));
    buffer_put(b, span_make(check.bytes, CHECK_BYTES));
}

static bool takes_command(const struct command *c)
{
    return c->body.len <= COMMAND_BODY_MAX && c->datasets.len <= DATASETS_MAX &&
           c->parameters.len <= PARAMETERS_MAX && c->expires_ms <= UINT_TIME && c->slot <= UINT_TIME;
}

bool recording_takes(const struct event *e)
{
    return e->now.ns >= 0 && e->now.ns <= CLOCK_MAX_NS && e->wall_ms <= UINT_TIME &&
           e->bytes.len <= CAP_MESSAGE_BYTES && e->key.len <= KEY_MAX &&
           (e->command == NULL || takes_command(e->command));
}

void recording_put_start(struct buffer *b, const struct core_options *o)
{
    buffer_put_text(b, magic);
    const size_t begin = frame_begin(b, RECORDING_START);
    buffer_put(b, ID_SPAN(o->self));
    buffer_put(b, ID_SPAN(o->consortium));
    buffer_put(b, ID_SPAN(o->platform));
    buffer_put_u64(b, o->salt);
    buffer_put_u32(b, o->enclaves_max);
    buffer_put_u8(b, o->compute);
    buffer_put_u8(b, (uint8_t)o->silence);
    buffer_put_u64(b, core_arena_bytes(o->caps));
    put_long(b, SPAN_LITERAL(PERIGEE_VERSION));
    put_long(b, o->engine);
    put_long(b, o->gpu);
    put_long(b, o->charter);
    put_long(b, o->announce);
    frame_end(b, begin, 0);
}

static void put_command(struct buffer *b, const struct command *c)
{
    buffer_put_u8(b, (uint8_t)c->type);
    buffer_put_u16(b, (uint16_t)c->kind);
    buffer_put_u64(b, c->expires_ms);
    buffer_put(b, ID_SPAN(c->compose));
    buffer_put_u64(b, c->slot);
    put_long(b, c->body);
    put_long(b, c->datasets);
    put_long(b, c->parameters);
}

static void put_bytes(struct buffer *b, struct span bytes, bool withheld)
{
    buffer_put_u8(b, withheld);
    if (withheld)
        buffer_put_u32(b, (uint32_t)bytes.len);
    else
        put_long(b, bytes);
}

void recording_put_event(struct buffer *b, uint64_t frame, const struct event *e, bool withheld)
{
    const uint8_t has = events[e->type].has;
    const size_t begin = frame_begin(b, RECORDING_EVENT);
    buffer_put_u8(b, (uint8_t)e->type);
    buffer_put_u64(b, (uint64_t)e->now.ns);
    buffer_put_u64(b, e->wall_ms);
    if (has & HAS_TOKEN) {
        buffer_put_u64(b, e->token);
        buffer_put_u16(b, (uint16_t)e->err);
    }
    if (has & HAS_PEER) buffer_put(b, ID_SPAN(e->peer));
    if (has & HAS_RUN) buffer_put(b, ID_SPAN(e->run));
    if (has & HAS_KEY) put_long(b, e->key);
    if (has & HAS_BYTES) put_bytes(b, e->bytes, withheld);
    if (has & HAS_COMMAND) put_command(b, e->command);
    frame_end(b, begin, frame);
}

void recording_put_checkpoint(struct buffer *b, uint64_t frame, enum recording_frame_type type,
                              const struct recording_checkpoint *c)
{
    const size_t begin = frame_begin(b, type);
    buffer_put_u64(b, c->events);
    buffer_put(b, ID_SPAN(c->effects));
    buffer_put(b, ID_SPAN(c->root));
    if (type == RECORDING_END) buffer_put_u8(b, (uint8_t)c->end);
    frame_end(b, begin, frame);
}

/* --- Reading ------------------------------------------------------------------------------------------------------------ */

enum err recording_begin(struct recording_reader *r, struct span file)
{
    *r = (struct recording_reader){file, RECORDING_MAGIC_BYTES, 0};
    const size_t any = sizeof magic_any - 1;
    if (file.len < RECORDING_MAGIC_BYTES || memcmp(file.data, magic_any, any) != 0) return ERR_TYPE;
    return memcmp(file.data, magic, RECORDING_MAGIC_BYTES) == 0 ? OK : ERR_VERSION;
}

static enum err take_long(struct cursor *at, struct span *out, size_t most)
{
    uint32_t len;
    TRY(cursor_u32(at, &len));
    return len <= most ? cursor_take(at, out, len) : ERR_TOO_LARGE;
}

static enum err take_flag(struct cursor *at, bool *out)
{
    uint8_t flag;
    TRY(cursor_u8(at, &flag));
    *out = flag == 1;
    return flag <= 1 ? OK : ERR_RANGE;
}

static enum err take_start(struct recording_start *s, struct cursor *at)
{
    uint8_t silence;
    struct core_options *o = &s->options;
    TRY(cursor_copy(at, o->self.bytes, 32));
    TRY(cursor_copy(at, o->consortium.bytes, 32));
    TRY(cursor_copy(at, o->platform.bytes, 32));
    TRY(cursor_u64(at, &o->salt));
    TRY(cursor_u32(at, &o->enclaves_max));
    TRY(take_flag(at, &o->compute));
    TRY(cursor_u8(at, &silence));
    TRY(cursor_u64(at, &s->arena_bytes));
    TRY(take_long(at, &s->version, CAP_TEXT));
    TRY(take_long(at, &o->engine, CAP_TEXT));
    TRY(take_long(at, &o->gpu, CAP_TEXT));
    TRY(take_long(at, &o->charter, CAP_DOCUMENT_BYTES));
    TRY(take_long(at, &o->announce, CONTACT_ADDRESS_MAX));
    o->silence = (enum silence)silence;
    return silence < SILENCE_COUNT ? OK : ERR_RANGE;
}

static enum err take_token(struct event *e, struct cursor *at)
{
    uint16_t err;
    TRY(cursor_u64(at, &e->token));
    TRY(cursor_u16(at, &err));
    e->err = (enum err)err;
    return err < ERR_COUNT ? OK : ERR_RANGE;
}

static enum err take_bytes(struct event *e, struct cursor *at)
{
    bool withheld;
    uint32_t len;
    TRY(take_flag(at, &withheld));
    if (!withheld) return take_long(at, &e->bytes, CAP_MESSAGE_BYTES);
    TRY(cursor_u32(at, &len));
    if (e->type != EVENT_CRYPTO || len > WITHHELD_MAX) return ERR_RANGE;
    e->bytes = span_make(withheld_bytes, len);
    return OK;
}

static enum err take_command(struct command *c, struct cursor *at)
{
    uint8_t type;
    uint16_t kind;
    TRY(cursor_u8(at, &type));
    TRY(cursor_u16(at, &kind));
    TRY(cursor_u64(at, &c->expires_ms));
    TRY(cursor_copy(at, c->compose.bytes, 32));
    TRY(cursor_u64(at, &c->slot));
    TRY(take_long(at, &c->body, COMMAND_BODY_MAX));
    TRY(take_long(at, &c->datasets, DATASETS_MAX));
    TRY(take_long(at, &c->parameters, PARAMETERS_MAX));
    c->type = (enum command_type)type;
    c->kind = (enum kind)kind;
    return type <= COMMAND_RECORD && (kind == 0 || kind_known(c->kind)) ? OK : ERR_RANGE;
}

static enum err take_event(struct recording_frame *f, struct cursor *at)
{
    struct event *e = &f->event;
    uint8_t type;
    uint64_t now_ns;
    TRY(cursor_u8(at, &type));
    if (type >= RECORDING_EVENT_TYPES) return ERR_KIND;
    const uint8_t has = events[type].has;
    e->type = (enum event_type)type;
    TRY(cursor_u64(at, &now_ns));
    TRY(cursor_u64(at, &e->wall_ms));
    if (now_ns > CLOCK_MAX_NS) return ERR_RANGE;
    e->now.ns = (int64_t)now_ns;
    if (has & HAS_TOKEN) TRY(take_token(e, at));
    if (has & HAS_PEER) TRY(cursor_copy(at, e->peer.bytes, 32));
    if (has & HAS_RUN) TRY(cursor_copy(at, e->run.bytes, 32));
    if (has & HAS_KEY) TRY(take_long(at, &e->key, KEY_MAX));
    if (has & HAS_BYTES) TRY(take_bytes(e, at));
    if (has & HAS_COMMAND) TRY(take_command(&f->command, at));
    if (has & HAS_COMMAND) e->command = &f->command;
    if (e->type == EVENT_BLOB_MISSING && e->bytes.len != CID_BYTES) return ERR_RANGE;
    return recording_takes(e) ? OK : ERR_RANGE;
}

static enum err take_checkpoint(struct recording_frame *f, struct cursor *at)
{
    struct recording_checkpoint *c = &f->checkpoint;
    uint8_t end = RECORDING_ORDERLY;
    TRY(cursor_u64(at, &c->events));
    TRY(cursor_copy(at, c->effects.bytes, 32));
    TRY(cursor_copy(at, c->root.bytes, 32));
    if (f->type == RECORDING_END) TRY(cursor_u8(at, &end));
    c->end = (enum recording_end)end;
    return end <= RECORDING_FULL ? OK : ERR_RANGE;
}

static enum err take_body(struct recording_frame *f, struct cursor *at)
{
    switch (f->type) {
    case RECORDING_START: return take_start(&f->start, at);
    case RECORDING_EVENT: return take_event(f, at);
    case RECORDING_CHECKPOINT:
    case RECORDING_END: return take_checkpoint(f, at);
    }
    return ERR_KIND;
}

/* A frame that its file ends within was being written when the node ended. */
static enum err take_frame(struct cursor *at, struct span *body, struct span *check)
{
    uint32_t len;
    TRY(cursor_u32(at, &len));
    if (len == 0 || len > RECORDING_FRAME_MAX) return ERR_HASH;
    TRY(cursor_take(at, body, len));
    return cursor_take(at, check, CHECK_BYTES);
}

enum err recording_next(struct recording_reader *r, struct recording_frame *out)
{
    struct cursor at = cursor_make(span_make(r->file.data + r->at, r->file.len - r->at));
    struct span body, check;
    uint8_t type = 0;
    if (cursor_left(&at) == 0) return ERR_NOT_FOUND;
    TRY(take_frame(&at, &body, &check));
    const struct hash32 expected = check_of(r->frame, body);
    if (!span_equal(check, span_make(expected.bytes, CHECK_BYTES))) return ERR_HASH;
    memset(out, 0, sizeof *out);
    struct cursor in = cursor_make(body);
    TRY(cursor_u8(&in, &type));
    out->type = (enum recording_frame_type)type;
    const enum err err = take_body(out, &in);
    if (err != OK) return err == ERR_TRUNCATED ? ERR_RANGE : err; /* the frame is whole */
    TRY(cursor_end(&in));
    r->at = r->file.len - cursor_left(&at);
    r->frame++;
    return OK;
}

/* Its number is known without the others: there are the start, the events, and a checkpoint after every so many, of which the last may
 * be what the file had no room for. */
bool recording_ended(const uint8_t last[RECORDING_END_BYTES])
{
    struct recording_frame f = {.type = RECORDING_END};
    struct cursor at = cursor_make(span_make(last, RECORDING_END_BYTES));
    struct span body, check;
    if (take_frame(&at, &body, &check) != OK || cursor_left(&at) > 0 || body.data[0] != RECORDING_END)
        return false;
    struct cursor in = cursor_make(span_make(body.data + 1, body.len - 1));
    if (take_checkpoint(&f, &in) != OK) return false;
    const uint64_t told = f.checkpoint.events, most = 1 + told + told / RECORDING_EVENTS_A_CHECKPOINT;
    for (uint64_t frame = most - 1; frame <= most; frame++) {
        const struct hash32 expected = check_of(frame, body);
        if (span_equal(check, span_make(expected.bytes, CHECK_BYTES))) return true;
    }
    return false;
}

/* --- Effects ------------------------------------------------------------------------------------------------------------ */

static void add_number(struct sha256_stream *s, uint64_t number)
{
    uint8_t bytes[NUMBER_BYTES];
    store_u64(bytes, number);
    sha256_add(s, SPAN_OF(bytes));
}

static void add_span(struct sha256_stream *s, struct span bytes)
{
    add_number(s, bytes.len);
    if (bytes.len > 0) sha256_add(s, bytes);
}

static void add_session(struct sha256_stream *s, const struct keygen_session *k)
{
    const uint32_t numbers[] = {k->epoch, k->purpose, k->n, k->t, k->own};
    for (uint32_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) add_number(s, numbers[i]);
    for (uint32_t i = 0; i < k->n && i < COMMITTEE_MAX; i++) sha256_add(s, SPAN_OF(k->party[i].bytes));
    sha256_add(s, ID_SPAN(k->tag));
    for (uint32_t i = 0; i < 2; i++) sha256_add(s, ID_SPAN(k->extension[i]));
}

static void add_crypto(struct sha256_stream *s, const struct crypto_job *j)
{
    const uint64_t numbers[] = {j->op,       j->part_count, j->epoch,        j->index,  j->accept_simulated,
                                j->need_gpu, j->age_max_ms, j->ahead_max_ms, j->now_ms, j->session != NULL};
    for (uint32_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) add_number(s, numbers[i]);
    if (j->op != CRYPTO_SIGN) sha256_add(s, ID_SPAN(j->hash));
    sha256_add(s, SPAN_OF(j->kem.bytes));
    if (j->op == CRYPTO_SEAL)
        add_number(s, j->box.len);
    else
        add_span(s, j->box);
    add_span(s, j->context);
    add_span(s, j->parts);
    add_span(s, j->measurements);
    if (j->session != NULL) add_session(s, j->session);
}

static void add_happened(struct sha256_stream *s, const struct happened *h)
{
    const uint64_t numbers[] = {h->type, h->kind, h->ask, h->term, h->state, h->verdict.refusal};
    for (uint32_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) add_number(s, numbers[i]);
    sha256_add(s, ID_SPAN(h->run));
    sha256_add(s, ID_SPAN(h->id));
    sha256_add(s, ID_SPAN(h->verdict.subject));
}

static void add_effect(struct sha256_stream *s, const struct effect *e)
{
    add_number(s, e->type);
    add_number(s, e->token);
    sha256_add(s, ID_SPAN(e->peer));
    sha256_add(s, ID_SPAN(e->run));
    add_span(s, e->bytes);
    add_span(s, e->manifests);
    add_number(s, e->keep_count);
    for (uint32_t i = 0; i < e->keep_count; i++) {
        add_number(s, e->keep[i].space);
        add_span(s, e->keep[i].key);
        add_span(s, e->keep[i].value);
    }
    if (e->type == EFFECT_CRYPTO) add_crypto(s, &e->crypto);
    add_number(s, e->verdict.refusal);
    sha256_add(s, ID_SPAN(e->verdict.subject));
    sha256_add(s, ID_SPAN(e->id));
    if (e->type == EFFECT_HAPPENED) add_happened(s, &e->happened);
}

void recording_hash_effects(struct sha256_stream *s, const struct core *core)
{
    uint32_t count;
    const struct effect *effects = core_effects(core, &count);
    add_number(s, count);
    for (uint32_t i = 0; i < count; i++) add_effect(s, &effects[i]);
}

/* --- Work in flight ----------------------------------------------------------------------------------------------------- */

enum { ANY = -1, CANNOT = -2 };

static int64_t output_bytes(const struct crypto_job *j)
{
    switch (j->op) {
    case CRYPTO_SIGN: return (int64_t)sizeof(struct signature);
    case CRYPTO_VERIFY: return 0;
    case CRYPTO_OPEN:
        return j->box.len >= KEM_OVERHEAD_BYTES ? (int64_t)j->box.len - KEM_OVERHEAD_BYTES : CANNOT;
    case CRYPTO_SEAL: return (int64_t)j->box.len + KEM_OVERHEAD_BYTES;
    case CRYPTO_EVIDENCE: return (int64_t)sizeof(struct evidence_out);
    case CRYPTO_HALF: return VETO_BOX_BYTES - KEM_OVERHEAD_BYTES;
    case CRYPTO_SHARES: return (int64_t)SHARE_BYTES * (j->part_count + 1);
    case CRYPTO_KEYGEN_BEGIN:
    case CRYPTO_KEYGEN_FINISH:
    case CRYPTO_KEYGEN_CHECK: return ANY;
    }
    return CANNOT;
}

void recording_work_asked(struct recording_work *w, const struct core *core)
{
    uint32_t count;
    const struct effect *effects = core_effects(core, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct effect *e = &effects[i];
        const bool stores = e->type == EFFECT_STORE;
        if (e->token == 0 || (!stores && e->type != EFFECT_CRYPTO)) continue;
        w->item[e->token % CAP_PENDING].token = e->token;
        w->item[e->token % CAP_PENDING].op = stores ? RECORDING_STORES : (uint8_t)e->crypto.op;
        w->item[e->token % CAP_PENDING].len = stores ? 0 : output_bytes(&e->crypto);
    }
}

/* What is no flag in memory that is read as one would be anything. */
static bool flags_hold(struct span evidence)
{
    const uint8_t simulated = evidence.data[offsetof(struct evidence_out, simulated)],
                  gpu = evidence.data[offsetof(struct evidence_out, gpu_confidential)];
    return simulated <= 1 && gpu <= 1;
}

bool recording_work_done(struct recording_work *w, const struct event *e)
{
    const bool stored = e->type == EVENT_STORED;
    if (!stored && e->type != EVENT_CRYPTO) return true;
    const uint32_t at = (uint32_t)(e->token % CAP_PENDING);
    if (e->token == 0 || w->item[at].token != e->token) return false;
    const uint8_t op = w->item[at].op;
    const int64_t len = w->item[at].len;
    w->item[at].token = 0;
    if ((op == RECORDING_STORES) != stored) return false;
    if (e->err != OK) return e->bytes.len <= CAP_TEXT;
    if (len != ANY && (int64_t)e->bytes.len != len) return false;
    return op != CRYPTO_EVIDENCE || flags_hold(e->bytes);
}

bool recording_work_secret(const struct recording_work *w, const struct event *e)
{
    if (e->type != EVENT_CRYPTO) return false;
    const uint32_t at = (uint32_t)(e->token % CAP_PENDING);
    const bool known = w->item[at].token == e->token;
    return !known || w->item[at].op == CRYPTO_SHARES || w->item[at].op == CRYPTO_HALF;
}
