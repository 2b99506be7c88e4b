/* What a core takes of memory when it has just started, in consortia of three sizes, with each profile. Pages are counted that it
 * has touched, read or written: no figure here depends on a clock or on other processes. */
#include "crypto/hash.h"
#include "proto/charter.h"
#include "proto/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum {
    STEWARDS = 4,
    MAKER = STEWARDS,
    SELF,               /* an owner */
    FOUNDERS_MOST = 64, /* the others are devices of one of them, and admitted by its word */
    MEMBERS_MOST = 1000,
    LINKS = 12,
    PAGE = 4096,
    PAGES_A_TABLE = 512, /* a page of the machine's own says where so many are */
    RECORD_BYTES = CAP_HEADER_BYTES + 32768,
};
static const uint64_t start_ms = 1700000000000;
static const char makers[] = "a-maker-of-pumps";

struct consortium_of {
    uint32_t members, founders;
    struct consortium_id id;
    struct span charter;
    uint8_t charter_bytes[CAP_DOCUMENT_BYTES];
    uint64_t seq[STEWARDS + 1]; /* of the stewards, and of the maker */
    struct record_id head[STEWARDS + 1];
};

/* Sorted, and spread as hashes are. */
static struct node_id node_number(uint32_t number)
{
    uint8_t bytes[4];
    store_u32(bytes, number);
    struct hash32 hash = sha256(SPAN_OF(bytes));
    struct node_id n;
    memcpy(n.bytes, hash.bytes, 32);
    if (number < FOUNDERS_MOST) n.bytes[0] = (uint8_t)(4 * number);
    return n;
}

static void write_charter(struct consortium_of *c)
{
    static const char *const hospital[STEWARDS] = {"a-hospital-here", "a-hospital-there",
                                                   "a-hospital-elsewhere", "another-hospital"};
    static struct charter_member member[FOUNDERS_MOST];
    struct charter charter = {.name = SPAN_LITERAL("footprint"),
                              .version = 1,
                              .f = 1,
                              .k = 2,
                              .q = 3,
                              .s = 3,
                              .t = 3,
                              .member_count = c->founders,
                              .member = member,
                              .accept_simulated = true,
                              .evidence_age_max_ms = 600000,
                              .lease_ms = 10000,
                              .rank_delay_ms = 50,
                              .skew_max_ms = 60000,
                              .drift_ppm = 200,
                              .maker_devices = CAP_MAKER_DEVICES};
    for (uint32_t i = 0; i < c->founders; i++) {
        const struct node_id id = node_number(i);
        const bool sits = i < STEWARDS;
        member[i] = (struct charter_member){.node = id,
                                            .organisation = span_text(sits ? hospital[i] : makers),
                                            .jurisdiction = SPAN_LITERAL("CH"),
                                            .roles = sits         ? ROLE_CUSTODIAN | ROLE_STEWARD
                                                     : i == MAKER ? ROLE_OWNER | ROLE_MAKER
                                                                  : ROLE_OWNER,
                                            .approval = id,
                                            .platforms = SPAN_LITERAL("")};
        member[i].kem.bytes[0] = (uint8_t)(i + 1);
        if (sits) member[i].dkg.bytes[0] = (uint8_t)(i + 1);
    }
    struct buffer b = BUFFER_OF(c->charter_bytes);
    assert_int_equal(charter_write(&b, &charter), OK);
    c->charter = buffer_span(&b);
    struct hash32 hash = sha256(c->charter);
    memcpy(c->id.bytes, hash.bytes, 32);
}

/* The next record of a steward, or of the maker behind them, as the store gives it back. */
static void restore(struct consortium_of *c, struct core *core, uint32_t author, enum kind kind,
                    const void *body)
{
    static uint8_t built[RECORD_BYTES], packed[RECORD_BYTES + 128];
    struct header h = {.kind = kind,
                       .consortium = c->id,
                       .author = node_number(author),
                       .seq = ++c->seq[author],
                       .prev = c->head[author],
                       .time_ms = start_ms,
                       .residency = SPAN_LITERAL("")};
    struct buffer b = BUFFER_OF(built), p = BUFFER_OF(packed);
    struct signature none = {{0}};
    size_t header_len;
    struct record r;
    assert_int_equal(record_build(&b, &header_len, &h, body), OK);
    struct span all = buffer_span(&b);
    assert_int_equal(record_open(&r, span_make(all.data, header_len), &none,
                                 span_make(all.data + header_len, all.len - header_len)),
                     OK);
    c->head[author] = r.id;
    record_pack(&p, &r);
    core_step(core,
              &(struct event){.type = EVENT_RESTORE_RECORD, .wall_ms = start_ms, .bytes = buffer_span(&p)});
}

