//! GitHub's global node ids, in their older form: the type's name with its length, and the id of
//! the row, in Base64. The row's id never changes, so neither does the node id.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use strum::{EnumString, IntoStaticStr};

/// The types that have node ids, with GitHub's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
pub(crate) enum NodeKind {
    Commit,
    Issue,
    IssueComment,
    IssueEvent,
    Label,
    PullRequest,
    Ref,
    Repository,
    User,
}

/// Makes a node id.
pub(crate) fn node_id(kind: NodeKind, id: i64) -> String {
    let name: &str = kind.into();
    STANDARD.encode(format!("0{}:{name}{id}", name.len()))
}

/// Reads a node id. `None` when [`node_id`] did not make it.
pub(crate) fn parse_node_id(text: &str) -> Option<(NodeKind, i64)> {
    let decoded = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (_, named) = decoded.split_once(':')?;
    let (name, digits) = named.split_at(named.find(|c: char| c.is_ascii_digit())?);
    let (kind, id) = (name.parse().ok()?, digits.parse().ok()?);
    (node_id(kind, id) == text).then_some((kind, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_is_read_back() {
        // The example of GitHub's page "Get a pull request".
        assert_eq!(node_id(NodeKind::PullRequest, 1), "MDExOlB1bGxSZXF1ZXN0MQ==");
        for (kind, id) in [(NodeKind::PullRequest, 1), (NodeKind::User, i64::MAX)] {
            assert_eq!(parse_node_id(&node_id(kind, id)), Some((kind, id)));
        }
    }

    #[test]
    fn nothing_else_is_read_as_a_node_id() {
        let encode = |text: &str| STANDARD.encode(text);
        for text in [
            "",
            "1",
            "PR_kwDOABCD",
            &encode("011:PullRequest"),
            &encode("011:PullRequest01"),
            &encode("011:PullRequest-1"),
            &encode("010:PullRequest1"),
            &encode("07:Gadget71"),
            &encode("011:PullRequest99999999999999999999"),
            "MDExOlB1bGxSZXF1ZXN0MQ",
        ] {
            assert_eq!(parse_node_id(text), None, "{text}");
        }
    }
}
