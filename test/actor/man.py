#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# man.py - docs/weft_actor.3 is a well-formed page about what exists.
# Called by: meson test (suite actor), as: man.py SOURCE_ROOT CC...
# May touch: a temporary folder. Never: the source tree.
"""Every weft_ and WEFT_ name on the page stands in a public header, the headers it lists are there, and its
example compiles. With mandoc at hand its lint has nothing to say above the level of style."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

root, compiler, bad = sys.argv[1], sys.argv[2:], []
page = os.path.join(root, "docs", "weft_actor.3")
include = os.path.join(root, "include")
with open(page, encoding="utf-8") as file:
    text = file.read()
headers = ""
for name in sorted(os.listdir(os.path.join(include, "weft"))):
    with open(os.path.join(include, "weft", name), encoding="utf-8") as file:
        headers += file.read()

names = set(re.findall(r"\b(?:weft|WEFT)_[A-Za-z_0-9]+", text)) - {"weft_actor", "WEFT_ACTOR"}
bad += [f"{n} is on the page and in no header" for n in sorted(names) if not re.search(rf"\b{n}\b", headers)]
listed = set(re.findall(r"^\.It In (weft/\w+\.h)", text, flags=re.M))
bad += [f"there is no {n}" for n in sorted(listed) if not os.path.exists(os.path.join(include, n))]

example = re.search(r"^\.Bd -literal\n(.*?)^\.Ed", text, flags=re.M | re.S)[1].replace("\\e", "\\")
with tempfile.TemporaryDirectory() as folder:
    source = os.path.join(folder, "example.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write(example)
    if subprocess.run([*compiler, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", include, source]).returncode:
        bad.append("the example does not compile")

linted = shutil.which("mandoc") is not None
if linted:
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    # Whether the pages of others are installed here is not this page's fault.
    bad += [line for line in lint.stdout.decode().splitlines() if "mandoc.db" not in line]
print(f"{len(names)} names, {len(listed)} headers, lint {'ran' if linted else 'left out: no mandoc here'}")
print("\n".join(bad))
sys.exit(1 if bad else 0)
