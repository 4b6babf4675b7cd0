// SPDX-License-Identifier: Apache-2.0
// peer go: goroutines and channels of 64-byte values.  --buf N sets the channel
// buffer (1024 by default); --lock 1 ties every goroutine to an OS thread.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"time"
)

type payload struct {
	from, kind uint32
	seq, t     uint64
	body       [4]uint64
	check      uint64
}
type request struct {
	p     payload
	reply chan uint64
}

const burst = 1000

var (
	peer      = "go"
	kase      = "throughput"
	producers = 1
	messages  = 1000000
	buf       = 1024
	lock      = false
	epoch     = time.Now()
)

func now() uint64 { return uint64(time.Since(epoch)) }

func checkOf(from uint32, seq uint64) uint64 {
	return seq*0x9e3779b97f4a7c15 ^ uint64(from)<<40
}

func fill(from int, seq, t uint64) payload {
	return payload{uint32(from), 1, seq, t, [4]uint64{seq, seq + 1, seq + 2, seq + 3}, checkOf(uint32(from), seq)}
}

func verify(p *payload, next []uint64) {
	if p.seq != next[p.from] {
		panic("per-producer order broken")
	}
	if p.check != checkOf(p.from, p.seq) || p.body[3] != p.seq+3 {
		panic("payload torn")
	}
	next[p.from]++
}

func share(i int) int {
	n := messages / producers
	if i < messages%producers {
		n++
	}
	return n
}

func spawn(f func()) {
	go func() {
		if lock {
			runtime.LockOSThread()
		}
		f()
	}()
}

func report(secs float64, lat []uint64) {
	fmt.Printf("{\"peer\":\"%s\",\"case\":\"%s\",\"producers\":%d,\"messages\":%d,\"seconds\":%.6f,\"msgs_per_sec\":%.0f,",
		peer, kase, producers, messages, secs, float64(messages)/secs)
	if n := len(lat); n > 0 {
		sort.Slice(lat, func(i, j int) bool { return lat[i] < lat[j] })
		fmt.Printf("\"p50_ns\":%d,\"p99_ns\":%d,\"p999_ns\":%d}\n", lat[n/2], lat[n*99/100], lat[n*999/1000])
	} else {
		fmt.Printf("\"p50_ns\":null,\"p99_ns\":null,\"p999_ns\":null}\n")
	}
}

func flow(bursts bool) {
	c := make(chan payload, buf)
	done := make(chan uint64)
	var lat []uint64
	if bursts {
		lat = make([]uint64, messages)
	}
	spawn(func() {
		next := make([]uint64, producers)
		for i := 0; i < messages; i++ {
			p := <-c
			if bursts {
				lat[i] = now() - p.t
			}
			verify(&p, next)
		}
		t1 := now()
		for i := range next {
			if next[i] != uint64(share(i)) {
				panic("messages lost")
			}
		}
		done <- t1
	})
	gate := make(chan struct{})
	t0s := make([]uint64, producers)
	for id := 0; id < producers; id++ {
		id := id
		spawn(func() {
			<-gate
			t0s[id] = now()
			n := share(id)
			for i := 0; i < n; i++ {
				t := uint64(0)
				if bursts {
					if i%burst == 0 {
						time.Sleep(time.Millisecond)
					}
					t = now()
				}
				c <- fill(id, uint64(i), t)
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	close(gate)
	t1 := <-done
	t0 := t0s[0]
	for _, t := range t0s {
		if t < t0 {
			t0 = t
		}
	}
	report(float64(t1-t0)/1e9, lat)
}

func pingpong() {
	a, b := make(chan payload, buf), make(chan payload, buf)
	done := make(chan uint64)
	lat := make([]uint64, messages)
	spawn(func() {
		for i := 0; i < messages; i++ {
			p := <-b
			if p.seq != uint64(i) {
				panic("pingpong out of order")
			}
			a <- p
		}
	})
	var t0 uint64
	spawn(func() {
		time.Sleep(20 * time.Millisecond)
		t0 = now()
		t := t0
		b <- fill(0, 0, 0)
		for i := 0; i < messages; i++ {
			p := <-a
			e := now()
			lat[i] = e - t
			t = e
			if i+1 < messages {
				p.seq = uint64(i + 1)
				b <- p
			}
		}
		done <- t
	})
	t1 := <-done
	report(float64(t1-t0)/1e9, lat)
}

func ask() {
	c := make(chan request, buf)
	lat := make([]uint64, messages)
	spawn(func() {
		next := make([]uint64, producers)
		for i := 0; i < messages; i++ {
			r := <-c
			verify(&r.p, next)
			r.reply <- r.p.body[0]*3 + 1
		}
	})
	gate := make(chan struct{})
	var wg sync.WaitGroup
	t0s, t1s := make([]uint64, producers), make([]uint64, producers)
	off := 0
	for id := 0; id < producers; id++ {
		id, n := id, share(id)
		l := lat[off : off+n]
		off += n
		wg.Add(1)
		spawn(func() {
			defer wg.Done()
			<-gate
			t := now()
			t0s[id] = t
			for i := 0; i < n; i++ {
				reply := make(chan uint64, 1)
				c <- request{fill(id, uint64(i), 0), reply}
				if <-reply != uint64(i)*3+1 {
					panic("wrong reply")
				}
				e := now()
				l[i] = e - t
				t = e
			}
			t1s[id] = t
		})
	}
	time.Sleep(20 * time.Millisecond)
	close(gate)
	wg.Wait()
	t0, t1 := t0s[0], t1s[0]
	for i := range t0s {
		if t0s[i] < t0 {
			t0 = t0s[i]
		}
		if t1s[i] > t1 {
			t1 = t1s[i]
		}
	}
	report(float64(t1-t0)/1e9, lat)
}

func main() {
	if len(os.Args) > 1 {
		kase = os.Args[1]
	}
	for i := 2; i+1 < len(os.Args); i += 2 {
		v := os.Args[i+1]
		n, _ := strconv.Atoi(v)
		switch os.Args[i] {
		case "--producers":
			producers = n
		case "--messages":
			messages = n
		case "--buf":
			buf = n
		case "--lock":
			lock = n != 0
		case "--name":
			peer = v
		}
	}
	switch kase {
	case "throughput":
		flow(false)
	case "fanin-burst":
		flow(true)
	case "pingpong":
		pingpong()
	case "ask":
		ask()
	default:
		panic("unknown case")
	}
}
