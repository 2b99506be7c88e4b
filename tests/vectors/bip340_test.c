/* BIP-340's published vectors: every row is verified; rows with a secret, zero auxiliary randomness and a 32-byte
 * message (what the protocol signs) are signed as well. */
#include "crypto/identity.h"
#include "crypto/secret.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { COLUMNS = 8 };
enum { SECRET = 1, PUBLIC = 2, AUX = 3, MESSAGE = 4, SIGNATURE = 5, RESULT = 6 };
static const char vectors_path[] = PERIGEE_SHARED_DIR "/vectors/bip340/bip340.csv";

/* Upper-case hex of at most `cap` bytes. */
static struct span decode(uint8_t *out, size_t cap, char *hex)
{
    size_t len = strlen(hex) / 2;
    assert_true(len <= cap);
    for (char *c = hex; *c != 0; c++)
        if (*c >= 'A' && *c <= 'F') *c = (char)(*c - 'A' + 'a');
    assert_int_equal(hex_decode(out, len, span_text(hex)), OK);
    return span_make(out, len);
}

static void split(char *column[COLUMNS], char *line)
{
    line[strcspn(line, "\r\n")] = 0;
    for (size_t i = 0; i < COLUMNS; i++) {
        column[i] = line;
        if (i + 1 == COLUMNS) return; /* the comment may hold commas */
        line += strcspn(line, ",");
        assert_int_equal(*line, ',');
        *line++ = 0;
    }
}

static bool check_signing(char *column[COLUMNS], struct node_id id, struct span message,
                          const struct signature *sig)
{
    struct identity_secret secret;
    struct node_id own;
    struct signature actual;
    struct hash32 hash;
    uint8_t aux[32];
    if (decode(secret.bytes, 32, column[SECRET]).len != 32) return false;
    assert_int_equal(identity_public(&own, &secret), OK);
    assert_memory_equal(own.bytes, id.bytes, 32);
    if (decode(aux, 32, column[AUX]).len != 32 || !ids_zero(aux) || message.len != 32) return false;
    memcpy(hash.bytes, message.data, 32);
    assert_int_equal(identity_sign(&actual, &secret, hash), OK);
    assert_memory_equal(actual.bytes, sig->bytes, 64);
    return true;
}

static bool check_row(char *column[COLUMNS])
{
    struct node_id id;
    struct signature sig;
    uint8_t message_bytes[256];
    struct span message = decode(message_bytes, sizeof message_bytes, column[MESSAGE]);
    bool valid = strcmp(column[RESULT], "TRUE") == 0;
    enum err err;
    assert_true(valid || strcmp(column[RESULT], "FALSE") == 0);
    assert_int_equal(decode(id.bytes, 32, column[PUBLIC]).len, 32);
    assert_int_equal(decode(sig.bytes, 64, column[SIGNATURE]).len, 64);
    err = identity_verify_bytes(id, message, &sig);
    assert_true(valid ? err == OK : err == ERR_SIGNATURE || err == ERR_KEY);
    return check_signing(column, id, message, &sig);
}

static void rows(void **state)
{
    char line[2048], *column[COLUMNS];
    uint32_t count = 0, signed_count = 0;
    FILE *file = fopen(vectors_path, "r");
    (void)state;
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file)); /* the header */
    while (fgets(line, sizeof line, file) != NULL) {
        split(column, line);
        signed_count += check_row(column);
        count++;
    }
    assert_int_equal(fclose(file), 0);
    print_message("%u rows verified, %u of them signed\n", count, signed_count);
    assert_true(count >= 19 && signed_count >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows)};
    FILE *file = fopen(vectors_path, "r");
    if (file == NULL) {
        (void)printf("SKIPPED: %s is not there\n", vectors_path);
        return 77;
    }
    (void)fclose(file);
    if (crypto_init() != OK) return 1;
    return cmocka_run_group_tests_name("vectors/bip340", tests, NULL, NULL);
}
