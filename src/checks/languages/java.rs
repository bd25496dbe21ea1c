//! Java and its relatives: Maven and Gradle, by the wrapper that the repository brings, else the
//! installed program.

use std::ffi::OsString;
use std::path::Path;

use super::ProjectType;
use crate::checks::Kind;
use crate::checks::failure_names::FailureNames;
use crate::checks::obstacle::ToldObstacle;
use crate::checks::survey::{ManifestFiles, Survey};

pub(super) const MAVEN: ProjectType = ProjectType {
    name: "Maven",
    manifests: &[ManifestFiles::text(&["pom.xml", "mvnw"])],
    commands: maven,
    failure_names,
    missing_tool,
    obstacles: &[
        (ToldObstacle::Network, "UnknownHostException|Unknown host|NoRouteToHostException"),
        (
            ToldObstacle::Network,
            r"Could not transfer artifact .* Connect(?:ion refused|ion timed out)?",
        ),
        (
            ToldObstacle::Network,
            "Could not transfer artifact .*(?:403|Forbidden|Network is unreachable)",
        ),
        (
            ToldObstacle::Certificate,
            "PKIX path building failed|unable to find valid certification path",
        ),
        (
            ToldObstacle::WrongVersion,
            r"error: (?:release version|invalid (?:source|target) release:?) \S+",
        ),
        (ToldObstacle::WrongVersion, "has been compiled by a more recent version of the Java"),
        (ToldObstacle::WrongVersion, "Detected (?:JDK|Maven) .*not in the allowed range"),
        (ToldObstacle::WrongVersion, "No matching toolchains? found|Unsupported class file major"),
    ],
    test_counts: &[
        // The line of all classes; that of one class goes on with its time.
        r"(?x)^(?:\[\w+\]\ )?Tests\ run:\ (?P<total>\d+),\ Failures:\ (?P<failed>\d+),
        \ Errors:\ (?P<failed_too>\d+),\ Skipped:\ (?P<left_out>\d+)$",
        r"^OK \((?P<passed>\d+) tests?\)$",
        r"^\[\s*(?P<passed>\d+) tests successful\s*\]",
        r"^\[\s*(?P<failed>\d+) tests failed\s*\]",
    ],
    progress: &[r"^\[INFO\]"],
    toolchains: &[("SDKMAN_DIR", ".sdkman"), ("JAVA_HOME", "")],
    cache_options: maven_repository,
    test_files: &[r"(?-i:[^/]*(Test|Tests|Spec)\.[A-Za-z]+$)"],
    skip_marks: &[r"@(Disabled|Ignore)\b"],
    ..ProjectType::EMPTY
};

/// What it shares with Maven is there.
pub(super) const GRADLE: ProjectType = ProjectType {
    name: "Gradle",
    manifests: &[ManifestFiles::text(&["build.gradle", "build.gradle.kts", "gradlew"])],
    commands: gradle,
    test_counts: &[
        // Gradle tells no numbers when all tests pass. The task of tests without a source says so.
        r"^> Task (?::[\w.-]+)*:(?P<passed>test|\w+[a-z0-9]Test)(?: UP-TO-DATE| FROM-CACHE)?$",
        r"(?x)^(?P<total>\d+)\ tests?\ completed(?:,\ (?P<failed>\d+)\ failed)?
        (?:,\ (?P<left_out>\d+)\ skipped)?$",
        r"^\S.* > .* (?P<passed>PASSED)$",
    ],
    progress: &[r"^> Task \S+(?: UP-TO-DATE| NO-SOURCE)?$"],
    artifacts: &["/.gradle/"],
    caches: &[("GRADLE_USER_HOME", "gradle")],
    ..ProjectType::EMPTY
};

fn is_gradle(survey: &Survey<'_>) -> bool {
    survey.has("build.gradle")
        || survey.has("build.gradle.kts")
        || survey.has("settings.gradle")
        || survey.has("settings.gradle.kts")
}

/// Whether the repository is built with Gradle. One that is being moved from one tool to the other
/// has the manifests of both, and the tool with a wrapper is the one in use.
fn uses_gradle(survey: &Survey<'_>) -> bool {
    is_gradle(survey) && (!survey.has("pom.xml") || (survey.has("gradlew") && !survey.has("mvnw")))
}

