//! Which addresses requests may go to. It must not know names.

use crate::config::IpRange;
use std::net::IpAddr;
use std::sync::LazyLock;

/// What the registries of special addresses (RFC 6890 and its successors) keep from the public: this machine, its networks,
/// tunnels into them, documentation, groups. Of IPv6 only `2000::/3` is given out at all.
const SPECIAL: [&str; 19] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
];

static PRIVATE: LazyLock<Vec<IpRange>> =
    LazyLock::new(|| SPECIAL.iter().map(|range| range.parse().expect("a range of the table")).collect());
static GIVEN_OUT: LazyLock<IpRange> = LazyLock::new(|| "2000::/3".parse().expect("a range"));

/// Where requests may go.
#[derive(Debug, Clone)]
pub enum Reach {
    /// To any address: the server's name and certificate decide.
    Anywhere,
    /// To addresses of the public, over TLS.
    Public {
        /// And to these, without TLS too.
        besides: Vec<IpRange>,
    },
}

impl Reach {
    /// Whether a request may go to `address`, encrypted or not.
    pub fn allows(&self, address: IpAddr, encrypted: bool) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Public { besides } => {
                besides.iter().any(|range| range.contains(address)) || (encrypted && is_public(address))
            }
        }
    }
}

fn is_public(address: IpAddr) -> bool {
    let address = address.to_canonical();
    (address.is_ipv4() || GIVEN_OUT.contains(address)) && !PRIVATE.iter().any(|range| range.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_public_has_is_public() {
        for address in ["1.1.1.1", "9.255.255.255", "11.0.0.1", "172.32.0.1", "192.169.0.1", "223.255.255.255"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn what_is_allowed_besides_may_go_without_tls() {
        let reach = Reach::Public { besides: vec!["127.0.0.0/8".parse().unwrap()] };
        let allows = |address: &str, encrypted| reach.allows(address.parse().unwrap(), encrypted);
        assert!(allows("127.0.0.1", true) && allows("127.0.0.1", false) && allows("::ffff:127.0.0.1", false));
        assert!(allows("1.1.1.1", true) && !allows("1.1.1.1", false));
        assert!(!allows("10.0.0.1", true) && !allows("::1", true));
    }
}
