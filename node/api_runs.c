#include "node/api_common.h"
#include "node/opening.h"
#include "proto/receipt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static struct registry *registry_of(const struct http_request *q)
{
    return core_registry(daemon_core(q->context));
}

static const struct run_entry *find_run(const struct http_request *q, struct http_reply *reply)
{
    struct run_id id;
    if (!api_param_hash(q, reply, 0, id.bytes)) return NULL;
    const struct run_entry *run = registry_run(registry_of(q), id);
    if (run == NULL) api_refuse(q->context, reply, verdict_refuse(REFUSAL_UNKNOWN_RUN, id.bytes));
    return run;
}

static json_t *inputs_json(const struct body_RUN *run)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < run_input_count(run); i++)
        json_array_append_new(list, api_dt_text(run_input_at(run, i).dt));
    return list;
}

/* Every accepted run's are canonical JSON or nothing; what is not is shown as nothing. */
static json_t *parameters_json(struct span bytes)
{
    json_t *object = json_loadb((const char *)bytes.data, bytes.len, 0, NULL);
    return object != NULL ? object : json_object();
}

/* Whose signed shares the enclave found to be wrong, as the elected node says. */
static json_t *bad_shares(struct daemon *d, uint32_t custodians)
{
    const struct charter *charter = registry_charter(core_registry(daemon_core(d)));
    json_t *list = json_array();
    for (uint32_t i = 0; charter != NULL && i < charter->custodian_count; i++)
        if ((custodians >> i & 1) != 0)
            json_array_append_new(list, api_organisation(d, charter->member[charter->custodian[i]].node));
    return list;
}

static json_t *run_json(struct daemon *d, const struct run_entry *run)
{
    struct run_view view;
    struct run_id id;
    memcpy(id.bytes, run->record->id.bytes, sizeof id.bytes);
    json_t *body =
        json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:b}", "run", api_hex32(id.bytes), "compose",
                  api_hex32(run->body.compose.bytes), "inputs", inputs_json(&run->body), "parameters",
                  parameters_json(run->body.parameters), "slot", (json_int_t)run->body.slot, "requester",
                  api_organisation(d, run->record->header.author), "receipt", run->receipt != NULL);
    const struct published *p = registry_workflow(core_registry(daemon_core(d)), run->body.compose);
    if (p != NULL) json_object_set_new(body, "privacy", json_string(api_privacy(p->workflow)));
    if (!core_run(daemon_core(d), id, &view)) return body;
    json_t *phases = json_object();
    for (uint32_t s = 0; s < RUN_STATE_COUNT; s++)
        if (view.entered_ms[s] != 0)
            json_object_set_new(phases, run_state_name((enum run_state)s),
                                json_integer((json_int_t)view.entered_ms[s]));
    json_object_set_new(body, "state", json_string(run_state_name(view.state)));
    json_object_set_new(body, "over", json_boolean(api_run_over(d, run, &view)));
    json_object_set_new(body, "reason", json_string(refusal_name(view.verdict.refusal)));
    json_object_set_new(body, "detail", json_string(refusal_text(view.verdict.refusal)));
    json_object_set_new(body, "term", json_integer((json_int_t)view.term));
    json_object_set_new(body, "node", api_hex32(view.node.bytes));
    json_object_set_new(body, "organisation", api_organisation(d, view.node));
    json_object_set_new(body, "phases", phases);
    json_object_set_new(body, "bad_shares", bad_shares(d, view.bad_shares));
    if (view.state == RUN_REQUESTED) json_object_set_new(body, "waits_for", api_run_waits_for(d, &run->body));
    return body;
}

void api_runs(const struct http_request *q, struct http_reply *reply)
{
    const struct registry *r = registry_of(q);
    struct api_page page;
    const struct run_entry *run;
    if (!api_page_begin(&page, q, reply)) return;
    json_t *list = json_array();
    for (uint32_t i = 0; !page.full && (run = registry_run_at(r, i)) != NULL; i++)
        if (api_page_takes(&page, run->record->id.bytes))
            json_array_append_new(list, run_json(q->context, run));
    api_page_answer(&page, reply, json_pack("{s:o}", "runs", list));
}

