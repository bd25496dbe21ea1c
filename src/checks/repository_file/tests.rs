use super::*;

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = RepositoryFile::parse(text.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn each_form_of_a_command_is_read() {
    let file = RepositoryFile::parse(
        b"[checks]\ntests = false\nbuild = \" make \"\nlint = [\"a\", \"\", \"b\"]\nformat = ''\n\
          [checks.test]\ncommand = [\"c\", \"d\"]\ntimeout_seconds = 5\n",
    )
    .unwrap();
    let lines = |kind| file.commands(kind).map(|commands| commands.lines.clone());
    assert_eq!(lines(Kind::Build), Some(vec!["make".to_owned()]));
    assert_eq!(lines(Kind::Lint), Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(lines(Kind::Format), Some(Vec::new()));
    assert_eq!(lines(Kind::Test), Some(vec!["c".to_owned(), "d".to_owned()]));
    assert_eq!(
        file.commands(Kind::Test).and_then(|commands| commands.timeout),
        Some(Duration::from_secs(5))
    );
    assert_eq!(lines(Kind::Setup), None);
    assert!(!file.tests_pass());
}

#[test]
fn an_untested_change_is_a_draft_unless_the_file_says_otherwise() {
    let file = |text: &str| RepositoryFile::parse(text.as_bytes()).unwrap();
    assert!(!file("").untested_is_ready());
    assert!(!file("[checks]\nuntested = 'draft'\n").untested_is_ready());
    assert!(file("[checks]\nuntested = 'ready'\n").untested_is_ready());
    refused(
        "[checks]\nuntested = 'merge'\n",
        ".codingworker.toml, line 2, column 12: unknown variant `merge`, expected `draft` or \
            `ready`",
    );
}

#[test]
fn an_empty_file_is_that_of_a_repository_without_one() {
    assert_eq!(RepositoryFile::parse(b"").unwrap(), RepositoryFile::default());
    assert_eq!(RepositoryFile::parse(b"# nothing\n[checks]\n").unwrap(), RepositoryFile::default());
    assert!(RepositoryFile::default().tests_pass());
}

#[track_caller]
fn unknown(text: &str, expected: &[(&str, usize, Option<&str>)]) {
    let file = RepositoryFile::parse(text.as_bytes()).unwrap();
    let unknown: Vec<_> = file
        .unknown_keys()
        .iter()
        .map(|UnknownKey { key, line, suggestion }| (key.as_str(), *line, suggestion.as_deref()))
        .collect();
    assert_eq!(unknown, expected);
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_right_one() {
    unknown("[checks]\ntset = \"make\"\n", &[("checks.tset", 2, Some("checks.test"))]);
    unknown("\n[check]\nbuild = 7\n", &[("check", 2, Some("checks"))]);
    unknown(
        "[checks]\ntest = { command = \"a\", timeout = 3 }\n",
        &[("checks.test.timeout", 2, Some("checks.test.timeout_seconds"))],
    );
    unknown(
        "lint = 'x'\n[gate]\ntests = false\n",
        &[("lint", 1, Some("checks.lint")), ("gate.tests", 3, Some("checks.tests"))],
    );
    unknown("[checks]\nimage = 'rust:1'\n", &[("checks.image", 2, None)]);
    unknown("checks.quux.command = 'x'\n", &[("checks.quux", 1, None)]);
}

#[test]
fn an_unknown_key_changes_nothing_else() {
    let text = "future = 1\n[checks]\ntest = { command = 'a', shell = 'b' }\nretries = 2\n\
                tests = false\n[gate]\nprotected = ['x']\nallow = []\n[other.table]\ny = 1\n";
    let file = RepositoryFile::parse(text.as_bytes()).unwrap();
    let known = "[checks]\ntest = { command = 'a' }\ntests = false\n\
                 [gate]\nprotected = ['x']\n";
    let expected = RepositoryFile::parse(known.as_bytes()).unwrap();
    assert_eq!(file.unknown_keys().len(), 5);
    assert_eq!(expected.unknown_keys(), []);
    assert_eq!(RepositoryFile { unknown: Vec::new(), ..file }, expected);
}

#[test]
fn an_unknown_key_is_told_in_a_sentence() {
    let file = RepositoryFile::parse(b"[checks]\ntset = ''\nquux = 1\n").unwrap();
    let told: Vec<_> = file.unknown_keys().iter().map(UnknownKey::to_string).collect();
    assert_eq!(
        told,
        [
            ".codingworker.toml, line 2: this version of CodingWorker does not know the key \
             `checks.tset` and ignores it; did you mean `checks.test`?",
            ".codingworker.toml, line 3: this version of CodingWorker does not know the key \
             `checks.quux` and ignores it",
        ]
    );
}

#[test]
fn each_known_key_is_read() {
    let file = "checks.tests = true\nchecks.setup_network = true\nchecks.timeout_seconds = 1\n\
                checks.untested = 'draft'\ngate.protected = []\ngate.unprotected = []\n";
    let commands = Kind::ALL
        .iter()
        .map(|kind| format!("checks.{} = {{ command = 'x', timeout_seconds = 1 }}\n", kind.name()));
    let text: String = [file.to_owned()].into_iter().chain(commands).collect();
    let document: toml::Table = text.parse().unwrap();
    let keys = |table: &toml::Table| table.keys().cloned().collect::<Vec<_>>();
    let known = |table: &str| {
        let mut keys = known_keys(table).to_vec();
        keys.sort_unstable();
        keys
    };
    assert_eq!(keys(&document), known(""));
    for table in ["checks", "gate"] {
        assert_eq!(keys(document[table].as_table().unwrap()), known(table));
    }
    assert_eq!(keys(document["checks"]["lint"].as_table().unwrap()), known("checks.lint"));
    unknown(&text, &[]);
}

#[test]
fn a_known_key_beside_an_unknown_one_is_still_held_to_its_type() {
    refused(
        "[checks]\nfuture = 1\nbuild = 7\n",
        ".codingworker.toml, line 3, column 9: invalid type: integer `7`, expected a command, a \
            list of commands, or a table \
         with `command` and `timeout_seconds`",
    );
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_its_place_and_the_right_one() {
    refused(
        "[checks]\nbuild = 7\n",
        ".codingworker.toml, line 2, column 9: invalid type: integer `7`, expected a command, a \
            list of commands, or a table \
         with `command` and `timeout_seconds`",
    );
    refused(
        "[checks]\nbuild = [\"a\", 7]\n",
        ".codingworker.toml, line 2, column 15: invalid type: integer `7`, expected a string",
    );
    refused(
        "[checks]\ntests = \"no\"\n",
        ".codingworker.toml, line 2, column 9: invalid type: string \"no\", expected a boolean",
    );
    refused(
        "[checks]\nbuild = { timeout_seconds = 3 }\n",
        ".codingworker.toml, line 2, column 9: missing field `command`",
    );
}

#[test]
fn a_timeout_out_of_range_is_refused() {
    for (value, shown) in [("0", "0"), ("-5", "-5"), ("86401", "86401")] {
        refused(
            &format!("[checks]\ntimeout_seconds = {value}\n"),
            &format!(
                ".codingworker.toml, line 2, column 19: a timeout is between 1 and 86400 seconds, \
                    not {shown}"
            ),
        );
    }
}

#[test]
fn what_is_not_toml_or_not_utf8_is_refused_with_its_place() {
    let error = RepositoryFile::parse(b"[checks]\nbuild = \"\xff\"\n").unwrap_err();
    assert_eq!(error, RepositoryFileError::Encoding { offset: 18 });
    let RepositoryFileError::Invalid { line, .. } =
        RepositoryFile::parse(b"[checks]\nbuild =\n").unwrap_err()
    else {
        panic!("not TOML")
    };
    assert_eq!(line, 2);
    let RepositoryFileError::Invalid { line, column, .. } =
        RepositoryFile::parse("[checks]\nbuild = \"ビルド\" x\n".as_bytes()).unwrap_err()
    else {
        panic!("not TOML")
    };
    assert_eq!((line, column), (2, 15));
}
