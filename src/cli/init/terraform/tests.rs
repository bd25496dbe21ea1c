use super::*;

fn values() -> Values {
    Values {
        owner: "octo-org".to_owned(),
        repositories: vec!["shop".to_owned(), "a.b_c".to_owned()],
        region: DEFAULT_REGION.to_owned(),
        environment: DEFAULT_ENVIRONMENT.to_owned(),
        alarm_email: None,
        numbers: None,
    }
}

#[test]
fn a_folder_is_known_by_the_variable_it_declares() {
    let check =
        |text: &str, expected: bool| assert_eq!(declares_organization(text), expected, "{text:?}");
    check("variable \"github_org\" {\n  type = string\n}\n", true);
    check("# ours\r\n\tvariable  \"github_org\"{}\r\n", true);
    check("", false);
    check("# variable \"github_org\" {}\n", false);
    check("variable \"github_organization\" {}\n", false);
    check("org = var.github_org\n", false);
}

#[test]
fn with_numbers_the_file_holds_them() {
    let repositories = vec![("shop".to_owned(), 7), ("a.b_c".to_owned(), 8)];
    let values = Values {
        numbers: Some(Numbers { owner: 42, repositories }),
        alarm_email: Some("me@example.com".to_owned()),
        ..values()
    };
    insta::assert_snapshot!(values.file().text, @r#"
    # Whom the queue takes tasks from. Names are exact, spelled as GitHub spells them; variables.tf tells of every variable.

    github_org   = "octo-org"
    github_repos = ["shop", "a.b_c"]

    # Numbers keep the trust with your repositories even if a name is given up and taken by somebody else.
    # Repositories created, renamed or transferred after 15 July 2026 present them, and need them here.
    github_owner_id = "42"
    github_repo_ids = { "shop" = "7", "a.b_c" = "8" }

    # With numbers, whether the names alone are trusted as well: for repositories that still present those.
    accept_legacy_subject = false

    aws_region  = "ap-northeast-1"
    environment = "dev"

    # Alarms by e-mail when the dead-letter queue holds a task or nobody works; SNS sends a link to confirm first.
    alarm_email = "me@example.com"
    "#);
}

#[test]
fn without_numbers_the_file_says_how_to_find_them() {
    insta::assert_snapshot!(values().file().text, @r#"
    # Whom the queue takes tasks from. Names are exact, spelled as GitHub spells them; variables.tf tells of every variable.

    github_org   = "octo-org"
    github_repos = ["shop", "a.b_c"]

    # Numbers keep the trust with your repositories even if a name is given up and taken by somebody else.
    # Repositories created, renamed or transferred after 15 July 2026 present them, and need them here.
    # Each command prints the repository's number, then the owner's:
    #   gh api repos/octo-org/shop --jq '.id, .owner.id'
    #   gh api repos/octo-org/a.b_c --jq '.id, .owner.id'
    # github_owner_id = "NUMBER"
    # github_repo_ids = { "shop" = "NUMBER", "a.b_c" = "NUMBER" }

    # With numbers, whether the names alone are trusted as well: for repositories that still present those.
    accept_legacy_subject = false

    aws_region  = "ap-northeast-1"
    environment = "dev"

    # Alarms by e-mail when the dead-letter queue holds a task or nobody works; SNS sends a link to confirm first.
    # alarm_email = "you@example.com"
    "#);
}

#[test]
fn a_value_is_what_variables_tf_takes() {
    let check = |rule: fn(&str) -> Result<String, Said>, right: &[&str], wrong: &[&str]| {
        for text in right {
            assert_eq!(rule(text).unwrap(), *text);
        }
        for text in wrong {
            let error = rule(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is not ")), "{error}");
        }
    };
    let long = "a".repeat(39);
    let longer = "a".repeat(40);
    check(
        owner,
        &["o", "octo-org", &long],
        &["", "-o", "o-", "o--o", "o_o", "o/o", "o*", "${o}", "o\n", "オ", &longer],
    );
    let long = "a".repeat(100);
    let longer = "a".repeat(101);
    check(
        repository,
        &["r", "a.b_c-d", ".github", "...", &long],
        &["", ".", "..", "o/r", "r.git", "r.GIT", "r*", "r?", "r\"", "%{r}", "r ", "r\n", &longer],
    );
    check(
        region,
        &["ap-northeast-1", "us-gov-west-1"],
        &["", "tokyo", "ap-northeast-1\n", "AP-NORTHEAST-1"],
    );
    check(environment, &["dev", "a", "prod-2"], &["", "-a", "a-", "Dev", "a b", "a\n"]);
    check(
        alarm_email,
        &["me@example.com", "a+b@c.d.e"],
        &["", "me", "me@example", "a@b@c.d", "a b@c.d", "a@b.c\n"],
    );
}

#[test]
fn a_string_of_hcl_is_just_the_text() {
    let check = |text: &str, expected: &str| assert_eq!(quoted(text), expected);
    check("plain", r#""plain""#);
    check(r#"a"b\c"#, r#""a\"b\\c""#);
    check("${a} %{b} $a %b $${c}", r#""$${a} %%{b} $a %b $$${c}""#);
    check("a\n\r\t\u{1}\u{7f}é", r#""a\n\r\t\u0001\u007fé""#);
}
