/* Round-1 messages of a 2-of-3 key generation with parts changed on the way.
 * Input: our id u8, then changes of (offset u16 | length u8 | bytes to exclusive-or) over the three messages.
 * What must hold: the run ends as the honest one did, or refuses; who is named had its message changed; and
 * an unchanged public part gives the honest key to everybody. The input is read as messages, too, and what is read from
 * written messages is what was written. */
#include "crypto/cocktail.h"
#include "crypto/secret.h"
#include "tests/dealer.h"

enum { N = 3, T = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct outcome {
    struct scalar_secret share;
    struct group_key key;
    uint8_t transcript[64], sig[64];
};

static struct cocktail_session session;
static struct scalar_secret secret[N];
static struct cocktail_secret state[N];
static struct cocktail_round1 honest[N];
static struct outcome expected[N];

static enum err finish(struct outcome *o, uint32_t *culprit, const struct cocktail_round1 *round1)
{
    const uint32_t i = session.own - 1;
    return cocktail_finish(&o->share, &o->key, o->transcript, o->sig, culprit, &state[i], &session,
                           &secret[i], round1);
}

static void prepare(void)
{
    ASSERT(crypto_init() == OK);
    session = (struct cocktail_session){.n = N, .t = T, .tag = {{1}}, .extension = SPAN_LITERAL("purpose")};
    for (uint32_t i = 0; i < N; i++) {
        uint8_t wide[64];
        dealer_bytes(wide, 1, i);
        group_reduce(secret[i].bytes, wide);
        ASSERT(group_base(&session.party[i], secret[i].bytes) == OK);
    }
    for (session.own = 1; session.own <= N; session.own++) {
        uint8_t entropy[64 * (T + 1)];
        const uint32_t i = session.own - 1;
        for (uint32_t k = 0; k <= T; k++) dealer_bytes(entropy + 64 * k, 2 + i, k);
        ASSERT(cocktail_begin_from(&state[i], &honest[i], &session, &secret[i], SPAN_OF(entropy)) == OK);
    }
    for (session.own = 1; session.own <= N; session.own++) {
        uint32_t culprit;
        ASSERT(finish(&expected[session.own - 1], &culprit, honest) == OK);
    }
}

static void change(struct cocktail_round1 *round1, struct cursor *c)
{
    uint8_t *all = (uint8_t *)round1;
    uint16_t offset;
    uint8_t len;
    struct span bytes;
    while (cursor_u16(c, &offset) == OK && cursor_u8(c, &len) == OK && cursor_take(c, &bytes, len) == OK)
        for (size_t i = 0; i < len; i++) all[(offset + i) % (N * sizeof *round1)] ^= bytes.data[i];
}

static bool changed(const struct cocktail_round1 *round1, uint32_t party)
{
    return memcmp(&round1[party - 1], &honest[party - 1], sizeof honest[0]) != 0;
}

static struct span pack(uint8_t *memory, size_t size, const struct cocktail_round1 *round1)
{
    struct buffer out = buffer_make(memory, size);
    for (uint32_t i = 0; i < N; i++) cocktail_round1_write(&out, &round1[i], &session, COCKTAIL_WHOLE);
    ASSERT(buffer_done(&out) == OK);
    return buffer_span(&out);
}

static void travel(const struct cocktail_round1 *round1, struct span input)
{
    static uint8_t written[N * sizeof *round1], again[N * sizeof *round1];
    struct cocktail_round1 back[N];
    struct span sent = pack(written, sizeof written, round1);
    ASSERT(cocktail_round1_read(back, sent, &session, COCKTAIL_WHOLE) == OK);
    ASSERT(span_equal(sent, pack(again, sizeof again, back)));
    if (cocktail_round1_read(back, input, &session, COCKTAIL_WHOLE) == OK)
        ASSERT(span_equal(input, pack(again, sizeof again, back)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct cursor c = cursor_make(span_make(bytes, len));
    struct cocktail_round1 round1[N];
    struct outcome o;
    struct group_key key;
    uint8_t own, transcript[64];
    uint32_t culprit = 99;
    if (session.n == 0) prepare();
    if (cursor_u8(&c, &own) != OK) return 0;
    session.own = 1 + own % N;
    memcpy(round1, honest, sizeof round1);
    change(round1, &c);
    travel(round1, span_make(bytes, len));
    enum err err = finish(&o, &culprit, round1);
    ASSERT(err == OK || err == ERR_PROOF || err == ERR_DECRYPT || err == ERR_CONFLICT);
    ASSERT((err == ERR_CONFLICT) == changed(round1, session.own));
    if (err == OK) ASSERT(memcmp(&o, &expected[session.own - 1], sizeof o) == 0);
    if (err == ERR_PROOF || err == ERR_DECRYPT)
        ASSERT(culprit >= 1 && culprit <= N && changed(round1, culprit));
    else
        ASSERT(culprit == 0);
    if (cocktail_public(&key, transcript, &session, round1) == OK)
        ASSERT(memcmp(transcript, expected[0].transcript, 64) == 0 &&
               memcmp(&key, &expected[0].key, sizeof key) == 0);
    return 0;
}
