#include "node/client.h"
#include "node/listing.h"
#include "proto/base/caps.h"
#include "proto/refusal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void print_roles(const json_t *roles)
{
    size_t i;
    json_t *role;
    (void)fputs("roles         ", stdout);
    json_array_foreach(roles, i, role)(void) printf("%s%s", i > 0 ? ", " : "", json_string_value(role));
    (void)puts(json_array_size(roles) == 0 ? "none" : "");
}

static void print_identity(const json_t *s)
{
    const json_t *charter = json_object_get(s, "charter"), *committee = json_object_get(s, "committee");
    (void)printf("node          %s\n", client_text(s, "node"));
    if (json_is_string(json_object_get(s, "organisation")))
        (void)printf("organisation  %s (%s)\n", client_text(s, "organisation"),
                     client_text(s, "jurisdiction"));
    print_roles(json_object_get(s, "roles"));
    if (strcmp(client_text(s, "profile"), caps_full.name) != 0)
        (void)printf("profile       %s\n", client_text(s, "profile"));
    (void)printf("consortium    %s\n", client_text(s, "consortium"));
    (void)printf("charter       %s, %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " signatures\n",
                 json_is_true(json_object_get(charter, "decided")) ? "decided" : "not decided",
                 client_number(charter, "signatures"), client_number(charter, "needed"));
    if (json_is_object(committee))
        (void)printf("committee     epoch %" JSON_INTEGER_FORMAT ", key A %.16s, key B %.16s\n",
                     client_number(committee, "epoch"), client_text(committee, "key_a"),
                     client_text(committee, "key_b"));
}

/* Who is no party is linked by chance: that one was and is not says nothing. */
static void print_peers(const json_t *peers)
{
    size_t i, up = 0;
    json_t *peer;
    json_array_foreach(peers, i, peer) up += json_is_true(json_object_get(peer, "up"));
    (void)printf("peers         %zu of %zu up", up, json_array_size(peers));
    json_array_foreach(peers, i, peer)
    {
        if (json_is_true(json_object_get(peer, "party")) && !json_is_true(json_object_get(peer, "up")))
            (void)printf(", not %s", client_text(peer, "organisation"));
        else if (!json_is_null(json_object_get(peer, "via")))
            (void)printf(", %s via %.8s", client_text(peer, "organisation"), client_text(peer, "via"));
    }
    (void)fputc('\n', stdout);
}

static void print_contacts(const json_t *contacts)
{
    if (client_number(contacts, "known") == 0) return;
    (void)printf("contacts      %" JSON_INTEGER_FORMAT " known, %" JSON_INTEGER_FORMAT " dialled\n",
                 client_number(contacts, "known"), client_number(contacts, "dialled"));
}

