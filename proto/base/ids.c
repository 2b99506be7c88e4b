#include "proto/base/ids.h"

#include <string.h>

bool ids_equal(const uint8_t a[32], const uint8_t b[32])
{
    return memcmp(a, b, 32) == 0;
}

bool ids_zero(const uint8_t id[32])
{
    static const uint8_t zero[32];
    return memcmp(id, zero, 32) == 0;
}
