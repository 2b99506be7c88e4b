#include "proto/policy.h"

#include "crypto/hash.h"
#include "proto/field.h"

const char *const export_policy_names[3] = {"none", "to-enclave", "any"};

static enum err parse(struct policy **out, struct json_room room, struct span bytes, struct json_fault *fault)
{
    struct json_reader r;
    uint32_t export_to = 0;
    struct policy *p = ARENA_NEW(room.kept, struct policy);
    if (p == NULL) return ERR_NO_MEMORY;
    TRY(field_document(&r, &p->bytes, room, bytes, "policy/1", fault));
    json_read_enum(&r, "export", export_policy_names, 3, &export_to);
    json_read_bool(&r, "need_gpu", &p->need_gpu);
    json_read_bool(&r, "owner_veto", &p->owner_veto);
    field_list(&r, "jurisdictions", 0, CAP_JURISDICTIONS, field_is_jurisdiction,
               "a jurisdiction such as CH or EU", p->jurisdiction, sizeof p->jurisdiction[0],
               &p->jurisdiction_count);
    TRY(json_reader_done(&r));
    p->export_to = (enum export_policy)export_to;
    p->hash = sha256(p->bytes);
    *out = p;
    return OK;
}

enum err policy_parse(struct policy **out, struct arena *arena, struct span bytes, struct json_fault *fault)
{
    size_t mark = arena_mark(arena);
    enum err err = parse(out, JSON_ROOM_ONE(arena), bytes, fault);
    if (err != OK) arena_release(arena, mark);
    return err;
}

enum err policy_keep(const struct policy **out, struct json_room room, struct span bytes)
{
    size_t mark = arena_mark(room.kept), scratch = arena_mark(room.scratch);
    struct policy *p = NULL;
    enum err err = parse(&p, room, bytes, NULL);
    arena_release(room.scratch, scratch);
    if (err != OK) {
        arena_release(room.kept, mark);
        return err;
    }
    *out = p;
    return OK;
}

enum { COST_POLICY = 1024 };
_Static_assert(ARENA_BYTES(1, sizeof(struct policy)) <= COST_POLICY, "a policy's cost");

size_t policy_cost(const struct policy *p)
{
    return COST_POLICY + json_borrow_bytes(p->bytes);
}

enum err policy_write(struct buffer *out, const struct policy *p)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_begin_object(&w);
    field_put_word(&w, "export", export_policy_names[p->export_to]);
    field_put_texts(&w, "jurisdictions", p->jurisdiction, p->jurisdiction_count);
    field_put_bool(&w, "need_gpu", p->need_gpu);
    field_put_bool(&w, "owner_veto", p->owner_veto);
    field_put_word(&w, "perigee", "policy/1");
    json_end_object(&w);
    return buffer_done(out);
}
