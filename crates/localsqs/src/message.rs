//! The content of a message: its attributes, its digests, and the limits on characters and size.
//!
//! The rules are those of the SQS API Reference, `SendMessage` and `MessageAttributeValue`. This
//! module does no I/O.

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use crate::error::{Code, Error};

/// The largest message, body and attributes together, in bytes: 1 MiB.
pub(crate) const LARGEST: usize = 1 << 20;
const MOST_ATTRIBUTES: usize = 10;
const LONGEST_NAME: usize = 256;
const LONGEST_GROUP: usize = 128;

/// The system attribute that a sender may set: the trace that the message is part of.
pub(crate) const TRACE_HEADER: &str = "AWSTraceHeader";
/// The system attribute with the group that a sender named for the message.
pub(crate) const GROUP: &str = "MessageGroupId";

/// An attribute of a message: a type such as `String` or `Number.int`, and a value. The short names
/// of the fields are part of the data on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attribute {
    #[serde(rename = "t")]
    pub(crate) data_type: String,
    #[serde(rename = "v")]
    pub(crate) value: Value,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Value {
    #[serde(rename = "s")]
    Text(String),
    #[serde(rename = "b")]
    Binary(Vec<u8>),
}

/// The attributes of a message, by name.
pub(crate) type Attributes = BTreeMap<String, Attribute>;

/// What a sender sends, and what a receiver gets of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) body: String,
    pub(crate) attributes: Attributes,
    /// SQS knows one that a sender may set: [`TRACE_HEADER`]. A receiver gets the two that follow
    /// here, too.
    pub(crate) system_attributes: Attributes,
    /// The group that the sender named for the message.
    pub(crate) group: Option<String>,
    /// The trace of the request that sent the message. It counts when the message has none itself.
    pub(crate) trace: Option<String>,
}

impl Content {
    /// Checks the content against SQS's rules, with `largest` as the limit on its size in bytes.
    ///
    /// # Errors
    /// The first rule that the content breaks.
    pub(crate) fn check(&self, largest: usize) -> Result<(), Error> {
        if self.body.is_empty() {
            return Err(Error::missing("MessageBody"));
        }
        if let Some(position) = self.body.chars().position(|c| !is_allowed(c)) {
            return Err(Error::new(
                Code::InvalidMessageContents,
                format!(
                    "Invalid binary character at character {position} was found in the message \
                     body, the set of allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | \
                     #xE000 to #xFFFD | #x10000 to #x10FFFF"
                ),
            ));
        }
        if self.attributes.len() > MOST_ATTRIBUTES {
            let count = self.attributes.len();
            return Err(Error::value(format!(
                "Number of message attributes [{count}] exceeds the allowed maximum \
                 [{MOST_ATTRIBUTES}]."
            )));
        }
        for (name, attribute) in &self.attributes {
            check_name(name)?;
            attribute.check(name)?;
        }
        if let Some(name) = self.system_attributes.keys().find(|name| *name != TRACE_HEADER) {
            return Err(Error::value(format!(
                "Message system attribute name '{name}' is invalid."
            )));
        }
        // The letters, digits and punctuation that the SQS API Reference lists are ASCII's.
        let is_allowed_group = |group: &String| {
            (1..=LONGEST_GROUP).contains(&group.len())
                && group.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if let Some(group) = self.group.as_ref().filter(|group| !is_allowed_group(group)) {
            return Err(Error::value(format!(
                "Value {group} for parameter {GROUP} is invalid. Reason: {GROUP} can only include \
                 alphanumeric and punctuation characters. 1 to {LONGEST_GROUP} in length."
            )));
        }
        if self.size() > largest {
            return Err(Error::value(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than \
                 {largest} bytes."
            )));
        }
        Ok(())
    }

    /// The bytes that count against the limit: the body, and each attribute's name, type and
    /// value. System attributes do not count.
    pub(crate) fn size(&self) -> usize {
        let attributes =
            self.attributes.iter().map(|(name, attribute)| name.len() + attribute.size());
        self.body.len() + attributes.sum::<usize>()
    }

