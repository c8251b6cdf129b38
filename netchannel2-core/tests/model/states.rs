// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The two state tables played against each other.

use netchannel2_core::handshake::state::{
    backend,
    frontend,
    BackendAction,
    FrontendAction,
    Online,
    Phase,
    XenbusState, //
};
use proptest::prelude::*;

/// A device with both its sides, each of which sees the other's state when it looks.
#[derive(Clone, Debug)]
struct Device {
    front: Phase,
    back: Phase,
    online: Online,
    front_queues: bool,
    back_queues: bool,
    registered: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    FrontLooks,
    BackLooks,
    /// The driver is loaded anew.
    FrontProbes,
    BackProbes,
    /// The driver is unloaded.
    FrontLeaves,
    BackLeaves,
    /// The side finds a violation.
    FrontFails,
    BackFails,
}

const STEPS: [Step; 8] = [
    Step::FrontLooks,
    Step::BackLooks,
    Step::FrontProbes,
    Step::BackProbes,
    Step::FrontLeaves,
    Step::BackLeaves,
    Step::FrontFails,
    Step::BackFails,
];

impl Device {
    fn new() -> Self {
        Self {
            front: Phase::Initialising,
            back: Phase::InitWait,
            online: Online::Online,
            front_queues: false,
            back_queues: false,
            registered: true,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::FrontLooks => self.front_looks(self.back.state()),
            Step::BackLooks => self.back_looks(self.front.state()),
            Step::FrontProbes => (self.front, self.front_queues) = (Phase::Initialising, false),
            Step::BackProbes => (self.back, self.back_queues) = (Phase::InitWait, false),
            Step::FrontLeaves => (self.front, self.front_queues) = (Phase::Closed, false),
            Step::BackLeaves => (self.back, self.back_queues) = (Phase::Closed, false),
            Step::FrontFails if self.front.is_connected() => {
                (self.front, self.front_queues) = (Phase::Failed, false);
            }
            Step::BackFails if self.back.is_connected() => {
                (self.back, self.back_queues) = (Phase::Failed, false);
            }
            Step::FrontFails | Step::BackFails => {}
        }
        assert_eq!(self.front_queues, self.front.is_connected());
        assert_eq!(self.back_queues, self.back.is_connected());
    }

    fn front_looks(&mut self, peer: XenbusState) {
        let action = frontend(self.front, peer);
        match action {
            FrontendAction::Nothing => {}
            FrontendAction::CarrierOn => assert!(self.front_queues),
            FrontendAction::Connect | FrontendAction::Reopen => {
                assert!(!self.front_queues, "connects twice");
                self.front_queues = true;
            }
            FrontendAction::Reconnect => assert!(self.front_queues),
            FrontendAction::Disconnect => self.front_queues = false,
        }
        self.front = action.leads_to(self.front);
    }

    fn back_looks(&mut self, peer: XenbusState) {
        let action = backend(self.back, peer, self.online);
        match action {
            BackendAction::Nothing => {}
            BackendAction::Connect => {
                assert!(!self.back_queues, "connects twice");
                self.back_queues = true;
            }
            BackendAction::Unregister => (self.back_queues, self.registered) = (false, false),
            BackendAction::Reopen | BackendAction::Disconnect | BackendAction::Close => {
                self.back_queues = false;
            }
        }
        self.back = action.leads_to(self.back);
    }

    /// Lets both sides look until neither does anything.
    fn settle(&mut self) {
        for _ in 0..16 {
            let before = (self.front, self.back);
            self.step(Step::BackLooks);
            self.step(Step::FrontLooks);
            if before == (self.front, self.back) {
                return;
            }
        }
        panic!("the sides chase each other: {self:?}");
    }
}

proptest! {
    #![proptest_config(crate::cases(2000))]

    #[test]
    fn a_new_frontend_always_connects(
        steps in prop::collection::vec(prop::sample::select(STEPS.to_vec()), 0..40),
    ) {
        let mut device = Device::new();
        for step in steps {
            device.step(step);
        }
        device.settle();
        device.step(Step::FrontProbes);
        device.settle();
        prop_assert_eq!((device.front, device.back), (Phase::Connected, Phase::Connected));
        prop_assert!(device.registered);
    }

    #[test]
    fn no_peer_state_breaks_either_side(
        states in prop::collection::vec((prop::sample::select(XenbusState::ALL.to_vec()), any::<bool>()), 0..40),
    ) {
        let mut device = Device::new();
        for (state, is_front) in states {
            if is_front {
                device.front_looks(state);
            } else {
                device.back_looks(state);
            }
            assert_eq!(device.front_queues, device.front.is_connected());
            assert_eq!(device.back_queues, device.back.is_connected());
        }
    }
}

#[test]
fn a_new_backend_finds_its_closed_frontend() {
    let mut device = Device::new();
    device.settle();
    device.step(Step::BackLeaves);
    device.settle();
    assert_eq!(device.front, Phase::Closed);
    device.step(Step::BackProbes);
    device.settle();
    assert_eq!(
        (device.front, device.back),
        (Phase::Connected, Phase::Connected)
    );
}

#[test]
fn a_violator_is_kept_out_until_it_starts_anew() {
    for peer in XenbusState::ALL {
        let back = backend(Phase::Failed, peer, Online::Online).leads_to(Phase::Failed);
        let may_return = matches!(
            peer,
            XenbusState::Initialising | XenbusState::Closed | XenbusState::Unknown
        );
        assert_eq!(back != Phase::Failed, may_return, "{peer:?}");
        assert_ne!(back, Phase::Connected);
        let front = frontend(Phase::Failed, peer).leads_to(Phase::Failed);
        let may_return = matches!(
            peer,
            XenbusState::Closing | XenbusState::Closed | XenbusState::Unknown
        );
        assert_eq!(front != Phase::Failed, may_return, "{peer:?}");
        assert_ne!(front, Phase::Connected);
    }
}

#[test]
fn every_pair_is_defined_and_settles() {
    for own in Phase::ALL {
        for peer in XenbusState::ALL {
            for online in [Online::Online, Online::Offline] {
                let next = backend(own, peer, online).leads_to(own);
                let then = backend(next, peer, online).leads_to(next);
                assert_eq!(next, then, "backend {own:?} {peer:?} {online:?}");
            }
            let next = frontend(own, peer).leads_to(own);
            let then = frontend(next, peer).leads_to(next);
            assert_eq!(next, then, "frontend {own:?} {peer:?}");
        }
    }
}

#[test]
fn an_offline_device_goes_with_its_frontend() {
    for own in Phase::ALL {
        for peer in [XenbusState::Closed, XenbusState::Unknown] {
            let action = backend(own, peer, Online::Offline);
            assert_eq!(action, BackendAction::Unregister);
        }
    }
}

#[test]
fn numbers_are_those_of_xen() {
    for number in 0..12 {
        let state = XenbusState::from_wire(number);
        if number <= 8 {
            assert_eq!(state.to_wire(), number);
        } else {
            assert_eq!(state, XenbusState::Unknown);
        }
    }
}
