#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# peer erlang: starts the emulator on the beam file beside this script.
export ERL_CRASH_DUMP_BYTES=0
exec erl -noshell -noinput -pa "$(dirname "$0")" -s peer_erl main -extra "$@"
