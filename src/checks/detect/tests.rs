use super::*;

/// Each entry is a path, or a path and its text.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &[(&str, &str)]) {
    let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
    // Only what detection asks for is given to it.
    let wanted = manifests(&paths);
    let given = files.iter().filter(|(path, _)| wanted.contains(path));
    let contents: BTreeMap<String, String> =
        given.map(|&(path, text)| (path.to_owned(), text.to_owned())).collect();
    let mut found = commands(&paths, &contents);
    found.sort_by_key(|found| found.kind);
    let shown: Vec<_> =
        found.iter().map(|found| (found.kind.name(), found.command.as_str())).collect();
    assert_eq!(shown, expected);
}

#[test]
fn nothing_is_made_up_for_a_repository_of_prose() {
    check(&[("README.md", ""), ("docs/requirements.txt", "sphinx"), ("tools/gen.py", "")], &[]);
}

#[test]
fn a_crate() {
    check(
        &[("Cargo.toml", "[package]\nname = 'shop'\n[dependencies]\n"), ("src/lib.rs", "")],
        &[
            ("format", "cargo fmt"),
            ("build", "cargo build"),
            ("lint", "cargo clippy --all-targets -- -D warnings"),
            ("test", "cargo test --no-fail-fast"),
        ],
    );
}

#[test]
fn a_cargo_workspace_with_dependencies() {
    let lock = "[[package]]\nname = 'serde'\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
    check(
        &[("Cargo.toml", "[workspace]\nmembers = ['a']\n"), ("Cargo.lock", lock)],
        &[
            ("setup", "cargo fetch"),
            ("format", "cargo fmt --all"),
            ("build", "cargo build --workspace"),
            ("lint", "cargo clippy --workspace --all-targets -- -D warnings"),
            ("test", "cargo test --workspace --no-fail-fast"),
        ],
    );
}

