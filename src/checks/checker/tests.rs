//! Small projects of several kinds, checked by their real tools.

use std::time::Instant;

use super::super::{Baseline, CheckVerdict, Manifests, Origin, Plan, RepositoryFile, Toolchains};
use super::*;

struct Project {
    directory: tempfile::TempDir,
    checker: Checker,
    search_path: OsString,
}

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let search_path = inherited("PATH").expect("a PATH to find tools on");
        std::fs::create_dir(directory.path().join("tree")).unwrap();
        let user_home = inherited("HOME").map(PathBuf::from).unwrap_or_default();
        let settings =
            CheckSettings { fix_ups: 3, timeout: Duration::from_secs(120), output_limit: 1 << 20 };
        let toolchains = Toolchains::find(&user_home, inherited);
        let checker = Checker::new(
            &settings,
            &search_path,
            toolchains,
            &Sandbox::none(),
            &Redaction::default(),
        );
        let project = Self { checker, directory, search_path };
        project.write(files);
        project
    }

    fn tree(&self) -> PathBuf {
        self.directory.path().join("tree")
    }

    fn write(&self, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = self.tree().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    /// Says which tool is not there, for a test that then ends.
    fn lacks(&self, tool: &str) -> bool {
        let lacks = process::find_executable(tool, &self.search_path).is_none();
        if lacks {
            eprintln!("SKIPPED: needs {tool}");
        }
        lacks
    }

    async fn run(&self, check: &Check) -> Ran {
        self.run_until(check, &CancellationToken::new()).await.unwrap()
    }

    async fn run_until(&self, check: &Check, stop: &CancellationToken) -> Result<Ran, CheckError> {
        let [tree, scratch, cache, log] =
            ["tree", "scratch", "cache", "log"].map(|name| self.directory.path().join(name));
        let site = Site { tree: &tree, scratch: &scratch, cache: &cache, log: &log };
        self.checker.run(check, site, stop).await
    }

    async fn shell(&self, command: &str) -> Ran {
        self.run(&shell(command, Duration::from_secs(60))).await
    }

    fn plan(&self, files: &[(&str, &str)]) -> Plan {
        let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        let mut contents = Manifests::default();
        for (path, text) in files {
            contents.add(path, text.as_bytes().to_vec());
        }
        Plan::detect(&paths, &contents, &RepositoryFile::default(), Duration::from_secs(120))
    }

    /// The judged results of the plan's checks, by kind.
    async fn judged(&self, plan: &Plan, baseline: &Baseline) -> Vec<(Kind, CheckVerdict)> {
        let mut results = Vec::new();
        for check in &plan.checks {
            let result = baseline.judge(self.run(check).await);
            results.push((check.kind, result.verdict));
        }
        results
    }

    async fn baseline(&self, plan: &Plan) -> Baseline {
        let mut baseline = Baseline::default();
        for check in &plan.checks {
            baseline.record(&self.run(check).await);
        }
        baseline
    }
}

