#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# man.py - the pages docs/*.3 are well-formed and about what exists.
# Called by: meson test (suite actor), as: man.py SOURCE_ROOT CC...
# May touch: a temporary folder. Never: the source tree.
"""Every weft_ and WEFT_ name on a page stands in a public header, the headers it lists are there, and its
example compiles. With mandoc at hand its lint has nothing to say above the level of style."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

root, compiler, bad = sys.argv[1], sys.argv[2:], []
include = os.path.join(root, "include")
headers = ""
for name in sorted(os.listdir(os.path.join(include, "weft"))):
    with open(os.path.join(include, "weft", name), encoding="utf-8") as file:
        headers += file.read()
linted = shutil.which("mandoc") is not None


def check(page):
    own = os.path.basename(page)[:-2]
    with open(page, encoding="utf-8") as file:
        text = file.read()
    others = set(re.findall(r"^\.(?:It )?Xr (\S+) \d", text, flags=re.M))
    names = set(re.findall(r"\b(?:weft|WEFT)_[A-Za-z_0-9]+", text)) - {own, own.upper()} - others
    bad.extend(f"{own}: {n} is on the page and in no header" for n in sorted(names) if not re.search(rf"\b{n}\b", headers))
    listed = set(re.findall(r"^\.It In (weft/\w+\.h)", text, flags=re.M))
    bad.extend(f"{own}: there is no {n}" for n in sorted(listed) if not os.path.exists(os.path.join(include, n)))

    example = re.search(r"^\.Bd -literal\n(.*?)^\.Ed", text, flags=re.M | re.S)[1].replace("\\&", "").replace("\\e", "\\")
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "example.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(example)
        if subprocess.run([*compiler, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", include, source]).returncode:
            bad.append(f"{own}: the example does not compile")

    if linted:
        lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        # Whether the pages of others are installed here is not this page's fault.
        bad.extend(line for line in lint.stdout.decode().splitlines() if "mandoc.db" not in line)
    print(f"{own}: {len(names)} names, {len(listed)} headers")


pages = sorted(glob.glob(os.path.join(root, "docs", "*.3")))
for page in pages:
    check(page)
print(f"{len(pages)} pages, lint {'ran' if linted else 'left out: no mandoc here'}")
print("\n".join(bad))
sys.exit(1 if bad or not pages else 0)
