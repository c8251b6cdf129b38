// SPDX-License-Identifier: GPL-2.0

//! Socket buffers.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

mod list;
mod pieces;

pub use self::{
    list::SkbList,
    pieces::{
        Piece,
        Pieces, //
    },
};

use super::NetDevice;
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*, //
};
use netchannel2_core::{
    units::Bytes,
    wire::{
        Checksum,
        Gso,
        GsoKind,
        PacketMeta, //
    },
};

// CAST: bindgen makes signed numbers of these flags, which are bits of an unsigned field.
const SKB_GSO_TCPV4: u32 = bindings::SKB_GSO_TCPV4 as u32;
const SKB_GSO_TCPV6: u32 = bindings::SKB_GSO_TCPV6 as u32;
const SKB_GSO_UDP_L4: u32 = bindings::SKB_GSO_UDP_L4 as u32;
const SKB_GSO_DODGY: u32 = bindings::SKB_GSO_DODGY as u32;

/// Where `struct tcphdr` has its checksum.
const TCP_CHECKSUM_AT: u32 = 16;
/// Where `struct udphdr` has its checksum.
const UDP_CHECKSUM_AT: u32 = 6;

/// An owned `struct sk_buff`; dropping it counts as a lost packet for drop monitors.
///
/// # Invariants
///
/// The pointer is a valid sk_buff whose one user is this.
pub struct Skb(NonNull<bindings::sk_buff>);

// SAFETY: An sk_buff may be handed from one context to another.
unsafe impl Send for Skb {}

