// SPDX-License-Identifier: GPL-2.0

//! How much room this domain's grant table has.

use crate::bindings;

/// Whether the table has `count` references that are not in use, or can grow by them.
///
/// Others may take them at any time: what this is for is to leave them some.
pub fn has_spare_references(count: u16) -> bool {
    let mut head = 0;

    // SAFETY: `head` is valid for a write.
    let has_room = unsafe { bindings::gnttab_alloc_grant_references(count, &mut head) == 0 };

    if has_room {
        // SAFETY: The list was just allocated, and nothing is granted under its references.
        unsafe { bindings::gnttab_free_grant_references(head) };
    }
    has_room
}
