#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# package.sh - an installed weft can be used from outside the tree by what pkg-config says.
# Called by: meson test (suite house), as: package.sh MESON BUILD_DIR embed.c CC...
# May touch: a temporary folder, into which it installs. Never: the system's prefix.
set -u
meson=$1 build=$2 program=$3
shift 3
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
bad=0

say() { printf '%-34s %s\n' "$1" "$2"; }
try() { # NAME COMMAND...
    name=$1
    shift
    if "$@" >"$tmp/log" 2>&1; then say "$name" ok; else
        say "$name" FAILED
        sed 's/^/    /' "$tmp/log"
        bad=$((bad + 1))
    fi
}

try install env DESTDIR="$tmp/root" "$meson" install --no-rebuild --tags devel -C "$build"
pc=$(find "$tmp/root" -name weft.pc)
lib=$(find "$tmp/root" -name libweft.a)
header=$(find "$tmp/root" -path '*/weft/err.h')
for found in "$pc" "$lib" "$header"; do
    [ -n "$found" ] || { say "installed files" "FAILED: weft.pc, libweft.a or weft/err.h is missing"; exit 1; }
done
if grep -qF -e "$(dirname "$build")" "$pc"; then say "weft.pc" "FAILED: it names the build folder"; bad=$((bad + 1)); fi

# What DESTDIR is to the files, this is to weft.pc: its prefix moves with them.
sed "s|^prefix=|prefix=$tmp/root|" "$pc" >"$tmp/weft.pc"
PKG_CONFIG_PATH=$tmp${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH
pc_() { pkg-config "$@" weft; }
pc_ --exists --print-errors || exit 1

cp "$program" "$tmp/main.c"
cp "$program" "$tmp/main.cpp"
# shellcheck disable=SC2046 # the output of pkg-config is meant to fall apart at its blanks
{
    try "C, --libs" "$@" -o "$tmp/one" "$tmp/main.c" $(pc_ --cflags --libs)
    try "C, --libs: it runs" "$tmp/one"
    try "C, --static --libs" "$@" -o "$tmp/two" "$tmp/main.c" $(pc_ --cflags --static --libs)
    try "C, --static --libs: it runs" "$tmp/two"
    if command -v "${CXX:-c++}" >/dev/null; then
        try "C++, --libs" "${CXX:-c++}" -o "$tmp/three" "$tmp/main.cpp" $(pc_ --cflags --libs)
        try "C++, --libs: it runs" "$tmp/three"
    fi
    http=$(find "$tmp/root" -name weft-http.pc)
    if [ -n "$http" ]; then
        sed "s|^prefix=|prefix=$tmp/root|" "$http" >"$tmp/weft-http.pc"
        printf '%s\n' '#include <weft/http.h>' 'int main(void) {' '    weft_net *net = NULL;' \
            '    if (weft_net_http_create(NULL, &net) != WEFT_OK) return 1;' '    net->ops->destroy(net);' \
            '    return 0;' '}' >"$tmp/http.c"
        try "weft-http, --libs" "$@" -o "$tmp/five" "$tmp/http.c" $(pkg-config --cflags --libs weft-http)
        try "weft-http, --libs: it runs" "$tmp/five"
    fi
    # A program without a single shared library; only where every library has an archive.
    printf 'int main(void) { return 0; }\n' >"$tmp/empty.c"
    if "$@" -static -o "$tmp/empty" "$tmp/empty.c" $(pkg-config --static --libs rocksdb libsodium) -lsnappy -llz4 \
        -lzstd -lbz2 -lz -lstdc++ -lm >"$tmp/log" 2>&1; then
        # -u: the whole engine must come in, also while this small program does not open a store.
        try "C, -static" "$@" -static -Wl,-u,rocksdb_open -o "$tmp/four" "$tmp/main.c" $(pc_ --cflags --static --libs)
        try "C, -static: it runs" "$tmp/four"
    else
        say "C, -static" "left out: a library here has no archive"
    fi
}
exit $((bad > 0))
