use super::super::tests::{
    counts, detected, detects, is_test, lacks, lacks_nothing, names, obstacle, sample, skips,
    unreachable,
};

#[test]
fn python_with_unittest_needs_nothing_installed() {
    let test = "import unittest\n\nclass ShopTest(unittest.TestCase):\n    def \
        test_add(self):\n        pass\n";
    detects(
        &[("shop.py", ""), ("test_shop.py", test)],
        &[("build", "python3 -m compileall -q -f ."), ("test", "python3 -m unittest discover")],
    );
    detects(
        &[("shop.py", ""), ("tests/test_shop.py", test)],
        &[
            ("build", "python3 -m compileall -q -f ."),
            ("test", "python3 -m unittest discover -s tests"),
        ],
    );
    detects(
        &[("shop.py", ""), ("tests/__init__.py", ""), ("tests/test_shop.py", test)],
        &[("build", "python3 -m compileall -q -f ."), ("test", "python3 -m unittest discover")],
    );
    detects(
        &[
            ("setup.py", "from setuptools import setup\nsetup(name='shop')\n"),
            ("shop/__init__.py", ""),
        ],
        &[("build", "python3 -m compileall -q -f .")],
    );
}

#[test]
fn python_tests_in_the_style_of_pytest_run_with_pytest() {
    detects(
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
                "python3 -m venv --clear --system-site-packages .venv && .venv/bin/python -m pip \
                    install -q pytest",
            ),
            ("build", r".venv/bin/python -m compileall -q -f -x '/\.venv/' ."),
            ("test", ".venv/bin/python -m pytest"),
        ],
    );
}

#[test]
fn python_with_requirements_and_configured_tools() {
    detects(
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
                "python3 -m venv --clear --system-site-packages .venv && .venv/bin/python -m pip \
                    install -q \
                 -r requirements.txt -r requirements-dev.txt black flake8",
            ),
            ("format", r".venv/bin/python -m black --extend-exclude '/\.venv/' ."),
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
    detects(
        &[
            ("pyproject.toml", pyproject),
            ("src/shop/__init__.py", ""),
            ("tests/test_shop.py", "def test_a(): pass\n"),
        ],
        &[
            (
                "setup",
                "python3 -m venv --clear --system-site-packages .venv && .venv/bin/python -m pip \
                    install -q -e '.[dev]'",
            ),
            ("build", r".venv/bin/python -m compileall -q -f -x '/\.venv/' ."),
            ("lint", ".venv/bin/python -m ruff check --extend-exclude .venv ."),
            ("test", ".venv/bin/python -m pytest"),
        ],
    );
}

#[test]
fn python_project_that_is_not_a_package_has_its_dependencies_installed_one_by_one() {
    let pyproject = "[project]\nname = 'shop'\ndependencies = ['requests>=2', \"tomli; \
        python_version < '3.11'\"]\n";
    detects(
        &[("pyproject.toml", pyproject), ("shop.py", "")],
        &[
            (
                "setup",
                "python3 -m venv --clear --system-site-packages .venv && .venv/bin/python -m pip \
                    install -q \
                 'requests>=2' 'tomli; python_version < '\\''3.11'\\'''",
            ),
            ("build", r".venv/bin/python -m compileall -q -f -x '/\.venv/' ."),
        ],
    );
}

#[test]
fn python_with_uv_or_poetry_runs_through_them() {
    let grouped = "[project]\nname='shop'\n[dependency-groups]\ndev = \
        ['pytest']\n[tool.ruff.format]\n[tool.ruff.lint]\n";
    detects(
        &[("pyproject.toml", grouped), ("uv.lock", ""), ("shop.py", "")],
        &[
            ("setup", "uv sync"),
            ("format", "uv run python -m ruff format --config 'extend-exclude = [\".venv\"]' ."),
            ("build", r"uv run python -m compileall -q -f -x '/\.venv/' ."),
            ("lint", "uv run python -m ruff check --extend-exclude .venv ."),
            ("test", "uv run python -m pytest"),
        ],
    );
    let poetry =
        "[tool.poetry]\nname = 'shop'\n[tool.poetry.group.dev.dependencies]\npytest = '^8'\n";
    detects(
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
        let found = detected(&files);
        assert!(
            found.iter().any(|(_, command)| command == ".venv/bin/python -m pytest"),
            "{path}: {found:?}"
        );
    }
}

#[test]
fn pytest_names_node_ids_without_their_messages() {
    names(
        &sample("pytest"),
        &[
            "tests/test_shop.py::TestShop::test_in_class",
            "tests/test_shop.py::test_add",
            "tests/test_shop.py::test_many[1-1]",
            "tests/test_shop.py::test_many[x y-z]",
            "tests/test_shop.py::test_uses",
        ],
    );
    names(&sample("pytest-collection"), &["tests/test_bad.py"]);
    names(
        "FAILED tests/test_a.py::test_b[x - y] - assert 1 == 2\n",
        &["tests/test_a.py::test_b[x - y]"],
    );
}

