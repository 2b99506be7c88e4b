/* Known answers for envelopes and the threshold PRF.
 * Ours, of the bytes in docs/PROTOCOL.md, embedded below; tdh2_reference.py computes them a second time, from the text
 * alone, and is run here where there is a Python. An older file with other labels and hashes checks what doesn't depend
 * on them: shares, interpolation, combined points. "tdh2_test bench" prints costs as ratios. */
#include "crypto/combine.h"
#include "crypto/secret.h"
#include "tests/dealer.h"
#include "tests/vector_text.h"

#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { N = 5, T = 3, LINES = 20, LINE_MAX_BYTES = 512, EXIT_SKIPPED = 77 };

static const char *const known[LINES] = {
    "y 326ce691fd4c07304b097489aaa0b2368bb80b608eacf851c1aa425ccd32a052",
    "y_1 a80dd70b42e151d236afe23b4c90135a0758cef4093765bf48d9b4c3c77e6835",
    "y_2 04c2d18f58dc5bae8e2bc8e93e70108f54447ee9544416ac131a5aaf4cbc592e",
    "y_3 66225e6cb3696ae53457fd3b7134caf5ecb204a3c753f4041c5723e5faf9cc6d",
    "y_4 1edbe69a546d10efd2999db80b8a56bbc9d855d1b7f9fbb0a70a1eb3c9f0522b",
    "y_5 34a859ccc5eb13d40ed22e7a3214526478f272ec2e89931826f2d6cc6fa3ae0d",
    "key_id 47d9e29b81496a495afe0d18ac0f7114e2064fcf039cbc924a9c53afcea6fed4",
    "label 000147d9e29b81496a495afe0d18ac0f7114e2064fcf039cbc924a9c53afcea6fed42222222222222222222222"
    "222222222222222222222222222222222222222222333333333333333333333333333333333333333333333333333333"
    "333333333344444444444444444444444444444444444444444444444444444444444444445555555555555555555555"
    "555555555555555555555555555555555555555555666666666666666666666666666666666666666666666666666666"
    "6666666666",
    "envelope 3eb0713fb176e8eb6b740c9381b80cf2c2d14161f4f830811eb9b0eb0fb91958b6aefe1591ca9ac4fd00972"
    "6211337dc4021a578cd916eb9e68eb4885af6dd3fd4233bb8880e99d2c40a4e1056e2a2623d907592246cc58bd02946c"
    "2470e8c04daf45872e10b1b903f745f21f62b979b87a611842965378cddb3a5221ffe5f0e1968dc5518fd56f1de1f1d8"
    "55b08bff6154aad01aaef06660b80ceb31facd1bc5d9d85ec11537b1c5b08a8eaf8772af1",
    "share_1 2e12fb433653551d433101862d4aa472b9d37d32ca9f024b4514d30e0424515b3875c4b059234ff1f86d0735"
    "17f147e7ef2fb825720d3619ff7d8374c8ed500ff1cfff7990f78a6a55d39ecfa0cb41f962a0f79aa5600ddb2de26d86"
    "e5017f09",
    "share_2 e0648629ef13a77703b2f74bebb471575a3dbb5c0a12beaf326502fdc0023915735c2d103dfb06c225079d45"
    "d5d15c4db7f0a76983bb47b769f82592bffe410d61d1653db13f69352fbab9b67e211f5ed20023e4d1e5062ab398ae7a"
    "7ea9e604",
    "share_3 b8a1d3b00403ee4c4e58eb1eee6f6fbe5ff0138addb600ca791b846c25b61421436dc7ff8ec513b09d8477c7"
    "d9ed385da47216fd66b932b03d9106916a13e40ce6507e56768dd0e66ea506990366a5aee0dca5d7500bd66b15ef2b11"
    "350b3105",
    "share_4 7a229b70e9fab7b9be7ee9e91375903be83d2c8a4dbf60b18bd546e246a34d20689858adc78da8c2c9790001"
    "a3099d7cc9b8b8dc5d6eb2535ad675877fc2af0d7c65a3e211e659cdf2f7c0e848c5035f004ed066382c344ec6020bc1"
    "cebcf20e",
    "share_5 dccb179cdfbdb82788e3d20d0d02a786e27124653e0606019aa086af9239c41ef98e9b0534919e94ced86612"
    "c68e14df33c24b29133dc98a4c4144d8e5bdeb04e799c5ec3086cab506044318c88508c64f811dea942370f03e713977"
    "e7952c0f",
    "prf_share_1 d850d87f4482dc49f18f126b59f96d771d9a443181f14691cad2f83e0222e32d5ffd4e1fb96610c537e2"
    "0ce6420f9f472b7958a37e1600270290950d8099b20d741c07fdd2f820ceaed5b3ba454cd3485f2943aaff71cd945f73"
    "5069eb99110a",
    "prf_share_2 34139323e4008545d190fa75f7193e0121004088ae71ee643d0f6b69421c8c767fe39b7a3ce74a245aeb"
    "160e06c1ab533ba36e3e1e1543e75644ae492db40f0b0e1bd0a18c385f59b0612b72ca05429a86502b636d1fb86bdbc6"
    "31503b74d10b",
    "prf_share_3 e8aad321d8a957048d5b81c027f67b7bd32cde5be25292e54a65aa11c4a0a32e3aa96ba5831ab6dcf56f"
    "15170bc847a2ec58c6aa345b7256793fcd0117510f0ad9eb1f22e28c0072901d68b463059ceb6a8cab7cdd7650188e88"
    "f79816563f07",
    "prf_share_4 32cf90988c19b91858deb674e539d3a8a694512684befe2c61c769f8a4efde6d95c9c7d6ebebc33f055d"
    "31717023f0bdc6c865b0a6d8878a5f1cac4a9a213e0c2908dfae0d7ee9fb317a1a0bc3a08955eef1cfc190b24ee70d44"
    "0becd960ae07",
    "prf_share_5 ece7f1ec5eb87a560256814eb089266f2ec5ba0fb66f1853cbb3c5efc7a60417ff2ef4ae217fa73343af"
    "ffa1125f4c8b506b1a8eb253165e2dc8bdc76ca6d705521c6ba101668c90cb47cd9a295d18e3efdbc8fc7debbee3b604"
    "af285238330d",
    "prf 8ec39d6771064ae972ec552a4706724377c06a725a4233f29418ba64e7f3c0e5",
};

