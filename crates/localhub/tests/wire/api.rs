//! A simple client of the API. It shows the status codes, headers and bodies, which a typed client
//! hides.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::server::Server;

pub(crate) struct Api {
    client: reqwest::Client,
    url: String,
    token: String,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Null when the body is not JSON.
    pub(crate) json: Value,
}

impl Reply {
    /// The reply, which must have this status code.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Server {
    /// A client with this token. Its answers go through the inspector.
    pub(crate) fn api(&self, token: &str) -> Api {
        Api::new(&self.inspected.url, token)
    }
}

impl Api {
    pub(crate) fn new(url: &str, token: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { client, url: url.to_owned(), token: token.to_owned() }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, "application/vnd.github+json", None).await.unwrap()
    }

    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> Reply {
        self.call(Method::GET, path, accept, None).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PATCH, path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.call(Method::DELETE, path, "application/vnd.github+json", None).await.unwrap()
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> Reply {
        self.call(method, path, "application/vnd.github+json", Some(body.to_string()))
            .await
            .unwrap()
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<String>,
    ) -> reqwest::Result<Reply> {
        let request =
            self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        let answer = request.header("accept", accept).body(body.unwrap_or_default()).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await?;
        let json = serde_json::from_str(&text).unwrap_or_default();
        Ok(Reply { status, headers, text, json })
    }
}
