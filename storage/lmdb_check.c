#include "storage/lmdb_check.h"

#include "proto/base/panic.h"
#include "storage/lmdb_env.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* LMDB's layout: what lies where, in bytes. */
enum {
    PAGE_HEAD = LMDB_HEAD_BYTES, /* number 8, pad 2, flags 2, then lower 2 and upper 2, or a count 4 */
    PAGE_FLAGS = 10,
    PAGE_LOWER = 12,
    PAGE_UPPER = 14,
    PAGE_COUNT = 12,
    IS_BRANCH = 1,
    IS_LEAF = 2,
    IS_FAR = 4,
    NODE_HEAD = 8, /* low 2, high 2, flags 2, key's length 2 */
    NODE_BIG = 1,
    NODE_TREE = 2,
    TREE_BYTES = 48,
    META_TREES = PAGE_HEAD + 24, /* the free list's, which begins with the page size 4, and the main one's */
    META_LAST = META_TREES + 2 * TREE_BYTES,
    META_TXN = META_LAST + 8,
    META_BYTES = META_TXN + 8
};
enum {
    PAGE_BYTES_MIN = 1 << 9,
    PAGE_BYTES_MAX = 1 << 16,
    KEY_BYTES_MAX = 511,
    DEPTH_MAX = 32,
    TRY_MAX = 100,
    FREE_FLAGS = MDB_INTEGERKEY
};
#define NO_PAGE UINT64_MAX

struct tree {
    uint16_t flags, depth;
    uint64_t branches, leaves, overflows, entries, root;
};

struct check {
    int file;
    size_t page_bytes;
    uint64_t page_count; /* in the snapshot */
    uint64_t file_pages;
    bool all_heads, heads; /* of large values are read: of all, of the tree going on */
    uint8_t *taken;        /* a bit for each page */
    uint8_t *pages;        /* one page for each level */
    struct tree seen;      /* of the tree going on */
    enum { TREE_FREE, TREE_MAIN, TREE_NAMED } kind;
};

static uint16_t get16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static struct tree get_tree(const uint8_t *at)
{
    return (struct tree){get16(at + 4),  get16(at + 6),  get64(at + 8), get64(at + 16),
                         get64(at + 24), get64(at + 32), get64(at + 40)};
}

static enum err read_at(const struct check *c, uint8_t *out, size_t len, uint64_t offset)
{
    return pread(c->file, out, len, (off_t)offset) == (ssize_t)len ? OK : ERR_CORRUPT;
}

/* These pages are used here, and nowhere else. */
static enum err take(struct check *c, uint64_t first, uint64_t count)
{
    if (first < 2 || first >= c->page_count || count > c->page_count - first) return ERR_CORRUPT;
    for (uint64_t page = first; page < first + count; page++) {
        const uint8_t bit = (uint8_t)(1u << (page & 7));
        if (c->taken[page >> 3] & bit) return ERR_CORRUPT;
        c->taken[page >> 3] |= bit;
    }
    return OK;
}

static enum err take_present(struct check *c, uint64_t first, uint64_t count)
{
    TRY(take(c, first, count));
    return first + count <= c->file_pages ? OK : ERR_CORRUPT; /* free pages at the end need not exist */
}

/* --- free pages --------------------------------------------------------------------------------------------------- */

/* A count, and that many page numbers, falling. */
static enum err check_free_list(struct check *c, const uint8_t *list, size_t len)
{
    if (len < 8 || get64(list) > len / 8 - 1) return ERR_CORRUPT;
    for (uint64_t i = 1; i <= get64(list); i++) {
        if (i > 1 && get64(list + 8 * i) >= get64(list + 8 * (i - 1))) return ERR_CORRUPT;
        TRY(take(c, get64(list + 8 * i), 1));
    }
    return OK;
}

static enum err check_free_far(struct check *c, uint64_t first, size_t len)
{
    uint8_t *list = malloc(len);
    if (list == NULL) return ERR_NO_MEMORY;
    enum err err = read_at(c, list, len, first * c->page_bytes + PAGE_HEAD);
    if (err == OK) err = check_free_list(c, list, len);
    free(list);
    return err;
}

/* --- pages -------------------------------------------------------------------------------------------------------- */

static uint32_t node_count(const uint8_t *page)
{
    return (get16(page + PAGE_LOWER) - PAGE_HEAD) / 2u;
}

static const uint8_t *node_at(const uint8_t *page, uint32_t index)
{
    return page + get16(page + PAGE_HEAD + 2 * (size_t)index);
}

static size_t node_value_len(const uint8_t *node)
{
    return get16(node) | (size_t)get16(node + 2) << 16;
}

/* How much of its page it takes. */
static size_t node_len(const uint8_t *node, bool leaf)
{
    const size_t value = !leaf ? 0 : get16(node + 4) & NODE_BIG ? 8 : node_value_len(node);
    return (NODE_HEAD + get16(node + 6) + value + 1) & ~(size_t)1;
}

