/* What an owner serves to the node elected for a run: of the run's manifests everything, of its other dataset nothing. */
#include "node/blob_scope.h"
#include "proto/base/panic.h"
#include "proto/manifest.h"
#include "tests/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct world *world;
static struct store *store;

static int begin(void **state)
{
    (void)state;
    world = world_new();
    ASSERT(memory_store_open(&store, UINT64_C(64) << 20) == OK);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    store_close(store);
    world_free(world);
    return 0;
}

static void keep(const struct world_blob *blob)
{
    struct store_write write = {STORE_PUT, STORE_BLOB, SPAN_OF(blob->cid), blob->bytes};
    assert_int_equal(store_write_now(store, &write, 1), OK);
}

static const struct manifest *manifest_of(uint32_t dataset)
{
    struct manifest *m = NULL;
    assert_int_equal(manifest_parse(&m, &world->arena, world->dataset[dataset].manifest, NULL), OK);
    return m;
}

static struct cid leaves_cid(uint32_t dataset)
{
    return cid_make(CID_SHA256, manifest_of(dataset)->leaves);
}

static struct cid chunk_cid(uint32_t dataset, uint32_t chunk)
{
    struct hash32 leaf;
    struct cid leaves = leaves_cid(dataset);
    const struct world_blob *list = world_blob(world, leaves.bytes);
    assert_non_null(list);
    assert_true(32 * (size_t)(chunk + 1) <= list->bytes.len);
    memcpy(leaf.bytes, list->bytes.data + 32 * (size_t)chunk, 32);
    return cid_make(CID_BLAKE3, leaf);
}

static void expect_all(struct hash32 pinned, uint32_t dataset, enum err err)
{
    struct cid manifest = cid_make(CID_SHA256, manifest_of(dataset)->hash), leaves = leaves_cid(dataset);
    assert_int_equal(blob_scope_check(store, ID_SPAN(pinned), manifest.bytes), err);
    assert_int_equal(blob_scope_check(store, ID_SPAN(pinned), leaves.bytes), err);
    for (uint32_t i = 0; i < manifest_of(dataset)->chunk_count; i++) {
        struct cid chunk = chunk_cid(dataset, i);
        assert_int_equal(blob_scope_check(store, ID_SPAN(pinned), chunk.bytes), err);
    }
}

static void test_before_anything_is_stored(void **state)
{
    (void)state;
    struct cid leaves = leaves_cid(0);
    assert_int_equal(blob_scope_check(store, ID_SPAN(manifest_of(0)->hash), leaves.bytes), ERR_REFUSED);
}

static void test_scope(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < world->blob_count; i++) keep(&world->blob[i]);
    expect_all(manifest_of(0)->hash, 0, OK);
    expect_all(manifest_of(1)->hash, 1, OK);
    expect_all(manifest_of(0)->hash, 1, ERR_REFUSED);
    expect_all(manifest_of(1)->hash, 0, ERR_REFUSED);
}

static void test_several_and_none(void **state)
{
    (void)state;
    struct hash32 both[2] = {manifest_of(0)->hash, manifest_of(1)->hash};
    struct cid chunk = chunk_cid(1, 0);
    assert_int_equal(blob_scope_check(store, span_make(both, sizeof both), chunk.bytes), OK);
    assert_int_equal(blob_scope_check(store, SPAN_NONE, chunk.bytes), ERR_REFUSED);
    chunk.bytes[35] ^= 1;
    assert_int_equal(blob_scope_check(store, span_make(both, sizeof both), chunk.bytes), ERR_REFUSED);
    chunk.bytes[0] ^= 1; /* no content id at all */
    assert_int_equal(blob_scope_check(store, span_make(both, sizeof both), chunk.bytes), ERR_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_anything_is_stored),
        cmocka_unit_test(test_scope),
        cmocka_unit_test(test_several_and_none),
    };
    return cmocka_run_group_tests(tests, begin, finish);
}
