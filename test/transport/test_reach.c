/* SPDX-License-Identifier: Apache-2.0
 * test_reach.c - which interfaces of a machine a listener of TCP on all of them names.
 * Called by: the test runner. Never: the interfaces of the machine that it runs on. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "net_tcp.h"

enum { LOOP = IFF_UP | IFF_RUNNING | IFF_LOOPBACK, UP = IFF_UP | IFF_RUNNING, ALONE = IFF_UP };
struct interface {
    const char *name;
    unsigned flags;
    const char *address;
};
static const struct interface machine[] = {
    {"lo", LOOP, "127.0.0.1"},    {"docker0", ALONE, "172.17.0.1"},
    {"br-7c1", UP, "172.18.0.1"}, {"eth0", UP, "192.0.2.7"},
    {"eth0", UP, "169.254.3.4"},  {"eth1", UP, "198.51.100.7"},
    {"down0", 0, "203.0.113.1"},  {"lo", LOOP, "::1"},
    {"eth0", UP, "fe80::7"},      {"eth0", UP, "2001:db8::7"},
    {"eth1", UP, "ff02::7"},
};
enum { ALL = sizeof machine / sizeof machine[0] };

/* Their hosts, with blanks between them; `only` NULL: the whole machine. */
static const char *named(const char *interfaces, const char *only, const char *bound)
{
    static char text[1024];
    struct ifaddrs list[ALL];
    struct sockaddr_in6 in6[ALL];
    struct sockaddr_in in[ALL];
    char out[ALL][WEFT_ADDRESS_BYTES_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < ALL; i++) {
        const struct interface *from = &machine[i];
        if (only != NULL && strstr(only, from->name) == NULL) continue;
        in6[n] = (struct sockaddr_in6){.sin6_family = AF_INET6};
        in[n] = (struct sockaddr_in){.sin_family = AF_INET};
        bool six = inet_pton(AF_INET6, from->address, &in6[n].sin6_addr) == 1;
        if (!six) cr_assert_eq(inet_pton(AF_INET, from->address, &in[n].sin_addr), 1);
        list[n] = (struct ifaddrs){.ifa_name = (char *)(uintptr_t)from->name,
                                   .ifa_flags = from->flags,
                                   .ifa_addr = six ? (struct sockaddr *)&in6[n]
                                                   : (struct sockaddr *)&in[n]};
        if (n > 0) list[n - 1].ifa_next = &list[n];
        n++;
    }
    size_t count = wf_net_tcp_reach_of(n == 0 ? NULL : list, interfaces, bound, out, ALL);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t at = strlen(text);
        const char *port = strrchr(out[i], ':');
        cr_expect_str_eq(port, ":4711");
        snprintf(text + at, sizeof text - at, "%s%.*s", i == 0 ? "" : " ", (int)(port - out[i]),
                 out[i]);
    }
    return text;
}

static const char v4[] = "0.0.0.0:4711", v6[] = "[::]:4711";

Test(reach, names_what_others_can_use)
{
    cr_expect_str_eq(named("", NULL, v4), "172.18.0.1 192.0.2.7 198.51.100.7");
    cr_expect_str_eq(named("", NULL, v6), "[2001:db8::7]");
}

Test(reach, names_what_few_can_use_if_there_is_nothing_else)
{
    cr_expect_str_eq(named("", "lo docker0", v4), "172.17.0.1", "nobody is there yet");
    cr_expect_str_eq(named("", "lo", v4), "127.0.0.1");
    cr_expect_str_eq(named("", "lo", v6), "[::1]");
    cr_expect_str_eq(named("", "down0", v4), "");
}

Test(reach, names_the_interfaces_that_were_said_and_no_others)
{
    cr_expect_str_eq(named("eth1", NULL, v4), "198.51.100.7");
    cr_expect_str_eq(named("lo", NULL, v4), "127.0.0.1", "it was asked for");
    cr_expect_str_eq(named("docker0,lo", NULL, v4), "127.0.0.1 172.17.0.1");
    cr_expect_str_eq(named("eth*", NULL, v4), "192.0.2.7 169.254.3.4 198.51.100.7");
    cr_expect_str_eq(named("eth*,!eth0", NULL, v4), "198.51.100.7", "the last that fits");
    cr_expect_str_eq(named("!eth0,eth*", NULL, v6), "[2001:db8::7]");
    cr_expect_str_eq(named("wlan0,down0,et", NULL, v4), "");
}

Test(reach, leaves_out_what_was_said)
{
    cr_expect_str_eq(named("!br-*,!docker*", NULL, v4), "192.0.2.7 198.51.100.7");
    cr_expect_str_eq(named("!eth*,!br-*,!docker*", NULL, v4), "127.0.0.1");
    cr_expect_str_eq(named("!*", NULL, v4), "");
    cr_expect_str_eq(named("*", NULL, v6), "[::1] [2001:db8::7]", "all that can be told");
}

Test(reach, takes_lists_of_one_form)
{
    static const char *const good[] = {"",  "eth0", "eth0,wlan*", "!docker*,!br-*",
                                       "*", "!*",   "a:1"};
    static const char *const bad[] = {",",   "eth0,", ",eth0",    "eth0,,lo", "!",      "!!eth0",
                                      "e*h", "eth 0", "eth0, lo", "**",       "eth0\n", "*eth"};
    char longest[WEFT_INTERFACES_BYTES_MAX + 2] = "";
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect(wf_net_tcp_interfaces_fit(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(wf_net_tcp_interfaces_fit(bad[i]), "%s", bad[i]);
    memset(longest, 'e', WEFT_INTERFACES_BYTES_MAX);
    cr_expect(wf_net_tcp_interfaces_fit(longest));
    longest[WEFT_INTERFACES_BYTES_MAX] = 'e';
    cr_expect_not(wf_net_tcp_interfaces_fit(longest));
}
