//! A real network between functions and a server, which can be cut (Linux only, as root).

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, TcpListener},
    os::fd::AsFd,
    process::Command,
    thread,
};

use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// An Ethernet address that no device has (locally administered, RFC 7042).
const NOBODY: &str = "02:00:00:00:00:01";

/// A network namespace, connected to the default one by a pair of virtual Ethernet devices. It exists as long
/// as a socket in it, so it disappears with this process, however that ends.
pub struct Network {
    /// The address of the other side.
    pub server: Ipv4Addr,
    /// The device on this side. The namespace had the same name while it was created.
    device: String,
}

impl Network {
    /// Creates a network, and a listener on a free port of its other side.
    ///
    /// # Errors
    /// If this process is not allowed to create one, or the command `ip` is missing.
    pub fn new() -> Result<(Self, TcpListener)> {
        // Two addresses in 198.18.0.0/15, which is reserved for network tests (RFC 2544).
        let subnet = 0xC612_0000 | u32::from(fastrand::u16(..)) << 2 & 0x1_FFFC;
        let [client, server] = [1, 2].map(|host| Ipv4Addr::from(subnet | host));
        let device = format!("net{subnet:x}");
        ip(&format!("netns add {device}"))?;
        let listener = connect(&device, client, server).and_then(|()| listen(&device, server));
        // Deletes only the name: the listener keeps the namespace itself alive.
        ip(&format!("netns delete {device}"))?;
        Ok((Self { server, device }, listener?))
    }

    /// Drops every packet that is sent to the other side, without an error for the sender.
    pub fn cut(&self) {
        let Self { server, device } = self;
        let to_nobody = format!("neighbor replace {server} lladdr {NOBODY} dev {device} nud permanent");
        ip(&to_nobody).expect("this process created the device");
    }

    /// Lets packets through again.
    pub fn heal(&self) {
        let Self { server, device } = self;
        ip(&format!("neighbor delete {server} dev {device}")).expect("the network was cut");
    }
}

fn connect(device: &str, client: Ipv4Addr, server: Ipv4Addr) -> Result<()> {
    ip(&format!("link add {device} type veth peer name server netns {device}"))?;
    ip(&format!("address add {client}/30 dev {device}"))?;
    ip(&format!("link set {device} up"))?;
    ip(&format!("-netns {device} address add {server}/30 dev server"))?;
    ip(&format!("-netns {device} link set server up"))
}

/// Listens inside the namespace. A thread that has moved into it can create sockets there, which any thread
/// can use.
fn listen(namespace: &str, address: Ipv4Addr) -> Result<TcpListener> {
    let file = File::open(format!("/run/netns/{namespace}"))?;
    let inside = move || -> io::Result<TcpListener> {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        let listener = TcpListener::bind((address, 0))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    let listener = thread::spawn(inside).join().map_err(|_| io::Error::other("the thread panicked"))?;
    listener.context("no listener in the namespace")
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output().context("ip can't be run")?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {arguments}: {}", message.trim());
    Ok(())
}
