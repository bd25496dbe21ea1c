# Whom the role of the workflow trusts: the provider, the audience and the subjects, all three exactly.

provider "aws" {
  region                      = "ap-northeast-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "111122223333" }
}

override_resource {
  target          = aws_iam_openid_connect_provider.github
  override_during = plan
  values = {
    arn = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
  }
}

variables {
  github_org   = "octo-org"
  github_repos = ["app", "site.web"]
}

run "names_alone_give_the_name_form" {
  command = plan

  assert {
    condition = jsondecode(aws_iam_role.github_actions.assume_role_policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "GitHubActionsOfListedRepositories"
        Effect    = "Allow"
        Action    = "sts:AssumeRoleWithWebIdentity"
        Principal = { Federated = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com" }
        Condition = {
          StringEquals = {
            "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
            "token.actions.githubusercontent.com:sub" = [
              "repo:octo-org/app:ref:refs/heads/main",
              "repo:octo-org/site.web:ref:refs/heads/main",
            ]
          }
        }
      }]
    }
    error_message = "The trust policy must hold the audience and both repositories' main branch, and nothing else."
  }
}

run "ids_give_the_immutable_form_alone" {
  command = plan

  variables {
    github_owner_id = "42"
    github_repo_ids = { "app" = "1001", "site.web" = "1002" }
  }

  assert {
    condition = jsondecode(aws_iam_role.github_actions.assume_role_policy).Statement[0].Condition == {
      StringEquals = {
        "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
        "token.actions.githubusercontent.com:sub" = [
          "repo:octo-org@42/app@1001:ref:refs/heads/main",
          "repo:octo-org@42/site.web@1002:ref:refs/heads/main",
        ]
      }
    }
    error_message = "With ids, only the immutable subjects may be trusted."
  }
}

run "both_forms_are_trusted_only_when_asked_for" {
  command = plan

  variables {
    github_owner_id       = "42"
    github_repo_ids       = { "app" = "1001", "site.web" = "1002" }
    accept_legacy_subject = true
  }

  assert {
    condition = toset(jsondecode(aws_iam_role.github_actions.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"]) == toset([
      "repo:octo-org@42/app@1001:ref:refs/heads/main",
      "repo:octo-org@42/site.web@1002:ref:refs/heads/main",
      "repo:octo-org/app:ref:refs/heads/main",
      "repo:octo-org/site.web:ref:refs/heads/main",
    ])
    error_message = "accept_legacy_subject must add the name form to the immutable one."
  }
}

run "one_repository_is_trusted_by_its_one_subject" {
  command = plan

  variables {
    github_repos          = ["app"]
    accept_legacy_subject = true
  }

  assert {
    condition     = jsondecode(aws_iam_role.github_actions.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == "repo:octo-org/app:ref:refs/heads/main"
    error_message = "Without ids there is one subject, whatever accept_legacy_subject says."
  }
}

run "the_provider_has_one_audience_and_no_thumbprint_of_ours" {
  command = plan

  assert {
    condition     = aws_iam_openid_connect_provider.github[0].url == "https://token.actions.githubusercontent.com"
    error_message = "The provider must be GitHub's."
  }

  assert {
    condition     = aws_iam_openid_connect_provider.github[0].client_id_list == toset(["sts.amazonaws.com"])
    error_message = "The provider must accept the audience sts.amazonaws.com alone."
  }
}

run "an_existing_provider_is_trusted_and_none_is_made" {
  command = plan

  variables {
    create_oidc_provider = false
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0
    error_message = "No second provider may be made."
  }

  assert {
    condition = (
      jsondecode(aws_iam_role.github_actions.assume_role_policy).Statement[0].Principal.Federated
      == "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
    )
    error_message = "The trusted provider must be this account's."
  }

  assert {
    condition     = output.oidc_provider_arn == "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
    error_message = "The output must name the existing provider."
  }
}

run "an_existing_provider_is_named_in_its_own_partition" {
  command = plan

  variables {
    create_oidc_provider = false
  }

  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-us-gov" }
  }

  assert {
    condition     = output.oidc_provider_arn == "arn:aws-us-gov:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
    error_message = "The ARN must be of the partition that Terraform runs in."
  }
}
