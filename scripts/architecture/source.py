"""Reads Rust source text into modules: what each one defines, imports and names.

This is not a compiler. It knows tokens, items, visibility, documentation and paths, which is all
that the rules need. Code that is compiled only for tests is left out. Macros are not expanded:
what stands in the body of a macro counts once, and an item whose name is an argument not at all.
"""

import bisect
import re

from architecture.tokens import tokens_of

PATH_IN_ATTRIBUTE = re.compile(r'"(\w+(?:::\w+)+)"')

OPENING = {"(": ")", "[": "]", "{": "}"}
CLOSING = frozenset(OPENING.values())
TYPES = ("struct", "enum", "union", "trait", "type")
QUALIFIERS = ("async", "unsafe", "extern", "default", "safe")
STARTS_OF_ITEMS = (*TYPES, *QUALIFIERS, "pub", "fn", "mod", "impl", "use", "const", "static")


class Item:
    """A thing with a name: a function, a type, a constant, a macro, a module."""

    def __init__(self, kind, name, line, visibility=None):
        self.kind, self.name, self.line = kind, name, line
        # None for a private item, "pub", or "restricted" for `pub(…)`.
        self.visibility = visibility


class Import:
    """One name that `use` brings into a module, or the glob of one."""

    def __init__(self, segments, line, visibility):
        self.segments, self.line, self.visibility = segments, line, visibility


class Module:
    """A module: the root of a crate, a file, or `mod name { … }` within one."""

    def __init__(self, file, path, parent):
        self.file = file
        self.path = path
        self.parent = parent
        # How the parent declares it; the root of a crate has no declaration.
        self.declared = None
        self.documented = False
        self.children = {}
        # Items at the level of the module, by name: a function and a type may share one.
        self.items = {}
        # What `use` brings in: by name, and by `*`.
        self.uses = {}
        self.globs = []
        # Every path that the code names, in `use` and elsewhere, with its line.
        self.paths = []
        # Every type, also those inside of functions.
        self.types = []
        # Every public item without documentation, also those of `impl` blocks.
        self.undocumented = []

    @property
    def root(self):
        return self if self.parent is None else self.parent.root

    @property
    def whole_file(self):
        """The module that is the whole file, for one that stands inline in it."""
        inline = self.parent is not None and self.parent.file == self.file
        return self.parent.whole_file if inline else self

    def is_within(self, other):
        """Whether this module is the other one, or below it."""
        return self.path[: len(other.path)] == other.path


