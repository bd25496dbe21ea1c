//! GitHub's own OpenAPI description, to check answers by. It is `generated/api.github.com.json` in
//! npm's `@octokit/openapi`.
//!
//! Invariant: a route or a success that GitHub does not describe fails the test. So does a field
//! that is missing, or that has another type or another format.
#![allow(
    clippy::disallowed_methods,
    reason = "where the tests' tools are comes from the environment"
)]
#![allow(clippy::print_stderr, reason = "a skipped check has to be said")]

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The description has 13 MB, of which a test needs a few kilobytes. So its parts are kept as text
/// and read when they are needed.
#[derive(Deserialize)]
struct Description {
    paths: HashMap<String, Box<RawValue>>,
    components: Components,
}

#[derive(Deserialize)]
struct Components {
    schemas: HashMap<String, Box<RawValue>>,
    responses: HashMap<String, Box<RawValue>>,
}

type Validators = Mutex<HashMap<String, Arc<jsonschema::Validator>>>;

pub(crate) struct OpenApi {
    description: Description,
    validators: Validators,
}

/// The description; `None` where it is not installed. The tests say so then, and fail in continuous
/// integration.
pub(crate) fn github() -> Option<&'static OpenApi> {
    static GITHUB: OnceLock<Option<OpenApi>> = OnceLock::new();
    GITHUB.get_or_init(OpenApi::load).as_ref()
}

impl OpenApi {
    fn load() -> Option<Self> {
        let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../node_modules"));
        let modules = std::env::var_os("CODINGWORKER_NODE_MODULES").map_or(root, PathBuf::from);
        let path = modules.join("@octokit/openapi/generated/api.github.com.json");
        let Ok(text) = std::fs::read_to_string(&path) else {
            assert!(
                std::env::var_os("CODINGWORKER_CI").is_none_or(|ci| ci != "1"),
                "{} is missing",
                path.display()
            );
            eprintln!("SKIPPED: needs npm @octokit/openapi");
            return None;
        };
        let description = serde_json::from_str(&text).expect("npm's @octokit/openapi is JSON");
        Some(Self { description, validators: Mutex::default() })
    }

