/* Which addresses a member may give of itself, and which lead back to whoever dials them. */
#include "proto/contact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_what_is_an_address(void **state)
{
    static const char *const good[] = {
        "tcp://10.0.0.7:65535",     "tcp://223.255.255.255:7001", "tcp://1.2.3.4:1",
        "tcp://[2001:db8::7]:7001", "tcp://[1:2:3:4:5:6:7:8]:1",  "tcp://[::1]:7001",
        "tcp://[ff::1]:7001",       "tcp://[2001:db8::]:7001",    "tcp://[1::3:4:5:6:7:8]:1",
    };
    static const char *const bad[] = {
        "",
        "tcp://",
        "tcp://node.hospital.example:7001", /* a name */
        "tcp://localhost:7001",
        "tcp://00.0.0.0:7001",
        "tcp://127.0.0.01:7001",
        "tcp://[127.0.0.1]:7001",
        "tcp://[127.1]:7001",
        "tcp://[2130706433]:7001",
        "tcp://[::ffff:127.0.0.1]:7001",
        "tcp://[1:2:3:4:5:6:7]:7001",
        "tcp://[1:2:3:4:5:6:7:8:9]:7001",
        "tcp://[1:2:3:4:5:6:7::8]:7001",
        "tcp://[1::2::3]:7001",
        "tcp://[:::]:7001",
        "tcp://[:1:2:3:4:5:6:7]:7001",
        "tcp://[1:2:3:4:5:6:7:]:7001",
        "tcp://[12345::]:7001",
        "tcp://:7001",
        "tcp://node",
        "tcp://node:",
        "tcp://node:0",
        "tcp://node:07",
        "tcp://node:65536",
        "tcp://node:123456",
        "tcp://node:7001/",
        "tcp://node:-1",
        "ipc:///run/perigee.sock",
        "ws://node:7001",
        "TCP://node:7001",
        "tcp://Node:7001",
        "tcp://user@node:7001",
        "tcp://node:7001\n",
        "tcp://no de:7001",
        "tcp://node..example:7001",
        "tcp://.node:7001",
        "tcp://node.:7001",
        "tcp://-node:7001",
        "tcp://node-:7001",
        "tcp://127.1:7001", /* what resolvers read as 127.0.0.1 */
        "tcp://2130706433:7001",
        "tcp://0x7f.1:7001",
        "tcp://1.2.3.256:7001",
        "tcp://1.2.3:7001",
        "tcp://1.2.3.4.5:7001",
        "tcp://[]:7001",
        "tcp://[::1:7001",
        "tcp://::1:7001",
        "tcp://[fe80::1%eth0]:7001",
        "tcp://[2001:DB8::7]:7001",
        "tcp://0.0.0.0:7001", /* of no machine, or of many */
        "tcp://0.1.2.3:7001",
        "tcp://224.0.0.1:7001",
        "tcp://255.255.255.255:7001",
        "tcp://[::]:7001",
        "tcp://[0:0:0:0:0:0:0:0]:7001",
        "tcp://[ff02::1]:7001",
        "tcp://[fe80::1]:7001",
        "tcp://[febf::1]:7001",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!contact_valid(span_text(good[i]))) fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (contact_valid(span_text(bad[i]))) fail_msg("%s is taken", bad[i]);
    assert_false(contact_valid(SPAN_NONE));
    assert_false(contact_valid(SPAN_LITERAL("tcp://no\0de:7001")));
}

static void test_what_leads_back(void **state)
{
    static const char *const local[] = {
        "tcp://127.0.0.1:7001", "tcp://127.255.1.2:7001",  "tcp://169.254.169.254:80",
        "tcp://[::1]:7001",     "tcp://[::ffff:7f00:1]:1", "tcp://[0:0:0:0:0:0:0:1]:7001",
    };
    static const char *const far[] = {
        "tcp://10.0.0.7:7001",      "tcp://192.168.1.1:7001", "tcp://1.0.0.127:7001",
        "tcp://[2001:db8::1]:7001", "tcp://[fd00::1]:7001",   "tcp://[fec0::1]:7001",
    };
    (void)state;
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++)
        if (!contact_valid(span_text(local[i])) || !contact_local(span_text(local[i])))
            fail_msg("%s would be dialled", local[i]);
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++)
        if (!contact_valid(span_text(far[i])) || contact_local(span_text(far[i])))
            fail_msg("%s would not be dialled", far[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_an_address),
        cmocka_unit_test(test_what_leads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
