//! The forms in which compilers and linters of every language report an error in a file.

use std::sync::LazyLock;

use regex::Regex;

use super::FailureNames;

pub(in crate::checks) fn collect(lines: &[&str], names: &mut FailureNames) {
    for (line, next) in lines.iter().zip(lines.iter().skip(1).chain([&""])) {
        if let Some(place) = next.trim_start().strip_prefix("--> ") {
            pointed(line, place, names);
        } else if let Some(captures) = PLACED.captures(line) {
            let part =
                |name| captures.name(name).map_or("", |part: regex::Match<'_>| part.as_str());
            if is_error(part("path"), part("column"), part("message")) {
                names.diagnostic(
                    part("path"),
                    part("message"),
                    &format!("{}:{}", part("line"), part("column")),
                );
            }
        } else if let Some(captures) = BRACKETED.captures(line) {
            let part =
                |name| captures.name(name).map_or("", |part: regex::Match<'_>| part.as_str());
            names.diagnostic(
                part("path"),
                part("message"),
                &format!("{}{}", part("place"), part("java")),
            );
        } else if let Some((_, symbol)) = line.split_once("undefined reference to ") {
            names.diagnostic("", &format!("undefined reference to {symbol}"), "");
        }
    }
}

/// rustc, clippy and ruff: the message, and below it `--> src/lib.rs:1:51`.
fn pointed(message: &str, place: &str, names: &mut FailureNames) {
    let is_advice =
        ["warning", "note", "help"].iter().any(|word| message.trim_start().starts_with(word));
    if let Some((path, position)) = place.split_once(':').filter(|_| !is_advice) {
        names.diagnostic(path, &message.replace("[*] ", ""), position);
    }
}

/// `a.c:1:22: error: …`, `./shop.go:5:2: undefined: x`, `shop.py:3:1: F401 …`,
/// `A.java:3: error: …`, `src/a.ts:1:7 - error TS2322: …`, `e: file:///a.kt:1:2 …`.
static PLACED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        ^(?:vet:\ |\#\ |e:\ file://|[EW]\ )?
        (?P<path>[^\s:()'\x22]+\.\w+) : (?P<line>\d+) (?: : (?P<column>\d+) )?
        (?: : | \ - )? \ (?P<message>\S.*)$
        ",
    )
    .expect("the pattern is a constant that a test compiles")
});

/// `ts/a.ts(1,7): error TS2322: …`, `[ERROR] /src/A.java:[1,40] …`.
static BRACKETED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        ^(?:\[ERROR\]\ )? (?P<path>[^\s:()'\x22]+\.\w+)
        (?: \( (?P<place>\d+,\d+) \):\ (?:error) | :\[ (?P<java>\d+,\d+) \])
        \ (?P<message>\S.*)$
        ",
    )
    .expect("the pattern is a constant that a test compiles")
});

static LINT_CODE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[A-Z]{1,5}\d{2,5}\b").expect("the pattern is a constant that a test compiles")
});

fn is_error(path: &str, column: &str, message: &str) -> bool {
    let says_so = message.starts_with("error") || message.starts_with("fatal error");
    // Go's compiler and vet print errors alone, Kotlin's mark is before the path, and flake8 begins
    // with a code.
    says_so
        || LINT_CODE.is_match(message)
        || (!column.is_empty() && (path.ends_with(".go") || path.ends_with(".kt")))
}
