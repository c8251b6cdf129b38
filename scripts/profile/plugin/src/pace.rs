// SPDX-License-Identifier: GPL-2.0
//! One pace for all processors, in instructions, whatever the host does with the threads that run them.
//!
//! Each processor looks at the others once in a [`STRIDE`] and waits while it is ahead of one that is awake, or of the
//! machine's [`Speed`]. After it has sent an interrupt to one that sleeps it waits until that has woken up: the host
//! takes as long for that as the sender takes for tens of thousands of instructions, and now longer and now shorter.
//!
//! Nothing but the pace depends on what is kept here, so that no order between memory accesses matters, but for one:
//! who is called and wakes up meanwhile must not be waited for (`State::called`).

use std::hint;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crate::icr::Command;
use crate::speed::{Rate, Speed};
use crate::units::Vcpu;

/// Instructions from one look at the other processors to the next.
pub const STRIDE: u64 = 1000;

/// How many instructions a processor may be ahead of another one.
const LEAD: u64 = 2 * STRIDE;

/// After how long a wait is given up: the other processor may itself be waiting for this one to stop, as where QEMU
/// runs something while no processor does.
const LIMIT: Duration = Duration::from_millis(3);

/// Looks between two offers of the host's processor to other threads.
const SPINS: u32 = 50;

/// What is known of one processor.
#[derive(Debug, Default)]
struct State {
    /// How far it is. One that wakes up is as far as the others.
    progress: AtomicU64,
    /// Whether it runs code, and does not wait for an interrupt.
    awake: AtomicBool,
    /// Whether it has been sent an interrupt and has not woken up since. The sender sets this before it looks whether
    /// it is awake, and a processor clears it after it is: one of the two sees the other.
    called: AtomicBool,
    /// Whom it has called that slept, and has not waited for yet: a bit for each processor.
    calls: AtomicU64,
    /// Of what it will say next that it has run, how much is known already.
    told: AtomicU64,
    /// Waits that ended before what they waited for came.
    given_up: AtomicU64,
}

/// How far each processor is.
#[derive(Debug)]
pub struct Pace {
    states: Vec<State>,
    speed: Speed,
}

impl Pace {
    /// Processors that are asleep.
    #[must_use]
    pub fn new(vcpus: u32) -> Self {
        Pace {
            states: Vcpu::all(vcpus).map(|_| State::default()).collect(),
            speed: Speed::new(),
        }
    }

    /// All processors go at this speed from here on.
    pub fn begin(&self, rate: Rate) {
        let progress = self.states.iter().map(|it| it.progress.load(Relaxed));
        self.speed.begin(rate, progress.max().unwrap_or(0));
    }

    /// `vcpu` has nothing to do until an interrupt comes.
    pub fn falls_asleep(&self, vcpu: Vcpu) {
        if let Some(own) = self.states.get(vcpu.index()) {
            own.awake.store(false, SeqCst);
        }
    }

    /// `vcpu` goes on.
    pub fn wakes_up(&self, vcpu: Vcpu) {
        let Some(own) = self.states.get(vcpu.index()) else {
            return;
        };
        let awake = self.states.iter().filter(|it| it.awake.load(Relaxed));
        let farthest = awake.map(|it| it.progress.load(Relaxed)).max();
        let here = farthest.unwrap_or_else(|| self.speed.now());
        own.progress.fetch_max(here, Relaxed);
        own.awake.store(true, SeqCst);
        own.called.store(false, SeqCst);
    }

    /// `vcpu` is about to send an interrupt and has run `more` instructions that it has not told yet. The next that it
    /// tells are to be a [`STRIDE`] more than it runs until then, so that it looks at the others at once.
    pub fn sends(&self, vcpu: Vcpu, command: Command, more: u64) {
        let Some(own) = self.states.get(vcpu.index()) else {
            return;
        };
        own.progress.fetch_add(more, Relaxed);
        own.told.store(STRIDE, Relaxed);
        for (target, it) in (0..).map(Vcpu).zip(&self.states) {
            if target == vcpu || !command.reaches(vcpu, target) {
                continue;
            }
            it.called.store(true, SeqCst);
            if it.awake.load(SeqCst) {
                it.called.store(false, SeqCst);
            } else {
                own.calls.fetch_or(bit(target), Relaxed);
            }
        }
    }

    /// `vcpu` has run `more` instructions that it has not told yet: waits for those that it is ahead of.
    pub fn keep(&self, vcpu: Vcpu, more: u64) {
        let Some(own) = self.states.get(vcpu.index()) else {
            return;
        };
        let more = more.saturating_sub(own.told.swap(0, Relaxed));
        let here = own.progress.fetch_add(more, Relaxed).saturating_add(more);
        own.awake.store(true, SeqCst);
        own.called.store(false, SeqCst);
        let woken = self.wait_for(own.calls.swap(0, Relaxed));
        let ahead = self.speed.ahead(here);
        if !ahead.is_zero() {
            thread::sleep(ahead.min(LIMIT));
        }
        let behind = here.saturating_sub(LEAD);
        let is_behind = |it: &State| it.awake.load(Relaxed) && it.progress.load(Relaxed) < behind;
        let together = wait_until(|| !self.states.iter().any(is_behind));
        own.given_up
            .fetch_add(u64::from(!woken) + u64::from(!together), Relaxed);
    }

    /// Waits until all of these processors have woken up; whether they have. Who has not is waited for no more.
    fn wait_for(&self, calls: u64) -> bool {
        let all = (0..).map(Vcpu).zip(&self.states);
        let called: Vec<&State> = all
            .filter(|&(vcpu, _)| calls & bit(vcpu) != 0)
            .map(|(_, it)| it)
            .collect();
        let woken = wait_until(|| !called.iter().any(|it| it.called.load(Relaxed)));
        for it in called {
            it.called.store(false, SeqCst);
        }
        woken
    }