    /// The system attributes that a receiver may ask for. The sender's digest is only of those that
    /// it set itself.
    pub(crate) fn all_system_attributes(&self) -> Attributes {
        let implied = [(TRACE_HEADER, &self.trace), (GROUP, &self.group)].into_iter();
        let mut all: Attributes = implied
            .filter_map(|(name, text)| Some((name.to_owned(), Attribute::text(text.as_ref()?))))
            .collect();
        all.extend(self.system_attributes.clone());
        all
    }
}

impl Attribute {
    fn text(text: &str) -> Self {
        Self { data_type: "String".to_owned(), value: Value::Text(text.to_owned()) }
    }

    fn check(&self, name: &str) -> Result<(), Error> {
        let base = self.data_type.split('.').next().unwrap_or_default();
        if self.data_type.len() > LONGEST_NAME {
            return Err(Error::value(format!(
                "Length of message attribute type must be less than {LONGEST_NAME} bytes."
            )));
        }
        match (base, &self.value) {
            ("String" | "Number", Value::Text(text)) if text.is_empty() => {
                Err(Error::value(format!(
                    "Message attribute '{name}' must contain a non-empty value of type '{base}'."
                )))
            }
            ("String", Value::Text(text)) => check_text(name, text),
            ("Number", Value::Text(text)) => {
                if text.len() <= 128 && text.parse::<f64>().is_ok_and(f64::is_finite) {
                    Ok(())
                } else {
                    Err(Error::value(format!(
                        "Can't cast the value of message attribute '{name}' to a number."
                    )))
                }
            }
            ("Binary", Value::Binary(bytes)) if bytes.is_empty() => Err(Error::value(format!(
                "Message attribute '{name}' must contain a non-empty value of type 'Binary'."
            ))),
            ("Binary", Value::Binary(_)) => Ok(()),
            ("String" | "Number" | "Binary", _) => Err(Error::value(format!(
                "The message attribute '{name}' with type '{}' must use field '{base}'.",
                self.data_type
            ))),
            _ => Err(Error::value(format!(
                "The message attribute '{name}' has an invalid message attribute type, the set \
                 of supported type prefixes is Binary, Number, and String."
            ))),
        }
    }

    fn size(&self) -> usize {
        let value = match &self.value {
            Value::Text(text) => text.len(),
            Value::Binary(bytes) => bytes.len(),
        };
        self.data_type.len() + value
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let reserved = name.to_ascii_lowercase();
    let good = (1..=LONGEST_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !reserved.starts_with("aws.")
        && !reserved.starts_with("amazon.");
    if good {
        Ok(())
    } else {
        Err(Error::value(format!("The message attribute name '{name}' is invalid.")))
    }
}

fn check_text(name: &str, text: &str) -> Result<(), Error> {
    if text.chars().all(is_allowed) {
        Ok(())
    } else {
        Err(Error::value(format!(
            "Invalid non-text characters in the value of message attribute '{name}'."
        )))
    }
}

/// Whether XML 1.0 has the character. SQS keeps to that set, since its older protocol is XML (the
/// SQS API Reference, `SendMessage`).
fn is_allowed(c: char) -> bool {
    matches!(
        c,
        '\u{9}' | '\u{a}' | '\u{d}' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}'
            | '\u{10000}'..='\u{10ffff}'
    )
}

/// The MD5 of a body in hexadecimal digits. Clients compare it with their own.
pub(crate) fn md5_of_body(body: &str) -> String {
    hex::encode(Md5::digest(body.as_bytes()))
}

/// The MD5 of attributes, which come in the order of their names. Each part has its length before
/// it, and a value has the number of its kind before it (the SQS Developer Guide, "Calculating the
/// MD5 message digest for message attributes"). Nothing when there are no attributes.
pub(crate) fn md5_of_attributes<'a>(
    attributes: impl IntoIterator<Item = (&'a String, &'a Attribute)>,
) -> Option<String> {
    let mut digest = Md5::new();
    let mut any = false;
    for (name, attribute) in attributes {
        any = true;
        add(&mut digest, name.as_bytes());
        add(&mut digest, attribute.data_type.as_bytes());
        match &attribute.value {
            Value::Text(text) => {
                digest.update([1]);
                add(&mut digest, text.as_bytes());
            }
            Value::Binary(bytes) => {
                digest.update([2]);
                add(&mut digest, bytes);
            }
        }
    }
    any.then(|| hex::encode(digest.finalize()))
}

