/* Sections 1 and 2: the hospitals' own data; founding the consortium, its keys and its ops. */
#include "node/demo.h"

#include "node/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FOUND_SECONDS = 30, FOUND_KEYGEN_SECONDS = 60 };

uint32_t demo_majority(const struct demo *d)
{
    return d->silo_count / 2 + 1;
}

/* --- 1 -------------------------------------------------------------------------------------------------------------- */

static bool show_data(struct demo *d)
{
    demo_section(d, 1, "Each hospital has its own data");
    demo_begin(d, "data", "one file at every hospital");
    for (uint32_t i = 0; i < d->silo_count; i++) {
        struct stat status;
        if (stat(d->node[i].data, &status) != 0)
            return demo_bad(d, NULL, "%s: is not there", d->node[i].data);
        demo_note(d, "%-20s %-4s %s, %ld KiB", d->node[i].name, d->node[i].jurisdiction,
                  strrchr(d->node[i].data, '/') + 1, (long)(status.st_size + 1023) / 1024);
    }
    return demo_good(d, "%u files: %s%s", d->silo_count, d->study->description,
                     d->study->synthetic != NULL ? " (SYNTHETIC)" : "");
}

/* --- 2: charter ----------------------------------------------------------------------------------------------------- */

static bool write_charter(struct demo *d)
{
    static char card[CAP_INPUTS][PATH_MAX + 16];
    const char *words[CAP_INPUTS] = {NULL};
    char path[PATH_MAX + 32];
    json_t *answer = NULL;
    (void)snprintf(path, sizeof path, "%s/charter.json", d->dir);
    for (uint32_t i = 0; i < d->silo_count; i++) {
        (void)snprintf(card[i], sizeof card[i], "%s/card.json", d->node[i].dir);
        words[i] = card[i];
    }
    /* Unused places are NULL, where the words end. */
    if (!demo_call(d, NULL, &answer, "consortium new --name demo --rank-delay-ms 300", "--out", path,
                   words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7], words[8],
                   words[9], words[10], words[11], words[12], words[13], words[14], words[15], NULL))
        return false;
    (void)snprintf(d->consortium, sizeof d->consortium, "%s", demo_text(answer, "consortium"));
    json_decref(answer);
    (void)snprintf(path, sizeof path, "%s/consortium", d->dir);
    enum err err = file_write(path, span_text(d->consortium), 0644, true);
    return err == OK || demo_bad(d, NULL, "%s: %s", path, err_text(err));
}

static bool join_all(struct demo *d)
{
    char path[PATH_MAX + 32];
    (void)snprintf(path, sizeof path, "%s/charter.json", d->dir);
    for (uint32_t i = 0; i < d->node_count; i++)
        if (!demo_call(d, &d->node[i], NULL, "consortium join", path, NULL)) return false;
    return true;
}

static bool start(struct demo *d)
{
    demo_begin(d, "start",
               "seven `perigee node` processes, each with its own directory, linked to one another");
    if (!demo_nodes_make(d) || !write_charter(d) || !join_all(d) || !demo_nodes_start(d)) return false;
    return demo_good(d, "%u processes on 127.0.0.1, every one linked to every other", d->node_count);
}

static bool charter_decided(const struct demo *d, const json_t *answer, const void *context)
{
    (void)d;
    (void)context;
    return json_is_true(json_object_get(json_object_get(answer, "charter"), "decided"));
}

static bool sign_charter(struct demo *d)
{
    demo_begin(d, "charter", "in force once a majority of stewards has signed it");
    for (uint32_t i = 0; i < d->silo_count; i++)
        if (!demo_call(d, &d->node[i], NULL, "consortium sign", NULL)) return false;
    if (!demo_await_all(d, "/v1/status", charter_decided, NULL, FOUND_SECONDS)) return false;
    return demo_good(d, "signed by %u of %u stewards; consortium %.16s", d->silo_count, d->silo_count,
                     d->consortium);
}

/* --- 2: members ----------------------------------------------------------------------------------------------------- */

static bool has_request(const struct demo *d, const json_t *answer, const void *context)
{
    (void)d;
    return demo_row(json_object_get(answer, "requests"), "node", context) != NULL;
}

static bool all_members(const struct demo *d, const json_t *answer, const void *context)
{
    (void)context;
    return json_array_size(json_object_get(answer, "members")) >= d->node_count;
}

