/* What is done about disks: backup, restore, and the key that takes the place of one whose disk was lost. */
#include "crypto/identity.h"
#include "crypto/secret.h"
#include "node/backup.h"
#include "node/client.h"
#include "node/config.h"
#include "node/fault.h"
#include "node/file.h"
#include "node/home.h"
#include "node/passphrase.h"
#include "proto/approval.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- backup, restore ----------------------------------------------------------------------------------------------- */

static json_t *told_json(const struct backup_told *told, const char *file, char node[65])
{
    hex_encode(node, told->node.bytes, sizeof told->node.bytes);
    return json_pack("{s:s, s:s, s:I, s:i}", "node", node, "file", file, "bytes", (json_int_t)told->bytes,
                     "entries", (int)told->entries);
}

/* A damaged store's copy is better than none, but whoever keeps it should know. */
static void tell_damage(const struct client *c, const struct backup_told *told, const char *file)
{
    if (c->json || (told->rows == OK && told->defects == 0)) return;
    (void)fprintf(stderr, "perigee backup: %s: the store that was copied is damaged: ", file);
    if (told->rows != OK)
        (void)fprintf(stderr, "its rows cannot all be read (%s)", err_text(told->rows));
    else
        (void)fprintf(stderr, "%" PRIu64 " defects", told->defects);
    (void)fprintf(stderr, "; `perigee doctor --data %s --store` names them. Keep the older backups\n",
                  c->data);
}

static json_t *written_json(const struct backup_told *told, const char *file, char node[65])
{
    json_t *answer = told_json(told, file, node);
    (void)json_object_set_new(answer, "defects",
                              told->rows == OK ? json_integer((json_int_t)told->defects) : json_null());
    return answer;
}

static int map_bytes_of(const struct client *c, uint64_t *out)
{
    char fault[512] = "", path[PATH_MAX];
    struct config *config = NULL;
    if (snprintf(path, sizeof path, "%s/perigee.yaml", c->data) >= (int)sizeof path)
        return client_fail(c, EXIT_USAGE, "--data: the path is too long");
    if (config_load(&config, path, fault, sizeof fault) != OK)
        return client_fail(c, EXIT_REFUSED, "%s", fault);
    *out = (uint64_t)config->store->map_gb << 30;
    config_free(config);
    return EXIT_OK;
}

int command_backup(int argc, char **argv)
{
    struct client c;
    const char *file = NULL;
    struct arguments a = {NULL, 0, 1, 1, 0, &file};
    struct backup_told told;
    uint64_t map_bytes = 0;
    char fault[512] = "", node[65];
    int code = client_begin(&c, "backup", &a, argc, argv);
    if (code == EXIT_OK) code = client_local(&c);
    if (code == EXIT_OK) code = map_bytes_of(&c, &map_bytes);
    if (code != EXIT_OK) return code;
    enum err err = crypto_init();
    if (err == OK) err = backup_write(&told, file, c.data, map_bytes, fault, sizeof fault);
    if (err != OK) return client_fail(&c, EXIT_REFUSED, "%s", fault[0] != 0 ? fault : err_text(err));
    tell_damage(&c, &told, file);
    return client_done(&c, written_json(&told, file, node),
                       "%s  %" PRIu64
                       " bytes of node %s\n%s. What is restored from it reads and serves; its key signs "
                       "nothing again: `perigee recover` then makes its successor",
                       file, told.bytes, node,
                       told.encrypted ? "Its keys are under their passphrase"
                                      : "ITS KEYS ARE IN CLEAR in it: keep it as you keep them");
}

int command_restore(int argc, char **argv)
{
    struct client c;
    const char *file = NULL;
    struct arguments a = {NULL, 0, 1, 1, 0, &file};
    struct backup_told told;
    char fault[512] = "", node[65];
    int code = client_begin(&c, "restore", &a, argc, argv);
    if (code == EXIT_OK) code = client_local(&c);
    if (code != EXIT_OK) return code;
    enum err err = crypto_init();
    if (err == OK) err = backup_restore(&told, file, c.data, fault, sizeof fault);
    if (err != OK) return client_fail(&c, EXIT_REFUSED, "%s", fault[0] != 0 ? fault : err_text(err));
    return client_done(
        &c, told_json(&told, file, node),
        "restored node %s into %s\nIts key signs nothing again, since it may have signed what this backup "
        "does "
        "not know: it reads and serves.\nFor a successor: `perigee init`, `perigee consortium join` and "
        "`perigee recover --from %s` with another data directory",
        node, c.data, c.data);
}

/* --- recover ------------------------------------------------------------------------------------------------------- */

struct recovery {
    const struct client *client;
    const char *from, *replaces, *passphrase_file;
    struct home home; /* of the new key */
    struct node_id old;
    struct signature consent;
    bool consents, yes;
    char fault[512];
};

