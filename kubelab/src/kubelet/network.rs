//! A network namespace per pod, hung on the bridge with an address of its own.

use std::{
    net::Ipv4Addr,
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result, bail};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::namespace::{BRIDGE, NODE_ADDRESS};

/// Addresses that no pod has had yet, so that nobody talks to a new pod who means an old one.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    given: AtomicU32,
}

impl Addresses {
    /// The next pod's number and address: 10.244.1.1 and following.
    pub(super) fn next(&self) -> (u32, Ipv4Addr) {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        // Without .0 and .255, which look like mistakes in a log.
        let (third, fourth) = (1 + number / 254, 1 + number % 254);
        assert!(third < 255, "more pods than a test should need");
        (number, Ipv4Addr::from([10, 244, third as u8, fourth as u8]))
    }
}

/// A pod's network.
#[derive(Debug)]
pub(super) struct Network {
    pub address: Ipv4Addr,
    number: u32,
}

impl Network {
    pub(super) async fn new(addresses: &Addresses) -> Result<Self> {
        let (number, address) = addresses.next();
        let network = Self { address, number };
        let name = network.name();
        ip(
            &[],
            &format!(
                "netns add {name}\n\
             link add veth{number} type veth peer name eth0 netns {name}\n\
             link set veth{number} master {BRIDGE} up\n"
            ),
        )
        .await?;
        ip(
            &["-n", &name],
            &format!(
                "link set lo up\n\
             addr add {address}/16 dev eth0\n\
             link set eth0 up\n\
             route add default via {NODE_ADDRESS}\n"
            ),
        )
        .await?;
        Ok(network)
    }

    fn name(&self) -> String {
        format!("pod{}", self.number)
    }

    /// Where processes enter it.
    pub(super) fn path(&self) -> String {
        format!("/run/netns/{}", self.name())
    }

    /// Takes it away, with all connections.
    pub(super) async fn remove(&self) -> Result<()> {
        ip(&[], &format!("link del veth{}\nnetns delete {}\n", self.number, self.name())).await
    }
}

async fn ip(options: &[&str], batch: &str) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(options).args(["-batch", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = command.spawn().context("ip")?;
    process.stdin.take().context("it was piped")?.write_all(batch.as_bytes()).await?;
    let output = process.wait_with_output().await?;
    if !output.status.success() {
        bail!("ip {batch}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
