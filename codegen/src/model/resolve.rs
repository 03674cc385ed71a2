//! Parsed schemas to the model. All checks that need more than one field happen here.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::{Problem, at, at_message, problem, wrong};
use super::{Docs, Field, Kind, Message, Struct, Type, graph, headers, message, names, rules};
use crate::error::{Error, SchemaError};
use crate::parse::{CommonStruct, FieldSchema, MAX_DEPTH, MessageSchema, TOO_DEEP};
use crate::versions::Versions;

/// Checks the schemas and turns them into the model, in the order of their names.
///
/// # Errors
/// The first rule that a schema breaks, or a missing description.
pub fn resolve(schemas: &[MessageSchema], docs: &Docs) -> Result<Vec<Message>, Error> {
    let mut messages = BTreeMap::new();
    let mut taken = Taken::default();
    for schema in schemas {
        let message = Resolver::new(schema, docs)?.message()?;
        taken
            .claim(&message)
            .map_err(|problem| at_message(schema, problem))?;
        messages.insert(schema.name.clone(), message);
    }
    Ok(messages.into_values().collect())
}

/// What only one message can have.
#[derive(Default)]
struct Taken {
    keys: BTreeMap<(i16, Kind), String>,
    names: BTreeMap<String, String>,
}

impl Taken {
    fn claim(&mut self, message: &Message) -> Result<(), Problem> {
        let name = &message.name;
        if self.names.insert(name.clone(), name.clone()).is_some() {
            return problem(
                "another schema has the same name",
                "rename or remove one of them",
            );
        }
        // Records of different logs number their types apart from each other.
        if let Some(key) = message.api_key
            && matches!(message.kind, Kind::Request | Kind::Response)
            && let Some(other) = self.keys.insert((key, message.kind), name.clone())
        {
            return problem(
                format!("apiKey {key} belongs to {other} already"),
                "give each message of a kind a key of its own",
            );
        }
        if !message.versions.is_empty()
            && let Some(other) = self.names.insert(message.module.clone(), name.clone())
        {
            return problem(
                format!(
                    "the Rust module `{}` is that of {other} already",
                    message.module
                ),
                "rename one of them",
            );
        }
        Ok(())
    }
}

/// The most fields of a struct, with those of structs in it.
const MAX_WIDTH: usize = 1000;

struct Resolver<'a> {
    schema: &'a MessageSchema,
    docs: &'a Docs,
    kind: Kind,
    flexible: Versions,
    /// Names of common structs to their places; filled as they are met.
    places: BTreeMap<String, usize>,
    structs: Vec<Struct>,
    /// How many structs the one at hand is in, itself included.
    depth: usize,
    commons: BTreeMap<&'a str, &'a CommonStruct>,
}

