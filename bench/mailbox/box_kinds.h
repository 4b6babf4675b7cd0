/* SPDX-License-Identifier: Apache-2.0
 * box_kinds.h - what a mailbox of harness.h is for. */
#ifndef MAILBOX_BOX_KINDS_H
#define MAILBOX_BOX_KINDS_H
enum { BOX_MPSC, BOX_PING, BOX_PONG };
#endif
