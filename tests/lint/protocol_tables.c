/* Prints docs/PROTOCOL.md's section "Record and message tables" from proto/wire/table.h, the one definition of both. */
#include "proto/refusal.h"
#include "proto/wire/table.h"

#include <stdio.h>

#define TEXT_OF(arg)                #arg
#define SHOW(arg)                   TEXT_OF(arg)
#define FIELD_SHOW(kind, name, arg) SHOW_##kind(name, arg)
#define SHOW_ID(name, arg)          printf(" %s 32,", #name);
#define SHOW_UINT(name, arg)        printf(" %s uint,", #name);
#define SHOW_BYTES(name, arg)       printf(" %s bytes <= %llu,", #name, (unsigned long long)(arg));
#define SHOW_TEXT(name, arg)        printf(" %s text <= %llu,", #name, (unsigned long long)(arg));
#define SHOW_LIST32(name, arg)      printf(" %s <= %llu x 32,", #name, (unsigned long long)(arg));
#define SHOW_SIG(name, arg)         printf(" %s 64,", #name);

#define KIND_ROW(symbol, code, name, class, who, refers)                                                     \
    printf("| %d | %s | %s | %s |", code, name, who, refers);                                                \
    BODY_##symbol(FIELD_SHOW) printf(" |\n");
#define MESSAGE_ROW(symbol, code, name, bulk, what)                                                          \
    printf("| %d | %s | %s |", code, name, what);                                                            \
    MESSAGE_##symbol(FIELD_SHOW) printf(" |\n");
#define REFUSAL_ROW(symbol, code, name, text) printf("| %d | %s | %s |\n", code, name, text);

int main(void)
{
    printf("Kinds 1 to 31 are chained, 32 to 63 ephemeral, 64 and up statements (80, 82 and 83 signed by an "
           "enclave).\n"
           "A body is the canonical msgpack array of its fields in this order.\n\n"
           "| code | kind | who signs | refers to | fields |\n|---|---|---|---|---|\n");
    KIND_TABLE(KIND_ROW)
    printf("\nA link message is its code (1 byte), then the msgpack array of its fields.\n\n"
           "| code | message | what for | fields |\n|---|---|---|---|\n");
    MESSAGE_TABLE(MESSAGE_ROW)
    printf("\nRefusals: the one list of reasons for votes, releases, commits and requests.\n\n| code | name "
           "| text |\n|---|---|---|\n");
    REFUSAL_TABLE(REFUSAL_ROW)
    return 0;
}
