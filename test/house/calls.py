#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# calls.py - each public call stands on a page of the manual, as it is declared, with a word about it;
# pages refer to pages that are there; and each call that waits for a node has a twin that
# does not, unless weft/node.h says that it has none.
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
    "weft_map_commit": "weft_map_edit_encode and weft_commit_async",
    "weft_http_restore": "it reads the store",
    "weft_sync_peer_add_address": "weft_peer_add_address_async",
    "weft_rt_after": "it does not wait",
}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def plain(text):
    """A type or a parameter, whatever its blanks."""
    return re.sub(r"\s*([*,()])\s*", r"\1", " ".join(text.split()))


def calls_of(header):
    """name -> (type, parameters), of the declarations of a header and of what it defines itself."""
    code = re.sub(r"^\s*#(?:.*\\\n)*.*$", "", re.sub(r"/\*.*?\*/", " ", header, flags=re.S), flags=re.M)
    code, inner = code.replace('extern "C" {', ""), 1
    while inner: # bodies, and structs in structs
        code, inner = re.subn(r"\{[^{}]*\}", ";", code)
    found = re.findall(r"^(?!\s*typedef)(?:static inline )?([\w ]+?[ *]+)(weft_\w+)\(([^;{]*)\)\s*;", code, flags=re.M)
    return {name: (plain(kind), plain(parameters)) for kind, name, parameters in found}


def synopsis_of(page):
    """name -> (type, parameters), of the SYNOPSIS of a page."""
    calls, kind, name, parameters = {}, "", "", []
    for line in (re.search(r"^\.Sh SYNOPSIS\n(.*?)^\.Sh ", page + "\n.Sh ", flags=re.M | re.S) or ["", ""])[1].splitlines():
        macro, _, rest = line.partition(" ")
        words = [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', rest)]
        if macro == ".Ft":
            kind = plain(" ".join(words))
        elif macro == ".Fo":
            name, parameters = words[0], []
        elif macro == ".Fa":
            parameters += words
        elif macro == ".Fn":
            calls[words[0]] = (kind, plain(", ".join(words[1:])))
        elif macro == ".Fc":
            calls[name] = (kind, plain(", ".join(parameters)))
    return calls


def lines_for(name, kind, parameters):
    """What to put on a page, for who has added a call."""
    depth, words = 0, [""]
    for c in parameters:
        depth += {"(": 1, ")": -1}.get(c, 0)
        if c == "," and depth == 0:
            words.append("")
        else:
            words[-1] += c
    spaced = " ".join('"' + re.sub(r"(?<=\w)\*", " *", word) + '"' for word in words)
    return f"\n    .Ft {kind}\n    .Fn {name} {spaced}"


def check(calls, pages, without):
    bad, shown, named = [], {}, set()
    for page in pages:
        shown.update(synopsis_of(page))
        names = set(re.findall(r"^\.Nm (\w+)", page.partition(".Nd ")[0], flags=re.M))
        bad += [f"{name} is not among the names of its page, so man does not find it: .Nm {name}"
                for name in synopsis_of(page) if name not in names]
        text = re.sub(r"^\.Sh SYNOPSIS\n.*?(?=^\.Sh )", "", page, flags=re.M | re.S)
        named |= set(re.findall(r"\bF[no] (weft_\w+)", text))
    bad += [f"{name} stands in no SYNOPSIS of docs/*.3:{lines_for(name, *calls[name])}" for name in calls if name not in shown]
    bad += [f"{name} is {shown[name]} on its page and {calls[name]} in its header"
            for name in calls if name in shown and shown[name] != calls[name]]
    bad += [f"{name} stands on a page and is no call" for name in sorted((set(shown) | named) - set(calls))]
    bad += [f"no word is said about {name}" for name in calls
            if name in shown and name not in named and not (name.endswith("_async") and name[:-6] in named)]
    waits = [n for n, (_, parameters) in calls.items() if re.search(r"\bweft_ns timeout\b", parameters) and not n.endswith("_async")]
    bad += [f"{n} waits and has no twin" for n in waits if n + "_async" not in calls and n not in without]
    bad += [f"{n} is said to have no twin, and has one or is no such call" for n in without
            if n not in calls or n + "_async" in calls]
    bad += [f"{n} is the twin of nothing" for n in calls if n.endswith("_async") and n[:-6] not in calls]
    return bad


calls = {}
for path in sorted(glob.glob(os.path.join(root, "include", "weft", "*.h"))):
    calls.update(calls_of(read(path)))
named = {os.path.basename(path): read(path) for path in sorted(glob.glob(os.path.join(root, "docs", "weft*.[1-8]")))}
pages = [page for leaf, page in named.items() if leaf.endswith(".3")]
bad = check(calls, pages, NO_TWIN)
for leaf, page in named.items():
    bad += [f"docs/{leaf} refers to {other}({number}), which is not there"
            for other, number in re.findall(r"\bXr (weft[\w-]*) (\d)", page) if f"{other}.{number}" not in named]
installed = set(re.findall(r"'docs/(weft[\w-]*\.\d)'", read(os.path.join(root, "meson.build"))))
bad += [f"docs/{leaf} is not installed" for leaf in named if leaf not in installed]

# Each complaint can come.
sample = calls_of("int weft_a(weft_ns timeout); /* int weft_z(int); */\nweft_b *weft_c_async(int x,\n int (*f)(int a, int b));\n")
PAGE = '.Nm weft_a ,\n.Nm weft_c_async\n.Nd a page\n.Sh SYNOPSIS\n.Ft int\n.Fn weft_a "weft_ns timeout"\n.Ft "weft_b *"\n.Fo weft_c_async\n.Fa "int x"\n.Fa "int (*f)(int a, int b)"\n.Fc\n.Sh X\n'
WORDS = ".Fn weft_a\n.Fn weft_c_async\n"
if [b for b in check(sample, [PAGE + WORDS], {}) if "twin" not in b]:
    bad.append(f"a good page does not pass: {check(sample, [PAGE + WORDS], {})}")
for without, page, part in (({}, WORDS, "no SYNOPSIS"), ({}, PAGE.replace("int x", "long x"), "in its header"),
                            ({}, PAGE.replace("Ft int", "Ft void"), "in its header"), ({}, PAGE, "no word"),
                            ({}, PAGE.replace("Nm weft_a", "Nm weft_b"), "among the names"),
                            ({}, PAGE + ".Fn weft_gone ,\n", "is no call"), ({}, PAGE, "no twin"),
                            ({}, "", "twin of nothing"), ({"weft_q": ""}, "", "no such call")):
    if sorted(sample) != ["weft_a", "weft_c_async"] or not any(part in b for b in check(sample, [page], without)):
        bad.append(f"this passes: {part}")
print(f"{len(calls)} calls, {sum(n.endswith('_async') for n in calls)} of them asynchronous, {len(pages)} pages")
print("\n".join(bad))
sys.exit(1 if bad or len(calls) < 200 else 0)
