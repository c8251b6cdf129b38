// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Features that both sides must have before either uses them.

use core::fmt;

bitflags::bitflags! {
    /// A set of features, as it stands in xenstore.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Features: u32 {
        /// Packets may leave their checksum to the receiver, or say that it is right.
        const CSUM = 1 << 0;
        /// Packets may be TCP over IPv4, to be cut into segments.
        const GSO_TCPV4 = 1 << 1;
        /// Packets may be TCP over IPv6, to be cut into segments.
        const GSO_TCPV6 = 1 << 2;
        /// Packets may be UDP, to be cut into datagrams.
        const GSO_UDP_L4 = 1 << 3;
        /// Packets may carry a hash of their flow.
        const HASH = 1 << 4;
        /// Events may wait for as long as their receiver has said.
        const MODERATION = 1 << 5;
        /// Packets may lie in slots of a pool that the receiver has mapped.
        const STAGED = 1 << 8;
    }
}

impl Features {
    /// The bit for packets in posted buffers, which version 1 does not define.
    pub const RESERVED_POSTED: u32 = 1 << 9;

    /// Displays the names of `bits`, known or not.
    pub fn names(bits: u32) -> FeatureNames {
        FeatureNames(bits)
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        FeatureNames(self.bits()).fmt(f)
    }
}

/// Displays a set of feature bits by name.
#[derive(Clone, Copy, Debug)]
pub struct FeatureNames(u32);

impl fmt::Display for FeatureNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(u32, &str); 8] = [
            (Features::CSUM.bits(), "csum"),
            (Features::GSO_TCPV4.bits(), "gso-tcpv4"),
            (Features::GSO_TCPV6.bits(), "gso-tcpv6"),
            (Features::GSO_UDP_L4.bits(), "gso-udp-l4"),
            (Features::HASH.bits(), "hash"),
            (Features::MODERATION.bits(), "moderation"),
            (Features::STAGED.bits(), "staged"),
            (Features::RESERVED_POSTED, "posted"),
        ];
        if self.0 == 0 {
            return f.write_str("none");
        }
        let mut rest = self.0;
        let mut separator = "";
        for (bit, name) in NAMES {
            if rest & bit != 0 {
                write!(f, "{separator}{name}")?;
                separator = " ";
                rest &= !bit;
            }
        }
        if rest != 0 {
            write!(f, "{separator}unknown {rest:#x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn names_known_and_unknown_bits() {
        assert_eq!(Features::empty().to_string(), "none");
        assert_eq!((Features::CSUM | Features::HASH).to_string(), "csum hash");
        assert_eq!(
            Features::names(0x8000_0101).to_string(),
            "csum staged unknown 0x80000000"
        );
    }
}
