// SPDX-License-Identifier: GPL-2.0
//! One result, as text or as one line of JSON.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

/// Problems a report spells out; the rest is only counted.
const SPELLED_OUT: usize = 16;

/// The value of one field.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A count.
    Whole(u64),
    /// A measurement, printed with two decimals.
    Real(f64),
    /// Text.
    Text(String),
    /// A yes or no.
    Flag(bool),
}

/// What a command finds out.  It is good until a problem is added.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    command: &'static str,
    fields: Vec<(&'static str, Value)>,
    problems: Vec<String>,
    unspelled: u64,
}

impl Report {
    /// A good report without fields.
    pub(crate) fn new(command: &'static str) -> Self {
        Report {
            command,
            fields: Vec::new(),
            problems: Vec::new(),
            unspelled: 0,
        }
    }

    /// Adds a count.
    pub(crate) fn whole(&mut self, key: &'static str, value: u64) {
        self.fields.push((key, Value::Whole(value)));
    }

    /// Adds a measurement.
    pub(crate) fn real(&mut self, key: &'static str, value: f64) {
        self.fields.push((key, Value::Real(value)));
    }

    /// Adds text.
    pub(crate) fn text(&mut self, key: &'static str, value: impl Into<String>) {
        self.fields.push((key, Value::Text(value.into())));
    }

    /// Adds a yes or no.
    pub(crate) fn flag(&mut self, key: &'static str, value: bool) {
        self.fields.push((key, Value::Flag(value)));
    }

    /// Adds a problem; the report is no longer good.
    pub(crate) fn problem(&mut self, what: impl Into<String>) {
        if self.problems.len() < SPELLED_OUT {
            self.problems.push(what.into());
        } else {
            self.unspelled += 1;
        }
    }

    /// Adds the problem that ends the run, where it cannot be overlooked.
    pub(crate) fn fatal(&mut self, what: impl Into<String>) {
        self.problems.insert(0, what.into());
    }

    /// Whether there is no problem.
    pub(crate) fn ok(&self) -> bool {
        self.problems.is_empty()
    }

    /// Prints the report to standard output.
    pub(crate) fn print(&self, json: bool) {
        line(&if json { self.json() } else { self.human() });
    }

    /// The report as one line of JSON.
    pub(crate) fn json(&self) -> String {
        let mut out = String::from("{\"command\":");
        quote(&mut out, self.command);
        // Writing into a String cannot fail.
        let _ = write!(out, ",\"ok\":{}", self.ok());
        for (key, value) in &self.fields {
            out.push(',');
            quote(&mut out, key);
            out.push(':');
            match value {
                Value::Whole(v) => drop(write!(out, "{v}")),
                Value::Real(v) if v.is_finite() => drop(write!(out, "{v:.2}")),
                Value::Real(_) => out.push_str("null"),
                Value::Text(v) => quote(&mut out, v),
                Value::Flag(v) => drop(write!(out, "{v}")),
            }
        }
        out.push_str(",\"problems\":[");
        for (index, what) in self.spelled().iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            quote(&mut out, what);
        }
        out.push_str("]}");
        out
    }

    /// The report as `command: ok key=value …`, then one line a problem.
    pub(crate) fn human(&self) -> String {
        let verdict = if self.ok() { "ok" } else { "FAILED" };
        let mut out = format!("{}: {verdict}", self.command);
        for (key, value) in &self.fields {
            let _ = match value {
                Value::Whole(v) => write!(out, " {key}={v}"),
                Value::Real(v) => write!(out, " {key}={v:.2}"),
                Value::Text(v) => write!(out, " {key}={v}"),
                Value::Flag(v) => write!(out, " {key}={v}"),
            };
        }
        for what in self.spelled() {
            let _ = write!(out, "\n  problem: {what}");
        }
        out
    }

    fn spelled(&self) -> Vec<String> {
        let mut all = self.problems.clone();
        if self.unspelled > 0 {
            all.push(format!("and {} more", self.unspelled));
        }
        all
    }
}

/// Prints one line; a reader that went away is no reason to stop or to panic.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Megabits a second of `bytes` in `time`.
pub(crate) fn mbit_per_s(bytes: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds <= 0.0 {
        return 0.0;
    }
    bytes as f64 * 8.0 / seconds / 1e6
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_text_agree() {
        let mut report = Report::new("tcp");
        report.whole("bytes", 12);
        report.real("mbit_s", 1.239);
        report.text("dir", "a\"b\\\n");
        report.flag("late", false);
        assert_eq!(
            report.json(),
            r#"{"command":"tcp","ok":true,"bytes":12,"mbit_s":1.24,"dir":"a\"b\\\u000a","late":false,"problems":[]}"#
        );
        report.problem("byte 3 is bad");
        assert!(report
            .human()
            .starts_with("tcp: FAILED bytes=12 mbit_s=1.24"));
        assert!(report.human().ends_with("\n  problem: byte 3 is bad"));
        assert!(report.json().ends_with(r#""problems":["byte 3 is bad"]}"#));
    }

    #[test]
    fn problems_beyond_a_screenful_are_counted() {
        let mut report = Report::new("x");
        (0..20).for_each(|n| report.problem(format!("{n}")));
        assert!(report.human().ends_with("problem: and 4 more"));
        report.fatal("the end");
        assert!(report.human().starts_with("x: FAILED\n  problem: the end"));
    }
}
