#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns test/data/noise_vectors.json into noise_vectors.h, which test_noise.c includes.

Run it by hand when the data changes: ./noise_vectors.py ../data/noise_vectors.json > noise_vectors.h
The texts stay hexadecimal, so that a difference can be read against the published file."""
import json
import sys


def text(value):
    """A C string; long ones are cut into lines of at most 80 digits."""
    if not value:
        return '""'
    pieces = [value[i:i + 80] for i in range(0, len(value), 80)]
    return "\n         ".join('"%s"' % p for p in pieces)


with open(sys.argv[1], encoding="utf-8") as f:
    vectors = json.load(f)["vectors"]
print("/* SPDX-License-Identifier: Apache-2.0")
print(" * noise_vectors.h - published Noise vectors, made by noise_vectors.py out of")
print(" * test/data/noise_vectors.json, which names their sources. Do not edit. */")
print("static const struct vector vectors[] = {")
for entry in vectors:
    v = entry["vector"]
    name = v.get("protocol_name") or v["name"]
    print("    {")
    print('        .source = "%s",' % entry["sources"][0])
    print("        .pattern = %s," % ("WF_NOISE_IK" if "_IK_" in name else "WF_NOISE_XX"))
    for key in ("init_prologue", "init_static", "init_ephemeral", "resp_prologue", "resp_static",
                "resp_ephemeral", "handshake_hash"):
        print("        .%s = %s," % (key, text(v.get(key, ""))))
    print("        .messages = {")
    for m in v["messages"]:
        print("        {%s,\n         %s}," % (text(m["payload"]), text(m["ciphertext"])))
    print("        },")
    print("        .count = %d," % len(v["messages"]))
    print("    },")
print("};")