    /// How many waits of `vcpu` ended before what they waited for came.
    #[must_use]
    pub fn given_up(&self, vcpu: Vcpu) -> u64 {
        let own = self.states.get(vcpu.index());
        own.map_or(0, |it| it.given_up.load(Relaxed))
    }

    /// Instructions that the host was too slow for.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.speed.lost()
    }
}

/// A processor's bit in a set of them; there are no more than bits.
fn bit(vcpu: Vcpu) -> u64 {
    1_u64.checked_shl(vcpu.0).unwrap_or(0)
}

/// Waits until something holds, or for [`LIMIT`]; whether it holds.
fn wait_until(holds: impl Fn() -> bool) -> bool {
    let mut begun = None;
    loop {
        for _ in 0..SPINS {
            if holds() {
                return true;
            }
            hint::spin_loop();
        }
        if begun.get_or_insert_with(Instant::now).elapsed() > LIMIT {
            return false;
        }
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::SeqCst;

    const FAST: Vcpu = Vcpu(0);
    const SLOW: Vcpu = Vcpu(1);
    const TO_SLOW: Command = Command {
        low: 0xfb,
        destination: SLOW.0,
    };

    fn both_awake() -> Pace {
        let pace = Pace::new(2);
        pace.wakes_up(FAST);
        pace.wakes_up(SLOW);
        pace
    }

    fn progress(pace: &Pace, vcpu: Vcpu) -> u64 {
        pace.states[vcpu.index()].progress.load(SeqCst)
    }

    #[test]
    fn nobody_gets_far_ahead_of_one_that_is_awake() {
        let pace = both_awake();
        let ends = AtomicBool::new(false);
        let lead = |ahead, behind| progress(&pace, ahead).saturating_sub(progress(&pace, behind));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(SeqCst) {
                    pace.keep(FAST, STRIDE);
                }
            });
            for _ in 0..200 {
                thread::sleep(Duration::from_micros(50));
                assert!(lead(FAST, SLOW) <= LEAD + STRIDE || pace.given_up(FAST) > 0);
                pace.keep(SLOW, STRIDE);
            }
            pace.falls_asleep(SLOW);
            ends.store(true, SeqCst);
        });
        let excused = LEAD + pace.given_up(SLOW) * STRIDE;
        assert!(progress(&pace, FAST) + excused >= 200 * STRIDE);
    }

    #[test]
    fn nobody_waits_for_one_that_sleeps_and_it_wakes_up_where_the_others_are() {
        let pace = both_awake();
        pace.falls_asleep(SLOW);
        for _ in 0..100 {
            pace.keep(FAST, STRIDE);
        }
        assert_eq!(pace.given_up(FAST), 0);
        pace.wakes_up(SLOW);
        assert_eq!(progress(&pace, SLOW), 100 * STRIDE);
        // Behind again, it is waited for, but not for ever.
        pace.keep(FAST, LEAD + 1);
        assert_eq!(pace.given_up(FAST), 1);
    }

    #[test]
    fn a_sender_waits_for_who_slept_when_it_sent() {
        let pace = both_awake();
        pace.falls_asleep(SLOW);
        pace.sends(FAST, TO_SLOW, 1);
        pace.keep(FAST, STRIDE + 1);
        assert_eq!(pace.given_up(FAST), 1);
        pace.sends(FAST, TO_SLOW, 1);
        pace.wakes_up(SLOW);
        // It may be asleep again by the time the sender looks.
        pace.falls_asleep(SLOW);
        pace.keep(FAST, STRIDE + 1);
        assert_eq!(pace.given_up(FAST), 1);
        assert_eq!(progress(&pace, FAST), 4);
        // Where nobody slept there is nobody to wait for.
        pace.wakes_up(SLOW);
        pace.sends(FAST, TO_SLOW, 1);
        pace.keep(FAST, STRIDE + 1);
        assert_eq!(pace.given_up(FAST), 1);
    }

    #[test]
    fn processors_that_do_not_exist_are_nobody() {
        let pace = both_awake();
        pace.wakes_up(Vcpu(2));
        pace.sends(Vcpu(2), TO_SLOW, 1);
        pace.keep(Vcpu(2), 1 << 20);
        pace.falls_asleep(Vcpu(2));
        assert_eq!(pace.given_up(Vcpu(2)), 0);
        assert_eq!((progress(&pace, FAST), progress(&pace, SLOW)), (0, 0));
    }

    #[test]
    fn one_that_is_not_called_is_not_waited_for() {
        let pace = both_awake();
        pace.falls_asleep(SLOW);
        let to_none = Command {
            low: 0xfb,
            destination: 2,
        };
        pace.sends(FAST, to_none, 1);
        pace.keep(FAST, STRIDE);
        assert_eq!(pace.given_up(FAST), 0);
    }

    #[test]
    fn nobody_is_faster_than_the_speed() {
        let pace = both_awake();
        pace.falls_asleep(SLOW);
        pace.begin(Rate(10));
        let start = Instant::now();
        for _ in 0..100 {
            pace.keep(FAST, STRIDE);
        }
        assert!(start.elapsed() > Duration::from_millis(9));
        assert_eq!(pace.given_up(FAST), 0);
        // Who wakes up alone is as far as the time.
        pace.falls_asleep(FAST);
        pace.wakes_up(SLOW);
        assert!(progress(&pace, SLOW) >= 90_000);
    }
}
