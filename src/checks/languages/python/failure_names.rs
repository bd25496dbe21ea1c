//! pytest, unittest and compileall.

use crate::checks::failure_names::FailureNames;

pub(super) fn collect(lines: &[&str], names: &mut FailureNames) {
    for (line, next) in lines.iter().zip(lines.iter().skip(1).chain([&""])) {
        if let Some(summary) = line.strip_prefix("FAILED ").or_else(|| line.strip_prefix("ERROR "))
        {
            // pytest's short summary; its node ids hold a file of Python.
            let id = node_id(summary);
            if id.contains(".py") {
                names.test(id);
            }
        } else if let Some(test) =
            line.strip_prefix("FAIL: ").or_else(|| line.strip_prefix("ERROR: "))
        {
            // unittest heads a failure with `FAIL: test_a (test_shop.T.test_a)`, between two rules
            // or above the test's doc string.
            if test.contains('(') && test.trim_end().ends_with(')') {
                names.test(test);
            }
        } else if let Some(file) = line.strip_prefix("*** Error compiling '") {
            let file = file.split('\'').next().unwrap_or(file);
            names.diagnostic(file, "does not compile", next);
        }
    }
}

/// `tests/test_a.py::test_b[x - y] - assert 1 == 2` without the message.
fn node_id(summary: &str) -> &str {
    let mut depth = 0_u32;
    for (at, c) in summary.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 && summary.get(at..).is_some_and(|rest| rest.starts_with(" - ")) => {
                return summary.get(..at).unwrap_or(summary);
            }
            _ => {}
        }
    }
    summary
}
