// SPDX-License-Identifier: Apache-2.0
//! peer tokio: mpsc (`--chan b100`: bounded 100, `--chan unb`: unbounded) with
//! a oneshot reply in ask.  `--mode tasks`: everything is a task on the
//! default multi-thread runtime; `--mode threads`: OS threads use the
//! blocking_ calls; `--mode mixed` (ask only): client threads, server task.
use mailbox_peers::threads::{self, Rx, Tx};
use mailbox_peers::*;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

enum S<T> {
    B(mpsc::Sender<T>),
    U(mpsc::UnboundedSender<T>),
}
impl<T> Clone for S<T> {
    fn clone(&self) -> Self {
        match self {
            S::B(s) => S::B(s.clone()),
            S::U(s) => S::U(s.clone()),
        }
    }
}
enum R<T> {
    B(mpsc::Receiver<T>),
    U(mpsc::UnboundedReceiver<T>),
}

fn channel<T>(o: &Options) -> (S<T>, R<T>) {
    match o.chan.as_str() {
        "unb" => {
            let (s, r) = mpsc::unbounded_channel();
            (S::U(s), R::U(r))
        }
        c => {
            let n = c.strip_prefix('b').and_then(|n| n.parse().ok()).unwrap_or(100);
            let (s, r) = mpsc::channel(n);
            (S::B(s), R::B(r))
        }
    }
}

impl<T> S<T> {
    async fn send(&self, v: T) {
        match self {
            S::B(s) => s.send(v).await.ok().unwrap(),
            S::U(s) => s.send(v).ok().unwrap(),
        }
    }
    fn send_blocking(&self, v: T) {
        match self {
            S::B(s) => s.blocking_send(v).ok().unwrap(),
            S::U(s) => s.send(v).ok().unwrap(),
        }
    }
}
impl<T> R<T> {
    async fn recv(&mut self) -> T {
        match self {
            R::B(r) => r.recv().await.unwrap(),
            R::U(r) => r.recv().await.unwrap(),
        }
    }
    fn recv_blocking(&mut self) -> T {
        match self {
            R::B(r) => r.blocking_recv().unwrap(),
            R::U(r) => r.blocking_recv().unwrap(),
        }
    }
}
impl Tx for S<Payload> {
    fn send(&self, p: Payload) {
        self.send_blocking(p)
    }
}
impl Rx for R<Payload> {
    fn recv(&mut self) -> Payload {
        self.recv_blocking()
    }
}

struct Ask {
    p: Payload,
    reply: oneshot::Sender<u64>,
}

