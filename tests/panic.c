/* panic for tests: the product's end, so that a broken assertion ends the test program (and a fuzzer keeps the input),
 * unless the test says with expect_assert_failure() that this call must panic. */
#include "proto/base/panic.h"
#include "node/defect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

_Noreturn void panic(const char *file, int line, const char *what)
{
    if (global_expecting_assert) mock_assert(0, what, file, line); /* does not return */
    defect_end(file, line, what);
}
