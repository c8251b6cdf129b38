// SPDX-License-Identifier: GPL-2.0

//! `netchannel2_kunit.ko`: KUnit suites of the glue crate.
//!
//! Those that need a hypervisor are skipped without one, and say so.

mod buffer;
mod event;
mod grant;
mod granted;
mod mac;
mod moderation;
mod pool;
mod quarantine;
mod ticker;
mod timer;

use kernel::{
    prelude::*,
    ThisModule, //
};
use netchannel2_core::units::DomId;
use netchannel2_kernel::{
    is_xen_domain,
    skip_test,
    xenbus::Directory, //
};

struct KunitModule;

impl kernel::Module for KunitModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}

module! {
    type: KunitModule,
    name: "netchannel2_kunit",
    authors: ["The Netchannel 2 developers"],
    description: "Netchannel 2: KUnit suites of the glue crate",
    license: "GPL",
}

/// Runs `test` with the number of this domain; skips it on a machine without Xen.
fn as_domain(test: impl FnOnce(DomId) -> Result) -> Result {
    if !is_xen_domain() {
        skip_test(c"not a Xen domain");
        return Ok(());
    }
    test(own_domain()?)
}

fn own_domain() -> Result<DomId> {
    let text = Directory::new(c"domid").read(c"")?.ok_or(ENOENT)?;
    let number = core::str::from_utf8(text.as_bytes()).map_err(|_| EINVAL)?;

    Ok(DomId::new(number.parse().map_err(|_| EINVAL)?))
}
