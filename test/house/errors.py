#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# errors.py - docs/errors.md is about what the code answers, and each answer is one that a test asserts.
# Called by: meson test (suite house), as: errors.py SOURCE_ROOT
# May touch: the tree, reading. Never: writes.
"""Each code that src/ can answer stands in an assertion of a test; the table of codes is that of err.h and
err.c; each kind names a code and a test that asserts it, unless the call that would answer it is not there."""
import os
import re
import sys


def read(*path):
    with open(os.path.join(*path), encoding="utf-8", errors="replace") as file:
        return file.read()


def sources(root, folder, ends):
    found = []
    for where, names, leaves in os.walk(os.path.join(root, folder)):
        names.sort()
        found += [os.path.join(where, leaf) for leaf in sorted(leaves) if leaf.endswith(ends)]
    return found


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def codes_of(header):
    """name -> (number, sentence)"""
    return {m[1]: (m[2], m[3]) for m in re.finditer(r'X\(WEFT_(\w+), (-?\d+), "([^"]*)"\)', header)}


def classes_of(source):
    """name -> class, and the set of those to be tried again; as the two switches of err.c say."""
    first, second = source.index("weft_err_class weft_err_class_of"), source.index("bool weft_err_is_retryable")
    classes, waiting = {}, []
    for match in re.finditer(r"case WEFT_(\w+):|return WEFT_CLASS_(\w+);", source[first:second]):
        if match[1]:
            waiting.append(match[1])
        else:
            classes.update((name, match[2].lower().replace("_", " ")) for name in waiting)
            waiting = []
    return classes, set(re.findall(r"case WEFT_(\w+):", source[second:]))


def tests_of(text):
    """(suite: name) -> the text of the test with that of the functions of its file that it names."""
    heads = list(re.finditer(r"^Test\((\w+),\s*(\w+)", text, flags=re.M))
    helpers = {m[1]: m[2] for m in re.finditer(r"^static [^;{}]*?\b(\w+)\([^;{}]*\)\n\{(.*?)^\}", text, flags=re.M | re.S)}
    tests = {}
    for head in heads:
        rest = text[head.end():]
        one_line = re.match(r".*\{.*\}$", rest.split("\n", 1)[0])
        end = one_line or re.search(r"^\}", rest, flags=re.M)
        body = rest[:end.end()] if end else ""
        named = [helpers[name] for name in sorted(set(re.findall(r"\b\w+\b", body)) & set(helpers))]
        tests[f"{head[1]}: {head[2]}"] = body + "".join(named)
    return tests


def check(header, source, doc, calls, used, tests, asserted):
    """`calls`: functions that src/ defines; `used`: codes that src/ names; `asserted`: those in assertions."""
    bad, codes = [], codes_of(header)
    classes, again = classes_of(source)
    bad += [f"WEFT_{name} is answered by src/ and asserted by no test" for name in codes
            if name in used and name not in asserted]
    rows = {m[1]: (m[2], m[3], m[4] == "yes", m[5]) for m in
            re.finditer(r"^\| `WEFT_(\w+)` (-?\d+) \| ([\w ]+) \| (yes|) ?\| (.+) \|$", doc, flags=re.M)}
    for name, (number, sentence) in codes.items():
        want = (number, classes.get(name), name in again, sentence)
        if rows.get(name) != want:
            bad.append(f"docs/errors.md has {rows.get(name)} for WEFT_{name}, the code says {want}")
    bad += [f"docs/errors.md has WEFT_{name}, which is no code" for name in rows if name not in codes]

    kinds = re.findall(r"^\| (\w+) \| `(weft_\w+)` \| `(\w+)` \| (.+) \|$", doc, flags=re.M)
    for kind, call, code, test in kinds:
        if code not in codes:
            bad.append(f"{kind} names {code}, which is no code")
        if test == "-":
            if call in calls and code in used:
                bad.append(f"{kind}: {call} answers {code} by now; name the test that asserts it")
        elif call not in calls:
            bad.append(f"{kind} names {call}, which is no call")
        elif test not in tests:
            bad.append(f"{kind} names a test that is not there: {test}")
        elif f"WEFT_{code}" not in tests[test]:
            bad.append(f"{kind}: {test} says nothing of {code}")
    return bad, len(codes), len(kinds), sum(k[3] == "-" for k in kinds)


def selftest():
    """Each complaint can come."""
    header = 'X(WEFT_A, 1, "a") X(WEFT_B, 2, "b")'
    source = ("weft_err_class weft_err_class_of { case WEFT_A: return WEFT_CLASS_IO; case WEFT_B: return WEFT_CLASS_IO; }"
              "bool weft_err_is_retryable { case WEFT_A: }")
    fine = "| `WEFT_A` 1 | io | yes | a |\n| `WEFT_B` 2 | io |  | b |\n| K | `weft_k` | `A` | s: t |\n"
    tests = {"s: t": "cr_assert_eq(x, WEFT_A)", "s: u": ""}
    wrong = []
    for change, part in (
            (lambda d: d, None),
            (lambda d: d.replace("| yes |", "|  |"), "the code says"),
            (lambda d: d.replace("| io |", "| disk |", 1), "the code says"),
            (lambda d: d + "| `WEFT_C` 3 | io |  | c |\n", "is no code"),
            (lambda d: d.replace("`A`", "`Z`"), "is no code"),
            (lambda d: d.replace("s: t", "s: v"), "not there"),
            (lambda d: d.replace("s: t", "s: u"), "says nothing"),
            (lambda d: d.replace("s: t", "-"), "by now"),
            (lambda d: d.replace("weft_k", "weft_l"), "is no call")):
        bad = check(header, source, change(fine), {"weft_k"}, {"A"}, tests, {"A"})[0]
        if (part is None) != (not bad) or (part is not None and not any(part in b for b in bad)):
            wrong.append(f"selftest: {part} gave {bad}")
    if not any("no test" in b for b in check(header, source, fine, {"weft_k"}, {"A", "B"}, tests, {"A"})[0]):
        wrong.append("selftest: a code without an assertion passes")
    return wrong


def main():
    root = sys.argv[1]
    calls, used, tests, asserted = set(), set(), {}, set()
    for path in sources(root, "src", ".c"):
        text = without_comments(read(path))
        calls.update(re.findall(r"^[\w *]*?\b(weft_\w+)\(", text, flags=re.M))
        if not path.endswith("src/actor/err.c"):
            used.update(re.findall(r"\bWEFT_(\w+)\b", text))
    for path in sources(root, "test", (".c", ".h")):
        text = without_comments(read(path))
        tests.update(tests_of(text))
        if path.endswith("test_err.c"):
            continue  # it has all of them, which says nothing of who answers them
        asserted.update(re.findall(r"[!=]= WEFT_(\w+)", text))
        for statement in re.findall(r"\bcr_(?:assert|expect)\w*\(([^;]*);", text):
            asserted.update(re.findall(r"\bWEFT_(\w+)", statement))
    bad, codes, kinds, open_kinds = check(read(root, "include/weft/err.h"), read(root, "src/actor/err.c"),
                                          read(root, "docs/errors.md"), calls, used, tests, asserted)
    bad += selftest()
    print(f"{codes} codes, {kinds} kinds, {open_kinds} of them of calls to come; {len(tests)} tests looked at")
    print("\n".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
