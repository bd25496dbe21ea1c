"""Tests of the rules: small projects in which each rule is broken once, and must be found."""

import pathlib
import subprocess
import sys
import tempfile
import textwrap
import unittest

from architecture import imports, rules, source

PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "check-architecture"

TABLE = rules.Layers(
    layers=[["cli", "telemetry"], ["run"], ["agent", "publish", "github"], ["git", "task"]],
    values=["git", "task"],
    beside={("publish", "github")},
    settings="config",
    importers=["cli", "run"],
)

# What looks like a breach and is none.
HARMLESS = """
//! Decoys: `crate::run::Run` in a comment is no import.

/// Says [`crate::run::Run`].
pub struct Decoy<'a>(&'a str);

/* a /* nested */ comment: use crate::run::Run; */
const TEXT: &str = "use crate::run::Run; // {";
const RAW: &str = r#"pub fn bare() { "crate::run::Run" "#;
const QUOTE: char = '\\'';
const BRACE: char = '{';

#[cfg(test)]
use crate::run::Run;

impl<'a> Iterator for [Decoy<'a>; 3] {
    type Item = ();
    fn next(&mut self) -> Option<()> { None }
}

#[cfg(test)]
mod tests {
    use crate::run::Run;
    pub fn undocumented() {}
    struct Decoy;
}
"""


class Planted(unittest.TestCase):
    """A test with a small project on the disk."""

    def plant(self, files):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        root = pathlib.Path(directory.name)
        for name, text in files.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return root

    def findings(self, rule, files):
        found = rule(rules.Project(self.plant(files), TABLE))
        return [(str(finding.file), finding.line, finding.message) for finding in found]

    def places(self, rule, files):
        return [f"{file}:{line}" for file, line, _ in self.findings(rule, files)]


class Cycles(Planted):
    def test_siblings_that_import_each_other(self):
        files = {
            "src/lib.rs": "mod git;",
            "src/git.rs": "mod object;\nmod path;\n",
            "src/git/object.rs": "use super::path::Path;\npub struct Object;\n",
            "src/git/path.rs": "pub struct Path;\nfn of(_: &super::object::Object) {}\n",
        }
        [(file, line, message)] = self.findings(rules.cycles, files)
        self.assertEqual((file, line), ("src/git/object.rs", 1))
        self.assertIn("git::object → git::path → git::object", message)
        self.assertIn("src/git/path.rs:2 names super::object::Object", message)

    def test_a_cycle_of_three_hidden_behind_re_exports(self):
        files = {
            "src/lib.rs": "mod git;",
            "src/git.rs": """
                mod a; mod b; mod c;
                pub use self::{a::A as First, b::*};
                use c::C;
            """,
            "src/git/a.rs": "use super::B;\npub struct A;\n",
            "src/git/b.rs": "pub struct B(super::C);\n",
            "src/git/c.rs": "use crate::git::{self, First};\npub struct C;\n",
        }
        [(_, _, message)] = self.findings(rules.cycles, files)
        self.assertIn("git::a → git::b → git::c → git::a", message)

    def test_a_module_that_was_imported_leads_to_what_is_named_in_it(self):
        files = {
            "src/lib.rs": "mod git; mod task;",
            "src/git.rs": "use super::task;\nfn f() { task::decode() }\npub const A: u8 = 1;\n",
            "src/task.rs": "mod key;\npub fn decode() {}\n",
            "src/task/key.rs": '#[serde(default = "crate::git::A")]\nstruct Key;\n',
        }
        [(_, _, message)] = self.findings(rules.cycles, files)
        self.assertIn("git → task → git", message)
        self.assertIn("src/task/key.rs:1 names crate::git::A", message)

    def test_every_crate_is_looked_at(self):
        files = {
            "src/lib.rs": "",
            "crates/queue/src/main.rs": "mod a;\nmod b;\n",
            "crates/queue/src/a.rs": "use crate::b::B;\npub struct A;\n",
            "crates/queue/src/b.rs": "pub struct B;\nuse crate::a::A;\n",
        }
        [(_, _, message)] = self.findings(rules.cycles, files)
        self.assertIn("queue::a → queue::b → queue::a", message)

    def test_a_module_and_what_is_below_it_may_know_each_other(self):
        files = {
            "src/lib.rs": "mod git;\npub struct Top(git::Git);\n",
            "src/git.rs": "mod path;\nuse path::Path;\npub struct Git;\nfn f() { path::g() }\n",
            "src/git/path.rs": "use super::Git;\nuse crate::Top;\npub struct Path;\n",
        }
        self.assertEqual(self.places(rules.cycles, files), [])

    def test_files_may_know_a_part_of_each_other_but_top_level_modules_may_not(self):
        files = {
            "src/a.rs": "use super::b::x::X;\npub struct A;\n",
            "src/b.rs": "pub mod x;\nmod y;\n",
            "src/b/x.rs": "pub struct X;\n",
            "src/b/y.rs": "mod inline {\n    use super::super::super::a::A;\n}\n",
        }
        below = {name.replace("src/", "src/top/"): text for name, text in files.items()}
        below.update({"src/lib.rs": "mod top;", "src/top.rs": "mod a;\nmod b;\n"})
        self.assertEqual(self.places(rules.cycles, below), [])
        files.update({"src/lib.rs": "mod a;\nmod b;\n"})
        [(_, _, message)] = self.findings(rules.cycles, files)
        self.assertIn("a → b → a", message)
        self.assertIn("src/b/y.rs:2 names super::super::super::a::A", message)

    def test_what_is_private_hides_behind_no_other_thing_of_its_name(self):
        files = {
            "src/lib.rs": "mod git; mod task;",
            "src/git.rs": "use crate::task;\nfn f() { task::key() }\npub struct Git;\n",
            "src/task.rs": "mod key;\npub fn key() {}\n",
            "src/task/key.rs": "",
        }
        crate = source.read_crate(self.plant(files) / "src/lib.rs")
        arrows = {(a.path, a.target.path) for a in imports.arrows_of(crate)}
        self.assertEqual(arrows, {("crate::task", ("task",)), ("task::key", ("task",))})


