//! The network between two real parts, and what goes wrong in it: toxiproxy.

use crate::http;
use crate::parts;
use crate::process::{Process, free_port};
use crate::wait::eventually;
use hyper::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Longest a start may take.
const START_MAX: Duration = Duration::from_secs(20);

/// A toxiproxy with links.
#[derive(Debug)]
pub struct Network {
    api: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

/// One way through it, from [`Link::addr`] to the part it was made for. Good until told otherwise.
#[derive(Debug)]
pub struct Link {
    api: SocketAddr,
    name: String,
    addr: SocketAddr,
    toxics: Vec<String>,
}

/// What a link does with what passes through it, in both directions where it does not say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Everything comes later, each time by `delay` and up to `jitter` more or less; milliseconds.
    Late {
        /// On the way.
        delay: u64,
        /// At most `delay`.
        jitter: u64,
    },
    /// Nothing comes, and nobody is told: connections stay open, and new ones open.
    Silent(Ways),
    /// Connections end with a reset as soon as anything comes.
    Reset,
    /// So many KiB a second.
    Slow(u64),
    /// Small pieces, and an end that comes 200 ms late.
    Sliced,
}

/// Ways through a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ways {
    /// Both.
    Both,
    /// What the side that connected sends.
    There,
    /// What it is answered.
    Back,
}

impl Network {
    /// Starts toxiproxy. What it draws at random is drawn from `seed`.
    pub fn start(seed: u64) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let mut command = Command::new(parts::toxiproxy());
        command
            .args(["-host", "127.0.0.1", "-port", &port.to_string(), "-seed", &(seed >> 1).to_string()])
            .env("LOG_LEVEL", "error");
        let process = Process::spawn("toxiproxy", &mut command, &folder.path().join("log"));
        let api = SocketAddr::from(([127, 0, 0, 1], port));
        eventually(START_MAX, "toxiproxy answers", || http::get(api, "/version"));
        Network { api, _process: process, _folder: folder }
    }

    /// A link to `part`.
    pub fn link(&self, name: &str, part: SocketAddr) -> Link {
        self.link_on(free_port(), name, part)
    }

    /// A link to `part` at a port of 127.0.0.1 that was chosen before.
    pub fn link_on(&self, port: u16, name: &str, part: SocketAddr) -> Link {
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let proxy = json!({ "name": name, "listen": addr, "upstream": part, "enabled": true });
        post(self.api, "/proxies", &proxy);
        Link { api: self.api, name: name.into(), addr, toxics: Vec::new() }
    }
}

impl Link {
    /// Where it begins.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connections are closed, and new ones refused.
    pub fn cut(&mut self) {
        self.enable(false);
    }

    /// Is there again after a cut, with the faults it had.
    pub fn mend(&mut self) {
        self.enable(true);
    }

    /// Does this from now on, with open connections too.
    pub fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Late { delay, jitter } => {
                self.add("latency", Ways::Both, &json!({ "latency": delay, "jitter": jitter }));
            }
            Fault::Silent(ways) => self.add("timeout", ways, &json!({ "timeout": 0 })),
            Fault::Reset => self.add("reset_peer", Ways::Both, &json!({ "timeout": 0 })),
            Fault::Slow(rate) => self.add("bandwidth", Ways::Both, &json!({ "rate": rate })),
            Fault::Sliced => {
                let slices = json!({ "average_size": 60, "size_variation": 50, "delay": 200 });
                self.add("slicer", Ways::Both, &slices);
                self.add("slow_close", Ways::Both, &json!({ "delay": 200 }));
            }
        }
    }

    /// Is good again. Connections on which something was lost are closed.
    pub fn heal(&mut self) {
        for toxic in std::mem::take(&mut self.toxics) {
            let path = format!("/proxies/{}/toxics/{toxic}", self.name);
            let (status, said) = http::call(self.api, Method::DELETE, &path, String::new()).expect("toxiproxy");
            assert_eq!(status, 204, "{said}");
        }
        self.enable(true);
    }

    fn add(&mut self, kind: &str, ways: Ways, attributes: &Value) {
        let there = (ways != Ways::Back).then_some("upstream");
        let back = (ways != Ways::There).then_some("downstream");
        for stream in there.into_iter().chain(back) {
            let toxic = format!("{kind}-{stream}");
            let body = json!({ "name": toxic, "type": kind, "stream": stream, "attributes": attributes });
            post(self.api, &format!("/proxies/{}/toxics", self.name), &body);
            self.toxics.push(toxic);
        }
    }

    fn enable(&self, enabled: bool) {
        post(self.api, &format!("/proxies/{}", self.name), &json!({ "enabled": enabled }));
    }
}

fn post(api: SocketAddr, path: &str, body: &Value) {
    let (status, said) = http::call(api, Method::POST, path, body.to_string()).expect("toxiproxy answers");
    assert!(status < 300, "{path}: {status} {said}");
}
