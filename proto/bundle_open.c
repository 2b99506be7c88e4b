/* Opening a bundle: decode, replay in a fresh registry, and the rules beyond registry_check_run. */
#include "proto/bundle.h"

#include "proto/approval.h"
#include "proto/base/panic.h"
#include "proto/receipt.h"
#include "proto/wire/pack.h"

#include <string.h>

enum { BUNDLE_PACKED_MAX = CAP_HEADER_BYTES + 64 + CAP_BODY_BYTES + 16 };

static const enum kind order[] = {KIND_CHARTER,     KIND_MEMBER,   KIND_COMMITTEE, KIND_WORKERS,
                                  KIND_OP,          KIND_ASSET,    KIND_GRANT,     KIND_JOB,
                                  KIND_ENDORSEMENT, KIND_APPROVAL, KIND_RUN};
enum { ORDER_COUNT = sizeof order / sizeof order[0] };

/* Where a kind stands in a bundle; ORDER_COUNT when it has no place in one. */
static uint32_t place_of(enum kind kind)
{
    uint32_t i = 0;
    while (i < ORDER_COUNT && order[i] != kind) i++;
    return i;
}

static enum err decode_record(struct record *out, struct cursor *c, struct consortium_id consortium)
{
    struct span packed;
    TRY(unpack_bin(c, BUNDLE_PACKED_MAX, &packed));
    TRY(record_unpack(out, packed));
    if (!out->body_known) return ERR_MISSING_FIELD;
    if (place_of(out->header.kind) == ORDER_COUNT) return ERR_KIND;
    return ids_equal(out->header.consortium.bytes, consortium.bytes) ? OK : ERR_CONSORTIUM;
}

/* Kinds in their order, no record twice, one run at the end. */
static enum err check_order(struct arena *arena, const struct record *record, uint32_t count)
{
    struct index seen;
    TRY(index_init(&seen, arena, count, load_u64(record[0].id.bytes)));
    for (uint32_t i = 0; i < count; i++) {
        bool last = i + 1 == count;
        if (i > 0 && place_of(record[i].header.kind) < place_of(record[i - 1].header.kind))
            return ERR_NOT_CANONICAL;
        if ((record[i].header.kind == KIND_RUN) != last) return ERR_NOT_CANONICAL;
        if (index_find(&seen, record[i].id.bytes) != INDEX_NONE) return ERR_DUPLICATE;
        TRY(index_add(&seen, record[i].id.bytes, i));
    }
    return OK;
}

struct hash32 bundle_hash(struct span ids)
{
    return HASH_FRAMED("perigee/bundle/v1", ids);
}

static enum err decode(struct bundle *b, struct arena *arena, struct span bytes,
                       struct consortium_id consortium)
{
    struct cursor c = cursor_make(bytes);
    if (bytes.len > BUNDLE_BYTES_MAX) return ERR_TOO_LARGE;
    TRY(unpack_array(&c, BUNDLE_RECORDS_MAX, &b->record_count));
    if (b->record_count == 0) return ERR_MISSING_FIELD;
    struct record *record = ARENA_ARRAY(arena, struct record, b->record_count);
    uint8_t *ids = arena_take(arena, b->record_count, 32);
    if (record == NULL || ids == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < b->record_count; i++) {
        TRY(decode_record(&record[i], &c, consortium));
        memcpy(ids + (size_t)i * 32, record[i].id.bytes, 32);
    }
    TRY(cursor_end(&c));
    b->record = record;
    b->ids = span_make(ids, (size_t)b->record_count * 32);
    b->hash = bundle_hash(b->ids);
    return check_order(arena, record, b->record_count);
}

static void replay(struct bundle *b)
{
    b->refused = b->record_count;
    for (uint32_t i = 0; i < b->record_count; i++) {
        struct verdict v = registry_apply(b->registry, &b->record[i]);
        if (v.refusal == REFUSAL_NONE || b->refused < b->record_count) continue;
        b->refused = i;
        b->refused_why = v;
    }
    struct run_id run;
    memcpy(run.bytes, b->record[b->record_count - 1].id.bytes, sizeof run.bytes);
    b->run = registry_run(b->registry, run);
    if (b->run != NULL) b->workflow = registry_workflow(b->registry, b->run->body.compose);
}

/* Every record by its author; every approval also by its owner's approval key. */
static enum err list_checks(struct bundle *b, struct arena *arena, struct consortium_id consortium)
{
    b->check = ARENA_ARRAY(arena, struct signature_check, 2 * (size_t)b->record_count);
    if (b->check == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < b->record_count; i++) {
        const struct record *r = &b->record[i];
        b->check[b->check_count++] = (struct signature_check){
            r->header.author, record_sign_hash(r->header.kind, r->header_bytes), r->signature, LINK_RECORDS};
    }
    for (uint32_t i = 0; i < b->record_count; i++) {
        const struct record *r = &b->record[i];
        union body body;
        if (r->header.kind != KIND_APPROVAL) continue;
        TRY(body_decode(&body, KIND_APPROVAL, r->body));
        const struct member *m = registry_member(b->registry, r->header.author);
        struct hash32 message =
            approval_sign_hash(consortium, r->header.author, &body.APPROVAL, r->header.expires_ms);
        b->check[b->check_count++] =
            (struct signature_check){m != NULL ? m->approval : r->header.author, message,
                                     body.APPROVAL.approval_signature, LINK_APPROVALS};
    }
    return OK;
}

