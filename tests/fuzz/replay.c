/* replay: runs a fuzz target without a fuzzer, in every ordinary build.
 * First every file of the corpus folder, in name order; then mutations of them (or of nothing, when the
 * folder is absent) for two seconds. The order of mutations depends only on the seed, so a crash is found
 * again by PERIGEE_FUZZ_SEED=n PERIGEE_FUZZ_MS=m <target> <corpus folder> with the seed that was printed; the
 * input at hand when a target aborts is left in <target>.crash. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define INPUT_BYTES_MAX  65536
#define CORPUS_COUNT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct input {
    uint8_t *bytes;
    size_t len;
};

static struct input corpus[CORPUS_COUNT_MAX];
static uint32_t corpus_count;
static uint8_t current[INPUT_BYTES_MAX];
static size_t current_len;
static uint64_t random_state;
static char crash_path[256];

/* splitmix64: the whole state is the seed. */
static uint64_t random_next(void)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t random_below(size_t limit)
{
    return limit == 0 ? 0 : (size_t)(random_next() % limit);
}

static void keep_crash(int signal_number)
{
    int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0) {
        ssize_t written = write(fd, current, current_len);
        static const char said[] = "replay: the input is in a file named after the target, .crash\n";
        if (written >= 0) written = write(STDERR_FILENO, said, sizeof said - 1);
        (void)written;
        (void)close(fd);
    }
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

/* The target gets an exact-size heap copy, so that a sanitizer sees one byte too far. */
static void run_current(void)
{
    uint8_t *copy = malloc(current_len + (current_len == 0));
    if (copy == NULL) abort();
    memcpy(copy, current, current_len);
    (void)LLVMFuzzerTestOneInput(copy, current_len);
    free(copy);
}

static void load_file(const char *folder, const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    struct input *input = &corpus[corpus_count++];
    input->len = fread(current, 1, sizeof current, file);
    input->bytes = malloc(input->len + 1);
    if (input->bytes == NULL) abort();
    memcpy(input->bytes, current, input->len);
    (void)fclose(file);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void load_corpus(const char *folder)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_visible, alphasort);
    for (int i = 0; i < count; i++) {
        if (corpus_count < CORPUS_COUNT_MAX) load_file(folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

static void take(const struct input *input)
{
    memcpy(current, input->bytes, input->len);
    current_len = input->len;
}

static void insert_bytes(void)
{
    size_t count = 1 + random_below(16), at = random_below(current_len + 1);
    if (count > sizeof current - current_len) return;
    memmove(current + at + count, current + at, current_len - at);
    for (size_t i = 0; i < count; i++) {
        current[at + i] = (uint8_t)random_next();
    }
    current_len += count;
}

static void erase_bytes(void)
{
    size_t at = random_below(current_len),
           count = 1 + random_below(current_len - at < 32 ? current_len - at : 32);
    if (count > current_len - at) count = current_len - at;
    memmove(current + at, current + at + count, current_len - at - count);
    current_len -= count;
}

/* Put the beginning of this input before the end of another. */
static void splice_inputs(void)
{
    if (corpus_count == 0) return;
    const struct input *other = &corpus[random_below(corpus_count)];
    size_t keep = random_below(current_len + 1), from = random_below(other->len + 1);
    size_t tail = other->len - from;
    if (tail > sizeof current - keep) tail = sizeof current - keep;
    memcpy(current + keep, other->bytes + from, tail);
    current_len = keep + tail;
}

static void mutate(void)
{
    static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0xc0, 0xdf, '"', '{', '[', '\\', '-'};
    size_t choice = random_below(7);
    if (current_len == 0 || choice == 0)
        insert_bytes();
    else if (choice == 1)
        erase_bytes();
    else if (choice == 2)
        splice_inputs();
    else if (choice == 3)
        current_len = random_below(current_len + 1);
    else if (choice == 4)
        current[random_below(current_len)] = edges[random_below(sizeof edges)];
    else if (choice == 5)
        current[random_below(current_len)] ^= (uint8_t)(1u << random_below(8));
    else
        current[random_below(current_len)] = (uint8_t)random_next();
}

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t number_from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static uint64_t run_mutations(uint64_t budget_ms)
{
    uint64_t end = now_ms() + budget_ms, runs = 0;
    while (now_ms() < end) {
        current_len = 0;
        if (corpus_count > 0) take(&corpus[random_below(corpus_count)]);
        for (size_t changes = 1 + random_below(8); changes > 0; changes--) {
            mutate();
        }
        run_current();
        runs++;
    }
    return runs;
}

int main(int argc, char **argv)
{
    (void)snprintf(crash_path, sizeof crash_path, "%s.crash", program_invocation_short_name);
    uint64_t seed = number_from_environment("PERIGEE_FUZZ_SEED", 1);
#ifdef __SANITIZE_ADDRESS__
    static const int fatal[] = {SIGABRT}; /* the sanitizer reports the others itself, then aborts */
#else
    static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
#endif
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
        (void)signal(fatal[i], keep_crash);
    }
    if (argc > 1) load_corpus(argv[1]);
    for (uint32_t i = 0; i < corpus_count; i++) {
        take(&corpus[i]);
        run_current();
    }
    random_state = seed;
    uint64_t runs = run_mutations(number_from_environment("PERIGEE_FUZZ_MS", 2000));
    (void)printf("replay: %u corpus files, %llu mutations, seed %llu\n", corpus_count,
                 (unsigned long long)runs, (unsigned long long)seed);
    for (uint32_t i = 0; i < corpus_count; i++) {
        free(corpus[i].bytes);
    }
    return corpus_count == 0 && argc > 1 ? (puts("replay: no corpus there"), 1) : 0;
}
