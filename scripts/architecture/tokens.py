"""Takes Rust source text apart into tokens."""

import re

TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<inner_doc>//![^\n]*|/\*!)
  | (?P<outer_doc>///(?!/)[^\n]*|/\*\*(?![*/]))
  | (?P<comment>//[^\n]*|/\*)
  | (?P<raw_string>(?:br|cr|r)(?P<hashes>\#*)".*?"(?P=hashes))
  | (?P<string>[bc]?"(?:[^"\\]|\\.)*")
  | (?P<char>b?'(?:[^'\\\n]|\\(?:u\{[^}]*\}|x[0-9a-fA-F]{2}|.))')
  | (?P<lifetime>'\w+)
  | (?P<word>(?:r\#)?[^\W\d]\w*)
  | (?P<number>\d\w*(?:\.\d\w*)?)
  | (?P<mark>::|->|=>|.)
    """,
    re.VERBOSE | re.DOTALL,
)
BLOCK_COMMENT_EDGE = re.compile(r"/\*|\*/")


def tokens_of(text):
    """The tokens of a file as (kind, text, offset); comments that document nothing are left out."""
    tokens, position = [], 0
    while position < len(text):
        match = TOKEN.match(text, position)
        kind, word, start = match.lastgroup, match.group(), position
        position = match.end()
        if word.startswith("/*"):
            position = end_of_block_comment(text, position)
        if kind not in ("space", "comment"):
            tokens.append((kind, word, start))
    return tokens


def end_of_block_comment(text, position):
    """Where a block comment ends that begins before the position; block comments nest."""
    depth = 1
    for edge in BLOCK_COMMENT_EDGE.finditer(text, position):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)


def lines_of_inline_snapshots(text):
    """The numbers of the lines that insta keeps in the code: those of `@r"…"`."""
    lines, tokens = set(), tokens_of(text)
    for (_, before, _), (kind, word, start) in zip(tokens, tokens[1:]):
        if before == "@" and kind in ("string", "raw_string"):
            first = text.count("\n", 0, start) + 1
            lines.update(range(first + 1, first + 1 + word.count("\n")))
    return lines
