//! The files in which package managers keep the exact versions of dependencies.

/// The names of lock files, each as its tool's manual names it.
const LOCK_FILES: &[&str] = &[
    "Cargo.lock",
    "Gemfile.lock",
    "Package.resolved",
    "Pipfile.lock",
    "bun.lock",
    "composer.lock",
    "deno.lock",
    "go.sum",
    "gradle.lockfile",
    "mix.lock",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "packages.lock.json",
    "pdm.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "pubspec.lock",
    "uv.lock",
    "yarn.lock",
];

/// Returns whether a path, with slashes between its parts, is that of a lock file.
pub fn is_lock_file(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| LOCK_FILES.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_is_known_by_its_name() {
        assert!(is_lock_file("Cargo.lock") && is_lock_file("web/package-lock.json"));
        assert!(!is_lock_file("Cargo.toml") && !is_lock_file("Cargo.lock/x"));
        assert!(!is_lock_file("index.lock"));
    }
}
