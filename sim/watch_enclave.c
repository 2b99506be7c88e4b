/* What enclaves do and let out, watched where it comes to their hosts; leases against each other; what a run costs; and plaintext
 * wherever it has no business. */
#include "sim/simulation_state.h"

#include "crypto/kem.h"
#include "proto/wire/pack.h"

#include <stdlib.h>
#include <string.h>

#define NAMED(n) (int)(n)->player->party->name.len, (const char *)(n)->player->party->name.data

enum { OUTPUT_BYTES_MAX = 65536 };

/* --- one-certificate: leases ------------------------------------------------------------------------------------------------ */

void watch_leases(struct consortium *s, struct run_id run)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < s->guest_count; i++)
        if (s->guest[i].guest != NULL && ID_EQUAL(s->guest[i].run, run))
            held += guest_leased(s->guest[i].guest, station_clock_ns(&s->station[s->guest[i].station]));
    if (held > 1 && !s->clocks_apart)
        watch_violation(s, "one-certificate", "%u enclaves of one run hold leases at once", held);
}

/* By what custodians gave, not by what the enclave says of itself. */
static void watch_term(struct guest_place *p, const char *doing)
{
    struct consortium *s = p->consortium;
    struct ledger_run *run = ledger_run_find(&s->ledger, p->run);
    if (run == NULL || s->clocks_apart) return;
    const uint64_t end_ns = ledger_lease_end_ns(&s->ledger, ledger_term_of(run, p->term), guest_id(p->guest));
    if (now_of(s) > end_ns)
        watch_violation(s, "one-certificate",
                        "an enclave of party %u %s in term %llu, %llu ms after its lease ended", p->station,
                        doing, (unsigned long long)p->term,
                        (unsigned long long)((now_of(s) - end_ns) / 1000000));
    if (run->no_lease_ns != UINT64_MAX &&
        now_of(s) > run->no_lease_ns + ((uint64_t)s->scenario->lease_ms + 20) * 1000000)
        watch_violation(
            s, "revoke-final",
            "an enclave of party %u %s more than a lease after n-q+1 custodians knew of a revocation",
            p->station, doing);
}

void watch_guest(struct guest_place *p)
{
    watch_leases(p->consortium, p->run);
    if (!guest_gone(p->guest) && p->keyed && !p->committed) watch_term(p, "goes on with the keys");
}

/* --- budget ---------------------------------------------------------------------------------------------------------------------- */

/* A run that is keyed has spent its slot, for every owner of its inputs. */
static void watch_cost(struct consortium *s, struct ledger_run *run)
{
    const uint64_t cost = s->scenario->epsilon_nano;
    run->keyed = true;
    for (uint32_t i = 0; i < s->ledger.runs; i++) {
        const struct ledger_run *other = &s->ledger.run[i];
        if (other != run && other->keyed && ID_EQUAL(other->compose, run->compose) &&
            other->slot == run->slot)
            watch_violation(s, "budget", "slot %llu is spent by two runs", (unsigned long long)run->slot);
    }
    for (uint32_t i = 0; i < run->input_count; i++) {
        uint64_t spent = 0;
        for (uint32_t j = 0; j < s->ledger.runs; j++)
            for (uint32_t k = 0; s->ledger.run[j].keyed && k < s->ledger.run[j].input_count; k++)
                spent += ID_EQUAL(s->ledger.run[j].input[k], run->input[i]) ? cost : 0;
        if (spent > ledger_allotted(&s->ledger, run->input[i]))
            watch_violation(s, "budget", "runs over input %u cost more than its owner allotted", i);
    }
}

/* --- revoke-final: keys and output ----------------------------------------------------------------------------------------------- */

void watch_opened(struct guest_place *p, uint32_t dataset)
{
    struct consortium *s = p->consortium;
    const struct ledger_run *run = ledger_run_find(&s->ledger, p->run);
    watch_term(p, "opens rows");
    if (s->papers->dataset[dataset].owner->party->veto && (p->halves >> dataset & 1) == 0)
        watch_violation(s, "quorum-release",
                        "rows of input %u are opened without its owner's half of the key", dataset);
    if (run == NULL || run->no_keys_ns == UINT64_MAX) return;
    watch_violation(
        s, "revoke-final",
        "rows of input %u are opened after n-t+1 custodians that had not released knew of the revocation",
        dataset);
}

