//! ipc-channel.

use crate::harness::{look, Workload};
use crate::values::*;
use crate::{report, start};
use ipc_channel::ipc::{self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcReceiver, IpcSender, IpcReceiverSet};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Setup {
    Bytes(IpcBytesSender),
    BytesBack(IpcBytesSender, IpcBytesReceiver),
    Values(IpcSender<Vec<u8>>),
    Objects(IpcSender<SmallObject>),
    ObjectsBack(IpcSender<SmallObject>, IpcReceiver<SmallObject>),
    Frames(IpcSender<OwnedFrame>),
    Requests(IpcReceiver<Request>),
}

/// A request that brings its own channel for the answer.
#[derive(Serialize, Deserialize)]
struct Request {
    reply: IpcSender<u32>,
}

fn begin(setup: Setup) -> std::process::Child {
    let (server, name) = IpcOneShotServer::<IpcSender<Setup>>::new().unwrap();
    let child = start(&[&name]);
    let (_receiver, inbox) = server.accept().unwrap();
    inbox.send(setup).unwrap();
    child
}

pub fn measure(workload: &Workload) {
    let bytes_only = workload.way == "ipc-channel-bytes";
    let many = |setup: &dyn Fn() -> Setup| (0..workload.senders).map(|_| begin(setup())).collect::<Vec<_>>();
    if workload.kind == "round-trip" {
        if bytes_only {
            let (to, theirs) = ipc::bytes_channel().unwrap();
            let (back, from) = ipc::bytes_channel().unwrap();
            let children = vec![begin(Setup::BytesBack(back, theirs))];
            let mut bytes = vec![0u8; workload.size];
            return report(workload, children, || {
                bytes[0] = bytes[0].wrapping_add(1);
                to.send(&bytes).unwrap();
                look(&from.recv().unwrap());
            });
        }
        if workload.payload == "request" {
            let (to, theirs) = ipc::channel().unwrap();
            let children = vec![begin(Setup::Requests(theirs))];
            return report(workload, children, || {
                let (reply, answer) = ipc::channel().unwrap();
                to.send(Request { reply }).unwrap();
                std::hint::black_box(answer.recv().unwrap());
            });
        }
        let (to, theirs) = ipc::channel().unwrap();
        let (back, from) = ipc::channel().unwrap();
        let children = vec![begin(Setup::ObjectsBack(back, theirs))];
        return report(workload, children, || {
            to.send(small_object(1)).unwrap();
            look_at_object(&from.recv().unwrap());
        });
    }
    match (workload.payload.as_str(), bytes_only) {
        ("bytes", true) => {
            let (to, from) = ipc::bytes_channel().unwrap();
            let children = many(&|| Setup::Bytes(to.clone()));
            report(workload, children, || look(&from.recv().unwrap()));
        },
        ("frame", true) => {
            let (to, from) = ipc::bytes_channel().unwrap();
            let children = many(&|| Setup::Bytes(to.clone()));
            report(workload, children, || {
                let message = from.recv().unwrap();
                let frame: YuvFrame = bincode::deserialize(&message).unwrap();
                look_at_frame(frame.width, frame.v_pixels);
            });
        },
        ("bytes", false) => {
            let (to, from) = ipc::channel().unwrap();
            let children = many(&|| Setup::Values(to.clone()));
            report(workload, children, || look(&from.recv().unwrap()));
        },
        ("object", _) => {
            let (to, from) = ipc::channel().unwrap();
            let children = many(&|| Setup::Objects(to.clone()));
            report(workload, children, || look_at_object(&from.recv().unwrap()));
        },
        _ => {
            let (to, from) = ipc::channel().unwrap();
            let children = many(&|| Setup::Frames(to.clone()));
            report(workload, children, || {
                let frame = from.recv().unwrap();
                look_at_frame(frame.width, &frame.v_pixels);
            });
        },
    }
}

