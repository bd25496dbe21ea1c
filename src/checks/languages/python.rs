//! Python: uv or Poetry where their lock file is, else pip into a virtual environment of the tree
//! when something is to be installed.

mod failure_names;

use toml::Value;

use super::ProjectType;
use crate::checks::Kind;
use crate::checks::obstacle::ToldObstacle;
use crate::checks::survey::{ManifestFiles, Survey};

pub(super) const PYTHON: ProjectType = ProjectType {
    name: "Python",
    manifests: &[
        ManifestFiles::toml(&["pyproject.toml"]),
        ManifestFiles::text(&["setup.py", "setup.cfg", "tox.ini", ".pre-commit-config.yaml"]),
        ManifestFiles::text(REQUIREMENTS),
    ],
    is_sampled: is_test_file,
    commands,
    commands_without_manifest: scripts,
    failure_names: failure_names::collect,
    missing_tool,
    missing_program,
    obstacles: &[
        (ToldObstacle::Network, "Failed to establish a new connection|Tunnel connection failed"),
        // uv and Poetry.
        (ToldObstacle::Network, "dns error: |tcp connect error|All attempts to connect to"),
        (ToldObstacle::Certificate, r"CERTIFICATE_VERIFY_FAILED|\bUnknownIssuer\b"),
        (ToldObstacle::WrongVersion, "requires a different Python: "),
        (
            ToldObstacle::WrongVersion,
            "No interpreter found for Python|is not supported by the project",
        ),
        (
            ToldObstacle::WrongVersion,
            "No Python at |Python version .* is incompatible with the project",
        ),
    ],
    test_counts: &[
        // pytest: `=== 1 failed, 3 passed, 2 skipped in 0.12s ===`.
        r"^=*\s*(?:\d+ \w+, )*(?P<passed>\d+) passed\b.*\bin [\d.]+s",
        r"^=*\s*(?:\d+ \w+, )*(?P<failed>\d+) failed\b.*\bin [\d.]+s",
        r"^=*\s*(?:\d+ \w+, )*(?P<failed>\d+) errors?\b.*\bin [\d.]+s",
        // unittest: `Ran 4 tests in 0.001s`, `FAILED (failures=2, errors=2, skipped=1)`.
        r"^Ran (?P<total>\d+) tests? in [\d.]+s",
        r"^FAILED \((?:.*, )?failures=(?P<failed>\d+)",
        r"^FAILED \((?:.*, )?errors=(?P<failed>\d+)",
        r"^(?:OK|FAILED) \((?:.*, )?skipped=(?P<left_out>\d+)",
        r"^(?P<passed>\d+) scenarios? passed, (?P<failed>\d+) failed",
    ],
    progress: &[
        r"^\S+\.py(?:::\S+ PASSED)?\s.*\[\s*\d+%\]$",
        r"^(?:Collecting |Requirement already)",
    ],
    artifacts: &["/.venv/", "__pycache__/", "*.egg-info/", ".pytest_cache/"],
    toolchains: &[("PYENV_ROOT", ".pyenv")],
    caches: &[("PIP_CACHE_DIR", "pip"), ("UV_CACHE_DIR", "uv")],
    variables: &[
        // Python takes bytecode for current when a source was changed within a second without
        // changing its size, as one edit of an agent can.
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ],
    without_network: &[
        ("PIP_RETRIES", "0"),
        ("UV_HTTP_RETRIES", "0"),
        ("POETRY_REQUESTS_MAX_RETRIES", "0"),
    ],
    test_files: &[r"(^|/)test_[^/]*$"],
    skip_marks: &[
        r"@(pytest\.mark\.|unittest\.)?(skip|skipIf|skipUnless|skipif|xfail|expectedFailure)\b",
        r"pytest\.skip\(",
        r"\bself\.skipTest\(",
    ],
    ..ProjectType::EMPTY
};

const REQUIREMENTS: &[&str] = &[
    "requirements.txt",
    "requirements-dev.txt",
    "requirements_dev.txt",
    "dev-requirements.txt",
    "requirements-test.txt",
    "requirements_test.txt",
    "test-requirements.txt",
];

