#include "node/yaml_shape.h"

#include "node/fault.h"

#include <yaml.h>

struct shape {
    const char *path;
    char *fault;
    size_t cap;
    int depth;
    bool any, over; /* there was something; a document has ended */
};

/* What one token opens less what it closes. */
static int opens(const yaml_token_t *token)
{
    switch (token->type) {
    case YAML_BLOCK_SEQUENCE_START_TOKEN:
    case YAML_BLOCK_MAPPING_START_TOKEN:
    case YAML_FLOW_SEQUENCE_START_TOKEN:
    case YAML_FLOW_MAPPING_START_TOKEN: return 1;
    case YAML_BLOCK_END_TOKEN:
    case YAML_FLOW_SEQUENCE_END_TOKEN:
    case YAML_FLOW_MAPPING_END_TOKEN: return -1;
    default: return 0;
    }
}

static enum err refuse(const struct shape *s, const yaml_token_t *token, const char *expected)
{
    return fault_set(s->fault, s->cap, ERR_SYNTAX, "%s:%zu: expected %s", s->path, token->start_mark.line + 1,
                     expected);
}

static enum err see(struct shape *s, const yaml_token_t *token)
{
    const bool starts = token->type == YAML_DOCUMENT_START_TOKEN,
               ends = token->type == YAML_DOCUMENT_END_TOKEN;
    const bool stream = token->type == YAML_STREAM_START_TOKEN || token->type == YAML_STREAM_END_TOKEN;
    if ((starts && s->any) || (s->over && !ends && !stream)) return refuse(s, token, "one document");
    s->any |= !stream;
    s->over |= ends;
    if (token->type == YAML_ALIAS_TOKEN || token->type == YAML_ANCHOR_TOKEN || token->type == YAML_TAG_TOKEN)
        return refuse(s, token, "no aliases, no anchors and no tags");
    s->depth += opens(token);
    if (s->depth < 0) return refuse(s, token, "something to be closed here");
    return s->depth > YAML_DEPTH_MAX ? refuse(s, token, "fewer levels") : OK;
}

enum err yaml_shape_check(struct span text, const char *path, char *fault, size_t cap)
{
    struct shape s = {path, fault, cap, 0, false, false};
    yaml_parser_t p;
    yaml_token_t token;
    enum err err = OK;
    if (yaml_parser_initialize(&p) == 0) return ERR_NO_MEMORY;
    yaml_parser_set_input_string(&p, text.data, text.len);
    for (bool end = false; err == OK && !end && yaml_parser_scan(&p, &token) != 0;) {
        end = token.type == YAML_STREAM_END_TOKEN;
        err = see(&s, &token);
        yaml_token_delete(&token);
    }
    yaml_parser_delete(&p);
    return err;
}
