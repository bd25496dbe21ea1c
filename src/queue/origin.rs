//! Where the requests to a queue go, and whose they are.

use std::fmt;

use aws_config::Region;

use super::settings::{CredentialSource, QueueSettings};

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

impl fmt::Display for RequestOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(endpoint) = &self.endpoint {
            write!(f, "endpoint {endpoint}, ")?;
        }
        match (&self.credentials, &self.region) {
            // The region of such a server is made up.
            (CredentialSource::Anonymous, _) => {}
            (_, Some(region)) => write!(f, "region {region}, ")?,
            (_, None) => f.write_str("no region, ")?,
        }
        match &self.credentials {
            CredentialSource::Anonymous => f.write_str("no credentials"),
            CredentialSource::Environment => f.write_str("credentials of AWS_ACCESS_KEY_ID"),
            CredentialSource::Profile(profile) => write!(f, "profile {profile}"),
            CredentialSource::Found => f.write_str("profile default"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_fault_is_named() {
        let told = |endpoint: Option<&str>, region: Option<&str>, credentials| {
            let (endpoint, region) = (endpoint.map(Into::into), region.map(Into::into));
            RequestOrigin { endpoint, region, credentials }.to_string()
        };
        let profile = CredentialSource::Profile("work".to_owned());
        assert_eq!(told(None, Some("eu-west-1"), profile), "region eu-west-1, profile work");
        assert_eq!(told(None, None, CredentialSource::Found), "no region, profile default");
        let url = "http://127.0.0.1:9324";
        let here = told(Some(url), Some("us-east-1"), CredentialSource::Anonymous);
        assert_eq!(here, "endpoint http://127.0.0.1:9324, no credentials");
    }
}
