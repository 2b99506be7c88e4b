#include "proto/base/caps.h"

#include <stddef.h>
#include <string.h>

#define CAPS_NOT_ABOVE(field, constant, full, light, sim)                                                    \
    _Static_assert((light) <= (full) && (sim) <= (full) && (light) > 0 && (sim) > 0, #constant);
CAPS_TABLE(CAPS_NOT_ABOVE)

#define CAPS_OF_FULL(field, constant, full, light, sim)  .field = (full),
#define CAPS_OF_LIGHT(field, constant, full, light, sim) .field = (light),
#define CAPS_OF_SIM(field, constant, full, light, sim)   .field = (sim),
const struct caps caps_full = {.name = "full", CAPS_TABLE(CAPS_OF_FULL)};
const struct caps caps_light = {.name = "light", CAPS_TABLE(CAPS_OF_LIGHT)};
const struct caps caps_sim = {.name = "sim", CAPS_TABLE(CAPS_OF_SIM)};

const struct caps *caps_named(const char *name)
{
    static const struct caps *const all[] = {&caps_full, &caps_light, &caps_sim};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->name, name) == 0) return all[i];
    return NULL;
}
