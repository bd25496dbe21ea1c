//! What a check printed, as text that can be read, compared and shown.

use std::borrow::Cow;
use std::path::Path;
use std::sync::LazyLock;

use regex::{Regex, RegexSet};

use super::languages::LANGUAGES;

/// What stands for lines that were left out.
const GAP: &str = "[…]";

/// The printed bytes as plain text, with paths below `tree` relative to it.
///
/// Escape sequences and control characters are dropped, what is not UTF-8 is replaced, and of a
/// line that a progress display wrote over and over only the last state is left.
pub(super) fn clean(bytes: &[u8], tree: &Path) -> String {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let mut cleaned = String::with_capacity(text.len());
    for line in text.lines() {
        let last_state = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
        let plain = anstream::adapter::strip_str(last_state).to_string();
        cleaned.extend(plain.chars().filter(|c| *c == '\t' || !c.is_control()));
        let kept = cleaned.trim_end_matches([' ', '\t']).len();
        cleaned.truncate(kept);
        cleaned.push('\n');
    }
    relative_to(tree, cleaned)
}

/// Tools print absolute paths, by the name they were started with or by the resolved one; neither
/// belongs in a pull request, and they differ from run to run.
fn relative_to(tree: &Path, mut text: String) -> String {
    let resolved = std::fs::canonicalize(tree).ok();
    for path in [resolved.as_deref(), Some(tree)].into_iter().flatten().filter_map(Path::to_str) {
        if path.len() > 1 {
            text = text.replace(&format!("{path}/"), "").replace(path, ".");
        }
    }
    text
}

/// Lines that tell of progress and success, which nobody who looks for a failure needs.
static PROGRESS: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSet::new(LANGUAGES.iter().flat_map(|language| language.progress))
        .expect("the patterns are constants that a test compiles")
});

/// Lines at which a failure is told.
static TELLING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        \berror\b | \bError\b | \bERROR\b | \bFAIL(?:ED|URE)?\b | \bfatal\b | \bpanicked\ at\b |
        \bpanic: |
        ^E\s\s | Error: | Exception\b | ^\s*not\ ok\ | ^\s*(?:✖|✗|×|✕|●|❯)\s |
        \bundefined\ reference\b | -->\  | Traceback\ \(most\ recent
        ",
    )
    .expect("the pattern is a constant that a test compiles")
});

/// The part of an output that tells most about a failure, in at most `limit` bytes.
///
/// Progress and successes go first. If what is left is still too long, the end is kept, where test
/// tools sum up, and from the beginning the places where failures are told, since with compilers
/// the first error is the one that counts.
pub(super) fn excerpt(text: &str, limit: usize) -> String {
    let lines: Vec<_> =
        worth_reading(text).into_iter().map(|line| beginning(line, limit / 4)).collect();
    let whole: usize = lines.iter().map(|line| line.len() + 1).sum();
    if whole <= limit {
        return lines.join("\n");
    }
    let end = first_of_end(&lines, limit / 2);
    let mut budget = limit.saturating_sub(lines.iter().skip(end).map(|line| line.len() + 1).sum());
    let mut kept = vec![false; lines.len()];
    for (number, line) in lines.iter().enumerate().take(end) {
        // An error's own line, the one before for its context, and what it points at.
        let near = lines.iter().enumerate().take(number + 2).skip(number.saturating_sub(8));
        if !near.map(|(_, near)| near).any(|near| TELLING.is_match(near)) {
            continue;
        }
        let cost = line.len() + 1 + GAP.len() + 1;
        if cost > budget {
            break;
        }
        budget -= cost;
        if let Some(kept) = kept.get_mut(number) {
            *kept = true;
        }
    }
    let mut shown: Vec<&str> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        if number >= end || kept.get(number).copied().unwrap_or_default() {
            shown.push(line);
        } else if shown.last() != Some(&GAP) {
            shown.push(GAP);
        }
    }
    shown.join("\n")
}

