#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# readme.py - the commands and programs of README.md are true.
# Called by: meson test (suite house), as: readme.py SOURCE_ROOT MESON BUILD_DIR
# May touch: a temporary folder, into which it installs and where it runs the commands.
# Never: the source tree.
"""Each fenced block of README.md has its check. An HTML comment on the line above the fence says more:
    <!-- file: NAME -->   the block is a file that later commands use
    <!-- run: long -->    only run with WEFT_LONG=1
    <!-- run: never -->   only checked: shell syntax, and every ./dev verb is one that ./dev help lists
    <!-- run: built -->   each line runs in the source tree, with build/ replaced by the build folder; a
                          comment "exit N" at its end says the exit code that it must have
    <!-- run: built-long -->  likewise, with WEFT_LONG=1 only
`sh` blocks without a comment run, in order, in one folder, against an installed weft. A `text` block says
what the command before it printed."""
import os
import re
import subprocess
import sys
import tempfile

root, meson, build = sys.argv[1:4]
long_lane = os.environ.get("WEFT_LONG") == "1"
with open(os.path.join(root, "README.md"), encoding="utf-8") as file:
    text = file.read()
bad, ran, checked, printed = [], 0, 0, None

usage = subprocess.run(["sh", os.path.join(root, "dev"), "help"], stdout=subprocess.PIPE).stdout.decode()
verbs = set(re.findall(r"^ +(?:\./)?dev ([a-z]+)", usage, flags=re.M))
for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
    checked += 1
    if not os.path.exists(os.path.join(root, link)):
        bad.append(f"README.md links to {link}, which is not there")

with tempfile.TemporaryDirectory() as folder:
    stage, work = os.path.join(folder, "root"), os.path.join(folder, "work")
    os.mkdir(work)
    subprocess.run([meson, "install", "--no-rebuild", "--tags", "devel", "-C", build], env=dict(os.environ, DESTDIR=stage),
                   stdout=subprocess.DEVNULL, check=True)
    pc = [os.path.join(d, f) for d, _, fs in os.walk(stage) for f in fs if f == "weft.pc"][0]
    with open(pc, encoding="utf-8") as file:
        moved = file.read().replace("prefix=", f"prefix={stage}", 1)
    with open(os.path.join(folder, "weft.pc"), "w", encoding="utf-8") as file:
        file.write(moved)
    search = [folder] + [p for p in [os.environ.get("PKG_CONFIG_PATH")] if p]
    env = dict(os.environ, PKG_CONFIG_PATH=":".join(search))

    for match in re.finditer(r"(?:<!-- (\w+): (\S+) -->\n)?^```(\w*)\n(.*?)^```$", text, flags=re.M | re.S):
        key, value, language, body = match.groups()
        if key == "file":
            with open(os.path.join(work, value), "w", encoding="utf-8") as file:
                file.write(body)
            continue
        if language == "text":
            if printed is not None and printed != body:
                bad.append(f"README.md says:\n{body}printed was:\n{printed}")
            continue
        if language != "sh":
            continue
        printed = None
        for verb in re.findall(r"^\./dev ([a-z]+)", body, flags=re.M):
            checked += 1
            if verb not in verbs:
                bad.append(f"README.md says ./dev {verb}, ./dev help does not")
        if subprocess.run(["sh", "-n", "-c", body]).returncode != 0:
            bad.append("not shell: " + body)
        checked += 1
        if key == "run" and (value == "never" or (value in ("long", "built-long") and not long_lane)):
            continue
        if key == "run" and value.startswith("built"):
            for line in body.splitlines():
                want = re.search(r"#.*exit (\d+)", line)
                command = line.replace("build/", build.rstrip("/") + "/")
                done = subprocess.run(["sh", "-c", command], cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT)
                ran += 1
                if done.returncode != (int(want.group(1)) if want else 0):
                    bad.append(f"exit code {done.returncode}: {command}\n{done.stdout.decode(errors='replace')}")
            continue
        done = subprocess.run(["sh", "-e", "-c", body], cwd=root if "./dev" in body else work, env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        ran, printed = ran + 1, done.stdout.decode(errors="replace")
        if done.returncode != 0:
            bad.append(f"exit code {done.returncode}:\n{body}{printed}")

print(f"{ran} blocks ran, {checked} things checked")
if ran == 0:
    bad.append("no command of README.md was run")
print("\n".join(bad))
sys.exit(1 if bad else 0)
