// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What `Documentation/tuning.md` lists is what the modules have: every counter, and every parameter
//! with its default.

#![cfg(not(loom))]

use std::{
    collections::{
        BTreeMap,
        BTreeSet, //
    },
    fs,
    path::Path, //
};

use netchannel2_core::stats::{
    EventCounters,
    ReceiveCounters,
    SendCounters, //
};

fn read(path: &str) -> String {
    // Asked for when the test runs: the cache of builds is shared by checkouts.
    let crate_folder = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let root = Path::new(&crate_folder).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the cells of the rows of all tables below a heading of `tuning.md`.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = read("Documentation/tuning.md");
    let section = text
        .split("\n## ")
        .find(|section| section.starts_with(heading))
        .unwrap_or_else(|| panic!("no section {heading}"));
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").map(str::to_owned).collect())
        .collect()
}

/// Returns the names in a cell, which are in backquotes.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Returns the text between `start` and `end`.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text
        .split_once(start)
        .unwrap_or_else(|| panic!("no {start}"));
    rest.split_once(end).unwrap_or_else(|| panic!("no {end}")).0
}

#[test]
fn every_counter_is_documented_once() {
    let glue = read("netchannel2-kernel/src/channel/statistics.rs");
    let glue = between(&glue, "const DRIVER: [Statistic;", "];\n");
    let glue = glue.split('"').skip(1).step_by(2);
    let core = [
        SendCounters::LABELS.as_slice(),
        &ReceiveCounters::LABELS,
        &EventCounters::LABELS,
    ];
    let mut there: Vec<_> = core.into_iter().flatten().copied().chain(glue).collect();
    there.sort_unstable();

    let rows = rows("Counters");
    let mut documented: Vec<_> = rows.iter().flat_map(|row| names(&row[0])).collect();
    documented.sort_unstable();
    assert_eq!(documented, there);
}

/// Returns the parameters of a module, its own and those that both have, with their defaults.
fn parameters(module: &str) -> BTreeMap<String, String> {
    let shared = read("netchannel2-kernel/src/vif/parameters.rs");
    let shared = between(&shared, " params: {\n", "$($own)*");
    let own = read(&format!("{module}/src/lib.rs"));
    let own = between(&own, "own_params: {", "\n}\n");
    let mut found = BTreeMap::new();
    let mut name = None;
    for line in shared.lines().chain(own.lines()).map(str::trim) {
        if let Some((parameter, kind)) = line.split_once(": ") {
            if kind.ends_with('{') {
                name = Some(parameter.to_owned());
            } else if parameter == "default" {
                let default = kind.trim_end_matches(',').to_owned();
                found.insert(name.take().unwrap(), default);
            }
        }
    }
    assert!(found.len() > 10, "{found:?}");
    found
}

#[test]
fn every_parameter_is_documented_with_its_default() {
    let mut documented = BTreeSet::new();
    for row in rows("Module parameters") {
        let [module, parameters, _unit, default, ..] = row.as_slice() else {
            panic!("{row:?}");
        };
        let modules: &[_] = match module.as_str() {
            "both" => &["netback-kmod", "netfront-kmod"],
            "back" => &["netback-kmod"],
            "front" => &["netfront-kmod"],
            _ => continue,
        };
        for (module, parameter) in modules
            .iter()
            .flat_map(|module| names(parameters).map(move |parameter| (module, parameter)))
        {
            let entry = (*module, parameter.to_owned(), default.clone());
            assert!(documented.insert(entry), "{module}: {parameter} twice");
        }
    }
    let there: BTreeSet<_> = ["netback-kmod", "netfront-kmod"]
        .into_iter()
        .flat_map(|module| {
            let found = parameters(module).into_iter();
            found.map(move |(name, default)| (module, name, default))
        })
        .collect();
    assert_eq!(documented, there);
}