/// Names under which projects list what their developers need, of extras that `pip install` takes.
const DEVELOPMENT_EXTRAS: &[&str] =
    &["dev", "develop", "development", "test", "tests", "testing", "lint"];

/// Whether pytest and unittest would look for tests in a file of this name.
fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".py").is_some_and(|stem| {
        stem.starts_with("test_") || stem.ends_with("_test") || stem == "conftest"
    })
}

/// The commands of a repository that says it is a Python project.
fn commands(survey: &Survey<'_>) -> Vec<(Kind, String)> {
    let manifest = ["pyproject.toml", "setup.py", "setup.cfg"].iter().any(|name| survey.has(name))
        || survey.paths.iter().any(|path| REQUIREMENTS.contains(path));
    if manifest && survey.paths.iter().any(|path| path.ends_with(".py")) {
        project(survey)
    } else {
        Vec::new()
    }
}

/// The commands of a few Python files without any manifest, or with one that says nothing.
fn scripts(survey: &Survey<'_>) -> Vec<(Kind, String)> {
    let loose = |path: &&str| path.ends_with(".py") && (!path.contains('/') || is_test_file(path));
    if survey.paths.iter().any(loose) { project(survey) } else { Vec::new() }
}

/// What the project is made and tested with.
struct Tools {
    pytest: bool,
    black: bool,
    ruff: bool,
    ruff_format: bool,
    flake8: bool,
}

impl Tools {
    /// The programs that are modules to install, under the names that pip knows.
    fn modules(&self) -> impl Iterator<Item = &'static str> {
        let named = [
            ("pytest", self.pytest),
            ("black", self.black),
            ("ruff", self.ruff),
            ("flake8", self.flake8),
        ];
        named.into_iter().filter(|(_, used)| *used).map(|(name, _)| name)
    }
}

fn project(survey: &Survey<'_>) -> Vec<(Kind, String)> {
    let pyproject = survey.toml("pyproject.toml").unwrap_or_default();
    let tools = tools(survey, &pyproject);
    let setup = if survey.has("uv.lock") {
        Some("uv sync".to_owned())
    } else if survey.has("poetry.lock") {
        Some("poetry install --no-interaction".to_owned())
    } else {
        pip_install(survey, &pyproject, &tools)
    };
    let (python, environment) = match &setup {
        Some(_) if survey.has("uv.lock") => ("uv run python", true),
        Some(_) if survey.has("poetry.lock") => ("poetry run python", true),
        Some(_) => (".venv/bin/python", true),
        None => ("python3", false),
    };
    let mut commands: Vec<(Kind, String)> =
        setup.into_iter().map(|command| (Kind::Setup, command)).collect();
    // What the worker installs is no part of the repository, whatever the tools' own settings
    // leave out: they may replace the defaults, which leave `.venv` out.
    if tools.black {
        let others = if environment { black_exclusion(&pyproject) } else { String::new() };
        commands.push((Kind::Format, format!("{python} -m black{others} .")));
    } else if tools.ruff_format {
        // `ruff format` has no option that adds to the excluded paths. A setting on the command
        // line does.
        let others = if environment { " --config 'extend-exclude = [\".venv\"]'" } else { "" };
        commands.push((Kind::Format, format!("{python} -m ruff format{others} .")));
    }
    // Python has no build; that every file compiles is as much as can be asked. -f: whatever an
    // earlier run left behind.
    let others = if environment { r" -x '/\.venv/'" } else { "" };
    commands.push((Kind::Build, format!("{python} -m compileall -q -f{others} .")));
    if tools.ruff {
        let others = if environment { " --extend-exclude .venv" } else { "" };
        commands.push((Kind::Lint, format!("{python} -m ruff check{others} .")));
    }
    if tools.flake8 {
        let others = if environment { " --extend-exclude .venv" } else { "" };
        commands.push((Kind::Lint, format!("{python} -m flake8{others}")));
    }
    if tools.pytest {
        commands.push((Kind::Test, format!("{python} -m pytest")));
    } else if survey.paths.iter().any(|path| is_test_file(path)) {
        commands.push((Kind::Test, format!("{python} -m {}", unittest(survey))));
    }
    commands
}

