/* switch: for netns.sh, what lies between hosts in network namespaces: every frame that one interface says goes to the others,
 * later, or not at all. In user space, because not every kernel has a queue discipline that delays and loses.
 *   switch WEATHER INTERFACE...     until it is killed
 * WEATHER is a file with one line, "DELAY_MS JITTER_MS LOST_IN_1000 CUT...": how long a frame takes at least, by how much longer it may,
 * how many are lost, and the interfaces behind which nobody is heard or hears. It may be replaced at any moment. */
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PORTS_MAX = 16, FRAME_BYTES_MAX = 1 << 17, WAITING_MAX = 1 << 16, READ_WEATHER_MS = 5 };

struct frame {
    struct frame *next;
    uint64_t due_ms;
    int to;
    size_t len;
    uint8_t bytes[];
};

static struct {
    const char *weather, *name[PORTS_MAX];
    int count, fd[PORTS_MAX];
    bool cut[PORTS_MAX];
    uint64_t delay_ms, jitter_ms, lost, read_ms, random;
    struct frame *first;
    unsigned waiting;
} hub = {.random = 88172645463325252U};

static int die(const char *what)
{
    (void)fprintf(stderr, "switch: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t below(uint64_t n)
{
    hub.random ^= hub.random << 13;
    hub.random ^= hub.random >> 7;
    hub.random ^= hub.random << 17;
    return n == 0 ? 0 : hub.random % n;
}

static void read_weather(void)
{
    char line[512] = "", *at = NULL, *rest = NULL;
    if (now_ms() < hub.read_ms + READ_WEATHER_MS) return;
    hub.read_ms = now_ms();
    FILE *f = fopen(hub.weather, "r");
    if (f == NULL || fgets(line, sizeof line, f) == NULL) die(hub.weather);
    (void)fclose(f);
    hub.delay_ms = strtoul(line, &at, 10);
    hub.jitter_ms = strtoul(at, &at, 10);
    hub.lost = strtoul(at, &at, 10);
    memset(hub.cut, 0, sizeof hub.cut);
    for (const char *word = strtok_r(at, " \n", &rest); word != NULL; word = strtok_r(NULL, " \n", &rest))
        for (int i = 0; i < hub.count; i++)
            if (strcmp(word, hub.name[i]) == 0) hub.cut[i] = true;
}

/* The kernel's header before each frame says what is still to be done to it: checksums, cutting into segments. */
static int open_port(const char *name)
{
    const int on = 1;
    struct sockaddr_ll at = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
    const struct packet_mreq all = {.mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
    if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof at) != 0)
        die(name);
    return fd;
}

/* Behind what is due before it or at the same moment. */
static void add(int to, const uint8_t *bytes, size_t len)
{
    struct frame **at = &hub.first, *f = malloc(sizeof *f + len);
    if (f == NULL || hub.waiting == WAITING_MAX) {
        free(f);
        return;
    }
    *f = (struct frame){.due_ms = now_ms() + hub.delay_ms + below(hub.jitter_ms), .to = to, .len = len};
    memcpy(f->bytes, bytes, len);
    while (*at != NULL && (*at)->due_ms <= f->due_ms) at = &(*at)->next;
    f->next = *at;
    *at = f;
    hub.waiting++;
}

static void take(int from)
{
    static uint8_t bytes[FRAME_BYTES_MAX];
    ssize_t got;
    while ((got = recv(hub.fd[from], bytes, sizeof bytes, 0)) > 0)
        for (int to = 0; to < hub.count; to++)
            if (to != from && !hub.cut[from] && !hub.cut[to] && below(1000) >= hub.lost)
                add(to, bytes, (size_t)got);
}

static void give(void)
{
    while (hub.first != NULL && hub.first->due_ms <= now_ms()) {
        struct frame *f = hub.first;
        hub.first = f->next;
        hub.waiting--;
        (void)send(hub.fd[f->to], f->bytes, f->len, 0); /* what finds no room is lost, as on any wire */
        free(f);
    }
}

int main(int argc, char **argv)
{
    struct pollfd p[PORTS_MAX];
    hub.weather = argc > 1 ? argv[1] : "";
    hub.count = argc - 2;
    if (hub.count < 2 || hub.count > PORTS_MAX) die("expected WEATHER INTERFACE...");
    for (int i = 0; i < hub.count; i++) {
        hub.name[i] = argv[2 + i];
        hub.fd[i] = open_port(argv[2 + i]);
        p[i] = (struct pollfd){hub.fd[i], POLLIN, 0};
    }
    for (;;) {
        (void)poll(p, (nfds_t)hub.count, hub.first == NULL ? READ_WEATHER_MS : 1);
        read_weather();
        for (int i = 0; i < hub.count; i++)
            if (p[i].revents != 0) take(i);
        give();
    }
}
