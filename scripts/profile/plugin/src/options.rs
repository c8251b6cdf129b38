// SPDX-License-Identifier: GPL-2.0
//! The options after `-plugin FILE,`.

use std::fmt;
use std::path::PathBuf;

use crate::granules::UserCode;

/// What the plugin is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where snapshots go.
    pub out: PathBuf,
    /// Where probes are listed.
    pub probes: Option<PathBuf>,
    /// Where a control socket is to be made.
    pub control: Option<PathBuf>,
    /// Whether there is a cache model.
    pub cache: bool,
    /// How user space is counted.
    pub user: UserCode,
}

/// Why the options cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadOption(String);

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadOption {}

impl Options {
    /// Reads `NAME=VALUE` pairs as QEMU hands them over.
    ///
    /// # Errors
    ///
    /// The first pair that has no meaning, or that `out` is missing.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = &'a str>) -> Result<Self, BadOption> {
        let mut out = None;
        let mut options = Options {
            out: PathBuf::new(),
            probes: None,
            control: None,
            cache: false,
            user: UserCode::Whole,
        };
        for pair in pairs {
            match pair.split_once('=') {
                Some(("out", path)) => out = Some(path.into()),
                Some(("probes", path)) => options.probes = Some(path.into()),
                Some(("control", path)) => options.control = Some(path.into()),
                Some(("cache", value)) => options.cache = switch(pair, value)?,
                Some(("user", value)) => {
                    options.user = match switch(pair, value)? {
                        true => UserCode::Split,
                        false => UserCode::Whole,
                    }
                }
                _ => return Err(BadOption(format!("there is no option {pair:?}"))),
            }
        }
        options.out = out.ok_or_else(|| BadOption("out=FILE is missing".to_owned()))?;
        Ok(options)
    }
}

fn switch(pair: &str, value: &str) -> Result<bool, BadOption> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(BadOption(format!("{pair:?} is neither on nor off"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_is_read() {
        let all = Options::parse(["out=a", "probes=b", "control=c", "cache=on", "user=on"]);
        let expected = Options {
            out: "a".into(),
            probes: Some("b".into()),
            control: Some("c".into()),
            cache: true,
            user: UserCode::Split,
        };
        assert_eq!(all, Ok(expected));
        let few = Options::parse(["out=a", "user=off"]).expect("enough");
        assert!(!few.cache && few.control.is_none() && few.user == UserCode::Whole);
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for pairs in [
            &["cache=on"][..],
            &["out=a", "cache=maybe"],
            &["out=a", "tail=1"],
            &["out"],
        ] {
            assert!(Options::parse(pairs.iter().copied()).is_err(), "{pairs:?}");
        }
    }
}