/* --- output-type, one-output, traceable ------------------------------------------------------------------------------------------- */

/* To this reader: what the scenario's enclaves compute, of the size that the recipe allows, under the commitment. */
static const char *objection_to_box(struct consortium *s, struct run_id run, struct node_id reader,
                                    struct span box, struct hash32 commitment)
{
    static const char head[] = "{\"pad\":\"", type[] = "\"perigee\":\"output/1\"";
    static uint8_t plain[OUTPUT_BYTES_MAX];
    const struct player *p = cast_find(s->cast, reader);
    const struct hash32 context = output_box_context(run, reader);
    struct reading read;
    if (p == NULL || !player_is(p, ROLE_REQUESTER))
        return "it is sealed to somebody the recipe does not name";
    if (box.len < KEM_OVERHEAD_BYTES || box.len - KEM_OVERHEAD_BYTES > sizeof plain)
        return "its size is wrong";
    if (kem_open(plain, &p->kem_secret, box, ID_SPAN(context)) != OK ||
        reading_open(&read, span_make(plain, box.len - KEM_OVERHEAD_BYTES)) != OK)
        return "its reader cannot open it";
    if (read.output.len > PAPERS_OUTPUT_BYTES || read.output.len < sizeof head ||
        memcmp(read.output.data, head, sizeof head - 1) != 0 ||
        memmem(read.output.data, read.output.len, type, sizeof type - 1) == NULL)
        return "it is not of the declared type";
    const struct hash32 made = enclave_commitment(read.salt, read.output);
    return ID_EQUAL(made, commitment) ? NULL : "it is not what the custodians committed to";
}

static void watch_boxes(struct guest_place *p, struct span boxes, struct hash32 commitment)
{
    struct consortium *s = p->consortium;
    struct cursor at = cursor_make(boxes);
    uint32_t count = 0;
    const char *objection =
        unpack_array(&at, 2 * (CAP_REQUESTERS + 1), &count) == OK ? NULL : "it does not read";
    for (uint32_t i = 0; i < count / 2 && objection == NULL; i++) {
        struct node_id reader;
        struct span box;
        if (unpack_fixed(&at, reader.bytes, 32) != OK || unpack_bin(&at, OUTPUT_BYTES_MAX, &box) != OK)
            objection = "it does not read";
        else
            objection = objection_to_box(s, p->run, reader, box, commitment);
    }
    if (objection != NULL)
        watch_violation(s, "output-type", "what leaves an enclave of party %u: %s", p->station, objection);
}

/* Whose commit to this is it? What it signed, and what it gave: a lax one gives unseen. -1: nobody's. */
static int committer(const struct consortium *s, const struct ledger_run *run, struct hash32 commitment,
                     struct span packed)
{
    struct record r;
    struct body_COMMIT b;
    if (record_unpack(&r, packed) != OK || r.header.kind != KIND_COMMIT ||
        body_decode(&b, KIND_COMMIT, r.body) != OK)
        return -1;
    const int custodian = charter_custodian(s->cast->founding, r.header.author);
    if (custodian < 0 || !ID_EQUAL(b.run, run->run) || !ID_EQUAL(b.commitment, commitment)) return -1;
    const bool gave =
        (run->committed >> custodian & 1) != 0 && ID_EQUAL(run->commitment[custodian], commitment);
    return gave || (s->ledger.lax >> custodian & 1) != 0 ? custodian : -1;
}

