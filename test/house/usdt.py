#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# usdt.py - the probes that docs/actors.md promises are in the archive, with as many arguments as it says.
# Called by: meson test (suite house) in builds with -Dusdt, as: usdt.py libweft.a
# May touch: the archive, reading. Never: attaches to anything.
import re
import sys

WANTED = {"send": 3, "begin": 4, "end": 2, "spawn": 2, "exit": 2, "restart": 2}

with open(sys.argv[1], "rb") as file:
    archive = file.read()
# A note of SystemTap: after three addresses the provider, the probe and its arguments, each with a zero.
found = {}
for name, arguments in re.findall(rb"weft\0([a-z]+)\0([^\0]*)\0", archive):
    found.setdefault(name.decode(), set()).add(len(arguments.split()))
found = {name: counts for name, counts in found.items() if name in WANTED}
bad = [f"{name}: {found.get(name, 'is missing')}, {count} arguments expected"
       for name, count in WANTED.items() if found.get(name) != {count}]
print(f"{len(found)} probes")
print("\n".join(bad))
sys.exit(1 if bad else 0)
