//! Node: the package manager by its lock file, and the scripts that `package.json` has.

mod failure_names;

use serde_json::Value;

use super::ProjectType;
use crate::checks::Kind;
use crate::checks::obstacle::ToldObstacle;
use crate::checks::survey::{ManifestFiles, Survey};

pub(super) const NODE: ProjectType = ProjectType {
    name: "Node",
    manifests: &[ManifestFiles::json(&["package.json"])],
    commands,
    failure_names: failure_names::collect,
    inner_exit_code,
    hides_exit_code,
    obstacles: &[
        (
            ToldObstacle::Certificate,
            r"(?x)\b(?:SELF_SIGNED_CERT_IN_CHAIN | DEPTH_ZERO_SELF_SIGNED_CERT | CERT_HAS_EXPIRED |
            UNABLE_TO_VERIFY_LEAF_SIGNATURE | UNABLE_TO_GET_ISSUER_CERT(?:_LOCALLY)?)\b",
        ),
        (
            ToldObstacle::Network,
            r"\b(?:ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ECONNREFUSED)\b",
        ),
        // A registry that refuses, or a proxy that does so in its place.
        (ToldObstacle::Network, r"^npm (?:error|ERR!) (?:code E40[13]|40[13] )"),
        (
            ToldObstacle::Network,
            r"\bERR_PNPM_FETCH_40[13]\b|tunneling socket could not be established",
        ),
        (ToldObstacle::WrongVersion, r"\bEBADENGINE\b.*|\bERR_PNPM_UNSUPPORTED_ENGINE\b"),
        (ToldObstacle::WrongVersion, r#"The engine "\w+" is incompatible with this module"#),
    ],
    test_counts: &[
        // Jest: `Tests:       2 failed, 1 passed, 3 total`.
        r"^Tests:\s.*?\b(?P<passed>\d+) passed",
        r"^Tests:\s.*?\b(?P<failed>\d+) failed",
        // Vitest: `      Tests  2 failed | 1 passed (3)`.
        r"^\s+Tests\s+.*?\b(?P<passed>\d+) passed",
        r"^\s+Tests\s+.*?\b(?P<failed>\d+) failed",
        // Mocha, AVA and Bun.
        r"^\s+(?P<passed>\d+) passing\b",
        r"^\s+(?P<failed>\d+) failing\b",
        r"^\s+(?P<passed>\d+) tests? passed$",
        r"^\s+(?P<failed>\d+) tests? failed$",
        r"^\s*(?P<passed>\d+) pass$",
        r"^\s*(?P<failed>\d+) fail$",
        // node:test and tape.
        r"^(?:#|ℹ) pass\s+(?P<passed>\d+)$",
        r"^(?:#|ℹ) fail\s+(?P<failed>\d+)$",
        // Playwright, Jasmine, Karma, Deno, uvu and node-tap.
        r"^\s+(?P<passed>\d+) passed \(",
        r"^(?P<total>\d+) specs?, (?P<failed>\d+) failures?",
        r"Executed (?P<total>\d+) of \d+ (?:\((?P<failed>\d+) FAILED\)|SUCCESS)",
        r"^(?:ok|FAILED) \| (?P<passed>\d+) passed.* \| (?P<failed>\d+) failed",
        r"^\s+Passed:\s+(?P<passed>\d+)$",
        r"^\s*# \{ total: \d+, pass: (?P<passed>\d+)",
    ],
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
    // npm and pnpm, and Yarn's two.
    without_network: &[
        ("npm_config_fetch_retries", "0"),
        ("YARN_NETWORK_TIMEOUT", "5000"),
        ("YARN_HTTP_RETRY", "0"),
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

/// `error Command failed with exit code 127.`, as Yarn prints it, and ends with 1.
fn inner_exit_code(line: &str) -> Option<i32> {
    let (_, code) = line.split_once("Command failed with exit code ")?;
    code.trim_end_matches('.').parse().ok()
}

/// ` ELIFECYCLE  Test failed. See above for more details.`, as pnpm prints it, which ends with 1
/// whatever the script ended with.
fn hides_exit_code(line: &str) -> bool {
    line.contains("ELIFECYCLE")
}

#[cfg(test)]
mod tests;