/* --- Requesting -------------------------------------------------------------------------------------------------------- */

static void refuse_parameters(struct http_reply *reply, const json_t *values, enum err err,
                              const struct json_fault *fault)
{
    const json_t *named = json_object_get(values, fault->path);
    char *came = err == ERR_MISSING_FIELD
                     ? NULL
                     : json_dumps(named != NULL ? named : values, JSON_COMPACT | JSON_ENCODE_ANY);
    http_problem(reply, 400, err_name(err), "\"parameters\"%s%s: expected %s; came %.200s",
                 fault->path[0] != 0 ? ": " : "", fault->path, fault->expected,
                 came != NULL ? came : "nothing");
    free(came);
}

/* Are they what this workflow lets a requester choose? Of an unknown workflow the core says so. */
static bool check_parameters(const struct http_request *q, struct http_reply *reply,
                             const struct command *command, const json_t *values)
{
    const struct published *p = registry_workflow(registry_of(q), command->compose);
    void *memory = calloc(1, PARAMETERS_SCRATCH_BYTES);
    struct json_fault fault;
    struct parameter_choice choice;
    if (memory == NULL) {
        http_problem(reply, 503, "no-memory", "out of memory; try again later");
        return false;
    }
    struct arena scratch = arena_make(memory, PARAMETERS_SCRATCH_BYTES);
    enum err err = p == NULL ? OK
                             : parameters_choose(&choice, &p->workflow->parameters, &scratch,
                                                 command->parameters, &fault);
    free(memory);
    if (err != OK) refuse_parameters(reply, values, err, &fault);
    return err == OK;
}

/* Sorted and compact, what jansson writes of strings and whole numbers is canonical; anything else is refused. */
static bool read_parameters(const struct http_request *q, struct http_reply *reply, struct command *command,
                            char room[PARAMETERS_BYTES_MAX])
{
    const json_t *values = json_object_get(q->body, "parameters");
    if (values != NULL && !json_is_object(values)) {
        api_bad(reply, "wrong-type", "parameters", "an object of names and values", values);
        return false;
    }
    size_t len = json_object_size(values) == 0
                     ? 0
                     : json_dumpb(values, room, PARAMETERS_BYTES_MAX, JSON_COMPACT | JSON_SORT_KEYS);
    if (len > PARAMETERS_BYTES_MAX) {
        http_problem(reply, 400, "too-large", "expected \"parameters\" of at most %d bytes; came %zu",
                     PARAMETERS_BYTES_MAX, len);
        return false;
    }
    command->parameters = span_make(room, len);
    return check_parameters(q, reply, command, values);
}

/* The number of this member, not less than `least`, where it is there. */
static bool read_number(const struct http_request *q, struct http_reply *reply, const char *name,
                        uint64_t least, uint64_t max, const char *otherwise, uint64_t *out)
{
    if (json_object_get(q->body, name) == NULL) return true;
    if (!api_uint(q, reply, name, max, out)) return false;
    if (*out >= least) return true;
    http_problem(reply, 400, "out-of-range",
                 "expected \"%s\" to be at least %" PRIu64 "; came %" PRIu64 ": leave it out for %s", name,
                 least, *out, otherwise);
    return false;
}

