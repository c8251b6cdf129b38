// SPDX-License-Identifier: GPL-2.0

//! MAC addresses as the toolstack writes them.

use kernel::prelude::*;

#[kunit_tests(netchannel2_mac)]
mod tests {
    use netchannel2_kernel::net::MacAddress;

    #[test]
    fn well_formed() {
        let address = MacAddress::parse(b"00:16:3e:0:A1:ff");

        assert!(address.is_some_and(|address| address.is_unicast()));
    }

    #[test]
    fn malformed() {
        for text in [
            "",
            "00:16:3e:00:00",
            "00:16:3e:00:00:01:02",
            "00:16:3e:00:00:001",
            "00:16:3e:00:00:+1",
            "00-16-3e-00-00-01",
            "0g:16:3e:00:00:01",
        ] {
            assert!(MacAddress::parse(text.as_bytes()).is_none());
        }
        assert!(MacAddress::parse(&[0xff; 17]).is_none());
    }

    #[test]
    fn not_for_one_interface() {
        for text in [
            "00:00:00:00:00:00",
            "01:00:5e:00:00:01",
            "ff:ff:ff:ff:ff:ff",
        ] {
            let address = MacAddress::parse(text.as_bytes());

            assert!(address.is_some_and(|address| !address.is_unicast()));
        }
    }
}
