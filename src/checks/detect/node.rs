//! Node: the package manager by its lock file, and the scripts that `package.json` has.

use serde_json::Value;

use super::super::Kind;
use super::Survey;

#[derive(Clone, Copy, PartialEq, Eq)]
enum PackageManager {
    Npm,
    Pnpm,
    YarnClassic,
    /// Yarn 2 and later, whose options are other than the classic's.
    YarnBerry,
}

/// What `npm init` writes as the test script; it only fails.
const PLACEHOLDER: &str = "no test specified";

pub(super) fn commands(survey: Survey<'_>) -> Vec<(Kind, String)> {
    let Some(text) = survey.text("package.json") else { return Vec::new() };
    // A manifest that is not JSON has no scripts to run; the agent's own build would say so anyway.
    let manifest: Value = serde_json::from_str(text).unwrap_or_default();
    let manager = package_manager(survey, &manifest);
    let run = match manager {
        PackageManager::Npm => "npm run",
        PackageManager::Pnpm => "pnpm run",
        PackageManager::YarnClassic | PackageManager::YarnBerry => "yarn run",
    };
    let mut commands = Vec::new();
    if has_dependencies(&manifest) {
        commands.push((Kind::Setup, install(manager, survey).to_owned()));
    }
    let script = |name: &str| manifest.pointer("/scripts")?.get(name)?.as_str();
    for (kind, name) in [
        (Kind::Format, "format"),
        (Kind::Build, "build"),
        (Kind::Lint, "lint"),
        (Kind::Test, "test"),
    ] {
        if script(name).is_some_and(|line| !line.trim().is_empty() && !line.contains(PLACEHOLDER)) {
            let command = if kind == Kind::Test {
                run.replace(" run", " test")
            } else {
                format!("{run} {name}")
            };
            commands.push((kind, command));
        }
    }
    commands
}

fn package_manager(survey: Survey<'_>, manifest: &Value) -> PackageManager {
    // Corepack's field, `name@version`, is an explicit choice.
    let chosen = manifest.get("packageManager").and_then(Value::as_str).unwrap_or_default();
    if chosen.starts_with("npm@")
        || survey.has("package-lock.json")
        || survey.has("npm-shrinkwrap.json")
    {
        PackageManager::Npm
    } else if chosen.starts_with("pnpm@") || survey.has("pnpm-lock.yaml") {
        PackageManager::Pnpm
    } else if chosen.starts_with("yarn@1.") {
        PackageManager::YarnClassic
    } else if chosen.starts_with("yarn@") || survey.has(".yarnrc.yml") {
        PackageManager::YarnBerry
    } else if survey.has("yarn.lock") {
        PackageManager::YarnClassic
    } else {
        PackageManager::Npm
    }
}

fn has_dependencies(manifest: &Value) -> bool {
    let filled = |key: &&str| {
        manifest.get(key).and_then(Value::as_object).is_some_and(|table| !table.is_empty())
    };
    ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"]
        .iter()
        .any(filled)
        || manifest.get("workspaces").is_some()
}

/// Installs what the lock file says, and brings the lock file up to date when the change added a
/// dependency: an agent cannot write one.
fn install(manager: PackageManager, survey: Survey<'_>) -> &'static str {
    match manager {
        PackageManager::Npm
            if survey.has("package-lock.json") || survey.has("npm-shrinkwrap.json") =>
        {
            "npm ci || npm install"
        }
        PackageManager::Npm => "npm install --no-package-lock",
        PackageManager::Pnpm => "pnpm install --no-frozen-lockfile",
        PackageManager::YarnClassic => "yarn install --non-interactive",
        PackageManager::YarnBerry => "yarn install --no-immutable",
    }
}
