// SPDX-License-Identifier: GPL-2.0

//! The module's parameters.

use crate::{
    common_values,
    module_parameters, //
};
use kernel::prelude::*;
use netchannel2_core::{
    cache::CacheLimit,
    knobs::Switch, //
};
use netchannel2_kernel::vif::{
    Parameters,
    Refused, //
};

/// Says what is wrong with the parameters, if anything is.
///
/// # Errors
///
/// `EINVAL` for a value out of bounds, which the log names.
pub(crate) fn check() -> Result {
    common()?;
    all_vifs()?;
    grant_ranges()?;
    Ok(())
}

/// Returns the parameters that the frontend has too, checked.
///
/// # Errors
///
/// `EINVAL` for a value out of bounds, which the log names.
pub(crate) fn common() -> Result<Parameters> {
    common_values().check().map_err(invalid)
}

/// How much of all guests' pools may be mapped.
pub(crate) fn cache() -> CacheLimit {
    CacheLimit::for_pages(module_parameters::cache_pages.value())
}

/// Whether vifs are taken that are not opted in.
pub(crate) fn all_vifs() -> Result<Switch> {
    Switch::new("all_vifs", module_parameters::all_vifs.value())
        .map_err(|error| invalid(error.into()))
}

/// Whether packets are lent where they lie, as ranges, if the grant table has version 2.
pub(crate) fn grant_ranges() -> Result<Switch> {
    Switch::new("grant_ranges", module_parameters::grant_ranges.value())
        .map_err(|error| invalid(error.into()))
}

fn invalid(refused: Refused) -> Error {
    pr_err!("{refused}\n");
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