/// The option that leaves `.venv` out for black. It takes the place of the setting of its name,
/// whose pattern has to be repeated.
fn black_exclusion(pyproject: &toml::Table) -> String {
    let black = pyproject.get("tool").and_then(|tools| tools.get("black"));
    let own = black.and_then(|black| black.get("extend-exclude")).and_then(Value::as_str);
    let environment = r"/\.venv/";
    let pattern = match own.map(str::trim).filter(|own| !own.is_empty()) {
        // black takes a pattern of several lines as a verbose one.
        Some(own) if own.contains('\n') => format!("(?:\n{own}\n)|{environment}"),
        Some(own) => format!("(?:{own})|{environment}"),
        None => environment.to_owned(),
    };
    format!(" --extend-exclude {}", quoted(&pattern))
}

/// unittest finds tests below a directory only when it is a package; `tests/` without an
/// `__init__.py` has to be named.
fn unittest(survey: &Survey<'_>) -> String {
    let start = ["tests", "test"].into_iter().find(|directory| {
        let has_tests = survey.paths.iter().any(|path| {
            path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
                && is_test_file(path)
        });
        has_tests && !survey.has(&format!("{directory}/__init__.py"))
    });
    start.map_or_else(
        || "unittest discover".to_owned(),
        |directory| format!("unittest discover -s {directory}"),
    )
}

fn tools(survey: &Survey<'_>, pyproject: &toml::Table) -> Tools {
    let tool = |name: &str| pyproject.get("tool").and_then(|tools| tools.get(name));
    let section = |file: &str, name: &str| {
        survey
            .text(file)
            .is_some_and(|text| text.lines().any(|line| line.trim() == format!("[{name}]")))
    };
    let ruff = tool("ruff").is_some() || survey.has("ruff.toml") || survey.has(".ruff.toml");
    let hooks = survey.text(".pre-commit-config.yaml").unwrap_or_default();
    let pytest = tool("pytest").is_some()
        || survey.has("pytest.ini")
        || section("setup.cfg", "tool:pytest")
        || section("tox.ini", "pytest")
        || requirement_texts(survey, pyproject).iter().any(|text| requires(text, "pytest"))
        || test_texts(survey).any(is_pytest_style);
    Tools {
        pytest,
        black: tool("black").is_some(),
        ruff,
        // Linting with ruff does not mean formatting with it: a whole tree formatted anew would
        // bury the change.
        ruff_format: ruff
            && (tool("ruff").is_some_and(|ruff| ruff.get("format").is_some())
                || hooks.contains("id: ruff-format")),
        flake8: survey.has(".flake8")
            || section("setup.cfg", "flake8")
            || section("tox.ini", "flake8"),
    }
}

fn test_texts<'a>(survey: &'a Survey<'_>) -> impl Iterator<Item = &'a str> {
    survey.paths.iter().filter(|path| is_test_file(path)).filter_map(move |path| survey.text(path))
}

/// Test functions outside a class are pytest's alone; unittest would not run them.
fn is_pytest_style(text: &str) -> bool {
    text.lines().any(|line| {
        line.starts_with("import pytest")
            || line.starts_with("from pytest")
            || line.starts_with("def test_")
            || line.starts_with("async def test_")
    })
}