class LayersOfModules(Planted):
    def test_an_arrow_up(self):
        files = {
            "src/lib.rs": "mod run; mod git;",
            "src/run.rs": "pub struct Run;\nuse crate::git::Id;\n",
            "src/git.rs": "pub struct Id;\nmod path;\n",
            "src/git/path.rs": "// Up.\nuse crate::{git::Id, run::Run};\n",
        }
        [(file, line, message)] = self.findings(rules.layers, files)
        self.assertEqual((file, line), ("src/git/path.rs", 2))
        self.assertIn("git must not know run (crate::run::Run): it is above", message)

    def test_an_arrow_sideways_also_through_a_re_export(self):
        files = {
            "src/lib.rs": "mod agent; mod publish; mod github; mod task; mod git;",
            "src/agent.rs": "use crate::publish::plain;\n",
            "src/publish.rs": "use crate::github::GitHub;\npub use crate::task::plain;\n",
            "src/github.rs": "pub struct GitHub;\n",
            "src/task.rs": "pub fn plain() {}\nuse crate::git::Id;\n",
            "src/git.rs": "pub struct Id;\n",
        }
        [(file, line, message)] = self.findings(rules.layers, files)
        self.assertEqual((file, line), ("src/agent.rs", 1))
        self.assertIn("agent must not know publish (crate::publish::plain)", message)

    def test_the_collected_settings(self):
        files = {
            "src/lib.rs": "mod config; mod agent; mod run;",
            "src/config.rs": "use crate::agent::{AgentSettings, Agent};\npub struct Config;\n",
            "src/agent.rs": """
                mod settings;
                pub use settings::AgentSettings;
                use crate::config::Config;
                pub struct Agent;
            """,
            "src/agent/settings.rs": "pub struct AgentSettings;\n",
            "src/run.rs": "use crate::config::Config;\n",
        }
        [other, up] = self.findings(rules.layers, files)
        self.assertEqual(up[:2], ("src/config.rs", 1))
        self.assertIn("crate::agent::Agent)", up[2])
        self.assertEqual(other[:2], ("src/agent.rs", 3))
        self.assertIn("only cli, run may", other[2])

    def test_a_module_without_a_layer(self):
        files = {"src/lib.rs": "mod git;\nmod helpers;\n", "src/git.rs": "", "src/helpers.rs": ""}
        self.assertEqual(self.places(rules.layers, files), ["src/lib.rs:2"])


class Types(Planted):
    def test_two_of_one_name(self):
        files = {
            "src/lib.rs": "mod git; mod task;",
            "src/git.rs": "pub struct Status;\ntype Key = u8;\n",
            "src/task.rs": "fn f() {\n    enum Status {}\n}\ntrait Read {}\nunion Key { a: u8 }\n",
        }
        self.assertEqual(self.places(rules.types, files), ["src/task.rs:2", "src/task.rs:5"])

    def test_one_type_for_each_platform_and_associated_types(self):
        files = {
            "src/lib.rs": """
                #[cfg(unix)]
                struct Lock;
                #[cfg(windows)]
                struct Lock;
                impl Iterator for Lock { type Item = u8; }
                impl Iterator for [Lock; 2] { type Item = u8; }
                trait Run { type Item; }
                mod git;
            """,
            "src/git.rs": "enum Item {}\n",
        }
        self.assertEqual(self.places(rules.types, files), [])


