#include "crypto/secret.h"
#include "node/client.h"
#include "node/file.h"
#include "node/home.h"
#include "node/listing.h"
#include "proto/base/caps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- join: the only one that works on the directory itself, before a node can run ------------------------------------- */

static int join(const struct client *c, const char *charter_path)
{
    struct home home;
    char fault[512] = "", *text = NULL, hash[65];
    size_t len = 0;
    enum err err = file_read(&text, &len, charter_path, CAP_DOCUMENT_BYTES);
    if (err != OK)
        return client_fail(c, EXIT_REFUSED, "%s: expected a charter: %s", charter_path, file_why(err));
    err = crypto_init();
    if (err == OK) err = home_look(&home, c->data, fault, sizeof fault);
    if (err == OK) {
        err = home_join(&home, span_make(text, len), fault, sizeof fault);
        hex_encode(hash, home.consortium.bytes, sizeof home.consortium.bytes);
        home_close(&home);
    }
    free(text);
    if (err != OK) return client_fail(c, EXIT_REFUSED, "%s", fault[0] != 0 ? fault : err_text(err));
    return client_done(c, json_pack("{s:s}", "consortium", hash),
                       "joined consortium %s; start the node with `perigee node --data %s`", hash, c->data);
}

int command_consortium_join(int argc, char **argv)
{
    struct client c;
    const char *charter = NULL;
    struct arguments a = {NULL, 0, 1, 1, 0, &charter};
    int code = client_begin(&c, "consortium join", &a, argc, argv);
    if (code == EXIT_OK) code = client_local(&c);
    return code == EXIT_OK ? join(&c, charter) : code;
}

/* --- Through the node --------------------------------------------------------------------------------------------------- */

int command_consortium_sign(int argc, char **argv)
{
    struct client c;
    struct arguments a = {NULL, 0, 0, 0, 0, NULL};
    json_t *answer = NULL;
    int code = client_begin(&c, "consortium sign", &a, argc, argv);
    if (code == EXIT_OK) code = client_post(&c, &answer, json_object(), "/v1/consortium/sign");
    if (code != EXIT_OK) return code;
    return client_done(&c, answer, "signed the charter, record %s", client_text(answer, "record"));
}

int command_consortium_keygen(int argc, char **argv)
{
    struct client c;
    struct arguments a = {NULL, 0, 0, 0, 0, NULL};
    json_t *answer = NULL;
    int code = client_begin(&c, "consortium keygen", &a, argc, argv);
    if (code == EXIT_OK) code = client_post(&c, &answer, json_object(), "/v1/consortium/keygen");
    if (code != EXIT_OK) return code;
    const json_t *committee = json_object_get(answer, "committee");
    if (json_is_object(committee))
        return client_done(&c, answer,
                           "both keys exist already, epoch %" JSON_INTEGER_FORMAT
                           ": nothing is generated; `perigee consortium show` names them",
                           client_number(committee, "epoch"));
    return client_done(&c, answer, "key generation has begun here; `perigee status` says whom it waits for");
}

static void show(const json_t *answer)
{
    const json_t *committee = json_object_get(answer, "committee");
    json_t *charter = json_loads(client_text(answer, "charter"), 0, NULL);
    const json_t *t = json_object_get(charter, "thresholds");
    (void)printf("consortium  %s\nname        %s\n", client_text(answer, "consortium"),
                 client_text(charter, "name"));
    (void)printf("thresholds  approvals k %d, stewards s %d, votes q %d, shares t %d, byzantine f %d\n",
                 (int)client_number(t, "k"), (int)client_number(t, "s"), (int)client_number(t, "q"),
                 (int)client_number(t, "t"), (int)client_number(t, "f"));
    (void)printf("devices     %d of each maker\n", (int)client_number(charter, "maker_devices"));
    if (json_is_true(json_object_get(charter, "accept_simulated")))
        (void)puts("evidence    SIMULATED is accepted: it proves nothing about hardware");
    if (json_is_object(committee))
        (void)printf("committee   epoch %d\nkey A       %s\nkey B       %s\n",
                     (int)client_number(committee, "epoch"), client_text(committee, "key_a"),
                     client_text(committee, "key_b"));
    else
        (void)puts("committee   none yet: custodians run `perigee consortium keygen`");
    static const struct listing_column columns[] = {{"ORGANISATION", "organisation", 0},
                                                    {"IN", "jurisdiction", 0},
                                                    {"ROLES", "roles", 0},
                                                    {"NODE", "node", 16}};
    listing_print(json_object_get(charter, "members"), columns, 4, "no members");
    json_decref(charter);
}

int command_consortium_show(int argc, char **argv)
{
    struct client c;
    struct arguments a = {NULL, 0, 0, 0, 0, NULL};
    json_t *answer = NULL;
    int code = client_begin(&c, "consortium show", &a, argc, argv);
    if (code == EXIT_OK) code = client_get(&c, &answer, "/v1/consortium");
    if (code != EXIT_OK) return code;
    if (c.json)
        client_print(answer);
    else
        show(answer);
    json_decref(answer);
    return EXIT_OK;
}
