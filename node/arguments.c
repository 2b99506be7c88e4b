#include "node/arguments.h"

#include "node/closest.h"
#include "node/command.h"
#include "node/problem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Of several rows of that name the first that has no value yet, or the last. */
static const struct argument *find(const struct arguments *a, const char *word, size_t len)
{
    const struct argument *found = NULL;
    for (uint32_t i = 0; i < a->option_count; i++) {
        if (strlen(a->option[i].name) != len || strncmp(a->option[i].name, word, len) != 0) continue;
        found = &a->option[i];
        if (found->value == NULL || *found->value == NULL) return found;
    }
    return found;
}

static enum err refuse(const char *word, const char *why)
{
    (void)problem_say(EXIT_USAGE, "%s: %s", word, why);
    return ERR_USAGE;
}

static enum err refuse_unknown(const struct arguments *a, const char *word)
{
    char why[96] = "no such option of this command";
    struct closest closest = closest_to(word);
    for (uint32_t i = 0; i < a->option_count; i++) closest_offer(&closest, a->option[i].name);
    if (closest.best != NULL)
        (void)snprintf(why, sizeof why, "no such option; did you mean %s?", closest.best);
    return refuse(word, why);
}

/* One option at argv[*at]; a value in the next word moves *at to it. */
static enum err take_option(const struct arguments *a, int *at, int argc, char **argv)
{
    const char *word = argv[*at], *equals = strchr(word, '=');
    const struct argument *option = find(a, word, equals == NULL ? strlen(word) : (size_t)(equals - word));
    if (option == NULL) return refuse_unknown(a, word);
    if (option->flag != NULL) *option->flag = true;
    if (option->value == NULL) return equals == NULL ? OK : refuse(word, "takes no value");
    if (*option->value != NULL) return refuse(word, "given more often than it may be");
    if (equals == NULL && *at + 1 >= argc) return refuse(word, "expects a value");
    *option->value = equals == NULL ? argv[++*at] : equals + 1;
    return OK;
}

/* The name of word `index` in the usage: what stands there outside of brackets and is neither an option nor its value. */
static bool word_name(char *out, size_t cap, const char *usage, uint32_t index)
{
    int depth = 0;
    bool value = false; /* of the option before it */
    for (size_t len; usage += strspn(usage, " "), (len = strcspn(usage, " ")) > 0; usage += len) {
        const bool outside = depth == 0 && usage[0] != '[' && usage[0] != '(';
        for (size_t i = 0; i < len; i++)
            depth += (usage[i] == '[' || usage[i] == '(') - (usage[i] == ']' || usage[i] == ')');
        const bool option = usage[0] == '-';
        if (outside && !option && !value && index-- == 0) {
            (void)snprintf(out, cap, "%.*s", (int)len, usage);
            return true;
        }
        value = outside && option;
    }
    return false;
}

static enum err refuse_missing(const struct arguments *a, const char *command)
{
    char name[64] = "more words";
    (void)word_name(name, sizeof name, problem_usage(), a->word_count);
    if (problem_usage()[0] == 0) return refuse(command, "expects more words");
    (void)problem_say(EXIT_USAGE, "expected %s, came no such word: perigee %s %s", name, problem_command(),
                      problem_usage());
    return ERR_USAGE;
}

enum err arguments_parse(struct arguments *a, int argc, char **argv)
{
    bool options = true;
    a->word_count = 0;
    for (int at = 1; at < argc; at++) {
        if (options && strcmp(argv[at], "--") == 0) {
            options = false;
        } else if (options && argv[at][0] == '-' && argv[at][1] != 0) {
            TRY(take_option(a, &at, argc, argv));
        } else if (a->word_count == a->word_max) {
            return refuse(argv[at], "one word too many");
        } else {
            a->word[a->word_count++] = argv[at];
        }
    }
    return a->word_count >= a->word_min ? OK : refuse_missing(a, argv[0]);
}

enum err arguments_number(uint64_t *out, const char *name, const char *text, uint64_t min, uint64_t max)
{
    uint64_t value = 0;
    bool good = text[0] != 0;
    for (const char *at = text; good && *at != 0; at++) {
        good = *at >= '0' && *at <= '9' && !__builtin_mul_overflow(value, 10, &value) &&
               !__builtin_add_overflow(value, (uint64_t)(*at - '0'), &value);
    }
    if (good && value >= min && value <= max) {
        *out = value;
        return OK;
    }
    (void)problem_say(EXIT_USAGE, "%s: expected a number from %" PRIu64 " to %" PRIu64 ", got \"%s\"", name,
                      min, max, text);
    return ERR_USAGE;
}
