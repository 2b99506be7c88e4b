/* The op runtime and the gate over the complete inputs. */
#include "node/worker_state.h"

#include "crypto/secret.h"
#include "node/gate.h"
#include "node/meta.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { META_ARENA_BYTES = 64 * META_BYTES_MAX, WHY_BYTES = 512 };

struct compute {
    struct workflow workflow;
    struct parameter_choice choice; /* of the run's parameters */
    struct meta meta[CAP_INPUTS];
    uint8_t meta_plain[META_BYTES_MAX];
    _Alignas(16) uint8_t meta_memory[META_ARENA_BYTES];
    struct gate_input input[CAP_INPUTS];
    struct gate_plan *plan;
    struct tables *tables;
    struct engine *engine;
    char why[WHY_BYTES]; /* may quote rows: never leaves */
};

static enum err read_meta(struct compute *c, const struct worker *w, uint32_t index,
                          const struct manifest *manifest)
{
    struct span sealed = manifest->metadata;
    if (sealed.len < BODY_META_OVERHEAD_BYTES) return ERR_TRUNCATED;
    size_t len = sealed.len - BODY_META_OVERHEAD_BYTES;
    if (len > sizeof c->meta_plain) return ERR_TOO_LARGE;
    TRY(body_open_meta(c->meta_plain, w->secret->run.data_key[index], manifest->salt, sealed));
    memset(c->meta_memory, 0, sizeof c->meta_memory);
    struct arena arena = arena_make(c->meta_memory, sizeof c->meta_memory);
    return meta_parse(&c->meta[index], &arena, span_make(c->meta_plain, len), NULL);
}

/* --- Running ---------------------------------------------------------------------------------------------------------- */

/* The recipe as this run uses it: a run names the inputs it reads, which may be fewer than the recipe allows. */
static enum err narrow(struct workflow *out, const struct workflow *workflow, const struct enclave_keys *keys)
{
    *out = *workflow;
    out->input_count = keys->input_count;
    for (uint32_t i = 0; i < keys->input_count; i++) {
        const struct manifest *m = keys->manifest[i];
        uint32_t at = 0;
        while (at < workflow->input_count && !ID_EQUAL(workflow->input[at].dt, m->dt)) at++;
        if (at == workflow->input_count) return ERR_CONFLICT;
        if (!ID_EQUAL(workflow->input[at].schema, keys->ddo[i]->schema.hash)) return ERR_CONFLICT;
        out->input[i] = workflow->input[at];
    }
    return OK;
}

/* The bundle's check found them good; here they are read. */
static enum err read_choice(struct compute *c, const struct workflow *workflow,
                            const struct enclave_keys *keys)
{
    void *memory = calloc(1, PARAMETERS_SCRATCH_BYTES);
    if (memory == NULL) return ERR_NO_MEMORY;
    struct arena scratch = arena_make(memory, PARAMETERS_SCRATCH_BYTES);
    enum err err = parameters_choose(&c->choice, &workflow->parameters, &scratch, keys->parameters, NULL);
    free(memory);
    return err;
}

static enum err check_complete(const struct worker *w, const struct workflow *workflow,
                               const struct enclave_keys *keys)
{
    if (!w->unlock.done || keys == NULL || workflow == NULL) return ERR_NOT_READY;
    if (keys->input_count == 0 || keys->input_count > CAP_INPUTS) return ERR_CONFLICT;
    for (uint32_t i = 0; i < keys->input_count; i++)
        if (!w->input[i].open || w->input[i].chunks_left > 0 || keys->ddo[i] == NULL) return ERR_NOT_READY;
    return OK;
}

/* How the plaintext is read is the owner's word, sealed with it. */
static enum err add_input(struct compute *c, const struct worker *w, uint32_t index)
{
    const struct meta *m = &c->meta[index];
    if (m->format == META_BYTES) return ERR_TYPE; /* no table */
    struct tables_source source = {w->input[index].fd,
                                   m->format == META_CSV ? TABLES_CSV : TABLES_PARQUET,
                                   m->header,
                                   m->delimiter,
                                   span_text(m->missing),
                                   c->input[index].schema};
    return tables_add(c->tables, &source);
}

/* DuckDB gets half of what the run has left, kept rows a quarter; the rest is for batches and fragmentation. */
static enum err open_tables(struct compute *c, const struct worker *w, const struct enclave_keys *keys)
{
    uint64_t left = worker_memory_left(w, w->plain_bytes);
    const uint32_t threads =
        c->workflow.output == OUTPUT_ROWS ? 1 : w->options.threads; /* rows.h: their order */
    TRY(tables_open(&c->tables, threads, left / 2, c->why, sizeof c->why));
    for (uint32_t i = 0; i < keys->input_count; i++) {
        TRY(read_meta(c, w, i, keys->manifest[i]));
        TRY(add_input(c, w, i));
    }
    TRY(tables_lock(c->tables, c->why, sizeof c->why));
    return engine_open(&c->engine, ENGINE_CPU);
}

static enum err run_gate(struct compute *c, const struct worker *w, struct worker_reply *reply)
{
    struct gate gate = {.workflow = &c->workflow,
                        .plan = c->plan,
                        .input = c->input,
                        .choice = &c->choice,
                        .tables = c->tables,
                        .engine = c->engine,
                        .seed32 = w->secret->run.seed,
                        .unit_bytes_max = worker_memory_left(w, w->plain_bytes) / 4};
    size_t bytes;
    TRY(gate_output_bytes(&c->workflow, &bytes));
    uint8_t *room = worker_reply_room(reply, bytes);
    if (room == NULL) return ERR_NO_MEMORY;
    struct buffer out = buffer_make(room, bytes);
    TRY(gate_run(&out, &gate));
    return out.len == bytes ? OK : ERR_REFUSED;
}

/* What gate_plan_make says depends on public things only and may be told; anything later is one and the same refusal. */
static enum err compute(struct compute *c, const struct worker *w, struct worker_reply *reply,
                        const struct workflow *workflow, const struct enclave_keys *keys)
{
    TRY(narrow(&c->workflow, workflow, keys));
    TRY(read_choice(c, workflow, keys));
    for (uint32_t i = 0; i < keys->input_count; i++)
        c->input[i] = (struct gate_input){&keys->ddo[i]->schema, keys->ddo[i]->unit_column,
                                          keys->manifest[i]->row_count};
    TRY(gate_plan_make(&c->plan, &c->workflow, c->input, c->why, sizeof c->why));
    enum err err = open_tables(c, w, keys);
    if (err == OK) err = run_gate(c, w, reply);
    tables_close(c->tables);
    engine_close(c->engine);
    gate_plan_free(c->plan);
    return err == OK ? OK : ERR_REFUSED;
}

/* --- The tick ----------------------------------------------------------------------------------------------------------- */

static int64_t monotonic_ms(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return 0;
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wait_for_tick(int64_t since_ms)
{
    int64_t late = (monotonic_ms() - since_ms) % WORKER_TICK_MS, left = WORKER_TICK_MS - late;
    struct timespec pause = {left / 1000, left % 1000 * 1000000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

enum err worker_compute(struct worker *w, struct worker_reply *reply, const struct workflow *workflow,
                        const struct enclave_keys *keys)
{
    int64_t since_ms = monotonic_ms();
    TRY(check_complete(w, workflow, keys));
    struct compute *c = calloc(1, sizeof *c);
    if (c == NULL) return ERR_NO_MEMORY;
    enum err err = compute(c, w, reply, workflow, keys);
    secret_wipe(c, sizeof *c);
    free(c);
    wait_for_tick(since_ms);
    return err;
}
