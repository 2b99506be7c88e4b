#include "proto/ddo.h"

#include "crypto/hash.h"
#include "proto/base/panic.h"
#include "proto/field.h"

const char *const column_type_names[5] = {"text", "integer", "decimal", "boolean", "date"};
const char *const asset_type_names[4] = {"dataset", "compute", "algorithm", "composite"};
const char *const budget_currency_names[2] = {"epsilon", "zcdp"};

/* A JSON integer, and room to add in int64: 9,007,199 epsilon, rho 8,192. */
#define BUDGET_MAX    INT64_C(9007199254740992)
#define ROW_COUNT_MAX (INT64_C(1) << 40)
static const uint32_t budget_places[2] = {9, 0};

/* --- Schema
 * ---------------------------------------------------------------------------------------------------------
 */

static uint8_t lower_case(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static bool same_column(struct span a, struct span b)
{
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower_case(a.data[i]) != lower_case(b.data[i])) return false;
    }
    return true;
}

int schema_column(const struct schema *schema, struct span name)
{
    for (uint32_t i = 0; i < schema->column_count; i++) {
        if (same_column(schema->column[i].name, name)) return (int)i;
    }
    return -1;
}

static void columns_write(struct json_writer *w, const struct schema *schema)
{
    json_begin_array(w);
    for (uint32_t i = 0; i < schema->column_count; i++) {
        json_begin_object(w);
        field_put_text(w, "name", schema->column[i].name);
        field_put_word(w, "type", column_type_names[schema->column[i].type]);
        json_end_object(w);
    }
    json_end_array(w);
}

void schema_hash(struct schema *schema)
{
    uint8_t bytes[CAP_COLUMNS * (CAP_NAME + 32) + 2];
    struct buffer out = BUFFER_OF(bytes);
    struct json_writer w;
    ASSERT(schema->column_count <= CAP_COLUMNS);
    json_writer_init(&w, &out);
    columns_write(&w, schema);
    ASSERT(!out.overflow);
    schema->hash = sha256(buffer_span(&out));
}

static enum err column_read(struct schema *schema, struct json_reader *r)
{
    struct column column = {SPAN_NONE, COLUMN_TEXT};
    uint32_t type = 0;
    field_column(r, "name", &column.name);
    if (column.name.len == 0) json_refuse(r, "name", ERR_SYNTAX, "a column name");
    if (schema_column(schema, column.name) >= 0) {
        json_refuse(r, "name", ERR_DUPLICATE, "each column once, whatever its case");
    }
    json_read_enum(r, "type", column_type_names, 5, &type);
    column.type = (enum column_type)type;
    schema->column[schema->column_count++] = column;
    return json_reader_done(r);
}

static enum err schema_read(struct schema *schema, struct json_reader *r)
{
    const struct json *array = json_read_array(r, "schema", 1, CAP_COLUMNS);
    if (array == NULL) return r->err;
    for (uint32_t i = 0; i < array->count; i++) {
        struct json_reader item;
        field_item(&item, r, "schema", i, &array->items[i]);
        TRY(column_read(schema, &item));
    }
    schema_hash(schema);
    return OK;
}

/* --- Reading ------------------------------------------------------------------------------------------- */

static enum err dataset_read(struct ddo *d, struct json_reader *parent)
{
    struct json_reader r;
    uint32_t currency = 0;
    int64_t budget = 0, row_count = 0;
    field_object(&r, parent, "dataset");
    TRY(schema_read(&d->schema, &r));
    field_column(&r, "unit_column", &d->unit_column);
    if (d->unit_column.len > 0 && schema_column(&d->schema, d->unit_column) < 0) {
        json_refuse(&r, "unit_column", ERR_NOT_FOUND, "a column of the schema, or nothing");
    }
    json_read_enum(&r, "currency", budget_currency_names, 2, &currency);
    if (currency != CURRENCY_EPSILON) /* a workflow's cost is in epsilon: another unit would not bound it */
        json_refuse(&r, "currency", ERR_REFUSED, "epsilon: zcdp is reserved");
    field_decimal(&r, "budget", budget_places[currency], 0, BUDGET_MAX, &budget);
    json_read_int(&r, "row_count", 0, ROW_COUNT_MAX, &row_count);
    json_read_bool(&r, "row_count_exact", &d->row_count_exact);
    d->currency = (enum budget_currency)currency;
    d->budget = (uint64_t)budget;
    d->row_count = (uint64_t)row_count;
    return json_reader_done(&r);
}

