#include "proto/wire/body.h"

#include "proto/base/panic.h"
#include "proto/wire/pack.h"

#include <string.h>

enum field_kind { FIELD_ID, FIELD_UINT, FIELD_BYTES, FIELD_TEXT, FIELD_LIST32, FIELD_SIG };

struct field {
    enum field_kind kind;
    uint64_t max;
    size_t offset;
};

struct layout {
    uint32_t code;
    const char *name;
    uint32_t class_or_bulk;
    uint32_t field_count;
    size_t size;
    const struct field *field;
};

/* An ID's arg is a type, everything else's is a limit: only the latter is a value. */
#define LIMIT_ID(arg)     32
#define LIMIT_UINT(arg)   (arg)
#define LIMIT_BYTES(arg)  (arg)
#define LIMIT_TEXT(arg)   (arg)
#define LIMIT_LIST32(arg) (arg)
#define LIMIT_SIG(arg)    64

#define ROW(kind, name, arg) {FIELD_##kind, LIMIT_##kind(arg), offsetof(struct OWNER, name)},

#define OWNER body_CHARTER
static const struct field fields_CHARTER[] = {BODY_CHARTER(ROW)};
#undef OWNER
#define OWNER body_MEMBER
static const struct field fields_MEMBER[] = {BODY_MEMBER(ROW)};
#undef OWNER
#define OWNER body_COMMITTEE
static const struct field fields_COMMITTEE[] = {BODY_COMMITTEE(ROW)};
#undef OWNER
#define OWNER body_ASSET
static const struct field fields_ASSET[] = {BODY_ASSET(ROW)};
#undef OWNER
#define OWNER body_OP
static const struct field fields_OP[] = {BODY_OP(ROW)};
#undef OWNER
#define OWNER body_GRANT
static const struct field fields_GRANT[] = {BODY_GRANT(ROW)};
#undef OWNER
#define OWNER body_APPROVAL
static const struct field fields_APPROVAL[] = {BODY_APPROVAL(ROW)};
#undef OWNER
#define OWNER body_REVOCATION
static const struct field fields_REVOCATION[] = {BODY_REVOCATION(ROW)};
#undef OWNER
#define OWNER body_JOB
static const struct field fields_JOB[] = {BODY_JOB(ROW)};
#undef OWNER
#define OWNER body_ENDORSEMENT
static const struct field fields_ENDORSEMENT[] = {BODY_ENDORSEMENT(ROW)};
#undef OWNER
#define OWNER body_RUN
static const struct field fields_RUN[] = {BODY_RUN(ROW)};
#undef OWNER
#define OWNER body_SLOT_RETURN
static const struct field fields_SLOT_RETURN[] = {BODY_SLOT_RETURN(ROW)};
#undef OWNER
#define OWNER body_REMOVAL
static const struct field fields_REMOVAL[] = {BODY_REMOVAL(ROW)};
#undef OWNER
#define OWNER body_WORKERS
static const struct field fields_WORKERS[] = {BODY_WORKERS(ROW)};
#undef OWNER
#define OWNER body_RECEIPT
static const struct field fields_RECEIPT[] = {BODY_RECEIPT(ROW)};
#undef OWNER
#define OWNER body_ADVERT
static const struct field fields_ADVERT[] = {BODY_ADVERT(ROW)};
#undef OWNER
#define OWNER body_PROGRESS
static const struct field fields_PROGRESS[] = {BODY_PROGRESS(ROW)};
#undef OWNER
#define OWNER body_CONTACT
static const struct field fields_CONTACT[] = {BODY_CONTACT(ROW)};
#undef OWNER
#define OWNER body_JOIN
static const struct field fields_JOIN[] = {BODY_JOIN(ROW)};
#undef OWNER
#define OWNER body_KEYGEN_ROUND1
static const struct field fields_KEYGEN_ROUND1[] = {BODY_KEYGEN_ROUND1(ROW)};
#undef OWNER
#define OWNER body_KEYGEN_SIGN
static const struct field fields_KEYGEN_SIGN[] = {BODY_KEYGEN_SIGN(ROW)};
#undef OWNER
#define OWNER body_PREVOTE_ASK
static const struct field fields_PREVOTE_ASK[] = {BODY_PREVOTE_ASK(ROW)};
#undef OWNER
#define OWNER body_PREVOTE
static const struct field fields_PREVOTE[] = {BODY_PREVOTE(ROW)};
#undef OWNER
#define OWNER body_VOTE_ASK
static const struct field fields_VOTE_ASK[] = {BODY_VOTE_ASK(ROW)};
#undef OWNER
#define OWNER body_VOTE
static const struct field fields_VOTE[] = {BODY_VOTE(ROW)};
#undef OWNER
#define OWNER body_RELEASE
static const struct field fields_RELEASE[] = {BODY_RELEASE(ROW)};
#undef OWNER
#define OWNER body_REFUSAL
static const struct field fields_REFUSAL[] = {BODY_REFUSAL(ROW)};
#undef OWNER
#define OWNER body_COMMIT
static const struct field fields_COMMIT[] = {BODY_COMMIT(ROW)};
#undef OWNER
#define OWNER body_LEASE
static const struct field fields_LEASE[] = {BODY_LEASE(ROW)};
#undef OWNER
#define OWNER body_OWNER_RELEASE
static const struct field fields_OWNER_RELEASE[] = {BODY_OWNER_RELEASE(ROW)};
#undef OWNER
#define OWNER body_SHARE_ASK
static const struct field fields_SHARE_ASK[] = {BODY_SHARE_ASK(ROW)};
#undef OWNER
#define OWNER body_SHARE_ANSWER
static const struct field fields_SHARE_ANSWER[] = {BODY_SHARE_ANSWER(ROW)};
#undef OWNER
#define OWNER body_COMMIT_ASK
static const struct field fields_COMMIT_ASK[] = {BODY_COMMIT_ASK(ROW)};
#undef OWNER
#define OWNER body_ENDING
static const struct field fields_ENDING[] = {BODY_ENDING(ROW)};
#undef OWNER
#define OWNER body_LEASE_ASK
static const struct field fields_LEASE_ASK[] = {BODY_LEASE_ASK(ROW)};
#undef OWNER
#define OWNER message_HEADS
static const struct field message_fields_HEADS[] = {MESSAGE_HEADS(ROW)};
#undef OWNER
#define OWNER message_GET
static const struct field message_fields_GET[] = {MESSAGE_GET(ROW)};
#undef OWNER
#define OWNER message_RECORD
static const struct field message_fields_RECORD[] = {MESSAGE_RECORD(ROW)};
#undef OWNER
#define OWNER message_EQUIVOCATION
static const struct field message_fields_EQUIVOCATION[] = {MESSAGE_EQUIVOCATION(ROW)};
#undef OWNER
#define OWNER message_BLOB_GET
static const struct field message_fields_BLOB_GET[] = {MESSAGE_BLOB_GET(ROW)};
#undef OWNER
#define OWNER message_BLOB
static const struct field message_fields_BLOB[] = {MESSAGE_BLOB(ROW)};
#undef OWNER
#define OWNER message_RELAY
static const struct field message_fields_RELAY[] = {MESSAGE_RELAY(ROW)};
#undef OWNER
#define OWNER message_ANNOUNCE
static const struct field message_fields_ANNOUNCE[] = {MESSAGE_ANNOUNCE(ROW)};
#undef OWNER
#define OWNER message_WANT
static const struct field message_fields_WANT[] = {MESSAGE_WANT(ROW)};
#undef OWNER
#define OWNER message_ABSENT
static const struct field message_fields_ABSENT[] = {MESSAGE_ABSENT(ROW)};
#undef OWNER
#define OWNER message_ROOT
static const struct field message_fields_ROOT[] = {MESSAGE_ROOT(ROW)};
#undef OWNER
#define OWNER message_BRANCH_GET
static const struct field message_fields_BRANCH_GET[] = {MESSAGE_BRANCH_GET(ROW)};
#undef OWNER
#define OWNER message_BRANCH
static const struct field message_fields_BRANCH[] = {MESSAGE_BRANCH(ROW)};
#undef OWNER
#define OWNER message_CONTACTS_GET
static const struct field message_fields_CONTACTS_GET[] = {MESSAGE_CONTACTS_GET(ROW)};
#undef OWNER
#define OWNER message_CONTACTS_WANT
static const struct field message_fields_CONTACTS_WANT[] = {MESSAGE_CONTACTS_WANT(ROW)};
#undef OWNER

