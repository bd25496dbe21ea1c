# Who puts tasks in: the workflow of a listed repository, with a token of one job.
resource "aws_iam_role" "github_actions" {
  name               = "codingworker-github-actions"
  description        = "Lets the listed repositories' send-to-sqs workflow queue tasks"
  assume_role_policy = data.aws_iam_policy_document.github_actions_trust.json
}

resource "aws_iam_role_policy" "github_actions" {
  name   = "send-tasks"
  role   = aws_iam_role.github_actions.id
  policy = data.aws_iam_policy_document.github_actions.json
}

data "aws_iam_policy_document" "github_actions" {
  statement {
    sid       = "SendTasks"
    resources = [local.tasks_queue_arn]

    actions = [
      "sqs:SendMessage",
      "sqs:GetQueueUrl",
      "sqs:GetQueueAttributes",
    ]
  }
}

# Who takes tasks out: a worker on a machine outside AWS. Its access key is made by hand with the AWS
# CLI, for a key made here would lie readable in the state. It is deleted by hand too,
# before `terraform destroy`: IAM refuses to delete a user that has one.
resource "aws_iam_user" "worker" {
  #checkov:skip=CKV_AWS_273:The worker runs unattended on a person's own machine, where nobody is there to sign in.
  name = "codingworker-worker"
}

resource "aws_iam_user_policy" "worker" {
  #checkov:skip=CKV_AWS_40:One user that is no person; a group around it would only hide what it may do.
  name   = "work-on-tasks"
  user   = aws_iam_user.worker.name
  policy = data.aws_iam_policy_document.worker.json
}

data "aws_iam_policy_document" "worker" {
  statement {
    sid       = "WorkOnTasks"
    resources = [local.tasks_queue_arn]

    actions = [
      "sqs:ReceiveMessage",
      "sqs:DeleteMessage",
      "sqs:GetQueueUrl",
      "sqs:GetQueueAttributes",
      "sqs:ChangeMessageVisibility",
    ]
  }
}
