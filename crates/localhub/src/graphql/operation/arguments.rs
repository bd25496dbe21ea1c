//! Arguments of a request: `input` of a mutation, and `if` of `@skip` and `@include`.

use std::collections::BTreeMap;

use async_graphql_parser::types::VariableDefinition;
use async_graphql_parser::{Pos, Positioned};
use async_graphql_value::{Name, Value as Literal};
use serde_json::{Value, json};

use super::super::schema::{Field, InputType, TypeRef};
use super::Errors;
use super::variables::{Variables, coerce, could_not_coerce, invalid_variable};

/// The fields of an argument `input` that are not null. All of them are texts.
pub(in super::super) type Fields = BTreeMap<&'static str, String>;

const BOOLEAN: TypeRef = TypeRef { name: "Boolean", required: true };

impl<'a> Variables<'a> {
    /// Reads the arguments of a field. A mutation has one, `input`, and other fields have none.
    pub(super) fn read_input(
        &mut self,
        at: Pos,
        field: &'static Field,
        arguments: impl Iterator<Item = (&'a Positioned<Name>, &'a Positioned<Literal>)>,
        errors: &mut Errors,
    ) -> Fields {
        let mut input = None;
        for (name, value) in arguments {
            match field.input {
                Some(kind) if name.node == "input" => input = Some((kind, value)),
                Some(_) | None => {
                    let owner = format!("Field '{}'", field.name);
                    not_accepted(errors, name.pos, &owner, "Field", name.node.as_str());
                }
            }
        }
        match (field.input, input) {
            (None, _) => Fields::new(),
            (Some(_), Some((kind, value))) => errors
                .within("input", |errors| self.read_object(field, kind, value, errors))
                .unwrap_or_default(),
            (Some(_), None) => {
                let extensions = json!({
                    "code": "missingRequiredArguments",
                    "className": "Field",
                    "name": field.name,
                    "arguments": "input",
                });
                let message =
                    format!("Field '{}' is missing required arguments: input", field.name);
                errors.add(at, message, extensions);
                Fields::new()
            }
        }
    }

    fn read_object(
        &mut self,
        field: &Field,
        kind: &'static InputType,
        value: &'a Positioned<Literal>,
        errors: &mut Errors,
    ) -> Option<Fields> {
        let at = value.pos;
        let expected = TypeRef { name: kind.name, required: true };
        match &value.node {
            Literal::Variable(name) => {
                let (definition, value) = self.read(at, name, "input", expected, errors)?;
                object_from_variable(definition, &value, kind, errors)
            }
            Literal::Object(object) => {
                for name in object.keys() {
                    if !kind.fields.iter().any(|field| field.name == name.as_str()) {
                        let owner = format!("InputObject '{}'", kind.name);
                        not_accepted(errors, at, &owner, "InputObject", name.as_str());
                    }
                }
                let mut fields = Fields::new();
                for field in kind.fields {
                    let given = object.get(field.name);
                    let read = errors.within(field.name, |errors| {
                        self.read_field(at, kind, field.name, field.expected, given, errors)
                    });
                    if let Some(text) = read {
                        fields.insert(field.name, text);
                    }
                }
                Some(fields)
            }
            Literal::Null
            | Literal::Number(_)
            | Literal::String(_)
            | Literal::Boolean(_)
            | Literal::Binary(_)
            | Literal::Enum(_)
            | Literal::List(_) => {
                let owner = format!("Field '{}'", field.name);
                incompatible(errors, at, "input", &owner, "Field", &value.node, expected);
                None
            }
        }
    }

