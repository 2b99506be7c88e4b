/* A compute node's core whose worker says anything: an enclave is code of others' choosing that reads others' data, and whoever
 * breaks it speaks on its socket. The input is a row of (who u8, length u16, bytes): who 0 to 3 is the worker, a frame of nothing
 * its end; 4 a tick of a second; 5 and more the answer of a custodian, a box, to be passed to the worker. 32 bytes of 0x5e stand for
 * the run's id. Whatever comes: the core stands, one enclave was started, its run ends with a result, with a reason or not at
 * all, and each frame leads to no more than a word to each peer. */
#include "proto/base/panic.h"
#include "tests/puppet.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { INPUT_MAX = 1 << 16, SENT_A_STEP = 2 * WORLD_NODES + 1, PLACE = 0x5e };

static struct world *world;
static struct puppet *core;

static void prevote_and_vote(void)
{
    const struct node_id self = world->node[WORLD_COMPUTE].id;
    const struct body_PREVOTE prevote = {.run = world->run, .term = 1, .node = self};
    const struct body_VOTE vote = {.run = world->run, .term = 1, .node = self, .known = 1};
    for (uint32_t i = 0; i < 3; i++) puppet_said(core, world->node[i].id, KIND_PREVOTE, &prevote);
    for (uint32_t i = 0; i < 3; i++) puppet_said(core, world->node[i].id, KIND_VOTE, &vote);
    ASSERT(core->started == 1);
}

/* It is elected, and its enclave started. */
static void begin(void)
{
    uint64_t seed = 1;
    if (world == NULL) world = world_new();
    core = puppet_new(world, WORLD_COMPUTE);
    core->options.compute = true;
    core->options.platform = world->platform;
    core->options.engine = SPAN_LITERAL("engine");
    core->options.gpu = SPAN_LITERAL("");
    core->options.enclaves_max = 1;
    puppet_start(core, &seed);
    for (uint32_t i = 0; i < WORLD_NODES; i++)
        if (i != WORLD_COMPUTE)
            puppet_event(core, (struct event){.type = EVENT_PEER_UP, .peer = world->node[i].id});
    puppet_event(core, (struct event){.type = EVENT_TICK});
    puppet_forget(core);
    core->now.ns += 2000000000; /* what it waits after a start */
    puppet_event(core, (struct event){.type = EVENT_TICK});
    prevote_and_vote();
}

static struct span with_run(struct span bytes)
{
    static uint8_t frame[INPUT_MAX];
    uint8_t place[32], *at;
    memset(place, PLACE, sizeof place);
    if (bytes.len > 0) memcpy(frame, bytes.data, bytes.len);
    while ((at = memmem(frame, bytes.len, place, sizeof place)) != NULL) memcpy(at, world->run.bytes, 32);
    return span_make(frame, bytes.len);
}

static void act(uint8_t who, struct span bytes)
{
    const struct message_RELAY answer = {world->run, 1, 1, who - 5u, bytes};
    struct run_view before, after;
    ASSERT(core_run(core->core, world->run, &before));
    puppet_forget(core);
    if (who < 4)
        puppet_event(core,
                     (struct event){.type = EVENT_ENCLAVE, .run = world->run, .bytes = with_run(bytes)});
    else if (who == 4)
        core->now.ns += 1000000000;
    else if (who - 5u < WORLD_CUSTODIANS && bytes.len > 0)
        puppet_message(core, world->node[who - 5u].id, MESSAGE_RELAY_CODE, &answer);
    ASSERT(core->sent_count <= SENT_A_STEP);
    if (who == 4) puppet_event(core, (struct event){.type = EVENT_TICK});
    ASSERT(core_run(core->core, world->run, &after));
    ASSERT(core->started == 0 && after.term == 1);
    ASSERT(before.state < RUN_RELEASED || before.state == after.state || after.state >= RUN_RELEASED ||
           after.state == RUN_REQUESTED);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct cursor c = cursor_make(span_make(bytes, len));
    struct span frame;
    uint8_t who;
    uint16_t frame_len;
    if (len > INPUT_MAX) return 0;
    begin();
    while (cursor_u8(&c, &who) == OK && cursor_u16(&c, &frame_len) == OK &&
           cursor_take(&c, &frame, frame_len) == OK)
        act(who % (5 + WORLD_CUSTODIANS), frame);
    puppet_free(core);
    return 0;
}
