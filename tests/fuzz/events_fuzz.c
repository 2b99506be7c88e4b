/* Last-Event-ID of who comes again: any bytes. Whatever it is, its sender is told to begin anew or hears what follows, in whole
 * events, with none twice; nothing of what it sent comes back. '#' stands for the name of this process, which is random. */
#include "crypto/secret.h"
#include "node/events.h"
#include "proto/base/panic.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { ID_MAX = 256, SAID_MAX = (EVENTS_KEPT + 1) * EVENTS_ROOM, SAID_COUNT = EVENTS_KEPT + 100 };

static char said[SAID_MAX + 1];

static size_t heard(const struct events *ring, struct events_reader *r)
{
    size_t len = 0, got;
    do {
        ASSERT(SAID_MAX - len >= EVENTS_ROOM);
        got = events_read(ring, r, (uint8_t *)said + len, EVENTS_ROOM);
        len += got;
    } while (got > 0);
    said[len] = 0;
    return len;
}

static struct events *ring_new(char process[9])
{
    struct events_reader first;
    ASSERT(crypto_init() == OK);
    struct events *ring = events_new();
    ASSERT(ring != NULL);
    events_begin(ring, &first, SPAN_NONE, NULL);
    ASSERT(heard(ring, &first) > 12);
    memcpy(process, said + 4, 8);
    for (int i = 0; i < SAID_COUNT; i++) events_put(ring, "record", NULL, "{}");
    return ring;
}

static struct span id_of(const uint8_t *bytes, size_t len, const char *process)
{
    static uint8_t id[ID_MAX + 8];
    struct buffer b = BUFFER_OF(id);
    for (size_t i = 0; i < len && i < ID_MAX; i++)
        if (bytes[i] == '#' && b.len + 8 <= ID_MAX)
            buffer_put(&b, span_make(process, 8));
        else
            buffer_put_u8(&b, bytes[i]);
    return buffer_span(&b);
}

static uint32_t count_of(const char *needle)
{
    uint32_t count = 0;
    for (const char *at = said; (at = strstr(at, needle)) != NULL; at++) count++;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct events *ring;
    static char process[9];
    struct events_reader r;
    if (ring == NULL) ring = ring_new(process);
    struct span id = id_of(bytes, len, process);
    events_begin(ring, &r, id, NULL);
    ASSERT(r.next >= 1 && r.next <= (uint64_t)SAID_COUNT + 1);
    const uint64_t left = (uint64_t)SAID_COUNT + 1 - r.next;
    const bool known = id.len >= 10 && memcmp(id.data, process, 8) == 0;
    ASSERT(id.len == 0 || known || r.reset);
    const size_t got = heard(ring, &r);
    ASSERT(!r.lost && strlen(said) == got && left <= EVENTS_KEPT);
    ASSERT(count_of("event: record\n") == left && count_of("event: reset\n") == (r.reset ? 1 : 0));
    ASSERT(!r.reset || left == 0);
    return 0;
}
