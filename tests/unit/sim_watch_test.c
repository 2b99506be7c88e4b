/* Every property that a simulation watches fires when what breaks it is put before the watcher: a run is played by honest nodes until
 * an enclave works, nothing fires; then single facts are made up. */
#include "crypto/identity.h"
#include "crypto/secret.h"
#include "proto/base/panic.h"
#include "proto/heads.h"
#include "proto/promise.h"
#include "proto/wire/pack.h"
#include "sim/simulation_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { NORTH, EAST, SOUTH, WEST, HALL, MILL, OFFICE };

static const char text[] =
    "{\"charter\":{\"lease_ms\":4000},\"for_ms\":120000,\"name\":\"small\",\"parties\":["
    "{\"jurisdiction\":\"EU\",\"name\":\"north\",\"region\":\"sweden\",\"roles\":[\"custodian\",\"owner\","
    "\"steward\"],\"rows\":3},"
    "{\"jurisdiction\":\"EU\",\"name\":\"east\",\"region\":\"sweden\",\"roles\":[\"custodian\",\"owner\","
    "\"steward\"],\"rows\":3,\"veto\":true},"
    "{\"jurisdiction\":\"EU\",\"name\":\"south\",\"region\":\"italy\",\"roles\":[\"custodian\",\"steward\"]},"
    "{\"jurisdiction\":\"EU\",\"name\":\"west\",\"region\":\"france\",\"roles\":[\"custodian\",\"steward\"]},"
    "{\"jurisdiction\":\"EU\",\"name\":\"hall\",\"region\":\"ireland\",\"roles\":[\"compute\"]},"
    "{\"jurisdiction\":\"EU\",\"name\":\"mill\",\"region\":\"germany\",\"roles\":[\"compute\"]},"
    "{\"jurisdiction\":\"EU\",\"name\":\"office\",\"region\":\"germany\",\"roles\":[\"algorithm\","
    "\"requester\"]}],"
    "\"perigee\":\"scenario/1\",\"study\":{\"compute_ms\":20000,\"runs\":2}}";

static struct simulation *sim;
static struct consortium *s; /* the one that there is */
static struct ledger_run *run;
static struct guest_place *place; /* of the enclave at work */
static struct arena arena;
static size_t arena_cap = (size_t)1 << 30;

static bool an_enclave_works(void)
{
    for (uint32_t i = 0; i < s->guest_count; i++)
        if (s->guest[i].guest != NULL && s->guest[i].keyed) place = &s->guest[i];
    return place != NULL;
}

