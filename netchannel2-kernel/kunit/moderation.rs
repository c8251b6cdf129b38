// SPDX-License-Identifier: GPL-2.0

//! Interrupt moderation: the core's policy with the kernel's clock and timers, as a channel joins
//! them.

use kernel::prelude::*;

#[kunit_tests(netchannel2_moderation)]
mod tests {
    use kernel::{
        str::CString,
        sync::{
            atomic::{
                Atomic,
                Full,
                Relaxed, //
            },
            Arc, //
        },
        time::{
            delay::fsleep,
            Delta, //
        }, //
    };
    use netchannel2_core::{
        moderation::{
            Action,
            Cause,
            Clock,
            Instant,
            Knobs,
            Limits,
            Moderator,
            Settings,
            Span,
            Work, //
        },
        ring::Notify,
        units::RingIndex, //
    };
    use netchannel2_kernel::timer::{
        MonotonicClock,
        Timer,
        TimerHandler, //
    };

    use super::*;

    /// A timer that expires makes the next look a due one, as it has NAPI poll.
    struct Expired(Atomic<u32>);

    impl TimerHandler for Expired {
        fn expired(&self) {
            self.0.fetch_add(1, Full);
        }
    }

    /// What was done about an event.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Done {
        Nothing,
        Raised(Cause),
        Started(Instant),
        LeftToBatchEnd,
    }

    /// The side that raises events: it counts them instead.
    struct Raiser {
        moderator: Moderator,
        clock: MonotonicClock,
        expired: Arc<Expired>,
        timer: Pin<KBox<Timer<Expired>>>,
        /// For when the timer was started for the event that is owed.
        armed: Option<Instant>,
        /// When an event was raised last.
        last: Option<Instant>,
        raised: u64,
    }

    impl Raiser {
        fn new(settings: Settings, limits: Limits) -> Result<Self> {
            let expired = Arc::new(Expired(Atomic::new(0)), GFP_KERNEL)?;
            let mut moderator = Moderator::new();

            moderator.configure(settings, limits);
            Ok(Self {
                moderator,
                clock: MonotonicClock::new(),
                timer: KBox::pin_init(Timer::new(expired.clone()), GFP_KERNEL)?,
                expired,
                armed: None,
                last: None,
                raised: 0,
            })
        }

        /// Publishes packets, of which the first of an event reaches the peer's event index.
        fn publish(&mut self, packets: u32) -> Done {
            let notify = match self.moderator.owed_since() {
                None => Notify::Needed,
                Some(_) => Notify::NotNeeded,
            };
            let work = Work {
                packets,
                bytes: u64::from(packets) * 1000,
                completions: 0,
            };
            let action = self
                .moderator
                .published(work, notify, RingIndex::START, &self.clock);

            self.act(action)
        }

        fn settle(&mut self) -> Done {
            let action = self.moderator.settle(&self.clock);

            self.act(action)
        }

        fn act(&mut self, action: Action) -> Done {
            match action {
                Action::Raise(cause) => {
                    self.last = Some(self.clock.now());
                    self.armed = None;
                    self.raised += 1;
                    self.moderator.raised(cause, &self.clock);
                    Done::Raised(cause)
                }
                Action::At(time) => {
                    self.armed = Some(time);
                    self.timer.start(time.since(self.clock.now()));
                    Done::Started(time)
                }
                Action::AtBatchEnd => Done::LeftToBatchEnd,
                Action::Nothing => Done::Nothing,
            }
        }

        /// Waits for the timer to expire once more, for five seconds at most.
        fn await_timer(&self, before: u32) -> bool {
            for _ in 0..5000 {
                if self.expired.0.load(Relaxed) != before {
                    return true;
                }
                fsleep(Delta::from_millis(1));
            }
            false
        }

        fn expirations(&self) -> u32 {
            self.expired.0.load(Relaxed)
        }
    }

    /// The longest wait that can be asked for, so that a slow machine sees what comes before it.
    const LONGEST: Knobs = Knobs {
        rx_usecs: 10_000,
        rx_frames: 64,
        adaptive_rx: 0,
        tx_usecs: 10_000,
        tx_frames: 64,
        adaptive_tx: 0,
    };

    fn settings(knobs: Knobs) -> Result<Settings> {
        knobs.settings().map_err(|_| EINVAL)
    }

    fn microseconds(count: u64) -> Span {
        Span::new(count * 1000)
    }

    #[test]
    fn a_burst_one_short_is_delivered_by_the_timer() -> Result {
        let mut raiser = Raiser::new(settings(LONGEST)?, Limits::NONE)?;
        let start = raiser.clock.now();
        let first = raiser.publish(1);
        let Done::Started(due) = first else {
            return Err(EIO);
        };

        assert!(due.since(start) >= microseconds(10_000));
        for _ in 0..62 {
            assert_eq!(raiser.publish(1), Done::Nothing);
        }
        assert!(raiser.await_timer(0));
        assert!(raiser.clock.now() >= due);
        assert_eq!(raiser.settle(), Done::Raised(Cause::Time));
        assert_eq!(raiser.settle(), Done::Nothing);
        assert_eq!(raiser.moderator.counters().time_reached, 1);
        // 63 frames are in the class from 32 on.
        assert_eq!(raiser.moderator.batches().iter().nth(6), Some((32, 1)));
        Ok(())
    }

    #[test]
    fn a_look_before_the_time_changes_nothing() -> Result {
        let mut raiser = Raiser::new(settings(LONGEST)?, Limits::NONE)?;
        let first = raiser.publish(1);
        let Done::Started(due) = first else {
            return Err(EIO);
        };
        let looked = raiser.settle();

        // A machine that stands still for 10 ms between the two is too late to see it.
        assert!(looked == Done::Started(due) || raiser.last.is_some_and(|at| at >= due));
        assert!(raiser.await_timer(0));
        raiser.settle();
        assert_eq!(raiser.raised, 1);
        assert!(raiser.last.is_some_and(|at| at >= due));
        Ok(())
    }

    #[test]
    fn the_last_frame_does_not_wait_for_the_timer() -> Result {
        let mut raiser = Raiser::new(settings(LONGEST)?, Limits::NONE)?;

        for _ in 0..20 {
            let before = raiser.raised;

            raiser.publish(60);
            raiser.publish(3);
            assert_eq!(raiser.raised, before);
            assert_eq!(raiser.publish(1), Done::Raised(Cause::Frames));
        }
        assert_eq!(raiser.moderator.counters().frames_reached, 20);
        // What the timer was started for is gone when it expires.
        assert!(raiser.await_timer(0));
        assert_eq!(raiser.settle(), Done::Nothing);
        assert_eq!(raiser.raised, 20);
        Ok(())
    }

    #[test]
    fn without_a_time_no_timer_is_started() -> Result {
        let mut raiser = Raiser::new(
            settings(Knobs {
                rx_usecs: 0,
                ..LONGEST
            })?,
            Limits::NONE,
        )?;

        assert_eq!(raiser.publish(3), Done::LeftToBatchEnd);
        assert_eq!(raiser.publish(3), Done::Nothing);
        assert_eq!(raiser.settle(), Done::Raised(Cause::BatchEnd));
        fsleep(Delta::from_millis(30));
        assert_eq!(raiser.expirations(), 0);
        Ok(())
    }

    #[test]
    fn an_administrators_bound_cuts_the_wait() -> Result {
        let limits = Limits::new(200, 8).map_err(|_| EINVAL)?;
        let mut raiser = Raiser::new(settings(LONGEST)?, limits)?;
        let before = raiser.clock.now();
        let first = raiser.publish(1);
        let after = raiser.clock.now();
        let Done::Started(due) = first else {
            return Err(EIO);
        };

        assert!(due.since(before) >= microseconds(200));
        assert!(due.since(after) <= microseconds(200));
        assert_eq!(raiser.publish(7), Done::Raised(Cause::Frames));
        Ok(())
    }

    #[test]
    fn whatever_is_owed_has_a_timer() -> Result {
        let knobs = Knobs {
            rx_usecs: 150,
            rx_frames: 16,
            ..LONGEST
        };
        let adaptive = Knobs {
            adaptive_rx: 1,
            ..knobs
        };

        for knobs in [knobs, adaptive] {
            let mut raiser = Raiser::new(settings(knobs)?, Limits::NONE)?;
            let mut seen = 0;

            // Bursts and gaps of all sizes around the wait.
            for round in 0_u32..2000 {
                let action = raiser.publish(round * 7 % 11);

                if action == Done::LeftToBatchEnd {
                    raiser.settle();
                }
                if round % 3 == 0 {
                    fsleep(Delta::from_micros(i64::from(round * 13 % 300)));
                }
                // As the poll that the timer has scheduled.
                if raiser.expirations() != seen {
                    seen = raiser.expirations();
                    raiser.settle();
                }
                let waits = raiser.moderator.owed_since().is_some();

                assert!(!waits || raiser.armed.is_some());
            }
            // The last one is not forgotten.
            if raiser.moderator.owed_since().is_some() {
                assert!(raiser.await_timer(seen));
                raiser.settle();
            }
            let owed = raiser.moderator.owed_since().is_some();
            let batches = raiser.moderator.batches().iter();

            assert!(!owed);
            assert!(raiser.raised > 0);
            assert_eq!(raiser.moderator.counters().raised(), raiser.raised);
            assert_eq!(batches.map(|(_, count)| count).sum::<u64>(), raiser.raised);
        }
        Ok(())
    }

    #[test]
    fn adaptive_waits_are_those_of_the_levels() -> Result {
        let mut raiser = Raiser::new(
            settings(Knobs {
                adaptive_rx: 1,
                ..LONGEST
            })?,
            Limits::NONE,
        )?;

        // Many periods of a stream, by which it climbs as the machine lets it.
        for _ in 0..20_000 {
            let before = raiser.clock.now();

            if let Done::Started(due) = raiser.publish(4) {
                let after = raiser.clock.now();

                assert!(due.since(after) <= microseconds(128));
                assert!(due.since(before) >= microseconds(32));
            }
            raiser.settle();
        }
        assert!(raiser.raised > 0);
        Ok(())
    }

    #[test]
    fn a_wrong_value_is_named_with_its_bounds() -> Result {
        let cases = [
            (
                Knobs {
                    rx_usecs: 10_001,
                    ..LONGEST
                },
                c"rx_usecs is 10001: not in 0..=10000",
            ),
            (
                Knobs {
                    tx_frames: 0,
                    ..LONGEST
                },
                c"tx_frames is 0: not in 1..=128",
            ),
            (
                Knobs {
                    adaptive_rx: 2,
                    ..LONGEST
                },
                c"adaptive_rx is 2: not in 0..=1",
            ),
        ];

        for (knobs, text) in cases {
            let Err(error) = knobs.settings() else {
                return Err(EIO);
            };
            let said = CString::try_from_fmt(format_args!("{error}"))?;

            assert!(*said == *text);
        }
        Ok(())
    }
}