bool api_run_read(const struct http_request *q, struct http_reply *reply, struct api_run_wish *out)
{
    const uint64_t lease_ms = registry_charter_bytes(registry_of(q))->lease_ms;
    uint64_t life_ms = 3600000; /* less than a lease is over before an enclave may have its keys */
    uint32_t dataset_count = 0;
    struct command *command = &out->command;
    *command = (struct command){.type = COMMAND_RUN, .kind = KIND_RUN};
    if (!api_hash(q, reply, "compose", command->compose.bytes)) return false;
    if (json_object_get(q->body, "inputs") != NULL &&
        !api_dt_list(q, reply, "inputs", CAP_INPUTS, out->datasets, &dataset_count))
        return false;
    command->datasets = span_make(out->datasets, (size_t)dataset_count * 32);
    if (!read_parameters(q, reply, command, out->parameters)) return false;
    if (!read_number(q, reply, "slot", 1, UINT32_MAX, "the lowest free one", &command->slot)) return false;
    if (!read_number(q, reply, "expires_in_ms", lease_ms, RUN_LIFE_MAX_MS, "an hour", &life_ms)) return false;
    command->expires_ms = daemon_wall_ms() + life_ms;
    return true;
}

void api_run_request(const struct http_request *q, struct http_reply *reply)
{
    struct api_run_wish wish;
    if (api_run_read(q, reply, &wish)) api_command(q->context, reply, &wish.command);
}

/* --- Opening the output ------------------------------------------------------------------------------------------------ */

/* A request waiting for its output to be opened. `reading` is NULL for who may not read it or cannot yet; `fault` says when
 * what was sealed to this node is not the run's output. */
struct opened_request {
    struct daemon *daemon;
    struct http_reply *reply;
    const struct run_entry *run;
    void (*then)(struct opened_request *o, const struct reading *reading, const char *fault);
};

static void on_opened(void *context, enum err err, const struct reading *reading)
{
    struct opened_request *o = context;
    if (err == ERR_NO_MEMORY)
        http_problem(o->reply, 503, "no-memory", "out of memory; try again later");
    else
        o->then(o, reading, err == OK || err == ERR_NOT_FOUND ? NULL : err_text(err));
    free(o);
}

static void keyed(void *keys, const struct crypto_job *job, keyed_done done, void *context)
{
    daemon_keyed(keys, job, done, context);
}

static void open_output(const struct http_request *q, struct http_reply *reply, const struct run_entry *run,
                        void (*then)(struct opened_request *o, const struct reading *reading,
                                     const char *fault))
{
    struct opened_request *o = malloc(sizeof *o);
    union body *body = malloc(sizeof *body);
    if (o == NULL || body == NULL) {
        http_problem(reply, 503, "no-memory", "out of memory; try again later");
        free(o);
        free(body);
        return;
    }
    *o = (struct opened_request){q->context, reply, run, then};
    struct opening_options options = {daemon_home(q->context)->node, keyed, q->context, on_opened, o};
    if (run->receipt != NULL && body_decode(body, KIND_RECEIPT, run->receipt->body) == OK)
        opening_start(&options, &body->RECEIPT);
    else
        on_opened(o, ERR_NOT_FOUND, NULL);
    free(body);
}

/* The key that signed: the enclave's, as the receipt's core names it. */
static json_t *enclave_key(const struct run_entry *run)
{
    struct core_receipt core;
    union body *body = malloc(sizeof *body);
    bool known = body != NULL && body_decode(body, KIND_RECEIPT, run->receipt->body) == OK &&
                 core_receipt_decode(&core, body->RECEIPT.core) == OK;
    free(body);
    return known ? api_hex32(core.enclave.bytes) : json_null();
}

/* Sign-RPC: the exact bytes of the output, and what the enclave signed about them. */
static json_t *response_json(const struct opened_request *o, const struct reading *reading)
{
    char text[RESPONSE_TEXT_CHARS + 1], signature[2 * sizeof reading->signature.bytes + 1];
    struct run_id id;
    memcpy(id.bytes, o->run->record->id.bytes, sizeof id.bytes);
    response_text(text, id, reading->output);
    hex_encode(signature, reading->signature.bytes, sizeof reading->signature.bytes);
    return json_pack("{s:o, s:s, s:s, s:o}", "payload", api_span(reading->output), "text", text, "signature",
                     signature, "signing_key", enclave_key(o->run));
}

