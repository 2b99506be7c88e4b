#include "crypto/tls.h"

#include "crypto/secret.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum { TLS_CHAIN_MAX = 8 };

struct tls_end {
    SSL_CTX *context;
    bool server, pinned;
    uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
};

struct tls {
    const struct tls_end *end;
    SSL *ssl;
    BIO *in, *out; /* the connection's own */
    const char *why;
};

/* --- Ends ----------------------------------------------------------------------------------------------------------- */

static int choose_http(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                       unsigned int in_len, void *context)
{
    static const unsigned char known[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    unsigned char *chosen = NULL;
    (void)ssl;
    (void)context;
    if (SSL_select_next_proto(&chosen, out_len, known, sizeof known, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static enum err end_new(struct tls_end **out, bool server)
{
    struct tls_end *e = calloc(1, sizeof *e);
    *out = NULL;
    if (e == NULL) return ERR_NO_MEMORY;
    e->server = server;
    e->context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (e->context == NULL || SSL_CTX_set_min_proto_version(e->context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(e->context, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK:!SRP") != 1) {
        tls_end_free(e);
        return ERR_NO_MEMORY;
    }
    (void)SSL_CTX_set_options(e->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
    (void)SSL_CTX_set_session_cache_mode(e->context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(e->context, 0);
    (void)SSL_CTX_set_mode(e->context, SSL_MODE_RELEASE_BUFFERS);
    if (server) SSL_CTX_set_alpn_select_cb(e->context, choose_http, NULL);
    *out = e;
    return OK;
}

void tls_end_free(struct tls_end *e)
{
    if (e == NULL) return;
    SSL_CTX_free(e->context);
    free(e);
}

static BIO *bio_of(struct span pem)
{
    if (pem.len == 0 || pem.len > TLS_PEM_BYTES_MAX) return NULL;
    return BIO_new_mem_buf(pem.data, (int)pem.len);
}

/* A PEM that asks for a passphrase gets none. */
static int no_passphrase(char *out, int cap, int writing, void *context)
{
    (void)out, (void)cap, (void)writing, (void)context;
    return -1;
}

static enum err use_certificates(SSL_CTX *context, BIO *pem)
{
    X509 *certificate = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL);
    if (certificate == NULL) return ERR_SYNTAX;
    const bool used = SSL_CTX_use_certificate(context, certificate) == 1;
    X509_free(certificate);
    if (!used) return ERR_SYNTAX;
    for (int i = 0; i < TLS_CHAIN_MAX; i++) {
        X509 *next = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL);
        if (next == NULL) return OK;
        if (SSL_CTX_add0_chain_cert(context, next) != 1) {
            X509_free(next);
            return ERR_SYNTAX;
        }
    }
    return ERR_TOO_LARGE;
}

static enum err use_key(SSL_CTX *context, BIO *pem)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_passphrase, NULL);
    if (key == NULL) return ERR_SYNTAX;
    const bool fits = SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key);
    return fits ? OK : ERR_KEY;
}

enum err tls_server(struct tls_end **out, struct span certificates, struct span key)
{
    TRY(end_new(out, true));
    BIO *certificate_pem = bio_of(certificates), *key_pem = bio_of(key);
    enum err err = certificate_pem != NULL && key_pem != NULL
                       ? use_certificates((*out)->context, certificate_pem)
                       : ERR_SYNTAX;
    if (err == OK) err = use_key((*out)->context, key_pem);
    BIO_free(certificate_pem);
    BIO_free(key_pem);
    ERR_clear_error();
    if (err == OK) return OK;
    tls_end_free(*out);
    *out = NULL;
    return err;
}

static enum err trust(SSL_CTX *context, struct span authorities)
{
    if (authorities.len == 0) return SSL_CTX_set_default_verify_paths(context) == 1 ? OK : ERR_UNAVAILABLE;
    BIO *pem = bio_of(authorities);
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    int count = 0;
    for (X509 *one; pem != NULL && (one = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL)) != NULL;) {
        count += X509_STORE_add_cert(store, one) == 1;
        X509_free(one);
    }
    BIO_free(pem);
    ERR_clear_error();
    /* A server's own certificate may be the one that is trusted. */
    (void)X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    return count > 0 ? OK : ERR_SYNTAX;
}

enum err tls_client(struct tls_end **out, struct span authorities)
{
    TRY(end_new(out, false));
    SSL_CTX_set_verify((*out)->context, SSL_VERIFY_PEER, NULL);
    enum err err = trust((*out)->context, authorities);
    if (err == OK) return OK;
    tls_end_free(*out);
    *out = NULL;
    return err;
}

enum err tls_client_pinned(struct tls_end **out, const uint8_t fingerprint[TLS_FINGERPRINT_BYTES])
{
    TRY(end_new(out, false));
    (*out)->pinned = true;
    memcpy((*out)->fingerprint, fingerprint, TLS_FINGERPRINT_BYTES);
    SSL_CTX_set_verify((*out)->context, SSL_VERIFY_NONE, NULL); /* tls_handshake compares instead */
    return OK;
}

/* --- Connections ---------------------------------------------------------------------------------------------------- */

/* A numeric address stands in a certificate as one, and is not said in the handshake. */
static bool expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1) return true;
    return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

enum err tls_new(struct tls **out, const struct tls_end *e, const char *host)
{
    struct tls *t = calloc(1, sizeof *t);
    *out = NULL;
    if (t == NULL) return ERR_NO_MEMORY;
    t->end = e;
    t->why = "";
    t->ssl = SSL_new(e->context);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (t->ssl == NULL || t->in == NULL || t->out == NULL) {
        SSL_free(t->ssl);
        BIO_free(t->in);
        BIO_free(t->out);
        free(t);
        return ERR_NO_MEMORY;
    }
    (void)BIO_set_mem_eof_return(t->in, -1);
    SSL_set_bio(t->ssl, t->in, t->out);
    if (e->server)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    if (e->server || expect_host(t->ssl, host)) {
        *out = t;
        return OK;
    }
    tls_free(t);
    return ERR_USAGE;
}

void tls_free(struct tls *t)
{
    if (t == NULL) return;
    SSL_free(t->ssl);
    free(t);
}

void tls_feed(struct tls *t, struct span ciphertext)
{
    if (ciphertext.len > 0 && ciphertext.len <= INT_MAX)
        (void)BIO_write(t->in, ciphertext.data, (int)ciphertext.len);
}

size_t tls_take(struct tls *t, uint8_t *out, size_t cap)
{
    const int got = BIO_read(t->out, out, cap < INT_MAX ? (int)cap : INT_MAX);
    return got > 0 ? (size_t)got : 0;
}

static enum err failed(struct tls *t, int result)
{
    const int why = SSL_get_error(t->ssl, result);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return ERR_NOT_READY;
    if (why == SSL_ERROR_ZERO_RETURN) return ERR_CANCELLED;
    const long verified = SSL_get_verify_result(t->ssl);
    const char *text = ERR_reason_error_string(ERR_peek_error());
    t->why = !t->end->server && !t->end->pinned && verified != X509_V_OK
                 ? X509_verify_cert_error_string(verified)
             : text != NULL ? text
                            : "the connection broke";
    ERR_clear_error();
    return ERR_REFUSED;
}

static bool is_pinned_one(const struct tls *t)
{
    uint8_t is[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    X509 *certificate = SSL_get1_peer_certificate(t->ssl);
    const bool same = certificate != NULL && X509_digest(certificate, EVP_sha256(), is, &len) == 1 &&
                      len == TLS_FINGERPRINT_BYTES && secret_equal(is, t->end->fingerprint, len);
    X509_free(certificate);
    return same;
}

enum err tls_handshake(struct tls *t)
{
    ERR_clear_error();
    const int result = SSL_do_handshake(t->ssl);
    if (result != 1) {
        const enum err err = failed(t, result);
        return err == ERR_NOT_READY ? err : ERR_REFUSED;
    }
    if (!t->end->pinned || is_pinned_one(t)) return OK;
    t->why = "the server shows another certificate than the one whose fingerprint was given";
    return ERR_REFUSED;
}

enum err tls_read(struct tls *t, struct buffer *out)
{
    bool any = false;
    ERR_clear_error();
    while (out->len < out->cap) {
        size_t got = 0;
        const int result = SSL_read_ex(t->ssl, out->data + out->len, out->cap - out->len, &got);
        if (result != 1) {
            const enum err err = failed(t, result);
            return any && err == ERR_NOT_READY ? OK : err;
        }
        out->len += got;
        any = true;
    }
    return OK;
}

enum err tls_write(struct tls *t, struct span plaintext)
{
    size_t written = 0;
    if (plaintext.len == 0) return OK;
    ERR_clear_error();
    const int result = SSL_write_ex(t->ssl, plaintext.data, plaintext.len, &written);
    return result == 1 && written == plaintext.len ? OK : failed(t, result);
}

void tls_finish(struct tls *t)
{
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
}

const char *tls_why(const struct tls *t)
{
    return t->why;
}