    /// Checks an answer.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn check(
        &self,
        method: &str,
        path: &str,
        status: u16,
        kind: &str,
        body: &[u8],
    ) -> Result<(), String> {
        let asked = format!("{method} {path} {status}");
        let template =
            self.template(path).ok_or_else(|| format!("{asked}: GitHub has no such path"))?;
        let operations: Value = parse(&self.description.paths[template]);
        let mut operation = &operations[method.to_ascii_lowercase()];
        if operation.is_null() && method == "POST" {
            // GitHub takes POST in place of PATCH, which octocrab uses to edit comments.
            operation = &operations["patch"];
        }
        if operation.is_null() {
            return Err(format!("{asked}: GitHub has no such method on {template}"));
        }
        let mut response = operation["responses"][status.to_string()].clone();
        if let Some(name) = reference(&response) {
            response = parse(&self.description.components.responses[&name]);
        }
        if response.is_null() {
            // GitHub describes few errors of each route. All errors have the same form.
            if !matches!(status, 400 | 401 | 403 | 404 | 410 | 422) {
                return Err(format!("{asked}: GitHub does not answer {template} so"));
            }
            response = json!({ "content": { "application/json": { "schema": {
                "$ref": "#/components/schemas/basic-error" } } } });
        }
        if kind.starts_with("application/vnd.github.diff")
            || kind.starts_with("application/vnd.github.patch")
        {
            return Ok(());
        }
        let schema = &response["content"]["application/json"]["schema"];
        if schema.is_null() {
            return if body.is_empty() {
                Ok(())
            } else {
                Err(format!("{asked}: GitHub sends no body"))
            };
        }
        if !kind.starts_with("application/json") {
            return Err(format!("{asked}: the content type is {kind}"));
        }
        let body: Value =
            serde_json::from_slice(body).map_err(|error| format!("{asked}: {error}"))?;
        let errors: Vec<String> = self
            .validator(schema)
            .iter_errors(&body)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(format!("{asked}: {}\n{body:#}", errors.join("\n")))
        }
    }

    /// The path of the description that this one is an instance of. Of several, it is the one with
    /// the fewest parameters.
    fn template(&self, path: &str) -> Option<&str> {
        let path = path.split('?').next().unwrap_or_default();
        let fitting = self.description.paths.keys().filter(|template| fits(template, path));
        fitting.min_by_key(|template| template.matches('{').count()).map(String::as_str)
    }

    fn validator(&self, schema: &Value) -> Arc<jsonschema::Validator> {
        let mut validators = self.validators.lock().unwrap();
        let known = validators.entry(schema.to_string()).or_insert_with(|| {
            let mut root = schema.clone();
            convert(&mut root);
            let mut definitions = BTreeMap::new();
            self.collect(&root, &mut definitions);
            root["components"] = json!({ "schemas": definitions });
            let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
            Arc::new(
                options.should_validate_formats(true).build(&root).expect("GitHub's schema is one"),
            )
        });
        Arc::clone(known)
    }

    /// Adds every schema that this one refers to, directly or not.
    fn collect(&self, schema: &Value, definitions: &mut BTreeMap<String, Value>) {
        match schema {
            Value::Object(fields) => {
                if let Some(name) = reference(schema)
                    && !definitions.contains_key(&name)
                {
                    let mut referred = parse(&self.description.components.schemas[&name]);
                    convert(&mut referred);
                    definitions.insert(name, referred.clone());
                    self.collect(&referred, definitions);
                }
                fields.values().for_each(|value| self.collect(value, definitions));
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect(item, definitions)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn parse(text: &RawValue) -> Value {
    serde_json::from_str(text.get()).expect("a part of a JSON document is JSON")
}

fn reference(value: &Value) -> Option<String> {
    value.get("$ref")?.as_str()?.rsplit('/').next().map(str::to_owned)
}

/// Whether a path is an instance of a template. A branch or a ref at the end of it may have
/// slashes.
fn fits(template: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for pattern in template.split('/') {
        let Some(segment) = segments.next() else { return false };
        match pattern {
            "{ref}" | "{branch}" if template.ends_with(pattern) => return !segment.is_empty(),
            _ if pattern.starts_with('{') && !segment.is_empty() => {}
            _ if pattern == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

/// Replaces OpenAPI 3.0's `nullable` by JSON Schema's null type, in all of a schema.
fn convert(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(convert);
            if fields.remove("nullable") == Some(Value::Bool(true)) {
                let inner = Value::Object(std::mem::take(fields));
                *schema = json!({ "anyOf": [inner, { "type": "null" }] });
            }
        }
        Value::Array(items) => items.iter_mut().for_each(convert),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn an_answer_that_github_would_not_give_is_told_from_one_that_it_would() {
    let Some(github) = github() else { return };
    let check = |method: &str, path: &str, status: u16, body: Value| {
        github.check(method, path, status, "application/json", body.to_string().as_bytes())
    };
    let path = "/repos/octo/hello/labels/bug";
    let label = json!({
        "id": 1, "node_id": "x", "url": "http://127.0.0.1/x", "name": "bug", "description": null,
        "color": "ffffff", "default": false,
    });
    check("GET", path, 200, label.clone()).unwrap();

    let mut wrong = label.clone();
    wrong["color"] = Value::Null;
    check("GET", path, 200, wrong).unwrap_err();
    let mut missing = label.clone();
    missing.as_object_mut().unwrap().remove("node_id");
    check("GET", path, 200, missing).unwrap_err();
    let mut malformed = label.clone();
    malformed["url"] = "no address".into();
    check("GET", path, 200, malformed).unwrap_err();

    check("GET", path, 202, label.clone()).unwrap_err();
    check("PUT", path, 200, label.clone()).unwrap_err();
    check("GET", "/repos/octo/hello/nothing", 200, label).unwrap_err();
    check("GET", path, 404, json!({ "message": "Not Found" })).unwrap();
    check("GET", path, 404, json!({ "message": 404 })).unwrap_err();
}