struct verdict bundle_check_authors(const struct bundle *b)
{
    for (uint32_t i = 0; i < b->record_count; i++)
        if (!registry_may_write(b->registry, b->record[i].header.author))
            return verdict_refuse(REFUSAL_NOT_MEMBER, b->record[i].header.author.bytes);
    return VERDICT_OK;
}

static bool run_reads(const struct body_RUN *run, struct dt dataset)
{
    for (uint32_t i = 0; i < run_input_count(run); i++)
        if (ID_EQUAL(run_input_at(run, i).dt, dataset)) return true;
    return false;
}

static struct verdict check_approval(const struct bundle *b, const struct record *r)
{
    union body body;
    struct hash32 shown;
    if (body_decode(&body, KIND_APPROVAL, r->body) != OK)
        return verdict_refuse(REFUSAL_MALFORMED, r->id.bytes);
    const struct body_APPROVAL *a = &body.APPROVAL;
    const struct body_RUN *run = &b->run->body;
    bool applies =
        ID_EQUAL(a->compose, run->compose) && ID_EQUAL(a->app, run->app) && run_reads(run, a->dataset);
    if (!applies) return verdict_refuse(REFUSAL_NO_APPROVAL, r->header.author.bytes);
    if (run->slot < a->slot_first || run->slot > a->slot_last)
        return verdict_refuse(REFUSAL_SLOT_RANGE, r->header.author.bytes);
    if (registry_text_hash(&shown, b->registry, b->workflow->workflow, a->dataset) != OK)
        return verdict_refuse(REFUSAL_FULL, NULL);
    return ID_EQUAL(shown, a->text) ? VERDICT_OK
                                    : verdict_refuse(REFUSAL_NO_APPROVAL, r->header.author.bytes);
}

struct verdict bundle_check_approvals(const struct bundle *b)
{
    if (b->run == NULL) return verdict_refuse(REFUSAL_UNKNOWN_RUN, NULL);
    if (b->workflow == NULL) return verdict_refuse(REFUSAL_WORKFLOW, b->run->body.compose.bytes);
    for (uint32_t i = 0; i < b->record_count; i++) {
        if (b->record[i].header.kind != KIND_APPROVAL) continue;
        struct verdict v = check_approval(b, &b->record[i]);
        if (v.refusal != REFUSAL_NONE) return v;
    }
    return VERDICT_OK;
}

/* Its owner's chain that the signer had seen must contain this record: it ends there, or after it. */
static bool head_covers(const uint8_t *head, const struct record *record)
{
    uint64_t seq = load_u64(head);
    return seq > record->header.seq || (seq == record->header.seq && ids_equal(head + 8, record->id.bytes));
}

enum err bundle_check_heads(const struct bundle *b, struct span heads)
{
    const struct body_RUN *run = &b->run->body;
    if (heads.len != (size_t)HEAD_BYTES * run_input_count(run)) return ERR_RANGE;
    for (uint32_t i = 0; i < run_input_count(run); i++) {
        const struct asset *a = registry_asset(b->registry, run_input_at(run, i).dt);
        const struct approval *approval =
            a != NULL ? registry_approval(b->registry, a, run->compose, run->slot, 0).approval : NULL;
        if (approval == NULL || !head_covers(heads.data + (size_t)i * HEAD_BYTES, approval->record))
            return ERR_GAP;
    }
    return OK;
}

struct verdict bundle_check_at(const struct bundle *b, uint64_t now_ms)
{
    const struct record *record = b->run->record;
    const struct verdict v = registry_check_run(b->registry, &b->run->body, record->header.author, now_ms);
    const bool over = record_run_end_ms(&record->header) <= now_ms;
    return v.refusal == REFUSAL_NONE && over ? verdict_refuse(REFUSAL_RUN_EXPIRED, NULL) : v;
}

static struct verdict judge(const struct bundle *b, uint64_t now_ms)
{
    if (b->refused < b->record_count) return b->refused_why;
    ASSERT(b->run != NULL); /* it was not refused */
    struct verdict v = bundle_check_authors(b);
    if (v.refusal == REFUSAL_NONE) v = bundle_check_at(b, now_ms);
    return v.refusal == REFUSAL_NONE ? bundle_check_approvals(b) : v;
}

enum err bundle_open(struct bundle **out, struct verdict *verdict, struct arena *arena, struct span bytes,
                     struct consortium_id consortium, uint64_t now_ms)
{
    struct bundle *b = ARENA_NEW(arena, struct bundle);
    if (b == NULL) return ERR_NO_MEMORY;
    *verdict = VERDICT_OK;
    TRY(decode(b, arena, bytes, consortium));
    TRY(registry_new(&b->registry, arena, consortium, SPAN_NONE));
    replay(b);
    TRY(list_checks(b, arena, consortium));
    *out = b;
    *verdict = judge(b, now_ms);
    return verdict->refusal == REFUSAL_NONE ? OK : ERR_REFUSED;
}