class Reader:
    """Reads one file into its module, and into the inline modules of it."""

    def __init__(self, text, module):
        self.tokens = tokens_of(text)
        self.newlines = [found.start() for found in re.finditer("\n", text)]
        self.module = module
        # The blocks around the current token: what they are, and the module around each.
        self.blocks = []
        # How many round and square brackets are open.
        self.brackets = 0
        # What the next `{` outside further brackets opens, when an item has said so.
        self.expected = None
        self.forget()

    def forget(self):
        """Forgets the documentation and the visibility that were read for the next item."""
        self.documented = False
        self.visibility = None

    def text(self, index):
        return self.tokens[index][1] if 0 <= index < len(self.tokens) else ""

    def kind(self, index):
        return self.tokens[index][0] if 0 <= index < len(self.tokens) else ""

    def line(self, index):
        _, _, offset = self.tokens[min(index, len(self.tokens) - 1)]
        return bisect.bisect_left(self.newlines, offset) + 1

    def read(self):
        index = 0
        while index < len(self.tokens):
            index = self.step(index)

    def step(self, index):
        """Reads what begins at a token, and returns the index of what comes after it."""
        kind, word, _ = self.tokens[index]
        if kind == "outer_doc":
            self.documented = True
            return index + 1
        if kind == "inner_doc":
            self.module.documented = True
            return index + 1
        if word == "#" and self.text(index + 1) in ("[", "!"):
            return self.attribute(index)
        if word == "pub":
            return self.read_visibility(index)
        if word in QUALIFIERS and self.text(index + 1) != "::":
            return index + 1
        if kind == "string" and self.text(index - 1) == "extern":
            return index + 1
        if word == "const" and self.text(index + 1) in ("fn", *QUALIFIERS):
            return index + 1
        if word == "{":
            self.blocks.append((self.opened(), self.module))
            index += 1
        elif word == "}":
            if self.blocks:
                self.module = self.blocks.pop()[1]
            index += 1
        elif kind == "word":
            index = self.item_or_path(index)
        else:
            if word == ";":
                # An item without a body, unless it is the `;` of an array's type.
                self.opened()
            self.brackets += (word in ("(", "[")) - (word in (")", "]"))
            index += 1
        self.forget()
        return index

    def expect(self, block):
        self.expected = (block, self.brackets)

    def opened(self):
        """What a `{` here opens; the item that said so has its body then."""
        if self.expected is None or self.expected[1] != self.brackets:
            return "body"
        block, self.expected = self.expected[0], None
        return block

    def item_or_path(self, index):
        """Reads an item or a path that begins with a word."""
        word, name = self.text(index), self.text(index + 1)
        named = self.kind(index + 1) == "word"
        if word == "use" and name != "<":
            return self.use(index)
        if word == "mod" and named:
            return self.inline_or_file_module(index)
        if word == "macro_rules" and name == "!":
            return self.macro(index)
        if word == "union" and not (named and self.text(index + 2) in ("{", "<")):
            return self.path(index)
        if word in TYPES and named:
            return self.type(index)
        if word == "fn" and named:
            self.item("fn", name, index)
            self.expect("body")
            return index + 2
        if word in ("const", "static"):
            at = index + 2 if name == "mut" else index + 1
            if self.kind(at) == "word" and self.text(at + 1) == ":":
                self.item(word, self.text(at), index)
                return at + 1
            return index + 1
        if word == "impl" and self.begins_an_item(index):
            self.expect("impl")
            return index + 1
        return self.path(index)

    def begins_an_item(self, index):
        """Whether `impl` at the index begins an item, and is not part of a type."""
        before = self.text(index - 1)
        return before in ("", ";", "{", "}", "]", "unsafe") or "_doc" in self.kind(index - 1)

    def block(self):
        return self.blocks[-1][0] if self.blocks else "mod"

    def item(self, kind, name, index):
        """Records an item, and that it lacks documentation when it is public."""
        if name == "_":
            return
        item = Item(kind, name, self.line(index), self.visibility)
        if self.block() == "mod":
            self.module.items.setdefault(name, []).append(item)
        if self.visibility == "pub" and not self.documented:
            self.module.undocumented.append(item)

    def type(self, index):
        kind, name = self.text(index), self.text(index + 1)
        if kind == "type" and self.block() in ("impl", "trait"):
            return index + 2
        self.item(kind, name, index)
        self.module.types.append(Item(kind, name, self.line(index)))
        if kind != "type":
            self.expect(kind)
        return index + 2

    def inline_or_file_module(self, index):
        name = self.text(index + 1)
        # Two inline modules of one name are one for each platform.
        child = self.module.children.get(name)
        if child is None:
            child = Module(None, (*self.module.path, name), self.module)
            child.declared = Item("mod", name, self.line(index), self.visibility)
            self.module.children[name] = child
        child.documented |= self.documented
        if self.text(index + 2) != "{":
            return index + 2
        child.file = self.module.file
        self.blocks.append(("mod", self.module))
        self.module = child
        return index + 3

    def macro(self, index):
        """Reads the name of `macro_rules! name { … }`; its body is read as code like any other."""
        name = self.text(index + 2)
        item = Item("macro", name, self.line(index), "restricted")
        self.module.items.setdefault(name, []).append(item)
        return index + 3

    def read_visibility(self, index):
        if self.text(index + 1) == "(" and self.text(index + 2) in ("crate", "self", "super", "in"):
            self.visibility = "restricted"
            return self.end_of_group(index + 1)
        self.visibility = "pub"
        return index + 1

    def attribute(self, index):
        """Reads `#[…]` or `#![…]`; what only tests compile is skipped with it."""
        inner = self.text(index + 1) == "!"
        start = index + 2 if inner else index + 1
        end = self.end_of_group(start)
        words = [self.text(at) for at in range(start + 1, end - 1)]
        if words[:1] == ["doc"]:
            self.documented = True
        if not inner and is_test_only(words):
            self.forget()
            return self.end_of_item(end)
        for at in range(start + 1, end - 1):
            if self.kind(at) == "word":
                self.path(at)
            elif match := PATH_IN_ATTRIBUTE.fullmatch(self.text(at)):
                self.module.paths.append((match.group(1).split("::"), self.line(at)))
        return end

    def end_of_group(self, index):
        """The index after the bracket that closes the one at the index."""
        depth = 0
        while index < len(self.tokens):
            word = self.text(index)
            if word in OPENING:
                depth += 1
            elif word in CLOSING:
                depth -= 1
                if depth == 0:
                    return index + 1
            index += 1
        return index

    def end_of_item(self, index):
        """The index after the item, field, arm or statement that begins at the index."""
        while True:
            if self.text(index) == "#":
                index = self.end_of_group(index + 1)
            elif self.kind(index) == "outer_doc":
                index += 1
            else:
                break
        first = self.text(index)
        if first == "pub":
            after = self.end_of_group(index + 1) if self.text(index + 1) == "(" else index + 1
            first = self.text(after)
        else:
            after = index
        to_semicolon = first in ("use", "static", "let", "type") or (
            first == "const" and self.text(after + 1) not in ("fn", *QUALIFIERS)
        )
        is_item = first in STARTS_OF_ITEMS or first == "macro_rules"
        while index < len(self.tokens):
            word = self.text(index)
            if word == ";" or (word == "," and not is_item):
                return index + 1
            if word in CLOSING:
                return index
            if word in OPENING:
                index = self.end_of_group(index)
                if word == "{" and not to_semicolon:
                    return index
            else:
                index += 1
        return index

    def path(self, index):
        """Reads a path in code, `a::b::c`; a word by itself is no path."""
        if self.text(index + 1) != "::" or self.text(index - 1) in ("::", "."):
            return index + 1
        segments, end = self.segments(index)
        if len(segments) > 1:
            self.module.paths.append((segments, self.line(index)))
        return end

    def segments(self, index):
        """The words of a path from an index on, and the index after them."""
        segments = [bare(self.text(index))]
        while self.text(index + 1) == "::" and self.kind(index + 2) == "word":
            index += 2
            segments.append(bare(self.text(index)))
        return segments, index + 1

    def use(self, index):
        """Reads `use …;` with all of its branches."""
        end = self.use_tree(index + 1, [])
        while self.text(end) not in (";", ""):
            end += 1
        return end + 1

    def use_tree(self, index, prefix):
        line = self.line(index)
        if self.text(index) == "::":
            # A path that begins with `::` names another crate.
            return self.use_tree(index + 1, ["::"])
        if self.text(index) == "*":
            self.module.globs.append(Import(prefix, line, self.visibility))
            self.module.paths.append((prefix, line))
            return index + 1
        if self.text(index) == "{":
            index += 1
            while self.text(index) not in ("}", ""):
                index = self.use_tree(index, prefix)
                if self.text(index) == ",":
                    index += 1
            return index + 1
        segments, index = self.segments(index)
        path = prefix + segments
        if self.text(index) == "::":
            return self.use_tree(index + 1, path)
        if path[-1] == "self" and len(path) > 1:
            path = path[:-1]
        name = path[-1]
        if self.text(index) == "as":
            name = self.text(index + 1)
            index += 2
        self.module.uses.setdefault(name, Import(path, line, self.visibility))
        self.module.paths.append((path, line))
        return index