fn maven(survey: &Survey<'_>) -> Vec<(Kind, String)> {
    let Some(pom) = survey.text("pom.xml").filter(|_| !uses_gradle(survey)) else {
        return Vec::new();
    };
    let program = wrapper(survey, "mvnw").unwrap_or_else(|| "mvn".to_owned());
    // -B: no prompts, no progress bars.
    let mut commands = vec![(Kind::Build, format!("{program} -B test-compile"))];
    if pom.contains("spotless-maven-plugin") {
        commands.push((Kind::Format, format!("{program} -B spotless:apply")));
    }
    if pom.contains("maven-checkstyle-plugin") {
        commands.push((Kind::Lint, format!("{program} -B checkstyle:check")));
    }
    // The first module that is red must not hide the others.
    commands.push((Kind::Test, format!("{program} -B --fail-at-end test")));
    commands
}

fn gradle(survey: &Survey<'_>) -> Vec<(Kind, String)> {
    if !uses_gradle(survey) {
        return Vec::new();
    }
    let program = wrapper(survey, "gradlew").unwrap_or_else(|| "gradle".to_owned());
    let script = ["build.gradle", "build.gradle.kts"]
        .iter()
        .find_map(|name| survey.text(name))
        .unwrap_or_default()
        .to_owned();
    // A daemon would be left behind; it is killed with the rest of the process tree, so it is
    // better not started.
    let gradle = format!("{program} --no-daemon --console=plain");
    let mut commands = vec![(Kind::Build, format!("{gradle} assemble"))];
    if script.contains("com.diffplug.spotless") {
        commands.push((Kind::Format, format!("{gradle} spotlessApply")));
    }
    if script
        .lines()
        .any(|line| line.contains("checkstyle") && (line.contains("id") || line.contains("plugin")))
    {
        commands.push((Kind::Lint, format!("{gradle} checkstyleMain")));
    }
    commands.push((Kind::Test, format!("{gradle} --continue test")));
    commands
}

/// The command of a wrapper script, by the shell that its first line names. A wrapper that was
/// committed on Windows has no permission to be executed, and needs none this way.
fn wrapper(survey: &Survey<'_>, name: &str) -> Option<String> {
    let first = survey.text(name).and_then(|text| text.lines().next()).unwrap_or_default();
    let shell = if first.contains("bash") { "bash" } else { "sh" };
    survey.has(name).then(|| format!("{shell} ./{name}"))
}

fn missing_tool(line: &str) -> Option<String> {
    let says_so = line.contains("Unable to locate a Java Runtime")
        || ["is not set", "is not defined"].iter().any(|end| {
            line.contains(&format!("JAVA_HOME {end}"))
                || line.contains(&format!("JAVA_HOME environment variable {end}"))
        });
    says_so.then(|| "java".to_owned())
}

/// Maven reads no variable for its local repository, and has an option for it. `MAVEN_OPTS` is
/// split at blanks and knows no quotes, so that a path with a blank can't be given.
fn maven_repository(cache: &Path) -> Vec<(&'static str, OsString)> {
    let repository = cache.join("maven");
    if repository.to_string_lossy().contains(char::is_whitespace) {
        return Vec::new();
    }
    let mut option = OsString::from("-Dmaven.repo.local=");
    option.push(repository);
    vec![("MAVEN_OPTS", option)]
}

/// The failures of Maven's surefire and of Gradle. The errors of javac have the form that compilers
/// share.
fn failure_names(lines: &[&str], names: &mut FailureNames) {
    for line in lines {
        if let Some(test) = failed_in_surefire(line).or_else(|| failed_in_gradle(line)) {
            names.test(test);
        }
    }
}

/// `[ERROR] shop.ShopTest.adds -- Time elapsed: 0.01 s <<< FAILURE!`; before version 3,
/// `adds(shop.ShopTest)  Time elapsed: …`. The class has a line of its own, which begins with its
/// count of tests.
fn failed_in_surefire(line: &str) -> Option<&str> {
    let line = line.strip_prefix("[ERROR] ").unwrap_or(line);
    let (name, end) = line.split_once("Time elapsed: ")?;
    let red = end.contains("<<< FAILURE!") || end.contains("<<< ERROR!");
    (red && !name.starts_with("Tests run:")).then(|| name.trim().trim_end_matches("--").trim_end())
}

