//! A scripted Ollama server: the test sets what a model answers, and reads afterwards what it was
//! asked.
//!
//! Speaks `/api/tags`, `/api/show`, `/api/version` and `/api/chat` (whole answers and streams) on a
//! free loopback port, as Aider's litellm uses them. Each chat takes the next [`Answer`] of the
//! script; the last one is given again and again. Dropping the server ends it.
//!
//! ```ignore
//! let ollama = Ollama::start(["qwen2.5-coder:1.5b"]).await;
//! ollama.script([Answer::file("src/lib.rs", "pub fn answer() -> u32 { 42 }\n")]);
//! // … run something against `ollama.endpoint()` …
//! assert_eq!(ollama.chats().len(), 1);
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// An endpoint where no server listens: port 1 of the loopback address is privileged and free.
pub const NOBODY: &str = "http://127.0.0.1:1";

/// What a model does with one request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It answers with this text.
    Text(String),
    /// It answers with this text, and is cut off because the context window is full.
    CutOff(String),
    /// The server answers with this status and Ollama's error body.
    Error(u16, String),
    /// The request is accepted and never answered.
    Hang,
}

impl Answer {
    /// One file as Aider's edit format `whole` has it.
    pub fn file(path: &str, content: &str) -> Self {
        Self::files([(path, content)])
    }

    /// Several files as Aider's edit format `whole` has them.
    pub fn files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let listings =
            files.into_iter().map(|(path, content)| format!("{path}\n```\n{content}```\n\n"));
        Self::Text(format!("I change what is asked.\n\n{}", listings.collect::<String>()))
    }

    /// A text without an edit.
    pub fn talk() -> Self {
        Self::Text("There is nothing to change here.".to_owned())
    }

    /// A file listing that names no file, which Aider can't apply unless it has exactly one file in
    /// its chat.
    pub fn malformed() -> Self {
        Self::Text("```\nfn lost() {}\n```\n".to_owned())
    }

    /// A status with a body such as Ollama sends.
    pub fn status(status: u16) -> Self {
        Self::Error(status, format!("scripted status {status}"))
    }

    /// What Ollama answers for a model that it does not have.
    pub fn missing(model: &str) -> Self {
        Self::Error(404, format!("model '{model}' not found"))
    }
}

/// A running server.
pub struct Ollama {
    endpoint: String,
    shared: Arc<Shared>,
    _server: AbortOnDropHandle<()>,
}

struct Shared {
    models: Vec<String>,
    script: Mutex<VecDeque<Answer>>,
    chats: Mutex<Vec<Value>>,
}

impl Ollama {
    /// Starts on a free port, with these models installed, and answers with [`Answer::talk`] until
    /// it is told otherwise.
    pub async fn start<'a>(models: impl IntoIterator<Item = &'a str>) -> Self {
        let shared = Arc::new(Shared {
            models: models.into_iter().map(str::to_owned).collect(),
            script: Mutex::new(VecDeque::from([Answer::talk()])),
            chats: Mutex::default(),
        });
        let routes = Router::new()
            .route("/", get(async || "Ollama is running"))
            .route("/api/version", get(async || Json(json!({"version": "0.9.0"}))))
            .route("/api/tags", get(tags))
            .route("/api/show", post(show))
            .route("/api/chat", post(chat))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { endpoint, shared, _server: AbortOnDropHandle::new(server) }
    }

    /// For `OLLAMA_API_BASE` and the worker's `agent.model_endpoint`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Replaces what is left of the script.
    pub fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        *self.shared.script.lock().unwrap() = answers.into_iter().collect();
    }

    /// The bodies of all chat requests so far.
    pub fn chats(&self) -> Vec<Value> {
        self.shared.chats.lock().unwrap().clone()
    }
}

impl Shared {
    /// A name without a tag means `latest`.
    fn has(&self, model: &Value) -> bool {
        let tagged = |name: &str| {
            if name.contains(':') { name.to_owned() } else { format!("{name}:latest") }
        };
        model
            .as_str()
            .is_some_and(|model| self.models.iter().any(|name| tagged(name) == tagged(model)))
    }

