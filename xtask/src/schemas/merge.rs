//! Several releases' schemas to one: the newest wins, older ones supply what it has dropped.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow, bail};
use kwire_codegen::Versions;
use kwire_codegen::parse::{CommonStruct, FieldSchema, MessageSchema};

use super::from_lowest;
use super::jars::Release;
use super::layout::layout;

/// A merged schema, and which release each range of its versions comes from.
pub(crate) struct Merged {
    pub(crate) schema: MessageSchema,
    pub(crate) sources: Vec<(Versions, Release)>,
}

type Schemas = BTreeMap<String, MessageSchema>;

/// Messages that a later release has under another name with the same bytes.
const RENAMED: &[(&str, &str)] = &[
    (
        "ListClientMetricsResourcesRequest",
        "ListConfigResourcesRequest",
    ),
    (
        "ListClientMetricsResourcesResponse",
        "ListConfigResourcesResponse",
    ),
    ("AlterIsrRequest", "AlterPartitionRequest"),
    ("AlterIsrResponse", "AlterPartitionResponse"),
];

/// Merges all releases.
pub(crate) fn merge(releases: &BTreeMap<Release, Schemas>) -> Result<Vec<Merged>> {
    let names: BTreeSet<&String> = releases.values().flat_map(Schemas::keys).collect();
    let newest_release = releases.keys().next_back();
    let mut merged = Vec::new();
    for name in names {
        let in_newest = |other: &str| {
            newest_release.is_some_and(|release| releases[release].contains_key(other))
        };
        if RENAMED
            .iter()
            .any(|(old, new)| old == name && in_newest(new))
        {
            continue;
        }
        let candidates: Vec<(&Release, &MessageSchema)> = releases
            .iter()
            .rev()
            .filter_map(|(release, schemas)| Some((release, schemas.get(name)?)))
            .collect();
        merged.push(merge_message(&candidates, newest_release)?);
    }
    Ok(merged)
}

/// Merges one message's schemas, newest first.
fn merge_message(
    candidates: &[(&Release, &MessageSchema)],
    newest_release: Option<&Release>,
) -> Result<Merged> {
    let mut used: Vec<(Versions, &Release, &MessageSchema)> = Vec::new();
    let mut result: Option<MessageSchema> = None;
    for (release, schema) in candidates {
        let schema = *schema;
        if schema.valid_versions.is_empty() {
            continue;
        }
        let Some(newer) = &mut result else {
            result = Some(normalized(schema));
            used.push((schema.valid_versions, release, schema));
            continue;
        };
        if is_renumbered_key(newer, schema) {
            continue;
        }
        let dropped = schema
            .valid_versions
            .split_at(newer.valid_versions.lowest())
            .0;
        if !dropped.is_empty() {
            *newer = merge_two(newer, schema, dropped)?;
            used.push((dropped, release, schema));
        }
    }
    let Some(mut schema) = result else {
        // No release has versions: the key stays reserved.
        let (_, schema) = candidates.first().ok_or_else(|| anyhow!("no schema"))?;
        return Ok(Merged {
            schema: normalized(schema),
            sources: Vec::new(),
        });
    };
    check(&schema, &used)?;
    let newest = candidates
        .iter()
        .find(|(release, _)| Some(*release) == newest_release)
        .map_or(Versions::NONE, |(_, schema)| schema.valid_versions);
    let is_api = matches!(schema.kind.as_str(), "request" | "response");
    let dropped = if newest.is_empty() {
        schema.valid_versions
    } else {
        schema.valid_versions.split_at(newest.lowest()).0
    };
    schema.deprecated_versions = (is_api && !dropped.is_empty()).then_some(dropped);
    used.sort_by_key(|(versions, ..)| versions.lowest());
    let sources = used
        .into_iter()
        .map(|(versions, release, _)| (versions, release.clone()));
    Ok(Merged {
        schema,
        sources: sources.collect(),
    })
}

/// Before 4.0 a coordinator key's version was its record type; now that is the API key. The
/// bodies are alike, so the newest schema reads both.
fn is_renumbered_key(newer: &MessageSchema, older: &MessageSchema) -> bool {
    newer.kind == "coordinator-key" && older.kind == "data"
}

/// Takes out what is not kept, and brings early coordinator records into today's form.
fn normalized(schema: &MessageSchema) -> MessageSchema {
    let mut schema = schema.clone();
    let early_access = schema.name.starts_with("ShareGroupPartitionMetadata");
    if early_access && schema.kind == "data" {
        // 3.9 only: record type 9, which was the key's version then.
        let is_key = schema.name.ends_with("Key");
        schema.kind = if is_key {
            "coordinator-key"
        } else {
            "coordinator-value"
        }
        .to_owned();
        schema.api_key = Some(9);
        if is_key {
            set_versions(&mut schema.fields, Versions::ALL);
            schema.valid_versions = Versions::new(0, 0);
        }
    }
    schema
}

fn set_versions(fields: &mut [FieldSchema], versions: Versions) {
    for field in fields {
        field.versions = versions;
        set_versions(&mut field.fields, versions);
    }
}

