/* tls: two ends over memory. Whom a client believes, and what becomes of what neither end said. */
#include "crypto/secret.h"
#include "crypto/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PEM_BYTES = 8192 };
struct identity {
    char certificate[PEM_BYTES], key[PEM_BYTES];
    struct span certificate_pem, key_pem;
    uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
};
static struct identity ours, other;

static void make(struct identity *id, const char *names)
{
    struct buffer certificate = BUFFER_OF(id->certificate), key = BUFFER_OF(id->key);
    int64_t ends_s = 0;
    assert_int_equal(tls_self_signed(&certificate, &key, "node", names, 2), OK);
    id->certificate_pem = buffer_span(&certificate);
    id->key_pem = buffer_span(&key);
    assert_int_equal(tls_certificate_facts(id->fingerprint, &ends_s, id->certificate_pem), OK);
    assert_true(ends_s > 0);
}

static int begin(void **state)
{
    (void)state;
    assert_int_equal(crypto_init(), OK);
    make(&ours, "DNS:node.example,IP:127.0.0.1");
    make(&other, "DNS:node.example,IP:127.0.0.1");
    return 0;
}

struct pair {
    struct tls_end *server_end, *client_end;
    struct tls *server, *client;
};

static void pair_free(struct pair *p)
{
    tls_free(p->server);
    tls_free(p->client);
    tls_end_free(p->server_end);
    tls_end_free(p->client_end);
}

/* What one end has to say goes to the other. */
static void carry(struct tls *from, struct tls *to)
{
    uint8_t bytes[1000];
    for (size_t len; (len = tls_take(from, bytes, sizeof bytes)) > 0;) tls_feed(to, span_make(bytes, len));
}

/* How the client's handshake ends. */
static enum err meet(struct pair *p, const struct identity *server, const char *host)
{
    enum err client = ERR_NOT_READY;
    assert_int_equal(tls_server(&p->server_end, server->certificate_pem, server->key_pem), OK);
    assert_int_equal(tls_new(&p->server, p->server_end, NULL), OK);
    assert_int_equal(tls_new(&p->client, p->client_end, host), OK);
    for (int i = 0; i < 10 && client == ERR_NOT_READY; i++) {
        client = tls_handshake(p->client);
        carry(p->client, p->server);
        (void)!tls_handshake(p->server);
        carry(p->server, p->client);
    }
    return client;
}

static void believed(const char *host, enum err expected)
{
    struct pair p = {0};
    assert_int_equal(tls_client(&p.client_end, ours.certificate_pem), OK);
    assert_int_equal(meet(&p, &ours, host), expected);
    if (expected != OK) assert_true(strlen(tls_why(p.client)) > 0);
    pair_free(&p);
}

static void authorities_and_names(void **state)
{
    struct pair p = {0};
    (void)state;
    believed("node.example", OK);
    believed("127.0.0.1", OK);
    believed("evil.example", ERR_REFUSED);
    believed("127.0.0.2", ERR_REFUSED);
    assert_int_equal(tls_client(&p.client_end, other.certificate_pem), OK);
    assert_int_equal(meet(&p, &ours, "node.example"), ERR_REFUSED);
    pair_free(&p);
}

static void one_fingerprint(void **state)
{
    struct pair p = {0}, q = {0};
    (void)state;
    assert_int_equal(tls_client_pinned(&p.client_end, ours.fingerprint), OK);
    assert_int_equal(meet(&p, &ours, "whatever.example"), OK);
    pair_free(&p);
    assert_int_equal(tls_client_pinned(&q.client_end, ours.fingerprint), OK);
    assert_int_equal(meet(&q, &other, "node.example"), ERR_REFUSED);
    pair_free(&q);
}

static void text_goes_both_ways_and_ends(void **state)
{
    struct pair p = {0};
    char text[64];
    (void)state;
    assert_int_equal(tls_client(&p.client_end, ours.certificate_pem), OK);
    assert_int_equal(meet(&p, &ours, "node.example"), OK);
    struct buffer out = BUFFER_OF(text);
    assert_int_equal(tls_read(p.server, &out), ERR_NOT_READY);
    assert_int_equal(tls_write(p.client, SPAN_LITERAL("question")), OK);
    carry(p.client, p.server);
    assert_int_equal(tls_read(p.server, &out), OK);
    assert_true(span_equal_text(buffer_span(&out), "question"));
    assert_int_equal(tls_write(p.server, SPAN_LITERAL("answer")), OK);
    tls_finish(p.server);
    carry(p.server, p.client);
    out.len = 0;
    assert_int_equal(tls_read(p.client, &out), ERR_CANCELLED); /* all of it, then the end */
    assert_true(span_equal_text(buffer_span(&out), "answer"));
    pair_free(&p);
}

static void a_changed_byte_ends_it(void **state)
{
    struct pair p = {0};
    uint8_t bytes[256];
    char text[64];
    struct buffer out = BUFFER_OF(text);
    (void)state;
    assert_int_equal(tls_client(&p.client_end, ours.certificate_pem), OK);
    assert_int_equal(meet(&p, &ours, "node.example"), OK);
    assert_int_equal(tls_write(p.client, SPAN_LITERAL("question")), OK);
    const size_t len = tls_take(p.client, bytes, sizeof bytes);
    bytes[len - 1] ^= 1;
    tls_feed(p.server, span_make(bytes, len));
    assert_int_equal(tls_read(p.server, &out), ERR_REFUSED);
    assert_int_equal(out.len, 0);
    pair_free(&p);
}

static void a_server_needs_its_own_key(void **state)
{
    struct tls_end *end = NULL;
    (void)state;
    assert_int_equal(tls_server(&end, ours.certificate_pem, other.key_pem), ERR_KEY);
    assert_null(end);
    assert_int_equal(tls_server(&end, ours.key_pem, ours.key_pem), ERR_SYNTAX);
    assert_int_equal(tls_server(&end, ours.certificate_pem, SPAN_LITERAL("no key")), ERR_SYNTAX);
    assert_int_equal(tls_client(&end, SPAN_LITERAL("no certificate")), ERR_SYNTAX);
    struct buffer a = BUFFER_OF(other.certificate), b = BUFFER_OF(other.key);
    assert_int_equal(tls_self_signed(&a, &b, "x", "NOTHING:x", 1), ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(authorities_and_names),        cmocka_unit_test(one_fingerprint),
        cmocka_unit_test(text_goes_both_ways_and_ends), cmocka_unit_test(a_changed_byte_ends_it),
        cmocka_unit_test(a_server_needs_its_own_key),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
