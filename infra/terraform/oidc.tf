locals {
  # An account holds one provider for a URL. Where another project has made it, its ARN is still
  # known beforehand, so nothing has to be looked up.
  oidc_provider_arn = (
    var.create_oidc_provider
    ? one(aws_iam_openid_connect_provider.github[*].arn)
    : "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:oidc-provider/token.actions.githubusercontent.com"
  )

  # Repositories created, renamed or transferred after 15 July 2026 present numbers beside the names
  # (GitHub, "OpenID Connect reference"): a name given up and taken by somebody else then opens nothing.
  immutable_subjects = [
    for repo, id in var.github_repo_ids :
    "repo:${var.github_org}@${var.github_owner_id}/${repo}@${id}:ref:refs/heads/main"
  ]

  name_subjects = [
    for repo in var.github_repos : "repo:${var.github_org}/${repo}:ref:refs/heads/main"
  ]

  ids_given = length(var.github_repo_ids) > 0

  github_subjects = concat(
    local.immutable_subjects,
    !local.ids_given || var.accept_legacy_subject ? local.name_subjects : [],
  )
}

# No thumbprint list: IAM trusts GitHub's certificate by its own library of root authorities.
resource "aws_iam_openid_connect_provider" "github" {
  count = var.create_oidc_provider ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

# Two conditions, and both must hold. The document merges them under one `StringEquals`; JSON written
# by hand with that key twice would keep the last alone, and without `sub` every repository on GitHub
# may assume the role. `StringEquals`, never `StringLike`: no wildcard has a meaning in it.
data "aws_iam_policy_document" "github_actions_trust" {
  statement {
    sid     = "GitHubActionsOfListedRepositories"
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.oidc_provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = local.github_subjects
    }
  }
}
