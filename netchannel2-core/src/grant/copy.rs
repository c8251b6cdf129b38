// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Copy plans: which operations bring granted fragments into the receiver's own memory.
//!
//! An operation of `GNTTABOP_copy` stays within one page on both sides, so that a plan cuts at the
//! boundaries of both.

use super::{
    Fragment,
    GrantRef, //
};
use crate::units::{
    FragmentLength,
    PageOffset,
    PAGE_SIZE, //
};

/// One copy between pages (`struct gnttab_copy` of Xen's `public/grant_table.h`).
///
/// # Invariants
///
/// Both ranges stay within their pages; [`plan`] sees to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyOp<F> {
    /// The peer's page.
    pub source: GrantRef,
    /// Where in it the copy starts.
    pub source_offset: PageOffset,
    /// The receiver's page frame.
    pub dest: F,
    /// Where in it the copy goes.
    pub dest_offset: PageOffset,
    /// How many bytes are copied.
    pub length: FragmentLength,
}

/// Memory of the receiver, within one page frame.
///
/// # Invariants
///
/// `offset + room` is at most the size of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestSegment<F> {
    frame: F,
    offset: PageOffset,
    room: FragmentLength,
}

impl<F> DestSegment<F> {
    /// Offers `room` bytes of `frame` from `offset` on, or returns [`None`] if they cross its end.
    pub fn new(frame: F, offset: PageOffset, room: FragmentLength) -> Option<Self> {
        if room > offset.room() {
            return None;
        }
        // INVARIANT: Checked above.
        Some(Self {
            frame,
            offset,
            room,
        })
    }

    /// Returns how many bytes are offered.
    pub const fn room(&self) -> FragmentLength {
        self.room
    }

    /// Offers a whole page frame.
    pub const fn page(frame: F) -> Self {
        // INVARIANT: A whole page from its start.
        Self {
            frame,
            offset: PageOffset::ZERO,
            room: FragmentLength::PAGE,
        }
    }
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError<E> {
    /// The destination is shorter than the source.
    DestTooShort,
    /// The operation could not be taken.
    Emit(E),
}

/// A range within a page that is used up from its start.
#[derive(Clone, Copy)]
struct Cursor<T> {
    page: T,
    offset: u16,
    rest: u16,
}

impl<T> Cursor<T> {
    fn step(&mut self, length: u16) {
        // The offset stays within a page as `length` is at most `rest`; one past is 4096.
        self.offset = self.offset.saturating_add(length).min(PAGE_SIZE);
        self.rest = self.rest.saturating_sub(length);
    }
}

/// Lists the operations that copy all of `source`, in order, to the start of `dest`.
///
/// Nothing is emitted for what is left of `dest`. There are at most as many operations as there
/// are fragments and segments together.
///
/// # Errors
///
/// Returns [`PlanError::DestTooShort`] if `dest` ends before `source`, which may be after some
/// operations are emitted, and [`PlanError::Emit`] with whatever `emit` fails with.
pub fn plan<F: Copy, E>(
    source: &[Fragment],
    dest: impl IntoIterator<Item = DestSegment<F>>,
    mut emit: impl FnMut(CopyOp<F>) -> Result<(), E>,
) -> Result<(), PlanError<E>> {
    let mut segments = dest.into_iter();
    let mut to: Option<Cursor<F>> = None;
    for fragment in source {
        let mut from = Cursor {
            page: fragment.reference(),
            offset: fragment.offset.get(),
            rest: fragment.length.get(),
        };
        while from.rest > 0 {
            let mut cursor = match to.take() {
                Some(cursor) if cursor.rest > 0 => cursor,
                _ => next(&mut segments).ok_or(PlanError::DestTooShort)?,
            };
            let length = from.rest.min(cursor.rest);
            emit(operation(&from, &cursor, length).ok_or(PlanError::DestTooShort)?)
                .map_err(PlanError::Emit)?;
            from.step(length);
            cursor.step(length);
            to = Some(cursor);
        }
    }
    Ok(())
}

fn next<F>(segments: &mut impl Iterator<Item = DestSegment<F>>) -> Option<Cursor<F>> {
    let segment = segments.next()?;
    Some(Cursor {
        page: segment.frame,
        offset: segment.offset.get(),
        rest: segment.room.get(),
    })
}

/// Returns [`None`] never, as both cursors have `length` bytes of their pages left.
fn operation<F: Copy>(from: &Cursor<GrantRef>, to: &Cursor<F>, length: u16) -> Option<CopyOp<F>> {
    Some(CopyOp {
        source: from.page,
        source_offset: PageOffset::new(from.offset)?,
        dest: to.page,
        dest_offset: PageOffset::new(to.offset)?,
        length: FragmentLength::new(length)?,
    })
}
