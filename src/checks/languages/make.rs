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
    test_counts: TEST_COUNTS,
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

/// The test tools of languages that have no file here, which a makefile may start.
const TEST_COUNTS: &[&str] = &[
    // TAP (bats, prove): `ok 1 - adds`. A directive such as `# SKIP` follows a test that did not
    // run.
    r"^(?P<passed>ok) \d+(?: [^#]*)?$",
    r"^(?P<failed>not ok) \d+(?: [^#]*)?$",
    r"^Files=\d+, Tests=(?P<total>\d+)",
    r"^Failed (?P<failed>\d+)/\d+ subtests",
    // Automake, CTest, Meson, GoogleTest, Catch2, doctest, Check, Unity.
    r"^# PASS:\s+(?P<passed>\d+)$",
    r"^# FAIL:\s+(?P<failed>\d+)$",
    r"tests passed, (?P<failed>\d+) tests? failed out of (?P<total>\d+)",
    r"^Ok:\s+(?P<passed>\d+)$",
    r"^Fail:\s+(?P<failed>\d+)$",
    r"^\[  PASSED  \] (?P<passed>\d+) tests?",
    r"^\[  FAILED  \] (?P<failed>\d+) tests?",
    r"^All tests passed \(\d+ assertions? in (?P<passed>\d+) test cases?\)",
    r"^test cases:\s+\d+ \|\s+(?P<passed>\d+) passed",
    r"^\[doctest\] test cases:\s+\d+ \|\s+(?P<passed>\d+) passed \|\s+(?P<failed>\d+) failed",
    r"^\d+%: Checks: (?P<total>\d+), Failures: (?P<failed>\d+), Errors: (?P<failed_too>\d+)",
    r"^(?P<total>\d+) Tests (?P<failed>\d+) Failures (?P<left_out>\d+) Ignored",
    // RSpec, minitest and test-unit, PHPUnit, .NET, ExUnit.
    r"^(?P<total>\d+) examples?, (?P<failed>\d+) failures?(?:, (?P<left_out>\d+) pending)?",
    r"(?x)^(?P<total>\d+)\ (?:runs|tests),\ \d+\ assertions,\ (?P<failed>\d+)\ failures,
    \ (?P<failed_too>\d+)\ errors(?:.*,\ (?P<left_out>\d+)\ skips)?",
    r"^OK \((?P<passed>\d+) tests?, \d+ assertions?\)",
    r"(?x)^Tests:\ (?P<total>\d+),\ Assertions:\ \d+(?:,\ Errors:\ (?P<failed>\d+))?
    (?:,\ Failures:\ (?P<failed_too>\d+))?",
    r"^(?:Passed|Failed)!\s+- Failed:\s+(?P<failed>\d+), Passed:\s+(?P<passed>\d+)",
    r"^(?P<total>\d+) tests?, (?P<failed>\d+) failures?",
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
    use super::super::tests::{counts, detects, lacks, lacks_nothing};

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
    fn test_tools_of_other_languages_show_that_tests_ran() {
        for (output, passed, failed) in [
            ("1..3\nok 1 - a\nok 2 b\nnot ok 3 - c\n", 2, 1),
            ("1..2\nok 1 - a # SKIP no\nok 2 # skip\n", 0, 0),
            ("All tests successful.\nFiles=1, Tests=3,  0 wallclock secs\n", 3, 0),
            ("# TOTAL: 3\n# PASS:  2\n# SKIP:  0\n# FAIL:  1\n", 2, 1),
            ("67% tests passed, 1 tests failed out of 3\n", 2, 1),
            ("[==========] Running 2 tests\n[  PASSED  ] 2 tests.\n", 2, 0),
            ("3 examples, 1 failure, 1 pending\n", 1, 1),
            ("3 runs, 5 assertions, 1 failures, 0 errors, 1 skips\n", 1, 1),
            ("OK (3 tests, 5 assertions)\n", 3, 0),
            ("Passed!  - Failed:     0, Passed:     3, Skipped:     0, Total:     3\n", 3, 0),
            ("cc -o shop_test shop_test.c\n", 0, 0),
        ] {
            counts(output, passed, failed);
        }
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