/// `ShopTest > adds() FAILED`; a task's line begins with `> Task`.
fn failed_in_gradle(line: &str) -> Option<&str> {
    let name = line.strip_suffix(" FAILED")?;
    (name.contains(" > ") && !name.starts_with(['>', ' '])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{
        counts, detects, is_test, lacks, names, obstacle, sample, skips, unreachable,
    };
    use super::*;

    #[test]
    fn maven_and_gradle_by_their_wrappers_first() {
        detects(
            &[("pom.xml", "<project/>")],
            &[("build", "mvn -B test-compile"), ("test", "mvn -B --fail-at-end test")],
        );
        detects(
            &[("pom.xml", "<artifactId>spotless-maven-plugin</artifactId>"), ("mvnw", "")],
            &[
                ("format", "sh ./mvnw -B spotless:apply"),
                ("build", "sh ./mvnw -B test-compile"),
                ("test", "sh ./mvnw -B --fail-at-end test"),
            ],
        );
        detects(
            &[("build.gradle.kts", ""), ("gradlew", "")],
            &[
                ("build", "sh ./gradlew --no-daemon --console=plain assemble"),
                ("test", "sh ./gradlew --no-daemon --console=plain --continue test"),
            ],
        );
        detects(
            &[("pom.xml", ""), ("build.gradle", ""), ("gradlew", "")],
            &[
                ("build", "sh ./gradlew --no-daemon --console=plain assemble"),
                ("test", "sh ./gradlew --no-daemon --console=plain --continue test"),
            ],
        );
    }

    #[test]
    fn a_wrapper_is_run_by_the_shell_that_it_names() {
        detects(
            &[("pom.xml", ""), ("mvnw", "#!/usr/bin/env bash\n")],
            &[
                ("build", "bash ./mvnw -B test-compile"),
                ("test", "bash ./mvnw -B --fail-at-end test"),
            ],
        );
    }

    #[test]
    fn surefire_names_tests_in_both_its_formats() {
        names(&sample("surefire-3"), &["shop.ShopTest.adds", "shop.ShopTest.boom"]);
        names(&sample("surefire-2"), &["adds(shop.ShopTest)"]);
    }

    #[test]
    fn gradle_names_tests_and_not_tasks() {
        names(&sample("gradle-test"), &["ShopTest > In > deep()", "ShopTest > adds()"]);
    }

    #[test]
    fn a_java_that_is_not_installed_is_a_missing_tool() {
        lacks(1, "Error: JAVA_HOME is not defined correctly.\n", "java");
        lacks(1, "The JAVA_HOME environment variable is not defined correctly,\n", "java");
        lacks(1, "ERROR: JAVA_HOME is not set and no 'java' command could be found.\n", "java");
        lacks(1, "The operation couldn't be completed. Unable to locate a Java Runtime.\n", "java");
    }

    #[test]
    fn maven_without_a_network_says_so() {
        unreachable(
            "Could not transfer artifact a:b:pom:1 from/to central \
                (https://repo.maven.apache.org/maven2): Unknown host repo.maven.apache.org\n",
        );
    }

    #[test]
    fn a_java_that_is_too_old_or_does_not_trust_a_host_says_so() {
        obstacle(
            "[ERROR] Fatal error compiling: error: invalid target release: 99\n",
            "WrongVersion",
        );
        obstacle("error: release version 99 not supported\n", "WrongVersion");
        obstacle(
            "[ERROR] x: PKIX path building failed: sun.security.provider.certpath\n",
            "Certificate",
        );
    }

    #[test]
    fn maven_and_gradle_show_that_tests_ran() {
        counts(&sample("surefire-3"), 1, 2);
        counts("[INFO] Tests run: 3, Failures: 0, Errors: 0, Skipped: 1\n", 2, 0);
        counts(&sample("gradle-test"), 1, 2);
        counts("> Task :compileTestJava\n> Task :testClasses\n> Task :test\n", 1, 0);
        counts("> Task :compileTestJava NO-SOURCE\n> Task :test NO-SOURCE\n", 0, 0);
    }

    #[test]
    fn tests_and_the_marks_that_leave_them_out_are_known() {
        is_test("src/test/java/A.java");
        is_test("src/ShopTest.java");
        skips("@Disabled");
    }

    #[test]
    fn a_path_with_a_blank_is_not_given_to_maven() {
        let option = maven_repository(Path::new("/cache"));
        assert_eq!(option, [("MAVEN_OPTS", "-Dmaven.repo.local=/cache/maven".into())]);
        assert_eq!(maven_repository(Path::new("/my cache")), []);
    }
}
