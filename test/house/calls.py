#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# calls.py - each public call stands on a page of the manual, and each that waits for a node has a twin
# that does not, unless weft/node.h says that it has none.
# Called by: meson test (suite house), as: calls.py SOURCE_ROOT
# May touch: the tree, reading. Never: writes.
import glob
import os
import re
import sys

root = sys.argv[1]
# Nodes' calls with a timeout and without an _async form, and why.
NO_TWIN = {
    "weft_shutdown": "the notify thread stops too; a timeout of 0 only begins",
    "weft_feed_next": "weft_feed_start",
    "weft_grant_replace": "it looks the grant up: weft_grant_put_async with two grants",
    "weft_pair_get": "it reads the store",
    "weft_commit_at": "it reads the store",
    "weft_map_commit": "it reads the store",
    "weft_http_restore": "it reads the store",
    "weft_sync_peer_add_address": "weft_peer_add_address_async",
    "weft_rt_after": "it does not wait",
}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def calls_of(header):
    """name -> parameters, of the declarations of a header."""
    code = re.sub(r"^\s*#(?:.*\\\n)*.*$", "", re.sub(r"/\*.*?\*/", " ", header, flags=re.S), flags=re.M)
    code = re.sub(r"\{[^{}]*\}", "{}", code)
    return dict(re.findall(r"^(?!\s*typedef)[\w ]+?[ *]+(weft_\w+)\(([^;{]*)\);", code, flags=re.M))


def check(calls, pages, without):
    bad = [f"{name} stands on no page of docs/*.3" for name in calls if not re.search(rf"\b{name}\b", pages)]
    waits = [n for n, parameters in calls.items() if re.search(r"\bweft_ns timeout\b", parameters) and not n.endswith("_async")]
    bad += [f"{n} waits and has no twin" for n in waits if n + "_async" not in calls and n not in without]
    bad += [f"{n} is said to have no twin, and has one or is no such call" for n in without
            if n not in calls or n + "_async" in calls]
    bad += [f"{n} is the twin of nothing" for n in calls if n.endswith("_async") and n[:-6] not in calls]
    return bad


calls = {}
for path in sorted(glob.glob(os.path.join(root, "include", "weft", "*.h"))):
    calls.update(calls_of(read(path)))
pages = "\n".join(read(path) for path in sorted(glob.glob(os.path.join(root, "docs", "*.3"))))
bad = check(calls, pages, NO_TWIN)
sample = calls_of("int weft_a(weft_ns timeout); /* int weft_z(int); */\nweft_b *weft_c_async(int x,\n int y);\n")
for without, page, part in (({}, "weft_a", "no page"), ({}, "weft_a", "no twin"), ({}, "", "twin of nothing"),
                            ({"weft_q": ""}, "", "no such call")):
    if sorted(sample) != ["weft_a", "weft_c_async"] or not any(part in b for b in check(sample, page, without)):
        bad.append(f"this passes: {part}")
print(f"{len(calls)} calls, {sum(n.endswith('_async') for n in calls)} of them asynchronous")
print("\n".join(bad))
sys.exit(1 if bad or len(calls) < 200 else 0)
