//! The text in which an error is told to a person.

use std::error::Error;

/// Joins the message of an error and those of its causes with `: `, outermost first.
///
/// The errors of these crates do not print their own causes, so whoever tells a person calls
/// this once. Errors of other crates often do print them: a cause that the text before already
/// contains is left out, so that nobody reads it twice.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
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
    #[error("{message}")]
    struct Layer {
        message: &'static str,
        source: Option<Box<dyn Error + Send + Sync>>,
    }

    fn layers(messages: &[&'static str]) -> Layer {
        let [message, causes @ ..] = messages else { panic!("an error has a message") };
        let source = (!causes.is_empty()).then(|| Box::new(layers(causes)) as Box<_>);
        Layer { message, source }
    }

    #[test]
    fn an_error_without_a_cause_is_its_own_message() {
        assert_eq!(chain(&io::Error::other("the disk is gone")), "the disk is gone");
    }

    #[test]
    fn every_cause_is_joined_outermost_first() {
        let error = layers(&["can't end the run", "can't write /x", "No space left on device"]);
        assert_eq!(chain(&error), "can't end the run: can't write /x: No space left on device");
    }

    #[test]
    fn a_cause_that_the_message_already_contains_is_not_told_again() {
        let error = layers(&["can't write /x: disk full", "disk full", "quota of user 7"]);
        assert_eq!(chain(&error), "can't write /x: disk full: quota of user 7");
    }

    #[test]
    fn a_cause_below_one_that_was_left_out_is_told() {
        let error = layers(&["a: b", "a", "b", "c"]);
        assert_eq!(chain(&error), "a: b: c");
    }

    #[test]
    fn a_transparent_error_is_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error(transparent)]
        struct Transparent(#[from] Layer);
        let error = Transparent::from(layers(&["can't read /y", "permission denied"]));
        assert_eq!(chain(&error), "can't read /y: permission denied");
    }

    /// As many crates do it: the error prints its cause and returns it too.
    #[derive(Debug, thiserror::Error)]
    #[error("the file can't be read: {0}")]
    struct Printing(#[source] io::Error);

    #[test]
    fn a_cause_that_an_error_prints_itself_is_told_once() {
        let error = Printing(io::Error::other("no space left on device"));
        assert_eq!(chain(&error), "the file can't be read: no space left on device");
    }
}
