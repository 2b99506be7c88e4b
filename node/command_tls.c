#include "crypto/secret.h"
#include "crypto/tls.h"
#include "node/client.h"
#include "node/file.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TLS_NAMES_MAX = 8, TLS_DAYS = 825, TLS_DAYS_MAX = 3650, TLS_NAMES_BYTES = 2048 };

struct tls_words {
    const char *name[TLS_NAMES_MAX], *days;
    bool replace;
};

static bool is_address(const char *name)
{
    uint8_t bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

/* As it stands in a certificate: it goes into a list of such. */
static bool is_host(const char *name)
{
    const size_t len = strlen(name);
    return len > 0 && len < 254 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-*") == len;
}

static void add_name(struct buffer *out, const char *name)
{
    if (out->len > 0) buffer_put_text(out, ",");
    buffer_put_text(out, is_address(name) ? "IP:" : "DNS:");
    buffer_put_text(out, name);
}

static int read_names(const struct client *c, struct buffer *out, const struct tls_words *w)
{
    char own[256] = "";
    for (int i = 0; i < TLS_NAMES_MAX && w->name[i] != NULL; i++) {
        if (!is_address(w->name[i]) && !is_host(w->name[i]))
            return client_fail(c, EXIT_USAGE, "--name: expected a host's name or address, got \"%.80s\"",
                               w->name[i]);
        add_name(out, w->name[i]);
    }
    if (out->len == 0) {
        if (gethostname(own, sizeof own - 1) == 0 && is_host(own)) add_name(out, own);
        add_name(out, "localhost");
        add_name(out, "127.0.0.1");
        add_name(out, "::1");
    }
    buffer_put_zero(out);
    return buffer_done(out) == OK ? EXIT_OK : client_fail(c, EXIT_USAGE, "--name: the names are too long");
}

static int write_file(const struct client *c, const char *name, struct span bytes, mode_t mode, bool replace)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", c->data, name) >= (int)sizeof path)
        return client_fail(c, EXIT_USAGE, "--data: the path is too long");
    const enum err err = file_write(path, bytes, mode, replace);
    if (err == OK) return EXIT_OK;
    return client_fail(c, EXIT_REFUSED, "%s: %s%s", path, file_why(err),
                       err == ERR_CONFLICT ? ", or say --replace" : "");
}

/* The key first: a certificate without it would be of no use. */
static int write_both(const struct client *c, struct span certificate, struct span key, bool replace)
{
    uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
    char hex[2 * TLS_FINGERPRINT_BYTES + 1];
    int64_t ends_s = 0;
    if (tls_certificate_facts(fingerprint, &ends_s, certificate) != OK)
        return client_fail(c, EXIT_REFUSED, "the certificate that was made does not read back");
    int code = write_file(c, "api.key", key, 0600, replace);
    if (code == EXIT_OK) code = write_file(c, "api.crt", certificate, 0644, replace);
    if (code != EXIT_OK) return code;
    hex_encode(hex, fingerprint, sizeof fingerprint);
    return client_done(
        c,
        json_pack("{s:s, s:s, s:s, s:I}", "certificate", "api.crt", "key", "api.key", "fingerprint", hex,
                  "expires_ms", (json_int_t)ends_s * 1000),
        "wrote api.crt and api.key into %s\nfingerprint %s\n\nin perigee.yaml, and then start the node "
        "again:\napi:\n  listen: \"tcp://0.0.0.0:7443\"\n  certificate: api.crt\n  key: api.key",
        c->data, hex);
}

static int make(const struct client *c, const struct tls_words *w, uint32_t days)
{
    char names[TLS_NAMES_BYTES], certificate[8192], *key = secret_alloc(8192);
    struct buffer list = BUFFER_OF(names), certificate_pem = BUFFER_OF(certificate),
                  key_pem = buffer_make((uint8_t *)key, key != NULL ? 8192 : 0);
    int code = read_names(c, &list, w);
    if (code == EXIT_OK) {
        const enum err err = tls_self_signed(&certificate_pem, &key_pem,
                                             w->name[0] != NULL ? w->name[0] : "perigee", names, days);
        code = err == OK ? write_both(c, buffer_span(&certificate_pem), buffer_span(&key_pem), w->replace)
                         : client_fail(c, EXIT_REFUSED, "no certificate could be made for %s: %s", names,
                                       err_text(err));
    }
    secret_free(key);
    return code;
}

int command_tls_new(int argc, char **argv)
{
    struct client c;
    struct tls_words w = {.days = NULL};
    struct argument option[2 + TLS_NAMES_MAX] = {{"--days", &w.days, NULL}, {"--replace", NULL, &w.replace}};
    for (int i = 0; i < TLS_NAMES_MAX; i++) option[2 + i] = (struct argument){"--name", &w.name[i], NULL};
    struct arguments a = {option, 2 + TLS_NAMES_MAX, 0, 0, 0, NULL};
    uint64_t days = TLS_DAYS;
    int code = client_begin(&c, "tls new", &a, argc, argv);
    if (code == EXIT_OK) code = client_local(&c);
    if (code == EXIT_OK && crypto_init() != OK)
        code = client_fail(&c, EXIT_REFUSED, "cannot initialise cryptography");
    if (code == EXIT_OK && w.days != NULL && arguments_number(&days, "--days", w.days, 1, TLS_DAYS_MAX) != OK)
        code = EXIT_USAGE;
    return code == EXIT_OK ? make(&c, &w, (uint32_t)days) : code;
}
