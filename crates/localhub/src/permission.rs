//! What a user may do to a repository: GitHub's five roles, each of which includes the lower ones.

use strum::{EnumString, IntoStaticStr};

/// How a client is asked for a token. The words are not GitHub's, so that nobody types a password
/// of theirs into a forge on their own machine.
pub(crate) const CHALLENGE: &str = "Basic realm=\"localhub, with the token of its own\"";

/// A repository role, from the least to the most; see GitHub's page "Repository roles for an
/// organization".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Permission {
    /// May read, open issues and comment.
    Read,
    /// May also label, assign, edit and close issues and pull requests.
    Triage,
    /// May also push, open pull requests and merge them.
    Write,
    /// May do what [`Permission::Write`] may: this forge has no settings in between.
    Maintain,
    /// May also change the repository's settings.
    Admin,
}

impl Permission {
    /// GitHub's name of the role, as in `role_name`.
    pub(crate) fn role_name(self) -> &'static str {
        self.into()
    }

    /// The older `permission` of an answer, which has four values: `maintain` is told as `write`
    /// and `triage` as `read` (GitHub's page "Get repository permissions for a user").
    pub(crate) fn legacy_name(self) -> &'static str {
        match self {
            Self::Read | Self::Triage => "read",
            Self::Write | Self::Maintain => "write",
            Self::Admin => "admin",
        }
    }
}