static void check_children(const struct ddo *d, const struct service *s, struct json_reader *r)
{
    const bool may = d->type == ASSET_ALGORITHM || d->type == ASSET_COMPOSITE;
    if (!may && s->child_count > 0) json_refuse(r, "child_dts", ERR_REFUSED, "none: a leaf has no children");
    if (d->type == ASSET_COMPOSITE && s->child_count == 0) {
        json_refuse(r, "child_dts", ERR_REFUSED, "at least one: a composite is made of others");
    }
    for (uint32_t i = 0; i < s->child_count; i++) {
        if (ID_EQUAL(s->child[i], d->dt))
            json_refuse(r, "child_dts", ERR_REFUSED, "other assets than this one");
    }
}

static bool has_op(const struct service *s, struct hash32 op)
{
    for (uint32_t i = 0; i < s->op_count; i++) {
        if (ID_EQUAL(s->op[i], op)) return true;
    }
    return false;
}

/* An op for every child, under the child's dt, and perhaps one of the service's own. */
static enum err set_ops_read(struct service_workflow *x, const struct service *s, struct json_reader *parent)
{
    struct json_reader r;
    field_object(&r, parent, "set_ops");
    for (uint32_t i = 0; i < s->child_count; i++) {
        char key[FIELD_DT_CHARS + 1];
        struct buffer text = BUFFER_OF(key);
        field_dt_text(&text, s->child[i]);
        buffer_put_zero(&text);
        field_hash(&r, key, &x->op[i]);
    }
    x->has_self = json_has(&r, "self");
    if (!x->has_self) return json_reader_done(&r);
    field_hash(&r, "self", &x->self_op);
    if (!has_op(s, x->self_op)) json_refuse(&r, "self", ERR_NOT_FOUND, "one of this service's supported_ops");
    return json_reader_done(&r);
}

static void check_configs(const struct json *configs, struct json_reader *r)
{
    for (uint32_t i = 0; configs != NULL && i < configs->count; i++) {
        enum json_form type = configs->items[i].type;
        struct span name;
        if (!field_is_name(configs->keys[i], &name)) {
            json_refuse(r, "configs", ERR_SYNTAX, "names of a-z 0-9 . _ -");
        }
        if (type != JSON_TYPE_INT && type != JSON_TYPE_BOOL && type != JSON_TYPE_STRING) {
            json_refuse(r, "configs", ERR_TYPE, "integers, booleans and strings");
        }
    }
}

static enum err combination_read(struct service_workflow *x, const struct service *s, struct json_reader *r)
{
    x->configs = json_read_object(r, "configs");
    check_configs(x->configs, r);
    TRY(set_ops_read(x, s, r));
    return json_reader_done(r);
}

/* Absent when there are none. */
static enum err combinations_read(struct service *s, struct arena *arena, struct json_reader *r)
{
    if (!json_has(r, "workflows")) return r->err;
    if (s->child_count == 0)
        json_refuse(r, "workflows", ERR_REFUSED, "none: there are no children to combine");
    const struct json *array = json_read_array(r, "workflows", 1, CAP_SERVICES);
    if (array == NULL) return r->err;
    s->workflow = ARENA_ARRAY(arena, struct service_workflow, array->count);
    if (s->workflow == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < array->count; i++) {
        struct json_reader item;
        field_item(&item, r, "workflows", i, &array->items[i]);
        TRY(combination_read(&s->workflow[i], s, &item));
        s->workflow_count = i + 1;
    }
    return OK;
}

