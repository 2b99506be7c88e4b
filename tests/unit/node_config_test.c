/* perigee.yaml: defaults, every key, and refusals that say where and why. */
#include "node/config.h"
#include "node/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/perigee_config_XXXXXX", fault[512];

static enum err load(struct config **out, const char *text)
{
    assert_int_equal(file_write(path, span_text(text), 0600, true), OK);
    fault[0] = 0;
    return config_load(out, path, fault, sizeof fault);
}

static void empty_is_defaults(void **state)
{
    static const char *const texts[] = {"", "# nothing\n", "store: {}\n"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct config *c = NULL;
        assert_int_equal(load(&c, texts[i]), OK);
        assert_null(c->listen);
        assert_null(c->compute);
        assert_null(c->relay);
        assert_null(c->duckdb);
        assert_int_equal(c->peers_count, 0);
        assert_int_equal(c->store->map_gb, 64);
        config_free(c);
    }
}

static void compute_has_defaults(void **state)
{
    struct config *c = NULL;
    (void)state;
    assert_int_equal(load(&c, "compute: {}\n"), OK);
    assert_int_equal(c->compute->enclaves, 1);
    assert_int_equal(c->compute->memory_mb, 2048);
    assert_int_equal(c->compute->threads, 2);
    assert_true(strlen(c->compute->platform) > 0);
    config_free(c);
}

static void relay_has_caps(void **state)
{
    struct config *c = NULL;
    (void)state;
    assert_int_equal(load(&c, "relay: {}\n"), OK);
    assert_int_equal(c->relay->tunnels, 64);
    assert_int_equal(c->relay->mb_a_second, 16);
    config_free(c);
    assert_int_equal(load(&c, "relay: { tunnels: 256, mb_a_second: 4095 }\n"), OK);
    assert_int_equal(c->relay->tunnels, 256);
    assert_int_equal(c->relay->mb_a_second, 4095);
    config_free(c);
}

static void profiles_have_names(void **state)
{
    struct config *c = NULL;
    (void)state;
    assert_int_equal(load(&c, "listen: \"tcp://127.0.0.1:7001\"\n"), OK);
    assert_ptr_equal(c->caps, &caps_full);
    config_free(c);
    assert_int_equal(load(&c, "profile: full\ncompute: { enclaves: 64 }\n"), OK);
    assert_ptr_equal(c->caps, &caps_full);
    config_free(c);
    assert_int_equal(load(&c, "profile: light\ncompute: { enclaves: 4 }\n"), OK);
    assert_ptr_equal(c->caps, &caps_light);
    config_free(c);
}

/* Each with a port of its own. */
static enum err load_peers(const char *head, uint32_t count)
{
    static char text[32 * (CAP_PEERS + 1) + 64];
    struct config *c = NULL;
    int len = snprintf(text, sizeof text, "%speers:\n", head);
    for (uint32_t i = 0; i < count; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "  - address: tcp://h:%u\n", 7000 + i);
    const enum err err = load(&c, text);
    config_free(c);
    return err;
}

static void peers_are_as_many_as_have_a_place(void **state)
{
    (void)state;
    assert_int_equal(load_peers("", CAP_PEERS), OK);
    assert_int_not_equal(load_peers("", CAP_PEERS + 1), OK);
    assert_int_equal(load_peers("profile: light\n", caps_light.peers), OK);
    assert_int_equal(load_peers("profile: light\n", caps_light.peers + 1), ERR_RANGE);
    assert_non_null(strstr(fault, "peers: expected at most 64, as the profile is light; got 65"));
}

static void recording_has_bounds(void **state)
{
    struct config *c = NULL;
    (void)state;
    assert_int_equal(load(&c, "store: { map_gb: 1 }\n"), OK);
    assert_null(c->recording); /* off, unless it is asked for */
    config_free(c);
    assert_int_equal(load(&c, "recording: { file: a-b_9.recording }\n"), OK);
    assert_string_equal(c->recording->file, "a-b_9.recording");
    assert_int_equal(c->recording->mb, 256);
    config_free(c);
    assert_int_equal(load(&c, "recording: { file: x.recording, mb: 16384 }\n"), OK);
    assert_int_equal(c->recording->mb, 16384);
    config_free(c);
}

