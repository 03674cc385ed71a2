//! Parsed schemas to the model. All checks that need more than one field happen here.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::{self, Problem};
use super::{Docs, Field, Kind, Message, Struct, Type, names};
use crate::error::{Error, SchemaError};
use crate::parse::{CommonStruct, FieldSchema, MessageSchema};
use crate::versions::Versions;

/// The API whose response header is always version 0, so that any client can read it (KIP-511).
const API_VERSIONS: i16 = 18;
/// The API whose first request version has a header without a client id.
const CONTROLLED_SHUTDOWN: i16 = 7;

/// Checks the schemas and turns them into the model, in the order of their names.
///
/// # Errors
/// The first rule that a schema breaks, or a missing description.
pub fn resolve(schemas: &[MessageSchema], docs: &Docs) -> Result<Vec<Message>, Error> {
    let mut messages = BTreeMap::new();
    let mut keys = BTreeMap::new();
    for schema in schemas {
        let message = Resolver::new(schema, docs).message()?;
        // Records of different logs number their types apart from each other.
        let taken = message
            .api_key
            .filter(|_| matches!(message.kind, Kind::Request | Kind::Response))
            .and_then(|key| keys.insert((key, message.kind), schema.name.clone()));
        if let Some(other) = taken {
            return Err(at_message(
                schema,
                &format!(
                    "apiKey {} belongs to {other} already",
                    message.api_key.unwrap_or(0)
                ),
                "give each message of a kind a key of its own",
            )
            .into());
        }
        if messages.insert(schema.name.clone(), message).is_some() {
            return Err(at_message(
                schema,
                "another schema has the same name",
                "rename or remove one of them",
            )
            .into());
        }
    }
    Ok(messages.into_values().collect())
}

fn at_message(schema: &MessageSchema, problem: &str, remedy: &str) -> SchemaError {
    error(schema, schema.line, &schema.name, problem, remedy)
}

fn error(
    schema: &MessageSchema,
    line: usize,
    field: &str,
    problem: &str,
    remedy: &str,
) -> SchemaError {
    SchemaError {
        file: schema.file.clone(),
        line,
        field: field.to_owned(),
        problem: problem.to_owned(),
        remedy: remedy.to_owned(),
    }
}

struct Resolver<'a> {
    schema: &'a MessageSchema,
    docs: &'a Docs,
    kind: Kind,
    flexible: Versions,
    /// Struct names to their places; filled as they are met.
    places: BTreeMap<String, usize>,
    structs: Vec<Struct>,
    commons: BTreeMap<&'a str, &'a CommonStruct>,
}

