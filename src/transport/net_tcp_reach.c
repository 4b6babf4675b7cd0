/* SPDX-License-Identifier: Apache-2.0
 * net_tcp_reach.c - where a listener of TCP can be reached: at its address, or, if it listens on all
 * interfaces of the machine, at theirs.
 * Called by: net_tcp.c (its table), src/http, weft.c. May touch: the list of the machine's interfaces.
 * Never: asks anybody on the network; calls a loopback an address while there is another, unless it is
 * asked for. */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "net_tcp.h"

bool wf_net_tcp_is_wildcard(const char *bound)
{
    return strncmp(bound, "0.0.0.0:", 8) == 0 || strncmp(bound, "[::]:", 5) == 0;
}

static bool is_of_the_link(const struct sockaddr *sa)
{
    struct sockaddr_in in;
    if (sa->sa_family != AF_INET) return false; /* one of IPv6 is of no use at all */
    memcpy(&in, sa, sizeof in);
    return ntohl(in.sin_addr.s_addr) >> 16 == 0xa9feu; /* 169.254/16 */
}

/* To whom its text is told: it needs the name of an interface beside it, of another one at each. */
static bool is_of_no_use(const struct sockaddr *sa)
{
    struct sockaddr_in6 in6;
    if (sa->sa_family != AF_INET6) return false;
    memcpy(&in6, sa, sizeof in6);
    return IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr) || IN6_IS_ADDR_MULTICAST(&in6.sin6_addr);
}

/* -- Which of them ---------------------------------------------------------------------- */

static bool fits(const char *item, size_t len, const char *name)
{
    if (len > 0 && item[len - 1] == '*') return strncmp(item, name, len - 1) == 0;
    return strlen(name) == len && memcmp(item, name, len) == 0;
}

enum said { LEFT_OUT, NOT_SAID, BY_NAME };

/* What the list says of an interface; one in which some are said leaves the others out. */
static enum said said_of(const char *interfaces, const char *name)
{
    enum said said = NOT_SAID;
    bool some = false;
    for (const char *item = interfaces; *item != '\0';) {
        size_t len = strcspn(item, ",");
        bool but = *item == '!';
        some = some || !but;
        if (fits(item + but, len - but, name)) said = but ? LEFT_OUT : BY_NAME;
        item += len + (item[len] == ',');
    }
    return said == NOT_SAID && some ? LEFT_OUT : said;
}

bool wf_net_tcp_interfaces_fit(const char *interfaces)
{
    if (strlen(interfaces) > WEFT_INTERFACES_BYTES_MAX) return false;
    for (const char *item = interfaces; *item != '\0';) {
        size_t len = strcspn(item, ",");
        size_t name = strcspn(item + (*item == '!'), "!*, \t\r\n") + (*item == '!');
        bool any = item[name] == '*';
        if (name + any != len || len == (size_t)(*item == '!')) return false;
        if (item[len] == ',' && item[len + 1] == '\0') return false;
        item += len + (item[len] == ',');
    }
    return true;
}

enum { BEST, NOBODY_ELSE, OWN, NEVER }; /* what is named if there is nothing before it */

static unsigned rank_of(const struct ifaddrs *at, int family, const char *interfaces)
{
    if (at->ifa_addr == NULL || at->ifa_addr->sa_family != family) return NEVER;
    if ((at->ifa_flags & IFF_UP) == 0 || is_of_no_use(at->ifa_addr)) return NEVER;
    enum said said = said_of(interfaces, at->ifa_name);
    if (said != NOT_SAID) return said == BY_NAME ? BEST : NEVER;
    if ((at->ifa_flags & IFF_LOOPBACK) != 0) return OWN;
    return (at->ifa_flags & IFF_RUNNING) == 0 || is_of_the_link(at->ifa_addr) ? NOBODY_ELSE : BEST;
}

/* False: it is no text, which nobody could dial. */
static bool put(const struct ifaddrs *at, int family, const char *port,
                char out[WEFT_ADDRESS_BYTES_MAX])
{
    char host[128];
    socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (getnameinfo(at->ifa_addr, len, host, sizeof host, NULL, 0, NI_NUMERICHOST) != 0)
        return false;
    snprintf(out, WEFT_ADDRESS_BYTES_MAX, family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    return true;
}

size_t wf_net_tcp_reach_of(const struct ifaddrs *list, const char *interfaces, const char *bound,
                           char (*out)[WEFT_ADDRESS_BYTES_MAX], size_t room)
{
    int family = bound[0] == '[' ? AF_INET6 : AF_INET;
    const char *port = strrchr(bound, ':');
    size_t n = 0;
    for (unsigned rank = BEST; rank < NEVER && n == 0 && port != NULL; rank++)
        for (const struct ifaddrs *at = list; at != NULL && n < room; at = at->ifa_next)
            if (rank_of(at, family, interfaces) == rank && put(at, family, port + 1, out[n])) n++;
    return n;
}

/* -- The table's ------------------------------------------------------------------------ */

void wf_net_tcp_interfaces(wf_net *base, const char *interfaces)
{
    struct wf_net_tcp *net = (struct wf_net_tcp *)base;
    snprintf(net->interfaces, sizeof net->interfaces, "%s", interfaces);
}

weft_err wf_net_tcp_reach(wf_net *base, const char *bound, bool all,
                          char (*out)[WEFT_ADDRESS_BYTES_MAX], size_t room, size_t *count)
{
    const struct wf_net_tcp *net = (const struct wf_net_tcp *)base;
    struct ifaddrs *list = NULL;
    *count = 0;
    if (room == 0 || strrchr(bound, ':') == NULL) return WEFT_OK;
    if (!wf_net_tcp_is_wildcard(bound)) {
        snprintf(out[0], WEFT_ADDRESS_BYTES_MAX, "%s", bound);
        *count = 1;
        return WEFT_OK;
    }
    if (!all) return WEFT_OK;
    if (getifaddrs(&list) != 0) return errno == ENOMEM ? WEFT_NO_MEMORY : WEFT_NETWORK;
    *count = wf_net_tcp_reach_of(list, net->interfaces, bound, out, room);
    freeifaddrs(list);
    return WEFT_OK;
}