def bare(word):
    """A word without the mark of a raw identifier."""
    return word[2:] if word.startswith("r#") else word


def is_test_only(words):
    """Whether an attribute keeps an item for tests: `cfg(test)`, or `cfg(all(…, test, …))`."""
    if words[:2] != ["cfg", "("]:
        return False
    if words[2:3] == ["test"]:
        return True
    if words[2:4] != ["all", "("]:
        return False
    depth = 0
    for word in words[4:]:
        if word == "test" and depth == 0:
            return True
        depth += (word == "(") - (word == ")")
    return False


def is_test_file(path):
    """Whether a file holds nothing but tests, by its name or its directory's."""
    return path.name == "tests.rs" or "tests" in path.parts


def read_crate(root):
    """Reads the crate whose root file is given, and returns its modules, sorted by their paths."""
    crate = Module(root, (), None)
    modules, waiting = [], [(crate, root.parent)]
    while waiting:
        module, directory = waiting.pop()
        Reader(module.file.read_text(encoding="utf-8"), module).read()
        inline = [(module, directory)]
        while inline:
            parent, below = inline.pop()
            modules.append(parent)
            for name, child in list(parent.children.items()):
                if child.file is not None:
                    inline.append((child, below / name))
                    continue
                child.file = next(
                    (
                        file
                        for file in (below / f"{name}.rs", below / name / "mod.rs")
                        if file.is_file()
                    ),
                    None,
                )
                if child.file is None or is_test_file(child.file.relative_to(root.parent)):
                    del parent.children[name]
                else:
                    waiting.append((child, below / name))
    return sorted(modules, key=lambda module: module.path)
