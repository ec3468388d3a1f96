//! What every program in Rust measures with.

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

impl Workload {
    /// From the arguments, of which there are at least eight.
    pub fn parse(args: &[String]) -> Workload {
        let milliseconds = |text: &str| Duration::from_micros((text.parse::<f64>().unwrap() * 1000.0) as u64);
        Workload {
            way: args[0].clone(),
            kind: args[1].clone(),
            payload: args[2].clone(),
            size: args[3].parse().unwrap(),
            senders: args[4].parse().unwrap(),
            warm_up: milliseconds(&args[5]),
            measure: milliseconds(&args[6]),
            name: args[7].clone(),
        }
    }
}

/// Warms up, measures and prints. `pids`: the other processes that work on it.
pub fn measure(workload: &Workload, pids: &[u32], mut operation: impl FnMut()) {
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
    let pids: Vec<u32> = pids.iter().copied().chain([std::process::id()]).collect();
    run(workload.warm_up);
    let before = processor_time(&pids);
    let (ops, ns) = run(workload.measure);
    let cpu = processor_time(&pids) - before;
    println!("{{\"ops\":{ops},\"ns\":{ns},\"cpu\":{cpu}}}");
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

/// Reads what every receiver of bytes reads.
pub fn look(bytes: &[u8]) {
    std::hint::black_box(bytes[0].wrapping_add(bytes[bytes.len() - 1]));
}
