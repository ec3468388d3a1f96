//! ipc-channel and ipmpsc through their public interfaces, as the other sides are measured:
//!
//! ```text
//! peers WAY KIND PAYLOAD SIZE SENDERS WARMUP_MS MEASURE_MS [NAME]
//! ```
//!
//! prints `{"ops":…,"ns":…,"cpu":…}`. It starts the other processes itself, as `peers … assist SERVER…`.

mod harness;
mod ipc;
mod mpsc;
mod values;

use harness::{measure, Workload};
use std::process::{Child, Command, Stdio};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let workload = Workload::parse(&args);
    let assists = args.get(8).is_some_and(|word| word == "assist");
    match (workload.way.as_str(), assists) {
        ("ipc-channel-bytes" | "ipc-channel-typed", false) => ipc::measure(&workload),
        ("ipc-channel-bytes" | "ipc-channel-typed", true) => ipc::assist(&workload, &args[9]),
        ("ipc-channel-operations", false) => ipc::operations(&workload),
        ("ipmpsc-owned" | "ipmpsc-borrowed", false) => mpsc::measure(&workload),
        ("ipmpsc-owned" | "ipmpsc-borrowed", true) => mpsc::assist(&workload, &args[9..]),
        (way, _) => panic!("unknown way {way}"),
    }
}

/// Starts one of the other processes.
pub fn start(names: &[&str]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(std::env::args().skip(1))
        .arg("assist")
        .args(names)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Warms up, measures, prints, and ends the other processes.
pub fn report(workload: &Workload, mut children: Vec<Child>, operation: impl FnMut()) {
    let pids: Vec<u32> = children.iter().map(Child::id).collect();
    measure(workload, &pids, operation);
    for child in &mut children {
        let _ = child.kill();
        let _ = child.wait();
    }
}
