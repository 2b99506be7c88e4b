/* What `perigee doctor --store` reads: rows of any bytes in any space. It looks at all of them, says what is wrong with no more
 * than there is, and changes nothing. */
#include "crypto/secret.h"
#include "node/store_check.h"
#include "proto/base/panic.h"
#include "tests/store_rows.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { INPUT_MAX = 1 << 17, DEFECTS_OF_A_ROW = 4 };

static void count(void *context, enum store_defect defect, struct span key)
{
    uint64_t *told = context;
    ASSERT(defect < STORE_DEFECT_COUNT && store_defect_name(defect)[0] != 0 && key.len > 0);
    ++*told;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct store_status before, after;
    struct store_health health;
    uint64_t told = 0, rows = 0;
    if (len > INPUT_MAX) return 0;
    ASSERT(crypto_init() == OK);
    struct store *s = store_rows_open(span_make(bytes, len));
    ASSERT(store_status(s, &before) == OK);
    ASSERT(store_check(&health, s, count, &told) == OK);
    ASSERT(store_status(s, &after) == OK);
    ASSERT(memcmp(before.entries, after.entries, sizeof before.entries) == 0);
    for (int i = 0; i < STORE_SPACE_COUNT; i++) rows += before.entries[i];
    ASSERT(told == store_health_defects(&health) && told <= DEFECTS_OF_A_ROW * rows);
    store_close(s);
    return 0;
}
