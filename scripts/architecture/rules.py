"""The rules, each a function from a project to its findings."""

import collections
import os
import pathlib

from architecture import imports, source, tokens

LONGEST_LINE = 100
LONGEST_FILE = 450

# Directories without Rust of the project's own making.
PASSED_OVER = ("target", "node_modules", "samples", "snapshots")


class Finding:
    """A breach of a rule: where it is, and what to do about it."""

    def __init__(self, file, line, message):
        self.file, self.line, self.message = file, line, message


class Crate:
    """A crate's modules and the arrows between them."""

    def __init__(self, root, name, file):
        self.name = name
        self.modules = source.read_crate(file)
        for module in self.modules:
            module.file = module.file.relative_to(root)
        self.arrows = imports.arrows_of(self.modules)

    def name_of(self, path):
        """A module's name as people say it; the program's own has no crate before it."""
        return "::".join((self.name, *path) if self.name else path)


class Project:
    """The program in src/ and the crates in crates/, read once for all rules."""

    def __init__(self, root, layers):
        self.root = pathlib.Path(root)
        self.layers = layers
        sources = [("", self.root / "src")]
        sources += [(path.parent.name, path) for path in sorted(self.root.glob("crates/*/src"))]
        self.crates = [
            Crate(self.root, name, file)
            for name, directory in sources
            for pattern in ("lib.rs", "main.rs", "bin/*.rs")
            for file in sorted(directory.glob(pattern))
        ]

    @property
    def program(self):
        """The crates of src/: the library and the executable."""
        return [crate for crate in self.crates if not crate.name]

# The module that collects the settings of all others, each from their module `settings`.
SETTINGS_COLLECTOR = "config"


def cycles(project):
    """No top-level module leads back to itself, and no file within one of them.

    A module and what is below it may know each other: they are one tree.
    """
    findings = []
    for crate in project.crates:
        for graph in (graph_of_top_level(crate.arrows), graph_of_files(crate.arrows)):
            findings += [cycle(crate, graph, component) for component in components(graph)]
    return findings


def graph_of_top_level(arrows):
    """The top-level modules that know each other: the first arrow from each to each other.

    The module that collects all settings knows the `settings` of the others, which know neither
    it nor the rest of their own module by that: such an arrow is no part of a cycle.
    """
    graph = collections.defaultdict(dict)
    for arrow in arrows:
        here = arrow.source.path[:1]
        if here == (SETTINGS_COLLECTOR,) and arrow.target.path[1:2] == ("settings",):
            continue
        for there in (module.path[:1] for module in arrow.through):
            if here and there and here != there:
                graph[here].setdefault(there, arrow)
    return graph


def graph_of_files(arrows):
    """The same for the files of one top-level module. A re-export leads to what it exports."""
    graph = collections.defaultdict(dict)
    for arrow in arrows:
        here, there = arrow.source.whole_file, arrow.target.whole_file
        one_tree = here.is_within(there) or there.is_within(here)
        if here.path[:1] == there.path[:1] and not one_tree:
            graph[here.path].setdefault(there.path, arrow)
    return graph


def cycle(crate, graph, component):
    way = shortest_cycle(graph, component)
    arrows = [graph[here][there] for here, there in zip(way, way[1:])]
    lines = [f"import cycle: {' → '.join(crate.name_of(path) for path in way)}"]
    lines += [f"{arrow.source.file}:{arrow.line} names {arrow.path}" for arrow in arrows]
    if others := component - set(way):
        names = ", ".join(sorted(crate.name_of(path) for path in others))
        lines.append(f"further modules are in cycles with these: {names}")
    lines.append("move what both sides need into a module that knows neither")
    return Finding(arrows[0].source.file, arrows[0].line, "\n".join(lines))


def components(graph):
    """The sets of modules that all lead to each other, in the order of their names."""
    reach = {}
    for start in graph:
        reached, waiting = set(), [start]
        while waiting:
            for there in graph.get(waiting.pop(), ()):
                if there not in reached:
                    reached.add(there)
                    waiting.append(there)
        reach[start] = reached
    found = {
        frozenset(there for there in reached if start in reach.get(there, ()))
        for start, reached in reach.items()
        if start in reached
    }
    return sorted(found, key=sorted)


def shortest_cycle(graph, component):
    """The modules of a shortest cycle in a component, the first one again at its end."""
    best = None
    for start in sorted(component):
        ways = collections.deque([(start,)])
        seen = set()
        while ways and (best is None or len(ways[0]) < len(best)):
            way = ways.popleft()
            for there in sorted(component & graph[way[-1]].keys()):
                if there == start and (best is None or len(way) + 1 < len(best)):
                    best = (*way, start)
                if there not in seen:
                    seen.add(there)
                    ways.append((*way, there))
    return best


