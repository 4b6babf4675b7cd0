#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# rules.py - the rules that include paths cannot forbid.
# Called by: meson test (suite house) and ./dev lint, as: rules.py SOURCE_ROOT
# May touch: the tree, reading; a temporary folder, to see that each rule can fail.
# Never: build folders.
"""Layers include downwards only; threads, sockets, RocksDB and libsodium stay in their rooms; every file
says its licence, is short, and leaves nothing unfinished."""
import os
import re
import sys
import tempfile

MAX_LINES = 800
MAX_FUNCTION = 70  # from the line of its brace to that of the other
# layer -> the layers whose headers it may include (include/weft is open to all)
SEES = {"actor": {"actor"}, "store": {"actor", "store"}, "transport": {"actor", "transport"},
        "sync": {"actor", "store", "transport", "sync"}, "http": {"actor", "transport", "http"}}
# (header, where it may be included, why); a place is a folder that ends in / or a file
ROOMS = [
    (r"stdatomic\.h", ["src/actor/"], "atomics live in the actor layer"),
    (r"(pthread|threads|semaphore|linux/futex)\.h", ["src/actor/"], "threads live in the actor layer"),
    (r"(time|sys/time|sys/timerfd)\.h", ["src/actor/"], "clocks live in the actor layer"),
    (r"(poll|sys/poll|sys/epoll|sys/eventfd|sys/select)\.h", ["src/actor/", "src/transport/"], "waiting is the loop's work"),
    (r"(sys/socket|sys/un|netinet/\w+|netdb|arpa/inet|ifaddrs|net/if)\.h", ["src/transport/"], "sockets live in the transport"),
    (r"rocksdb/.*", ["src/store/kv_rocksdb_state.h", "src/store/store_copy.c"], "RocksDB lives in its own rooms"),
    (r"kv_rocksdb_state\.h", ["src/store/kv_rocksdb"], "RocksDB lives in its own rooms"),
    (r"microhttpd\.h", ["src/http/http_server.c"], "libmicrohttpd lives in one room"),
    (r"lmdb\.h", ["src/store/kv_lmdb.h"], "LMDB lives in its own rooms"),
    (r"kv_lmdb\.h", ["src/store/kv_lmdb"], "LMDB lives in its own rooms"),
    (r"sodium(/.*|\.h)", ["src/store/crypto.c", "src/transport/noise.c"], "libsodium lives in two files"),
    (r"msgpack.*", ["src/store/", "src/transport/", "src/sync/"], "the actor layer knows no msgpack"),
]
ATOMIC = re.compile(r"\b(_Atomic|atomic_\w+\s*\(|__atomic_\w+|__sync_\w+)")
BINDS_ATOMICS = {"src/actor/atomic.h", "src/actor/delay.c"}  # delay.c is what the names call
# Spelled in pieces, so that this file passes its own test.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "not " + "implemented"]) + r")\b")
# (a call, where src/ may make it, why)
CALLS = [
    (r"wf_store_may_read\w*", ["src/store/", "src/sync/access.c"], "sync asks who may read in one place (sync/access.c)"),
]
CODE = (".c", ".h", ".py", ".sh", ".cpp")
SKIP = {".git", ".cache", "subprojects", "__pycache__"}


def files(root):
    for folder, names, leaves in os.walk(root):
        names[:] = sorted(n for n in names if n not in SKIP and not n.startswith("build"))
        for leaf in sorted(leaves):
            yield os.path.relpath(os.path.join(folder, leaf), root)


def without_comments(text):
    blank = lambda m: re.sub(r"[^\n]", " ", m[0])
    return re.sub(r'/\*.*?\*/|//[^\n]*', blank, text, flags=re.S)


def check_code(path, text, headers, bad):
    """The include rules of one file under src/."""
    layer = path.split("/")[1] if path.count("/") >= 2 else None
    code = without_comments(text)
    for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', code, flags=re.M):
        name, at = match[2], f"{path}:{code.count(chr(10), 0, match.start()) + 1}"
        for pattern, places, why in ROOMS:
            if re.fullmatch(pattern, name) and not any(path.startswith(p) for p in places):
                bad.append(f"{at} includes {name}: {why}")
        for owner in headers.get(name, set()):
            if match[1] == '"' and layer in SEES and not headers[name] & SEES[layer]:
                bad.append(f"{at} includes {owner}/{name}: {layer} may not know {owner}")
    for pattern, places, why in CALLS:
        for match in re.finditer(r"\b" + pattern + r"\s*\(", code):
            if not any(path.startswith(p) for p in places):
                bad.append(f"{path}:{code.count(chr(10), 0, match.start()) + 1} calls {match[0][:-1]}: {why}")
    begin = None
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("{"):
            begin = number
        elif line.startswith("}") and begin is not None:
            if number - begin - 1 > MAX_FUNCTION:
                bad.append(f"{path}:{begin} is a function of {number - begin - 1} lines: at most {MAX_FUNCTION}")
            begin = None
    if layer != "actor":
        for match in ATOMIC.finditer(code):
            bad.append(f"{path}:{code.count(chr(10), 0, match.start()) + 1} uses {match[1].strip()}: "
                       "atomics live in the actor layer (actor/lock.h has counters)")
    elif path not in BINDS_ATOMICS:
        for match in ATOMIC.finditer(code):
            bad.append(f"{path}:{code.count(chr(10), 0, match.start()) + 1} uses {match[1].strip()}: "
                       "only the names of atomic.h can be checked with lost time")