static void restore_all(struct consortium_of *c, struct core *core)
{
    const struct body_CHARTER charter = {c->charter};
    memset(c->seq, 0, sizeof c->seq);
    memset(c->head, 0, sizeof c->head);
    for (uint32_t i = 0; i < STEWARDS; i++) restore(c, core, i, KIND_CHARTER, &charter);
    for (uint32_t i = c->founders; i < c->members; i++) {
        const struct node_id id = node_number(i);
        const struct body_MEMBER device = {.node = id,
                                           .organisation = span_text(makers),
                                           .jurisdiction = SPAN_LITERAL("CH"),
                                           .roles = ROLE_DEVICE,
                                           .approval = id,
                                           .platforms = SPAN_LITERAL("")};
        restore(c, core, MAKER, KIND_MEMBER, &device);
    }
}

/* Its links come up, and it looks about for a while. */
static void begin(struct core *core, uint32_t members)
{
    struct event event = {.type = EVENT_READY, .now = {1000000000}, .wall_ms = start_ms};
    core_step(core, &event);
    for (uint32_t i = 0; i < LINKS && i < members; i++) {
        event.type = EVENT_PEER_UP;
        event.peer = node_number(i);
        if (i != SELF) core_step(core, &event);
    }
    event.type = EVENT_TICK;
    for (uint32_t i = 0; i < 40; i++) {
        event.now.ns += 250000000;
        event.wall_ms += 250;
        core_step(core, &event);
    }
}

struct footprint {
    uint32_t kib, tables_kib; /* its own, and what the machine needs to find them */
};

static struct footprint touched(const struct arena *a)
{
    static unsigned char in[1 << 22];
    struct footprint f = {0, 0};
    const size_t pages = a->cap / PAGE;
    bool table = false;
    assert_true(pages <= sizeof in);
    assert_int_equal(mincore(a->data, a->cap, in), 0);
    for (size_t i = 0; i < pages; i++) {
        if (((uintptr_t)a->data / PAGE + i) % PAGES_A_TABLE == 0) table = false;
        if ((in[i] & 1) == 0) continue;
        f.kib += PAGE / 1024;
        if (!table) f.tables_kib += PAGE / 1024;
        table = true;
    }
    return f;
}

static struct footprint started(uint32_t members, const struct caps *caps)
{
    static struct consortium_of c;
    struct core *core;
    c = (struct consortium_of){.members = members,
                               .founders = members < FOUNDERS_MOST ? members : FOUNDERS_MOST};
    write_charter(&c);
    const size_t bytes = (core_arena_bytes(caps) + PAGE - 1) / PAGE * PAGE;
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    (void)madvise(memory, bytes, MADV_NOHUGEPAGE);
    struct arena arena = arena_make(memory, bytes);
    const struct core_options options = {
        .self = node_number(SELF), .consortium = c.id, .charter = c.charter, .caps = caps};
    assert_int_equal(core_new(&core, &arena, &options), OK);
    restore_all(&c, core);
    begin(core, members);
    assert_non_null(registry_member(core_registry(core), node_number(members - 1)));
    core_check(core);
    const struct footprint f = touched(&arena);
    assert_int_equal(munmap(memory, bytes), 0);
    return f;
}

static void test_footprint(void **state)
{
    static const struct caps *const profile[] = {&caps_full, &caps_light, &caps_sim};
    static const struct {
        uint32_t members, most_kib;
    } of[] = {{8, 144}, {64, 256}, {MEMBERS_MOST, 1408}};
    (void)state;
    for (uint32_t p = 0; p < sizeof profile / sizeof profile[0]; p++) {
        for (uint32_t i = 0; i < sizeof of / sizeof of[0]; i++) {
            const struct footprint f = started(of[i].members, profile[p]);
            (void)printf("%-5s of %4u members: %5u KiB, and %2u KiB of page tables\n", profile[p]->name,
                         of[i].members, f.kib, f.tables_kib);
            assert_in_range(f.kib, 1, of[i].most_kib);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_footprint)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
