use super::*;
use crate::gate::settings::GateSection;
use crate::git::{ChangeStatus, LineCount, Mode, TreeEntry};

const ID: &str = "1111111111111111111111111111111111111111";

fn entry(mode: Mode) -> Option<TreeEntry> {
    Some(TreeEntry { mode, id: ID.parse().unwrap() })
}

fn file(path: &str, size: u64) -> Change {
    Change {
        path: path.into(),
        renamed_from: None,
        status: ChangeStatus::Added,
        before: None,
        after: entry(Mode::File),
        lines: Some(LineCount { added: 1, deleted: 0 }),
        size,
        link_target: None,
    }
}

fn link(path: &str, target: &str) -> Change {
    Change {
        after: entry(Mode::Link),
        link_target: Some(target.as_bytes().to_vec()),
        ..file(path, 1)
    }
}

/// A changed file whose content is all new.
fn new(change: Change) -> ChangedFile {
    let added_size = change.size;
    ChangedFile { change, added: String::new(), added_size, filter: None, filter_before: None }
}

fn limits() -> ChangeLimits {
    let settings = GateSection::default().validate().unwrap();
    ChangeLimits::new(&settings, ProtectedPaths::default())
}

fn judge_new(changes: &[Change], limits: &ChangeLimits) -> Result<Approved, Refusal> {
    judge(&changes.iter().cloned().map(new).collect::<Vec<_>>(), limits)
}

fn told(judged: Result<Approved, Refusal>) -> Vec<String> {
    judged.map_or_else(
        |refusal| refusal.findings.iter().map(Finding::to_string).collect(),
        |_| Vec::new(),
    )
}

fn findings(changes: &[Change]) -> Vec<String> {
    told(judge_new(changes, &limits()))
}

#[test]
fn an_ordinary_change_passes() {
    let changes = [
        file("src/main.rs", 100),
        file(".gitignore", 10),
        file("docs/日本語 \"x\".md", 20),
        link("docs/latest", "v1"),
    ];
    let approved = judge_new(&changes, &limits()).unwrap();
    assert_eq!((approved.files(), approved.size()), (4, 131));
}

#[test]
fn protected_paths_are_named_with_their_rule() {
    let check = |path: &str, rule: &str| {
        assert_eq!(findings(&[file(path, 1)]), [format!("{path} is protected by the rule {rule}")]);
    };
    check(".github/workflows/ci.yml", ".github/**");
    check(".GitHub/CODEOWNERS", ".github/**");
    check(".codingworker.toml", ".codingworker.toml");
    check(".gitmodules", "**/.gitmodules");
    check("sub/.gitattributes", "**/.gitattributes");
    for free in ["github/x", "docs/.github", "a/.codingworker.toml", ".gitignore", "gitmodules"] {
        assert!(findings(&[file(free, 1)]).is_empty(), "{free}");
    }
}

#[test]
fn a_deleted_workflow_is_a_change_too() {
    let deleted = Change {
        status: ChangeStatus::Deleted,
        before: entry(Mode::File),
        after: None,
        ..file(".github/workflows/ci.yml", 0)
    };
    assert_eq!(findings(&[deleted]).len(), 1);
}

#[test]
fn a_submodule_may_not_come_go_or_change() {
    let text = ["lib adds, changes or removes a submodule, and submodules may not be changed"];
    assert_eq!(findings(&[Change { after: entry(Mode::Submodule), ..file("lib", 0) }]), text);
    assert_eq!(
        findings(&[Change { before: entry(Mode::Submodule), after: None, ..file("lib", 0) }]),
        text
    );
    assert_eq!(findings(&[Change { before: entry(Mode::Submodule), ..file("lib", 9) }]), text);
}

#[test]
fn a_link_may_not_lead_out_of_the_repository() {
    for (path, target) in [
        ("a", "b"),
        ("a", "b/c"),
        ("d/a", "../b"),
        ("d/e/a", "../../b/c"),
        ("a", "./b"),
        ("a", "..b"),
        ("d/a", ".."),
    ] {
        assert!(findings(&[link(path, target)]).is_empty(), "{path} -> {target}");
    }
    for (path, target) in [
        ("a", "/etc/passwd"),
        ("a", ".."),
        ("a", "../b"),
        ("d/a", "../../b"),
        ("a", "b/../.."),
        ("d/a", "b/../c"),
        ("a", ".git/config"),
        ("d/a", "../.GIT"),
        ("a", ""),
    ] {
        assert_eq!(
            findings(&[link(path, target)]),
            [format!("{path} is a symbolic link out of the repository")],
            "{target}"
        );
    }
    let unread = Change { link_target: None, ..link("a", "") };
    assert_eq!(findings(&[unread]).len(), 1);
}

#[test]
fn a_file_may_hold_what_would_be_a_bad_link() {
    assert!(findings(&[Change { link_target: None, ..file("a", 3) }]).is_empty());
}

