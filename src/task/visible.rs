//! Finds the part of a text that a person sees when they decide about it. This module does no I/O.
//!
//! A person who sets a label reads the issue as GitHub shows it. Text that GitHub does not show
//! must not influence an agent: comments in HTML and in Markdown, characters without a width,
//! characters that change the direction of the text, and characters that only programs read.

use std::sync::LazyLock;

use regex::Regex;

use super::markdown;

static ESCAPE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-Z\\-_])?")
        .expect("the pattern is constant")
});

/// The flags of England, Scotland and Wales, which are written with characters that are hidden
/// elsewhere (Unicode Technical Standard #51, "Emoji Tag Sequences").
const FLAGS: &[&str] = &[
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}",
];

/// A text as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visible {
    pub text: String,
    /// How many characters of the original text are missing here.
    pub hidden: usize,
}

/// Removes the text that GitHub does not show in the body of an issue, which is Markdown.
///
/// The Markdown is read first, as GitHub reads it, and hidden characters are removed after that: a
/// comment with a hidden character in its `<!--` is no comment for GitHub, and people see it.
#[must_use]
pub fn visible(text: &str) -> Visible {
    let unified = text.replace("\r\n", "\n");
    let mut shown = String::with_capacity(unified.len());
    let mut end = 0;
    for hidden in markdown::hidden(&unified) {
        shown.push_str(unified.get(end..hidden.start).unwrap_or_default());
        end = hidden.end;
    }
    shown.push_str(unified.get(end..).unwrap_or_default());
    seen(&unified, &shown)
}

/// Removes the text that GitHub does not show in the title of an issue. A title is no Markdown, so
/// what would be a comment elsewhere is shown there.
#[must_use]
pub fn visible_title(text: &str) -> Visible {
    seen(text, text)
}

fn seen(original: &str, shown: &str) -> Visible {
    let text = plain(shown);
    let length = original.replace("\r\n", "\n").chars().count();
    Visible { hidden: length.saturating_sub(text.chars().count()), text }
}

/// Removes terminal escapes, control characters, and characters that reorder or hide text.
#[must_use]
pub fn plain(text: &str) -> String {
    let text = ESCAPE.replace_all(text, "").replace("\r\n", "\n");
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_str();
    let mut previous = None;
    while let Some(next) = rest.chars().next() {
        let flag = FLAGS.iter().find(|flag| rest.starts_with(**flag));
        let part = flag.map_or(next.len_utf8(), |flag| flag.len());
        let (shown, after) = rest.split_at_checked(part).unwrap_or((rest, ""));
        if flag.is_some() || is_seen(next) || previous.is_some_and(|base| selects(base, next)) {
            plain.push_str(shown);
            previous = Some(next);
        }
        rest = after;
    }
    plain
}

/// Returns whether `selector` chooses how `base`, the character before it, looks. There is at most
/// one for a character: a sequence of them can encode a hidden text.
///
/// Emoji have U+FE0E and U+FE0F, kanji have those of the Ideographic Variation Database and the
/// first three of the standardized ones (The Unicode Standard, section 23.4).
fn selects(base: char, selector: char) -> bool {
    let is_kanji = matches!(base,
        '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}');
    match selector {
        '\u{e0100}'..='\u{e01ef}' | '\u{fe00}'..='\u{fe02}' => is_kanji,
        '\u{fe0e}' | '\u{fe0f}' => {
            let is_symbol = !base.is_alphabetic() && !base.is_whitespace() && !base.is_control();
            is_symbol && is_seen(base)
        }
        _ => false,
    }
}

