//! Request-response of slices, loaned and read in place on both sides, which poll without a pause.

use crate::harness::{look, measure as run, Workload};
use crate::{end, ended, start, unique_name, watch_input, Anything};
use iceoryx2::port::client::Client;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::request_response::PortFactory;

type Service = PortFactory<ipc::Service, [u8], (), [u8], ()>;

fn service(node: &Node<ipc::Service>, name: &str) -> Result<Service, Box<dyn core::error::Error>> {
    Ok(node
        .service_builder(&name.try_into()?)
        .request_response::<[u8], [u8]>()
        .max_clients(1)
        .max_servers(1)
        .open_or_create()?)
}

/// Whether there was a server to answer.
fn ask(client: &Client<ipc::Service, [u8], (), [u8], ()>, bytes: &[u8]) -> bool {
    let pending = client.loan_slice_uninit(bytes.len()).unwrap().write_from_slice(bytes).send().unwrap();
    if pending.number_of_server_connections() == 0 {
        return false;
    }
    loop {
        if let Some(response) = pending.receive().unwrap() {
            look(response.payload());
            return true;
        }
        core::hint::spin_loop();
    }
}

pub fn measure(node: &Node<ipc::Service>, workload: &Workload) -> Anything {
    let (name, size) = (unique_name(), workload.size);
    let client = service(node, &name)?.client_builder().initial_max_slice_len(size).create()?;
    let child = start(&name);
    let mut bytes = vec![0u8; size];
    while !ask(&client, &bytes) {
        core::hint::spin_loop();
    }
    run(workload, &[child.id()], || {
        bytes[0] = bytes[0].wrapping_add(1);
        assert!(ask(&client, &bytes));
    });
    end(child);
    Ok(())
}

pub fn assist(node: &Node<ipc::Service>, workload: &Workload, name: &str) -> Anything {
    watch_input();
    let server = service(node, name)?.server_builder().initial_max_slice_len(workload.size).create()?;
    while !ended() {
        if let Some(request) = server.receive()? {
            let bytes = request.payload();
            request.loan_slice_uninit(bytes.len())?.write_from_slice(bytes).send()?;
        } else {
            core::hint::spin_loop();
        }
    }
    Ok(())
}
