#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# sketch_other.py - the sketch of docs/store.md once more, by a program that shares no code with
# weft: prints the digests that test_sketch.c expects, or compares them with its source.
# Called by: meson test, people.
import hashlib
import math
import re
import struct
import sys

MASK = (1 << 64) - 1


def rotl(x, n):
    return (x << n | x >> (64 - n)) & MASK


def siphash24(key, data):
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & MASK
            v[1] = rotl(v[1], 13) ^ v[0]
            v[0] = rotl(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK
            v[3] = rotl(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK
            v[3] = rotl(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK
            v[1] = rotl(v[1], 17) ^ v[2]
            v[2] = rotl(v[2], 32)

    data += bytes(7 - len(data) % 8) + bytes([len(data) & 255])
    for at in range(0, len(data), 8):
        word = struct.unpack_from("<Q", data, at)[0]
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 255
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def cells_of(short):
    state, i = short, 0
    while i < 64:
        yield i
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        z ^= z >> 31
        root = max(1, math.isqrt(z))
        step = ((2 * i + 3) * ((1 << 48) // root - (1 << 16)) + (1 << 17) - 1) >> 17
        i += max(1, step)


def digest_of(entries):
    cells = [[0, 0, 0] for _ in range(64)]
    for n in range(entries):
        short = struct.unpack(">Q", hashlib.blake2b(struct.pack(">Q", n), digest_size=32).digest()[:8])[0]
        check = siphash24(b"weft/sketch/v1\0\0", struct.pack(">Q", short)) & 0xFFFFFFFF
        for i in cells_of(short):
            cells[i][0] ^= short
            cells[i][1] ^= check
            cells[i][2] += 1
    data = b"".join(struct.pack(">QII", *cell) for cell in cells)
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def main():
    digests = {n: digest_of(n) for n in (1, 2, 100, 10000)}
    if len(sys.argv) < 2:
        for n, digest in digests.items():
            print(n, digest)
        return 0
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            text = re.sub(r'"\s*"', "", file.read())
        for n, digest in digests.items():
            if digest not in text:
                print(f"{path}: the sketch of {n} entries is {digest}")
                return 1
    return 0


sys.exit(main())
