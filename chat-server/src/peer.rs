//! Who is really at the other end: the address of the connection, or, behind proxies that are
//! trusted, the one they pass on.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use http::HeaderMap;

/// A network like `10.0.0.0/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    /// Its first bits, the others zero.
    bits: u128,
    /// Which bits count.
    mask: u128,
}

/// Not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an address or a network like 10.0.0.0/8 or fd00::/8")]
pub(crate) struct InvalidNetwork;

/// Every address as one of IPv6; those of IPv4 lie in `::ffff:0:0/96`, so that a connection to a
/// dual-stack socket is the same peer.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let length_max: u32 = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => length_max,
            Some(length) => length.parse().map_err(|_| InvalidNetwork)?,
        };
        if length > length_max {
            return Err(InvalidNetwork);
        }
        let mask = u128::MAX.checked_shl(length_max - length).unwrap_or(0)
            // A network of IPv4 holds nothing of IPv6.
            | if address.is_ipv4() { !u128::from(u32::MAX) } else { 0 };
        Ok(Self { bits: bits(address) & mask, mask })
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        bits(address) & self.mask == self.bits
    }
}

/// The nearest address that is not one of our proxies: going from the connection's own end through
/// `X-Forwarded-For` from the right, because each proxy writes at the right whom it saw, and what
/// stands left of the first stranger is whatever that stranger liked to claim.
pub(crate) fn client(peer: SocketAddr, headers: &HeaderMap, trusted: &[Network]) -> SocketAddr {
    let is_trusted =
        |address: SocketAddr| trusted.iter().any(|network| network.contains(address.ip()));
    let peer = canonical(peer);
    if !is_trusted(peer) {
        return peer;
    }
    let mut nearest = peer;
    let fields: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .map(|field| field.to_str().unwrap_or("unreadable"))
        .collect();
    for hop in fields.iter().rev().flat_map(|field| field.rsplit(',')) {
        // What cannot be read came from nobody we could name; the proxy that passed it on can be.
        let Some(hop) = hop_address(hop.trim()) else {
            return nearest;
        };
        let hop = canonical(hop);
        nearest = hop;
        if !is_trusted(hop) {
            return nearest;
        }
    }
    nearest
}

/// An address of IPv4 as one, although a dual-stack socket shows it as one of IPv6: limits count
/// those by network, and all of IPv4 would be one.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// An entry of `X-Forwarded-For`: an address, with or without a port.
fn hop_address(text: &str) -> Option<SocketAddr> {
    let address = text.trim_start_matches('[').trim_end_matches(']');
    address
        .parse::<IpAddr>()
        .map(|address| SocketAddr::new(address, 0))
        .or_else(|_| text.parse())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_client(peer: &str, forwarded: &[&str], trusted: &[&str], expected: &str) {
        let mut headers = HeaderMap::new();
        for field in forwarded {
            headers.append("x-forwarded-for", field.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let client = client(SocketAddr::new(peer.parse().unwrap(), 9), &headers, &trusted);
        assert_eq!(client.ip().to_string(), expected);
    }

    #[test]
    fn a_stranger_is_not_believed() {
        check_client("203.0.113.9", &["10.9.9.9"], &[], "203.0.113.9");
        check_client("203.0.113.9", &["10.9.9.9"], &["10.0.0.0/8"], "203.0.113.9");
    }

    #[test]
    fn behind_trusted_proxies_it_is_the_nearest_stranger() {
        let trusted = &["10.0.0.0/8"];
        check_client("10.0.0.1", &["198.51.100.7"], trusted, "198.51.100.7");
        check_client("10.0.0.1", &["6.6.6.6, 198.51.100.7, 10.0.0.2"], trusted, "198.51.100.7");
        check_client("10.0.0.1", &["6.6.6.6", "198.51.100.7", "10.0.0.2"], trusted, "198.51.100.7");
        check_client("10.0.0.1", &["198.51.100.7:4711"], trusted, "198.51.100.7");
        check_client("10.0.0.1", &["[2001:db8::1]:4711"], trusted, "2001:db8::1");
        check_client("10.0.0.1", &["2001:db8::1"], trusted, "2001:db8::1");
        check_client("::ffff:10.0.0.1", &["198.51.100.7"], trusted, "198.51.100.7");
    }

    #[test]
    fn an_address_of_ipv4_is_one_on_every_socket() {
        check_client("::ffff:203.0.113.9", &[], &[], "203.0.113.9");
        check_client("10.0.0.1", &["::ffff:198.51.100.7"], &["10.0.0.0/8"], "198.51.100.7");
        check_client("2001:db8::1", &[], &[], "2001:db8::1");
    }

    #[test]
    fn where_the_list_ends_or_breaks_the_last_known_hop_counts() {
        let trusted = &["10.0.0.0/8"];
        check_client("10.0.0.1", &[], trusted, "10.0.0.1");
        check_client("10.0.0.1", &["10.0.0.3, 10.0.0.2"], trusted, "10.0.0.3");
        check_client("10.0.0.1", &["198.51.100.7, nonsense, 10.0.0.2"], trusted, "10.0.0.2");
        check_client("10.0.0.1", &["198.51.100.7, "], trusted, "10.0.0.1");
    }

    #[test]
    fn networks_have_edges() {
        let contains = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("10.0.0.0/8", "10.255.255.255"));
        assert!(!contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("192.0.2.7", "192.0.2.7"));
        assert!(!contains("192.0.2.7", "192.0.2.8"));
        assert!(contains("0.0.0.0/0", "203.0.113.1"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(contains("fd00::/8", "fdff::1"));
        assert!(!contains("fd00::/8", "fe00::1"));
        for bad in ["", "10.0.0.0/33", "fd00::/129", "10.0.0", "10.0.0.0/x", "host"] {
            assert_eq!(bad.parse::<Network>(), Err(InvalidNetwork), "{bad}");
        }
    }
}
