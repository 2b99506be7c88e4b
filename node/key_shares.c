#include "node/key_shares.h"

#include "crypto/cocktail.h"
#include "crypto/keyfile.h"
#include "crypto/secret.h"
#include "node/fault.h"

#include <stdio.h>
#include <string.h>

enum { SHARE_FILE_NAME_MAX = 64 };

bool key_shares_of(struct key_shares *out, const struct body_COMMITTEE *committee, uint32_t seat)
{
    const struct span shares[KEYGEN_PURPOSES] = {committee->shares_a, committee->shares_b};
    *out =
        (struct key_shares){.epoch = (uint32_t)committee->epoch, .key = {committee->key_a, committee->key_b}};
    for (uint32_t i = 0; i < KEYGEN_PURPOSES; i++) {
        if (shares[i].len / 32 <= seat) return false;
        memcpy(out->public_share[i].bytes, shares[i].data + (size_t)seat * 32, 32);
    }
    return true;
}

static const struct {
    const char *suffix, *kind;
} file_of[] = {
    [WORK_STATE] = {"state", "keygen-state"},
    [WORK_SHARE] = {"share", "keygen-share"},
};

static void name_file(char out[SHARE_FILE_NAME_MAX], struct work_place place)
{
    (void)snprintf(out, SHARE_FILE_NAME_MAX, "keygen/%u-%u.%s", place.epoch, place.purpose,
                   file_of[place.item].suffix);
}

void key_shares_path(char out[PATH_MAX], const struct home *h, struct work_place place)
{
    char name[SHARE_FILE_NAME_MAX];
    name_file(name, place);
    home_path(out, h, name);
}

enum err key_shares_load(const struct home *h, struct work_place place, void *out, size_t len)
{
    char path[PATH_MAX];
    size_t came = 0;
    uint8_t *bytes = secret_alloc(KEYFILE_SECRET_MAX);
    if (bytes == NULL) return ERR_NO_MEMORY;
    key_shares_path(path, h, place);
    enum err err = keyfile_read(path, file_of[place.item].kind, bytes, &came, home_keygen_passphrase(h));
    if (err == OK && came != len) err = ERR_CORRUPT;
    if (err == OK) memcpy(out, bytes, len);
    secret_free(bytes);
    return err;
}

enum err key_shares_save(const struct home *h, struct work_place place, struct span secret)
{
    char path[PATH_MAX];
    key_shares_path(path, h, place);
    return keyfile_write(path, file_of[place.item].kind, secret, home_keygen_passphrase(h));
}

static enum err check_one(struct key_share *held, const struct home *h, const struct key_shares *expected,
                          struct work_place place)
{
    const uint32_t i = place.purpose - 1;
    struct point own;
    TRY(key_shares_load(h, place, held, sizeof *held));
    TRY(cocktail_public_of(&own, &held->x));
    const bool same = memcmp(held->y.bytes, expected->key[i].bytes, 32) == 0 &&
                      memcmp(own.bytes, expected->public_share[i].bytes, 32) == 0;
    return same ? OK : ERR_KEY;
}

static const char *what_came(enum err err)
{
    if (err == ERR_NOT_FOUND) return "there is no such file";
    if (err == ERR_REFUSED) return "it is not this user's alone (mode 0600)";
    if (err == ERR_CORRUPT) return "the file is damaged";
    if (err == ERR_KEY) return "the file holds a share of another key or seat";
    if (err == ERR_DECRYPT) return "this node's keys do not open it";
    return err_text(err);
}

enum err key_shares_check(const struct home *h, const struct key_shares *expected, char *fault, size_t cap)
{
    struct key_share *held = secret_alloc(sizeof *held);
    if (held == NULL) return fault_set(fault, cap, ERR_NO_MEMORY, "out of memory");
    enum err err = OK;
    for (uint32_t i = 0; i < KEYGEN_PURPOSES && err == OK; i++) {
        char name[SHARE_FILE_NAME_MAX];
        const struct work_place place = {WORK_SHARE, expected->epoch, i + 1};
        name_file(name, place);
        err = check_one(held, h, expected, place);
        if (err != OK)
            err = fault_set(
                fault, cap, err,
                "%s: expected this seat's share of key %c; %s: restore a backup of this node beside "
                "it and copy the file from there. Without it this custodian gives no shares",
                name, "AB"[i], what_came(err));
    }
    secret_free(held);
    return err;
}
