/* What the demonstration studies, as the files its commands take. The synthetic study is in the program itself. */
#include "node/demo.h"

#include "node/file.h"
#include "node/yaml_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* configs/studies/cardio-renal.yaml, byte for byte. */
__asm__(".pushsection .rodata\n"
        ".global demo_study_text\n"
        "demo_study_text: .incbin \"configs/studies/cardio-renal.yaml\"\n"
        ".global demo_study_text_end\n"
        "demo_study_text_end: .byte 0\n"
        ".popsection\n");
extern const char demo_study_text[], demo_study_text_end[];

bool demo_write(struct demo *d, char *path, const char *name, struct span bytes)
{
    int len = snprintf(path, PATH_MAX, "%s/%s", d->dir, name);
    enum err err = len > 0 && len < PATH_MAX ? file_write(path, bytes, 0644, true) : ERR_RANGE;
    return err == OK || demo_bad(d, NULL, "%s: %s", path, err_text(err));
}

/* --- Opening -------------------------------------------------------------------------------------------------------- */

static bool find_files(struct demo *d, const char *folder)
{
    for (uint32_t i = 0; i < d->study->silos_count; i++) {
        enum err err = study_file(d->node[i].data, d->study, i, folder);
        if (err != OK) return demo_bad(d, NULL, "%s: %s", folder, err_text(err));
    }
    return true;
}

static bool make_files(struct demo *d)
{
    char fault[512] = "";
    if (d->options.rows != 0) d->study->synthetic->rows = d->options.rows;
    enum err err = study_make_files(d->study, d->dir, fault, sizeof fault);
    if (err != OK) return demo_bad(d, NULL, "%s", fault[0] != 0 ? fault : err_text(err));
    return find_files(d, d->dir);
}

/* More runs than the study allows need a budget that covers them. */
static bool allow_slots(struct demo *d)
{
    char budget[32];
    if (d->options.slots == 0) return true;
    (void)snprintf(budget, sizeof budget, "%u", 2 * d->options.slots); /* each run costs less than 2 */
    d->study->slots = d->options.slots;
    free(d->study->budget);
    d->study->budget = yaml_file_text(budget);
    return d->study->budget != NULL || demo_bad(d, NULL, "out of memory");
}

bool demo_study_open(struct demo *d)
{
    char fault[512] = "", path[PATH_MAX];
    const struct span built_in = span_make(demo_study_text, (size_t)(demo_study_text_end - demo_study_text));
    if (d->options.study == NULL && !demo_write(d, path, "study.yaml", built_in)) return false;
    if (d->options.study != NULL) (void)snprintf(path, sizeof path, "%s", d->options.study);
    enum err err = study_load(&d->study, path, fault, sizeof fault);
    if (err != OK) return demo_bad(d, NULL, "%s", fault[0] != 0 ? fault : err_text(err));
    if (!allow_slots(d)) return false;
    demo_nodes_name(d);
    if (d->options.data != NULL) return find_files(d, d->options.data);
    return d->study->synthetic != NULL ? make_files(d)
                                       : demo_bad(d, NULL, "expected --data DIR: this study has real files");
}

/* --- Documents ------------------------------------------------------------------------------------------------------ */

static bool read_id(struct demo *d, uint8_t id32[32], const char *text, const char *prefix)
{
    const size_t len = strlen(prefix);
    if (strncmp(text, prefix, len) == 0 && hex_decode(id32, 32, span_text(text + len)) == OK) return true;
    return demo_bad(d, NULL, "expected an id, got \"%s\"", text);
}

/* `app` may not exist yet: then it stays zero. */
static bool list_parties(struct demo *d, struct study_parties *p)
{
    memset(p, 0, sizeof *p);
    for (uint32_t i = 0; i < d->silo_count; i++)
        if (!read_id(d, p->owner[i].bytes, d->node[i].id, "") ||
            !read_id(d, p->dataset[i].bytes, d->node[i].asset, "dt:perigee:"))
            return false;
    p->requester_count = 1; /* who also reads */
    if (!read_id(d, p->requester[0].bytes, demo_algorithm(d)->id, "")) return false;
    return d->app[0] == 0 || read_id(d, p->app.bytes, d->app, "dt:perigee:");
}

static bool save(struct demo *d, char *path, const char *name, enum err err, const struct buffer *text)
{
    if (err != OK) return demo_bad(d, NULL, "%s: %s", name, err_text(err));
    return demo_write(d, path, name, buffer_span(text));
}

/* A description without its token, which `perigee asset register` makes. */
static bool save_ddo(struct demo *d, char *path, const char *name, enum err err, const struct buffer *ddo)
{
    if (err != OK) return demo_bad(d, NULL, "%s: %s", name, err_text(err));
    json_t *value = json_loadb((const char *)ddo->data, ddo->len, 0, NULL);
    (void)json_object_del(value, "dt");
    char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(value);
    bool good = text != NULL && demo_write(d, path, name, span_text(text));
    free(text);
    return good;
}

bool demo_study_write_dataset(struct demo *d, uint32_t silo, char *path)
{
    static uint8_t bytes[CAP_DOCUMENT_BYTES];
    struct buffer out = BUFFER_OF(bytes);
    char name[128];
    const struct dt none = {{0}};
    (void)snprintf(name, sizeof name, "asset-%s.json", d->study->silos[silo].name);
    return save_ddo(d, path, name, study_dataset_write(&out, d->study, silo, none), &out);
}

bool demo_study_write_algorithm(struct demo *d, char *path)
{
    static uint8_t bytes[CAP_DOCUMENT_BYTES];
    static struct study_parties parties;
    struct buffer out = BUFFER_OF(bytes);
    if (!list_parties(d, &parties)) return false;
    return save_ddo(d, path, "asset-algorithm.json", study_algorithm_write(&out, d->study, &parties), &out);
}

bool demo_study_write_op(struct demo *d, uint32_t op, char *path, char *code_path)
{
    uint8_t bytes[CAP_CODE_BYTES];
    char name[32];
    struct buffer out = BUFFER_OF(bytes);
    (void)snprintf(name, sizeof name, "op-%u-code.json", op + 1);
    if (!save(d, code_path, name, study_code_write(&out, d->study, op), &out)) return false;
    out.len = 0;
    (void)snprintf(name, sizeof name, "op-%u.json", op + 1);
    return save(d, path, name, study_op_write(&out, d->study, op), &out);
}

bool demo_study_write_workflow(struct demo *d, char *path)
{
    static uint8_t bytes[CAP_DOCUMENT_BYTES];
    static struct study_parties parties;
    struct buffer out = BUFFER_OF(bytes);
    if (!list_parties(d, &parties)) return false;
    return save(d, path, "workflow.json", study_workflow_write(&out, d->study, &parties), &out);
}

void demo_study_residency(const struct demo *d, char *out, size_t cap)
{
    const struct study_workflow *w = d->study->workflow;
    struct buffer b = buffer_make(out, cap);
    for (unsigned i = 0; i < w->residency_count; i++) {
        if (i > 0) buffer_put_text(&b, ",");
        buffer_put_text(&b, w->residency[i]);
    }
    buffer_put_zero(&b);
}
