//! Where the requests to a queue go, and whose they are.

use aws_config::Region;

use super::settings::{CredentialSource, QueueSettings};
use crate::language::Phrase;

/// The endpoint, the region and the credentials of the requests. Errors name them, because the
/// fault is often there: a region that is not the queue's, or another profile.
#[derive(Debug, Clone)]
pub(super) struct RequestOrigin {
    endpoint: Option<String>,
    region: Option<String>,
    credentials: CredentialSource,
}

impl RequestOrigin {
    pub(super) fn new(settings: &QueueSettings, region: Option<&Region>) -> Self {
        Self {
            endpoint: settings.endpoint_url.clone(),
            region: region.map(ToString::to_string),
            credentials: settings.credentials.clone(),
        }
    }
}

impl RequestOrigin {
    /// Returns what there is to say of it, in each language.
    pub(super) fn phrase(&self) -> Phrase {
        let mut parts = Vec::new();
        if let Some(endpoint) = &self.endpoint {
            parts.push(Phrase::new(
                format!("endpoint {endpoint}"),
                format!("エンドポイント {endpoint}"),
            ));
        }
        match (&self.credentials, &self.region) {
            // The region of such a server is made up.
            (CredentialSource::Anonymous, _) => {}
            (_, Some(region)) => {
                parts.push(Phrase::new(format!("region {region}"), format!("リージョン {region}")));
            }
            (_, None) => parts.push(Phrase::new("no region", "リージョンなし")),
        }
        parts.push(match &self.credentials {
            CredentialSource::Anonymous => Phrase::new("no credentials", "認証情報なし"),
            CredentialSource::Environment => {
                Phrase::new("credentials of AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY_IDの認証情報")
            }
            CredentialSource::Profile(profile) => {
                Phrase::new(format!("profile {profile}"), format!("プロファイル {profile}"))
            }
            CredentialSource::Found => Phrase::new("profile default", "プロファイル default"),
        });
        let (en, ja): (Vec<_>, Vec<_>) =
            parts.into_iter().map(|Phrase { en, ja }| (en, ja)).unzip();
        Phrase::new(en.join(", "), ja.join("、"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_fault_is_named() {
        let told = |endpoint: Option<&str>, region: Option<&str>, credentials| {
            let (endpoint, region) = (endpoint.map(Into::into), region.map(Into::into));
            RequestOrigin { endpoint, region, credentials }.phrase().en
        };
        let profile = CredentialSource::Profile("work".to_owned());
        assert_eq!(told(None, Some("eu-west-1"), profile), "region eu-west-1, profile work");
        assert_eq!(told(None, None, CredentialSource::Found), "no region, profile default");
        let url = "http://127.0.0.1:9324";
        let here = told(Some(url), Some("us-east-1"), CredentialSource::Anonymous);
        assert_eq!(here, "endpoint http://127.0.0.1:9324, no credentials");
    }
}
