#include "node/document_file.h"

#include "node/file.h"
#include "node/yaml_json.h"
#include "proto/base/caps.h"

#include <stdlib.h>

static int read_canonical(char **out, const struct client *c, const char *path)
{
    size_t len = 0;
    enum err err = file_read(out, &len, path, CAP_DOCUMENT_BYTES);
    if (err != OK) return client_fail(c, EXIT_REFUSED, "%s: %s", path, file_why(err));
    while (len > 0 && (*out)[len - 1] == '\n') (*out)[--len] = 0; /* as an editor leaves it */
    return EXIT_OK;
}

static int read_yaml(char **out, const struct client *c, const char *path, const char *version)
{
    char fault[512] = "";
    json_t *value = NULL;
    if (yaml_json_load(&value, path, fault, sizeof fault) != OK)
        return client_fail(c, EXIT_REFUSED, "%s", fault);
    if (json_is_object(value) && json_object_get(value, "perigee") == NULL)
        (void)json_object_set_new(value, "perigee", json_string(version));
    *out = json_is_object(value) ? yaml_json_canonical(value) : NULL;
    json_decref(value);
    return *out != NULL ? EXIT_OK : client_fail(c, EXIT_REFUSED, "%s: expected a mapping of fields", path);
}

static bool begins_with_brace(const char *path)
{
    char *text = NULL;
    size_t len = 0;
    bool found = file_read(&text, &len, path, YAML_JSON_BYTES_MAX) == OK && len > 0 && text[0] == '{';
    free(text);
    return found;
}

int document_file_read(char **out, const struct client *c, const char *path, const char *version)
{
    *out = NULL;
    return begins_with_brace(path) ? read_canonical(out, c, path) : read_yaml(out, c, path, version);
}
