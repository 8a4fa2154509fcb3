//! How many connections each source has, so that one cannot take all places. It must not know what a connection does.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The network that an address counts for: an IPv6 client has its /64 to itself, an IPv4 client one address.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

/// Connections by source. Clones share the count.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of a source, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Counted {
    sources: Sources,
    source: IpAddr,
}

impl Sources {
    /// Counts one more connection of `source`; `None` when it has `most`.
    pub(super) fn admit(&self, source: IpAddr, most: usize) -> Option<Counted> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&source).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        counts.insert(source, count + 1);
        drop(counts);
        Some(Counted { sources: self.clone(), source })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.sources.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.source) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counts.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_counts_with_its_network() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:a:b:c:d"), "2001:db8:1:2::");
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn a_source_has_its_places_and_nobody_elses() {
        let sources = Sources::default();
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let first = sources.admit(one, 2).unwrap();
        let second = sources.admit(one, 2).unwrap();
        assert!(sources.admit(one, 2).is_none());
        assert!(sources.admit(other, 2).is_some());
        drop(first);
        let again = sources.admit(one, 2).unwrap();
        assert!(sources.admit(one, 2).is_none());
        drop((second, again));
        assert!(sources.0.lock().unwrap().is_empty(), "sources without connections are forgotten");
    }
}