class Docs(Planted):
    def test_each_kind_of_item(self):
        files = {
            "src/lib.rs": """
                pub mod bare;
                pub mod said;
                pub struct A;
                pub enum B {}
                pub trait C {}
                pub type D = u8;
                pub const E: u8 = 1;
                pub static F: u8 = 1;
                pub const unsafe fn g() {}
                impl A {
                    pub async fn h(&self) {}
                }
                macro_rules! id { ($name:ident) => { impl $name { pub fn i() {} } } }
            """,
            "src/bare.rs": "",
            "src/said.rs": "//! Says what it is.\n",
        }
        lines = sorted(line for _, line, _ in self.findings(rules.docs, files))
        self.assertEqual(lines, [1, 3, 4, 5, 6, 7, 8, 9, 11, 13])

    def test_what_is_documented_or_not_public(self):
        files = {
            "src/lib.rs": """
                /// One.
                #[derive(Debug)]
                pub struct A {
                    pub field: u8,
                }
                #[doc(hidden)]
                pub fn b() {}
                /** Two. */
                pub(crate) fn c() {}
                fn d(_: fn(u8) -> u8) {}
                pub(in crate::x) struct E;
                pub use x::Y;
                macro_rules! id { ($name:ident) => { pub struct $name; } }
            """
        }
        self.assertEqual(self.places(rules.docs, files), [])


class Lines(Planted):
    def test_wide_lines(self):
        files = {
            "src/lib.rs": "//! " + "あ" * 96 + "\n//! " + "あ" * 97 + "\n",
            "tests/scenarios/a.rs": "// " + "x" * 98 + "\n",
            "tests/samples/b.rs": "// " + "x" * 98 + "\n",
            "tests/c.rs": f'assert_snapshot!(a, @r"\n{"x" * 101}\n");\n// {"x" * 98}\n',
            "target/debug/d.rs": "// " + "x" * 98 + "\n",
        }
        places = self.places(rules.columns, files)
        self.assertEqual(places, ["src/lib.rs:2", "tests/c.rs:4", "tests/scenarios/a.rs:1"])

    def test_long_files(self):
        files = {
            "src/lib.rs": "mod git;\n#[cfg(test)]\nmod world;\nmod tests;\n",
            "src/git.rs": "use a;\n" * (rules.LONGEST_FILE + 1),
            "src/world.rs": "use a;\n" * (rules.LONGEST_FILE + 1),
            "src/tests.rs": "use a;\n" * (rules.LONGEST_FILE + 1),
        }
        self.assertEqual(self.places(rules.length, files), ["src/git.rs:451"])


class Whole(Planted):
    """The program as it is called, with its own table of layers."""

    CLEAN = {"src/lib.rs": "mod run;\nmod git;\n", "src/run.rs": "pub(crate) struct Run;\n"}

    def call(self, root, *arguments):
        command = [sys.executable, str(PROGRAM), "--root", str(root), *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE, check=False, encoding="utf-8")

    def test_a_clean_project_with_what_only_looks_like_a_breach(self):
        outcome = self.call(self.plant({**self.CLEAN, "src/git.rs": HARMLESS}))
        clean = "cycles 0, layers 0, types 0, docs 0, columns 0, length 0\n"
        self.assertEqual((outcome.returncode, outcome.stdout), (0, clean))

    def test_a_project_that_breaks_every_rule_once(self):
        up = (
            "use crate::run::Run;\npub fn f() {}\nstruct Run;\n" + "// x\n" * 450 + "// " + "x" * 98
        )
        down = "use crate::git::f;\npub(crate) struct Run;\n"
        root = self.plant({**self.CLEAN, "src/git.rs": up, "src/run.rs": down})
        outcome = self.call(root)
        self.assertEqual(outcome.returncode, 1)
        everything = "cycles 1, layers 1, types 1, docs 1, columns 1, length 1"
        self.assertEqual(outcome.stdout.splitlines()[-1], everything)
        outcome = self.call(root, "--rule", "docs")
        self.assertEqual(outcome.returncode, 1)
        self.assertEqual(outcome.stdout.splitlines()[-1], "docs 1")
        self.assertTrue(outcome.stdout.startswith("src/git.rs:2: docs: pub fn f has no"))

    def test_a_directory_without_a_crate_is_no_clean_project(self):
        self.assertEqual(self.call(self.plant({"README.md": ""})).returncode, 2)
