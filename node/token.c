#include "node/token.h"

#include "crypto/hash.h"
#include "crypto/secret.h"
#include "proto/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_VERSION = 1 };
static const char key_prefix[TOKEN_KEY_BYTES - TOKEN_ID_BYTES + 1] = "api-token/";
static const char text_prefix[] = "pgt_";

struct tokens {
    uint32_t count;
    struct token row[TOKEN_COUNT_MAX];
};

struct tokens *tokens_new(void)
{
    return calloc(1, sizeof(struct tokens));
}

void tokens_free(struct tokens *t)
{
    free(t);
}

static struct hash32 token_hash(const uint8_t id[TOKEN_ID_BYTES], const uint8_t secret[TOKEN_SECRET_BYTES])
{
    return HASH_FRAMED("perigee/api-token/v1", span_make(id, TOKEN_ID_BYTES),
                       span_make(secret, TOKEN_SECRET_BYTES));
}

static struct token *find(struct tokens *t, const uint8_t id[TOKEN_ID_BYTES])
{
    for (uint32_t i = 0; i < t->count; i++)
        if (memcmp(t->row[i].id, id, TOKEN_ID_BYTES) == 0) return &t->row[i];
    return NULL;
}

/* --- Making and ending ---------------------------------------------------------------------------------------------- */

enum err token_make(struct token *out, char text[TOKEN_TEXT_CHARS + 1], const struct tokens *t,
                    struct span name, uint32_t scopes, uint64_t now_ms, uint64_t expires_ms)
{
    uint8_t secret[TOKEN_SECRET_BYTES];
    if (t->count == TOKEN_COUNT_MAX) return ERR_FULL;
    if (name.len == 0 || name.len > TOKEN_NAME_MAX || !text_valid(name)) return ERR_SYNTAX;
    *out = (struct token){.scopes = scopes, .created_ms = now_ms, .expires_ms = expires_ms};
    memcpy(out->name, name.data, name.len);
    random_fill(out->id, sizeof out->id);
    random_fill(secret, sizeof secret);
    out->hash = token_hash(out->id, secret);
    (void)snprintf(text, TOKEN_TEXT_CHARS + 1, "%s", text_prefix);
    char *at = text + sizeof text_prefix - 1;
    hex_encode(at, out->id, sizeof out->id);
    at[2 * sizeof out->id] = '_';
    hex_encode(at + 2 * sizeof out->id + 1, secret, sizeof secret);
    secret_wipe(secret, sizeof secret);
    return OK;
}

enum err tokens_add(struct tokens *t, const struct token *token)
{
    if (t->count == TOKEN_COUNT_MAX) return ERR_FULL;
    t->row[t->count++] = *token;
    return OK;
}

bool tokens_remove(struct tokens *t, const uint8_t id[TOKEN_ID_BYTES])
{
    struct token *row = find(t, id);
    if (row == NULL) return false;
    *row = t->row[--t->count];
    return true;
}

const struct token *tokens_at(const struct tokens *t, uint32_t index)
{
    return index < t->count ? &t->row[index] : NULL;
}

/* --- Checking ------------------------------------------------------------------------------------------------------- */

static bool parse(uint8_t id[TOKEN_ID_BYTES], uint8_t secret[TOKEN_SECRET_BYTES], struct span text)
{
    const size_t at_id = sizeof text_prefix - 1, at_mark = at_id + 2 * TOKEN_ID_BYTES;
    if (text.len != TOKEN_TEXT_CHARS || memcmp(text.data, text_prefix, at_id) != 0 ||
        text.data[at_mark] != '_')
        return false;
    return hex_decode(id, TOKEN_ID_BYTES, span_make(text.data + at_id, 2 * TOKEN_ID_BYTES)) == OK &&
           hex_decode(secret, TOKEN_SECRET_BYTES,
                      span_make(text.data + at_mark + 1, 2 * TOKEN_SECRET_BYTES)) == OK;
}

enum err tokens_check(struct tokens *t, struct span text, uint64_t now_ms, uint32_t *scopes)
{
    uint8_t id[TOKEN_ID_BYTES], secret[TOKEN_SECRET_BYTES];
    *scopes = 0;
    if (!parse(id, secret, text)) return ERR_REFUSED;
    const struct hash32 hash = token_hash(id, secret);
    secret_wipe(secret, sizeof secret);
    struct token *row = find(t, id);
    if (row == NULL || !secret_equal(row->hash.bytes, hash.bytes, sizeof hash.bytes)) return ERR_REFUSED;
    if (now_ms >= row->expires_ms) return ERR_EXPIRED;
    row->used_ms = now_ms;
    *scopes = row->scopes;
    return OK;
}

/* --- In the store --------------------------------------------------------------------------------------------------- */

void token_key(uint8_t out[TOKEN_KEY_BYTES], const uint8_t id[TOKEN_ID_BYTES])
{
    memcpy(out, key_prefix, TOKEN_KEY_BYTES - TOKEN_ID_BYTES);
    memcpy(out + TOKEN_KEY_BYTES - TOKEN_ID_BYTES, id, TOKEN_ID_BYTES);
}

void token_pack(struct buffer *out, const struct token *token)
{
    buffer_put_u8(out, TOKEN_VERSION);
    buffer_put(out, ID_SPAN(token->hash));
    buffer_put_u32(out, token->scopes);
    buffer_put_u64(out, token->created_ms);
    buffer_put_u64(out, token->expires_ms);
    buffer_put_text(out, token->name);
}

static enum err unpack(struct token *token, struct cursor *c)
{
    uint8_t version = 0;
    struct span name;
    TRY(cursor_u8(c, &version));
    if (version != TOKEN_VERSION) return ERR_VERSION;
    TRY(cursor_copy(c, token->hash.bytes, sizeof token->hash.bytes));
    TRY(cursor_u32(c, &token->scopes));
    TRY(cursor_u64(c, &token->created_ms));
    TRY(cursor_u64(c, &token->expires_ms));
    const size_t left = cursor_left(c);
    if (left > TOKEN_NAME_MAX) return ERR_TOO_LARGE;
    TRY(cursor_take(c, &name, left));
    if (name.len > 0) memcpy(token->name, name.data, name.len);
    return OK;
}

void tokens_restore(struct tokens *t, struct span key, struct span value)
{
    const size_t prefix = TOKEN_KEY_BYTES - TOKEN_ID_BYTES;
    struct token token = {.scopes = 0};
    struct cursor c = cursor_make(value);
    if (key.len != TOKEN_KEY_BYTES || memcmp(key.data, key_prefix, prefix) != 0) return;
    memcpy(token.id, key.data + prefix, TOKEN_ID_BYTES);
    if (t->count < TOKEN_COUNT_MAX && unpack(&token, &c) == OK) t->row[t->count++] = token;
}