pub fn assist(workload: &Workload, server: &str) {
    let (inbox, setups) = ipc::channel::<Setup>().unwrap();
    IpcSender::connect(server.to_owned()).unwrap().send(inbox).unwrap();
    let mut bytes = vec![0u8; workload.size];
    match setups.recv().unwrap() {
        Setup::BytesBack(to, from) => loop {
            to.send(&from.recv().unwrap()).unwrap();
        },
        Setup::ObjectsBack(to, from) => loop {
            to.send(from.recv().unwrap()).unwrap();
        },
        Setup::Requests(from) => {
            let mut n = 0;
            loop {
                n = (n + 1) & 0xffff;
                from.recv().unwrap().reply.send(n).unwrap();
            }
        },
        Setup::Bytes(to) if workload.payload == "frame" => {
            let frame = owned_frame(workload.size);
            loop {
                to.send(&bincode::serialize(&frame.borrowed()).unwrap()).unwrap();
            }
        },
        Setup::Bytes(to) => loop {
            bytes[0] = bytes[0].wrapping_add(1);
            to.send(&bytes).unwrap();
        },
        Setup::Values(to) => loop {
            bytes[0] = bytes[0].wrapping_add(1);
            to.send(bytes.clone()).unwrap(); // it takes its messages by value
        },
        Setup::Objects(to) => {
            let mut id = 0;
            loop {
                id = (id + 1) & 0xffff;
                to.send(small_object(id)).unwrap();
            }
        },
        Setup::Frames(to) => loop {
            to.send(owned_frame(workload.size)).unwrap();
        },
    }
}

/// "select from M of 100 receivers"
fn select(workload: &Workload) {
    let count: usize = workload.name.split(' ').find_map(|word| word.parse().ok()).expect("a number");
    let mut set = IpcReceiverSet::new().unwrap();
    let senders: Vec<IpcSender<usize>> = (0..100)
        .map(|_| {
            let (sender, receiver) = ipc::channel().unwrap();
            set.add(receiver).unwrap();
            sender
        })
        .collect();
    let mut first = 0;
    report(workload, vec![], || {
        first = (first + 37) % 100;
        for i in 0..count {
            senders[(first + i) % 100].send(i).unwrap();
        }
        let mut received = 0;
        while received < count {
            received += set.select().unwrap().len();
        }
    });
}

pub fn operations(workload: &Workload) {
    if workload.name == "create and close a channel" {
        return report(workload, vec![], || {
            std::hint::black_box(ipc::channel::<u32>().unwrap());
        });
    }
    if workload.name == "create a channel, use it once and close it" {
        return report(workload, vec![], || {
            let (to, from) = ipc::channel::<u32>().unwrap();
            to.send(1).unwrap();
            std::hint::black_box(from.recv().unwrap());
        });
    }
    if workload.name == "send and receive the sender of a new channel" {
        let (to, from) = ipc::channel::<IpcSender<u32>>().unwrap();
        return report(workload, vec![], || {
            let (sender, _receiver) = ipc::channel::<u32>().unwrap();
            to.send(sender).unwrap();
            std::hint::black_box(from.recv().unwrap());
        });
    }
    if workload.name == "send and receive an empty message" {
        let (to, from) = ipc::channel::<()>().unwrap();
        return report(workload, vec![], || {
            to.send(()).unwrap();
            from.recv().unwrap();
        });
    }
    if workload.name.starts_with("select from") {
        return select(workload);
    }
    // "send and receive a message with N senders"
    let count: usize = workload.name.split(' ').find_map(|word| word.parse().ok()).expect("a number");
    let (to, from) = ipc::channel::<Vec<IpcSender<u32>>>().unwrap();
    let mut kept = vec![];
    let cargo: Vec<IpcSender<u32>> = (0..count)
        .map(|_| {
            let (sender, receiver) = ipc::channel().unwrap();
            kept.push(receiver);
            sender
        })
        .collect();
    report(workload, vec![], || {
        to.send(cargo.clone()).unwrap();
        std::hint::black_box(from.recv().unwrap());
    });
}
