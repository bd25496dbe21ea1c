//! Jest, Vitest, Mocha, node:test (TAP and spec), `ESLint`'s stylish format and Prettier.

use std::sync::LazyLock;

use regex::Regex;

use crate::checks::failure_names::FailureNames;

pub(super) fn collect(lines: &[&str], names: &mut FailureNames) {
    jest_and_vitest(lines, names);
    mocha(lines, names);
    tap(lines, names);
    node_spec(lines, names);
    eslint(lines, names);
    prettier(lines, names);
}

/// Jest: `FAIL js/a.test.js`, then `  ● shop › adds`. Vitest: ` FAIL  a.test.ts > shop > adds`, or
/// ` FAIL  a.test.ts [ a.test.ts ]`.
fn jest_and_vitest(lines: &[&str], names: &mut FailureNames) {
    let mut file: Option<&str> = None;
    let mut named = true;
    for line in lines {
        let trimmed = line.trim();
        if let Some(failed) = trimmed.strip_prefix("FAIL ").filter(|failed| is_script(failed)) {
            if let Some(unnamed) = file.filter(|_| !named) {
                names.test(unnamed);
            }
            let failed = failed.trim_start();
            if failed.contains(" > ") {
                names.test(failed);
                (file, named) = (None, true);
            } else {
                // `(5.2 s)` follows a slow file.
                (file, named) = (
                    failed.split_once([' ', '\t']).map_or(Some(failed), |(file, _)| Some(file)),
                    false,
                );
            }
        } else if let (Some(test), Some(file)) = (line.strip_prefix("  ● "), file) {
            names.test(&format!("{file} › {test}"));
            named = true;
        }
    }
    if let Some(unnamed) = file.filter(|_| !named) {
        names.test(unnamed);
    }
}

fn is_script(failed: &str) -> bool {
    [".js", ".ts", ".jsx", ".tsx", ".mjs", ".cjs", ".mts", ".cts", ".vue", ".svelte"]
        .iter()
        .any(|extension| failed.contains(extension))
}

static MOCHA_ENTRY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s+\d+\) (.+)$").expect("the pattern is a constant that a test compiles")
});

/// After `2 failing`: `  1) shop`, then deeper lines with the inner titles, the last of which ends
/// with a colon.
fn mocha(lines: &[&str], names: &mut FailureNames) {
    let failing = lines.iter().position(|line| {
        line.trim()
            .strip_suffix(" failing")
            .is_some_and(|count| count.chars().all(|c| c.is_ascii_digit()))
    });
    let Some(start) = failing else { return };
    let mut title: Vec<&str> = Vec::new();
    for line in lines.iter().skip(start + 1) {
        if let Some(entry) = MOCHA_ENTRY.captures(line).and_then(|captures| captures.get(1)) {
            title = vec![entry.as_str()];
        } else if !title.is_empty() {
            title.push(line.trim());
        }
        if let Some(last) = title.last().and_then(|last| last.strip_suffix(':')) {
            let outer = title.iter().take(title.len() - 1).copied();
            names.test(&outer.chain([last]).collect::<Vec<_>>().join(" › "));
            title.clear();
        }
    }
}

/// `not ok 1 - inner`, below the `# Subtest:` lines that say of what.
fn tap(lines: &[&str], names: &mut FailureNames) {
    if !lines
        .iter()
        .any(|line| line.starts_with("TAP version") || line.trim_start().starts_with("not ok "))
    {
        return;
    }
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut failed: Vec<String> = Vec::new();
    for line in lines {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if let Some(name) = trimmed.strip_prefix("# Subtest: ") {
            path.retain(|(outer, _)| *outer < indent);
            path.push((indent, name));
        } else if let Some(result) = trimmed.strip_prefix("not ok ") {
            let name = result.split_once(" - ").map_or(result, |(_, name)| name);
            let directive =
                name.split_once(" # ").map(|(_, directive)| directive.to_ascii_uppercase());
            if directive.is_some_and(|directive| {
                directive.starts_with("TODO") || directive.starts_with("SKIP")
            }) {
                continue;
            }
            let outer = path.iter().filter(|(outer, _)| *outer < indent).map(|(_, name)| *name);
            let name = outer.chain([name]).collect::<Vec<_>>().join(" › ");
            // A suite is red because of its tests, which come before it.
            if !failed
                .iter()
                .any(|inner| inner.strip_prefix(&name).is_some_and(|rest| rest.starts_with(" › ")))
            {
                failed.push(name);
            }
        }
    }
    for name in &failed {
        names.test(name);
    }
}

static SPEC_TEST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^✖ (.+) \(\d+(?:\.\d+)?ms\)$")
        .expect("the pattern is a constant that a test compiles")
});

/// After `✖ failing tests:`, each with the place it is at: `test at nt/a.test.js:2:1`,
/// `✖ adds two (1.2ms)`.
fn node_spec(lines: &[&str], names: &mut FailureNames) {
    let mut file = "";
    for line in lines.iter().skip_while(|line| **line != "✖ failing tests:") {
        if let Some(place) = line.strip_prefix("test at ") {
            file = place.split(':').next().unwrap_or(place);
        } else if let Some(name) = SPEC_TEST.captures(line).and_then(|captures| captures.get(1)) {
            names.test(&format!("{file} › {}", name.as_str()));
        }
    }
}

static ESLINT_ERROR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s+(\d+:\d+)\s+error\s+(.+?)(?:\s{2,}(\S+))?$")
        .expect("the pattern is a constant that a test compiles")
});

/// A line with the path, then its problems: `  1:7  error  'a' is never used  no-unused-vars`.
fn eslint(lines: &[&str], names: &mut FailureNames) {
    let mut file = "";
    for line in lines {
        if let Some(captures) = ESLINT_ERROR.captures(line) {
            let part = |number| captures.get(number).map_or("", |part| part.as_str());
            let rule = part(3);
            let message =
                if rule.is_empty() { part(2).to_owned() } else { format!("{rule}: {}", part(2)) };
            names.diagnostic(file, &message, part(1));
        } else if !line.is_empty() && !line.starts_with(' ') {
            file = line;
        }
    }
}

/// `[error] js/y.js: SyntaxError: Unexpected token (1:11)`.
fn prettier(lines: &[&str], names: &mut FailureNames) {
    for error in lines.iter().filter_map(|line| line.strip_prefix("[error] ")) {
        if let Some((file, message)) =
            error.split_once(": ").filter(|(file, _)| !file.contains(' '))
        {
            let (message, place) = message.rsplit_once(" (").unwrap_or((message, ""));
            names.diagnostic(file, message, place);
        }
    }
}
