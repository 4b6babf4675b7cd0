#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# entry_other.py - a second reading of the entry format, written from docs/entry.md alone.
# Called by: meson test, as: entry_other.py TEST_DATA. May touch: test/data/entry_v1, reading.
# Never: weft's own code: what both agree on is in the document and not in one program's habits.
"""Reads each golden entry, writes it again, and checks bytes, id text, signature and settings."""
import base64
import hashlib
import os
import sys

# ---- msgpack, the part that entries use, shortest forms only


def pack(value):
    def head(n, fix, codes):
        if fix is not None and n < fix[1]:
            return bytes([fix[0] | n])
        for code, size in codes:
            if n < 1 << (8 * size):
                return bytes([code]) + n.to_bytes(size, "big")
        raise ValueError(n)

    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return head(value, (0, 128), [(0xcc, 1), (0xcd, 2), (0xce, 4), (0xcf, 8)])
    if isinstance(value, str):
        text = value.encode()
        return head(len(text), (0xa0, 32), [(0xd9, 1), (0xda, 2), (0xdb, 4)]) + text
    if isinstance(value, bytes):
        return head(len(value), None, [(0xc4, 1), (0xc5, 2), (0xc6, 4)]) + value
    return head(len(value), (0x90, 16), [(0xdc, 2), (0xdd, 4)]) + b"".join(map(pack, value))


def unpack(data, at=0):
    code = data[at]
    at += 1
    if code < 0x80:
        return code, at
    if code in (0xc0, 0xc2, 0xc3):
        return {0xc0: None, 0xc2: False, 0xc3: True}[code], at
    if 0xcc <= code <= 0xcf:
        size = 1 << (code - 0xcc)
        return int.from_bytes(data[at:at + size], "big"), at + size
    if 0xa0 <= code < 0xc0:
        n, kind = code & 31, "str"
    elif 0x90 <= code < 0xa0:
        n, kind = code & 15, "array"
    else:
        kind, size = {0xd9: ("str", 1), 0xda: ("str", 2), 0xc4: ("bin", 1), 0xc5: ("bin", 2),
                      0xc6: ("bin", 4), 0xdc: ("array", 2)}[code]
        n, at = int.from_bytes(data[at:at + size], "big"), at + size
    if kind == "array":
        items = []
        for _ in range(n):
            item, at = unpack(data, at)
            items.append(item)
        return items, at
    body = data[at:at + n]
    assert len(body) == n
    return (body.decode() if kind == "str" else body), at + n


# ---- Ed25519 (RFC 8032, section 5.1)

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert y < P and (x * x - x2) % P == 0
    return (P - x if x & 1 != sign else x), y


def add(a, b):
    k = D * a[0] * b[0] * a[1] * b[1] % P
    return ((a[0] * b[1] + b[0] * a[1]) * pow(1 + k, P - 2, P) % P,
            (a[1] * b[1] + a[0] * b[0]) * pow(1 - k, P - 2, P) % P)


def times(n, a):
    sum_ = (0, 1)
    while n:
        if n & 1:
            sum_ = add(sum_, a)
        a, n = add(a, a), n >> 1
    return sum_


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed(key, message, signature):
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L
    return s < L and times(s, BASE) == add(point(r), times(k, point(key)))


# ---- the document


def check(name, data):
    fields, end = unpack(data)
    assert end == len(data) and pack(fields) == data, f"{name} is not in the shortest form"
    version, tree, genesis, parents, height, metadata, stores, author, signature = fields
    assert version == 1 and len(author) == 32 and len(signature) == 64
    assert data[-66:] == b"\xc4\x40" + signature
    for ids in [parents] + [store[1] for store in stores]:
        assert ids == sorted(set(ids)) and all(len(id_) == 32 for id_ in ids)
    names = [store[0].encode() for store in stores]
    assert names == sorted(set(names))
    assert metadata is None or metadata
    assert all(store[3] is None or store[3] != height for store in stores)
    if tree is None:
        assert parents == [] and height == 0 and names == [b"_settings"]
        assert len(genesis[0]) == 16 and genesis[1] in (0, 1)
    else:
        assert genesis is None and parents and height >= 1
    body = data[:-66]
    message = b"weft/entry/v1\0" + len(body).to_bytes(8, "big") + body
    assert signed(author, message, signature), f"{name}: the signature does not verify"
    for store_name, _, payload, _ in stores:
        if store_name != "_settings":
            continue
        operations, end = unpack(payload)
        assert end == len(payload) and pack(operations) == payload
        paths = [[part.encode() for part in op[0]] for op in operations]
        assert paths == sorted(paths)
        if tree is None:
            assert [["auth", author.hex(), "grant"], 1, "admin:0"] in operations
    digest = hashlib.blake2b(data, digest_size=32).digest()
    cid = bytes.fromhex("018104a0e40220") + digest
    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


def main():
    folder = os.path.join(sys.argv[1], "entry_v1")
    with open(os.path.join(folder, "list.txt"), encoding="ascii") as file:
        rows = [line.split() for line in file]
    assert len(rows) >= 5
    for name, size, text in rows:
        with open(os.path.join(folder, name), "rb") as file:
            data = file.read()
        assert len(data) == int(size) and check(name, data) == text, name
        broken = bytearray(data)
        broken[-70] ^= 1  # in the author's key or before: the signature must notice
        try:
            check(name, bytes(broken))
        except AssertionError:
            continue
        raise AssertionError(f"{name}: a changed entry passes")
    print(f"{len(rows)} golden entries read alike")


main()
