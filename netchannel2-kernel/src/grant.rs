// SPDX-License-Identifier: GPL-2.0

//! Grant tables: lending pages to the peer and copying from pages that it lends.
//!
//! C header: [`include/xen/grant_table.h`](srctree/include/xen/grant_table.h)

mod chunk;
mod copy;
mod granted;
mod map;
mod run;
mod spare;
mod window;

pub use self::{
    chunk::GrantedChunk,
    copy::{
        CopyBatch,
        CopyStatus, //
    },
    granted::GrantedPages,
    map::{
        Access,
        ForeignBytes,
        MappedPages, //
    },
    run::{
        GrantRun,
        GrantVersion,
        StillGranted, //
    },
    spare::has_spare_references,
    window::Frame, //
};
