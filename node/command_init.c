#include "crypto/identity.h"
#include "crypto/secret.h"
#include "node/arguments.h"
#include "node/card.h"
#include "node/command.h"
#include "node/config.h"
#include "node/fault.h"
#include "node/file.h"
#include "node/home.h"
#include "node/passphrase.h"
#include "node/problem.h"
#include "proto/contact.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

struct init_options {
    const char *data, *organisation, *jurisdiction, *roles, *listen, *announce, *passphrase_file,
        *approval_key;
    bool json;
};

static enum err parse(struct init_options *o, int argc, char **argv)
{
    const struct argument option[] = {
        {"--data", &o->data, NULL},         {"--organisation", &o->organisation, NULL},
        {"--roles", &o->roles, NULL},       {"--jurisdiction", &o->jurisdiction, NULL},
        {"--listen", &o->listen, NULL},     {"--approval-key", &o->approval_key, NULL},
        {"--json", NULL, &o->json},         {"--passphrase-file", &o->passphrase_file, NULL},
        {"--announce", &o->announce, NULL},
    };
    struct arguments a = {option, sizeof option / sizeof option[0], 0, 0, 0, NULL};
    TRY(arguments_parse(&a, argc, argv));
    if (o->data != NULL && o->organisation != NULL && o->jurisdiction != NULL && o->roles != NULL) return OK;
    (void)problem_say(EXIT_USAGE, "expected --data DIR --organisation NAME --jurisdiction CODE --roles A,B");
    return ERR_USAGE;
}

/* What perigee.yaml says: it offers so much that the first edit needs no manual. */
static enum err put_config(struct buffer *out, const struct init_options *o, uint32_t roles)
{
    buffer_put_text(out, o->listen == NULL ? "# listen: \"tcp://127.0.0.1:7001\"   # none: outbound only\n"
                                           : "listen: \"");
    if (o->listen != NULL) buffer_put_text(out, o->listen);
    if (o->listen != NULL) buffer_put_text(out, "\"\n");
    if (o->announce != NULL) {
        buffer_put_text(out, "announce: \"");
        buffer_put_text(out, o->announce);
        buffer_put_text(out, "\"\n");
    }
    buffer_put_text(out, "# peers:\n#   - address: \"tcp://127.0.0.1:7002\"\n");
    if ((roles & ROLE_COMPUTE) != 0)
        buffer_put_text(out, "compute:\n  enclaves: 1\n  memory_mb: 2048\n  threads: 2\n");
    return buffer_done(out);
}

/* The address goes into a quoted YAML string. */
static bool listen_fits(const char *listen)
{
    if (listen == NULL) return true;
    for (const char *at = listen; *at != 0; at++)
        if ((uint8_t)*at < 0x20 || *at == '"' || *at == '\\' || *at == 0x7f) return false;
    return config_is_address(listen);
}

static int say(const struct init_options *o)
{
    char fault[512] = "", node[65];
    struct home home;
    if (home_look(&home, o->data, fault, sizeof fault) != OK) return problem_say(EXIT_REFUSED, "%s", fault);
    hex_encode(node, home.node.bytes, sizeof home.node.bytes);
    if (o->json)
        (void)printf("{\"node\":\"%s\"}\n", node);
    else
        (void)printf("node       %s\ncard       %s/card.json\nconfigure  %s/perigee.yaml\n", node, o->data,
                     o->data);
    home_close(&home);
    return EXIT_OK;
}

static enum err make(const struct init_options *o, uint32_t roles, char *fault, size_t cap)
{
    char text[1024];
    struct buffer config = BUFFER_OF(text);
    TRY(put_config(&config, o, roles));
    struct home_identity who = {.organisation = o->organisation,
                                .jurisdiction = o->jurisdiction,
                                .roles = roles,
                                .config = buffer_span(&config)};
    if (o->approval_key != NULL) TRY(hex_decode(who.approval.bytes, 32, span_text(o->approval_key)));
    struct passphrase *passphrase;
    TRY(crypto_init());
    TRY(passphrase_read(&passphrase, o->passphrase_file, true, fault, cap));
    enum err err = home_create(o->data, &who, passphrase_span(passphrase), fault, cap);
    passphrase_free(passphrase);
    return err;
}

int command_init(int argc, char **argv)
{
    struct init_options o = {0};
    char fault[512] = "";
    uint32_t roles = 0;
    if (parse(&o, argc, argv) != OK) return EXIT_USAGE;
    if (card_roles(&roles, o.roles) != OK)
        return problem_say(EXIT_USAGE,
                           "--roles: expected some of algorithm,auditor,compute,custodian,device,maker,owner,"
                           "requester,steward, each once, got \"%s\"",
                           o.roles);
    struct node_id key;
    if (o.approval_key != NULL &&
        (crypto_init() != OK || hex_decode(key.bytes, 32, span_text(o.approval_key)) != OK ||
         !identity_is_key(key)))
        return problem_say(
            EXIT_USAGE,
            "--approval-key: expected the 64 hex digits that `perigee approval key` prints, got "
            "\"%.80s\", which is no key's",
            o.approval_key);
    if (!listen_fits(o.listen))
        return problem_say(EXIT_USAGE,
                           "--listen: expected " CONFIG_ADDRESS_EXPECTED
                           ", such as tcp://127.0.0.1:7001, got \"%s\"",
                           o.listen);
    if (o.announce != NULL && (o.listen == NULL || !contact_valid(span_text(o.announce))))
        return problem_say(EXIT_USAGE, "--announce: expected --listen and " CONTACT_EXPECTED ", got \"%s\"%s",
                           o.announce, o.listen == NULL ? " without --listen" : "");
    enum err err = make(&o, roles, fault, sizeof fault);
    if (err == OK) return say(&o);
    return problem_say(EXIT_REFUSED, "%s", fault[0] == 0 ? err_text(err) : fault);
}
