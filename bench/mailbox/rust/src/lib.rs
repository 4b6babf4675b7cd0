// SPDX-License-Identifier: Apache-2.0
//! What the Rust peers share: arguments, the 64-byte payload and its check,
//! percentiles and the JSON line.
use std::sync::OnceLock;
use std::time::Instant;

pub const BURST: u64 = 1000;

#[derive(Clone, Debug)]
pub struct Options {
    pub peer: String,
    pub case: String,
    pub producers: u64,
    pub messages: u64,
    pub chan: String,
    pub mode: String,
}

impl Options {
    pub fn parse(peer: &str) -> Options {
        let a: Vec<String> = std::env::args().collect();
        let mut o = Options {
            peer: peer.into(),
            case: a.get(1).cloned().unwrap_or_else(|| "throughput".into()),
            producers: 1,
            messages: 1_000_000,
            chan: String::new(),
            mode: String::new(),
        };
        let mut i = 2;
        while i + 1 < a.len() {
            let v = a[i + 1].clone();
            match a[i].as_str() {
                "--producers" => o.producers = v.parse().expect("--producers"),
                "--messages" => o.messages = v.parse().expect("--messages"),
                "--name" => o.peer = v,
                "--chan" => o.chan = v,
                "--mode" => o.mode = v,
                x => panic!("unknown argument {x}"),
            }
            i += 2;
        }
        assert!(o.producers >= 1 && o.producers <= 64 && o.messages >= 1);
        now_ns();
        o
    }
    pub fn share(&self, i: u64) -> u64 {
        self.messages / self.producers + u64::from(i < self.messages % self.producers)
    }
}

