// SPDX-License-Identifier: GPL-2.0

//! What the stack may leave to the other end.
//!
//! C header: [`include/linux/netdev_features.h`](srctree/include/linux/netdev_features.h)

use crate::bindings;
use netchannel2_core::wire::Features;

/// A set of a net device's features (`netdev_features_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offloads(u64);

const RX_CHECKSUM: u64 = 1 << bindings::NETIF_F_RXCSUM_BIT;
const CHECKSUM: u64 =
    1 << bindings::NETIF_F_IP_CSUM_BIT | 1 << bindings::NETIF_F_IPV6_CSUM_BIT | RX_CHECKSUM;
const TSO: u64 = 1 << bindings::NETIF_F_TSO_BIT;
const TSO6: u64 = 1 << bindings::NETIF_F_TSO6_BIT;
const UDP_GSO: u64 = 1 << bindings::NETIF_F_GSO_UDP_L4_BIT;

/// In pieces of any shape: what receive offload puts together for forwarding comes as a list.
const PIECES: u64 = 1 << bindings::NETIF_F_SG_BIT | 1 << bindings::NETIF_F_FRAGLIST_BIT;

impl Offloads {
    /// Features of the protocol that this driver has for them.
    pub const PROTOCOL: Features = Features::CSUM
        .union(Features::GSO_TCPV4)
        .union(Features::GSO_TCPV6)
        .union(Features::GSO_UDP_L4);

    /// All that this driver can do.
    pub const ALL: Self = Self(PIECES | CHECKSUM | TSO | TSO6 | UDP_GSO);

    /// What an administrator can switch: not what is said of received packets, which the peer
    /// decides.
    pub const SWITCHABLE: Self = Self(Self::ALL.0 & !RX_CHECKSUM);

    /// What can be done where `negotiated` is what both sides have.
    ///
    /// Packets in pieces can always be sent, as their bytes are copied anyway.
    pub fn with(negotiated: Features) -> Self {
        let choose = |feature, bits| match negotiated.contains(feature) {
            true => bits,
            false => 0,
        };

        Self(
            PIECES
                | choose(Features::CSUM, CHECKSUM)
                | choose(Features::GSO_TCPV4, TSO)
                | choose(Features::GSO_TCPV6, TSO6)
                | choose(Features::GSO_UDP_L4, UDP_GSO),
        )
    }

    /// Returns the bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Takes from `wanted` what this driver could do, but not with this set, and adds what nobody can
    /// want or not.
    pub(super) const fn fix(self, wanted: u64) -> u64 {
        (wanted | self.0 & !Self::SWITCHABLE.0) & !(Self::ALL.0 & !self.0)
    }
}
