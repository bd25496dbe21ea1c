"""Follows the paths in a crate's modules to what they name."""


class Definition:
    """What a path leads to: an item of a module, or the module itself."""

    def __init__(self, module, name=None):
        self.module, self.name = module, name

    @property
    def is_module(self):
        return self.name is None


class Arrow:
    """A module that names something another module defines."""

    def __init__(self, source, target, line, path, through):
        self.source, self.target = source, target
        self.line, self.path = line, path
        # Every module that the path leads through, those of re-exports and the target included.
        self.through = through


class Resolver:
    """Resolves one path, and keeps the modules that it leads through."""

    def __init__(self):
        self.through = []

    def resolve(self, module, segments, seen=frozenset()):
        """The definitions that a path written in a module leads to; none if it leaves the crate.

        A name that a module of the crate does not seem to have is one that a macro defines there.
        """
        start, rest = anchor(module, segments)
        anchored = len(rest) < len(segments)
        if anchored:
            self.through.append(start)
        if not rest:
            return [Definition(start)] if anchored else []
        for position, name in enumerate(rest):
            found = self.lookup(start, name, module, seen)
            if not found:
                return [Definition(start, name)] if anchored or position else []
            modules = [one.module for one in found if one.is_module]
            if position == len(rest) - 1 or not modules:
                # What follows the name of a type is a variant, or something of its `impl`.
                return found
            start = modules[0]
            self.through.append(start)
        return []

    def lookup(self, module, name, origin, seen):
        """What a name means in a module, to code in the module of origin."""
        if (module.path, name) in seen:
            return []
        seen = seen | {(module.path, name)}
        inside = origin.is_within(module)
        found = []
        child = module.children.get(name)
        if child is not None and (inside or child.declared.visibility):
            found.append(Definition(child))
        if any(inside or item.visibility for item in module.items.get(name, [])):
            found.append(Definition(module, name))
        used = module.uses.get(name)
        if used is not None and (inside or used.visibility):
            found += self.resolve(module, used.segments, seen)
        if found:
            return found
        for glob in module.globs:
            if inside or glob.visibility:
                for one in Resolver().resolve(module, glob.segments, seen):
                    if one.is_module and one.module is not module:
                        found += self.lookup(one.module, name, origin, seen)
        return found


def anchor(module, segments):
    """The module at which a path starts, and the rest of the path."""
    rest = list(segments)
    if rest[:1] == ["crate"]:
        module = module.root
        rest.pop(0)
    while rest[:1] in (["self"], ["super"]):
        if rest.pop(0) == "super" and module.parent is not None:
            module = module.parent
    return module, rest


def arrows_of(modules):
    """Every arrow within a crate, in the order of the files; one for each path and definition."""
    arrows = []
    for module in modules:
        known = set()
        for segments, line in module.paths:
            path = "::".join(segments)
            if path in known:
                continue
            known.add(path)
            resolver = Resolver()
            for found in resolver.resolve(module, segments):
                through = [*resolver.through, found.module]
                arrows.append(Arrow(module, found.module, line, path, through))
    return arrows
