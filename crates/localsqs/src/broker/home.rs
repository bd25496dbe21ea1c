//! The region and the account of the queues, which are part of every ARN.
//!
//! On the disk the ARNs of this server have the region and the account that a server has by
//! default. So a data directory belongs to no region and no account: a server that opens it with
//! others shows its policies, dead letters and move tasks with those. This module does no I/O.

use super::Options;
use crate::store::{MoveRow, QueueRow};

const ON_DISK: &str = "arn:aws:sqs:us-east-1:000000000000:";

/// Makes and reads the ARNs of this server.
#[derive(Debug, Clone)]
pub(super) struct Home {
    /// What precedes the name of a queue.
    prefix: String,
}

impl Home {
    pub(super) fn new(Options { region, account, .. }: &Options) -> Self {
        // The IAM User Guide, "Identify AWS resources with Amazon Resource Names (ARNs)".
        let partition = match region.split_once('-') {
            Some(("cn", _)) => "aws-cn",
            Some(("us", rest)) if rest.starts_with("gov-") => "aws-us-gov",
            Some(_) | None => "aws",
        };
        Self { prefix: format!("arn:{partition}:sqs:{region}:{account}:") }
    }

    /// The ARN of the queue with a name.
    pub(super) fn arn(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The name in an ARN of this server; nothing for any other ARN.
    pub(super) fn name_of<'a>(&self, arn: &'a str) -> Option<&'a str> {
        arn.strip_prefix(self.prefix.as_str())
    }

    /// An ARN as the disk has it. One that is not of this server stays as it is.
    pub(super) fn stored(&self, arn: &str) -> String {
        self.name_of(arn).map_or_else(|| arn.to_owned(), |name| format!("{ON_DISK}{name}"))
    }

    /// An ARN of the disk as callers see it.
    pub(super) fn shown(&self, arn: &str) -> String {
        arn.strip_prefix(ON_DISK).map_or_else(|| arn.to_owned(), |name| self.arn(name))
    }

    /// A queue as the disk has it.
    pub(super) fn stored_queue(&self, queue: &QueueRow) -> QueueRow {
        QueueRow { settings: queue.settings.with_arns(|arn| self.stored(arn)), ..queue.clone() }
    }

    /// A queue of the disk as callers see it.
    pub(super) fn shown_queue(&self, queue: QueueRow) -> QueueRow {
        QueueRow { settings: queue.settings.with_arns(|arn| self.shown(arn)), ..queue }
    }

    /// A move task as the disk has it.
    pub(super) fn stored_task(&self, task: MoveRow) -> MoveRow {
        task.with_arns(|arn| self.stored(arn))
    }

    /// A move task of the disk as callers see it.
    pub(super) fn shown_task(&self, task: MoveRow) -> MoveRow {
        task.with_arns(|arn| self.shown(arn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(region: &str, account: &str) -> Home {
        Home::new(&Options {
            region: region.to_owned(),
            account: account.to_owned(),
            ..Options::default()
        })
    }

    #[test]
    fn the_disk_has_the_arns_of_a_server_with_the_defaults() {
        let default = Home::new(&Options::default());
        assert_eq!(default.arn("q"), "arn:aws:sqs:us-east-1:000000000000:q");
        assert_eq!(default.stored(&default.arn("q")), default.arn("q"));
        let other = home("eu-west-1", "123456789012");
        assert_eq!(other.arn("q"), "arn:aws:sqs:eu-west-1:123456789012:q");
        assert_eq!(other.stored(&other.arn("q")), default.arn("q"));
        assert_eq!(other.shown(&default.arn("q")), other.arn("q"));
        for foreign in ["arn:aws:sqs:eu-west-1:999999999999:q", "nonsense"] {
            assert_eq!(other.stored(foreign), foreign);
            assert_eq!(other.shown(foreign), foreign);
        }
    }

    #[test]
    fn regions_in_china_and_govcloud_have_partitions_of_their_own() {
        let arn = |region| home(region, "123456789012").arn("q");
        assert_eq!(arn("cn-north-1"), "arn:aws-cn:sqs:cn-north-1:123456789012:q");
        assert_eq!(arn("us-gov-west-1"), "arn:aws-us-gov:sqs:us-gov-west-1:123456789012:q");
        assert_eq!(arn("us-west-2"), "arn:aws:sqs:us-west-2:123456789012:q");
    }
}
