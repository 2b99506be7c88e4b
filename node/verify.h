/* verify: a receipt checked offline, link by link, stopping at the first broken one. No network, no node, no clock: what is
 * judged at a time is judged at the median of the times the custodians signed. The only thing trusted is the consortium id,
 * which the caller must have from elsewhere.
 * Rules: proto/receipt.h decides; here the keyed work is done: signatures, both keys' certificates from the public messages
 * of key generation, the enclave's evidence. A link holds when the rule and all its keyed checks hold.
 * Threads: any; memory and cache belong to one thread at a time. */
#ifndef PERIGEE_NODE_VERIFY_H
#define PERIGEE_NODE_VERIFY_H

#include "proto/receipt.h"

enum { VERIFY_TEXT_MAX = 256, VERIFY_CACHE_SLOTS = 8192 };

/* What was found valid before: whoever checks many receipts of one consortium meets the same records again. Zero to begin
 * with. Only what holds is remembered, by the hash of everything it depends on. */
struct verify_cache {
    struct hash32 held[VERIFY_CACHE_SLOTS];
    uint32_t count;
};

struct verify_line {
    enum receipt_link link;
    bool ok;
    char text[2 * VERIFY_TEXT_MAX]; /* what it proves, or what was expected and what came */
};

struct verify_options {
    struct consortium_id anchor;                                 /* zero: not given, and nothing verifies */
    struct verify_cache *cache;                                  /* NULL: none */
    void (*line)(void *context, const struct verify_line *line); /* per link, in order; NULL: silent */
    void *context;
};

struct verify_result {
    bool verified;
    enum receipt_link broken; /* when not verified */
    char why[VERIFY_TEXT_MAX];
    bool simulated, output_known, privacy_none;
    struct run_id run;
    uint64_t median_ms, slot, term;
    uint32_t release_count, commit_count, record_count;
};

/* Memory for one verification at a time: a large sparse mapping, of which little is kept between verifications. */
MUST_USE enum err verify_memory_open(struct arena *out);
void verify_memory_reset(struct arena *arena);
void verify_memory_close(struct arena *arena);

/* OK: every link holds. Otherwise the error of the broken link, said in `out`; ERR_NO_MEMORY: nothing was found out. */
MUST_USE enum err verify_bytes(struct verify_result *out, struct arena *arena, struct span receipt,
                               const struct verify_options *options);

#endif