#[test]
fn unittest_names_tests_and_subtests() {
    names(
        &sample("unittest"),
        &[
            "test_a (test_u.T.test_a)",
            "test_b (test_u.T.test_b)",
            "test_c (test_u.T.test_c) (i=1)",
            "test_v (unittest.loader._FailedTest.test_v)",
        ],
    );
}

#[test]
fn python_linters_and_compileall_are_named_by_file_and_rule() {
    names(
        &sample("ruff"),
        &[
            "bad.py: invalid-syntax: Expected `)`, found newline",
            "bad.py: invalid-syntax: Expected a parameter or the end of the parameter list",
            "shop.py: F401 `os` imported but unused",
            "tests/test_bad.py: F401 `nothing_here` imported but unused",
            "tests/test_shop.py: I001 Import block is un-sorted or un-formatted",
        ],
    );
    names(
        &sample("flake8"),
        &[
            "bad.py: E999 SyntaxError: invalid syntax",
            "shop.py: E305 expected 2 blank lines after class or function definition, found 0",
            "shop.py: E402 module level import not at top of file",
            "shop.py: F401 'os' imported but unused",
            "tests/test_bad.py: F401 'nothing_here' imported but unused",
            "tests/test_shop.py: E302 expected 2 blank lines, found 0",
            "tests/test_shop.py: E302 expected 2 blank lines, found 0 (2)",
            "tests/test_shop.py: E302 expected 2 blank lines, found 0 (3)",
            "tests/test_shop.py: E302 expected 2 blank lines, found 0 (4)",
            "tests/test_shop.py: E302 expected 2 blank lines, found 0 (5)",
        ],
    );
    names(&sample("compileall"), &["bad.py: does not compile"]);
}

#[test]
fn a_module_that_is_not_installed_is_a_missing_tool() {
    lacks(1, "/usr/bin/python3: No module named pytest\n", "pytest");
    lacks(1, ".venv/bin/python: No module named flake8\n", "flake8");
    lacks(1, "/usr/bin/python3.11: No module named 'black'\n", "black");
    let pyenv = "pyenv: black: command not found\n\n\
        The `black' command exists in these Python versions:\n";
    lacks(127, pyenv, "black");
    lacks_nothing(1, "E   ModuleNotFoundError: No module named 'requests'\n");
    lacks_nothing(1, "ImportError: No module named shop\n");
}

#[test]
fn pip_without_a_network_says_so() {
    unreachable(
        "WARNING: Retrying … Failed to establish a new connection: [Errno 101] …': \
            /simple/pytest/\n",
    );
}

#[test]
fn tests_and_the_marks_that_leave_them_out_are_known() {
    is_test("test_shop.py");
    for mark in [
        "@pytest.mark.skip(reason='')",
        "@unittest.skipIf(True, '')",
        "@expectedFailure",
        "    pytest.skip('no')",
        "        self.skipTest('no')",
    ] {
        skips(mark);
    }
}

#[test]
fn black_keeps_what_the_repository_leaves_out_itself() {
    let pyproject = "[project]\nname = 'shop'\ndependencies = ['black']\n[tool.black]\n\
        extend-exclude = 'migrations'\n";
    let found = detected(&[("pyproject.toml", pyproject), ("shop.py", "")]);
    let format = found.iter().find(|(kind, _)| *kind == "format").unwrap();
    assert_eq!(format.1, r".venv/bin/python -m black --extend-exclude '(?:migrations)|/\.venv/' .");
}

#[test]
fn pip_and_uv_say_what_keeps_them_from_installing() {
    obstacle(
        "ERROR: Package 'shop' requires a different Python: 3.11.2 not in '>=3.99'\n",
        "WrongVersion",
    );
    obstacle(
        "  Caused by: client error (Connect)\n  Caused by: invalid peer certificate: \
            UnknownIssuer\n",
        "Certificate",
    );
    obstacle(
        "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]\n",
        "Certificate",
    );
}

#[test]
fn pytest_and_unittest_show_that_tests_ran() {
    counts(&sample("pytest"), 1, 5);
    counts("3 passed, 2 warnings in 0.12s\n", 3, 0);
    counts("===== 2 skipped in 0.01s =====\n", 0, 0);
    counts("===== no tests ran in 0.01s =====\n", 0, 0);
    counts(&sample("unittest"), 0, 4);
    counts("Ran 4 tests in 0.001s\n\nOK (skipped=1)\n", 3, 0);
    counts("Ran 0 tests in 0.000s\n\nOK\n", 0, 0);
}