fn add(digest: &mut Md5, part: &[u8]) {
    digest.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    digest.update(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(body: &str, attributes: &[(&str, &str, &str)]) -> Content {
        let attributes = attributes.iter().map(|(name, data_type, value)| {
            (
                (*name).to_owned(),
                Attribute {
                    data_type: (*data_type).to_owned(),
                    value: Value::Text((*value).to_owned()),
                },
            )
        });
        Content { body: body.to_owned(), attributes: attributes.collect(), ..Content::default() }
    }

    #[test]
    fn the_digests_are_awss() {
        assert_eq!(md5_of_body("This is a test message"), "fafb00f5732ab283681e124bf8747ed1");
        let attributes = content("x", &[("timestamp", "Number", "1493147359900")]).attributes;
        assert_eq!(
            md5_of_attributes(&attributes).as_deref(),
            Some("235c5c510d26fb653d073faed50ae77c")
        );
        assert_eq!(md5_of_attributes(&Attributes::new()), None);
    }

    #[test]
    fn characters_that_sqs_refuses_are_refused() {
        for bad in ["\0", "\u{fffe}", "\u{ffff}", "\u{1b}"] {
            assert_eq!(
                content(bad, &[]).check(LARGEST).unwrap_err().code,
                Code::InvalidMessageContents,
                "{bad:?}"
            );
        }
        assert!(content("a\t\n\r\u{10ffff}漢", &[]).check(LARGEST).is_ok());
    }

    #[test]
    fn the_limit_counts_the_attributes_too() {
        assert!(content(&"x".repeat(LARGEST), &[]).check(LARGEST).is_ok());
        assert!(content(&"x".repeat(LARGEST), &[("a", "String", "b")]).check(LARGEST).is_err());
        assert_eq!(content("body", &[("name", "String", "value")]).size(), 4 + 4 + 6 + 5);
    }

    #[test]
    fn a_group_has_characters_that_can_be_seen() {
        for (group, good) in [
            ("tenant-a", true),
            (r##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"##, true),
            (&"x".repeat(128), true),
            (&"x".repeat(129), false),
            ("", false),
            ("a b", false),
            ("\u{7f}", false),
            ("漢字", false),
        ] {
            let content = Content { group: Some(group.to_owned()), ..content("body", &[]) };
            assert_eq!(content.check(LARGEST).is_ok(), good, "{group}");
        }
    }

    #[test]
    fn a_message_has_the_trace_of_its_request_unless_it_has_one_itself() {
        let traced = Content { trace: Some("outer".to_owned()), ..content("body", &[]) };
        let own = Attributes::from([(TRACE_HEADER.to_owned(), Attribute::text("inner"))]);
        assert_eq!(traced.all_system_attributes()[TRACE_HEADER], Attribute::text("outer"));
        let both = Content { system_attributes: own.clone(), ..traced };
        assert_eq!(both.all_system_attributes(), own);
    }

    #[test]
    fn attributes_are_checked_against_their_type() {
        for (name, data_type, value, good) in [
            ("a", "String", "x", true),
            ("a", "String.custom", "x", true),
            ("a", "Number", "1e3", true),
            ("a", "Number", "one", false),
            ("a", "String", "", false),
            ("a", "Text", "x", false),
            ("AWS.x", "String", "x", false),
            ("a..b", "String", "x", false),
            ("a b", "String", "x", false),
        ] {
            let checked = content("body", &[(name, data_type, value)]).check(LARGEST);
            assert_eq!(checked.is_ok(), good, "{name} {data_type} {value}: {checked:?}");
        }
    }
}
