// SPDX-License-Identifier: Apache-2.0
// flynn_peer.go - the Noise of github.com/flynn/noise at the end of a pipe; noise_peer.c says what a peer does.
// Called by: run.py, as: flynn_peer XX|IK initiator|responder COUNT PROLOGUE. Never: shares code with weft.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/flynn/noise"
)

func fail(what string) {
	fmt.Fprintln(os.Stderr, "failed:", what)
	os.Exit(1)
}

var in = bufio.NewReader(os.Stdin)

func send(data []byte) {
	var head [2]byte
	binary.BigEndian.PutUint16(head[:], uint16(len(data)))
	if _, err := os.Stdout.Write(append(head[:], data...)); err != nil {
		fail("writing")
	}
}

func receive() []byte {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		fail("reading")
	}
	data := make([]byte, binary.BigEndian.Uint16(head[:]))
	if _, err := io.ReadFull(in, data); err != nil {
		fail("reading")
	}
	return data
}

func pair(of byte) noise.DHKey {
	key, err := noise.DH25519.GenerateKeypair(bytes.NewReader(bytes.Repeat([]byte{of}, 32)))
	if err != nil {
		fail("a key")
	}
	return key
}

func handshake(hs *noise.HandshakeState, initiator bool) (*noise.CipherState, *noise.CipherState) {
	for number := 0; ; number++ {
		var message, payload []byte
		var first, second *noise.CipherState
		var err error
		if (number%2 == 0) == initiator {
			message, first, second, err = hs.WriteMessage(nil, []byte(strconv.Itoa(number)))
			if err == nil {
				send(message)
			}
		} else {
			payload, first, second, err = hs.ReadMessage(nil, receive())
			if err == nil && string(payload) != strconv.Itoa(number) {
				fail("the payload")
			}
		}
		if err != nil {
			fail("the handshake: " + err.Error())
		}
		if first != nil && initiator {
			return first, second
		}
		if first != nil {
			return second, first
		}
	}
}

func seal(c *noise.CipherState, plain []byte) {
	sealed, err := c.Encrypt(nil, nil, plain)
	if err != nil {
		fail("encrypting")
	}
	send(sealed)
}

func open(c *noise.CipherState) []byte {
	plain, err := c.Decrypt(nil, nil, receive())
	if err != nil {
		fail("decrypting")
	}
	return plain
}

func main() {
	if len(os.Args) != 5 {
		fail("usage")
	}
	initiator := os.Args[2] == "initiator"
	count, _ := strconv.Atoi(os.Args[3])
	own, theirs := pair(0x22), pair(0x11)
	if initiator {
		own, theirs = theirs, own
	}
	config := noise.Config{
		CipherSuite:   noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashBLAKE2b),
		Pattern:       noise.HandshakeXX,
		Initiator:     initiator,
		Prologue:      []byte(os.Args[4]),
		StaticKeypair: own,
	}
	if os.Args[1] == "IK" {
		config.Pattern = noise.HandshakeIK
		if initiator {
			config.PeerStatic = theirs.Public
		}
	}
	hs, err := noise.NewHandshakeState(config)
	if err != nil {
		fail(err.Error())
	}
	out, into := handshake(hs, initiator)
	if !bytes.Equal(hs.PeerStatic(), theirs.Public) {
		fail("the other's static key")
	}
	for i := 0; i < count; i++ {
		if !initiator {
			seal(out, open(into))
			continue
		}
		plain := make([]byte, i*37%1200)
		for k := range plain {
			plain[k] = byte(i + k)
		}
		seal(out, plain)
		if !bytes.Equal(open(into), plain) {
			fail("an echo")
		}
	}
	fmt.Fprintf(os.Stderr, "hash %x\nechoed %d\n", hs.ChannelBinding(), count)
}
