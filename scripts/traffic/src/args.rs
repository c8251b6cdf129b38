// SPDX-License-Identifier: GPL-2.0
//! The option table of a command and the typed values read from it.

use lexopt::Arg;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Options every command takes.
pub(crate) const COMMON: &[&str] = &["json", "timeout", "port", "seed"];

/// Options that have no value.
const FLAGS: &[&str] = &["json", "together"];

/// Options as they stand on the command line, before they are checked.
pub(crate) struct Bag {
    values: BTreeMap<&'static str, String>,
    operand: Option<String>,
}

impl Bag {
    /// Reads the rest of the command line, allowing `own` and [`COMMON`]
    /// options and at most one operand.  `None` asks for the help text.
    pub(crate) fn read(
        parser: &mut lexopt::Parser,
        own: &'static [&'static str],
    ) -> Result<Option<Self>, String> {
        let mut bag = Bag {
            values: BTreeMap::new(),
            operand: None,
        };
        while let Some(arg) = parser.next().map_err(text)? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Short(letter) => return Err(format!("unknown option -{letter}")),
                Arg::Value(value) if bag.operand.is_none() => {
                    bag.operand = Some(value.to_string_lossy().into_owned());
                }
                Arg::Value(value) => {
                    return Err(format!("unexpected operand {}", value.to_string_lossy()));
                }
                Arg::Long(given) => {
                    let known = own.iter().chain(COMMON).find(|name| **name == given);
                    let Some(name) = known.copied() else {
                        return Err(format!("this command has no option --{given}"));
                    };
                    let value = if FLAGS.contains(&name) {
                        String::new()
                    } else {
                        let value = parser.value().map_err(text)?;
                        value.to_string_lossy().into_owned()
                    };
                    bag.values.insert(name, value);
                }
            }
        }
        Ok(Some(bag))
    }

    /// The operand, which has to be there.
    pub(crate) fn operand(&self, what: &str) -> Result<&str, String> {
        self.operand
            .as_deref()
            .ok_or_else(|| format!("the command needs {what}"))
    }

    /// Refuses an operand, for a command that takes none.
    pub(crate) fn no_operand(&self) -> Result<(), String> {
        match &self.operand {
            Some(extra) => Err(format!("unexpected operand {extra}")),
            None => Ok(()),
        }
    }

    /// Whether option `name` is present.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The text of option `name`.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The whole number in option `name`, decimal or `0x` hexadecimal.
    pub(crate) fn whole(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, String> {
        let Some(given) = self.text(name) else {
            return Ok(None);
        };
        let parsed = match given.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => given.parse(),
        };
        match parsed {
            Ok(value) if range.contains(&value) => Ok(Some(value)),
            _ => Err(format!(
                "--{name} is `{given}`, not a whole number from {} to {}",
                range.start(),
                range.end()
            )),
        }
    }

    /// [`Bag::whole`] for an option the command cannot do without.
    pub(crate) fn needed(&self, name: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
        self.whole(name, range)?
            .ok_or_else(|| format!("the command needs --{name}"))
    }

    /// The number in option `name`, which may have a fraction.
    pub(crate) fn real(
        &self,
        name: &str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f64>, String> {
        let Some(given) = self.text(name) else {
            return Ok(None);
        };
        match given.parse::<f64>() {
            Ok(value) if range.contains(&value) => Ok(Some(value)),
            _ => Err(format!(
                "--{name} is `{given}`, not a number from {} to {}",
                range.start(),
                range.end()
            )),
        }
    }

    /// The time in option `name`, in seconds; a fraction is fine.
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<Duration>, String> {
        // A week is longer than any test and far from overflowing an Instant.
        Ok(self
            .real(name, 0.001..=604_800.0)?
            .map(Duration::from_secs_f64))
    }

    /// The time in option `name`, in milliseconds.
    pub(crate) fn millis(&self, name: &str, default: u64) -> Result<Duration, String> {
        let given = self.whole(name, 1..=3_600_000)?;
        Ok(Duration::from_millis(given.unwrap_or(default)))
    }
}

fn text(error: lexopt::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bag(words: &[&str]) -> Result<Option<Bag>, String> {
        let mut parser = lexopt::Parser::from_args(words.iter().copied());
        Bag::read(&mut parser, &["count", "loss"])
    }

    #[test]
    fn values_are_checked_against_their_range() {
        let bag = bag(&["a", "--count", "0x10", "--loss=2.5", "--json"])
            .unwrap()
            .unwrap();
        assert_eq!(bag.operand("an address"), Ok("a"));
        assert_eq!(bag.whole("count", 1..=16), Ok(Some(16)));
        assert!(bag.whole("count", 1..=15).is_err());
        assert_eq!(bag.real("loss", 0.0..=100.0), Ok(Some(2.5)));
        assert!(bag.has("json"));
        assert!(bag.needed("port", 1..=9).is_err());
    }

    #[test]
    fn strangers_are_refused() {
        assert!(bag(&["--no-such"]).is_err());
        assert!(bag(&["a", "b"]).is_err());
        assert!(bag(&["--count"]).is_err());
        assert!(bag(&["--help"]).unwrap().is_none());
    }
}
