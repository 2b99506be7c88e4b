#include "node/sweep_file.h"

#include "node/fault.h"
#include "node/yaml_json.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum err load_text(char **out, json_t **value, const char *path, char *fault, size_t cap)
{
    TRY(yaml_json_load(value, path, fault, cap));
    *out = yaml_json_canonical(*value);
    if (*out != NULL) return OK;
    json_decref(*value);
    return fault_set(fault, cap, ERR_NO_MEMORY, "%s: %s", path, err_text(ERR_NO_MEMORY));
}

static enum err load_scenario(struct sweep_file *f, const char *from, const char *name, char *fault,
                              size_t cap)
{
    char path[PATH_MAX];
    json_t *value;
    const char *slash = strrchr(from, '/');
    const int folder = name[0] == '/' || slash == NULL ? 0 : (int)(slash - from) + 1;
    const int len = snprintf(path, sizeof path, "%.*s%s", folder, from, name);
    if (len < 0 || (size_t)len >= sizeof path)
        return fault_set(fault, cap, ERR_RANGE, "%s: scenario: expected a shorter path", from);
    TRY(load_text(&f->scenario, &value, path, fault, cap));
    json_decref(value);
    return OK;
}

enum err sweep_file_load(struct sweep_file *f, const char *path, char *fault, size_t cap)
{
    json_t *sweep;
    *f = (struct sweep_file){NULL, NULL};
    TRY(load_text(&f->sweep, &sweep, path, fault, cap));
    const char *name = json_string_value(json_object_get(sweep, "scenario"));
    const enum err err = name != NULL && name[0] != 0 ? load_scenario(f, path, name, fault, cap) : OK;
    json_decref(sweep);
    if (err != OK) sweep_file_free(f);
    return err;
}

void sweep_file_free(struct sweep_file *f)
{
    free(f->sweep);
    free(f->scenario);
    *f = (struct sweep_file){NULL, NULL};
}

struct span sweep_file_scenario(const struct sweep_file *f)
{
    return f->scenario != NULL ? span_text(f->scenario) : SPAN_NONE;
}