static void everything_is_read(void **state)
{
    struct config *c = NULL;
    (void)state;
    assert_int_equal(load(&c, "listen: \"tcp://127.0.0.1:7001\"\n"
                              "peers:\n"
                              "  - address: \"tcp://127.0.0.1:7002\"\n"
                              "  - address: \"ipc:///h/x\"\n"
                              "    node: a100112233445566778899aabbccddeeff0123456789abcdef0123456789abcd\n"
                              "compute: { enclaves: 3, memory_mb: 384, threads: 4, platform: rack-7 }\n"
                              "store: { map_gb: 2 }\n"
                              "api: { listen: \"tcp://[::]:7443\", certificate: a.crt, key: /k/a.key }\n"
                              "duckdb: /opt/libduckdb.so\n"),
                     OK);
    assert_string_equal(c->api->listen, "tcp://[::]:7443");
    assert_string_equal(c->api->certificate, "a.crt");
    assert_string_equal(c->api->key, "/k/a.key");
    assert_false(c->api->plaintext);
    assert_string_equal(c->listen, "tcp://127.0.0.1:7001");
    assert_int_equal(c->peers_count, 2);
    assert_string_equal(c->peers[0].address, "tcp://127.0.0.1:7002");
    assert_null(c->peers[0].node);
    assert_int_equal(strlen(c->peers[1].node), 64);
    assert_int_equal(c->compute->enclaves, 3);
    assert_int_equal(c->compute->memory_mb, 384);
    assert_int_equal(c->compute->threads, 4);
    assert_string_equal(c->compute->platform, "rack-7");
    assert_int_equal(c->store->map_gb, 2);
    assert_string_equal(c->duckdb, "/opt/libduckdb.so");
    config_free(c);
}

