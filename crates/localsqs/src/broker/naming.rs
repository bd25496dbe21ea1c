//! What a queue may be called and tagged with (the SQS API Reference, `CreateQueue` and
//! `TagQueue`). Pure.

use crate::attributes::Settings;
use crate::error::{Code, Error};

const MOST_TAGS: usize = 50;

pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.strip_suffix(".fifo").is_some() {
        return Err(Error::new(
            Code::UnsupportedOperation,
            "FIFO queues are not supported here: use a standard queue, whose name does not end in .fifo.",
        ));
    }
    if (1..=80).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(Error::value(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        ))
    }
}

pub(super) fn check_tags(tags: &Settings) -> Result<(), Error> {
    if tags.len() > MOST_TAGS {
        return Err(Error::value(format!(
            "Too many tags added for queue: at most {MOST_TAGS} are allowed."
        )));
    }
    let good = |(key, value): (&String, &String)| {
        (1..=128).contains(&key.chars().count())
            && value.chars().count() <= 256
            && !key.to_ascii_lowercase().starts_with("aws:")
    };
    if tags.iter().all(good) {
        Ok(())
    } else {
        Err(Error::value(
            "Tag keys have 1 to 128 characters and don't begin with aws:, values have at most 256.",
        ))
    }
}