/* In the receipt: q distinct custodians. */
static bool is_committed(const struct consortium *s, const struct ledger_run *run, struct hash32 commitment,
                         struct span commits)
{
    struct cursor at = cursor_make(commits);
    struct span packed;
    uint32_t shown = 0, seen = 0;
    if (unpack_array(&at, CAP_CUSTODIANS, &shown) != OK) return false;
    for (uint32_t i = 0; i < shown; i++) {
        const int custodian =
            unpack_bin(&at, 4096, &packed) == OK ? committer(s, run, commitment, packed) : -1;
        if (custodian < 0) return false;
        seen |= UINT32_C(1) << custodian;
    }
    return (uint32_t)__builtin_popcount(seen) >= s->cast->founding->q;
}

/* Whatever left enclaves of one run has one commitment, and q custodians have signed it. */
static void watch_result(struct guest_place *p, struct span body)
{
    static union body b;
    struct core_receipt core;
    struct consortium *s = p->consortium;
    struct ledger_run *run = ledger_run_find(&s->ledger, p->run);
    if (run == NULL || body_decode(&b, KIND_RECEIPT, body) != OK ||
        core_receipt_decode(&core, b.RECEIPT.core) != OK) {
        watch_violation(s, "output-type", "what leaves an enclave of party %u is no receipt", p->station);
        return;
    }
    if (run->left && !ID_EQUAL(run->output, core.commitment))
        watch_violation(s, "one-output", "a second output of one run leaves an enclave of party %u",
                        p->station);
    if (!is_committed(s, run, core.commitment, b.RECEIPT.commits))
        watch_violation(s, "one-output", "an output leaves an enclave of party %u before q commits to it",
                        p->station);
    if (run->no_output_ns != UINT64_MAX)
        watch_violation(
            s, "revoke-final",
            "an output leaves after n-q+1 custodians that had not committed knew of the revocation");
    watch_boxes(p, b.RECEIPT.output, core.commitment);
    run->left = true;
    run->output = core.commitment;
}

static void watch_state(struct guest_place *p, uint8_t state)
{
    struct consortium *s = p->consortium;
    struct ledger_run *run = ledger_run_find(&s->ledger, p->run);
    if (state == RUN_KEYED && run != NULL) watch_cost(s, run);
    if (state == RUN_KEYED || state == RUN_COMPUTING || state == RUN_COMMITTED) watch_term(p, "goes on");
    p->keyed |= state == RUN_KEYED;
    p->committed |= state == RUN_COMMITTED;
    fault_phase(s, state);
}

/* Boxes for custodians and readers are opaque to the host, receipts are not; all else has one length and says nothing of data. */
static bool has_form(struct span frame)
{
    switch (frame.data[0]) {
    case FRAME_WANT: return frame.len == 37;
    case FRAME_STATE: return frame.len == 2;
    case FRAME_FAILED: return frame.len == 3;
    case FRAME_ASK:
    case FRAME_RESULT:
    case FRAME_BAD_SHARES: return true;
    default: return false;
    }
}

void watch_frame(struct guest_place *p, struct span frame)
{
    struct consortium *s = p->consortium;
    if (frame.len < 2 || !has_form(frame))
        watch_violation(s, "output-type", "an enclave of party %u sends its host what no frame is",
                        p->station);
    else if (frame.data[0] == FRAME_RESULT)
        watch_result(p, span_make(frame.data + 1, frame.len - 1));
    else if (frame.data[0] == FRAME_STATE)
        watch_state(p, frame.data[1]);
    watch_plaintext(s, frame, "a frame", p->station);
}

/* --- no-plaintext-out --------------------------------------------------------------------------------------------------------------- */

/* The first line of every dataset, which nothing else holds, and every data key. */
void watch_plaintext(struct consortium *s, struct span bytes, const char *where, uint32_t number)
{
    const struct papers *p = s->papers;
    if (bytes.len == 0) return;
    if (memmem(bytes.data, bytes.len, PAPERS_HEADER, sizeof PAPERS_HEADER - 1) != NULL)
        watch_violation(s, "no-plaintext-out", "rows are in %s of party %u", where, number);
    for (uint32_t i = 0; i < p->dataset_count; i++)
        if (memmem(bytes.data, bytes.len, p->dataset[i].data_key, 32) != NULL)
            watch_violation(s, "no-plaintext-out", "a data key is in %s of party %u", where, number);
}