#[test]
fn a_go_module_without_dependencies() {
    check(
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
    check(
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
fn node_runs_only_scripts_that_exist() {
    check(
        &[("package.json", r#"{"scripts": {"test": "node --test", "start": "node ."}}"#)],
        &[("test", "npm test")],
    );
    let placeholder =
        r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1", "build": ""}}"#;
    check(&[("package.json", placeholder)], &[]);
    check(&[("package.json", "not json")], &[]);
}

#[test]
fn node_picks_the_package_manager_by_its_lock_file() {
    let manifest = r#"{
        "scripts": {"build": "tsc", "format": "prettier --write .", "lint": "eslint .", "test": "vitest run"},
        "devDependencies": {"typescript": "^5"}
    }"#;
    let expected = |setup: &str, program: &str| {
        [
            ("setup".to_owned(), setup.to_owned()),
            ("format".to_owned(), format!("{program} run format")),
            ("build".to_owned(), format!("{program} run build")),
            ("lint".to_owned(), format!("{program} run lint")),
            ("test".to_owned(), format!("{program} test")),
        ]
    };
    for (lock, setup, program) in [
        ("package-lock.json", "npm ci || npm install", "npm"),
        ("README.md", "npm install --no-package-lock", "npm"),
        ("pnpm-lock.yaml", "pnpm install --no-frozen-lockfile", "pnpm"),
        ("yarn.lock", "yarn install --non-interactive", "yarn"),
        (".yarnrc.yml", "yarn install --no-immutable", "yarn"),
    ] {
        let expected = expected(setup, program);
        let expected: Vec<_> =
            expected.iter().map(|(kind, command)| (kind.as_str(), command.as_str())).collect();
        check(&[("package.json", manifest), (lock, "")], &expected);
    }
}

#[test]
fn node_obeys_the_package_manager_field() {
    check(
        &[("package.json", r#"{"packageManager": "pnpm@9.1.0", "scripts": {"test": "x"}}"#)],
        &[("test", "pnpm test")],
    );
    check(
        &[
            ("package.json", r#"{"packageManager": "yarn@4.1.0", "dependencies": {"a": "1"}}"#),
            ("yarn.lock", ""),
        ],
        &[("setup", "yarn install --no-immutable")],
    );
}

#[test]
fn python_with_unittest_needs_nothing_installed() {
    let test = "import unittest\n\nclass ShopTest(unittest.TestCase):\n    def test_add(self):\n        pass\n";
    check(
        &[("shop.py", ""), ("test_shop.py", test)],
        &[("build", "python3 -m compileall -q -f ."), ("test", "python3 -m unittest discover")],
    );
    check(
        &[("shop.py", ""), ("tests/test_shop.py", test)],
        &[
            ("build", "python3 -m compileall -q -f ."),
            ("test", "python3 -m unittest discover -s tests"),
        ],
    );
    check(
        &[("shop.py", ""), ("tests/__init__.py", ""), ("tests/test_shop.py", test)],
        &[("build", "python3 -m compileall -q -f ."), ("test", "python3 -m unittest discover")],
    );
    check(
        &[
            ("setup.py", "from setuptools import setup\nsetup(name='shop')\n"),
            ("shop/__init__.py", ""),
        ],
        &[("build", "python3 -m compileall -q -f .")],
    );
}

#[test]
fn python_tests_in_the_style_of_pytest_run_with_pytest() {
    check(
        &[
            ("shop.py", ""),
            (
                "tests/test_shop.py",
                "from shop import add\n\ndef test_add():\n    assert add(1, 2) == 3\n",
            ),
        ],
        &[
            (
                "setup",
                "python3 -m venv --clear --system-site-packages .venv && .venv/bin/python -m pip install -q pytest",
            ),
            ("build", r".venv/bin/python -m compileall -q -f -x '/\.venv/' ."),
            ("test", ".venv/bin/python -m pytest"),
        ],
    );
}

#[test]
fn python_with_requirements_and_configured_tools() {
    check(
        &[
            ("requirements.txt", "requests>=2\n"),
            ("requirements-dev.txt", "# tools\npytest-cov\npytest==8.0\n"),
            ("setup.cfg", "[flake8]\nmax-line-length = 100\n"),
            ("pyproject.toml", "[tool.black]\nline-length = 100\n"),
            ("shop.py", ""),
        ],
        &[
            (
                "setup",
                "python3 -m venv --clear --system-site-packages .venv && .venv/bin/python -m pip install -q \
                 -r requirements.txt -r requirements-dev.txt black flake8",
            ),
            ("format", ".venv/bin/python -m black ."),
            ("build", r".venv/bin/python -m compileall -q -f -x '/\.venv/' ."),
            ("lint", ".venv/bin/python -m flake8 --extend-exclude .venv"),
            ("test", ".venv/bin/python -m pytest"),
        ],
    );
}

#[test]
fn python_package_with_a_source_layout_and_extras_is_installed() {
    let pyproject = r#"
        [build-system]
        requires = ["hatchling"]
        [project]
        name = "shop"
        dependencies = ["requests>=2,<3"]
        [project.optional-dependencies]
        dev = ["pytest>=8", "ruff"]
        docs = ["sphinx"]
        [tool.ruff]
        line-length = 100
    "#;
    check(
        &[
            ("pyproject.toml", pyproject),
            ("src/shop/__init__.py", ""),
            ("tests/test_shop.py", "def test_a(): pass\n"),
        ],
        &[
            (
                "setup",
                "python3 -m venv --clear --system-site-packages .venv && .venv/bin/python -m pip install -q -e '.[dev]'",
            ),
            ("build", r".venv/bin/python -m compileall -q -f -x '/\.venv/' ."),
            ("lint", ".venv/bin/python -m ruff check ."),
            ("test", ".venv/bin/python -m pytest"),
        ],
    );
}

#[test]
fn python_project_that_is_not_a_package_has_its_dependencies_installed_one_by_one() {
    let pyproject = "[project]\nname = 'shop'\ndependencies = ['requests>=2', \"tomli; python_version < '3.11'\"]\n";
    check(
        &[("pyproject.toml", pyproject), ("shop.py", "")],
        &[
            (
                "setup",
                "python3 -m venv --clear --system-site-packages .venv && .venv/bin/python -m pip install -q \
                 'requests>=2' 'tomli; python_version < '\\''3.11'\\'''",
            ),
            ("build", r".venv/bin/python -m compileall -q -f -x '/\.venv/' ."),
        ],
    );
}

#[test]
fn python_with_uv_or_poetry_runs_through_them() {
    let grouped = "[project]\nname='shop'\n[dependency-groups]\ndev = ['pytest']\n[tool.ruff.format]\n[tool.ruff.lint]\n";
    check(
        &[("pyproject.toml", grouped), ("uv.lock", ""), ("shop.py", "")],
        &[
            ("setup", "uv sync"),
            ("format", "uv run python -m ruff format ."),
            ("build", r"uv run python -m compileall -q -f -x '/\.venv/' ."),
            ("lint", "uv run python -m ruff check ."),
            ("test", "uv run python -m pytest"),
        ],
    );
    let poetry =
        "[tool.poetry]\nname = 'shop'\n[tool.poetry.group.dev.dependencies]\npytest = '^8'\n";
    check(
        &[("pyproject.toml", poetry), ("poetry.lock", ""), ("shop.py", "")],
        &[
            ("setup", "poetry install --no-interaction"),
            ("build", r"poetry run python -m compileall -q -f -x '/\.venv/' ."),
            ("test", "poetry run python -m pytest"),
        ],
    );
}

#[test]
fn pytest_is_known_from_each_place_that_configures_it() {
    for (path, text) in [
        ("pyproject.toml", "[tool.pytest.ini_options]\ntestpaths = ['tests']\n"),
        ("setup.cfg", "[tool:pytest]\n"),
        ("requirements.txt", "pytest\n"),
        ("setup.py", "setup(name='a', tests_require=['pytest>=7'])"),
    ] {
        let files = [(path, text), ("shop.py", ""), ("pytest_is_no_test.py", "")];
        let paths = files.map(|(path, _)| path);
        let contents = BTreeMap::from([(path.to_owned(), text.to_owned())]);
        let found = commands(&paths, &contents);
        assert!(
            found.iter().any(|found| found.command == ".venv/bin/python -m pytest"),
            "{path}: {found:?}"
        );
    }
}

#[test]
fn maven_and_gradle_by_their_wrappers_first() {
    check(
        &[("pom.xml", "<project/>")],
        &[("build", "mvn -B test-compile"), ("test", "mvn -B --fail-at-end test")],
    );
    check(
        &[("pom.xml", "<artifactId>spotless-maven-plugin</artifactId>"), ("mvnw", "")],
        &[
            ("format", "./mvnw -B spotless:apply"),
            ("build", "./mvnw -B test-compile"),
            ("test", "./mvnw -B --fail-at-end test"),
        ],
    );
    check(
        &[("build.gradle.kts", ""), ("gradlew", "")],
        &[
            ("build", "./gradlew --no-daemon --console=plain assemble"),
            ("test", "./gradlew --no-daemon --console=plain --continue test"),
        ],
    );
    check(
        &[("pom.xml", ""), ("build.gradle", ""), ("gradlew", "")],
        &[
            ("build", "./gradlew --no-daemon --console=plain assemble"),
            ("test", "./gradlew --no-daemon --console=plain --continue test"),
        ],
    );
}

#[test]
fn make_has_the_targets_that_exist() {
    let makefile = "\
        .PHONY: lint test deploy\nCC := gcc\nURL = http://x\nB ::= c\n\
        # test-all: no\nall: shop.o\n\tgcc -o shop\nshop.o: shop.c\n\techo build: no\ntest check: all\n\t./run\n";
    check(&[("Makefile", makefile)], &[("build", "make all"), ("test", "make test")]);
    check(
        &[("makefile", "fmt:\n\tindent *.c\nbuild::\n\tcc\n")],
        &[("format", "make fmt"), ("build", "make build")],
    );
}

#[test]
fn several_languages_are_all_checked_and_make_fills_what_none_has() {
    check(
        &[
            ("Cargo.toml", "[package]\nname = 'shop'\n"),
            ("package.json", r#"{"scripts": {"test": "node --test"}}"#),
            ("Makefile", "test:\n\tcargo test\nlint:\n\ttrue\n"),
        ],
        &[
            ("format", "cargo fmt"),
            ("build", "cargo build"),
            ("lint", "cargo clippy --all-targets -- -D warnings"),
            ("test", "cargo test --no-fail-fast"),
            ("test", "npm test"),
        ],
    );
    check(
        &[
            ("package.json", r#"{"scripts": {"test": "node --test"}}"#),
            ("Makefile", "test:\n\tx\nlint:\n\ty\n"),
        ],
        &[("lint", "make lint"), ("test", "npm test")],
    );
}

#[test]
fn a_stray_script_does_not_make_a_python_project() {
    check(
        &[("go.mod", "module a\n"), ("release.py", "")],
        &[
            ("format", "go fmt ./..."),
            ("build", "go build ./..."),
            ("lint", "go vet ./..."),
            ("test", "go test ./..."),
        ],
    );
}
