//! The samples are what the tools printed over small projects with known mistakes; those of Go,
//! Maven and Gradle follow their documentation.

use super::named;

macro_rules! sample {
    ($name:literal) => {
        include_str!(concat!("samples/", $name, ".txt"))
    };
}

#[track_caller]
fn check(output: &str, expected: &[&str]) {
    let names = named(output);
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn cargo_test_names_tests_with_their_target() {
    check(
        sample!("cargo-test"),
        &[
            "shop (doc) src/lib.rs - add",
            "shop tests::adds",
            "shop tests::panics",
            "whole whole_way",
        ],
    );
}

#[test]
fn a_test_program_that_died_is_named_by_its_target() {
    let output = "     Running tests/whole.rs (target/debug/deps/whole-caf4c2aed8f93934)\n\nrunning 2 tests\n\
        error: test failed, to rerun pass `--test whole`\n\nCaused by:\n  process didn't exit successfully: `…` (signal: 6, SIGABRT)\n";
    check(output, &["cargo test --test whole"]);
}

#[test]
fn nextest_names_tests_once_though_it_reports_them_twice() {
    check(
        sample!("cargo-nextest"),
        &["shop tests::adds", "shop tests::panics", "shop::whole whole_way"],
    );
}

#[test]
fn rustc_and_clippy_errors_are_named_by_file_and_message() {
    check(
        sample!("cargo-build"),
        &[
            "src/lib.rs: error[E0308]: mismatched types",
            "src/lib.rs: error[E0425]: cannot find function `missing` in this scope",
        ],
    );
    check(
        sample!("cargo-clippy"),
        &[
            "src/lib.rs: error: length comparison to zero",
            "src/lib.rs: error: unneeded `return` statement",
            "src/lib.rs: error: unused variable: `x`",
            "src/lib.rs: error: writing `&Vec` instead of `&[_]` involves a new object where a slice will do",
        ],
    );
}

#[test]
fn go_names_tests_with_their_package_and_subtests_without_their_parent() {
    check(
        sample!("go-test"),
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
    check(
        "# example.com/shop\nvet: ./shop.go:5:2: undefined: x\n./cart.go:9:14: fmt.Printf format %d has arg \"a\" of wrong type string\n",
        &[
            "cart.go: fmt.Printf format %d has arg \"a\" of wrong type string",
            "shop.go: undefined: x",
        ],
    );
}

#[test]
fn pytest_names_node_ids_without_their_messages() {
    check(
        sample!("pytest"),
        &[
            "tests/test_shop.py::TestShop::test_in_class",
            "tests/test_shop.py::test_add",
            "tests/test_shop.py::test_many[1-1]",
            "tests/test_shop.py::test_many[x y-z]",
            "tests/test_shop.py::test_uses",
        ],
    );
    check(sample!("pytest-collection"), &["tests/test_bad.py"]);
    check(
        "FAILED tests/test_a.py::test_b[x - y] - assert 1 == 2\n",
        &["tests/test_a.py::test_b[x - y]"],
    );
}

#[test]
fn unittest_names_tests_and_subtests() {
    check(
        sample!("unittest"),
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
    check(
        sample!("ruff"),
        &[
            "bad.py: invalid-syntax: Expected `)`, found newline",
            "bad.py: invalid-syntax: Expected a parameter or the end of the parameter list",
            "shop.py: F401 `os` imported but unused",
            "tests/test_bad.py: F401 `nothing_here` imported but unused",
            "tests/test_shop.py: I001 Import block is un-sorted or un-formatted",
        ],
    );
    check(
        sample!("flake8"),
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
    check(sample!("compileall"), &["bad.py: does not compile"]);
}

#[test]
fn jest_names_tests_with_their_file_and_files_that_do_not_load() {
    check(
        sample!("jest"),
        &[
            "js/a.test.js › shop › adds › two numbers",
            "js/a.test.js › top level",
            "js/b.test.js › Test suite failed to run",
        ],
    );
}

#[test]
fn vitest_names_tests_with_their_file_and_files_that_do_not_load() {
    check(sample!("vitest"), &["a.test.ts > shop > adds two", "a.test.ts > top", "b.test.ts"]);
}

#[test]
fn mocha_names_tests_below_their_suites() {
    check(
        sample!("mocha"),
        &["hooks › \"before all\" hook for \"never\"", "shop › adds › two numbers", "shop › async"],
    );
}

#[test]
fn node_test_names_tests_in_both_its_formats() {
    check(sample!("node-test-tap"), &["adds two", "shop › inner"]);
    check(sample!("node-test-spec"), &["nt/a.test.js › adds two", "nt/a.test.js › inner"]);
    check("TAP version 13\nnot ok 1 - later # TODO not yet\nok 2 - fine\n", &[]);
}

#[test]
fn typescript_eslint_and_prettier_errors_are_named_by_file_and_rule() {
    check(
        sample!("tsc"),
        &[
            "ts/a.ts: TS2304: Cannot find name 'missing'.",
            "ts/a.ts: TS2322: Type 'string' is not assignable to type 'number'.",
        ],
    );
    check(
        "src/a.ts:1:7 - error TS2322: Type 'string' is wrong.\n",
        &["src/a.ts: error TS2322: Type 'string' is wrong."],
    );
    check(
        sample!("eslint"),
        &[
            "js/a.test.js: no-undef: 'describe' is not defined",
            "js/a.test.js: no-undef: 'describe' is not defined (2)",
            "js/a.test.js: no-undef: 'expect' is not defined",
            "js/a.test.js: no-undef: 'test' is not defined",
            "js/a.test.js: no-undef: 'test' is not defined (2)",
            "js/a.test.js: no-undef: 'test' is not defined (3)",
            "js/b.test.js: no-undef: 'require' is not defined",
            "js/x.js: no-undef: 'foo' is not defined",
            "js/x.js: no-unused-vars: 'a' is assigned a value but never used",
            "js/y.js: Parsing error: Unexpected token ;",
        ],
    );
    check(sample!("prettier"), &["js/y.js: SyntaxError: Unexpected token"]);
}

#[test]
fn surefire_names_tests_in_both_its_formats() {
    check(sample!("surefire-3"), &["shop.ShopTest.adds", "shop.ShopTest.boom"]);
    check(sample!("surefire-2"), &["adds(shop.ShopTest)"]);
}

#[test]
fn gradle_names_tests_and_not_tasks() {
    check(sample!("gradle-test"), &["ShopTest > In > deep()", "ShopTest > adds()"]);
}

#[test]
fn c_and_java_compilers_are_named_by_file_and_message() {
    check(
        sample!("gcc"),
        &[
            "a.c: error: expected declaration specifiers or ‘...’ before ‘{’ token",
            "a.c: error: ‘x’ undeclared (first use in this function)",
        ],
    );
    check(
        sample!("javac-maven"),
        &[
            "src/main/java/shop/Shop.java: cannot find symbol",
            "src/main/java/shop/Shop.java: incompatible types: java.lang.String cannot be converted to int",
        ],
    );
    check(sample!("javac-gradle"), &["src/main/java/shop/Shop.java: error: ';' expected"]);
    check(
        "/usr/bin/ld: main.o: in function `main':\nmain.c:(.text+0x5): undefined reference to `f'\n",
        &["undefined reference to `f'"],
    );
}

#[test]
fn what_moves_with_an_edit_or_a_run_is_not_in_a_name() {
    let before = "a.py:9:1: F811 redefinition of unused 'f' from line 3\n\
        FAILED tests/test_a.py::test_b[<object at 0x7f00aa11bb22>] - x\na.c:4:1: error: /tmp/cc1a2b.s: bad\n";
    let after = "a.py:19:1: F811 redefinition of unused 'f' from line 13\n\
        FAILED tests/test_a.py::test_b[<object at 0x7f99dd11bb22>] - y\na.c:7:2: error: /tmp/ccXYZ.s: bad\n";
    assert_eq!(named(before), named(after));
    assert_eq!(named(before).len(), 3);
}

#[test]
fn one_more_of_the_same_error_in_a_file_is_a_new_name() {
    let one = "error[E0308]: mismatched types\n --> src/lib.rs:1:2\n";
    let two = format!("{one}error[E0308]: mismatched types\n --> src/lib.rs:9:2\n");
    let new: Vec<_> = named(&two).difference(&named(one)).cloned().collect();
    assert_eq!(new, ["src/lib.rs: error[E0308]: mismatched types (2)"]);
    let reported_twice = format!("{one}{one}");
    assert_eq!(named(&reported_twice), named(one));
}

#[test]
fn what_passes_or_only_warns_names_nothing() {
    check(
        "warning: unused variable: `x`\n --> src/lib.rs:2:23\ntest a ... ok\nPASS a.test.js\nok  \texample.com/shop\t0.1s\n\
         a.c:1:2: warning: unused\na.c:1:2: note: here\nok 1 - fine\nOK (3 tests)\n",
        &[],
    );
}

proptest::proptest! {
    #[test]
    fn no_output_is_too_odd_to_be_read(
        lines in proptest::collection::vec(
            ("(FAIL|not ok 1 - |test |--- FAIL: |  ● |2 failing|  1\\) |\\[ERROR\\] |# Subtest: |error|FAILED )?", "\\PC{0,12}"), 0..12,
        ),
    ) {
        let output = lines.into_iter().map(|(mark, rest)| mark + &rest + "\n").collect::<String>();
        for name in named(&output) {
            proptest::prop_assert!(!name.contains('\n'), "{name}");
        }
    }
}