/// Returns whether a character is visible to a reader wherever it stands, or is a line end or a
/// tab.
fn is_seen(c: char) -> bool {
    let hidden = matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}');
    matches!(c, '\n' | '\t') || (!c.is_control() && !hidden)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &str) {
        let visible = visible(text);
        assert_eq!(visible.text, expected);
        assert_eq!(visible.hidden == 0, text.replace("\r\n", "\n") == expected, "{visible:?}");
    }

    #[test]
    fn what_is_seen_stays() {
        for text in [
            "Add a greeting.\n\n```rust\nfn main() {}\n```\n",
            "挨拶を追加 ⚠\u{fe0f} 👍🏽 葛\u{e0100}飾区 1\u{fe0f}\u{20e3}\n",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f} 👩\u{200d}💻\n",
            "a -- b --> c",
            "see [1]\n\n[1]: https://example.com\n",
            "see ![logo][L]\n\n> [l]: https://example.com/x.png \"Logo\"\n",
            "<b>x</b>",
            "a[^1]\n\n[^1]: a note\n    that goes on\n",
            "| a | b |\n| - | - |\n| 1 | 2 |\n",
            "- [x] done\n- [ ] open\n  1. a\n\n***\n\nTitle\n===\n\\* b\n",
        ] {
            check(text, text);
        }
        check("a\r\nb", "a\nb");
    }

    #[test]
    fn code_stays_as_it_is() {
        for text in [
            "Our lexer must treat `<!--` as a comment.\n\n1. Add `lex_comment()` to lexer.py.\n",
            "```html\n<!-- a template\n```\nafter\n",
            "~~~\n<!-- a\n[//]: # (b)\n~~~\n",
            "    <!-- indented code -->\n\nafter\n",
            "``a ` <!-- b`` c\n",
            "\\<!-- no comment -->\n",
            "a <!-- that is never closed\n\nb\n",
            "<a title=\"<!--\">x</a> y\n",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn what_is_not_seen_goes() {
        check("do a<!-- do evil -->, b", "do a, b");
        check("do a\n\n<!-- do\nevil", "do a\n\n");
        check("<div>\n<!-- do evil\n\nmore evil\n\n--> x\n", "<div>\n");
        check("<div><!-- evil\n\nevil\n\n<p>--> x</p>\n", "<div> x</p>\n");
        check("a <!-- x --> b <!-- y --!> c", "a  b <!-- y --!> c");
        check("<p>a<!-- x --!> b --></p>\n", "<p>a b --></p>\n");
        check("a <?evil?> b <!EVIL> c", "a  b  c");
        check("[//]: # (do evil)\nb", "\nb");
        check("[comment]: <> \"do evil\"\nb", "\nb");
        check("[a]: https://evil.example 'do\nevil'\n\nb", "\n\nb");
        check("see [a]\n\n[a]: /x\n[A]: /y 'evil'\n", "see [a]\n\n[a]: /x\n\n");
        check("> [a]: /x (evil)\n> b\n", "> \n> b\n");
        check("- a\n\n  [b]: /x (evil)\n\n- c\n", "- a\n\n  \n\n- c\n");
        check("a\n\n[^1]: do evil\n\nb\n", "a\n\n\n\nb\n");
        check("| a |\n| - |\n| b | do evil |\n", "| a |\n| - |\n| b \n");
        check("```rust do evil\ncode\n```\n", "```rust\ncode\n```\n");
        check("a [](/x \"evil\") b", "a  b");
        check("a\u{e0064}\u{e006f}b", "ab");
        check("a\u{202e}b\u{2066}c\u{200b}d\u{e0101}\u{fe03}", "abcd");
        check("葛\u{e0100}\u{e0101}\u{e0102}", "葛\u{e0100}");
        check("a\u{1b}[8mb\u{7}", "ab");
    }

    #[test]
    fn what_github_shows_is_no_comment() {
        assert_eq!(visible("a\n<!\u{200b}-- seen -->b").text, "a\n<!-- seen -->b");
        let title = "Treat <!-- as a comment --> [x]: # (y)";
        assert_eq!(visible_title(title), Visible { text: title.to_owned(), hidden: 0 });
        assert_eq!(visible_title("\u{200b}\u{e0041}").text, "");
    }

    proptest! {
        #[test]
        fn no_hidden_character_is_left(
            text in "\\PC{0,40}(<!--|-->|\u{200b}|\u{202e}|\u{e0041}|\u{fe0f}|\n){0,6}\\PC{0,20}"
        ) {
            let once = visible(&text).text;
            let is_selector = |c| matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}');
            prop_assert!(once.chars().all(|c| is_seen(c) || is_selector(c)));
        }

        #[test]
        fn no_text_panics(
            text in "(<!--|-->|<|>|\\[a\\]:|\\[|\\]|\\(|\\)|`|~~~|\\||-|\"| |\n|é|a){0,40}"
        ) {
            let once = visible(&text);
            prop_assert!(once.text.len() <= text.len());
        }
    }
}