#define COUNT(array) (uint32_t)(sizeof(array) / sizeof((array)[0]))
#define KIND_LAYOUT(symbol, code, name, class, who, refers)                                                  \
    {code, name, class, COUNT(fields_##symbol), sizeof(struct body_##symbol), fields_##symbol},
static const struct layout kinds[] = {KIND_TABLE(KIND_LAYOUT)};
#define MESSAGE_LAYOUT(symbol, code, name, bulk, what)                                                       \
    {code,                                                                                                   \
     name,                                                                                                   \
     bulk,                                                                                                   \
     COUNT(message_fields_##symbol),                                                                         \
     sizeof(struct message_##symbol),                                                                        \
     message_fields_##symbol},
static const struct layout messages[] = {MESSAGE_TABLE(MESSAGE_LAYOUT)};

static const struct layout *find(const struct layout *table, uint32_t count, uint64_t code)
{
    for (uint32_t i = 0; i < count; i++)
        if (table[i].code == code) return &table[i];
    return NULL;
}

static const struct layout *find_kind(uint64_t code)
{
    return find(kinds, COUNT(kinds), code);
}

static const struct layout *find_message(uint64_t code)
{
    return find(messages, COUNT(messages), code);
}

bool kind_known(uint64_t code)
{
    return find_kind(code) != NULL;
}

const char *kind_name(enum kind kind)
{
    const struct layout *l = find_kind(kind);
    return l != NULL ? l->name : "unknown";
}

enum record_class kind_class(enum kind kind)
{
    const struct layout *l = find_kind(kind);
    ASSERT(l != NULL);
    return (enum record_class)l->class_or_bulk;
}

bool message_known(uint64_t code)
{
    return find_message(code) != NULL;
}

const char *message_name(enum message code)
{
    const struct layout *l = find_message(code);
    return l != NULL ? l->name : "unknown";
}

bool message_bulk(enum message code)
{
    const struct layout *l = find_message(code);
    ASSERT(l != NULL);
    return l->class_or_bulk != 0;
}

static void encode_field(struct buffer *out, const struct field *f, const uint8_t *at)
{
    struct span bytes = SPAN_NONE;
    uint64_t number = 0;
    if (f->kind == FIELD_UINT) {
        memcpy(&number, at, sizeof number);
    } else if (f->kind == FIELD_ID || f->kind == FIELD_SIG) {
        bytes = span_make(at, f->max);
    } else {
        memcpy(&bytes, at, sizeof bytes);
    }
    switch (f->kind) {
    case FIELD_UINT: pack_uint(out, number); break;
    case FIELD_TEXT: pack_str(out, bytes); break;
    case FIELD_ID:
    case FIELD_BYTES:
    case FIELD_LIST32:
    case FIELD_SIG: pack_bin(out, bytes); break;
    }
}

static enum err decode_field(struct cursor *c, const struct field *f, uint8_t *at)
{
    struct span bytes = SPAN_NONE;
    uint64_t number = 0;
    switch (f->kind) {
    case FIELD_UINT:
        TRY(unpack_uint(c, f->max, &number));
        memcpy(at, &number, sizeof number);
        return OK;
    case FIELD_ID:
    case FIELD_SIG: return unpack_fixed(c, at, f->max);
    case FIELD_TEXT: TRY(unpack_str(c, f->max, &bytes)); break;
    case FIELD_BYTES: TRY(unpack_bin(c, f->max, &bytes)); break;
    case FIELD_LIST32:
        TRY(unpack_bin(c, f->max * 32, &bytes));
        if (bytes.len % 32 != 0) return ERR_RANGE;
        break;
    }
    memcpy(at, &bytes, sizeof bytes);
    return OK;
}

static void encode(struct buffer *out, const struct layout *l, const void *body)
{
    pack_array(out, l->field_count);
    for (uint32_t i = 0; i < l->field_count; i++)
        encode_field(out, &l->field[i], (const uint8_t *)body + l->field[i].offset);
}

static enum err decode(void *body, const struct layout *l, struct cursor *c)
{
    memset(body, 0, l->size);
    TRY(unpack_array_of(c, l->field_count));
    for (uint32_t i = 0; i < l->field_count; i++)
        TRY(decode_field(c, &l->field[i], (uint8_t *)body + l->field[i].offset));
    return cursor_end(c);
}

void body_encode(struct buffer *out, enum kind kind, const void *body)
{
    const struct layout *l = find_kind(kind);
    ASSERT(l != NULL);
    encode(out, l, body);
}

enum err body_decode(void *body, enum kind kind, struct span bytes)
{
    const struct layout *l = find_kind(kind);
    if (l == NULL) return ERR_KIND;
    struct cursor c = cursor_make(bytes);
    return decode(body, l, &c);
}

void message_encode(struct buffer *out, enum message code, const void *body)
{
    const struct layout *l = find_message(code);
    ASSERT(l != NULL);
    buffer_put_u8(out, (uint8_t)code);
    encode(out, l, body);
}

enum err message_decode(enum message *code, union message_body *body, struct span bytes)
{
    struct cursor c = cursor_make(bytes);
    uint8_t byte;
    TRY(cursor_u8(&c, &byte));
    const struct layout *l = find_message(byte);
    if (l == NULL) return ERR_KIND;
    *code = (enum message)byte;
    return decode(body, l, &c);
}
