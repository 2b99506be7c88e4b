/* document: the canonical JSON documents that records name by hash, as checked structures (PROTOCOL.md
 * "Documents"). A parser accepts exactly its schema: anything unknown, missing, out of range or contradictory
 * is refused with the path and what was expected. Structures live in the arena given; spans in them borrow
 * from the arena, not the input. Decimals arrive as strings and become integers: epsilon in 1e-9 ("nano"),
 * measures on their grid. Pure. One header per noun; this one includes them all. */
#ifndef PERIGEE_PROTO_DOCUMENT_H
#define PERIGEE_PROTO_DOCUMENT_H

#include "proto/charter.h"
#include "proto/ddo.h"
#include "proto/manifest.h"
#include "proto/op.h"
#include "proto/policy.h"
#include "proto/workflow.h"

/* --- output/1: what leaves an enclave ------------------------------------------------------------------ */
/* Written by the gate: fixed order and a fixed length (padded in "pad" to the workflow's max_bytes class). */

#endif