#[expect(clippy::disallowed_methods, reason = "tests find tools where the developer has them")]
fn inherited(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn shell(command: &str, timeout: Duration) -> Check {
    Check {
        kind: Kind::Test,
        command: command.to_owned(),
        timeout,
        origin: Origin::RepositoryFile,
        network: false,
    }
}

fn new(failures: &[&str]) -> CheckVerdict {
    CheckVerdict::New { failures: failures.iter().map(|&name| name.to_owned()).collect() }
}

#[tokio::test]
async fn a_crate_is_formatted_and_only_its_new_failures_are_blamed() {
    let manifest = ("Cargo.toml", "[package]\nname = \"shop\"\nedition = \"2024\"\n");
    let before = "#[test]\nfn old() {\n    assert_eq!(1, 2);\n}\n";
    let project = Project::new(&[manifest, ("src/lib.rs", before)]);
    if project.lacks("cargo") || project.lacks("cargo-clippy") || project.lacks("cargo-fmt") {
        return;
    }
    let plan = project.plan(&[manifest]);
    let baseline = project.baseline(&plan).await;

    project.write(&[("src/lib.rs", "// moved down\n#[test] fn old() { assert_eq!(1,2); }\n")]);
    assert_eq!(
        project.judged(&plan, &baseline).await,
        [
            (Kind::Format, CheckVerdict::Passed),
            (Kind::Build, CheckVerdict::Passed),
            (Kind::Lint, CheckVerdict::Passed),
            (Kind::Test, CheckVerdict::FailedBefore),
        ]
    );
    let formatted = std::fs::read_to_string(project.tree().join("src/lib.rs")).unwrap();
    assert_eq!(formatted, "// moved down\n#[test]\nfn old() {\n    assert_eq!(1, 2);\n}\n");

    project.write(&[(
        "src/lib.rs",
        &format!("{before}\n#[test]\nfn fresh() {{\n    panic!(\"no\");\n}}\n"),
    )]);
    let judged = project.judged(&plan, &baseline).await;
    assert_eq!(judged.last(), Some(&(Kind::Test, new(&["shop fresh"]))));

    project.write(&[("src/lib.rs", "pub fn broken() -> u32 {\n    \"x\"\n}\n")]);
    let mismatch = "src/lib.rs: error[E0308]: mismatched types";
    let judged = project.judged(&plan, &baseline).await;
    assert_eq!(
        judged,
        [
            (Kind::Format, CheckVerdict::Passed),
            (Kind::Build, new(&[mismatch])),
            (Kind::Lint, new(&[mismatch])),
            (Kind::Test, new(&[mismatch])),
        ]
    );
}

#[tokio::test]
async fn a_python_project_is_compiled_and_tested_as_it_is_now() {
    let tests = "import unittest\nimport shop\n\n\nclass ShopTest(unittest.TestCase):\n    def \
        test_add(self):\n        \
                 self.assertEqual(shop.add(1, 2), 3)\n";
    let files = [("shop.py", "def add(a, b):\n    return a + b\n"), ("test_shop.py", tests)];
    let project = Project::new(&files);
    if project.lacks("python3") {
        return;
    }
    let plan = project.plan(&files);
    let baseline = project.baseline(&plan).await;
    project.write(&[("shop.py", "def add(a, b):\n    return a - b\n")]);
    assert_eq!(
        project.judged(&plan, &baseline).await,
        [
            (Kind::Build, CheckVerdict::Passed),
            (Kind::Test, new(&["test_add (test_shop.ShopTest.test_add)"]))
        ]
    );
    project.write(&[("shop.py", "def add(a, b:\n")]);
    let judged = project.judged(&plan, &baseline).await;
    assert_eq!(judged.first(), Some(&(Kind::Build, new(&["shop.py: does not compile"]))));
}

#[tokio::test]
async fn pytest_names_the_same_failure_alike_wherever_it_moves() {
    let Some(environment) = inherited("CODINGWORKER_VENV").map(PathBuf::from) else {
        eprintln!("SKIPPED: needs pytest (scripts/test installs it)");
        return;
    };
    let failing = "import pytest\n\n\n@pytest.mark.parametrize(\"n\", [1, 2])\ndef \
        test_small(n):\n    assert n < 2\n";
    let project = Project::new(&[("test_shop.py", failing)]);
    let check = shell(
        &format!("'{}' -m pytest", environment.join("bin/python").display()),
        Duration::from_secs(60),
    );
    let mut baseline = Baseline::default();
    baseline.record(&project.run(&check).await);
    project.write(&[("test_shop.py", &format!("\n\n{failing}"))]);
    assert_eq!(baseline.judge(project.run(&check).await).verdict, CheckVerdict::FailedBefore);
    project
        .write(&[("test_shop.py", &format!("{failing}\n\ndef test_more():\n    raise OSError\n"))]);
    assert_eq!(
        baseline.judge(project.run(&check).await).verdict,
        new(&["test_shop.py::test_more"])
    );
}

#[tokio::test]
async fn a_node_package_runs_its_test_script() {
    let manifest =
        ("package.json", r#"{"name": "shop", "scripts": {"test": "node --test test.js"}}"#);
    let test = "const { test } = require('node:test');\ntest('adds', () => { if (1 + 2 !== 3) \
        throw new Error(); });\n";
    let project = Project::new(&[manifest, ("test.js", test)]);
    if project.lacks("node") || project.lacks("npm") {
        return;
    }
    let plan = project.plan(&[manifest]);
    let baseline = project.baseline(&plan).await;
    assert_eq!(project.judged(&plan, &baseline).await, [(Kind::Test, CheckVerdict::Passed)]);
    project.write(&[("test.js", &test.replace("!== 3", "!== 4"))]);
    let [(Kind::Test, CheckVerdict::New { failures })] =
        &project.judged(&plan, &baseline).await[..]
    else {
        panic!("the test is red")
    };
    assert!(
        failures.len() == 1 && failures.first().is_some_and(|name| name.ends_with("adds")),
        "{failures:?}"
    );
}

#[tokio::test]
async fn make_passes_on_what_its_recipes_say() {
    let makefile =
        ("Makefile", "test:\n\t@echo 'shop.c:4:2: error: no'; exit 1\nlint:\n\tno-such-linter .\n");
    let project = Project::new(&[makefile]);
    if project.lacks("make") {
        return;
    }
    let plan = project.plan(&[makefile]);
    assert_eq!(
        project.judged(&plan, &Baseline::default()).await,
        [
            (
                Kind::Lint,
                CheckVerdict::NotRun {
                    obstacle: Obstacle::Missing { tool: "no-such-linter".to_owned() }
                }
            ),
            (Kind::Test, new(&["shop.c: error: no"])),
        ]
    );
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_named() {
    let project = Project::new(&[]);
    let missing =
        |tool: &str| CheckEnding::NotRun { obstacle: Obstacle::Missing { tool: tool.to_owned() } };
    assert_eq!(project.shell("no-such-tool --version").await.ending, missing("no-such-tool"));
    assert_eq!(project.shell("true && ./no-such-script").await.ending, missing("./no-such-script"));
    if !project.lacks("python3") {
        assert_eq!(
            project.shell("python3 -m no_such_module").await.ending,
            missing("no_such_module")
        );
    }
}

#[tokio::test]
async fn a_check_sees_the_environment_it_is_given_and_no_other() {
    let project = Project::new(&[]);
    let ran = project.shell("env").await;
    let home = project.directory.path().join("scratch/home");
    let names: BTreeSet<&str> =
        ran.output.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert!(names.contains("PATH") && ran.output.contains("CI=true\n"), "{}", ran.output);
    // Nothing that changes what a program under test does, as no CI runner sets it.
    for name in ["NO_COLOR", "CARGO_TERM_COLOR", "RUST_BACKTRACE", "FORCE_COLOR"] {
        assert!(!names.contains(name), "{}", ran.output);
    }
    assert!(ran.output.contains(&format!("HOME={}\n", home.display())), "{}", ran.output);
    // Cargo sets these for every test, so that they would be there if anything was inherited.
    assert!(
        inherited("CARGO_MANIFEST_DIR").is_some() && !names.contains("CARGO_MANIFEST_DIR"),
        "{}",
        ran.output
    );
}

#[tokio::test]
async fn a_check_that_takes_too_long_is_timed_out_and_a_stopped_one_has_no_result() {
    let project = Project::new(&[]);
    let began = Instant::now();
    let ran = project.run(&shell("echo begun; sleep 600", Duration::from_millis(300))).await;
    assert_eq!((ran.ending, ran.output.as_str()), (CheckEnding::TimedOut, "begun\n"));

    let stop = CancellationToken::new();
    stop.cancel();
    let stopped = project.run_until(&shell("sleep 600", Duration::from_secs(600)), &stop).await;
    assert!(matches!(stopped, Err(CheckError::Stopped { .. })), "{stopped:?}");
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_command_killed_by_a_signal_has_the_code_a_shell_gives_it() {
    let project = Project::new(&[]);
    assert_eq!(project.shell("kill -9 $$").await.ending, CheckEnding::Failed { code: 137 });
    assert_eq!(project.shell("exit 3").await.ending, CheckEnding::Failed { code: 3 });
}

#[tokio::test]
async fn the_output_is_plain_bounded_and_without_the_path_of_the_tree() {
    let project = Project::new(&[]);
    let ran = project
        .shell(r#"printf '\033[31mred\033[0m %s/a.rs\n' "$PWD" >&2; yes | head -c 5000000"#)
        .await;
    assert!(ran.output.starts_with("red a.rs\n"), "{}", ran.excerpt(100));
    assert!(ran.output.len() <= (1 << 20) + 200, "{} bytes", ran.output.len());
    assert!(ran.excerpt(2000).len() <= 2000);
}
