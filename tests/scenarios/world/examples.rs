//! The examples of a page of the documentation: a scenario runs their commands and compares what
//! they print, so that neither the page nor the program drifts from the other.
//!
//! An example is a block of code whose first line is `$ codingworker …`. What differs from run to
//! run, such as a time, counts as equal. A line `…` stands for any lines.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// What differs from run to run, and a word for it.
static VARYING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let patterns = [
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?Z?", "<time>"),
        (r"\b(\d+ h \d+ min|\d+ min \d+ s|\d+(\.\d+)? s)\b", "<duration>"),
        (r"\d+時間\d+分|\d+分\d+秒|\d+(\.\d+)?秒", "<duration>"),
        (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<message>"),
        (r"\b[0-9a-f]{40}\b", "<commit>"),
        (r"(process |プロセス)\d+", "$1<pid>"),
    ];
    patterns.map(|(pattern, word)| (Regex::new(pattern).unwrap(), word)).into()
});

pub struct Examples {
    page: String,
    unused: Vec<(String, String)>,
    faults: Vec<String>,
}

impl Examples {
    /// The examples of a page below the project's directory.
    pub fn of(page: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        let text = std::fs::read_to_string(path).unwrap();
        let blocks = text.split("```text\n$ ").skip(1);
        let unused = blocks
            .map(|block| {
                let block = block.split("```").next().unwrap();
                let (command, output) = block.split_once('\n').unwrap();
                (command.to_owned(), output.to_owned())
            })
            .collect();
        Self { page: page.to_owned(), unused, faults: Vec::new() }
    }

    /// Compares what a command printed with the next example of that command.
    pub fn compare(&mut self, command: &str, printed: &str) {
        let position = self.unused.iter().position(|(of, _)| of == command);
        let Some(position) = position else {
            self.faults.push(format!("{} has no `{command}`, which prints:\n{printed}", self.page));
            return;
        };
        let (_, expected) = self.unused.remove(position);
        let (is, should) = (constant(printed), constant(&expected));
        let [is, should] = [&is, &should].map(|text| Vec::from_iter(text.lines()));
        if !fits(&should, &is) {
            let page = &self.page;
            self.faults
                .push(format!("{page} shows\n{expected}\nand `{command}` prints\n{printed}"));
        }
    }

    /// Fails unless each example was compared and is as the program prints it.
    pub fn check(mut self) {
        let unused = self.unused.iter();
        self.faults.extend(unused.map(|(command, _)| format!("nothing asked for `{command}`")));
        assert!(self.faults.is_empty(), "{}", self.faults.join("\n---\n"));
    }
}

fn constant(text: &str) -> String {
    VARYING.iter().fold(text.trim_end().to_owned(), |text, (pattern, word)| {
        pattern.replace_all(&text, *word).into_owned()
    })
}

fn fits(expected: &[&str], lines: &[&str]) -> bool {
    match (expected, lines) {
        ([], []) => true,
        (["…", rest @ ..], _) => (0..=lines.len()).any(|skipped| fits(rest, &lines[skipped..])),
        ([first, expected @ ..], [line, lines @ ..]) => first == line && fits(expected, lines),
        ([], _) | (_, []) => false,
    }
}

#[test]
fn an_example_fits_whatever_its_times_are() {
    let shown = "run 1  done  2026-11-24 14:03 (3 min 20 s)\n…\nlast\n";
    let printed = "run 1  done  2027-01-01 00:00 (0.4 s)\none\ntwo\nlast\n";
    let fit = |shown: &str, printed: &str| {
        let (shown, printed) = (constant(shown), constant(printed));
        let [shown, printed] = [&shown, &printed].map(|text| Vec::from_iter(text.lines()));
        fits(&shown, &printed)
    };
    assert!(fit(shown, printed));
    assert!(fit(shown, "run 1  done  2027-01-01 00:00 (12 s)\nlast"));
    assert!(!fit(shown, &printed.replace("done", "failed")));
    assert!(!fit(shown, &printed.replace("last", "first")));
}
