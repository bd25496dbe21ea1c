//! What a user may do to a repository: GitHub's five roles, each containing the ones below it.

/// A repository role, from least to most; see GitHub's page "Repository roles for an organization".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    Read,
    Triage,
    Write,
    Maintain,
    Admin,
}

impl Permission {
    pub(crate) fn role_name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Triage => "triage",
            Self::Write => "write",
            Self::Maintain => "maintain",
            Self::Admin => "admin",
        }
    }

    pub(crate) fn from_role_name(name: &str) -> Option<Self> {
        [Self::Read, Self::Triage, Self::Write, Self::Maintain, Self::Admin]
            .into_iter()
            .find(|permission| permission.role_name() == name)
    }

    /// The older four-valued `permission` of an answer, in which `maintain` reads as `write` and
    /// `triage` as `read` (GitHub's "Get repository permissions for a user").
    pub(crate) fn legacy_name(self) -> &'static str {
        match self {
            Self::Read | Self::Triage => "read",
            Self::Write | Self::Maintain => "write",
            Self::Admin => "admin",
        }
    }
}
