#include "proto/parties.h"

#include "proto/base/panic.h"

void parties_begin(struct parties *p)
{
    p->count = 0;
    p->left_out = UINT64_MAX;
}

static struct party *find(struct parties *p, struct node_id node)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (ID_EQUAL(p->row[i].node, node)) return &p->row[i];
    return NULL;
}

static struct party *last(struct parties *p)
{
    struct party *found = &p->row[0];
    for (uint32_t i = 1; i < p->count; i++)
        if (p->row[i].key > found->key) found = &p->row[i];
    return found;
}

static void leave_out(struct parties *p, uint64_t key)
{
    if (key < p->left_out) p->left_out = key;
}

void parties_want(struct parties *p, struct node_id node, enum parties_why why, uint32_t run)
{
    const uint64_t key = (uint64_t)why << 32 | (uint32_t)(run - p->first_run);
    struct party *row = find(p, node);
    ASSERT(p->count <= PARTIES_MAX);
    if (row != NULL) {
        if (key < row->key) row->key = key;
        return;
    }
    if (p->count < PARTIES_MAX) {
        p->row[p->count++] = (struct party){node, key};
        return;
    }
    row = last(p);
    leave_out(p, key < row->key ? row->key : key);
    if (key < row->key) *row = (struct party){node, key};
}

void parties_end(struct parties *p, int64_t now_ns)
{
    const int64_t turn_ns = now_ns + (int64_t)PARTIES_TURN_MS * 1000000;
    if (p->left_out == UINT64_MAX) {
        p->turn_ns = turn_ns;
    } else if (now_ns >= p->turn_ns) {
        const uint32_t step = (uint32_t)p->left_out;
        p->first_run += step > 0 ? step : 1;
        p->turn_ns = turn_ns;
    }
}

bool parties_has(const struct parties *p, struct node_id node)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (ID_EQUAL(p->row[i].node, node)) return true;
    return false;
}
