/* Certificates of tls.h: a node's own, and what one says of itself. */
#include "crypto/tls.h"

#include "crypto/secret.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    const bool added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool set_serial(X509 *certificate)
{
    uint8_t bytes[16];
    random_fill(bytes, sizeof bytes);
    bytes[0] &= 0x7f;
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    const bool set = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return set;
}

/* Clients go by the alternative names; a common name is for people, and has at most 64 characters (RFC 5280 ub-common-name). */
static const unsigned char *shown_name(const char *name)
{
    return (const unsigned char *)(strlen(name) <= 64 ? name : "perigee");
}

static bool fill(X509 *certificate, EVP_PKEY *key, const char *common_name, const char *names, uint32_t days)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -300) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), (int)days, 0, NULL) != NULL &&
           X509_set_pubkey(certificate, key) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, shown_name(common_name), -1, -1, 0) ==
               1 &&
           X509_set_issuer_name(certificate, subject) == 1 &&
           add_extension(certificate, NID_subject_alt_name, names) &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

static enum err write_out(struct buffer *certificate_pem, struct buffer *key_pem, X509 *certificate,
                          EVP_PKEY *key)
{
    BIO *a = BIO_new(BIO_s_mem()), *b = BIO_new(BIO_s_secmem());
    char *text = NULL;
    bool written = a != NULL && b != NULL && PEM_write_bio_X509(a, certificate) == 1 &&
                   PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (written) {
        long len = BIO_get_mem_data(a, &text);
        buffer_put(certificate_pem, span_make(text, (size_t)len));
        len = BIO_get_mem_data(b, &text);
        buffer_put(key_pem, span_make(text, (size_t)len));
        secret_wipe(text, (size_t)len);
    }
    BIO_free(a);
    BIO_free(b);
    return written ? OK : ERR_NO_MEMORY;
}

enum err tls_self_signed(struct buffer *certificate_pem, struct buffer *key_pem, const char *common_name,
                         const char *alternative_names, uint32_t days)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    enum err err = key == NULL || certificate == NULL                             ? ERR_NO_MEMORY
                   : fill(certificate, key, common_name, alternative_names, days) ? OK
                                                                                  : ERR_SYNTAX;
    if (err == OK) err = write_out(certificate_pem, key_pem, certificate, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    if (err == OK) err = buffer_done(certificate_pem);
    return err == OK ? buffer_done(key_pem) : err;
}

/* Never ask a terminal. */
static int no_passphrase(char *out, int cap, int writing, void *context)
{
    (void)out, (void)cap, (void)writing, (void)context;
    return -1;
}

enum err tls_certificate_facts(uint8_t fingerprint[TLS_FINGERPRINT_BYTES], int64_t *ends_s,
                               struct span certificates)
{
    struct tm ends = {0};
    unsigned int len = 0;
    uint8_t digest[EVP_MAX_MD_SIZE];
    if (certificates.len == 0 || certificates.len > TLS_PEM_BYTES_MAX) return ERR_SYNTAX;
    BIO *pem = BIO_new_mem_buf(certificates.data, (int)certificates.len);
    X509 *certificate = pem != NULL ? PEM_read_bio_X509(pem, NULL, no_passphrase, NULL) : NULL;
    const bool read = certificate != NULL && X509_digest(certificate, EVP_sha256(), digest, &len) == 1 &&
                      len == TLS_FINGERPRINT_BYTES &&
                      ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &ends) == 1;
    if (read) {
        memcpy(fingerprint, digest, TLS_FINGERPRINT_BYTES);
        *ends_s = (int64_t)timegm(&ends);
    }
    X509_free(certificate);
    BIO_free(pem);
    ERR_clear_error();
    return read ? OK : ERR_SYNTAX;
}
