// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How a moderator is, for people.

use core::fmt;

use super::moderator::{
    Mode,
    Moderator, //
};

/// Displays a [`Moderator`] in lines.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a>(pub &'a Moderator);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moderator = self.0;
        for (name, mode) in [
            ("packets", &moderator.packets),
            ("completions", &moderator.completions),
        ] {
            let level = mode.level(moderator.limits);
            write!(
                f,
                "{name}: {} us, {} frames",
                level.usecs.get(),
                level.frames.get()
            )?;
            match mode {
                Mode::Fixed(_) => writeln!(f)?,
                Mode::Adaptive(adaptive) => writeln!(f, ", adaptive, level {}", adaptive.number())?,
            }
        }
        let (usecs, frames) = (moderator.limits.usecs, moderator.limits.frames);
        writeln!(f, "limits: {} us, {} frames", usecs.get(), frames.get())?;
        match &moderator.owed {
            None => writeln!(f, "owed: nothing")?,
            Some(owed) => writeln!(
                f,
                "owed: {} packets, {} completions",
                owed.packets, owed.completions
            )?,
        }
        write!(f, "events:")?;
        for (name, value) in moderator.counters().iter() {
            write!(f, " {name}:{value}")?;
        }
        writeln!(f, "\nframes in an event: {}", moderator.batches())
    }
}
