/* traceable: a receipt that has settled a run names what led from each input to it, shows releases that were given, and verifies from its
 * bytes alone, as it would for anybody (proto/receipt.h; its signatures by the notary of this world). */
#include "sim/simulation_state.h"

#include "crypto/work.h"
#include "proto/base/panic.h"
#include "proto/receipt.h"
#include "proto/wire/pack.h"

#include <string.h>
#include <sys/mman.h>

#define NAMED(n) (int)(n)->player->party->name.len, (const char *)(n)->player->party->name.data

static bool lists(struct span ids, struct record_id id)
{
    for (size_t at = 0; at + 32 <= ids.len; at += 32)
        if (ids_equal(ids.data + at, id.bytes)) return true;
    return false;
}

/* From each input's data to the output: a grant and an approval of its owner among the records that the receipt names. */
static bool traces(const struct ledger *l, const struct ledger_run *run, struct dt dataset, struct span ids)
{
    bool approval = false, grant = false;
    for (uint32_t i = 0; i < l->approvals; i++)
        approval |= ID_EQUAL(l->approval[i].body.dataset, dataset) &&
                    ID_EQUAL(l->approval[i].body.compose, run->compose) && lists(ids, l->approval[i].at.id);
    for (uint32_t i = 0; i < l->grants; i++)
        grant |= ID_EQUAL(l->grant[i].lower, dataset) && ID_EQUAL(l->grant[i].higher, run->app) &&
                 lists(ids, l->grant[i].at.id);
    return approval && grant;
}

/* How many of the releases that a receipt shows were given, to that enclave. */
static uint32_t releases_given(const struct ledger *l, const struct ledger_term *t, struct span releases,
                               struct node_id enclave)
{
    struct cursor at = cursor_make(releases);
    uint32_t count = 0, given = 0;
    struct span packed;
    struct record r;
    if (unpack_array(&at, RELEASES_MAX, &count) != OK) return 0;
    for (uint32_t i = 0; i < count; i++) {
        if (unpack_bin(&at, 4096, &packed) != OK || record_unpack(&r, packed) != OK) return 0;
        const int custodian = charter_custodian(l->charter, r.header.author);
        const struct ledger_seat *seat = custodian >= 0 ? &t->seat[custodian] : NULL;
        const bool lax = custodian >= 0 && (l->lax >> custodian & 1) != 0;
        given += lax || (seat != NULL && seat->released && ID_EQUAL(seat->enclave, enclave));
    }
    return given;
}

/* --- Offline, as anybody would ----------------------------------------------------------------------------------------------- */

static bool is_signed(const struct consortium *s, const struct receipt_replay *r, enum receipt_link link)
{
    for (uint32_t i = 0; i < r->check_count; i++) {
        const struct signature_check *c = &r->check[i];
        if (c->link == link && notary_verify(s->cast->notary, c->author, c->message, &c->signature) != OK)
            return false;
    }
    return true;
}

static bool evidence_holds(const struct receipt_replay *r)
{
    const struct work_keys none = {0};
    uint8_t bytes[sizeof(struct evidence_out)];
    struct buffer out = BUFFER_OF(bytes);
    struct evidence_out facts;
    if (work_do(&none, &out, &r->evidence_job) != OK) return false;
    memcpy(&facts, bytes, sizeof facts);
    return registry_platform_admitted(r->bundle->registry, r->certificate.node, facts.platform);
}

static const char *first_broken(const struct consortium *s, const struct receipt_replay *r)
{
    for (uint32_t i = 0; i < RECEIPT_LINK_COUNT; i++) {
        const enum receipt_link link = (enum receipt_link)i;
        const bool shown = link != LINK_OUTPUT || r->output_known; /* the output is its readers' */
        const bool evident = link != LINK_EVIDENCE || r->err[i] != OK || evidence_holds(r);
        if (shown && (r->err[i] != OK || !is_signed(s, r, link) || !evident)) return receipt_link_name(link);
    }
    return NULL;
}

/* By what this node holds: the link at which the receipt breaks; NULL: it verifies. */
static const char *broken_link(const struct station *n, const struct body_RECEIPT *body)
{
    static uint8_t bytes[BUNDLE_BYTES_MAX];
    const struct consortium *s = n->consortium;
    const size_t len = 2 * core_registry_bytes();
    void *memory = simulation_sparse(len);
    ASSERT(memory != NULL);
    struct arena arena = arena_make(memory, len);
    struct buffer bundle = BUFFER_OF(bytes);
    struct receipt_replay *replay = ARENA_NEW(&arena, struct receipt_replay);
    const char *broken = "its records are not held";
    if (bundle_gather(&bundle, &arena, core_chain(n->core), body->records) == OK) {
        const struct receipt_parts parts = {
            .consortium = s->cast->consortium, .bundle = buffer_span(&bundle), .body = *body};
        const enum err err = receipt_replay(replay, &arena, &parts, s->cast->consortium);
        ASSERT(err == OK);
        broken = first_broken(s, replay);
    }
    (void)munmap(memory, len);
    return broken;
}

/* --- Where a run has settled --------------------------------------------------------------------------------------------------- */

void watch_receipt(struct station *n, struct run_id id)
{
    static union body b;
    struct core_receipt core;
    struct consortium *s = n->consortium;
    struct ledger_run *run = ledger_run_find(&s->ledger, id);
    const struct run_entry *entry = registry_run(core_registry(n->core), id);
    if (run == NULL || entry == NULL || entry->receipt == NULL ||
        body_decode(&b, KIND_RECEIPT, entry->receipt->body) != OK ||
        core_receipt_decode(&core, b.RECEIPT.core) != OK) {
        watch_violation(s, "traceable", "%.*s holds a run as settled without a receipt", NAMED(n));
        return;
    }
    for (uint32_t i = 0; i < run->input_count; i++) {
        flow_result(&s->flow, n->number, run->input[i]);
        if (!traces(&s->ledger, run, run->input[i], b.RECEIPT.records))
            watch_violation(s, "traceable", "a receipt names no grant and approval of input %u", i);
    }
    if (releases_given(&s->ledger, ledger_term_of(run, core.term), b.RECEIPT.releases, core.enclave) <
        s->cast->founding->t)
        watch_violation(s, "traceable", "a receipt shows fewer than t releases that were given");
    if (!lists(b.RECEIPT.records, run->at.id))
        watch_violation(s, "traceable", "a receipt does not name its run");
    const char *broken = broken_link(n, &b.RECEIPT);
    if (broken != NULL)
        watch_violation(s, "traceable", "a receipt that settled a run does not verify: %s", broken);
}
