//! The models that an agent may use, and the check whether Ollama has them.
//!
//! The settings name a model as litellm does, for example `ollama_chat/qwen2.5-coder:7b`. A model
//! without Ollama's prefix belongs to another provider, and the check leaves it out.

use std::time::Duration;

use serde::Deserialize;

use crate::errors::Bilingual;

/// How long Ollama may take to list its models. Listing does not load a model.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The prefixes that make litellm send the requests of a model to Ollama.
const OLLAMA_PREFIXES: [&str; 2] = ["ollama_chat/", "ollama/"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Model(String);

impl Model {
    pub(super) fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// Returns the name that Ollama uses, or `None` when the model is not one of Ollama's.
    pub(super) fn ollama_name(&self) -> Option<&str> {
        OLLAMA_PREFIXES.iter().find_map(|prefix| self.0.strip_prefix(prefix))
    }
}

/// Why the agent or its model can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelProblem {
    #[error("the agent {program} was not found on the PATH: {}", install_it(*install))]
    NoAgent { program: String, install: Option<&'static str> },
    #[error(
        "no answer from Ollama at {endpoint}: start it with `ollama serve`, or set \
         `agent.model_endpoint`"
    )]
    Unreachable { endpoint: String, source: reqwest::Error },
    #[error(
        "Ollama at {endpoint} does not have the model {model}: get it with `ollama pull {model}`"
    )]
    Missing { endpoint: String, model: String },
    #[error("{endpoint} does not answer as Ollama does: check `agent.model_endpoint`")]
    NotOllama { endpoint: String, source: reqwest::Error },
}

impl Bilingual for ModelProblem {
    fn japanese(&self) -> String {
        match self {
            Self::NoAgent { program, install: Some(command) } => format!(
                "エージェント {program} がPATHにありません。`{command}` でインストールしてください"
            ),
            Self::NoAgent { program, install: None } => format!(
                "エージェント {program} がPATHにありません。\
                 インストールするか、`agent.command` を修正してください"
            ),
            Self::Unreachable { endpoint, source: _ } => format!(
                "Ollama（{endpoint}）が応答しません。`ollama serve` で起動するか、\
                 `agent.model_endpoint` を設定してください"
            ),
            Self::Missing { endpoint, model } => format!(
                "Ollama（{endpoint}）にモデル {model} がありません。\
                 `ollama pull {model}` で取得してください"
            ),
            Self::NotOllama { endpoint, source: _ } => format!(
                "{endpoint} の応答はOllamaのものではありません。\
                 `agent.model_endpoint` を確認してください"
            ),
        }
    }
}

fn install_it(command: Option<&str>) -> String {
    match command {
        Some(command) => format!("install it with `{command}`"),
        None => "install it, or correct `agent.command`".to_owned(),
    }
}

/// The answer to `GET /api/tags`, which lists the installed models.
#[derive(Deserialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
}

pub(super) async fn check(endpoint: &str, models: &[Model]) -> Result<(), ModelProblem> {
    let mut wanted = models.iter().filter_map(Model::ollama_name).peekable();
    if wanted.peek().is_none() {
        return Ok(());
    }
    let endpoint = endpoint.trim_end_matches('/').to_owned();
    let tags = match tags(&endpoint).await {
        Ok(tags) => tags,
        Err(source) if source.is_status() || source.is_decode() => {
            return Err(ModelProblem::NotOllama { endpoint, source });
        }
        Err(source) => return Err(ModelProblem::Unreachable { endpoint, source }),
    };
    match wanted.find(|model| !tags.models.iter().any(|tag| is_same(&tag.name, model))) {
        Some(missing) => Err(ModelProblem::Missing { model: missing.to_owned(), endpoint }),
        None => Ok(()),
    }
}

async fn tags(endpoint: &str) -> reqwest::Result<Tags> {
    // The agent's environment has no proxy either, so this check reaches the same server that the
    // agent will reach.
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
    client.get(format!("{endpoint}/api/tags")).send().await?.error_for_status()?.json().await
}

/// Returns whether two names mean the same model. A name without a tag means the tag `latest`, and
/// the case of letters does not count. Only a colon after the last slash starts a tag, because a
/// colon before it belongs to the port of a host.
fn is_same(listed: &str, wanted: &str) -> bool {
    let tagged = |name: &str| {
        let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
        if has_tag { name.to_owned() } else { format!("{name}:latest") }
    };
    tagged(listed).eq_ignore_ascii_case(&tagged(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_prefix_makes_a_model_ollamas() {
        let name = |model: &str| Model::new(model).ollama_name().map(str::to_owned);
        assert_eq!(name("ollama_chat/qwen2.5-coder:7b").as_deref(), Some("qwen2.5-coder:7b"));
        assert_eq!(name("ollama/hf.co/org/model:Q4").as_deref(), Some("hf.co/org/model:Q4"));
        assert_eq!(name("gpt-4o"), None);
        assert_eq!(name("anthropic/claude"), None);
    }

    #[test]
    fn no_tag_means_latest() {
        assert!(is_same("qwen:latest", "qwen"));
        assert!(is_same("Qwen:7B", "qwen:7b"));
        assert!(is_same("host:80/qwen:latest", "host:80/qwen"));
        assert!(!is_same("qwen:7b", "qwen"));
        assert!(!is_same("qwen:7b", "qwen:1.5b"));
    }

    #[tokio::test]
    async fn models_of_others_are_not_asked_about() {
        check("http://127.0.0.1:1", &[Model::new("gpt-4o")]).await.unwrap();
    }

    #[tokio::test]
    async fn an_endpoint_where_nobody_listens_is_unreachable() {
        let problem =
            check("http://127.0.0.1:1/", &[Model::new("ollama_chat/m")]).await.unwrap_err();
        assert!(matches!(problem, ModelProblem::Unreachable { .. }), "{problem:?}");
        assert_eq!(
            problem.to_string(),
            "no answer from Ollama at http://127.0.0.1:1: start it with `ollama serve`, or set \
             `agent.model_endpoint`"
        );
    }
}
