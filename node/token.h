/* token: who may use the API over TCP. A token is a random secret of 256 bits with scopes and an expiry; the node keeps a hash of
 * it and shows it once, when it is made: "pgt_<16 hex digits: its id>_<64 hex digits: its secret>".
 * Rules: TOKEN_COUNT_MAX at once; a row is in force only when it is durable, and out of force at once when it is revoked.
 * The secret is compared by its hash, in constant time; the id is no secret. Expiry reads the wall clock and fails closed.
 * Threads: the loop's. Ownership: everything is copied. */
#ifndef PERIGEE_NODE_TOKEN_H
#define PERIGEE_NODE_TOKEN_H

#include "node/scope.h"
#include "proto/base/ids.h"

enum {
    TOKEN_COUNT_MAX = 256,
    TOKEN_NAME_MAX = 64,
    TOKEN_ID_BYTES = 8,
    TOKEN_SECRET_BYTES = 32,
    TOKEN_TEXT_CHARS = 4 + 2 * TOKEN_ID_BYTES + 1 + 2 * TOKEN_SECRET_BYTES,
    TOKEN_KEY_BYTES = 10 + TOKEN_ID_BYTES,
    TOKEN_VALUE_BYTES = 1 + 32 + 4 + 8 + 8 + TOKEN_NAME_MAX,
};

struct token {
    uint8_t id[TOKEN_ID_BYTES];
    struct hash32 hash;
    uint32_t scopes;
    uint64_t created_ms, expires_ms;
    uint64_t used_ms; /* since this process started; 0: never */
    char name[TOKEN_NAME_MAX + 1];
};

struct tokens;
struct tokens *tokens_new(void); /* NULL: no memory */
void tokens_free(struct tokens *t);
/* A new one, not in force yet; `text` receives it, once. ERR_FULL. ERR_SYNTAX: the name is no text, or too long. */
MUST_USE enum err token_make(struct token *out, char text[TOKEN_TEXT_CHARS + 1], const struct tokens *t,
                             struct span name, uint32_t scopes, uint64_t now_ms, uint64_t expires_ms);
/* It is durable: it is in force from now on. ERR_FULL: others came between. */
MUST_USE enum err tokens_add(struct tokens *t, const struct token *token);
/* False: no such token. */
bool tokens_remove(struct tokens *t, const uint8_t id[TOKEN_ID_BYTES]);
const struct token *tokens_at(const struct tokens *t, uint32_t index);
/* ERR_REFUSED: none such. ERR_EXPIRED. */
MUST_USE enum err tokens_check(struct tokens *t, struct span text, uint64_t now_ms, uint32_t *scopes);

/* How it lies in the store: the key of its row in STORE_LOCAL and the value. */
void token_key(uint8_t out[TOKEN_KEY_BYTES], const uint8_t id[TOKEN_ID_BYTES]);
void token_pack(struct buffer *out, const struct token *token);
/* One row read back at the start; what is no token's row is passed over. */
void tokens_restore(struct tokens *t, struct span key, struct span value);

#endif
