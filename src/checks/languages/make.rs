//! Make: the targets of the usual names that the makefile really has.
//!
//! A makefile mostly wraps other tools, so that its targets only fill the kinds of check that no
//! language of the repository has.

use std::collections::BTreeSet;

use super::ProjectType;
use crate::checks::Kind;
use crate::checks::survey::{ManifestFiles, Survey};

pub(super) const MAKE: ProjectType = ProjectType {
    name: "Make",
    manifests: &[ManifestFiles::text(MAKEFILES)],
    commands,
    fills_gaps: true,
    missing_program,
    inner_exit_code,
    ..ProjectType::EMPTY
};

/// In the order in which GNU make looks for them.
const MAKEFILES: &[&str] = &["GNUmakefile", "makefile", "Makefile"];

/// The usual names of a kind, the best first. `install` is absent because it changes the machine,
/// not the tree.
const TARGETS: &[(Kind, &[&str])] = &[
    (Kind::Format, &["format", "fmt"]),
    (Kind::Build, &["build", "all"]),
    (Kind::Lint, &["lint"]),
    (Kind::Test, &["test", "tests", "check"]),
];

fn commands(survey: &Survey<'_>) -> Vec<(Kind, String)> {
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

/// `make: golangci-lint: No such file or directory`, `make[1]: cc: Command not found`.
fn missing_program(line: &str) -> Option<&str> {
    let (program, reason) = after_name(line)?.split_once(": ")?;
    let is_missing = ["No such file or directory", "Command not found"].contains(&reason);
    (is_missing && !program.contains([':', '*'])).then_some(program)
}

/// `make: *** [Makefile:2: lint] Error 127`. make itself exits with 2.
fn inner_exit_code(line: &str) -> Option<i32> {
    after_name(line)?.rsplit_once("] Error ")?.1.parse().ok()
}

/// What follows `make: `, or `make[1]: ` when make calls itself.
fn after_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("make")?;
    let level = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let rest = match level {
        Some((depth, rest)) if depth.bytes().all(|c| c.is_ascii_digit()) => rest,
        _ => rest,
    };
    rest.strip_prefix(": ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{detects, lacks, lacks_nothing};

    #[test]
    fn make_has_the_targets_that_exist() {
        let makefile = "\
            .PHONY: lint test deploy\nCC := gcc\nURL = http://x\nB ::= c\n\
            # test-all: no\nall: shop.o\n\tgcc -o shop\nshop.o: shop.c\n\techo build: no\ntest \
            check: all\n\t./run\n";
        detects(&[("Makefile", makefile)], &[("build", "make all"), ("test", "make test")]);
        detects(
            &[("makefile", "fmt:\n\tindent *.c\nbuild::\n\tcc\n")],
            &[("format", "make fmt"), ("build", "make build")],
        );
    }

    #[test]
    fn a_program_that_a_recipe_did_not_find_is_a_missing_tool() {
        let recipe = "make: *** [Makefile:2: lint] Error 127\n";
        let not_found = "golangci-lint run\nmake: golangci-lint: No such file or directory\n";
        lacks(2, &format!("{not_found}{recipe}"), "golangci-lint");
        let inner = "make[1]: cc: Command not found\nmake[1]: *** [Makefile:9: a.o] Error 127\n";
        lacks(2, &format!("{inner}make: *** [Makefile:2: all] Error 2\n"), "cc");
        lacks(2, &format!("/bin/sh: 1: eslint: not found\n{recipe}"), "eslint");
        lacks_nothing(2, "make: *** [Makefile:2: test] Error 1\n");
        lacks_nothing(2, "make: Makefile: No such file or directory\n");
    }
}