static void refusals_say_why(void **state)
{
    static const struct {
        const char *text, *said;
    } bad[] = {
        {"listne: x\n",
         ":1: unknown key \"listne\", did you mean listen?; expected one of listen, announce, peers, "},
        {"compute:\n  enclaves: 1\n  cores: 2\n",
         ":3: unknown key \"cores\"; expected one of enclaves, memory_mb, threads, platform"},
        {"peers:\n  - address: ipc:///a\n    nodes: x\n",
         ":3: unknown key \"nodes\", did you mean node?; expected one of "},
        {"log: { level: warn }\n---\nunknown: [\n", ":2: expected one document"},
        {"listen: [[[[[[[[[[[[[[[[[[[[\n", ":1: expected fewer levels"},
        {"compute: { enclaves: many }\n", "many"},
        {"relay:\n", ":1: relay: expected keys and values, or {} for what is usual, got \"\""},
        {"\ncompute: [ 1 ]\n", ":2: compute: expected keys and values, or {} for what is usual, got a list"},
        {"peers: ipc:///a\n", ":1: peers: expected a list, got \"ipc:///a\""},
        {"listen: { a: b }\n", ":1: listen: expected one value, got keys and values"},
        {"a list\n", ":1: the file: expected keys and values"},
        {"listen: ipc:///a\nlisten: ipc:///b\n", ":2: expected \"listen\" once, got it again"},
        {"peers: [ { address: ipc:///a, node: abc } ]\n", ":1: node: expected 64 characters, got \"abc\""},
        {"store: { map_gb: 99999999999999999999 }\n", ":1: map_gb: expected a whole number up to "},
        {"compute: { enclaves: 65 }\n", "compute.enclaves"},
        {"compute: { enclaves: 0 }\n", "compute.enclaves"},
        {"profile: light\ncompute: { enclaves: 5 }\n", "compute.enclaves: expected 1 to 4, got 5"},
        {"profile: sim\n", "profile: expected full or light, got \"sim\""},
        {"profile: tiny\n", "profile: expected full or light"},
        {"compute: { memory_mb: 0 }\n", "compute.memory_mb"},
        {"compute: { threads: 0 }\n", "compute.threads"},
        {"store: { map_gb: 0 }\n", "store.map_gb"},
        {"relay: { tunnels: 0 }\n", "relay.tunnels"},
        {"relay: { mb_a_second: 0 }\n", "relay.mb_a_second"},
        {"recording: { mb: 3 }\n", "file"},
        {"recording: { file: identity.key }\n", "recording.file: expected a name that ends in .recording"},
        {"recording: { file: .recording }\n", "recording.file"},
        {"recording: { file: .x.recording }\n", "recording.file"},
        {"recording: { file: ../x.recording }\n", "recording.file"},
        {"recording: { file: x.recording.before }\n", "recording.file"},
        {"recording: { file: x.recording, mb: 0 }\n", "recording.mb: expected 1 to 16384, got 0"},
        {"recording: { file: x.recording, mb: 16385 }\n", "recording.mb"},
        {"compute: { memory_mb: 383 }\n", "compute.memory_mb: expected 384 to 1048576, got 383"},
        {"compute: { threads: 65 }\n", "compute.threads: expected 1 to 64, got 65"},
        {"store:\n  map_gb: 1e3\n", ":2: map_gb: expected a whole number, such as 4, got \"1e3\""},
        {"store: { map_gb: 1.5 }\n", ":1: map_gb: expected a whole number"},
        {"store: { map_gb: 010 }\n", ":1: map_gb: expected a whole number"},
        {"store: { map_gb: 0x10 }\n", ":1: map_gb: expected a whole number"},
        {"store: { map_gb: 4 GB }\n", ":1: map_gb: expected a whole number"},
        {"store: { map_gb: }\n", ":1: map_gb: expected a whole number"},
        {"store: { map_gb: 4294967297 }\n", "map_gb"},
        {"store: { map_gb: 18446744073709551617 }\n", "map_gb"},
        {"compute: { enclaves: 1.5 }\n", ":1: enclaves: expected a whole number"},
        {"compute: { memory_mb: 2e3 }\n", ":1: memory_mb: expected a whole number"},
        {"compute: { threads: 2.5 }\n", ":1: threads: expected a whole number"},
        {"relay: { tunnels: 1e3 }\n", ":1: tunnels: expected a whole number"},
        {"relay: { mb_a_second: 16MB }\n", ":1: mb_a_second: expected a whole number"},
        {"api: { listen: \"tcp://127.0.0.1:1\", plaintext: maybe }\n",
         ":1: plaintext: expected true or false, got \"maybe\""},
        {"compute: { threads: -1 }\n", "-1"},
        {"store: { map_gb: 100000 }\n", "store.map_gb"},
        {"relay: { tunnels: 257 }\n", "relay.tunnels: expected 1 to 256, got 257"},
        {"relay: { mb_a_second: 4096 }\n", "relay.mb_a_second: expected 1 to 4095"},
        {"listen: 127.0.0.1\n", "tcp://HOST:PORT"},
        {"api: { listen: \"tcp://127.0.0.1:1\" }\n", "perigee tls new"},
        {"api: { listen: \"tcp://127.0.0.1:1\", certificate: a }\n", "no key"},
        {"api: { certificate: a, key: b }\n", "listen"},
        {"api: { listen: \"tcp://localhost:1\", plaintext: true }\n", "numeric address"},
        {"api: { listen: \"ipc:///x\", plaintext: true }\n", "numeric address"},
        {"api: { listen: \"tcp://0.0.0.0:1\", plaintext: true }\n", "a loopback address"},
        {"api: { listen: \"tcp://[::]:1\", plaintext: true }\n", "a loopback address"},
        {"api: { listen: \"tcp://127.0.0.1:1\", plaintext: true, key: b }\n", "either plaintext"},
        {"listen: \"tcp://\"\n", "tcp://HOST:PORT"},
        {"listen: bogus\n", "tcp://HOST:PORT"},
        {"listen: \"tcp://0.0.0.0:99999\"\n", "0 to 65535"},
        {"listen: \"tcp://0.0.0.0:65536\"\n", "0 to 65535"},
        {"listen: \"tcp://0.0.0.0:\"\n", "tcp://HOST:PORT"},
        {"listen: \"tcp://:7001\"\n", "tcp://HOST:PORT"},
        {"listen: \"tcp://h:7x\"\n", "tcp://HOST:PORT"},
        {"listen: \"tcp://::1:7001\"\n", "tcp://HOST:PORT"},
        {"listen: \"ipc://relative\"\n", "ipc:///PATH"},
        {"listen: \"ws://h:1\"\n", "tcp://HOST:PORT"},
        {"peers:\n  - address: \"tcp://h:70000\"\n", "peers.address"},
        {"peers:\n  - node: a1\n", "node"},
        {"peers:\n  - address: \"tcp://h:1\"\n    node: "
         "G100112233445566778899aabbccddeeff0123456789abcdef0123456789abcd\n",
         "peers.node"},
        {"peers: [ &a { address: \"tcp://h:1\" }, *a ]\n", "lias"},
        {"peers:\n  - address: \"tcp://a\\nb\"\n", "\"tcp://a?b\""}, /* what came stays in the line */
        {"compute: [1\n", "compute"},
        {"listen: a\nlisten: b\n", "listen"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct config *c = NULL;
        assert_int_not_equal(load(&c, bad[i].text), OK);
        assert_null(c);
        assert_non_null(strstr(fault, path));
        if (strstr(fault, bad[i].said) == NULL) fail_msg("\"%s\" does not say \"%s\"", fault, bad[i].said);
    }
}

/* The example in the tree says what it says: shown values are the defaults. */
static void example_is_read(void **state)
{
    struct config *c = NULL;
    (void)state;
    enum err err = config_load(&c, PERIGEE_SOURCE_DIR "/configs/node.yaml", fault, sizeof fault);
    if (err != OK) fail_msg("%s", fault);
    assert_int_equal(c->peers_count, 1);
    assert_int_equal(c->compute->enclaves, 1);
    assert_int_equal(c->compute->memory_mb, 2048);
    assert_int_equal(c->compute->threads, 2);
    assert_int_equal(c->store->map_gb, 64);
    config_free(c);
}

static void absent_and_large(void **state)
{
    struct config *c = NULL;
    static char large[300 * 1024];
    (void)state;
    memset(large, '#', sizeof large - 1);
    assert_int_equal(load(&c, large), ERR_TOO_LARGE);
    assert_int_equal(config_load(&c, "/nowhere/perigee.yaml", fault, sizeof fault), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_is_defaults),   cmocka_unit_test(compute_has_defaults),
        cmocka_unit_test(relay_has_caps),      cmocka_unit_test(recording_has_bounds),
        cmocka_unit_test(profiles_have_names), cmocka_unit_test(peers_are_as_many_as_have_a_place),
        cmocka_unit_test(everything_is_read),  cmocka_unit_test(refusals_say_why),
        cmocka_unit_test(example_is_read),     cmocka_unit_test(absent_and_large),
    };
    int fd = mkstemp(path);
    if (fd < 0) return 1;
    (void)close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
