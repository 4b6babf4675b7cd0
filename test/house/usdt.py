#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# usdt.py - the probes that docs/actors.md promises are in the archive, with as many arguments as it says.
# Called by: meson test (suite house) in builds with -Dusdt, as: usdt.py READELF libweft.a
# May touch: the archive, reading. Never: attaches to anything.
import re
import subprocess
import sys

WANTED = {"send": 3, "begin": 4, "end": 2, "spawn": 2, "exit": 2, "restart": 2}

notes = subprocess.run([sys.argv[1], "--notes", "--wide", sys.argv[2]], stdout=subprocess.PIPE, check=True,
                       encoding="utf-8", errors="replace", env={"LC_ALL": "C"}).stdout
found = {}
for name, arguments in re.findall(r"Provider: weft\n\s+Name: (\S+)\n.*\n\s+Arguments:(.*)", notes):
    found.setdefault(name, set()).add(len(arguments.split()))
bad = [f"{name}: {found.get(name, 'is missing')}, {count} arguments expected"
       for name, count in WANTED.items() if found.get(name) != {count}]
bad += [f"{name} is in no document" for name in sorted(found.keys() - WANTED.keys())]
print(f"{len(found)} probes")
print("\n".join(bad))
sys.exit(1 if bad else 0)