impl<'a> Resolver<'a> {
    fn new(schema: &'a MessageSchema, docs: &'a Docs) -> Resolver<'a> {
        Resolver {
            schema,
            docs,
            kind: Kind::Data,
            flexible: Versions::NONE,
            places: BTreeMap::new(),
            structs: Vec::new(),
            commons: BTreeMap::new(),
        }
    }

    fn fail<T>(&self, problem: &str, remedy: &str) -> Result<T, Error> {
        Err(at_message(self.schema, problem, remedy).into())
    }

    fn message(mut self) -> Result<Message, Error> {
        let schema = self.schema;
        self.kind = self.message_kind()?;
        self.flexible = self.message_flexible()?;
        self.check_message()?;
        let headers = self.headers()?;
        for common in &schema.common_structs {
            if self.commons.insert(&common.name, common).is_some() {
                return self.fail(
                    &format!("common struct {} is there twice", common.name),
                    "remove one of them",
                );
            }
        }
        let doc = self.docs.message(&schema.name)?;
        self.places.insert(String::new(), 0);
        self.add_struct(
            &schema.name,
            doc,
            schema.valid_versions,
            schema.line,
            &schema.fields,
            &schema.name,
        )?;
        self.check_recursion()?;
        for index in (0..self.structs.len()).rev() {
            let (borrows, eq) = self.traits_of(index);
            self.structs[index].borrows = borrows;
            self.structs[index].eq = eq;
        }
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

    fn message_kind(&self) -> Result<Kind, Error> {
        Ok(match self.schema.kind.as_str() {
            "request" => Kind::Request,
            "response" => Kind::Response,
            "header" => Kind::Header,
            "data" => Kind::Data,
            "metadata" => Kind::Metadata,
            "coordinator-key" => Kind::CoordinatorKey,
            "coordinator-value" => Kind::CoordinatorValue,
            other => {
                return self.fail(
                    &format!("unknown type \"{other}\""),
                    "use request, response, header, data, metadata, coordinator-key or coordinator-value",
                );
            }
        })
    }

    fn message_flexible(&self) -> Result<Versions, Error> {
        if self.schema.valid_versions.is_empty() {
            return Ok(Versions::NONE);
        }
        match self.schema.flexible_versions {
            None => self.fail(
                "`flexibleVersions` is missing",
                "add \"0+\" for a new message",
            ),
            Some(flexible) if !flexible.is_empty() && !flexible.is_open_ended() => self.fail(
                &format!("`flexibleVersions` {flexible} is not open-ended"),
                "write \"none\", or end it with a plus sign",
            ),
            Some(flexible) => Ok(flexible),
        }
    }

    fn check_message(&self) -> Result<(), Error> {
        let schema = self.schema;
        if !schema.name.starts_with(|c: char| c.is_ascii_uppercase())
            || !schema.name.chars().all(|c| c.is_ascii_alphanumeric())
        {
            return self.fail(
                "a message's name must begin with a capital and have letters and digits only",
                "rename it",
            );
        }
        let needs_key = !matches!(self.kind, Kind::Header | Kind::Data);
        if needs_key && schema.api_key.is_none() {
            return self.fail(
                &format!("a {} needs an `apiKey`", schema.kind),
                "add it, or change the type to data",
            );
        }
        if schema.api_key.is_some_and(|key| key < 0) {
            return self.fail("the `apiKey` is negative", "use a number from 0 to 32767");
        }
        if schema.valid_versions.is_open_ended() {
            return self.fail(
                "`validVersions` is open-ended",
                "name the highest version, such as \"0-3\"",
            );
        }
        if let Some(deprecated) = schema.deprecated_versions
            && !schema.valid_versions.contains_all(deprecated)
        {
            return self.fail(
                &format!(
                    "`deprecatedVersions` {deprecated} is not within `validVersions` {}",
                    schema.valid_versions
                ),
                "narrow it",
            );
        }
        if self.kind != Kind::Request {
            if !schema.listeners.is_empty() {
                return self.fail("`listeners` on a message that is no request", "remove it");
            }
            if schema.latest_version_unstable {
                return self.fail(
                    "`latestVersionUnstable` on a message that is no request",
                    "remove it",
                );
            }
        }
        for listener in &schema.listeners {
            // "zkBroker" is gone from 4.0 on, but older releases' schemas have it.
            if !["broker", "controller", "zkBroker"].contains(&listener.as_str()) {
                return self.fail(
                    &format!("unknown listener \"{listener}\""),
                    "use broker or controller",
                );
            }
        }
        if self.kind == Kind::CoordinatorKey && !schema.valid_versions.is_empty() {
            if schema.valid_versions != Versions::new(0, 0) {
                return self.fail(
                    &format!(
                        "a coordinator-key has version 0 only, not {}",
                        schema.valid_versions
                    ),
                    "write \"validVersions\": \"0\": the record type is the apiKey",
                );
            }
            if !self.flexible.is_empty() {
                return self.fail(
                    "a coordinator-key is never flexible",
                    "write \"flexibleVersions\": \"none\"",
                );
            }
        }
        Ok(())
    }

    /// Header versions: as the schema maps them (KIP-1313), or as Kafka derives them.
    fn headers(&self) -> Result<Vec<(Versions, i16)>, Error> {
        let schema = self.schema;
        let base = match self.kind {
            Kind::Request => 1,
            Kind::Response => 0,
            _ if schema.header_versions.is_some() => {
                return self.fail(
                    "`headerVersions` on a message that is no request or response",
                    "remove it",
                );
            }
            _ => return Ok(Vec::new()),
        };
        if let Some(map) = &schema.header_versions {
            return self.mapped_headers(map, base);
        }
        let key = schema.api_key.unwrap_or(-1);
        let valid = schema.valid_versions;
        if valid.is_empty() {
            return Ok(Vec::new());
        }
        if self.kind == Kind::Response && key == API_VERSIONS {
            return Ok(vec![(valid, 0)]);
        }
        let (plain, flexible) = if self.flexible.is_empty() {
            (valid, Versions::NONE)
        } else {
            valid.split_at(self.flexible.lowest())
        };
        let mut headers = Vec::new();
        let first = self.kind == Kind::Request && key == CONTROLLED_SHUTDOWN;
        let (without_client, plain) = plain.split_at(i16::from(first));
        for (range, version) in [(without_client, 0), (plain, base), (flexible, base + 1)] {
            if !range.is_empty() {
                headers.push((range, version));
            }
        }
        Ok(headers)
    }

    fn mapped_headers(
        &self,
        map: &[(String, String)],
        base: i16,
    ) -> Result<Vec<(Versions, i16)>, Error> {
        if self.schema.valid_versions.is_empty() {
            return self.fail(
                "`headerVersions` on a message without versions",
                "remove it",
            );
        }
        let mut headers = Vec::new();
        for (range, version) in map {
            let (Some(range), Ok(version)) = (Versions::parse(range), version.parse::<i16>())
            else {
                return self.fail(
                    &format!("`headerVersions` maps \"{range}\" to \"{version}\""),
                    "write ranges and numbers, such as {\"0-1\": \"1\", \"2+\": \"2\"}",
                );
            };
            headers.push((range, version));
        }
        headers.sort_by_key(|(range, _)| range.lowest());
        let mut next = 0;
        let mut last = 0;
        for (range, version) in &headers {
            if range.is_empty() || range.lowest() != next || next == i16::MAX {
                return self.fail(
                    &format!("`headerVersions` has a gap or an overlap at version {next}"),
                    "cover every version from 0 on, once",
                );
            }
            if *version < last {
                return self.fail(
                    &format!("header version {version} follows header version {last}"),
                    "header versions never go down",
                );
            }
            last = *version;
            next = range.highest().saturating_add(1);
            if self.kind == Kind::Response && self.schema.api_key == Some(API_VERSIONS) {
                if *version != 0 {
                    return self.fail(
                        "the ApiVersions response has another header than version 0",
                        "map every version to \"0\": clients read it before they know the version (KIP-511)",
                    );
                }
            } else if !range
                .intersect(self.flexible)
                .intersect(self.schema.valid_versions)
                .is_empty()
                && *version <= base
            {
                return self.fail(
                    &format!("flexible versions in {range} have header version {version}, which is not flexible"),
                    &format!("map flexible versions to \"{}\" or higher", base + 1),
                );
            }
        }
        if headers
            .last()
            .is_none_or(|(range, _)| !range.is_open_ended())
        {
            return self.fail(
                "`headerVersions` is not open-ended",
                "end the last range with a plus sign",
            );
        }
        let valid = self.schema.valid_versions;
        let used = headers
            .into_iter()
            .map(|(range, version)| (range.intersect(valid), version));
        Ok(used.filter(|(range, _)| !range.is_empty()).collect())
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
        self.check_fields(path, line, fields)?;
        let place = self.structs.len();
        if self
            .structs
            .iter()
            .any(|s| s.rust_name == names::structure(name))
        {
            return Err(error(
                self.schema,
                line,
                path,
                &format!("struct {name} is there twice"),
                "give each struct of a message a name of its own, or make it a common struct",
            )
            .into());
        }
        self.structs.push(Struct {
            name: name.to_owned(),
            rust_name: names::structure(name),
            doc,
            possible,
            fields: Vec::new(),
            borrows: false,
            eq: true,
        });
        for field in fields {
            let path = format!("{path}.{}", field.name);
            let resolved = self.field(name, possible, field, &path)?;
            self.structs[place].fields.push(resolved);
        }
        Ok(place)
    }

    fn check_fields(&self, path: &str, line: usize, fields: &[FieldSchema]) -> Result<(), Error> {
        let mut tags = BTreeSet::new();
        let mut field_names = BTreeSet::new();
        for field in fields {
            let path = format!("{path}.{}", field.name);
            let fail = |problem: &str, remedy: &str| {
                Err(error(self.schema, field.line, &path, problem, remedy).into())
            };
            if !field_names.insert(names::field(&field.name)) {
                return fail(
                    "another field of the struct has this name",
                    "rename one of them",
                );
            }
            if let Some(tag) = field.tag
                && !tags.insert(tag)
            {
                return fail(
                    &format!("tag {tag} is taken already"),
                    "use the next free tag",
                );
            }
        }
        for (expected, tag) in (0..).zip(&tags) {
            if *tag != expected && *tag >= 0 {
                return Err(error(
                    self.schema,
                    line,
                    path,
                    &format!("tag {tag} is used, but tag {expected} is not"),
                    "number the tags from 0 without a gap: small tags are short on the wire",
                )
                .into());
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
        let located =
            move |(problem, remedy): Problem| error(schema, field.line, path, &problem, &remedy);
        let ty = self.field_type(parent, field, path)?;
        rules::check_field(field, &ty, self.flexible, schema.valid_versions).map_err(located)?;
        let default = rules::default_value(field, &ty).map_err(located)?;
        Ok(Field {
            name: field.name.clone(),
            rust_name: names::field(&field.name),
            doc: self.docs.field(&schema.name, structure, &field.name)?,
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
        let schema = self.schema;
        let fail = |problem: String, remedy: &str| {
            Err(error(schema, field.line, path, &problem, remedy).into())
        };
        let (element, is_array) = match field.ty.strip_prefix("[]") {
            Some(element) => (element, true),
            None => (field.ty.as_str(), false),
        };
        let ty = if let Some(scalar) = rules::scalar(element) {
            if is_array && scalar == Type::Records {
                return fail("an array of records".to_owned(), "use bytes or records");
            }
            scalar
        } else if is_array && element.starts_with("[]") {
            return fail(
                "an array of arrays".to_owned(),
                "put the inner array into a struct",
            );
        } else if !element.starts_with(|c: char| c.is_ascii_uppercase())
            || !element.chars().all(|c| c.is_ascii_alphanumeric())
        {
            return fail(
                format!("unknown type \"{}\"", field.ty),
                "use one of Kafka's types, or a struct's name with a capital",
            );
        } else {
            Type::Struct(self.struct_of(element, parent, field, path)?)
        };
        Ok(if is_array {
            Type::Array(Box::new(ty))
        } else {
            ty
        })
    }

    fn struct_of(
        &mut self,
        name: &str,
        parent: Versions,
        field: &FieldSchema,
        path: &str,
    ) -> Result<usize, Error> {
        let schema = self.schema;
        let fail = |problem: String, remedy: &str| {
            Err(error(schema, field.line, path, &problem, remedy).into())
        };
        let possible = parent.intersect(field.versions);
        if let Some(common) = self.commons.get(name).copied() {
            if !field.fields.is_empty() {
                return fail(
                    format!("`fields` for the common struct {name}"),
                    "remove them here, or the common struct",
                );
            }
            if !common.versions.contains_all(possible) {
                return fail(
                    format!(
                        "versions {possible} use {name}, which has {} only",
                        common.versions
                    ),
                    "narrow the field's versions, or widen the common struct's",
                );
            }
            if let Some(place) = self.places.get(name) {
                return Ok(*place);
            }
            let doc = self.docs.structure(&schema.name, name)?;
            self.places.insert(name.to_owned(), self.structs.len());
            let path = format!("{}.{name}", schema.name);
            let possible = common.versions.intersect(schema.valid_versions);
            return self.add_struct(name, doc, possible, common.line, &common.fields, &path);
        }
        if field.fields.is_empty() {
            return fail(
                format!("there is no struct {name}"),
                "give the field `fields`, or add a common struct of that name",
            );
        }
        let doc = self.docs.structure(&schema.name, name)?;
        self.add_struct(name, doc, possible, field.line, &field.fields, path)
    }

    /// A struct that holds itself could not have a default, nor be decoded in bounded depth.
    fn check_recursion(&self) -> Result<(), Error> {
        let mut finished = vec![false; self.structs.len()];
        for start in 0..self.structs.len() {
            if self.reaches_itself(start, &mut Vec::new(), &mut finished) {
                return self.fail(
                    &format!("struct {} holds itself", self.structs[start].name),
                    "break the circle: messages have a fixed depth",
                );
            }
        }
        Ok(())
    }

    fn reaches_itself(&self, index: usize, above: &mut Vec<usize>, finished: &mut [bool]) -> bool {
        if above.contains(&index) {
            return true;
        }
        if finished[index] {
            return false;
        }
        above.push(index);
        let inner = self.structs[index]
            .fields
            .iter()
            .filter_map(|f| super::narrow::struct_of(&f.ty));
        let circle = inner
            .into_iter()
            .any(|inner| self.reaches_itself(inner, above, finished));
        above.pop();
        finished[index] = true;
        circle
    }

    /// Whether a struct borrows from its frame, and whether its equality is total.
    fn traits_of(&self, index: usize) -> (bool, bool) {
        let mut borrows = false;
        let mut eq = true;
        for field in &self.structs[index].fields {
            let (field_borrows, field_eq) = self.type_traits(&field.ty);
            borrows |= field_borrows;
            eq &= field_eq;
        }
        (borrows, eq)
    }

    fn type_traits(&self, ty: &Type) -> (bool, bool) {
        match ty {
            Type::String | Type::Bytes | Type::Records => (true, true),
            Type::Float64 => (false, false),
            Type::Struct(inner) => self.traits_of(*inner),
            Type::Array(element) => {
                let (borrows, eq) = self.type_traits(element);
                (borrows || element.fixed_len().is_some(), eq)
            }
            _ => (false, true),
        }
    }
}
