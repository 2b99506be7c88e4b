/* perigee.yaml: any bytes. What is accepted keeps its promises (defaults filled in, numbers in range, addresses that can be
 * dialled, TLS or loopback); a refusal says in one line what was expected. */
#include "node/config.h"
#include "proto/base/panic.h"
#include "tests/memory_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { INPUT_MAX = 16384 };

static void check_accepted(const struct config *c)
{
    ASSERT(c->store != NULL && c->store->map_gb >= 1 && c->log != NULL && c->log->most <= LOG_DEBUG);
    ASSERT(c->listen == NULL || config_is_address(c->listen));
    for (unsigned i = 0; i < c->peers_count; i++) {
        ASSERT(c->peers[i].address != NULL && config_is_address(c->peers[i].address));
        ASSERT(c->peers[i].node == NULL || strlen(c->peers[i].node) == 64);
    }
    if (c->compute != NULL) ASSERT(c->compute->enclaves >= 1 && c->compute->platform != NULL);
    if (c->api == NULL) return;
    ASSERT(c->api->listen != NULL && strncmp(c->api->listen, "tcp://", 6) == 0);
    ASSERT(c->api->plaintext == (c->api->certificate == NULL));
    ASSERT((c->api->certificate == NULL) == (c->api->key == NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char path[MEMORY_FILE_PATH], fault[512] = "";
    struct config *c = NULL;
    if (len > INPUT_MAX) return 0;
    int file = memory_file_open(path, span_make(bytes, len));
    const enum err err = config_load(&c, path, fault, sizeof fault);
    memory_file_close(file);
    ASSERT((err == OK) == (c != NULL));
    if (err == OK) check_accepted(c);
    if (err != OK) ASSERT(fault[0] != 0 && strchr(fault, '\n') == NULL);
    config_free(c);
    return 0;
}
