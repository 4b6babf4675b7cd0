#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# trie_other.py - the trie of docs/store.md once more, by a program that shares no code with weft:
# prints the golden digests, or says which of the files that it is given lacks one.
# Called by: meson test, people.
import hashlib
import sys


def blake(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def be64(number):
    return number.to_bytes(8, "big")


def digits(key):
    gen = "%x" % key[0]
    return [len(gen) - 1] + [int(c, 16) for c in gen + key[1].hex()]


def parts(keys, depth):
    """The keys by the digit at `depth`, ascending."""
    found = {}
    for key in keys:
        found.setdefault(digits(key)[depth], []).append(key)
    return sorted(found.items())


def digest(keys, depth):
    if not keys:
        return bytes(32)
    if len(keys) <= 32:
        return blake(b"\0" + b"".join(be64(gen) + entry for gen, entry in keys))
    children = parts(keys, depth)
    bitmap = sum(1 << digit for digit, _ in children)
    return blake(b"\1" + be64(len(keys)) + bitmap.to_bytes(2, "big") +
                 b"".join(digest(below, depth + 1) for _, below in children))


def gens(prefix):
    """The least and the highest gen that begin so."""
    if not prefix:
        return 0, 2 ** 64 - 1
    length = prefix[0] + 1
    known = "".join("%x" % d for d in prefix[1:1 + length])
    least = known or ("0" if length == 1 else "1")
    return int(least.ljust(length, "0"), 16), int(known.ljust(length, "f"), 16)


def inside(keys, depth, low, high):
    """(count, digest) of the shortest prefixes whose gens are all in [low, high)."""
    if not keys:
        return []
    first, last = gens(digits(keys[0])[:depth])
    if last < low or first >= high:
        return []
    if first >= low and last < high:
        return [(len(keys), digest(keys, depth))]
    return [part for _, below in parts(keys, depth) for part in inside(below, depth + 1, low, high)]


def range_digest(keys, low, high):
    found = inside(keys, 0, low, high)
    count = sum(n for n, _ in found)
    return count, blake(b"\2" + be64(low) + be64(high) + b"".join(d for _, d in found) + be64(count))


def history(count):
    return sorted((i // 3, blake(be64(i))) for i in range(count))


golden = [(f"root of {n}", digest(history(n), 0).hex()) for n in (1, 32, 33, 1000)]
golden.append(("range 5 to 300 of 1000", range_digest(history(1000), 5, 300)[1].hex()))
bad = 0
for name in sys.argv[1:]:
    text = open(name, encoding="utf-8").read()
    for what, value in golden:
        if value not in text:
            print(f"{name}: {what} is {value}")
            bad = 1
if len(sys.argv) == 1:
    for what, value in golden:
        print(value, what)
sys.exit(bad)