impl Skb {
    /// Takes over an sk_buff; `None` for a null pointer.
    ///
    /// # Safety
    ///
    /// `raw` is null or an sk_buff that the caller owns.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: *mut bindings::sk_buff) -> Option<Self> {
        // INVARIANT: By the safety requirement.
        NonNull::new(raw).map(Self)
    }

    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    /// What is shared with clones of the packet (`skb_shinfo()`).
    #[inline]
    fn shared_info(&self) -> *const bindings::skb_shared_info {
        // SAFETY: By the type invariant.
        unsafe { shared_info(self.as_raw()) }
    }

    #[inline]
    pub(crate) fn into_raw(self) -> *mut bindings::sk_buff {
        let raw = self.as_raw();

        core::mem::forget(self);
        raw
    }

    /// Allocates a packet with the given bytes; `None` if there is no memory.
    #[cfg(CONFIG_KUNIT = "y")]
    pub fn for_test(bytes: &[u8]) -> Option<Self> {
        let length = u32::try_from(bytes.len()).ok()?;
        // SAFETY: The result is null or a new sk_buff that nothing else refers to.
        let skb = unsafe { Self::from_raw(bindings::nc2_alloc_skb(length)) }?;

        // SAFETY: The sk_buff is new and has as much tail room as is put.
        unsafe {
            bindings::skb_put(skb.as_raw(), length)
                .cast::<u8>()
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len())
        };
        Some(skb)
    }

    /// Returns the packet's length.
    #[inline]
    pub fn length(&self) -> Bytes {
        // SAFETY: By the type invariant.
        Bytes::new(unsafe { (*self.as_raw()).len })
    }

    /// Copies bytes from `from` on into the whole of `into`.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the packet is shorter.
    #[inline]
    pub fn copy_bits(&self, from: Bytes, into: &mut [u8]) -> Result {
        // SAFETY: `into` is valid for its length.
        unsafe { self.copy_to(from, into.as_mut_ptr(), into.len()) }
    }

    /// Copies `length` bytes from `from` on to memory that is not initialised, or not Rust's alone.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the packet is shorter.
    ///
    /// # Safety
    ///
    /// `into` is valid for writes of `length` bytes.
    #[inline]
    pub(crate) unsafe fn copy_to(&self, from: Bytes, into: *mut u8, length: usize) -> Result {
        let (offset, length) = (i32::try_from(from.get())?, i32::try_from(length)?);

        // SAFETY: By the type invariant, and the safety requirement.
        to_result(unsafe { bindings::skb_copy_bits(self.as_raw(), offset, into.cast(), length) })
    }

    /// Makes the packet one that may be kept for long: nobody waits for it, and its pages are the
    /// kernel's own, not those of a program or of another domain.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn detach(&mut self) -> Result {
        let raw = self.as_raw();

        // SAFETY: By the type invariant the packet is ours.
        to_result(unsafe { bindings::nc2_skb_orphan_frags_rx(raw) })?;
        // SAFETY: As above.
        unsafe {
            bindings::nc2_skb_orphan(raw);
            bindings::nc2_nf_reset_ct(raw);
        }
        Ok(())
    }

    /// Tells the socket that sent the packet, if it asks, that it is sent now: the software time
    /// stamp. Before the packet is taken from its socket.
    #[inline]
    pub fn stamp_sent(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::nc2_skb_tx_timestamp(self.as_raw()) }
    }

    /// Whether further packets' bytes belong to this one, as receive offload puts them together.
    pub fn is_list(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { !(*self.shared_info()).frag_list.is_null() }
    }

    /// Whether packets of the list have lists of their own, as packets put together twice.
    pub fn is_nested_list(&self) -> bool {
        // SAFETY: By the type invariant.
        let mut part = unsafe { (*self.shared_info()).frag_list };

        while !part.is_null() {
            // SAFETY: What is in the list of a valid packet are valid packets.
            unsafe {
                if !(*shared_info(part)).frag_list.is_null() {
                    return true;
                }
                part = (*part).__bindgen_anon_1.__bindgen_anon_1.next;
            }
        }
        false
    }

    /// Returns what the stack says of checksum, segmentation and hash.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` for a kind of segmentation that the protocol does not have; the device does
    /// not offer any such to the stack.
    #[inline]
    pub fn meta(&self) -> Result<PacketMeta> {
        let (raw, info) = (self.as_raw(), self.shared_info());
        // SAFETY: By the type invariant, here and below.
        let (size, kind) = unsafe { ((*info).gso_size, (*info).gso_type) };
        // SAFETY: As above.
        let checksum = match u32::from(unsafe { bindings::nc2_skb_ip_summed(raw) }) {
            bindings::CHECKSUM_PARTIAL => {
                // SAFETY: As above; start and offset are valid for partial checksums.
                let (start, offset) = unsafe {
                    (
                        bindings::nc2_skb_checksum_start(raw),
                        bindings::nc2_skb_checksum_offset(raw),
                    )
                };

                Checksum::Partial {
                    start: u16::try_from(start)?,
                    offset: u16::try_from(offset)?,
                }
            }
            bindings::CHECKSUM_UNNECESSARY => Checksum::Valid,
            _ => Checksum::None,
        };
        let gso = match (size, kind) {
            (0, _) => None,
            (size, kind) if kind & SKB_GSO_TCPV4 != 0 => Some(Gso {
                kind: GsoKind::TcpV4,
                size,
            }),
            (size, kind) if kind & SKB_GSO_TCPV6 != 0 => Some(Gso {
                kind: GsoKind::TcpV6,
                size,
            }),
            (size, kind) if kind & SKB_GSO_UDP_L4 != 0 => Some(Gso {
                kind: GsoKind::UdpL4,
                size,
            }),
            _ => return Err(EOPNOTSUPP),
        };

        Ok(PacketMeta {
            checksum,
            gso,
            hash: None,
        })
    }

    /// Makes the packet one that `device` has received, with what the peer says of it.
    ///
    /// A checksum that the peer left open is set up from the packet's own headers, not from what
    /// the peer says of them, and segmentation is marked as coming from an untrusted source.
    ///
    /// # Errors
    ///
    /// `EPROTO` if such a packet is neither TCP nor UDP, or cut off, or if it is to be cut as
    /// what it is not.
    #[inline]
    pub fn receive_on(&mut self, device: &NetDevice, meta: &PacketMeta) -> Result {
        let raw = self.as_raw();

        // SAFETY: Both are valid; a packet has at least an Ethernet header, `PacketLength::MIN`.
        unsafe {
            let protocol = bindings::eth_type_trans(raw, device.as_raw());

            bindings::nc2_skb_set_protocol(raw, protocol);
        }
        match meta.checksum {
            Checksum::None => {}
            // SAFETY: By the type invariant, here and below.
            Checksum::Valid => unsafe { bindings::nc2_skb_set_checksum_verified(raw) },
            Checksum::Partial { .. } => {
                // SAFETY: As above; the protocol is set.
                to_result(unsafe {
                    bindings::nc2_skb_reset_network_header(raw);
                    bindings::nc2_skb_set_checksum_partial(raw);
                    bindings::skb_checksum_setup(raw, false)
                })?;
            }
        }
        if let Some(Gso { kind, size }) = meta.gso {
            let (kind, checksum_at) = match kind {
                GsoKind::TcpV4 => (SKB_GSO_TCPV4, TCP_CHECKSUM_AT),
                GsoKind::TcpV6 => (SKB_GSO_TCPV6, TCP_CHECKSUM_AT),
                GsoKind::UdpL4 => (SKB_GSO_UDP_L4, UDP_CHECKSUM_AT),
            };

            // A card that cuts believes the kind, and the stack may have its checksum made where
            // the headers have none.
            //
            // SAFETY: As above; to be cut is what has a partial checksum only, set up above.
            if unsafe { bindings::nc2_skb_checksum_offset(raw) } != checksum_at {
                return Err(EPROTO);
            }
            // SAFETY: As above.
            unsafe { bindings::nc2_skb_set_gso(raw, u32::from(size), kind | SKB_GSO_DODGY) };
        }
        Ok(())
    }

    /// Frees the packet as one that was sent, anywhere.
    pub fn consume_any(self) {
        // A budget of 0 says that nothing is known of softirqs.
        //
        // SAFETY: By the type invariant; ownership ends here.
        unsafe { bindings::napi_consume_skb(self.into_raw(), 0) }
    }

    /// Frees the packet as one that was sent, where softirqs are off.
    ///
    /// NAPI keeps its head for the next packet that this CPU receives.
    #[inline]
    pub fn consume(self) {
        // Any budget but 0 says that softirqs are off; the kernel warns if they are not.
        //
        // SAFETY: By the type invariant; ownership ends here.
        unsafe { bindings::napi_consume_skb(self.into_raw(), 1) }
    }
}

/// Returns what a packet shares with its clones.
///
/// # Safety
///
/// `raw` is a valid sk_buff.
#[inline]
unsafe fn shared_info(raw: *const bindings::sk_buff) -> *const bindings::skb_shared_info {
    // SAFETY: By the safety requirement. On 64-bit machines `end` is the offset of what is shared.
    unsafe { (*raw).head.wrapping_add((*raw).end as usize).cast() }
}

impl Drop for Skb {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; ownership ends here.
        unsafe { bindings::nc2_skb_free(self.as_raw()) }
    }
}
