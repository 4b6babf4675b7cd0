/* SPDX-License-Identifier: Apache-2.0
 * net_tcp_reach.c - where a listener of TCP can be reached: at its address, or, if it listens on all
 * interfaces of the machine, at theirs.
 * Called by: net_tcp.c (its table), src/http. May touch: the list of the machine's interfaces.
 * Never: asks anybody on the network; calls a loopback an address while there is another. */
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

/* Of no use to who is not on the same wire: it needs the name of an interface beside it. */
static bool is_of_the_link(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        return ntohl(in.sin_addr.s_addr) >> 16 == 0xa9feu; /* 169.254/16 */
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, sa, sizeof in6);
    return IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr) || IN6_IS_ADDR_MULTICAST(&in6.sin6_addr);
}

static bool fits(const struct ifaddrs *at, int family, bool loopback)
{
    if (at->ifa_addr == NULL || at->ifa_addr->sa_family != family) return false;
    if ((at->ifa_flags & IFF_UP) == 0) return false;
    if (((at->ifa_flags & IFF_LOOPBACK) != 0) != loopback) return false;
    return !is_of_the_link(at->ifa_addr);
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

weft_err wf_net_tcp_reach(wf_net *net, const char *bound, bool all,
                          char (*out)[WEFT_ADDRESS_BYTES_MAX], size_t room, size_t *count)
{
    struct ifaddrs *list = NULL;
    int family = bound[0] == '[' ? AF_INET6 : AF_INET;
    const char *port = strrchr(bound, ':');
    size_t n = 0;
    (void)net;
    *count = 0;
    if (room == 0 || port == NULL) return WEFT_OK;
    if (!wf_net_tcp_is_wildcard(bound)) {
        snprintf(out[0], WEFT_ADDRESS_BYTES_MAX, "%s", bound);
        *count = 1;
        return WEFT_OK;
    }
    if (!all) return WEFT_OK;
    if (getifaddrs(&list) != 0) return errno == ENOMEM ? WEFT_NO_MEMORY : WEFT_NETWORK;
    for (int loopback = 0; loopback < 2 && n == 0; loopback++)
        for (const struct ifaddrs *at = list; at != NULL && n < room; at = at->ifa_next)
            if (fits(at, family, loopback == 1) && put(at, family, port + 1, out[n])) n++;
    freeifaddrs(list);
    *count = n;
    return WEFT_OK;
}
