//! What scenarios are played in.

pub mod ollama;
pub mod tools;
