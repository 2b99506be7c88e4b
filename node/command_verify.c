#include "crypto/secret.h"
#include "node/arguments.h"
#include "node/command.h"
#include "node/file.h"
#include "node/listing.h"
#include "node/problem.h"
#include "node/verify.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct verify_words {
    const char *receipt, *consortium;
    bool json;
};

static void print_json(const struct verify_line *line)
{
    json_t *object = json_pack("{s:s, s:b, s:s}", "link", receipt_link_name(line->link), "ok", (int)line->ok,
                               "text", line->text);
    if (object == NULL) return;
    (void)json_dumpf(object, stdout, JSON_COMPACT);
    (void)fputc('\n', stdout);
    json_decref(object);
}

static void print_line(void *context, const struct verify_line *line)
{
    const struct verify_words *w = context;
    if (w->json)
        print_json(line);
    else
        (void)printf("%s%s%s  %-13s %s\n", line->ok ? listing_green() : listing_red(), line->ok ? "ok" : "NO",
                     listing_plain(), receipt_link_name(line->link), line->text);
}

static void print_verified(const struct verify_words *w, const struct verify_result *r)
{
    char run[65], when[32];
    struct tm utc;
    const time_t seconds = (time_t)(r->median_ms / 1000);
    hex_encode(run, r->run.bytes, 32);
    (void)gmtime_r(&seconds, &utc);
    (void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    if (w->json) {
        json_t *object =
            json_pack("{s:b, s:s, s:I, s:I, s:s, s:b, s:s}", "verified", 1, "run", run, "slot",
                      (json_int_t)r->slot, "term", (json_int_t)r->term, "time", when, "simulated",
                      (int)r->simulated, "privacy", r->privacy_none ? "none" : "differential");
        (void)json_dumpf(object, stdout, JSON_COMPACT);
        (void)fputc('\n', stdout);
        json_decref(object);
        return;
    }
    (void)printf("%sverified%s  run %s, slot %llu, keyed %s%s%s\n", listing_bold(), listing_plain(), run,
                 (unsigned long long)r->slot, when,
                 r->simulated ? "; its hardware evidence is SIMULATED and proves nothing about hardware" : "",
                 r->privacy_none ? "; PRIVACY: NONE" : "");
}

static int verify(const struct verify_words *w, struct span bytes, struct consortium_id anchor)
{
    struct arena arena;
    struct verify_result result;
    const struct verify_options options = {anchor, NULL, print_line, (void *)w};
    if (crypto_init() != OK || verify_memory_open(&arena) != OK)
        return problem_say(EXIT_REFUSED, "start: out of memory");
    enum err err = verify_bytes(&result, &arena, bytes, &options);
    verify_memory_close(&arena);
    if (err == OK) {
        print_verified(w, &result);
        return EXIT_OK;
    }
    if (err == ERR_NO_MEMORY) return problem_say(EXIT_REFUSED, "%s: out of memory", w->receipt);
    return problem_say(EXIT_NOT_VERIFIED, "not verified: link %s is broken: %s",
                       receipt_link_name(result.broken), result.why);
}

int command_verify(int argc, char **argv)
{
    struct verify_words w = {0};
    struct consortium_id anchor;
    const struct argument option[] = {{"--consortium", &w.consortium, NULL}, {"--json", NULL, &w.json}};
    struct arguments a = {option, 2, 1, 1, 0, &w.receipt};
    char *text = NULL;
    size_t len = 0;
    if (arguments_parse(&a, argc, argv) != OK) return EXIT_USAGE;
    if (w.consortium == NULL)
        return problem_say(EXIT_NOT_VERIFIED,
                           "not verified: the anchor was not given: say which consortium you trust with "
                           "--consortium HASH; a receipt cannot say it");
    if (hex_decode(anchor.bytes, 32, span_text(w.consortium)) != OK)
        return problem_say(EXIT_USAGE, "--consortium: expected 64 lower-case hex digits, got \"%.80s\"",
                           w.consortium);
    enum err err = file_read(&text, &len, w.receipt, RECEIPT_BYTES_MAX);
    if (err != OK) return problem_say(EXIT_NOT_VERIFIED, "%s: %s", w.receipt, file_why(err));
    int code = verify(&w, span_make(text, len), anchor);
    free(text);
    return code;
}
