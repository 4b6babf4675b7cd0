// SPDX-License-Identifier: Apache-2.0
//! peer crossbeam-channel: `--chan unb` (default) or `--chan b1024`; a
//! bounded(1) channel carries the reply in ask.
use crossbeam_channel as cb;
use mailbox_peers::threads::{self, Rx, Tx};
use mailbox_peers::*;

#[derive(Clone)]
struct S(cb::Sender<Payload>);
struct R(cb::Receiver<Payload>);
impl Tx for S {
    fn send(&self, p: Payload) {
        self.0.send(p).unwrap()
    }
}
impl Rx for R {
    fn recv(&mut self) -> Payload {
        self.0.recv().unwrap()
    }
}

fn raw<T>(o: &Options) -> (cb::Sender<T>, cb::Receiver<T>) {
    match o.chan.strip_prefix('b') {
        Some(n) => cb::bounded(n.parse().expect("--chan bN")),
        None => cb::unbounded(),
    }
}
fn channel(o: &Options) -> (S, R) {
    let (s, r) = raw(o);
    (S(s), R(r))
}

fn main() {
    let o = Options::parse("crossbeam");
    match o.case.as_str() {
        "throughput" | "fanin-burst" => {
            let (tx, rx) = channel(&o);
            threads::flow(&o, tx, rx, o.case == "fanin-burst")
        }
        "pingpong" => threads::pingpong(&o, channel(&o), channel(&o)),
        "ask" => {
            let (tx, rx) = raw::<(Payload, cb::Sender<u64>)>(&o);
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
                        let (r, answer) = cb::bounded(1);
                        tx.send((Payload::new(id as u32, seq, 0), r)).unwrap();
                        seq += 1;
                        answer.recv().unwrap()
                    }
                },
            )
        }
        x => panic!("unknown case {x}"),
    }
}