/* Both may be: the clock is still ahead, and has dated a record already. To one that is behind, any may look so. */
static void print_silent(const json_t *clock)
{
    json_int_t offset = client_number(clock, "offset_ms"), most = client_number(clock, "skew_max_ms");
    time_t ahead = (time_t)(client_number(clock, "dated_ahead_ms") / 1000);
    const bool known = json_is_integer(json_object_get(clock, "offset_ms"));
    char when[32];
    struct tm utc;
    if (offset > most || offset < -most)
        (void)printf("stopped       signs no records (revocations apart)%s: at most %" JSON_INTEGER_FORMAT
                     " ms are allowed; set this machine's clock\n",
                     json_is_true(json_object_get(clock, "stopped")) ? ", neither votes nor releases" : "",
                     most);
    if (ahead == 0 || client_clock_behind(clock) || gmtime_r(&ahead, &utc) == NULL) return;
    (void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    (void)printf("stopped       signs no records (revocations apart): one that this node signed is dated %s, "
                 "and its peers take neither "
                 "it nor what follows it before then; %swait, or join anew with another key\n",
                 when, known ? "" : "set this machine's clock if it is behind, else ");
}

static void print_clock(const json_t *clock, bool needs_custodians)
{
    json_int_t offset = client_number(clock, "offset_ms");
    if (!json_is_integer(json_object_get(clock, "offset_ms")))
        (void)puts(needs_custodians ? "clock         not compared: too few custodians are in touch"
                                    : "clock         not compared: custodians need not be linked from here");
    else
        (void)printf("clock         %" JSON_INTEGER_FORMAT " ms %s the custodians' median\n",
                     offset < 0 ? -offset : offset, offset < 0 ? "behind" : "ahead of");
    if (json_is_true(json_object_get(clock, "silent"))) print_silent(clock);
}

static void print_enclaves(const json_t *enclaves)
{
    const char *why = client_text(enclaves, "why");
    if (!json_is_object(enclaves)) return;
    (void)printf("enclaves      %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " running%s%s\n",
                 client_number(enclaves, "running"), client_number(enclaves, "max"),
                 why[0] == 0                          ? ""
                 : client_number(enclaves, "max") > 0 ? "; none gets its keys: "
                                                      : "; none can start here: ",
                 why);
}

/* Nothing to wait for: it stays so. */
static void print_promise(const json_t *s)
{
    if (json_is_true(json_object_get(s, "promise_lost")))
        (void)puts("stopped       neither votes nor releases: a stored promise is damaged, and this key must "
                   "not vote again, since it could break it unknowingly; the others go on without it");
}

static void print_silence(const json_t *silent)
{
    if (json_is_object(silent))
        (void)printf("silent        %s: it reads and serves, and this key signs nothing again; `perigee "
                     "recover` makes its successor\n",
                     client_text(silent, "detail"));
}

/* Silence and the clock have words of their own. */
static void print_not_signing(const json_t *why)
{
    const char *reason = client_text(why, "reason");
    if (json_is_object(why) && strcmp(reason, refusal_name(REFUSAL_SILENT)) != 0 &&
        strcmp(reason, refusal_name(REFUSAL_REMOVED)) != 0 &&
        strcmp(reason, refusal_name(REFUSAL_CLOCK)) != 0)
        (void)printf("not signing   %s: %s\n", reason, client_text(why, "detail"));
}

static void print_key_shares(const json_t *shares)
{
    if (json_is_false(json_object_get(shares, "good")))
        (void)printf("key shares    %s\n", client_text(shares, "detail"));
}

static void print_replaced(const json_t *replaced)
{
    if (json_is_object(replaced)) (void)printf("replaced      %s\n", client_text(replaced, "detail"));
}

static void print_waiting(const json_t *s)
{
    const json_t *charter = json_object_get(s, "charter"), *keygen = json_object_get(s, "keygen");
    size_t i;
    json_t *name;
    if (json_is_object(json_object_get(s, "replaced"))) return; /* for nothing */
    if (json_is_true(json_object_get(s, "removed"))) {
        (void)puts("removed       this key is no member any more, which is for good: join with another one "
                   "(`perigee init`)");
        return;
    }
    if (!json_is_true(json_object_get(s, "member")))
        (void)puts(json_is_true(json_object_get(s, "asked"))
                       ? "waits for     admission: asked whom it is linked with; s stewards of these, or a "
                         "device's maker, "
                         "`perigee member admit` it"
                       : "waits for     admission: `perigee member request`, then the stewards");
    else if (!json_is_true(json_object_get(charter, "decided")))
        (void)puts(
            client_clock_behind(json_object_get(s, "clock"))
                ? "waits for     its clock, to which signatures under the charter are of a time to come"
                : "waits for     stewards to sign the charter: `perigee consortium sign`");
    else if (!json_is_object(json_object_get(s, "committee"))) {
        (void)printf("waits for     key generation (%s)", client_text(keygen, "phase"));
        json_array_foreach(json_object_get(keygen, "missing"), i, name)(void)
            printf("%s%s", i > 0 ? ", " : ": ", json_string_value(name));
        (void)puts("; a custodian's `perigee consortium keygen` begins it, and again where it stands still");
        json_array_foreach(json_object_get(keygen, "wrong"), i, name)(void)
            printf("wrong part    from %s: it must be seen to; then `perigee consortium keygen` again\n",
                   json_string_value(name));
    } else if (json_is_true(json_object_get(s, "isolated")))
        (void)puts(json_is_true(json_object_get(s, "needs_custodians"))
                       ? "waits for     other custodians, to compare what they know"
                       : "waits for     a link to some member");
}

int command_status(int argc, char **argv)
{
    struct client c;
    struct arguments a = {NULL, 0, 0, 0, 0, NULL};
    json_t *s = NULL;
    int code = client_begin(&c, "status", &a, argc, argv);
    if (code == EXIT_OK) code = client_get(&c, &s, "/v1/status");
    if (code != EXIT_OK) return code;
    if (c.json) {
        client_print(s);
    } else {
        print_identity(s);
        print_peers(json_object_get(s, "peers"));
        print_contacts(json_object_get(s, "contacts"));
        print_silence(json_object_get(s, "silent"));
        print_not_signing(json_object_get(s, "not_signing"));
        print_replaced(json_object_get(s, "replaced"));
        print_promise(s);
        print_key_shares(json_object_get(s, "key_shares"));
        print_clock(json_object_get(s, "clock"), json_is_true(json_object_get(s, "needs_custodians")));
        print_enclaves(json_object_get(s, "enclaves"));
        (void)printf("records       %" JSON_INTEGER_FORMAT "\n", client_number(s, "records"));
        print_waiting(s);
    }
    json_decref(s);
    return EXIT_OK;
}
