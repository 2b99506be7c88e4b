/* Documents that people write: any bytes as YAML. An object has one canonical text, which is read as the same value again;
 * a refusal says in one line what was expected. */
#include "node/yaml_json.h"
#include "proto/base/panic.h"
#include "tests/memory_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { INPUT_MAX = 16384 };

static json_t *load(struct span bytes, char fault[512])
{
    char path[MEMORY_FILE_PATH];
    json_t *value = NULL;
    int file = memory_file_open(path, bytes);
    fault[0] = 0;
    const enum err err = yaml_json_load(&value, path, fault, 512);
    memory_file_close(file);
    ASSERT((err == OK) == (value != NULL));
    if (err != OK) ASSERT(fault[0] != 0 && strchr(fault, '\n') == NULL);
    return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char fault[512];
    if (len > INPUT_MAX) return 0;
    json_t *value = load(span_make(bytes, len), fault);
    if (!json_is_object(value)) { /* no document is anything else */
        json_decref(value);
        return 0;
    }
    char *text = yaml_json_canonical(value);
    ASSERT(text != NULL);
    json_t *again = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ASSERT(again != NULL && json_equal(again, value));
    char *once_more = yaml_json_canonical(again);
    ASSERT(once_more != NULL && strcmp(text, once_more) == 0);
    json_decref(again);
    json_decref(value);
    free(once_more);
    free(text);
    return 0;
}
