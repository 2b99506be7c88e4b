/* Envelopes, labels, decryption and PRF shares from anybody, against a key whose shares we know.
 * Input: envelope | label | shares of (index u8 | d | e | f). The PRF's input is the label's last 32 bytes.
 * What must hold whatever arrives: a share that checks is x_i times its base, and a checked envelope opens to
 * the same result for every set of honest shares. */
#include "crypto/secret.h"
#include "tests/dealer.h"

enum { SHARES_MAX = 5, N = 5, T = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct dealer_key dealer;

static bool read_share(struct cursor *c, struct dec_share *s)
{
    uint8_t index;
    if (cursor_u8(c, &index) != OK) return false;
    s->index = index;
    return cursor_copy(c, s->d.bytes, 32) == OK && cursor_copy(c, s->e.bytes, 32) == OK &&
           cursor_copy(c, s->f.bytes, 32) == OK;
}

static void assert_is_honest(const struct dec_share *s, const struct point *base)
{
    struct point d;
    ASSERT(s->index >= 1 && s->index <= N);
    ASSERT(group_mul(&d, dealer.share[s->index - 1].bytes, base) == OK);
    ASSERT(memcmp(d.bytes, s->d.bytes, 32) == 0);
}

static void check_honest_opening(const struct envelope *e, const struct label *label)
{
    struct dec_share honest[N];
    uint8_t first[32], last[32];
    enum err checked = envelope_check(e, &dealer.key.y, label);
    for (uint32_t i = 1; i <= N; i++) {
        enum err err = envelope_share(&honest[i - 1], e, &dealer.key.y, label, i, &dealer.share[i - 1]);
        ASSERT(err == checked);
        if (err == OK) ASSERT(envelope_share_check(&honest[i - 1], e, &dealer.key, label) == OK);
    }
    if (checked != OK) return;
    enum err err = envelope_open(first, e, &dealer.key, label, honest, T);
    ASSERT(err == OK || err == ERR_DECRYPT);
    ASSERT(envelope_open(last, e, &dealer.key, label, honest + N - T, T) == err);
    ASSERT(memcmp(first, last, 32) == 0);
}

static void check_shares(const struct envelope *e, const struct label *label, const struct dec_share *shares,
                         uint32_t count)
{
    uint8_t opened[32];
    struct point r;
    struct hash32 input;
    memcpy(r.bytes, e->bytes, 32);
    memcpy(input.bytes, label->bytes + LABEL_BYTES - 32, 32);
    for (uint32_t i = 0; i < count; i++) {
        struct dec_share honest;
        if (envelope_share_check(&shares[i], e, &dealer.key, label) == OK) assert_is_honest(&shares[i], &r);
        if (prf_share_check(&shares[i], &dealer.key, input) != OK) continue;
        const uint32_t index = shares[i].index;
        ASSERT(prf_share(&honest, &dealer.key.y, input, index, &dealer.share[index - 1]) == OK);
        ASSERT(memcmp(honest.d.bytes, shares[i].d.bytes, 32) == 0);
    }
    enum err err = envelope_open(opened, e, &dealer.key, label, shares, count);
    ASSERT(count >= T || err != OK);
    err = prf_combine(opened, &dealer.key, input, shares, count);
    ASSERT(count >= T || err != OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct cursor c = cursor_make(span_make(bytes, len));
    struct envelope envelope;
    struct label label;
    struct dec_share shares[SHARES_MAX] = {{.index = 0}};
    uint32_t count = 0;
    if (dealer.key.n == 0) {
        ASSERT(crypto_init() == OK);
        dealer = dealer_make(N, T, 1);
    }
    if (cursor_copy(&c, envelope.bytes, ENVELOPE_BYTES) != OK) return 0;
    if (cursor_copy(&c, label.bytes, LABEL_BYTES) != OK) return 0;
    while (count < SHARES_MAX && read_share(&c, &shares[count])) count++;
    check_honest_opening(&envelope, &label);
    check_shares(&envelope, &label, shares, count);
    return 0;
}