async fn flow(o: Options, burst: bool) {
    let (tx, mut rx) = channel::<Payload>(&o);
    let (total, o2) = (o.messages, o.clone());
    let consumer = tokio::spawn(async move {
        let mut v = Verify::new();
        let mut lat = vec![1u64; if burst { total as usize } else { 0 }];
        for i in 0..total {
            let p = rx.recv().await;
            if burst {
                lat[i as usize] = now_ns() - p.t;
            }
            v.see(&p);
        }
        let t1 = now_ns();
        v.finish(&o2);
        (t1, lat)
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let producers: Vec<_> = (0..o.producers)
        .map(|id| {
            let (tx, n) = (tx.clone(), o.share(id));
            tokio::spawn(async move {
                let t0 = now_ns();
                for i in 0..n {
                    if burst && i % BURST == 0 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    tx.send(Payload::new(id as u32, i, if burst { now_ns() } else { 0 })).await;
                }
                t0
            })
        })
        .collect();
    let mut t0 = u64::MAX;
    for p in producers {
        t0 = t0.min(p.await.unwrap());
    }
    let (t1, lat) = consumer.await.unwrap();
    report(&o, t0, t1, burst.then_some(lat));
}

async fn pingpong(o: Options) {
    let n = o.messages;
    let (to_b, mut at_b) = channel::<Payload>(&o);
    let (to_a, mut at_a) = channel::<Payload>(&o);
    let pong = tokio::spawn(async move {
        for i in 0..n {
            let p = at_b.recv().await;
            assert!(p.seq == i);
            to_a.send(p).await;
        }
    });
    let ping = tokio::spawn(async move {
        let mut lat = vec![1u64; n as usize];
        tokio::time::sleep(Duration::from_millis(20)).await;
        let t0 = now_ns();
        let mut t = t0;
        to_b.send(Payload::new(0, 0, 0)).await;
        for i in 0..n {
            let mut p = at_a.recv().await;
            let e = now_ns();
            lat[i as usize] = e - t;
            t = e;
            if i + 1 < n {
                p.seq = i + 1;
                to_b.send(p).await;
            }
        }
        (t0, t, lat)
    });
    let (t0, t1, lat) = ping.await.unwrap();
    pong.await.unwrap();
    report(&o, t0, t1, Some(lat));
}

async fn serve(mut rx: R<Ask>, n: u64) {
    let mut v = Verify::new();
    for _ in 0..n {
        let a = rx.recv().await;
        v.see(&a.p);
        a.reply.send(a.p.body[0] * 3 + 1).ok().unwrap();
    }
}

async fn ask_tasks(o: Options) {
    let (tx, rx) = channel::<Ask>(&o);
    let server = tokio::spawn(serve(rx, o.messages));
    tokio::time::sleep(Duration::from_millis(20)).await;
    let clients: Vec<_> = (0..o.producers)
        .map(|id| {
            let (tx, n) = (tx.clone(), o.share(id));
            tokio::spawn(async move {
                let mut lat = vec![1u64; n as usize];
                let t0 = now_ns();
                let mut t = t0;
                for i in 0..n {
                    let (reply, answer) = oneshot::channel();
                    tx.send(Ask { p: Payload::new(id as u32, i, 0), reply }).await;
                    assert!(answer.await.unwrap() == i * 3 + 1);
                    let e = now_ns();
                    lat[i as usize] = e - t;
                    t = e;
                }
                (t0, t, lat)
            })
        })
        .collect();
    let (mut t0, mut t1, mut all) = (u64::MAX, 0, vec![]);
    for c in clients {
        let (a, b, mut l) = c.await.unwrap();
        t0 = t0.min(a);
        t1 = t1.max(b);
        all.append(&mut l);
    }
    server.await.unwrap();
    report(&o, t0, t1, Some(all));
}

fn ask_client(tx: &S<Ask>, id: u64) -> impl FnMut(u64) -> u64 {
    let (tx, mut seq) = (tx.clone(), 0);
    move |_q| {
        let (reply, answer) = oneshot::channel();
        tx.send_blocking(Ask { p: Payload::new(id as u32, seq, 0), reply });
        seq += 1;
        answer.blocking_recv().unwrap()
    }
}

fn main() {
    let o = Options::parse("tokio");
    let burst = o.case == "fanin-burst";
    if o.mode == "threads" {
        match o.case.as_str() {
            "throughput" | "fanin-burst" => {
                let (tx, rx) = channel::<Payload>(&o);
                threads::flow(&o, tx, rx, burst)
            }
            "pingpong" => threads::pingpong(&o, channel::<Payload>(&o), channel::<Payload>(&o)),
            "ask" => {
                let (tx, mut rx) = channel::<Ask>(&o);
                let n = o.messages;
                threads::ask(
                    &o,
                    move || {
                        let mut v = Verify::new();
                        for _ in 0..n {
                            let a = rx.recv_blocking();
                            v.see(&a.p);
                            a.reply.send(a.p.body[0] * 3 + 1).ok().unwrap();
                        }
                    },
                    |id| ask_client(&tx, id),
                )
            }
            x => panic!("unknown case {x}"),
        }
        return;
    }
    let rt = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match (o.case.as_str(), o.mode.as_str()) {
        ("ask", "mixed") => {
            let (tx, rx) = channel::<Ask>(&o);
            let n = o.messages;
            let h = rt.handle().clone();
            threads::ask(&o, move || h.block_on(async move { tokio::spawn(serve(rx, n)).await.unwrap() }), |id| {
                ask_client(&tx, id)
            })
        }
        ("throughput" | "fanin-burst", _) => rt.block_on(flow(o, burst)),
        ("pingpong", _) => rt.block_on(pingpong(o)),
        ("ask", _) => rt.block_on(ask_tasks(o)),
        (x, _) => panic!("unknown case {x}"),
    }
}
