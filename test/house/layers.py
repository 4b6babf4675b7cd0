#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# layers.py - no layer asks the linker for anything of a layer that it may not see.
# Called by: meson test (suite house), as: layers.py NM actor=ARCHIVE store=ARCHIVE ...
# May touch: the archives, reading. Never: the sources.
"""Include paths keep headers apart; this keeps apart what is declared in include/weft, which every
layer sees: a layer may call it only if it or a layer below it defines it."""
import subprocess
import sys

SEES = {
    "actor": ["actor"],
    "store": ["actor", "store"],
    "transport": ["actor", "transport"],
    "sync": ["actor", "store", "transport", "sync"],
}


def symbols(nm, archive):
    """The weft symbols that an archive defines, and those that it asks for."""
    defined, asked = set(), set()
    for line in subprocess.run([nm, "-P", archive], check=True, capture_output=True, text=True).stdout.splitlines():
        words = line.split()
        if len(words) < 2 or not words[0].startswith(("weft_", "wf_")):
            continue
        (asked if words[1] == "U" else defined).add(words[0])
    return defined, asked


def main():
    nm = sys.argv[1]
    found = {}
    for pair in sys.argv[2:]:
        layer, archive = pair.split("=", 1)
        found[layer] = symbols(nm, archive)
    leaks = []
    for layer, (_, asked) in found.items():
        seen = set().union(*(found[below][0] for below in SEES[layer]))
        leaks += [f"{layer} asks for {name}, which no layer that it sees defines" for name in sorted(asked - seen)]
    print("\n".join(leaks) or f"{len(found)} layers, {sum(len(a) for _, a in found.values())} symbols asked for, no leak")
    return 1 if leaks or len(found) != len(SEES) else 0


if __name__ == "__main__":
    sys.exit(main())
