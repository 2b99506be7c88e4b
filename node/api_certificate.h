/* api_certificate: the certificate and key that perigee.yaml names for the API on TCP, read as the start reads them; and whether the
 * certificate ends soon, which a node that runs for years should hear of before its clients do.
 * Rules: a key that others may read is refused; the key is wiped when it is the engine's. Threads: any. Ownership: the caller frees
 * the end (tls_end_free). Errors: with one line for people: which file, what was expected, what to do. */
#ifndef PERIGEE_NODE_API_CERTIFICATE_H
#define PERIGEE_NODE_API_CERTIFICATE_H

#include "crypto/tls.h"
#include "node/config.h"
#include "node/home.h"

enum { API_CERTIFICATE_TEXT_BYTES = 200, API_CERTIFICATE_WARN_DAYS = 30 };

/* `ends_s`: when the certificate ends, in seconds since 1970. */
MUST_USE enum err api_certificate_open(struct tls_end **out, int64_t *ends_s, const struct home *h,
                                       const struct config_api *api, char *fault, size_t cap);

enum api_certificate_state { API_CERTIFICATE_GOOD, API_CERTIFICATE_SOON, API_CERTIFICATE_ENDED };
/* And the same in words, with what to do. */
enum api_certificate_state api_certificate_state(char text[API_CERTIFICATE_TEXT_BYTES], int64_t ends_s,
                                                 uint64_t now_ms);

#endif
