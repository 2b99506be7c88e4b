/* The API's tokens: what a client says after "Bearer", and what stands in the store. The first byte chooses: 't' a text, which is
 * refused unless it is the one token there is; 'r' a row, key and value, which is passed over or is what packing gives again. */
#include "crypto/secret.h"
#include "node/token.h"
#include "proto/base/panic.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_text(struct span text)
{
    static struct tokens *all;
    static char real[TOKEN_TEXT_CHARS + 1];
    static struct token token;
    uint32_t scopes = UINT32_MAX;
    if (all == NULL) {
        ASSERT(crypto_init() == OK && (all = tokens_new()) != NULL);
        ASSERT(token_make(&token, real, all, SPAN_LITERAL("real"), SCOPE_READ, 1, 100) == OK);
        ASSERT(tokens_add(all, &token) == OK);
    }
    const enum err err = tokens_check(all, text, 5, &scopes);
    const bool is_real = span_equal_text(text, real);
    ASSERT(is_real ? err == OK && scopes == SCOPE_READ : err == ERR_REFUSED && scopes == 0);
}

/* Names are no part of what is compared behind a zero byte: they are kept as text. */
static void check_row(struct span key, struct span value)
{
    uint8_t again[TOKEN_VALUE_BYTES], again_key[TOKEN_KEY_BYTES];
    struct buffer b = BUFFER_OF(again);
    struct tokens *all = tokens_new();
    ASSERT(all != NULL);
    tokens_restore(all, key, value);
    const struct token *t = tokens_at(all, 0);
    if (t != NULL) {
        token_key(again_key, t->id);
        token_pack(&b, t);
        ASSERT(span_equal(key, SPAN_OF(again_key)) && buffer_done(&b) == OK);
        ASSERT(b.len <= value.len && memcmp(again, value.data, b.len) == 0);
        ASSERT(b.len == value.len || value.data[b.len] == 0);
    }
    tokens_free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len == 0) return 0;
    const struct span rest = span_make(bytes + 1, len - 1);
    if (bytes[0] == 't') check_text(rest);
    if (bytes[0] != 'r' || rest.len < TOKEN_KEY_BYTES) return 0;
    check_row(span_make(rest.data, TOKEN_KEY_BYTES),
              span_make(rest.data + TOKEN_KEY_BYTES, rest.len - TOKEN_KEY_BYTES));
    return 0;
}
