//! Maven and Gradle: the wrapper that the repository brings, else the installed program.

use super::super::Kind;
use super::Survey;

pub(super) fn is_maven(survey: Survey<'_>) -> bool {
    survey.has("pom.xml")
}

pub(super) fn is_gradle(survey: Survey<'_>) -> bool {
    survey.has("build.gradle")
        || survey.has("build.gradle.kts")
        || survey.has("settings.gradle")
        || survey.has("settings.gradle.kts")
}

pub(super) fn maven(survey: Survey<'_>) -> Vec<(Kind, String)> {
    let Some(pom) = survey.text("pom.xml") else { return Vec::new() };
    let program = if survey.has("mvnw") { "./mvnw" } else { "mvn" };
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

pub(super) fn gradle(survey: Survey<'_>) -> Vec<(Kind, String)> {
    let program = if survey.has("gradlew") { "./gradlew" } else { "gradle" };
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