static bool admit(struct demo *d, struct demo_node *applicant)
{
    if (!demo_call(d, applicant, NULL, "member request", NULL)) return false;
    for (uint32_t i = 0; i < demo_majority(d); i++) {
        if (!demo_await(d, &d->node[i], "/v1/members", has_request, applicant->id, FOUND_SECONDS))
            return false;
        if (!demo_call(d, &d->node[i], NULL, "member admit", applicant->id, NULL)) return false;
    }
    return true;
}

static bool admit_all(struct demo *d)
{
    demo_begin(d, "members", "stewards admit the compute and algorithm providers");
    for (uint32_t i = d->silo_count; i < d->node_count; i++)
        if (!admit(d, &d->node[i])) return false;
    if (!demo_await_all(d, "/v1/members", all_members, NULL, FOUND_SECONDS)) return false;
    return demo_good(d, "%u members: %u hospitals, %u compute providers, 1 algorithm provider", d->node_count,
                     d->silo_count, d->node_count - d->silo_count - 1);
}

/* --- 2: keys -------------------------------------------------------------------------------------------------------- */

static bool has_committee(const struct demo *d, const json_t *answer, const void *context)
{
    (void)d;
    (void)context;
    return json_is_object(json_object_get(answer, "committee"));
}

static bool generate_keys(struct demo *d)
{
    demo_begin(d, "keys", "the custodians make both consortium keys together; nobody ever holds one");
    for (uint32_t i = 0; i < d->silo_count; i++)
        if (!demo_call(d, &d->node[i], NULL, "consortium keygen", NULL)) return false;
    if (!demo_await_all(d, "/v1/status", has_committee, NULL, FOUND_KEYGEN_SECONDS)) return false;
    return demo_good(d, "two keys, certified by all %u custodians", d->silo_count);
}

/* --- 2: ops and workers --------------------------------------------------------------------------------------------- */

static bool ops_in_force(const struct demo *d, const json_t *answer, const void *context)
{
    size_t i;
    uint32_t count = 0;
    json_t *op;
    (void)context;
    json_array_foreach(json_object_get(answer, "ops"), i, op) count +=
        json_is_true(json_object_get(op, "registered"));
    return count >= d->study->ops_count;
}

static bool register_op(struct demo *d, uint32_t index)
{
    char path[PATH_MAX], code[PATH_MAX];
    json_t *answer = NULL;
    if (!demo_study_write_op(d, index, path, code)) return false;
    for (uint32_t i = 0; i < demo_majority(d); i++) {
        json_decref(answer);
        if (!demo_call(d, &d->node[i], &answer, "op register --code", code, path, NULL)) return false;
    }
    (void)snprintf(d->op[index], sizeof d->op[index], "%s", demo_text(answer, "op"));
    json_decref(answer);
    return true;
}

/* What runs in the sandbox is this very program: its hash is what the stewards accept. */
static bool register_workers(struct demo *d)
{
    json_t *answer = NULL;
    if (!demo_call(d, NULL, &answer, "workers measure", NULL)) return false;
    (void)snprintf(d->measurement, sizeof d->measurement, "%s", demo_text(answer, "measurement"));
    json_decref(answer);
    for (uint32_t i = 0; i < demo_majority(d); i++)
        if (!demo_call(d, &d->node[i], NULL, "workers register --name default", d->measurement, NULL))
            return false;
    return true;
}

static bool register_ops(struct demo *d)
{
    demo_begin(d, "ops", "op templates and the enclave worker are registered by a majority of stewards");
    for (uint32_t i = 0; i < d->study->ops_count; i++)
        if (!register_op(d, i)) return false;
    if (!register_workers(d) || !demo_await_all(d, "/v1/ops", ops_in_force, NULL, FOUND_SECONDS))
        return false;
    return demo_good(d, "%u op%s; worker %.16s, evidence SIMULATED (no hardware root on this machine)",
                     d->study->ops_count, d->study->ops_count == 1 ? "" : "s", d->measurement);
}

bool demo_found(struct demo *d)
{
    if (!show_data(d)) return false;
    demo_section(d, 2, "The consortium is founded");
    return start(d) && sign_charter(d) && admit_all(d) && generate_keys(d) && register_ops(d);
}
