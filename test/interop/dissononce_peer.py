#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# dissononce_peer.py - the Noise of python3-dissononce at the end of a pipe; noise_peer.c says what a peer does.
# Called by: run.py, as: dissononce_peer.py XX|IK initiator|responder COUNT PROLOGUE. Never: shares code with weft.
import struct
import sys

from dissononce.cipher.chachapoly import ChaChaPolyCipher
from dissononce.dh.private import PrivateKey
from dissononce.dh.x25519.x25519 import X25519DH
from dissononce.hash.blake2b import Blake2bHash
from dissononce.processing.handshakepatterns.interactive.IK import IKHandshakePattern
from dissononce.processing.handshakepatterns.interactive.XX import XXHandshakePattern
from dissononce.processing.impl.cipherstate import CipherState
from dissononce.processing.impl.handshakestate import HandshakeState
from dissononce.processing.impl.symmetricstate import SymmetricState


def send(data):
    sys.stdout.buffer.write(struct.pack(">H", len(data)) + bytes(data))
    sys.stdout.buffer.flush()


def receive():
    head = sys.stdin.buffer.read(2)
    if len(head) != 2:
        sys.exit("failed: reading")
    return sys.stdin.buffer.read(struct.unpack(">H", head)[0])


def main():
    pattern, role, count, prologue = sys.argv[1:5]
    initiator = role == "initiator"
    dh = X25519DH()
    own = dh.generate_keypair(PrivateKey(bytes([0x11 if initiator else 0x22] * 32)))
    theirs = dh.generate_keypair(PrivateKey(bytes([0x22 if initiator else 0x11] * 32)))
    state = HandshakeState(SymmetricState(CipherState(ChaChaPolyCipher()), Blake2bHash()), dh)
    state.initialize(IKHandshakePattern() if pattern == "IK" else XXHandshakePattern(), initiator, prologue.encode(), s=own,
                     rs=theirs.public if pattern == "IK" and initiator else None)
    number, ciphers = 0, None
    while ciphers is None:
        message = bytearray()
        if (number % 2 == 0) == initiator:
            ciphers = state.write_message(str(number).encode(), message)
            send(message)
        else:
            ciphers = state.read_message(receive(), message)
            if bytes(message) != str(number).encode():
                sys.exit("failed: the payload")
        number += 1
    if state.rs.data != theirs.public.data:
        sys.exit("failed: the other's static key")
    out, into = ciphers if initiator else ciphers[::-1]
    for i in range(int(count)):
        if initiator:
            plain = bytes((i + k) & 255 for k in range(i * 37 % 1200))
            send(out.encrypt_with_ad(b"", plain))
            if bytes(into.decrypt_with_ad(b"", receive())) != plain:
                sys.exit("failed: an echo")
        else:
            send(out.encrypt_with_ad(b"", bytes(into.decrypt_with_ad(b"", receive()))))
    print("hash", state.symmetricstate.get_handshake_hash().hex(), file=sys.stderr)
    print("echoed", count, file=sys.stderr)


main()
