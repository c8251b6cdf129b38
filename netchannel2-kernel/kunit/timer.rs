// SPDX-License-Identifier: GPL-2.0

//! Timers, with what the kernel's clock says.

use kernel::prelude::*;

#[kunit_tests(netchannel2_timer)]
mod tests {
    use kernel::{
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
    use netchannel2_core::moderation::{
        Clock,
        Span, //
    };
    use netchannel2_kernel::timer::{
        MonotonicClock,
        Timer,
        TimerHandler, //
    };

    use super::*;

    struct Count(Atomic<u32>);

    impl TimerHandler for Count {
        fn expired(&self) {
            self.0.fetch_add(1, Full);
        }
    }

    const MILLISECOND: u64 = 1_000_000;

    type Counted = (Arc<Count>, Pin<KBox<Timer<Count>>>);

    fn timer() -> Result<Counted> {
        let count = Arc::new(Count(Atomic::new(0)), GFP_KERNEL)?;
        let timer = KBox::pin_init(Timer::new(count.clone()), GFP_KERNEL)?;

        Ok((count, timer))
    }

    fn milliseconds(count: u64) -> Span {
        Span::new(count * MILLISECOND)
    }

    #[test]
    fn expires_once_and_not_before_its_time() -> Result {
        let (count, timer) = timer()?;
        let clock = MonotonicClock::new();
        let start = clock.now();

        timer.start(milliseconds(20));
        while count.0.load(Relaxed) == 0 && clock.now().since(start) < milliseconds(5000) {
            fsleep(Delta::from_millis(1));
        }
        assert_eq!(count.0.load(Relaxed), 1);
        assert!(clock.now().since(start) >= milliseconds(20));
        fsleep(Delta::from_millis(50));
        assert_eq!(count.0.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn a_start_takes_the_place_of_the_one_before() -> Result {
        let (count, timer) = timer()?;

        timer.start(milliseconds(100_000));
        for _ in 0..10 {
            timer.start(milliseconds(10));
        }
        fsleep(Delta::from_millis(200));
        assert_eq!(count.0.load(Relaxed), 1);
        timer.start(Span::ZERO);
        fsleep(Delta::from_millis(100));
        assert_eq!(count.0.load(Relaxed), 2);
        Ok(())
    }

    #[test]
    fn nothing_comes_after_it_is_dropped() -> Result {
        let (count, timer) = timer()?;

        timer.start(milliseconds(50));
        drop(timer);
        fsleep(Delta::from_millis(150));
        assert_eq!(count.0.load(Relaxed), 0);
        // The handler is nobody's but this test's any more.
        assert!(Arc::into_unique_or_drop(count).is_some());
        Ok(())
    }

    #[test]
    fn dropped_while_it_expires() -> Result {
        for round in 0..50 {
            let (count, timer) = timer()?;

            timer.start(Span::new(round * 2000));
            fsleep(Delta::from_micros(50));
            drop(timer);
            let expired = count.0.load(Relaxed);

            fsleep(Delta::from_micros(100));
            assert_eq!(count.0.load(Relaxed), expired);
        }
        Ok(())
    }

    #[test]
    fn the_clock_goes_on() -> Result {
        let clock = MonotonicClock::new();
        let start = clock.now();

        fsleep(Delta::from_millis(5));
        let later = clock.now();

        assert!(later.since(start) >= milliseconds(5));
        assert!(later.since(start) < milliseconds(60_000));
        Ok(())
    }
}
