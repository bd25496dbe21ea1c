//! Variables of a request: what an operation declares, and the values that came with it.

use std::collections::HashSet;

use async_graphql_parser::types::{BaseType, VariableDefinition};
use async_graphql_parser::{Pos, Positioned};
use async_graphql_value::{ConstValue, Name};
use serde_json::{Map, Value, json};

use super::super::schema::{INPUT_TYPES, TypeRef};
use super::Errors;

/// The variables that an operation declares, with the values that came with the request.
pub(super) struct Variables<'a> {
    definitions: &'a [Positioned<VariableDefinition>],
    values: &'a Map<String, Value>,
    /// The operation, as errors name it.
    operation: String,
    used: HashSet<&'a str>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(
        definitions: &'a [Positioned<VariableDefinition>],
        values: &'a Map<String, Value>,
        operation: String,
    ) -> Self {
        Self { definitions, values, operation, used: HashSet::new() }
    }

    /// Checks that the types exist, and that no value is missing.
    pub(super) fn check_definitions(&self, errors: &mut Errors) {
        for definition in self.definitions {
            let (at, definition) = (definition.pos, &definition.node);
            let name = definition.name.node.as_str();
            let declared = &definition.var_type.node;
            let base = base_name(&declared.base);
            if !INPUT_TYPES.contains(&base) {
                let extensions = json!({
                    "code": "variableRequiresValidType",
                    "typeName": base,
                    "variableName": name,
                });
                let message = format!("{base} isn't a defined input type (on ${name})");
                errors.add(at, message, extensions);
            } else if !declared.nullable && self.value(definition).is_none_or(|v| v.is_null()) {
                let problem = "Expected value to not be null";
                invalid_variable(errors, at, definition, &Value::Null, &[], problem);
            }
        }
    }

    /// Checks that every variable was used. graphql-ruby refuses others, too.
    pub(super) fn check_used(&self, errors: &mut Errors) {
        for definition in self.definitions {
            let name = definition.node.name.node.as_str();
            if !self.used.contains(name) {
                let extensions = json!({ "code": "variableNotUsed", "variableName": name });
                let message =
                    format!("Variable ${name} is declared by {} but not used", self.operation);
                errors.add(definition.pos, message, extensions);
            }
        }
    }

    /// The value of a variable: the one of the request, or else the default.
    fn value(&self, definition: &VariableDefinition) -> Option<Value> {
        let name = definition.name.node.as_str();
        self.values.get(name).cloned().or_else(|| {
            let default = definition.default_value.as_ref()?;
            // A default is a constant, which JSON can always express.
            default.node.clone().into_json().ok()
        })
    }

    /// The value of a variable where an argument of the type `expected` stands, and its definition.
    pub(super) fn read(
        &mut self,
        at: Pos,
        name: &'a Name,
        argument: &str,
        expected: TypeRef,
        errors: &mut Errors,
    ) -> Option<(&'a Positioned<VariableDefinition>, Value)> {
        let name = name.as_str();
        let definitions = self.definitions;
        let found = definitions.iter().find(|definition| definition.node.name.node == name);
        let Some(definition) = found else {
            let extensions = json!({ "code": "variableNotDefined", "variableName": name });
            let message =
                format!("Variable ${name} is used by {} but not declared", self.operation);
            errors.add(at, message, extensions);
            return None;
        };
        self.used.insert(name);
        let declared = &definition.node.var_type.node;
        let has_default = definition
            .node
            .default_value
            .as_ref()
            .is_some_and(|default| default.node != ConstValue::Null);
        let named = matches!(&declared.base, BaseType::Named(name) if name == expected.name);
        if !named || (expected.required && declared.nullable && !has_default) {
            let extensions = json!({
                "code": "variableMismatch",
                "variableName": name,
                "typeName": declared.to_string(),
                "argumentName": argument,
                "errorMessage": "Type mismatch",
            });
            let message = format!(
                "Type mismatch on variable ${name} and argument {argument} \
                 ({declared} / {expected})"
            );
            errors.add(at, message, extensions);
            return None;
        }
        let value = self.value(&definition.node).unwrap_or_default();
        Some((definition, value))
    }
}

fn base_name(base: &BaseType) -> &str {
    match base {
        BaseType::Named(name) => name,
        BaseType::List(inner) => base_name(&inner.base),
    }
}

/// Reads a value as an `ID`, which may be a text or an integer, or as a `String`. Null is `None`.
pub(super) fn coerce(expected: TypeRef, value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null if expected.required => Err("Expected value to not be null".to_owned()),
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Number(number) if expected.name == "ID" && !number.is_f64() => {
            Ok(Some(number.to_string()))
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(could_not_coerce(value, expected))
        }
    }
}

/// Why a value is not of a type.
pub(super) fn could_not_coerce(value: &Value, expected: TypeRef) -> String {
    format!("Could not coerce value {value} to {}", expected.name)
}

/// Reports that the value of a variable does not fit. `path` leads to the wrong part of it.
pub(super) fn invalid_variable(
    errors: &mut Errors,
    at: Pos,
    definition: &VariableDefinition,
    value: &Value,
    path: &[&str],
    problem: &str,
) {
    let name = definition.name.node.as_str();
    let declared = &definition.var_type.node;
    let mut message = format!("Variable ${name} of type {declared} was provided invalid value");
    if !path.is_empty() {
        message.push_str(&format!(" for {} ({problem})", path.join(".")));
    }
    let problems = json!([{ "path": path, "explanation": problem }]);
    errors.add(at, message, json!({ "value": value, "problems": problems }));
}
