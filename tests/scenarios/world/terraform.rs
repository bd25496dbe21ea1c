//! Terraform with the real AWS provider, in a copy of the project's configuration.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::tools;

const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/infra/terraform");

/// A provider that makes no requests.
pub const OFFLINE: &str = r#"
terraform {
  backend "local" {}
}

provider "aws" {
  access_key                  = "AKIAEXAMPLE"
  secret_key                  = "secret"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}
"#;

pub struct Terraform {
    program: PathBuf,
    directory: TempDir,
}

impl Terraform {
    /// A copy that is initialized, in which `settings` overrides what the configuration says of
    /// backend and provider (Terraform's "Override Files"); `None` when the test is to be
    /// skipped.
    pub fn with(settings: &str) -> Option<Self> {
        let terraform = Self {
            program: tools::on_the_path("terraform")?,
            directory: tempfile::tempdir().unwrap(),
        };
        copy(Path::new(CONFIGURATION), terraform.directory.path());
        std::fs::write(terraform.directory.path().join("scenario_override.tf"), settings).unwrap();
        let plugins =
            std::env::var("TF_PLUGIN_DIR").ok().map(|directory| format!("-plugin-dir={directory}"));
        let mut init = vec!["init", "-input=false", "-lockfile=readonly"];
        init.extend(plugins.as_deref());
        let output = terraform.run(&init);
        if !output.status.success() && plugins.is_none() {
            return tools::skipped(
                "needs Terraform's AWS provider: name a directory that has it by TF_PLUGIN_DIR",
            );
        }
        assert!(
            output.status.success(),
            "terraform init: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(terraform)
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(&self.program)
            .args(arguments)
            .current_dir(&self.directory)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", self.directory.path())
            .env("TF_CLI_CONFIG_FILE", "/dev/null")
            .env("TF_IN_AUTOMATION", "1")
            .env("CHECKPOINT_DISABLE", "1")
            .output()
            .unwrap()
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let status = output.status;
        assert!(
            status.success(),
            "terraform {arguments:?}: {status}\n{said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    }

    pub fn outputs(&self) -> Value {
        serde_json::from_str(&self.succeed(&["output", "-json"])).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let name = entry.file_name().into_string().unwrap();
        if name == "tests" {
            std::fs::create_dir(&target).unwrap();
            copy(&path, &target);
        } else if path.is_file()
            && (name == ".terraform.lock.hcl" || name.ends_with(".tf") || name.ends_with(".hcl"))
        {
            std::fs::copy(path, target).unwrap();
        }
    }
}