    fn next(&self) -> Answer {
        let mut script = self.script.lock().unwrap();
        match script.len() {
            0 => Answer::talk(),
            1 => script[0].clone(),
            _ => script.pop_front().unwrap(),
        }
    }
}

async fn tags(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let models = shared.models.iter();
    let details = json!({"family": "qwen2"});
    let model = |name| json!({"name": name, "model": name, "size": 1_000_000, "details": details});
    Json(json!({"models": models.map(model).collect::<Vec<_>>()}))
}

async fn show(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let request = read(&body);
    let model = request.get("model").or(request.get("name")).unwrap_or(&Value::Null);
    if !shared.has(model) {
        return missing(model);
    }
    let info = json!({"general.architecture": "qwen2", "qwen2.context_length": 32768});
    Json(json!({
        "details": {"family": "qwen2"}, "template": "", "model_info": info,
        "capabilities": ["completion"],
    }))
    .into_response()
}

async fn chat(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let request = read(&body);
    shared.chats.lock().unwrap().push(request.clone());
    if !shared.has(&request["model"]) {
        return missing(&request["model"]);
    }
    match shared.next() {
        Answer::Text(text) => answer_with(&request, &text, "stop", 100),
        Answer::CutOff(text) => {
            let context = request["options"]["num_ctx"].as_u64().unwrap_or(2048);
            answer_with(&request, &text, "length", context.saturating_sub(tokens(&text)))
        }
        Answer::Error(status, error) => {
            (StatusCode::from_u16(status).unwrap(), Json(json!({"error": error}))).into_response()
        }
        Answer::Hang => std::future::pending().await,
    }
}

/// Reads JSON whatever the content type: Ollama ignores that header, and litellm does not send it.
fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

fn missing(model: &Value) -> Response {
    let error = format!("model '{}' not found", model.as_str().unwrap_or_default());
    (StatusCode::NOT_FOUND, Json(json!({"error": error}))).into_response()
}

/// A whole answer, or a stream with one line of JSON for each word, which is the default.
fn answer_with(request: &Value, text: &str, reason: &str, sent: u64) -> Response {
    let part = |content: &str, done: bool| {
        let mut part = json!({
            "model": request["model"], "created_at": "2026-01-01T00:00:00Z",
            "message": {"role": "assistant", "content": content}, "done": done
        });
        if done {
            part["done_reason"] = json!(reason);
            part["prompt_eval_count"] = json!(sent);
            part["eval_count"] = json!(tokens(text));
        }
        part
    };
    if request["stream"] == false {
        return Json(part(text, true)).into_response();
    }
    let words = text.split_inclusive(' ').map(|word| part(word, false)).chain([part("", true)]);
    let lines = words.map(|part| format!("{part}\n")).collect::<String>();
    ([("content-type", "application/x-ndjson")], Body::from(lines)).into_response()
}

/// About as many tokens as a tokenizer makes of a text.
fn tokens(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap() / 4 + 1
}

#[tokio::test]
async fn a_stream_is_lines_of_json_that_add_up_to_the_answer() {
    let ollama = Ollama::start(["m"]).await;
    ollama.script([Answer::CutOff("one two three".to_owned())]);
    let request =
        json!({"model": "m:latest", "messages": [], "options": {"num_ctx": 64}}).to_string();
    let response = reqwest::Client::new()
        .post(format!("{}/api/chat", ollama.endpoint()))
        .body(request)
        .send()
        .await;
    let lines = response.unwrap().text().await.unwrap();
    let parts: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text: String =
        parts.iter().map(|part| part["message"]["content"].as_str().unwrap()).collect();
    let last = parts.last().unwrap();
    assert_eq!((parts.len(), text.as_str()), (4, "one two three"));
    assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("length")));
    assert_eq!(
        last["prompt_eval_count"].as_u64().unwrap() + last["eval_count"].as_u64().unwrap(),
        64
    );
}
