// SPDX-License-Identifier: Apache-2.0
//! peer std::sync::mpsc: `--chan unb` (default, channel()) or `--chan b1024`
//! (sync_channel); a fresh sync_channel(1) carries the reply in ask.
use mailbox_peers::threads::{self, Rx, Tx};
use mailbox_peers::*;
use std::sync::mpsc;

enum S<T> {
    B(mpsc::SyncSender<T>),
    U(mpsc::Sender<T>),
}
impl<T> Clone for S<T> {
    fn clone(&self) -> Self {
        match self {
            S::B(s) => S::B(s.clone()),
            S::U(s) => S::U(s.clone()),
        }
    }
}
impl<T> S<T> {
    fn put(&self, v: T) {
        match self {
            S::B(s) => s.send(v).ok().unwrap(),
            S::U(s) => s.send(v).ok().unwrap(),
        }
    }
}
struct R(mpsc::Receiver<Payload>);
impl Tx for S<Payload> {
    fn send(&self, p: Payload) {
        self.put(p)
    }
}
impl Rx for R {
    fn recv(&mut self) -> Payload {
        self.0.recv().unwrap()
    }
}

fn raw<T>(o: &Options) -> (S<T>, mpsc::Receiver<T>) {
    match o.chan.strip_prefix('b') {
        Some(n) => {
            let (s, r) = mpsc::sync_channel(n.parse().expect("--chan bN"));
            (S::B(s), r)
        }
        None => {
            let (s, r) = mpsc::channel();
            (S::U(s), r)
        }
    }
}
fn channel(o: &Options) -> (S<Payload>, R) {
    let (s, r) = raw(o);
    (s, R(r))
}

fn main() {
    let o = Options::parse("std-mpsc");
    match o.case.as_str() {
        "throughput" | "fanin-burst" => {
            let (tx, rx) = channel(&o);
            threads::flow(&o, tx, rx, o.case == "fanin-burst")
        }
        "pingpong" => threads::pingpong(&o, channel(&o), channel(&o)),
        "ask" => {
            let (tx, rx) = raw::<(Payload, mpsc::SyncSender<u64>)>(&o);
            let n = o.messages;
            threads::ask(
                &o,
                move || {
                    let mut v = Verify::new();
                    for _ in 0..n {
                        let (p, reply) = rx.recv().unwrap();
                        v.see(&p);
                        reply.send(p.body[0] * 3 + 1).unwrap();
                    }
                },
                |id| {
                    let (tx, mut seq) = (tx.clone(), 0);
                    move |_q| {
                        let (r, answer) = mpsc::sync_channel(1);
                        tx.put((Payload::new(id as u32, seq, 0), r));
                        seq += 1;
                        answer.recv().unwrap()
                    }
                },
            )
        }
        x => panic!("unknown case {x}"),
    }
}
