//! Reading a request: which operation it is, and whether it fits the schema. Nothing is carried out
//! before all of it is checked, as the specification demands (section 5).
//!
//! The errors have the form and the words of graphql-ruby, which GitHub uses.

mod arguments;
mod variables;

use async_graphql_parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field as FieldNode, OperationDefinition,
    OperationType, Selection, SelectionSet,
};
use async_graphql_parser::{Pos, Positioned, parse_query};
use serde_json::{Map, Value, json};

use self::arguments::Fields;
use self::variables::Variables;
use super::schema::{Kind, MUTATION, OBJECT_TYPES, ObjectType, QUERY};

/// How many fields and fragments a request may have once all fragments are put in. Fragments that
/// use others twice would otherwise make a short request grow without end.
const SIZE_LIMIT: usize = 1_000;

/// A request that fits the schema.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) root: &'static ObjectType,
    pub(super) fields: Vec<Selected>,
}

/// A field that a request selects.
#[derive(Debug)]
pub(super) struct Selected {
    /// The name in the answer: the alias, or else the field's own name.
    pub(super) key: String,
    pub(super) name: &'static str,
    pub(super) position: Pos,
    /// The fields of the argument `input`, without those that are null.
    pub(super) input: Fields,
    /// The fields that are selected inside.
    pub(super) fields: Vec<Self>,
}

impl Operation {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// The entries of `errors` in GitHub's answer.
    pub(super) fn read(
        query: &str,
        variables: &Map<String, Value>,
        name: Option<&str>,
    ) -> Result<Self, Vec<Value>> {
        let document = parse_query(query).map_err(|error| vec![syntax(&error)])?;
        let (name, definition) =
            choose(&document, name).map_err(|message| vec![json!({ "message": message })])?;
        let root = match definition.node.ty {
            OperationType::Query => &QUERY,
            OperationType::Mutation => &MUTATION,
            OperationType::Subscription => {
                let message = "Schema is not configured for subscriptions";
                return Err(vec![json!({ "message": message })]);
            }
        };
        let kind = definition.node.ty;
        let label = name.map_or_else(|| format!("anonymous {kind}"), str::to_owned);
        let path = name.map_or_else(|| kind.to_string(), |name| format!("{kind} {name}"));
        let definitions = &definition.node.variable_definitions;
        let mut reader = Reader {
            document: &document,
            variables: Variables::new(definitions, variables, label),
            errors: Errors { found: Vec::new(), path: vec![path] },
            fragments: Vec::new(),
            room: SIZE_LIMIT,
        };
        reader.variables.check_definitions(&mut reader.errors);
        reader.is_left_out(&definition.node.directives);
        let mut fields = Vec::new();
        reader.read_set(&definition.node.selection_set.node, root, &mut fields);
        reader.variables.check_used(&mut reader.errors);
        let errors = reader.errors.found;
        if errors.is_empty() { Ok(Self { root, fields }) } else { Err(errors) }
    }
}

/// Leaves of a value what a request selects, under the names that it chose.
pub(super) fn select(value: &Value, fields: &[Selected]) -> Value {
    if let Value::Object(object) = value
        && !fields.is_empty()
    {
        let selected = fields.iter().map(|field| {
            let value = object.get(field.name).unwrap_or(&Value::Null);
            (field.key.clone(), select(value, &field.fields))
        });
        return Value::Object(selected.collect());
    }
    value.clone()
}

fn syntax(error: &async_graphql_parser::Error) -> Value {
    let locations: Vec<_> = error.positions().collect();
    // The parser's own text shows the whole line, however long it is.
    let message = match (error, locations.first()) {
        (async_graphql_parser::Error::Syntax { .. }, Some(at)) => {
            format!("Parse error at [{}, {}]", at.line, at.column)
        }
        _ => format!("Parse error: {error}"),
    };
    json!({ "message": message, "locations": locations })
}

type Chosen<'a> = (Option<&'a str>, &'a Positioned<OperationDefinition>);

/// The operation that the request names. One that is alone needs no name.
fn choose<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Result<Chosen<'a>, String> {
    match (&document.operations, name) {
        (DocumentOperations::Single(single), None) => Ok((None, single)),
        (DocumentOperations::Multiple(named), None) => {
            let mut all = named.iter();
            match (all.next(), all.next()) {
                (Some((name, only)), None) => Ok((Some(name.as_str()), only)),
                _ => Err("An operation name is required".to_owned()),
            }
        }
        (operations, Some(wanted)) => operations
            .iter()
            .find(|(name, _)| name.is_some_and(|name| name == wanted))
            .map(|(name, operation)| (name.map(|name| name.as_str()), operation))
            .ok_or_else(|| format!("No operation named \"{wanted}\"")),
    }
}

