/* silence: why a key signs nothing any more (PROTOCOL.md "Lost and restored disks"). It is for good: what the key signed and
 * does not know cannot be known. Codes are kept in the store: rows are only appended. */
#ifndef PERIGEE_PROTO_SILENCE_H
#define PERIGEE_PROTO_SILENCE_H

/* X(symbol, code, name, text) */
#define SILENCE_TABLE(X)                                                                                     \
    X(SILENCE_NONE, 0, "none", "it signs")                                                                   \
    X(SILENCE_LOST, 1, "store-lost", "this is not the store that this key last signed with")                 \
    X(SILENCE_RESTORED, 2, "store-restored", "this store was put back as it once was")                       \
    X(SILENCE_UNKNOWN, 3, "store-unknown",                                                                   \
      "store.mark, which says with which store this key last signed, is missing, damaged or another key's")  \
    X(SILENCE_ELSEWHERE, 4, "signed-elsewhere",                                                              \
      "peers hold what this key signed and this store does not know: it was put back, or the key is used "   \
      "twice")

#define SILENCE_ENUM(symbol, code, name, text) symbol = code,
enum silence { SILENCE_TABLE(SILENCE_ENUM) SILENCE_COUNT };
#undef SILENCE_ENUM

const char *silence_name(enum silence s);
const char *silence_text(enum silence s);

#endif
