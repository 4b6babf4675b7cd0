#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the mailbox peers against each other, interleaved (A B C A B C ...), and
# prints markdown tables.  See run.sh --help.
cd "$(dirname "$0")" && exec python3 driver.py "$@"