static bool part_missing;

/* --- Computing them ----------------------------------------------------------------------------------------------- */

static void known_bytes(uint8_t out[64], const char *name, uint32_t index)
{
    char text[64];
    (void)snprintf(text, sizeof text, "perigee/kat/v1/%s/%u", name, index);
    sha512(out, span_text(text));
}

static void known_dealer(struct dealer_key *out)
{
    uint8_t coefficient[T][32], wide[64], index[32];
    memset(out, 0, sizeof *out);
    out->key.n = N;
    out->key.t = T;
    for (uint32_t k = 0; k < T; k++) {
        known_bytes(wide, "coefficient", k);
        group_reduce(coefficient[k], wide);
    }
    assert_int_equal(group_base(&out->key.y, coefficient[0]), OK);
    for (uint32_t i = 1; i <= N; i++) {
        uint8_t *share = out->share[i - 1].bytes;
        group_scalar_from_u32(index, i);
        memcpy(share, coefficient[T - 1], 32);
        for (uint32_t k = T - 1; k-- > 0;) group_scalar_mul_add(share, share, index, coefficient[k]);
        assert_int_equal(group_base(&out->key.share[i - 1], share), OK);
    }
}

static char lines[LINES][LINE_MAX_BYTES];
static uint32_t line_count;

static void put_line(const char *name, uint32_t index, struct span bytes)
{
    char hex[LINE_MAX_BYTES - 16];
    assert_true(line_count < LINES && 2 * bytes.len < sizeof hex);
    hex_encode(hex, bytes.data, bytes.len);
    if (index == 0)
        (void)snprintf(lines[line_count++], LINE_MAX_BYTES, "%s %s", name, hex);
    else
        (void)snprintf(lines[line_count++], LINE_MAX_BYTES, "%s_%u %s", name, index, hex);
}

static void put_share(const char *name, const struct dec_share *s)
{
    uint8_t bytes[96];
    memcpy(bytes, s->d.bytes, 32);
    memcpy(bytes + 32, s->e.bytes, 32);
    memcpy(bytes + 64, s->f.bytes, 32);
    put_line(name, s->index, SPAN_OF(bytes));
}

static struct label known_label(struct hash32 key_id)
{
    struct dt app;
    struct compose_hash compose;
    struct node_id owner;
    struct content_id content;
    struct hash32 policy;
    memset(&app, 0x22, 32);
    memset(&compose, 0x33, 32);
    memset(&owner, 0x44, 32);
    memset(&content, 0x55, 32);
    memset(&policy, 0x66, 32);
    return label_make(key_id, app, compose, owner, content, policy);
}

static void compute_envelope(const struct dealer_key *dealer, const struct label *label)
{
    struct envelope envelope;
    struct dec_share shares[N];
    uint8_t entropy[64], data_key[32], opened[32];
    known_bytes(entropy, "entropy", 0);
    memset(data_key, 0x42, sizeof data_key);
    assert_int_equal(envelope_seal_from(&envelope, &dealer->key.y, label, data_key, entropy), OK);
    put_line("envelope", 0, SPAN_OF(envelope.bytes));
    for (uint32_t i = 1; i <= N; i++) {
        assert_int_equal(
            envelope_share(&shares[i - 1], &envelope, &dealer->key.y, label, i, &dealer->share[i - 1]), OK);
        put_share("share", &shares[i - 1]);
    }
    assert_int_equal(envelope_open(opened, &envelope, &dealer->key, label, shares, T), OK);
    assert_memory_equal(opened, data_key, 32);
}

