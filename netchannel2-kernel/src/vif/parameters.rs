// SPDX-License-Identifier: GPL-2.0

//! The module parameters that both drivers have.

use kernel::{
    fmt,
    prelude::*, //
};
use netchannel2_core::{
    knobs::{
        self,
        OutOfBounds, //
    },
    moderation::{
        KnobError,
        Knobs,
        Limits,
        Settings, //
    },
    pool::ChunkCount,
    segment::Thresholds,
};

/// The parameters as they were given; [`vif_module!`](crate::vif_module) says what they are.
#[expect(missing_docs, reason = "see there")]
pub struct Values {
    pub adaptive_rx: u8,
    pub adaptive_tx: u8,
    pub inline_max: u16,
    pub max_frames: u16,
    pub max_usecs: u16,
    pub pool_pages: u16,
    pub rx_frames: u16,
    pub rx_usecs: u16,
    pub staged_max: u16,
    pub tx_frames: u16,
    pub tx_usecs: u16,
}

/// The parameters, checked.
pub struct Parameters {
    /// When a packet takes which way.
    pub thresholds: Thresholds,
    /// How large the pool of a vif may become.
    pub pool: ChunkCount,
    /// What a new device wants of the events towards it.
    pub coalesce: Settings,
    /// The most that the other end of a new device may ask for.
    pub limits: Limits,
}

impl Values {
    /// Checks them.
    ///
    /// # Errors
    ///
    /// [`Refused`] for a value out of bounds.
    pub fn check(&self) -> Result<Parameters, Refused> {
        let thresholds = knobs::thresholds(self.inline_max, self.staged_max)?;
        let moderation = Knobs {
            rx_usecs: self.rx_usecs.into(),
            rx_frames: self.rx_frames.into(),
            adaptive_rx: self.adaptive_rx.into(),
            tx_usecs: self.tx_usecs.into(),
            tx_frames: self.tx_frames.into(),
            adaptive_tx: self.adaptive_tx.into(),
        };

        Ok(Parameters {
            thresholds,
            pool: knobs::pool_chunks(self.pool_pages, &thresholds)?,
            coalesce: moderation.settings()?,
            limits: Limits::new(self.max_usecs.into(), self.max_frames.into())?,
        })
    }
}

/// Why a parameter is refused.
#[derive(Clone, Copy, Debug)]
pub enum Refused {
    /// It is out of bounds.
    OutOfBounds(OutOfBounds),
    /// It is one of moderation.
    Moderation(KnobError),
}

impl From<OutOfBounds> for Refused {
    fn from(error: OutOfBounds) -> Self {
        Self::OutOfBounds(error)
    }
}

impl From<KnobError> for Refused {
    fn from(error: KnobError) -> Self {
        Self::Moderation(error)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds(error) => write!(f, "{error}"),
            Self::Moderation(error) => write!(f, "{error}"),
        }
    }
}

/// Declares a module of either driver, with the parameters that both have and its own.
///
/// The crate gets a function `common_values()`, which returns the former.
#[macro_export]
macro_rules! vif_module {
    (
        type: $type:ident,
        name: $name:literal,
        description: $description:literal,
        alias: $alias:literal,
        own_params: { $($own:tt)* },
    ) => {
        ::kernel::prelude::module! {
            type: $type,
            name: $name,
            authors: ["The Netchannel 2 developers"],
            description: $description,
            license: "GPL",
            alias: [$alias],
            params: {
                adaptive_rx: u8 {
                    default: 1,
                    description: "Events about received packets wait as suits the traffic (1), or by rx_usecs and rx_frames (0)",
                },
                adaptive_tx: u8 {
                    default: 1,
                    description: "Events about sent packets that are done with wait as suits the traffic (1), or by tx_usecs and tx_frames (0)",
                },
                inline_max: u16 {
                    default: 256,
                    description: "Longest packet that this side sends in its message, 0 to 2048 bytes",
                },
                max_frames: u16 {
                    default: 128,
                    description: "The most frames that the other end may let events wait for, 1 to 128",
                },
                max_usecs: u16 {
                    default: 1000,
                    description: "The most microseconds that the other end may let events wait, 0 to 10000",
                },
                pool_pages: u16 {
                    default: 512,
                    description: "Most pages of each vif's pool for the packets that this side sends, 0 to 1024 (0: no pool)",
                },
                rx_frames: u16 {
                    default: 64,
                    description: "With so many received packets an event comes at the latest, 1 to 128",
                },
                rx_usecs: u16 {
                    default: 64,
                    description: "Microseconds that an event about received packets may wait, 0 to 10000",
                },
                staged_max: u16 {
                    default: 65535,
                    description: "Longest packet that this side sends in its pool, in bytes (0: none, and no pool)",
                },
                tx_frames: u16 {
                    default: 64,
                    description: "With so many sent packets that are done with an event comes at the latest, 1 to 128",
                },
                tx_usecs: u16 {
                    default: 64,
                    description: "Microseconds that an event about sent packets that are done with may wait, 0 to 10000",
                },
                $($own)*
            },
        }

        /// Returns the parameters that both drivers have, as they were given.
        pub(crate) fn common_values() -> $crate::vif::Values {
            $crate::vif::Values {
                adaptive_rx: module_parameters::adaptive_rx.value(),
                adaptive_tx: module_parameters::adaptive_tx.value(),
                inline_max: module_parameters::inline_max.value(),
                max_frames: module_parameters::max_frames.value(),
                max_usecs: module_parameters::max_usecs.value(),
                pool_pages: module_parameters::pool_pages.value(),
                rx_frames: module_parameters::rx_frames.value(),
                rx_usecs: module_parameters::rx_usecs.value(),
                staged_max: module_parameters::staged_max.value(),
                tx_frames: module_parameters::tx_frames.value(),
                tx_usecs: module_parameters::tx_usecs.value(),
            }
        }
    };
}
