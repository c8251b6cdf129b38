// SPDX-License-Identifier: GPL-2.0

//! Event channels, with this domain as its own peer.

use crate::as_domain;
use kernel::prelude::*;

#[kunit_tests(netchannel2_event)]
mod tests {
    use super::*;
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
        },
    };
    use netchannel2_kernel::event::{
        close_for_test,
        raise_for_test,
        stays_open_for_test,
        EventChannel,
        EventHandler,
        EventWork,
        Port, //
    };

    #[test]
    fn port_that_no_interrupt_was_bound_to_is_closed_once() -> Result {
        as_domain(|own| {
            // A port that the kernel has closed already is left alone; closing it again would be a BUG.
            assert_eq!(close_for_test(own)?, [true, false]);
            Ok(())
        })
    }

    #[test]
    fn port_that_somebody_else_has_opened_since_is_left_alone() -> Result {
        as_domain(|own| {
            let count = Arc::new(Count(Atomic::new(0)), GFP_KERNEL)?;
            let port = Port::for_peer(own)?;
            let number = port.number();
            let _channel = EventChannel::bind_local(c"nc2-kunit", port, count)?;

            assert!(stays_open_for_test(own, number));
            Ok(())
        })
    }

    struct Count(Atomic<u32>);

    impl EventHandler for Count {
        fn event(&self) {
            self.0.fetch_add(1, Full);
        }
    }

    #[test]
    fn one_event_until_the_end_of_interrupt() -> Result {
        as_domain(|own| {
            let count = Arc::new(Count(Atomic::new(0)), GFP_KERNEL)?;
            let port = Port::for_peer(own)?;
            let number = port.number();
            let channel = EventChannel::bind_local(c"nc2-kunit", port, count.clone())?;

            raise_for_test(own, number, 3)?;
            fsleep(Delta::from_millis(50));
            assert_eq!(count.0.load(Relaxed), 1);
            channel.end_of_interrupt(EventWork::Found);
            fsleep(Delta::from_millis(50));
            // Those that came while the channel was masked are one.
            assert!(count.0.load(Relaxed) <= 2);
            Ok(())
        })
    }
}
