#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# dev.py - ./dev test tells the truth: its last line and its exit code follow from the tests alone.
# Called by: meson test (suite house), as: dev.py SOURCE_ROOT
# May touch: a temporary tree with a space in its name, in which it runs a copy of ./dev.
# Never: the real tree's build folders.
"""Small made-up trees, each with a known outcome; the script is called from another folder, without a terminal."""
import os
import shutil
import subprocess
import sys
import tempfile

root = sys.argv[1]
PROJECT = """project('t', 'c')
sh = find_program('sh')
"""
TAP = "test('tap', sh, args: ['-c', 'printf \"1..3\\\\nok 1 a\\\\n%s 2 b\\\\nok 3 c # SKIP why\\\\n\"; exit %s'], protocol: 'tap')\n"
GOOD_TAP, BAD_TAP = TAP % ("ok", "0"), TAP % ("not ok", "1")
# name -> (meson.build after the head, extra environment, last line, exit code)
CASES = {
    "all good": (GOOD_TAP + "test('plain', sh, args: ['-c', 'exit 0'])\n", {}, "3 passed, 0 failed, 1 skipped", 0),
    "one assert fails": (BAD_TAP, {}, "1 passed, 1 failed, 1 skipped", 1),
    "crash after the last test": (TAP % ("ok", "3"), {}, "2 passed, 1 failed, 1 skipped", 1),
    "a program fails": ("test('plain', sh, args: ['-c', 'exit 1'])\n", {}, "0 passed, 1 failed", 1),
    "a program hangs": ("test('slow', sh, args: ['-c', 'sleep 60'], timeout: 1)\n", {}, "0 passed, 1 failed", 1),
    "skipped only": ("test('plain', sh, args: ['-c', 'exit 77'])\n", {}, "0 passed, 1 failed, 1 skipped", 1),
    "no test at all": ("", {}, "0 passed, 1 failed", 1),
    "meson refuses": ("no such thing", {}, "0 passed, 1 failed", 1),
    "the compiler refuses": ("executable('x', 'broken.c')\n", {}, "0 passed, 1 failed", 1),
    "long is left out": (GOOD_TAP + "test('l', sh, args: ['-c', 'exit 1'], suite: 'long')\n", {},
                         "2 passed, 0 failed, 1 skipped", 0),
    "long is let in": (GOOD_TAP + "test('l', sh, args: ['-c', 'exit 1'], suite: 'long')\n", {"WEFT_LONG": "1"},
                       "2 passed, 1 failed, 1 skipped", 1),
}
bad = []
with tempfile.TemporaryDirectory() as folder:
    tree = os.path.join(folder, "a tree")
    os.makedirs(os.path.join(tree, "test", "house"))
    shutil.copy(os.path.join(root, "dev"), tree)
    shutil.copy(os.path.join(root, "test", "house", "count.py"), os.path.join(tree, "test", "house"))
    files = {"meson_options.txt": "option('tests', type: 'feature')\noption('tools', type: 'feature')\n", "broken.c": "int main(void) { return x; }\n"}
    for name, text in files.items():
        with open(os.path.join(tree, name), "w", encoding="utf-8") as file:
            file.write(text)
    clean = {k: v for k, v in os.environ.items() if k not in ("WEFT_LONG", "MAKEFLAGS")}
    for name, (project, extra, last, code) in CASES.items():
        with open(os.path.join(tree, "meson.build"), "w", encoding="utf-8") as file:
            file.write(PROJECT + project)
        run = subprocess.run([os.path.join(tree, "dev"), "test", "plain"], cwd="/", stdin=subprocess.DEVNULL,
                             env=dict(clean, WEFT_NO_INSTALL="1", CI="true", **extra),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        lines = run.stdout.decode().splitlines()
        if any("packages are missing" in line for line in lines):
            print("left out: ./dev would have to install packages first")
            sys.exit(77)
        if lines[-1:] != [last] or run.returncode != code:
            bad.append(f"{name}: wanted {last!r} and exit code {code}, got {lines[-1:]} and {run.returncode}")
            bad += ["    " + line for line in lines]
print(f"{len(CASES)} outcomes looked at")
print("\n".join(bad))
sys.exit(1 if bad else 0)
