#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# manual.py - the code of docs/actors.md is that of the examples, which are compiled and run.
# Called by: meson test (suite house), as: manual.py SOURCE_ROOT
# May touch: the tree, reading. Never: writes.
"""Each `c` block of docs/actors.md stands verbatim in the example that the comment above it names; each
example is named in examples/meson.build; each link to a file or a heading leads somewhere."""
import os
import re
import sys

root = sys.argv[1]


def read(*path):
    with open(os.path.join(root, *path), encoding="utf-8") as file:
        return file.read()


def check(text, examples):
    bad, blocks = [], 0
    for name, body in re.findall(r"(?:<!-- from: (\S+) -->\n)?^```c\n(.*?)^```$", text, flags=re.M | re.S):
        blocks += 1
        if name not in examples:
            bad.append(f"a block of C names no example: {body[:60]!r}")
        elif body not in examples[name]:
            bad.append(f"{name} does not contain: {body[:60]!r}")
    for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        if not os.path.exists(os.path.join(root, "docs", link)):
            bad.append(f"a link leads to {link}, which is not there")
    anchors = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, flags=re.M)}
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        if anchor not in anchors:
            bad.append(f"a link leads to #{anchor}, which is no heading")
    return bad, blocks


examples = {leaf: read("examples", leaf) for leaf in sorted(os.listdir(os.path.join(root, "examples")))
            if leaf.endswith((".c", ".cpp"))}
bad, blocks = check(read("docs", "actors.md"), examples)
build = read("examples", "meson.build")
for leaf in examples:
    if not re.search(r"'" + re.escape(leaf.rsplit(".", 1)[0]) + r"(\.c|\.cpp)?'", build):
        bad.append(f"examples/{leaf} is in no test")

# Each complaint can come: a changed block, an unnamed one, a dead link, a dead anchor.
for offence, part in (("<!-- from: a.c -->\n```c\nint y;\n```\n", "does not contain"), ("```c\nint x;\n```\n", "names no example"),
                      ("[a](nowhere.md)\n", "not there"), ("[a](#nowhere)\n", "no heading")):
    if not any(part in complaint for complaint in check(offence, {"a.c": "int x;\n"})[0]):
        bad.append(f"this passes: {offence!r}")
print(f"{blocks} blocks of code, {len(examples)} examples")
print("\n".join(bad))
sys.exit(1 if bad or blocks == 0 else 0)
