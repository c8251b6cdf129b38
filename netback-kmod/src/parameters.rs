// SPDX-License-Identifier: GPL-2.0

//! The module's parameters.

use crate::module_parameters;
use kernel::prelude::*;
use netchannel2_core::{
    segment::Thresholds,
    units::InlineLength, //
};

/// Says what is wrong with the parameters, if anything is.
///
/// # Errors
///
/// `EINVAL` for a value out of bounds.
pub(crate) fn check() -> Result {
    if thresholds_for(module_parameters::inline_max.value()).is_none() {
        pr_err!(
            "inline_max is {}: at most {}\n",
            module_parameters::inline_max.value(),
            InlineLength::MAX.get()
        );
        return Err(EINVAL);
    }
    if module_parameters::all_vifs.value() > 1 {
        pr_err!(
            "all_vifs is {}: 0 or 1\n",
            module_parameters::all_vifs.value()
        );
        return Err(EINVAL);
    }
    Ok(())
}

/// When a packet takes which way.
pub(crate) fn thresholds() -> Thresholds {
    // In bounds as checked when the module was loaded.
    thresholds_for(module_parameters::inline_max.value()).unwrap_or_default()
}

fn thresholds_for(inline_max: u16) -> Option<Thresholds> {
    Some(Thresholds {
        inline_max: InlineLength::new(inline_max)?,
    })
}

#[kunit_tests(netchannel2_back_parameters)]
mod tests {
    use super::*;

    fn inline_max(value: u16) -> Option<u16> {
        thresholds_for(value).map(|thresholds| thresholds.inline_max.get())
    }

    #[test]
    fn bounds() {
        assert_eq!(inline_max(0), Some(0));
        assert_eq!(inline_max(2048), Some(2048));
        assert_eq!(inline_max(2049), None);
        assert_eq!(inline_max(u16::MAX), None);
    }

    #[test]
    fn defaults_are_in_bounds() {
        assert!(check().is_ok());
    }
}
