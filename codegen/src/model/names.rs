//! Every Rust name is decided here.

use heck::ToSnakeCase;

/// Words that generated code uses for itself; a schema struct of that name gets a suffix.
const RESERVED_TYPES: &[&str] = &[
    "ApiKey",
    "Array",
    "Blob",
    "Box",
    "Clone",
    "Debug",
    "DecodeError",
    "Default",
    "DefaultValue",
    "EncodeError",
    "Eq",
    "Err",
    "FieldSchema",
    "FieldType",
    "IntoOwned",
    "Kind",
    "Message",
    "None",
    "Ok",
    "Option",
    "PartialEq",
    "Read",
    "Reader",
    "Reflect",
    "Request",
    "Result",
    "Run",
    "Schema",
    "Self",
    "Sink",
    "Slot",
    "SlotOf",
    "Some",
    "Str",
    "StructSchema",
    "UnknownTags",
    "Uuid",
    "Vec",
    "VersionRange",
    "Write",
    "WriteRun",
];

/// Fields that every generated struct has, and names that cannot even be raw identifiers.
const RESERVED_FIELDS: &[&str] = &["unknown_tags", "self", "super", "crate", "_"];

/// Files that are there beside the messages', and names that cannot even be raw identifiers.
const RESERVED_MODULES: &[&str] = &["apis", "mod", "messages", "self", "super", "crate"];

/// `VoteRequest` to `vote_request`.
pub(super) fn module(name: &str) -> String {
    let snake = snake(name);
    if RESERVED_MODULES.contains(&snake.as_str()) {
        format!("{snake}_")
    } else {
        snake
    }
}

/// The Rust name of a struct; schemas name structs as Rust does.
pub(super) fn structure(name: &str) -> String {
    if RESERVED_TYPES.contains(&name) {
        format!("{name}Struct")
    } else {
        name.to_owned()
    }
}

/// `KRaftVersion` to `kraft_version`.
pub(super) fn field(name: &str) -> String {
    let snake = snake(name);
    if RESERVED_FIELDS.contains(&snake.as_str()) {
        format!("{snake}_")
    } else {
        snake
    }
}

fn snake(name: &str) -> String {
    // "KRaft" is one word to everybody but a case converter.
    name.replace("KRaft", "Kraft").to_snake_case()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names() {
        assert_eq!(super::field("KRaftVersion"), "kraft_version");
        assert_eq!(super::field("topicId"), "topic_id");
        assert_eq!(super::field("UnknownTags"), "unknown_tags_");
        assert_eq!(super::structure("Option"), "OptionStruct");
        assert_eq!(super::module("Mod"), "mod_");
        assert_eq!(
            super::module("ApiVersionsResponse"),
            "api_versions_response"
        );
    }
}