static enum err service_read(struct service *s, const struct ddo *d, struct arena *arena,
                             struct json_reader *r)
{
    field_name(r, "type", &s->type);
    field_text(r, "endpoint", 0, CAP_TEXT, &s->endpoint);
    field_list(r, "child_dts", 0, CAP_CHILDREN, field_is_dt, "dt:perigee: and 64 lower-case hex digits",
               s->child, sizeof s->child[0], &s->child_count);
    field_list(r, "supported_ops", 0, CAP_OPS_IN_GRANT, field_is_hash, "64 lower-case hex digits", s->op,
               sizeof s->op[0], &s->op_count);
    check_children(d, s, r);
    TRY(combinations_read(s, arena, r));
    return json_reader_done(r);
}

static bool has_service(const struct ddo *d, struct span type)
{
    for (uint32_t i = 0; i < d->service_count; i++) {
        if (span_equal(d->service[i].type, type)) return true;
    }
    return false;
}

static enum err services_read(struct ddo *d, struct json_room room, struct json_reader *r)
{
    const struct json *array =
        json_read_array(r, "services", 0, d->type == ASSET_ALGORITHM ? 1 : CAP_SERVICES);
    if (array == NULL) return r->err;
    if (d->type == ASSET_COMPOSITE && array->count == 0) {
        json_refuse(r, "services", ERR_REFUSED, "at least one: a composite is made of others");
        return r->err;
    }
    d->service = ARENA_ARRAY(room.kept, struct service, array->count);
    if (d->service == NULL && array->count > 0) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < array->count; i++) {
        struct json_reader item;
        field_item(&item, r, "services", i, &array->items[i]);
        TRY(service_read(&d->service[i], d, room.scratch, &item));
        if (has_service(d, d->service[i].type)) {
            json_refuse(&item, "type", ERR_DUPLICATE, "each service type once");
            return item.err;
        }
        d->service_count = i + 1;
    }
    return OK;
}

static enum err ddo_read(struct ddo *d, struct json_room room, struct json_reader *r)
{
    uint32_t type = 0;
    field_dt(r, "dt", &d->dt);
    json_read_enum(r, "type", asset_type_names, 4, &type);
    d->type = (enum asset_type)type;
    field_name(r, "name", &d->name);
    field_text(r, "description", 0, CAP_TEXT, &d->description);
    field_jurisdiction(r, "jurisdiction", &d->jurisdiction);
    field_extra(r, &d->extra);
    TRY(services_read(d, room, r));
    if (d->type == ASSET_DATASET) TRY(dataset_read(d, r));
    return json_reader_done(r);
}

static enum err parse(struct ddo **out, struct json_room room, struct span bytes, struct json_fault *fault)
{
    struct json_reader r;
    struct ddo *d = ARENA_NEW(room.kept, struct ddo);
    if (d == NULL) return ERR_NO_MEMORY;
    TRY(field_document(&r, &d->bytes, room, bytes, "ddo/1", fault));
    TRY(ddo_read(d, room, &r));
    d->hash = sha256(d->bytes);
    *out = d;
    return OK;
}

enum err ddo_parse(struct ddo **out, struct arena *arena, struct span bytes, struct json_fault *fault)
{
    size_t mark = arena_mark(arena);
    enum err err = parse(out, JSON_ROOM_ONE(arena), bytes, fault);
    if (err != OK) arena_release(arena, mark);
    return err;
}

enum err ddo_keep(const struct ddo **out, struct json_room room, struct span bytes)
{
    size_t mark = arena_mark(room.kept), scratch = arena_mark(room.scratch);
    struct ddo *d = NULL;
    enum err err = parse(&d, room, bytes, NULL);
    arena_release(room.scratch, scratch);
    if (err != OK) {
        arena_release(room.kept, mark);
        return err;
    }
    d->extra = NULL;
    for (uint32_t i = 0; i < d->service_count; i++) {
        d->service[i].workflow_count = 0;
        d->service[i].workflow = NULL;
    }
    *out = d;
    return OK;
}