#[test]
fn limits_are_inclusive_and_told() {
    let many: Vec<Change> = (0..201).map(|number| file(&format!("f{number}"), 1)).collect();
    assert!(findings(&many[..200]).is_empty());
    assert_eq!(findings(&many), ["201 files are changed, and the limit is 200"]);

    assert!(findings(&[file("a", 5 << 20)]).is_empty());
    assert_eq!(
        findings(&[file("a", 5 << 20), file("b", 1)]),
        ["the change adds 5242881 bytes, and the limit is 5242880 bytes"]
    );
    assert_eq!(findings(&[file("a", u64::MAX), file("b", 1)]).len(), 1);

    let binary = |size| Change { lines: None, ..file("x.bin", size) };
    assert!(findings(&[binary(1 << 20)]).is_empty());
    assert_eq!(
        findings(&[binary((1 << 20) + 1)]),
        ["x.bin is a binary file of 1048577 bytes, and the limit is 1048576 bytes"]
    );
}

#[test]
fn a_rename_counts_once_and_adds_only_what_differs() {
    let renamed = |number: usize| {
        let path = format!("new/{number}");
        let change = Change {
            renamed_from: Some(format!("old/{number}").as_str().into()),
            status: ChangeStatus::Renamed,
            before: entry(Mode::File),
            ..file(&path, 6 << 20)
        };
        ChangedFile { added_size: 10, ..new(change) }
    };
    let files: Vec<ChangedFile> = (0..150).map(renamed).collect();
    let approved = judge(&files, &limits()).unwrap();
    assert_eq!((approved.files(), approved.size()), (150, 1500));
}

#[test]
fn a_large_binary_file_may_move() {
    let moved = Change { lines: None, before: entry(Mode::File), ..file("new.bin", 6 << 20) };
    let moved = ChangedFile { added_size: 0, ..new(moved) };
    assert_eq!(told(judge(&[moved], &limits())), [""; 0]);
}

#[test]
fn a_file_may_neither_come_to_a_protected_path_nor_leave_it() {
    for (from, to) in [(".github/workflows/ci.yml", "ci.yml"), ("ci.yml", ".github/ci.yml")] {
        let renamed = Change { renamed_from: Some(from.into()), ..file(to, 1) };
        assert_eq!(findings(&[renamed]).len(), 1, "{from} to {to}");
    }
}

#[test]
fn new_content_may_not_pass_by_a_filter() {
    let lfs = Some("lfs".to_owned());
    let filtered = |change: Change, before: &Option<String>| {
        let (filter, filter_before) = (lfs.clone(), before.clone());
        told(judge(&[ChangedFile { filter, filter_before, ..new(change) }], &limits()))
    };
    let said = "logo.bin is stored through the filter lfs (`.gitattributes`), which this worker \
                does not have";
    assert_eq!(filtered(file("logo.bin", 20_000), &None), [said]);
    let deleted = Change { before: entry(Mode::File), after: None, ..file("logo.bin", 0) };
    assert!(filtered(deleted, &None).is_empty());
    let moved = Change {
        renamed_from: Some("old.bin".into()),
        before: entry(Mode::File),
        ..file("logo.bin", 130)
    };
    assert!(filtered(moved.clone(), &lfs).is_empty(), "the pointer is as it was");
    assert_eq!(filtered(moved.clone(), &None).len(), 1, "a text would become a pointer");
    let unfiltered = ChangedFile { filter_before: lfs.clone(), ..new(moved) };
    assert_eq!(told(judge(&[unfiltered], &limits())).len(), 1, "a pointer would become a text");
}

#[test]
fn the_marks_of_a_merge_conflict_are_found_where_they_are_no_prose() {
    let added = "<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> x\n";
    let with_marks = |path: &str| {
        told(judge(&[ChangedFile { added: added.to_owned(), ..new(file(path, 1)) }], &limits()))
    };
    assert_eq!(with_marks("conf.yaml"), ["conf.yaml has the marks of a merge conflict"]);
    assert!(with_marks("docs/merging.md").is_empty());
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let changes = [link(".github/a", "/etc"), file("b", 6 << 20)];
    let refusal = judge_new(&changes, &limits()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        ".github/a is protected by the rule .github/**; .github/a is a symbolic link out of \
         the repository; \
         the change adds 6291457 bytes, and the limit is 5242880 bytes"
    );
}

#[test]
fn a_repository_adds_and_lifts_but_not_what_is_always_protected() {
    let own =
        |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>();
    let protected =
        ProtectedPaths::of_repository(&own(&["infra/**"]), &own(&["**/AGENTS.md", ".github/**"]))
            .unwrap();
    let limits = ChangeLimits { protected, ..limits() };
    let passes = |path: &str| judge_new(&[file(path, 1)], &limits).is_ok();
    assert!(passes("AGENTS.md") && passes("src/infra.rs"));
    assert!(
        !passes("infra/main.tf") && !passes(".github/workflows/ci.yml") && !passes("CLAUDE.md")
    );
}

#[test]
fn a_wrong_pattern_is_named() {
    assert!(ProtectedPaths::new(&["a[", "b"]).unwrap_err().to_string().contains("a["));
}
