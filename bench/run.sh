#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh - builds and runs the benchmarks of bench/README.md, one after another.
# Called by: ./dev bench (which configures an optimised build), or by hand:
#     sh bench/run.sh BUILD_FOLDER [NAME...]
# May touch: the build folder and a temporary directory. Never: the network beyond loopback.
set -eu
build=${1:?usage: run.sh BUILD_FOLDER [store|push|idle|sync ...]}
shift
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
[ $# -gt 0 ] || set -- store push idle sync
work=$(mktemp -d "${TMPDIR:-/tmp}/weft-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

make() { ninja -C "$build" "$@" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }; }

for name; do
    printf '== %s\n' "$name"
    case $name in
    store)
        make bench/bench-store-ingest
        "$build/bench/bench-store-ingest"
        "$build/bench/bench-store-ingest" --engine rocksdb --dir "$work/store"
        ;;
    push)
        make bench/bench-push
        mkdir -p "$work/push"
        "$build/bench/bench-push"
        "$build/bench/bench-push" --rocksdb "$work/push"
        ;;
    idle)
        make bench/bench-idle
        mkdir -p "$work/idle"
        "$build/bench/bench-idle"
        "$build/bench/bench-idle" --rocksdb "$work/idle"
        ;;
    sync)
        make weft-stress
        for store in memory rocksdb; do
            "$build/weft-stress" --dag "$root/test/data/git.dag" --nodes 3 --topology chain \
                --transport tcp --store "$store" --no-progress
        done
        ;;
    *)
        echo "run.sh: no benchmark is called $name" >&2
        exit 2
        ;;
    esac
done