static int setup(void **state)
{
    struct scenario *scenario;
    struct json_fault fault = {{0}, {0}, OK};
    void *memory =
        mmap(NULL, arena_cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    (void)state;
    if (memory == MAP_FAILED || crypto_init() != OK) return -1;
    arena = arena_make(memory, arena_cap);
    if (scenario_parse(&scenario, &arena, span_text(text), &fault) != OK) {
        (void)fprintf(stderr, "%s: expected %s\n", fault.path, fault.expected);
        return -1;
    }
    if (simulation_new(&sim, &arena, scenario, 1, &fault) != OK) return -1;
    s = sim->consortium;
    while (!an_enclave_works() && simulation_run(sim, 1)) {
    }
    const uint64_t later_ns = now_of(s) + UINT64_C(1000000000); /* all custodians have released by then */
    while (now_of(s) < later_ns && simulation_run(sim, 1)) {
    }
    if (simulation_violation(sim) != NULL) (void)fprintf(stderr, "%s\n", simulation_violation(sim));
    run = place != NULL ? ledger_run_find(&s->ledger, place->run) : NULL;
    return run != NULL && simulation_violation(sim) == NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    simulation_free(sim);
    (void)munmap(arena.data, arena_cap);
    return 0;
}

/* --- What is made up --------------------------------------------------------------------------------------------------------- */

static void quiet(void)
{
    char found[VIOLATION_MAX];
    memcpy(found, sim->violation, sizeof found);
    sim->violation[0] = 0;
    if (found[0] != 0) fail_msg("fired: %s", found);
}

static void fired(const char *property, const char *words)
{
    char found[VIOLATION_MAX];
    const size_t len = strlen(property);
    memcpy(found, sim->violation, sizeof found);
    sim->violation[0] = 0;
    if (strncmp(found, property, len) != 0 || found[len] != ':' || strstr(found, words) == NULL)
        fail_msg("expected %s with \"%s\", got: %s", property, words, found);
}

static struct record record_by(const struct player *p, uint8_t *bytes, size_t cap, struct header h,
                               const void *body)
{
    struct buffer b = buffer_make(bytes, cap);
    struct signature signature;
    struct record r;
    size_t header_len;
    h.consortium = s->cast->consortium;
    h.author = p->id;
    h.time_ms = consortium_wall_ms(s);
    h.residency = SPAN_LITERAL("");
    assert_int_equal(record_build(&b, &header_len, &h, body), OK);
    assert_int_equal(
        identity_sign(&signature, &p->secret, record_sign_hash(h.kind, span_make(bytes, header_len))), OK);
    assert_int_equal(record_open(&r, span_make(bytes, header_len), &signature,
                                 span_make(bytes + header_len, b.len - header_len)),
                     OK);
    return r;
}

/* It leaves this node for that one. */
static void shows(uint32_t number, uint32_t to, const struct record *r)
{
    static uint8_t message[2 * CAP_BODY_BYTES];
    struct buffer b = BUFFER_OF(message);
    record_encode(&b, r);
    assert_false(b.overflow);
    watch_message(&s->station[number], to, buffer_span(&b), false);
}

static void promises(uint32_t number, enum promise_kind kind, const uint8_t subject[32], uint64_t n,
                     struct span value)
{
    uint8_t key[PROMISE_KEY_BYTES];
    promise_key(key, kind, subject, n);
    const struct keep item = {KEEP_PROMISE, SPAN_OF(key), value};
    assert_true(disk_keep(s->station[number].disk, 0, &item, 1));
    disk_sync(s->station[number].disk);
}

static int custodian(uint32_t number)
{
    return charter_custodian(s->cast->founding, s->station[number].player->id);
}

static struct ledger_seat *seat(uint64_t term, uint32_t number)
{
    return &ledger_term_of(run, term)->seat[custodian(number)];
}

static void votes(uint32_t number, uint32_t to, uint64_t term)
{
    uint8_t bytes[2048];
    const struct body_VOTE body = {.run = run->run, .term = term, .node = s->station[to].player->id};
    const struct record r =
        record_by(s->station[number].player, bytes, sizeof bytes, (struct header){.kind = KIND_VOTE}, &body);
    shows(number, to, &r);
}

static void votes_with_promise(uint32_t number, uint32_t to, uint64_t term)
{
    promises(number, PROMISE_VOTE, run->run.bytes, term, ID_SPAN(s->station[to].player->id));
    votes(number, to, term);
}

/* --- no-fork ------------------------------------------------------------------------------------------------------------------ */

static void own_records(void **state)
{
    uint8_t bytes[2048], packed[2048];
    const struct body_GRANT body = {.ops = SPAN_LITERAL("")};
    (void)state;
    struct header h = {.kind = KIND_GRANT, .seq = 900, .prev = {{1}}};
    struct record r = record_by(s->station[NORTH].player, bytes, sizeof bytes, h, &body);
    shows(NORTH, EAST, &r);
    fired("no-fork", "not on its disk");
    h.prev.bytes[0] = 2;
    r = record_by(s->station[NORTH].player, bytes, sizeof bytes, h, &body);
    struct buffer b = BUFFER_OF(packed);
    record_pack(&b, &r);
    const struct keep item = {KEEP_RECORD, ID_SPAN(r.id), buffer_span(&b)};
    assert_true(disk_keep(s->station[NORTH].disk, 0, &item, 1));
    disk_sync(s->station[NORTH].disk);
    shows(NORTH, EAST, &r);
    fired("no-fork", "two records with seq 900");
    shows(EAST, NORTH, &r); /* what others pass on */
    quiet();
}

/* Of somebody's who is to equivocate, or of anybody else's. */
static void proofs(void **state)
{
    uint8_t bytes[1024];
    (void)state;
    const struct record *first =
        chain_get(core_chain(s->station[NORTH].core), s->station[EAST].player->id, 1);
    const struct message_EQUIVOCATION m = {first->header_bytes, first->signature, first->header_bytes,
                                           first->signature};
    struct buffer b = BUFFER_OF(bytes);
    message_encode(&b, MESSAGE_EQUIVOCATION_CODE, &m);
    watch_message(&s->station[NORTH], WEST, buffer_span(&b), false);
    fired("no-fork", "has proof of an equivocation");
    s->station[EAST].equivocates = true;
    watch_message(&s->station[NORTH], WEST, buffer_span(&b), false);
    quiet();
    assert_int_equal(s->station[EAST].forked_seq, 1);
    s->station[EAST].equivocates = false;
    s->station[EAST].forked_seq = 0;
}

static void heads_of(uint32_t number, uint64_t seq, struct record_id id)
{
    uint8_t item[HEADS_ITEM_BYTES], bytes[256];
    struct buffer i = BUFFER_OF(item), b = BUFFER_OF(bytes);
    buffer_put(&i, ID_SPAN(s->station[EAST].player->id));
    buffer_put_u64(&i, seq);
    buffer_put(&i, ID_SPAN(id));
    const struct message_HEADS heads = {1, 1, 0, {{0}}, SPAN_OF(item)};
    message_encode(&b, MESSAGE_HEADS_CODE, &heads);
    watch_message(&s->station[number], WEST, buffer_span(&b), false);
}

static void what_is_said_to_be_held(void **state)
{
    (void)state;
    const struct node_id east = s->station[EAST].player->id;
    const struct record *first = chain_get(core_chain(s->station[NORTH].core), east, 1);
    heads_of(NORTH, 1, first->id);
    heads_of(NORTH, 0, (struct record_id){{0}}); /* nothing */
    quiet();
    heads_of(NORTH, 900, first->id);
    fired("revoke-final", "not on its disk");
}

/* --- one-certificate ---------------------------------------------------------------------------------------------------------- */

static void votes_of_custodians(void **state)
{
    (void)state;
    const struct ledger_seat kept = *seat(place->term, WEST);
    *seat(place->term, WEST) = (struct ledger_seat){.voted = false};
    votes(WEST, HALL, 50);
    fired("one-certificate", "before that is on its disk");
    votes_with_promise(WEST, HALL, 60);
    quiet();
    votes_with_promise(WEST, HALL, 59);
    fired("one-certificate", "votes in term 59, after term 60");
    *seat(61, WEST) = (struct ledger_seat){.voted = true, .voted_for = s->station[MILL].player->id};
    votes_with_promise(WEST, HALL, 61);
    fired("one-certificate", "for two nodes");
    *seat(62, WEST) = (struct ledger_seat){.released = true, .held_ns = now_of(s)};
    votes_with_promise(WEST, HALL, 63);
    fired("one-certificate", "while its lease of term 62 runs");
    seat(62, WEST)->held_ns = now_of(s) - UINT64_C(4000000000);
    seat(62, WEST)->answered_ns = now_of(s); /* once more what it had answered: that prolongs nothing */
    votes_with_promise(WEST, HALL, 64);
    quiet();
    votes(MILL, HALL, 65);
    fired("one-certificate", "is no custodian");
    run->slot++; /* a slot that it has promised to nobody */
    votes_with_promise(WEST, HALL, 66);
    fired("budget", "before that is on its disk");
    run->slot--;
    for (uint64_t term = 50; term <= 66; term++) *seat(term, WEST) = (struct ledger_seat){.voted = false};
    *seat(place->term, WEST) = kept;
}

/* By north, east and south, on their disks but for `missing`. */
static struct certificate certificate_of(uint64_t term, uint32_t node, uint32_t missing)
{
    struct certificate c = {.consortium = s->cast->consortium,
                            .epoch = 1,
                            .run = run->run,
                            .compose = run->compose,
                            .slot = run->slot,
                            .term = term,
                            .node = s->station[node].player->id};
    for (uint32_t i = 0; i < s->cast->founding->custodian_count; i++) {
        const struct charter *charter = s->cast->founding;
        const struct player *p = cast_find(s->cast, charter->member[charter->custodian[i]].node);
        if (p->number == WEST) continue;
        if (p->number != missing) promises(p->number, PROMISE_VOTE, run->run.bytes, term, ID_SPAN(c.node));
        const struct hash32 message = certificate_vote_hash(&c);
        c.custodian[c.vote_count] = i;
        assert_int_equal(identity_sign(&c.vote[c.vote_count], &p->secret, message), OK);
        c.vote_count++;
    }
    return c;
}

static void shows_certificate(const struct certificate *c)
{
    uint8_t bytes[CERTIFICATE_BYTES_MAX];
    struct buffer b = BUFFER_OF(bytes);
    certificate_encode(&b, c);
    watch_certificate(&s->station[HALL], buffer_span(&b));
}

static void certificates(void **state)
{
    (void)state;
    struct certificate c = certificate_of(70, HALL, WEST);
    shows_certificate(&c);
    quiet();
    c = certificate_of(70, MILL, NORTH);
    shows_certificate(&c);
    fired("one-certificate", "a vote is not on its custodian's disk");
    c = certificate_of(71, HALL, WEST);
    ledger_term_of(run, 71)->node = s->station[MILL].player->id;
    shows_certificate(&c);
    fired("one-certificate", "two nodes are certified in term 71");
    c = certificate_of(72, HALL, WEST);
    c.vote_count--;
    shows_certificate(&c);
    fired("one-certificate", "fewer than q votes");
    c = certificate_of(73, HALL, WEST);
    c.vote[1].bytes[5] ^= 1;
    shows_certificate(&c);
    fired("one-certificate", "signature does not hold");
    c.run.bytes[0] ^= 1;
    shows_certificate(&c);
    fired("one-certificate", "of no run");
}

static void leases(void **state)
{
    (void)state;
    watch_leases(s, place->run);
    quiet();
    struct guest_place *other = &s->guest[s->guest_count++];
    *other = *place;
    watch_leases(s, place->run);
    fired("one-certificate", "2 enclaves of one run hold leases");
    other->term = 80; /* for which nobody gave it a lease */
    other->run.bytes[0] ^= 1;
    watch_guest(other);
    quiet(); /* no run is known */
    other->run = place->run;
    other->due_ns = UINT64_MAX;
    watch_opened(other, 0);
    fired("one-certificate", "opens rows in term 80");
    other->guest = NULL;
}

/* --- quorum-release, recipe-lock ------------------------------------------------------------------------------------------------ */

static void answers(uint32_t number, uint8_t tag, enum kind kind, const void *body,
                    const struct kem_public *to)
{
    uint8_t bytes[2048], packed[2048], plain[4096], answer[4096];
    const struct record r =
        record_by(s->station[number].player, bytes, sizeof bytes, (struct header){.kind = kind}, body);
    struct buffer p = BUFFER_OF(packed), out = BUFFER_OF(plain), a = BUFFER_OF(answer);
    record_pack(&p, &r);
    const struct body_SHARE_ANSWER shares = {buffer_span(&p), SPAN_LITERAL("shares")};
    body_encode(&a, KIND_SHARE_ANSWER, &shares);
    buffer_put_u8(&out, tag);
    buffer_put(&out, tag == ANSWER_SHARES || tag == ANSWER_HALF ? buffer_span(&a) : buffer_span(&p));
    const struct crypto_job job = {.op = CRYPTO_SEAL, .kem = *to, .box = buffer_span(&out)};
    watch_keyed(&s->station[number], &job, OK);
}

static struct body_RELEASE release_of(uint64_t term, struct hash32 certificate, struct node_id enclave)
{
    return (struct body_RELEASE){.run = run->run,
                                 .term = term,
                                 .certificate = certificate,
                                 .enclave = enclave,
                                 .lease_ms = 4000,
                                 .heads = SPAN_LITERAL("")};
}

/* Of the enclave at work. */
static struct hash32 own_certificate(void)
{
    struct hash32 certificate = {{0}};
    for (uint32_t i = 0; i < s->ledger.certificates; i++)
        if (s->ledger.certificate[i].term == place->term && ID_EQUAL(s->ledger.certificate[i].run, run->run))
            certificate = s->ledger.certificate[i].hash;
    return certificate;
}

static void releases(void **state)
{
    const struct kem_public nobody = {{0}}, other = {{1}};
    const struct node_id enclave = guest_id(place->guest), another = {{9}};
    const struct hash32 certificate = own_certificate();
    (void)state;
    struct body_RELEASE body = release_of(place->term, certificate, enclave);
    answers(NORTH, ANSWER_SHARES, KIND_RELEASE, &body, &nobody);
    quiet(); /* again what it gave */
    answers(NORTH, ANSWER_SHARES, KIND_RELEASE, &body, &other);
    fired("quorum-release", "another key than it signed for");
    body.enclave = another;
    answers(NORTH, ANSWER_SHARES, KIND_RELEASE, &body, &nobody);
    fired("quorum-release", "to two enclaves");
    *seat(place->term, NORTH) = (struct ledger_seat){.released = true, .enclave = enclave};
    body = release_of(90, certificate, enclave);
    answers(NORTH, ANSWER_SHARES, KIND_RELEASE, &body, &nobody);
    fired("quorum-release", "under no certificate");
    *seat(91, NORTH) = (struct ledger_seat){.voted = true};
    body = release_of(place->term, certificate, enclave);
    answers(NORTH, ANSWER_SHARES, KIND_RELEASE, &body, &nobody);
    fired("quorum-release", "after its vote in term 91");
    *seat(91, NORTH) = (struct ledger_seat){.voted = false};
    ledger_certify(&s->ledger,
                   &(struct ledger_certificate){{{7}}, run->run, 92, s->station[MILL].player->id});
    body = release_of(92, (struct hash32){{7}}, enclave);
    answers(NORTH, ANSWER_SHARES, KIND_RELEASE, &body, &nobody);
    fired("quorum-release", "that the certificate does not elect");
    body = release_of(92, (struct hash32){{7}}, another);
    answers(EAST, ANSWER_SHARES, KIND_RELEASE, &body, &nobody);
    fired("quorum-release", "before that is on its disk");
    *seat(92, NORTH) = *seat(92, EAST) = *seat(90, NORTH) = (struct ledger_seat){.voted = false};
}

/* EAST keeps half of its key; NORTH brings data, and gave all of it away. */
static void halves(void **state)
{
    const struct kem_public nobody = {{0}}, other = {{1}};
    const struct dataset *own = papers_of(s->papers, s->station[EAST].player),
                         *another = papers_of(s->papers, s->station[NORTH].player);
    struct body_OWNER_RELEASE body = {.run = run->run,
                                      .term = place->term,
                                      .certificate = own_certificate(),
                                      .enclave = guest_id(place->guest),
                                      .heads = SPAN_LITERAL(""),
                                      .dt = own->dt};
    (void)state;
    assert_int_equal(place->halves, 1u << own->number);
    answers(EAST, ANSWER_HALF, KIND_OWNER_RELEASE, &body, &nobody);
    quiet(); /* again what it gave */
    answers(EAST, ANSWER_HALF, KIND_OWNER_RELEASE, &body, &other);
    fired("quorum-release", "another key than it signed for");
    body.dt = another->dt;
    answers(EAST, ANSWER_HALF, KIND_OWNER_RELEASE, &body, &nobody);
    fired("quorum-release", "of another's data");
    body.dt = own->dt;
    body.certificate.bytes[0] ^= 1;
    answers(EAST, ANSWER_HALF, KIND_OWNER_RELEASE, &body, &nobody);
    fired("quorum-release", "under no certificate");
    body.certificate.bytes[0] ^= 1;
    body.enclave.bytes[0] ^= 1;
    answers(EAST, ANSWER_HALF, KIND_OWNER_RELEASE, &body, &nobody);
    fired("quorum-release", "before that is on its disk");
    place->halves = 0;
    watch_opened(place, another->number);
    quiet();
    watch_opened(place, own->number);
    fired("quorum-release", "without its owner's half");
    place->halves = 1u << own->number;
}

/* What must hold is worked out from the records that the node holds. */
static void conditions(void **state)
{
    const struct kem_public nobody = {{0}};
    const struct body_LEASE body = {run->run, place->term, guest_id(place->guest), 1, 4000};
    (void)state;
    answers(NORTH, ANSWER_LEASE, KIND_LEASE, &body, &nobody);
    quiet();
    struct body_LEASE other = body;
    other.enclave.bytes[0] ^= 1;
    answers(NORTH, ANSWER_LEASE, KIND_LEASE, &other, &nobody);
    fired("quorum-release", "released nothing to");
    const uint64_t slot = run->slot, ends_ms = run->ends_ms;
    run->slot = 99; /* nobody allotted */
    answers(NORTH, ANSWER_LEASE, KIND_LEASE, &body, &nobody);
    fired("quorum-release", "has not approved this slot");
    run->slot = slot;
    run->ends_ms = 1;
    answers(NORTH, ANSWER_LEASE, KIND_LEASE, &body, &nobody);
    fired("quorum-release", "past its end");
    run->ends_ms = ends_ms;
    run->app.bytes[0] ^= 1;
    answers(NORTH, ANSWER_LEASE, KIND_LEASE, &body, &nobody);
    fired("quorum-release", "has not granted");
    run->app.bytes[0] ^= 1;
    run->compose.bytes[0] ^= 1;
    answers(NORTH, ANSWER_LEASE, KIND_LEASE, &body, &nobody);
    fired("quorum-release", "no job");
    run->compose.bytes[0] ^= 1;
    const uint32_t endorsements = s->ledger.endorsements;
    s->ledger.endorsements = s->cast->founding->s - 1;
    answers(NORTH, ANSWER_LEASE, KIND_LEASE, &body, &nobody);
    fired("quorum-release", "no job that s stewards endorse");
    s->ledger.endorsements = endorsements;
    run->at.seq++;
    answers(NORTH, ANSWER_LEASE, KIND_LEASE, &body, &nobody);
    fired("quorum-release", "does not hold the run");
    run->at.seq--;
}

static void labels(void **state)
{
    uint8_t part[SHARE_PART_BYTES] = {0};
    const struct crypto_job job = {.op = CRYPTO_SHARES,
                                   .hash = HASH_FRAMED("perigee/noise/v1", ID_SPAN(run->run)),
                                   .parts = SPAN_OF(part),
                                   .part_count = 1};
    struct crypto_job none = job;
    (void)state;
    watch_keyed(&s->station[NORTH], &job, ERR_PROOF);
    fired("recipe-lock", "nothing was sealed for");
    none.part_count = 0;
    watch_keyed(&s->station[NORTH], &none, OK);
    quiet();
    none.hash.bytes[0] ^= 1;
    watch_keyed(&s->station[NORTH], &none, OK);
    fired("one-output", "noise that is no run's");
}

/* --- one-output, output-type, no-plaintext-out, residency, traceable ------------------------------------------------------------- */

static void commits(void **state)
{
    const struct kem_public nobody = {{0}};
    struct body_COMMIT body = {
        .run = run->run, .term = place->term, .commitment = {{3}}, .heads = SPAN_LITERAL("")};
    (void)state;
    answers(NORTH, ANSWER_COMMIT, KIND_COMMIT, &body, &nobody);
    fired("one-output", "before that is on its disk");
    promises(NORTH, PROMISE_COMMIT, run->run.bytes, 0, ID_SPAN(body.commitment));
    answers(NORTH, ANSWER_COMMIT, KIND_COMMIT, &body, &nobody);
    quiet();
    body.commitment.bytes[0] = 4;
    answers(NORTH, ANSWER_COMMIT, KIND_COMMIT, &body, &nobody);
    fired("one-output", "two outputs of one run");
    body.commitment.bytes[0] = 3;
    body.index = 1;
    answers(NORTH, ANSWER_COMMIT, KIND_COMMIT, &body, &nobody);
    fired("one-output", "output 1");
    body.index = 0;
    seat(place->term, NORTH)->released = false;
    answers(NORTH, ANSWER_COMMIT, KIND_COMMIT, &body, &nobody);
    fired("one-output", "released nothing to");
    seat(place->term, NORTH)->released = true;
    run->committed = 0;
}

static void frames(void **state)
{
    const uint8_t odd[3] = {FRAME_STATE, RUN_KEYED, 0}, unknown[2] = {99, 0},
                  result[3] = {FRAME_RESULT, 1, 2};
    uint8_t ask[64] = {FRAME_ASK};
    (void)state;
    watch_frame(place, SPAN_OF(odd));
    fired("output-type", "what no frame is");
    watch_frame(place, SPAN_OF(unknown));
    fired("output-type", "what no frame is");
    watch_frame(place, SPAN_OF(result));
    fired("output-type", "is no receipt");
    memcpy(ask + 3, s->papers->dataset[1].data_key, 32);
    watch_frame(place, SPAN_OF(ask));
    fired("no-plaintext-out", "a data key is in a frame");
    watch_plaintext(s, s->papers->dataset[0].plain, "a message", NORTH);
    fired("no-plaintext-out", "rows are in a message");
}

static void chunks(void **state)
{
    const struct message_BLOB blob = {SPAN_LITERAL("cid"), REFUSAL_NONE, SPAN_LITERAL("chunk")};
    (void)state;
    watch_blob(&s->station[NORTH], place->station, &blob);
    quiet();
    watch_blob(&s->station[NORTH], OFFICE, &blob);
    fired("residency", "which no run over its data elects");
    watch_blob(&s->station[SOUTH], place->station, &blob); /* it brings no data */
    fired("residency", "which no run over its data elects");
}

static void a_run_without_a_receipt(void **state)
{
    (void)state;
    watch_receipt(&s->station[OFFICE], run->run);
    fired("traceable", "without a receipt");
}

/* --- budget ------------------------------------------------------------------------------------------------------------------------ */

static void allotments(void **state)
{
    static uint8_t bytes[2048];
    struct body_APPROVAL body = s->ledger.approval[0].body;
    const struct player *owner = cast_find(s->cast, s->ledger.approval[0].at.author);
    (void)state;
    body.slot_first = body.slot_last = 7;
    const struct record r = record_by(
        owner, bytes, sizeof bytes, (struct header){.kind = KIND_APPROVAL, .seq = 800, .prev = {{1}}}, &body);
    watch_record(&s->station[owner->number], &r);
    fired("budget", "allots more than its dataset has");
    s->ledger.approvals--;
}

static void costs(void **state)
{
    const uint8_t keyed[2] = {FRAME_STATE, RUN_KEYED};
    (void)state;
    watch_frame(place, SPAN_OF(keyed));
    quiet(); /* a failover costs nothing */
    struct ledger_approval *a = &s->ledger.approval[0];
    a->body.cost--;
    a->body.slot_last = a->body.slot_first;
    watch_frame(place, SPAN_OF(keyed));
    fired("budget", "more than its owner allotted");
    a->body.cost++;
    a->body.slot_last++;
    static uint8_t bytes[2048];
    const struct run_entry *entry = registry_run(core_registry(s->station[NORTH].core), run->run);
    const struct record r =
        record_by(s->station[OFFICE].player, bytes, sizeof bytes,
                  (struct header){.kind = KIND_RUN, .seq = 700, .prev = {{1}}}, &entry->body);
    assert_true(ledger_take(&s->ledger, &r));
    run = ledger_run_find(&s->ledger, place->run); /* the list may have moved */
    s->ledger.run[s->ledger.runs - 1].keyed = true;
    watch_frame(place, SPAN_OF(keyed));
    fired("budget", "spent by two runs");
    s->ledger.runs--;
}

/* --- revoke-final -------------------------------------------------------------------------------------------------------------------- */

static void revocations(void **state)
{
    static uint8_t bytes[2048];
    const uint32_t mask[] = {1, 2, 4, 8};
    const struct body_REVOCATION body = {.target = REVOKE_ALL, .approval_signature = SPAN_LITERAL("")};
    const struct record r =
        record_by(s->station[NORTH].player, bytes, sizeof bytes,
                  (struct header){.kind = KIND_REVOCATION, .seq = 500, .prev = {{1}}}, &body);
    (void)state;
    watch_record(&s->station[NORTH], &r);
    struct ledger_revocation *v = &s->ledger.revocation[0];
    assert_int_equal(s->ledger.revocations, 1);
    assert_true(ledger_covers(&s->ledger, v, run) && ledger_taken_back(&s->ledger, run));
    run->released = run->committed =
        0; /* n = 4, q = t = 3: two that know keep keys, output and leases from it */
    v->known = mask[0];
    ledger_bar(&s->ledger, 5);
    assert_true(run->no_keys_ns == UINT64_MAX && run->no_output_ns == UINT64_MAX &&
                run->no_lease_ns == UINT64_MAX);
    v->known |= mask[1];
    run->released = run->committed = mask[1];
    ledger_bar(&s->ledger, 6);
    assert_true(run->no_keys_ns == UINT64_MAX && run->no_output_ns == UINT64_MAX && run->no_lease_ns == 6);
    v->known |= mask[2];
    ledger_bar(&s->ledger, 7);
    assert_true(run->no_keys_ns == 7 && run->no_output_ns == 7 && run->no_lease_ns == 6);
    sim->now_ns += UINT64_C(10000000000);
    for (uint32_t i = NORTH; i <= WEST; i++)
        *seat(place->term, i) = (struct ledger_seat){
            .released = true, .enclave = guest_id(place->guest), .answered_ns = now_of(s)};
    watch_guest(place);
    fired("revoke-final", "more than a lease after");
    run->no_lease_ns = now_of(s);
    watch_opened(place, 0);
    fired("revoke-final", "rows of input 0 are opened");
    v->target = REVOKE_COMPOSE;
    assert_false(ledger_covers(&s->ledger, v, run));
    memcpy(v->subject.bytes, run->compose.bytes, 32);
    assert_true(ledger_covers(&s->ledger, v, run));
    v->at.seq = 1; /* before the approval: it is none of its */
    assert_false(ledger_covers(&s->ledger, v, run));
}

/* A requester is answered: its run of the recipe that lets rows out is refused, as it must be, or taken. */
static void runs_of_another_type(void **state)
{
    (void)state;
    struct station *n = &s->station[OFFICE];
    const struct simulation_counts before = s->counts;
    n->doing = DEED_RETYPE_ASK;
    n->waiting = 7;
    script_reply(n, 7, verdict_refuse(REFUSAL_CONTENT, NULL), (struct hash32){{0}});
    quiet();
    assert_true(n->deed_done[DEED_RETYPE_ASK]); /* asked once */
    assert_string_equal(s->counts.barred_for, refusal_name(REFUSAL_CONTENT));
    n->waiting = 8;
    script_reply(n, 8, VERDICT_OK, (struct hash32){{0}});
    fired("output-type", "lets rows out is taken");
    assert_int_equal(s->counts.runs_barred, 1);
    s->counts = before;
}

/* --- live, converge -------------------------------------------------------------------------------------------------------------------- */

static void honest_nodes_are_no_offenders(void **state)
{
    (void)state;
    s->station[NORTH].executors.offence(&s->station[NORTH], s->station[EAST].player->id);
    fired("live", "takes east");
    const uint8_t junk[3] = {250, 1, 2};
    watch_message(&s->station[NORTH], EAST, SPAN_OF(junk), false);
    fired("live", "does not decode");
}

/* All hold the same of it, and one of them holds proof that the others were never told: it gives nothing more for its data. */
static void who_alone_holds_proof(void **state)
{
    (void)state;
    const struct kem_public nobody = {{0}};
    const struct body_LEASE lease = {run->run, place->term, guest_id(place->guest), 1, 4000};
    const struct player *east = s->station[EAST].player;
    const struct chain *held = core_chain(s->station[NORTH].core);
    const struct record *last = chain_get(held, east->id, chain_author(held, east->id)->applied);
    struct record other;
    union body body;
    struct header h = last->header;
    assert_true(watch_converged(s));
    answers(NORTH, ANSWER_LEASE, KIND_LEASE, &lease, &nobody);
    quiet();
    assert_int_equal(body_decode(&body, h.kind, last->body), OK);
    h.time_ms++;
    (void)fault_record(&other, &s->station[EAST], &east->secret, h, &body);
    assert_true(chain_freeze((struct chain *)held, last, &other));
    assert_false(watch_converged(s));
    answers(NORTH, ANSWER_LEASE, KIND_LEASE, &lease, &nobody);
    fired("quorum-release", "has not approved this slot");
}

static void who_holds_another_chain(void **state)
{
    (void)state;
    struct station *n = &s->station[WEST];
    station_crash(n);
    disk_free(n->disk);
    assert_int_equal(disk_new(&n->disk, NULL, 1 << 20, NULL, n), OK);
    assert_int_equal(station_start(n), OK);
    assert_false(watch_converged(s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_records),
        cmocka_unit_test(proofs),
        cmocka_unit_test(what_is_said_to_be_held),
        cmocka_unit_test(votes_of_custodians),
        cmocka_unit_test(certificates),
        cmocka_unit_test(leases),
        cmocka_unit_test(releases),
        cmocka_unit_test(halves),
        cmocka_unit_test(conditions),
        cmocka_unit_test(labels),
        cmocka_unit_test(commits),
        cmocka_unit_test(frames),
        cmocka_unit_test(chunks),
        cmocka_unit_test(a_run_without_a_receipt),
        cmocka_unit_test(allotments),
        cmocka_unit_test(costs),
        cmocka_unit_test(revocations),
        cmocka_unit_test(runs_of_another_type),
        cmocka_unit_test(honest_nodes_are_no_offenders),
        cmocka_unit_test(who_alone_holds_proof),
        cmocka_unit_test(who_holds_another_chain),
    };
    return cmocka_run_group_tests_name("sim_watch", tests, setup, teardown);
}