static enum err check_nodes(const struct check *c, const uint8_t *page, bool leaf)
{
    const size_t upper = get16(page + PAGE_UPPER);
    size_t filled = 0;
    for (uint32_t i = 0; i < node_count(page); i++) {
        const size_t at = get16(page + PAGE_HEAD + 2 * (size_t)i);
        if (at < upper || at + NODE_HEAD > c->page_bytes) return ERR_CORRUPT;
        const size_t len = node_len(page + at, leaf);
        if (len > c->page_bytes - at || get16(page + at + 6) > KEY_BYTES_MAX) return ERR_CORRUPT;
        filled += len;
    }
    return filled == c->page_bytes - upper ? OK : ERR_CORRUPT;
}

static enum err check_page(const struct check *c, const uint8_t *page, uint64_t number, bool leaf)
{
    const size_t lower = get16(page + PAGE_LOWER), upper = get16(page + PAGE_UPPER);
    if (get64(page) != number || get16(page + PAGE_FLAGS) != (leaf ? IS_LEAF : IS_BRANCH)) return ERR_CORRUPT;
    if (lower < PAGE_HEAD + (leaf ? 2 : 4) || lower % 2 != 0) return ERR_CORRUPT;
    if (lower > upper || upper > c->page_bytes) return ERR_CORRUPT;
    return check_nodes(c, page, leaf);
}

uint64_t lmdb_far_pages(size_t len, size_t page_bytes)
{
    return (PAGE_HEAD + len - 1) / page_bytes + 1;
}

uint64_t lmdb_far_count(const uint8_t *head, uint64_t first)
{
    return get64(head) == first && get16(head + PAGE_FLAGS) == IS_FAR ? get32(head + PAGE_COUNT) : 0;
}

/* The value's pages, as its first one says. A value that was written twice in one transaction, as LMDB does with its free list,
 * may have more than it needs: that the tree's head knows of as many is checked at its end. */
static enum err far_head(const struct check *c, uint64_t first, uint64_t *count)
{
    uint8_t head[PAGE_HEAD];
    if (first < 2 || first >= c->page_count) return ERR_CORRUPT;
    TRY(read_at(c, head, PAGE_HEAD, first * c->page_bytes));
    const uint64_t has = lmdb_far_count(head, first);
    if (has < *count) return ERR_CORRUPT;
    *count = has;
    return OK;
}

/* A value too large for its page has pages of its own. */
static enum err check_far(struct check *c, const uint8_t *node)
{
    const size_t len = node_value_len(node);
    const uint64_t first = get64(node + NODE_HEAD + get16(node + 6));
    uint64_t count = lmdb_far_pages(len, c->page_bytes);
    if (c->heads) TRY(far_head(c, first, &count));
    TRY(take_present(c, first, count));
    c->seen.overflows += count;
    return c->kind == TREE_FREE ? check_free_far(c, first, len) : OK;
}

/* --- trees -------------------------------------------------------------------------------------------------------- */

static enum err check_tree(struct check *c, uint32_t level, const struct tree *t);

static bool is_blobs(const uint8_t *node)
{
    static const char name[] = LMDB_BLOBS;
    return get16(node + 6) == sizeof name - 1 && memcmp(node + NODE_HEAD, name, sizeof name - 1) == 0;
}

/* The main tree holds the heads of all others, and other keys only where somebody else made it. */
static enum err check_named(struct check *c, uint32_t level, const uint8_t *node)
{
    const struct check outer = *c;
    if ((get16(node + 4) & NODE_TREE) == 0) return OK;
    if (node_value_len(node) != TREE_BYTES) return ERR_CORRUPT;
    const struct tree named = get_tree(node + NODE_HEAD + get16(node + 6));
    if (named.flags != 0) return ERR_REFUSED;
    c->kind = TREE_NAMED;
    c->heads = c->all_heads || !is_blobs(node);
    TRY(check_tree(c, level + 1, &named));
    c->kind = outer.kind;
    c->heads = outer.heads;
    c->seen = outer.seen;
    return OK;
}

static enum err check_entry(struct check *c, uint32_t level, const uint8_t *node)
{
    const uint16_t flags = get16(node + 4);
    if (get16(node + 6) == 0 || (flags & ~(NODE_BIG | NODE_TREE)) != 0) return ERR_CORRUPT;
    if (flags == NODE_BIG) return check_far(c, node);
    if (c->kind == TREE_FREE && flags == 0)
        return check_free_list(c, node + NODE_HEAD + get16(node + 6), node_value_len(node));
    if (c->kind == TREE_MAIN) return check_named(c, level, node);
    return flags == 0 ? OK : ERR_CORRUPT;
}

