//! ipmpsc.

use crate::harness::{look, Workload};
use crate::values::*;
use crate::{report, start};
use ipmpsc::{Receiver, Sender, SharedRingBuffer};
use serde_bytes::{ByteBuf, Bytes};

/// As its own measurement has it.
const CAPACITY: u32 = 32 << 20;

pub fn measure(workload: &Workload) {
    let borrowed = workload.way == "ipmpsc-borrowed";
    let (name, buffer) = SharedRingBuffer::create_temp(CAPACITY).unwrap();
    let mut from = Receiver::new(buffer);
    if workload.kind == "round-trip" {
        let (theirs, buffer) = SharedRingBuffer::create_temp(CAPACITY).unwrap();
        let to = Sender::new(buffer);
        let children = vec![start(&[&name, &theirs])];
        if workload.payload == "object" {
            return report(workload, children, || {
                to.send(&small_object(1)).unwrap();
                look_at_object(&from.recv().unwrap());
            });
        }
        let mut bytes = vec![0u8; workload.size];
        return report(workload, children, || {
            bytes[0] = bytes[0].wrapping_add(1);
            to.send(&Bytes::new(&bytes)).unwrap();
            if borrowed {
                look(from.zero_copy_context().recv::<&Bytes>().unwrap());
            } else {
                look(&from.recv::<ByteBuf>().unwrap());
            }
        });
    }
    let children = (0..workload.senders).map(|_| start(&[&name])).collect();
    match (workload.payload.as_str(), borrowed) {
        ("bytes", true) => report(workload, children, || {
            look(from.zero_copy_context().recv::<&Bytes>().unwrap());
        }),
        ("bytes", false) => report(workload, children, || look(&from.recv::<ByteBuf>().unwrap())),
        ("object", _) => report(workload, children, || look_at_object(&from.recv().unwrap())),
        (_, true) => report(workload, children, || {
            let mut context = from.zero_copy_context();
            let frame: YuvFrame = context.recv().unwrap();
            look_at_frame(frame.width, frame.v_pixels);
        }),
        (_, false) => report(workload, children, || {
            let frame: OwnedFrame = from.recv().unwrap();
            look_at_frame(frame.width, &frame.v_pixels);
        }),
    }
}

pub fn assist(workload: &Workload, names: &[String]) {
    let to = Sender::new(SharedRingBuffer::open(&names[0]).unwrap());
    let mut bytes = vec![0u8; workload.size];
    if let Some(name) = names.get(1) {
        let mut from = Receiver::new(SharedRingBuffer::open(name).unwrap());
        loop {
            if workload.payload == "object" {
                to.send(&from.recv::<SmallObject>().unwrap()).unwrap();
            } else if workload.way == "ipmpsc-borrowed" {
                let mut context = from.zero_copy_context();
                to.send(&context.recv::<&Bytes>().unwrap()).unwrap();
            } else {
                to.send(&from.recv::<ByteBuf>().unwrap()).unwrap();
            }
        }
    }
    match workload.payload.as_str() {
        "object" => {
            let mut id = 0;
            loop {
                id = (id + 1) & 0xffff;
                to.send(&small_object(id)).unwrap();
            }
        },
        "frame" => {
            let frame = owned_frame(workload.size);
            loop {
                to.send(&frame.borrowed()).unwrap();
            }
        },
        _ => loop {
            bytes[0] = bytes[0].wrapping_add(1);
            to.send(&Bytes::new(&bytes)).unwrap();
        },
    }
}