fn worth_reading(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().filter(|line| !PROGRESS.is_match(line)) {
        // One blank line is enough wherever noise went.
        if !(line.is_empty() && lines.last().is_none_or(|last| last.is_empty())) {
            lines.push(line);
        }
    }
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}

/// The first line of as long an end as fits in `limit` bytes.
fn first_of_end(lines: &[Cow<'_, str>], limit: usize) -> usize {
    let mut size = 0;
    let fits = lines.iter().rev().take_while(|line| {
        size += line.len() + 1;
        size <= limit
    });
    lines.len() - fits.count()
}

/// A single line, such as a minified script's, must not crowd out all others.
fn beginning(line: &str, limit: usize) -> Cow<'_, str> {
    if line.len() <= limit {
        return Cow::Borrowed(line);
    }
    let end = line.floor_char_boundary(limit.saturating_sub(GAP.len()));
    Cow::Owned(format!("{}{GAP}", line.get(..end).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_control_characters_and_what_is_not_utf8_do_not_survive() {
        let printed = b"\x1b[1;31merror\x1b[0m: bad \xff\x07 byte\x08\r\n10%\r50%\r100% \
            done\n\x1b]8;;http://x\x07link\x1b]8;;\x07\ttab  \nno end";
        assert_eq!(
            clean(printed, Path::new("/nowhere")),
            "error: bad \u{fffd} byte\n100% done\nlink\ttab\nno end\n"
        );
    }

    #[test]
    fn paths_below_the_tree_become_relative() {
        let directory = tempfile::tempdir().unwrap();
        let printed = format!("{0}/src/a.rs:1\nrootdir: {0}\n", directory.path().display());
        assert_eq!(clean(printed.as_bytes(), directory.path()), "src/a.rs:1\nrootdir: .\n");
    }

    #[test]
    fn a_short_output_loses_only_its_noise() {
        let text = "   Compiling shop v0.1.0 (.)\ntest a ... ok\n\n\ntest b ... FAILED\n\n";
        assert_eq!(excerpt(text, 1000), "test b ... FAILED");
    }

    #[test]
    fn a_long_output_keeps_its_first_errors_and_its_end() {
        let mut text = String::from("start\n");
        text.push_str("error[E0308]: mismatched types\n --> src/lib.rs:1:2\n");
        text.push_str(&"filler line\n".repeat(1000));
        text.push_str("test result: 1 went wrong\nlast line\n");
        let shown = excerpt(&text, 600);
        assert!(shown.len() <= 600, "{} bytes", shown.len());
        assert!(
            shown.starts_with("start\nerror[E0308]: mismatched types\n --> src/lib.rs:1:2\n"),
            "{shown}"
        );
        assert!(shown.ends_with("filler line\ntest result: 1 went wrong\nlast line"), "{shown}");
        assert_eq!(shown.matches(GAP).count(), 1, "{shown}");
    }

    #[test]
    fn an_endless_line_is_cut_on_a_character_and_leaves_room_for_others() {
        let shown = excerpt(&format!("error: first\n{}\nlast\n", "あ".repeat(5000)), 100);
        assert_eq!(shown, "error: first\nああああああ[…]\nlast");
    }

    #[test]
    fn an_excerpt_never_exceeds_its_limit() {
        let text = "error: x\n".repeat(400) + &"y".repeat(3000) + "\nerror: end\n";
        for limit in [0, 20, 100, 1000, 5000] {
            assert!(excerpt(&text, limit).len() <= limit.max(GAP.len()), "{limit}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_printed_becomes_plain_text_within_the_limit(
            bytes: Vec<u8>,
            limit in 20_usize..200,
        ) {
            let text = clean(&bytes, Path::new("/nowhere"));
            let plain = |c: char| matches!(c, '\n' | '\t') || !c.is_control();
            proptest::prop_assert!(text.chars().all(plain));
            proptest::prop_assert!(excerpt(&text, limit).len() <= limit);
        }
    }
}