static void answer_run(struct opened_request *o, const struct reading *reading, const char *fault)
{
    json_t *body = run_json(o->daemon, o->run), *output = NULL;
    if (reading != NULL)
        output =
            json_loadb((const char *)reading->output.data, reading->output.len, JSON_REJECT_DUPLICATES, NULL);
    json_object_set_new(body, "output", output != NULL ? output : json_null());
    json_object_set_new(body, "output_fault", fault != NULL ? json_string(fault) : json_null());
    json_object_set_new(body, "response", reading != NULL ? response_json(o, reading) : json_null());
    http_answer(o->reply, 200, body);
}

void api_run(const struct http_request *q, struct http_reply *reply)
{
    const struct run_entry *run = find_run(q, reply);
    if (run != NULL) open_output(q, reply, run, answer_run);
}

/* --- Receipt ------------------------------------------------------------------------------------------------------------- */

static enum err write_receipt(struct buffer *out, struct buffer *bundle, struct opened_request *o,
                              const struct reading *reading)
{
    struct receipt_parts parts = {.consortium = daemon_home(o->daemon)->consortium};
    union body *body = malloc(sizeof *body);
    if (body == NULL) return ERR_NO_MEMORY;
    enum err err = body_decode(body, KIND_RECEIPT, o->run->receipt->body);
    void *memory = calloc(1, 1 << 20);
    if (memory == NULL) err = ERR_NO_MEMORY;
    struct arena scratch = {memory, 0, memory != NULL ? 1 << 20 : 0};
    if (err == OK)
        err = bundle_gather(bundle, &scratch, core_chain(daemon_core(o->daemon)), body->RECEIPT.records);
    free(memory);
    if (err == OK) {
        parts.bundle = buffer_span(bundle);
        parts.body = body->RECEIPT;
        parts.body.output = SPAN_NONE;
        if (reading != NULL) {
            parts.salt = reading->salt;
            parts.response = reading->signature;
            parts.output = reading->output;
        }
        err = receipt_write(out, &parts);
    }
    free(body);
    return err;
}

/* With a false output it is the receipt of who may not read: what was signed, and nothing else. */
static void answer_receipt(struct opened_request *o, const struct reading *reading, const char *fault)
{
    (void)fault;
    enum { RECEIPT_MAX = 3 * BUNDLE_BYTES_MAX };
    uint8_t *memory = mmap(NULL, RECEIPT_MAX + BUNDLE_BYTES_MAX, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        http_problem(o->reply, 503, "no-memory", "out of memory; try again later");
        return;
    }
    struct buffer out = buffer_make(memory, RECEIPT_MAX),
                  bundle = buffer_make(memory + RECEIPT_MAX, BUNDLE_BYTES_MAX);
    enum err err = write_receipt(&out, &bundle, o, reading);
    if (err == OK)
        http_answer(o->reply, 200, json_pack("{s:o}", "receipt", api_span(buffer_span(&out))));
    else
        http_problem(o->reply, 503, err_name(err), "the receipt could not be put together here: %s",
                     err_text(err));
    munmap(memory, RECEIPT_MAX + BUNDLE_BYTES_MAX);
}

void api_run_receipt(const struct http_request *q, struct http_reply *reply)
{
    const struct run_entry *run = find_run(q, reply);
    if (run == NULL) return;
    if (run->receipt != NULL) {
        open_output(q, reply, run, answer_receipt);
        return;
    }
    struct run_view view = {.state = RUN_REQUESTED};
    struct run_id id;
    memcpy(id.bytes, run->record->id.bytes, sizeof id.bytes);
    (void)core_run(daemon_core(q->context), id, &view);
    if (view.state == RUN_SETTLED)
        http_problem(
            reply, 409, "not-settled",
            "expected the receipt here; the run is settled, and its receipt has not come yet: try again");
    else
        http_problem(
            reply, 409, "not-settled",
            "expected a settled run whose receipt is here; came one that is %s: `perigee run why` says "
            "what it waits for, or why it ended",
            run_state_name(view.state));
}