enum { COST_DDO = 2048, COST_SERVICE = 1280 };
_Static_assert(ARENA_BYTES(1, sizeof(struct ddo)) <= COST_DDO, "a ddo's cost");
_Static_assert(ARENA_BYTES(1, sizeof(struct service)) <= COST_SERVICE, "a service's cost");

size_t ddo_cost(const struct ddo *d)
{
    return COST_DDO + (size_t)d->service_count * COST_SERVICE + json_borrow_bytes(d->bytes);
}

/* --- Writing ------------------------------------------------------------------------------------------- */

static void dataset_write(struct json_writer *w, const struct ddo *d)
{
    json_key(w, "dataset");
    json_begin_object(w);
    field_put_decimal(w, "budget", (int64_t)d->budget, budget_places[d->currency]);
    field_put_word(w, "currency", budget_currency_names[d->currency]);
    field_put_int(w, "row_count", (int64_t)d->row_count);
    field_put_bool(w, "row_count_exact", d->row_count_exact);
    json_key(w, "schema");
    columns_write(w, &d->schema);
    field_put_text(w, "unit_column", d->unit_column);
    json_end_object(w);
}

/* The index of the child with the least dt above `after` (NULL: of all), or child_count: canonical keys are sorted. */
static uint32_t next_child(const struct service *s, const struct dt *after)
{
    uint32_t best = s->child_count;
    for (uint32_t i = 0; i < s->child_count; i++) {
        if (after != NULL && span_compare(ID_SPAN(s->child[i]), ID_SPAN(*after)) <= 0) continue;
        if (best == s->child_count || span_compare(ID_SPAN(s->child[i]), ID_SPAN(s->child[best])) < 0)
            best = i;
    }
    return best;
}

static void set_ops_write(struct json_writer *w, const struct service *s, const struct service_workflow *x)
{
    uint8_t keys[CAP_CHILDREN][FIELD_DT_CHARS]; /* the writer compares a key with the one before */
    uint32_t count = 0;
    json_key(w, "set_ops");
    json_begin_object(w);
    for (uint32_t i = next_child(s, NULL); i < s->child_count; i = next_child(s, &s->child[i])) {
        struct buffer key = BUFFER_OF(keys[count++]);
        field_dt_text(&key, s->child[i]);
        json_key_span(w, buffer_span(&key));
        json_put_hex(w, ID_SPAN(x->op[i]));
    }
    if (x->has_self) field_put_hex(w, "self", ID_SPAN(x->self_op));
    json_end_object(w);
}

static void combinations_write(struct json_writer *w, const struct service *s)
{
    if (s->workflow_count == 0) return;
    json_key(w, "workflows");
    json_begin_array(w);
    for (uint32_t i = 0; i < s->workflow_count; i++) {
        json_begin_object(w);
        json_key(w, "configs");
        json_put_value(w, s->workflow[i].configs);
        set_ops_write(w, s, &s->workflow[i]);
        json_end_object(w);
    }
    json_end_array(w);
}

static void service_write(struct json_writer *w, const struct service *s)
{
    json_begin_object(w);
    field_put_dts(w, "child_dts", s->child, s->child_count);
    field_put_text(w, "endpoint", s->endpoint);
    field_put_hashes(w, "supported_ops", s->op, s->op_count);
    field_put_text(w, "type", s->type);
    combinations_write(w, s);
    json_end_object(w);
}

enum err ddo_write(struct buffer *out, const struct ddo *d)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_begin_object(&w);
    if (d->type == ASSET_DATASET) dataset_write(&w, d);
    field_put_text(&w, "description", d->description);
    field_put_dt(&w, "dt", d->dt);
    field_put_extra(&w, d->extra);
    field_put_text(&w, "jurisdiction", d->jurisdiction);
    field_put_text(&w, "name", d->name);
    field_put_word(&w, "perigee", "ddo/1");
    json_key(&w, "services");
    json_begin_array(&w);
    for (uint32_t i = 0; i < d->service_count; i++) {
        service_write(&w, &d->service[i]);
    }
    json_end_array(&w);
    field_put_word(&w, "type", asset_type_names[d->type]);
    json_end_object(&w);
    return buffer_done(out);
}
