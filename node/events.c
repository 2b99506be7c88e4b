#include "node/events.h"

#include "crypto/secret.h"
#include "proto/base/panic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct event_kept {
    bool of_run;
    struct run_id run;
    char type[EVENTS_TYPE_MAX], data[EVENTS_DATA_MAX];
};

struct events {
    char process[9];
    uint64_t count; /* events so far: they are numbered from 1 */
    struct event_kept kept[EVENTS_KEPT];
};

struct events *events_new(void)
{
    uint8_t id[4];
    struct events *e = calloc(1, sizeof *e);
    if (e == NULL) return NULL;
    random_fill(id, sizeof id);
    hex_encode(e->process, id, sizeof id);
    return e;
}

void events_free(struct events *e)
{
    free(e);
}

uint64_t events_count(const struct events *e)
{
    return e->count;
}

void events_put(struct events *e, const char *type, const struct run_id *run, const char *data)
{
    struct event_kept *k = &e->kept[e->count++ % EVENTS_KEPT];
    ASSERT(strlen(type) < sizeof k->type && strlen(data) < sizeof k->data && strchr(data, '\n') == NULL);
    k->of_run = run != NULL;
    if (run != NULL) k->run = *run;
    (void)snprintf(k->type, sizeof k->type, "%s", type);
    (void)snprintf(k->data, sizeof k->data, "%s", data);
}

static uint64_t oldest(const struct events *e)
{
    return e->count < EVENTS_KEPT ? 1 : e->count - EVENTS_KEPT + 1;
}

/* The number in an id of this process; 0: another's, or no id. */
static uint64_t number_of(const struct events *e, struct span id)
{
    uint64_t number = 0;
    if (id.len < 10 || id.len > 9 + 19 || memcmp(id.data, e->process, 8) != 0 || id.data[8] != '-') return 0;
    for (size_t i = 9; i < id.len; i++) {
        if (id.data[i] < '0' || id.data[i] > '9') return 0;
        number = number * 10 + (uint64_t)(id.data[i] - '0');
    }
    return number + 1; /* an id of 0 is that of who has seen none yet */
}

void events_begin(const struct events *e, struct events_reader *r, struct span last_id,
                  const struct run_id *run)
{
    *r = (struct events_reader){.next = e->count + 1, .of_run = run != NULL};
    if (run != NULL) r->run = *run;
    if (last_id.len == 0) return;
    const uint64_t next = number_of(e, last_id);
    r->reset = next < oldest(e) || next > e->count + 1;
    if (!r->reset) r->next = next;
}

/* The first id, so that who hears nothing yet can come again, and `reset` where it is due. */
static size_t greet(const struct events *e, struct events_reader *r, char *out, size_t cap)
{
    const int len =
        snprintf(out, cap, "id: %s-%" PRIu64 "\n%s\n", e->process, r->next - 1,
                 r->reset ? "event: reset\ndata: {\"expected\":\"an id of the last events of this "
                            "process\"}\n"
                          : "");
    r->begun = true;
    ASSERT(len > 0 && (size_t)len < cap);
    return (size_t)len;
}

static bool wanted(const struct events_reader *r, const struct event_kept *k)
{
    return !r->of_run || (k->of_run && ID_EQUAL(r->run, k->run));
}

size_t events_read(const struct events *e, struct events_reader *r, uint8_t *out, size_t cap)
{
    char *text = (char *)out;
    ASSERT(cap >= EVENTS_ROOM);
    r->lost = r->lost || r->next < oldest(e);
    if (r->lost) return 0;
    size_t len = r->begun ? 0 : greet(e, r, text, cap);
    for (; r->next <= e->count && cap - len >= EVENTS_ROOM; r->next++) {
        const struct event_kept *k = &e->kept[(r->next - 1) % EVENTS_KEPT];
        if (!wanted(r, k)) continue;
        len += (size_t)snprintf(text + len, cap - len, "id: %s-%" PRIu64 "\nevent: %s\ndata: %s\n\n",
                                e->process, r->next, k->type, k->data);
    }
    if (len == 0 && r->ping) len = (size_t)snprintf(text, cap, ":\n\n");
    r->ping = false;
    return len;
}
