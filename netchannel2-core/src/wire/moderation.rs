// SPDX-License-Identifier: GPL-2.0 OR MIT

//! SET_MODERATION: how long events may wait.

use zerocopy::{
    little_endian::{
        U16,
        U32, //
    },
    FromBytes as _, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

use super::{
    header::{
        Kind,
        MessageSize,
        RawHeader, //
    },
    message::truncated,
    Features, //
};
use crate::{
    error::{
        ModerationField,
        Violation, //
    },
    knobs::Switch,
    moderation::{
        Frames,
        OutOfRange,
        Rule,
        Settings,
        Usecs, //
    },
};

/// SET_MODERATION, as it lies in the ring.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RawSetModeration {
    /// Type 4, no flags, size 24.
    pub header: RawHeader,
    /// A [`Purpose`].
    pub purpose: u8,
    /// Bit 0: packets are adaptive; bit 1: completions are.
    pub adaptive: u8,
    /// The number of the wish.
    pub sequence: U16,
    /// How many microseconds an event about packets may wait.
    pub packet_usecs: U32,
    /// With how many packets it comes at the latest.
    pub packet_frames: U32,
    /// How many microseconds an event about completions may wait.
    pub completion_usecs: U32,
    /// With how many completions it comes at the latest.
    pub completion_frames: U32,
}

pub(super) const SIZE: u16 = 24;

static_assertions::const_assert_eq!(size_of::<RawSetModeration>(), SIZE as usize);

const ADAPTIVE_PACKETS: u8 = 1 << 0;
const ADAPTIVE_COMPLETIONS: u8 = 1 << 1;

/// What the settings in a SET_MODERATION are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// What the sender wants of events towards it.
    Wish,
    /// What the sender does about events towards the receiver, where it differs from the wish.
    InForce,
}

/// Numbers the wishes of a side, so that an answer to an older one is known for such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WishNumber(u16);

impl WishNumber {
    /// Takes a number from the wire.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Returns the number of the next wish.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// How long events may wait: asked for, or told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetModeration {
    /// What the settings are.
    pub purpose: Purpose,
    /// The wish's number; of an answer, that of the wish.
    pub number: WishNumber,
    /// The settings.
    pub settings: Settings,
}

impl SetModeration {
    /// The size of the message.
    pub(crate) const MESSAGE_SIZE: MessageSize = match MessageSize::new(SIZE) {
        Ok(size) => size,
        Err(_) => MessageSize::MAX,
    };

    /// Checks a SET_MODERATION, which lies in private memory and needs its feature.
    pub(crate) fn parse_negotiated(head: &[u8], negotiated: Features) -> Result<Self, Violation> {
        if !negotiated.contains(Features::MODERATION) {
            return Err(Violation::UnknownMessage(Kind::SetModeration.to_wire()));
        }
        Self::parse(head)
    }

    fn parse(head: &[u8]) -> Result<Self, Violation> {
        let (raw, _) = RawSetModeration::ref_from_prefix(head).map_err(|_| truncated(head))?;
        raw.header.without_flags()?;
        let size = raw.header.size.get();
        if size != SIZE {
            return Err(Violation::MessageSizeMismatch {
                size,
                expected: u32::from(SIZE),
            });
        }
        let purpose = match raw.purpose {
            0 => Purpose::Wish,
            1 => Purpose::InForce,
            other => return Err(Violation::ModerationPurpose(other)),
        };
        if raw.adaptive & !(ADAPTIVE_PACKETS | ADAPTIVE_COMPLETIONS) != 0 {
            return Err(Violation::ModerationAdaptive(raw.adaptive));
        }
        let switch = |bit| match raw.adaptive & bit {
            0 => Switch::Off,
            _ => Switch::On,
        };
        Ok(Self {
            purpose,
            number: WishNumber(raw.sequence.get()),
            settings: Settings {
                packets: Rule {
                    usecs: Usecs::new(raw.packet_usecs.get())
                        .map_err(out_of_range(ModerationField::PacketUsecs))?,
                    frames: Frames::new(raw.packet_frames.get())
                        .map_err(out_of_range(ModerationField::PacketFrames))?,
                    adaptive: switch(ADAPTIVE_PACKETS),
                },
                completions: Rule {
                    usecs: Usecs::new(raw.completion_usecs.get())
                        .map_err(out_of_range(ModerationField::CompletionUsecs))?,
                    frames: Frames::new(raw.completion_frames.get())
                        .map_err(out_of_range(ModerationField::CompletionFrames))?,
                    adaptive: switch(ADAPTIVE_COMPLETIONS),
                },
            },
        })
    }

    pub(super) fn to_raw(self) -> RawSetModeration {
        let Settings {
            packets,
            completions,
        } = self.settings;
        let bit = |switch: Switch, bit| if switch.is_on() { bit } else { 0 };
        let wide = |value: u16| U32::new(u32::from(value));
        RawSetModeration {
            header: RawHeader {
                kind: Kind::SetModeration.to_wire(),
                flags: 0,
                size: U16::new(SIZE),
            },
            purpose: match self.purpose {
                Purpose::Wish => 0,
                Purpose::InForce => 1,
            },
            adaptive: bit(packets.adaptive, ADAPTIVE_PACKETS)
                | bit(completions.adaptive, ADAPTIVE_COMPLETIONS),
            sequence: U16::new(self.number.0),
            packet_usecs: wide(packets.usecs.get()),
            packet_frames: wide(packets.frames.get()),
            completion_usecs: wide(completions.usecs.get()),
            completion_frames: wide(completions.frames.get()),
        }
    }
}

fn out_of_range(field: ModerationField) -> impl Fn(OutOfRange) -> Violation {
    move |range| Violation::Moderation { field, range }
}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;

    use zerocopy::IntoBytes as _;

    use super::*;

    fn wish() -> RawSetModeration {
        SetModeration {
            purpose: Purpose::Wish,
            number: WishNumber(7),
            settings: Settings::IMMEDIATE,
        }
        .to_raw()
    }

    fn refused(raw: RawSetModeration) -> std::string::String {
        match SetModeration::parse(raw.as_bytes()) {
            Ok(parsed) => std::format!("{parsed:?}"),
            Err(violation) => violation.to_string(),
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        assert_eq!(
            SetModeration::parse(wish().as_bytes()).map(|parsed| parsed.number),
            Ok(WishNumber(7))
        );
        let raw = wish();
        let usecs = U32::new(10_001);
        assert_eq!(
            refused(RawSetModeration {
                packet_usecs: usecs,
                ..raw
            }),
            "set_moderation.packet_usecs is 10001: not in 0..=10000"
        );
        assert_eq!(
            refused(RawSetModeration {
                completion_usecs: usecs,
                ..raw
            }),
            "set_moderation.completion_usecs is 10001: not in 0..=10000"
        );
        assert_eq!(
            refused(RawSetModeration {
                packet_frames: U32::ZERO,
                ..raw
            }),
            "set_moderation.packet_frames is 0: not in 1..=128"
        );
        assert_eq!(
            refused(RawSetModeration {
                completion_frames: U32::new(129),
                ..raw
            }),
            "set_moderation.completion_frames is 129: not in 1..=128"
        );
        assert_eq!(
            refused(RawSetModeration { purpose: 2, ..raw }),
            "set_moderation.purpose is 2: unknown"
        );
        assert_eq!(
            refused(RawSetModeration { adaptive: 6, ..raw }),
            "set_moderation.adaptive is 0x6: not all known"
        );
    }
}
