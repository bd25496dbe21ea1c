//! Make: the targets of the usual names that the makefile really has.

use std::collections::BTreeSet;

use super::super::Kind;
use super::Survey;

/// In the order in which GNU make looks for them.
pub(super) const MAKEFILES: &[&str] = &["GNUmakefile", "makefile", "Makefile"];

/// The usual names of a kind, the best first. `install` is absent because it changes the machine,
/// not the tree.
const TARGETS: &[(Kind, &[&str])] = &[
    (Kind::Format, &["format", "fmt"]),
    (Kind::Build, &["build", "all"]),
    (Kind::Lint, &["lint"]),
    (Kind::Test, &["test", "tests", "check"]),
];

pub(super) fn commands(survey: Survey<'_>) -> Vec<(Kind, String)> {
    let Some(makefile) = MAKEFILES.iter().find_map(|name| survey.text(name)) else {
        return Vec::new();
    };
    let targets = targets(makefile);
    let usual = |names: &[&str]| {
        names.iter().find(|name| targets.contains(*name)).map(|name| format!("make {name}"))
    };
    TARGETS.iter().filter_map(|(kind, names)| Some((*kind, usual(names)?))).collect()
}

/// The names left of a rule's colon. Assignments (`:=`, `::=`), recipes and special targets such as
/// `.PHONY` are not rules of their own.
fn targets(makefile: &str) -> BTreeSet<&str> {
    let rule = |line: &'_ str| -> Option<usize> {
        let colon = line.find(':')?;
        let after = line.get(colon..)?.trim_start_matches(':');
        let is_rule = !line.starts_with(['\t', ' ', '#', '.']) && !after.starts_with('=');
        // `name = a:b` has its equals sign first.
        let assigned = line.get(..colon)?.contains('=');
        (is_rule && !assigned).then_some(colon)
    };
    makefile
        .lines()
        .filter_map(|line| line.get(..rule(line)?))
        .flat_map(str::split_whitespace)
        .collect()
}
