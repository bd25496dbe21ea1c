use super::super::tests::{
    counts, detects, is_test, lacks, lacks_nothing, names, obstacle, sample, skips, unreachable,
};

#[test]
fn node_runs_only_scripts_that_exist() {
    detects(
        &[("package.json", r#"{"scripts": {"test": "node --test", "start": "node ."}}"#)],
        &[("test", "npm test")],
    );
    let placeholder =
        r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1", "build": ""}}"#;
    detects(&[("package.json", placeholder)], &[]);
    detects(&[("package.json", "not json")], &[]);
}

#[test]
fn node_picks_the_package_manager_by_its_lock_file() {
    let manifest = r#"{
        "scripts": {"build": "tsc", "format": "prettier --write .", "lint": "eslint .",
            "test": "vitest run"},
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
        detects(&[("package.json", manifest), (lock, "")], &expected);
    }
}

#[test]
fn node_obeys_the_package_manager_field() {
    detects(
        &[("package.json", r#"{"packageManager": "pnpm@9.1.0", "scripts": {"test": "x"}}"#)],
        &[("test", "pnpm test")],
    );
    detects(
        &[
            ("package.json", r#"{"packageManager": "yarn@4.1.0", "dependencies": {"a": "1"}}"#),
            ("yarn.lock", ""),
        ],
        &[("setup", "yarn install --no-immutable")],
    );
}

#[test]
fn jest_names_tests_with_their_file_and_files_that_do_not_load() {
    names(
        &sample("jest"),
        &[
            "js/a.test.js › shop › adds › two numbers",
            "js/a.test.js › top level",
            "js/b.test.js › Test suite failed to run",
        ],
    );
}

#[test]
fn vitest_names_tests_with_their_file_and_files_that_do_not_load() {
    names(&sample("vitest"), &["a.test.ts > shop > adds two", "a.test.ts > top", "b.test.ts"]);
}

#[test]
fn mocha_names_tests_below_their_suites() {
    names(
        &sample("mocha"),
        &["hooks › \"before all\" hook for \"never\"", "shop › adds › two numbers", "shop › async"],
    );
}

#[test]
fn node_test_names_tests_in_both_its_formats() {
    names(&sample("node-test-tap"), &["adds two", "shop › inner"]);
    names(&sample("node-test-spec"), &["nt/a.test.js › adds two", "nt/a.test.js › inner"]);
    names("TAP version 13\nnot ok 1 - later # TODO not yet\nok 2 - fine\n", &[]);
}

#[test]
fn typescript_eslint_and_prettier_errors_are_named_by_file_and_rule() {
    names(
        &sample("tsc"),
        &[
            "ts/a.ts: TS2304: Cannot find name 'missing'.",
            "ts/a.ts: TS2322: Type 'string' is not assignable to type 'number'.",
        ],
    );
    names(
        "src/a.ts:1:7 - error TS2322: Type 'string' is wrong.\n",
        &["src/a.ts: error TS2322: Type 'string' is wrong."],
    );
    names(
        &sample("eslint"),
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
    names(&sample("prettier"), &["js/y.js: SyntaxError: Unexpected token"]);
}

#[test]
fn npm_without_a_network_says_so() {
    unreachable(
        "npm error code ENOTFOUND\n\
         npm error network request to https://registry.npmjs.org/a failed\n",
    );
}

#[test]
fn tests_and_the_marks_that_leave_them_out_are_known() {
    is_test("a.spec.ts");
    is_test("src/__tests__/a.js");
    for mark in ["it.skip('a', () => {})", "describe.only(", "xit('a'"] {
        skips(mark);
    }
}

#[test]
fn a_program_that_a_package_manager_did_not_find_is_a_missing_tool() {
    lacks(
        1,
        "> vitest run\n\nsh: 1: vitest: not found\n ELIFECYCLE  Test failed. See above for more \
            details.\n WARN   Local package.json exists, but node_modules missing\n",
        "vitest",
    );
    lacks(
        1,
        "$ jest\n/bin/sh: 1: jest: not found\nerror Command failed with exit code 127.\n",
        "jest",
    );
    lacks_nothing(1, "$ jest\nerror Command failed with exit code 1.\n");
    lacks_nothing(1, "sh: 1: jq: not found\nFAIL a.test.js\n ELIFECYCLE  Test failed.\n");
}

#[test]
fn npm_pnpm_and_yarn_say_what_keeps_them_from_installing() {
    for version in [
        "npm error code EBADENGINE\nnpm error engine Unsupported engine\n",
        " ERR_PNPM_UNSUPPORTED_ENGINE  Unsupported environment (bad pnpm)\n",
        "error shop@1.0.0: The engine \"node\" is incompatible with this module.\n",
    ] {
        obstacle(version, "WrongVersion");
    }
    obstacle("npm error code SELF_SIGNED_CERT_IN_CHAIN\n", "Certificate");
    unreachable("npm error code E403\nnpm error 403 403 Forbidden - GET http://10.0.0.1/a\n");
}

#[test]
fn the_test_runners_show_that_tests_ran() {
    counts(&sample("jest"), 1, 2);
    counts(&sample("vitest"), 1, 2);
    // Its summary, and the lines of TAP that any tool may print.
    counts(&sample("node-test-tap"), 3, 4);
    counts("ℹ tests 0\nℹ pass 0\nℹ fail 0\n", 0, 0);
    counts("\n  2 passing (5ms)\n  1 failing\n", 2, 1);
    counts("ok | 3 passed | 0 failed (10ms)\n", 3, 0);
    counts("  3 specs\n3 specs, 1 failure\n", 2, 1);
    counts("No tests found, exiting with code 0\n", 0, 0);
}
