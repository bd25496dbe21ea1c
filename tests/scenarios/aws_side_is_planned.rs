//! The Terraform configuration by itself: it is well formed, passes its own tests, and refuses bad
//! values.

use crate::world::terraform::{OFFLINE, Terraform};

#[tokio::test]
async fn the_configuration_is_well_formed_and_its_own_tests_pass() {
    let Some(terraform) = Terraform::with(OFFLINE) else { return };
    terraform.succeed(&["fmt", "-check", "-diff", "-recursive"]);
    terraform.succeed(&["validate"]);
    let printed = terraform.succeed(&["test", "-no-color"]);
    assert!(printed.contains(" passed, 0 failed."), "{printed}");
}

#[tokio::test]
async fn every_bad_value_is_refused_with_its_reason() {
    let Some(terraform) = Terraform::with(OFFLINE) else { return };
    let check = |values: &[&str], reason: &str| {
        let mut arguments = vec!["plan", "-input=false", "-no-color", "-lock=false"];
        for default in ["github_org=owner", "github_repos=[\"repo\"]"] {
            arguments.extend(["-var", default]);
        }
        for value in values {
            arguments.extend(["-var", value]);
        }
        let output = terraform.run(&arguments);
        let printed = String::from_utf8_lossy(&output.stderr)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        // Terraform breaks long lines and draws a bar before each.
        let printed = printed.replace("│ ", "").replace("╷ ", "");
        assert_eq!(output.status.code(), Some(1), "{values:?} was taken");
        assert!(printed.contains(reason), "{values:?}: {reason:?} is not in {printed}");
    };
    check(&["aws_region=tokyo"], "aws_region must be a region's code");
    check(&["environment=Dev!"], "environment must be 1 to 32 lowercase letters");
    check(&["github_org=ow*er"], "github_org must be an exact GitHub name");
    check(&["github_repos=[]"], "github_repos must list at least one repository");
    check(&["github_repos=[\"re?o\"]"], "github_repos must hold exact repository names");
    check(&["github_repos=[\"repo\", \"Repo\"]"], "github_repos must name each repository once");
    check(
        &["github_owner_id=one", "github_repo_ids={repo=\"2\"}"],
        "github_owner_id must be a number",
    );
    check(&["github_owner_id=1"], "github_owner_id and github_repo_ids belong together");
    check(
        &["github_owner_id=1", "github_repo_ids={repo=\"*\"}"],
        "github_repo_ids must map names to numbers",
    );
    check(
        &["github_owner_id=1", "github_repo_ids={other=\"2\"}"],
        "github_repo_ids must hold exactly the repositories",
    );
    check(
        &["sqs_visibility_timeout=43201"],
        "sqs_visibility_timeout must be a whole number of seconds from 30 to 43200",
    );
    check(
        &["sqs_message_retention=59"],
        "sqs_message_retention must be a whole number of seconds from 60 to 1209600",
    );
    check(
        &["sqs_message_retention=1209600"],
        "sqs_message_retention must be shorter than the dead-letter queue's",
    );
    check(
        &["sqs_message_retention=3600"],
        "sqs_message_retention must be longer than sqs_visibility_timeout",
    );
    check(
        &["sqs_max_receive_count=0"],
        "sqs_max_receive_count must be a whole number from 1 to 1000",
    );
    check(&["alarm_email=nobody"], "alarm_email must be one e-mail address");
}
