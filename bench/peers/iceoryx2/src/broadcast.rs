//! One publisher and several subscribers, each a process: role, name, bytes, milliseconds, and "overwrite" or "retry".
//!
//! A publisher overwrites what slow subscribers have not read, or retries until all have taken the message.

use iceoryx2::prelude::*;
use std::io::Read;
use std::time::{Duration, Instant};

const END: u8 = 255;
/// Messages that are kept for a subscriber, of so many bytes.
fn kept(size: usize) -> usize {
    if size < 4096 { 4096 } else { 16 }
}

pub fn run(arguments: &[String]) -> Result<(), Box<dyn core::error::Error>> {
    let (role, name) = (arguments[0].as_str(), arguments[1].as_str());
    let size: usize = arguments[2].parse()?;
    let milliseconds: u64 = arguments[3].parse()?;
    let overwrite = arguments[4] == "overwrite";
    let node = NodeBuilder::new().create::<ipc::Service>()?;
    let service = node
        .service_builder(&name.try_into()?)
        .publish_subscribe::<[u8]>()
        .max_publishers(1)
        .max_subscribers(8)
        .history_size(0)
        .subscriber_max_buffer_size(kept(size))
        .enable_safe_overflow(overwrite)
        .open_or_create()?;
    if role == "publish" {
        let publisher = service.publisher_builder()
            .initial_max_slice_len(size)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()?;
        let message = vec![1u8; size];
        let publish = |bytes: &[u8]| -> Result<(), Box<dyn core::error::Error>> {
            publisher.loan_slice_uninit(bytes.len())?.write_from_slice(bytes).send()?;
            Ok(())
        };
        println!("ready");
        let mut input = std::io::stdin();
        let mut line = [0u8; 16];
        input.read(&mut line)?;
        let batch = if size < 4096 { 64 } else { 1 };
        let began = Instant::now();
        let mut count = 0u64;
        while began.elapsed() < Duration::from_millis(milliseconds) {
            for _ in 0..batch {
                publish(&message)?;
            }
            count += batch;
        }
        println!("{{\"count\":{},\"milliseconds\":{}}}", count, began.elapsed().as_secs_f64() * 1000.0);
        let end = vec![END; size];
        // One is enough where all are delivered; else the ones before it may go on overwriting for a slow subscriber.
        for _ in 0..if overwrite { 20 } else { 1 } {
            publish(&end)?;
            std::thread::sleep(Duration::from_millis(5));
        }
        while input.read(&mut line)? > 0 {}
    } else {
        let subscriber = service.subscriber_builder().buffer_size(kept(size)).create()?;
        println!("ready");
        let mut count = 0u64;
        'all: loop {
            while let Some(sample) = subscriber.receive()? {
                if sample.payload()[0] == END {
                    break 'all;
                }
                count += 1;
            }
            std::thread::yield_now(); // there may be more subscribers than processors
        }
        println!("{{\"count\":{}}}", count);
        let mut line = [0u8; 16];
        while std::io::stdin().read(&mut line)? > 0 {}
    }
    Ok(())
}
