#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh - builds and runs the benchmarks of bench/README.md, one after another.
# Called by: ./dev bench (which configures an optimised build), or by hand:
#     sh bench/run.sh BUILD_FOLDER [NAME...]
# May touch: the build folder and a temporary directory. Never: the network beyond loopback.
set -eu
build=${1:?usage: run.sh BUILD_FOLDER [store|map|push|idle|sync|trust|actors|savina|mailbox ...]}
shift
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
[ $# -gt 0 ] || set -- store map push idle sync trust actors savina # mailbox takes an hour
work=$(mktemp -d "${TMPDIR:-/tmp}/weft-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

ninja_make() { ninja -C "$build" "$@" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }; }

for name; do
    printf '== %s\n' "$name"
    case $name in
    store)
        ninja_make bench/bench-store-ingest
        "$build/bench/bench-store-ingest"
        "$build/bench/bench-store-ingest" --engine rocksdb --dir "$work/store"
        ninja_make bench/bench-store-raw
        "$build/bench/bench-store-raw" --dir "$work/raw"
        if "$build/bench/bench-store-raw" --help 2>&1 | grep -q lmdb; then
            "$build/bench/bench-store-raw" --engine lmdb --dir "$work/raw"
        fi
        ninja_make bench/bench-store-grow
        "$build/bench/bench-store-grow" --dir "$work/grow" --max "${GROW_MAX:-100000}" \
            --dag "$root/test/data/git.dag" --dag "$root/test/data/redis.dag"
        ;;
    map)
        ninja_make bench/bench-map
        mkdir -p "$work/map"
        "$build/bench/bench-map" --dir "$work/map"
        ;;
    push)
        ninja_make bench/bench-push
        mkdir -p "$work/push"
        "$build/bench/bench-push"
        "$build/bench/bench-push" --rocksdb "$work/push"
        ;;
    idle)
        ninja_make bench/bench-idle
        mkdir -p "$work/idle"
        "$build/bench/bench-idle"
        "$build/bench/bench-idle" --rocksdb "$work/idle"
        ;;
    sync)
        ninja_make weft-stress
        for store in memory rocksdb; do
            "$build/weft-stress" --dag "$root/test/data/git.dag" --nodes 3 --topology chain \
                --transport tcp --store "$store" --no-progress
        done
        ;;
    trust)
        ninja_make bench/bench-trust
        "$build/bench/bench-trust" --rounds 3
        ;;
    actors)
        ninja_make bench/bench-actors
        "$build/bench/bench-actors"
        ;;
    savina)
        ninja_make bench/bench-savina
        for workers in 1 2; do "$build/bench/bench-savina" --workers $workers; done
        "$build/bench/bench-savina" --place thread
        ;;
    mailbox) # weft beside the peers that can be built here
        make -C "$root/bench/mailbox" WEFT="$(cd "$build" && pwd)"
        sh "$root/bench/mailbox/run.sh" --versus weft
        ;;
    *)
        echo "run.sh: no benchmark is called $name" >&2
        exit 2
        ;;
    esac
done
