#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# security.py - each test that docs/security.md names exists, and each promise names one.
# Called by: meson test (suite house), as: security.py SOURCE_ROOT
# May touch: the tree, reading. Never: writes.
import glob
import os
import re
import sys

root = sys.argv[1]


def read(*path):
    with open(os.path.join(root, *path), encoding="utf-8") as file:
        return file.read()


units = set()
for path in glob.glob(os.path.join(root, "test", "*", "*.c")):
    units |= {"/".join(pair) for pair in re.findall(r"^(?:WORLD_|Parameterized)?Test\((\w+),\s*(\w+)", read(path), flags=re.M)}
roles = set(re.findall(r'\{"([\w-]+)", \w+\}', read("test", "hostile", "main.c")))
tortures = {os.path.basename(p)[:-2] for p in glob.glob(os.path.join(root, "test", "torture", "*.c"))}


def check(page):
    bad, named = [], 0
    for row in re.findall(r"^\| (\d+ .*) \|$", page, flags=re.M):
        shown = row.rsplit("|", 1)[1]
        tests = re.findall(r"`([^`]+)`", shown)
        if not tests:
            bad.append(f"a promise without a test: {row[:60]}")
        kind = None
        for word, test in re.findall(r"(\broles?\b|\btorture\b|\bfuzz\b)?[ ,]*`([^`]+)`", shown):
            kind = word.rstrip("s") or (None if "/" in test else kind)
            known = {"role": roles, "torture": tortures, None: units}[kind]
            named += 1
            if test not in known:
                bad.append(f"there is no {kind or 'test'} {test}")
    return bad, named


bad, named = check(read("docs", "security.md"))
for offence, part in (("| 1 | x | y | `no/such_test` |\n", "no test"), ("| 1 | x | y | role `nobody` |\n", "no role"),
                      ("| 1 | x | y | none |\n", "without a test")):
    if not any(part in complaint for complaint in check(offence)[0]):
        bad.append(f"this passes: {offence!r}")
print(f"{named} tests named")
print("\n".join(bad))
sys.exit(1 if bad or named == 0 else 0)
