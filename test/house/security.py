#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# security.py - each test that docs/security.md and docs/reference-map.md name exists; each promise, and
# each row that is not said to be open or out, names one; no row of the map is missing or there twice, and
# its calls are those of the headers.
# Called by: meson test (suite house), as: security.py SOURCE_ROOT
# May touch: the tree, reading. Never: writes.
import glob
import os
import re
import sys

root = sys.argv[1]
PROMISE = r"\d+"
ROW = r"[A-Z]\d\d"
ROWS = {"C": 12, "T": 10, "Q": 16, "S": 27, "H": 17, "M": 20, "X": 30, "B": 31, "U": 15, "Y": 8, "K": 11, "W": 15, "E": 6, "F": 9, "D": 44, "P": 40}
STATUSES = {"has", "other", "part", "open", "out"}


def read(*path):
    with open(os.path.join(root, *path), encoding="utf-8") as file:
        return file.read()


units = set()
for path in glob.glob(os.path.join(root, "test", "*", "*.c")):
    units |= {"/".join(pair) for pair in re.findall(r"^(?:WORLD_|Parameterized)?Test\((\w+),\s*(\w+)", read(path), flags=re.M)}
roles = set(re.findall(r'\{"([\w-]+)", \w+\}', read("test", "hostile", "main.c")))
calls = {call for path in glob.glob(os.path.join(root, "include", "weft", "*.h")) for call in re.findall(r"\bweft_\w+(?=\()", read(path))}
examples = set(re.findall(r"^test\('([\w-]+)'", read("examples", "meson.build"), flags=re.M))
tortures = {os.path.basename(p)[:-2] for p in glob.glob(os.path.join(root, "test", "torture", "*.c"))}


def check_tests(shown, of):
    """The complaints about the tests that a cell names, and how many it names."""
    bad, named, kind = [], 0, None
    for word, test in re.findall(r"(\broles?\b|\btorture\b|\bfuzz\b|\bexample\b)?[ ,]*`([^`]+)`", shown):
        kind = word.rstrip("s") or (None if "/" in test else kind)
        known = {"role": roles, "torture": tortures, "example": examples, None: units}[kind]
        named += 1
        if test not in known:
            bad.append(f"{of}: there is no {kind or 'test'} {test}")
    return bad, named


def rows(page, number):
    return [[cell.strip() for cell in row.split("|")] for row in re.findall(rf"^\| ?({number} ?\|.*)\|$", page, flags=re.M)]


def check_promises(page):
    bad, named = [], 0
    for cells in rows(page, PROMISE):
        complaints, tests = check_tests(cells[-1], cells[0])
        bad, named = bad + complaints, named + tests
        if tests == 0:
            bad.append(f"a promise without a test: {cells[0]}")
    return bad, named


def check_map(page):
    bad, named, seen = [], 0, []
    for cells in rows(page, ROW):
        if len(cells) != 5 or cells[2] not in STATUSES:
            bad.append(f"{cells[0]}: no row of this table")
            continue
        complaints, tests = check_tests(cells[4], cells[0])
        bad, named = bad + complaints, named + tests
        bad += [f"{cells[0]}: there is no call {call}" for call in re.findall(r"`(weft_\w+)`", cells[3]) if call not in calls]
        if (tests == 0) != (cells[2] in ("open", "out")):
            bad.append(f"{cells[0]}: {cells[2]}, and {tests} tests")
        seen.append(cells[0])
    wanted = [f"{letter}{i:02}" for letter, count in ROWS.items() for i in range(1, count + 1)]
    bad += [f"{row}: missing" for row in sorted(set(wanted) - set(seen))]
    bad += [f"{row}: nobody knows it, or it is there twice" for row in sorted({r for r in seen if seen.count(r) > wanted.count(r)})]
    if not bad and seen != wanted:
        bad.append("the rows are not in their order")
    return bad, named


promises, map_page = read("docs", "security.md"), read("docs", "reference-map.md")
bad, named = check_promises(promises)
more, mapped = check_map(map_page)
bad += more
for offence, part in (("| 1 | x | y | `no/such_test` |\n", "no test"), ("| 1 | x | y | role `nobody` |\n", "no role"),
                      ("| 1 | x | y | example `none` |\n", "no example"),
                      ("| 1 | x | y | none |\n", "without a test")):
    if not any(part in complaint for complaint in check_promises(offence)[0]):
        bad.append(f"this passes: {offence!r}")
first = re.search(r"^\| C01 .*\n", map_page, flags=re.M)[0]
for offence, part in ((map_page.replace(first, ""), "C01: missing"), (map_page.replace(first, first + first), "there twice"),
                      (map_page.replace("engine/flush_waits", "engine/nobody_waits"), "no test"),
                      (map_page.replace("`weft_flush`", "`weft_rinse`"), "no call"),
                      (map_page.replace("| out |", "| has |"), "0 tests"), (map_page.replace(first, "| C01 | x | y |\n"), "no row")):
    if not any(part in complaint for complaint in check_map(offence)[0]):
        bad.append(f"this passes: {part}")
print(f"{named} tests named of promises, {mapped} of rows")
print("\n".join(bad))
sys.exit(1 if bad or 0 in (named, mapped) else 0)
