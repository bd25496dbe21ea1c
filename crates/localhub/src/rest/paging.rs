//! Lists in pages: `page`, `per_page` and the `Link` header (GitHub's page "Using pagination in the
//! REST API").

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::header::LINK;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::api::{ApiError, Caller, escape};
use crate::store::Page;

const DEFAULT_SIZE: u32 = 30;
const LARGEST_SIZE: u32 = 100;

/// The page that a request asks for, and what the links to the other pages are made of.
pub(super) struct Paging {
    pub(super) page: Page,
    path: String,
    query: BTreeMap<String, String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let malformed = |_| ApiError::Malformed("The query can't be read.".to_owned());
        let Query(query) = Query::<BTreeMap<String, String>>::from_request_parts(parts, state)
            .await
            .map_err(malformed)?;
        // GitHub takes anything that is not a positive number for the default.
        let number = |key: &str| {
            query.get(key).and_then(|text| text.parse::<u32>().ok()).filter(|number| *number > 0)
        };
        let page = Page {
            number: number("page").unwrap_or(1),
            size: number("per_page").unwrap_or(DEFAULT_SIZE).min(LARGEST_SIZE),
        };
        Ok(Self { page, path: parts.uri.path().to_owned(), query })
    }
}

impl Paging {
    /// The answer with one page of a list, and with links if there are other pages.
    pub(super) fn answer(&self, caller: &Caller, items: Vec<Value>, total: u64) -> Response {
        let mut response = Json(items).into_response();
        let links = self.links(&caller.urls.absolute(&self.path), total);
        if let Ok(value) = links.parse()
            && !links.is_empty()
        {
            response.headers_mut().insert(LINK, value);
        }
        response
    }

    fn links(&self, url: &str, total: u64) -> String {
        let last = total.div_ceil(u64::from(self.page.size)).max(1);
        let current = u64::from(self.page.number);
        let mut links = Vec::new();
        if current > 1 {
            links.push(self.link(url, (current - 1).min(last), "prev"));
        }
        if current < last {
            links.push(self.link(url, current + 1, "next"));
            links.push(self.link(url, last, "last"));
        }
        if current > 1 {
            links.push(self.link(url, 1, "first"));
        }
        links.join(", ")
    }

    fn link(&self, url: &str, page: u64, relation: &str) -> String {
        let mut query = self.query.clone();
        query.insert("page".to_owned(), page.to_string());
        let pairs: Vec<_> =
            query.iter().map(|(key, value)| format!("{}={}", escape(key), escape(value))).collect();
        format!("<{url}?{}>; rel=\"{relation}\"", pairs.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_other_pages() {
        let check = |number: u32, total: u64, expected: &str| {
            let query = BTreeMap::from([("labels".to_owned(), "a b".to_owned())]);
            let paging = Paging { page: Page { number, size: 10 }, path: String::new(), query };
            assert_eq!(paging.links("u", total), expected);
        };
        check(1, 10, "");
        check(
            1,
            11,
            "<u?labels=a%20b&page=2>; rel=\"next\", <u?labels=a%20b&page=2>; rel=\"last\"",
        );
        check(
            2,
            11,
            "<u?labels=a%20b&page=1>; rel=\"prev\", <u?labels=a%20b&page=1>; rel=\"first\"",
        );
        check(
            9,
            11,
            "<u?labels=a%20b&page=2>; rel=\"prev\", <u?labels=a%20b&page=1>; rel=\"first\"",
        );
        check(1, 0, "");
    }
}
