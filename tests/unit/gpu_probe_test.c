/* The probe claims only what was read: empty fields and a reason wherever reading failed. */
#include "gpu/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void judgement(void **state)
{
    (void)state;
    assert_int_equal(probe_judge(2, 1, 0), PROBE_CONFIDENTIAL_ON);
    assert_int_equal(probe_judge(2, 1, 1),
                     PROBE_CONFIDENTIAL_NOT_SECURE); /* developer tools see everything */
    assert_int_equal(probe_judge(1, 1, 0), PROBE_CONFIDENTIAL_NOT_SECURE); /* simulated */
    assert_int_equal(probe_judge(0, 1, 0), PROBE_CONFIDENTIAL_NOT_SECURE);
    assert_int_equal(probe_judge(0, 0, 0), PROBE_CONFIDENTIAL_OFF);
    assert_int_equal(probe_judge(2, 0, 0), PROBE_CONFIDENTIAL_OFF);
    assert_int_equal(probe_judge(3, 1, 0), PROBE_CONFIDENTIAL_UNKNOWN);
    assert_int_equal(probe_judge(2, 2, 0), PROBE_CONFIDENTIAL_UNKNOWN);
    assert_int_equal(probe_judge(2, 1, 2), PROBE_CONFIDENTIAL_UNKNOWN);
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(probe_confidential_name(PROBE_CONFIDENTIAL_UNKNOWN), "unknown");
    assert_string_equal(probe_confidential_name(PROBE_CONFIDENTIAL_OFF), "off");
    assert_string_equal(probe_confidential_name(PROBE_CONFIDENTIAL_NOT_SECURE), "not-secure");
    assert_string_equal(probe_confidential_name(PROBE_CONFIDENTIAL_ON), "on");
}

static void this_machine(void **state)
{
    struct probe p;
    (void)state;
    memset(&p, 0xff, sizeof p);
    engine_probe(&p);
    print_message(
        "CUDA built %d, device %d, NVML %d (device %d), name \"%s\", driver \"%s\", %llu bytes, %u.%u, "
        "confidential %s, why \"%s\"\n",
        p.cuda_built, p.cuda_device, p.nvml, p.nvml_device, p.name, p.driver,
        (unsigned long long)p.memory_bytes, p.capability_major, p.capability_minor,
        probe_confidential_name(p.confidential), p.why);
    assert_true(p.cuda_built || !p.cuda_device);
    assert_true(p.nvml || !p.nvml_device);
    if (p.cuda_device) assert_true(p.name[0] != '\0' && p.memory_bytes > 0 && p.capability_major > 0);
    if (!p.cuda_device && !p.nvml_device) {
        assert_true(p.name[0] == '\0' && p.memory_bytes == 0 && p.capability_major == 0 &&
                    p.capability_minor == 0);
        assert_int_equal(p.confidential, PROBE_CONFIDENTIAL_UNKNOWN);
    }
    if (!p.nvml) assert_true(p.driver[0] == '\0');
    if (!p.cuda_device || !p.nvml_device || p.confidential == PROBE_CONFIDENTIAL_UNKNOWN)
        assert_true(p.why[0] != '\0');
    assert_true(strlen(p.why) < sizeof p.why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judgement),
        cmocka_unit_test(names),
        cmocka_unit_test(this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