/// The errors of a request, and where in it the reader is.
struct Errors {
    found: Vec<Value>,
    /// Operation, fields, and arguments, from the outside to the inside.
    path: Vec<String>,
}

impl Errors {
    /// Adds an error. `extensions` has the code that graphql-ruby gives it, and what goes with it.
    fn add(&mut self, at: Pos, message: String, extensions: Value) {
        self.found.push(json!({
            "path": self.path,
            "extensions": extensions,
            "locations": [at],
            "message": message,
        }));
    }

    /// Runs `inside` one step further down the path.
    fn within<T>(&mut self, step: &str, inside: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step.to_owned());
        let value = inside(self);
        self.path.pop();
        value
    }
}

struct Reader<'a> {
    document: &'a ExecutableDocument,
    variables: Variables<'a>,
    errors: Errors,
    /// The fragments that are being put in, to find those that contain themselves.
    fragments: Vec<&'a str>,
    /// How many more fields and fragments the request may have.
    room: usize,
}

impl<'a> Reader<'a> {
    /// Reads what is selected of a type, and adds it to `into`.
    fn read_set(
        &mut self,
        set: &'a SelectionSet,
        of: &'static ObjectType,
        into: &mut Vec<Selected>,
    ) {
        for item in &set.items {
            let Some(room) = self.room.checked_sub(1) else {
                let message = format!("The request selects more than {SIZE_LIMIT} fields");
                // Once is enough.
                if self.errors.found.last().is_none_or(|last| last["message"] != message) {
                    self.errors.add(item.pos, message, json!({ "code": "tooLarge" }));
                }
                return;
            };
            self.room = room;
            // What is left out must fit the schema nevertheless.
            let mut left_out = Vec::new();
            let into =
                if self.is_left_out(item.node.directives()) { &mut left_out } else { &mut *into };
            match &item.node {
                Selection::Field(field) => self.read_field(field, of, into),
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.as_str();
                    self.read_spread(spread.pos, name, of, into);
                }
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref();
                    let condition = condition.map(|on| (on.pos, on.node.on.node.as_str()));
                    let step = condition.map_or("...".to_owned(), |(_, on)| format!("... on {on}"));
                    self.errors.path.push(step);
                    if condition.is_none_or(|(pos, on)| self.fits(pos, on, of)) {
                        self.read_set(&fragment.node.selection_set.node, of, into);
                    }
                    self.errors.path.pop();
                }
            }
        }
    }

    fn read_field(
        &mut self,
        field: &'a Positioned<FieldNode>,
        of: &'static ObjectType,
        into: &mut Vec<Selected>,
    ) {
        let (position, field) = (field.pos, &field.node);
        let key = field.response_key().node.to_string();
        self.errors.path.push(key.clone());
        if let Some(selected) = self.selected(position, field, of, key) {
            self.merge(selected, into);
        }
        self.errors.path.pop();
    }

    fn selected(
        &mut self,
        position: Pos,
        field: &'a FieldNode,
        of: &'static ObjectType,
        key: String,
    ) -> Option<Selected> {
        let name = field.name.node.as_str();
        let Some(known) = of.field(name) else {
            let extensions =
                json!({ "code": "undefinedField", "typeName": of.name, "fieldName": name });
            let message =
                format!("Field '{name}' doesn't exist on type '{}'. {}", of.name, hint(of));
            self.errors.add(position, message, extensions);
            return None;
        };
        let arguments = field.arguments.iter().map(|(name, value)| (name, value));
        let input = self.variables.read_input(position, known, arguments, &mut self.errors);
        let selection = &field.selection_set.node;
        let mut fields = Vec::new();
        match (&known.kind, selection.items.is_empty()) {
            (Kind::Scalar(_), true) => {}
            (Kind::Object(inner), false) => self.read_set(selection, inner, &mut fields),
            (Kind::Scalar(kind), false) => {
                let message = format!(
                    "Selections can't be made on scalars (field '{name}' returns {kind} but has \
                     selections)"
                );
                self.errors.add(position, message, mismatch(known.name, kind));
            }
            (Kind::Object(inner), true) => {
                let kind = inner.name;
                let message = format!(
                    "Field must have selections (field '{name}' returns {kind} but has no \
                     selections. Did you mean '{name} {{ ... }}'?)"
                );
                self.errors.add(position, message, mismatch(known.name, kind));
            }
        }
        Some(Selected { key, name: known.name, position, input, fields })
    }

    /// Adds a field. If the same was selected before, both selections become one (section 5.3.2 of
    /// the specification, "Field Selection Merging").
    fn merge(&mut self, new: Selected, into: &mut Vec<Selected>) {
        let Some(before) = into.iter_mut().find(|before| before.key == new.key) else {
            into.push(new);
            return;
        };
        if before.name != new.name || before.input != new.input {
            let message = format!(
                "Field '{}' has a field conflict: {} or {}?",
                new.key, before.name, new.name
            );
            let extensions = json!({ "code": "fieldConflict", "fieldName": new.key });
            self.errors.add(new.position, message, extensions);
            return;
        }
        let mut fields = std::mem::take(&mut before.fields);
        for field in new.fields {
            self.merge(field, &mut fields);
        }
        // `before` can't be kept while `self` merges.
        if let Some(before) = into.iter_mut().find(|before| before.key == new.key) {
            before.fields = fields;
        }
    }

    fn read_spread(
        &mut self,
        position: Pos,
        name: &'a str,
        of: &'static ObjectType,
        into: &mut Vec<Selected>,
    ) {
        let document = self.document;
        let Some(fragment) = document.fragments.get(name) else {
            let extensions = json!({ "code": "useAndDefineFragment", "fragmentName": name });
            let message = format!("Fragment {name} was used, but not defined");
            self.errors.add(position, message, extensions);
            return;
        };
        if self.fragments.contains(&name) {
            let extensions = json!({ "code": "infiniteLoop", "fragmentName": name });
            let message = format!("Fragment {name} contains an infinite loop");
            self.errors.add(position, message, extensions);
            return;
        }
        self.fragments.push(name);
        // graphql-ruby begins a new path in a fragment.
        let outside = std::mem::replace(&mut self.errors.path, vec![format!("fragment {name}")]);
        let condition = &fragment.node.type_condition;
        if self.fits(condition.pos, condition.node.on.node.as_str(), of) {
            self.read_set(&fragment.node.selection_set.node, of, into);
        }
        self.errors.path = outside;
        self.fragments.pop();
    }

    /// Whether a fragment on the type `condition` can be put where a type is selected.
    fn fits(&mut self, position: Pos, condition: &str, of: &'static ObjectType) -> bool {
        if condition == of.name {
            return true;
        }
        if OBJECT_TYPES.iter().any(|known| known.name == condition) {
            let extensions = json!({ "code": "cannotSpreadFragment", "typeName": condition });
            let message = format!("Fragment on {condition} can't be spread inside {}", of.name);
            self.errors.add(position, message, extensions);
        } else {
            let extensions = json!({ "code": "undefinedType", "typeName": condition });
            let message = format!("No such type {condition}, so it can't be a fragment condition");
            self.errors.add(position, message, extensions);
        }
        false
    }

    /// Whether `@skip` or `@include` leaves something out.
    fn is_left_out(&mut self, directives: &'a [Positioned<Directive>]) -> bool {
        let mut left_out = false;
        for directive in directives {
            let (position, directive) = (directive.pos, &directive.node);
            let name = directive.name.node.as_str();
            if name != "skip" && name != "include" {
                let extensions = json!({ "code": "undefinedDirective", "directiveName": name });
                let message = format!("Directive @{name} is not defined");
                self.errors.add(position, message, extensions);
                continue;
            }
            let condition = directive.get_argument("if");
            let condition =
                self.variables.read_condition(position, name, condition, &mut self.errors);
            left_out |= condition.is_some_and(|condition| condition == (name == "skip"));
        }
        left_out
    }
}

fn mismatch(field: &str, kind: &str) -> Value {
    json!({
        "code": "selectionMismatch",
        "nodeName": format!("field '{field}'"),
        "typeName": kind,
    })
}

/// What this forge has of a type. GitHub has more.
fn hint(of: &ObjectType) -> String {
    let names: Vec<_> = of.fields.iter().map(|field| field.name).collect();
    format!("localhub has {}", names.join(", "))
}

#[cfg(test)]
mod tests;
