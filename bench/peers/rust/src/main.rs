//! ipc-channel and ipmpsc through their public interfaces, as the other sides are measured:
//!
//! ```text
//! peers WAY KIND PAYLOAD SIZE SENDERS WARMUP_MS MEASURE_MS [NAME]
//! ```
//!
//! prints `{"ops":…,"ns":…,"cpu":…}`. It starts the other processes itself, as `peers … assist SERVER…`.

mod ipc;
mod mpsc;
mod values;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What is measured.
#[derive(Clone)]
pub struct Workload {
    pub way: String,
    pub kind: String,
    pub payload: String,
    pub size: usize,
    pub senders: usize,
    warm_up: Duration,
    measure: Duration,
    pub name: String,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let milliseconds = |text: &str| Duration::from_micros((text.parse::<f64>().unwrap() * 1000.0) as u64);
    let workload = Workload {
        way: args[0].clone(),
        kind: args[1].clone(),
        payload: args[2].clone(),
        size: args[3].parse().unwrap(),
        senders: args[4].parse().unwrap(),
        warm_up: milliseconds(&args[5]),
        measure: milliseconds(&args[6]),
        name: args[7].clone(),
    };
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
pub fn report(workload: &Workload, mut children: Vec<Child>, mut operation: impl FnMut()) {
    let most = if workload.kind == "round-trip" { 32 } else { 512 };
    let batch = ((1 << 18) / (workload.size + 64)).clamp(1, most);
    let mut run = |duration: Duration| {
        let begin = Instant::now();
        let mut ops = 0u64;
        loop {
            for _ in 0..batch {
                operation();
            }
            ops += batch as u64;
            let elapsed = begin.elapsed();
            if elapsed >= duration {
                return (ops, elapsed.as_nanos());
            }
        }
    };
    let pids: Vec<u32> = children.iter().map(Child::id).chain([std::process::id()]).collect();
    run(workload.warm_up);
    let before = processor_time(&pids);
    let (ops, ns) = run(workload.measure);
    let cpu = processor_time(&pids) - before;
    println!("{{\"ops\":{ops},\"ns\":{ns},\"cpu\":{cpu}}}");
    for child in &mut children {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Processor time of some processes so far, in nanoseconds; the kernel counts in hundredths of a second.
fn processor_time(pids: &[u32]) -> u64 {
    pids.iter()
        .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok())
        .map(|text| {
            let fields: Vec<&str> = text[text.rfind(')').unwrap() + 2..].split(' ').collect();
            (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10_000_000
        })
        .sum()
}
