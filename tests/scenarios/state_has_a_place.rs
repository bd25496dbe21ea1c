//! The script that makes the bucket and the table for Terraform's state, run against moto.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::world::aws_cli::AwsCli;
use crate::world::moto::Moto;
use crate::world::tools;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/infra/bootstrap-backend.sh");
const BUCKET: &str = "codingworker-dev-tfstate";
const TABLE: &str = "codingworker-dev-tfstate-lock";
const KEY: &str = "codingworker/terraform.tfstate";

struct BackendFixture {
    _moto: Moto,
    aws: AwsCli,
}

impl BackendFixture {
    async fn new() -> Option<Self> {
        tools::on_the_path("jq")?;
        let moto = Moto::start().await?;
        Some(Self { aws: AwsCli::at(&moto.url)?, _moto: moto })
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.aws.command(Path::new(SCRIPT)).args(arguments).output().unwrap()
    }

    #[track_caller]
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str], reason: &str) {
        let output = self.run(arguments);
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {printed}");
        assert!(printed.contains(reason), "{reason:?} is not in {printed:?}");
    }

    fn put_state(&self, key: &str, state: &str) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        std::fs::write(&path, state).unwrap();
        self.aws.ask(&[
            "s3api",
            "put-object",
            "--bucket",
            BUCKET,
            "--key",
            key,
            "--body",
            path.to_str().unwrap(),
        ]);
    }

    fn buckets(&self) -> Value {
        self.aws.ask(&["s3api", "list-buckets", "--query", "Buckets[].Name"])
    }

    fn tables(&self) -> Value {
        self.aws.ask(&["dynamodb", "list-tables", "--query", "TableNames"])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_and_the_table_are_made_and_a_second_run_changes_nothing() {
    let Some(fixture) = BackendFixture::new().await else { return };
    let plan = fixture.succeed(&["--dry-run"]);
    assert_eq!(
        (fixture.buckets(), fixture.tables()),
        (json!([]), json!([])),
        "a dry run made something"
    );
    assert_eq!(
        plan.lines().filter(|line| line.starts_with("would run: aws ")).count(),
        6,
        "{plan}"
    );

    for _ in 0..2 {
        assert!(fixture.succeed(&[]).ends_with("ready: `terraform init` finds its state there\n"));
        let of_bucket = |call: &str| fixture.aws.ask(&["s3api", call, "--bucket", BUCKET]);
        assert_eq!(of_bucket("get-bucket-location")["LocationConstraint"], "ap-northeast-1");
        assert_eq!(of_bucket("get-bucket-versioning")["Status"], "Enabled");
        let blocked = of_bucket("get-public-access-block")["PublicAccessBlockConfiguration"].take();
        assert!(blocked.as_object().unwrap().values().all(|value| value == true), "{blocked}");
        assert_eq!(blocked.as_object().unwrap().len(), 4);
        let encryption =
            of_bucket("get-bucket-encryption")["ServerSideEncryptionConfiguration"]["Rules"][0]
                .take();
        assert_eq!(encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"], "AES256");
        let policy: Value =
            serde_json::from_str(of_bucket("get-bucket-policy")["Policy"].as_str().unwrap())
                .unwrap();
        assert_eq!(
            policy["Statement"],
            json!([{
                "Sid": "DenyNonSSLAccess",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [format!("arn:aws:s3:::{BUCKET}"), format!("arn:aws:s3:::{BUCKET}/*")],
                "Condition": { "Bool": { "aws:SecureTransport": "false" } },
            }])
        );
        let table =
            fixture.aws.ask(&["dynamodb", "describe-table", "--table-name", TABLE])["Table"].take();
        assert_eq!(table["KeySchema"], json!([{ "AttributeName": "LockID", "KeyType": "HASH" }]));
        assert_eq!(
            table["AttributeDefinitions"],
            json!([{ "AttributeName": "LockID", "AttributeType": "S" }])
        );
        assert_eq!(table["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_and_the_table_are_removed_only_when_they_are_empty() {
    let Some(fixture) = BackendFixture::new().await else { return };
    fixture.succeed(&[]);
    // moto reads no conditions in a bucket's policy, and would refuse everything.
    fixture.aws.ask(&["s3api", "delete-bucket-policy", "--bucket", BUCKET]);
    fixture.put_state(KEY, r#"{"version": 4, "resources": [{}, {}]}"#);
    fixture.refused(&["--destroy"], "a state with 2 resources: run `terraform destroy` first");
    fixture.put_state(KEY, r#"{"version": 4, "resources": []}"#);

    fixture.put_state("codingworker/terraform.tfstate.tflock", "{}");
    fixture.refused(&["--destroy"], "Terraform holds a lock");
    fixture.aws.ask(&[
        "s3api",
        "delete-object",
        "--bucket",
        BUCKET,
        "--key",
        "codingworker/terraform.tfstate.tflock",
    ]);

    let id = format!("{BUCKET}/{KEY}");
    let (lock, digest) =
        (json!({ "LockID": { "S": id } }), json!({ "LockID": { "S": format!("{id}-md5") } }));
    for item in [&lock, &digest] {
        fixture.aws.ask(&[
            "dynamodb",
            "put-item",
            "--table-name",
            TABLE,
            "--item",
            &item.to_string(),
        ]);
    }
    fixture.refused(&["--destroy"], &format!("Terraform holds a lock in {TABLE}: {id}"));
    fixture.aws.ask(&[
        "dynamodb",
        "delete-item",
        "--table-name",
        TABLE,
        "--key",
        &lock.to_string(),
    ]);

    fixture.put_state("notes.txt", "mine");
    fixture.refused(&["--destroy"], "holds notes.txt, which is no state of Terraform");
    fixture.aws.ask(&["s3api", "delete-object", "--bucket", BUCKET, "--key", "notes.txt"]);

    assert!(fixture.succeed(&["--destroy", "--dry-run"]).ends_with("nothing was changed\n"));
    assert_eq!((fixture.buckets(), fixture.tables()), (json!([BUCKET]), json!([TABLE])));
    for _ in 0..2 {
        fixture.succeed(&["--destroy"]);
        assert_eq!((fixture.buckets(), fixture.tables()), (json!([]), json!([])));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_can_be_chosen_and_wrong_ones_are_told() {
    let Some(fixture) = BackendFixture::new().await else { return };
    fixture.succeed(&["--bucket", "state-of-ours", "--table", "locks", "--region", "us-east-1"]);
    assert_eq!(fixture.buckets(), json!(["state-of-ours"]));
    fixture.refused(&["--buckets"], "unknown argument --buckets; --help tells the ones there are");
    fixture.refused(&["--bucket"], "--bucket wants a value");
    fixture.refused(&["--bucket", "No_Bucket!"], "the bucket No_Bucket! can't be looked up");
    assert!(fixture.succeed(&["--help"]).contains("--dry-run"));
    let elsewhere = AwsCli::at("http://127.0.0.1:9").unwrap();
    let output = elsewhere.command(Path::new(SCRIPT)).output().unwrap();
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("AWS does not accept the credentials"),
        "{output:?}"
    );
}
