#include "node/api_certificate.h"

#include "crypto/secret.h"
#include "node/fault.h"
#include "node/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DAY_S = 86400 };

/* In the data directory unless its path begins at the root. */
static void path_of(char out[PATH_MAX], const struct home *h, const char *name)
{
    if (name[0] == '/')
        (void)snprintf(out, PATH_MAX, "%s", name);
    else
        home_path(out, h, name);
}

static enum err read_named(char **text, size_t *len, const struct home *h, const char *name, bool secret,
                           char *fault, size_t cap)
{
    char path[PATH_MAX];
    struct stat status;
    path_of(path, h, name);
    if (secret && stat(path, &status) == 0 && (status.st_mode & 077) != 0)
        return fault_set(fault, cap, ERR_REFUSED, "%s: must be closed to others (chmod 600)", path);
    enum err err = file_read(text, len, path, TLS_PEM_BYTES_MAX);
    return err == OK ? OK
                     : fault_set(fault, cap, err, "%s: %s; `perigee tls new` makes one", path, file_why(err));
}

static enum err open_pair(struct tls_end **out, int64_t *ends_s, struct span certificate, struct span key,
                          const struct config_api *api, char *fault, size_t cap)
{
    uint8_t fingerprint[TLS_FINGERPRINT_BYTES];
    enum err err = tls_certificate_facts(fingerprint, ends_s, certificate);
    if (err == OK) err = tls_server(out, certificate, key);
    if (err == ERR_KEY)
        return fault_set(
            fault, cap, err,
            "api.key %s: expected the key of the certificate %s, came another's: put the pair back "
            "that was made together, or `perigee tls new --replace` makes one",
            api->key, api->certificate);
    if (err == OK) return OK;
    return fault_set(fault, cap, err,
                     "api.certificate, api.key: expected a certificate with its chain, and its key without a "
                     "passphrase, both in PEM: %s",
                     err_text(err));
}

enum err api_certificate_open(struct tls_end **out, int64_t *ends_s, const struct home *h,
                              const struct config_api *api, char *fault, size_t cap)
{
    char *certificate = NULL, *key = NULL;
    size_t certificate_len = 0, key_len = 0;
    enum err err = read_named(&certificate, &certificate_len, h, api->certificate, false, fault, cap);
    if (err == OK) err = read_named(&key, &key_len, h, api->key, true, fault, cap);
    if (err == OK)
        err = open_pair(out, ends_s, span_make(certificate, certificate_len), span_make(key, key_len), api,
                        fault, cap);
    if (key != NULL) secret_wipe(key, key_len);
    free(key);
    free(certificate);
    return err;
}

enum api_certificate_state api_certificate_state(char text[API_CERTIFICATE_TEXT_BYTES], int64_t ends_s,
                                                 uint64_t now_ms)
{
    static const char remedy[] = "`perigee tls new --replace` makes another, and a restart takes it into use";
    const int64_t left_s = ends_s - (int64_t)(now_ms / 1000);
    const int64_t days = (left_s < 0 ? -left_s : left_s) / DAY_S;
    if (left_s <= 0) {
        (void)snprintf(text, API_CERTIFICATE_TEXT_BYTES,
                       "the API's certificate ended %" PRId64 " days ago: %s", days, remedy);
        return API_CERTIFICATE_ENDED;
    }
    const bool soon = days < API_CERTIFICATE_WARN_DAYS;
    (void)snprintf(text, API_CERTIFICATE_TEXT_BYTES, "the API's certificate ends in %" PRId64 " days%s%s",
                   days, soon ? ": " : "", soon ? remedy : "");
    return soon ? API_CERTIFICATE_SOON : API_CERTIFICATE_GOOD;
}
