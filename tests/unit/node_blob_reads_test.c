/* node/blob_reads: every read is answered once, one peer cannot take more than its share, and nobody else pays for it. */
#include "node/blob_reads.h"
#include "proto/base/panic.h"
#include "tests/storage_place.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static uv_loop_t loop;
static struct store *store;
static struct blob_reads *reads;
static struct storage_blob blob;
static uint32_t done_count, right_count;

static void done(void *context, struct blob_read *read)
{
    (void)context;
    const size_t len = read->bytes.len - BLOB_READ_HEADROOM;
    done_count++;
    if (read->err != OK) return;
    right_count += span_equal(span_make(read->bytes.data + BLOB_READ_HEADROOM, len), blob.value);
}

static int begin(void **state)
{
    (void)state;
    blob = storage_blob_make(0x1e, SPAN_LITERAL("a chunk"));
    ASSERT(memory_store_open(&store, UINT64_C(64) << 20) == OK);
    const struct store_write write = {STORE_PUT, STORE_BLOB, SPAN_OF(blob.key), blob.value};
    ASSERT(store_write_now(store, &write, 1) == OK);
    ASSERT(uv_loop_init(&loop) == 0);
    const struct blob_reads_options options = {&loop, store, NULL, done};
    ASSERT(blob_reads_open(&reads, &options) == OK);
    done_count = right_count = 0;
    return 0;
}

static int finish(void **state)
{
    (void)state;
    blob_reads_close(reads);
    ASSERT(uv_loop_close(&loop) == 0);
    store_close(store);
    return 0;
}

static enum err ask(uint8_t peer)
{
    struct node_id node = {{0}};
    struct run_id run = {{7}};
    node.bytes[0] = peer;
    return blob_reads_ask(reads, node, run, blob.key, SPAN_NONE);
}

static void a_peer_has_its_share(void **state)
{
    (void)state;
    for (int turn = 0; turn < 2; turn++) { /* places come back */
        done_count = right_count = 0;
        for (int i = 0; i < BLOB_READS_PER_PEER; i++) assert_int_equal(ask(1), OK);
        for (int i = 0; i < 1000; i++) assert_int_equal(ask(1), ERR_FULL);
        assert_int_equal(ask(2), OK);
        assert_int_equal(ask(0), OK);
        assert_int_equal(blob_reads_in_flight(reads), BLOB_READS_PER_PEER + 2);
        assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(done_count, BLOB_READS_PER_PEER + 2);
        assert_int_equal(right_count, 1); /* the local enclave's: a peer without manifests may have nothing */
        assert_int_equal(blob_reads_in_flight(reads), 0);
    }
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    blob.key[10] ^= 1;
    assert_int_equal(ask(0), OK);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(done_count, 1);
    assert_int_equal(right_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_peer_has_its_share, begin, finish),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_said, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
