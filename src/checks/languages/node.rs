//! Node: the package manager by its lock file, and the scripts that `package.json` has.

mod failure_names;

use serde_json::Value;

use super::ProjectType;
use crate::checks::Kind;
use crate::checks::survey::{ManifestFiles, Survey};

pub(super) const NODE: ProjectType = ProjectType {
    name: "Node",
    manifests: &[ManifestFiles::json(&["package.json"])],
    commands,
    failure_names: failure_names::collect,
    unreachable: &[r"\b(?:ENOTFOUND|EAI_AGAIN|ENETUNREACH|ETIMEDOUT|ECONNREFUSED)\b"],
    progress: &[
        r"^\s*PASS\s",
        r"^\s*(?:✓|✔|√)\s",
        r"^\s*ok \d+ - ",
        r"^\s*# Subtest: ",
        r"^npm (?:warn|notice)",
        r"^\s+at (?:node:|.*\(node:|.*node_modules/)",
    ],
    artifacts: &["node_modules/"],
    toolchains: &[("NVM_DIR", ".nvm"), ("VOLTA_HOME", ".volta")],
    caches: &[("npm_config_cache", "npm")],
    variables: &[
        ("npm_config_audit", "false"),
        ("npm_config_fund", "false"),
        ("npm_config_update_notifier", "false"),
    ],
    test_files: &[r"(^|/)__tests__/", r"[._-](test|spec)s?\.[^/]+$"],
    skip_marks: &[
        r"\b(it|test|describe|context)\.(skip|only|todo)\b",
        r"\b(xit|xtest|xdescribe|fit|fdescribe)\(",
    ],
    ..ProjectType::EMPTY
};

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

fn commands(survey: &Survey<'_>) -> Vec<(Kind, String)> {
    let Some(manifest) = survey.json("package.json") else { return Vec::new() };
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

fn package_manager(survey: &Survey<'_>, manifest: &Value) -> PackageManager {
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
fn install(manager: PackageManager, survey: &Survey<'_>) -> &'static str {
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

#[cfg(test)]
mod tests;
