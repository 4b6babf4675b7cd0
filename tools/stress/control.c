/* SPDX-License-Identifier: Apache-2.0
 * control.c - frames on the socket pair between the parent and a node.
 * Called by: cluster.c (parent), node.c (node). May touch: the descriptor given.
 * Never: interprets what it carries. */
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "kit.h"

struct prefix {
    uint32_t len; /* of what follows the prefix */
    uint32_t type;
};

bool control_send(int fd, enum control_type type, const void *head, size_t head_len,
                  const void *tail, size_t tail_len)
{
    struct prefix prefix = {(uint32_t)(head_len + tail_len), (uint32_t)type};
    struct iovec part[3] = {
        {&prefix, sizeof prefix}, {(void *)head, head_len}, {(void *)tail, tail_len}};
    struct msghdr msg = {.msg_iov = part, .msg_iovlen = 3};
    while (msg.msg_iovlen > 0) {
        ssize_t sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return false;
        size_t left = (size_t)sent;
        while (msg.msg_iovlen > 0 && left >= msg.msg_iov[0].iov_len) {
            left -= msg.msg_iov[0].iov_len;
            msg.msg_iov++;
            msg.msg_iovlen--;
        }
        if (msg.msg_iovlen == 0) break;
        msg.msg_iov[0].iov_base = (uint8_t *)msg.msg_iov[0].iov_base + left;
        msg.msg_iov[0].iov_len -= left;
    }
    return true;
}

int control_fill(struct control_in *in, int fd, bool wait)
{
    if (in->from > 0) {
        memmove(in->bytes, in->bytes + in->from, in->to - in->from);
        in->to -= in->from;
        in->from = 0;
    }
    in->bytes = kit_grow(in->bytes, &in->room, in->to + 65536, 1);
    for (;;) {
        ssize_t got = recv(fd, in->bytes + in->to, in->room - in->to, wait ? 0 : MSG_DONTWAIT);
        if (got > 0) {
            in->to += (size_t)got;
            return 1;
        }
        if (got == 0) return 0;
        if (errno == EINTR) {
            if (wait && kit_signal() != 0) return -1;
            continue;
        }
        return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : 0;
    }
}

bool control_ended(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

bool control_next(struct control_in *in, struct control_frame *out)
{
    struct prefix prefix;
    if (in->to - in->from < sizeof prefix) return false;
    memcpy(&prefix, in->bytes + in->from, sizeof prefix);
    if (in->to - in->from - sizeof prefix < prefix.len) return false;
    out->type = (enum control_type)prefix.type;
    out->body = in->bytes + in->from + sizeof prefix;
    out->len = prefix.len;
    in->from += sizeof prefix + prefix.len;
    return true;
}

void control_fini(struct control_in *in)
{
    free(in->bytes);
    *in = (struct control_in){0};
}

bool control_body(const struct control_frame *frame, void *out, size_t len)
{
    if (frame->len != len) return false;
    memcpy(out, frame->body, len);
    return true;
}
