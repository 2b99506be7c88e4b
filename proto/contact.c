#include "proto/contact.h"

#include <string.h>

static const char scheme[] = "tcp://";
enum { SCHEME_LEN = sizeof scheme - 1, PORT_DIGITS_MAX = 5 };

static bool is_digit(uint8_t ch)
{
    return ch >= '0' && ch <= '9';
}

static bool is_hex(uint8_t ch)
{
    return is_digit(ch) || (ch >= 'a' && ch <= 'f');
}

static bool all(struct span text, bool (*is)(uint8_t ch))
{
    for (size_t i = 0; i < text.len; i++)
        if (!is(text.data[i])) return false;
    return text.len > 0;
}

static bool begins(struct span text, const char *with)
{
    const size_t len = strlen(with);
    return text.len >= len && memcmp(text.data, with, len) == 0;
}

/* "1" to "65535", without leading zeros. */
static bool port_valid(struct span text)
{
    uint32_t port = 0;
    if (!all(text, is_digit) || text.len > PORT_DIGITS_MAX || text.data[0] == '0') return false;
    for (size_t i = 0; i < text.len; i++) port = port * 10 + (text.data[i] - '0');
    return port <= 65535;
}

/* The part between scheme and port; false: there are no such parts. */
static bool split(struct span address, struct span *host, struct span *port)
{
    if (!begins(address, scheme)) return false;
    size_t colon = address.len;
    while (colon > SCHEME_LEN && address.data[colon - 1] != ':') colon--;
    if (colon == SCHEME_LEN) return false;
    *host = span_make(address.data + SCHEME_LEN, colon - 1 - SCHEME_LEN);
    *port = span_make(address.data + colon, address.len - colon);
    return true;
}

/* Four numbers to 255 without leading zeros, which some read as octal. */
static bool ip4_valid(struct span host)
{
    uint32_t numbers = 0, value = 0, digits = 0;
    for (size_t i = 0; i <= host.len; i++) {
        if (i == host.len || host.data[i] == '.') {
            if (digits == 0 || value > 255) return false;
            numbers++;
            value = digits = 0;
        } else if (!is_digit(host.data[i]) || (digits > 0 && value == 0) || ++digits > 3) {
            return false;
        } else {
            value = value * 10 + (host.data[i] - '0');
        }
    }
    return numbers == 4;
}

enum { IP6_GROUPS = 8 };

/* Eight groups of up to four digits; `::` stands for those that are zero, once. No IPv4 number within. */
static bool ip6_valid(struct span host)
{
    uint32_t groups = 0, digits = 0;
    bool gap = false;
    for (size_t i = 0; i < host.len; i++) {
        const bool colon = host.data[i] == ':', next = i + 1 < host.len && host.data[i + 1] == ':';
        if (!colon && (!is_hex(host.data[i]) || ++digits > 4)) return false;
        if (!colon) continue;
        if ((digits == 0 && !next) || (next && gap) || (!next && i + 1 == host.len)) return false;
        groups += digits > 0;
        digits = 0;
        gap |= next;
        i += next;
    }
    groups += digits > 0;
    return gap ? groups < IP6_GROUPS : groups == IP6_GROUPS;
}

static bool in_brackets(struct span host)
{
    return host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
}

/* Not "this host", many at once, or a reserved number. */
static bool ip4_of_one(struct span host)
{
    uint32_t first = 0;
    for (size_t i = 0; host.data[i] != '.'; i++) first = first * 10 + (host.data[i] - '0');
    return first > 0 && first < 224;
}

/* Not the unspecified address, one that is meant for many (ff00::/8), or one that says nothing without its wire (fe80::/10). */
static bool ip6_of_one(struct span host)
{
    static const char *const others[] = {"ff", "fe8", "fe9", "fea", "feb"};
    size_t digits = 0, zeros = 0;
    while (digits < host.len && host.data[digits] != ':') digits++;
    while (zeros < host.len && (host.data[zeros] == ':' || host.data[zeros] == '0')) zeros++;
    for (size_t i = 0; digits == 4 && i < sizeof others / sizeof others[0]; i++)
        if (begins(host, others[i])) return false;
    return zeros < host.len;
}

bool contact_valid(struct span address)
{
    struct span host, port;
    if (address.len > CONTACT_ADDRESS_MAX || !split(address, &host, &port) || !port_valid(port)) return false;
    if (!in_brackets(host)) return ip4_valid(host) && ip4_of_one(host);
    host = span_make(host.data + 1, host.len - 2);
    return ip6_valid(host) && ip6_of_one(host);
}

bool contact_local(struct span address)
{
    static const char *const beginnings[] = {"127.", "169.254.", "[:", "[0"};
    struct span host, port;
    if (!split(address, &host, &port)) return true;
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
        if (begins(host, beginnings[i])) return true;
    return false;
}
