//! Publish-subscribe of slices: loaned, filled, sent; read in place. Both sides poll without a pause. A publisher retries
//! until the message is delivered.

use crate::harness::{look, measure as run, Workload};
use crate::{end, ended, start, unique_name, watch_input, Anything};
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;

type Service = PortFactory<ipc::Service, [u8], ()>;

/// Messages that may be on their way. From 2 to 4096 were tried: on an idle machine it makes little difference, on a busy
/// one more is better, and from 1 MiB on more than 16 no longer fit the caches.
fn depth(size: usize) -> usize {
    match size {
        0..4096 => 1024,
        4096..0x10_0000 => 64,
        _ => 16,
    }
}

fn service(node: &Node<ipc::Service>, name: &str, size: usize) -> Result<Service, Box<dyn core::error::Error>> {
    Ok(node
        .service_builder(&name.try_into()?)
        .publish_subscribe::<[u8]>()
        .max_publishers(1)
        .max_subscribers(1)
        .history_size(0)
        .subscriber_max_buffer_size(depth(size))
        .enable_safe_overflow(false)
        .open_or_create()?)
}

fn publisher(service: &Service, size: usize) -> Result<Publisher<ipc::Service, [u8], ()>, Box<dyn core::error::Error>> {
    Ok(service
        .publisher_builder()
        .initial_max_slice_len(size)
        .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
        .create()?)
}

/// Returns how many subscribers there were.
fn publish(publisher: &Publisher<ipc::Service, [u8], ()>, bytes: &[u8]) -> usize {
    publisher.loan_slice_uninit(bytes.len()).unwrap().write_from_slice(bytes).send().unwrap()
}

fn receive(subscriber: &Subscriber<ipc::Service, [u8], ()>, read: impl FnOnce(&[u8])) {
    loop {
        if let Some(sample) = subscriber.receive().unwrap() {
            return read(sample.payload());
        }
        core::hint::spin_loop();
    }
}

pub fn measure(node: &Node<ipc::Service>, workload: &Workload) -> Anything {
    let (name, size) = (unique_name(), workload.size);
    let (there, back) = (service(node, &format!("{name}-there"), size)?, service(node, &format!("{name}-back"), size)?);
    let from = back.subscriber_builder().create()?;
    if workload.kind == "one-way" {
        let child = start(&name);
        run(workload, &[child.id()], || receive(&from, look));
        drop(from); // or the other one waits for it
        end(child);
        return Ok(());
    }
    let to = publisher(&there, size)?;
    let child = start(&name);
    let mut bytes = vec![0u8; size];
    while publish(&to, &bytes) == 0 {
        core::hint::spin_loop();
    }
    receive(&from, look);
    run(workload, &[child.id()], || {
        bytes[0] = bytes[0].wrapping_add(1);
        publish(&to, &bytes);
        receive(&from, look);
    });
    end(child);
    Ok(())
}

pub fn assist(node: &Node<ipc::Service>, workload: &Workload, name: &str) -> Anything {
    watch_input();
    let size = workload.size;
    let to = publisher(&service(node, &format!("{name}-back"), size)?, size)?;
    if workload.kind == "one-way" {
        let mut bytes = vec![0u8; size];
        while !ended() {
            bytes[0] = bytes[0].wrapping_add(1);
            publish(&to, &bytes);
        }
        return Ok(());
    }
    let from = service(node, &format!("{name}-there"), size)?.subscriber_builder().create()?;
    while !ended() {
        if let Some(sample) = from.receive()? {
            publish(&to, sample.payload());
        } else {
            core::hint::spin_loop();
        }
    }
    Ok(())
}
