// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A queue in a file: the control page, tx, rx, a page of data for granted packets, and a chunk of pages for the pool of
//! either side.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    sync::Arc, //
};

use netchannel2_core::{
    ring::{
        control::{
            self,
            Direction, //
        },
        IndexWord,
        SharedRing, //
    },
    units::{
        RingOffset,
        RingOrder, //
    },
};

/// One ring of a file; reading and writing the file is coherent with the peer's mapping of it.
#[derive(Clone, Debug)]
pub struct FileRing {
    pub file: Arc<File>,
    pub order: RingOrder,
    pub direction: Direction,
}

impl FileRing {
    fn base(&self) -> u64 {
        let size = u64::from(self.order.bytes().get());
        match self.direction {
            Direction::Tx => 4096,
            Direction::Rx => 4096 + size,
        }
    }

    /// Where the data of granted packets is.
    pub fn data(&self) -> u64 {
        4096 + 2 * u64::from(self.order.bytes().get())
    }
}

impl SharedRing for FileRing {
    fn order(&self) -> RingOrder {
        self.order
    }

    fn read(&self, at: RingOffset, into: &mut [u8]) {
        let at = self.base() + u64::from(at.get());
        self.file
            .read_exact_at(into, at)
            .expect("the file is as long as the queue");
    }

    fn write(&self, at: RingOffset, from: &[u8]) {
        let at = self.base() + u64::from(at.get());
        self.file
            .write_all_at(from, at)
            .expect("the file can be written");
    }

    fn load(&self, word: IndexWord) -> u32 {
        let at = u64::from(control::offset(self.direction, word).get());
        let mut octets = [0; 4];
        self.file
            .read_exact_at(&mut octets, at)
            .expect("the file has a control page");
        u32::from_le_bytes(octets)
    }

    fn store(&self, word: IndexWord, value: u32) {
        let at = u64::from(control::offset(self.direction, word).get());
        self.file
            .write_all_at(&value.to_le_bytes(), at)
            .expect("the file can be written");
    }

    fn full_barrier(&self) {}
}
