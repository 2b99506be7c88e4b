/* ids: things that must not be mixed up, each its own type. All are public values; secrets are in crypto/types.h. */
#ifndef PERIGEE_PROTO_BASE_IDS_H
#define PERIGEE_PROTO_BASE_IDS_H

#include "proto/base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct hash32 {
    uint8_t bytes[32];
}; /* a hash whose meaning its field's name gives */
struct node_id {
    uint8_t bytes[32];
}; /* BIP-340 x-only public key */
struct record_id {
    uint8_t bytes[32];
}; /* sha2-256 of a record header */
struct consortium_id {
    uint8_t bytes[32];
}; /* sha2-256 of charter version 1 */
struct compose_hash {
    uint8_t bytes[32];
}; /* sha2-256 of a workflow document */
struct dt {
    uint8_t bytes[32];
}; /* data token: H("perigee/dt/v1", owner, salt) */
struct content_id {
    uint8_t bytes[32];
}; /* id of a sealed body */
struct run_id {
    uint8_t bytes[32];
}; /* record id of a run record */

/* Monotonic nanoseconds since an arbitrary start. Safety rules use this and never the wall clock. */
struct instant {
    int64_t ns;
};
#define INSTANT_NEVER ((struct instant){INT64_MAX})

#define ID_EQUAL(a, b) (ids_equal((a).bytes, (b).bytes))
#define ID_SPAN(id)    ((struct span){(id).bytes, 32})
#define ID_IS_ZERO(id) (ids_zero((id).bytes))
bool ids_equal(const uint8_t a[32], const uint8_t b[32]); /* public bytes: not constant time */
bool ids_zero(const uint8_t id[32]);

#endif