/// `newer` with the versions that only `older` has.
fn merge_two(
    newer: &MessageSchema,
    older: &MessageSchema,
    dropped: Versions,
) -> Result<MessageSchema> {
    let context = Context {
        name: &newer.name,
        kept: from_lowest(newer.valid_versions),
        dropped,
    };
    let versions = newer.valid_versions.union(dropped);
    let mut common_structs = Vec::new();
    for common in &newer.common_structs {
        let before = older.common_structs.iter().find(|s| s.name == common.name);
        common_structs.push(match before {
            Some(before) => CommonStruct {
                versions: context.join(&common.name, common.versions, before.versions)?,
                fields: context.fields(&common.name, &common.fields, &before.fields)?,
                ..common.clone()
            },
            None => common.clone(),
        });
    }
    let flexible = context.join(
        "flexibleVersions",
        newer.flexible_versions.unwrap_or(Versions::NONE),
        older.flexible_versions.unwrap_or(Versions::NONE),
    )?;
    Ok(MessageSchema {
        valid_versions: versions.ok_or_else(|| {
            anyhow!(
                "{}: {dropped} and {} leave a gap",
                newer.name,
                newer.valid_versions
            )
        })?,
        flexible_versions: Some(flexible),
        fields: context.fields(&newer.name, &newer.fields, &older.fields)?,
        common_structs,
        ..newer.clone()
    })
}

struct Context<'a> {
    name: &'a str,
    /// The versions for which the newer schema speaks.
    kept: Versions,
    /// The versions for which the older one does.
    dropped: Versions,
}

impl Context<'_> {
    /// The newer's versions where it speaks, the older's where that does.
    fn join(&self, what: &str, newer: Versions, older: Versions) -> Result<Versions> {
        let newer = newer.intersect(self.kept);
        let older = older.intersect(self.dropped);
        newer
            .union(older)
            .ok_or_else(|| anyhow!("{}: {what}: {older} and {newer} leave a gap", self.name))
    }

    fn fields(
        &self,
        path: &str,
        newer: &[FieldSchema],
        older: &[FieldSchema],
    ) -> Result<Vec<FieldSchema>> {
        let mut merged = Vec::new();
        let mut rest = newer.iter().peekable();
        for before in older
            .iter()
            .filter(|f| !f.versions.intersect(self.dropped).is_empty())
        {
            let path = format!("{path}.{}", before.name);
            if !newer.iter().any(|field| field.name == before.name) {
                merged.push(self.only_older(&path, before)?);
                continue;
            }
            // Fields that only the newer has come first, in its order.
            for field in rest.by_ref() {
                if field.name == before.name {
                    merged.push(self.both(&path, field, before)?);
                    break;
                }
                if merged
                    .iter()
                    .any(|done: &FieldSchema| done.name == field.name)
                {
                    bail!("{path}: the order of fields differs between releases");
                }
                merged.push(self.only_newer(field, older));
            }
        }
        merged.extend(rest.map(|field| self.only_newer(field, older)));
        Ok(merged)
    }

    fn only_newer(&self, field: &FieldSchema, older: &[FieldSchema]) -> FieldSchema {
        let before = older.iter().find(|before| before.name == field.name);
        FieldSchema {
            versions: field.versions.intersect(self.kept),
            ignorable: self.ignorable(field, before),
            ..field.clone()
        }
    }

    /// The flag matters at versions that lack the field; who speaks for them decides.
    fn ignorable(&self, newer: &FieldSchema, older: Option<&FieldSchema>) -> bool {
        let absent_in_kept = !newer.versions.contains_all(self.kept);
        newer.ignorable || (!absent_in_kept && older.is_some_and(|older| older.ignorable))
    }

    fn only_older(&self, path: &str, field: &FieldSchema) -> Result<FieldSchema> {
        if field.tag.is_some() {
            bail!("{path}: a tagged field has been given up");
        }
        Ok(FieldSchema {
            versions: field.versions.intersect(self.dropped),
            nullable_versions: field.nullable_versions.intersect(self.dropped),
            ..field.clone()
        })
    }

    fn both(&self, path: &str, newer: &FieldSchema, older: &FieldSchema) -> Result<FieldSchema> {
        if newer.ty != older.ty {
            bail!("{path}: type {} and before that {}", newer.ty, older.ty);
        }
        if newer.default.as_deref().unwrap_or("") != older.default.as_deref().unwrap_or("") {
            bail!("{path}: the default differs between releases");
        }
        let versions = self.join(path, newer.versions, older.versions)?;
        Ok(FieldSchema {
            versions,
            nullable_versions: self.join(path, newer.nullable_versions, older.nullable_versions)?,
            tagged_versions: self.join(path, newer.tagged_versions, older.tagged_versions)?,
            ignorable: self.ignorable(newer, Some(older)),
            fields: self.fields(path, &newer.fields, &older.fields)?,
            ..newer.clone()
        })
    }
}

/// Every version's bytes are those of the schema that it comes from.
fn check(merged: &MessageSchema, used: &[(Versions, &Release, &MessageSchema)]) -> Result<()> {
    for (versions, release, source) in used {
        if merged.kind != source.kind {
            continue; // An early coordinator record, renumbered.
        }
        for version in versions.lowest()..=versions.highest() {
            let (ours, theirs) = (layout(merged, version), layout(source, version));
            if ours != theirs {
                bail!(
                    "{} v{version}: merged {ours}, but {release} has {theirs}",
                    merged.name
                );
            }
        }
    }
    Ok(())
}