    /// Reads one field of an object that the request itself contains.
    fn read_field(
        &mut self,
        at: Pos,
        kind: &InputType,
        name: &'static str,
        expected: TypeRef,
        given: Option<&'a Literal>,
        errors: &mut Errors,
    ) -> Option<String> {
        let owner = format!("InputObject '{}'", kind.name);
        match given {
            Some(Literal::Variable(variable)) => {
                let (definition, value) = self.read(at, variable, name, expected, errors)?;
                match coerce(expected, &value) {
                    Ok(text) => text,
                    Err(problem) => {
                        let (at, definition) = (definition.pos, &definition.node);
                        invalid_variable(errors, at, definition, &value, &[], &problem);
                        None
                    }
                }
            }
            Some(literal) => {
                // into_json makes a text of an enum's value, and an enum is not a text.
                let is_enum = matches!(literal, Literal::Enum(_));
                let value = if is_enum { None } else { literal.clone().into_json().ok() };
                let text = value.and_then(|value| coerce(expected, &value).ok());
                if text.is_none() {
                    incompatible(errors, at, name, &owner, "InputObject", literal, expected);
                }
                text.flatten()
            }
            None if expected.required => {
                let extensions = json!({
                    "code": "missingRequiredInputObjectAttribute",
                    "argumentName": name,
                    "argumentType": expected.to_string(),
                    "inputObjectType": kind.name,
                });
                let message =
                    format!("Argument '{name}' on {owner} is required. Expected type {expected}");
                errors.add(at, message, extensions);
                None
            }
            None => None,
        }
    }

    /// Reads the argument `if` of `@skip` or `@include`.
    pub(super) fn read_condition(
        &mut self,
        at: Pos,
        directive: &str,
        value: Option<&'a Positioned<Literal>>,
        errors: &mut Errors,
    ) -> Option<bool> {
        let Some(value) = value else {
            let extensions = json!({
                "code": "missingRequiredArguments",
                "className": "Directive",
                "name": directive,
                "arguments": "if",
            });
            let message = format!("Directive '{directive}' is missing required arguments: if");
            errors.add(at, message, extensions);
            return None;
        };
        if let Literal::Boolean(condition) = value.node {
            return Some(condition);
        }
        let Literal::Variable(name) = &value.node else {
            let owner = format!("Directive '{directive}'");
            incompatible(errors, value.pos, "if", &owner, "Directive", &value.node, BOOLEAN);
            return None;
        };
        let (definition, value) = self.read(value.pos, name, "if", BOOLEAN, errors)?;
        let condition = value.as_bool();
        if condition.is_none() {
            let problem = could_not_coerce(&value, BOOLEAN);
            let (at, definition) = (definition.pos, &definition.node);
            invalid_variable(errors, at, definition, &value, &[], &problem);
        }
        condition
    }
}

/// Reads an object that came as the value of a variable.
fn object_from_variable(
    definition: &Positioned<VariableDefinition>,
    value: &Value,
    kind: &'static InputType,
    errors: &mut Errors,
) -> Option<Fields> {
    let (at, definition) = (definition.pos, &definition.node);
    let Some(object) = value.as_object() else {
        let expected = TypeRef { name: kind.name, required: true };
        let problem = could_not_coerce(value, expected);
        invalid_variable(errors, at, definition, value, &[], &problem);
        return None;
    };
    let mut fields = Fields::new();
    let before = errors.found.len();
    for name in object.keys() {
        if !kind.fields.iter().any(|field| field.name == name) {
            let problem = format!("Field is not defined on {}", kind.name);
            invalid_variable(errors, at, definition, value, &[name], &problem);
        }
    }
    for field in kind.fields {
        match coerce(field.expected, object.get(field.name).unwrap_or(&Value::Null)) {
            Ok(text) => fields.extend(text.map(|text| (field.name, text))),
            Err(problem) => {
                invalid_variable(errors, at, definition, value, &[field.name], &problem);
            }
        }
    }
    (errors.found.len() == before).then_some(fields)
}

fn not_accepted(errors: &mut Errors, at: Pos, owner: &str, class: &str, argument: &str) {
    let extensions =
        json!({ "code": "argumentNotAccepted", "typeName": class, "argumentName": argument });
    errors.add(at, format!("{owner} doesn't accept argument '{argument}'"), extensions);
}

fn incompatible(
    errors: &mut Errors,
    at: Pos,
    argument: &str,
    owner: &str,
    class: &str,
    value: &Literal,
    expected: TypeRef,
) {
    let extensions = json!({
        "code": "argumentLiteralsIncompatible",
        "typeName": class,
        "argumentName": argument,
    });
    let message = format!(
        "Argument '{argument}' on {owner} has an invalid value ({value}). Expected type \
         '{expected}'."
    );
    errors.add(at, message, extensions);
}
