#include "node/card.h"

#include "proto/field.h"

#include <string.h>

enum err card_parse(struct charter_member *out, struct arena *arena, struct span bytes,
                    struct json_fault *fault)
{
    struct json_reader r;
    struct span copy;
    struct hash32 kem = {{0}}, dkg = {{0}};
    memset(out, 0, sizeof *out);
    if (bytes.len > CARD_BYTES_MAX) return ERR_TOO_LARGE;
    TRY(field_document(&r, &copy, JSON_ROOM_ONE(arena), bytes, "card/1", fault));
    field_node(&r, "node", &out->node);
    field_node(&r, "approval", &out->approval);
    field_name(&r, "organisation", &out->organisation);
    field_jurisdiction(&r, "jurisdiction", &out->jurisdiction);
    charter_read_roles(&r, "roles", &out->roles);
    charter_read_platforms(&r, arena, &out->platforms);
    field_hash(&r, "kem", &kem);
    field_hash(&r, "dkg", &dkg);
    memcpy(out->kem.bytes, kem.bytes, sizeof kem.bytes);
    memcpy(out->dkg.bytes, dkg.bytes, sizeof dkg.bytes);
    return json_reader_done(&r);
}

enum err card_write(struct buffer *out, const struct charter_member *card)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_begin_object(&w);
    field_put_hex(&w, "approval", ID_SPAN(card->approval));
    field_put_hex(&w, "dkg", SPAN_OF(card->dkg.bytes));
    field_put_text(&w, "jurisdiction", card->jurisdiction);
    field_put_hex(&w, "kem", SPAN_OF(card->kem.bytes));
    field_put_hex(&w, "node", ID_SPAN(card->node));
    field_put_text(&w, "organisation", card->organisation);
    field_put_word(&w, "perigee", "card/1");
    charter_put_platforms(&w, card->platforms);
    charter_put_roles(&w, "roles", card->roles);
    json_end_object(&w);
    return buffer_done(out);
}

static uint32_t role_of(struct span name)
{
    for (uint32_t bit = 0; bit < ROLE_COUNT; bit++)
        if (span_equal_text(name, role_names[bit])) return 1u << bit;
    return 0;
}

enum err card_roles(uint32_t *roles, const char *list)
{
    *roles = 0;
    for (const char *at = list;; at++) {
        size_t len = strcspn(at, ",");
        uint32_t role = role_of(span_make(at, len));
        if (role == 0) return ERR_KIND;
        if ((*roles & role) != 0) return ERR_DUPLICATE;
        *roles |= role;
        at += len;
        if (*at == 0) return OK;
    }
}
