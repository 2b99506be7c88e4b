/* Sections 5 and 6: the run and its result; the receipt, checked with every node stopped. */
#include "node/demo.h"

#include "node/command.h"
#include "node/output_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- 5 -------------------------------------------------------------------------------------------------------------- */

static void show_phases(const struct demo *d, const json_t *run)
{
    static const char *const phase[] = {"requested", "eligible",  "elected",  "attested", "keyed",
                                        "computing", "committed", "released", "settled"};
    const json_t *phases = json_object_get(run, "phases");
    char line[512] = "";
    json_int_t before = 0;
    for (size_t i = 0; i < sizeof phase / sizeof phase[0]; i++) {
        json_int_t at = json_integer_value(json_object_get(phases, phase[i]));
        size_t len = strlen(line);
        if (at == 0) continue;
        if (before == 0)
            (void)snprintf(line + len, sizeof line - len, "%s", phase[i]);
        else
            (void)snprintf(line + len, sizeof line - len, " -> %s %lld ms", phase[i],
                           (long long)(at - before));
        before = at;
    }
    demo_note(d, "%s", line);
}

static bool keep_output(struct demo *d, const json_t *output)
{
    char path[PATH_MAX], *text = json_dumps(output, JSON_COMPACT | JSON_SORT_KEYS);
    bool good = text != NULL && demo_write(d, path, "output.json", span_text(text));
    free(text);
    return good;
}

static long run_ms(const json_t *run)
{
    const json_t *phases = json_object_get(run, "phases");
    return (long)(json_integer_value(json_object_get(phases, "settled")) -
                  json_integer_value(json_object_get(phases, "requested")));
}

static bool show_result(struct demo *d, const json_t *run)
{
    const json_t *output = json_object_get(run, "output");
    if (strcmp(demo_text(run, "state"), "settled") != 0)
        return demo_bad(d, demo_algorithm(d), "the run is %s: %s: %s", demo_text(run, "state"),
                        demo_text(run, "reason"), demo_text(run, "detail"));
    if (!json_is_object(output))
        return demo_bad(d, demo_algorithm(d), "the run settled, but its output did not open here");
    (void)snprintf(d->run, sizeof d->run, "%s", demo_text(run, "run"));
    if (!keep_output(d, output)) return false;
    demo_good(d, "computed by %s in %ld ms, settled", demo_text(run, "organisation"), run_ms(run));
    show_phases(d, run);
    if (d->options.json || d->options.quiet) return true;
    (void)fputc('\n', stdout);
    output_table_print(output);
    if (d->study->synthetic != NULL) (void)puts("The patients are synthetic: no number here is a finding.");
    return true;
}

bool demo_run(struct demo *d)
{
    json_t *run = NULL;
    demo_section(d, 5, "The run");
    demo_begin(d, "run", "one provider is elected, attested and keyed; a signed aggregate comes back");
    if (!demo_call(d, demo_algorithm(d), &run, "run request --wait", "--workflow", d->compose, "--slot", "1",
                   NULL))
        return false;
    bool good = show_result(d, run);
    json_decref(run);
    return good && demo_clear(d);
}

/* --- 6 -------------------------------------------------------------------------------------------------------------- */

static void show_links(const struct demo *d, const char *text)
{
    while (*text != 0) {
        size_t len = strcspn(text, "\n");
        demo_note(d, "%.*s", (int)len, text);
        text += len + (text[len] == '\n');
    }
}

static bool verify(struct demo *d, const char *path)
{
    struct demo_output out = {0};
    const char *const words[] = {"verify", path, "--consortium", d->consortium, NULL};
    const volatile int never = 0;
    demo_begin(
        d, "verify",
        "with every node stopped, each link of the receipt holds, from the consortium's hash to the output");
    enum err err = demo_process_run(&out, words, 120, &never);
    bool good = err == OK && out.code == EXIT_OK;
    if (good) {
        demo_good(d, "verified offline, exit 0");
        show_links(d, out.out);
    } else {
        (void)demo_bad(d, NULL, "`perigee verify` %s, exit %d: %.400s %.400s", err_text(err), out.code,
                       out.out == NULL ? "" : out.out, out.err == NULL ? "" : out.err);
    }
    demo_output_free(&out);
    return good;
}

/* Without the anchor nothing is proven, and another consortium's hash is refused. */
static bool verify_wrong_anchor(struct demo *d, const char *path)
{
    struct demo_output out = {0};
    const char *const words[] = {"verify", path, NULL};
    const volatile int never = 0;
    demo_begin(d, "no anchor", "not verified (exit 4) when nobody says which consortium is meant");
    enum err err = demo_process_run(&out, words, 120, &never);
    bool good = err == OK && out.code == EXIT_NOT_VERIFIED;
    if (good)
        demo_good(d, "exit 4: %.*s", (int)strcspn(out.err, "\n"), out.err);
    else
        (void)demo_bad(d, NULL, "exit %d: %.400s", out.code, out.err == NULL ? "" : out.err);
    demo_output_free(&out);
    return good;
}

bool demo_receipt(struct demo *d)
{
    char path[PATH_MAX + 32];
    demo_section(d, 6, "The receipt");
    demo_begin(d, "receipt", "one self-contained file");
    (void)snprintf(path, sizeof path, "%s/receipt.json", d->dir);
    json_t *answer = NULL;
    if (!demo_call(d, demo_algorithm(d), &answer, "run receipt", d->run, "--out", path, NULL)) return false;
    demo_good(d, "%lld bytes", (long long)json_integer_value(json_object_get(answer, "bytes")));
    json_decref(answer);
    demo_begin(d, "stop", "every node ends by itself, with exit code 0");
    if (!demo_nodes_stop(d)) return false;
    demo_good(d, "%u processes ended", d->node_count);
    return verify(d, path) && verify_wrong_anchor(d, path);
}
