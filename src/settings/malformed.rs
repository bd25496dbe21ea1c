//! What the TOML library says of a file, in Japanese.
//!
//! Somebody who mistyped a key has to understand that. The forms are serde's own ("Error" in its
//! documentation, `serde::de`); what has another form stays as it is.

/// Tells a message of serde's in Japanese: what was found, and what was expected.
pub(crate) fn message_in_japanese(message: &str) -> String {
    let (found, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let listed = expected.trim_start_matches("one of ").replace(" or ", ", ").replace(", ", "、");
    if let Some(key) = found.strip_prefix("unknown field ") {
        let key = key.trim_end_matches(", there are no fields");
        if listed.is_empty() {
            return format!("キー {key} は使えません");
        }
        return format!("キー {key} はありません（使えるキー: {listed}）");
    }
    if let Some(value) = found.strip_prefix("unknown variant ") {
        return format!("値 {value} は使えません（使える値: {listed}）");
    }
    if let Some(value) = found.strip_prefix("invalid type: ") {
        return format!("値の型が正しくありません（{value}。必要な型: {expected}）");
    }
    if let Some(value) = found.strip_prefix("invalid value: ") {
        return format!("値が正しくありません（{value}。必要な値: {expected}）");
    }
    if let Some(key) = found.strip_prefix("missing field ") {
        return format!("キー {key} がありません");
    }
    if let Some(key) = found.strip_prefix("duplicate key") {
        return format!("同じキーが2回あります{key}");
    }
    message.to_owned()
}

/// Tells an error of the TOML library in Japanese, with the line that it shows.
pub(crate) fn error_in_japanese(error: &toml::de::Error) -> String {
    let shown = error.to_string();
    let place = shown.split_once('\n').and_then(|(heading, rest)| {
        let (line, column) =
            heading.strip_prefix("TOML parse error at line ")?.split_once(", column ")?;
        let excerpt = rest.trim_end().strip_suffix(error.message().trim_end())?;
        Some(format!("{line}行目の{column}文字目\n{excerpt}"))
    });
    format!("{}{}", place.unwrap_or_default(), message_in_japanese(error.message().trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Section {
        #[expect(dead_code, reason = "only errors are looked at")]
        number: u8,
        #[expect(dead_code, reason = "only errors are looked at")]
        language: Option<crate::language::Language>,
    }

    fn told(text: &str) -> String {
        error_in_japanese(&toml::from_str::<Section>(text).unwrap_err())
    }

    #[test]
    fn what_is_wrong_with_a_key_or_a_value_is_told_in_japanese() {
        let check = |text: &str, expected: &str| {
            let error = told(text);
            assert!(error.contains(expected), "{text:?}: {error}");
        };
        let unknown = "キー `nmber` はありません（使えるキー: `number`、`language`）";
        check("nmber = 1\n", unknown);
        check("number = 1\nlanguage = \"fr\"\n", "値 `fr` は使えません（使える値: `en`、`ja`）");
        check("number = \"x\"\n", "（string \"x\"。必要な型: u8）");
        check("number = 300\n", "300");
        check("language = \"ja\"\n", "キー `number` がありません");
        assert!(
            told("nmber = 1\n").starts_with("1行目の1文字目\n  |\n1 | nmber = 1"),
            "{}",
            told("nmber = 1\n")
        );
    }

    #[test]
    fn a_message_of_another_form_stays_as_it_is() {
        assert_eq!(message_in_japanese("unclosed table"), "unclosed table");
    }
}
