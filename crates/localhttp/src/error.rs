//! The text in which an error is told to a person.

use std::error::Error;

/// An error and all of its causes as one line, separated by colons.
///
/// The errors of these crates do not print their own causes, so whoever tells a person calls
/// this once. Errors of other crates often do print them: a cause that the text before already
/// contains is left out, so that nobody reads it twice.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("can't open the data")]
    struct Open(#[source] Printing);

    /// As many crates do it: the error prints its cause and returns it too.
    #[derive(Debug, thiserror::Error)]
    #[error("the file can't be read: {0}")]
    struct Printing(#[source] io::Error);

    #[test]
    fn every_cause_is_told_once() {
        let error = Open(Printing(io::Error::other("no space left on device")));
        assert_eq!(
            chain(&error),
            "can't open the data: the file can't be read: no space left on device"
        );
    }
}