/* `height` is 1 for leaves; `level` counts from the main root and says whose buffer is free. */
static enum err check_subtree(struct check *c, uint32_t level, uint32_t height, uint64_t number)
{
    if (level >= DEPTH_MAX) return ERR_CORRUPT;
    uint8_t *page = c->pages + level * c->page_bytes;
    const bool leaf = height == 1;
    TRY(take_present(c, number, 1));
    TRY(read_at(c, page, c->page_bytes, number * c->page_bytes));
    TRY(check_page(c, page, number, leaf));
    for (uint32_t i = 0; i < node_count(page); i++) {
        const uint8_t *node = node_at(page, i);
        const uint64_t child = node_value_len(node) | (uint64_t)get16(node + 4) << 32;
        TRY(leaf ? check_entry(c, level, node) : check_subtree(c, level + 1, height - 1, child));
    }
    c->seen.entries += leaf ? node_count(page) : 0;
    c->seen.leaves += leaf;
    c->seen.branches += !leaf;
    return OK;
}

static enum err check_tree(struct check *c, uint32_t level, const struct tree *t)
{
    c->seen = (struct tree){.flags = t->flags, .depth = t->depth, .root = t->root};
    if ((t->root == NO_PAGE) != (t->depth == 0)) return ERR_CORRUPT;
    if (t->depth > 0) TRY(check_subtree(c, level, t->depth, t->root));
    const bool same = c->seen.branches == t->branches && c->seen.leaves == t->leaves &&
                      c->seen.overflows == t->overflows && c->seen.entries == t->entries;
    return same ? OK : ERR_CORRUPT;
}

/* --- the snapshot ------------------------------------------------------------------------------------------------- */

static enum err check_trees(struct check *c, const uint8_t meta[META_BYTES])
{
    const struct tree unused = get_tree(meta + META_TREES), main = get_tree(meta + META_TREES + TREE_BYTES);
    if ((unused.flags & 0xff) != FREE_FLAGS) return ERR_CORRUPT;
    if (main.flags != 0) return ERR_REFUSED;
    c->kind = TREE_FREE;
    c->heads = true;
    TRY(check_tree(c, 0, &unused));
    c->kind = TREE_MAIN;
    return check_tree(c, 0, &main);
}

static enum err check_snapshot(struct check *c, const uint8_t meta[META_BYTES])
{
    struct stat is;
    if (fstat(c->file, &is) != 0) return ERR_IO;
    c->file_pages = (uint64_t)is.st_size / c->page_bytes;
    c->page_count = get64(meta + META_LAST) + 1;
    if (c->page_count < 2 || c->page_count > (uint64_t)1 << 40) return ERR_CORRUPT;
    c->taken = calloc(1, (size_t)(c->page_count / 8 + 1));
    c->pages = malloc(DEPTH_MAX * c->page_bytes);
    enum err err = c->taken == NULL || c->pages == NULL ? ERR_NO_MEMORY : check_trees(c, meta);
    free(c->taken);
    free(c->pages);
    return err;
}

/* The head of the snapshot with this number. ERR_NOT_READY: there is none, or two commits later it was written over. */
static enum err find_meta(const struct check *c, uint8_t meta[META_BYTES], uint64_t txn)
{
    uint8_t again[META_BYTES];
    for (uint32_t i = 0; i < 2; i++) {
        TRY(read_at(c, meta, META_BYTES, i * c->page_bytes));
        TRY(read_at(c, again, META_BYTES, i * c->page_bytes)); /* not while it is being written */
        if (get64(meta + META_TXN) == txn && memcmp(meta, again, META_BYTES) == 0) return OK;
    }
    return ERR_NOT_READY;
}

/* While the transaction lasts, nothing it can reach is written over. */
static enum err check_once(struct check *c, MDB_env *env)
{
    uint8_t meta[META_BYTES];
    MDB_txn *txn;
    TRY(lmdb_env_err(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn)));
    enum err err = find_meta(c, meta, mdb_txn_id(txn));
    if (err == OK) err = check_snapshot(c, meta);
    mdb_txn_abort(txn);
    return err;
}

enum err lmdb_check_heads(int file)
{
    uint8_t meta[META_BYTES];
    uint32_t page_bytes = 0;
    for (uint32_t i = 0; i < 2; i++) {
        if (pread(file, meta, META_BYTES, i * (off_t)page_bytes) != META_BYTES) return OK;
        page_bytes = get32(meta + META_TREES);
        if (page_bytes < PAGE_BYTES_MIN || page_bytes > PAGE_BYTES_MAX) return ERR_CORRUPT;
        if ((page_bytes & (page_bytes - 1)) != 0) return ERR_CORRUPT;
    }
    return OK;
}

enum err lmdb_check(MDB_env *env, bool every_value)
{
    struct check c = {.all_heads = every_value};
    MDB_stat stat;
    enum err err = ERR_NOT_READY;
    TRY(lmdb_env_err(mdb_env_get_fd(env, &c.file)));
    TRY(lmdb_env_err(mdb_env_stat(env, &stat)));
    c.page_bytes = stat.ms_psize;
    for (uint32_t i = 0; i < TRY_MAX && err == ERR_NOT_READY; i++) err = check_once(&c, env);
    return err;
}