def layers(project):
    """No module of the program knows one that is above it or beside it."""
    findings = []
    for crate in project.program:
        findings += unknown_modules(crate, project.layers)
        known = set()
        for arrow in crate.arrows:
            here = arrow.source.path[:1]
            for there in [module.path[:1] for module in arrow.through]:
                if not here or not there or here == there or (arrow.source, there) in known:
                    continue
                if reason := project.layers.objection(here[0], there[0], arrow.target):
                    known.add((arrow.source, there))
                    message = f"{here[0]} must not know {there[0]} ({arrow.path}): {reason}"
                    findings.append(Finding(arrow.source.file, arrow.line, message))
    return findings


def unknown_modules(crate, table):
    root = crate.modules[0]
    return [
        Finding(
            root.file,
            module.declared.line,
            f"the table of layers does not have {name}: give it a layer in"
            " scripts/check-architecture, as in the list of ARCHITECTURE.md",
        )
        for name, module in root.children.items()
        if name not in table.names
    ]


class Layers:
    """The order of the top-level modules. See scripts/check-architecture for the table."""

    def __init__(self, layers, values, beside, settings, importers):
        self.level = {name: at for at, layer in enumerate(layers) for name in layer}
        self.values = values
        self.beside = beside
        self.settings = settings
        self.importers = importers
        self.names = {*self.level, settings}

    def objection(self, here, there, target):
        """Why a module must not know another one's target; nothing when it may."""
        if here not in self.names or there not in self.names:
            return None
        if there == self.settings:
            if here in self.importers:
                return None
            who = ", ".join(self.importers)
            return f"only {who} may; take the settings from the module that owns them"
        if here == self.settings:
            if there in self.values or target.path[:2] == (there, "settings"):
                return None
            return f"it may know only the settings of others; move this to {there}/settings.rs"
        if (here, there) in self.beside or (here in self.values and there in self.values):
            return None
        if self.level[here] > self.level[there]:
            return "it is above; move what both need to a lower layer, or hand the value in"
        if self.level[here] == self.level[there]:
            return "it is beside; move what both need to a lower layer, or let the caller join them"
        return None


def types(project):
    """No two types of the program have one name."""
    places = collections.defaultdict(dict)
    for crate in project.program:
        for module in crate.modules:
            for item in module.types:
                # Two of one name in one module are one for each platform.
                places[item.name].setdefault((crate, module), item)
    findings = []
    for name, found in places.items():
        (first, item), *others = ((module, item) for (_, module), item in found.items())
        for module, other in others:
            message = (
                f"{other.kind} {name} has the name of the {item.kind} at {first.file}:{item.line}:"
                " name one of them after what sets it apart"
            )
            findings.append(Finding(module.file, other.line, message))
    return findings


def docs(project):
    """Every public item says what it is."""
    findings = []
    for crate in project.crates:
        for module in crate.modules:
            items = list(module.undocumented)
            declared = module.declared
            if declared and declared.visibility == "pub" and not module.documented:
                findings.append(undocumented(module.parent.file, declared, "`//!` in its file"))
            findings += [undocumented(module.file, item, "`///`") for item in items]
    return findings


def undocumented(file, item, mark):
    message = f"pub {item.kind} {item.name} has no documentation: say with {mark} what it is"
    return Finding(file, item.line, message)


def columns(project):
    """No line of Rust is wider than rustfmt's limit, unless insta wrote it."""
    findings = []
    for file in rust_files(project.root):
        text = (project.root / file).read_text(encoding="utf-8")
        lines = text.split("\n")
        wide = [number for number, line in enumerate(lines, 1) if len(line) > LONGEST_LINE]
        snapshots = tokens.lines_of_inline_snapshots(text) if wide else set()
        for number in wide:
            if number not in snapshots:
                width = len(lines[number - 1])
                message = f"{width} columns: break the line, also within a text, at {LONGEST_LINE}"
                findings.append(Finding(file, number, message))
    return findings


def rust_files(root):
    for directory, names, files in os.walk(root):
        names[:] = sorted(
            name for name in names if not name.startswith(".") and name not in PASSED_OVER
        )
        for name in sorted(files):
            if name.endswith(".rs"):
                yield pathlib.Path(directory, name).relative_to(root)


def length(project):
    """No file of code has more than one thought's worth of lines."""
    findings = []
    files = {module.file for crate in project.crates for module in crate.modules}
    for file in sorted(files):
        lines = (project.root / file).read_text(encoding="utf-8").count("\n")
        if lines > LONGEST_FILE:
            message = f"{lines} lines: split it by thought into files of 100 to 400 lines"
            findings.append(Finding(file, lines, message))
    return findings


RULES = {rule.__name__: rule for rule in (cycles, layers, types, docs, columns, length)}
