//! Go: the go command and golangci-lint.

use super::ProjectType;
use crate::checks::Kind;
use crate::checks::failure_names::FailureNames;
use crate::checks::obstacle::ToldObstacle;
use crate::checks::survey::{ManifestFiles, Survey};

pub(super) const GO: ProjectType = ProjectType {
    name: "Go",
    manifests: &[ManifestFiles::text(&["go.mod"])],
    commands,
    failure_names,
    obstacles: &[
        (ToldObstacle::Network, r"dial tcp:? .*(?:no such host|i/o timeout|unreachable|refused)"),
        (ToldObstacle::Network, r"^go: .*: (?:403 Forbidden|Forbidden|proxyconnect tcp: )"),
        (ToldObstacle::Certificate, "x509: certificate signed by unknown authority"),
        (ToldObstacle::WrongVersion, r"^go: .*\brequires go >= "),
        (ToldObstacle::WrongVersion, r"^go: download go\S+ for .*: toolchain not available"),
    ],
    test_counts: &[
        r"^\s*--- (?P<passed>PASS): ",
        r"^\s*--- (?P<failed>FAIL): ",
        // A package whose tests passed; "[no tests to run]" follows where there were none.
        r"^(?P<passed>ok)\s+\S+\s+(?:\(cached\)|[\d.]+s)(?:\s+coverage: .*)?$",
        r"^DONE (?P<total>\d+) tests?(?:, (?P<left_out>\d+) skipped)?(?:, (?P<failed>\d+) fail.*)?",
    ],
    progress: &[r"^\s*--- PASS: ", r"^=== (?:RUN|PAUSE|CONT)\s", r"^ok\s+\S+\s"],
    toolchains: &[("GOROOT", "")],
    caches: &[("GOPATH", "go"), ("GOCACHE", "go-build")],
    test_files: &[r"_test\.go$"],
    skip_marks: &[r"\bt\.(Skip|SkipNow|Skipf)\("],
    ..ProjectType::EMPTY
};

fn commands(survey: &Survey<'_>) -> Vec<(Kind, String)> {
    let Some(module) = survey.text("go.mod") else { return Vec::new() };
    let mut commands = Vec::new();
    if module.lines().any(|line| line.trim_start().starts_with("require"))
        && !survey.has("vendor/modules.txt")
    {
        commands.push((Kind::Setup, "go mod download".to_owned()));
    }
    commands.extend([
        (Kind::Format, "go fmt ./...".to_owned()),
        (Kind::Build, "go build ./...".to_owned()),
        (Kind::Lint, "go vet ./...".to_owned()),
    ]);
    let golangci = [".golangci.yml", ".golangci.yaml", ".golangci.toml", ".golangci.json"];
    if golangci.iter().any(|name| survey.has(name)) {
        commands.push((Kind::Lint, "golangci-lint run".to_owned()));
    }
    commands.push((Kind::Test, "go test ./...".to_owned()));
    commands
}

/// The failures of `go test`. The errors of `go build` and `go vet` have the form that compilers
/// share.
fn failure_names(lines: &[&str], names: &mut FailureNames) {
    // The package is named only after its tests.
    let mut pending: Vec<&str> = Vec::new();
    for line in lines {
        if let Some(test) = line.trim_start().strip_prefix("--- FAIL: ") {
            pending.push(test.rsplit_once(" (").map_or(test, |(name, _)| name));
        } else if let Some(package) = line.strip_prefix("FAIL\t") {
            let package = package.split(['\t', ' ']).next().unwrap_or(package);
            for test in leaves(&pending) {
                names.test(&format!("{package} {test}"));
            }
            if pending.is_empty() {
                names.test(package);
            }
            pending.clear();
        } else if line.starts_with("ok  \t") {
            pending.clear();
        }
    }
    for test in leaves(&pending) {
        names.test(test);
    }
}

/// A test with subtests fails because one of them does.
fn leaves<'a>(tests: &[&'a str]) -> Vec<&'a str> {
    let has_subtest = |test: &str| {
        tests.iter().any(|other| other.strip_prefix(test).is_some_and(|rest| rest.starts_with('/')))
    };
    tests.iter().copied().filter(|test| !has_subtest(test)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{
        counts, detects, is_test, names, obstacle, sample, skips, unreachable,
    };

    #[test]
    fn a_go_module_without_dependencies() {
        detects(
            &[("go.mod", "module example.com/shop\n\ngo 1.22\n"), ("shop.go", "")],
            &[
                ("format", "go fmt ./..."),
                ("build", "go build ./..."),
                ("lint", "go vet ./..."),
                ("test", "go test ./..."),
            ],
        );
    }

    #[test]
    fn a_go_module_with_dependencies_and_golangci() {
        detects(
            &[("go.mod", "module a\nrequire (\n\tb.c/d v1\n)\n"), (".golangci.yml", "")],
            &[
                ("setup", "go mod download"),
                ("format", "go fmt ./..."),
                ("build", "go build ./..."),
                ("lint", "go vet ./..."),
                ("lint", "golangci-lint run"),
                ("test", "go test ./..."),
            ],
        );
    }

    #[test]
    fn go_names_tests_with_their_package_and_subtests_without_their_parent() {
        names(
            &sample("go-test"),
            &[
                "example.com/shop TestAdd",
                "example.com/shop TestMany/two_and_two",
                "example.com/shop/door",
                "example.com/shop/till",
                "till/till_test.go: undefined: Open",
            ],
        );
    }

    #[test]
    fn go_build_and_vet_errors_are_named_by_file_and_message() {
        names(
            "# example.com/shop\nvet: ./shop.go:5:2: undefined: x\n./cart.go:9:14: fmt.Printf \
                format %d has arg \"a\" of wrong type string\n",
            &[
                "cart.go: fmt.Printf format %d has arg \"a\" of wrong type string",
                "shop.go: undefined: x",
            ],
        );
    }

    #[test]
    fn go_without_a_network_says_so() {
        unreachable(
            "go: a.b/c@v1: Get \"https://proxy.golang.org/\": dial tcp: lookup proxy.golang.org: \
                no such host\n",
        );
    }

    #[test]
    fn go_that_is_too_old_or_does_not_trust_a_host_says_so() {
        obstacle(
            "go: go.mod requires go >= 1.99 (running go 1.22.0; GOTOOLCHAIN=local)\n",
            "WrongVersion",
        );
        obstacle(
            "go: a.b/c@v1: Get \"https://a.b/\": tls: failed to verify certificate: x509: \
                certificate signed by unknown authority\n",
            "Certificate",
        );
    }

    #[test]
    fn go_counts_packages_and_verbose_tests() {
        counts("ok  \texample.com/shop\t0.003s\nok  \texample.com/till\t(cached)\n", 2, 0);
        counts("ok  \texample.com/shop\t0.003s [no tests to run]\n", 0, 0);
        counts("?   \texample.com/cmd\t[no test files]\n", 0, 0);
        counts(
            "=== RUN   TestAdd\n--- PASS: TestAdd (0.00s)\n--- FAIL: TestSub (0.00s)\nFAIL\n",
            1,
            1,
        );
    }

    #[test]
    fn tests_and_the_marks_that_leave_them_out_are_known() {
        is_test("shop_test.go");
        skips("\tt.Skip(\"no\")");
    }
}
