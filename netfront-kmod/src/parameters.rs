// SPDX-License-Identifier: GPL-2.0

//! The module's parameters.

use crate::module_parameters;
use kernel::prelude::*;
use netchannel2_core::{
    knobs::{
        self,
        OutOfBounds,
        Switch, //
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
    knobs::pool_chunks(module_parameters::pool_pages.value()).map_err(invalid)
}

/// Whether packets are lent where they lie, as ranges, if the grant table has version 2.
pub(crate) fn grant_ranges() -> Result<Switch> {
    Switch::new("grant_ranges", module_parameters::grant_ranges.value()).map_err(invalid)
}

fn invalid(error: OutOfBounds) -> Error {
    pr_err!("{}\n", format_args!("{error}"));
    EINVAL
}

#[kunit_tests(netchannel2_front_parameters)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_bounds() {
        assert!(check().is_ok());
    }
}
