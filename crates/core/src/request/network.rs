//! IP networks (`WSGITrustedProxies`). Text to bits and back to yes or no; never asks a name server.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address with a mask. IPv4 addresses in IPv6 clothes (`::ffff:10.0.0.1`) count as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// IPv4 address, already masked, and mask.
    V4(u32, u32),
    /// IPv6 address, already masked, and mask.
    V6(u128, u128),
}

/// The text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an IPv4 or IPv6 address, with optional /bits or (IPv4) /mask")]
pub struct NotANetwork;

impl Network {
    /// Whether `address` lies in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self, address.to_canonical()) {
            (Self::V4(network, mask), IpAddr::V4(address)) => address.to_bits() & mask == *network,
            (Self::V6(network, mask), IpAddr::V6(address)) => address.to_bits() & mask == *network,
            _ => false,
        }
    }

    const fn v4(address: u32, mask: u32) -> Self {
        Self::V4(address & mask, mask)
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, mask) = text.split_once('/').map_or((text, None), |(a, m)| (a, Some(m)));
        if let Ok(address) = address.parse::<Ipv6Addr>() {
            let bits = mask.map_or(Ok(128), |mask| bits(mask, 128))?;
            return Ok(match address.to_ipv4_mapped() {
                Some(address) if bits >= 96 => Self::v4(address.to_bits(), v4_mask(bits - 96)),
                _ => {
                    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                    Self::V6(address.to_bits() & mask, mask)
                }
            });
        }
        match (address.parse::<Ipv4Addr>(), mask) {
            (Ok(address), None) => Ok(Self::v4(address.to_bits(), u32::MAX)),
            (Ok(address), Some(mask)) => {
                let mask = match mask.parse::<Ipv4Addr>() {
                    Ok(mask) => mask.to_bits(),
                    Err(_) => v4_mask(bits(mask, 32)?),
                };
                Ok(Self::v4(address.to_bits(), mask))
            }
            (Err(_), None) => leading_octets(address),
            (Err(_), Some(_)) => Err(NotANetwork),
        }
    }
}

/// `10.1` and `10.1.` are 10.1.0.0/16, as in httpd's own address lists.
fn leading_octets(text: &str) -> Result<Network, NotANetwork> {
    let mut address = [0; 4];
    let mut count = 0;
    for octet in text.strip_suffix('.').unwrap_or(text).split('.') {
        *address.get_mut(count).ok_or(NotANetwork)? = number(octet)?;
        count += 1;
    }
    if count == 4 {
        return Err(NotANetwork);
    }
    Ok(Network::v4(u32::from_be_bytes(address), v4_mask(8 * count as u32)))
}

fn v4_mask(bits: u32) -> u32 {
    u32::MAX.checked_shl(32 - bits).unwrap_or(0)
}

fn bits(text: &str, most: u32) -> Result<u32, NotANetwork> {
    number(text).ok().filter(|bits| *bits <= most).ok_or(NotANetwork)
}

/// Digits only: `parse` alone would take a sign.
fn number<T: FromStr>(text: &str) -> Result<T, NotANetwork> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| NotANetwork)
    } else {
        Err(NotANetwork)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(network, mask) => {
                write!(f, "{}/{}", Ipv4Addr::from_bits(network), Ipv4Addr::from_bits(mask))
            }
            Self::V6(network, mask) => write!(f, "{}/{}", Ipv6Addr::from_bits(network), mask.leading_ones()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn ipv4() {
        assert!(contains("10.0.0.1", "10.0.0.1"));
        assert!(!contains("10.0.0.1", "10.0.0.2"));
        assert!(contains("10.1.2.3/8", "10.200.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("192.168.0.0/255.255.0.0", "192.168.9.9"));
        assert!(!contains("192.168.0.0/255.255.0.0", "192.169.0.1"));
        assert!(contains("0.0.0.0/0", "8.8.8.8"));
        assert!(contains("10.1", "10.1.200.7"));
        assert!(contains("10.1.", "10.1.200.7"));
        assert!(!contains("10.1", "10.2.0.1"));
    }

    #[test]
    fn ipv6() {
        assert!(contains("::1", "::1"));
        assert!(contains("2001:DB8::/32", "2001:db8:ffff::1"));
        assert!(!contains("2001:db8::/32", "2001:db9::1"));
        assert!(contains("::/0", "2001::1"));
        assert!(!contains("::/0", "10.0.0.1"));
    }

    #[test]
    fn ipv4_in_ipv6_is_ipv4() {
        assert!(contains("10.0.0.0/8", "::ffff:10.1.1.1"));
        assert!(contains("::ffff:10.0.0.0/104", "10.1.1.1"));
        assert!(!contains("::ffff:10.0.0.0/104", "11.1.1.1"));
    }

    #[test]
    fn what_is_no_network() {
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.1/",
            "10.0.0.1/33",
            "10.0.0.1/+8",
            "10.0.0.1/8/8",
            "::1/129",
            "::1/ffff::",
            "10.1/16",
            "256.1",
            "10..1",
            "1.2.3.4.5",
            "1.2.3.4.",
            "proxy.example",
            "10.0.0.0/255.0",
            ".",
            "+1",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text}");
        }
    }

    #[test]
    fn written_as_masked() {
        assert_eq!("10.1.2.3/8".parse::<Network>().unwrap().to_string(), "10.0.0.0/255.0.0.0");
        assert_eq!("2001:db8::1/32".parse::<Network>().unwrap().to_string(), "2001:db8::/32");
    }
}