static void compute_prf(const struct dealer_key *dealer)
{
    struct hash32 input;
    struct dec_share shares[N];
    uint8_t value[32];
    memset(&input, 0x77, sizeof input);
    for (uint32_t i = 1; i <= N; i++) {
        assert_int_equal(prf_share(&shares[i - 1], &dealer->key.y, input, i, &dealer->share[i - 1]), OK);
        put_share("prf_share", &shares[i - 1]);
    }
    assert_int_equal(prf_combine(value, &dealer->key, input, shares, T), OK);
    put_line("prf", 0, SPAN_OF(value));
}

static void compute(void)
{
    struct dealer_key dealer;
    if (line_count != 0) return;
    known_dealer(&dealer);
    put_line("y", 0, SPAN_OF(dealer.key.y.bytes));
    for (uint32_t i = 1; i <= N; i++) put_line("y", i, SPAN_OF(dealer.key.share[i - 1].bytes));
    struct hash32 key_id = group_key_id(&dealer.key.y);
    struct label label = known_label(key_id);
    put_line("key_id", 0, ID_SPAN(key_id));
    put_line("label", 0, SPAN_OF(label.bytes));
    compute_envelope(&dealer, &label);
    compute_prf(&dealer);
}

static void test_known_answers(void **state)
{
    (void)state;
    compute();
    assert_int_equal(line_count, LINES);
    for (uint32_t i = 0; i < LINES; i++) assert_string_equal(lines[i], known[i]);
}

/* The reference's output as a stream, or NULL when there is no Python. */
static FILE *start_reference(pid_t *pid)
{
    static char *const arguments[] = {"python3", PERIGEE_SOURCE_DIR "/tests/vectors/tdh2_reference.py", NULL};
    static char *const environment[] = {NULL};
    int ends[2];
    posix_spawn_file_actions_t actions;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO), 0);
    const int failed = posix_spawnp(pid, arguments[0], &actions, NULL, arguments, environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    FILE *stream = failed ? NULL : fdopen(ends[0], "r");
    if (stream == NULL) (void)close(ends[0]);
    return stream;
}

static void test_second_implementation(void **state)
{
    (void)state;
    char line[LINE_MAX_BYTES];
    uint32_t count = 0;
    pid_t pid;
    int status;
    FILE *reference = start_reference(&pid);
    if (reference == NULL) {
        part_missing = true;
        print_message("SKIPPED: no python3 for the second implementation\n");
        skip();
    }
    compute();
    while (fgets(line, sizeof line, reference) != NULL) {
        line[strcspn(line, "\n")] = 0;
        assert_true(count < LINES);
        assert_string_equal(lines[count++], line);
    }
    (void)fclose(reference);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(count, LINES);
}

/* --- The older file ----------------------------------------------------------------------------------------------- */

struct older {
    uint8_t x[32], share[N][32];
    struct point y, y_i[N], r, d[N];
};

static void read_older(struct older *out, const char *text)
{
    const char *at = text_exact(text_seek(text, "x"), out->x, 32);
    at = text_exact(text_seek(at, "Y"), out->y.bytes, 32);
    at = text_seek(at, "xi");
    for (uint32_t i = 0; i < N; i++) at = text_exact(at, out->share[i], 32);
    at = text_seek(at, "Yi");
    for (uint32_t i = 0; i < N; i++) at = text_exact(at, out->y_i[i].bytes, 32);
    at = text_exact(text_seek(at, "R"), out->r.bytes, 32);
    at = text_seek(at, "shares");
    for (uint32_t i = 0; i < N; i++) at = text_exact(text_seek(at, "D"), out->d[i].bytes, 32);
}

/* Three shares of the scalar give the scalar, three partial points give its multiple of R. */
static void check_three(const struct older *o, const uint32_t index[T])
{
    struct scalar lambda[T];
    struct dec_share shares[T] = {{.index = 0}};
    struct group_key key = {.n = N, .t = T};
    struct point combined, expected;
    uint8_t x[32] = {0};
    assert_int_equal(group_lagrange(lambda, index, T), OK);
    for (uint32_t k = 0; k < T; k++) {
        group_scalar_mul_add(x, lambda[k].bytes, o->share[index[k] - 1], x);
        shares[k].index = index[k];
        shares[k].d = o->d[index[k] - 1];
    }
    assert_memory_equal(x, o->x, 32);
    assert_int_equal(combine_shares(&combined, &key, shares, T), OK);
    assert_int_equal(group_mul(&expected, o->x, &o->r), OK);
    assert_memory_equal(combined.bytes, expected.bytes, 32);
}

