//! iceoryx2 through its public interface, as the other sides are measured:
//!
//! ```text
//! iceoryx2-peer WAY KIND PAYLOAD SIZE SENDERS WARMUP_MS MEASURE_MS ""
//! iceoryx2-peer broadcast ROLE NAME SIZE MILLISECONDS "overwrite"|"retry"
//! ```
//!
//! The first prints `{"ops":…,"ns":…,"cpu":…}`. It starts the other process itself, as `iceoryx2-peer … assist NAME`.

mod broadcast;
#[allow(dead_code)] // one for all programs, of which none needs every part
#[path = "../../rust/src/harness.rs"]
mod harness;
mod publish_subscribe;
mod request_response;

use harness::Workload;
use iceoryx2::prelude::*;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub type Anything = Result<(), Box<dyn core::error::Error>>;

fn main() -> Anything {
    set_log_level(LogLevel::Error);
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args[0] == "broadcast" {
        return broadcast::run(&args[1..]);
    }
    let workload = Workload::parse(&args);
    let node = NodeBuilder::new().create::<ipc::Service>()?;
    match (workload.way.as_str(), args.get(9)) {
        ("iceoryx2", None) => publish_subscribe::measure(&node, &workload),
        ("iceoryx2", Some(name)) => publish_subscribe::assist(&node, &workload, name),
        ("iceoryx2-request", None) => request_response::measure(&node, &workload),
        ("iceoryx2-request", Some(name)) => request_response::assist(&node, &workload, name),
        (way, _) => panic!("unknown way {way}"),
    }
}

/// A name that no other run has.
pub fn unique_name() -> String {
    format!("bench-{}", std::process::id())
}

/// Starts the other process. It ends when its standard input does, so that it cleans up, and also if this one is killed.
pub fn start(name: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(std::env::args().skip(1))
        .args(["assist", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Ends the other process, by force if it does not end by itself.
pub fn end(mut child: Child) {
    drop(child.stdin.take());
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(2) {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

static ENDED: AtomicBool = AtomicBool::new(false);

/// In the other process: sees to it that `ended` becomes true with the end of the standard input.
pub fn watch_input() {
    std::thread::spawn(|| {
        let mut bytes = [0u8; 16];
        while std::io::stdin().read(&mut bytes).is_ok_and(|read| read > 0) {}
        ENDED.store(true, Ordering::Relaxed);
    });
}

pub fn ended() -> bool {
    ENDED.load(Ordering::Relaxed)
}
