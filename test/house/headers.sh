#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# headers.sh - each public header compiles alone, as C11, C17 and C++17, without a warning.
# Called by: meson test (suite house), as: headers.sh INCLUDE_DIR CC... (CXX from the environment, or c++)
# May touch: a temporary folder. Never: the build folder.
set -u
include=$1
shift
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
bad=0
count=0
warn='-Wall -Wextra -Wpedantic -Werror -fsyntax-only'
if ! command -v "${CXX:-c++}" >/dev/null; then
    echo "no C++ compiler: the C++17 half cannot be checked"
    exit 77
fi
for header in "$include"/weft/*.h; do
    name=weft/${header##*/}
    # Twice, because a header without a guard passes the first time.
    printf '#include <%s>\n#include <%s>\nint only_so_that_it_is_not_empty;\n' "$name" "$name" >"$tmp/t.c"
    cp "$tmp/t.c" "$tmp/t.cpp"
    for std in c11 c17; do
        "$@" -std=$std $warn -I"$include" "$tmp/t.c" || { echo "$name fails as $std"; bad=$((bad + 1)); }
    done
    "${CXX:-c++}" -std=c++17 $warn -I"$include" "$tmp/t.cpp" || { echo "$name fails as c++17"; bad=$((bad + 1)); }
    count=$((count + 1))
done
echo "$count headers, $bad failures"
[ "$count" -gt 0 ] && [ "$bad" -eq 0 ]
