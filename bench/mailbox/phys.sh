#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Physical limits of the machine: results/phys.tsv and results/phys-malloc-*.tsv.
cd "$(dirname "$0")" || exit 1
mkdir -p results
build/phys | tee results/phys.tsv
for lib in libmimalloc.so.2 libmimalloc.so.2.0 libjemalloc.so.2; do
    f=$(ldconfig -p | awk -v l="$lib" '$1 == l { print $NF; exit }')
    [ -n "$f" ] || continue
    echo "# with $lib"
    LD_PRELOAD=$f build/phys malloc | tee "results/phys-malloc-${lib%%.so*}.tsv"
done