impl<'a> Resolver<'a> {
    /// Checks the message itself, and gathers its common structs.
    fn new(schema: &'a MessageSchema, docs: &'a Docs) -> Result<Resolver<'a>, SchemaError> {
        let located = |problem| at_message(schema, problem);
        let kind = message::kind(schema).map_err(located)?;
        let flexible = message::flexible(schema).map_err(located)?;
        message::check(schema, kind, flexible).map_err(located)?;
        let mut commons = BTreeMap::new();
        for common in &schema.common_structs {
            if commons.insert(common.name.as_str(), common).is_some() {
                let problem = wrong(
                    format!("common struct {} is there twice", common.name),
                    "remove one of them",
                );
                let path = format!("{}.{}", schema.name, common.name);
                return Err(at(schema, common.line, &path, problem));
            }
        }
        Ok(Resolver {
            schema,
            docs,
            kind,
            flexible,
            places: BTreeMap::new(),
            structs: Vec::new(),
            depth: 0,
            commons,
        })
    }

    fn message(mut self) -> Result<Message, Error> {
        let schema = self.schema;
        let located = |problem| at_message(schema, problem);
        let headers = headers::headers(schema, self.kind, self.flexible).map_err(located)?;
        let doc = self.docs.message(&schema.name, schema.about.as_deref())?;
        let (name, valid) = (&schema.name, schema.valid_versions);
        self.add_struct(name, doc, valid, schema.line, &schema.fields, name)?;
        self.check_circle()?;
        self.check_width()?;
        graph::settle_traits(&mut self.structs);
        Ok(Message {
            name: schema.name.clone(),
            module: names::module(&schema.name),
            kind: self.kind,
            api_key: schema.api_key,
            versions: schema.valid_versions,
            flexible: self.flexible,
            deprecated: schema.deprecated_versions.unwrap_or(Versions::NONE),
            latest_unstable: schema.latest_version_unstable,
            headers,
            listeners: schema.listeners.clone(),
            structs: self.structs,
        })
    }

    /// Only common structs can form circles: a field has its own struct to itself.
    fn check_circle(&self) -> Result<(), SchemaError> {
        let Some(index) = graph::circle(&self.structs) else {
            return Ok(());
        };
        let name = &self.structs[index].name;
        Err(self.about_struct(
            index,
            format!("struct {name} holds itself"),
            "break the circle: messages have a fixed depth",
        ))
    }

    /// Structs in structs, twice in each, are soon more than any memory holds.
    fn check_width(&self) -> Result<(), SchemaError> {
        let Some(index) = graph::wider_than(&self.structs, MAX_WIDTH) else {
            return Ok(());
        };
        let name = &self.structs[index].name;
        Err(self.about_struct(
            index,
            format!("struct {name} has more than {MAX_WIDTH} fields, with those of structs in it"),
            "put structs into arrays: Kafka's own have less than fifty",
        ))
    }

    fn about_struct(&self, index: usize, what: String, remedy: &str) -> SchemaError {
        let name = self.structs[index].name.as_str();
        let line = self.commons.get(name).map_or(self.schema.line, |c| c.line);
        let path = match index {
            0 => name.to_owned(),
            _ => format!("{}.{name}", self.schema.name),
        };
        at(self.schema, line, &path, wrong(what, remedy))
    }

    /// Adds a struct and, after it, those that its fields name. Gives its place.
    fn add_struct(
        &mut self,
        name: &str,
        doc: String,
        possible: Versions,
        line: usize,
        fields: &[FieldSchema],
        path: &str,
    ) -> Result<usize, Error> {
        self.check_fields(path, fields)?;
        let rust_name = names::structure(name);
        if self.structs.iter().any(|s| s.rust_name == rust_name) {
            let problem = wrong(
                format!("struct {name} is there twice"),
                "give each struct of a message a name of its own, or make it a common struct",
            );
            return Err(at(self.schema, line, path, problem).into());
        }
        let place = self.structs.len();
        self.structs.push(Struct {
            name: name.to_owned(),
            rust_name,
            doc,
            possible,
            fields: Vec::new(),
            borrows: false,
            eq: true,
        });
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let [what, remedy] = TOO_DEEP;
            return Err(at(self.schema, line, path, wrong(what, remedy)).into());
        }
        for field in fields {
            let path = format!("{path}.{}", field.name);
            let resolved = self.field(name, possible, field, &path)?;
            self.structs[place].fields.push(resolved);
        }
        self.depth -= 1;
        Ok(place)
    }

    /// Checks what the fields of a struct must not share.
    fn check_fields(&self, path: &str, fields: &[FieldSchema]) -> Result<(), SchemaError> {
        let fail = |field: &FieldSchema, problem| {
            let path = format!("{path}.{}", field.name);
            Err(at(self.schema, field.line, &path, problem))
        };
        let mut tags = BTreeMap::new();
        let mut field_names = BTreeSet::new();
        for field in fields {
            if !field_names.insert(names::field(&field.name)) {
                let what = "another field of the struct has this name";
                return fail(field, wrong(what, "rename one of them"));
            }
            // Negative tags are refused together with the other rules for one field.
            if let Some(tag) = field.tag.filter(|tag| *tag >= 0)
                && tags.insert(tag, field).is_some()
            {
                let what = format!("tag {tag} is taken already");
                return fail(field, wrong(what, "use the next free tag"));
            }
        }
        for (expected, (tag, field)) in (0..).zip(tags) {
            if tag != expected {
                let what = format!("tag {tag} is used, but tag {expected} is not");
                let remedy =
                    "number the tags from 0 without a gap: small tags are short on the wire";
                return fail(field, wrong(what, remedy));
            }
        }
        Ok(())
    }

    fn field(
        &mut self,
        structure: &str,
        parent: Versions,
        field: &FieldSchema,
        path: &str,
    ) -> Result<Field, Error> {
        let schema = self.schema;
        let located = |problem| at(schema, field.line, path, problem);
        rules::check_name(field).map_err(located)?;
        let ty = self.field_type(parent, field, path)?;
        rules::check_field(field, &ty, self.flexible, schema.valid_versions).map_err(located)?;
        let default = rules::default_value(field, &ty).map_err(located)?;
        Ok(Field {
            name: field.name.clone(),
            rust_name: names::field(&field.name),
            doc: self
                .docs
                .field(&schema.name, structure, &field.name, field.about.as_deref())?,
            ty,
            versions: field.versions,
            nullable: field.nullable_versions.intersect(field.versions),
            tagged: field.tagged_versions,
            tag: field.tag.and_then(|tag| u32::try_from(tag).ok()),
            flexible: field.flexible_versions,
            ignorable: field.ignorable,
            map_key: field.map_key,
            entity_type: field.entity_type.clone(),
            default,
        })
    }

    fn field_type(
        &mut self,
        parent: Versions,
        field: &FieldSchema,
        path: &str,
    ) -> Result<Type, Error> {
        let located = |problem| at(self.schema, field.line, path, problem);
        let (element, is_array) = match field.ty.strip_prefix("[]") {
            Some(element) => (element, true),
            None => (field.ty.as_str(), false),
        };
        let ty = match rules::element_type(field, element, is_array).map_err(located)? {
            Some(scalar) => scalar,
            None => Type::Struct(self.struct_of(element, parent, field, path)?),
        };
        Ok(if is_array {
            Type::Array(Box::new(ty))
        } else {
            ty
        })
    }

    /// The place of the struct that a field names: a common one, or the field's own.
    fn struct_of(
        &mut self,
        name: &str,
        parent: Versions,
        field: &FieldSchema,
        path: &str,
    ) -> Result<usize, Error> {
        let possible = parent.intersect(field.versions);
        if let Some(common) = self.commons.get(name).copied() {
            rules::check_common(field, common, possible)
                .map_err(|problem| at(self.schema, field.line, path, problem))?;
            return self.common_struct(common);
        }
        if field.fields.is_empty() {
            let problem = wrong(
                format!("there is no struct {name}"),
                "give the field `fields`, or add a common struct of that name",
            );
            return Err(at(self.schema, field.line, path, problem).into());
        }
        let doc = self.docs.structure(&self.schema.name, name, None)?;
        self.add_struct(name, doc, possible, field.line, &field.fields, path)
    }

    fn common_struct(&mut self, common: &'a CommonStruct) -> Result<usize, Error> {
        let name = common.name.as_str();
        if let Some(place) = self.places.get(name) {
            return Ok(*place);
        }
        let about = common.about.as_deref();
        let doc = self.docs.structure(&self.schema.name, name, about)?;
        self.places.insert(name.to_owned(), self.structs.len());
        let path = format!("{}.{name}", self.schema.name);
        let possible = common.versions.intersect(self.schema.valid_versions);
        self.add_struct(name, doc, possible, common.line, &common.fields, &path)
    }
}
