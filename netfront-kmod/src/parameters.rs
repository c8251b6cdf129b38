// SPDX-License-Identifier: GPL-2.0

//! The module's parameters.

use crate::common_values;
use kernel::prelude::*;
use netchannel2_kernel::vif::Parameters;

/// Returns the parameters, checked.
///
/// # Errors
///
/// `EINVAL` for a value out of bounds, which the log names.
pub(crate) fn common() -> Result<Parameters> {
    common_values().check().map_err(|refused| {
        pr_err!("{refused}\n");
        EINVAL
    })
}

#[kunit_tests(netchannel2_front_parameters)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_bounds() {
        assert!(common().is_ok());
    }
}