static void test_older_file(void **state)
{
    (void)state;
    static char text[1 << 14];
    struct older o;
    struct point p;
    if (!text_load(text, sizeof text, PERIGEE_SHARED_DIR "/vectors/tdh2/tdh2_r255_kat.json")) {
        part_missing = true;
        print_message("SKIPPED: the vectors folder is absent\n");
        skip();
    }
    read_older(&o, text);
    assert_int_equal(group_base(&p, o.x), OK);
    assert_memory_equal(p.bytes, o.y.bytes, 32);
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(group_base(&p, o.share[i]), OK);
        assert_memory_equal(p.bytes, o.y_i[i].bytes, 32);
        assert_int_equal(group_mul(&p, o.share[i], &o.r), OK);
        assert_memory_equal(p.bytes, o.d[i].bytes, 32);
    }
    for (uint32_t a = 1; a <= N; a++)
        for (uint32_t b = a + 1; b <= N; b++)
            for (uint32_t c = b + 1; c <= N; c++) check_three(&o, (const uint32_t[T]){b, a, c});
}

/* --- Costs, as multiples of one multiplication of a variable point in the same run. ------------------------------ */

static struct {
    struct dealer_key dealer;
    struct label label;
    struct envelope envelope;
    struct dec_share shares[9];
    uint8_t data_key[32];
} bench;

static void step_mul(void)
{
    struct point p;
    assert_int_equal(group_mul(&p, bench.dealer.share[0].bytes, &bench.dealer.key.y), OK);
}
static void step_base(void)
{
    struct point p;
    assert_int_equal(group_base(&p, bench.dealer.share[0].bytes), OK);
}
static void step_seal(void)
{
    assert_int_equal(envelope_seal(&bench.envelope, &bench.dealer.key.y, &bench.label, bench.data_key), OK);
}
static void step_check(void)
{
    assert_int_equal(envelope_check(&bench.envelope, &bench.dealer.key.y, &bench.label), OK);
}
static void step_share(void)
{
    assert_int_equal(envelope_share(&bench.shares[0], &bench.envelope, &bench.dealer.key.y, &bench.label, 1,
                                    &bench.dealer.share[0]),
                     OK);
}
static void step_share_check(void)
{
    assert_int_equal(envelope_share_check(&bench.shares[0], &bench.envelope, &bench.dealer.key, &bench.label),
                     OK);
}
static void step_open(void)
{
    assert_int_equal(
        envelope_open(bench.data_key, &bench.envelope, &bench.dealer.key, &bench.label, bench.shares, 5), OK);
}

static double seconds_of(void (*step)(void))
{
    struct timespec a, b;
    (void)clock_gettime(CLOCK_MONOTONIC, &a);
    for (uint32_t i = 0; i < 5; i++) step();
    (void)clock_gettime(CLOCK_MONOTONIC, &b);
    return ((double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec)) / 5;
}

static double less(double a, double b)
{
    return a < b ? a : b;
}

/* `muls` and `bases` are the multiplications the formulas need; the ratio to their bare sum is what the rest costs.
 * All three are measured in turn, and the fastest of many short runs counts: the machine may be shared. */
static void print_cost(const char *name, void (*step)(void), double muls, double bases)
{
    double mul = 1, base = 1, whole = 1;
    for (uint32_t round = 0; round < 100; round++) {
        mul = less(mul, seconds_of(step_mul));
        base = less(base, seconds_of(step_base));
        whole = less(whole, seconds_of(step));
    }
    (void)printf("%-22s %6.1f us; %.0f mul of %.1f us and %.0f base of %.1f us need; ratio %.2f\n", name,
                 1e6 * whole, muls, 1e6 * mul, bases, 1e6 * base, whole / (muls * mul + bases * base));
}

static int run_bench(void)
{
    bench.dealer = dealer_make(9, 5, 1);
    step_seal();
    for (uint32_t i = 1; i <= 9; i++)
        assert_int_equal(envelope_share(&bench.shares[i - 1], &bench.envelope, &bench.dealer.key.y,
                                        &bench.label, i, &bench.dealer.share[i - 1]),
                         OK);
    print_cost("envelope_check", step_check, 3, 1);
    print_cost("envelope_share", step_share, 5, 3);
    print_cost("envelope_share_check", step_share_check, 3, 1);
    print_cost("envelope_open t=5", step_open, 5, 0);
    print_cost("envelope_seal", step_seal, 3, 2);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_second_implementation),
        cmocka_unit_test(test_older_file),
    };
    if (crypto_init() != OK) return EXIT_FAILURE;
    if (argc == 2 && strcmp(argv[1], "bench") == 0) return run_bench();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed == 0 && part_missing ? EXIT_SKIPPED : failed;
}
