// SPDX-License-Identifier: GPL-2.0

//! Work that comes again and again.

use kernel::prelude::*;

#[kunit_tests(netchannel2_ticker)]
mod tests {
    use super::*;
    use kernel::{
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
            Arc, //
        },
        time::{
            delay::fsleep,
            Delta, //
        },
    };
    use netchannel2_kernel::ticker::{
        Tick,
        Ticker, //
    };

    struct Count(Atomic<u32>);

    impl Tick for Count {
        const PERIOD: u32 = 1;

        fn tick(&self) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn it_ticks_until_it_is_dropped() -> Result {
        let count = Arc::new(Count(Atomic::new(0)), GFP_KERNEL)?;
        let ticker = Ticker::start(count.clone())?;

        for _ in 0..600 {
            if count.0.load(Relaxed) > 1 {
                break;
            }
            fsleep(Delta::from_millis(10));
        }
        drop(ticker);
        let ticks = count.0.load(Relaxed);

        assert!(ticks > 1);
        fsleep(Delta::from_millis(1500));
        assert_eq!(count.0.load(Relaxed), ticks);
        Ok(())
    }
}