def check(root):
    bad, paths = [], list(files(root))
    headers = {}  # name -> the layers that have a header of that name
    for path in paths:
        match = re.fullmatch(r"src/(\w+)/(\w+\.h)", path)
        if match:
            headers.setdefault(match[2], set()).add(match[1])
    for path in paths:
        executable = os.access(os.path.join(root, path), os.X_OK) and "." not in os.path.basename(path)
        if not path.endswith(CODE) and not executable:
            continue
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            text = file.read()
        lines = text.split("\n")
        if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(lines[:3]):
            bad.append(f"{path}:1 has no SPDX line")
        if len(lines) - 1 > MAX_LINES:
            bad.append(f"{path} has {len(lines) - 1} lines: a room has at most {MAX_LINES}")
        for number, line in enumerate(lines, 1):
            if UNFINISHED.search(line):
                bad.append(f"{path}:{number} is unfinished: {line.strip()}")
            if re.match(r'\s*#\s*include\s*"\.\./', line) or re.match(r'\s*#\s*include\s*".*/\.\./', line):
                bad.append(f"{path}:{number} includes upwards: {line.strip()}")
            if path.endswith((".c", ".h")) and ("\t" in line or line != line.rstrip()):
                bad.append(f"{path}:{number} has a tab or a blank at its end")
        if path.startswith("src/") and path.endswith((".c", ".h")):
            check_code(path, text, headers, bad)
    return bad, len(paths)


# One tree of offences: path -> (text after the SPDX line, a part of the complaint that must come)
OFFENCES = {
    "src/sync/a.c": ("#include <rocksdb/c.h>\n", "RocksDB"),
    "src/sync/b.c": ("#include <sys/socket.h>\n", "sockets"),
    "src/sync/c.c": ("#include <pthread.h>\n", "threads"),
    "src/sync/d.c": ("#include <stdatomic.h>\n", "atomics"),
    "src/sync/e.c": ("void f(int *p) { __atomic_store_n(p, 1, 0); }\n", "counters"),
    "src/transport/q.c": ("#include <microhttpd.h>\n", "one room"),
    "src/sync/f.c": ("#include <time.h>\n", "clocks"),
    "src/store/g.c": ("#include <sodium.h>\n", "libsodium"),
    "src/store/h.c": ('#include "link.h"\n', "may not know transport"),
    "src/transport/link.h": ("", None),
    "src/actor/i.c": ("#include <msgpack.h>\n", "msgpack"),
    "src/actor/j.c": ('#include "../store/k.h"\n', "upwards"),
    "src/actor/k.c": ("\n" * (MAX_LINES + 1), "lines"),
    "src/actor/l.c": ("/* " + "TO" + "DO */\n", "unfinished"),
    "src/actor/m.c": ("\tint a;\n", "tab"),
    "src/actor/n.c": ("int f(void)\n{\n" + ";\n" * (MAX_FUNCTION + 1) + "}\n", "function"),
    "test/n.py": (None, "SPDX"),
    "src/actor/o.c": ("int f(int *p) { return __atomic_load_n(p, 0); }\n", "lost time"),
    "src/sync/p.c": ("bool f(void) { return wf_store_may_read_as(s, t, k, 1); }\n", "one place"),
    "src/actor/fine.c": ("#include <pthread.h>\n/* <rocksdb/c.h> in a comment */\n", None),
}


def selftest():
    """Each rule sees its own offence, and only that."""
    with tempfile.TemporaryDirectory() as root:
        for path, (text, _) in OFFENCES.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write("x = 1\n" if text is None else "/* SPDX-License-Identifier: Apache-2.0 */\n" + text)
        bad, _ = check(root)
    wrong = []
    for path, (_, want) in OFFENCES.items():
        said = [b for b in bad if b.startswith(path)]
        if (want is None) != (not said) or (want is not None and not any(want in s for s in said)):
            wrong.append(f"selftest: {path} should give {want}, gave {said}")
    return wrong


complaints, count = check(sys.argv[1])
complaints += selftest()
print(f"{count} files looked at, {len(OFFENCES)} planted ones")
print("\n".join(complaints))
sys.exit(1 if complaints else 0)
