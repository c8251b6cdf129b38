// SPDX-License-Identifier: GPL-2.0

//! The module's parameters.

use crate::module_parameters;
use kernel::prelude::*;
use netchannel2_core::{
    cache::CacheLimit,
    knobs::{
        self,
        OutOfBounds,
        Switch, //
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

/// Says what is wrong with the parameters, if anything is.
///
/// # Errors
///
/// `EINVAL` for a value out of bounds.
pub(crate) fn check() -> Result {
    thresholds()?;
    pool()?;
    grant_ranges()?;
    coalesce()?;
    moderation_limits()?;
    all_vifs()?;
    Ok(())
}

/// When a packet takes which way.
pub(crate) fn thresholds() -> Result<Thresholds> {
    knobs::thresholds(
        module_parameters::inline_max.value(),
        module_parameters::staged_max.value(),
    )
    .map_err(invalid)
}

/// How large the pool of a vif may become.
pub(crate) fn pool() -> Result<ChunkCount> {
    knobs::pool_chunks(module_parameters::pool_pages.value(), &thresholds()?).map_err(invalid)
}

/// How much of all guests' pools may be mapped.
pub(crate) fn cache() -> CacheLimit {
    CacheLimit::for_pages(module_parameters::cache_pages.value())
}

/// Whether packets are lent where they lie, as ranges, if the grant table has version 2.
pub(crate) fn grant_ranges() -> Result<Switch> {
    Switch::new("grant_ranges", module_parameters::grant_ranges.value()).map_err(invalid)
}

/// Whether vifs are taken that are not opted in.
pub(crate) fn all_vifs() -> Result<Switch> {
    Switch::new("all_vifs", module_parameters::all_vifs.value()).map_err(invalid)
}

/// What a new device wants of the events towards it.
pub(crate) fn coalesce() -> Result<Settings> {
    let knobs = Knobs {
        rx_usecs: module_parameters::rx_usecs.value().into(),
        rx_frames: module_parameters::rx_frames.value().into(),
        adaptive_rx: module_parameters::adaptive_rx.value().into(),
        tx_usecs: module_parameters::tx_usecs.value().into(),
        tx_frames: module_parameters::tx_frames.value().into(),
        adaptive_tx: module_parameters::adaptive_tx.value().into(),
    };

    knobs.settings().map_err(refused)
}

/// The most that the other end of a new device may ask for.
pub(crate) fn moderation_limits() -> Result<Limits> {
    Limits::new(
        module_parameters::max_usecs.value().into(),
        module_parameters::max_frames.value().into(),
    )
    .map_err(refused)
}

fn refused(error: KnobError) -> Error {
    pr_err!("{}\n", format_args!("{error}"));
    EINVAL
}

fn invalid(error: OutOfBounds) -> Error {
    pr_err!("{}\n", format_args!("{error}"));
    EINVAL
}

#[kunit_tests(netchannel2_back_parameters)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_bounds() {
        assert!(check().is_ok());
    }
}
