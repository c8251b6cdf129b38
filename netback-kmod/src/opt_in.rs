// SPDX-License-Identifier: GPL-2.0

//! Which vifs are this driver's.
//!
//! A vif is opted in by `script=vif-netchannel2` in its configuration, which the toolstack writes
//! into the backend's directory, or by the module parameter `all_vifs`. Any other is declined, and
//! `xen-netback` takes it; so is a vif with `rate=`, a limit that this driver does not have.

use crate::parameters;
use kernel::prelude::*;
use netchannel2_kernel::xenbus::Directory;

/// The name of the hotplug script that opts a vif in.
const SCRIPT: &[u8] = b"vif-netchannel2";

/// Says whether the vif with this directory is this driver's.
///
/// # Errors
///
/// Those of xenstore.
pub(crate) fn is_opted_in(vif: &Directory<'_>) -> Result<bool> {
    let is_opted_in = parameters::all_vifs()?.is_on()
        || vif
            .read(c"script")?
            .is_some_and(|script| names_script(script.as_bytes()));

    if is_opted_in && vif.read(c"rate")?.is_some() {
        // A limit that is not kept is worse than a vif that is not ours.
        pr_warn!(
            "{:?}: rate= is set, which only xen-netback limits: leaving the vif to it\n",
            vif.path()
        );
        return Ok(false);
    }
    Ok(is_opted_in)
}

/// Whether the last part of a path is the script's name.
fn names_script(path: &[u8]) -> bool {
    path.rsplit(|&byte| byte == b'/').next() == Some(SCRIPT)
}

#[kunit_tests(netchannel2_back_opt_in)]
mod tests {
    use super::*;

    #[test]
    fn path_or_name() {
        assert!(names_script(b"vif-netchannel2"));
        assert!(names_script(b"/etc/xen/scripts/vif-netchannel2"));
    }

    #[test]
    fn other_scripts() {
        assert!(!names_script(b"/etc/xen/scripts/vif-bridge"));
        assert!(!names_script(b"/etc/vif-netchannel2/vif-bridge"));
        assert!(!names_script(b"vif-netchannel22"));
        assert!(!names_script(b"my-vif-netchannel2"));
        assert!(!names_script(b""));
    }
}