/// Every list of requirements, one requirement a line, whether it will be installed or not.
fn requirement_texts(survey: &Survey<'_>, pyproject: &toml::Table) -> Vec<String> {
    let mut texts: Vec<String> =
        REQUIREMENTS.iter().filter_map(|file| survey.text(file)).map(str::to_owned).collect();
    texts.extend(["setup.py", "setup.cfg"].iter().filter_map(|file| survey.text(file)).map(
        |text| {
            // Both list requirements between quotes, brackets and commas of their own.
            text.replace(['\'', '"', ',', '[', ']', '='], "\n")
        },
    ));
    let project = pyproject.get("project");
    let mut lists: Vec<&Value> =
        project.and_then(|project| project.get("dependencies")).into_iter().collect();
    let extras = project.and_then(|project| project.get("optional-dependencies"));
    let groups = pyproject.get("dependency-groups");
    lists.extend(
        [extras, groups]
            .into_iter()
            .flatten()
            .filter_map(Value::as_table)
            .flat_map(toml::Table::values),
    );
    texts.push(lists.iter().flat_map(|list| strings(list)).collect::<Vec<_>>().join("\n"));
    // Poetry has its requirements as the keys of tables.
    let poetry = pyproject
        .get("tool")
        .and_then(|tools| tools.get("poetry"))
        .map(Value::to_string)
        .unwrap_or_default();
    texts.push(poetry.replace(['{', ',', '"'], "\n"));
    texts
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether a list of requirements has this very package: `pytest>=8` and `pytest[extra]`, but not
/// `pytest-cov`.
fn requires(text: &str, package: &str) -> bool {
    text.lines().any(|line| {
        line.trim_start().strip_prefix(package).is_some_and(|rest| {
            !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
        })
    })
}

/// The setup by pip, when anything is to be installed.
///
/// The environment sees what the machine's own Python has, so that a machine without a network can
/// still run what it has the packages for. It is cleared, since an environment that came with the
/// tree is nobody's to trust.
fn pip_install(survey: &Survey<'_>, pyproject: &toml::Table, tools: &Tools) -> Option<String> {
    let mut arguments = Vec::new();
    let mut listed = Vec::new();
    for file in REQUIREMENTS {
        let text = survey.text(file).unwrap_or_default();
        if text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#')) {
            arguments.push(format!("-r {file}"));
            listed.push(text.to_owned());
        }
    }
    let project = pyproject.get("project");
    let dependencies =
        project.and_then(|project| project.get("dependencies")).map(strings).unwrap_or_default();
    let extras: Vec<_> = project
        .and_then(|project| project.get("optional-dependencies"))
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
        .filter(|(name, _)| DEVELOPMENT_EXTRAS.contains(&name.as_str()))
        .collect();
    let legacy =
        ["setup.py", "setup.cfg"].iter().filter_map(|file| survey.text(file)).collect::<String>();
    let source_layout =
        survey.paths.iter().any(|path| path.starts_with("src/") && path.ends_with(".py"));
    let packaged = pyproject.contains_key("build-system") || survey.has("setup.py");
    if packaged
        && (source_layout
            || !dependencies.is_empty()
            || !extras.is_empty()
            || legacy.contains("install_requires"))
    {
        let names: Vec<_> = extras.iter().map(|(name, _)| name.as_str()).collect();
        let suffix =
            if names.is_empty() { String::new() } else { format!("[{}]", names.join(",")) };
        arguments.push(format!("-e {}", quoted(&format!(".{suffix}"))));
    } else {
        arguments.extend(dependencies.iter().map(|requirement| quoted(requirement)));
    }
    listed.push(dependencies.join("\n"));
    listed.extend(extras.iter().map(|(_, list)| strings(list).join("\n")));
    let missing =
        tools.modules().filter(|module| !listed.iter().any(|text| requires(text, module)));
    arguments.extend(missing.map(str::to_owned));
    (!arguments.is_empty()).then(|| {
        let environment = "python3 -m venv --clear --system-site-packages .venv";
        format!("{environment} && .venv/bin/python -m pip install -q {}", arguments.join(" "))
    })
}

/// One word of a shell line.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '=' | '/');
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `/usr/bin/python3: No module named pytest`, as `python -m` prints it. The traceback of an import
/// that fails ends otherwise.
fn missing_tool(line: &str) -> Option<String> {
    let (program, module) = line.split_once(": No module named ")?;
    let name = program.strip_suffix(".exe").unwrap_or(program);
    let is_python = !program.contains(char::is_whitespace)
        && name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').ends_with("python");
    let module = module.strip_prefix('\'').unwrap_or(module);
    let module = module.strip_suffix('\'').unwrap_or(module);
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    (is_python && !module.is_empty() && module.chars().all(is_name)).then(|| module.to_owned())
}

/// `pyenv: black: command not found`, of a program that another version of Python has.
fn missing_program(line: &str) -> Option<&str> {
    let (program, _) = line.strip_prefix("pyenv: ")?.split_once(": command not found")?;
    (!program.contains(char::is_whitespace)).then_some(program)
}

#[cfg(test)]
mod tests;