static EPOCH: OnceLock<Instant> = OnceLock::new();
pub fn now_ns() -> u64 {
    EPOCH.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Payload {
    pub from: u32,
    pub kind: u32,
    pub seq: u64,
    pub t: u64,
    pub body: [u64; 4],
    pub check: u64,
}

fn check_of(from: u32, seq: u64) -> u64 {
    seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((from as u64) << 40)
}

impl Payload {
    pub fn new(from: u32, seq: u64, t: u64) -> Payload {
        Payload {
            from,
            kind: 1,
            seq,
            t,
            body: [seq, seq + 1, seq + 2, seq + 3],
            check: check_of(from, seq),
        }
    }
}

/// The consumer's check: every producer's messages arrive in order and whole.
pub struct Verify {
    next: [u64; 64],
}
impl Verify {
    pub fn new() -> Verify {
        Verify { next: [0; 64] }
    }
    pub fn see(&mut self, p: &Payload) {
        let n = &mut self.next[p.from as usize];
        assert!(p.seq == *n, "per-producer order broken");
        assert!(p.check == check_of(p.from, p.seq) && p.body[3] == p.seq + 3, "payload torn");
        *n += 1;
    }
    pub fn finish(&self, o: &Options) {
        for i in 0..o.producers {
            assert!(self.next[i as usize] == o.share(i), "messages lost");
        }
    }
}

pub fn report(o: &Options, t0: u64, t1: u64, lat: Option<Vec<u64>>) {
    let secs = (t1 - t0) as f64 / 1e9;
    print!(
        "{{\"peer\":\"{}\",\"case\":\"{}\",\"producers\":{},\"messages\":{},\"seconds\":{:.6},\"msgs_per_sec\":{:.0},",
        o.peer, o.case, o.producers, o.messages, secs, o.messages as f64 / secs
    );
    match lat {
        Some(mut l) if !l.is_empty() => {
            l.sort_unstable();
            let n = l.len();
            println!(
                "\"p50_ns\":{},\"p99_ns\":{},\"p999_ns\":{}}}",
                l[n / 2],
                l[n * 99 / 100],
                l[n * 999 / 1000]
            )
        }
        _ => println!("\"p50_ns\":null,\"p99_ns\":null,\"p999_ns\":null}}"),
    }
}

/// The four cases over plain threads, for channels whose ends block.
pub mod threads {
    use super::*;
    use std::sync::Barrier;
    use std::thread;
    use std::time::Duration;

    pub trait Tx: Send {
        fn send(&self, p: Payload);
    }
    pub trait Rx: Send {
        fn recv(&mut self) -> Payload;
    }

    pub fn flow<T: Tx + Clone + 'static, R: Rx + 'static>(o: &Options, tx: T, mut rx: R, burst: bool) {
        let total = o.messages;
        let o2 = o.clone();
        let consumer = thread::spawn(move || {
            let mut v = Verify::new();
            let mut lat = vec![1u64; if burst { total as usize } else { 0 }];
            for i in 0..total {
                let p = rx.recv();
                if burst {
                    lat[i as usize] = now_ns() - p.t;
                }
                v.see(&p);
            }
            let t1 = now_ns();
            v.finish(&o2);
            (t1, lat)
        });
        let gate = Barrier::new(o.producers as usize);
        thread::sleep(Duration::from_millis(20));
        let t0 = thread::scope(|s| {
            let hs: Vec<_> = (0..o.producers)
                .map(|id| {
                    let (tx, gate, n) = (tx.clone(), &gate, o.share(id));
                    s.spawn(move || {
                        gate.wait();
                        let t0 = now_ns();
                        for i in 0..n {
                            if burst && i % BURST == 0 {
                                thread::sleep(Duration::from_millis(1));
                            }
                            tx.send(Payload::new(id as u32, i, if burst { now_ns() } else { 0 }));
                        }
                        t0
                    })
                })
                .collect();
            hs.into_iter().map(|h| h.join().unwrap()).min().unwrap()
        });
        let (t1, lat) = consumer.join().unwrap();
        report(o, t0, t1, burst.then_some(lat));
    }

    pub fn pingpong<T: Tx + 'static, R: Rx + 'static>(o: &Options, a: (T, R), b: (T, R)) {
        let n = o.messages;
        let (to_b, mut at_b) = b;
        let (to_a, mut at_a) = a;
        let pong = thread::spawn(move || {
            for i in 0..n {
                let p = at_b.recv();
                assert!(p.seq == i);
                to_a.send(p);
            }
        });
        let ping = thread::spawn(move || {
            let mut lat = vec![1u64; n as usize];
            thread::sleep(Duration::from_millis(20));
            let t0 = now_ns();
            let mut t = t0;
            to_b.send(Payload::new(0, 0, 0));
            for i in 0..n {
                let mut p = at_a.recv();
                let e = now_ns();
                lat[i as usize] = e - t;
                t = e;
                if i + 1 < n {
                    p.seq = i + 1;
                    to_b.send(p);
                }
            }
            (t0, t, lat)
        });
        let (t0, t1, lat) = ping.join().unwrap();
        pong.join().unwrap();
        report(o, t0, t1, Some(lat));
    }

    /// `serve` answers o.messages requests; `client(id)` gives a closure that asks once.
    pub fn ask<S, C, A>(o: &Options, serve: S, client: C)
    where
        S: FnOnce() + Send + 'static,
        C: Fn(u64) -> A + Sync,
        A: FnMut(u64) -> u64,
    {
        let server = thread::spawn(serve);
        let gate = Barrier::new(o.producers as usize);
        thread::sleep(Duration::from_millis(20));
        let rs: Vec<(u64, u64, Vec<u64>)> = thread::scope(|s| {
            let hs: Vec<_> = (0..o.producers)
                .map(|id| {
                    let (client, gate, n) = (&client, &gate, o.share(id));
                    s.spawn(move || {
                        let mut ask = client(id);
                        let mut lat = vec![1u64; n as usize];
                        gate.wait();
                        let t0 = now_ns();
                        let mut t = t0;
                        for i in 0..n {
                            assert!(ask(i * 3) == i * 3 + 1);
                            let e = now_ns();
                            lat[i as usize] = e - t;
                            t = e;
                        }
                        (t0, t, lat)
                    })
                })
                .collect();
            hs.into_iter().map(|h| h.join().unwrap()).collect()
        });
        server.join().unwrap();
        let t0 = rs.iter().map(|r| r.0).min().unwrap();
        let t1 = rs.iter().map(|r| r.1).max().unwrap();
        report(o, t0, t1, Some(rs.into_iter().flat_map(|r| r.2).collect()));
    }
}