/* A key that still signs needs no successor, and one for it ends its approvals for good. */
static enum err check_ended(struct recovery *r)
{
    struct client old = {.command = "recover", .data = r->from};
    json_t *status = NULL;
    const int len = snprintf(old.socket, sizeof old.socket, "%s/api.sock", r->from);
    if (r->yes || len >= (int)sizeof old.socket || client_try_get(&old, &status, "/v1/status") != EXIT_OK)
        return OK;
    const bool signs = json_is_null(json_object_get(status, "silent"));
    json_decref(status);
    return !signs ? OK
                  : fault_set(
                        r->fault, sizeof r->fault, ERR_REFUSED,
                        "%s: expected a key that is lost or silent, and its node runs and signs: a successor "
                        "takes its place for good, and its approvals end. If that is meant, stop that node, "
                        "or say --yes",
                        r->from);
}

/* The old key's own word, where it can still give it. */
static enum err sign_consent(struct recovery *r)
{
    struct passphrase *passphrase;
    struct home old;
    TRY(passphrase_read(&passphrase, r->passphrase_file, false, r->fault, sizeof r->fault));
    enum err err = home_open(&old, r->from, passphrase_span(passphrase), r->fault, sizeof r->fault);
    passphrase_free(passphrase);
    TRY(err);
    r->old = old.node;
    if (!ID_EQUAL(old.consortium, r->home.consortium))
        err = fault_set(r->fault, sizeof r->fault, ERR_CONSORTIUM,
                        "%s: belongs to another consortium than %s", r->from, r->home.path);
    if (err == OK)
        err = identity_sign(&r->consent, old.identity,
                            succession_sign_hash(old.consortium, old.node, r->home.node));
    r->consents = err == OK;
    home_close(&old);
    return err;
}

static enum err write_replaces(struct recovery *r)
{
    uint8_t bytes[HOME_REPLACES_MAX];
    char path[PATH_MAX];
    struct buffer b = BUFFER_OF(bytes);
    buffer_put(&b, ID_SPAN(r->old));
    if (r->consents) buffer_put(&b, SPAN_OF(r->consent.bytes));
    home_path(path, &r->home, "replaces");
    enum err err = file_write(path, buffer_span(&b), 0600, false);
    if (err != ERR_CONFLICT)
        return err == OK ? OK : fault_set(r->fault, sizeof r->fault, err, "%s: %s", path, file_why(err));
    return fault_set(r->fault, sizeof r->fault, err,
                     "%s: is there already: this node takes a key's place, and cannot take another's", path);
}

static enum err recover_into(struct recovery *r)
{
    if (r->home.charter == NULL)
        return fault_set(r->fault, sizeof r->fault, ERR_NOT_READY,
                         "%s: belongs to no consortium yet: `perigee consortium join` first", r->home.path);
    if (r->from != NULL) {
        TRY(check_ended(r));
        TRY(sign_consent(r));
    } else {
        TRY(hex_decode(r->old.bytes, sizeof r->old.bytes, span_text(r->replaces)));
    }
    if (ID_EQUAL(r->old, r->home.node))
        return fault_set(r->fault, sizeof r->fault, ERR_CONFLICT,
                         "expected a data directory with keys of its own, which `perigee init` makes: a lost "
                         "or restored key "
                         "cannot take its own place");
    return write_replaces(r);
}

static int recover(struct recovery *r)
{
    char old[65];
    enum err err = crypto_init();
    if (err == OK) err = home_look(&r->home, r->client->data, r->fault, sizeof r->fault);
    if (err == OK) {
        err = recover_into(r);
        home_close(&r->home);
    }
    if (err != OK)
        return client_fail(r->client, EXIT_REFUSED, "%s", r->fault[0] != 0 ? r->fault : err_text(err));
    hex_encode(old, r->old.bytes, sizeof r->old.bytes);
    return client_done(r->client, json_pack("{s:s, s:b}", "replaces", old, "consents", r->consents),
                       "this node is to take the place of %s%s\nnow: `perigee node --data %s`, `perigee "
                       "member request --data %s`, then s "
                       "stewards `perigee member admit` it",
                       old,
                       r->consents ? ", whose key agrees"
                                   : "; that key says nothing about it, the stewards must know why",
                       r->client->data, r->client->data);
}

int command_recover(int argc, char **argv)
{
    static struct recovery r;
    struct client c;
    memset(&r, 0, sizeof r);
    const struct argument option[] = {{"--from", &r.from, NULL},
                                      {"--replaces", &r.replaces, NULL},
                                      {"--yes", NULL, &r.yes},
                                      {"--passphrase-file", &r.passphrase_file, NULL}};
    struct arguments a = {option, 4, 0, 0, 0, NULL};
    int code = client_begin(&c, "recover", &a, argc, argv);
    if (code == EXIT_OK) code = client_local(&c);
    if (code == EXIT_OK && (r.from == NULL) == (r.replaces == NULL))
        code = client_fail(
            &c, EXIT_USAGE,
            "expected either --from DIR, the data directory of the key to be replaced, or --replaces NODE "
            "where that is gone");
    if (code == EXIT_OK && r.replaces != NULL) code = client_check_hash(&c, "--replaces", r.replaces);
    if (code != EXIT_OK) return code;
    r.client = &c;
    return recover(&r);
}
